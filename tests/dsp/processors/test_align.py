"""The alignment delay moves a signal by exactly what is asked, and changes over without a click."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.processors.delay import Align
from dsp.registry import effect

RATE = 48_000
LATENCY = Align().start(RATE, 1).latency_frames


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def test_the_registry_knows_it() -> None:
    assert effect("align") is Align


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


@given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.floats(0.0, 20.0), st.floats(0.0, 20.0))
@settings(max_examples=15, deadline=None)
def test_any_cut_into_blocks_gives_the_same_samples(cuts, before_ms, after_ms) -> None:
    x = noise(6000)
    whole, pieces = x.copy(), x.copy()
    one, other = Align(before_ms).start(RATE, 2), Align(before_ms).start(RATE, 2)
    one.process(whole[:2000])
    one.change(Align(after_ms), 1500)
    one.process(whole[2000:])
    at, k = 0, 0
    while at < len(x):
        if at == 2000:
            other.change(Align(after_ms), 1500)
        stop = min(at + cuts[k % len(cuts)], 2000 if at < 2000 else len(x))
        other.process(pieces[at:stop])
        at, k = stop, k + 1
    assert np.array_equal(whole, pieces)


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


def test_after_a_reset_the_next_block_is_the_first() -> None:
    x = noise(3000)
    running = Align(2.3).start(RATE, 2)
    first = x.copy()
    running.process(first)
    running.reset()
    again = x.copy()
    running.process(again)
    assert np.array_equal(first, again)


def test_nothing_comes_after_the_tail() -> None:
    running = Align(7.7).start(RATE, 1)
    y = np.zeros((2000, 1), dtype=np.float32)
    y[0] = 1.0
    running.process(y)
    last = int(np.flatnonzero(y)[-1])
    assert last <= running.latency_frames + running.tail_frames


def test_what_is_no_delay_is_refused() -> None:
    with pytest.raises(DspError, match="align delay_ms"):
        Align(-1.0)
