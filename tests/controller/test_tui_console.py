"""The console screen: what a person's keys do to the mix, and what is never done to a file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input
from tui_song import cells, make_song, opened

from controller.mix import load_mix
from controller.tui.app import ConsoleApp
from controller.tui.console_pane import ConsolePane, parse_value
from controller.tui.console_view import ConsoleView, pan_text
from controller.tui.dialogs import LeaveDialog, MessageDialog, ValueDialog
from controller.tui.keys import bindings_of
from controller.tui.rows_view import RowsView
from controller.tui.session import Session, nudged_db


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A song of one second, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return make_song(tmp_path / "work")


async def test_arrows_move_one_decibel_fine_a_tenth_pages_six(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down")
        assert app.session.strip(0).fader_db == -1.0
        await pilot.press("shift+down", "shift+down")
        assert app.session.strip(0).fader_db == pytest.approx(-1.2)
        await pilot.press("pageup")
        assert app.session.strip(0).fader_db == pytest.approx(4.8)


async def test_a_fader_stops_at_its_top(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("pageup", "pageup", "pageup")
        assert app.session.strip(0).fader_db == 12.0


async def test_tab_chooses_what_the_arrows_change(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("right", "tab", "up")
        assert app.session.strip(1).pan == 5.0
        await pilot.press("shift+down", "tab", "up")
        assert (app.session.strip(1).pan, app.session.strip(1).send_db) == (4.0, -60.0)
        await pilot.press("tab", "down", "shift+tab", "backspace")
        assert (app.session.strip(1).trim_db, app.session.strip(1).send_db) == (-1.0, -math.inf)


async def test_mute_solo_polarity_are_one_key_each_and_clear_in_one_step(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("m", "s", "i", "right", "m")
        first, second = app.session.strip(0), app.session.strip(1)
        assert (first.mute, first.solo, first.polarity, second.mute) == (True, True, "inverted", True)
        await pilot.press("M")
        assert not any(strip.mute for strip in app.session.mix.strips)
        await pilot.press("z")
        assert [strip.mute for strip in app.session.mix.strips] == [True, True, False]


async def test_enter_takes_an_exact_value_and_says_what_is_wrong_with_another(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("enter", *"-6.5", "enter")
        assert app.session.strip(0).fader_db == -6.5
        await pilot.press("enter", *"44", "enter")
        assert isinstance(app.screen, ValueDialog)
        assert "-120..12" in cells(app)
        app.screen.query_one(Input).value = "off"
        await pilot.press("enter")
        assert app.session.strip(0).fader_db == -math.inf
        assert not isinstance(app.screen, ValueDialog)


async def test_undo_and_redo_walk_the_same_steps(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down", "down", "m", "z", "z")
        assert (app.session.strip(0).fader_db, app.session.strip(0).mute) == (-1.0, False)
        await pilot.press("Z", "Z")
        assert (app.session.strip(0).fader_db, app.session.strip(0).mute) == (-2.0, True)
        await pilot.press("z", "z", "z")
        assert not app.session.dirty


async def test_the_master_has_a_fader_and_nothing_else(song: Path) -> None:
    async with opened(song) as (app, pilot):
        before = app.session.mix.strips
        await pilot.press("end", "tab", "down", "m", "i")
        assert app.session.mix.bus.fader_db == -1.0
        assert app.session.mix.strips == before


async def test_saving_makes_the_next_file_and_touches_no_other(song: Path) -> None:
    first = song / "mixes" / "mix-1.toml"
    text = first.read_text("utf-8")
    async with opened(song) as (app, pilot):
        await pilot.press("down", "ctrl+s")
        assert not app.session.dirty
        await pilot.press("down", "f2", "ctrl+s")
    assert first.read_text("utf-8") == text
    assert load_mix(song / "mixes" / "mix-2.toml").strips[0].fader_db == -1.0
    assert load_mix(song / "mixes" / "mix-3.toml").strips[0].fader_db == -2.0
    assert not (song / "mixes" / "mix-4.toml").exists()


async def test_leaving_asks_about_an_unsaved_mix(song: Path) -> None:
    async with opened(song) as (app, pilot):
        await pilot.press("down", "q")
        assert isinstance(app.screen, LeaveDialog)
        await pilot.press("escape")
        assert app.session.dirty
        await pilot.press("ctrl+q", "s")
    assert app.return_value == 0
    assert (song / "mixes" / "mix-2.toml").exists()


async def test_the_path_cycles_and_says_where_strips_run(song: Path) -> None:
    async with opened(song) as (app, pilot):
        assert app.session.path == "analog"
        assert "runs  ch01   ch02-3   ch04" in cells(app)
        await pilot.press("p", "p")
        assert app.session.path == "itb"
        assert "runs   box     box     box     box" in cells(app)
        await pilot.press("p")
        assert app.session.path == "analog"


async def test_meters_rise_with_progress_and_redraw_nothing_else(song: Path) -> None:
    async with opened(song) as (app, _):
        view = app.query_one(ConsoleView)
        quiet = cells(app)
        view.meter({app.session.strip(0).name: -12.0, "in 1": -3.0, "in 2": -20.0})
        rows = [
            row
            for row, (old, new) in enumerate(zip(quiet.splitlines(), cells(app).splitlines(), strict=True))
            if old != new
        ]
        assert rows
        assert max(rows) <= view.region.y + view.meter_rows
        assert "█" in cells(app)
        view.meter({})
        assert cells(app) == quiet


async def test_every_binding_has_an_id_and_no_two_share_one(song: Path) -> None:
    async with opened(song) as (app, _):
        every = [*bindings_of(app), *(b for pane in app.panes for b in bindings_of(pane))]
        every += [b for b in RowsView.BINDINGS if not isinstance(b, tuple)]
        ids = [binding.id for binding in every]
        assert None not in ids
        assert len(ids) == len(set(ids))


async def test_help_lists_the_keys_of_this_screen(song: Path) -> None:
    async with opened(song) as (app, pilot):
        for key, words in (("2", "Next mismatch"), ("4", "Null")):
            await pilot.press(key, "question_mark")
            assert isinstance(app.screen, MessageDialog)
            assert words in app.screen.text
            await pilot.press("escape")


async def test_the_palette_reaches_every_action(song: Path) -> None:
    async with opened(song) as (app, pilot):
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        for pane in app.panes:
            for binding in bindings_of(pane):
                assert f"{pane.HEADING.capitalize()}: {binding.description}" in commands
        await pilot.press("4")
        await commands["Console: Mute"].callback()  # type: ignore[misc]  # ours are all coroutines
        assert app.session.strip(0).mute


async def test_a_broken_rig_leaves_the_box(song: Path) -> None:
    (song / "project.toml").write_text('schema = 1\ntitle = "song"\nrate_hz = 48000\nrig = "nowhere"\n')
    async with opened(song) as (app, pilot):
        assert app.session.path == "itb"
        assert "nowhere" in app.session.rig_error
        await pilot.press("p")
        assert app.session.path == "itb"


async def test_eighty_columns_page_in_banks_and_keep_the_master_in_sight(song: Path) -> None:
    app = ConsoleApp(Session.open(song))
    strip = app.session.mix.strips[0]
    many = tuple(type(strip)(name=f"s{n:02d}", stem=strip.stem) for n in range(24))
    app.session.mix = type(app.session.mix)(name="many", strips=many)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "s07" in cells(app)
        assert "s08" not in cells(app)
        await pilot.press("shift+right", "shift+right")
        assert app.query_one(ConsolePane).cursor == 16
        assert "s16" in cells(app)
        assert "MASTER" in cells(app)
        await pilot.press("end", "shift+left")
        assert app.query_one(ConsolePane).cursor == 16
        lines = cells(app).splitlines()
        assert len(lines) == 24
        assert "Keys" in lines[-1]


@given(st.floats(-100, 100))
def test_a_pan_reads_back_as_it_is_shown(pan: float) -> None:
    assert parse_value("pan", pan_text(pan)) == round(pan)


@given(st.floats(-90, 12), st.sampled_from([0.1, 1.0, 6.0]))
def test_a_nudge_up_and_down_returns_inside_the_travel(value: float, step: float) -> None:
    value = round(value, 2)
    if value - step >= -90 and value + step <= 12:
        assert nudged_db(nudged_db(value, step), -step) == pytest.approx(value, abs=0.011)


@pytest.mark.parametrize(("text", "value"), [("−6,5 dB", -6.5), ("off", -math.inf), ("+3", 3.0)])
def test_levels_are_read_as_people_type_them(text: str, value: float) -> None:
    assert parse_value("fader", text) == value


@pytest.mark.parametrize(("parameter", "text"), [("fader", "loud"), ("trim", "off"), ("pan", "nan"), ("fader", "")])
def test_what_is_no_value_is_refused_with_an_example(parameter: str, text: str) -> None:
    with pytest.raises(ValueError, match="for instance"):
        parse_value(parameter, text)
