"""Everything a null test fits before it subtracts: the line, the jumps, the matching stages, the wander of clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment
from dsp.null.align import Alignment, Piece, clear_of, overlap, refine
from dsp.null.chain import DRIFT_GAIN_DB, DRIFT_SIGMAS, fit_chain, powers_of, weighted
from dsp.null.path import Path
from dsp.null.search import Guess
from dsp.null.segments import Cut, locate
from dsp.null.signal import Signal, Span, blocks, in_order
from dsp.null.sketch import Sketch
from dsp.null.stages import MatchStage
from dsp.null.timemap import LocalDelay, Wander, fit_wander

Floats = NDArray[np.float64]

FEWEST_OVERLAP = 2_048
POINT_FRAMES = 16_384
BAD_FRAMES = 4_096
BAD_TIMES = 16.0
POINTS_FRAMES = 1 << 18  # of one reading
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
    bad = bad_spans(Path(a, fit), b)
    if bad:
        fit, drifts = _line(a, b, fit.pieces, fit.drift, bad)
        if cuts:
            pieces, cuts = locate(Path(a, fit), b, fit.pieces, guess.strange)
            fit = replace(fit, pieces=pieces)
        bad = bad_spans(Path(a, fit), b)
        fit, drifts = _line(a, b, fit.pieces, fit.drift, bad)
    path = Path(a, fit)
    wander = _wander(path, b, rate_hz, bad)
    if wander is not None:
        path, wander = _along(path, b, wander, rate_hz, bad)
        drifts = True
    if stages:
        done = fit_chain(path, b, both, stages, drifts=drifts, rate_hz=rate_hz, bad=bad)
        path, drifts = done.path, done.drifts
        if path.chain:
            if wander is not None or done.wanders:
                wander = _wander(path, b, rate_hz, bad)
                path, wander = _along(path, b, wander, rate_hz, bad, refit=False)
                drifts = drifts or wander is not None
                bare = replace(path, chain=())
                done = fit_chain(bare, b, both, stages, drifts=drifts, rate_hz=rate_hz, bad=bad)
                path, drifts = done.path, done.drifts
            if cuts:
                pieces, cuts = locate(path, b, path.alignment.pieces, guess.strange)
                path = replace(path, alignment=replace(path.alignment, pieces=pieces))
    return Fitted(path, drifts, wander, tuple(cuts), guess.strange, tuple(stage.name for stage in stages))


def _line(
    a: Signal, b: Signal, pieces: tuple[Piece, ...], drift: float, avoid: Sequence[Span] = ()
) -> tuple[Alignment, bool]:
    """Return the alignment along lines, and whether a drift is part of it."""
    usable = tuple(piece for piece in pieces if piece.frames > 0)
    if drift != 0.0:
        moving = refine(a, b, pieces=usable, drift=drift, with_drift=True, avoid=avoid)
        if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
            return moving, True
        flat = tuple(replace(p, delay=p.delay + drift * 0.5 * (p.start + p.stop)) for p in usable)
        return refine(a, b, pieces=flat, drift=0.0, with_drift=False, avoid=avoid), False
    still = refine(a, b, pieces=usable, drift=0.0, with_drift=False, avoid=avoid)
    if still.drift_hint_db < DRIFT_GAIN_DB:
        return still, False
    moving = refine(a, b, pieces=still.pieces, drift=0.0, with_drift=True, avoid=avoid)
    if abs(moving.drift) > DRIFT_SIGMAS * moving.drift_sd:
        return moving, True
    return still, False


def bad_spans(path: Path, b: Signal) -> list[Span]:
    """Return where the model fails far more than elsewhere: nothing is learnt from there.

    Runs of 4096 frames count whose residual stands 12 dB above the median, both as it is and re the programme, and is
    no less than a hundredth of the programme. Where that is a quarter of all, it is the rule and not the exception.
    """
    tasks = [(piece, block) for piece in path.alignment.pieces for block in blocks(piece.start, piece.stop)]

    def one(task: tuple[Piece, Span]) -> list[tuple[int, float, float]]:
        piece, (start, stop) = task
        model, heard = path.models(piece, (start, stop))[0], b.read(start, stop)
        runs = np.arange(0, stop - start, BAD_FRAMES)
        left = np.add.reduceat(np.sum((heard - model) ** 2, axis=0), runs)
        loud = np.add.reduceat(np.sum(heard**2 + model**2, axis=0), runs)
        return list(zip((start + runs).tolist(), left.tolist(), loud.tolist(), strict=True))

    rows = [row for block in in_order(one, tasks) for row in block]
    if len(rows) < 8:
        return []
    first, left, loud = np.array(rows).T
    ratio = left / np.maximum(loud, 1e-300)
    bad = (ratio > max(0.01, BAD_TIMES * float(np.median(ratio)))) & (left > BAD_TIMES * float(np.median(left)))
    if np.count_nonzero(bad) > 0.25 * bad.size:
        return []
    return [(int(n) - 64, int(n) + BAD_FRAMES + 64) for n in first[bad]]


def local_delays(path: Path, b: Signal, rate_hz: int, bad: Sequence[Span] = ()) -> list[LocalDelay]:
    """Return how far the delay is off the path's, from stretches all along the recording."""
    tasks: list[tuple[Piece, Span, list[int]]] = []
    total = sum(piece.frames for piece in path.alignment.pieces)
    step = max(POINT_FRAMES, round(POINT_S * rate_hz), total // MOST_POINTS)
    for piece in path.alignment.pieces:
        firsts = range(piece.start, piece.stop - POINT_FRAMES + 1, step)
        clean = [n for n in firsts if clear_of((n, n + POINT_FRAMES), bad) == [(n, n + POINT_FRAMES)]]
        # stages look far back: points that lie close share a reading
        for n in clean:
            if tasks and path.chain and tasks[-1][0] == piece and n + POINT_FRAMES - tasks[-1][1][0] <= POINTS_FRAMES:
                tasks[-1] = (piece, (tasks[-1][1][0], n + POINT_FRAMES), [*tasks[-1][2], n])
            else:
                tasks.append((piece, (n, n + POINT_FRAMES), [n]))
    gains = np.array(path.alignment.gains)[:, None]
    before, after = path.margins

    def one(task: tuple[Piece, Span, list[int]]) -> list[tuple[float, Floats, Floats, Floats]]:
        piece, (start, stop), firsts = task
        y, slope = path.alignment.read(path.a, piece, start - before, stop + after, slope=True)
        for _, applied in path.chain:
            y, slope = applied.apply(y), applied.apply(slope)
        if not path.chain:
            y, slope = gains * y, gains * slope
        inside = slice(before, before + stop - start)
        left, slope = b.read(start, stop) - y[:, inside], slope[:, inside]
        cuts = [(n, slice(n - start, n - start + POINT_FRAMES)) for n in firsts]
        return [(n + 0.5 * POINT_FRAMES, *powers_of(left[:, cut], slope[:, cut])) for n, cut in cuts]

    return weighted([row for rows in in_order(one, tasks) for row in rows], POINT_FRAMES)


def _wander(path: Path, b: Signal, rate_hz: int, bad: Sequence[Span]) -> Wander | None:
    """Return the departure from the line, on top of what the path has already; None when a line explains all."""
    points = local_delays(path, b, rate_hz, bad)
    already = path.alignment.wander
    if already is not None:
        offsets = already(np.array([point.frame for point in points]))
        points = [replace(p, offset=p.offset + float(more)) for p, more in zip(points, offsets, strict=True)]
    pieces = path.alignment.pieces
    return fit_wander(points, start=pieces[0].start, stop=pieces[-1].stop)


def _along(
    path: Path, b: Signal, wander: Wander | None, rate_hz: int, bad: Sequence[Span], *, refit: bool = True
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
            fit = refine(path.a, b, pieces=fit.pieces, drift=fit.drift, with_drift=True, wander=wander, avoid=bad)
        path = replace(path, alignment=fit)
        if not refit or float(np.max(np.abs(wander(wander.knots())))) < FAR:
            break
        again = _wander(path, b, rate_hz, bad)
        if again is None:
            break
        wander = again
    return path, path.alignment.wander if isinstance(path.alignment.wander, Wander) else None
