"""The running parts of a graph: banks of strips and single busses, each with the delays that keep its ways in step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.engine import BusProcessor, BusSettings, MixEngine, StripSettings
from dsp.graph_chain import Chain
from dsp.graph_moves import ramp
from dsp.graph_settings import MAIN, REVERB, STEREO, Feed, GraphBus, GraphStrip, Insert
from dsp.processor import Block

__all__ = ["CHUNK_FRAMES", "Bank", "Build", "BusStage", "Chunk", "Stage"]

CHUNK_FRAMES = 8_192
"""Frames that pass through all stages at once, at most."""

Planar = NDArray[np.float64]
"""Two sides of audio, (2, frames)."""


@dataclass
class Chunk:
    """What the stages hand on to each other while one chunk of the song passes.

    ``inputs`` and ``pre`` are in the strips' order, (frames, channels). ``sums`` by bus; ``keys`` by strip or bus: its
    signal before its fader, of busses only the ``wanted_keys``. ``stems`` by strip, ``outputs`` by bus, (frames, 2).
    """

    position: int
    frames: int
    inputs: Sequence[NDArray[np.float32]]
    pre: Sequence[NDArray[np.float32]]
    sums: dict[str, Planar]
    wanted_keys: Collection[str]
    keys: dict[str, Block] = field(default_factory=dict)
    stems: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    outputs: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class Build:
    """A graph under construction: what later stages have to know of those before them."""

    def __init__(self, *, rate_hz: float, start_frame: int, threads: int, busses: Iterable[str]) -> None:
        self.rate_hz = rate_hz
        self.start_frame = start_frame
        self.threads = threads
        self.sources: dict[str, list[Stage]] = {name: [] for name in busses}
        """The stages that feed each bus."""
        self.tails: dict[str, int] = dict.fromkeys(self.sources, 0)
        self.keys: dict[str, tuple[int, int]] = {}
        self.late_frames: dict[str, int] = {}

    def chain(self, inserts: Sequence[Insert], channels: int, latency_frames: int) -> Chain:
        """Return running inserts for a signal that is so late already."""
        return Chain(
            inserts,
            channels,
            rate_hz=self.rate_hz,
            latency_frames=latency_frames,
            start_frame=self.start_frame,
            keys=self.keys.__getitem__,
        )

    def note(self, node: str, channels: int, begins: int, ends: int) -> None:
        """Note what the inserts of a node ("strip vox", "bus drums") cost, and what it offers as a key."""
        self.keys[node.partition(" ")[2]] = (ends, channels)
        if ends > begins:
            self.late_frames[node] = ends - begins


class Stage:
    """What hands signals on to busses, ``latency_frames`` late; ``tail_frames`` long after its sources fell silent."""

    latency_frames: int
    tail_frames: int

    def __init__(self, build: Build) -> None:
        self._rate_hz = build.rate_hz
        self._start_frame = build.start_frame
        self._waits: dict[str, History] = {}
        self._ways: dict[str, list[tuple[int, Feed]]] = {}
        self._scratch = np.zeros(CHUNK_FRAMES)
        self._part: Planar = np.zeros((2, CHUNK_FRAMES))

    def run(self, chunk: Chunk) -> None:
        """Take in what comes, work on it, hand it on."""
        raise NotImplementedError

    def leave(self, latency_frames: int) -> None:
        """Let what leaves the graph here be so late, and no earlier."""
        raise NotImplementedError

    def meet(self, bus: str, latency_frames: int) -> None:
        """Arrive at ``bus`` so late, and no earlier."""
        self._waits[bus] = History(latency_frames - self.latency_frames, 2, np.float64)

    def close(self) -> None:
        """End what runs beside."""

    def _lead(self, number: int, way: Feed, tail_frames: int, build: Build) -> None:
        """Lead signal ``number``, which rings on for so long, to a bus."""
        if way.to in build.sources:
            if self not in build.sources[way.to]:
                build.sources[way.to].append(self)
            build.tails[way.to] = max(build.tails[way.to], tail_frames)
            self._ways.setdefault(way.to, []).append((number, way))

    def _hand_on(self, chunk: Chunk, bus: str, signal: Planar) -> None:
        chunk.sums[bus] += self._waits[bus].late(signal.T).T

    def _fed(self, signal: NDArray[np.floating[Any]], feed: Feed, position: int) -> Planar:
        """Return what ``feed`` makes of ``signal`` (frames, channels), (2, frames); good until the next call."""
        frames = len(signal)
        part, product = self._part[:, :frames], self._scratch[:frames]
        gains: NDArray[np.float64] | None = None
        if feed.automation is not None:
            song = position - self.latency_frames + self._start_frame
            gains = ramp(feed.automation, song, frames, self._rate_hz)
        for side in range(2):
            part[side] = 0.0
            for channel, pair in enumerate(feed.gains):
                gain = pair[side] if gains is None else gains[:, channel, side]
                if gains is not None or pair[side] != 0.0:
                    np.multiply(signal[:, channel], gain, out=product, dtype=np.float64)
                    part[side] += product
        return part


class _Seat:
    """One strip of a bank: what surrounds its filters and compressor."""

    def __init__(self, index: int, strip: GraphStrip, build: Build) -> None:
        self.index = index
        self.strip = strip
        self.pre = build.chain(strip.pre, strip.channels, 0)
        self.post = build.chain(strip.post, strip.channels, self.pre.latency_frames)
        self.latency_frames = self.post.latency_frames
        self.tail_frames = self.pre.tail_frames + self.post.tail_frames
        self._gain = np.float32((-1.0 if strip.polarity_inverted else 1.0) * 10.0 ** (strip.trim_db / 20.0))
        self.wait = self.leave = History(0, strip.channels)
        build.note(f"strip {strip.name}", strip.channels, 0, self.latency_frames)

    @property
    def core(self) -> StripSettings:
        """What the engine does of the strip: no sums, and no trim where inserts stand behind it."""
        core = replace(self.strip, on_bus=False, send=0.0, automation=None)
        return replace(core, trim_db=0.0, polarity_inverted=False) if self.strip.pre else core

    def before(self, chunk: Chunk) -> NDArray[np.float32]:
        """Return the stem, trimmed and through the inserts in front where there are any."""
        stem = chunk.inputs[self.index]
        if not self.strip.pre:
            return stem
        block: NDArray[np.float32] = np.multiply(stem, self._gain, order="C")
        self.pre.process(block, chunk.position, chunk.keys)
        return block

    def after(self, chunk: Chunk, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the inserts behind in ``block``; return it as late as the whole bank."""
        self.post.process(block, chunk.position, chunk.keys)
        late: NDArray[np.float32] = self.wait.late(block)
        return late


class Bank(Stage):
    """Strips that wait for the same stages before them; all leave it equally late."""

    def __init__(
        self,
        strips: Sequence[tuple[int, GraphStrip]],
        build: Build,
        pool: ThreadPoolExecutor | None,
        stems: Collection[str],
    ) -> None:
        super().__init__(build)
        self._pool = pool
        self._seats = [_Seat(index, strip, build) for index, strip in strips]
        self._engine = MixEngine([seat.core for seat in self._seats], rate_hz=build.rate_hz, threads=build.threads)
        self.latency_frames = max(seat.latency_frames for seat in self._seats)
        self.tail_frames = max(seat.tail_frames for seat in self._seats)
        for seat in self._seats:
            seat.wait = History(self.latency_frames - seat.latency_frames, seat.strip.channels)
        reverb = REVERB in build.sources
        for number, seat in enumerate(self._seats):
            for way in seat.strip.ways(reverb=reverb):
                self._lead(number, way, seat.tail_frames, build)
        self._stems = {
            seat.strip.name: (number, seat.strip.ways(reverb=reverb)[0], History(0, 2, np.float64))
            for number, seat in enumerate(self._seats)
            if seat.strip.name in stems and seat.strip.on_bus
        }

    def leave(self, latency_frames: int) -> None:
        """Let every strip's own signal, and its stem, leave so late."""
        late = latency_frames - self.latency_frames
        for seat in self._seats:
            seat.leave = History(late, seat.strip.channels)
        self._stems = {
            name: (number, way, History(late, 2, np.float64)) for name, (number, way, _) in self._stems.items()
        }

    def run(self, chunk: Chunk) -> None:
        """Run every strip, then sum them bus by bus."""
        each = map if self._pool is None else self._pool.map
        blocks = self._engine.process(list(each(lambda seat: seat.before(chunk), self._seats))).pre
        signals = list(each(lambda seat, block: seat.after(chunk, block), self._seats, blocks))
        for seat, block, signal in zip(self._seats, blocks, signals, strict=True):
            chunk.keys[seat.strip.name] = block
            chunk.pre[seat.index][:] = seat.leave.late(signal)
        for bus, ways in self._ways.items():
            total: Planar = np.zeros((2, chunk.frames))
            for number, way in ways:
                total += self._fed(signals[number], way, chunk.position)
            self._hand_on(chunk, bus, total)
        for name, (number, way, leave) in self._stems.items():
            chunk.stems[name] = leave.late(self._fed(signals[number], way, chunk.position).T).copy()

    def close(self) -> None:
        """End the engine's threads."""
        self._engine.close()


class BusStage(Stage):
    """One bus: everything that feeds it meets in its sum."""

    def __init__(self, bus: GraphBus, build: Build) -> None:
        super().__init__(build)
        self.name = bus.name
        sources = build.sources[bus.name]
        arrival = max((source.latency_frames for source in sources), default=0)
        for source in sources:
            source.meet(bus.name, arrival)
        self._pre = build.chain(bus.pre, 2, arrival)
        self._post = build.chain(bus.post, 2, self._pre.latency_frames)
        self.latency_frames = self._post.latency_frames
        build.note(f"bus {bus.name}", 2, arrival, self.latency_frames)
        self.tail_frames = build.tails[bus.name] + self._pre.tail_frames + self._post.tail_frames
        plain = BusSettings(bus.bands, bus.compressor)
        self._middle = BusProcessor(plain, build.rate_hz) if bus.bands or bus.compressor else None
        self._bus = bus
        for way in bus.feeds:
            self._lead(0, way, self.tail_frames, build)
        self._leaves = (History(0, 2, np.float64), _fader(bus)) if bus.name == MAIN else None
        if bus.feeds:
            self._leaves = (History(0, 2, np.float64), bus.feeds[0])
        self._wanted = bus.name == MAIN

    def leave(self, latency_frames: int) -> None:
        """Let the bus's output leave the graph so late."""
        if self._leaves is not None:
            self._leaves = (History(latency_frames - self.latency_frames, 2, np.float64), self._leaves[1])
            self._wanted = True

    def run(self, chunk: Chunk) -> None:
        """Process the sum and hand it on."""
        signal: NDArray[np.floating[Any]] = np.ascontiguousarray(chunk.sums[self.name].T)
        if self._bus.pre:
            signal = self._through(self._pre, signal, chunk)
        if self._middle is not None:
            signal = self._middle.process(signal)
        if self._bus.post:
            signal = self._through(self._post, signal, chunk)
        if self.name in chunk.wanted_keys:
            chunk.keys[self.name] = signal.astype(np.float32)
        for to, ways in self._ways.items():
            total: Planar = np.zeros((2, chunk.frames))
            for _, way in ways:
                total += self._fed(signal, way, chunk.position)
            self._hand_on(chunk, to, total)
        if self._wanted and self._leaves is not None:
            late, way = self._leaves
            chunk.outputs[self.name] = late.late(self._fed(signal, way, chunk.position).T).copy()

    @staticmethod
    def _through(chain: Chain, signal: NDArray[np.floating[Any]], chunk: Chunk) -> Block:
        block = np.array(signal, dtype=np.float32, order="C")
        chain.process(block, chunk.position, chunk.keys)
        return block


def _fader(bus: GraphBus) -> Feed:
    """Return the main bus's fader as its way out of the graph."""
    fader = 10.0 ** (bus.fader_db / 20.0)
    automation = bus.automation
    if automation is None:
        return Feed("", ((fader, 0.0), (0.0, fader)))
    return Feed("", STEREO, lambda at_s: automation(at_s)[:, None, None] * np.eye(2))
