"""How a module of ``dsp.kernels`` declares its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsp.kernels.compiled.places import sources_digest

__all__ = ["TYPES", "kernel", "part"]

TYPES = "kernel_types"
"""Attribute of a declared kernel: its argument types."""


def kernel(*types: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a kernel of these argument types, in numba's words: ``"f4[:,::1]"``, ``"i8"``, ``"f8"``.

    An array is C-contiguous and is written to; ``"Array(f8, 1, 'C', readonly=True)"`` is one that is only read.
    """
    from numba import njit

    sources_digest()

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        declared: Callable[..., None] = njit(nogil=True, error_model="numpy")(function)
        setattr(declared, TYPES, types)
        return declared

    return declare


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a piece of kernels, put into each kernel that calls it."""
    from numba import njit

    piece: Callable[..., Any] = njit(nogil=True, error_model="numpy", inline="always")(function)
    return piece
