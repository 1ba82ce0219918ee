"""The one seam of every effect: settings in engineering units on one side, what runs them on blocks on the other.

An effect is a frozen dataclass derived from ``Settings``. Its fields are declared with ``number``, ``choice``,
``switch``, ``several`` and ``table``, so that ranges, units and the way to go from one value to another stand in one
place, for the mix file, the automation and the screens. ``Settings.start`` makes the running ``Processor``; the same
code runs offline and live.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError

__all__ = [
    "STEP_FRAMES",
    "Block",
    "Declared",
    "Glide",
    "Parameter",
    "Processor",
    "Settings",
    "choice",
    "number",
    "several",
    "switch",
    "table",
]

Block = NDArray[np.float32]
"""Audio (frames, channels), C-ordered and writable, full scale 1.0."""

STEP_FRAMES = 16
"""Frames between two knots of anything that moves."""


@dataclass(frozen=True)
class Parameter:
    """What one field of an effect may be.

    ``low`` to ``high`` in ``unit`` for a number, ``names`` for a choice, ``item`` for a list of such, ``table`` for
    names and values that the effect cannot know beforehand; all empty for a switch. Between two values a number goes
    straight, on a ``log`` scale where ratios are what is heard (frequencies, times, ratios).
    """

    name: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    names: tuple[str | int, ...] = ()
    item: type[Declared] | None = None
    table: bool = False

    @property
    def is_number(self) -> bool:
        """Whether values between two values exist."""
        return isinstance(self.default, float) and not self.names

    def between(self, a: Any, b: Any, share: float) -> Any:
        """Return the value ``share`` (0..1) of the way from ``a`` to ``b``.

        A choice or switch turns at the end, and so does a list whose length changes.
        """
        if share >= 1.0:
            return b
        if share <= 0.0 or a == b:
            return a
        if self.item is not None and len(a) == len(b):
            return tuple(one.towards(other, share) for one, other in zip(a, b, strict=True))
        if self.table and dict(a).keys() == dict(b).keys():
            there = dict(b)
            return tuple((name, Parameter(name, value).between(value, there[name], share)) for name, value in a)
        if not self.is_number:
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


def choice(default: str | int, *names: str | int) -> Any:
    """Declare a field that is one of ``names``."""
    return field(default=default, metadata={"names": names})


def switch(default: bool = False) -> Any:
    """Declare a field that is on or off."""
    return field(default=default, metadata={})


def several(item: type[Declared]) -> Any:
    """Declare a field that is a list (a tuple) of ``item``, empty unless said otherwise."""
    return field(default=(), metadata={"item": item})


def table() -> Any:
    """Declare a field of names and values: a tuple of (name, number, text or switch), empty unless said otherwise."""
    return field(default=(), metadata={"table": True})


@dataclass(frozen=True)
class Declared:
    """Values whose fields say what they may be. Raises DspError where a value lies outside of that.

    A value inside has an address: the field's name, or for what stands in a list ``field/index/name``, counted from 0
    (``bands/2/gain_db``), of a table ``field/name``.
    """

    def __post_init__(self) -> None:
        for parameter in self.parameters():
            value = getattr(self, parameter.name)
            what = f"{getattr(self, 'kind', type(self).__name__)} {parameter.name}"
            if parameter.names:
                if value not in parameter.names:
                    raise DspError(
                        f"{what} {value!r} is not known", hint=f"use one of {', '.join(map(str, parameter.names))}"
                    )
            elif parameter.item is not None:
                if not (isinstance(value, tuple) and all(isinstance(one, parameter.item) for one in value)):
                    raise DspError(f"{what} {value!r} is not a tuple of {parameter.item.__name__}")
            elif parameter.table:
                if not (isinstance(value, tuple) and len(dict(value)) == len(value)):
                    raise DspError(f"{what} {value!r} is not a tuple of names, each once, and values")
            elif isinstance(parameter.default, bool):
                if not isinstance(value, bool):
                    raise DspError(f"{what} {value!r} is neither on nor off")
            elif isinstance(parameter.default, float) and not (
                isinstance(value, int | float) and parameter.low <= value <= parameter.high
            ):
                unit = f" {parameter.unit}" if parameter.unit else ""
                raise DspError(f"{what} {value}{unit} is outside {parameter.low:g}..{parameter.high:g}{unit}")

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """Return what can be set, in order."""
        if cls not in _DECLARED:
            _DECLARED[cls] = tuple(Parameter(f.name, f.default, **f.metadata) for f in fields(cls))
        return _DECLARED[cls]

    def towards(self, other: Self, share: float) -> Self:
        """Return the settings ``share`` (0..1) of the way to ``other``."""
        moved = {
            p.name: p.between(getattr(self, p.name), getattr(other, p.name), share)
            for p in self.parameters()
            if getattr(self, p.name) != getattr(other, p.name)
        }
        return replace(self, **moved) if moved else self

    def addresses(self) -> dict[str, Parameter]:
        """Return what can be set in this one, lists taken apart, in order."""
        found: dict[str, Parameter] = {}
        for parameter in self.parameters():
            if parameter.table:
                found |= {f"{parameter.name}/{name}": Parameter(name, v) for name, v in getattr(self, parameter.name)}
                continue
            if parameter.item is None:
                found[parameter.name] = parameter
                continue
            for index, one in enumerate(getattr(self, parameter.name)):
                found |= {f"{parameter.name}/{index}/{inner}": p for inner, p in one.addresses().items()}
        return found

    def value(self, address: str) -> Any:
        """Return what stands at ``address``. Raises DspError where there is no such address."""
        self._check(address)
        name, _, rest = address.partition("/")
        if not rest:
            return getattr(self, name)
        if self._is_table(name):
            return dict(getattr(self, name))[rest]
        index, _, inner = rest.partition("/")
        return getattr(self, name)[int(index)].value(inner)

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return these settings with other values at their addresses. Raises DspError as the making of them does."""
        changed: dict[str, Any] = {}
        inside: dict[str, dict[int, dict[str, Any]]] = {}
        for address, value in values.items():
            self._check(address)
            name, _, rest = address.partition("/")
            if rest and self._is_table(name):
                changed[name] = tuple(
                    (key, value if key == rest else old) for key, old in changed.get(name, getattr(self, name))
                )
            elif rest:
                index, _, inner = rest.partition("/")
                inside.setdefault(name, {}).setdefault(int(index), {})[inner] = value
            else:
                changed[name] = value
        for name, items in inside.items():
            changed[name] = tuple(
                one.with_values(items[index]) if index in items else one
                for index, one in enumerate(getattr(self, name))
            )
        return replace(self, **changed)

    def _is_table(self, name: str) -> bool:
        return any(parameter.table for parameter in self.parameters() if parameter.name == name)

    def _check(self, address: str) -> None:
        known = self.addresses()
        if address not in known:
            raise DspError(f"there is no {address!r} to be set here", hint=f"use one of {', '.join(known)}")


_DECLARED: dict[type[Declared], tuple[Parameter, ...]] = {}
"""What each class declares, found once: automation makes settings by the thousand."""


@dataclass(frozen=True)
class Settings(Declared):
    """Settings of one effect."""

    kind: ClassVar[str] = ""
    """The name mix files and registry know it by."""

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
        """Process the next (n, channels) in place; ``key`` (n, 1 or 2) is what a side-chain hears instead."""
        ...

    def change(self, settings: Any, frames: int) -> None:
        """Go to ``settings`` (of the same kind) over the next ``frames`` frames, without a click.

        Latency never changes: what would change it is refused with DspError.
        """
        ...

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going: the next block is the first."""
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

    @property
    def now(self) -> NDArray[np.float64]:
        """The row at the next frame."""
        return self._at(self._done)

    def to(self, row: NDArray[np.float64], frames: int) -> None:
        """Go to ``row`` over the next ``frames`` frames, rounded up to whole steps; from wherever it stands."""
        self._from = self.now
        self._to = np.asarray(row, dtype=np.float64)
        self._frames, self._done = max(STEP_FRAMES, -(-frames // STEP_FRAMES) * STEP_FRAMES), 0

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
