"""Calling a kernel: what it is given is checked and kept alive; the interpreter's lock is let go meanwhile."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from dsp.errors import KernelError, KernelTypeError
from dsp.kernels.compiled.arguments import Argument, admitted

__all__ = ["DispatchedKernel", "Kernel", "NativeKernel"]

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_SLOT_BYTES = 8
_UNPACKABLE = (struct.error, IndexError, TypeError, ValueError, OverflowError)
"""What Python raises of a value that does not go into its slot, or of too few or too many values."""


class Kernel(Protocol):
    """A compiled kernel."""

    def __call__(self, *values: Any) -> None:
        """Run with these arrays and numbers.

        Raises
        ------
        KernelTypeError
            A value is not what the kernel is declared for; no array was touched.
        """

    def bind(self, *values: Any) -> Callable[..., None]:
        """Return the kernel with these arrays and numbers for good; each call gives what is None here, in order.

        What is bound is kept alive. A bound kernel belongs to one thread at a time.

        Raises
        ------
        KernelTypeError
            A bound value is not what the kernel is declared for. The returned call raises it for its own values.
        """


class NativeKernel:
    """A kernel as machine code: ``address`` is its entry (see ``build``), ``table`` that of the table of types."""

    def __init__(self, name: str, arguments: Sequence[Argument], address: int, table: int) -> None:
        self._name = name
        self._arguments = tuple(arguments)
        self._entry = _ENTRY(address)
        self._table = table
        self._pack = struct.Struct("=Q" + "".join(argument.slot for argument in arguments)).pack
        self._numbers = tuple(place for place, argument in enumerate(arguments) if not argument.ndim)

    def __call__(self, *values: Any) -> None:
        """Run; see ``Kernel``."""
        slots: list[Any] = list(map(id, values))
        try:
            for place in self._numbers:
                slots[place] = values[place]
            frame = self._pack(self._table, *slots)
        except _UNPACKABLE:
            self._run_admitted(values)
            return
        if answer := self._entry(frame):
            self._settle(answer, values)

    def bind(self, *values: Any) -> Callable[..., None]:
        """Bind; see ``Kernel``."""
        arguments, entry = self._arguments, self._entry
        kept = admitted(self._name, arguments, values, holes=True)
        frame = bytearray(self._frame([0 if value is None else value for value in kept]))
        pinned = ctypes.c_char.from_buffer(frame)
        address = ctypes.addressof(pinned)
        open_places = [place for place, value in enumerate(kept) if value is None]
        holes = [(n, *_slot(frame, arguments[k], k), arguments[k].ndim > 0) for n, k in enumerate(open_places)]
        count = len(holes)

        def call(*rest: Any, _alive: object = pinned) -> None:
            try:
                for n, view, at, is_array in holes:
                    view[at] = id(rest[n]) if is_array else rest[n]
            except _UNPACKABLE:
                self._run_admitted(_completed(self._name, arguments, kept, rest))
                return
            if len(rest) != count:
                _completed(self._name, arguments, kept, rest)
            if answer := entry(address):
                self._settle(answer, _completed(self._name, arguments, kept, rest))

        return call

    def _frame(self, values: Sequence[Any]) -> bytes:
        pairs = zip(self._arguments, values, strict=True)
        return self._pack(self._table, *(id(value) if argument.ndim else value for argument, value in pairs))

    def _settle(self, answer: int, values: Sequence[Any]) -> None:
        """Say why the entry did not run, or run it with plain views of arrays that only look different."""
        if answer > 0:
            raise KernelError(f"kernel {self._name} raised an error, which no kernel may")
        self._run_admitted(values)

    def _run_admitted(self, values: Sequence[Any]) -> None:
        plain = admitted(self._name, self._arguments, values)
        if self._entry(self._frame(plain)):
            raise KernelError(f"kernel {self._name} refuses or fails on arguments that look right")


class DispatchedKernel:
    """A kernel run by numba's own dispatcher, where machine code cannot be loaded without it."""

    def __init__(self, name: str, arguments: Sequence[Argument], function: Callable[..., None]) -> None:
        self._name = name
        self._arguments = tuple(arguments)
        self._function = function
        self._types = [None if argument.ndim else np.dtype(argument.dtype).type for argument in arguments]

    def __call__(self, *values: Any) -> None:
        """Run; see ``Kernel``."""
        plain = admitted(self._name, self._arguments, values)
        self._function(
            *(value if kind is None else kind(value) for kind, value in zip(self._types, plain, strict=True))
        )

    def bind(self, *values: Any) -> Callable[..., None]:
        """Bind; see ``Kernel``."""
        kept = admitted(self._name, self._arguments, values, holes=True)

        def call(*rest: Any) -> None:
            self(*_completed(self._name, self._arguments, kept, rest))

        return call


def _slot(frame: bytearray, argument: Argument, place: int) -> tuple[memoryview, int]:
    """Return a view of ``frame`` as elements of the argument's slot, and the index of its own."""
    view = memoryview(frame).cast(argument.slot[0])  # type: ignore[call-overload]  # a letter of struct's table
    return view, (1 + place) * _SLOT_BYTES // view.itemsize


def _completed(name: str, arguments: Sequence[Argument], kept: Sequence[Any], rest: Sequence[Any]) -> list[Any]:
    holes = [place for place, value in enumerate(kept) if value is None]
    if len(rest) != len(holes):
        names = ", ".join(arguments[place].name for place in holes)
        raise KernelTypeError(
            f"kernel {name} is bound but for ({names}), and takes {len(holes)} values, not {len(rest)}"
        )
    complete = list(kept)
    for place, value in zip(holes, rest, strict=True):
        complete[place] = value
    return complete
