"""The null's two pictures in one Line-API widget: residual by third octave, and over time."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip as Line
from textual.widget import Widget

from controller.tui.braille import Points, at, curve
from controller.tui.palette import ACCENT, BLUE, FAINT, GREEN, YELLOW

TOP_DB = 0.0
BOTTOM_DB = -120.0
AXIS_CELLS = 6
GAP_CELLS = 3
_EIGHTHS = " ▁▂▃▄▅▆▇█"


class DepthView(Widget):
    """Depth of a null from 0 (nothing in common) down to -120 dB: bars by third octave, a curve over time.

    The dotted line is the tolerance. Lower is better.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._bands: Points = ()
        self._times: Points = ()
        self._limit_db = TOP_DB
        self._lines: list[Line] = []

    def show(self, bands: Points, times: Points, *, limit_db: float) -> None:
        """Show depths [dB] by third octave (Hz, dB) and over time (s, dB), and the tolerance."""
        self._bands, self._times, self._limit_db = tuple(bands), tuple(times), limit_db
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
        width, height, ground = self.size.width, self.size.height, self.rich_style
        rows = height - 2
        if rows < 2 or not (self._bands or self._times):
            return [Line.blank(width, ground)] * height
        bands = list(self._bands)
        bar = 2 if len(bands) * 2 <= (width - AXIS_CELLS - GAP_CELLS) // 2 else 1
        left = min(max(len(bands) * bar, 18), max(width - AXIS_CELLS - GAP_CELLS - 8, 1))
        right = max(width - AXIS_CELLS - left - GAP_CELLS, 0)
        curve = self._curve(right, rows)
        lines = [self._heads(left, right)]
        step = 20 if rows >= 7 else 40
        scale = range(round(TOP_DB), round(BOTTOM_DB), -step)
        marks = {round((TOP_DB - mark) / (TOP_DB - BOTTOM_DB) * rows): f"{mark}" for mark in scale}
        dotted = min(rows - 1, max(0, int((TOP_DB - self._limit_db) / (TOP_DB - BOTTOM_DB) * rows)))
        for row in range(rows):
            segments = [Segment(f"{marks.get(row, ''):>{AXIS_CELLS - 1}} ", FAINT)]
            segments += self._bars(bands[: left // bar], bar, row, rows, left, dotted=row == dotted)
            segments.append(Segment(" " * GAP_CELLS))
            segments += _under(curve[row], dotted=row == dotted)
            lines.append(Line(segments).adjust_cell_length(width).apply_style(ground))
        lines.append(self._feet(bands, bar, left, right))
        return [line.adjust_cell_length(width).apply_style(ground) for line in lines]

    @staticmethod
    def _heads(left: int, right: int) -> Line:
        over = f"{'over time':<{right}.{right}}" if right else ""
        head = f"{' ' * AXIS_CELLS}{'by third octave':<{left}.{left}}{' ' * GAP_CELLS}{over}"
        return Line([Segment(head, FAINT)])

    def _feet(self, bands: Points, bar: int, left: int, right: int) -> Line:
        marks = [" "] * left
        for index, (hz, _) in enumerate(bands[: left // bar]):
            name = {31.5: "31", 100.0: "100", 1000.0: "1k", 10_000.0: "10k"}.get(round(hz, 1), "")
            for offset, sign in enumerate(name):
                if index * bar + offset < left:
                    marks[index * bar + offset] = sign
        last = f"{self._times[-1][0]:.0f} s" if self._times else ""
        clock = f"0{last:>{right - 1}}" if right > len(last) else ""
        return Line([Segment(f"{'dB':>{AXIS_CELLS - 1}} {''.join(marks)}{' ' * GAP_CELLS}{clock}", FAINT)])

    def _bars(self, bands: Points, bar: int, row: int, rows: int, left: int, *, dotted: bool) -> list[Segment]:
        segments: list[Segment] = []
        for _, depth in bands:
            share = (depth - BOTTOM_DB) / (TOP_DB - BOTTOM_DB) * rows - (rows - 1 - row)
            sign = _EIGHTHS[round(8 * min(max(share, 0.0), 1.0))]
            style = YELLOW if depth > self._limit_db else GREEN
            if sign == " " and dotted:
                sign, style = "┄", ACCENT
            segments.append(Segment(sign * bar, style))
        rest = left - len(bands) * bar
        segments.append(Segment(("┄" if dotted else " ") * rest, ACCENT if dotted else Style()))
        return segments

    def _curve(self, width: int, rows: int) -> list[str]:
        """Draw the depth over time."""
        seconds = self._times[-1][0] if self._times else 0.0
        if seconds <= 0.0 or width <= 0:
            return [" " * width] * rows
        columns = width * 2
        depths = [at(self._times, seconds * column / max(columns - 1, 1)) for column in range(columns)]
        return curve(depths, rows, low=BOTTOM_DB, high=TOP_DB)


def _under(line: str, *, dotted: bool) -> list[Segment]:
    """Lay the curve over the dotted line."""
    if not dotted:
        return [Segment(line, BLUE)]
    return [Segment("┄", ACCENT) if sign == " " else Segment(sign, BLUE) for sign in line]
