"""Micro shift is out of tune by exactly so many cents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from dsp.processors.pitch import MicroShift
from tests.dsp.processors.streams import RATE, run, sine, swelling

LATE = 960


@pytest.mark.parametrize("cents", [-50.0, -9.0, 7.0, 50.0])
def test_a_tone_comes_out_higher_by_the_cents(cents) -> None:
    hz = 20.0 * RATE / (LATE - 9)  # taps are whole periods apart, so that they do not beat
    y = run(MicroShift(cents, 0.0, mix_percent=100.0).start(RATE, 1), sine(hz, 2 * RATE, 0.3))[:, 0]
    up = np.flatnonzero((y[4000:-1] < 0.0) & (y[4001:] >= 0.0)) + 4000
    crossings = up - y[up] / (y[up + 1] - y[up])
    found = RATE / np.mean(np.diff(crossings))
    assert 1200.0 * np.log2(found / hz) == pytest.approx(cents, abs=0.05)


def test_without_shift_it_is_a_copy_as_late_as_declared_and_asked_for() -> None:
    x = swelling(6000)
    p = MicroShift(0.0, 0.0, 0.0, 10.0, mix_percent=100.0).start(RATE, 2)
    y = run(p, x)
    assert p.latency_frames == LATE
    assert np.array_equal(y[LATE:, 0], x[:-LATE, 0])
    assert np.array_equal(y[LATE + 480 :, 1], x[: -LATE - 480, 1])


def test_noise_stays_as_loud_as_it_was_while_the_taps_take_turns() -> None:
    low = signal.butter(8, 6000.0, output="sos", fs=RATE)
    x = signal.sosfilt(low, np.random.default_rng(2).standard_normal((3 * RATE, 1)), axis=0)
    y = run(MicroShift(30.0, mix_percent=100.0).start(RATE, 1), x)[4800:, 0]
    loud = np.std(y[: len(y) // 4800 * 4800].reshape(-1, 4800), axis=1)
    assert 20.0 * np.log10(loud / np.std(x)) == pytest.approx(0.0, abs=0.6)
