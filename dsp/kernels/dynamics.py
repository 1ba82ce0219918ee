"""Compiled loops of everything that turns a level into a gain: compressor, expander and gate, de-esser, bands.

Every loop gives the same bits for any cut into blocks: strict IEEE arithmetic without reassociation or fused
multiply-add, and states cleaned of denormals at absolute frame numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.decibels import DB_PER_OCTAVE, OCTAVES_PER_DB, exp2, log2

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SLICE_FRAMES = 64
STEP_FRAMES = 16
TINY = 1e-30
"""States and powers below this (−300 dB) are nothing."""

FORWARD, FEEDBACK, GATE = 0, 1, 2

THRESHOLD, SLOPE, KNEE, DEEPEST, HYSTERESIS, ATTACK, RELEASE, HOLD, AUTO, RATE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
CREST, AVERAGE, MAKEUP, MIX, LINK, SECTIONS = 10, 11, 12, 13, 14, 15
WORDS = 29

SMOOTHED, HELD, OPEN, PEAK, MEAN, GAIN = 0, 1, 2, 3, 4, 5
SHARED = 6
"""States before this follow the linked level, those from here on their own channel."""
POWER, FILTERS, JOINED = 6, 7, 11
STATES = 12

NARROWEST = 1e-6
SAME_DB = 1e-6
ROOT2 = 1.4142135623730951
DB_OF_POWER = 0.5 * DB_PER_OCTAVE


@kernel("f8[:, ::1]", "i8", "i8", "i8", "i8", "f8[:, ::1]", "i8", "f8[:, ::1]", "f8[:, ::1]", "f8[:, ::1]")
def follow(
    key: F64,
    channels: int,
    n: int,
    position: int,
    mode: int,
    knots: F64,
    first: int,
    states: F64,
    work: F64,
    gains: F64,
) -> None:
    """Turn ``key`` (channels, ≥ n) into the linear ``gains`` (channels, ≥ n) its level asks for.

    ``position`` is the frame number since the start; ``knots`` and ``first`` are those of ``dsp.processor.Glide``, with
    rows in the order of the constants above; ``states`` (2, STATES); ``work`` (5, SLICE_FRAMES) scratch. The stages and
    their sources are described in ``dsp.sidechain``.
    """
    last = knots.shape[0] - 2
    sign = 1.0 if mode == GATE else -1.0
    a = work[4]
    moving = last > 0
    start = 0
    while start < n:
        if start == 0 or moving:
            k = min((first + start) // STEP_FRAMES, last)
            at = (first + start - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
            for j in range(WORDS):
                here, there = knots[k, j], knots[k + 1, j]
                a[j] = here + (there - here) * at
                moving = moving or here != there
        # Where every frame has a row of its own, or waits for the gain of the one before, it is a slice of its own.
        m = min(n - start, SLICE_FRAMES - (position + start) % SLICE_FRAMES)
        if mode == FEEDBACK or moving:
            m = 1
        if (position + start) % SLICE_FRAMES == 0:
            for c in range(channels):
                for j in range(states.shape[1]):
                    if abs(states[c, j]) < TINY:
                        states[c, j] = 0.0
            # Two channels become one lane when their gains have come together: what is linked must not jump.
            states[0, JOINED] = 1.0 * (abs(states[0, SMOOTHED] - states[1, SMOOTHED]) < SAME_DB)
        if a[LINK] < 1.0:
            states[0, JOINED] = 0.0
        linked = channels == 1 or states[0, JOINED] > 0.0
        lanes = 1 if linked else 2

        for c in range(channels):
            w, s = work[c], states[c]
            scale = s[GAIN] if mode == FEEDBACK else 1.0
            for i in range(m):
                w[i] = scale * key[c, start + i]
            for f in range(2):
                h = a[SECTIONS + 7 * f : SECTIONS + 7 * f + 7]
                s1, s2 = s[FILTERS + 2 * f], s[FILTERS + 2 * f + 1]
                if h[1] != 0.0:
                    d, c1, c2, p11, p12, p22, q2 = h[0], h[1], h[2], h[3], h[4], h[5], h[6]
                    for i in range(m):
                        x = w[i]
                        w[i] = d * x + (c1 * s1 + c2 * s2)
                        t = (p11 * s1 - p12 * s2) + p12 * x
                        s2 = (p12 * s1 + p22 * s2) + q2 * x
                        s1 = t
                    s[FILTERS + 2 * f] = s1
                    s[FILTERS + 2 * f + 1] = s2
            for i in range(m):
                w[i] *= w[i]

        if a[AUTO] > 0.0:
            for c in range(lanes):
                w, v, r, s = work[c], work[channels - 1 if linked else c], work[2 + c], states[c]
                peak, mean, pole, rate = s[PEAK], s[MEAN], a[CREST], a[RATE]
                for i in range(m):
                    q = max(w[i], v[i])
                    peak = max(q, q + pole * (peak - q))
                    mean = q + pole * (mean - q)
                    # A backward Euler one-pole of 2 τ / C².
                    r[i] = 1.0 / (1.0 + rate * max(0.5 * peak / max(mean, TINY), 1.0))
                s[PEAK] = peak
                s[MEAN] = mean
        for c in range(channels):
            w, p, pole = work[c], states[c, POWER], a[AVERAGE]
            if pole > 0.0:
                for i in range(m):
                    p = w[i] + pole * (p - w[i])
                    w[i] = p
            states[c, POWER] = w[m - 1]
        if linked and channels == 2:
            w, v = work[0], work[1]
            for i in range(m):
                w[i] = max(w[i], v[i])

        half, deepest, slope, threshold = 0.5 * a[KNEE], a[DEEPEST], a[SLOPE], a[THRESHOLD]
        bend = slope / max(2.0 * a[KNEE], NARROWEST)
        for c in range(lanes):
            w, s = work[c], states[c]
            for i in range(m):
                w[i] = DB_OF_POWER * log2(max(w[i], TINY)) - threshold
            if mode == FEEDBACK:
                # This is how far the output is over: the curve, solved for the input which that comes from.
                z = w[0] + half
                if z >= half * (2.0 + slope):
                    w[0] /= 1.0 + slope
                else:
                    w[0] = 2.0 * z / (1.0 + math.sqrt(1.0 + 4.0 * bend * z)) - half
            if mode == GATE:
                is_open = s[OPEN] > 0.0
                for i in range(m):
                    is_open = w[i] >= 0.0 or (is_open and w[i] >= -a[HYSTERESIS])
                    w[i] = max(slope * w[i], deepest)
                    if is_open:
                        w[i] = 0.0
                s[OPEN] = is_open * 1.0
            else:
                for i in range(m):
                    t = min(max(w[i] + half, 0.0), 2.0 * half)
                    w[i] = max(bend * t * t + slope * max(w[i] - half, 0.0), deepest)
        if not linked:
            w, v, apart = work[0], work[1], 1.0 - a[LINK]
            for i in range(m):
                best = sign * max(sign * w[i], sign * v[i])
                w[i] = best + apart * (w[i] - best)
                v[i] = best + apart * (v[i] - best)

        for c in range(lanes):
            w, r, s, out = work[c], work[2 + c], states[c], gains[c]
            if a[AUTO] == 0.0:
                for i in range(m):
                    r[i] = a[RELEASE]
            e, held, attack, hold = sign * s[SMOOTHED], s[HELD], a[ATTACK], a[HOLD]
            mix, makeup = a[MIX], a[MAKEUP]
            for i in range(m):
                t = sign * w[i]
                rising = t >= e
                held = hold if rising else held - 1.0
                pole = attack if rising else r[i]
                moved = t + pole * (e - t)
                e = moved if held < 0.0 or rising else e
                w[i] = sign * e
            s[SMOOTHED] = sign * e
            s[HELD] = held
            for i in range(m):
                g = exp2(OCTAVES_PER_DB * w[i])
                w[i] = g
                out[start + i] = 1.0 + mix * (makeup * g - 1.0)
            s[GAIN] = w[m - 1]
        if linked and channels == 2:
            for i in range(m):
                gains[1, start + i] = gains[0, start + i]
            for j in range(SHARED):
                states[1, j] = states[0, j]
        start += m


@kernel("f4[:, ::1]", "f8[:, ::1]", "f4[:, ::1]", "i8[::1]")
def turn(block: F32, gains: F64, ring: F32, place: I64) -> None:
    """Delay ``block`` (n, ch) by the length of ``ring`` (frames, ch) and multiply it by ``gains`` (ch, ≥ n)."""
    n, channels = block.shape
    late = ring.shape[0]
    if late == 0:
        for i in range(n):
            for c in range(channels):
                block[i, c] = np.float32(block[i, c] * gains[c, i])
        return
    p = place[0]
    for i in range(n):
        for c in range(channels):
            x = ring[p, c]
            ring[p, c] = block[i, c]
            block[i, c] = np.float32(x * gains[c, i])
        p = p + 1 if p + 1 < late else 0
    place[0] = p


@kernel("f4[:, ::1]", "f8[:, ::1]", "f4[:, ::1]", "i8[::1]", "i8", "f8[:, ::1]", "i8", "f8[:, ::1]", "f8[::1]")
def turn_above(
    block: F32,
    gains: F64,
    ring: F32,
    place: I64,
    position: int,
    knots: F64,
    first: int,
    states: F64,
    row: F64,
) -> None:
    """Delay ``block`` like ``turn`` and multiply what lies above a corner by ``gains``.

    Rows of ``knots``: how far (0..1) only what lies above, and u1, u2, u3 of a Butterworth state-variable filter.
    With its outputs high = s²/D and band = s/D, x + (g − 1)·high + (√g − 1)·√2·band is (g·s² + √2·√g·s + 1)/D: a
    shelf with |H|² = (1 + g²·ω⁴)/(1 + ω⁴), whose poles stand still however fast g moves.
    """
    n, channels = block.shape
    late = ring.shape[0]
    last = knots.shape[0] - 2
    moving = last > 0
    for j in range(4):
        moving = moving or knots[0, j] != knots[1, j]
    p = place[0]
    for i in range(n):
        if i == 0 or moving:
            k = min((first + i) // STEP_FRAMES, last)
            at = (first + i - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
            for j in range(4):
                row[j] = knots[k, j] + (knots[k + 1, j] - knots[k, j]) * at
        only, u1, u2, u3 = row[0], row[1], row[2], row[3]
        for c in range(channels):
            x = block[i, c]
            if late > 0:
                x = ring[p, c]
                ring[p, c] = block[i, c]
            s1, s2, g = states[c, 0], states[c, 1], gains[c, i]
            v1 = u1 * s1 + u2 * (x - s2)
            v2 = s2 + u2 * s1 + u3 * (x - s2)
            s1 = 2.0 * v1 - s1
            s2 = 2.0 * v2 - s2
            if (position + i) % SLICE_FRAMES == 0:
                s1 = s1 if abs(s1) > TINY else 0.0
                s2 = s2 if abs(s2) > TINY else 0.0
            states[c, 0] = s1
            states[c, 1] = s2
            above = (g - 1.0) * (x - ROOT2 * v1 - v2) + (math.sqrt(g) - 1.0) * ROOT2 * v1
            block[i, c] = np.float32(x + (only * above + (1.0 - only) * (g - 1.0) * x))
        p = p + 1 if p + 1 < late else 0
    place[0] = p
