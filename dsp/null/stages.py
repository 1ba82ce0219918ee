"""Stages that make the reference resemble the recording: fitted on a few stretches, run anywhere.

The null test hands every stage the same kind of stretches: the reference on the recording's time line, with what
lies around it, and the recording. Stages are a chain: each is fitted on what those before it made of the
reference, and runs on their output. What a fit returns keeps no state, so that blocks can be done in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure
from dsp.null.corners import Corners, fit_corners
from dsp.null.curve import Curve, fit_curve
from dsp.null.matching import Match, drift_left, fit_path
from dsp.null.matrix import Matrix, fit_matrix
from dsp.null.stretch import Stretch

Floats = NDArray[np.float64]

EQ_LENGTHS = (63, 255, 511, 1023)


class Applied(Protocol):
    """A fitted stage."""

    @property
    def kept(self) -> bool:
        """Whether it pays."""

    @property
    def margins(self) -> tuple[int, int]:
        """How many frames before and after a block must be seen for the block to be complete."""

    def apply(self, y: Floats) -> Floats:
        """Return (channels, frames) of the same shape; the margins are not complete."""


@dataclass(frozen=True)
class Hidden:
    """A drift that a stage cannot explain, and that was not in the alignment yet."""

    drift: Figure
    """[samples per sample]"""
    gain_db: float
    """What it takes off the residual."""
    middle: float
    """Frame of the recording at which it turns: the delay there belongs to the stage."""
    joint: bool = False
    """Whether the stage was fitted together with it and so need not be fitted again."""


class MatchStage(Protocol):
    """A stage that can be fitted."""

    @property
    def name(self) -> str:
        """What the stage is called in the list of stages."""

    def fit(self, stretches: Sequence[Stretch], *, rate_hz: int) -> Applied | None:
        """Fit over all stretches at once; None when there is nothing for this stage to do."""

    def hidden_drift(self, stretches: Sequence[Stretch], applied: Applied) -> Hidden | None:
        """Return the drift left in what the fit cannot explain; None from a stage that hides none."""


class CornersStage:
    """Coupling corners and a low-pass, as analog curves."""

    name = "corners"

    def fit(self, stretches: Sequence[Stretch], *, rate_hz: int) -> Corners:
        """Fit them, and the drift beside them."""
        return fit_corners(stretches, rate_hz=rate_hz)

    def hidden_drift(self, stretches: Sequence[Stretch], applied: Applied) -> Hidden | None:
        """Return the drift that was fitted beside the corners."""
        if not isinstance(applied, Corners) or not applied.drift.observable:
            return None
        drift = applied.drift
        count = sum(stretch.heard.size for stretch in stretches)
        sigmas = drift.value / drift.sd if drift.sd > 0.0 else 0.0
        return Hidden(drift, 10.0 * float(np.log10(1.0 + sigmas**2 / count)), applied.middle, joint=True)


class EqStage:
    """Taps, slow poles and a low-rate filter per channel."""

    name = "eq"

    def fit(self, stretches: Sequence[Stretch], *, rate_hz: int) -> Match:
        """Fit them."""
        return fit_path(stretches, rate_hz=rate_hz, lengths=EQ_LENGTHS)

    def hidden_drift(self, stretches: Sequence[Stretch], applied: Applied) -> Hidden | None:
        """Look for it by variable projection."""
        if not isinstance(applied, Match):
            return None
        first, last = stretches[0], stretches[-1]
        middle = 0.5 * (first.at + first.start + last.at + last.stop)
        drift, gain_db = drift_left(stretches, applied, middle=middle)
        return Hidden(drift, gain_db, middle) if drift.observable else None


class MatrixStage:
    """What the channels took from each other."""

    name = "matrix"

    def fit(self, stretches: Sequence[Stretch], *, rate_hz: int) -> Matrix | None:
        """Fit it, where there is more than one channel."""
        return fit_matrix(stretches) if stretches[0].y.shape[0] > 1 else None

    def hidden_drift(self, stretches: Sequence[Stretch], applied: Applied) -> Hidden | None:
        """Return None: gains hide no drift."""
        return None


class CurveStage:
    """A static curve per channel."""

    name = "curve"

    def fit(self, stretches: Sequence[Stretch], *, rate_hz: int) -> Curve:
        """Fit it."""
        return fit_curve(stretches, rate_hz=rate_hz)

    def hidden_drift(self, stretches: Sequence[Stretch], applied: Applied) -> Hidden | None:
        """Return None: a static curve hides no drift."""
        return None


ALL_STAGES: tuple[MatchStage, ...] = (CornersStage(), EqStage(), MatrixStage(), CurveStage())
