"""A Yamaha 01V96 (version 2) as its firmware sees it: parameter changes in and out, parameter requests answered.

Facts: the maker's parameter change list. Change ``F0 43 1n 3E 7F 01 ee pp cc d3 d2 d1 d0 F7``, request
``F0 43 3n 3E 7F 01 ee pp cc F7``, answer the change message; n is the device number. Data are 28 bits in four bytes,
most significant first, negative numbers in two's complement; there is no checksum and no refusal.

This firmware's limits: the 32 mono inputs' fader, ON, pan, phase, insert, attenuator and EQ (on, four times Q,
frequency, gain), the stereo master's fader and ON. Stereo inputs, sends, busses, dynamics, EQ type, insert position,
scenes and the device-specific block (0D) are passed over without a word, as is a value out of range. While it is busy
with a request (``REQUEST_S``) a further request is lost; this needs ``at_s``, without it none is lost. Parameter
changes are never lost. Power-on positions are the room's own: faders down, everything on, EQ flat.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob

INPUTS = 32
REQUEST_S = 0.015
"""How long the console is deaf to requests after one that it answers [s].

Remote programs in use leave 20 ms free, and a MIDI driver delivers each message some milliseconds early or late.
"""

INPUT_FADER_POINTS = ((1, -138.0), (15, -96.0), (33, -78.0), (223, -40.0), (424, -19.95), (1023, 10.0))
"""Position (10 bits) and dB of an input fader, straight in dB between; 0 is −∞."""
OUTPUT_FADER_POINTS = (
    (1, -138.0), (3, -134.0), (35, -102.0), (83, -78.0), (223, -50.0), (424, -29.95), (1023, 0.0),
)  # fmt: skip
"""Position (10 bits) and dB of the stereo fader."""

_Kind = Literal["fader", "master_fader", "on", "switch", "pan", "tenths", "freq", "q", "code"]


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: _Kind
    low: int
    high: int
    start: int


_STRIP: dict[tuple[int, int], _Parameter] = {
    (0x1C, 0x00): _Parameter("fader", "fader", 0, 1023, 0),
    (0x1A, 0x00): _Parameter("mute", "on", 0, 1, 1),
    (0x1B, 0x00): _Parameter("pan", "pan", -63, 63, 0),
    (0x17, 0x00): _Parameter("polarity", "switch", 0, 1, 0),
    (0x19, 0x00): _Parameter("insert", "switch", 0, 1, 0),
    (0x1D, 0x00): _Parameter("trim", "tenths", -960, 120, 0),
    (0x20, 0x0F): _Parameter("eq/in", "switch", 0, 1, 1),
    (0x20, 0x01): _Parameter("eq/lf_q", "code", 0, 44, 41),
    (0x20, 0x02): _Parameter("eq/lf_freq", "freq", 5, 124, 36),
    (0x20, 0x03): _Parameter("eq/lf_gain", "tenths", -180, 180, 0),
    (0x20, 0x05): _Parameter("eq/lmf_q", "q", 0, 40, 20),
    (0x20, 0x06): _Parameter("eq/lmf_freq", "freq", 5, 124, 72),
    (0x20, 0x07): _Parameter("eq/lmf_gain", "tenths", -180, 180, 0),
    (0x20, 0x08): _Parameter("eq/hmf_q", "q", 0, 40, 20),
    (0x20, 0x09): _Parameter("eq/hmf_freq", "freq", 5, 124, 96),
    (0x20, 0x0A): _Parameter("eq/hmf_gain", "tenths", -180, 180, 0),
    (0x20, 0x0B): _Parameter("eq/hf_q", "code", 0, 43, 42),
    (0x20, 0x0C): _Parameter("eq/hf_freq", "freq", 5, 124, 112),
    (0x20, 0x0D): _Parameter("eq/hf_gain", "tenths", -180, 180, 0),
}
_MASTER: dict[tuple[int, int], _Parameter] = {
    (0x4F, 0x00): _Parameter("fader", "master_fader", 0, 1023, 0),
    (0x4D, 0x00): _Parameter("mute", "on", 0, 1, 1),
}
_Address = tuple[int, int, int]
_CHANGE, _REQUEST = 0x10, 0x30


class SysexDeskDecoder:
    """The console's panel and its MIDI port; ``midi_channel`` 1–16 is the device number plus one.

    ``lost`` counts the requests that came while the console was busy with another.
    """

    def __init__(self, *, midi_channel: int = 1) -> None:
        self.heard = 0
        self.lost = 0
        self._device = midi_channel - 1
        self._input = MidiInput()
        self._answered_s = -math.inf
        self._parameters: dict[_Address, _Parameter] = {
            (*where, channel): parameter for channel in range(INPUTS) for where, parameter in _STRIP.items()
        } | {(*where, 0): parameter for where, parameter in _MASTER.items()}
        self._raw = {address: parameter.start for address, parameter in self._parameters.items()}
        self._addresses = {_name(address, parameter): address for address, parameter in self._parameters.items()}

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes, cut anywhere; return the parameter changes that answer requests."""
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            answers += self._obey(message, at_s)
        return answers

    def _obey(self, message: bytes, at_s: float | None) -> list[bytes]:
        if len(message) not in (10, 14) or message[:2] != b"\xf0\x43" or message[3:6] != b"\x3e\x7f\x01":
            return []
        address = (message[6], message[7], message[8])
        if address not in self._parameters:
            return []
        if len(message) == 14 and message[2] == _CHANGE | self._device:
            self._change(address, _signed(message[9:13]))
        elif len(message) == 10 and message[2] == _REQUEST | self._device:
            return self._answer(address, at_s)
        return []

    def _change(self, address: _Address, raw: int) -> None:
        parameter = self._parameters[address]
        if parameter.low <= raw <= parameter.high:
            self._raw[address] = raw

    def _answer(self, address: _Address, at_s: float | None) -> list[bytes]:
        if at_s is not None:
            if at_s - self._answered_s < REQUEST_S - 1e-9:
                self.lost += 1
                return []
            self._answered_s = at_s
        return [self._message(address)]

    def _message(self, address: _Address) -> bytes:
        data = self._raw[address] & 0xFFF_FFFF
        sevens = [data >> shift & 0x7F for shift in (21, 14, 7, 0)]
        return bytes([0xF0, 0x43, _CHANGE | self._device, 0x3E, 0x7F, 0x01, *address, *sevens, 0xF7])

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one control; the console reports it as a parameter change.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        address = self._addresses.get(name)
        if address is None:
            raise no_such_knob("sysex desk", name)
        self._raw[address] = _by_hand(name, self._parameters[address], value)
        return [self._message(address)]

    def knobs(self) -> dict[str, Value]:
        """Every control: dB (a fader down is −∞), Hz, Q, pan −100…100, bool; the outer bands' Q as raw codes."""
        return {
            name: _value(self._parameters[address], self._raw[address]) for name, address in self._addresses.items()
        }


def _name(address: _Address, parameter: _Parameter) -> str:
    section = "master" if (address[0], address[1]) in _MASTER else f"ch{address[2] + 1:02d}"
    return f"{section}/{parameter.name}"


def _signed(sevens: bytes) -> int:
    raw = 0
    for seven in sevens:
        raw = raw << 7 | seven
    return raw - (1 << 28) if raw >> 27 else raw


def sysex_fader_db(step: int, points: tuple[tuple[int, float], ...]) -> float:
    """Level [dB] of fader position ``step`` (0–1023) on a law of ``points``; −∞ at 0."""
    if step == 0:
        return -math.inf
    for (below, below_db), (above, above_db) in itertools.pairwise(points):
        if step <= above:
            return below_db + (above_db - below_db) * (step - below) / (above - below)
    return points[-1][1]


def _value(parameter: _Parameter, raw: int) -> Value:
    kind = parameter.kind
    if kind in ("fader", "master_fader"):
        return sysex_fader_db(raw, _law(parameter))
    if kind in ("on", "switch"):
        return bool(raw) == (kind == "switch")
    if kind == "pan":
        return raw * 100.0 / 63
    if kind == "tenths":
        return raw / 10
    if kind == "freq":  # twelve steps to the octave, code 4 is 20 Hz
        return float(20.0 * 2.0 ** ((raw - 4) / 12))
    if kind == "q":  # from 10 down to 0.10 in 40 equal ratios
        return float(10.0 ** (1.0 - raw / 20))
    return raw


def _law(parameter: _Parameter) -> tuple[tuple[int, float], ...]:
    return INPUT_FADER_POINTS if parameter.kind == "fader" else OUTPUT_FADER_POINTS


def _by_hand(name: str, parameter: _Parameter, value: Value) -> int:
    kind = parameter.kind
    if kind in ("on", "switch"):
        return int(hand_switch(name, value) == (kind == "switch"))
    low, high = parameter.low, parameter.high
    if kind in ("fader", "master_fader"):
        if value in ("off", -math.inf):
            return 0
        low = 1
    ends = sorted(float(_value(parameter, raw)) for raw in (low, high))
    number = hand_number(name, value, *ends)
    if kind in ("tenths", "pan"):
        return round(number * (10 if kind == "tenths" else 0.63))
    return min(range(low, high + 1), key=lambda raw: abs(float(_value(parameter, raw)) - number))
