"""Device health by keyboard: a sign and a word for each, what is wrong with what to do, and ports opened again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_song import cells, landed, make_song, opened, write_rig

from controller.tui.devices_pane import DevicesPane
from controller.tui.rows_view import RowsView

HAND = """
[[device]]
name = "drum-eq"
profile = "room-comp"
port = "hand"
"""


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


def row(shown: str, device: str) -> str:
    """The line of a device in the list."""
    return next(line for line in shown.splitlines() if f" {device} " in line)


async def test_before_anybody_asks_every_device_is_listed_as_not_asked(song: Path) -> None:
    async with opened(song, size=(100, 30)) as (app, pilot):
        await pilot.press("6")
        shown = cells(app)
        for device in ("desk", "comp", "matrix"):
            assert "?" in row(shown, device)
            assert "not asked yet" in row(shown, device)
        assert "r asks them" in shown


async def test_r_asks_every_device_and_moves_nothing(song: Path) -> None:
    async with opened(song, size=(100, 30)) as (app, pilot):
        studio = app.session.studio
        assert studio is not None and studio.room is not None
        await pilot.press("6", "r")
        await landed(app, pilot)
        shown = cells(app)
        assert "● " in row(shown, "desk")
        assert "present" in row(shown, "desk")
        assert "? " in row(shown, "comp")
        assert "unknown" in row(shown, "comp")
        assert "firmware 1.00" in row(shown, "matrix")
        assert "nothing is wrong" in shown
        assert not app.session.studio.state  # type: ignore[union-attr]  # asking who is there learns no value


async def test_a_device_without_its_port_is_told_in_words_with_what_to_do(song: Path) -> None:
    home = song.parents[1] / "home"
    write_rig(home, "away", matrix="room:nowhere")
    async with opened(song, size=(160, 30), rig="away") as (app, pilot):
        await pilot.press("6", "r")
        await landed(app, pilot)
        shown = cells(app)
        assert "✕" in row(shown, "matrix")
        assert "no answer" in row(shown, "matrix")
        assert "nowhere" in row(shown, "matrix")
        assert "1 of 3 need a look" in shown
        await pilot.press("n")
        assert app.query_one("#devices-list", RowsView).key == "matrix"
        assert "→ " in cells(app)


async def test_o_opens_a_port_again_once_it_is_back(song: Path) -> None:
    home = song.parents[1] / "home"
    write_rig(home, "away", matrix="room:nowhere")
    async with opened(song, size=(120, 30), rig="away") as (app, pilot):
        await pilot.press("6", "r")
        await landed(app, pilot)
        await pilot.press("n", "o")
        await landed(app, pilot)
        assert "✕" in row(cells(app), "matrix")
        assert any("matrix is not connected" in toast.message for toast in app._notifications)
        write_rig(home, "away")
        await pilot.press("o")
        await landed(app, pilot)
        assert "●" in row(cells(app), "matrix")
        assert any("matrix is connected again" in toast.message for toast in app._notifications)


async def test_gear_set_by_hand_has_a_sign_of_its_own_and_no_port_to_open(song: Path) -> None:
    home = song.parents[1] / "home"
    write_rig(home, "hands")
    with (home / "rigs" / "hands.toml").open("a", encoding="utf-8") as file:
        file.write(HAND)
    async with opened(song, size=(120, 30), rig="hands") as (app, pilot):
        await pilot.press("6", "r")
        await landed(app, pilot)
        assert "○" in row(cells(app), "drum-eq")
        assert "by hand" in row(cells(app), "drum-eq")
        await pilot.press("end", "o")
        assert app.jobs.running is None
        assert any("it has no port" in toast.message for toast in app._notifications)


async def test_without_a_readable_rig_the_screen_says_so(song: Path) -> None:
    (song / "project.toml").write_text('schema = 1\ntitle = "song"\nrate_hz = 48000\nrig = "nowhere"\n')
    async with opened(song) as (app, pilot):
        await pilot.press("6", "r", "o", "n")
        assert "The rig cannot be read" in cells(app)
        assert app.query_one(DevicesPane).found is None
        await pilot.press("k")
        assert app.jobs.running is None
