"""Compiled loops of the true-peak limiter: what lies between the samples, and the gain that keeps it down."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.decibels import DB_PER_OCTAVE, OCTAVES_PER_DB, exp2, log2
from dsp.kernels.sliding import sliding_minimum

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STEP_FRAMES = 16
TINY = 1e-30
NOTHING_DB = -1e-9
GRAIN = 1073741824.0
"""Gains are whole multiples of 2⁻³⁰, so that running sums of them are exact for ever."""


@kernel("f4[:, ::1]", "i8", "i8", "i8", "f4[:, ::1]", "f4[:, ::1]", "f4[::1]")
def peaks(planar: F32, channels: int, offset: int, n: int, taps: F32, work: F32, out: F32) -> None:
    """Write to ``out`` the largest magnitude from one sample to just before the next, of all channels.

    ``planar`` (channels, ≥ offset + n + T − 1); ``taps`` (phases, T), an even number of phases and T a multiple of 4;
    ``work`` (2, ≥ n). Two phases go at once: they share what they load.
    """
    one, two = work[0], work[1]
    for i in range(n):
        out[i] = np.float32(0.0)
    for c in range(channels):
        for p in range(0, taps.shape[0], 2):
            for i in range(n):
                one[i] = np.float32(0.0)
                two[i] = np.float32(0.0)
            for k in range(0, taps.shape[1], 4):
                g, h, x = taps[p, k:], taps[p + 1, k:], planar[c, offset + k :]
                g0, g1, g2, g3, h0, h1, h2, h3 = g[0], g[1], g[2], g[3], h[0], h[1], h[2], h[3]
                for i in range(n):
                    one[i] += (g0 * x[i] + g1 * x[i + 1]) + (g2 * x[i + 2] + g3 * x[i + 3])
                    two[i] += (h0 * x[i] + h1 * x[i + 1]) + (h2 * x[i + 2] + h3 * x[i + 3])
            for i in range(n):
                out[i] = max(out[i], abs(one[i]), abs(two[i]))


@kernel("f4[::1]", "i8", "f4[::1]", "f4", "f4[:, ::1]", "f4[::1]", "f4[::1]")
def peaks_near(x: F32, n: int, coarse: F32, above: float, taps: F32, work: F32, out: F32) -> None:
    """Raise ``out`` to the exact peak of ``x`` wherever ``coarse``, one frame earlier, has one of at least ``above``.

    ``x`` (≥ n + T − 1) one channel; ``coarse`` (≥ n + 2) what ``peaks`` reads, from the frame before the first;
    ``taps`` (T, phases) neighbouring phases around the frame, T a multiple of 4. Between three phases a parabola.
    """
    length, phases = taps.shape
    for i in range(n):
        b = coarse[i + 1]
        if b >= above and b >= coarse[i] and b >= coarse[i + 2]:
            for p in range(phases):
                work[p] = np.float32(0.0)
            for k in range(0, length, 4):
                y = x[i + k :]
                x0, x1, x2, x3 = y[0], y[1], y[2], y[3]
                h0, h1, h2, h3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
                for p in range(phases):
                    work[p] += (h0[p] * x0 + h1[p] * x1) + (h2[p] * x2 + h3[p] * x3)
            top = np.float32(0.0)
            for p in range(1, phases - 1):
                left, here, right = abs(work[p - 1]), abs(work[p]), abs(work[p + 1])
                if here >= left and here >= right:
                    bend = max(np.float32(2.0) * here - left - right, np.float32(1e-20))
                    top = max(top, here + (left - right) * (left - right) / (np.float32(8.0) * bend))
            out[i] = max(out[i], top)


@kernel(
    "f4[::1]", "i8", "f8[:, ::1]", "i8", "i8", "i8", "i8", "f8[:, ::1]", "f8[::1]", "f8[::1]", "f8[::1]", "f8[:, ::1]"
)
def keep_down(
    tops: F32,
    n: int,
    knots: F64,
    first: int,
    window: int,
    long: int,
    short: int,
    needs: F64,
    sharp: F64,
    once: F64,
    state: F64,
    gains: F64,
) -> None:
    """Turn the peaks ``tops`` (≥ n) into the ``gains`` (2, ≥ n) that keep them under the ceiling.

    Rows of ``knots``: ceiling in dB, pole of the release. Sliding minimum of the needed gain in dB over ``window``
    frames (row 0 of ``needs`` (3, ≥ window − 1 + n) begins with the last window − 1 needs), release by a one-pole in
    dB, and two running means of ``long`` and ``short`` frames over the linear gain (``sharp`` and ``once`` begin with
    the last ``long`` and ``short`` values before each). ``state``: released gain in dB, both sums, the last gain.
    """
    last = knots.shape[0] - 2
    ceiling, pole = gains[0], gains[1]
    for i in range(n):
        k = min((first + i) // STEP_FRAMES, last)
        at = (first + i - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
        ceiling[i] = knots[k, 0] + (knots[k + 1, 0] - knots[k, 0]) * at
        pole[i] = knots[k, 1] + (knots[k + 1, 1] - knots[k, 1]) * at
    need = needs[0, window - 1 :]
    for i in range(n):
        need[i] = min(ceiling[i] - DB_PER_OCTAVE * log2(max(float(tops[i]), TINY)), 0.0)

    need = sliding_minimum(needs, n, window)
    s = state[0]
    for i in range(n):
        t = need[i]
        s = min(t, t + pole[i] * (s - t))
        s = 0.0 if s > NOTHING_DB else s
        need[i] = s
    state[0] = s
    for i in range(n):
        sharp[long + i] = math.floor(GRAIN * exp2(OCTAVES_PER_DB * need[i])) * (1.0 / GRAIN)
    for i in range(window - 1):
        needs[0, i] = needs[0, n + i]

    wide, wider, scale = state[1], state[2], 1.0 / (long * short)
    for i in range(n):
        wide += sharp[long + i] - sharp[i]
        once[short + i] = wide
        wider += wide - once[i]
        gains[0, i] = wider * scale
    state[1] = wide
    state[2] = wider
    state[3] = gains[0, n - 1]
    for i in range(long):
        sharp[i] = sharp[n + i]
    for i in range(short):
        once[i] = once[n + i]
    for i in range(n):
        gains[1, i] = gains[0, i]
