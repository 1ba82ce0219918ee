"""The limiter keeps what lies between the samples under its ceiling, and its second pass does so exactly."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, special

from dsp.kernels.compiled import library
from dsp.processors.limiter import TILE_FRAMES, Limiter, limit_exactly, true_peak_taps
from tests.dsp.processors.streams import RATE, close, db, moved, run, swelling, tone

TIME = np.arange(RATE // 4) / RATE
TAIL = 3000


def true_peak_db(x: np.ndarray, taps_a_phase: int = 128) -> float:
    """Read the true peak at 32 times the rate through a Kaiser-windowed low-pass at half the rate."""
    h = 32.0 * signal.firwin(32 * taps_a_phase + 1, 1.0 / 32.0, window=("kaiser", 10.0))
    return float(db(max(np.max(np.abs(signal.upfirdn(h, side.astype(np.float64), 32))) for side in x.T)))


@cache
def programme(name: str) -> np.ndarray:
    """Return a quarter of a second of stereo, up to 12 dB too loud, that ends in silence."""
    r = np.random.default_rng(2)
    hiss = r.standard_normal(len(TIME))
    left = {
        "sine at a quarter of the rate": np.sin(2.0 * np.pi * RATE / 4.0 * TIME + np.pi / 4.0),
        "sine": np.sin(2.0 * np.pi * 997.0 * TIME),
        "square": np.sign(np.sin(2.0 * np.pi * 441.3 * TIME)),
        "noise": hiss,
        "noise to 20 kHz": signal.sosfilt(signal.butter(8, 20_000.0, fs=RATE, output="sos"), hiss),
        "bursts": hiss * (np.arange(len(TIME)) % 4800 < 700),
        "clipped noise": np.clip(2.0 * hiss, -1.0, 1.0),
    }[name]
    x = np.stack([left, 0.7 * np.roll(left, 5)], axis=1).astype(np.float32)
    x[-TAIL:] = 0.0
    return x


def limited(name: str, ceiling_dbtp: float) -> np.ndarray:
    return run(Limiter(ceiling_dbtp).start(RATE, 2), programme(name))


NAMES = ["sine at a quarter of the rate", "sine", "square", "noise", "bursts"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("start,n", [(0, 1), (3, 16), (7, 333)])
def test_peaks_are_those_of_an_interpolation_by_eight_with_kaiser_windowed_sincs(channels, start, n) -> None:
    x = np.random.default_rng(n).standard_normal((start + n + 23 + TILE_FRAMES, channels)).astype(np.float32)
    # 24 taps around a point that lies p eighths after the middle, which is the twelfth sample.
    offset = np.arange(24) - 11 - np.arange(8)[:, None] / 8.0
    taps = np.sinc(offset) * special.i0(4.5 * np.sqrt(np.maximum(1.0 - (offset / 12.0) ** 2, 0.0))) / special.i0(4.5)
    seen = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), 24, axis=0)[start : start + n]
    found = np.zeros((n + TILE_FRAMES) * channels, dtype=np.float32)
    library("limiter").peaks(x, start, n, true_peak_taps(), found)
    expected = np.max(np.abs(seen @ taps.T), axis=2)
    assert np.max(np.abs(found[: n * channels].reshape(n, channels) - expected)) < 1e-6 * np.max(expected)


@pytest.mark.parametrize("channels", [1, 2])
def test_between_two_bursts_that_it_turns_down_the_samples_are_those_that_came(channels) -> None:
    x = np.random.default_rng(4).uniform(-0.1, 0.1, (9000, channels)).astype(np.float32)
    x[1000:1010] = x[7000:7010] = 2.0
    p = Limiter(-1.0, 1.5, 0.0).start(RATE, channels)
    y = run(p, x, range(0, 9000, 64))[p.latency_frames :]
    late = len(y)
    assert np.max(np.abs(y[1000:1010])) < 0.9
    for a, b in ((0, 900), (1200, 6900), (7200, late)):
        assert np.array_equal(y[a:b], x[a:b])


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 2),
    st.sampled_from([0.1, 1.5, 20.0]),
    st.sampled_from([0.0, 0.1, 80.0]),
    st.lists(st.integers(1, 8999), max_size=12),
)
def test_it_comes_to_rest_and_starts_again_with_the_same_bits_for_any_cut(channels, lookahead, release, cuts) -> None:
    x = np.random.default_rng(5).uniform(-0.1, 0.1, (9000, channels)).astype(np.float32)
    for start in (100, 4300, 8200):
        x[start : start + 40] *= 40.0
    whole, cut = (run(Limiter(-1.0, lookahead, release).start(RATE, channels), x, c) for c in ((), cuts))
    assert np.array_equal(whole, cut)


@pytest.mark.parametrize("name", ["sine", "sine at a quarter of the rate", "noise to 20 kHz", "square"])
def test_live_the_ceiling_holds_within_a_seventh_of_a_db(name) -> None:
    assert true_peak_db(limited(name, -3.0)) < -3.0 + 1.0 / 7.0


@pytest.mark.parametrize(
    "name,taps_a_phase", [*((name, 128) for name in NAMES), ("noise", 320), ("clipped noise", 320)]
)
def test_after_the_second_pass_nothing_exceeds_the_ceiling_by_a_twentieth_of_a_db(name, taps_a_phase) -> None:
    y = limited(name, -1.0)
    pieces = limit_exactly(iter([y[:1000], y[1000:1001], y[1001:]]), ceiling_dbtp=-1.0, rate_hz=RATE, channels=2)
    z = np.concatenate(list(pieces))
    assert z.shape == y.shape
    assert -1.0 - 0.5 < true_peak_db(z, taps_a_phase) < -1.0 + 0.05


def test_the_second_pass_moves_nothing_and_keeps_what_is_low_enough() -> None:
    x = programme("noise to 20 kHz") * np.float32(0.1)
    z = np.concatenate(list(limit_exactly([x.copy()], ceiling_dbtp=-1.0, rate_hz=RATE, channels=2)))
    assert np.array_equal(z, x)


@pytest.mark.parametrize("cuts", [[1], [777, 778, 3000], list(range(64, 12_000, 64))])
def test_the_second_pass_gives_the_same_samples_for_any_cut(cuts) -> None:
    y = limited("bursts", -1.0)
    blocks = np.split(y.copy(), cuts)
    cut = np.concatenate(list(limit_exactly(blocks, ceiling_dbtp=-1.0, rate_hz=RATE, channels=2)))
    whole = np.concatenate(list(limit_exactly([y.copy()], ceiling_dbtp=-1.0, rate_hz=RATE, channels=2)))
    assert np.array_equal(cut, whole)


@pytest.mark.parametrize("lookahead_ms", [0.5, 1.5, 5.0])
def test_the_latency_is_the_look_ahead_and_the_interpolator(lookahead_ms) -> None:
    p = Limiter(0.0, lookahead_ms).start(RATE, 2)
    x = np.zeros((2000, 2))
    x[100] = 0.25
    assert p.latency_frames == lookahead_ms * RATE / 1000.0 + 22
    assert np.flatnonzero(run(p, x, [33, 120])[:, 1]).tolist() == [100 + p.latency_frames]


def test_the_gain_has_arrived_when_a_peak_comes_and_goes_down_smoothly() -> None:
    x = np.full((RATE // 4, 1), 0.1, dtype=np.float32)
    x[6000] = 2.0  # 6 dB over a ceiling of 0
    p = Limiter(0.0, 2.0, 50.0).start(RATE, 1)
    gain = run(p, x)[p.latency_frames :, 0] / x[: -p.latency_frames, 0]
    assert 0.45 < gain[6000] <= 0.5 * (1.0 + 1e-6)
    begun = np.flatnonzero(gain < 1.0 - 1e-6)[0]
    assert 96 <= 6000 - begun <= 96 + 24  # 2 ms, and what the interpolator sees
    assert np.max(np.abs(np.diff(gain, 2)[: 6000 - 1])) < 2.5 * 0.55 / (48 * 48)  # two running means of half as long


@pytest.mark.parametrize("release_ms", [20.0, 200.0])
def test_the_gain_in_db_comes_back_by_63_percent_in_its_time(release_ms) -> None:
    x = np.concatenate([np.full(RATE // 8, 4.0), np.full(RATE // 2, 0.01)])[:, None].astype(np.float32)
    p = Limiter(0.0, 1.0, release_ms).start(RATE, 1)
    gain = db(run(p, x)[p.latency_frames :, 0] / x[: -p.latency_frames, 0])
    start = RATE // 8 + 480
    done = start + np.flatnonzero(gain[start:] > gain[start] * math.exp(-1.0))[0]
    assert done - start == pytest.approx(release_ms * RATE / 1000.0, rel=0.02)


def test_both_channels_get_one_gain() -> None:
    x = np.stack([tone(1000.0, 0.5, 6.0)[:, 0], tone(50.0, 0.5, -30.0)[:, 0]], axis=1)
    p = Limiter(0.0).start(RATE, 2)
    y = run(p, x)[p.latency_frames :]
    x = x[: -p.latency_frames]
    late = np.flatnonzero((np.abs(x) > 1e-3).all(axis=1))
    assert close(y[late, 0] / x[late, 0], y[late, 1] / x[late, 1], rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(-60.0, 12.0), st.floats(0.0, 500.0), st.integers(0, 700)), min_size=1, max_size=6))
def test_no_sweep_of_settings_makes_it_louder_than_its_highest_ceiling(sweep) -> None:
    x = swelling(600, 2, 9, 3.0)
    highest = max(-1.0, *(ceiling for ceiling, _, _ in sweep))
    p = Limiter().start(RATE, 2)
    for ceiling, release, frames in sweep:
        p.change(Limiter(ceiling, 1.5, release), frames)
        y = run(p, x)
        assert np.all(np.abs(y) <= 10.0 ** (highest / 20.0) * 1.001)


def test_a_million_is_held_under_the_ceiling() -> None:
    x = np.random.default_rng(1).choice([-1e6, 0.0, 1e-30, 1e6], (3000, 2))
    assert np.max(np.abs(run(Limiter(-6.0, 0.1, 0.0).start(RATE, 2), x))) <= 10.0 ** (-6.0 / 20.0) * 1.001


def test_a_lower_ceiling_does_not_click() -> None:
    x = tone(200.0, 1.0, 0.0)
    y = moved(Limiter(0.0), [(RATE // 2, Limiter(-12.0), 960)], x)[RATE // 4 :, 0].astype(np.float64)
    sos = signal.butter(8, 5000.0, "highpass", fs=RATE, output="sos")
    sharp = signal.sosfilt(sos, y)[480:]
    assert 10.0 * np.log10(np.sum(sharp**2) / np.sum(y**2)) < -90.0
