"""What every benchmark prints: one object, one row a figure, and the machine it was measured on."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def best_s(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest wall time of ``rounds`` runs."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def own_peak_mib() -> float:
    """Return the peak resident memory of this process [MiB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)


def row(
    name: str,
    ours: float,
    unit: str,
    *,
    goal: float | None = None,
    holds: bool | None = None,
    peer: float | None = None,
    peer_name: str | None = None,
    ratio: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return one row of the report."""
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": None if peer is None else round(peer, 3),
        "peer_name": peer_name,
        "unit": unit,
        "ratio": None if ratio is None else round(ratio, 3),
        "goal": goal,
        "holds": holds,
        "note": note,
    }


def report(benchmark: str, rows: list[dict[str, Any]], *, as_json: bool) -> int:
    """Print ``rows`` as one JSON object, or for people; return the exit code."""
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"
    if as_json:
        print(json.dumps({"schema": 1, "benchmark": benchmark, "machine": machine, "rows": rows}, indent=2))
        return 0
    print(machine)
    for r in rows:
        goal = "" if r["goal"] is None else f"  goal {r['goal']:g}: {'holds' if r['holds'] else 'missed'}"
        print(f"{r['name']}: {r['ours']:g} {r['unit']}{goal}  {r['note']}")
    return 0
