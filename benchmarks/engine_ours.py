"""A workload mixed by our engine, the way a print is: ``python -m benchmarks.engine_ours PLACE OUT.wav [THREADS]``.

Stems are read by the program's own reader, one block ahead, and mixed by the same graph; the file is written by the
program's own writer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine_workload import read_manifest
from controller.audiofile import AudioReader
from controller.wav import WavWriter
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import REVERB, Feed, GraphBus, GraphStrip, Insert
from dsp.registry import effect
from dsp.space import ReverbSettings
from dsp.stereo import balance_gains, pan_gains

BLOCK_FRAMES = 8192


def strip_of(index: int, strip: dict[str, Any]) -> GraphStrip:
    """Return one strip of the manifest in the engine's words."""
    level = 10.0 ** (strip["fader_db"] / 20.0)
    if strip["channels"] == 1:
        sides = [pan_gains(strip["pan"])]
    else:
        left, right = balance_gains(strip["pan"])
        sides = [(left, 0.0), (0.0, right)]
    return GraphStrip(
        f"strip {index}",
        strip["channels"],
        hpf_hz=strip["hpf_hz"],
        bands=tuple(Band(**band) for band in strip["bands"]),
        compressor=Compressor(**strip["compressor"]),
        gains=tuple((left * level, right * level) for left, right in sides),
        send=10.0 ** (strip["send_db"] / 20.0),
    )


def graph_of(manifest: dict[str, Any], threads: int | None) -> MixGraph:
    """Return the workload's mix, ready to run."""
    bus = manifest["bus"]
    main = GraphBus(
        bands=tuple(Band(**band) for band in bus["bands"]),
        compressor=Compressor(**bus["compressor"]),
        post=(Insert(effect("limiter")(**bus["limiter"])),),
    )
    strips = [strip_of(index, strip) for index, strip in enumerate(manifest["strips"])]
    reverb = GraphBus(name=REVERB, post=(Insert(BuiltInReverb(ReverbSettings(**manifest["reverb"]))),), feeds=(Feed(),))
    return MixGraph(strips, (reverb,), main, rate_hz=manifest["rate_hz"], threads=threads)


def blocks_of(place: Path, manifest: dict[str, Any], frames: int) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the stems block by block, silent after their end, each read while the one before is mixed."""
    readers = [AudioReader(place / strip["file"]) for strip in manifest["strips"]]

    def read(size: int) -> list[NDArray[np.float32]]:
        blocks = [reader.read(size) for reader in readers]
        short = [np.zeros((size - len(block), block.shape[1]), np.float32) for block in blocks]
        return [np.concatenate([b, s]) if len(s) else b for b, s in zip(blocks, short, strict=True)]

    sizes = [min(BLOCK_FRAMES, frames - start) for start in range(0, frames, BLOCK_FRAMES)]
    with ThreadPoolExecutor(1, "read") as pool:
        ahead = pool.submit(read, sizes[0])
        for size in (*sizes[1:], 0):
            block = ahead.result()
            ahead = pool.submit(read, size)
            yield block
    for reader in readers:
        reader.close()


def mix(place: Path, out: Path, threads: int | None = None) -> None:
    """Mix the workload into a 24-bit file that begins with the song's first frame."""
    manifest = read_manifest(place)
    graph = graph_of(manifest, threads)
    frames = manifest["rate_hz"] * manifest["seconds"]
    late = graph.latency_frames
    with WavWriter(out, rate_hz=manifest["rate_hz"], channels=2, subtype="PCM_24") as writer:
        for block in blocks_of(place, manifest, frames + late):
            bus = graph.process(block).bus
            writer.write(bus[min(late, len(bus)) :])
            late = max(0, late - len(bus))


if __name__ == "__main__":
    mix(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
