"""The running parts of a graph: banks of strips and single busses, each with the delays that keep its ways in step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.bank import BankStrip, StripBank
from dsp.bank_strip import Demand, deal
from dsp.bus import BusProcessor, BusSettings
from dsp.delay import History
from dsp.graph_chain import RunningInsert
from dsp.graph_chunk import CHUNK_FRAMES, NOTHING, Build, Chunk, InBank, Planar, Waiting
from dsp.graph_feeds import RunningFeed, change_feeds, fader_feed
from dsp.graph_moves import Teller
from dsp.graph_plan import GraphPlan, Step, title
from dsp.graph_settings import MAIN, REVERB, Feed, GraphBus, GraphStrip, Node
from dsp.graph_sound import Sound, own_sound, sound_teller
from dsp.kernels.compiled import library
from dsp.meters import BankMeter, GraphMeters
from dsp.processor import Block, Processor
from dsp.strip import Automation, strip_sound

__all__ = ["Bank", "BusStage", "Stage", "stages_of"]


class Stage:
    """What hands signals on to busses, each so late that all that meet there are in step."""

    def __init__(self, step: Step, build: Build) -> None:
        self._rate_hz = build.rate_hz
        self._line = build.line
        self._leaves_frames = step.leaves_frames
        self._leave_frames = max(0, build.latency_frames - step.leaves_frames)
        self._waits: dict[str, History] = {}
        self._product = np.zeros(CHUNK_FRAMES)
        self._part: Planar = np.zeros((2, CHUNK_FRAMES))

    @property
    def titles(self) -> Sequence[str]:
        """The strips or the bus that it runs."""
        raise NotImplementedError

    def run(self, chunk: Chunk) -> None:
        """Take in what comes, work on it, hand it on."""
        raise NotImplementedError

    def change(self, nodes: Mapping[str, Node], position: int, frames: int) -> None:
        """Go to other settings of its strips or bus over ``frames`` frames from frame ``position`` on.

        ``nodes``: those that are to change, by title; others than its own may be among them.
        """
        raise NotImplementedError

    def measure(self, meters: GraphMeters) -> None:
        """Have ``meters`` hear what runs from now on."""
        raise NotImplementedError

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
            self._waits[bus] = History(wait, 2, np.float64)

    def _hand_on(self, chunk: Chunk, bus: str, signal: Planar) -> None:
        """Add a signal (2, frames) to a bus's sum."""
        wait = self._waits[bus]
        chunk.add(bus, wait.late(signal.T).T if wait.reach else signal)

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


class Bank(Stage):
    """Strips that wait for the same stages before them; all leave it equally late."""

    def __init__(self, step: Step, build: Build) -> None:
        super().__init__(step, build)
        self.chunk = NOTHING
        self._indices = step.strips
        self._strips = [build.plan.strips[index] for index in step.strips]
        self._numbers = {title(strip): number for number, strip in enumerate(self._strips)}
        self._reverb = REVERB in build.plan.busses
        self._ways = [self._running(strip.ways(reverb=self._reverb)) for strip in self._strips]
        self._busses = list(dict.fromkeys(way.to for some in self._ways for way in some if way.to))
        self._stems: dict[str, tuple[int, RunningFeed, History]] = {}
        self._inputs: list[History] = []
        self._leaves = [History(self._leave_frames, strip.channels) for strip in self._strips]
        self._lead(self._busses, build.plan)
        self._given: Sequence[Block] = ()
        self._own: Sequence[Block] = ()
        """Its own among the inputs of the graph that were given last, where they are ever the same arrays."""
        wanted = {*build.keys, *build.pre}
        self._heard = [(n, index) for n, index in enumerate(self._indices) if self._strips[n].name in wanted]
        """The number and the index of every strip of which somebody wants the signal."""
        self._sums: Planar = np.zeros((0, 0))
        self._parts: list[Planar] = []
        """What the bank made last, and the part of every bus in it."""
        self._add_sides = library("feeds").add_sides.bind(None, None, None)
        self._lates: list[int] = []
        """How late the input of each strip's own filters is."""
        self._tellers: dict[int, Teller[Sound]] = {}
        self._automated: set[int] = set()
        seats = []
        for number, strip in enumerate(self._strips):
            if strip.name in build.stems and strip.on_bus:
                self._stems[strip.name] = number, self._ways[number][0], History(self._leave_frames, 2, np.float64)
            seats.append(self._seat(number, strip, build))
        self._meter: BankMeter | None = None
        destinations = 2 * max(1, len(self._busses))
        self._bank = StripBank(seats, destinations, build.rate_hz)

    def _seat(self, number: int, strip: GraphStrip, build: Build) -> BankStrip:
        chain: list[Processor] = [InBank(running, self) for running in build.chains.get(title(strip), [])]
        pre, post = chain[: len(strip.pre)], chain[len(strip.pre) :]
        wait = self._leaves_frames - build.plan.nodes[title(strip)].leaves_frames
        # A strip without inserts waits in front of the bank: it then stays among the lanes that nothing interrupts.
        self._inputs.append(History(0 if chain else wait, strip.channels))
        if chain and wait:
            (post or pre).append(Waiting(wait, strip.channels))
        self._lates.append(_own_late(strip, self._leaves_frames, build.plan))
        wants = (build.pre, build.stems, build.keys)
        tape = build.freeze(strip, wait, build.latency_frames) if chain and build.freeze is not None else None
        return BankStrip(
            strip.name,
            tuple(map(tuple, self._gains(number))),
            strip.channels,
            strip_sound(self._begun(number, 0, 0), build.rate_hz),
            self._automation(number),
            tuple(pre),
            tuple(post),
            wants_pre=any(strip.name in names for names in wants),
            tape=tape,
        )

    def _begun(self, number: int, position: int, frames: int) -> GraphStrip:
        """Return a strip as it stands ``frames`` after ``position``, and have told from there on what moves in it."""
        strip = self._strips[number]
        self._tellers.pop(number, None)
        if not strip.moves:
            return strip
        begin, self._tellers[number] = sound_teller(
            strip,
            strip.moves,
            position - self._lates[number],
            frames,
            self._line,
            self._rate_hz,
            lambda to, over: self._bank.change(number, strip_sound(to, self._rate_hz), over),
        )
        return begin

    @property
    def titles(self) -> Sequence[str]:
        """The strips that it runs."""
        return tuple(self._numbers)

    def _gains(self, number: int) -> list[list[float]]:
        """Return the gains from each channel of a strip to each destination."""
        gains = np.zeros((self._strips[number].channels, 2 * max(1, len(self._busses))))
        for way in self._ways[number]:
            if way.to:
                side = 2 * self._busses.index(way.to)
                gains[:, side : side + 2] += way.gains
        found: list[list[float]] = gains.tolist()
        return found

    def _automation(self, number: int) -> Automation | None:
        """Return the gains of a strip of which any follows the song."""
        ways = self._ways[number]
        if all(way.feed.automation is None for way in ways):
            return None
        self._automated.add(number)
        shape = self._strips[number].channels, 2 * len(self._busses)

        def gains(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
            at = np.rint(at_s * self._rate_hz).astype(np.int64) - self._leaves_frames
            found = np.zeros((len(at_s), *shape))
            for way in ways:
                if way.to:
                    side = 2 * self._busses.index(way.to)
                    found[:, :, side : side + 2] += way.knots(at)
            return found

        return gains

    def change(self, nodes: Mapping[str, Node], position: int, frames: int) -> None:
        """Go to other settings of its strips."""
        for name, node in nodes.items():
            number = self._numbers.get(name)
            if number is None or not isinstance(node, GraphStrip):
                continue
            before, strip = self._strips[number], node
            self._strips[number] = strip
            if own_sound(strip) != own_sound(before):
                self._bank.change(number, strip_sound(self._begun(number, position, frames), self._rate_hz), frames)
            feeds = strip.ways(reverb=self._reverb)
            at = position - self._leaves_frames
            change_feeds(self._ways[number], feeds, self._line, self._rate_hz, at, frames)
            if number in self._automated:
                continue
            automation = self._automation(number)
            if automation is None:
                self._bank.fade(number, self._gains(number), frames)
            else:
                self._bank.automate(number, automation)

    def reset(self) -> None:
        """Forget all that was heard."""
        super().reset()
        for history in (*self._inputs, *self._leaves, *(leave for _, _, leave in self._stems.values())):
            history.clear()
        self._bank.reset()

    def run(self, chunk: Chunk) -> None:
        """Run every strip, and sum them bus by bus."""
        self.chunk = chunk
        if chunk.source is not None and not self._tellers:
            sums, signals = self._bank.pull(chunk.frames, self._read)
        else:
            inputs = self._own if chunk.inputs is self._given and self._own else self._chosen(chunk)
            sums, signals = self._bank.process(inputs) if not self._tellers else self._told(inputs, chunk)
        for number, index in self._heard:
            signal, out = signals[number], chunk.pre[index]
            if signal is not None:
                name = self._strips[number].name
                if name in chunk.wanted_keys:  # a copy: the bank runs ahead of those that listen
                    chunk.keys[name] = signal.copy()
                if out is not None:
                    out[:] = self._leaves[number].late(signal)
        if sums is not self._sums:
            self._sums, pairs = sums, range(0, 2 * len(self._busses), 2)
            self._parts = [sums[pair : pair + 2] for pair in pairs]
        for bus, part in zip(self._busses, self._parts, strict=True):
            if self._waits[bus].reach:
                self._hand_on(chunk, bus, part)
            else:
                self._add_sides(part, chunk.sums[bus], chunk.is_first(bus))
        if self._meter is not None:
            self._meter.hear()
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

    def _chosen(self, chunk: Chunk) -> Sequence[Block]:
        """Return its inputs, and keep them where they will be the same arrays once more."""
        inputs = tuple(self._input(number, chunk) for number in range(len(self._indices)))
        keeps = isinstance(chunk.inputs, tuple) and not any(wait.reach for wait in self._inputs)
        self._given, self._own = (chunk.inputs, inputs) if keeps and chunk.source is None else ((), ())
        return inputs

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
            for number, teller in self._tellers.items():
                size = teller.due(chunk.position + at - self._lates[number], size)
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
        found = self._bank.peaks() if self._meter is None else self._meter.peaks()
        return list(zip(self._indices, np.split(found, ends[:-1]), strict=True))

    def measure(self, meters: GraphMeters) -> None:
        """Have ``meters`` hear its strips."""
        self._meter = BankMeter(self._bank, self._indices, meters)

    def non_finite(self) -> list[tuple[int, int]]:
        """Return each strip's index, and how many of its samples were not finite."""
        return list(zip(self._indices, self._bank.non_finite(), strict=True))

    @property
    def non_finite_count(self) -> int:
        """How many samples of all its strips were not finite."""
        return self._bank.non_finite_count


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
        if not self._waits[to].reach and not any(way.moves(chunk.position - self._leaves_frames) for way in ways):
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


def stages_of(build: Build, *, apart: bool) -> list[Stage]:
    """Return the stages of a plan in their order; ``apart``: each group of sixteen lanes is a stage of its own."""
    stages: list[Stage] = []
    for step in build.plan.steps:
        if step.bus:
            stages.append(BusStage(step, build))
        else:
            stages += [Bank(part, build) for part in (_groups(step, build) if apart else [step])]
    return stages


def _groups(step: Step, build: Build) -> list[Step]:
    """Return a step's strips cut into those that share sixteen lanes, which are the same as if they were not cut."""
    demands = []
    for index in step.strips:
        strip = build.plan.strips[index]
        at = -_own_late(strip, step.leaves_frames, build.plan)
        begin, _ = sound_teller(strip, strip.moves, at, 0, build.line, build.rate_hz, lambda to, over: None)
        sound = strip_sound(begin, build.rate_hz)
        demands.append(Demand.of(sound, strip.channels, pre=bool(strip.pre), post=bool(strip.post)))
    return [replace(step, strips=tuple(sorted(step.strips[i] for i, _ in group))) for group in deal(demands)]


def _own_late(strip: GraphStrip, leaves_frames: int, plan: GraphPlan) -> int:
    """Return how late the input of a strip's own filters is, where the strip leaves so late [frames]."""
    if not strip.post:
        return leaves_frames
    places = plan.nodes[title(strip)].places[: len(strip.pre)]
    return places[-1].leaves_frames if places else 0
