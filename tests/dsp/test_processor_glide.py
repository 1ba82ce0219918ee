"""A glide is the same straight way however its frames are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.processor import STEP_FRAMES, Glide


def values(glide: Glide, frames: int, cuts: list[int]) -> np.ndarray:
    """What a kernel makes of the knots, frame by frame."""
    found, at = [], 0
    for until in [*sorted(cuts), frames]:
        knots, first = glide.knots(until - at) if until > at else (np.zeros((2, 1)), 0)
        for i in range(until - at):
            k = min((first + i) // STEP_FRAMES, len(knots) - 2)
            share = min((first + i - k * STEP_FRAMES) / STEP_FRAMES, 1.0)
            found.append(knots[k, 0] + (knots[k + 1, 0] - knots[k, 0]) * share)
        at = until
    return np.array(found)


@given(st.integers(0, 200), st.lists(st.integers(0, 300), max_size=6))
def test_every_cut_meets_the_same_values_also_where_the_way_is_no_whole_number_of_steps(frames, cuts) -> None:
    ways = []
    for cut in (cuts, []):
        glide = Glide(np.array([1.0]))
        glide.to(np.array([3.0]), frames)
        ways.append(values(glide, 300, cut))
    assert ways[0] == pytest.approx(ways[1], abs=1e-12)
    assert ways[0][-1] == 3.0
    assert ways[0][frames + STEP_FRAMES :] == pytest.approx(3.0, abs=0.0)


def test_a_way_that_begins_on_another_begins_where_that_one_stands() -> None:
    glide = Glide(np.array([0.0]))
    glide.to(np.array([160.0]), 160)
    glide.knots(40)
    assert glide.now == pytest.approx([40.0])
    glide.to(np.array([0.0]), 40)
    assert values(glide, 20, []) == pytest.approx(40.0 - np.arange(20) * 40.0 / 48.0)
