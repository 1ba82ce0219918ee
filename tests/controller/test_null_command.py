"""``halfnormal null`` on any two files: what it writes, what it explains, and what it says when it cannot.

Recordings are built from sums of sines evaluated at the times at which they are wanted: no interpolation of ours.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from controller.cli.main import main

Audio = NDArray[np.float64]
RATE = 48_000
SECONDS = 4.0
STEMS = {
    "bass": (45.0, 400.0, 1),
    "guitar": (180.0, 5_000.0, 2),
    "keys": (250.0, 9_000.0, 3),
    "vox": (140.0, 11_000.0, 4),
}


def stem(name: str, at_s: Audio) -> Audio:
    """A stem at any times: 12 sines, each swelling and dying at a pace of its own, stereo."""
    low, high, seed = STEMS[name]
    rng = np.random.default_rng(seed)
    out = np.zeros((at_s.size, 2))
    for hz in np.geomspace(low, high, 12) * rng.uniform(0.97, 1.03, 12):
        swell = 0.55 + 0.45 * np.sin(2 * math.pi * rng.uniform(0.3, 1.9) * at_s + rng.uniform(0, 6.28))
        left, right = rng.uniform(0.3, 1.0, 2)
        wave = 0.02 * swell * np.sin(2 * math.pi * hz * at_s + rng.uniform(0, 6.28))
        out += wave[:, None] * np.array([left, right])
    return out


def mix(at_s: Audio, **changes_db: float) -> Audio:
    return sum(10 ** (changes_db.get(name, 0.0) / 20) * stem(name, at_s) for name in STEMS)  # type: ignore[return-value]


def times(seconds: float = SECONDS, *, delay: float = 0.0, ppm: float = 0.0, rate: int = RATE) -> Audio:
    n = np.arange(round(seconds * rate))
    return (n - delay - 1e-6 * ppm * n) / rate


def write(path: Path, audio: Audio, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def noise(frames: int, sigma: float, seed: int = 9) -> Audio:
    return np.random.default_rng(seed).normal(0.0, sigma, (frames, 2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def null(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["null", *map(str, arguments), "--json", "-q"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {"error": said.err}


@dataclass(frozen=True)
class Nulled:
    """What a null left: its folder and its object."""

    folder: Path
    data: dict[str, Any]


@pytest.fixture(scope="module")
def in_noise(tmp_path_factory: pytest.TempPathFactory) -> Nulled:
    """A mix against itself in noise of 1e-4, whose level is told."""
    folder = tmp_path_factory.mktemp("noise")
    noise_dbfs = 20 * math.log10(1e-4 * math.sqrt(2))
    write(folder / "a.wav", mix(times()))
    write(folder / "b.wav", mix(times()) + noise(round(SECONDS * RATE), 1e-4))
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        main(["null", "a.wav", "b.wav", "--noise", str(noise_dbfs), "--json", "-q"])
    return Nulled(folder, json.loads(said.getvalue()))


def test_a_late_inverted_drifting_copy_is_nulled_and_every_number_has_its_error_bar(folder, capsys):
    write(folder / "a.wav", mix(times()))
    truth = -0.83 * mix(times(delay=431.27, ppm=8.0))
    write(folder / "b.wav", truth + noise(len(truth), 1e-6))
    code, data = null(capsys, "a.wav", "b.wav", "--tolerance", -80)
    assert code == 0
    assert data["polarity"] == [-1, -1]
    assert data["delay_samples"] == pytest.approx(431.27, abs=max(5 * data["delay_sd"], 1e-5))
    assert data["drift_ppm"] == pytest.approx(8.0, abs=max(5 * data["drift_sd_ppm"], 1e-5))
    for gain, sd in zip(data["gain_db"], data["gain_sd_db"], strict=True):
        assert gain == pytest.approx(20 * math.log10(0.83), abs=max(5 * sd, 1e-6))
    assert {"null", "delay"} <= data["definitions"].keys()
    heard, _ = soundfile.read(data["residual_file"], always_2d=True)
    assert 20 * math.log10(np.std(heard)) == pytest.approx(-120.0, abs=0.5)  # the noise that was added, and no more


def test_the_audible_copy_of_the_residual_says_how_much_louder_it_is(in_noise):
    quiet, _ = soundfile.read(in_noise.folder / in_noise.data["residual_file"], always_2d=True)
    loud, _ = soundfile.read(in_noise.folder / in_noise.data["audition_file"], always_2d=True)
    assert np.abs(loud - quiet * 10 ** (in_noise.data["audition_gain_db"] / 20)).max() < 2**-22
    assert -7.01 < 20 * math.log10(np.abs(loud).max()) <= -5.99


def test_the_gain_of_the_audible_copy_can_be_chosen(folder, capsys):
    write(folder / "a.wav", mix(times(2.0)))
    write(folder / "b.wav", mix(times(2.0)) + noise(2 * RATE, 1e-4))
    _, data = null(capsys, "a.wav", "b.wav", "--audition-gain", 20)
    assert data["audition_gain_db"] == 20.0


def test_the_corrected_recording_lies_on_the_references_time_line(folder, capsys):
    a = mix(times())
    write(folder / "a.wav", a)
    write(folder / "b.wav", 0.5 * mix(times(delay=-200.6, ppm=-15.0)))
    code, data = null(capsys, "a.wav", "b.wav", "--align-only")
    assert code == 0
    corrected, rate = soundfile.read(data["corrected_file"], always_2d=True)
    assert rate == RATE
    assert len(corrected) == len(a)
    inner = slice(RATE, -RATE)
    assert 20 * math.log10(np.std(corrected[inner] - a[inner]) / np.std(a[inner])) < -110
    assert "explanation" not in data
    assert data["audition_file"] is None


def test_lost_frames_are_named_to_the_frame_and_do_not_end_the_null(folder, capsys):
    whole = mix(times())
    write(folder / "a.wav", whole)
    cut = np.delete(whole, np.s_[100_000:100_441], axis=0)
    write(folder / "b.wav", cut + noise(len(cut), 1e-6))
    code, data = null(capsys, "a.wav", "b.wav", "--corrected")
    assert code == 0
    assert [event["what"] for event in data["events"]] == ["441 frames lost at 2.083333 s (frame 100000)"]
    assert len(data["segments"]) == 2
    corrected, _ = soundfile.read(data["corrected_file"], always_2d=True)
    late = slice(130_000, 170_000)  # behind the gap, again at A's own frames
    assert 20 * math.log10(np.std(corrected[late] - whole[late]) / np.std(whole[late])) < -90


def test_the_stem_that_moved_is_named_with_its_amount_and_no_other(folder, capsys):
    (folder / "stems").mkdir()
    for name in STEMS:
        write(folder / "stems" / f"{name}.wav", 0.5 * stem(name, times()))  # at another level than in the mix
    write(folder / "a.wav", mix(times()))
    moved = mix(times(delay=77.5), vox=0.3)
    write(folder / "b.wav", 0.9 * moved + noise(len(moved), 1e-5))
    _, data = null(capsys, "a.wav", "b.wav", "--stems", "stems")
    moves = {move["name"]: move for move in data["stems"]["moves"]}
    assert [name for name, move in moves.items() if move["moved"]] == ["vox"]
    level = moves["vox"]["level_db"]
    assert level["value"] == pytest.approx(0.3, abs=max(5 * level["sd"], 0.01))
    assert data["stems"]["sum_depth_db"] < -60


def test_stems_that_do_not_make_the_mix_are_said_to(folder, capsys):
    write(folder / "a.wav", mix(times()))
    write(folder / "b.wav", mix(times(), vox=1.0) + noise(round(SECONDS * RATE), 1e-5))
    write(folder / "vox.wav", stem("vox", times()))
    _, data = null(capsys, "a.wav", "b.wav", "--stems", "vox.wav")
    assert "add up to A only to" in data["stems"]["note"]


def test_another_rate_another_length_and_a_mono_file_are_no_obstacle(folder, capsys):
    write(folder / "a.wav", mix(times(rate=44_100))[:, :1], 44_100)
    inside = mix(times(2.5, delay=-1.2 * RATE))[:, :1]
    write(folder / "b.wav", np.repeat(inside, 2, axis=1), subtype="PCM_24")
    code, data = null(capsys, "a.wav", "b.wav", "--tolerance", -80)
    assert code == 0
    assert data["rate_hz"] == RATE
    assert data["delay_samples"] == pytest.approx(-1.2 * RATE, abs=0.01)


def test_the_noise_that_is_left_is_measured_and_the_limit_stands_beside_the_depth(in_noise):
    data = in_noise.data
    assert data["null_depth_db"] == pytest.approx(data["limit_db"], abs=0.5)
    shares = {share["name"]: share["share"]["value"] for share in data["explanation"]["shares"]}
    assert shares["noise"] == pytest.approx(1.0, abs=0.1)
    assert any("noise" in sentence for sentence in data["findings"])


def test_two_folders_are_compared_by_name_and_one_bad_file_stops_nothing(folder, capsys):
    for where, gain in (("before", 1.0), ("after", 0.5)):
        (folder / where).mkdir()
        for number, name in enumerate(("one", "two")):
            write(folder / where / f"{name}.wav", gain * mix(times(3.0, delay=-RATE * number)))
    write(folder / "before" / "alone.wav", mix(times(1.0)))
    (folder / "after" / "two.wav").write_bytes(b"RIFF nothing")
    code, data = null(capsys, "before", "after")
    assert code == 2
    assert data["without_partner"] == ["alone"]
    good, bad = data["pairs"]
    assert good["verdict"] == "pass"
    assert good["gain_db"] == pytest.approx([20 * math.log10(0.5)] * 2, abs=1e-4)
    assert bad["verdict"] == "error"
    assert "two.wav" in bad["error"]
    assert (data["passed"], data["failed"]) == (1, 1)


def test_folders_without_a_common_name_are_told_so(folder, capsys):
    for where, name in (("x", "one"), ("y", "two")):
        (folder / where).mkdir()
        write(folder / where / f"{name}.wav", mix(times(1.0)))
    code, data = null(capsys, "x", "y")
    assert code == 2
    assert "nothing to compare" in data["error"]


def test_two_that_have_nothing_in_common_end_in_a_sentence_and_leave_nothing_behind(folder, capsys):
    write(folder / "a.wav", mix(times(3.0)))
    write(folder / "b.wav", noise(3 * RATE, 0.1))
    code, data = null(capsys, "a.wav", "b.wav")
    assert code == 1
    assert "nothing in common" in data["error"]
    assert not list(folder.glob("*-null"))


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.full((RATE, 2), np.nan), "not a number"),
        (np.zeros((RATE, 2)), "silent"),
        (np.full((1, 2), 0.5), "1 frame"),
    ],
)
def test_bad_files_end_in_a_sentence_that_says_which(folder, capsys, audio: Audio, said: str):
    write(folder / "a.wav", mix(times(2.0)))
    write(folder / "b.wav", audio)
    code, data = null(capsys, "a.wav", "b.wav")
    assert code in (1, 2)
    assert said in data["error"]
    assert not list(folder.glob("*-null"))


def test_a_file_with_itself_is_identical_and_says_so(folder, capsys):
    write(folder / "a.wav", mix(times(3.0)))
    code, data = null(capsys, "a.wav", "a.wav")
    assert code == 0
    assert data["null_depth_db"] is None
    assert data["null_depth_db_note"].startswith("identical")
    assert data["verdict"] == "pass"
    code, data = null(capsys, "a.wav", "a.wav", "--align-only")
    assert code == 0
    assert data["corrected_file"] is None
