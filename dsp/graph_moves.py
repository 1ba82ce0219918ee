"""Automation in a graph, on the song's time line: gains that go from knot to knot, settings that go from step to step.

Gains have a knot at every 16th frame of the song. An insert's parameters have one at every 64th, and at every
breakpoint, rounded to 16 frames: the next knot's settings are what the insert is told to reach by then.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.engine import Automation
from dsp.graph_settings import Insert, ParameterMove
from dsp.processor import STEP_FRAMES, Parameter, Settings

__all__ = ["KNOT_FRAMES", "Ride", "ramp"]

KNOT_FRAMES = 64
"""Frames of the song between two knots of an insert's parameters."""


def ramp(automation: Automation, song: int, frames: int, rate_hz: float) -> NDArray[np.float64]:
    """Return the gains at ``frames`` frames from frame ``song`` of the song on, (frames, …)."""
    first = song // STEP_FRAMES
    count = (song + frames - 1) // STEP_FRAMES + 2 - first
    knots = automation((first + np.arange(count)) * STEP_FRAMES / rate_hz)
    at = np.arange(song - first * STEP_FRAMES, song - first * STEP_FRAMES + frames)
    knot = at // STEP_FRAMES
    share = ((at - knot * STEP_FRAMES) / STEP_FRAMES).reshape(-1, *(1,) * (knots.ndim - 1))
    gains: NDArray[np.float64] = knots[knot] + (knots[knot + 1] - knots[knot]) * share
    return gains


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


class Ride:
    """The settings of one insert during the song. Between ``stretches`` that move nothing has to be told."""

    def __init__(self, insert: Insert, rate_hz: float) -> None:
        parameters = insert.settings.addresses()
        self._base = insert.settings
        self._lines = {move.address: _Line(parameters[move.address], move, rate_hz) for move in insert.moves}
        stretches = sorted(stretch for line in self._lines.values() for stretch in line.stretches())
        knots = {frame for stretch in stretches for frame in stretch}
        self._knots = sorted(knots)
        self._stretches = _joined(stretches)

    def settings(self, frame: int) -> Settings:
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
                knot = (frame // KNOT_FRAMES + 1) * KNOT_FRAMES
                index = bisect_right(self._knots, frame)
                here = frame % KNOT_FRAMES == 0 or (index > 0 and self._knots[index - 1] == frame)
                return min(knot, self._knots[index]), here
        return None, False


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
