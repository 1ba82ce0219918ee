"""Does a rig contradict itself? Wiring, devices, ports, profiles and levels, each problem with what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hardware.errors import PortNotFoundError
from hardware.ports.serial import usb_adapter
from hardware.rig import Connection, Device, Rig, split_address
from hardware.rig_file import nearest
from profiles.errors import ProfileError, UnknownProfileError
from profiles.library import load_profile
from profiles.profile import Profile

LEVEL_LIMITS_DBU = (-20.0, 32.0)
"""What 0 dBFS can mean at an interface: consumer gear at −10 dBV peaks near +4 dBu, the hottest converters at +28."""


@dataclass(frozen=True)
class RigProblem:
    """One contradiction: where in the rig, what is wrong, what to do."""

    where: str
    what: str
    hint: str


def rig_profiles(rig: Rig, *, profile_folders: Sequence[Path] = ()) -> dict[str, Profile]:
    """Load the profile of every device of the rig, set up as the rig says, by device name.

    Raises
    ------
    ProfileError
        A profile is unknown or damaged, or has no such option or choice.
    """
    return {device.name: _load(device, profile_folders) for device in rig.device_list}


def _load(device: Device, folders: Sequence[Path]) -> Profile:
    return load_profile(device.profile_id, folders=folders, options=device.options, channel=device.channel)


def check_rig(rig: Rig, *, profile_folders: Sequence[Path] = ()) -> list[RigProblem]:
    """Find everything in which the rig contradicts itself, its profiles or its interface; empty when it holds."""
    problems: list[RigProblem] = []
    profiles: dict[str, Profile] = {}
    for device in rig.device_list:
        try:
            profile = load_profile(device.profile_id, folders=profile_folders)
            wrong = _set_up(rig, device, profile)
            problems += wrong
            profiles.setdefault(device.name, profile if wrong else _load(device, profile_folders))
        except UnknownProfileError as error:
            problems.append(
                RigProblem(
                    f"device {device.name}",
                    f"there is no profile {device.profile_id!r}",
                    error.hint or str(error),
                )
            )
        except ProfileError as error:
            problems.append(RigProblem(f"device {device.name}", f"its profile is damaged: {error}", error.hint))
    problems += _devices(rig, profiles)
    problems += _cables(rig, rig.wires, profiles, outgoing=True)
    problems += _cables(rig, rig.return_wires, profiles, outgoing=False)
    problems += _inserts(rig, profiles)
    problems += _levels(rig, profiles)
    if rig.room_model is not None and not rig.room_model.is_file():
        problems.append(
            RigProblem(
                "room",
                f"there is no model file {rig.room_model}",
                'Correct the path, or write model = "" for the built-in room.',
            )
        )
    return problems


def _set_up(rig: Rig, device: Device, profile: Profile) -> list[RigProblem]:
    """Check how the rig says that the unit itself is set up: options and their choices, its MIDI channel."""
    problems: list[RigProblem] = []
    for option, choice in device.options.items():
        where = _at(rig, device, f"options.{option}")
        choices = profile.option_choices.get(option)
        if choices is None:
            known = nearest(option, list(profile.option_choices)) or f"{profile.id} has no options; take the line out."
            problems.append(RigProblem(where, f"{profile.id} has no option {option!r}", known))
        elif choice not in choices:
            problems.append(RigProblem(where, f"the option {option} cannot be {choice!r}", nearest(choice, choices)))
    if device.channel is not None and "midi" not in profile.transports:
        problems.append(
            RigProblem(
                _at(rig, device, "channel"),
                f"{profile.id} speaks no MIDI, so it has no MIDI channel",
                "Take the line out.",
            )
        )
    return problems


def _at(rig: Rig, device: Device, key: str) -> str:
    return f"{rig.path.name} line {device.line(key)}, device {device.name}"


def _devices(rig: Rig, profiles: dict[str, Profile]) -> list[RigProblem]:
    problems: list[RigProblem] = []
    names: set[str] = set()
    on_port: dict[str, list[Device]] = {}
    for device in rig.device_list:
        where = f"device {device.name}"
        if device.name in names:
            problems.append(
                RigProblem(where, f"two devices are named {device.name!r}", "Give every device a name of its own.")
            )
        names.add(device.name)
        if not device.name or "/" in device.name:
            problems.append(
                RigProblem(where, f"{device.name!r} is no device name", "Use letters, digits and dashes, no slash.")
            )
        problems += _port(rig, device.name, profiles)
        if device.transport in ("", "hand"):
            continue
        others = on_port.setdefault(device.port, [])
        problems += [problem for other in others for problem in _sharing(rig, device, other, profiles)]
        others.append(device)
    return problems


def _sharing(rig: Rig, device: Device, other: Device, profiles: dict[str, Profile]) -> list[RigProblem]:
    """Check that two devices on one port can be told apart: by their MIDI channels, on one input."""
    pair = [profiles[each.name] for each in (device, other) if each.name in profiles]
    if len(pair) < 2:
        return []
    shares = f"it shares the port {device.port!r} with {other.name}"
    if device.transport == "serial" or any("midi" not in profile.transports for profile in pair):
        return [
            RigProblem(
                _at(rig, device, "port"),
                shares,
                "Give each device a port of its own, or the answers cannot be told apart.",
            )
        ]
    if device.receive != other.receive:
        return [
            RigProblem(
                _at(rig, device, "receive"),
                f"{shares}, but answers on another input",
                "Devices on one port answer on one input: write the same receive for both, or for neither.",
            )
        ]
    if pair[0].midi_channel == pair[1].midi_channel:
        return [
            RigProblem(
                _at(rig, device, "channel"),
                f"{shares}, and both are on MIDI channel {pair[0].midi_channel}",
                "Set one of them to another channel, and write channel = … here; or give each a port of its own.",
            )
        ]
    return []


def _port(rig: Rig, name: str, profiles: dict[str, Profile]) -> list[RigProblem]:
    device = rig.devices[name]
    where = f"device {name}"
    if not device.port:
        return [
            RigProblem(
                where, "it has no port", 'Write port = "midi:…", "serial:…", or "hand" when no cable leads there.'
            )
        ]
    if not device.transport or (device.transport != "hand" and not device.place):
        return [
            RigProblem(
                where,
                f"the port {device.port!r} names no transport",
                'Write "room:NAME", "midi:PORT NAME", "serial:PATH", "serial:usb:VID:PID", "serial:@NAME" or "hand".',
            )
        ]
    if device.receive and device.transport != "midi":
        return [
            RigProblem(
                _at(rig, device, "receive"),
                f"it names an input to receive on, but stands on {device.port!r}",
                "Only a MIDI device may answer on a port of another name; take the line out.",
            )
        ]
    if device.transport == "serial":
        try:
            usb_adapter(device.place)
        except PortNotFoundError as error:
            return [RigProblem(_at(rig, device, "port"), str(error).rstrip("."), error.hint)]
    inside = rig.audio.port == "room"
    if device.transport != "hand" and (device.transport == "room") != inside:
        return [
            RigProblem(
                where,
                f"its port is {device.port!r} while the audio goes to {rig.audio.port!r}",
                "Bytes and audio must reach the same room: both inside the program, or neither.",
            )
        ]
    profile = profiles.get(name)
    if profile and device.transport in ("midi", "serial") and device.transport not in profile.transports:
        return [
            RigProblem(
                where,
                f"it stands on a {device.transport} port, but {profile.id} speaks {' and '.join(profile.transports)}",
                "Correct the port or the profile.",
            )
        ]
    return []


def _cables(
    rig: Rig, cables: Sequence[Connection], profiles: dict[str, Profile], *, outgoing: bool
) -> list[RigProblem]:
    have = rig.audio.outputs if outgoing else rig.audio.inputs
    end = "output" if outgoing else "input"
    problems: list[RigProblem] = []
    channels: dict[int, str] = {}
    places: dict[str, int] = {}
    for cable in cables:
        where = cable.where
        if cable.channel > have:
            problems.append(
                RigProblem(
                    where,
                    f"interface {end} {cable.channel} ({cable.address}) does not exist: the interface has {have}",
                    f"Correct the wiring, or set {end}s under [audio].",
                )
            )
        if cable.channel in channels:
            problems.append(
                RigProblem(
                    where,
                    f"interface {end} {cable.channel} is wired twice: {channels[cable.channel]} and {cable.address}",
                    "One output feeds one input of a device." if outgoing else "Two signals cannot share one input.",
                )
            )
        channels.setdefault(cable.channel, cable.address)
        if outgoing and cable.address in places:
            problems.append(
                RigProblem(
                    where,
                    f"interface outputs {places[cable.address]} and {cable.channel} both feed {cable.address}",
                    "Two outputs on one input fight each other; give each its own.",
                )
            )
        places.setdefault(cable.address, cable.channel)
        problems += _place(rig, cable.address, where, profiles, outgoing=outgoing)
    return problems


def _place(
    rig: Rig, address: str, where: str, profiles: dict[str, Profile], *, outgoing: bool = False
) -> list[RigProblem]:
    """Check that an audio place (``desk/ch07``, ``desk/mix/l``) can be there."""
    name, place = split_address(address)
    if name not in rig.devices:
        ends = [{split_address(cable.address)[0] for cable in cables} for cables in (rig.wires, rig.return_wires)]
        if all(name in end for end in ends):
            return []  # a plain loop, there and back: nothing in it has a profile
        return [
            RigProblem(
                where, f"{address} is on {name!r}, which is no device of this rig", nearest(name, list(rig.devices))
            )
        ]
    profile = profiles.get(name)
    section = place.partition("/")[0]
    if profile is None or not profile.strips or (section in ("mix", "master") and not outgoing):
        return []
    sections = sorted({control.partition("/")[0] for control in profile.controls if "/" in control})
    if section in sections or (section == "mix" and not outgoing):
        return []
    return [
        RigProblem(
            where, f"{profile.id} has no {'input' if outgoing else 'output'} {place!r}", nearest(section, sections)
        )
    ]


def _inserts(rig: Rig, profiles: dict[str, Profile]) -> list[RigProblem]:
    problems: list[RigProblem] = []
    for insert in rig.inserts:
        if insert.device not in rig.devices:
            problems.append(
                RigProblem(
                    insert.where,
                    f"it inserts {insert.device!r}, which is no device of this rig",
                    nearest(insert.device, list(rig.devices)),
                )
            )
        problems += _place(rig, insert.at, insert.where, profiles)
        for address, value in (*insert.switch.items(), *insert.bypass.items()):
            name, control_name = split_address(address)
            if name not in rig.devices:
                problems.append(
                    RigProblem(
                        insert.where,
                        f"{address} is on {name!r}, which is no device of this rig",
                        nearest(name, list(rig.devices)),
                    )
                )
                continue
            profile = profiles.get(name)
            if profile is None:
                continue
            control = profile.controls.get(control_name)
            if control is None:
                problems.append(
                    RigProblem(
                        insert.where,
                        f"{profile.id} has no control {control_name!r}",
                        nearest(control_name, list(profile.controls)),
                    )
                )
                continue
            try:
                control.to_raw(value)
            except ProfileError as error:
                problems.append(RigProblem(insert.where, f"{address} cannot be {value!r}: {error}", error.hint))
    return problems


def _levels(rig: Rig, profiles: dict[str, Profile]) -> list[RigProblem]:
    low, high = LEVEL_LIMITS_DBU
    level = rig.audio.dbu_at_0dbfs
    if not math.isfinite(level) or not low <= level <= high:
        return [
            RigProblem(
                "audio",
                f"0 dBFS cannot be {level:+g} dBu",
                f"Interfaces lie between {low:+g} and {high:+g} dBu; EBU R68 is +18, SMPTE RP 155 is +24.",
            )
        ]
    problems: list[RigProblem] = []
    for name in dict.fromkeys(split_address(wire.address)[0] for wire in rig.wires):
        profile = profiles.get(name)
        if profile is not None and profile.audio.max_in_dbu is not None and level > profile.audio.max_in_dbu:
            problems.append(
                RigProblem(
                    "audio",
                    f"full scale leaves the interface at {level:+g} dBu, but {name} takes at most "
                    f"{profile.audio.max_in_dbu:+g} dBu",
                    "Lower the interface's output level, or put a pad in between.",
                )
            )
    return problems
