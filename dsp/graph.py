"""The whole mix as a graph: strips, inserts, sends, busses and side-chains, in step to the sample.

Whatever is late makes everything that meets it wait: shorter ways are delayed, keys too, so that all that is summed
or compared belongs to one moment of the song. Every output leaves the graph ``latency_frames`` late, no more and no
less; who writes a file leaves out as many frames at its beginning. Every sample is the same for any block size and any
number of threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dsp.bank import Source
from dsp.errors import DspError, ShapeError
from dsp.graph_bank import Bank
from dsp.graph_chain import RunningInsert
from dsp.graph_change import GraphChange, by_title, change_inserts, compared
from dsp.graph_chunk import CHUNK_FRAMES, Build, Chunk, Freeze, SumRoom
from dsp.graph_pipeline import Pipeline
from dsp.graph_plan import plan_graph, title
from dsp.graph_settings import MAIN, GraphBus, GraphStrip, Insert, Node
from dsp.graph_stages import stages_of
from dsp.meters import GraphMeters
from dsp.processor import STEP_FRAMES
from dsp.song_line import SongLine

__all__ = ["CHANGE_FRAMES", "GraphBlock", "MixGraph"]

CHANGE_FRAMES = 512
"""Frames that a change takes unless it is told otherwise: 11 ms at 48 kHz, so that no step of a fader is heard."""

_MOST_THREADS = 8


@dataclass(frozen=True)
class GraphBlock:
    """What one block of stems became, everything ``latency_frames`` late.

    ``pre``: in the strips' order, before their faders, (n, ch) float32; None for those that were not asked for.
    ``bus``: the main bus, (n, 2) float64. ``stems``: what the strips asked for feed to their output bus, ``busses``:
    likewise of the busses, both (n, 2).
    """

    pre: Sequence[NDArray[np.float32] | None]
    bus: NDArray[np.float64]
    stems: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    busses: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class MixGraph:
    """A running graph of ``strips`` and ``busses`` at ``rate_hz``.

    Parameters
    ----------
    strips, busses
        A name is used once among the strips, and once among the busses.
    bus : GraphBus, optional
        What the main bus does with its sum; left out, the sum itself comes out.
    threads
        Left out: the machine's processors, at most eight.
    start_frame
        The frame of the song that the first frame of the stems is; a multiple of STEP_FRAMES where gains move.
    pre, stems, with_busses
        The strips whose signals before the fader, and whose stems, are wanted in the blocks; and whether every bus is.
    meters
        Whether levels, gain reduction and loudness are measured.
    freeze
        Gives the tapes of strips whose inserts were heard before, or are to be kept.

    Attributes
    ----------
    latency_frames : int
        How late every output is.
    late_frames : dict of str to int
        What the inserts of each "strip NAME" and "bus NAME" cost, for those that cost something.
    meters : GraphMeters or None
        What is measured, newest with every block.
    tail_frames : int
        How long, after the last sample of the stems, something may still come (latency not counted).

    Raises
    ------
    DspError
        A feed, key or ``minus`` names what is not there, a name is used twice, the mix feeds itself, or an effect
        cannot be built.
    """

    def __init__(
        self,
        strips: Sequence[GraphStrip],
        busses: Sequence[GraphBus] = (),
        bus: GraphBus | None = None,
        *,
        rate_hz: float,
        threads: int | None = None,
        start_frame: int = 0,
        pre: Collection[str] = (),
        stems: Collection[str] = (),
        with_busses: bool = False,
        meters: bool = False,
        freeze: Freeze | None = None,
    ) -> None:
        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self._position = 0
        wanted = min(os.cpu_count() or 1, _MOST_THREADS) if threads is None else threads
        chains: dict[str, list[RunningInsert]] = {}
        self._line = SongLine(start_frame)

        def started(node: str, insert: Insert, channels: int) -> tuple[int, int]:
            running = RunningInsert(insert, channels, rate_hz=rate_hz, start_frame=start_frame)
            chains.setdefault(node, []).append(running)
            return running.latency_frames, running.tail_frames

        plan = plan_graph(self.strips, busses, bus if bus is not None else GraphBus(), started)
        for name, chain in chains.items():
            for running, place in zip(chain, plan.nodes[name].places, strict=True):
                running.stand(place, self._line)
        self.latency_frames = plan.latency_frames(with_busses=with_busses)
        self.tail_frames = plan.tail_frames
        self.late_frames = plan.late_frames
        nodes: tuple[Node, ...] = (*plan.strips, *plan.busses.values())
        self._nodes: Mapping[str, Node] = {title(node): node for node in nodes}
        self._prepared: Mapping[str, Node] = self._nodes
        """As the last change that was prepared would have them."""
        self._chains = chains
        self._keeps_first = with_busses or bool(stems)
        self._line.late_frames = max(step.leaves_frames for step in plan.steps)
        self._keys = frozenset(insert.key for node in nodes for insert in node.inserts if insert.key)
        self._busses = tuple(plan.busses)
        self._stems = [strip.name for strip in self.strips if strip.name in stems and strip.on_bus]
        self._leaving = [name for name, b in plan.busses.items() if name == MAIN or (with_busses and b.feeds)]
        self._pre = frozenset(pre)
        self._no_pre = (None,) * len(self.strips)
        self._known: tuple[NDArray[np.float32], ...] | None = None
        """Stems that were looked at."""
        build = Build(
            plan,
            chains,
            rate_hz,
            self._line,
            self.latency_frames,
            self._pre,
            stems,
            self._keys,
            with_busses,
            freeze,
        )
        self._left: GraphBlock | None = None
        threads = 1 if meters else wanted
        self._stages = stages_of(build, apart=threads > 1)
        self._source: Source | None = None
        self._size = 0
        """Frames of the next chunk that is pulled. The first one is as long as was asked: a latency, say."""
        # More threads than stages would only wake each other.
        threads = min(threads, len(self._stages))
        self._pipeline = Pipeline(self._next, [stage.run for stage in self._stages], threads)
        self._rooms = itertools.cycle([SumRoom(self._busses) for _ in range(self._pipeline.depth)])
        self._leads = {name: stage.leads for stage in self._stages for name in stage.titles}
        self.meters: GraphMeters | None = self._metered() if meters else None

    def _metered(self) -> GraphMeters:
        channels = [strip.channels for strip in self.strips]
        meters = GraphMeters(channels, self._busses, self._chains, self.rate_hz)
        for stage in self._stages:
            stage.measure(meters)
        return meters

    def process(self, stems: Sequence[NDArray[np.float32]]) -> GraphBlock:
        """Mix the next block of every stem, each (n, ch) float32 with one n for all, in the strips' order.

        A sample that is not finite becomes 0. A tuple that was given before, its arrays filled anew, is not looked at
        again: that is the quickest. Raises ShapeError for a wrong number of stems or a wrong shape; nothing has been
        processed then.
        """
        frames = self._check(stems)
        if 0 < frames <= CHUNK_FRAMES:
            return self._mixed(frames, stems)
        starts = range(0, frames, CHUNK_FRAMES)
        sizes = [min(CHUNK_FRAMES, frames - start) for start in starts]
        return self._in_a_row(
            [
                self._mixed(size, [stem[start : start + size] for stem in stems])
                for start, size in zip(starts, sizes, strict=True)
            ]
        )

    def _mixed(self, frames: int, stems: Sequence[NDArray[np.float32]]) -> GraphBlock:
        chunk = self._begun(frames, stems, None)
        for stage in self._stages:
            stage.run(chunk)
        return self._finished(chunk)

    def pull(self, frames: int, source: Source) -> GraphBlock:
        """Mix the next ``frames`` frames of stems that ``source`` fills in.

        ``source`` is told a strip's index and the (n, channels) to fill, with silence after a stem's end: for one strip
        by one thread at a time, for several by several. The thread that works on a stem asks for it, so that its
        samples are still in the cache. While a stage works on one chunk others work on those before and behind it, as
        many at once as there are threads: the source is asked for some chunks more than is mixed. What it raises may
        come as much earlier.
        """
        self._source = source
        self._size = self._size or min(frames, CHUNK_FRAMES)
        taken: list[GraphBlock] = []
        while frames:
            block = self._left or self._finished(self._pipeline.next())
            self._left = _part(block, slice(frames, None)) if len(block.bus) > frames else None
            taken.append(block if self._left is None else _part(block, slice(frames)))
            frames -= len(taken[-1].bus)
        return self._in_a_row(taken)

    def _next(self) -> Chunk:
        size, self._size = self._size, CHUNK_FRAMES
        return self._begun(size, (), self._source)

    def _begun(self, frames: int, stems: Sequence[NDArray[np.float32]], source: Source | None) -> Chunk:
        """Return the next chunk in front of all stages."""
        pre: Sequence[NDArray[np.float32] | None] = self._no_pre
        if self._pre:
            pre = [np.empty((frames, s.channels), np.float32) if s.name in self._pre else None for s in self.strips]
        chunk = Chunk(self._position, frames, stems, pre, next(self._rooms).sums(frames), source, self._keys)
        if self.meters is not None:
            self.meters.begin(frames)
        self._position += frames
        return chunk

    def _finished(self, chunk: Chunk) -> GraphBlock:
        """Return what a chunk became behind all stages."""
        if not self._stems and len(self._leaving) == 1:
            return GraphBlock(chunk.pre, chunk.outputs[MAIN])
        busses = {name: chunk.outputs[name] for name in self._leaving}
        return GraphBlock(chunk.pre, busses.pop(MAIN), {name: chunk.stems[name] for name in self._stems}, busses)

    def _in_a_row(self, blocks: Sequence[GraphBlock]) -> GraphBlock:
        """Return blocks as one."""
        if len(blocks) == 1:
            return blocks[0]
        pre = [
            None if strip.name not in self._pre else _row([b.pre[index] for b in blocks], strip.channels, np.float32)
            for index, strip in enumerate(self.strips)
        ]
        return GraphBlock(
            pre,
            _row([block.bus for block in blocks]),
            {name: _row([block.stems[name] for block in blocks]) for name in self._stems},
            {name: _row([block.busses[name] for block in blocks]) for name in self._leaving if name != MAIN},
        )

    def _check(self, stems: Sequence[NDArray[np.float32]]) -> int:
        if stems is self._known and stems:
            return len(stems[0])
        if len(stems) != len(self.strips):
            raise ShapeError(f"the mix has {len(self.strips)} strips, but {len(stems)} stems were given")
        frames = len(stems[0]) if stems else 0
        for strip, stem in zip(self.strips, stems, strict=True):
            if stem.shape != (frames, strip.channels):
                raise ShapeError(f"strip {strip.name!r} takes ({frames}, {strip.channels}), not {stem.shape}")
        self._known = stems if isinstance(stems, tuple) else None
        return frames

    @property
    def non_finite(self) -> dict[str, int]:
        """How many samples of each strip were not finite and became 0, for those that had any."""
        banks = [stage for stage in self._stages if isinstance(stage, Bank)]
        found = sorted(one for bank in banks for one in bank.non_finite())
        return {self.strips[index].name: count for index, count in found if count}

    @property
    def non_finite_count(self) -> int:
        """How many samples of all strips that is."""
        return sum(stage.non_finite_count for stage in self._stages if isinstance(stage, Bank))

    def peaks(self) -> list[NDArray[np.float32]]:
        """Return every strip's peaks per channel before its fader since this was last asked, for meters."""
        found = dict(one for stage in self._stages if isinstance(stage, Bank) for one in stage.peaks())
        return [found[index] for index in range(len(self.strips))]

    def prepare(
        self, strips: Sequence[GraphStrip], busses: Sequence[GraphBus] = (), bus: GraphBus | None = None
    ) -> GraphChange | None:
        """Return the change to these settings, or None where they are another structure, which needs another graph.

        The same structure are the same strips and busses in the same order, as wide, with the same kinds of inserts and
        the same keys. Feeds may come and go where the signals of a stage are led anyway. Another thread may prepare
        while this one processes, and ``apply`` then costs little; changes are applied in the order of their making.

        Raises
        ------
        DspError
            A band cannot be built at this rate, an insert would refuse one of its moves, or a ``minus`` names what does
            not feed the main bus.
        """
        after = by_title(strips, busses, bus if bus is not None else GraphBus())
        change = compared(
            self._prepared, after, self._leads, tuple(strips), rate_hz=self.rate_hz, same_first=self._keeps_first
        )
        if change is not None:
            self._prepared = change.nodes
        return change

    def apply(self, change: GraphChange, frames: int = CHANGE_FRAMES) -> bool:
        """Go to what was prepared over the next ``frames`` frames, at least one step of 16, without a click.

        It is heard from the next block on, whatever the latency. Moves count from the present moment on. False, and
        nothing has changed, where an effect refuses (its latency would be another one, say): that needs another graph.
        """
        if not change_inserts(self._chains, change.nodes, frames):
            return False
        changed = {name: node for name, node in change.nodes.items() if node is not self._nodes[name]}
        for stage in self._stages if changed else ():
            stage.change(changed, self._position, frames)
        self._nodes = change.nodes
        self.strips = change.strips
        return True

    def change(
        self,
        strips: Sequence[GraphStrip],
        busses: Sequence[GraphBus] = (),
        bus: GraphBus | None = None,
        *,
        frames: int = CHANGE_FRAMES,
    ) -> bool:
        """``prepare`` and ``apply``: return whether these settings are of the same structure and are now gone to.

        False: nothing has changed; build another graph. Raises DspError as ``prepare`` does; nothing has changed then.
        """
        change = self.prepare(strips, busses, bus)
        return change is not None and self.apply(change, frames)

    @property
    def song_frame(self) -> int:
        """The frame of the song that the next frame of the stems is."""
        return self._line.at(self._position, 1)[1]

    def locate(self, frame: int) -> None:
        """Make the next frame of the stems frame ``frame`` of the song.

        All that moves follows from there, each stage when what comes next reaches it, and goes there in one step of 16
        frames. Sound rings on. Raises DspError unless both this frame and the next one as it would have been are
        multiples of STEP_FRAMES.
        """
        if frame % STEP_FRAMES or self.song_frame % STEP_FRAMES:
            raise DspError(
                f"the song cannot go from frame {self.song_frame} to frame {frame}",
                hint=f"Both must be multiples of {STEP_FRAMES}.",
            )
        self._line.locate(self._position, frame)

    def reset(self) -> None:
        """Forget all that was heard, and be at the newest moment of the song everywhere. For when nothing sounds."""
        for stage in self._stages:
            stage.reset()
        self._line.arrive()
        if self.meters is not None:
            self.meters.reset()

    def close(self) -> None:
        """End the threads; the graph goes on working with one."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(parts: Sequence[Any], channels: int = 2, dtype: Any = np.float64) -> NDArray[Any]:
    return np.concatenate([np.zeros((0, channels), dtype), *parts])


def _part(block: GraphBlock, part: slice) -> GraphBlock:
    """Return some frames of a block."""
    return GraphBlock(
        [None if signal is None else signal[part] for signal in block.pre],
        block.bus[part],
        {name: signal[part] for name, signal in block.stems.items()},
        {name: signal[part] for name, signal in block.busses.items()},
    )
