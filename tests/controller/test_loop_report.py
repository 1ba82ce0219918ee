"""The page of a calibration: everything in one file, every number defined, and whatever was not measured left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_line import Line
from loop_shelf import calibration, loop, response, shelve

from controller import loop_plots
from controller.figures import KINDS, Figure
from controller.loop_report import COLUMNS, page
from controller.loops import Calibration, Problem


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def full(count: int = 3, **facts: object) -> Calibration:
    """Every figure of the table on every loop."""
    figures = {kind.key: Figure(-60.0 + 0.1 * number, 0.01) for number, kind in enumerate(KINDS)}
    loops = [loop(n, figures, response=response(137.0, -1.0)) for n in range(1, count + 1)]
    return calibration(*loops, **facts)


def text_of(folder: Path, made: Calibration, problems: tuple[Problem, ...] = ()) -> str:
    (stored,) = shelve(folder, made)
    return page(stored, "Studio <A>", problems)


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = text_of(tmp_path, full())
    sources = re.findall(r"src='([^']{0,30})", text)
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text
    assert "<script" not in text
    assert "@page{size:A4 portrait" in text
    assert "Studio &lt;A&gt;" in text


def test_every_number_on_it_is_defined_there(tmp_path: Path) -> None:
    text = text_of(tmp_path, full())
    for kind in KINDS:
        assert f"<b>{kind.label}</b> [{kind.unit}]" in text
    assert re.search(r"sha256:[0-9a-f]{64}", text)
    assert "AES17" in text


def test_what_nobody_measured_has_no_column_and_no_definition(tmp_path: Path) -> None:
    text = text_of(tmp_path, calibration(loop(1), loop(2)))
    heads = re.findall(r"<th>(.*?)</th>", text)
    assert heads == ["out", "strip", "in", "pol.", "latency [smp]", "gain [dB]", "noise [dBFS]", "verdict"]
    assert "<b>THD</b>" not in text
    assert len(re.findall(r"<th>", text_of(tmp_path / "b", full()))) == len(COLUMNS) + 5


def test_a_wrong_loop_is_marked_and_a_problem_told(tmp_path: Path) -> None:
    bad = Problem("output 2 → desk/ch02", "desk/ch02 is dead", "Check the cable.")
    made = calibration(loop(1), loop(2, present=False, input=None, ok=False, why="dead"))
    text = text_of(tmp_path, made, (bad,) * 7)
    assert "1 of 2 loops are sound; 7 to look at" in text
    assert "… and 2 more" in text
    assert text.count("<tr class=bad>") == 1
    assert "no problems" in text_of(tmp_path / "b", calibration())


def test_what_was_not_observable_says_why(tmp_path: Path) -> None:
    hidden = {"thd_db": Figure(None, None, "not observable: below the noise")}
    text = text_of(tmp_path, calibration(loop(1, hidden), loop(2, {"thd_db": Figure(-90.0, 0.1)})))
    assert "<td>n.o.</td>" in text
    assert "not observable: below the noise" in text


@pytest.mark.parametrize("count", [1, 40])
def test_pictures_are_drawn_of_any_number_of_loops(count: int) -> None:
    loops = full(count).loops
    for draw in (loop_plots.responses_picture, loop_plots.crosstalk_picture, loop_plots.bars_picture):
        assert draw(loops, width_mm=100.0, height_mm=40.0).startswith(b"\x89PNG")


def test_pictures_of_nothing_say_so() -> None:
    dead = (loop(1, present=False, input=None),)
    for loops in ((), dead):
        for draw in (loop_plots.responses_picture, loop_plots.crosstalk_picture, loop_plots.bars_picture):
            assert draw(loops, width_mm=100.0, height_mm=40.0).startswith(b"\x89PNG")


def test_the_command_files_pages_by_number(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration(), full())
    told = line.json("loops", "report", "--rig", "small")
    assert told["report"].endswith("0001-loops.html")
    assert told["calibration"].endswith("0002-calibration.json")
    text = (line.folder / told["report"]).read_text()
    assert "this rig allows 24 h" in text, "its age is a problem"
    old = line.json("loops", "report", "--rig", "small", "--calibration", "1", "--out", "one.html")
    assert old["report"] == "one.html"
    assert "no problems" in (line.folder / "one.html").read_text()
    assert line.run("loops", "report", "--rig", "small", "--out", "one.html").code == 2


def test_a_reading_of_a_meter_stands_at_its_head(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration())
    read = ("--output", "1", "--accuracy", "0.5%", "--reading", "1.2285 V", "--yes")
    assert line.run("loops", "dbu", "--rig", "small", *read).code == 0
    told = line.json("loops", "report", "--rig", "small")
    assert "output 1: +18.01 ± 0.03 dBu at 0 dBFS" in (line.folder / told["report"]).read_text()
