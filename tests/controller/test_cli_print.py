"""Stems, busses and regions of a print, as they are asked for at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_line import STEM_FRAMES, Line


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    made = Line(tmp_path, monkeypatch, capsys)
    made.add_project()
    mix = tmp_path / "song" / "mixes" / "mix-1.toml"
    mix.write_text(mix.read_text() + '\n[[busses]]\nname = "spare"\n')
    return made


def test_stems_and_busses_of_a_region_are_listed_with_their_files(line: Line) -> None:
    said = line.json("print", "song", "--path", "itb", "--stems", "--busses", "--from", "0:0.1", "--to", "0.3")
    assert said["frames"] == 9_600
    assert said["region"] == {"from_s": 0.1, "to_s": 0.3, "rendered_from_s": 0.0}
    assert [(part["kind"], part["name"]) for part in said["parts"]] == [
        ("stem", "bass"), ("stem", "keys"), ("stem", "vox"), ("bus", "spare")
    ]  # fmt: skip
    assert all((line.folder / part["file"]).is_file() for part in said["parts"])
    assert said["parts"][0]["file"] == "song/prints/0001-itb/stem-01-bass.wav"


def test_a_dry_run_says_how_long_the_region_is_and_writes_nothing(line: Line) -> None:
    before = line.files()
    said = line.json("print", "song", "--path", "itb", "--from", "0.1", "--dry-run")
    assert said["frames"] == STEM_FRAMES + 24_000 - 4_800
    assert line.files() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--from", "a"), "--from cannot be 'a'"),
        (("--from", "9"), "There is nothing from 9 s"),
        (("--path", "hybrid", "--stems", "--yes"), "in the box only"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(line: Line, words: tuple[str, ...], sentence: str) -> None:
    said = line.run("print", "song", "--path", "itb", *words)
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err
