"""dBu: a meter's reading of one output, kept on file with its accuracy, and what follows for the other channels.

0 dBu is √0.6 V = 0.7746 V RMS, 1 mW in 600 Ω. An output that is read while it plays a sine of a known level in dBFS has
*dBu at 0 dBFS* = reading − level. An input at the other end of a path that loses ``pad_db`` and whose loop has the gain
g [dB, input dBFS re output dBFS] has dBu at 0 dBFS = output's − pad − g. Two outputs that come back on one input
differ by the ratio of their loops' gains, and no meter is in that.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controller import files
from controller.errors import StorageError, UsageError
from controller.figures import Figure
from controller.loop_figures import figures_of
from controller.loops import Calibration, LoopFacts

SCHEMA = 1
REFERENCE_V = math.sqrt(0.6)
"""0 dBu: 1 mW into 600 Ω, √(0.001 · 600) V."""
DB_PER_RATIO = 20.0 / math.log(10.0)
"""A relative error r of a voltage is r · 8.686 dB, to the first order."""
DEFINITION = (
    "20·log10(V / √0.6 V) of the meter, less the level of the 997 Hz sine that was played [dBFS, AES17]; sd is one "
    "standard deviation"
)
GAIN_KEYS = ("gain_997_db", "gain_db")
"""Which gain of a loop is taken, best first: at the reading's own frequency, else the broadband one."""

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_PERCENT_OF = re.compile(rf"{_NUMBER}\s*%\s*(?:of|fs|f\.s\.)\s*{_NUMBER}\s*(mv|v)")
_PERCENT = re.compile(rf"{_NUMBER}\s*%(?:\s*(?:of\s+)?(?:rdg|reading))?")
_VOLTS = re.compile(rf"{_NUMBER}\s*(mv|v)")
_DECIBELS = re.compile(rf"{_NUMBER}\s*db")
_DIGITS = re.compile(r"(\d+)\s*(?:digits?|dgts?|counts?|lsd|d)?")
_CLASS = re.compile(rf"class\s+{_NUMBER}\s+(?:of|fs)\s+{_NUMBER}\s*(mv|v)")
_COVERAGE = re.compile(rf"(.*?)[\s,;(]+k\s*=\s*{_NUMBER}\)?")
_READING = re.compile(r"([+\-−]?\d+(?:[.,]\d*)?)\s*(mv|v|dbu|dbv)?")
_UNITS_V = {"v": 1.0, "mv": 1e-3}


@dataclass(frozen=True)
class Accuracy:
    """A meter's accuracy class, as its manual states it.

    The bound is ``share`` of the reading plus ``digits`` steps of its last digit plus ``volts`` plus ``decibels``.
    ``coverage`` is k where the manual states an expanded uncertainty; None takes the bound for the half width of a
    rectangular distribution (GUM, JCGM 100:2008, 4.3.7).
    """

    text: str
    share: float = 0.0
    digits: int = 0
    volts: float = 0.0
    decibels: float = 0.0
    coverage: float | None = None

    def standard_db(self, reading: Reading) -> float:
        """Return the standard uncertainty [dB] that the class gives a reading."""
        bound = self.share + (self.digits * reading.digit_v + self.volts) / reading.volts
        return (DB_PER_RATIO * bound + self.decibels) / (self.coverage or math.sqrt(3.0))


@dataclass(frozen=True)
class Reading:
    """What a meter shows: ``volts`` RMS, and what one step of the last digit that was given is worth [V]."""

    text: str
    volts: float
    digit_v: float

    @property
    def dbu(self) -> float:
        """The reading re √0.6 V [dBu]."""
        return 20.0 * math.log10(self.volts / REFERENCE_V)

    @property
    def rounding_db(self) -> float:
        """The standard uncertainty [dB] of the last digit: half a step either way, rectangular (GUM F.2.2.1)."""
        return DB_PER_RATIO * self.digit_v / self.volts / math.sqrt(12.0)


def parse_accuracy(text: str) -> Accuracy:
    """Read a meter's accuracy: ``0.5%``, ``0.5%+3digits``, ``0.1% of 10V``, ``0.05dB``, ``class 1.5 of 3V``, ``… k=2``.

    Parts are joined by ``+``. A class (IEC 60051) is per cent of the full scale it is of.

    Raises
    ------
    UsageError
        It says none of these, or nothing at all.
    """
    words = text.strip().lower().replace("±", "")
    coverage = None
    if found := _COVERAGE.fullmatch(words):
        words, coverage = found[1], _float(found[2])
    share = volts = decibels = 0.0
    digits = 0
    for part in (piece.strip() for piece in words.split("+")):
        if (found := _PERCENT_OF.fullmatch(part)) or (found := _CLASS.fullmatch(part)):
            volts += _float(found[1]) / 100.0 * _float(found[2]) * _UNITS_V[found[3]]
        elif found := _PERCENT.fullmatch(part):
            share += _float(found[1]) / 100.0
        elif found := _VOLTS.fullmatch(part):
            volts += _float(found[1]) * _UNITS_V[found[2]]
        elif found := _DECIBELS.fullmatch(part):
            decibels += _float(found[1])
        elif found := _DIGITS.fullmatch(part):
            digits += int(found[1])
        else:
            raise _no_accuracy(text)
    if not (share or volts or decibels or digits) or share >= 1.0 or coverage == 0.0:
        raise _no_accuracy(text)
    return Accuracy(text.strip(), share, digits, volts, decibels, coverage)


def _no_accuracy(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no accuracy of a meter.",
        hint="Write it as its manual does: 0.5%, 0.5%+3digits, 0.1% of 10V, 0.05dB, class 1.5 of 3V; k=2 behind it "
        "where the manual states an expanded uncertainty.",
    )


def parse_reading(text: str) -> Reading:
    """Read what a meter shows: ``1.2285 V`` (or without the V), ``1228.5 mV``, ``+4.01 dBu``, ``1.79 dBV``.

    Raises
    ------
    UsageError
        It is no number with one of these units, or no level above zero volts.
    """
    found = _READING.fullmatch(text.strip().lower())
    if not found:
        raise UsageError(
            f"{text.strip()!r} is no reading of a meter.", hint="Write 1.2285 V, 1228.5 mV, +4.01 dBu or 1.79 dBV."
        )
    digits = found[1].replace(",", ".").replace("−", "-")
    value, unit = float(digits), found[2] or "v"
    step = 10.0 ** -len(digits.partition(".")[2])
    if unit in _UNITS_V:
        volts, digit = value * _UNITS_V[unit], step * _UNITS_V[unit]
    elif abs(value) > 200.0:
        volts = digit = 0.0
    else:
        volts = 10.0 ** (value / 20.0) * (REFERENCE_V if unit == "dbu" else 1.0)
        digit = volts * step / DB_PER_RATIO
    if not 1e-6 <= volts <= 1e3:
        raise UsageError(
            f"{text.strip()!r} is no level of a line output.",
            hint="Read the AC voltage while the tone sounds, true RMS if the meter can.",
        )
    return Reading(text.strip(), volts, digit)


def _float(text: str) -> float:
    return float(text.replace(",", "."))


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contribution to the uncertainty: its standard uncertainty [dB] and where that comes from."""

    name: str
    sd_db: float
    how: str


class ChannelLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """dBu at 0 dBFS of an output or input; ``re_read_db`` is its difference from the output that was read."""

    channel: int
    address: str
    dbu_at_0dbfs: Figure
    re_read_db: Figure


class DbuReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading on file: what was played, what the meter showed, its class, and what follows. Immutable."""

    rig: str
    made_at: str
    program: str
    output: int
    address: str
    rate_hz: int
    freq_hz: float
    level_dbfs: float
    readings: tuple[str, ...]
    reading_dbu: float
    accuracy: str
    dbu_at_0dbfs: Figure
    parts: tuple[Part, ...]
    pad_db: float
    calibration: str
    calibration_hash: str
    outputs: tuple[ChannelLevel, ...] = ()
    inputs: tuple[ChannelLevel, ...] = ()
    schema: int = SCHEMA


@dataclass(frozen=True)
class StoredReading:
    """A reading with the file it stands in."""

    path: Path
    reading: DbuReading


def uncertainty(readings: Sequence[Reading], accuracy: Accuracy, *, steadiness_db: float | None) -> tuple[Part, ...]:
    """Return the contributions to the standard uncertainty of the mean of ``readings``.

    ``steadiness_db`` is the standard deviation of the tone's level while the meter was read, as its loop heard it; None
    where nothing heard it. Readings of one meter share its class: repeating them does not make that smaller.
    """
    kind = f"k = {accuracy.coverage:g}" if accuracy.coverage else "rectangular, / √3 (GUM 4.3.7)"
    parts = [Part("meter", max(accuracy.standard_db(r) for r in readings), f"{accuracy.text}, {kind}")]
    if not accuracy.digits:
        parts.append(Part("last digit", max(r.rounding_db for r in readings), "half a step, rectangular (GUM F.2.2.1)"))
    if len(readings) > 1:
        spread = statistics.stdev([r.dbu for r in readings]) / math.sqrt(len(readings))
        parts.append(Part("repeatability", spread, f"s / √{len(readings)} of the readings"))
    if steadiness_db is not None:
        parts.append(Part("tone", steadiness_db, "standard deviation of its level from second to second"))
    return tuple(parts)


def combined(parts: Sequence[Part]) -> float:
    """Return the combined standard uncertainty [dB]: the root of the sum of squares (GUM 5.1.2)."""
    return math.hypot(*(part.sd_db for part in parts))


def loop_gain(loop: LoopFacts) -> tuple[float, float] | None:
    """Return a loop's gain and its standard deviation [dB], nearest to the tone's frequency; None where it is dead."""
    if not loop.present:
        return None
    figures = figures_of(loop)
    for key in GAIN_KEYS:
        figure = figures.get(key)
        if figure is not None and figure.value is not None:
            return figure.value, figure.sd or 0.0
    return None


def derive(
    output: int, level: Figure, calibration: Calibration | None, *, pad_db: float
) -> tuple[tuple[ChannelLevel, ...], tuple[ChannelLevel, ...]]:
    """Return dBu at 0 dBFS of all outputs and inputs that a reading of ``output`` reaches through the calibrated loops.

    ``level`` is the read output's own [dBu]. Outputs that come back on another input are out of its reach.
    """
    loops = {} if calibration is None else calibration.by_output()
    value, sd = level.value, level.sd or 0.0
    own = loops.get(output)
    address = own.address if own is not None else ""
    outputs = [ChannelLevel(output, address, level, Figure(0.0, 0.0, "the output that was read"))]
    gain = None if own is None else loop_gain(own)
    if own is None or own.input is None or gain is None or value is None:
        return tuple(outputs), ()
    note = f"output − {pad_db:g} dB of pad − gain of the loop"
    back = Figure(value - pad_db - gain[0], math.hypot(sd, gain[1]), note)
    inputs = [ChannelLevel(own.input, "", back, Figure(-pad_db - gain[0], gain[1], note))]
    for other in loops.values():
        theirs = loop_gain(other)
        if other.output == output or other.input != own.input or theirs is None:
            continue
        ratio = theirs[0] - gain[0]
        ratio_sd = math.hypot(theirs[1], gain[1])
        told = f"by the ratio of the loops' gains on input {own.input}, paths taken for equal"
        outputs.append(
            ChannelLevel(
                other.output,
                other.address,
                Figure(value + ratio, math.hypot(sd, ratio_sd), told),
                Figure(ratio, ratio_sd, told),
            )
        )
    return tuple(sorted(outputs, key=lambda channel: channel.channel)), tuple(inputs)


def store(reading: DbuReading, folder: Path) -> StoredReading:
    """Write a reading under the next free number of ``folder``.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(reading), indent=2).decode() + "\n"
    return StoredReading(files.create_numbered(folder, "dbu.json", text), reading)


def all_readings(folder: Path) -> list[StoredReading]:
    """Return every reading of ``folder``, oldest first.

    Raises
    ------
    StorageError
        One of them is damaged or of a newer version; it is left untouched.
    """
    paths = sorted(folder.glob("*-dbu.json"), key=lambda path: (len(path.name), path.name)) if folder.is_dir() else []
    return [_load(path) for path in paths]


def _load(path: Path) -> StoredReading:
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data, type=dict[str, object]).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise StorageError(
                f"{path} was written by a newer Halfnormal (schema {schema}, this one reads {SCHEMA}).",
                hint="Update Halfnormal, or move the file elsewhere and read the meter again.",
            )
        return StoredReading(path, msgspec.json.decode(data, type=DbuReading))
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"{path} is damaged: {error}.", hint="Move it elsewhere and read the meter again; it was left as it is."
        ) from error
