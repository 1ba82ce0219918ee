"""A song that goes on from somewhere else while it plays: what moves follows, in every stage in its own time."""

from __future__ import annotations

import itertools
import math

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
from dsp.moving_gains import FaderGains, Level, SideGains, StereoGains, StripGains
from dsp.processors.trim import Trim
from dsp.song_line import SongLine

RATE = 48_000
LEVEL = Level(((0.0, -40.0), (0.2, 0.0), (0.2, -10.0), (0.4, -20.0)))


def points(address):
    return (ParameterMove(address, LEVEL.points),)


def late(frames):
    return Insert(Late(frames=float(frames)))


MOVING = Insert(Trim(), moves=points("gain_db"))
STRIP = StripGains(SideGains(1, LEVEL), -math.inf)
FED = Feed(automation=StereoGains(FaderGains(LEVEL)))
SONGS = {
    "fader": ([GraphStrip("x", automation=STRIP)], [], None),
    "fader behind a late insert": ([GraphStrip("x", automation=STRIP, post=(late(77),))], [], None),
    "own trim": ([GraphStrip("x", moves=points("trim_db"), pre=(late(50),), post=(late(33),))], [], None),
    "insert": ([GraphStrip("x", pre=(late(100), MOVING, late(31)))], [], None),
    "bus": ([GraphStrip("x", output="g", pre=(late(9),))], [GraphBus(name="g", post=(late(70),), feeds=(FED,))], None),
    "insert of a bus": (
        [GraphStrip("x", output="g")],
        [GraphBus(name="g", pre=(late(70), MOVING), feeds=(Feed(),))],
        None,
    ),
    "main": ([GraphStrip("x", pre=(late(5),))], [], GraphBus(pre=(late(30),), automation=FaderGains(LEVEL))),
    "own make-up of the main bus": (
        [GraphStrip("x")],
        [],
        GraphBus(pre=(late(30),), compressor=Compressor(24.0, 1.0, 1.0, 1.0, 0.0), moves=points("makeup_db")),
    ),
}


def played(song, places, *, frames=4_800, cuts=(), start_frame=0):
    """Ones from one place of the song after the other, ``frames`` of each; what comes of them, by place, in step."""
    with MixGraph(*song, rate_hz=RATE, threads=1, start_frame=start_frame) as graph:
        total = frames * (1 + len(places)) + graph.latency_frames
        edges = sorted({*range(0, total, frames), total, *(cut for cut in cuts if cut < total)})
        blocks = []
        for first, last in itertools.pairwise(edges):
            number = first // frames
            if first and first % frames == 0 and number <= len(places):
                graph.locate(places[number - 1])
            blocks.append(graph.process([np.ones((last - first, 1), np.float32)] * len(song[0])).bus)
        out = np.concatenate(blocks)[graph.latency_frames :]
    return np.split(out, range(frames, len(out), frames)), out


@pytest.mark.parametrize("name", SONGS)
def test_a_loop_plays_the_moves_of_its_region_again(name) -> None:
    (first, *again), out = played(SONGS[name], [4_800, 4_800, 0], start_frame=4_800)
    # The jump takes a step. Of filters of its own a strip has knots at every 256th frame, up to 16 beside the song's.
    settled = slice(300 if "own" in name else 40, None)
    for part in again[:2]:
        np.testing.assert_allclose(part[settled], first[settled], rtol=1e-4)
    np.testing.assert_allclose(again[2][settled], played(SONGS[name], [])[0][0][settled], rtol=1e-4)
    assert first[-32, 0] / first[0, 0] == pytest.approx(10.0, rel=0.1)
    # In one step of 16 frames a gain goes straight from 0 dB to −20; what is told in dB goes straight in dB.
    steps = np.abs(np.diff(out[:, 0])) / np.abs(out).max()
    assert steps.max() < (1.0 - 10 ** (-40 / 16 / 20) if "own" in name else 1.0 / 16)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 14_000), max_size=8), st.sampled_from(sorted(SONGS)))
def test_any_cut_gives_the_same_samples(cuts, name) -> None:
    places = [9_600, 160]
    assert np.array_equal(played(SONGS[name], places)[1], played(SONGS[name], places, cuts=cuts)[1])


def test_an_insert_is_told_at_the_very_frame_at_which_the_located_input_leaves_it() -> None:
    insert = Insert(Told(), moves=(ParameterMove("value", ((0.0, 0.0), (1.0, 480.0))),))
    song = [GraphStrip("x", pre=(late(100), insert))], [], None
    with MixGraph(*song, rate_hz=RATE) as graph:
        graph.process([np.ones((1_008, 1), np.float32)])
        graph.locate(24_000)
        graph.process([np.ones((400, 1), np.float32)])
    jumps = [(frame, pytest.approx(there.value), over) for frame, there, over in Told.told if frame >= 1_108]
    assert jumps[0] == (1_108, 240.16, 16)
    assert jumps[1] == (1_124, 240.64, 48)


def test_moves_that_were_changed_are_those_that_a_located_song_plays() -> None:
    quiet = [GraphStrip("x", automation=StripGains(SideGains(1, Level(((0.0, -20.0),))), -math.inf))], [], None
    with MixGraph(*SONGS["fader"], rate_hz=RATE) as graph:
        graph.process([np.ones((1_600, 1), np.float32)])
        assert graph.change(*quiet, frames=16)
        assert graph.song_frame == 1_600
        graph.locate(16_000)
        assert graph.song_frame == 16_000
        out = graph.process([np.ones((1_600, 1), np.float32)]).bus
    np.testing.assert_allclose(out[16:], 0.1 * math.sqrt(0.5), rtol=1e-6)


@pytest.mark.parametrize(("done", "frame"), [(100, 1_600), (160, 1_601)])
def test_a_place_between_two_knots_is_refused(done, frame) -> None:
    with MixGraph(*SONGS["fader"], rate_hz=RATE) as graph:
        graph.process([np.ones((done, 1), np.float32)])
        with pytest.raises(DspError, match=f"cannot go from frame {done} to frame {frame}"):
            graph.locate(frame)


def test_a_graph_that_was_reset_sounds_like_one_that_begins_there() -> None:
    song = (
        [GraphStrip("x", bands=(Band("bell", 300.0, 12.0, 4.0),), pre=(late(100),), automation=STRIP)],
        [GraphBus(name="par", pre=(late(40),), bands=(Band("bell", 300.0, 12.0, 4.0),), feeds=(FED,))],
        GraphBus(post=(late(7),)),
    )
    x = np.random.default_rng(1).standard_normal((6_400, 1)).astype(np.float32)
    with MixGraph(*song, rate_hz=RATE) as used, MixGraph(*song, rate_hz=RATE, start_frame=9_600) as fresh:
        used.process([x])
        used.locate(9_600)
        used.reset()
        assert np.array_equal(used.process([x]).bus, fresh.process([x]).bus)


def test_a_line_forgets_what_lies_longer_ago_than_anyone_asks_for() -> None:
    line = SongLine(160)
    line.late_frames = 1_000
    for loop in range(1, 200):
        line.locate(4_800 * loop, 0)
    assert line.at(4_800 * 199 - 1, 100) == (198, 4_799, 1)
    assert line.at(4_800 * 199, 100) == (199, 0, 100)
    assert len(line.__dict__["_offsets"]) <= 3
