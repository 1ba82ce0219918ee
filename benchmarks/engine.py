"""The in-the-box engine beside its peers: whole processes on the same stems, in turn, in one run.

``python -m benchmarks.engine --json [--quick] [--folder DIR] [--rounds N]``. Each program mixes the same workload
(``engine_workload``) from files to a 24-bit file. What counts is what the operating system says a finished process
took; the programs take turns, so that a busy machine is busy for all. Of the nearest peer the best way to use it
counts, for each figure by itself. The stems (1.1 GB for the reference mix) stay in DIR for the next run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine_again import again_rows
from benchmarks.engine_kernels import kernel_rows
from benchmarks.engine_live import live_rows
from benchmarks.engine_on_jack import jack_rows
from benchmarks.engine_peers import OTHERS, PEDALBOARD, Commands
from benchmarks.engine_workload import SIZES, write_workload
from benchmarks.rows import report, row


@dataclass(frozen=True)
class Cost:
    """What a program took: seconds of wall and of CPU, peak memory of its largest process [MiB]."""

    wall_s: float
    cpu_s: float
    peak_mib: float


ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
"""Ours sets it itself; for the peers, too, threads of linear algebra would only be a cost at the start."""


def run(commands: Commands) -> Cost:
    """Run ``commands`` one after the other and return what they took together."""
    start, cpu, peak = time.perf_counter(), 0.0, 0.0
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT)
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed: {said.decode(errors='replace')[-300:]}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0))
    return Cost(time.perf_counter() - start, cpu, peak)


def ours(place: Path, out: Path, scratch: Path) -> Commands:
    """Return the command that mixes with our engine."""
    return [[sys.executable, "-m", "benchmarks.engine_ours", str(place), str(out)]]


def in_turn(
    programs: Sequence[tuple[str, Callable[[Path, Path, Path], Commands]]], place: Path, rounds: int
) -> dict[str, Cost]:
    """Return the median cost of each program over ``rounds`` rounds, all programs in every round."""
    found: dict[str, list[Cost]] = {name: [] for name, _ in programs}
    for _ in range(rounds):
        for name, commands in programs:
            with tempfile.TemporaryDirectory() as folder:
                scratch = Path(folder)
                found[name].append(run(commands(place, scratch / "mix.wav", scratch)))
    return {
        name: Cost(
            statistics.median(c.wall_s for c in costs),
            statistics.median(c.cpu_s for c in costs),
            statistics.median(c.peak_mib for c in costs),
        )
        for name, costs in found.items()
    }


OURS = "ours"
GOALS = {"reference": (3.0, 3.0), "large": (6.0, 4.0), "small": (1.0, 1.0)}
"""Size → how many times less wall and CPU than the nearest peer."""
OTHER_GOALS = {"ecasound": 6.0, "sox": 7.0, "DawDreamer": 8.0, "ffmpeg": 12.0}


def nearest_rows(name: str, place: Path, rounds: int) -> tuple[list[dict[str, Any]], Cost]:
    """Return the rows of one workload beside the nearest peer, and what ours took."""
    peers = [peer for peer in PEDALBOARD if not peer.missing and not (name == "large" and "whole" in peer.name)]
    costs = in_turn([(OURS, ours), *((peer.name, peer.commands) for peer in peers)], place, rounds)
    mine = costs.pop(OURS)
    size = SIZES[name]
    what = f"{size.mono} mono + {size.stereo} stereo, {size.seconds} s at {size.rate_hz // 1000} kHz"
    rows = []
    for index, (figure, of) in enumerate((("wall", "wall_s"), ("CPU", "cpu_s"))):
        goal, value = GOALS[name][index], getattr(mine, of)
        best = min(costs, key=lambda peer: getattr(costs[peer], of)) if costs else None
        theirs = getattr(costs[best], of) if best else None
        ratio = theirs / value if theirs else None
        rows.append(
            row(
                f"{name} mix, {figure}",
                value,
                "s",
                goal=goal,
                holds=None if ratio is None else ratio >= goal,
                peer=theirs,
                peer_name=best,
                ratio=ratio,
                note=f"{what}; its best of {len(costs)} ways" if best else f"{what}; pedalboard is not installed here",
            )
        )
    return rows, mine


def other_rows(place: Path, mine: Cost, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of the other peers on the reference mix: CPU, one round each is enough."""
    rows = []
    for peer in OTHERS:
        if peer.missing:
            lacks = f"{', '.join(peer.missing)} is not installed here"
            rows.append(
                row(f"reference mix, CPU, {peer.name}", mine.cpu_s, "s", goal=OTHER_GOALS[peer.name], note=lacks)
            )
            continue
        cost = in_turn([(peer.name, peer.commands)], place, rounds)[peer.name]
        ratio, goal = cost.cpu_s / mine.cpu_s, OTHER_GOALS[peer.name]
        rows.append(
            row(
                f"reference mix, CPU, {peer.name}",
                mine.cpu_s,
                "s",
                goal=goal,
                holds=ratio >= goal,
                peer=cost.cpu_s,
                peer_name=peer.name,
                ratio=ratio,
                note=peer.differs,
            )
        )
    return rows


def memory_row(costs: dict[str, Cost]) -> dict[str, Any]:
    """Return the row of peak memory: below 200 MiB, and hardly more for the largest mix."""
    names = list(costs)
    peak = costs[names[-1]].peak_mib
    growth = peak / costs[names[0]].peak_mib
    said = ", ".join(f"{name} {cost.peak_mib:.0f} MiB" for name, cost in costs.items())
    limit = 1.3 if names[-1] == "large" else None
    holds = peak <= 200.0 and (limit is None or growth <= limit)
    return row("peak memory", peak, "MiB", goal=200.0, holds=holds, note=f"{said}; {growth:.2f} times")


def measure(folder: Path, *, quick: bool, rounds: int) -> list[dict[str, Any]]:
    """Run every measurement and return the rows."""
    rows: list[dict[str, Any]] = []
    costs: dict[str, Cost] = {}
    sizes = ("small",) if quick else ("small", "reference", "large")
    for name in sizes:
        place = write_workload(name, folder)
        with tempfile.TemporaryDirectory() as scratch:  # compiles what is not compiled yet, and warms the file cache
            run(ours(place, Path(scratch) / "mix.wav", Path(scratch)))
        found, costs[name] = nearest_rows(name, place, 1 if name == "large" else rounds)
        rows += found
        if name == "reference":
            rows += other_rows(place, costs[name], 1)
    rows.append(memory_row({name: costs[name] for name in sizes[-2:]}))
    if not quick:
        small_s = next((one["peer"] for one in rows if one["name"] == "small mix, wall"), None)
        rows += again_rows(folder / "reference", folder / "small", small_s)
    rows += kernel_rows(quick=quick)
    rows += live_rows(quick=quick)
    rows += jack_rows(quick=quick)
    if quick:
        rows.append(row("reference and large mix", None, "s", note="left out by --quick"))
    return rows


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="The in-the-box engine beside its peers")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="end within 60 s")
    parser.add_argument("--folder", type=Path, help="where the stems are and stay; left out: made anew and removed")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the small and the reference mix")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        rows = measure(folder, quick=options.quick, rounds=1 if options.quick else options.rounds)
    return report("engine", rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
