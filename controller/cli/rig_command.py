"""Check a rig file: wiring, channels, profiles, ports that contradict each other."""

from __future__ import annotations

import argparse

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal rig check --rig demo
  halfnormal rig check --rig rigs/studio-a.toml --json

exit code 1 when the rig contradicts itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["check", "list"], help="check one rig, or list those there are")
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Check a rig, or list the rigs."""
    from controller import places
    from hardware.rig import load_rig, shipped_rigs
    from hardware.rig_check import check_rig

    face = face_of(args)
    own = places.rigs_folder()
    if args.action == "list":
        rigs = {**shipped_rigs(), **{path.stem: path for path in sorted(own.glob("*.toml"))}}
        face.data(
            {"rigs": [{"name": n, "file": str(p)} for n, p in rigs.items()]}, [f"{n}  {p}" for n, p in rigs.items()]
        )
        return 0
    rig = load_rig(args.rig, folders=[own])
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
