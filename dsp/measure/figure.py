"""A measured number with its error bar, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number.

    ``value`` and ``sd`` (one standard deviation) share the unit that the figure's name ends in. A figure that the
    measurement could not see has ``value`` NaN and says why in ``note``: "not observable" is an answer, a made-up
    number is none. A figure may carry a note as well when it has a value, for instance what biases it.
    """

    value: float
    sd: float
    note: str = ""

    @property
    def observable(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)


def unseen(why: str) -> Figure:
    """Return a figure without a number: ``why`` begins with what hindered the measurement."""
    return Figure(math.nan, math.nan, f"not observable: {why}")
