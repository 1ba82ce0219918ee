"""Measure every loop of a rig: presence, return, polarity, latency, gain, noise floor."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from controller.loops import Calibration, LoopFacts
    from controller.studio import Studio

EXAMPLES = """\
examples:
  halfnormal calibrate --rig demo --yes
  halfnormal calibrate --rig studio-a --only patch --json
  halfnormal calibrate --dry-run       # what it would do; nothing sounds

The first sound is at -60 dBFS and rises only while the return is sane.
exit code 1 when a loop is wrong: the problems say which, and what to do."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="measure only patch, latency, levels or noise; may be given again",
    )
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Calibrate and print the loops."""
    from controller import calibrate as workflow
    from controller.errors import DeclinedError
    from controller.files import relative
    from controller.studio import Studio

    face = face_of(args)
    with Studio.open(args.rig) as studio:
        try:
            stored = workflow.calibrate(studio, only=args.only, emit=face.emit, accept=face.accept)
        except DeclinedError:
            if not args.dry_run:
                raise
            return _dry_run(face, studio)
    calibration = stored.calibration
    data = {
        "calibration": relative(stored.path),
        "rate_hz": calibration.rate_hz,
        "loops": [_loop(loop) for loop in calibration.loops],
        "problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in calibration.problems],
        "definitions": workflow.DEFINITIONS,
    }
    face.data(data, _lines(calibration))
    return 1 if calibration.problems else 0


def _dry_run(face: Face, studio: Studio) -> int:
    plan = face.plan
    lines = list(plan.lines) if plan is not None else []
    data: dict[str, Any] = {
        "calibration": None,
        "calibration_note": "dry run: nothing sounded or moved",
        "rate_hz": studio.rig.audio.rate_hz,
        "loops": [],
        "problems": [],
        "plan": lines,
    }
    face.data(data, [*lines, "Dry run: nothing sounded or moved."])
    return 0


def _lines(calibration: Calibration) -> list[str]:
    rows = [
        [
            str(loop.output),
            loop.address,
            str(loop.input or "—"),
            {1: "+", -1: "−", 0: "—"}[loop.polarity],
            f"{loop.latency_samples:.4f} ± {loop.latency_sd:.4f}" if loop.present else "—",
            f"{loop.gain_db:+.3f} ± {loop.gain_sd:.3f}" if loop.present else "—",
            f"{loop.noise_dbfs:.1f}",
            "●" if loop.ok else f"✕ {loop.why}",
        ]
        for loop in calibration.loops
    ]
    heads = ["out", "strip", "in", "pol", "latency [samples]", "gain [dB]", "noise [dBFS]", "ok"]
    return table(rows, heads, right=(0, 2, 4, 5, 6))


def _loop(loop: LoopFacts) -> dict[str, Any]:
    data: dict[str, Any] = {
        "output": loop.output,
        "address": loop.address,
        "input": loop.input,
        "expected_input": loop.expected_input,
        "present": loop.present,
        "polarity": loop.polarity,
        "strip_found": loop.strip_found,
        "noise_dbfs": loop.noise_dbfs,
        "ok": loop.ok,
        "why": loop.why,
    }
    for key in ("latency_samples", "latency_sd", "gain_db", "gain_sd"):
        data[key] = getattr(loop, key) if loop.present else None
        if not loop.present:
            data[f"{key}_note"] = "nothing came back"
    return data
