"""A graph that is played block by block in an audio callback: changed, replaced, sent elsewhere in the song.

What takes time (reading a change, trying it, building another graph) is `Bench`'s work, in whatever thread listens to
the parent. The callback owns the `Player` and only ever takes what lies ready for it.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.graph import MixGraph
from dsp.graph_change import GraphChange
from dsp.processor import STEP_FRAMES
from hardware.live.messages import Delta, LiveGraph

__all__ = ["BLEND_S", "Bench", "Player", "Ready"]

BLEND_S = 0.02
"""How long one graph takes to give way to another [s]."""

_WARM_BLOCKS = 4

Blocks = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Ready:
    """The change of that number, ready for the callback: a change of the graph that runs, or a graph to take over.

    Without either it was refused, and all there is to do is to answer it.
    """

    serial: int
    wanted: LiveGraph
    change: GraphChange | None = None
    graph: MixGraph | None = None


class Player:
    """A running graph and, for a moment, the one that takes its place. One thread owns it.

    ``waiting`` takes what is `Ready` from another thread. ``unfit`` are changes that an effect would not follow:
    another graph is wanted. ``spent`` are graphs that nobody hears any more; ``answered`` is the newest change that is
    heard, or refused.
    """

    def __init__(self, graph: MixGraph, *, rate_hz: int, block_frames: int) -> None:
        self.graph = graph
        self.waiting: deque[Ready] = deque()
        self.unfit: deque[Ready] = deque()
        self.spent: deque[MixGraph] = deque()
        self.answered = 0
        self.song = 0
        """The frame of the song that the next frame of the feed is."""
        self.begun = 0
        """How often it has begun anew."""
        self._next: MixGraph | None = None
        self._lead = 0
        blend = max(1, round(BLEND_S * rate_hz))
        self._rise = (np.arange(1, blend + 1) / blend)[:, None]
        self._blended = 0
        self._joined = np.zeros((block_frames, 2))
        self._silence = [np.zeros((STEP_FRAMES, strip.channels), np.float32) for strip in graph.strips]

    @property
    def latency_frames(self) -> int:
        """How late what is heard is."""
        return (self._next or self.graph).latency_frames

    @property
    def tail_frames(self) -> int:
        """How long it rings on."""
        return (self._next or self.graph).tail_frames

    def take(self) -> None:
        """Take the changes that lie ready, as far as they can begin now."""
        while self.waiting and self._next is None:
            ready = self.waiting.popleft()
            if ready.graph is not None:
                ready.graph.locate(self.song)
                self._next, self._lead, self._blended = ready.graph, ready.graph.latency_frames, 0
            elif ready.change is not None and not self.graph.apply(ready.change):
                self.unfit.append(ready)
                return
            self.answered = ready.serial

    def begin(self, frame: int) -> None:
        """Begin anew at ``frame`` of the song, as a graph does that was just built. For when nothing sounds.

        What moves goes there in one step, which passes in silence; in the song's first step it has that step's slope.
        """
        self.song = frame
        self.begun += 1
        for graph in (self.graph, self._next):
            if graph is not None:
                graph.locate(frame)
                graph.process(self._silence)
                graph.locate(frame)
                graph.reset()

    def locate(self, frame: int) -> None:
        """Let the next frame of the feed be ``frame`` of the song."""
        if frame != self.song:
            self.song = frame
            self.graph.locate(frame)
            if self._next is not None:
                self._next.locate(frame)

    def play(self, feed: Blocks, jump_at: int, jump_to: int) -> NDArray[np.float64]:
        """Play the next block of every strip; the song jumps to ``jump_to`` at frame ``jump_at`` of it, if within.

        Return the main bus, (frames, 2), good until the next call.
        """
        frames = len(feed[0])
        if jump_at >= frames:
            return self._run(feed)
        out = self._joined[:frames]
        out[:jump_at] = self._run([block[:jump_at] for block in feed])
        self.locate(jump_to)
        out[jump_at:] = self._run([block[jump_at:] for block in feed])
        return out

    def _run(self, feed: Blocks) -> NDArray[np.float64]:
        frames = len(feed[0])
        self.song += frames
        out = self.graph.process(feed).bus
        if self._next is None:
            return out
        # It begins with nothing in its delays: it is heard from the moment on at which something arrives.
        new = self._next.process(feed).bus
        wait = min(self._lead, frames)
        self._lead -= wait
        count = min(frames - wait, len(self._rise) - self._blended)
        rise = self._rise[self._blended : self._blended + count]
        self._blended += count
        stop = wait + count
        out[wait:stop] += (new[wait:stop] - out[wait:stop]) * rise
        if self._blended == len(self._rise):
            out[stop:] = new[stop:]
            self.spent.append(self.graph)
            self.graph, self._next = self._next, None
        return out


class Bench:
    """Where changes are read and tried before the callback hears of them.

    Raises
    ------
    DspError
        The first graph cannot be built.
    """

    def __init__(self, wanted: LiveGraph, *, rate_hz: int, block_frames: int) -> None:
        self._rate_hz = rate_hz
        self._silence = [np.zeros((block_frames, strip.channels), np.float32) for strip in wanted.strips]
        self._wanted = self._before = wanted
        self._newest = self._built(wanted)
        self.player = Player(self._newest, rate_hz=rate_hz, block_frames=block_frames)

    def _built(self, wanted: LiveGraph) -> MixGraph:
        """Build a graph, and run it in silence: the first block that is heard must find everything compiled."""
        graph = MixGraph(wanted.strips, wanted.busses, wanted.bus, rate_hz=self._rate_hz, threads=1, meters=True)
        for _ in range(_WARM_BLOCKS):
            graph.process(self._silence)
        graph.locate(0)
        graph.reset()
        return graph

    def change(self, delta: Delta) -> None:
        """Try a change and lay it ready for the callback.

        Raises
        ------
        DspError
            It cannot be made; everything goes on as it was.
        """
        wanted = delta.applied(self._wanted)
        change = self._newest.prepare(wanted.strips, wanted.busses, wanted.bus)
        if change is None:
            self._replace(delta.serial, wanted)
        else:
            self.player.waiting.append(Ready(delta.serial, wanted, change))
        self._before, self._wanted = self._wanted, wanted

    def _replace(self, serial: int, wanted: LiveGraph) -> None:
        self._newest = graph = self._built(wanted)
        self.player.waiting.append(Ready(serial, wanted, graph=graph))

    def unfit(self) -> Ready | None:
        """Return a change that an effect would not follow in the callback, if there is one: another graph is wanted."""
        return self.player.unfit.popleft() if self.player.unfit else None

    def replace(self, ready: Ready) -> None:
        """Build another graph for it.

        Raises
        ------
        DspError
            It cannot be built; what plays plays on.
        """
        try:
            self._replace(ready.serial, ready.wanted)
        except DspError:
            self._wanted = self._before
            raise

    def answer(self, serial: int) -> None:
        """Let a change that was refused count as answered."""
        self.player.waiting.append(Ready(serial, self._wanted))

    def tidy(self) -> None:
        """Let go of graphs that nobody hears any more; to be called now and then."""
        if self.player.spent:
            self.player.spent.clear()
            gc.collect()
