"""A running bus of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.bus import BusProcessor, BusSettings
from dsp.delay import History
from dsp.graph_chain import RunningInsert
from dsp.graph_chunk import Build, Chunk, Planar
from dsp.graph_feeds import RunningFeed, change_feeds, fader_feed
from dsp.graph_moves import Teller
from dsp.graph_plan import Step, title
from dsp.graph_settings import MAIN, GraphBus, Node
from dsp.graph_sound import Sound, sound_teller
from dsp.graph_stage import Stage
from dsp.kernels.compiled import library
from dsp.meters import GraphMeters

__all__ = ["BusStage"]


class BusStage(Stage):
    """One bus: everything that feeds it meets in its sum."""

    def __init__(self, step: Step, build: Build) -> None:
        super().__init__(step, build)
        bus = build.plan.busses[step.bus]
        self._name = bus.name
        chain = build.chains.get(title(bus), [])
        self._pre, self._post = chain[: len(bus.pre)], chain[len(bus.pre) :]
        self._bus = bus
        self._title = title(bus)
        places = build.plan.nodes[self._title].places[: len(bus.pre)]
        self._meters: GraphMeters | None = None
        self._late = places[-1].leaves_frames if places else build.plan.nodes[self._title].arrives_frames
        """How late the input of its own filters is."""
        self._teller: Teller[Sound] | None = None
        begin = self._begun(0, 0)
        self._middle = BusProcessor(begin, build.rate_hz) if bus.bands or bus.compressor else None
        self._busses = list(dict.fromkeys(way.to for way in bus.feeds if way.to))
        self._feeds = self._running(bus.feeds)
        self._lead(self._busses, build.plan)
        self._fader = self._running([fader_feed(bus)]) if bus.name == MAIN else []
        self._leaves = self._fader or (self._feeds[:1] if build.with_busses else [])
        self._leave = History(self._leave_frames, 2, np.float64)
        kernels = library("feeds")
        self._block = np.zeros((0, 2), np.float32)
        self._signal = self._behind = np.zeros((0, 2))
        """Its signal, and what its equaliser and compressor make of it."""
        self._to_block, self._to_frames = kernels.to_block.bind(None, None), kernels.to_frames.bind(None, None)
        self._widen, self._narrow = kernels.widen.bind(None, None), kernels.narrow.bind(None, None)
        self._add_to, self._fade = kernels.feed.bind(None, None, None), kernels.fade.bind(None, None, None)

    @property
    def titles(self) -> Sequence[str]:
        """The bus that it runs."""
        return (self._title,)

    def _begun(self, position: int, frames: int) -> BusSettings:
        """Return its own filters and compressor as they stand ``frames`` after ``position``, like a strip's."""
        plain = BusSettings(self._bus.bands, self._bus.compressor)
        self._teller = None
        if not self._bus.moves:
            return plain
        at = position - self._late
        begin, self._teller = sound_teller(plain, self._bus.moves, at, frames, self._line, self._rate_hz, self._tell)
        return begin

    def change(self, nodes: Mapping[str, Node], position: int, frames: int) -> None:
        """Go to other settings of its bus."""
        bus = nodes.get(self._title)
        if not isinstance(bus, GraphBus):
            return
        before, self._bus = self._bus, bus
        if (bus.bands, bus.compressor, bus.moves) != (before.bands, before.compressor, before.moves):
            if self._middle is None:
                self._middle = BusProcessor(BusSettings(), self._rate_hz, position)
            self._middle.change(self._begun(position, frames), frames)
        at = position - self._leaves_frames
        change_feeds(self._feeds, bus.feeds, self._line, self._rate_hz, at, frames)
        if self._fader:
            self._fader[0].change(fader_feed(bus), at, frames)

    def measure(self, meters: GraphMeters) -> None:
        """Have ``meters`` hear its bus, before the fader; the main bus is heard behind it, where it leaves."""
        self._meters = meters

    def reset(self) -> None:
        """Forget all that was heard."""
        super().reset()
        self._leave.clear()
        for insert in (*self._pre, *self._post):
            insert.reset()
        if self._middle is not None:
            self._middle.reset()

    def run(self, chunk: Chunk) -> None:
        """Process the sum and hand it on."""
        if len(self._signal) != chunk.frames:
            self._block = np.zeros((chunk.frames, 2), np.float32)
            self._signal, self._behind = np.zeros((chunk.frames, 2)), np.zeros((chunk.frames, 2))
        signal, total = self._signal, chunk.sum_of(self._name)
        if self._pre:
            self._to_block(total, self._block)
            self._insert(self._pre, chunk)
        else:
            self._to_frames(total, signal)
        if self._middle is not None:
            signal = self._filtered(self._middle, signal, chunk.position)
            if self._meters is not None:
                self._meters.hear_reduction(self._name, self._middle.reduction_db)
        if self._post:
            self._narrow(signal, self._block)
            self._insert(self._post, chunk)
            signal = self._signal
        if self._name in chunk.wanted_keys:
            chunk.keys[self._name] = signal.astype(np.float32)
        for to in self._busses:
            self._feed(signal, [way for way in self._feeds if way.to == to], chunk)
        if self._meters is not None and self._name != MAIN:
            self._meters.hear_bus(self._name, signal)
        for way in self._leaves:
            if way.moves(chunk.position - self._leaves_frames):
                out = self._fed(signal, way, chunk.position).T.copy()
            else:
                out = np.empty((chunk.frames, 2))
                self._fade(signal, way.still, out)
            chunk.outputs[self._name] = out = self._leave.late(out).copy() if self._leave.reach else out
            if self._meters is not None and self._name == MAIN:
                self._meters.hear_main(out)

    def _insert(self, inserts: Sequence[RunningInsert], chunk: Chunk) -> None:
        """Make the signal of the block what inserts make of it."""
        for insert in inserts:
            insert.process(self._block, chunk.position, chunk.keys)
        self._widen(self._block, self._signal)

    def _feed(self, signal: NDArray[np.float64], ways: Sequence[RunningFeed], chunk: Chunk) -> None:
        """Add what ways make of a signal (frames, 2) to the one bus that they lead to."""
        to = ways[0].to
        if not self._waits[to].frames and not any(way.moves(chunk.position - self._leaves_frames) for way in ways):
            for way in ways:
                self._add_to(signal, way.still, chunk.sum_of(to))
            return
        total: Planar = np.zeros((2, chunk.frames))
        for way in ways:
            total += self._fed(signal, way, chunk.position)
        self._hand_on(chunk, to, total)

    def _tell(self, settings: BusSettings, frames: int) -> None:
        if self._middle is not None:
            self._middle.change(settings, frames)

    def _filtered(self, middle: BusProcessor, signal: NDArray[np.floating[Any]], position: int) -> NDArray[np.float64]:
        """Run equaliser and compressor, from one moment at which they move to the next."""
        if self._teller is None:
            return middle.process(signal, self._behind)
        parts = []
        at = 0
        while at < len(signal):
            size = self._teller.due(position + at - self._late, len(signal) - at)
            parts.append(middle.process(signal[at : at + size]))
            at += size
        return np.concatenate([np.zeros((0, 2)), *parts])
