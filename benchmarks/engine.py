"""Speed and memory of the in-the-box engine on the demo song.

``python -m benchmarks.engine --json [--quick]``. The peer is pedalboard where it is installed: the same stages, its own
kinds of them (a first-order high-pass, a hard-knee compressor, Freeverb), so compare speed and not sound.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import best_s, own_peak_mib, report, row
from dsp.dither import Ditherer
from dsp.engine import (
    Band,
    BusProcessor,
    BusSettings,
    Compressor,
    MixEngine,
    ReverbSettings,
    StripSettings,
    warm,
)
from dsp.stereo import balance_gains, pan_gains
from dsp.synth import demo_song

RATE_HZ = 48_000
BLOCK_FRAMES = 8192
Stems = Mapping[str, NDArray[np.float32]]

BANDS = (
    Band("low_shelf", 100.0, 2.0),
    Band("bell", 400.0, -3.0, 1.0),
    Band("bell", 3000.0, 2.5, 0.8),
    Band("high_shelf", 9000.0, 2.0),
)
STRIP_COMPRESSOR = Compressor(-24.0, 3.0, 5.0, 120.0, 6.0, 3.0)
BUS = BusSettings(BANDS[::3], Compressor(-14.0, 2.0, 10.0, 200.0, 6.0, 1.0), -3.0)


def strips_for(stems: Stems) -> list[StripSettings]:
    """Return a full strip for every stem: high-pass, four bands, compressor, pan, send."""
    strips = []
    for i, (name, x) in enumerate(stems.items()):
        pan = (-40.0, 0.0, 30.0)[i % 3]
        if x.shape[1] == 1:
            gains: tuple[tuple[float, float], ...] = (pan_gains(pan),)
        else:
            left, right = balance_gains(0.0)
            gains = ((left, 0.0), (0.0, right))
        strips.append(
            StripSettings(
                name,
                1 if x.shape[1] == 1 else 2,
                hpf_hz=40.0,
                bands=BANDS,
                compressor=STRIP_COMPRESSOR,
                gains=gains,
                send=0.15,
            )
        )
    return strips


def render(stems: Stems, *, threads: int | None, repeat: int = 1, dithered: bool = False) -> float:
    """Mix ``stems`` block by block, ``repeat`` times over, and return the bus's peak."""
    bus = BusProcessor(BUS, RATE_HZ)
    dither = Ditherer(24, channels=2)
    frames = len(next(iter(stems.values())))
    peak = 0.0
    with MixEngine(strips_for(stems), reverb=ReverbSettings(), rate_hz=RATE_HZ, threads=threads) as engine:
        for _ in range(repeat):
            for start in range(0, frames, BLOCK_FRAMES):
                out = bus.process(engine.process([x[start : start + BLOCK_FRAMES] for x in stems.values()]).bus)
                if dithered:
                    dither.process(out)
                peak = max(peak, float(np.max(np.abs(out))))
    return peak


def render_pedalboard(stems: Stems) -> None:
    """Mix ``stems`` with pedalboard, block by block, one thread (its quickest way)."""
    import pedalboard as pb  # type: ignore[import-not-found]

    def equaliser() -> list[Any]:
        return [
            pb.LowShelfFilter(100.0, 2.0),
            pb.PeakFilter(400.0, -3.0, 1.0),
            pb.PeakFilter(3000.0, 2.5, 0.8),
            pb.HighShelfFilter(9000.0, 2.0),
        ]

    boards = [
        pb.Pedalboard([pb.HighpassFilter(40.0), *equaliser(), pb.Compressor(-24.0, 3.0, 5.0, 120.0), pb.Gain(3.0)])
        for _ in stems
    ]
    reverb = pb.Pedalboard([pb.Delay(0.02, 0.0, 1.0), pb.Reverb(0.6, wet_level=1.0, dry_level=0.0)])
    master = pb.Pedalboard([*equaliser()[::3], pb.Compressor(-14.0, 2.0, 10.0, 200.0), pb.Gain(-2.0)])
    strips = strips_for(stems)
    frames = len(next(iter(stems.values())))
    rows = [np.ascontiguousarray(x.T) for x in stems.values()]
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        bus = np.zeros((2, stop - start), dtype=np.float32)
        wet = np.zeros_like(bus)
        for board, strip, x in zip(boards, strips, rows, strict=True):
            y = board(x[:, start:stop], RATE_HZ, reset=False)
            placed = np.asarray(strip.gains, dtype=np.float32).T @ y
            bus += placed
            wet += np.float32(strip.send) * placed
        master(bus + reverb(wet, RATE_HZ, reset=False), RATE_HZ, reset=False)


def peak_mib(minutes: float) -> float:
    """Return the peak resident memory of a process that mixes ``minutes`` of audio."""
    command = [sys.executable, "-m", "benchmarks.engine", "--mix-minutes", str(minutes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Run every measurement and return the rows."""
    seconds = 20.0
    rounds = 3 if quick else 7
    start = time.process_time()
    stems = demo_song(RATE_HZ, seconds)
    song_cpu_s = time.process_time() - start
    start = time.process_time()
    warm(RATE_HZ)
    warm_cpu_s = time.process_time() - start
    channels = sum(x.shape[1] for x in stems.values())

    whole = seconds / best_s(lambda: render(stems, threads=None, dithered=True), rounds)
    single = best_s(lambda: render(stems, threads=1), rounds)
    ours, peer, peer_name, note = seconds / best_s(lambda: render(stems, threads=None), rounds), None, None, ""
    try:
        import pedalboard

        peer, peer_name = seconds / best_s(lambda: render_pedalboard(stems), rounds), pedalboard.__version__
        peer_name = f"pedalboard {peer_name}"
        note = "the peer's high-pass is first order, its knee hard, its reverb Freeverb"
    except ImportError:
        note = "pedalboard is not installed here"
    what = f"{len(stems)} stems, {channels} channels, every strip with high-pass, 4 bands, compressor and send"
    short, long = (0.34, 2.0) if quick else (1.0, 10.0)
    memory_short, memory_long = peak_mib(short), peak_mib(long)
    growth = memory_long / memory_short
    return [
        row("demo song, stems to dithered 24 bit", whole, "x real time", goal=40.0, holds=whole >= 40.0, note=what),
        row(
            "demo song, engine and bus alone",
            ours,
            "x real time",
            goal=100.0,
            holds=ours >= 100.0,
            peer=peer,
            peer_name=peer_name,
            ratio=None if peer is None else ours / peer,
            note=note,
        ),
        row("the same on one thread", seconds / single, "x real time"),
        row("whole mix per channel and sample, one thread", single / (seconds * RATE_HZ * channels) * 1e9, "ns"),
        row(
            f"peak memory, {long:g} minutes",
            memory_long,
            "MiB",
            goal=1.1,
            holds=growth <= 1.1,
            note=f"{growth:.3f} times that of {short:g} minutes ({memory_short:.0f} MiB); the goal is on this growth"
            + ("; quick: 10 minutes left out" if quick else ""),
        ),
        row("loading the compiled loops", warm_cpu_s, "s CPU", note="from the disk cache unless this is a first run"),
        row("synthesising the demo song", song_cpu_s, "s CPU", goal=2.0, holds=song_cpu_s <= 2.0),
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Speed and memory of the in-the-box engine")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="end within 60 s")
    parser.add_argument("--mix-minutes", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mix_minutes is not None:
        render(demo_song(RATE_HZ, 5.0), threads=None, repeat=math.ceil(options.mix_minutes * 12.0))
        print(own_peak_mib())
        return 0
    return report("engine", measure(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
