"""Object files into this process, with LLVM's linker and nothing else of a compiler."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]

from dsp.kernels.compiled.store import Compiled

__all__ = ["addresses", "works"]

_links = itertools.count()
"""No two links may have one name."""


@cache
def _linker() -> Any:
    """Return the linker. It stays until the process ends: a kernel may run to the last moment."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler(suppress_errors=True)


@cache
def works() -> bool:
    """Tell whether object files can be linked here."""
    try:
        _linker()
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


def addresses(module: str, kernels: Sequence[Compiled]) -> Mapping[str, int] | None:
    """Return where the entries of ``kernels`` are now, by name; None where this machine cannot link them."""
    builder = llvm.JITLibraryBuilder()
    for kernel in kernels:
        builder.add_object_img(kernel.code)
        builder.export_symbol(kernel.name)
    try:
        linked = builder.link(_linker(), f"{module}.{next(_links)}")
    except RuntimeError:
        return None
    linked.detach()  # what is linked stays, too
    return {kernel.name: linked[kernel.name] for kernel in kernels}
