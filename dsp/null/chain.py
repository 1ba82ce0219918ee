"""The matching stages fitted one behind the other, and the drift again in what they cannot explain.

All stages see the same stretches, some 2^20 frames in all, spread over what is clean of the programme and chosen where
it is loud. A drift that a stage leaves is moved into the alignment at once, and the stages are fitted again on the
reference as it then lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dsp.null.align import Piece, clear_of
from dsp.null.path import Path
from dsp.null.signal import Signal, Span, in_order
from dsp.null.sketch import Sketch
from dsp.null.stages import Applied, Hidden, MatchStage
from dsp.null.stretch import Floats, Stretch
from dsp.null.timemap import LocalDelay

ROUNDS = 5
FIT_VALUES = 1 << 21  # frames times channels to fit over
FIT_COUNT = 6  # stretches they are spread over
FEWEST_FRAMES = 8_192  # of a stretch
BEFORE_S = 2.5  # context: the slowest poles and couplings have settled by then
AFTER_S = 0.25
EDGE_S = 1.0  # left out after the start of a piece: a path remembers what was there before it
DRIFT_GAIN_DB = 0.1  # a drift is kept when it takes this much off the residual
DRIFT_SIGMAS = 5.0  # … and is this many standard deviations from none
POINT_FRAMES = 16_384
WANDER_SIGMAS = 3.0
NOTHING = 1e-14  # of the power: what the rounding of 24-bit samples leaves


@dataclass(frozen=True)
class Chained:
    """The path with its stages."""

    path: Path
    drifts: bool
    points: tuple[LocalDelay, ...]
    """How far the delay is off within the stretches, after all stages."""

    @property
    def wanders(self) -> bool:
        """Whether the delay strays within the stretches more than the noise explains."""
        pulls = [point.offset / point.sd for point in self.points]
        return bool(pulls) and float(np.sqrt(np.mean(np.square(pulls)))) > WANDER_SIGMAS


def fit_chain(
    path: Path,
    b: Signal,
    both: Sketch,
    stages: Sequence[MatchStage],
    *,
    drifts: bool,
    rate_hz: int,
    bad: Sequence[Span],
) -> Chained:
    """Fit the stages, and the drift again in what they leave; stages that do not pay are not in the path."""
    pieces = path.alignment.pieces
    spans = [(pieces.index(piece), span) for piece, span in fit_spans(path, both, rate_hz, bad)]
    settled = 0
    known: dict[int, Applied] = {}
    for turn in range(ROUNDS):
        open_from = settled if turn < ROUNDS - 1 else len(stages)
        found = _fitted(path, b, spans, stages, known, drifts=drifts, open_from=open_from, rate_hz=rate_hz)
        path = replace(path, chain=found.chain)
        if found.hidden is None:
            break
        number, move = found.hidden
        drifts, settled = True, number + int(move.joint)
        fit = path.alignment
        path = replace(path, alignment=fit.moved(fit.drift + move.drift.value, move.drift.sd, move.middle))
    return Chained(path, drifts, found.points)


@dataclass(frozen=True)
class _Found:
    """What one turn through the stages left; it holds no stretch, some 120 MB at 96 kHz."""

    chain: tuple[tuple[str, Applied], ...]
    hidden: tuple[int, Hidden] | None
    """Number of the stage that leaves a drift, and the drift; the stages behind it were not fitted."""
    points: tuple[LocalDelay, ...]


def _fitted(
    path: Path,
    b: Signal,
    spans: Sequence[tuple[int, Span]],
    stages: Sequence[MatchStage],
    known: dict[int, Applied],
    *,
    drifts: bool,
    open_from: int,
    rate_hz: int,
) -> _Found:
    """Fit the stages over the spans of some pieces, until one leaves a drift; those that pay are the chain.

    Only stages from ``open_from`` on are asked for a drift; those in ``known`` are fitted already.
    """
    stretches = [_stretch(path, b, path.alignment.pieces[k], span, rate_hz) for k, span in spans]
    gains = np.array(path.alignment.gains)[:, None]
    left = _left(stretches, gains)
    chain: list[tuple[str, Applied]] = []
    if left <= NOTHING * sum(float(np.sum(stretch.heard**2)) for stretch in stretches):
        stages = ()
    for number, stage in enumerate(stages):
        applied = known.get(number) or stage.fit(stretches, rate_hz=rate_hz)
        if applied is None or not applied.kept:
            continue
        hidden = stage.hidden_drift(stretches, applied) if number >= open_from else None
        if hidden is not None and _matters(hidden, drifts=drifts):
            if hidden.joint:
                known[number] = applied
            return _Found(tuple(chain), (number, hidden), ())
        after = list(in_order(partial(_through, applied), stretches))
        reached = _left(after)
        if reached < left:
            chain.append((stage.name, applied))
            stretches, left = after, reached
        del after
    if not chain:
        stretches = [stretch.through(lambda y: gains * y) for stretch in stretches]
    return _Found(tuple(chain), None, tuple(_points(stretches)))


def _through(applied: Applied, stretch: Stretch) -> Stretch:
    return stretch.through(applied.apply)


def _matters(hidden: Hidden, *, drifts: bool) -> bool:
    sure = abs(hidden.drift.value) > DRIFT_SIGMAS * hidden.drift.sd
    return sure and (drifts or hidden.gain_db >= DRIFT_GAIN_DB)


def _left(stretches: Sequence[Stretch], gains: Floats | float = 1.0) -> float:
    return sum(float(np.sum((stretch.heard - gains * stretch.inside(stretch.y)) ** 2)) for stretch in stretches)


def _stretch(path: Path, b: Signal, piece: Piece, span: Span, rate_hz: int) -> Stretch:
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    low, high = span[0] - before, span[1] + after
    y, slope = path.alignment.read(path.a, piece, low, high, slope=True)
    return Stretch(y, b.read(low, high), before, before + span[1] - span[0], low, slope)


def fit_spans(path: Path, both: Sketch, rate_hz: int, bad: Sequence[Span]) -> list[tuple[Piece, Span]]:
    """Return the frames to fit over, in order: everything clean of a short recording, the loudest of a long one."""
    runs: list[tuple[Piece, Span]] = []
    for piece in path.alignment.pieces:
        edge = min(round(EDGE_S * rate_hz), piece.frames // 10)
        runs += [(piece, run) for run in clear_of((piece.start + edge, piece.stop - edge // 2), bad)]
    kept = [(piece, run) for piece, run in runs if run[1] - run[0] >= FEWEST_FRAMES]
    runs = kept or [max(runs, key=lambda item: item[1][1] - item[1][0])]
    budget = FIT_VALUES // max(2, len(path.alignment.gains))
    if len(runs) <= FIT_COUNT and sum(stop - start for _, (start, stop) in runs) <= budget:
        return runs
    edges = np.linspace(runs[0][1][0], runs[-1][1][1], FIT_COUNT + 1).astype(int)
    chosen: list[tuple[Piece, Span]] = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        parts = [(piece, (max(low, start), min(high, stop))) for piece, (start, stop) in runs]
        piece, part = max(parts, key=lambda item: item[1][1] - item[1][0])
        if part[1] - part[0] >= FEWEST_FRAMES:
            chosen.append((piece, _loudest(both, part, budget // FIT_COUNT)))
    return chosen or [max(runs, key=lambda item: item[1][1] - item[1][0])]


def _loudest(both: Sketch, span: Span, frames: int) -> Span:
    """Return the loudest so many frames of a span of the recording."""
    if span[1] - span[0] <= frames:
        return span
    low = both.b[:, span[0] // both.factor : span[1] // both.factor].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.sum(low**2, axis=0))])
    width = frames // both.factor
    start = span[0] + int(np.argmax(sums[width:] - sums[:-width])) * both.factor
    return min(start, span[1] - frames), min(start + frames, span[1])


def _points(stretches: Sequence[Stretch]) -> list[LocalDelay]:
    """Return the delay that is left within the stretches, every 16384 frames."""
    rows: list[tuple[float, Floats, Floats, Floats]] = []
    for stretch in stretches:
        if stretch.slope is None:
            continue
        left = stretch.b - stretch.y
        for first in range(stretch.start, stretch.stop - POINT_FRAMES + 1, POINT_FRAMES):
            rest, slope = left[:, first : first + POINT_FRAMES], stretch.slope[:, first : first + POINT_FRAMES]
            rows.append((stretch.at + first + 0.5 * POINT_FRAMES, *powers_of(rest, slope)))
    return weighted(rows, POINT_FRAMES)


def powers_of(left: Floats, slope: Floats) -> tuple[Floats, Floats, Floats]:
    """Return per channel the sums that a local delay is made of."""
    return (
        np.einsum("cn,cn->c", left, slope),
        np.einsum("cn,cn->c", slope, slope),
        np.einsum("cn,cn->c", left, left),
    )


def weighted(rows: Sequence[tuple[float, Floats, Floats, Floats]], frames: int) -> list[LocalDelay]:
    """Return the local delays of stretches of ``frames``, channels weighted by their noise."""
    if not rows:
        return []
    noise = np.sum([row[3] for row in rows], axis=0) / (frames * len(rows))
    weight = np.where(noise > 0.0, 1.0 / np.where(noise > 0.0, noise, 1.0), 0.0)
    points: list[LocalDelay] = []
    for middle, shared, squares, _ in rows:
        told = float(weight @ squares)
        if told > 0.0:
            points.append(LocalDelay(middle, float(weight @ shared) / told, told**-0.5))
    return points
