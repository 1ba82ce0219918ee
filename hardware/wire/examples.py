"""Running a profile's examples both ways: the setting must give the exact bytes, and the bytes the setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hardware.wire.messages import Change, Parser, command, encode, query, reply_to
from profiles.errors import ProfileError
from profiles.library import ProfileProblem, check_profile, variants_of
from profiles.profile import CommandExample, Control, Example, Profile, Value

PRINTED = 5e-4
"""How far a value may lie from the printed one: documents print three decimals."""


@dataclass(frozen=True)
class ExampleReport:
    """How many examples ran, and everything that contradicts them or the profile itself."""

    examples_run: int
    problems: tuple[ProfileProblem, ...]


def check_examples(profile: Profile) -> ExampleReport:
    """Run every example of a profile both ways, then its scales and messages against each other.

    Each control that is sent must come back as itself at the end of its range, and at all ends the first that is
    stamped from one table; two controls with the same bytes, or a code without a message, are found so. All this for
    the unit as it is set up, and for each other choice of an option.
    """
    ran: set[tuple[str, ...]] = set()
    problems: dict[ProfileProblem, None] = {}
    for variant in variants_of(profile):
        known = {} if variant is profile else profile.controls
        problems.update(dict.fromkeys(check_profile(variant)))
        try:
            parser = Parser(variant)
        except ProfileError as error:
            problems[ProfileProblem("messages", str(error), error.hint)] = None
            continue
        for example in variant.examples:
            where = f"example {example.control} = {example.value}"
            ran.add((example.control, str(example.value), *map(str, example.messages)))
            for what in _run(variant, example, parser.twin()):
                problems[ProfileProblem(where, what, f"Compare with {example.source}.")] = None
        for sample in variant.command_examples:
            ran.add((sample.command, str(sample.numbers), *map(str, sample.messages)))
            for what in _commanded(variant, sample):
                where = f"example {sample.command}"
                problems[ProfileProblem(where, what, f"Compare with {sample.source}.")] = None
        tables: set[int] = set()
        for control in variant.controls.values():
            if control.name in known and _alike(control, known[control.name]):
                continue
            codes = control.taper.ends[-1:] if id(control.forms) in tables else control.taper.ends
            tables.add(id(control.forms))
            for what in _there_and_back(variant, control, codes, parser):
                problems[ProfileProblem(control.name, what)] = None
    return ExampleReport(len(ran), tuple(problems))


def _run(profile: Profile, example: Example, parser: Parser) -> list[str]:
    try:
        encoded = encode(profile, example.control, example.value)
        asked = query(profile, example.control)
    except ProfileError as error:
        return [str(error)]
    found = []
    if encoded.messages != example.messages:
        found.append(f"gives {_shown(profile, encoded.messages)}, not {_shown(profile, example.messages)}")
    if not _same(encoded.value, example.achieved):
        found.append(f"lands on {encoded.value}, not {example.achieved}")
    if example.query and asked != example.query:
        found.append(f"is asked for by {_shown(profile, asked)}, not {_shown(profile, example.query)}")
    control = profile.controls[example.control]
    if control.listened and example.reply:
        said = parser.feed(_stream(profile, example.reply))
        right = [item for item in said if isinstance(item, Change) and item.control == example.control]
        if len(said) != 1 or not right or not _same(right[0].value, example.achieved):
            found.append(f"{_shown(profile, example.reply)} is read as {said or 'nothing'}")
    return found


def _commanded(profile: Profile, sample: CommandExample) -> list[str]:
    try:
        sent = command(profile, sample.command, **sample.numbers)
    except ProfileError as error:
        return [str(error)]
    if sent == sample.messages:
        return []
    return [f"gives {_shown(profile, sent)}, not {_shown(profile, sample.messages)}"]


def _alike(control: Control, other: Control) -> bool:
    """Tell whether a control is the same with another choice of an option."""
    return (control.taper, control.forms, control.query) == (other.taper, other.forms, other.query)


def _there_and_back(profile: Profile, control: Control, codes: Sequence[int], parser: Parser) -> list[str]:
    if control.by_hand:
        return []
    for raw in codes:
        try:
            encoded = encode(profile, control.name, control.from_raw(raw))
        except ProfileError as error:
            return [str(error)]
        alike = any(form.reply is form.send and form.low <= raw <= form.high for form in control.forms)
        reply = encoded.messages if alike else reply_to(profile, control.name, encoded.raw)
        if control.listened and reply:
            said = [item for message in reply for item in parser.feed(message)]
            if Change(control.name, encoded.value, encoded.raw) not in said:
                return [f"{_shown(profile, reply)} is read as {said or 'nothing'}"]
    return []


def _stream(profile: Profile, messages: tuple[bytes, ...]) -> bytes:
    end = profile.serial.terminator.encode("ascii") if profile.text and profile.serial else b""
    return b"".join(message + end for message in messages)


def _same(value: Value, printed: Value) -> bool:
    if isinstance(value, bool | str) or isinstance(printed, bool | str):
        return type(value) is type(printed) and value == printed
    return value == printed or math.isclose(value, printed, rel_tol=1e-4, abs_tol=PRINTED)


def _shown(profile: Profile, messages: tuple[bytes, ...]) -> str:
    if profile.text:
        return " ".join(ascii(message.decode("latin-1")) for message in messages)
    return ", ".join(message.hex(" ").upper() for message in messages) or "nothing"
