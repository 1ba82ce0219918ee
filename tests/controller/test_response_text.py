"""Responses that REW and ARTA wrote as text, and ours beside them; expected values from the formula of a high-pass."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from cli_line import Line
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_shelf import calibration, loop, response, shelve

from controller.errors import CalibrationError
from controller.figures import Figure
from controller.loop_table import figures_csv, responses_csv
from controller.response_compare import compare_responses
from controller.response_text import ResponseTextError, TextResponse, parse_response, read_response


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


REW = """\
* Measurement data saved by REW V5.31
* Source: Output 7, Fireface
* Dated: 28-Nov-2026 10:12:03
* REW Settings:
*  C-weighting compensation: Off, Target level: 75.0 dB
* Measurement: Desk ch 7
* Smoothing: None
* Frequency Step: 0.3662109 Hz
* Start Frequency: 20.141602 Hz
*
* Freq(Hz) SPL(dB) Phase(degrees)
"""
ARTA = "ARTA Frequency response\nFreq(Hz)   Mag(dB)   Phase(deg)\n"
ROWS = [(20.141602, -3.125, -120.5), (1000.0, 0.0, 12.25), (20000.0, -0.5, 179.875)]
STYLES = {
    "REW, blanks": (REW, " ", "."),
    "REW, tabs": (REW, "\t", "."),
    "REW, commas": (REW, ",", "."),
    "REW, commas and blanks": (REW, ", ", "."),
    "REW, semicolons, decimal comma": (REW, ";", ","),
    "REW, tabs, decimal comma": (REW, "\t", ","),
    "REW, blanks, decimal comma": (REW, " ", ","),
    "ARTA": (ARTA, "   ", "."),
    "ARTA, decimal comma": (ARTA, "\t", ","),
    "FRD without a head": ("", " ", "."),
    "a quoted comment": ('"Freq","Mag"\n', "\t", "."),
}


def written(style: str, rows: list[tuple[float, ...]] = ROWS) -> str:  # type: ignore[assignment]
    head, sep, point = STYLES[style]
    return head + "".join(sep.join(f"{v:.6f}".replace(".", point) for v in row) + "\n" for row in rows)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_export_is_read_to_the_same_numbers(style: str) -> None:
    found = parse_response(written(style), "x.txt")
    assert found.hz == pytest.approx([row[0] for row in ROWS])
    assert found.db == pytest.approx([row[1] for row in ROWS])
    assert found.deg == pytest.approx([row[2] for row in ROWS])


def test_the_measurements_name_comes_along() -> None:
    assert parse_response(written("REW, tabs"), "x").title == "Desk ch 7"


@pytest.mark.parametrize("data", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_a_windows_program_writes(tmp_path: Path, data: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(
        ("* Messung: Kanal für Gäste\r\n" + written("FRD without a head").replace("\n", "\r\n")).encode(data)
    )
    assert len(read_response(path).hz) == 3


def test_phase_may_be_missing_and_further_columns_are_left_alone() -> None:
    assert parse_response("20 1\n30 2\n40 3\n", "x").deg is None
    coherence = parse_response("20 1 2 0.9\n30 2 3 0.9\n40 3 4 0.9\n", "x")
    assert coherence.deg == pytest.approx([2, 3, 4])


def test_zero_hertz_at_the_head_is_left_out_and_said() -> None:
    found = parse_response("0 -100 0\n20 1 0\n30 2 0\n40 3 0\n", "x")
    assert found.hz[0] == 20.0
    assert "0 Hz" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20 1 2\n30 two 3\n40 3 4\n", "line 2: 'two' is no number"),
        ("20 1 2\n30 2\n40 3 4\n", "line 2: 2 columns where 3 are due"),
        ("20 1 2\n30 2 3\n30 3 4\n", "line 3: 30 Hz does not lie above"),
        ("20 1 2\n30 2 3\nTotal 3 4\n", "line 3: 'Total 3 4' stands among the numbers"),
        ("-20 1 2\n30 2 3\n40 3 4\n", "line 1: a frequency of -20 Hz"),
        ("20,1,1,5,2,0\n30,1,2,5,3,0\n40,1,3,5,4,0\n", "cannot be told apart"),
        ("20 1e999 2\n30 2 3\n40 3 4\n", "too large"),
        ("* nothing\n", "holds 0 lines"),
        ("", "holds 0 lines"),
        ("20\n30\n40\n", "line 1: 1 columns where 2 are due"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ResponseTextError) as error:
        parse_response(text, "x.txt")
    assert said in str(error.value)
    assert str(error.value).startswith("x.txt")
    assert error.value.hint


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(0.5, 96_000), st.floats(-300, 300), st.floats(-1e5, 1e5)),
        min_size=3,
        max_size=30,
        unique_by=lambda row: round(row[0], 3),
    ),
    style=st.sampled_from(sorted(STYLES)),
)
def test_whatever_numbers_come_back_as_they_were(rows: list[tuple[float, ...]], style: str) -> None:
    rows = sorted(tuple(round(v, 3) for v in row) for row in rows)
    found = parse_response(written(style, rows), "x")
    assert found.deg is not None
    back = np.stack([found.hz, found.db, found.deg], axis=1)
    assert np.abs(back - np.array(rows)).max() < 1e-6


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,;+-eE \t\n*#nai", max_size=200))
def test_any_text_is_a_response_or_a_sentence(text: str) -> None:
    try:
        found = parse_response(text, "x")
    except ResponseTextError as error:
        assert "\n" not in str(error)
    else:
        assert np.all(np.diff(found.hz) > 0)
        assert np.isfinite(found.db).all()


# Beside ours


def theirs(
    hz: np.ndarray, delay_samples: float, gain_db: float, *, sign: int = 1, bump_db: float = 0.0
) -> TextResponse:
    """What another program would write of `loop_shelf.response`, with a bump of a tenth of an octave at 3 kHz."""
    h = sign * (1j * hz / 3.0) / (1 + 1j * hz / 3.0) * np.exp(-2j * np.pi * hz * delay_samples / 48_000)
    bump = bump_db * np.exp(-((np.log2(hz / 3000.0) / 0.1) ** 2))
    db = 20 * np.log10(np.abs(h)) + gain_db + bump
    return TextResponse(hz, db, np.degrees(np.angle(h)))


OURS = loop(7, response=response(137.25, -1.5), latency_samples=137.25)
GRIDS = {
    "finer than ours": np.geomspace(10.0, 22_000.0, 4000),
    "coarser than ours": np.geomspace(10.0, 22_000.0, 120),
    "even steps": np.arange(1, 8000) * 2.93,
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("delay", "sign"), [(137.25, 1), (0.0, 1), (140.75, -1), (900.5, 1)])
def test_level_delay_and_polarity_are_taken_out(grid: str, delay: float, sign: int) -> None:
    found = compare_responses(OURS, theirs(GRIDS[grid], delay, 72.0, sign=sign), rate_hz=48_000)
    assert found.their_offset_db == pytest.approx(73.5, abs=1e-3)
    assert found.polarity == sign
    assert found.delay_samples == pytest.approx(delay - 137.25, abs=0.002)
    assert abs(found.worst_db) < 0.002
    assert found.worst_deg is not None
    assert abs(found.worst_deg) < 0.2
    assert found.hz[0] >= 20.0
    assert found.hz[-1] <= 20_000.0


def test_the_largest_difference_is_found_where_it_is() -> None:
    found = compare_responses(OURS, theirs(GRIDS["finer than ours"], 0.0, 0.0, bump_db=0.8), rate_hz=48_000)
    assert found.worst_db == pytest.approx(0.8, abs=0.005)
    assert found.worst_db_hz == pytest.approx(3000.0, rel=0.01)
    assert found.our_sd_db == pytest.approx(20 / math.log(10) * 1e-5 / 10 ** (-1.5 / 20), rel=0.01)


def test_without_phase_only_levels_are_compared() -> None:
    flat = TextResponse(GRIDS["coarser than ours"], theirs(GRIDS["coarser than ours"], 0, 0).db, None)
    found = compare_responses(OURS, flat, rate_hz=48_000)
    assert found.worst_deg is None
    assert found.delay_samples is None


def test_what_cannot_be_compared_is_one_sentence() -> None:
    with pytest.raises(CalibrationError, match="no response of output 1"):
        compare_responses(loop(1), theirs(GRIDS["even steps"], 0, 0), rate_hz=48_000)
    with pytest.raises(ResponseTextError, match="1 kHz"):
        compare_responses(OURS, theirs(np.geomspace(20, 500, 50), 0, 0), rate_hz=48_000)
    with pytest.raises(ResponseTextError, match="meet at 1"):
        compare_responses(OURS, theirs(np.array([10.0, 1000.0, 30_000.0]), 0, 0), rate_hz=48_000)


def test_compare_prints_the_difference_and_draws_it(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration(loop(1), OURS))
    other = theirs(GRIDS["even steps"], 140.0, 10.0, bump_db=0.5)
    assert other.deg is not None
    rows = list(zip(other.hz, other.db, other.deg, strict=True))
    (line.folder / "rew.txt").write_text(written("REW, semicolons, decimal comma", rows))
    words = ("loops", "compare", "rew.txt", "--rig", "small", "--loop", "desk/ch07")
    told = line.json(*words, "--picture", "seven.png")
    assert told["title"] == "Desk ch 7"
    assert told["worst_db"] == pytest.approx(0.5, abs=0.01)
    assert told["delay_samples"] == pytest.approx(140.0 - 137.25, abs=0.01)
    assert (line.folder / "seven.png").read_bytes().startswith(b"\x89PNG")
    assert "differs at most +0.5" in line.run(*words).out
    (line.folder / "bad.txt").write_text("20 1 2\n30 x 3\n")
    said = line.run("loops", "compare", "bad.txt", "--rig", "small", "--loop", "7")
    assert (said.code, said.sentence) == (2, "bad.txt, line 2: 'x' is no number.")
    assert "needs FILE and --loop" in line.run("loops", "compare", "bad.txt").sentence
    assert line.run("loops", "compare", "none.txt", "--loop", "7").code == 2
    assert "no use for 'x.txt'" in line.run("loops", "csv", "x.txt").sentence


# Tables


def test_the_table_has_a_row_a_loop_and_every_figure_with_its_error_bar() -> None:
    made = calibration(
        loop(1, {"thd_db": Figure(-91.5, 0.2)}),
        loop(2, {"thd_db": Figure(None, None, "not observable: below the noise, here")}, why='dead, "gone"', ok=False),
    )
    rows = list(csv.DictReader(figures_csv(made).splitlines()))
    assert [row["output"] for row in rows] == ["1", "2"]
    assert (rows[0]["thd_db"], rows[0]["thd_db.sd"], rows[0]["thd_db.note"]) == ("-91.5", "0.2", "")
    assert (rows[1]["thd_db"], rows[1]["thd_db.note"]) == ("", "not observable: below the noise, here")
    assert rows[1]["why"] == 'dead, "gone"'
    assert (rows[1]["ok"], rows[0]["gain_db"]) == ("false", "-1.0")
    assert "ripple_db" not in rows[0]


def test_the_table_of_responses_has_the_latency_taken_out() -> None:
    rows = list(csv.DictReader(responses_csv(calibration(loop(1), OURS)).splitlines()))
    assert {row["output"] for row in rows} == {"7"}
    for row in rows[::50]:
        hz = float(row["hz"])
        assert float(row["gain_db"]) == pytest.approx(-1.5 - 10 * math.log10(1 + (3 / hz) ** 2), abs=1e-4)
        assert float(row["phase_deg"]) == pytest.approx(math.degrees(math.atan(3 / hz)), abs=1e-3)


def test_csv_goes_to_stdout_or_a_new_file(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration(loop(1), OURS))
    assert line.run("loops", "csv", "--rig", "small").out.startswith("output,address,input")
    told = line.json("loops", "csv", "--rig", "small", "--out", "t.csv")
    assert (told["csv"], told["rows"]) == ("t.csv", 2)
    assert line.run("loops", "csv", "--rig", "small", "--out", "t.csv").code == 2
    assert line.run("loops", "csv", "--rig", "small", "--responses").out.startswith("output,address,hz")
    assert "needs --out" in line.run("loops", "csv", "--rig", "small", "--json").sentence
