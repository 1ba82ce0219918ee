"""The whole mix as a graph: strips, inserts, sends, busses and side-chains, in step to the sample.

Whatever is late makes everything that meets it wait: shorter ways are delayed, keys too, so that all that is summed
or compared belongs to one moment of the song. Every output leaves the graph ``latency_frames`` late, no more and no
less; who writes a file leaves out as many frames at its beginning. Every sample is the same for any block size and any
number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.graph_settings import MAIN, REVERB, GraphBus, GraphStrip, Node, levels, with_minus
from dsp.graph_stages import CHUNK_FRAMES, Bank, Build, BusStage, Chunk, Stage

__all__ = ["GraphBlock", "MixGraph"]

_MOST_THREADS = 8


@dataclass(frozen=True)
class GraphBlock:
    """What one block of stems became, everything ``latency_frames`` late.

    ``pre``: every strip before its fader, (n, ch) float32, in the strips' order. ``bus``: the main bus, (n, 2) float64.
    ``stems``: what the strips asked for feed to their output bus, ``busses``: likewise of the busses, both (n, 2).
    """

    pre: list[NDArray[np.float32]]
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
        The frame of the song that the first frame of the stems is.
    stems, with_busses
        Whose stems (by strip) and whether every bus is wanted in the blocks.

    Attributes
    ----------
    latency_frames : int
        How late every output is.
    late_frames : dict of str to int
        What the inserts of each "strip NAME" and "bus NAME" cost, for those that cost something.
    tail_frames : int
        How long, after the last sample of the stems, something may still come (latency not counted).
    non_finite : dict of str to int
        How many samples of each strip were not finite and became 0, for those that had any.

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
        stems: Collection[str] = (),
        with_busses: bool = False,
    ) -> None:
        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self.non_finite: dict[str, int] = {}
        self._position = 0
        wanted = min(os.cpu_count() or 1, _MOST_THREADS) if threads is None else threads
        self._pool = ThreadPoolExecutor(wanted, "mix") if wanted > 1 and any(s.inserts for s in strips) else None
        every, others = with_minus(self.strips, busses)
        every_bus = [*others, bus if bus is not None else GraphBus()]
        nodes: tuple[Node, ...] = (*every, *every_bus)
        self._keys = frozenset(insert.key for node in nodes for insert in node.inserts if insert.key)
        build = Build(rate_hz=rate_hz, start_frame=start_frame, threads=wanted, busses=[b.name for b in every_bus])
        self._stages: list[Stage] = []
        for step in _steps(every, every_bus):
            if isinstance(step, GraphBus):
                self._stages.append(BusStage(step, build))
            else:
                self._stages.append(Bank(step, build, self._pool, stems))
        self._busses = tuple(build.sources)
        leaving = [s for s in self._stages if with_busses or not isinstance(s, BusStage) or s.name == MAIN]
        self.latency_frames = max(stage.latency_frames for stage in leaving)
        for stage in leaving:
            stage.leave(self.latency_frames)
        self.tail_frames = max(stage.tail_frames for stage in self._stages)
        self.late_frames = build.late_frames

    def process(self, stems: Sequence[NDArray[np.float32]]) -> GraphBlock:
        """Mix the next block of every stem, each (n, ch) float32 with one n for all, in the strips' order.

        A sample that is not finite becomes 0. Raises ShapeError for a wrong number of stems or a wrong shape; nothing
        has been processed then.
        """
        frames = self._check(stems)
        clean = [self._clean(strip.name, stem) for strip, stem in zip(self.strips, stems, strict=True)]
        pre = [np.empty(stem.shape, np.float32) for stem in clean]
        chunks: list[Chunk] = []
        for start in range(0, frames, CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, frames)
            chunk = Chunk(
                self._position,
                stop - start,
                [stem[start:stop] for stem in clean],
                [block[start:stop] for block in pre],
                {name: np.zeros((2, stop - start)) for name in self._busses},
                self._keys,
            )
            for stage in self._stages:
                stage.run(chunk)
            chunks.append(chunk)
            self._position += stop - start
        busses = _joined(chunk.outputs for chunk in chunks)
        bus = busses.pop(MAIN, np.zeros((0, 2)))
        return GraphBlock(pre, bus, _joined(chunk.stems for chunk in chunks), busses)

    def _check(self, stems: Sequence[NDArray[np.float32]]) -> int:
        if len(stems) != len(self.strips):
            raise ShapeError(f"the mix has {len(self.strips)} strips, but {len(stems)} stems were given")
        frames = len(stems[0]) if stems else 0
        for strip, stem in zip(self.strips, stems, strict=True):
            if stem.shape != (frames, strip.channels):
                raise ShapeError(f"strip {strip.name!r} takes ({frames}, {strip.channels}), not {stem.shape}")
        return frames

    def _clean(self, name: str, stem: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(stem)
        if finite.all():
            return stem
        self.non_finite[name] = self.non_finite.get(name, 0) + int(finite.size - np.count_nonzero(finite))
        return np.where(finite, stem, np.float32(0.0))

    def close(self) -> None:
        """End the threads; the graph goes on working with one."""
        for stage in self._stages:
            stage.close()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _joined(parts: Iterable[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    every = list(parts)
    if len(every) == 1:
        return every[0]
    return {name: np.concatenate([part[name] for part in every]) for name in (every[0] if every else ())}


def _steps(strips: Sequence[GraphStrip], busses: Sequence[GraphBus]) -> list[GraphBus | list[tuple[int, GraphStrip]]]:
    """Return what runs one after the other: strips together that wait for the same, busses one by one."""
    names = {"strip": [s.name for s in strips], "bus": [b.name for b in busses]}
    for kind, used in names.items():
        twice = next((name for name in used if used.count(name) > 1), None)
        if twice is not None:
            raise DspError(f"the mix has two {'strips' if kind == 'strip' else 'busses'} called {twice!r}")
    nodes: tuple[Node, ...] = (*strips, *busses)
    waits: dict[str, list[str]] = {}
    for node in nodes:
        waits[_node(node)] = [_key_node(insert.key, node, names) for insert in node.inserts if insert.key]
    reverb = REVERB in names["bus"]
    for source in nodes:
        for way in source.ways(reverb=reverb) if isinstance(source, GraphStrip) else source.feeds:
            if way.to and way.to not in names["bus"]:
                raise DspError(f"{_node(source)} feeds bus {way.to!r}, and there is none of that name")
            if way.to:
                waits[f"bus {way.to}"].append(_node(source))
    level = levels(waits)
    steps: list[GraphBus | list[tuple[int, GraphStrip]]] = []
    for height in range(max(level.values()) + 1):
        bank = [(index, strip) for index, strip in enumerate(strips) if level[_node(strip)] == height]
        if bank:
            steps.append(bank)
        steps += [bus for bus in busses if level[_node(bus)] == height]
    return steps


def _node(node: Node) -> str:
    return f"{'bus' if isinstance(node, GraphBus) else 'strip'} {node.name}"


def _key_node(key: str, node: Node, names: dict[str, list[str]]) -> str:
    kind = next((kind for kind in ("bus", "strip") if key in names[kind]), None)
    if kind is None:
        raise DspError(f"an insert of {_node(node)} listens to {key!r}, and there is no strip or bus of that name")
    return f"{kind} {key}"
