"""Compiled loop of a stereo bus: filters and compressor of two channels in float64.

Strict IEEE arithmetic in the order it is written, states cleaned at absolute frame numbers: the same bits however a
stream is cut into blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from dsp.kernels.compiled import kernel, part

SLICE_FRAMES = 128
"""Frames worked on at once; states are cleaned of denormals whenever the frame number is a multiple of this."""

_TINY = 1e-30  # states below this (−600 dBFS) are set to zero, far above the denormals that would slow the loop down
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


@part
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


@part
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


@part
def _cleaned(x: float) -> float:
    return x if abs(x) >= _TINY else 0.0


@part
def _sections(left: Any, right: Any, n: int, a: Any, state: Any) -> None:
    """Run one section over both channels, which do not wait for each other."""
    d, c1, c2, p11, p12, q1, p21, p22, q2 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]
    s1, s2, z1, z2 = state[0], state[1], state[2], state[3]
    for i in range(n):
        x, y = left[i], right[i]
        left[i] = d * x + (c1 * s1 + c2 * s2)
        right[i] = d * y + (c1 * z1 + c2 * z2)
        t = (p11 * s1 + p12 * s2) + q1 * x
        s2 = (p21 * s1 + p22 * s2) + q2 * x
        s1 = t
        t = (p11 * z1 + p12 * z2) + q1 * y
        z2 = (p21 * z1 + p22 * z2) + q2 * y
        z1 = t
    state[0], state[1], state[2], state[3] = s1, s2, z1, z2


@kernel(
    "f8[:,::1]", "i8", "f8[:,::1]", "f8[:,::1]", "f8[::1]", "f8[::1]", "f8[:,::1]", "f8[:,::1]"
)  # fmt: skip
def run_bus(
    x: Any, position: int, sections: Any, states: Any, compressor: Any, reduction: Any, work: Any, out: Any
) -> None:
    """Run ``x`` (n, 2) through filters and compressor into ``out`` (n, 2).

    ``position`` is the frame number of ``x[0]`` since the start; ``sections`` (K, 9) rows of ``state_space``;
    ``states`` (K, 4); ``compressor`` of ``dsp.dynamics.compressor_row``, or of length 0 for none; ``reduction`` (1,)
    dB; ``work`` (3, SLICE_FRAMES) scratch. The compressor is that of the strips (Giannoulis, Massberg and Reiss 2012,
    eq. 4 and 16), its detector the larger of the two magnitudes.
    """
    n = x.shape[0]
    left, right, level = work[0], work[1], work[2]
    start = 0
    while start < n:
        m = min(n - start, SLICE_FRAMES - (position + start) % SLICE_FRAMES)
        if (position + start) % SLICE_FRAMES == 0:
            for k in range(sections.shape[0]):
                for j in range(4):
                    states[k, j] = _cleaned(states[k, j])
            reduction[0] = _cleaned(reduction[0])
        for i in range(m):
            left[i] = x[start + i, 0]
            right[i] = x[start + i, 1]
        for k in range(sections.shape[0]):
            _sections(left, right, m, sections[k], states[k])
        if compressor.shape[0] > 0:
            threshold, slope, half_knee, in_knee = compressor[0], compressor[1], compressor[2], compressor[3]
            attack, release, makeup = compressor[4], compressor[5], compressor[6]
            for i in range(m):
                over = _DB_PER_OCTAVE * _log2(max(abs(left[i]), abs(right[i]), 1e-15)) - threshold
                t = min(max(over + half_knee, 0.0), 2.0 * half_knee)
                level[i] = in_knee * t * t + slope * max(over - half_knee, 0.0)
            s = reduction[0]
            for i in range(m):
                target = level[i]
                s = target + (attack if target < s else release) * (s - target)
                level[i] = s
            reduction[0] = s
            for i in range(m):
                gain = makeup * _exp2(_OCTAVES_PER_DB * level[i])
                left[i] *= gain
                right[i] *= gain
        for i in range(m):
            out[start + i, 0] = left[i]
            out[start + i, 1] = right[i]
        start += m
