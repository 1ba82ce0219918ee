"""Many questions to one device: several under way at once, each asked once, a lost one asked again alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hardware.device_line import DeviceLine
from hardware.errors import BadReplyError, ReplyTimeoutError
from hardware.talks import Talk
from hardware.wire.messages import Change, Refusal
from profiles.profile import Profile

SILENT_QUESTIONS = 2
"""After so many unanswered questions in a row a device counts as gone."""


@dataclass(frozen=True)
class Question:
    """One query: its messages, the controls it is asked for, those its answer tells besides, and the answer's length.

    ``answer_bytes``: about how long the answer is [bytes].
    """

    messages: tuple[bytes, ...]
    controls: tuple[str, ...]
    welcome: frozenset[str] = frozenset()
    answer_bytes: int = 0


def questions_for(profile: Profile, queries: Iterable[tuple[str, Sequence[bytes], int]]) -> list[Question]:
    """Put (control, query, answer's length) together by query: one that tells of several controls is asked once."""
    asked: dict[tuple[bytes, ...], list[str]] = {}
    lengths: dict[tuple[bytes, ...], int] = {}
    for control, messages, answer_bytes in queries:
        key = tuple(messages)
        asked.setdefault(key, []).append(control)
        lengths[key] = lengths.get(key, 0) + answer_bytes
    return [
        Question(key, tuple(dict.fromkeys(controls)), _told_besides(profile, controls), lengths[key])
        for key, controls in asked.items()
    ]


def _told_besides(profile: Profile, controls: Sequence[str]) -> frozenset[str]:
    """Find the other controls of the dump that these are read from."""
    sources = {dump.source for name in controls if (dump := profile.controls[name].dump) is not None}
    if not sources:
        return frozenset()
    return frozenset(
        control.name
        for control in profile.controls.values()
        if control.dump is not None and control.dump.source in sources
    ) - frozenset(controls)


def ask_all(
    line: DeviceLine,
    questions: Iterable[Question],
    *,
    on_answer: Callable[[str, Change], None],
    on_refusal: Callable[[Question | None, Refusal], None],
    on_missing: Callable[[Question, Exception], None] | None = None,
    at_once: int | None = None,
) -> Talk:
    """Ask many questions, several at once, and match what comes back by control.

    A device that loses some is asked fewer at once from then on.

    Parameters
    ----------
    line
        The device.
    questions
        What to ask, in this order.
    on_answer
        Told of every control in every answer.
    on_refusal
        Told of every refusal, with the question it can belong to; may raise.
    on_missing
        Told of a question that stays unanswered after the profile's retries; without it that raises.
    at_once
        How many may be under way; as many as the profile allows when None.

    Raises
    ------
    ReplyTimeoutError, BadReplyError
        As ``DeviceLine.ask``.
    """
    limit = line.profile.pacing.in_flight if at_once is None else at_once
    yield from _Asking(line, questions, on_answer, on_refusal, on_missing, limit).talk()


class _Asking:
    def __init__(
        self,
        line: DeviceLine,
        questions: Iterable[Question],
        on_answer: Callable[[str, Change], None],
        on_refusal: Callable[[Question | None, Refusal], None],
        on_missing: Callable[[Question, Exception], None] | None,
        limit: int,
    ) -> None:
        self.line = line
        self._on_answer = on_answer
        self._on_refusal = on_refusal
        self._on_missing = on_missing
        self._waiting = deque(questions)
        self._under_way: dict[Question, float] = {}
        self._lost: deque[Question] = deque()
        longest = max((question.answer_bytes for question in self._waiting), default=0)
        self._limit = limit
        self._patience_s = limit * longest / line.profile.pacing.bytes_per_s

    def talk(self) -> Talk:
        line = self.line
        try:
            while self._waiting or self._under_way or self._lost:
                self._look()
                if self._lost and not self._under_way:
                    yield from self._again(self._lost.popleft())
                elif self._waiting and len(self._under_way) < self._limit and not self._lost:
                    question = self._waiting.popleft()
                    line.expect(question.controls, welcome=question.welcome)
                    self._under_way[question] = 0.0
                    yield from line.unit(question.messages)
                    self._under_way[question] = line.left_s + line.profile.ack.timeout_s + self._patience_s
                elif self._under_way:
                    yield from line.wait(min(self._under_way.values()), for_input=True)
        finally:
            for question in self._under_way:
                line.unexpect(question.controls)

    def _look(self) -> None:
        """Hand out what was answered, and set aside what is overdue."""
        line = self.line
        line.sort()
        for control, change in line.take_unclaimed().items():
            self._on_answer(control, change)
        now = line.clock.monotonic()
        for question, deadline in list(self._under_way.items()):
            told = [(control, said) for control in question.controls if (said := line.answered(control))]
            if len(told) == len(question.controls):
                self._end(question)
                for control, change in told:
                    self._on_answer(control, change)
            elif now >= deadline > 0.0:
                self._end(question)
                line.doubt("left a question unanswered")
                self._lost.append(question)
        while line.refusals:
            refusal = line.refusals.pop(0)
            refused = self._question_of(refusal)
            if refused is not None:
                self._end(refused)
            self._on_refusal(refused, refusal)

    def _end(self, question: Question) -> None:
        del self._under_way[question]
        self.line.unexpect(question.controls)

    def _question_of(self, refusal: Refusal) -> Question | None:
        """Find the question that was refused: the one for that control, or the oldest where none is named."""
        for question in self._under_way:
            if refusal.control is None or refusal.control in question.controls:
                return question
        return None

    def _again(self, question: Question) -> Talk:
        """Ask a lost question again, with nothing else under way."""
        line, retries = self.line, self.line.profile.ack.retries
        self._limit = max(1, self._limit // 2)
        try:
            if retries == 0:
                raise line.silence()
            told = yield from line.ask_for(
                question.controls, question.messages, tries=retries, patience_s=self._patience_s
            )
        except (ReplyTimeoutError, BadReplyError) as error:
            if self._on_missing is None:
                line.culprit = question.controls[0]
                raise
            self._on_missing(question, error)
            return
        if told is None:
            self._on_refusal(question, line.refusals.pop())
            return
        for control, found in told.items():
            self._on_answer(control, found)
