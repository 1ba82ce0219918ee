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

ACTIONS = ("plan", "send", "resume", "verify", "sheet")
EXAMPLES = """\
actions:
  plan     what differs from what is known of the rig, in the order it is sent
  send     show that, then send it
  resume   send what an interrupted or failed recall left
  verify   read back what can be read; nothing moves
  sheet    what only hands can set, as text or as a page with drawn knobs

examples:
  halfnormal recall plan songs/blue
  halfnormal recall send songs/blue --dry-run        # the bytes, port by port
  halfnormal recall send songs/blue --yes --hands-done
  halfnormal recall verify songs/blue --json
  halfnormal recall sheet songs/blue --html sheet.html

exit code 1 when a control stands elsewhere, 3 when a device failed, 4 when it
did not answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument(
        "--path", choices=["analog", "hybrid"], default="analog", help="how much goes to the desk (default: analog)"
    )
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument("--hands-done", action="store_true", help="the by-hand controls stand as the sheet says")
    parser.add_argument("--html", type=Path, metavar="FILE", help="sheet: write it as a page with drawn knobs")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Plan, send, verify, or print the sheet."""
    from controller import recall
    from controller.errors import UsageError
    from controller.printing import plan_allocation
    from controller.project import open_project
    from controller.studio import Studio

    if args.html and args.action != "sheet":
        raise UsageError(f"'recall {args.action}' writes no page.", hint="--html belongs to 'recall sheet'.")
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
                return _verify(args, face, studio, planned)
            case _:
                return _send(args, face, studio, planned)


def _send(args: argparse.Namespace, face: Face, studio: Studio, planned: PlannedRecall) -> int:
    from controller import recall

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
    face.data(recall.as_json(planned, outcome, state=studio.state), left)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return _failed(recall.failures(studio, outcome).values()) or (0 if outcome.ok else 1)


def _verify(args: argparse.Namespace, face: Face, studio: Studio, planned: PlannedRecall) -> int:
    from controller import recall

    if args.dry_run:
        controls = [studio.control(address) for address in planned.target]
        asked = sum(control.readable and not control.by_hand for control in controls)
        line = f"{asked} of {len(controls)} controls can be read back."
        face.data(recall.as_json(planned), [line, "Dry run: no device was asked."])
        return 0
    outcome = recall.verify(studio, planned.target, emit=face.emit)
    rows = [
        [m.address, recall.say(m.found, studio.control(m.address).unit), recall.say(m.wanted)]
        for m in outcome.mismatches
        if m.found is not None
    ]
    lines = table(rows, ["control", "stands at", "wanted"]) if rows else []
    if outcome.ok:
        lines = ["● Every control that can be read stands where the mix wants it."]
    face.data(recall.verify_json(studio, planned.target, outcome), lines)
    return _failed(recall.failures(studio, outcome).values()) or (0 if outcome.ok else 1)


def _failed(errors: Any) -> int:
    """Return the exit code for devices that failed; the highest, so that silence shows; 0 where none did."""
    from controller.errors import DEVICE, exit_code

    return max((exit_code(error) or DEVICE for error in errors), default=0)


def _sheet(args: argparse.Namespace, face: Face, project: Project, planned: PlannedRecall) -> int:
    from controller import files, recall
    from controller.sheet import sheet_html, sheet_text

    data: dict[str, Any] = recall.as_json(planned)
    if args.html and not args.dry_run:
        files.write_new(args.html, sheet_html(planned.plan.by_hand, title=project.title))
        data["file"] = files.relative(args.html)
    face.data(data, [sheet_text(planned.plan.by_hand, title=project.title).rstrip("\n")])
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
    return [*(table(rows, ["stage", "control", "from", "to", "bytes"]) if rows else []), *planned.lines()]


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
