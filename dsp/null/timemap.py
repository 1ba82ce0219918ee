"""Clocks that wander: the delay's smooth departure from a line.

Stretches all along the recording each tell how far their delay is off the line, by one Gauss-Newton step: with
the model ``m`` and its derivative by the delay ``m'``, ``δ = Σ m'·(b − m) / Σ m'²``. A uniform cubic B-spline (de Boor,
*A Practical Guide to Splines*, 1978) runs through them; how many knots is decided by leave-one-out prediction (Allen,
*Technometrics* 16 (1974) 125-127), and no spline is used unless it predicts clearly better than the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_POINTS = 12
MOST_INTERVALS = 256
POINTS_PER_INTERVAL = 2.5
CLEARLY = 0.5  # of the line's squared prediction error: what a spline may leave at most
BETTER = 0.9  # of the squared prediction error of a spline with fewer knots


@dataclass(frozen=True)
class LocalDelay:
    """How far one stretch is off the line."""

    frame: float
    """Of its middle."""
    offset: float
    """[samples], positive when the recording is later than the line says."""
    sd: float


@dataclass(frozen=True, eq=False)
class Wander:
    """A cubic spline over the frames of the recording; constant beyond its ends."""

    first: float
    step: float
    """Frames between knots."""
    weights: Floats
    """Of the basis splines, one more on either side than there are knots."""
    spread: Floats
    """Covariance of the weights."""

    def __call__(self, frames: Floats) -> Floats:
        """Return the offset at the frames [samples]."""
        place = np.clip((frames - self.first) / self.step, 0.0, self.weights.size - 3 - 1e-9)
        knot = place.astype(np.intp)
        total: Floats = np.zeros(place.shape)
        for k, basis in enumerate(_cubics(place - knot)):
            total += self.weights[knot + k] * basis
        return total

    def sd(self, frames: Floats) -> Floats:
        """Return the standard deviation of the offset at the frames."""
        rows = _basis((frames - self.first) / self.step, self.weights.size)
        spread: Floats = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", rows, self.spread, rows), 0.0))
        return spread

    def line(self, start: int, stop: int) -> tuple[float, float]:
        """Return (offset at frame 0, slope) of the least-squares line through it between two frames."""
        frames = np.linspace(start, stop, 1001)
        slope, level = np.polyfit(frames, self(frames), 1)
        return float(level), float(slope)

    def without(self, level: float, slope: float) -> Wander:
        """Return it less a line; uniform cubic splines reproduce lines exactly by weights on the line."""
        places = self.first + self.step * (np.arange(self.weights.size) - 1.0)
        return Wander(self.first, self.step, self.weights - level - slope * places, self.spread)

    def knots(self) -> Floats:
        """Return the frames of the knots."""
        return np.asarray(self.first + self.step * np.arange(self.weights.size - 2), dtype=np.float64)


def fit_wander(points: Sequence[LocalDelay], *, start: int, stop: int) -> Wander | None:
    """Return the smooth departure from the line between two frames; None when the line explains the points as well.

    A line that is left in the spline belongs to the drift: see :meth:`Wander.line`.
    """
    usable = [point for point in points if np.isfinite(point.sd) and point.sd > 0.0]
    if len(usable) < FEWEST_POINTS:
        return None
    time, offset, sd = np.array([(point.frame, point.offset, point.sd) for point in usable]).T
    weight = 1.0 / sd**2
    line = np.stack([np.ones_like(time), (time - start) / (stop - start)], axis=1)
    at_line = _press(line, offset, weight)
    best: tuple[float, Wander] | None = None
    intervals = 1
    while intervals <= min(MOST_INTERVALS, usable_intervals(len(usable))):
        found = _spline(time, offset, weight, start, stop, intervals)
        if found is not None and (best is None or found[0] < BETTER * best[0]):
            best = found
        intervals *= 2
    if best is None or best[0] > CLEARLY * at_line:
        return None
    return best[1]


def usable_intervals(points: int) -> int:
    """Return how many intervals a spline through so many points may have."""
    return max(1, int(points / POINTS_PER_INTERVAL))


def _spline(
    time: Floats, offset: Floats, weight: Floats, start: int, stop: int, intervals: int
) -> tuple[float, Wander] | None:
    """Return (squared error of prediction, spline) with so many intervals; None where the points do not carry it."""
    step = (stop - start) / intervals
    rows = _basis((time - start) / step, intervals + 3)
    if np.linalg.matrix_rank(rows * np.sqrt(weight / weight.max())[:, None], tol=1e-6) < intervals + 3:
        return None
    error = _press(rows, offset, weight)
    inverse = np.linalg.inv(rows.T @ (weight[:, None] * rows))
    weights = inverse @ (rows.T @ (weight * offset))
    left = offset - rows @ weights
    freedom = max(1, offset.size - intervals - 3)
    excess = max(1.0, float(np.sum(weight * left**2)) / freedom)  # points scatter more than their own noise explains
    spread: Floats = np.asarray(excess * inverse, dtype=np.float64)
    wander = Wander(float(start), step, np.asarray(weights, dtype=np.float64), spread)
    return error, wander


def _press(rows: Floats, wanted: Floats, weight: Floats) -> float:
    """Return the weighted mean square of leave-one-out prediction errors of a linear fit."""
    scaled = rows * np.sqrt(weight)[:, None]
    q, _ = np.linalg.qr(scaled)
    target = wanted * np.sqrt(weight)
    left = target - q @ (q.T @ target)
    free = np.maximum(1.0 - np.sum(q**2, axis=1), 1e-3)
    return float(np.mean((left / free) ** 2))


def _cubics(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the four cubic basis splines that reach into an interval, at the place ``0 ≤ u < 1`` in it."""
    back = 1.0 - u
    return (
        back**3 / 6.0,
        (3.0 * u**3 - 6.0 * u**2 + 4.0) / 6.0,
        (3.0 * back**3 - 6.0 * back**2 + 4.0) / 6.0,
        u**3 / 6.0,
    )


def _basis(place: Floats, size: int) -> Floats:
    """Return (places, size): every basis spline at the places, in units of knots."""
    inside = np.clip(place, 0.0, size - 3 - 1e-9)
    knot = inside.astype(np.intp)
    rows = np.zeros((place.size, size))
    for k, basis in enumerate(_cubics(inside - knot)):
        rows[np.arange(place.size), knot + k] = basis
    return rows
