"""Measure every loop of a rig: the patch, latency, levels, response, distortion, noise, crosstalk, the clock."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, duration, face_of, finite, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.figures import Figure, FigureKind
    from controller.loops import Calibration, LoopFacts
    from controller.studio import Studio

EXAMPLES = """\
examples:
  halfnormal calibrate --rig demo --yes
  halfnormal calibrate --rig studio-a --only patch --only noise --json
  halfnormal calibrate --dry-run       # what it would do; nothing sounds
  halfnormal calibrate --rig far --make-probe probe.wav          # play this over there, record every return
  halfnormal calibrate --rig far --from-recording recorded.wav   # and read what was recorded

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
        help="measure only patch, latency, levels, response, distortion, noise, crosstalk or clock; may be given again",
    )
    parser.add_argument(
        "--level",
        type=finite,
        metavar="DBFS",
        help="level of the loudest tone (default: -12 through a desk, -1 through plain loops)",
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--make-probe", type=Path, metavar="OUT.wav", help="write the test signal instead of playing it")
    files.add_argument("--from-recording", type=Path, metavar="IN.wav", help="read a recording of that signal instead")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Calibrate and print the loops."""
    from controller import calibrate as workflow
    from controller.errors import DeclinedError
    from controller.files import relative
    from controller.studio import Studio

    face = face_of(args)
    options: dict[str, Any] = {"only": args.only, "level_dbfs": args.level, "emit": face.emit}
    with Studio.open(args.rig) as studio:
        if args.make_probe is not None:
            return _probe(face, studio, args.make_probe, options)
        try:
            if args.from_recording is not None:
                stored = workflow.from_recording(studio, args.from_recording, **options)
            else:
                stored = workflow.calibrate(studio, accept=face.accept, **options)
        except DeclinedError:
            if not args.dry_run:
                raise
            return _dry_run(face, studio)
    calibration = stored.calibration
    drift = calibration.figures.get("drift_ppm")
    data = {
        "calibration": relative(stored.path),
        "rate_hz": calibration.rate_hz,
        "parts": list(calibration.parts),
        "seconds_of_signal": round(calibration.seconds_of_signal, 3),
        "level_dbfs": calibration.level_dbfs,
        "recording": calibration.source or None,
        "repairs": calibration.repairs,
        "loops": [_loop(loop, calibration) for loop in calibration.loops],
        **(_figure("drift_ppm", drift) if drift is not None else {}),
        "clock": drift.note if drift is not None else None,
        "problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in calibration.problems],
        "definitions": workflow.DEFINITIONS,
    }
    face.data(data, _lines(calibration))
    return 1 if calibration.problems else 0


def _probe(face: Face, studio: Studio, path: Path, options: dict[str, Any]) -> int:
    from controller import calibrate as workflow
    from controller.files import relative

    plan = workflow.make_probe(studio, path, **options)
    seconds = workflow.probe_seconds(plan)
    data = {
        "probe": relative(path),
        "id": plan.ident,
        "channels": plan.outputs,
        "rate_hz": plan.rate_hz,
        "seconds_of_signal": round(seconds, 3),
        "starts_at_dbfs": workflow.FIRST_DBFS,
        "rises_to_dbfs": max(section.level_dbfs or -200.0 for section in plan.sections),
        "parts": list(plan.parts),
    }
    lines = [
        f"{relative(path)}: probe {plan.ident}, {plan.outputs} channels, {plan.rate_hz} Hz, {duration(seconds)} long.",
        f"It starts at {data['starts_at_dbfs']:g} dBFS and rises to {data['rises_to_dbfs']:g} dBFS: "
        "turn the monitors down, and watch the returns as it rises.",
        f"Play it at the rig's outputs 1-{plan.outputs}, and record inputs 1-{plan.inputs} into one file at "
        f"{plan.rate_hz} Hz from before it begins until after it ends; give that to --from-recording, same options.",
    ]
    face.data(data, lines)
    return 0


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
    latency = "latency re one loop" if calibration.source else "latency [samples]"
    heads = ["out", "strip", "in", "pol", latency, "gain [dB]", "noise [dBFS]", "ok"]
    lines = table(rows, heads, right=(0, 2, 4, 5, 6))
    for part in calibration.parts:
        lines += _part(calibration, part)
    drift = calibration.figures.get("drift_ppm")
    if drift is not None:
        lines += ["", f"clock: {_number(drift, 5)} ± {drift.sd or 0.0:.1g} ppm, {drift.note}"]
    return lines


def _part(calibration: Calibration, part: str) -> Iterator[str]:
    """Lay out one part's figures, a loop a row, below them the median of their spreads, then notes that all share."""
    import statistics

    from controller.figures import KINDS

    kinds = [
        kind
        for kind in KINDS
        if kind.part == part and any(kind.key in loop.figures for loop in calibration.loops) and kind.key != "gain_db"
    ]
    if not kinds:
        return
    yield ""
    yield f"{part}:"
    rows = [
        [str(loop.output), *(_number(loop.figures.get(kind.key), kind.digits) for kind in kinds)]
        for loop in calibration.loops
    ]
    spreads = []
    for kind in kinds:
        sds = [f.sd for loop in calibration.loops if (f := loop.figures.get(kind.key)) and f.sd is not None]
        spreads.append(f"±{statistics.median(sds):.1g}" if sds else "")
    heads = ["out", *(_head(kind) for kind in kinds)]
    yield from table([*rows, ["", *spreads]], heads, right=range(len(heads)))
    shared: dict[str, list[str]] = {}
    for kind in kinds:
        notes = {loop.figures[kind.key].note for loop in calibration.loops if kind.key in loop.figures}
        if len(notes) == 1 and (note := notes.pop()):
            shared.setdefault(note, []).append(kind.label)
    yield from (f"  {', '.join(labels)}: {note}" for note, labels in shared.items())


def _head(kind: FigureKind) -> str:
    unit = {"samples": "smp", "full scale": "FS"}.get(kind.unit, kind.unit)
    return f"{kind.short} [{unit}]"


def _number(figure: Figure | None, digits: int) -> str:
    return "—" if figure is None or figure.value is None else f"{figure.value:.{digits}f}"


def _loop(loop: LoopFacts, calibration: Calibration) -> dict[str, Any]:
    """Flatten a loop: the facts every calibration holds stand over the figures of the same name."""
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
    if loop.present and calibration.source:
        data["latency_samples"] = data["latency_sd"] = None
        data["latency_samples_note"] = "not observable: a recording has no common start with the probe"
    return {**{k: v for key, figure in loop.figures.items() for k, v in _figure(key, figure).items()}, **data}


def _figure(key: str, figure: Figure) -> dict[str, Any]:
    data: dict[str, Any] = {key: figure.value, f"{key}_sd": figure.sd}
    if figure.note or figure.value is None:
        data[f"{key}_note"] = figure.note
    return data
