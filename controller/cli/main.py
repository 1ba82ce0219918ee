"""``halfnormal COMMAND``: finds the command, maps errors to sentences and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import gc
import importlib
import io
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

COMMANDS: dict[str, str] = {
    "tui": "open the console on a project (also: no command at all)",
    "demo": "the whole line on the virtual room, with our song or yours",
    "doctor": "what this machine has and lacks",
    "new": "make a project from a folder of audio files",
    "rig": "check a rig file for contradictions, list the rigs",
    "profile": "device profiles: list, show, check, import, learn; bytes",
    "devices": "the health of every device: present, identity, errors",
    "monitor": "traffic of a port as it comes, decoded by a profile",
    "snapshot": "where every control of the rig stands, and how that is known",
    "room": "serve the virtual room on JACK, MIDI, pseudo-terminals",
    "calibrate": "measure every loop of a rig",
    "loops": "what is known of the loops: history, dBu, trims, report",
    "recall": "bring the rig to a mix: plan, send, resume, verify, hands, sheet",
    "moves": "record the moves made on the desk into a new mix",
    "effects": "what a mix can insert, and what can be set there",
    "advise": "measure a mix and propose gains, balance; clips, mono, masking",
    "play": "listen to a mix, live, on the interface's monitor outputs",
    "print": "render a mix through the desk, in the box, or both",
    "null": "align two prints or files, subtract, explain",
    "report": "one HTML page of calibration, recall, prints and nulls",
}
FEWER_COLLECTIONS = 50_000
"""Objects made between two looks for circles of garbage: imports make many, none of it garbage, and each look costs."""

EXIT_CODES = """\
exit codes:
  0    done
  1    done, and the answer is no
  2    usage, config, profile or file
  3    device or port
  4    timeout
  5    dropout or silent input
  130  interrupted
"""
EPILOG = f"""\
{EXIT_CODES}
With --json a command prints one JSON object on stdout; what it has to say
besides goes to stderr. 'halfnormal COMMAND -h' shows an example of each.
"""
WIDTH = 79
_CHOICE = re.compile(r"^argument ([^:]+): invalid choice: (.+) \(choose from (.+)\)$", re.DOTALL)
_INVALID = re.compile(r"^argument ([^:]+): invalid \w+ value: (.+)$", re.DOTALL)
_REQUIRED = re.compile(r"^the following arguments are required: (.+)$")


class CommandLineError(Exception):
    """The command line itself is wrong; ``hint`` says what would be right."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence with the nearest right word, and takes no option by half its name."""

    def error(self, message: str) -> NoReturn:
        hint = f"'{self.prog} -h' shows how."
        if found := _CHOICE.match(message):
            what, said, listed = found.groups()
            word = said.strip("'\"")
            choices = [choice.strip("'\" ") for choice in listed.split(",")]
            raise CommandLineError(f"There is no {what} '{word}'.", hint=_nearest(word, choices))
        if found := _REQUIRED.match(message):
            raise CommandLineError(f"'{self.prog}' needs {found[1]}.", hint=hint)
        if found := _INVALID.match(message):
            raise CommandLineError(f"{found[1]} cannot be {found[2]}.", hint=hint)
        raise CommandLineError(f"'{self.prog}': {message.removeprefix('argument ')}.", hint=hint)


def _nearest(word: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=2)
    return f"Did you mean {' or '.join(close)}?" if close else f"There is: {', '.join(choices)}."


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=WIDTH)


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Build the parser; only ``command``'s module is imported, so that help stays quick."""
    parser = _Parser(
        prog="halfnormal",
        description="Recall, print and null-test a mix on the analog desk, in the box, or both.",
        epilog=EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        if name != command:
            commands.add_parser(name, help=help_text)
            continue
        module = importlib.import_module(f"controller.cli.{name}_command")
        chosen = commands.add_parser(
            name,
            help=help_text,
            description=textwrap.fill(module.__doc__ or "", WIDTH),
            epilog=module.EXAMPLES,
            formatter_class=_formatter,
            allow_abbrev=False,
        )
        module.configure(chosen)
        chosen.set_defaults(run=module.run)
    return parser


def _with_command(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Return the command that ``arguments`` name, and the arguments with it: a folder alone opens the console."""
    first = next((a for a in arguments if not a.startswith("-")), None)
    if first is None and not arguments:
        return "tui", ["tui"]
    if first is None or first in COMMANDS:
        return first, arguments
    if first == arguments[0] and (Path(first).exists() or "/" in first or os.sep in first):
        return "tui", ["tui", *arguments]
    raise CommandLineError(
        f"There is no command '{first}', and no project folder of that name.", hint=_nearest(first, list(COMMANDS))
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a sign that the terminal lacks ends no pass
    # The engine has threads of its own; those of numpy's linear algebra take 0.1 s to start, and spin between calls.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(FEWER_COLLECTIONS)
    try:
        command, arguments = _with_command(list(sys.argv[1:] if argv is None else argv))
        args, rest = build_parser(command).parse_known_args(arguments)
        if rest:
            program = f"halfnormal {command}" if command else "halfnormal"
            raise CommandLineError(f"'{program}' has no use for '{rest[0]}'.", hint=f"'{program} -h' shows how.")
        if args.version:
            from controller.version import VERSION

            sys.stdout.write(f"halfnormal {VERSION}\n")
            _flush()
            return 0
        if args.command is None:
            raise CommandLineError("No command was given.", hint="'halfnormal --help' lists them.")
        code = int(args.run(args))
        _flush()
        return code
    except SystemExit as leaving:  # argparse after --help
        _flush()
        return leaving.code if isinstance(leaving.code, int) else 0
    except CommandLineError as error:
        return _tell(str(error), error.hint, 2)
    except BrokenPipeError:
        from controller.cli.face import abandon_stdout

        abandon_stdout()
        return 0
    except BaseException as error:
        return _explain(error)


def _flush() -> None:
    """Hand over what stdout holds now: at the interpreter's end, a reader that has gone would be an error."""
    from controller.cli.face import abandon_stdout

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()


def _explain(error: BaseException) -> int:
    """Say an error in one sentence and return its exit code; a fault of the program goes on as it is."""
    from controller.errors import exit_code, hint_of

    code = exit_code(error)
    if code is None:
        raise error
    if isinstance(error, KeyboardInterrupt):
        return _tell("Interrupted; everything recorded or written so far is kept.", "", code)
    sentence = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        sentence = f"{where}{error.strerror}"
    return _tell(sentence, hint_of(error), code)


def _tell(sentence: str, hint: str, code: int) -> int:
    with contextlib.suppress(OSError):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")  # the place of a progress line
        sys.stderr.write(f"halfnormal: {sentence}\n")
        if hint:
            sys.stderr.write(f"  {hint}\n")
        sys.stderr.flush()
    return code
