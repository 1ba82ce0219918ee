"""How steady a path's gain is over level, and where it clips: a sine in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.measure.distortion import measure_thd
from dsp.measure.figure import Figure, unseen
from dsp.measure.signals import THD_HZ

REFERENCE_DBFS = -20.0
CLIP_GAIN_DB = 0.1
CLIP_THDN_DB = -40.0
BELOW_CLIP_DB = 1.0


@dataclass(frozen=True)
class LevelPoint:
    """What one step of level showed."""

    level_dbfs: float
    """Level that was played [dBFS, AES17]."""
    gain_db: Figure
    deviation_db: Figure
    """Gain re the gain at −20 dBFS (or the step nearest to it)."""
    thdn_db: Figure


@dataclass(frozen=True)
class Linearity:
    """A path's gain over level."""

    points: tuple[LevelPoint, ...]
    """By rising level."""
    worst_db: Figure
    """The largest deviation, with its sign, of the steps at least 1 dB below the clip point [dB]."""
    clip_dbfs: Figure
    """Output level at which the gain has fallen 0.1 dB from that at −20 dBFS, or THD+N (least squares, 20 Hz to 20 kHz)
    reached −40 dB, whichever comes first, on the straight line between the two steps around it [dBFS, AES17]. Its
    spread includes that the point may lie anywhere between the two."""


def measure_linearity(
    steps: Sequence[tuple[float, NDArray[np.floating]]], *, rate_hz: int, freq_hz: float = THD_HZ
) -> Linearity:
    """Measure gain over level from ``steps``: the level played [dBFS] and the steady capture (frames,) of each.

    Steps whose tone does not stand above the noise have no gain and are left out of the rest.

    Raises
    ------
    ShapeError, DspError
        No step at all, or a capture that `fit_tone` refuses.
    """
    if not steps:
        raise DspError("There is no step to measure a linearity from.", hint="Record the tone at several levels.")
    found: list[tuple[float, Figure, Figure]] = []
    for level, capture in sorted(steps, key=lambda step: step[0]):
        tone = measure_thd(capture, rate_hz=rate_hz, freq_hz=freq_hz)
        gain = tone.level_dbfs
        if gain.observable:
            gain = Figure(gain.value - level, gain.sd)
        found.append((level, gain, tone.thdn_db))
    seen = [(level, gain) for level, gain, _ in found if gain.observable]
    if not seen:
        nothing = unseen(f"no tone near {freq_hz:g} Hz stands above the noise at any level")
        return Linearity(tuple(LevelPoint(level, gain, gain, thdn) for level, gain, thdn in found), nothing, nothing)
    at, reference = min(seen, key=lambda step: abs(step[0] - REFERENCE_DBFS))
    points = tuple(
        LevelPoint(level, gain, _difference(gain, reference, same=level == at), thdn) for level, gain, thdn in found
    )
    clip = _clip(points, at)
    return Linearity(points, _worst(points, clip, at), clip)


def _difference(gain: Figure, reference: Figure, *, same: bool) -> Figure:
    if not gain.observable:
        return gain
    return Figure(0.0, 0.0) if same else Figure(gain.value - reference.value, math.hypot(gain.sd, reference.sd))


def _clip(points: Sequence[LevelPoint], at: float) -> Figure:
    """Find the first crossing of either limit above the reference."""
    upper = [p for p in points if p.level_dbfs >= at and p.gain_db.observable]
    for lower, higher in pairwise(upper):
        crossings = [
            _crossing(lower.level_dbfs, higher.level_dbfs, a, b, limit)
            for a, b, limit in (
                (_negative(lower.deviation_db), _negative(higher.deviation_db), CLIP_GAIN_DB),
                (lower.thdn_db, higher.thdn_db, CLIP_THDN_DB),
            )
        ]
        reached = [c for c in crossings if c is not None]
        if reached:
            return min(reached, key=lambda c: c.value)
    return unseen(f"clipping was not reached up to {upper[-1].level_dbfs:g} dBFS, the highest level tried")


def _crossing(low: float, high: float, a: Figure, b: Figure, limit: float) -> Figure | None:
    """Level at which a figure that is ``a`` at ``low`` and ``b`` at ``high`` passes ``limit`` upward."""
    if not (a.observable and b.observable and b.value >= limit):
        return None
    if a.value >= limit:
        return Figure(low, 0.0, "reached at the lowest level that counts")
    slope = (b.value - a.value) / (high - low)
    # Where between two steps a knee lies nobody sees: uniform, so a standard deviation of the step over √12.
    return Figure(low + (limit - a.value) / slope, math.hypot(max(a.sd, b.sd) / slope, (high - low) / math.sqrt(12.0)))


def _worst(points: Sequence[LevelPoint], clip: Figure, at: float) -> Figure:
    ceiling = clip.value - BELOW_CLIP_DB if clip.observable else math.inf
    counted = [p for p in points if p.deviation_db.observable and p.level_dbfs <= ceiling and p.level_dbfs != at]
    if not counted:
        return unseen(f"no second step below the clip point to compare with {at:g} dBFS")
    worst = max(counted, key=lambda p: abs(p.deviation_db.value))
    return Figure(worst.deviation_db.value, worst.deviation_db.sd, f"at {worst.level_dbfs:g} dBFS, re {at:g} dBFS")


def _negative(figure: Figure) -> Figure:
    return Figure(-figure.value, figure.sd, figure.note)
