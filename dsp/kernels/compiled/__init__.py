"""Compiled kernels: declared in ``dsp.kernels.*`` with ``kernel`` and ``part``, fetched with ``library``.

A kernel takes arrays and numbers, returns nothing, allocates nothing and raises nothing. Its types are declared, so
that it exists once. The first ``library("strip")`` on a machine compiles all kernels of ``dsp.kernels.strip`` and keeps
the machine code (``store``). From then on it is mapped into the process without numba, which takes a second to start,
and without the module itself::

    strip = library("strip")
    strip.run(block, states, frames, 0.5)               # checked, a microsecond or two
    run = strip.run.bind(block, states, None, 0.5)      # checked once; None is what each call gives
    run(frames)                                         # below a microsecond

Where machine code cannot be loaded in this way, kernels run by numba's dispatcher; HALFNORMAL_KERNELS=numba asks for
that.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dsp.errors import KernelError
from dsp.kernels.compiled.declare import kernel, part

if TYPE_CHECKING:
    from dsp.kernels.compiled.calls import Kernel
    from dsp.kernels.compiled.store import Compiled

__all__ = ["Compiling", "kernel", "library", "modules", "on_compile", "part", "warm"]

_WAY_VARIABLE = "HALFNORMAL_KERNELS"
_PYTHON_VARIABLE = "NUMBA_DISABLE_JIT"
_ROOM = "dsp.kernels"


@dataclass(frozen=True)
class Compiling:
    """A module's kernels are being compiled; ``seconds`` is None before and how long it took after.

    ``trouble`` says why they could not be kept, so that the next start compiles them again.
    """

    module: str
    seconds: float | None = None
    trouble: str = ""


on_compile: Callable[[Compiling], None] | None = None
"""Told before and after a module is compiled, where a program sets it."""

_lock = threading.RLock()


class Library:
    """The kernels of a module, as attributes."""

    def __init__(self, module: str, kernels: Mapping[str, Kernel]) -> None:
        self._module = module
        self._kernels = kernels
        self.__dict__.update(kernels)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{_ROOM}.{self._module} declares no kernel {name!r}, only {', '.join(self._kernels)}")


def modules() -> list[str]:
    """Return the names of all modules of kernels, the longest first: who compiles side by side starts with them."""
    from dsp.kernels.compiled.places import sources

    return [path.stem for path in sorted(sources(), key=lambda path: -path.stat().st_size)]


def library(name: str) -> Library:
    """Return the kernels of ``dsp.kernels.<name>``, to be called as its attributes; see ``calls.Kernel``.

    Raises
    ------
    KernelError
        There is no such module, or one of its kernels cannot be compiled.
    """
    with _lock:
        return _library(name)


def warm(name: str) -> bool:
    """Tell whether ``library(name)`` will find its machine code kept."""
    if not _native():
        return False
    from dsp.kernels.compiled import store

    return store.read(name) is not None


@cache
def _library(name: str) -> Library:
    if name not in modules():
        raise KernelError(f"there are no kernels {name!r}, only those of {', '.join(modules())}")
    kernels = _mapped(name) if _native() else None
    return Library(name, _dispatched(name) if kernels is None else kernels)


@cache
def _native() -> bool:
    """Tell whether machine code can be mapped here without numba."""
    if os.environ.get(_WAY_VARIABLE, "") == "numba" or os.environ.get(_PYTHON_VARIABLE, "0") != "0":
        return False
    from dsp.kernels.compiled import arrays, link

    return arrays.layout_holds() and link.works()


def _mapped(name: str) -> Mapping[str, Kernel] | None:
    """Return the kernels of a module as machine code, kept or new; None where numba has to run them."""
    from dsp.kernels.compiled import arrays, link, store
    from dsp.kernels.compiled.calls import NativeKernel

    compiled = store.read(name)
    if compiled is None:
        compiled = _compiled(name)
    addresses = None if compiled is None else link.addresses(name, compiled)
    if compiled is None or addresses is None:
        return None
    return {
        one.name: NativeKernel(f"{name}.{one.name}", one.arguments, addresses[one.name], arrays.TABLE)
        for one in compiled
    }


def _compiled(name: str) -> list[Compiled] | None:
    _tell(Compiling(name))
    start = time.perf_counter()
    from dsp.kernels.compiled import build, store

    try:
        compiled = build.build(importlib.import_module(f"{_ROOM}.{name}"))
    except build.Unfit:
        return None
    trouble = store.write(name, compiled)
    _tell(Compiling(name, time.perf_counter() - start, trouble))
    return compiled


def _tell(compiling: Compiling) -> None:
    if on_compile is not None:
        on_compile(compiling)
    elif compiling.trouble:
        message = f"compiled kernels could not be kept, every start compiles them anew ({compiling.trouble})"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _dispatched(name: str) -> Mapping[str, Kernel]:
    from dsp.kernels.compiled import build
    from dsp.kernels.compiled.calls import DispatchedKernel

    kernels: dict[str, Kernel] = {}
    for kernel_name, function in build.declared(importlib.import_module(f"{_ROOM}.{name}")).items():
        where = f"{name}.{kernel_name}"
        kernels[kernel_name] = DispatchedKernel(where, *build.dispatched(where, function))
    return kernels
