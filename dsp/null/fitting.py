"""Everything a null test fits before it subtracts: the line, the jumps, the matching stages, the wander of clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment
from dsp.null.align import Alignment, Piece, overlap, refine
from dsp.null.path import Path
from dsp.null.search import Guess
from dsp.null.segments import Cut, locate
from dsp.null.signal import Signal, Span, in_order
from dsp.null.sketch import Sketch
from dsp.null.stages import Applied, FitSpan, MatchStage
from dsp.null.timemap import LocalDelay, Wander, fit_wander

Floats = NDArray[np.float64]

FEWEST_OVERLAP = 2_048
DRIFT_GAIN_DB = 0.1  # a drift is kept when it takes this much off the residual
DRIFT_SIGMAS = 5.0  # … and is this many standard deviations from none
MATCH_GAIN_DB = 1.0  # below this a match found nothing that could have biased the drift
MATCH_FRAMES = 1 << 20  # of the stretch the matching stages are fitted over
POINT_FRAMES = 16_384
POINT_S = 0.5
MOST_POINTS = 1_024
FAR = 0.05  # samples: a wander beyond this is measured once more along itself


@dataclass(frozen=True)
class Fitted:
    """The whole model."""

    path: Path
    drifts: bool
    """Whether a drift is part of it."""
    wander: Wander | None
    cuts: tuple[Cut, ...]
    strange: tuple[bool, bool]
    tried: tuple[str, ...]
    """Matching stages that were fitted; those that helped are in the path."""

    @property
    def early(self) -> tuple[str, ...]:
        """Stages before the plain model whose depth takes a reading of its own."""
        names = ["gain"]
        if self.drifts:
            names.append("fraction")
        if len(self.path.alignment.pieces) > 1:
            names.append("drift" if self.drifts else "fraction")
        if self.wander is not None:
            names.append("segments" if len(self.path.alignment.pieces) > 1 else "drift")
        return tuple(dict.fromkeys(names))

    @property
    def plain_name(self) -> str:
        """What the last stage before the matching ones is called."""
        if self.wander is not None:
            return "time map"
        if len(self.path.alignment.pieces) > 1:
            return "segments"
        return "drift" if self.drifts else "fraction"


def fit_all(a: Signal, b: Signal, guess: Guess, both: Sketch, *, rate_hz: int, stages: Sequence[MatchStage]) -> Fitted:
    """Fit everything, each part knowing what the others explain.

    Raises
    ------
    NoAlignment
        The recordings hardly overlap, or share nothing.
    """
    longest = max(guess.pieces, key=lambda piece: piece.frames)
    room = overlap(longest.delay, guess.drift, a.frames, b.frames)
    if longest.frames < FEWEST_OVERLAP and room[1] - room[0] < FEWEST_OVERLAP:
        raise NoAlignment(
            f"The recordings overlap in only {max(0, room[1] - room[0])} frames.", hint="Take longer parts of both."
        )
    fit, drifts = _line(a, b, guess.pieces, guess.drift)
    cuts: list[Cut] = []
    if len(guess.pieces) > 1 or any(guess.strange):
        pieces, cuts = locate(Path(a, fit), b, fit.pieces, guess.strange)
        fit, drifts = _line(a, b, pieces, fit.drift)
    path = Path(a, fit)
    wander = _wander(path, b, rate_hz)
    if wander is not None:
        path, wander = _along(path, b, wander, rate_hz)
        drifts = True
    tried: tuple[str, ...] = tuple(stage.name for stage in stages)
    if stages:
        path, drifts = _match(path, b, both, drifts, stages, rate_hz)
        if path.chain:
            again = _wander(path, b, rate_hz)
            if (again is None) != (wander is None) or again is not None:
                wander = again
                path, wander = _along(path, b, wander, rate_hz, refit=False)
                drifts = drifts or wander is not None
                path, drifts = _match(replace(path, chain=()), b, both, drifts, stages, rate_hz)
            if cuts:
                pieces, cuts = locate(path, b, path.alignment.pieces, guess.strange)
                path = replace(path, alignment=replace(path.alignment, pieces=pieces))
    return Fitted(path, drifts, wander, tuple(cuts), guess.strange, tried)


def _line(a: Signal, b: Signal, pieces: tuple[Piece, ...], drift: float) -> tuple[Alignment, bool]:
    """Return the alignment along lines, and whether a drift is part of it."""
    usable = tuple(piece for piece in pieces if piece.frames > 0)
    if drift != 0.0:
        moving = refine(a, b, pieces=usable, drift=drift, with_drift=True)
        if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
            return moving, True
        flat = tuple(replace(p, delay=p.delay + drift * 0.5 * (p.start + p.stop)) for p in usable)
        return refine(a, b, pieces=flat, drift=0.0, with_drift=False), False
    still = refine(a, b, pieces=usable, drift=0.0, with_drift=False)
    if still.drift_hint_db < DRIFT_GAIN_DB:
        return still, False
    moving = refine(a, b, pieces=still.pieces, drift=0.0, with_drift=True)
    if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
        return moving, True
    return still, False


def _match(
    path: Path, b: Signal, both: Sketch, drifts: bool, stages: Sequence[MatchStage], rate_hz: int
) -> tuple[Path, bool]:
    """Fit the matching stages, and the drift again in what they leave; return the path with those that help."""
    margin = sum(stage.margin_frames(rate_hz) for stage in stages)
    for _ in range(4):
        span = _fit_span(path, b, both, margin, rate_hz)
        chain: list[tuple[str, Applied]] = []
        plain = _left(np.array(path.alignment.gains)[:, None] * span.y, span)
        left, more = plain, None
        for stage in stages:
            applied = stage.fit([span], rate_hz=rate_hz)
            if applied is None:
                continue
            after = span.after(applied)
            reached = _left(after.y, after)
            if reached >= left:
                continue
            hidden = stage.hidden_drift([span], applied, rate_hz=rate_hz)
            if hidden is not None and reached <= plain * 10.0 ** (-MATCH_GAIN_DB / 10.0):
                more = hidden
            chain.append((stage.name, applied))
            span, left = after, reached
        path = replace(path, chain=tuple(chain))
        if more is None or abs(more.drift) < DRIFT_SIGMAS * more.sd or (more.gain_db < DRIFT_GAIN_DB and not drifts):
            break
        drifts = True
        fit = path.alignment
        path = replace(path, alignment=fit.moved(fit.drift + more.drift, more.sd, more.middle))
    return path, drifts


def _left(model: Floats, span: FitSpan) -> float:
    return float(np.sum((span.b - model)[:, span.start : span.stop] ** 2))


def _fit_span(path: Path, b: Signal, both: Sketch, margin: int, rate_hz: int) -> FitSpan:
    """Return the loudest stretch of the longest piece, not longer than the stages can be fitted over."""
    piece = max(path.alignment.pieces, key=lambda piece: piece.frames)
    edge = min(rate_hz // 2, piece.frames // 10)
    start, stop = piece.start + edge, piece.stop - edge
    if stop - start > MATCH_FRAMES:
        low = both.b[:, start // both.factor : stop // both.factor].astype(np.float64)
        sums = np.concatenate([[0.0], np.cumsum(np.sum(low**2, axis=0))])
        frames = MATCH_FRAMES // both.factor
        start += int(np.argmax(sums[frames:] - sums[:-frames])) * both.factor
        stop = min(stop, start + MATCH_FRAMES)
    y, slope = path.alignment.read(path.a, piece, start - margin, stop + margin, slope=True)
    return FitSpan(y, b.read(start - margin, stop + margin), margin, margin + stop - start, start - margin, slope)


def local_delays(path: Path, b: Signal, rate_hz: int) -> list[LocalDelay]:
    """Return how far the delay is off the path's, from stretches all along the recording."""
    spans: list[tuple[Piece, Span]] = []
    total = sum(piece.frames for piece in path.alignment.pieces)
    step = max(POINT_FRAMES, round(POINT_S * rate_hz), total // MOST_POINTS)
    for piece in path.alignment.pieces:
        firsts = range(piece.start, piece.stop - POINT_FRAMES + 1, step)
        spans += [(piece, (first, first + POINT_FRAMES)) for first in firsts]
    gains = np.array(path.alignment.gains)[:, None]

    def one(task: tuple[Piece, Span]) -> tuple[float, Floats, Floats, Floats]:
        piece, (start, stop) = task
        margin = path.margin
        y, slope = path.alignment.read(path.a, piece, start - margin, stop + margin, slope=True)
        for _, applied in path.chain:
            y, slope = applied.apply(y), applied.apply(slope)
        if not path.chain:
            y, slope = gains * y, gains * slope
        left = b.read(start, stop) - y
        powers = [np.einsum("cn,cn->c", p, q) for p, q in ((left, slope), (slope, slope), (left, left))]
        return 0.5 * (start + stop), powers[0], powers[1], powers[2]

    done = list(in_order(one, spans))
    if not done:
        return []
    noise = np.sum([left for _, _, _, left in done], axis=0) / (POINT_FRAMES * len(done))
    weight = np.where(noise > 0.0, 1.0 / np.where(noise > 0.0, noise, 1.0), 0.0)
    points: list[LocalDelay] = []
    for frame, shared, squares, _ in done:
        told = float(weight @ squares)
        if told > 0.0:
            points.append(LocalDelay(frame, float(weight @ shared) / told, told**-0.5))
    return points


def _wander(path: Path, b: Signal, rate_hz: int) -> Wander | None:
    """Return the departure from the line, on top of what the path has already; None when a line explains all."""
    points = local_delays(path, b, rate_hz)
    already = path.alignment.wander
    if already is not None:
        offsets = already(np.array([point.frame for point in points]))
        points = [replace(p, offset=p.offset + float(more)) for p, more in zip(points, offsets, strict=True)]
    pieces = path.alignment.pieces
    return fit_wander(points, start=pieces[0].start, stop=pieces[-1].stop)


def _along(
    path: Path, b: Signal, wander: Wander | None, rate_hz: int, *, refit: bool = True
) -> tuple[Path, Wander | None]:
    """Return the path with this departure from its line, the line being the mean one."""
    fit = path.alignment
    if wander is None:
        return replace(path, alignment=replace(fit, wander=None)), None
    for _ in range(3):
        start, stop = fit.pieces[0].start, fit.pieces[-1].stop
        level, slope = wander.line(start, stop)
        wander = wander.without(level, slope)
        pieces = tuple(replace(piece, delay=piece.delay + level) for piece in fit.pieces)
        fit = replace(
            fit, pieces=pieces, delay_samples=fit.delay_samples + level, drift=fit.drift + slope, wander=wander
        )
        if refit:
            fit = refine(path.a, b, pieces=fit.pieces, drift=fit.drift, with_drift=True, wander=wander)
        path = replace(path, alignment=fit)
        if not refit or float(np.max(np.abs(wander(wander.knots())))) < FAR:
            break
        again = _wander(path, b, rate_hz)
        if again is None:
            break
        wander = again
    return path, path.alignment.wander if isinstance(path.alignment.wander, Wander) else None
