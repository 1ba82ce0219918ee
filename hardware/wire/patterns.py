"""Bytes against templates: whether they are this message, and which numbers they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hardware.wire.checksums import checksum
from hardware.wire.writing import put
from profiles.encoding import Encoding
from profiles.template import AnyData, Check, Field, Template

Numbers = dict[str, int | str]
"""What the open fields of a message say, by variable; text and bytes (in hex) as they came."""


class Slot(NamedTuple):
    """A field whose number x is open: x = factor · variable + constant; at ``start`` of message ``message`` of a unit.

    In bytes ``start`` counts bytes, in text it counts the groups of the line's regular expression.
    """

    message: int
    start: int
    encoding: Encoding
    variable: str
    factor: int
    constant: int


class Pattern(NamedTuple):
    """A byte template with everything known put in.

    ``fixed`` and ``mask`` have one entry for each byte: the bits that must be as they are. ``slots`` are open,
    ``checks`` checksums as (place, check). With ``tail`` the message may be longer: anything, then the tail.
    """

    fixed: bytes
    mask: bytes
    slots: tuple[Slot, ...]
    checks: tuple[tuple[int, Check], ...]
    tail: bytes | None = None

    def fits(self, data: bytes) -> bool:
        """Tell whether the bytes are this message, its checksums included."""
        if self.tail is None:
            if len(data) != len(self.fixed):
                return False
        elif len(data) < len(self.fixed) + len(self.tail) or not data.endswith(self.tail):
            return False
        return all(byte & mask == fixed for byte, mask, fixed in zip(data, self.mask, self.fixed, strict=False)) and (
            self.sound(data)
        )

    def sound(self, data: bytes) -> bool:
        """Tell whether the checksums are right."""
        return all(
            data[at : at + check.size] == checksum(check.algorithm, data[check.start : at]) for at, check in self.checks
        )


@dataclass(frozen=True)
class LinePattern:
    """A text template with everything known put in.

    ``shape`` is a regular expression with one group for each field and each checksum; ``fixed`` the known numbers, None
    where open. ``checks`` are the checksums by their groups.
    """

    shape: str
    readers: tuple[Encoding, ...]
    fixed: tuple[int | None, ...]
    slots: tuple[Slot, ...]
    checks: tuple[tuple[int, Check], ...]


def stamp(template: Template, variables: Mapping[str, int], message: int = 0) -> Pattern:
    """Put what is known into a byte template; ``message`` is its place in its unit.

    Raises
    ------
    ValueError
        A known number does not fit its field.
    """
    fixed, mask = bytearray(), bytearray()
    slots: list[Slot] = []
    checks: list[tuple[int, Check]] = []
    tail: bytes | None = None
    for part in template.parts:
        if isinstance(part, bytes):
            if tail is not None:
                tail += part
                continue
            fixed += part
            mask += b"\xff" * len(part)
        elif isinstance(part, AnyData):
            if part.rest:
                tail = b""
                continue
            fixed.append(0)
            mask.append(0)
        elif isinstance(part, Check):
            checks.append((len(fixed), part))
            fixed += bytes(part.size)
            mask += bytes(part.size)
        else:
            _stamp_field(part, variables, message, fixed, mask, slots)
    return Pattern(bytes(fixed), bytes(mask), tuple(slots), tuple(checks), tail)


def _stamp_field(
    part: Field, variables: Mapping[str, int], message: int, fixed: bytearray, mask: bytearray, slots: list[Slot]
) -> None:
    number = part.expression.stamp(variables)
    if number.terms:
        name, factor = number.terms[0]
        slots.append(Slot(message, len(fixed), part.encoding, name, factor, number.constant))
        # A number in half a byte leaves the other half to be matched; a slice of a byte leaves it to anybody.
        fixed += bytes([part.high]) if part.high else bytes(part.encoding.size)
        mask += b"\xf0" if part.high else bytes(part.encoding.size)
        return
    written = put(part.encoding, number.constant)
    fixed += bytes([written[0] | part.high]) if part.high else written
    sliced = part.encoding.family == "bits" and part.encoding.size == 1 and part.encoding.total < 7 and not part.high
    mask += bytes([_bits_of(part.encoding)]) if sliced else b"\xff" * len(written)


def _bits_of(encoding: Encoding) -> int:
    return sum(((1 << group.width) - 1) << group.shift for group in encoding.groups)


def stamp_line(template: Template, variables: Mapping[str, int]) -> LinePattern:
    """Put what is known into a text template. Padding is not matched: makers' firmwares differ in it."""
    shape = ""
    readers: list[Encoding] = []
    fixed: list[int | None] = []
    slots: list[Slot] = []
    checks: list[tuple[int, Check]] = []
    for place, part in enumerate(template.parts):
        if isinstance(part, Field):
            following = template.parts[place + 1 : place + 2]
            shape += _group(part.encoding, cramped=bool(following) and isinstance(following[0], Field))
            number = part.expression.stamp(variables)
            if number.terms:
                name, factor = number.terms[0]
                slots.append(Slot(0, len(fixed), part.encoding, name, factor, number.constant))
            readers.append(part.encoding)
            fixed.append(None if number.terms else number.constant)
        elif isinstance(part, Check):
            shape += f"(.{{{part.size}}})"
            checks.append((len(fixed), part))
            readers.append(Encoding("text", part.size))
            fixed.append(None)
        else:
            shape += ".*" if isinstance(part, AnyData) else re.escape(part.decode("ascii"))
    return LinePattern(shape, tuple(readers), tuple(fixed), tuple(slots), tuple(checks))


def _group(encoding: Encoding, *, cramped: bool) -> str:
    """Write a field as a group; ``cramped`` between others, where only its width tells where it ends."""
    if encoding.captures:
        return "(.*)"
    digit = r"\d" if encoding.base == "d" else "[0-9A-Fa-f]"
    many = f"{{{encoding.width}}}" if cramped and encoding.width > 1 else "+"
    sign = "[+-]" if encoding.sign == "+" else "[+-]?" if encoding.sign == "-" else ""
    point = rf"(?:\.\d{{1,{encoding.decimals}}})?" if encoding.decimals else ""
    return rf"({' *' if encoding.pad == ' ' else ''}{sign}{digit}{many}{point})"


def line_sound(checks: Sequence[tuple[int, Check]], match: re.Match[str]) -> bool:
    """Tell whether the checksums of a line are right; hexadecimal ones in either case."""
    line = match.string.encode("latin-1")
    return all(
        checksum(check.algorithm, line[check.start : match.start(group + 1)])
        == line[match.start(group + 1) : match.end(group + 1)].upper()
        for group, check in checks
    )


def line_number(encoding: Encoding, text: str) -> int:
    """Read the number that a group of a line holds."""
    if encoding.base != "d":
        return int(text, 16)
    whole, _, part = text.strip().partition(".")
    if not encoding.decimals:
        return int(whole)
    number = int(whole.lstrip("+-") + part.ljust(encoding.decimals, "0"))
    return -number if whole.startswith("-") else number


def take(slots: Sequence[Slot], messages: Sequence[bytes]) -> Numbers | None:
    """Read what the open slots of a unit of messages carry; None when they contradict, or carry no number.

    Parts of one number in several places (the halves of a 14-bit pair) are put together; bits beside a field's own are
    passed over.
    """
    if len(slots) == 1 and slots[0].encoding.family == "bits":
        slot = slots[0]
        number = solved(slot, _gathered(slot.encoding, messages[slot.message], slot.start))
        return None if number is None else {slot.variable: number}
    found: Numbers = {}
    halves: dict[tuple[str, int, int, int, bool], tuple[Slot, int, int]] = {}
    for slot in slots:
        encoding, message = slot.encoding, messages[slot.message]
        if encoding.family == "bits":
            key = (slot.variable, slot.factor, slot.constant, encoding.total, encoding.signed)
            bits = _gathered(encoding, message, slot.start)
            first, before, covered = halves.get(key, (slot, 0, 0))
            if (before ^ bits) & covered & encoding.covered:
                return None
            halves[key] = first, before | bits, covered | encoding.covered
            continue
        field = message[slot.start : slot.start + encoding.size]
        said = _said(slot, field)
        if said is None or found.setdefault(slot.variable, said) != said:
            return None
    for slot, bits, _ in halves.values():
        number = solved(slot, bits)
        if number is None or found.setdefault(slot.variable, number) != number:
            return None
    return found


def take_line(slots: Sequence[Slot], groups: Sequence[str]) -> Numbers | None:
    """Read what the open slots of a line carry; None when they contradict."""
    found: Numbers = {}
    for slot in slots:
        text = groups[slot.start]
        said = text if slot.encoding.captures else _solved(slot, line_number(slot.encoding, text))
        if said is None or found.setdefault(slot.variable, said) != said:
            return None
    return found


def _said(slot: Slot, field: bytes) -> int | str | None:
    encoding = slot.encoding
    if encoding.family == "raw":
        return field.hex(" ").upper()
    if encoding.family == "text":
        return field.decode("ascii", "replace").rstrip(" \0")
    if encoding.family == "bcd":
        high, low = field[0] >> 4, field[0] & 0x0F
        return _solved(slot, high * 10 + low) if high < 10 and low < 10 else None
    try:
        return _solved(slot, int(field.decode("ascii"), 10 if encoding.base == "d" else 16))
    except ValueError:
        return None


def _gathered(encoding: Encoding, message: bytes, start: int) -> int:
    bits = 0
    for group in encoding.groups:
        bits |= (message[start + group.byte] >> group.shift & (1 << group.width) - 1) << group.low
    return bits


def solved(slot: Slot, bits: int) -> int | None:
    """Find the variable of an open field whose bits are put together; None where no whole number gives them."""
    encoding = slot.encoding
    return _solved(slot, bits - (1 << encoding.total) if encoding.signed and bits >> encoding.total - 1 else bits)


def _solved(slot: Slot, number: int) -> int | None:
    whole, rest = divmod(number - slot.constant, slot.factor)
    return None if rest else whole
