"""A profile's controls: tapers chosen, messages read, repeats stamped."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from profiles import schema
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.messages import MessageReader
from profiles.profile import Control, Dump, Form, Hand, Value
from profiles.source import ProfileSource, nearest
from profiles.taper import NumberTaper, SwitchTaper, Taper, make_taper
from profiles.taper_schema import TaperTable
from profiles.template import parse_sum

_STAMP = re.compile(r"\{([a-z]+)(?::0[1-9])?\}")
_RESERVED = frozenset(("v", "c", "code"))


def holds(when: Mapping[str, str | list[str]], chosen: Mapping[str, str]) -> bool:
    """Tell whether every option has one of the wanted choices."""
    return all(chosen.get(name) in _listed(wanted) for name, wanted in when.items())


def _listed(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


@dataclass(frozen=True)
class Options:
    """The options of a profile and the choices in force."""

    table: schema.ProfileTable
    source: ProfileSource
    chosen: dict[str, str]

    def hold(self, when: Mapping[str, str | list[str]], *keys: str | int) -> bool:
        """Tell whether something applies to the options in force."""
        for name, wanted in when.items():
            choices = _listed(wanted)
            if name not in self.table.options:
                hint = nearest(name, self.table.options) or f"Add [options.{name}]."
                raise self.source.error((*keys, "when"), f"there is no option {name!r}", hint=hint)
            for choice in choices:
                if choice not in self.table.options[name].choices:
                    hint = nearest(choice, self.table.options[name].choices)
                    raise self.source.error((*keys, "when"), f"{name} has no choice {choice!r}", hint=hint)
        return holds(when, self.chosen)


@dataclass(frozen=True)
class ControlBuilder:
    """Builds the controls of one file."""

    table: schema.ProfileTable
    source: ProfileSource
    reader: MessageReader
    options: Options
    channel: int

    def controls(self, dumps: Mapping[str, Dump]) -> dict[str, Control]:
        """Build and stamp every control."""
        tables = dict(self.table.tapers)
        places: dict[str, tuple[str | int, ...]] = {name: ("tapers", name) for name in tables}
        for index, variant in enumerate(self.table.variant):
            if self.options.hold(variant.when, "variant", index):
                tables.update(variant.tapers)
                places.update({name: ("variant", index, "tapers", name) for name in variant.tapers})
        tapers: dict[tuple[str, str], Taper] = {}
        controls: dict[str, Control] = {}
        for index, entry in enumerate(self.table.control):
            if not self.options.hold(entry.when, "control", index):
                continue
            taper = self._taper(index, entry, tables, places, tapers)
            for control in self._stamped(index, entry, taper, dumps):
                if control.name in controls:
                    raise self.source.error(("control", index, "name"), f"{control.name} is already taken")
                controls[control.name] = control
        return controls

    def _taper(
        self,
        index: int,
        entry: schema.ControlTable,
        tables: Mapping[str, TaperTable],
        places: Mapping[str, tuple[str | int, ...]],
        known: dict[tuple[str, str], Taper],
    ) -> Taper:
        if not isinstance(entry.taper, str):
            with self.reader.at("control", index, "taper"):
                return make_taper(entry.taper, entry.unit)
        name = entry.taper
        if name not in tables:
            hint = nearest(name, tables)
            raise self.source.error(("control", index, "taper"), f"there is no taper {name!r}", hint=hint)
        if (name, entry.unit) not in known:  # OFF is −∞ in dB, a word elsewhere
            with self.reader.at(*places[name]):
                known[name, entry.unit] = make_taper(tables[name], entry.unit)
        return known[name, entry.unit]

    def _stamped(
        self, index: int, entry: schema.ControlTable, taper: Taper, dumps: Mapping[str, Dump]
    ) -> Iterator[Control]:
        for word in set(_STAMP.sub("", entry.name + entry.label)) & set("{}"):
            raise self.source.error(("control", index, "name"), f"stray {word}", hint="Write {n} or {n:02}.")
        for name, (first, last) in entry.repeat.items():
            if name in _RESERVED or not name.isalpha() or not name.islower() or last < first:
                raise self.source.error(
                    ("control", index, "repeat"),
                    f"{name} = [{first}, {last}] is no repeat",
                    hint="Write repeat = {n = [first, last]}; v, c and code have meanings of their own.",
                )
        known = frozenset((*entry.repeat, "c"))
        with self.reader.at("control", index):
            forms = self.reader.forms(entry, taper)
            touch = self.reader.touching(entry)
            default = _default(entry, taper)
            strip = None if entry.strip is None else parse_sum(str(entry.strip))
            self._check_way(entry, forms)
        with self.reader.at("control", index, "query"):
            query = tuple(self.reader.template(line, known=known) for line in entry.query)
        with self.reader.at("control", index, "refused"):
            refused = self.reader.template(entry.refused, known=known, heard=True) if entry.refused else None
        unknown = set(_STAMP.findall(entry.name + entry.label)) - set(entry.repeat)
        unknown |= {name for name, _ in strip.terms} - set(entry.repeat) if strip else set()
        if unknown:
            raise self.source.error(
                ("control", index, "name"), f"nothing repeats over {', '.join(sorted(unknown))}", hint="Add a repeat."
            )
        hand = None if entry.hand is None else _hand(entry.hand)
        names = tuple(entry.repeat)
        base = {"c": self.channel - 1}
        for numbers in itertools.product(*(range(first, last + 1) for first, last in entry.repeat.values())):
            variables = dict(zip(names, numbers, strict=True)) | base
            name = entry.name.format_map(variables)
            item = None
            if entry.dump is not None:
                with self.reader.at("control", index, "dump"):
                    item = self.reader.dump_item(entry, dumps, variables)
            yield Control(
                name=name,
                label=entry.label.format_map(variables) or name,
                unit=entry.unit,
                role=entry.role,
                taper=taper,
                default=default,
                strip=None if strip is None else strip.stamp(variables).constant,
                band=entry.band,
                hand=hand,
                forms=forms,
                query=query if query or item is None else dumps[item.source].query,
                refused=refused,
                dump=item,
                touch=touch,
                variables=variables,
                listened=entry.listen,
                dangerous=entry.dangerous,
                idempotent=entry.idempotent,
                gap_s=entry.gap_s,
                settle_s=entry.settle_s,
                confidence=entry.confidence or self.table.confidence,
                remark=entry.remark,
            )

    def _check_way(self, entry: schema.ControlTable, forms: tuple[Form, ...]) -> None:
        if entry.hand is not None and (forms or entry.query or entry.dump):
            raise ProfileSyntaxError("it has both a hand and messages", hint="A control is set one way only.")
        if entry.hand is None and not any(form.send for form in forms):
            raise ProfileSyntaxError(
                "nothing says how it is set", hint="Add cc, nrpn, note, pitch_bend, a form with send, or hand."
            )


def _hand(table: schema.Hand) -> Hand:
    marks = tuple(
        (mark.value, mark.label or str(mark.value)) if isinstance(mark, schema.Mark) else (mark, f"{mark}")
        for mark in table.marks
    )
    return Hand(table.kind, table.start_deg, table.end_deg, marks)


def _default(entry: schema.ControlTable, taper: Taper) -> Value:
    """Take the default as written; else off, the first position, 0 where that can be set, or the lowest value."""
    given = entry.default
    if given is None:
        if isinstance(taper, SwitchTaper):
            return taper.positions[0].value
        given = 0.0 if taper.span[0] <= 0.0 <= taper.span[1] else taper.span[0]
    try:
        raw = taper.to_raw(given)
    except ValueRangeError as error:
        raise ProfileSyntaxError(f"default: {error}", hint=error.hint) from error
    if isinstance(taper, NumberTaper) and raw != taper.off and entry.hand is not None:
        return float(given)
    return taper.from_raw(raw)
