"""Message templates: how a profile writes down bytes with fields in them.

A MIDI template is one whole message in hex bytes and fields, ``"B{c} 07 {v}"``; a text template is one serial command
or reply, ``"{n}*{v:2d}$"``. A field is ``{EXPRESSION}`` or ``{EXPRESSION:ENCODING}``. An expression is a sum of whole
numbers and variables, each variable optionally multiplied by a whole number (``0x40+n-1``, ``3*n-2``, ``-v``).
Variables: ``v`` the raw value, ``c`` the MIDI channel counted from 0, ``code`` the number in a refusal, and those of
the control's own ``repeat``. ``{*}`` stands for any one data byte (MIDI) or any text (serial), in replies only.

This module knows the notation only; turning templates into bytes is the wire's work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from profiles.errors import ProfileSyntaxError

_NUMBER = r"0x[0-9A-Fa-f]+|0|[1-9]\d*"
_TERM = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<number>{_NUMBER})(?:\*(?P<of>[a-z]+))?|(?P<name>[a-z]+)(?:\*(?P<times>{_NUMBER}))?)"
)
_FIELD = r"(?P<any>\{\*\})|\{(?P<sum>[^{}:]+)(?::(?P<encoding>[^{}]*))?\}"
_MIDI_TOKEN = re.compile(rf"(?P<byte>[0-9A-F]{{2}})|(?P<high>[0-9A-F])\{{(?P<low>[^{{}}:]+)\}}|{_FIELD}")
_TEXT_TOKEN = re.compile(rf"(?P<literal>[^{{}}]+)|{_FIELD}")
_JUSTIFIED = re.compile(r"(left|right)(\d{1,2})(?:\.(hi|lo|lsb))?")
_SEVENS = re.compile(r"s7x([2-5])")
_DECIMAL = re.compile(r"(\+?)(\d?)d")


@dataclass(frozen=True)
class Sum:
    """A whole number plus variables times whole numbers."""

    constant: int
    terms: tuple[tuple[str, int], ...]

    def stamp(self, variables: Mapping[str, int]) -> Sum:
        """Put in the variables that are known; the others stay."""
        constant = self.constant
        left: list[tuple[str, int]] = []
        for name, factor in self.terms:
            if name in variables:
                constant += factor * variables[name]
            else:
                left.append((name, factor))
        return Sum(constant, tuple(left))


@dataclass(frozen=True)
class Encoding:
    """How a whole number is written: its family, and what the family needs to know.

    ``u7`` one byte 0–127. ``left``/``right``: ``bits`` effective bits justified in a 14-bit pair, ``part`` being both
    bytes MSB first (``msb``), LSB first (``lsb``), or one of them (``hi``, ``lo``). ``s7``: ``width`` bytes of 7 bits,
    big endian, two's complement. ``d``: ASCII decimal padded with zeros to ``width``, ``signed`` always with its sign.
    ``nibble``: the low half of a byte whose high half is ``bits``.
    """

    family: Literal["u7", "left", "right", "s7", "d", "nibble"]
    bits: int = 7
    part: Literal["msb", "lsb", "hi", "lo"] = "msb"
    width: int = 1
    signed: bool = False

    @property
    def size(self) -> int:
        """Bytes that a field of this encoding takes in a MIDI message."""
        if self.family in ("left", "right"):
            return 2 if self.part in ("msb", "lsb") else 1
        return self.width if self.family == "s7" else 1


@dataclass(frozen=True)
class Field:
    """A place in a message where a number stands."""

    expression: Sum
    encoding: Encoding


@dataclass(frozen=True)
class AnyData:
    """A place in a reply whose content does not matter."""


ANY = AnyData()


@dataclass(frozen=True)
class Template:
    """One message: literal bytes, fields and wildcards in order."""

    source: str
    text: bool
    parts: tuple[bytes | Field | AnyData, ...]

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the fields."""
        return frozenset(name for part in self.parts if isinstance(part, Field) for name, _ in part.expression.terms)


def parse_sum(text: str) -> Sum:
    """Read an expression such as ``0x40+n-1``.

    Raises
    ------
    ProfileSyntaxError
        It is not a sum of whole numbers and variables.
    """
    squeezed = text.replace(" ", "")
    constant, terms, at = 0, dict[str, int](), 0
    while at < len(squeezed):
        match = _TERM.match(squeezed, at)
        if match is None or (at > 0 and not match["sign"]):
            break
        at = match.end()
        number = int(match["number"] or match["times"] or "1", 0) * (-1 if match["sign"] == "-" else 1)
        name = match["of"] or match["name"]
        if name is None:
            constant += number
        else:
            terms[name] = terms.get(name, 0) + number
    else:
        if squeezed:
            return Sum(constant, tuple((name, factor) for name, factor in terms.items() if factor))
    raise ProfileSyntaxError(
        f"{text!r} is not an expression", hint="Write a sum of whole numbers and variables, such as n-1 or 0x40+n."
    )


@lru_cache(maxsize=1024)
def parse_midi(text: str) -> Template:
    """Read one MIDI message template.

    Raises
    ------
    ProfileSyntaxError
        It is not one whole MIDI message (MIDI 1.0 Detailed Specification, tables I to VI).
    """
    parts: list[bytes | Field | AnyData] = []
    for word in text.split():
        match = _MIDI_TOKEN.fullmatch(word)
        if match is None:
            raise ProfileSyntaxError(
                f"{word!r} in {text!r} is neither a hex byte nor a field",
                hint="Write bytes as two capital hex digits (B0) and fields without blanks ({n-1}, {v:left8}).",
            )
        if match["byte"]:
            parts.append(bytes.fromhex(match["byte"]))
        elif match["high"]:
            low = parse_sum(match["low"])
            if {"v", "code"} & {name for name, _ in low.terms}:
                raise ProfileSyntaxError(
                    f"{word!r} in {text!r} puts a value into half a byte",
                    hint="Only the channel and what repeats can stand there.",
                )
            parts.append(Field(low, Encoding("nibble", bits=int(match["high"], 16))))
        elif match["any"]:
            parts.append(ANY)
        else:
            parts.append(Field(parse_sum(match["sum"]), _midi_encoding(match["encoding"] or "u7")))
    _check_midi(text, parts)
    return Template(text, text=False, parts=tuple(parts))


@lru_cache(maxsize=1024)
def parse_text(text: str) -> Template:
    """Read one serial command or reply.

    Raises
    ------
    ProfileSyntaxError
        A field is malformed, or the text is not ASCII.
    """
    if not text or not text.isascii():
        raise ProfileSyntaxError(f"{text!r} is not a serial command", hint="Write ASCII characters and {fields}.")
    parts: list[bytes | Field | AnyData] = []
    at = 0
    while at < len(text):
        match = _TEXT_TOKEN.match(text, at)
        if match is None:
            raise ProfileSyntaxError(f"a brace in {text!r} has no partner", hint="Fields look like {n} or {v:2d}.")
        at = match.end()
        if match["literal"]:
            parts.append(match["literal"].encode("ascii"))
        elif match["any"]:
            parts.append(ANY)
        else:
            parts.append(Field(parse_sum(match["sum"]), _text_encoding(match["encoding"] or "d")))
    return Template(text, text=True, parts=tuple(parts))


def parse_data(text: str) -> Encoding:
    """Read the justification of a 14-bit pair, ``left8`` or ``right14``, as the shorthands take it.

    Raises
    ------
    ProfileSyntaxError
        It is none.
    """
    encoding = _midi_encoding(text)
    if encoding.family not in ("left", "right") or "." in text:
        raise ProfileSyntaxError(f"{text!r} is not a justification", hint="Write left7 … left14 or right7 … right14.")
    return encoding


def _midi_encoding(text: str) -> Encoding:
    if text == "u7":
        return Encoding("u7")
    if match := _SEVENS.fullmatch(text):
        return Encoding("s7", width=int(match[1]))
    match = _JUSTIFIED.fullmatch(text)
    if match and 7 <= int(match[2]) <= 14:
        part: Literal["msb", "lsb", "hi", "lo"] = match[3] or "msb"  # type: ignore[assignment]  # the pattern's own words
        return Encoding("left" if match[1] == "left" else "right", bits=int(match[2]), part=part)
    raise ProfileSyntaxError(
        f"{text!r} is not an encoding of a MIDI field",
        hint="There are: u7, left7 … left14, right7 … right14 (with .hi, .lo or .lsb), s7x2 … s7x5.",
    )


def _text_encoding(text: str) -> Encoding:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ProfileSyntaxError(f"{text!r} is not an encoding of a serial field", hint="There are: d, 2d, +d, +2d.")
    return Encoding("d", width=int(match[2] or "1"), signed=bool(match[1]))


def _check_midi(text: str, parts: list[bytes | Field | AnyData]) -> None:
    first = parts[0] if parts else b""
    status = first[0] if isinstance(first, bytes) and first else 0
    if isinstance(first, Field) and first.encoding.family == "nibble":
        status = first.encoding.bits << 4
    length = sum(part.encoding.size if isinstance(part, Field) else 1 for part in parts)
    body = parts[1:-1] if status == 0xF0 else parts[1:]
    stray = any(
        part[0] >= 0x80
        if isinstance(part, bytes)
        else isinstance(part, Field) and part.encoding.family == "nibble" and part.encoding.bits >= 8
        for part in body
    )
    if status == 0xF0:
        whole = length >= 3 and parts[-1] == b"\xf7"
    else:
        whole = 0x80 <= status < 0xF0 and length == (2 if 0xC0 <= status < 0xE0 else 3)
    if stray or not whole:
        raise ProfileSyntaxError(
            f"{text!r} is not one whole MIDI message",
            hint="A message is a status byte and its one or two data bytes, or F0 … F7; data bytes are below 80.",
        )
