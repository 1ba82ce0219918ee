"""Running inserts: side-chain keys that arrive in time, parameters that move with the song."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History, Wait
from dsp.errors import DspError
from dsp.graph_moves import Ride, Teller
from dsp.graph_plan import Place
from dsp.graph_settings import Insert
from dsp.processor import STEP_FRAMES, Block, Settings
from dsp.song_line import SongLine

__all__ = ["RunningInsert", "check_moves"]


def check_moves(insert: Insert, channels: int, rate_hz: float, start_frame: int) -> int:
    """Return the longest tail of an insert while its parameters move [frames].

    Raises DspError where it cannot be built, or would refuse one of its moves in mid-song.
    """
    ride = Ride(insert.settings, insert.moves, rate_hz)
    tried = ride.settings(start_frame).start(rate_hz, channels)
    tail = tried.tail_frames
    for frame in ride.breakpoints():
        try:
            tried.change(ride.settings(frame), STEP_FRAMES)
        except DspError as error:
            names = ", ".join(move.address for move in insert.moves)
            raise DspError(f"{insert.settings.kind} cannot move its {names}: {error}") from error
        tail = max(tail, tried.tail_frames)
    return tail


class RunningInsert:
    """One insert, running on ``channels`` channels from frame ``start_frame`` of the song on.

    Raises DspError where it cannot be built, or would refuse one of its moves in mid-song.
    """

    def __init__(self, insert: Insert, channels: int, *, rate_hz: float, start_frame: int) -> None:
        self.insert = insert
        self._channels = channels
        self._rate_hz = rate_hz
        self._late = self._done = 0
        self._wait, self._key_wait = Wait(0, channels), History(0, channels)
        ride = Ride(insert.settings, insert.moves, rate_hz)
        begin = ride.settings(start_frame)
        self._processor = begin.start(rate_hz, channels)
        self._follow(ride, begin, SongLine(start_frame))
        self.latency_frames = self._processor.latency_frames
        self.tail_frames = self._processor.tail_frames
        """The longest while its parameters move."""
        if insert.moves:
            self.tail_frames = max(self.tail_frames, check_moves(insert, channels, rate_hz, start_frame))

    def _follow(self, ride: Ride[Settings], begin: Settings, line: SongLine, frames: int = 0) -> None:
        self._line, self._begin = line, begin
        self._teller = Teller(ride, begin, self._processor.change, line, self._done - self._late + frames)
        self._ride = ride
        insert = self.insert
        self._plain = not (insert.moves or insert.key)
        """Whether it hears nothing but what comes, and always does the same with it."""

    def stand(self, place: Place, line: SongLine) -> None:
        """Take its place in a graph: a move is made where its *output* has reached the move's moment of the song."""
        self._late = place.leaves_frames
        self._wait = Wait(place.wait_frames, self._channels)
        self._key_wait = History(place.key_wait_frames, place.key_channels)
        self._follow(self._ride, self._begin, line)

    @property
    def reduction_db(self) -> float | None:
        """Its current gain reduction [dB], 0 or below; None for an effect that knows none."""
        return getattr(self._processor, "reduction_db", None)

    def change(self, insert: Insert, frames: int) -> None:
        """Go to another insert's settings over ``frames`` frames; its moves count from now on.

        Raises DspError where the running effect cannot become that; nothing has changed then.
        """
        ride = Ride(insert.settings, insert.moves, self._rate_hz)
        begin = ride.settings(self._line.at(self._done - self._late, 1)[1] + frames)
        self._processor.change(begin, frames)
        self.insert = insert
        self._follow(ride, begin, self._line, frames)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._processor.reset()
        self._wait.clear()
        self._key_wait.clear()

    def process(self, block: Block, position: int, keys: Mapping[str, Block]) -> None:
        """Process the next block in place; ``keys`` begin at frame ``position`` from the graph's start."""
        self._wait.process(block)
        if self._plain:
            self._processor.process(block)
            self._done += len(block)
            return
        key: NDArray[np.float32] | None = None
        if self.insert.key:
            begin = self._done - position
            key = np.ascontiguousarray(self._key_wait.late(keys[self.insert.key][begin : begin + len(block)]))
        done = 0
        while done < len(block):
            size = self._teller.due(self._done + done - self._late, len(block) - done)
            self._processor.process(block[done : done + size], None if key is None else key[done : done + size])
            done += size
        self._done += len(block)
