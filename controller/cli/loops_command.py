"""What is known of the loops: history and trends, dBu, trims, other programs' curves, tables, a page to print."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.face import add_common, face_of, finite

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.cli.face import Face

ACTIONS = ("history", "dbu", "trim", "compare", "csv", "report")
EXAMPLES = """\
actions:
  history       what changed since an earlier calibration, and slow trends
  dbu           what 0 dBFS is in dBu: a tone, and what your meter shows
  trim          which trim to turn, which way and by how much, live
  compare FILE  a loop's response beside one that REW or ARTA exported as text
  report        one page to print: plots, table, problems, definitions
  csv           a table of all figures, a row a loop (--responses: the curves)

examples:
  halfnormal loops history --rig studio-a
  halfnormal loops history --rig studio-a --since 3 --loop desk/ch07
  halfnormal loops history --figure gain_db --picture gain.png
  halfnormal loops dbu --rig studio-a --output 7 --accuracy 0.5%+3digits
  halfnormal loops trim --rig studio-a --standard EBU-R68
  halfnormal loops compare rew.txt --rig studio-a --loop 7 --picture 7.png
  halfnormal loops report --rig studio-a --calibration 12
  halfnormal loops csv --rig studio-a --out loops.csv

exit code 1 when something is wrong: a change beyond its error bars and the
rig's tolerance, a figure beyond a limit, a calibration that is too old, a
line that is not aligned."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help="one of the actions below")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="compare: the other program's text")
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    parser.add_argument("--calibration", type=int, metavar="N", help="which one (default: the newest)")
    parser.add_argument("--since", type=int, metavar="N", help="history: compare with N (default: the one before)")
    parser.add_argument("--loop", metavar="LOOP", help="an output's number, or an address as desk/ch07")
    parser.add_argument("--figure", metavar="KEY", help="history: only this figure, as gain_db")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="history, compare: draw it (PNG)")
    parser.add_argument("--output", type=int, metavar="N", help="dbu, trim: the interface's output")
    parser.add_argument("--accuracy", metavar="TEXT", help="dbu: the meter's, as 0.5%%+3digits or 'class 1.5 of 3V'")
    parser.add_argument(
        "--reading",
        "--meter",
        nargs="+",
        action="append",
        default=[],
        metavar="VALUE",
        help="dbu: what the meter shows (for scripts), as 1.2285 V or 4.01 dBu; may be given again",
    )
    parser.add_argument("--level", type=finite, default=-14.0, metavar="DBFS", help="dbu: of the tone (default: -14)")
    parser.add_argument(
        "--pad", type=finite, default=0.0, metavar="DB", help="dbu: what the path to the input loses (default: 0)"
    )
    parser.add_argument("--standard", metavar="NAME", help="trim: EBU-R68, SMPTE-RP155 or DBU=18")
    parser.add_argument(
        "--side", choices=("output", "input"), default="output", metavar="SIDE", help="trim: output or input trims"
    )
    parser.add_argument(
        "--tolerance", type=finite, default=0.1, metavar="DB", help="trim: how near is right (default: 0.1)"
    )
    parser.add_argument("--once", action="store_true", help="trim: measure and end (for scripts)")
    parser.add_argument("--responses", action="store_true", help="csv: the responses instead of the figures")
    parser.add_argument("--out", type=Path, metavar="FILE", help="csv, report: where to (csv: default stdout)")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    from controller.cli import loops_history, loops_levels, loops_papers
    from controller.errors import UsageError

    if args.file is not None and args.action != "compare":
        raise UsageError(
            f"'loops {args.action}' has no use for '{args.file}'.", hint="'halfnormal loops -h' shows how."
        )
    actions: dict[str, Callable[[argparse.Namespace, Face], int]] = {
        "history": loops_history.run,
        "dbu": loops_levels.run_dbu,
        "trim": loops_levels.run_trim,
        "compare": loops_papers.run_compare,
        "csv": loops_papers.run_csv,
        "report": loops_papers.run_report,
    }
    return actions[args.action](args, face_of(args))
