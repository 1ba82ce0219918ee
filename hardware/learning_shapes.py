"""What the codes heard from one control say about it: a switch, a few positions, or a continuous range."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from profiles.writing import TomlValue

Shape = Literal["continuous", "positions", "switch"]
MessageKind = Literal["cc", "cc14", "nrpn", "rpn", "note", "pitch_bend", "program", "sysex"]

_MOST_POSITIONS = 12
_POSITION_PART = 24
"""Positions lie at least this part of their whole range apart."""
_JITTER_PART = 64
"""What moves by less than this part of its full range was not moved by a hand: a worn pot, a noisy converter."""
_REPEATS = 8


@dataclass(frozen=True)
class Proposal:
    """One control as it was heard.

    ``name`` is what it may be called until somebody knows better; ``message`` says in words what it sends. ``low``,
    ``high`` and ``steps`` are the lowest and highest code heard and how many different ones. ``evidence`` is what the
    proposal rests on; ``control`` its keys as a ``[[control]]`` of a profile, all but the name. ``channel`` counts
    from 1; None for system exclusive.
    """

    name: str
    kind: MessageKind
    message: str
    channel: int | None
    times: int
    low: int
    high: int
    steps: int
    shape: Shape
    evidence: tuple[str, ...]
    control: Mapping[str, TomlValue]


@dataclass(frozen=True)
class Read:
    """What a series of codes looks like: its shape and the sentences that say why; no shape with ``fault``."""

    shape: Shape
    evidence: tuple[str, ...]
    fault: str = ""


def read_codes(codes: Sequence[int], full: int) -> Read:
    """Tell what a control is from its codes in the order heard, of 0 to ``full``."""
    seen = sorted(set(codes))
    low, high = seen[0], seen[-1]
    if len(seen) == 1:
        return Read("continuous", (), f"only code {low} was heard: a trigger, or it was not moved")
    if (high - low) * _JITTER_PART < full and seen != [0, 1]:
        return Read("continuous", (), f"it moved between {low} and {high} only, which is jitter")
    repeats = sum(before == after for before, after in itertools.pairwise(codes))
    if len(codes) >= _REPEATS and len(seen) <= _MOST_POSITIONS and repeats * 2 > len(codes):
        return Read("continuous", (), "it repeats the same codes: an endless encoder, whose position nobody can tell")
    if len(seen) == 2:
        return Read("switch", (f"two codes: {low} and {high}",))
    gaps = [after - before for before, after in itertools.pairwise(seen)]
    again = Counter(codes)
    if (
        len(seen) <= _MOST_POSITIONS
        and min(gaps) * _POSITION_PART >= high - low
        and min(gaps) > 1
        and all(again[code] >= 2 for code in seen[1:-1])
    ):
        return Read("positions", (f"{len(seen)} codes, met again and again: {', '.join(map(str, seen))}",))
    step = math.gcd(*gaps)
    steps = f"{len(seen)} codes from {low} to {high}" + (f", all in steps of {step}" if step > 1 else "")
    ends = () if low == 0 and high == full else (f"full range would be 0 to {full}; was it moved from end to end?",)
    return Read("continuous", (steps, *ends))


def scale_keys(shape: Shape, codes: Sequence[int]) -> dict[str, TomlValue]:
    """Write unit and taper of a control whose codes are such; values are the codes themselves."""
    seen = sorted(set(codes))
    if shape == "switch":
        return {"unit": "bool", "role": "raw", "taper": {"kind": "switch", "on": seen[-1], "off": seen[0]}}
    if shape == "positions":
        choices = [{"value": code, "send": code} for code in seen]
        return {"unit": "raw", "role": "raw", "taper": {"kind": "choices", "choices": choices}}
    return {"unit": "raw", "role": "raw", "taper": {"kind": "offset", "raw": [seen[0], seen[-1]]}}


def justified(values: Sequence[int]) -> tuple[str, int, list[int]]:
    """Find where values stand in 14 bits: the justification, its highest code, and the codes.

    Values that leave their lowest bits at 0 are left-justified; values that need no more than the LSB and one bit are
    right-justified.
    """
    union = 0
    for value in values:
        union |= value
    if union <= 0xFF:
        bits = max(7, union.bit_length())
        return f"right{bits}", (1 << bits) - 1, list(values)
    unused = min(7, (union & -union).bit_length() - 1)
    return f"left{14 - unused}", (1 << 14 - unused) - 1, [value >> unused for value in values]
