"""Room Comp as its firmware sees it: six controllers on MIDI channel 1, no answers (docs/devices/room-comp.md)."""

from __future__ import annotations

from hardware.errors import HardwareError
from hardware.room.decoder import MidiInput, Value, hand_number, hand_switch, no_such_knob
from hardware.room.laws import (
    COMP_ATTACKS_MS,
    COMP_RATIOS,
    COMP_RELEASES_MS,
    comp_makeup_db,
    comp_threshold_dbu,
    switch_position,
)

_RATIO_EDGES = (42, 84, 127)
_ATTACK_EDGES = (20, 41, 63, 84, 105, 127)
_RELEASE_EDGES = (31, 63, 95, 127)


class CompDecoder:
    """The compressor's panel and its MIDI input; ``touched`` tells that something moved, its reader clears it."""

    def __init__(self) -> None:
        self.threshold = 127
        self.ratio = 0
        self.attack = 4
        self.release = 1
        self.makeup = 32
        self.bypass = False
        self.touched = False
        self.heard = 0
        self._input = MidiInput()

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take MIDI bytes; this device never answers."""
        del at_s
        for message in self._input.feed(data):
            self.heard += 1
            if message[0] == 0xB0:
                self._controller(message[1], message[2])
        return []

    def _controller(self, number: int, value: int) -> None:
        if not 20 <= number <= 25:
            return
        self.touched = True
        if number == 20:
            self.threshold = value
        elif number == 21:
            self.ratio = switch_position(value, _RATIO_EDGES)
        elif number == 22:
            self.attack = switch_position(value, _ATTACK_EDGES)
        elif number == 23:
            self.release = switch_position(value, _RELEASE_EDGES)
        elif number == 24:
            self.makeup = value
        else:
            self.bypass = value >= 64

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one control (dBu, ratio, ms, dB, bool).

        Raises
        ------
        HardwareError
            No such control, or it does not go there.
        """
        if name == "threshold":
            self.threshold = round((hand_number(name, value, -20.0, 20.0) + 20.0) * 127 / 40.0)
        elif name == "makeup":
            self.makeup = round((hand_number(name, value, -5.0, 15.0) + 5.0) * 127 / 20.0)
        elif name == "ratio":
            self.ratio = _position(name, value, COMP_RATIOS)
        elif name == "attack":
            self.attack = _position(name, value, COMP_ATTACKS_MS)
        elif name == "release":
            self.release = _position(name, value, COMP_RELEASES_MS)
        elif name == "bypass":
            self.bypass = hand_switch(name, value)
        else:
            raise no_such_knob("comp", name)
        self.touched = True
        return []

    def knobs(self) -> dict[str, Value]:
        """Every control's position: threshold dBu, ratio n (to 1), attack and release ms, make-up dB, bypass."""
        return {
            "threshold": comp_threshold_dbu(self.threshold),
            "ratio": COMP_RATIOS[self.ratio],
            "attack": COMP_ATTACKS_MS[self.attack],
            "release": COMP_RELEASES_MS[self.release],
            "makeup": comp_makeup_db(self.makeup),
            "bypass": self.bypass,
        }


def _position(name: str, value: Value, positions: tuple[float, ...]) -> int:
    """Find a rotary switch's position; "4:1" and "10 ms" are read as they are printed on the panel."""
    text = str(value).removesuffix(":1").removesuffix("ms").strip()
    for index, position in enumerate(positions):
        if text in (f"{position:g}", str(position)):
            return index
    listed = ", ".join(f"{position:g}" for position in positions)
    raise HardwareError(f"{name} has the positions {listed}; it cannot be set to {value!r}")
