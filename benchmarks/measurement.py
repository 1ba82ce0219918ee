"""The loop lab beside its limits: every figure measured on simulated loops, beside its bound and its goal.

``python -m benchmarks.measurement [--json] [--quick]``. Seeded Monte-Carlo; the simulator (``simulated_loop``,
``simulated_programme``) shares no code with ``dsp``. Noise of −80 dBFS means σ = 10⁻⁴. ``peer`` is the bound or the
limit where there is one, and ``ratio`` is the bound over what was reached.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

from benchmarks.rows import report, row

SECTIONS = ("loops", "dbu", "patch", "response", "clock", "tones", "null", "calibration")
PROCESSORS = 2
LEFT_OUT = "most trials of every Monte-Carlo, 1e5 polarities, 1e6 cells, predicted floor, faults' places, 4-minute null"


def section(name: str, quick: bool) -> tuple[list[dict[str, Any]], float]:
    """Return the rows of one section and how long they took [s]; a section whose functions are not there says so."""
    start = time.perf_counter()
    try:
        module = importlib.import_module(f"benchmarks.measurement_{name}")
    except ImportError as error:
        return [row(f"section {name}", None, "", note=f"not built here: {error}")], 0.0
    found = module.rows(quick=quick)
    return found, time.perf_counter() - start


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Run every section, two at a time, and return the rows in the order of the table."""
    out = []
    with ProcessPoolExecutor(PROCESSORS) as pool:
        for name, (found, seconds) in zip(SECTIONS, pool.map(section, SECTIONS, repeat(quick)), strict=True):
            out += found
            print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    if quick:
        return [*out, row("left out by --quick", None, "", note=LEFT_OUT)]
    return out + importlib.import_module("benchmarks.measurement_null").alone()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measurement against the Cramér–Rao bound and the goals")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="end within 60 s")
    options = parser.parse_args()
    return report("measurement", measure(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
