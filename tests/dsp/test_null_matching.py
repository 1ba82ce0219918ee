"""The linear match goes down to the noise over several stretches, and frees the drift it would hide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsp.null.corners import fit_corners
from dsp.null.matching import drift_left, fit_path
from dsp.null.reader import read
from dsp.null.stretch import Stretch
from tests.dsp.analytic_programme import LOOP, RATE, Programme, chain

FRAMES = 12 * RATE
DELAY, DRIFT, GAIN = 731.4142, 12e-6, -0.96
PROGRAMME = Programme()
FIRST = 1_000


def bell(freq_hz, gain_db, q):
    """A peaking equaliser, the analog curve."""
    top = 10.0 ** (gain_db / 40.0)

    def path(hz):
        s = 1j * hz / freq_hz
        return (s**2 + s * top / q + 1.0) / (s**2 + s / top / q + 1.0)

    return path


CONSOLE = chain(LOOP, bell(3_000.0, 3.0, 1.0), bell(9_000.0, -2.0, 0.7), bell(400.0, 1.5, 2.0))


def stretches(path, sigma, *, drift_missed=0.0, cuts=((2.0, 5.0), (5.0, 8.0), (8.5, 11.5))):
    """Some stretches of a recording and the reference laid over it, each with two seconds before and a little after."""
    noise = np.random.default_rng(5).normal(0.0, sigma, (2, FRAMES))
    reference = PROGRAMME.heard(FRAMES)
    b = GAIN * PROGRAMME.heard(FRAMES, delay=DELAY, drift=DRIFT, path=path) + noise
    y, slope = read(reference, delay=DELAY + 0.1, drift=DRIFT - drift_missed, start=FIRST, stop=FRAMES, slope=True)
    heard = b[:, FIRST:]
    out = []
    for start_s, stop_s in cuts:
        start, stop = round(start_s * RATE), round(stop_s * RATE)
        low, high = start - 2 * RATE, min(stop + 12_000, y.shape[1])
        cut = (slice(None), slice(low, high))
        out.append(Stretch(y[cut], heard[cut], start - low, stop - low, FIRST + low, slope[cut]))
    return out


def depth_db(parts, applied):
    left = sum(np.sum((one.heard - one.inside(applied(one.y))) ** 2) for one in parts)
    return 10.0 * math.log10(left / sum(np.sum(one.heard**2) for one in parts))


def limit_db(parts, sigma):
    frames = sum(one.heard.size for one in parts)
    return 10.0 * math.log10(frames * sigma**2 / sum(np.sum(one.heard**2) for one in parts))


@pytest.fixture(scope="module")
def console():
    return stretches(CONSOLE, 1e-6)


@pytest.mark.parametrize("sigma", [1e-5, 1e-6])
def test_couplings_and_a_low_pass_alone_go_to_the_noise_without_corners(sigma):
    parts = stretches(LOOP, sigma)
    match = fit_path(parts, rate_hz=RATE)
    assert match.kept
    assert depth_db(parts, match.apply) == pytest.approx(limit_db(parts, sigma), abs=0.5)


def test_an_equaliser_behind_two_couplings_nulls_within_a_decibel_at_minus_100(console, matched):
    limit = limit_db(console, 1e-6)
    assert limit < -100.0
    assert depth_db(console, matched.apply) < limit + 1.0


@pytest.fixture(scope="module")
def matched(console):
    return fit_path(console, rate_hz=RATE)


def test_corners_first_and_taps_after_do_no_worse(console):
    corners = fit_corners(console, rate_hz=RATE)
    through = [one.through(corners.apply) for one in console]
    match = fit_path(through, rate_hz=RATE)
    assert depth_db(console, lambda y: match.apply(corners.apply(y))) < limit_db(console, 1e-6) + 1.0


def test_the_curve_found_is_the_curve_laid_where_there_is_programme(matched):
    strongest = np.argsort(-np.min(np.abs(PROGRAMME.amplitude), axis=0))[:20]
    hz = PROGRAMME.hz[strongest]
    expected = 20.0 * np.log10(np.abs(GAIN * CONSOLE(hz)))
    for row in matched.response(hz):
        assert 20.0 * np.log10(np.abs(row)) == pytest.approx(expected, abs=0.002)


def test_a_straight_wire_gets_no_filter():
    parts = stretches(None, 1e-4, cuts=((2.0, 5.0),))
    level = [one.through(lambda y: y) for one in parts]
    delayed = fit_corners(level, rate_hz=RATE)
    match = fit_path([one.through(delayed.apply) for one in parts], rate_hz=RATE)
    assert not match.kept
    assert "0.1 dB" in match.why


def test_a_drift_the_equaliser_hides_is_freed_of_it():
    missed = 5e-9
    parts = stretches(CONSOLE, 1e-5, drift_missed=missed)
    match = fit_path(parts, rate_hz=RATE)
    first, last = parts[0].at + parts[0].start, parts[-1].at + parts[-1].stop
    drift, gain_db = drift_left(parts, match, middle=0.5 * (first + last))
    assert drift.value == pytest.approx(missed, abs=5.0 * drift.sd + 0.01 * missed)
    assert drift.sd < 1e-10
    assert gain_db > 0.1


def test_blocks_with_context_give_what_the_whole_gives(console, matched):
    match = matched
    y = console[0].y
    whole, margin = match.apply(y), match.margin_frames
    start, stop = 2 * RATE, 3 * RATE
    assert margin <= 2 * RATE
    block = match.apply(y[:, start - margin : stop + margin])[:, margin : margin + stop - start]
    assert 20.0 * math.log10(np.std(block - whole[:, start:stop]) / np.std(whole)) < -100.0
