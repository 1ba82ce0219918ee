"""The bands of a crossover are Linkwitz and Riley's, and their sum is flat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.crossover import Crossover
from dsp.errors import DspError

RATE = 48_000
FRAMES = 2**15


def impulse_bands(freqs, rate_hz=RATE, frames=FRAMES, channels=1) -> np.ndarray:
    """Return the impulse response of each band, (bands, frames)."""
    crossover = Crossover(freqs, rate_hz, channels)
    x = np.zeros((frames, channels), dtype=np.float32)
    x[0] = 1.0
    out = []
    for start in range(0, frames, 2048):
        crossover.split(x[start : start + 2048])
        out.append(crossover.bands[:, 0].copy())
    return np.concatenate(out, axis=1)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 192_000])
@pytest.mark.parametrize("freqs", [(80.0,), (200.0, 3000.0), (100.0, 110.0, 5000.0), (90.0, 800.0, 4000.0, 15_000.0)])
def test_the_bands_add_up_to_an_all_pass(freqs, rate_hz) -> None:
    bands = impulse_bands(freqs, rate_hz, 2**16)
    spectrum = np.abs(np.fft.rfft(np.sum(bands, axis=0)))
    assert np.max(np.abs(20.0 * np.log10(spectrum))) < 0.001


def test_each_side_of_a_corner_is_two_butterworth_filters() -> None:
    freq = 1000.0
    at = np.array([100.0, 500.0, 1000.0, 2000.0, 10_000.0])
    for band, kind in zip(impulse_bands((freq,)), ("lowpass", "highpass"), strict=True):
        _, h = signal.sosfreqz(signal.butter(2, freq, kind, fs=RATE, output="sos"), at, fs=RATE)
        found = np.array([np.sum(band * np.exp(-2j * np.pi * f * np.arange(FRAMES) / RATE)) for f in at])
        assert found == pytest.approx(h**2, rel=1e-6)


def test_all_bands_of_more_than_two_are_in_phase() -> None:
    """At each corner the two bands that meet there are equal, −6 dB against the sum, and in its phase."""
    freqs = (100.0, 1000.0, 10_000.0)
    bands = impulse_bands(freqs)
    for k, freq in enumerate(freqs):
        turn = np.exp(-2j * np.pi * freq * np.arange(FRAMES) / RATE)
        below, above, whole = (complex(np.sum(b * turn)) for b in (bands[k], bands[k + 1], np.sum(bands, axis=0)))
        assert below == pytest.approx(above, rel=1e-4, abs=1e-4)
        assert below / whole == pytest.approx(0.5, abs=0.01)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 1999), max_size=6), st.integers(0, 1500))
def test_any_cut_gives_the_same_samples_while_the_corners_move(cuts, frames) -> None:
    x = np.random.default_rng(1).standard_normal((2000, 2)).astype(np.float32)

    def through(edges) -> np.ndarray:
        crossover = Crossover((100.0, 2000.0), RATE, 2)
        crossover.to((900.0, 9000.0), frames)
        out = []
        for a, b in zip([0, *edges], [*edges, len(x)], strict=True):
            crossover.split(x[a:b])
            out.append(crossover.bands[:, :, : b - a].copy())
        return np.concatenate(out, axis=2)

    assert np.array_equal(through(sorted({1, 2, 15, *cuts})), through([]))


def test_corners_that_jump_about_keep_it_stable() -> None:
    r = np.random.default_rng(3)
    crossover = Crossover((100.0, 200.0, 300.0), RATE, 1)
    for _ in range(300):
        crossover.to(sorted(r.uniform(20.0, 20_000.0, 3)), int(r.integers(16, 200)))
        crossover.split(r.uniform(-1.0, 1.0, (150, 1)).astype(np.float32))
        assert np.max(np.abs(crossover.bands)) < 20.0


def test_the_tail_is_over_when_it_says() -> None:
    crossover = Crossover((150.0, 2000.0), RATE, 1)
    bands = np.abs(impulse_bands((150.0, 2000.0)))
    assert np.max(bands[:, crossover.tail_frames :]) < 1e-6 * np.max(bands)


def test_silence_after_sound_becomes_exact_silence() -> None:
    crossover = Crossover((1000.0, 5000.0), RATE, 1)
    crossover.split(np.random.default_rng(0).standard_normal((2000, 1)).astype(np.float32))
    for _ in range(4):
        crossover.split(np.zeros((2048, 1), dtype=np.float32))
    assert not np.any(crossover.bands)


@pytest.mark.parametrize("freqs", [(500.0, 500.0), (2000.0, 100.0), (23_900.0,)])
def test_corners_that_cannot_be_are_refused(freqs) -> None:
    with pytest.raises(DspError, match="crossover"):
        Crossover(freqs, RATE, 1)
