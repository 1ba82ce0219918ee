"""Levels that move something: what the filters that follow a sound have in common."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.processor import STEP_FRAMES, Block

__all__ = ["Follower", "follower_row", "step_share", "stretches"]


def stretches(frames: int, position: int, *, waits: bool) -> list[tuple[int, int]]:
    """Return begin and end of what is processed in one of ``frames`` from frame ``position`` on.

    Where a change ``waits`` for the next step of 16 frames, what lies before that step is a stretch of its own.
    """
    until = -position % STEP_FRAMES if waits else 0
    return [(begin, end) for begin, end in ((0, min(until, frames)), (until, frames)) if begin < end]


def step_share(time_ms: float, rate_hz: float) -> float:
    """Return the part of its way that something with this time constant (63 %) covers in one step of 16 frames."""
    return -math.expm1(-STEP_FRAMES / (max(time_ms, 1e-3) * 1e-3 * rate_hz))


def follower_row(
    detector: NDArray[np.float64],
    window_s: float,
    rate_hz: float,
    *,
    threshold_db: float,
    slope: float,
    most: float,
    above: bool = True,
    attack_ms: float,
    release_ms: float,
) -> NDArray[np.float64]:
    """Return a row of ``dsp.kernels.sections.follow_levels``.

    ``detector``: g, k, m0, m1, m2 of what the level is taken behind; ``window_s``: time constant of each of the two
    averages of its square. ``slope``: what is wanted per dB above the threshold (below it, if not ``above``), with the
    sign of ``most``, beyond which it does not go.
    """
    share = -math.expm1(-1.0 / (window_s * rate_hz))
    times = step_share(attack_ms, rate_hz), step_share(release_ms, rate_hz)
    return np.array([*detector, share, threshold_db, 1.0 if above else -1.0, slope, most, *times])


class Follower:
    """Followers side by side. A value holds from the end of its step of 16 frames on, for a knot a step later."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._follow = library("sections").follow_levels.bind(*[None] * 6)
        self.rows = rows
        self._states = np.zeros((len(rows), 2, 4))
        self._reached = np.zeros(len(rows))
        self._recent = np.zeros((len(rows), 2))
        self._found = np.zeros((len(rows), 1))

    @property
    def now(self) -> NDArray[np.float64]:
        """The values (B,) at the knot that the present step begins with."""
        return self._recent[:, 0]

    def resized(self, rows: NDArray[np.float64]) -> Follower:
        """Return followers by other ``rows`` that go on where these stand; additional ones begin at rest."""
        made = Follower(rows)
        kept = min(len(rows), len(self.rows))
        made._states[:kept], made._reached[:kept] = self._states[:kept], self._reached[:kept]
        made._recent[:kept] = self._recent[:kept]
        return made

    def knots(self, x: Block, position: int) -> NDArray[np.float64]:
        """Hear the next frames of ``x`` (n, 1 or 2), at frame ``position``; return the values (B, K) at the knots.

        Knots stand at frames that are multiples of 16, the first at or before ``position``, the last behind the block.
        """
        first = position % STEP_FRAMES
        steps = (first + len(x)) // STEP_FRAMES
        if self._found.shape[1] < steps:
            self._found = np.zeros((len(self.rows), steps))
        self._follow(np.ascontiguousarray(x), position, self.rows, self._states, self._reached, self._found)
        values = np.concatenate([self._recent, self._found[:, :steps]], axis=1)
        self._recent = values[:, -2:].copy()
        return values[:, : (first + len(x) - 1) // STEP_FRAMES + 2]

    def reset(self) -> None:
        """Forget everything heard."""
        self._states[:], self._reached[:], self._recent[:] = 0.0, 0.0, 0.0
