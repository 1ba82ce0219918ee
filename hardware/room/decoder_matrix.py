"""An 8 × 8 audio matrix that speaks Extron's Simple Instruction Set, as its firmware sees it.

Commands, replies and error codes follow Extron's published SIS command tables (DXP and CrossPoint user guides,
"Command/response table for SIS commands"): bare ASCII commands, replies ending CR LF, verbose modes 0–3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from hardware.room.decoder import Value, hand_number, hand_switch, no_such_knob

SIZE = 8
GAIN_RANGE_DB = (-18, 24)
VOLUME_MAX = 64
PRESETS = 32
GAP_S = 10.0
"""A pause of this length inside a command discards what came before it [s]."""

_ESCAPE = 0x1B
_IGNORED = b"\r\n "
_LONGEST = 64
_PART, _VERSION = "60-000-01", "1.00"


@dataclass
class _Preset:
    name: str = "[unassigned]"
    ties: list[int] | None = None


@dataclass
class MatrixPanel:
    """Ties (0 = none), input gains [dB], output volumes (64 = 0 dB) and mutes, outputs and inputs from 0."""

    ties: list[int] = field(default_factory=lambda: [0] * SIZE)
    gain_db: list[int] = field(default_factory=lambda: [0] * SIZE)
    volume: list[int] = field(default_factory=lambda: [VOLUME_MAX] * SIZE)
    mute: list[bool] = field(default_factory=lambda: [False] * SIZE)


class _RefusedError(Exception):
    """A command that is answered with this error code."""


class MatrixDecoder:
    """The matrix's panel and its serial port; ``touched`` tells that something moved, its reader clears it.

    ``refusing`` names controls (``out01/tie``) that cannot be changed now (E06). ``mood`` is how the port behaves:
    ``"well"``, ``"silent"`` (as if unplugged) or ``"garbage"`` (as if at the wrong baud rate).
    """

    def __init__(self, *, refusing: Collection[str] = (), mood: str = "well") -> None:
        self.panel = MatrixPanel()
        self.touched = False
        self.heard = 0
        self.refusing = set(refusing)
        self.mood = mood
        self._verbose = 1
        self._buffer = bytearray()
        self._last_at_s: float | None = None
        self._presets = [_Preset() for _ in range(PRESETS)]

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take serial bytes, cut anywhere; return whole replies, each ending CR LF."""
        if at_s is not None:
            if self._last_at_s is not None and at_s - self._last_at_s >= GAP_S:
                self._buffer.clear()
            self._last_at_s = at_s
        replies: list[bytes] = []
        for byte in data:
            command = self._collect(byte)
            if command is not None:
                self.heard += 1
                replies += self._answer(command)
        return replies

    def _collect(self, byte: int) -> str | None:
        """Add one byte; return the command it completes."""
        if self._buffer[:1] == bytes([_ESCAPE]):
            if byte not in b"\r|":
                self._buffer.append(byte)
                if len(self._buffer) > _LONGEST:
                    self._buffer.clear()
                return None
        elif byte == _ESCAPE or chr(byte) in "0123456789*+-":
            self._buffer.append(byte)
            if len(self._buffer) > _LONGEST:
                self._buffer.clear()
            return None
        elif byte in _IGNORED:
            return None
        else:
            self._buffer.append(byte)
        command = bytes(self._buffer).decode("latin-1")
        self._buffer.clear()
        return command

    def _answer(self, command: str) -> list[bytes]:
        if self.mood == "silent":
            return []
        if self.mood == "garbage":
            return [bytes(0x80 | (ord(char) * 37 + 11) & 0x7F for char in command) + b"\xfe\x00"]
        try:
            return [reply.encode("latin-1") + b"\r\n" for reply in self._obey(command)]
        except _RefusedError as error:
            return [f"{error}\r\n".encode("ascii")]

    def _obey(self, command: str) -> list[str]:
        if command[0] == "\x1b":
            return self._escape(command[1:])
        letter, body = command[-1], command[:-1]
        if letter in "NQI" and not body:
            return [self._tagged({"N": "Pno", "Q": "Ver01*", "I": ""}[letter], _identity(letter))]
        handler = self._handlers().get(letter)
        if handler is None:
            raise _RefusedError("E10")
        parts = body.split("*")
        if len(parts) > 2 or not all(part.isascii() and part.isdecimal() for part in parts):
            raise _RefusedError("E10")
        return handler([int(part) for part in parts])

    def _handlers(self) -> dict[str, Callable[[list[int]], list[str]]]:
        return {
            "$": lambda parts: self._tie(parts, "Aud"),
            "!": lambda parts: self._tie(parts, "All"),
            "%": self._not_here,
            "&": self._not_here,
            "G": lambda parts: self._gain(parts, 1, GAIN_RANGE_DB[1]),
            "g": lambda parts: self._gain(parts, -1, -GAIN_RANGE_DB[0]),
            "V": self._volume,
            "Z": self._mute,
            ",": self._save_preset,
            ".": self._recall_preset,
        }

    def _not_here(self, parts: list[int]) -> list[str]:
        raise _RefusedError("E14")

    def _tagged(self, tag: str, value: str) -> str:
        return tag + value if self._verbose >= 2 else value

    def _allow(self, control: str) -> None:
        if control in self.refusing:
            raise _RefusedError("E06")

    def _tie(self, parts: list[int], plane: str) -> list[str]:
        if len(parts) == 1:
            output = _channel(parts[0], "E12")
            tie = self.panel.ties[output]
            return [_tie_text(output, tie, plane) if self._verbose >= 2 else f"{tie:02d}"]
        source, target = parts
        if not 0 <= source <= SIZE:
            raise _RefusedError("E01")
        output = _channel(target, "E12")
        self._allow(f"out{target:02d}/tie")
        self._set_tie(output, source)
        return [_tie_text(output, source, plane)]

    def _set_tie(self, output: int, source: int) -> None:
        self.panel.ties[output] = source
        self.touched = True

    def _gain(self, parts: list[int], sign: int, limit: int) -> list[str]:
        channel = _channel(parts[0], "E01")
        if len(parts) == 1:
            return [self._tagged(f"In{parts[0]:02d} Aud", f"{self.panel.gain_db[channel]:+03d}")]
        if not 0 <= parts[1] <= limit:
            raise _RefusedError("E13")
        self._allow(f"in{parts[0]:02d}/gain")
        self.panel.gain_db[channel] = sign * parts[1]
        self.touched = True
        return [_gain_text(channel, self.panel.gain_db[channel])]

    def _volume(self, parts: list[int]) -> list[str]:
        output = _channel(parts[0], "E12")
        if len(parts) == 1:
            return [self._tagged(f"Out{parts[0]:02d} Vol", f"{self.panel.volume[output]:02d}")]
        if not 0 <= parts[1] <= VOLUME_MAX:
            raise _RefusedError("E13")
        self._allow(f"out{parts[0]:02d}/volume")
        self.panel.volume[output] = parts[1]
        self.touched = True
        return [_volume_text(output, parts[1])]

    def _mute(self, parts: list[int]) -> list[str]:
        output = _channel(parts[0], "E12")
        if len(parts) == 1:
            return [self._tagged(f"Amt{parts[0]:02d}*", str(int(self.panel.mute[output])))]
        if parts[1] not in (0, 1):
            raise _RefusedError("E13")
        self._allow(f"out{parts[0]:02d}/mute")
        self.panel.mute[output] = parts[1] == 1
        self.touched = True
        return [_mute_text(output, self.panel.mute[output])]

    def _save_preset(self, parts: list[int]) -> list[str]:
        preset = self._preset(parts)
        preset.ties = list(self.panel.ties)
        return [f"Spr{parts[0]:02d}"]

    def _recall_preset(self, parts: list[int]) -> list[str]:
        preset = self._preset(parts)
        if preset.ties is None:
            raise _RefusedError("E11")
        self.panel.ties = list(preset.ties)
        self.touched = True
        return [f"Rpr{parts[0]:02d}"]

    def _preset(self, parts: list[int]) -> _Preset:
        if len(parts) != 1:
            raise _RefusedError("E10")
        if not 1 <= parts[0] <= PRESETS:
            raise _RefusedError("E11")
        return self._presets[parts[0] - 1]

    def _escape(self, body: str) -> list[str]:
        if body == "CV":
            return [self._tagged("Vrb", str(self._verbose))]
        mode = re.fullmatch(r"([0-3])CV", body)
        if mode is not None:
            self._verbose = int(mode[1])
            return [f"Vrb{self._verbose}"]
        name = re.fullmatch(r"([0-9]+),(.{1,12})NG", body)
        if name is not None:
            self._preset([int(name[1])]).name = name[2]
            return [f"Nmg{int(name[1]):02d},{name[2]}"]
        raise _RefusedError("E10")

    def banner(self) -> bytes:
        """Make the line the matrix sends when its power comes on."""
        return f"(C) Copyright 2026, Halfnormal, Room Matrix 8x8, V{_VERSION}, {_PART}\r\n".encode("ascii")

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand change something on the panel; returns the unsolicited message in verbose modes 1 and 3.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        match = re.fullmatch(r"(out|in)0([1-8])/([a-z]+)", name)
        side, index, what = (match[1], int(match[2]) - 1, match[3]) if match else ("", 0, "")
        panel = self.panel
        if (side, what) == ("out", "tie"):
            panel.ties[index] = int(hand_number(name, value, 0, SIZE))
            text = _tie_text(index, panel.ties[index], "Aud")
        elif (side, what) == ("in", "gain"):
            panel.gain_db[index] = round(hand_number(name, value, *GAIN_RANGE_DB))
            text = _gain_text(index, panel.gain_db[index])
        elif (side, what) == ("out", "volume"):
            panel.volume[index] = round(hand_number(name, value, 0, VOLUME_MAX))
            text = _volume_text(index, panel.volume[index])
        elif (side, what) == ("out", "mute"):
            panel.mute[index] = hand_switch(name, value)
            text = _mute_text(index, panel.mute[index])
        else:
            raise no_such_knob("matrix", name)
        self.touched = True
        return [text.encode("ascii") + b"\r\n"] if self._verbose in (1, 3) and self.mood == "well" else []

    def knobs(self) -> dict[str, Value]:
        """Every tie (input number, 0 = none), input gain [dB], output volume (0–64) and mute."""
        knobs: dict[str, Value] = {}
        for index in range(SIZE):
            output = f"out{index + 1:02d}"
            knobs[f"{output}/tie"] = self.panel.ties[index]
            knobs[f"{output}/volume"] = self.panel.volume[index]
            knobs[f"{output}/mute"] = self.panel.mute[index]
            knobs[f"in{index + 1:02d}/gain"] = self.panel.gain_db[index]
        return knobs


def _channel(number: int, code: str) -> int:
    if not 1 <= number <= SIZE:
        raise _RefusedError(code)
    return number - 1


def _identity(letter: str) -> str:
    return {"N": _PART, "Q": _VERSION, "I": f"V0X0 A{SIZE}X{SIZE}"}[letter]


def _tie_text(output: int, source: int, plane: str) -> str:
    return f"Out{output + 1:02d} In{source:02d} {plane}"


def _gain_text(channel: int, gain_db: int) -> str:
    return f"In{channel + 1:02d} Aud{gain_db:+03d}"


def _volume_text(output: int, volume: int) -> str:
    return f"Out{output + 1:02d} Vol{volume:02d}"


def _mute_text(output: int, mute: bool) -> str:
    return f"Amt{output + 1:02d}*{int(mute)}"
