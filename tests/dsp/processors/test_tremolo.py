"""The tremolo swings as it was told, for as long as it runs."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.processors.tremolo import Tremolo
from tests.dsp.processors.streams import RATE, close, run

T = np.arange(2 * RATE) / RATE


def gain(s: Tremolo, channels: int = 1) -> np.ndarray:
    return run(s.start(RATE, channels), np.ones((len(T), channels)), range(97, len(T), 997))


@pytest.mark.parametrize("depth", [0.3, 1.0])
def test_the_gain_is_a_sine_from_1_down_by_the_depth(depth) -> None:
    y = gain(Tremolo(3.3, depth_percent=100.0 * depth))[:, 0]
    assert close(y, 1.0 - depth / 2.0 + depth / 2.0 * np.sin(2.0 * np.pi * 3.3 * T), abs=1e-7)


def test_in_tempo_it_swings_once_in_so_many_beats() -> None:
    free, synced = Tremolo(1.5), Tremolo(9.0, "tempo", 135.0, 1.5)
    assert close(gain(synced), gain(free), abs=1e-7)


def test_half_a_turn_of_spread_pans() -> None:
    y = gain(Tremolo(2.0, depth_percent=100.0, spread_deg=180.0), 2)
    assert close(y[:, 0] + y[:, 1], 1.0, abs=1e-6)
    assert np.max(y[:, 0] - y[:, 1]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("shape", ["triangle", "square", "ramp"])
def test_every_shape_reaches_both_ends_and_takes_4_ms_for_its_edges(shape) -> None:
    y = gain(Tremolo(5.0, shape=shape, depth_percent=100.0))[:, 0]
    assert (np.min(y), np.max(y)) == pytest.approx((0.0, 1.0), abs=0.006)
    assert np.mean(y) == pytest.approx(0.5, abs=0.01)
    assert np.max(np.abs(np.diff(y))) <= 1.0 / (0.004 * RATE) * 1.001
    at_ends = np.mean((y < 0.01) | (y > 0.99))
    assert at_ends == pytest.approx(
        {"triangle": 0.02, "square": 1.0 - 2.0 * 0.004 * 5.0, "ramp": 0.02}[shape], abs=0.005
    )
