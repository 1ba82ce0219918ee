"""A sine and its harmonics are found to rounding; every truth here is a formula evaluated at real times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError, ShapeError
from dsp.measure.signals import ccif, sine, smpte
from dsp.measure.tone import fit_tone

RATE = 48_000


def tone(freq_hz, frames, *, peak=0.5, phase=0.3, rate_hz=RATE):
    return peak * np.sin(2.0 * np.pi * (freq_hz / rate_hz) * np.arange(frames) + phase)


@pytest.mark.parametrize("ppm", [-50.0, 0.0, 37.0])
@pytest.mark.parametrize("seconds", [0.25, 1.0, 4.0])
def test_a_pure_sine_leaves_less_than_minus_200_db(ppm, seconds):
    freq = 997.0 * (1.0 + ppm * 1e-6)
    x = tone(freq, int(seconds * RATE))
    fit = fit_tone(x, rate_hz=RATE, near_hz=997.0, harmonics=9)
    assert 20.0 * math.log10(np.std(fit.lines.residual) / np.std(x)) <= -200.0
    assert np.all(20.0 * np.log10(np.abs(fit.amplitude[1:]) / 0.5) <= -200.0)
    assert fit.freq_hz == pytest.approx(freq, rel=1e-13)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000, 192_000])
def test_every_harmonic_is_read_with_its_level_and_phase_at_every_rate(rate_hz):
    n = np.arange(rate_hz // 2)
    turn = 2.0 * np.pi * (997.0 * (1.0 + 50e-6) / rate_hz) * n
    peaks = [0.5, 1e-3, 2e-4, 3e-6, 1e-7]
    x = 0.01 + sum(p * np.cos((k + 1) * turn + k) for k, p in enumerate(peaks))
    fit = fit_tone(x, rate_hz=rate_hz, near_hz=997.0, harmonics=5)
    assert np.abs(fit.amplitude) == pytest.approx(peaks, rel=1e-6)
    middle = (n.size - 1) / 2.0 * turn[1]
    wrong = np.angle(fit.amplitude * np.exp(-1j * (np.arange(1, 6) * middle + np.arange(5))))
    assert np.abs(wrong).max() <= 1e-5
    assert fit.lines.dc == pytest.approx(0.01, abs=1e-12)


def test_frequency_and_level_have_the_spread_of_the_cramer_rao_bound_and_say_so():
    rng, sigma, peak, frames, trials = np.random.default_rng(5), 1e-3, 0.1, RATE // 4, 60
    fits = []
    for _ in range(trials):
        x = tone(997.02, frames, peak=peak, phase=rng.uniform(0.0, 6.28)) + rng.normal(0.0, sigma, frames)
        fits.append(fit_tone(x, rate_hz=RATE, near_hz=997.0))
    # Kay, Estimation Theory, example 3.14: var(ω) = 12σ²·2/(2A²N³), var(A) = 2σ²/N.
    freq_bound = math.sqrt(24.0 * sigma**2 / (peak**2 * frames**3)) * RATE / (2.0 * np.pi)
    level_bound = 8.685889638 * sigma * math.sqrt(2.0 / frames) / peak
    freq_error = np.sqrt(np.mean([(f.freq_hz - 997.02) ** 2 for f in fits]))
    level_error = np.sqrt(np.mean([(f.level_dbfs.value + 20.0) ** 2 for f in fits]))
    assert freq_error <= 1.25 * freq_bound
    assert level_error <= 1.25 * level_bound
    assert np.mean([f.freq_sd_hz for f in fits]) == pytest.approx(freq_bound, rel=0.1)
    assert np.mean([f.level_dbfs.sd for f in fits]) == pytest.approx(level_bound, rel=0.1)


@pytest.mark.parametrize("seconds", [0.25, 2.0])
def test_noise_alone_is_no_tone(seconds):
    rng = np.random.default_rng(11)
    for _ in range(8):
        fit = fit_tone(rng.normal(0.0, 1e-3, int(seconds * RATE)), rate_hz=RATE, near_hz=997.0)
        assert not fit.observable
        assert fit.level_dbfs.note.startswith("not observable")


def test_a_tone_elsewhere_is_not_taken_for_the_one_that_was_asked_for():
    assert not fit_tone(tone(1040.0, RATE), rate_hz=RATE, near_hz=997.0).observable


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-4, 1.0), dc=st.floats(-0.3, 0.3), ppm=st.floats(-50.0, 50.0), phase=st.floats(0.0, 6.283))
def test_scale_sign_and_dc_move_only_what_they_should(scale, dc, ppm, phase):
    x = tone(997.0 * (1.0 + ppm * 1e-6), 12_000, phase=phase)
    one = fit_tone(x, rate_hz=RATE, near_hz=997.0, harmonics=3)
    other = fit_tone(-scale * x + dc, rate_hz=RATE, near_hz=997.0, harmonics=3)
    assert other.amplitude[0] == pytest.approx(-scale * one.amplitude[0], rel=1e-9)
    assert other.freq_hz == pytest.approx(one.freq_hz, rel=1e-11)
    assert other.lines.dc == pytest.approx(dc, abs=1e-12)


def test_silence_is_no_tone_and_no_error():
    assert not fit_tone(np.zeros(RATE), rate_hz=RATE, near_hz=997.0).observable
    assert not fit_tone(np.full(RATE, 0.25), rate_hz=RATE, near_hz=997.0).observable


@pytest.mark.parametrize("bad", [np.zeros(1), np.zeros(0), np.zeros((RATE, 2))])
def test_one_sample_none_and_two_channels_are_refused_in_one_sentence(bad):
    with pytest.raises(ShapeError) as caught:
        fit_tone(bad, rate_hz=RATE, near_hz=997.0)
    assert caught.value.hint


def test_frames_that_are_no_numbers_are_named():
    x = tone(997.0, RATE)
    x[1234] = np.nan
    with pytest.raises(DspError, match="first at frame 1234"):
        fit_tone(x, rate_hz=RATE, near_hz=997.0)
    with pytest.raises(DspError, match="48000 frames"):
        fit_tone(np.full(RATE, np.nan), rate_hz=RATE, near_hz=997.0)


@pytest.mark.parametrize("freq", [0.0, -1.0, 24_000.0, 30_000.0, 20.0])
def test_a_frequency_that_cannot_be_measured_is_refused(freq):
    with pytest.raises(DspError, match="cannot be measured"):
        fit_tone(np.zeros(RATE // 10), rate_hz=RATE, near_hz=freq)


def test_what_is_played_peaks_at_its_level_and_fades_to_nothing():
    for make in (smpte, ccif):
        x = make(level_dbfs=-6.0, frames=RATE, rate_hz=RATE)
        assert 0.95 * 10.0 ** (-6.0 / 20.0) <= np.abs(x).max() <= 10.0 ** (-6.0 / 20.0)
    x = sine(997.0, level_dbfs=-20.0, frames=RATE, rate_hz=RATE, fade_frames=480)
    assert np.abs(x).max() == pytest.approx(0.1, rel=1e-4)
    assert np.std(x[480:-480]) == pytest.approx(0.1 / math.sqrt(2.0), rel=1e-3)
    assert abs(x[0]) < 1e-6
    assert abs(x[-1]) < 1e-6


def test_smpte_and_ccif_hold_their_tones_in_the_standards_ratio():
    spectrum = np.abs(np.fft.rfft(smpte(level_dbfs=0.0, frames=RATE, rate_hz=RATE))) * 2.0 / RATE
    assert spectrum[[60, 7000]] == pytest.approx([0.8, 0.2], abs=1e-9)
    spectrum = np.abs(np.fft.rfft(ccif(level_dbfs=0.0, frames=RATE, rate_hz=RATE))) * 2.0 / RATE
    assert spectrum[[19_000, 20_000]] == pytest.approx([0.5, 0.5], abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [{"freq_hz": 24_000.0}, {"level_dbfs": 0.1}, {"level_dbfs": math.nan}, {"frames": 0}, {"fade_frames": 51}],
)
def test_what_cannot_be_played_is_refused(wrong):
    right = {"freq_hz": 997.0, "level_dbfs": -20.0, "frames": 100, "rate_hz": RATE, "fade_frames": 0}
    with pytest.raises(DspError):
        sine(**(right | wrong))
