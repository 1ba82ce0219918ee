"""The curves under the tapers with numbers: strictly monotonic, continuous, with their inverse."""

from __future__ import annotations

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from profiles import taper_schema as schema
from profiles.errors import ProfileSyntaxError


@dataclass(frozen=True)
class Curve(ABC):
    """A strictly monotonic curve over raw codes ``low`` to ``high``, continuous so that pots can be drawn from it."""

    low: int
    high: int

    @abstractmethod
    def value(self, raw: float) -> float:
        """Value at a code."""

    @abstractmethod
    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""

    def values(self) -> list[float]:
        """Value of every code from the lowest to the highest."""
        return [self.value(raw) for raw in range(self.low, self.high + 1)]


@dataclass(frozen=True)
class Line(Curve):
    """A straight line from ``first`` at the lowest code to ``last`` at the highest."""

    first: float
    last: float

    def value(self, raw: float) -> float:
        """Value at a code."""
        return self.first + (self.last - self.first) * (raw - self.low) / (self.high - self.low)

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        return self.low + (self.high - self.low) * (value - self.first) / (self.last - self.first)

    def values(self) -> list[float]:
        """Value of every code, as :meth:`value` gives it."""
        first, reach, steps = self.first, self.last - self.first, self.high - self.low
        return [first + reach * step / steps for step in range(steps + 1)]


@dataclass(frozen=True)
class Points(Curve):
    """Straight lines between points ``(raw, value)``; values rise or fall throughout."""

    points: tuple[tuple[int, float], ...]

    def value(self, raw: float) -> float:
        """Value at a code."""
        index = min(max(bisect.bisect_right(self.points, raw, key=lambda point: point[0]), 1), len(self.points) - 1)
        (below, low), (above, high) = self.points[index - 1], self.points[index]
        return low + (high - low) * (raw - below) / (above - below)

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        sign = 1.0 if self.points[-1][1] > self.points[0][1] else -1.0
        index = bisect.bisect_right(self.points, sign * value, key=lambda point: sign * point[1])
        index = min(max(index, 1), len(self.points) - 1)
        (below, low), (above, high) = self.points[index - 1], self.points[index]
        return below + (above - below) * (value - low) / (high - low)

    def values(self) -> list[float]:
        """Value of every code, as :meth:`value` gives it."""
        found: list[float] = []
        for (below, low), (above, high) in itertools.pairwise(self.points):
            found += [low + (high - low) * (raw - below) / (above - below) for raw in range(below, above)]
        return [*found, self.value(self.high)]


@dataclass(frozen=True)
class Exponential(Curve):
    """value = start · ratio^(raw − low)."""

    start: float
    ratio: float

    def value(self, raw: float) -> float:
        """Value at a code."""
        return float(self.start * self.ratio ** (raw - self.low))

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        return self.low + math.log(value / self.start) / math.log(self.ratio)


@dataclass(frozen=True)
class Power(Curve):
    """value = start + reach · x^exponent, x being the travel from 0 to 1."""

    start: float
    reach: float
    exponent: float

    def value(self, raw: float) -> float:
        """Value at a code."""
        return float(self.start + self.reach * ((raw - self.low) / (self.high - self.low)) ** self.exponent)

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        travel = max(0.0, (value - self.start) / self.reach) ** (1.0 / self.exponent)
        return self.low + float(travel) * (self.high - self.low)


@dataclass(frozen=True)
class Gain(Curve):
    """value = 20 · log10(raw / unity)."""

    unity: float

    def value(self, raw: float) -> float:
        """Value at a code."""
        return 20.0 * math.log10(raw / self.unity)

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        return float(self.unity * 10.0 ** (value / 20.0))


@dataclass(frozen=True)
class Segments(Curve):
    """Curves one after the other, each beginning at the code where the one before it ends."""

    parts: tuple[Curve, ...]

    def value(self, raw: float) -> float:
        """Value at a code."""
        return next((part for part in self.parts if raw <= part.high), self.parts[-1]).value(raw)

    def raw(self, value: float) -> float:
        """Code of a value, with its fraction."""
        rising = self.parts[-1].value(self.high) > self.parts[0].value(self.low)
        for part in self.parts:
            if (value <= part.value(part.high)) == rising or value == part.value(part.high):
                return part.raw(value)
        return self.parts[-1].raw(value)


def make_curve(table: schema.NumberTable) -> Curve:
    """Make the curve that a profile describes.

    Raises
    ------
    ProfileSyntaxError
        It is flat, not strictly monotonic, or has no codes.
    """
    match table:
        case schema.PointsTaper():
            return _points(table.points)
        case schema.TableTaper():
            return _points([(table.first + place, value) for place, value in enumerate(table.values)])
        case schema.SegmentsTaper():
            return _segments([make_curve(part) for part in table.segments])
    low, high = table.raw
    if high <= low:
        raise ProfileSyntaxError(f"raw codes {low} to {high} are no range", hint="Write raw = [lowest, highest].")
    match table:
        case schema.OffsetTaper():
            first = table.offset + table.step * low
            return _sloping(Line(low, high, first, table.offset + table.step * high), table.step != 0)
        case schema.GainTaper():
            if table.unity <= 0 or low < 1:
                raise ProfileSyntaxError("a gain begins at raw 1 or above", hint="raw 0 is silence: write off = 0.")
            return Gain(low, high, table.unity)
        case schema.Power2Taper():
            if table.base <= 0 or table.per == 0:
                raise ProfileSyntaxError(
                    "base must be above 0 and per not 0", hint="value = base * 2^((raw - at) / per)"
                )
            return Exponential(low, high, table.base * 2.0 ** ((low - table.at) / table.per), 2.0 ** (1.0 / table.per))
    first, last = table.value
    match table:
        case schema.LinearTaper():
            return _sloping(Line(low, high, first, last), first != last)
        case schema.PowerTaper():
            return _sloping(Power(low, high, first, last - first, table.exponent), first != last and table.exponent > 0)
    if first * last <= 0:
        raise ProfileSyntaxError(
            "both ends of a log taper are above 0, or both below", hint="A pot that ends at 0 is linear or power."
        )
    return _sloping(Exponential(low, high, first, (last / first) ** (1.0 / (high - low))), first != last)


def _sloping(curve: Curve, slopes: bool) -> Curve:
    if not slopes:
        raise ProfileSyntaxError("the taper is flat", hint="Its first and last value must differ.")
    return curve


def _points(points: list[tuple[int, float]]) -> Points:
    if len(points) < 2:
        raise ProfileSyntaxError("a taper by points needs at least two", hint="Write points = [[raw, value], …].")
    rising = points[-1][1] > points[0][1]
    for (below, low), (above, high) in itertools.pairwise(points):
        if above <= below or low == high or (high > low) != rising or not math.isfinite(low + high):
            raise ProfileSyntaxError(
                f"the points [{below}, {low:g}] and [{above}, {high:g}] are not strictly monotonic",
                hint="Raw codes rise from point to point, and values all rise or all fall; −∞ goes under off.",
            )
    return Points(points[0][0], points[-1][0], tuple(points))


def _segments(parts: list[Curve]) -> Segments:
    if len(parts) < 2:
        raise ProfileSyntaxError("segments needs at least two curves", hint="Write segments = [{…}, {…}].")
    slopes = {part.value(part.high) > part.value(part.low) for part in parts}
    for before, after in itertools.pairwise(parts):
        step = abs(before.value(before.high) - after.value(after.low))
        near = abs(before.value(before.high) - before.value(before.high - 1))
        if before.high != after.low or step > near or len(slopes) > 1:
            raise ProfileSyntaxError(
                f"the segment that ends at {before.high} ({before.value(before.high):g}) does not go on at "
                f"{after.low} ({after.value(after.low):g})",
                hint="Each segment begins with the code and the value at which the one before it ends.",
            )
    return Segments(parts[0].low, parts[-1].high, tuple(parts))
