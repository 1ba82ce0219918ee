"""Clocks that wander are followed to a ten-thousandth of a sample; clocks that do not are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.null.nulltest import null_test
from dsp.null.timemap import LocalDelay, fit_wander
from tests.dsp.analytic_programme import Programme

RATE = 48_000


NOISE_DBFS = -80.0 + 20.0 * np.log10(np.sqrt(2.0))


def test_a_clock_wandering_by_a_tenth_of_a_ppm_is_followed_to_a_ten_thousandth_of_a_sample():
    programme = Programme(seed=1, partials=40, channels=1, high_hz=19_000.0)
    n = np.arange(30 * RATE, dtype=np.float64)
    period = 30.0 * RATE
    swing = 0.1e-6 * period / (2.0 * np.pi)  # the delay whose growth swings by 0.1 ppm
    delay = 200.25 + 12e-6 * n + swing * np.sin(2.0 * np.pi * n / period)
    b = np.random.default_rng(2).normal(0.0, 1e-4, n.size)
    for hz, amplitude in zip(programme.hz, programme.amplitude[0], strict=True):
        b += 0.8 * abs(amplitude) * np.cos(2.0 * np.pi * hz / RATE * (n - delay) + np.angle(amplitude))
    found = null_test(programme.heard(n.size).T, b[:, None], rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    assert found.time_map
    at, offset, sd = np.array(found.time_map).T
    said = found.delay_samples + found.drift_ppm * 1e-6 * at * RATE + offset
    wrong = np.abs(said - np.interp(at * RATE, n, delay))
    inside = (at > 0.5) & (at < 29.5)  # the frames that the null counts
    assert wrong[inside].max() < 1e-4
    assert np.all(wrong < 5.0 * (sd + found.delay_sd) + 1e-5)
    assert found.null_depth_db == pytest.approx(found.limit_db, abs=0.5)


@pytest.mark.parametrize("seed", range(20))
def test_a_locked_pair_has_no_map(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(0.0, 0.1, 7 * RATE)
    b = np.roll(a, 300) + rng.normal(0.0, 1e-4, a.size)
    found = null_test(a, b, rate_hz=RATE, noise_dbfs=NOISE_DBFS, matched=False)
    assert found.time_map == ()
    assert found.drift_ppm == 0.0


def test_points_that_scatter_around_a_line_make_no_map():
    rng = np.random.default_rng(4)
    points = [LocalDelay(24_000.0 * n, float(rng.normal(0.0, 1e-4)), 1e-4) for n in range(200)]
    assert fit_wander(points, start=0, stop=4_800_000) is None


def test_the_map_is_as_sure_as_repeated_trials_say():
    frames = 24_000.0 * np.arange(200)
    truth = 0.02 * np.sin(frames / 400_000.0)
    errors = []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0.0, 1e-3, frames.size)
        points = [LocalDelay(f, t + e, 1e-3) for f, t, e in zip(frames.tolist(), truth, noise, strict=True)]
        wander = fit_wander(points, start=0, stop=4_800_000)
        assert wander is not None
        errors.append((wander(frames) - truth) / wander.sd(frames))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1.0, abs=0.15)
