"""Four definitions of latency differ on a path with filters as physics says, and the fit gives the delay alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.measure.latency import latencies
from dsp.measure.response import Response

RATE = 48_000


def couplings(hz, corners):
    s = 1j * hz
    return np.prod([s / (s + corner) for corner in corners], axis=0) if corners else np.ones_like(s)


def lowpass(hz, corner):
    s = 1j * hz / corner
    return 1.0 / (1.0 + math.sqrt(2.0) * s + s**2)


def response_of(delay, corners=(), corner=None, gain=1.0, sd=2e-4, seed=1):
    """An analytic response with Gaussian errors, tones every 8 Hz from 6 Hz to 22 kHz."""
    hz = np.arange(6.0, 22_000.0, 8.0)
    h = gain * np.exp(-2j * np.pi * hz * delay / RATE) * couplings(hz, corners)
    if corner is not None:
        h = h * lowpass(hz, corner)
    rng = np.random.default_rng(seed)
    return Response(hz, h + sd * (rng.normal(size=hz.size) + 1j * rng.normal(size=hz.size)), np.full(hz.size, sd))


@pytest.mark.parametrize("gain", [0.9, -0.9])
def test_two_couplings_and_a_lowpass_part_the_definitions_and_the_fit_finds_the_converter(gain):
    found = latencies(response_of(500.25, (3.0, 3.0), 80e3, gain), rate_hz=RATE)
    assert found.polarity == np.sign(gain)
    # the two filters' own phase at 3 kHz, by their formulas
    hz = np.array([3000.0])
    phase = np.angle(couplings(hz, (3.0, 3.0)) * lowpass(hz, 80e3))[0]
    assert found.phase.value == pytest.approx(500.25 - phase / (2.0 * np.pi * 3000.0) * RATE, abs=5.0 * found.phase.sd)
    hz = np.linspace(1000.0, 4000.0, 3001)
    line = np.polyfit(2.0 * np.pi * hz / RATE, np.unwrap(np.angle(couplings(hz, (3.0, 3.0)) * lowpass(hz, 80e3))), 1)
    assert found.group.value == pytest.approx(500.25 - line[0], abs=5.0 * found.group.sd)
    # both ends of the spread that the prototypes found: 500.379 to 500.395
    assert found.phase.value == pytest.approx(500.380, abs=0.001)
    assert found.group.value == pytest.approx(500.395, abs=0.001)
    assert 500.379 < found.ml.value < 500.395
    assert found.fit.value == pytest.approx(500.25, abs=5.0 * found.fit.sd)
    assert found.fit.sd < 1e-3


def test_on_a_flat_path_all_definitions_agree():
    found = latencies(response_of(731.37, gain=-0.5), rate_hz=RATE)
    for figure in (found.ml, found.phase, found.group, found.fit):
        assert figure.value == pytest.approx(731.37, abs=5.0 * figure.sd)
        assert figure.sd < 0.01
    assert not found.highpass_hz.observable
    assert not found.lowpass_hz.observable
    assert found.corners_hz == ()
    assert found.gain_db.value == pytest.approx(20.0 * math.log10(0.5), abs=5.0 * found.gain_db.sd)


def test_the_corner_of_two_equal_couplings_is_the_one_of_the_textbook():
    found = latencies(response_of(500.25, (3.0, 3.0), 80e3), rate_hz=RATE)
    # n equal first-order high-passes are down 3 dB at fc/√(2^(1/n) − 1)
    assert found.highpass_hz.value == pytest.approx(3.0 / math.sqrt(math.sqrt(2.0) - 1.0), rel=0.02)
    assert found.lowpass_hz.value == pytest.approx(80e3, rel=0.02)
    (total,) = found.corners_hz
    assert total.value == pytest.approx(6.0, rel=0.02)
    assert "sum" in total.note


def test_one_coupling_is_found_as_one():
    found = latencies(response_of(100.0, (2.5,)), rate_hz=RATE)
    (corner,) = found.corners_hz
    assert corner.value == pytest.approx(2.5, rel=0.02)


def test_two_couplings_that_can_be_told_apart_are_named_singly():
    found = latencies(response_of(100.0, (20.0, 4.0)), rate_hz=RATE)
    high, low = found.corners_hz
    assert high.value == pytest.approx(20.0, abs=5.0 * high.sd)
    assert low.value == pytest.approx(4.0, abs=5.0 * low.sd)
    assert high.value == pytest.approx(20.0, rel=0.02)


def test_the_spreads_are_those_of_repeated_measurements():
    runs = [latencies(response_of(500.25, (3.0, 3.0), 80e3, seed=seed), rate_hz=RATE) for seed in range(30)]
    for name, true in (("fit", 500.25), ("highpass_hz", 3.0 / math.sqrt(math.sqrt(2.0) - 1.0)), ("lowpass_hz", 80e3)):
        figures = [getattr(run, name) for run in runs]
        z = np.array([(figure.value - true) / figure.sd for figure in figures])
        assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.4), name
    for name in ("ml", "phase", "group"):
        figures = [getattr(run, name) for run in runs]
        scatter = np.std([figure.value for figure in figures]) / np.mean([figure.sd for figure in figures])
        assert scatter == pytest.approx(1.0, abs=0.4), name


def test_a_path_with_more_in_it_says_so():
    hz = np.arange(6.0, 22_000.0, 8.0)
    plain = response_of(50.0)
    bell = 1.0 + 0.5 / (1.0 + 1j * (hz / 1000.0 - 1000.0 / hz) * 2.0)
    found = latencies(Response(hz, plain.h * bell, plain.sd), rate_hz=RATE)
    assert found.chi2 > 100.0
    assert "more than" in found.fit.note


def test_noise_silence_and_a_handful_of_tones_have_no_latency():
    hz = np.arange(6.0, 22_000.0, 8.0)
    rng = np.random.default_rng(3)
    noise = 1e-3 * (rng.normal(size=hz.size) + 1j * rng.normal(size=hz.size))
    for h in (noise, np.zeros(hz.size, dtype=complex), np.full(hz.size, np.nan, dtype=complex)):
        found = latencies(Response(hz, h, np.full(hz.size, 1e-3)), rate_hz=RATE)
        assert not found.ml.observable
        assert found.fit.note.startswith("not observable")
        assert found.polarity == 0
    few = latencies(Response(hz[:5], np.ones(5, dtype=complex), np.full(5, 1e-3)), rate_hz=RATE)
    assert not few.ml.observable


def test_a_rate_of_96_khz_reads_the_phase_at_6_khz():
    hz = np.arange(6.0, 40_000.0, 16.0)
    h = np.exp(-2j * np.pi * hz * 321.125 / 96_000)
    found = latencies(Response(hz, h, np.full(hz.size, 1e-5)), rate_hz=96_000)
    assert found.phase.value == pytest.approx(321.125, abs=1e-6)
