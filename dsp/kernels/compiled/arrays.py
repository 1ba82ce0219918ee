"""Where things stand in a numpy array object, and the table of types that a kernel's entry compares with.

``PyArrayObject_fields`` (NumPy C API, "Python types and C-structures") is part of numpy's binary interface: extensions
read it through macros compiled into them. Here ``layout_holds`` compares it with what numpy says of an array.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from dataclasses import dataclass

import numpy as np

from dsp.kernels.compiled.arguments import DTYPES

__all__ = ["ARRAY", "FLAGS", "TABLE", "WRITEABLE", "layout_holds"]


@dataclass(frozen=True)
class _Offsets:
    kind: int
    data: int
    nd: int
    dimensions: int
    descr: int
    flags: int


_HEAD = object.__basicsize__
ARRAY = _Offsets(_HEAD - 8, _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48)
"""Offsets in bytes; an object's type is the last word of its head."""

FLAGS = 0x0001 | 0x0100
"""NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED."""

WRITEABLE = 0x0400
"""NPY_ARRAY_WRITEABLE."""

_TYPES = (np.ndarray, *(np.dtype(name) for name in DTYPES))
_WORDS = (ctypes.c_uint64 * len(_TYPES))(*map(id, _TYPES))
TABLE: int = ctypes.addressof(_WORDS)
"""Address of the words: numpy's array type, then one element type for each of ``DTYPES``."""


def layout_holds() -> bool:
    """Tell whether array objects are laid out as the entries read them."""
    if struct.calcsize("P") != 8 or sys.implementation.name != "cpython":
        return False
    array = np.zeros((3, 5), np.float32)
    at = id(array)
    word, integer = ctypes.c_uint64.from_address, ctypes.c_int32.from_address
    if word(at + ARRAY.kind).value != id(np.ndarray) or integer(at + ARRAY.nd).value != array.ndim:
        return False
    lengths = word(at + ARRAY.dimensions).value
    return (
        word(at + ARRAY.data).value == array.ctypes.data
        and lengths != 0
        and (word(lengths).value, word(lengths + 8).value) == array.shape
        and word(at + ARRAY.descr).value == id(np.dtype(np.float32))
        and integer(at + ARRAY.flags).value == array.flags.num
    )
