"""What operators do with two numbers of one type: numba's own choice of LLVM's instructions.

Source: ``numba.cpython.numbers``, with the error model of numpy, which lets a division by zero be.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir as llvm  # type: ignore[import-untyped]
from numba.core import types

__all__ = ["FLOATS", "GROWING", "OPERATIONS", "comparison"]

FLOATS = (types.float32, types.float64)

_COMPARISONS = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}
GROWING = (operator.add, operator.mul)
"""What gives no negative number of two that are none."""

_Write = Callable[[Any, Any, Any], Any]


def comparison(kind: Any, sign: str) -> _Write:
    """Return how two numbers of a type are compared: NaN differs from every number and is neither above nor below."""
    if kind in FLOATS:
        name = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"
    else:
        name = "icmp_signed" if kind == types.int64 else "icmp_unsigned"
    return lambda builder, a, b: getattr(builder, name)(sign, a, b)


def _quotient(builder: Any, a: Any, b: Any) -> Any:
    return builder.fdiv(builder.sitofp(a, llvm.DoubleType()), builder.sitofp(b, llvm.DoubleType()))


def _operations() -> dict[tuple[Any, Any], _Write]:
    """Return what an operator does with two numbers of one type."""
    found: dict[tuple[Any, Any], _Write] = {}
    for kind in FLOATS:
        found[operator.add, kind] = lambda builder, a, b: builder.fadd(a, b)
        found[operator.sub, kind] = lambda builder, a, b: builder.fsub(a, b)
        found[operator.mul, kind] = lambda builder, a, b: builder.fmul(a, b)
        found[operator.truediv, kind] = lambda builder, a, b: builder.fdiv(a, b)
    found[operator.add, types.int64] = lambda builder, a, b: builder.add(a, b, flags=["nsw"])
    found[operator.sub, types.int64] = lambda builder, a, b: builder.sub(a, b, flags=["nsw"])
    found[operator.mul, types.int64] = lambda builder, a, b: builder.mul(a, b, flags=["nsw"])
    found[operator.truediv, types.int64] = _quotient
    for kind in (*FLOATS, types.int64, types.uint64):
        for op, sign in _COMPARISONS.items():
            found[op, kind] = comparison(kind, sign)
    return found


OPERATIONS = _operations()
