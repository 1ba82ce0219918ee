"""A kernel's machine code is made once, kept for this processor and these sources, and used without numba."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dsp.kernels
from dsp.kernels import compiled
from dsp.kernels.compiled import store
from dsp.kernels.compiled.arguments import Argument
from dsp.kernels.compiled.places import places
from tests.dsp.compiled.toys import fresh, in_a_new_process

SOME = [
    store.Compiled("one", (Argument("x", "f4", 2), Argument("n", "i8")), b"\n\0code"),
    store.Compiled("two", (Argument("x", "f8", 1, False),), b"other"),
]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new" / "folder"))
    fresh()
    yield tmp_path / "new" / "folder"
    fresh()


def test_what_is_kept_is_read_again(kept):
    assert store.read("some") is None
    assert store.write("some", SOME) == ""
    assert store.read("some") == SOME
    assert store.read("other") is None
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "headless"])
def test_a_damaged_file_is_not_used(kept, damage):
    store.write("some", SOME)
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    path.write_bytes({"cut": whole[:-4], "empty": b"", "flipped": bytes(flipped), "headless": whole[65:]}[damage])
    assert store.read("some") is None
    store.write("some", SOME)
    assert store.read("some") == SOME


def test_a_changed_source_makes_kept_code_stale(kept, monkeypatch, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "some.py").write_text("a = 1")
    monkeypatch.setattr(dsp.kernels, "__path__", [str(room)])
    fresh()
    store.write("some", SOME)
    assert store.read("some") == SOME
    (room / "some.py").write_text("a = 2")
    fresh()
    assert store.read("some") is None


def test_code_of_sources_that_changed_meanwhile_is_not_kept(kept, monkeypatch, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "some.py").write_text("a = 1")
    monkeypatch.setattr(dsp.kernels, "__path__", [str(room)])
    fresh()
    assert store.read("some") is None
    (room / "some.py").write_text("a = 2")
    assert "changed" in store.write("some", SOME)
    fresh()
    assert store.read("some") is None


@pytest.mark.parametrize(
    ("name", "value"), [("NUMBA_CPU_NAME", "generic"), ("NUMBA_CPU_FEATURES", "-avx2"), ("NUMBA_OPT", "1")]
)
def test_code_for_another_processor_is_another_file(kept, monkeypatch, name, value):
    store.write("some", SOME)
    monkeypatch.setenv(name, value)
    fresh()
    assert store.read("some") is None
    store.write("some", SOME)
    monkeypatch.delenv(name)
    fresh()
    assert store.read("some") == SOME
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("what", ["get_host_cpu_name", "get_host_cpu_features"])
def test_another_processor_does_not_get_this_one_s_code(kept, monkeypatch, what):
    store.write("some", SOME)

    class Features(dict):
        def flatten(self):
            return "-avx"

    monkeypatch.setattr(store.llvm, what, lambda: "pentium" if what.endswith("name") else Features())
    fresh()
    assert store.read("some") is None


def test_without_a_chosen_folder_code_is_kept_beside_the_sources(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    beside, own = places()
    assert beside == Path(dsp.kernels.__file__).parent / "__pycache__"
    assert "halfnormal" in str(own)


def test_where_nothing_can_be_kept_the_kernels_run_all_the_same(room, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    told: list[compiled.Compiling] = []
    monkeypatch.setattr(compiled, "on_compile", told.append)
    fresh()
    x = np.zeros(1)
    compiled.library("tiny").one(x)
    assert x[0] == 1
    before, after = told
    assert (before.module, before.seconds) == ("tiny", None)
    assert after.seconds > 0
    assert str(tmp_path / "file") in after.trouble
    monkeypatch.setattr(compiled, "on_compile", None)
    with pytest.warns(RuntimeWarning, match="every start compiles them anew") as said:
        compiled._tell(after)
    assert len(said) == 1


def test_nothing_is_told_of_kernels_that_are_kept(room, monkeypatch):
    fresh()
    compiled.library("tiny")
    told: list[compiled.Compiling] = []
    monkeypatch.setattr(compiled, "on_compile", told.append)
    fresh()
    assert compiled.warm("tiny")
    compiled.library("tiny")
    assert told == []


def test_processes_that_compile_at_once_all_get_whole_kernels(room, tmp_path):
    prelude = f"import sys, numpy as np, dsp.kernels\ndsp.kernels.__path__.append({str(room)!r})\n"
    code = "from dsp.kernels import compiled\nx = np.zeros(1)\ncompiled.library('tiny').one(x)\nprint(x[0])"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", prelude + code], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    assert [child.communicate(timeout=60)[0].split() for child in running] == [[b"1.0"]] * 2
    assert [path.suffix for path in tmp_path.iterdir()] == [".kernels"]


def test_a_second_process_needs_neither_numba_nor_the_module(room):
    fresh()
    compiled.library("tiny")
    said = in_a_new_process(
        room,
        "x = np.zeros(1)\n"
        "compiled.library('tiny').one(x)\n"
        "print(x.tolist(), 'numba' in sys.modules, 'dsp.kernels.tiny' in sys.modules)",
    )
    assert said.split("\n")[0] == "[1.0] False False"
