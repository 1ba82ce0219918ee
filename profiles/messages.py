"""A profile's messages: templates read with their place in the file, shorthands written out, fields checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from profiles import schema
from profiles.encoding import parse_data
from profiles.errors import ProfileError, ProfileSyntaxError
from profiles.profile import Dump, DumpItem, Form, Framing, Touching
from profiles.source import ProfileSource, nearest
from profiles.taper import NumberTaper, Taper
from profiles.template import Field, Template, parse_frame, parse_midi, parse_sum, parse_text

EVERYTHING = (-math.inf, math.inf)
_MIDI_PREFIX = ("B", "C")
_FormTable = tuple[float, float, list[str], list[str] | None]


@dataclass(frozen=True)
class MessageReader:
    """Reads the message templates of one file; complaints say where in it they belong."""

    source: ProfileSource
    framing: Framing
    channel: int

    @contextmanager
    def at(self, *keys: str | int) -> Iterator[None]:
        """Say where in the file it was that something made no sense."""
        try:
            yield
        except ProfileError as error:
            if error.placed:
                raise
            raise self.source.error(keys, str(error).rstrip("."), hint=error.hint) from error

    def template(
        self, line: str, *, known: frozenset[str] | None, heard: bool = False, piece: bool = False
    ) -> Template:
        """Read one message; ``known`` are the variables it may use (None: any), ``heard`` allows wildcards.

        Raises
        ------
        ProfileSyntaxError
            It is malformed, or uses what is not known there.
        """
        if self.framing == "lines":
            found = parse_text(line)
        elif self.framing == "midi" and not piece:
            found = parse_midi(line)
        else:
            found = parse_frame(line, "u7" if self.framing == "midi" else "u8")
        unknown = sorted(found.variables - known) if known is not None else []
        if unknown:
            raise ProfileSyntaxError(
                f"{line!r} uses {', '.join(unknown)}, which is not known there", hint=nearest(unknown[0], known or ())
            )
        if not heard and found.only_heard:
            raise ProfileSyntaxError(f"{line!r} has a wildcard", hint="{*} and text can stand in replies only.")
        return found

    def literal(self, line: str) -> bytes:
        """Read an example's bytes.

        Raises
        ------
        ProfileSyntaxError
            Not hex, or not ASCII.
        """
        try:
            return line.encode("ascii") if self.framing == "lines" else bytes.fromhex(line)
        except (ValueError, UnicodeEncodeError) as error:
            text = self.framing == "lines"
            hint = "Write ASCII characters." if text else 'Write "B0 07 7F".'
            raise ProfileSyntaxError(f"{line!r} is not {'ASCII' if text else 'hex bytes'}", hint=hint) from error

    def forms(self, entry: schema.ControlTable, taper: Taper) -> tuple[Form, ...]:
        """Read the messages of a control, shorthands written out, and see that its numbers fit their fields.

        Raises
        ------
        ProfileSyntaxError
            It is set in several ways, or a number does not fit.
        """
        given = [word for word in _SHORTHANDS if getattr(entry, word) is not None]
        if len(given) + bool(entry.form) > 1:
            raise ProfileSyntaxError(f"it is set in several ways: {', '.join([*given, *['form'] * bool(entry.form)])}")
        if given and self.framing != "midi":
            raise ProfileSyntaxError(f"{given[0]} is MIDI, but the device speaks serial", hint="Write a form.")
        known = frozenset((*entry.repeat, "c", "v"))
        ranges: dict[str, tuple[float, float]] = {**entry.repeat, "c": (self.channel - 1, self.channel - 1)}
        found = []
        for low, high, send, reply in [*_shorthand(entry), *(_long(form) for form in entry.form)]:
            self._check_reply(send if reply is None else reply)
            sent = tuple(self.template(line, known=known) for line in send)
            said = tuple(self.template(line, known=known, heard=True) for line in reply or ())
            codes = _codes_within(taper, low, high)
            if codes is not None:
                for template in sent:
                    _check_fit(template, {**ranges, "v": codes})
            found.append(Form(low, high, sent, sent if reply is None and self.framing == "midi" else said))
        return tuple(found)

    def _check_reply(self, lines: list[str]) -> None:
        if self.framing != "midi":
            if len(lines) > 1 and self.framing == "lines":
                raise ProfileSyntaxError("a serial reply is one line", hint="Write one form for each line.")
            return
        if any(line[:1] not in _MIDI_PREFIX for line in lines[:-1]):
            raise ProfileSyntaxError(
                "only control changes and program changes can stand before another message of a reply",
                hint="Give reply the messages that the device really sends for this setting.",
            )

    def touching(self, entry: schema.ControlTable) -> Touching | None:
        """Read what the device says when the control is touched."""
        if entry.touch is None:
            return None
        known = frozenset((*entry.repeat, "c"))
        on, off = (
            tuple(self.template(line, known=known, heard=True) for line in lines)
            for lines in (entry.touch.on, entry.touch.off)
        )
        if not on or not off:
            raise ProfileSyntaxError("touch needs both on and off", hint="Write touch = {on = […], off = […]}.")
        return Touching(on, off)

    def dump_item(
        self, entry: schema.ControlTable, dumps: Mapping[str, Dump], variables: Mapping[str, int]
    ) -> DumpItem | None:
        """Read where a stamped control stands in a dump.

        Raises
        ------
        ProfileSyntaxError
            There is no such dump, or it does not say where.
        """
        if entry.dump is None:
            return None
        if entry.dump.source not in dumps:
            raise ProfileSyntaxError(
                f"there is no dump {entry.dump.source!r}", hint=nearest(entry.dump.source, dumps) or "Add a [[dump]]."
            )
        item = self.template(entry.dump.item, known=frozenset((*entry.repeat, "c", "v")), heard=True, piece=True)
        at = parse_sum(str(entry.dump.at)).stamp(variables)
        if at.terms or at.constant < 0:
            raise ProfileSyntaxError("dump: at is no place in the dump", hint="Count bytes from 0: at = 3*n-3.")
        return DumpItem(entry.dump.source, item, at.constant)


def _codes_within(taper: Taper, low: float, high: float) -> tuple[float, float] | None:
    """Return the lowest and highest raw code that one form carries; None where it carries none."""
    if isinstance(taper, NumberTaper):
        curve = taper.curve
        ends = [float(raw) for raw in (max(curve.low, low), min(curve.high, high)) if curve.low <= raw <= curve.high]
        if taper.off is not None and low <= taper.off <= high:
            ends.append(taper.off)
    else:
        ends = [raw for raw in taper.codes if low <= raw <= high]
    return (min(ends), max(ends)) if ends else None


def _check_fit(template: Template, ranges: Mapping[str, tuple[float, float]]) -> None:
    for part in template.parts:
        if isinstance(part, Field):
            low, high = part.expression.reach(ranges)
            least, most = part.encoding.limits
            shift = 10**part.encoding.decimals
            if low < least or high > most * shift:
                raise ProfileSyntaxError(
                    f"{template.source!r}: a field that holds {least:g} to {most:g} would get {low:g} to {high:g}",
                    hint="Correct the raw range, the expression or the encoding.",
                )


_SHORTHANDS = ("cc", "nrpn", "rpn", "note", "pitch_bend")


def _long(form: schema.Form) -> _FormTable:
    low, high = form.raw or EVERYTHING
    return low, high, form.send, form.reply


def _shorthand(entry: schema.ControlTable) -> Iterator[_FormTable]:
    """Write out what the shorthands stand for (MIDI 1.0 Detailed Specification)."""
    if entry.cc is not None:
        status, number = _status("B", entry.cc.channel), entry.cc.number
        if entry.cc.lsb is None:
            yield *EVERYTHING, [f"{status} {{{number}}} {{v}}"], None
        else:
            parse_data(entry.cc.data)
            halves = ((number, "hi"), (entry.cc.lsb, "lo"))
            yield *EVERYTHING, [f"{status} {{{at}}} {{v:{entry.cc.data}.{part}}}" for at, part in halves], None
    for parameter, select in ((entry.nrpn, ("63", "62")), (entry.rpn, ("65", "64"))):
        if parameter is not None:
            yield *EVERYTHING, _parameter(parameter, *select), _parameter(parameter, *select, null=False)
    if entry.note is not None:
        on, off = _status("9", entry.note.channel), _status("8", entry.note.channel)
        key = f"{{{entry.note.number}}}"
        released = f"{off} {key} 00" if entry.note.off == "note-off" else f"{on} {key} 00"
        yield 127, 127, [f"{on} {key} 7F"], [f"{on} {key} {{*}}"]
        yield 0, 0, [released], [f"{on} {key} 00"]  # note on with velocity 0 is a note off, whatever is sent
        yield 0, 0, [], [f"{off} {key} {{*}}"]
    if entry.pitch_bend is not None:
        parse_data(entry.pitch_bend.data)
        yield *EVERYTHING, [f"{_status('E', entry.pitch_bend.channel)} {{v:{entry.pitch_bend.data}.lsb}}"], None


def _parameter(number: schema.ParameterNumber, high: str, low: str, *, null: bool = True) -> list[str]:
    """Write out one parameter's messages; the null number that ends a selection is sent, and heard as nothing."""
    status = _status("B", number.channel)
    parse_data(number.data)
    lines = [f"{status} {high} {{{number.msb}}}", f"{status} {low} {{{number.lsb}}}"]
    lines.append(f"{status} 06 {{v:{number.data}.hi}}")
    if number.lsb_data:
        lines.append(f"{status} 26 {{v:{number.data}.lo}}")
    return [*lines, *(f"{status} {select} 7F" for select in (high, low) if number.null and null)]


def _status(high: str, channel: int | str | None) -> str:
    return f"{high}{{c}}" if channel is None else f"{high}{{{channel}-1}}"
