"""An eight-channel analog box that shows itself as a HUI surface, as its firmware sees it.

Facts: the published descriptions of the HUI protocol. The host pings with ``90 00 00`` every second and is answered
``90 00 7F``; a fader is ``B0 0z msb``, ``B0 2z lsb`` in both directions; a touch is ``B0 0F zone``, ``B0 2F 40`` and
its release ``B0 2F 00``; the host switches with ``B0 0C zone``, ``B0 2C 40|port`` (on) or ``port`` (off), a hand with
``B0 0F`` and ``B0 2F``. A box of more channels has one port for every eight.

This firmware's limits: eight faders (14 bits; what they are in dB nobody publishes, so the knobs tell positions
0–16383), eight mutes (port 2), touch. The other switches, V-pots, meters, displays and the transport are passed over.
A fader moves when its LSB arrives, and stays where it is while a hand holds it. A mute pressed by hand acts at once and
is reported as a press and a release. There is no refusal in this protocol. ``present`` needs ``at_s``.
"""

from __future__ import annotations

import re

from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob

STRIPS = 8
FADER_MAX = 0x3FFF
PRESENCE_S = 2.0
"""A host that has not pinged for this long is gone [s]."""

_PING, _PONG = b"\x90\x00\x00", b"\x90\x00\x7f"
_TOUCH, _MUTE = 0, 2
_ON = 0x40


class HuiDecoder:
    """The box's panel and one of its MIDI ports (strips 1–8)."""

    def __init__(self) -> None:
        self.heard = 0
        self._faders = [0] * STRIPS
        self._mutes = [False] * STRIPS
        self._touches = [False] * STRIPS
        self._msb: list[int | None] = [None] * STRIPS
        self._zone: int | None = None
        self._pinged_s: float | None = None
        self._input = MidiInput()

    def present(self, at_s: float) -> bool:
        """Tell whether a host has pinged within ``PRESENCE_S`` before ``at_s`` [s]."""
        return self._pinged_s is not None and at_s - self._pinged_s <= PRESENCE_S

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes, cut anywhere; return the answers to pings."""
        answers: list[bytes] = []
        for message in self._input.feed(data):
            self.heard += 1
            if message == _PING:
                self._pinged_s = self._pinged_s if at_s is None else at_s
                answers.append(_PONG)
            elif message[0] == 0xB0:
                self._controller(message[1], message[2])
        return answers

    def _controller(self, number: int, value: int) -> None:
        if number < STRIPS:
            self._msb[number] = value
        elif 0x20 <= number < 0x20 + STRIPS:
            self._move(number - 0x20, value)
        elif number == 0x0C:
            self._zone = value
        elif number == 0x2C and self._zone is not None and self._zone < STRIPS and value & ~_ON == _MUTE:
            self._mutes[self._zone] = bool(value & _ON)

    def _move(self, strip: int, lsb: int) -> None:
        msb, self._msb[strip] = self._msb[strip], None
        if msb is not None and not self._touches[strip]:
            self._faders[strip] = msb << 7 | lsb

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand move a fader (0–16383), press a mute (bool), or hold and let go a fader (``touch``, bool).

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        match = re.fullmatch(r"ch0([1-8])/(fader|mute|touch)", name)
        if match is None:
            raise no_such_knob("HUI box", name)
        strip, what = int(match[1]) - 1, match[2]
        if what == "fader":
            return self._fader_by_hand(strip, round(hand_number(name, value, 0, FADER_MAX)))
        pressed = hand_switch(name, value)
        if what == "touch":
            before, self._touches[strip] = self._touches[strip], pressed
            return [] if before == pressed else _switch(strip, _TOUCH, pressed)
        before, self._mutes[strip] = self._mutes[strip], pressed
        return [] if before == pressed else _switch(strip, _MUTE, True) + _switch(strip, _MUTE, False)

    def _fader_by_hand(self, strip: int, position: int) -> list[bytes]:
        self._faders[strip] = position
        moved = [bytes([0xB0, strip, position >> 7]), bytes([0xB0, 0x20 + strip, position & 0x7F])]
        if self._touches[strip]:
            return moved
        return _switch(strip, _TOUCH, True) + moved + _switch(strip, _TOUCH, False)

    def knobs(self) -> dict[str, Value]:
        """Every fader (position 0–16383), mute, and whether a hand holds the fader."""
        knobs: dict[str, Value] = {}
        for strip in range(STRIPS):
            at = f"ch{strip + 1:02d}"
            knobs[f"{at}/fader"] = self._faders[strip]
            knobs[f"{at}/mute"] = self._mutes[strip]
            knobs[f"{at}/touch"] = self._touches[strip]
        return knobs


def _switch(zone: int, port: int, on: bool) -> list[bytes]:
    return [bytes([0xB0, 0x0F, zone]), bytes([0xB0, 0x2F, port | (_ON if on else 0)])]
