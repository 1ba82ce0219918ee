"""Compiled loops of what moves by itself: the oscillator, delays and all-passes it sweeps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.decibels import exp2

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_STEP_FRAMES = 16
_TINY = 1e-30
_TURN = 4503599627370496
"""2^52: a whole turn of a phase, which is a whole number, so that no cut of a stream rounds it otherwise."""

_TURN_F = 4503599627370496.0
_TWO_PI = 6.283185307179586


@kernel("f8[:,::1]", "i8", "f8[:,::1]", "i8", "i8[::1]")
def oscillate(out: F64, frames: int, knots: F64, first: int, phase: I64) -> None:
    """Write an oscillator's values to the first ``frames`` of the rows of ``out``, each at its own offset.

    ``knots`` as ``Glide`` gives them: turns per frame (below ½ either way), the middle and half the width of what it
    sweeps, shares of a sine, a triangle, a square and a rising ramp, what part of a turn the square's edges and the
    ramp's fall take, and an offset [turns] for every row. ``phase`` (1) is that of the next frame.
    """
    p = phase[0]
    start = 0
    while start < frames:
        k = min((first + start) // _STEP_FRAMES, knots.shape[0] - 2)
        stop = frames
        if knots.shape[0] > 2:
            stop = min(frames, (k + 1) * _STEP_FRAMES - first)
            if stop <= start:
                stop = frames
        a = knots[k]
        b = knots[k + 1]
        begin = (first + start - k * _STEP_FRAMES) / _STEP_FRAMES
        q = p
        for row in range(out.shape[0]):
            values = out[row]
            q = p
            for i in range(start, stop):
                values[i] = q / _TURN_F
                along = begin + (i - start) / _STEP_FRAMES
                q = (q + np.int64((a[0] + along * (b[0] - a[0])) * _TURN_F)) & (_TURN - 1)
            for i in range(start, stop):
                along = begin + (i - start) / _STEP_FRAMES
                middle = a[1] + along * (b[1] - a[1])
                depth = a[2] + along * (b[2] - a[2])
                sine = a[3] + along * (b[3] - a[3])
                triangle = a[4] + along * (b[4] - a[4])
                square = a[5] + along * (b[5] - a[5])
                ramp = a[6] + along * (b[6] - a[6])
                edge = a[7] + along * (b[7] - a[7])
                t = values[i] + (a[8 + row] + along * (b[8 + row] - a[8 + row]))
                t -= math.floor(t)
                # How far from the nearest zero of the sine, with the sine's sign: −¼ to ¼ turn.
                r = 0.25 - math.fabs(math.fabs(t - 0.5) - 0.25)
                r = r if t < 0.5 else -r
                z = _TWO_PI * r
                u = z * z
                s = 1.0 / 6227020800.0
                s = s * u - 1.0 / 39916800.0
                s = s * u + 1.0 / 362880.0
                s = s * u - 1.0 / 5040.0
                s = s * u + 1.0 / 120.0
                s = s * u - 1.0 / 6.0
                s = z + z * u * s
                flat = 2.0 * r / edge
                flat = flat if flat < 1.0 else 1.0
                flat = flat if flat > -1.0 else -1.0
                up = 2.0 * t / (1.0 - edge) - 1.0
                down = 1.0 - 2.0 * (t - (1.0 - edge)) / edge
                up = up if t < 1.0 - edge else down
                values[i] = middle + depth * (sine * s + triangle * 4.0 * r + square * flat + ramp * up)
        p = q
        start = stop
    phase[0] = p


@kernel("f4[:,::1]", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]", "i8", "f8[:,::1]", "i8[::1]")
def sweep_delays(block: F32, delays: F64, gains: F64, knots: F64, first: int, rings: F64, position: I64) -> None:
    """Add to ``block`` (n, ch) in place what it was some time ago: dry · x + wet · Σ gain · x(t − delay).

    ``delays`` [frames, at least 4] and ``gains`` are (ch · voices, ≥ n), a channel's voices following one another;
    between frames they read by the Lagrange polynomial through six. ``knots``: dry, wet, and how much of the sum goes
    back in. ``rings`` (ch, 2^k), longer than any delay by 4; ``position`` (1) is the frame number.
    """
    frames, channels = block.shape
    voices = delays.shape[0] // channels
    mask = rings.shape[1] - 1
    for c in range(channels):
        ring = rings[c]
        for i in range(frames):
            k = min((first + i) // _STEP_FRAMES, knots.shape[0] - 2)
            along = (first + i - k * _STEP_FRAMES) / _STEP_FRAMES
            at = position[0] + i
            total = 0.0
            for voice in range(c * voices, (c + 1) * voices):
                gain = gains[voice, i]
                if gain == 0.0:
                    continue
                back = delays[voice, i]
                whole = math.ceil(back)
                f = whole - back
                j = at - np.int64(whole)
                a, b, d, e, g = f + 2.0, f + 1.0, f - 1.0, f - 2.0, f - 3.0
                ab, eg = a * b, e * g
                bfd, afd = b * f * d, a * f * d
                read = ring[(j - 2) & mask] * (bfd * eg / -120.0) + ring[(j - 1) & mask] * (afd * eg / 24.0)
                read += ring[j & mask] * (ab * d * eg / -12.0) + ring[(j + 1) & mask] * (ab * f * eg / 12.0)
                read += ring[(j + 2) & mask] * (ab * f * d * g / -24.0) + ring[(j + 3) & mask] * (
                    ab * f * d * e / 120.0
                )
                total += gain * read
            x = np.float64(block[i, c])
            dry = knots[k, 0] + along * (knots[k + 1, 0] - knots[k, 0])
            wet = knots[k, 1] + along * (knots[k + 1, 1] - knots[k, 1])
            fed = x + (knots[k, 2] + along * (knots[k + 1, 2] - knots[k, 2])) * total
            ring[at & mask] = fed if math.fabs(fed) > _TINY else 0.0
            block[i, c] = dry * x + wet * total
    position[0] += frames


@kernel("f4[:,::1]", "f8[:,::1]", "i8", "f8[:,::1]", "i8", "f8[:,::1]", "i8[::1]")
def sweep_phase(block: F32, tunes: F64, stages: int, knots: F64, first: int, states: F64, position: I64) -> None:
    """Send ``block`` (n, ch) in place through ``stages`` first-order all-passes: dry · x + wet · shifted.

    ``tunes`` (ch, ≥ n) are log2(π f / rate) of where each turns by 90°, below 0.36 (f = 0.41 rate). ``knots``: dry,
    wet, how much of the shifted signal goes back in, and the shares that the outputs after 4, 6, 8, 10 and 12 stages
    have in it. ``states`` (ch, 13): the stages', and the last shifted sample. The all-pass is 2 · low-pass − input of
    the trapezoidal one-pole (V. Zavalishin, "The Art of VA Filter Design", §3.10).
    """
    frames, channels = block.shape
    for c in range(channels):
        tune = tunes[c]
        for i in range(frames):
            w = exp2(tune[i])
            u = w * w
            g = w * (945.0 - u * (105.0 - u)) / (945.0 - u * (420.0 - 15.0 * u))  # tan w, continued fraction
            tune[i] = g / (1.0 + g)
        state = states[c]
        for i in range(frames):
            k = min((first + i) // _STEP_FRAMES, knots.shape[0] - 2)
            along = (first + i - k * _STEP_FRAMES) / _STEP_FRAMES
            a, b = knots[k], knots[k + 1]
            x = np.float64(block[i, c])
            y = x + (a[2] + along * (b[2] - a[2])) * state[12]
            shifted = 0.0
            for stage in range(stages):
                v = (y - state[stage]) * tune[i]
                low = v + state[stage]
                state[stage] = low + v
                y = 2.0 * low - y
                if stage >= 3 and stage % 2 == 1:
                    word = 3 + (stage - 3) // 2
                    shifted += (a[word] + along * (b[word] - a[word])) * y
            state[12] = shifted
            if (position[0] + i) % 64 == 0:
                for stage in range(13):
                    if math.fabs(state[stage]) < _TINY:
                        state[stage] = 0.0
            block[i, c] = (a[0] + along * (b[0] - a[0])) * x + (a[1] + along * (b[1] - a[1])) * shifted
    position[0] += frames
