"""Numbers on straight ways, as ``dsp.lane_numbers.Ways`` has them: gains, and sounds as the words the stages want."""

from __future__ import annotations

import math
from typing import Any

from dsp.kernels.compiled import kernel

FIRST_SECTION, SECTION_NUMBERS = 8, 5
"""Numbers of a sound: gain; threshold, slope, knee, ln(1 − attack pole), ln(1 − release pole), make-up, amount; then of
every section ln g, k, m0, m1, m2. ``dsp.lane_numbers`` makes them."""

COMPRESSOR_WORDS, SECTION_WORDS = 8, 6


@kernel(
    "i8[:,::1]", "i8", "i8", "i8", "i8", "i8", "f8[:,:,::1]", "i8[:,::1]", "f8[::1]", "f8[::1]", "f4[::1]", "f8[::1]"
)  # fmt: skip
def write_words(
    chosen: Any,
    first_knot: int,
    knots: int,
    sections: int,
    knot_step: int,
    word_step: int,
    ways: Any,
    spans: Any,
    now: Any,
    words: Any,
    singles: Any,
    doubles: Any,
) -> None:
    """Write the words of ``chosen`` ways (F, 2) at ``knots`` knots from ``first_knot`` on.

    ``chosen``: which way, and where its words begin in ``singles``, or in ``doubles`` where that has any room. They
    are ``word_step`` apart, those at the next knot ``knot_step``. ``ways`` and ``spans`` are those of
    ``dsp.lane_numbers.Ways``; ``now`` and ``words`` are room for the numbers and the words at one knot.
    """
    many = COMPRESSOR_WORDS + SECTION_WORDS * sections
    for f in range(chosen.shape[0]):
        way, at = chosen[f, 0], chosen[f, 1]
        first, last = spans[way, 0], spans[way, 1]
        for k in range(knots):
            knot = first_knot + k
            a, b, share = 1, 2, (knot - first) / max(last - first, 1)
            if knot >= last:
                a, b, share = 2, 2, 0.0
            elif knot < first:
                a, b, share = 0, 0, 0.0
            # What does not move keeps the words of the knot before.
            trims = moves = k == 0
            for j in range(FIRST_SECTION):
                number = ways[way, a, j] + (ways[way, b, j] - ways[way, a, j]) * share
                if j == 0:
                    trims = trims or number != now[j]
                else:
                    moves = moves or number != now[j]
                now[j] = number
            if moves:
                slope, knee = now[2], now[3]
                words[0] = now[1] - 0.5 * knee
                words[1] = slope
                words[2] = knee
                words[3] = slope / (2.0 * knee) if knee > 0.0 else 0.0
                words[4] = math.exp(now[4])
                words[5] = math.exp(now[5])
                words[6] = now[6]
                words[7] = now[7]
            for section in range(sections):
                begin = FIRST_SECTION + SECTION_NUMBERS * section
                moves = k == 0 or (section == 0 and trims)
                for j in range(begin, begin + SECTION_NUMBERS):
                    number = ways[way, a, j] + (ways[way, b, j] - ways[way, a, j]) * share
                    moves = moves or number != now[j]
                    now[j] = number
                if moves:
                    g, m0, m1, m2 = math.exp(now[begin]), now[begin + 2], now[begin + 3], now[begin + 4]
                    u1 = 1.0 / (1.0 + g * (g + now[begin + 1]))
                    u2 = g * u1
                    u3 = g * u2
                    gain = now[0] if section == 0 else 1.0
                    to = COMPRESSOR_WORDS + SECTION_WORDS * section
                    words[to] = -2.0 * (u2 * (g + now[begin + 1]))  # 2 u1 − 2 without cancelling
                    words[to + 1] = 2.0 * u2
                    words[to + 2] = 2.0 * u3
                    # y = m0 x + m1 v1 + m2 v2 with s2 = x − v, where v is what the stage has at hand.
                    words[to + 3] = gain * (m0 + m2)
                    words[to + 4] = gain * (m1 * u1 + m2 * u2)
                    words[to + 5] = gain * (m1 * u2 - m2 * (1.0 - u3))
            for word in range(many):
                to = at + k * knot_step + word * word_step
                if doubles.shape[0] > 0:
                    doubles[to] = words[word]
                else:
                    singles[to] = words[word]


@kernel("i8[:,::1]", "i8", "i8", "i8", "i8", "f8[:,:,:,::1]", "i8[:,::1]", "f4[::1]")
def write_gains(
    chosen: Any, first_knot: int, knots: int, knot_step: int, row_step: int, ways: Any, spans: Any, gains: Any
) -> None:
    """Write the rows of ``chosen`` ways (F, 3) at ``knots`` knots from ``first_knot`` on.

    ``chosen``: which way, where its rows begin in ``gains``, and how many of their columns are wanted. Rows are
    ``row_step`` apart, those at the next knot ``knot_step``. ``ways`` (S, 3, rows, columns).
    """
    for f in range(chosen.shape[0]):
        way, at = chosen[f, 0], chosen[f, 1]
        first, last = spans[way, 0], spans[way, 1]
        for k in range(knots):
            knot = first_knot + k
            a, b, share = 1, 2, (knot - first) / max(last - first, 1)
            if knot >= last:
                a, b, share = 2, 2, 0.0
            elif knot < first:
                a, b, share = 0, 0, 0.0
            for row in range(ways.shape[2]):
                for column in range(chosen[f, 2]):
                    here, there = ways[way, a, row, column], ways[way, b, row, column]
                    gains[at + k * knot_step + row * row_step + column] = here + (there - here) * share
