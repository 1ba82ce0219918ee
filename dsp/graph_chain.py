"""Running chains of inserts: side-chain keys that arrive in time, parameters that move with the song."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.errors import DspError
from dsp.graph_moves import Ride
from dsp.graph_settings import Insert
from dsp.processor import STEP_FRAMES, Block

__all__ = ["Chain", "KeyLatency"]

KeyLatency = Callable[[str], tuple[int, int]]
"""Latency [frames] and channels of the signal that a key's name stands for."""


class Chain:
    """Inserts one after the other on ``channels`` channels of a signal that is ``latency_frames`` late already.

    ``latency_frames`` afterwards is how late the output is. A key that comes later than the signal makes the signal
    wait for it; one that comes earlier waits itself. A move is made where the *output* of its insert has reached the
    move's moment of the song.
    """

    def __init__(
        self,
        inserts: Sequence[Insert],
        channels: int,
        *,
        rate_hz: float,
        latency_frames: int,
        start_frame: int,
        keys: KeyLatency,
    ) -> None:
        self._running: list[_Running] = []
        self.latency_frames = latency_frames
        for insert in inserts:
            running = _Running(insert, channels, rate_hz, self.latency_frames, start_frame, keys)
            self._running.append(running)
            self.latency_frames = running.latency_frames

    @property
    def tail_frames(self) -> int:
        """The tails of all inserts together [frames]."""
        return sum(running.tail_frames for running in self._running)

    def process(self, block: Block, position: int, keys: Mapping[str, Block]) -> None:
        """Process the next block in place; ``position`` is its first frame, from the graph's start."""
        for running in self._running:
            running.process(block, position, keys)


class _Running:
    """One insert of a chain."""

    def __init__(
        self, insert: Insert, channels: int, rate_hz: float, arrives: int, start_frame: int, keys: KeyLatency
    ) -> None:
        self._key = insert.key
        key_latency, key_channels = keys(insert.key) if insert.key else (arrives, channels)
        self._wait = History(max(0, key_latency - arrives), channels)
        self._key_wait = History(max(0, arrives - key_latency), key_channels)
        here = max(arrives, key_latency)
        self._ride = Ride(insert, rate_hz)
        self._told = self._ride.settings(start_frame - here)
        self._processor = self._told.start(rate_hz, channels)
        self.latency_frames = here + self._processor.latency_frames
        self.tail_frames = self._processor.tail_frames
        """The longest while its parameters move."""
        self._song = start_frame - self.latency_frames
        self._moves = self._begins = bool(insert.moves)
        if self._moves:
            self._try(insert, rate_hz, channels)

    def _try(self, insert: Insert, rate_hz: float, channels: int) -> None:
        """Refuse at once what the effect would refuse in mid-song."""
        tried = self._told.start(rate_hz, channels)
        for frame in self._ride.breakpoints():
            try:
                tried.change(self._ride.settings(frame), STEP_FRAMES)
            except DspError as error:
                names = ", ".join(move.address for move in insert.moves)
                raise DspError(f"{insert.settings.kind} cannot move its {names}: {error}", hint=error.hint) from error
            self.tail_frames = max(self.tail_frames, tried.tail_frames)

    def process(self, block: Block, position: int, keys: Mapping[str, Block]) -> None:
        """Process the next block in place."""
        if self._wait.reach:
            block[:] = self._wait.late(block)
        key: NDArray[np.float32] | None = None
        if self._key:
            key = np.ascontiguousarray(self._key_wait.late(keys[self._key]))
        done = 0
        while done < len(block):
            size = len(block) - done
            if self._moves:
                size = min(size, self._tell(position + done + self._song, size))
            self._processor.process(block[done : done + size], None if key is None else key[done : done + size])
            done += size

    def _tell(self, song: int, frames: int) -> int:
        """Tell the effect where to be at the next knot; return how many frames it can run until something is due."""
        due, now = self._ride.next(song)
        if due is None:
            return frames
        wanted = self._ride.settings(due)
        # The first block may begin between two knots.
        if (now or self._begins) and wanted != self._told:
            self._processor.change(wanted, due - song)
            self._told = wanted
        self._begins = False
        return due - song
