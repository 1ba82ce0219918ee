"""Where the time line of a recording jumps, to the frame, and in words what happened there.

Left of a jump one delay explains the recording, right of it another. With both known the jump is the cut that leaves
the least squared residual, ``Σ_{n<c} l(n)² + Σ_{n≥c} r(n)²``: the most likely place in white noise (Hinkley,
*Biometrika* 57 (1970) 1-17). Between two pieces the recording may play something the reference does not have (silence,
foreign material); then there are two cuts, and ``b`` itself is what is left between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.null.align import Piece, overlap
from dsp.null.path import Path
from dsp.null.reader import HALF_TAPS
from dsp.null.signal import Signal

Floats = NDArray[np.float64]

REACH = 1 << 19  # frames read around one cut at most
LIKELY = 4.0  # twice a log-likelihood: cuts that cost no more are as good (a likelihood ratio of e²)
STRANGE = 50.0  # twice a log-likelihood: what a second cut must save
CLEANEST = 1e-10  # of the programme's power: models of noise-free recordings err by more than rounding
UNLIKE = 0.3  # of what lies between two pieces; what a model explains better than this is not strange
SHORTEST_PIECE = 1_024  # frames
SHORT_S = 0.5  # jumps up to this are lost or repeated frames, longer ones are edits
WHOLE = 0.02  # samples: a jump this close to a whole number is one
SILENT = 0.05  # RMS re the programme around
SAME = 0.9  # of the residual: a jump that saves less is none


@dataclass(frozen=True)
class Cut:
    """Where one piece ends and the next begins."""

    stop: int
    """Of the piece before; frame of ``b``."""
    start: int
    """Of the piece after; later than ``stop`` where something else lies between them."""
    stop_sd: float
    """[frames]; how far the place could be moved without a difference."""
    start_sd: float
    silent: bool
    """Whether ``b`` is quiet between the two."""


@dataclass(frozen=True)
class Change:
    """Something that happened to the recording at one place."""

    frame: int
    """Of ``b``."""
    frames: int
    """How long it lasts in ``b``; 0 for a jump."""
    kind: str
    """lost, repeated, inserted, replaced, dropout, edit, begins, ends, glitch, silent, or processing."""
    what: str


def find_cut(left: Floats | None, right: Floats | None, heard: Floats) -> tuple[int, int, float, float]:
    """Return (end of the left piece, begin of the right one, their uncertainties) within a stretch.

    Parameters
    ----------
    left, right
        Models of the pieces before and after, (channels, frames); None at an end of the recording, where the piece
        meets something strange.
    heard
        The recording, same shape.
    """
    alone = heard**2
    before = alone if left is None else (heard - left) ** 2
    after = alone if right is None else (heard - right) ** 2
    # Per channel: one that no model explains must not drown what the others tell.
    loud = np.maximum(np.mean(alone, axis=1, keepdims=True), 1e-30)
    # Where a model holds its residual is noise; a mean over the better half is not misled by what lies between.
    better = np.sort(np.minimum(before, after), axis=1)[:, : max(1, heard.shape[1] // 2)]
    noise = np.clip(2.0 * np.mean(better, axis=1, keepdims=True), CLEANEST * loud, loud)
    # Twice the negative log-likelihood of a frame: noise where a model holds, as loud as the programme where none does.
    strange = alone / loud + np.log(loud)
    p, h, q = (
        np.concatenate([[0.0], np.cumsum(np.sum(x, axis=0))])
        for x in (
            strange if left is None else before / noise + np.log(noise),
            strange,
            strange if right is None else after / noise + np.log(noise),
        )
    )
    straight = p - q
    best = int(np.argmin(straight))
    first = second = best
    if left is not None and right is not None:
        both = np.minimum.accumulate(p - h) + (h - q)
        end = int(np.argmin(both))
        if straight[best] - both[end] > STRANGE:
            first = int(np.argmin((p - h)[: end + 1]))
            between = slice(first, end)
            unlike = min(float(np.sum(x[:, between])) for x in (before, after))
            if unlike > UNLIKE * float(np.sum(alone[:, between])):
                second = end
            else:
                first = best
    if first == second:
        spread = _spread(straight, best)
        return first, second, spread, spread
    return first, second, _spread((p - h)[: second + 1], first), _spread(h - q, second)


def _spread(cost: Floats, best: int) -> float:
    """Return half the width of the cuts around ``best`` that are as good."""
    poor = cost > cost[best] + LIKELY
    before, after = np.flatnonzero(poor[:best]), np.flatnonzero(poor[best:])
    low = int(before[-1]) + 1 if before.size else 0
    high = best + int(after[0]) - 1 if after.size else cost.size - 1
    return 0.5 * (high - low)


def locate(
    path: Path, b: Signal, pieces: Sequence[Piece], strange: tuple[bool, bool]
) -> tuple[tuple[Piece, ...], list[Cut]]:
    """Return the pieces stretched to the cuts between them, and the cuts.

    ``strange`` tells whether something else is played before the first piece and after the last. A jump that does not
    leave less than no jump is taken back.
    """
    kept = [pieces[0]]
    for piece in pieces[1:]:
        if _same(path, b, kept[-1], piece):
            kept[-1] = replace(kept[-1], stop=piece.stop)
        else:
            kept.append(piece)
    drift = path.alignment.drift
    spans = [overlap(piece.delay, drift, path.a.frames, b.frames) for piece in kept]
    ends = [(piece.start, piece.stop) for piece in kept]
    cuts: list[Cut] = []
    if strange[0]:
        cut = _between(path, b, None, kept[0], 0, ends[0][0] + _some(kept[0]))
        ends[0] = (max(cut.start, spans[0][0]), ends[0][1])
        cuts.append(cut)
    for n in range(len(kept) - 1):
        one, other = kept[n], kept[n + 1]
        cut = _between(path, b, one, other, one.stop - _some(one), other.start + _some(other))
        ends[n] = (ends[n][0], min(cut.stop, spans[n][1]))
        ends[n + 1] = (max(cut.start, spans[n + 1][0]), ends[n + 1][1])
        cuts.append(cut)
    if strange[1]:
        cut = _between(path, b, kept[-1], None, ends[-1][1] - _some(kept[-1]), b.frames)
        ends[-1] = (ends[-1][0], min(cut.stop, spans[-1][1]))
        cuts.append(cut)
    placed = tuple(
        replace(piece, start=start, stop=max(start, stop)) for piece, (start, stop) in zip(kept, ends, strict=True)
    )
    real = [piece for piece, there in zip(kept, placed, strict=True) if there.frames >= SHORTEST_PIECE]
    if real and len(real) < len(kept):  # what is left of these is a chance likeness, and no piece
        return locate(path, b, real, strange)
    return placed, cuts


def _some(piece: Piece) -> int:
    """Return how far to look into a piece from its roughly known end."""
    return min(32_768, piece.frames // 2)


def _same(path: Path, b: Signal, one: Piece, other: Piece) -> bool:
    """Return whether the delay of one piece explains the begin of the next as well as its own does."""
    middle = (other.start + other.stop) // 2
    span = max(other.start, middle - 16_384), min(other.stop, middle + 16_384)
    heard = b.read(*span)
    own, foreign = (float(np.sum((heard - path.best(piece, span)) ** 2)) for piece in (other, one))
    return own > SAME * foreign


def _between(path: Path, b: Signal, one: Piece | None, other: Piece | None, low: int, high: int) -> Cut:
    """Return the cut between two pieces, somewhere in ``low ≤ n ≤ high``."""
    if high - low > 2 * REACH and one is not None and other is not None:
        # Something long lies between: each end is looked for on its own.
        first = _between(path, b, one, None, low, low + REACH)
        last = _between(path, b, None, other, high - REACH, high)
        return Cut(first.stop, last.start, first.stop_sd, last.start_sd, first.silent and last.silent)
    low = low if one is not None or other is None else max(low, high - REACH)
    high = high if other is not None or one is None else min(high, low + REACH)
    heard = b.read(low, high)
    models = [None if piece is None else path.best(piece, (low, high)) for piece in (one, other)]
    stop, start, stop_sd, start_sd = find_cut(models[0], models[1], heard)
    inside = heard[:, stop:start] if one is not None and other is not None else heard[:, :0]
    around = float(np.sqrt(np.mean(heard**2)))
    silent = bool(inside.size) and float(np.sqrt(np.mean(inside**2))) < SILENT * around
    return Cut(low + stop, low + start, stop_sd, start_sd, silent)


def name_changes(
    pieces: Sequence[Piece],
    cuts: Sequence[Cut],
    *,
    strange: tuple[bool, bool],
    drift: float,
    a_frames: int,
    rate_hz: int,
) -> list[Change]:
    """Return what happened at every cut, in the order of ``b``."""
    changes: list[Change] = []
    rest = list(cuts)
    if strange[0] and (at := rest.pop(0).start) > max(0.0, pieces[0].delay) + HALF_TAPS:
        changes.append(Change(0, at, "begins", f"until {_place(at, rate_hz)} B plays something that is not in A"))
    last = rest.pop() if strange[1] else None
    ends = a_frames + pieces[-1].delay + drift * pieces[-1].stop
    for one, other, cut in zip(pieces, pieces[1:], rest, strict=False):
        changes.append(_name(one, other, cut, drift, rate_hz))
    if last is not None and last.stop < ends - HALF_TAPS:
        told = f"from {_place(last.stop, rate_hz)} on B plays something that is not in A"
        changes.append(Change(last.stop, 0, "ends", told))
    return changes


def beyond(path: Path, b: Signal, strange: tuple[bool, bool], *, programme_rms: float, rate_hz: int) -> list[Change]:
    """Return where ``b`` sounds before ``a`` begins and after it has ended, by more than half a second."""
    first, last = path.alignment.pieces[0], path.alignment.pieces[-1]
    begins = 0 if strange[0] else round(first.delay)
    ends = b.frames if strange[1] else round(path.a.frames + last.delay + path.alignment.drift * last.stop)
    return sounds_outside(b, begins, ends, programme_rms=programme_rms, rate_hz=rate_hz)


def sounds_outside(b: Signal, begins: int, ends: int, *, programme_rms: float, rate_hz: int) -> list[Change]:
    """Return where ``b`` sounds before the frame ``begins`` and from ``ends`` on, by more than half a second."""
    found: list[Change] = []
    if begins > SHORT_S * rate_hz and _sounds(b, 0, begins, programme_rms):
        found.append(Change(0, begins, "begins", f"B begins {begins / rate_hz:.3f} s before A ({_count(begins)})"))
    rest = b.frames - ends
    if rest > SHORT_S * rate_hz and _sounds(b, ends, b.frames, programme_rms):
        told = f"A ends at {_place(ends, rate_hz)}; B goes on for {rest / rate_hz:.3f} s"
        found.append(Change(ends, rest, "ends", told))
    return found


def _sounds(b: Signal, start: int, stop: int, programme_rms: float) -> bool:
    """Return whether any of a dozen short looks between two frames is above −60 dB re the programme."""
    looks = np.linspace(start, max(start, stop - 4096), 12).astype(int).tolist()
    loudest = max(float(np.sqrt(np.mean(b.read(n, min(stop, n + 4096)) ** 2))) for n in looks)
    return loudest > 1e-3 * programme_rms


def _name(one: Piece, other: Piece, cut: Cut, drift: float, rate_hz: int) -> Change:
    between = cut.start - cut.stop
    jump = other.delay - one.delay
    skipped = between - jump  # frames of A that B leaves out; negative: plays again
    place = f"at {_place(cut.stop, rate_hz)}{_unsure(cut.stop_sd)}"
    goes_on = cut.start - other.delay - drift * cut.start
    on = f"from here B plays A from {_clock(goes_on / rate_hz)} on"
    short = abs(skipped) <= SHORT_S * rate_hz
    nothing_skipped = abs(skipped) < 0.5
    if between == 0:
        if not short:
            return Change(cut.stop, 0, "edit", f"edit {place}: {on}")
        kind = "lost" if jump < 0 else "repeated"
        return Change(cut.stop, 0, kind, f"{_count(abs(jump))} {kind} {place}")
    stuff = "silence" if cut.silent else "other material"
    if nothing_skipped:
        return Change(cut.stop, between, "inserted", f"{_count(between)} of {stuff} inserted {place}")
    if abs(jump) < 0.5:
        if cut.silent:
            return Change(cut.stop, between, "dropout", f"dropout of {_count(between)} {place}")
        return Change(cut.stop, between, "replaced", f"{_count(between)} replaced by other material {place}")
    told = f"{_count(between)} of {stuff} {place}"
    if short:
        way = f"{_count(abs(skipped))} {'lost' if skipped > 0 else 'repeated'}"
        return Change(cut.stop, between, "dropout" if cut.silent else "replaced", f"{told}, and {way}")
    back = _place(cut.start, rate_hz)
    return Change(
        cut.stop, between, "edit", f"edit: {told}, and from {back} on B plays A from {_clock(goes_on / rate_hz)}"
    )


def _count(frames: float) -> str:
    whole = abs(frames - round(frames)) < WHOLE
    number = f"{round(frames)}" if whole else f"{frames:.2f}"
    return f"{number} frame{'' if number == '1' else 's'}"


def _place(frame: int, rate_hz: int) -> str:
    return f"{frame / rate_hz:.6f} s (frame {frame})"


def _unsure(frames: float) -> str:
    return f" ± {np.ceil(frames):.0f}" if frames >= 1.0 else ""


def _clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    millis = round(abs(seconds) * 1000.0)
    return f"{'−' if seconds < 0.0 and millis else ''}{millis // 60_000}:{millis % 60_000 / 1000.0:06.3f}"
