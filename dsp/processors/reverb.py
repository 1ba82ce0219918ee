"""The algorithmic reverb as an effect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dsp.processor import Block, Settings, number
from dsp.room import LARGEST_M, Room
from dsp.space import Network

__all__ = ["Reverb", "ReverbProcessor"]


@dataclass(frozen=True)
class Reverb(Settings):
    """A room: first reflections, then a tail that decays in each of three bands in its own time.

    ``size_m``: the longest side. ``low_s``, ``mid_s``, ``high_s``: time to −60 dB below ``low_hz``, between, and above
    ``high_hz`` (``dsp.room.decay_s`` has the curve). ``low_cut_hz`` and ``high_cut_hz``: first-order, on what enters
    the room. ``diffusion_percent``: how much echoes are smeared; ``modulation_percent``: how far, ``modulation_hz``:
    how often energy wanders between the lines, which keeps the tail from ringing. ``early_db``, ``late_db``: level at
    which a steady noise comes back as reflections and as tail. ``mix_percent``: 0 dry, 100 wet, of equal power between.
    """

    kind: ClassVar[str] = "reverb"

    size_m: float = number(28.0, 2.0, LARGEST_M, "m", scale="log")
    predelay_ms: float = number(15.0, 0.0, 500.0, "ms")
    low_s: float = number(2.2, 0.1, 60.0, "s", scale="log")
    mid_s: float = number(1.8, 0.1, 60.0, "s", scale="log")
    high_s: float = number(1.0, 0.1, 60.0, "s", scale="log")
    low_hz: float = number(250.0, 50.0, 1000.0, "Hz", scale="log")
    high_hz: float = number(4500.0, 1000.0, 16_000.0, "Hz", scale="log")
    low_cut_hz: float = number(20.0, 5.0, 1000.0, "Hz", scale="log")
    high_cut_hz: float = number(20_000.0, 1000.0, 20_000.0, "Hz", scale="log")
    diffusion_percent: float = number(80.0, 0.0, 100.0, "%")
    modulation_percent: float = number(50.0, 0.0, 100.0, "%")
    modulation_hz: float = number(1.0, 0.05, 5.0, "Hz", scale="log")
    width_percent: float = number(100.0, 0.0, 200.0, "%")
    early_db: float = number(-8.0, -math.inf, 12.0, "dB")
    late_db: float = number(0.0, -math.inf, 12.0, "dB")
    mix_percent: float = number(30.0, 0.0, 100.0, "%")

    def room(self) -> Room:
        """Return the room these settings describe."""
        angle = self.mix_percent / 100.0 * math.pi / 2.0
        wet = math.sin(angle)
        return Room(
            size_m=self.size_m,
            predelay_ms=self.predelay_ms,
            low_s=self.low_s,
            mid_s=self.mid_s,
            high_s=self.high_s,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
            diffusion=self.diffusion_percent / 100.0,
            modulation=self.modulation_percent / 100.0,
            modulation_hz=self.modulation_hz,
            width=self.width_percent / 100.0,
            early_gain=wet * 10.0 ** (self.early_db / 20.0),
            late_gain=wet * 10.0 ** (self.late_db / 20.0),
            dry_gain=math.cos(angle) if self.mix_percent < 100.0 else 0.0,
            low_cut_hz=self.low_cut_hz,
            high_cut_hz=self.high_cut_hz,
        )

    def start(self, rate_hz: float, channels: int) -> ReverbProcessor:
        """Return it running; one channel is the left of a room that hears it from both sides."""
        return ReverbProcessor(self, rate_hz)


class ReverbProcessor:
    """A running ``Reverb``."""

    latency_frames = 0

    def __init__(self, settings: Reverb, rate_hz: float) -> None:
        self._network = Network(settings.room(), rate_hz)

    @property
    def tail_frames(self) -> int:
        """What the room needs to fall by 120 dB."""
        return self._network.tail_frames

    def process(self, block: Block, key: Block | None = None) -> None:
        """Put the next (n, channels) into the room, in place."""
        self._network.process(block)

    def change(self, settings: Reverb, frames: int) -> None:
        """Glide to ``settings`` over ``frames``, at least 30 ms; size, predelay and decay are cross-faded."""
        self._network.change(settings.room(), frames)

    def reset(self) -> None:
        """Forget what was heard."""
        self._network.reset()
