"""One strip of a bank: what it is, what it is told over time, and in which lanes it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.filters import Biquad
from dsp.kernels.compiled import library
from dsp.lane_numbers import MOST_SECTIONS, StripSound, sound_numbers
from dsp.processor import Processor

__all__ = ["LANES", "Automation", "BankStrip", "Demand", "RunningStrip", "deal", "share_lanes"]

LANES = 16
"""Channels in one group."""

Automation = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gains that move: given K moments since the start [s], the linear gains there, (K, channels, destinations).

A pure function; asked for every ``STEP_FRAMES``-th frame, and gone straight from one to the next, so nothing clicks.
"""


class Tape(Protocol):
    """What inserts made of a strip, kept from an earlier run, or being kept now."""

    @property
    def plays(self) -> bool:
        """Whether it holds the whole run already."""
        ...

    def process(self, block: NDArray[np.float32]) -> None:
        """Fill the next (n, channels) in from what is kept, or keep it."""
        ...


@dataclass(frozen=True)
class BankStrip:
    """One strip of a bank.

    ``gains``: linear, from each of its channels to each destination; ``automation`` takes their place. The inserts are
    running processors of as many channels. ``wants_pre``: its signal before the gains will be asked for. A ``tape``
    stands behind the post-inserts, or the pre-inserts where there are no others; one that plays takes the place of all
    before it. Raises DspError for values that make no sense.
    """

    name: str
    gains: tuple[tuple[float, ...], ...]
    channels: Literal[1, 2] = 1
    sound: StripSound = field(default_factory=StripSound)
    automation: Automation | None = None
    pre_inserts: tuple[Processor, ...] = ()
    post_inserts: tuple[Processor, ...] = ()
    wants_pre: bool = False
    tape: Tape | None = None

    @property
    def is_on_tape(self) -> bool:
        """Whether what its inserts make is played from a tape."""
        return self.tape is not None and self.tape.plays

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise DspError(f"strip {self.name!r} has {self.channels} channels; a strip has 1 or 2")


class RunningStrip:
    """One strip as it runs: where its numbers go, its lanes, its buffers."""

    def __init__(self, index: int, strip: BankStrip, destinations: int, rate_hz: float) -> None:
        self.index = index
        self.strip = strip
        self.group = self.behind = self.lane = 0
        """Its group, the group that sums it (another one where there are post-inserts), and its first lane there."""
        self._destinations = destinations
        self._rate_hz = rate_hz
        self._places: list[int | None] = []
        self._coming: frozenset[int] = frozenset()
        self._squeezing = False
        self.numbers = self.numbers_of(strip.sound)
        """What it is told now, or will be told in the end."""
        self.gains = self.gains_of(strip.gains)
        self._active, self._trims, self.compresses = self._coming, strip.sound.gain != 1.0, self._squeezing
        self.source: NDArray[np.float32] | None = None
        """What its lanes read after pre-inserts, (n, channels)."""
        self.pre: NDArray[np.float32] | None = None
        """Its signal before the gains, (n, channels)."""
        self._bad = np.zeros(1, np.int64)
        self._enter = library("feeds").enter.bind(None, None, None, self._bad)

    @property
    def bad(self) -> int:
        """Samples that were not finite in front of its pre-inserts."""
        return int(self._bad[0])

    @property
    def demand(self) -> Demand:
        """What it asks of the lanes when it begins."""
        inserts = bool(self.strip.pre_inserts), bool(self.strip.post_inserts)
        return Demand.of(self.strip.sound, self.strip.channels, pre=inserts[0], post=inserts[1])

    @property
    def sections(self) -> int:
        """Sections its lanes have to go through."""
        return max(max(self._active, default=-1) + 1, int(self._trims and not self.strip.pre_inserts))

    @property
    def lanes(self) -> slice:
        """Its lanes in its group."""
        return slice(self.lane, self.lane + self.strip.channels)

    def gains_of(self, gains: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Return gains as (destinations, 2), for one channel twice. Raises ShapeError or DspError for what is none."""
        rows: NDArray[np.float64] = np.asarray(gains, dtype=np.float64)
        if rows.shape != (self.strip.channels, self._destinations):
            raise ShapeError(
                f"strip {self.strip.name!r}: gains are {rows.shape}; "
                f"(channels, destinations) is ({self.strip.channels}, {self._destinations})"
            )
        if not np.all(np.isfinite(rows)):
            raise DspError(f"strip {self.strip.name!r}: a gain is not a finite number")
        return np.broadcast_to(rows.T, (self._destinations, 2)).copy()

    def numbers_of(self, sound: StripSound) -> NDArray[np.float64]:
        """Return a sound's numbers; a section keeps its place for good, so that it finds its states again.

        They count as where the strip goes from now on. Raises DspError where a section is not stable.
        """
        self._places += [None] * (len(sound.sections) - len(self._places))
        placed: list[Biquad | None] = [None] * MOST_SECTIONS
        for i, section in enumerate(sound.sections):
            if section is not None:
                place = self._places[i]
                if place is None:
                    place = self._places[i] = min(set(range(MOST_SECTIONS)) - set(self._places))
                placed[place] = section
        numbers = sound_numbers(sound, placed, self._rate_hz, trimmed=bool(self.strip.pre_inserts))
        self._coming = frozenset(place for place, section in enumerate(placed) if section is not None)
        self._squeezing = sound.compresses
        self._gain = sound.gain
        return numbers

    def leave(self) -> list[slice]:
        """Be on the way; return the states of what begins, and has to begin from silence."""
        started = [slice(2 + 2 * place, 4 + 2 * place) for place in self._coming - self._active]
        if self._squeezing and not self.compresses:
            started.append(slice(0, 2))
        self.compresses |= self._squeezing
        self._active, self._trims = self._active | self._coming, True
        return started

    def arrive(self) -> None:
        """Leave out what the sound it has come to does not need."""
        self._active, self._trims, self.compresses = self._coming, self._gain != 1.0, self._squeezing

    def run_pre_inserts(self, block: NDArray[np.float32], gain: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Put ``block`` (n, channels) times its trim, (1, 1) or (n, 1), and through the pre-inserts into ``out``."""
        if self.strip.is_on_tape and self.strip.tape is not None:
            if not self.strip.post_inserts:
                self.strip.tape.process(out)
            return
        self._enter(block, gain, out)
        for insert in self.strip.pre_inserts:
            insert.process(out)
        if self.strip.tape is not None and not self.strip.post_inserts:
            self.strip.tape.process(out)

    def run_post_inserts(self, block: NDArray[np.float32]) -> None:
        """Put what its lanes have written, (n, channels), through the post-inserts in place."""
        if not self.strip.is_on_tape:
            for insert in self.strip.post_inserts:
                insert.process(block)
        if self.strip.tape is not None:
            self.strip.tape.process(block)


@dataclass(frozen=True)
class Demand:
    """What a strip asks of the lanes when it begins."""

    channels: int
    sections: int
    compresses: bool
    inserts_behind: bool
    """Whether inserts follow its compressor."""

    @classmethod
    def of(cls, sound: StripSound, channels: int, *, pre: bool, post: bool) -> Demand:
        """Return what a sound asks for, with inserts before it and behind it or without."""
        used = sum(section is not None for section in sound.sections)
        return cls(channels, max(used, int(sound.gain != 1.0 and not pre)), sound.compresses, post)


def deal(demands: Sequence[Demand]) -> list[list[tuple[int, int]]]:
    """Deal strips out to groups of sixteen lanes; return the index and the first lane of each, group by group.

    Strips that ask for as much lie side by side. A stereo strip's sides lie next to each other, the left one on an even
    lane. Strips with inserts behind the compressor have groups of their own. Whoever deals the strips of one group out
    again gets the same lanes.
    """
    groups: list[list[tuple[int, int]]] = []
    gaps: list[tuple[list[tuple[int, int]], int]] = []
    used = LANES
    inserts: bool | None = None

    def place(index: int) -> tuple[bool, bool, int]:
        one = demands[index]
        return one.inserts_behind, not one.compresses, -one.sections

    for index in sorted(range(len(demands)), key=place):
        channels, wanted = demands[index].channels, demands[index].inserts_behind
        if wanted != inserts:
            gaps, used, inserts = [], LANES, wanted
        if channels == 1 and gaps:
            group, lane = gaps.pop()
            group.append((index, lane))
            continue
        if channels == 2 and used % 2:
            gaps.append((groups[-1], used))
            used += 1
        if used == LANES:
            groups.append([])
            used = 0
        groups[-1].append((index, used))
        used += channels
    return groups


def share_lanes(strips: Sequence[RunningStrip]) -> tuple[list[list[RunningStrip]], int]:
    """Give all strips their lanes; return the groups, and how many there are with those behind them.

    Groups of strips with post-inserts only write their lanes out; one behind each of them sums what the inserts made.
    """
    dealt = deal([strip.demand for strip in strips])
    count = len(dealt)
    groups = []
    for g, places in enumerate(dealt):
        group = [strips[index] for index, _ in places]
        behind = g
        if group[0].strip.post_inserts:
            behind, count = count, count + 1
        for strip, (_, lane) in zip(group, places, strict=True):
            strip.group, strip.behind, strip.lane = g, behind, lane
        groups.append(group)
    return groups, count
