"""Numba's lowering with a short way for what kernels mostly do: a quarter of the time, for the same operations.

Numba looks up an implementation for every addition, tries three others that might know a constant operand, copies the
description of an array to the stack for every element, and keeps every variable in memory until LLVM finds that it
need not be there. Here arithmetic on numbers of one type, elements and rows of C-contiguous arrays, and loops that
count are written down at once, and a variable that is given a value only once is that value. The operations are numba's
own (``numba.cpython.numbers``, ``numba.np.arrayobj``), one for one, so that the bits are, too; everything else goes
numba's way.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir as llvm  # type: ignore[import-untyped]
from numba.core import cgutils, errors, ir, lowering, types
from numba.core.analysis import compute_cfg_from_blocks

from dsp.kernels.compiled.operators import FLOATS, GROWING, OPERATIONS, comparison
from dsp.kernels.compiled.variables import read, written

__all__ = ["KernelLower", "described"]

_WORD = llvm.IntType(64)
_ZERO, _ONE = llvm.Constant(_WORD, 0), llvm.Constant(_WORD, 1)
_MEMINFO, _PARENT, _ITEMS, _ITEMSIZE, _DATA, _SHAPE, _STRIDES = range(7)
"""Places in numba's description of an array (``numba.core.datamodel.models.ArrayModel``)."""

_PLAIN = frozenset({types.float32, types.float64, types.int64, types.int32, types.uint64})
"""What is the same in a register and in memory."""

_CONSTANTS = (ir.Const, ir.Global, ir.FreeVar)
_NAMES = (types.Dispatcher, types.Function, types.Module, types.NumberClass)


class KernelLower(lowering.Lower):  # type: ignore[misc]
    """Lowers a kernel; see above."""

    def init(self) -> None:
        """Find the variables that are given a value once, before all that use it."""
        graph = compute_cfg_from_blocks(self.blocks)
        dominators = graph.dominators()
        self._order = graph.topo_order()
        places: dict[str, Any] = {}
        once: set[str] = set()
        for label in self._order:
            for name in written(self.blocks[label]):
                (once.discard if name in places else once.add)(name)
                places[name] = label
        for label in self._order:
            once -= {name for name in read(self.blocks[label]) if places.get(name) not in dominators[label]}
        self._singly_assigned_vars = once
        self._blk_local_varmap: dict[str, Any] = {}
        # What is known of values, by value.
        self._ranges: dict[Any, tuple[Any, Any]] = {}
        self._counters: dict[Any, tuple[Any, Any, bool]] = {}
        self._pairs: dict[Any, tuple[Any, Any]] = {}
        self._tuples: dict[Any, Sequence[Any]] = {}
        self._shapes: dict[Any, Any] = {}
        self._naturals: set[Any] = set()
        self._fields: dict[Any, Any] = {}
        self._given_fields: dict[Any, Any] = {}

    def lower_function_body(self) -> Any:
        """Lower every block after those that all ways to it go through; return where all arguments are known."""
        for label in sorted(self._order):
            self.blkmap[label] = self.function.append_basic_block(f"B{label}")
        self.pre_lower()
        self._entered = self.builder.basic_block
        for label in self._order:
            self.builder.position_at_end(self.blkmap[label])
            self.lower_block(self.blocks[label])
        self.post_lower()
        return self._entered

    def lower_block(self, block: Any) -> None:
        """Lower a block."""
        self.pre_block(block)
        self._fields.clear()
        for inst in block.body:
            self.loc = inst.loc
            try:
                self.lower_inst(inst)
            except Exception:
                with errors.new_error_context('lowering "{inst}" at {loc}', inst=inst, loc=self.loc):
                    raise
        self.post_block(block)

    def lower_inst(self, inst: Any) -> None:
        """Lower a statement."""
        if isinstance(inst, ir.Assign):
            self.storevar(self._assigned(self.typeof(inst.target.name), inst), inst.target.name)
        elif not self._set(inst):
            super().lower_inst(inst)

    def _assigned(self, kind: Any, inst: Any) -> Any:
        value = inst.value
        if isinstance(value, ir.Expr):
            short = _SHORT.get(value.op)
            result = None if short is None else short(self, kind, value)
            return self.lower_expr(kind, value) if result is None else result
        if isinstance(value, ir.Var):
            return self._as(kind, value)
        if isinstance(value, _CONSTANTS):
            number = types.unliteral(kind)
            if number in _PLAIN:
                plain = float(value.value) if number in FLOATS else int(value.value)
                return llvm.Constant(self.context.get_value_type(number), plain)
            if isinstance(kind, _NAMES):
                return self.context.get_dummy_value()
        return self.lower_assign(kind, inst)

    def loadvar(self, name: str) -> Any:
        """Return a variable's value."""
        found = self._blk_local_varmap.get(name)
        return self.builder.load(self.getvar(name)) if found is None else found

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        """Give a variable its value."""
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self._alloca_var(name, self.typeof(name))
            self.builder.store(value, self.varmap[name])

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:
        """Return room for a variable."""
        return cgutils.alloca_once(self.builder, lltype, name=name, zfill=False)

    def _as(self, wanted: Any, var: Any) -> Any:
        """Return a variable's value as another type."""
        return self._cast(self.loadvar(var.name), self.typeof(var.name), wanted)

    def _cast(self, value: Any, kind: Any, wanted: Any) -> Any:
        number, wanted_number = types.unliteral(kind), types.unliteral(wanted)
        if kind == wanted or (number == wanted_number and number in _PLAIN):
            return value
        if wanted_number == types.float64 and number == types.int64:
            return self.builder.sitofp(value, llvm.DoubleType())
        if wanted_number == types.float64 and number == types.float32:
            return self.builder.fpext(value, llvm.DoubleType())
        return self.context.cast(self.builder, value, kind, wanted)

    def _is_natural(self, number: Any) -> bool:
        """Tell whether a whole number is known not to be negative."""
        if isinstance(number, llvm.Constant):
            return isinstance(number.constant, int) and number.constant >= 0
        return number in self._naturals

    def _operation(self, kind: Any, expr: Any) -> Any:
        """Return an operator's result on two numbers of one type."""
        signature = self.fndesc.calltypes[expr]
        operand = signature.args[0]
        if operand != signature.args[1]:
            return None
        op = expr.fn if expr.op == "binop" else expr.immutable_fn
        write = OPERATIONS.get((op, operand))
        if write is None:
            return self._by_power_of_two(op, operand, kind, expr)
        a, b = self._as(operand, expr.lhs), self._as(operand, expr.rhs)
        result = write(self.builder, a, b)
        if op in GROWING and operand == types.int64 and self._is_natural(a) and self._is_natural(b):
            self._naturals.add(result)
        return self._cast(result, signature.return_type, kind)

    def _by_power_of_two(self, op: Any, operand: Any, kind: Any, expr: Any) -> Any:
        """Return x // 2^k or x % 2^k, as Python rounds them."""
        if op not in (operator.floordiv, operator.mod) or operand != types.int64 or types.unliteral(kind) != operand:
            return None
        divisor = self._as(operand, expr.rhs)
        number = divisor.constant if isinstance(divisor, llvm.Constant) else 0
        if not isinstance(number, int) or number <= 0 or number & (number - 1):
            return None
        x = self._as(operand, expr.lhs)
        if op is operator.mod:
            result = self.builder.and_(x, llvm.Constant(_WORD, number - 1))
        else:
            result = self.builder.ashr(x, llvm.Constant(_WORD, number.bit_length() - 1))
        if op is operator.mod or self._is_natural(x):
            self._naturals.add(result)
        return result

    def _attribute(self, kind: Any, expr: Any) -> Any:
        """Return an array's shape, or a function of a module."""
        owner = self.typeof(expr.value.name)
        if isinstance(owner, types.Array) and expr.attr == "shape":
            array = self.loadvar(expr.value.name)
            shape = self._field(array, _SHAPE)
            self._shapes[shape] = array
            return shape
        if isinstance(owner, types.Module) and isinstance(kind, _NAMES):
            return self.context.get_dummy_value()
        return None

    def _static_item(self, kind: Any, expr: Any) -> Any:
        """Return what stands at a constant place of an array or a tuple."""
        owner = self.typeof(expr.value.name)
        if isinstance(owner, types.BaseTuple) and isinstance(expr.index, int) and expr.index >= 0:
            whole = self.loadvar(expr.value.name)
            if whole in self._shapes:
                return self._length(self._shapes[whole], expr.index)
            return self._cast(self.builder.extract_value(whole, expr.index), owner[expr.index], kind)
        return None if expr.index_var is None else self._item_at(kind, expr, expr.index_var)

    def _item(self, kind: Any, expr: Any) -> Any:
        """Return what stands at a place of an array."""
        return self._item_at(kind, expr, expr.index)

    def _item_at(self, kind: Any, expr: Any, index: Any) -> Any:
        signature = self.fndesc.calltypes[expr]
        found = None if signature is None else self._place(expr.value, index, signature.args)
        if found is None:
            return None
        place, rest = found
        owner = self.typeof(expr.value.name)
        if not rest:
            return self._cast(self.builder.load(place), owner.dtype, kind)
        if kind != signature.return_type or kind.layout != "C":
            return None
        array = self.loadvar(expr.value.name)
        lengths = [self._length(array, axis) for axis in rest]
        strides = [self._field(array, _STRIDES, axis) for axis in rest]
        head = [self._field(array, at) for at in (_MEMINFO, _PARENT, _ITEMSIZE)]
        return described(self.builder, self.context.get_value_type(kind), place, lengths, strides, head)

    def _place(self, owner: Any, index: Any, wanted: Sequence[Any]) -> tuple[Any, range] | None:
        """Return the address that whole numbers say in an array of numbers, and the axes they leave out."""
        kind = self.typeof(owner.name)
        if kind != wanted[0] or not isinstance(kind, types.Array) or kind.layout != "C" or not kind.aligned:
            return None
        index_kind = self.typeof(index.name)
        several = isinstance(index_kind, types.BaseTuple)
        kinds = list(index_kind) if several else [index_kind]
        if kind.dtype not in _PLAIN or len(kinds) > kind.ndim or any(types.unliteral(k) != types.int64 for k in kinds):
            return None
        builder = self.builder
        array, given = self.loadvar(owner.name), self.loadvar(index.name)
        numbers: Sequence[Any] = [given]
        if several:
            numbers = self._tuples.get(given) or [builder.extract_value(given, k) for k in range(len(kinds))]
        offset = None
        for axis, number in enumerate(numbers):
            part = number
            if not self._is_natural(number):
                from_end = builder.add(number, self._length(array, axis))
                part = builder.select(builder.icmp_signed("<", number, _ZERO), from_end, number)
            for after in range(axis + 1, kind.ndim):
                part = builder.mul(part, self._length(array, after))
            offset = part if offset is None else builder.add(offset, part)
        return builder.gep(self._field(array, _DATA), [offset]), range(len(numbers), kind.ndim)

    def _field(self, array: Any, *path: int) -> Any:
        """Return a field of an array's description, read once in a block, or once for all where it is an argument."""
        given = array in self.fnargs
        fields = self._given_fields if given else self._fields
        found = fields.get((array, path))
        if found is None:
            if given:
                with self.builder.goto_block(self._entered):
                    found = self.builder.extract_value(array, path)
            else:
                found = self.builder.extract_value(array, path)
            fields[array, path] = found
        return found

    def _length(self, array: Any, axis: int) -> Any:
        length = self._field(array, _SHAPE, axis)
        self._naturals.add(length)
        return length

    def _tuple(self, kind: Any, expr: Any) -> Any:
        """Return several whole numbers."""
        if not all(types.unliteral(one) == types.int64 for one in kind):
            return None
        numbers = [self._as(types.int64, item) for item in expr.items]
        made = llvm.Constant(self.context.get_value_type(kind), llvm.Undefined)
        for at, number in enumerate(numbers):
            made = self.builder.insert_value(made, number, at)
        self._tuples[made] = numbers
        return made

    def _set(self, inst: Any) -> bool:
        """Write a number into an array, if that is what the statement says."""
        if not isinstance(inst, (ir.SetItem, ir.StaticSetItem)):
            return False
        index = inst.index if isinstance(inst, ir.SetItem) else inst.index_var
        signature = self.fndesc.calltypes[inst]
        if signature is None or index is None or not isinstance(signature.args[0], types.Array):
            return False
        array_kind, index_kind, kind = signature.args
        count = len(index_kind) if isinstance(index_kind, types.BaseTuple) else 1
        if count != array_kind.ndim or types.unliteral(kind) not in _PLAIN:
            return False
        found = self._place(inst.target, index, signature.args)
        if found is None:
            return False
        self.builder.store(self._cast(self._as(kind, inst.value), kind, array_kind.dtype), found[0])
        return True

    def _call(self, kind: Any, expr: Any) -> Any:
        """Return a range, the smallest or largest of some numbers, a number as another type, or a truth as it is."""
        if expr.vararg or expr.kws:
            return None
        function = self.typeof(expr.func.name)
        signature = self.fndesc.calltypes[expr]
        if isinstance(function, types.NumberClass) and len(expr.args) == 1:
            if types.unliteral(self.typeof(expr.args[0].name)) in _PLAIN:
                return self._cast(self._as(signature.return_type, expr.args[0]), signature.return_type, kind)
        elif isinstance(function, types.Function):
            if function.typing_key is bool and signature.args == (types.boolean,):
                return self._as(types.boolean, expr.args[0])
            if function.typing_key is range and kind == types.range_state64_type and len(expr.args) < 3:
                return self._range(kind, expr)
            if function.typing_key in (min, max) and len(expr.args) > 1:
                return self._extreme(kind, expr, signature.return_type, "<" if function.typing_key is min else ">")
        return None

    def _range(self, kind: Any, expr: Any) -> Any:
        given = [self._as(types.int64, var) for var in expr.args]
        start, stop = given if len(given) == 2 else (_ZERO, *given)
        state = llvm.Constant(self.context.get_value_type(kind), llvm.Undefined)
        for at, value in enumerate((start, stop, _ONE)):
            state = self.builder.insert_value(state, value, at)
        self._ranges[state] = (start, stop)
        return state

    def _extreme(self, kind: Any, expr: Any, wanted: Any, sign: str) -> Any:
        if wanted != types.int64 and wanted not in FLOATS:
            return None
        given = [self._as(wanted, var) for var in expr.args]
        best, *others = given
        beats = comparison(wanted, sign)
        for value in others:
            best = self.builder.select(beats(self.builder, value, best), value, best)
        if wanted == types.int64 and (all if sign == "<" else any)(map(self._is_natural, given)):
            self._naturals.add(best)
        return self._cast(best, wanted, kind)

    def _iterator(self, kind: Any, expr: Any) -> Any:
        """Return what counts through a range: numba's own, but without a division."""
        bounds = self._ranges.get(self.loadvar(expr.value.name))
        if bounds is None:
            return None
        builder = self.builder
        start, stop = bounds
        value, left = cgutils.alloca_once(builder, _WORD), cgutils.alloca_once(builder, _WORD)
        builder.store(start, value)
        count = builder.sub(stop, start)
        builder.store(builder.select(builder.icmp_signed(">", count, _ZERO), count, _ZERO), left)
        iterator = llvm.Constant(self.context.get_value_type(kind), llvm.Undefined)
        for at, field in enumerate((value, stop, _ONE, left)):
            iterator = builder.insert_value(iterator, field, at)
        self._counters[iterator] = (value, left, self._is_natural(start))
        return iterator

    def _next(self, kind: Any, expr: Any) -> Any:
        """Return a range's next number, and whether there is one."""
        counter = self._counters.get(self.loadvar(expr.value.name))
        if counter is None:
            return None
        builder = self.builder
        value_at, left_at, natural = counter
        left, value = builder.load(left_at), builder.load(value_at)
        valid = builder.icmp_signed(">", left, _ZERO)
        with builder.if_then(valid):
            builder.store(builder.sub(left, _ONE, flags=["nsw"]), left_at)
            builder.store(builder.add(value, _ONE), value_at)
        pair = llvm.Constant(self.context.get_value_type(kind), llvm.Undefined)
        pair = builder.insert_value(builder.insert_value(pair, value, 0), valid, 1)
        self._pairs[pair] = (value, valid)
        if natural:
            self._naturals.add(value)
        return pair

    def _first(self, _: Any, expr: Any) -> Any:
        return self._pairs.get(self.loadvar(expr.value.name), (None, None))[0]

    def _second(self, _: Any, expr: Any) -> Any:
        return self._pairs.get(self.loadvar(expr.value.name), (None, None))[1]


_SHORT: dict[str, Callable[[KernelLower, Any, Any], Any]] = {
    "binop": KernelLower._operation,
    "inplace_binop": KernelLower._operation,
    "build_tuple": KernelLower._tuple,
    "getattr": KernelLower._attribute,
    "static_getitem": KernelLower._static_item,
    "getitem": KernelLower._item,
    "call": KernelLower._call,
    "getiter": KernelLower._iterator,
    "iternext": KernelLower._next,
    "pair_first": KernelLower._first,
    "pair_second": KernelLower._second,
}


def described(
    builder: Any, kind: Any, data: Any, lengths: Sequence[Any], strides: Sequence[Any], head: Sequence[Any]
) -> Any:
    """Return numba's description of an array: ``kind`` in LLVM's types; ``head`` its two owners and an item's size."""
    items = lengths[0]
    for length in lengths[1:]:
        items = builder.mul(items, length, flags=["nsw"])
    array = llvm.Constant(kind, llvm.Undefined)
    for at, value in zip((_MEMINFO, _PARENT, _ITEMSIZE, _ITEMS, _DATA), (*head, items, data), strict=True):
        array = builder.insert_value(array, value, at)
    for axis, (length, stride) in enumerate(zip(lengths, strides, strict=True)):
        array = builder.insert_value(array, length, [_SHAPE, axis])
        array = builder.insert_value(array, stride, [_STRIDES, axis])
    return array
