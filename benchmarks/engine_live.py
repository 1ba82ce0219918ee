"""The same graph in the blocks of a live stream: how much of a block's time it takes, and its slowest hundredth.

32 full strips, reverb and bus chain at 256 frames and 48 kHz, one thread, in this process. No audio device runs, so
this is the engine's part of a callback and says nothing of the system's.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.engine_ours import graph_of
from benchmarks.engine_workload import BUS, REVERB, settings_of
from benchmarks.rows import row

STRIPS, FRAMES, RATE_HZ = 32, 256, 48_000


def live_rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the live graph."""
    strips = [{"channels": 1, **settings_of(i)} for i in range(STRIPS)]
    graph = graph_of({"rate_hz": RATE_HZ, "strips": strips, "reverb": REVERB, "bus": BUS}, threads=1)
    rng = np.random.default_rng(1)
    song = [[(0.1 * rng.standard_normal((FRAMES, 1))).astype(np.float32) for _ in strips] for _ in range(16)]
    feed = tuple(np.zeros((FRAMES, 1), np.float32) for _ in strips)
    """As in the callback: the same arrays with every block, filled anew."""
    for _ in range(16):
        graph.process(feed)
    count = 2_000 if quick else 12_000
    wall, cpu = np.zeros(count), np.zeros(count)
    for k in range(count):
        for stem, block in zip(feed, song[k % len(song)], strict=True):
            stem[:] = block
        start, start_cpu = time.perf_counter(), time.thread_time()
        graph.process(feed)
        wall[k], cpu[k] = time.perf_counter() - start, time.thread_time() - start_cpu
    period_s = FRAMES / RATE_HZ
    share = 100.0 * float(np.mean(cpu)) / period_s
    slowest_ms = 1000.0 * float(np.percentile(wall, 99.0))
    what = f"{STRIPS} full strips, reverb, bus chain with limiter; {count * period_s:.0f} s of signal"
    return [
        row("live, 256 frames: share of one core", share, "%", goal=8.0, holds=share <= 8.0, note=what),
        row(
            "live, 256 frames: slowest hundredth", slowest_ms, "ms", goal=1.0, holds=slowest_ms <= 1.0, note="wall time"
        ),
    ]
