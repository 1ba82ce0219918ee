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
    ours: float | None,
    unit: str,
    *,
    goal: float | None = None,
    holds: bool | None = None,
    peer: float | None = None,
    peer_name: str | None = None,
    ratio: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return one row of the report; ``ours`` None where nothing could be measured, and then ``note`` says why.

    It is told on stderr at once: a long run that ends early has not been for nothing.
    """
    sys.stderr.write(f"{name}: {_rounded(ours)} {unit} {peer_name or ''} {_rounded(peer)} ({_rounded(ratio)})\n")
    return {
        "name": name,
        "ours": _rounded(ours),
        "peer": _rounded(peer),
        "peer_name": peer_name,
        "unit": unit,
        "ratio": _rounded(ratio),
        "goal": goal,
        "holds": holds,
        "note": note,
    }


def _rounded(value: float | None) -> float | None:
    """Round to six figures, so that 3.7e-6 samples stay what they are."""
    return None if value is None else float(f"{value:.6g}")


def report(benchmark: str, rows: list[dict[str, Any]], *, as_json: bool) -> int:
    """Print ``rows`` as one JSON object, or for people; return the exit code."""
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"
    if as_json:
        print(json.dumps({"schema": 1, "benchmark": benchmark, "machine": machine, "rows": rows}, indent=2))
        return 0
    print(machine)
    for r in rows:
        ours = "not measured" if r["ours"] is None else f"{r['ours']:g} {r['unit']}"
        peer = "" if r["peer"] is None else f"  {r['peer_name']} {r['peer']:g}"
        verdict = {True: "holds", False: "missed", None: "not judged"}[r["holds"]]
        goal = "" if r["goal"] is None else f"  goal {r['goal']:g}: {verdict}"
        print(f"{r['name']}: {ours}{peer}{goal}  {r['note']}")
    return 0
