"""Tapers: between the whole number a device is told (raw) and the value an engineer means.

A taper is strictly monotonic. What has a code of its own (OFF, −∞ dB) stands apart from the curve.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from profiles import schema
from profiles.curve import Curve, make_curve
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.source import nearest

Value = float | bool | str
"""A control's value: a number in the control's unit, a switch position, or a word. −∞ dB is ``-math.inf``."""

_DECIBELS = ("dB", "dBu")
_SLACK = 1e-9
"""How far outside its range a number may lie by rounding alone, relative to the range."""


class Taper(ABC):
    """One law between raw codes and values."""

    @property
    @abstractmethod
    def codes(self) -> Iterable[int]:
        """Every raw code that is ever sent, in order of value (OFF first)."""

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

    @cached_property
    def span(self) -> tuple[float, float]:
        """Lowest and highest finite value."""
        ends = (self.curve.value(self.curve.low), self.curve.value(self.curve.high))
        return min(ends), max(ends)

    @property
    def codes(self) -> Iterable[int]:
        """Every raw code that is ever sent."""
        if self.off is not None:
            yield self.off
        yield from range(self.curve.low, self.curve.high + 1)

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
        number = min(max(number, low), high)
        below = min(max(math.floor(self.curve.raw(number)), self.curve.low), self.curve.high)
        near = range(max(below - 1, self.curve.low), min(below + 2, self.curve.high) + 1)
        return min(near, key=lambda raw: abs(self.curve.value(raw) - number))

    def from_raw(self, raw: int) -> Value:
        """Tell what a received code means."""
        raw = next((meant for received, meant in self.same if received == raw), raw)
        if raw == self.off:
            return self.off_value
        if not self.curve.low <= raw <= self.curve.high:
            raise ValueRangeError(f"code {raw} is outside {self.curve.low} to {self.curve.high}")
        return self.curve.value(raw)

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
    return NumberTaper(curve, table.off, off_value, tuple(table.same))


def problems_of(taper: Taper) -> list[str]:
    """Check that every code comes back from its own value; returns a sentence for each that does not."""
    found = []
    for raw in taper.codes:
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
