"""The running strips of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.bank import BankStrip, StripBank
from dsp.delay import History, Wait
from dsp.graph_chunk import NOTHING, Build, Chunk, InBank, Planar, Waiting
from dsp.graph_feeds import RunningFeed, change_feeds
from dsp.graph_moves import Teller
from dsp.graph_plan import GraphPlan, Step, title
from dsp.graph_settings import REVERB, GraphStrip, Node
from dsp.graph_sound import Sound, own_sound, sound_teller
from dsp.graph_stage import Stage
from dsp.meters import BankMeter, GraphMeters
from dsp.processor import Block, Processor
from dsp.strip import Automation, strip_sound

__all__ = ["Bank", "own_late"]


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
        self._inputs: list[Wait] = []
        self._leaves = [History(self._leave_frames, strip.channels) for strip in self._strips]
        self._lead(self._busses, build.plan)
        self._given: Sequence[Block] = ()
        self._stems_in: Sequence[Block] = ()
        self._own: Sequence[Block] = ()
        """What the graph was given last where these are ever the same arrays, which of them are its strips', and what
        these are when they have waited."""
        wanted = {*build.keys, *build.pre}
        self._heard = [(n, index) for n, index in enumerate(self._indices) if self._strips[n].name in wanted]
        """The number and the index of every strip of which somebody wants the signal."""
        self._sums: Planar = np.zeros((0, 0))
        self._parts: list[Planar] = []
        """What the bank made last, and the part of every bus in it."""
        self._lates: list[int] = []
        """How late the input of each strip's own filters is."""
        self._tellers: dict[int, Teller[Sound]] = {}
        self._automated: set[int] = set()
        seats = []
        for number, strip in enumerate(self._strips):
            if strip.name in build.stems and strip.on_bus:
                self._stems[strip.name] = number, self._ways[number][0], History(self._leave_frames, 2, np.float64)
            seats.append(self._seat(number, strip, build))
        self._waiting = [(number, wait) for number, wait in enumerate(self._inputs) if wait.frames]
        self._meter: BankMeter | None = None
        destinations = 2 * max(1, len(self._busses))
        self._bank = StripBank(seats, destinations, build.rate_hz)

    def _seat(self, number: int, strip: GraphStrip, build: Build) -> BankStrip:
        chain: list[Processor] = [InBank(running, self) for running in build.chains.get(title(strip), [])]
        pre, post = chain[: len(strip.pre)], chain[len(strip.pre) :]
        wait = self._leaves_frames - build.plan.nodes[title(strip)].leaves_frames
        # A strip without inserts waits in front of the bank: it then stays among the lanes that nothing interrupts.
        self._inputs.append(Wait(0 if chain else wait, strip.channels))
        if chain and wait:
            (post or pre).append(Waiting(wait, strip.channels))
        self._lates.append(own_late(strip, self._leaves_frames, build.plan))
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
        for wait in self._inputs:
            wait.clear()
        for history in (*self._leaves, *(leave for _, _, leave in self._stems.values())):
            history.clear()
        self._bank.reset()

    def run(self, chunk: Chunk) -> None:
        """Run every strip, and sum them bus by bus."""
        self.chunk = chunk
        if chunk.source is not None and not self._tellers:
            sums, signals = self._bank.pull(chunk.frames, self._read)
        else:
            pulled = chunk.source is not None
            inputs = [self._pulled(n, chunk) for n in range(len(self._strips))] if pulled else self._taken(chunk.inputs)
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
            self._hand_on(chunk, bus, part)
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
        self._inputs[number].process(block)

    def _taken(self, stems: Sequence[Block]) -> Sequence[Block]:
        """Return the inputs of its strips out of the graph's; the same arrays as before where those are."""
        if stems is not self._given or not self._own:
            self._stems_in = [np.ascontiguousarray(stems[index], dtype=np.float32) for index in self._indices]
            as_given = all(one is stems[index] for one, index in zip(self._stems_in, self._indices, strict=True))
            self._given = stems if isinstance(stems, tuple) and as_given else ()
            waits = [wait.frames > 0 for wait in self._inputs]
            self._own = tuple(np.empty_like(one) if w else one for one, w in zip(self._stems_in, waits, strict=True))
        for number, wait in self._waiting:
            wait.late(self._stems_in[number], self._own[number])
        return self._own

    def _pulled(self, number: int, chunk: Chunk) -> Block:
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


def own_late(strip: GraphStrip, leaves_frames: int, plan: GraphPlan) -> int:
    """Return how late the input of a strip's own filters is, where the strip leaves so late [frames]."""
    if not strip.post:
        return leaves_frames
    places = plan.nodes[title(strip)].places[: len(strip.pre)]
    return places[-1].leaves_frames if places else 0
