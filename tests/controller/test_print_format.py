"""What a print's file holds is what the quantiser made, whoever reads it; and a file that is not whole is not there."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from controller.events import Event, Finding
from controller.filing import Print
from controller.mix import Bus, Mix, Strip, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project
from controller.tui.session import Session
from dsp.dither import Ditherer, noise_shape

ROOT = Path(__file__).parents[2]
FRAMES = 20_000


def project_of(folder: Path, audio: np.ndarray, rate_hz: int = 48_000) -> Project:
    """A project of one stem."""
    (folder / "in").mkdir()
    soundfile.write(folder / "in" / "vox.wav", audio, rate_hz, subtype="FLOAT")
    return create_project(folder / "song", stems=folder / "in")


def printed(project: Project, heard: list[Event] | None = None, gain_db: float = 0.0, **options: Any) -> Print:
    """Print the stem in the box."""
    strip = Strip(name="vox", stem="vox.wav")
    save_new_mix(Mix(name="m", strips=(strip,), bus=Bus(fader_db=gain_db)), project.mixes)
    emit = (lambda event: None) if heard is None else heard.append
    return print_mix(
        project, project.mix(), path="itb", studio=None, emit=emit, accept=lambda question: True, **options
    )


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, np.ndarray]:
    """A project of noise, and its render in float."""
    noise = 0.1 * np.random.default_rng(3).standard_normal(FRAMES).astype(np.float32)
    project = project_of(tmp_path_factory.mktemp("song"), noise)
    render, _ = soundfile.read(printed(project, format_="float").file, dtype="float32", always_2d=True)
    return project, render


@pytest.mark.parametrize("dither", ["flat", "shaped", "none"])
@pytest.mark.parametrize(
    ("format_", "bits", "kind", "subtype"),
    [("16", 16, "WAV", "PCM_16"), ("24", 24, "WAV", "PCM_24"), ("flac", 24, "FLAC", "PCM_24")],
)
def test_a_print_holds_the_quantiser_s_own_numbers(song, format_, bits, kind, subtype, dither) -> None:
    project, render = song
    made = printed(project, format_=format_, dither=dither)
    info = soundfile.info(made.file)
    assert (info.format, info.subtype, info.samplerate) == (kind, subtype, 48_000)
    back, _ = soundfile.read(made.file, dtype="int32", always_2d=True)
    if dither == "none":
        expected = np.rint(render.astype(np.float64) * 2 ** (bits - 1))
        assert "dither" not in made.facts
        assert made.facts["format"].endswith("rounded without dither")
    else:
        said = made.facts["dither"]
        shape = noise_shape(dither, 48_000)
        assert (said["density"], said["shape"]) == ("TPDF", shape.name)
        expected = Ditherer(bits, channels=2, seed=said["seed"], shape=shape).process(render)
    assert np.array_equal(back >> (32 - bits), expected)
    assert not [path.name for path in project.prints.iterdir() if path.name.startswith(".")]
    assert made.file in Session.prints(SimpleNamespace(project=project))


@pytest.mark.parametrize(("dither", "noise_dbfs"), [("flat", -96.33), ("shaped", -84.14)])
def test_silence_in_16_bits_has_the_noise_of_the_formula(tmp_path, dither, noise_dbfs) -> None:
    # ¼ step² (1992) times 1 + Σ c² = 16.56 of the five taps (1991): 20 lg 2⁻¹⁵ − 6.02 (+ 12.19) dB re full scale 1.0.
    project = project_of(tmp_path, np.zeros(100_000))
    back, _ = soundfile.read(printed(project, format_="16", dither=dither).file)
    assert 10 * math.log10(np.mean(back**2)) == pytest.approx(noise_dbfs, abs=0.1)


def test_a_wav_s_coding_history_has_a_line_for_the_render_and_one_for_the_numbers(song) -> None:
    data = printed(song[0], format_="16", dither="shaped").file.read_bytes()
    at = data.index(b"bext")
    assert data[at + 8 : at + 264].rstrip(b"\0").endswith(b": m, itb")
    lines = data[at + 8 + 602 : data.index(b"fmt ")].rstrip(b"\0").decode().split("\r\n")
    assert lines == [
        "A=PCM,F=48000,W=32,M=stereo,T=Halfnormal itb",
        "A=PCM,F=48000,W=16,M=stereo,T=TPDF dither shaped (Lipshitz five taps)",
        "",
    ]


def test_a_flac_tells_title_date_and_program(song) -> None:
    made = printed(song[0], format_="flac")
    with soundfile.SoundFile(made.file) as file:
        tags = file.copy_metadata()
    assert tags["title"].endswith(": m, itb")
    assert tags["date"] == made.facts["made_at"][:10]
    assert tags["software"].startswith("Halfnormal")
    assert "W=24" in tags["comment"]


@pytest.mark.parametrize(("format_", "named"), [("16", "16-bit PCM"), ("flac", "24-bit FLAC")])
def test_what_peaks_above_full_scale_is_filed_as_float_and_that_is_said(tmp_path, format_, named) -> None:
    project = project_of(tmp_path, np.full(1_000, 0.9))
    heard: list[Event] = []
    made = printed(project, heard, gain_db=6.0, format_=format_)
    assert (made.file.suffix, made.facts["format"]) == (".wav", "32-bit float")
    assert soundfile.info(made.file).subtype == "FLOAT"
    assert any(isinstance(e, Finding) and named in e.hint and "written as float" in e.what for e in heard)


def test_what_the_dither_pushes_beyond_full_scale_is_held_and_said(tmp_path) -> None:
    heard: list[Event] = []
    made = printed(project_of(tmp_path, np.full((1_000, 2), 1.0)), heard, format_="16", dither="shaped")
    assert made.facts["peak_dbfs"] == 0.0
    assert any(isinstance(e, Finding) and "held there" in e.what for e in heard)


def test_a_rate_without_a_shape_gets_flat_dither_and_that_is_said(tmp_path) -> None:
    heard: list[Event] = []
    made = printed(project_of(tmp_path, np.zeros(1_000), 64_000), heard, format_="16", dither="shaped")
    assert made.facts["dither"]["shape"] == "flat"
    assert made.facts["format"] == "16-bit PCM, TPDF dither"
    assert any(isinstance(e, Finding) and "no noise shape for 64000 Hz" in e.what for e in heard)


FULL = """
import resource, sys
from pathlib import Path
from controller.errors import DiskFullError
from controller.print_format import PrintFormat
from controller.wav import Bext
source, target = map(Path, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    PrintFormat(sys.argv[3], "shaped", 48_000).write(source, target, frames=20_000, bext=Bext(), seed=1)
except DiskFullError as error:
    print(error, "|", error.hint)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a file-size limit")
@pytest.mark.parametrize(("format_", "limit"), [("16", 50_000), ("flac", 50_000), ("flac", 20)])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(tmp_path, song, format_, limit) -> None:
    source = tmp_path / "whole.wav"
    soundfile.write(source, song[1], 48_000, subtype="FLOAT")
    target = tmp_path / f".partial-0001{'.flac' if format_ == 'flac' else '.wav'}"
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(source), str(target), format_, str(limit)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert target.name in told.stdout and "file too large" in told.stdout
    assert "| Free some space" in told.stdout
    assert told.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["whole.wav"]
