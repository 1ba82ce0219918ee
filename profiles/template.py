"""Message templates: how a profile writes down bytes with fields in them.

A byte template is one whole MIDI message or one serial frame in hex bytes and fields, ``"B{c} 07 {v}"``; a text
template is one serial command or reply, ``"{n}*{v:2d}$"``. A field is ``{EXPRESSION}`` or ``{EXPRESSION:ENCODING}``. An
expression is a sum of whole numbers and variables, each variable optionally multiplied by a whole number
(``0x40+n-1``, ``3*n-2``, ``-v``). Variables: ``v`` the raw value, ``c`` the MIDI channel counted from 0, ``code`` the
number in a refusal, those of the control's own ``repeat``, and what a report or a command names. ``{=sum8}`` is the
checksum of the bytes before it, ``{=twos7@5}`` from byte 5 on (counted from 0). In replies ``{*}`` stands for any one
data byte (in text: for any text), ``{**}`` for any number of bytes.

This module knows the notation only; turning templates into bytes is the wire's work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, get_args

from profiles.encoding import Encoding, byte_encoding, text_encoding
from profiles.errors import ProfileSyntaxError
from profiles.source import nearest

Checksum = Literal["twos7", "sum7", "sum8", "xor", "lrc", "hexsum"]

_NUMBER = r"0x[0-9A-Fa-f]+|0|[1-9]\d*"
_TERM = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<number>{_NUMBER})(?:\*(?P<of>[a-z]+))?|(?P<name>[a-z]+)(?:\*(?P<times>{_NUMBER}))?)"
)
_FIELD = (
    r"(?P<any>\{\*\*?\})|\{=(?P<check>[a-z0-9]+)(?:@(?P<start>\d+))?\}|\{(?P<sum>[^{}:=]+)(?::(?P<encoding>[^{}]*))?\}"
)
_BYTE_TOKEN = re.compile(rf"(?P<byte>[0-9A-F]{{2}})|(?P<high>[0-9A-F])\{{(?P<low>[^{{}}:=]+)\}}|{_FIELD}")
_TEXT_TOKEN = re.compile(rf"(?P<literal>[^{{}}]+)|{_FIELD}")


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

    def reach(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Lowest and highest number it can become while every variable stays in its range."""
        low = high = float(self.constant)
        for name, factor in self.terms:
            ends = [factor * end for end in ranges[name]]
            low, high = low + min(ends), high + max(ends)
        return low, high


@dataclass(frozen=True)
class Field:
    """A place in a message where a number stands; ``high`` are fixed bits in the same byte (``B{c}``)."""

    expression: Sum
    encoding: Encoding
    high: int = 0


@dataclass(frozen=True)
class Check:
    """A place where the checksum of the bytes from ``start`` up to here stands."""

    algorithm: Checksum
    start: int = 0

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return 2 if self.algorithm == "hexsum" else 1


@dataclass(frozen=True)
class AnyData:
    """A place in a reply whose content does not matter: one byte, or (``rest``) as many as there are."""

    rest: bool = False


Part = bytes | Field | Check | AnyData


@dataclass(frozen=True)
class Template:
    """One message: literal bytes, fields, checksums and wildcards in order."""

    source: str
    text: bool
    parts: tuple[Part, ...]

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the fields."""
        return frozenset(name for part in self.parts if isinstance(part, Field) for name, _ in part.expression.terms)

    @property
    def only_heard(self) -> bool:
        """Whether it has wildcards or takes in text, and so can stand in replies only."""
        return any(isinstance(part, AnyData) or _captures(part) for part in self.parts)


def _captures(part: Part) -> bool:
    return isinstance(part, Field) and part.encoding.captures


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


@lru_cache(maxsize=4096)
def parse_midi(text: str) -> Template:
    """Read one MIDI message template.

    Raises
    ------
    ProfileSyntaxError
        It is not one whole MIDI message (MIDI 1.0 Detailed Specification, tables I to VI).
    """
    template = Template(text, text=False, parts=_byte_parts(text, "u7"))
    _check_midi(template)
    return template


@lru_cache(maxsize=4096)
def parse_frame(text: str, default: str = "u8") -> Template:
    """Read one frame of a binary serial protocol, or a piece of a message; ``default`` encodes plain fields.

    Raises
    ------
    ProfileSyntaxError
        A byte or field is malformed.
    """
    parts = _byte_parts(text, default)
    if not parts:
        raise ProfileSyntaxError("the message is empty", hint="Write its bytes as two capital hex digits each.")
    return Template(text, text=False, parts=parts)


def _byte_parts(text: str, default: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for word in text.split():
        match = _BYTE_TOKEN.fullmatch(word)
        if match is None:
            raise ProfileSyntaxError(
                f"{word!r} in {text!r} is neither a hex byte nor a field",
                hint="Write bytes as two capital hex digits (B0) and fields without blanks ({n-1}, {v:left8}).",
            )
        if match["byte"]:
            parts.append(bytes.fromhex(match["byte"]))
        elif match["high"]:
            parts.append(Field(parse_sum(match["low"]), byte_encoding("nibble"), int(match["high"], 16) << 4))
        else:
            parts.append(_part(match, byte_encoding(match["encoding"] or default) if match["sum"] else None))
    rests = [at for at, part in enumerate(parts) if isinstance(part, AnyData) and part.rest]
    if len(rests) > 1 or any(not isinstance(part, bytes) for at in rests for part in parts[at + 1 :]):
        raise ProfileSyntaxError(
            f"{text!r} has something after {{**}} whose place is not known",
            hint="Only fixed bytes can follow {**}, and it can stand there once.",
        )
    return tuple(parts)


def _part(match: re.Match[str], encoding: Encoding | None) -> Part:
    if match["any"]:
        return AnyData(rest=match["any"] == "{**}")
    if match["check"]:
        if match["check"] not in get_args(Checksum):
            raise ProfileSyntaxError(
                f"there is no checksum {match['check']!r}", hint=nearest(match["check"], get_args(Checksum))
            )
        return Check(match["check"], int(match["start"] or 0))  # type: ignore[arg-type]  # looked up above
    assert encoding is not None  # noqa: S101 - a field always brings its encoding
    return Field(parse_sum(match["sum"]), encoding)


@lru_cache(maxsize=4096)
def parse_text(text: str) -> Template:
    """Read one serial command or reply.

    Raises
    ------
    ProfileSyntaxError
        A field is malformed, or the text is not ASCII.
    """
    if not text or not text.isascii():
        raise ProfileSyntaxError(f"{text!r} is not a serial command", hint="Write ASCII characters and {fields}.")
    parts: list[Part] = []
    at = 0
    while at < len(text):
        match = _TEXT_TOKEN.match(text, at)
        if match is None:
            raise ProfileSyntaxError(f"a brace in {text!r} has no partner", hint="Fields look like {n} or {v:2d}.")
        at = match.end()
        if match["literal"]:
            parts.append(match["literal"].encode("ascii"))
        else:
            parts.append(_part(match, text_encoding(match["encoding"] or "d") if match["sum"] else None))
    return Template(text, text=True, parts=tuple(parts))


def part_size(part: Part) -> int:
    """Tell how many bytes a part of a byte template takes; 0 for ``{**}``."""
    if isinstance(part, bytes):
        return len(part)
    if isinstance(part, Field):
        return part.encoding.size
    if isinstance(part, Check):
        return part.size
    return 0 if part.rest else 1


def _check_midi(template: Template) -> None:
    parts = template.parts
    first = parts[0] if parts else b""
    status = first[0] if isinstance(first, bytes) and first else first.high if isinstance(first, Field) else 0
    length = sum(part_size(part) for part in parts)
    endless = any(isinstance(part, AnyData) and part.rest for part in parts)
    body = parts[1:-1] if status == 0xF0 else parts[1:]
    stray = any(_is_no_data(part) for part in body)
    if status == 0xF0:
        whole = length + endless >= 3 and parts[-1] == b"\xf7"
    else:
        whole = 0x80 <= status < 0xF0 and length == (2 if 0xC0 <= status < 0xE0 else 3) and not endless
    if stray or not whole:
        raise ProfileSyntaxError(
            f"{template.source!r} is not one whole MIDI message",
            hint="A message is a status byte and its one or two data bytes, or F0 … F7; data bytes are below 80.",
        )


def _is_no_data(part: Part) -> bool:
    """Tell whether a part can be a byte of 80 or above, which no data byte of MIDI is."""
    if isinstance(part, bytes):
        return part[0] >= 0x80
    if isinstance(part, Check):
        return part.algorithm in ("sum8", "lrc")
    if isinstance(part, Field):
        return part.high >= 0x80 or any(group.shift + group.width > 7 for group in part.encoding.groups)
    return False
