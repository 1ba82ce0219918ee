"""Dither has the statistics the literature states, flat and shaped, and repeats itself under a seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.dither import FLAT, Ditherer, NoiseShape, noise_shape
from dsp.errors import DspError, ShapeError

FIVE = [1.0, -2.033, 2.165, -1.959, 1.590, -0.6149]
"""1 − Σ c z⁻ᵏ of the five taps in Lipshitz, Vanderkooy and Wannamaker 1991."""
FIRST = [1.0, -1.0]
SHAPED = [(44_100, FIVE), (48_000, FIVE), (96_000, FIRST), (192_000, FIRST)]


def shaped_error(bits: int, rate_hz: int, x: np.ndarray) -> np.ndarray:
    """What a shaped dither adds to ``x`` (n, channels), in steps."""
    ditherer = Ditherer(bits, channels=x.shape[1], seed=5, shape=noise_shape("shaped", rate_hz))
    return ditherer.process(x) - x * 2.0 ** (bits - 1)


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


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize(("rate_hz", "ntf"), SHAPED)
def test_shaped_noise_has_the_power_of_the_white_one_times_the_sum_of_squares(bits, rate_hz, ntf) -> None:
    x = 0.1 * np.sin(0.01 * np.arange(200_000))[:, None]
    error = shaped_error(bits, rate_hz, x)
    assert np.var(error) == pytest.approx(0.25 * np.sum(np.square(ntf)), rel=0.02)


@pytest.mark.parametrize(("rate_hz", "ntf"), SHAPED[1:3])
def test_shaped_noise_has_the_spectrum_of_its_taps(rate_hz, ntf) -> None:
    error = shaped_error(16, rate_hz, np.full((500_000, 1), 0.123))[:, 0]
    freq_hz, density = signal.welch(error, rate_hz, nperseg=512)
    _, response = signal.freqz(ntf, worN=freq_hz, fs=rate_hz)
    # White noise of ¼ step² over the rate's half. 1950 periods: 0.1 dB each; the null of 1 − z⁻¹ is left out.
    expected = 0.25 / (rate_hz / 2) * np.abs(response) ** 2
    off_db = 10.0 * np.log10(density[5:-1] / expected[5:-1])
    assert np.max(np.abs(off_db)) < 0.5
    assert np.sqrt(np.mean(off_db**2)) < 0.15


@pytest.mark.parametrize(("rate_hz", "ntf"), SHAPED[1:3])
def test_the_error_before_its_shape_is_white_and_never_beyond_one_and_a_half_steps(rate_hz, ntf) -> None:
    x = np.random.default_rng(4).uniform(-0.9, 0.9, (100_000, 2))
    white = signal.lfilter([1.0], ntf, shaped_error(16, rate_hz, x), axis=0)
    assert np.max(np.abs(white)) <= 1.5 + 1e-6
    assert np.var(white, axis=0) == pytest.approx([0.25, 0.25], rel=0.02)
    assert abs(np.corrcoef(white.T)[0, 1]) < 0.02
    assert abs(np.corrcoef(white[1:, 0], white[:-1, 0])[0, 1]) < 0.02


def test_shaped_noise_is_far_lower_where_the_ear_is_keenest() -> None:
    # |1 − Σ c z⁻ᵏ|² of the taps, read at 1 and 4 kHz and over the whole: −16.0, −23.5 and +12.2 dB at 48 kHz.
    error = shaped_error(16, 48_000, np.zeros((500_000, 1)))[:, 0]
    freq_hz, density = signal.welch(error, 48_000, nperseg=4_800)
    over_flat_db = 10.0 * np.log10(density / (0.25 / 24_000))
    for at_hz, expected_db in ((1_000, -16.0), (4_000, -23.5)):
        near = np.abs(freq_hz - at_hz) <= 100.0
        assert np.mean(over_flat_db[near]) == pytest.approx(expected_db, abs=0.5)
    assert 10.0 * math.log10(np.var(error) / 0.25) == pytest.approx(12.19, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=5))
def test_any_block_size_gives_the_same_shaped_numbers(cuts) -> None:
    x = np.random.default_rng(2).uniform(-1.0, 1.0, (1000, 2)).astype(np.float32)
    five = noise_shape("shaped", 48_000)
    pieces = Ditherer(16, channels=2, seed=7, shape=five)
    whole = Ditherer(16, channels=2, seed=7, shape=five).process(x)
    assert np.array_equal(whole, np.concatenate([pieces.process(p) for p in np.split(x, sorted(cuts))]))


@settings(max_examples=20, deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from([48_000, 96_000]))
def test_shaped_dither_is_stable_under_and_after_any_overload(level, rate_hz) -> None:
    ditherer = Ditherer(16, channels=1, shape=noise_shape("shaped", rate_hz))
    loud = ditherer.process(np.full((500, 1), level))
    assert np.all((loud >= -32_768) & (loud <= 32_767))
    if abs(level) > 1.01:
        assert ditherer.clipped == 500
    # 1½ steps through every tap is the most that can come out.
    most = 1.5 * np.sum(np.abs(FIVE if rate_hz == 48_000 else FIRST))
    assert np.max(np.abs(ditherer.process(np.zeros((500, 1))))) <= most


def test_shapes_are_for_the_rates_they_were_made_for_and_flat_elsewhere() -> None:
    assert [len(noise_shape("shaped", rate).taps) for rate in (44_100, 47_952, 48_000, 88_200, 192_000)] == [
        5,
        5,
        5,
        1,
        1,
    ]
    assert noise_shape("shaped", 32_000) is noise_shape("shaped", 64_000) is noise_shape("flat", 48_000) is FLAT
    with pytest.raises(DspError, match="'loud'"):
        noise_shape("loud", 48_000)  # type: ignore[arg-type]


def test_a_shape_without_taps_is_flat_dither() -> None:
    x = np.random.default_rng(2).uniform(-1.0, 1.0, (1000, 2))
    plain = Ditherer(16, channels=2, seed=7).process(x)
    assert np.array_equal(plain, Ditherer(16, channels=2, seed=7, shape=NoiseShape("none")).process(x))
