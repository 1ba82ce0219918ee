"""The equaliser is its bands' analog curves, moves without a click and cannot be made to ring up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.errors import DspError
from dsp.filters import Band, sections
from dsp.processors.equaliser import Equaliser
from dsp.registry import effect
from tests.dsp.analog_bands import analog, db
from tests.dsp.processors.streams import RATE, moved, noise, sine, spectrum_db, splash_db, stream

EIGHT = (
    Band("high_pass", 60.0, db_per_octave=24),
    Band("low_shelf", 150.0, 4.0),
    Band("bell", 400.0, -6.0, 2.0),
    Band("bell", 1800.0, 3.0, 0.8),
    Band("notch", 3000.0, 0.0, 10.0),
    Band("bell", 7000.0, 5.0, 1.0),
    Band("high_shelf", 10_000.0, -4.0),
    Band("low_pass", 16_000.0, db_per_octave=18),
)
KINDS = ["bell", "low_shelf", "high_shelf", "tilt", "notch", "band_pass", "all_pass", "high_pass", "low_pass"]
band = st.builds(
    Band,
    st.sampled_from(KINDS),
    st.sampled_from([20.0, 90.0, 1000.0, 7000.0, 20_000.0]),
    st.floats(-24.0, 24.0),
    st.sampled_from([0.1, 0.7, 3.0, 40.0]),
    st.sampled_from([6, 12, 24, 48]),
)
equalisers = st.builds(
    Equaliser,
    st.lists(band, max_size=4).map(tuple),
    st.sampled_from(["both", "mid", "side", "left", "right"]),
)


def sosfilt(bands: tuple[Band, ...], x: np.ndarray) -> np.ndarray:
    sos = [[s.b0, s.b1, s.b2, 1.0, s.a1, s.a2] for b in bands for s in sections(b, RATE)]
    return signal.sosfilt(sos, x.astype(np.float64), axis=0)


def test_eight_bands_of_every_sort_have_the_product_of_their_analog_curves() -> None:
    at = np.geomspace(30.0, 20_000.0, 150)
    at = at[np.abs(at / 3000.0 - 1.0) > 0.02]
    expected = sum(db(analog(b.kind, b.freq_hz, b.gain_db, b.q, b.db_per_octave, at_hz=at)) for b in EIGHT)
    assert spectrum_db(Equaliser(EIGHT).start(RATE, 1), 16_384, at) == pytest.approx(expected, abs=0.3)


def test_it_is_scipys_cascade_of_the_same_sections() -> None:
    x = noise(6000)
    y = stream(Equaliser(EIGHT).start(RATE, 2), x)
    assert y == pytest.approx(sosfilt(EIGHT, x), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(equalisers, min_size=1, max_size=4),
    st.lists(st.integers(1, 2999), max_size=8),
    st.lists(st.integers(1, 2999), min_size=3, max_size=3),
    st.integers(0, 700),
)
def test_every_cut_into_blocks_gives_the_same_bits_while_it_moves(ways, cuts, times, frames) -> None:
    x = noise(3000)
    moves = [(at, there, frames) for at, there in zip(sorted(times), ways[1:], strict=False)]
    assert np.array_equal(moved(ways[0], moves, x), moved(ways[0], moves, x, cuts))


def test_bands_without_gain_pass_every_bit() -> None:
    x = noise(5000)
    flat = Equaliser((Band("bell", 50.0), Band("low_shelf", 900.0), Band("tilt", 700.0), Band("high_shelf", 18_000.0)))
    for settings_ in (Equaliser(), flat, replace(flat, acts_on="mid")):
        assert np.array_equal(stream(settings_.start(RATE, 2), x), x)


@pytest.mark.parametrize("acts_on,other", [("left", 1), ("right", 0)])
def test_the_channel_it_does_not_act_on_passes_every_bit(acts_on, other) -> None:
    x = noise(5000)
    y = stream(Equaliser(EIGHT, acts_on).start(RATE, 2), x)
    assert np.array_equal(y[:, other], x[:, other])
    assert y[:, 1 - other] == pytest.approx(sosfilt(EIGHT, x)[:, 1 - other], abs=1e-6)


@pytest.mark.parametrize("acts_on,sign", [("mid", 1.0), ("side", -1.0)])
def test_mid_or_side_alone_is_filtered_and_the_other_stays(acts_on, sign) -> None:
    x = noise(5000)
    y = stream(Equaliser(EIGHT, acts_on).start(RATE, 2), x)
    assert y[:, 0] + sign * y[:, 1] == pytest.approx(sosfilt(EIGHT, x) @ [1.0, sign], abs=1e-6)
    assert y[:, 0] - sign * y[:, 1] == pytest.approx(x[:, 0] - sign * x[:, 1], abs=1e-6)


def test_a_mono_signal_has_no_side_to_act_on() -> None:
    with pytest.raises(DspError, match="no side"):
        Equaliser(acts_on="side").start(RATE, 1)
    running = Equaliser().start(RATE, 1)
    with pytest.raises(DspError, match="no mid"):
        running.change(Equaliser(acts_on="mid"), 64)


@pytest.mark.parametrize(
    "there",
    [
        Equaliser(EIGHT[:3]),
        Equaliser((*EIGHT, Band("bell", 50.0, 9.0))),
        Equaliser((Band("high_pass", 200.0, db_per_octave=48), *EIGHT[1:]), "mid"),
        Equaliser((Band("low_pass", 3000.0), Band("bell", 1200.0, -9.0, 4.0), *EIGHT[2:])),
        Equaliser(),
    ],
)
def test_after_a_change_it_is_the_equaliser_it_was_told_to_become(there) -> None:
    x = noise(60_000)
    changed = moved(Equaliser(EIGHT), [(1000, there, 480)], x)
    assert changed[-20_000:] == pytest.approx(stream(there.start(RATE, 2), x)[-20_000:], abs=2e-6)


def test_sections_that_went_are_not_worked_on_for_ever() -> None:
    running = Equaliser((Band("high_pass", 200.0, db_per_octave=48), Band("bell", 500.0, 3.0))).start(RATE, 1)
    few = Equaliser((Band("high_pass", 200.0),))
    for _ in range(2):
        running.change(few, 64)
        stream(running, noise(100, 1))
    assert len(running._states) == 1


def test_a_change_in_the_middle_of_a_change_goes_on_from_where_it_stands() -> None:
    x = sine(1000.0, 30_000)
    up, down = Equaliser((Band("bell", 1000.0, 18.0),)), Equaliser()
    y = moved(down, [(8000, up, 4800), (10_400, down, 4800)], x)
    assert np.max(np.abs(np.diff(y[:, 0]))) <= np.max(np.abs(np.diff(y[9000:11_000, 0]))) * 1.01
    assert y[-5000:] == pytest.approx(x[-5000:], abs=1e-6)


@pytest.mark.parametrize(
    "here,there",
    [
        (Equaliser((Band("bell", 500.0, 0.0),)), Equaliser((Band("bell", 500.0, 12.0),))),
        (Equaliser((Band("bell", 400.0, 9.0),)), Equaliser((Band("bell", 4000.0, 9.0),))),
        (Equaliser((Band("bell", 500.0, 9.0, 0.7),)), Equaliser((Band("bell", 500.0, 9.0, 4.0),))),
        (Equaliser(), Equaliser((Band("high_pass", 300.0, db_per_octave=48),))),
        (Equaliser((Band("low_shelf", 500.0, 9.0),), "mid"), Equaliser((Band("low_shelf", 500.0, 9.0),), "left")),
    ],
)
def test_a_change_of_20_ms_splashes_no_more_than_a_straight_fade_of_18_db(here, there) -> None:
    x = sine(500.0, 24_000, channels=2)
    y = moved(here, [(12_024, there, 960)], x)
    fade = np.interp(np.arange(24_000), [12_024, 12_984], [1.0, 8.0])[:, None] * x
    for around in (slice(10_000, 14_096), slice(10_900, 14_996)):
        assert splash_db(y, 6000.0, around) <= splash_db(fade, 6000.0, around)


@settings(max_examples=15, deadline=None)
@given(st.lists(equalisers, min_size=6, max_size=6), st.sampled_from([16, 48, 200]), st.integers(0, 3))
def test_no_sweep_between_extremes_makes_it_ring_up(ways, every, seed) -> None:
    x = noise(6 * 8 * every + 40_000, seed=seed, level=0.1)
    x[-39_000:] = 0.0
    moves = [((i + 1) * every, ways[i % 6], every) for i in range(47)]
    y = moved(ways[0], [*moves, (48 * every, Equaliser(), every)], x)
    loudest = 0.6 * 10.0 ** (sum(24.0 + 32.0 for _ in range(4)) / 20.0)
    assert np.all(np.isfinite(y)) and np.max(np.abs(y)) < loudest
    assert np.max(np.abs(y[-1000:])) == 0.0


def test_a_fast_sweep_of_a_narrow_boost_stays_as_loud_as_the_boost() -> None:
    x = noise(48_000, 1)
    low, high = (Equaliser((Band("bell", f, 24.0, 20.0),)) for f in (30.0, 15_000.0))
    y = moved(low, [(64 * i, high if i % 2 else low, 64) for i in range(1, 700)], x)
    assert np.max(np.abs(y)) < 10.0 ** (24.0 / 20.0) * np.max(np.abs(x))


def test_it_is_silent_on_silence_and_its_states_come_to_rest() -> None:
    running = Equaliser(EIGHT).start(RATE, 2)
    stream(running, noise(1000))
    stream(running, np.zeros((200_000, 2)))
    assert np.all(running._states == 0.0)
    assert np.all(stream(running, np.zeros((500, 2))) == 0.0)


@pytest.mark.parametrize(
    "bands",
    [
        EIGHT,
        (Band("bell", 40.0, 12.0, 20.0),),
        (Band("low_pass", 30.0, db_per_octave=48),),
        (Band("high_pass", 5000.0, 0.0, 0.1),),
        (Band("bell", 100.0, 12.0, 10.0),) * 4,
    ],
)
def test_it_is_120_db_down_when_its_tail_is_over(bands) -> None:
    running = Equaliser(bands).start(RATE, 1)
    tail = running.tail_frames
    x = np.zeros((4 * tail + 1000, 1))
    x[0] = 1.0
    y = np.abs(sosfilt(bands, x))
    assert np.max(y[tail:]) <= 1e-6 * np.max(y)
    assert Equaliser((Band("bell", 40.0),)).start(RATE, 1).tail_frames == 0


@pytest.mark.parametrize("peak", [1e6, -1e6])
def test_it_stays_finite_for_inputs_of_a_million(peak) -> None:
    y = stream(Equaliser((*EIGHT, Band("bell", 1000.0, 40.0))).start(RATE, 2), np.full((4000, 2), peak))
    assert np.all(np.isfinite(y))


def test_after_a_reset_the_next_block_is_the_first() -> None:
    x = noise(3000)
    running = Equaliser(EIGHT).start(RATE, 2)
    first = stream(running, x, [1000])
    running.reset()
    assert np.array_equal(stream(running, x, [7]), first)


def test_it_is_known_as_eq_and_its_bands_have_addresses() -> None:
    assert effect("eq") is Equaliser
    louder = Equaliser(EIGHT).with_values({"bands/5/gain_db": 6.0})
    assert louder.bands[5] == replace(EIGHT[5], gain_db=6.0)


@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_can_be_run_at_every_rate(channels) -> None:
    for rate in (44_100, 96_000, 192_000):
        running = Equaliser(tuple(Band(kind, 0.4 * rate) for kind in KINDS)).start(rate, channels)
        assert np.all(np.isfinite(stream(running, noise(300, channels))))
        assert running.latency_frames == 0
    with pytest.raises(DspError):
        Equaliser((Band("bell", 0.495 * 44_100),)).start(44_100, channels)
    assert math.isfinite(running.tail_frames)
