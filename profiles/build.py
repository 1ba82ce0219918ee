"""From a profile's tables to the profile: options decided, references checked, all it says read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from profiles import schema
from profiles.build_controls import ControlBuilder, Options
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.messages import MessageReader
from profiles.profile import (
    Command,
    CommandExample,
    Control,
    Dump,
    Example,
    Exchange,
    Framing,
    Identity,
    KeepAlive,
    Pacing,
    Profile,
    Refused,
    Report,
)
from profiles.source import ProfileSource, nearest
from profiles.template import Template

DIN_BYTES_PER_S = 3125.0
"""31 250 baud at 10 bits per byte (MIDI 1.0 Electrical Specification)."""


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
    choices = Options(table, source, chosen)
    builder = _Builder(table, source, reader, choices)
    dumps = builder.dumps()
    controls = ControlBuilder(table, source, reader, choices, midi_channel).controls(dumps)
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
    options: Options

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
            if not self.options.hold(entry.when, "command", index):
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
            if entry.control and self.options.hold(dict(entry.when), "example", index):
                found.append(self._example(index, entry, controls))
        return tuple(found)

    def command_examples(self, commands: Mapping[str, Command]) -> tuple[CommandExample, ...]:
        """Build the examples of commands that hold for the options in force."""
        found = []
        for index, entry in enumerate(self.table.example):
            if not entry.command or not self.options.hold(dict(entry.when), "example", index):
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
