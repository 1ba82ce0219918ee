"""The toy kernels, loaded both ways they can run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dsp.kernels
from dsp.kernels import compiled
from tests.dsp.compiled.toys import MODULES, fresh


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of kernels beside the program's own, and a cache folder of its own."""
    room = tmp_path_factory.mktemp("kernels")
    for name, source in MODULES.items():
        (room / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dsp.kernels, "__path__", [*dsp.kernels.__path__, str(room)])
        patch.setenv("NUMBA_CACHE_DIR", str(tmp_path_factory.mktemp("kept")))
        patch.delenv("HALFNORMAL_KERNELS", raising=False)
        fresh()
        yield room
    fresh()


@pytest.fixture(scope="module")
def toy(room: Path) -> Any:
    return compiled.library("toy")


@pytest.fixture(scope="module")
def by_numba(toy: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_KERNELS", "numba")
        fresh()
        found = compiled.library("toy")
    fresh()
    return found


@pytest.fixture(params=["machine code", "numba"])
def either(request: pytest.FixtureRequest, toy: Any, by_numba: Any) -> Any:
    """The kernels both ways they can run."""
    return toy if request.param == "machine code" else by_numba
