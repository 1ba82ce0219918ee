"""Reading frequency responses that other programs wrote as text: REW's export, ARTA's ASCII, FRD files.

One line a frequency: Hz, dB and, where it was measured, degrees; further columns (coherence) are left alone. Comment
lines begin with ``* # ; ! % / "`` or with a letter. Columns are parted by blanks, tabs, semicolons or commas; decimals
by a point, or by a comma as REW and ARTA write them where the system does so.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controller.errors import UsageError
from controller.files import relative, storage_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 64_000_000
LEAST_ROWS = 3
_COMMENT = re.compile(r"\s*(?:[*#;!%/\"'A-Za-z]|$)")
_NUMBER = re.compile(r"[+\-−]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+\-]?\d+)?")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class ResponseTextError(UsageError):
    """A text file is no frequency response; the message names file and line."""


@dataclass(frozen=True)
class TextResponse:
    """A response as another program wrote it, all arrays (n,): ``hz`` rising, ``db``, ``deg`` or None without phase.

    ``title`` is the first comment that names the measurement, ``notes`` what was left out on the way.
    """

    hz: NDArray[np.float64]
    db: NDArray[np.float64]
    deg: NDArray[np.float64] | None
    title: str = ""
    notes: tuple[str, ...] = ()


def read_response(path: Path) -> TextResponse:
    """Read a text file.

    Raises
    ------
    ResponseTextError
        It is no response; the sentence names the line.
    StorageError
        It cannot be read.
    """
    with storage_errors(path, verb="read"):
        size = path.stat().st_size
        data = path.read_bytes() if size <= MOST_BYTES else b""
    if size > MOST_BYTES:
        raise ResponseTextError(f"{relative(path)} is {size / 1e6:.0f} MB; no response is that long as text.")
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return parse_response(text, relative(path))


def parse_response(text: str, source: str) -> TextResponse:
    """Read a response from text; ``source`` names the file in messages.

    Raises
    ------
    ResponseTextError
        Something in it is no number, a line has too few columns, frequencies do not rise, or there are too few lines.
    """
    rows: list[tuple[int, list[float]]] = []
    title = ""
    notes: list[str] = []
    columns = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if _COMMENT.match(line):
            if rows and line.strip() and line.strip()[0].isalpha():
                raise _error(source, number, f"{line.strip()[:40]!r} stands among the numbers")
            title = title or _title(line)
            continue
        values = _values(line, source, number)
        columns = columns or len(values)
        if len(values) < min(columns, 3) or len(values) < 2:
            raise _error(source, number, f"{len(values)} columns where {max(min(columns, 3), 2)} are due")
        if values[0] == 0.0 and not rows:
            notes.append(f"line {number} is of 0 Hz and was left out")
            continue
        if rows and values[0] <= rows[-1][1][0]:
            raise _error(source, number, f"{values[0]:g} Hz does not lie above the line before, {rows[-1][1][0]:g} Hz")
        if values[0] < 0.0:
            raise _error(source, number, f"a frequency of {values[0]:g} Hz")
        rows.append((number, values))
    if len(rows) < LEAST_ROWS:
        raise ResponseTextError(
            f"{source} holds {len(rows)} lines of frequency and level; a response needs {LEAST_ROWS}.",
            hint="Export it as text: REW, File, Export, Measurement as text; ARTA, File, Export, ASCII.",
        )
    table = np.array([values[: min(columns, 3)] for _, values in rows])
    deg = table[:, 2] if columns >= 3 else None
    return TextResponse(table[:, 0], table[:, 1], deg, title, tuple(notes))


def _values(line: str, source: str, number: int) -> list[float]:
    words = _split(line.strip(), source, number)
    values = []
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise _error(source, number, f"{word[:30]!r} is no number")
        value = float(word.replace(",", ".").replace("−", "-"))
        if not math.isfinite(value):
            raise _error(source, number, f"{word[:30]!r} is too large")
        values.append(value)
    return values


def _split(line: str, source: str, number: int) -> Sequence[str]:
    """Part a line into its columns; a comma parts them only where nothing else does."""
    for mark in (";", "\t"):
        if mark in line:
            return [word for piece in line.split(mark) if (word := piece.strip())]
    words = line.split()
    if len(words) > 1 and not any(word.endswith(",") or word.count(",") > 1 or word == "," for word in words):
        return words
    pieces = [piece.strip() for piece in line.rstrip(",").split(",")]
    if len(pieces) >= 4 and "." not in line:
        raise _error(source, number, "commas part both columns and decimals, and cannot be told apart", _EXPORT)
    return pieces


_EXPORT = "Export it again with tabs, blanks or semicolons between the columns."


def _title(line: str) -> str:
    found = re.match(r"\W*(?:Measurement|Title|Name)\s*:\s*(.+)", line)
    return found[1].strip() if found else ""


def _error(source: str, number: int, what: str, hint: str = "") -> ResponseTextError:
    return ResponseTextError(
        f"{source}, line {number}: {what}.", hint=hint or "A line is frequency [Hz], level [dB] and phase [degrees]."
    )
