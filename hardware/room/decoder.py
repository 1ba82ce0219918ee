"""What the room's devices share: cutting a byte stream into MIDI messages, and reading what a hand sets."""

from __future__ import annotations

import math
from typing import Protocol

from hardware.errors import HardwareError

Value = float | bool | str

_DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}


class Device(Protocol):
    """One device of the room as its connectors and its front panel see it."""

    heard: int
    """Whole messages or commands received so far."""

    def receive(self, data: bytes, at_s: float | None) -> list[bytes]:
        """Take bytes from the wire; return the whole messages it answers."""
        ...

    def turn(self, name: str, value: Value) -> list[bytes]:
        """Let a hand set one knob; return the messages the device sends because of it."""
        ...

    def knobs(self) -> dict[str, Value]:
        """Every knob's position in engineering units."""
        ...


LONGEST_EXCLUSIVE = 256
"""Longest system-exclusive message that firmware takes, its F7 included [bytes]: its buffer is of a fixed size."""


class MidiInput:
    """Cuts a MIDI byte stream into whole messages, with running status (MIDI 1.0 detailed specification 4.2.1).

    A system-exclusive message longer than ``LONGEST_EXCLUSIVE`` is dropped.
    """

    def __init__(self) -> None:
        self._status = 0
        self._data = bytearray()
        self._exclusive: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages completed by ``data``; system real-time bytes are passed over wherever they stand."""
        messages: list[bytes] = []
        for byte in data:
            if byte >= 0xF8:
                continue
            if self._exclusive is not None:
                if byte < 0x80:
                    if len(self._exclusive) < LONGEST_EXCLUSIVE:  # one byte more than fits tells that it did not fit
                        self._exclusive.append(byte)
                    continue
                if byte == 0xF7 and len(self._exclusive) < LONGEST_EXCLUSIVE:
                    messages.append(bytes(self._exclusive) + b"\xf7")
                self._exclusive = None
                if byte == 0xF7:
                    continue
            if byte >= 0x80:
                self._begin(byte)
            elif self._status:
                self._data.append(byte)
                if len(self._data) == _DATA_BYTES[self._status & 0xF0]:
                    messages.append(bytes([self._status]) + bytes(self._data))
                    self._data.clear()
        return messages

    def _begin(self, status: int) -> None:
        self._data.clear()
        self._exclusive = bytearray([status]) if status == 0xF0 else None
        self._status = status if status < 0xF0 else 0


def hand_number(address: str, value: Value, low: float, high: float) -> float:
    """Read the number a hand sets; a hair beyond the end of the scale is the end stop.

    Raises
    ------
    HardwareError
        Not a number from ``low`` to ``high``: the pot ends there.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    hair = 1e-6 * (high - low)
    if isinstance(value, bool) or not low - hair <= number <= high + hair:
        raise HardwareError(f"{address} goes from {low:g} to {high:g}; it cannot be set to {value!r}")
    return min(high, max(low, number))


def hand_switch(address: str, value: Value) -> bool:
    """Read the switch position a hand sets.

    Raises
    ------
    HardwareError
        Neither true nor false.
    """
    if value in (True, False):
        return bool(value)
    raise HardwareError(f"{address} is a switch: true or false, not {value!r}")


def no_such_knob(device: str, name: str) -> HardwareError:
    """Make the error for a knob that a device does not have."""
    return HardwareError(f"the room's {device} has no knob {name!r}", hint="docs/virtual-room.md lists the controls.")
