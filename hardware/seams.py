"""The seams of the hardware floor: clock, byte ports, audio streams.

Workflows, recall and tests stand on one side; real parts, the in-process room and doubles on the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]


class Clock(Protocol):
    """Monotonic time and sleep; tests pass a fake one, so no test sleeps."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """Time that passes only when somebody sleeps: the in-process room and the tests run on it."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move time on by ``seconds`` at once."""
        self._now += max(0.0, seconds)


@dataclass(frozen=True)
class Token:
    """Bytes as they arrived: one whole MIDI message, or one chunk of a serial stream."""

    at_s: float
    data: bytes


class BytePort(Protocol):
    """One opened MIDI or serial port, both directions."""

    name: str

    def send(self, data: bytes) -> None:
        """Send one whole MIDI message or one serial command.

        Raises
        ------
        DisconnectedError
            The port vanished.
        """
        ...

    def receive(self, timeout_s: float) -> list[Token]:
        """Everything that arrived since the last call; waits up to ``timeout_s`` [s] for the first token."""
        ...

    def close(self) -> None:
        """Release the port; harmless when called twice."""
        ...


@dataclass(frozen=True)
class Xrun:
    """A disturbance of a run, at the frame of the run (from 0) where its block began.

    ``kind``: ``input`` or ``output`` as flagged by the audio system, ``feeder`` when our own ring ran dry or full.
    """

    at_frame: int
    frames: int
    kind: Literal["input", "output", "feeder"]


@dataclass(frozen=True)
class RunReport:
    """What one run did: frames played and recorded, and every xrun."""

    frames: int
    xruns: tuple[Xrun, ...]


class Source(Protocol):
    """Where a run's output comes from."""

    def read(self, frames: int) -> Block:
        """At most ``frames`` frames, shape (n, outputs), float32, full scale 1.0; fewer means the end, then silence."""
        ...


class Sink(Protocol):
    """Where a run's input goes. An exception raised here ends the run at once, in silence."""

    def write(self, block: Block) -> None:
        """Take one block of shape (n, inputs), float32, full scale 1.0; the block is reused after return."""
        ...


class AudioStream(Protocol):
    """One opened duplex stream. Frame n of a run's output and frame n of its input share one clock tick.

    Between runs the stream keeps going in silence, so a latency measured in one run holds for the next
    run of the same stream.
    """

    rate_hz: int
    block_frames: int
    outputs: int
    inputs: int

    def run(
        self,
        source: Source,
        sink: Sink,
        frames: int,
        *,
        progress: Callable[[int], None] | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> RunReport:
        """Play ``frames`` frames of ``source`` and record as many into ``sink``.

        ``progress`` is called with the frames recorded so far, a few times a second; ``on_block`` with the frame that
        is played next, as often as the stream can: what is to happen at a frame of the run is done there. An
        exception that it raises ends the run at once, in silence.
        """
        ...

    def close(self) -> None:
        """Stop the stream; harmless when called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
