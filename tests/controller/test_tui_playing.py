"""The console while it plays: space, loop and skips, edits that are heard, meters that move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_song import asked, cells, landed, make_song, opened

from controller.mix import Comp
from controller.tui.app import ConsoleApp
from controller.tui.console_view import ConsoleView
from controller.tui.dialogs import PlanDialog
from controller.tui.levels_view import JobBar


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


async def until(pilot: Pilot[Any], met: Callable[[], object]) -> None:
    """Wait until the song has come that far; a busy machine takes its time."""
    deadline = time.monotonic() + 20.0
    while not met():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.01)
        await pilot.pause()


async def playing(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Press space, accept the plan, wait until the song plays; round and round, so that it does not end meanwhile."""
    await pilot.press("l", "space")
    dialog = await asked(app, pilot, PlanDialog)
    assert "outputs" in cells(app)
    assert dialog is not None
    await pilot.press("y")
    await landed(app, pilot)
    await until(pilot, lambda: app.playing.position_s > 0.05)


def level(app: ConsoleApp, name: str) -> float:
    return app.query_one(ConsoleView)._levels.get(name, -200.0)


async def test_space_asks_once_plays_and_stops(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        assert app.playing.playing
        await pilot.press("space")
        await until(pilot, lambda: not app.playing.sounding)
        stopped_s = app.playing.position_s
        await pilot.press("space")
        await until(pilot, lambda: app.playing.playing)
        assert not isinstance(app.screen, PlanDialog)
        assert 0.0 < stopped_s < 1.0


async def test_a_plan_that_is_left_opens_nothing(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("space")
        await asked(app, pilot, PlanDialog)
        await pilot.press("escape")
        await landed(app, pilot)
        assert not app.playing.playing
        assert not app.playing.sounding


async def test_meters_move_and_the_line_below_says_where_and_how_loud(song: Path) -> None:
    async with opened(song, size=(120, 40)) as (app, pilot):
        await playing(app, pilot)
        await until(pilot, lambda: level(app, "kick") > -40.0 and level(app, "in 1") > -40.0)
        await until(pilot, lambda: "LUFS" in str(app.query_one(JobBar).render()))
        assert "▶" in str(app.query_one(JobBar).render())


async def test_a_mute_is_heard_at_once_and_so_is_its_undo(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        await until(pilot, lambda: level(app, "kick") > -40.0)
        await pilot.press("m")
        await until(pilot, lambda: level(app, "kick") < -100.0)
        await pilot.press("z")
        await until(pilot, lambda: level(app, "kick") > -40.0)
        await pilot.press("Z")
        await until(pilot, lambda: level(app, "kick") < -100.0)


async def test_a_compressor_shows_what_it_takes_off(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        assert "▐" not in cells(app)
        app.session.edit(0, comp=Comp(on=True, threshold_db=-50.0, ratio=8.0))
        app.changed()
        await until(pilot, lambda: "▐" in cells(app))


async def test_a_loop_is_marked_where_it_plays_and_what_is_too_short_is_refused(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        await until(pilot, lambda: 0.3 < app.playing.position_s < 0.6)
        await pilot.press("right_square_bracket")
        assert app.playing.loop is not None
        end = app.playing.loop.end
        assert 0.3 * 48_000 < end < 0.7 * 48_000
        await pilot.press("left_square_bracket")
        assert app.playing.loop.end == end
        await pilot.press("l")
        assert app.playing.loop is None


async def test_another_job_takes_the_device_and_the_next_play_asks_no_more(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        app.run_job("something", lambda emit, accept: 1, lambda result: None)
        assert not app.playing.playing
        await landed(app, pilot)
        await pilot.press("space")
        await landed(app, pilot)
        await until(pilot, lambda: app.playing.playing)


async def test_what_ends_the_stream_is_said(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(song) as (app, pilot):
        await playing(app, pilot)
        said: list[str] = []
        monkeypatch.setattr(app, "say", lambda text, severity="note": said.append(text))
        live = app.playing._live
        assert live is not None
        live.stream.close()
        await until(pilot, lambda: said)
        assert said[0].startswith("Playing ended: The audio stream is closed.")
        assert not app.playing.playing
