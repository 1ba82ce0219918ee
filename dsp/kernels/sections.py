"""Compiled cascades of state-variable filters whose numbers may move at every frame, and the levels that move them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel

F64 = NDArray[np.float64]

CHUNK_FRAMES = 64
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

FOLLOW_WORDS = 12
"""Words of a follower: g, k, m0, m1, m2, the mean square's share, threshold, side, slope, most, attack, release."""

_STEP_FRAMES = 16
_TINY = 1e-30
"""States below this (−600 dBFS) are set to zero, far above the denormals that would slow the loop down."""


@kernel("f4[:,::1]", "f8[:,::1]", "i8", "i8", "f8[:,:,::1]", "f8[:,::1]")
def run_sections(block: NDArray[np.float32], knots: F64, first: int, position: int, states: F64, work: F64) -> None:
    """Filter ``block`` (n, 1 or 2) in place: out = x + P (filtered − x).

    ``knots`` (K, 5 S + 4) as ``Glide`` gives them, its first frame ``first`` frames after knot 0: g, k, m0, m1, m2 of
    every section, then P row by row; between knots all go straight. ``position`` is the frame number of the block's
    start, ``states`` (S, 2, 2), ``work`` (2, CHUNK_FRAMES). Two channels run side by side because one alone would only
    wait for its own states.
    """
    frames = block.shape[0]
    stereo = block.shape[1] > 1
    count = states.shape[0]
    left = work[0]
    right = work[1]
    start = 0
    while start < frames:
        here = (first + start) // _STEP_FRAMES
        if here > knots.shape[0] - 2:
            here = knots.shape[0] - 2
        a = knots[here]
        b = knots[here + 1]
        n = CHUNK_FRAMES - (position + start) % CHUNK_FRAMES
        clean = n == CHUNK_FRAMES
        if knots.shape[0] > 2 and n > (here + 1) * _STEP_FRAMES - (first + start):
            n = (here + 1) * _STEP_FRAMES - (first + start)
        if n > frames - start:
            n = frames - start
        begin = (first + start - here * _STEP_FRAMES) / _STEP_FRAMES
        for i in range(n):
            left[i] = block[start + i, 0]
            right[i] = block[start + i, 1] if stereo else 0.0
        for section in range(count):
            at = 5 * section
            s1 = states[section, 0, 0]
            s2 = states[section, 0, 1]
            z1 = states[section, 1, 0]
            z2 = states[section, 1, 1]
            if clean:
                s1 = s1 if math.fabs(s1) > _TINY else 0.0
                s2 = s2 if math.fabs(s2) > _TINY else 0.0
                z1 = z1 if math.fabs(z1) > _TINY else 0.0
                z2 = z2 if math.fabs(z2) > _TINY else 0.0
            g = a[at]
            k = a[at + 1]
            m0 = a[at + 2]
            m1 = a[at + 3]
            m2 = a[at + 4]
            dg = b[at] - g
            dk = b[at + 1] - k
            d0 = b[at + 2] - m0
            d1 = b[at + 3] - m1
            d2 = b[at + 4] - m2
            if dg == 0.0 and dk == 0.0 and d0 == 0.0 and d1 == 0.0 and d2 == 0.0:
                u1 = 1.0 / (1.0 + g * (g + k))
                u2 = g * u1
                u3 = g * u2
                d = m0 + m1 * u2 + m2 * u3
                c1 = m1 * u1 + m2 * u2
                c2 = m2 * (1.0 - u3) - m1 * u2
                p1 = 2.0 * u1 - 1.0
                p2 = 2.0 * u2
                p3 = 2.0 * u3
                p4 = 1.0 - p3
                for i in range(n):
                    x = left[i]
                    y = right[i]
                    left[i] = d * x + (c1 * s1 + c2 * s2)
                    right[i] = d * y + (c1 * z1 + c2 * z2)
                    t = (p2 * x - p2 * s2) + p1 * s1
                    w = (p2 * y - p2 * z2) + p1 * z1
                    s2 = (p3 * x + p2 * s1) + p4 * s2
                    z2 = (p3 * y + p2 * z1) + p4 * z2
                    s1 = t
                    z1 = w
            else:
                for i in range(n):
                    share = begin + i / _STEP_FRAMES
                    gi = g + share * dg
                    ki = k + share * dk
                    u1 = 1.0 / (1.0 + gi * (gi + ki))
                    x = left[i]
                    y = right[i]
                    v1 = u1 * (s1 + gi * (x - s2))
                    w1 = u1 * (z1 + gi * (y - z2))
                    v2 = s2 + gi * v1
                    w2 = z2 + gi * w1
                    n0 = m0 + share * d0
                    n1 = m1 + share * d1
                    n2 = m2 + share * d2
                    left[i] = n0 * x + (n1 * v1 + n2 * v2)
                    right[i] = n0 * y + (n1 * w1 + n2 * w2)
                    s1 = 2.0 * v1 - s1
                    s2 = 2.0 * v2 - s2
                    z1 = 2.0 * w1 - z1
                    z2 = 2.0 * w2 - z2
            states[section, 0, 0] = s1
            states[section, 0, 1] = s2
            states[section, 1, 0] = z1
            states[section, 1, 1] = z2
        at = 5 * count
        for i in range(n):
            share = begin + i / _STEP_FRAMES
            x = block[start + i, 0]
            ll = a[at] + share * (b[at] - a[at])
            if stereo:
                y = block[start + i, 1]
                lr = a[at + 1] + share * (b[at + 1] - a[at + 1])
                rl = a[at + 2] + share * (b[at + 2] - a[at + 2])
                rr = a[at + 3] + share * (b[at + 3] - a[at + 3])
                block[start + i, 0] = x + (ll * (left[i] - x) + lr * (right[i] - y))
                block[start + i, 1] = y + (rl * (left[i] - x) + rr * (right[i] - y))
            else:
                block[start + i, 0] = x + ll * (left[i] - x)
        start += n


@kernel("Array(f4, 2, 'C', readonly=True)", "i8", "f8[:,::1]", "f8[:,:,::1]", "f8[::1]", "f8[:,::1]")
def follow_levels(x: NDArray[np.float32], position: int, rows: F64, states: F64, reached: F64, followed: F64) -> None:
    """Follow what a level asks for: one value to ``followed`` (B, ≥ steps) at the end of every 16th frame.

    ``x`` (n, 1 or 2), its first frame the stream's frame ``position``. ``rows`` (B, FOLLOW_WORDS) each filter it (g, k,
    m0, m1, m2), take the mean square by two one-poles (the share a new frame has) and the louder channel's level in dB
    against a full-scale sine; what that lies above the threshold (below, for a side of −1), times the slope, within 0
    to the most, is wanted; ``reached`` (B,) goes to it by the share of the way it covers in a step: attack away from
    0, release towards it. ``states`` (B, 2, 4).
    """
    frames = x.shape[0]
    stereo = x.shape[1] > 1
    for band in range(rows.shape[0]):
        row = rows[band]
        u1 = 1.0 / (1.0 + row[0] * (row[0] + row[1]))
        u2 = row[0] * u1
        u3 = row[0] * u2
        d = row[2] + row[3] * u2 + row[4] * u3
        c1 = row[3] * u1 + row[4] * u2
        c2 = row[4] * (1.0 - u3) - row[3] * u2
        p1 = 2.0 * u1 - 1.0
        p2 = 2.0 * u2
        p3 = 2.0 * u3
        p4 = 1.0 - p3
        pole = row[5]
        left = states[band, 0]
        right = states[band, 1]
        start = 0
        step = 0
        while start < frames:
            n = _STEP_FRAMES - (position + start) % _STEP_FRAMES
            ends = n <= frames - start
            if not ends:
                n = frames - start
            for side in range(2):
                state = left if side == 0 else right
                if side == 0 or stereo:
                    s1 = state[0]
                    s2 = state[1]
                    q1 = state[2]
                    q2 = state[3]
                    for i in range(start, start + n):
                        v = x[i, side]
                        w = d * v + (c1 * s1 + c2 * s2)
                        t = (p2 * v - p2 * s2) + p1 * s1
                        s2 = (p3 * v + p2 * s1) + p4 * s2
                        s1 = t
                        q1 += pole * (w * w - q1)
                        q2 += pole * (q1 - q2)
                    if ends:
                        s1 = s1 if math.fabs(s1) > _TINY else 0.0
                        s2 = s2 if math.fabs(s2) > _TINY else 0.0
                        q1 = q1 if q1 > _TINY else 0.0
                        q2 = q2 if q2 > _TINY else 0.0
                    state[0] = s1
                    state[1] = s2
                    state[2] = q1
                    state[3] = q2
            if ends:
                loudest = left[3] if left[3] > right[3] else right[3]
                over = row[7] * (10.0 * math.log10(2.0 * loudest + _TINY) - row[6])
                wanted = row[8] * over if over > 0.0 else 0.0
                if math.fabs(wanted) > math.fabs(row[9]):
                    wanted = row[9]
                away = row[10] if math.fabs(wanted) > math.fabs(reached[band]) else row[11]
                reached[band] += away * (wanted - reached[band])
                if math.fabs(reached[band]) < 1e-6 and wanted == 0.0:
                    reached[band] = 0.0
                followed[band, step] = reached[band]
                step += 1
            start += n
