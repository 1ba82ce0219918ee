"""Compiled loops of the meters: peaks that fall, mean squares in time, and the steps of a loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_TINY = 1e-30
"""Mean squares below this (−300 dBFS) are nothing."""

_SMALL = np.float32(1e-15)
"""The same of peaks."""


@kernel("f4[:,::1]", "i8[:,::1]", "i8", "f8", "f8", "f4[::1]", "f4[::1]", "f4[::1]", "f8[::1]")
def weigh_strips(
    levels: F32, places: I64, frames: int, fall: float, share: float, held: F32, peaks: F32, rms: F32, squares: F64
) -> None:
    """Read a bank's ``levels`` (2 G, 16) of ``frames`` frames, as ``run_groups`` leaves them, and clear them.

    ``places`` (C, 2): the lane of every channel, and its number among all channels, which ``peaks``, ``rms`` and mean
    ``squares`` are ordered by. In these frames a peak falls by ``fall``, and a mean square covers ``share`` of the way
    to theirs. ``held`` (C,) keeps the largest peaks.
    """
    half = levels.shape[0] // 2
    for k in range(places.shape[0]):
        group, lane, channel = places[k, 0] // 16, places[k, 0] % 16, places[k, 1]
        peak, square = levels[group, lane], levels[half + group, lane]
        levels[group, lane] = np.float32(0.0)
        levels[half + group, lane] = np.float32(0.0)
        held[k] = max(held[k], peak)
        peak = max(peak, peaks[channel] * np.float32(fall))
        peaks[channel] = peak if peak > _SMALL else np.float32(0.0)
        mean = squares[channel] + share * (square / frames - squares[channel])
        squares[channel] = mean if mean > _TINY else 0.0
        rms[channel] = math.sqrt(squares[channel])


@kernel("f8[:,::1]", "i8", "f8", "f8", "f4[:,::1]", "f4[:,::1]", "f8[:,::1]")
def weigh_bus(x: F64, row: int, fall: float, share: float, peaks: F32, rms: F32, squares: F64) -> None:
    """Read the bus ``x`` (n, 2) into its ``row`` of the rest, which is as in ``weigh_strips``, (busses, 2)."""
    n = x.shape[0]
    for side in range(2):
        top = 0.0
        total = 0.0
        for i in range(n):
            top = max(top, abs(x[i, side]))
            total += x[i, side] * x[i, side]
        peak = max(np.float32(top), peaks[row, side] * np.float32(fall))
        peaks[row, side] = peak if peak > _SMALL else np.float32(0.0)
        mean = squares[row, side] + share * (total / n - squares[row, side])
        squares[row, side] = mean if mean > _TINY else 0.0
        rms[row, side] = math.sqrt(squares[row, side])


@kernel("f4[:,::1]", "f8", "i8", "i8[::1]", "f8[::1]", "f8[::1]")
def gauge(x: F32, rate_hz: float, momentary: int, place: I64, hops: F64, found: F64) -> None:
    """Sum the squares of K-weighted ``x`` (n, 2) up in steps of 10 ms, of which ``hops`` (300,) are the newest.

    ``place``: the number of the next frame, and of the step it lies in. ``found``: the sum of this step so far, the
    mean square of the newest ``momentary`` steps, and that of all. A step ends where ``dsp.loudness`` ends it.
    """
    for i in range(x.shape[0]):
        found[0] += float(x[i, 0]) * float(x[i, 0]) + float(x[i, 1]) * float(x[i, 1])
        place[0] += 1
        end = math.ceil((place[1] + 1) * rate_hz / 100.0)
        if place[0] == end:
            begin = math.ceil(place[1] * rate_hz / 100.0)
            hops[place[1] % len(hops)] = found[0] / (end - begin)
            found[0] = 0.0
            place[1] += 1
            newest = 0.0
            for k in range(momentary):
                newest += hops[(place[1] - 1 - k) % len(hops)]
            every = 0.0
            for k in range(len(hops)):
                every += hops[k]
            found[1] = newest / momentary
            found[2] = every / len(hops)
