"""Low-rate copies of two recordings, and at which lags they resemble each other.

The copies are small enough to be held and correlated as a whole, however long the recordings are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.null.signal import BLOCK_FRAMES, Signal, blocks, in_order

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]

COARSE_RATE_HZ = 6_000
MOST_FRAMES = 1 << 21  # of a low-rate copy
WHITENING_FLOOR = 0.1  # of the mean magnitude: quieter bins keep their small weight, so noise is not lifted
COARSE_SCORE = 9.0  # peak over RMS of the correlation; 2^23 lags of noise reach 9 once in 10^12
PART_AGREES = 0.05  # a part that resembles no place of the reference more than this lies nowhere; blocks tell surely
SURE = 0.7  # agreement of short blocks that needs no peak beside it: files that share little of their length
CANDIDATES = 6
SHORTEST_SHARED = 2_048  # full-rate frames: what overlaps less is a likeness of two ends
STEEPEST = 3e-4
AGREEMENT_FRAMES, AGREEMENT_BLOCKS = 4_096, 8
EQUAL_SHARE = 0.02  # agreements this close, re what is shared and what is not, are equal: bars that repeat
EQUAL = 1e-4  # … and this close in any case; then more in common wins
MOST_PAIRS = 16


@dataclass(frozen=True)
class Sketch:
    """Both recordings at a low rate."""

    factor: int
    a: Samples
    """(channels, frames), pre-emphasised."""
    b: Samples
    full: tuple[Signal, Signal]


@dataclass(frozen=True)
class Facts:
    """What one walk through a recording tells."""

    low: Samples
    finite: bool
    silent: bool
    constant: bool
    """Nothing but a steady value in every channel."""


def coarse_factor(frames: int, rate_hz: int) -> int:
    """Return by how much a recording of this length is decimated for the coarse search."""
    return max(1, rate_hz // COARSE_RATE_HZ, -(-frames // MOST_FRAMES))


def walk(x: Signal, factor: int) -> Facts:
    """Read all of a recording once: its low-rate copy, and whether there is anything in it.

    The copy holds differences of the means of ``factor`` frames: a rough low-pass, and emphasis against rumble and
    bass, without which a recording with much bass resembles itself at every lag.
    """
    length = max(1, BLOCK_FRAMES // factor) * factor

    def one(span: tuple[int, int]) -> tuple[Samples, bool, Floats, Floats]:
        heard = x.read(*span)
        if not np.all(np.isfinite(heard)):
            raise _not_finite()
        usable = heard[:, : heard.shape[1] // factor * factor]
        means = usable.reshape(x.channels, -1, factor).mean(axis=2)
        return means.astype(np.float32), bool(np.any(heard)), heard.min(axis=1), heard.max(axis=1)

    parts: list[Samples] = []
    sounding, lowest, highest = False, np.full(x.channels, np.inf), np.full(x.channels, -np.inf)
    try:
        for part, some, low, high in in_order(one, blocks(0, x.frames, length)):
            parts.append(part)
            sounding |= some
            lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    except DspError:
        return Facts(np.zeros((x.channels, 0), np.float32), False, False, False)
    means = np.concatenate(parts, axis=1)
    return Facts(np.diff(means, axis=1, prepend=0.0), True, not sounding, bool(np.all(lowest == highest)))


def _not_finite() -> DspError:
    return DspError("A recording holds samples that are not numbers.", hint="Render or record it again.")


def sketch(a: Signal, b: Signal, *, rate_hz: int) -> Sketch:
    """Return low-rate copies of two recordings that are known to hold numbers."""
    factor = coarse_factor(max(a.frames, b.frames), rate_hz)
    return Sketch(factor, walk(a, factor).low, walk(b, factor).low, (a, b))


def common_lags(both: Sketch, *, every_pair: bool = False) -> list[int]:
    """Return delays of ``b`` after ``a`` [full-rate samples, to some tens], the likeliest first; empty without any.

    Whitened and plain correlation of the whole copies propose lags; sustained tones nearly match at many of them, so
    the lag at which short blocks agree best with the reference is the likeliest. Music of equal bars agrees as well one
    bar off, but then has less in common.
    """
    for low in _copies(both):
        found: dict[int, float] = {}
        for whiten in (True, False):
            for lag, score in _peaks(low.a, low.b, whiten=whiten, every_pair=every_pair):
                found.setdefault(lag, score)
        reach = 8 + int(STEEPEST * low.b.shape[1])
        judged = {lag: _agreement(low.a, low.b, lag, reach) for lag in found}
        least = SHORTEST_SHARED // low.factor
        proposed = [
            lag
            for lag, score in found.items()
            if (score >= COARSE_SCORE or judged[lag] >= SURE) and _shared(low, lag) >= least
        ]
        if proposed:
            agreements = np.array([judged[lag] for lag in proposed])
            shares = np.array([_share(low, lag) for lag in proposed])
            highest = float(agreements.max())
            near_best = agreements >= highest - EQUAL - EQUAL_SHARE * max(0.0, min(highest, 1.0 - highest))
            order = np.argsort(-(agreements + 2.0 * near_best * (1.0 + shares)), kind="stable")
            return [proposed[n] * low.factor for n in order.tolist()]
    return []


def lags_of_part(both: Sketch, start: int, stop: int) -> list[int]:
    """Return delays at which the frames ``start ≤ n < stop`` of ``b`` may lie in ``a``, the likeliest first."""
    first, last = start // both.factor, max(start // both.factor + 64, stop // both.factor)
    part = both.b[:, first:last]
    lags = {lag for whiten in (True, False) for lag, _ in _peaks(both.a, part, whiten=whiten, every_pair=False)}
    reach = 8 + int(STEEPEST * part.shape[1])
    agreements = sorted(((_agreement(both.a, part, lag, reach), lag) for lag in lags), reverse=True)
    return [(lag + first) * both.factor for agreement, lag in agreements if agreement >= PART_AGREES]


def _copies(both: Sketch) -> Iterator[Sketch]:
    yield both
    if both.factor > 1 and max(x.frames for x in both.full) <= MOST_FRAMES:
        rows = [np.diff(x.read(0, x.frames), axis=1, prepend=0.0).astype(np.float32) for x in both.full]
        yield Sketch(1, rows[0], rows[1], both.full)


def _shared(low: Sketch, lag: int) -> int:
    """Return how many low-rate frames the two have in common at a lag."""
    return max(0, int(min(low.b.shape[1], low.a.shape[1] + lag)) - max(0, lag))


def _share(low: Sketch, lag: int) -> float:
    """Return the same as a share of the shorter."""
    return float(_shared(low, lag) / max(1, min(low.a.shape[1], low.b.shape[1])))


def _peaks(a: Samples, b: Samples, *, whiten: bool, every_pair: bool) -> list[tuple[int, float]]:
    """Return (lag of ``b`` after ``a``, peak over RMS) of the highest peaks of the correlation.

    Channels are correlated each with its own (or every one with every other) and their squares added, so that an
    inverted channel does not cancel the other.
    """
    size = 1 << (a.shape[1] + b.shape[1]).bit_length()
    pairs = [(n, n) for n in range(min(a.shape[0], b.shape[0]))]
    if every_pair and a.shape[0] * b.shape[0] <= MOST_PAIRS:
        pairs = [(i, j) for i in range(a.shape[0]) for j in range(b.shape[0])]
    power = np.zeros(size, np.float32)
    for i, j in pairs:
        cross = np.fft.rfft(b[j], size)
        cross *= np.conj(np.fft.rfft(a[i], size))
        cross[: size // 300] = 0.0  # 20 Hz at the coarse rate: rumble and DC align nothing
        if whiten:
            magnitude = np.abs(cross)
            cross /= np.maximum(magnitude + WHITENING_FLOOR * magnitude.mean(), 1e-30)
            scale = 1.0
        else:
            scale = float(np.sqrt(np.mean(np.square(np.abs(cross), dtype=np.float64)))) or 1.0
        power += np.square(np.fft.irfft(cross, size)) / np.float32(scale**2)
    rms = float(np.sqrt(np.mean(power, dtype=np.float64)))
    if rms == 0.0:
        return []
    power[b.shape[1] : size - a.shape[1] + 1] = 0.0  # lags at which nothing overlaps
    found: list[tuple[int, float]] = []
    for _ in range(CANDIDATES):
        best = int(np.argmax(power))
        found.append((best if best < b.shape[1] else best - size, float(np.sqrt(power[best])) / rms))
        power[max(0, best - 8) : best + 9] = 0.0
    return found


def _agreement(a: Samples, b: Samples, near: int, reach: int) -> float:
    """Return the mean squared correlation coefficient of short blocks, each at its best lag near ``near``.

    Of several channels every one of ``b`` is compared with the one of ``a`` that resembles it most.
    """
    start, stop = max(0, near), min(b.shape[1], a.shape[1] + near)
    frames = min(AGREEMENT_FRAMES, stop - start)
    if frames < 64:
        return 0.0
    size = 1 << (2 * frames + 2 * reach).bit_length()
    total, weight = 0.0, 0.0
    for first in np.linspace(start, stop - frames, AGREEMENT_BLOCKS).astype(int).tolist():
        heard = _padded(a, first - near - reach, first - near + frames + reach)
        block = b[:, first : first + frames].astype(np.float64)
        sums = np.concatenate([np.zeros((a.shape[0], 1)), np.cumsum(heard**2, axis=1)], axis=1)
        power = sums[:, frames:] - sums[:, :-frames]
        floor = 1e-6 * power.max(initial=0.0) + 1e-300
        spectra = np.fft.rfft(heard, size, axis=1)
        for row in block:
            cross = spectra * np.conj(np.fft.rfft(row, size))
            shared = np.fft.irfft(cross, size, axis=1)[:, : 2 * reach + 1] ** 2
            total += float(np.max(shared / (power + floor)))
        weight += float(np.sum(block**2))
    return total / weight if weight > 0.0 else 0.0


def pair_up(squared: Floats, *, by_db: float) -> tuple[tuple[int, int], ...]:
    """Return which channel of ``a`` (rows) belongs to which of ``b``, from their squared correlation coefficients.

    The same ones, unless another order leaves a residual that is ``by_db`` lower.
    """
    rows, columns = squared.shape
    count = min(rows, columns)
    if max(rows, columns) <= 4:
        orders = [
            (p, tuple(range(count))) if rows >= columns else (tuple(range(count)), p)
            for p in permutations(range(max(rows, columns)), count)
        ]
    else:
        orders = [(tuple(range(count)),) * 2, _greedy(squared)]
    left = [count - float(np.sum(squared[list(i), list(j)])) for i, j in orders]
    best = int(np.argmin(left))
    same = left[0] <= left[best] * 10.0 ** (by_db / 10.0) and rows == columns
    i, j = orders[0 if same else best]
    return tuple(sorted(zip(i, j, strict=True), key=lambda pair: pair[1]))


def _greedy(squared: Floats) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the pairs of highest correlation, one after another, no channel twice."""
    left = squared.copy()
    pairs: list[tuple[int, int]] = []
    for _ in range(min(squared.shape)):
        i, j = np.unravel_index(int(np.argmax(left)), left.shape)
        pairs.append((int(i), int(j)))
        left[i, :], left[:, j] = -1.0, -1.0
    return tuple(i for i, _ in pairs), tuple(j for _, j in pairs)


def _padded(x: Samples, start: int, stop: int) -> Floats:
    out = np.zeros((x.shape[0], stop - start))
    low, high = max(start, 0), min(stop, x.shape[1])
    if high > low:
        out[:, low - start : high - start] = x[:, low:high]
    return out
