"""The graph in the audio process on a JACK server: what its callback takes, and whether it adds xruns.

The server is ``jackd -d dummy`` without real-time priority, so xruns come by themselves: those of one silent strip, in
the same run, are what the machine does anyway. Whether the callback's thread could have it the notes tell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_live import FRAMES, RATE_HZ, STRIPS
from benchmarks.engine_ours import parts_of
from benchmarks.engine_workload import BUS, REVERB, settings_of
from benchmarks.rows import row
from dsp.graph_settings import GraphStrip
from hardware.live.messages import LiveGraph
from hardware.live.priority import in_real_time
from hardware.ports.live import LiveProcess

_JACK = "JACK Audio Connection Kit"
_SERVER = f"halfnormal-bench-{os.getpid()}"


def jack_rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the audio process, or one that says why there are none."""
    if shutil.which("jackd") is None:
        return [row("live on JACK", None, "ms", note="jackd is not installed here")]
    seconds = 5.0 if quick else 20.0
    strips = [{"channels": 1, **settings_of(index)} for index in range(STRIPS)]
    full = LiveGraph(*parts_of({"rate_hz": RATE_HZ, "strips": strips, "reverb": REVERB, "bus": BUS}))
    idle = LiveGraph((GraphStrip("idle"),))
    with _served():
        idle_xruns, idle_ms, _ = _played(idle, seconds)
        xruns, slow_ms, real_time = _played(full, seconds)
    blocks = int(seconds * RATE_HZ / FRAMES)
    thread = "in real time" if real_time else "as any thread"
    what = f"{STRIPS} full strips, reverb, bus chain with limiter and meters, {FRAMES} frames; {seconds:g} s; {thread}"
    return [
        row(
            "live on JACK: slowest hundredth of the callbacks",
            slow_ms,
            "ms",
            goal=1.0,
            holds=slow_ms <= 1.0,
            peer=idle_ms,
            peer_name="one idle strip",
            note=what,
        ),
        row(
            f"live on JACK: xruns of {blocks} blocks",
            xruns,
            "",
            goal=2.0 * idle_xruns,
            holds=xruns <= 2 * idle_xruns,
            peer=idle_xruns,
            peer_name="one idle strip",
            note="added xruns no more than the idle ones",
        ),
    ]


@contextmanager
def _served() -> Iterator[None]:
    """Run a JACK server of our own, and be its client."""
    command = ["jackd", "--no-realtime", "-n", _SERVER, "-d", "dummy", "-r", str(RATE_HZ), "-p", str(FRAMES)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = os.environ.get("JACK_DEFAULT_SERVER")
    os.environ |= {"JACK_DEFAULT_SERVER": _SERVER, "JACK_NO_START_SERVER": "1"}
    try:
        time.sleep(1.0)
        yield
    finally:
        server.terminate()
        server.wait()
        os.environ.pop("JACK_DEFAULT_SERVER")
        if before is not None:
            os.environ["JACK_DEFAULT_SERVER"] = before


def _played(graph: LiveGraph, seconds: float) -> tuple[int, float, bool]:
    """Play noise through a graph.

    Return the blocks with an xrun, what 99 % of the callbacks stay within [ms], and whether they run in real time.
    """
    rng = np.random.default_rng(1)
    noise = [(0.1 * rng.standard_normal((FRAMES, strip.channels))).astype(np.float32) for strip in graph.strips]
    with LiveProcess(
        "system",
        graph,
        host_api=_JACK,
        rate_hz=RATE_HZ,
        block_frames=FRAMES,
        outputs=(0, 1),
        channels_out=2,
        ring_s=1.0,
    ) as live:
        live.monitor(0.1)
        song = 0

        def feed() -> None:
            nonlocal song
            while live.room_blocks and live.ahead_blocks < RATE_HZ // FRAMES // 2:
                live.feed(noise, song, FRAMES, 0)
                song += FRAMES

        begin = live.begin_here()
        feed()
        live.play(begin)
        live.wait(1.0)
        feed()
        live.xruns()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            feed()
            live.wait(0.05)
            live.check()
        xruns = sum(one.frames for one in live.xruns()) // FRAMES
        return xruns, live.callback_ms(0.99), _in_real_time(live.pid)


def _in_real_time(pid: int) -> bool:
    """Tell whether any thread of that process runs in real time."""
    return any(in_real_time(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir())
