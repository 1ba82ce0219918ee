"""The virtual room's model file: every way in which the circuit is not ideal, and every fault a test can ask for.

A model is a TOML file of three tables, a list of gear and a list of faults; whatever it leaves out has the built-in
value, which describes a believable good analog desk between good converters. ``docs/virtual-room.md`` explains every
key.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from hardware.errors import HardwareError, RoomModelError
from hardware.rig_file import nearest
from hardware.room.faults import STRIPS, Fault, read_fault
from hardware.room.gear import BUILT_IN, GEAR, Transport

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
DEVICES = tuple(BUILT_IN)
MIN_FRACTIONAL_LATENCY = 64
"""Below this many samples the fractional delay's window does not fit before the present."""
_GEAR_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def _number(default: float, unit: str, low: float, high: float, *, can_be_off: bool = False) -> Any:
    """Declare one number of the model: its default, unit and range, and whether the word "off" means −∞."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high, "can_be_off": can_be_off})


@dataclass(frozen=True)
class ConverterModel:
    """What stands between the numbers and the voltages.

    ``latency_samples`` is the whole round trip, D/A to A/D; a fraction is allowed from 64 samples up.
    ``ad_noise_dbfs`` is the A/D's noise in dBFS re the rms of a full-scale sine (AES17-2020), per return.
    ``skew_samples`` delays each D/A output by so much more (or, negative, less) than ``latency_samples``.
    ``coupling_hz`` are the corners of the first-order couplings in front of each A/D.
    """

    latency_samples: float = _number(137.37, "samples", 0.0, 96_000.0)
    dbu_at_0dbfs: float = _number(18.0, "dBu", 0.0, 30.0)
    ad_noise_dbfs: float = _number(-115.0, "dBFS", -200.0, -20.0, can_be_off=True)
    skew_samples: tuple[float, ...] = field(default=(), metadata={"unit": "samples", "low": -1000.0, "high": 1000.0})
    coupling_hz: tuple[float, ...] = field(default=(), metadata={"unit": "Hz", "low": 0.01, "high": 1000.0})


@dataclass(frozen=True)
class DeskModel:
    """What the desk adds and where it misses its own scale; noise and hum in dBFS re a full-scale sine's rms.

    ``channel_noise_dbfs`` is each strip's noise referred to its fader, ``bus_noise_dbfs`` that of each sum,
    ``crosstalk_db`` what a strip's signal after the fader leaks into the pan pots of its two neighbours,
    ``h2_db`` and ``h3_db`` the harmonics of a sine of ``saturation_at_dbu`` at the sum.
    """

    bus_noise_dbfs: float = _number(-90.0, "dBFS", -200.0, -20.0, can_be_off=True)
    channel_noise_dbfs: float = _number(-112.0, "dBFS", -200.0, -20.0, can_be_off=True)
    crosstalk_db: float = _number(-75.0, "dB", -200.0, -20.0, can_be_off=True)
    gain_spread_db: float = _number(0.05, "dB", 0.0, 6.0)
    eq_tolerance_percent: float = _number(2.0, "%", 0.0, 30.0)
    h2_db: float = _number(-78.0, "dB", -200.0, -20.0, can_be_off=True)
    h3_db: float = _number(-75.0, "dB", -200.0, -20.0, can_be_off=True)
    saturation_at_dbu: float = _number(4.0, "dBu", -40.0, 30.0)
    rail_dbu: float = _number(26.0, "dBu", 0.0, 60.0)
    hum_dbfs: float = _number(-105.0, "dBFS", -200.0, -20.0, can_be_off=True)
    mains_hz: float = _number(50.0, "Hz", 40.0, 70.0)
    glide_ms: float = _number(5.0, "ms", 0.5, 100.0)


@dataclass(frozen=True)
class CompModel:
    """Where the compressor misses its scale; its noise, at its outputs, in dBFS re a full-scale sine's rms."""

    noise_dbfs: float = _number(-105.0, "dBFS", -200.0, -20.0, can_be_off=True)
    threshold_error_db: float = _number(0.0, "dB", -12.0, 12.0)
    makeup_error_db: float = _number(0.0, "dB", -12.0, 12.0)


@dataclass(frozen=True)
class Gear:
    """One more device of the room: its name, and which kind of `hardware.room.gear` it is."""

    name: str
    kind: str


@dataclass(frozen=True)
class RoomModel:
    """One room: its name, the seed of everything random in it, its circuit, its gear, and its faults."""

    name: str = "built-in"
    seed: int = 1
    converters: ConverterModel = ConverterModel()
    desk: DeskModel = DeskModel()
    comp: CompModel = CompModel()
    faults: tuple[Fault, ...] = ()
    gear: tuple[Gear, ...] = ()

    @property
    def transports(self) -> dict[str, Transport]:
        """Every device of the room, and how it is reached."""
        return BUILT_IN | {item.name: GEAR[item.kind].transport for item in self.gear}

    @classmethod
    def ideal(
        cls, *, latency_samples: float = 137.37, faults: tuple[Fault, ...] = (), gear: tuple[Gear, ...] = ()
    ) -> RoomModel:
        """Make a room without noise, hum, crosstalk, saturation, spread or tolerance; only time passes in it."""
        off = -math.inf
        return cls(
            name="ideal",
            converters=ConverterModel(latency_samples=latency_samples, ad_noise_dbfs=off),
            desk=DeskModel(
                bus_noise_dbfs=off,
                channel_noise_dbfs=off,
                crosstalk_db=off,
                gain_spread_db=0.0,
                eq_tolerance_percent=0.0,
                h2_db=off,
                h3_db=off,
                hum_dbfs=off,
                rail_dbu=60.0,
            ),
            comp=CompModel(noise_dbfs=off),
            faults=faults,
            gear=gear,
        )


def load_model(path: Path | None) -> RoomModel:
    """Read a model file; None gives the built-in model.

    Raises
    ------
    RoomModelError
        The file is missing, is not TOML, was written for a newer schema, or has a key that is unknown, of the
        wrong type or out of range; the message names file and key.
    """
    if path is None:
        return RoomModel()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RoomModelError(f"{path}: the room model cannot be read: {error}") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RoomModelError(f"{path}: not valid TOML: {error}", hint="Correct the line named.") from error
    return _Reader(str(path)).room(tree)


class _Reader:
    """Checks one model file; every message begins with the file's name and the key."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _refuse(self, key: str, what: str, hint: str = "") -> RoomModelError:
        return RoomModelError(f"{self._where}: {key}: {what}", hint=hint)

    def _known_keys(self, table: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for key in table:
            if key not in known:
                close = f"{nearest(key, known)} " if get_close_matches(key, known, cutoff=0.5) else ""
                raise self._refuse(f"{prefix}{key}", "unknown key", f"{close}Keys allowed here: {', '.join(known)}.")

    def room(self, tree: dict[str, Any]) -> RoomModel:
        schema = tree.get("schema")
        if type(schema) is not int or schema < 1:
            raise self._refuse("schema", "missing or not a whole number", f"Begin the file with: schema = {SCHEMA}")
        if schema > SCHEMA:
            raise self._refuse(
                "schema",
                f"{schema} is newer than this program reads ({SCHEMA})",
                "Update halfnormal to read this file.",
            )
        self._known_keys(tree, ("schema", "name", "seed", "converters", "desk", "comp", "gear", "fault"), "")
        name, seed = tree.get("name", RoomModel.name), tree.get("seed", RoomModel.seed)
        if not isinstance(name, str):
            raise self._refuse("name", f"a text is needed, not {name!r}")
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise self._refuse("seed", f"a whole number from 0 to 2^63 − 1 is needed, not {seed!r}")
        converters = cast("ConverterModel", self._table(ConverterModel, tree, "converters"))
        self._check_latency(converters)
        faults = tree.get("fault", [])
        if not isinstance(faults, list):
            raise self._refuse("fault", "faults are written as [[fault]] tables")
        gear = self._gear(tree.get("gear", []))
        devices = RoomModel(gear=gear).transports
        return RoomModel(
            name=name,
            seed=seed,
            converters=converters,
            desk=cast("DeskModel", self._table(DeskModel, tree, "desk")),
            comp=cast("CompModel", self._table(CompModel, tree, "comp")),
            faults=tuple(self._fault(entry, devices, f"fault {number}") for number, entry in enumerate(faults, 1)),
            gear=gear,
        )

    def _table(self, kind: type[Any], tree: dict[str, Any], key: str) -> object:
        table = tree.get(key, {})
        if not isinstance(table, dict):
            raise self._refuse(key, f"a [{key}] table is needed")
        declared = {item.name: item for item in fields(kind)}
        self._known_keys(table, tuple(declared), f"{key}.")
        values: dict[str, Any] = {}
        for name, value in table.items():
            about = declared[name].metadata
            where = f"{key}.{name}"
            if declared[name].type == "tuple[float, ...]":
                if not isinstance(value, list) or len(value) > STRIPS:
                    raise self._refuse(where, f"a list of at most {STRIPS} numbers [{about['unit']}] is needed")
                values[name] = tuple(self._number(item, about, where) for item in value)
            else:
                values[name] = self._number(value, about, where)
        return kind(**values)

    def _number(self, value: object, about: Mapping[str, Any], where: str) -> float:
        can_be_off = about.get("can_be_off", False)
        if value == "off" and can_be_off:
            return -math.inf
        low, high, unit = about["low"], about["high"], about["unit"]
        span = f"{low:g} to {high:g} {unit}" + (' or "off"' if can_be_off else "")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(where, f"a number from {span} is needed, not {value!r}")
        if not low <= value <= high:
            raise self._refuse(where, f"{value:g} is out of range", f"Allowed: {span}.")
        return float(value)

    def _check_latency(self, converters: ConverterModel) -> None:
        try:
            check_latency(converters)
        except RoomModelError as error:
            raise self._refuse("converters.latency_samples", str(error), error.hint) from None

    def _gear(self, entries: object) -> tuple[Gear, ...]:
        if not isinstance(entries, list):
            raise self._refuse("gear", "gear is written as [[gear]] tables")
        gear: list[Gear] = []
        for number, entry in enumerate(entries, 1):
            where = f"gear {number}"
            if not isinstance(entry, dict):
                raise self._refuse(where, "a [[gear]] table is needed")
            self._known_keys(entry, ("name", "kind"), f"{where}.")
            name, kind = entry.get("name"), entry.get("kind")
            if not isinstance(name, str) or not _GEAR_NAME.fullmatch(name):
                raise self._refuse(f"{where}.name", f"a name of small letters, digits, - and _ is needed, not {name!r}")
            if name in (*DEVICES, *(other.name for other in gear)):
                raise self._refuse(f"{where}.name", f"the room has a device {name!r} already")
            if not isinstance(kind, str) or kind not in GEAR:
                raise self._refuse(f"{where}.kind", f"unknown gear {kind!r}", nearest(str(kind), tuple(GEAR)))
            gear.append(Gear(name, kind))
        return tuple(gear)

    def _fault(self, entry: object, devices: Mapping[str, str], where: str) -> Fault:
        try:
            return read_fault(entry, devices, where=where)
        except HardwareError as error:
            raise RoomModelError(f"{self._where}: {error}", hint=error.hint) from None


def check_latency(converters: ConverterModel) -> None:
    """Check that every output's delay can be built: whole, or at least 64 samples long.

    Raises
    ------
    RoomModelError
        A delay is negative, or shorter than 64 samples and fractional.
    """
    for skew in converters.skew_samples or (0.0,):
        total = converters.latency_samples + skew
        if total < 0 or (total < MIN_FRACTIONAL_LATENCY and total != math.floor(total)):
            raise RoomModelError(
                f"a delay of {total:g} samples cannot be built",
                hint=f"Use whole samples from 0 up, or any number from {MIN_FRACTIONAL_LATENCY} up.",
            )
