"""Make a project from a folder of audio files, with a first mix: faders at unity, stereo stems wide."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli.face import add_common, face_of, table

EXAMPLES = """\
examples:
  halfnormal new songs/blue --stems ~/exports/blue
  halfnormal new songs/blue --stems ~/exports/blue --rig studio-a --rate 96000

The stems are copied; the folder they come from is left as it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder to make; must not exist yet")
    parser.add_argument("--stems", type=Path, required=True, metavar="DIR", help="WAV, RF64, AIFF or FLAC files")
    parser.add_argument("--rig", default="demo", metavar="RIG", help="the rig it is mixed on (default: demo)")
    parser.add_argument("--rate", type=int, metavar="HZ", help="the project's rate (default: that of most stems)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Make the project and list its stems."""
    from controller import places
    from controller.files import relative
    from controller.project import create_project
    from hardware.rig import load_rig

    face = face_of(args)
    rig = args.rig
    path = load_rig(rig, folders=[places.rigs_folder()]).path
    if rig.endswith(".toml") or Path(rig).name != rig:
        rig = str(path.absolute())  # a project is opened from anywhere
    project = create_project(args.project, stems=args.stems, rig=rig, rate_hz=args.rate, emit=face.emit)
    stems = [
        {
            "name": stem.name,
            "file": relative(stem.path),
            "channels": stem.channels,
            "frames": stem.frames,
            "rate_hz": stem.rate_hz,
        }
        for stem in project.stems
    ]
    mix = project.mix()
    data = {
        "project": relative(project.root),
        "stems": stems,
        "mix": relative(mix.path) if mix.path else None,
        "rate_hz": project.rate_hz,
        "rig": project.rig,
    }
    rows = [[s.name, str(s.channels), f"{s.frames / s.rate_hz:.2f}", str(s.rate_hz)] for s in project.stems]
    lines = table(rows, ["strip", "channels", "seconds", "rate [Hz]"], right=(1, 2, 3))
    face.data(data, [*lines, "", f"{relative(project.root)}: edit {data['mix']}, then 'halfnormal print'."])
    return 0
