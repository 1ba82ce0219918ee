"""Compiled loop of the noise-shaped quantiser."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel

F64 = NDArray[np.float64]


@kernel("f8[:, ::1]", "f8[:, ::1]", "f8[::1]", "f8[:, ::1]")
def run_shaped(block: F64, dither: F64, taps: F64, past: F64) -> None:
    """Round ``block`` (n, channels), in steps, to whole steps in place, its error fed back.

    ``dither`` (n, channels) in steps; ``taps`` (T,) weigh the last errors, the newest first; ``past`` (channels, T)
    holds them and is carried from block to block. A channel's sums always run in the same order: blocks change no bit.
    """
    count = taps.shape[0]
    for i in range(block.shape[0]):
        for c in range(block.shape[1]):
            wanted = block[i, c]
            for k in range(count):
                wanted -= taps[k] * past[c, k]
            whole = math.floor(wanted + dither[i, c] + 0.5)
            for k in range(count - 1, 0, -1):
                past[c, k] = past[c, k - 1]
            past[c, 0] = whole - wanted
            block[i, c] = whole
