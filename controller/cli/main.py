"""``halfnormal COMMAND``: finds the command, maps errors to sentences and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS: dict[str, str] = {
    "tui": "open the console on a project (also: halfnormal with no command)",
    "demo": "the whole line on the virtual room, with a song of our own or yours",
    "doctor": "what this machine has and lacks",
    "new": "make a project from a folder of audio files",
    "rig": "check a rig file for contradictions",
    "profile": "list, show and check device profiles; encode and decode their bytes",
    "room": "serve the virtual room on JACK, MIDI and pseudo-terminals",
    "calibrate": "measure every loop of a rig",
    "recall": "bring the rig to a mix: plan, send, verify, sheet",
    "print": "render a mix through the desk, in the box, or both",
    "null": "align two prints or files, subtract, explain",
    "report": "one HTML page of calibration, recall, prints and nulls",
}
EPILOG = """\
exit codes: 0 done, 1 done and the answer is no, 2 usage, config, profile or file, 3 device or port,
4 timeout, 5 dropout or silent input, 130 interrupted. 'halfnormal COMMAND -h' shows an example of each.
"""


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Build the parser; only ``command``'s module is imported, so that help stays quick."""
    parser = argparse.ArgumentParser(
        prog="halfnormal",
        description="Recall, print and null-test a mix on the analog desk, in the box, or both.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        if name == command:
            module = importlib.import_module(f"controller.cli.{_module(name)}")
            chosen = commands.add_parser(
                name,
                help=help_text,
                description=module.__doc__,
                epilog=module.EXAMPLES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.configure(chosen)
            chosen.set_defaults(run=module.run)
        else:
            commands.add_parser(name, help=help_text)
    return parser


def _module(command: str) -> str:
    return f"{command}_command"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (len(arguments) == 1 and not arguments[0].startswith("-") and arguments[0] not in COMMANDS):
        arguments = ["tui", *arguments]
    command = next((a for a in arguments if a in COMMANDS), None)
    args = build_parser(command).parse_args(arguments)
    if args.version:
        from controller.version import VERSION

        sys.stdout.write(f"halfnormal {VERSION}\n")
        return 0
    try:
        return int(args.run(args))
    except BrokenPipeError:
        # The reader of our stdout has gone: nothing is left to say, and Python must not try to flush.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        from controller.errors import DeclinedError, exit_code, hint_of

        if isinstance(error, DeclinedError) and getattr(args, "dry_run", False):
            return 0
        code = exit_code(error)
        if code is None:
            raise
        if isinstance(error, KeyboardInterrupt):
            sys.stderr.write("\nInterrupted; everything recorded or written so far is kept.\n")
            return code
        sys.stderr.write(f"halfnormal: {error}\n")
        hint = hint_of(error)
        if hint:
            sys.stderr.write(f"  {hint}\n")
        return code
