"""From a profile's tables to the profile: options decided, repeats stamped, references checked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from profiles import schema
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.messages import MessageReader
from profiles.profile import (
    Command,
    CommandExample,
    Control,
    Dump,
    Example,
    Exchange,
    Form,
    Framing,
    Hand,
    Identity,
    KeepAlive,
    Pacing,
    Profile,
    Refused,
    Report,
    Value,
)
from profiles.source import ProfileSource, nearest
from profiles.taper import NumberTaper, SwitchTaper, Taper, make_taper
from profiles.taper_schema import TaperTable
from profiles.template import Template, parse_sum

DIN_BYTES_PER_S = 3125.0
"""31 250 baud at 10 bits per byte (MIDI 1.0 Electrical Specification)."""

_STAMP = re.compile(r"\{([a-z]+)(?::0[1-9])?\}")
_RESERVED = frozenset(("v", "c", "code"))


def build_profile(
    table: schema.ProfileTable,
    source: ProfileSource,
    path: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    channel: int | None = None,
) -> Profile:
    """Build the profile of one file.

    ``options`` say how the unit is set up where that is not the default, ``channel`` the MIDI channel (1–16) it is set
    to where that is not the one it is delivered with.

    Raises
    ------
    ProfileSyntaxError
        The tables contradict themselves or each other; names file, line and key.
    ValueRangeError
        There is no such option or choice.
    """
    if "serial" in table.transports and table.serial is None:
        raise source.error(("transports",), "serial needs a [serial] table", hint="Add [serial] with at least baud.")
    framing: Framing = "midi"
    if "serial" in table.transports and "midi" not in table.transports:
        framing = "frames" if table.serial and table.serial.frame else "lines"
    chosen = _choose(table, source, options or {})
    midi_channel = channel or table.midi.channel
    reader = MessageReader(source, framing, midi_channel)
    builder = _Builder(table, source, reader, chosen, midi_channel)
    dumps = builder.dumps()
    controls = builder.controls(dumps)
    commands = builder.commands()
    examples = builder.examples(controls)
    return Profile(
        id=table.id,
        maker=table.maker,
        model=table.model,
        kind=table.kind,
        transports=tuple(table.transports),
        verification=table.verification if table.example else "unverified",
        confidence=table.confidence,
        sources=tuple(table.sources),
        notes=table.notes.strip(),
        not_covered=table.not_covered.strip(),
        controls=controls,
        midi_channel=midi_channel,
        serial=table.serial,
        pacing=Pacing(
            table.pacing.gap_s,
            table.pacing.settle_s,
            DIN_BYTES_PER_S if table.serial is None or framing == "midi" else _serial_bytes_per_s(table.serial),
            table.pacing.in_flight,
        ),
        ack=table.ack,
        audio=table.audio,
        accepted=builder.accepted(),
        refusals=builder.refusals(),
        ignored=builder.ignored(),
        session=builder.session(),
        keep_alive=builder.keep_alive(),
        identity=builder.identity(),
        dumps=dumps,
        commands=commands,
        reports=builder.reports(),
        examples=examples,
        command_examples=builder.command_examples(commands),
        framing=framing,
        options=chosen,
        option_choices={name: tuple(option.choices) for name, option in table.options.items()},
        path=path,
        table=table,
        source=source,
    )


def _serial_bytes_per_s(serial: schema.Serial) -> float:
    """Count start bit, data bits, parity and stop bits of every byte."""
    return serial.baud / (1 + serial.bits + (serial.parity != "none") + serial.stop)


def _choose(table: schema.ProfileTable, source: ProfileSource, given: Mapping[str, str]) -> dict[str, str]:
    for name, option in table.options.items():
        if option.default not in option.choices:
            raise source.error(
                ("options", name, "default"),
                f"{option.default!r} is none of its choices",
                hint=nearest(option.default, option.choices),
            )
    for name, choice in given.items():
        if name not in table.options:
            raise ValueRangeError(f"{table.id} has no option {name!r}.", hint=nearest(name, table.options))
        if choice not in table.options[name].choices:
            raise ValueRangeError(
                f"{table.id}: the option {name} has no choice {choice!r}.",
                hint=nearest(choice, table.options[name].choices),
            )
    return {name: given.get(name, option.default) for name, option in table.options.items()}


@dataclass(frozen=True)
class _Builder:
    table: schema.ProfileTable
    source: ProfileSource
    reader: MessageReader
    options: dict[str, str]
    channel: int

    def _holds(self, when: Mapping[str, str | list[str]], *keys: str | int) -> bool:
        """Tell whether something applies to the options in force."""
        for name, wanted in when.items():
            choices = [wanted] if isinstance(wanted, str) else wanted
            if name not in self.table.options:
                hint = nearest(name, self.table.options) or f"Add [options.{name}]."
                raise self.source.error((*keys, "when"), f"there is no option {name!r}", hint=hint)
            for choice in choices:
                if choice not in self.table.options[name].choices:
                    hint = nearest(choice, self.table.options[name].choices)
                    raise self.source.error((*keys, "when"), f"{name} has no choice {choice!r}", hint=hint)
        return all(
            self.options[name] in ([wanted] if isinstance(wanted, str) else wanted) for name, wanted in when.items()
        )

    def controls(self, dumps: Mapping[str, Dump]) -> dict[str, Control]:
        """Build and stamp every control."""
        tables = dict(self.table.tapers)
        places: dict[str, tuple[str | int, ...]] = {name: ("tapers", name) for name in tables}
        for index, variant in enumerate(self.table.variant):
            if self._holds(variant.when, "variant", index):
                tables.update(variant.tapers)
                places.update({name: ("variant", index, "tapers", name) for name in variant.tapers})
        tapers: dict[tuple[str, str], Taper] = {}
        controls: dict[str, Control] = {}
        for index, entry in enumerate(self.table.control):
            if not self._holds(entry.when, "control", index):
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

    def dumps(self) -> dict[str, Dump]:
        """Build the dumps."""
        found = {}
        for index, entry in enumerate(self.table.dump):
            with self.reader.at("dump", index):
                known = frozenset(("c",))
                found[entry.name] = Dump(
                    entry.name,
                    tuple(self.reader.template(line, known=known) for line in entry.query),
                    self.reader.template(entry.head, known=known, heard=True, piece=True),
                    entry.record,
                    self.reader.template(entry.tail, known=known, heard=True, piece=True),
                )
                if self.reader.framing == "lines":
                    raise ProfileSyntaxError("a dump is bytes, and this device speaks lines", hint="Write queries.")
        return found

    def refusals(self) -> tuple[Refused, ...]:
        """Build the error replies."""
        found = []
        for index, entry in enumerate(self.table.refusal):
            with self.reader.at("refusal", index):
                reply = self.reader.template(entry.reply, known=frozenset(("c", "code")), heard=True)
                if not all(code.isdecimal() for code in entry.codes):
                    raise ProfileSyntaxError("codes are whole numbers", hint="Write 06 = “cannot be changed now”.")
            found.append(Refused(reply, {int(code): text for code, text in entry.codes.items()}))
        return tuple(found)

    def ignored(self) -> tuple[Template, ...]:
        """Build the messages that mean nothing here."""
        with self.reader.at("ignored"):
            return tuple(self.reader.template(line, known=frozenset(("c",)), heard=True) for line in self.table.ignored)

    def accepted(self) -> tuple[Template, ...]:
        """Build the general acknowledgements."""
        ack = self.table.ack
        if (ack.kind == "accepted") != bool(ack.accepted):
            raise self.source.error(
                ("ack",),
                'kind = "accepted" goes with accepted = […]',
                hint="List the replies that mean OK, or take another kind.",
            )
        with self.reader.at("ack"):
            return tuple(self.reader.template(line, known=frozenset(("c",)), heard=True) for line in ack.accepted)

    def session(self) -> tuple[Exchange, ...]:
        """Build what opens a session."""
        found = []
        for index, entry in enumerate(self.table.session):
            with self.reader.at("session", index):
                known = frozenset(("c",))
                expect = self.reader.template(entry.expect, known=None, heard=True) if entry.expect else None
                send = tuple(self.reader.template(line, known=known) for line in entry.send)
                found.append(Exchange(send, expect, entry.wait_s))
        return tuple(found)

    def keep_alive(self) -> KeepAlive | None:
        """Build what keeps a session alive."""
        entry = self.table.keep_alive
        if entry is None:
            return None
        with self.reader.at("keep_alive"):
            expect = self.reader.template(entry.expect, known=frozenset(("c",)), heard=True) if entry.expect else None
            send = tuple(self.reader.template(line, known=frozenset(("c",))) for line in entry.send)
        return KeepAlive(send, entry.every_s, expect, entry.lost_after_s)

    def identity(self) -> Identity | None:
        """Build how the device is asked who it is."""
        entry = self.table.identity
        if entry is None:
            return None
        with self.reader.at("identity"):
            query = tuple(self.reader.template(line, known=frozenset(("c",))) for line in entry.query)
            return Identity(query, self.reader.template(entry.reply, known=None, heard=True))

    def commands(self) -> dict[str, Command]:
        """Build what the device can be told to do."""
        found: dict[str, Command] = {}
        for index, entry in enumerate(self.table.command):
            if not self._holds(entry.when, "command", index):
                continue
            with self.reader.at("command", index):
                send = tuple(self.reader.template(line, known=None) for line in entry.send)
                if entry.name in found:
                    raise ProfileSyntaxError(f"the command {entry.name} is already taken", hint="Name it otherwise.")
            variables = frozenset(name for template in send for name in template.variables) - {"c"}
            found[entry.name] = Command(
                entry.name, entry.label or entry.name, send, variables, entry.dangerous, entry.remark
            )
        return found

    def reports(self) -> tuple[Report, ...]:
        """Build what the device says that is no control."""
        found = []
        for index, entry in enumerate(self.table.report):
            with self.reader.at("report", index):
                found.append(Report(entry.means, self.reader.template(entry.reply, known=None, heard=True)))
        return tuple(found)

    def examples(self, controls: Mapping[str, Control]) -> tuple[Example, ...]:
        """Build the examples that hold for the options in force."""
        found = []
        for index, entry in enumerate(self.table.example):
            if bool(entry.control) == bool(entry.command) or (entry.value is None) != bool(entry.command):
                raise self.source.error(
                    ("example", index),
                    "an example is of one control and its value, or of one command",
                    hint="Write control and value, or command and numbers.",
                )
            if entry.control and self._holds(dict(entry.when), "example", index):
                found.append(self._example(index, entry, controls))
        return tuple(found)

    def command_examples(self, commands: Mapping[str, Command]) -> tuple[CommandExample, ...]:
        """Build the examples of commands that hold for the options in force."""
        found = []
        for index, entry in enumerate(self.table.example):
            if not entry.command or not self._holds(dict(entry.when), "example", index):
                continue
            if entry.command not in commands:
                hint = nearest(entry.command, commands)
                raise self.source.error(
                    ("example", index, "command"), f"there is no command {entry.command!r}", hint=hint
                )
            with self.reader.at("example", index):
                messages = tuple(self.reader.literal(line) for line in entry.bytes)
            found.append(CommandExample(entry.command, dict(entry.numbers), messages, entry.source))
        return tuple(found)

    def _example(self, index: int, entry: schema.ExampleTable, controls: Mapping[str, Control]) -> Example:
        keys = ("example", index)
        control = controls.get(entry.control)
        if control is None:
            hint = nearest(entry.control, controls)
            raise self.source.error((*keys, "control"), f"there is no control {entry.control!r}", hint=hint)
        assert entry.value is not None  # noqa: S101 - examples() has seen to it
        value, achieved = (
            given if given != "off" or control.off is None else control.off
            for given in (entry.value, entry.value if entry.achieved is None else entry.achieved)
        )
        with self.reader.at(*keys):
            messages, reply, query = (
                tuple(self.reader.literal(line) for line in lines) for lines in (entry.bytes, entry.reply, entry.query)
            )
        example = Example(control.name, value, achieved, messages, reply, query, entry.source, dict(entry.when))
        return example if reply or self.reader.framing != "midi" else replace(example, reply=_heard(messages))


def _heard(messages: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Leave out the null number that ends a parameter's selection: it says nothing."""
    nulls = {bytes((message[0], controller, 0x7F)) for message in messages for controller in (98, 99, 100, 101)}
    end = len(messages)
    while end > 2 and messages[end - 1] in nulls:
        end -= 1
    return messages[:end]


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
