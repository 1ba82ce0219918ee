"""Calibration: measure every loop of the rig, name what is wrong in plain words, put it on file.

A desk is recalled to a neutral state, a tone comb sounds every output at once, from −60 dBFS upward while the return is
sane, and finer measurements follow, section by section. Five pan patterns, one bit each of the strip's number, tell
which desk strip an output really feeds: a swapped cable shows itself although both channels carry tones.

The same programme can be written to a file and played in another room; what was recorded there is read alike.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from controller import calibrate_wiring, recall
from controller import loops as filed
from controller.calibrate_judge import judge
from controller.calibrate_live import JOB, Live, heard_so_far
from controller.calibrate_reading import read
from controller.calibrate_sections import FIRST_DBFS, Programme, programme
from controller.errors import DeclinedError
from controller.events import Accept, Done, Emit, Finding, Question, Started, silent
from controller.figures import BY_KEY, PARTS, Figure
from controller.loops import Calibration, StoredCalibration
from controller.studio import Studio
from controller.version import VERSION
from hardware.errors import AudioError

if TYPE_CHECKING:
    from controller.calibrate_takes import Ledger
    from controller.calibrate_wiring import Wiring
    from controller.planned import PlannedRecall

__all__ = ["DEFINITIONS", "FIRST_DBFS", "JOB", "PARTS", "calibrate", "from_recording", "make_probe", "probe_seconds"]

DEFINITIONS = {key: kind.definition for key, kind in BY_KEY.items()}
RELATIVE = "the recording has no common start with the probe; latencies are re the loop that carried the pilot"


def calibrate(
    studio: Studio,
    *,
    only: Collection[str] = (),
    level_dbfs: float | None = None,
    emit: Emit,
    accept: Accept,
) -> StoredCalibration:
    """Measure the rig's loops and store the result.

    Nothing sounds or moves before the plan was accepted. ``only`` limits what is measured to some of ``PARTS``;
    ``level_dbfs`` is the level of the loudest tone.

    Raises
    ------
    DeclinedError
        The plan was not accepted.
    UsageError
        ``only`` names no part, the level cannot be played, or no output of the rig comes back.
    SilentInputError
        Nothing at all came back on any return.
    AudioError, TransportError
        The stream or a device failed, a return overloaded or grew by itself. Nothing is stored.
    """
    rig = studio.rig
    found = calibrate_wiring.wiring(rig, studio.profiles)
    plan = programme(rig, found, only=only, tone_dbfs=level_dbfs)
    target = calibrate_wiring.neutral(studio, found)
    neutral = recall.plan_target(studio, target, believe=False) if target else None
    seconds = plan.seconds + (neutral.plan.seconds_estimated if neutral is not None else 0.0)
    if not accept(Question(f"Calibrate {rig.title}", _lines(plan, found, neutral))):
        raise DeclinedError("The calibration was not accepted; nothing sounded or moved.")
    emit(Started(JOB, rig.title, seconds))
    if neutral is not None:
        recall.demand_ports(studio, neutral)  # before the stream: a new MIDI client may make running audio stumble

    def set_pans(pattern: int) -> None:
        recall.land_plan(studio, recall.plan_target(studio, calibrate_wiring.pans(found, pattern)), emit=silent)

    with studio.stream() as stream:
        if neutral is not None:
            neutral.confirm_hands(studio)
            recall.land_plan(studio, neutral, emit=emit)
        live = Live(stream, plan, found, emit, set_pans, rig.title)
        try:
            live.play()
        except AudioError:
            emit(Finding(JOB, heard_so_far(live.ledger.known), severity="warning"))
            raise
    return _store(studio, plan, found, live.ledger, emit=emit, repairs=len(live.runs.repairs))


def make_probe(
    studio: Studio, path: Path, *, only: Collection[str] = (), level_dbfs: float | None = None, emit: Emit
) -> Programme:
    """Write the whole programme as one WAV with as many channels as the interface has outputs; nothing sounds.

    Raises
    ------
    UsageError
        ``only`` names no part, the level cannot be played, or no output of the rig comes back.
    ExistsError, StorageError
        The file is already there, or cannot be written.
    """
    from controller.calibrate_probe_file import write_probe

    found = calibrate_wiring.wiring(studio.rig, studio.profiles)
    plan = programme(studio.rig, found, only=only, tone_dbfs=level_dbfs, patterns=False)
    write_probe(path, plan, emit=emit)
    return plan


def probe_seconds(plan: Programme) -> float:
    """Return the length of the probe's file [s], marks, pilots and pauses included."""
    from controller.calibrate_probe_file import Timeline

    return Timeline(plan).frames / plan.rate_hz


def from_recording(
    studio: Studio, path: Path, *, only: Collection[str] = (), level_dbfs: float | None = None, emit: Emit
) -> StoredCalibration:
    """Read a recording of :func:`make_probe`'s file and store the calibration; nothing sounds or moves.

    ``only`` and ``level_dbfs`` are those the probe was made with.

    Raises
    ------
    UsageError
        ``only`` names no part, or the level cannot be played.
    AudioFileError
        The recording is damaged, cut short, of another rate, of too few channels, overloaded, or of another probe.
    """
    from controller.calibrate_recording import read_recording

    found = calibrate_wiring.wiring(studio.rig, studio.profiles)
    plan = programme(studio.rig, found, only=only, tone_dbfs=level_dbfs, patterns=False)
    emit(Started(JOB, f"{studio.rig.title}, from {path.name}"))
    recording = read_recording(path, plan, found, emit=emit)
    return _store(studio, plan, found, recording.ledger, emit=emit, source=path, drift=recording.drift)


def _store(
    studio: Studio,
    plan: Programme,
    found: Wiring,
    ledger: Ledger,
    *,
    emit: Emit,
    source: Path | None = None,
    drift: Figure | None = None,
    repairs: int = 0,
) -> StoredCalibration:
    rig = studio.rig
    reading = read(
        plan, found, ledger.takes, ledger.vanished, from_recording=RELATIVE if source is not None else "", emit=emit
    )
    facts, problems = judge(found, reading, ledger.vanished, rig.tolerance)
    for remark in reading.remarks:
        emit(Finding(rig.title, remark))
    for problem in problems:
        emit(Finding(problem.where, problem.what, problem.hint, "problem"))
    calibration = Calibration(
        rig=rig.name,
        made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        rate_hz=plan.rate_hz,
        block_frames=rig.audio.block_frames,
        program=VERSION,
        level_dbfs=plan.comb_dbfs,
        loops=tuple(facts),
        problems=tuple(problems),
        parts=plan.parts,
        figures={**reading.figures, **({"drift_ppm": drift} if drift is not None else {})},
        source=str(source) if source is not None else "",
        seconds_of_signal=plan.seconds,
        repairs=repairs,
    )
    stored = filed.store(calibration, studio.home.calibrations)
    good = sum(loop.ok for loop in facts)
    emit(Done(JOB, f"{good} of {len(facts)} loops are sound; stored as {stored.path.name}"))
    return stored


def _lines(plan: Programme, found: Wiring, neutral: PlannedRecall | None) -> tuple[str, ...]:
    """Write the plan as a person reads it: how loud, how long, part by part, and what moves first."""
    shares = plan.seconds_by_part()
    parts = ", ".join(f"{part} {shares[part]:.0f} s" if part in shares else f"{part} with it" for part in plan.parts)
    tones = "levels" in plan.parts or "distortion" in plan.parts
    rounds = len(found.rounds())
    return (
        f"{len(found.loops)} loops; all outputs sound together, "
        f"{FIRST_DBFS:g} to {plan.comb_dbfs:g} dBFS RMS each, "
        f"about {plan.seconds:.0f} s of signal.",
        f"In order: {parts}. What several parts share counts for the first.",
        *(
            [
                f"Then single tones, one output a return at a time ({rounds} {'round' if rounds == 1 else 'rounds'}), "
                f"{FIRST_DBFS:g} up to {plan.tone_dbfs:g} dBFS."
            ]
            if tones
            else []
        ),
        *(f"Left out: {line}." for line in found.unmatched),
        "Turn the monitors down: the desk's mix bus carries the test signal."
        if found.panned
        else "Turn the monitors down, and take out of the patch what must not hear a test signal.",
        *(neutral.lines() if neutral is not None else ()),
        *(
            ["Going ahead says that what is listed by hand stands so."]
            if neutral is not None and neutral.plan.by_hand
            else []
        ),
    )
