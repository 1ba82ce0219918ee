"""Render a mix into a numbered print: through the desk, hybrid, or in the box."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal print songs/blue --path itb
  halfnormal print songs/blue --path analog --yes
  halfnormal print songs/blue --path hybrid --dry-run     # the allocation, stage by stage

analog puts on the desk whatever it can do; hybrid only what needs no hand; itb nothing, at the values the
analog path reaches (--like exact: at the mix's own)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("--path", choices=["analog", "hybrid", "itb"], required=True, help="where the mix is made")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument(
        "--like", choices=["analog", "hybrid", "exact"], default="analog", help="itb: whose reachable values to take"
    )
    parser.add_argument("--format", choices=["24", "float"], default="24", help="24-bit with dither, or 32-bit float")
    parser.add_argument("--hands-done", action="store_true", help="the by-hand controls stand as the sheet says")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Print, and say where the print is."""
    from controller.files import relative
    from controller.printing import print_mix
    from controller.project import open_project
    from controller.studio import Studio

    face = face_of(args)
    project = open_project(args.project, emit=face.emit)
    with Studio.open(args.rig or project.rig) as studio:
        made = print_mix(
            project,
            project.mix(args.mix),
            path=args.path,
            studio=studio,
            emit=face.emit,
            accept=(lambda question: True) if args.path == "itb" and not args.dry_run else face.accept,
            like=None if args.like == "exact" else args.like,
            format_=args.format,
            hands_done=args.hands_done,
        )
    facts = made.facts
    data = {
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
    }
    face.data(data, [relative(made.file)])
    return 0
