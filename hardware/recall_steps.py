"""The steps of a recall, their stages, and how long they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hardware.known import Known
from profiles.profile import Control, Profile, Value

Stage = Literal["mute", "routing", "down", "other", "up", "unmute"]
STAGES: tuple[Stage, ...] = ("mute", "routing", "down", "other", "up", "unmute")
"""The order in which a recall moves things; every device ends a stage before any begins the next."""

ANSWER_S = 0.001
"""How long a device thinks before it answers, about [s]: one USB frame, one pass of a scan loop."""


@dataclass(frozen=True)
class RecallLimits:
    """How fast a gain may rise while sound may be there.

    ``max_raise_db``: the largest rise in one message [dB]; 6 dB doubles a voltage: audible, harmless.
    ``quiet_db``: what counts as quiet [dB]; a fader that comes from below goes there in one message.
    ``ramp_interval_s``: the least time between two rises of one control [s].
    """

    max_raise_db: float = 6.0
    quiet_db: float = -40.0
    ramp_interval_s: float = 0.02


@dataclass(frozen=True)
class Step:
    """One setting to send: whole ``messages`` (MIDI or serial commands); ``to`` is what the device's step gives.

    ``query`` asks for the value afterwards; it is empty for a control that cannot be read, and for every step of a
    control but its last (``final``). ``pause_s`` [s] passes before the first message. ``reason`` says why the step is
    there when it is not simply the wanted value. ``answer_bytes``: length of what the device answers, for estimates.
    """

    address: str
    device: str
    control: str
    from_: Known | None
    to: Value
    raw: int
    messages: tuple[bytes, ...]
    stage: Stage
    query: tuple[bytes, ...] = ()
    final: bool = True
    pause_s: float = 0.0
    reason: str = ""
    answer_bytes: int = 0


@dataclass(frozen=True)
class HandStep:
    """One knob or switch that only a hand can turn."""

    address: str
    from_: Known | None
    to: Value
    control: Control


@dataclass(frozen=True)
class RecallPlan:
    """What a recall will do, before anything moves.

    ``seconds_estimated``: time for what is sent and read back, devices side by side. ``bytes_total``: bytes sent,
    queries included. ``withheld``: addresses left out because they need consent. ``notes``: what the engineer should
    know about the order.
    """

    steps: tuple[Step, ...]
    by_hand: tuple[HandStep, ...]
    unchanged: int
    seconds_estimated: float
    bytes_total: int
    withheld: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def estimate_seconds(steps: Iterable[Step], profiles: Mapping[str, Profile]) -> float:
    """Estimate how long the steps take [s]: bytes over each wire's bandwidth, gaps, settling, answers.

    Devices work side by side within a stage; the slowest one of each stage counts.
    """
    parts: dict[tuple[Stage, str], list[Step]] = {}
    for step in steps:
        parts.setdefault((step.stage, step.device), []).append(step)
    now = 0.0
    free: dict[str, float] = {}
    for stage in STAGES:
        ends = [now]
        for (own_stage, device), own in parts.items():
            if own_stage == stage:
                end, free[device] = _stage_end(own, profiles[device], now, free.get(device, now))
                ends.append(end)
        now = max(ends)
    return now


def _stage_end(steps: Sequence[Step], profile: Profile, now_s: float, free_s: float) -> tuple[float, float]:
    """Walk through one device's stage; return when it ends and when the wire is free for the next message [s]."""
    pacing, ack = profile.pacing, profile.ack

    def told(messages: Sequence[bytes]) -> None:
        nonlocal now_s, free_s
        for message in messages:
            now_s = max(now_s, free_s)
            free_s = now_s + len(message) / pacing.bytes_per_s + pacing.gap_s

    def answered(messages: Sequence[bytes], answer_bytes: int) -> None:
        nonlocal now_s
        now_s += (len(messages[-1]) + answer_bytes) / pacing.bytes_per_s + ANSWER_S

    for step in steps:
        now_s = max(now_s, free_s) + step.pause_s
        told(step.messages)
        if ack.kind == "reply":
            answered(step.messages, step.answer_bytes)
    now_s = max(now_s, free_s) + pacing.settle_s
    questions = [step for step in steps if step.query]
    for step in questions:
        told(step.query)
        answered(step.query, step.answer_bytes)
    if ack.kind == "nak" and not questions:
        now_s += ack.timeout_s
    return now_s, free_s


def wire_seconds(messages: Iterable[bytes], profile: Profile) -> float:
    """Tell how long messages keep the wire, gaps included [s]."""
    return sum(len(message) / profile.pacing.bytes_per_s + profile.pacing.gap_s for message in messages)
