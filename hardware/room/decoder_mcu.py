"""Eight strips and a master that show themselves as a Mackie Control, as their firmware sees it.

Facts: the published descriptions of the Mackie Control protocol. A fader is a pitch bend on MIDI channels 1–8 (master:
9), LSB first, of which the hardware uses the upper 10 bits; a touch is note 68h plus strip (master 70h) with velocity
7F or 00; lamps and buttons are notes on channel 1 (solo 08h, mute 10h, select 18h plus strip; velocity 7F lit, 01
blinking, 00 dark). ``F0 00 00 66 14 00 F7`` asks for the device: 01, seven bytes of serial number, four of challenge;
13 asks for the version: 14 and five characters.

This firmware's limits: faders, touch, and the lamps and buttons of mute, solo and select. Record-ready, V-pots,
displays, meters, banks and the Logic challenge are passed over. The law is not part of the protocol: knobs tell
positions 0–16368 in steps of 16. A lamp that blinks counts as lit. A fader stays where it is while a hand holds it, and
nothing is echoed. A button pressed by hand acts at once and is reported as a press and a release. There is no refusal.
"""

from __future__ import annotations

import re

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob

STRIPS = 8
MASTER = 8
"""Index of the master fader behind the strips' 0–7."""
FADER_MAX = 0x3FFF
FADER_STEP = 16
"""Positions that one step of the hardware spans: 14 bits on the wire, 10 in the motor."""

_HEADER = bytes([0xF0, 0x00, 0x00, 0x66, 0x14])
_SERIAL, _CHALLENGE, _VERSION = b"HNROOM1", b"\x01\x02\x03\x04", b"V1.00"
_FIRST_NOTE = {"solo": 0x08, "mute": 0x10, "select": 0x18}
_FIRST_TOUCH = 0x68


class McuDecoder:
    """The surface's panel and its MIDI port."""

    def __init__(self) -> None:
        self.heard = 0
        self._steps = [0] * (STRIPS + 1)
        self._touches = [False] * (STRIPS + 1)
        self._lamps = {what: [False] * STRIPS for what in _FIRST_NOTE}
        self._input = MidiInput()

    def banner(self) -> bytes:
        """Make the message that the surface sends when its power comes on: the answer to a device query."""
        return _HEADER + b"\x01" + _SERIAL + _CHALLENGE + b"\xf7"

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes, cut anywhere; return the answers to device and version queries."""
        del at_s
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            kind = message[0] & 0xF0
            if message == _HEADER + b"\x00\xf7":
                answers.append(self.banner())
            elif message[:6] == _HEADER + b"\x13":
                answers.append(_HEADER + b"\x14" + _VERSION + b"\xf7")
            elif kind == 0xE0:
                self._move(message[0] & 0x0F, message[1] | message[2] << 7)
            elif message[0] in (0x80, 0x90):
                self._light(message[1], message[0] == 0x90 and message[2] > 0)
        return answers

    def _move(self, fader: int, position: int) -> None:
        if fader <= MASTER and not self._touches[fader]:
            self._steps[fader] = position // FADER_STEP

    def _light(self, note: int, lit: bool) -> None:
        for what, first in _FIRST_NOTE.items():
            if first <= note < first + STRIPS:
                self._lamps[what][note - first] = lit

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand move a fader (0–16383), press a button (bool), or hold and let go a fader (``touch``, bool).

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        match = re.fullmatch(r"(?:(master)|ch0([1-8]))/(fader|touch|mute|solo|select)", name)
        if match is None or (match[1] and match[3] in _FIRST_NOTE):
            raise no_such_knob("MCU surface", name)
        fader, what = MASTER if match[1] else int(match[2]) - 1, match[3]
        if what == "fader":
            return self._fader_by_hand(fader, round(hand_number(name, value, 0, FADER_MAX)))
        on = hand_switch(name, value)
        if what == "touch":
            before, self._touches[fader] = self._touches[fader], on
            return [] if before == on else [_touch(fader, on)]
        before, self._lamps[what][fader] = self._lamps[what][fader], on
        note = _FIRST_NOTE[what] + fader
        return [] if before == on else [bytes([0x90, note, 0x7F]), bytes([0x90, note, 0x00])]

    def _fader_by_hand(self, fader: int, position: int) -> list[bytes]:
        self._steps[fader] = position // FADER_STEP
        there = self._steps[fader] * FADER_STEP
        moved = bytes([0xE0 | fader, there & 0x7F, there >> 7])
        return [moved] if self._touches[fader] else [_touch(fader, True), moved, _touch(fader, False)]

    def knobs(self) -> dict[str, Value]:
        """Every fader (position 0–16368), lamp, and whether a hand holds the fader."""
        knobs: dict[str, Value] = {}
        for fader in range(STRIPS + 1):
            at = "master" if fader == MASTER else f"ch{fader + 1:02d}"
            knobs[f"{at}/fader"] = self._steps[fader] * FADER_STEP
            knobs[f"{at}/touch"] = self._touches[fader]
            if fader != MASTER:
                knobs |= {f"{at}/{what}": lamps[fader] for what, lamps in self._lamps.items()}
        return knobs


def _touch(fader: int, on: bool) -> bytes:
    return bytes([0x90, _FIRST_TOUCH + fader, 0x7F if on else 0x00])
