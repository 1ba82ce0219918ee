"""Stems, busses and regions of a print, as they are asked for at the command line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
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
        (("--format", "float", "--dither", "shaped"), "it takes no dither"),
        (("--format", "20"), "--format"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(line: Line, words: tuple[str, ...], sentence: str) -> None:
    said = line.run("print", "song", "--path", "itb", *words)
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_flac_print_is_nulled_and_reported_like_any_other(line: Line) -> None:
    flac = line.json("print", "song", "--path", "itb", "--format", "flac", "--stems")
    wav = line.json("print", "song", "--path", "itb", "--format", "16", "--dither", "shaped")
    assert (flac["file"], wav["file"]) == ("song/prints/0001-itb.flac", "song/prints/0002-itb.wav")
    assert flac["dither"] == {"density": "TPDF", "shape": "flat", "seed": 1}
    assert (wav["format"], wav["dither"]["seed"]) == ("16-bit PCM, TPDF dither, shaped (Lipshitz, five taps)", 2)
    assert flac["parts"][0]["file"] == "song/prints/0001-itb/stem-01-bass.flac"
    # All that differs is the noise: ¼ step² in 16 bits, 12.19 dB more by the shape's taps.
    song, _ = soundfile.read(line.folder / flac["file"])
    expected_db = -96.33 + 12.19 - 10.0 * math.log10(np.mean(song**2))
    told = line.json("null", flac["file"], wav["file"], "--align-only")
    assert told["null_depth_db"] == pytest.approx(expected_db, abs=0.3)
    line.run("report", "song", "--out", "report.html")
    assert "0001-itb.flac" in (line.folder / "report.html").read_text()
