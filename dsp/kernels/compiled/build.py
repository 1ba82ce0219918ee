"""Machine code of a module's kernels, made by numba's compiler without its dispatcher and its runtime."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from numba import types
from numba.core import compiler, errors, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.intrinsics import INTR_MATH
from numba.core.registry import cpu_target
from numba.np.numpy_support import as_dtype

import dsp.kernels
from dsp.errors import KernelError
from dsp.kernels.compiled.arguments import DTYPES, SLOTS, Argument
from dsp.kernels.compiled.declare import TYPES
from dsp.kernels.compiled.entry import entry_of
from dsp.kernels.compiled.passes import KernelCompiler, KernelFlags
from dsp.kernels.compiled.pipeline import ObjectLibrary, remembering
from dsp.kernels.compiled.store import Compiled

__all__ = ["Unfit", "build", "declared", "dispatched"]

_MEMORY = frozenset({"memcpy", "memmove", "memset"})
_VENDOR = "__svml_"

_FLAGS = KernelFlags()
_FLAGS.no_cpython_wrapper = True
_FLAGS.no_compile = True
_FLAGS.error_model = "numpy"


class Unfit(Exception):  # noqa: N818 - no error: numba's dispatcher can run these kernels
    """Numba makes code here that needs more than the C library."""


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
        A kernel cannot be compiled, is declared for what no frame can carry, or needs more than the C library; or the
        module takes something from outside ``dsp.kernels``, whose changes the kept code would not follow.
    Unfit
        Numba here makes code that only its own dispatcher can run.
    """
    _refuse_outside(module)
    with global_compiler_lock, _uncollected():
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        typing = remembering(cpu_target.typing_context)
        return [
            _build(typing, f"{module.__name__}.{name}", name, function) for name, function in declared(module).items()
        ]


def _refuse_outside(module: ModuleType) -> None:
    room = f"{dsp.kernels.__name__}."
    project = f"{room.partition('.')[0]}."
    waiting, seen = [module.__name__], set()
    while waiting:
        name = waiting.pop()
        if not name.startswith(room):
            raise KernelError(
                f"kernels {module.__name__} take something from {name}, and changes there would not recompile them",
                hint=f"move it into a module of {dsp.kernels.__name__}",
            )
        if name not in seen and not name.startswith(f"{room}compiled"):
            seen.add(name)
            taken = _imports(name)
            waiting += [one for one in taken if f"{one}.".startswith(project) and one != dsp.kernels.__name__]


@cache
def _imports(module: str) -> list[str]:
    """Return the modules that a module's source names in its imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            within = node.module == dsp.kernels.__name__
            names += [f"{node.module}.{alias.name}" for alias in node.names] if within else [node.module]
    return names


def dispatched(where: str, function: Any) -> tuple[tuple[Argument, ...], Callable[..., None]]:
    """Return a kernel's arguments, and itself compiled or taken from numba's own cache by numba's dispatcher.

    Raises
    ------
    KernelError
        It cannot be compiled, or is declared for what no call can pass.
    """
    pairs = _arguments(where, function)
    if hasattr(function, "compile"):  # NUMBA_DISABLE_JIT leaves it a Python function
        with contextlib.suppress(RuntimeError):  # no folder to keep it in: it is compiled anew each time
            function.enable_caching()
        with _explained(where):
            function.compile(types.none(*(kind for _, kind in pairs)))
    return tuple(argument for argument, _ in pairs), function


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Put off collecting garbage: an eighth of the time, and what a compiler builds up is needed to the end."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except errors.NumbaError as error:
        raise KernelError(f"kernel {where} does not compile: {error}") from error


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


def _build(typing: Any, where: str, name: str, function: Any) -> Compiled:
    pairs = _arguments(where, function)
    arguments = tuple(argument for argument, _ in pairs)
    base = cpu_target.target_context

    def add_entry(library: Any, fndesc: Any, env: Any, call_helper: Any) -> None:
        library.add_ir_module(entry_of(base, name, fndesc, arguments))

    def leave_runtime_out(module: Any, library: Any) -> None:
        """Kernels allocate nothing: numba's memory manager need not be linked to each."""

    context = base.subtarget(create_cfunc_wrapper=add_entry, post_lowering=leave_runtime_out)
    library = ObjectLibrary(base.codegen(), where)
    signature = tuple(kind for _, kind in pairs)
    with _explained(where):
        compiler.compile_extra(
            typing, context, function.py_func, signature, types.none, _FLAGS, {}, library=library,
            pipeline_class=KernelCompiler,
        )  # fmt: skip
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
