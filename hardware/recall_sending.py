"""Settings on their way to one device: sent, confirmed or refused, settled, read back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hardware.device_line import DeviceLine
from hardware.errors import (
    BadReplyError,
    RefusedError,
    TransportError,
)
from hardware.known import Known
from hardware.questions import Question, ask_all, questions_for
from hardware.recall_plan import same_value
from hardware.recall_steps import Step
from hardware.talks import Talk
from hardware.wire.messages import Change, Refusal
from hardware.wording import refusal_text, value_text

Outcome = Literal["read-back", "acknowledged", "sent", "refused", "mismatch", "unknown", "not-sent"]
"""How one control ended: the first three are fine, the others name what went wrong or was left."""

LiveState = Literal["sent", "acknowledged", "read-back", "settled", "refused", "mismatch", "unknown", "not-sent"]
"""Where a control is on its way; ``settled``: its device has had its time after the last setting, and all stands."""

FINE: frozenset[Outcome] = frozenset({"read-back", "acknowledged", "sent"})


@dataclass(frozen=True)
class StepResult:
    """How one control ended; ``known`` is what is known of it now (None: nothing), ``message`` why it is not fine."""

    state: Outcome
    known: Known | None
    message: str = ""
    settled: bool = False


@dataclass
class _Unconfirmed:
    """A setting that its device has still to confirm, until when [s], and how often it may be sent again."""

    step: Step
    deadline_s: float
    tries_left: int


@dataclass
class Written:
    """What has gone to one control in this run: raw codes, its last step once that has gone, times it may go again."""

    codes: list[int] = field(default_factory=list)
    final: Step | None = None
    tries_left: int = 0


class Sending:
    """Sends one device's settings, takes what confirms or refuses them, and reads them back.

    ``planned`` are the last steps of each control, ``written`` what has gone to it. ``results`` by address, of the
    steps that were begun; ``learnt`` whatever else was found out. ``unread`` still has to be read back,
    ``unconfirmed`` to be confirmed; ``half_sent`` is on the wire.
    """

    def __init__(
        self,
        line: DeviceLine,
        steps: Sequence[Step],
        *,
        on_state: Callable[[Step, LiveState, StepResult], None],
        now: Callable[[], str],
    ) -> None:
        self.line = line
        self.results: dict[str, StepResult] = {}
        self.learnt: dict[str, Known] = {}
        self.planned = {step.control: step for step in steps if step.final}
        self.written: dict[str, Written] = {}
        self.unread: dict[str, Step] = {}
        self.unconfirmed: dict[str, _Unconfirmed] = {}
        self.half_sent: Step | None = None
        self.now = now
        self._on_state = on_state
        self._settled_at_s = -math.inf

    # --- sending ----------------------------------------------------------------------------------------------------

    def send_all(self, steps: Sequence[Step]) -> Talk:
        """Send steps in order, each once there is room for it, and wait for what confirms them.

        Raises
        ------
        HardwareError
            The device refused, did not confirm, was touched or vanished.
        """
        line = self.line
        at_once = line.profile.pacing.in_flight if line.profile.ack.kind == "reply" else 1
        for step in steps:
            yield from self._fewer_than(at_once, step.control)
            if step.pause_s:
                yield from line.drained()
                yield from line.pause(step.pause_s)
            yield from self._send(step)
        yield from self._fewer_than(1)

    def _send(self, step: Step) -> Talk:
        """Send one setting; never to a control that a hand holds."""
        line, ack = self.line, self.line.profile.ack
        control = line.profile.controls[step.control]

        def check() -> None:
            self.check()
            if step.control in line.held:
                line.culprit = step.control
                raise TransportError(f"stopped: a hand holds {step.address}")
            if ack.kind == "reply":
                line.expect((step.control,))
            line.oks = 0
            line.moved.pop(step.control, None)
            self.half_sent = step

        yield from line.unit(step.messages, gap_s=control.gap_s, check=check)
        self.half_sent = None
        line.believed[step.control] = step.raw
        written = self.written.setdefault(step.control, Written(tries_left=self._retries(step.control)))
        written.codes.append(step.raw)
        written.final = step if step.final else None
        settle_s = line.profile.pacing.settle_s if control.settle_s is None else control.settle_s
        self._settled_at_s = max(self._settled_at_s, line.left_s + settle_s)
        if step.query:
            self.unread[step.control] = step
        if step.final:
            self.put(step, "sent", StepResult("sent", Known(step.to, "sent", self.now())))
        if ack.kind in ("reply", "accepted"):
            self.unconfirmed[step.control] = _Unconfirmed(step, line.left_s + ack.timeout_s, written.tries_left)

    def _retries(self, control: str) -> int:
        line = self.line
        return line.profile.ack.write_retries if line.profile.controls[control].idempotent else 0

    def _fewer_than(self, count: int, control: str = "") -> Talk:
        """Wait until fewer than ``count`` settings are unconfirmed, and none of ``control``."""
        line = self.line
        while True:
            self.check()
            self._take_confirmations()
            if len(self.unconfirmed) < count and control not in self.unconfirmed:
                return
            now = line.clock.monotonic()
            overdue = [entry for entry in self.unconfirmed.values() if now >= entry.deadline_s]
            if overdue:
                yield from self._send_again(overdue[0])
                continue
            yield from line.wait(min(entry.deadline_s for entry in self.unconfirmed.values()), for_input=True)

    def _send_again(self, entry: _Unconfirmed) -> Talk:
        """Repeat a setting that stayed unconfirmed, where the profile says that this does no harm."""
        step, line = entry.step, self.line
        line.doubt(f"did not confirm {step.control}")
        if entry.tries_left < 1:
            line.culprit = step.control
            raise line.silence()
        del self.unconfirmed[step.control]
        self.written[step.control].tries_left -= 1
        yield from self._send(step)

    def _take_confirmations(self) -> None:
        line = self.line
        for control, entry in list(self.unconfirmed.items()):
            if line.profile.ack.kind == "accepted":
                if not line.oks:
                    continue
                line.oks -= 1
            else:
                change = line.answered(control)
                if change is None or not self._is_echo(entry.step, change):
                    continue
                line.unexpect((control,))
            del self.unconfirmed[control]
            if entry.step.final:
                known = Known(entry.step.to, "acknowledged", self.now())
                self.put(entry.step, "acknowledged", StepResult("acknowledged", known))

    def _is_echo(self, step: Step, change: Change) -> bool:
        """Whether a reply confirms this setting; one of an earlier setting of the same control is late, no more."""
        if self.agrees(step, change):
            return True
        if change.raw in self.written[step.control].codes[:-1]:
            self.line.doubt(f"confirmed an earlier setting of {step.control} late")
            self.line.expect((step.control,))
            return False
        raise self._mismatch(step, change)

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Stop at what arrived meanwhile: a refusal, a hand on a control of this recall, a device switched on anew.

        Raises
        ------
        HardwareError
            One of these.
        """
        line = self.line
        line.sort()
        if line.refusals:
            raise self.refused(line.refusals.pop(0))
        held = [control for control in line.touches if control in self.planned]
        if held:
            line.culprit = held[0]
            raise TransportError(f"stopped: a hand took hold of {line.name}/{held[0]}")
        if line.restarted:
            raise TransportError("was switched off and on: what it had been told is gone")

    def refused(self, refusal: Refusal, asked: Question | None = None) -> RefusedError:
        """Mark the control that was refused, and make the error that says so."""
        line = self.line
        oldest = next(iter(self.unconfirmed), "") or (self.half_sent.control if self.half_sent else "")
        last = next(reversed(self.written), "") if line.profile.ack.kind == "nak" and asked is None else ""
        control = refusal.control or (asked.controls[0] if asked else "") or oldest or last
        if control:
            line.culprit = control
            step = self.planned.get(control)
            if step is not None:
                self.unread.pop(control, None)
                self.put(step, "refused", StepResult("refused", None, refusal_text(refusal)))
        where = f"{line.name}/{control}" if control else "a setting"
        return RefusedError(f"refused {where} ({refusal_text(refusal)})")

    def agrees(self, step: Step, change: Change) -> bool:
        """Tell whether the device says what was sent."""
        control = self.line.profile.controls[step.control]
        return change.raw == step.raw or same_value(control, change.value, step.to)

    def _mismatch(self, step: Step, change: Change) -> BadReplyError:
        message = f"stands at {value_text(change.value)} after {value_text(step.to)} was sent"
        self.line.culprit = step.control
        self.line.doubt(f"{step.control} {message}")
        self.unread.pop(step.control, None)
        self.put(step, "mismatch", StepResult("mismatch", Known(change.value, "read-back", self.now()), message))
        return BadReplyError(f"{step.address} {message}")

    # --- reading back -----------------------------------------------------------------------------------------------

    def confirm(self, steps: Sequence[Step]) -> Talk:
        """Let the device settle after the phase's last setting, then read back what can be read.

        Nothing is read before everything of the phase was sent: a damaged message that set another control is found.

        Raises
        ------
        HardwareError
            A control stands elsewhere, or the device did not answer or refused.
        """
        line, ack = self.line, self.line.profile.ack
        yield from line.drained()
        yield from line.wait(self._settled_at_s)
        questions = [step for step in steps if step.control in self.unread and step.query]
        if ack.kind == "nak" and not questions:
            while line.clock.monotonic() < line.left_s + ack.timeout_s:
                self.check()
                yield from line.wait(line.left_s + ack.timeout_s, for_input=True)
        self.check()
        wrong: list[Step] = []

        def on_answer(control: str, change: Change) -> None:
            step = self.unread.get(control)
            if step is None:
                self._learn(control, change)
            elif self.agrees(step, change):
                self._read(step, change)
            else:
                wrong.append(step)

        def on_refusal(question: Question | None, refusal: Refusal) -> None:
            raise self.refused(refusal, question)

        asked = questions_for(line.profile, ((step.control, step.query, step.answer_bytes) for step in questions))
        yield from ask_all(line, asked, on_answer=on_answer, on_refusal=on_refusal)
        for step in dict.fromkeys(wrong):
            yield from self._look_again(step)
        self.check()

    def _learn(self, control: str, change: Change) -> None:
        self.line.believed[control] = change.raw
        self.learnt[f"{self.line.name}/{control}"] = Known(change.value, "read-back", self.now())

    def _read(self, step: Step, change: Change) -> None:
        self.line.believed[step.control] = change.raw
        self.line.moved.pop(step.control, None)
        self.unread.pop(step.control, None)
        self.put(step, "read-back", StepResult("read-back", Known(change.value, "read-back", self.now())))

    def _look_again(self, step: Step) -> Talk:
        """Ask a control that stands elsewhere once more, and set it once more where that does no harm."""
        line, ack = self.line, self.line.profile.ack
        line.doubt(f"{step.control} stands elsewhere")
        written = self.written[step.control]
        asked_again = False
        while True:
            found = yield from line.ask_for((step.control,), step.query, tries=ack.retries + 1)
            if found is None:
                raise self.refused(line.refusals.pop())
            change = found[step.control]
            if self.agrees(step, change):
                self._read(step, change)
                return
            if not asked_again and ack.retries:
                asked_again = True
                continue
            if written.tries_left < 1:
                raise self._mismatch(step, change)
            written.tries_left -= 1
            yield from self._send(step)
            yield from self._fewer_than(1)
            yield from line.drained()
            yield from line.wait(self._settled_at_s)

    def put(self, step: Step, state: LiveState, result: StepResult) -> None:
        """Set how a control stands now, and tell it."""
        self.results[step.address] = result
        self._on_state(step, state, result)
