"""The loops by keyboard: every part of a calibration, error bars and reasons, the faulty loop, the response."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tui_song import cells, landed, make_song, opened

from controller import loops, places
from controller.figures import Figure
from controller.loops import Calibration, LoopFacts, Problem, StoredResponse
from controller.tui.loops_pane import LoopsPane
from controller.tui.response_view import ResponseView

HZ = (20.0, 100.0, 1000.0, 10_000.0, 20_000.0)


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


def stored(*, hours_ago: float = 1.0) -> None:
    """Put a calibration of two loops on file, the second of them wrong."""
    made = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours_ago)
    gains = (0.5, 0.9, 1.0, 1.0, 0.8)
    facts = [
        LoopFacts(
            output=output,
            address=f"desk/ch{output:02d}",
            expected_input=output,
            input=output,
            present=True,
            polarity=1,
            latency_samples=137.25,
            latency_sd=0.0001,
            gain_db=-0.125,
            gain_sd=0.002,
            noise_dbfs=-91.5,
            strip_found=None,
            ok=output == 1,
            why="" if output == 1 else "the cables are swapped",
            figures={
                "noise_dbfs": Figure(-91.5, 0.03),
                "thd_db": Figure(None, None, "not observable: below -118 dB"),
            },
            response=StoredResponse(HZ, gains, (0.0,) * 5, (1e-5,) * 5) if output == 1 else None,
        )
        for output in (1, 2)
    ]
    calibration = Calibration(
        rig="demo",
        made_at=made.isoformat(timespec="seconds"),
        rate_hz=48_000,
        block_frames=256,
        program="0.1.0",
        level_dbfs=-40.0,
        loops=tuple(facts),
        problems=(Problem("output 2", "the cables are swapped", "Swap them."),),
    )
    loops.store(calibration, places.rig_home("demo").calibrations)


async def to_part(app, pilot, part: str) -> None:
    for _ in range(8):
        if app.query_one(LoopsPane).part == part:
            return
        await pilot.press("right")
    raise AssertionError(part)


async def test_without_a_calibration_it_says_how_to_make_one(song: Path) -> None:
    async with opened(song, size=(100, 30)) as (app, pilot):
        await pilot.press("7")
        assert "not calibrated yet" in cells(app)
        assert "c measures every loop" in cells(app)
        await pilot.press("n")
        assert any("measures the loops first" in toast.message for toast in app._notifications)


async def test_a_figure_shows_its_error_bar_and_its_definition(song: Path) -> None:
    stored()
    async with opened(song, size=(140, 30)) as (app, pilot):
        await pilot.press("7")
        shown = cells(app)
        assert "1 of 2 to put right" in shown
        assert "137.2500 ± 0.0001 samples" in shown
        assert "most likely delay of a flat path" in shown
        await to_part(app, pilot, "noise")
        assert "-91.50 ± 0.03 dBFS" in cells(app)


async def test_what_is_not_observable_says_why_and_shows_no_number(song: Path) -> None:
    stored()
    async with opened(song, size=(140, 30)) as (app, pilot):
        await pilot.press("7")
        await to_part(app, pilot, "distortion")
        shown = cells(app)
        assert "n/o" in shown
        assert "not observable: below -118 dB" in shown


async def test_n_goes_to_the_loop_that_is_wrong(song: Path) -> None:
    stored()
    async with opened(song, size=(140, 30)) as (app, pilot):
        await pilot.press("7", "n")
        assert app.query_one(LoopsPane).view.key == "2"
        assert "✕ the cables are swapped" in cells(app)


async def test_the_response_is_drawn_where_one_was_measured(song: Path) -> None:
    stored()
    async with opened(song, size=(100, 34)) as (app, pilot):
        await pilot.press("7")
        assert not app.query_one(ResponseView).display
        await to_part(app, pilot, "response")
        assert app.query_one(ResponseView).display
        drawn = [line for line in cells(app).splitlines() if any("\u2801" <= sign <= "\u28ff" for sign in line)]
        assert len(drawn) > 3  # from −6 dB at 20 Hz to 0 dB at 1 kHz
        assert "10k" in cells(app)
        await pilot.press("down")
        assert not app.query_one(ResponseView).display


async def test_an_old_calibration_says_so_and_what_to_do(song: Path) -> None:
    stored(hours_ago=49.0)
    async with opened(song, size=(140, 30)) as (app, pilot):
        await pilot.press("7")
        assert "49 h old, more than the rig's 24 h: c measures anew" in cells(app)


async def test_r_measures_the_part_in_sight_once_the_plan_was_accepted(song: Path) -> None:
    async with opened(song, size=(140, 34)) as (app, pilot):
        await pilot.press("7")
        await to_part(app, pilot, "noise")
        await pilot.press("r")
        for _ in range(500):
            await pilot.pause()
            if type(app.screen).__name__ != "Screen":
                break
        assert "Calibrate" in cells(app)
        await pilot.press("y")
        await landed(app, pilot)
        assert loops.latest(places.rig_home("demo").calibrations) is not None
        assert "desk/ch20" in cells(app)
