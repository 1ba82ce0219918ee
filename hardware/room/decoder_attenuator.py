"""A sixteen-channel relay attenuator on a serial line, as its firmware sees it (115 200 baud 8N1).

Written from the line convention that this project publishes (docs/devices/attenuator-board.md).

This firmware's limits: sixteen channels, each a binary relay ladder of 127 half-decibel steps (0 … −63.5 dB) and a mute
relay. Lines of up to 64 characters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from hardware.room.decoder import Value, hand_number, no_such_knob

CHANNELS = 16
STEPS = 127
STEP_DB = 0.5
LONGEST = 64
"""Longest line without its end [characters]."""
IDENTITY = "ID attenuator-board 16 1.0"

_MALFORMED, _NO_CHANNEL, _NO_LEVEL, _NOT_NOW = 1, 2, 3, 4


class AttenuatorDecoder:
    """The board's relays and its serial port; every channel is muted when its power comes on.

    ``refusing`` names controls (``ch03/level``) that cannot be changed now (ERR 4).
    """

    def __init__(self, *, refusing: Collection[str] = ()) -> None:
        self.heard = 0
        self.refusing = set(refusing)
        self._steps: list[int | None] = [None] * CHANNELS
        self._line = bytearray()

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take serial bytes, cut anywhere; return whole lines, each ending LF."""
        del at_s
        replies: list[bytes] = []
        for byte in data:
            if byte != 0x0A:
                if len(self._line) <= LONGEST and byte != 0x0D:  # one more than allowed: enough to be refused
                    self._line.append(byte)
                continue
            line = bytes(self._line)
            self._line.clear()
            if line:
                self.heard += 1
                replies.append(self._obey(line).encode("ascii") + b"\n")
        return replies

    def _obey(self, line: bytes) -> str:
        text = line.decode("latin-1")
        if text == "ID?":
            return IDENTITY
        match = re.fullmatch(r"(?:GET ([0-9]{1,3}))|(?:SET ([0-9]{1,3}) (MUTE|-?[0-9]{1,3}(?:\.[0-9])?))", text)
        if match is None:
            return f"ERR {_MALFORMED}"
        channel = int(match[1] or match[2])
        if not 1 <= channel <= CHANNELS:
            return f"ERR {_NO_CHANNEL}"
        if match[2]:
            error = self._set(channel, match[3])
            if error:
                return f"ERR {error}"
        return f"OK {channel} {self._level(channel - 1)}"

    def _set(self, channel: int, level: str) -> int:
        """Switch the relays; returns an error code, 0 when done."""
        step: int | None = None
        if level != "MUTE":
            halves = -float(level) / STEP_DB
            if not 0 <= halves <= STEPS or halves != int(halves):
                return _NO_LEVEL
            step = int(halves)
        if f"ch{channel:02d}/level" in self.refusing:
            return _NOT_NOW
        self._steps[channel - 1] = step
        return 0

    def _level(self, index: int) -> str:
        step = self._steps[index]
        return "MUTE" if step is None else f"{_level_db(step):.1f}"

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand turn the board's encoder (dB, "off" = mute); the board tells it in an ``AT`` line.

        Raises
        ------
        HardwareError
            No such channel, or it does not go there.
        """
        match = re.fullmatch(r"ch([0-9]{2})/level", name)
        if match is None or not 1 <= int(match[1]) <= CHANNELS:
            raise no_such_knob("attenuator", name)
        channel = int(match[1])
        if value in ("off", -math.inf):
            self._steps[channel - 1] = None
        else:
            self._steps[channel - 1] = round(-hand_number(name, value, -STEPS * STEP_DB, 0.0) / STEP_DB)
        return [f"AT {channel} {self._level(channel - 1)}\n".encode("ascii")]

    def knobs(self) -> dict[str, Value]:
        """Every channel's level [dB]; −∞ when muted."""
        return {
            f"ch{index + 1:02d}/level": -math.inf if step is None else _level_db(step)
            for index, step in enumerate(self._steps)
        }


def _level_db(step: int) -> float:
    return 0.0 - STEP_DB * step
