"""Logarithms to base 2 and back as polynomials: no call, so that loops of them run many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from dsp.kernels.compiled import part

__all__ = ["DB_PER_OCTAVE", "OCTAVES_PER_DB", "exp2", "log2"]

DB_PER_OCTAVE = 6.020599913279624
"""20 log10 2: decibels of a doubled amplitude."""

OCTAVES_PER_DB = 0.16609640474436813

_EXPONENT = np.int64(-0x0010000000000000)
_ONE_BITS = np.int64(0x3FF0000000000000)
_ROOT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
_ROUND = 6755399441055744.0  # 1.5 · 2^52: its low bits count in ones, and adding it rounds to the nearest whole number
_ROUND_BITS = np.int64(0x4338000000000000)
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
def log2(x: float) -> float:
    """log2 of a positive normal number: atanh series on the mantissa, error below 1e-14."""
    b = _bits(x)
    whole = (b - _ROOT_HALF_BITS) & _EXPONENT  # the power of two that leaves √½ to √2
    exponent = _from_bits((whole >> 52) + _ROUND_BITS) - _ROUND
    m = _from_bits(b - whole)
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
def exp2(x: float) -> float:
    """2**x for |x| < 1000: Taylor series around the nearest whole power, error below 1e-14; exactly 1 for 0."""
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
