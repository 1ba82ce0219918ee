"""All stages one behind the other go down to the noise, and say what the path is made of."""

from __future__ import annotations

import numpy as np
import pytest

from controller.null_json import of_path
from controller.null_words import path_sentences
from dsp.null.nulltest import null_test
from tests.dsp.analytic_programme import LOOP, RATE, Programme

FRAMES = 10 * RATE
SINE_DB = 20.0 * np.log10(2.0**0.5)


@pytest.fixture(scope="module")
def found():
    programme = Programme(partials=40)
    a = programme.heard(FRAMES)
    b = -0.96 * programme.heard(FRAMES, delay=731.4142, drift=12e-6, path=LOOP)
    b += np.random.default_rng(5).normal(0.0, 1e-6, b.shape)
    return null_test(a.T, b.T, rate_hz=RATE, noise_dbfs=-120.0 + SINE_DB)


def test_couplings_a_low_pass_and_a_drift_null_within_a_decibel_at_minus_100(found):
    assert found.limit_db < -100.0
    assert found.null_depth_matched_db == pytest.approx(found.limit_db, abs=1.0)
    assert found.null_depth_matched_db <= found.null_depth_db
    assert found.drift_ppm == pytest.approx(12.0, abs=1e-4)


def test_the_corners_are_told(found):
    for channel in found.corners.channels:
        high, low = channel.coupling_hz
        assert high.value == pytest.approx(3.0, abs=5.0 * high.sd + 1e-3)
        assert low.value == pytest.approx(1.6, abs=5.0 * low.sd + 1e-3)
        assert channel.low_pass_hz.value == pytest.approx(70_000.0, abs=5.0 * channel.low_pass_hz.sd + 50.0)
    assert found.corners_note == ""
    assert (found.matrix, found.curve) == (None, None)
    (sentence,) = path_sentences(found)
    assert "channel 2: couplings at 3.0" in sentence
    assert of_path(found)["corners"]["model"] == "two couplings and a low-pass"
