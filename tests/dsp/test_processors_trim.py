"""Trim and advance: exact gains, exact places in time, the same samples for any cut into blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dsp.errors import DspError
from dsp.processors.trim import Advance, Trim

RATE = 48_000


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def run(running, x, cuts=(), changes=()):
    """``x`` through a processor in the pieces that ``cuts`` make; ``changes`` are (frame, settings, over)."""
    out = x.copy()
    edges = sorted({0, len(x), *(c for c in cuts if c < len(x)), *(at for at, _, _ in changes)})
    for start, stop in itertools.pairwise(edges):
        for at, to, over in changes:
            if at == start:
                running.change(to, over)
        block = np.ascontiguousarray(out[start:stop])
        running.process(block)
        out[start:stop] = block
    return out


def test_six_decibels_and_a_turned_polarity_are_the_factor_they_say() -> None:
    x = noise(1000)
    out = run(Trim(gain_db=-6.0, polarity="inverted").start(RATE, 2), x)
    np.testing.assert_allclose(out, -(10 ** (-6 / 20)) * x.astype(np.float64), rtol=1e-6)


def test_a_moving_trim_goes_straight_to_where_it_is_sent() -> None:
    running = Trim().start(RATE, 1)
    out = run(running, np.ones((200, 1), np.float32), changes=[(16, Trim(gain_db=-60.0), 96)])[:, 0]
    expected = np.interp(np.arange(200), [16, 112], [1.0, 10 ** (-60 / 20)])
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize(("advance_ms", "rate_hz", "frames"), [(0.0, 48_000, 0), (2.5, 96_000, 240), (1.0, 44_100, 44)])
def test_an_advance_is_latency_that_the_others_wait_for(advance_ms, rate_hz, frames) -> None:
    running = Advance(advance_ms=advance_ms).start(rate_hz, 2)
    assert running.latency_frames == frames
    x = noise(1000)
    assert np.array_equal(run(running, x), x)


def test_an_advance_stands_still() -> None:
    running = Advance(advance_ms=2.0).start(RATE, 1)
    running.change(Advance(advance_ms=2.001), 64)
    with pytest.raises(DspError, match="latency would move"):
        running.change(Advance(advance_ms=3.0), 64)
