"""Chorus, flanger and phaser do what their formulas say."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.processors.modulation import Chorus, Flanger, Phaser
from tests.dsp.processors.streams import RATE, close, run, sine, swelling


def impulse(s, frames: int = 16_384) -> np.ndarray:
    x = np.zeros((frames, 1))
    x[0] = 1.0
    return run(s.start(RATE, 1), x)[:, 0].astype(np.float64)


def test_a_delay_of_whole_frames_that_does_not_swing_copies_every_bit() -> None:
    x = swelling(3000)
    y = run(Chorus(delay_ms=10.0, depth_ms=0.0, voices=1, mix_percent=100.0).start(RATE, 2), x)
    assert np.array_equal(y[480:], x[:-480]) and not np.any(y[:480])


@pytest.mark.parametrize("hz,error", [(200.0, 2e-5), (1000.0, 6e-5), (10_000.0, 8e-5), (16_000.0, 2e-4)])
def test_a_swinging_delay_reads_between_the_frames(hz, error) -> None:
    n = np.arange(20_000)
    swing = Flanger(5.0, shape="sine", delay_ms=2.0, depth_ms=1.0, feedback_percent=0.0, mix_percent=100.0)
    y = run(swing.start(RATE, 1), sine(hz, len(n), 1.0))[:, 0]
    late = 96.0 + 48.0 * np.sin(2.0 * np.pi * 5.0 * n / RATE)
    wanted = np.sin(2.0 * np.pi * hz / RATE * (n - late))
    assert close(y[200:], wanted[200:], abs=error)


def test_feedback_makes_a_comb() -> None:
    h = impulse(Flanger(delay_ms=1.0, depth_ms=0.0, feedback_percent=-80.0, mix_percent=50.0), 2000)
    wanted = np.zeros(2000)
    wanted[0] = 0.5
    wanted[48::48] = 0.5 * (-0.8) ** np.arange(len(wanted[48::48]))
    assert close(h, wanted, abs=1e-7)


def test_voices_stand_around_the_turn_and_are_as_loud_as_one() -> None:
    x = np.random.default_rng(3).standard_normal((RATE, 1)) * 0.1
    loud = [
        np.std(run(Chorus(voices=v, mix_percent=100.0, delay_ms=20.0, depth_ms=8.0).start(RATE, 1), x)[5000:])
        for v in (1, 2, 3, 4)
    ]
    assert loud == pytest.approx([loud[0]] * 4, rel=0.12)


def test_spread_sets_the_channels_apart() -> None:
    x = sine(700.0, 20_000, 0.3, channels=2)
    apart, same = (run(Chorus(spread_deg=d).start(RATE, 2), x) for d in (90.0, 0.0))
    assert np.array_equal(same[:, 0], same[:, 1])
    assert np.max(np.abs(apart[:, 0] - apart[:, 1])) > 0.1


@pytest.mark.parametrize("stages", [4, 6, 8, 10, 12])
@pytest.mark.parametrize("feedback", [0.0, 0.6])
def test_the_phaser_has_the_response_of_its_all_passes(stages, feedback) -> None:
    s = Phaser(stages=stages, centre_hz=1500.0, depth_octaves=0.0, feedback_percent=100.0 * feedback)
    found = np.fft.rfft(impulse(s))
    z = np.exp(2j * np.pi * np.arange(len(found)) / 16_384)
    t = np.tan(np.pi * 1500.0 / RATE)
    a = (t - 1.0) / (t + 1.0)
    turned = (-(a + 1.0 / z) / (1.0 + a / z)) ** stages
    wanted = 0.5 + 0.5 * turned / (1.0 - feedback * turned / z)
    assert close(np.abs(found), np.abs(wanted), abs=2e-4)
    if feedback == 0.0:
        dips = np.abs(wanted[1:-1])
        assert np.sum((dips < np.roll(dips, 1)) & (dips < np.roll(dips, -1)) & (dips < 0.05)) == stages // 2
