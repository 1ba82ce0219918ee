"""What this machine has and lacks, in one list that fits an issue report.

Whatever loads a driver (PortAudio, the MIDI system) is asked in a child process: a driver that crashes, hangs or
prints then spoils one check and not the program.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller import places, plugin_shelf, warming
from controller.child import Ask, ask_child
from controller.compiling import NO_PLACE_HINT
from controller.events import Emit, silent
from controller.version import VERSION
from dsp.kernels.compiled.places import places as kernel_places
from hardware.errors import HardwareError, TransportError

ENOUGH_DISK_BYTES = 500_000_000
SMALLEST_TERMINAL = (80, 24)

_ESSENTIAL = ("numpy", "numba", "msgspec", "soundfile", "soxr", "matplotlib", "platformdirs")
_OUTSIDE = ("mido", "python-rtmidi", "sounddevice", "pyserial", "textual", "rich", "JACK-Client")
_STEREO_BYTES_PER_S = 2 * 3 * 48_000  # a stereo print, 24 bit at 48 kHz
_CHILD_TIMEOUT_S = 30.0

_LOAD = f"import json\nfor name in {_ESSENTIAL!r}: __import__(name)\nprint(json.dumps({{}}))"
_MIDI = """
import json
from hardware.errors import HardwareError
try:
    from hardware.ports.midi import list_midi_ports
    print(json.dumps({"ports": [[port.name, port.direction] for port in list_midi_ports()]}))
except HardwareError as error:
    print(json.dumps({"error": str(error), "hint": error.hint}))
except ImportError as error:
    print(json.dumps({"error": f"the MIDI library is not installed ({error})"}))
"""
_PLUGINS = """
import json, pedalboard
names = {"VST3Plugin": "VST3", "AudioUnitPlugin": "Audio Units"}
print(json.dumps({"formats": [said for name, said in names.items() if hasattr(pedalboard, name)]}))
"""


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``needed_for`` is empty where nothing works without it, else what alone needs it."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    needed_for: str = ""


@dataclass(frozen=True)
class Doctor:
    """All checks. ``ok`` is true when the whole line can run on the virtual room inside the program."""

    ok: bool
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what ``halfnormal doctor --json`` prints, without its schema number."""
        return {
            "ok": self.ok,
            "program": f"halfnormal {VERSION}",
            "machine": machine(),
            "checks": [asdict(check) for check in self.checks],
        }


Warm = Callable[[Emit], warming.Warmed]


def machine() -> str:
    """Describe the machine in one line."""
    return f"{platform.platform()}, {platform.machine()}, {os.cpu_count() or 1} processors"


def examine(
    *, warm: bool = False, ask: Ask = ask_child, emit: Emit = silent, compile_all: Warm = warming.warm
) -> Doctor:
    """Look at everything the program leans on.

    Parameters
    ----------
    warm
        Also compile the signal kernels, so that the first pass starts at once.
    ask
        Runs a piece of code in a child process; tests pass their own.
    emit
        Is told how far the compiling is.
    compile_all
        Compiles the kernels; tests pass their own.
    """
    libraries = _libraries(ask)
    checks = [_python(), libraries, _home(), _working_folder(), _kernel_cache()]
    if warm and libraries.ok:
        checks.append(_warm(compile_all(emit)))
    audio, jack = _audio()
    checks += [audio, jack, _midi(ask), _serial(), _plugins(ask), _terminal()]
    return Doctor(ok=all(check.ok or check.needed_for for check in checks), checks=tuple(checks))


def _python() -> Check:
    return Check("python", True, f"{platform.python_implementation()} {platform.python_version()}")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libraries(ask: Ask) -> Check:
    found = {name: _version(name) for name in (*_ESSENTIAL, *_OUTSIDE)}
    detail = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    missing = [name for name in _ESSENTIAL if found[name] is None]
    if missing:
        return Check("libraries", False, detail, f"Set up anew; missing: {', '.join(missing)}.")
    answer = ask(_LOAD, _CHILD_TIMEOUT_S)
    if "error" in answer:
        return Check("libraries", False, f"{detail}; loading them failed: {answer['error']}", "Set up anew.")
    return Check("libraries", True, detail)


def _existing(folder: Path) -> Path:
    """Return ``folder``, or the nearest folder above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path.cwd())


def _refusal(folder: Path) -> str:
    """Try to write into ``folder``; return the system's reason why not, or nothing."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _space(folder: Path) -> tuple[bool, str]:
    free = shutil.disk_usage(folder).free
    hours = free / _STEREO_BYTES_PER_S / 3600
    return free >= ENOUGH_DISK_BYTES, f"{free / 1e9:.1f} GB free, {hours:.0f} h of stereo prints at 24 bit 48 kHz"


def _home() -> Check:
    folder = places.home()
    there = _existing(folder)
    if reason := _refusal(there):
        hint = f"Give yourself write access to it, or set {places.HOME_VARIABLE} to a folder of yours."
        return Check("own data", False, f"{folder} cannot be written: {reason}", hint)
    enough, space = _space(there)
    hint = "" if enough else f"Free some space, or set {places.HOME_VARIABLE} to a folder on another disk."
    return Check("own data", enough, f"{folder}: {space}", hint)


def _working_folder() -> Check:
    folder = Path.cwd()
    needed_for = "projects made in this folder"
    if reason := _refusal(folder):
        hint = "Change to a folder of yours, or name one with --out."
        return Check("current folder", False, f"{folder} cannot be written: {reason}", hint, needed_for)
    enough, space = _space(folder)
    hint = "" if enough else "Free some space, or work on another disk."
    return Check("current folder", enough, f"{folder}: {space}", hint, needed_for)


def _kernel_cache() -> Check:
    """Look where compiled kernels are kept."""
    folders = kernel_places()
    for folder in folders:
        if not _refusal(_existing(folder)):
            return Check("kernel cache", True, str(folder))
    return Check("kernel cache", False, f"{folders[0]} cannot be written", NO_PLACE_HINT, "a quick start")


def _warm(warmed: warming.Warmed) -> Check:
    if warmed.troubles:
        detail = "; ".join(f"{name}: {trouble}" for name, trouble in warmed.troubles.items())
        return Check("kernels", False, detail, "Report this with the list above.")
    taken = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in warmed.taken.items())
    before = f"; before: {', '.join(warmed.kept)}" if warmed.kept else ""
    return Check("kernels", True, f"compiled and kept in {warmed.seconds:.1f} s: {taken}{before}")


def _audio() -> tuple[Check, Check]:
    from hardware.ports.audio import list_audio_devices

    needed_for = "playing and recording through an audio interface"
    try:
        devices = list_audio_devices()
    except HardwareError as error:
        audio = Check("audio", False, str(error), _beside(error.hint), needed_for)
        return audio, _jack([], reachable=False)
    listed = "; ".join(f"{d.name} ({d.outputs} out, {d.inputs} in, {d.host_api})" for d in devices)
    if devices:
        audio = Check("audio", True, f"PortAudio: {listed}", "", needed_for)
    else:
        hint = _beside("Connect an interface, or start JACK.")
        audio = Check("audio", False, "PortAudio is there and finds no device", hint, needed_for)
    return audio, _jack([device.name for device in devices if "JACK" in device.host_api], reachable=True)


def _jack(clients: list[str], *, reachable: bool) -> Check:
    needed_for = "rehearsing on the virtual room over real ports"
    program = shutil.which("jackd") or shutil.which("pw-jack")
    if clients:
        return Check("jack", True, f"server running, clients: {', '.join(clients)}", "", needed_for)
    if program and reachable:
        hint = _beside("Start it: jackd -d dummy -r 48000 -p 256 -C 32 -P 32 (without sound hardware).")
        return Check("jack", False, f"{program} is installed, no server is running", hint, needed_for)
    if program:
        hint = _beside("See the audio check first.")
        return Check("jack", False, f"{program} is installed; cannot be asked without PortAudio", hint, needed_for)
    hint = {
        "linux": "Install it: sudo apt-get install jackd2 (Debian, Ubuntu).",
        "darwin": "Install it: brew install jack.",
    }.get(sys.platform, "Install it from jackaudio.org.")
    return Check("jack", False, "jackd is not installed", _beside(hint), needed_for)


def _beside(hint: str) -> str:
    return f"{hint} The virtual room inside the program works without it.".lstrip()


def _midi(ask: Ask) -> Check:
    needed_for = "recall over MIDI ports"
    answer = ask(_MIDI, _CHILD_TIMEOUT_S)
    if "error" in answer:
        return Check("midi", False, str(answer["error"]), _beside(str(answer.get("hint", ""))), needed_for)
    names: dict[str, list[str]] = {}
    for name, direction in answer.get("ports", []):
        names.setdefault(name, []).append(direction)
    listed = "; ".join(f"{name} ({'/'.join(ways)})" for name, ways in names.items())
    return Check("midi", True, listed or "the MIDI system answers and has no port", "", needed_for)


def _serial() -> Check:
    from hardware.ports.serial import list_serial_ports

    needed_for = "recall over serial lines"
    try:
        ports = list_serial_ports()
    except (TransportError, ImportError) as error:
        return Check("serial", False, str(error), _beside("Set up anew."), needed_for)
    closed = [port for port in ports if port.startswith("/dev/") and not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        group = _group(closed[0])
        hint = f"Join the group '{group}' (sudo usermod -aG {group} $USER) and log in again."
        return Check("serial", False, f"no permission for {', '.join(closed)}", _beside(hint), needed_for)
    return Check("serial", True, ", ".join(ports) or "no serial port here", "", needed_for)


def _plugins(ask: Ask) -> Check:
    """Look whether plug-ins of others can be hosted, and count those that are installed; none of them is loaded."""
    needed_for = "plug-ins of others in a mix"
    version = _version("pedalboard")
    there = plugin_shelf.installed()
    found = f"{len(there)} found" if there else "none found"
    if version is None:
        detail = f"pedalboard is not installed, and hosts them; {found}"
        return Check("plug-ins", False, detail, plugin_shelf.NO_HOST_HINT, needed_for)
    answer = ask(_PLUGINS, _CHILD_TIMEOUT_S)
    if "error" in answer:
        detail = f"pedalboard {version} cannot be loaded: {answer['error']}; {found}"
        return Check("plug-ins", False, detail, plugin_shelf.NO_HOST_HINT, needed_for)
    formats = " and ".join(answer.get("formats", ["VST3"]))
    return Check("plug-ins", True, f"pedalboard {version} hosts {formats}; {found}", "", needed_for)


def _group(port: str) -> str:
    """Name the group that may open ``port``; dialout, Debian's, where it cannot be told."""
    try:
        import grp

        status = Path(port).stat()
        return grp.getgrgid(status.st_gid).gr_name if status.st_mode & stat.S_IRGRP else "dialout"
    except (ImportError, KeyError, OSError):
        return "dialout"


def _terminal() -> Check:
    needed_for = "the screen (halfnormal without a command)"
    if not sys.stderr.isatty():
        return Check("terminal", True, "none: the output goes to a file or another program", "", needed_for)
    size = shutil.get_terminal_size()
    kind = os.environ.get("TERM", "")
    if os.environ.get("COLORTERM", "") in {"truecolor", "24bit"} or os.environ.get("WT_SESSION"):
        colours = "16 million colours"
    else:
        colours = "256 colours" if "256" in kind else "few colours"
    detail = f"{size.columns}×{size.lines}, {colours}, TERM={kind or 'unset'}"
    if kind == "dumb":
        return Check("terminal", False, detail, "Use a terminal that can place its cursor.", needed_for)
    if size.columns < SMALLEST_TERMINAL[0] or size.lines < SMALLEST_TERMINAL[1]:
        return Check("terminal", False, detail, "Make the window at least 80×24.", needed_for)
    return Check("terminal", True, detail, "", needed_for)
