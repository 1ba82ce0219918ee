"""A probe written to a file, played and recorded elsewhere on another clock, gives the calibration that was there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from fake_loops import RATE_HZ, Bench, Loops, straight

from controller.cli.main import main

PARTS = ("--only", "latency", "--only", "noise")
PPM = 12.0
OFFSET_S = 3.217


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["calibrate", "--rig", "bench.toml", *words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


def recorded(
    probe: Path,
    paths: dict[tuple[int, int], tuple[float, int]],
    *,
    inputs: int = 3,
    ppm: float = PPM,
    noise: float = 1e-4,
) -> np.ndarray:
    """What another room's recorder holds: the loops, its own clock (libsoxr), its own start and noise."""
    played, rate = soundfile.read(probe, dtype="float64", always_2d=True)
    assert rate == RATE_HZ
    heard = np.zeros((len(played) + 4_000, inputs))
    for (output, goal), (gain, delay) in paths.items():
        heard[delay : delay + len(played), goal - 1] += gain * played[:, output - 1]
    heard = soxr.resample(heard, RATE_HZ, RATE_HZ * (1.0 + ppm * 1e-6), quality="VHQ")
    before = np.zeros((round(OFFSET_S * RATE_HZ), inputs))
    audio = np.concatenate([before, heard])
    return audio + np.random.default_rng(5).normal(0.0, noise, audio.shape)


def write(path: Path, audio: np.ndarray, rate: int = RATE_HZ) -> Path:
    soundfile.write(path, audio, rate, subtype="FLOAT")
    return path


def test_the_probe_says_how_long_it_is_and_where_it_starts(home: Path, capsys) -> None:
    Bench(home, Loops({}))
    code, told, _ = command(capsys, "--make-probe", "probe.wav", *PARTS)
    facts = soundfile.info("probe.wav")
    assert code == 0
    assert (facts.channels, facts.samplerate, facts.subtype) == (3, RATE_HZ, "PCM_24")
    assert told["probe"] == "probe.wav"
    assert told["seconds_of_signal"] == pytest.approx(facts.duration, abs=0.01)
    assert told["starts_at_dbfs"] == -60.0
    assert told["id"].encode() in Path("probe.wav").read_bytes()[:1024]
    first, _ = soundfile.read("probe.wav", frames=RATE_HZ // 2 + 16_384, always_2d=True)
    assert 20 * np.log10(np.sqrt(np.mean(first[-16_384:] ** 2)) * math.sqrt(2)) == pytest.approx(-60.0, abs=0.1)
    code, _, said = command(capsys, "--make-probe", "probe.wav", *PARTS)
    assert code == 2
    assert "already there" in said
    assert sorted(path.name for path in home.glob("*.wav")) == ["probe.wav"]


def test_the_same_rig_and_options_give_the_same_probe(home: Path, capsys) -> None:
    Bench(home, Loops({}))
    for name in ("a.wav", "b.wav"):
        command(capsys, "--make-probe", name, *PARTS)
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    _, other, _ = command(capsys, "--make-probe", "c.wav", "--only", "noise")
    assert other["id"].encode() not in Path("a.wav").read_bytes()[:1024]


@pytest.mark.parametrize("ppm", [12.0, -35.0, 0.0])
def test_a_recording_on_another_clock_gives_the_loops(home: Path, capsys, ppm: float) -> None:
    Bench(home, Loops({}))
    command(capsys, "--make-probe", "probe.wav", *PARTS)
    paths = straight()
    paths[2, 2] = (-0.75, 106)
    write(home / "in.wav", recorded(Path("probe.wav"), paths, ppm=ppm, noise=1e-5))
    code, told, said = command(capsys, "--from-recording", "in.wav", *PARTS)
    assert code == 1, said
    assert [problem["what"] for problem in told["problems"]] == ["loopback/2 comes back with inverted polarity"]
    assert told["drift_ppm"] == pytest.approx(ppm, abs=2e-3)
    assert ("not locked" in told["clock"]) == (ppm != 0.0)
    assert told["recording"] == "in.wav"
    for loop, (gain, delay) in zip(told["loops"], paths.values(), strict=True):
        assert loop["polarity"] == (1 if gain > 0 else -1)
        assert loop["gain_db"] == pytest.approx(20 * math.log10(abs(gain)), abs=2e-3)
        assert loop["latency_samples"] is None
        assert "no common start" in loop["latency_samples_note"]
        assert loop["skew_samples"] == pytest.approx(delay - 106, abs=1e-3)
    assert told["loops"][0]["noise_dbfs"] == pytest.approx(-97.8, abs=0.3)


def test_the_mark_is_found_however_loud_the_rest_of_the_probe_is(home: Path, capsys) -> None:
    Bench(home, Loops({}), count=1)
    parts = ("--only", "levels", "--only", "clock", "--level", "-1")
    command(capsys, "--make-probe", "probe.wav", *parts)
    write(home / "in.wav", recorded(Path("probe.wav"), {(1, 1): (0.9, 200)}, inputs=1, ppm=23.0, noise=1e-5))
    code, told, said = command(capsys, "--from-recording", "in.wav", *parts)
    assert code == 0, said
    assert told["drift_ppm"] == pytest.approx(23.0, abs=1e-3)
    assert told["loops"][0]["linearity_db"] == pytest.approx(0.0, abs=0.03)
    assert told["loops"][0]["gain_997_db"] == pytest.approx(20 * math.log10(0.9), abs=1e-3)


def test_a_cable_pulled_while_it_was_recorded_is_named(home: Path, capsys) -> None:
    Bench(home, Loops({}))
    command(capsys, "--make-probe", "probe.wav", "--only", "response")
    audio = recorded(Path("probe.wav"), straight(), noise=1e-5)
    audio[-round(4.0 * RATE_HZ) :, 2] *= 0.001
    write(home / "in.wav", audio)
    code, told, _ = command(capsys, "--from-recording", "in.wav", "--only", "response")
    assert code == 1
    (problem,) = told["problems"]
    assert "loop 3 vanished" in problem["what"]
    assert "into the response measurement" in problem["what"]
    assert [loop["ok"] for loop in told["loops"]] == [True, True, False]


BAD = {
    "cut short": (lambda audio: audio[: -6 * RATE_HZ], RATE_HZ, "is cut short: it ends"),
    "begins late": (lambda audio: audio[round((OFFSET_S + 2.0) * RATE_HZ) :], RATE_HZ, "begins after the probe did"),
    "too few channels": (
        lambda audio: audio[:, :2],
        RATE_HZ,
        "has 2 channels, and the rig's loops come back on inputs up to 3",
    ),
    "another rate": (lambda audio: audio[: 4 * RATE_HZ], 44_100, "is at 44100 Hz, and the rig runs at 48000 Hz"),
    "noise": (lambda audio: np.random.default_rng(1).normal(0, 0.1, (8 * RATE_HZ, 3)), RATE_HZ, "holds no probe"),
    "silence": (lambda audio: np.zeros((8 * RATE_HZ, 3)), RATE_HZ, "holds no probe"),
    "one sample": (lambda audio: np.zeros((1, 3)), RATE_HZ, "holds no probe"),
    "not numbers": (
        lambda audio: np.where(np.arange(len(audio))[:, None] == 9, np.nan, audio),
        RATE_HZ,
        "not a number",
    ),
    "overloaded": (
        lambda audio: np.where(np.arange(len(audio))[:, None] // (RATE_HZ // 2) == 16, 1.0, audio),
        RATE_HZ,
        "overloads",
    ),
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, np.ndarray]:
    folder = tmp_path_factory.mktemp("probe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        patch.chdir(folder)
        rig = Bench(folder, Loops({})).rig
        assert main(["calibrate", "--rig", str(rig), "--make-probe", "probe.wav", *PARTS, "-q"]) == 0
        return rig.read_bytes(), recorded(folder / "probe.wav", straight())


@pytest.mark.parametrize(("spoil", "rate", "said"), BAD.values(), ids=BAD)
def test_a_bad_recording_gets_one_sentence(home: Path, capsys, spoilt, spoil, rate, said) -> None:
    rig, audio = spoilt
    (home / "bench.toml").write_bytes(rig)
    write(home / "in.wav", spoil(audio), rate)
    code, told, err = command(capsys, "--from-recording", "in.wav", *PARTS)
    assert (code, told) == (2, {})
    assert said in err
    assert "Traceback" not in err
    assert not list(home.rglob("*-calibration.json"))


def test_a_recording_of_another_probe_is_told_from_none(home: Path, capsys, spoilt) -> None:
    rig, audio = spoilt
    (home / "bench.toml").write_bytes(rig)
    write(home / "in.wav", audio)
    code, _, err = command(capsys, "--from-recording", "in.wav", "--only", "noise")
    assert code == 2
    assert "another probe" in err
    assert "--level" in err


def test_a_file_that_is_none_or_is_not_there_is_named(home: Path, capsys) -> None:
    Bench(home, Loops({}))
    (home / "text.wav").write_text("not audio at all, and long enough to look like it")
    assert "text.wav" in command(capsys, "--from-recording", "text.wav")[2]
    assert "gone.wav" in command(capsys, "--from-recording", "gone.wav")[2]
    code, _, said = command(capsys, "--from-recording", "a.wav", "--make-probe", "b.wav")
    assert code == 2
    assert "not allowed with" in said or "--make-probe" in said
