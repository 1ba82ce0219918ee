"""What a kernel is declared to take, and whether that is what a caller gives it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsp.errors import KernelTypeError

__all__ = ["DTYPES", "SLOTS", "Argument", "admitted"]

DTYPES = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16")
"""What an array's elements may be, in numpy's words."""

SLOTS = {
    "f4": "f4x", "f8": "d", "i1": "b7x", "i2": "h6x", "i4": "i4x", "i8": "q",
    "u1": "B7x", "u2": "H6x", "u4": "I4x", "u8": "Q", "b1": "?7x",
}  # fmt: skip
"""What a number may be, and how ``struct`` lays it into the eight bytes of its slot."""


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel: an array of ``ndim`` dimensions in C order, or a number where ``ndim`` is 0."""

    name: str
    dtype: str
    ndim: int = 0
    writeable: bool = True

    @property
    def slot(self) -> str:
        """How ``struct`` lays it into its slot; an array's slot holds its address."""
        return "Q" if self.ndim else SLOTS[self.dtype]


def admitted(kernel: str, arguments: Sequence[Argument], values: Sequence[Any], *, holes: bool = False) -> list[Any]:
    """Return ``values`` as plain arrays and numbers that fit ``arguments``; with ``holes``, None fits everywhere.

    Raises
    ------
    KernelTypeError
        Too few or too many values, an array of another element type, dimension or order, one that must not be
        written, or a number of another kind or range.
    """
    if len(values) != len(arguments):
        names = ", ".join(argument.name for argument in arguments)
        raise KernelTypeError(f"kernel {kernel} takes {len(arguments)} arguments ({names}), not {len(values)}")
    return [
        None if holes and value is None else _admitted(kernel, argument, value)
        for argument, value in zip(arguments, values, strict=True)
    ]


def _admitted(kernel: str, argument: Argument, value: Any) -> Any:
    if not argument.ndim:
        try:
            struct.pack(argument.slot, value)
        except (struct.error, TypeError, ValueError, OverflowError) as error:
            raise KernelTypeError(f"kernel {kernel}: {argument.name} = {value!r} is no {argument.dtype}") from error
        return value
    dtype = np.dtype(argument.dtype)
    if not isinstance(value, np.ndarray):
        found = f"a {type(value).__name__}"
    elif value.dtype != dtype or value.ndim != argument.ndim:
        found = f"an array of {value.dtype.str[1:]} in {value.ndim} dimensions"
    elif not (value.flags.c_contiguous and value.flags.aligned):
        found = "an array with gaps or in another order"
    elif argument.writeable and not value.flags.writeable:
        found = "an array that must not be written"
    else:
        return value.view(dtype, np.ndarray)
    wanted = f"a C-contiguous array of {argument.dtype} in {argument.ndim} dimensions"
    raise KernelTypeError(
        f"kernel {kernel}: {argument.name} is {found}; it takes {wanted}",
        hint="convert it once, where it is made",
    )
