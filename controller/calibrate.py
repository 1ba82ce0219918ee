"""Calibration: measure every loop of the rig, name what is wrong in plain words, put it on file.

The desk is recalled to a neutral state, a tone comb sounds every output at once, from −60 dBFS upward while
the return is sane. Five pan patterns, one bit each of the strip's number, then tell which desk strip an output
really feeds: a swapped cable shows itself although both channels carry the same kind of signal.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from controller import desk as desks
from controller import loops as filed
from controller import probing, recall
from controller.desk import DeskStrip
from controller.errors import DeclinedError, UsageError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started, silent
from controller.loops import Calibration, LoopFacts, Problem, StoredCalibration
from controller.studio import Studio
from controller.version import VERSION
from dsp.levels import level_dbfs
from dsp.measure.loop import GAIN_DEFINITION, LATENCY_DEFINITION, NOISE_DEFINITION, noise_floor_dbfs
from hardware.errors import AudioError, SilentInputError
from hardware.seams import AudioStream
from profiles.profile import Value

if TYPE_CHECKING:
    from dsp.measure.loop import LoopMatrix

JOB = "calibrate"
DEFINITIONS = {"latency": LATENCY_DEFINITION, "gain": GAIN_DEFINITION, "noise": NOISE_DEFINITION}
PARTS = ("patch", "latency", "levels", "noise")
STAGES_DBFS = (-60.0, -50.0, -40.0)
"""RMS level per output of each stage: all outputs of a 24-strip desk together stay 14 dB above this."""
MEASURE_PERIODS = 4
NOISE_PERIODS = 2
RUNAWAY_DB = 4.0
"""A return that rises this much more than the stage did is taken for feedback."""
SILENCE_ABOVE_NOISE_DB = 6.0


def calibrate(
    studio: Studio,
    *,
    only: Collection[str] = (),
    emit: Emit,
    accept: Accept,
) -> StoredCalibration:
    """Measure the rig's loops and store the result.

    Nothing sounds or moves before the plan was accepted. ``only`` limits what is measured to some of ``PARTS``.

    Raises
    ------
    DeclinedError
        The plan was not accepted.
    UsageError
        ``only`` names no part, or the rig wires no console strip.
    SilentInputError
        Nothing at all came back on any return.
    AudioError, TransportError
        The stream or a device failed.
    """
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r} of a calibration.", hint=f"Choose from {', '.join(PARTS)}.")
    rig = studio.rig
    strips = desks.wired_strips(rig, studio.profiles)
    if not strips:
        raise UsageError(
            f"The rig {rig.name!r} wires no output to a console strip.", hint="Add a [[wire]] to the rig file."
        )
    ident = not only or "patch" in only
    patterns = _patterns(strips) if ident else [_side_by_parity(strips)]
    neutral = recall.plan_target(studio, _neutral(studio, strips, patterns[0]), believe=False)
    seconds = _seconds_of_signal(rig.audio.rate_hz, len(patterns)) + neutral.plan.seconds_estimated
    question = Question(
        f"Calibrate {rig.title}",
        (
            f"{len(strips)} loops; all outputs sound together, "
            f"{STAGES_DBFS[0]:g} to {STAGES_DBFS[-1]:g} dBFS RMS each, "
            f"about {seconds:.0f} s of signal.",
            "Turn the monitors down: the desk's mix bus carries the test signal.",
            *neutral.lines(),
            *(["Going ahead says that what is listed by hand stands so."] if neutral.plan.by_hand else []),
        ),
    )
    if not accept(question):
        raise DeclinedError("The calibration was not accepted; nothing sounded or moved.")
    emit(Started(JOB, rig.title, seconds))
    recall.demand_ports(studio, neutral)  # before the stream: a new MIDI client may make running audio stumble
    with studio.stream() as stream:
        neutral.confirm_hands(studio)
        recall.land_plan(studio, neutral, emit=emit)
        facts, problems = _measure(studio, stream, strips, patterns, emit)
    for problem in problems:
        emit(Finding(problem.where, problem.what, problem.hint, "problem"))
    calibration = Calibration(
        rig=rig.name,
        made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        rate_hz=rig.audio.rate_hz,
        block_frames=rig.audio.block_frames,
        program=VERSION,
        level_dbfs=STAGES_DBFS[-1],
        loops=tuple(facts),
        problems=tuple(problems),
    )
    stored = filed.store(calibration, studio.home.calibrations)
    good = sum(loop.ok for loop in facts)
    emit(Done(JOB, f"{good} of {len(facts)} loops are sound; stored as {stored.path.name}"))
    return stored


def _seconds_of_signal(rate_hz: int, patterns: int) -> float:
    measured = len(STAGES_DBFS) - 1 + MEASURE_PERIODS + patterns - 1 + NOISE_PERIODS
    settling = len(STAGES_DBFS) + patterns
    return (measured + settling * probing.SETTLE_PERIODS) * probing.PERIOD_FRAMES / rate_hz


def _side_by_parity(strips: Sequence[DeskStrip]) -> list[int]:
    return [index & 1 for index in range(len(strips))]


def _patterns(strips: Sequence[DeskStrip]) -> list[list[int]]:
    """One pan pattern a bit of the strip's index: 0 hard left, 1 hard right. Enough bits to tell all apart."""
    if any(strip.pan is None or strip.pan.by_hand for strip in strips):
        return [_side_by_parity(strips)]
    bits = max(1, (len(strips) - 1).bit_length())
    return [[index >> bit & 1 for index in range(len(strips))] for bit in range(bits)]


def _pans(strips: Sequence[DeskStrip], pattern: Sequence[int]) -> dict[str, Value]:
    target: dict[str, Value] = {}
    for strip, side in zip(strips, pattern, strict=True):
        strip.put(target, "pan", 100.0 if side else -100.0)
    return target


def _neutral(studio: Studio, strips: Sequence[DeskStrip], pattern: Sequence[int]) -> dict[str, Value]:
    """Return the state a calibration measures: faders at 0 dB, the rest out of the way, inserts out of circuit."""
    target: dict[str, Value] = {}
    for strip in strips:
        desks.seat_neutral(strip, target)
        strip.put(target, "fader", 0.0)
        strip.put(target, "mute", False)
    target.update(_pans(strips, pattern))
    master = desks.master_fader(studio.rig, studio.profiles)
    if master is not None:
        target[master[0]] = float(master[1].achieved(0.0))
    for insert in studio.rig.inserts:
        target.update(desks.out_of_circuit(insert))
    return target


def _measure(
    studio: Studio, stream: AudioStream, strips: Sequence[DeskStrip], patterns: Sequence[Sequence[int]], emit: Emit
) -> tuple[list[LoopFacts], list[Problem]]:
    active = [strip.output for strip in strips]
    rate_hz = studio.rig.audio.rate_hz
    steps = 1 + len(STAGES_DBFS) + len(patterns)
    done = 0

    def step(detail: str) -> None:
        nonlocal done
        emit(Progress(JOB, done / steps, detail=detail))
        done += 1

    step("listening to the silence")
    silence = probing.record(stream, None, NOISE_PERIODS)
    noise_dbfs = [float(level) for level in noise_floor_dbfs(silence, rate_hz=rate_hz)]
    comb = probing.make_comb(stream.outputs, active, rate_hz=rate_hz, level_dbfs=STAGES_DBFS[0])
    before_dbfs: float | None = None
    for index, level in enumerate(STAGES_DBFS[:-1]):
        step(f"all outputs at {level:g} dBFS")
        recording = probing.record(stream, comb.at_level(level), 1)
        before_dbfs = _check_sane(recording, before_dbfs, level - STAGES_DBFS[index - 1] if index else 0.0)
    comb = comb.at_level(STAGES_DBFS[-1])
    step(f"measuring at {STAGES_DBFS[-1]:g} dBFS")
    main = probing.probe(stream, comb, periods=MEASURE_PERIODS)
    _check_sane(main.recording, before_dbfs, STAGES_DBFS[-1] - STAGES_DBFS[-2])
    if not main.matrix.present.any() and level_dbfs(main.recording) <= max(noise_dbfs) + SILENCE_ABOVE_NOISE_DB:
        raise SilentInputError(
            f"Nothing came back on any return of {studio.rig.title} (noise {max(noise_dbfs):.0f} dBFS).",
            hint="Check that the desk is on, its mix output is patched to the interface, and the rig's [[return]].",
        )
    sides = [_sides(main.matrix, studio, active)]
    for pattern in patterns[1:]:
        step("telling the desk's strips apart by their pans")
        recall.land_plan(studio, recall.plan_target(studio, _pans(strips, pattern)), emit=silent)
        sides.append(_sides(probing.probe(stream, comb, periods=1).matrix, studio, active))
    emit(Progress(JOB, 1.0, 0.0))
    found = _strips_found(strips, patterns, sides)
    facts = [
        _facts(studio, strip, patterns[0][index], main.matrix, noise_dbfs, found.get(strip.output))
        for index, strip in enumerate(strips)
    ]
    return _judge(studio, facts)


def _check_sane(recording: np.ndarray, before_dbfs: float | None, rise_db: float) -> float:
    level = level_dbfs(recording)
    if before_dbfs is not None and level - before_dbfs > rise_db + RUNAWAY_DB:
        raise AudioError(
            f"The return rose {level - before_dbfs:.1f} dB when the test signal rose {rise_db:.0f} dB; it was stopped.",
            hint="Something feeds back: look for a return routed to its own input.",
        )
    return level


def _sides(matrix: LoopMatrix, studio: Studio, active: Sequence[int]) -> dict[int, int | None]:
    """Per output the side it came back on: 0 left, 1 right, None for nowhere or both."""
    left, right = desks.return_inputs(studio.rig)
    sides: dict[int, int | None] = {}
    for output in active:
        here = matrix.present[output - 1, left - 1], matrix.present[output - 1, right - 1]
        sides[output] = None if here[0] == here[1] else int(bool(here[1]))
    return sides


def _strips_found(
    strips: Sequence[DeskStrip], patterns: Sequence[Sequence[int]], sides: Sequence[Mapping[int, int | None]]
) -> dict[int, str]:
    if len(patterns) == 1 and len(strips) > 2:
        return {}
    codes = {tuple(p[index] for p in patterns): strip.address for index, strip in enumerate(strips)}
    found = {}
    for strip in strips:
        code = tuple(side[strip.output] for side in sides)
        if None not in code:
            found[strip.output] = codes.get(code, "an unwired strip")  # type: ignore[arg-type]  # None was ruled out
    return found


def _facts(
    studio: Studio,
    strip: DeskStrip,
    side: int,
    matrix: LoopMatrix,
    noise_dbfs: Sequence[float],
    found: str | None,
) -> LoopFacts:
    row = strip.output - 1
    expected = desks.return_inputs(studio.rig)[side]
    here = [i for i in range(len(noise_dbfs)) if matrix.present[row, i]]
    best = max(here, key=lambda i: matrix.gain_db[row, i]) if here else None
    cell = best if best is not None else expected - 1

    def number(values: np.ndarray) -> float:
        value = float(values[row, cell])
        return value if best is not None and math.isfinite(value) else 0.0

    return LoopFacts(
        output=strip.output,
        address=strip.address,
        expected_input=expected,
        input=None if best is None else best + 1,
        present=best is not None,
        polarity=int(matrix.polarity[row, cell]) if best is not None else 0,
        latency_samples=number(matrix.latency_samples),
        latency_sd=number(matrix.latency_sd),
        gain_db=number(matrix.gain_db),
        gain_sd=number(matrix.gain_sd),
        noise_dbfs=max(noise_dbfs[cell], -200.0),
        strip_found=found,
        ok=True,
    )


def _judge(studio: Studio, facts: Sequence[LoopFacts]) -> tuple[list[LoopFacts], list[Problem]]:
    """Say what is wrong with each loop, and mark it."""
    tolerance = studio.rig.tolerance
    alive = [f for f in facts if f.present]
    gain = statistics.median(f.gain_db for f in alive) if alive else 0.0
    latency = statistics.median(f.latency_samples for f in alive) if alive else 0.0
    judged: list[LoopFacts] = []
    problems: list[Problem] = []
    feeds = {f.strip_found: f.output for f in facts if f.strip_found}
    for loop in facts:
        where = f"output {loop.output} → {loop.address}"
        wrong: list[Problem] = []
        if not loop.present:
            wrong.append(
                Problem(
                    where,
                    f"nothing of output {loop.output} comes back: {loop.address} is dead",
                    "Check the cable, the channel's mute and insert, and the strip itself.",
                )
            )
        elif loop.strip_found is not None and loop.strip_found != loop.address:
            other = feeds.get(loop.address)
            swap = f" and output {other} feeds {loop.address}: the cables are swapped" if other else ""
            wrong.append(
                Problem(
                    where,
                    f"output {loop.output} feeds {loop.strip_found}, not {loop.address}{swap}",
                    f"Repatch output {loop.output} to {loop.address}, or change the rig's [[wire]].",
                )
            )
        elif loop.input != loop.expected_input:
            wrong.append(
                Problem(
                    where,
                    f"it comes back on input {loop.input}, not on {loop.expected_input}",
                    "Check the pan of the strip and the cables of the mix return.",
                )
            )
        if loop.present and loop.polarity < 0:
            wrong.append(
                Problem(
                    where,
                    f"{loop.address} comes back with inverted polarity",
                    "Look for a polarity switch that is in, or a cable with pins 2 and 3 exchanged.",
                )
            )
        if loop.present and abs(loop.gain_db - gain) > tolerance.gain_db:
            sign = "below" if loop.gain_db < gain else "above"
            wrong.append(
                Problem(
                    where,
                    f"{loop.address} is {abs(loop.gain_db - gain):.2f} dB {sign} the other loops, faders at 0 dB",
                    "Its fader or channel gain is off: check the trim pot, then the fader's own calibration.",
                )
            )
        if loop.present and abs(loop.latency_samples - latency) > max(tolerance.latency_samples, 64.0):
            wrong.append(
                Problem(
                    where,
                    f"it arrives {loop.latency_samples - latency:+.2f} samples from the other loops",
                    "Look for a converter or an insert with a latency of its own in this channel.",
                )
            )
        problems += wrong
        judged.append(_marked(loop, wrong))
    if alive and abs(gain) > 6.0:
        problems.append(
            Problem(
                "all loops",
                f"the whole loop has a gain of {gain:+.1f} dB",
                "Check the interface's output and input reference levels against the rig's dbu_at_0dbfs.",
            )
        )
    return judged, problems


def _marked(loop: LoopFacts, wrong: Sequence[Problem]) -> LoopFacts:
    import msgspec

    return msgspec.structs.replace(loop, ok=not wrong, why="; ".join(p.what for p in wrong))
