"""Check a rig file: wiring, channels, profiles, ports that contradict each other; or list the rigs there are."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import Face, add_common, face_of, table

EXAMPLES = """\
actions:
  check   what in the rig contradicts itself, where, and what to do
  list    the rigs that --rig takes by name

examples:
  halfnormal rig check --rig demo
  halfnormal rig check --rig rigs/studio-a.toml --json
  halfnormal rig list

exit code 1 when the rig contradicts itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["check", "list"], metavar="ACTION", help="check or list")
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Check a rig, or list the rigs."""
    from controller import places
    from controller.loop_tolerance import limits_of
    from hardware.rig import load_rig
    from hardware.rig_check import check_rig

    face = face_of(args)
    if args.action == "list":
        return _list(face)
    rig = load_rig(args.rig, folders=[places.rigs_folder()])
    limits_of(rig)  # a limit of a figure that does not exist is a mistake of the file
    problems = check_rig(rig, profile_folders=[places.profiles_folder()])
    data = {
        "ok": not problems,
        "rig": rig.name,
        "problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in problems],
    }
    lines = [f"✕ {p.where}: {p.what}\n    {p.hint}" for p in problems]
    summary = f"{rig.title}: {len(rig.devices)} devices, {len(rig.outputs)} outputs wired"
    face.data(data, lines or [f"● {summary}, no contradictions."])
    return 1 if problems else 0


def _list(face: Face) -> int:
    from controller import places
    from controller.files import relative
    from hardware.rig import shipped_rigs

    own = {path.stem: path for path in sorted(places.rigs_folder().glob("*.toml")) if _describes_a_rig(path)}
    rigs = {name: relative(path) for name, path in {**shipped_rigs(), **own}.items()}
    data = {"rigs": [{"name": name, "file": file} for name, file in rigs.items()]}
    face.data(data, table([[name, file] for name, file in rigs.items()], ["rig", "file"]))
    return 0


def _describes_a_rig(path: Path) -> bool:
    """Tell rig files from the room models that lie beside them; what cannot be read is listed, to be looked at."""
    import tomllib

    try:
        return "audio" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
