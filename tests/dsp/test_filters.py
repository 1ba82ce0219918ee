"""Filters follow their analog curves, and their other forms are the same filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.errors import DspError
from dsp.filters import Band, Biquad, analog_response, cascade, response, sections, shelf_q, svf
from dsp.strip import StripSettings
from tests.dsp.analog_bands import AUDIBLE, analog, db, near

GAIN_KINDS = ["bell", "low_shelf", "high_shelf"]
ALL_KINDS = [*GAIN_KINDS, "notch", "band_pass", "all_pass", "high_pass", "low_pass"]
SLOPES = [6, 12, 18, 24, 36, 48]


def digital(band: Band, freqs_hz: np.ndarray, rate_hz: float) -> np.ndarray:
    sos = [[s.b0, s.b1, s.b2, 1.0, s.a1, s.a2] for s in sections(band, rate_hz)]
    return np.prod([signal.freqz(s[:3], s[3:], worN=freqs_hz, fs=rate_hz)[1] for s in sos], axis=0)


def worst_error_db(band: Band, rate_hz: float) -> float:
    at = near(band.freq_hz, band.q)
    curve = analog(band.kind, band.freq_hz, band.gain_db, band.q, band.db_per_octave, at_hz=at)
    return float(np.max(np.abs(db(digital(band, at, rate_hz)) - db(curve))))


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("slope", SLOPES)
def test_analog_curves_are_the_cookbooks_and_butterworths(kind, slope) -> None:
    band = Band(kind, 1500.0, 9.0, 1.3 if slope == 12 else math.sqrt(0.5), slope)
    expected = analog(kind, 1500.0, 9.0, band.q, slope, at_hz=AUDIBLE)
    assert analog_response(band, AUDIBLE) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["low_shelf", "high_shelf"])
@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_analog_shelf_has_its_gain_at_the_far_end_and_half_of_it_at_its_frequency(kind, gain_db) -> None:
    band = Band(kind, 1000.0, gain_db)
    low, mid, high = db(analog_response(band, [0.01, 1000.0, 1e8]))
    assert mid == pytest.approx(gain_db / 2.0, abs=1e-9)
    assert (low, high) == pytest.approx((gain_db, 0.0) if kind == "low_shelf" else (0.0, gain_db), abs=1e-6)


@pytest.mark.parametrize("gain_db", [-6.0, 9.0])
def test_tilt_turns_around_its_frequency_to_its_gain_and_the_opposite(gain_db) -> None:
    for rate_hz in (None, 48_000.0):
        band = Band("tilt", 700.0, gain_db)
        at = np.array([1e-3, 700.0, 1e8 if rate_hz is None else 20_000.0])
        found = db(analog_response(band, at) if rate_hz is None else digital(band, at, rate_hz))
        assert found == pytest.approx([-gain_db, 0.0, gain_db], abs=0.01)


def test_tilt_is_a_shelf_of_twice_its_gain_lowered_by_its_gain() -> None:
    band = Band("tilt", 3000.0, 5.0, 0.5)
    expected = db(analog("high_shelf", 3000.0, 10.0, 0.5, at_hz=AUDIBLE)) - 5.0
    assert db(analog_response(band, AUDIBLE)) == pytest.approx(expected, abs=1e-9)
    assert db(digital(band, AUDIBLE, 48_000)) == pytest.approx(expected, abs=0.3)


def test_shelf_of_slope_one_is_the_steepest_that_does_not_overshoot() -> None:
    assert shelf_q(1.0, 9.0) == pytest.approx(math.sqrt(0.5))
    steepest = db(analog("high_shelf", 1000.0, 9.0, shelf_q(1.0, 9.0), at_hz=AUDIBLE))
    gentle = db(analog("high_shelf", 1000.0, 9.0, shelf_q(0.5, 9.0), at_hz=AUDIBLE))
    assert np.max(steepest) <= 9.0
    assert np.max(np.gradient(gentle)) < np.max(np.gradient(steepest))
    with pytest.raises(DspError):
        shelf_q(1.1, 9.0)


def test_bell_of_8_khz_stays_within_a_fifth_of_a_db_of_the_analog_curve_to_20_khz() -> None:
    assert worst_error_db(Band("bell", 8000.0, -9.0, 1.0), 48_000) <= 0.2


FREQS = [30.0, 200.0, 1000.0, 4000.0, 8000.0, 12_000.0, 18_000.0]


@pytest.mark.parametrize("freq_hz", FREQS)
@pytest.mark.parametrize("kind,qs", [("bell", (0.1, 0.4, 1.0, 3.0, 12.0, 40.0)), ("high_shelf", (0.1, 0.4, 0.7, 2.0)),
                                     ("low_shelf", (0.1, 0.4, 0.7, 2.0))])  # fmt: skip
def test_bells_and_shelves_stay_within_three_tenths_of_a_db_to_20_khz_at_48_khz(kind, qs, freq_hz) -> None:
    assert max(worst_error_db(Band(kind, freq_hz, g, q), 48_000) for q in qs for g in (-24.0, -6.0, 12.0, 40.0)) <= 0.3


@pytest.mark.parametrize("freq_hz", FREQS)
@pytest.mark.parametrize("kind", ["notch", "band_pass", "low_pass", "all_pass"])
def test_every_other_kind_stays_within_half_a_db_to_20_khz_at_48_khz(kind, freq_hz) -> None:
    bound = 0.3 if freq_hz > 100.0 else 0.45
    assert max(worst_error_db(Band(kind, freq_hz, 0.0, q), 48_000) for q in (0.1, 0.5, 1.0, 3.0, 12.0, 40.0)) <= bound


@pytest.mark.parametrize("freq_hz", FREQS)
@pytest.mark.parametrize("kind", ["high_pass", "low_pass"])
def test_every_slope_stays_within_four_tenths_of_a_db_to_20_khz_at_48_khz(kind, freq_hz) -> None:
    assert max(worst_error_db(Band(kind, freq_hz, db_per_octave=slope), 48_000) for slope in SLOPES) <= 0.4


@pytest.mark.parametrize("freq_hz", FREQS)
def test_resonant_high_pass_stays_within_three_tenths_of_a_db_to_a_q_of_two(freq_hz) -> None:
    assert max(worst_error_db(Band("high_pass", freq_hz, 0.0, q), 48_000) for q in (0.1, 0.5, 1.0, 2.0)) <= 0.3


@pytest.mark.parametrize("rate_hz", [44_100, 96_000, 192_000])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_at_other_rates_every_kind_stays_within_half_a_db_too(kind, rate_hz) -> None:
    for freq_hz in (50.0, 1000.0, 8000.0):
        for q in (0.3, 0.7, 2.0):
            assert worst_error_db(Band(kind, freq_hz, 12.0, q), rate_hz) <= 0.5


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("freq_hz", [20.0, 80.0, 400.0])
def test_highpass_stays_within_a_thousandth_of_a_db(freq_hz, rate_hz) -> None:
    assert worst_error_db(Band("high_pass", freq_hz), rate_hz) <= 0.001


@pytest.mark.parametrize("slope", SLOPES)
def test_a_slope_falls_as_many_db_as_it_says_in_each_octave_and_3_db_at_its_corner(slope) -> None:
    corner, one, two = db(digital(Band("low_pass", 500.0, db_per_octave=slope), np.array([500.0, 4e3, 8e3]), 48_000.0))
    assert corner == pytest.approx(-3.01, abs=0.2)
    assert one - two == pytest.approx(slope, abs=0.3)


@pytest.mark.parametrize("freq_hz", [100.0, 2000.0, 12_000.0])
@pytest.mark.parametrize("q", [0.5, 2.0, 8.0])
def test_all_pass_turns_by_180_degrees_at_its_frequency_as_quickly_as_the_analog_one(freq_hz, q) -> None:
    around = freq_hz * np.array([1.0 - 1e-5, 1.0, 1.0 + 1e-5])
    ours = np.unwrap(np.angle(digital(Band("all_pass", freq_hz, 0.0, q), around, 48_000.0)))
    theirs = np.unwrap(np.angle(analog("all_pass", freq_hz, 0.0, q, at_hz=around)))
    assert abs(ours[1]) == pytest.approx(math.pi, abs=1e-9)
    assert ours[2] - ours[0] == pytest.approx(theirs[2] - theirs[0], rel=1e-3)


@pytest.mark.parametrize("freq_hz", [50.0, 1000.0, 15_000.0])
def test_notch_lets_nothing_through_at_its_frequency(freq_hz) -> None:
    assert db(digital(Band("notch", freq_hz, 0.0, 5.0), np.array([freq_hz]), 48_000.0)) < -150.0


bands = st.builds(
    Band,
    st.sampled_from([*ALL_KINDS, "tilt"]),
    st.floats(1.0, 20_000.0),
    st.floats(-40.0, 40.0),
    st.floats(0.1, 40.0),
    st.sampled_from(SLOPES),
)
gain_bands = st.builds(
    Band,
    st.sampled_from([*GAIN_KINDS, "tilt"]),
    st.floats(20.0, 20_000.0),
    st.floats(-24.0, 24.0),
    st.floats(0.1, 40.0),
)
RATES = st.sampled_from([44_100.0, 48_000.0, 96_000.0, 192_000.0])


@settings(max_examples=150, deadline=None)
@given(bands, RATES)
def test_every_section_is_stable_and_has_no_zero_outside_the_unit_circle_but_the_all_passs(band, rate_hz) -> None:
    for s in sections(band, rate_hz):
        assert np.max(np.abs(np.roots([1.0, s.a1, s.a2]))) < 1.0
        assert np.all(np.isfinite([s.b0, s.b1, s.b2, s.a1, s.a2]))
        if band.kind != "all_pass":
            assert np.max(np.abs(np.roots([s.b0, s.b1, s.b2]))) < 1.0 + 1e-6


@pytest.mark.parametrize("kind", [*GAIN_KINDS, "tilt"])
def test_a_band_without_gain_is_exactly_nothing(kind) -> None:
    for freq_hz in (20.0, 997.0, 19_000.0):
        (section,) = sections(Band(kind, freq_hz, 0.0, 1.7), 48_000.0)
        assert svf(section)[2:].tolist() == [1.0, 0.0, 0.0]
    assert cascade(None, (Band(kind, 997.0),), 48_000.0) == []


@settings(max_examples=80, deadline=None)
@given(gain_bands, RATES)
def test_a_cut_undoes_the_boost_of_the_same_band(band, rate_hz) -> None:
    opposite = Band(band.kind, band.freq_hz, -band.gain_db, band.q)
    both = digital(band, AUDIBLE, rate_hz) * digital(opposite, AUDIBLE, rate_hz)
    assert both == pytest.approx(np.ones(len(AUDIBLE)), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(bands, RATES)
def test_the_state_variable_form_has_the_same_impulse_response_as_the_biquad(band, rate_hz) -> None:
    section = sections(band, rate_hz)[-1]
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
    bands = (Band("bell", 500.0, 6.0, 1.0), Band("low_pass", 9000.0, db_per_octave=36))
    strip = StripSettings("vox", polarity_inverted=True, trim_db=-6.0, hpf_hz=80.0, bands=bands)
    expected = -(10.0 ** (-6.0 / 20.0)) * digital(Band("high_pass", 80.0), AUDIBLE, 48_000.0)
    for band in bands:
        expected = expected * digital(band, AUDIBLE, 48_000.0)
    assert response(strip, AUDIBLE, 48_000) == pytest.approx(expected, rel=1e-9)
    assert len(cascade(strip.hpf_hz, bands, 48_000)) == 1 + 1 + 3


@pytest.mark.parametrize(
    "bad",
    [
        {"freq_hz": 0.0},
        {"freq_hz": math.nan},
        {"freq_hz": 100.0, "gain_db": math.nan},
        {"freq_hz": 100.0, "gain_db": 41.0},
        {"freq_hz": 100.0, "q": 0.0},
        {"freq_hz": 100.0, "kind": "comb"},
        {"freq_hz": 100.0, "db_per_octave": 30},
        {"freq_hz": math.inf},
    ],
)
def test_a_band_that_makes_no_sense_is_refused(bad) -> None:
    with pytest.raises(DspError):
        Band(**{"kind": "bell", **bad})


def test_a_band_above_what_the_rate_can_carry_is_refused_with_the_highest_possible() -> None:
    with pytest.raises(DspError) as refused:
        sections(Band("bell", 23_900.0, 3.0), 48_000)
    assert "23520" in refused.value.hint
