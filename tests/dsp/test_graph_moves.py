"""Parameters of inserts that move during the song: in time to 16 frames, told only where something moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graph_effects import Late, Told
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.dynamics import Compressor
from dsp.errors import DspError
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert, ParameterMove
from dsp.processors.trim import Trim

RATE = 48_000
FRAMES = 12_000


def move(address, *points):
    """Points of (frame of the song, value)."""
    return ParameterMove(address, tuple((frame / RATE, value) for frame, value in points))


def mixed(*inserts, cuts=(), start_frame=0, late=0, frames=FRAMES, busses=()):
    """Ones through inserts on one strip, from the song's first frame on."""
    strips = [
        GraphStrip("moving", post=inserts, gains=((1.0, 0.0),)),
        GraphStrip("other", pre=(Insert(Late(frames=float(late))),), gains=((0.0, 0.0),)),
    ]
    with MixGraph(strips, busses, rate_hz=RATE, threads=1, start_frame=start_frame) as graph:
        ones = np.ones((frames + graph.latency_frames, 1), np.float32)
        blocks = [graph.process([piece, piece]).bus for piece in np.split(ones, cuts)]
        return np.concatenate(blocks)[graph.latency_frames :, 0]


FADE = move("gain_db", (1_000, -20.0), (9_000, 0.0))


def test_a_ramp_of_decibels_is_straight_in_decibels_between_points_rounded_to_16_frames() -> None:
    out = mixed(Insert(Trim(gain_db=3.0), moves=(FADE,)))
    # 1000 and 9000 frames lie nearest to 992 (or 1008, half way) and 9008 (or 8992).
    expected = np.interp(np.arange(FRAMES), [1_000, 9_000], [-20.0, 0.0])
    np.testing.assert_allclose(20 * np.log10(out), expected, atol=16 * 20 / 8_000)
    assert np.all(np.diff(out) >= 0.0)


def test_a_jump_arrives_at_its_frame_and_takes_16_frames() -> None:
    out = mixed(Insert(Trim(), moves=(move("gain_db", (4_800, 0.0), (4_800, -60.0)),)))
    assert np.all(out[:4_785] == 1.0)
    np.testing.assert_allclose(out[4_784:4_801], np.linspace(1.0, 0.001, 17), atol=1e-6)
    assert np.all(out[4_800:] == np.float32(0.001))


@pytest.mark.parametrize("late", [1, 100, 5_000])
def test_latency_anywhere_moves_no_move(late) -> None:
    insert = Insert(Trim(), moves=(FADE,))
    plain = mixed(insert)
    assert np.array_equal(mixed(insert, late=late), plain)
    assert np.array_equal(mixed(Insert(Late(frames=float(late))), insert), plain)
    assert np.array_equal(mixed(insert, Insert(Late(frames=float(late)))), plain)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, FRAMES), max_size=8))
def test_any_block_size_gives_the_same_bits(cuts) -> None:
    moves = (
        move("gain_db", (100, 0.0), (777, -7.0), (777, 3.0), (9_999, -50.0)),
        move("polarity", (5_000, "inverted")),
    )
    inserts = (Insert(Late(frames=33.0)), Insert(Trim(), moves=moves))
    assert np.array_equal(mixed(*inserts, cuts=sorted(cuts)), mixed(*inserts))


def test_an_effect_is_told_only_where_something_moves_at_every_64th_frame_and_every_point() -> None:
    mixed(Insert(Told(), moves=(move("value", (160, 0.0), (320, 100.0), (5_000, 100.0), (5_010, 0.0)),)))
    assert [(frame, over) for frame, _, over in Told.told] == [(160, 32), (192, 64), (256, 64), (4_992, 16)]
    assert [there.value for _, there, _ in Told.told] == pytest.approx([20.0, 60.0, 100.0, 0.0])


def test_a_value_of_ratios_goes_straight_on_a_scale_of_ratios() -> None:
    mixed(Insert(Told(), moves=(move("shape", (0, 1.0), (128, 100.0)), move("value", (0, 1.0), (128, 3.0)))))
    assert [(there.value, there.shape) for _, there, _ in Told.told] == [(2.0, pytest.approx(10.0)), (3.0, 100.0)]


def test_what_an_effect_refuses_is_refused_before_a_note_is_heard() -> None:
    with pytest.raises(DspError, match="late cannot move its frames: its latency would change"):
        mixed(Insert(Late(frames=4.0), moves=(move("frames", (0, 4.0), (4_800, 5.0)),)))


def test_a_graph_that_begins_in_mid_song_moves_as_the_song_does_there() -> None:
    moves = (move("gain_db", (960, -20.0), (8_960, 0.0)),)
    insert = (Insert(Late(frames=48.0)), Insert(Trim(), moves=moves))
    whole, part = mixed(*insert), mixed(*insert, start_frame=4_096, frames=4_000)
    np.testing.assert_allclose(part, whole[4_096:8_096], rtol=1e-3)


def test_an_insert_of_a_bus_moves_with_the_song_too() -> None:
    insert = Insert(Trim(), moves=(move("gain_db", (960, 0.0), (960, -60.0)),))
    strips = [GraphStrip("x", gains=((1.0, 1.0),), output="group", pre=(Insert(Late(frames=500.0)),))]
    busses = [GraphBus(name="group", feeds=(Feed(),), pre=(insert,))]
    with MixGraph(strips, busses, rate_hz=RATE) as graph:
        out = graph.process([np.ones((4_000, 1), np.float32)]).bus[graph.latency_frames :, 0]
    assert np.all(out[:945] == 1.0)
    assert np.all(out[960:] == np.float32(0.001))


def sounding(strip, cuts=(), seed=1, busses=(), main=None, frames=FRAMES):
    """Noise through one strip, from the song's first frame on, the left side."""
    x = (0.2 * np.random.default_rng(seed).standard_normal((frames, 1))).astype(np.float32)
    with MixGraph([strip], busses, main, rate_hz=RATE, threads=1) as graph:
        whole = np.concatenate([x, np.zeros((graph.latency_frames, 1), np.float32)])
        blocks = [graph.process([piece]).bus for piece in np.split(whole, cuts)]
        return x[:, 0].astype(np.float64), np.concatenate(blocks)[graph.latency_frames :, 0]


BELL = (Band("bell", 1000.0, 0.0, 1.0),)
EQ_MOVE = move("bands/0/gain_db", (2_048, 0.0), (4_096, 12.0))


def test_a_strips_trim_and_equaliser_move_and_end_where_they_are_sent() -> None:
    strip = GraphStrip(
        "x", bands=BELL, gains=((1.0, 0.0),), moves=(EQ_MOVE, move("trim_db", (1_000, 0.0), (6_000, -6.0)))
    )
    x, out = sounding(strip)
    np.testing.assert_allclose(out[:900], x[:900], atol=1e-7)
    ends = GraphStrip("x", bands=(Band("bell", 1000.0, 12.0, 1.0),), trim_db=-6.0, gains=((1.0, 0.0),))
    _, there = sounding(ends)
    # What the filter remembers of the way has died out 3000 frames later.
    np.testing.assert_allclose(out[9_000:], there[9_000:], atol=1e-5)


def test_a_moving_trim_of_a_strip_is_straight_in_decibels() -> None:
    strip = GraphStrip("x", gains=((1.0, 0.0),), moves=(move("trim_db", (1_024, 0.0), (9_216, -40.0)),))
    x, out = sounding(strip)
    level_db = 20 * np.log10(np.abs(out / x))[2_000:8_000]
    np.testing.assert_allclose(level_db, np.interp(np.arange(2_000, 8_000), [1_024, 9_216], [0.0, -40.0]), atol=0.05)


@pytest.mark.parametrize("late", [0, 100, 1_000])
def test_moving_sounds_are_the_same_for_any_blocks_and_wherever_the_latency_lies(late) -> None:
    moves = (EQ_MOVE, move("hpf_hz", (3_000, 50.0), (5_000, 500.0)), move("threshold_db", (0, 0.0), (8_000, -40.0)))
    strip = GraphStrip(
        "x", bands=BELL, hpf_hz=50.0, compressor=Compressor(0.0, 4.0, 3.0, 80.0), gains=((1.0, 0.0),), moves=moves
    )
    _, plain = sounding(strip)
    _, cut = sounding(strip, cuts=[1, 700, 703, 2_100, 4_444, 9_000])
    assert np.array_equal(plain, cut)
    insert = (Insert(Late(frames=float(late))),)
    for place in ("pre", "post"):
        _, delayed = sounding(replace(strip, **{place: insert}))
        # The bank's knots lie at whole steps of its own frames: up to 16 frames beside those of the song.
        assert np.abs(delayed - plain).max() < (1e-6 if late in (0, 1_000) and place == "post" else 2e-3)


def test_equaliser_and_compressor_of_a_bus_move_too() -> None:
    moves = (move("makeup_db", (2_048, 0.0), (2_048, -20.0)),)
    squeeze = Compressor(24.0, 1.0, 3.0, 80.0, 0.0, 0.0)
    main = GraphBus(compressor=squeeze, moves=moves)
    x, out = sounding(GraphStrip("x", gains=((1.0, 0.0),)), main=main)
    np.testing.assert_allclose(out[:2_032], x[:2_032], atol=1e-6)
    np.testing.assert_allclose(out[2_048:], 0.1 * x[2_048:], atol=1e-6)
    _, cut = sounding(GraphStrip("x", gains=((1.0, 0.0),)), main=main, cuts=[3, 2_040, 2_050])
    assert np.array_equal(out, cut)


def test_an_equaliser_that_comes_in_never_clicks() -> None:
    tone = np.sin(2 * np.pi * 100 / RATE * np.arange(20_000))[:, None].astype(np.float32)
    moves = (move("bands/0/gain_db", (4_800, 0.0), (4_800, 12.0), (9_600, 12.0), (9_600, 0.0)),)
    with MixGraph([GraphStrip("x", bands=BELL, gains=((1.0, 0.0),), moves=moves)], rate_hz=RATE) as graph:
        out = graph.process([tone]).bus[:, 0]
    # A bell at 1 kHz hardly touches 100 Hz: what is heard above 5 kHz is the change alone.
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)))) / len(out)
    assert 20 * np.log10(spectrum[np.fft.rfftfreq(len(out), 1 / RATE) > 5_000].max()) < -90
