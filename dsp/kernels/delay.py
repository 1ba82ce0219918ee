"""Compiled loops of the delays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GUARD_FRAMES = 64
"""Frames at a ring's end that repeat those at its start, so that a stretch of as many is read in one piece."""


@kernel("f4[:,::1]", "f4[:,::1]", "i8[::1]", "i8[::1]", "f8[:,::1]", "i8", "i8", "f8[:,::1]")
def align(block: F32, rings: F32, position: I64, delays: I64, taps: F64, done: int, fade: int, work: F64) -> None:
    """Delay ``block`` (n, ch) in place by ``delays[0]`` frames, or on the way from there to ``delays[1]``.

    ``rings`` (ch, 2^k + GUARD_FRAMES) hold what came before; ``position[0]`` is the frame number. ``taps`` (2, T) are
    the weights of T frames from each delay on; where the first of a row is NaN the delay is whole and the frame is
    copied. While ``fade`` > 0, frame i is (done + i) / fade of the way; ``work`` (3, GUARD_FRAMES + T) is
    scratch. T is a multiple of 4.
    """
    frames, channels = block.shape
    size = rings.shape[1] - GUARD_FRAMES
    start = 0
    while start < frames:
        at = (position[0] + start) & (size - 1)
        m = min(frames - start, GUARD_FRAMES, size - at)
        for c in range(channels):
            ring = rings[c]
            for i in range(m):
                ring[at + i] = block[start + i, c]
            if at < GUARD_FRAMES:
                for i in range(at, min(at + m, GUARD_FRAMES)):
                    ring[size + i] = ring[i]
            past = work[2]
            for side in range(2 if fade > 0 else 1):
                out = work[side]
                if math.isnan(taps[side, 0]):
                    from_ = (at - delays[side]) & (size - 1)
                    for i in range(m):
                        out[i] = ring[from_ + i]
                else:
                    count = taps.shape[1]
                    from_ = (at - delays[side] - (count - 1)) & (size - 1)
                    for i in range(m + count - 1):
                        past[i] = ring[(from_ + i) & (size - 1)]
                    for i in range(m):
                        out[i] = 0.0
                    for k in range(0, count, 4):
                        w0, w1, w2, w3 = taps[side, k], taps[side, k + 1], taps[side, k + 2], taps[side, k + 3]
                        p0, p1 = past[count - 1 - k :], past[count - 2 - k :]
                        p2, p3 = past[count - 3 - k :], past[count - 4 - k :]
                        for i in range(m):
                            out[i] += (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i])
            if fade > 0:
                for i in range(m):
                    share = (done + start + i) / fade
                    block[start + i, c] = work[0, i] + (work[1, i] - work[0, i]) * share
            else:
                for i in range(m):
                    block[start + i, c] = work[0, i]
        start += m
    position[0] += frames
