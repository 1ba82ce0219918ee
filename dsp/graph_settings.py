"""What a mix graph is made of, as frozen values: strips, busses, inserts, sends, and the order they run in."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.bus import BusSettings
from dsp.errors import DspError
from dsp.processor import Settings
from dsp.strip import Automation, StripSettings

__all__ = [
    "MAIN",
    "REVERB",
    "STEREO",
    "Feed",
    "GraphBus",
    "GraphStrip",
    "Insert",
    "Node",
    "ParameterMove",
    "levels",
    "with_minus",
]

MAIN = "bus"
"""The stereo bus, where a feed ends that names no other."""

REVERB = "reverb"
"""The bus that a strip's ``send`` feeds."""

STEREO = ((1.0, 0.0), (0.0, 1.0))
"""Two channels to two sides at unity gain."""


@dataclass(frozen=True)
class ParameterMove:
    """How the parameter at ``address`` moves: ``points`` are (seconds of the song, value), seconds never falling."""

    address: str
    points: tuple[tuple[float, Any], ...]


@dataclass(frozen=True)
class Insert:
    """One effect in a chain. ``key`` names the strip or bus whose signal, before its fader, a side-chain hears."""

    settings: Settings
    key: str = ""
    moves: tuple[ParameterMove, ...] = ()


@dataclass(frozen=True)
class Feed:
    """A way to a bus: for each channel its linear gains to the bus's left and right, everything in them.

    ``automation`` takes their place: (K,) seconds of the song → (K, channels, 2).
    """

    to: str = MAIN
    gains: tuple[tuple[float, float], ...] = STEREO
    automation: Automation | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(gain) for pair in self.gains for gain in pair):
            raise DspError(f"a gain that leads to bus {self.to!r} is not a finite number")


@dataclass(frozen=True)
class GraphStrip(StripSettings):
    """A strip in a graph: trim, polarity → ``pre`` → high-pass, bands, compressor → ``post`` → its feeds.

    ``gains`` (or the first two columns of ``automation``) lead to the bus ``output``, if ``on_bus``; ``send`` (or the
    third column, after those) to the bus "reverb", if there is one. ``feeds`` are all further ways. ``moves`` are of
    its own filters and compressor, at the addresses of ``dsp.graph_sound.Sound``.
    """

    pre: tuple[Insert, ...] = ()
    post: tuple[Insert, ...] = ()
    output: str = MAIN
    feeds: tuple[Feed, ...] = ()
    moves: tuple[ParameterMove, ...] = ()

    @property
    def inserts(self) -> tuple[Insert, ...]:
        """Every insert, in order."""
        return (*self.pre, *self.post)

    def ways(self, *, reverb: bool) -> tuple[Feed, ...]:
        """Return every feed, the output's first; ``reverb`` says whether the graph has that bus."""
        ways: list[Feed] = []
        if self.on_bus:
            ways.append(Feed(self.output, self.gains, self.automation and _Sides(self.automation)))
        if reverb and (self.send > 0.0 or self.automation is not None):
            sent = tuple((left * self.send, right * self.send) for left, right in self.gains)
            ways.append(Feed(REVERB, sent, self.automation and _Sent(self.automation)))
        return (*ways, *self.feeds)


@dataclass(frozen=True)
class GraphBus(BusSettings):
    """A bus: its sum → ``pre`` → bands, compressor → ``post`` → fader → ``feeds``, the first of them its output.

    ``fader_db`` and ``automation`` are the main bus's, which has no feeds; those of the others stand in their feeds. A
    feed to "" leads nowhere but out of the graph. With ``minus`` a bus carries what the main bus sums, without what the
    strip or bus of that name feeds to it. ``moves`` are like a strip's.
    """

    name: str = MAIN
    pre: tuple[Insert, ...] = ()
    post: tuple[Insert, ...] = ()
    feeds: tuple[Feed, ...] = ()
    minus: str = ""
    moves: tuple[ParameterMove, ...] = ()

    @property
    def inserts(self) -> tuple[Insert, ...]:
        """Every insert, in order."""
        return (*self.pre, *self.post)


Node = GraphStrip | GraphBus


@dataclass(frozen=True)
class _Sides:
    """The first two columns of a strip's automation: (K,) → (K, channels, 2)."""

    automation: Automation

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.automation(at_s)[:, :, :2]


@dataclass(frozen=True)
class _Sent:
    """What a strip's automation sends after those: (K,) → (K, channels, 2)."""

    automation: Automation

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        gains = self.automation(at_s)
        sent: NDArray[np.float64] = gains[:, :, :2] * gains[:, :, 2:]
        return sent


def with_minus(strips: Sequence[GraphStrip], busses: Sequence[GraphBus]) -> tuple[list[GraphStrip], list[GraphBus]]:
    """Return strips and busses with the feeds that the busses with ``minus`` need.

    Raises DspError where a bus is to leave out what does not feed the main bus.
    """
    wanted = [bus for bus in busses if bus.minus]
    if not wanted:
        return list(strips), list(busses)
    reverb = any(bus.name == REVERB for bus in busses)
    into_main: dict[str, list[Feed]] = {}
    nodes: tuple[Node, ...] = (*strips, *busses)
    for node in nodes:
        if isinstance(node, GraphBus) and node.minus:
            continue
        for feed in node.feeds if isinstance(node, GraphBus) else node.ways(reverb=reverb):
            if feed.to == MAIN:
                into_main.setdefault(node.name, []).append(feed)
    for bus in wanted:
        if bus.minus not in into_main:
            raise DspError(f"bus {bus.name!r} is to leave out {bus.minus!r}, which does not feed the main bus itself")

    def more(name: str) -> tuple[Feed, ...]:
        feeds = into_main.get(name, ())
        return tuple(replace(feed, to=bus.name) for bus in wanted if bus.minus != name for feed in feeds)

    return (
        [replace(strip, feeds=(*strip.feeds, *more(strip.name))) for strip in strips],
        [replace(bus, feeds=(*bus.feeds, *more(bus.name))) for bus in busses],
    )


def levels(waits: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return a level for each node: above those of all that it waits for, from 0, as low as can be.

    Raises DspError, naming the circle, where a node waits for itself.
    """
    try:
        order = tuple(graphlib.TopologicalSorter(waits).static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(str(node) for node in error.args[1])
        raise DspError(f"the mix feeds itself: {circle}", hint="Take one of these feeds or keys out.") from error
    found: dict[str, int] = {}
    for node in order:
        found[node] = 1 + max((found[before] for before in waits.get(node, ())), default=-1)
    return found
