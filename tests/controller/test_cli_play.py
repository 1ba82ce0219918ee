"""``halfnormal play`` as it is typed, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_line import STEM_FRAMES, Line

KEYS = {
    "device", "outputs", "rate_hz", "block_frames", "level_db", "frames", "played_s", "xruns", "callback_p50_ms",
    "callback_p99_ms", "block_ms", "graph_latency_frames", "latency_ms", "peak_dbfs", "true_peak_dbtp",
    "integrated_lufs", "interrupted", "mix",
}  # fmt: skip


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    made = Line(tmp_path, monkeypatch, capsys)
    made.add_project()
    return made


def test_one_object_says_what_was_played(line: Line) -> None:
    said = line.json("play", "song", "--yes", "--block", "128")
    assert set(said) >= KEYS
    assert (said["outputs"], said["block_frames"], said["xruns"], said["interrupted"]) == ([1, 2], 128, [], False)
    assert STEM_FRAMES <= said["frames"] < STEM_FRAMES + 128
    assert -30.0 < said["peak_dbfs"] < 0.0


def test_a_dry_run_says_where_and_how_late_and_plays_nothing(line: Line) -> None:
    before = line.files()
    said = line.json("play", "song", "--dry-run", "--level", "-6")
    assert (said["frames"], said["outputs"], said["level_db"]) == (None, [1, 2], -6.0)
    assert said["latency_ms"] == pytest.approx(1e3 * 256 / 48_000)
    assert line.files() == before


def test_without_consent_nothing_plays(line: Line) -> None:
    said = line.run("play", "song")
    assert said.code == 1
    assert said.sentence == "The plan was not accepted; nothing played."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--from", "9"), "There is nothing from 9 s to 0.5 s of this song."),
        (("--from", "x"), "--from cannot be 'x'."),
        (("--from", "0.4", "--loop"), "A loop from 0.4 s to 0.5 s is too short to play."),
        (("--block", "100"), "A mix does not play in blocks of 100 frames."),
        (("--level", "6"), "The monitor's level cannot be +6 dB."),
        (("--mix", "none"), ""),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(line: Line, words: tuple[str, ...], sentence: str) -> None:
    said = line.run("play", "song", "--yes", *words)
    assert said.code == 2
    assert sentence in said.sentence
