"""Machine code of a module's kernels, made by numba's compiler without its dispatcher and its runtime.

A kernel's *entry* takes the address of a frame: one eight-byte slot for the address of the table of types, then one for
each argument, a number or the address of a numpy array object. The entry reads the array objects itself: whether the
type, the dimensions and the flags are the declared ones, where the data is and how long it is. It returns 0 when the
kernel ran, −k when argument k is not what was declared (then nothing was touched), 1 when the kernel raised.

Layout of the array object: ``PyArrayObject_fields`` (NumPy C API, "Python types and C-structures").
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils, compiler, errors, sigutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.intrinsics import INTR_MATH
from numba.core.registry import cpu_target
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import as_dtype

from dsp.errors import KernelError
from dsp.kernels.compiled.arguments import DTYPES, SLOTS, Argument
from dsp.kernels.compiled.arrays import ARRAY, FLAGS, WRITEABLE
from dsp.kernels.compiled.declare import TYPES
from dsp.kernels.compiled.store import Compiled

__all__ = ["Unfit", "arguments_of", "build", "declared"]

_WORD, _INT, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_WORD_BYTES = 8
_MEMORY = frozenset({"memcpy", "memmove", "memset"})
_VENDOR = "__svml_"


class Unfit(Exception):  # noqa: N818 - no error: numba's dispatcher can run these kernels
    """Numba makes code here that needs more than the C library."""


class _ObjectLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A code library that is optimised for this machine and never loaded into numba's engine."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def object_code(self) -> bytes:
        code: bytes = self._codegen._tm.emit_object(self._final_module)
        return code

    def foreign(self) -> list[str]:
        """Names of what the code takes from elsewhere."""
        module = self._final_module
        symbols = [*module.functions, *module.global_variables]
        names: list[str] = [
            symbol.name for symbol in symbols if symbol.is_declaration and not symbol.name.startswith("llvm.")
        ]
        return [*names, *self._dynamic_globals]


def declared(module: ModuleType) -> dict[str, Any]:
    """Return the kernels that ``module`` itself declares, by name, in the order of the source."""
    return {
        name: value
        for name, value in vars(module).items()
        if hasattr(value, TYPES) and value.__module__ == module.__name__
    }


def build(module: ModuleType) -> list[Compiled]:
    """Compile every kernel that ``module`` declares.

    Raises
    ------
    KernelError
        A kernel cannot be compiled, is declared for what no frame can carry, or needs more than the C library.
    Unfit
        Numba here makes code that only its own dispatcher can run.
    """
    with global_compiler_lock:
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        return [_build(f"{module.__name__}.{name}", name, function) for name, function in declared(module).items()]


def arguments_of(where: str, function: Any) -> tuple[Argument, ...]:
    """Return the arguments a kernel declares."""
    return tuple(argument for argument, _ in _arguments(where, function))


def _arguments(where: str, function: Any) -> list[tuple[Argument, Any]]:
    try:
        found, _ = sigutils.normalize_signature(f"void({', '.join(getattr(function, TYPES))})")
    except Exception as error:
        raise KernelError(f"kernel {where}: numba does not know its argument types ({error})") from error
    names = list(inspect.signature(getattr(function, "py_func", function)).parameters)
    if len(names) != len(found):
        raise KernelError(f"kernel {where} has {len(names)} arguments and declares the types of {len(found)}")
    return [(_argument(where, name, kind), kind) for name, kind in zip(names, found, strict=True)]


def _argument(where: str, name: str, kind: Any) -> Argument:
    try:
        if isinstance(kind, types.Array) and kind.layout == "C" and kind.aligned and kind.ndim:
            argument = Argument(name, as_dtype(kind.dtype).str[1:], kind.ndim, bool(kind.mutable))
            known = argument.dtype in DTYPES
        else:
            argument = Argument(name, as_dtype(kind).str[1:])
            known = argument.dtype in SLOTS
    except errors.NumbaNotImplementedError:
        known = False
    if not known:
        raise KernelError(
            f"kernel {where}: {name} is declared as {kind}, which no call can pass",
            hint="declare a number, or an array of numbers in C order: f4[:,::1]",
        )
    return argument


def _build(where: str, name: str, function: Any) -> Compiled:
    pairs = _arguments(where, function)
    arguments = tuple(argument for argument, _ in pairs)
    base = cpu_target.target_context

    def add_entry(library: Any, fndesc: Any, env: Any, call_helper: Any) -> None:
        library.add_ir_module(_entry(base, name, fndesc, arguments))

    def leave_runtime_out(module: Any, library: Any) -> None:
        """Kernels allocate nothing: numba's memory manager need not be linked to each."""

    context = base.subtarget(create_cfunc_wrapper=add_entry, post_lowering=leave_runtime_out)
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_compile = True
    flags.error_model = "numpy"
    library = _ObjectLibrary(base.codegen(), where)
    signature = tuple(kind for _, kind in pairs)
    try:
        compiler.compile_extra(
            cpu_target.typing_context, context, function.py_func, signature, types.none, flags, {}, library=library
        )
    except errors.NumbaError as error:
        raise KernelError(f"kernel {where} does not compile: {error}") from error
    library.finalize()
    _refuse_foreign(where, library.foreign())
    return Compiled(name, arguments, library.object_code())


def _refuse_foreign(where: str, names: list[str]) -> None:
    foreign = [name for name in names if name not in INTR_MATH and name not in _MEMORY]
    if any(name.startswith(_VENDOR) for name in foreign):
        raise Unfit(f"kernel {where} uses Intel's vector mathematics")
    if foreign:
        raise KernelError(
            f"kernel {where} needs {', '.join(foreign)}, which is not there without numba",
            hint="a kernel allocates nothing, raises nothing and calls nothing but parts and math's functions",
        )


def _entry(context: Any, name: str, fndesc: Any, arguments: tuple[Argument, ...]) -> Any:
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
    array = context.make_array(kind)(context, builder)
    itemsize = as_dtype(kind.dtype).itemsize
    lengths = _load(builder, _WORD, pointer, ARRAY.dimensions)
    shape = [_load(builder, _WORD, lengths, axis * _WORD_BYTES) for axis in range(kind.ndim)]
    strides = [ir.Constant(_WORD, itemsize)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    data_type = context.get_data_type(kind.dtype).as_pointer()
    data = builder.inttoptr(_load(builder, _WORD, pointer, ARRAY.data), data_type)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
    return array._getvalue()


def _number(context: Any, builder: Any, kind: Any, frame: Any, offset: int) -> Any:
    if isinstance(kind, types.Boolean):
        return cgutils.is_not_null(builder, _load(builder, _BYTE, frame, offset))
    return _load(builder, context.get_value_type(kind), frame, offset)
