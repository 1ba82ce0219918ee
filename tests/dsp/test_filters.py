"""Filters follow their analog curves, and their state-space form is the same filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.engine import Band, StripSettings
from dsp.errors import DspError
from dsp.filters import (
    Biquad,
    analog_highpass,
    analog_response,
    design_band,
    design_highpass,
    response,
    state_space,
    svf,
)

AUDIBLE = np.geomspace(20.0, 20_000.0, 800)


def db(h: np.ndarray) -> np.ndarray:
    return 20.0 * np.log10(np.abs(h))


def worst_error_db(band: Band, rate_hz: float) -> float:
    digital = design_band(band, rate_hz).response(AUDIBLE, rate_hz)
    return float(np.max(np.abs(db(digital) - db(analog_response(band, AUDIBLE)))))


def test_analog_bell_is_the_cookbooks_transfer_function() -> None:
    # Audio EQ Cookbook: H(s) = (s² + s·A/Q + 1) / (s² + s/(A·Q) + 1), A = 10^(dB/40)
    A, Q = 10.0 ** (9.0 / 40.0), 1.3
    _, expected = signal.freqs([1.0, A / Q, 1.0], [1.0, 1.0 / (A * Q), 1.0], worN=AUDIBLE / 1500.0)
    assert analog_response(Band("bell", 1500.0, 9.0, Q), AUDIBLE) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["low_shelf", "high_shelf"])
@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_analog_shelf_has_its_gain_at_the_far_end_and_half_of_it_at_its_frequency(kind, gain_db) -> None:
    band = Band(kind, 1000.0, gain_db)
    low, mid, high = db(analog_response(band, [0.01, 1000.0, 1e8]))
    assert mid == pytest.approx(gain_db / 2.0, abs=1e-9)
    assert (low, high) == pytest.approx((gain_db, 0.0) if kind == "low_shelf" else (0.0, gain_db), abs=1e-6)


def test_analog_highpass_is_butterworth() -> None:
    b, a = signal.butter(2, 80.0, "highpass", analog=True)
    _, expected = signal.freqs(b, a, worN=AUDIBLE)
    assert analog_highpass(80.0, AUDIBLE) == pytest.approx(expected, rel=1e-9)


def test_bell_of_8_khz_stays_within_half_a_db_of_the_analog_curve_to_20_khz() -> None:
    assert worst_error_db(Band("bell", 8000.0, -9.0, 1.0), 48_000) <= 0.5


@pytest.mark.parametrize("gain_db", [-15.0, -9.0, -3.0, 3.0, 9.0, 15.0])
@pytest.mark.parametrize("q", [0.4, 0.7, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("freq_hz", [60.0, 600.0, 4000.0, 8000.0, 12_000.0, 18_000.0])
def test_every_bell_stays_within_half_a_db_to_20_khz_at_48_khz(freq_hz, q, gain_db) -> None:
    assert worst_error_db(Band("bell", freq_hz, gain_db, q), 48_000) <= 0.5


@pytest.mark.parametrize("gain_db", [-15.0, 6.0, 15.0])
@pytest.mark.parametrize("kind,freq_hz", [("low_shelf", 30.0), ("low_shelf", 450.0), ("high_shelf", 16_000.0)])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000, 192_000])
def test_every_shelf_stays_within_a_quarter_db_to_20_khz(kind, freq_hz, gain_db, rate_hz) -> None:
    assert worst_error_db(Band(kind, freq_hz, gain_db), rate_hz) <= 0.25


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("freq_hz", [20.0, 80.0, 400.0])
def test_highpass_stays_within_a_thousandth_of_a_db(freq_hz, rate_hz) -> None:
    f = np.geomspace(5.0, 20_000.0, 400)
    digital = design_highpass(freq_hz, rate_hz).response(f, rate_hz)
    assert db(digital) == pytest.approx(db(analog_highpass(freq_hz, f)), abs=0.001)


bands = st.builds(
    Band,
    st.sampled_from(["low_shelf", "bell", "high_shelf"]),
    st.floats(20.0, 20_000.0),
    st.floats(-24.0, 24.0),
    st.floats(0.1, 40.0),
)


@settings(max_examples=80, deadline=None)
@given(bands, st.sampled_from([44_100.0, 48_000.0, 96_000.0, 192_000.0]))
def test_a_cut_undoes_the_boost_of_the_same_band(band, rate_hz) -> None:
    opposite = Band(band.kind, band.freq_hz, -band.gain_db, band.q)
    both = design_band(band, rate_hz).response(AUDIBLE, rate_hz) * design_band(opposite, rate_hz).response(
        AUDIBLE, rate_hz
    )
    assert both == pytest.approx(np.ones(len(AUDIBLE)), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(bands, st.sampled_from([44_100.0, 48_000.0, 192_000.0]))
def test_the_state_space_form_has_the_same_impulse_response_as_the_biquad(band, rate_hz) -> None:
    section = design_band(band, rate_hz)
    d, c1, c2, p11, p12, q1, p21, p22, q2 = state_space(section)
    impulse = np.zeros(300)
    impulse[0] = 1.0
    ours, s1, s2 = [], 0.0, 0.0
    for x in impulse:
        ours.append(d * x + c1 * s1 + c2 * s2)
        s1, s2 = p11 * s1 + p12 * s2 + q1 * x, p21 * s1 + p22 * s2 + q2 * x
    expected = signal.lfilter([section.b0, section.b1, section.b2], [1.0, section.a1, section.a2], impulse)
    assert ours == pytest.approx(expected, abs=1e-8 * max(1.0, float(np.max(np.abs(expected)))))


@settings(max_examples=60, deadline=None)
@given(bands, st.sampled_from([44_100.0, 48_000.0, 192_000.0]))
def test_the_state_variable_form_has_the_same_impulse_response_as_the_biquad(band, rate_hz) -> None:
    section = design_band(band, rate_hz)
    g, k, m0, m1, m2 = svf(section)
    impulse = np.zeros(300)
    impulse[0] = 1.0
    ours, s1, s2 = [], 0.0, 0.0
    for x in impulse:
        v1 = (s1 + g * (x - s2)) / (1.0 + g * (g + k))
        v2 = s2 + g * v1
        s1, s2 = 2.0 * v1 - s1, 2.0 * v2 - s2
        ours.append(m0 * x + m1 * v1 + m2 * v2)
    expected = signal.lfilter([section.b0, section.b1, section.b2], [1.0, section.a1, section.a2], impulse)
    assert ours == pytest.approx(expected, abs=1e-8 * max(1.0, float(np.max(np.abs(expected)))))


def test_a_section_with_a_pole_on_the_unit_circle_has_no_state_variable_form() -> None:
    with pytest.raises(DspError):
        svf(Biquad(1.0, 0.0, 0.0, -1.8, 1.0))


def test_strip_response_is_trim_polarity_and_every_section() -> None:
    band = Band("bell", 500.0, 6.0, 1.0)
    strip = StripSettings("vox", polarity_inverted=True, trim_db=-6.0, hpf_hz=80.0, bands=(band,))
    expected = (
        -(10.0 ** (-6.0 / 20.0))
        * design_highpass(80.0, 48_000).response(AUDIBLE, 48_000)
        * design_band(band, 48_000).response(AUDIBLE, 48_000)
    )
    assert response(strip, AUDIBLE, 48_000) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "bad",
    [
        {"freq_hz": 0.0},
        {"freq_hz": math.nan},
        {"freq_hz": 100.0, "gain_db": math.nan},
        {"freq_hz": 100.0, "gain_db": 41.0},
        {"freq_hz": 100.0, "q": 0.0},
        {"freq_hz": 100.0, "kind": "notch"},
    ],
)
def test_a_band_that_makes_no_sense_is_refused(bad) -> None:
    with pytest.raises(DspError):
        Band(**{"kind": "bell", **bad})


def test_a_band_above_what_the_rate_can_carry_is_refused_with_the_highest_possible() -> None:
    with pytest.raises(DspError) as refused:
        design_band(Band("bell", 23_900.0, 3.0), 48_000)
    assert "23520" in refused.value.hint
