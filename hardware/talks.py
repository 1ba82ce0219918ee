"""Talks with several devices at once: what each waits for, the wire that some share, and the turn-taking."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hardware.errors import DisconnectedError, HardwareError, ReplyTimeoutError
from hardware.seams import BytePort, Clock

POLL_S = 0.001
"""How long one line may be listened to while others wait [s]: a DIN MIDI wire carries three bytes in that time."""
_STRANGE_KEPT = 1024
"""How many different messages that some line did not know are remembered on a shared wire."""


@dataclass(frozen=True)
class Wait:
    """What a talk waits for: a moment, (``for_input``) whatever arrives until then, or (``ready``) what others do."""

    until_s: float
    for_input: bool = False
    ready: Callable[[], bool] | None = None


Talk = Generator[Wait, None, None]
"""A talk with one device: runs until it has to wait, and says for what."""


class Speaker(Protocol):
    """One device's line, as the turn-taking sees it."""

    name: str
    failure: str | None
    timed_out: bool

    @property
    def has_input(self) -> bool:
        """Whether something arrived that no talk has looked at yet."""
        ...

    def listen(self, timeout_s: float) -> bool:
        """Take in what arrived, waiting up to ``timeout_s`` [s]; tell whether there was anything."""
        ...


@dataclass
class Wire:
    """One cable, and when it is free again [s]. Devices on one port share it.

    ``owner`` is the line whose unit of messages is under way; nobody else's bytes may come between them. ``lines``
    names who listens; ``strange`` counts, by its bytes, how often each made nothing of a message.
    """

    free_at_s: float = -math.inf
    owner: object = None
    lines: set[str] = field(default_factory=set)
    strange: dict[bytes, Counter[str]] = field(default_factory=dict)

    def nobody_knows(self, data: bytes, line: str) -> bool:
        """Take note that ``line`` made nothing of ``data``; tell whether it is the last of all to say so."""
        if len(self.lines) < 2:
            return True
        counts = self.strange.setdefault(data, Counter())
        before = min(counts[name] for name in self.lines)
        counts[line] += 1
        while len(self.strange) > _STRANGE_KEPT:
            del self.strange[next(iter(self.strange))]
        return min(counts[name] for name in self.lines) > before


def wires_of(ports: Mapping[str, BytePort]) -> dict[str, Wire]:
    """Give every device its wire; ports whose ``wire`` is the same object share one."""
    shared: dict[int, Wire] = {}
    return {name: shared.setdefault(id(getattr(port, "wire", port)), Wire()) for name, port in ports.items()}


class Gate:
    """Where devices wait for each other: nobody enters a phase before all have left the earlier ones."""

    def __init__(self, phases: Sequence[str], work: Iterable[tuple[str, str]]) -> None:
        """``work``: (device, phase) for each phase in which a device has something to do."""
        self._left: dict[str, set[str]] = {phase: set() for phase in phases}
        for device, phase in work:
            self._left[phase].add(device)

    def is_open(self, phase: str) -> bool:
        """Whether everybody has left the phases before this one."""
        for earlier, devices in self._left.items():
            if earlier == phase:
                return True
            if devices:
                return False
        return True

    def leave(self, device: str, phase: str = "") -> None:
        """Take a device out of one phase, or (without one) out of all."""
        for name, devices in self._left.items():
            if phase in ("", name):
                devices.discard(device)


def run_together(
    talks: Sequence[tuple[Speaker, Talk]], clock: Clock, *, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Run the talks side by side on one clock until all have ended; one that fails ends alone.

    A failed talk leaves its reason in its line's ``failure``, and in ``timed_out`` whether that was silence. A port
    that vanishes is told to the talk first, which may have something left to do without it.
    """
    running: list[tuple[Speaker, Talk]] = list(talks)
    waits: dict[str, Wait] = {}
    turn = 0
    while running:
        if cancelled():
            for line, talk in running:
                talk.close()
                line.failure = line.failure or "was stopped by the user"
            return
        moved = False
        for line, talk in list(running):
            if _advance(line, talk, waits, clock.monotonic()):
                moved = True
            if line.name not in waits:
                running.remove((line, talk))
        if not moved and running:
            turn += 1
            _idle([line for line, _ in running], waits, clock, turn)


def _advance(line: Speaker, talk: Talk, waits: dict[str, Wait], now_s: float) -> bool:
    """Let one talk go on if what it waits for is there; its wait is gone when it ended."""
    try:
        wait = waits.get(line.name)
        if wait is not None:  # a talk that has not begun could not be told of a vanished port
            try:
                line.listen(0.0)
            except DisconnectedError as error:
                waits[line.name] = talk.throw(error)
                return True
        if wait is not None and not _is_over(wait, line, now_s):
            return False
        waits[line.name] = next(talk)
    except StopIteration:
        waits.pop(line.name, None)
    except HardwareError as error:
        lost = isinstance(error, DisconnectedError)
        line.failure = f"lost its port ({error})" if lost else str(error)
        line.timed_out = isinstance(error, ReplyTimeoutError)
        waits.pop(line.name, None)
    return True


def _is_over(wait: Wait, line: Speaker, now_s: float) -> bool:
    if now_s >= wait.until_s or (wait.for_input and line.has_input):
        return True
    return wait.ready is not None and wait.ready()


def _idle(lines: Sequence[Speaker], waits: dict[str, Wait], clock: Clock, turn: int) -> None:
    """Let time pass until the next moment anybody waits for, listening where input is awaited."""
    now = clock.monotonic()
    left = min(waits[line.name].until_s for line in lines) - now
    if left <= 0:
        return
    listeners = [line for line in lines if waits[line.name].for_input]
    if not listeners:
        clock.sleep(left)
        return
    line = listeners[turn % len(listeners)]
    slice_s = left if len(lines) == 1 else min(left, POLL_S)
    try:
        heard = line.listen(slice_s)
    except DisconnectedError:
        return  # the next look at this line reports it
    if not heard and clock.monotonic() <= now:
        clock.sleep(slice_s)
