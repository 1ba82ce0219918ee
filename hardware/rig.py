"""One room as a file: devices and their ports, the audio interface, the wiring, reference levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from hardware.errors import RigError
from hardware.rig_file import (
    DeviceTable,
    FigureLimits,
    RigAudio,
    RigRoom,
    RigTable,
    RigTolerance,
    Setting,
    expand_addresses,
    expand_channels,
    nearest,
    parse_rig,
    toml_lines,
)

__all__ = [
    "Connection",
    "Device",
    "FigureLimits",
    "Insert",
    "Rig",
    "RigAudio",
    "RigRoom",
    "RigTolerance",
    "load_rig",
    "shipped_rigs",
    "split_address",
]

Transport = Literal["room", "midi", "serial", "hand", ""]
_SHIPPED = Path(__file__).parent / "rigs"
_SIDES = ("l", "r")


@dataclass(frozen=True)
class Device:
    """One piece of hardware of the rig and the port it listens on.

    ``options`` say how the unit itself is set up, in its profile's words; ``channel`` is its MIDI channel (1..16)
    where that is not the profile's; ``receive`` is the input it answers on where that is called otherwise than the
    port. ``lines`` are those of the rig file, by key: ``port``, ``options.polarity``, empty for the table itself.
    """

    name: str
    profile_id: str
    port: str
    options: Mapping[str, str] = field(default_factory=dict)
    channel: int | None = None
    receive: str = ""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def line(self, key: str) -> int:
        """Tell on which line of the rig file ``key`` stands, or the table that holds it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, 1)

    @property
    def transport(self) -> Transport:
        """How it is reached; ``hand`` when nothing but a hand can, empty when the rig does not say."""
        kind = self.port.partition(":")[0]
        if kind in ("room", "midi", "serial", "hand"):
            return kind  # type: ignore[return-value]  # narrowed by the test above
        return ""

    @property
    def place(self) -> str:
        """What follows the transport: a MIDI port's name, a serial path or USB adapter, ``@NAME`` of a served room."""
        return self.port.partition(":")[2]


@dataclass(frozen=True)
class Connection:
    """One cable between the interface and a device: ``channel`` from 1, ``address`` as ``desk/ch07``."""

    channel: int
    address: str
    where: str


@dataclass(frozen=True)
class Insert:
    """A device that can stand at a patch point; ``switch`` settings put it in circuit, ``bypass`` take it out."""

    at: str
    device: str
    switch: Mapping[str, Setting] = field(default_factory=dict)
    bypass: Mapping[str, Setting] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class Rig:
    """One room. ``wires`` and ``return_wires`` keep every cable as written, so that contradictions can be shown."""

    name: str
    title: str
    audio: RigAudio
    room: RigRoom | None
    device_list: tuple[Device, ...]
    wires: tuple[Connection, ...]
    return_wires: tuple[Connection, ...]
    inserts: tuple[Insert, ...]
    tolerance: RigTolerance
    path: Path

    @cached_property
    def devices(self) -> dict[str, Device]:
        """Devices by name."""
        return {device.name: device for device in self.device_list}

    @cached_property
    def outputs(self) -> dict[int, str]:
        """Which device input each interface output feeds: ``{7: "desk/ch07"}``."""
        return _first_of_each(self.wires)

    @cached_property
    def returns(self) -> dict[int, str]:
        """Which device output comes back on each interface input: ``{1: "desk/mix/l"}``."""
        return _first_of_each(self.return_wires)

    @property
    def room_model(self) -> Path | None:
        """The virtual room's model file; None for the built-in one. Relative paths start at the rig file."""
        if self.room is None or not self.room.model:
            return None
        return self.path.parent / self.room.model


def split_address(address: str) -> tuple[str, str]:
    """Split ``desk/ch07/fader`` into device and control."""
    device, _, control = address.partition("/")
    return device, control


def shipped_rigs() -> dict[str, Path]:
    """Find the rigs that come with the program, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def load_rig(ref: str | Path, *, folders: Sequence[Path] = ()) -> Rig:
    """Load a rig by the path of its file, or by name from ``folders`` (first wins) and the shipped ones.

    Raises
    ------
    RigError
        No such rig (the nearest names are listed), an unreadable or damaged file, a newer schema, an unknown key,
        a wrong value, or wiring whose two ends differ in number.
    """
    path = _find(ref, folders)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RigError(f"There is no rig file {path}.", hint="Give a rig's name or the path of a .toml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RigError(f"The rig file {path} cannot be read: {reason}.", hint="Check the file.") from error
    return _built(parse_rig(text, str(path)), path, toml_lines(text))


def _find(ref: str | Path, folders: Sequence[Path]) -> Path:
    if isinstance(ref, Path) or ref.endswith(".toml") or "/" in ref or "\\" in ref:
        return Path(ref)
    known = dict(shipped_rigs())
    for folder in reversed(folders):
        known.update({path.stem: path for path in sorted(folder.glob("*.toml"))})
    if ref not in known:
        raise RigError(f"There is no rig named {ref!r}.", hint=nearest(ref, sorted(known)))
    return known[ref]


def _built(table: RigTable, path: Path, lines: dict[str, int]) -> Rig:
    def place(kind: str, index: int) -> str:
        return f"{path.name} line {lines.get(f'$.{kind}[{index}]', 1)}, [[{kind}]]"

    wires: list[Connection] = []
    for index, wire in enumerate(table.wire):
        where = place("wire", index)
        channels = expand_channels(wire.outputs, what=f"{where} outputs")
        wires += _paired(channels, expand_addresses(wire.to, what=f"{where} to"), where, ("outputs", "to"))
    returns: list[Connection] = []
    for index, back in enumerate(table.returns):
        where = place("return", index)
        channels = expand_channels(back.inputs, what=f"{where} inputs")
        addresses = expand_addresses(back.source, what=f"{where} from")
        if len(addresses) == 1 and len(channels) == 2 and addresses[0].rpartition("/")[2] not in _SIDES:
            addresses = tuple(f"{addresses[0]}/{side}" for side in _SIDES)
        returns += _paired(channels, addresses, where, ("inputs", "from"))
    return Rig(
        name=table.name,
        title=table.title or table.name,
        audio=table.audio,
        room=table.room,
        device_list=tuple(_device(entry, f"$.device[{index}]", lines) for index, entry in enumerate(table.device)),
        wires=tuple(wires),
        return_wires=tuple(returns),
        inserts=tuple(
            Insert(entry.at, entry.device, _settings(entry.switch), _settings(entry.bypass), place("insert", index))
            for index, entry in enumerate(table.insert)
        ),
        tolerance=table.tolerance,
        path=path,
    )


def _device(entry: DeviceTable, path: str, lines: Mapping[str, int]) -> Device:
    own = {
        key[len(path) :].lstrip("."): line for key, line in lines.items() if key == path or key.startswith(f"{path}.")
    }
    return Device(entry.name, entry.profile, entry.port, dict(entry.options), entry.channel, entry.receive, own)


def _paired(channels: Sequence[int], addresses: Sequence[str], where: str, keys: tuple[str, str]) -> list[Connection]:
    if len(channels) != len(addresses):
        raise RigError(
            f"{where}: {keys[0]} names {len(channels)} channels but {keys[1]} names {len(addresses)} places.",
            hint="Both ends of the wiring must have the same number.",
        )
    return [Connection(channel, address, where) for channel, address in zip(channels, addresses, strict=True)]


def _first_of_each(connections: Sequence[Connection]) -> dict[int, str]:
    cables: dict[int, str] = {}
    for connection in connections:
        cables.setdefault(connection.channel, connection.address)
    return cables


def _settings(table: Mapping[str, Setting]) -> dict[str, Setting]:
    """Take every number as a float, as the profiles do."""
    return {address: value if isinstance(value, bool | str) else float(value) for address, value in table.items()}
