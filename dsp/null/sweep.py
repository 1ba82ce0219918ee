"""One walk through the whole programme: every block modelled, counted, and handed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.levels import rms_from_dbfs
from dsp.null.align import Piece
from dsp.null.fitting import Fitted
from dsp.null.reader import read
from dsp.null.result import Sink
from dsp.null.signal import BLOCK_FRAMES, Signal, Span, blocks, in_order
from dsp.null.tally import HOP_FRAMES, Hops, Part, Tally, fft_frames

Floats = NDArray[np.float64]

EDGE_S = 0.5
NOISE_FRAMES_S = 0.05
QUIETEST = 0.02  # share of the recording taken for its quiet passages


@dataclass(frozen=True)
class Programme:
    """What the walk counted."""

    tally: Tally
    early: tuple[str, ...]
    """Names of the early stages whose sums are in the tally."""
    whole: float
    """Squares that the whole-sample delay leaves."""
    start: int
    stop: int
    frames: int
    """Counted; less than from start to stop where B plays something that is not in A."""
    rms: float


def edge_frames(span: Span, rate_hz: int) -> int:
    """Return how many frames to leave out at either end: 0.5 s, of a short overlap a tenth."""
    return min(round(EDGE_S * rate_hz), (span[1] - span[0]) // 10)


def programme_span(pieces: tuple[Piece, ...], rate_hz: int, before: int = 0) -> Span:
    """Return the frames that are counted.

    Stages that look ``before`` frames back are not complete until then where the reference does not reach back so far:
    couplings remember what was played before it. So long, at most a fifth of the overlap, is left out too.
    """
    span = pieces[0].start, pieces[-1].stop
    edge = edge_frames(span, rate_hz)
    held = span[0] - round(pieces[0].delay)  # of the reference, before the overlap
    return span[0] + max(edge, min(before - held, (span[1] - span[0]) // 5)), span[1] - edge


@dataclass(frozen=True, eq=False)
class _Block:
    start: int
    part: Part | None
    whole: float
    models: tuple[Floats, Floats, Floats] | None


def sweep(fitted: Fitted, b: Signal, *, rate_hz: int, sink: Sink | None) -> Programme:
    """Walk through the programme once; blocks go to the sink in order."""
    path = fitted.path
    fit = path.alignment
    span = programme_span(fit.pieces, rate_hz, path.margins[0])
    tasks: list[tuple[Piece | None, Span]] = []
    at = span[0]
    for piece in fit.pieces:
        start, stop = max(span[0], piece.start), min(span[1], piece.stop)
        if stop <= start:
            continue
        tasks += [(None, gap) for gap in blocks(at, start)] if start > at else []
        tasks += [(piece, block) for block in blocks(start, stop)]
        at = stop
    longest = max(min(BLOCK_FRAMES, stop - start) for piece, (start, stop) in tasks if piece is not None)
    tally = Tally(rate_hz, span[0], span[1], fft_frames(longest))
    main = max(fit.pieces, key=lambda piece: piece.frames)
    middle = 0.5 * (main.start + main.stop)
    centre = main.delay + fit.drift * middle
    early = fitted.early

    def one(task: tuple[Piece | None, Span]) -> _Block:
        piece, (start, stop) = task
        heard = b.read(start, stop)
        if piece is None:
            nothing = np.zeros_like(heard)
            return _Block(start, None, 0.0, (nothing, nothing, heard))
        models = path.models(piece, (start, stop))
        left = [float(np.sum((heard - model) ** 2)) for model in models]
        for n in range(1, len(models)):  # a block that a stage does harm goes without it
            if left[n] > left[n - 1]:
                models[n], left[n] = models[n - 1], left[n - 1]
        lag = round(centre)
        whole = path.a.read(start - lag, stop - lag)
        readings = []
        for name in early:
            if name == "gain":
                readings.append(whole)
                continue
            line = (centre, 0.0) if name == "fraction" else (main.delay, fit.drift)
            delay = piece.delay if name == "segments" else line[0]
            drift = fit.drift if name == "segments" else line[1]
            y, _ = read(path.a, delay=delay, drift=drift, start=start, stop=stop)
            readings.append(y)
        part = tally.part(start, heard, models, readings)
        return _Block(
            start, part, float(np.sum((heard - whole) ** 2)), None if sink is None else (models[0], models[-1], heard)
        )

    shifted = 0.0
    for done in in_order(one, tasks):
        if done.part is not None:
            tally.add(done.part)
        shifted += done.whole
        if sink is not None and done.models is not None:
            sink(done.start, *done.models)
    frames = sum(stop - start for piece, (start, stop) in tasks if piece is not None)
    rms = float(np.sqrt(tally.sums[0] / (frames * b.channels)))
    return Programme(tally, early, shifted, span[0], at, frames, rms)


def noise_of(hops: Hops, *, rate_hz: int, noise_dbfs: float | None) -> tuple[float | None, str]:
    """Return the RMS of the recording's noise, given or from its quietest passages, and where it comes from.

    The quietest 2 % of 50 ms stretches count when the reference is at least 10 dB quieter there than the recording, so
    that what is heard cannot be programme. None and the reason where there are none.
    """
    if noise_dbfs is not None:
        return rms_from_dbfs(noise_dbfs), f"from a recording noise of {noise_dbfs:.1f} dBFS"
    runs = max(1, round(NOISE_FRAMES_S * rate_hz / HOP_FRAMES))
    count = hops.first.size // runs
    if count < 10:
        return None, "too short to find a quiet passage; give the noise of the recording"
    heard, expected = (
        np.sqrt(
            np.mean(x[:, : count * runs].reshape(x.shape[0], count, runs), axis=(0, 2), dtype=np.float64) / HOP_FRAMES
        )
        for x in (hops.heard, hops.model)
    )
    quietest = np.argsort(heard)[: max(3, round(QUIETEST * heard.size))]
    level = float(np.sqrt(np.mean(heard[quietest] ** 2)))
    if level == 0.0:
        return None, "B is digitally silent in its quietest passages; give the noise of the recording"
    if float(np.sqrt(np.mean(expected[quietest] ** 2))) > 10.0**-0.5 * level:
        return None, "no passage is quiet enough to hear the noise of B; give the noise of the recording"
    return level, "estimated from the quietest passages of B"
