"""Snapshots: where every control of the rig stands at one moment, and how that is known; take, list, show, compare."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.cli.snapshot_words import Words
    from controller.snapshot_diff import Difference
    from controller.snapshot_take import Ask, Taken, TakePlan
    from controller.snapshots import Entry, Snapshot
    from controller.studio import Studio

ACTIONS = ("take", "list", "show", "diff")
EXAMPLES = """\
actions:
  take [PROJECT]      read what can be read, keep what was sent, ask for what
                      only eyes can tell; nothing moves
  list [PROJECT]      the snapshots of a project or a rig
  show [PROJECT] [N]  one of them, control by control (without N: the newest)
  diff A B [PROJECT]  three lists: only in A, only in B, changed
  A, B and N are a number, a file, or 'now' for what is known of the rig now.
  Without PROJECT: --rig, or else the project in the current folder.

examples:
  halfnormal snapshot take songs/blue --note "before the chorus" --ask
  halfnormal snapshot take songs/blue --set desk/ch01/trim=3.5 --json
  halfnormal snapshot take --rig studio-a --photo desk=IMG_1041.heic
  halfnormal snapshot list songs/blue
  halfnormal snapshot show songs/blue 3
  halfnormal snapshot diff 3 now songs/blue

exit code 1 when a diff finds a difference, 2 when 'list' finds a file that
cannot be read; 3 or 4 when 'take' could not read a device (the snapshot is
there, and says so)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")
    parser.add_argument("words", nargs="*", metavar="WORD", help="project; show, diff: numbers, files or 'now'")
    parser.add_argument(
        "--rig", metavar="RIG", help="without PROJECT: whose snapshots; with it: another rig than its own"
    )
    parser.add_argument("--name", metavar="TEXT", help="take: what to call it (default: snapshot N)")
    parser.add_argument(
        "--note", action="append", default=[], metavar="[DEVICE=]TEXT", help="take: a note on all of it, or on a device"
    )
    parser.add_argument(
        "--photo", action="append", default=[], metavar="DEVICE=FILE", help="take: keep a photo (PNG, JPEG, WebP, HEIC)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="ADDRESS=VALUE", help="take: where a control stands, as seen"
    )
    parser.add_argument("--ask", action="store_true", help="take: ask one by one (default at a terminal)")
    parser.add_argument("--no-read", action="store_true", help="take: ask no device")
    parser.add_argument("--dry-run", action="store_true", help="take: say what would be read and asked, then stop")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Take, list, show or compare snapshots."""
    from controller.cli.snapshot_words import sort_words

    face = face_of(args)
    words = sort_words(args)
    return {"take": _take, "list": _list, "show": _show, "diff": _diff}[args.action](args, face, words)


def _take(args: argparse.Namespace, face: Face, words: Words) -> int:
    from controller.cli.snapshot_words import open_shelf, read_notes, read_photos, read_settings
    from controller.snapshot_take import plan_take, take
    from controller.studio import Studio

    shelf = open_shelf(args, words, face.emit)
    with Studio.open(shelf.rig) as studio:
        folder = shelf.folder or studio.home.snapshots
        note, notes = read_notes(studio, args.note, face.emit)
        photos = read_photos(studio, args.photo)
        answers = read_settings(studio, args.set)
        if args.dry_run:
            return _dry(face, studio, plan_take(studio, read=not args.no_read, answered=answers))
        taken = take(
            studio,
            folder,
            name=args.name or "",
            note=note,
            device_notes=notes,
            photos=photos,
            answers=answers,
            read=not args.no_read,
            ask=_asking(args),
            emit=face.emit,
        )
    failed = {device: str(error) for device, error in taken.failures.items()}
    face.data({**_facts(taken.snapshot), "failed_devices": failed}, _taken_lines(taken))
    return _failed(taken)


def _asking(args: argparse.Namespace) -> Ask | None:
    import sys

    from controller.cli.snapshot_words import ask_at_terminal

    return ask_at_terminal if args.ask or sys.stdin.isatty() else None


def _dry(face: Face, studio: Studio, plan: TakePlan) -> int:
    from controller.snapshots import known_now

    now = known_now(studio)
    data = {**_facts(now), "to_read": list(plan.to_read), "to_ask": list(plan.to_ask)}
    lines = [
        f"{len(plan.to_read)} controls would be read, {len(now.controls)} are known from before.",
        f"{len(plan.to_ask)} controls only eyes can tell{':' if plan.to_ask else '.'}",
        *(f"  {line}" for line in _grouped(plan.to_ask)),
        "Dry run: no device was asked and nothing was written.",
    ]
    face.data(data, lines)
    return 0


def _taken_lines(taken: Taken) -> list[str]:
    snapshot = taken.snapshot
    counts: dict[str, int] = {}
    for entry in snapshot.controls.values():
        counts[entry.known.how] = counts.get(entry.known.how, 0) + 1
    known = ", ".join(f"{count} {how}" for how, count in counts.items()) or "nothing known"
    return [f"● {snapshot.label}: {known}, {len(snapshot.unknown)} unknown", *_unknown_lines(snapshot)]


def _failed(taken: Taken) -> int:
    """Return the exit code for devices that failed; the highest, so that silence shows; 0 where none did."""
    from controller.errors import DEVICE, exit_code

    return max((exit_code(error) or DEVICE for error in taken.failures.values()), default=0)


def _list(args: argparse.Namespace, face: Face, words: Words) -> int:
    from controller.cli.snapshot_words import folder_of, open_shelf
    from controller.errors import USAGE, hint_of
    from controller.events import Finding
    from controller.snapshots import list_folder

    folder = folder_of(open_shelf(args, words, face.emit))
    listing = list_folder(folder)
    problems = [{"what": str(error), "hint": hint_of(error)} for error in listing.problems]
    for error in listing.problems:
        face.emit(Finding("snapshot", str(error), hint_of(error), "problem"))
    snapshots = [
        {
            "snapshot": each.label,
            "number": each.number,
            "name": each.name,
            "at": each.at,
            "rig": each.rig.name,
            "note": each.note,
            "controls": len(each.controls),
            "unknown": len(each.unknown),
            "photos": sum(len(facts.photos) for facts in each.devices.values()),
        }
        for each in listing.snapshots
    ]
    rows = [
        [str(s["number"]), str(s["at"]), str(s["rig"]), str(s["controls"]), str(s["unknown"]), _title(s)]
        for s in snapshots
    ]
    heads = ["number", "taken", "rig", "known", "unknown", "name"]
    face.data(
        {"snapshots": snapshots, "problems": problems},
        table(rows, heads, right=(0, 3, 4)) if rows else [] if problems else ["No snapshot yet."],
    )
    return USAGE if problems else 0


def _title(facts: dict[str, Any]) -> str:
    note = str(facts["note"]).partition("\n")[0]
    return f"{facts['name']}: {note}" if note else str(facts["name"])


def _show(args: argparse.Namespace, face: Face, words: Words) -> int:
    from controller.cli.snapshot_words import open_shelf, resolve
    from controller.events import Finding
    from controller.recall import say
    from controller.snapshot_photo import photo_problem

    shelf = open_shelf(args, words, face.emit) if words.need_shelf else None
    snapshot = resolve(words.refs[0] if words.refs else None, shelf)
    facts = snapshot.devices.items()
    for device, photo in ((name, photo) for name, each in facts for photo in each.photos):
        problem = photo_problem(snapshot.path.parent, photo) if snapshot.path is not None else ""
        if problem:
            face.emit(Finding(device, problem, severity="warning"))
    rows = [
        [address, say(entry.known.value, entry.unit), entry.known.how, entry.known.at, entry.note]
        for address, entry in snapshot.controls.items()
    ]
    about = [f"{device}: {each.note}" for device, each in facts if each.note]
    about += [f"not read: {each.not_read}" for _, each in facts if each.not_read]
    about += [f"{device}: photo {photo.file} ({photo.name})" for device, each in facts for photo in each.photos]
    lines = [
        f"{snapshot.label}: {snapshot.name}, {snapshot.rig.name}, {snapshot.at}",
        *(snapshot.note.splitlines()),
        *about,
        *(
            table(rows, ["control", "stands at", "known", "since", ""])
            if rows
            else ["Nothing is known of any control."]
        ),
        *_unknown_lines(snapshot),
    ]
    face.data(_facts(snapshot), lines)
    return 0


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    """Return what ``--json`` prints of a snapshot; ``snapshot`` is its file, null for what is known now."""
    from controller.snapshots import facts_of

    return {"snapshot": None if snapshot.path is None else snapshot.label, **facts_of(snapshot)}


def _diff(args: argparse.Namespace, face: Face, words: Words) -> int:
    from controller import places
    from controller.cli.snapshot_words import open_shelf, resolve
    from controller.errors import ANSWER_IS_NO
    from controller.snapshot_diff import diff

    shelf = open_shelf(args, words, face.emit) if words.need_shelf else None
    left, right = (resolve(ref, shelf) for ref in words.refs)
    found = diff(left, right, profile_folders=[places.profiles_folder()])
    for remark in found.remarks:
        face.emit(remark)
    remarks = [{"where": remark.where, "what": remark.what} for remark in found.remarks]
    face.data({**found.facts(), "remarks": remarks}, _diff_lines(found))
    return ANSWER_IS_NO if found.differs else 0


def _diff_lines(found: Difference) -> list[str]:
    from controller.recall import say

    left, right = found.left.label, found.right.label
    if not found.differs:
        return [f"● {left} and {right} are the same in all {found.same} controls that both know."]
    lines: list[str] = []
    for label, only in ((left, found.only_left), (right, found.only_right)):
        if only:
            rows = [[address, say(entry.known.value, entry.unit), entry.known.how] for address, entry in only.items()]
            lines += [f"only in {label}:", *(f"  {row}" for row in table(rows, ["control", "stands at", "known"]))]
    if found.changed:
        rows = [[c.address, _said(c.left), _said(c.right)] for c in found.changed]
        lines += ["changed:", *(f"  {row}" for row in table(rows, ["control", left, right]))]
    return [*lines, f"{found.same} controls are the same."]


def _said(entry: Entry) -> str:
    from controller.recall import say

    return f"{say(entry.known.value, entry.unit)} ({entry.known.how})"


def _unknown_lines(snapshot: Snapshot) -> list[str]:
    return ["unknown:", *(f"  {line}" for line in _grouped(snapshot.unknown))] if snapshot.unknown else []


def _grouped(addresses: Iterable[str]) -> list[str]:
    """Write many addresses in few lines: the same knob of several sections shares one."""
    groups: dict[tuple[str, str], list[str]] = {}
    for address in addresses:
        device, _, name = address.partition("/")
        section, slash, knob = name.partition("/")
        groups.setdefault((device, knob if slash else name), []).append(section if slash else "")
    return [_group(device, knob, sections) for (device, knob), sections in groups.items()]


def _group(device: str, knob: str, sections: Sequence[str]) -> str:
    if len(sections) == 1:
        return "/".join(part for part in (device, sections[0], knob) if part)
    return f"{device}/{sections[0]} … {sections[-1]}/{knob} ({len(sections)})"
