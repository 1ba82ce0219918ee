"""Where machine code of kernels is kept between runs, and when it may be used again.

One file a module and kind of machine: the checksum of all that follows and the key, each on a line; a line of JSON (the
kernels, their arguments and sizes); the object files end to end. A file that is damaged, cut short or made from other
sources, by other versions or for another processor is not used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import llvmlite  # type: ignore[import-untyped]
import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

import dsp.kernels
from dsp.kernels.compiled.arguments import Argument
from dsp.kernels.compiled.places import places, sources_digest

__all__ = ["Compiled", "read", "write"]

_FORMAT = 1
_CODE_VARIABLES = (
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_ENABLE_AVX",
    "NUMBA_OPT",
    "NUMBA_LOOP_VECTORIZE",
    "NUMBA_SLP_VECTORIZE",
    "NUMBA_BOUNDSCHECK",
    "NUMBA_DEBUGINFO",
    "NUMBA_DISABLE_INTEL_SVML",
)
"""What changes the code that numba makes."""


@dataclass(frozen=True)
class Compiled:
    """One kernel: its arguments and the object file whose symbol ``name`` is its entry."""

    name: str
    arguments: tuple[Argument, ...]
    code: bytes


def read(module: str) -> list[Compiled] | None:
    """Return the kernels of ``module`` as they were kept, or None where they have to be compiled."""
    key = _key()  # before their module can be imported: see sources_digest
    for place in places():
        try:
            content = (place / _file_name(module)).read_bytes()
        except OSError:
            continue
        kept = _parsed(content, key)
        if kept is not None:
            return kept
    return None


def write(module: str, kernels: Sequence[Compiled]) -> str:
    """Keep the kernels of ``module``. Return an empty string, or why they could not be kept.

    Whoever reads meanwhile finds the old file or the new one, whole.
    """
    if sources_digest() != sources_digest.__wrapped__():
        return "their sources have changed since this program started"
    content = _laid_out(kernels)
    trouble = ""
    for place in places():
        path = place / _file_name(module)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            place.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(content)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            trouble = trouble or f"{place}: {error.strerror or error}"
        else:
            return ""
    return trouble


def _laid_out(kernels: Sequence[Compiled]) -> bytes:
    index = [[kernel.name, [astuple(a) for a in kernel.arguments], len(kernel.code)] for kernel in kernels]
    rest = b"\n".join([_key(), json.dumps(index).encode(), b"".join(kernel.code for kernel in kernels)])
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def _parsed(content: bytes, expected: bytes) -> list[Compiled] | None:
    checksum, _, rest = content.partition(b"\n")
    key, _, body = rest.partition(b"\n")
    if key != expected or hashlib.sha256(rest).hexdigest().encode() != checksum:
        return None
    index, _, code = body.partition(b"\n")
    kernels = []
    start = 0
    for name, arguments, size in json.loads(index):
        kernels.append(Compiled(name, tuple(Argument(*a) for a in arguments), code[start : start + size]))
        start += size
    return kernels


@cache
def _file_name(module: str) -> str:
    """Return a name that other machines, interpreters and installations with the same cache folder do not use."""
    machine = [
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        sys.implementation.cache_tag,
        object.__basicsize__,
        *(os.environ.get(name, "") for name in _CODE_VARIABLES),
        *dsp.kernels.__path__,
    ]
    return f"{module}.{hashlib.sha256(repr(machine).encode()).hexdigest()[:16]}.kernels"


@cache
def _key() -> bytes:
    """Return a digest of the machine, the versions, and every source a kernel may come from."""
    versions = (_FORMAT, _file_name(""), llvmlite.__version__, np.__version__, _numba_version(), sources_digest())
    return hashlib.sha256(repr(versions).encode()).hexdigest().encode()


def _numba_version() -> bytes:
    """Return what says which numba is installed, without importing it."""
    spec = importlib.util.find_spec("numba")
    try:
        return (Path(spec.origin).parent / "_version.py").read_bytes() if spec and spec.origin else b""
    except OSError:
        from importlib import metadata

        return metadata.version("numba").encode()
