"""A graph that is changed while it plays: the same samples for any cut, and where it comes to is what a new one is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from graph_effects import Late, TimesKey, Told
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.dynamics import Compressor
from dsp.errors import DspError
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert, ParameterMove
from dsp.moving_gains import FaderGains, Level, SideGains, StereoGains, StripGains
from dsp.processors.compressor import Compressor as CompressorInsert
from dsp.processors.equaliser import Equaliser
from dsp.processors.trim import Trim

RATE = 48_000
BOTH, THROUGH = ((1.0, 1.0),), ((1.0, 0.0), (0.0, 1.0))


def noise(frames: int, channels: int = 1, seed: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def flat(freq_hz: float = 1_000.0) -> Band:
    return Band("bell", freq_hz, 0.0, 1.0)


def song(**other):
    """Strips and busses with everything that can be changed; ``other``: (strip a's, main bus's, …) settings."""
    a = {
        "gains": ((0.5, 0.3),),
        "hpf_hz": None,
        "bands": (flat(), flat(3_000.0)),
        "compressor": None,
        "pre": (Insert(Late(frames=100.0)),),
        "post": (Insert(Trim(gain_db=-2.0)), Insert(Equaliser(bands=(flat(),)))),
        "feeds": (Feed("par", ((0.0, 0.0),)),),
    }
    strips = [
        GraphStrip("a", **{**a, **other.get("a", {})}),
        GraphStrip("b", channels=2, **{"gains": THROUGH, "bands": (flat(),), "send": 0.2, **other.get("b", {})}),
        GraphStrip("c", gains=BOTH, post=(Insert(TimesKey(), key="b"),), on_bus=False, feeds=(Feed("par", BOTH),)),
    ]
    par = {"feeds": (Feed(),), "bands": (flat(),), "post": (Insert(Late(frames=37.0)),)}
    busses = [
        GraphBus(name="par", **{**par, **other.get("par", {})}),
        GraphBus(name="reverb", pre=(Insert(Late(frames=5.0)),), feeds=(Feed(),)),
    ]
    return strips, busses, GraphBus(**{"post": (Insert(CompressorInsert()),), **other.get("main", {})})


CHANGED = {
    "a": {
        "gains": ((0.1, 0.9),),
        "trim_db": -3.0,
        "polarity_inverted": True,
        "hpf_hz": 80.0,
        "bands": (Band("bell", 1_500.0, 6.0, 1.0), flat(3_000.0)),
        "compressor": Compressor(-30.0, 3.0, 2.0, 30.0),
        "post": (Insert(Trim(gain_db=1.0)), Insert(Equaliser(bands=(Band("high_shelf", 4_000.0, -5.0),)))),
        "feeds": (Feed("par", ((0.2, 0.4),)),),
    },
    "b": {"gains": ((0.0, 0.0), (0.0, 0.0)), "bands": (Band("bell", 200.0, -9.0, 1.0),), "send": 0.7},
    "par": {
        "feeds": (Feed(gains=((0.5, 0.0), (0.0, 0.5))),),
        "bands": (Band("low_shelf", 150.0, 4.0),),
        "compressor": Compressor(-30.0, 2.0, 1.0, 20.0),
    },
    "main": {"fader_db": -4.0, "bands": (Band("bell", 500.0, 3.0),), "post": (Insert(CompressorInsert(ratio=1.0)),)},
}
PLAIN, OTHER = song(), song(**CHANGED)


def stems(frames):
    return [noise(frames, channels, seed) for seed, channels in enumerate([1, 2, 1])]


def played(audio, begin, events=(), *, cuts=(), start_frame=0, threads=1, **options):
    """The main bus while ``events`` happen: (frame, what to do with the graph)."""
    frames = len(audio[0])
    with MixGraph(*begin, rate_hz=RATE, threads=threads, start_frame=start_frame, **options) as graph:
        edges = sorted({0, frames, *(cut for cut in cuts if cut < frames), *(at for at, _ in events)})
        blocks = []
        for first, last in itertools.pairwise(edges):
            for at, act in events:
                if at == first:
                    act(graph)
            blocks.append(graph.process([stem[first:last] for stem in audio]).bus)
    return np.concatenate(blocks)


def to(description, frames=16):
    def act(graph):
        assert graph.change(*description, frames=frames)

    return act


def level_db(signal) -> float:
    return 20 * math.log10(max(float(np.sqrt(np.mean(np.square(signal)))), 1e-20))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 11_999), max_size=10), st.sampled_from([1, 2]))
def test_changes_at_fixed_frames_give_the_same_samples_for_any_cut(cuts, threads) -> None:
    audio = stems(12_000)
    events = [(1_000, to(OTHER, 700)), (1_300, to(PLAIN, 16)), (5_003, to(OTHER, 333)), (8_000, to(PLAIN, 4_000))]
    whole = played(audio, PLAIN, events)
    assert np.array_equal(whole, played(audio, PLAIN, events, cuts=cuts, threads=threads))
    assert level_db(whole[2_000:]) > -40


@pytest.mark.parametrize(("begin", "end"), [(PLAIN, OTHER), (OTHER, PLAIN)])
@pytest.mark.parametrize("frames", [16, 1_000])
def test_what_it_settles_to_is_what_a_new_graph_sounds_like(begin, end, frames) -> None:
    audio = stems(3 * RATE)
    changed, fresh = played(audio, begin, [(4_000, to(end, frames))]), played(audio, end)
    # Float32 lanes lie in another order, and filters and envelopes forget in their own time.
    assert level_db((changed - fresh)[-RATE // 2 :]) < level_db(fresh) - 120


@pytest.mark.parametrize(("begin", "end"), [(PLAIN, OTHER), (OTHER, PLAIN)])
def test_it_goes_there_and_back_as_if_nothing_had_been(begin, end) -> None:
    audio = stems(3 * RATE)
    there_and_back = played(audio, begin, [(4_000, to(end, 64)), (9_000, to(begin, 64))])
    assert level_db((there_and_back - played(audio, begin))[-RATE // 2 :]) < -140


def test_a_change_is_heard_within_the_next_step_however_late_the_graph_is() -> None:
    ones = [np.ones((2_000, 1), np.float32)]
    late = (Insert(Late(frames=500.0)),)

    def described(gain):
        return [GraphStrip("x", gains=BOTH, pre=late)], [], GraphBus(fader_db=gain, post=late)

    out = played(ones, described(0.0), [(1_600, to(described(-20.0)))])[:, 0]
    assert out[1_600] == 1.0
    np.testing.assert_allclose(out[1_624:], 0.1)


STRAIGHT = song(main={"post": ()})


def moving(level_db_points):
    """A song with strip a's fader, the parallel bus's output and the main fader following one line."""
    strips, busses, main = STRAIGHT
    level = Level(level_db_points)
    a = replace(strips[0], automation=StripGains(SideGains(1, level), -math.inf))
    par = replace(busses[0], feeds=(replace(busses[0].feeds[0], automation=StereoGains(FaderGains(level))),))
    return [a, *strips[1:]], [par, *busses[1:]], replace(main, automation=FaderGains(level))


def test_moves_can_come_and_change_and_go_while_it_plays() -> None:
    audio = stems(48_000)
    first, second = moving(((0.0, -6.0), (1.0, -30.0))), moving(((0.0, -30.0), (1.0, 0.0)))
    events = [(6_000, to(first, 100)), (15_008, to(second, 900)), (30_000, to(STRAIGHT, 16))]
    out = played(audio, STRAIGHT, events)
    assert np.array_equal(out, played(audio, STRAIGHT, events, cuts=[6_001, 6_050, 14_000, 15_009, 15_500, 33_333]))
    for here, description in ((slice(8_000, 15_000), first), (slice(18_000, 30_000), second)):
        assert level_db((out - played(audio, description))[here]) < -140
    assert level_db((out - played(audio, STRAIGHT))[32_000:]) < -140


def test_new_points_of_an_inserts_or_strips_move_count_from_now_on() -> None:
    def described(*points):
        moves = (ParameterMove("gain_db", tuple((frame / RATE, value) for frame, value in points)),)
        own = (ParameterMove("trim_db", moves[0].points),)
        return [
            GraphStrip("x", gains=((1.0, 0.0),), post=(Insert(Trim(), moves=moves),)),
            GraphStrip("y", gains=((0.0, 1.0),), moves=own),
        ], []

    ones = [np.ones((12_000, 1), np.float32)] * 2
    first, second = described((0, 0.0), (9_600, -40.0)), described((1_920, -20.0), (11_520, 0.0))
    out = 20 * np.log10(played(ones, first, [(6_000, to(second, 256))]))
    frames = np.arange(12_000)
    for side in range(2):
        np.testing.assert_allclose(out[:6_000, side], np.interp(frames[:6_000], [0, 9_600], [0.0, -40.0]), atol=0.1)
        np.testing.assert_allclose(out[6_300:, side], np.interp(frames[6_300:], [1_920, 11_520], [-20, 0]), atol=0.1)


def test_what_is_changed_beside_a_moving_parameter_takes_its_time_too() -> None:
    def described(shape):
        moves = (ParameterMove("value", ((0.0, 0.0), (1.0, 480.0))),)
        return [GraphStrip("x", post=(Insert(Told(shape=shape), moves=moves),))], [], None

    played([noise(4_800)], described(1.0), [(1_610, to(described(9.0), 500))])
    told = [(frame, pytest.approx(there.value), there.shape, over) for frame, there, over in Told.told]
    after = [one for one in told if one[0] >= 1_610]
    # There at frame 2110, and from then on at the song's knots again.
    assert after[:3] == [(1_610, 21.1, 9.0, 500), (2_110, 21.12, 9.0, 2), (2_112, 21.76, 9.0, 64)]


def test_mute_and_solo_are_gains_and_silence_is_silence() -> None:
    strips, busses, main = PLAIN
    muted = [replace(s, gains=tuple((0.0, 0.0) for _ in s.gains), send=0.0, feeds=()) for s in strips], busses, main
    out = played(stems(24_000), PLAIN, [(4_000, to(muted, 64))])
    assert np.any(out[4_030])
    assert not np.any(out[5_000:])


@pytest.mark.parametrize(
    "other",
    [
        ([GraphStrip("a")], [], None),
        (PLAIN[0], PLAIN[1][:1], PLAIN[2]),
        (PLAIN[0], PLAIN[1][::-1], PLAIN[2]),
        ([PLAIN[0][0], replace(PLAIN[0][1], channels=1, gains=BOTH), PLAIN[0][2]], *PLAIN[1:]),
        song(a={"post": ()}),
        song(a={"pre": (), "post": (Insert(Late(frames=100.0)),)}),
        song(a={"pre": (Insert(Late(frames=101.0)),)}),
        song(main={"post": (Insert(CompressorInsert(), key="a"),)}),
        song(par={"feeds": (Feed(), Feed("reverb"))}),
    ],
)
def test_another_structure_is_not_gone_to_and_nothing_changes(other) -> None:
    audio = stems(6_000)

    def act(graph):
        assert not graph.change(*other)

    assert np.array_equal(played(audio, PLAIN, [(3_000, act)]), played(audio, PLAIN, cuts=[3_000]))


@pytest.mark.parametrize(
    "wrong",
    [
        song(b={"bands": (Band("bell", 30_000.0, 3.0),)}),
        song(main={"bands": (Band("bell", 30_000.0, 3.0),)}),
        song(a={"post": (Insert(Trim(), moves=(ParameterMove("gain_db", ((0.0, 999.0),)),)), PLAIN[0][0].post[1])}),
        (PLAIN[0], [*PLAIN[1][:1], replace(PLAIN[1][1], minus="c")], PLAIN[2]),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_changes(wrong) -> None:
    audio = stems(6_000)

    def act(graph):
        with pytest.raises(DspError):
            graph.change(*wrong)

    assert np.array_equal(played(audio, PLAIN, [(3_000, act)]), played(audio, PLAIN, cuts=[3_000]))


def test_what_one_effect_refuses_is_taken_back_from_the_others() -> None:
    audio = stems(6_000)
    refused = song(**{**CHANGED, "par": {"post": (Insert(Late(frames=38.0)),)}})

    def act(graph):
        assert not graph.change(*refused, frames=300)

    assert level_db(played(audio, PLAIN, [(3_000, act)]) - played(audio, PLAIN)) < -140


def test_a_change_that_was_prepared_before_another_is_applied_after_it() -> None:
    audio = stems(RATE)

    def act(graph):
        one, two = graph.prepare(*OTHER), graph.prepare(*PLAIN)
        assert graph.apply(one)
        assert graph.apply(two)

    assert level_db((played(audio, PLAIN, [(3_000, act)]) - played(audio, PLAIN))[RATE // 2 :]) < -140


def test_a_way_opens_to_a_bus_that_others_of_its_bank_feed_already() -> None:
    x, y = noise(6_000, seed=1), noise(6_000, seed=2)
    group = GraphBus(name="group", feeds=(Feed(),))

    def described(**feeds):
        return [GraphStrip(name, gains=((0.0, 0.0),), feeds=feeds.get(name, ())) for name in "xy"], [group], None

    begin = described(x=(Feed("group", BOTH),))
    out = played([x, y], begin, [(3_000, to(described(y=(Feed("group", ((0.5, 0.5),)),))))])
    np.testing.assert_allclose(out[:3_000, 0], x[:3_000, 0], atol=1e-7)
    np.testing.assert_allclose(out[3_024:, 0], 0.5 * y[3_024:, 0], atol=1e-7)
