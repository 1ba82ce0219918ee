"""Meters of a live graph on their way to the parent: copied every few milliseconds, no lock."""

from __future__ import annotations

import math
from collections.abc import Callable

from dsp.graph import MixGraph
from hardware.live.player import Player
from hardware.live.shared import GATE_SLOTS, MAX_BUSSES, LiveRings, LiveWord

__all__ = ["MeterWriter"]


_EVERY_S = 0.005
_GATE_HZ = 10
_GATE_BLOCKS = 4
"""Gating blocks of BS.1770-5 are 400 ms long and begin every 100 ms."""


class MeterWriter:
    """Copies what ``player``'s graph measures into ``rings``; `write` is called once a block.

    The graph's peaks fall slowly, so that a reading every 5 ms misses nothing. The word METERS is odd while they are
    written.
    """

    def __init__(self, rings: LiveRings, player: Player, *, rate_hz: int) -> None:
        self._rings = rings
        self._words = rings.words
        self._player = player
        self._hop = rate_hz / _GATE_HZ
        self._every = max(1, math.ceil(_EVERY_S * rate_hz / rings.geometry.block_frames))
        self._blocks = self._position = self._begun = 0
        self._tell: Callable[[], None] = lambda: None
        self._graph: MixGraph | None = None

    def write(self, frames: int) -> None:
        """Write the meters, if it is time again, after the graph has run for ``frames`` frames."""
        self._blocks += 1
        graph = self._player.graph
        meters = graph.meters
        if meters is None:
            return
        now = self._hops(frames)
        if self._blocks % self._every and not now:
            return
        if graph is not self._graph:
            self._bind(graph)
        words, rings = self._words, self._rings
        count = words[LiveWord.METERS] + 1
        words[LiveWord.METERS] = count
        self._tell()
        words[LiveWord.METERS] = count + 1
        if now >= _GATE_BLOCKS:
            gated = words[LiveWord.GATED]
            rings.gated[gated % GATE_SLOTS] = meters.momentary_lufs
            words[LiveWord.GATED] = gated + 1

    def _hops(self, frames: int) -> int:
        """Count on from the song's beginning; return how many 100 ms are over, 0 where none ended just now."""
        if self._begun != self._player.begun:
            self._begun, self._position = self._player.begun, 0
        before = int(self._position / self._hop)
        self._position += frames
        now = int(self._position / self._hop)
        return now if now > before else 0

    def _bind(self, graph: MixGraph) -> None:
        """Find the places of another graph's meters."""
        self._graph, rings, meters = graph, self._rings, graph.meters
        if meters is None:
            return
        busses = min(len(meters.bus_peaks), MAX_BUSSES)
        strips = rings.strip_peaks, rings.strip_rms, rings.strip_reduction_db
        levels = rings.bus_peaks[:busses], rings.bus_rms[:busses], rings.bus_reduction_db[:busses]
        self._tell = meters.telling(*strips, *levels, rings.main)
