"""Recall by keyboard: every control's state while it is sent, what stopped and how it goes on, and the hands' walk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_song import asked, cells, landed, make_song, opened, write_rig

from controller import recall
from controller.events import Emit, Event, Progress
from controller.tui.app import ConsoleApp
from controller.tui.dialogs import MessageDialog, PlanDialog
from controller.tui.recall_pane import RecallPane
from controller.tui.rows_view import RowsView
from hardware.known import Known

WHEN = "2025-02-03T04:05:06+00:00"
NAK = 'kind = "nak"\ncontrol = "ch02/fader"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def song(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(home))
    return make_song(tmp_path / "work")


def row(app: ConsoleApp, address: str) -> str:
    """A control's line in the list."""
    view = app.query_one("#recall-rows", RowsView)
    cells_of = next(each for each in view.rows if each.key == address).cells
    return "  ".join(cell if isinstance(cell, str) else cell[0] for cell in cells_of).rstrip()


async def send(app: ConsoleApp, pilot: Pilot[Any], key: str = "w") -> str:
    """Send what is left, or resume; return the plan that was accepted."""
    await pilot.press(key)
    plan = (await asked(app, pilot, PlanDialog)).text
    await pilot.press("y")
    await landed(app, pilot)
    return plan


class Gate:
    """Holds a recall up at the first control that comes to a state, until it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: str) -> None:
        self.reached = {state: threading.Event() for state in states}
        self.open = {state: threading.Event() for state in states}
        real = recall.send

        def held(studio: Any, planned: Any, *, emit: Emit, **more: Any) -> Any:
            def slowly(event: Event) -> None:
                emit(event)
                came = event.control if isinstance(event, Progress) else None
                if came is not None and came[1] in self.open and not self.reached[came[1]].is_set():
                    self.reached[came[1]].set()
                    self.open[came[1]].wait(30)

            return real(studio, planned, emit=slowly, **more)

        monkeypatch.setattr(recall, "send", held)

    async def at(self, state: str, pilot: Pilot[Any]) -> None:
        """Wait until a control has come there and the screen has drawn it."""
        for _ in range(6000):
            if self.reached[state].is_set():
                break
            await pilot.pause(0.01)
        await pilot.pause(0.15)


async def test_each_control_shows_how_far_it_has_come(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "sent", "read-back", "settled")
    async with opened(song) as (app, pilot):
        await pilot.press("2", "w")
        await asked(app, pilot, PlanDialog)
        await pilot.press("y")
        await gate.at("sent", pilot)
        pane = app.query_one(RecallPane)
        ours = [item.address for item in pane.items if not item.by_hand]
        words = [row(app, address) for address in ours]
        assert sum("◐" in each and each.endswith("sent") for each in words) == 1
        assert sum("○" in each and each.endswith("planned") for each in words) == len(ours) - 1
        gate.open["sent"].set()
        await gate.at("read-back", pilot)
        assert sum("●" in row(app, a) and row(app, a).endswith("read back") for a in ours) == 1
        assert "read back" in cells(app) or "sent" in cells(app)
        gate.open["read-back"].set()
        await gate.at("settled", pilot)
        assert any("●" in row(app, a) and row(app, a).endswith("settled") for a in ours)
        gate.open["settled"].set()
        await landed(app, pilot)
        assert not pane.live
        assert not [item for item in pane.items if item.left and not item.by_hand]


async def test_a_device_that_refuses_is_named_with_the_control_and_r_resumes(song: Path, home: Path) -> None:
    write_rig(home, "sick", faults=[NAK])
    async with opened(song, size=(140, 40), rig="sick") as (app, pilot):
        await pilot.press("2")
        everything = len([item for item in app.query_one(RecallPane).items if not item.by_hand])
        await send(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        await pilot.press("escape")
        shown = cells(app)
        assert "✕ desk refused desk/ch02/fader" in shown
        assert "r resumes recall 1" in shown
        refused = row(app, "desk/ch02/fader")
        assert "✕" in refused
        assert "refused" in refused
        landed_already = [i.address for i in app.query_one(RecallPane).items if not i.left and not i.by_hand]
        write_rig(home, "sick")
        plan = await send(app, pilot, "r")
        assert f"{everything - len(landed_already)} controls to send" in plan
        assert not [item for item in app.query_one(RecallPane).items if item.left and not item.by_hand]
        assert "resumes" not in cells(app)


async def test_a_device_without_a_port_is_named_and_nothing_is_sent(song: Path, home: Path) -> None:
    write_rig(home, "away", desk="room:nowhere")
    async with opened(song, size=(140, 40), rig="away") as (app, pilot):
        await pilot.press("2")
        await send(app, pilot)
        await pilot.press("escape")
        assert "✕ desk has no open port" in cells(app)
        assert "not sent" in row(app, "desk/ch01/fader")
        assert "○" in row(app, "desk/ch01/fader")


async def test_an_unfinished_recall_is_there_after_a_restart(song: Path, home: Path) -> None:
    write_rig(home, "sick", faults=[NAK])
    async with opened(song, size=(140, 40), rig="sick") as (app, pilot):
        await pilot.press("2")
        await send(app, pilot)
        await pilot.press("escape")
    write_rig(home, "sick")
    async with opened(song, size=(140, 40), rig="sick") as (app, pilot):
        await pilot.press("2")
        assert "r resumes recall 1" in cells(app)
        await send(app, pilot, "r")
        assert not [item for item in app.query_one(RecallPane).items if item.left and not item.by_hand]


async def test_nothing_to_resume_is_said(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2", "r")
        assert app.jobs.running is None
        assert any("Nothing is left to resume" in toast.message for toast in app._notifications)


async def test_a_stopped_recall_knows_what_has_landed_and_resumes(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "read-back")
    async with opened(song) as (app, pilot):
        await pilot.press("2", "w")
        await asked(app, pilot, PlanDialog)
        await pilot.press("y")
        await gate.at("read-back", pilot)
        await pilot.press("escape")
        gate.open["read-back"].set()
        await landed(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "stopped by the user" in app.screen.text
        await pilot.press("escape")
        studio = app.session.studio
        assert studio is not None
        assert "read-back" in {known.how for known in studio.state.values()}
        assert app.query_one(RecallPane).unfinished is not None
        await send(app, pilot, "r")
        assert not [item for item in app.query_one(RecallPane).items if item.left and not item.by_hand]


async def test_a_hand_step_says_from_where_to_where_which_way_and_how_exactly(song: Path) -> None:
    """The trim runs from -10 dB at -150 degrees to +20 dB at +150 degrees, evenly: 0 dB is at -50, about 10:15.

    A hand sets a pot to 0.5 % of its travel, which is 0.15 dB of 30.
    """
    async with opened(song, size=(120, 70)) as (app, pilot):
        studio = app.session.studio
        assert studio is not None
        studio.remember({"desk/ch01/trim": Known(10.0, "by-hand", WHEN), "desk/ch02/trim": Known(-10.0, "sent", WHEN)})
        app.session.reopen()
        await pilot.press("2")
        first, second = row(app, "desk/ch01/trim"), row(app, "desk/ch02/trim")
        for words in ("+10.0 dB", "→ +0.0 dB", "↺ 10:15", "±0.1", "╶────●‹‹‹○────╴"):
            assert words in first
        for words in ("-10.0 dB", "→ +0.0 dB", "↻ 10:15", "○››››●────────╴"):
            assert words in second
        assert "[normal] reversed" in row(app, "desk/ch01/polarity")


async def test_a_knob_is_drawn_at_large_where_there_is_room(song: Path) -> None:
    async with opened(song, size=(160, 40)) as (app, pilot):
        await pilot.press("2")
        app.query_one("#recall-rows", RowsView).stand_on("desk/ch02/hpf_freq")
        await pilot.pause()
        shown = cells(app)
        assert "● target  200 Hz" in shown
        assert any("\u2801" <= character <= "\u28ff" for character in shown)


async def test_a_tick_is_on_disk_at_once_and_counts_down(song: Path, home: Path) -> None:
    async with opened(song, size=(100, 70)) as (app, pilot):
        await pilot.press("2")
        pane, view = app.query_one(RecallPane), app.query_one("#recall-rows", RowsView)
        hands = [item.address for item in pane.items if item.by_hand]
        view.stand_on(hands[0])
        await pilot.press("t")
        kept = json.loads((home / "rigs" / "demo" / "state.json").read_text())["controls"]
        assert kept[hands[0]]["how"] == "by-hand"
        assert f"by hand · {len(hands) - 1} of {len(hands)} left" in cells(app)
        assert view.key == hands[1]
        await pilot.press("t", "t")
        assert f"by hand · {len(hands) - 3} of {len(hands)} left" in cells(app)


async def test_ticks_survive_a_restart(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        app.query_one("#recall-rows", RowsView).stand_on("desk/ch01/trim")
        await pilot.press("t")
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        assert not next(i for i in app.query_one(RecallPane).items if i.address == "desk/ch01/trim").left


async def test_what_is_sent_cannot_be_ticked(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("2")
        app.query_one("#recall-rows", RowsView).stand_on("desk/ch01/fader")
        await pilot.press("t")
        assert app.session.studio is not None
        assert "desk/ch01/fader" not in app.session.studio.state
        assert any("is sent with w" in toast.message for toast in app._notifications)
