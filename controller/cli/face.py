"""How the command line renders events: data on stdout, talk on stderr."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from controller.compiling import tell_compiling
from controller.events import Done, Event, Finding, Progress, Question, Started

_MARKS = {"note": "·", "warning": "!", "problem": "✕"}
_BAR = 24
_REDRAW_S = 0.1


class Face:
    """Renders a workflow's events for one command.

    ``as_json`` keeps stdout for one object; ``yes`` accepts every plan, ``dry_run`` none; ``quiet`` keeps progress
    to itself. A plan is shown in any case, on stderr; in a dry run it is the result, and ``plan`` holds it. Nobody has
    to read what is said: a closed stderr or stdout ends no pass.
    """

    def __init__(self, *, as_json: bool = False, yes: bool = False, quiet: bool = False, dry_run: bool = False) -> None:
        self.as_json = as_json
        self.dry_run = dry_run
        self.yes = yes
        self.quiet = quiet
        self.plan: Question | None = None
        self._live = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._open_line = False

    def emit(self, event: Event) -> None:
        """Say one event."""
        match event:
            case Started():
                about = "" if event.seconds_estimated is None else f" (about {duration(event.seconds_estimated)})"
                self._talk(f"{event.job}: {event.detail}{about}")
            case Progress():
                self._progress(event)
            case Finding():
                self._talk(f"{_MARKS[event.severity]} {event.where}: {event.what}", always=event.severity != "note")
                if event.hint:
                    self._talk(f"    {event.hint}", always=event.severity != "note")
            case Done():
                self._talk(f"{event.job}: {event.detail}")
            case Question():
                self._show(event)

    def accept(self, question: Question) -> bool:
        """Show a plan and ask for consent; ``--yes`` gives it, no terminal and a dry run refuse it."""
        self.plan = question
        if self.dry_run:
            return False
        self._show(question)
        if self.yes:
            return True
        if not sys.stdin.isatty():
            self._talk("Nobody is here to accept this plan; add --yes to accept it in a script.", always=True)
            return False
        self._write("Go? [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def data(self, value: dict[str, Any], lines: Iterable[str] = ()) -> None:
        """Print the command's result: one JSON object with ``--json``, else ``lines``."""
        self._end_line()
        text = f"{to_json(value)}\n" if self.as_json else "".join(f"{line}\n" for line in lines)
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            abandon_stdout()

    def _show(self, question: Question) -> None:
        self._talk(question.title, always=True)
        for line in question.lines:
            self._talk(f"  {line}", always=True)

    def _talk(self, text: str, *, always: bool = False) -> None:
        if self.quiet and not always:
            return
        self._end_line()
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        if self.quiet or not self._live or (now - self._drawn_at < _REDRAW_S and event.done < 1.0):
            return
        self._drawn_at = now
        filled = round(_BAR * min(max(event.done, 0.0), 1.0))
        left = "" if event.seconds_left is None else f" {duration(event.seconds_left)} left"
        levels = "  ".join(f"{name} {level:6.1f}" for name, level in event.levels_dbfs.items())
        line = f"{'█' * filled}{'·' * (_BAR - filled)} {event.done:4.0%}{left}  {event.detail} {levels}"
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[2K{line[:width]}")
        self._open_line = True

    def _end_line(self) -> None:
        if self._open_line:
            self._write("\r\x1b[2K")
            self._open_line = False


def abandon_stdout() -> None:
    """Let go of a standard output whose reader has gone, so that Python does not try to flush it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def to_json(value: dict[str, Any]) -> str:
    """Write a command's result as its one JSON object.

    What JSON has no number for is null, and a key beside it with ``_note`` says which.
    """
    return json.dumps({"schema": 1, **_finite(value)}, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            found[key] = _finite(inner)
            if isinstance(inner, float) and not math.isfinite(inner):
                note = "not a number" if math.isnan(inner) else "minus infinity" if inner < 0 else "infinity"
                found.setdefault(f"{key}_note", note)
        return found
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finite(text: str) -> float:
    """Read an option's number; the words nan and inf are none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def duration(seconds: float) -> str:
    """Write a duration as a person reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def table(rows: Sequence[Sequence[str]], heads: Sequence[str], *, right: Sequence[int] = ()) -> list[str]:
    """Lay ``rows`` out in columns under ``heads``; columns in ``right`` (from 0) are right-aligned."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]


def add_common(parser: argparse.ArgumentParser, *, plan: bool = False) -> None:
    """Add the options every command has; ``plan`` adds those of commands that play or move something."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    if plan:
        parser.add_argument("-y", "--yes", action="store_true", help="accept the plan (for scripts)")
        parser.add_argument("--dry-run", action="store_true", help="show the plan, then play and move nothing")


def face_of(args: argparse.Namespace) -> Face:
    """Return the face the common options ask for; it also says when kernels have to be compiled."""
    face = Face(
        as_json=args.json,
        yes=getattr(args, "yes", False),
        quiet=args.quiet,
        dry_run=getattr(args, "dry_run", False),
    )
    tell_compiling(face.emit)
    return face
