"""Settings that move on the song's time line, from step to step.

An insert's parameters have a knot at every 64th frame of the song, and at every breakpoint, rounded to 16 frames: the
next knot's settings are what the insert is told to reach by then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from dsp.graph_settings import ParameterMove
from dsp.processor import STEP_FRAMES, Declared, Parameter
from dsp.song_line import SongLine

__all__ = ["KNOT_FRAMES", "Ride", "Teller"]

KNOT_FRAMES = 64
"""Frames of the song between two knots of an insert's parameters."""


class _Line:
    """One parameter over the frames of the song: straight between breakpoints, the later value at a jump."""

    def __init__(self, parameter: Parameter, move: ParameterMove, rate_hz: float) -> None:
        self._parameter = parameter
        self.frames = [round(at_s * rate_hz / STEP_FRAMES) * STEP_FRAMES for at_s, _ in move.points]
        self._values = [value for _, value in move.points]

    def at(self, frame: int) -> Any:
        """Return the value at a frame."""
        index = bisect_right(self.frames, frame)
        if index == 0:
            return self._values[0]
        if index == len(self.frames):
            return self._values[-1]
        start, stop = self.frames[index - 1], self.frames[index]
        return self._parameter.between(self._values[index - 1], self._values[index], (frame - start) / (stop - start))

    def stretches(self) -> list[tuple[int, int]]:
        """Return where the value moves: first and last frame of each way, a jump over the step before it."""
        found = []
        for index in range(1, len(self.frames)):
            start, stop = self.frames[index - 1], self.frames[index]
            if self._values[index - 1] != self._values[index]:
                jumps = start == stop or not self._parameter.is_number
                found.append((stop - STEP_FRAMES if jumps else start, stop))
        return found


T = TypeVar("T", bound=Declared)


class Ride(Generic[T]):
    """The settings of something during the song. Between stretches in which they move nothing has to be told.

    There is a knot at every ``knot_frames``-th frame of a stretch, and at every breakpoint.
    """

    def __init__(self, base: T, moves: Sequence[ParameterMove], rate_hz: float, knot_frames: int = KNOT_FRAMES) -> None:
        parameters = base.addresses()
        self._base = base
        self._every = knot_frames
        self._lines = {move.address: _Line(parameters[move.address], move, rate_hz) for move in moves}
        stretches = sorted(stretch for line in self._lines.values() for stretch in line.stretches())
        self._knots = sorted({frame for stretch in stretches for frame in stretch})
        self._stretches = _joined(stretches)

    def settings(self, frame: int) -> T:
        """Return the settings at a frame of the song."""
        if not self._lines:
            return self._base
        return self._base.with_values({address: line.at(frame) for address, line in self._lines.items()})

    def breakpoints(self) -> list[int]:
        """Return every frame at which a move has a point."""
        return sorted({frame for line in self._lines.values() for frame in line.frames})

    def next(self, frame: int) -> tuple[int | None, bool]:
        """Return the next frame where something may be due, None for never, and whether it is at ``frame`` itself."""
        for start, stop in self._stretches:
            if frame < start:
                return start, False
            if frame < stop:
                knot = (frame // self._every + 1) * self._every
                index = bisect_right(self._knots, frame)
                here = frame % self._every == 0 or (index > 0 and self._knots[index - 1] == frame)
                return min(knot, self._knots[index]), here
        return None, False


class Teller(Generic[T]):
    """Tells something, frame by frame, where to be at the next knot of its ride; where the song jumps, in one step.

    It has been told to be at ``begin`` by input frame ``arrives``, and is told nothing before.
    """

    def __init__(
        self, ride: Ride[T], begin: T, tell: Callable[[T, int], None], line: SongLine, arrives: int = -(2**62)
    ) -> None:
        self._ride = ride
        self._told = begin
        self._tell = tell
        self._line = line
        self._stretch = -1
        self._begins = True
        self._arrives = arrives

    def due(self, at: int, frames: int) -> int:
        """Tell what is due at input frame ``at``; return how many of the next ``frames`` pass until something is."""
        stretch, song, frames = self._line.at(at, frames)
        if stretch != self._stretch:
            if self._stretch >= 0 and self._say(self._ride.settings(song + STEP_FRAMES), STEP_FRAMES):
                self._arrives = at + STEP_FRAMES
            self._stretch, self._begins = stretch, True
        if at < self._arrives:
            return min(frames, self._arrives - at)
        due, now = self._ride.next(song)
        if due is None:
            return frames
        # The first block, and the first after a jump, may begin between two knots.
        if now or self._begins:
            self._say(self._ride.settings(due), due - song)
        self._begins = False
        return min(frames, due - song)

    def _say(self, wanted: T, frames: int) -> bool:
        if wanted == self._told:
            return False
        self._tell(wanted, frames)
        self._told = wanted
        return True


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
