"""The comb keeps its outputs apart, plays at the level it says and has no second place where it matches itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.measure.probe import comb, combs, ping_comb

RATE = 48_000


@pytest.fixture(scope="module")
def rig_comb():
    return comb(24, rate_hz=RATE, level_dbfs=-20.0, seed=7)


def test_every_tone_belongs_to_one_output_and_lies_between_20_hz_and_20_khz(rig_comb):
    owned = np.concatenate([*rig_comb.bins, rig_comb.unused_bins])
    assert np.unique(owned).size == owned.size
    assert owned.min() * RATE / rig_comb.frames >= 20.0
    assert owned.max() * RATE / rig_comb.frames <= 20_000.0
    assert min(bins.size for bins in rig_comb.bins) >= 250
    assert rig_comb.unused_bins.size >= 250


def test_nothing_of_an_output_sounds_at_another_outputs_tones(rig_comb):
    spectrum = np.abs(np.fft.rfft(rig_comb.period[:, 5].astype(np.float64)))
    foreign = np.setdiff1d(np.arange(spectrum.size), rig_comb.bins[5])
    assert spectrum[foreign].max() < 1e-5 * spectrum[rig_comb.bins[5]].min()


def test_level_is_rms_re_a_full_scale_sine(rig_comb):
    rms = np.sqrt(np.mean(rig_comb.period.astype(np.float64) ** 2, axis=0))
    assert 20.0 * np.log10(rms * math.sqrt(2.0)) == pytest.approx(np.full(24, -20.0), abs=0.001)


def test_the_comb_resembles_itself_at_no_lag_but_its_own(rig_comb):
    for bins in rig_comb.bins[::6]:
        lines = np.zeros(rig_comb.frames // 2 + 1)
        lines[bins] = 1.0
        ambiguity = np.fft.irfft(lines, rig_comb.frames)
        ambiguity /= ambiguity[0]
        assert np.abs(ambiguity[4:-3]).max() < 0.4


def test_phases_are_chosen_for_a_low_crest(rig_comb):
    crest = 20.0 * np.log10(np.abs(rig_comb.period).max(axis=0) / rig_comb.period.std(axis=0))
    assert crest.max() < 9.5
    assert rig_comb.peak_dbfs == pytest.approx(20.0 * math.log10(np.abs(rig_comb.period).max()))


def test_spectra_are_those_of_the_samples_that_are_played(rig_comb):
    n = np.arange(rig_comb.frames)
    for output in (0, 23):
        k = rig_comb.bins[output][10]
        by_hand = np.sum(rig_comb.period[:, output].astype(np.float64) * np.exp(-2j * np.pi * k * n / n.size))
        assert rig_comb.spectra[output][10] == pytest.approx(by_hand, rel=1e-9)


def test_the_same_seed_gives_the_same_comb_and_another_seed_another(rig_comb):
    again = comb(24, rate_hz=RATE, level_dbfs=-20.0, seed=7)
    assert np.array_equal(again.period, rig_comb.period)
    assert not np.array_equal(comb(24, rate_hz=RATE, level_dbfs=-20.0, seed=8).period, rig_comb.period)


def test_a_selection_silences_the_other_outputs_and_frees_their_bins(rig_comb):
    few = rig_comb.select([2, 9])
    assert few.active == (2, 9)
    assert not np.any(few.period[:, [0, 1, 23]])
    assert np.array_equal(few.period[:, 9], rig_comb.period[:, 9])
    assert np.isin(rig_comb.bins[0], few.unused_bins).all()
    with pytest.raises(DspError, match="output 3"):
        rig_comb.select([9]).select([2])


def test_another_level_keeps_bins_and_phases(rig_comb):
    quiet = rig_comb.at_level(-60.0)
    assert quiet.spectra[3] == pytest.approx(rig_comb.spectra[3] * 0.01, rel=1e-5)
    assert quiet.level_dbfs == -60.0


def test_inactive_outputs_cost_no_tones():
    two = comb(24, rate_hz=RATE, level_dbfs=-20.0, seed=7, active=[0, 5])
    assert two.active == (0, 5)
    assert two.bins[0].size > 2000


def test_a_level_that_would_clip_is_refused_with_the_highest_that_would_not():
    with pytest.raises(DspError, match="would clip") as refused:
        comb(2, rate_hz=RATE, level_dbfs=0.0, seed=1)
    loudest = float(refused.value.hint.split()[2])
    assert comb(2, rate_hz=RATE, level_dbfs=loudest - 0.1, seed=1).peak_dbfs <= 0.0


@pytest.mark.parametrize(("outputs", "active"), [(0, None), (4, []), (4, [4]), (4, [-1])])
def test_outputs_that_do_not_exist_are_refused(outputs, active):
    with pytest.raises(DspError, match="output"):
        comb(outputs, rate_hz=RATE, level_dbfs=-20.0, seed=1, active=active)


def test_too_many_outputs_for_the_period_are_refused_with_a_longer_period():
    with pytest.raises(DspError, match="leave only"):
        comb(128, rate_hz=RATE, level_dbfs=-20.0, seed=1, period_frames=4096)


def test_turned_combs_show_an_output_other_tones_each_time_evenly_spread():
    turned = combs(7, rate_hz=RATE, level_dbfs=-20.0, seed=5, period_frames=8192, turns=4)
    for output in range(7):
        visited = np.concatenate([probe.bins[output] for probe in turned])
        assert np.unique(visited).size == visited.size
        assert np.diff(np.sort(visited)).max() < 4 * 8  # 2 of every group of 8 neighbours apart, at worst across groups
    for probe in turned:
        owned = np.concatenate([*probe.bins, probe.unused_bins])
        assert np.unique(owned).size == owned.size


def test_as_many_turns_as_owners_show_every_output_every_tone():
    turned = combs(3, rate_hz=RATE, level_dbfs=-20.0, seed=5, period_frames=4096, turns=4)
    every = np.sort(np.concatenate([probe.bins[1] for probe in turned]))
    assert np.array_equal(every, np.arange(every[0], every[-1] + 1))
    assert every[0] * RATE / 4096 < 20.0
    assert every[-1] * RATE / 4096 > 20_000.0


@pytest.mark.parametrize("turns", [0, 5])
def test_turns_that_cannot_be_are_refused(turns):
    with pytest.raises(DspError, match="turns"):
        combs(3, rate_hz=RATE, level_dbfs=-20.0, seed=5, period_frames=4096, turns=turns)


def test_a_ping_has_the_peak_it_was_asked_for_and_one_output():
    probe = ping_comb(rate_hz=RATE, peak_dbfs=-6.0)
    assert probe.outputs == 1
    assert probe.frames / RATE < 0.1
    assert probe.peak_dbfs == pytest.approx(-6.0, abs=1e-4)
