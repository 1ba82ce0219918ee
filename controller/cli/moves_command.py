"""Take down what hands move on the desk, as the moves of a new mix."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal moves record songs/blue --seconds 240
  halfnormal print songs/blue --path analog --record-moves    # the same, during a pass

the desk must report its own moves. second 0 of the song is the moment the
listening starts; Ctrl-C ends it and keeps what was heard. the mix is not
changed: a new numbered one is written."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["record"], metavar="ACTION", help="record")
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long to listen (default: the song's length)")
    parser.add_argument("--mix", metavar="NAME", help="which mix to start from (default: the newest)")
    parser.add_argument(
        "--path", choices=["analog", "hybrid"], default="analog", help="which strips are on the desk (default: analog)"
    )
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Listen, and say which mix was written."""
    from controller.errors import ANSWER_IS_NO, DONE, UsageError
    from controller.files import relative
    from controller.move_record import record_moves
    from controller.printing import plan_allocation
    from controller.project import open_project
    from controller.studio import Studio

    face = face_of(args)
    if args.seconds is not None and not 0.0 < args.seconds <= 86_400.0:
        raise UsageError(f"--seconds {args.seconds:g} is no length to listen for.", hint="Give 0.1 to 86400.")
    project = open_project(args.project, emit=face.emit)
    mix = project.mix(args.mix)
    seconds = args.seconds or project.frames / project.rate_hz
    with Studio.open(args.rig or project.rig) as studio:
        allocation, _ = plan_allocation(project, mix, studio, args.path)
        made = record_moves(project, mix, allocation, studio, seconds=seconds, emit=face.emit, accept=face.accept)
    lines = [f"{move.strip} {move.what}: {len(move.points)} points" for move in made.moves]
    file = relative(made.file) if made.file is not None else None
    face.data({**made.facts()["moves_recorded"], "mix": file}, [*lines, file or "no mix was written"])
    return DONE if made.file is not None else ANSWER_IS_NO
