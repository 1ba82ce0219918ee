"""Values of several channels in one vector, and loops over them, put straight into LLVM's code.

A recursive filter or a compressor has to go through time one frame after the other. Its channels do not wait for each
other, so one vector holds one frame of sixteen channels (float32) or of two (float64). LLVM splits a vector where a
machine's registers are narrower.

Numba does not find such code by itself. So a kernel's inner loops are *stages*: functions that run once, when the
kernel is compiled, and write down with ``Lanes``, ``Place`` and ``Code`` what is to be computed. A stage may leave out
what a variant does not need, and compiles in a fraction of the time that numba needs for such a loop.

Every operation is one IEEE operation in the order it is written. The only fused one is ``multiply_add``, which is fused
wherever the machine is quick at it and nowhere else, however a loop was unrolled. So a lane's bits depend on its own
samples and numbers alone. NaN is nothing that lanes are made for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "STEREO",
    "STRIPS",
    "Cell",
    "Code",
    "Kind",
    "Lanes",
    "Place",
    "Stage",
    "apart",
    "joined",
    "larger",
    "multiply_add",
    "smaller",
    "stage",
    "turned",
    "where_below",
]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class Kind:
    """What a vector is made of: ``count`` channels in floating-point numbers of ``bits`` bits."""

    def __init__(self, bits: int, count: int) -> None:
        self.count = count
        self.element = ir.FloatType() if bits == 32 else ir.DoubleType()
        self.whole = ir.IntType(bits)
        self.bytes = bits // 8
        self.fraction_bits = 23 if bits == 32 else 52
        self.bias = 127 if bits == 32 else 1023
        self.floats = ir.VectorType(self.element, count)
        self.wholes = ir.VectorType(self.whole, count)
        self.suffix = f"v{count}f{bits}"


STRIPS = Kind(32, 16)
"""Sixteen strips' channels in float32."""

STEREO = Kind(64, 2)
"""The two sides of a bus in float64."""


class Code:
    """Where a stage writes down what is to be computed, with vectors of one kind."""

    def __init__(self, builder: Any, kind: Kind) -> None:
        self.builder = builder
        self.kind = kind

    def whole(self, number: int) -> Any:
        """Return a number that counts or says a place."""
        return ir.Constant(_I64, number)

    def all(self, number: float) -> Lanes:
        """Return a vector of one constant."""
        return Lanes(self, ir.Constant(self.kind.floats, [number] * self.kind.count))

    def spread(self, value: Any) -> Lanes:
        """Return a vector that holds one scalar in every lane."""
        nothing = ir.Constant(self.kind.floats, ir.Undefined)
        first = self.builder.insert_element(nothing, value, ir.Constant(_I32, 0))
        return Lanes(self, first).pick(range(0, 1), self.kind.count)

    def of(self, value: Lanes) -> Lanes:
        """Return a vector of another kind that is one of this kind."""
        return Lanes(self, value.value)

    def cell(self, value: Lanes) -> Cell:
        """Return a variable that begins as ``value``."""
        return Cell(self, value)

    def plus(self, *values: Any) -> Any:
        """Return a sum of whole numbers."""
        total, *others = [self.whole(value) if isinstance(value, int) else value for value in values]
        for value in others:
            total = self.builder.add(total, value)
        return total

    def times(self, a: Any, b: Any) -> Any:
        """Return a product of whole numbers."""
        a, b = (self.whole(value) if isinstance(value, int) else value for value in (a, b))
        return self.builder.mul(a, b)

    @contextmanager
    def each(self, count: Any) -> Iterator[Any]:
        """Go through 0 … count − 1."""
        count = self.whole(count) if isinstance(count, int) else count
        with cgutils.for_range(self.builder, count, intp=_I64) as loop:
            yield loop.index

    def call(self, name: str, *values: Lanes, flags: Sequence[str] = ()) -> Lanes:
        """Call LLVM's own function ``name`` of vectors."""
        wanted = ir.FunctionType(self.kind.floats, [self.kind.floats] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, wanted, f"llvm.{name}.{self.kind.suffix}")
        return Lanes(self, self.builder.call(function, [value.value for value in values], fastmath=flags))


class Lanes:
    """A vector while a stage is written down."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code = code
        self.value = value

    def __add__(self, other: Lanes) -> Lanes:
        return Lanes(self.code, self.code.builder.fadd(self.value, other.value))

    def __sub__(self, other: Lanes) -> Lanes:
        return Lanes(self.code, self.code.builder.fsub(self.value, other.value))

    def __mul__(self, other: Lanes) -> Lanes:
        return Lanes(self.code, self.code.builder.fmul(self.value, other.value))

    def __truediv__(self, other: Lanes) -> Lanes:
        return Lanes(self.code, self.code.builder.fdiv(self.value, other.value))

    @property
    def _bits(self) -> Any:
        return self.code.builder.bitcast(self.value, self.code.kind.wholes)

    def _wholes(self, number: int) -> Any:
        return ir.Constant(self.code.kind.wholes, [number] * self.code.kind.count)

    def _from(self, bits: Any) -> Lanes:
        return Lanes(self.code, self.code.builder.bitcast(bits, self.code.kind.floats))

    def magnitude(self) -> Lanes:
        """Return |a|."""
        return self.code.call("fabs", self)

    def kept(self, mask: Lanes) -> Lanes:
        """Return the value where all bits of ``mask`` are set, 0 where none is."""
        return self._from(self.code.builder.and_(self._bits, mask._bits))

    def exponent(self) -> Lanes:
        """Return ⌊log2⌋ of positive normal numbers; smaller ones have the smallest."""
        kind, builder = self.code.kind, self.code.builder
        biased = builder.lshr(self._bits, self._wholes(kind.fraction_bits))
        if kind.bytes == 8:
            # There is no quick way from int64: a float64 of the size 2⁵² counts in ones.
            size = (kind.bias + kind.fraction_bits) << kind.fraction_bits
            counted = self._from(builder.or_(biased, self._wholes(size)))
            return counted - self.code.all(float(2**kind.fraction_bits + kind.bias))
        return Lanes(self.code, builder.sitofp(builder.sub(biased, self._wholes(kind.bias)), kind.floats))

    def mantissa(self) -> Lanes:
        """Return positive normal numbers divided by 2^exponent: 1 ≤ m < 2."""
        kind, builder = self.code.kind, self.code.builder
        fraction = builder.and_(self._bits, self._wholes((1 << kind.fraction_bits) - 1))
        return self._from(builder.or_(fraction, self._wholes(kind.bias << kind.fraction_bits)))

    def doubled(self, times: Lanes) -> Lanes:
        """Return a · 2^times; ``times`` is a whole number plus 1.5 · 2^(bits of a fraction), so its low bits count."""
        builder = self.code.builder
        moved = builder.shl(times._bits, self._wholes(self.code.kind.fraction_bits))
        return self._from(builder.add(self._bits, moved))

    def swapped(self) -> Lanes:
        """Return every pair of neighbours with its sides exchanged."""
        return self.pick([lane ^ 1 for lane in range(self.code.kind.count)])

    def pick(self, places: Sequence[int], repeat: int = 1, other: Lanes | None = None) -> Lanes:
        """Return the lanes at ``places`` of this vector and the ``other``, laid end to end, ``repeat`` times."""
        wanted = list(places) * repeat
        mask = ir.Constant(ir.VectorType(_I32, len(wanted)), wanted)
        second = self.value if other is None else other.value
        return Lanes(self.code, self.code.builder.shuffle_vector(self.value, second, mask))


def multiply_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes:
    """Return a · b + c."""
    return a.code.call("fmuladd", a, b, c)


def larger(a: Lanes, b: Lanes) -> Lanes:
    """Return the larger one, lane by lane."""
    return a.code.call("maxnum", a, b, flags=("nnan", "nsz"))


def smaller(a: Lanes, b: Lanes) -> Lanes:
    """Return the smaller one, lane by lane."""
    return a.code.call("minnum", a, b, flags=("nnan", "nsz"))


def where_below(a: Lanes, b: Lanes, below: Lanes, otherwise: Lanes) -> Lanes:
    """Return ``below`` in the lanes where a < b, ``otherwise`` in the others."""
    builder = a.code.builder
    return Lanes(a.code, builder.select(builder.fcmp_ordered("<", a.value, b.value), below.value, otherwise.value))


def turned(rows: list[Lanes]) -> list[Lanes]:
    """Turn 8 × 8 numbers over: blocks of half, a quarter … of them change places across the diagonal."""
    for size in (4, 2, 1):
        low = [8 + lane - size if lane & size else lane for lane in range(8)]
        high = [8 + lane if lane & size else lane + size for lane in range(8)]
        for k in range(8):
            if not k & size:
                a, b = rows[k], rows[k + size]
                rows[k], rows[k + size] = a.pick(low, other=b), a.pick(high, other=b)
    return rows


def apart(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Return the left and the right of stereo frames that fill two vectors."""
    left, right = (a.pick(range(side, 2 * a.code.kind.count, 2), other=b) for side in range(2))
    return left, right


def joined(left: Lanes, right: Lanes) -> tuple[Lanes, Lanes]:
    """Return two sides as stereo frames, which fill two vectors."""
    count = left.code.kind.count
    places = [lane + side * count for lane in range(count) for side in range(2)]
    return left.pick(places[:count], other=right), left.pick(places[count:], other=right)


class Cell:
    """A vector that changes from frame to frame; LLVM keeps it in a register."""

    def __init__(self, code: Code, value: Lanes) -> None:
        self._code = code
        self._slot = cgutils.alloca_once(code.builder, code.kind.floats)
        self.set(value)

    def get(self) -> Lanes:
        """Return what it holds now."""
        return Lanes(self._code, self._code.builder.load(self._slot))

    def set(self, value: Lanes) -> None:
        """Let it hold ``value``."""
        self._code.builder.store(value.value, self._slot)


class Place:
    """A place in memory, counted in elements: of a C-contiguous array, or from an address."""

    def __init__(self, code: Code, pointer: Any) -> None:
        self.code = code
        self.pointer = pointer

    @classmethod
    def of_address(cls, code: Code, address: Any) -> Self:
        """Return the place that an integer says."""
        return cls(code, code.builder.inttoptr(address, code.kind.element.as_pointer()))

    def at(self, *offsets: Any) -> Place:
        """Return the place that lies the sum of ``offsets`` elements further on."""
        return Place(self.code, self.code.builder.gep(self.pointer, [self.code.plus(*offsets)]))

    def load(self, *offsets: Any) -> Lanes:
        """Return the vector there."""
        builder, kind = self.code.builder, self.code.kind
        loaded = builder.load(builder.bitcast(self.at(*offsets).pointer, kind.floats.as_pointer()))
        loaded.align = kind.bytes
        return Lanes(self.code, loaded)

    def store(self, value: Lanes, *offsets: Any) -> None:
        """Put a vector there, of whatever length."""
        builder = self.code.builder
        where = builder.bitcast(self.at(*offsets).pointer, value.value.type.as_pointer())
        builder.store(value.value, where).align = self.code.kind.bytes

    def copy(self, source: Place, count: Any) -> None:
        """Put ``count`` elements from ``source`` there; the two do not overlap."""
        cgutils.raw_memcpy(self.code.builder, self.pointer, source.pointer, count, self.code.kind.bytes)

    def expect(self, *offsets: Any) -> None:
        """Ask for the cache line there, which will be read soon; it does not matter whether there is any memory."""
        b = self.code.builder
        pointer = b.bitcast(self.at(*offsets).pointer, ir.IntType(8).as_pointer())
        wanted = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(b.module, wanted, "llvm.prefetch.p0")
        b.call(function, [pointer, *(ir.Constant(_I32, number) for number in (0, 2, 1))])

    def clear(self, count: Any) -> None:
        """Put ``count`` zeros there."""
        size = self.code.times(count, self.code.kind.bytes)
        cgutils.memset(self.code.builder, self.pointer, size, 0)


Stage = Callable[..., None]


def stage(kind: Kind, *arguments: str) -> Callable[[Callable[..., None]], Stage]:
    """Declare a stage on vectors of ``kind``, to be called from kernels.

    ``arguments`` say what it is given, after the code: "place" (an array in the kernel, a ``Place`` in the stage),
    "whole" (an integer) or "number" (a floating-point number of the kind's element).
    """
    wanted = {"whole": types.int64, "number": types.float32 if kind.bytes == 4 else types.float64}

    def declare(write: Callable[..., None]) -> Stage:
        def lower(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            code = Code(builder, kind)
            given = [
                Place(code, context.make_array(found)(context, builder, value).data) if name == "place" else value
                for name, found, value in zip(arguments, signature.args, values, strict=True)
            ]
            write(code, *given)
            return context.get_dummy_value()

        def typed(typing_context: Any, *given: Any) -> Any:
            found = [wanted.get(name, one) for name, one in zip(arguments, given, strict=True)]
            return types.none(*found), lower

        # What numba takes for the parameters: those of the stage, whatever kinds of arrays they are.
        kept = [p for p in inspect.signature(write).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        typed.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
        typed.__name__ = write.__name__
        made: Stage = intrinsic(typed)
        return made

    return declare
