"""Meters of a live graph on their way to the parent: the highest between two readings, no lock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardware.live.player import Player
from hardware.live.shared import GATE_SLOTS, LiveRings, LiveWord

__all__ = ["MeterWriter"]

_GATE_HZ = 10
_GATE_BLOCKS = 4
"""Gating blocks of BS.1770-5 are 400 ms long and begin every 100 ms."""


class MeterWriter:
    """Writes what ``player``'s graph measures into ``rings``, one call a block.

    Peaks stand until the parent says that it took them; the word METERS is odd while they are written.
    """

    def __init__(self, rings: LiveRings, player: Player, *, rate_hz: int) -> None:
        self._rings = rings
        self._words = rings.words
        self._player = player
        self._hop = rate_hz / _GATE_HZ
        self._position = self._begun = 0
        self._count = 0
        self._peak = np.zeros(2)
        self._magnitudes = np.zeros((rings.geometry.block_frames, 2))

    def write(self, bus: NDArray[np.float64]) -> None:
        """Write the meters of the block that the graph has just run; ``bus`` (n, 2) is what came out."""
        words, rings = self._words, self._rings
        meters = self._player.graph.meters
        if meters is None:
            return
        count = words[LiveWord.METERS] + 1
        words[LiveWord.METERS] = count
        fresh = words[LiveWord.TAKEN] >= self._count
        self._count = count + 1
        np.abs(bus, out=self._magnitudes[: len(bus)]).max(axis=0, out=self._peak)
        for shared, now in (
            (rings.strip_peaks, meters.strip_peaks),
            (rings.bus_peaks, meters.bus_peaks),
            (rings.main[0:2], meters.true_peak),
            (rings.main[4:6], self._peak),
        ):
            held = shared[: len(now)]
            if fresh:
                held[:] = now
            else:
                np.maximum(held, now, out=held)
        rings.strip_rms[: len(meters.strip_rms)] = meters.strip_rms
        rings.bus_rms[: len(meters.bus_rms)] = meters.bus_rms
        rings.strip_reduction_db[: len(meters.strip_reduction_db)] = meters.strip_reduction_db
        rings.main[2] = meters.momentary_lufs
        rings.main[3] = meters.short_term_lufs
        self._gate(len(bus), meters.momentary_lufs)
        words[LiveWord.METERS] = count + 1

    def _gate(self, frames: int, momentary_lufs: float) -> None:
        """Keep the momentary loudness every 100 ms from the song's beginning on, for the integrated."""
        if self._begun != self._player.begun:
            self._begun, self._position = self._player.begun, 0
        before = int(self._position / self._hop)
        self._position += frames
        now = int(self._position / self._hop)
        if now > before and now >= _GATE_BLOCKS:
            gated = self._words[LiveWord.GATED]
            self._rings.gated[gated % GATE_SLOTS] = momentary_lufs
            self._words[LiveWord.GATED] = gated + 1
