"""How long a recall takes: the run's own moves on a clock of paper, with bytes, gaps, settling and answers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hardware.recall_steps import ANSWER_S, PHASE_OF, PHASES, Canary, Step
from hardware.wire.messages import session_steps
from profiles.profile import Profile

_SHORT_ANSWER_BYTES = 6
"""What opens a session, or confirms in general, is answered in about so many bytes."""


@dataclass
class _PaperWire:
    """When a cable is free again, towards the devices and back [s]."""

    out_s: float = 0.0
    in_s: float = 0.0


@dataclass
class _PaperDevice:
    """One device's clock: now, when it may be told more, when the last byte has gone, when it has settled [s]."""

    profile: Profile
    wire: _PaperWire
    now_s: float = 0.0
    free_s: float = 0.0
    left_s: float = 0.0
    settled_s: float = 0.0
    answers: list[float] = field(default_factory=list)

    def tell(self, messages: Sequence[bytes], gap_s: float | None = None) -> Generator[float, None, None]:
        """Send a unit of messages; yields the moment at which it wants the wire."""
        pacing = self.profile.pacing
        gap = pacing.gap_s if gap_s is None else gap_s
        wanted = -math.inf
        while max(self.now_s, self.free_s, self.wire.out_s) > wanted:
            wanted = max(self.now_s, self.free_s, self.wire.out_s)
            yield wanted
        self.now_s = wanted
        for message in messages:
            self.now_s = max(self.now_s, self.free_s)
            self.left_s = self.wire.out_s = self.now_s + len(message) / pacing.bytes_per_s
            self.free_s = self.left_s + gap

    def answered(self, answer_bytes: int) -> float:
        """Tell when the answer to what was just sent has arrived."""
        began = max(self.left_s + ANSWER_S, self.wire.in_s)
        self.wire.in_s = began + answer_bytes / self.profile.pacing.bytes_per_s
        return self.wire.in_s

    def until_fewer_than(self, count: int) -> None:
        """Wait for answers until fewer than ``count`` are under way."""
        self.answers = [at for at in self.answers if at > self.now_s]
        while len(self.answers) >= max(count, 1):
            self.now_s = max(self.now_s, self.answers.pop(0))


def estimate_seconds(
    steps: Iterable[Step],
    profiles: Mapping[str, Profile],
    *,
    wires: Mapping[str, str] | None = None,
    canaries: Mapping[str, Canary] | None = None,
) -> float:
    """Estimate how long the steps take [s]: bytes over each wire's bandwidth, gaps, settling, answers.

    Devices work side by side and wait for each other between phases only; those that share a wire (``wires`` names
    each device's) take turns on it. Keep-alive messages are left out: they take a thousandth of the time.
    """
    parts: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        parts.setdefault((PHASE_OF[step.stage], step.device), []).append(step)
    names = list(dict.fromkeys(device for _, device in parts))
    cables: dict[str, _PaperWire] = {}
    devices = {
        name: _PaperDevice(profiles[name], cables.setdefault((wires or {}).get(name, f"own {name}"), _PaperWire()))
        for name in names
    }
    _run({name: _session(devices[name]) for name in names})
    opened_s = 0.0
    for phase in PHASES:
        working = [name for name in names if (phase, name) in parts]
        for name in working:
            devices[name].now_s = max(devices[name].now_s, opened_s)
        _run({name: _phase(devices[name], parts[phase, name]) for name in working})
        opened_s = max([opened_s, *(devices[name].now_s for name in working)])
    chosen = canaries or {}
    _run({name: _look(devices[name], chosen[name]) for name in names if name in chosen})
    return max((device.now_s for device in devices.values()), default=0.0)


def _run(moves: Mapping[str, Generator[float, None, None]]) -> None:
    """Let the devices take their turns, whoever is first on the clock."""
    turns: list[tuple[float, int, Generator[float, None, None]]] = []
    for number, move in enumerate(moves.values()):
        if (wanted := next(move, None)) is not None:
            heapq.heappush(turns, (wanted, number, move))
    while turns:
        _, number, move = heapq.heappop(turns)
        if (wanted := next(move, None)) is not None:
            heapq.heappush(turns, (wanted, number, move))


def _session(device: _PaperDevice) -> Generator[float, None, None]:
    for step in session_steps(device.profile):
        yield from device.tell(step.messages)
        device.now_s = device.answered(_SHORT_ANSWER_BYTES) if step.expects else device.free_s + step.wait_s


def _phase(device: _PaperDevice, steps: Sequence[Step]) -> Generator[float, None, None]:
    """Walk through one device's phase: settings, what confirms them, settling, questions."""
    profile = device.profile
    pacing, ack = profile.pacing, profile.ack
    for step in steps:
        control = profile.controls[step.control]
        if ack.kind == "reply":
            device.until_fewer_than(pacing.in_flight)
        device.now_s = max(device.now_s, device.free_s) + step.pause_s
        yield from device.tell(step.messages, control.gap_s)
        device.settled_s = max(
            device.settled_s, device.left_s + (pacing.settle_s if control.settle_s is None else control.settle_s)
        )
        if ack.kind == "reply":
            device.answers.append(device.answered(step.answer_bytes))
        elif ack.kind == "accepted":
            device.now_s = device.answered(_SHORT_ANSWER_BYTES)
    device.until_fewer_than(1)
    device.now_s = max(device.now_s, device.free_s, device.settled_s)
    asked: dict[tuple[bytes, ...], int] = {}
    for step in steps:
        if step.query:
            asked[step.query] = asked.get(step.query, 0) + step.answer_bytes
    for messages, answer_bytes in asked.items():
        device.until_fewer_than(pacing.in_flight)
        yield from device.tell(messages)
        device.answers.append(device.answered(answer_bytes))
    device.until_fewer_than(1)
    if ack.kind == "nak" and not asked:
        device.now_s = max(device.now_s, device.left_s + ack.timeout_s)


def _look(device: _PaperDevice, canary: Canary) -> Generator[float, None, None]:
    yield from device.tell(canary.query)
    device.now_s = device.answered(canary.answer_bytes)
