"""What the second mix takes: after a fader move, and in a process that is warm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import row


def again_rows(reference: Path, small: Path, small_peer_s: float | None) -> list[dict[str, Any]]:
    """Return the rows of a fader move after a mix of ``reference``, and of ``small`` in a warm process."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _mixed(reference, Path(folder), [])
        whole_s, least_s = (_mixed(reference, Path(folder), more) for more in ([], ["--strips", "1"]))
    rows.append(
        row(
            "reference mix, one strip and the bus chain alone",
            least_s,
            "s",
            peer=whole_s,
            peer_name="the whole mix",
            ratio=whole_s / least_s,
            note="wall, whole process: what no re-render can be quicker than",
        )
    )
    for name, more in (("as it is", []), ("with a saturator and a multiband on every strip", ["--inserts"])):
        with tempfile.TemporaryDirectory() as folder:
            first_s, again_s = (_mixed(reference, Path(folder), [*more, "--more-db", db]) for db in ("0", "-3"))
        rows.append(
            row(
                "one fader move, reference mix " + name,
                again_s,
                "s",
                goal=4.0,
                holds=first_s >= 4.0 * again_s,
                peer=first_s,
                peer_name="the first mix",
                ratio=first_s / again_s,
                note="wall, whole process",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        took: list[float] = json.loads(_run(small, Path(folder), ["--times", "4"]))
    warm_s = min(took[1:])
    ratio = None if small_peer_s is None else small_peer_s / warm_s
    rows.append(
        row(
            "small mix, warm process",
            warm_s,
            "s",
            goal=5.0,
            holds=None if ratio is None else ratio >= 5.0,
            peer=small_peer_s,
            peer_name="pedalboard, whole process" if small_peer_s is not None else None,
            ratio=ratio,
            note="wall; best of three after the first",
        )
    )
    return rows


def _mixed(place: Path, home: Path, more: list[str]) -> float:
    start = time.perf_counter()
    _run(place, home, more)
    return time.perf_counter() - start


def _run(place: Path, home: Path, more: list[str]) -> str:
    """Run our engine with a home of its own, in which it keeps what it keeps; return what it printed."""
    out = home / "mix.wav"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.engine_ours", str(place), str(out), *more]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HALFNORMAL_HOME": str(home)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
