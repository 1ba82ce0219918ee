"""Snapshots by keyboard: stored anywhere, asked for one by one, shown, compared, and never changed.

At power-on every fader of the virtual desk is down (docs/devices/room-desk-24.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input
from tui_song import asked, cells, landed, make_song, opened

from controller.tui.app import ConsoleApp
from controller.tui.dialogs import MessageDialog, ValueDialog
from controller.tui.look_dialog import LookDialog
from controller.tui.rows_view import RowsView
from controller.tui.snapshots_pane import SnapshotsPane
from hardware.known import Known

WHEN = "2025-02-03T04:05:06+00:00"


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


def stored(song: Path, number: int = 1) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((song / "snapshots" / f"{number:04d}.json").read_text("utf-8"))
    return data


async def snap(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Store a snapshot and answer nothing."""
    await pilot.press("k")
    await asked(app, pilot, LookDialog)
    await pilot.press("escape")
    await landed(app, pilot)


def turn(app: ConsoleApp, address: str, value: float) -> None:
    """Somebody moves a control of the virtual room."""

    def somebody(studio: Any) -> None:
        studio.room.turn(address, value)

    app.session.with_studio(somebody)


def assume(app: ConsoleApp, address: str, value: float) -> None:
    app.session.with_studio(lambda studio: studio.remember({address: Known(value, "assumed", WHEN)}))
    app.session.reopen()


@pytest.mark.parametrize("screen", ["1", "2", "3", "4", "5", "6"])
async def test_k_stores_a_snapshot_on_any_screen(song: Path, screen: str) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press(screen)
        await snap(app, pilot)
        entry = stored(song)["controls"]["desk/ch01/fader"]
        assert (entry["value"], entry["how"]) == (None, "read-back")
        assert any("Stored as snapshot 1" in toast.message for toast in app._notifications)
        assert " snapshot: " in cells(app)


async def test_what_only_eyes_can_tell_is_asked_one_by_one_with_the_count_left(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("k")
        dialog = await asked(app, pilot, LookDialog)
        assert (dialog.look.address, dialog.look.number) == ("desk/ch01/trim", 1)
        total = dialog.look.total
        assert f"1 of {total}, {total - 1} left after it" in cells(app)
        await pilot.press(*"3.5", "enter")
        dialog = await asked(app, pilot, LookDialog)
        assert (dialog.look.address, dialog.look.number) == ("desk/ch01/polarity", 2)
        assert f"2 of {total}, {total - 2} left after it" in cells(app)
        await pilot.press(*"on", "enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        found = stored(song)
        assert (found["controls"]["desk/ch01/trim"]["value"], found["controls"]["desk/ch01/trim"]["how"]) == (
            3.5,
            "by-hand",
        )
        assert found["controls"]["desk/ch01/polarity"]["value"] is True
        assert "desk/ch01/hpf_freq" in found["unknown"]
        assert len([address for address in found["unknown"] if address.startswith("desk/")]) > total - 10


async def test_enter_takes_the_guess_and_a_hyphen_leaves_it_unknown(song: Path) -> None:
    async with opened(song) as (app, pilot):
        assume(app, "desk/ch01/trim", 4.0)
        assume(app, "desk/ch01/polarity", 0.0)
        await pilot.press("k")
        await asked(app, pilot, LookDialog)
        shown = cells(app)
        assert "+4.0 dB" in shown
        assert "Enter takes the guess" in shown
        await pilot.press("enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("minus", "enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        found = stored(song)
        assert found["controls"]["desk/ch01/trim"]["value"] == 4.0
        assert found["controls"]["desk/ch01/trim"]["how"] == "by-hand"
        assert "desk/ch01/polarity" in found["unknown"]


async def test_a_value_that_cannot_be_is_refused_in_the_dialog(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("k")
        await asked(app, pilot, LookDialog)
        await pilot.press(*"44", "enter")
        assert isinstance(app.screen, LookDialog)
        assert "outside its range of -10 to 20" in cells(app)
        await pilot.press(*"2", "enter")
        await asked(app, pilot, LookDialog)
        assert app.screen.query_one(Input).value == ""
        await pilot.press("escape")
        await landed(app, pilot)
        assert stored(song)["controls"]["desk/ch01/trim"]["value"] == 2.0


async def test_a_stopped_snapshot_is_not_written_and_no_answer_is_lost(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("k")
        await asked(app, pilot, LookDialog)
        await pilot.press(*"2", "enter")
        dialog = await asked(app, pilot, LookDialog)
        assert dialog.look.number == 2
        await pilot.press("exclamation_mark")
        await landed(app, pilot)
        assert not isinstance(app.screen, LookDialog)
        assert not list((song / "snapshots").glob("*.json"))
        assert app.session.studio is not None
        assert app.session.studio.state["desk/ch01/trim"].how == "by-hand"


async def test_a_snapshot_can_carry_a_note(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("K")
        assert isinstance(app.screen, ValueDialog)
        await pilot.press(*"before lunch", "enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        assert stored(song)["note"] == "before lunch"
        await pilot.press("5")
        assert "before lunch" in cells(app)


async def test_two_marked_snapshots_are_compared_in_three_lists_with_arrows(song: Path) -> None:
    async with opened(song, size=(120, 40)) as (app, pilot):
        turn(app, "desk/ch03/fader", -10.0)
        await snap(app, pilot)
        turn(app, "desk/ch03/fader", -20.0)
        app.session.with_studio(lambda studio: studio.remember({"desk/ch01/trim": Known(3.0, "by-hand", WHEN)}))
        await snap(app, pilot)
        before = {path.name: path.read_bytes() for path in (song / "snapshots").iterdir()}
        await pilot.press("5")
        assert app.query_one("#snapshots-list", RowsView).key == "2"
        await pilot.press("space", "down", "space")
        assert app.query_one(SnapshotsPane).marked == (2, 1)
        await pilot.press("d")
        shown = cells(app)
        assert "snapshot 1 → snapshot 2 · 1 changed, 0 only in the first, 1 only in the second" in shown
        (changed,) = [line for line in shown.splitlines() if "desk/ch03/fader" in line]
        assert "-10.00 dB" in changed
        assert "→ -20.00 dB" in changed
        assert "↓ -10.00 dB" in changed
        (only,) = [line for line in shown.splitlines() if "desk/ch01/trim" in line]
        assert "+3.00 dB" in only
        for heading in ("changed · 1", "only in snapshot 1 · 0", "only in snapshot 2 · 1"):
            assert heading in shown
        assert {path.name: path.read_bytes() for path in (song / "snapshots").iterdir()} == before


async def test_one_snapshot_is_compared_with_what_is_known_now(song: Path) -> None:
    async with opened(song, size=(120, 40)) as (app, pilot):
        await snap(app, pilot)
        await pilot.press("5", "d")
        assert "snapshot 1 → now · no difference" in cells(app)
        app.session.with_studio(lambda studio: studio.remember({"desk/ch02/trim": Known(6.0, "by-hand", WHEN)}))
        app.session.reopen()
        await pilot.press("d")
        assert "only in now · 1" in cells(app)
        assert "desk/ch02/trim" in cells(app)


async def test_a_third_mark_takes_the_oldest_off(song: Path) -> None:
    async with opened(song) as (app, pilot):
        for _ in range(3):
            await snap(app, pilot)
        await pilot.press("5", "home", "space", "down", "space", "down", "space")
        pane = app.query_one(SnapshotsPane)
        assert pane.marked == (2, 1)
        await pilot.press("space")
        assert pane.marked == (2,)


async def test_enter_shows_a_snapshot_and_tab_goes_into_it(song: Path) -> None:
    async with opened(song, size=(100, 30)) as (app, pilot):
        await snap(app, pilot)
        await pilot.press("5", "enter")
        shown = cells(app)
        assert "desk/ch01/fader" in shown
        assert "read-back" in shown
        await pilot.press("tab", "end")
        detail = app.query_one("#snapshots-detail", RowsView)
        assert detail.has_focus
        assert detail.key.startswith("unknown ")
        assert "nobody knows" in cells(app)


async def test_a_damaged_file_is_named_and_hides_no_other(song: Path) -> None:
    async with opened(song, size=(140, 30)) as (app, pilot):
        await snap(app, pilot)
        (song / "snapshots" / "0002.json").write_text("{", "utf-8")
        await pilot.press("5")
        shown = cells(app)
        assert "0001" in shown
        assert "✕" in shown
        await pilot.press("end", "enter")
        assert isinstance(app.screen, MessageDialog)
        assert "0002.json is damaged" in app.screen.text
        assert "left as it is" in app.screen.text


async def test_without_snapshots_the_screen_says_what_to_do(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("5", "enter", "d", "space")
        assert "k stores where every control stands now" in cells(app)
        assert not (song / "snapshots").exists() or not list((song / "snapshots").iterdir())


async def test_a_device_that_cannot_be_read_is_named_and_the_rest_is_stored(song: Path) -> None:
    from tui_song import write_rig

    write_rig(song.parents[1] / "home", "away", matrix="room:nowhere")
    async with opened(song, size=(140, 30), rig="away") as (app, pilot):
        await snap(app, pilot)
        assert isinstance(app.screen, MessageDialog)
        assert "matrix" in app.screen.text
        await pilot.press("escape", "5")
        assert "not read: matrix" in cells(app)
        assert stored(song)["controls"]["desk/ch01/fader"]["how"] == "read-back"
