"""Numbers into bytes and back, by a profile's templates.

MIDI data bytes and 14-bit pairs: MIDI 1.0 Detailed Specification. Justified short values and two's complement over
groups of 7 bits: as the makers' MIDI documents that the profiles cite define them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from profiles.errors import ProfileError
from profiles.template import AnyData, Encoding, Field, Template


@dataclass(frozen=True)
class Slot:
    """A field whose number x is still open: x = factor · variable + constant, at ``start`` of message ``message``.

    In MIDI ``start`` counts bytes, in text it counts the numbers of the line.
    """

    message: int
    start: int
    encoding: Encoding
    factor: int
    constant: int


@dataclass(frozen=True)
class Pattern:
    """A MIDI template with everything known put in: fixed bytes (None where any or open), and its open slots."""

    fixed: tuple[int | None, ...]
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class LinePattern:
    """A text template with everything known put in.

    ``shape`` is a regular expression with one group per number; ``fixed`` the known numbers, None where open.
    """

    shape: str
    fixed: tuple[int | None, ...]
    slots: tuple[Slot, ...]


def write(template: Template, variables: Mapping[str, int]) -> bytes:
    """Write one message.

    Raises
    ------
    ProfileError
        A number does not fit its field: the profile's raw range is wider than its message.
    """
    message = bytearray()
    for part in template.parts:
        if isinstance(part, Field):
            number = part.expression.stamp(variables)
            if number.terms:
                raise ProfileError(f"{template.source!r} needs {number.terms[0][0]}, which is not given.")
            try:
                message += put(part.encoding, number.constant)
            except ValueError as error:
                raise ProfileError(
                    f"{template.source!r}: {number.constant} does not fit its field.",
                    hint="Correct the profile: its raw range is wider than its message.",
                ) from error
        elif isinstance(part, AnyData):
            raise ProfileError(f"{template.source!r} has a wildcard and cannot be sent.")
        else:
            message += part
    return bytes(message)


def put(encoding: Encoding, number: int) -> bytes:
    """Write one number.

    Raises
    ------
    ValueError
        It does not fit.
    """
    if encoding.family == "d":
        if number < 0 and not encoding.signed:
            raise ValueError(number)
        sign = ("+" if number >= 0 else "-") if encoding.signed else ""
        return f"{sign}{abs(number):0{encoding.width}d}".encode("ascii")
    if encoding.family == "s7":
        bits = 7 * encoding.width
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise ValueError(number)
        return bytes(number >> 7 * place & 0x7F for place in reversed(range(encoding.width)))
    limit = 1 << (4 if encoding.family == "nibble" else encoding.bits)
    if not 0 <= number < limit:
        raise ValueError(number)
    if encoding.family == "nibble":
        return bytes([encoding.bits << 4 | number])
    if encoding.family == "u7":
        return bytes([number])
    code = number << 14 - encoding.bits if encoding.family == "left" else number
    pair = {"hi": (code >> 7,), "lo": (code & 0x7F,), "lsb": (code & 0x7F, code >> 7), "msb": (code >> 7, code & 0x7F)}
    return bytes(pair[encoding.part])


def stamp(template: Template, variables: Mapping[str, int], message: int = 0) -> Pattern:
    """Put what is known into a MIDI template; ``message`` is its place in its unit.

    Raises
    ------
    ProfileError
        A known number does not fit its field.
    """
    fixed: list[int | None] = []
    slots: list[Slot] = []
    for part in template.parts:
        if isinstance(part, Field):
            number = part.expression.stamp(variables)
            if number.terms:
                slots.append(Slot(message, len(fixed), part.encoding, number.terms[0][1], number.constant))
                fixed += [None] * part.encoding.size
            else:
                fixed += write(Template(template.source, text=False, parts=(part,)), variables)
        elif isinstance(part, AnyData):
            fixed.append(None)
        else:
            fixed += part
    return Pattern(tuple(fixed), tuple(slots))


def stamp_line(template: Template, variables: Mapping[str, int]) -> LinePattern:
    """Put what is known into a text template. Padding is not matched: makers' firmwares differ in it."""
    shape = ""
    fixed: list[int | None] = []
    slots: list[Slot] = []
    for part in template.parts:
        if isinstance(part, Field):
            shape += r"([+-]\d+)" if part.encoding.signed else r"(\d+)"
            number = part.expression.stamp(variables)
            if number.terms:
                slots.append(Slot(0, len(fixed), part.encoding, number.terms[0][1], number.constant))
            fixed.append(None if number.terms else number.constant)
        else:
            shape += ".*" if isinstance(part, AnyData) else re.escape(part.decode("ascii"))
    return LinePattern(shape, tuple(fixed), tuple(slots))


def take(slots: Sequence[Slot], messages: Sequence[bytes]) -> int | None:
    """Read the one number that all open slots of a unit of MIDI messages carry; None when they contradict.

    The bits of a 14-bit pair below the effective ones are passed over.
    """
    found: set[int | None] = set()
    halves: dict[tuple[int, int, str, int], int] = {}
    for slot in slots:
        encoding = slot.encoding
        data = messages[slot.message][slot.start : slot.start + encoding.size]
        if encoding.family in ("left", "right"):
            code = _pair(encoding, data)
            key = (slot.factor, slot.constant, encoding.family, encoding.bits)
            halves[key] = halves.get(key, 0) | code
        elif encoding.family == "s7":
            number = 0
            for byte in data:
                number = number << 7 | byte
            found.add(_solved(slot, number - (1 << 7 * len(data) if data[0] & 0x40 else 0)))
        else:
            found.add(_solved(slot, data[0]))
    for (factor, constant, family, bits), code in halves.items():
        number = code >> 14 - bits if family == "left" else code
        found.add(_divided(number - constant, factor))
    return found.pop() if len(found) == 1 else None


def take_line(slots: Sequence[Slot], numbers: Sequence[int]) -> int | None:
    """Read the one number that all open slots of a line carry; None when they contradict."""
    found = {_solved(slot, numbers[slot.start]) for slot in slots}
    return found.pop() if len(found) == 1 else None


def _pair(encoding: Encoding, data: bytes) -> int:
    if encoding.part == "hi":
        return data[0] << 7
    if encoding.part == "lo":
        return data[0]
    return data[1] << 7 | data[0] if encoding.part == "lsb" else data[0] << 7 | data[1]


def _solved(slot: Slot, number: int) -> int | None:
    return _divided(number - slot.constant, slot.factor)


def _divided(number: int, factor: int) -> int | None:
    return None if number % factor else number // factor
