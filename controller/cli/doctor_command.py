"""What this machine has and lacks for the job: libraries, JACK, PortAudio, ports, disk, terminal."""

from __future__ import annotations

import argparse

from controller.cli.face import add_common, face_of

EXAMPLES = """\
examples:
  halfnormal doctor
  halfnormal doctor --warm      # also compile the kernels now

exit code 1 when the main job cannot run here."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--warm", action="store_true", help="compile the engine's and the room's kernels now")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Examine the machine."""
    from controller.doctor import examine

    face = face_of(args)
    doctor = examine(warm=args.warm, emit=face.emit)
    lines = []
    for check in doctor.checks:
        lines.append(f"{'●' if check.ok else '✕'} {check.name}: {check.detail}")
        if not check.ok and check.hint:
            lines.append(f"    {check.hint}")
    lines.append("The main job runs here." if doctor.ok else "The main job cannot run here.")
    face.data(doctor.to_json(), lines)
    return 0 if doctor.ok else 1
