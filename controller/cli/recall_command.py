"""Bring the rig to a mix: show the plan, send it, verify it, print the sheet for the hands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from controller.project import Project
    from controller.recall import PlannedRecall
    from controller.studio import Studio

EXAMPLES = """\
examples:
  halfnormal recall plan songs/blue
  halfnormal recall send songs/blue --dry-run        # the bytes, port by port
  halfnormal recall send songs/blue --yes --hands-done
  halfnormal recall sheet songs/blue --html sheet.html

'resume' sends what an interrupted recall left; 'verify' reads back what can be read.
exit code 1 when a control did not land or stands elsewhere."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["plan", "send", "resume", "verify", "sheet"])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument("--path", choices=["analog", "hybrid"], default="analog", help="how much goes to the desk")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument("--hands-done", action="store_true", help="the by-hand controls stand as the sheet says")
    parser.add_argument("--html", type=Path, metavar="FILE", help="sheet: write it as a page with drawn knobs")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Plan, send, verify, or print the sheet."""
    from controller import recall
    from controller.printing import plan_allocation
    from controller.project import open_project
    from controller.studio import Studio

    face = face_of(args)
    project = open_project(args.project, emit=face.emit)
    with Studio.open(args.rig or project.rig) as studio:
        allocation, _ = plan_allocation(project, project.mix(args.mix), studio, args.path)
        planned = recall.plan_mix(studio, allocation)
        match args.action:
            case "plan":
                face.data(recall.as_json(planned), _plan_lines(planned))
                return 0
            case "sheet":
                return _sheet(args, face, project, planned)
            case "verify":
                outcome = recall.verify(studio, allocation.target, emit=face.emit)
                face.data({**recall.as_json(planned), "mismatches": len(outcome.mismatches)})
                return 0 if outcome.ok else 1
            case _:
                return _send(args, face, studio, planned)


def _send(args: argparse.Namespace, face: Face, studio: Studio, planned: PlannedRecall) -> int:
    from controller import recall
    from controller.errors import DEVICE

    if args.dry_run:
        data = {**recall.as_json(planned), "ports": _bytes_per_port(studio, planned)}
        face.data(data, _dry_lines(studio, planned))
        return 0
    outcome = recall.send(studio, planned, emit=face.emit, accept=face.accept, hands_done=args.hands_done)
    left = (
        []
        if args.hands_done
        else [f"by hand: {s.address} → {recall.say(s.to, s.control.unit)}" for s in planned.plan.by_hand]
    )
    face.data(recall.as_json(planned, outcome), left)
    if outcome.failed_devices:
        return DEVICE
    return 0 if outcome.ok else 1


def _sheet(args: argparse.Namespace, face: Face, project: Project, planned: PlannedRecall) -> int:
    from controller import files, recall
    from controller.sheet import sheet_html, sheet_text

    data: dict[str, Any] = recall.as_json(planned)
    if args.html:
        files.write_new(args.html, sheet_html(planned.plan.by_hand, title=project.title))
        data["file"] = files.relative(args.html)
    face.data(data, [sheet_text(planned.plan.by_hand, title=project.title)])
    return 0


def _plan_lines(planned: PlannedRecall) -> list[str]:
    from controller.recall import say

    rows = [
        [
            step.stage,
            step.address,
            say(step.from_.value if step.from_ else None),
            say(step.to),
            " ".join(message.hex(" ").upper() for message in step.messages),
        ]
        for step in planned.plan.steps
    ]
    return [*table(rows, ["stage", "control", "from", "to", "bytes"]), "", *planned.lines()]


def _bytes_per_port(studio: Studio, planned: PlannedRecall) -> dict[str, list[str]]:
    ports: dict[str, list[str]] = {}
    for step in planned.plan.steps:
        port = studio.rig.devices[step.device].port
        ports.setdefault(port, []).extend(message.hex(" ").upper() for message in step.messages)
    return ports


def _dry_lines(studio: Studio, planned: PlannedRecall) -> list[str]:
    lines = []
    for port, messages in _bytes_per_port(studio, planned).items():
        lines += [f"{port}:", *(f"  {message}" for message in messages)]
    return [*lines, *planned.lines(), "Dry run: nothing was sent."]
