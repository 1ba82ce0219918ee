"""The entry of a kernel: the function that Python calls, in LLVM's intermediate representation.

It takes the address of a frame: one eight-byte slot for the address of the table of types, then one for each argument,
a number or the address of a numpy array object. It reads the array objects itself: whether the type, the dimensions and
the flags are the declared ones, where the data is and how long it is. It returns 0 when the kernel ran, −k when
argument k is not what was declared (then nothing was touched), 1 when the kernel raised.

Layout of the array object: ``PyArrayObject_fields`` (NumPy C API, "Python types and C-structures").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.np.numpy_support import as_dtype

from dsp.kernels.compiled.arguments import DTYPES, Argument
from dsp.kernels.compiled.arrays import ARRAY, FLAGS, WRITEABLE
from dsp.kernels.compiled.lowering import described

__all__ = ["entry_of"]

_WORD, _INT, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_WORD_BYTES = 8


def entry_of(context: Any, name: str, fndesc: Any, arguments: tuple[Argument, ...]) -> Any:
    """Return a module with the entry ``name`` of the compiled function ``fndesc``."""
    module = context.create_module(f"{fndesc.llvm_func_name}.entry")
    callee_type = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
    callee = ir.Function(module, callee_type, fndesc.llvm_func_name)
    entry = ir.Function(module, ir.FunctionType(_WORD, [_WORD]), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    frame = entry.args[0]
    table = _load(builder, _WORD, frame, 0)
    values = []
    for place, (argument, kind) in enumerate(zip(arguments, fndesc.argtypes, strict=True), 1):
        if not argument.ndim:
            values.append(_number(context, builder, kind, frame, place * _WORD_BYTES))
            continue
        pointer = _load(builder, _WORD, frame, place * _WORD_BYTES)
        refused = ir.Constant(_WORD, -place)
        for holds in _checks(argument, pointer, table):
            with builder.if_then(builder.not_(holds(builder)), likely=False):
                builder.ret(refused)
        values.append(_array(context, builder, kind, pointer))
    status, _ = context.call_conv.call_function(
        builder, callee, fndesc.restype, fndesc.argtypes, values, attrs=("noinline",)
    )
    builder.ret(builder.zext(status.is_error, _WORD))
    return module


def _load(builder: Any, kind: Any, address: Any, offset: int) -> Any:
    place = builder.add(address, ir.Constant(_WORD, offset))
    return builder.load(builder.inttoptr(place, kind.as_pointer()))


def _checks(argument: Argument, pointer: Any, table: Any) -> list[Callable[[Any], Any]]:
    """Return what must hold of an array object, each to be asked only when those before it hold."""
    row = (1 + DTYPES.index(argument.dtype)) * _WORD_BYTES
    flags = FLAGS | (WRITEABLE if argument.writeable else 0)

    def is_array(b: Any) -> Any:
        return b.icmp_unsigned("==", _load(b, _WORD, pointer, ARRAY.kind), _load(b, _WORD, table, 0))

    def is_declared(b: Any) -> Any:
        dtype = b.icmp_unsigned("==", _load(b, _WORD, pointer, ARRAY.descr), _load(b, _WORD, table, row))
        ndim = b.icmp_unsigned("==", _load(b, _INT, pointer, ARRAY.nd), ir.Constant(_INT, argument.ndim))
        set_flags = b.and_(_load(b, _INT, pointer, ARRAY.flags), ir.Constant(_INT, flags))
        ordered = b.icmp_unsigned("==", set_flags, ir.Constant(_INT, flags))
        return b.and_(b.and_(dtype, ndim), ordered)

    return [is_array, is_declared]


def _array(context: Any, builder: Any, kind: Any, pointer: Any) -> Any:
    value_type = context.get_value_type(kind)
    lengths_at = _load(builder, _WORD, pointer, ARRAY.dimensions)
    lengths = [_load(builder, _WORD, lengths_at, axis * _WORD_BYTES) for axis in range(kind.ndim)]
    itemsize = ir.Constant(_WORD, as_dtype(kind.dtype).itemsize)
    strides = [itemsize]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    data_type = context.get_data_type(kind.dtype).as_pointer()
    data = builder.inttoptr(_load(builder, _WORD, pointer, ARRAY.data), data_type)
    owners = [ir.Constant(one, None) for one in value_type.elements[:2]]
    return described(builder, value_type, data, lengths, strides, [*owners, itemsize])


def _number(context: Any, builder: Any, kind: Any, frame: Any, offset: int) -> Any:
    if isinstance(kind, types.Boolean):
        return cgutils.is_not_null(builder, _load(builder, _BYTE, frame, offset))
    return _load(builder, context.get_value_type(kind), frame, offset)
