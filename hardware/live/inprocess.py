"""A live stream without an audio process: the same graph and the same callback, called as time passes on a clock.

On a virtual clock it is as quick as the machine; on the machine's own it keeps the song's pace. What is played goes
to nobody, and the newest minute of it is kept.
"""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from hardware.audio_process.rings import create
from hardware.errors import AudioError
from hardware.live.callback import LiveCallback
from hardware.live.control import obey, tend
from hardware.live.messages import LiveGraph, packed, read_message
from hardware.live.player import Bench
from hardware.live.shared import LiveRings, LiveWord, live_geometry
from hardware.live.stream import RingStream
from hardware.seams import Clock

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["InProcessLive"]

KEPT_S = 60.0
_LATE_S = 0.5
"""A clock that is further ahead has been asleep: what lies between is left out, not made up for in a burst."""


class InProcessLive(RingStream):
    """Plays ``graph`` to the pair ``outputs`` (numbers from 0) of ``channels_out`` outputs that nobody hears.

    Raises
    ------
    DspError
        The graph cannot be built.
    AudioError
        It cannot be sent anywhere, so it could not play on a real interface either.
    """

    device = "room"

    def __init__(
        self,
        graph: LiveGraph,
        *,
        clock: Clock,
        rate_hz: int,
        block_frames: int,
        outputs: tuple[int, int],
        channels_out: int,
        ring_s: float,
    ) -> None:
        graph = read_message(io.BytesIO(packed(graph)).read)
        geometry = live_geometry(ring_s, rate_hz=rate_hz, block_frames=block_frames, channels=graph.channels)
        path = create(geometry)
        try:
            rings = LiveRings(path, geometry)
        finally:
            path.unlink(missing_ok=True)
        super().__init__(rings, graph, outputs, rate_hz=rate_hz)
        self._bench = Bench(graph, rate_hz=rate_hz, block_frames=block_frames)
        self._callback = LiveCallback(rings, self._bench.player, outputs, rate_hz=rate_hz)
        self._out = np.zeros((block_frames, channels_out), np.float32)
        self.kept: deque[NDArray[np.float32]] = deque(maxlen=max(1, round(KEPT_S * rate_hz / block_frames)))
        """What was played, block by block, all outputs."""
        self._clock = clock
        self._began_s = clock.monotonic()
        self._blocks = 0
        self._closed = False
        words = rings.words
        words[LiveWord.LATENCY] = self._bench.player.latency_frames
        words[LiveWord.TAIL] = self._bench.player.tail_frames

    def _send(self, message: bytes) -> None:
        obey(read_message(io.BytesIO(message).read), self._bench, self._rings)

    def _failure(self) -> Exception | None:
        if self._closed:
            return AudioError("The audio stream is closed.")
        failure = self._callback.failure
        return None if failure is None else AudioError(f"The mix graph failed: {failure}")

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass, and play the blocks that are due by then."""
        self._clock.sleep(seconds)
        per_s = self.rate_hz / self.block_frames
        due = int((self._clock.monotonic() - self._began_s) * per_s) - self._blocks
        if due > _LATE_S * per_s and due > 2 * seconds * per_s:
            self._began_s += due / per_s
            due = 1
        self.advance(due)

    def advance(self, blocks: int) -> None:
        """Play this many blocks."""
        for _ in range(blocks):
            if self._closed:
                return
            self._callback(self._out, self.block_frames, None, None)
            self.kept.append(self._out.copy())
            self._blocks += 1
            tend(self._bench, self._rings)

    @property
    def audio(self) -> NDArray[np.float32]:
        """What was played, as far as it is kept, (frames, channels_out)."""
        return np.concatenate([np.zeros((0, self._out.shape[1]), np.float32), *self.kept])

    def close(self) -> None:
        """End the stream; harmless when called twice."""
        self._closed = True
