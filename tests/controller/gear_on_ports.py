"""A rig of outboard units on MIDI ports that can be unplugged, exchanged and plugged in again, on a virtual clock."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest

import hardware.ports.midi
from controller.studio import Studio
from hardware.errors import DisconnectedError, PortNotFoundError
from hardware.seams import Token, VirtualClock

RIG = """\
schema = 1
name = "gear"
[audio]
port = "Nothing"
"""
PROFILE = """\
schema = 1
id = "unit"
maker = "Nobody"
model = "Unit"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "M"
sources = []
not_covered = ""
[ack]
kind = "reply"
timeout_s = 0.5
retries = 0
[identity]
query = ["F0 7D {c} 01 F7"]
reply = "F0 7D {c} 02 {serial:u7} {firmware:u7} F7"
[[control]]
name = "level"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
cc = {number = 7}
"""
MUTE = PROFILE.replace('"unit"', '"mute-unit"').split("[identity]")[0] + "[[control]]" + PROFILE.split("[[control]]")[1]


class Cable:
    """One opened port: what is sent reaches every unit plugged in there, and the answers come back at once."""

    def __init__(self, gear: Gear, name: str) -> None:
        self.name = name
        self.closed = False
        self._gear = gear
        self._answers: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        for channel, (serial, firmware) in self._units().items():
            self._gear.sent.append(data)
            if data == bytes([0xF0, 0x7D, channel - 1, 0x01, 0xF7]):
                self._answers.append(bytes([0xF0, 0x7D, channel - 1, 0x02, serial, firmware, 0xF7]))

    def receive(self, timeout_s: float) -> list[Token]:
        self._units()
        if not self._answers:
            self._gear.clock.sleep(timeout_s)
        tokens = [Token(self._gear.clock.monotonic(), data) for data in self._answers]
        self._answers.clear()
        return tokens

    def close(self) -> None:
        self.closed = True

    def _units(self) -> dict[int, tuple[int, int]]:
        if self.closed or self.name not in self._gear.plugged or self in self._gear.stale:
            raise DisconnectedError(f'MIDI port "{self.name}" vanished.')
        return self._gear.plugged[self.name]


class Gear:
    """What is plugged in: units by port and channel, each (serial number, firmware)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock()
        self.plugged: dict[str, dict[int, tuple[int, int]]] = {}
        self.opened: list[Cable] = []
        self.stale: list[Cable] = []
        self.settings: list[dict[str, Any]] = []
        self.sent: list[bytes] = []
        self._folder = folder
        self._rig = RIG
        monkeypatch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        monkeypatch.setattr(hardware.ports.midi, "open_midi", self._open)
        monkeypatch.setattr(Studio, "clock", property(lambda studio: self.clock))
        (folder / "unit.toml").write_text(PROFILE, encoding="utf-8")
        (folder / "mute-unit.toml").write_text(MUTE, encoding="utf-8")

    def _open(self, name: str, **settings: Any) -> Cable:
        if name not in self.plugged:
            raise PortNotFoundError(f'No MIDI output "{name}". There are: none.', hint="Plug it in.")
        self.opened.append(Cable(self, name))
        self.settings.append(settings)
        return self.opened[-1]

    def unplug(self, name: str) -> dict[int, tuple[int, int]]:
        """Take a port away; what is open on it stays dead, also when it comes back."""
        self.stale += [cable for cable in self.opened if cable.name == name]
        return self.plugged.pop(name)

    def add(self, name: str, port: str, *lines: str, profile: str = "unit") -> None:
        """Write a device into the rig."""
        path = (self._folder / f"{profile}.toml").as_posix()
        more = "".join(f"{line}\n" for line in lines)
        self._rig += f'[[device]]\nname = "{name}"\nprofile = "{path}"\nport = "{port}"\n{more}'

    @property
    def rig(self) -> Path:
        """The rig's file, as it is by now."""
        path = self._folder / "gear.toml"
        path.write_text(self._rig, encoding="utf-8")
        return path

    @property
    def identities(self) -> Path:
        """Where the rig keeps who answered."""
        return self._folder / "home" / "rigs" / "gear" / "identities.json"
