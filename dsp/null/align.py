"""Lay one recording over another: delay, drift, and per channel gain and polarity.

``a`` is the reference and ``b`` the recording; arrays here are (channels, frames) float64. The model is
``b_c(n) = g_c·a_c(n − delay − drift·n) + noise``. The reference is read between its samples, the recording never is:
its noise and its faults stay what they are. From a first guess (:mod:`dsp.null.search`) Gauss-Newton on delay, drift
and gains together finds what in white noise is the most likely answer (Kay, *Estimation Theory*, 1993, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment
from dsp.null.reader import HALF_TAPS, read
from dsp.null.search import Span

Floats = NDArray[np.float64]

ROUNDS = 12
FIT_SPANS, FIT_SPAN_FRAMES = 24, 131_072


@dataclass(frozen=True)
class Alignment:
    """Where ``b`` lies on ``a``: delay in samples at ``b``'s first frame, positive when ``b`` is later."""

    delay_samples: float
    delay_sd: float
    drift: float
    """Growth of the delay [samples per sample]; 1e-6 is 1 ppm, positive when ``b`` runs ever later."""
    drift_sd: float
    gains: tuple[float, ...]
    """Of ``b`` re ``a`` per channel, negative where the polarity is inverted; 0 where either is silent."""
    gain_sds: tuple[float, ...]
    drift_hint_db: float = 0.0
    """What a drift would take off the residual by the fit's own curvature [dB]; 0 where the drift was fitted."""

    @property
    def polarity(self) -> tuple[int, ...]:
        """+1 or −1 per channel."""
        return tuple(-1 if gain < 0.0 else 1 for gain in self.gains)

    def overlap(self, a_frames: int, b_frames: int) -> Span:
        """Return the frames of ``b`` for which the reader finds all of ``a`` it needs."""
        last_delay = self.delay_samples + self.drift * b_frames
        early, late = sorted((self.delay_samples, last_delay))
        start = max(0, int(np.ceil(late)) + HALF_TAPS)
        return start, max(start, min(b_frames, int(np.floor(a_frames + early)) - HALF_TAPS))


def refine(
    a: Floats,
    b: Floats,
    *,
    delay: float,
    drift: float,
    span: Span,
    with_drift: bool,
    quick: bool = False,
) -> Alignment:
    """Return the least-squares alignment near a first guess.

    Parameters
    ----------
    a, b
        (channels, frames).
    delay, drift
        The guess: delay at ``b``'s first frame [samples] and growth [samples per sample].
    span
        The frames of ``b`` to fit over; of a long one some two dozen stretches are used.
    with_drift
        Fit the drift too; otherwise it is held at the guess.
    quick
        Fit over an eighth of the span, spread over all of it: enough for a depth, not for a delay worth printing.

    Raises
    ------
    NoAlignment
        The fit finds no gain on any channel.
    """
    spans = _fit_spans(span)
    middle = 0.5 * (span[0] + span[1])
    half = max(1.0, 0.5 * (span[1] - span[0]))
    centre, growth = delay + drift * middle, drift
    few = spans[:: max(1, len(spans) // 4)] if len(spans) >= 8 else spans
    best = _descend(a, b, few, centre, growth, middle, half, with_drift=with_drift, coarse=not quick)
    if not quick:
        best = _descend(a, b, spans, best.centre, best.growth, middle, half, with_drift=with_drift, coarse=False)
    if not np.any(best.gains):
        raise NoAlignment("The recordings share no channel that sounds in both.", hint="Check the channel order.")
    return best.alignment(middle, half, with_drift=with_drift)


def _descend(
    a: Floats,
    b: Floats,
    spans: list[Span],
    centre: float,
    growth: float,
    middle: float,
    half: float,
    *,
    with_drift: bool,
    coarse: bool,
) -> _Fit:
    """Run Gauss-Newton until a step is far below its own spread (``coarse``: well within reach of another round)."""
    best = _normal_equations(a, b, spans, centre, growth, middle, half)
    weights = best.weights()
    step, spread = best.step(weights, with_drift=with_drift)
    for _ in range(ROUNDS):
        step *= min(1.0, 1.0 / max(1e-300, float(np.max(np.abs(step)))))
        if np.all(np.abs(step) <= (1e-3 if coarse else np.maximum(1e-8, 0.02 * spread))):
            break
        fit = _normal_equations(a, b, spans, best.centre + step[0], best.growth + step[1] / half, middle, half)
        if fit.cost(weights) > best.cost(weights):
            step = 0.5 * step  # overshot: come half way back
            continue
        best, weights = fit, fit.weights()
        step, spread = best.step(weights, with_drift=with_drift)
    return best


@dataclass(frozen=True)
class _Fit:
    """Sums over the fit's frames at one delay and drift, and what follows from them; arrays are per channel."""

    centre: float
    growth: float
    frames: int
    aa: Floats
    ab: Floats
    bb: Floats
    ad: Floats  # (2, channels): reading times its slope by (delay, drift)
    bd: Floats
    dd: Floats  # (2, 2, channels)

    @property
    def gains(self) -> Floats:
        return np.where(self.aa > 0.0, self.ab / np.where(self.aa > 0.0, self.aa, 1.0), 0.0)

    @property
    def residual(self) -> Floats:
        """Sum of squares left per channel; rounding keeps it from going below zero."""
        return np.maximum(self.bb - self.gains * self.ab, 1e-18 * self.bb)

    def weights(self) -> Floats:
        """Reciprocal noise power per channel; 0 where a channel is silent in either."""
        sounding = (self.gains != 0.0) & (self.residual > 0.0)
        return np.where(sounding, self.frames / np.where(sounding, self.residual, 1.0), 0.0)

    def cost(self, weights: Floats) -> float:
        return float(np.sum(weights * self.residual))

    def information(self, weights: Floats) -> Floats:
        """Fisher information of (delay at the centre, drift times half the span), gains eliminated."""
        g = self.gains
        lost = np.einsum("ic,jc->ijc", self.ad, self.ad) / np.where(self.aa > 0.0, self.aa, 1.0)
        total: Floats = np.sum(weights * g**2 * (self.dd - lost), axis=2)
        return total

    def covariance(self, weights: Floats, *, with_drift: bool) -> Floats:
        """Covariance of the same two; zero for what is not fitted."""
        used = 2 if with_drift else 1
        spread = np.zeros((2, 2))
        information = self.information(weights)[:used, :used]
        if np.all(np.diag(information) > 0.0):
            spread[:used, :used] = np.linalg.inv(information)
        return spread

    def step(self, weights: Floats, *, with_drift: bool) -> tuple[Floats, Floats]:
        """Return the Gauss-Newton step and the standard deviations of its two parts."""
        g = self.gains
        gradient = np.sum(weights * g * (self.bd - g * self.ad), axis=1)
        spread = self.covariance(weights, with_drift=with_drift)
        return spread @ gradient, np.sqrt(np.diag(spread))

    def _drift_hint_db(self, weights: Floats) -> float:
        step, _ = self.step(weights, with_drift=True)
        cost = self.cost(weights)
        saved = float(step @ self.information(weights) @ step)
        return 10.0 * float(np.log10(cost / max(cost - saved, 1e-3 * cost))) if cost > 0.0 else 0.0

    def alignment(self, middle: float, half: float, *, with_drift: bool) -> Alignment:
        weights = self.weights()
        spread = self.covariance(weights, with_drift=with_drift)
        at_start = np.array([1.0, -middle / half])
        safe = np.where(weights * self.aa > 0.0, weights * self.aa, 1.0)
        return Alignment(
            delay_samples=float(self.centre - self.growth * middle),
            delay_sd=float(np.sqrt(at_start @ spread @ at_start)),
            drift=float(self.growth),
            drift_sd=float(np.sqrt(spread[1, 1])) / half,
            gains=tuple(float(g) for g in self.gains),
            gain_sds=tuple(float(s) for s in np.where(weights > 0.0, np.sqrt(1.0 / safe), 0.0)),
            drift_hint_db=0.0 if with_drift else self._drift_hint_db(weights),
        )


def _normal_equations(
    a: Floats, b: Floats, spans: list[Span], centre: float, growth: float, middle: float, half: float
) -> _Fit:
    channels = a.shape[0]
    aa, ab, bb = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    ad, bd, dd = np.zeros((2, channels)), np.zeros((2, channels)), np.zeros((2, 2, channels))
    frames = 0
    for start, stop in spans:
        y, by_delay = read(a, delay=centre - growth * middle, drift=growth, start=start, stop=stop, slope=True)
        by_drift = by_delay * ((np.arange(start, stop) - middle) / half)
        heard = b[:, start:stop]
        frames += stop - start
        aa += np.einsum("cn,cn->c", y, y)
        ab += np.einsum("cn,cn->c", y, heard)
        bb += np.einsum("cn,cn->c", heard, heard)
        slopes = (by_delay, by_drift)
        for i, slope in enumerate(slopes):
            ad[i] += np.einsum("cn,cn->c", y, slope)
            bd[i] += np.einsum("cn,cn->c", heard, slope)
            for j, other in enumerate(slopes):
                dd[i, j] += np.einsum("cn,cn->c", slope, other)
    return _Fit(centre, growth, frames, aa, ab, bb, ad, bd, dd)


def _fit_spans(span: Span) -> list[Span]:
    start, stop = span
    if stop - start <= FIT_SPANS * FIT_SPAN_FRAMES:
        return [(n, min(n + FIT_SPAN_FRAMES, stop)) for n in range(start, stop, FIT_SPAN_FRAMES)]
    firsts = np.linspace(start, stop - FIT_SPAN_FRAMES, FIT_SPANS).astype(int).tolist()
    return [(n, n + FIT_SPAN_FRAMES) for n in firsts]
