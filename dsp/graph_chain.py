"""Running inserts: side-chain keys that arrive in time, parameters that move with the song."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.errors import DspError
from dsp.graph_moves import Ride
from dsp.graph_plan import Place
from dsp.graph_settings import Insert
from dsp.processor import STEP_FRAMES, Block

__all__ = ["RunningInsert"]


class RunningInsert:
    """One insert, running on ``channels`` channels from frame ``start_frame`` of the song on.

    Raises DspError where it cannot be built, or would refuse one of its moves in mid-song.
    """

    def __init__(self, insert: Insert, channels: int, *, rate_hz: float, start_frame: int) -> None:
        self._insert = insert
        self._channels = channels
        self._ride = Ride(insert, rate_hz)
        self._told = self._ride.settings(start_frame)
        self._processor = self._told.start(rate_hz, channels)
        self.latency_frames = self._processor.latency_frames
        self.tail_frames = self._processor.tail_frames
        """The longest while its parameters move."""
        self._moves = self._begins = bool(insert.moves)
        self._song = start_frame
        self._done = 0
        self._wait = self._key_wait = History(0, channels)
        if self._moves:
            self._try(rate_hz)

    def _try(self, rate_hz: float) -> None:
        tried = self._told.start(rate_hz, self._channels)
        for frame in self._ride.breakpoints():
            try:
                tried.change(self._ride.settings(frame), STEP_FRAMES)
            except DspError as error:
                names = ", ".join(move.address for move in self._insert.moves)
                raise DspError(f"{self._insert.settings.kind} cannot move its {names}: {error}") from error
            self.tail_frames = max(self.tail_frames, tried.tail_frames)

    def stand(self, place: Place) -> None:
        """Take its place in a graph: a move is made where its *output* has reached the move's moment of the song."""
        self._song -= place.leaves_frames
        self._wait = History(place.wait_frames, self._channels)
        self._key_wait = History(place.key_wait_frames, place.key_channels)

    def process(self, block: Block, position: int, keys: Mapping[str, Block]) -> None:
        """Process the next block in place; ``keys`` begin at frame ``position`` from the graph's start."""
        if self._wait.reach:
            block[:] = self._wait.late(block)
        key: NDArray[np.float32] | None = None
        if self._insert.key:
            begin = self._done - position
            key = np.ascontiguousarray(self._key_wait.late(keys[self._insert.key][begin : begin + len(block)]))
        done = 0
        while done < len(block):
            size = len(block) - done
            if self._moves:
                size = min(size, self._tell(self._done + done + self._song, size))
            self._processor.process(block[done : done + size], None if key is None else key[done : done + size])
            done += size
        self._done += len(block)

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
