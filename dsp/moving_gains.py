"""Gains that move with the song, as frozen values: level, mute and pan lines, and what they make of fader and sends.

All are pure functions of the song's time: K moments [s] in, K rows of linear gains out. They are equal where their
points are, and can be pickled, so that a mix can be compared with what runs, and sent to the process that plays it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.stereo import PanLaw
from dsp.strip import Automation

__all__ = ["OFF_DB", "FaderGains", "Level", "SendGains", "SideGains", "StereoGains", "StripGains", "Switch"]

OFF_DB = -120.0
"""A moving level that comes down to this is off."""

Matrix = tuple[tuple[float, float], ...]
"""For each channel its linear gains to left and right."""


@dataclass(frozen=True)
class Level:
    """A level [dB], or any other number, over the song: straight between ``points``, (seconds, value), seconds rising.

    Of two points at one moment the later holds from that moment on. What comes down to ``off_db`` is −∞.
    """

    points: tuple[tuple[float, float], ...]
    off_db: float = OFF_DB

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at the moments ``at_s`` [s]."""
        times = [at for at, _ in self.points]
        values = [max(value, self.off_db) for _, value in self.points]
        found = np.interp(at_s, times, values)
        # np.interp takes the earlier of two points at one moment; a jump has happened when its moment comes.
        last = np.searchsorted(times, at_s, side="right") - 1
        on_point = (last >= 0) & (np.asarray(times)[last] == at_s)
        found[on_point] = np.asarray(values)[last[on_point]]
        found[found <= self.off_db] = -math.inf
        return found


@dataclass(frozen=True)
class Switch:
    """What is in or out over the song: at each of ``points``, (seconds, in or out), it turns."""

    points: tuple[tuple[float, bool], ...]

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether it is in at the moments ``at_s`` [s]."""
        times = [at for at, _ in self.points]
        last = np.maximum(np.searchsorted(times, at_s, side="right") - 1, 0)
        return np.asarray([value for _, value in self.points])[last]


def _along(value: Level | Switch | float | bool, at_s: NDArray[np.float64]) -> NDArray[Any]:
    return value(at_s) if isinstance(value, Level | Switch) else np.full(len(at_s), value)


def _gain(level_db: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10.0 ** (level_db / 20.0))


@dataclass(frozen=True)
class SideGains:
    """Fader [dB], mute and pan (−100..100), moving or not: (K,) → (K, channels, 2), the gains to left and right."""

    channels: int
    fader_db: Level | float = 0.0
    mute: Switch | bool = False
    pan: Level | float = 0.0
    law: PanLaw = field(default_factory=PanLaw)

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear gains at the moments ``at_s`` [s]."""
        level = _gain(_along(self.fader_db, at_s))
        level[_along(self.mute, at_s)] = 0.0
        found = np.empty((len(at_s), self.channels, 2))
        pans = _along(self.pan, at_s)
        for pan in np.unique(pans):
            found[pans == pan] = self.law.matrix(float(pan), self.channels)
        return found * level[:, None, None]


def _sides(sides: SideGains | Matrix, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return sides(at_s) if isinstance(sides, SideGains) else np.broadcast_to(sides, (len(at_s), len(sides), 2))


@dataclass(frozen=True)
class StripGains:
    """A strip's ``sides`` and its send [dB] after them: (K,) → (K, channels, 3), the third column the send's gain."""

    sides: SideGains | Matrix
    send_db: Level | float

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear gains at the moments ``at_s`` [s]."""
        sides = _sides(self.sides, at_s)
        sent = _gain(_along(self.send_db, at_s))
        return np.concatenate([sides, np.broadcast_to(sent[:, None, None], (*sides.shape[:2], 1))], axis=2)


@dataclass(frozen=True)
class SendGains:
    """``sides`` and a level [dB] on top of them: (K,) → (K, channels, 2)."""

    sides: SideGains | Matrix
    level_db: Level | float

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear gains at the moments ``at_s`` [s]."""
        found: NDArray[np.float64] = _sides(self.sides, at_s) * _gain(_along(self.level_db, at_s))[:, None, None]
        return found


@dataclass(frozen=True)
class FaderGains:
    """A fader that moves: (K,) → (K,)."""

    level_db: Level

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear gains at the moments ``at_s`` [s]."""
        return _gain(self.level_db(at_s))


@dataclass(frozen=True)
class StereoGains:
    """One moving gain, (K,) → (K,), for both of two channels, each to its side: (K,) → (K, 2, 2)."""

    fader: Automation

    def __call__(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear gains at the moments ``at_s`` [s]."""
        gains: NDArray[np.float64] = self.fader(at_s)[:, None, None] * np.eye(2)
        return gains
