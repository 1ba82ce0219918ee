"""MIDI messages and binary frames into what they mean, by tables of their fixed bytes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hardware.wire.dumps import DumpReader
from hardware.wire.framing import Framing, MidiFraming, frame_framing
from hardware.wire.heard import Heard, Unparsed
from hardware.wire.meanings import Meaning, Unit, units_of
from hardware.wire.patterns import (
    Pattern,
    Slot,
    stamp,
    take,
)
from profiles.profile import Profile
from profiles.template import Template

_CONTROL_CHANGE = 0xB0
_PROGRAM_CHANGE = 0xC0
_DATA_ENTRY = (6, 38)
_ENTRY = bytes([_DATA_ENTRY[0]])
_PARAMETER_NUMBERS = {98: (100, 101), 99: (100, 101), 100: (98, 99), 101: (98, 99)}
"""Controllers that select an NRPN or RPN, and those of the other kind that this deselects."""
_SELECTORS = frozenset(bytes([selector]) for selector in _PARAMETER_NUMBERS)
_STALE = {
    bytes((_CONTROL_CHANGE | channel, selector)): tuple(
        bytes((_CONTROL_CHANGE | channel, other)) for other in (*_DATA_ENTRY, *others)
    )
    for channel in range(16)
    for selector, others in _PARAMETER_NUMBERS.items()
}
"""What is forgotten when a controller selects a parameter: the data of another one, and the other kind of number."""


_Kind = tuple[int | None, int | None, int]
"""A message's first two bytes, where they are fixed, and its length."""


@dataclass(frozen=True, eq=False)
class _Shape:
    """Units that differ only in their fixed bits.

    ``registers`` name the earlier messages of the unit, ``places`` the fixed bits as (message, byte, mask).
    """

    registers: tuple[bytes, ...]
    places: tuple[tuple[int, int, int], ...]


_Bits = tuple[tuple[int, int, int, int], ...]
"""Where a number's bits stand in a unit's bytes, put one after the other: byte, shift, mask, shift in the number."""


class _Entry(NamedTuple):
    """One unit under its shape; ``bits`` where all that is open is one number, written once."""

    patterns: tuple[Pattern, ...]
    slots: tuple[Slot, ...]
    meaning: Meaning
    checked: bool
    bits: _Bits


@dataclass(frozen=True, eq=False)
class _Row:
    """One shape ready to be looked up: ``places`` are bytes of the unit put one after the other, with their masks."""

    registers: tuple[bytes, ...]
    places: tuple[int, ...]
    masks: bytes
    entries: dict[bytes, list[_Entry]]


@dataclass(frozen=True, eq=False)
class _Layout:
    """What all units that are stamped from the same messages have in common."""

    places: tuple[tuple[int, int, int], ...]
    bits: _Bits
    checked: bool
    selects: bool


class _Stamps:
    """Patterns, layouts and shapes made once: most messages of a strip are those of the next, or look like them."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, ...]] = {}
        self._made: dict[tuple[int, int, tuple[int | None, ...]], Pattern] = {}
        self._layouts: dict[tuple[int, ...], _Layout] = {}
        self._places: dict[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]] = {}
        self._shapes: dict[tuple[tuple[bytes, ...], int], _Shape] = {}

    def pattern(self, template: Template, variables: Mapping[str, int], row: int) -> Pattern:
        """Stamp a template, or find it stamped."""
        names = self._names.get(id(template))
        if names is None:
            names = self._names[id(template)] = tuple(template.variables)
        key = (id(template), row, tuple([variables.get(name) for name in names]))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = stamp(template, variables, row)
        return found

    def layout(self, unit: Unit, patterns: Sequence[Pattern]) -> _Layout:
        """Find out where the fixed bytes and the open bits of a unit stand, once for all that are stamped alike."""
        key = (unit.meaning.control is not None, *map(id, unit.templates))  # the profile keeps its templates alive
        found = self._layouts.get(key)
        if found is None:
            places = tuple(
                (row, at, mask) for row, pattern in enumerate(patterns) for at, mask in enumerate(pattern.mask) if mask
            )
            places = self._places.setdefault(places, places)
            slots = tuple(slot for pattern in patterns for slot in pattern.slots)
            checked = any(pattern.checks for pattern in patterns)
            selects = any(pattern.fixed[1:2] in _SELECTORS for pattern in patterns[:-1])
            found = self._layouts[key] = _Layout(places, _bits_of(patterns, slots, unit.meaning), checked, selects)
        return found

    def shape(self, registers: tuple[bytes, ...], places: tuple[tuple[int, int, int], ...]) -> _Shape:
        """Make a shape, or find it made; ``places`` are those of a layout."""
        key = (registers, id(places))
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = _Shape(registers, places)
        return found


class ByteReader:
    """MIDI messages or binary frames into what they mean."""

    def __init__(self, profile: Profile) -> None:
        self._framing: Framing = MidiFraming()
        if profile.framing == "frames" and profile.serial and profile.serial.frame:
            self._framing = frame_framing(profile.serial.frame)
        self._midi = profile.framing == "midi"
        self._latest: dict[bytes, bytes] = {}
        self._pending: dict[bytes, bytes] = {}
        self._dumps = [DumpReader(profile, name) for name in profile.dumps]
        tables: dict[_Kind, dict[_Shape, dict[bytes, list[_Entry]]]] = {}
        self._loose: list[_Entry] = []
        self._stale: dict[bytes, tuple[bytes, ...]] = {}
        stamps = _Stamps()
        for unit in units_of(profile):
            self._add(unit, stamps, tables)
        # The more a shape fixes, the surer it is: exact messages before those with wildcards.
        self._rows = {
            kind: [
                _row(shape, table)
                for shape, table in sorted(
                    shapes.items(), key=lambda item: (-len(item[0].places), item[0].places, item[0].registers)
                )
            ]
            for kind, shapes in tables.items()
        }
        self._registers = {name for rows in self._rows.values() for row in rows for name in row.registers}
        self._prefixes = {
            name
            for name in self._registers
            if self._midi and len(name) == 2
            if not {(name[0], name[1], 3), (name[0], None, 3), (None, None, 3)} & self._rows.keys()
        }
        """Controllers that mean nothing by themselves."""

    def _add(self, unit: Unit, stamps: _Stamps, tables: dict[_Kind, dict[_Shape, dict[bytes, list[_Entry]]]]) -> None:
        patterns = tuple([stamps.pattern(template, unit.variables, row) for row, template in enumerate(unit.templates)])
        last = patterns[-1]
        layout = stamps.layout(unit, patterns)
        slots = tuple([slot for pattern in patterns for slot in pattern.slots])
        entry = _Entry(patterns, slots, unit.meaning, layout.checked, layout.bits)
        if last.tail is not None:
            self._loose.append(entry)
            return
        registers = tuple([self._register(pattern.fixed) for pattern in patterns[:-1]])
        key = bytes([patterns[row].fixed[at] for row, at, _ in layout.places])
        if registers and layout.selects and any(pattern.fixed[1:2] == _ENTRY for pattern in patterns):
            # A device without data entry may use the parameter numbers' controllers for something else.
            self._stale = _STALE
        first = last.fixed[0] if last.mask[0] == 0xFF else None
        second = last.fixed[1] if first is not None and last.mask[1:2] == b"\xff" else None
        kind = (first, second, len(last.fixed))
        shapes = tables.setdefault(kind, {})
        shape = stamps.shape(registers, layout.places)
        shapes.setdefault(shape, {}).setdefault(key, []).append(entry)

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes, cut anywhere; return what they mean."""
        found: list[Heard] = []
        for message in self._framing.feed(data):
            found += self._read(message)
        return found

    def flush(self) -> list[Unparsed]:
        """Give up what waits for more bytes, and return it."""
        left = b"".join(self._pending.values()) + self._framing.flush()
        self._pending.clear()
        return [Unparsed(left)] if left else []

    def _register(self, message: bytes) -> bytes:
        """Name what a message holds for those after it: a MIDI controller or program; a frame's first byte and size."""
        return _register(message) if self._midi else message[:1] + len(message).to_bytes(2, "big")

    def twin(self) -> ByteReader:
        """Make a reader that stands where this one stands, on the same tables."""
        other = copy.copy(self)
        other._framing = copy.deepcopy(self._framing)
        other._latest, other._pending = dict(self._latest), dict(self._pending)
        return other

    def _read(self, message: bytes) -> list[Heard]:
        register = self._register(message)
        if register in self._prefixes:
            for stale in self._stale.get(register, ()):
                self._latest.pop(stale, None)
            self._latest[register] = self._pending[register] = message
            return []
        found = self._recognise(message, register)
        if not self._midi and register not in self._registers:  # a prefix holds for the next frame only
            self._latest.clear()
            self._pending.clear()
        return found

    def _recognise(self, message: bytes, register: bytes) -> list[Heard]:
        if register:
            for stale in self._stale.get(register, ()):
                self._latest.pop(stale, None)
            if register in self._registers:
                self._latest[register] = message
        first, size = message[0], len(message)
        for kind in ((first, message[1], size) if size > 1 else None, (first, None, size), (None, None, size)):
            for row in self._rows.get(kind, ()) if kind else ():
                told = self._look_up(row, message)
                if told is not None:
                    for earlier in row.registers:
                        self._pending.pop(earlier, None)
                    return told
        for entry in self._loose:
            if entry.patterns[-1].fits(message):
                said = entry.meaning.tell(take(entry.slots, [message]), message)
                if said is not None or entry.meaning.silent:
                    return [] if said is None else [said]
        for dump in self._dumps:
            if dump.fits(message):
                return dump.read(message)
        if register in self._registers:
            self._pending[register] = message
            return []
        lost = [earlier for earlier in self._pending if earlier[0] == message[0]]
        return [Unparsed(b"".join(self._pending.pop(earlier) for earlier in lost) + message)]

    def _look_up(self, row: _Row, message: bytes) -> list[Heard] | None:
        """Return what a message means under one shape; None when it is none of its units."""
        unit = [message]
        whole = message
        if row.registers:
            unit = []
            for earlier in row.registers:
                held = self._latest.get(earlier)
                if held is None:
                    return None
                unit.append(held)
            unit.append(message)
            whole = b"".join(unit)
        key = bytes([whole[place] for place in row.places])
        if row.masks:
            key = bytes([byte & mask for byte, mask in zip(key, row.masks, strict=True)])
        for entry in row.entries.get(key, ()):
            if entry.checked and not all(map(Pattern.sound, entry.patterns, unit)):
                continue
            if entry.bits:
                number = 0
                for place, shift, mask, low in entry.bits:
                    number |= (whole[place] >> shift & mask) << low
                told = entry.meaning.tell_number(number, entry.slots[0])
            else:
                told = entry.meaning.tell(take(entry.slots, unit) if entry.slots else {}, message)
            if told is not None:
                return [told]
            if entry.meaning.silent:
                return []
        return None


def _row(shape: _Shape, entries: dict[bytes, list[_Entry]]) -> _Row:
    """Make a shape ready: places within a message become places within the whole unit."""
    starts = _starts(next(iter(entries.values()))[0].patterns)
    masks = bytes(mask for *_, mask in shape.places)
    places = tuple(starts[row] + at for row, at, _ in shape.places)
    return _Row(shape.registers, places, b"" if set(masks) <= {0xFF} else masks, entries)


def _starts(patterns: Sequence[Pattern]) -> list[int]:
    """Tell where each message of a unit begins when they are put one after the other."""
    return [0, *itertools.accumulate(len(pattern.fixed) for pattern in patterns[:-1])]


def _bits_of(patterns: Sequence[Pattern], slots: Sequence[Slot], meaning: Meaning) -> _Bits:
    """List where the bits of a control's raw value stand; nothing where reading it takes more than that."""
    if meaning.control is None or not slots or patterns[-1].tail is not None:
        return ()
    alike = {(slot.variable, slot.factor, slot.constant, slot.encoding.total, slot.encoding.signed) for slot in slots}
    covered = [slot.encoding.covered for slot in slots]
    several = len(alike) > 1 or sum(covered) >= 1 << slots[0].encoding.total  # or the same bits in two places
    if several or any(slot.encoding.family != "bits" for slot in slots):
        return ()
    starts = _starts(patterns)
    return tuple(
        (starts[slot.message] + slot.start + group.byte, group.shift, (1 << group.width) - 1, group.low)
        for slot in slots
        for group in slot.encoding.groups
    )


def _register(message: bytes) -> bytes:
    """Name what a whole message sets: the controller of a channel, or the program of one; nothing else is kept."""
    kind = message[0] & 0xF0
    if kind == _CONTROL_CHANGE and len(message) == 3:
        return message[:2]
    return message[:1] if kind == _PROGRAM_CHANGE and len(message) == 2 else b""
