"""Bring the rig to a mix or a snapshot: show the plan, send it, verify it, print the sheet for the hands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from controller.allocation import RenderPath
    from controller.project import Project
    from controller.recall import PlannedRecall, Run, RunOrigin
    from controller.snapshots import Snapshot
    from controller.studio import Studio

ACTIONS = ("plan", "send", "resume", "verify", "hands", "sheet")
EXAMPLES = """\
actions:
  plan     what differs from what is known of the rig, in the order it is sent
  send     show that, then send it
  resume   send what the project's last recall left undone, to the same target
  verify   read back what can be read; nothing moves
  hands    what is left for hands, knob by knob; each is ticked as it is done
  sheet    what only hands can set, as text or as a page with drawn knobs

examples:
  halfnormal recall plan songs/blue
  halfnormal recall send songs/blue --dry-run        # the bytes, port by port
  halfnormal recall send songs/blue --yes --hands-done
  halfnormal recall send songs/blue --consent pre/ch1/phantom
  halfnormal recall send songs/blue --snapshot 3
  halfnormal recall resume songs/blue
  halfnormal recall hands songs/blue --done desk/ch07/trim
  halfnormal recall verify songs/blue --json
  halfnormal recall sheet songs/blue --html sheet.html

exit code 1 when a control stands elsewhere, 3 when a device failed, 4 when it
did not answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--mix", metavar="NAME", help="which mix (default: the newest)")
    parser.add_argument("--snapshot", metavar="N", help="a snapshot for the target, by number or file, and not a mix")
    parser.add_argument("--path", choices=["analog", "hybrid"], help="how much goes to the desk (default: analog)")
    parser.add_argument("--rig", metavar="RIG", help="another rig than the project's")
    parser.add_argument("--hands-done", action="store_true", help="the by-hand controls stand as the sheet says")
    parser.add_argument(
        "--consent",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="plan, send, resume: this dangerous control may be sent (repeatable)",
    )
    parser.add_argument(
        "--done",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="hands: this control has been set (repeatable)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="sheet: write it as a page with drawn knobs")
    add_common(parser, plan=True)


def run(args: argparse.Namespace) -> int:
    """Plan, send, resume, verify, tick, or print the sheet."""
    from controller import recall
    from controller.cli import recall_hands
    from controller.errors import UsageError
    from controller.project import open_project
    from controller.studio import Studio

    if args.html and args.action != "sheet":
        raise UsageError(f"'recall {args.action}' writes no page.", hint="--html belongs to 'recall sheet'.")
    if args.done and args.action != "hands":
        raise UsageError(f"'recall {args.action}' ticks nothing.", hint="--done belongs to 'recall hands'.")
    if args.consent and args.action not in ("plan", "send", "resume"):
        raise UsageError(
            f"'recall {args.action}' sends nothing.", hint="--consent belongs to 'recall plan', 'send' and 'resume'."
        )
    if args.snapshot and (args.mix or args.path):
        raise UsageError(
            "--snapshot takes the place of a mix and its path.", hint="Leave out --mix and --path, or --snapshot."
        )
    face = face_of(args)
    project = open_project(args.project, emit=face.emit)
    with Studio.open(args.rig or project.rig) as studio:
        if args.action == "resume":
            return _resume(args, face, studio, project)
        planned, origin, what = _plan(args, studio, project)
        for finding in (*planned.remarks, *planned.left_out):
            face.emit(finding)
        match args.action:
            case "plan":
                face.data(recall.as_json(planned), _plan_lines(planned))
                return 0
            case "sheet":
                return _sheet(args, face, project, planned, what)
            case "verify":
                return _verify(args, face, studio, planned, "snapshot" if args.snapshot else "mix")
            case "hands":
                return recall_hands.run(args, face, studio, planned)
            case _:
                return _send(args, face, studio, planned, origin)


def _plan(args: argparse.Namespace, studio: Studio, project: Project) -> tuple[PlannedRecall, RunOrigin, str]:
    """Plan the way to the mix or the snapshot that was asked for; say in words which that is."""
    from controller import recall

    if args.snapshot:
        snapshot = _snapshot(args.snapshot, project)
        origin = recall.RunOrigin(project.root, snapshot=snapshot.path)
        what = f"{snapshot.name}, of {snapshot.at}"
        return recall.plan_snapshot(studio, snapshot, consent=args.consent), origin, what
    from controller.printing import plan_allocation

    path: RenderPath = args.path or "analog"
    mix = project.mix(args.mix)
    allocation, _ = plan_allocation(project, mix, studio, path)
    planned = recall.plan_mix(studio, allocation, consent=args.consent)
    return planned, recall.RunOrigin(project.root, mix.name, path), f"{mix.name}, {path}"


def _snapshot(ref: str, project: Project) -> Snapshot:
    from controller.errors import UsageError
    from controller.snapshots import find, load

    if ref == "now":
        raise UsageError("The rig stands where it is known to stand now.", hint="--snapshot takes a number or a file.")
    return find(project.snapshots, int(ref)) if ref.isdecimal() else load(Path(ref))


def _resume(args: argparse.Namespace, face: Face, studio: Studio, project: Project) -> int:
    """Go on with the project's last run, towards the target it had."""
    from controller import recall
    from controller.errors import UsageError

    for option in ("mix", "snapshot", "path"):
        if getattr(args, option):
            hint = f"'recall send --{option}' takes another."
            raise UsageError(f"'recall resume' goes on to the target it had: --{option} has no place there.", hint=hint)
    left = recall.last_run(studio, project.root)
    if left is None or left.finished:
        stands = recall.PlannedRecall.nothing(left.target if left is not None else {})
        sentence = f"Nothing is left to resume: no recall of {project.title} on this rig was left unfinished."
        face.data({**recall.as_json(stands), "resumes": None}, [sentence])
        return 0
    planned = recall.plan_resume(studio, left.target, emit=face.emit, ask=not args.dry_run, consent=args.consent)
    return _send(args, face, studio, planned, left.origin(project.root), resumes=left)


def _send(
    args: argparse.Namespace,
    face: Face,
    studio: Studio,
    planned: PlannedRecall,
    origin: RunOrigin,
    *,
    resumes: Run | None = None,
) -> int:
    from controller import recall
    from controller.hands import hand_line

    more = {} if resumes is None else {"resumes": resumes.number}
    if args.dry_run:
        data = {**recall.as_json(planned), **more, "ports": _bytes_per_port(studio, planned)}
        face.data(data, _dry_lines(studio, planned))
        return 0
    outcome = recall.send(
        studio, planned, emit=face.emit, accept=face.accept, hands_done=args.hands_done, origin=origin
    )
    left = [] if args.hands_done else [f"by hand: {hand_line(step)}" for step in planned.plan.by_hand]
    face.data({**recall.as_json(planned, outcome, state=studio.state), **more}, left)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return _failed(recall.failures(studio, outcome).values()) or (0 if outcome.ok else 1)


def _verify(args: argparse.Namespace, face: Face, studio: Studio, planned: PlannedRecall, what: str) -> int:
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
        lines = [f"● Every control that can be read stands where the {what} wants it."]
    face.data({**recall.verify_json(studio, planned.target, outcome), **recall.remarks_json(planned)}, lines)
    return _failed(recall.failures(studio, outcome).values()) or (0 if outcome.ok else 1)


def _failed(errors: Any) -> int:
    """Return the exit code for devices that failed; the highest, so that silence shows; 0 where none did."""
    from controller.errors import DEVICE, exit_code

    return max((exit_code(error) or DEVICE for error in errors), default=0)


def _sheet(args: argparse.Namespace, face: Face, project: Project, planned: PlannedRecall, what: str) -> int:
    from controller import files, recall
    from controller.sheet import sheet_html, sheet_text

    data: dict[str, Any] = recall.as_json(planned)
    if args.html and not args.dry_run:
        files.write_new(args.html, sheet_html(planned.plan.by_hand, title=project.title, subtitle=what))
        data["file"] = files.relative(args.html)
    face.data(data, [sheet_text(planned.plan.by_hand, title=f"{project.title} ({what})").rstrip("\n")])
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
