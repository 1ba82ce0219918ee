"""Drawn positions: where a knob or a switch is and where it shall be, in one row or as a dial."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip as Line
from textual.widget import Widget

from controller.hand_scale import (
    hand_value,
    is_fader,
    is_switch,
    marks_of,
    place_words,
    positions,
    tolerance_text,
    travel,
    way,
)
from controller.tui.palette import ACCENT, BLUE, BRIGHT, DARK, FAINT, INK
from controller.tui.rows_view import Cell
from hardware.recall import HandStep

TRAVEL_CELLS = 15
NOW, TARGET = "○", "●"
_DIAL_ROWS, _DIAL_CELLS = 9, 18
_DOT_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_SHOWN_CHOICES = 3
_PLAIN_DEG = (-150.0, 150.0)


def drawn(step: HandStep) -> Cell:
    """Draw a step in one row: a pot's travel from end to end (○ now, ● target), or a switch's positions."""
    if is_switch(step.control):
        return _positions(step), INK
    end = TRAVEL_CELLS - 1
    cells = ["─"] * TRAVEL_CELLS
    cells[0], cells[-1] = "╶", "╴"
    target = round(step.control.travel(step.to) * end)
    now = travel(step.control, step.from_.value) if step.from_ is not None and step.from_.how != "assumed" else None
    if now is not None:
        start = round(now * end)
        towards = "›" if target > start else "‹"
        for cell in range(min(start, target) + 1, max(start, target)):
            cells[cell] = towards
        cells[start] = NOW
    cells[target] = TARGET
    return "".join(cells), BLUE


def _positions(step: HandStep) -> str:
    """Write a switch's positions, the wanted one in brackets."""
    wanted = hand_value(step.control, step.to)
    words = [hand_value(step.control, choice) for choice in positions(step.control)]
    if wanted not in words or len(words) > _SHOWN_CHOICES:
        return f"[{wanted}]"
    return " ".join(f"[{word}]" if word == wanted else word for word in words)


class HandView(Widget):
    """The chosen hand step at large: a dial with its scale, or the positions of a switch, and what to do in words."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._lines: list[list[Segment]] = []

    def show(self, step: HandStep | None) -> None:
        """Draw a step; nothing where None."""
        self._lines = [] if step is None else list(hand_lines(step))
        self.refresh()

    def render_line(self, y: int) -> Line:
        """Draw one row."""
        segments = self._lines[y] if y < len(self._lines) else []
        return Line(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)


def hand_lines(step: HandStep) -> Iterator[list[Segment]]:
    """Draw a step line by line."""
    yield [Segment(step.address, ACCENT)]
    yield []
    drawing = _switch_lines if is_switch(step.control) else _fader_lines if is_fader(step.control) else _dial_lines
    yield from drawing(step)
    yield []
    control = step.control
    now = "?" if step.from_ is None else hand_value(control, step.from_.value)
    sure = "" if step.from_ is None or step.from_.how != "assumed" else " (assumed)"
    yield [Segment(f"{NOW} now     {now}{sure}", FAINT)]
    yield [Segment(f"{TARGET} target  {hand_value(control, step.to)}", BRIGHT)]
    if is_switch(control):
        return
    for words in (way(step) or "from wherever it is", place_words(control, step.to)):
        yield [Segment(f"  {words}", BLUE)]
    yield [Segment(f"  {tolerance_text(control, step.to)}", FAINT)]


def _switch_lines(step: HandStep) -> Iterator[list[Segment]]:
    present = step.from_.value if step.from_ is not None and step.from_.how != "assumed" else None
    for choice in positions(step.control):
        sign = TARGET if choice == step.to else NOW if choice == present else " "
        style = BRIGHT if choice == step.to else FAINT
        yield [Segment(f"   [{sign}] {hand_value(step.control, choice)}", style)]


def _fader_lines(step: HandStep) -> Iterator[list[Segment]]:
    """Draw a fader's travel from top to bottom with its marks."""
    control, end = step.control, _DIAL_ROWS - 1
    now = travel(control, step.from_.value) if step.from_ is not None and step.from_.how != "assumed" else None
    marks = {round((1 - control.travel(value)) * end): text for value, text in marks_of(control)}
    for row in range(_DIAL_ROWS):
        sign, style = "│", DARK
        if now is not None and round((1 - now) * end) == row:
            sign, style = NOW, FAINT
        if round((1 - control.travel(step.to)) * end) == row:
            sign, style = TARGET, ACCENT
        yield [Segment(f"{marks.get(row, ''):>10} ", DARK), Segment(sign, style)]


def _dial_lines(step: HandStep) -> Iterator[list[Segment]]:
    """Draw a knob seen from above: dots for its scale, a dotted line where it is, a full one where it shall go."""
    control = step.control
    layers: dict[str, set[tuple[int, int]]] = {"scale": set(), "now": set(), "target": set()}
    hand = control.hand
    start, end = (hand.start_deg, hand.end_deg) if hand is not None else _PLAIN_DEG
    for angle in range(round(min(start, end)), round(max(start, end)) + 1, 10):
        layers["scale"].add(_dot(angle, 1.0))
    for value, _ in hand.marks if hand is not None else ():
        layers["scale"].add(_dot(control.angle_deg(value), 0.9))
    if step.from_ is not None and travel(control, step.from_.value) is not None:
        layers["now"] |= {_dot(control.angle_deg(step.from_.value), reach / 10) for reach in range(2, 9, 2)}
    layers["target"] |= {_dot(control.angle_deg(step.to), reach / 20) for reach in range(17)}
    styles = {"scale": DARK, "now": FAINT, "target": ACCENT}
    for row in range(_DIAL_ROWS):
        yield [Segment("  "), *(_cell(row, cell, layers, styles) for cell in range(_DIAL_CELLS))]


def _dot(angle_deg: float, reach: float) -> tuple[int, int]:
    """Place a point on the dial, in dots from its top left; 0° is straight up, ``reach`` 1 is the rim."""
    turn = math.radians(angle_deg)
    radius = reach * (_DIAL_ROWS * 4 - 2) / 2
    return (
        round(_DIAL_CELLS - 0.5 + math.sin(turn) * radius),
        round(_DIAL_ROWS * 2 - 0.5 - math.cos(turn) * radius),
    )


def _cell(row: int, cell: int, layers: dict[str, set[tuple[int, int]]], styles: dict[str, Style]) -> Segment:
    """Put the dots of all layers that fall into one cell into one character, in the colour of the topmost."""
    bits, style = 0, DARK
    for name, dots in layers.items():
        here = sum(_DOT_BITS[y][x] for y in range(4) for x in range(2) if (cell * 2 + x, row * 4 + y) in dots)
        if here:
            bits, style = bits | here, styles[name]
    return Segment(chr(0x2800 + bits) if bits else " ", style)
