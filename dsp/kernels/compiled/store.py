"""Where machine code of kernels is kept between runs, and when it may be used again.

One file a module and kind of machine: a line with the checksum of the rest, a line of JSON (key, kernels with their
arguments and sizes), the object files end to end. A file that is damaged, cut short or made from other sources, by
other versions or for another processor is not used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import llvmlite  # type: ignore[import-untyped]
import llvmlite.binding as llvm  # type: ignore[import-untyped]

import dsp.kernels
from dsp.kernels.compiled.arguments import Argument

__all__ = ["Compiled", "places", "read", "sources", "write"]

_FORMAT = 1
_VARIABLE = "NUMBA_CACHE_DIR"
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


def sources() -> list[Path]:
    """Return the source files of all modules of kernels."""
    return sorted(path for room in dsp.kernels.__path__ for path in Path(room).glob("*.py") if path.stem != "__init__")


def places() -> list[Path]:
    """Return the folders that may hold compiled kernels, best first.

    Numba's rule: NUMBA_CACHE_DIR and nothing else where it is set; else beside the sources; else the user's cache.
    """
    chosen = os.environ.get(_VARIABLE, "").strip()
    if chosen:
        return [Path(chosen)]
    import platformdirs

    return [Path(dsp.kernels.__path__[0]) / "__pycache__", platformdirs.user_cache_path("halfnormal", appauthor=False)]


def read(module: str) -> list[Compiled] | None:
    """Return the kernels of ``module`` as they were kept, or None where they have to be compiled."""
    for place in places():
        try:
            content = (place / _file_name(module)).read_bytes()
        except OSError:
            continue
        kept = _parsed(content)
        if kept is not None:
            return kept
    return None


def write(module: str, kernels: Sequence[Compiled]) -> str:
    """Keep the kernels of ``module``. Return an empty string, or why they could not be kept.

    Whoever reads meanwhile finds the old file or the new one, whole.
    """
    index = [[kernel.name, [astuple(a) for a in kernel.arguments], len(kernel.code)] for kernel in kernels]
    head = json.dumps({"key": _key(), "kernels": index}).encode() + b"\n"
    rest = head + b"".join(kernel.code for kernel in kernels)
    content = hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
    trouble = ""
    for place in places():
        path = place / _file_name(module)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
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


def _parsed(content: bytes) -> list[Compiled] | None:
    checksum, _, rest = content.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != checksum:
        return None
    head, _, code = rest.partition(b"\n")
    index = json.loads(head)
    if index["key"] != _key():
        return None
    kernels = []
    start = 0
    for name, arguments, size in index["kernels"]:
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
def _key() -> str:
    """Return a digest of the machine, the versions, and every source a kernel may come from."""
    digest = hashlib.sha256(repr((_FORMAT, _file_name(""), llvmlite.__version__)).encode())
    digest.update(_numba_version())
    for path in [*sources(), *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(repr((path.name, path.stat().st_size)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _numba_version() -> bytes:
    """Return what says which numba is installed, without importing it."""
    spec = importlib.util.find_spec("numba")
    try:
        return (Path(spec.origin).parent / "_version.py").read_bytes() if spec and spec.origin else b""
    except OSError:
        from importlib import metadata

        return metadata.version("numba").encode()
