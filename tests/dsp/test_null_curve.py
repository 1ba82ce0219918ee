"""Static distortion is told apart from the linear path and read as harmonics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.null.curve import fit_curve
from dsp.null.stretch import Stretch
from tests.dsp.analytic_programme import RATE, Programme

FRAMES = 4 * RATE
OVER = 8  # the simulator distorts at eight times the rate
PROGRAMME = Programme(partials=60, high_hz=14_000.0)
SIGMA = 1e-5


@pytest.fixture(scope="module")
def fine():
    return PROGRAMME.heard(FRAMES, oversampled=OVER)


def down(x):
    """Every eighth frame behind a linear-phase low-pass, 140 dB; scipy's, not ours."""
    from scipy.signal import firwin, upfirdn

    taps = firwin(OVER * 256 + 1, 0.97 / OVER, window=("kaiser", 14.0))
    return np.stack([upfirdn(taps, row, up=1, down=OVER)[128 : 128 + FRAMES] for row in x])


def stretch(fine, distorted):
    noise = np.random.default_rng(3).normal(0.0, SIGMA, (2, FRAMES))
    return Stretch(down(fine), down(distorted) + noise, RATE, FRAMES - 4_000)


def left_db(found, one):
    left = one.heard - one.inside(found.apply(one.y))
    return 20.0 * math.log10(np.std(left) / SIGMA)


def test_second_and_third_harmonic_read_at_the_peak_of_the_programme(fine):
    one = stretch(fine, fine + 1e-3 * fine**2 - 2e-3 * fine**3)
    found = fit_curve([one], rate_hz=RATE)
    assert found.kept
    assert left_db(found, one) == pytest.approx(0.0, abs=0.2)
    for channel, told in enumerate(found.channels):
        peak = np.max(np.abs(one.inside(one.y)[channel]))
        assert told.peak_dbfs == pytest.approx(20.0 * math.log10(peak), abs=1e-6)
        assert told.h2_db.value == pytest.approx(20.0 * math.log10(1e-3 * peak / 2.0), abs=5.0 * told.h2_db.sd + 0.01)
        assert told.h3_db.value == pytest.approx(
            20.0 * math.log10(2e-3 * peak**2 / 4.0), abs=5.0 * told.h3_db.sd + 0.01
        )


def test_a_curve_of_higher_order_is_followed(fine):
    one = stretch(fine, 2.0 * np.tanh(fine / 2.0))
    found = fit_curve([one], rate_hz=RATE)
    assert found.kept
    assert len(found.orders) > 2
    assert left_db(found, one) == pytest.approx(0.0, abs=0.5)
    assert found.gained_db > 20.0


def test_even_distortion_before_a_coupling_is_followed_too(fine):
    squares = 2e-3 * fine**2
    one = stretch(fine, fine + squares - squares.mean(axis=1, keepdims=True))
    found = fit_curve([one], rate_hz=RATE)
    assert found.kept
    assert left_db(found, one) < 3.0


def test_a_clean_path_gets_no_curve(fine):
    one = stretch(fine, fine)
    found = fit_curve([one], rate_hz=RATE)
    assert not found.kept
    assert found.orders == ()
    assert "0.5 dB" in found.why
    assert found.channels[0].h3_db.note.startswith("not observable: below -")
    assert np.array_equal(found.apply(one.y), one.y) or left_db(found, one) == pytest.approx(0.0, abs=0.1)


def test_blocks_with_context_give_what_the_whole_gives(fine):
    one = stretch(fine, fine + 1e-2 * fine**2 - 1e-2 * fine**3)
    found = fit_curve([one], rate_hz=RATE)
    whole, margin = found.apply(one.y), found.margin_frames
    start, stop = 2 * RATE, 3 * RATE
    block = found.apply(one.y[:, start - margin : stop + margin])[:, margin : margin + stop - start]
    assert 20.0 * math.log10(np.std(block - whole[:, start:stop]) / np.std(whole)) < -110.0


def test_silence_has_no_harmonics():
    found = fit_curve([Stretch(np.zeros((1, 9000)), np.zeros((1, 9000)), 1000, 8000)], rate_hz=RATE)
    assert not found.kept
    assert not found.channels[0].h2_db.observable
