"""The same workload in other programs: each a list of commands to be run one after the other.

None makes the very same sound; what differs stands beside each. Only the work is alike, so compare speed alone.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.engine_workload import read_manifest

Commands = list[list[str]]


@dataclass(frozen=True)
class Peer:
    """A program that mixes a workload: what it needs, what it does otherwise, and its commands."""

    name: str
    needs: tuple[str, ...]
    differs: str
    commands: Callable[[Path, Path, Path], Commands]

    @property
    def missing(self) -> list[str]:
        """Programs and modules that this machine lacks."""
        return [n for n in self.needs if shutil.which(n) is None and importlib.util.find_spec(n) is None]


def _gain(level_db: float) -> float:
    return float(10.0 ** (level_db / 20.0))


def sides(strip: dict[str, Any]) -> tuple[float, float]:
    """Return the constant-power pan of a mono strip, or the balance of a stereo one."""
    angle = (strip["pan"] + 100.0) / 400.0 * math.pi
    left, right = math.cos(angle), math.sin(angle)
    if strip["channels"] == 2:
        left, right = min(1.0, left * math.sqrt(2.0)), min(1.0, right * math.sqrt(2.0))
    return left, right


def _pedalboard(threads: int, how: str) -> Callable[[Path, Path, Path], Commands]:
    def commands(place: Path, out: Path, scratch: Path) -> Commands:
        return [[sys.executable, "-m", "benchmarks.peer_pedalboard", str(place), str(out), str(threads), how]]

    return commands


def _sox(place: Path, out: Path, scratch: Path) -> Commands:
    manifest = read_manifest(place)
    filters = {"low_shelf": ("bass", True), "high_shelf": ("treble", True), "bell": ("equalizer", False)}

    def equaliser(bands: list[dict[str, Any]]) -> list[str]:
        words: list[str] = []
        for b in bands:
            name, gain_first = filters[b["kind"]]
            gain, place_ = f"{b['gain_db']:.3f}", [f"{b['freq_hz']:.2f}", f"{b['q']:.4f}q"]
            words += [name, gain, *place_] if gain_first else [name, *place_, gain]
        return words

    def compand(c: dict[str, Any]) -> list[str]:
        threshold, top = c["threshold_db"], c["threshold_db"] * (1.0 - 1.0 / c["ratio"])
        curve = f"{c['knee_db']:.0f}:-90,-90,{threshold:.2f},{threshold:.2f},0,{top:.2f}"
        return [
            "compand",
            f"{c['attack_ms'] / 1e3:.4f},{c['release_ms'] / 1e3:.4f}",
            curve,
            f"{c['makeup_db']:.2f}",
            "-90",
        ]

    floating = ["-t", "wav", "-e", "float", "-b", "32"]
    found: Commands = []
    dry: list[str] = []
    wet: list[str] = []
    for i, strip in enumerate(manifest["strips"]):
        left, right = sides(strip)
        second = 1 if strip["channels"] == 1 else 2
        track = str(scratch / f"{i}.wav")
        chain = [
            "highpass",
            f"{strip['hpf_hz']:.2f}",
            "0.7071q",
            *equaliser(strip["bands"]),
            *compand(strip["compressor"]),
        ]
        pan = ["gain", f"{strip['fader_db']:.3f}", "remix", f"1v{left:.5f}", f"{second}v{right:.5f}"]
        found.append(["sox", "-V1", str(place / strip["file"]), *floating, track, *chain, *pan])
        dry += ["-v", "1", track]
        wet += ["-v", f"{_gain(strip['send_db']):.6f}", track]
    reverb, bus = str(scratch / "reverb.wav"), manifest["bus"]
    found.append(
        ["sox", "-V1", "-m", *wet, *floating, reverb, "delay", "0.02", "0.02", "reverb", "-w", "60", "50", "100"]
    )
    master = [*equaliser(bus["bands"]), *compand(bus["compressor"]), "gain", "-l", "-1"]
    found.append(["sox", "-V1", "-m", *dry, "-v", "1", reverb, "-b", "24", str(out), *master])
    return found


def _ecasound(place: Path, out: Path, scratch: Path) -> Commands:
    manifest = read_manifest(place)
    rate_hz = manifest["rate_hz"]

    def equaliser(bands: list[dict[str, Any]]) -> list[str]:
        # The plug-in wants a bandwidth in octaves: 2 asinh(1 / 2Q) / ln 2.
        widths = [2.0 / math.log(2.0) * math.asinh(0.5 / b["q"]) for b in bands]
        return [
            f"-el:singlePara,{b['gain_db']:.3f},{b['freq_hz']:.2f},{width:.3f}"
            for b, width in zip(bands, widths, strict=True)
        ]

    def compressor(c: dict[str, Any]) -> str:
        times = f"{c['attack_ms']:.2f},{c['release_ms']:.2f}"
        return f"-el:sc4,0,{times},{c['threshold_db']:.2f},{c['ratio']:.2f},{c['knee_db']:.1f},{c['makeup_db']:.2f}"

    words = ["ecasound", "-q", "-D", "-b:1024", f"-f:f32_le,2,{rate_hz}", "-z:nodb"]
    words += ["-a:" + ",".join(f"c{i}" for i in range(len(manifest["strips"]))), "-o:loop,1"]
    for i, strip in enumerate(manifest["strips"]):
        words += [f"-a:c{i}", f"-f:f32_le,{strip['channels']},{rate_hz}", f"-i:{place / strip['file']}"]
        words += ["-chcopy:1,2"] if strip["channels"] == 1 else []
        words += [
            f"-el:highpass_iir,{strip['hpf_hz']:.2f},1",
            *equaliser(strip["bands"]),
            compressor(strip["compressor"]),
        ]
        words += [f"-ea:{100.0 * _gain(strip['fader_db']):.3f}", f"-epp:{50.0 + 0.5 * strip['pan']:.1f}"]
    words += ["-a:dry,wet", "-i:loop,1", "-o:loop,2", "-a:wet", "-el:plate,1.8,0.5,1.0", "-ea:20"]
    words += ["-a:bus", "-i:loop,2", f"-f:s24_le,2,{rate_hz}", f"-o:{out}", *equaliser(manifest["bus"]["bands"])]
    words += [compressor(manifest["bus"]["compressor"]), "-el:fastLookaheadLimiter,0,-1,0.06"]
    return [[*words, f"-t:{manifest['seconds']}"]]


def _ffmpeg(place: Path, out: Path, scratch: Path) -> Commands:
    manifest = read_manifest(place)
    rate_hz, strips, bus = manifest["rate_hz"], manifest["strips"], manifest["bus"]
    names = {"low_shelf": "lowshelf", "bell": "equalizer", "high_shelf": "highshelf"}
    frames = int(1.8 * rate_hz)
    tail = np.random.default_rng(1).standard_normal((frames, 2)) * 10.0 ** (-3.0 * np.arange(frames) / frames)[:, None]
    soundfile.write(scratch / "room.wav", (0.01 * tail).astype(np.float32), rate_hz, subtype="FLOAT")

    def equaliser(bands: list[dict[str, Any]]) -> str:
        return ",".join(
            f"{names[b['kind']]}=f={b['freq_hz']:.3f}:t=q:w={b['q']:.4f}:g={b['gain_db']:.3f}" for b in bands
        )

    def compressor(c: dict[str, Any]) -> str:
        times = f"attack={c['attack_ms']:.2f}:release={c['release_ms']:.2f}"
        level = f"threshold={max(_gain(c['threshold_db']), 0.001):.5f}:ratio={c['ratio']:.3f}"
        return f"acompressor={level}:{times}:knee=2:makeup={_gain(c['makeup_db']):.4f}:detection=peak"

    words = ["ffmpeg", "-v", "error", "-y", "-filter_complex_threads", "2"]
    graph = []
    for i, strip in enumerate(strips):
        words += ["-i", str(place / strip["file"])]
        left, right = sides(strip)
        second = 0 if strip["channels"] == 1 else 1
        filters = f"highpass=f={strip['hpf_hz']:.3f}:t=q:w=0.7071,{equaliser(strip['bands'])}"
        chain = f"{filters},{compressor(strip['compressor'])}"
        pan = f"volume={strip['fader_db']:.3f}dB,pan=stereo|c0={left:.5f}*c0|c1={right:.5f}*c{second}"
        graph.append(f"[{i}:a]{chain},{pan},asplit[d{i}][t{i}];[t{i}]volume={strip['send_db']:.3f}dB[s{i}]")
    count = len(strips)
    words += ["-i", str(scratch / "room.wav")]
    graph.append("".join(f"[s{i}]" for i in range(count)) + f"amix=inputs={count}:normalize=0[sum]")
    graph.append(f"[sum]adelay=delays=20:all=1[late];[late][{count}:a]afir[reverb]")
    graph.append(
        "".join(f"[d{i}]" for i in range(count)) + f"[reverb]amix=inputs={count + 1}:normalize=0:duration=first[mix]"
    )
    limiter = f"alimiter=limit={_gain(bus['limiter']['ceiling_dbtp']):.5f}:attack=1.5:release=60:level=0"
    graph.append(
        f"[mix]{equaliser(bus['bands'])},{compressor(bus['compressor'])},aresample={4 * rate_hz},{limiter},"
        f"aresample={rate_hz}[out]"
    )
    return [[*words, "-filter_complex", ";".join(graph), "-map", "[out]", "-c:a", "pcm_s24le", str(out)]]


def _dawdreamer(place: Path, out: Path, scratch: Path) -> Commands:
    return [[sys.executable, "-m", "benchmarks.peer_dawdreamer", str(place), str(out)]]


PEDALBOARD = tuple(
    Peer(
        f"pedalboard, {threads} thread{'s' if threads > 1 else ''}, {how}",
        ("pedalboard",),
        "two first-order high-passes, hard knee, Freeverb",
        _pedalboard(threads, how),
    )
    for how in ("blocks", "whole")
    for threads in (1, 2)
)
"""The nearest peer, in every way it can be used; its best figure counts."""

OTHERS = (
    Peer("ecasound", ("ecasound",), "shelves as bells, no send levels, plate reverb, no true peak", _ecasound),
    Peer("sox", ("sox",), "temporary files, `compand`, no true peak", _sox),
    Peer("DawDreamer", ("dawdreamer",), "one Faust program, Freeverb, limiter without true peak", _dawdreamer),
    Peer("ffmpeg", ("ffmpeg",), "convolution reverb, limiter at 4x without true peak", _ffmpeg),
)
