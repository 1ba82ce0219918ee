"""The strips' inner loops, compiled by numba: float64, no GIL, strictly in sample order.

Nothing here depends on how the samples were cut into blocks: glides, tails and flushes happen at sample positions,
noise is a function of (key, sample position), and IEEE arithmetic is neither reordered nor contracted (no fastmath).

Every loop has one signature, allocates nothing and slices nothing, because all of them are compiled where a machine
first meets the room. Those behind the strips are in ``kernels_bus``, which takes nothing from here: numba keeps the
two files' code apart.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["NOTHING", "SECTIONS", "normals", "strips", "take_in"]

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

_ZIG_R = 3.6541528853610088
_ZIG_V = 0.00492867323399

_FROM_PYTHON = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER = {**_FROM_PYTHON, "no_cpython_wrapper": True, "_nrt": False}
"""What is called from other loops only needs no way in from Python."""


def _ziggurat() -> tuple[Array, Array]:
    """Edges of 256 layers of equal area under the normal density (Marsaglia & Tsang 2000) and the density there."""
    edges = np.zeros(257)
    edges[0], edges[1] = _ZIG_V / math.exp(-_ZIG_R * _ZIG_R / 2), _ZIG_R
    for i in range(1, 255):
        edges[i + 1] = math.sqrt(-2 * math.log(_ZIG_V / edges[i] + math.exp(-edges[i] * edges[i] / 2)))
    return edges, np.exp(-edges * edges / 2)


_EDGES, _DENSITY = _ziggurat()


@njit("u8(u8)", **_INNER)
def _mix(state: np.uint64) -> np.uint64:
    """Finalise one SplitMix64 step (Steele, Lea & Flood 2014)."""
    state = (state ^ (state >> _S30)) * _MIX1
    state = (state ^ (state >> _S27)) * _MIX2
    return state ^ (state >> _S31)


@njit("f8(u8, u8)", **_INNER)
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


@njit("void(u8, i8, f8, u8[::1], f8[::1], i8, i8)", **_FROM_PYTHON)
def normals(
    key: np.uint64, position: int, rms: float, words: NDArray[np.uint64], out: Array, first: int, last: int
) -> None:
    """Fill out[first:last] with the noise of one key, out[first] at ``position``; ``words`` is room for its hashes."""
    start = key + np.uint64(position) * _GOLDEN
    for i in range(last - first):
        words[i] = _mix(start + np.uint64(i) * _GOLDEN)
    for i in range(last - first):
        word = words[i]
        layer = np.int64(word & _LAYER)
        value = np.float64(word >> _S11) * _UNIT * _EDGES[layer]
        sign = rms - (rms + rms) * np.float64((word >> _S8) & _ONE)
        if value < _EDGES[layer + 1]:
            out[first + i] = value * sign
        else:
            out[first + i] = rms * _slow_normal(start + np.uint64(i) * _GOLDEN, word)


@njit("i8(f4[:,::1], i8[:,::1], f8[:,::1])", **_FROM_PYTHON)
def take_in(block: NDArray[np.float32], wiring: NDArray[np.int64], planar: Array) -> int:
    """Convert a block (n, inputs) to one row per desk input at the D/As' outputs; returns the samples that clipped.

    ``wiring`` (strips, 2) names the outputs that feed a strip. Two that are tied together each drive the other's
    source impedance: half the sum arrives. `NOTHING` stands for no (second) source.
    """
    clipped = 0
    for strip in range(planar.shape[0]):
        for i in range(block.shape[0]):
            planar[strip, i] = 0.0
        share = 1.0 if wiring[strip, 1] == NOTHING else 0.5
        for k in range(2):
            source = wiring[strip, k]
            if source == NOTHING:
                continue
            for i in range(block.shape[0]):
                value = float(block[i, source])
                if not -1.0 <= value <= 1.0:
                    clipped += 1
                    value = 1.0 if value > 1.0 else (-1.0 if value < -1.0 else 0.0)
                planar[strip, i] += share * value
    return clipped


@njit("void(f8[::1], i8, i8, f8[:,::1], b1[::1], f8[:,::1], f8[:,::1])", **_INNER)
def _filter_settled(
    x: Array, first: int, last: int, c: Array, idle: NDArray[np.bool_], history: Array, start: Array
) -> None:
    """Run the sections that do something; the idle ones are wires, whose history is that of their input.

    Two sections run in one loop, so that their recursions overlap in the processor. ``start`` is room for ``history``.
    """
    for section in range(SECTIONS):
        if idle[section]:
            history[section + 1, 0], history[section + 1, 1] = history[section, 0], history[section, 1]
    newest, older = x[last - 1], x[last - 2] if last - first > 1 else history[0, 0]
    for node in range(SECTIONS + 1):
        start[node, 0], start[node, 1] = history[node, 0], history[node, 1]
    waiting = -1
    for section in range(SECTIONS + 1):
        if section < SECTIONS:
            if idle[section]:
                continue
            if waiting < 0:
                waiting = section
                continue
        elif waiting < 0:
            continue
        b0, b1, b2, a1, a2 = c[waiting, 0], c[waiting, 1], c[waiting, 2], c[waiting, 3], c[waiting, 4]
        x1, x2 = start[waiting, 0], start[waiting, 1]
        y1, y2 = history[waiting + 1, 0], history[waiting + 1, 1]
        if section == SECTIONS:
            for i in range(first, last):
                x0 = x[i]
                y0 = (b0 * x0 + b1 * x1 + b2 * x2 - a2 * y2) - a1 * y1
                x2, x1, y2, y1 = x1, x0, y1, y0
                x[i] = y0
        else:
            d0, d1, d2, e1, e2 = c[section, 0], c[section, 1], c[section, 2], c[section, 3], c[section, 4]
            u1, u2 = start[section, 0], start[section, 1]
            v1, v2 = history[section + 1, 0], history[section + 1, 1]
            for i in range(first, last):
                x0 = x[i]
                y0 = (b0 * x0 + b1 * x1 + b2 * x2 - a2 * y2) - a1 * y1
                v0 = (d0 * y0 + d1 * u1 + d2 * u2 - e2 * v2) - e1 * v1
                x2, x1, y2, y1 = x1, x0, y1, y0
                u2, u1, v2, v1 = u1, y0, v1, v0
                x[i] = v0
            history[section + 1, 0], history[section + 1, 1] = v1, v2
        history[waiting + 1, 0], history[waiting + 1, 1] = y1, y2
        waiting = -1
    history[0, 0], history[0, 1] = newest, older
    for section in range(SECTIONS):
        if idle[section]:
            history[section + 1, 0], history[section + 1, 1] = history[section, 0], history[section, 1]


@njit("void(f8[::1], i8, i8, f8[:,::1], f8[:,::1], f8[:,::1], b1, i8, i8)", **_INNER)
def _filter_moving(
    x: Array, first: int, last: int, old: Array, new: Array, history: Array, gliding: bool, at: int, length: int
) -> None:
    """Run all sections, on their way to new coefficients or in the tail after that."""
    newest, older = history[0, 0], history[0, 1]
    for section in range(SECTIONS):
        x1, x2 = newest, older
        y1, y2 = history[section + 1, 0], history[section + 1, 1]
        newest, older = y1, y2
        b0, b1, b2, a1, a2 = new[section, 0], new[section, 1], new[section, 2], new[section, 3], new[section, 4]
        if gliding:
            o0, o1, o2, p1, p2 = old[section, 0], old[section, 1], old[section, 2], old[section, 3], old[section, 4]
            for i in range(first, last):
                t = (at + i - first + 1) / length
                t = t * t * (3.0 - 2.0 * t)
                x0 = x[i]
                y0 = (o0 + t * (b0 - o0)) * x0
                y0 += (o1 + t * (b1 - o1)) * x1
                y0 += (o2 + t * (b2 - o2)) * x2
                y0 -= (p2 + t * (a2 - p2)) * y2
                y0 -= (p1 + t * (a1 - p1)) * y1
                x2, x1, y2, y1 = x1, x0, y1, y0
                x[i] = y0
        else:
            for i in range(first, last):
                x0 = x[i]
                y0 = (b0 * x0 + b1 * x1 + b2 * x2 - a2 * y2) - a1 * y1
                x2, x1, y2, y1 = x1, x0, y1, y0
                x[i] = y0
        if section == 0:
            history[0, 0], history[0, 1] = x1, x2
        history[section + 1, 0], history[section + 1, 1] = y1, y2


@njit("void(f8[::1], i8, i8, f8[:,::1], f8[:,::1], i8, b1, i8, i8, f8[:,::1], i8)", **_INNER)
def _accumulate(
    x: Array, first: int, last: int, old_g: Array, new_g: Array, strip: int, gliding: bool, at: int, length: int,
    sums: Array, row: int,
) -> None:  # fmt: skip
    """Add x[first:last] to rows ``row`` and ``row + 1`` of the sums with the strip's gains of those rows.

    A glide is a smoothstep: no corner at either end.
    """
    left, right = sums[row], sums[row + 1]
    gain_left, gain_right = new_g[strip, row], new_g[strip, row + 1]
    if gliding:
        from_left, from_right = old_g[strip, row], old_g[strip, row + 1]
        for i in range(first, last):
            t = (at + i - first + 1) / length
            t = t * t * (3.0 - 2.0 * t)
            left[i] += (from_left + t * (gain_left - from_left)) * x[i]
            right[i] += (from_right + t * (gain_right - from_right)) * x[i]
    elif gain_left != 0.0 or gain_right != 0.0:
        for i in range(first, last):
            left[i] += gain_left * x[i]
            right[i] += gain_right * x[i]


@njit(
    "void(f8[:,::1], i8, f8[:,:,::1], f8[:,:,::1], b1[:,::1], f8[:,::1], f8[:,::1], i8[::1], i8, i8, f8[:,:,::1], "
    "u8[::1], f8, f8[::1], u8[::1], f8[:,::1], f8[:,::1])",
    **_FROM_PYTHON,
)
def strips(
    planar: Array, position: int, old_c: Array, new_c: Array, idle: NDArray[np.bool_], old_g: Array, new_g: Array,
    progress: NDArray[np.int64], glide: int, tail: int, history: Array, keys: NDArray[np.uint64], noise_rms: float,
    noise: Array, words: NDArray[np.uint64], start: Array, sums: Array,
) -> None:  # fmt: skip
    """Pass every desk input (strips, n) through its strip and add it to ``sums`` (6, n).

    Rows of the sums and columns of the gains: signal L, R; crosstalk L, R; strip noise L, R. ``progress`` counts the
    samples since the strip's last change, up to ``glide + tail``. A strip whose gains have glided to nothing is shut:
    its filters forget, and it costs nothing. ``noise`` (n), ``words`` (n) and ``start`` (SECTIONS + 1, 2) are scratch.
    """
    frames = planar.shape[1]
    for row in range(6):
        for i in range(frames):
            sums[row, i] = 0.0
    begin = 0
    while begin < frames:
        end = begin + min(SEGMENT - (position + begin) % SEGMENT, frames - begin)
        for strip in range(planar.shape[0]):
            x, h = planar[strip], history[strip]
            shut = True
            for row in range(6):
                if new_g[strip, row] != 0.0:
                    shut = False
            done = begin
            while done < end:
                at = progress[strip]
                gliding, settled, last = False, False, end
                if at < glide:
                    gliding, last = True, min(end, done + glide - at)
                elif shut:
                    for node in range(SECTIONS + 1):
                        h[node, 0], h[node, 1] = 0.0, 0.0
                    progress[strip] = glide + tail
                    break
                elif at < glide + tail:
                    last = min(end, done + glide + tail - at)
                else:
                    settled = True
                quiet = True
                for i in range(done, last):
                    if x[i] != 0.0:
                        quiet = False
                        break
                if quiet:
                    for node in range(SECTIONS + 1):
                        if h[node, 0] != 0.0 or h[node, 1] != 0.0:
                            quiet = False
                if not quiet:
                    if settled:
                        _filter_settled(x, done, last, new_c[strip], idle[strip], h, start)
                    else:
                        _filter_moving(x, done, last, old_c[strip], new_c[strip], h, gliding, at, glide)
                    for row in range(0, 4, 2):
                        _accumulate(x, done, last, old_g, new_g, strip, gliding, at, glide, sums, row)
                if noise_rms > 0.0:
                    normals(keys[strip], position + done, noise_rms, words, noise, done, last)
                    _accumulate(noise, done, last, old_g, new_g, strip, gliding, at, glide, sums, 4)
                if not settled:
                    progress[strip] = at + last - done
                done = last
            if (position + end) % SEGMENT == 0:
                for node in range(SECTIONS + 1):
                    for k in range(2):
                        if abs(h[node, k]) < _TINY:
                            h[node, k] = 0.0
        begin = end
