"""The inner loops behind the strips, compiled by numba as those in ``kernels`` are: busses, master, converters."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["couple", "delay", "give_out", "master", "saturate"]

Array = NDArray[np.float64]

_SEGMENT = 256
_TINY = 1e-30
_HOWL = 8.0

_FROM_PYTHON = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


@njit("void(f8[:,::1], f8, f8[:,::1])", **_FROM_PYTHON)
def couple(signal: Array, tangent: float, state: Array) -> None:
    """Pass both rows of ``signal`` (2, n) in place through a coupling: a first-order high-pass.

    The bilinear transform of s/(s + w) with its corner kept: ``tangent`` is tan(pi f/rate). ``state`` (2, 2) holds the
    last input and output of each row.
    """
    gain = 1.0 / (1.0 + tangent)
    keep = (1.0 - tangent) * gain
    for side in range(2):
        before, after = state[side, 0], state[side, 1]
        for i in range(signal.shape[1]):
            x = signal[side, i]
            after = gain * (x - before) + keep * after
            if abs(after) < _TINY:
                after = 0.0
            before = x
            signal[side, i] = after
        state[side, 0] = before
        state[side, 1] = after


@njit("void(f8[::1], f8[::1], f8[::1])", **_FROM_PYTHON)
def delay(work: Array, taps: Array, out: Array) -> None:
    """Filter ``work``, what was held and then what comes in, with the taps into ``out``, as long as what comes in.

    The first tap takes what is taps − 1 samples into ``work``: whole samples of delay are older ones in front of that.
    """
    n, count = out.shape[0], taps.shape[0]
    for i in range(n):
        out[i] = 0.0
    for first in range(0, n, _SEGMENT):
        size = min(_SEGMENT, n - first)
        part = out[first : first + size]
        done = 0
        while done + 4 <= count:
            start = count - 4 - done + first
            w = work[start : start + size + 3]
            h0, h1, h2, h3 = taps[done], taps[done + 1], taps[done + 2], taps[done + 3]
            for i in range(size):
                part[i] = part[i] + h0 * w[i + 3] + h1 * w[i + 2] + h2 * w[i + 1] + h3 * w[i]
            done += 4
        for t in range(done, count):
            start = count - 1 - t + first
            for i in range(size):
                part[i] += taps[t] * work[start + i]


@njit("void(f8[:,::1], f8[:,::1], i8, f8[::1], f8, f8, f8, f8, f8, f8, f8[::1], f8[:,::1], f8[:,::1])", **_FROM_PYTHON)
def saturate(
    sums: Array, hiss: Array, position: int, hum_table: Array, hum_rms: float, hum_cycles: float, a2: float, a3: float,
    rail: float, leak: float, blocked: Array, parts: Array, out: Array,
) -> None:  # fmt: skip
    """Sum both sides, add the busses' noise ``hiss`` (2, n) and hum, and bend the result.

    The bend is x + a2·x² + a3·x³, held at ±rail; what it adds passes a DC block (coefficient ``leak``, state
    ``blocked``). ``out`` (2, n) is the sum; ``parts`` (8, n) noise, hum, crosstalk, saturation, each L and R.
    """
    size = hum_table.shape[0] - 1
    for i in range(sums.shape[1]):
        hum = 0.0
        if hum_rms > 0.0:
            cycles = (position + i) * hum_cycles
            phase = (cycles - math.floor(cycles)) * size
            index = min(int(phase), size - 1)
            hum = hum_rms * (hum_table[index] + (phase - index) * (hum_table[index + 1] - hum_table[index]))
        for side in range(2):
            noise = sums[4 + side, i] + hiss[side, i]
            crosstalk = sums[2 + side, i]
            clean = sums[side, i] + crosstalk + noise + hum
            bent = min(rail, max(-rail, clean + clean * clean * (a2 + a3 * clean)))
            added = bent - clean
            if added != 0.0 or blocked[side] != 0.0:
                blocked[side] += leak * (added - blocked[side])
                if abs(blocked[side]) < _TINY:
                    blocked[side] = 0.0
                added -= blocked[side]
            parts[side, i] = noise
            parts[2 + side, i] = hum
            parts[4 + side, i] = crosstalk
            parts[6 + side, i] = added
            out[side, i] = clean + added


@njit(
    "void(f8[:,::1], f8[:,::1], f8[:,::1], f8[::1], f8[::1], f8[::1], i8[::1], i8, f8[::1], f8[::1], f8[:,::1], b1, "
    "f8[:,::1])",
    **_FROM_PYTHON,
)
def master(
    bus: Array, parts: Array, hiss: Array, old: Array, new: Array, now: Array, progress: NDArray[np.int64], glide: int,
    comp: Array, envelope: Array, loop: Array, tally: bool, totals: Array,
) -> None:  # fmt: skip
    """Pass the sum (2, n) in place through the insert (matrix, compressor, matrix) and the master fader.

    ``new``: 0–15 the matrix's gains output·4 + input, 16 insert in, 17 master fader, 18 compressor in circuit,
    19 make-up [dB]; ``now`` is room for as many. ``hiss`` (2, n) is the compressor's own noise. ``comp``: threshold
    [dB re full scale], slope 1 − 1/ratio, attack and release coefficients. ``loop`` (5, 2) holds the compressor's last
    outputs (whole signal, then each part), which a wrong tie can feed back. With ``tally`` the energy of each part at
    the output is added to ``totals`` (4, 2); the parts meet the gains that the whole signal met.

    The compressor's knee is quadratic and 6 dB wide (Giannoulis, Massberg & Reiss, JAES 60(6), 2012, eq. 4).
    """
    for k in range(now.shape[0]):
        now[k] = new[k]
    threshold_db, slope, attack, release = comp[0], comp[1], comp[2], comp[3]
    for i in range(bus.shape[1]):
        if progress[0] < glide:
            t = (progress[0] + 1) / glide
            t = t * t * (3.0 - 2.0 * t)
            progress[0] += 1
            arrived = progress[0] == glide
            for k in range(now.shape[0]):
                now[k] = new[k] if arrived else old[k] + t * (new[k] - old[k])
        inserted, level = now[16], now[17]
        if inserted == 0.0:
            envelope[0] = 0.0
            for part in range(5):
                loop[part, 0], loop[part, 1] = 0.0, 0.0
            if tally:
                for part in range(4):
                    for side in range(2):
                        value = level * parts[2 * part + side, i]
                        totals[part, side] += value * value
            bus[0, i] *= level
            bus[1, i] *= level
            continue
        gain = 0.0
        for part in range(-1, 4 if tally else 0):
            left = bus[0, i] if part < 0 else parts[2 * part, i]
            right = bus[1, i] if part < 0 else parts[2 * part + 1, i]
            last_left, last_right = loop[part + 1, 0], loop[part + 1, 1]
            to_left = now[0] * left + now[1] * right + now[2] * last_left + now[3] * last_right
            to_right = now[4] * left + now[5] * right + now[6] * last_left + now[7] * last_right
            if part < 0:
                over_db = 20.0 * math.log10(max(abs(to_left), abs(to_right), 1e-10)) - threshold_db
                wanted = 0.0
                if over_db >= 3.0:
                    wanted = -slope * over_db
                elif over_db > -3.0:
                    wanted = -slope * (over_db + 3.0) * (over_db + 3.0) / 12.0
                pull = attack if wanted < envelope[0] else release
                envelope[0] = wanted + pull * (envelope[0] - wanted)
                gain = now[18] * 10.0 ** ((envelope[0] + now[19]) / 20.0) + (1.0 - now[18])
            from_left, from_right = gain * to_left, gain * to_right
            if part <= 0:  # the compressor's noise is in the whole signal, and a part of the noise
                from_left += hiss[0, i]
                from_right += hiss[1, i]
            held_left, held_right = min(_HOWL, max(-_HOWL, from_left)), min(_HOWL, max(-_HOWL, from_right))
            loop[part + 1, 0], loop[part + 1, 1] = held_left, held_right
            if part < 0:
                from_left, from_right = held_left, held_right
            back_left = now[8] * left + now[9] * right + now[10] * from_left + now[11] * from_right
            back_right = now[12] * left + now[13] * right + now[14] * from_left + now[15] * from_right
            out_left = level * ((1.0 - inserted) * left + inserted * back_left)
            out_right = level * ((1.0 - inserted) * right + inserted * back_right)
            if part < 0:
                bus[0, i], bus[1, i] = out_left, out_right
            else:
                totals[part, 0] += out_left * out_left
                totals[part, 1] += out_right * out_right


@njit("i8(f8[:,::1], f8[:,::1], f8[:,::1], f4[:,::1])", **_FROM_PYTHON)
def give_out(signal: Array, hiss: Array, totals: Array, out: NDArray[np.float32]) -> int:
    """Convert the returns (2, n) to a block (n, 2) behind the A/Ds, whose noise is ``hiss`` (2, n).

    Returns the samples that clipped.
    """
    clipped = 0
    for side in range(2):
        for i in range(signal.shape[1]):
            value, noise = signal[side, i], hiss[side, i]
            if noise != 0.0:
                totals[0, side] += noise * noise
                value += noise
            if not -1.0 <= value <= 1.0:
                clipped += 1
                value = 1.0 if value > 0.0 else -1.0
            out[i, side] = value
    return clipped
