"""A live stream inside the program and a song from memory, for the tests of what plays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.graph import MixGraph
from dsp.graph_settings import GraphStrip
from hardware.live.inprocess import InProcessLive
from hardware.live.messages import LiveGraph
from hardware.seams import VirtualClock

RATE_HZ = 48_000
Audio = NDArray[np.float32]


def sine(seconds: float, *, freq_hz: float = 997.0, peak: float = 0.25) -> Audio:
    """A mono sine, (frames, 1)."""
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2.0 * math.pi * freq_hz * at_s)).astype(np.float32)[:, None]


def noise(seconds: float, channels: int = 1, *, seed: int = 1) -> Audio:
    """Noise at -20 dBFS, (frames, channels)."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * RATE_HZ), channels))).astype(np.float32)


def mono(name: str = "vox", gain: float = 1.0, **more: Any) -> GraphStrip:
    """A strip with one channel, as loud on both sides."""
    return GraphStrip(name, 1, gains=((gain, gain),), **more)


class Desk:
    """Plays ``stems`` through ``graph``, one hand on the transport. Ends of stems are silence."""

    def __init__(
        self,
        graph: LiveGraph,
        stems: Sequence[Audio],
        *,
        block_frames: int = 256,
        channels_out: int = 4,
        outputs: tuple[int, int] = (0, 1),
        risen: bool = True,
    ) -> None:
        self.live = InProcessLive(
            graph,
            clock=VirtualClock(),
            rate_hz=RATE_HZ,
            block_frames=block_frames,
            outputs=outputs,
            channels_out=channels_out,
            ring_s=1.0,
        )
        self.stems = stems
        self.block_frames = block_frames
        self.at = 0
        if risen:
            self.live.monitor(1.0)
            self.live.advance(-(-RATE_HZ // 10 // block_frames))

    def feed(self, blocks: int) -> None:
        """Feed the next blocks of the song."""
        for _ in range(blocks):
            part = [stem[self.at : self.at + self.block_frames] for stem in self.stems]
            whole = [np.pad(block, ((0, self.block_frames - len(block)), (0, 0))) for block in part]
            self.live.feed(whole, self.at, self.block_frames, 0)
            self.at += self.block_frames

    def play(self, frame: int = 0, *, blocks: int = 4) -> int:
        """Play from there with so many blocks fed; return the frame of `audio` with which that begins."""
        self.at = frame
        begin = self.live.begin_here()
        self.feed(blocks)
        self.live.play(begin)
        return len(self.live.audio)

    def run(self, blocks: int) -> None:
        """Let the song play on."""
        for _ in range(blocks):
            if self.live.room_blocks:
                self.feed(1)
            self.live.advance(1)
            self.live.check()

    @property
    def audio(self) -> Audio:
        """What was played on all outputs, (frames, outputs)."""
        return self.live.audio


def rendered(graph: LiveGraph, stems: Sequence[Audio], frames: int) -> Audio:
    """What a print of the same graph holds, its latency left in, (frames, 2)."""
    padded = [np.pad(stem, ((0, max(0, frames - len(stem))), (0, 0)))[:frames] for stem in stems]
    with MixGraph(graph.strips, graph.busses, graph.bus, rate_hz=RATE_HZ, threads=1) as whole:
        return whole.process(padded).bus.astype(np.float32)


def largest_step(audio: Audio) -> float:
    """The largest step from one sample to the next."""
    return float(np.abs(np.diff(audio, axis=0)).max(initial=0.0))
