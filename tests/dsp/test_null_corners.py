"""Couplings and a low-pass are named with their corners, and the null goes down to the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.errors import DspError, ShapeError
from dsp.null.corners import fit_corners
from dsp.null.reader import read
from dsp.null.stretch import Stretch
from tests.dsp.analytic_programme import LOOP, RATE, Programme, chain, coupling

FRAMES = 10 * RATE
DELAY, DRIFT, GAIN = 731.4142, 12e-6, -(10.0 ** (-0.37 / 20.0))
PROGRAMME = Programme()
FIRST = 1_000


@pytest.fixture(scope="module")
def reference():
    return PROGRAMME.heard(FRAMES)


def aligned(reference, path, sigma, *, drift_missed=0.0, delay_missed=0.03, drift=DRIFT, turn=None):
    """Reference and recording, laid over each other but for a little; two seconds of context before."""
    noise = np.random.default_rng(5).normal(0.0, sigma, reference.shape)
    b = GAIN * PROGRAMME.heard(FRAMES, delay=DELAY, drift=drift, path=path) + noise
    delay = DELAY + delay_missed - (0.0 if turn is None else (5e-9 - drift_missed) * turn)
    y, slope = read(reference, delay=delay, drift=drift - drift_missed, start=FIRST, stop=FRAMES - 1, slope=True)
    return Stretch(y, b[:, FIRST : FRAMES - 1], 2 * RATE, y.shape[1] - 10_000, FIRST, slope)


def limit_db(stretch, sigma):
    return 20.0 * math.log10(sigma / math.sqrt(np.mean(stretch.heard**2)))


def reached_db(stretch, model):
    left = stretch.heard - stretch.inside(model)
    return 10.0 * math.log10(np.mean(left**2) / np.mean(stretch.heard**2))


@pytest.mark.parametrize("sigma", [1e-4, 1e-5, 1e-6])
def test_two_couplings_a_low_pass_and_a_drift_null_to_the_noise(reference, sigma):
    stretch = aligned(reference, LOOP, sigma, drift_missed=5e-9)
    found = fit_corners([stretch], rate_hz=RATE)
    assert found.kept
    assert found.drift.value == pytest.approx(5e-9, abs=5.0 * found.drift.sd + 1e-12)
    # the drift belongs to the alignment: read anew with it, the curves alone reach the noise
    again = aligned(reference, LOOP, sigma, drift_missed=5e-9 - found.drift.value, turn=found.middle)
    limit = limit_db(stretch, sigma)
    assert reached_db(again, found.apply(again.y)) == pytest.approx(limit, abs=0.3)
    assert limit == pytest.approx(20.0 * math.log10(sigma / 0.115), abs=1.0)


def test_the_corners_come_with_their_spread(reference):
    found = fit_corners([aligned(reference, LOOP, 1e-5)], rate_hz=RATE)
    for channel in found.channels:
        high, low = channel.coupling_hz
        # the path was laid at the reference's clock: corners read 12 ppm low at the recording's
        assert high.value == pytest.approx(3.0, abs=5.0 * high.sd + 3.0 * DRIFT)
        assert low.value == pytest.approx(1.6, abs=5.0 * low.sd + 3.0 * DRIFT)
        assert high.sd < 0.01
        assert "sum" in high.note
        assert channel.coupling_sum_hz.value == pytest.approx(4.6, abs=5.0 * channel.coupling_sum_hz.sd + 1e-4)
        assert channel.coupling_sum_hz.sd < 0.1 * high.sd
        assert channel.low_pass_hz.value == pytest.approx(70_000.0, abs=5.0 * channel.low_pass_hz.sd)
        assert channel.low_pass_q.value == pytest.approx(2.0**-0.5, abs=5.0 * channel.low_pass_q.sd)
        assert channel.polarity == -1
        assert channel.gain_db.value == pytest.approx(-0.37, abs=5.0 * channel.gain_db.sd + 1e-4)
        assert channel.delay_samples.value == pytest.approx(-0.03, abs=5.0 * channel.delay_samples.sd + 1e-4)


def test_one_coupling_is_not_made_into_two(reference):
    found = fit_corners([aligned(reference, coupling(2.2), 1e-4, drift=0.0)], rate_hz=RATE)
    assert found.model == "one coupling"
    for channel in found.channels:
        (corner,) = channel.coupling_hz
        assert corner.value == pytest.approx(2.2, abs=5.0 * corner.sd)
        assert not channel.low_pass_hz.observable
        assert channel.low_pass_hz.note.startswith("not observable")


def test_two_equal_corners_are_found_equal(reference):
    found = fit_corners([aligned(reference, chain(coupling(2.0), coupling(2.0)), 1e-5, drift=0.0)], rate_hz=RATE)
    for channel in found.channels:
        assert [corner.value for corner in channel.coupling_hz] == pytest.approx([2.0, 2.0], abs=0.05)
        assert channel.coupling_sum_hz.value == pytest.approx(4.0, abs=5.0 * channel.coupling_sum_hz.sd)


def test_a_straight_wire_has_no_corners(reference):
    found = fit_corners([aligned(reference, None, 1e-4, drift=0.0)], rate_hz=RATE)
    assert not found.kept
    assert found.model == "gain and delay"
    assert "0.1 dB" in found.why
    assert found.channels[0].coupling_hz == ()
    assert not found.channels[0].coupling_sum_hz.observable


def test_blocks_with_context_give_what_the_whole_gives(reference):
    stretch = aligned(reference, LOOP, 1e-6)
    found = fit_corners([stretch], rate_hz=RATE)
    whole = found.apply(stretch.y)
    margin = found.margin_frames
    assert margin < 2 * RATE
    start, stop = 4 * RATE, 6 * RATE
    block = found.apply(stretch.y[:, start - margin : stop + 1024])[:, margin : margin + stop - start]
    assert 20.0 * math.log10(np.std(block - whole[:, start:stop]) / np.std(whole[:, start:stop])) < -100.0


def test_spread_agrees_with_what_the_noise_does_to_the_fit(reference):
    sums, sds = [], []
    stretch = aligned(reference, chain(coupling(3.0), coupling(1.6)), 0.0, drift=0.0)
    for seed in range(5):
        b = stretch.b + np.random.default_rng(seed).normal(0.0, 1e-4, stretch.b.shape)
        found = fit_corners([Stretch(stretch.y, b, 2 * RATE, 5 * RATE)], rate_hz=RATE)
        sums += [channel.coupling_sum_hz.value for channel in found.channels]
        sds += [channel.coupling_sum_hz.sd for channel in found.channels]
    pulls = (np.array(sums) - 4.6) / np.array(sds)
    assert 0.35 < math.sqrt(np.mean(pulls**2)) < 1.75  # 10 draws: within four standard deviations of their RMS


def test_what_cannot_be_fitted_is_refused_in_one_sentence():
    y = np.ones((2, 1000))
    with pytest.raises(DspError, match="no stretch"):
        fit_corners([], rate_hz=RATE)
    with pytest.raises(ShapeError, match="one shape"):
        Stretch(y, y[:, :10], 0, 10)
    with pytest.raises(DspError, match="do not lie"):
        Stretch(y, y, 0, 1001)
    with pytest.raises(DspError, match="not numbers"):
        fit_corners([Stretch(y, np.full_like(y, np.nan), 0, 1000)], rate_hz=RATE)


def test_silence_has_no_gain():
    found = fit_corners([Stretch(np.zeros((1, 9000)), np.zeros((1, 9000)), 0, 9000)], rate_hz=RATE)
    assert not found.kept
