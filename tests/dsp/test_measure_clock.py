"""Drift against analytic tones played at the times another clock would play them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.measure.clock import clock_probe, clock_tones, measure_drift, time_map

RATE = 48_000
LEVEL_DBFS = -12.0
HZ, PHASES = clock_tones(RATE)
SIZE = 10.0 ** (LEVEL_DBFS / 20.0) / math.sqrt(HZ.size)  # of each tone: together they have the level's power


def heard(seconds, delay, ppm, sigma, rng, wander=0.0, wander_s=30.0, gain=1.0):
    """The tones at real-valued times; nothing before they arrive."""
    n = np.arange(int(seconds * RATE))
    times = n - delay - ppm * 1e-6 * n - wander * np.sin(2.0 * np.pi * n / (RATE * wander_s))
    out = np.zeros(n.size)
    for hz, phase in zip(HZ, PHASES, strict=True):
        out += SIZE * np.cos(2.0 * np.pi * hz / RATE * times + phase)
    out[times < 0.0] = 0.0
    return gain * out + rng.normal(0.0, sigma, n.size)


def crlb_ppm(frames, sigma):
    omega = 2.0 * np.pi * HZ / RATE
    return 1e6 * math.sqrt(12.0 * sigma**2 / (np.sum((SIZE * omega) ** 2) / 2.0 * frames**3))


def test_the_probe_has_the_level_and_the_tones_it_says():
    probe = clock_probe(RATE, seconds=2.0, level_dbfs=LEVEL_DBFS)
    assert 20.0 * math.log10(np.std(probe) * math.sqrt(2.0)) == pytest.approx(LEVEL_DBFS, abs=0.01)
    assert probe == pytest.approx(heard(2.0, 0.0, 0.0, 0.0, np.random.default_rng(0)), abs=1e-9)
    assert (HZ.size, HZ[0], HZ[-1]) == (24, 200.0, 18_000.0)
    assert np.diff(HZ).min() > 25.0


def test_drift_in_10_s_at_minus_80_is_within_a_ten_thousandth_of_a_ppm_and_twice_the_bound():
    rng = np.random.default_rng(1)
    errors, in_sds, delays_in_sds = [], [], []
    for _ in range(8):
        ppm, delay = rng.uniform(-50.0, 50.0), rng.uniform(0.0, 2000.0)
        found = measure_drift(heard(10.0, delay, ppm, 1e-4, rng, gain=rng.choice([-0.8, 0.8])), rate_hz=RATE)
        errors.append(found.ppm.value - ppm)
        in_sds.append(errors[-1] / found.ppm.sd)
        delays_in_sds.append((found.delay_samples.value - delay) / found.delay_samples.sd)
        assert not found.locked
        assert ("fast" if ppm > 0.0 else "slow") in found.verdict
    rmse = math.sqrt(np.mean(np.square(errors)))
    assert rmse <= 1e-4
    assert rmse <= 2.0 * crlb_ppm(10 * RATE, 1e-4) / 0.8
    assert math.sqrt(np.mean(np.square(in_sds))) < 2.0
    assert math.sqrt(np.mean(np.square(delays_in_sds))) < 2.0


def test_one_clock_is_called_locked_with_its_bound():
    found = measure_drift(heard(10.0, 777.7, 0.0, 1e-4, np.random.default_rng(2)), rate_hz=RATE)
    assert found.locked
    assert abs(found.ppm.value) < 3.0 * found.ppm.sd
    assert found.verdict.startswith("locked")
    assert "ppm" in found.verdict
    assert found.wander_samples == 0.0


def test_a_spread_too_wide_to_tell_is_not_called_locked():
    found = measure_drift(heard(1.0, 10.0, 0.0, 0.03, np.random.default_rng(3)), rate_hz=RATE)
    assert not found.locked
    assert found.verdict.startswith("undecided")


@pytest.mark.parametrize("ppm", [-800.0, 300.0])
def test_clocks_far_apart_are_measured_all_the_same(ppm):
    found = measure_drift(heard(3.0, 40.25, ppm, 1e-4, np.random.default_rng(4)), rate_hz=RATE)
    assert found.ppm.value == pytest.approx(ppm, abs=5.0 * found.ppm.sd)


def test_the_time_map_follows_a_wander_of_a_tenth_of_a_ppm_in_30_s():
    depth = 0.1e-6 * RATE * 30.0 / (2.0 * np.pi)
    x = heard(30.0, 500.5, 12.0, 1e-4, np.random.default_rng(5), wander=depth)
    drift = measure_drift(x, rate_hz=RATE)
    assert "wander" in drift.verdict
    assert not drift.locked
    found = time_map(x, rate_hz=RATE)
    seconds = np.arange(1.0, 29.0, 0.01)
    true = 500.5 + 12e-6 * seconds * RATE + depth * np.sin(2.0 * np.pi * seconds / 30.0)
    left = found.offset_at(seconds) - true
    assert np.abs(left).max() <= 1e-4
    assert found.sd_samples.max() < 2e-5


def test_a_path_with_couplings_drifts_no_differently():
    gain = (1j * HZ / (1j * HZ + 30.0)) ** 2
    n = np.arange(5 * RATE)
    x = np.zeros(n.size)
    for hz, phase, g in zip(HZ, PHASES, gain, strict=True):
        x += SIZE * abs(g) * np.cos(2.0 * np.pi * hz / RATE * (n * (1.0 - 7e-6) - 90.0) + phase + np.angle(g))
    found = measure_drift(x + np.random.default_rng(6).normal(0.0, 1e-4, n.size), rate_hz=RATE)
    assert found.ppm.value == pytest.approx(7.0, abs=5.0 * found.ppm.sd)


@settings(max_examples=6, deadline=None)
@given(ppm=st.floats(-200.0, 200.0), delay=st.floats(0.0, 5000.0), gain=st.sampled_from([-1.0, -0.01, 0.5]))
def test_drift_does_not_depend_on_delay_gain_or_polarity(ppm, delay, gain):
    found = measure_drift(heard(2.0, delay, ppm, 1e-6, np.random.default_rng(7), gain=gain), rate_hz=RATE)
    assert found.ppm.value == pytest.approx(ppm, abs=6.0 * found.ppm.sd + 1e-6)
    assert found.delay_samples.value == pytest.approx(delay, abs=6.0 * found.delay_samples.sd + 1e-6)


@pytest.mark.parametrize("what", ["silence", "noise", "another tone"])
def test_without_the_tones_there_is_no_drift(what):
    rng = np.random.default_rng(8)
    x = {
        "silence": np.zeros(2 * RATE),
        "noise": rng.normal(0.0, 0.1, 2 * RATE),
        "another tone": 0.5 * np.sin(2.0 * np.pi * 997.0 / RATE * np.arange(2 * RATE)),
    }[what]
    found = measure_drift(x, rate_hz=RATE)
    assert found.ppm.note.startswith("not observable")
    assert not found.locked
    with pytest.raises(DspError, match="no time map"):
        time_map(x, rate_hz=RATE)


def test_what_cannot_be_measured_is_refused_in_a_sentence():
    with pytest.raises(ShapeError, match="at least"):
        measure_drift(np.zeros(1), rate_hz=RATE)
    with pytest.raises(ShapeError, match="one input"):
        measure_drift(np.zeros((RATE, 2)), rate_hz=RATE)
    with pytest.raises(DspError, match="not numbers"):
        measure_drift(np.full(RATE, np.nan), rate_hz=RATE)
    with pytest.raises(DspError, match="would clip"):
        clock_probe(RATE, seconds=1.0, level_dbfs=0.0)
    with pytest.raises(DspError, match="length"):
        clock_probe(RATE, seconds=0.0)
