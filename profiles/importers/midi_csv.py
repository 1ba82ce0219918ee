"""The public MIDI CC/NRPN lists (pencilresearch/midi, CSV) as profiles: community knowledge, unverified.

A list knows controllers, ranges and the words of positions. It does not know the MIDI channel, what the device sends
or answers, how fast it may be told, how short values stand in two data bytes, nor any unit but the number itself. What
is missing is assumed, and every assumption and every row that is left out is reported.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from profiles.errors import ProfileSyntaxError
from profiles.importers.midi_csv_controls import Controls, Notice, Row
from profiles.importers.midi_csv_numbers import Address
from profiles.writing import Tables, TomlValue, toml_text

COLUMNS = (
    "manufacturer", "device", "section", "parameter_name", "parameter_description",
    "cc_msb", "cc_lsb", "cc_min_value", "cc_max_value", "cc_default_value",
    "nrpn_msb", "nrpn_lsb", "nrpn_min_value", "nrpn_max_value", "nrpn_default_value",
    "orientation", "notes", "usage",
)  # fmt: skip
"""The header of a parameter file, in its published order; a file may have them in another one."""

LICENCE = "CC BY-SA 4.0"
_TRIGGER_COLUMNS = 9
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,6}")


@dataclass(frozen=True)
class Imported:
    """One list as a profile file: its id, its TOML text, and what had to be left out or assumed."""

    id: str
    text: str
    controls: int
    skipped: tuple[Notice, ...]
    assumed: tuple[Notice, ...]


def import_midi_csv(
    data: bytes | str, *, file: str, profile_id: str = "", taken: Callable[[str], bool] = lambda profile_id: False
) -> Imported:
    """Make a profile of one parameter list.

    Parameters
    ----------
    data
        The file's content; bytes are UTF-8, with or without a byte-order mark.
    file
        Its name, for the sources and for messages.
    profile_id
        The id to give it; that of maker and model where it is empty.
    taken
        Whether a profile of that id is there already; then the next number is put behind it.

    Raises
    ------
    ProfileSyntaxError
        It is no such list, or a number in it makes no sense; names file, line and column.
    """
    if file.lower().endswith(".triggers.csv"):
        raise _no_triggers(file)
    rows = list(_rows(_text(data, file), file))
    if not rows:
        raise ProfileSyntaxError(f"{file} lists no parameters.", hint="Is it the file of this device?")
    controls = Controls(left_justified=rows[0].maker.casefold() == "elektron")
    for row in rows:
        controls.add(row)
    tables = controls.tables()
    if not tables:
        raise ProfileSyntaxError(
            f"{file}: none of its {len(rows)} rows has a CC or an NRPN with more than one value.",
            hint="There is nothing to set in it; such gear is described by hand.",
        )
    chosen = _free_id(profile_id or _slug(f"{rows[0].maker} {rows[0].device}"), file, taken)
    assumed = [*_general(chosen, rows), *controls.assumed()]
    profile = _profile(chosen, rows[0], file, tables, controls.skipped())
    text = toml_text(
        profile,
        comment=f"Made from {_clean(file)} by 'halfnormal profile import'. The public lists are licensed {LICENCE}:\n"
        "whoever passes this file on names pencilresearch/midi and keeps that licence.",
    )
    return Imported(chosen, text, len(tables), controls.skipped(), tuple(assumed))


def _profile(
    profile_id: str, first: Row, file: str, controls: Sequence[Tables], skipped: Sequence[Notice]
) -> dict[str, TomlValue]:
    left_out = "".join(f" Left out: {notice}." for notice in skipped)
    return {
        "schema": 1,
        "id": profile_id,
        "maker": first.maker,
        "model": first.device,
        "kind": "outboard",
        "transports": ["midi"],
        "verification": "unverified",
        "confidence": "V1",
        "sources": [
            f"{_clean(PurePath(file).name)}, a community list of MIDI controllers (pencilresearch/midi, {LICENCE}); "
            "its values must be verified by measurement"
        ],
        "notes": "community, unverified",
        "not_covered": "The list has no MIDI channel, no direction, no read-back, no pacing and no real units."
        + left_out,
        "midi": {"channel": 1},
        "control": list(controls),
    }


def _general(profile_id: str, rows: Sequence[Row]) -> Iterator[Notice]:
    """List what is assumed of the whole device."""
    yield Notice(f'the profile is called "{profile_id}"')
    yield Notice("it is outboard, on MIDI channel 1, and sends what it receives")
    first = rows[0]
    others: dict[str, list[int]] = {}
    for row in rows:
        if (row.maker.casefold(), row.device.casefold()) != (first.maker.casefold(), first.device.casefold()):
            others.setdefault(f"{row.maker} {row.device}", []).append(row.line)
    for name, lines in others.items():
        yield Notice(f'"{name}" is the same device as "{first.maker} {first.device}"', tuple(lines))


def _free_id(wanted: str, file: str, taken: Callable[[str], bool]) -> str:
    if not _ID.fullmatch(wanted):
        raise ProfileSyntaxError(
            f"{file}: {wanted!r} cannot be a profile's id.", hint="Give one of small letters, digits and hyphens."
        )
    number, chosen = 1, wanted
    while taken(chosen):
        number += 1
        chosen = f"{wanted}-{number}"
    return chosen


def _text(data: bytes | str, file: str) -> str:
    """Decode a file's bytes, its byte-order mark left out."""
    if isinstance(data, str):
        text = data
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProfileSyntaxError(f"{file} is UTF-16 text.", hint="Save it as CSV in UTF-8.")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ProfileSyntaxError(f"{file}:{line}: is not UTF-8 text.", hint="Save it as CSV in UTF-8.") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ProfileSyntaxError(f"{file}:{line}: holds a zero byte, so it is no text.", hint="Is it a CSV file?")
    return text.removeprefix("\ufeff")


def _rows(text: str, file: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: dict[str, int] | None = None
    ended = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise ProfileSyntaxError(
                f"{file}:{max(ended + 1, 1)}: is not CSV: {error}.", hint="Correct the quotes there."
            ) from error
        line, ended = ended + 1, reader.line_num
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            columns = _columns(fields, file, line)
            width = len(fields)
        elif len(fields) != width:
            raise ProfileSyntaxError(
                f"{file}:{line}: has {len(fields)} fields where the header has {width}.",
                hint="A text with a comma in it needs quotes.",
            )
        else:
            yield _row({name: fields[at] for name, at in columns.items()}, file, line)
    if columns is None:
        raise ProfileSyntaxError(f"{file} is empty.", hint="Is it the file of this device?")


def _columns(fields: Sequence[str], file: str, line: int) -> dict[str, int]:
    """Read the header: the place of every column."""
    heads = [field.strip().casefold() for field in fields]
    found = {name: heads.index(name) for name in COLUMNS if name in heads}
    if len(found) == len(COLUMNS):
        return found
    if len(heads) == _TRIGGER_COLUMNS and {"manufacturer", "device"} <= set(heads):
        raise _no_triggers(file)
    if len(heads) == 1 and (";" in heads[0] or "\t" in heads[0]):
        raise ProfileSyntaxError(
            f"{file}:{line}: its fields are not separated by commas.", hint="Save it as CSV with commas."
        )
    missing = next(name for name in COLUMNS if name not in found)
    strange = [head for head in heads if head and head not in COLUMNS]
    close = difflib.get_close_matches(missing, strange, n=1, cutoff=0.6)
    raise ProfileSyntaxError(
        f"{file}:{line}: the header has no column {missing}{f', but {_clean(close[0])!r}' if close else ''}.",
        hint=f"Its {len(COLUMNS)} columns are: {', '.join(COLUMNS)}.",
    )


def _no_triggers(file: str) -> ProfileSyntaxError:
    return ProfileSyntaxError(
        f"{file} is a list of triggers, which notes play a sound; there is no control in it.",
        hint="Import the device's other file, without .triggers in its name.",
    )


def _row(fields: Mapping[str, str], file: str, line: int) -> Row:
    def number(column: str, low: int | None = None, high: int | None = None) -> int | None:
        word = fields[column].strip()
        if not word:
            return None
        if not _WHOLE_NUMBER.fullmatch(word):
            raise ProfileSyntaxError(
                f"{file}:{line}: {column} is {_clean(word)[:40]!r}, which is no whole number.",
                hint="Correct that field.",
            )
        found = int(word)
        if low is not None and high is not None and not low <= found <= high:
            raise ProfileSyntaxError(
                f"{file}:{line}: {column} is {found}, outside {low} to {high}.", hint="Correct that field."
            )
        return found

    def address(kind: str) -> Address | None:
        msb, lsb = number(f"{kind}_msb", 0, 127), number(f"{kind}_lsb", 0, 127)
        low, high = (number(f"{kind}_{end}_value", -16383, 16383) for end in ("min", "max"))
        default = number(f"{kind}_default_value")
        if msb is None and lsb is None:
            return None
        if low is not None and high is not None and low > high:
            raise ProfileSyntaxError(
                f"{file}:{line}: {kind}_min_value {low} is above {kind}_max_value {high}.", hint="Exchange the two."
            )
        if kind == "cc" and msb == lsb:
            raise ProfileSyntaxError(
                f"{file}:{line}: cc_msb and cc_lsb are both {msb}.", hint="Leave cc_lsb empty for a controller alone."
            )
        return Address(msb, lsb, low, high, default)

    maker, device = _clean(fields["manufacturer"]), _clean(fields["device"])
    for column, found in (("manufacturer", maker), ("device", device)):
        if not found:
            raise ProfileSyntaxError(f"{file}:{line}: {column} is empty.", hint="Every row names its device.")
    return Row(
        line=line,
        maker=maker,
        device=device,
        section=_clean(fields["section"]),
        name=_clean(fields["parameter_name"]),
        description=_clean(fields["parameter_description"]),
        cc=address("cc"),
        nrpn=address("nrpn"),
        orientation=_clean(fields["orientation"]).casefold(),
        notes=_clean(fields["notes"]),
        usage=_clean(fields["usage"]),
    )


def _clean(text: str) -> str:
    """Write a text in one line of printable characters, without the braces that mean something in a profile."""
    shown = "".join(char if char.isprintable() else " " for char in text.replace("{", "(").replace("}", ")"))
    return " ".join(shown.split())


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "imported"
