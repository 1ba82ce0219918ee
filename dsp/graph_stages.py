"""The running parts of a graph: banks of strips and single busses, each with the delays that keep its ways in step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.bank import BankStrip, Source, StripBank
from dsp.delay import History
from dsp.engine import Automation, BusProcessor, BusSettings, strip_sound
from dsp.graph_chain import RunningInsert
from dsp.graph_moves import Teller, ramp
from dsp.graph_plan import GraphPlan, Step, title
from dsp.graph_settings import MAIN, REVERB, STEREO, Feed, GraphBus, GraphStrip
from dsp.graph_sound import Sound, sound_teller
from dsp.processor import Block, Processor, Settings

__all__ = ["CHUNK_FRAMES", "Bank", "Build", "BusStage", "Chunk", "Stage"]

CHUNK_FRAMES = 8192
"""Frames that pass through all stages at once, at most."""

Planar = NDArray[np.float64]
"""Two sides of audio, (2, frames)."""


@dataclass
class Chunk:
    """What the stages hand on to each other while one chunk of the song passes.

    ``inputs`` and ``pre`` are in the strips' order, (frames, channels); a ``source`` fills the inputs in instead.
    ``sums`` by bus; ``keys`` by strip or bus: its
    signal before its fader, of the ``wanted_keys``. ``stems`` by strip, ``outputs`` by bus, (frames, 2).
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


NOTHING = Chunk(0, 0, (), (), {})


@dataclass(frozen=True)
class Build:
    """What a graph's stages are built from. All outputs leave ``latency_frames`` late."""

    plan: GraphPlan
    chains: dict[str, list[RunningInsert]]
    rate_hz: float
    start_frame: int
    threads: int
    latency_frames: int
    pre: Collection[str]
    stems: Collection[str]
    keys: Collection[str]
    with_busses: bool


class Stage:
    """What hands signals on to busses, each so late that all that meet there are in step."""

    def __init__(self, step: Step, build: Build) -> None:
        self._rate_hz = build.rate_hz
        self._leaves_frames = step.leaves_frames
        self._leave_frames = max(0, build.latency_frames - step.leaves_frames)
        self._song = build.start_frame - step.leaves_frames
        self._waits: dict[str, History] = {}
        self._product = np.zeros(CHUNK_FRAMES)
        self._part: Planar = np.zeros((2, CHUNK_FRAMES))

    def run(self, chunk: Chunk) -> None:
        """Take in what comes, work on it, hand it on."""
        raise NotImplementedError

    def close(self) -> None:
        """End what runs beside."""

    def _lead(self, busses: Iterable[str], plan: GraphPlan) -> None:
        """Get ready for leading signals to these busses."""
        for bus in busses:
            wait = plan.nodes[f"bus {bus}"].arrives_frames - self._leaves_frames
            self._waits[bus] = History(wait, 2, np.float64)

    def _hand_on(self, chunk: Chunk, bus: str, signal: Planar) -> None:
        """Add a signal (2, frames) to a bus's sum."""
        chunk.sums[bus] += self._waits[bus].late(signal.T).T

    def _fed(self, signal: NDArray[np.floating[Any]], feed: Feed, position: int) -> Planar:
        """Return what ``feed`` makes of ``signal`` (frames, channels), (2, frames); good until the next call."""
        frames = len(signal)
        part, product = self._part[:, :frames], self._product[:frames]
        gains: NDArray[np.float64] | None = None
        if feed.automation is not None:
            gains = ramp(feed.automation, position + self._song, frames, self._rate_hz)
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


class _Part:
    """A piece of a strip's way that the bank runs: it stands where the graph has put it."""

    latency_frames = tail_frames = 0

    def change(self, settings: Settings, frames: int) -> None:
        """Change nothing: the song does."""

    def reset(self) -> None:
        """Forget nothing: a graph begins once."""


class _InBank(_Part):
    """An insert on pieces of the chunk that passes through its bank."""

    def __init__(self, running: RunningInsert, bank: Bank) -> None:
        self._running = running
        self._bank = bank

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next piece in place."""
        chunk = self._bank.chunk
        self._running.process(block, chunk.position, chunk.keys)


class _Wait(_Part):
    """What a strip waits for the others of its bank."""

    def __init__(self, frames: int, channels: int) -> None:
        self._history = History(frames, channels)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Delay the next piece in place."""
        block[:] = self._history.late(block)


class Bank(Stage):
    """Strips that wait for the same stages before them; all leave it equally late."""

    def __init__(self, step: Step, build: Build) -> None:
        super().__init__(step, build)
        self.chunk = NOTHING
        self._indices = step.strips
        self._strips = [build.plan.strips[index] for index in step.strips]
        ways = [strip.ways(reverb=REVERB in build.plan.busses) for strip in self._strips]
        self._busses = list(dict.fromkeys(way.to for some in ways for way in some if way.to))
        self._stems: dict[str, tuple[int, Feed, History]] = {}
        self._inputs: list[History] = []
        self._leaves = [History(self._leave_frames, strip.channels) for strip in self._strips]
        self._lead(self._busses, build.plan)
        self._tellers: list[tuple[int, Teller[Sound]]] = []
        seats = []
        for number, (strip, some) in enumerate(zip(self._strips, ways, strict=True)):
            if strip.name in build.stems and strip.on_bus:
                self._stems[strip.name] = number, some[0], History(self._leave_frames, 2, np.float64)
            seats.append(self._seat(number, strip, some, build))
        destinations = 2 * max(1, len(self._busses))
        self._bank = StripBank(seats, destinations, build.rate_hz, build.threads)

    def _seat(self, number: int, strip: GraphStrip, ways: Sequence[Feed], build: Build) -> BankStrip:
        chain: list[Processor] = [_InBank(running, self) for running in build.chains.get(title(strip), [])]
        pre, post = chain[: len(strip.pre)], chain[len(strip.pre) :]
        wait = self._leaves_frames - build.plan.nodes[title(strip)].leaves_frames
        # A strip without inserts waits in front of the bank: it then stays among the lanes that nothing interrupts.
        self._inputs.append(History(0 if chain else wait, strip.channels))
        if chain and wait:
            (post or pre).append(_Wait(wait, strip.channels))
        begin = strip
        if strip.moves:
            places = build.plan.nodes[title(strip)].places[: len(strip.pre)]
            late = self._leaves_frames if not strip.post else places[-1].leaves_frames if places else 0
            song = build.start_frame - late
            begin, teller = sound_teller(
                strip,
                strip.moves,
                song,
                build.rate_hz,
                lambda to, frames: self._bank.change(number, strip_sound(to, build.rate_hz), frames),
            )
            self._tellers.append((song, teller))
        moving = any(way.automation is not None for way in ways)
        wants = (build.pre, build.stems, build.keys)
        return BankStrip(
            strip.name,
            tuple(map(tuple, self._gains(ways, strip.channels))),
            strip.channels,
            strip_sound(begin, build.rate_hz),
            self._automation(ways, strip.channels) if moving else None,
            tuple(pre),
            tuple(post),
            wants_pre=any(strip.name in names for names in wants),
        )

    def _gains(self, ways: Sequence[Feed], channels: int) -> list[list[float]]:
        """Return the gains from each channel to each destination."""
        gains = np.zeros((channels, 2 * max(1, len(self._busses))))
        for way in ways:
            if way.to:
                side = 2 * self._busses.index(way.to)
                gains[:, side : side + 2] += way.gains
        found: list[list[float]] = gains.tolist()
        return found

    def _automation(self, ways: Sequence[Feed], channels: int) -> Automation:
        places = [(2 * self._busses.index(way.to), way) for way in ways if way.to]
        rate_hz, song, width = self._rate_hz, self._song, 2 * len(self._busses)

        def gains(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
            song_s = (np.rint(at_s * rate_hz) + song) / rate_hz
            found = np.zeros((len(at_s), channels, width))
            for side, way in places:
                found[:, :, side : side + 2] += way.gains if way.automation is None else way.automation(song_s)
            return found

        return gains

    def run(self, chunk: Chunk) -> None:
        """Run every strip, and sum them bus by bus."""
        self.chunk = chunk
        if chunk.source is not None and not self._tellers:
            sums, signals = self._bank.pull(chunk.frames, self._read)
        else:
            inputs = [self._input(number, chunk) for number in range(len(self._indices))]
            sums, signals = self._bank.process(inputs) if not self._tellers else self._told(inputs, chunk)
        for number, index in enumerate(self._indices):
            signal, out = signals[number], chunk.pre[index]
            if signal is not None:
                name = self._strips[number].name
                if name in chunk.wanted_keys:  # a copy: the bank may run ahead of those that listen
                    chunk.keys[name] = signal.copy()
                if out is not None:
                    out[:] = self._leaves[number].late(signal)
        for number, bus in enumerate(self._busses):
            self._hand_on(chunk, bus, sums[2 * number : 2 * number + 2])
        for name, (number, way, leave) in self._stems.items():
            signal = signals[number]
            if signal is not None:
                chunk.stems[name] = leave.late(self._fed(signal, way, chunk.position).T).copy()

    def _read(self, number: int, block: NDArray[np.float32]) -> None:
        """Fill in the next frames of a strip's input."""
        assert self.chunk.source is not None  # noqa: S101 - run() has looked
        self.chunk.source(self._indices[number], block)
        wait = self._inputs[number]
        if wait.reach:
            block[:] = wait.late(block)

    def _input(self, number: int, chunk: Chunk) -> NDArray[np.float32]:
        if chunk.source is None:
            return self._inputs[number].late(chunk.inputs[self._indices[number]])
        block = np.empty((chunk.frames, self._strips[number].channels), np.float32)
        self._read(number, block)
        return block

    def _told(
        self, inputs: Sequence[NDArray[np.float32]], chunk: Chunk
    ) -> tuple[Planar, list[NDArray[np.float32] | None]]:
        """Run the bank from one moment at which a sound moves to the next."""
        sums = np.empty((self._bank.destinations, chunk.frames))
        wanted = [strip.wants_pre for strip in self._bank.strips]
        signals = [
            np.empty(block.shape, np.float32) if wants else None for block, wants in zip(inputs, wanted, strict=True)
        ]
        at = 0
        while at < chunk.frames:
            size = chunk.frames - at
            for song, teller in self._tellers:
                size = teller.due(chunk.position + at + song, size)
            here = slice(at, at + size)
            sums[:, here], parts = self._bank.process([block[here] for block in inputs])
            for whole, part in zip(signals, parts, strict=True):
                if whole is not None and part is not None:
                    whole[here] = part
            at += size
        return sums, signals

    def peaks(self) -> list[tuple[int, NDArray[np.float32]]]:
        """Return each strip's index and the peaks of its channels before its gains, since this was last asked."""
        ends = np.cumsum([strip.channels for strip in self._strips])
        return list(zip(self._indices, np.split(self._bank.peaks(), ends[:-1]), strict=True))

    def non_finite(self) -> list[tuple[int, int]]:
        """Return each strip's index, and how many of its samples were not finite."""
        return list(zip(self._indices, self._bank.non_finite(), strict=True))

    def close(self) -> None:
        """End the bank's threads."""
        self._bank.close()


class BusStage(Stage):
    """One bus: everything that feeds it meets in its sum."""

    def __init__(self, step: Step, build: Build) -> None:
        super().__init__(step, build)
        bus = build.plan.busses[step.bus]
        self._name = bus.name
        chain = build.chains.get(title(bus), [])
        self._pre, self._post = chain[: len(bus.pre)], chain[len(bus.pre) :]
        plain = BusSettings(bus.bands, bus.compressor)
        self._teller: Teller[Sound] | None = None
        self._sound_song = 0
        if bus.moves:
            places = build.plan.nodes[title(bus)].places[: len(bus.pre)]
            late = places[-1].leaves_frames if places else build.plan.nodes[title(bus)].arrives_frames
            self._sound_song = build.start_frame - late
            plain, self._teller = sound_teller(plain, bus.moves, self._sound_song, build.rate_hz, self._change)
        self._middle = BusProcessor(plain, build.rate_hz) if bus.bands or bus.compressor else None
        self._busses = list(dict.fromkeys(way.to for way in bus.feeds if way.to))
        self._feeds = bus.feeds
        self._lead(self._busses, build.plan)
        ways = (_fader(bus),) if bus.name == MAIN else bus.feeds if build.with_busses else ()
        self._leaves = ways[:1]
        self._leave = History(self._leave_frames, 2, np.float64)

    def run(self, chunk: Chunk) -> None:
        """Process the sum and hand it on."""
        signal: NDArray[np.floating[Any]] = np.ascontiguousarray(chunk.sums[self._name].T)
        if self._pre:
            signal = signal.astype(np.float32)
            for insert in self._pre:
                insert.process(signal, chunk.position, chunk.keys)
        if self._middle is not None:
            signal = self._filtered(self._middle, signal, chunk.position)
        if self._post:
            signal = signal.astype(np.float32)
            for insert in self._post:
                insert.process(signal, chunk.position, chunk.keys)
        if self._name in chunk.wanted_keys:
            chunk.keys[self._name] = signal.astype(np.float32)
        for to in self._busses:
            total: Planar = np.zeros((2, chunk.frames))
            for way in self._feeds:
                if way.to == to:
                    total += self._fed(signal, way, chunk.position)
            self._hand_on(chunk, to, total)
        for way in self._leaves:
            chunk.outputs[self._name] = self._leave.late(self._fed(signal, way, chunk.position).T).copy()

    def _change(self, settings: BusSettings, frames: int) -> None:
        if self._middle is not None:
            self._middle.change(settings, frames)

    def _filtered(self, middle: BusProcessor, signal: NDArray[np.floating[Any]], position: int) -> NDArray[np.float64]:
        """Run equaliser and compressor, from one moment at which they move to the next."""
        if self._teller is None:
            return middle.process(signal)
        parts = []
        at = 0
        while at < len(signal):
            size = self._teller.due(position + at + self._sound_song, len(signal) - at)
            parts.append(middle.process(signal[at : at + size]))
            at += size
        return np.concatenate([np.zeros((0, 2)), *parts])


def _fader(bus: GraphBus) -> Feed:
    """Return the main bus's fader as its way out of the graph."""
    fader = 10.0 ** (bus.fader_db / 20.0)
    automation = bus.automation
    if automation is None:
        return Feed("", ((fader, 0.0), (0.0, fader)))
    return Feed("", STEREO, lambda at_s: automation(at_s)[:, None, None] * np.eye(2))
