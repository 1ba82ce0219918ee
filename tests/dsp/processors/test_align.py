"""The alignment delay moves a signal by exactly what is asked, and changes over without a click."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.processors.delay import Align

RATE = 48_000
LATENCY = Align().start(RATE, 1).latency_frames


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


@pytest.mark.parametrize("frames", [0, 1, 7, 48, 4800, 48_000])
def test_a_delay_of_whole_samples_copies_every_bit(frames) -> None:
    x = noise(60_000)
    y = x.copy()
    Align(frames / 48.0).start(RATE, 2).process(y)
    late = frames + LATENCY
    assert np.array_equal(y[late:], x[: len(x) - late])
    assert not np.any(y[:late])


@pytest.mark.parametrize("hz", [30.0, 997.0, 10_000.0, 20_000.0])
@pytest.mark.parametrize("delay_frames", [0.25, 12.5, 1000.9])
def test_a_sine_comes_out_later_by_the_fraction_at_every_frequency(hz, delay_frames) -> None:
    n = np.arange(6000)
    y = np.sin(2 * np.pi * hz * n / RATE).astype(np.float32)[:, None].copy()
    Align(delay_frames / 48.0).start(RATE, 1).process(y)
    ideal = np.sin(2 * np.pi * hz * (n - LATENCY - delay_frames) / RATE)
    assert np.max(np.abs(y[1200:, 0] - ideal[1200:])) < 1e-4


def test_a_change_of_delay_makes_no_step_in_a_sine() -> None:
    n = np.arange(20_000)
    y = np.sin(2 * np.pi * 200.0 * n / RATE).astype(np.float32)[:, None].copy()
    running = Align(1.0).start(RATE, 1)
    running.process(y[:8000])
    running.change(Align(3.4), 1)
    running.process(y[8000:])
    slope = 2 * np.pi * 200.0 / RATE
    # Between two sines of one slope, a straight fade of 960 frames adds at most their distance (2) over its length.
    assert np.max(np.abs(np.diff(y[500:, 0]))) < slope + 2.0 / 960


def test_changes_in_the_middle_of_a_fade_end_at_the_last_of_them() -> None:
    x = noise(20_000)
    y = x.copy()
    running = Align(1.0).start(RATE, 2)
    for k, ms in enumerate((2.0, 5.0, 3.0)):
        running.process(y[100 * k : 100 * k + 100])
        running.change(Align(ms), 64)
    running.process(y[300:])
    late = LATENCY + 144
    assert np.array_equal(y[4000:], x[4000 - late : len(x) - late])
