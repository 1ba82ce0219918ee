"""A workload mixed by pedalboard: ``python -m benchmarks.peer_pedalboard PLACE OUT.wav THREADS {blocks|whole}``.

What differs from our mix: the high-pass is two of first order (no other is on offer), the compressor has a hard knee
and a linear detector, the reverb is Freeverb. Pan, sends and sums are numpy. Its best limiter is used, with true peak.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard as pb
from numpy.typing import NDArray
from pedalboard.io import AudioFile

from benchmarks.engine_workload import read_manifest

BLOCK_FRAMES = 8192
FILTERS = {"low_shelf": pb.LowShelfFilter, "bell": pb.PeakFilter, "high_shelf": pb.HighShelfFilter}


def equaliser(bands: list[dict[str, Any]]) -> list[Any]:
    """Return the bands of a strip or the bus."""
    return [FILTERS[b["kind"]](b["freq_hz"], b["gain_db"], b["q"]) for b in bands]


def compressor(c: dict[str, Any]) -> list[Any]:
    """Return the compressor and its make-up."""
    return [pb.Compressor(c["threshold_db"], c["ratio"], c["attack_ms"], c["release_ms"]), pb.Gain(c["makeup_db"])]


class Strip:
    """One stem on its way to the bus."""

    def __init__(self, place: Path, strip: dict[str, Any]) -> None:
        high_pass = [pb.HighpassFilter(strip["hpf_hz"]) for _ in range(2)]
        self._board = pb.Pedalboard(
            [*high_pass, *equaliser(strip["bands"]), *compressor(strip["compressor"]), pb.Gain(strip["fader_db"])]
        )
        angle = (strip["pan"] + 100.0) / 400.0 * math.pi
        gains = np.array([[math.cos(angle)], [math.sin(angle)]], dtype=np.float32)
        self._gains = gains if strip["channels"] == 1 else np.minimum(gains * np.float32(math.sqrt(2.0)), 1.0)
        self._send = np.float32(10.0 ** (strip["send_db"] / 20.0))
        self._file = AudioFile(str(place / strip["file"]))

    def next(self, frames: int, rate_hz: int, reset: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the next frames panned, and the same at the send's level."""
        panned = self._board(self._file.read(frames), rate_hz, reset=reset) * self._gains
        return panned, panned * self._send


def mix(place: Path, out: Path, threads: int, whole: bool) -> None:
    """Mix the workload into a 24-bit file."""
    manifest = read_manifest(place)
    rate_hz, frames = manifest["rate_hz"], manifest["rate_hz"] * manifest["seconds"]
    reverb = pb.Pedalboard(
        [pb.Delay(manifest["reverb"]["predelay_ms"] / 1000.0, 0.0, 1.0), pb.Reverb(0.7, wet_level=1.0, dry_level=0.0)]
    )
    bus = manifest["bus"]
    limiter = pb.BrickwallLimiter(
        bus["limiter"]["ceiling_dbtp"], bus["limiter"]["release_ms"], bus["limiter"]["lookahead_ms"], true_peak=True
    )
    master = pb.Pedalboard([*equaliser(bus["bands"]), *compressor(bus["compressor"]), limiter])
    strips = [Strip(place, strip) for strip in manifest["strips"]]
    block = frames if whole else BLOCK_FRAMES
    with AudioFile(str(out), "w", rate_hz, 2, bit_depth=24) as file, ThreadPoolExecutor(threads) as pool:
        for start in range(0, frames, block):
            size = min(block, frames - start)
            total, wet = np.zeros((2, size), np.float32), np.zeros((2, size), np.float32)
            for panned, send in _rendered(pool, threads, strips, size, rate_hz, whole):
                total += panned
                wet += send
            total += reverb(wet, rate_hz, reset=whole)
            file.write(master(total, rate_hz, reset=whole))


def _rendered(
    pool: ThreadPoolExecutor, threads: int, strips: list[Strip], size: int, rate_hz: int, whole: bool
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield every strip's block, no more than two ahead of the sum so that whole stems do not pile up."""
    if threads == 1:
        yield from (strip.next(size, rate_hz, whole) for strip in strips)
        return
    waiting: deque[Future[tuple[NDArray[np.float32], NDArray[np.float32]]]] = deque()
    for strip in strips:
        waiting.append(pool.submit(strip.next, size, rate_hz, whole))
        if len(waiting) > threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


if __name__ == "__main__":
    mix(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "whole")
