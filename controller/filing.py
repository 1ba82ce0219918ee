"""Filing a print: a float render becomes a numbered BWF with its provenance beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controller import files, plugin_inserts, provenance
from controller.allocation import Allocation, RenderPath
from controller.events import Done, Emit, Finding
from controller.mix import Mix
from controller.print_format import PrintFormat
from controller.print_parts import PartWriter
from controller.project import Project
from controller.wav import NEVER_S, Bext, WavWriter
from dsp.levels import decibels
from hardware.known import utc_now

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOB = "print"


@dataclass(frozen=True)
class Print:
    """A finished print: its file, and the facts that stand in the provenance beside it."""

    number: int
    file: Path
    provenance_file: Path
    facts: dict[str, Any]


@dataclass(frozen=True)
class Render:
    """A whole print in float, on disk under a partial's name: ``frames`` long, ``peak`` [full scale]."""

    number: int
    file: Path
    frames: int
    peak: float
    facts: dict[str, Any]
    parts: PartWriter | None = None
    first_frame: int = 0


@dataclass(frozen=True)
class Title:
    """What a print is of, for its file's ``bext`` chunk."""

    project: str
    mix: str
    path: RenderPath
    rate_hz: int
    first_frame: int = 0
    """The frame of the song that the file begins with."""

    def bext(self) -> Bext:
        """Return the chunk's facts, dated now."""
        date, _, time = utc_now().partition("T")
        return Bext(
            description=f"{self.project}: {self.mix}, {self.path}",
            date=date,
            time=time[:8],
            time_reference=self.first_frame,
            coding_history=f"A=PCM,F={self.rate_hz},W=32,M=stereo,T=Halfnormal {self.path}\r\n",
        )


def write_render(file: Path, blocks: Iterator[NDArray[Any]], title: Title) -> tuple[int, float]:
    """Write stereo ``blocks`` to ``file`` as float; return frames and peak [full scale].

    Raises
    ------
    StorageError
        The disk took no more.
    """
    peak = 0.0
    with WavWriter(
        file, rate_hz=title.rate_hz, channels=2, subtype="FLOAT", bext=title.bext(), refresh_s=NEVER_S, sync_s=NEVER_S
    ) as writer:
        for block in blocks:
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            writer.write(block)
        return writer.frames, peak


def file_print(
    project: Project, mix: Mix, allocation: Allocation, render: Render, *, wanted: PrintFormat, emit: Emit
) -> Print:
    """Give ``render`` its number, format and provenance; what was recorded for it goes when all is there.

    A print that peaks above full scale is filed as float, whatever was asked, so that nothing clips.

    Raises
    ------
    StorageError
        The disk took no more; the recording is kept.
    """
    path = allocation.path
    for finding in plugin_inserts.troubles(allocation):
        emit(finding)
    format_ = _fitting(wanted, render.peak, emit)
    final = render.file
    if not format_.is_float:
        final = render.file.with_name(f".partial-{render.number:04d}-whole-numbers{format_.suffix}")
        bext = Title(project.title, mix.name, path, project.rate_hz, render.first_frame).bext()
        held = format_.write(render.file, final, frames=render.frames, bext=bext, seed=render.number)
        if held:
            what = f"{held} samples at full scale would have left it with the dither; they are held there"
            emit(Finding("print", what, "Lower the bus fader a little.", "warning"))
    file = project.prints / f"{render.number:04d}-{path}{format_.suffix}"
    parts = render.parts.file(file.stem, wanted) if render.parts is not None else []
    files.move_new(final, file)
    facts = {
        "schema": 1,
        "print": render.number,
        "file": file.name,
        "path": path,
        "rate_hz": project.rate_hz,
        "frames": render.frames,
        **format_.facts(render.number),
        "peak_dbfs": decibels(render.peak) if render.peak > 0 else None,
        **render.facts,
        **({"parts": parts} if parts else {}),
        **provenance.project_facts(project, mix, file),
        **plugin_inserts.provenance(allocation),
        "allocation": [
            {"strip": p.strip, "stage": p.stage, "where": p.where, "why": p.why} for p in allocation.placements
        ],
    }
    beside = provenance.store(file, facts)
    project.release_print(render.number)
    seconds = render.frames / project.rate_hz
    beside_it = f", and {len(parts)} stems and busses" if parts else ""
    emit(Done(JOB, f"{files.relative(file)}, {seconds:.1f} s, peak {decibels(render.peak):.1f} dBFS{beside_it}"))
    return Print(render.number, file, beside, facts)


def _fitting(wanted: PrintFormat, peak: float, emit: Emit) -> PrintFormat:
    """Return the format that a print of this peak [full scale] gets, and say where it is not what was asked for."""
    if not wanted.is_float and peak > 1.0:
        what = f"it peaks at {decibels(peak):+.2f} dBFS, so it is written as float and nothing clips"
        emit(Finding("print", what, f"Lower the bus fader for a {wanted.name} print.", "warning"))
        return wanted.as_float()
    if wanted.falls_back:
        what = f"there is no noise shape for {wanted.rate_hz} Hz, so the dither is flat"
        emit(Finding("print", what, "Shapes are for 44.1 and 48 kHz, and from 88.2 kHz on."))
    return wanted
