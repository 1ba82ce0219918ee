"""The curves under the tapers with numbers: strictly monotonic, continuous, with their inverse."""

from __future__ import annotations

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from profiles import schema
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


def make_curve(
    table: schema.LinearTaper | schema.OffsetTaper | schema.PointsTaper | schema.Power2Taper | schema.LogTaper
    | schema.PowerTaper,
) -> Curve:  # fmt: skip
    """Make the curve that a profile describes.

    Raises
    ------
    ProfileSyntaxError
        It is flat, not strictly monotonic, or has no codes.
    """
    if isinstance(table, schema.PointsTaper):
        return _points(table.points)
    low, high = table.raw
    if high <= low:
        raise ProfileSyntaxError(f"raw codes {low} to {high} are no range", hint="Write raw = [lowest, highest].")
    if isinstance(table, schema.OffsetTaper):
        return _sloping(
            Line(low, high, table.offset + table.step * low, table.offset + table.step * high), table.step != 0
        )
    if isinstance(table, schema.Power2Taper):
        if table.base <= 0 or table.per == 0:
            raise ProfileSyntaxError("base must be above 0 and per not 0", hint="value = base * 2^((raw - at) / per)")
        return Exponential(low, high, table.base * 2.0 ** ((low - table.at) / table.per), 2.0 ** (1.0 / table.per))
    first, last = table.value
    if isinstance(table, schema.LinearTaper):
        return _sloping(Line(low, high, first, last), first != last)
    if isinstance(table, schema.PowerTaper):
        return _sloping(Power(low, high, first, last - first, table.exponent), first != last and table.exponent > 0)
    if first <= 0 or last <= 0:
        raise ProfileSyntaxError("a log taper needs values above 0", hint="A pot that ends at 0 is linear or power.")
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
