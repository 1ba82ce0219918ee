"""A kernel's machine code is made once, kept, mapped without numba, and never run on what it is not declared for."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsp.kernels
from dsp.errors import DspError, KernelError, KernelTypeError
from dsp.kernels import compiled
from dsp.kernels.compiled import arrays, calls, link, store
from dsp.kernels.compiled.arguments import Argument
from dsp.kernels.compiled.places import places, sources_digest

TOY = '''
"""Kernels to try the loader with."""
import math
from typing import Any
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model
from dsp.kernels.compiled import kernel, part

SIXTEEN = ir.VectorType(ir.FloatType(), 16)

class Lanes(types.Type):
    def __init__(self):
        super().__init__("ToyLanes")

lanes = Lanes()

@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager, front_end):
        super().__init__(manager, front_end, SIXTEEN)

def _row(context, builder, kind, array, row):
    data = context.make_array(kind)(context, builder, array).data
    place = builder.gep(data, [builder.mul(row, ir.Constant(ir.IntType(64), 16))])
    return builder.bitcast(place, SIXTEEN.as_pointer())

@intrinsic
def load(typing_context, array, row):
    def generate(context, builder, signature, args):
        loaded = builder.load(_row(context, builder, signature.args[0], args[0], args[1]))
        loaded.align = 4
        return loaded
    return lanes(array, types.intp), generate

@intrinsic
def store(typing_context, array, row, value):
    def generate(context, builder, signature, args):
        stored = builder.store(args[2], _row(context, builder, signature.args[0], args[0], args[1]))
        stored.align = 4
        return context.get_dummy_value()
    return types.none(array, types.intp, lanes), generate

@intrinsic
def add(typing_context, a, b):
    def generate(context, builder, signature, args):
        return builder.fadd(args[0], args[1])
    return lanes(lanes, lanes), generate

@part
def quiet(x):
    return x if abs(x) > 0.25 else 0.0

@kernel("f4[:,::1]", "f8[::1]", "i8", "f8", "b1")
def scale(x, sums, frames, gain, on):
    """Scale ``frames`` rows of x, add their sines to sums."""
    if on:
        for i in range(frames):
            for c in range(x.shape[1]):
                x[i, c] = max(min(x[i, c] * gain, 100.0), -100.0)
                sums[c] += quiet(math.sin(x[i, c]))

@kernel("f4[:,::1]")
def running_sum(x):
    """Add to each row of sixteen lanes all rows before it."""
    total = load(x, 0)
    for row in range(1, x.shape[0]):
        total = add(total, load(x, row))
        store(x, row, total)

@kernel("f8[::1]", "f8", "f4", "i8", "i4", "u8", "u1", "b1")
def numbers(out, a, b, c, d, e, f, g):
    """Write down every number as it arrives."""
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = a, b, c, d, e, f, g

@kernel("f8[:,:,::1]", "c8[::1]", "Array(i2, 1, 'C', readonly=True)", "f8[::1]")
def shapes(deep, spectrum, fixed, out):
    """Look at arrays of other kinds."""
    out[0] = deep[1, 2, 3]
    out[1] = deep.shape[0] * 100 + deep.shape[1] * 10 + deep.shape[2]
    out[2] = spectrum[1].imag
    out[3] = fixed[2]

@kernel("f8[::1]", "i8")
def long(x, times):
    """Take a while."""
    for _ in range(times):
        for i in range(x.shape[0]):
            x[i] = x[i] * 0.999 + 1.0
'''

TINY = """
from dsp.kernels.compiled import kernel
@kernel("f8[::1]")
def one(x):
    x[0] = 1.0
@kernel("f8[::1]")
def stumble(x):
    x[0] = 1.0
    if x[0] > 0.0:
        raise ValueError
"""

REFUSED = {
    "allocates": """
import numpy as np
from dsp.kernels.compiled import kernel
@kernel("f8[::1]")
def spoil(x):
    x[0] = np.zeros(3).sum()
""",
    "foreign": """
from numba import types
from dsp.kernels.compiled import kernel
clock = types.ExternalFunction("clock", types.int64())
@kernel("f8[::1]")
def tick(x):
    x[0] = clock()
""",
    "loose": """
from dsp.kernels.compiled import kernel
@kernel("f8[:]")
def gaps(x):
    x[0] = 1.0
""",
    "unknown": """
from dsp.kernels.compiled import kernel
@kernel("f9[::1]")
def kind(x):
    x[0] = 1.0
""",
    "uncounted": """
from dsp.kernels.compiled import kernel
@kernel("f8[::1]", "i8")
def types(x):
    x[0] = 1.0
""",
    "outsider": """
from dsp.kernels.compiled import kernel
from dsp.processor import Processor
@kernel("f8[::1]")
def one(x):
    x[0] = 1.0
""",
    "neighbour": """
from dsp.kernels import outsider
""",
}

MODULES = {"toy": TOY, "tiny": TINY, **REFUSED}


def fresh() -> None:
    """Forget what this process has loaded, as a new process would."""
    for remembered in (compiled._library, compiled._native, store._key, store._file_name, sources_digest):
        remembered.cache_clear()
    for name in [name for name in sys.modules if name.startswith("dsp.kernels.") and name.split(".")[2] in MODULES]:
        del sys.modules[name]


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


def in_a_new_process(room: Path, code: str) -> str:
    prelude = f"import sys, numpy as np, dsp.kernels\ndsp.kernels.__path__.append({str(room)!r})\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{prelude}from dsp.kernels import compiled\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_kernels_are_machine_code_here_and_numba_s_where_that_is_asked_for(toy, by_numba):
    assert isinstance(toy.scale, calls.NativeKernel)
    assert isinstance(by_numba.scale, calls.DispatchedKernel)


@pytest.mark.parametrize(
    ("module", "name", "answer"), [(arrays, "layout_holds", False), (link, "works", False), (link, "addresses", None)]
)
def test_where_machine_code_cannot_be_used_numba_runs_the_kernels(room, monkeypatch, module, name, answer):
    monkeypatch.setattr(module, name, lambda *_: answer)
    fresh()
    x = np.zeros(1)
    one = compiled.library("tiny").one
    one(x)
    assert isinstance(one, calls.DispatchedKernel)
    assert x[0] == 1
    monkeypatch.undo()
    fresh()


def test_a_kernel_computes_what_is_written(either):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    sums = np.zeros(4)
    either.scale(x, sums, 2, 0.5, True)
    np.testing.assert_array_equal(x, [[0, 0.5, 1, 1.5], [2, 2.5, 3, 3.5], [8, 9, 10, 11]])
    sines = np.sin([[0, 0.5, 1, 1.5], [2, 2.5, 3, 3.5]])
    np.testing.assert_allclose(sums, np.where(np.abs(sines) > 0.25, sines, 0).sum(axis=0), rtol=1e-6)
    either.scale(x, sums, 3, 0.0, False)
    assert x[2, 3] == 11


def test_sixteen_lanes_pass_through(toy):
    x = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    expected = np.cumsum(x, axis=0, dtype=np.float32)
    toy.running_sum(x)
    np.testing.assert_array_equal(x, expected)


def test_numbers_arrive_as_they_are(either):
    out = np.zeros(7)
    either.numbers(out, math.pi, 0.1, -(2**40), -7, 2**60, 255, True)
    assert out.tolist() == [math.pi, float(np.float32(0.1)), -(2**40), -7, 2**60, 255, 1]
    either.numbers(
        out, np.float64(2), np.float32(0.5), np.int64(3), np.int32(4), np.uint64(5), np.uint8(6), np.bool_(0)
    )
    assert out.tolist() == [2, 0.5, 3, 4, 5, 6, 0]


def test_arrays_arrive_in_their_shape(either):
    out, fixed = np.zeros(4), np.array([1, 2, -300], np.int16)
    fixed.flags.writeable = False
    deep = np.arange(120.0).reshape(4, 5, 6)
    either.shapes(deep, np.array([0, 1 + 2j], np.complex64), fixed, out)
    assert out.tolist() == [deep[1, 2, 3], 456, 2, -300]


def test_an_empty_array_is_an_array(either):
    sums = np.ones(4)
    either.scale(np.zeros((0, 4), np.float32), sums, 0, 0.5, True)
    assert sums.tolist() == [1, 1, 1, 1]


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


GOOD = (np.ones((3, 4), np.float32), np.zeros(4), 3, 0.5, True)
WRONG = {
    "another element type": (0, np.ones((3, 4)), "f8"),
    "another byte order": (0, np.ones((3, 4), ">f4"), "x"),
    "too few dimensions": (0, np.ones(4, np.float32), "1 dimensions"),
    "another order": (0, np.ones((4, 3), np.float32).T, "gaps"),
    "gaps": (0, np.ones((3, 8), np.float32)[:, ::2], "gaps"),
    "read only": (0, read_only(np.ones((3, 4), np.float32)), "must not be written"),
    "misaligned": (1, np.zeros(33, np.uint8)[1:].view(np.float64), "gaps"),
    "a list": (1, [0.0] * 4, "list"),
    "nothing": (1, None, "NoneType"),
    "a number for an array": (1, 7, "int"),
    "a fraction for a count": (2, 2.5, "frames"),
    "a count too large": (2, 2**63, "frames"),
    "a word for a number": (3, "loud", "gain"),
    "an array for a number": (3, np.zeros(4), "gain"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_declared_is_refused_and_nothing_is_touched(either, case):
    place, wrong, word = WRONG[case]
    values = [*GOOD]
    values[place] = wrong
    before = [np.copy(value) for value in GOOD[:2]]
    with pytest.raises(KernelTypeError, match=word) as refused:
        either.scale(*values)
    assert isinstance(refused.value, TypeError)
    assert isinstance(refused.value, DspError)
    assert "toy.scale" in str(refused.value)
    np.testing.assert_array_equal(GOOD[0], before[0])
    np.testing.assert_array_equal(GOOD[1], before[1])
    hole = [None if place == k else value for k, value in enumerate(GOOD)]
    if wrong is not None:
        with pytest.raises(KernelTypeError, match=word):
            either.scale.bind(*values)
    with pytest.raises(KernelTypeError, match=word):
        either.scale.bind(*hole)(wrong)


@given(
    dtype=st.sampled_from(["f4", "f4", "f4", "f8", ">f4", "i4", "c8"]),
    shape=st.sampled_from([(3, 4), (1, 1), (5, 2), (4,), (2, 3, 2)]),
    order=st.sampled_from("CCF"),
    step=st.sampled_from([1, 1, 1, 2, -1]),
    writeable=st.sampled_from([True, True, False]),
)
@settings(max_examples=60, deadline=None)
def test_exactly_what_is_declared_runs_and_only_that_is_written(toy, dtype, shape, order, step, writeable):
    memory = np.ones((64, *shape[1:]), dtype, order=order)
    array = memory[8 : 8 + shape[0] * abs(step) : step] if step > 0 else memory[8 : 8 - shape[0] : step]
    array.flags.writeable = writeable
    fits = (
        array.dtype == np.float32
        and array.dtype.isnative
        and array.ndim == 2
        and array.flags.c_contiguous
        and writeable
    )
    sums = np.zeros(8)
    if fits:
        toy.scale(array, sums, len(array), 0.5, True)
        assert (array == 0.5).all()
        assert (memory != 1).sum() == array.size
    else:
        with pytest.raises(KernelTypeError):
            toy.scale(array, sums, len(array), 0.5, True)
        assert (memory == 1).all()
        assert not sums.any()


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_the_number_of_arguments_is_checked(either, count):
    with pytest.raises(KernelTypeError, match="takes 5"):
        either.scale(*[*GOOD, 1][:count])


def test_a_bound_kernel_takes_the_holes_in_order(either):
    x, sums = np.ones((3, 4), np.float32), np.zeros(4)
    run = either.scale.bind(x, sums, None, 0.5, None)
    run(2, True)
    run(1, True)
    run(3, False)
    assert x[:, 0].tolist() == [0.25, 0.5, 1]
    for rest in [(), (2,), (2, True, 1)]:
        with pytest.raises(KernelTypeError, match=r"frames, on.*2 values"):
            run(*rest)
    assert x[:, 0].tolist() == [0.25, 0.5, 1]


def test_a_bound_kernel_takes_arrays_too(either):
    run = either.scale.bind(None, None, 2, 0.5, True)
    for rows in (2, 5):
        x = np.ones((rows, 4), np.float32)
        run(x, np.zeros(4))
        assert x.sum() == 4 * rows - 4


def test_what_is_bound_lives_as_long_as_the_bound_kernel(either):
    seen = np.zeros(4)
    run = either.scale.bind(np.ones((300_000, 4), np.float32), seen, None, 1.0, True)
    litter = [np.full((300_000, 4), np.nan, np.float32) for _ in range(3)]
    run(300_000)
    assert np.isfinite(seen).all()
    del litter


def test_arrays_that_only_look_different_are_taken(either, tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3, 4))
    mapped[:] = 1
    either.scale(mapped, np.zeros(4, np.dtype("d", metadata={"unit": "V"})), 3, 0.5, True)
    either.scale.bind(None, np.zeros(4), None, 0.5, True)(mapped, 2)
    assert np.asarray(mapped)[:, 0].tolist() == [0.25, 0.25, 0.5]


def test_other_threads_run_meanwhile(toy):
    toy.long(np.zeros(10), 10)
    worker = threading.Thread(target=toy.long, args=(np.zeros(10_000), 20_000))
    worker.start()
    turns = 0
    while worker.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 4


def test_a_kernel_that_is_not_there_names_those_that_are(toy, room):
    with pytest.raises(AttributeError, match=r"'scael'.*scale, running_sum"):
        _ = toy.scael
    with pytest.raises(KernelError, match=r"'tyo'.*toy"):
        compiled.library("tyo")


def test_a_second_process_needs_neither_numba_nor_the_module(toy, room):
    said = in_a_new_process(
        room,
        "toy = compiled.library('toy')\n"
        "x, sums = np.ones((3, 4), 'f4'), np.zeros(4)\n"
        "toy.scale(x, sums, 2, 0.5, True)\n"
        "print(x[:, 0].tolist(), 'numba' in sys.modules, 'dsp.kernels.toy' in sys.modules)",
    )
    assert said.split("\n")[0] == "[0.5, 0.5, 1.0] False False"


def test_the_same_kernel_gives_the_same_bits_new_and_kept(toy, room):
    x, sums = np.random.default_rng(2).normal(size=(100, 4)).astype(np.float32), np.zeros(4)
    said = in_a_new_process(
        room,
        "x, sums = np.random.default_rng(2).normal(size=(100, 4)).astype(np.float32), np.zeros(4)\n"
        "compiled.library('toy').scale(x, sums, 100, 1.1, True)\n"
        "print(x.tobytes().hex(), sums.tobytes().hex())",
    )
    toy.scale(x, sums, 100, 1.1, True)
    assert said.split() == [x.tobytes().hex(), sums.tobytes().hex()]


# What developers are told


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("allocates", "allocates.spoil"),
        ("foreign", "foreign.tick needs clock"),
        ("loose", "loose.gaps: x is declared as"),
        ("unknown", "unknown.kind: .*f9"),
        ("uncounted", "uncounted.types has 1 arguments .* types of 2"),
        ("outsider", "outsider take something from dsp.processor"),
        ("neighbour", "neighbour take something from dsp.processor"),
    ],
)
def test_a_kernel_that_cannot_stand_alone_is_refused_by_name(room, module, words):
    with pytest.raises(KernelError, match=words):
        compiled.library(module)


def test_a_kernel_that_raises_after_all_is_no_silent_success(room):
    tiny = compiled.library("tiny")
    with pytest.raises(KernelError, match=r"tiny.stumble raised"):
        tiny.stumble(np.zeros(1))
    with pytest.raises(KernelError, match=r"tiny.stumble raised"):
        tiny.stumble.bind(None)(np.zeros(1))


# Keeping

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


def test_nothing_is_told_of_kernels_that_are_kept(toy, monkeypatch):
    told: list[compiled.Compiling] = []
    monkeypatch.setattr(compiled, "on_compile", told.append)
    fresh()
    assert compiled.warm("toy")
    compiled.library("toy")
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


def test_the_program_s_own_modules_of_kernels_are_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {"reverb", "strip"} <= set(compiled.modules())
    assert "compiled" not in compiled.modules()
