"""Room Desk 24 as its firmware sees it: NRPN and notes in, motors and relays moved, answers out.

Written from the desk's manual (docs/devices/room-desk-24.md), not from the encoder it will meet.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob
from hardware.room.laws import (
    EQ_CENTRE,
    EQ_HIGH,
    EQ_LOW,
    EQ_STEP_DB,
    eq_gain_db,
    fader_db,
    fader_step,
    pan_position,
    pan_step,
)

STRIPS = 24
BANDS = ("lf", "lmf", "hmf", "hf")
FREQ_RANGES = ((30.0, 450.0), (200.0, 2500.0), (600.0, 7000.0), (1500.0, 16000.0))
Q_RANGE = (0.4, 4.0)
TRIM_RANGE = (-10.0, 20.0)
HPF_RANGE = (20.0, 400.0)
MASTER = -1
"""Stands for the master section where strips are counted from 0."""

_FADER, _MASTER_FADER, _FIRST_EQ, _LAST_EQ = 0x10, 0x11, 0x12, 0x15
_PAN, _MUTE, _EQ_IN, _INSERT = 0x40, 0x41, 0x42, 0x43
_HEADER = bytes([0xF0, 0x7D, 0x48, 0x4E])
_QUERY, _REFUSAL = 0x10, 0x7F


@dataclass
class StripPanel:
    """One strip's controls: what the motors hold as raw steps, what only a hand turns in its own unit."""

    fader: int = 0
    mute: bool = False
    pan: int = 64
    eq_in: bool = False
    eq_gain: list[int] = field(default_factory=lambda: [EQ_CENTRE] * 4)
    trim_db: float = 0.0
    polarity: bool = False
    hpf_hz: float | None = None
    eq_freq_hz: list[float] = field(default_factory=lambda: [100.0, 600.0, 3000.0, 8000.0])
    eq_q: list[float] = field(default_factory=lambda: [1.0, 1.0])


class DeskDecoder:
    """The desk's panel and its MIDI input and output.

    ``touched`` gathers the strips (from 0; −1 the master section) whose controls moved; its reader clears it.
    ``refusing`` names controls (``ch05/fader``) that answer every setting with a NAK.
    """

    def __init__(self, *, refusing: Collection[str] = ()) -> None:
        self.strips = [StripPanel() for _ in range(STRIPS)]
        self.master_fader = 192
        self.insert = False
        self.touched: set[int] = set()
        self.heard = 0
        self.refusing = set(refusing)
        self._input = MidiInput()
        self._selected: list[int | None] = [None, None]
        self._data_msb: int | None = None

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes; return whole MIDI messages in answer. What the manual does not list is passed over."""
        del at_s
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            answers += self._obey(message)
        return answers

    def _obey(self, message: bytes) -> list[bytes]:
        status = message[0]
        if status == 0xF0:
            return self._query(message)
        if status == 0xB0:
            return self._controller(message[1], message[2])
        if status & 0xF0 in (0x80, 0x90) and status & 0x0F <= 2:
            on = status & 0xF0 == 0x90 and message[2] > 0
            return self._note(status & 0x0F, message[1], on)
        return []

    def _query(self, message: bytes) -> list[bytes]:
        if len(message) != 8 or message[:4] != _HEADER or message[4] != _QUERY:
            return []
        return self._state(message[5], message[6])

    def _controller(self, number: int, value: int) -> list[bytes]:
        if number == 99:
            self._selected[0], self._data_msb = value, None
        elif number == 98:
            self._selected[1], self._data_msb = value, None
        elif number == 6:
            self._data_msb = value
        elif number == 38:
            return self._data_entry(value)
        elif 64 <= number < 64 + STRIPS:
            return self._set(_PAN, number - 64, value)
        return []

    def _data_entry(self, data_lsb: int) -> list[bytes]:
        high, low = self._selected
        if self._data_msb is None or high is None or low is None:
            return []
        if high in (_FADER, _MASTER_FADER):
            return self._set(high, low, (self._data_msb << 7 | data_lsb) >> 6)
        return self._set(high, low, self._data_msb)

    def _note(self, midi_channel: int, key: int, on: bool) -> list[bytes]:
        return self._set((_MUTE, _EQ_IN, _INSERT)[midi_channel], key, int(on))

    def _set(self, high: int, low: int, raw: int) -> list[bytes]:
        name = self._name(high, low)
        if name is None:
            return []
        out_of_range = _FIRST_EQ <= high <= _LAST_EQ and not EQ_LOW <= raw <= EQ_HIGH
        if name in self.refusing or out_of_range:
            return [_HEADER + bytes([_REFUSAL, high, low, 0xF7])]
        self._move(high, low, raw)
        return []

    def _name(self, high: int, low: int) -> str | None:
        if high in (_MASTER_FADER, _INSERT):
            return ("master/fader" if high == _MASTER_FADER else "master/insert") if low == 0 else None
        if low >= STRIPS:
            return None
        names = {_FADER: "fader", _PAN: "pan", _MUTE: "mute", _EQ_IN: "eq/in"}
        names |= {_FIRST_EQ + band: f"eq/{BANDS[band]}_gain" for band in range(4)}
        return f"ch{low + 1:02d}/{names[high]}" if high in names else None

    def _move(self, high: int, low: int, raw: int) -> None:
        self.touched.add(MASTER if high in (_MASTER_FADER, _INSERT) else low)
        strip = self.strips[low]
        if high == _FADER:
            strip.fader = raw
        elif high == _MASTER_FADER:
            self.master_fader = raw
        elif high == _PAN:
            strip.pan = raw
        elif high == _MUTE:
            strip.mute = bool(raw)
        elif high == _EQ_IN:
            strip.eq_in = bool(raw)
        elif high == _INSERT:
            self.insert = bool(raw)
        else:
            strip.eq_gain[high - _FIRST_EQ] = raw

    def _state(self, high: int, low: int) -> list[bytes]:
        if self._name(high, low) is None:
            return []
        strip = self.strips[low]
        if high in (_FADER, _MASTER_FADER):
            raw = strip.fader if high == _FADER else self.master_fader
            return _nrpn(high, low, raw >> 1, (raw & 1) << 6)
        if high == _PAN:
            return [bytes([0xB0, 64 + low, strip.pan])]
        if high == _MUTE:
            return [_note_message(0, low, strip.mute)]
        if high == _EQ_IN:
            return [_note_message(1, low, strip.eq_in)]
        if high == _INSERT:
            return [_note_message(2, 0, self.insert)]
        return _nrpn(high, low, strip.eq_gain[high - _FIRST_EQ], 0)

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one control; faders, mutes and the other recallable ones report their new position.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        section, _, rest = name.partition("/")
        if section == "master":
            return self._turn_master(name, rest, value)
        number = section[2:]
        if section[:2] != "ch" or len(number) != 2 or not number.isdecimal() or not 1 <= int(number) <= STRIPS:
            raise no_such_knob("desk", name)
        index = int(number) - 1
        high = self._turn_strip(self.strips[index], name, rest, value)
        self.touched.add(index)
        return [] if high is None else self._state(high, index)

    def _turn_master(self, name: str, rest: str, value: Value) -> list[bytes]:
        if rest == "fader":
            self.master_fader = _fader_by_hand(name, value)
        elif rest == "insert":
            self.insert = hand_switch(name, value)
        else:
            raise no_such_knob("desk", name)
        self.touched.add(MASTER)
        return self._state(_MASTER_FADER if rest == "fader" else _INSERT, 0)

    def _turn_strip(self, strip: StripPanel, name: str, rest: str, value: Value) -> int | None:
        """Set one control of a strip; return the number under which it reports, None when only a hand knows it."""
        if rest == "fader":
            strip.fader = _fader_by_hand(name, value)
            return _FADER
        if rest == "pan":
            strip.pan = pan_step(hand_number(name, value, -100.0, 100.0))
            return _PAN
        if rest == "mute":
            strip.mute = hand_switch(name, value)
            return _MUTE
        if rest == "eq/in":
            strip.eq_in = hand_switch(name, value)
            return _EQ_IN
        if rest == "trim":
            strip.trim_db = hand_number(name, value, *TRIM_RANGE)
            return None
        if rest == "polarity":
            strip.polarity = hand_switch(name, value)
            return None
        if rest == "hpf_freq":
            off = isinstance(value, str | bool) or value in (0.0, -math.inf)
            strip.hpf_hz = None if off and value in ("off", False, 0.0, -math.inf) else hand_number(
                name, value, *HPF_RANGE
            )  # fmt: skip
            return None
        return self._turn_eq(strip, name, rest.removeprefix("eq/"), value)

    def _turn_eq(self, strip: StripPanel, name: str, rest: str, value: Value) -> int | None:
        band_name, _, what = rest.partition("_")
        if band_name in BANDS:
            band = BANDS.index(band_name)
            if what == "gain":
                reach = eq_gain_db(EQ_HIGH)
                strip.eq_gain[band] = EQ_CENTRE + round(hand_number(name, value, -reach, reach) / EQ_STEP_DB)
                return _FIRST_EQ + band
            if what == "freq":
                strip.eq_freq_hz[band] = hand_number(name, value, *FREQ_RANGES[band])
                return None
            if what == "q" and band in (1, 2):
                strip.eq_q[band - 1] = hand_number(name, value, *Q_RANGE)
                return None
        raise no_such_knob("desk", name)

    def knobs(self) -> dict[str, Value]:
        """Every control's position: dB, Hz, Q, pan −100…100, switches as bool; the high-pass is "off" at its detent."""
        knobs: dict[str, Value] = {}
        for number, strip in enumerate(self.strips, 1):
            at = f"ch{number:02d}"
            knobs[f"{at}/fader"] = fader_db(strip.fader)
            knobs[f"{at}/mute"] = strip.mute
            knobs[f"{at}/pan"] = pan_position(strip.pan)
            knobs[f"{at}/trim"] = strip.trim_db
            knobs[f"{at}/polarity"] = strip.polarity
            knobs[f"{at}/hpf_freq"] = "off" if strip.hpf_hz is None else strip.hpf_hz
            knobs[f"{at}/eq/in"] = strip.eq_in
            for band, name in enumerate(BANDS):
                knobs[f"{at}/eq/{name}_gain"] = eq_gain_db(strip.eq_gain[band])
                knobs[f"{at}/eq/{name}_freq"] = strip.eq_freq_hz[band]
            knobs[f"{at}/eq/lmf_q"], knobs[f"{at}/eq/hmf_q"] = strip.eq_q
        knobs["master/fader"] = fader_db(self.master_fader)
        knobs["master/insert"] = self.insert
        return knobs


def _fader_by_hand(name: str, value: Value) -> int:
    if value in ("off", -math.inf):
        return 0
    return fader_step(hand_number(name, value, fader_db(1), fader_db(255)))


def _nrpn(high: int, low: int, data_msb: int, data_lsb: int) -> list[bytes]:
    pairs = ((99, high), (98, low), (6, data_msb), (38, data_lsb))
    return [bytes([0xB0, controller, value]) for controller, value in pairs]


def _note_message(midi_channel: int, key: int, on: bool) -> bytes:
    return bytes([0x90 | midi_channel, key, 0x7F]) if on else bytes([0x80 | midi_channel, key, 0x00])
