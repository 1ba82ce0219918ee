"""Write one self-contained HTML page: calibration, recall, prints and nulls, pictures inside."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal report songs/blue
  halfnormal report songs/blue --out ~/blue.html"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the next number in the project's reports")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from controller.files import relative
    from controller.project import open_project
    from controller.report import write_report

    face = face_of(args)
    report = write_report(open_project(args.project, emit=face.emit), out=args.out, emit=face.emit)
    face.data({"report": relative(report)}, [relative(report)])
    return 0
