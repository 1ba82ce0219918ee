"""What a serial receiver hears when it listens at another rate than the sender's."""

from __future__ import annotations

import math


def misheard(byte: int, ratio: float) -> bytes:
    """Bytes that a receiver of ``ratio`` times the sender's rate makes of one byte on an idle line.

    One start bit, eight data bits with the lowest first, one stop bit (EIA-404); the receiver looks at the middle of
    each of its own bits, counted from the falling edge. A byte without its stop bit is delivered all the same, as
    most drivers do, and the next start bit is looked for once the line has been idle.
    """
    line = [0, *(byte >> bit & 1 for bit in range(8)), 1]
    edges = [time for time in range(len(line)) if line[time] == 0 and (time == 0 or line[time - 1] == 1)]
    heard = bytearray()
    free = 0.0
    for edge in edges:
        if edge < free:
            continue
        bits = [_level(line, edge + (bit + 1.5) / ratio) for bit in range(9)]
        heard.append(sum(level << bit for bit, level in enumerate(bits[:8])))
        free = edge + 9.5 / ratio
    return bytes(heard)


def _level(line: list[int], at: float) -> int:
    """Level of the line at a time in the sender's bits; idle is 1."""
    index = math.floor(at)
    return line[index] if index < len(line) else 1
