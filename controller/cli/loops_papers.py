"""``halfnormal loops compare``, ``csv`` and ``report``: what of a calibration goes to other programs and on paper."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face
from controller.cli.loops_history import find_loop

if TYPE_CHECKING:
    from controller.loops import StoredCalibration
    from controller.response_compare import ResponseComparison
    from hardware.rig import Rig


def _chosen(args: argparse.Namespace, face: Face) -> tuple[Rig, StoredCalibration]:
    from controller import places
    from controller.loop_figures import all_stored, chosen
    from hardware.rig import load_rig

    rig = load_rig(args.rig, folders=[places.rigs_folder()])
    shelf = all_stored(places.rig_home(rig.name).calibrations, face.emit)
    return rig, chosen(shelf, args.calibration, rig=rig.name)


def run_compare(args: argparse.Namespace, face: Face) -> int:
    """Lay another program's response over ours and say where they differ most."""
    from controller import files
    from controller.errors import UsageError
    from controller.events import Finding
    from controller.loop_figures import where_of
    from controller.response_compare import DEFINITION, compare_responses
    from controller.response_text import read_response

    if args.file is None or args.loop is None:
        raise UsageError("'loops compare' needs FILE and --loop.", hint="For example: loops compare rew.txt --loop 7")
    theirs = read_response(args.file)
    for note in theirs.notes:
        face.emit(Finding(files.relative(args.file), note))
    _, stored = _chosen(args, face)
    subject = find_loop(stored, args.loop)
    loop = next(loop for loop in stored.calibration.loops if (loop.output, loop.address) == subject)
    found = compare_responses(loop, theirs, rate_hz=stored.calibration.rate_hz)
    if args.picture is not None:
        from controller.loop_plots import comparison_picture

        name = theirs.title or args.file.name
        files.write_new(args.picture, comparison_picture(found, f"{where_of(loop)} and {name}"))
    data: dict[str, Any] = {
        "file": files.relative(args.file),
        "title": theirs.title,
        "calibration": files.relative(stored.path),
        "output": loop.output,
        "address": loop.address,
        "rate_hz": stored.calibration.rate_hz,
        "points": len(found.hz),
        "level_offset_db": found.their_offset_db,
        "delay_samples": found.delay_samples,
        "polarity": found.polarity,
        "worst_db": found.worst_db,
        "worst_db_hz": found.worst_db_hz,
        "worst_db_sd": found.our_sd_db,
        "rms_db": found.rms_db,
        "worst_deg": found.worst_deg,
        "worst_deg_hz": found.worst_deg_hz,
        "definition": DEFINITION,
        "picture": None if args.picture is None else files.relative(args.picture),
    }
    if theirs.deg is None:
        data |= {f"{key}_note": "the file has no phase" for key in ("delay_samples", "polarity", "worst_deg")}
    face.data(data, _lines(found))
    return 0


def _lines(found: ResponseComparison) -> list[str]:
    from controller.response_compare import say_hz

    lines = [
        f"level   theirs less ours {found.their_offset_db:+.3f} dB at 1 kHz, taken out",
        f"differs at most {found.worst_db:+.4f} dB at {say_hz(found.worst_db_hz)} "
        f"(our error bar {found.our_sd_db:.1g} dB), RMS {found.rms_db:.4f} dB, {len(found.hz)} frequencies",
    ]
    if found.worst_deg is None or found.worst_deg_hz is None or found.delay_samples is None:
        return [*lines, "phase   the file has none"]
    turned = "the same polarity" if found.polarity == 1 else "the other polarity"
    return [
        *lines,
        f"delay   theirs {found.delay_samples:+.4f} samples later, {turned}; taken out",
        f"phase   differs at most {found.worst_deg:+.3f}° at {say_hz(found.worst_deg_hz)}",
    ]


def run_csv(args: argparse.Namespace, face: Face) -> int:
    """Write the figures or the responses of a calibration as CSV."""
    from controller import files, loop_table
    from controller.errors import CalibrationError, UsageError

    if args.out is None and args.json:
        raise UsageError("'loops csv --json' needs --out.", hint="The JSON then names the file.")
    _, stored = _chosen(args, face)
    calibration = stored.calibration
    if args.responses and not any(loop.response for loop in calibration.loops):
        raise CalibrationError(
            f"{stored.path.name} holds no responses.", hint="Run 'halfnormal calibrate --only response'."
        )
    text = loop_table.responses_csv(calibration) if args.responses else loop_table.figures_csv(calibration)
    data: dict[str, Any] = {"calibration": files.relative(stored.path), "csv": None, "rows": text.count("\n") - 1}
    if args.out is None:
        face.data(data, text.splitlines())
        return 0
    files.write_new(args.out, text)
    data["csv"] = files.relative(args.out)
    face.data(data, [files.relative(args.out)])
    return 0


def run_report(args: argparse.Namespace, face: Face) -> int:
    """Write the page of one calibration and say where it is."""
    from controller.files import relative
    from controller.loop_report import write_loop_report

    rig, stored = _chosen(args, face)
    page = write_loop_report(stored, rig, newest=args.calibration is None, out=args.out, emit=face.emit)
    face.data({"report": relative(page), "calibration": relative(stored.path)}, [relative(page)])
    return 0
