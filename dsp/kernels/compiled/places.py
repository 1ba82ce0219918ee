"""Where kernels' sources are, and where their machine code may be kept."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import dsp.kernels

__all__ = ["places", "sources", "sources_digest"]

_VARIABLE = "NUMBA_CACHE_DIR"


def sources() -> list[Path]:
    """Return the source files of all modules of kernels."""
    return sorted(path for room in dsp.kernels.__path__ for path in Path(room).glob("*.py") if path.stem != "__init__")


@cache
def sources_digest() -> bytes:
    """Return a digest of every source that kernels are made from, as it was when this process first asked.

    Whoever imports a module of kernels asks first: what is compiled comes from these sources, or they have changed
    since and nothing is kept.
    """
    digest = hashlib.sha256()
    for path in [*sources(), *sorted(Path(__file__).parent.glob("*.py"))]:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.digest()


def places() -> list[Path]:
    """Return the folders that may hold compiled kernels, best first.

    Numba's rule: NUMBA_CACHE_DIR and nothing else where it is set; else beside the sources; else the user's cache.
    """
    chosen = os.environ.get(_VARIABLE, "").strip()
    if chosen:
        return [Path(chosen)]
    import platformdirs

    return [Path(dsp.kernels.__path__[0]) / "__pycache__", platformdirs.user_cache_path("halfnormal", appauthor=False)]
