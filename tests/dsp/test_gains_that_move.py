"""Gains that move: straight between knots 16 frames apart, the same for any block size."""

from __future__ import annotations

import numpy as np
import pytest
from strips_on_the_bus import mixed

from dsp.bus import BusProcessor, BusSettings
from dsp.strip import StripSettings

RATE = 48_000.0
FRAMES = 20_000
FLOAT32 = 8.0 * 2.0**-24  # three roundings of a sum up to 4


def fade(at_s):
    """From 1 at frame 0 to 0 at frame 12 800, then silence."""
    return np.clip(1.0 - at_s * RATE / 12_800.0, 0.0, 1.0)


def stereo_fade(at):
    gains = np.zeros((len(at), 1, 3))
    gains[:, 0, 0] = fade(at)
    gains[:, 0, 1] = 0.5 * fade(at)
    return gains


def moved(sizes, automation=stereo_fade):
    x = np.random.default_rng(1).standard_normal((FRAMES, 1)).astype(np.float32)
    strips = [StripSettings("moving", automation=automation), StripSettings("still", gains=((0.25, 0.5),))]
    out, at = [], 0
    engine = mixed(strips, rate_hz=RATE)
    for size in sizes:
        block = x[at : at + size]
        out.append(engine.process([block, block]).bus.copy())
        at += size
    return x[:at, 0].astype(np.float64), np.concatenate(out)


def test_a_fade_is_the_signal_times_its_straight_line():
    x, bus = moved([FRAMES])
    gain = fade(np.arange(FRAMES) / RATE)
    np.testing.assert_allclose(bus[:, 0], x * gain + x * 0.25, rtol=0.0, atol=FLOAT32)
    np.testing.assert_allclose(bus[:, 1], x * gain * 0.5 + x * 0.5, rtol=0.0, atol=FLOAT32)


@pytest.mark.parametrize("sizes", [[1] * 200 + [63, 64, 65, 8192, 8193], [777] * 25])
def test_moving_gains_are_the_same_for_any_block_size(sizes):
    _, pieces = moved(sizes)
    _, whole = moved([FRAMES])
    np.testing.assert_array_equal(pieces, whole[: len(pieces)])


def test_a_jump_takes_one_knot_and_never_clicks():
    def jump(at):
        gains = np.zeros((len(at), 1, 3))
        gains[:, 0, :2] = (at * RATE > 6_399.5)[:, None]
        return gains

    strips = [StripSettings("moving", automation=jump)]
    engine = mixed(strips, rate_hz=RATE)
    bus = engine.process([np.ones((FRAMES, 1), np.float32)]).bus
    assert np.abs(np.diff(bus[:, 0])).max() <= 1 / 16 + 1e-12
    assert bus[6_384, 0] == 0.0
    assert bus[6_400, 0] == 1.0


def test_a_moving_send_follows_the_moving_fader():
    def sending(at):
        gains = np.ones((len(at), 1, 3))
        gains[:, 0, 2] = fade(at)
        return gains

    from dsp.space import ReverbSettings

    x = np.zeros((FRAMES, 1), np.float32)
    x[15_000] = 1.0  # after the send has closed
    engine = mixed([StripSettings("moving", automation=sending, on_bus=False)], reverb=ReverbSettings(), rate_hz=RATE)
    assert np.abs(engine.process([x]).bus).max() == 0.0


def test_the_bus_fader_moves_too():
    x = np.random.default_rng(2).standard_normal((FRAMES, 2))
    bus = BusProcessor(BusSettings(automation=fade, fader_db=-20.0), RATE)
    out = np.concatenate([bus.process(x[at : at + 999]) for at in range(0, FRAMES, 999)])
    np.testing.assert_allclose(out, x * fade(np.arange(FRAMES) / RATE)[:, None], atol=1e-12)


def test_strips_beside_a_moving_one_keep_their_own_gains_in_every_group_of_lanes() -> None:
    strips = [StripSettings("moving", automation=stereo_fade)]
    strips += [StripSettings(str(n), gains=((n / 40.0, 1.0 - n / 40.0),)) for n in range(40)]
    x = np.random.default_rng(3).standard_normal((FRAMES, len(strips))).astype(np.float32)
    x[:, 0] = 0.0
    engine = mixed(strips, rate_hz=RATE)
    bus = engine.process([np.ascontiguousarray(column[:, None]) for column in x.T]).bus
    gains = np.array([[0.0, 0.0]] + [[n / 40.0, 1.0 - n / 40.0] for n in range(40)])
    np.testing.assert_allclose(bus, x.astype(np.float64) @ gains, atol=1e-5)
