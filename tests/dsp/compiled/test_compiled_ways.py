"""The short ways in which kernels are compiled give what numba gives, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.kernels import compiled
from tests.dsp.compiled.toys import fresh

WHOLE = np.array([0, 1, -1, 3, 7, 8, -8, -9, 1000003, -1000003, 2**40 + 5, -(2**40) - 5])
SINGLE = np.array([0.0, -0.0, 1.0, -2.5, 1e-40, 3e38, np.inf, -np.inf, np.nan, 0.1], np.float32)
REAL = np.array([0.0, -0.0, 1.0, -2.5, 1e-310, 1e300, np.inf, -np.inf, np.nan, 0.1, 3.0, 1 / 3])


@pytest.fixture(scope="module")
def ways(room: Any) -> Any:
    return compiled.library("ways")


@pytest.fixture(scope="module")
def ways_by_numba(ways: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_KERNELS", "numba")
        fresh()
        found = compiled.library("ways")
    fresh()
    return found


def written_by(kernel, *values):
    """Return copies of the arrays as the kernel leaves them, bit by bit."""
    values = [value.copy() if isinstance(value, np.ndarray) else value for value in values]
    kernel(*values)
    return [value.tobytes() for value in values if isinstance(value, np.ndarray)]


@pytest.mark.parametrize("on", [True, False])
def test_whole_numbers_are_divided_compared_and_found_from_the_end_as_in_python(ways, ways_by_numba, on):
    out = np.zeros((WHOLE.size, 9), np.int64)
    found = written_by(ways.whole, on, WHOLE, out)
    assert found == written_by(ways_by_numba.whole, on, WHOLE, out)
    whole = np.frombuffer(found[1], np.int64).reshape(out.shape)
    for k, row in zip(WHOLE.tolist(), whole, strict=True):
        assert row[:4].tolist() == [k // 8, k % 8, k // 7, k % 7]


def test_real_numbers_are_those_of_numba_with_nan_and_infinity_too(ways, ways_by_numba):
    a, b = (x.ravel() for x in np.meshgrid(REAL, SINGLE))
    values = a, b, np.zeros((a.size, 7))
    assert written_by(ways.real, *values) == written_by(ways_by_numba.real, *values)


@settings(deadline=None, max_examples=40)
@given(start=st.integers(-9, 9), stop=st.integers(-9, 9))
def test_loops_run_as_often_as_in_python(ways, ways_by_numba, start, stop):
    found = written_by(ways.loops, start, stop, np.zeros(9, np.int64))
    assert found == written_by(ways_by_numba.loops, start, stop, np.zeros(9, np.int64))
    counted = np.frombuffer(found[0], np.int64)
    assert counted[:3].tolist() == [
        len(range(start, stop)), sum(range(start, stop)), [-1, *range(start, stop)][-1],
    ]  # fmt: skip
    assert counted[6] == sum(range(stop, start, -2))


@pytest.mark.parametrize("at", [0, 1, -1, -3])
def test_rows_of_rows_lie_where_they_lie(ways, ways_by_numba, at):
    values = np.random.default_rng(3).random((3, 4, 5)), at, np.zeros(2)
    assert written_by(ways.rows, *values) == written_by(ways_by_numba.rows, *values)
