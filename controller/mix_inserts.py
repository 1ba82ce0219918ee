"""Inserts and sends of a mix: effects of the registry with their parameters beside them, and ways to other busses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from controller.mix_values import BUS, FADER_DB, Checked, Range
from controller.tomlfile import Key, KeyValueError, nearest, spoken_value

if TYPE_CHECKING:
    from dsp.processor import Declared, Parameter, Settings

Where = Literal["pre", "post"]


class Insert(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One effect. In a file its parameters stand beside the other keys; here they are ``settings``, all of them.

    ``at`` "pre" is before the high-pass and the equaliser, "post" behind the compressor; several of one place follow
    each other as they stand. ``key`` names the strip or bus that its side-chain hears instead, before that one's fader.
    Out of circuit unless ``on``. A parameter that is a file is its name here, until ``effect_files`` has read it.
    """

    kind: str
    at: Where = "post"
    on: bool = True
    key: str = ""
    settings: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        from dsp.errors import DspError
        from dsp.registry import KINDS, effect

        if self.kind not in KINDS:
            raise KeyValueError(("kind",), f'= "{self.kind}" is unknown{nearest(self.kind, list(KINDS))}')
        msgspec.structs.force_setattr(self, "settings", _values(effect(self.kind), self.settings, (), OWN_KEYS))
        try:
            self.effect()
        except DspError as error:
            raise KeyValueError(("kind",), f'= "{self.kind}": {error}') from error

    def effect(self) -> Settings:
        """Return the effect's own settings."""
        from dsp.registry import effect

        made: Settings = _made(effect(self.kind), self.settings)
        return made

    def files(self) -> dict[str, str]:
        """Return the names of the files that the effect is made from, by parameter."""
        from dsp.registry import effect

        named = {p.name: self.settings[p.name] for p in effect(self.kind).parameters() if p.default is None}
        return {parameter: name for parameter, name in named.items() if name and isinstance(name, str)}

    def parameter(self, address: str) -> tuple[str, Parameter]:
        """Return the engine's address of the number at ``address``, and what it may be.

        Addresses of a mix count from 1: ``threshold_db``, ``bands/2/gain_db``. Raises KeyValueError, without a key, for
        what is not there or no number.
        """
        from dsp.registry import effect

        known = self.effect().addresses()
        inside = "/".join(str(int(part) - 1) if part.isdecimal() else part for part in address.split("/"))
        if any(p.table and address.startswith(f"{p.name}/") for p in effect(self.kind).parameters()):
            inside = address  # what a table's entry is called may be a number
        if inside not in known:
            said = ["/".join(str(int(p) + 1) if p.isdecimal() else p for p in one.split("/")) for one in known]
            raise KeyValueError((), f"{self.kind} has no {address}{nearest(address, said)}")
        if not known[inside].is_number:
            raise KeyValueError((), f"the {address} of {self.kind} is no number, and stands still")
        return inside, known[inside]


OWN_KEYS = tuple(name for name in Insert.__struct_fields__ if name != "settings")
"""The keys of an insert's table that are not its effect's."""


class Send(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to another bus besides the output; ``at`` "pre" or "post" the fader. It follows pan and mute."""

    to: str
    level_db: float = 0.0
    at: Where = "post"
    ranges: ClassVar[Mapping[str, Range]] = {"level_db": FADER_DB}


def gathered(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of a file with every insert's parameters gathered into its ``settings``."""

    def table(value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("insert"), list):
            return value
        return {**value, "insert": [_gathered_insert(insert) for insert in value["insert"]]}

    found: dict[str, Any] = {}
    for name, value in raw.items():
        found[name] = [table(one) for one in value] if isinstance(value, list) else table(value)
    return found


def _gathered_insert(insert: Any) -> Any:
    if not isinstance(insert, dict):
        return insert
    own = {name: value for name, value in insert.items() if name in OWN_KEYS}
    return {**own, "settings": {name: value for name, value in insert.items() if name not in OWN_KEYS}}


def allowed(parameter: Parameter) -> Range:
    """Return what a number of an effect may be."""
    return Range(parameter.low, parameter.high, parameter.unit, off=parameter.low == -math.inf)


def check_value(parameter: Parameter, value: Any, key: Key) -> Any:
    """Return ``value`` as the effect takes it. Raises KeyValueError where the parameter cannot be that."""
    if parameter.item is not None:
        if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
            raise KeyValueError(key, f"= {spoken_value(value)} must be a list of tables")
        return tuple(_values(parameter.item, one, (*key, index)) for index, one in enumerate(value))
    if parameter.names:
        if value not in parameter.names or isinstance(value, bool):
            names = [str(name) for name in parameter.names]
            raise KeyValueError(key, f"= {spoken_value(value)} is unknown{nearest(str(value), names)}")
        return value
    if isinstance(parameter.default, bool):
        if not isinstance(value, bool):
            raise KeyValueError(key, f"= {spoken_value(value)} must be true or false")
        return value
    if parameter.default is None:
        if value is not None and isinstance(value, bool | int | float | list | dict):
            raise KeyValueError(key, f"= {spoken_value(value)} must be the name of a file")
        return value or ""
    if isinstance(parameter.default, str):
        if not isinstance(value, str):
            raise KeyValueError(key, f"= {spoken_value(value)} must be text")
        return value
    if parameter.table:
        return _table({} if value == () else value, key)
    limits = allowed(parameter)
    number = -math.inf if value == "off" and limits.off else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise KeyValueError(key, f"= {spoken_value(value)} must be a number, {limits}")
    if number not in limits:
        raise KeyValueError(key, f"= {spoken_value(value)} is outside {limits}")
    return float(number)


def _table(value: Any, key: Key) -> dict[str, float | str | bool]:
    if not isinstance(value, Mapping):
        raise KeyValueError(key, f'= {spoken_value(value)} must be a table, as in {{ gain_db = -3.0, mode = "warm" }}')
    for name, one in value.items():
        if not isinstance(one, int | float | str | bool) or (isinstance(one, float) and not math.isfinite(one)):
            raise KeyValueError((*key, name), f"= {spoken_value(one)} must be a number, text, true or false")
    return {
        name: float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v for name, v in value.items()
    }


def _values(
    declared: type[Declared], given: Mapping[str, Any], key: Key, others: tuple[str, ...] = ()
) -> dict[str, Any]:
    parameters = {parameter.name: parameter for parameter in declared.parameters()}
    for name in given:
        if name not in parameters:
            raise KeyValueError((*key, name), f'unknown key "{name}"{nearest(name, [*parameters, *others])}')
    return {
        name: check_value(parameter, given.get(name, parameter.default), (*key, name))
        for name, parameter in parameters.items()
    }


def _made(declared: type[Declared], values: Mapping[str, Any]) -> Any:
    def made(parameter: Parameter) -> Any:
        value = values[parameter.name]
        if parameter.table:
            return tuple(value.items())
        if parameter.default is None and isinstance(value, str):
            return None  # the name of a file that has not been read
        return value if parameter.item is None else tuple(_made(parameter.item, one) for one in value)

    return declared(**{parameter.name: made(parameter) for parameter in declared.parameters()})


def keys_of(inserts: tuple[Insert, ...]) -> Iterator[tuple[int, str]]:
    """Yield the index and the key of every insert in circuit that has one."""
    for index, insert in enumerate(inserts):
        if insert.on and insert.key:
            yield index, insert.key


def check_sends(sends: tuple[Send, ...], known: list[str]) -> None:
    """Raise KeyValueError for a send to what is no bus, or to one bus twice."""
    seen: set[str] = set()
    for index, send in enumerate(sends):
        check_bus(send.to, known, "send", index, "to")
        if send.to in seen:
            raise KeyValueError(("send", index, "to"), f'= "{send.to}" is sent to twice')
        seen.add(send.to)


def check_bus(name: str, known: list[str], *key: str | int) -> None:
    """Raise KeyValueError where ``name`` is none of the busses ``known``."""
    if name not in known:
        meant = f', did you mean "{BUS}"?' if name.lower() in _STEREO_BUS_WORDS else nearest(name, known)
        raise KeyValueError(key, f'= "{name}" is no bus{meant}')


_STEREO_BUS_WORDS = ("main", "master", "mix", "stereo", "mixbus", "2bus", "l/r", "lr")
