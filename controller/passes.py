"""One real-time pass: play the feeds, record the return, and record again only what an xrun damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from controller.box_render import bus_levels
from controller.events import Emit, Finding, Progress
from controller.wav import WavWriter
from controller.xruns import damaged_regions, guard_frames
from hardware.errors import AudioDropoutError
from hardware.seams import AudioStream, RunReport, Sink, Source, Xrun

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOB = "print"
PREROLL_S = 2.0
"""What is played before a damaged region, so that compressors and reverbs stand as they did."""
CROSSFADE_S = 0.005
MERGE_S = 0.25
TRIES = 6


class MeteredSource(Source, Protocol):
    """A source that knows the level of every strip in its newest block [dBFS]."""

    levels_dbfs: dict[str, float]


class Moves(Protocol):
    """What moves on the rig while a pass is played."""

    def begin(self, start: int) -> Callable[[int], None]:
        """Bring every control to where it stands at frame ``start`` of the pass; return what a run calls each block.

        The callback takes the frame of the run, from 0 at ``start``.
        """
        ...


@dataclass(frozen=True)
class Patch:
    """Audio recorded again for frames ``start`` to ``start + len(audio)`` of the recording.

    ``fades`` says at which of its two ends it crossfades with the recording: not at the recording's own ends.
    """

    start: int
    audio: NDArray[np.float32]
    fades: tuple[bool, bool] = (True, True)


@dataclass(frozen=True)
class Recording:
    """What a pass left: its xruns, the regions that were damaged, and their repairs."""

    frames: int
    xruns: tuple[Xrun, ...]
    patches: tuple[Patch, ...]


class _Tape:
    """The sink of a pass: everything goes to disk as it comes; levels go to the face."""

    def __init__(self, writer: WavWriter) -> None:
        self._writer = writer
        self.levels_dbfs: dict[str, float] = {}

    def write(self, block: NDArray[np.float32]) -> None:
        self._writer.write(block)
        self.levels_dbfs = bus_levels(block)


class _Region:
    """The sink of a repair: keeps what lies from ``keep_from`` on."""

    def __init__(self, keep_from: int, frames: int, inputs: int) -> None:
        self.audio: NDArray[np.float32] = np.zeros((frames, inputs), np.float32)
        self._at = -keep_from

    def write(self, block: NDArray[np.float32]) -> None:
        begin, end = max(self._at, 0), min(self._at + len(block), len(self.audio))
        if end > begin:
            self.audio[begin:end] = block[begin - self._at : end - self._at]
        self._at += len(block)


def record_pass(
    stream: AudioStream,
    make_source: Callable[[int], MeteredSource],
    writer: WavWriter,
    *,
    frames: int,
    latency_frames: int,
    emit: Emit,
    moves: Moves | None = None,
) -> Recording:
    """Play and record ``frames`` frames, then repair what xruns damaged.

    ``make_source(start)`` renders the feeds from frame ``start`` on. The recording streams to ``writer``; the
    repairs are short and come back in memory. ``moves`` begin anew for each repair, where it starts.

    Raises
    ------
    AudioDropoutError
        A region was disturbed again at every try; the recording is on disk, the region is named.
    """
    source, tape = make_source(0), _Tape(writer)
    began = time.monotonic()

    def progress(done: int) -> None:
        share = done / frames
        left = (time.monotonic() - began) * (1 - share) / share if share > 0.02 else None
        emit(Progress(JOB, share, left, "recording", source.levels_dbfs | tape.levels_dbfs))

    report = _run(stream, source, tape, frames, start=0, moves=moves, progress=progress)
    guard = guard_frames(stream, latency_frames)
    merge = round(MERGE_S * stream.rate_hz)
    regions = damaged_regions(report.xruns, frames=frames, guard=guard, merge=merge)
    patches = []
    for begin, end in regions:
        where = f"{begin / stream.rate_hz:.2f}–{end / stream.rate_hz:.2f} s"
        emit(Finding("pass", f"an xrun touched {where}; recording that region again", severity="warning"))
        patches.append(_repair(stream, make_source, begin, end, frames=frames, guard=guard, where=where, moves=moves))
    return Recording(report.frames, report.xruns, tuple(patches))


def _run(
    stream: AudioStream,
    source: Source,
    sink: Sink,
    frames: int,
    *,
    start: int,
    moves: Moves | None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    if moves is None:
        return stream.run(source, sink, frames, progress=progress)
    return stream.run(source, sink, frames, progress=progress, on_block=moves.begin(start))


def _repair(
    stream: AudioStream,
    make_source: Callable[[int], MeteredSource],
    begin: int,
    end: int,
    *,
    frames: int,
    guard: int,
    where: str,
    moves: Moves | None,
) -> Patch:
    fade = round(CROSSFADE_S * stream.rate_hz)
    first, last = max(0, begin - fade), min(frames, end + fade)
    start = max(0, first - round(PREROLL_S * stream.rate_hz))
    for _ in range(TRIES):
        sink = _Region(first - start, last - first, stream.inputs)
        report = _run(stream, make_source(start), sink, last - start + guard, start=start, moves=moves)
        again = damaged_regions(report.xruns, frames=last - start + guard, guard=guard, merge=0)
        if not any(b < last - start and e > first - start for b, e in again):
            return Patch(first, sink.audio, (first > 0, last < frames))
    raise AudioDropoutError(
        f"The region {where} was disturbed by xruns {TRIES} times in a row; the rest is recorded.",
        hint="Close other programs or raise block_frames in the rig's [audio], then print again.",
    )


def patched(block: NDArray[np.float32], at: int, patches: Sequence[Patch], *, rate_hz: int) -> NDArray[np.float32]:
    """Return ``block``, which begins at frame ``at`` of the recording, with the repairs crossfaded in."""
    fade = round(CROSSFADE_S * rate_hz)
    for patch in patches:
        begin, end = max(at, patch.start), min(at + len(block), patch.start + len(patch.audio))
        if end <= begin:
            continue
        position = np.arange(begin, end) - patch.start
        weight = np.ones(len(position))
        if patch.fades[0]:
            weight = np.minimum(weight, (position + 0.5) / fade)
        if patch.fades[1]:
            weight = np.minimum(weight, (len(patch.audio) - position - 0.5) / fade)
        here = slice(begin - at, end - at)
        block[here] += weight[:, None].astype(np.float32) * (patch.audio[position] - block[here])
    return block
