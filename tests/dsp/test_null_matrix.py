"""What channels took from each other is named: swapped, turned, widened, leaked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.null.matrix import fit_matrix
from dsp.null.stretch import Stretch
from tests.dsp.analytic_programme import RATE, Programme

FRAMES = 4 * RATE
# left, right and what both have are three programmes with partials of their own
ONLY = [Programme(seed=seed, partials=60, channels=1) for seed in (1, 2, 3)]
SIGMA = 1e-5


@pytest.fixture(scope="module")
def reference():
    return heard()


def heard(path=None):
    left, right, both = (one.heard(FRAMES, path=path)[0] for one in ONLY)
    return np.stack([left + 0.5 * both, right + 0.5 * both])


def stretch(reference, b, seed=1):
    noisy = b + np.random.default_rng(seed).normal(0.0, SIGMA, b.shape)
    return Stretch(reference, noisy, 4_000, FRAMES - 4_000)


def left_db(found, one):
    left = one.heard - one.inside(found.apply(one.y))
    return 20.0 * math.log10(np.std(left) / SIGMA)


def test_swapped_channels_are_named_with_their_polarity(reference):
    one = stretch(reference, np.stack([reference[1], -0.5 * reference[0]]))
    found = fit_matrix([one])
    assert found.swapped
    assert found.kept
    assert found.order == (1, 0)
    assert found.polarity == (1, -1)
    assert left_db(found, one) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("degrees", [5.0, -0.2])
def test_a_turned_image_reads_its_angle(reference, degrees):
    turn = math.radians(degrees)
    one = stretch(
        reference, np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ reference
    )
    found = fit_matrix([one])
    assert found.rotation_deg.value == pytest.approx(degrees, abs=5.0 * found.rotation_deg.sd)
    assert found.rotation_deg.sd < 1e-4
    assert found.kept
    assert not found.swapped
    assert left_db(found, one) == pytest.approx(0.0, abs=0.1)


def test_a_wider_image_reads_its_side(reference):
    side = 10.0 ** (0.3 / 20.0)
    mix = 0.5 * np.array([[1.0 + side, 1.0 - side], [1.0 - side, 1.0 + side]])
    found = fit_matrix([stretch(reference, mix @ reference)])
    assert found.width_db.value == pytest.approx(0.3, abs=5.0 * found.width_db.sd)
    assert found.width_db.sd < 1e-3


def test_crosstalk_reads_in_both_directions_with_its_spread(reference):
    one = stretch(reference, np.array([[1.0, 10.0 ** (-70.0 / 20.0)], [-(10.0 ** (-60.0 / 20.0)), 1.0]]) @ reference)
    found = fit_matrix([one])
    right_to_left, left_to_right = found.crosstalk_db[0][1], found.crosstalk_db[1][0]
    assert right_to_left.value == pytest.approx(-70.0, abs=5.0 * right_to_left.sd)
    assert left_to_right.value == pytest.approx(-60.0, abs=5.0 * left_to_right.sd)
    assert right_to_left.sd < 0.1
    assert found.kept
    assert not found.filtered
    assert not found.crosstalk_db[0][0].observable


def test_crosstalk_that_rises_with_frequency_gets_a_filter(reference):
    # a capacitor between two lines: 6 dB per octave, −70 dB at 1 kHz, as the analog curve on each partial
    def capacitor(hz):
        return 10.0 ** (-70.0 / 20.0) * 1j * hz / 1000.0

    leak = heard(capacitor)
    b = reference + np.stack([leak[1], np.zeros(FRAMES)])
    one = stretch(reference, b)
    found = fit_matrix([one])
    assert found.kept
    assert found.filtered
    assert left_db(found, one) == pytest.approx(0.0, abs=0.2)
    expected = 20.0 * math.log10(np.std(one.inside(leak)[1]) / np.std(one.inside(reference)[1]))
    assert found.crosstalk_db[0][1].value == pytest.approx(expected, abs=0.1)
    assert not found.crosstalk_db[1][0].observable or found.crosstalk_db[1][0].value < -90.0


def test_channels_that_keep_to_themselves_are_left_alone(reference):
    found = fit_matrix([stretch(reference, reference)])
    assert not found.kept
    assert not found.swapped
    assert "0.1 dB" in found.why
    assert found.crosstalk_db[0][1].note.startswith("not observable: below -")


def test_a_mono_programme_shows_no_crosstalk(reference):
    mono = np.repeat(reference[:1], 2, axis=0)
    found = fit_matrix([stretch(mono, mono)])
    assert not found.kept
    assert "alike" in found.why
    assert not found.rotation_deg.observable
    assert not found.crosstalk_db[0][1].observable


def test_one_channel_has_nothing_to_mix(reference):
    found = fit_matrix([Stretch(reference[:1], reference[:1], 4_000, FRAMES - 4_000)])
    assert not found.kept
    assert not found.rotation_deg.observable
