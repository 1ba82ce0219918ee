"""Lines of text into what they mean, by their shape."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from hardware.wire.framing import LineFraming
from hardware.wire.heard import Heard, Unparsed
from hardware.wire.meanings import Meaning, units_of
from hardware.wire.patterns import LinePattern, line_number, line_sound, stamp_line, take_line
from profiles.encoding import Encoding
from profiles.profile import Profile

_LineShape = tuple[str, tuple[Encoding, ...], tuple[int, ...]]
"""A line's regular expression, how its groups are read, and which of them hold known numbers."""


class LineReader:
    """Lines of text into what they mean."""

    def __init__(self, profile: Profile) -> None:
        terminator = profile.serial.terminator if profile.serial else "\r\n"
        self._framing = LineFraming(terminator.encode("ascii"))
        tables: dict[_LineShape, dict[tuple[int, ...], list[tuple[LinePattern, Meaning]]]] = {}
        for unit in units_of(profile):
            pattern = stamp_line(unit.templates[-1], unit.variables)
            places = tuple(at for at, number in enumerate(pattern.fixed) if number is not None)
            key = tuple(number for number in pattern.fixed if number is not None)
            table = tables.setdefault((pattern.shape, pattern.readers, places), {})
            table.setdefault(key, []).append((pattern, unit.meaning))
        self._shapes = [
            (re.compile(shape), [(place, readers[place]) for place in places], meanings)
            for (shape, readers, places), meanings in sorted(tables.items(), key=_surest_first)
        ]

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes, cut anywhere; return what they mean."""
        found: list[Heard] = []
        for line in self._framing.feed(data):
            told = self._read(line)
            found += [] if told is None else [told]
        return found

    def flush(self) -> list[Unparsed]:
        """Give up what waits for more bytes, and return it."""
        left = self._framing.flush()
        return [Unparsed(left)] if left else []

    def twin(self) -> LineReader:
        """Make a reader that stands where this one stands, on the same tables."""
        other = copy.copy(self)
        other._framing = copy.deepcopy(self._framing)
        return other

    def _read(self, line: bytes) -> Heard | None:
        text = line.decode("latin-1")
        for shape, places, meanings in self._shapes:
            match = shape.fullmatch(text)
            if match is None:
                continue
            groups: Sequence[str] = match.groups()
            key = tuple(line_number(encoding, groups[place]) for place, encoding in places)
            for pattern, meaning in meanings.get(key, ()):
                if pattern.checks and not line_sound(pattern.checks, match):
                    continue
                told = meaning.tell(take_line(pattern.slots, groups), text)
                if told is not None or meaning.silent:
                    return told
        return Unparsed(line)


def _surest_first(item: tuple[_LineShape, object]) -> tuple[bool, int]:
    """Order line shapes: those that take in any text come last, then those with fewer fixed characters."""
    shape = item[0][0]
    return (".*" in shape, -len(shape))
