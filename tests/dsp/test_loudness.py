"""Loudness against the test signals of EBU Tech 3341 and 3342 and the constants of ITU-R BS.1770-5."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.loudness import LoudnessMeter, k_weighting

RATE = 48_000


def sine(level_dbfs: float, seconds: float, freq_hz: float = 1000.0, rate_hz: int = RATE) -> np.ndarray:
    """A stereo sine of that peak in both channels."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat((10.0 ** (level_dbfs / 20.0) * np.sin(2.0 * np.pi * freq_hz * t))[:, None], 2, axis=1)


def measured(*pieces: np.ndarray, rate_hz: int = RATE, block: int = 9600) -> LoudnessMeter:
    signal = np.concatenate(pieces).astype(np.float32)
    meter = LoudnessMeter(rate_hz, signal.shape[1])
    for start in range(0, len(signal), block):
        meter.process(signal[start : start + block])
    return meter


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 88_200, 96_000, 192_000])
def test_a_full_scale_sine_of_997_hz_in_one_channel_reads_minus_3_01(rate_hz: int) -> None:
    meter = measured(sine(0.0, 2.0, 997.0, rate_hz)[:, :1], rate_hz=rate_hz)
    assert meter.integrated_lufs == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(
    ("pieces", "integrated"),
    [
        (((-23.0, 20.0),), -23.0),
        (((-33.0, 20.0),), -33.0),
        (((-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)), -23.0),
        (((-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)), -23.0),
        (((-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)), -23.0),
    ],
)
def test_integrated_loudness_of_ebu_tech_3341_signals_1_to_5(pieces, integrated) -> None:
    meter = measured(*(sine(level, seconds) for level, seconds in pieces))
    assert meter.integrated_lufs == pytest.approx(integrated, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "lra"),
    [
        ((-20.0, -30.0), 10.0),
        ((-20.0, -15.0), 5.0),
        ((-40.0, -20.0), 20.0),
        ((-50.0, -35.0, -20.0, -35.0, -50.0), 15.0),
    ],
)
def test_loudness_range_of_ebu_tech_3342_signals_1_to_4(levels, lra) -> None:
    meter = measured(*(sine(level, 20.0) for level in levels))
    assert meter.lra_lu == pytest.approx(lra, abs=1.0)


def test_short_term_and_momentary_of_a_steady_sine_are_its_loudness_after_their_windows() -> None:
    meter = measured(sine(-23.0, 0.35))
    assert meter.momentary_lufs == -math.inf
    meter = measured(sine(-23.0, 3.2))
    assert meter.momentary_lufs == pytest.approx(-23.0, abs=0.1)
    assert meter.short_term_lufs == pytest.approx(-23.0, abs=0.1)
    assert meter.short_term_max_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_maxima_of_ebu_tech_3341_signals_10_and_13(number) -> None:
    momentary = measured(sine(-200.0, 0.02 * number), sine(-23.0, 0.4), sine(-200.0, 1.0))
    assert momentary.momentary_max_lufs == pytest.approx(-23.0, abs=0.1)
    short = measured(sine(-200.0, 0.15 * number), sine(-23.0, 3.0), sine(-200.0, 1.0))
    assert short.short_term_max_lufs == pytest.approx(-23.0, abs=0.1)


def test_steady_readings_of_ebu_tech_3341_signals_9_and_12() -> None:
    short = LoudnessMeter(RATE, 2)
    signal = np.concatenate([sine(-20.0, 1.34), sine(-30.0, 1.66)] * 5).astype(np.float32)
    read = []
    for piece in np.split(signal, range(4800, len(signal), 4800)):
        short.process(piece)
        read.append(short.short_term_lufs)
    assert read[30:] == pytest.approx([-23.0] * len(read[30:]), abs=0.1)
    momentary = LoudnessMeter(RATE, 2)
    signal = np.concatenate([sine(-20.0, 0.18), sine(-30.0, 0.22)] * 25).astype(np.float32)
    read = []
    for piece in np.split(signal, range(4800, len(signal), 4800)):
        momentary.process(piece)
        read.append(momentary.momentary_lufs)
    assert read[10:] == pytest.approx([-23.0] * len(read[10:]), abs=0.1)


def test_silence_has_no_loudness() -> None:
    meter = measured(np.zeros((2 * RATE, 2)))
    assert meter.integrated_lufs == -math.inf
    assert meter.lra_lu == 0.0


@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 88_200, 96_000, 192_000])
def test_the_weighting_is_the_standards_curve_at_every_rate(rate_hz: int) -> None:
    freqs = np.geomspace(20.0, min(20_000.0, 0.45 * rate_hz), 200)
    wanted = np.prod([s.response(freqs, RATE) for s in k_weighting(RATE)], axis=0)
    found = np.prod([s.response(freqs, rate_hz) for s in k_weighting(rate_hz)], axis=0)
    assert np.max(np.abs(20.0 * np.log10(np.abs(found / wanted)))) < 0.011


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
def test_any_cut_into_blocks_reads_the_same(cuts) -> None:
    rng = np.random.default_rng(3)
    signal = (0.1 * rng.standard_normal((2 * RATE, 2))).astype(np.float32)
    whole, cut = LoudnessMeter(RATE, 2), LoudnessMeter(RATE, 2)
    whole.process(signal)
    for piece in np.split(signal, sorted({min(c, len(signal)) for c in np.cumsum(cuts)})):
        cut.process(piece)
    assert cut.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=1e-9)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DspError, match="1 or 2 channels"):
        LoudnessMeter(RATE, 6)
    with pytest.raises(DspError, match="4000 Hz"):
        LoudnessMeter(4000, 2)
    with pytest.raises(ShapeError):
        LoudnessMeter(RATE, 2).process(np.zeros((10, 1), np.float32))
