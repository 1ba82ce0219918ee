"""Rendering in the box: a graph fed from files, in step with the song, whole or a region of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from controller.allocation import Allocation
from controller.audiofile import scan
from controller.desk import gain_to_db
from controller.errors import UsageError
from controller.events import Emit, Finding, Progress, Started
from controller.freezing import Freezer
from controller.mix import Mix
from controller.print_parts import Part, PartWriter
from controller.project import Project, StemReader
from controller.rendering import BLOCK_FRAMES, Rendering
from dsp.graph import GraphBlock, MixGraph
from dsp.graph_chunk import Freeze
from dsp.graph_settings import GraphStrip
from dsp.processor import STEP_FRAMES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JOB = "print"
METER_FLOOR_DBFS = -120.0


@dataclass(frozen=True)
class Wanted:
    """What a print in the box is asked for.

    ``stems`` and ``busses``: every strip behind its fader, every added bus, as files of their own. ``from_s`` to
    ``to_s`` [s] is the region, whole if left out; ``pre_roll_s`` before it the render begins, at the song's first frame
    if left out. ``fresh``: every insert runs, whatever is kept of earlier prints.
    """

    stems: bool = False
    busses: bool = False
    from_s: float = 0.0
    to_s: float | None = None
    pre_roll_s: float | None = None
    fresh: bool = False

    @property
    def is_all(self) -> bool:
        """Whether the whole song is wanted."""
        return self.from_s == 0.0 and self.to_s is None

    def frames(self, project: Project, allocation: Allocation) -> tuple[int, int, int]:
        """Return the frames of the song where the render begins, where the region begins, and where it ends.

        Raises
        ------
        UsageError
            There is no such region.
        """
        whole = project.frames + math.ceil(allocation.tail_s * project.rate_hz)
        first = round(self.from_s * project.rate_hz)
        last = whole if self.to_s is None else min(whole, round(self.to_s * project.rate_hz))
        if not 0 <= first < last:
            end_s = whole / project.rate_hz
            raise UsageError(
                f"There is nothing from {self.from_s:g} s to {last / project.rate_hz:g} s of this song.",
                hint=f"It goes from 0 to {end_s:.2f} s, with its tails.",
            )
        if self.pre_roll_s is None:
            return 0, first, last
        begin = max(0, first - round(self.pre_roll_s * project.rate_hz))
        return begin - begin % STEP_FRAMES, first, last


class BoxMix:
    """The strips of an allocation rendered from the project's stems, from frame ``begin`` of the song on.

    ``pre`` are the strips whose signals before the fader are wanted.
    ``levels_dbfs`` holds the peak of every strip after its fader in the newest block.
    """

    def __init__(
        self,
        project: Project,
        allocation: Allocation,
        *,
        itb: bool,
        begin: int = 0,
        pre: Collection[str] = (),
        stems: Sequence[str] = (),
        with_busses: bool = False,
        freeze: Freeze | None = None,
    ) -> None:
        self._strips = allocation.itb if itb else allocation.feeds
        self._stems = StemReader(project, allocation.stems)
        self._stems.seek(begin)
        self.graph = MixGraph(
            self._strips,
            allocation.busses_itb if itb else allocation.busses,
            allocation.bus_itb if itb else None,
            rate_hz=project.rate_hz,
            start_frame=begin,
            pre=pre,
            stems=stems,
            with_busses=with_busses,
            freeze=freeze,
        )
        self._rendering = Rendering(self.graph, self._stems.fill)
        self.levels_dbfs: dict[str, float] = {}

    def read(self, frames: int) -> GraphBlock:
        """Return the next frames of the song."""
        block = self._rendering.read(frames)
        self.levels_dbfs = strip_levels(self.graph.peaks(), self._strips)
        return block

    def skip(self, frames: int) -> None:
        """Go on by frames that nobody wants."""
        self._rendering.skip(frames)

    def close(self) -> None:
        """Release the stems and the graph's threads."""
        self.graph.close()
        self._stems.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def strip_levels(peaks_of: Sequence[NDArray[np.float32]], strips: Sequence[GraphStrip]) -> dict[str, float]:
    """Return the peak of every strip after its fader [dBFS] from those before it, for meters."""
    levels = {}
    for strip, peaks in zip(strips, peaks_of, strict=True):
        loudest = max(float(peak) * max(gains) for peak, gains in zip(peaks, strip.gains, strict=True))
        levels[strip.name] = max(gain_to_db(loudest), METER_FLOOR_DBFS)
    return levels


def bus_levels(block: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return the peaks of a stereo block [dBFS] under the names that meters of a return have."""
    import numpy as np

    peaks = np.abs(block).max(axis=0, initial=0.0)
    return {f"in {i + 1}": max(gain_to_db(float(peak)), METER_FLOOR_DBFS) for i, peak in enumerate(peaks)}


class BoxRender:
    """One render in the box: its stereo blocks, and the parts that it writes on the way."""

    def __init__(
        self, project: Project, mix: Mix, allocation: Allocation, wanted: Wanted, parts: PartWriter, emit: Emit
    ) -> None:
        self._project = project
        self._allocation = allocation
        self._emit = emit
        self._parts = parts
        self.begin, self.first, self.last = wanted.frames(project, allocation)
        heard = [strip.name for strip in mix.strips if mix.is_heard(strip)]
        silent = [strip.name for strip in mix.strips if strip.name not in heard]
        if wanted.stems and silent:
            emit(Finding("stems", f"muted, and no stem of them is written: {', '.join(silent)}"))
        self._stems = heard if wanted.stems else []
        self._busses = wanted.busses
        self._paths = {
            strip.name: project.stem(stem).path for strip, stem in zip(allocation.itb, allocation.stems, strict=True)
        }
        self._fresh = wanted.fresh
        self.latency_frames = 0
        self.frozen: tuple[str, ...] = ()
        """The strips of which the inserts were played from what is kept."""

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """Render; yield the stereo bus block by block."""
        self._say()
        with (
            Freezer(
                self._paths,
                rate_hz=self._project.rate_hz,
                begin=self.begin,
                frames=self.last - self.begin,
                emit=self._emit,
            ) as freezer,
            BoxMix(
                self._project,
                self._allocation,
                itb=True,
                begin=self.begin,
                stems=self._stems,
                with_busses=self._busses,
                freeze=None if self._fresh else freezer,
            ) as box,
        ):
            self.latency_frames = box.graph.latency_frames
            self.frozen = freezer.played
            if self.frozen:
                what = f"what the inserts of {', '.join(self.frozen)} made is played as the last print kept it"
                self._emit(Finding(JOB, what, "--fresh makes it again."))
            whole = self.last - self.begin
            for done in range(self.begin, self.first, BLOCK_FRAMES):
                box.skip(min(BLOCK_FRAMES, self.first - done))
                self._emit(Progress(JOB, (done - self.begin) / whole, detail="running up to the region"))
            for done in range(self.first, self.last, BLOCK_FRAMES):
                block = box.read(min(BLOCK_FRAMES, self.last - done))
                levels = box.levels_dbfs | bus_levels(block.bus)
                self._emit(Progress(JOB, (done - self.begin) / whole, detail="rendering", levels_dbfs=levels))
                for name, audio in block.stems.items():
                    self._parts.write(Part("stem", name), audio)
                for name, audio in block.busses.items():
                    self._parts.write(Part("bus", name), audio)
                yield block.bus
            for name, count in box.graph.non_finite.items():
                freezer.spoilt = True
                self._look_at(name, count)

    def _look_at(self, name: str, count: int) -> None:
        """Refuse a stem that holds what is no number, naming the place; say so where an effect made it.

        Raises
        ------
        AudioFileError
            The stem holds NaN or infinity.
        """
        scan(self._paths[name])
        where = f"{count} samples that the effects of strip {name} made were no numbers, and are silent"
        self._emit(Finding("print", where, "Look at its inserts.", "warning"))

    def _say(self) -> None:
        rate_hz = self._project.rate_hz
        seconds = (self.last - self.first) / rate_hz
        detail = f"rendering {seconds:.1f} s in the box"
        if self.first:
            run_up_s = (self.first - self.begin) / rate_hz
            detail += f", from {self.first / rate_hz:g} s of the song"
            detail += (
                "; run up to from its first frame, so that every sample is the whole print's"
                if self.begin == 0
                else f", with {run_up_s:g} s of pre-roll"
            )
        self._emit(Started(JOB, detail))
        tail_s = self._allocation.tail_s
        if self.begin and self.first - self.begin < tail_s * rate_hz:
            what = (
                f"the pre-roll is shorter than the longest tail of this mix, {tail_s:.1f} s: something may be missing"
            )
            hint = "Leave out --pre-roll, and the render begins with the song."
            self._emit(Finding("print", what, hint, "warning"))
