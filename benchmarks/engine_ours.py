"""A workload mixed by our engine, the way a print is: ``python -m benchmarks.engine_ours PLACE OUT.wav [THREADS]``.

Stems are read by the program's own reader into the program's own graph; the file is written by its own writer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.engine_workload import read_manifest
from controller.audiofile import AudioReader
from controller.rendering import BLOCK_FRAMES, Rendering
from controller.wav import WavWriter
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import REVERB, Feed, GraphBus, GraphStrip, Insert
from dsp.registry import effect
from dsp.space import ReverbSettings
from dsp.stereo import balance_gains, pan_gains


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


def mix(place: Path, out: Path, threads: int | None = None) -> None:
    """Mix the workload into a 24-bit file that begins with the song's first frame."""
    manifest = read_manifest(place)
    graph = graph_of(manifest, threads)
    readers = [AudioReader(place / strip["file"]) for strip in manifest["strips"]]
    rendering = Rendering(graph, lambda index, block: readers[index].fill(block))
    frames = manifest["rate_hz"] * manifest["seconds"]
    with WavWriter(out, rate_hz=manifest["rate_hz"], channels=2, subtype="PCM_24") as writer:
        for done in range(0, frames, BLOCK_FRAMES):
            writer.write(rendering.read(min(BLOCK_FRAMES, frames - done)).bus)
    for reader in readers:
        reader.close()
    graph.close()


if __name__ == "__main__":
    mix(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
