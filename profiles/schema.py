"""What a profile file may say: the language's structure, version 1, and its JSON Schema.

Every key that is not listed here is refused. There is no code in a profile.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from profiles.taper_schema import Scalar, Span, Table, TaperTable

SCHEMA_VERSION = 1

Kind = Literal[
    "console", "outboard", "preamp", "processor", "patchbay", "transport", "interface", "surface"
]  # fmt: skip
Transport = Literal["midi", "serial", "hand"]
Verification = Literal["sourced", "measured", "unverified"]
Confidence = Literal["V2", "V1", "M", "I"]
"""How sure a fact is: V2 two independent sources agree, V1 one source, M from general knowledge, I inferred."""
Unit = Literal["dB", "dBu", "Hz", "ms", "q", "pan", "ratio", "bool", "enum", "raw"]
Role = Literal[
    "fader", "mute", "pan", "trim", "polarity", "hpf_freq", "eq_in", "eq_gain", "eq_freq", "eq_q", "insert",
    "master_fader", "send", "route", "gain", "volume", "threshold", "ratio", "attack", "release", "makeup",
    "bypass", "raw",
]  # fmt: skip


When = dict[str, str | list[str]]
"""Options and the choice, or choices, of each for which something holds."""


class Mark(Table, frozen=True):
    """A mark printed at a knob, and what is printed when it is not the value itself."""

    value: Scalar
    label: str = ""


class Hand(Table, frozen=True):
    """How a control that only a hand can turn is drawn: where its travel ends, 0° being 12 o'clock, clockwise."""

    kind: Literal["pot", "switch", "detents", "fader"] = "pot"
    start_deg: float = -150.0
    end_deg: float = 150.0
    marks: list[Scalar | Mark] = []


class ControlChange(Table, frozen=True):
    """``Bc number v``; with ``lsb`` two of them, the value being justified in their 14 bits as ``data`` says."""

    number: int | str
    lsb: int | str | None = None
    data: str = "left14"
    channel: int | str | None = None


class ParameterNumber(Table, frozen=True):
    """A parameter number and its data: four control changes (number MSB, LSB, data MSB, LSB).

    Without ``lsb_data`` the data LSB is left out; with ``null`` the null number follows, which ends the selection.
    """

    msb: int | str
    lsb: int | str
    data: str = "left7"
    channel: int | str | None = None
    lsb_data: bool = True
    null: bool = False


class Note(Table, frozen=True):
    """A switch: note on with velocity 127 for raw 127; for raw 0 a note off, or a note on with velocity 0."""

    number: int | str
    channel: int | str | None = None
    off: Literal["note-off", "velocity-0"] = "note-off"


class PitchBend(Table, frozen=True):
    """``Ec LSB MSB``."""

    channel: int | str | None = None
    data: str = "left14"


class Form(Table, frozen=True):
    """The messages of one range of raw codes (all of them where ``raw`` is left out), sent as a unit.

    ``reply`` is the unit that the device sends for the same setting; in MIDI the same as ``send`` unless given.
    """

    raw: Span | None = None
    send: list[str] = []
    reply: list[str] | None = None


class Touch(Table, frozen=True):
    """What the device says when a hand takes hold of the control, and when it lets go."""

    on: list[str]
    off: list[str]


class DumpItem(Table, frozen=True):
    """Where the control stands in a dump: the bytes of a record of it, or of its body from byte ``at`` on."""

    source: str = msgspec.field(name="from")
    item: str
    at: int | str = 0


class ControlTable(Table, frozen=True):
    """One control, or one stamped for every value of ``repeat``."""

    name: str
    unit: Unit
    role: Role
    taper: str | TaperTable
    label: str = ""
    repeat: dict[str, Span] = {}
    strip: int | str | None = None
    band: int | None = None
    default: Scalar | None = None
    hand: Hand | None = None
    cc: ControlChange | None = None
    nrpn: ParameterNumber | None = None
    rpn: ParameterNumber | None = None
    note: Note | None = None
    pitch_bend: PitchBend | None = None
    form: list[Form] = []
    query: list[str] = []
    refused: str = ""
    dump: DumpItem | None = None
    touch: Touch | None = None
    listen: bool = True
    dangerous: bool = False
    idempotent: bool = True
    gap_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    settle_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    confidence: Confidence | None = None
    remark: str = ""
    when: When = {}


class Midi(Table, frozen=True):
    """The MIDI channel a device is delivered with."""

    channel: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class FixedFrame(Table, tag_field="kind", tag="fixed", frozen=True, kw_only=True):
    """Frames of one length; ``first`` and ``rest`` are the ranges of their first byte and of the others."""

    length: Annotated[int, msgspec.Meta(ge=1, le=255)]
    first: tuple[Byte, Byte] = (0, 255)
    rest: tuple[Byte, Byte] = (0, 255)


class CountedFrame(Table, tag_field="kind", tag="counted", frozen=True, kw_only=True):
    """Frames whose first byte holds their length: (first byte & mask) + plus bytes."""

    mask: Byte = 0x0F
    plus: int = 3


class DelimitedFrame(Table, tag_field="kind", tag="delimited", frozen=True, kw_only=True):
    """Frames between a start and an end byte, which templates leave out.

    Inside, each of the ``escaped`` bytes is sent as ``escape`` and the byte plus ``add``. ``singles`` are bytes that
    are messages of their own between frames.
    """

    start: Byte
    end: Byte
    escape: Byte | None = None
    add: Byte = 0
    escaped: list[Byte] = []
    singles: list[Byte] = []


FrameTable = FixedFrame | CountedFrame | DelimitedFrame


class Serial(Table, frozen=True):
    """The serial line; ``terminator`` ends every reply of a device that speaks lines, ``frame`` cuts binary ones."""

    baud: Annotated[int, msgspec.Meta(gt=0)] = 9600
    bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop: Literal[1, 2] = 1
    terminator: Annotated[str, msgspec.Meta(min_length=1)] = "\r\n"
    frame: FrameTable | None = None


class Pacing(Table, frozen=True):
    """Silence after each message, how long after the last one the audio can be trusted [s], and how many at once.

    ``in_flight``: questions, or settings that are acknowledged, that may be under way before the first is answered.
    """

    gap_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    settle_s: Annotated[float, msgspec.Meta(ge=0)] = 0.05
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1


class Ack(Table, frozen=True):
    """How a device confirms: never, only refusals, every setting by a reply of its own, or by a general OK.

    ``accepted`` are the general OKs. ``retries`` counts repeated questions, ``write_retries`` repeated settings.
    """

    kind: Literal["none", "nak", "reply", "accepted"] = "none"
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    retries: Annotated[int, msgspec.Meta(ge=0)] = 1
    write_retries: Annotated[int, msgspec.Meta(ge=0)] = 0
    accepted: list[str] = []


class SessionTable(Table, frozen=True):
    """One step of opening a session: what is sent, what is awaited, how long the device needs after it [s]."""

    send: list[str]
    expect: str = ""
    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class KeepAliveTable(Table, frozen=True):
    """What keeps a session alive: sent every so often; without ``expect`` for so long the device is lost [s]."""

    send: list[str]
    every_s: Annotated[float, msgspec.Meta(gt=0)]
    expect: str = ""
    lost_after_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0


class IdentityTable(Table, frozen=True):
    """How the device is asked who it is; the reply takes in ``firmware``, ``model`` or what else it tells."""

    query: list[str]
    reply: str


class DumpTable(Table, frozen=True):
    """One answer with many controls: ``head``, records of ``record`` bytes (0: one body), ``tail``."""

    name: str
    query: list[str]
    head: str
    record: Annotated[int, msgspec.Meta(ge=0)] = 0
    tail: str = "F7"


class CommandTable(Table, frozen=True):
    """Something the device can be told to do that sets no control: play, stop, locate."""

    name: str
    send: list[str]
    label: str = ""
    dangerous: bool = False
    remark: str = ""
    when: When = {}


class ReportTable(Table, frozen=True):
    """Something the device says that is no control's value; its fields have names."""

    means: str
    reply: str


class OptionTable(Table, frozen=True):
    """How a unit is set up where that changes what it understands; the rig says which choice it is."""

    choices: Annotated[list[str], msgspec.Meta(min_length=2)]
    default: str
    label: str = ""


class VariantTable(Table, frozen=True):
    """What is different ``when`` an option has a certain choice: tapers that replace those of the same name."""

    when: When
    tapers: dict[str, TaperTable] = {}


class Refused(Table, frozen=True):
    """An error reply that names no control: its pattern with ``{code}`` (else it is 0), and what the codes mean."""

    reply: str
    codes: dict[str, str] = {}


class Stage(Table, frozen=True):
    """A stage of a mix that the device can carry, and the processor that stands in for it in the box."""

    name: str
    stand_in: str
    bands: list[Literal["low_shelf", "bell", "high_shelf"]] = []
    parameters: dict[str, float | str] = {}


class Audio(Table, frozen=True):
    """The audio side: levels in dBu, the pan law at the centre, the stages in signal order."""

    nominal_dbu: float | None = None
    max_in_dbu: float | None = None
    pan_law_db: float | None = None
    stages: list[Stage] = []


class ExampleTable(Table, frozen=True):
    """One setting and the exact bytes it becomes, as a document prints or defines them.

    ``value`` is what is asked, ``achieved`` what the bytes mean where no step hits it. ``reply`` is what the device
    sends for the same setting, where that differs from ``bytes``; ``query`` asks for it. MIDI in hex, serial as text.
    Of a ``command`` the example gives its ``numbers`` and its bytes.
    """

    bytes: list[str]
    source: Annotated[str, msgspec.Meta(min_length=8)]
    control: str = ""
    value: Scalar | None = None
    command: str = ""
    numbers: dict[str, int] = {}
    achieved: Scalar | None = None
    reply: list[str] = []
    query: list[str] = []
    when: dict[str, str] = {}


class ProfileTable(Table, frozen=True):
    """A whole profile file."""

    schema: Literal[1]
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    maker: str
    model: str
    kind: Kind
    transports: Annotated[list[Transport], msgspec.Meta(min_length=1)]
    verification: Verification
    confidence: Confidence
    sources: list[str]
    not_covered: str
    control: list[ControlTable]
    notes: str = ""
    midi: Midi = Midi()
    serial: Serial | None = None
    pacing: Pacing = Pacing()
    ack: Ack = Ack()
    options: dict[str, OptionTable] = {}
    variant: list[VariantTable] = []
    session: list[SessionTable] = []
    keep_alive: KeepAliveTable | None = None
    identity: IdentityTable | None = None
    dump: list[DumpTable] = []
    command: list[CommandTable] = []
    report: list[ReportTable] = []
    refusal: list[Refused] = []
    ignored: list[str] = []
    audio: Audio = Audio()
    tapers: dict[str, TaperTable] = {}
    example: list[ExampleTable] = []


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema of a profile file, for editors."""
    schema = msgspec.json.schema(ProfileTable)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Halfnormal profile", **schema}
