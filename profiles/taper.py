"""Tapers: between the whole number a device is told (raw) and the value an engineer means.

A taper is strictly monotonic. What has a code of its own (OFF, −∞ dB) stands apart from the curve.
"""

from __future__ import annotations

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from profiles import taper_schema as schema
from profiles.curve import Curve, make_curve
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.source import nearest

Value = float | bool | str
"""A control's value: a number in the control's unit, a switch position, or a word. −∞ dB is ``-math.inf``."""

_DECIBELS = ("dB", "dBu")
_MOST_LISTED = 1 << 14
"""Codes of the largest taper whose values are all kept, and all checked: 14 bits."""
_SAMPLED = 1 << 11
"""How many codes of a larger one are checked."""
_SLACK = 1e-9
"""How far outside its range a number may lie by rounding alone, relative to the range."""


class Taper(ABC):
    """One law between raw codes and values."""

    @property
    @abstractmethod
    def codes(self) -> Iterable[int]:
        """Every raw code that is ever sent, in order of value (OFF first)."""

    @property
    @abstractmethod
    def ends(self) -> tuple[int, ...]:
        """The codes at the ends of its travel: OFF, where there is one, the lowest, the highest; each once."""

    @abstractmethod
    def to_raw(self, value: Value) -> int:
        """Find the code whose value is nearest to ``value``.

        Raises
        ------
        ValueRangeError
            The control cannot be told this.
        """

    @abstractmethod
    def from_raw(self, raw: int) -> Value:
        """Tell what a received code means.

        Raises
        ------
        ValueRangeError
            The code means nothing.
        """

    @abstractmethod
    def step_at(self, value: Value) -> float:
        """Distance from the step nearest ``value`` to its farther neighbour, in the value's unit; 0 for words."""

    @abstractmethod
    def travel(self, value: Value) -> float:
        """Where ``value`` lies on the control's travel, from 0 to 1."""

    @property
    @abstractmethod
    def span(self) -> tuple[float, float]:
        """Lowest and highest finite value; 0 and 1 for switches and words."""

    @property
    def words(self) -> tuple[str, ...]:
        """Every position of a switch, as a person writes it; nothing for numbers."""
        return ()


@dataclass(frozen=True)
class NumberTaper(Taper):
    """A curve, an optional OFF code, and received codes that mean the same as another one."""

    curve: Curve
    off: int | None
    off_value: Value
    same: tuple[tuple[int, int], ...]
    detents: tuple[float, ...] = ()

    @cached_property
    def span(self) -> tuple[float, float]:
        """Lowest and highest finite value."""
        ends = (self.curve.value(self.curve.low), self.curve.value(self.curve.high))
        return min(ends), max(ends)

    @cached_property
    def _listed(self) -> list[float]:
        if self.curve.high - self.curve.low >= _MOST_LISTED:
            return []
        values = self.curve.values()
        return values if values[-1] > values[0] else values[::-1]

    @property
    def _values(self) -> list[float]:
        """The value of every code in rising order of value, once they are kept; else nothing."""
        kept: list[float] = self.__dict__.get("_listed", [])
        return kept

    def keep_values(self) -> None:
        """Keep the value of every code from now on: much to do once, and quicker at every use after that."""
        _ = self._listed

    @cached_property
    def _rising(self) -> bool:
        return self.curve.value(self.curve.high) > self.curve.value(self.curve.low)

    def doubtful_codes(self) -> list[int]:
        """List the codes that might not come back from their values: OFF, the ends, and any with its neighbour's value.

        Where values are kept a code is found by its value, so that only equal values can be mistaken. A taper of more
        codes than are kept is tried at some of them, spread evenly.
        """
        low, high, values = self.curve.low, self.curve.high, self._values
        if not values:
            stride = (high - low) / _SAMPLED
            return [*self.ends, *(low + round(place * stride) for place in range(_SAMPLED + 1))]
        twins = [at for at, (value, after) in enumerate(itertools.pairwise(values)) if not value < after]
        return [*self.ends, *(low + at + 1 if self._rising else high - at - 1 for at in twins)]

    def _nearest(self, number: float) -> int:
        """Find the code whose value is nearest; of two as near, the lower code."""
        low, high = self.curve.low, self.curve.high
        values = self._values
        if not values:
            below = min(max(math.floor(self.curve.raw(number)), low), high)
            near = range(max(below - 1, low), min(below + 2, high) + 1)
            return min(near, key=lambda raw: abs(self.curve.value(raw) - number))
        at = bisect.bisect_left(values, number)
        if at == len(values):
            at -= 1
        elif at:
            under, over = number - values[at - 1], values[at] - number
            if under < over or (under == over and self._rising):
                at -= 1
        return low + at if self._rising else high - at

    @property
    def codes(self) -> Iterable[int]:
        """Every raw code that is ever sent."""
        if self.off is not None:
            yield self.off
        yield from range(self.curve.low, self.curve.high + 1)

    @property
    def ends(self) -> tuple[int, ...]:
        """OFF, where there is one, the lowest and the highest code."""
        return (*((self.off,) if self.off is not None else ()), self.curve.low, self.curve.high)

    @property
    def silence(self) -> bool:
        """Whether OFF is −∞ dB, a level like the others, and not a word."""
        return self.off is not None and self.off_value == -math.inf

    def to_raw(self, value: Value) -> int:
        """Find the code whose value is nearest to ``value``.

        Between OFF and the lowest level the nearer in amplitude is taken: below half the lowest level, OFF.
        """
        if self.off is not None and value in ("off", self.off_value):
            return self.off
        number = self._number(value)
        low, high = self.span
        slack = _SLACK * max(abs(low), abs(high))
        if self.silence and number < low:
            return self.off if self.off is not None and number < low - 20.0 * math.log10(2.0) else self.to_raw(low)
        if not low - slack <= number <= high + slack:
            off = "off or " if self.off is not None else ""
            raise ValueRangeError(f"{number:g} is outside its range of {off}{low:g} to {high:g}")
        return self._nearest(min(max(number, low), high))

    def from_raw(self, raw: int) -> Value:
        """Tell what a received code means."""
        if self.same:
            raw = next((meant for received, meant in self.same if received == raw), raw)
        if raw == self.off:
            return self.off_value
        if not self.curve.low <= raw <= self.curve.high:
            raise ValueRangeError(f"code {raw} is outside {self.curve.low} to {self.curve.high}")
        values = self._values
        if not values:
            return self.curve.value(raw)
        return values[raw - self.curve.low] if self._rising else values[self.curve.high - raw]

    def step_at(self, value: Value) -> float:
        """Distance from the step nearest ``value`` to its farther neighbour; 0 at OFF."""
        raw = self.to_raw(value)
        if raw == self.off:
            return 0.0
        here = self.curve.value(raw)
        near = [side for side in (raw - 1, raw + 1) if self.curve.low <= side <= self.curve.high]
        return max((abs(self.curve.value(side) - here) for side in near), default=0.0)

    def travel(self, value: Value) -> float:
        """Where ``value`` lies on the travel from the first code (OFF included) to the last."""
        first = min(self.curve.low, self.curve.low if self.off is None else self.off)
        last = max(self.curve.high, self.curve.high if self.off is None else self.off)
        raw = float(self.to_raw(value))
        if raw != self.off:
            raw = self.curve.raw(min(max(self._number(value), self.span[0]), self.span[1]))
        return (raw - first) / (last - first)

    def _number(self, value: Value) -> float:
        if isinstance(value, bool | str) or math.isnan(value):
            hint = "Give a number." if self.off is None else "Give a number, or off."
            raise ValueRangeError(f"{value!r} is not a number", hint=hint)
        return float(value)


@dataclass(frozen=True)
class Position:
    """One position of a switch: what it means, the code to send, and the codes that mean it."""

    value: Value
    send: int
    codes: tuple[int, int]


@dataclass(frozen=True)
class SwitchTaper(Taper):
    """A switch: on and off, words, or a few numbers."""

    positions: tuple[Position, ...]

    @property
    def codes(self) -> Iterable[int]:
        """Every raw code that is ever sent."""
        return (position.send for position in self.positions)

    @property
    def ends(self) -> tuple[int, ...]:
        """The codes of the first and of the last position."""
        return self.positions[0].send, self.positions[-1].send

    @property
    def numbers(self) -> list[float]:
        """The values of a switch whose positions are numbers; empty for words."""
        values = [position.value for position in self.positions]
        return [value for value in values if not isinstance(value, bool | str)]

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest number; 0 and 1 for words."""
        return (min(self.numbers), max(self.numbers)) if self.numbers else (0.0, 1.0)

    @property
    def words(self) -> tuple[str, ...]:
        """Every position as a person writes it."""
        return tuple(_word(position.value) for position in self.positions)

    def _position(self, value: Value) -> Position:
        numbers = self.numbers
        if not isinstance(value, bool | str) and numbers:
            low, high = self.span
            if not low <= value <= high:
                raise ValueRangeError(f"{value:g} is outside its range of {low:g} to {high:g}")
            # Ties go to the lower position; min() keeps the first.
            return min(self.positions, key=lambda position: abs(float(position.value) - value))
        found = [
            position for position in self.positions if position.value == value and type(position.value) is type(value)
        ]
        if not found:
            raise ValueRangeError(f"{_word(value)!r} is none of its positions", hint=nearest(_word(value), self.words))
        return found[0]

    def to_raw(self, value: Value) -> int:
        """Find the code of a position; between numbers, of the nearest."""
        return self._position(value).send

    def from_raw(self, raw: int) -> Value:
        """Tell which position a received code means."""
        for position in self.positions:
            if position.codes[0] <= raw <= position.codes[1]:
                return position.value
        raise ValueRangeError(f"code {raw} is none of its positions")

    def step_at(self, value: Value) -> float:
        """Distance to the farther neighbouring number; 0 for words."""
        numbers = self.numbers
        if not numbers:
            return 0.0
        index = numbers.index(float(self._position(value).value))
        near = numbers[max(index - 1, 0) : index + 2]
        return max(abs(number - numbers[index]) for number in near)

    def travel(self, value: Value) -> float:
        """Position from the first (0) to the last (1)."""
        return self.positions.index(self._position(value)) / max(1, len(self.positions) - 1)


def make_taper(table: schema.TaperTable, unit: str) -> Taper:
    """Make the taper that a profile describes.

    Raises
    ------
    ProfileSyntaxError
        It is not strictly monotonic, or makes no sense.
    """
    if isinstance(table, schema.SwitchTaper):
        if table.on == table.off:
            raise ProfileSyntaxError("the codes of on and off are the same", hint="Give each its own code.")
        codes = ((False, table.off), (True, table.on))
        return SwitchTaper(tuple(Position(value, code, (code, code)) for value, code in codes))
    if isinstance(table, schema.ChoicesTaper):
        return _choices(table)
    curve = make_curve(table)
    off_value: Value = -math.inf if unit in _DECIBELS else "off"
    if table.off is not None and curve.low <= table.off <= curve.high:
        raise ProfileSyntaxError(
            f"the off code {table.off} lies inside the curve's codes {curve.low} to {curve.high}",
            hint="Begin the curve beside the off code.",
        )
    for _, meant in table.same:
        if not curve.low <= meant <= curve.high:
            raise ProfileSyntaxError(f"same: code {meant} is not on the curve", hint="Write [received, meant].")
    low, high = sorted((curve.value(curve.low), curve.value(curve.high)))
    for detent in table.detents:
        if not low <= detent <= high or abs(curve.value(round(curve.raw(detent))) - detent) > _SLACK * max(1, high):
            raise ProfileSyntaxError(f"detents: no code is exactly {detent:g}", hint="Correct the detent or the curve.")
    return NumberTaper(curve, table.off, off_value, tuple(table.same), tuple(table.detents))


def problems_of(taper: Taper) -> list[str]:
    """Check that codes come back from their own values; returns a sentence for each that does not."""
    codes: Iterable[int] = taper.codes
    if isinstance(taper, NumberTaper):
        taper.keep_values()
        codes = taper.doubtful_codes()
    found = []
    for raw in codes:
        back = taper.to_raw(taper.from_raw(raw))
        if back != raw:
            found.append(f"code {raw} means {_word(taper.from_raw(raw))}, which is sent as {back}")
    return found


def _choices(table: schema.ChoicesTaper) -> SwitchTaper:
    if len(table.choices) < 2:
        raise ProfileSyntaxError("a choice needs at least two positions", hint="List them under choices.")
    positions = tuple(Position(entry.value, entry.send, entry.codes or (entry.send,) * 2) for entry in table.choices)
    kinds = {type(position.value) for position in positions}
    if len(kinds) > 1:
        raise ProfileSyntaxError("positions mix numbers, words and switches", hint="Write all of them in one kind.")
    last: Position | None = None
    for position in sorted(positions, key=lambda position: position.codes):
        if not position.codes[0] <= position.send <= position.codes[1]:
            raise ProfileSyntaxError(f"{_word(position.value)} is sent as {position.send}, which does not mean it")
        if last is not None and position.codes[0] <= last.codes[1]:
            raise ProfileSyntaxError(f"the codes of {_word(last.value)} and {_word(position.value)} overlap")
        last = position
    numbers = [position.value for position in positions if not isinstance(position.value, bool | str)]
    if any(after <= before for before, after in itertools.pairwise(numbers)):
        raise ProfileSyntaxError("numbers are not in rising order", hint="List the positions from low to high.")
    return SwitchTaper(positions)


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else f"{value:g}"
