"""SMPTE and CCIF against sidebands that were written down, in noise, from a generator that is off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.measure.intermod import measure_ccif, measure_smpte

RATE = 48_000
PEAK = 10.0 ** (-1.0 / 20.0)


def smpte_return(first, second, *, sigma, seed, seconds=1.0):
    """60 Hz + 7 kHz at 4:1 with pairs of sidebands of relative amplitudes ``first`` and ``second`` each."""
    rng = np.random.default_rng(seed)
    turn = 2.0 * np.pi * (1.0 + rng.uniform(-50e-6, 50e-6)) / RATE * np.arange(int(seconds * RATE))
    x = 0.8 * np.cos(60.0 * turn) + 0.2 * np.cos(7000.0 * turn + 1.0)
    for offset, level in ((-120, second), (-60, first), (60, first), (120, second)):
        x += 0.2 * level * np.cos((7000.0 + offset) * turn + rng.uniform(0.0, 6.28))
    return PEAK * x + rng.normal(0.0, sigma, turn.size)


def ccif_return(second, third, *, sigma, seed, rate_hz=RATE):
    rng = np.random.default_rng(seed)
    turn = 2.0 * np.pi * (1.0 + rng.uniform(-50e-6, 50e-6)) / rate_hz * np.arange(rate_hz)
    x = 0.5 * (np.cos(19_000.0 * turn) + np.cos(20_000.0 * turn + 2.0))
    for hz, level in ((1000.0, second), (18_000.0, third), (21_000.0, third)):
        if hz < rate_hz / 2:
            x += level * np.cos(hz * turn + rng.uniform(0.0, 6.28))
    return PEAK * x + rng.normal(0.0, sigma, turn.size)


@pytest.mark.parametrize(("level_db", "within"), [(-80.0, 0.1), (-100.0, 0.5)])
def test_smpte_within_the_goal(level_db, within):
    # Pairs are added by amplitude (2·a), orders by power: a² · (4 + 4/4).
    a = 10.0 ** (level_db / 20.0) / math.sqrt(5.0)
    found = [measure_smpte(smpte_return(a, a / 2.0, sigma=1e-5, seed=s), rate_hz=RATE) for s in range(12)]
    errors = np.array([f.value - level_db for f in found])
    stated = np.mean([f.sd for f in found])
    assert math.sqrt(np.mean(errors**2)) <= within
    assert abs(errors.mean()) <= 3.0 * stated / math.sqrt(12.0)
    assert 0.5 * stated <= errors.std() <= 1.6 * stated


@pytest.mark.parametrize(("level_db", "within"), [(-80.0, 0.1), (-100.0, 0.5)])
def test_ccif_within_the_goal(level_db, within):
    # The reference is the sum of both tones (1.0 before the level): d2 is its own amplitude, d3 that of two.
    a = 10.0 ** (level_db / 20.0)
    found = [measure_ccif(ccif_return(a, a / 2.0, sigma=1e-5, seed=s), rate_hz=RATE) for s in range(12)]
    for pick in ("d2_db", "d3_db"):
        figures = [getattr(f, pick) for f in found]
        errors = np.array([f.value - level_db for f in figures])
        stated = np.mean([f.sd for f in figures])
        assert math.sqrt(np.mean(errors**2)) <= within
        assert abs(errors.mean()) <= 3.0 * stated / math.sqrt(12.0)
        assert 0.5 * stated <= errors.std() <= 1.6 * stated


def test_a_modulated_tone_reads_its_depth_of_modulation():
    # What the demodulator of SMPTE RP 120 reads: 7 kHz whose amplitude swings by m has sidebands of m/2 each.
    t, m = np.arange(RATE) / RATE, 1e-3
    low, high = np.cos(2.0 * np.pi * 60.0 * t), np.cos(2.0 * np.pi * 7000.0 * t)
    found = measure_smpte(0.4 * low + 0.1 * high * (1.0 + m * low), rate_hz=RATE)
    assert found.value == pytest.approx(20.0 * math.log10(m), abs=1e-3)
    assert "by power -63.01 dB" in found.note


def test_a_quadratic_path_makes_the_sidebands_algebra_says():
    # y = x + c·x²: 2·c·A1·A2·cos·cos gives c·A1·A2 at each of f2 ± f1, so the pair is 2·c·A1 re A2.
    t, c = np.arange(RATE) / RATE, 1e-4
    x = 0.4 * np.cos(2.0 * np.pi * 60.0 * t) + 0.1 * np.cos(2.0 * np.pi * 7000.0 * t)
    assert measure_smpte(x + c * x * x, rate_hz=RATE).value == pytest.approx(20.0 * math.log10(2 * c * 0.4), abs=1e-3)
    y = 0.3 * (np.cos(2.0 * np.pi * 19_000.0 * t) + np.cos(2.0 * np.pi * 20_000.0 * t))
    # c·A² at f2 − f1, re 2·A.
    assert measure_ccif(y + c * y * y, rate_hz=RATE).d2_db.value == pytest.approx(20 * math.log10(c * 0.15), abs=1e-3)


def test_intermodulation_below_the_noise_is_not_observable():
    for seed in range(10):
        assert not measure_smpte(smpte_return(1e-9, 0.0, sigma=1e-4, seed=seed), rate_hz=RATE).observable
        found = measure_ccif(ccif_return(1e-9, 1e-9, sigma=1e-4, seed=seed), rate_hz=RATE)
        assert "below -" in found.d2_db.note
        assert "below -" in found.d3_db.note


@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
def test_other_rates_hold_the_lines_too(rate_hz):
    found = measure_ccif(ccif_return(1e-4, 1e-4, sigma=1e-6, seed=1, rate_hz=rate_hz), rate_hz=rate_hz)
    assert found.d2_db.value == pytest.approx(-80.0, abs=0.05)
    assert found.d3_db.value == pytest.approx(-80.0 + 20.0 * math.log10(2.0), abs=0.05)


@settings(max_examples=4, deadline=None)
@given(scale=st.floats(1e-2, 1.0), dc=st.floats(-0.05, 0.05), flip=st.booleans())
def test_scale_sign_and_dc_change_no_ratio(scale, dc, flip):
    gain = -scale if flip else scale
    x, y = smpte_return(1e-3, 1e-3, sigma=1e-6, seed=2), ccif_return(1e-3, 1e-3, sigma=1e-6, seed=2)
    assert measure_smpte(gain * x + dc, rate_hz=RATE).value == pytest.approx(measure_smpte(x, rate_hz=RATE).value)
    one, other = measure_ccif(y, rate_hz=RATE), measure_ccif(gain * y + dc, rate_hz=RATE)
    assert other.d2_db.value == pytest.approx(one.d2_db.value, abs=1e-6)
    assert other.d3_db.value == pytest.approx(one.d3_db.value, abs=1e-6)


def test_one_tone_that_is_missing_is_named():
    t = np.arange(RATE) / RATE
    only = 0.1 * np.cos(2.0 * np.pi * 7000.0 * t) + np.random.default_rng(1).normal(0.0, 1e-4, RATE)
    assert "no tone near 60 Hz" in measure_smpte(only, rate_hz=RATE).note
    assert "no tone near 19000 Hz" in measure_ccif(np.zeros(RATE), rate_hz=RATE).d2_db.note


@pytest.mark.parametrize("bad", [np.zeros(1), np.full(RATE, np.nan), np.zeros((RATE, 2))])
def test_what_is_no_capture_is_refused(bad):
    for measure in (measure_smpte, measure_ccif):
        with pytest.raises(DspError) as caught:
            measure(bad, rate_hz=RATE)
        assert caught.value.hint


def test_a_rate_too_low_for_19_khz_is_refused():
    with pytest.raises(DspError, match="19000 Hz cannot be measured"):
        measure_ccif(np.zeros(32_000), rate_hz=32_000)
