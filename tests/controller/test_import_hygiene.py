"""What a command may import: help and lists answer at once, drivers stay behind doors, workflows know no screen."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cli_line import ROOT, environment

NUMBERS = {"numpy", "scipy", "numba", "soundfile", "soxr", "matplotlib"}
SCREENS = {"textual", "rich"}
DRIVERS = {"rtmidi", "mido", "sounddevice", "serial", "jack", "pedalboard"}
PACKAGES = ("controller", "hardware", "dsp", "profiles")

LOOK = """
import contextlib, io, json, sys
words = json.loads(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    from controller.cli.main import main
    code = main(words)
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def modules_after(folder: Path, *words: str) -> set[str]:
    """The top-level modules that a fresh Python holds after one command."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(words)],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    code, names = json.loads(done.stdout)
    assert code == 0
    return set(names)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("print", "-h"), ("recall", "-h"), ("demo", "-h")])
def test_help_needs_the_standard_library_only(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert modules_after(tmp_path, *words) & (NUMBERS | SCREENS | DRIVERS | {"msgspec", "platformdirs"}) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "list"),
        ("profile", "check"),
        ("profile", "encode", "room-desk-24", "ch01/fader", "0"),
        ("rig", "check"),
        ("rig", "list"),
    ],
)
def test_looking_at_files_loads_no_numbers_no_screen_no_driver(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert modules_after(tmp_path, *words) & (NUMBERS | SCREENS | DRIVERS) == set()


def test_the_room_inside_the_program_needs_no_driver_and_no_screen(tmp_path: Path) -> None:
    loaded = modules_after(tmp_path, "calibrate", "--dry-run")
    assert "numpy" in loaded, "else this looks at nothing"
    assert loaded & (SCREENS | DRIVERS | {"matplotlib"}) == set()


def test_the_workflows_never_load_a_screen(tmp_path: Path) -> None:
    names = [f"controller.{path.stem}" for path in sorted((ROOT / "controller").glob("*.py")) if path.stem[0] != "_"]
    assert "controller.printing" in names
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print(*sorted({name.partition('.')[0] for name in sys.modules}))"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & (SCREENS | DRIVERS | {"matplotlib"}) == set()


# The one door of each outside library.
DOORS = {
    "rtmidi": {"hardware/ports/midi.py"},
    "mido": {"hardware/ports/midi.py"},
    "serial": {"hardware/ports/serial.py"},
    "sounddevice": {"hardware/audio_process/devices.py"},
    "jack": {"hardware/room/jack.py"},
    "soxr": {"dsp/resample.py"},
    "matplotlib": {"controller/plots.py"},
    "pedalboard": {"controller/plugin_host.py", "controller/plugin_probe.py"},  # here; in a child process
    "platformdirs": {"controller/places.py", "dsp/kernels/compiled/places.py"},  # people's data; machine code
}


@pytest.mark.parametrize("library", DOORS)
def test_each_outside_library_has_one_door(library: str) -> None:
    found = {path.relative_to(ROOT).as_posix() for path in sources() if library in imported(path)}
    assert found == DOORS[library]


def test_only_the_console_imports_textual() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in sources() if "textual" in imported(path)}
    assert found
    assert all(name.startswith("controller/tui/") for name in found)


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@cache
def imported(path: Path) -> set[str]:
    """Top-level names that a file imports anywhere, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names
