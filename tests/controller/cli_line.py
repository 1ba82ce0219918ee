"""The command line as its users have it: what is typed, what comes out on which stream, what is on disk afterwards."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 48_000
STEM_FRAMES = 24_000

SMALL_RIG = """\
schema = 1
name = "{name}"

[audio]
port = "{audio}"
rate_hz = 48000
outputs = 4
inputs = 2

[room]
model = "{model}"

[[device]]
name = "desk"
profile = "room-desk-24"
port = "{desk}"

[[device]]
name = "comp"
profile = "room-comp"
port = "room:comp"

[[device]]
name = "matrix"
profile = "extron-sis-matrix"
port = "{matrix}"

[[wire]]
outputs = "1-4"
to = "desk/ch01-04"

[[return]]
from = "desk/mix"
inputs = "1-2"

[[insert]]
at = "desk/mix"
device = "comp"

[insert.switch]
"matrix/out01/tie" = 1
"matrix/out02/tie" = 2
"matrix/out03/tie" = 3
"matrix/out04/tie" = 4
"desk/master/insert" = true

[insert.bypass]
"desk/master/insert" = false
"""
"""Four strips of the virtual room with its compressor behind the serial matrix: all transports, little time."""


IN_SHORT = ("--only", "patch", "--only", "noise")
"""What a print needs of a calibration, for tests that do not ask what else is measured."""

_CALIBRATED: dict[str, dict[Path, bytes]] = {}
"""Rig file → what calibrating it leaves in its home; measured once in this session."""


@dataclass(frozen=True)
class Said:
    """What one command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The sentence about a mistake, without the program's name and without the hint."""
        assert "Traceback" not in self.err, self.err
        told = [line for line in self.err.splitlines() if line.startswith("halfnormal: ")]
        assert len(told) == 1, self.err
        return told[0].removeprefix("halfnormal: ")


class Line:
    """Types commands in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._capsys = capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HALFNORMAL_HOME", str(self.home))
        (self.home / "rigs").mkdir(parents=True)
        self.add_rig("small")

    def run(self, *words: str) -> Said:
        """Run one command in this process; nobody sits at a terminal."""
        code = main(words)
        captured = self._capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run a command with ``--json`` and return its one object."""
        said = self.run(*words, "--json")
        assert said.code == code, said
        return only_object(said.out)

    def add_rig(self, name: str, *, model: str = "", faults: Sequence[str] = (), **ports: str) -> None:
        """Add a rig of the user's own; ``faults`` are the keys of a ``[[fault]]`` each."""
        if faults:
            model = f"{name}-model.toml"
            text = "schema = 1\n" + "".join(f"[[fault]]\n{fault}\n" for fault in faults)
            (self.home / "rigs" / model).write_text(text)
        words = {"audio": "room", "desk": "room:desk", "matrix": "room:matrix", **ports}
        (self.home / "rigs" / f"{name}.toml").write_text(SMALL_RIG.format(name=name, model=model, **words))

    def add_project(self, *, insert: bool = False) -> None:
        """Make ``song`` from two mono stems and a stereo one; ``insert`` puts the bus compressor into its mix."""
        stems = self.folder / "stems"
        stems.mkdir()
        for name, channels in (("bass", 1), ("keys", 2), ("vox", 1)):
            (stems / f"{name}.wav").write_bytes(float_wav(tone(channels), channels))
        said = self.run("new", "song", "--stems", "stems", "--rig", "small")
        assert said.code == 0, said
        if insert:
            mix = self.folder / "song" / "mixes" / "mix-1.toml"
            before, bus = mix.read_text().split("[bus.comp]")
            mix.write_text(f"{before}[bus.comp]{bus.replace('on = false', 'on = true', 1)}")

    def calibrated(self) -> None:
        """Calibrate the small rig wholly; one that was calibrated before in this session is found as it was then."""
        home = self.home / "rigs" / "small"
        files = _CALIBRATED.setdefault(home.with_suffix(".toml").read_text(), {})
        if not files:
            assert self.run("calibrate", "--rig", "small", "--yes").code == 0
            files.update({path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()})
        for path, data in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(data)

    def files(self) -> dict[str, str]:
        """Every file below the folder with a digest of its content."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def only_object(text: str) -> dict[str, Any]:
    """Read standard output as exactly one JSON object with a schema, and no number that JSON does not have."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert text.endswith("\n")
    assert text.count("\n") == 1
    value = json.loads(text, parse_constant=refuse)
    assert value["schema"] == 1
    return value


def tone(channels: int, *, frames: int = STEM_FRAMES) -> list[float]:
    """A quiet chord, the channels a little apart."""
    return [
        0.1 * math.sin(2 * math.pi * (220 + 55 * channel) * n / RATE_HZ)
        for n in range(frames)
        for channel in range(channels)
    ]


def float_wav(samples: Sequence[float], channels: int = 1) -> bytes:
    """A WAV file of 32-bit floats, written by hand: RIFF, a 16-byte ``fmt ``, ``data``."""
    data = struct.pack(f"<{len(samples)}f", *samples)
    width = 4 * channels
    form = struct.pack("<IHHIIHH", 16, 3, channels, RATE_HZ, RATE_HZ * width, width, 32)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data
    )


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command run as a process of its own."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HALFNORMAL_HOME": str(folder / "home"), **more}
