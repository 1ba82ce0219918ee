"""The health of a rig's devices as a workflow: who is there, who they are, when they were last heard, what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from controller.errors import DEVICE, DONE, TIMEOUT
from controller.events import Done, Emit, Started, silent
from controller.studio import Studio
from hardware.device_health import Health, Present, Trouble, ask_health
from hardware.errors import HardwareError, ReplyTimeoutError
from hardware.identities import FIRMWARE, OtherUnitError
from hardware.rig import Device

JOB = "devices"
_HEARD = ("read-back", "acknowledged")


@dataclass(frozen=True)
class DeviceHealth:
    """One device of the rig: what was found, and when it last said anything (ISO 8601, UTC; None: never)."""

    device: Device
    health: Health
    last_heard: str | None

    @property
    def firmware(self) -> str | None:
        """The firmware it says it has."""
        fields = self.health.identity.fields if self.health.identity is not None else {}
        return str(fields[FIRMWARE]) if FIRMWARE in fields else None


@dataclass(frozen=True)
class RigHealth:
    """Every device of a rig, in the rig's order."""

    rig: str
    devices: tuple[DeviceHealth, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any device."""
        return not self.troubles

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Everything that is wrong."""
        return tuple(trouble for found in self.devices for trouble in found.health.troubles)

    @property
    def exit_code(self) -> int:
        """The command's exit code: a timeout only where silence is all that is wrong."""
        if self.ok:
            return DONE
        return TIMEOUT if all(trouble.kind == "silent" for trouble in self.troubles) else DEVICE


def examine(studio: Studio, *, emit: Emit = silent) -> RigHealth:
    """Ask every device of the rig whether it is there and who it is; nothing moves.

    Who answers on a port for the first time is kept as the unit that belongs there.

    Raises
    ------
    RigError, StorageError
        The rig's file of identities is damaged, or cannot be written.
    """
    known = studio.known_identities()
    ports = studio.ports()
    emit(Started(JOB, f"asking {len(ports)} of the {len(studio.rig.devices)} devices of {studio.rig.title}"))
    found = ask_health(studio.profiles, ports, studio.clock)
    strangers = studio.meet({name: health.identity for name, health in found.items() if health.identity is not None})
    studio.distrust([name for name, health in found.items() if any(each.kind == "silent" for each in health.troubles)])
    for name, stranger in strangers.items():
        found[name] = replace(found[name], troubles=(*found[name].troubles, _trouble(stranger)))
    devices = []
    for name, device in studio.rig.devices.items():
        health = found.get(name) or _unasked(studio, device)
        moments = [health.heard_at or "", known[name].at if name in known else ""]
        moments += [
            value.at
            for address, value in studio.state.items()
            if address.startswith(f"{name}/") and value.how in _HEARD
        ]
        devices.append(DeviceHealth(device, health, max(moments) or None))
    result = RigHealth(studio.rig.name, tuple(devices))
    wrong = sum(bool(device.health.troubles) for device in result.devices)
    emit(Done(JOB, "nothing is wrong" if result.ok else f"{wrong} of {len(devices)} devices need a look"))
    return result


def watch(studio: Studio, pause: Callable[[], None], *, emit: Emit = silent) -> Iterator[RigHealth]:
    """Ask again after every ``pause``, for as long as somebody looks; lost ports are opened again by their names."""
    while True:
        found = examine(studio, emit=emit)
        yield found
        pause()
        for device in found.devices:
            if any(trouble.kind in ("port", "other-unit") for trouble in device.health.troubles):
                with contextlib.suppress(HardwareError):  # the reason stays in studio.unreachable, and is shown next
                    studio.reopen(device.device.name)


def _unasked(studio: Studio, device: Device) -> Health:
    """Say what a device is that has no open port."""
    if device.transport == "hand":
        return Health("by-hand")
    error = studio.unreachable.get(device.name)
    if error is None:
        return Health("no", troubles=(Trouble("port", f"{device.name} has no port.", "Give it one in the rig file."),))
    present: Present = "yes" if isinstance(error, OtherUnitError) else "no"
    return Health(present, troubles=(_trouble(error),))


def _trouble(error: HardwareError) -> Trouble:
    if isinstance(error, OtherUnitError):
        return Trouble("other-unit", str(error), error.hint)
    return Trouble("silent" if isinstance(error, ReplyTimeoutError) else "port", str(error), error.hint)


def as_json(found: RigHealth) -> dict[str, Any]:
    """Return what ``devices --json`` prints."""
    return {
        "ok": found.ok,
        "rig": found.rig,
        "devices": [
            {
                "name": each.device.name,
                "profile": each.device.profile_id,
                "port": each.device.port,
                "transport": each.device.transport,
                "present": each.health.present,
                "identity": dict(each.health.identity.fields) if each.health.identity is not None else None,
                "firmware": each.firmware,
                "last_heard": each.last_heard,
                "errors": [
                    {"kind": trouble.kind, "what": trouble.what, "hint": trouble.hint}
                    for trouble in each.health.troubles
                ],
            }
            for each in found.devices
        ],
    }
