"""Render a mix into a numbered print: through the desk, hybrid, or in the box."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of

if TYPE_CHECKING:
    from controller.box_render import Wanted
    from controller.mix import Mix
    from controller.project import Project
    from controller.rolling import Roll
    from controller.studio import Studio

EXAMPLES = """\
examples:
  halfnormal print songs/blue --path itb
  halfnormal print songs/blue --path analog --yes --hands-done
  halfnormal print songs/blue --path hybrid --dry-run    # what runs where, why
  halfnormal print songs/blue --path itb --stems --busses    # everything at once
  halfnormal print songs/blue --path itb --from 1:02 --to 1:30.5
  halfnormal print songs/blue --path itb --format 16 --dither shaped

analog puts on the desk whatever it can do; hybrid only what needs no hand;
itb nothing, at the values that the analog path reaches (--like exact: at the
mix's own). exit code 1 when the calibration is missing, stale or contradicted,
or controls have still to be set by hand."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--path", choices=["analog", "hybrid", "itb"], required=True, help="where the mix is made")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument(
        "--like",
        choices=["analog", "hybrid", "exact"],
        default="analog",
        help="itb: whose reachable values to take (default: analog)",
    )
    parser.add_argument(
        "--format",
        choices=["16", "24", "float", "flac"],
        default="24",
        help="16-bit or 24-bit WAV (default: 24), 32-bit float WAV, or 24-bit FLAC",
    )
    parser.add_argument(
        "--dither",
        choices=["flat", "shaped", "none"],
        help="of whole numbers: triangular (default: flat), its noise shaped to be heard less, or none",
    )
    parser.add_argument(
        "--record-moves", action="store_true", help="what hands move on the desk meanwhile becomes a new mix's moves"
    )
    parser.add_argument("--transport", metavar="DEVICE", help="a tape machine that runs with the pass")
    parser.add_argument("--arm", action="store_true", help="--transport records, too: it overwrites its tape")
    parser.add_argument("--mtc", metavar="DEVICE", help="send MIDI time code to this device during the pass")
    parser.add_argument(
        "--start", metavar="TC", default="00:00:00:00", help="the song's first frame on the machine (default: 0)"
    )
    parser.add_argument(
        "--frame-rate", choices=["24", "25", "29.97df", "30"], default="25", help="of --start and --mtc (default: 25)"
    )
    parser.add_argument("--stems", action="store_true", help="itb: every strip behind its fader as a file of its own")
    parser.add_argument("--busses", action="store_true", help="itb: every bus as a file of its own")
    parser.add_argument("--from", dest="from_s", type=_seconds, default=0.0, metavar="S", help="itb: begin here")
    parser.add_argument("--to", dest="to_s", type=_seconds, metavar="S", help="itb: end here (seconds, or M:SS.s)")
    parser.add_argument(
        "--pre-roll",
        dest="pre_roll_s",
        type=_seconds,
        metavar="S",
        help="render --from with so much before it (default: from the song's first frame, the very samples)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="itb: run every insert, instead of playing what the last print kept"
    )
    parser.add_argument("--hands-done", action="store_true", help="the by-hand controls stand as the sheet says")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Print, and say where the print is."""
    from controller.errors import UsageError
    from controller.files import relative
    from controller.printing import print_mix
    from controller.project import open_project
    from controller.studio import Studio

    if args.format == "float" and args.dither is not None:
        raise UsageError("Float is filed as it is rendered: it takes no dither.", hint="Leave out --dither.")
    face = face_of(args)
    project = open_project(args.project, emit=face.emit)
    mix = project.mix(args.mix)
    with Studio.open(args.rig or project.rig) as studio:
        if args.dry_run:
            return _dry_run(args, face, project, mix, studio)
        made = print_mix(
            project,
            mix,
            path=args.path,
            studio=studio,
            emit=face.emit,
            accept=(lambda question: True) if args.path == "itb" else face.accept,
            like=None if args.like == "exact" else args.like,
            format_=args.format,
            dither=args.dither or "flat",
            hands_done=args.hands_done,
            record_moves=args.record_moves,
            roll=_roll(args),
            wanted=_wanted(args),
        )
    facts = made.facts
    data: dict[str, Any] = {
        "print": made.number,
        "file": relative(made.file),
        "rate_hz": facts["rate_hz"],
        "frames": facts["frames"],
        "path": facts["path"],
        "allocation": facts["allocation"],
        "xruns": facts["xruns"],
        "repairs": facts["repairs"],
        "provenance": relative(made.provenance_file),
        "peak_dbfs": facts["peak_dbfs"],
        "format": facts["format"],
        **{key: facts[key] for key in ("dither", "frozen", "moves", "moves_recorded", "region") if key in facts},
    }
    parts = [{**part, "file": relative(made.file.parent / part["file"])} for part in facts.get("parts", ())]
    if parts:
        data["parts"] = parts
    face.data(data, [relative(made.file), *(part["file"] for part in parts)])
    return 0


def _wanted(args: argparse.Namespace) -> Wanted:
    """Return what a print in the box is asked for besides the song."""
    from controller.box_render import Wanted

    return Wanted(args.stems, args.busses, args.from_s, args.to_s, args.pre_roll_s, args.fresh)


def _seconds(text: str) -> float:
    """Read ``83.5`` or ``1:23.5``."""
    minutes, _, seconds = text.rpartition(":")
    value = 60.0 * int(minutes or 0) + float(seconds)
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(text)
    return value


def _roll(args: argparse.Namespace) -> Roll | None:
    """Return what runs with the pass."""
    from controller.errors import UsageError
    from controller.rolling import Roll
    from hardware.timecode import RATES, Timecode

    if args.transport is None and args.mtc is None:
        if args.arm:
            raise UsageError("--arm says that a machine may record, and no --transport names one.")
        return None
    start = Timecode.parse(args.start, RATES[args.frame_rate])
    return Roll(machine=args.transport, mtc=args.mtc, start=start, armed=args.arm)


def _dry_run(args: argparse.Namespace, face: Face, project: Project, mix: Mix, studio: Studio) -> int:
    """Say what would run where, what would be recalled, and what stands in the way."""
    from controller import recall
    from controller.errors import CalibrationError, ProjectError
    from controller.printing import plan_allocation, sound_calibration

    like = None if args.like == "exact" else args.like
    allocation, stored = plan_allocation(project, mix, studio, args.path, like=like)
    _, first, last = _wanted(args).frames(project, allocation)
    data: dict[str, Any] = {
        "print": None,
        "print_note": "dry run: nothing was rendered",
        "file": None,
        "file_note": "dry run: nothing was rendered",
        "rate_hz": project.rate_hz,
        "frames": last - first,
        "path": args.path,
        "allocation": [
            {"strip": p.strip, "stage": p.stage, "where": p.where, "why": p.why} for p in allocation.placements
        ],
        "xruns": [],
        "repairs": [],
        "provenance": None,
        "provenance_note": "dry run: nothing was rendered",
        "problems": [asdict(finding) for finding in allocation.bypassed],
    }
    lines = list(allocation.lines())
    if args.path != "itb" and allocation.routes:
        planned = recall.plan_mix(studio, allocation)
        data["recall"] = recall.as_json(planned)
        lines += planned.lines()
        try:
            sound_calibration(studio, stored, project)
        except (CalibrationError, ProjectError) as error:
            data["problems"].append({"where": studio.rig.name, "what": str(error), "hint": error.hint})
            lines += [f"✕ {error}", f"    {error.hint}"]
    face.data(data, [*lines, "Dry run: nothing was rendered, nothing moved."])
    return 0
