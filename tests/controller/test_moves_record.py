"""Hands on a desk that reports them become the moves of a new mix, in time, within a tenth of a dB."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from short_line import RATE_HZ, Line
from test_moves import tone

from controller.errors import UsageError
from controller.events import Event, Progress
from controller.mix import Move, Strip
from controller.move_record import points_of, record_moves, simplified
from controller.printing import plan_allocation
from controller.studio import Studio
from hardware.room.inprocess import RoomStream
from hardware.seams import RunReport, Sink, Source

STRIPS = [Strip(name="tone", stem="tone.wav", fader_db=-4.0, pan=-100.0)]
# A microsecond is the least that a song's times differ by; np.interp, the judge here, overflows where they meet.
times = st.lists(st.integers(0, 10**8).map(lambda us: us / 1e6), min_size=2, max_size=60, unique=True).map(sorted)


@given(times, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_simplified_lines_stay_within_the_tolerance_of_every_point_left_out(moments, chance):
    points = [(at_s, chance.uniform(-60.0, 10.0)) for at_s in moments]
    kept = simplified(points, 0.5)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    drawn = np.interp(moments, *zip(*kept, strict=True))
    assert np.abs(drawn - [value for _, value in points]).max() <= 0.5 + 1e-9


def test_a_straight_line_needs_its_two_ends():
    assert simplified([(n / 10, -n / 5) for n in range(100)], 0.1) == [(0.0, 0.0), (9.9, -99 / 5)]


def test_a_control_that_rested_holds_until_just_before_its_next_report():
    reports = [(5.0, -6.0), (5.05, -8.0), (9.0, -10.0)]
    assert points_of(reports, -4.0, "fader_db") == (
        (4.98, -4.0), (5.0, -6.0), (5.05, -8.0), (8.98, -8.0), (9.0, -10.0),
    )  # fmt: skip


def test_mutes_are_taken_as_they_fall():
    assert points_of([(2.0, True), (2.1, True), (3.0, False)], False, "mute") == (
        (0.0, False), (2.0, True), (3.0, False),
    )  # fmt: skip


def test_a_hand_during_a_pass_becomes_a_move_of_the_next_mix(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.calibrated()
    project = line.project(tone(3.0), STRIPS)
    run = RoomStream.run

    def with_hand(self: RoomStream, source: Source, sink: Sink, frames: int, **callbacks: Any) -> RunReport:
        on_block = callbacks.get("on_block")

        def then(frame: int) -> None:
            at_s = frame / RATE_HZ
            if 1.0 <= at_s <= 2.0 and studio[0].room is not None:
                studio[0].room.turn("desk/ch01/fader", -4.0 - 10.0 * (at_s - 1.0))
            on_block(frame)

        return run(self, source, sink, frames, **callbacks if on_block is None else {**callbacks, "on_block": then})

    studio: list[Studio] = []
    opened = Studio.open

    def remember(*arguments: Any, **options: Any) -> Studio:
        studio.append(opened(*arguments, **options))
        return studio[0]

    monkeypatch.setattr(Studio, "open", remember)
    monkeypatch.setattr(RoomStream, "run", with_hand)
    before = project.mix().path
    made = line.print(project, record_moves=True)
    mix = project.mix()
    assert mix.path != before
    assert made.facts["moves_recorded"]["mix"] == mix.path.name
    move = mix.moves_of("tone")["fader_db"]
    at_s = np.linspace(0.0, 3.0, 31)
    drawn = np.interp(at_s, *zip(*move.points, strict=True))
    # Half a step of the fader, the tolerance, and 10 dB a second in the 10 ms of block and wire.
    np.testing.assert_allclose(drawn, -4.0 - 10.0 * np.clip(at_s - 1.0, 0.0, 1.0), atol=0.125 + 0.1 + 0.2)
    assert len(move.points) <= 20


def test_listening_without_a_pass_writes_a_new_mix_and_keeps_the_old_moves(line: Line) -> None:
    line.calibrated()
    old = Move(strip="tone", what="pan", points=[[0.0, 0.0]])
    project = line.project(tone(1.0), STRIPS, moves=(old,))
    first = project.mix().path
    with Studio.open(line.rig) as studio:

        def emit(event: Event) -> None:
            if isinstance(event, Progress) and event.done > 0.45 and studio.room is not None:
                studio.room.turn("desk/ch01/mute", True)
                studio.room.turn("desk/ch20/mute", True)

        allocation, _ = plan_allocation(project, project.mix(), studio, "analog")
        made = record_moves(
            project, project.mix(), allocation, studio, seconds=4.0, emit=emit, accept=lambda question: True
        )
    assert made.file is not None
    assert made.file != first
    mix = project.mix()
    assert mix.moves_of("tone")["pan"] == old
    assert [value for _, value in mix.moves_of("tone")["mute"].points] == [False, True]
    assert mix.moves_of("tone")["mute"].points[1][0] == pytest.approx(2.0, abs=0.55)
    assert [(move.strip, move.what) for move in made.moves] == [("tone", "mute")]


def test_where_nothing_moves_no_mix_is_written(line: Line) -> None:
    line.calibrated()
    project = line.project(tone(1.0), STRIPS)
    with Studio.open(line.rig) as studio:
        allocation, _ = plan_allocation(project, project.mix(), studio, "analog")
        made = record_moves(
            project, project.mix(), allocation, studio, seconds=1.0, emit=line.heard.append, accept=lambda q: True
        )
    assert made.file is None
    assert "no mix was written" in " ".join(line.findings())


def test_a_print_in_the_box_has_no_hands_to_record_and_says_so(line: Line) -> None:
    line.calibrated()
    project = line.project(tone(1.0), STRIPS)
    with pytest.raises(UsageError, match="no pass through the desk"):
        line.print(project, "itb", record_moves=True)
