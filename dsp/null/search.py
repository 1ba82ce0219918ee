"""Find where in a reference a recording lies, before anything is fitted.

Arrays are (channels, frames) float64; ``a`` is the reference, ``b`` the recording. Whole files are correlated at a low
rate, then a dozen short blocks at the full rate, and the line that most of those blocks lie on is the first guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import NoAlignment

Floats = NDArray[np.float64]
Span = tuple[int, int]

COARSE_RATE_HZ = 6_000
WHITENING_FLOOR = 0.1  # of the mean magnitude: quieter bins keep their small weight, so noise is not lifted
COARSE_SCORE = 9.0  # peak over RMS of the correlation; 2^23 lags of noise reach 9 once in 10^12
CANDIDATES = 6
SLIP_REACH = 2_048  # samples: the widest jump within a recording that is followed
AGREEMENT_FRAMES, AGREEMENT_BLOCKS = 4_096, 8
BLOCK_FRAMES = 32_768
BLOCKS = 16
BLOCK_SCORE = 7.0
ON_LINE = 1.5  # samples; block delays are whole numbers
STEEPEST = 3e-4  # a crystal more than 300 ppm off is broken


def coarse_delay(a: Floats, b: Floats, *, rate_hz: int) -> int:
    """Return the delay of ``b`` after ``a`` to some tens of samples, whatever the polarity.

    Whitened and plain correlation of the whole files at a low rate propose lags; sustained tones nearly match at many
    of them, so the lag at which short blocks agree best with the reference is taken.

    Raises
    ------
    NoAlignment
        No lag stands out of the correlation.
    """
    step = max(1, rate_hz // COARSE_RATE_HZ)
    for factor in (step, 1) if step > 1 else (1,):
        low_a, low_b = _decimated(a, factor), _decimated(b, factor)
        proposed = [lag for lag, score in _candidates(low_a, low_b) if score >= COARSE_SCORE]
        if proposed:
            reach = 8 + int(STEEPEST * low_b.shape[1])
            agreements = [_agreement(low_a, low_b, lag, reach) for lag in proposed]
            return proposed[int(np.argmax(agreements))] * factor
    raise NoAlignment(
        "The two recordings have nothing in common that could be aligned.",
        hint="Check that both hold the same song, and the same part of it.",
    )


def _candidates(a: Floats, b: Floats) -> list[tuple[int, float]]:
    """Return (lag, peak over RMS) of the highest peaks of the whitened and of the plain correlation."""
    found: dict[int, float] = {}
    frames = 1 << (a.shape[1] + b.shape[1]).bit_length()
    lags = np.arange(frames)
    lags = np.where(lags >= frames // 2, lags - frames, lags)
    for whiten in (True, False):
        power = _correlation(a, b, frames, whiten=whiten)
        rms = float(np.sqrt(np.mean(power)))
        if rms == 0.0:
            continue
        power = np.where((lags > -a.shape[1]) & (lags < b.shape[1]), power, 0.0)
        for _ in range(CANDIDATES):
            best = int(np.argmax(power))
            found.setdefault(int(lags[best]), float(np.sqrt(power[best])) / rms)
            power[max(0, best - 8) : best + 9] = 0.0
    return list(found.items())


def _agreement(a: Floats, b: Floats, near: int, reach: int) -> float:
    """Return the mean squared correlation coefficient of short blocks, each at its best lag near ``near``."""
    start, stop = max(0, near), min(b.shape[1], a.shape[1] + near)
    frames = min(AGREEMENT_FRAMES, stop - start)
    if frames < 64:
        return 0.0
    fft_frames = 1 << (2 * frames + 2 * reach).bit_length()
    total, weight = 0.0, 0.0
    for first in np.linspace(start, stop - frames, AGREEMENT_BLOCKS).astype(int).tolist():
        heard = _padded(a, first - near - reach, first - near + frames + reach)
        block = b[:, first : first + frames]
        cross = np.fft.rfft(heard, fft_frames, axis=1) * np.conj(np.fft.rfft(block, fft_frames, axis=1))
        shared = np.fft.irfft(cross, fft_frames, axis=1)[:, : 2 * reach + 1] ** 2
        sums = np.concatenate([np.zeros((a.shape[0], 1)), np.cumsum(heard**2, axis=1)], axis=1)
        power = sums[:, frames:] - sums[:, :-frames]
        floor = 1e-6 * power.max(initial=0.0) + 1e-300
        total += float(np.max(np.sum(shared / (power + floor), axis=0)))
        weight += float(np.sum(block**2))
    return total / weight if weight > 0.0 else 0.0


def block_delays(a: Floats, b: Floats, *, near: int, reach: int, blocks: int = BLOCKS) -> list[tuple[float, float]]:
    """Return (middle frame of ``b``, delay) of short blocks spread over ``b``, each within ``reach`` of ``near``.

    Blocks in which no lag stands out, for instance silent ones, are left out.
    """
    start, stop = max(0, near), min(b.shape[1], a.shape[1] + near)
    frames = min(BLOCK_FRAMES, stop - start)
    found: list[tuple[float, float]] = []
    if frames < 64:
        return found
    fade, wide_fade = np.hanning(frames - 1), np.ones(frames + 2 * reach - 1)
    ramp = np.hanning(2 * reach + 2)[: reach + 1]
    wide_fade[: reach + 1], wide_fade[-reach - 1 :] = ramp, ramp[::-1]
    for first in sorted(set(np.linspace(start, stop - frames, blocks).astype(int).tolist())):
        low = first - near - reach
        heard = _padded(a, low, first - near + frames + reach)
        block = np.diff(b[:, first : first + frames], axis=1) * fade  # cut hard, both would agree on their edges
        lag, score = _correlate(np.diff(heard, axis=1) * wide_fade, block, reach=(0, 2 * reach))
        if score >= BLOCK_SCORE:
            found.append((first + 0.5 * frames, float(lag + first - low)))
    return found


@dataclass(frozen=True)
class Guess:
    """A first alignment, and the part of the recording for which it holds."""

    delay_samples: float
    """At ``b``'s first frame."""
    drift: float
    steady: Span | None
    """Frames of ``b`` between two jumps in time; None when it all lies on one line."""


def first_guess(a: Floats, b: Floats, *, rate_hz: int) -> Guess:
    """Return delay and drift good enough for :func:`refine` to converge from.

    The line is the one through two block delays (or level through one) that most blocks lie on within 1.5 samples: lost
    frames and wrong blocks do not bend it. A level line wins a draw.

    Raises
    ------
    NoAlignment
        Nothing in common.
    """
    coarse = coarse_delay(a, b, rate_hz=rate_hz)
    reach = SLIP_REACH + int(STEEPEST * b.shape[1])
    points = np.array(block_delays(a, b, near=coarse, reach=reach))
    if not points.size:
        return Guess(float(coarse), 0.0, None)
    time, delay = points.T
    i, j = np.triu_indices(time.size, 1)
    slopes = np.concatenate([np.zeros(time.size), (delay[j] - delay[i]) / (time[j] - time[i])])
    through = np.concatenate([np.arange(time.size), i])
    slopes[np.abs(slopes) > STEEPEST] = 0.0
    off = delay[None, :] - delay[through][:, None] - slopes[:, None] * (time[None, :] - time[through][:, None])
    agree = np.abs(off) <= ON_LINE
    best = int(
        np.argmax(agree.sum(axis=1) - 1e-3 * np.mean(np.minimum(np.abs(off), 9.0), axis=1) + 0.5 * (slopes == 0.0))
    )
    on = agree[best]
    slope = float(slopes[best])
    if slope != 0.0:
        slope = float(np.polyfit(time[on], delay[on], 1)[0])
    at_start = float(np.mean(delay[on] - slope * time[on])) if slope != 0.0 else float(np.median(delay[on]))
    return Guess(at_start, slope, _longest_steady(time, on))


def _longest_steady(time: Floats, on: NDArray[np.bool_]) -> Span | None:
    """Return the stretch of the most blocks in a row that lie on the line; None when (nearly) all of them do."""
    if on.all() or np.count_nonzero(~on) <= 1:
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    first, last = int(time[starts[longest]]), int(time[stops[longest] - 1])
    half = BLOCK_FRAMES // 2  # the outermost blocks may reach over the jump
    inner = first + (half if starts[longest] > 0 else -half), last + (-half if stops[longest] < on.size else half)
    return inner if inner[1] - inner[0] >= half else (first, last)


def _correlate(a: Floats, b: Floats, *, reach: Span) -> tuple[int, float]:
    """Return the lag of ``b`` after ``a`` with the highest whitened correlation of any polarity, and peak over RMS.

    Channels are correlated each with its own and their squares added, so that an inverted channel does not cancel the
    other. ``reach`` bounds the lag of ``a`` after ``b`` [samples, inclusive].
    """
    power = _correlation(a, b, 1 << a.shape[1].bit_length(), whiten=True)
    rms = float(np.sqrt(np.mean(power)))
    if rms == 0.0:
        return 0, 0.0
    lags = -np.arange(reach[0], reach[1] + 1)
    near = power[lags % power.size]
    best = int(np.argmax(near))
    return int(lags[best]), float(np.sqrt(near[best])) / rms


def _correlation(a: Floats, b: Floats, frames: int, *, whiten: bool) -> Floats:
    """Return the power of the circular correlation over ``frames`` at each lag of ``b`` after ``a``, channels added."""
    cross = np.fft.rfft(b, frames, axis=1) * np.conj(np.fft.rfft(a, frames, axis=1))
    cross[:, : frames // 300] = 0.0  # 20 Hz at the coarse rate: rumble and DC align nothing
    if whiten:
        magnitude = np.abs(cross)
        cross /= np.maximum(magnitude + WHITENING_FLOOR * magnitude.mean(axis=1, keepdims=True), 1e-300)
    power: Floats = np.sum(np.fft.irfft(cross, frames, axis=1) ** 2, axis=0)
    return power


def _decimated(x: Floats, factor: int) -> Floats:
    """Return differences of the means of ``factor`` frames: a rough low-pass, and emphasis against rumble and bass.

    Without the emphasis a recording with much bass resembles itself at every lag.
    """
    frames = x.shape[1] // factor * factor
    means = x[:, :frames].reshape(x.shape[0], -1, factor).mean(axis=2)
    return np.diff(means, axis=1, prepend=0.0)


def _padded(x: Floats, start: int, stop: int) -> Floats:
    out = np.zeros((x.shape[0], stop - start))
    low, high = max(start, 0), min(stop, x.shape[1])
    if high > low:
        out[:, low - start : high - start] = x[:, low:high]
    return out
