"""Taking a snapshot: read what can be read, keep what was sent, ask for what only eyes can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.errors import UsageError
from controller.events import Done, Emit, Finding, Progress, Started
from controller.files import relative
from controller.snapshot_photo import PhotoFile
from controller.snapshots import Snapshot, known_now, store
from controller.studio import Studio
from controller.tomlfile import nearest
from hardware.errors import HardwareError, ReplyTimeoutError, TransportError
from hardware.known import Known, utc_now
from hardware.recall import same_value, take_readback, value_text
from hardware.rig import split_address
from profiles.profile import Control, Value

JOB = "snapshot"
RETRY = "Put it right, then take another snapshot; until then its older values stand."


@dataclass(frozen=True)
class Look:
    """One control that somebody has to look at: ``guess`` is what it is assumed to be, None where nobody has a guess.

    It is the ``number``-th, from 1, of ``total``.
    """

    address: str
    control: Control
    guess: Value | None
    number: int
    total: int


Ask = Callable[[Look], Value | None]
"""Asks where a control stands. None leaves it unknown; EOFError ends the asking, and the rest stays unknown."""


@dataclass(frozen=True)
class TakePlan:
    """What taking would do: the controls to read, and those that somebody has to look at, in walking order."""

    to_read: tuple[str, ...]
    to_ask: tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """A snapshot on file; by device, what kept it from being read; the controls that nobody looked at."""

    snapshot: Snapshot
    failures: Mapping[str, HardwareError]
    unanswered: tuple[str, ...]


def find_control(studio: Studio, address: str) -> Control:
    """Return the control at an address that a person typed.

    Raises
    ------
    UsageError
        The rig has no such device.
    UnknownControlError
        The device has no such control; the hint names the nearest.
    """
    device, name = split_address(address)
    check_device(studio, device)
    return studio.profiles[device].control(name)


def check_device(studio: Studio, device: str) -> None:
    """See that the rig has a device of this name.

    Raises
    ------
    UsageError
        It has none; names the nearest.
    """
    if device not in studio.profiles:
        raise UsageError(
            f'The rig {studio.rig.name} has no device "{device}"{nearest(device, list(studio.profiles))}.',
            hint="An address is DEVICE/CONTROL, such as desk/ch07/trim.",
        )


def read_value(control: Control, text: str) -> Value:
    """Read where a control stands as a person types it: in its unit, ``off``, ``on``, a position's word.

    Raises
    ------
    ValueRangeError
        It cannot stand there.
    """
    return control.achieved(control.value_from_text(text))


def plan_take(studio: Studio, *, read: bool = True, answered: Iterable[str] = ()) -> TakePlan:
    """Say what would be read and asked; opens no port. ``answered`` are controls of which the value is given."""
    given = set(answered)
    to_read: list[str] = []
    to_ask: list[tuple[int, bool, int, str]] = []
    for index, (device, profile) in enumerate(studio.profiles.items()):
        for control in profile.controls.values():
            address = f"{device}/{control.name}"
            known = studio.state.get(address)
            if read and control.readable and not control.by_hand:
                to_read.append(address)
            if control.by_hand and address not in given and (known is None or known.how == "assumed"):
                to_ask.append((index, control.strip is None, control.strip or 0, address))
    walking = sorted(to_ask, key=lambda place: place[:3])
    return TakePlan(tuple(to_read), tuple(address for *_, address in walking))


def take(
    studio: Studio,
    folder: Path,
    *,
    name: str = "",
    note: str = "",
    device_notes: Mapping[str, str] | None = None,
    photos: Mapping[str, Iterable[PhotoFile]] | None = None,
    answers: Mapping[str, Value] | None = None,
    read: bool = True,
    ask: Ask | None = None,
    emit: Emit,
) -> Taken:
    """Take a snapshot of the rig into ``folder``. Nothing moves.

    ``answers`` (address → value) are what somebody saw; what a device says of itself stands before them. Without
    ``read`` no device is asked. Without ``ask`` what only eyes can tell, and nobody has told, stays unknown.

    The rig's state learns what was read and answered, also when the taking is interrupted or the snapshot cannot be
    written.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        No snapshot was written.
    KeyboardInterrupt
        The engineer stopped it; no snapshot was written.
    """
    seen = dict(answers or {})
    plan = plan_take(studio, read=read, answered=seen)
    learnt: dict[str, Known] = {}
    failures: dict[str, HardwareError] = {}
    emit(Started(JOB, studio.rig.title))
    try:
        if plan.to_read:
            failures = _read_back(studio, plan.to_read, learnt, emit)
        _hear(studio, seen, learnt, emit)
        if ask is not None:
            _ask(studio, plan.to_ask, ask, learnt, emit)
    finally:
        if learnt:
            studio.remember(learnt)
    unanswered = tuple(address for address in plan.to_ask if address not in learnt)
    if unanswered:
        emit(
            Finding(
                JOB,
                f"{len(unanswered)} by-hand controls are unknown: nobody told where they stand",
                "Take another and answer what it asks, or tell it by --set ADDRESS=VALUE.",
            )
        )
    draft = known_now(
        studio,
        name=name,
        note=note,
        device_notes=device_notes,
        not_read={device: str(error) for device, error in failures.items()},
        old={address for address in plan_take(studio).to_read if address not in learnt},
    )
    stored = store(draft, folder, photos=photos)
    known = len(stored.controls) - sum(entry.known.how == "assumed" for entry in stored.controls.values())
    emit(Done(JOB, f"{relative(folder)}/{stored.number:04d}.json, {known} controls known, {len(stored.unknown)} not"))
    return Taken(stored, failures, unanswered)


def _read_back(
    studio: Studio, addresses: tuple[str, ...], learnt: dict[str, Known], emit: Emit
) -> dict[str, HardwareError]:
    total = len(addresses)

    def on_value(address: str, known: Known) -> None:
        learnt[address] = known
        emit(Progress(JOB, len(learnt) / total, detail=f"{address} {value_text(known.value)}"))

    outcome = take_readback(studio.profiles, studio.ports(), studio.clock, addresses=addresses, on_value=on_value)
    studio.distrust(outcome.timed_out)
    failures: dict[str, HardwareError] = {}
    for device, reason in outcome.failed_devices.items():
        closed = studio.unreachable.get(device)
        if closed is not None:
            failures[device] = type(closed)(f"{device} has no port: {closed}", hint=closed.hint or RETRY)
        else:
            kind = ReplyTimeoutError if device in outcome.timed_out else TransportError
            failures[device] = kind(reason, hint=RETRY)
        error = failures[device]
        emit(Finding(device, str(error).removeprefix(f"{device} "), error.hint, "problem"))
    return failures


def _hear(studio: Studio, seen: Mapping[str, Value], learnt: dict[str, Known], emit: Emit) -> None:
    """Take it from the engineer where controls stand, except where their device has just said it itself."""
    for address, value in seen.items():
        read = learnt.get(address)
        if read is None:
            learnt[address] = Known(value, "by-hand", utc_now())
        elif not same_value(studio.control(address), read.value, value):
            emit(
                Finding(
                    address,
                    f"the device says {value_text(read.value)}, and that stands, not the {value_text(value)} given",
                    severity="warning",
                )
            )


def _ask(studio: Studio, addresses: tuple[str, ...], ask: Ask, learnt: dict[str, Known], emit: Emit) -> None:
    if not addresses:
        return
    emit(Started("by hand", f"{len(addresses)} controls that only eyes can tell"))
    for number, address in enumerate(addresses, 1):
        assumed = studio.state.get(address)
        guess = assumed.value if assumed is not None else None
        try:
            value = ask(Look(address, studio.control(address), guess, number, len(addresses)))
        except EOFError:
            return
        if value is not None:
            learnt[address] = Known(value, "by-hand", utc_now())
