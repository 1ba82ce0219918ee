"""A convolution is exact, at once, and the same samples however a stream is cut; another response fades in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import fftconvolve

from dsp.errors import DspError, ShapeError
from dsp.impulse import Response
from dsp.processors.convolution import Convolution

RATE = 48_000


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def response(frames: int, channels: int = 2, seed: int = 2) -> Response:
    """A noise that dies by 60 dB, or one that rises as much: no partition is quieter than the others in both."""
    h = np.random.default_rng(seed).standard_normal((frames, channels))
    return Response(h * 10.0 ** (-3.0 * np.arange(frames) / frames)[:, None], RATE)


def wet(which: Response, x: np.ndarray, channels: int = 2) -> np.ndarray:
    y = x.copy()
    Convolution(which, mix_percent=100.0).start(RATE, channels).process(y)
    return y


def ideal(which: Response, x: np.ndarray) -> np.ndarray:
    h, x = which.samples.astype(np.float64), x.astype(np.float64)
    if h.shape[1] == 4:
        sides = [fftconvolve(x[:, 0], h[:, o]) + fftconvolve(x[:, 1], h[:, 2 + o]) for o in range(2)]
    else:
        sides = [fftconvolve(x[:, s], h[:, min(s, h.shape[1] - 1)]) for s in range(x.shape[1])]
    return np.stack(sides, axis=1)[: len(x)]


def error_db(got: np.ndarray, wanted: np.ndarray) -> float:
    return 10.0 * math.log10(np.mean((got - wanted) ** 2) / np.mean(wanted**2))


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("frames", [1, 127, 128, 129, 1100, 16_384, 16_385, 86_400])
def test_it_is_the_convolution_to_minus_140_db(frames, channels) -> None:
    x = noise(60_000)
    which = response(frames, channels)
    assert error_db(wet(which, x), ideal(which, x)) < -140.0


def test_a_response_that_rises_is_as_exact() -> None:
    falling = response(40_000)
    rising = Response(falling.samples[::-1], RATE)
    x = noise(60_000)
    assert error_db(wet(rising, x), ideal(rising, x)) < -140.0


def test_one_channel_is_convolved_with_the_first_of_the_response() -> None:
    x = noise(5000, 1)
    which = response(3000, 2)
    assert error_db(wet(which, x, 1), ideal(which, x)) < -140.0


def test_an_impulse_is_answered_at_once() -> None:
    x = np.zeros((200, 2), dtype=np.float32)
    x[0] = 1.0
    which = response(90_000)
    assert np.array_equal(wet(which, x), which.samples[:200])
    assert Convolution(which).start(RATE, 2).latency_frames == 0


@pytest.mark.parametrize("size", [64, 256])
def test_live_blocks_give_the_bits_of_offline_ones(size) -> None:
    x = noise(40_000)
    which = response(30_000, 4)
    offline, live = wet(which, x), x.copy()
    running = Convolution(which, mix_percent=100.0).start(RATE, 2)
    for at in range(0, len(x), size):
        running.process(live[at : at + size])
    assert np.array_equal(offline, live)


def test_half_a_mix_is_half_the_power_of_each() -> None:
    x = noise(4000)
    which = response(2000)
    y = x.copy()
    Convolution(which, gain_db=6.0, mix_percent=50.0).start(RATE, 2).process(y)
    wanted = math.sqrt(0.5) * (x + 10.0**0.3 * ideal(which, x))
    assert error_db(y, wanted) < -140.0


def test_another_response_fades_in_without_a_step() -> None:
    n = np.arange(30_000)
    x = np.stack([np.sin(2 * np.pi * 200.0 * n / RATE)] * 2, axis=1).astype(np.float32)
    one, other = np.zeros((5000, 1)), np.zeros((5000, 1))
    one[0], other[400] = 1.0, -1.0
    running = Convolution(Response(one, RATE), mix_percent=100.0).start(RATE, 2)
    running.process(x[:10_000])
    running.change(Convolution(Response(other, RATE), mix_percent=100.0), 1)
    running.process(x[10_000:])
    slope = 2 * np.pi * 200.0 / RATE
    # A straight fade over 50 ms adds at most the two sounds' distance over its length; what rings of the one goes on.
    assert np.max(np.abs(np.diff(x[1:], axis=0))) < slope + 2.0 / 2400 + 1e-6
    assert np.allclose(x[20_000:, 0], -np.sin(2 * np.pi * 200.0 * (n[20_000:] - 400) / RATE), atol=1e-5)


def test_the_tail_of_the_old_response_rings_on_after_the_change() -> None:
    late = np.zeros((20_000, 1))
    late[15_000] = 1.0
    x = np.zeros((30_000, 2), dtype=np.float32)
    x[100] = 1.0
    running = Convolution(Response(late, RATE), mix_percent=100.0).start(RATE, 2)
    running.process(x[:1000])
    running.change(Convolution(response(300), mix_percent=100.0), 1)
    running.process(x[1000:])
    assert x[15_100, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_change_of_mix_and_gain_makes_no_step() -> None:
    n = np.arange(20_000)
    x = np.stack([np.sin(2 * np.pi * 200.0 * n / RATE)] * 2, axis=1).astype(np.float32)
    delta = Response(np.ones((1, 1)), RATE)
    running = Convolution(delta, gain_db=-60.0, mix_percent=100.0).start(RATE, 2)
    running.process(x[:7000])
    running.change(Convolution(delta, gain_db=0.0, mix_percent=100.0), 16)
    running.process(x[7000:])
    assert np.max(np.abs(np.diff(x, axis=0))) < 2 * np.pi * 200.0 / RATE + 1.0 / 960 + 1e-6


def test_responses_that_follow_on_each_other_end_at_the_last() -> None:
    x = noise(30_000)
    running = Convolution(response(500), mix_percent=100.0).start(RATE, 2)
    y = x.copy()
    last = response(700, seed=9)
    for k in range(4):
        running.change(Convolution(response(600, seed=k) if k < 3 else last, mix_percent=100.0), 100)
        running.process(y[200 * k : 200 * k + 200])
    running.process(y[800:])
    assert error_db(y[15_000:], ideal(last, x)[15_000:]) < -140.0


def test_a_response_of_another_rate_keeps_what_a_steady_tone_gains() -> None:
    h = np.hanning(401)[:, None] / 200.0
    x = np.ones((6000, 2), dtype=np.float32)
    for rate_hz in (44_100, 48_000, 96_000):
        y = x.copy()
        Convolution(Response(h, rate_hz), mix_percent=100.0).start(RATE, 2).process(y)
        assert y[-1, 0] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("bad", [np.zeros((5, 3)), np.zeros((0, 2)), np.zeros((2, 2, 2))])
def test_what_is_no_response_is_refused(bad) -> None:
    with pytest.raises(ShapeError, match="impulse response"):
        Response(bad, RATE)


def test_a_response_with_holes_or_without_end_is_refused() -> None:
    with pytest.raises(DspError, match="finite"):
        Response(np.array([1.0, math.nan]), RATE)
    with pytest.raises(DspError, match="lasts"):
        Response(np.zeros(70 * 8000), 8000)
    with pytest.raises(DspError, match="rate"):
        Response(np.zeros(70), 0.0)
