"""From the rows of a MIDI list to controls of a profile: names, messages, scales, and which of them listen."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from profiles.importers.midi_csv_numbers import Address, Positions, Scale, positions_of, scale_of
from profiles.writing import TomlValue

_CHANNEL_MODE = 120
"""Controllers from here on are channel-mode messages (MIDI 1.0 Detailed Specification, table IV)."""
_DATA_ENTRY = frozenset((6, 38, 96, 97, 98, 99, 100, 101))
"""Controllers that carry parameter numbers and their data; as controls of their own they cannot be told apart."""
_DANGEROUS = re.compile(
    r"\b(save|store|write|overwrite|erase|delete|clear|format|factory|init|initiali[sz]e|phantom|48 ?v)\b",
    re.IGNORECASE,
)
_LONGEST_NAME = 40

_Claim = tuple[int, ...]


@dataclass(frozen=True)
class Notice:
    """Something left out or assumed, and the lines of the file that it is about (none: the whole of it)."""

    what: str
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.lines:
            return self.what
        shown = ", ".join(map(str, self.lines[:8])) + (f" and {len(self.lines) - 8} more" if self.lines[8:] else "")
        return f"line{'s' if self.lines[1:] else ''} {shown}: {self.what}"


@dataclass(frozen=True)
class Row:
    """One parameter of the list, its text in one line each."""

    line: int
    maker: str
    device: str
    section: str
    name: str
    description: str
    cc: Address | None
    nrpn: Address | None
    orientation: str
    notes: str
    usage: str


@dataclass(frozen=True)
class _Message:
    """How a row's control is set: kind, numbers, scale, and where it rests."""

    kind: Literal["cc", "nrpn"]
    msb: int
    lsb: int | None
    scale: Scale
    default: int | None

    @property
    def claims(self) -> frozenset[_Claim]:
        """The controllers, or the parameter number, that nothing else can mean when the device sends them."""
        if self.kind == "nrpn":
            return frozenset({(self.msb, self.lsb or 0)})
        return frozenset((number,) for number in (self.msb, self.lsb) if number is not None)

    @property
    def shown(self) -> str:
        """The message as a person writes it: ``CC 7``, ``CC 109/37``, ``NRPN 1/20``."""
        return f"{self.kind.upper()} {self.msb}" + ("" if self.lsb is None else f"/{self.lsb}")

    @property
    def slug(self) -> str:
        """The message as a control's name."""
        return f"{self.kind}{self.msb}" + ("" if self.lsb is None else f"_{self.lsb}")

    def table(self) -> dict[str, TomlValue]:
        """Write it as the profile language does."""
        if self.kind == "nrpn":
            return {"msb": self.msb, "lsb": self.lsb or 0, "data": self.scale.data}
        if self.lsb is None:
            return {"number": self.msb}
        return {"number": self.msb, "lsb": self.lsb, "data": self.scale.data}


@dataclass(frozen=True)
class _Entry:
    """One control to be: its row, its message, its remarks so far."""

    row: Row
    message: _Message
    remarks: tuple[str, ...]


class Controls:
    """Takes rows and gives the controls they make, with everything that was skipped or assumed on the way."""

    def __init__(self, *, left_justified: bool) -> None:
        self._left = left_justified
        self._entries: list[_Entry] = []
        self._skipped: dict[str, list[int]] = {}
        self._assumed: dict[str, list[int]] = {}

    def add(self, row: Row) -> None:
        """Take a row: find its message, or skip it."""
        found = [self._control_change(row), self._parameter_number(row)]
        messages = [message for message in found if isinstance(message, _Message)]
        faults = [fault for fault in found if isinstance(fault, str)]
        if not messages:
            self._skip(row, " and ".join(faults) or "neither a CC nor an NRPN")
            return
        for fault in faults:
            self._assume(row, f"{fault} is passed over")
        chosen, other = messages[0], messages[-1]
        if (chosen.scale.low, chosen.scale.high) != (other.scale.low, other.scale.high):
            chosen, other = other, chosen
        if chosen.scale.low == chosen.scale.high:
            self._skip(row, "one value only, a trigger and no control")
            return
        remarks = [row.description, row.notes]
        if other is not chosen:
            remarks.append(f"Also {other.shown}, {other.scale.low} to {other.scale.high}.")
        if row.orientation not in ("0-based", "centered"):
            remarks.append("The list does not say whether it is centered.")
            self._assume(row, "an orientation that the list leaves open is 0-based")
        if not chosen.scale.sure:
            side = "left" if chosen.scale.data.startswith("left") else "right"
            self._assume(
                row, f"values up to {chosen.scale.high} stand on the {side} of two data bytes ({chosen.scale.why})"
            )
        if chosen.scale.offset:
            self._assume(row, f"values are counted from the minimum {chosen.scale.low}, which is code 0")
        self._entries.append(_Entry(row, chosen, tuple(filter(None, remarks))))

    def skipped(self) -> tuple[Notice, ...]:
        """List the rows that made no control."""
        return tuple(Notice(what, tuple(lines)) for what, lines in self._skipped.items())

    def assumed(self) -> tuple[Notice, ...]:
        """List what the file does not say and had to be assumed."""
        return tuple(Notice(what, tuple(lines)) for what, lines in self._assumed.items())

    def tables(self) -> list[dict[str, TomlValue]]:
        """Write every control as a table of the profile language."""
        names = self._names()
        has_nrpn = any(entry.message.kind == "nrpn" for entry in self._entries)
        claimed: dict[_Claim, str] = {}
        tables = []
        for entry, name in zip(self._entries, names, strict=True):
            tables.append(self._table(entry, name, claimed, has_nrpn=has_nrpn))
        return tables

    def _table(self, entry: _Entry, name: str, claimed: dict[_Claim, str], *, has_nrpn: bool) -> dict[str, TomlValue]:
        row, message, scale = entry.row, entry.message, entry.message.scale
        remarks = list(entry.remarks)
        taper, unit, default = self._taper(row, message, remarks)
        table: dict[str, TomlValue] = {
            "name": name,
            "label": row.name or name,
            "unit": unit,
            "role": "raw",
            "taper": taper,
            message.kind: message.table(),
        }
        if default is not None:
            table["default"] = default
        rivals = [claimed[claim] for claim in sorted(message.claims) if claim in claimed]
        if rivals:
            table["listen"] = False
            remarks.append(f"Depends on the mode: {rivals[0]} has the same {message.shown} and is taken for it.")
            self._assume(
                row, "of controls with the same message only the first is heard; which one is set, the mode says"
            )
        elif has_nrpn and message.kind == "cc" and {message.msb, message.lsb} & _DATA_ENTRY:
            table["listen"] = False
            remarks.append("Not heard: this device's NRPNs use the same controller.")
            self._assume(row, "controllers that carry NRPNs are not heard as controls of their own")
        else:
            claimed.update(dict.fromkeys(message.claims, name))
        if message.kind == "cc" and message.msb >= _CHANNEL_MODE:
            table["dangerous"] = True
            remarks.append("A channel-mode message.")
            self._assume(row, "channel-mode messages (CC 120 to 127) are dangerous, so no recall sends them")
        elif _DANGEROUS.search(f"{row.name} {row.section}"):
            table["dangerous"] = True
            self._assume(row, "what is called save, store, erase or the like is dangerous, so no recall sends it")
        if not scale.sure:
            table["confidence"] = "I"
        if remarks:
            table["remark"] = " ".join(
                remark if remark.endswith((".", "!", "?")) else f"{remark}." for remark in remarks
            )
        return table

    def _taper(
        self, row: Row, message: _Message, remarks: list[str]
    ) -> tuple[dict[str, TomlValue], str, TomlValue | None]:
        """Make the taper, its unit and the default; what the numbers cannot say goes to the remarks."""
        scale = message.scale
        positions = positions_of(row.usage, scale) if row.usage else ""
        given = self._default(row, message)
        if isinstance(positions, Positions):
            default = None if given is None else positions.at(given)
            if given is not None and default is None:
                self._assume(row, "a default between the positions is left out")
            return positions.taper(), "enum" if positions.words else "raw", default
        if positions:
            self._assume(row, f"{positions}; it is taken as a number")
        if row.usage:
            remarks.append(f"Usage: {row.usage}")
        if row.orientation != "centered":
            return scale.taper(), "raw", given
        if given is None:
            self._assume(row, "a centered control without a default rests in its centre")
        return scale.taper(detents=[scale.centre]), "raw", scale.centre if given is None else given

    def _default(self, row: Row, message: _Message) -> int | None:
        if message.default is None or message.scale.code(message.default) is not None:
            return message.default
        self._assume(row, "a default outside the range, or between its codes, is left out")
        return None

    def _control_change(self, row: Row) -> _Message | str | None:
        """Read a row's CC; a sentence where half of it is missing, None where it has none."""
        address = row.cc
        if address is None:
            return None
        if address.msb is None:
            return "cc_lsb without cc_msb"
        pair = address.lsb is not None
        low, high = self._range(row, address, 16383 if pair else 127)
        if not pair and high - min(low, 0) > 127:
            self._assume(row, f"one controller carries 128 values, so the maximum {high} is never reached")
            low, high = min(low, 127), min(low, 0) + 127
        scale = scale_of(low, high, pair=pair, left=self._left)
        return _Message("cc", address.msb, address.lsb, scale, address.default)

    def _parameter_number(self, row: Row) -> _Message | str | None:
        """Read a row's NRPN; a sentence where it is none, None where it has none."""
        address = row.nrpn
        if address is None:
            return None
        if address.msb is None or address.lsb is None:
            return "half of an NRPN"
        if address.msb == address.lsb == 127:
            return "NRPN 127/127, the null parameter"
        low, high = self._range(row, address, 127)
        scale = scale_of(low, high, pair=True, left=self._left)
        return _Message("nrpn", address.msb, address.lsb, scale, address.default)

    def _range(self, row: Row, address: Address, usual: int) -> tuple[int, int]:
        """Fill in what is missing of a range, and keep it within 14 bits."""
        low = 0 if address.low is None else address.low
        high = max(usual, low) if address.high is None else address.high
        if address.high is None:
            self._assume(row, f"a maximum that the list leaves open is {high}")
        if address.low is None:
            low = min(low, high)
            self._assume(row, f"a minimum that the list leaves open is {low}")
        if high - min(low, 0) > 16383:
            self._assume(row, f"two data bytes carry 16384 values, so the maximum {high} is never reached")
            high = min(low, 0) + 16383
        return low, high

    def _skip(self, row: Row, what: str) -> None:
        self._skipped.setdefault(what, []).append(row.line)

    def _assume(self, row: Row, what: str) -> None:
        lines = self._assumed.setdefault(what, [])
        if row.line not in lines[-1:]:
            lines.append(row.line)

    def _names(self) -> list[str]:
        """Name the controls section/parameter; what is still the same gets a number."""
        wanted = [_name(entry) for entry in self._entries]
        alone = Counter(wanted)
        taken: set[str] = {name for name in wanted if alone[name] == 1}
        names: list[str] = []
        for name, entry in zip(wanted, self._entries, strict=True):
            chosen = name
            if alone[name] > 1:
                number = 1
                while chosen in taken:
                    number += 1
                    chosen = f"{name}_{number}"
                if number > 1:
                    self._assume(entry.row, "a name that is there already gets a number")
            taken.add(chosen)
            names.append(chosen)
        return names


def _name(entry: _Entry) -> str:
    own = _slug(entry.row.name) or entry.message.slug
    section = _slug(entry.row.section)
    return f"{section}/{own}" if section else own


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_LONGEST_NAME].strip("_")
