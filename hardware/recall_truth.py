"""The truth sweep: read a device's controls again after something went wrong, until one round goes undisturbed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hardware.device_line import DeviceLine
from hardware.errors import HardwareError, ReplyTimeoutError
from hardware.known import Known
from hardware.questions import SILENT_QUESTIONS, Question, ask_all, questions_for
from hardware.talks import Talk
from hardware.wire.messages import Change, Refusal, query
from profiles.errors import ProfileError

ROUNDS = 3
"""How often a device is read again before nothing that it says is believed."""


@dataclass
class Inquiry:
    """Which controls to look at, what was known of them before the run, and where they were ``found`` to stand.

    ``error``: what ended the looking early.
    """

    controls: Iterable[str]
    known: Mapping[str, Known]
    found: dict[str, Change] = field(default_factory=dict)
    error: HardwareError | None = None


def sweep(line: DeviceLine, inquiry: Inquiry) -> Talk:
    """Read the inquiry's readable controls; what is not in ``found`` afterwards nobody can vouch for.

    A round in which anything went wrong is read again, and a control that stands elsewhere than believed is asked
    twice. Never raises for what the device does.
    """
    readable = [
        name
        for name in inquiry.controls
        if line.profile.controls[name].readable and not line.profile.controls[name].by_hand
    ]
    if not readable:
        return
    try:
        at_once: int | None = None
        for _ in range(ROUNDS):
            line.sort()
            line.refusals.clear()
            spoilt, moved = line.spoilt, dict(line.moved)
            found: dict[str, Change] = {}
            refused: set[str] = set()
            yield from _read(line, readable, found, refused, at_once=at_once)
            at_once = 1  # should this round be disturbed: what was too much at once is not so one by one
            surprising = [name for name in found if _is_surprise(line, inquiry, name, found[name])]
            again: dict[str, Change] = {}
            yield from _read(line, surprising, again, refused, at_once=1)
            agree = all(name in again and again[name].raw == found[name].raw for name in surprising)
            last: dict[str, Change] = {}
            canary = _canary(line, found)
            yield from _read(line, canary, last, refused, at_once=1)
            agree = agree and all(name in last and last[name].raw == found[name].raw for name in canary)
            line.sort()
            stirred = {name for name, known in line.moved.items() if moved.get(name) != known}
            if agree and line.spoilt == spoilt and not stirred:
                inquiry.found = found
                return
            if line.spoilt == spoilt and stirred:
                # A hand is at work: what it leaves alone is known, what it moves is not until it rests.
                inquiry.found = {
                    name: change
                    for name, change in found.items()
                    if name not in stirred and (name not in again or again[name].raw == change.raw)
                }
            else:
                inquiry.found = {}
            for name, change in found.items():
                line.believed[name] = change.raw
    except HardwareError as error:
        inquiry.found, inquiry.error = {}, error


def _read(
    line: DeviceLine, names: Iterable[str], found: dict[str, Change], refused: set[str], *, at_once: int | None
) -> Talk:
    """Ask every one of these; a device that leaves several in a row unanswered is not asked further."""
    silent = 0

    def on_answer(control: str, change: Change) -> None:
        nonlocal silent
        silent = 0
        found[control] = change

    def on_refusal(question: Question | None, refusal: Refusal) -> None:
        refused.update(question.controls if question is not None else ())

    def on_missing(question: Question, error: Exception) -> None:
        nonlocal silent
        silent += 1
        if silent >= SILENT_QUESTIONS:
            raise ReplyTimeoutError(str(error))

    queries = ((name, query(line.profile, name), _length(line, name)) for name in names)
    yield from ask_all(
        line,
        questions_for(line.profile, queries),
        on_answer=on_answer,
        on_refusal=on_refusal,
        on_missing=on_missing,
        at_once=at_once,
    )


def _canary(line: DeviceLine, found: Mapping[str, Change]) -> list[str]:
    """Choose the first control that was read and stands elsewhere than after switching on: power may fail meanwhile."""
    for name, change in found.items():
        control = line.profile.controls[name]
        try:
            if control.to_raw(control.default) != change.raw:
                return [name]
        except ProfileError:
            continue
    return []


def _length(line: DeviceLine, name: str) -> int:
    """Guess how long the answer about a control is [bytes]: as long as its question."""
    return sum(map(len, query(line.profile, name)))


def _is_surprise(line: DeviceLine, inquiry: Inquiry, name: str, change: Change) -> bool:
    """Whether a control stands elsewhere than was believed."""
    if name in line.believed:
        return line.believed[name] != change.raw
    known = inquiry.known.get(name)
    try:
        return known is None or line.profile.controls[name].to_raw(known.value) != change.raw
    except ProfileError:
        return True
