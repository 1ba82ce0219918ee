"""Moves during a song reach the print: on the desk in its steps, in the box exactly, in time with the music.

Expected levels come from the points of the moves, the desk's published scale and the pan laws.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from short_line import FADER_POINTS, RATE_HZ, Audio, Line, law_gains, read

from controller import places
from controller.events import Event, Finding, Progress
from controller.mix import Bus, Move, Strip
from hardware.errors import DisconnectedError, RefusedError
from hardware.room.inprocess import MemoryPort, RoomStream
from hardware.seams import RunReport, Sink, Source, Xrun

WINDOW = 480
LATE_S = 0.015
"""What a move may be late: 4 ms of wire, half a block of 5 ms, 5 ms in which the desk glides."""


def tone(seconds: float) -> dict[str, Audio]:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return {"tone": 0.25 * np.sin(2 * np.pi * 1_000 * at)[:, None]}


def levels_db(audio: Audio) -> Audio:
    """Level of every 10 ms of each side, re the tone: whole periods, so nothing ripples."""
    count = len(audio) // WINDOW
    power = np.mean(audio[: count * WINDOW].reshape(count, WINDOW, -1) ** 2, axis=1)
    return 10 * np.log10(np.maximum(power, 1e-14) / (0.25**2 / 2))


def wanted_db(points: list[list[float]], at_s: Audio) -> Audio:
    return np.interp(at_s, *zip(*points, strict=True))


def step_db(level: float) -> float:
    """The larger of the fader's steps around a level."""
    for (low, low_db), (high, high_db) in itertools.pairwise(FADER_POINTS):
        if level <= high_db + 0.3:
            return (high_db - low_db) / (high - low)
    return 10 / 63


FADE = [[1.0, -2.0], [3.0, -30.0], [3.5, -30.0], [4.0, 3.0]]


def fading(line: Line, points: Any = FADE, *, what: Any = "fader_db", seconds: float = 5.0, **strip: Any) -> Any:
    line.calibrated()
    settings = {"fader_db": -4.0, "pan": -100.0, **strip}
    strips = [Strip(name="tone", stem="tone.wav", **settings)]
    return line.project(tone(seconds), strips, moves=(Move(strip="tone", what=what, points=points),))


def near(found: Audio, points: Any) -> None:
    """Every 10 ms lie within half a step of where the points were at some moment of the last 15 ms."""
    at_s = (np.arange(len(found)) + 0.5) * WINDOW / RATE_HZ
    moments = [wanted_db(points, at_s + shift) for shift in np.linspace(-LATE_S - 0.005, 0.01, 12)]
    high, low = np.max(moments, axis=0), np.min(moments, axis=0)
    half = np.array([step_db(level) / 2 for level in high]) + 0.02
    assert np.all(found <= high + half)
    assert np.all(found >= low - half)


def test_a_fade_on_the_desk_follows_its_points_within_a_step_and_15_ms(line: Line) -> None:
    project = fading(line)
    made = line.print(project)
    near(levels_db(read(made.file)[: 5 * RATE_HZ])[:, 0], FADE)
    moves = made.facts["moves"]
    assert [lane["address"] for lane in moves["lanes"]] == ["desk/ch01/fader"]
    # 66 dB a second are more than 200 steps a second, and at 80 % the wire carries 208 settings of 12 bytes.
    assert moves["thinned"]
    # Half of the step of 20/56 dB where the fade ends, and what 66 dB a second move in the time of two settings.
    assert moves["worst_error_db"] <= 10 / 56 + 66 * 0.011
    assert moves["messages"] > 100


def test_the_plan_that_is_shown_names_the_lane_and_the_box_makes_the_same_move_exactly(line: Line) -> None:
    project = fading(line)
    itb = line.print(project, "itb")
    found = levels_db(read(itb.file)[: 5 * RATE_HZ])[:, 0]
    at_s = (np.arange(len(found)) + 0.5) * WINDOW / RATE_HZ
    inside = (np.abs(at_s[:, None] - np.array(FADE)[:, 0]) > 0.01).all(axis=1)
    np.testing.assert_allclose(found[inside], wanted_db(FADE, at_s)[inside], atol=0.05)
    line.print(project)
    said = "\n".join(line.asked[-1].lines)
    assert "desk/ch01/fader" in said
    assert "fader_db 1–4 s, 4 points, sent in time with the pass" in said
    assert "moves during the song: 1 lane, " in said


def test_after_the_pass_the_fader_is_back_and_the_known_state_is_the_rooms(line: Line) -> None:
    project = fading(line)
    line.print(project)
    state = json.loads(places.rig_home("demo").state.read_text())["controls"]["desk/ch01/fader"]
    room = json.loads(places.rig_home("demo").room_state.read_text())["knobs"]["desk/ch01/fader"]
    assert state["value"] == pytest.approx(room)
    assert room == pytest.approx(-4.0, abs=0.11)


def test_a_pan_moves_across_the_desk_at_constant_power(line: Line) -> None:
    points = [[1.0, -100.0], [3.0, 100.0]]
    project = fading(line, points, what="pan", fader_db=-6.0, seconds=4.0)
    audio = read(line.print(project).file)[: 4 * RATE_HZ]
    amplitude = 10 ** (levels_db(audio) / 20) * 10 ** (6.0 / 20)
    at_s = (np.arange(len(amplitude)) + 0.5) * WINDOW / RATE_HZ
    pans = wanted_db(points, at_s - 0.008)
    expected = np.array([law_gains(pan, -3.0) for pan in pans])
    # Half a step of 127, and 15 ms of 100 a second: together under 2.5 of 200, whose slope is at most π/400 a unit.
    np.testing.assert_allclose(amplitude, expected, atol=2.5 * math.pi / 400 + 0.002)


def test_a_mute_falls_when_it_should(line: Line) -> None:
    project = fading(line, [[0.0, False], [1.0, True], [2.0, False]], what="mute", seconds=3.0)
    found = levels_db(read(line.print(project).file)[: 3 * RATE_HZ])[:, 0]
    assert np.all(found[:99] > -4.2)
    assert np.all(found[103:199] < -90)
    assert np.all(found[203:] > -4.2)


def test_the_master_fader_moves_where_the_bus_ends_on_the_desk(line: Line) -> None:
    line.calibrated()
    points = [[0.5, 0.0], [2.5, -20.0]]
    strips = [Strip(name="tone", stem="tone.wav", fader_db=-4.0, pan=-100.0)]
    project = line.project(
        tone(3.0), strips, bus=Bus(fader_db=0.0), moves=(Move(strip="bus", what="fader_db", points=points),)
    )
    made = line.print(project)
    assert [lane["address"] for lane in made.facts["moves"]["lanes"]] == ["desk/master/fader"]
    near(levels_db(read(made.file)[: 3 * RATE_HZ])[:, 0] + 4.0, points)


def test_a_strip_pinned_to_the_box_moves_in_the_engine(line: Line) -> None:
    project = fading(line, place={"sum": "box"})
    made = line.print(project)
    assert "moves" not in made.facts
    found = levels_db(read(made.file)[: 5 * RATE_HZ])[:, 0]
    at_s = (np.arange(len(found)) + 0.5) * WINDOW / RATE_HZ
    inside = (np.abs(at_s[:, None] - np.array(FADE)[:, 0]) > 0.01).all(axis=1)
    np.testing.assert_allclose(found[inside], wanted_db(FADE, at_s)[inside], atol=0.05)


def test_a_move_beyond_the_desks_fader_goes_to_the_box_and_says_why(line: Line) -> None:
    project = fading(line, [[1.0, 0.0], [2.0, 12.0]], seconds=2.0)
    made = line.print(project)
    why = next(p["why"] for p in made.facts["allocation"] if p["strip"] == "tone" and p["stage"] == "sum")
    assert "beyond the desk's +10 dB" in why


def run_with(monkeypatch: pytest.MonkeyPatch, change: Callable[[RunReport, int], RunReport]) -> list[int]:
    run, lengths = RoomStream.run, []

    def changed(self: RoomStream, source: Source, sink: Sink, frames: int, **callbacks: Any) -> RunReport:
        report = run(self, source, sink, frames, **callbacks)
        if callbacks.get("on_block") is None:
            return report
        lengths.append(frames)
        return change(report, len(lengths))

    monkeypatch.setattr(RoomStream, "run", changed)
    return lengths


def test_a_repaired_region_hears_the_same_moves_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(line.print(fading(line)).file)
    project = fading(line)
    # The fade is half-way down when the xrun comes; the repair starts at 0.5 s, in the middle of nothing, with 2 s
    # of pre-roll, and its region lies in the fade.
    lost = Xrun(round(2.6 * RATE_HZ), 256, "input")
    lengths = run_with(monkeypatch, lambda report, n: RunReport(report.frames, (lost,)) if n == 1 else report)
    made = line.print(project)
    assert len(lengths) == 2
    assert len(made.facts["repairs"]) == 1
    np.testing.assert_allclose(levels_db(read(made.file)), levels_db(whole), atol=0.25)
    near(levels_db(read(made.file)[: 5 * RATE_HZ])[:, 0], FADE)


def test_a_pass_that_is_stopped_brings_the_fader_back_too(line: Line) -> None:
    project = fading(line)

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.detail == "recording" and event.done > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line.print(project, emit=emit)
    state = json.loads(places.rig_home("demo").state.read_text())["controls"]["desk/ch01/fader"]
    room = json.loads(places.rig_home("demo").room_state.read_text())["knobs"]["desk/ch01/fader"]
    assert state["value"] == pytest.approx(room)
    assert room == pytest.approx(-4.0, abs=0.11)


def test_a_desk_that_vanishes_in_mid_song_leaves_its_fader_unknown(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    project = fading(line)
    playing = [False]
    send = MemoryPort.send
    run = RoomStream.run

    def running(self: RoomStream, source: Source, sink: Sink, frames: int, **callbacks: Any) -> RunReport:
        playing[0] = callbacks.get("on_block") is not None
        return run(self, source, sink, frames, **callbacks)

    def vanishing(self: MemoryPort, data: bytes) -> None:
        if playing[0]:
            raise DisconnectedError("room:desk vanished while in use")
        send(self, data)

    monkeypatch.setattr(RoomStream, "run", running)
    monkeypatch.setattr(MemoryPort, "send", vanishing)
    with pytest.raises(DisconnectedError, match="vanished"):
        line.print(project)
    assert "desk/ch01/fader" not in json.loads(places.rig_home("demo").state.read_text())["controls"]
    assert any(isinstance(event, Finding) and "recorded so far are kept" in event.what for event in line.heard)


def test_a_desk_that_refuses_a_move_stops_the_pass_and_is_named(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    project = fading(line)
    refusal = bytes([0xF0, 0x7D, 0x48, 0x4E, 0x7F, 0x10, 0x00, 0xF7])
    run = RoomStream.run

    def refusing(self: RoomStream, source: Source, sink: Sink, frames: int, **callbacks: Any) -> RunReport:
        on_block = callbacks.get("on_block")
        if on_block is None:
            return run(self, source, sink, frames, **callbacks)

        def then(frame: int) -> None:
            if frame >= RATE_HZ and not said:
                said.append(frame)
                port.arrive(refusal, 0.0)
            on_block(frame)

        return run(self, source, sink, frames, **{**callbacks, "on_block": then})

    said: list[int] = []
    opened = MemoryPort.__init__

    def remember(self: MemoryPort, room: Any, device: str, clock: Any) -> None:
        nonlocal port
        opened(self, room, device, clock)
        if device == "desk":
            port = self

    port: Any = None
    monkeypatch.setattr(MemoryPort, "__init__", remember)
    monkeypatch.setattr(RoomStream, "run", refusing)
    with pytest.raises(RefusedError, match=r"desk/ch01/fader refused a move at 1\.\d s"):
        line.print(project)
