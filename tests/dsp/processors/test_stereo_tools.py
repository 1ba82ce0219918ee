"""Stereo tools do their sums exactly."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.processors.stereo import Balance, MidSide, Rotate, Width
from dsp.stereo import pan_gains
from tests.dsp.processors.streams import RATE, close, run, swelling

X = swelling(2000)
MID, SIDE = (0.5 * (X[:, :1].astype(np.float64) + sign * X[:, 1:]) for sign in (1.0, -1.0))


def exactly(mid: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return left and right, rounded once."""
    return np.concatenate([mid + side, mid - side], axis=1).astype(np.float32)


@pytest.mark.parametrize("width", [0.0, 0.3, 0.5, 1.0, 1.7, 2.0])
def test_width_multiplies_the_side(width) -> None:
    y = run(Width(100.0 * width).start(RATE, 2), X)
    assert close(y, exactly(MID, width * SIDE), abs=1e-7)
    assert width > 0.0 or np.array_equal(y[:, 0], y[:, 1])


def test_mid_and_side_have_their_own_gains() -> None:
    y = run(MidSide(-6.0, 3.5).start(RATE, 2), X)
    assert close(y, exactly(MID * 10 ** (-6.0 / 20), SIDE * 10 ** (3.5 / 20)), abs=1e-7)
    assert np.array_equal(run(MidSide(0.0, -120.0).start(RATE, 2), X), exactly(MID, 0.0 * SIDE))


def test_below_the_mono_frequency_only_the_mid_is_left() -> None:
    out = Width(100.0, 120.0)
    x = np.zeros((RATE, 2), dtype=np.float32)
    x[0] = 1.0, -1.0
    side = np.fft.rfft(run(out.start(RATE, 2), x)[:, 0].astype(np.float64))
    at = [30, 120, 1000]
    butterworth = [(f / 120.0) ** 2 / np.hypot(1.0 - (f / 120.0) ** 2, np.sqrt(2.0) * f / 120.0) for f in at]
    assert np.abs(side[at]) == pytest.approx(butterworth, rel=0.002)
    x[0] = 1.0
    assert close(run(out.start(RATE, 2), x), x, abs=1e-7)


def test_balance_turns_one_side_down_and_can_swap_them() -> None:
    y = run(Balance(100.0).start(RATE, 2), X)
    assert np.array_equal(y[:, 1], X[:, 1]) and not np.any(y[:, 0])
    assert np.array_equal(run(Balance(sides="swapped").start(RATE, 2), X), X[:, ::-1])


@pytest.mark.parametrize("angle_deg", [-45.0, -10.0, 20.0, 45.0])
def test_a_rotated_source_is_where_constant_power_pans_it(angle_deg) -> None:
    centre = np.repeat(X[:, :1], 2, axis=1)
    gains = np.array(pan_gains(angle_deg / 45.0 * 100.0)) * np.sqrt(2.0)
    assert close(run(Rotate(angle_deg).start(RATE, 2), centre), centre * gains, abs=1e-6)
