"""Aligning a rig's levels: a tone at a standard's alignment level, and what to turn, live, until every line is inside.

Two standards fix what 0 dBFS is worth: EBU R68 (alignment level 0 dBu at −18 dBFS), SMPTE RP 155 (+4 dBu at −20 dBFS).
The input is the meter: a reading on file says what a level there is in dBu. A line that was read itself is judged by
its own reading; another by the newest one that reaches its input, and then both paths are taken for equal.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controller import dbu, loops, recall, sounding
from controller.calibrate_wiring import neutral, wiring
from controller.dbu import ChannelLevel, StoredReading
from controller.errors import CalibrationError, DeclinedError, UsageError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.figures import Figure
from controller.loop_tolerance import tell_age
from controller.loops import LoopFacts
from controller.studio import Studio

if TYPE_CHECKING:
    from controller.sounding import Heard
    from hardware.seams import AudioStream

JOB = "trim"
Side = Literal["output", "input"]
WINDOW_S = 0.5
ONCE_WINDOWS = 4
INSIDE_WINDOWS = 3
"""So many windows in a row must be inside before a line counts as done: a hand is still on the screw."""
MOST_WINDOWS = 1200
TOLERANCE_DB = 0.1
_OWN = re.compile(r"(?i)dbu\s*=\s*([+\-]?\d+(?:[.,]\d+)?)")


@dataclass(frozen=True)
class Standard:
    """An alignment: ``level_dbu`` of a sine at ``level_dbfs``."""

    name: str
    level_dbfs: float
    level_dbu: float

    @property
    def dbu_at_0dbfs(self) -> float:
        """What a full-scale sine is worth [dBu]."""
        return self.level_dbu - self.level_dbfs


STANDARDS = (Standard("EBU-R68", -18.0, 0.0), Standard("SMPTE-RP155", -20.0, 4.0))
OWN_LEVEL_DBFS = -20.0


def standard(word: str) -> Standard:
    """Return the standard of that name, or for ``DBU=18`` one whose full-scale sine is +18 dBu.

    Raises
    ------
    UsageError
        There is none, or no interface has such a level.
    """
    for known in STANDARDS:
        if word.strip().upper() == known.name:
            return known
    found = _OWN.fullmatch(word.strip())
    full_scale = float(found[1].replace(",", ".")) if found else math.nan
    if not -20.0 <= full_scale <= 36.0:
        raise UsageError(
            f"There is no standard {word!r}.",
            hint=f"There is: {', '.join(s.name for s in STANDARDS)}, or DBU=18 for +18 dBu at 0 dBFS.",
        )
    return Standard(f"{full_scale:+g} dBu at 0 dBFS", OWN_LEVEL_DBFS, full_scale + OWN_LEVEL_DBFS)


@dataclass(frozen=True)
class Line:
    """One line to align: an output with the input that hears it and what is known in dBu.

    ``reference`` is the input's level when outputs are trimmed, else the output's; ``meter`` names its reading.
    """

    output: int
    address: str
    input: int
    reference: ChannelLevel
    pad_db: float
    meter: str = ""

    def name(self, side: Side) -> str:
        """Name it by the side whose trim is turned."""
        return f"line {self.output} ({self.address})" if side == "output" else f"input {self.input}"


@dataclass(frozen=True)
class LineReading:
    """Where a line stands: ``error_db`` is what to turn it up by, with its standard deviation; −∞ heard is silent."""

    line: Line
    side: Side
    level: Figure
    error_db: Figure
    inside: bool

    @property
    def sentence(self) -> str:
        """What to do, as it is said to the one at the trims."""
        name = self.line.name(self.side)
        if self.error_db.value is None:
            return f"{name} is silent"
        amount, sd = abs(self.error_db.value), self.error_db.sd or 0.0
        if self.inside:
            return f"{name} is right: {self.error_db.value:+.2f} ± {sd:.2f} dB to go"
        return f"turn {name} {'up' if self.error_db.value > 0 else 'down'} {amount:.2f} dB (± {sd:.2f})"


@dataclass(frozen=True)
class Request:
    """What to align: the standard, which side's trims, the outputs (none: all that the reading reaches), how closely.

    ``once`` measures every line and waits for no hand.
    """

    standard: Standard
    side: Side = "output"
    outputs: tuple[int, ...] = ()
    tolerance_db: float = TOLERANCE_DB
    once: bool = False


def trim(
    studio: Studio,
    request: Request,
    *,
    emit: Emit,
    accept: Accept,
    watch: Callable[[LineReading], bool] = lambda reading: False,
) -> list[LineReading]:
    """Lead every line to the standard's level, one after the other, and return where each one ended.

    ``watch`` is told twice a second where the line stands, and returns whether to go on to the next one. The desk is
    brought to the state that calibrations measure. Nothing sounds or moves before the plan was accepted.

    Raises
    ------
    CalibrationError
        There is no calibration, or no reading of a meter that reaches the lines.
    DeclinedError
        The plan was not accepted.
    UsageError
        There is no such line.
    AudioError, AudioDropoutError, TransportError
        The stream or a device failed, a return overloaded or ran away.
    """
    rig = studio.rig
    found = lines(studio, request)
    as_calibrated = neutral(studio, wiring(rig, studio.profiles))
    planned = recall.plan_target(studio, as_calibrated, believe=False)
    level = request.standard.level_dbfs
    question = Question(
        f"Align {rig.title} to {request.standard.name}",
        (
            f"{sounding.FREQ_HZ:g} Hz at {level:g} dBFS on one line after the other, each from "
            f"{sounding.FIRST_DBFS:g} dBFS upward; right is {request.standard.level_dbu:+g} dBu "
            f"within {request.tolerance_db:g} dB.",
            f"The trims of {_those(found, request.side)}.",
            *(f"The meter: {meter}." for meter in sorted({line.meter for line in found})),
            "Turn the monitors down: the desk's mix bus carries the tone.",
            *planned.lines(),
            *(["Going ahead says that what is listed by hand stands so."] if planned.plan.by_hand else []),
        ),
    )
    if not accept(question):
        raise DeclinedError("The alignment was not accepted; nothing sounded or moved.")
    emit(Started(JOB, f"{_those(found, request.side)}, {request.standard.name}"))
    tell_age(loops.latest(studio.home.calibrations), rig, JOB, emit)
    recall.demand_ports(studio, planned)
    told: list[LineReading] = []
    with studio.stream() as stream:
        planned.confirm_hands(studio)
        recall.land_plan(studio, planned, emit=emit)
        for index, line in enumerate(found):
            told.append(_align(stream, line, request, index / len(found), emit, watch))
            emit(Finding(JOB, told[-1].sentence, severity="note" if told[-1].inside else "warning"))
    inside = sum(reading.inside for reading in told)
    emit(Done(JOB, f"{inside} of {len(told)} lines are within {request.tolerance_db:g} dB of {request.standard.name}"))
    return told


def lines(studio: Studio, request: Request) -> list[Line]:
    """Return the lines that can be aligned, by the rig's newest calibration and the newest readings that reach them.

    Raises
    ------
    CalibrationError
        There is no calibration, or no reading.
    UsageError
        An output of the request is none of them.
    """
    rig = studio.rig
    stored = loops.latest(studio.home.calibrations)
    if stored is None:
        raise CalibrationError(
            f"The rig {rig.title} has never been calibrated.", hint=f"Run 'halfnormal calibrate --rig {rig.name}'."
        )
    readings = dbu.all_readings(studio.home.readings)
    if not readings:
        raise CalibrationError(
            f"No meter has been read on the rig {rig.title}: what 0 dBFS is in dBu is not known.",
            hint=f"Run 'halfnormal loops dbu --rig {rig.name} --output 1 --accuracy 0.5%'.",
        )
    found = [line for loop in stored.calibration.loops if (line := _line(loop, readings, request.side)) is not None]
    missing = [output for output in request.outputs if output not in {line.output for line in found}]
    if missing or not found:
        raise UsageError(
            f"Output {missing[0]} cannot be aligned: no reading of a meter reaches the input it comes back on."
            if missing
            else "No line can be aligned: no loop comes back on an input that a reading of a meter reaches.",
            hint=f"Run 'halfnormal loops dbu --rig {rig.name} --output {missing[0] if missing else 1}' first.",
        )
    chosen = [line for line in found if not request.outputs or line.output in request.outputs]
    if request.side == "input":
        chosen = list({line.input: line for line in reversed(chosen)}.values())[::-1]
    return chosen


def _line(loop: LoopFacts, readings: Sequence[StoredReading], side: Side) -> Line | None:
    """Return the line of a loop, with the newest reading that knows its input (or, to trim inputs, its output)."""
    if loop.input is None or not loop.present:
        return None
    own_first = sorted(readings, key=lambda stored: stored.reading.output == loop.output)
    for stored in reversed(own_first):
        reading = stored.reading
        channels, number = (reading.inputs, loop.input) if side == "output" else (reading.outputs, loop.output)
        known = next((channel for channel in channels if channel.channel == number), None)
        if known is not None and known.dbu_at_0dbfs.value is not None:
            meter = f"{stored.path.name} of {reading.made_at[:10]}, output {reading.output}, {reading.accuracy}"
            return Line(loop.output, loop.address, loop.input, known, reading.pad_db, meter)
    return None


def _those(found: Sequence[Line], side: Side) -> str:
    numbers = sorted({line.output if side == "output" else line.input for line in found})
    return f"{side}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _align(
    stream: AudioStream,
    line: Line,
    request: Request,
    done: float,
    emit: Emit,
    watch: Callable[[LineReading], bool],
) -> LineReading:
    level = request.standard.level_dbfs
    sounding.climb(stream, line.output, level)
    if request.once:
        heard = sounding.listen(stream, line.output, level, windows=ONCE_WINDOWS, window_s=WINDOW_S)
        return judge(line, request, heard)
    inside = 0

    def enough(heard: Heard) -> bool:
        nonlocal inside
        reading = judge(line, request, [heard])
        inside = inside + 1 if reading.inside else 0
        emit(Progress(JOB, done, detail=reading.sentence))
        return watch(reading) or inside >= INSIDE_WINDOWS

    heard = sounding.listen(stream, line.output, level, windows=MOST_WINDOWS, window_s=WINDOW_S, enough=enough)
    return judge(line, request, heard[-INSIDE_WINDOWS:])


def judge(line: Line, request: Request, heard: Sequence[Heard]) -> LineReading:
    """Say where a line stands by what its input heard: the mean of the windows."""
    levels = [found for window in heard if (found := window.at(line.input)) is not None]
    reference = line.reference.dbu_at_0dbfs
    if not levels or reference.value is None:
        return LineReading(line, request.side, Figure(None, None, "silent"), Figure(None, None, "silent"), False)
    shown = statistics.fmean(level for level, _ in levels)
    noise = math.hypot(*(sd for _, sd in levels)) / len(levels)
    sd = math.hypot(noise, reference.sd or 0.0)
    if request.side == "output":
        level = Figure(shown + reference.value + line.pad_db, sd, "dBu at the output")
        error = request.standard.level_dbu - (level.value or 0.0)
    else:
        arriving = reference.value + request.standard.level_dbfs - line.pad_db
        level = Figure(shown, noise, "dBFS at the input")
        error = arriving - request.standard.dbu_at_0dbfs - shown
    return LineReading(line, request.side, level, Figure(error, sd), abs(error) <= request.tolerance_db)
