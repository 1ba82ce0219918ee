"""Which frame of the song each frame of a graph's input is: a song is played straight on, or from anywhere else."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

__all__ = ["SongLine"]


class SongLine:
    """The song's frames along the input's, which are counted from a graph's start; the first is ``start_frame``.

    It lies in stretches, each of which goes straight on. Whoever works on an input frame ``late`` frames after it came
    asks for that frame, and so follows the song from the moment at which what was located reaches it.
    """

    def __init__(self, start_frame: int = 0) -> None:
        self._begins: list[int] = []
        """Where every stretch but the first begins."""
        self._offsets = [start_frame]
        """What every stretch adds to the input's frame."""
        self._gone = 0
        self.late_frames = 0
        """How late the last is that asks; what lies longer ago is forgotten."""

    @property
    def phase(self) -> int:
        """What makes an input frame a multiple of ``STEP_FRAMES`` wherever the song's is, up to such a multiple."""
        return self._offsets[0]

    def locate(self, at: int, frame: int) -> None:
        """Make input frame ``at``, which is still to come, frame ``frame`` of the song."""
        if frame - at == self._offsets[-1]:
            return
        if self._begins and self._begins[-1] == at:
            self._offsets[-1] = frame - at
            return
        self._begins.append(at)
        self._offsets.append(frame - at)
        # Knots are asked for up to a step before the frames that they are for.
        while self._begins[0] < at - self.late_frames - 64 and len(self._begins) > 1:
            del self._begins[0], self._offsets[0]
            self._gone += 1

    def arrive(self) -> None:
        """Be in the last stretch everywhere: nothing sounds of those before."""
        self._gone += len(self._begins)
        self._begins, self._offsets = [], self._offsets[-1:]

    def at(self, at: int, frames: int) -> tuple[int, int, int]:
        """Return the number of the stretch of input frame ``at``, its frame of the song, and how many frames go on so.

        That is at most ``frames``.
        """
        if not self._begins:
            return self._gone, at + self._offsets[0], frames
        index = bisect_right(self._begins, at)
        if index < len(self._begins):
            frames = min(frames, self._begins[index] - at)
        return self._gone + index, at + self._offsets[index], frames

    def knots(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the song's frames at knots of gains; one where a stretch begins still belongs to that before it.

        So the gains of the new stretch are reached a step later, and go there straight.
        """
        if not self._begins:
            return at + self._offsets[0]
        offsets: NDArray[np.int64] = np.array(self._offsets)[np.searchsorted(self._begins, at, side="left")]
        return at + offsets
