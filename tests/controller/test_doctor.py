"""The doctor says what this machine has and lacks, and is content where the virtual room can run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import hardware.ports.audio
import hardware.ports.serial
from controller import doctor, plugin_shelf
from controller.events import Emit
from controller.warming import ROOM, Warmed
from hardware.errors import AudioUnavailableError
from hardware.ports.audio import AudioDeviceInfo


class Machine:
    """A machine made up for one test: what its drivers answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self._monkeypatch = monkeypatch
        self.midi: dict[str, Any] = {"ports": []}
        self.libraries: dict[str, Any] = {}
        self.plugins: dict[str, Any] = {"formats": ["VST3"]}
        self.warmed = Warmed(6.5, ("strip",), {ROOM: 1.5, "reverb": 2.25})
        self.compilings = 0
        self.asked: list[str] = []
        monkeypatch.setenv("HALFNORMAL_HOME", str(home))
        monkeypatch.chdir(home.parent)
        self.audio([])
        self.serial([])

    def audio(self, found: list[AudioDeviceInfo] | Exception) -> None:
        def listing() -> list[AudioDeviceInfo]:
            if isinstance(found, Exception):
                raise found
            return found

        self._monkeypatch.setattr(hardware.ports.audio, "list_audio_devices", listing)

    def serial(self, ports: list[str]) -> None:
        self._monkeypatch.setattr(hardware.ports.serial, "list_serial_ports", lambda: ports)

    def ask(self, code: str, timeout_s: float) -> Mapping[str, Any]:
        self.asked.append(code)
        if "list_midi_ports" in code:
            return self.midi
        if "pedalboard" in code:
            return self.plugins
        return self.libraries

    def compile_all(self, emit: Emit) -> Warmed:
        self.compilings += 1
        return self.warmed

    def examine(self, *, warm: bool = False) -> dict[str, doctor.Check]:
        self.found = doctor.examine(warm=warm, ask=self.ask, compile_all=self.compile_all)
        return {check.name: check for check in self.found.checks}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path / "home")


def test_a_machine_without_portaudio_and_jack_can_still_run_the_virtual_room(machine, monkeypatch):
    machine.audio(AudioUnavailableError("PortAudio is not installed.", hint="Install it."))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    checks = machine.examine()
    assert machine.found.ok
    assert not checks["audio"].ok
    assert checks["audio"].needed_for
    assert checks["audio"].hint.startswith("Install it.")
    assert "virtual room" in checks["audio"].hint
    assert not checks["jack"].ok
    assert "not installed" in checks["jack"].detail


def test_an_installed_jackd_without_a_server_is_told_apart_from_a_missing_one(machine, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/jackd" if name == "jackd" else None)
    checks = machine.examine()
    assert not checks["jack"].ok
    assert "/usr/bin/jackd is installed, no server is running" in checks["jack"].detail
    assert "jackd -d dummy" in checks["jack"].hint


def test_a_running_jack_server_is_known_by_its_clients(machine):
    machine.audio([AudioDeviceInfo("HalfnormalRoom", "JACK Audio Connection Kit", 2, 24)])
    checks = machine.examine()
    assert checks["jack"].ok
    assert "HalfnormalRoom" in checks["jack"].detail
    assert "HalfnormalRoom (24 out, 2 in, JACK Audio Connection Kit)" in checks["audio"].detail


def test_a_library_that_does_not_load_stops_everything(machine):
    machine.libraries = {"error": "ImportError: libsndfile"}
    checks = machine.examine()
    assert not machine.found.ok
    assert not checks["libraries"].ok
    assert "libsndfile" in checks["libraries"].detail
    assert checks["libraries"].needed_for == ""


def test_midi_ports_are_listed_with_their_ways(machine):
    machine.midi = {"ports": [["Desk", "out"], ["Desk", "in"], ["Clock", "in"]]}
    assert machine.examine()["midi"].detail == "Desk (out/in); Clock (in)"


def test_a_machine_without_a_midi_system_hears_what_to_do(machine):
    machine.midi = {"error": "No MIDI system runs here.", "hint": "Start JACK."}
    checks = machine.examine()
    assert machine.found.ok
    assert not checks["midi"].ok
    assert checks["midi"].hint.startswith("Start JACK.")


@pytest.mark.skipif(sys.platform == "win32", reason="device files belong to POSIX")
def test_a_serial_port_without_permission_names_the_group_to_join(machine, monkeypatch):
    machine.serial(["/dev/ttyUSB7"])
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    checks = machine.examine()
    assert machine.found.ok
    assert not checks["serial"].ok
    assert "/dev/ttyUSB7" in checks["serial"].detail
    assert "usermod -aG dialout" in checks["serial"].hint


def test_own_data_that_cannot_be_written_is_a_reason_to_stop(machine, monkeypatch):
    refused = PermissionError(13, "Permission denied")

    def no_file(**_: Any) -> None:
        raise refused

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", no_file)
    checks = machine.examine()
    assert not machine.found.ok
    assert "Permission denied" in checks["own data"].detail
    assert "HALFNORMAL_HOME" in checks["own data"].hint


def test_a_nearly_full_disk_is_told(machine, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10_000_000})())
    checks = machine.examine()
    assert not checks["own data"].ok
    assert "0.0 GB free" in checks["own data"].detail


def test_looking_makes_no_folder(machine, tmp_path):
    machine.examine()
    assert not (tmp_path / "home").exists()


def test_kernels_are_compiled_only_when_asked(machine):
    assert "kernels" not in machine.examine()
    assert machine.compilings == 0
    kernels = machine.examine(warm=True)["kernels"]
    assert machine.compilings == 1
    assert kernels.ok
    assert "6.5 s" in kernels.detail
    assert "reverb 2.2 s" in kernels.detail
    assert "before: strip" in kernels.detail


def test_kernels_that_do_not_compile_are_named(machine):
    machine.warmed = Warmed(2.0, (), {"reverb": 2.0}, {"reverb": "no such type"})
    kernels = machine.examine(warm=True)["kernels"]
    assert not kernels.ok
    assert not machine.found.ok
    assert kernels.detail == "reverb: no such type"


def test_without_its_libraries_nothing_is_compiled(machine):
    machine.libraries = {"error": "ImportError: llvmlite"}
    assert "kernels" not in machine.examine(warm=True)
    assert machine.compilings == 0


def test_what_is_printed_as_json_has_the_promised_keys(machine):
    machine.examine()
    printed = json.loads(json.dumps(machine.found.to_json()))
    assert printed["ok"] is True
    for check in printed["checks"]:
        assert {"name", "ok", "detail", "hint"} <= set(check)


def test_a_child_that_crashes_is_an_answer_and_not_a_crash():
    assert "status" in doctor.ask_child("import os; os._exit(9)", 20.0)["error"]


def test_a_child_that_a_signal_ends_says_which():
    said = doctor.ask_child("import os; os.abort()", 20.0)["error"]
    assert ("status" if sys.platform == "win32" else "SIGABRT") in said


def test_without_their_host_plugins_are_counted_and_nothing_else_suffers(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(plugin_shelf, "installed", lambda: [tmp_path / "A.vst3", tmp_path / "B.vst3"])
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "pedalboard" else "1.0")
    check = machine.examine()["plug-ins"]
    assert not check.ok and check.needed_for and machine.found.ok
    assert check.detail == "pedalboard is not installed, and hosts them; 2 found"
    assert "pip install pedalboard" in check.hint


def test_with_their_host_it_is_said_what_is_hosted_and_how_many_there_are(machine, monkeypatch):
    monkeypatch.setattr(plugin_shelf, "installed", list)
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0")
    machine.plugins = {"formats": ["VST3", "Audio Units"]}
    check = machine.examine()["plug-ins"]
    assert check.ok and check.detail == "pedalboard 1.0 hosts VST3 and Audio Units; none found"
    machine.plugins = {"error": "ImportError: libfreetype.so.6"}
    check = machine.examine()["plug-ins"]
    assert not check.ok and "cannot be loaded: ImportError: libfreetype" in check.detail


def test_a_child_that_hangs_is_ended():
    assert "no answer" in doctor.ask_child("import time; time.sleep(60)", 0.3)["error"]


def test_a_driver_that_prints_first_does_not_spoil_the_answer():
    assert doctor.ask_child("print('ALSA lib …'); print('{\"ports\": []}')", 20.0) == {"ports": []}
