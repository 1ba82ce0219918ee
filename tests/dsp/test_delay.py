"""A delay moves a signal by exactly that much and changes nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.delay import LATENCY_FRAMES, FractionalDelay, Wait
from dsp.errors import DspError

RATE = 48_000


@pytest.mark.parametrize("hz", [30.0, 997.0, 10_000.0, 20_000.0])
@pytest.mark.parametrize("fraction", [0.0, 0.13, 0.5, 0.97])
def test_a_sine_comes_out_later_by_the_fraction_at_every_frequency(hz, fraction):
    n = np.arange(9_600)
    delayed = FractionalDelay(fraction).process(np.sin(2 * np.pi * hz * n / RATE))
    ideal = np.sin(2 * np.pi * hz * (n - LATENCY_FRAMES - fraction) / RATE)
    assert np.max(np.abs(delayed[200:] - ideal[200:])) < 1e-4


@given(st.integers(1, 400))
def test_any_block_size_gives_the_same_samples(size):
    x = np.random.default_rng(5).standard_normal(1_500)
    whole = FractionalDelay(0.37).process(x)
    stream = FractionalDelay(0.37)
    pieces = [stream.process(x[at : at + size]) for at in range(0, len(x), size)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-12)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, np.nan])
def test_what_is_no_fraction_is_refused(fraction):
    with pytest.raises(DspError, match="fraction"):
        FractionalDelay(fraction)


@pytest.mark.parametrize("channels", [1, 2])
@given(st.integers(0, 300), st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_a_wait_gives_the_same_samples_later_for_any_cut(channels, frames, sizes):
    x = np.random.default_rng(6).standard_normal((sum(sizes), channels)).astype(np.float32)
    wait = Wait(frames, channels)
    for _ in range(2):
        pieces = np.split(x.copy(), np.cumsum(sizes)[:-1])
        for piece in pieces:
            wait.process(piece)
        late = np.concatenate([np.zeros((frames, channels), np.float32), x])[: len(x)]
        np.testing.assert_array_equal(np.concatenate(pieces), late)
        wait.clear()
