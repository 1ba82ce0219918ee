"""THD, THD+N and dynamic range against distortion that was written down, in noise, from a generator that is off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.measure.distortion import measure_dynamic_range, measure_thd
from dsp.measure.weighting import NOTCH_Q

RATE = 48_000
PEAK = 10.0 ** (-1.0 / 20.0)


def distorted(harmonics, *, seconds, sigma, seed, freq_hz=997.0, peak=PEAK, rate_hz=RATE):
    """A sine with ``harmonics`` {number: peak re H1}, phases and generator offset (±50 ppm) drawn at random."""
    rng = np.random.default_rng(seed)
    turn = 2.0 * np.pi * (freq_hz * (1.0 + rng.uniform(-50e-6, 50e-6)) / rate_hz) * np.arange(int(seconds * rate_hz))
    x = np.cos(turn + rng.uniform(0.0, 6.28))
    for k, level in harmonics.items():
        x += level * np.cos(k * turn + rng.uniform(0.0, 6.28))
    return peak * x + rng.normal(0.0, sigma, turn.size)


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_a_pure_sine_has_no_thd_above_minus_200_db(seconds):
    found = measure_thd(distorted({}, seconds=seconds, sigma=0.0, seed=1), rate_hz=RATE)
    for figure in (found.thd_db, found.thdn_db, found.thdn_notch_db):
        assert not figure.observable or figure.value <= -200.0


def test_thd_of_minus_90_within_a_twentieth_of_a_db():
    share = 10.0 ** (-90.0 / 20.0)
    for seed in range(6):
        x = distorted({2: 0.8 * share, 3: 0.6 * share}, seconds=4.0, sigma=10**-5.5, seed=seed)
        assert measure_thd(x, rate_hz=RATE).thd_db.value == pytest.approx(-90.0, abs=0.05)


def test_thd_of_minus_120_within_half_a_db_in_noise_of_minus_110_and_without_bias():
    share, found = 10.0 ** (-120.0 / 20.0), []
    for seed in range(12):
        x = distorted({2: 0.8 * share, 3: 0.6 * share}, seconds=4.0, sigma=10**-5.5, seed=seed)
        found.append(measure_thd(x, rate_hz=RATE).thd_db)
        assert found[-1].value == pytest.approx(-120.0, abs=0.5)
    errors = np.array([f.value + 120.0 for f in found])
    expected = np.mean([f.sd for f in found])
    assert abs(errors.mean()) <= 3.0 * expected / math.sqrt(12.0)
    assert 0.6 * expected <= errors.std() <= 1.5 * expected


def test_the_spread_is_what_a_hundred_trials_scatter():
    share = 10.0 ** (-100.0 / 20.0)
    found = [
        measure_thd(distorted({2: share}, seconds=0.25, sigma=1e-5, seed=seed), rate_hz=RATE) for seed in range(100)
    ]
    for pick in ("thd_db", "thdn_db", "thdn_notch_db"):
        values = np.array([getattr(f, pick).value for f in found])
        stated = np.mean([getattr(f, pick).sd for f in found])
        assert np.std(values) == pytest.approx(stated, rel=0.25), pick
    thd = np.array([f.thd_db.value for f in found])
    assert 10.0 * math.log10(np.mean(10.0 ** (thd / 10.0))) == pytest.approx(-100.0, abs=0.15)


def test_distortion_below_the_noise_is_not_observable_and_lies_below_what_it_says():
    hidden = 0
    for seed in range(20):
        thd = measure_thd(distorted({3: 1e-7}, seconds=0.5, sigma=1e-4, seed=seed), rate_hz=RATE).thd_db
        if not thd.observable:
            hidden += 1
            assert thd.note.startswith("not observable: hidden in the noise, below -")
            assert -140.0 < float(thd.note.split("below ")[1].split(" dB")[0]) < -80.0
    assert hidden >= 19


def test_each_harmonic_has_its_own_level_and_the_note_says_which_were_counted():
    levels = {2: 1e-4, 3: 3e-4, 4: 1e-5, 5: 2e-4, 7: 5e-5, 9: 4e-5}
    found = measure_thd(distorted(levels, seconds=1.0, sigma=1e-6, seed=3), rate_hz=RATE)
    assert len(found.harmonics_db) == 8
    for k, level in levels.items():
        figure = found.harmonics_db[k - 2]
        assert figure.value == pytest.approx(20.0 * math.log10(level), abs=5.0 * figure.sd)
    assert found.thd_db.value == pytest.approx(10.0 * math.log10(sum(v * v for v in levels.values())), abs=0.001)
    assert "H2 to H9" in found.thd_db.note
    high = measure_thd(
        distorted({2: 1e-3}, seconds=1.0, sigma=1e-6, seed=3, freq_hz=6000.0), rate_hz=RATE, freq_hz=6000.0
    )
    assert "H2 to H3" in high.thd_db.note
    none = measure_thd(distorted({}, seconds=1.0, sigma=1e-6, seed=3, freq_hz=11e3), rate_hz=RATE, freq_hz=11e3)
    assert "no harmonic" in none.thd_db.note


def test_thdn_within_a_twentieth_of_a_db_in_a_second_twice_side_by_side():
    sigma = 1e-5
    errors = []
    for seed in range(20):
        found = measure_thd(distorted({2: 2e-5, 3: 1e-5}, seconds=1.0, sigma=sigma, seed=seed), rate_hz=RATE)
        noise = sigma**2 * 19_980.0 / 24_000.0
        lines = PEAK**2 / 2.0 * np.array([4e-10, 1e-10])
        total = PEAK**2 / 2.0
        least = 10.0 * math.log10((noise + lines.sum()) / total)
        # An analogue notch of quality Q: |H|² = u²/(u² + 1/Q²), u = f/f0 − f0/f; of white noise it takes π/2·f0/Q.
        gains = np.array([u * u / (u * u + NOTCH_Q**-2.0) for u in (2.0 - 1 / 2, 3.0 - 1 / 3)])
        hz = np.linspace(20.0, 20_000.0, 400_001)
        u = hz / 997.0 - 997.0 / hz
        kept = np.mean(u**2 / (u**2 + NOTCH_Q**-2.0))
        notch = 10.0 * math.log10((noise * kept + (lines * gains).sum()) / total)
        errors.append((found.thdn_db.value - least, found.thdn_notch_db.value - notch))
        assert found.thdn_db.sd == pytest.approx(0.02, abs=0.01)
    assert np.sqrt(np.mean(np.square(errors), axis=0)).max() <= 0.05
    assert np.abs(np.mean(errors, axis=0)).max() <= 0.02


def test_the_notch_figure_states_its_q_and_what_it_takes_of_white_noise():
    note = measure_thd(distorted({}, seconds=0.5, sigma=1e-4, seed=1), rate_hz=RATE).thdn_notch_db.note
    assert "Q 2" in note
    assert "3.9 %" in note  # π/2·997/2 of 19 980 Hz


def test_noise_that_stands_beside_the_tone_counts_in_the_one_figure_and_not_in_the_other():
    x = distorted({}, seconds=1.0, sigma=1e-7, seed=2)
    side = 1e-4 * PEAK * np.cos(2.0 * np.pi * (1047.0 / RATE) * np.arange(x.size))
    found = measure_thd(x + side, rate_hz=RATE)
    assert found.thdn_db.value == pytest.approx(-80.0, abs=0.01)
    u = 1047.0 / 997.0 - 997.0 / 1047.0
    assert found.thdn_notch_db.value == pytest.approx(-80.0 + 10.0 * math.log10(u * u / (u * u + 0.25)), abs=0.05)


def test_a_capture_of_float32_reads_the_same_down_to_minus_130():
    x = distorted({2: 10.0 ** (-130.0 / 20.0)}, seconds=4.0, sigma=1e-7, seed=8).astype(np.float32)
    assert measure_thd(x, rate_hz=RATE).thd_db.value == pytest.approx(-130.0, abs=0.2)


def test_hum_does_not_pass_for_distortion():
    x = distorted({2: 1e-5}, seconds=2.0, sigma=1e-6, seed=4)
    t = np.arange(x.size) / RATE
    hum = sum(1e-4 * np.cos(2.0 * np.pi * 50.01 * k * t + k) for k in (1, 2, 3, 6))
    assert measure_thd(x + hum, rate_hz=RATE).thd_db.value == pytest.approx(-100.0, abs=0.1)


@pytest.mark.parametrize("gain", [1.0, 0.25, -2.0])
def test_dynamic_range_is_full_scale_over_the_weighted_residue_whatever_the_loop_s_gain(gain):
    # White noise of σ behind the network of BS.468-4, 0 dB at 2 kHz: integrated from the table, 20 Hz to 20 kHz.
    table_hz = [20, 31.5, 63, 100, 200, 400, 800, 1000, 2000, 3150, 4000, 5000, 6300, 7100, 8000, 9000, 10000, 12500]
    table_db = [-33.8, -29.9, -23.9, -19.8, -13.8, -7.8, -1.9, 0, 5.6, 9.0, 10.5, 11.7, 12.2, 12.0, 11.4, 10.1, 8.1, 0]
    table_hz += [14000, 16000, 20000]
    table_db += [-5.3, -11.7, -22.2]
    hz = np.arange(20.0, 20_000.0, 1.0)
    weight = 10.0 ** ((np.interp(np.log(hz), np.log(table_hz), table_db) - 5.6) / 10.0)
    sigma = 1e-5
    expected = -10.0 * math.log10(2.0 * sigma**2 * weight.sum() / 24_000.0)
    x = gain * distorted({}, seconds=4.0, sigma=sigma, seed=5, peak=1e-3)
    found = measure_dynamic_range(x, rate_hz=RATE)
    assert found.value == pytest.approx(expected, abs=0.15)
    assert 0.01 <= found.sd <= 0.05


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1.0), dc=st.floats(-0.05, 0.05), flip=st.booleans())
def test_ratios_do_not_move_with_scale_sign_and_dc(scale, dc, flip):
    x = distorted({2: 1e-4, 5: 2e-4}, seconds=0.25, sigma=1e-5, seed=6)
    one, other = measure_thd(x, rate_hz=RATE), measure_thd((-scale if flip else scale) * x + dc, rate_hz=RATE)
    for pick in ("thd_db", "thdn_db", "thdn_notch_db"):
        assert getattr(other, pick).value == pytest.approx(getattr(one, pick).value, abs=1e-6)
        assert getattr(other, pick).sd == pytest.approx(getattr(one, pick).sd, rel=1e-5)
    assert other.level_dbfs.value == pytest.approx(one.level_dbfs.value + 20.0 * math.log10(scale), abs=1e-9)


@pytest.mark.parametrize("capture", [np.zeros(RATE), np.full(RATE, 0.5)])
def test_silence_has_no_distortion_and_says_so(capture):
    found = measure_thd(capture, rate_hz=RATE)
    for figure in (found.thd_db, found.thdn_db, found.thdn_notch_db, found.level_dbfs):
        assert figure.note.startswith("not observable: no tone near 997 Hz")
    assert measure_dynamic_range(capture, rate_hz=RATE).note.startswith("not observable")


@pytest.mark.parametrize("bad", [np.zeros(1), np.full(RATE, np.nan), np.zeros((RATE, 2))])
def test_what_is_no_capture_is_refused_in_a_sentence(bad):
    with pytest.raises(DspError) as caught:
        measure_thd(bad, rate_hz=RATE)
    assert caught.value.hint
    with pytest.raises(DspError):
        measure_dynamic_range(bad, rate_hz=RATE)


def test_a_clipped_sine_reads_what_its_fourier_series_says():
    # Fourier series of a sine clipped at sin θ: b_n = 4/π·(∫₀^θ sin x·sin nx dx + sin θ·∫_θ^{π/2} sin nx dx).
    limit = 0.8
    x = np.clip(distorted({}, seconds=1.0, sigma=0.0, seed=7, peak=1.0), -limit, limit)
    theta = math.asin(limit)
    u = np.linspace(0.0, math.pi / 2.0, 200_001)
    wave = np.where(u < theta, np.sin(u), limit)
    b = {n: 4.0 / math.pi * np.trapezoid(wave * np.sin(n * u), u) for n in (1, 3, 5, 7, 9)}
    thd = 10.0 * math.log10(sum(b[n] ** 2 for n in (3, 5, 7, 9)) / b[1] ** 2)
    assert measure_thd(x, rate_hz=RATE).thd_db.value == pytest.approx(thd, abs=0.02)
