"""Moves in a mix file: read, checked with file, line and key, and written back the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import MixError
from controller.mix import Mix, Move, Strip, load_mix, write_mix
from controller.move_points import levels_db

TEXT = """\
schema = 1
name = "moving"

[[strip]]
name = "vox"
stem = "vox.wav"

[[move]]
strip = "vox"
what = "fader_db"
points = [[10, -6.0], [12.5, -20], [14, "off"]]

[[move]]
strip = "vox"
what = "mute"
points = [[1.0, true], [2.0, false]]

[[move]]
strip = "bus"
what = "fader_db"
points = [[0.0, 0.0], [60.0, "off"]]
"""


@pytest.fixture
def mix_file(tmp_path):
    def load(old=None, new=""):
        assert old is None or TEXT.count(old) == 1
        path = tmp_path / "mix-1.toml"
        path.write_text(TEXT.replace(old, new) if old else TEXT, encoding="utf-8")
        return load_mix(path)

    return load


def test_moves_are_read_by_strip_and_key(mix_file):
    mix = mix_file()
    assert mix.moves_of("vox")["fader_db"].points == ((10.0, -6.0), (12.5, -20.0), (14.0, -math.inf))
    assert mix.moves_of("vox")["mute"].points == ((1.0, True), (2.0, False))
    assert set(mix.moves_of("bus")) == {"fader_db"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'strip = "vox"\nwhat = "mute"',
            'strip = "vix"\nwhat = "mute"',
            'line 14: move 2: strip = "vix" is no strip, did you mean "vox"?',
        ),
        ('what = "mute"', 'what = "mutt"', 'line 15: move 2: what = "mutt" is unknown, did you mean "mute"?'),
        ("[12.5, -20]", "[12.5, 13]", 'line 11: move 1: points = 13 is outside -120..12 dB or "off"'),
        ("[12.5, -20]", "[12.5, true]", 'points = true must be a number, -120..12 dB or "off"'),
        ("[12.5, -20]", "[9, -20]", "line 11: move 1: points at 9 s stands behind 10 s"),
        ("[12.5, -20]", "[-1, -20]", "points at -1: the first number is seconds, 0..86400 s"),
        ("[12.5, -20]", "[12.5]", "points must be a list of [seconds, value]"),
        ("[[1.0, true], [2.0, false]]", "[]", "line 16: move 2: points is empty"),
        ("[2.0, false]", "[2.0, 1]", "line 16: move 2: points = 1 must be true or false"),
        ('strip = "bus"\nwhat = "fader_db"', 'strip = "bus"\nwhat = "pan"', "the bus has a fader_db only"),
        ('strip = "bus"', 'strip = "vox"', "fader_db of 'vox' moves twice; put it into one table"),
        ('what = "mute"', 'what = "mute"\ncurve = 1', 'line 16: move 2: unknown key "curve"'),
    ],
)  # fmt: skip
def test_a_wrong_move_is_named_with_line_and_key(mix_file, old, new, said):
    with pytest.raises(MixError) as caught:
        mix_file(old, new)
    assert said in str(caught.value)


levels = st.floats(-120, 12) | st.just(-math.inf)


@st.composite
def moves(draw):
    found = []
    for what, values in (
        ("fader_db", levels), ("send_db", levels), ("pan", st.floats(-100, 100)), ("mute", st.booleans())
    ):  # fmt: skip
        times = sorted(draw(st.lists(st.floats(0, 600), max_size=5)))
        if times:
            found.append(Move(strip="vox", what=what, points=[[at_s, draw(values)] for at_s in times]))
    return tuple(found)


@given(moves())
@settings(max_examples=40, deadline=None)
def test_written_moves_read_back_the_same(tmp_path_factory, made):
    mix = Mix(name="m", strips=(Strip(name="vox", stem="vox.wav"),), moves=made)
    path = tmp_path_factory.mktemp("m") / "mix-1.toml"
    write_mix(mix, path)
    assert load_mix(path) == mix


def test_what_a_solo_keeps_silent_does_not_move():
    strips = (Strip(name="vox", stem="a.wav"), Strip(name="gtr", stem="b.wav", solo=True))
    mix = Mix(name="m", strips=strips, moves=(Move(strip="vox", what="mute", points=[[0, False]]),))
    assert mix.moves_of("vox") == {}


def test_a_level_goes_straight_in_db_holds_outside_and_jumps_where_two_points_share_a_moment():
    move = Move(strip="vox", what="fader_db", points=[[1, 0.0], [3, -20.0], [3, -40.0], [4, -math.inf], [5, -60.0]])
    found = levels_db(move, np.array([0.0, 1.0, 2.0, 3.0, 3.5, 4.0, 4.5, 9.0]))
    # Straight lines: half-way to −120 dB from −40 is −80, and from −120 to −60 it is −90.
    np.testing.assert_allclose(found, [0.0, 0.0, -10.0, -40.0, -80.0, -math.inf, -90.0, -60.0])
