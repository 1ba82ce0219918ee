"""Every device of a rig: is it there, who is it, when was it last heard, what is wrong. Nothing moves."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from controller.cli.face import Face, add_common, face_of, table

if TYPE_CHECKING:
    from controller.devices import DeviceHealth, RigHealth
    from controller.studio import Studio

SHORTEST_WATCH_S = 0.5
EXAMPLES = """\
A device is asked who it is; where it does not say, for a sign of life or for
one control. Gear that never answers is listed as unknown. Who answers on a
port at first contact is kept: another unit there is an error until --forget.

examples:
  halfnormal devices --rig demo
  halfnormal devices --rig studio-a --json
  halfnormal devices --rig studio-a --watch 10       # every 10 s, until Ctrl-C
  halfnormal devices --rig studio-a --forget comp    # another unit came in

exit code 3 when a device that should answer does not, its port is missing or
another unit answers, 4 when all that is wrong is silence."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--rig", default="demo", metavar="RIG", help="rig name or file (default: demo)")
    parser.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="DEVICE",
        help="take the unit that answers now as this device (may be repeated)",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=5.0,
        metavar="SECONDS",
        help="ask again and again (default: every 5 s); tell what changes",
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the devices of the rig once, or for as long as somebody looks."""
    from controller import devices
    from controller.errors import UsageError
    from controller.studio import Studio
    from hardware.rig_file import nearest

    if args.watch is not None and args.json:
        raise UsageError("--json prints one object, and --watch goes on.", hint="Leave one of them out.")
    if args.watch is not None and not (math.isfinite(args.watch) and args.watch >= SHORTEST_WATCH_S):
        raise UsageError(
            f"--watch cannot be every {args.watch:g} s.", hint=f"Give {SHORTEST_WATCH_S:g} seconds or more."
        )
    face = face_of(args)
    with Studio.open(args.rig) as studio:
        for name in args.forget:
            if name not in studio.rig.devices:
                raise UsageError(
                    f"The rig {studio.rig.name} has no device {name!r}.", hint=nearest(name, list(studio.rig.devices))
                )
            studio.forget(name)
        if args.watch is not None:
            return _watch(face, studio, args.watch)
        found = devices.examine(studio, emit=face.emit)
        face.data(devices.as_json(found), _lines(found))
        return found.exit_code


def _watch(face: Face, studio: Studio, every_s: float) -> int:
    """Show every device once, then each that changed; ends with Ctrl-C."""
    from controller import devices
    from hardware.known import utc_now
    from hardware.seams import SystemClock

    clock = SystemClock()
    before: dict[str, list[str]] = {}
    for found in devices.watch(studio, lambda: clock.sleep(every_s)):
        if not before:
            face.data({}, _lines(found))
        now = {each.device.name: _state(each) for each in found.devices}
        for name, state in now.items():
            if before and before[name] != state:
                face.data({}, [f"{utc_now()}  {name}: {', '.join(state)}"])
        before = now
    return 0


def _state(found: DeviceHealth) -> list[str]:
    identity = found.health.identity
    told = [identity.text] if identity is not None else []
    return [found.health.present, *told, *(trouble.what for trouble in found.health.troubles)]


def _lines(found: RigHealth) -> list[str]:
    rows = [
        [
            each.device.name,
            each.device.profile_id,
            each.device.port or "none",
            each.health.present,
            each.health.identity.text if each.health.identity is not None else "",
            each.last_heard or "never",
        ]
        for each in found.devices
    ]
    lines = table(rows, ["device", "profile", "port", "present", "identity", "last heard"])
    for each in found.devices:
        for trouble in each.health.troubles:
            lines.append(f"✕ {each.device.name}: {trouble.what}")
            lines += [f"    {trouble.hint}"] if trouble.hint else []
    return lines
