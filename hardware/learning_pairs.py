"""Controllers that always come together: the MSB and the LSB of one 14-bit control, whatever their numbers."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOGETHER_S = 0.1
"""The halves of one value follow each other at once: 1 ms on a DIN wire, some more through drivers and boxes."""
_LEAST_TIMES = 4
_SHARE = 0.95
_MOST_VALUES = 8192
_MOST_COMPANIONS = 256
_STANDARD_DISTANCE = 32
"""An LSB controller's number is its MSB's plus 32 (MIDI 1.0 Detailed Specification), where the maker keeps to it."""


@dataclass(frozen=True)
class Pair:
    """Two controllers of one control, their 14-bit values in the order heard, and which half comes first."""

    msb: int
    lsb: int
    values: tuple[int, ...]
    times: int
    lsb_first: bool


@dataclass
class _Meeting:
    """How often one controller came right after another, the values, and the time between them [s]."""

    times: int = 0
    wait_s: float = 0.0
    values: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_MOST_VALUES))


class Companions:
    """Watches the control changes of one channel for controllers that always come together."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._recent: deque[tuple[int, int, float]] = deque(maxlen=4)
        self._meetings: dict[tuple[int, int], _Meeting] = {}

    def add(self, number: int, value: int, at_s: float) -> None:
        """Take one control change."""
        self._counts[number] += 1
        for back, (before, its_value, its_at_s) in enumerate(reversed(self._recent)):
            if before == number or at_s - its_at_s > _TOGETHER_S:
                break
            # Other controls may come between the halves of the usual numbers; free numbers must be neighbours.
            if back == 0 or _is_standard(before, number):
                self._meet(before, number, at_s - its_at_s, (its_value, value))
        self._recent.append((number, value, at_s))

    def pairs(self) -> Iterator[Pair]:
        """Tell the pairs, those of the usual numbers first."""
        found: dict[frozenset[int], tuple[int, int]] = {}
        for first, second in self._meetings:
            if self._always(first, second):
                other = found.get(frozenset((first, second)))
                if other is None or self._sooner((first, second), other):
                    found[frozenset((first, second))] = (first, second)
        candidates = sorted(found.values(), key=lambda pair: not _is_standard(*pair))
        taken: set[int] = set()
        for first, second in candidates:
            standard = _is_standard(first, second)
            rivals = [pair for pair in candidates if pair != (first, second) and {*pair} & {first, second}]
            if taken & {first, second} or (rivals and not standard):
                continue
            lsb_first = standard and first > second
            msb, lsb = (second, first) if lsb_first else (first, second)
            met = self._meetings[first, second]
            halves = [(late, early) if lsb_first else (early, late) for early, late in met.values]
            if _is_one_value(halves):
                taken |= {first, second}
                yield Pair(msb, lsb, tuple(high << 7 | low for high, low in halves), met.times, lsb_first)

    def _meet(self, first: int, second: int, wait_s: float, values: tuple[int, int]) -> None:
        if (first, second) not in self._meetings and len(self._meetings) >= _MOST_COMPANIONS:
            return
        met = self._meetings.setdefault((first, second), _Meeting())
        met.times += 1
        met.wait_s += wait_s
        met.values.append(values)

    def _always(self, first: int, second: int) -> bool:
        times = self._meetings[first, second].times
        return times >= _LEAST_TIMES and times >= _SHARE * max(self._counts[first], self._counts[second])

    def _sooner(self, pair: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether the second of ``pair`` follows its first sooner than the other way round."""
        here, there = self._meetings[pair], self._meetings[other]
        waits = [round(met.wait_s / met.times, 3) for met in (here, there)]
        return (waits[0], -here.times) < (waits[1], -there.times)


def _is_standard(one: int, other: int) -> bool:
    return abs(one - other) == _STANDARD_DISTANCE and min(one, other) < _STANDARD_DISTANCE


def _is_one_value(halves: list[tuple[int, int]]) -> bool:
    """Whether two series are halves of one: when the upper takes one step, the lower springs the other way, or stays.

    Two controls that are only moved together (a stereo link, a joystick) go their own ways.
    """
    if all(high == low for high, low in halves):
        return False
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(halves) if abs(b[0] - a[0]) == 1]
    carried = sum(high * low <= 0 for high, low in steps)
    return len(steps) < _LEAST_TIMES or carried >= 0.6 * len(steps)
