"""Watch what comes in on a port: time, raw bytes, and what they mean in the words of a profile. Nothing is sent."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controller.cli.face import abandon_stdout, add_common, face_of, finite

if TYPE_CHECKING:
    from controller.listening import Ear
    from controller.monitor import Seen, Watched
    from profiles.profile import Profile

EXAMPLES = """\
examples:
  halfnormal monitor --port "midi:UM-ONE"                 # any MIDI, in words
  halfnormal monitor --port midi:Desk --profile yamaha-01v96
  halfnormal monitor --port serial:/dev/ttyUSB0 --profile extron-sis-matrix
  halfnormal monitor --device desk --rig room --seconds 10 --json

Ctrl-C is the normal end: what was seen is counted and the exit code is 0. The
columns are seconds since the start, seconds since the message before, the bytes
in hex, the meaning. With --json one object at the end holds the newest 10000
messages. Exit code 3 when the port does not open or vanishes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", metavar="PORT", help="midi:NAME, serial:PATH or room:DEVICE")
    where.add_argument("--device", metavar="NAME", help="a device of the rig: its port, its profile")
    parser.add_argument("--rig", metavar="RIG", help="the rig that --device belongs to (default: demo)")
    parser.add_argument("--profile", metavar="ID", help="explains the bytes (default: the device's; none with --port)")
    parser.add_argument("--seconds", type=finite, metavar="N", help="end after N seconds (default: Ctrl-C)")
    parser.add_argument("--count", type=int, metavar="N", help="end after N messages")
    parser.add_argument("--raw", action="store_true", help="also clock, active sensing and other real-time messages")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Listen and show until told to end."""
    from controller.errors import UsageError
    from controller.events import Started
    from controller.monitor import watch

    if args.rig and not args.device:
        raise UsageError("--rig goes with --device.", hint="--port names the port itself.")
    for name, value in (("--seconds", args.seconds), ("--count", args.count)):
        if value is not None and value <= 0:
            raise UsageError(f"{name} cannot be {value:g}.", hint="Give a number above 0.")
    face = face_of(args)
    with _ear(args) as (ear, profile):
        end = "Ctrl-C ends it" if args.seconds is None else f"for {args.seconds:g} s"
        face.emit(Started("monitor", f"listening to {args.port or args.device}; {end}"))
        watched = watch(
            ear,
            profile=profile,
            device=args.device or "",
            seconds=args.seconds,
            count=args.count,
            raw=args.raw,
            shown=(lambda seen: None) if args.json else _show,
        )
    face.data(_as_json(watched, args.port or f"{args.device}", profile), [_summary(watched)])
    if watched.trouble is not None:
        raise watched.trouble
    return 0


@contextlib.contextmanager
def _ear(args: argparse.Namespace) -> Iterator[tuple[Ear, Profile | None]]:
    """Open what --port or --device names, and find its profile."""
    from controller import places
    from controller.errors import UsageError
    from controller.listening import open_ear
    from controller.studio import Studio
    from profiles.library import load_profile

    chosen = load_profile(args.profile, folders=[places.profiles_folder()]) if args.profile else None
    if args.port:
        with open_ear(args.port, profile=chosen) as ear:
            yield ear, chosen
        return
    with Studio.open(args.rig or "demo") as studio:
        device = studio.rig.devices.get(args.device)
        if device is None:
            listed = ", ".join(studio.rig.devices)
            raise UsageError(f"The rig {studio.rig.name} has no device {args.device!r}.", hint=f"It has: {listed}.")
        if device.transport in ("", "hand"):
            raise UsageError(f"{args.device} has no port to listen to.", hint="Only a hand sets it.")
        profile = chosen or studio.profiles[args.device]
        with open_ear(device.port, profile=profile, receive_name=device.receive, room=studio.room) as ear:
            yield ear, profile


def _show(seen: Seen) -> None:
    text = f"{seen.at_s:10.3f} {seen.delta_s:+9.3f}  {seen.data.hex(' ').upper():<24}  {seen.meaning}\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise KeyboardInterrupt from None  # nobody reads any more


def _summary(watched: Watched) -> str:
    more = f", {watched.real_time} real-time messages not shown" if watched.real_time else ""
    return f"{watched.count} message{'' if watched.count == 1 else 's'} in {watched.seconds:.1f} s{more}."


def _as_json(watched: Watched, port: str, profile: Profile | None) -> dict[str, object]:
    return {
        "port": port,
        "profile": profile.id if profile is not None else None,
        "seconds": round(watched.seconds, 3),
        "count": watched.count,
        "dropped": watched.dropped,
        "real_time": watched.real_time,
        "ended": str(watched.trouble) if watched.trouble is not None else "",
        "messages": [seen.as_json() for seen in watched.messages],
    }
