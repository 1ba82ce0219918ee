"""However long two recordings are, a null test holds no more of them at a time."""

from __future__ import annotations

import tracemalloc
import weakref

import numpy as np
import pytest

from dsp.measure.figure import Figure
from dsp.null import chain
from dsp.null.nulltest import null_test
from dsp.null.signal import BLOCK_FRAMES, ArraySignal
from dsp.null.stages import ALL_STAGES, Hidden
from dsp.null.tally import HOP_FRAMES, Hops, Part, Tally

RATE = 48_000


class Counting:
    """A recording that remembers the longest stretch it was asked for."""

    def __init__(self, rows):
        self.inner = ArraySignal(rows)
        self.channels, self.frames = rows.shape
        self.longest = 0

    def read(self, start, stop):
        self.longest = max(self.longest, stop - start)
        return self.inner.read(start, stop)


def longest_reads(seconds):
    rng = np.random.default_rng(4)
    a = 0.1 * rng.standard_normal((1, seconds * RATE)).astype(np.float32)
    b = 0.8 * np.roll(a, 300, axis=1) + 0.1 * np.roll(a, 301, axis=1) + 1e-4 * rng.standard_normal(a.shape)
    first, second = Counting(a), Counting(b)
    found = null_test(first, second, rate_hz=RATE, noise_dbfs=-77.0, stages=ALL_STAGES[:2])
    assert found.null_depth_matched_db < found.null_depth_db - 3.0  # stages were at work
    return first.longest, second.longest


def test_the_longest_reading_does_not_grow_with_the_recording(monkeypatch):
    monkeypatch.setattr(chain, "FIT_VALUES", 1 << 17)
    short, long = longest_reads(12), longest_reads(24)
    around = 4 * RATE  # what stages look back, and the reader's own surroundings
    assert max(long) <= max(short) == pytest.approx(BLOCK_FRAMES, abs=around)


def block_of(first, runs, channels=2):
    """What a block of so many runs contributes, in double precision; its levels are those of no other run."""
    frames = first + HOP_FRAMES * np.arange(runs)
    levels = 1e-9 * (1.0 + frames) * np.arange(1.0, 1.0 + 4 * channels)[:, None]
    hops = Hops(frames, *levels.reshape(4, channels, runs))
    spectra, early = np.zeros((3, channels, 9)), np.zeros((0, 2, channels))
    return Part(np.ones(2), early, np.ones(channels), hops, {}, spectra, [], 1)


def test_levels_over_time_take_54_megabytes_an_hour_of_96_khz_stereo_and_are_never_held_twice():
    seconds, rate, runs = 360, 96_000, 2048
    stop = seconds * rate
    tracemalloc.start()
    tally = Tally(rate, 0, stop, 16)
    for first in range(0, stop, runs * HOP_FRAMES):
        tally.add(block_of(first, min(runs, (stop - first) // HOP_FRAMES)))
    hops = tally.hops
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak * 3600 / seconds < 1.03 * 54e6 + 3600 / seconds * 0.8e6  # what one block brings is not counted
    assert hops.first.size == stop // HOP_FRAMES
    for name, factor in (("heard", 1.0), ("model", 3.0), ("left", 5.0), ("shared", 7.0)):
        first = getattr(hops, name)[0]
        np.testing.assert_allclose(first, 1e-9 * factor * (1.0 + hops.first), rtol=1e-7)


def test_the_stretches_of_one_turn_are_let_go_before_the_next_ones_are_read(monkeypatch):
    monkeypatch.setattr(chain, "FIT_VALUES", 1 << 17)
    turns = []

    class Drifting:
        """A stage that does nothing and leaves a drift, twice."""

        name = "drifting"
        kept = True
        margins = (0, 0)

        def fit(self, stretches, *, rate_hz):
            turns.append([weakref.ref(stretch) for stretch in stretches])
            return self

        def apply(self, y):
            return y

        def hidden_drift(self, stretches, applied):
            return Hidden(Figure(1e-9, 1e-11), 1.0, 0.0) if len(turns) < 3 else None

    read = chain._stretch

    def counted(*args):
        assert not any(ref() for turn in turns for ref in turn)
        return read(*args)

    monkeypatch.setattr(chain, "_stretch", counted)
    rng = np.random.default_rng(5)
    a = 0.1 * rng.standard_normal((1, 12 * RATE))
    b = 0.8 * np.roll(a, 300, axis=1) + 1e-4 * rng.standard_normal(a.shape)
    null_test(ArraySignal(a), ArraySignal(b), rate_hz=RATE, stages=(Drifting(),))
    assert len(turns) == 3
