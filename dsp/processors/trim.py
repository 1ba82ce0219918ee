"""Gain, polarity and an earlier place in time: what is put right before anything else is heard of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsp.errors import DspError
from dsp.processor import STEP_FRAMES, Block, Glide, Settings, choice, number

__all__ = ["Advance", "Trim"]


@dataclass(frozen=True)
class Trim(Settings):
    """Gain and polarity. At 0 dB and normal polarity every sample passes bit for bit."""

    kind: ClassVar[str] = "trim"

    gain_db: float = number(0.0, -60.0, 24.0, "dB")
    polarity: str = choice("normal", "normal", "inverted")

    @property
    def gain(self) -> float:
        """The linear gain with its sign."""
        return math.copysign(10.0 ** (self.gain_db / 20.0), -1.0 if self.polarity == "inverted" else 1.0)

    def start(self, rate_hz: float, channels: int) -> RunningTrim:
        """Return it running; any rate will do."""
        return RunningTrim(self)


class RunningTrim:
    """A gain that goes straight from one setting to the next, through zero where the polarity turns."""

    latency_frames = 0
    tail_frames = 0

    def __init__(self, settings: Trim) -> None:
        self._glide = Glide(np.array([settings.gain]))

    def process(self, block: Block, key: Block | None = None) -> None:
        """Multiply the block by the gain."""
        knots, first = self._glide.knots(len(block))
        gains = knots[:, 0]
        if len(gains) == 2 and gains[0] == gains[1]:
            if gains[0] != 1.0:
                block *= float(gains[0])
            return
        at = (first + np.arange(len(block))) / STEP_FRAMES
        knot = np.minimum(at.astype(np.int64), len(gains) - 2)
        ramp = gains[knot] + (gains[knot + 1] - gains[knot]) * (at - knot)
        block *= ramp.astype(np.float32)[:, None]

    def change(self, settings: Trim, frames: int) -> None:
        """Go to another gain."""
        self._glide.to(np.array([settings.gain]), frames)

    def reset(self) -> None:
        """Stand where the settings were going; a gain has no memory."""
        self._glide = Glide(self._glide.target)


@dataclass(frozen=True)
class Advance(Settings):
    """A place earlier in time, by whole frames: the signal passes as it is, and all others wait for it.

    That is what declared latency does: the graph makes it up everywhere else.
    """

    kind: ClassVar[str] = "advance"

    advance_ms: float = number(0.0, 0.0, 100.0, "ms")

    def start(self, rate_hz: float, channels: int) -> RunningAdvance:
        """Return it running at ``rate_hz``."""
        return RunningAdvance(self, rate_hz)


class RunningAdvance:
    """Latency without delay. It stands still: a change to another number of frames is refused with DspError."""

    tail_frames = 0

    def __init__(self, settings: Advance, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self.latency_frames = round(settings.advance_ms * rate_hz / 1000.0)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Leave the block as it is."""

    def change(self, settings: Advance, frames: int) -> None:
        """Stay where it is."""
        if RunningAdvance(settings, self._rate_hz).latency_frames != self.latency_frames:
            raise DspError("its latency would move with it")

    def reset(self) -> None:
        """Keep nothing: nothing was kept."""
