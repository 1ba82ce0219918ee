"""Quantisation to whole numbers with triangular dither.

Non-subtractive dither of triangular density, two steps wide, makes the quantisation error's mean and power independent
of the signal: S. P. Lipshitz, R. A. Wannamaker and J. Vanderkooy, "Quantization and Dither: A Theoretical Survey",
J. Audio Eng. Soc. 40 (5), 1992. The total error then has a power of ¼ step² (1/12 rounding + 1/6 dither).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError

__all__ = ["Ditherer"]


class Ditherer:
    """Turns blocks of full scale 1.0 into integers of ``bits``, as a stream.

    The dither depends on ``seed`` and the sample's place in the stream alone, so block size changes nothing. Samples
    beyond full scale are held at the highest or lowest number and counted in ``clipped``, for the caller to report.
    """

    def __init__(self, bits: Literal[16, 24], *, channels: int, seed: int = 0) -> None:
        if bits not in (16, 24):
            raise DspError(f"dither to {bits} bits is not known", hint="use 16 or 24")
        self.bits = bits
        self.channels = channels
        self.clipped = 0
        self._source = np.random.PCG64(seed)

    def process(self, block: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int32]:
        """Return ``block`` (n, channels) as (n, channels) int32 within ±2**(bits − 1), ready for packing.

        Raises ShapeError for another shape and DspError for NaN or infinity.
        """
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ShapeError(f"the dither takes (frames, {self.channels}), not {block.shape}")
        if not np.all(np.isfinite(block)):
            raise DspError("the signal holds NaN or infinity and cannot be written as whole numbers")
        # Two independent uniform numbers from one draw; the bit generator's raw stream never changes between versions.
        raw = np.asarray(self._source.random_raw(block.size), dtype=np.uint64).reshape(block.shape)
        triangular = (raw >> np.uint64(32)).astype(np.float64)
        triangular -= (raw & np.uint64(0xFFFFFFFF)).astype(np.float64)
        triangular *= 2.0**-32
        full = 1 << (self.bits - 1)
        steps = np.floor(block.astype(np.float64) * full + triangular + 0.5)
        self.clipped += int(np.count_nonzero((steps > full - 1) | (steps < -full)))
        return np.clip(steps, -full, full - 1).astype(np.int32)
