"""Reading a meter: a sine of a stated level on one output, what the engineer reads off, and a file of it."""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller import dbu, loops, sounding
from controller.dbu import Accuracy, DbuReading, Reading, StoredReading
from controller.errors import DeclinedError, UsageError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.figures import Figure
from controller.loop_tolerance import tell_age
from controller.studio import Studio
from controller.version import VERSION
from hardware.known import utc_now

if TYPE_CHECKING:
    from controller.sounding import Heard
    from hardware.seams import AudioStream

JOB = "dbu"
LEAST_S = 3
MOST_S = 600
"""How long the tone waits for a reading [s]."""
LEVELS_DBFS = (-60.0, -0.1)

Ask = Callable[[], Sequence[Reading]]
"""Waits for what the meter shows; it is called while the tone sounds, in a thread of its own."""


@dataclass(frozen=True)
class Request:
    """What is to be read: the output (from 1), the tone's level, the meter's class, what the path loses [dB]."""

    output: int
    level_dbfs: float
    accuracy: Accuracy
    pad_db: float = 0.0


def check_output(studio: Studio, output: int, level_dbfs: float) -> None:
    """Refuse an output that the interface lacks, and a level that cannot be played.

    Raises
    ------
    UsageError
        Which, and what there is.
    """
    audio = studio.rig.audio
    if not 1 <= output <= audio.outputs:
        raise UsageError(
            f"The rig {studio.rig.name!r} has no output {output}.", hint=f"Its outputs are 1 to {audio.outputs}."
        )
    low, high = LEVELS_DBFS
    if not low <= level_dbfs <= high:
        raise UsageError(
            f"A tone of {level_dbfs:g} dBFS cannot be played.", hint=f"Give a level from {low:g} to {high:g} dBFS."
        )


def read_dbu(studio: Studio, request: Request, *, ask: Ask, emit: Emit, accept: Accept) -> StoredReading:
    """Play a sine on one output, take what the meter shows, and put it on file with all that follows from it.

    Nothing sounds before the plan was accepted. The tone goes on until ``ask`` returns, three seconds at least.

    Raises
    ------
    DeclinedError
        The plan was not accepted.
    UsageError
        The interface has no such output, or the level cannot be played.
    CalibrationFileError, AudioError, AudioDropoutError
        The rig's calibration is damaged; the stream failed, a return overloaded or ran away.
    """
    rig = studio.rig
    check_output(studio, request.output, request.level_dbfs)
    stored = loops.latest(studio.home.calibrations)
    expected = 10.0 ** ((rig.audio.dbu_at_0dbfs + request.level_dbfs) / 20.0) * dbu.REFERENCE_V
    question = Question(
        f"Read output {request.output} of {rig.title} with a meter",
        (
            f"{sounding.FREQ_HZ:g} Hz on output {request.output} alone, from {sounding.FIRST_DBFS:g} dBFS up to "
            f"{request.level_dbfs:g} dBFS; it sounds until the reading is there.",
            f"By the rig's dbu_at_0dbfs the meter should show about {expected:.4g} V "
            f"({rig.audio.dbu_at_0dbfs + request.level_dbfs:+.2f} dBu).",
            "Put the meter across hot and cold of the output, with what it feeds connected: the load counts.",
            "Turn the monitors down: the tone goes wherever that output goes.",
        ),
    )
    if not accept(question):
        raise DeclinedError("The reading was not accepted; nothing sounded.")
    emit(Started(JOB, f"output {request.output}"))
    tell_age(stored, rig, JOB, emit)
    with studio.stream() as stream:
        sounding.climb(stream, request.output, request.level_dbfs)
        readings, heard = _hold(stream, request, ask, emit)
    reading = _judged(studio, request, readings, heard, stored)
    if stored is not None:
        _compare(reading, heard, stored, studio, emit)
    filed = dbu.store(reading, studio.home.readings)
    level = reading.dbu_at_0dbfs
    emit(
        Done(
            JOB,
            f"output {request.output}: {level.value:+.3f} ± {level.sd:.3f} dBu at 0 dBFS; stored as {filed.path.name}",
        )
    )
    return filed


def _hold(stream: AudioStream, request: Request, ask: Ask, emit: Emit) -> tuple[Sequence[Reading], list[Heard]]:
    """Sound until somebody has read the meter; return the readings and every second of the tone."""
    answer: list[Sequence[Reading]] = []
    failed: list[Exception] = []

    def wait() -> None:
        try:
            answer.append(ask())
        except Exception as error:
            failed.append(error)

    asking = threading.Thread(target=wait, name="meter", daemon=True)
    seconds = 0

    def enough(heard: Heard) -> bool:
        nonlocal seconds
        seconds += 1
        loudest = heard.loudest
        level = {} if loudest is None else {f"in {loudest}": float(heard.level_dbfs[loudest - 1])}
        emit(Progress(JOB, min(seconds / LEAST_S, 1.0), detail=f"{request.level_dbfs:g} dBFS", levels_dbfs=level))
        return seconds >= LEAST_S and not asking.is_alive()

    asking.start()
    heard = sounding.listen(stream, request.output, request.level_dbfs, windows=MOST_S, enough=enough)
    if asking.is_alive():
        emit(Finding(JOB, f"the tone ended after {MOST_S // 60} minutes; type what the meter showed", "", "warning"))
    asking.join()
    if failed:
        raise failed[0]
    return answer[0], heard


def _judged(
    studio: Studio,
    request: Request,
    readings: Sequence[Reading],
    heard: Sequence[Heard],
    stored: loops.StoredCalibration | None,
) -> DbuReading:
    rig = studio.rig
    parts = dbu.uncertainty(readings, request.accuracy, steadiness_db=_steadiness(heard))
    shown = statistics.fmean(reading.dbu for reading in readings)
    level = Figure(shown - request.level_dbfs, dbu.combined(parts), "meter reading − level played")
    calibration = None if stored is None else stored.calibration
    outputs, inputs = dbu.derive(request.output, level, calibration, pad_db=request.pad_db)
    return DbuReading(
        rig=rig.name,
        made_at=utc_now(),
        program=VERSION,
        output=request.output,
        address=rig.outputs.get(request.output, ""),
        rate_hz=rig.audio.rate_hz,
        freq_hz=sounding.FREQ_HZ,
        level_dbfs=request.level_dbfs,
        readings=tuple(reading.text for reading in readings),
        reading_dbu=shown,
        accuracy=request.accuracy.text,
        dbu_at_0dbfs=level,
        parts=parts,
        pad_db=request.pad_db,
        calibration="" if stored is None else stored.path.name,
        calibration_hash="" if stored is None else stored.content_hash,
        outputs=outputs,
        inputs=inputs,
    )


def _steadiness(heard: Sequence[Heard]) -> float | None:
    """Return how much the tone's level went up and down from second to second where it is heard best [dB]."""
    loudest = heard[-1].loudest if heard else None
    if loudest is None:
        return None
    levels = [second.level_dbfs[loudest - 1] for second in heard]
    steady = [float(level) for level in levels if math.isfinite(level)]
    return statistics.stdev(steady) if len(steady) > 1 else None


def _compare(
    reading: DbuReading, heard: Sequence[Heard], stored: loops.StoredCalibration, studio: Studio, emit: Emit
) -> None:
    """Say when the loop does not stand as calibrated now, and which outputs the reading cannot reach."""
    loop = stored.calibration.by_output().get(reading.output)
    gain = None if loop is None else dbu.loop_gain(loop)
    if loop is None or loop.input is None or gain is None:
        emit(
            Finding(
                JOB,
                f"{stored.path.name} knows no loop of output {reading.output}; nothing follows for other channels",
                f"Run 'halfnormal calibrate --rig {studio.rig.name}', then read an output that comes back.",
                "warning",
            )
        )
        return
    now = heard[-1].at(loop.input) if heard else None
    moved = None if now is None else now[0] - reading.level_dbfs - gain[0]
    if moved is None or abs(moved) > studio.rig.tolerance.gain_db:
        told = "is not heard" if moved is None else f"has {moved:+.2f} dB of gain more than calibrated"
        emit(
            Finding(
                f"output {loop.output} → {loop.address}",
                f"on input {loop.input} the tone {told}; the other channels' levels are those of the calibration",
                "The desk does not stand as it was calibrated, or a cable was moved.",
                "warning",
            )
        )
    reached = {channel.channel for channel in reading.outputs}
    beyond = [str(other.output) for other in stored.calibration.loops if other.output not in reached and other.present]
    if beyond:
        emit(
            Finding(
                JOB,
                f"outputs {', '.join(beyond)} come back on another input and are not known from this reading",
                f"Read one of them as well: --output {beyond[0]}.",
            )
        )
