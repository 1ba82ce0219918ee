"""Who answered on each port of a rig: what a device said of itself, kept so that another unit there is noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from hardware.errors import RigError, TransportError

SCHEMA = 1
FIRMWARE = "firmware"
"""The identity's field that names the firmware, as profiles write it."""

_ASIDE = "Move the file away; the devices then count as met for the first time. It was left as it is."


class OtherUnitError(TransportError):
    """Another unit than the known one answers on a device's port."""


@dataclass(frozen=True)
class Identity:
    """What a device answered when it was asked who it is, read with ``profile``, and when it first did (ISO 8601)."""

    profile: str
    fields: Mapping[str, int | str]
    at: str

    @property
    def text(self) -> str:
        """The answer as a person reads it."""
        told = (f"{name} {value}" for name, value in self.fields.items())
        return ", ".join(told) or f"a {self.profile}"

    def same_unit(self, other: Identity) -> bool:
        """Tell whether both answers are the same, whenever they came."""
        return (self.profile, dict(self.fields)) == (other.profile, dict(other.fields))


class _Entry(msgspec.Struct):
    profile: str
    fields: dict[str, int | str]
    at: str


class _File(msgspec.Struct):
    schema: int
    rig: str
    devices: dict[str, _Entry]


class Identities(dict[str, Identity]):
    """Known identities by device; a device that is missing was never met."""

    def __init__(self, known: Mapping[str, Identity] | None = None, *, rig: str = "") -> None:
        super().__init__(known or {})
        self.rig = rig

    @classmethod
    def load(cls, path: Path, *, rig: str) -> Self:
        """Read a file of identities; where there is none, no device was met yet.

        Raises
        ------
        RigError
            The file is damaged, of a newer schema, or of another rig; it is left as it is.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls(rig=rig)
        except OSError as error:
            raise RigError(f"The file {path} cannot be read: {error.strerror}.", hint="Check the file.") from error
        try:
            found = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RigError(f"The file of device identities {path} is damaged: {error}.", hint=_ASIDE) from error
        if found.schema > SCHEMA:
            raise RigError(
                f"The file of device identities {path} is of schema {found.schema}; "
                f"this program reads up to schema {SCHEMA}.",
                hint="Update halfnormal; the file was left as it is.",
            )
        if found.rig != rig:
            raise RigError(f"{path} has the device identities of the rig {found.rig!r}, not of {rig!r}.", hint=_ASIDE)
        return cls(
            {name: Identity(entry.profile, entry.fields, entry.at) for name, entry in found.devices.items()}, rig=rig
        )

    def save(self, path: Path, write: Callable[[Path, str], None]) -> None:
        """Hand the identities as JSON text, devices sorted, to ``write``, which owns atomic writing."""
        devices = {name: _Entry(self[name].profile, dict(self[name].fields), self[name].at) for name in sorted(self)}
        text = msgspec.json.format(msgspec.json.encode(_File(SCHEMA, self.rig, devices)), indent=1).decode()
        write(path, f"{text}\n")

    def meet(self, device: str, answered: Identity) -> bool:
        """Compare an answer with the known one; the first answer becomes the known one. Tell whether it was new.

        An answer that was read with another profile than the known one cannot be compared: it counts as the first.

        Raises
        ------
        OtherUnitError
            Another unit answers than the known one.
        """
        known = self.get(device)
        if known is None or known.profile != answered.profile:
            self[device] = answered
            return True
        if not known.same_unit(answered):
            raise OtherUnitError(
                f"Another unit sits on the port of {device}: it says {answered.text}, the known one said {known.text}.",
                hint=f"Swap the cables back, or accept this unit with `halfnormal devices --forget {device}`.",
            )
        return False
