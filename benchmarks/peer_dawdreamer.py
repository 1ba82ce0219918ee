"""A workload mixed by one Faust program in DawDreamer: ``python -m benchmarks.peer_dawdreamer PLACE OUT.wav``.

The strip has the same blocks as ours; the reverb is Faust's Freeverb, the limiter looks ahead without true peak. All
stems are held in memory, and the program is compiled at every run, as a script would.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import dawdreamer  # type: ignore[import-not-found]
import numpy as np
import soundfile

from benchmarks.engine_peers import sides
from benchmarks.engine_workload import read_manifest

FILTERS = {
    "low_shelf": "fi.low_shelf({gain_db:.4f},{freq_hz:.3f})",
    "bell": "fi.peak_eq_cq({gain_db:.4f},{freq_hz:.3f},{q:.4f})",
    "high_shelf": "fi.high_shelf({gain_db:.4f},{freq_hz:.3f})",
}


def equaliser(bands: list[dict[str, Any]]) -> str:
    """Return the bands in Faust's words."""
    return " : ".join(FILTERS[b["kind"]].format(**b) for b in bands)


def compressor(c: dict[str, Any], channels: int) -> str:
    """Return a feed-forward compressor with a soft knee, and its make-up."""
    times = f"{c['attack_ms'] / 1e3:.5f},{c['release_ms'] / 1e3:.5f}"
    strength = 1.0 - 1.0 / c["ratio"]
    body = f"co.FFcompressor_N_chan({strength:.5f},{c['threshold_db']:.3f},{times},{c['knee_db']:.2f},0,1,_,{channels})"
    return f"{body} : par(i,{channels},*({10 ** (c['makeup_db'] / 20):.5f}))"


def program(manifest: dict[str, Any]) -> str:
    """Return the whole mix as a Faust program: stems in, stereo out."""
    lines = ['import("stdfaust.lib");']
    for i, strip in enumerate(manifest["strips"]):
        n = strip["channels"]
        left, right = (side * 10 ** (strip["fader_db"] / 20) for side in sides(strip))
        send = 10 ** (strip["send_db"] / 20)
        pan = f"_ <: *({left:.6f}),*({right:.6f})" if n == 1 else f"*({left:.6f}),*({right:.6f})"
        chain = f"par(i,{n}, fi.highpass(2,{strip['hpf_hz']:.3f}) : {equaliser(strip['bands'])})"
        lines.append(
            f"s{i} = {chain} : {compressor(strip['compressor'], n)} : {pan} <: _,_,*({send:.6f}),*({send:.6f});"
        )
    bus, predelay = manifest["bus"], round(manifest["reverb"]["predelay_ms"] * manifest["rate_hz"] / 1000)
    limiter = bus["limiter"]
    lines.append(f"reverb = par(i,2,@({predelay})) : re.stereo_freeverb(0.85,0.7,0.5,23);")
    ceiling = math.pow(10.0, limiter["ceiling_dbtp"] / 20.0)
    times = f"{limiter['lookahead_ms'] / 1e3},{ceiling:.5f},0.0015,0.01,{limiter['release_ms'] / 1e3}"
    filters = f"par(i,2,{equaliser(bus['bands'])})"
    lines.append(f"bus = {filters} : {compressor(bus['compressor'], 2)} : co.limiter_lad_stereo({times});")
    every = ",".join(f"s{i}" for i in range(len(manifest["strips"])))
    lines.append(f"process = ({every}) :> _,_,reverb :> bus;")
    return "\n".join(lines)


def mix(place: Path, out: Path) -> None:
    """Mix the workload into a 24-bit file."""
    manifest = read_manifest(place)
    rate_hz = manifest["rate_hz"]
    stems = [soundfile.read(place / s["file"], dtype="float32", always_2d=True)[0].T for s in manifest["strips"]]
    engine = dawdreamer.RenderEngine(rate_hz, 512)
    playback = engine.make_playback_processor("stems", np.concatenate(stems))
    faust = engine.make_faust_processor("mix")
    faust.set_dsp_string(program(manifest))
    engine.load_graph([(playback, []), (faust, ["stems"])])
    engine.render(manifest["seconds"])
    soundfile.write(out, engine.get_audio().T, rate_hz, subtype="PCM_24")


if __name__ == "__main__":
    mix(Path(sys.argv[1]), Path(sys.argv[2]))
