"""Recall, print and compare by keyboard on the room inside the program: plans first, nothing lost, no traceback."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from pathlib import Path

import pytest
from textual.widgets import Static
from tui_song import asked, cells, landed, make_song, opened

from controller.errors import CalibrationError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.tui.compare_pane import ComparePane, facts_text
from controller.tui.depth_view import DepthView
from controller.tui.dialogs import MessageDialog, PlanDialog
from controller.tui.print_pane import print_row, provenance_text
from controller.tui.recall_items import ELSEWHERE, THERE
from controller.tui.recall_pane import RecallPane
from controller.tui.rows_view import RowsView


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


async def test_recall_asks_sends_and_leaves_only_the_hands(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        pane = app.query_one(RecallPane)
        assert {item.lamp for item in pane.items} == {ELSEWHERE}
        hands = [item.address for item in pane.items if item.control.by_hand]
        await pilot.press("w")
        await asked(app, pilot, PlanDialog)
        assert not app.session.studio.state  # type: ignore[union-attr]  # nothing moved before the answer
        await pilot.press("y")
        await landed(app, pilot)
        assert {item.address for item in pane.items if item.left} == set(hands)
        assert {item.lamp for item in pane.items if item.address == "desk/ch01/fader"} == {THERE}
        assert app.session.studio.state["desk/ch01/fader"].how == "read-back"  # type: ignore[union-attr]


async def test_a_declined_recall_moves_nothing(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2", "w")
        await asked(app, pilot, PlanDialog)
        await pilot.press("n")
        await landed(app, pilot)
        assert app.session.studio is not None
        assert not app.session.studio.state
        assert app.jobs.running is None


async def test_a_tick_is_known_by_hand_and_turns_the_virtual_pot(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        pane, view = app.query_one(RecallPane), app.query_one("#recall-rows", RowsView)
        view.stand_on("desk/ch02/hpf_freq")
        count = sum(item.left for item in pane.items)
        await pilot.press("t")
        studio = app.session.studio
        assert studio is not None and studio.room is not None
        assert studio.state["desk/ch02/hpf_freq"].how == "by-hand"
        assert json.loads(studio.home.room_state.read_text())
        assert sum(item.left for item in pane.items) == count - 1
        await pilot.press("T")
        assert not any(item.left for item in pane.items if item.control.by_hand)


async def test_hands_walk_the_desk_once(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        pane, plan = app.query_one(RecallPane), app.session.plan().recall
        assert plan is not None
        hands = [item for item in pane.items if item.by_hand]
        assert [item.address for item in hands] == [step.address for step in plan.plan.by_hand]
        strips = [item.control.strip for item in hands]
        assert strips == sorted(strips, key=lambda strip: strip or 99)
        assert len(set(strips)) > 1


async def test_next_mismatch_passes_over_what_is_there(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2", "T", "f")
        view, pane = app.query_one("#recall-rows", RowsView), app.query_one(RecallPane)
        left = {item.address for item in pane.items if item.left}
        await pilot.press("end", "n")
        assert view.key in left
        first = view.key
        await pilot.press("n", "N")
        assert view.key == first


async def test_verify_finds_what_somebody_moved(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2", "T", "w")
        await asked(app, pilot, PlanDialog)
        await pilot.press("y")
        await landed(app, pilot)
        assert not any(item.left for item in app.query_one(RecallPane).items)

        def somebody(studio: object) -> None:
            studio.room.turn("desk/ch03/fader", -20.0)  # type: ignore[attr-defined]

        app.session.with_studio(somebody)
        await pilot.press("v")
        await landed(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "desk/ch03/fader" in app.screen.text
        await pilot.press("escape")
        assert [item.address for item in app.query_one(RecallPane).items if item.left] == ["desk/ch03/fader"]


async def test_a_song_is_printed_in_the_box_and_nulled_by_keyboard(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down", "p", "p", "3", "R")
        await asked(app, pilot, PlanDialog)
        await pilot.press("y")
        await landed(app, pilot)
        (first,) = app.session.prints()
        assert json.loads(first.with_suffix(".json").read_text())["mix"]["file"] == "mix-2.toml"
        assert app.query_one("#prints", RowsView).key == first.name
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)
        assert "mix-2.toml" in app.screen.text
        await pilot.press("escape", "R")
        await asked(app, pilot, PlanDialog)
        await pilot.press("y")
        await landed(app, pilot)
        await pilot.press("4")
        view = app.query_one("#candidates", RowsView)
        view.stand_on(first.name)
        await pilot.press("b", "up", "a", "x")
        await landed(app, pilot)
        data = app.query_one(ComparePane).data
        assert data is not None
        assert (Path(data["a"]).name[:4], Path(data["b"]).name[:4]) == ("0002", "0001")
        assert data["null_depth_db"] is None or data["null_depth_db"] < -100.0
        assert "residual.wav" in str(app.query_one("#null-files", Static).render())


async def test_an_analog_print_of_a_rig_never_calibrated_is_refused_in_a_sentence(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("3")
        assert "never calibrated" in cells(app)
        await pilot.press("R")
        await landed(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "never been calibrated" in app.screen.text
        assert "Traceback" not in app.screen.text
        assert not app.session.prints()


async def test_a_second_job_is_refused_while_one_runs(song: Path) -> None:
    async with opened(song) as (app, pilot):
        go = threading.Event()
        results: list[object] = []
        assert app.run_job("first", lambda emit, accept: go.wait(), results.append)
        assert not app.run_job("second", lambda emit, accept: None, results.append)
        await pilot.press("q")
        assert app.is_running
        go.set()
        await landed(app, pilot)
        assert results == [True]
        assert app.jobs.running is None


@pytest.mark.parametrize("key", ["escape", "exclamation_mark"])
async def test_a_job_stops_at_its_next_word(song: Path, key: str) -> None:
    began, stopped = threading.Event(), []

    def work(emit: Emit, accept: Accept) -> None:
        emit(Started("pass", "recording"))
        began.set()
        try:
            while True:
                emit(Progress("pass", 0.5, 3.0, "recording", {"kick": -12.0}))
        except KeyboardInterrupt:
            stopped.append("cleanly")
            raise

    async with opened(song) as (app, pilot):
        app.run_job("print", work, lambda result: None)
        await asyncio.to_thread(began.wait)
        await pilot.press(key)
        await landed(app, pilot)
        assert stopped == ["cleanly"]
        assert "is kept" in cells(app)


async def test_a_stopped_job_says_what_it_kept_and_is_no_error(song: Path) -> None:
    began = threading.Event()

    def work(emit: Emit, accept: Accept) -> None:
        began.set()
        try:
            while True:
                emit(Progress("pass", 0.5))
        except KeyboardInterrupt:
            emit(Finding("pass", "4.1 s are kept", severity="warning"))
            raise CalibrationError("desk was stopped by the user") from None

    async with opened(song) as (app, pilot):
        app.run_job("print", work, lambda result: None)
        await asyncio.to_thread(began.wait)
        await pilot.press("escape")
        await landed(app, pilot)
        assert not isinstance(app.screen, MessageDialog)
        assert any("4.1 s are kept" in toast.message for toast in app._notifications)


async def test_one_press_interrupts_once_and_lets_the_job_tidy_up(song: Path) -> None:
    began, tidied = threading.Event(), []

    def work(emit: Emit, accept: Accept) -> str:
        began.set()
        try:
            while True:
                emit(Progress("recall", 0.5))
        except KeyboardInterrupt:
            emit(Started("recall", "looking where everything stands"))
            emit(Progress("recall", 1.0))
            tidied.append(True)
        return "known"

    results: list[object] = []
    async with opened(song) as (app, pilot):
        app.run_job("recall", work, results.append)
        await asyncio.to_thread(began.wait)
        await pilot.press("escape")
        await landed(app, pilot)
        assert (tidied, results) == ([True], ["known"])


async def test_panic_also_answers_an_open_plan_with_no(song: Path) -> None:
    answers: list[bool] = []

    def work(emit: Emit, accept: Accept) -> None:
        answers.append(accept(Question("Play it", ("loud",))))

    async with opened(song) as (app, pilot):
        app.run_job("print", work, lambda result: None)
        await asked(app, pilot, PlanDialog)
        await pilot.press("exclamation_mark")
        await landed(app, pilot)
        assert answers == []
        assert not isinstance(app.screen, PlanDialog)


async def test_an_error_is_a_sentence_and_a_remedy(song: Path) -> None:
    def work(emit: Emit, accept: Accept) -> None:
        raise CalibrationError("The loop of output 3 is silent.", hint="Look at the cable.")

    def fault(emit: Emit, accept: Accept) -> None:
        raise KeyError("x")

    async with opened(song) as (app, pilot):
        app.run_job("calibrate", work, lambda result: None)
        await landed(app, pilot)
        shown = cells(app)
        assert "The loop of output 3 is silent." in shown
        assert "→ Look at the cable." in shown
        await pilot.press("escape")
        app.run_job("print", fault, lambda result: None)
        await landed(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "A fault of the program" in app.screen.text
        assert "Traceback" not in app.screen.text


async def test_problems_found_by_a_job_stay_on_screen_until_read(song: Path) -> None:
    def work(emit: Emit, accept: Accept) -> None:
        emit(Finding("output 3", "nothing comes back", "Check the cable.", "problem"))
        emit(Done("calibrate", "23 of 24 loops are sound"))

    async with opened(song) as (app, pilot):
        app.run_job("calibrate", work, lambda result: None)
        await landed(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "output 3: nothing comes back" in app.screen.text
        assert "23 of 24 loops are sound" in cells(app)


async def test_empty_screens_say_what_to_do(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("3")
        assert "R prints the mix" in cells(app)
        await pilot.press("4")
        assert "Press 3" in cells(app)
        await pilot.press("p", "p", "2")
        assert "p chooses analog or hybrid" in cells(app)


def test_a_null_is_told_with_delay_gain_polarity_drift_and_stages() -> None:
    text = facts_text(
        {
            "a": "x/0001-itb.wav",
            "b": "x/0002-analog.wav",
            "passed": True,
            "verdict_sentence": "-62.5 dB, within the tolerance of -40 dB",
            "delay_samples": 0.37,
            "delay_sd": 0.0004,
            "drift_ppm": 0.0,
            "polarity": [1, -1],
            "gain_db": [-0.001, 0.2],
            "limit_db": -72.1,
            "stages": [{"name": "delay", "depth_db": -29.0}, {"name": "fraction", "depth_db": None}],
            "events": [],
        }
    ).plain
    for words in ("+0.370 ±0.0004 samples", "+ inverted", "-0.001 +0.200 dB", "-72.1 dB", "-29.0 dB", "identical"):
        assert words in text


def test_provenance_is_told_without_hundreds_of_hashes() -> None:
    text = provenance_text({"print": 3, "mix": {"file": "mix-2.toml", "hash": "sha256:" + "a" * 64}, "stems": [{}] * 9})
    assert "mix-2.toml" in text
    assert "a" * 64 not in text
    assert "stems                 9" in text


def test_a_recovered_pass_is_listed_as_one(tmp_path: Path) -> None:
    origin = {"facts": {"mix": "the house mix", "path": "analog"}}
    facts = {"status": "recovered", "rate_hz": 48_000, "frames": 196_608, "journal": origin}
    (tmp_path / "0004-recovered.json").write_text(json.dumps(facts))
    words = " ".join(
        cell if isinstance(cell, str) else cell[0] for cell in print_row(tmp_path / "0004-recovered.wav").cells
    )
    for part in ("0004", "analog", "the house mix", "4.1 s", "recovered"):
        assert part in words


async def test_depth_bars_stand_as_high_as_their_level(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("4")
        view = app.query_one(DepthView)
        await pilot.pause()
        view.show([(100.0, 0.0), (1000.0, -60.0), (10_000.0, -math.inf)], [(0.0, -60.0), (1.0, -60.0)], limit_db=-60.0)
        rows = view.size.height - 2
        columns = [[view.render_line(1 + row).text[6 + 2 * band] for row in range(rows)] for band in range(3)]
        assert columns[0].count("█") == rows
        assert columns[1].count("█") == rows // 2
        assert columns[2].count("█") == 0
        assert "".join(columns[2]).count("┄") == 1
