"""Compiled loops of the crossover: one signal into bands, and bands into one signal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel, part

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STEP_FRAMES = 16
SLICE_FRAMES = 64
TINY = 1e-30
ROOT2 = 1.4142135623730951


@part
def step(z: F64, x: float, u1: float, u2: float, u3: float) -> tuple[float, float]:
    """Take a state-variable filter with states ``z`` (2,) one frame further; return its band and its low output."""
    s1, s2 = z[0], z[1]
    v1 = u1 * s1 + u2 * (x - s2)
    v2 = s2 + u2 * s1 + u3 * (x - s2)
    z[0] = 2.0 * v1 - s1
    z[1] = 2.0 * v2 - s2
    return v1, v2


@kernel("f4[:, ::1]", "i8", "f8[:, ::1]", "i8", "f8[:, :, :, ::1]", "f8[::1]", "f8[:, :, ::1]")
def split(block: F32, position: int, knots: F64, first: int, states: F64, row: F64, bands: F64) -> None:
    """Split ``block`` (n, channels) into ``bands`` (B, channels, ≥ n), low to high, which add up to an all-pass.

    Rows of ``knots``: u1, u2, u3 of a Butterworth state-variable filter for each of the B − 1 corners, low to high;
    ``states`` (channels, B − 1, B + 1, 2): of each corner the filter that splits, those that make the slopes of the low
    and of the high side twice as steep, and the all-passes of the bands below.
    """
    n, channels = block.shape
    last = knots.shape[0] - 2
    corners = states.shape[1]
    moving = last > 0
    for j in range(3 * corners):
        moving = moving or knots[0, j] != knots[1, j]
    for i in range(n):
        if i == 0 or moving:
            k = min((first + i) // STEP_FRAMES, last)
            at = (first + i - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
            for j in range(3 * corners):
                row[j] = knots[k, j] + (knots[k + 1, j] - knots[k, j]) * at
        for c in range(channels):
            x = float(block[i, c])
            for j in range(corners):
                z = states[c, j]
                u1, u2, u3 = row[3 * j], row[3 * j + 1], row[3 * j + 2]
                band, low = step(z[0], x, u1, u2, u3)
                high = x - ROOT2 * band - low
                band, low = step(z[1], low, u1, u2, u3)
                bands[j, c, i] = low
                band, low = step(z[2], high, u1, u2, u3)
                x = high - ROOT2 * band - low
                for b in range(j):
                    y = bands[b, c, i]
                    band, low = step(z[3 + b], y, u1, u2, u3)
                    bands[b, c, i] = y - 2.0 * ROOT2 * band
                if (position + i) % SLICE_FRAMES == 0:
                    for b in range(j + 3):
                        if abs(z[b, 0]) < TINY and abs(z[b, 1]) < TINY:
                            z[b, 0] = 0.0
                            z[b, 1] = 0.0
            bands[corners, c, i] = x


@kernel("f8[:, :, ::1]", "f8[:, :, ::1]", "f4[:, ::1]")
def merge(bands: F64, gains: F64, block: F32) -> None:
    """Add ``bands`` (B, channels, ≥ n) times ``gains`` (B, ≥ channels, ≥ n) up in ``block`` (n, channels).

    The lowest band is used up.
    """
    n, channels = block.shape
    for c in range(channels):
        out = bands[0, c]
        for b in range(bands.shape[0]):
            band, gain = bands[b, c], gains[b, c]
            if b == 0:
                for i in range(n):
                    out[i] *= gain[i]
            else:
                for i in range(n):
                    out[i] += gain[i] * band[i]
        for i in range(n):
            block[i, c] = np.float32(out[i])
