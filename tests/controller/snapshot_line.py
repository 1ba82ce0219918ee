"""What the tests of snapshots share: taking one of the small rig, and making one that is not on file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.events import silent
from controller.snapshot_take import Taken, take
from controller.snapshots import DeviceFacts, Entry, RigFacts, Snapshot
from controller.studio import Studio
from hardware.known import Known

AT = "2025-02-03T04:05:06+00:00"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR"


def taken(folder: Path, *, prepare: Callable[[Studio], None] = lambda studio: None, **options: Any) -> Taken:
    with Studio.open("small") as studio:
        prepare(studio)
        return take(studio, folder, **{"emit": silent, **options})


def known(value: Any, how: Any = "read-back") -> Known:
    return Known(value, how, AT)


def of(values: dict[str, Known], *, profile: str = "room-desk-24", **more: Any) -> Snapshot:
    """A snapshot of a desk, not on file."""
    entries = {address: Entry(each, "dB") for address, each in values.items()}
    devices = {"desk": DeviceFacts(profile)} if profile else {}
    return Snapshot(0, "x", AT, RigFacts("small"), devices, entries, **more)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
