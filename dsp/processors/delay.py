"""Delays: the plain one that aligns a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.delay import LATENCY_FRAMES, TAPS, sinc_taps
from dsp.fade import Fade
from dsp.kernels.compiled import library
from dsp.processor import Block, Settings, number

__all__ = ["Align"]

_FADE_S = 0.02
"""Shortest cross-fade between two delays: what it smears lies below the 50 Hz of a click's thump."""

_MOST_ALIGN_MS = 1000.0


@dataclass(frozen=True)
class Align(Settings):
    """A delay by any fraction of a sample, the same for all channels: lines up microphones, paths and speakers.

    ``delay_ms`` 0..1000. A delay of whole samples copies them bit for bit; any other goes through the windowed sinc of
    ``dsp.delay``. Latency is always that of the sinc, so that the delay can change while it runs; it then cross-fades
    (≥ 20 ms).
    """

    kind: ClassVar[str] = "align"

    delay_ms: float = number(0.0, 0.0, _MOST_ALIGN_MS, "ms")

    def start(self, rate_hz: float, channels: int) -> AlignProcessor:
        """Return it running."""
        return AlignProcessor(self, rate_hz, channels)


class AlignProcessor:
    """A running ``Align``."""

    latency_frames = LATENCY_FRAMES

    def __init__(self, settings: Align, rate_hz: float, channels: int) -> None:
        self._kernels = library("delay")
        self._rate_hz = rate_hz
        self._fade = Fade(self._frames(settings))
        longest = math.ceil(_MOST_ALIGN_MS * rate_hz / 1000.0) + TAPS + self._kernels.GUARD_FRAMES
        self._rings = np.zeros((channels, (1 << longest.bit_length()) + self._kernels.GUARD_FRAMES), dtype=np.float32)
        self._position = np.zeros(1, dtype=np.int64)
        self._delays = np.zeros(2, dtype=np.int64)
        self._taps = np.zeros((2, TAPS))
        self._work = np.zeros((3, self._kernels.GUARD_FRAMES + TAPS))
        self._set_taps()

    @property
    def tail_frames(self) -> int:
        """The delay, and the sinc's skirts."""
        return math.ceil(max(self._fade.here, self._fade.target)) + TAPS - LATENCY_FRAMES

    def _frames(self, settings: Align) -> float:
        frames = settings.delay_ms * self._rate_hz / 1000.0
        # A delay asked for in ms that is meant to be whole: 1e-9 of a frame moves nothing.
        return float(round(frames)) if abs(frames - round(frames)) < 1e-9 else frames

    def _set_taps(self) -> None:
        for side, frames in enumerate((self._fade.here, self._fade.there)):
            whole = math.floor(frames)
            if frames == whole:
                self._delays[side] = whole + LATENCY_FRAMES
                self._taps[side] = math.nan
            else:
                self._delays[side] = whole
                self._taps[side] = sinc_taps(frames - whole)

    def process(self, block: Block, key: NDArray[np.float32] | None = None) -> None:
        """Delay the next (n, channels) in place."""
        start = 0
        while start < len(block):
            fade = self._fade
            m = fade.stretch(len(block) - start)
            self._kernels.align(
                block[start : start + m],
                self._rings,
                self._position,
                self._delays,
                self._taps,
                fade.done,
                fade.frames,
                self._work,
            )
            length = fade.frames
            fade.advance(m)
            if length and fade.done == 0:
                self._set_taps()
            start += m

    def change(self, settings: Align, frames: int) -> None:
        """Cross-fade to ``settings`` over ``frames``, at least 20 ms."""
        self._fade.to(self._frames(settings), max(frames, round(_FADE_S * self._rate_hz)))
        self._set_taps()

    def reset(self) -> None:
        """Forget what was heard."""
        self._fade.finish()
        self._set_taps()
        self._rings[:] = 0.0
        self._position[0] = 0
