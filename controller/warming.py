"""Compile all kernels at once, so that no command has to wait for them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.events import Emit, Progress, Started
from dsp.kernels import compiled

__all__ = ["ROOM", "Warmed", "warm"]

ROOM = "the virtual room"
"""What has kernels of its own, which it shares with nothing that it tests: numba keeps them."""

_MOST_PROCESSES = 4
_TIMEOUT_S = 300.0

_WORKER = f"""
import gc, json, sys, time
gc.disable()  # what a compiler builds up is needed to the end, and this process is nothing but one
troubles = []
for line in sys.stdin:
    name = line.strip()
    start = time.perf_counter()
    try:
        if name == {ROOM!r}:
            import numpy as np
            from hardware.room.model import RoomModel
            from hardware.room.room import Room
            room = Room(RoomModel.ideal(), rate_hz=48_000)
            room.process(np.zeros((4096, room.inputs), np.float32))
        else:
            from dsp.kernels import compiled
            compiled.on_compile = lambda told: troubles.append(told.trouble)
            compiled.library(name)
        answer = {{"trouble": "".join(troubles)}}
    except Exception as error:
        answer = {{"trouble": str(error) or type(error).__name__}}
    troubles.clear()
    print(json.dumps({{**answer, "seconds": time.perf_counter() - start}}), flush=True)
"""
"""Compiles what it is told to, line by line: one start of the compiler for many modules."""


@dataclass(frozen=True)
class Warmed:
    """What compiling everything came to.

    ``kept`` were compiled before; ``taken`` are the seconds of those that are now; ``troubles`` say why some of them
    could not be compiled or kept.
    """

    seconds: float
    kept: tuple[str, ...] = ()
    taken: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)


def warm(emit: Emit, command: Sequence[str] = (sys.executable, "-P", "-c", _WORKER)) -> Warmed:
    """Compile every kernel that is not kept yet, several modules at a time.

    Parameters
    ----------
    emit
        Is told which module is done, how many there are and how long it took.
    command
        Starts a worker; tests pass their own.
    """
    start = time.monotonic()
    names = compiled.modules()
    kept = tuple(sorted(name for name in names if compiled.warm(name)))
    todo = [ROOM, *(name for name in names if name not in kept)]
    already = f"{', '.join(kept)} {'is' if len(kept) == 1 else 'are'} compiled; " if kept else ""
    emit(Started("kernels", f"{already}compiling {', '.join(todo)}"))
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, float, str]] = queue.SimpleQueue()
    for name in todo:
        waiting.put(name)
    workers = [
        threading.Thread(target=_work, args=(command, waiting, done), daemon=True)
        for _ in range(min(len(todo), os.cpu_count() or 1, _MOST_PROCESSES))
    ]
    for worker in workers:
        worker.start()
    seconds: dict[str, float] = {}
    troubles: dict[str, str] = {}
    for count in range(1, len(todo) + 1):
        name, seconds[name], trouble = done.get()
        if trouble:
            troubles[name] = trouble
        emit(Progress("kernels", count / len(todo), detail=f"{count} of {len(todo)}: {name} {seconds[name]:.1f} s"))
    for worker in workers:
        worker.join()
    return Warmed(time.monotonic() - start, kept, seconds, troubles)


def _work(
    command: Sequence[str], waiting: queue.SimpleQueue[str], done: queue.SimpleQueue[tuple[str, float, str]]
) -> None:
    """Have one worker process compile what is waiting; one that dies takes down the module it was at and no other."""
    name = _next(waiting)
    while name:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        ) as process:
            while name and (answer := _asked(process, name)):
                done.put((name, *answer))
                name = _next(waiting)
        if name:
            done.put((name, 0.0, f"the compiling process ended with status {process.returncode}"))
            name = _next(waiting)


def _next(waiting: queue.SimpleQueue[str]) -> str:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return ""


def _asked(process: subprocess.Popen[str], name: str) -> tuple[float, str] | None:
    """Return the seconds and the trouble a module took, or None where the process died of it or hung."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
    overdue = threading.Timer(_TIMEOUT_S, process.kill)
    overdue.start()
    try:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                answer = json.loads(line)
                return float(answer["seconds"]), str(answer["trouble"])
    except (OSError, ValueError):
        pass
    finally:
        overdue.cancel()
    return None
