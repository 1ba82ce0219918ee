"""A list with a cursor, headings and columns, drawn line by line: hundreds of rows cost what is in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip as Line

from controller.tui.palette import ACCENT, CURSOR, CURSOR_FOCUSED, FAINT, INK

Cell = str | tuple[str, Style]


@dataclass(frozen=True)
class Row:
    """One row: ``key`` names what it shows.

    The cursor passes over a heading; one of a single cell is written across, one of several stands over the columns.
    """

    key: str
    cells: tuple[Cell, ...]
    heading: bool = False

    @property
    def across(self) -> bool:
        """Whether it is written over the whole width."""
        return self.heading and len(self.cells) == 1


@dataclass(frozen=True)
class Column:
    """How a column is laid out; the one that ``grows`` takes or gives what the width has over or lacks.

    It is never narrower than ``least``: what is put into it later does not move the others.
    """

    align: Literal["left", "right"] = "left"
    grows: bool = False
    least: int = 0


class RowsView(ScrollView, can_focus=True):
    """Rows in columns, or ``empty`` where there are none. The last cell that says anything has the room of the rest."""

    DEFAULT_CSS = "RowsView { scrollbar-size-vertical: 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Row up", id="list.up", show=False),
        Binding("down", "move(1)", "Row down", id="list.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="list.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="list.page_down", show=False),
        Binding("home", "edge(-1)", "First row", id="list.first", show=False),
        Binding("end", "edge(1)", "Last row", id="list.last", show=False),
    ]

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, view: RowsView, key: str) -> None:
            super().__init__()
            self.view = view
            self.key = key

        @property
        def control(self) -> RowsView:
            """The list that was moved in."""
            return self.view

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._widths: list[int] = []
        self._index: dict[str, int] = {}
        self.empty = ""
        self.cursor = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is listed."""
        return self._rows

    @property
    def key(self) -> str:
        """What the cursor stands on; empty where there is nothing."""
        return self._rows[self.cursor].key if self._rows and not self._rows[self.cursor].heading else ""

    def show(self, rows: Sequence[Row], *, empty: str = "") -> None:
        """List these rows; the cursor stays on what it stood on, or near it."""
        key = self.key
        self._rows, self.empty = tuple(rows), empty
        bodies, end = [row for row in self._rows if not row.across], len(self._columns) - 1
        self._widths = [
            max((cell_len(_text(row.cells[i])) for row in bodies if i < self._last(row) or i == end), default=0)
            for i in range(end + 1)
        ]
        self._widths = [max(wide, column.least) for wide, column in zip(self._widths, self._columns, strict=True)]
        self._index = {row.key: index for index, row in enumerate(self._rows)}
        keys = [row.key for row in self._rows]
        wanted = keys.index(key) if key and key in keys else min(self.cursor, max(len(keys) - 1, 0))
        self.cursor = self._landing(wanted, 1)
        self.virtual_size = Size(self.size.width, len(self._rows))
        self._keep_in_sight()
        self.refresh()

    def put(self, row: Row) -> None:
        """Draw one row anew, where one of its key is listed; columns stay as wide as they are."""
        index = self._index.get(row.key)
        if index is None:
            return
        self._rows = (*self._rows[:index], row, *self._rows[index + 1 :])
        self.refresh(Region(0, index - round(self.scroll_y), self.size.width, 1))

    def stand_on(self, key: str) -> None:
        """Put the cursor on the row of ``key``, where there is one."""
        index = self._index.get(key)
        if index is not None and not self._rows[index].heading:
            self._stand(index)

    def _landing(self, index: int, direction: int) -> int:
        """Find the nearest row that is no heading, first in ``direction``."""
        for way in (direction, -direction):
            at = index
            while 0 <= at < len(self._rows):
                if not self._rows[at].heading:
                    return at
                at += way
        return 0

    def _stand(self, index: int, direction: int = 1) -> None:
        if not self._rows:
            return
        self.cursor = self._landing(min(max(index, 0), len(self._rows) - 1), direction)
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved(self, self.key))

    def _keep_in_sight(self) -> None:
        top, height = round(self.scroll_y), max(self.size.height, 1)
        first = self.cursor - 1 if self.cursor and self._rows[self.cursor - 1].heading else self.cursor
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)

    def action_move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self._stand(self.cursor + rows, rows)

    def action_page(self, direction: int) -> None:
        """Move the cursor by a page."""
        self._stand(self.cursor + direction * max(self.size.height - 1, 1), direction)

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or the last row."""
        self._stand(0 if direction < 0 else len(self._rows) - 1, -direction)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked row."""
        index = event.y + round(self.scroll_y)
        if index < len(self._rows) and not self._rows[index].heading:
            self._stand(index)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self._rows))
        self._keep_in_sight()

    def render_line(self, y: int) -> Line:
        """Draw one row."""
        width, ground = self.size.width, self.rich_style
        if not self._rows:
            lines = self.empty.splitlines()
            text = lines[y - 1] if 1 <= y <= len(lines) else ""
            return Line([Segment(f"  {text}", FAINT)]).adjust_cell_length(width).apply_style(ground)
        index = y + round(self.scroll_y)
        if index >= len(self._rows):
            return Line.blank(width, ground)
        row = self._rows[index]
        if row.across:
            text = f"── {_text(row.cells[0])} "
            return Line([Segment(set_cell_size(text + "─" * width, width), ACCENT)]).apply_style(ground)
        here = index == self.cursor
        under = (CURSOR_FOCUSED if self.has_focus else CURSOR) if here else Style()
        segments = [Segment("▌" if here else " ", under + ACCENT)]
        widths = self._laid_out(width)
        last = self._last(row)
        widths[last:] = [sum(widths[last:]) + 2 * (len(widths) - 1 - last)]
        for cell, column, wide in zip(row.cells, self._columns, widths, strict=False):
            text, style = cell if isinstance(cell, tuple) else (cell, FAINT if row.heading else INK)
            if column.align == "right":
                text = text.rjust(wide)
            if cell_len(text) > wide > 0:
                text = set_cell_size(text, wide - 1) + "…"
            segments += [Segment(set_cell_size(text, wide), under + style), Segment("  ", under)]
        return Line(segments).adjust_cell_length(width, under).apply_style(ground)

    def _last(self, row: Row) -> int:
        """Find the cell that has the room of all that follow: the last that says anything, if aligned left."""
        end = len(self._columns) - 1
        last = max((i for i, cell in enumerate(row.cells) if _text(cell)), default=end)
        return last if self._columns[last].align == "left" else end

    def _laid_out(self, width: int) -> list[int]:
        widths = list(self._widths)
        over = width - 1 - sum(widths) - 2 * len(widths)
        for index, column in enumerate(self._columns):
            if column.grows:
                widths[index] = max(widths[index] + over, 4)
        return widths


def _text(cell: Cell) -> str:
    return cell[0] if isinstance(cell, tuple) else cell
