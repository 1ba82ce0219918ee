"""What a live stream is fed with: a song's stems from disk, block by block, from anywhere, round a loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.errors import UsageError
from controller.project import Project, StemReader
from dsp.processor import STEP_FRAMES

__all__ = ["SEAM_S", "SHORTEST_LOOP_S", "FedBlock", "Loop", "SongFeed", "loop_between"]

SEAM_S = 0.005
"""How long a loop's end takes to become what comes before its beginning [s]."""

SHORTEST_LOOP_S = 0.25
_READ_FRAMES = 4096

Stems = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Loop:
    """A region of the song that is played again and again, in frames: whole steps of 16."""

    begin: int
    end: int


def loop_between(begin_s: float, end_s: float, rate_hz: int) -> Loop:
    """Return the loop between two moments of the song [s].

    Raises
    ------
    UsageError
        It is shorter than a quarter of a second.
    """
    begin, end = (max(0, round(at_s * rate_hz / STEP_FRAMES)) * STEP_FRAMES for at_s in (begin_s, end_s))
    if end - begin < SHORTEST_LOOP_S * rate_hz:
        raise UsageError(
            f"A loop from {begin_s:g} s to {end_s:g} s is too short to play.",
            hint=f"The shortest is {SHORTEST_LOOP_S:g} s.",
        )
    return Loop(begin, end)


@dataclass(frozen=True)
class FedBlock:
    """A block of every stem, (frames, channels) each; at frame ``jump_at`` of it the song goes on at ``jump_to``."""

    stems: Stems
    song: int
    jump_at: int
    jump_to: int


class SongFeed:
    """Reads ``stems`` of ``project`` in blocks of ``block_frames``; silence after their ends.

    A loop's last moments fade into what comes before its beginning, so that nothing clicks where it starts again.

    Raises
    ------
    ProjectError, AudioFileError, StorageError
        A stem is not there, or cannot be opened.
    """

    def __init__(self, project: Project, stems: Sequence[str], block_frames: int) -> None:
        self._reader = StemReader(project, stems)
        self._frames = block_frames
        self._seam = math.ceil(SEAM_S * project.rate_hz)
        self._rise = ((0.5 - 0.5 * np.cos(np.pi * (np.arange(self._seam) + 0.5) / self._seam))[:, None]).astype("f4")
        self._held: Stems = [np.zeros((0, stem.channels), np.float32) for stem in self._reader.stems]
        self._before: Stems = []
        self._loop: Loop | None = None
        self.position = 0
        """The song's frame that the next block begins with."""

    @property
    def loop(self) -> Loop | None:
        """The loop, if there is one."""
        return self._loop

    def set_loop(self, loop: Loop | None) -> None:
        """Go round this loop from now on, or on to the song's end.

        Raises
        ------
        AudioFileError
            A file is damaged.
        """
        self._loop = loop
        if loop is not None:
            here = self.position
            start = max(0, loop.begin - self._seam)
            self._go(start)
            read = self._read(loop.begin - start)
            missing = self._seam - (loop.begin - start)
            self._before = [np.pad(block, ((missing, 0), (0, 0))) for block in read]
            self._go(here)

    def locate(self, frame: int) -> None:
        """Go to a frame of the song, rounded down to a whole step."""
        self._go(frame - frame % STEP_FRAMES)

    def _go(self, frame: int) -> None:
        self._reader.seek(min(frame, self._reader.frames))
        self._held = [block[:0] for block in self._held]
        self.position = frame

    def read(self) -> FedBlock:
        """Return the next block.

        Raises
        ------
        AudioFileError
            A file is damaged.
        """
        loop, song, frames = self._loop, self.position, self._frames
        if loop is None or not song < loop.end <= song + frames + self._seam:
            return FedBlock(self._read(frames), song, frames, 0)
        first = min(frames, loop.end - song)
        stems = self._read(first)
        seam = loop.end - self._seam
        begin, stop = max(seam, song), song + first
        if begin < stop:
            rise, here = self._rise[begin - seam : stop - seam], slice(begin - song, first)
            for block, before in zip(stems, self._before, strict=True):
                block[here] += rise * (before[begin - seam : stop - seam] - block[here])
        if stop < loop.end:
            return FedBlock(stems, song, frames, 0)
        self._go(loop.begin)
        if first < frames:
            stems = [np.concatenate(two) for two in zip(stems, self._read(frames - first), strict=True)]
        return FedBlock(stems, song, first, loop.begin)

    def _read(self, frames: int) -> Stems:
        """Return copies of the next frames; files are read some blocks at a time."""
        while len(self._held[0]) < frames:
            wanted = max(_READ_FRAMES, frames)
            more = [np.empty((wanted, stem.channels), np.float32) for stem in self._reader.stems]
            for index, block in enumerate(more):
                self._reader.fill(index, block)
            self._held = [np.concatenate(two) for two in zip(self._held, more, strict=True)]
        taken = [block[:frames].copy() for block in self._held]
        self._held = [block[frames:] for block in self._held]
        self.position += frames
        return taken

    def close(self) -> None:
        """Release the files."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
