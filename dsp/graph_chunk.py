"""What a graph's stages are built from, and what they hand on: one chunk of the song, the pieces of a strip's way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.bank import Source
from dsp.bank_strip import Tape
from dsp.delay import Wait
from dsp.graph_chain import RunningInsert
from dsp.graph_plan import GraphPlan
from dsp.graph_settings import GraphStrip
from dsp.processor import Block, Settings
from dsp.song_line import SongLine

__all__ = ["CHUNK_FRAMES", "NOTHING", "Build", "Chunk", "Freeze", "InBank", "Planar", "SumRoom", "Waiting"]

CHUNK_FRAMES = 16_384
"""Frames that pass through all stages at once, at most."""

Planar = NDArray[np.float64]
"""Two sides of audio, (2, frames)."""


@dataclass
class Chunk:
    """What the stages hand on to each other while one chunk of the song passes.

    ``inputs`` and ``pre`` are in the strips' order, (frames, channels); a ``source`` fills the inputs in instead.
    ``sums`` by bus, of which only those that are ``heard`` hold anything yet; ``keys`` by strip or bus: its signal
    before its fader, of the ``wanted_keys``. ``stems`` by strip, ``outputs`` by bus, (frames, 2).
    """

    position: int
    frames: int
    inputs: Sequence[NDArray[np.float32]]
    pre: Sequence[NDArray[np.float32] | None]
    sums: dict[str, Planar]
    source: Source | None = None
    wanted_keys: Collection[str] = ()
    keys: dict[str, Block] = field(default_factory=dict)
    stems: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    outputs: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)

    def sum_of(self, bus: str) -> Planar:
        """Return the sum of a bus, silent where nothing was added yet."""
        if bus not in self.heard:
            self.heard.add(bus)
            self.sums[bus].fill(0.0)
        return self.sums[bus]

    def is_first(self, bus: str) -> bool:
        """Whether nothing was added to the sum of a bus yet; whoever asks is to add something now."""
        if bus in self.heard:
            return False
        self.heard.add(bus)
        return True


NOTHING = Chunk(0, 0, (), (), {})


class SumRoom:
    """Room for the sums of all busses in one chunk; none is shared by two that are under way."""

    def __init__(self, busses: Sequence[str]) -> None:
        self._frames = 0
        self._sums: dict[str, Planar] = dict.fromkeys(busses, np.zeros((2, 0)))

    def sums(self, frames: int) -> dict[str, Planar]:
        """Return the sums, (2, frames) each, which hold anything yet."""
        if frames != self._frames:
            self._frames, self._sums = frames, {name: np.zeros((2, frames)) for name in self._sums}
        return self._sums


Freeze = Callable[[GraphStrip, int, int], Tape | None]
"""Whether the inserts of a strip are on tape: asked with the frames it waits behind them, and the graph's latency."""


@dataclass(frozen=True)
class Build:
    """What a graph's stages are built from: ``line`` is the song's. All outputs leave ``latency_frames`` late."""

    plan: GraphPlan
    chains: dict[str, list[RunningInsert]]
    rate_hz: float
    line: SongLine
    latency_frames: int
    pre: Collection[str]
    stems: Collection[str]
    keys: Collection[str]
    with_busses: bool
    freeze: Freeze | None = None


class Passing(Protocol):
    """What a chunk passes through."""

    chunk: Chunk


class _Part:
    """A piece of a strip's way that the bank runs: it stands where the graph has put it."""

    latency_frames = tail_frames = 0

    def change(self, settings: Settings, frames: int) -> None:
        """Change nothing: the graph does."""


class InBank(_Part):
    """An insert on pieces of the chunk that passes through its bank."""

    def __init__(self, running: RunningInsert, bank: Passing) -> None:
        self._running = running
        self._bank = bank

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next piece in place."""
        chunk = self._bank.chunk
        self._running.process(block, chunk.position, chunk.keys)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._running.reset()


class Waiting(_Part):
    """What a strip waits for the others of its bank."""

    def __init__(self, frames: int, channels: int) -> None:
        self._wait = Wait(frames, channels)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Delay the next piece in place."""
        self._wait.process(block)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._wait.clear()
