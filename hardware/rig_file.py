"""The rig file's TOML: tables, ranges, and errors that name file, line, key and the nearest word."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hardware.errors import RigError

SCHEMA = 1
"""The newest rig file this program reads."""

Setting = bool | float | str
"""What a TOML file may give a control: a switch, a number in the control's unit, a word ("off" is −∞ dB)."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"]+)\s*\]\]?")
_KEY = re.compile(r"^\s*(?:\"([^\"]+)\"|'([^']+)'|([A-Za-z0-9_\-.]+))\s*=")
_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")
_NUMBERED = re.compile(r"^(.*?)(\d+)-(?:(?:[^/\d]*?)(\d+))$")


class RigAudio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audio interface: ``port`` is ``room`` for the room inside the program, else a PortAudio device name.

    ``dbu_at_0dbfs``: the level [dBu] of a full-scale sine at the interface's analog side. ``monitor``: the outputs
    (left, right) on which a mix that plays is listened to.
    """

    port: str
    host_api: str = ""
    rate_hz: Annotated[int, Meta(ge=8_000, le=768_000)] = 48_000
    block_frames: Annotated[int, Meta(ge=16, le=65_536)] = 256
    outputs: Annotated[int, Meta(ge=1, le=1_024)] = 2
    inputs: Annotated[int, Meta(ge=1, le=1_024)] = 2
    dbu_at_0dbfs: float = 18.0
    monitor: tuple[Annotated[int, Meta(ge=1, le=1_024)], Annotated[int, Meta(ge=1, le=1_024)]] = (1, 2)


class RigRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The virtual room behind the ports; an empty ``model`` is the built-in one."""

    model: str = ""


class FigureLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one measured figure of a loop may be, in its own unit.

    ``change``: the largest change from the calibration before that counts as none; ``min`` and ``max``: absolute.
    """

    change: Annotated[float, Meta(gt=0)] | None = None
    min: float | None = None
    max: float | None = None


class RigTolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a loop may be from its calibration [dB, samples], and how old the calibration may be [hours].

    ``figures``: limits by the key of a measured figure (``thd_db``, ``noise_dbfs``). Which keys there are, the floor
    above knows; it checks them.
    """

    gain_db: Annotated[float, Meta(gt=0)] = 0.5
    latency_samples: Annotated[float, Meta(gt=0)] = 0.5
    calibration_hours: Annotated[float, Meta(gt=0)] = 24.0
    figures: dict[str, FigureLimits] = {}


class DeviceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[device]]``: what it is, where it listens, how the unit itself is set up, where it answers."""

    name: str
    profile: str
    port: str = ""
    options: dict[str, str] = {}
    channel: Annotated[int, Meta(ge=1, le=16)] | None = None
    receive: str = ""


class WireTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[wire]]``: interface outputs to device inputs."""

    outputs: str | int
    to: str


class ReturnTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """One ``[[return]]``: device outputs to interface inputs."""

    source: str
    inputs: str | int


class InsertTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[insert]]``: what can be patched where, and which settings switch it in and out."""

    at: str
    device: str
    switch: dict[str, Setting] = {}
    bypass: dict[str, Setting] = {}


class RigTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"returns": "return"}):
    """The whole file."""

    schema: int
    name: str
    audio: RigAudio
    title: str = ""
    room: RigRoom | None = None
    device: list[DeviceTable] = []
    wire: list[WireTable] = []
    returns: list[ReturnTable] = []
    insert: list[InsertTable] = []
    tolerance: RigTolerance = RigTolerance()


_SPOKEN = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_TABLES: dict[str, type[msgspec.Struct]] = {
    "$": RigTable,
    "$.audio": RigAudio,
    "$.room": RigRoom,
    "$.tolerance": RigTolerance,
    "$.tolerance.figures.": FigureLimits,
    "$.device": DeviceTable,
    "$.wire": WireTable,
    "$.return": ReturnTable,
    "$.insert": InsertTable,
}


def toml_lines(text: str) -> dict[str, int]:
    """Map paths as msgspec writes them (``$.device[1].port``) to line numbers from 1."""
    lines: dict[str, int] = {"$": 1}
    counts: dict[str, int] = {}
    here = "$"
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            here = _below(header.group(2).replace('"', ""), counts)
            if header.group(1) == "[[":
                index = counts.get(here, 0)
                counts[here] = index + 1
                here = f"{here}[{index}]"
            lines[here] = number
        elif key := _KEY.match(line):
            if dotted := key.group(3):
                lines.setdefault(f"{here}.{dotted.partition('.')[0]}", number)
            lines.setdefault(f"{here}.{key.group(1) or key.group(2) or dotted}", number)
    return lines


def _below(header: str, counts: dict[str, int]) -> str:
    """Write a header as a path; ``[device.options]`` belongs to the device that came last."""
    *above, last = header.split(".")
    path = "$"
    for name in above:
        path = f"{path}.{name}"
        if path in counts:
            path = f"{path}[{counts[path] - 1}]"
    return f"{path}.{last}"


def parse_rig(text: str, source: str) -> RigTable:
    """Read a rig file's text; ``source`` is the file's name for messages.

    Raises
    ------
    RigError
        Not TOML, a newer schema, an unknown or missing key, a wrong type, a number that is none or out of range.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RigError(f"{source} is not valid TOML: {error}.", hint="Correct that line and try again.") from error
    schema = raw.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise RigError(
            f"{source} is a rig file of schema {schema}; this program reads up to schema {SCHEMA}.",
            hint="Update halfnormal; the file was left as it is.",
        )
    lines = toml_lines(text)
    if schema is not None and schema != SCHEMA:
        raise RigError(
            f"{source}, line {lines.get('$.schema', 1)}: schema must be {SCHEMA}, not {schema!r}.",
            hint=f"Write schema = {SCHEMA}.",
        )
    _refuse_nonfinite(raw, "$", source, lines)
    try:
        return msgspec.convert(raw, RigTable)
    except msgspec.ValidationError as error:
        raise _explained(_with_figure(str(error), raw), source, lines) from error


def expand_channels(spec: str | int, *, what: str) -> tuple[int, ...]:
    """Turn ``"1-24"``, ``"1,3,5-8"`` or ``7`` into channel numbers from 1.

    Raises
    ------
    RigError
        Not a number or range, a range that runs backwards, or a channel 0.
    """
    channels: list[int] = []
    for part in str(spec).split(","):
        found = _RANGE.match(part.strip())
        if not found:
            raise RigError(f"{what}: {spec!r} is no channel range.", hint='Write it as "1-24", "1,3,5-8" or 7.')
        first = int(found.group(1))
        last = int(found.group(2) or first)
        if first < 1 or last < first:
            raise RigError(
                f"{what}: the range {part.strip()!r} must start at 1 or above and run upwards.",
                hint="Channels are numbered from 1.",
            )
        if last > 4_096:
            raise RigError(f"{what}: channel {last} is beyond any interface (4096).", hint="Correct the range.")
        channels.extend(range(first, last + 1))
    return tuple(channels)


def expand_addresses(spec: str, *, what: str) -> tuple[str, ...]:
    """Turn ``"desk/ch01-24"`` into ``desk/ch01`` … ``desk/ch24``; commas join several.

    Raises
    ------
    RigError
        An empty part, a part without a device, or a range that runs backwards.
    """
    addresses: list[str] = []
    for part in (piece.strip() for piece in spec.split(",")):
        device, slash, place = part.partition("/")
        if not device or not slash or not place:
            raise RigError(
                f"{what}: {part!r} is no address.", hint='Write device and place, as in "desk/ch01-24" or "desk/mix".'
            )
        numbered = _NUMBERED.match(place)
        if not numbered:
            addresses.append(part)
            continue
        prefix, first, last = numbered.groups()
        if int(last) < int(first) or int(last) - int(first) > 4_096:
            raise RigError(f"{what}: the range in {part!r} does not run upwards.", hint='Write it as "desk/ch01-24".')
        width = len(first)
        addresses.extend(f"{device}/{prefix}{n:0{width}d}" for n in range(int(first), int(last) + 1))
    return tuple(addresses)


def nearest(word: str, known: Sequence[str], *, lead: str = "Did you mean") -> str:
    """Say which known words lie nearest, or list what there is."""
    close = get_close_matches(word, list(known), n=3, cutoff=0.5)
    if close:
        return f"{lead} {' or '.join(close)}?"
    if not known:
        return ""
    shown = ", ".join(list(known)[:12])
    return f"There is: {shown}{' …' if len(known) > 12 else ''}."


def _refuse_nonfinite(value: Any, path: str, source: str, lines: dict[str, int]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nonfinite(inner, f"{path}.{key}", source, lines)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nonfinite(inner, f"{path}[{index}]", source, lines)
    elif isinstance(value, float) and not math.isfinite(value):
        raise RigError(
            f"{source}, line {_line(path, lines)}: {path[2:]} must be a finite number, not {value}.",
            hint='Write a number; for −∞ dB write "off".',
        )


def _line(path: str, lines: dict[str, int]) -> int:
    """Find the line of ``path`` or of the nearest table above it."""
    while path not in lines and len(path) > 1:
        path = path[: max(path.rfind("."), path.rfind("["), 1)]
    return lines.get(path, 1)


def _with_figure(message: str, raw: dict[str, Any]) -> str:
    """Put the figure's key into a message about ``[tolerance.figures]``: msgspec writes ``[...]`` for it."""
    if "$.tolerance.figures[...]" not in message:
        return message
    for key, limits in raw["tolerance"]["figures"].items():
        try:
            msgspec.convert(limits, FigureLimits)
        except msgspec.ValidationError:
            return message.replace("figures[...]", f"figures.{key}")
    return message


def _explained(message: str, source: str, lines: dict[str, int]) -> RigError:
    """Turn msgspec's sentence into ours: file, line, key, what is wrong, what would be right."""
    text, _, tail = message.partition(" - at ")
    path = tail.strip("`") or "$"
    table = re.sub(r"\[[^\]]*\]", "", path)
    key_name = path[2:] or "the top level"
    if found := re.match(r"Object contains unknown field `(.+)`", text):
        key = found.group(1)
        known = re.sub(r"(?<=\$\.tolerance\.figures\.).*", "", table)
        fields = [field.encode_name for field in msgspec.structs.fields(_TABLES[known])] if known in _TABLES else []
        line = lines.get(f"{path}.{key}", _line(path, lines))
        place = f" in {key_name}" if path != "$" else ""
        return RigError(f"{source}, line {line}: unknown key {key!r}{place}.", hint=nearest(key, fields))
    if found := re.match(r"Object missing required field `(.+)`", text):
        key = found.group(1)
        return RigError(
            f"{source}, line {_line(path, lines)}: {key_name} lacks the key {key!r}.", hint=f"Add {key} = … there."
        )
    plain = re.sub(r"\b[a-z]+\b", lambda found: _SPOKEN.get(found[0], found[0]), text.replace("`", ""))
    plain = plain.replace("Expected", "must be")
    return RigError(
        f"{source}, line {_line(path, lines)}: {key_name} {plain}.", hint="Correct the value and try again."
    )
