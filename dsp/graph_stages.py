"""The running parts of a graph: banks of strips and single busses, each with the delays that keep its ways in step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.engine import BusProcessor, BusSettings, MixEngine, StripSettings
from dsp.graph_chain import RunningInsert, run_chain
from dsp.graph_moves import ramp
from dsp.graph_plan import GraphPlan, Step, title
from dsp.graph_settings import MAIN, REVERB, STEREO, Feed, GraphBus, GraphStrip
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


@dataclass(frozen=True)
class Build:
    """What a graph's stages are built from. All outputs leave ``latency_frames`` late."""

    plan: GraphPlan
    chains: dict[str, list[RunningInsert]]
    rate_hz: float
    start_frame: int
    threads: int
    latency_frames: int
    stems: Collection[str]
    with_busses: bool


class Stage:
    """What hands signals on to busses, each so late that all that meet there are in step."""

    def __init__(self, step: Step, build: Build) -> None:
        self._rate_hz = build.rate_hz
        self._leaves_frames = step.leaves_frames
        self._leave_frames = max(0, build.latency_frames - step.leaves_frames)
        self._song = build.start_frame - step.leaves_frames
        self._ways: dict[str, list[tuple[int, Feed]]] = {}
        self._waits: dict[str, History] = {}
        self._product = np.zeros(CHUNK_FRAMES)
        self._part: Planar = np.zeros((2, CHUNK_FRAMES))

    def run(self, chunk: Chunk) -> None:
        """Take in what comes, work on it, hand it on."""
        raise NotImplementedError

    def close(self) -> None:
        """End what runs beside."""

    def _lead(self, number: int, ways: Iterable[Feed], plan: GraphPlan) -> None:
        """Lead signal ``number`` to its busses."""
        for way in ways:
            if way.to:
                self._ways.setdefault(way.to, []).append((number, way))
                wait = plan.nodes[f"bus {way.to}"].arrives_frames - self._leaves_frames
                self._waits.setdefault(way.to, History(wait, 2, np.float64))

    def _hand_on(self, chunk: Chunk, signals: Sequence[NDArray[np.floating[Any]]]) -> None:
        """Sum the signals (frames, channels) bus by bus."""
        for bus, ways in self._ways.items():
            total: Planar = np.zeros((2, chunk.frames))
            for number, way in ways:
                total += self._fed(signals[number], way, chunk.position)
            chunk.sums[bus] += self._waits[bus].late(total.T).T

    def _fed(self, signal: NDArray[np.floating[Any]], feed: Feed, position: int) -> Planar:
        """Return what ``feed`` makes of ``signal`` (frames, channels), (2, frames); good until the next call."""
        frames = len(signal)
        part, product = self._part[:, :frames], self._product[:frames]
        gains: NDArray[np.float64] | None = None
        if feed.automation is not None:
            gains = ramp(feed.automation, position + self._song, frames, self._rate_hz)
        for side in range(2):
            part[side] = 0.0
            for channel, pair in enumerate(feed.gains):
                if gains is not None or pair[side] != 0.0:
                    gain = pair[side] if gains is None else gains[:, channel, side]
                    np.multiply(signal[:, channel], gain, out=product, dtype=np.float64)
                    part[side] += product
        return part


class _Seat:
    """One strip of a bank: what surrounds its filters and compressor."""

    def __init__(self, index: int, strip: GraphStrip, bank_frames: int, leave_frames: int, build: Build) -> None:
        self.index = index
        self.strip = strip
        chain = build.chains.get(title(strip), [])
        self._pre, self._post = chain[: len(strip.pre)], chain[len(strip.pre) :]
        self._gain = np.float32((-1.0 if strip.polarity_inverted else 1.0) * 10.0 ** (strip.trim_db / 20.0))
        self._wait = History(bank_frames - build.plan.nodes[title(strip)].leaves_frames, strip.channels)
        self.leave = History(leave_frames, strip.channels)

    @property
    def core(self) -> StripSettings:
        """What the engine does of the strip: no sums, and no trim where inserts stand behind it."""
        core = replace(self.strip, on_bus=False, send=0.0, automation=None)
        return replace(core, trim_db=0.0, polarity_inverted=False) if self._pre else core

    def before(self, chunk: Chunk) -> NDArray[np.float32]:
        """Return the stem, trimmed and through the inserts in front where there are any."""
        stem = chunk.inputs[self.index]
        if not self._pre:
            return stem
        block: NDArray[np.float32] = np.multiply(stem, self._gain, order="C")
        run_chain(self._pre, block, chunk.position, chunk.keys)
        return block

    def after(self, chunk: Chunk, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the inserts behind in ``block``; return it as late as the whole bank."""
        run_chain(self._post, block, chunk.position, chunk.keys)
        late: NDArray[np.float32] = self._wait.late(block)
        return late


class Bank(Stage):
    """Strips that wait for the same stages before them; all leave it equally late."""

    def __init__(self, step: Step, build: Build, pool: ThreadPoolExecutor | None) -> None:
        super().__init__(step, build)
        self._pool = pool
        strips = [(index, build.plan.strips[index]) for index in step.strips]
        self._seats = [_Seat(i, strip, step.leaves_frames, self._leave_frames, build) for i, strip in strips]
        self._engine = MixEngine([seat.core for seat in self._seats], rate_hz=build.rate_hz, threads=build.threads)
        self._stems: dict[str, tuple[int, Feed, History]] = {}
        for number, (_, strip) in enumerate(strips):
            ways = strip.ways(reverb=REVERB in build.plan.busses)
            self._lead(number, ways, build.plan)
            if strip.name in build.stems and strip.on_bus:
                self._stems[strip.name] = number, ways[0], History(self._leave_frames, 2, np.float64)

    def run(self, chunk: Chunk) -> None:
        """Run every strip, then sum them bus by bus."""
        each: Callable[..., Iterable[Any]] = map if self._pool is None else self._pool.map
        blocks = self._engine.process(list(each(lambda seat: seat.before(chunk), self._seats))).pre
        signals = list(each(lambda seat, block: seat.after(chunk, block), self._seats, blocks))
        for seat, block, signal in zip(self._seats, blocks, signals, strict=True):
            chunk.keys[seat.strip.name] = block
            chunk.pre[seat.index][:] = seat.leave.late(signal)
        self._hand_on(chunk, signals)
        for name, (number, way, leave) in self._stems.items():
            chunk.stems[name] = leave.late(self._fed(signals[number], way, chunk.position).T).copy()

    def close(self) -> None:
        """End the engine's threads."""
        self._engine.close()


class BusStage(Stage):
    """One bus: everything that feeds it meets in its sum."""

    def __init__(self, step: Step, build: Build) -> None:
        super().__init__(step, build)
        bus = build.plan.busses[step.bus]
        self._name = bus.name
        chain = build.chains.get(title(bus), [])
        self._pre, self._post = chain[: len(bus.pre)], chain[len(bus.pre) :]
        plain = BusSettings(bus.bands, bus.compressor)
        self._middle = BusProcessor(plain, build.rate_hz) if bus.bands or bus.compressor else None
        self._lead(0, bus.feeds, build.plan)
        ways = (_fader(bus),) if bus.name == MAIN else bus.feeds if build.with_busses else ()
        self._leaves = ways[:1]
        self._leave = History(self._leave_frames, 2, np.float64)

    def run(self, chunk: Chunk) -> None:
        """Process the sum and hand it on."""
        signal: NDArray[np.floating[Any]] = np.ascontiguousarray(chunk.sums[self._name].T)
        if self._pre:
            signal = signal.astype(np.float32)
            run_chain(self._pre, signal, chunk.position, chunk.keys)
        if self._middle is not None:
            signal = self._middle.process(signal)
        if self._post:
            signal = signal.astype(np.float32)
            run_chain(self._post, signal, chunk.position, chunk.keys)
        if self._name in chunk.wanted_keys:
            chunk.keys[self._name] = signal.astype(np.float32)
        self._hand_on(chunk, [signal])
        for way in self._leaves:
            chunk.outputs[self._name] = self._leave.late(self._fed(signal, way, chunk.position).T).copy()


def _fader(bus: GraphBus) -> Feed:
    """Return the main bus's fader as its way out of the graph."""
    fader = 10.0 ** (bus.fader_db / 20.0)
    automation = bus.automation
    if automation is None:
        return Feed("", ((fader, 0.0), (0.0, fader)))
    return Feed("", STEREO, lambda at_s: automation(at_s)[:, None, None] * np.eye(2))
