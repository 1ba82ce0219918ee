"""What a null test reads: recordings of any length, a stretch at a time.

A :class:`Signal` answers for any frames, with silence where it has none, so nothing that reads it cares where a file
ends. Arrays inside the package are (channels, frames) float64. An hour of recording is never held: whoever works
through one takes it in blocks of some 2^19 frames, two at a time (numpy's FFTs let another thread run).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ShapeError

Floats = NDArray[np.float64]
Span = tuple[int, int]
Task = TypeVar("Task")
Answer = TypeVar("Answer")

BLOCK_FRAMES = 1 << 19
THREADS = 2
AHEAD = 2  # blocks finished or under way beyond the one that is waited for


@runtime_checkable
class Signal(Protocol):
    """A recording that can be read anywhere, from several threads at once."""

    @property
    def channels(self) -> int:
        """How many channels there are."""

    @property
    def frames(self) -> int:
        """How many frames there are."""

    def read(self, start: int, stop: int) -> Floats:
        """Return the frames ``start ≤ n < stop`` as (channels, stop − start), silence before 0 and from ``frames``."""


@dataclass(frozen=True)
class ArraySignal:
    """An array as a signal."""

    rows: NDArray[np.floating]
    """(channels, frames), full scale 1.0, of any float type."""

    @classmethod
    def of_frames(cls, x: NDArray[np.floating]) -> ArraySignal:
        """Return a signal of (frames, channels) or (frames,).

        Raises
        ------
        ShapeError
            The array has another number of dimensions.
        """
        if x.ndim not in (1, 2):
            raise ShapeError(f"An array of shape {x.shape} is no recording.", hint="Give it as frames by channels.")
        return cls(np.atleast_2d(x.T))

    @property
    def channels(self) -> int:
        """How many rows there are."""
        return int(self.rows.shape[0])

    @property
    def frames(self) -> int:
        """How many columns there are."""
        return int(self.rows.shape[1])

    def read(self, start: int, stop: int) -> Floats:
        """Return the frames ``start ≤ n < stop``, silence where there are none."""
        low, high = max(start, 0), min(stop, self.frames)
        if low == start and high == stop:
            return np.ascontiguousarray(self.rows[:, low:high], dtype=np.float64)
        out = np.zeros((self.channels, max(0, stop - start)))
        if high > low:
            out[:, low - start : high - start] = self.rows[:, low:high]
        return out


@dataclass(frozen=True)
class Picked:
    """Some channels of a signal, in an order of their own; a channel may be taken more than once."""

    source: Signal
    picks: tuple[int, ...]

    @property
    def channels(self) -> int:
        """How many channels were picked."""
        return len(self.picks)

    @property
    def frames(self) -> int:
        """The source's."""
        return self.source.frames

    def read(self, start: int, stop: int) -> Floats:
        """Return the picked channels of these frames."""
        return self.source.read(start, stop)[list(self.picks)]


def as_signal(x: Signal | NDArray[np.floating]) -> Signal:
    """Return a (channels, frames) array as a signal, and a signal as it is."""
    return ArraySignal(x) if isinstance(x, np.ndarray) else x


def blocks(start: int, stop: int, length: int = BLOCK_FRAMES) -> Iterator[Span]:
    """Return the spans that cut ``start ≤ n < stop`` into lengths of ``length`` frames, the last one shorter."""
    return ((first, min(first + length, stop)) for first in range(start, stop, length))


def in_order(work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
    """Return ``work`` of every task in the order of the tasks, done by two threads that run only a little ahead.

    ``work`` keeps no state. What it raises is raised here, and nothing further is begun.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[Answer]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
