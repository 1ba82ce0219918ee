"""From a profile's tables to the profile: shorthands become messages, repeats are stamped, references are checked."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from profiles import schema
from profiles.errors import ProfileError, ProfileSyntaxError, ValueRangeError
from profiles.profile import Control, Example, Form, Hand, Pacing, Profile, Refused, Value
from profiles.source import Keys, ProfileSource, nearest
from profiles.taper import NumberTaper, SwitchTaper, Taper, make_taper
from profiles.template import AnyData, Template, parse_data, parse_midi, parse_sum, parse_text

DIN_BYTES_PER_S = 3125.0
"""31 250 baud at 10 bits per byte (MIDI 1.0 Electrical Specification)."""

_STAMP = re.compile(r"\{([a-z]+)(?::0[1-9])?\}")
_RESERVED = frozenset(("v", "c", "code"))


def build_profile(table: schema.ProfileTable, source: ProfileSource, path: Path | None = None) -> Profile:
    """Build the profile of one file.

    Raises
    ------
    ProfileSyntaxError
        The tables contradict themselves or each other; names file, line and key.
    """
    text = "midi" not in table.transports and "serial" in table.transports
    if "serial" in table.transports and table.serial is None:
        raise source.error(("transports",), "serial needs a [serial] table", hint="Add [serial] with at least baud.")
    builder = _Builder(table, source, text=text)
    controls = builder.controls()
    examples = tuple(builder.example(index, entry, controls) for index, entry in enumerate(table.example))
    return Profile(
        id=table.id,
        maker=table.maker,
        model=table.model,
        kind=table.kind,
        transports=tuple(table.transports),
        verification=table.verification if examples else "unverified",
        confidence=table.confidence,
        sources=tuple(table.sources),
        notes=table.notes.strip(),
        not_covered=table.not_covered.strip(),
        controls=controls,
        midi_channel=table.midi.channel,
        serial=table.serial,
        pacing=Pacing(
            table.pacing.gap_s,
            table.pacing.settle_s,
            DIN_BYTES_PER_S if table.serial is None or not text else _serial_bytes_per_s(table.serial),
        ),
        ack=table.ack,
        audio=table.audio,
        refusals=tuple(builder.refusal(index, entry) for index, entry in enumerate(table.refusal)),
        ignored=tuple(
            builder.template(line, ("ignored",), known=frozenset(("c",)), wild=True) for line in table.ignored
        ),
        examples=examples,
        text=text,
        path=path,
    )


def _serial_bytes_per_s(serial: schema.Serial) -> float:
    """Count start bit, data bits, parity and stop bits of every byte."""
    return serial.baud / (1 + serial.bits + (serial.parity != "none") + serial.stop)


@dataclass(frozen=True)
class _Builder:
    table: schema.ProfileTable
    source: ProfileSource
    text: bool

    @contextmanager
    def at(self, *keys: str | int) -> Iterator[None]:
        """Say where in the file it was that something made no sense."""
        try:
            yield
        except ProfileError as error:
            raise self.source.error(keys, str(error).rstrip("."), hint=error.hint) from error

    def controls(self) -> dict[str, Control]:
        """Build and stamp every control."""
        tapers: dict[tuple[str, str], Taper] = {}
        controls: dict[str, Control] = {}
        for index, entry in enumerate(self.table.control):
            taper = self._taper(index, entry, tapers)
            for control in self._stamped(index, entry, taper):
                if control.name in controls:
                    raise self.source.error(("control", index, "name"), f"{control.name} is already taken")
                controls[control.name] = control
        return controls

    def _taper(self, index: int, entry: schema.ControlTable, known: dict[tuple[str, str], Taper]) -> Taper:
        if not isinstance(entry.taper, str):
            with self.at("control", index, "taper"):
                return make_taper(entry.taper, entry.unit)
        name = entry.taper
        if name not in self.table.tapers:
            hint = nearest(name, self.table.tapers)
            raise self.source.error(("control", index, "taper"), f"there is no taper {name!r}", hint=hint)
        if (name, entry.unit) not in known:  # OFF is −∞ in dB, a word elsewhere
            with self.at("tapers", name):
                known[name, entry.unit] = make_taper(self.table.tapers[name], entry.unit)
        return known[name, entry.unit]

    def _stamped(self, index: int, entry: schema.ControlTable, taper: Taper) -> Iterator[Control]:
        for word in set(_STAMP.sub("", entry.name + entry.label)) & set("{}"):
            raise self.source.error(("control", index, "name"), f"stray {word}", hint="Write {n} or {n:02}.")
        for name, (first, last) in entry.repeat.items():
            if name in _RESERVED or not name.isalpha() or not name.islower() or last < first:
                raise self.source.error(
                    ("control", index, "repeat"),
                    f"{name} = [{first}, {last}] is no repeat",
                    hint="Write repeat = {n = [first, last]}; v, c and code have meanings of their own.",
                )
        with self.at("control", index):
            forms = tuple(self._forms(entry, taper))
            query = tuple(
                self.template(line, ("control", index, "query"), known=frozenset((*entry.repeat, "c")))
                for line in entry.query
            )
            refused = (
                self.template(entry.refused, ("control", index, "refused"), known=frozenset((*entry.repeat, "c")))
                if entry.refused
                else None
            )
            self._check_way(entry, forms)
            default = _default(entry, taper)
            strip = None if entry.strip is None else parse_sum(str(entry.strip))
        unknown = set(_STAMP.findall(entry.name + entry.label)) - set(entry.repeat)
        unknown |= {name for name, _ in strip.terms} - set(entry.repeat) if strip else set()
        if unknown:
            raise self.source.error(
                ("control", index, "name"), f"nothing repeats over {', '.join(sorted(unknown))}", hint="Add a repeat."
            )
        hand = None if entry.hand is None else _hand(entry.hand)
        names = tuple(entry.repeat)
        base = {"c": self.table.midi.channel - 1}
        for numbers in itertools.product(*(range(first, last + 1) for first, last in entry.repeat.values())):
            variables = dict(zip(names, numbers, strict=True)) | base
            yield Control(
                name=entry.name.format_map(variables),
                label=entry.label.format_map(variables) or entry.name.format_map(variables),
                unit=entry.unit,
                role=entry.role,
                taper=taper,
                default=default,
                strip=None if strip is None else strip.stamp(variables).constant,
                band=entry.band,
                hand=hand,
                forms=forms,
                query=query,
                refused=refused,
                variables=variables,
                listened=entry.listen,
                dangerous=entry.dangerous,
                confidence=entry.confidence or self.table.confidence,
                remark=entry.remark,
            )

    def _check_way(self, entry: schema.ControlTable, forms: tuple[Form, ...]) -> None:
        if entry.hand is not None and (forms or entry.query):
            raise ProfileSyntaxError("it has both a hand and messages", hint="A control is set one way only.")
        if entry.hand is None and not any(form.send for form in forms):
            raise ProfileSyntaxError(
                "nothing says how it is set", hint="Add cc, nrpn, note, pitch_bend, a form with send, or hand."
            )

    def _forms(self, entry: schema.ControlTable, taper: Taper) -> Iterator[Form]:
        given = [word for word in ("cc", "nrpn", "note", "pitch_bend") if getattr(entry, word) is not None]
        if len(given) + bool(entry.form) > 1:
            raise ProfileSyntaxError(f"it is set in several ways: {', '.join([*given, *['form'] * bool(entry.form)])}")
        if given and self.text:
            raise ProfileSyntaxError(f"{given[0]} is MIDI, but the device speaks serial text", hint="Write a form.")
        known = frozenset((*entry.repeat, "c", "v"))
        for low, high, send, reply in [*_shorthand(entry), *(_long(form) for form in entry.form)]:
            if self.text and reply and len(reply) > 1:
                raise ProfileSyntaxError("a serial reply is one line", hint="Write one form for each line.")
            said_lines = send if reply is None else reply
            if any(line[:1] not in ("B", "C") for line in said_lines[:-1]):
                raise ProfileSyntaxError(
                    "only control changes and program changes can stand before another message of a reply",
                    hint="Give reply the messages that the device really sends for this setting.",
                )
            sent = tuple(self.template(line, (), known=known) for line in send)
            said = tuple(self.template(line, (), known=known, wild=True) for line in reply or ())
            yield Form(low, high, sent, sent if reply is None and not self.text else said)

    def template(self, line: str, keys: Keys, *, known: frozenset[str], wild: bool = False) -> Template:
        """Read one message; with ``keys``, complaints say where it stands."""
        try:
            found = parse_text(line) if self.text else parse_midi(line)
            unknown = found.variables - known
            if unknown:
                raise ProfileSyntaxError(f"{line!r} uses {', '.join(sorted(unknown))}, which is not known there")
            if not wild and any(isinstance(part, AnyData) for part in found.parts):
                raise ProfileSyntaxError(f"{line!r} has a wildcard", hint="{*} can stand in replies only.")
        except ProfileError as error:
            if not keys:
                raise
            raise self.source.error(keys, str(error), hint=error.hint) from error
        return found

    def refusal(self, index: int, entry: schema.Refused) -> Refused:
        """Build one error reply."""
        keys = ("refusal", index)
        reply = self.template(entry.reply, (*keys, "reply"), known=frozenset(("c", "code")), wild=True)
        if not all(code.isdecimal() for code in entry.codes):
            raise self.source.error((*keys, "codes"), "codes are whole numbers")
        return Refused(reply, {int(code): text for code, text in entry.codes.items()})

    def example(self, index: int, entry: schema.ExampleTable, controls: dict[str, Control]) -> Example:
        """Build one example."""
        keys = ("example", index)
        control = controls.get(entry.control)
        if control is None:
            hint = nearest(entry.control, controls)
            raise self.source.error((*keys, "control"), f"there is no control {entry.control!r}", hint=hint)
        value, achieved = (
            given if given != "off" or control.off is None else control.off
            for given in (entry.value, entry.value if entry.achieved is None else entry.achieved)
        )
        with self.at(*keys):
            messages, reply, query = (
                tuple(self._literal(line) for line in lines) for lines in (entry.bytes, entry.reply, entry.query)
            )
        return Example(control.name, value, achieved, messages, reply or messages, query, entry.source)

    def _literal(self, line: str) -> bytes:
        if self.text:
            return line.encode("ascii", errors="strict")
        try:
            return bytes.fromhex(line)
        except ValueError as error:
            raise ProfileSyntaxError(f"{line!r} is not hex bytes", hint='Write "B0 07 7F".') from error


_FormTable = tuple[float, float, list[str], list[str] | None]


def _long(form: schema.Form) -> _FormTable:
    low, high = form.raw or (-math.inf, math.inf)
    return low, high, form.send, form.reply


def _shorthand(entry: schema.ControlTable) -> Iterator[_FormTable]:
    """Write out what ``cc``, ``nrpn``, ``note`` and ``pitch_bend`` stand for (MIDI 1.0 Detailed Specification)."""
    everything = (-math.inf, math.inf)
    if entry.cc is not None:
        yield *everything, [f"{_status('B', entry.cc.channel)} {{{entry.cc.number}}} {{v}}"], None
    if entry.nrpn is not None:
        status, data = _status("B", entry.nrpn.channel), entry.nrpn.data
        parse_data(data)
        pairs = (
            ("63", f"{{{entry.nrpn.msb}}}"),
            ("62", f"{{{entry.nrpn.lsb}}}"),
            ("06", f"{{v:{data}.hi}}"),
            ("26", f"{{v:{data}.lo}}"),
        )
        yield *everything, [f"{status} {number} {value}" for number, value in pairs], None
    if entry.note is not None:
        on, off = _status("9", entry.note.channel), _status("8", entry.note.channel)
        key = f"{{{entry.note.number}}}"
        released = f"{off} {key} 00" if entry.note.off == "note-off" else f"{on} {key} 00"
        yield 127, 127, [f"{on} {key} 7F"], [f"{on} {key} {{*}}"]
        yield 0, 0, [released], [f"{on} {key} 00"]  # note on with velocity 0 is a note off, whatever is sent
        yield 0, 0, [], [f"{off} {key} {{*}}"]
    if entry.pitch_bend is not None:
        parse_data(entry.pitch_bend.data)
        yield *everything, [f"{_status('E', entry.pitch_bend.channel)} {{v:{entry.pitch_bend.data}.lsb}}"], None


def _status(high: str, channel: int | str | None) -> str:
    return f"{high}{{c}}" if channel is None else f"{high}{{{channel}-1}}"


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
