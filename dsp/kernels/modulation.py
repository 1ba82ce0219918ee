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
_ROUND = 6755399441055744.0
"""1.5 · 2^52: adding it rounds to the nearest whole number."""

_TWO_PI = 6.283185307179586


@kernel("f8[:,::1]", "i8", "f8[:,::1]", "i8", "i8[::1]")
def oscillate(out: F64, frames: int, knots: F64, first: int, phase: I64) -> None:
    """Write an oscillator's values to the first ``frames`` of the rows of ``out``, each at its own offset.

    ``knots`` as ``Glide`` gives them: turns per frame (below ½ either way), the middle and half the width of what it
    sweeps, shares of a sine, a triangle, a square and a rising ramp, what part of a turn the square's edges and the
    ramp's fall take, and an offset [turns] for every row. ``phase`` (1) is that of the next frame. At most 1024 frames
    at once, or the phase overflows.
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
        # In words of their own, so that the compiler sees that no value written changes them.
        turns, more_turns = a[0], b[0] - a[0]
        middle, more_middle = a[1], b[1] - a[1]
        depth, more_depth = a[2], b[2] - a[2]
        sine, more_sine = a[3], b[3] - a[3]
        triangle, more_triangle = a[4], b[4] - a[4]
        square, more_square = a[5], b[5] - a[5]
        ramp, more_ramp = a[6], b[6] - a[6]
        edge, more_edge = a[7], b[7] - a[7]
        n = stop - start
        q = p
        for row in range(out.shape[0]):
            values = out[row, start:stop]
            offset, more_offset = a[8 + row], b[8 + row] - a[8 + row]
            q = p
            if more_turns == 0.0:
                more = np.int64(turns * _TURN_F)
                for i in range(n):
                    values[i] = (q + i * more) & (_TURN - 1)
                q = (q + n * more) & (_TURN - 1)
            else:
                for i in range(n):
                    values[i] = q
                    along = begin + i / _STEP_FRAMES
                    q = (q + np.int64((turns + along * more_turns) * _TURN_F)) & (_TURN - 1)
            for i in range(n):
                along = begin + i / _STEP_FRAMES
                t = values[i] / _TURN_F + (offset + along * more_offset)
                t -= (t + _ROUND) - _ROUND
                t = t if t >= 0.0 else t + 1.0
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
                width = edge + along * more_edge
                flat = 2.0 * r / width
                flat = flat if flat < 1.0 else 1.0
                flat = flat if flat > -1.0 else -1.0
                up = 2.0 * t / (1.0 - width) - 1.0
                down = 1.0 - 2.0 * (t - (1.0 - width)) / width
                up = up if t < 1.0 - width else down
                swing = (sine + along * more_sine) * s + (triangle + along * more_triangle) * 4.0 * r
                swing += (square + along * more_square) * flat + (ramp + along * more_ramp) * up
                values[i] = (middle + along * more_middle) + (depth + along * more_depth) * swing
        p = q
        start = stop
    phase[0] = p


@kernel("f4[:,::1]", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]", "i8", "f8[:,::1]", "f8[:,::1]", "i8[::1]", "f8[::1]")
def sweep_delays(
    block: F32,
    delays: F64,
    gains: F64,
    knots: F64,
    first: int,
    table: F64,
    rings: F64,
    position: I64,
    work: F64,
) -> None:
    """Add to ``block`` (n, ch) in place what it was some time ago: dry · x + wet · Σ gain · x(t − delay).

    ``delays`` [frames, at least 9] and ``gains`` are (ch · voices, ≥ n), a channel's voices following one another.
    ``table`` (P + 1, 16) are the weights of 16 frames for every 1/P between the two in their middle; between two rows
    they go straight. ``knots``: dry, wet, and how much of the sum goes back in. ``rings`` (ch, 2^k + 16) are longer
    than any delay by 16, their last 16 places repeat the first; ``position`` (1) is the frame number, ``work`` (8).
    """
    frames, channels = block.shape
    voices = delays.shape[0] // channels
    mask = rings.shape[1] - 17
    phases = table.shape[0] - 1.0
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
                whole = np.int64(math.ceil(delays[voice, i]))
                phase = (whole - delays[voice, i]) * phases
                row = np.int64(phase)
                share = phase - row
                here, there = table[row], table[row + 1]
                past = ring[(at - whole - 7) & mask :]
                for tap in range(8):
                    w = here[tap] + share * (there[tap] - here[tap])
                    z = here[tap + 8] + share * (there[tap + 8] - here[tap + 8])
                    work[tap] = w * past[tap] + z * past[tap + 8]
                read = ((work[0] + work[1]) + (work[2] + work[3])) + ((work[4] + work[5]) + (work[6] + work[7]))
                total += gain * read
            x = np.float64(block[i, c])
            dry = knots[k, 0] + along * (knots[k + 1, 0] - knots[k, 0])
            wet = knots[k, 1] + along * (knots[k + 1, 1] - knots[k, 1])
            fed = x + (knots[k, 2] + along * (knots[k + 1, 2] - knots[k, 2])) * total
            fed = fed if math.fabs(fed) > _TINY else 0.0
            ring[at & mask] = fed
            if at & mask < 16:
                ring[(at & mask) + mask + 1] = fed
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
