"""Compiled kernels: declared in ``dsp.kernels.*`` with ``kernel``, fetched by name with ``library``.

A kernel takes arrays and numbers, returns nothing, allocates nothing and raises nothing. Its types are declared, so
that it exists once. ``library`` imports the module only when it is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["kernel", "library", "part"]


def kernel(*types: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a kernel of these argument types, in numba's words: ``"f4[:,::1]"``, ``"i8"``, ``"f8"``."""
    from numba import njit

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        signature = f"void({', '.join(types)})"
        compiled: Callable[..., None] = njit([signature], nogil=True, cache=True, error_model="numpy")(function)
        return compiled

    return declare


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a piece of kernels, put into each kernel that calls it."""
    from numba import njit

    piece: Callable[..., Any] = njit(nogil=True, error_model="numpy", inline="always")(function)
    return piece


@cache
def library(name: str) -> Any:
    """Return the kernels of ``dsp.kernels.<name>``, to be called as its attributes."""
    return importlib.import_module(f"dsp.kernels.{name}")
