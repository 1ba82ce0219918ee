"""Measure a mix in one pass in the box, and propose gains, a balance, and where to listen; nothing is written."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.face import add_common, face_of, finite, table

if TYPE_CHECKING:
    from controller.advise import Advice
    from controller.proposals import Proposal

EXAMPLES = """\
examples:
  halfnormal advise songs/blue
  halfnormal advise songs/blue --mix mix-3 --target -23
  halfnormal advise songs/blue --json

Every proposal has a number, a reason and a place; the balance is a starting
point, and masking hints say where to listen. You decide."""
MASKING_SHOWN = 12
_HEADS = ("strip", "LUFS before", "peak", "LUFS after", "peak", "correlation", "mono")
_TITLES = {
    "clip": "Clipping",
    "gain": "Gain staging",
    "balance": "A starting balance",
    "mono": "Mono",
    "masking": "Masking hints",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--mix", metavar="NAME", help="default: the mix of the highest number")
    parser.add_argument(
        "--target",
        type=finite,
        default=-20.0,
        metavar="LUFS",
        help="loudness of every strip before its fader (default: -20)",
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, and print what is proposed."""
    from controller.advise import advise
    from controller.errors import UsageError
    from controller.project import open_project

    face = face_of(args)
    if not -60.0 <= args.target <= 0.0:
        raise UsageError(f"--target {args.target:g} is no level to bring a strip to.", hint="Say -60 to 0 LUFS.")
    project = open_project(args.project, emit=face.emit)
    advice = advise(project, project.mix(args.mix), emit=face.emit, target_lufs=args.target)
    face.data(advice.data, _lines(advice))
    return 0


def _lines(advice: Advice) -> list[str]:
    heard = advice.heard
    rows = [
        [
            one.strip.name if one.heard else f"{one.strip.name} (not heard)",
            _db(one.before.loudness_lufs),
            _db(one.before.peak_dbfs),
            _db(one.after.loudness_lufs),
            _db(one.after.peak_dbfs),
            f"{one.fold.correlation:+.2f}" if one.channels == 2 else "",
            _db(one.fold.change_db) if one.channels == 2 else "",
        ]
        for one in heard.strips
    ]
    bus = heard.bus
    levels = [_db(bus.levels.loudness_lufs), _db(bus.levels.peak_dbfs)]
    rows.append(["main bus", "", "", *levels, f"{bus.fold.correlation:+.2f}", _db(bus.fold.change_db)])
    lines = table(rows, _HEADS, right=range(1, len(_HEADS)))
    method = advice.data["method"]
    for kind, title in _TITLES.items():
        found = [proposal for proposal in advice.proposals if proposal.kind == kind]
        if found:
            shown = found[:MASKING_SHOWN] if kind == "masking" else found
            about = textwrap.wrap(f"({method[kind]})", 79, initial_indent="  ", subsequent_indent="  ")
            lines += ["", title, *about, *_sentences(shown)]
            lines += [f"  … and {len(found) - len(shown)} more; --json has them all"] if len(found) > len(shown) else []
    return lines if advice.proposals else [*lines, "", "Nothing to propose."]


def _sentences(proposals: Sequence[Proposal]) -> list[str]:
    lines = []
    for proposal in proposals:
        by = "" if proposal.by_db is None or not math.isfinite(proposal.by_db) else f" ({proposal.by_db:+.1f} dB)"
        when = "most" if proposal.kind == "mono" else "first"
        at = "" if proposal.at_s is None else f", {when} at {_clock(proposal.at_s)}"
        lines.append(f"  {proposal.strip}: {proposal.what}{by}{at}: {proposal.why}")
    return lines


def _clock(at_s: float) -> str:
    return f"{int(at_s // 60)}:{at_s % 60:04.1f}"


def _db(level: float) -> str:
    return f"{level:z.1f}" if math.isfinite(level) else "-inf"
