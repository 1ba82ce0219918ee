"""Room Desk 48 as its firmware sees it: 600 controls behind one MIDI port, and hands on its faders.

Written from the desk's manual (docs/devices/room-desk-48.md), not from the encoder it will meet.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob

CHANNELS, GROUPS, AUXES = 48, 8, 4
BANDS = ("lf", "lmf", "hmf", "hf")
QUERIES_HELD = 8
FADER_POINTS = ((1, -90.0), (100, -60.0), (250, -40.0), (450, -20.0), (600, -10.0), (800, 0.0), (1023, 10.0))
"""Fader positions and the dB printed beside them; 0 is OFF, straight lines in dB between the points (section 4)."""
VERSION = (1, 4, 2)

_BYTES_PER_S = 3125.0
_THINKS_S = 0.001
_HEADER = bytes.fromhex("F07D3438")
_QUERY, _REFUSAL = 0x01, 0x7F
_INQUIRIES = (bytes.fromhex("F07E7F0601F7"), bytes.fromhex("F07E000601F7"))
_IDENTITY = bytes.fromhex("F07E0006027D30000100") + bytes([*VERSION, 0, 0xF7])
_MUTE = 0x40
_FIRST_EQ, _FIRST_AUX = 0x24, 0x28


def fader_db(v: int) -> float:
    """Level [dB] of fader position ``v`` (0–1023); −∞ at 0."""
    if v == 0:
        return -math.inf
    for (below, below_db), (above, above_db) in itertools.pairwise(FADER_POINTS):
        if v <= above:
            return below_db + (above_db - below_db) * (v - below) / (above - below)
    return FADER_POINTS[-1][1]


def _fader_from_db(level_db: float) -> int:
    for (below, below_db), (above, above_db) in itertools.pairwise(FADER_POINTS):
        if level_db <= above_db:
            return round(below + (above - below) * (level_db - below_db) / (above_db - below_db))
    return FADER_POINTS[-1][0]


def _can_be_off(address: str, value: Value, low_db: float, high_db: float, position: Callable[[float], int]) -> int:
    if value in ("off", -math.inf):
        return 0
    return position(hand_number(address, value, low_db, high_db))


@dataclass(frozen=True)
class _Law:
    """One kind of control: where its value stands in the data entry, and what it means."""

    unpack: Callable[[int, int], int | None]
    """Data MSB, LSB → v; None when out of range."""
    pack: Callable[[int], tuple[int, int]]
    shown: Callable[[int], Value]
    set_by_hand: Callable[[str, Value], int]


def _switched(address: str, value: Value) -> int:
    return 127 if hand_switch(address, value) else 0


_FADER = _Law(
    unpack=lambda msb, lsb: msb << 3 | lsb >> 4,
    pack=lambda v: (v >> 3, (v & 7) << 4),
    shown=fader_db,
    set_by_hand=lambda address, value: _can_be_off(address, value, -90.0, 10.0, _fader_from_db),
)
_PAN = _Law(
    unpack=lambda msb, lsb: msb << 7 | lsb if msb <= 1 else None,
    pack=lambda v: (v >> 7, v & 0x7F),
    shown=lambda v: max(-100.0, (v - 128) / 127 * 100.0),
    set_by_hand=lambda address, value: 128 + round(hand_number(address, value, -100.0, 100.0) * 1.27),
)
_EQ_GAIN = _Law(
    unpack=lambda msb, lsb: msb if msb <= 120 else None,
    pack=lambda v: (v, 0),
    shown=lambda v: (v - 60) * 0.25,
    set_by_hand=lambda address, value: 60 + round(hand_number(address, value, -15.0, 15.0) * 4),
)
_AUX = _Law(
    unpack=lambda msb, lsb: msb << 1 | lsb >> 6,
    pack=lambda v: (v >> 1, (v & 1) << 6),
    shown=lambda v: -math.inf if v == 0 else (v - 235) * 0.25,
    set_by_hand=lambda address, value: _can_be_off(
        address, value, -58.5, 5.0, lambda level_db: 235 + round(level_db * 4)
    ),
)
_SWITCH = _Law(
    unpack=lambda msb, lsb: 127 if msb >= 64 else 0,
    pack=lambda v: (v, 0),
    shown=lambda v: v > 0,
    set_by_hand=_switched,
)

_Number = tuple[int, int]
"""hh ll of a control; for mutes 40 and the note."""


def _controls() -> dict[str, tuple[_Number, _Law, int]]:
    """Every control by name: its number, its law, and where it stands at power-on."""
    controls: dict[str, tuple[_Number, _Law, int]] = {}
    for index in range(CHANNELS):
        at = f"ch{index + 1:02d}"
        controls[f"{at}/fader"] = ((0x20, index), _FADER, 0)
        controls[f"{at}/mute"] = ((_MUTE, index), _SWITCH, 0)
        controls[f"{at}/pan"] = ((0x23, index), _PAN, 128)
        controls[f"{at}/eq/in"] = ((0x30, index), _SWITCH, 0)
        for band, name in enumerate(BANDS):
            controls[f"{at}/eq/{name}_gain"] = ((_FIRST_EQ + band, index), _EQ_GAIN, 60)
        for aux in range(AUXES):
            controls[f"{at}/aux{aux + 1}"] = ((_FIRST_AUX + aux, index), _AUX, 0)
    for index in range(GROUPS):
        controls[f"grp{index + 1}/fader"] = ((0x21, index), _FADER, 800)
        controls[f"grp{index + 1}/mute"] = ((_MUTE, CHANNELS + index), _SWITCH, 0)
    controls["master/fader"] = ((0x22, 0), _FADER, 0)
    controls["master/mute"] = ((_MUTE, CHANNELS + GROUPS), _SWITCH, 127)
    controls["master/dim"] = ((0x32, 0), _SWITCH, 0)
    controls["master/insert"] = ((0x31, 0), _SWITCH, 0)
    for aux in range(AUXES):
        controls[f"master/aux{aux + 1}"] = ((0x2C, aux), _AUX, 235)
    return controls


_CONTROLS = _controls()
_NAMES = {number: name for name, (number, _, _) in _CONTROLS.items()}


class Desk48Decoder:
    """The desk's panel and its MIDI port. ``refusing`` names controls that answer every setting with a NAK."""

    def __init__(self) -> None:
        self.heard = 0
        self.refusing: set[str] = set()
        self._held: set[str] = set()
        self._values = {name: power_on for name, (_, _, power_on) in _CONTROLS.items()}
        self._input = MidiInput()
        self._selected: list[int | None] = [None, None]
        self._data_msb: int | None = None
        self._answers_begin_s: deque[float] = deque()
        self._wire_free_s = 0.0

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes; return whole MIDI messages in answer. Without ``at_s`` the input buffer never overflows."""
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            answers += self._obey(message, at_s)
        return answers

    def _obey(self, message: bytes, at_s: float | None) -> list[bytes]:
        if message[0] == 0xF0:
            return self._exclusive(message, at_s)
        if message[0] == 0xB0:
            return self._controller(message[1], message[2])
        if message[0] in (0x80, 0x90):
            return self._set((_MUTE, message[1]), 127 if message[0] == 0x90 and message[2] else 0)
        return []

    def _exclusive(self, message: bytes, at_s: float | None) -> list[bytes]:
        if message in _INQUIRIES:
            return self._in_time([_IDENTITY], at_s)
        if len(message) != 8 or message[:4] != _HEADER or message[4] != _QUERY:
            return []
        name = _NAMES.get((message[5], message[6]))
        return self._in_time(self.tell(name), at_s) if name is not None else []

    def _in_time(self, answer: list[bytes], at_s: float | None) -> list[bytes]:
        """Let an answer leave after those before it; nothing when the buffer was full (section 6)."""
        if at_s is None:
            return answer
        waiting = self._answers_begin_s
        while waiting and waiting[0] <= at_s:
            waiting.popleft()
        if len(waiting) == QUERIES_HELD:
            return []
        waiting.append(max(at_s + _THINKS_S, self._wire_free_s))
        self._wire_free_s = waiting[-1] + sum(map(len, answer)) / _BYTES_PER_S
        return answer

    def _controller(self, number: int, value: int) -> list[bytes]:
        if number in (99, 98):
            self._selected[99 - number], self._data_msb = value, None
        elif number == 6:
            self._data_msb = value
        elif number == 38:
            high, low = self._selected
            msb, self._data_msb = self._data_msb, None
            if msb is not None and high is not None and low is not None and high != _MUTE:
                name = _NAMES.get((high, low))
                return self._set((high, low), _CONTROLS[name][1].unpack(msb, value)) if name is not None else []
        return []

    def _set(self, number: _Number, value: int | None) -> list[bytes]:
        name = _NAMES.get(number)
        if name is None:
            return []
        if value is None or name in self.refusing or name in self._held:
            return [_HEADER + bytes([_REFUSAL, *number, 0xF7])]
        self._values[name] = value
        return []

    def tell(self, name: str) -> list[bytes]:
        """Messages that say where control ``name`` stands: those that would set it there.

        Raises
        ------
        HardwareError
            No such control.
        """
        if name not in _CONTROLS:
            raise no_such_knob("desk of 48 channels", name)
        (high, low), law, _ = _CONTROLS[name]
        msb, lsb = law.pack(self._values[name])
        if high == _MUTE:
            return [bytes([0x90, low, msb])]
        return [bytes([0xB0, *pair]) for pair in ((99, high), (98, low), (6, msb), (38, lsb))]

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one control: it reports where it stands, a fader between touch and release.

        ``ch02/touch`` (any fader's place, bool) lays a hand on the fader, or takes it off again.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        place = name.removesuffix("/touch")
        if place != name and f"{place}/fader" in _CONTROLS:
            return self._hold(f"{place}/fader", hand_switch(name, value))
        if name not in _CONTROLS:
            raise no_such_knob("desk of 48 channels", name)
        self._values[name] = _CONTROLS[name][1].set_by_hand(name, value)
        if not name.endswith("/fader") or name in self._held:
            return self.tell(name)
        return [_touch(name, True), *self.tell(name), _touch(name, False)]

    def _hold(self, name: str, on: bool) -> list[bytes]:
        if on == (name in self._held):
            return []
        (self._held.add if on else self._held.discard)(name)
        return [_touch(name, on)]

    def knobs(self) -> dict[str, Value]:
        """Every control's position: dB (−∞ is off), pan −100…100, switches as bool."""
        return {name: law.shown(self._values[name]) for name, (_, law, _) in _CONTROLS.items()}


def _touch(fader: str, on: bool) -> bytes:
    (_, note), _, _ = _CONTROLS[f"{fader.removesuffix('/fader')}/mute"]
    return bytes([0x91, note, 0x7F if on else 0x00])
