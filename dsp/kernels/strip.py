"""Compiled loops of a strip: filters, compressor, and the sum of all strips.

Every loop gives the same bits for any block size and any number of threads: no reassociation and no fused
multiply-add (numba's default, strict IEEE arithmetic), work cut at absolute frame numbers, sums in a fixed order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

RAMP_FRAMES = 64
"""Frames between two knots of a moving gain."""

TINY = 1e-30
"""States below this (−600 dBFS) are set to zero, far above the denormals that would slow the loops down."""

COMPRESSOR_WORDS = 7
"""Length of a compressor's row: threshold dB, slope 1/R − 1, half knee dB, slope / (2 knee), attack, release,
make-up (linear)."""

_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_ONE_BITS = np.int64(0x3FF0000000000000)
_MAGIC_BITS = np.int64(0x4330000000000000)
_MAGIC = 4503599627370496.0  # 2^52: a float64 whose low bits count in ones
_ROUND = 6755399441055744.0  # 1.5 · 2^52: adding it rounds to the nearest whole number
_SQRT2 = 1.4142135623730951
_DB_PER_OCTAVE = 6.020599913279624  # 20 log10 2
_OCTAVES_PER_DB = 0.16609640474436813
_LN2 = 0.6931471805599453
_TWO_OVER_LN2 = 2.8853900817779268


@intrinsic
def _bits(typing_context: Any, x: Any) -> Any:
    """Reinterpret a float64 as int64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _from_bits(typing_context: Any, x: Any) -> Any:
    """Reinterpret an int64 as float64."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _log2(x: float) -> float:
    """log2 of a positive normal number: atanh series on the mantissa, error below 1e-14, no call, vectorises."""
    b = _bits(x)
    exponent = _from_bits((b >> 52) | _MAGIC_BITS) - _MAGIC - 1023.0
    m = _from_bits((b & _MANTISSA) | _ONE_BITS)
    above = m > _SQRT2
    m = 0.5 * m if above else m
    exponent = exponent + 1.0 if above else exponent
    t = (m - 1.0) / (m + 1.0)
    u = t * t
    p = 1.0 / 17.0
    p = p * u + 1.0 / 15.0
    p = p * u + 1.0 / 13.0
    p = p * u + 1.0 / 11.0
    p = p * u + 1.0 / 9.0
    p = p * u + 1.0 / 7.0
    p = p * u + 1.0 / 5.0
    p = p * u + 1.0 / 3.0
    result: float = exponent + _TWO_OVER_LN2 * (t + t * u * p)
    return result


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _exp2(x: float) -> float:
    """2**x for |x| < 1000: Taylor series around the nearest whole power, error below 1e-14, no call, vectorises."""
    shifted = x + _ROUND
    f = (x - (shifted - _ROUND)) * _LN2
    p = 1.0 / 39916800.0
    p = p * f + 1.0 / 3628800.0
    p = p * f + 1.0 / 362880.0
    p = p * f + 1.0 / 40320.0
    p = p * f + 1.0 / 5040.0
    p = p * f + 1.0 / 720.0
    p = p * f + 1.0 / 120.0
    p = p * f + 1.0 / 24.0
    p = p * f + 1.0 / 6.0
    p = p * f + 0.5
    p = p * f + 1.0
    p = p * f + 1.0
    result: float = p * _from_bits((_bits(shifted) << 52) + _ONE_BITS)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _one_section(w: F64, n: int, a: F64, state: F64) -> None:
    d, c1, c2, p11, p12, q1, p21, p22, q2 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]
    s1, s2 = state[0], state[1]
    for i in range(n):
        x = w[i]
        w[i] = d * x + (c1 * s1 + c2 * s2)
        t = (p11 * s1 + p12 * s2) + q1 * x
        s2 = (p21 * s1 + p22 * s2) + q2 * x
        s1 = t
    state[0] = s1
    state[1] = s2


@njit(nogil=True, cache=True, error_model="numpy")
def _two_sections(w: F64, n: int, a: F64, b: F64, state_a: F64, state_b: F64) -> None:
    """Two sections in one loop: each waits for its own last state, so the processor works on both at once."""
    d, c1, c2, p11, p12, q1, p21, p22, q2 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]
    e, f1, f2, r11, r12, u1, r21, r22, u2 = b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]
    s1, s2 = state_a[0], state_a[1]
    z1, z2 = state_b[0], state_b[1]
    for i in range(n):
        x = w[i]
        y = d * x + (c1 * s1 + c2 * s2)
        t = (p11 * s1 + p12 * s2) + q1 * x
        s2 = (p21 * s1 + p22 * s2) + q2 * x
        s1 = t
        w[i] = e * y + (f1 * z1 + f2 * z2)
        t = (r11 * z1 + r12 * z2) + u1 * y
        z2 = (r21 * z1 + r22 * z2) + u2 * y
        z1 = t
    state_a[0] = s1
    state_a[1] = s2
    state_b[0] = z1
    state_b[1] = z2


@njit(nogil=True, cache=True, error_model="numpy")
def _compress(work: F64, n: int, row: F64, reduction: F64, level: F64) -> None:
    """Compress ``work`` (channels, n) in place; ``reduction[0]`` is the smoothed gain reduction in dB (≤ 0).

    Static curve: quadratic soft knee; smoothing of the gain in dB by a branching one-pole (Giannoulis, Massberg and
    Reiss, "Digital Dynamic Range Compressor Design", JAES 60, 2012, eq. 4 and 16). Detector: maximum of |channels|.
    """
    threshold, slope, half_knee, in_knee, attack, release, makeup = (
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
    )
    knee = 2.0 * half_knee
    channels = work.shape[0]
    first = work[0]
    for i in range(n):
        level[i] = max(abs(first[i]), 1e-15)
    for c in range(1, channels):
        w = work[c]
        for i in range(n):
            level[i] = max(level[i], abs(w[i]))
    for i in range(n):
        over = _DB_PER_OCTAVE * _log2(level[i]) - threshold
        t = min(max(over + half_knee, 0.0), knee)
        level[i] = in_knee * t * t + slope * max(over - half_knee, 0.0)
    s = reduction[0]
    for i in range(n):
        target = level[i]
        s = target + (attack if target < s else release) * (s - target)
        level[i] = s
    reduction[0] = s
    for i in range(n):
        level[i] = makeup * _exp2(_OCTAVES_PER_DB * level[i])
    for c in range(channels):
        w = work[c]
        for i in range(n):
            w[i] *= level[i]


@njit(nogil=True, cache=True, error_model="numpy")
def run_strip(
    x: NDArray[Any],
    position: int,
    gain: float,
    sections: F64,
    states: F64,
    compressor: F64,
    reduction: F64,
    work: F64,
    planar: F64,
    out: NDArray[Any],
) -> None:
    """Run one strip: ``x`` (n, ch) → ``out`` (n, ch), and the same in float64 → ``planar`` (ch, ≥ n).

    ``position`` is the frame number of ``x[0]`` since the start; ``sections`` (K, 9) rows of ``state_space``;
    ``states`` (K, ch, 2); ``compressor`` of COMPRESSOR_WORDS, or of length 0 for none; ``reduction`` (1,) dB;
    ``work`` (ch + 1, SLICE_FRAMES) scratch.
    """
    n, channels = x.shape
    count = sections.shape[0]
    level = work[channels]
    start = 0
    while start < n:
        m = min(n - start, SLICE_FRAMES - (position + start) % SLICE_FRAMES)
        if (position + start) % SLICE_FRAMES == 0:
            for k in range(count):
                for c in range(channels):
                    if abs(states[k, c, 0]) < TINY:
                        states[k, c, 0] = 0.0
                    if abs(states[k, c, 1]) < TINY:
                        states[k, c, 1] = 0.0
            if abs(reduction[0]) < TINY:
                reduction[0] = 0.0
        for c in range(channels):
            w = work[c]
            for i in range(m):
                w[i] = gain * x[start + i, c]
            k = 0
            while k + 1 < count:
                _two_sections(w, m, sections[k], sections[k + 1], states[k, c], states[k + 1, c])
                k += 2
            if k < count:
                _one_section(w, m, sections[k], states[k, c])
        if compressor.shape[0] > 0:
            _compress(work[:channels], m, compressor, reduction, level)
        for c in range(channels):
            w = work[c]
            p = planar[c]
            for i in range(m):
                p[start + i] = w[i]
                out[start + i, c] = w[i]
        start += m


@njit(nogil=True, cache=True, error_model="numpy")
def sum_strips(planar: F64, n: int, gains: F64, bus: F64) -> None:
    """Sum ``planar`` (channels, ≥ n) into ``bus`` (4, ≥ n): left, right, reverb left, reverb right.

    ``gains`` (channels, 4). One channel after the other in a fixed order; a gain of 0 adds nothing.
    """
    for side in range(4):
        b = bus[side]
        for i in range(n):
            b[i] = 0.0
        for c in range(planar.shape[0]):
            g = gains[c, side]
            if g != 0.0:
                p = planar[c]
                for i in range(n):
                    b[i] += g * p[i]


@njit(nogil=True, cache=True, error_model="numpy")
def sum_moving_strips(planar: F64, n: int, knots: F64, offset: int, bus: F64) -> None:
    """Sum ``planar`` like ``sum_strips``, with gains that go straight from knot to knot.

    ``knots`` (channels, 4, ≥ 2) stand ``RAMP_FRAMES`` apart; the first frame lies ``offset`` frames after knot 0.
    """
    for side in range(4):
        b = bus[side]
        for i in range(n):
            b[i] = 0.0
        for c in range(planar.shape[0]):
            p = planar[c]
            start = 0
            while start < n:
                knot = (offset + start) // RAMP_FRAMES
                stop = min(n, (knot + 1) * RAMP_FRAMES - offset)
                here, there = knots[c, side, knot], knots[c, side, knot + 1]
                if here == there:
                    if here != 0.0:
                        for i in range(start, stop):
                            b[i] += here * p[i]
                else:
                    for i in range(start, stop):
                        at = (offset + i - knot * RAMP_FRAMES) / RAMP_FRAMES
                        b[i] += (here + (there - here) * at) * p[i]
                start = stop
