"""Reading the TOML that people write: a mistake is answered with file, line, key and the nearest right word.

msgspec does the checking; this module says what it found the way an engineer would.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from controller.errors import ControllerError
from controller.files import relative, storage_errors

Key = tuple[str | int, ...]
Struct = TypeVar("Struct", bound=msgspec.Struct)
ErrorKind = Callable[..., ControllerError]

_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_HEADER = re.compile(r"\s*(\[\[|\[)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"\s*([\w.\"' -]+?)\s*=")
_ONE_OF = {"busses": "bus", "bands": "band"}
_TYPES = {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "object": "a table"}


class KeyValueError(ControllerError, ValueError):
    """A value that a key may not have: ``key`` is where, seen from the struct that refuses it, ``what`` is why."""

    def __init__(self, key: Key, what: str) -> None:
        super().__init__(f"{'.'.join(map(str, key))} {what}")
        self.key = key
        self.what = what


def read_toml(path: Path, *, kind: str, schema: int, error: ErrorKind) -> tuple[dict[str, Any], str]:
    """Read ``path`` and check its ``schema`` number; return the tables and the text.

    Raises
    ------
    error
        Not there, not UTF-8, not TOML (with the line), without a schema, or of a newer one.
    """
    with storage_errors(path, verb="read"):
        if not path.is_file():
            raise error(f"there is no {kind} at {relative(path)}")
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        raw = tomllib.loads(text)
    except UnicodeDecodeError as found:
        line = data[: found.start].count(b"\n") + 1
        raise error(f"{relative(path)}, line {line}: not UTF-8 text", hint="Save the file as UTF-8.") from found
    except tomllib.TOMLDecodeError as found:
        said = str(found)
        where = re.search(r"\(at line (\d+), column \d+\)", said)
        line_word = f", line {where[1]}" if where else ""
        reason = said[: where.start()].strip() if where else said
        raise error(f"{relative(path)}{line_word}: not valid TOML: {reason.lower()}") from found
    found_schema = raw.get("schema")
    if not isinstance(found_schema, int) or isinstance(found_schema, bool) or found_schema < 1:
        raise error(f"{relative(path)}: schema = {schema} is missing", hint=f"Is this a {kind}?")
    if found_schema > schema:
        raise error(
            f"{relative(path)} has schema {found_schema}, and this program reads up to {schema}",
            hint="Update halfnormal; the file is left as it is.",
        )
    return raw, text


def decode(
    raw: Mapping[str, Any],
    type_: type[Struct],
    *,
    path: Path,
    text: str,
    error: ErrorKind,
    synonyms: Mapping[str, str] | None = None,
    expected: Mapping[str, str] | None = None,
) -> Struct:
    """Turn the tables of a file into ``type_``.

    ``synonyms`` maps words that people try to the key they mean; ``expected`` maps a key to what may stand
    there, for the message about a wrong type. Tables of an array are called by their ``name`` in messages.

    Raises
    ------
    error
        One sentence: file, line, key, what is wrong, and the nearest valid word where there is one.
    """
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as found:
        key, what = _explain(found, raw, type_, synonyms or {}, expected or {})
        line = line_of(text, key)
        where = f"{relative(path)}, line {line}" if line else relative(path)
        raise error(f"{where}: {_sentence(raw, key, what)}") from found


def nearest(word: str, valid: Sequence[str]) -> str:
    """Return ``, did you mean "…"?`` for the nearest valid word, or a list of the valid ones."""
    close = difflib.get_close_matches(word.lower(), valid, n=1, cutoff=0.5)
    return f', did you mean "{close[0]}"?' if close else f" (known: {', '.join(valid)})"


def line_of(text: str, key: Key) -> int | None:
    """Return the line, from 1, of ``key`` or of the nearest table around it; None where there is no trace of it."""
    best: tuple[int, int] | None = None
    table: Key = ()
    counts: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = ()
            parts = _split(header[2])
            for part in parts:
                table += (part,)
                if table in counts and (header[1] == "[" or len(_names(table)) < len(parts)):
                    table += (counts[table],)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table += (counts[table],)
            here = table
        elif entry := _ENTRY.match(line):
            here = (*table, *_split(entry[1]))
        else:
            continue
        if here and here == key[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _explain(
    found: msgspec.ValidationError,
    raw: Mapping[str, Any],
    type_: type[msgspec.Struct],
    synonyms: Mapping[str, str],
    expected: Mapping[str, str],
) -> tuple[Key, str]:
    said = str(found)
    place = _PLACE.search(said)
    said = said[: place.start()] if place else said
    key = _key(place[1], raw, type_, found) if place else ()
    cause = found.__cause__
    if isinstance(cause, KeyValueError):
        return key + cause.key, cause.what
    if unknown := re.match(r"Object contains unknown field `(.*)`", said):
        word = unknown[1]
        valid = _keys_at(type_, key)
        meant = synonyms.get(word.lower(), "")
        advice = f', did you mean "{meant}"?' if meant in valid else nearest(word, valid)
        return (*key, word), f'unknown key "{word}"{advice}'
    if missing := re.match(r"Object missing required field `(.*)`", said):
        return (*key, missing[1]), "is missing"
    value = _at(raw, key)
    if re.match(r"Invalid enum value", said):
        return key, f'= "{value}" is unknown{nearest(str(value), _choices_at(type_, key))}'
    if wrong := re.match(r"Expected `([a-z]+).*`, got", said):
        allowed = expected.get(str(key[-1])) if key else None
        return key, f"= {spoken_value(value)} must be {allowed or _TYPES.get(wrong[1], wrong[1])}"
    return key, f"is wrong: {said[:1].lower()}{said[1:]}"


def spoken_value(value: object) -> str:
    """Return a TOML value as people would write it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}"
    if isinstance(value, str):
        return f'"{value[:40]}"'
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)


def _sentence(raw: Mapping[str, Any], key: Key, what: str) -> str:
    if not what.startswith("unknown key"):
        return f"{_spoken(raw, key).rstrip()} {what}"
    around = _spoken(raw, key[:-1]).removesuffix(": ")
    return f"{around}: {what}" if around else what


def _spoken(raw: Mapping[str, Any], key: Key) -> str:
    words: list[str] = []
    head = ""
    for index, part in enumerate(key):
        if isinstance(part, int):
            table = _at(raw, key[: index + 1])
            name = table.get("name") if isinstance(table, dict) else None
            one = ".".join([*words[:-1], _ONE_OF.get(words[-1], words[-1])])
            words.clear()
            head += f'{one} "{name}": ' if isinstance(name, str) else f"{one} {part + 1}: "
        else:
            words.append(part)
    return head + ".".join(words)


def _key(place: str, raw: Mapping[str, Any], type_: type[msgspec.Struct], found: msgspec.ValidationError) -> Key:
    key: Key = ()
    for name, index in _STEP.findall(place):
        if name:
            key += (name,)
        elif index != "...":
            key += (int(index),)
        else:
            key += _hidden_key(raw, key, type_, found)
    return key


def _hidden_key(raw: Mapping[str, Any], key: Key, type_: type[msgspec.Struct], found: msgspec.ValidationError) -> Key:
    # msgspec says "[...]" for the entry of a mapping: it is the one that alone brings the same complaint.
    table = _at(raw, key)
    for name in table:
        try:
            msgspec.convert(_replaced(raw, key, {name: table[name]}), type_)
        except msgspec.ValidationError as again:
            if str(again) == str(found):
                return (name,)
    return ()


def _replaced(raw: Any, key: Key, value: object) -> Any:
    if not key:
        return value
    copy = raw.copy()
    copy[key[0]] = _replaced(raw[key[0]], key[1:], value)
    return copy


def _at(raw: Any, key: Key) -> Any:
    for part in key:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _type_at(type_: Any, key: Key) -> msgspec.inspect.Type:
    found = msgspec.inspect.type_info(type_)
    for part in key:
        if isinstance(found, msgspec.inspect.StructType):
            fields = {field.encode_name: field.type for field in found.fields}
            if part not in fields:
                break
            found = fields[str(part)]
        elif isinstance(found, msgspec.inspect.VarTupleType):
            found = found.item_type
        elif isinstance(found, msgspec.inspect.DictType):
            found = found.value_type
    return found


def _keys_at(type_: Any, key: Key) -> list[str]:
    found = _type_at(type_, key)
    return [field.encode_name for field in found.fields] if isinstance(found, msgspec.inspect.StructType) else []


def _choices_at(type_: Any, key: Key) -> list[str]:
    found = _type_at(type_, key)
    return [str(value) for value in found.values] if isinstance(found, msgspec.inspect.LiteralType) else []


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _names(key: Key) -> list[str]:
    return [part for part in key if isinstance(part, str)]
