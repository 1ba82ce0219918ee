"""From the numbers of a sound, which may go straight from one value to another, to the words the stages want."""

from __future__ import annotations

import math
from typing import Any

from dsp.kernels.compiled import part

FIRST_SECTION, SECTION_NUMBERS = 8, 5
"""Numbers of a sound: gain; threshold, slope, knee, ln(1 − attack pole), ln(1 − release pole), make-up, amount; then of
every section ln g, k, m0, m1, m2. ``dsp.lane_numbers`` makes them."""


@part
def words_of(numbers: int) -> int:
    """How many words so many numbers make."""
    return 8 + 6 * ((numbers - FIRST_SECTION) // SECTION_NUMBERS)


@part
def differs(ways: Any, way: int, first: int, last: int) -> bool:
    """Whether any of these numbers moves on a way."""
    moves = False
    for j in range(first, last):
        moves = moves or ways[way, 0, j] != ways[way, 1, j] or ways[way, 1, j] != ways[way, 2, j]
    return moves


@part
def write_words(
    ways: Any,
    spans: Any,
    way: int,
    knot: int,
    sections: int,
    everything: bool,
    now: Any,
    words: Any,
    at: int,
    step: int,
) -> None:
    """Write what way ``way`` is at ``knot`` into ``words`` from ``at`` on, ``step`` apart.

    ``ways`` and ``spans`` are those of ``dsp.lane_numbers.Ways``, ``now`` is room for the numbers. Unless
    ``everything`` is wanted, what does not move on this way stays as it is written.
    """
    first, last = spans[way, 0], spans[way, 1]
    a, b, share = 1, 2, (knot - first) / max(last - first, 1)
    if knot >= last:
        a, b, share = 2, 2, 0.0
    elif knot < first:
        a, b, share = 0, 0, 0.0
    for j in range(FIRST_SECTION + SECTION_NUMBERS * sections):
        now[j] = ways[way, a, j] + (ways[way, b, j] - ways[way, a, j]) * share
    if everything or differs(ways, way, 1, FIRST_SECTION):
        slope, knee = now[2], now[3]
        words[at] = now[1] - 0.5 * knee
        words[at + step] = slope
        words[at + 2 * step] = knee
        words[at + 3 * step] = slope / (2.0 * knee) if knee > 0.0 else 0.0
        words[at + 4 * step] = math.exp(now[4])
        words[at + 5 * step] = math.exp(now[5])
        words[at + 6 * step] = now[6]
        words[at + 7 * step] = now[7]
    trims = differs(ways, way, 0, 1)
    for section in range(sections):
        j = FIRST_SECTION + SECTION_NUMBERS * section
        if everything or (section == 0 and trims) or differs(ways, way, j, j + SECTION_NUMBERS):
            g, k, m0, m1, m2 = math.exp(now[j]), now[j + 1], now[j + 2], now[j + 3], now[j + 4]
            u1 = 1.0 / (1.0 + g * (g + k))
            u2 = g * u1
            u3 = g * u2
            gain = now[0] if section == 0 else 1.0
            to = at + (8 + 6 * section) * step
            words[to] = -2.0 * g * (g + k) * u1  # 2 u1 − 2 without cancelling
            words[to + step] = 2.0 * u2
            words[to + 2 * step] = 2.0 * u3
            # y = m0 x + m1 v1 + m2 v2 with s2 = x − v, where v is what the stage has at hand.
            words[to + 3 * step] = gain * (m0 + m2)
            words[to + 4 * step] = gain * (m1 * u1 + m2 * u2)
            words[to + 5 * step] = gain * (m1 * u2 - m2 * (1.0 - u3))
