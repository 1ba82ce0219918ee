"""A profile as the program uses it: a device's controls, their scales and messages, its line and its audio facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from profiles import schema
from profiles.errors import UnknownControlError, ValueRangeError
from profiles.schema import Ack, Audio, Confidence, Kind, Role, Serial, Transport, Unit, Verification
from profiles.source import ProfileSource, nearest
from profiles.taper import NumberTaper, Taper, Value
from profiles.template import Template

__all__ = [
    "Ack", "Audio", "Command", "CommandExample", "Control", "Dump", "DumpItem", "Example", "Exchange", "Form",
    "Framing", "Hand", "Identity", "KeepAlive", "Pacing", "Profile", "Refused", "Report", "Serial", "Touching", "Value",
]  # fmt: skip

Framing = Literal["midi", "lines", "frames"]
"""What a device's messages are: MIDI messages, lines of ASCII, or frames of a binary serial protocol."""

_TRUE = frozenset(("on", "true", "yes", "1", "in"))
_FALSE = frozenset(("off", "false", "no", "0", "out"))


@dataclass(frozen=True)
class Form:
    """The unit of messages that carries a control's raw codes ``low`` to ``high``, sent and as the device says it."""

    low: float
    high: float
    send: tuple[Template, ...]
    reply: tuple[Template, ...]


@dataclass(frozen=True)
class Hand:
    """How a control is drawn that only a hand can turn; degrees clockwise from 12 o'clock, marks as (value, label)."""

    kind: Literal["pot", "switch", "detents", "fader"]
    start_deg: float
    end_deg: float
    marks: tuple[tuple[Value, str], ...]


@dataclass(frozen=True)
class Touching:
    """What a device says when a hand takes hold of a control, and when it lets go."""

    on: tuple[Template, ...]
    off: tuple[Template, ...]


@dataclass(frozen=True)
class DumpItem:
    """Where a control stands in the dump ``source``: ``item`` at byte ``at`` of a record, or of the whole body."""

    source: str
    item: Template
    at: int


@dataclass(frozen=True, eq=False)
class Control:
    """One knob, fader or switch of a device.

    ``low`` and ``high`` are its lowest and highest finite value in ``unit``; whether it also has an OFF position says
    ``off``. ``default`` is where it rests when nothing is known. ``strip`` counts from 1; ``band`` counts the bands of
    an equaliser from 1, the lowest. ``variables`` are what its messages are stamped with. A control that is not
    ``listened`` to has no replies: the device sends other things under the same bytes (a surface's buttons).
    """

    name: str
    label: str
    unit: Unit
    role: Role
    taper: Taper
    default: Value
    strip: int | None
    band: int | None
    hand: Hand | None
    forms: tuple[Form, ...]
    query: tuple[Template, ...]
    refused: Template | None
    dump: DumpItem | None
    touch: Touching | None
    variables: Mapping[str, int]
    listened: bool
    dangerous: bool
    idempotent: bool
    gap_s: float | None
    settle_s: float | None
    confidence: Confidence
    remark: str

    @property
    def low(self) -> float:
        """Lowest finite value (0 for switches and words)."""
        return self.taper.span[0]

    @property
    def high(self) -> float:
        """Highest finite value (1 for switches and words)."""
        return self.taper.span[1]

    @property
    def off(self) -> Value | None:
        """What OFF is here: −∞ for levels, "off" for others, None where there is none."""
        return self.taper.off_value if isinstance(self.taper, NumberTaper) and self.taper.off is not None else None

    @property
    def by_hand(self) -> bool:
        """Whether only a hand can set it."""
        return self.hand is not None

    @property
    def readable(self) -> bool:
        """Whether the device can be asked for it."""
        return bool(self.query)

    @property
    def touchable(self) -> bool:
        """Whether the device tells when a hand holds it."""
        return self.touch is not None

    @property
    def detents(self) -> tuple[float, ...]:
        """Values at which it clicks, or which the maker names."""
        return self.taper.detents if isinstance(self.taper, NumberTaper) else ()

    @property
    def choices(self) -> tuple[str, ...]:
        """The positions of a switch that has more than on and off, as a person writes them."""
        return () if self.unit == "bool" else self.taper.words

    def to_raw(self, value: Value) -> int:
        """Find the code whose value is nearest; for a pot, thousandths of its travel.

        Raises
        ------
        ValueRangeError
            The control cannot be told this.
        """
        try:
            return self.taper.to_raw(value)
        except ValueRangeError as error:
            unit = "" if self.unit in ("bool", "enum", "raw") else f" ({self.unit})"
            raise ValueRangeError(f"{self.name}{unit}: {error}", hint=error.hint) from error

    def from_raw(self, raw: int) -> Value:
        """Tell what a code means.

        Raises
        ------
        ValueRangeError
            It means nothing.
        """
        try:
            return self.taper.from_raw(raw)
        except ValueRangeError as error:
            raise ValueRangeError(f"{self.name}: {error}", hint=error.hint) from error

    def achieved(self, value: Value) -> Value:
        """Tell where the control lands when asked for ``value``: its nearest step; a hand's pot goes anywhere.

        Raises
        ------
        ValueRangeError
            The control cannot be told this.
        """
        raw = self.to_raw(value)
        if self.by_hand and isinstance(self.taper, NumberTaper) and raw != self.taper.off:
            return float(value)
        return self.from_raw(raw)

    def step_at(self, value: Value) -> float:
        """Distance from the step nearest ``value`` to its farther neighbour, in the unit; 0 for words and by hand.

        Raises
        ------
        ValueRangeError
            The control cannot be told this.
        """
        self.to_raw(value)
        continuous = self.by_hand and isinstance(self.taper, NumberTaper)
        return 0.0 if continuous else self.taper.step_at(value)

    def travel(self, value: Value) -> float:
        """Tell where ``value`` lies on the control's travel, from 0 to 1."""
        self.to_raw(value)
        return self.taper.travel(value)

    def angle_deg(self, value: Value) -> float:
        """Tell where the knob's pointer stands, in degrees clockwise from 12 o'clock."""
        hand = self.hand or Hand("pot", -150.0, 150.0, ())
        return hand.start_deg + (hand.end_deg - hand.start_deg) * self.travel(value)

    def value_from_text(self, text: str) -> Value:
        """Read a value as a person types it: a number, ``off``, ``on``, or a position's word.

        Raises
        ------
        ValueRangeError
            The control has no such value.
        """
        word = text.strip()
        if self.unit == "bool" and word.lower() in _TRUE | _FALSE:
            return word.lower() in _TRUE
        if word in self.taper.words and not _is_number(word):
            return word
        if word.lower() in ("off", "-inf", "−∞") and self.off is not None:
            return self.off
        if _is_number(word):
            return float(word)
        known = self.choices or (("on", "off") if self.unit == "bool" else ())
        hint = nearest(word, known) if known else f"Give a number from {self.low:g} to {self.high:g}."
        raise ValueRangeError(f"{self.name} cannot be set to {text!r}", hint=hint)


@dataclass(frozen=True)
class Pacing:
    """How fast a device may be talked to: silence after each message [s], settling [s], the wire's bytes per second.

    ``in_flight``: questions, or acknowledged settings, that may be under way before the first is answered.
    """

    gap_s: float
    settle_s: float
    bytes_per_s: float
    in_flight: int = 1


@dataclass(frozen=True)
class Exchange:
    """One step of opening a session: what is sent, what is awaited, how long the device needs after it [s]."""

    send: tuple[Template, ...]
    expect: Template | None
    wait_s: float


@dataclass(frozen=True)
class KeepAlive:
    """What keeps a session alive, sent every ``every_s`` [s]; lost when not heard for ``lost_after_s`` [s]."""

    send: tuple[Template, ...]
    every_s: float
    expect: Template | None
    lost_after_s: float


@dataclass(frozen=True)
class Identity:
    """How a device is asked who it is, and what it answers."""

    query: tuple[Template, ...]
    reply: Template


@dataclass(frozen=True)
class Dump:
    """One answer with many controls: between ``head`` and ``tail`` records of ``record`` bytes; 0: one body."""

    name: str
    query: tuple[Template, ...]
    head: Template
    record: int
    tail: Template


@dataclass(frozen=True)
class Command:
    """Something a device can be told to do that sets no control; ``variables`` are the numbers it takes."""

    name: str
    label: str
    send: tuple[Template, ...]
    variables: frozenset[str]
    dangerous: bool
    remark: str


@dataclass(frozen=True)
class Report:
    """Something a device says that is no control's value."""

    means: str
    reply: Template


@dataclass(frozen=True)
class Refused:
    """An error reply that names no control, and what its codes mean."""

    reply: Template
    codes: Mapping[int, str]


@dataclass(frozen=True)
class Example:
    """One sourced setting: the exact bytes it becomes, what the device says for it, and how it is asked for."""

    control: str
    value: Value
    achieved: Value
    messages: tuple[bytes, ...]
    reply: tuple[bytes, ...]
    query: tuple[bytes, ...]
    source: str
    when: Mapping[str, str]


@dataclass(frozen=True)
class CommandExample:
    """One sourced command and its exact bytes."""

    command: str
    numbers: Mapping[str, int]
    messages: tuple[bytes, ...]
    source: str


@dataclass(frozen=True, eq=False)
class Profile:
    """One model of hardware: what it can be told, in which bytes, on which scales, and what a hand must set.

    ``verification`` is ``unverified`` for every profile without a sourced example. ``framing`` says what its messages
    are. ``serial`` is None where there is no serial line. ``options`` are the choices in force, ``option_choices`` all
    there are. ``table`` and ``source`` are the file it was built from.
    """

    id: str
    maker: str
    model: str
    kind: Kind
    transports: tuple[Transport, ...]
    verification: Verification
    confidence: Confidence
    sources: tuple[str, ...]
    notes: str
    not_covered: str
    controls: dict[str, Control]
    midi_channel: int
    serial: Serial | None
    pacing: Pacing
    ack: Ack
    audio: Audio
    accepted: tuple[Template, ...]
    refusals: tuple[Refused, ...]
    ignored: tuple[Template, ...]
    session: tuple[Exchange, ...]
    keep_alive: KeepAlive | None
    identity: Identity | None
    dumps: dict[str, Dump]
    commands: dict[str, Command]
    reports: tuple[Report, ...]
    examples: tuple[Example, ...]
    command_examples: tuple[CommandExample, ...]
    framing: Framing
    options: dict[str, str]
    option_choices: dict[str, tuple[str, ...]]
    path: Path | None
    table: schema.ProfileTable
    source: ProfileSource

    @property
    def text(self) -> bool:
        """Whether it speaks lines of ASCII."""
        return self.framing == "lines"

    def control(self, name: str) -> Control:
        """Find a control by its name.

        Raises
        ------
        UnknownControlError
            There is none; the hint names the nearest.
        """
        if name not in self.controls:
            raise UnknownControlError(f"{self.id} has no control {name!r}.", hint=nearest(name, self.controls))
        return self.controls[name]

    def control_for(self, role: str, strip: int | None = None, band: int | None = None) -> Control | None:
        """Find the first control of this role, strip and band; None when the device has none."""
        return self._by_role.get((role, strip, band))

    @cached_property
    def strips(self) -> tuple[int, ...]:
        """Numbers of the strips, from 1."""
        return tuple(sorted({control.strip for control in self.controls.values() if control.strip is not None}))

    @cached_property
    def _by_role(self) -> dict[tuple[str, int | None, int | None], Control]:
        found: dict[tuple[str, int | None, int | None], Control] = {}
        for control in self.controls.values():
            found.setdefault((control.role, control.strip, control.band), control)
        return found

    def stage(self, name: str) -> schema.Stage | None:
        """Find a stage that the device can carry (``eq``, ``fader``, ``compressor``); None when it cannot."""
        return next((stage for stage in self.audio.stages if stage.name == name), None)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
