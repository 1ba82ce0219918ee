"""Snapshots on file: the value of every control at one moment, each with how it is known; numbered and immutable."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from controller import files
from controller.errors import ControllerError
from controller.snapshot_photo import Photo, PhotoFile, put_photos, remove_photos
from controller.version import VERSION
from hardware.known import How, Known, utc_now
from profiles.profile import Control, Value

if TYPE_CHECKING:
    from controller.studio import Studio

SCHEMA = 1
KIND = "snapshot"
NOT_READ = "not read this time"
"""The note on a control whose device could have told, and did not or was not asked: the value is an older one."""

_OFF_NOTE = "off (minus infinity)"
_NAME = re.compile(r"(\d{4,})\.json")
_ASIDE = "It was left as it is; move it away or take it from a backup."


class SnapshotError(ControllerError):
    """A snapshot is missing, damaged, of a newer version, or no snapshot at all; the file was left as it is."""


class DeviceFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device as it was: its profile, that file's content hash (None for no file), its options, note and photos.

    ``not_read`` says in a sentence why the device was not read, or not to the end; empty when nothing was missing.
    """

    profile: str
    hash: str | None = None
    options: dict[str, str] = {}
    note: str = ""
    photos: tuple[Photo, ...] = ()
    not_read: str = ""


class RigFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rig a snapshot is of: its name and its file's content hash (None where nobody noted it)."""

    name: str
    hash: str | None = None


@dataclass(frozen=True)
class Entry:
    """One control of a snapshot: what is known of it, its unit (empty where nobody noted it), and a remark."""

    known: Known
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The value of every control of a rig at one moment (ISO 8601, UTC).

    ``number`` is 0 and ``path`` None for what is known now and not on file. ``unknown`` lists the controls of which
    nobody knows the value; those with an ``assumed`` value are among them and in ``controls`` too.
    """

    number: int
    name: str
    at: str
    rig: RigFacts
    devices: Mapping[str, DeviceFacts]
    controls: Mapping[str, Entry]
    unknown: tuple[str, ...] = ()
    note: str = ""
    program: str = f"halfnormal {VERSION}"
    path: Path | None = None

    @property
    def label(self) -> str:
        """What to call it: its file as people should see it, or ``now``."""
        return files.relative(self.path) if self.path is not None else "now"


@dataclass(frozen=True)
class Listing:
    """The snapshots of a folder, by number, and what is wrong with the files that could not be read."""

    snapshots: tuple[Snapshot, ...]
    problems: tuple[SnapshotError, ...] = field(default=())


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    value: float | str | bool | None
    how: How
    at: str
    unit: str = ""
    value_note: str = ""
    note: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    schema: int
    kind: str
    number: int
    name: str
    at: str
    program: str
    rig: RigFacts
    note: str
    devices: dict[str, DeviceFacts]
    controls: dict[str, _Entry]
    unknown: tuple[str, ...]


def target_of(snapshot: Snapshot) -> dict[str, Value]:
    """Return what a recall to this snapshot aims at, by address; what is unknown or assumed is left out."""
    return {address: entry.known.value for address, entry in snapshot.controls.items() if entry.known.how != "assumed"}


def is_action(control: Control) -> bool:
    """Tell whether it does something rather than stands somewhere, as storing a preset: no part of a snapshot."""
    return control.dangerous and not control.readable and not control.by_hand


def known_now(
    studio: Studio,
    *,
    name: str = "",
    note: str = "",
    device_notes: Mapping[str, str] | None = None,
    not_read: Mapping[str, str] | None = None,
    old: Collection[str] = (),
) -> Snapshot:
    """Return what is known of every control of the rig now, devices in the rig's order; not on file.

    ``not_read`` tells by device why it could not be read; ``old`` are the addresses whose device could have told.
    """
    controls: dict[str, Entry] = {}
    unknown: list[str] = []
    for device, profile in studio.profiles.items():
        for control in profile.controls.values():
            if is_action(control):
                continue
            address = f"{device}/{control.name}"
            known = studio.state.get(address)
            if known is not None:
                controls[address] = Entry(known, control.unit, NOT_READ if address in old else "")
            if known is None or known.how == "assumed":
                unknown.append(address)
    notes, silent = device_notes or {}, not_read or {}
    devices = {
        device: DeviceFacts(
            profile=profile.id,
            hash=files.content_hash(profile.path) if profile.path is not None else None,
            options=dict(profile.options),
            note=notes.get(device, ""),
            not_read=silent.get(device, ""),
        )
        for device, profile in studio.profiles.items()
    }
    rig = RigFacts(studio.rig.name, files.content_hash(studio.rig.path))
    return Snapshot(0, name, utc_now(), rig, devices, controls, tuple(unknown), note)


def store(snapshot: Snapshot, folder: Path, *, photos: Mapping[str, Iterable[PhotoFile]] | None = None) -> Snapshot:
    """Write a snapshot as the next ``NNNN.json`` of ``folder``, its photos (by device) beside it; return it as stored.

    Raises
    ------
    DiskFullError, ReadOnlyError, StorageError
        Nothing of it is there.
    """
    pictures = {device: tuple(taken) for device, taken in (photos or {}).items()}
    number, claim = files.claim_number(folder)
    path = folder / f"{number:04d}.json"
    written: list[Path] = []
    try:
        devices = {
            device: msgspec.structs.replace(facts, photos=tuple(picture.photo for picture in pictures.get(device, ())))
            for device, facts in snapshot.devices.items()
        }
        stored = replace(
            snapshot, number=number, name=snapshot.name or f"snapshot {number}", devices=devices, path=path
        )
        put_photos(folder, (picture for taken in pictures.values() for picture in taken), written)
        files.write_new(path, to_json(stored))
    except BaseException:
        if not path.exists():
            remove_photos(written)
        raise
    finally:
        claim.unlink(missing_ok=True)
    return stored


def to_json(snapshot: Snapshot) -> str:
    """Write a snapshot as the text of its file; −∞ dB becomes null with a note."""
    return json.dumps({"schema": SCHEMA, "kind": KIND, **facts_of(snapshot)}, indent=1, ensure_ascii=False) + "\n"


def facts_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return all that a snapshot says, as JSON can hold it."""
    return {
        "number": snapshot.number,
        "name": snapshot.name,
        "at": snapshot.at,
        "program": snapshot.program,
        "rig": msgspec.to_builtins(snapshot.rig),
        "note": snapshot.note,
        "devices": msgspec.to_builtins(dict(snapshot.devices)),
        "controls": {address: entry_facts(entry) for address, entry in snapshot.controls.items()},
        "unknown": list(snapshot.unknown),
    }


def entry_facts(entry: Entry) -> dict[str, Any]:
    """Return one control's entry as JSON can hold it: value, unit, how, at; −∞ as null with a note."""
    value = entry.known.value
    off = isinstance(value, float) and value == -math.inf
    return {
        "value": None if off else value,
        **({"value_note": _OFF_NOTE} if off else {}),
        "unit": entry.unit,
        "how": entry.known.how,
        "at": entry.known.at,
        **({"note": entry.note} if entry.note else {}),
    }


def list_folder(folder: Path) -> Listing:
    """Read every snapshot of a folder; a file that cannot be read is told of and does not hide the others.

    Raises
    ------
    StorageError
        The folder cannot be read.
    """
    found: list[Snapshot] = []
    problems: list[SnapshotError] = []
    for number, path in _paths(folder):
        try:
            found.append(_numbered(path, number))
        except SnapshotError as error:
            problems.append(error)
    return Listing(tuple(found), tuple(problems))


def find(folder: Path, number: int | None = None) -> Snapshot:
    """Read the snapshot of a folder that has this number; without one, the newest.

    Raises
    ------
    SnapshotError
        There is none (the message names those there are), two files claim the number, or the file cannot be read.
    """
    paths = _paths(folder)
    if not paths:
        raise SnapshotError(
            f"{files.relative(folder)} holds no snapshot.", hint="Take one: halfnormal snapshot take PROJECT"
        )
    wanted = paths[-1][0] if number is None else number
    matching = [path for each, path in paths if each == wanted]
    if not matching:
        raise SnapshotError(
            f"{files.relative(folder)} has no snapshot {wanted}; there is {_spans([each for each, _ in paths])}.",
            hint="'halfnormal snapshot list' shows them.",
        )
    if len(matching) > 1:
        names = " and ".join(path.name for path in matching)
        raise SnapshotError(
            f"{files.relative(folder)} has two snapshots of number {wanted}: {names}.", hint="Name the file you mean."
        )
    return _numbered(matching[0], wanted)


def load(path: Path) -> Snapshot:
    """Read a snapshot's file.

    Raises
    ------
    SnapshotError
        It is missing, damaged, of a newer version or no snapshot; it is left as it is.
    StorageError
        It cannot be read.
    """
    where = files.relative(path)
    if not path.is_file():
        raise SnapshotError(
            f"There is no snapshot file {where}.", hint="'halfnormal snapshot list' shows what there is."
        )
    with files.storage_errors(path, verb="read"):
        data = path.read_bytes()
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SnapshotError(f"{where} is damaged: {error}.", hint=_ASIDE) from error
    facts: dict[str, Any] = found if isinstance(found, dict) else {}
    schema = facts.get("schema")
    if facts.get("kind") != KIND or not isinstance(schema, int) or isinstance(schema, bool):
        raise SnapshotError(
            f"{where} is no snapshot.",
            hint="Name a file that 'halfnormal snapshot take' wrote; this was left as it is.",
        )
    if schema > SCHEMA:
        raise SnapshotError(
            f"{where} was written by a newer Halfnormal (schema {schema}, this one reads {SCHEMA}).",
            hint="Update Halfnormal; the file was left as it is.",
        )
    try:
        return _of_file(found, path)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotError(f"{where} is damaged: {error}.", hint=_ASIDE) from error


def _of_file(found: Any, path: Path) -> Snapshot:
    facts = msgspec.convert(found, _File)
    if facts.number < 1:
        raise ValueError(f"its number is {facts.number}")
    return Snapshot(
        number=facts.number,
        name=facts.name,
        at=facts.at,
        rig=facts.rig,
        devices=facts.devices,
        controls={
            address: Entry(Known(_value(address, entry), entry.how, entry.at), entry.unit, entry.note)
            for address, entry in facts.controls.items()
        },
        unknown=facts.unknown,
        note=facts.note,
        program=facts.program,
        path=path,
    )


def _value(address: str, entry: _Entry) -> Value:
    if entry.value is not None:
        return entry.value
    if entry.value_note != _OFF_NOTE:
        raise ValueError(f"{address} has no value")
    return -math.inf


def _paths(folder: Path) -> list[tuple[int, Path]]:
    with files.storage_errors(folder, verb="read"):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = ((_NAME.fullmatch(path.name), path) for path in entries)
    return sorted((int(match[1]), path) for match, path in matches if match)


def _numbered(path: Path, number: int) -> Snapshot:
    snapshot = load(path)
    if snapshot.number != number:
        raise SnapshotError(
            f"{files.relative(path)} is snapshot {snapshot.number} under another name.",
            hint=f"It was renamed or copied: call it {snapshot.number:04d}.json again, or keep it elsewhere.",
        )
    return snapshot


def _spans(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in runs)
