"""Leaks are read with the noise taken off, and are not observable where noise is all there is."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.errors import ShapeError
from dsp.measure.crosstalk import crosstalk, crosstalk_map
from dsp.measure.probe import combs
from dsp.measure.response import Response, responses

RATE = 48_000
SIZE = 6
STRAIGHT = {output: [output] for output in range(SIZE)}
HZ = np.arange(6.0, 22_000.0, 8.0)


def rig(leak, own=lambda hz: np.ones(hz.size), sd=1e-6, seed=1, skew=5.0):
    """Responses of a rig in which every output leaks alike: analytic gains and Gaussian errors."""
    rng = np.random.default_rng(seed)
    found = {}
    for output in range(SIZE):
        hz = HZ + 1.0 * output
        for goal in range(SIZE):
            delay = 300.25 + (0.0 if goal == output else rng.uniform(0.0, skew))
            h = (own if goal == output else leak)(hz) * np.exp(-2j * np.pi * hz * delay / RATE)
            noise = sd * (rng.normal(size=hz.size) + 1j * rng.normal(size=hz.size))
            found[output, goal] = Response(hz, h + noise, np.full(hz.size, sd))
    return found


def capacitive(hz):
    """A leak that rises 6 dB per octave, −80 dB at 1 kHz, as a stray capacitance makes it."""
    return 1e-4 * 1j * hz / 1000.0


def test_a_capacitive_leak_is_read_at_each_frequency_and_is_worst_at_the_top():
    for found in crosstalk(rig(capacitive), STRAIGHT, rate_hz=RATE).values():
        assert found.at_100.value == pytest.approx(-100.0, abs=1.0)
        assert found.at_1k.value == pytest.approx(-80.0, abs=0.3)
        assert found.at_10k.value == pytest.approx(-60.0, abs=0.3)
        assert found.worst_hz == pytest.approx(16_000.0, rel=0.02)
        assert found.worst.value == pytest.approx(-80.0 + 20.0 * np.log10(16.0), abs=0.5)


def test_a_leak_is_related_to_the_gain_of_the_loop_it_falls_into():
    found = crosstalk(rig(lambda hz: np.full(hz.size, 1e-4), own=lambda hz: np.full(hz.size, 0.1)), STRAIGHT)
    assert found[0].at_1k.value == pytest.approx(-60.0, abs=0.2)


def test_the_one_input_that_leaks_is_named():
    responses_ = rig(lambda hz: np.full(hz.size, 1e-5), sd=1e-7)
    loud = responses_[2, 4]
    responses_[2, 4] = Response(loud.hz, loud.h * 30.0, loud.sd)
    found = crosstalk(responses_, STRAIGHT)[2]
    assert found.worst_input == 4
    assert found.worst.value == pytest.approx(-100.0 + 20.0 * np.log10(30.0), abs=0.5)


def test_noise_alone_is_not_observable_and_says_below_what():
    quiet = crosstalk(rig(lambda hz: np.zeros(hz.size), sd=1e-4), STRAIGHT)
    for found in quiet.values():
        for figure in (found.at_100, found.at_1k, found.at_10k, found.worst):
            assert not figure.observable
            assert "below -" in figure.note
        assert found.worst_input == -1
        assert np.isnan(found.worst_hz)


def test_the_bias_of_the_noise_is_taken_off():
    readings = [
        leak.at_1k
        for seed in range(6)
        for leak in crosstalk_map(rig(lambda hz: np.full(hz.size, 1e-4), sd=5e-5, seed=seed), STRAIGHT).values()
    ]
    power = np.array([10.0 ** (reading.value / 10.0) for reading in readings])
    sd = np.array([reading.sd / 4.343 for reading in readings])
    assert np.mean(power) == pytest.approx(1e-8, rel=4.0 * np.median(sd) / np.sqrt(power.size))
    assert np.std(power) / 1e-8 == pytest.approx(np.median(sd), rel=0.3)


@pytest.mark.parametrize(("leak_db", "sigma", "within_db"), [(-80.0, 1e-4, 1.0), (-100.0, 1e-5, 3.0)])
def test_every_pair_of_a_rig_at_once_from_two_seconds_of_comb(leak_db, sigma, within_db):
    rng = np.random.default_rng(9)
    outputs = 8
    gains = np.full((outputs, 4), 10.0 ** (leak_db / 20.0)) * rng.choice([-1.0, 1.0], (outputs, 4))
    gains[range(4), range(4)] = 1.0
    delays = 300.0 + rng.uniform(0.0, 8.0, gains.shape)
    taken = []
    for probe in combs(outputs, rate_hz=RATE, level_dbfs=-12.0, seed=3, period_frames=8192, turns=2):
        n = np.arange(probe.frames)
        circle = np.exp(2j * np.pi * n / probe.frames)  # exp(jωn) of whole cycles per period takes no other values
        sound = np.zeros((probe.frames, 4))
        for output in range(outputs):
            omega = 2.0 * np.pi * probe.bins[output] / probe.frames
            tones = 2.0 * probe.spectra[output] / probe.frames
            turned = tones[:, None] * gains[output] * np.exp(-1j * omega[:, None] * delays[output])
            sound += (circle[n[:, None] * probe.bins[output] % probe.frames] @ turned).real
        # H2 −80 and H3 −90 of a full-scale sine
        sound += 2e-4 * sound**2 + 4.0 * 10.0**-4.5 * sound**3
        periods = np.tile(sound, (4, 1))
        taken.append((periods + rng.normal(0.0, sigma, periods.shape), probe))
    assert 2 * 5 * 8192 / RATE < 2.0
    leaks = crosstalk_map(responses(taken), {output: [output] for output in range(outputs)}, rate_hz=RATE)
    assert len(leaks) == outputs * 4 - 4
    for leak in leaks.values():
        assert abs(leak.broad.value - leak_db) < within_db
        assert abs(leak.broad.value - leak_db) < 5.0 * leak.broad.sd


def test_a_rig_of_one_loop_has_nowhere_to_leak():
    found = crosstalk({(0, 0): rig(capacitive)[0, 0]}, {0: [0]})[0]
    assert not found.at_1k.observable
    assert not found.worst.observable


def test_silence_everywhere_is_not_observable():
    silent = {cell: Response(r.hz, r.h * 0.0, r.sd) for cell, r in rig(capacitive).items()}
    for found in crosstalk(silent, STRAIGHT).values():
        assert not found.worst.observable


def test_responses_at_different_tones_are_refused():
    several = rig(capacitive)
    several[0, 1] = Response(several[0, 1].hz + 1.0, several[0, 1].h, several[0, 1].sd)
    with pytest.raises(ShapeError, match="different tones"):
        crosstalk(several, STRAIGHT)
