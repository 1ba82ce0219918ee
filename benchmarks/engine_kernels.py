"""The strip alone, in this process: five filters, compressor, pan, send and sum, per channel and sample.

Beside it the same in C++ (``strip_reference.cpp``, compiled for this machine where there is a compiler) and
pedalboard's strip, in turn, on the same sixteen channels.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine_ours import strip_of
from benchmarks.engine_workload import settings_of
from benchmarks.rows import row
from dsp.bank import BankStrip, StripBank
from dsp.strip import strip_sound

CHANNELS, FRAMES, RATE_HZ = 16, 8192, 48_000


def cpu_ns(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least CPU time [ns per channel and sample] of each work, all of them in every round."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            start = time.thread_time_ns()
            work()
            best[name] = min(best[name], (time.thread_time_ns() - start) / (CHANNELS * FRAMES))
    return best


def _ours(audio: NDArray[np.float32]) -> Callable[[], object]:
    strips = [strip_of(i, {"channels": 1, **settings_of(i)}) for i in range(CHANNELS)]
    seats = []
    for strip in strips:
        ((left, right),) = strip.gains
        to = (left, right, left * strip.send, right * strip.send)
        seats.append(BankStrip(strip.name, (to,), 1, strip_sound(strip, RATE_HZ)))
    bank = StripBank(seats, 4, RATE_HZ)
    stems = [np.ascontiguousarray(audio[i][:, None]) for i in range(CHANNELS)]
    return lambda: bank.process(stems)


def _cpp(audio: NDArray[np.float32], folder: Path) -> Callable[[], object] | None:
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    source, built = Path(__file__).with_name("strip_reference.cpp"), folder / "strip.so"
    flags = ["-O3", "-march=native", "-ffast-math", "-Wno-psabi", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(built)], check=True)
    function = ctypes.CDLL(str(built)).strip
    k, g = 1.4, 0.02
    u = 1.0 / (1.0 + g * (g + k))
    numbers = [
        _aligned(np.tile(np.array([u, g * u, g * g * u, 1.0, -0.1 * k, 0.1])[None, :, None], (5, 1, 16))),
        _aligned(np.zeros((11, 16))),
        _aligned(np.tile(np.array([-4.0, -0.6, 0.5, 1.0, -0.3, 0.99, 0.999, 0.3])[:, None], (1, 16))),
        _aligned(np.zeros((1, 16))),
        _aligned(np.full((4, 16), 0.3)),
        _aligned(np.zeros((FRAMES, 4))),
    ]
    arguments = [ctypes.c_void_p(a.ctypes.data) for a in (audio, *numbers)]
    frames = ctypes.c_long(FRAMES)
    sections, states, compressor, linked, gains, out = arguments[1:]

    def work() -> object:
        return function(arguments[0], frames, frames, sections, states, compressor, linked, gains, out), numbers

    return work


def _aligned(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return ``values`` as float32 on a 64-byte boundary."""
    room = np.zeros(values.size * 4 + 64, np.uint8)
    start = -room.ctypes.data % 64
    found = room[start : start + values.size * 4].view(np.float32).reshape(values.shape)
    found[:] = values
    return found


def _pedalboard(audio: NDArray[np.float32]) -> Callable[[], object] | None:
    try:
        import pedalboard as pb

        from benchmarks.peer_pedalboard import compressor, equaliser
    except ImportError:
        return None
    boards = []
    for i in range(CHANNELS):
        strip = settings_of(i)
        high_pass = [pb.HighpassFilter(strip["hpf_hz"])]
        boards.append(pb.Pedalboard([*high_pass, *equaliser(strip["bands"]), *compressor(strip["compressor"])]))
    rows = [np.ascontiguousarray(audio[i][None]) for i in range(CHANNELS)]
    return lambda: [board(x, RATE_HZ, reset=False) for board, x in zip(boards, rows, strict=True)]


def kernel_rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the strip alone."""
    audio = _aligned(0.2 * np.random.default_rng(1).standard_normal((CHANNELS, FRAMES)))
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, Callable[[], object] | None] = {
            "ours": _ours(audio),
            "C++": _cpp(audio, Path(folder)),
            "pedalboard": _pedalboard(audio),
        }
        best = cpu_ns({name: work for name, work in works.items() if work is not None}, 30 if quick else 150)
    wide = "avx512f" in Path("/proc/cpuinfo").read_text(encoding="ascii") if Path("/proc/cpuinfo").exists() else False
    rows = []
    for peer, goal, missing in (
        ("pedalboard", 9.0 if wide else 5.0, "pedalboard is not installed here"),
        ("C++", 0.8, "no C++ compiler here"),
    ):
        theirs = best.get(peer)
        ratio = None if theirs is None else theirs / best["ours"]
        rows.append(
            row(
                f"strip per channel and sample, {peer}",
                best["ours"],
                "ns of CPU",
                goal=goal,
                holds=None if ratio is None else ratio >= goal,
                peer=theirs,
                peer_name=peer,
                ratio=ratio,
                note=missing if theirs is None else f"one thread, {'AVX-512' if wide else 'no AVX-512 here'}",
            )
        )
    return rows
