"""Moves as timed messages: the wire keeps its air, lanes end where they should, ramps never turn round.

The desk's scale and bytes are those of docs/devices/room-desk-24.md; DIN MIDI carries 3125 bytes a second.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.lanes import Lane, schedule_lanes
from profiles.errors import ProfileError
from profiles.library import load_profile

DESK = load_profile("room-desk-24")
BYTES_PER_S = 3125.0
FADER_BYTES, PAN_BYTES = 12, 3
STEP_DB = {"fine": 10 / 48, "low": 20 / 19}
"""The fader's steps: 48 for the 10 dB below 0 dB, 19 for the 20 dB below −60 dB."""

levels = st.one_of(st.floats(-80.0, 10.0), st.just(-math.inf))
pans = st.floats(-100.0, 100.0)


@st.composite
def lanes(draw):
    made = []
    for number in draw(st.lists(st.integers(1, 24), min_size=1, max_size=8, unique=True)):
        what, values = draw(st.sampled_from([("fader", levels), ("pan", pans), ("mute", st.booleans())]))
        times = sorted(draw(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=6)))
        points = tuple((at_s, draw(values)) for at_s in times)
        made.append(Lane(f"desk/ch{number:02d}/{what}", points, ramp=what != "mute"))
    return made


@given(lanes())
@settings(max_examples=60, deadline=None)
def test_no_window_of_100_ms_carries_more_than_four_fifths_of_what_the_wire_can(made):
    plan = schedule_lanes(made, DESK)
    spans = [(s.at_s, s.at_s + s.size / BYTES_PER_S) for s in plan.settings]
    for before, after in itertools.pairwise(spans):
        assert after[0] >= before[1]
    for edge in {start for start, _ in spans} | {end - 0.1 for _, end in spans}:
        busy = sum(max(0.0, min(end, edge + 0.1) - max(start, edge)) for start, end in spans)
        assert busy <= 0.08 + 1e-9


@given(lanes())
@settings(max_examples=60, deadline=None)
def test_every_control_ends_on_its_last_point_and_is_never_told_the_same_twice(made):
    plan = schedule_lanes(made, DESK)
    end = plan.standing(math.inf)
    for lane in made:
        control = DESK.controls[lane.control]
        assert end[lane.address] == control.achieved(lane.points[-1][1])
        told = [s.raw for s in (*plan.first, *plan.settings) if s.address == lane.address]
        assert all(a != b for a, b in itertools.pairwise(told))
        assert told[0] == control.to_raw(lane.points[0][1])


@given(st.lists(st.tuples(st.floats(-80, 10), st.floats(-80, 10), st.floats(0.05, 5)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_ramp_that_only_rises_never_falls_however_much_is_left_out(ramps):
    made = [
        Lane(f"desk/ch{n:02d}/fader", ((0.5, start), (0.5 + length, end)))
        for n, (start, end, length) in enumerate(ramps, 1)
    ]
    plan = schedule_lanes(made, DESK)
    for lane, (start, end, _) in zip(made, ramps, strict=True):
        told = [s.raw for s in (*plan.first, *plan.settings) if s.address == lane.address]
        assert told == sorted(told, reverse=end < start)


@given(st.integers(1, 12), st.floats(1.0, 60.0))
@settings(max_examples=40, deadline=None)
def test_the_error_of_ramps_that_share_a_wire_is_bounded_by_slope_and_queue(count, slope):
    """Off by half the larger step beside it, and by what the lanes move while all of them have their turn."""
    made = [Lane(f"desk/ch{n:02d}/fader", ((0.2, -20.0), (0.2 + 20.0 / slope, 0.0))) for n in range(1, count + 1)]
    turn_s = count * FADER_BYTES / BYTES_PER_S / 0.78
    step_db = 20 / 56
    for figures in schedule_lanes(made, DESK).figures:
        assert figures.worst <= step_db / 2 + slope * (turn_s + 0.002) + 1e-6


def test_a_single_slow_fade_is_sent_step_by_step_and_each_arrives_when_the_lane_is_half_way_to_it():
    plan = schedule_lanes([Lane("desk/ch07/fader", ((1.0, 0.0), (11.0, -10.0)))], DESK)
    # 0 to −10 dB are positions 192 to 144: 48 steps of 10/48 dB in 10 s, each due half a step before its place.
    assert [s.raw for s in plan.settings] == list(range(191, 143, -1))
    due = [1.0 + (n - 0.5) * 10 / 48 for n in range(1, 49)]
    np.testing.assert_allclose([s.landed_s for s in plan.settings], due, atol=0.0011)
    assert plan.settings[0].messages == (
        bytes([0xB0, 99, 0x10]), bytes([0xB0, 98, 6]), bytes([0xB0, 6, 191 >> 1]), bytes([0xB0, 38, 64]),
    )  # fmt: skip
    assert plan.figures[0].worst == pytest.approx(STEP_DB["fine"] / 2, abs=0.002)
    assert not plan.figures[0].thinned


def test_a_jump_of_many_faders_goes_out_the_farthest_first_and_the_mute_before_all():
    jumps = {1: -3.0, 2: -40.0, 3: -10.0}
    made = [Lane(f"desk/ch{n:02d}/fader", ((1.0, 0.0), (1.0, to))) for n, to in jumps.items()]
    made.append(Lane("desk/ch04/mute", ((0.0, False), (1.0, True)), ramp=False))
    order = [s.address for s in schedule_lanes(made, DESK).settings]
    assert order[0] == "desk/ch04/mute" or order[1] == "desk/ch04/mute"
    faders = [address for address in order if address.endswith("fader")]
    # The first of a queue is chosen alone, at the moment its own bytes must leave; then the farthest leads.
    assert faders.index("desk/ch02/fader") < faders.index("desk/ch03/fader") < faders.index("desk/ch01/fader")


def test_a_flood_is_thinned_and_says_so():
    made = [Lane(f"desk/ch{n:02d}/fader", tuple((0.1 * i, -20.0 * (i % 2)) for i in range(40))) for n in range(1, 25)]
    plan = schedule_lanes(made, DESK)
    assert all(figures.thinned for figures in plan.figures)
    span_s = plan.settings[-1].landed_s - plan.settings[0].at_s
    assert sum(s.size for s in plan.settings) / span_s <= 0.8 * BYTES_PER_S


def test_between_its_points_a_lane_stands_where_the_last_setting_left_it():
    plan = schedule_lanes([Lane("desk/ch02/mute", ((0.0, False), (2.0, True), (3.0, False)), ramp=False)], DESK)
    assert [plan.standing(at_s)["desk/ch02/mute"] for at_s in (0.0, 1.9, 2.5, 3.5)] == [False, False, True, False]
    assert plan.figures[0].worst is None


def test_a_control_with_two_lanes_is_refused():
    lane = Lane("desk/ch01/fader", ((0.0, 0.0),))
    with pytest.raises(ProfileError, match="ch01/fader has two lanes"):
        schedule_lanes([lane, lane], DESK)
