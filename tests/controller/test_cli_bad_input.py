"""Bad input, as the command line answers it: one clear sentence, its exit code, and nothing written or changed."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_line import IN_SHORT, Line, environment, float_wav, tone

import dsp.graph  # its kernels are cached where a user without rights, whom a test plays, may not write
import hardware.ports.midi
import hardware.ports.serial
import hardware.room.kernels
import profiles

FAKE_PORTAUDIO = Path(__file__).resolve().parents[1] / "hardware" / "fake_portaudio"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def refused(line: Line, *words: str, code: int = 2) -> str:
    """Run a command that must fail without a trace, and return its sentence with the hint."""
    before = line.files()
    said = line.run(*words)
    assert (said.code, said.out) == (code, ""), said
    assert said.sentence
    assert line.files() == before
    return said.err[said.err.index("halfnormal: ") :]


# Audio files. 0.5 s of 32-bit float mono is 96 000 bytes of audio behind a header of 44.
SOUND = float_wav(tone(1))
STEMS = {
    "truncated": (SOUND[:40_000], ["truncated", "24000"]),
    "a header only": (SOUND[:30], ["truncated"]),
    "a text": (b"Rough mixes, Tuesday.\n", ["text file", "Rough mixes"]),
    "empty": (b"", ["empty"]),
    "not a number": (float_wav([0.1] * 9600 + [math.nan] + [0.1] * 100), ["frame 9600", "0.2", "NaN"]),
    "infinite": (float_wav([0.1] * 4800 + [-math.inf] + [0.1] * 100), ["frame 4800", "0.1", "infinite"]),
}


@pytest.mark.parametrize("which", STEMS)
def test_a_stem_that_is_no_sound_makes_no_project(line: Line, which: str) -> None:
    data, said = STEMS[which]
    (line.folder / "stems").mkdir()
    (line.folder / "stems" / "vox.wav").write_bytes(data)
    (line.folder / "stems" / "bass.wav").write_bytes(SOUND)
    told = refused(line, "new", "song", "--stems", "stems", "--rig", "small")
    assert "stems/vox.wav" in told
    assert all(word in told for word in said), told
    assert not (line.folder / "song").exists()


@pytest.mark.parametrize("which", STEMS)
def test_a_file_that_is_no_sound_cannot_be_nulled(line: Line, which: str) -> None:
    data, said = STEMS[which]
    (line.folder / "a.wav").write_bytes(SOUND)
    (line.folder / "b.wav").write_bytes(data)
    for pair in (("a.wav", "b.wav"), ("b.wav", "a.wav")):
        told = refused(line, "null", *pair)
        assert "b.wav" in told
        assert all(word in told for word in said), told


def test_a_stem_damaged_after_the_project_was_made_stops_the_print(line: Line) -> None:
    line.add_project()
    stem = line.folder / "song" / "stems" / "vox.wav"
    stem.write_bytes(stem.read_bytes()[:50_000])
    told = refused(line, "print", "song", "--path", "itb")
    assert "song/stems/vox.wav is truncated" in told


def test_a_folder_without_stems_makes_no_project(line: Line) -> None:
    (line.folder / "stems").mkdir()
    assert "stems holds no audio files" in refused(line, "new", "song", "--stems", "stems")
    (line.folder / "stems" / "notes.txt").write_text("none yet")
    assert "1 other file" in refused(line, "new", "song", "--stems", "stems")
    assert "there is no folder" in refused(line, "new", "song", "--stems", "nowhere")
    assert not (line.folder / "song").exists()


def test_a_project_is_never_made_over_another(line: Line) -> None:
    line.add_project()
    assert "nothing is overwritten" in refused(line, "new", "song", "--stems", "stems")


def test_a_file_that_is_there_is_never_overwritten(line: Line) -> None:
    line.add_project()
    (line.folder / "mine.html").write_text("my own page")
    assert "mine.html" in refused(line, "report", "song", "--out", "mine.html")
    assert "mine.html" in refused(line, "recall", "sheet", "song", "--html", "mine.html")


# What people write: the mistake in the file → what the sentence must name.
MIX_MISTAKES = {
    "unknown key": ("trim_db = 0.0", "trimm_db = 0.0", ["line 14", "trimm_db", 'did you mean "trim_db"']),
    "wrong unit": ("attack_ms = 10.0", "attack_s = 0.01", ["attack_s", 'did you mean "attack_ms"']),
    "unit as text": ("fader_db = 0.0", 'fader_db = "-6 dB"', ["line 16", "fader_db", "must be a number"]),
    "out of range": ("fader_db = 0.0", "fader_db = 40.0", ["line 16", "fader_db = 40", "-120..12 dB"]),
    "no number": ("fader_db = 0.0", "fader_db = nan", ["line 16", "fader_db"]),
    "no TOML": ("fader_db = 0.0", "fader_db = ", ["line 16", "not valid TOML"]),
    "newer schema": ("schema = 1", "schema = 2", ["schema 2", "reads up to 1", "Update"]),
    "unknown stem": ('stem = "bass.wav"', 'stem = "bas.wav"', ["bas.wav", "bass.wav"]),
}


@pytest.mark.parametrize("which", MIX_MISTAKES)
@pytest.mark.parametrize("words", [("recall", "plan", "song"), ("print", "song", "--path", "itb")])
def test_a_mistake_in_a_mix_is_named_with_its_line(line: Line, which: str, words: tuple[str, ...]) -> None:
    line.add_project()
    right, wrong, said = MIX_MISTAKES[which]
    mix = line.folder / "song" / "mixes" / "mix-1.toml"
    assert right in mix.read_text()
    mix.write_text(mix.read_text().replace(right, wrong, 1))
    told = refused(line, *words)
    assert "song/mixes/mix-1.toml" in told
    assert all(word in told for word in said), told


PROJECT_MISTAKES = {
    "unknown key": ("rate_hz = 48000", "rate_hz = 48000\ncolour = 3", ["colour"]),
    "wrong unit": ("rate_hz = 48000", "rate_khz = 48", ["rate_khz", "rate_hz"]),
    "out of range": ("rate_hz = 48000", "rate_hz = 48", ["rate_hz = 48", "44100..192000"]),
    "newer schema": ("schema = 1", "schema = 3", ["schema 3", "Update"]),
}


@pytest.mark.parametrize("which", PROJECT_MISTAKES)
def test_a_mistake_in_a_project_is_named(line: Line, which: str) -> None:
    line.add_project()
    right, wrong, said = PROJECT_MISTAKES[which]
    file = line.folder / "song" / "project.toml"
    file.write_text(file.read_text().replace(right, wrong))
    told = refused(line, "recall", "plan", "song")
    assert "song/project.toml" in told
    assert all(word in told for word in said), told


RIG_MISTAKES = {
    "unknown key": ("rate_hz = 48000", "rate = 48000", ["line 6", "'rate'", "rate_hz"]),
    "wrong unit": ("rate_hz = 48000", 'rate_hz = "48 kHz"', ["line 6", "rate_hz", "whole number"]),
    "out of range": ("rate_hz = 48000", "rate_hz = 48", ["line 6", "rate_hz", ">= 8000"]),
    "newer schema": ("schema = 1", "schema = 9", ["schema 9", "Update"]),
    "uneven wiring": ('outputs = "1-4"', 'outputs = "1-5"', ["5 channels", "4 places"]),
    "no TOML": ('name = "small"', "name = small", ["not valid TOML"]),
}


@pytest.mark.parametrize("which", RIG_MISTAKES)
@pytest.mark.parametrize("words", [("rig", "check"), ("calibrate", "--yes")])
def test_a_mistake_in_a_rig_is_named_with_its_line(line: Line, which: str, words: tuple[str, ...]) -> None:
    right, wrong, said = RIG_MISTAKES[which]
    file = line.home / "rigs" / "small.toml"
    file.write_text(file.read_text().replace(right, wrong, 1))
    told = refused(line, *words, "--rig", "small")
    assert "small.toml" in told
    assert all(word in told for word in said), told


PROFILE_MISTAKES = {
    "unknown key": ("maker =", "makr =", [":4:", "makr", "maker"]),
    "wrong unit": ('unit = "ms"', 'unit = "sec"', ["unit", "'sec'", "ms"]),
    "out of range": ("default = 20", "default = 99", ["control 1", "99", "-20 to 20"]),
    "newer schema": ("schema = 1", "schema = 9", ["schema 9", "Update"]),
    "no TOML": ("schema = 1", "schema : 1", ["not TOML", "line 2"]),
}


@pytest.mark.parametrize("which", PROFILE_MISTAKES)
def test_a_mistake_in_a_profile_is_named_with_its_line(line: Line, which: str) -> None:
    right, wrong, said = PROFILE_MISTAKES[which]
    text = (Path(profiles.__file__).parent / "outboard" / "room-comp.toml").read_text()
    (line.folder / "mine.toml").write_text(text.replace(right, wrong, 1))
    told = refused(line, "profile", "check", "mine.toml")
    assert "mine.toml" in told
    assert all(word in told for word in said), told


MODEL_MISTAKES = {
    "unknown key": ("[desk]\nhum = -60", ["desk.hum", "hum_dbfs"]),
    "wrong unit": ('[desk]\nhum_dbfs = "-60 dBFS"', ["desk.hum_dbfs", "-200 to -20 dBFS"]),
    "out of range": ("[desk]\nhum_dbfs = 60", ["desk.hum_dbfs", "60", "-200 to -20 dBFS"]),
    "unknown fault": ('[[fault]]\nkind = "deaf"', ["fault 1", "deaf", "dead"]),
    "no TOML": ("desk:", ["not valid TOML"]),
}


@pytest.mark.parametrize("which", MODEL_MISTAKES)
def test_a_mistake_in_a_room_model_is_named(line: Line, which: str) -> None:
    text, said = MODEL_MISTAKES[which]
    line.add_rig("small", model="mine.toml")
    (line.home / "rigs" / "mine.toml").write_text(f"schema = 1\n{text}\n")
    for words in (("calibrate", "--rig", "small", "--yes"), ("demo", "--model", "home/rigs/mine.toml", "--out", "d")):
        told = refused(line, *words)
        assert "mine.toml" in told
        assert all(word in told for word in said), told


def test_a_room_model_of_a_newer_version_is_refused(line: Line) -> None:
    (line.folder / "next.toml").write_text("schema = 7\n")
    assert "7 is newer" in refused(line, "demo", "--model", "next.toml", "--out", "d")
    assert "nowhere.toml" in refused(line, "demo", "--model", "nowhere.toml", "--out", "d")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("calibrate", "--rig", "smal"), "small"),
        (("rig", "check", "--rig", "demmo"), "demo"),
        (("profile", "show", "rom-desk-24"), "room-desk-24"),
        (("profile", "encode", "room-desk-24", "ch07/fadr", "0"), "ch07/fader"),
        (("new", "song", "--stems", "stems", "--rig", "smal"), "small"),
        (("print", "song", "--path", "itb", "--mix", "mix-11"), "mix-1"),
        (("recall", "plan", "song", "--rig", "smal"), "small"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(line: Line, words: tuple[str, ...], hint: str) -> None:
    if words[0] != "new":
        line.add_project()
    assert hint in refused(line, *words)


def test_a_profile_that_a_rig_names_and_nobody_has(line: Line) -> None:
    file = line.home / "rigs" / "small.toml"
    file.write_text(file.read_text().replace('profile = "room-comp"', 'profile = "rom-comp"'))
    assert "room-comp" in refused(line, "calibrate", "--rig", "small", "--yes")


# Ports


class MidiSystem:
    """A MIDI system with one port, by the calls that looking for a port makes."""

    def __init__(self, direction: str, name: str) -> None: ...

    def get_ports(self) -> list[str]:
        return ["Fireface Midi 1"]

    def get_current_api(self) -> int:
        return 0

    def delete(self) -> None: ...


def test_a_midi_port_that_does_not_exist_lists_those_that_do(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.ports.midi, "_client", MidiSystem)
    line.add_rig("small", desk="midi:Desk")
    told = refused(line, "calibrate", "--rig", "small", "--yes", code=3)
    assert 'No MIDI output "Desk"' in told
    assert "Fireface Midi 1" in told
    line.add_project()
    before = line.files()
    said = line.run("recall", "send", "song", "--yes", "-q")
    assert said.code == 3
    assert said.err.count('No MIDI output "Desk". There are: "Fireface Midi 1".') == 1
    assert "landed" not in said.err
    journal = "home/rigs/small/runs/0001.json"
    assert set(line.files()) - set(before) <= {"home/rigs/small/state.json", journal}


def test_without_jack_the_sentence_says_so(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    import rtmidi

    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("this rtmidi has no JACK")
    monkeypatch.setenv("HALFNORMAL_MIDI_API", "jack")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"hn{os.getpid()}none")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    line.add_rig("small", desk="midi:Desk")
    told = refused(line, "calibrate", "--rig", "small", "--yes", code=3)
    assert "No MIDI system runs here" in told
    assert "JACK server not running" in told
    assert "jackd" in told, "what to do"
    told = refused(line, "room", "serve", "--rig", "small", code=3)
    assert "JACK server not running" in told


@POSIX
def test_a_serial_port_that_does_not_exist_lists_those_that_do(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.ports.serial, "list_serial_ports", lambda: ["/dev/ttyUSB0"])
    line.add_rig("small", matrix="serial:/dev/ttyNOPE")
    line.add_project(insert=True)
    told = line.json("recall", "send", "song", "--yes", "--hands-done", code=3)
    assert set(told["failed_devices"]) == {"matrix"}
    said = line.run("recall", "resume", "song", "--yes", "-q")
    assert said.code == 3
    assert 'No serial port "/dev/ttyNOPE". There are: /dev/ttyUSB0.' in said.err
    line.run("calibrate", "--rig", "small", "--yes", *IN_SHORT)
    prints = line.folder / "song" / "prints"
    said = line.run("print", "song", "--path", "analog", "--yes", "--hands-done", "-q")
    assert (said.code, list(prints.iterdir())) == (3, [])
    assert "/dev/ttyUSB0" in said.sentence


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("silent_serial", 4, "did not answer within 0.5 s"),
        ("garbage_serial", 3, "which its profile does not know"),
    ],
)
def test_a_serial_device_that_is_silent_or_talks_nonsense(line: Line, fault: str, code: int, words: str) -> None:
    """The device is named with the control it stopped at; the others go on; silence is a timeout, nonsense is not."""
    line.add_rig("small", faults=[f'kind = "{fault}"'])
    line.add_project(insert=True)
    said = line.run("recall", "send", "song", "--yes", "--hands-done", "-q")
    assert said.code == code
    assert said.err.count(words) == 1
    assert "✕ matrix: " in said.err
    assert "matrix/out01/tie" in said.err
    told = line.json("recall", "plan", "song")
    left = {control["address"] for control in told["controls"]}
    assert left - {"desk/master/fader"} == {f"matrix/out0{n}/tie" for n in range(1, 5)}, "it dims while routing is open"
    seen = line.json("recall", "verify", "song", code=code)
    assert {c["state"] for c in seen["controls"] if c["address"].startswith("matrix/")} == {"not-read"}
    line.run("calibrate", "--rig", "small", "--yes", *IN_SHORT)
    said = line.run("print", "song", "--path", "analog", "--yes", "--hands-done", "-q")
    assert said.code == code
    assert words in said.sentence
    assert list((line.folder / "song" / "prints").iterdir()) == []


@POSIX
@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("missing", ["PortAudio is not installed", "libportaudio2"]),
        ("empty", ["no audio device", "JACK is not running"]),
        ("", ['No audio device "Fireface"', '"Cable", "Cable Two"']),
    ],
)
def test_audio_that_is_not_there_moves_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch, mood: str, said: list[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAKE_PORTAUDIO))
    monkeypatch.setenv("FAKE_PORTAUDIO", mood)
    line.add_rig("small", audio="Fireface")
    told = refused(line, "calibrate", "--rig", "small", "--yes", code=3)
    assert all(word in told for word in said), told


# Disks

PRINT_ON_A_SMALL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from controller.cli.main import main
sys.exit(main(["print", "song", "--path", "analog", "--yes", "--hands-done", "-q"]))
"""


@POSIX
def test_a_disk_that_fills_up_in_mid_pass_loses_nothing_recorded(line: Line) -> None:
    line.add_project()
    line.calibrated()
    before = line.files()
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ON_A_SMALL_DISK],
        cwd=line.folder,
        env=environment(line.folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr
    assert {name: line.files()[name] for name in before if "rigs" not in name} == {
        name: digest for name, digest in before.items() if "rigs" not in name
    }
    said = line.run("report", "song")
    assert said.code == 0
    recovered = line.folder / "song" / "prints" / "0001-recovered.wav"
    assert recovered.stat().st_size > 90_000


@POSIX
def test_a_project_that_may_not_be_written(
    read_only_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dsp.graph
    assert hardware.room.kernels
    line = Line(read_only_folder.parent, monkeypatch, capsys)
    line.add_project()
    assert "cannot write locked/song" in refused(line, "new", "locked/song", "--stems", "stems", "--rig", "small")
    with locked(line.folder / "song"):
        for words in (("print", "song", "--path", "itb"), ("report", "song")):
            assert "permission denied" in refused(line, *words).lower()
        assert line.run("recall", "plan", "song").code == 0, "looking needs no right to write"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in folders:
            path.chmod(0o755)
