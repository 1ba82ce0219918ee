"""What the numbers of a MIDI list say: which bits a range of values takes, and what its ``usage`` means."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from profiles.writing import TomlValue

_SEGMENT = re.compile(r"(-?[0-9]{1,6})\s*(?:([-~])\s*(-?[0-9]{1,6}))?\s*:\s*(.*)")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Address:
    """One controller, pair of controllers or NRPN of a row; None for what the list leaves empty."""

    msb: int | None
    lsb: int | None
    low: int | None
    high: int | None
    default: int | None


@dataclass(frozen=True)
class Width:
    """How many of the 14 bits a value takes, what one code is worth in it, and why the maximum says so."""

    bits: int
    step: int
    why: str


MAXIMA = {
    99: Width(7, 1, "what a display of two digits counts to"),
    127: Width(7, 1, "7 bits, one data byte's worth"),
    255: Width(8, 1, "8 bits, one more than a data byte holds"),
    511: Width(9, 1, "9 bits"),
    1023: Width(10, 1, "10 bits, a converter's usual width"),
    2047: Width(11, 1, "11 bits"),
    4095: Width(12, 1, "12 bits"),
    8191: Width(13, 1, "13 bits"),
    16383: Width(14, 1, "all 14 bits: left and right are the same"),
    16256: Width(7, 128, "127 · 128: 7 bits in the MSB, and an LSB that stays 0"),
    16320: Width(8, 64, "255 · 64: 8 bits from the top, the lower 6 of the LSB stay 0"),
    16352: Width(9, 32, "511 · 32: 9 bits from the top"),
    16368: Width(10, 16, "1023 · 16: 10 bits from the top"),
    16376: Width(11, 8, "2047 · 8: 11 bits from the top"),
    16380: Width(12, 4, "4095 · 4: 12 bits from the top"),
    16382: Width(13, 2, "8191 · 2: 13 bits from the top"),
}
"""Maxima that say how a value stands in two data bytes; any other is a plain number of as many bits as it needs.

A maximum of a power of two less one leaves open on which side the bits stand. One that counts in steps of a power of
two leaves nothing open: the value is written in 14 bits, so its bits stand left.
"""


@dataclass(frozen=True)
class Scale:
    """A range of values and their codes: value = code · step + offset.

    ``data`` is the justification in two data bytes, empty for one byte; ``sure`` whether the maximum itself says so.
    """

    low: int
    high: int
    step: int
    offset: int
    data: str
    sure: bool
    why: str

    @property
    def raw(self) -> tuple[int, int]:
        """Lowest and highest code."""
        return (self.low - self.offset) // self.step, (self.high - self.offset) // self.step

    @property
    def centre(self) -> int:
        """The value of the code in the middle, of the upper one where there are two."""
        first, last = self.raw
        return (first + (last - first + 1) // 2) * self.step + self.offset

    def code(self, value: int) -> int | None:
        """Find the code of exactly this value; None where there is none."""
        code, rest = divmod(value - self.offset, self.step)
        return code if rest == 0 and self.low <= value <= self.high else None

    def taper(self, *, detents: Sequence[int] = ()) -> dict[str, TomlValue]:
        """Write it as a taper: the list's own numbers."""
        taper: dict[str, TomlValue] = {"kind": "offset", "raw": list(self.raw)}
        if self.step != 1:
            taper["step"] = self.step
        if self.offset:
            taper["offset"] = self.offset
        if detents:
            taper["detents"] = list(detents)
        return taper


def scale_of(low: int, high: int, *, pair: bool, left: bool) -> Scale:
    """Find the codes of a range of values; ``pair`` has two data bytes, where short values stand ``left`` or right."""
    offset = min(low, 0)
    if not pair:
        return Scale(low, high, 1, offset, "", sure=True, why="one data byte")
    width = MAXIMA.get(high - offset) or Width(max(7, (high - offset).bit_length()), 1, "a maximum that tells nothing")
    if width.step > 1 and (offset or low % width.step):
        width = Width(14, 1, "its minimum is no multiple of the step that its maximum suggests")
    sure = width.step > 1 or width.bits == 14
    side = "left" if left or width.step > 1 else "right"
    return Scale(low, high, width.step, offset, f"{side}{width.bits}", sure=sure, why=width.why)


@dataclass(frozen=True)
class Positions:
    """The positions of a switch as a taper, and the value of the one that holds a given value."""

    choices: tuple[dict[str, TomlValue], ...]
    ranges: tuple[tuple[int, int], ...]
    words: bool

    def taper(self) -> dict[str, TomlValue]:
        """Write them as a taper."""
        return {"kind": "choices", "choices": list(self.choices)}

    def at(self, value: int) -> TomlValue | None:
        """Tell the position that holds a value of the list; None in a gap."""
        return next(
            (choice["value"] for choice, (a, b) in zip(self.choices, self.ranges, strict=True) if a <= value <= b), None
        )


@dataclass(frozen=True)
class _Segment:
    first: int
    last: int
    continuous: bool
    label: str


def positions_of(usage: str, scale: Scale) -> Positions | str:
    """Read ``usage`` (``0-63: off; 64-127: on``) as the positions of a switch.

    ``a-b`` is one position, a number alone an exact code, ``a~b`` a continuous range. Returns a sentence that says why
    where it is no switch; an empty one for a continuous range, which is no reason to complain.
    """
    segments: list[_Segment] = []
    for piece in filter(None, (piece.strip() for piece in usage.split(";"))):
        match = _SEGMENT.fullmatch(piece)
        if match is None:
            return f"the usage {piece[:40]!r} is not written as a range and its label"
        first, last = int(match[1]), int(match[3] or match[1])
        segments.append(_Segment(first, last, match[2] == "~", match[4].strip()))
    segments.sort(key=lambda segment: (segment.first, segment.last))
    if any(segment.continuous for segment in segments) or len(segments) < 2:
        return ""
    if any(segment.last < segment.first for segment in segments):
        return "a range of its usage runs backwards"
    if any(after.first <= before.last for before, after in itertools.pairwise(segments)):
        return "the ranges of its usage overlap"
    if segments[0].first < scale.low or segments[-1].last > scale.high:
        return f"its usage goes beyond its range of {scale.low} to {scale.high}"
    codes = [_codes(segment, scale) for segment in segments]
    if any(first > last for first, last in codes):
        return f"its usage has ranges between the codes, which count in steps of {scale.step}"
    values = _values(segments)
    choices: list[dict[str, TomlValue]] = []
    for value, (first, last) in zip(values, codes, strict=True):
        send = first if first == scale.raw[0] else last if last == scale.raw[1] else (first + last) // 2
        choice: dict[str, TomlValue] = {"value": value, "send": send}
        choices.append(choice if first == last else {**choice, "codes": [first, last]})
    ranges = tuple((segment.first, segment.last) for segment in segments)
    return Positions(tuple(choices), ranges, words=isinstance(values[0], str))


def _codes(segment: _Segment, scale: Scale) -> tuple[int, int]:
    return -((scale.offset - segment.first) // scale.step), (segment.last - scale.offset) // scale.step


def _values(segments: Sequence[_Segment]) -> Sequence[TomlValue]:
    """Name the positions: by their numbers where all of them are called by rising ones, else by words."""
    labels = [segment.label for segment in segments]
    if all(map(_PLAIN_NUMBER.fullmatch, labels)):
        numbers = [float(label) for label in labels]
        if all(after > before for before, after in itertools.pairwise(numbers)):
            return numbers
    words: list[TomlValue] = []
    for segment in segments:
        span = f"{segment.first}" if segment.first == segment.last else f"{segment.first}-{segment.last}"
        word = segment.label or f"code {span}"
        if _is_number(word):  # who types a number means one, and not a word
            word = f"value {word}"
        while word in words:
            word = f"{word} ({span})"
        words.append(word)
    return words


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
