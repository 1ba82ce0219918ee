"""How a number stands in a message: which bits of it lie where, or which characters.

Every encoding in bytes but BCD and ASCII is one thing: groups of the number's bits, each at a place in one of the
field's bytes. 14-bit pairs: MIDI 1.0 Detailed Specification; the rest as the makers' documents define them that the
profiles cite.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from profiles.errors import ProfileSyntaxError

Family = Literal["bits", "bcd", "digits", "text", "raw"]

_JUSTIFIED = re.compile(r"(left|right)(\d{1,2})(?:\.(hi|lo|lsb))?")
_SEVENS = re.compile(r"([su])7x([2-5])")
_WORD = re.compile(r"([su])(16|24|32)(\.lsb)?")
_NIBBLES = re.compile(r"nib([2-8])(\.lsb)?")
_SLICE = re.compile(r"bits?([0-7])(?:-([0-7]))?")
_DIGITS = re.compile(r"([+-]?)(_?)(\d{0,2})(?:\.(\d))?([dxX])")
_CAPTURE = re.compile(r"(bytes|ascii)(\d{1,2})")


@dataclass(frozen=True)
class Group:
    """``width`` bits of a number from bit ``low`` on; they stand in the field's byte ``byte`` from bit ``shift`` on."""

    byte: int
    shift: int
    width: int
    low: int


@dataclass(frozen=True)
class Encoding:
    """How one field is written.

    ``size``: bytes it takes; 0 for text without a fixed width. ``bits``: ``groups`` of a number of ``total`` bits, in
    two's complement where ``signed``. ``bcd``: one byte, two decimal digits. ``digits``: ASCII in ``base``, at least
    ``width`` characters filled with ``pad``, ``decimals`` of them behind a point; ``sign`` "+" is always written, "-"
    only before negative numbers, "" never. ``text`` and ``raw``: characters and bytes that a reply carries (a name, a
    version), as they are and in hex.
    """

    family: Family
    size: int
    groups: tuple[Group, ...] = ()
    total: int = 0
    signed: bool = False
    width: int = 1
    pad: Literal["0", " "] = "0"
    base: Literal["d", "x", "X"] = "d"
    sign: Literal["", "+", "-"] = ""
    decimals: int = 0

    @property
    def captures(self) -> bool:
        """Whether it takes in text or bytes rather than a number; replies only."""
        return self.family in ("text", "raw")

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest number that fits."""
        if self.family == "bits":
            span = 1 << self.total
            return (-span / 2, span / 2 - 1) if self.signed else (0, span - 1)
        if self.family == "bcd":
            return 0, 99
        base = 10 if self.base == "d" else 16
        # Digits in the fixed places of a byte message have no room to grow.
        most = float("inf") if self.size == 0 else base ** (self.size - bool(self.sign)) - 1
        return (-most if self.sign else 0), most

    @property
    def covered(self) -> int:
        """Bits of the number that this field carries, as a mask: a half of a pair carries only its own."""
        return sum(((1 << group.width) - 1) << group.low for group in self.groups)


@lru_cache(maxsize=256)
def byte_encoding(text: str) -> Encoding:
    """Read the encoding of a field in a byte message.

    Raises
    ------
    ProfileSyntaxError
        There is none of that name.
    """
    if text in ("u7", "u8"):
        return _even(1, int(text[1]), signed=False)
    if text == "nibble":
        return _even(1, 4, signed=False)
    if text == "bcd":
        return Encoding("bcd", 1)
    if match := _SEVENS.fullmatch(text):
        return _even(int(match[2]), 7, signed=match[1] == "s")
    if match := _WORD.fullmatch(text):
        return _even(int(match[2]) // 8, 8, signed=match[1] == "s", low_first=bool(match[3]))
    if match := _NIBBLES.fullmatch(text):
        return _even(int(match[1]), 4, signed=False, low_first=bool(match[2]))
    if match := _SLICE.fullmatch(text):
        first, last = int(match[1]), int(match[2] or match[1])
        if first <= last:
            width = last - first + 1
            return Encoding("bits", 1, (Group(0, first, width, 0),), width)
    if match := _JUSTIFIED.fullmatch(text):
        if 7 <= int(match[2]) <= 14:
            return _pair(match[1] == "left", int(match[2]), match[3] or "msb")
    elif match := _CAPTURE.fullmatch(text):
        return Encoding("raw" if match[1] == "bytes" else "text", int(match[2]))
    elif (match := _DIGITS.fullmatch(text)) and match[3]:
        digits = _digits(match)
        return Encoding("digits", digits.width, width=digits.width, pad=digits.pad, base=digits.base, sign=digits.sign)
    raise ProfileSyntaxError(
        f"{text!r} is not an encoding of a field of bytes",
        hint="There are: u7, u8, left7 … left14, right7 … right14 (with .hi, .lo or .lsb), s7x2 … s7x5, u7x2 … u7x5, "
        "u16 u24 u32 s16 s32 and nib2 … nib8 (with .lsb), bcd, bits0-5, bit6, 3d, 2X, bytes4, ascii4.",
    )


@lru_cache(maxsize=256)
def text_encoding(text: str) -> Encoding:
    """Read the encoding of a field in a line of text.

    Raises
    ------
    ProfileSyntaxError
        There is none of that name.
    """
    if text == "text":
        return Encoding("text", 0)
    match = _DIGITS.fullmatch(text)
    if match is None:
        raise ProfileSyntaxError(
            f"{text!r} is not an encoding of a field of text",
            hint="There are: d, 2d, _3d (filled with blanks), +d (always a sign), -d (a minus where needed), "
            ".1d (raw in tenths), x, 2x, X, 2X, and text in replies.",
        )
    return _digits(match)


def parse_data(text: str) -> Encoding:
    """Read the justification of a 14-bit pair, ``left8`` or ``right14``, as the shorthands take it.

    Raises
    ------
    ProfileSyntaxError
        It is none.
    """
    if not re.fullmatch(r"(left|right)\d{1,2}", text):
        raise ProfileSyntaxError(f"{text!r} is not a justification", hint="Write left7 … left14 or right7 … right14.")
    return byte_encoding(text)


def _digits(match: re.Match[str]) -> Encoding:
    sign: Literal["", "+", "-"] = match[1]  # type: ignore[assignment]  # the pattern's own words
    base: Literal["d", "x", "X"] = match[5]  # type: ignore[assignment]
    return Encoding(
        "digits",
        0,
        width=int(match[3] or "1"),
        pad=" " if match[2] else "0",
        base=base,
        sign=sign,
        decimals=int(match[4] or "0"),
    )


def _even(size: int, bits: int, *, signed: bool, low_first: bool = False) -> Encoding:
    places = range(size) if low_first else reversed(range(size))
    groups = tuple(Group(byte, 0, bits, bits * place) for byte, place in enumerate(places))
    return Encoding("bits", size, groups, bits * size, signed)


def _pair(left: bool, bits: int, part: str) -> Encoding:
    high = Group(0, 0, 7, bits - 7) if left else Group(0, 0, bits - 7, 7)
    low = Group(1, 14 - bits, bits - 7, 0) if left else Group(1, 0, 7, 0)
    if part == "hi":
        return Encoding("bits", 1, _real(high), bits)
    if part == "lo":
        return Encoding("bits", 1, _real(Group(0, low.shift, low.width, low.low)), bits)
    if part == "lsb":
        return Encoding("bits", 2, _real(Group(0, low.shift, low.width, low.low), Group(1, *_tail(high))), bits)
    return Encoding("bits", 2, _real(high, low), bits)


def _tail(group: Group) -> tuple[int, int, int]:
    return group.shift, group.width, group.low


def _real(*groups: Group) -> tuple[Group, ...]:
    return tuple(group for group in groups if group.width > 0)
