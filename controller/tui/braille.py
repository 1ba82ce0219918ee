"""Curves in braille: two dots a cell across, four down."""

from __future__ import annotations

import math
from collections.abc import Sequence

DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Braille dots by column, from the lowest up (Unicode 16.0, chapter 21.1)."""
Points = Sequence[tuple[float, float]]


def curve(values: Sequence[float], rows: int, *, low: float, high: float) -> list[str]:
    """Draw ``values``, one a dot column, between ``low`` (bottom) and ``high``, as ``rows`` lines of text.

    Neighbouring values are joined; one that is not finite leaves a gap. Empty cells are blanks.
    """
    cells = [[0] * ((len(values) + 1) // 2) for _ in range(rows)]
    before = -1
    for column, value in enumerate(values):
        if not math.isfinite(value):
            before = -1
            continue
        share = (min(max(value, low), high) - low) / (high - low)
        height = min(int(share * rows * 4), rows * 4 - 1)
        first, last = (height, height) if before < 0 else (min(before, height), max(before, height))
        for dot in range(first, last + 1):
            cells[rows - 1 - dot // 4][column // 2] |= DOTS[column % 2][dot % 4]
        before = height
    return ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in cells]


def at(points: Points, x: float) -> float:
    """Interpolate linearly between points of ascending x; the ends go on level."""
    before = points[0]
    for point in points:
        if point[0] >= x:
            span = point[0] - before[0]
            return point[1] if span <= 0 else before[1] + (point[1] - before[1]) * (x - before[0]) / span
        before = point
    return before[1]
