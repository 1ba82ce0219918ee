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

from dsp.null.matching import LOW_RATE_HZ, LOW_SKIRT, LOW_TAPS, TAPS, Match, fit_match, hidden_drift

Floats = NDArray[np.float64]

POLE_MEMORY_S = 2.5  # the slowest pole, 1 Hz, has fallen by exp(−2π·2.5) = −136 dB after this time


@dataclass(frozen=True, eq=False)
class FitSpan:
    """A stretch to fit over, with context at both ends."""

    y: Floats
    """(channels, frames): the reference on the recording's time line, before any gain."""
    b: Floats
    """(channels, frames): the recording."""
    start: int
    """First frame to fit."""
    stop: int
    """One past the last frame to fit; what lies outside is context, and may belong to something else in ``b``."""
    at: int = 0
    """Frame of the recording at which the first column stands."""
    slope: Floats | None = None
    """Like ``y``: its derivative by the delay."""

    @property
    def frames(self) -> int:
        """How many frames there are to fit."""
        return self.stop - self.start

    def after(self, applied: Applied) -> FitSpan:
        """Return the stretch with the reference passed through a stage; its context shrinks by the stage's margin."""
        margin = applied.margin_frames
        cut = slice(margin, self.y.shape[1] - margin)
        slope = None if self.slope is None else applied.apply(self.slope)
        start, stop = self.start - margin, self.stop - margin
        return FitSpan(applied.apply(self.y), self.b[:, cut], start, stop, self.at + margin, slope)


class Applied(Protocol):
    """A fitted stage."""

    @property
    def margin_frames(self) -> int:
        """How many frames before and after the wanted ones it must see."""

    def apply(self, y: Floats) -> Floats:
        """Return (channels, n) of (channels, margin + n + margin)."""


@dataclass(frozen=True)
class Hidden:
    """A drift that the stages before cannot explain, and that was not in the alignment yet."""

    drift: float
    """[samples per sample]"""
    sd: float
    gain_db: float
    """What it takes off the residual."""
    middle: float
    """Frame of the recording at which it turns: the delay there belongs to the filters."""


class MatchStage(Protocol):
    """A stage that can be fitted."""

    @property
    def name(self) -> str:
        """What the stage is called in the list of stages."""

    def margin_frames(self, rate_hz: int) -> int:
        """How many frames around a stretch it wants to see for fitting."""

    def fit(self, spans: Sequence[FitSpan], *, rate_hz: int) -> Applied | None:
        """Fit over all spans at once; None when there is nothing for this stage to do."""

    def hidden_drift(self, spans: Sequence[FitSpan], applied: Applied, *, rate_hz: int) -> Hidden | None:
        """Return the drift left in what the fit cannot explain; None from a stage that hides none."""


@dataclass(frozen=True)
class AppliedMatch:
    """A linear match, run on a stretch with its surroundings."""

    match: Match

    @property
    def margin_frames(self) -> int:
        """What the slowest pole remembers, or the low-rate taps reach over, whichever is more; in low-rate frames."""
        return _reach(self.match.rate_hz)

    def apply(self, y: Floats) -> Floats:
        """Return (channels, n) of (channels, margin + n + margin)."""
        margin = self.margin_frames
        whole: Floats = self.match.apply(y)[:, margin : y.shape[1] - margin]
        return whole


class LinearMatch:
    """511 taps, four poles and a low-rate filter per channel, fitted over the longest stretch given."""

    name = "eq"

    def margin_frames(self, rate_hz: int) -> int:
        """Return what the slowest pole remembers."""
        return _reach(rate_hz)

    def fit(self, spans: Sequence[FitSpan], *, rate_hz: int) -> AppliedMatch:
        """Fit over the longest span."""
        longest = _longest(spans)
        match, _ = fit_match(longest.y, longest.b, span=(longest.start, longest.stop), rate_hz=rate_hz)
        return AppliedMatch(match)

    def hidden_drift(self, spans: Sequence[FitSpan], applied: Applied, *, rate_hz: int) -> Hidden | None:
        """Look for it by variable projection over the longest span."""
        longest = _longest(spans)
        if not isinstance(applied, AppliedMatch) or longest.slope is None:
            return None
        inner = longest.start, longest.stop
        middle = 0.5 * (inner[0] + inner[1])
        left = longest.b - applied.match.apply(longest.y)
        drift, sd, gain_db = hidden_drift(longest.y, longest.slope, left, applied.match, span=inner, middle=middle)
        return Hidden(drift, sd, gain_db, longest.at + middle)


def _reach(rate_hz: int) -> int:
    factor = max(1, round(rate_hz / LOW_RATE_HZ))
    reach = max(round(POLE_MEMORY_S * rate_hz), factor * (LOW_TAPS // 2 + 2 * LOW_SKIRT), TAPS // 2)
    return -(-reach // factor) * factor  # whole low-rate frames


def _longest(spans: Sequence[FitSpan]) -> FitSpan:
    return max(spans, key=lambda span: span.frames)
