"""What is known of the loops: history and trends, dBu, trims, other programs' curves, tables, a page to print."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.face import add_common, face_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.cli.face import Face

ACTIONS = ("history",)
EXAMPLES = """\
actions:
  history       what changed since an earlier calibration, and slow trends

examples:
  halfnormal loops history --rig studio-a
  halfnormal loops history --rig studio-a --since 3 --loop desk/ch07
  halfnormal loops history --figure gain_db --picture gain.png

exit code 1 when something is wrong: a change beyond its error bars and the
rig's tolerance, a figure beyond a limit, a calibration that is too old."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help="one of the actions below")
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    parser.add_argument("--calibration", type=int, metavar="N", help="which one (default: the newest)")
    parser.add_argument("--since", type=int, metavar="N", help="history: compare with N (default: the one before)")
    parser.add_argument("--loop", metavar="LOOP", help="an output's number, or an address as desk/ch07")
    parser.add_argument("--figure", metavar="KEY", help="history: only this figure, as gain_db")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="history: draw it (PNG)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    from controller.cli import loops_history

    actions: dict[str, Callable[[argparse.Namespace, Face], int]] = {"history": loops_history.run}
    return actions[args.action](args, face_of(args))
