"""The one seam of every effect: settings in engineering units on one side, what runs them on blocks on the other.

An effect is a frozen dataclass derived from ``Settings``. Its fields are declared with ``number``, ``choice`` and
``switch``, so that ranges, units and the way to go from one value to another stand in one place, for the mix file, the
automation and the screens. ``Settings.start`` makes the running ``Processor``; the same code runs offline and live.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError

__all__ = ["STEP_FRAMES", "Block", "Glide", "Parameter", "Processor", "Settings", "choice", "number", "switch"]

Block = NDArray[np.float32]
"""Audio (frames, channels), C-ordered and writable, full scale 1.0."""

STEP_FRAMES = 16
"""Frames between two knots of anything that moves."""


@dataclass(frozen=True)
class Parameter:
    """What one field of an effect may be.

    ``low`` to ``high`` in ``unit`` for a number, ``names`` for a choice; both empty for a switch. Between two values a
    number goes straight, on a ``log`` scale where ratios are what is heard (frequencies, times, ratios).
    """

    name: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    names: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether values between two values exist."""
        return isinstance(self.default, float) and not self.names

    def between(self, a: Any, b: Any, share: float) -> Any:
        """Return the value ``share`` (0..1) of the way from ``a`` to ``b``; a choice or switch turns at the end."""
        if share >= 1.0:
            return b
        if share <= 0.0 or not self.is_number or a == b:
            return a
        if self.scale == "log" and a > 0.0 and b > 0.0 and math.isfinite(a) and math.isfinite(b):
            return min(max(a * (b / a) ** share, self.low), self.high)
        if not (math.isfinite(a) and math.isfinite(b)):
            return a
        return a + (b - a) * share


def number(
    default: float, low: float, high: float, unit: str = "", *, scale: Literal["linear", "log"] = "linear"
) -> Any:
    """Declare a field that is a number from ``low`` to ``high``."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "scale": scale})


def choice(default: str, *names: str) -> Any:
    """Declare a field that is one of ``names``."""
    return field(default=default, metadata={"names": names})


def switch(default: bool = False) -> Any:
    """Declare a field that is on or off."""
    return field(default=default, metadata={})


@dataclass(frozen=True)
class Settings:
    """Settings of one effect. Raises DspError where a value lies outside of what its field declares."""

    kind: ClassVar[str] = ""
    """The name mix files and registry know it by."""

    def __post_init__(self) -> None:
        for parameter in self.parameters():
            value = getattr(self, parameter.name)
            if parameter.names:
                if value not in parameter.names:
                    raise DspError(
                        f"{self.kind} {parameter.name} {value!r} is not known",
                        hint=f"use one of {', '.join(parameter.names)}",
                    )
            elif isinstance(parameter.default, bool):
                if not isinstance(value, bool):
                    raise DspError(f"{self.kind} {parameter.name} {value!r} is neither on nor off")
            elif isinstance(parameter.default, float) and not (
                isinstance(value, int | float) and parameter.low <= value <= parameter.high
            ):
                unit = f" {parameter.unit}" if parameter.unit else ""
                raise DspError(
                    f"{self.kind} {parameter.name} {value}{unit} is outside {parameter.low:g}..{parameter.high:g}{unit}"
                )

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """Return what can be set, in order."""
        return tuple(Parameter(f.name, f.default, **f.metadata) for f in fields(cls))

    def towards(self, other: Self, share: float) -> Self:
        """Return the settings ``share`` (0..1) of the way to ``other``."""
        moved = {
            p.name: p.between(getattr(self, p.name), getattr(other, p.name), share)
            for p in self.parameters()
            if getattr(self, p.name) != getattr(other, p.name)
        }
        return replace(self, **moved) if moved else self

    def start(self, rate_hz: float, channels: int) -> Processor:
        """Return this effect running on ``channels`` (1 or 2) channels at ``rate_hz``.

        Raises DspError where it cannot be built at this rate.
        """
        raise NotImplementedError


class Processor(Protocol):
    """One running effect. It gives the same samples for any cut of a stream into blocks.

    ``latency_frames``: how much later its output is, constant while it runs. ``tail_frames``: how long, after the last
    sample that is not zero, something within 120 dB of its loudest may still come (latency not counted).
    """

    @property
    def latency_frames(self) -> int:
        """How much later the output is [frames]."""
        ...

    @property
    def tail_frames(self) -> int:
        """How long something may still come after the last sound [frames]."""
        ...

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; ``key``, of n frames, is what a side-chain hears instead."""
        ...

    def change(self, settings: Any, frames: int) -> None:
        """Go to ``settings`` (of the same kind) over the next ``frames`` frames, without a click.

        Latency never changes: what would change it is refused with DspError.
        """
        ...

    def reset(self) -> None:
        """Forget all that was heard: the next block is the first."""
        ...


class Glide:
    """A row of numbers on its way from one setting to the next.

    ``knots`` gives the row at every ``STEP_FRAMES``-th frame; a kernel takes the stretch between two knots straight,
    or holds the later knot where only small steps are needed.
    """

    def __init__(self, row: NDArray[np.float64]) -> None:
        self._still: NDArray[np.float64] = np.stack([row, row]).astype(np.float64)
        self._from: NDArray[np.float64] = self._still[0]
        self._to: NDArray[np.float64] = self._from
        self._frames = self._done = 0

    @property
    def target(self) -> NDArray[np.float64]:
        """The row at the end of the way."""
        return self._to

    def to(self, row: NDArray[np.float64], frames: int) -> None:
        """Go to ``row`` over the next ``frames`` frames, at least one step; from wherever it stands."""
        self._from = self._at(self._done)
        self._to = np.asarray(row, dtype=np.float64)
        self._frames, self._done = max(STEP_FRAMES, frames), 0

    def _at(self, frame: int) -> NDArray[np.float64]:
        if self._done >= self._frames:
            return self._to
        row: NDArray[np.float64] = self._from + (self._to - self._from) * (frame / self._frames)
        return row

    def knots(self, frames: int) -> tuple[NDArray[np.float64], int]:
        """Return the knots (K ≥ 2, words) around the next ``frames`` frames and the frames since the first of them.

        Frame i lies between knots k and k + 1 with k = min((first + i) // STEP_FRAMES, K − 2). While nothing moves
        there are two equal knots.
        """
        if self._done >= self._frames:
            return self._still, 0
        step, first = divmod(self._done, STEP_FRAMES)
        count = (first + frames - 1) // STEP_FRAMES + 2
        share = np.minimum((step + np.arange(count)) * (STEP_FRAMES / self._frames), 1.0)
        knots: NDArray[np.float64] = self._from + (self._to - self._from) * share[:, None]
        knots[share >= 1.0] = self._to
        self._done += frames
        if self._done >= self._frames:
            self._still = np.stack([self._to, self._to])
        return knots, first
