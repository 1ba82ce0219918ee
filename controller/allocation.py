"""What an allocation says: where every stage of a mix runs and why, and what box and rig are set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from controller.events import Finding
from dsp.delay import LATENCY_FRAMES
from dsp.filters import Band
from dsp.graph_settings import GraphBus, GraphStrip
from hardware.lanes import Lane
from profiles.profile import Value

RenderPath = Literal["analog", "hybrid", "itb"]
MOVES = "it moves during the song"
"""Why a stage that a hand would have to move stays in the box."""


@dataclass(frozen=True)
class Placement:
    """One stage of one strip: where it runs and why there."""

    strip: str
    stage: str
    where: str
    why: str


@dataclass(frozen=True)
class Route:
    """One D/A output on its way to one desk strip.

    ``trim_db`` is the digital trim before the D/A: what the fader's step misses, less the loop's own gain.
    ``delay_frames`` and ``delay_rest``, a fraction of a sample, make loops of different latency arrive together.
    ``left`` and ``right`` are the linear gains the desk is set to; ``bands`` and ``hpf_hz`` what its equaliser is.
    """

    strip: str
    channel: int
    output: int
    address: str
    trim_db: float
    left: float
    right: float
    muted: bool = False
    delay_frames: int = 0
    delay_rest: float = 0.0
    bands: tuple[Band, ...] = ()
    hpf_hz: float | None = None


@dataclass(frozen=True)
class Allocation:
    """A whole mix, split between box and devices.

    ``feeds`` is what the box does before the D/A; ``itb`` the same mix wholly in the box with the values the
    hardware can reach, so that a null compares paths and not rounding. ``bus_feeds``/``bus_itb`` likewise.
    ``target`` is the snapshot the rig is recalled to; ``bus_gain_db`` the gain of the desk's bus there (master
    fader, make-up of an outboard compressor), for signals below the compressor's threshold.
    ``stems`` are the stem files of the strips, in the order of ``feeds`` and ``itb``. ``busses`` are all but the main
    bus, always in the box; ``busses_itb`` likewise. ``lanes`` are the mix's moves that the devices make, in seconds of
    the song. ``late_frames`` says what the inserts of each "strip NAME" and "bus NAME" cost, and the graph makes up.
    ``bypassed`` are the plug-ins of others that the mix names and that cannot run here.
    """

    path: RenderPath
    stems: tuple[str, ...]
    placements: tuple[Placement, ...]
    routes: tuple[Route, ...]
    box_pair: tuple[Route, Route] | None
    sums_after_return: bool
    target: dict[str, Value]
    feeds: tuple[GraphStrip, ...]
    itb: tuple[GraphStrip, ...]
    busses: tuple[GraphBus, ...]
    busses_itb: tuple[GraphBus, ...]
    bus_feeds: GraphBus
    bus_itb: GraphBus
    tail_s: float
    bus_gain_db: float = 0.0
    lanes: tuple[Lane, ...] = ()
    late_frames: Mapping[str, int] = field(default_factory=dict)
    bypassed: tuple[Finding, ...] = ()

    @property
    def feed_latency_frames(self) -> int:
        """What the box adds to every feed so that fractions of a sample can be made up [frames]; mostly 0."""
        routes = (*self.routes, *(self.box_pair or ()))
        return LATENCY_FRAMES if any(route.delay_rest for route in routes) else 0

    def lines(self) -> list[str]:
        """Write the plan as a person reads it: one line a stage."""
        width = max((len(p.strip) for p in self.placements), default=4)
        return [f"{p.strip:<{width}}  {p.stage:<8} {p.where:<14} {p.why}" for p in self.placements]


@dataclass
class Draft:
    """An allocation under construction: placements as they are decided, the rig's target, what moves."""

    placements: list[Placement] = field(default_factory=list)
    target: dict[str, Value] = field(default_factory=dict)
    lanes: list[Lane] = field(default_factory=list)

    def place(self, strip: str, stage: str, where: str, why: str) -> None:
        """Note where a stage runs, and why there."""
        self.placements.append(Placement(strip, stage, where, why))
