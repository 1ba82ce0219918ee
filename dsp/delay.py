"""Delay of a stream: whole frames from a history, a fraction of one by a Kaiser-windowed sinc.

J. O. Smith and P. Gossett, "A flexible sampling-rate conversion method", ICASSP 1984: the ideal interpolator
sin(πt)/(πt) under a window. With 96 taps and β = 9 it is flat within 1e-4 dB to 0.45 of the rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.kernels.compiled import library

TAPS = 96
LATENCY_FRAMES = TAPS // 2 - 1
"""What every fraction costs besides itself [frames]."""
BETA = 9.0


def sinc_taps(fraction: float) -> NDArray[np.float64]:
    """Return the ``TAPS`` weights that delay by ``LATENCY_FRAMES`` + ``fraction``, 0 ≤ fraction < 1; their sum is 1.

    Raises DspError for a fraction outside of that.
    """
    if not 0.0 <= fraction < 1.0:
        raise DspError(f"a fraction of a sample is from 0 to below 1, not {fraction:g}")
    offset = np.arange(TAPS) - (LATENCY_FRAMES + fraction)
    inside = np.clip(1.0 - (offset / (TAPS / 2)) ** 2, 0.0, 1.0)
    kernel = np.sinc(offset) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA)
    taps: NDArray[np.float64] = kernel / kernel.sum()
    return taps


class FractionalDelay:
    """Delays one channel by ``LATENCY_FRAMES`` + ``fraction`` frames, 0 ≤ fraction < 1; any block size gives the same.

    Raises
    ------
    DspError
        The fraction lies outside of 0..1.
    """

    def __init__(self, fraction: float) -> None:
        self._kernel = sinc_taps(fraction)
        self._history: NDArray[np.float64] = np.zeros(TAPS - 1)

    def process(self, signal: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the next block, as long as ``signal`` (frames,)."""
        whole = np.concatenate([self._history, signal.astype(np.float64)])
        self._history = whole[len(whole) - (TAPS - 1) :]
        delayed: NDArray[np.float64] = np.convolve(whole, self._kernel, mode="valid")
        return delayed


class Wait:
    """Delays a stream of ``channels`` by ``frames`` whole frames, block by block."""

    def __init__(self, frames: int, channels: int) -> None:
        self.frames = frames
        self._ring = np.zeros((frames, channels), np.float32)
        self._place = np.zeros(1, np.int64)
        self._run = library("feeds").wait.bind(None, self._ring, self._place, None)

    def process(self, block: NDArray[np.float32]) -> None:
        """Delay the next (n, channels) in place."""
        if self.frames:
            self._run(block, block)

    def late(self, block: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write the next (n, channels) to ``out``; there has to be something to wait for."""
        self._run(block, out)

    def clear(self) -> None:
        """Forget everything."""
        self._ring[:] = 0.0


_ROOM_FRAMES = 8_192


class History:
    """The last ``reach`` frames of a stream of ``channels``, and the block that was added last.

    They are moved to the front only when the room behind them is used up, so that short blocks cost little.
    """

    def __init__(self, reach: int, channels: int, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.channels = channels
        self.reach = reach
        self._buffer: NDArray[Any] = np.zeros((reach + max(reach, _ROOM_FRAMES), channels), dtype)
        self._end = reach

    def add(self, block: NDArray[Any]) -> None:
        """Take the next frames, (n, channels)."""
        if self._end + len(block) > len(self._buffer):
            kept = self._buffer[self._end - self.reach : self._end].copy()
            if self.reach + len(block) > len(self._buffer):
                self._buffer = np.zeros((self.reach + len(block), self.channels), self._buffer.dtype)
            self._buffer[: self.reach] = kept
            self._end = self.reach
        self._buffer[self._end : self._end + len(block)] = block
        self._end += len(block)

    def before(self, delay: int, frames: int) -> NDArray[Any]:
        """Return ``frames`` frames that end ``delay`` frames before the newest; good until the next ``add``.

        ``delay`` + ``frames`` is at most ``reach`` and the block added last.
        """
        return self._buffer[self._end - delay - frames : self._end - delay]

    def late(self, block: NDArray[Any]) -> NDArray[Any]:
        """Take the next frames, return as many, ``reach`` frames late; good until the next call."""
        if self.reach == 0:
            return block
        self.add(block)
        return self.before(self.reach, len(block))

    def clear(self) -> None:
        """Forget everything."""
        self._buffer[:] = 0.0
        self._end = self.reach
