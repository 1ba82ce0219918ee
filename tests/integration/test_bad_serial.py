"""A serial device on a real line (a pseudo-terminal, pyserial) that says nothing, talks nonsense, or goes away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serial_device import Answer, Device

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals"),
]
ROOT = Path(__file__).resolve().parents[2]
DEMO_RIG = ROOT / "hardware" / "rigs" / "demo.toml"


@pytest.fixture
def device() -> Iterator[Callable[[Answer], Device]]:
    made: list[Device] = []

    def make(answer: Answer) -> Device:
        made.append(Device(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A project whose mix wants the bus compressor, which stands behind the serial matrix."""
    import numpy as np
    import soundfile

    (tmp_path / "stems").mkdir()
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(4800) / 48_000)
    soundfile.write(tmp_path / "stems" / "lead.wav", tone, 48_000)
    assert halfnormal(tmp_path, "new", "song", "--stems", "stems").returncode == 0
    mix = tmp_path / "song" / "mixes" / "mix-1.toml"
    before, bus = mix.read_text().split("[bus.comp]")
    mix.write_text(f"{before}[bus.comp]{bus.replace('on = false', 'on = true', 1)}")
    return tmp_path


def halfnormal(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HALFNORMAL_HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def recall_over(folder: Path, path: str) -> tuple[int, dict[str, Any], str]:
    """Recall the song with the matrix on the serial line at ``path``."""
    rig = DEMO_RIG.read_text().replace('"room:matrix"', f'"serial:{path}"').replace('name = "demo"', 'name = "line"')
    (folder / "line.toml").write_text(rig)
    done = halfnormal(folder, "recall", "send", "song", "--rig", "line.toml", "--yes", "--hands-done", "--json")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def states(told: dict[str, Any], device: str) -> set[str]:
    return {control["state"] for control in told["controls"] if control["address"].startswith(f"{device}/")}


def test_a_device_that_says_nothing_is_a_timeout(song: Path, device: Callable[[Answer], Device]) -> None:
    silent = device(lambda data: b"")
    code, told, said = recall_over(song, silent.path)
    assert code == 4
    assert said.count("did not answer within 0.5 s when its session was opened, before matrix/out01/tie") == 1
    assert silent.heard.startswith(b"\x1b3CV\r"), "Extron SIS: verbose mode 3, so that its answers name what they are"
    assert b"1*1$" not in silent.heard, "nothing is set on a device that does not speak"
    assert states(told, "matrix") <= {"not-sent"}
    assert states(told, "comp") == {"sent"}, "the others go on"


def test_a_device_that_falls_silent_is_a_timeout(song: Path, device: Callable[[Answer], Device]) -> None:
    silent = device(lambda data: b"Vrb3\r\n" if b"3CV" in data else b"")
    code, told, said = recall_over(song, silent.path)
    assert code == 4
    assert said.count("did not answer within 0.5 s at matrix/out01/tie") == 1
    assert b"1*1$" in silent.heard, "Extron SIS: tie input 1 to output 1, audio only"
    assert silent.heard.count(b"1*1$") == 2, "once more, as its profile allows: a tie made twice is the same tie"
    assert states(told, "matrix") <= {"unknown", "not-sent"}
    assert states(told, "comp") == {"sent"}, "the others go on"


def test_a_device_that_talks_nonsense_is_named(song: Path, device: Callable[[Answer], Device]) -> None:
    code, told, said = recall_over(song, device(lambda data: b"\x00\xfe\x80?!\r\n").path)
    assert code == 3
    assert said.count("which its profile does not know") == 1
    assert "matrix/out01/tie" in said
    assert states(told, "matrix") <= {"unknown", "not-sent"}


def test_a_device_that_refuses_says_why(song: Path, device: Callable[[Answer], Device]) -> None:
    code, told, said = recall_over(song, device(lambda data: b"Vrb3\r\n" if b"3CV" in data else b"E12\r\n").path)
    assert code == 3
    assert "refused matrix/out01/tie" in said
    assert "E12" in said
    assert "refused" in states(told, "matrix")


def test_a_device_whose_plug_is_pulled_is_lost_alone(song: Path, device: Callable[[Answer], Device]) -> None:
    code, told, said = recall_over(song, device(lambda data: None).path)
    assert code in {3, 4}, "pulled (3), or gone before it was noticed (4)"
    assert "✕ matrix: " in said
    assert states(told, "matrix") <= {"unknown", "not-sent"}
    assert states(told, "comp") == {"sent"}


def test_a_line_that_answers_as_the_manual_says_is_recalled(song: Path, device: Callable[[Answer], Device]) -> None:
    """The same line with a device that works: `i*o$` ties, Esc 3CV CR asks for tagged answers, `o$` reads a tie."""
    ties: dict[int, int] = {}
    held = b""

    def answer(data: bytes) -> bytes:
        nonlocal held
        held += data
        out = b""
        while b"$" in held or b"\r" in held:
            if held.startswith(b"\x1b3CV\r"):
                held = held.removeprefix(b"\x1b3CV\r")
                out += b"Vrb3\r\n"
                continue
            command, _, held = held.partition(b"$")
            *source, target = map(int, command.split(b"*"))
            if source:
                ties[target] = source[0]
            out += b"Out%02d In%02d Aud\r\n" % (target, ties.get(target, 0))
        return out

    code, told, said = recall_over(song, device(answer).path)
    assert (code, told["failed_devices"]) == (0, {}), said
    assert ties == {1: 1, 2: 2, 3: 3, 4: 4}
