"""However long two recordings are, a null test holds no more of them at a time."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.null import chain
from dsp.null.nulltest import null_test
from dsp.null.signal import BLOCK_FRAMES, ArraySignal
from dsp.null.stages import ALL_STAGES

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
