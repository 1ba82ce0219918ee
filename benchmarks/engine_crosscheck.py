"""Our effects beside the same in pedalboard, sox and ffmpeg: ``python -m benchmarks.engine_crosscheck [--json]``.

Every row has our figure, the peer's, what theory asks for, and why the two differ. An explanation is a prediction: the
peer is computed from it and compared, and where that does not fit, the row says "not explained". Sound alone is
compared; ``benchmarks.engine`` compares speed. This needs sox, ffmpeg and pedalboard, so no test runs it;
``tests/dsp/test_crosscheck.py`` keeps what scipy can stand in for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import re
import sys
from collections.abc import Sequence

from benchmarks import crosscheck_dynamics, crosscheck_filters, crosscheck_levels, crosscheck_spaces
from benchmarks.crosscheck_programs import Finding, missing

CHECKS = (
    *crosscheck_filters.CHECKS,
    *crosscheck_dynamics.CHECKS,
    *crosscheck_spaces.CHECKS,
    *crosscheck_levels.CHECKS,
)


def found() -> list[Finding]:
    """Run every comparison."""
    return [finding for check in CHECKS for finding in check()]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2e}" if 0.0 < abs(value) < 1e-3 else f"{value:.4g}"


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as a table in Markdown; peers that are explained alike stand in one row."""
    lines = ["| what | theory | ours | peer | why, and how closely the peer follows that |", "|---|---|---|---|---|"]
    for _, alike in itertools.groupby(findings, key=lambda f: (f.name, f.why, f.explained)):
        peers = [*alike]
        worst = max(peers, key=lambda f: f.off)
        figures = ", ".join(f"{f.peer_name} {_number(f.peer)}" for f in peers)
        name = worst.name + (f" [{worst.unit}]" if worst.unit else "")
        cells = [name, _number(worst.theory), _number(worst.ours), figures, worst.explanation]
        lines.append("| " + " | ".join(re.sub(r"-(?=\d)", "−", cell.replace("|", "\\|")) for cell in cells) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run it; return the exit code: 2 where a program is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(argv)
    lacking = missing()
    if lacking:
        print(f"this machine lacks {', '.join(lacking)}", file=sys.stderr)
        return 2
    findings = found()
    if wanted.json:
        machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
        rows = [finding.row() for finding in findings]
        print(json.dumps({"schema": 1, "benchmark": "engine_crosscheck", "machine": machine, "rows": rows}, indent=2))
    else:
        print(table(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
