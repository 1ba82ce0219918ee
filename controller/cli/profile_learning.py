"""New profiles for the command ``profile``: out of a public list, or out of what a device is heard to send."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, finite, table

if TYPE_CHECKING:
    from controller.learn import WrittenProfile
    from hardware.learning_shapes import Proposal
    from profiles.importers.midi_csv_controls import Notice

ACTION_HELP = """\
  import FILE.csv            a profile from a public MIDI CC/NRPN list
  learn --port PORT          a profile from what a device sends when it is moved"""
ACTION_EXAMPLES = """\
  halfnormal profile import "Ember 2.csv"
  halfnormal profile learn --port "midi:UM-ONE" --name my-compressor"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``import`` and ``learn``."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="import, learn: write there, not among your profiles")
    parser.add_argument("--name", metavar="ID", help="import, learn: the new profile's id")
    parser.add_argument("--port", metavar="PORT", help="learn: midi:NAME or room:DEVICE")
    parser.add_argument("--seconds", type=finite, metavar="N", help="learn: listen so long (default: until Ctrl-C)")


def check_options(args: argparse.Namespace) -> None:
    """Refuse options of other actions.

    Raises
    ------
    UsageError
        One was given that the action has no use for.
    """
    from controller.errors import UsageError

    of = {"out": ("import", "learn"), "name": ("import", "learn"), "port": ("learn",), "seconds": ("learn",)}
    for option, actions in of.items():
        if getattr(args, option) is not None and args.action not in actions:
            raise UsageError(
                f"'profile {args.action}' has no use for --{option}.",
                hint=f"--{option} belongs to 'profile {actions[-1]}'.",
            )


def import_profile(args: argparse.Namespace, face: Face) -> int:
    """Make a profile of the public list ``args.id``."""
    from controller.learn import import_list, write_profile

    made = import_list(Path(args.id), profile_id=args.name or "")
    written = write_profile(made.text, profile_id=made.id, out=args.out)
    lines = [
        f"{_shown_path(written)}: {made.controls} control{'' if made.controls == 1 else 's'}, community, unverified.",
        *(f"left out: {notice}" for notice in made.skipped),
        *(f"assumed: {notice}" for notice in made.assumed),
        *_problem_lines(written),
        f"Verify it by measurement; 'halfnormal profile show {made.id}' lists the controls.",
    ]
    data = {
        "profile": made.id,
        "file": _shown_path(written),
        "controls": made.controls,
        "skipped": [_notice(notice) for notice in made.skipped],
        "assumed": [_notice(notice) for notice in made.assumed],
        "problems": _problems(written),
    }
    face.data(data, lines)
    return 0


def learn_profile(args: argparse.Namespace, face: Face) -> int:
    """Listen to ``args.port`` while controls are moved, ask for names, write the profile."""
    from datetime import date

    from controller.errors import UsageError
    from controller.events import Finding
    from controller.learn import free_id, learned_text, listen, name_controls, write_profile
    from controller.listening import open_ear

    alone = args.json or not sys.stdin.isatty()
    if not args.port:
        raise UsageError("'profile learn' needs --port PORT.", hint='For example: --port "midi:UM-ONE"')
    if args.port.startswith("serial:"):
        raise UsageError("'profile learn' understands MIDI only.", hint="A serial line's commands stand in its manual.")
    if args.seconds is not None and args.seconds <= 0:
        raise UsageError(f"--seconds cannot be {args.seconds:g}.", hint="Give a number above 0.")
    if args.seconds is None and alone:
        raise UsageError("Nobody is here to say when all is moved.", hint="Add --seconds N.")
    with open_ear(args.port) as ear:
        end = "Ctrl-C ends listening." if args.seconds is None else f"Listening for {args.seconds:g} s."
        _say(face, f"Move each control from end to end, one after the other. {end}")
        learner = listen(ear, seconds=args.seconds, emit=face.emit)
    proposals = learner.proposals()
    named, left_out = name_controls(proposals, _no_questions if alone else _ask)
    ignored = [*learner.ignored(), *(f"{proposal.message}: left out" for proposal in left_out)]
    found = {
        "port": args.port,
        "controls": [_proposal(name, proposal) for name, proposal in named],
        "ignored": ignored,
    }
    if not named:
        face.data(
            {"profile": None, "file": None, **found},
            ["Nothing was heard that makes a control.", *(f"passed over: {word}" for word in ignored)],
        )
        return 1
    wanted = args.name or "learned"
    profile_id = free_id(wanted)
    if profile_id != wanted:
        face.emit(Finding("profile", f"{wanted} is there already; this one is called {profile_id}", severity="warning"))
    text = learned_text(named, profile_id=profile_id, port=args.port, channel=learner.channel, on=date.today())
    written = write_profile(text, profile_id=profile_id, out=args.out)
    rows = [
        [name, proposal.message, f"{proposal.low}..{proposal.high}", str(proposal.steps), proposal.shape]
        for name, proposal in named
    ]
    lines = [
        *table(rows, ["control", "message", "codes", "steps", "looks like"], right=(3,)),
        *(f"passed over: {word}" for word in ignored),
        *_problem_lines(written),
        f"{_shown_path(written)}: {len(named)} control{'' if len(named) == 1 else 's'}, unverified.",
    ]
    face.data({"profile": profile_id, "file": _shown_path(written), **found, "problems": _problems(written)}, lines)
    return 0


def _ask(proposal: Proposal, complaint: str) -> str:
    """Ask on the terminal what a control is called; the end of input accepts the proposal."""
    if complaint:
        sys.stderr.write(f"  {complaint}\n")
    else:
        sys.stderr.write(f"{proposal.message}: {'; '.join(proposal.evidence)}\n")
    sys.stderr.write(f"  name [{proposal.name}], - to leave it out: ")
    sys.stderr.flush()
    return sys.stdin.readline()


def _no_questions(proposal: Proposal, complaint: str) -> str:
    return ""


def _say(face: Face, text: str) -> None:
    from controller.events import Started

    face.emit(Started("learn", text))


def _proposal(name: str, proposal: Proposal) -> dict[str, Any]:
    return {
        "name": name,
        "kind": proposal.kind,
        "message": proposal.message,
        "channel": proposal.channel,
        "times": proposal.times,
        "low": proposal.low,
        "high": proposal.high,
        "steps": proposal.steps,
        "shape": proposal.shape,
        "evidence": list(proposal.evidence),
    }


def _notice(notice: Notice) -> dict[str, Any]:
    return {"what": notice.what, "lines": list(notice.lines)}


def _problems(written: WrittenProfile) -> list[dict[str, str]]:
    return [{"where": problem.where, "what": problem.what, "hint": problem.hint} for problem in written.problems]


def _problem_lines(written: WrittenProfile) -> list[str]:
    return [f"✕ {problem.where}: {problem.what}" for problem in written.problems]


def _shown_path(written: WrittenProfile) -> str:
    from controller.files import relative

    return relative(written.path)
