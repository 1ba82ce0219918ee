"""The wire: the one place that turns a control's value into bytes, and bytes into changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hardware.wire.fields import LinePattern, Pattern, Slot, stamp, stamp_line, take, take_line, write
from hardware.wire.framing import LineFraming, MidiFraming
from profiles.errors import ProfileError, ValueRangeError
from profiles.profile import Control, Form, Profile, Refused, Value

_CONTROL_CHANGE = 0xB0
_PROGRAM_CHANGE = 0xC0
_DATA_ENTRY = (6, 38)
_PARAMETER_NUMBERS = {98: (100, 101), 99: (100, 101), 100: (98, 99), 101: (98, 99)}
"""Controllers that select an NRPN or RPN, and those of the other kind that this deselects."""


@dataclass(frozen=True)
class Encoded:
    """One setting as bytes: the messages, sent in order as a unit, and the value they really set."""

    messages: tuple[bytes, ...]
    value: Value
    raw: int


@dataclass(frozen=True)
class Change:
    """The device said that a control stands at this value."""

    control: str
    value: Value
    raw: int


@dataclass(frozen=True)
class Refusal:
    """The device refused; ``control`` is None when it did not say what."""

    control: str | None
    code: str
    text: str


@dataclass(frozen=True)
class Unparsed:
    """Bytes that mean nothing in this profile; ``data`` of a serial line comes without its end."""

    data: bytes


def encode(profile: Profile, control: str, value: Value) -> Encoded:
    """Turn a setting into bytes; each element of ``messages`` is one whole MIDI message or one serial command.

    Raises
    ------
    UnknownControlError
        The profile has no such control.
    ValueRangeError
        The control cannot be told this value.
    ProfileError
        The control is set by hand, or the profile gives this code no message.
    """
    found = profile.control(control)
    if found.by_hand:
        raise ProfileError(
            f"{profile.id}: {control} is set by hand and has no bytes.", hint="It appears on the recall sheet."
        )
    raw = found.to_raw(value)
    form = next((form for form in found.forms if form.send and form.low <= raw <= form.high), None)
    if form is None:
        raise ProfileError(f"{profile.id}: {control} has no message for code {raw}.", hint="Correct the profile.")
    variables = {**found.variables, "v": raw}
    return Encoded(tuple(write(template, variables) for template in form.send), found.from_raw(raw), raw)


def query(profile: Profile, control: str) -> tuple[bytes, ...]:
    """Make the messages that ask where a control stands; none when the device cannot be asked.

    Raises
    ------
    UnknownControlError
        The profile has no such control.
    """
    found = profile.control(control)
    return tuple(write(template, found.variables) for template in found.query)


@dataclass(frozen=True)
class _Meaning:
    """What a recognised unit means: a control's setting, a refusal, or (neither) nothing."""

    control: Control | None = None
    form: Form | None = None
    refused: Refused | None = None
    slots: tuple[Slot, ...] = ()

    def tell(self, number: int | None, said: str) -> Change | Refusal | None:
        """Say what it means with this number; None when the number makes no sense there."""
        if self.refused is not None:
            text = self.refused.codes.get(-1 if number is None else number, "a refusal its profile does not explain")
            return Refusal(None, said, text)
        if self.control is None:
            return None
        if self.form is None:
            return Refusal(self.control.name, "NAK", "refused by the device")
        raw = number if self.slots else int(self.form.low)
        if raw is None or not self.form.low <= raw <= self.form.high:
            return None
        try:
            return Change(self.control.name, self.control.from_raw(raw), raw)
        except ValueRangeError:
            return None

    @property
    def silent(self) -> bool:
        """Whether it is a message to pass over."""
        return self.control is None and self.refused is None


class Parser:
    """What one device says, taken in as bytes and given out as changes.

    Keeps what spans messages: parameter selections, data entry MSBs, select-then-set prefixes, split lines and system
    exclusives. One parser serves one device.
    """

    def __init__(self, profile: Profile) -> None:
        self._reader: _MidiReader | _LineReader = _LineReader(profile) if profile.text else _MidiReader(profile)

    def feed(self, data: bytes) -> list[Change | Refusal | Unparsed]:
        """Take bytes, cut anywhere; return what they mean, in order."""
        return self._reader.feed(data)

    def flush(self) -> list[Unparsed]:
        """Give up what waits for more bytes, and return it."""
        return self._reader.flush()


@dataclass(frozen=True)
class _Shape:
    """Units that differ only in the bytes at the fixed places.

    ``registers`` name the earlier messages of the unit, ``places`` the fixed bytes as (message, position).
    """

    registers: tuple[bytes, ...]
    places: tuple[tuple[int, int], ...]


class _MidiReader:
    def __init__(self, profile: Profile) -> None:
        self._framing = MidiFraming()
        self._table: dict[_Shape, dict[bytes, list[_Meaning]]] = {}
        self._latest: dict[bytes, bytes] = {}
        self._pending: dict[bytes, bytes] = {}
        base = {"c": profile.midi_channel - 1}
        shapes: dict[tuple[int, int], set[_Shape]] = {}
        for patterns, meaning in _units(profile, base):
            registers = tuple(_register(bytes(byte or 0 for byte in pattern.fixed)) for pattern in patterns[:-1])
            places = tuple(
                (row, at)
                for row, pattern in enumerate(patterns)
                for at, byte in enumerate(pattern.fixed)
                if byte is not None
            )
            shape = _Shape(registers, places)
            key = bytes(patterns[row].fixed[at] or 0 for row, at in places)
            last = patterns[-1].fixed
            shapes.setdefault((last[0] or 0, len(last)), set()).add(shape)
            self._table.setdefault(shape, {}).setdefault(key, []).append(meaning)
        # The more a shape fixes, the surer it is: exact messages before those with wildcards.
        self._shapes = {
            kind: sorted(found, key=lambda shape: (-len(shape.places), shape.places, shape.registers))
            for kind, found in shapes.items()
        }
        self._registers = {register for shape in self._table for register in shape.registers}
        # A device without data entry may use the parameter numbers' controllers for something else.
        self._has_parameters = any(register[1:] == bytes([_DATA_ENTRY[0]]) for register in self._registers)

    def feed(self, data: bytes) -> list[Change | Refusal | Unparsed]:
        found: list[Change | Refusal | Unparsed] = []
        for message in self._framing.feed(data):
            found += self._read(message)
        return found

    def flush(self) -> list[Unparsed]:
        left = b"".join(self._pending.values()) + self._framing.flush()
        self._pending.clear()
        return [Unparsed(left)] if left else []

    def _read(self, message: bytes) -> list[Change | Refusal | Unparsed]:
        register = _register(message)
        self._deselect(message)
        if register in self._registers:
            self._latest[register] = message
        for shape in self._shapes.get((message[0], len(message)), ()):
            unit = [self._latest.get(earlier, b"") for earlier in shape.registers]
            if not all(unit):
                continue
            unit.append(message)
            key = bytes(unit[row][at] for row, at in shape.places)
            for meaning in self._table[shape].get(key, ()):
                told = meaning.tell(take(meaning.slots, unit), message.hex(" ").upper())
                if told is not None or meaning.silent:
                    for earlier in shape.registers:
                        self._pending.pop(earlier, None)
                    return [] if told is None else [told]
        if register in self._registers:
            self._pending[register] = message
            return []
        lost = [earlier for earlier in self._pending if earlier[0] == message[0]]
        return [Unparsed(b"".join(self._pending.pop(earlier) for earlier in lost) + message)]

    def _deselect(self, message: bytes) -> None:
        """Forget the data of another parameter once a new one is selected, and the other kind of number."""
        controller_change = message[0] & 0xF0 == _CONTROL_CHANGE and len(message) == 3
        if not self._has_parameters or not controller_change or message[1] not in _PARAMETER_NUMBERS:
            return
        for controller in (*_DATA_ENTRY, *_PARAMETER_NUMBERS[message[1]]):
            self._latest.pop(bytes([message[0], controller]), None)


def _register(message: bytes) -> bytes:
    """Name what a whole message sets: the controller of a channel, or the program of one; nothing else is kept."""
    if message[0] & 0xF0 == _CONTROL_CHANGE and len(message) == 3:
        return message[:2]
    return message[:1] if message[0] & 0xF0 == _PROGRAM_CHANGE and len(message) == 2 else b""


def _units(profile: Profile, base: dict[str, int]) -> Iterable[tuple[Sequence[Pattern], _Meaning]]:
    """List every unit of messages that the device may send, with its meaning."""
    for control in profile.controls.values():
        for form in control.forms if control.listened else ():
            if form.reply:
                patterns = [stamp(template, control.variables, row) for row, template in enumerate(form.reply)]
                slots = tuple(slot for pattern in patterns for slot in pattern.slots)
                yield patterns, _Meaning(control, form, slots=slots)
        if control.refused is not None:
            yield [stamp(control.refused, control.variables)], _Meaning(control)
    for refused in profile.refusals:
        pattern = stamp(refused.reply, base)
        yield [pattern], _Meaning(refused=refused, slots=pattern.slots)
    for template in profile.ignored:
        yield [stamp(template, base)], _Meaning()


class _LineReader:
    def __init__(self, profile: Profile) -> None:
        terminator = profile.serial.terminator if profile.serial else "\r\n"
        self._framing = LineFraming(terminator.encode("ascii"))
        self._table: dict[tuple[str, tuple[int, ...]], dict[tuple[int, ...], list[_Meaning]]] = {}
        for pattern, meaning in _lines(profile):
            places = tuple(at for at, number in enumerate(pattern.fixed) if number is not None)
            key = tuple(number for number in pattern.fixed if number is not None)
            self._table.setdefault((pattern.shape, places), {}).setdefault(key, []).append(meaning)
        self._shapes = [(re.compile(shape), places, meanings) for (shape, places), meanings in self._table.items()]

    def feed(self, data: bytes) -> list[Change | Refusal | Unparsed]:
        found: list[Change | Refusal | Unparsed] = []
        for line in self._framing.feed(data):
            told = self._read(line)
            found += [] if told is None else [told]
        return found

    def flush(self) -> list[Unparsed]:
        left = self._framing.flush()
        return [Unparsed(left)] if left else []

    def _read(self, line: bytes) -> Change | Refusal | Unparsed | None:
        text = line.decode("latin-1")
        for shape, places, meanings in self._shapes:
            match = shape.fullmatch(text)
            if match is None:
                continue
            numbers = [int(number) for number in match.groups()]
            for meaning in meanings.get(tuple(numbers[place] for place in places), ()):
                told = meaning.tell(take_line(meaning.slots, numbers), text)
                if told is not None or meaning.silent:
                    return told
        return Unparsed(line)


def _lines(profile: Profile) -> Iterable[tuple[LinePattern, _Meaning]]:
    """List every line that the device may send, with its meaning."""
    for control in profile.controls.values():
        for form in control.forms if control.listened else ():
            for template in form.reply:
                pattern = stamp_line(template, control.variables)
                yield pattern, _Meaning(control, form, slots=pattern.slots)
        if control.refused is not None:
            yield stamp_line(control.refused, control.variables), _Meaning(control)
    for refused in profile.refusals:
        pattern = stamp_line(refused.reply, {})
        yield pattern, _Meaning(refused=refused, slots=pattern.slots)
    for template in profile.ignored:
        yield stamp_line(template, {}), _Meaning()
