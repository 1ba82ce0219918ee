"""A mix as a graph that is played with: whatever a hand may reach for is a change of settings."""

from __future__ import annotations

import math
import pickle

import msgspec
import numpy as np
import pytest

from controller.allocate import allocate
from controller.live_terms import live_graph
from controller.mix import AddedBus, Bus, Comp, EqBand, Insert, Mix, Move, Reverb, Send, Strip, Vca
from dsp.graph import MixGraph

RATE = 48_000
CHANNELS = {"kick": 1, "keys": 2, "vox": 1}


def mix(**other) -> Mix:
    strips = {
        "kick": {"stem": "kick.wav", "output": "drums", "sends": (Send(to="par", level_db=-math.inf),), "vca": "band"},
        "keys": {"stem": "keys.wav", "inserts": (Insert(kind="eq"), Insert(kind="trim", at="pre"))},
        "vox": {"stem": "vox.wav", "inserts": (Insert(kind="compressor", key="kick"),)},
    }
    busses = {"drums": {"sends": (Send(to="par", level_db=-6.0),)}, "par": {}}
    return Mix(
        name="live",
        strips=tuple(Strip(name=name, **{**own, **other.get(name, {})}) for name, own in strips.items()),
        busses=tuple(AddedBus(name=name, **{**own, **other.get(name, {})}) for name, own in busses.items()),
        vcas=(Vca(name="band", **other.get("band", {})),),
        **{key: value for key, value in other.items() if key not in {**strips, **busses, "band": 0}},
    )


def move(strip, what, *values):
    return Move(strip=strip, what=what, points=tuple((0.5 * i, value) for i, value in enumerate(values)))


BOOST = {"lmf": EqBand(freq_hz=500.0, gain_db=6.0)}
ON = Comp(on=True, threshold_db=-30.0, release_ms=30.0)
EDITS = {
    "fader": mix(kick={"fader_db": -10.0}),
    "fader off": mix(keys={"fader_db": -math.inf}),
    "pan": mix(vox={"pan": 70.0}),
    "mute": mix(keys={"mute": True}),
    "solo": mix(vox={"solo": True}),
    "solo of a bus": mix(drums={"solo": True}),
    "send": mix(kick={"sends": (Send(to="par", level_db=-3.0),)}),
    "reverb": mix(vox={"send_db": -10.0}),
    "reverb's return": mix(vox={"send_db": -10.0}, reverb=Reverb(return_db=-6.0)),
    "vca": mix(band={"fader_db": -8.0}),
    "band": mix(vox={"eq": BOOST}),
    "trim and polarity": mix(vox={"trim_db": -3.0, "polarity": "inverted", "hpf_hz": 120.0}),
    "compressor": mix(keys={"comp": ON}),
    "bus": mix(par={"fader_db": -9.0, "eq": BOOST, "comp": ON, "pan": 20.0}),
    "stereo bus": mix(bus=Bus(fader_db=-3.0, eq=BOOST, comp=ON)),
    "insert": mix(keys={"inserts": (Insert(kind="eq"), Insert(kind="trim", at="pre", settings={"gain_db": -4.0}))}),
    "moves": mix(moves=(move("kick", "fader_db", -20.0, 0.0), move("vox", "pan", 0.0, 90.0))),
    "moving send to the reverb": mix(moves=(move("vox", "send_db", -20.0, 0.0),)),
    "moves inside": mix(
        keys={"comp": ON},
        moves=(move("keys", "comp/threshold_db", 0.0, -40.0), move("vox", "eq/lmf/gain_db", 0.0, 9.0)),
    ),
    "moves of busses": mix(moves=(move("par", "fader_db", -20.0, 0.0), move("bus", "fader_db", 0.0, -9.0))),
}


def stems(frames, seed=1):
    rng = np.random.default_rng(seed)
    return [(0.1 * rng.standard_normal((frames, width))).astype(np.float32) for width in CHANNELS.values()]


def description(made: Mix):
    live = pickle.loads(pickle.dumps(live_graph(made, CHANNELS)))
    return live.strips, live.busses, live.bus


def printed(made: Mix, audio):
    plan = allocate(made, CHANNELS, rig=None, profiles={}, path="itb", rate_hz=RATE)
    with MixGraph(plan.itb, plan.busses_itb, plan.bus_itb, rate_hz=RATE, threads=1) as graph:
        return graph.process(audio).bus


def level_db(signal) -> float:
    return 20 * math.log10(max(float(np.sqrt(np.mean(np.square(signal)))), 1e-20))


@pytest.mark.parametrize("name", EDITS)
def test_a_live_graph_sounds_like_the_print(name) -> None:
    audio = stems(24_000)
    with MixGraph(*description(EDITS[name]), rate_hz=RATE, threads=1) as graph:
        out = graph.process(audio).bus
    expected = printed(EDITS[name], audio)
    # The groups of lanes that are summed may be others.
    assert level_db(out - expected) < level_db(expected) - 140


def test_bands_and_compressors_that_do_nothing_pass_bit_for_bit() -> None:
    audio = stems(4_800)
    with MixGraph(*description(mix()), rate_hz=RATE, threads=1, pre=["keys"]) as graph:
        assert np.array_equal(graph.process(audio).pre[1], audio[1])


@pytest.mark.parametrize("name", EDITS)
def test_whatever_a_hand_reaches_for_is_a_change_of_settings(name) -> None:
    audio = stems(2 * RATE)
    begin, there = description(mix()), description(EDITS[name])
    with MixGraph(*begin, rate_hz=RATE, threads=1) as graph:
        graph.process([stem[:4_800] for stem in audio])
        assert graph.change(*there)
        out = graph.process([stem[4_800:] for stem in audio]).bus
    with MixGraph(*there, rate_hz=RATE, threads=1) as graph:
        expected = graph.process(audio).bus[4_800:]
    end = slice(-RATE // 4, None)
    # The reverb remembers what it was not yet sent, down to where it has decayed to.
    floor_db = -50 if "reverb" in name else -120
    assert level_db((out - expected)[end]) < level_db(expected[end]) + floor_db
    with MixGraph(*there, rate_hz=RATE, threads=1) as graph:
        assert graph.change(*begin)


@pytest.mark.parametrize(
    "other",
    [
        mix(keys={"inserts": ()}),
        mix(vox={"inserts": (Insert(kind="compressor", key="keys"),)}),
        mix(vox={"inserts": (Insert(kind="compressor", key="kick", on=False),)}),
        mix(vox={"sends": (Send(to="par"),), "inserts": (Insert(kind="trim"),)}),
    ],
)
def test_inserts_and_keys_that_come_and_go_are_another_structure(other) -> None:
    with MixGraph(*description(mix()), rate_hz=RATE, threads=1) as graph:
        assert not graph.change(*description(other))


def test_a_strip_that_listens_to_the_reverb_does_not_feed_it() -> None:
    ducked = mix(vox={"inserts": (Insert(kind="compressor", key="reverb"),)}, keys={"send_db": -6.0})
    audio = stems(12_000)
    with MixGraph(*description(ducked), rate_hz=RATE, threads=1) as graph:
        out = graph.process(audio).bus
    assert level_db(out - printed(ducked, audio)) < level_db(out) - 140


def test_equal_mixes_make_equal_graphs() -> None:
    assert all(
        live_graph(made, CHANNELS) == pickle.loads(pickle.dumps(live_graph(msgspec.structs.replace(made), CHANNELS)))
        for made in EDITS.values()
    )
