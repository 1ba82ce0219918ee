"""A kernel runs as machine code, on what it is declared for and nothing else."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, KernelError, KernelTypeError
from dsp.kernels import compiled
from dsp.kernels.compiled import arrays, calls, link
from tests.dsp.compiled.toys import fresh, in_a_new_process


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
