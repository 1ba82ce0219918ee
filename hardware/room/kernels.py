"""The circuit's inner loops, compiled by numba: float64, no GIL, strictly in sample order.

Nothing here depends on how the samples were cut into blocks: glides, tails and flushes happen at sample positions,
noise is a function of (key, sample position), and IEEE arithmetic is neither reordered nor contracted (no fastmath).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

SECTIONS = 5
NOTHING = -1
"""A second source that is not there."""
SEGMENT = 256
"""Frames processed strip by strip at a time; history below the noise of any float is flushed on this grid."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S8, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(8), np.uint64(11)
_LAYER = np.uint64(0xFF)
_ONE = np.uint64(1)
_UNIT = 2.0**-53
_TINY = 1e-30
_HOWL = 8.0

_ZIG_R = 3.6541528853610088
_ZIG_V = 0.00492867323399


def _ziggurat() -> tuple[Array, Array]:
    """Edges of 256 layers of equal area under the normal density (Marsaglia & Tsang 2000) and the density there."""
    edges = np.zeros(257)
    edges[0], edges[1] = _ZIG_V / math.exp(-_ZIG_R * _ZIG_R / 2), _ZIG_R
    for i in range(1, 255):
        edges[i + 1] = math.sqrt(-2 * math.log(_ZIG_V / edges[i] + math.exp(-edges[i] * edges[i] / 2)))
    return edges, np.exp(-edges * edges / 2)


_EDGES, _DENSITY = _ziggurat()


@njit(cache=True, nogil=True, inline="always")
def _mix(state: np.uint64) -> np.uint64:
    """Finalise one SplitMix64 step (Steele, Lea & Flood 2014)."""
    state = (state ^ (state >> _S30)) * _MIX1
    state = (state ^ (state >> _S27)) * _MIX2
    return state ^ (state >> _S31)


@njit(cache=True, nogil=True)
def _slow_normal(state: np.uint64, first: np.uint64) -> float:
    """Finish the draw ``first`` that fell outside its layer's rectangle."""
    word = first
    while True:
        layer = np.int64(word & _LAYER)
        value = np.float64(word >> _S11) * _UNIT * _EDGES[layer]
        sign = 1.0 - 2.0 * np.float64((word >> _S8) & _ONE)
        if value < _EDGES[layer + 1]:
            return float(sign * value)
        state += _MIX1
        word = _mix(state)
        height = (np.float64(word >> _S11) + 0.5) * _UNIT
        if layer == 0:
            while True:
                state += _MIX1
                word = _mix(state)
                tail = -math.log(height) / _ZIG_R
                if -2.0 * math.log((np.float64(word >> _S11) + 0.5) * _UNIT) > tail * tail:
                    return float(sign * (_ZIG_R + tail))
                state += _MIX1
                height = (np.float64(_mix(state) >> _S11) + 0.5) * _UNIT
        density = math.exp(-value * value / 2)
        if _DENSITY[layer + 1] + height * (_DENSITY[layer] - _DENSITY[layer + 1]) < density:
            return float(sign * value)
        state += _MIX1
        word = _mix(state)


@njit(cache=True, nogil=True, inline="always")
def _normal(key: np.uint64, position: np.int64) -> float:
    """Draw the standard normal number that belongs to this key and sample position."""
    state = key + np.uint64(position) * _GOLDEN
    word = _mix(state)
    layer = np.int64(word & _LAYER)
    value = np.float64(word >> _S11) * _UNIT * _EDGES[layer]
    if value < _EDGES[layer + 1]:
        return float(value * (1.0 - 2.0 * np.float64((word >> _S8) & _ONE)))
    return float(_slow_normal(state, word))


@njit(cache=True, nogil=True)
def normals(key: np.uint64, position: int, rms: float, words: NDArray[np.uint64], out: Array) -> None:
    """Fill ``out`` with the noise of one key from ``position`` on; ``words`` is room for as many hashes."""
    start = key + np.uint64(position) * _GOLDEN
    count = out.shape[0]
    for i in range(count):
        words[i] = _mix(start + np.uint64(i) * _GOLDEN)
    for i in range(count):
        word = words[i]
        layer = np.int64(word & _LAYER)
        value = np.float64(word >> _S11) * _UNIT * _EDGES[layer]
        sign = rms - (rms + rms) * np.float64((word >> _S8) & _ONE)
        if value < _EDGES[layer + 1]:
            out[i] = value * sign
        else:
            out[i] = rms * _slow_normal(start + np.uint64(i) * _GOLDEN, word)


@njit(cache=True, nogil=True)
def take_in(block: NDArray[np.float32], wiring: NDArray[np.int64], planar: Array) -> int:
    """Convert a block (n, inputs) to one row per desk input at the D/As' outputs; returns the samples that clipped.

    ``wiring`` (strips, 2) names the outputs that feed a strip. Two that are tied together each drive the other's
    source impedance: half the sum arrives. `NOTHING` stands for no (second) source.
    """
    clipped = 0
    for strip in range(planar.shape[0]):
        planar[strip] = 0.0
        share = 1.0 if wiring[strip, 1] == NOTHING else 0.5
        for source in wiring[strip]:
            if source == NOTHING:
                continue
            for i in range(block.shape[0]):
                value = float(block[i, source])
                if not -1.0 <= value <= 1.0:
                    clipped += 1
                    value = 1.0 if value > 1.0 else (-1.0 if value < -1.0 else 0.0)
                planar[strip, i] += share * value
    return clipped


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def delay(past: Array, x: Array, taps: Array, whole: int, out: Array) -> None:
    """Delay one signal by ``whole`` samples and the taps; ``past`` holds whole + len(taps) − 1 samples."""
    held, n, count = past.shape[0], x.shape[0], taps.shape[0]
    work = np.empty(held + n)
    work[:held] = past
    work[held:] = x
    out[:] = 0.0
    for first in range(0, n, SEGMENT):
        size = min(SEGMENT, n - first)
        part = out[first : first + size]
        done = 0
        while done + 4 <= count:
            start = held - whole - done + first
            w0, w1 = work[start : start + size], work[start - 1 : start - 1 + size]
            w2, w3 = work[start - 2 : start - 2 + size], work[start - 3 : start - 3 + size]
            h0, h1, h2, h3 = taps[done], taps[done + 1], taps[done + 2], taps[done + 3]
            for i in range(size):
                part[i] = part[i] + h0 * w0[i] + h1 * w1[i] + h2 * w2[i] + h3 * w3[i]
            done += 4
        for t in range(done, count):
            start = held - whole - t + first
            for i in range(size):
                part[i] += taps[t] * work[start + i]
    past[:] = work[n:]


@njit(cache=True, nogil=True, inline="always")
def _smooth(at: np.int64, length: np.int64) -> float:
    """Smoothstep of a glide's progress: no corner at either end."""
    t = (at + 1) / length
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True)
def _run_section(x: Array, first: int, last: int, c: Array, before: Array, after: Array) -> None:
    """Filter x[first:last] in place, direct form I; ``before`` and ``after`` hold the two last samples of each side."""
    b0, b1, b2, a1, a2 = c[0], c[1], c[2], c[3], c[4]
    x1, x2, y1, y2 = before[0], before[1], after[0], after[1]
    for i in range(first, last):
        x0 = x[i]
        y0 = (b0 * x0 + b1 * x1 + b2 * x2 - a2 * y2) - a1 * y1
        x2, x1, y2, y1 = x1, x0, y1, y0
        x[i] = y0
    before[0], before[1], after[0], after[1] = x1, x2, y1, y2


@njit(cache=True, nogil=True)
def _run_gliding(
    x: Array, first: int, last: int, old: Array, new: Array, before: Array, after: Array, at: int, length: int
) -> None:
    x1, x2, y1, y2 = before[0], before[1], after[0], after[1]
    for i in range(first, last):
        t = _smooth(at + i - first, length)
        x0 = x[i]
        y0 = (old[0] + t * (new[0] - old[0])) * x0
        y0 += (old[1] + t * (new[1] - old[1])) * x1
        y0 += (old[2] + t * (new[2] - old[2])) * x2
        y0 -= (old[4] + t * (new[4] - old[4])) * y2
        y0 -= (old[3] + t * (new[3] - old[3])) * y1
        x2, x1, y2, y1 = x1, x0, y1, y0
        x[i] = y0
    before[0], before[1], after[0], after[1] = x1, x2, y1, y2


@njit(cache=True, nogil=True)
def _run_pair(
    x: Array, first: int, last: int, c: Array, d: Array, before: Array, after: Array, then: Array, outcome: Array
) -> None:
    """Run two sections in one loop, so that their recursions overlap in the processor.

    ``before`` and ``then`` hold the two last inputs of each, ``after`` and ``outcome`` the two last outputs.
    """
    b0, b1, b2, a1, a2 = c[0], c[1], c[2], c[3], c[4]
    d0, d1, d2, e1, e2 = d[0], d[1], d[2], d[3], d[4]
    x1, x2, y1, y2 = before[0], before[1], after[0], after[1]
    u1, u2, v1, v2 = then[0], then[1], outcome[0], outcome[1]
    for i in range(first, last):
        x0 = x[i]
        y0 = (b0 * x0 + b1 * x1 + b2 * x2 - a2 * y2) - a1 * y1
        v0 = (d0 * y0 + d1 * u1 + d2 * u2 - e2 * v2) - e1 * v1
        x2, x1, y2, y1 = x1, x0, y1, y0
        u2, u1, v2, v1 = u1, y0, v1, v0
        x[i] = v0
    after[0], after[1], outcome[0], outcome[1] = y1, y2, v1, v2


@njit(cache=True, nogil=True)
def _filter_settled(x: Array, first: int, last: int, c: Array, idle: NDArray[np.bool_], history: Array) -> None:
    """Run the sections that do something; the idle ones are wires, whose history is that of their input."""
    for section in range(SECTIONS):
        if idle[section]:
            history[section + 1] = history[section]
    newest, older = x[last - 1], x[last - 2] if last - first > 1 else history[0, 0]
    start = history.copy()
    waiting = -1
    for section in range(SECTIONS):
        if idle[section]:
            continue
        if waiting < 0:
            waiting = section
        else:
            _run_pair(
                x, first, last, c[waiting], c[section], start[waiting], history[waiting + 1], start[section],
                history[section + 1],
            )  # fmt: skip
            waiting = -1
    if waiting >= 0:
        _run_section(x, first, last, c[waiting], start[waiting], history[waiting + 1])
    history[0, 0], history[0, 1] = newest, older
    for section in range(SECTIONS):
        if idle[section]:
            history[section + 1] = history[section]


@njit(cache=True, nogil=True)
def _filter_moving(
    x: Array, first: int, last: int, old: Array, new: Array, history: Array, gliding: bool, at: int, length: int
) -> None:
    """Run all sections, on their way to new coefficients or in the tail after that."""
    before, kept = np.empty(2), np.empty(2)
    before[:] = history[0]
    for section in range(SECTIONS):
        after = history[section + 1]
        kept[:] = after
        if gliding:
            _run_gliding(x, first, last, old[section], new[section], before, after, at, length)
        else:
            _run_section(x, first, last, new[section], before, after)
        if section == 0:
            history[0] = before
        before[:] = kept


@njit(cache=True, nogil=True)
def _accumulate(
    x: Array, first: int, last: int, old: Array, new: Array, gliding: bool, at: int, length: int, sums: Array, row: int,
    offset: int,
) -> None:  # fmt: skip
    """Add x[first:last] to rows ``row`` and ``row + 1`` of the sums with the gains of those rows."""
    left, right = sums[row], sums[row + 1]
    if gliding:
        for i in range(first, last):
            t = _smooth(at + i - first, length)
            left[offset + i] += (old[row] + t * (new[row] - old[row])) * x[i]
            right[offset + i] += (old[row + 1] + t * (new[row + 1] - old[row + 1])) * x[i]
    else:
        gain_left, gain_right = new[row], new[row + 1]
        if gain_left == 0.0 and gain_right == 0.0:
            return
        for i in range(first, last):
            left[offset + i] += gain_left * x[i]
            right[offset + i] += gain_right * x[i]


@njit(cache=True, nogil=True)
def strips(
    planar: Array, position: int, old_c: Array, new_c: Array, idle: NDArray[np.bool_], old_g: Array, new_g: Array,
    progress: NDArray[np.int64], glide: int, tail: int, history: Array, keys: NDArray[np.uint64], noise_rms: float,
    sums: Array,
) -> None:  # fmt: skip
    """Pass every desk input (strips, n) through its strip and add it to ``sums`` (6, n).

    Rows of the sums and columns of the gains: signal L, R; crosstalk L, R; strip noise L, R. ``progress`` counts the
    samples since the strip's last change, up to ``glide + tail``. A strip whose gains have glided to nothing is shut:
    its filters forget, and it costs nothing.
    """
    frames = planar.shape[1]
    sums[:] = 0.0
    noise, words = np.empty(SEGMENT), np.empty(SEGMENT, dtype=np.uint64)
    start = 0
    while start < frames:
        size = min(SEGMENT - (position + start) % SEGMENT, frames - start)
        for strip in range(planar.shape[0]):
            _strip_segment(
                planar[strip, start : start + size], position + start, strip, old_c[strip], new_c[strip], idle[strip],
                old_g[strip], new_g[strip], progress, glide, tail, history[strip], keys[strip], noise_rms, noise,
                words, sums, start,
            )  # fmt: skip
        start += size


@njit(cache=True, nogil=True)
def _strip_segment(
    x: Array, position: int, strip: int, old_c: Array, new_c: Array, idle: NDArray[np.bool_], old_g: Array,
    new_g: Array, progress: NDArray[np.int64], glide: int, tail: int, history: Array, key: np.uint64,
    noise_rms: float, noise: Array, words: NDArray[np.uint64], sums: Array, offset: int,
) -> None:  # fmt: skip
    size = x.shape[0]
    shut = True
    for row in range(6):
        if new_g[row] != 0.0:
            shut = False
    done = 0
    while done < size:
        at = progress[strip]
        if at < glide:
            mode, last = 0, min(size, done + glide - at)
        elif shut:
            history[:] = 0.0
            progress[strip] = glide + tail
            return
        elif at < glide + tail:
            mode, last = 1, min(size, done + glide + tail - at)
        else:
            mode, last = 2, size
        quiet = True
        for i in range(done, last):
            if x[i] != 0.0:
                quiet = False
                break
        if quiet:
            for node in range(SECTIONS + 1):
                if history[node, 0] != 0.0 or history[node, 1] != 0.0:
                    quiet = False
        if not quiet:
            if mode == 2:
                _filter_settled(x, done, last, new_c, idle, history)
            else:
                _filter_moving(x, done, last, old_c, new_c, history, mode == 0, at, glide)
            _accumulate(x, done, last, old_g, new_g, mode == 0, at, glide, sums, 0, offset)
            _accumulate(x, done, last, old_g, new_g, mode == 0, at, glide, sums, 2, offset)
        if noise_rms > 0.0:
            normals(key, position + done, noise_rms, words[done:last], noise[done:last])
            _accumulate(noise, done, last, old_g, new_g, mode == 0, at, glide, sums, 4, offset)
        if mode != 2:
            progress[strip] = at + last - done
        done = last
    if (position + size) % SEGMENT == 0:
        for node in range(SECTIONS + 1):
            for k in range(2):
                if abs(history[node, k]) < _TINY:
                    history[node, k] = 0.0


@njit(cache=True, nogil=True)
def saturate(
    sums: Array, position: int, keys: NDArray[np.uint64], noise_rms: float, hum_table: Array, hum_rms: float,
    hum_cycles: float, a2: float, a3: float, rail: float, leak: float, blocked: Array, parts: Array, out: Array,
) -> None:  # fmt: skip
    """Sum both sides, add bus noise and hum, and bend the result.

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
            noise = sums[4 + side, i]
            if noise_rms > 0.0:
                noise += noise_rms * _normal(keys[side], position + i)
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


@njit(cache=True, nogil=True, inline="always")
def _static_reduction(level_db: float, threshold_db: float, slope: float) -> float:
    """Gain change [dB, ≤ 0] above a 6 dB quadratic knee (Giannoulis, Massberg & Reiss, JAES 60(6), 2012, eq. 4)."""
    over = level_db - threshold_db
    if over <= -3.0:
        return 0.0
    if over >= 3.0:
        return -slope * over
    return -slope * (over + 3.0) * (over + 3.0) / 12.0


@njit(cache=True, nogil=True)
def master(
    bus: Array, parts: Array, position: int, old: Array, new: Array, progress: NDArray[np.int64], glide: int,
    comp: Array, keys: NDArray[np.uint64], noise_rms: float, envelope: Array, loop: Array, tally: bool,
    totals: Array,
) -> None:  # fmt: skip
    """Pass the sum (2, n) in place through the insert (matrix, compressor, matrix) and the master fader.

    ``new``: 0–15 the matrix's gains output·4 + input, 16 insert in, 17 master fader, 18 compressor in circuit,
    19 make-up [dB]. ``comp``: threshold [dB re full scale], slope 1 − 1/ratio, attack and release coefficients.
    ``loop`` (5, 2) holds the compressor's last outputs (whole signal, then each part), which a wrong tie can feed
    back. With ``tally`` the energy of each part at the output is added to ``totals`` (4, 2).
    """
    now = new.copy()
    source, sink, hiss = np.empty(4), np.empty(2), np.empty(2)
    for i in range(bus.shape[1]):
        if progress[0] < glide:
            t = _smooth(progress[0], glide)
            for k in range(now.shape[0]):
                now[k] = old[k] + t * (new[k] - old[k])
            progress[0] += 1
            if progress[0] == glide:
                now[:] = new
        inserted, level = now[16], now[17]
        if inserted == 0.0:
            envelope[0] = 0.0
            loop[:] = 0.0
            if tally:
                for part in range(4):
                    for side in range(2):
                        value = level * parts[2 * part + side, i]
                        totals[part, side] += value * value
            bus[0, i] *= level
            bus[1, i] *= level
            continue
        source[0], source[1], source[2], source[3] = bus[0, i], bus[1, i], loop[0, 0], loop[0, 1]
        for o in range(2):
            sink[o] = (
                now[4 * o] * source[0] + now[4 * o + 1] * source[1] + now[4 * o + 2] * source[2]
                + now[4 * o + 3] * source[3]
            )  # fmt: skip
        peak = max(abs(sink[0]), abs(sink[1]), 1e-10)
        wanted = _static_reduction(20.0 * math.log10(peak), comp[0], comp[1])
        pull = comp[2] if wanted < envelope[0] else comp[3]
        envelope[0] = wanted + pull * (envelope[0] - wanted)
        gain = now[18] * 10.0 ** ((envelope[0] + now[19]) / 20.0) + (1.0 - now[18])
        for side in range(2):
            own = noise_rms * _normal(keys[2 + side], position + i) if noise_rms > 0.0 else 0.0
            value = gain * sink[side] + own
            loop[0, side] = min(_HOWL, max(-_HOWL, value))
            hiss[side] = own
        for side in range(2):
            row = 8 + 4 * side
            returned = (
                now[row] * source[0] + now[row + 1] * source[1] + now[row + 2] * loop[0, 0] + now[row + 3] * loop[0, 1]
            )
            bus[side, i] = level * ((1.0 - inserted) * source[side] + inserted * returned)
        if tally:
            _tally_inserted(parts, i, now, gain, hiss, loop, totals)


@njit(cache=True, nogil=True)
def _tally_inserted(parts: Array, i: int, now: Array, gain: float, own: Array, loop: Array, totals: Array) -> None:
    """Take each part through the insert with the gains that the whole signal met; the compressor's noise is noise."""
    inserted, level = now[16], now[17]
    through = np.empty(2)
    for part in range(4):
        left, right = parts[2 * part, i], parts[2 * part + 1, i]
        last_left, last_right = loop[1 + part, 0], loop[1 + part, 1]
        for o in range(2):
            through[o] = gain * (
                now[4 * o] * left + now[4 * o + 1] * right + now[4 * o + 2] * last_left + now[4 * o + 3] * last_right
            )
            if part == 0:
                through[o] += own[o]
        for side in range(2):
            row = 8 + 4 * side
            loop[1 + part, side] = min(_HOWL, max(-_HOWL, through[side]))
            returned = now[row] * left + now[row + 1] * right + now[row + 2] * through[0] + now[row + 3] * through[1]
            direct = left if side == 0 else right
            value = level * ((1.0 - inserted) * direct + inserted * returned)
            totals[part, side] += value * value


@njit(cache=True, nogil=True)
def give_out(
    signal: Array, position: int, keys: NDArray[np.uint64], noise_rms: float, totals: Array, out: NDArray[np.float32]
) -> int:
    """Convert the returns (2, n) to a block (n, 2) behind the A/Ds; returns the samples that clipped."""
    clipped = 0
    for side in range(2):
        for i in range(signal.shape[1]):
            value = signal[side, i]
            if noise_rms > 0.0:
                noise = noise_rms * _normal(keys[side], position + i)
                totals[0, side] += noise * noise
                value += noise
            if not -1.0 <= value <= 1.0:
                clipped += 1
                value = 1.0 if value > 0.0 else -1.0
            out[i, side] = value
    return clipped
