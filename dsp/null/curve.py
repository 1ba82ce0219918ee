"""A static curve after the linear path: what of a residual is even and odd distortion of the programme.

Per channel ``b = m + Σ d_k·(m/A)^k``, ``A`` the programme's peak. Powers are taken at four times the rate and brought
back without aliases. In the fit they stand beside 63 taps of ``m``, so that no power is credited with what is linear
(``m³`` of music is mostly ``m``: Bussgang, MIT RLE report 216, 1952), and each even power beside itself below 4 Hz: a
coupling behind the curve takes away the level that even powers would shift.

The harmonics a sine of amplitude ``A`` would get follow from ``cos^k`` in multiple angles: H2 is
``d₂/2 + d₄/2 + 15·d₆/32``, H3 is ``d₃/4 + 5·d₅/16 + 21·d₇/64``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from dsp.measure.figure import Figure, unseen
from dsp.null.normal import Normal, taps_normal
from dsp.null.reader import filtered
from dsp.null.signal import in_order
from dsp.null.stretch import Floats, Stretch, channels_of, fast_length, frequencies, halves, sample, tail_frames

HALF = 31
ORDERS = ((2, 3), (2, 3, 4, 5), (2, 3, 4, 5, 6, 7))
OVERSAMPLED = 4
BLOCK_FRAMES = 1 << 18
SLOW_HZ = 4.0
SAMPLE_FRAMES = 240_000  # on which it is seen whether there is any curve at all
AFTER_FRAMES = 1_024
LEAST_GAIN_DB = 0.5
ENOUGH_DB = 0.05
LEAST_SIGMAS = 3.0
RIDGE = 1e-10
H2 = {2: 1.0 / 2.0, 4: 1.0 / 2.0, 6: 15.0 / 32.0}
H3 = {3: 1.0 / 4.0, 5: 5.0 / 16.0, 7: 21.0 / 64.0}


@dataclass(frozen=True)
class ChannelCurve:
    """The distortion of one channel, as a sine of the programme's peak would show it."""

    peak_dbfs: float
    """Peak of the matched reference, the amplitude of the sine [dBFS, AES17]."""
    h2_db: Figure
    """Second harmonic re the sine."""
    h3_db: Figure


@dataclass(frozen=True, eq=False)
class Curve:
    """A fitted static curve per channel; ``apply`` takes the matched reference through it."""

    rate_hz: int
    orders: tuple[int, ...]
    """The powers fitted; none where none paid."""
    peaks: Floats
    """(channels,): what the powers are taken relative to."""
    coefficients: Floats
    """(channels, orders): ``d_k``."""
    slow: Floats
    """(channels, orders): of each even power below 4 Hz; 0 for odd ones."""
    taps: Floats
    """(channels, 63): what was left to do for the linear path, middle tap at no delay."""
    channels: tuple[ChannelCurve, ...]
    gained_db: float
    """What the powers take off the residual where they were not fitted."""
    kept: bool
    why: str

    @property
    def margin_frames(self) -> int:
        """Frames at either end of a block that are not complete."""
        return max(1024, tail_frames(SLOW_HZ, self.rate_hz) if np.any(self.slow) else 0)

    @property
    def margins(self) -> tuple[int, int]:
        """Frames before and after a block that must be seen."""
        return self.margin_frames, AFTER_FRAMES

    def apply(self, matched: Floats) -> Floats:
        """Return (channels, frames) through the curve."""
        out = filtered(matched, self.taps, start=0, stop=matched.shape[1])
        if not self.orders:
            return out
        frames, margin = matched.shape[1], self.margin_frames
        for first in range(0, frames, BLOCK_FRAMES):
            low, last = max(0, first - margin), min(frames, first + BLOCK_FRAMES)
            cut = slice(first - low, last - low)
            for channel, peak in enumerate(self.peaks):
                if peak > 0.0:
                    x = matched[channel, low : last + margin] / peak
                    powers, slow = _powers(x, self.orders, self.rate_hz)
                    out[channel, first:last] += self.coefficients[channel] @ powers[:, cut]
                    out[channel, first:last] += self.slow[channel] @ slow[:, cut]
        return out


def fit_curve(stretches: Sequence[Stretch], *, rate_hz: int) -> Curve:
    """Fit even and odd distortion per channel.

    Parameters
    ----------
    stretches
        ``y`` is the matched reference, (channels, frames), with half a second of context before each stretch.
    rate_hz
        Sample rate of both.

    Notes
    -----
    The fewest powers are taken that do as well as any on pieces that took no part in the fit, and kept when they take
    more than 0.5 dB off there. Standard deviations take what remains as white noise. Memory: some 14 times the largest
    stretch.

    Raises
    ------
    DspError
        No stretch, or one that holds NaN.
    """
    count = channels_of(stretches)
    few = sample(stretches, SAMPLE_FRAMES, after=AFTER_FRAMES)
    if sum(s.stop - s.start for s in few) < sum(s.stop - s.start for s in stretches):
        quick = _fit(few, count, rate_hz)
        if quick.gained_db < 0.5 * LEAST_GAIN_DB:
            return quick
    return _fit(stretches, count, rate_hz)


def _fit(stretches: Sequence[Stretch], count: int, rate_hz: int) -> Curve:
    half = min(HALF, *(min(s.start, s.y.shape[1] - s.stop) for s in stretches))
    peaks: Floats = np.max([np.max(np.abs(s.inside(s.y)), axis=1) for s in stretches], axis=0)
    pairs = [_systems(stretches, channel, float(peaks[channel]), half, rate_hz) for channel in range(count)]
    width = 2 * half + 1
    linear = _judged(pairs, np.arange(width))
    left = [_judged(pairs, _columns(orders, width)) for orders in ORDERS]
    best = next(n for n, x in enumerate(left) if _decibels(x, min(left)) <= ENOUGH_DB)
    gained_db = _decibels(linear, left[best])
    kept = gained_db > LEAST_GAIN_DB
    orders: tuple[int, ...] = ORDERS[best] if kept else ()
    chosen = _columns(ORDERS[best], width)
    taps = np.zeros((count, width))
    coefficients, slow = np.zeros((count, len(orders))), np.zeros((count, len(orders)))
    facts: list[ChannelCurve] = []
    for channel, (one, other) in enumerate(pairs):
        system = (one + other).only(chosen)
        solved = system.solve(RIDGE)
        facts.append(_facts(system, solved, ORDERS[best], float(peaks[channel])))
        if kept:
            taps[channel] = solved[:width]
            coefficients[channel] = solved[width : width + len(orders)]
            slow[channel] = solved[width + len(orders) :]
        taps[channel, half] += 1.0
    return Curve(
        rate_hz=rate_hz,
        orders=orders,
        peaks=peaks,
        coefficients=coefficients,
        slow=slow,
        taps=taps,
        channels=tuple(facts),
        gained_db=gained_db,
        kept=kept,
        why=f"{gained_db:.1f} dB where it was not fitted" if kept else "no curve takes 0.5 dB off what it did not see",
    )


def _powers(x: Floats, orders: Sequence[int], rate_hz: int) -> tuple[Floats, Floats]:
    """Return the powers of ``x`` (frames,) without aliases, and each even one below 4 Hz, (orders, frames) each.

    At four times the rate a power up to the seventh reaches seven times the Nyquist frequency of ``x`` and folds back
    to no less than once that frequency; what is above is dropped.
    """
    length = fast_length(x.size + 2048)
    raised = np.fft.irfft(np.fft.rfft(x, length), OVERSAMPLED * length) * OVERSAMPLED
    slow_curve = 1.0 / (1.0 + 1j * frequencies(length, rate_hz) / SLOW_HZ)
    powers, slow = np.empty((len(orders), x.size)), np.zeros((len(orders), x.size))
    power, reached = raised.copy(), 1
    for row, order in enumerate(orders):  # they rise, and a product is far quicker than a power
        for _ in range(order - reached):
            power *= raised
        reached = order
        spectrum = np.fft.rfft(power)[: length // 2 + 1] / OVERSAMPLED
        powers[row] = np.fft.irfft(spectrum, length)[: x.size]
        if order % 2 == 0:
            slow[row] = np.fft.irfft(spectrum * slow_curve, length)[: x.size]
    return powers, slow


def _systems(stretches: Sequence[Stretch], channel: int, peak: float, half: int, rate_hz: int) -> tuple[Normal, Normal]:
    """Return the systems of taps, powers and slow powers for either half of the frames."""
    most = ORDERS[-1]

    def of(stretch: Stretch) -> list[Normal | None]:
        y = stretch.y[channel]
        columns = np.concatenate(_powers(y / peak if peak > 0.0 else y, most, rate_hz))
        found: list[Normal | None] = []
        for pieces in halves([stretch]):
            parts = [
                (y[piece.start - half : piece.stop + half], columns[:, cut], piece.b[channel, cut] - y[cut])
                for piece in pieces
                for cut in [slice(piece.start, piece.stop)]
            ]
            # Summed up here: the columns of all stretches together would take twelve times their frames.
            found.append(taps_normal(parts, half) if parts else None)
        return found

    sides = zip(*in_order(of, stretches), strict=True)
    one, other = (reduce(add, [part for part in side if part is not None]) for side in sides)
    return one, other


def _columns(orders: Sequence[int], width: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the columns of the taps, of some powers, and of the same below 4 Hz."""
    most = len(ORDERS[-1])
    powers = np.arange(len(orders))
    return np.concatenate([np.arange(width), width + powers, width + most + powers])


def _judged(pairs: Sequence[tuple[Normal, Normal]], kept: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Return the sum of squares left on each half by what was fitted to the other."""
    total = 0.0
    for one, other in pairs:
        for learn, judge in ((one, other), (other, one)):
            total += judge.only(kept).left(learn.only(kept).solve(RIDGE))
    return total


def _decibels(over: float, under: float) -> float:
    return 10.0 * float(np.log10(over / under)) if over > 0.0 and under > 0.0 else 0.0


def _facts(system: Normal, solved: Floats, orders: Sequence[int], peak: float) -> ChannelCurve:
    if peak <= 0.0:
        return ChannelCurve(float("-inf"), unseen("a channel is silent"), unseen("a channel is silent"))
    width = solved.size - 2 * len(orders)
    noise = system.left(solved) / system.frames
    power: Floats = np.diag(system.matrix)
    scale = np.where(power > 0.0, 1.0 / np.sqrt(np.where(power > 0.0, power, 1.0)), 0.0)
    inverse = np.linalg.pinv(system.matrix * scale * scale[:, None], rcond=RIDGE, hermitian=True)
    covariance = noise * inverse * scale * scale[:, None]
    found: list[Figure] = []
    for parts in (H2, H3):
        weights = np.zeros(solved.size)
        for row, order in enumerate(orders):
            weights[width + row] = parts.get(order, 0.0)
        level = abs(float(weights @ solved)) / peak
        sd = math.sqrt(max(0.0, float(weights @ covariance @ weights))) / peak
        if level <= LEAST_SIGMAS * sd:
            found.append(unseen(f"below {20.0 * math.log10(max(LEAST_SIGMAS * sd, 1e-15)):.0f} dB"))
        else:
            found.append(Figure(20.0 * math.log10(level), 8.685889638 * sd / level))
    return ChannelCurve(20.0 * math.log10(peak), *found)
