"""One row of small meters, and the row that says what runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip as Line
from textual.widget import Widget
from textual.widgets import Static

from controller.events import Progress
from controller.tui.console_view import METER_BOTTOM_DBFS, RETURNS
from controller.tui.palette import DARK, FAINT, GREEN, RED, YELLOW
from controller.tui.pane import clock

_EIGHTHS = "▁▂▃▄▅▆▇█"
_BAR = 20


class LevelsView(Widget):
    """A meter of one cell for every strip, and the mix's return."""

    DEFAULT_CSS = "LevelsView { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._names: tuple[str, ...] = ()
        self._levels: Mapping[str, float] = {}

    def show(self, names: tuple[str, ...], levels_dbfs: Mapping[str, float]) -> None:
        """Show levels [dBFS] by strip name."""
        self._names, self._levels = names, dict(levels_dbfs)
        self.refresh()

    def render_line(self, y: int) -> Line:
        """Draw the row."""
        segments: list[Segment] = [Segment(" ")]
        for name in (*self._names, *RETURNS):
            level = self._levels.get(name, -math.inf)
            label = {"in 1": "L", "in 2": "R"}.get(name, name[:8])
            segments.append(Segment(f"{label} ", FAINT))
            if level <= METER_BOTTOM_DBFS:
                segments.append(Segment("▁ ", DARK))
                continue
            share = min((level - METER_BOTTOM_DBFS) / -METER_BOTTOM_DBFS, 1.0)
            colour = RED if level > -3.0 else YELLOW if level > -12.0 else GREEN
            segments.append(Segment(f"{_EIGHTHS[round(share * 7)]} ", colour))
        return Line(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)


class JobBar(Static):
    """What runs, how far it is and how long it takes; else the last thing that was said."""

    def rest(self, text: str) -> None:
        """Show what was said last."""
        self.update(Text(f" {text}", "#84878a", no_wrap=True, overflow="ellipsis"))

    def run(self, title: str, detail: str, progress: Progress | None, *, stopping: bool) -> None:
        """Show a running job."""
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f" {title} ", "bold #141618 on #e8a33d")
        if stopping:
            line.append(" stopping; what was recorded is kept")
        elif progress is None:
            line.append(f" {detail}")
        else:
            filled = round(_BAR * min(max(progress.done, 0.0), 1.0))
            line.append(" " + "█" * filled, "#e8a33d")
            line.append("░" * (_BAR - filled), "#4a4e52")
            line.append(f" {progress.done:4.0%}")
            if progress.seconds_left is not None:
                line.append(f" · {clock(progress.seconds_left)} left")
            line.append(f" · {progress.detail or detail}")
            line.append(" · Esc stops", "#84878a")
        self.update(line)
