"""Writing profile tables as TOML 1.0: what a program makes of a list, or of what it heard, as a file for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from profiles.errors import ProfileError

TomlValue = bool | int | float | str | Sequence["TomlValue"] | Mapping[str, "TomlValue"]
Tables = Mapping[str, TomlValue]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_LARGEST = 2**63 - 1
_LINE = 120
"""Arrays that do not fit into a line of this many characters are written one element a line."""


def toml_text(tables: Tables, *, comment: str = "") -> str:
    """Write tables as one TOML document (https://toml.io/en/v1.0.0).

    Plain keys come first, in their order; a mapping becomes a ``[table]``, a list of mappings an array of tables;
    a mapping inside an entry of such an array becomes a table of its own where it does not fit into one line.
    ``comment`` goes above everything, each of its lines behind a ``#``.

    Raises
    ------
    ProfileError
        A value that TOML, or a profile, has no way to write: a number that is not finite or has more than 64 bits,
        text with half of a surrogate pair, anything but truth, numbers, text, lists and mappings.
    """
    lines = [f"# {_comment(line)}".rstrip() for line in comment.splitlines()]
    lines += list(_body(tables, ()))
    return "\n".join(lines) + "\n"


def _body(tables: Tables, path: tuple[str, ...]) -> Iterator[str]:
    """Write one table's plain keys, then the tables in it."""
    inner = {key: value for key, value in tables.items() if _is_table(value, path, key)}
    for key, value in tables.items():
        if key not in inner:
            yield _entry(key, value)
    for key, value in inner.items():
        here = (*path, key)
        name = ".".join(_key(part) for part in here)
        if isinstance(value, Mapping):
            yield from ("", f"[{name}]") if not path else (f"[{name}]",)
            yield from _body(value, here)
        elif isinstance(value, Sequence):
            for entry in value:
                yield from ("", f"[[{name}]]")
                yield from _body(entry, here)  # type: ignore[arg-type]  # _is_table has seen that each is a mapping


def _is_table(value: TomlValue, path: tuple[str, ...], key: str) -> bool:
    if isinstance(value, Mapping):
        return not path or len(_entry(key, value)) > _LINE
    if path or isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return False
    return all(isinstance(entry, Mapping) for entry in value)


def _entry(key: str, value: TomlValue) -> str:
    line = f"{_key(key)} = {_value(value)}"
    if len(line) <= _LINE or isinstance(value, str) or not isinstance(value, Sequence):
        return line
    return "\n".join([f"{_key(key)} = [", *(f"  {_value(entry)}," for entry in value), "]"])


def _value(value: TomlValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            if not -_LARGEST - 1 <= value <= _LARGEST:
                raise ProfileError(f"{value} does not fit into 64 bits.", hint="TOML holds smaller whole numbers only.")
            return str(value)
        case float():
            if not math.isfinite(value):
                raise ProfileError(f"{value} is no number that a profile can hold.", hint='Silence is written "off".')
            return repr(value)
        case str():
            return f'"{_text(value)}"'
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(_value(inner) for inner in value) + "]"
    raise ProfileError(f"{value!r} has no form in TOML.", hint="Write truth, a number, text, a list or a table.")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else f'"{_text(key)}"'


def _text(text: str) -> str:
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ProfileError(f"{text!r} holds half of a surrogate pair.", hint="Correct that character.")
    return "".join(_ESCAPES.get(char) or (f"\\u{ord(char):04X}" if _is_control(char) else char) for char in text)


def _comment(line: str) -> str:
    """Take out of a comment what TOML does not allow there."""
    return "".join(char for char in line if char == "\t" or not (_is_control(char) or 0xD800 <= ord(char) <= 0xDFFF))


def _is_control(char: str) -> bool:
    return ord(char) < 0x20 or ord(char) == 0x7F
