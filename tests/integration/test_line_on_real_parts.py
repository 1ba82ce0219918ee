"""The whole line by its commands, on real parts: a JACK server, JACK MIDI, a pseudo-terminal, the room another process.

Each session serves one room, works through it, and ends; the tests look at what it left. Two shared cores see xruns:
the product must repair them, so nothing here is tried twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from real_parts import ROOT, Served, point_at, start_jack

pytestmark = pytest.mark.real

RATE_HZ = 48_000
SONG_S = 5.0
WAIT_S = 120.0
ROOM_LATENCY = 41
FRAME_BYTES = 8
HEADER_ROOM = 4096
NOISE_DBFS, STRIP_NOISE_DBFS, CROSSTALK_DB = -82.0, -94.0, -62.0

QUIET = """
[converters]
latency_samples = {latency}
ad_noise_dbfs = "off"
[desk]
bus_noise_dbfs = {noise}
channel_noise_dbfs = {strip_noise}
crosstalk_db = {crosstalk}
gain_spread_db = 0.0
eq_tolerance_percent = 0.0
h2_db = "off"
h3_db = "off"
hum_dbfs = "off"
rail_dbu = 60.0
[comp]
noise_dbfs = "off"
"""
OFF = '"off"'

# name: fader [dB], pan; all mono, seats 1 to 5, in the mix's order. Faders between the desk's steps.
MIX = {
    "bass": (-2.37, 0.0),
    "guitar": (-7.91, -37.0),
    "keys": (-5.43, 64.0),
    "vox": (-1.13, 5.5),
    "whistle": (-31.7, -90.0),
}
BANDS_HZ = {
    "bass": (40, 400),
    "guitar": (150, 6_000),
    "keys": (200, 9_000),
    "vox": (120, 12_000),
    "whistle": (900, 4_000),
}
FADER_POINTS = ((1, -80.0), (20, -60.0), (48, -40.0), (104, -20.0), (144, -10.0), (192, 0.0), (255, 10.0))
"""The desk's published law (docs/devices/room-desk-24.md): position and dB, straight lines between."""


def song(name: str) -> np.ndarray:
    """One stem: noise that swells and dies in its own rhythm and band, shape (frames,)."""
    number = list(MIX).index(name)
    frames = round(SONG_S * RATE_HZ)
    beat = (np.arange(frames) / RATE_HZ * (1.3 + 0.4 * number)) % 1.0
    swell = np.exp(-2.0 * beat) * np.sin(np.pi * np.arange(frames) / frames) ** 0.25
    spectrum = np.fft.rfft(np.random.default_rng(number).standard_normal(frames) * swell)
    freqs = np.fft.rfftfreq(frames, 1 / RATE_HZ)
    low, high = BANDS_HZ[name]
    spectrum[(freqs < low) | (freqs > high)] = 0.0
    audio = np.fft.irfft(spectrum, frames)
    return 0.3 * audio / np.abs(audio).max()


def read(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, always_2d=True)[0])


def fader_db(step: float) -> float:
    positions, levels = zip(*FADER_POINTS, strict=True)
    return float(np.interp(step, positions, levels))


def nearest_fader_db(wanted_db: float) -> float:
    return min((fader_db(step) for step in range(1, 256)), key=lambda level: abs(level - wanted_db))


def nearest_pan(wanted: float) -> float:
    return min(((step - 64) / 63 * 100 for step in range(1, 128)), key=lambda pan: abs(pan - wanted))


def pan_gains(pan: float) -> np.ndarray:
    angle = (pan + 100) / 200 * math.pi / 2
    return np.array([math.cos(angle), math.sin(angle)])


@dataclass
class Session:
    """What a session's commands said: exit code, data and talk, by what was done."""

    folder: Path
    codes: dict[str, int] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    talk: dict[str, str] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "controller", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, what: str, *arguments: str) -> dict[str, Any]:
        """Run one command with ``--json`` and keep all it said."""
        process = self.start(*arguments, "--json")
        out, self.talk[what] = process.communicate(timeout=WAIT_S)
        self.codes[what] = process.returncode
        assert "Traceback" not in self.talk[what], self.talk[what]
        assert out, f"{what}: {self.talk[what]}"
        self.data[what] = json.loads(out)
        return self.data[what]

    def new_song(self) -> None:
        (self.folder / "stems").mkdir()
        for name in MIX:
            soundfile.write(self.folder / "stems" / f"{name}.wav", song(name), RATE_HZ, subtype="PCM_24")
        self.run("new", "new", "song", "--stems", "stems", "--rig", "room")
        mix = (self.folder / "song" / "mixes" / "mix-1.toml").read_text()
        for name, (fader, pan) in MIX.items():
            strip = re.compile(rf'(name = "{name}".*?fader_db = )\S+(.*?\npan = )\S+', re.DOTALL)
            mix, changed = strip.subn(rf"\g<1>{fader}\g<2>{pan}", mix, count=1)
            assert changed == 1
        (self.folder / "song" / "mixes" / "mix-2.toml").write_text(mix)

    def audio(self, what: str) -> np.ndarray:
        return read(self.folder / self.data[what]["file"])


@contextlib.contextmanager
def session_with(
    folder: Path,
    *,
    faults: str = "",
    noise: str | float = OFF,
    strip_noise: str | float = OFF,
    crosstalk: str | float = OFF,
) -> Iterator[tuple[Session, Served]]:
    """Serve a room as its own process, with a home of its own."""
    circuit = QUIET.format(latency=ROOM_LATENCY, noise=noise, strip_noise=strip_noise, crosstalk=crosstalk)
    model = folder / "room.toml"
    model.write_text("schema = 1\n" + circuit + faults)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        room = Served(folder, command=("-m", "controller", "room", "serve", "--model", str(model)))
        try:
            room.ready = room.line()
            yield Session(folder), room
        finally:
            room.close()


IN_SHORT = ("--only", "patch", "--only", "noise")
"""What a print needs of a calibration; all parts are measured on the room inside the program."""


@pytest.fixture(scope="module")
def ideal(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The whole line on an ideal desk."""
    with session_with(tmp_path_factory.mktemp("ideal")) as (session, room):
        session.new_song()
        session.run("calibrate", "calibrate", "--rig", "room", "--yes", *IN_SHORT)
        session.run("send", "recall", "send", "song", "--yes", "--hands-done")
        session.knobs = room.ask("knobs")["knobs"]
        session.run("verify", "recall", "verify", "song")
        session.run("analog", "print", "song", "--path", "analog", "--yes", "--hands-done")
        session.run("itb", "print", "song", "--path", "itb")
        session.run("null", "null", session.data["itb"]["file"], session.data["analog"]["file"], "--tolerance", "-80")
    return session


@pytest.fixture(scope="module")
def noisy(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The line on a desk with noise and crosstalk and nothing else."""
    figures = {"noise": NOISE_DBFS, "strip_noise": STRIP_NOISE_DBFS, "crosstalk": CROSSTALK_DB}
    with session_with(tmp_path_factory.mktemp("noisy"), **figures) as (session, room):
        session.new_song()
        session.run("calibrate", "calibrate", "--rig", "room", "--yes", *IN_SHORT)
        session.run("analog", "print", "song", "--path", "analog", "--yes", "--hands-done")
        session.knobs = room.ask("knobs")["knobs"]
        session.run("itb", "print", "song", "--path", "itb")
        session.run("null", "null", session.data["itb"]["file"], session.data["analog"]["file"])
    return session


@pytest.fixture(scope="module")
def killed(ideal: Session, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The ideal session's room and song again; its pass is killed after two seconds, and the project opened.

    On a server of its own, which ends with the pass: jackd in its synchronous mode makes every new client wait five
    seconds for each client that was killed.
    """
    folder = tmp_path_factory.mktemp("killed")
    for name in ("home", "song", "stems"):
        shutil.copytree(ideal.folder / name, folder / name, ignore=shutil.ignore_patterns("run"))
    server = start_jack(folder, "k")
    with contextlib.ExitStack() as ends:
        ends.callback(server.stop)
        point_at(ends.enter_context(pytest.MonkeyPatch.context()), server.name)
        session, _ = ends.enter_context(session_with(folder))
        session.run("verify", "recall", "verify", "song")  # this desk was switched off since its recall
        session.contents = contents(folder / "song")
        process = session.start("print", "song", "--path", "analog", "--yes", "--hands-done")
        partial = folder / "song" / "prints" / ".partial-0003.wav"
        deadline = time.monotonic() + WAIT_S
        while not (partial.exists() and partial.stat().st_size > HEADER_ROOM + 2 * RATE_HZ * FRAME_BYTES):
            assert time.monotonic() < deadline
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                raise AssertionError(process.communicate())
        process.kill()
        process.communicate()
        session.codes["killed"] = process.returncode
        session.data["killed"] = {"bytes": partial.stat().st_size}
        server.stop()
        session.run("reopened", "recall", "plan", "song")
    return session


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def wrong(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A desk with two cables exchanged and a strip that turns the polarity."""
    faults = '[[fault]]\nkind = "swapped"\nchannels = [5, 6]\n[[fault]]\nkind = "inverted"\nchannel = 12\n'
    with session_with(tmp_path_factory.mktemp("wrong"), faults=faults) as (session, _):
        session.run("calibrate", "calibrate", "--rig", "room", "--yes", *IN_SHORT)
    return session


def test_every_command_of_the_line_succeeds(ideal: Session) -> None:
    assert set(ideal.codes.values()) == {0}, ideal.codes


def test_every_loop_has_one_whole_latency_and_unity_gain(ideal: Session) -> None:
    data = ideal.data["calibrate"]
    assert data["problems"] == []
    latencies = np.array([loop["latency_samples"] for loop in data["loops"]])
    assert len(latencies) == 24
    assert np.abs(latencies - round(float(latencies[0]))).max() <= 0.01
    # The room's own, and whole periods of the server's.
    assert (round(float(latencies[0])) - ROOM_LATENCY) % 256 == 0
    assert max(abs(loop["gain_db"]) for loop in data["loops"]) <= 0.01
    assert {loop["polarity"] for loop in data["loops"]} == {1}


def test_the_room_decoded_the_mix_from_bytes_on_its_published_scales(ideal: Session) -> None:
    for seat, (fader, pan) in enumerate(MIX.values(), 1):
        strip = f"desk/ch{seat:02d}"
        assert ideal.knobs[f"{strip}/fader"] == pytest.approx(nearest_fader_db(fader), abs=1e-6)
        assert ideal.knobs[f"{strip}/pan"] == pytest.approx(nearest_pan(pan), abs=1e-6)
        assert ideal.knobs[f"{strip}/mute"] is False
        assert ideal.knobs[f"{strip}/eq/in"] is False
    assert all(ideal.knobs[f"desk/ch{seat:02d}/mute"] is True for seat in range(len(MIX) + 1, 25))
    assert any(abs(ideal.knobs[f"desk/ch{seat:02d}/fader"] - MIX[name][0]) > 0.03 for seat, name in enumerate(MIX, 1))
    assert {control["known"] for control in ideal.data["send"]["controls"]} <= {"read-back", "acknowledged", "sent"}


def test_the_print_through_jack_nulls_against_the_box(ideal: Session) -> None:
    data = ideal.data["null"]
    assert data["null_depth_db"] <= -80.0
    assert data["delay_samples"] == pytest.approx(0.0, abs=0.01)
    assert data["polarity"] == [1, 1]
    assert data["gain_db"] == pytest.approx([0.0, 0.0], abs=0.01)
    analog, itb = ideal.audio("analog"), ideal.audio("itb")
    assert analog.shape == itb.shape
    assert 20 * math.log10(np.std(analog - itb) / np.std(itb)) <= -80.0


def test_the_pass_says_what_it_lost_and_repaired(ideal: Session) -> None:
    data = ideal.data["analog"]
    assert data["path"] == "analog"
    assert {"print", "file", "rate_hz", "frames", "allocation", "xruns", "repairs", "provenance"} <= set(data)
    assert bool(data["xruns"]) == bool(data["repairs"])
    provenance = json.loads((ideal.folder / data["provenance"]).read_text())
    assert provenance["frames"] == data["frames"] == len(ideal.audio("analog"))


def test_kill_9_in_the_middle_of_a_real_pass_is_recovered_and_nothing_else_is_touched(killed: Session) -> None:
    prints = killed.folder / "song" / "prints"
    assert killed.codes == {"verify": 1, "killed": -signal.SIGKILL, "reopened": 0}
    recovered = read(prints / "0003-recovered.wav")
    assert 0 <= killed.data["killed"]["bytes"] - len(recovered) * FRAME_BYTES < HEADER_ROOM
    assert len(recovered) >= 2 * RATE_HZ
    assert f"{len(recovered)} frames" in killed.talk["reopened"]
    assert "0003-recovered.wav" in killed.talk["reopened"]
    after = contents(killed.folder / "song")
    assert {name: after.get(name) for name in killed.contents} == killed.contents
    assert set(after) - set(killed.contents) == {"prints/0003-recovered.wav", "prints/0003-recovered.json"}
    # What was recorded is the song, some whole periods later; not everywhere where an xrun had no time to be repaired.
    song_ = read(prints / "0002-itb.wav")
    agree = [
        np.mean(np.abs(recovered[late:] - song_[: len(recovered) - late]).max(axis=1) < 1e-5)
        for late in range(ROOM_LATENCY, ROOM_LATENCY + 9 * 256, 256)
    ]
    assert max(agree) > 0.5


def test_a_desk_with_noise_and_crosstalk_leaves_what_its_model_says(noisy: Session) -> None:
    itb = noisy.audio("itb")
    expected = expected_residual_dbfs(noisy, itb)
    assert noisy.data["null"]["residual_dbfs"] == pytest.approx(expected, abs=1.0)
    # A floor is read from 20 Hz to 20 kHz (AES17); the model's noise is white up to half the rate.
    floor = (10 ** (NOISE_DBFS / 10) + 12 * 10 ** (STRIP_NOISE_DBFS / 10)) * (20_000 - 20) / (RATE_HZ / 2)
    for loop in noisy.data["calibrate"]["loops"]:
        assert loop["noise_dbfs"] == pytest.approx(10 * math.log10(floor), abs=0.5)
        assert loop["gain_db"] == pytest.approx(0.0, abs=0.01)


def expected_residual_dbfs(session: Session, itb: np.ndarray) -> float:
    """What a gain match leaves of leaked strips and noise, inside the half seconds that a null test leaves out."""
    leaked = np.zeros_like(itb)
    noise = np.full(2, 10 ** (NOISE_DBFS / 10))
    for seat, (name, (fader, pan)) in enumerate(MIX.items(), 1):
        sent = song(name) * 10 ** (fader / 20)
        for near in {seat - 1, seat + 1} & set(range(1, 25)):
            pot = pan_gains(session.knobs[f"desk/ch{near:02d}/pan"])
            leaked[: len(sent)] += 10 ** (CROSSTALK_DB / 20) * sent[:, None] * pot
        noise += 10 ** (STRIP_NOISE_DBFS / 10) * np.square(10 ** (fader / 20) * pan_gains(nearest_pan(pan)))
    inside = slice(RATE_HZ // 2, len(itb) - RATE_HZ // 2)
    mix, leak = itb[inside], leaked[inside]
    matched = leak - mix * (np.sum(mix * leak, axis=0) / np.sum(mix * mix, axis=0))
    power = np.mean(np.square(matched), axis=0) / 0.5 + noise
    return 10 * math.log10(float(np.mean(power)))


def test_swapped_cables_and_an_inverted_channel_are_named_through_jack(wrong: Session) -> None:
    assert wrong.codes["calibrate"] == 1
    said = [problem["what"] for problem in wrong.data["calibrate"]["problems"]]
    assert [loop["output"] for loop in wrong.data["calibrate"]["loops"] if not loop["ok"]] == [5, 6, 12]
    assert said[0] == ("output 5 feeds desk/ch06, not desk/ch05 and output 6 feeds desk/ch05: the cables are swapped")
    assert said[2] == "desk/ch12 comes back with inverted polarity"
