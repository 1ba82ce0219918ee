"""The wire: the one place that turns a control's value into bytes, and bytes into what the device said."""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass

from hardware.wire.framing import framed
from hardware.wire.heard import Accepted, Change, Heard, Refusal, Report, Touch, Unparsed
from hardware.wire.lines import LineReader
from hardware.wire.reading import ByteReader
from hardware.wire.writing import Writer
from profiles.errors import ProfileError, UnknownControlError
from profiles.profile import Control, Profile, Value
from profiles.source import nearest
from profiles.taper import NumberTaper
from profiles.template import AnyData, Template

__all__ = [
    "Accepted", "Change", "Encoded", "Heard", "Parser", "Refusal", "Report", "SessionStep", "Touch", "Unparsed",
    "command", "encode", "identity_query", "keep_alive_messages", "query", "reply_to", "session_steps",
]  # fmt: skip


@dataclass(frozen=True)
class Encoded:
    """One setting as bytes: the messages, sent in order as a unit, and the value they really set."""

    messages: tuple[bytes, ...]
    value: Value
    raw: int


@dataclass(frozen=True)
class SessionStep:
    """One step of opening a session: messages, whether an answer (``Report`` "session") is awaited, a wait [s]."""

    messages: tuple[bytes, ...]
    expects: bool
    wait_s: float


_Way = tuple[float, float, tuple[Writer, ...]]
"""What writes the messages of one range of raw codes."""


@dataclass(frozen=True)
class _Ways:
    """What writes the controls that are stamped from one table: settings, and what the device says of them."""

    sent: tuple[_Way, ...]
    said: tuple[_Way, ...]


_ways: weakref.WeakKeyDictionary[Profile, dict[int, _Ways]] = weakref.WeakKeyDictionary()
"""By profile and the identity of a control's forms, which live as long as the profile does."""


def encode(profile: Profile, control: str, value: Value) -> Encoded:
    """Turn a setting into bytes; each element of ``messages`` is one whole MIDI message, serial command or frame.

    Raises
    ------
    UnknownControlError
        The profile has no such control.
    ValueRangeError
        The control cannot be told this value.
    ProfileError
        The control is set by hand, or the profile gives this code no message.
    """
    found = profile.control(control)
    if found.by_hand:
        raise ProfileError(
            f"{profile.id}: {control} is set by hand and has no bytes.", hint="It appears on the recall sheet."
        )
    raw = found.to_raw(value)
    given = {**found.variables, "v": raw}
    for low, high, templates in _ways_of(profile, found).sent:
        if low <= raw <= high:
            messages = [writer.write(given) for writer in templates]
            if profile.framing == "frames":
                messages = [_framed(profile, message) for message in messages]
            return Encoded(tuple(messages), found.from_raw(raw), raw)
    raise ProfileError(f"{profile.id}: {control} has no message for code {raw}.", hint="Correct the profile.")


def _ways_of(profile: Profile, control: Control) -> _Ways:
    known = _ways.get(profile)
    if known is None:
        known = _ways[profile] = {}
    ways = known.get(id(control.forms))
    if ways is None:
        if isinstance(control.taper, NumberTaper):
            control.taper.keep_values()
        base = {"c": profile.midi_channel - 1}
        sent = {id(form.send): tuple(Writer(line, base) for line in form.send) for form in control.forms if form.send}
        said = {
            id(form.reply): sent.get(id(form.reply)) or tuple(Writer(_plain(line), base) for line in form.reply)
            for form in control.forms
            if form.reply and not any(_endless(line) for line in form.reply)
        }
        ways = known[id(control.forms)] = _Ways(
            tuple((form.low, form.high, sent[id(form.send)]) for form in control.forms if form.send),
            tuple((form.low, form.high, said.get(id(form.reply), ())) for form in control.forms if form.reply),
        )
    return ways


def _plain(template: Template) -> Template:
    """Put something where a reply may say anything: 7F in bytes, nothing in text."""
    filler = b"" if template.text else b"\x7f"
    parts = tuple(filler if isinstance(part, AnyData) else part for part in template.parts)
    return Template(template.source, template.text, parts)


def query(profile: Profile, control: str) -> tuple[bytes, ...]:
    """Make the messages that ask where a control stands; none when the device cannot be asked.

    Raises
    ------
    UnknownControlError
        The profile has no such control.
    """
    found = profile.control(control)
    return _written(profile, found.query, dict(found.variables))


def reply_to(profile: Profile, control: str, raw: int) -> tuple[bytes, ...]:
    """Make what the device says for a code, line ends included; of several lines it may say, the longest.

    What may be anything is 7F in bytes and nothing in text. Nothing comes back where it is not known what it says.
    """
    found = profile.control(control)
    for low, high, writers in _ways_of(profile, found).said:
        if low <= raw <= high:
            given = {**found.variables, "v": raw}
            said = tuple(_framed(profile, writer.write(given)) for writer in writers)
            end = profile.serial.terminator.encode("ascii") if profile.text and profile.serial else b""
            return (max(said, key=len) + end,) if profile.text and said else said
    return ()


def _endless(template: Template) -> bool:
    return not template.text and any(isinstance(part, AnyData) and part.rest for part in template.parts)


def session_steps(profile: Profile) -> tuple[SessionStep, ...]:
    """Make what opens a session with the device."""
    base = {"c": profile.midi_channel - 1}
    return tuple(
        SessionStep(_written(profile, step.send, base), step.expect is not None, step.wait_s)
        for step in profile.session
    )


def keep_alive_messages(profile: Profile) -> tuple[bytes, ...]:
    """Make what keeps the session alive; nothing where the device needs none."""
    base = {"c": profile.midi_channel - 1}
    return _written(profile, profile.keep_alive.send, base) if profile.keep_alive else ()


def identity_query(profile: Profile) -> tuple[bytes, ...]:
    """Make what asks the device who it is; nothing where it cannot be asked."""
    base = {"c": profile.midi_channel - 1}
    return _written(profile, profile.identity.query, base) if profile.identity else ()


def command(profile: Profile, name: str, **numbers: int) -> tuple[bytes, ...]:
    """Make the messages of a command, such as ``play``, or ``locate`` with hours, minutes, seconds and frames.

    Raises
    ------
    UnknownControlError
        The profile has no such command.
    ProfileError
        A number is missing or does not fit.
    """
    if name not in profile.commands:
        raise UnknownControlError(f"{profile.id} has no command {name!r}.", hint=nearest(name, profile.commands))
    given = {"c": profile.midi_channel - 1, **numbers}
    return _written(profile, profile.commands[name].send, given)


def _written(profile: Profile, templates: tuple[Template, ...], variables: dict[str, int]) -> tuple[bytes, ...]:
    return tuple(_framed(profile, Writer(template, variables).write(variables)) for template in templates)


def _framed(profile: Profile, message: bytes) -> bytes:
    return framed(profile.serial.frame, message) if profile.framing == "frames" and profile.serial else message


class Parser:
    """What one device says, taken in as bytes and given out as what it means.

    Keeps what spans messages: parameter selections, data entry MSBs, select-then-set prefixes, split lines and system
    exclusives. One parser serves one device.
    """

    def __init__(self, profile: Profile) -> None:
        self._reader: ByteReader | LineReader = LineReader(profile) if profile.text else ByteReader(profile)

    def twin(self) -> Parser:
        """Make a parser that has heard what this one has, on the same tables; from then on they are two."""
        other = copy.copy(self)
        other._reader = self._reader.twin()
        return other

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes, cut anywhere; return what they mean, in order."""
        return self._reader.feed(data)

    def flush(self) -> list[Unparsed]:
        """Give up what waits for more bytes, and return it."""
        return self._reader.flush()
