"""The kinds of gear a room can hold besides its desk, compressor and matrix: bytes and knobs, no audio.

A model file asks for one with a ``[[gear]]`` table. Each kind is made from a module of its own, imported when needed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.room.decoder import Device

Transport = Literal["midi", "serial"]

MIDI_BYTES_PER_S = 3125.0
"""31 250 baud, ten bits a byte (MIDI 1.0, electrical specification)."""
SERIAL_BYTES_PER_S = 960.0
"""9600 baud, ten bits a byte."""

BUILT_IN: dict[str, Transport] = {"desk": "midi", "comp": "midi", "matrix": "serial"}
"""The devices that every room has, and how they are reached."""


@dataclass(frozen=True)
class GearKind:
    """How one kind of gear is made (``module.name`` below hardware.room) and reached, and its wire's pace [bytes/s]."""

    module: str
    name: str
    transport: Transport = "midi"
    bytes_per_s: float = MIDI_BYTES_PER_S

    def make(self) -> Device:
        """Make one as it stands at power-on."""
        factory: Callable[[], Device] = getattr(importlib.import_module(f"hardware.room.{self.module}"), self.name)
        return factory()


GEAR: dict[str, GearKind] = {
    "room-desk-48": GearKind("decoder_desk48", "Desk48Decoder"),
    "yamaha-01v96": GearKind("decoder_sysex_desk", "SysexDeskDecoder"),
    "hui": GearKind("decoder_hui", "HuiDecoder"),
    "mcu": GearKind("decoder_mcu", "McuDecoder"),
    "octamic-xtc": GearKind("decoder_preamp", "PreampDecoder"),
    "sony-9-pin": GearKind("decoder_nine_pin", "NinePinDecoder", "serial", 38_400 / 11),
    "kramer-vp-8x8ak": GearKind("decoder_kramer", "KramerDecoder", "serial", SERIAL_BYTES_PER_S),
    "attenuator-board": GearKind("decoder_attenuator", "AttenuatorDecoder", "serial", 115_200 / 10),
}
"""Every kind that a model file can name. Bytes a second are the baud rate over the bits of a byte, parity included."""
