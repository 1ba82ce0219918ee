"""The console surface: every strip in one Line-API widget; only rows that changed are drawn again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip as Line
from textual.widget import Widget

from controller.tui.palette import (
    ACCENT,
    BLUE,
    BRIGHT,
    CURSOR,
    CURSOR_FOCUSED,
    DARK,
    FAINT,
    GREEN,
    INK,
    RED,
    YELLOW,
)

METER_TOP_DBFS = 0.0
METER_BOTTOM_DBFS = -60.0
METER_MARKS_DB = 10
METER_ROWS = (4, 20)
REDUCTION_DB_A_ROW = 2.0
"""A compressor's meter hangs from the top: a row for every 2 dB, the first from 0.5 dB on."""
STRIP_CELLS = 8
SCALE_CELLS = 5
FADER_TOP_DB = 12.0
FADER_BOTTOM_DB = -60.0
RETURNS = ("in 1", "in 2")
"""Names under which events carry the levels of the mix's two sides."""
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_BELOW = ("name", "flags", "chain", "trim", "send", "pan", "image", "fader", "where")
_SCALE = {"trim": "trim", "send": "send", "pan": "pan", "fader": "dB", "where": "runs", "chain": "proc"}

PARAMETERS = ("fader", "pan", "send", "trim")


@dataclass(frozen=True)
class StripFace:
    """What one strip shows. Levels in dB; −∞ is off; ``where`` is the desk strip or ``box``."""

    name: str
    fader_db: float
    where: str
    pan: float = 0.0
    send_db: float = -math.inf
    trim_db: float = 0.0
    mute: bool = False
    solo: bool = False
    inverted: bool = False
    hpf: bool = False
    eq: bool = False
    comp: bool = False
    stereo: bool = False
    master: bool = False


class ConsoleView(Widget, can_focus=True):
    """All strips and the master, with meters. The cursor is one strip and one parameter."""

    class Picked(Message):
        """A strip was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._strips: tuple[StripFace, ...] = ()
        self._levels: dict[str, float] = {}
        self._reductions: dict[str, int] = {}
        self._cells: list[tuple[tuple[int, int], ...]] = []
        self.cursor = 0
        self.parameter = "fader"
        self.first = 0

    def show(self, strips: Sequence[StripFace], cursor: int, parameter: str) -> None:
        """Show these strips with the cursor on one of them."""
        self._strips = tuple(strips)
        self.cursor, self.parameter = cursor, parameter
        self._scroll_to_cursor()
        self._cells = []
        self.refresh()

    def meter(self, levels_dbfs: Mapping[str, float]) -> None:
        """Show levels by strip name; only meter rows that changed are drawn."""
        self._levels = dict(levels_dbfs)
        cells = [self._meter_cells(strip) for strip in self.in_sight()]
        if len(cells) != len(self._cells) or any(len(a) != len(b) for a, b in zip(cells, self._cells, strict=True)):
            self._cells = cells
            self.refresh()
            return
        for row in range(self.meter_rows):
            if any(new[row] != old[row] for new, old in zip(cells, self._cells, strict=True)):
                self.refresh(Region(0, 1 + row, self.size.width, 1))
        self._cells = cells

    def reduce(self, reductions_db: Mapping[str, float]) -> None:
        """Show what compressors take off, by strip name [dB], from the top of the meters down."""
        rows = {name: round(-reduction / REDUCTION_DB_A_ROW + 0.25) for name, reduction in reductions_db.items()}
        if rows != self._reductions:
            self._reductions = rows
            self.refresh()

    @property
    def meter_rows(self) -> int:
        """How many rows the meters have at this height."""
        low, high = METER_ROWS
        return min(max(self.size.height - 1 - len(_BELOW), low), high)

    @property
    def fit(self) -> int:
        """How many strips stand side by side, the master not counted."""
        return max(1, (self.size.width - SCALE_CELLS) // STRIP_CELLS - 1) if self.size.width else 8

    def in_sight(self) -> list[StripFace]:
        """Return the strips in sight, and the master, which always is."""
        mixed = [s for s in self._strips if not s.master]
        master = [s for s in self._strips if s.master]
        return [*mixed[self.first : self.first + self.fit], *master]

    def _scroll_to_cursor(self) -> None:
        count = sum(not s.master for s in self._strips)
        if self.cursor < count:
            self.first = min(max(self.first, self.cursor - self.fit + 1), self.cursor)
        self.first = max(0, min(self.first, count - self.fit))

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._scroll_to_cursor()
        self._cells = []
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked strip."""
        place = (event.x - SCALE_CELLS) // STRIP_CELLS
        shown = self.in_sight()
        if event.x >= SCALE_CELLS and place < len(shown):
            master = shown[place].master
            self.post_message(self.Picked(len(self._strips) - 1 if master else self.first + place))

    def _meter_cells(self, strip: StripFace) -> tuple[tuple[int, int], ...]:
        names = RETURNS if strip.master else (strip.name, strip.name)
        left, right = (self._levels.get(name, -math.inf) for name in names)
        return tuple((self._eighths(left, row), self._eighths(right, row)) for row in range(self.meter_rows))

    @property
    def _db_per_row(self) -> float:
        return (METER_TOP_DBFS - METER_BOTTOM_DBFS) / self.meter_rows

    @property
    def _marks(self) -> dict[int, str]:
        """The scale: what stands beside which row of the meters [dBFS]."""
        marks = range(round(METER_TOP_DBFS), round(METER_BOTTOM_DBFS), -METER_MARKS_DB)
        return {round((METER_TOP_DBFS - mark) / self._db_per_row): f"{mark}" for mark in marks}

    def _eighths(self, level_dbfs: float, row: int) -> int:
        if not math.isfinite(level_dbfs):
            return 0
        bottom = METER_TOP_DBFS - (row + 1) * self._db_per_row
        return round(8 * min(max((level_dbfs - bottom) / self._db_per_row, 0.0), 1.0))

    def render_line(self, y: int) -> Line:
        """Draw one row of all strips."""
        width, ground = self.size.width, self.rich_style
        meters = self.meter_rows
        if not self._strips or y > meters + len(_BELOW):
            return Line.blank(width, ground)
        meter = y - 1 if 1 <= y <= meters else None
        row = "number" if y == 0 else "" if meter is not None else _BELOW[y - 1 - meters]
        segments = [self._scale(row, meter)]
        count = sum(not s.master for s in self._strips)
        for place, strip in enumerate(self.in_sight()):
            index = count if strip.master else self.first + place
            here = index == self.cursor
            under = (CURSOR_FOCUSED if self.has_focus else CURSOR) if here else Style()
            if meter is not None:
                segments += self._meter(meter, strip, under)
                continue
            text, style = self._text(row, strip, index, here)
            segments += [Segment(f"{text:^{STRIP_CELLS - 1}.{STRIP_CELLS - 1}}", under + style), Segment(" ", under)]
        return Line(segments).adjust_cell_length(width).apply_style(ground)

    def _scale(self, row: str, meter: int | None) -> Segment:
        if meter is not None:
            return Segment(f"{self._marks.get(meter, ''):>4} ", FAINT)
        if row == "number":
            more = self.first > 0
            return Segment(f"{'◀' if more else ' ':>3}  ", ACCENT)
        return Segment(f"{_SCALE.get(row, ''):>4} ", ACCENT if row == self.parameter else FAINT)

    def _text(self, row: str, strip: StripFace, index: int, here: bool) -> tuple[str, Style]:
        if row == "number":
            last = index == self.first + self.fit - 1 and index < len(self._strips) - 2
            number = "MASTER" if strip.master else f"{index + 1}{'∞' if strip.stereo else ''}{' ▶' if last else ''}"
            return number, ACCENT if here else FAINT
        if row == "name":
            return ("L   R" if strip.master else strip.name), BRIGHT if here else INK
        if strip.master and row not in {"fader", "where", "chain"}:
            return "", FAINT
        if row == "flags":
            flags = f"{'M' if strip.mute else '·'} {'S' if strip.solo else '·'} {'Ø' if strip.inverted else '·'}"
            return flags, RED if strip.mute else YELLOW if strip.solo or strip.inverted else DARK
        if row == "chain":
            chain = f"{'H' if strip.hpf else '·'} {'E' if strip.eq else '·'} {'C' if strip.comp else '·'}"
            return chain, GREEN if strip.hpf or strip.eq or strip.comp else DARK
        if row == "image":
            return _pan_bar(strip.pan), DARK
        if row == "where":
            return strip.where, FAINT if strip.where in {"box", "?"} else BLUE
        chosen = here and row == self.parameter
        text = {"trim": strip.trim_db, "send": strip.send_db, "fader": strip.fader_db}
        value = pan_text(strip.pan) if row == "pan" else db_text(text[row])
        quiet = row in {"trim", "send"} and value in {"+0.0", "off"}
        if chosen:
            return f"‹{value}›", ACCENT
        return value, BRIGHT if row == "fader" else FAINT if quiet else INK

    def _meter(self, row: int, strip: StripFace, under: Style) -> list[Segment]:
        left, right = self._meter_cells(strip)[row]
        reduction = self._reductions.get(RETURNS[0] if strip.master else strip.name, 0)
        top = METER_TOP_DBFS - row * self._db_per_row
        colour = RED if top > -3.0 else YELLOW if top > -12.0 else GREEN
        handle = self._fader_row(strip.fader_db) == row
        return [
            Segment(" ", under),
            Segment(_EIGHTHS[left] + _EIGHTHS[right], under + colour),
            Segment("▐" if row < reduction else " ", under + ACCENT),
            Segment("━╋━" if handle else " │ ", under + (BRIGHT if handle else DARK)),
            Segment(" ", under),
        ]

    def _fader_row(self, fader_db: float) -> int:
        """Row of the fader's handle: 0 dB stands where a desk has it, at about three quarters of the travel."""
        if fader_db <= FADER_BOTTOM_DB:
            return self.meter_rows - 1
        share = (FADER_TOP_DB - fader_db) / (FADER_TOP_DB - FADER_BOTTOM_DB)
        return round(math.pow(max(share, 0.0), 0.75) * (self.meter_rows - 1))


def db_text(level_db: float) -> str:
    """Write a level as the strip shows it."""
    return "off" if level_db == -math.inf else f"{round(level_db, 1) + 0.0:+.1f}"


def pan_text(pan: float) -> str:
    """Write a pan as the strip shows it: ``C``, ``L30``, ``R100``."""
    return "C" if round(pan) == 0 else f"{'L' if pan < 0 else 'R'}{abs(pan):.0f}"


def _pan_bar(pan: float) -> str:
    place = round((pan + 100.0) / 200.0 * 6)
    return "".join("●" if i == place else "┼" if i == 3 else "─" for i in range(7))
