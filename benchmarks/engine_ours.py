"""A workload mixed by our engine, the way a print is: ``python -m benchmarks.engine_ours PLACE OUT.wav``.

Stems are read by the program's own reader into the program's own graph; the file is written by its own writer.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.engine_workload import read_manifest
from controller.audiofile import AudioReader
from controller.cli.main import FEWER_COLLECTIONS
from controller.freezing import Freezer
from controller.rendering import BLOCK_FRAMES, Rendering
from controller.wav import NEVER_S, WavWriter
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_chunk import Freeze
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import REVERB, Feed, GraphBus, GraphStrip, Insert
from dsp.registry import effect
from dsp.space import ReverbSettings
from dsp.stereo import balance_gains, pan_gains

INSERTS = (
    Insert(effect("saturation")(drive_db=6.0)),
    Insert(effect("multiband")()),
)
"""What a strip has besides, where the cost of inserts is asked for."""


def strip_of(index: int, strip: dict[str, Any], *, inserts: bool = False, more_db: float = 0.0) -> GraphStrip:
    """Return one strip of the manifest in the engine's words; the first one's fader stands ``more_db`` higher."""
    level = 10.0 ** ((strip["fader_db"] + (0.0 if index else more_db)) / 20.0)
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
        post=INSERTS if inserts else (),
    )


def parts_of(
    manifest: dict[str, Any], *, inserts: bool = False, more_db: float = 0.0
) -> tuple[tuple[GraphStrip, ...], tuple[GraphBus, ...], GraphBus]:
    """Return the workload's strips, its reverb and its stereo bus."""
    bus = manifest["bus"]
    main = GraphBus(
        bands=tuple(Band(**band) for band in bus["bands"]),
        compressor=Compressor(**bus["compressor"]),
        post=(Insert(effect("limiter")(**bus["limiter"])),),
    )
    strips = [strip_of(index, one, inserts=inserts, more_db=more_db) for index, one in enumerate(manifest["strips"])]
    reverb = GraphBus(name=REVERB, post=(Insert(BuiltInReverb(ReverbSettings(**manifest["reverb"]))),), feeds=(Feed(),))
    return tuple(strips), (reverb,), main


def graph_of(
    manifest: dict[str, Any],
    threads: int | None,
    *,
    inserts: bool = False,
    more_db: float = 0.0,
    freeze: Freeze | None = None,
) -> MixGraph:
    """Return the workload's mix, ready to run."""
    parts = parts_of(manifest, inserts=inserts, more_db=more_db)
    return MixGraph(*parts, rate_hz=manifest["rate_hz"], threads=threads, freeze=freeze)


def mix(
    place: Path,
    out: Path,
    threads: int | None = None,
    *,
    inserts: bool = False,
    more_db: float = 0.0,
    strips: int | None = None,
) -> None:
    """Mix the workload, or its first ``strips`` alone, into a 24-bit file that begins with the song's first frame."""
    manifest = read_manifest(place)
    manifest["strips"] = manifest["strips"][:strips]
    rate_hz, frames = manifest["rate_hz"], manifest["rate_hz"] * manifest["seconds"]
    paths = {f"strip {index}": place / strip["file"] for index, strip in enumerate(manifest["strips"])}
    readers = [AudioReader(path) for path in paths.values()]
    with (
        Freezer(paths, rate_hz=rate_hz, begin=0, frames=frames, emit=lambda event: None) as freezer,
        graph_of(manifest, threads, inserts=inserts, more_db=more_db, freeze=freezer) as graph,
        WavWriter(out, rate_hz=rate_hz, channels=2, subtype="PCM_24", refresh_s=NEVER_S, sync_s=NEVER_S) as writer,
    ):
        rendering = Rendering(graph, lambda index, block: readers[index].fill(block))
        for done in range(0, frames, BLOCK_FRAMES):
            writer.write(rendering.read(min(BLOCK_FRAMES, frames - done)).bus)
    for reader in readers:
        reader.close()


def main() -> None:
    """Mix once, or again and again in one process, and print what each took [s]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--inserts", action="store_true", help="with inserts on every strip")
    parser.add_argument("--more-db", type=float, default=0.0, help="raise the first fader")
    parser.add_argument("--strips", type=int, help="only so many of them")
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    gc.set_threshold(FEWER_COLLECTIONS)  # as the program does
    took = []
    for _ in range(options.times):
        options.out.unlink(missing_ok=True)
        start = time.perf_counter()
        more = {"inserts": options.inserts, "more_db": options.more_db, "strips": options.strips}
        mix(options.place, options.out, options.threads, **more)
        took.append(time.perf_counter() - start)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
