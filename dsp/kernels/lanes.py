"""Sixteen channels in one vector: a float32 value type for kernels, LLVM's ``<16 x float>``.

A recursive filter or a compressor has to go through time one frame after the other. Its channels do not wait for each
other, so one vector holds one frame of sixteen channels. LLVM splits the vector where a machine's registers are
narrower.

Every operation is one IEEE operation in the order it is written. The only fused one is ``multiply_add``, which is fused
wherever the machine is quick at it and nowhere else, however a loop was unrolled. So a lane's bits depend on its own
samples and numbers alone.

Places in memory are counted in float32 from the start of a C-contiguous array, or from an address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

__all__ = [
    "LANES",
    "add",
    "doubled",
    "exponent",
    "join_pair",
    "keep",
    "larger",
    "load",
    "magnitude",
    "mantissa",
    "multiply",
    "multiply_add",
    "nearest",
    "peek",
    "poke",
    "read",
    "smaller",
    "splat",
    "split_pair",
    "store",
    "subtract",
    "sum_four",
    "swap_neighbours",
    "transpose",
    "where_below",
    "write",
]

LANES = 16

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES)
_QUAD = ir.VectorType(_F32, 4)
_BYTES = 4


class LanesType(types.Type):  # type: ignore[misc]
    """The vector's type in numba."""

    def __init__(self) -> None:
        super().__init__("Lanes16")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, front_end: Any) -> None:
        super().__init__(manager, front_end, _FLOATS)


Generate = Callable[..., Any]
"""(builder, values …) → the resulting value."""


def _lowered(generate: Generate) -> Callable[..., Any]:
    def lower(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        return generate(builder, *values)

    return lower


def _one(generate: Generate) -> Any:
    """Declare an operation lane → lane."""

    def operation(typing_context: Any, a: Any) -> Any:
        return lanes(lanes), _lowered(generate)

    return intrinsic(operation)


def _two(generate: Generate) -> Any:
    """Declare an operation (lane, lane) → lane."""

    def operation(typing_context: Any, a: Any, b: Any) -> Any:
        return lanes(lanes, lanes), _lowered(generate)

    return intrinsic(operation)


def _integers(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


def _floats(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * LANES)


def _pick(builder: Any, a: Any, b: Any, places: Sequence[int]) -> Any:
    """Return the lanes of ``a`` and ``b``, laid end to end, that stand at ``places``."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(places)), list(places)))


def _bits(builder: Any, a: Any) -> Any:
    return builder.bitcast(a, _INTS)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _magnitude(builder: Any, a: Any) -> Any:
    return builder.bitcast(builder.and_(_bits(builder, a), _integers(0x7FFF_FFFF)), _FLOATS)


def _exponent(builder: Any, a: Any) -> Any:
    biased = builder.lshr(_bits(builder, a), _integers(23))
    return builder.sitofp(builder.sub(biased, _integers(127)), _FLOATS)


def _mantissa(builder: Any, a: Any) -> Any:
    fraction = builder.and_(_bits(builder, a), _integers(0x007F_FFFF))
    return builder.bitcast(builder.or_(fraction, _integers(0x3F80_0000)), _FLOATS)


_ROUND = 12_582_912.0  # 1.5 · 2²³: adding it to a float32 below 2²² rounds that to the nearest whole number


def _nearest(builder: Any, a: Any) -> Any:
    return builder.fsub(builder.fadd(a, _floats(_ROUND)), _floats(_ROUND))


def _doubled(builder: Any, a: Any, times: Any) -> Any:
    # The low bits of a whole number plus _ROUND are that number; moved up to the exponent they multiply by 2^times.
    whole = builder.shl(_bits(builder, builder.fadd(times, _floats(_ROUND))), _integers(23))
    return builder.bitcast(builder.add(_bits(builder, a), whole), _FLOATS)


add = _two(lambda builder, a, b: builder.fadd(a, b))
subtract = _two(lambda builder, a, b: builder.fsub(a, b))
multiply = _two(lambda builder, a, b: builder.fmul(a, b))
larger = _two(_larger)
smaller = _two(_smaller)
keep = _two(lambda b, a, mask: b.bitcast(b.and_(_bits(b, a), _bits(b, mask)), _FLOATS))
"""``a`` where all bits of ``mask`` are set, 0 where none is."""
magnitude = _one(_magnitude)
exponent = _one(_exponent)
"""⌊log2⌋ of positive normal numbers."""
mantissa = _one(_mantissa)
"""Positive normal numbers divided by 2^exponent: 1 ≤ m < 2."""
nearest = _one(_nearest)
"""The nearest whole number, for magnitudes below 2²²."""
doubled = _two(_doubled)
"""``a`` · 2^times for whole ``times``, as long as the result is a normal number."""
swap_neighbours = _one(lambda builder, a: _pick(builder, a, a, [lane ^ 1 for lane in range(LANES)]))


@intrinsic
def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c."""

    def generate(builder: Any, *values: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.v16f32"), values)

    return lanes(lanes, lanes, lanes), _lowered(generate)


@intrinsic
def where_below(typing_context: Any, a: Any, b: Any, below: Any, otherwise: Any) -> Any:
    """Return ``below`` in the lanes where a < b, ``otherwise`` in the others."""

    def generate(builder: Any, a: Any, b: Any, below: Any, otherwise: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", a, b), below, otherwise)

    return lanes(lanes, lanes, lanes, lanes), _lowered(generate)


@intrinsic
def splat(typing_context: Any, a: Any) -> Any:
    """Return a float32 in every lane."""

    def generate(builder: Any, a: Any) -> Any:
        first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), a, ir.Constant(_I32, 0))
        return _pick(builder, first, first, [0] * LANES)

    return lanes(types.float32), _lowered(generate)


def _get(builder: Any, pointer: Any, kind: Any = _FLOATS) -> Any:
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = _BYTES
    return value


def _put(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = _BYTES


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def _address(builder: Any, address: Any, at: Any) -> Any:
    return builder.gep(builder.inttoptr(address, _F32.as_pointer()), [at])


@intrinsic
def load(typing_context: Any, array: Any, at: Any) -> Any:
    """Return the sixteen float32 of ``array`` from ``at`` on."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _get(builder, _place(context, builder, signature.args[0], *values))

    return lanes(array, types.intp), lower


@intrinsic
def store(typing_context: Any, array: Any, at: Any, a: Any) -> Any:
    """Put sixteen float32 into ``array`` from ``at`` on."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, a = values
        _put(builder, a, _place(context, builder, signature.args[0], array, at))
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes), lower


@intrinsic
def peek(typing_context: Any, address: Any, at: Any) -> Any:
    """Return the one float32 that lies ``at`` after ``address``."""

    def generate(builder: Any, address: Any, at: Any) -> Any:
        return _get(builder, _address(builder, address, at), _F32)

    return types.float32(types.int64, types.intp), _lowered(generate)


@intrinsic
def poke(typing_context: Any, address: Any, at: Any, a: Any) -> Any:
    """Put one float32 ``at`` after ``address``."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, at, a = values
        _put(builder, a, _address(builder, address, at))
        return context.get_dummy_value()

    return types.none(types.int64, types.intp, types.float32), lower


@intrinsic
def read(typing_context: Any, address: Any, at: Any) -> Any:
    """Return the sixteen float32 from ``at`` after ``address`` on."""

    def generate(builder: Any, address: Any, at: Any) -> Any:
        return _get(builder, _address(builder, address, at))

    return lanes(types.int64, types.intp), _lowered(generate)


@intrinsic
def write(typing_context: Any, address: Any, at: Any, a: Any) -> Any:
    """Put sixteen float32 from ``at`` after ``address`` on."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, at, a = values
        _put(builder, a, _address(builder, address, at))
        return context.get_dummy_value()

    return types.none(types.int64, types.intp, lanes), lower


@intrinsic
def split_pair(typing_context: Any, address: Any, at: Any, array: Any, left: Any, right: Any) -> Any:
    """Take sixteen stereo frames from ``at`` after ``address`` on apart, into ``array`` at ``left`` and ``right``."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, at, array, left, right = values
        a = _get(builder, _address(builder, address, at))
        b = _get(builder, _address(builder, address, builder.add(at, ir.Constant(at.type, LANES))))
        for side, place in enumerate((left, right)):
            taken = _pick(builder, a, b, range(side, 2 * LANES, 2))
            _put(builder, taken, _place(context, builder, signature.args[2], array, place))
        return context.get_dummy_value()

    return types.none(types.int64, types.intp, array, types.intp, types.intp), lower


@intrinsic
def join_pair(typing_context: Any, array: Any, left: Any, right: Any, address: Any, at: Any) -> Any:
    """Put sixteen stereo frames of ``array`` at ``left`` and ``right`` together, from ``at`` after ``address`` on."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, left, right, address, at = values
        a, b = (_get(builder, _place(context, builder, signature.args[0], array, place)) for place in (left, right))
        for half in range(2):
            frames = range(half * LANES // 2, (half + 1) * LANES // 2)
            joined = _pick(builder, a, b, [lane + side * LANES for lane in frames for side in range(2)])
            _put(builder, joined, _address(builder, address, builder.add(at, ir.Constant(at.type, half * LANES))))
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, types.int64, types.intp), lower


@intrinsic
def transpose(typing_context: Any, source: Any, at: Any, stride: Any, target: Any, to: Any, target_stride: Any) -> Any:
    """Turn a tile of 16 × 16 over: rows ``stride`` apart in ``source`` become columns ``target_stride`` apart."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, at, stride, target, to, target_stride = values

        def row(kind: Any, array: Any, start: Any, step: Any, k: int) -> Any:
            return _place(
                context, builder, kind, array, builder.add(start, builder.mul(step, ir.Constant(step.type, k)))
            )

        rows = [_get(builder, row(signature.args[0], source, at, stride, k)) for k in range(LANES)]
        # Blocks of half, a quarter … of the tile change places across the diagonal.
        for size in (8, 4, 2, 1):
            low = [LANES + lane - size if lane & size else lane for lane in range(LANES)]
            high = [LANES + lane if lane & size else lane + size for lane in range(LANES)]
            for k in range(LANES):
                if not k & size:
                    a, b = rows[k], rows[k + size]
                    rows[k], rows[k + size] = _pick(builder, a, b, low), _pick(builder, a, b, high)
        for k in range(LANES):
            _put(builder, rows[k], row(signature.args[3], target, to, target_stride, k))
        return context.get_dummy_value()

    place = types.intp
    return types.none(source, place, place, target, place, place), lower


@intrinsic
def sum_four(typing_context: Any, array: Any, at: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Put the sums over the lanes of ``a``, ``b``, ``c`` and ``d`` into ``array`` at ``at``; one fixed tree each."""

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, *addends = values

        def halves(a: Any, b: Any, size: int) -> Any:
            """Add the lanes of ``a`` that stand ``size`` apart, and those of ``b``; ``a``'s sums come first in both."""
            count = a.type.count
            places = [start + lane for start in range(0, 2 * count, 2 * size) for lane in range(size)]
            return builder.fadd(_pick(builder, a, b, places), _pick(builder, a, b, [place + size for place in places]))

        eights = [builder.fadd(_pick(builder, v, v, range(8)), _pick(builder, v, v, range(8, 16))) for v in addends]
        fours = [halves(eights[0], eights[1], 4), halves(eights[2], eights[3], 4)]  # a a a a b b b b
        twos = halves(fours[0], fours[1], 2)  # a a b b c c d d
        ones = builder.fadd(_pick(builder, twos, twos, range(0, 8, 2)), _pick(builder, twos, twos, range(1, 8, 2)))
        _put(builder, ones, _place(context, builder, signature.args[0], array, at))
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes, lanes, lanes, lanes), lower
