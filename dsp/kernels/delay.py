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


@kernel(
    "f4[:,::1]", "f4[:,::1]", "i8", "i8", "f4[:,::1]", "i8[::1]", "f8[:,::1]", "f8[:,::1]", "i8", "f8[:,::1]",
    "i8", "i8", "f8", "i8", "i8", "f8[:,::1]", "f8[:,::1]",
)  # fmt: skip
def echo(
    block: F32,
    key: F32,
    start: int,
    stop: int,
    rings: F32,
    position: I64,
    table: F64,
    knots: F64,
    first: int,
    times: F64,
    times_first: int,
    ducks: int,
    other_frames: float,
    faded: int,
    fade: int,
    rows: F64,
    state: F64,
) -> None:
    """Delay frames ``start`` … ``stop`` of ``block`` (n, ch) with feedback, in place.

    Steps of sixteen frames begin at absolute frame numbers. ``knots`` (K, 16) stand sixteen frames apart, frame
    ``start`` being ``first`` frames after knot 0: nothing, depth of the modulation [frames], turn of its oscillator in
    a step [rad], feedback, logarithms of the tangents of high-pass and low-pass, share of ping-pong, dry, wet to the
    same and to the other side, most ducking [dB], its threshold [dB], its attack and release as one-pole shares a
    frame, the share by which time and depth come closer to what is wanted in a step. ``times`` (K, 1), from
    ``times_first``, are the delay [frames]. ``rows`` (2, 16): both, of the last step and of this one.
    While ``fade`` > 0 a second tap, ``other_frames`` long, is faded in, ``start`` being frame ``faded`` of as many.
    ``rings`` (ch, 2^k + T) hold what came before; ``table`` (phases + 1, T) interpolates between frames, T a multiple
    of 4. With ``ducks`` the envelope of ``key`` (n, …) is followed. ``state`` (3, 8): of the filters by channel; then
    oscillator, envelope, two ducking gains, two sines and two cosines of the oscillator, of the last step and of this.
    """
    channels = block.shape[1]
    taps = table.shape[1]
    phases = table.shape[0] - 1
    mask = rings.shape[1] - taps - 1
    before, now = rows[0], rows[1]
    slow = state[2]
    k = 1.4142135623730951
    high = low = 1.0
    t = position[0]
    i = start
    while i < stop:
        phase = t & 15
        if phase == 0:
            at = min((first + i - start) >> 4, knots.shape[0] - 2)
            part = (first + i - start - (at << 4)) / 16.0
            for w in range(16):
                before[w] = now[w]
                now[w] = knots[at, w] + (knots[at + 1, w] - knots[at, w]) * part
            at = min((times_first + i - start) >> 4, times.shape[0] - 2)
            part = (times_first + i - start - (at << 4)) / 16.0
            # Time and depth set in and stop softly, as a motor does; a jump of speed would be heard.
            wanted = times[at, 0] + (times[at + 1, 0] - times[at, 0]) * part
            now[0] = before[0] + (wanted - before[0]) * now[14]
            now[0] = wanted if abs(wanted - now[0]) < 1e-3 else now[0]
            wanted = now[1]
            now[1] = before[1] + (wanted - before[1]) * now[14]
            now[1] = wanted if abs(wanted - now[1]) < 1e-3 else now[1]
            high, low = math.exp(now[4]), math.exp(now[5])
            for c in range(channels):
                for w in range(4):
                    state[c, w] = state[c, w] if abs(state[c, w]) > 1e-30 else 0.0
            slow[1] = slow[1] if slow[1] > 1e-30 else 0.0
            slow[4], slow[6] = slow[5], slow[7]
            slow[0] = (slow[0] + now[2]) % 6.283185307179586
            slow[5], slow[7] = math.sin(slow[0]), math.cos(slow[0])
            slow[2] = slow[3]
            slow[3] = 1.0
            if now[10] > 0.0:
                over = 20.0 * math.log10(max(slow[1], 1e-10)) - now[11]
                slow[3] = 10.0 ** (-0.05 * min(max(over, 0.0), now[10]))
        elif i == start:
            high, low = math.exp(now[4]), math.exp(now[5])
        h1 = 1.0 / (1.0 + high * (high + k))
        h2 = high * h1
        h3 = high * h2
        l1 = 1.0 / (1.0 + low * (low + k))
        l2 = low * l1
        l3 = low * l2
        for j in range(phase, min(16, phase + stop - i)):
            along = j / 16.0
            base = before[0] + (now[0] - before[0]) * along
            depth = before[1] + (now[1] - before[1]) * along
            left = right = 0.0
            for c in range(channels):
                ring = rings[c]
                u, v = (slow[4], slow[5]) if c == 0 else (slow[6], slow[7])
                moved = depth * (u + (v - u) * along)
                y = 0.0
                for tap in range(2 if fade > 0 else 1):
                    far = max((base if tap == 0 else other_frames) + moved, taps / 2 + 1.0)
                    whole = math.floor(far)
                    fraction = far - whole
                    if fraction == 0.0:
                        x = float(ring[(t - int(whole)) & mask])
                    else:
                        place = fraction * phases
                        n = int(place)
                        place -= n
                        begin = (t - int(whole) - taps // 2) & mask
                        s0 = s1 = s2 = s3 = 0.0
                        a, b, past = table[n], table[n + 1], ring[begin : begin + taps]
                        for m in range(0, taps, 4):
                            s0 += past[m] * (a[m] + (b[m] - a[m]) * place)
                            s1 += past[m + 1] * (a[m + 1] + (b[m + 1] - a[m + 1]) * place)
                            s2 += past[m + 2] * (a[m + 2] + (b[m + 2] - a[m + 2]) * place)
                            s3 += past[m + 3] * (a[m + 3] + (b[m + 3] - a[m + 3]) * place)
                        x = (s0 + s1) + (s2 + s3)
                    if tap == 0:
                        y = x
                    else:
                        y += (x - y) * ((faded + i - start) / fade)
                s = state[c]
                v3 = y - s[1]
                v1 = h1 * s[0] + h2 * v3
                v2 = s[1] + h2 * s[0] + h3 * v3
                s[0] = 2.0 * v1 - s[0]
                s[1] = 2.0 * v2 - s[1]
                y -= k * v1 + v2
                v3 = y - s[3]
                v1 = l1 * s[2] + l2 * v3
                v2 = s[3] + l2 * s[2] + l3 * v3
                s[2] = 2.0 * v1 - s[2]
                s[3] = 2.0 * v2 - s[3]
                if c == 0:
                    left = v2
                else:
                    right = v2
            a, b = float(block[i, 0]), float(block[i, channels - 1])
            if ducks > 0:
                x = abs(float(key[i, 0]))
                for c in range(1, key.shape[1]):
                    x = max(x, abs(float(key[i, c])))
                slow[1] += (x - slow[1]) * (now[12] if x > slow[1] else now[13])
            gain = slow[2] + (slow[3] - slow[2]) * along
            feedback = before[3] + (now[3] - before[3]) * along
            cross = before[6] + (now[6] - before[6]) * along
            dry = before[7] + (now[7] - before[7]) * along
            same = (before[8] + (now[8] - before[8]) * along) * gain
            other = (before[9] + (now[9] - before[9]) * along) * gain
            at = t & mask
            for c in range(channels):
                if c == 0:
                    x = a + (0.5 * (b - a)) * cross + feedback * (left + (right - left) * cross)
                else:
                    x = b - b * cross + feedback * (right + (left - right) * cross)
                x = x if abs(x) > 1e-20 else 0.0
                rings[c, at] = x
                if at < taps:
                    rings[c, mask + 1 + at] = x
            if channels == 1:
                block[i, 0] = dry * a + (same + other) * left
            else:
                block[i, 0] = dry * a + same * left + other * right
                block[i, 1] = dry * b + same * right + other * left
            t += 1
            i += 1
    position[0] = t
