"""Open the console on a project: strips and meters, recall, print and compare, by keyboard."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  halfnormal                    # the project in the current folder
  halfnormal songs/blue"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, nargs="?", default=Path(), metavar="PROJECT")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")


def run(args: argparse.Namespace) -> int:
    """Open the console."""
    from controller.tui.start import open_console

    return open_console(args.project, rig=args.rig)
