"""A tape machine on a Sony 9-pin remote socket, as its firmware sees it (RS-422, 38 400 baud, 8 bits, odd parity).

Facts: the published descriptions of the 9-pin protocol (Alesis M20 and Sony DSR manuals; status bits of reverse and
standby: Sony9PinRemote, MIT). A frame is command and number of data bytes, second command byte, 0–15 data bytes, low
eight bits of the sum. Every frame is answered: ``10 01 11`` done, ``11 12 xx`` not (bit 0 undefined command, 2
checksum, 7 pause inside a frame), or the data asked for.

This firmware's limits: stop, play, record, fast forward, rewind, jog, var and shuttle, cue up with data, standby,
local disable and enable, device type, current time (tape time and counter; there is no VITC), status (ten bytes). All
other commands, a wrong number of data bytes and a time that does not exist are refused as undefined. No pre-roll,
eject, edit points, time-code generator or drop frames. The tape runs from 00:00:00:00 for 24 hours; at an end the
machine stops. Winding and cueing go at 50 times play speed from the first moment on. Parity and framing faults belong
to the wire and are not seen here. The position follows ``at_s``; without it the tape stands still whatever the mode,
and a pause inside a frame goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

from hardware.errors import HardwareError
from hardware.room.decoder import Value, hand_number, hand_switch, no_such_knob

Mode = Literal["stop", "play", "record", "ff", "rewind", "jog", "var", "shuttle"]

WIND_SPEED = 50.0
"""Winding, in times of play speed."""
BYTE_GAP_S = 0.010
"""A pause longer than this inside a frame discards what came before it [s]."""
DAY_S = 86_400.0
DEVICE_TYPE = b"\x7d\x01"
"""What the machine calls itself; no real model's number."""

_ACK = b"\x10\x01\x11"
_UNDEFINED, _CHECKSUM, _TIMEOUT = 0x01, 0x04, 0x80
_TRANSPORT: dict[int, Mode] = {0x00: "stop", 0x01: "play", 0x02: "record", 0x10: "ff", 0x20: "rewind"}
_SEARCHES: dict[int, Mode] = {0x01: "jog", 0x02: "var", 0x03: "shuttle"}
_MODE_BITS: dict[Mode, tuple[int, int]] = {  # status byte, bits
    "stop": (1, 0x20), "play": (1, 0x01), "record": (1, 0x03), "ff": (1, 0x04), "rewind": (1, 0x08),
    "jog": (2, 0x10), "var": (2, 0x08), "shuttle": (2, 0x20),
}  # fmt: skip
_STANDBY = {0x04: False, 0x05: True}


class NinePinDecoder:
    """The machine's transport and its remote socket; ``frames_per_s`` is its time code's rate (24, 25 or 30).

    ``refusing`` names commands (stop, play, record, ff, rewind, jog, var, shuttle, cue, standby) that are answered as
    undefined, like a playback-only machine answers record.
    """

    def __init__(self, *, refusing: Collection[str] = (), frames_per_s: int = 25) -> None:
        self.heard = 0
        self.frames_per_s = frames_per_s
        self.refusing = set(refusing)
        self._mode: Mode = "stop"
        self._position_s = 0.0
        self._search_speed = 0.0
        self._cue_s: float | None = None
        self._cued = False
        self._tape = True
        self._standby = True
        self._now_s: float | None = None
        self._byte_s: float | None = None
        self._frame = bytearray()

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take serial bytes, cut anywhere; return one answer for every whole frame."""
        answers: list[bytes] = []
        if at_s is not None:
            self._run(at_s)
            if self._frame and self._byte_s is not None and at_s - self._byte_s > BYTE_GAP_S:
                self._frame.clear()
                answers.append(_nak(_TIMEOUT))
            self._byte_s = at_s
        for byte in data:
            self._frame.append(byte)
            if len(self._frame) == 3 + (self._frame[0] & 0x0F):
                frame = bytes(self._frame)
                self._frame.clear()
                self.heard += 1
                answers.append(self._obey(frame))
        return answers

    def _run(self, at_s: float) -> None:
        """Let the tape run until ``at_s``; a clock that steps back moves nothing."""
        before_s, self._now_s = self._now_s, at_s
        if before_s is None or at_s <= before_s:
            return
        self._position_s += self._speed() * (at_s - before_s)
        if self._cue_s is not None:
            forward = self._mode == "ff"
            if self._position_s >= self._cue_s if forward else self._position_s <= self._cue_s:
                self._arrive(self._cue_s)
        last_s = DAY_S - 1.0 / self.frames_per_s
        if not 0.0 <= self._position_s <= last_s:
            self._position_s = min(last_s, max(0.0, self._position_s))
            self._mode = "stop"

    def _arrive(self, cue_s: float) -> None:
        self._position_s, self._cue_s = cue_s, None
        self._mode, self._cued = "stop", True

    def _speed(self) -> float:
        if self._mode in ("play", "record"):
            return 1.0
        if self._mode in ("ff", "rewind"):
            return WIND_SPEED if self._mode == "ff" else -WIND_SPEED
        return 0.0 if self._mode == "stop" else self._search_speed

    def _obey(self, frame: bytes) -> bytes:
        if sum(frame[:-1]) & 0xFF != frame[-1]:
            return _nak(_CHECKSUM)
        command, data = frame[1], frame[2:-1]
        handlers: dict[int, Callable[[int, bytes], bytes | None]] = {
            0x00: self._system, 0x20: self._transport, 0x60: self._sense,
        }  # fmt: skip
        handler = handlers.get(frame[0] & 0xF0)
        answer = handler(command, data) if handler is not None else None
        return _nak(_UNDEFINED) if answer is None else answer

    def _system(self, command: int, data: bytes) -> bytes | None:
        if data:
            return None
        if command == 0x11:
            return _framed(0x10, 0x11, DEVICE_TYPE)
        return _ACK if command in (0x0C, 0x1D) else None

    def _transport(self, command: int, data: bytes) -> bytes | None:
        if not data and command in _TRANSPORT:
            mode = _TRANSPORT[command]
            return None if mode in self.refusing else self._go(mode)
        if not data and command in _STANDBY and "standby" not in self.refusing:
            self._standby = _STANDBY[command]
            return _ACK
        if command == 0x31 and "cue" not in self.refusing:
            return self._cue(data)
        if len(data) in (1, 2) and command & 0x0F in _SEARCHES and command & 0xF0 in (0x10, 0x20):
            mode = _SEARCHES[command & 0x0F]
            return None if mode in self.refusing else self._search(mode, data, backwards=command >= 0x20)
        return None

    def _go(self, mode: Mode) -> bytes:
        self._cue_s, self._cued = None, False
        self._mode = mode if self._tape else "stop"
        return _ACK

    def _search(self, mode: Mode, data: bytes, *, backwards: bool) -> bytes:
        """Speed is 10^(N/32 − 2) times play speed, N with its fraction in the second byte; N = 0 stands still."""
        number = data[0] + (data[1] / 256 if len(data) == 2 else 0.0)
        speed = 10.0 ** (number / 32 - 2.0) if number else 0.0
        self._search_speed = -speed if backwards else speed
        return self._go(mode)

    def _cue(self, data: bytes) -> bytes | None:
        target_s = self._read_time(data)
        if target_s is None:
            return None
        self._go("ff" if target_s > self._position_s else "rewind")
        if not self._tape:
            return _ACK
        self._cue_s = target_s
        if target_s == self._position_s:
            self._arrive(target_s)
        return _ACK

    def _read_time(self, data: bytes) -> float | None:
        """Read BCD frames, seconds, minutes, hours; the bits above the tens are flags of the time code."""
        if len(data) != 4:
            return None
        masked = [byte & mask for byte, mask in zip(data, (0x3F, 0x7F, 0x7F, 0x3F), strict=True)]
        if any(byte & 0x0F > 9 for byte in masked):
            return None
        frames, seconds, minutes, hours = (10 * (byte >> 4) + (byte & 0x0F) for byte in masked)
        if frames >= self.frames_per_s or seconds > 59 or minutes > 59 or hours > 23:
            return None
        return hours * 3600 + minutes * 60 + seconds + frames / self.frames_per_s

    def _sense(self, command: int, data: bytes) -> bytes | None:
        if len(data) != 1:
            return None
        if command == 0x20:
            first, count = data[0] >> 4, data[0] & 0x0F
            return _framed(0x70, 0x20, (self._status() + bytes(30))[first : first + count])
        if command == 0x0C and data[0] in (0x01, 0x03, 0x04):
            return _framed(0x70, 0x00 if data[0] == 0x04 else 0x04, self._time())
        if command == 0x0C and data[0] == 0x02:
            return _framed(0x70, 0x0D, b"")
        return None

    def _status(self) -> bytes:
        status = bytearray(10)
        if not self._tape:
            status[0] |= 0x20
        where, bits = _MODE_BITS[self._mode]
        status[where] |= bits
        if self._standby:
            status[1] |= 0x80
        if self._cued:
            status[2] |= 0x01
        if self._speed() < 0:
            status[2] |= 0x04
        return bytes(status)

    def _time(self) -> bytes:
        # A whole frame that was reached exactly must not be lost to the rounding of the sum of seconds.
        frames = int(self._position_s * self.frames_per_s + 1e-6)
        seconds = frames // self.frames_per_s
        parts = (frames % self.frames_per_s, seconds % 60, seconds // 60 % 60, seconds // 3600)
        return bytes((part // 10) << 4 | part % 10 for part in parts)

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand press a transport key, wind the tape (``position`` s), set the search wheel, take the tape out.

        Winding by hand stops the machine. It never speaks unasked.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        if name == "transport":
            mode = next((mode for mode in _MODE_BITS if mode == value), None)
            if mode is None:
                raise HardwareError(f"transport has the keys {', '.join(_MODE_BITS)}; it cannot be set to {value!r}")
            self._go(mode)
        elif name == "position":
            self._go("stop")
            self._position_s = hand_number(name, value, 0.0, DAY_S - 1.0 / self.frames_per_s)
        elif name == "search_speed":
            self._search_speed = hand_number(name, value, -WIND_SPEED, WIND_SPEED)
        elif name == "tape":
            self._tape = hand_switch(name, value)
            if not self._tape:
                self._go("stop")
        else:
            raise no_such_knob("tape machine", name)
        return []

    def knobs(self) -> dict[str, Value]:
        """Tape inside, search wheel (times play speed), position [s] at the last ``at_s``, and what runs."""
        return {
            "tape": self._tape,
            "search_speed": self._search_speed,
            "position": self._position_s,
            "transport": self._mode,
        }


def _framed(group: int, command: int, data: bytes) -> bytes:
    body = bytes([group | len(data), command]) + data
    return body + bytes([sum(body) & 0xFF])


def _nak(bits: int) -> bytes:
    return _framed(0x10, 0x12, bytes([bits]))
