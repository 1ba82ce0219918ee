"""The steps of a recall and their stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hardware.known import Known
from profiles.profile import Control, Value

Stage = Literal["mute", "routing", "down", "other", "up", "unmute"]
STAGES: tuple[Stage, ...] = ("mute", "routing", "down", "other", "up", "unmute")
"""The order in which a recall moves the things of one device."""

Phase = Literal["quiet", "change", "open"]
PHASES: tuple[Phase, ...] = ("quiet", "change", "open")
"""What all devices end together before any goes on: what is muted is muted, and all stands right, before it opens."""

PHASE_OF: Mapping[Stage, Phase] = {
    "mute": "quiet", "routing": "change", "down": "change", "other": "change", "up": "change", "unmute": "open",
}  # fmt: skip

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
class Canary:
    """One control that is read once more at the very end: a device that lost its settings meanwhile shows it there.

    It stands elsewhere (at ``raw``) than a device just switched on would have it.
    """

    device: str
    control: str
    raw: int
    query: tuple[bytes, ...]
    answer_bytes: int


@dataclass(frozen=True)
class RecallPlan:
    """What a recall will do, before anything moves.

    ``seconds_estimated``: time for what is sent and read back, devices side by side. ``bytes_total``: bytes sent,
    queries included. ``withheld``: addresses left out because they need consent. ``notes``: what the engineer should
    know about the order. ``canaries``: at most one for each device.
    """

    steps: tuple[Step, ...]
    by_hand: tuple[HandStep, ...]
    unchanged: int
    seconds_estimated: float
    bytes_total: int
    withheld: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    canaries: Mapping[str, Canary] = field(default_factory=dict)
