"""A response is right at every tone and between them; the simulator gives each tone an analytic complex gain."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import DspError, ShapeError
from dsp.measure.probe import combs
from dsp.measure.response import Response, gain_db_at, merged_response, phase_deg_at, responses, ripple_db

RATE = 48_000
DELAYS = (500.25, 731.5)
LEVELS = (-0.9, 0.5)


def path(hz):
    """Two 3 Hz couplings and a second-order Butterworth low-pass at 80 kHz."""
    s = 1j * np.asarray(hz, dtype=float)
    return (s / (s + 3.0)) ** 2 / (1.0 + np.sqrt(2.0) * s / 80e3 + (s / 80e3) ** 2)


def tones_at_real_times(probe, response, periods):
    """Sum of cosines of both outputs, each with the size and the phase its path gives it, on one input."""
    out = []
    circle = np.exp(2j * np.pi * np.arange(probe.frames) / probe.frames)
    for n in np.arange(probe.frames).reshape(-1, 512):
        sound = np.zeros(n.size)
        for output, (delay, level) in enumerate(zip(DELAYS, LEVELS, strict=True)):
            omega = 2.0 * np.pi * probe.bins[output] / probe.frames
            gain = 2.0 * probe.spectra[output] / probe.frames * level * response(omega * RATE / (2.0 * np.pi))
            at_whole_frames = circle[
                n[:, None] * probe.bins[output] % probe.frames
            ]  # exp(jωn): whole cycles per period
            sound += (at_whole_frames @ (gain * np.exp(-1j * omega * delay))).real
        out.append(sound)
    return np.tile(np.concatenate(out), periods)[:, None]


@pytest.fixture(scope="module")
def measured():
    """Three turns at −80 dBFS noise, eight periods each: four seconds."""
    rng = np.random.default_rng(1)
    taken = []
    for probe in combs(2, rate_hz=RATE, level_dbfs=-14.0, seed=4, period_frames=8192, turns=3):
        clean = tones_at_real_times(probe, path, 8)
        taken.append((clean + rng.normal(0.0, 1e-4, clean.shape), probe))
    return taken


def test_turned_combs_fill_each_others_gaps(measured):
    found = merged_response(measured, 0, 0)
    assert np.diff(found.hz) == pytest.approx(np.full(found.hz.size - 1, RATE / 8192))
    assert found.hz[0] < 20.0
    assert found.hz[-1] > 20_000.0


@pytest.mark.parametrize("output", [0, 1])
def test_every_tone_is_right_within_the_spread_it_states(measured, output):
    found = merged_response(measured, output, 0)
    true = LEVELS[output] * path(found.hz) * np.exp(-2j * np.pi * found.hz * DELAYS[output] / RATE)
    z = np.concatenate([((found.h - true) / found.sd).real, ((found.h - true) / found.sd).imag])
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.05)
    assert np.abs(z).max() < 6.0


@pytest.mark.parametrize("hz", [20.0, 31.5, 100.0, 997.0, 3000.0, 10_000.0, 19_999.0, 20_000.0])
def test_a_reading_between_tones_is_within_5_thousandths_of_a_db_and_5_hundredths_of_a_degree(measured, hz):
    for output in (0, 1):
        found = merged_response(measured, output, 0)
        gain = gain_db_at(found, hz)
        assert abs(gain.value - 20.0 * np.log10(np.abs(LEVELS[output] * path(hz)))) < min(0.005, 5.0 * gain.sd)
        phase = phase_deg_at(found, hz, rate_hz=RATE, delay_samples=DELAYS[output])
        error = phase.value - np.degrees(np.angle(LEVELS[output] * path(hz)))
        assert abs((error + 180.0) % 360.0 - 180.0) < min(0.05, 5.0 * phase.sd)


def test_nothing_is_read_outside_the_tones(measured):
    found = merged_response(measured, 0, 0)
    for hz in (1.0, 23_500.0):
        assert gain_db_at(found, hz).note.startswith("not observable")
        assert not phase_deg_at(found, hz, rate_hz=RATE).observable


def test_nothing_is_read_across_a_gap_or_from_noise():
    hz = np.array([20.0, 22.0, 24.0, 26.0, 1000.0, 1001.0, 1002.0, 1003.0])
    gap = Response(hz, np.ones(8, dtype=complex), np.full(8, 1e-4))
    assert "nearest" in gain_db_at(gap, 100.0).note
    loud = Response(hz, np.ones(8, dtype=complex), np.full(8, 2.0))
    assert "noise" in gain_db_at(loud, 21.0).note
    assert "only 3 tones" in gain_db_at(Response(hz[:3], loud.h[:3], loud.sd[:3]), 21.0).note


def test_ripple_is_that_of_the_path(measured):
    found = ripple_db(merged_response(measured, 1, 0))
    hz = np.geomspace(40.0, 15_000.0, 2000)
    gains = 20.0 * np.log10(np.abs(path(hz)))
    assert found.value == pytest.approx(np.ptp(gains), abs=5.0 * found.sd)
    assert found.sd < 0.005


def test_distortion_widens_the_spread_instead_of_passing_for_a_response(measured):
    clean = [(c + 3.0 * c**3, p) for c, p in measured]
    found = merged_response(clean, 0, 0)
    # the best linear approximation of x + 3x³ in Gaussian x of variance v is 1 + 9v (Bussgang)
    gain = 1.0 + 9.0 * float(np.var(measured[0][0]))
    true = gain * LEVELS[0] * path(found.hz) * np.exp(-2j * np.pi * found.hz * DELAYS[0] / RATE)
    z = np.abs((found.h - true) / found.sd)
    assert np.sqrt(np.mean(z**2) / 2.0) < 2.0
    assert np.median(found.sd) > 3.0 * np.median(merged_response(measured, 0, 0).sd)


def test_all_paths_at_once_are_those_one_by_one(measured):
    both = responses([(np.hstack([c, -c]), p) for c, p in measured])
    assert sorted(both) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    alone = merged_response(measured, 1, 0)
    assert both[1, 0].h == pytest.approx(alone.h)
    assert both[1, 1].h == pytest.approx(-alone.h)


def test_silence_has_a_response_of_nothing_and_nothing_is_read_from_it(measured):
    silent = merged_response([(np.zeros_like(c), p) for c, p in measured], 0, 0)
    assert not gain_db_at(silent, 997.0).observable
    assert not ripple_db(silent).observable


def test_what_cannot_be_measured_is_refused_in_a_sentence(measured):
    capture, probe = measured[0]
    with pytest.raises(ShapeError, match="output 3"):
        merged_response(measured, 2, 0)
    with pytest.raises(ShapeError, match="input 2"):
        merged_response(measured, 0, 1)
    with pytest.raises(ShapeError, match="whole periods"):
        merged_response([(capture[:-1], probe)], 0, 0)
    with pytest.raises(DspError, match="not numbers"):
        merged_response([(capture * np.nan, probe)], 0, 0)
    with pytest.raises(DspError, match="No probe sounds"):
        merged_response([(capture, probe.select([1]))], 0, 0)
