"""Reading a profile file's text: TOML, the right version, every key known; else one sentence that says where."""

from __future__ import annotations

import re
import tomllib
import types
import typing
from typing import Any, Literal

import msgspec

from profiles.errors import ProfileSyntaxError, ProfileVersionError
from profiles.schema import SCHEMA_VERSION, ProfileTable
from profiles.source import ProfileSource, nearest
from profiles.taper_schema import Table, TaperTable


def read_profile_table(source: ProfileSource) -> ProfileTable:
    """Read one file's text.

    Raises
    ------
    ProfileVersionError
        It was written for a newer schema.
    ProfileSyntaxError
        It is not TOML, or breaks the language; names file, line and key.
    """
    try:
        tables = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileSyntaxError(f"{source.name} is not TOML: {error}.", hint="Correct that line.") from error
    version = tables.get("schema")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ProfileVersionError(
            f"{source.name} is written for profile schema {version}; this halfnormal reads {SCHEMA_VERSION}.",
            hint="Update halfnormal, or use an older copy of the profile.",
        )
    if version is None:
        raise source.error(("schema",), "is missing", hint=f"Begin the file with: schema = {SCHEMA_VERSION}")
    try:
        return msgspec.convert(tables, ProfileTable)
    except msgspec.ValidationError as error:
        raise _explained(source, str(error), tables) from error


def _explained(source: ProfileSource, complaint: str, tables: dict[str, Any]) -> ProfileSyntaxError:
    what, _, path = complaint.partition(" - at `$")
    path = path.replace(".tapers[...]", f".tapers.{_bad_taper(tables)}")
    keys = _keys(path.rstrip("`"))
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        known = [name for shape in _shapes_at(keys) for name in _own_fields(shape)]
        return source.error((*keys, unknown[1]), "is no key of this table", hint=nearest(unknown[1], known))
    missing = re.search(r"missing required field `([^`]*)`", what)
    if missing:
        return source.error(keys, f"{missing[1]} is missing", hint=f"Add {missing[1]} = … there.")
    invalid = re.match(r"Invalid (?:enum )?value '?([^']*)'?", what)
    if invalid:
        words = [word for shape in _shapes_at(keys[:-1]) for word in _words(shape, keys[-1])] if keys else []
        return source.error(keys, f"{invalid[1]!r} is not a word for this", hint=nearest(invalid[1], words))
    return source.error(keys, what[0].lower() + what[1:])


def _bad_taper(tables: dict[str, Any]) -> str:
    """Find the taper that msgspec complains about: it does not name the keys of a dictionary."""
    tapers = tables.get("tapers")
    for name, table in tapers.items() if isinstance(tapers, dict) else ():
        try:
            msgspec.convert(table, TaperTable)
        except msgspec.ValidationError:
            return str(name)
    return "?"


def _keys(path: str) -> tuple[str | int, ...]:
    """Read msgspec's path (``.control[3].taper``, ``[...]`` for any key of a dictionary)."""
    keys: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        keys.append(name or int(index))
    return tuple(keys)


def _shapes_at(keys: tuple[str | int, ...]) -> list[type[Table]]:
    """Find the tables that may stand at a key path."""
    kinds: list[Any] = [ProfileTable]
    for key in keys:
        following: list[Any] = []
        for kind in kinds:
            if isinstance(key, int):
                following += typing.get_args(kind)[:1] if typing.get_origin(kind) is list else []
            elif typing.get_origin(kind) is dict:
                following += _members(typing.get_args(kind)[1])
            elif isinstance(kind, type) and issubclass(kind, Table) and key in kind.__struct_encode_fields__:
                own = kind.__struct_fields__[kind.__struct_encode_fields__.index(key)]
                following += _members(typing.get_type_hints(kind)[own])
        kinds = [member for kind in following for member in _members(kind)]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Table)]


def _members(kind: Any) -> list[Any]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(kind) for member in _members(part)]
    return [kind]


def _own_fields(shape: type[Table]) -> list[str]:
    tag = shape.__struct_config__.tag_field
    return [*shape.__struct_encode_fields__, *([tag] if tag else [])]


def _words(shape: type[Table], key: str | int) -> list[str]:
    """List the words that a key of a table may hold."""
    if key == shape.__struct_config__.tag_field:
        return [str(shape.__struct_config__.tag)]
    hints = typing.get_type_hints(shape)
    members = _members(hints[str(key)]) if key in hints else []
    return [
        word for member in members if typing.get_origin(member) is Literal for word in map(str, typing.get_args(member))
    ]
