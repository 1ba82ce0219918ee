"""A Kramer VP-8x8AK audio matrix on Protocol 2000, as its firmware sees it (RS-232, 9600 baud 8N1).

Facts: Kramer's tables of hex codes and Protocol 2000 instruction codes. Four bytes: instruction (bit 6 = from the
device), 80 + input, 80 + output or value, 80 + machine number (bit 6 = whichever machine). The answer is the same four
bytes with bit 6 of the first set; a request's third byte carries the value. Errors are ``50 80 8x``: 0 error, 1 invalid
instruction, 2 out of range. Input gain is v − 107 dB, output gain v − 114 dB, v = 0 is mute.

This firmware's limits: video tie (01), audio tie (02), their requests (05, 06; the present state only), gain set (16),
step (18) and request (19) with their prefix (2A), identification (3D) and size (3E). Set-ups, breakaway, lock, bass and
treble, left and right apart are refused as invalid. Inferred, not printed: the prefix holds for the very next
instruction, and without it 16 and 19 mean an *input*, so that an output gain sent without its prefix moves the wrong
control. Codes 1–7 (inputs) and 1–14 (outputs) are printed as mute, too; here they are what the law says. A change at
the panel is told unasked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection

from hardware.room.decoder import Value, hand_number, no_such_knob

SIZE = 8
UNITY = {"in": 107, "out": 114}
"""Code of 0 dB; a step is 1 dB, 127 the top, 0 is mute."""

_FROM_DEVICE = 0x40
_ERROR, _INVALID, _OUT_OF_RANGE = 0, 1, 2
_STEPS = {0: ("out", 1), 1: ("out", -1), 6: ("in", 1), 7: ("in", -1)}


class _RefusedError(Exception):
    """An instruction that is answered with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class KramerDecoder:
    """The matrix's panel and its serial port. ``refusing`` names controls (``out01/tie``) that answer with error 0."""

    def __init__(self, *, machine: int = 1, refusing: Collection[str] = ()) -> None:
        self.heard = 0
        self._machine = machine
        self.refusing = set(refusing)
        self._ties = {"video_tie": [0] * SIZE, "tie": [0] * SIZE}
        self._gains = {side: [unity] * SIZE for side, unity in UNITY.items()}
        self._side = "in"
        self._frame = bytearray()

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take serial bytes, cut anywhere; return one answer of four bytes for every frame meant for this machine."""
        del at_s
        answers: list[bytes] = []
        for byte in data:
            if byte < 0x80:
                self._frame = bytearray([byte])
            elif self._frame:
                self._frame.append(byte)
            if len(self._frame) == 4:
                frame = bytes(self._frame)
                self._frame.clear()
                answers += self._answer(frame)
        return answers

    def _answer(self, frame: bytes) -> list[bytes]:
        self.heard += 1
        mine = frame[3] & 0x40 or frame[3] & 0x1F == self._machine
        if not mine or frame[0] & _FROM_DEVICE:
            return []
        instruction, first, second = frame[0], frame[1] & 0x7F, frame[2] & 0x7F
        side, self._side = self._side, "in"
        try:
            first, second = self._obey(instruction, first, second, side)
        except _RefusedError as error:
            return [self._message(0x10, 0, error.code)]
        return [self._message(instruction, first, second)]

    def _obey(self, instruction: int, first: int, second: int, side: str) -> tuple[int, int]:
        handlers: dict[int, Callable[[], tuple[int, int]]] = {
            0x01: lambda: self._tie("video_tie", first, second),
            0x02: lambda: self._tie("tie", first, second),
            0x05: lambda: self._read_tie("video_tie", first, second),
            0x06: lambda: self._read_tie("tie", first, second),
            0x16: lambda: self._set_gain(side, first, second),
            0x18: lambda: self._step_gain(first, second),
            0x19: lambda: self._read_gain(side, first),
            0x2A: lambda: self._prefix(first, second),
            0x3D: lambda: _identity(first, second),
            0x3E: lambda: _size(first, second),
        }
        if instruction not in handlers:
            raise _RefusedError(_INVALID)
        return handlers[instruction]()

    def _message(self, instruction: int, first: int, second: int) -> bytes:
        return bytes([instruction | _FROM_DEVICE, 0x80 | first, 0x80 | second, 0x80 | self._machine])

    def _allow(self, *controls: str) -> None:
        if any(control in self.refusing for control in controls):
            raise _RefusedError(_ERROR)

    def _tie(self, plane: str, source: int, output: int) -> tuple[int, int]:
        outputs = _channels(output)
        if source > SIZE:
            raise _RefusedError(_OUT_OF_RANGE)
        self._allow(*(f"out{index + 1:02d}/{plane}" for index in outputs))
        for index in outputs:
            self._ties[plane][index] = source
        return source, output

    def _read_tie(self, plane: str, setup: int, output: int) -> tuple[int, int]:
        if setup != 0 or not 1 <= output <= SIZE:
            raise _RefusedError(_OUT_OF_RANGE)
        return setup, self._ties[plane][output - 1]

    def _prefix(self, flags: int, what: int) -> tuple[int, int]:
        """Bit 0 output, bits 1 and 2 left and right; the second byte is the parameter, 0 the gain."""
        if flags not in (6, 7) or what != 0:
            raise _RefusedError(_INVALID)
        self._side = "out" if flags & 1 else "in"
        return flags, what

    def _set_gain(self, side: str, channel: int, code: int) -> tuple[int, int]:
        channels = _channels(channel)
        self._allow(*(f"{side}{index + 1:02d}/gain" for index in channels))
        for index in channels:
            self._gains[side][index] = code
        return channel, code

    def _step_gain(self, channel: int, which: int) -> tuple[int, int]:
        if which not in _STEPS:
            raise _RefusedError(_INVALID)
        side, step = _STEPS[which]
        channels = _channels(channel)
        self._allow(*(f"{side}{index + 1:02d}/gain" for index in channels))
        for index in channels:
            self._gains[side][index] = min(127, max(0, self._gains[side][index] + step))
        return channel, which

    def _read_gain(self, side: str, channel: int) -> tuple[int, int]:
        if not 1 <= channel <= SIZE:
            raise _RefusedError(_OUT_OF_RANGE)
        return channel, self._gains[side][channel - 1]

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand change a tie (input number, 0 = none) or a gain (dB, "off" = mute) at the panel.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        match = re.fullmatch(r"(?:(out0)([1-8])/(tie|video_tie))|(?:(in|out)0([1-8])/gain)", name)
        if match is None:
            raise no_such_knob("matrix", name)
        if match[1]:
            index, plane = int(match[2]) - 1, match[3]
            source = self._ties[plane][index] = round(hand_number(name, value, 0, SIZE))
            return [self._message(0x02 if plane == "tie" else 0x01, source, index + 1)]
        side, index = match[4], int(match[5]) - 1
        unity = UNITY[side]
        muted = value in ("off", -math.inf)
        code = 0 if muted else unity + round(hand_number(name, value, 1 - unity, 127 - unity))
        self._gains[side][index] = code
        return [self._message(0x2A, 6 if side == "in" else 7, 0), self._message(0x16, index + 1, code)]

    def knobs(self) -> dict[str, Value]:
        """Every tie (input number, 0 = none) and gain [dB], −∞ when muted."""
        knobs: dict[str, Value] = {}
        for index in range(SIZE):
            number = f"{index + 1:02d}"
            knobs |= {f"out{number}/{plane}": ties[index] for plane, ties in self._ties.items()}
            for side, codes in self._gains.items():
                code = codes[index]
                knobs[f"{side}{number}/gain"] = code - UNITY[side] if code else -math.inf
        return knobs


def _channels(number: int) -> range:
    """Return the indices that a channel number means; 0 means all."""
    if number > SIZE:
        raise _RefusedError(_OUT_OF_RANGE)
    return range(SIZE) if number == 0 else range(number - 1, number)


def _identity(which: int, part: int) -> tuple[int, int]:
    """Answer with name 0808, suffix AK, prefix VP (which 1, 2) or software version 1.0 (which 3, 4)."""
    if which in (1, 2) and part in (0, 1, 10):
        return {0: (8, 8), 1: (ord("A"), ord("K")), 10: (ord("V"), ord("P"))}[part]
    if which in (3, 4) and part == 0:
        return 1, 0
    raise _RefusedError(_OUT_OF_RANGE)


def _size(which: int, plane: int) -> tuple[int, int]:
    if which not in (1, 2) or plane not in (1, 2):
        raise _RefusedError(_OUT_OF_RANGE)
    return which, SIZE
