"""Compiled loops of the meters: peaks that fall, mean squares in time, and the steps of a loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel, part
from dsp.kernels.decibels import DB_PER_OCTAVE

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_TINY = 1e-30
"""Mean squares below this (−300 dBFS) are nothing."""

_SMALL = np.float32(1e-15)
"""The same of peaks."""


@kernel(
    "f4[:,::1]", "i8[:,::1]", "f4[:,:,::1]", "i8[:,::1]", "f8[::1]",
    "i8", "f8", "f8", "f4[::1]", "f4[::1]", "f4[::1]", "f8[::1]", "f4[::1]",
)  # fmt: skip
def weigh_strips(
    levels: F32, places: I64, states: F32, seats: I64, squeezes: F64,
    frames: int, fall: float, share: float, held: F32, peaks: F32, rms: F32, squares: F64, reductions_db: F32,
) -> None:  # fmt: skip
    """Read a bank's ``levels`` (2 G, 16) of ``frames`` frames, as ``run_groups`` leaves them, and clear them.

    ``places`` (C, 2): the lane of every channel, and its number among all channels, which ``peaks``, ``rms`` and mean
    ``squares`` are ordered by. In these frames a peak falls by ``fall``, and a mean square covers ``share`` of the way
    to theirs. ``held`` (C,) keeps the largest peaks. ``seats`` (S, 3): the group and the lane of every strip, where the
    bank's ``states`` (G, ≥ 1, 16) have the octaves of its compressor, and its number among all strips, which
    ``reductions_db`` is ordered by; ``squeezes`` (S,) is 1 where it has a compressor.
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
    for k in range(seats.shape[0]):
        reduction_db = DB_PER_OCTAVE * states[seats[k, 0], 0, seats[k, 1]] * squeezes[k]
        reductions_db[seats[k, 2]] = min(reduction_db, 0.0)


@part
def _weigh(x: F64, row: int, fall: float, share: float, peaks: F32, rms: F32, squares: F64) -> None:
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


@kernel("f8[:,::1]", "i8", "f8", "f8", "f4[:,::1]", "f4[:,::1]", "f8[:,::1]")
def weigh_bus(x: F64, row: int, fall: float, share: float, peaks: F32, rms: F32, squares: F64) -> None:
    """Read the bus ``x`` (n, 2) into its ``row`` of the rest, which is as in ``weigh_strips``, (busses, 2)."""
    _weigh(x, row, fall, share, peaks, rms, squares)


@kernel("f8[:,::1]", "i8", "f4[:,::1]")
def lay_behind(x: F64, seen: int, past: F32) -> None:
    """Lay ``x`` (n, 2) behind the first ``seen`` frames of ``past``, which came before."""
    for i in range(x.shape[0]):
        past[seen + i, 0] = np.float32(x[i, 0])
        past[seen + i, 1] = np.float32(x[i, 1])


@kernel(
    "f8[:,::1]", "f8", "f8", "i8", "f4[:,::1]", "f4[:,::1]", "f8[:,::1]", "i8", "f4[:,::1]", "f4[::1]", "f4[::1]",
    "f4[::1]", "f8[:,::1]", "f8[:,:,::1]", "f8[:,::1]", "f8", "i8", "i8[::1]", "f8[::1]", "f8[::1]",
)  # fmt: skip
def weigh_main(
    x: F64, fall: float, share: float, row: int, peaks: F32, rms: F32, squares: F64,
    seen: int, past: F32, tops: F32, true_peak: F32, true_peak_max: F32,
    sections: F64, states: F64, weighted: F64, rate_hz: float, momentary: int, place: I64, hops: F64, found: F64,
) -> None:  # fmt: skip
    """Read the main bus ``x`` (n, 2): its levels as ``weigh_bus`` does, true peaks, and K-weighted squares.

    ``tops`` (≥ 2 n) are the peaks between the frames, both sides in turn, of what lies in ``past``; its last ``seen``
    frames are laid in front there for the next ones. ``sections`` (2, 5) as ``dsp.filters.svf`` gives them, ``states``
    (2, 2, 2), ``weighted`` (≥ n, 2) is scratch. The squares are summed up in steps of 10 ms, of which ``hops`` (300,)
    are the newest. ``place``: the number of the next frame, and of the step it lies in. ``found``: the sum of this
    step so far, the mean square of the newest ``momentary`` steps, and that of all. A step ends where ``dsp.loudness``
    ends it.
    """
    _weigh(x, row, fall, share, peaks, rms, squares)
    n = x.shape[0]
    for side in range(2):
        top = np.float32(0.0)
        for i in range(n):
            top = max(top, tops[2 * i + side])
        peak = max(top, true_peak[side] * np.float32(fall))
        true_peak[side] = peak if peak > _SMALL else np.float32(0.0)
        true_peak_max[side] = max(top, true_peak_max[side])
        for i in range(seen):
            past[i, side] = past[n + i, side]

    source = x
    for section in range(2):
        row_of = sections[section]
        g, k, m0, m1, m2 = row_of[0], row_of[1], row_of[2], row_of[3], row_of[4]
        u1 = 1.0 / (1.0 + g * (g + k))
        s1, s2 = states[section, 0, 0], states[section, 0, 1]
        z1, z2 = states[section, 1, 0], states[section, 1, 1]
        for i in range(n):
            left, right = source[i, 0], source[i, 1]
            v1 = u1 * (s1 + g * (left - s2))
            w1 = u1 * (z1 + g * (right - z2))
            v2 = s2 + g * v1
            w2 = z2 + g * w1
            weighted[i, 0] = m0 * left + (m1 * v1 + m2 * v2)
            weighted[i, 1] = m0 * right + (m1 * w1 + m2 * w2)
            s1, s2 = 2.0 * v1 - s1, 2.0 * v2 - s2
            z1, z2 = 2.0 * w1 - z1, 2.0 * w2 - z2
        states[section, 0, 0] = s1 if abs(s1) > _TINY else 0.0
        states[section, 0, 1] = s2 if abs(s2) > _TINY else 0.0
        states[section, 1, 0] = z1 if abs(z1) > _TINY else 0.0
        states[section, 1, 1] = z2 if abs(z2) > _TINY else 0.0
        source = weighted

    start = 0
    while start < n:
        end = math.ceil((place[1] + 1) * rate_hz / 100.0)
        stop = min(n, start + end - place[0])
        total = 0.0
        for i in range(start, stop):
            total += weighted[i, 0] * weighted[i, 0] + weighted[i, 1] * weighted[i, 1]
        found[0] += total
        place[0] += stop - start
        start = stop
        if place[0] == end:
            begin = math.ceil(place[1] * rate_hz / 100.0)
            hops[place[1] % len(hops)] = found[0] / (end - begin)
            found[0] = 0.0
            place[1] += 1
            newest = 0.0
            for step in range(momentary):
                newest += hops[(place[1] - 1 - step) % len(hops)]
            every = 0.0
            for step in range(len(hops)):
                every += hops[step]
            found[1] = newest / momentary
            found[2] = every / len(hops)


@kernel(
    "f4[::1]", "f4[::1]", "f4[::1]", "f4[:,::1]", "f4[:,::1]", "f4[::1]", "f4[::1]", "f4[::1]", "f8[::1]", "f8",
    "f4[::1]", "f4[::1]", "f4[::1]", "f4[:,::1]", "f4[:,::1]", "f4[::1]", "f4[::1]",
)  # fmt: skip
def tell(
    strip_peaks: F32, strip_rms: F32, reductions_db: F32, bus_peaks: F32, bus_rms: F32, bus_reductions_db: F32,
    true_peak: F32, highest: F32, found: F64, offset_lu: float,
    to_strip_peaks: F32, to_strip_rms: F32, to_reductions_db: F32, to_bus_peaks: F32, to_bus_rms: F32,
    to_bus_reductions_db: F32, main: F32,
) -> None:  # fmt: skip
    """Copy all levels to where others read them: as many busses as there is room for, the last ones.

    ``main`` (8,): true peak, the highest of these, and peak of the last bus, left and right; momentary and short-term
    loudness [LUFS], which of a K-weighted mean square (``found`` as in ``weigh_main``) is ``offset_lu`` more than its
    level.
    """
    for channel in range(strip_peaks.shape[0]):
        to_strip_peaks[channel] = strip_peaks[channel]
        to_strip_rms[channel] = strip_rms[channel]
    for strip in range(reductions_db.shape[0]):
        to_reductions_db[strip] = reductions_db[strip]
    busses = min(bus_peaks.shape[0], to_bus_peaks.shape[0])
    first = bus_peaks.shape[0] - busses
    for bus in range(busses):
        to_bus_reductions_db[bus] = bus_reductions_db[first + bus]
    for side in range(2):
        for bus in range(busses):
            to_bus_peaks[bus, side] = bus_peaks[first + bus, side]
            to_bus_rms[bus, side] = bus_rms[first + bus, side]
        main[side] = true_peak[side]
        main[2 + side] = highest[side]
        main[4 + side] = bus_peaks[first + busses - 1, side]
        square = found[1 + side]
        main[6 + side] = offset_lu + 10.0 * math.log10(square) if square > 0.0 else -math.inf
