"""The text of one profile file, and sentences that point into it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from profiles.errors import ProfileSyntaxError

Keys = Sequence[str | int]
"""A key path, ``("control", 3, "taper")``: tables by name, entries of an array of tables from 0."""


@dataclass(frozen=True)
class ProfileSource:
    """One file's name and text."""

    name: str
    text: str

    def line_of(self, keys: Keys) -> int | None:
        """Line (from 1) on which the key path begins; the nearest enclosing one that is found, else None."""
        lines = self.text.splitlines()
        at, end, found = 0, len(lines), None
        header: list[str] = []
        for place, key in enumerate(keys):
            if isinstance(key, int):
                continue
            header.append(key)
            index = keys[place + 1] if place + 1 < len(keys) else None
            tables = [row for row in range(at, end) if _is_header(lines[row], header, array=isinstance(index, int))]
            if isinstance(index, int) and index < len(tables):
                at = tables[index]
                found = at
                later = [row for row in range(at + 1, end) if _is_header(lines[row], header, array=True)]
                end = later[0] if later else end
                continue
            hit = next((row for row in range(at, end) if row in tables or _has_key(lines[row], key)), None)
            if hit is None:
                if any(re.match(rf"\s*\[+\s*{re.escape('.'.join(header))}\.", line) for line in lines[at:end]):
                    continue  # the table is only written as part of its tables' names
                break
            at = found = hit
        return None if found is None else found + 1

    def error(self, keys: Keys, what: str, *, hint: str = "") -> ProfileSyntaxError:
        """Make the error that names file, line and key path."""
        line = self.line_of(keys)
        where = self.name if line is None else f"{self.name}:{line}"
        path = shown(keys)
        return ProfileSyntaxError(f"{where}: {path + ': ' if path else ''}{what}.", hint=hint, placed=True)


def shown(keys: Keys) -> str:
    """Write a key path for people: ``control 4, taper`` (entries of arrays counted from 1)."""
    words: list[str] = []
    for key in keys:
        if isinstance(key, int) and words:
            words[-1] = f"{words[-1]} {key + 1}"
        else:
            words.append(str(key))
    return ", ".join(words)


def nearest(word: str, known: Iterable[str]) -> str:
    """Make the hint that names the nearest of the known words, or all of them where they are few."""
    words = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, words, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if not words:
        return ""
    more = f" … ({len(words)} in all)" if len(words) > 12 else ""
    return f"There are: {', '.join(words[:12])}{more}."


def _is_header(line: str, header: Sequence[str], *, array: bool) -> bool:
    name = r"\s*\.\s*".join(rf"[\"']?{re.escape(key)}[\"']?" for key in header)
    opening, closing = (r"\[\[", r"\]\]") if array else (r"\[", r"\]")
    return re.match(rf"\s*{opening}\s*{name}\s*{closing}", line) is not None


def _has_key(line: str, key: str) -> bool:
    return re.search(rf"(?:^|[\s{{,.])[\"']?{re.escape(key)}[\"']?\s*[.=]", line.split("#", 1)[0]) is not None
