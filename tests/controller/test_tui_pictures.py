"""What the screens look like, cell by cell, at 80 columns. ``HALFNORMAL_UPDATE_PICTURES=1`` takes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tui_song import asked, cells, landed, make_song, opened, write_rig

from controller.tui.look_dialog import LookDialog
from controller.tui.rows_view import RowsView

PICTURES = Path(__file__).parent / "tui_pictures"


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


def _same_as_before(name: str, shown: str) -> None:
    picture = re.sub(r"\d\d:\d\d", "hh:mm", shown)  # moments differ, and profiles may gain controls
    picture = re.sub(r"\d{3}(?= known| unknown| left after| controls (?:that|are))|(?<=of )\d{3}", "nnn", picture)
    file = PICTURES / f"{name}.txt"
    if os.environ.get("HALFNORMAL_UPDATE_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        file.write_text(picture + "\n", encoding="utf-8")
    assert picture + "\n" == file.read_text(encoding="utf-8")


async def test_four_screens_at_eighty_columns(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down", "right", "tab")
        _same_as_before("console", cells(app))
        await pilot.press("z", "2")
        _same_as_before("recall", cells(app))
        await pilot.press("3")
        _same_as_before("print", cells(app))
        await pilot.press("4")
        _same_as_before("compare", cells(app))


async def test_hands_at_a_hundred_columns(song: Path) -> None:
    async with opened(song, size=(100, 30)) as (app, pilot):
        await pilot.press("2", "end")
        _same_as_before("recall-hands", cells(app))


async def test_snapshots_and_the_question_at_eighty_columns(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("5")
        _same_as_before("snapshots-empty", cells(app))
        await pilot.press("k")
        await asked(app, pilot, LookDialog)
        _same_as_before("snapshot-asks", cells(app))
        await pilot.press(*"3", "enter")
        await asked(app, pilot, LookDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        app.clear_notifications()
        app.session.with_studio(lambda studio: studio.room.turn("desk/ch01/fader", -12.0))  # type: ignore[union-attr]
        await pilot.press("k")
        await asked(app, pilot, LookDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        app.clear_notifications()
        await pilot.press("home", "space", "down", "space", "d")
        await pilot.pause()
        assert app.query_one("#snapshots-list", RowsView).has_focus
        lines = cells(app).splitlines()
        _same_as_before("snapshots", "\n".join(line for line in lines if not line.startswith(" snapshot: ")))
        await pilot.press("end", "R")
        lines = cells(app).splitlines()
        _same_as_before("recall-snapshot", "\n".join(line for line in lines if not line.startswith(" snapshot: ")))


async def test_devices_at_eighty_columns(song: Path) -> None:
    write_rig(song.parents[1] / "home", "away", matrix="room:nowhere")
    async with opened(song, rig="away") as (app, pilot):
        await pilot.press("6", "r")
        await landed(app, pilot)
        await pilot.press("n")
        await pilot.pause()
        _same_as_before("devices", cells(app))
