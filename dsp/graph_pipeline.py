"""Chunks on their way through a graph's stages, several at once, on several threads.

A stage takes the chunks one by one and in order, a chunk the stages likewise: so whatever a stage remembers, and every
sum, comes about as if one thread did it all. Whoever has nothing to do takes the oldest chunk that can go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Pipeline"]

T = TypeVar("T")


class _UnderWay(Generic[T]):
    def __init__(self, chunk: T) -> None:
        self.chunk = chunk
        self.passed = 0
        """Stages it has gone through."""
        self.busy = False


class Pipeline(Generic[T]):
    """Takes what ``begin`` returns through ``stages``, on ``threads`` threads, the one that asks for it included.

    At most ``depth`` chunks are under way. ``begin`` is called by one thread at a time.
    """

    def __init__(self, begin: Callable[[], T], stages: Sequence[Callable[[T], None]], threads: int) -> None:
        self.depth = threads + 1 if threads > 1 else 1
        self._begin = begin
        self._stages = stages
        self._under_way: deque[_UnderWay[T]] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name="stages", daemon=True) for _ in range(threads - 1)]

    def next(self) -> T:
        """Return the next chunk behind all stages. Raises what a stage raised, for this chunk or one behind it."""
        with self._changed:
            for thread in self._threads:
                if thread.ident is None:
                    thread.start()
            while True:
                if self._error is not None:
                    raise self._error
                if self._under_way and self._under_way[0].passed == len(self._stages):
                    self._changed.notify()
                    return self._under_way.popleft().chunk
                if not self._work():
                    self._changed.wait()

    def close(self) -> None:
        """End the threads; the one that asks goes on alone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._threads = []

    def _run(self) -> None:
        with self._changed:
            while not self._closed and self._error is None:
                if not self._work():
                    self._changed.wait()

    def _work(self) -> bool:
        """Take a chunk through one stage; return whether there was one for which it was time. Wants the lock."""
        here = self._ready()
        if here is None:
            return False
        here.busy = True
        self._changed.release()
        error: BaseException | None = None
        try:
            self._stages[here.passed](here.chunk)
        except BaseException as raised:  # told to whoever asks for the chunk
            error = raised
        finally:
            self._changed.acquire()
        if error is not None:
            self._error = error  # the chunk stays busy: nothing overtakes it
        else:
            here.passed += 1
            here.busy = False
        self._changed.notify_all()
        return True

    def _ready(self) -> _UnderWay[T] | None:
        before = len(self._stages) + 1
        for here in self._under_way:
            if not here.busy and here.passed < min(before, len(self._stages)):
                return here
            before = here.passed
        if len(self._under_way) < self.depth and before > 0:
            self._under_way.append(_UnderWay(self._begin()))
            return self._under_way[-1]
        return None
