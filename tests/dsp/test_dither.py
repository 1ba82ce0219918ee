"""Dither has the statistics the literature states, and repeats itself under a seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.dither import Ditherer
from dsp.errors import DspError, ShapeError


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("level", [0.0, 0.25, 0.5])
def test_error_has_no_mean_and_a_quarter_step_squared_whatever_the_signal(bits, level) -> None:
    # Lipshitz, Wannamaker, Vanderkooy 1992: TPDF of two steps makes the first two moments of the error constant.
    step = 2.0 ** (1 - bits)
    x = np.full((200_000, 1), level * step)
    error = Ditherer(bits, channels=1, seed=5).process(x) - level
    assert np.mean(error) == pytest.approx(0.0, abs=0.005)
    assert np.var(error) == pytest.approx(0.25, rel=0.02)


def test_a_tone_below_one_step_survives() -> None:
    n = np.arange(480_000)
    tone = 0.4 * 2.0**-15 * np.sin(2.0 * np.pi * 1000.0 * n / 48_000.0)
    out = Ditherer(16, channels=1).process(tone[:, None])[:, 0] * 2.0**-15
    amplitude = 2.0 * abs(np.mean(out * np.exp(-2j * np.pi * 1000.0 * n / 48_000.0)))
    assert 20.0 * math.log10(amplitude / (0.4 * 2.0**-15)) == pytest.approx(0.0, abs=0.2)


def test_the_channels_are_dithered_independently() -> None:
    out = Ditherer(24, channels=2, seed=1).process(np.zeros((100_000, 2)))
    assert abs(np.corrcoef(out.T)[0, 1]) < 0.02


@given(st.lists(st.integers(0, 1000), max_size=5))
def test_any_block_size_gives_the_same_numbers(cuts) -> None:
    x = np.random.default_rng(2).uniform(-1.0, 1.0, (1000, 2))
    pieces = Ditherer(24, channels=2, seed=7)
    whole = Ditherer(24, channels=2, seed=7).process(x)
    assert np.array_equal(whole, np.concatenate([pieces.process(p) for p in np.split(x, sorted(cuts))]))


def test_the_seed_decides() -> None:
    a, b, c = (Ditherer(16, channels=1, seed=s).process(np.zeros((100, 1))) for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_overs_are_held_and_counted() -> None:
    dither = Ditherer(16, channels=1)
    out = dither.process(np.array([[1.5], [-1.5], [0.0]]))
    assert out[:2, 0].tolist() == [32_767, -32_768]
    assert out.dtype == np.int32
    assert dither.clipped == 2


def test_nan_other_widths_and_shapes_are_refused() -> None:
    with pytest.raises(DspError, match="NaN"):
        Ditherer(16, channels=1).process(np.full((1, 1), np.nan))
    with pytest.raises(DspError, match="20 bits"):
        Ditherer(20, channels=1)  # type: ignore[arg-type]
    with pytest.raises(ShapeError):
        Ditherer(16, channels=2).process(np.zeros((4, 1)))
