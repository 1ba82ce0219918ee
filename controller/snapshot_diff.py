"""The difference between two snapshots: three lists, equality judged by each control's own step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller import files
from controller.events import Finding
from controller.snapshots import DeviceFacts, Entry, Snapshot, entry_facts
from hardware.recall import same_value
from hardware.rig import split_address
from profiles.errors import ProfileError
from profiles.library import load_profile
from profiles.profile import Profile


@dataclass(frozen=True)
class Change:
    """One control that stands differently in two snapshots."""

    address: str
    left: Entry
    right: Entry


@dataclass(frozen=True)
class Difference:
    """Two snapshots compared: what only one of them knows, what both know and differs, how many are the same.

    An ``assumed`` value counts as unknown. ``remarks`` say where values had to be compared exactly, and why.
    """

    left: Snapshot
    right: Snapshot
    only_left: Mapping[str, Entry]
    only_right: Mapping[str, Entry]
    changed: tuple[Change, ...]
    same: int
    remarks: tuple[Finding, ...] = field(default=())

    @property
    def differs(self) -> bool:
        """Whether any list holds anything."""
        return bool(self.only_left or self.only_right or self.changed)

    def facts(self) -> dict[str, Any]:
        """Return what ``snapshot diff --json`` prints."""
        return {
            "left": self.left.label,
            "right": self.right.label,
            "only_left": [{"address": address, **entry_facts(entry)} for address, entry in self.only_left.items()],
            "only_right": [{"address": address, **entry_facts(entry)} for address, entry in self.only_right.items()],
            "changed": [
                {"address": change.address, "left": entry_facts(change.left), "right": entry_facts(change.right)}
                for change in self.changed
            ],
            "same": self.same,
        }


def diff(left: Snapshot, right: Snapshot, *, profile_folders: Sequence[Path] = ()) -> Difference:
    """Compare two snapshots control by control.

    Where both were taken of the same model and its profile is still there, two values are the same when they are one
    step of the control, or too close for a hand to tell apart; elsewhere only when they are equal.
    """
    profiles, remarks = _profiles(left, right, profile_folders)
    ours, theirs = _known(left), _known(right)
    changed: list[Change] = []
    same = 0
    for address, entry in ours.items():
        if address not in theirs:
            continue
        if _same(profiles, address, entry, theirs[address]):
            same += 1
        else:
            changed.append(Change(address, entry, theirs[address]))
    return Difference(
        left=left,
        right=right,
        only_left={address: entry for address, entry in ours.items() if address not in theirs},
        only_right={address: entry for address, entry in theirs.items() if address not in ours},
        changed=tuple(changed),
        same=same,
        remarks=tuple(remarks),
    )


def _known(snapshot: Snapshot) -> dict[str, Entry]:
    return {address: entry for address, entry in snapshot.controls.items() if entry.known.how != "assumed"}


def _same(profiles: Mapping[str, Profile], address: str, left: Entry, right: Entry) -> bool:
    a, b = left.known.value, right.known.value
    if type(a) is not type(b):
        return False
    device, name = split_address(address)
    control = profiles[device].controls.get(name) if device in profiles else None
    return a == b if control is None else same_value(control, a, b)


def _profiles(left: Snapshot, right: Snapshot, folders: Sequence[Path]) -> tuple[dict[str, Profile], list[Finding]]:
    """Load the profile by which each device is judged; a snapshot that names none is judged by the other's."""
    profiles: dict[str, Profile] = {}
    remarks: list[Finding] = []
    for device in dict.fromkeys((*left.devices, *right.devices)):
        here, there = left.devices.get(device), right.devices.get(device)
        facts = here or there
        if facts is None or (left.devices and right.devices and (here is None or there is None)):
            continue  # the other snapshot's rig has no such device: nothing to compare
        if here is not None and there is not None and (here.profile, here.options) != (there.profile, there.options):
            remarks.append(_exactly(device, f"it is {_model(here)} in one and {_model(there)} in the other"))
            continue
        try:
            profile = load_profile(facts.profile, folders=folders, options=facts.options)
        except ProfileError as error:
            remarks.append(_exactly(device, str(error).rstrip(".")))
            continue
        profiles[device] = profile
        current = files.content_hash(profile.path) if profile.path is not None else None
        if any(side is not None and side.hash not in (None, current) for side in (here, there)):
            remarks.append(Finding(device, f"the profile {profile.id} has changed since; its present steps were used"))
    return profiles, remarks


def _exactly(device: str, why: str) -> Finding:
    return Finding(device, f"its values were compared exactly: {why}")


def _model(facts: DeviceFacts) -> str:
    options = ", ".join(f"{name} {choice}" for name, choice in facts.options.items())
    return f"{facts.profile} ({options})" if options else facts.profile
