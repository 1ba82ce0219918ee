"""Printing a mix: through the desk, hybrid, or in the box; into a numbered BWF that knows where it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controller import files, loops, move_record, moves, plugin_inserts, provenance, recall
from controller.allocate import allocate, in_the_box
from controller.allocation import Allocation, RenderPath
from controller.audiofile import AudioReader
from controller.box_render import BoxRender, Wanted
from controller.desk import return_inputs
from controller.effect_files import with_files
from controller.errors import CalibrationError, DeclinedError, ProjectError, UsageError
from controller.events import Accept, Emit, Finding, Progress, Question, Started
from controller.feeds import FeedSource, check_headroom
from controller.filing import Print, Render, Title, file_print, write_render
from controller.loops import StoredCalibration
from controller.mix import Mix
from controller.passes import Recording, patched, record_pass
from controller.print_format import Dither, Format, PrintFormat
from controller.print_parts import PartWriter
from controller.project import Project, StemReader
from controller.recall import PlannedRecall
from controller.rendering import BLOCK_FRAMES, Rendering
from controller.reping import Reping, reping
from controller.rolling import Along, PlannedRolling, Roll, plan_rolling
from controller.studio import Studio
from controller.version import VERSION
from controller.wav import WavWriter
from dsp.graph import MixGraph
from dsp.graph_settings import STEREO, GraphStrip
from hardware.seams import AudioStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOB = "print"
_RETURN = "\0return"
"""A strip's name that no mix file can have."""
SETTLE_FRAMES = 256
"""Recorded past the last frame that the latency asks for, so that rounding never cuts the tail."""


def plan_allocation(
    project: Project, mix: Mix, studio: Studio | None, path: RenderPath, *, like: RenderPath | None = "analog"
) -> tuple[Allocation, StoredCalibration | None]:
    """Decide where everything runs, with the calibration in force.

    ``like`` says whose reachable values the box path takes; None takes the mix's own, unrounded.

    Raises
    ------
    CalibrationError
        The newest calibration cannot be read.
    MixError
        A file that an effect is made from is not there or no good; an effect cannot be built.
    """
    ready = with_files(mix, project.root)
    allocation, stored = _allocated(project, ready, studio, path, like)
    return replace(allocation, bypassed=plugin_inserts.bypassed(ready)), stored


def _allocated(
    project: Project, mix: Mix, studio: Studio | None, path: RenderPath, like: RenderPath | None
) -> tuple[Allocation, StoredCalibration | None]:
    channels = {strip.name: project.stem(strip.stem).channels for strip in mix.strips}
    if studio is None or (path == "itb" and like is None):
        return allocate(mix, channels, rig=None, profiles={}, path="itb", rate_hz=project.rate_hz), None
    stored = loops.latest(studio.home.calibrations)
    by_output = stored.calibration.by_output() if stored is not None else None
    allocation = allocate(
        mix,
        channels,
        rig=studio.rig,
        profiles=studio.profiles,
        path=like or "analog" if path == "itb" else path,
        loops=by_output,
        known=studio.state,
        rate_hz=project.rate_hz,
    )
    if path == "itb":
        return in_the_box(allocation), None
    return allocation, stored


def print_mix(
    project: Project,
    mix: Mix,
    *,
    path: RenderPath,
    studio: Studio | None,
    emit: Emit,
    accept: Accept,
    like: RenderPath | None = "analog",
    format_: Format = "24",
    dither: Dither = "flat",
    hands_done: bool = False,
    record_moves: bool = False,
    roll: Roll | None = None,
    wanted: Wanted | None = None,
) -> Print:
    """Render ``mix`` and file the print.

    Shows the allocation and what the rig has yet to be recalled to; nothing plays or moves before both were
    accepted. Whatever was recorded when a pass ends early stays recoverable. With ``record_moves`` what hands move on
    the desk during the pass becomes the moves of a new mix; ``roll`` says what machine runs with it. ``wanted`` asks a
    print in the box for stems, busses or a region. ``format_`` and ``dither`` say how it is filed; float has no dither.

    Raises
    ------
    DeclinedError
        The plan was not accepted.
    CalibrationError
        No calibration, a stale one, or one that the re-ping contradicts.
    MixError, ProjectError, StorageError, HardwareError
        The mix cannot be played, the disk or a device failed.
    UsageError
        Something is to run with the pass that the rig lacks, or there is no pass; or what is wanted is made in the box
        only, or outside of the song.
    """
    wanted = wanted or Wanted()
    if path != "itb" and wanted != Wanted(fresh=wanted.fresh):
        raise UsageError("Stems, busses and regions are rendered in the box only.", hint="Print with --path itb.")
    form = PrintFormat(format_, dither, project.rate_hz)
    allocation, stored = plan_allocation(project, mix, studio, path, like=like)
    for finding in allocation.bypassed:
        emit(finding)
    frames = project.frames + math.ceil(allocation.tail_s * project.rate_hz)
    if path != "itb" and not allocation.routes:
        emit(Finding("desk", "no strip of this mix runs on the desk; all of it is made in the box", severity="warning"))
    analog = bool(allocation.routes) and studio is not None
    if not analog:
        if roll is not None or record_moves:
            raise UsageError(
                "This print has no pass through the desk: nothing can run with it, and no hand be recorded.",
                hint="Print with --path analog or hybrid, or leave out --transport, --mtc and --record-moves.",
            )
        if not accept(Question(f"Print {mix.name} ({path})", tuple(allocation.lines()))):
            raise DeclinedError("The print was not accepted; nothing was written.")
        render = _render_box(project, mix, allocation, wanted, emit)
        return file_print(project, mix, allocation, render, wanted=form, emit=emit)
    assert studio is not None  # noqa: S101 - analog implies a studio
    stored = sound_calibration(studio, stored, project)
    planned = recall.plan_mix(studio, allocation)
    moving = moves.plan_moves(studio.profiles, allocation)
    rolling = plan_rolling(studio, roll)
    title = f"Print {mix.name} ({path}) through {studio.rig.title}"
    if not accept(Question(title, (*allocation.lines(), *moving.lines(), *rolling.lines(), *planned.lines()))):
        raise DeclinedError("The print was not accepted; nothing played or moved.")
    if planned.plan.by_hand and not hands_done:
        raise CalibrationError(
            f"{len(planned.plan.by_hand)} controls have to be set by hand first "
            f"({', '.join(step.address for step in planned.plan.by_hand[:3])}…).",
            hint="See 'halfnormal recall sheet'; when they stand, say so with --hands-done.",
        )
    check_headroom(
        project,
        allocation,
        outputs=studio.rig.audio.outputs,
        frames=frames,
        rate_hz=project.rate_hz,
        progress=lambda share: emit(Progress(JOB, share, detail="checking that no feed clips")),
    )
    render = _render_analog(
        project, mix, allocation, studio, stored, planned, moving, rolling, frames, emit, record_moves
    )
    return file_print(project, mix, allocation, render, wanted=form, emit=emit)


def _origin(mix: Mix, path: RenderPath, rig: str) -> dict[str, Any]:
    """Return what a print recovered after a crash should tell of its origin."""
    return {"mix": mix.name, "path": path, "rig": rig, "program": f"halfnormal {VERSION}"}


def sound_calibration(studio: Studio, stored: StoredCalibration | None, project: Project) -> StoredCalibration:
    """Return the calibration in force when a pass of ``project`` may rely on it.

    Raises
    ------
    CalibrationError
        There is none, it is stale, or it was made at another rate.
    ProjectError
        The project has another rate than the rig.
    """
    rig = studio.rig
    again = f"Run 'halfnormal calibrate --rig {rig.name}'."
    if stored is None:
        raise CalibrationError(f"The rig {rig.title} has never been calibrated.", hint=again)
    calibration = stored.calibration
    age = loops.age_hours(calibration)
    if age > rig.tolerance.calibration_hours:
        raise CalibrationError(
            f"The calibration {stored.path.name} is {age:.0f} hours old; this rig allows "
            f"{rig.tolerance.calibration_hours:g}.",
            hint=again,
        )
    if calibration.rate_hz != rig.audio.rate_hz:
        raise CalibrationError(
            f"The calibration {stored.path.name} was made at {calibration.rate_hz} Hz, the rig runs at "
            f"{rig.audio.rate_hz} Hz.",
            hint=again,
        )
    if project.rate_hz != rig.audio.rate_hz:
        raise ProjectError(
            f"The project is at {project.rate_hz} Hz and the rig's interface at {rig.audio.rate_hz} Hz.",
            hint="Set rate_hz in the rig's [audio], or make the project with --rate.",
        )
    return stored


def _render_analog(
    project: Project,
    mix: Mix,
    allocation: Allocation,
    studio: Studio,
    stored: StoredCalibration,
    planned: PlannedRecall,
    moving: moves.PlannedMoves,
    rolling: PlannedRolling,
    frames: int,
    emit: Emit,
    record_moves: bool,
) -> Render:
    """Recall, re-ping, record, repair; then trim to the song's start and run the bus stages of the box.

    Ports and stream are open before anything moves: a missing one leaves the rig as it was.
    """
    recall.demand_ports(studio, planned)
    with studio.stream() as stream:
        planned.confirm_hands(studio)
        origin = recall.RunOrigin(project.root, mix.name, allocation.path)
        recall.land_plan(studio, planned, emit=emit, origin=origin)
        ping = reping(stream, allocation, stored.calibration, studio, emit=emit)
        latency = round(ping.latency_samples)
        total = frames + latency + SETTLE_FRAMES
        number, partial = project.claim_print(_origin(mix, allocation.path, studio.rig.name))
        desk_frames = ping.latency_samples - moves.return_way_frames(stored.calibration, allocation)
        riding = moves.Riding(
            studio, moving, allocation.target, stream, desk_frames=desk_frames, emit=emit, listening=record_moves
        )
        recording = _record(
            project,
            allocation,
            stream,
            riding,
            rolling.along(studio, riding.in_pass, stream),
            number,
            partial,
            total,
            latency,
            emit,
        )
    snapshot = provenance.store_snapshot(project, studio)
    facts = {
        **provenance.rig_facts(studio, stored, snapshot),
        **_pass_facts(recording, ping, project.rate_hz),
        **moving.facts(desk_frames, project.rate_hz),
    }
    if record_moves:
        facts |= move_record.save_moves(project, mix, allocation, studio, riding.heard, emit=emit).facts()
    whole = partial.with_name(f".partial-{number:04d}-whole.wav")
    blocks = _analog_blocks(project, allocation, partial, recording, latency, frames, return_inputs(studio.rig))
    written, peak = write_render(whole, blocks, Title(project.title, mix.name, allocation.path, project.rate_hz))
    return Render(number, whole, written, peak, facts)


def _record(
    project: Project,
    allocation: Allocation,
    stream: AudioStream,
    riding: moves.Riding,
    along: Along,
    number: int,
    partial: Path,
    frames: int,
    latency: int,
    emit: Emit,
) -> Recording:
    sources: list[FeedSource] = []

    def make_source(start: int) -> FeedSource:
        source = FeedSource(
            project, allocation, outputs=stream.outputs, frames=frames, start=start, rate_hz=project.rate_hz
        )
        sources.append(source)
        return source

    emit(Started(JOB, f"recording {frames / project.rate_hz:.1f} s into {files.relative(partial)}"))
    writer = WavWriter(partial, rate_hz=project.rate_hz, channels=stream.inputs, subtype="FLOAT")
    try:
        return record_pass(
            stream, make_source, writer, frames=frames, latency_frames=latency, emit=emit, moves=along.in_pass
        )
    except BaseException:
        kept = writer.frames / project.rate_hz
        recovered = files.relative(project.prints / f"{number:04d}-recovered.wav")
        emit(
            Finding(
                "pass",
                f"it ended early; the {kept:.1f} s recorded so far are kept",
                f"Open the project again, with any command: they become {recovered}.",
                "warning",
            )
        )
        raise
    finally:
        writer.close()
        for source in sources:
            source.close()
        along.end(emit)
        riding.end()


def _pass_facts(recording: Recording, ping: Reping, rate_hz: int) -> dict[str, Any]:
    return {
        "latency_samples": ping.latency_samples,
        "latency_rest_samples": ping.latency_samples - round(ping.latency_samples),
        "noise_dbfs": ping.noise_dbfs,
        "xruns": [{"at_frame": x.at_frame, "frames": x.frames, "kind": x.kind} for x in recording.xruns],
        "repairs": [
            {"at_s": patch.start / rate_hz, "length_s": len(patch.audio) / rate_hz} for patch in recording.patches
        ],
    }


def _analog_blocks(
    project: Project,
    allocation: Allocation,
    raw: Path,
    recording: Recording,
    latency: int,
    frames: int,
    inputs: tuple[int, int],
) -> Iterator[NDArray[np.float64]]:
    """Yield the print from its recording: repaired, from the song's first frame on, through the box's bus stages."""
    sides = [number - 1 for number in inputs]
    late = allocation.sums_after_return
    at = latency
    with AudioReader(raw) as reader, StemReader(project, allocation.stems if late else ()) as stems:
        reader.seek(latency)

        def source(index: int, block: NDArray[np.float32]) -> None:
            nonlocal at
            if index:
                stems.fill(index - 1, block)
                return
            heard = patched(reader.read(len(block)), at, recording.patches, rate_hz=project.rate_hz)
            at += len(block)
            block[: len(heard)] = heard[:, sides]
            block[len(heard) :] = 0.0

        # The return is one more strip of the graph: what the box adds after it, and listens to, is in step with it.
        strips = (GraphStrip(_RETURN, 2, gains=STEREO), *(allocation.feeds if late else ()))
        busses = allocation.busses if late else ()
        with MixGraph(strips, busses, allocation.bus_feeds, rate_hz=project.rate_hz) as graph:
            rendering = Rendering(graph, source)
            for done in range(0, frames, BLOCK_FRAMES):
                yield rendering.read(min(BLOCK_FRAMES, frames - done)).bus


def _render_box(project: Project, mix: Mix, allocation: Allocation, wanted: Wanted, emit: Emit) -> Render:
    begin, first, last = wanted.frames(project, allocation)
    number, partial = project.claim_print(_origin(mix, allocation.path, project.rig))
    title = Title(project.title, mix.name, allocation.path, project.rate_hz, first)
    parts = PartWriter(project.prints, number, project.rate_hz, title.bext())
    try:
        box = BoxRender(project, mix, allocation, wanted, parts, emit)
        written, peak = write_render(partial, box.blocks(), title)
    except BaseException:
        # Nothing was recorded: a render can be made again at any time.
        parts.give_up()
        project.release_print(number)
        raise
    facts: dict[str, Any] = {
        "latency_samples": 0,
        "xruns": [],
        "repairs": [],
        "graph_latency_samples": box.latency_frames,
    }
    if box.frozen:
        facts["frozen"] = list(box.frozen)
    if not wanted.is_all:
        rate_hz = project.rate_hz
        facts["region"] = {
            "from_s": first / rate_hz,
            "to_s": last / rate_hz,
            "rendered_from_s": begin / rate_hz,
        }
    return Render(number, partial, written, peak, facts, parts, first)
