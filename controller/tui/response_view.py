"""A loop's frequency response in one Line-API widget: gain over a logarithmic frequency axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.segment import Segment
from textual.strip import Strip as Line
from textual.widget import Widget

from controller.tui.braille import at, curve
from controller.tui.palette import ACCENT, BLUE, FAINT

LOW_HZ, HIGH_HZ = 20.0, 20_000.0
AXIS_CELLS = 7
NARROWEST_DB = 1.0
_MARKS = ((31.5, "31"), (100.0, "100"), (1000.0, "1k"), (10_000.0, "10k"))


class ResponseView(Widget):
    """Gain [dB] re 1 kHz from 20 Hz to 20 kHz; the scale fits itself, never narrower than ±0.5 dB."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._points: tuple[tuple[float, float], ...] = ()
        self._lines: list[Line] = []

    def show(self, hz: Sequence[float], gain_db: Sequence[float]) -> None:
        """Show gains at ascending frequencies; none clears the view."""
        self._points = tuple((math.log10(f), g) for f, g in zip(hz, gain_db, strict=True) if LOW_HZ <= f <= HIGH_HZ)
        self._lines = []
        self.refresh()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._lines = []

    def render_line(self, y: int) -> Line:
        """Hand out one drawn line."""
        if not self._lines:
            self._lines = self._drawn()
        return self._lines[y] if y < len(self._lines) else Line.blank(self.size.width, self.rich_style)

    def _drawn(self) -> list[Line]:
        width, rows, ground = self.size.width, self.size.height - 1, self.rich_style
        across = width - AXIS_CELLS
        if rows < 2 or across < 8 or len(self._points) < 2:
            return [Line.blank(width, ground)] * self.size.height
        middle = at(self._points, 3.0)
        levels = [level - middle for _, level in self._points]
        low, high = min(*levels, 0.0), max(*levels, 0.0)
        short = max(NARROWEST_DB - (high - low), 0.0) / 2.0
        low, high = low - short - 0.05 * (high - low), high + short + 0.05 * (high - low)
        left, right = math.log10(LOW_HZ), math.log10(HIGH_HZ)
        first, last = self._points[0][0], self._points[-1][0]
        places = [left + (right - left) * column / (2 * across - 1) for column in range(2 * across)]
        shown = [at(self._points, x) - middle if first <= x <= last else math.nan for x in places]
        zero = min(rows - 1, max(0, int((high - 0.0) / (high - low) * rows)))
        marks = {0: f"{high:+.2f}", rows - 1: f"{low:+.2f}", zero: "0 dB"}
        lines = []
        for row, text in enumerate(curve(shown, rows, low=low, high=high)):
            segments = [Segment(f"{marks.get(row, ''):>{AXIS_CELLS - 1}} ", FAINT)]
            for sign in text:
                dotted = row == zero and sign == " "
                segments.append(Segment("┄" if dotted else sign, ACCENT if dotted else BLUE))
            lines.append(Line(segments).adjust_cell_length(width).apply_style(ground))
        feet = [" "] * across
        for hz, name in _MARKS:
            start = round((math.log10(hz) - left) / (right - left) * (across - 1))
            feet[start : start + len(name)] = name
        lines.append(Line([Segment(" " * AXIS_CELLS + "".join(feet)[:across], FAINT)]).adjust_cell_length(width))
        return [line.apply_style(ground) for line in lines]
