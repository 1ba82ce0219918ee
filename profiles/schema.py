"""What a profile file may say: the language's structure, version 1, and its JSON Schema.

Every key that is not listed here is refused. There is no code in a profile.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

SCHEMA_VERSION = 1

Kind = Literal["console", "outboard", "patchbay", "surface"]
Transport = Literal["midi", "serial", "hand"]
Verification = Literal["sourced", "measured", "unverified"]
Confidence = Literal["V2", "V1", "M", "I"]
"""How sure a fact is: V2 two independent sources agree, V1 one source, M from general knowledge, I inferred."""
Unit = Literal["dB", "dBu", "Hz", "ms", "q", "pan", "ratio", "bool", "enum", "raw"]
Role = Literal[
    "fader", "mute", "pan", "trim", "polarity", "hpf_freq", "eq_in", "eq_gain", "eq_freq", "eq_q", "insert",
    "master_fader", "route", "gain", "volume", "threshold", "ratio", "attack", "release", "makeup", "bypass", "raw",
]  # fmt: skip
Scalar = float | bool | str
Span = tuple[int, int]


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the language."""


class NumericTaper(Table, tag_field="kind", frozen=True, kw_only=True):
    """What the tapers with numbers share: an OFF code of its own, and received codes that mean the same as another."""

    off: int | None = None
    same: list[Span] = []


class LinearTaper(NumericTaper, tag="linear", frozen=True, kw_only=True):
    """A straight line from the first raw code to the last."""

    raw: Span = (0, 127)
    value: tuple[float, float] = (0.0, 127.0)


class OffsetTaper(NumericTaper, tag="offset", frozen=True, kw_only=True):
    """value = raw · step + offset."""

    raw: Span = (0, 127)
    offset: float = 0.0
    step: float = 1.0


class PointsTaper(NumericTaper, tag="points", frozen=True, kw_only=True):
    """Straight lines between printed points ``[raw, value]``."""

    points: list[tuple[int, float]] = []


class Power2Taper(NumericTaper, tag="power2", frozen=True, kw_only=True):
    """value = base · 2^((raw − at) / per): frequencies in equal parts of an octave."""

    raw: Span
    base: float
    at: float
    per: float


class LogTaper(NumericTaper, tag="log", frozen=True, kw_only=True):
    """value[0] · (value[1] / value[0])^x, x being the travel 0–1 over ``raw``: a logarithmic pot."""

    value: tuple[float, float]
    raw: Span = (0, 1000)


class PowerTaper(NumericTaper, tag="power", frozen=True, kw_only=True):
    """value[0] + (value[1] − value[0]) · x^exponent, x being the travel 0–1 over ``raw``: a bent linear pot."""

    value: tuple[float, float]
    exponent: float
    raw: Span = (0, 1000)


class SwitchTaper(Table, tag_field="kind", tag="switch", frozen=True):
    """True and false by one code each; exchange the codes for a switch that works the other way round."""

    on: int = 127
    off: int = 0


class Choice(Table, frozen=True):
    """One position: its value, the code to send, and the range of codes that mean it when received."""

    value: Scalar
    send: int
    codes: Span | None = None


class ChoicesTaper(Table, tag_field="kind", tag="choices", frozen=True):
    """A switch with named or numbered positions."""

    choices: list[Choice] = []


TaperTable = LinearTaper | OffsetTaper | PointsTaper | Power2Taper | LogTaper | PowerTaper | SwitchTaper | ChoicesTaper


class Mark(Table, frozen=True):
    """A mark printed at a knob, and what is printed when it is not the value itself."""

    value: Scalar
    label: str = ""


class Hand(Table, frozen=True):
    """How a control that only a hand can turn is drawn: where its travel ends, 0° being 12 o'clock, clockwise."""

    kind: Literal["pot", "switch", "detents"] = "pot"
    start_deg: float = -150.0
    end_deg: float = 150.0
    marks: list[Scalar | Mark] = []


class ControlChange(Table, frozen=True):
    """``Bc number v``."""

    number: int | str
    channel: int | str | None = None


class Nrpn(Table, frozen=True):
    """The four control changes of a non-registered parameter: number MSB, LSB, data MSB, LSB."""

    msb: int | str
    lsb: int | str
    data: str = "left7"
    channel: int | str | None = None


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
    nrpn: Nrpn | None = None
    note: Note | None = None
    pitch_bend: PitchBend | None = None
    form: list[Form] = []
    query: list[str] = []
    refused: str = ""
    listen: bool = True
    dangerous: bool = False
    confidence: Confidence | None = None
    remark: str = ""


class Midi(Table, frozen=True):
    """The MIDI channel a device is delivered with."""

    channel: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class Serial(Table, frozen=True):
    """The serial line, and what ends every reply."""

    baud: Annotated[int, msgspec.Meta(gt=0)] = 9600
    bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop: Literal[1, 2] = 1
    terminator: Annotated[str, msgspec.Meta(min_length=1)] = "\r\n"


class Pacing(Table, frozen=True):
    """Silence after each message, and how long after the last one the audio can be trusted [s]."""

    gap_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    settle_s: Annotated[float, msgspec.Meta(ge=0)] = 0.05


class Ack(Table, frozen=True):
    """Whether a device confirms: never, only refusals, or every setting by a reply."""

    kind: Literal["none", "nak", "reply"] = "none"
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    retries: Annotated[int, msgspec.Meta(ge=0)] = 1


class Refused(Table, frozen=True):
    """An error reply that names no control: its pattern with ``{code}``, and what the codes mean."""

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
    """

    control: str
    value: Scalar
    bytes: list[str]
    source: Annotated[str, msgspec.Meta(min_length=8)]
    achieved: Scalar | None = None
    reply: list[str] = []
    query: list[str] = []


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
    refusal: list[Refused] = []
    ignored: list[str] = []
    audio: Audio = Audio()
    tapers: dict[str, TaperTable] = {}
    example: list[ExampleTable] = []


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema of a profile file, for editors."""
    schema = msgspec.json.schema(ProfileTable)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Halfnormal profile", **schema}
