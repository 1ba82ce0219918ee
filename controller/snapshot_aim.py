"""A snapshot as the aim of a recall: what the rig still has of it, and in words what it has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from controller.events import Finding
from controller.planned import PlannedRecall, plan_target
from controller.snapshots import Snapshot, target_of
from controller.studio import Studio
from controller.value_text import say
from hardware.rig import split_address
from hardware.rig_file import nearest
from profiles.errors import ProfileError
from profiles.profile import Value


def plan_snapshot(studio: Studio, snapshot: Snapshot, *, consent: Collection[str] = ()) -> PlannedRecall:
    """Plan the way to a snapshot from what is known of the rig; sends nothing.

    ``left_out`` of the plan says what of the snapshot the rig does not have any more, or cannot be told; ``remarks``
    whether it is of another rig or other profiles, and how much of it is unknown.

    Raises
    ------
    UsageError
        ``consent`` names a control that the rig does not have, or that is not dangerous.
    """
    target, left_out = aim_at(studio, snapshot)
    planned = plan_target(studio, target, consent=consent)
    return replace(planned, left_out=left_out, remarks=tuple(_remarks(studio, snapshot)))


def aim_at(studio: Studio, snapshot: Snapshot) -> tuple[dict[str, Value], tuple[Finding, ...]]:
    """Return what a recall to a snapshot aims at on this rig, by address, and what of it is left out and why.

    A device that is gone is one finding, however many controls it had; so is a control that is gone, or that cannot
    be told its value any more. What is unknown in the snapshot stays where it is.
    """
    target: dict[str, Value] = {}
    gone: Counter[str] = Counter()
    lost: list[Finding] = []
    for address, value in target_of(snapshot).items():
        device, name = split_address(address)
        profile = studio.profiles.get(device)
        if profile is None:
            gone[device] += 1
            continue
        control = profile.controls.get(name)
        if control is None:
            why = f"left out: {profile.id} has no such control"
            lost.append(Finding(address, why, nearest(name, list(profile.controls)), "warning"))
            continue
        try:
            target[address] = control.achieved(value)
        except ProfileError as error:
            lost.append(Finding(address, f"left out: it cannot stand at {say(value)} any more", error.hint, "warning"))
    devices = [
        Finding(
            device,
            f"left out with {count} control{'s' if count > 1 else ''}: the rig {studio.rig.name} has no such device",
            nearest(device, list(studio.profiles)),
            "warning",
        )
        for device, count in gone.items()
    ]
    return target, (*devices, *lost)


def _remarks(studio: Studio, snapshot: Snapshot) -> list[Finding]:
    remarks: list[Finding] = []
    if snapshot.rig.name != studio.rig.name:
        what = f"it is of the rig {snapshot.rig.name}, and is recalled on {studio.rig.name}"
        remarks.append(Finding(snapshot.label, what, severity="warning"))
    for device, facts in snapshot.devices.items():
        profile = studio.profiles.get(device)
        if profile is not None and profile.id != facts.profile:
            what = f"was a {facts.profile} then and is a {profile.id} now: its controls are matched by name"
            remarks.append(Finding(device, what, severity="warning"))
    if snapshot.unknown:
        count = len(snapshot.unknown)
        what = f"{count} controls are unknown in it and stay where they are" if count > 1 else "one control is unknown"
        remarks.append(Finding(snapshot.label, what))
    return remarks
