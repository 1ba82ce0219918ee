"""A snapshot recalled by keyboard, and consent to what is dangerous: one control, one sending.

The matrix's preset/save is dangerous in its profile; a snapshot of an earlier program may hold it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_song import asked, cells, landed, make_song, opened, write_rig

from controller.tui.app import ConsoleApp
from controller.tui.dialogs import MessageDialog, PlanDialog
from controller.tui.look_dialog import LookDialog
from controller.tui.recall_pane import RecallPane
from controller.tui.recall_words import ConsentDialog
from controller.tui.rows_view import RowsView

SAVE = "matrix/preset/save"
NAK = 'kind = "nak"\ncontrol = "ch02/fader"\n'
WIDE = (140, 40)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def song(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(home))
    return make_song(tmp_path / "work")


async def snap(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Store a snapshot of the room as it stands and answer nothing."""
    await pilot.press("k")
    await asked(app, pilot, LookDialog)
    await pilot.press("escape")
    await landed(app, pilot)


async def send(app: ConsoleApp, pilot: Pilot[Any], key: str = "w", answer: str = "y") -> PlanDialog:
    """Send, or resume; return the question that was answered."""
    await pilot.press(key)
    dialog = await asked(app, pilot, PlanDialog)
    await pilot.press(answer)
    await landed(app, pilot)
    return dialog


def changed(song: Path, **controls: float) -> None:
    """Put a copy of snapshot 1 beside it as snapshot 2, in which these controls stand at other values."""
    facts = json.loads((song / "snapshots" / "0001.json").read_text("utf-8"))
    facts["number"] = 2
    for address, value in controls.items():
        facts["controls"][address] = {"value": value, "unit": "", "how": "sent", "at": facts["at"]}
        facts["unknown"] = [each for each in facts["unknown"] if each != address]
    (song / "snapshots" / "0002.json").write_text(json.dumps(facts), encoding="utf-8")


def pane(app: ConsoleApp) -> RecallPane:
    return app.query_one(RecallPane)


def item(app: ConsoleApp, address: str) -> Any:
    return next(each for each in pane(app).items if each.address == address)


def journals(home: Path, rig: str = "demo") -> list[dict[str, Any]]:
    return [json.loads(file.read_text("utf-8")) for file in sorted((home / "rigs" / rig / "runs").glob("*.json"))]


def fader(app: ConsoleApp) -> float:
    studio = app.session.studio
    assert studio is not None
    return float(studio.state["desk/ch01/fader"].value)


async def test_R_recalls_the_rig_to_the_chosen_snapshot_and_m_goes_back_to_the_mix(song: Path, home: Path) -> None:
    async with opened(song) as (app, pilot):
        await snap(app, pilot)
        changed(song, **{"desk/ch01/fader": -12.0})
        await pilot.press("2")
        await send(app, pilot)
        assert fader(app) == 0.0
        await pilot.press("5", "home", "R")
        assert "to snapshot 2" in cells(app)
        assert "m goes back to mix-1" in cells(app)
        assert item(app, "desk/ch01/fader").wanted == -12.0
        assert fader(app) == 0.0, "nothing is sent before the plan was accepted"
        dialog = await send(app, pilot, answer="n")
        assert dialog.heading.endswith("to snapshot 2")
        assert fader(app) == 0.0
        await send(app, pilot)
        assert fader(app) == -12.0
        assert journals(home)[-1]["snapshot"] == "snapshots/0002.json"
        await pilot.press("m")
        assert "to snapshot 2" not in cells(app)
        assert item(app, "desk/ch01/fader").wanted == 0.0
        await send(app, pilot)
        assert fader(app) == 0.0
        assert "snapshot" not in journals(home)[-1]


async def test_a_stopped_recall_of_a_snapshot_is_resumed_to_it_after_a_restart(song: Path, home: Path) -> None:
    async with opened(song) as (app, pilot):
        await snap(app, pilot)
    changed(song, **{"desk/ch01/fader": -12.0, "desk/ch02/fader": -12.0})
    write_rig(home, "sick", faults=[NAK])
    async with opened(song, size=WIDE, rig="sick") as (app, pilot):
        await pilot.press("5", "home", "R")
        assert "it is of the rig demo, and is recalled on sick" in cells(app)
        await send(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        await pilot.press("escape")
        assert "✕ desk refused desk/ch02/fader" in cells(app)
    write_rig(home, "sick")
    async with opened(song, size=WIDE, rig="sick") as (app, pilot):
        await pilot.press("2")
        assert "r resumes recall 1 of snapshot 0002.json" in cells(app)
        dialog = await send(app, pilot, "r")
        assert dialog.heading.endswith("to snapshot 2")
        assert "to snapshot 2" in cells(app)
        assert item(app, "desk/ch02/fader").known.value == -12.0
        assert not item(app, "desk/ch02/fader").left
        assert journals(home, "sick")[-1]["finished"] is True


async def test_what_the_rig_has_no_more_is_listed_and_told_before_sending(song: Path) -> None:
    async with opened(song, size=WIDE) as (app, pilot):
        await snap(app, pilot)
        changed(song, **{"tape/level": 1.0, "desk/ch01/sparkle": 1.0, "desk/ch01/fader": -12.0})
        await pilot.press("5", "home", "R")
        assert "2 left out (below)" in cells(app)
        await pilot.press("end")
        assert "left out · 2" in cells(app)
        assert "the rig demo has no such device" in cells(app)
        assert "desk/ch01/sparkle" in cells(app)
        dialog = await send(app, pilot, answer="n")
        assert "desk/ch01/sparkle: left out" in dialog.text
        assert "tape: left out with 1 control" in dialog.text


async def test_consent_is_asked_with_the_remark_and_is_for_one_sending(song: Path) -> None:
    async with opened(song, size=WIDE) as (app, pilot):
        await snap(app, pilot)
        changed(song, **{SAVE: 3.0, "desk/ch01/fader": -12.0})
        await pilot.press("5", "home", "R")
        assert "1 withheld (c)" in cells(app)
        assert SAVE not in (await send(app, pilot, answer="n")).text.replace(f"dangerous: {SAVE}", "")
        app.query_one("#recall-rows", RowsView).action_edge(-1)
        await pilot.press("c")
        assert app.query_one("#recall-rows", RowsView).key == SAVE
        await pilot.press("c")
        dialog = await asked(app, pilot, ConsentDialog)
        assert SAVE in dialog.text
        assert item(app, SAVE).control.remark in dialog.text
        await pilot.press("n")
        assert item(app, SAVE).withheld
        await pilot.press("c")
        await asked(app, pilot, ConsentDialog)
        await pilot.press("y")
        assert not item(app, SAVE).withheld
        assert "with your consent" in cells(app)
        plan = await send(app, pilot)
        assert f"dangerous, sent with your consent: {SAVE}" in plan.text
        studio = app.session.studio
        assert studio is not None
        assert studio.state[SAVE].value == 3.0
        assert not app.session.aim.consent


async def test_consent_ends_with_a_plan_that_is_left_with_a_second_c_and_with_another_aim(song: Path) -> None:
    async with opened(song, size=WIDE) as (app, pilot):
        await snap(app, pilot)
        changed(song, **{SAVE: 3.0, "desk/ch01/fader": -12.0})
        for leave in ("w", "c", "m"):
            await pilot.press("5", "home", "R")
            app.query_one("#recall-rows", RowsView).stand_on(SAVE)
            await pilot.press("c")
            await asked(app, pilot, ConsentDialog)
            await pilot.press("y")
            assert not item(app, SAVE).withheld
            if leave == "w":
                assert SAVE in (await send(app, pilot, answer="n")).text
            else:
                await pilot.press(leave)
            await pilot.press("5", "home", *(("R",) if leave == "m" else ("2",)))
            assert item(app, SAVE).withheld
            assert f"left out, because it is dangerous: {SAVE}" in (await send(app, pilot, answer="n")).text


async def test_consent_holds_for_a_recall_that_is_resumed(song: Path, home: Path) -> None:
    async with opened(song) as (app, pilot):
        await snap(app, pilot)
    changed(song, **{SAVE: 3.0, "desk/ch02/fader": -12.0})
    write_rig(home, "sick", faults=[NAK])
    async with opened(song, size=WIDE, rig="sick") as (app, pilot):
        await pilot.press("5", "home", "R")
        await send(app, pilot)
        await pilot.press("escape")
        write_rig(home, "sick")
        app.query_one("#recall-rows", RowsView).stand_on(SAVE)
        await pilot.press("c")
        await asked(app, pilot, ConsentDialog)
        await pilot.press("y")
        plan = await send(app, pilot, "r")
        assert f"dangerous, sent with your consent: {SAVE}" in plan.text
        assert item(app, SAVE).known.value == 3.0
        assert not app.session.aim.consent


async def test_where_only_a_dangerous_control_is_left_w_says_so(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await snap(app, pilot)
        changed(song, **{SAVE: 3.0})
        await pilot.press("5", "home", "R", "w")
        assert app.jobs.running is None
        assert any("c on it asks for your consent" in toast.message for toast in app._notifications)


async def test_c_where_nothing_is_dangerous_says_so_and_calibrates_nothing(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2", "c")
        assert app.jobs.running is None
        assert any("Nothing dangerous is left out" in toast.message for toast in app._notifications)


async def test_R_without_a_snapshot_and_m_on_the_mix_stay_and_say_why(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("5", "R")
        assert app.pane.HEADING == "snapshots"
        await pilot.press("2", "m")
        said = [toast.message for toast in app._notifications]
        assert any("There is no snapshot" in each for each in said)
        assert any("This is the way to the mix" in each for each in said)
