"""Running a profile's examples both ways: the setting must give the exact bytes, and the bytes the setting."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hardware.wire.messages import Change, Parser, encode, query
from profiles.errors import ProfileError
from profiles.library import ProfileProblem, check_profile
from profiles.profile import Control, Example, Profile, Value

PRINTED = 5e-4
"""How far a value may lie from the printed one: documents print three decimals."""


@dataclass(frozen=True)
class ExampleReport:
    """How many examples ran, and everything that contradicts them or the profile itself."""

    examples_run: int
    problems: tuple[ProfileProblem, ...]


def check_examples(profile: Profile) -> ExampleReport:
    """Run every example of a profile both ways, then its scales and messages against each other.

    Each control that is sent must come back as itself at both ends of its range; two controls with the same bytes, or a
    code without a message, are found so.
    """
    problems: list[ProfileProblem] = []
    for index, example in enumerate(profile.examples):
        where = f"example {index + 1}, {example.control}"
        problems += [ProfileProblem(where, what, f"Compare with {example.source}.") for what in _run(profile, example)]
    problems += check_profile(profile)
    parser = Parser(profile)
    for control in profile.controls.values():
        problems += [ProfileProblem(control.name, what) for what in _there_and_back(profile, control, parser)]
    return ExampleReport(len(profile.examples), tuple(problems))


def _run(profile: Profile, example: Example) -> list[str]:
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
    if control.listened:
        said = Parser(profile).feed(_stream(profile, example.reply))
        right = [item for item in said if isinstance(item, Change) and item.control == example.control]
        if len(said) != 1 or not right or not _same(right[0].value, example.achieved):
            found.append(f"{_shown(profile, example.reply)} is read as {said or 'nothing'}")
    return found


def _there_and_back(profile: Profile, control: Control, parser: Parser) -> list[str]:
    if control.by_hand:
        return []
    codes = list(control.taper.codes)
    for raw in dict.fromkeys((codes[0], codes[-1])):
        try:
            encoded = encode(profile, control.name, control.from_raw(raw))
        except ProfileError as error:
            return [str(error)]
        if not profile.text and control.listened:
            said = parser.feed(b"".join(encoded.messages))
            wanted = Change(control.name, encoded.value, encoded.raw)
            if wanted not in said:
                return [f"{_shown(profile, encoded.messages)} is read as {said or 'nothing'}"]
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
