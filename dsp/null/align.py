"""Lay one recording over another: delays, drift, and per channel gain and polarity.

``a`` is the reference and ``b`` the recording; both are signals or (channels, frames) arrays. The model is
``b_c(n) = g_c·a_c(n − delay_k − drift·n − wander(n)) + noise`` on the ``k``-th piece of the recording: an edited or
interrupted recording has a delay per piece, but one clock and one gain. The reference is read between its samples, the
recording never is: its noise and its faults stay what they are. From a first guess (:mod:`dsp.null.search`)
Gauss-Newton on delays, drift and gains together finds what in white noise is the most likely answer (Kay, *Estimation
Theory*, 1993, section 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment
from dsp.null.reader import HALF_TAPS, read
from dsp.null.signal import Signal, Span, as_signal, in_order

Floats = NDArray[np.float64]
Wander = Callable[[Floats], Floats]

ROUNDS = 12
FIT_SPANS, FIT_SPAN_FRAMES = 24, 131_072


@dataclass(frozen=True)
class Piece:
    """A stretch of ``b`` that plays ``a`` without a jump."""

    start: int
    stop: int
    delay: float
    """Extrapolated to ``b``'s first frame [samples]."""

    @property
    def frames(self) -> int:
        """How long it is."""
        return self.stop - self.start


@dataclass(frozen=True)
class Alignment:
    """Where ``b`` lies on ``a``: delay in samples at ``b``'s first frame, positive when ``b`` is later."""

    delay_samples: float
    """Of the longest piece."""
    delay_sd: float
    drift: float
    """Growth of the delay [samples per sample]; 1e-6 is 1 ppm, positive when ``b`` runs ever later."""
    drift_sd: float
    gains: tuple[float, ...]
    """Of ``b`` re ``a`` per channel, negative where the polarity is inverted; 0 where either is silent."""
    gain_sds: tuple[float, ...]
    drift_hint_db: float = 0.0
    """What a drift would take off the residual by the fit's own curvature [dB]; 0 where the drift was fitted."""
    pieces: tuple[Piece, ...] = ()
    wander: Wander | None = None
    """What the delay has beyond the line, at frames of ``b`` [samples]."""

    @property
    def polarity(self) -> tuple[int, ...]:
        """+1 or −1 per channel."""
        return tuple(-1 if gain < 0.0 else 1 for gain in self.gains)

    def overlap(self, a_frames: int, b_frames: int) -> Span:
        """Return the frames of ``b`` for which the reader finds all of ``a`` it needs."""
        return overlap(self.delay_samples, self.drift, a_frames, b_frames)

    def read(self, a: Signal, piece: Piece, start: int, stop: int, *, slope: bool = False) -> tuple[Floats, Floats]:
        """Return ``a`` on the time line of a piece, and its derivative by the delay (empty unless ``slope``)."""
        return read(a, delay=piece.delay, drift=self.drift, start=start, stop=stop, slope=slope, wander=self.wander)

    def moved(self, drift: float, drift_sd: float, turn: float) -> Alignment:
        """Return the same with another drift, turned around the frame ``turn``."""
        less = drift - self.drift
        return replace(
            self,
            delay_samples=self.delay_samples - less * turn,
            delay_sd=float(np.hypot(self.delay_sd, drift_sd * turn)),
            drift=drift,
            drift_sd=drift_sd,
            pieces=tuple(replace(piece, delay=piece.delay - less * turn) for piece in self.pieces),
        )


def overlap(delay: float, drift: float, a_frames: int, b_frames: int) -> Span:
    """Return the frames of ``b`` for which the reader finds all of ``a`` it needs, with this delay and drift."""
    early, late = sorted((delay, delay + drift * b_frames))
    start = max(0, int(np.ceil(late)) + HALF_TAPS)
    return start, max(start, min(b_frames, int(np.floor(a_frames + early)) - HALF_TAPS))


def refine(
    a: Signal | Floats,
    b: Signal | Floats,
    *,
    delay: float = 0.0,
    drift: float,
    span: Span = (0, 0),
    with_drift: bool,
    pieces: tuple[Piece, ...] = (),
    wander: Wander | None = None,
    quick: bool = False,
) -> Alignment:
    """Return the least-squares alignment near a first guess.

    Parameters
    ----------
    a, b
        Signals, or (channels, frames).
    delay, drift
        The guess: delay at ``b``'s first frame [samples] and growth [samples per sample].
    span
        The frames of ``b`` to fit over; of a long one some two dozen stretches are used.
    with_drift
        Fit the drift too; otherwise it is held at the guess.
    pieces
        Instead of ``delay`` and ``span``: the stretches, each with a guess of its own delay.
    wander
        What the delay is known to have beyond the line.
    quick
        Fit over a quarter of the stretches only: enough for a depth, not for a delay worth printing.

    Raises
    ------
    NoAlignment
        The fit finds no gain on any channel.
    """
    a, b = as_signal(a), as_signal(b)
    parts = pieces or (Piece(span[0], span[1], delay),)
    plan = _Plan(a, b, parts, wander)
    spans = _fit_spans(parts)
    best = plan.descend(
        _few(spans), np.array([p.delay + drift * m for p, m in plan.each]), drift, with_drift=with_drift
    )
    if not quick:
        best = plan.descend(spans, best.centres, best.growth, with_drift=with_drift, coarse=False)
    if not np.any(best.gains):
        raise NoAlignment("The recordings share no channel that sounds in both.", hint="Check the channel order.")
    return plan.alignment(best, with_drift=with_drift)


@dataclass(frozen=True)
class _Plan:
    """What is fitted to what: two signals and the pieces, each of which turns around its own middle."""

    a: Signal
    b: Signal
    pieces: tuple[Piece, ...]
    wander: Wander | None

    @property
    def each(self) -> list[tuple[Piece, float]]:
        return [(piece, 0.5 * (piece.start + piece.stop)) for piece in self.pieces]

    @property
    def half(self) -> float:
        """The unit of the fitted drift: samples over half the longest piece."""
        return max(1.0, 0.5 * max(piece.frames for piece in self.pieces))

    def descend(
        self, spans: list[tuple[int, Span]], centres: Floats, growth: float, *, with_drift: bool, coarse: bool = True
    ) -> _Fit:
        """Run Gauss-Newton until a step is far below its spread (``coarse``: well within reach of another round)."""
        best = self.sums(spans, centres, growth)
        weights = best.weights()
        step, spread = best.step(weights, with_drift=with_drift)
        for _ in range(ROUNDS):
            step *= min(1.0, 1.0 / max(1e-300, float(np.max(np.abs(step)))))
            if np.all(np.abs(step) <= (1e-3 if coarse else np.maximum(1e-8, 0.02 * spread))):
                break
            fit = self.sums(spans, best.centres + step[:-1], best.growth + step[-1] / self.half)
            if fit.cost(weights) > best.cost(weights):
                step = 0.5 * step  # overshot: come half way back
                continue
            best, weights = fit, fit.weights()
            step, spread = best.step(weights, with_drift=with_drift)
        return best

    def sums(self, spans: list[tuple[int, Span]], centres: Floats, growth: float) -> _Fit:
        """Return the normal equations over the spans."""
        size, channels = len(self.pieces) + 1, self.b.channels
        middles = [middle for _, middle in self.each]

        def one(task: tuple[int, Span]) -> tuple[Floats, ...]:
            k, (start, stop) = task
            y, by_delay = read(
                self.a,
                delay=centres[k] - growth * middles[k],
                drift=growth,
                start=start,
                stop=stop,
                slope=True,
                wander=self.wander,
            )
            heard = self.b.read(start, stop)
            slopes = np.stack([by_delay, by_delay * ((np.arange(start, stop) - middles[k]) / self.half)])
            return (
                np.stack([_dot(y, y), _dot(y, heard), _dot(heard, heard)]),
                np.einsum("cn,icn->ic", y, slopes),
                np.einsum("cn,icn->ic", heard, slopes),
                np.einsum("icn,jcn->ijc", slopes, slopes),
            )

        powers = np.zeros((3, channels))
        ad, bd, dd = np.zeros((size, channels)), np.zeros((size, channels)), np.zeros((size, size, channels))
        for (k, _), (power, y_slopes, heard_slopes, squares) in zip(spans, in_order(one, spans), strict=True):
            rows = np.array([k, size - 1])
            powers += power
            ad[rows] += y_slopes
            bd[rows] += heard_slopes
            dd[np.ix_(rows, rows)] += squares
        frames = sum(stop - start for _, (start, stop) in spans)
        return _Fit(centres, growth, frames, powers[0], powers[1], powers[2], ad, bd, dd)

    def alignment(self, fit: _Fit, *, with_drift: bool) -> Alignment:
        """Return the fit in terms of ``b``'s first frame."""
        weights = fit.weights()
        spread = fit.covariance(weights, with_drift=with_drift)
        main = int(np.argmax([piece.frames for piece in self.pieces]))
        middles = [middle for _, middle in self.each]
        at_start = np.zeros(len(self.pieces) + 1)
        at_start[main], at_start[-1] = 1.0, -middles[main] / self.half
        safe = np.where(weights * fit.aa > 0.0, weights * fit.aa, 1.0)
        pieces = tuple(
            replace(piece, delay=float(centre - fit.growth * middle))
            for (piece, middle), centre in zip(self.each, fit.centres, strict=True)
        )
        return Alignment(
            delay_samples=pieces[main].delay,
            delay_sd=float(np.sqrt(at_start @ spread @ at_start)),
            drift=float(fit.growth),
            drift_sd=float(np.sqrt(spread[-1, -1])) / self.half,
            gains=tuple(float(g) for g in fit.gains),
            gain_sds=tuple(float(s) for s in np.where(weights > 0.0, np.sqrt(1.0 / safe), 0.0)),
            drift_hint_db=0.0 if with_drift else fit.drift_hint_db(weights),
            pieces=pieces,
            wander=self.wander,
        )


@dataclass(frozen=True)
class _Fit:
    """Sums over the fit's frames at given delays and drift, and what follows from them; arrays are per channel."""

    centres: Floats
    growth: float
    frames: int
    aa: Floats
    ab: Floats
    bb: Floats
    ad: Floats  # (pieces + 1, channels): reading times its slope by (each piece's delay, drift)
    bd: Floats
    dd: Floats  # (pieces + 1, pieces + 1, channels)

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
        """Fisher information of (delays at the pieces' middles, drift times half the longest), gains eliminated."""
        g = self.gains
        lost = np.einsum("ic,jc->ijc", self.ad, self.ad) / np.where(self.aa > 0.0, self.aa, 1.0)
        total: Floats = np.sum(weights * g**2 * (self.dd - lost), axis=2)
        return total

    def covariance(self, weights: Floats, *, with_drift: bool) -> Floats:
        """Covariance of the same; zero for what is not fitted or cannot be told."""
        information = self.information(weights)
        told = np.diag(information) > 0.0
        told[-1] &= with_drift
        spread = np.zeros_like(information)
        if told.any():
            spread[np.ix_(told, told)] = np.linalg.pinv(information[np.ix_(told, told)], hermitian=True)
        return spread

    def step(self, weights: Floats, *, with_drift: bool) -> tuple[Floats, Floats]:
        """Return the Gauss-Newton step and the standard deviations of its parts."""
        g = self.gains
        gradient = np.sum(weights * g * (self.bd - g * self.ad), axis=1)
        spread = self.covariance(weights, with_drift=with_drift)
        return spread @ gradient, np.sqrt(np.diag(spread))

    def drift_hint_db(self, weights: Floats) -> float:
        step, _ = self.step(weights, with_drift=True)
        cost = self.cost(weights)
        saved = float(step @ self.information(weights) @ step)
        return 10.0 * float(np.log10(cost / max(cost - saved, 1e-3 * cost))) if cost > 0.0 else 0.0


def _dot(x: Floats, y: Floats) -> Floats:
    total: Floats = np.einsum("cn,cn->c", x, y)
    return total


def _few(spans: list[tuple[int, Span]]) -> list[tuple[int, Span]]:
    """Return a quarter of the spans where there are enough, at least one of every piece."""
    if len(spans) < 8:
        return spans
    kept = {k: spans.index((k, span)) for k, span in reversed(spans)}
    return [spans[n] for n in sorted({*kept.values(), *range(0, len(spans), max(1, len(spans) // 4))})]


def fit_spans(piece: Piece, most: int = FIT_SPANS) -> list[Span]:
    """Return the piece cut into stretches of 131072 frames, or ``most`` such stretches spread evenly over it."""
    start, stop = piece.start, piece.stop
    if stop - start <= most * FIT_SPAN_FRAMES:
        return [(n, min(n + FIT_SPAN_FRAMES, stop)) for n in range(start, stop, FIT_SPAN_FRAMES)]
    firsts = np.linspace(start, stop - FIT_SPAN_FRAMES, most).astype(int).tolist()
    return [(n, n + FIT_SPAN_FRAMES) for n in firsts]


def _fit_spans(pieces: tuple[Piece, ...]) -> list[tuple[int, Span]]:
    total = sum(piece.frames for piece in pieces)
    return [
        (k, span)
        for k, piece in enumerate(pieces)
        for span in fit_spans(piece, max(1, round(FIT_SPANS * piece.frames / max(1, total))))
    ]
