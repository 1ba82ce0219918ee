"""An RME OctaMic XTC as its firmware sees it: microphone settings in, the whole state out when asked.

Facts: the maker's user's guide, chapter on MIDI remote control. ``F0 00 20 0D 69 dev cmd … F7`` (dev 7F: every unit).
Command 20 sets items of four bytes: index, LSB, MSB, flags; only what a flag names changes (01 gain, 02 phase, 04 mute,
08 AutoSet, 10 phantom power, 20 pad or instrument, 40 group). Command 10 asks for everything, 12 for what changed; the
answer, 30, has items of three bytes, without flags. Microphone inputs are indices 0–7. Gain is LSB bits 0–5: 0 is 0 dB,
1–56 are 10–65 dB; phase is LSB bit 6; MSB bits 0–3 are mute, AutoSet, phantom power, pad (inputs 1–4) or instrument
(5–8), bits 4–6 the group (0–4).

This firmware's limits: the eight microphone inputs. Presets, phones, line and digital settings, meters and the gain
moves that AutoSet makes are missing; a field out of range is passed over while the other flagged ones change, as is
half an item. A setting is not answered and there is no refusal; a hand's move is told only when asked (command 12).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob

MICS = 8
GROUPS = 4
GAIN_CODES = 56
EVERY_UNIT = 0x7F

_HEADER = bytes([0xF0, 0x00, 0x20, 0x0D, 0x69])
_ASK_ALL, _ASK_CHANGED, _SET, _ANSWER = 0x10, 0x12, 0x20, 0x30
_SWITCH_BITS = {"mute": 0x01, "autoset": 0x02, "phantom": 0x04, "pad": 0x08}
_SWITCH_FLAGS = {"mute": 0x04, "autoset": 0x08, "phantom": 0x10, "pad": 0x20}
_FLAG_GAIN, _FLAG_PHASE, _FLAG_GROUP = 0x01, 0x02, 0x40


@dataclass
class _Mic:
    gain: int = 0
    phase: bool = False
    switches: int = 0
    group: int = 0


class PreampDecoder:
    """The preamp's panel and its MIDI port; ``device`` 0–126 is the number set at the unit."""

    def __init__(self, *, device: int = 0) -> None:
        self.heard = 0
        self._device = device
        self._mics = [_Mic() for _ in range(MICS)]
        self._changed: set[int] = set()
        self._input = MidiInput()

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes, cut anywhere; return the answers to the two requests."""
        del at_s
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            answers += self._obey(message)
        return answers

    def _obey(self, message: bytes) -> list[bytes]:
        if len(message) < 8 or message[:5] != _HEADER or message[5] not in (self._device, EVERY_UNIT):
            return []
        command, body = message[6], message[7:-1]
        if command == _SET:
            for start in range(0, len(body) - 3, 4):
                self._set(*body[start : start + 4])
        elif command in (_ASK_ALL, _ASK_CHANGED):
            indices = range(MICS) if command == _ASK_ALL else sorted(self._changed)
            items = b"".join(self._item(index) for index in indices)
            self._changed.clear()
            return [_HEADER + bytes([self._device, _ANSWER]) + items + b"\xf7"]
        return []

    def _set(self, index: int, lsb: int, msb: int, flags: int) -> None:
        if index >= MICS:
            return
        mic = self._mics[index]
        before = self._item(index)
        if flags & _FLAG_GAIN and lsb & 0x3F <= GAIN_CODES:
            mic.gain = lsb & 0x3F
        if flags & _FLAG_PHASE:
            mic.phase = bool(lsb & 0x40)
        for what, flag in _SWITCH_FLAGS.items():
            if flags & flag:
                mic.switches = mic.switches & ~_SWITCH_BITS[what] | msb & _SWITCH_BITS[what]
        if flags & _FLAG_GROUP and msb >> 4 <= GROUPS:
            mic.group = msb >> 4
        self._note(index, before)

    def _note(self, index: int, before: bytes) -> None:
        if self._item(index) != before:
            self._changed.add(index)

    def _item(self, index: int) -> bytes:
        mic = self._mics[index]
        return bytes([index, mic.gain | (0x40 if mic.phase else 0), mic.switches | mic.group << 4])

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one control at the unit (gain dB, group 0–4, switches bool); nothing is sent unasked.

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        match = re.fullmatch(r"mic([1-8])/([a-z]+)", name)
        index, what = (int(match[1]) - 1, match[2]) if match else (0, "")
        mic = self._mics[index]
        before = self._item(index)
        if what == "gain":
            gain_db = hand_number(name, value, 0.0, 65.0)
            mic.gain = 0 if gain_db < 5.0 else max(1, round(gain_db) - 9)
        elif what == "polarity":
            mic.phase = hand_switch(name, value)
        elif what == "group":
            mic.group = round(hand_number(name, value, 0, GROUPS))
        elif what in ("mute", "autoset", "phantom", _pad(index)):
            bit = _SWITCH_BITS.get(what, _SWITCH_BITS["pad"])
            mic.switches = mic.switches | bit if hand_switch(name, value) else mic.switches & ~bit
        else:
            raise no_such_knob("preamp", name)
        self._note(index, before)
        return []

    def knobs(self) -> dict[str, Value]:
        """Every input's gain [dB], group (0 = none), polarity and switches."""
        knobs: dict[str, Value] = {}
        for index, mic in enumerate(self._mics):
            at = f"mic{index + 1}"
            knobs[f"{at}/gain"] = mic.gain + 9 if mic.gain else 0
            knobs[f"{at}/polarity"] = mic.phase
            for what, bit in _SWITCH_BITS.items():
                knobs[f"{at}/{_pad(index) if what == 'pad' else what}"] = bool(mic.switches & bit)
            knobs[f"{at}/group"] = mic.group
        return knobs


def _pad(index: int) -> str:
    """Name the switch of MSB bit 3: a pad on inputs 1–4, the instrument input on 5–8."""
    return "pad" if index < 4 else "instrument"
