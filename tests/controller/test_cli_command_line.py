"""The command line itself: help, wrong words, pipes that close, terminals that are not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_line import IN_SHORT, ROOT, Line, environment, only_object

from controller.cli.main import COMMANDS
from controller.errors import EXIT_CODES
from controller.version import VERSION


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def test_help_names_every_command_and_every_exit_code(line: Line) -> None:
    said = line.run("--help")
    assert (said.code, said.err) == (0, "")
    for command in COMMANDS:
        assert f"    {command} " in said.out
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:<5}{meaning}\n" in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example(line: Line, command: str) -> None:
    said = line.run(command, "-h")
    assert (said.code, said.err) == (0, "")
    _, _, examples = said.out.partition("examples:\n")
    assert f"halfnormal {'' if command == 'tui' else command}" in examples


def test_version(line: Line) -> None:
    assert line.run("--version") == line.run("-V")
    assert line.run("--version").out == f"halfnormal {VERSION}\n"


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (("recal",), "no command 'recal'", "Did you mean recall?"),
        (("profil", "list"), "no command 'profil'", "Did you mean profile?"),
        (("frobnicate",), "no command 'frobnicate'", "There is: tui, demo, doctor"),
        (("recall", "sned", "song"), "no ACTION 'sned'", "Did you mean send?"),
        (("print", "song", "--path", "analogue"), "no --path 'analogue'", "Did you mean analog?"),
        (("print", "song"), "'halfnormal print' needs --path", "halfnormal print -h"),
        (("recall",), "needs ACTION, PROJECT", "halfnormal recall -h"),
        (("null", "a.wav"), "needs B", "halfnormal null -h"),
        (("new", "song", "--stems", "x", "--rate", "fast"), "--rate cannot be 'fast'", "halfnormal new -h"),
        (("null", "a.wav", "b.wav", "--tolerance", "nan"), "--tolerance cannot be 'nan'", "halfnormal null -h"),
        (("null", "a.wav", "b.wav", "--out"), "--out: expected one argument", "halfnormal null -h"),
        (("null", "a.wav", "b.wav", "c.wav"), "no use for 'c.wav'", "halfnormal null -h"),
        (("print", "song", "--path", "itb", "--jsn"), "no use for '--jsn'", "halfnormal print -h"),
        (("print", "song", "--path", "itb", "--dry"), "no use for '--dry'", "halfnormal print -h"),
        (("--json",), "no use for '--json'", "halfnormal -h"),
        (("profile", "show"), "'profile show' needs ID", "profile list"),
        (("profile", "encode", "room-desk-24", "ch01/fader"), "needs ID CONTROL VALUE", "profile list"),
        (("profile", "list", "yamaha-01v96"), "no use for 'yamaha-01v96'", "halfnormal profile -h"),
        (("profile", "decode", "room-desk-24"), "needs --hex", "For example"),
        (("profile", "decode", "room-desk-24", "--hex", "zz"), "'zz' is not hex", "Write them like"),
        (("profile", "encode", "room-desk-24", "ch07/fader", "99"), "outside its range", ""),
        (("profile", "encode", "room-desk-24", "ch01/trim", "3"), "set by hand", "recall sheet"),
        (("recall", "plan", "song", "--html", "x.html"), "writes no page", "recall sheet"),
        (
            ("calibrate", "--rig", "small", "--only", "loudness"),
            "no part 'loudness'",
            "patch, latency, levels, response",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_sentence_and_exit_code_2(
    line: Line, words: tuple[str, ...], sentence: str, hint: str
) -> None:
    said = line.run(*words)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.sentence
    assert hint in said.err.splitlines()[-1]
    assert len(said.err.splitlines()) <= 2


def test_without_a_project_it_says_how_to_make_one(line: Line) -> None:
    said = line.run()
    assert (said.code, said.out) == (2, "")
    assert "no project" in said.sentence
    assert "halfnormal new PROJECT --stems DIR" in said.err
    assert line.run("./nowhere").code == 2


def test_the_console_needs_a_terminal(line: Line) -> None:
    line.add_project()
    said = line.run("song")
    assert (said.code, said.out) == (2, "")
    assert "terminal" in said.sentence


def start(line: Line, *words: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "controller", *words],
        cwd=line.folder,
        env=environment(line.folder, **{key: str(value) for key, value in options.items()}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize(
    "words", [("profile", "show", "cmlabs-sixtyfour", "--json"), ("--help",), ("profile", "schema")]
)
def test_a_reader_that_goes_away_is_no_error(line: Line, words: tuple[str, ...]) -> None:
    process = start(line, *words)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()


def test_a_pass_goes_on_when_nobody_reads_what_it_says(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Closed())
    told = line.json("calibrate", "--rig", "small", "--yes", *IN_SHORT)
    assert len(told["loops"]) == 4


def test_a_terminal_without_our_signs_gets_others(line: Line) -> None:
    process = start(line, "rig", "check", "--rig", "small", PYTHONIOENCODING="ascii")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"small" in out


def test_the_command_works_as_a_process_of_its_own(line: Line) -> None:
    process = start(line, "rig", "check", "--rig", "small", "--json")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert only_object(out.decode())["ok"] is True


def test_progress_is_drawn_on_a_terminal_and_cleared_before_data(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from controller.cli.face import Face
    from controller.events import Progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    face = Face()
    face.emit(Progress("print", 0.5, seconds_left=75.0, detail="recording", levels_dbfs={"L": -12.0, "R": -13.5}))
    drawn = capsys.readouterr().err
    assert drawn.startswith("\r\x1b[2K")
    assert "50% 1:15 min left  recording" in drawn
    assert "\n" not in drawn
    assert len(drawn) < 60 + len("\r\x1b[2K")
    face.data({}, ["done"])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done\n", "\r\x1b[2K")
    Face(quiet=True).emit(Progress("print", 1.0))
    assert capsys.readouterr().err == ""


def test_numbers_that_json_lacks_are_null_with_a_note() -> None:
    from controller.cli.face import to_json

    told = only_object(
        to_json({"a": float("-inf"), "b": [float("nan")], "c": {"d": float("inf"), "d_note": "own"}}) + "\n"
    )
    assert told == {
        "schema": 1,
        "a": None,
        "a_note": "minus infinity",
        "b": [None],
        "c": {"d": None, "d_note": "own"},
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_on_the_command_line_names_every_command_and_option(line: Line, command: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert f"### `halfnormal {command}" in page
    options = set(re.findall(r"--[a-z][a-z-]+", line.run(command, "-h").out))
    assert {option for option in options if option not in page} <= {"--help", "--no-realtime"}, "the second is jackd's"
