"""What all running parts of a graph have in common: the delays that keep their ways in step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.graph_chunk import CHUNK_FRAMES, Build, Chunk, Planar
from dsp.graph_feeds import RunningFeed
from dsp.graph_plan import GraphPlan, Step
from dsp.graph_settings import Feed, Node
from dsp.kernels.compiled import library
from dsp.meters import GraphMeters

__all__ = ["Stage"]


class Stage(ABC):
    """What hands signals on to busses, each so late that all that meet there are in step."""

    def __init__(self, step: Step, build: Build) -> None:
        self._rate_hz = build.rate_hz
        self._line = build.line
        self._leaves_frames = step.leaves_frames
        self._leave_frames = max(0, build.latency_frames - step.leaves_frames)
        self._waits: dict[str, _Way] = {}
        self._product = np.zeros(CHUNK_FRAMES)
        self._part: Planar = np.zeros((2, CHUNK_FRAMES))

    @property
    @abstractmethod
    def titles(self) -> Sequence[str]:
        """The strips or the bus that it runs."""

    @abstractmethod
    def run(self, chunk: Chunk) -> None:
        """Take in what comes, work on it, hand it on."""

    @abstractmethod
    def change(self, nodes: Mapping[str, Node], position: int, frames: int) -> None:
        """Go to other settings of its strips or bus over ``frames`` frames from frame ``position`` on.

        ``nodes``: those that are to change, by title; others than its own may be among them.
        """

    @abstractmethod
    def measure(self, meters: GraphMeters) -> None:
        """Have ``meters`` hear what runs from now on."""

    def reset(self) -> None:
        """Forget all that was heard."""
        for wait in self._waits.values():
            wait.clear()

    @property
    def leads(self) -> frozenset[str]:
        """The busses that signals can be led to; "" is out of the graph."""
        return frozenset(self._waits) | {""}

    def _running(self, feeds: Sequence[Feed]) -> list[RunningFeed]:
        return [RunningFeed(feed, self._line, self._rate_hz) for feed in feeds]

    def _lead(self, busses: Iterable[str], plan: GraphPlan) -> None:
        """Get ready for leading signals to these busses."""
        for bus in busses:
            wait = plan.nodes[f"bus {bus}"].arrives_frames - self._leaves_frames
            self._waits[bus] = _Way(wait)

    def _hand_on(self, chunk: Chunk, bus: str, signal: Planar) -> None:
        """Add a signal (2, frames) to a bus's sum."""
        self._waits[bus].add(signal, chunk.sums[bus], chunk.is_first(bus))

    def _fed(self, signal: NDArray[np.floating[Any]], feed: RunningFeed, position: int) -> Planar:
        """Return what ``feed`` makes of ``signal`` (frames, channels), (2, frames); good until the next call."""
        frames = len(signal)
        part, product = self._part[:, :frames], self._product[:frames]
        gains: NDArray[np.float64] | None = None
        if feed.moves(position - self._leaves_frames):
            gains = feed.ramp(position - self._leaves_frames, frames)
        for side in range(2):
            out = part[side]
            for channel, pair in enumerate(feed.gains):
                if gains is not None or pair[side] != 0.0:
                    gain = pair[side] if gains is None else gains[:, channel, side]
                    np.multiply(signal[:, channel], gain, out=out, dtype=np.float64)
                    if out is product:
                        part[side] += product
                    out = product
            if out is not product:
                out[:] = 0.0
        return part


class _Way:
    """A way to the sum of a bus, on which a signal waits ``frames`` frames."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._ring = np.zeros((2, frames))
        self.add = library("feeds").add_sides.bind(None, self._ring, np.zeros(1, np.int64), None, None)
        """Add a signal to a sum, both (2, n), told whether it is the first there."""

    def clear(self) -> None:
        """Forget all that waits."""
        self._ring[:] = 0.0
