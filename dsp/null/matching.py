"""Match the linear response between two aligned recordings: short filters, and the drift they would hide.

Per channel the reference is passed through 511 taps at the full rate and, beside them, four one-pole low-passes at 1,
4, 16 and 64 Hz: a coupling is ``1 − ω/(s + ω)``, of which no tap filter of a hundredth of a second can make anything; a
few real poles span it to −100 dB above 40 Hz. Taps and pole gains come from one least-squares system on the exact
normal equations; a small ridge keeps bands without signal at rest. What still rings longer than the taps below some
500 Hz (low bells, steep high-pass filters) is met by a filter at a 32nd of the rate, kept when it helps.

A drift fitted before the equaliser is biased by it on music, so it is fitted again in what the filter cannot explain
(variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.null.reader import filtered

Floats = NDArray[np.float64]

TAPS = 511
POLES_HZ = (1.0, 4.0, 16.0, 64.0)
LOW_TAPS = 511
LOW_RATE_HZ = 1_500
LOW_SKIRT = 8  # half the length of the low-pass [low-rate frames]
LOW_GAIN_DB = 1.0  # what the low-rate filter must take off the residual to be kept
RIDGE = 1e-10  # re each column's power: −100 dB re the mean spectral density
LOW_RIDGE = 1e-8
FEWEST_PER_TAP = 20  # frames per tap, so that fitting noise gains less than 0.25 dB
LAG_FFT = 16_384


@dataclass(frozen=True)
class Match:
    """A fitted linear path per channel."""

    rate_hz: int
    taps: Floats
    """(channels, 511) at the full rate, tap 255 at no delay."""
    pole_gains: Floats
    """(channels, 4): of the one-pole low-passes at 1, 4, 16 and 64 Hz."""
    low_taps: Floats
    """(channels, odd number) at a 32nd of the rate (at 48 kHz), middle tap at no delay; no columns when not used."""

    def apply(self, y: Floats) -> Floats:
        """Return the matched reference, (channels, frames); near the ends it is not complete."""
        out = filtered(y, self.taps, start=0, stop=y.shape[1])
        for column, pole in enumerate(_poles(y, self.rate_hz)):
            out += self.pole_gains[:, column : column + 1] * pole
        return out + _low_part(y, self.low_taps, self.rate_hz) if self.low_taps.shape[1] else out


def fit_match(y: Floats, b: Floats, *, span: tuple[int, int], rate_hz: int) -> tuple[Match, Floats]:
    """Return the filters that take the aligned reference ``y`` to ``b``, and ``y`` through them.

    All arrays are (channels, frames). ``span`` are the frames to fit over. The filters look beyond it and are shortened
    to what there is.
    """
    margin = min(span[0], y.shape[1] - span[1])
    half = max(0, min(TAPS // 2, margin, (span[1] - span[0]) // FEWEST_PER_TAP))
    match, model = _fit(y, b, span, half, rate_hz)
    factor = _low_factor(rate_hz)
    low_half = min(LOW_TAPS // 2, margin // factor - 2 * LOW_SKIRT)
    low_half = min(low_half, (span[1] - span[0]) // factor // (2 * FEWEST_PER_TAP))
    if low_half < 2 * LOW_SKIRT:
        return match, model
    left = b - model
    low_span = (-(-span[0] // factor) + LOW_SKIRT, span[1] // factor - LOW_SKIRT)
    low_taps = _low_fit(_low(y, factor), _low(left, factor), low_span, low_half)
    low = _low_part(y, low_taps, rate_hz)
    if _power(left - low, span) > _power(left, span) * 10.0 ** (-LOW_GAIN_DB / 10.0):
        return match, model
    match, model = _fit(y, b - low, span, half, rate_hz)
    return Match(rate_hz, match.taps, match.pole_gains, low_taps), model + low


def _fit(y: Floats, b: Floats, span: tuple[int, int], half: int, rate_hz: int) -> tuple[Match, Floats]:
    """Solve taps and pole gains together over the span, channel by channel."""
    start, stop = span
    width = 2 * half + 1
    taps = np.zeros((y.shape[0], TAPS))
    gains = np.zeros((y.shape[0], len(POLES_HZ)))
    model = np.empty_like(y)
    for channel in range(y.shape[0]):
        around = y[channel, start - half : stop + half]
        heard = b[channel, start:stop]
        columns = np.concatenate(list(_poles(y[channel : channel + 1], rate_hz)))
        inside = columns[:, start:stop]
        matrix = np.zeros((width + len(POLES_HZ),) * 2)
        matrix[:width, :width] = _normal_matrix(y[channel], span, half)
        shared = np.stack([_lagged(column, around) for column in inside])
        matrix[width:, :width], matrix[:width, width:] = shared, shared.T
        matrix[width:, width:] = inside @ inside.T
        solved = _ridge_solve(matrix, np.concatenate([_lagged(heard, around), inside @ heard]), RIDGE)
        taps[channel, TAPS // 2 - half : TAPS // 2 + half + 1] = solved[:width]
        gains[channel] = solved[width:]
        own = slice(channel, channel + 1)
        model[channel] = filtered(y[own], taps[own], start=0, stop=y.shape[1])[0] + gains[channel] @ columns
    return Match(rate_hz, taps, gains, np.zeros((y.shape[0], 0))), model


def _power(x: Floats, span: tuple[int, int]) -> float:
    return float(np.sum(x[:, span[0] : span[1]] ** 2))


def _low_fit(y: Floats, b: Floats, span: tuple[int, int], half: int) -> Floats:
    """Return (channels, 2·half + 1) taps minimising ``Σ (b − taps * y)²`` over the span, all at the low rate."""
    around = slice(span[0] - half, span[1] + half)
    return np.stack(
        [
            _ridge_solve(_normal_matrix(x, span, half), _lagged(heard[slice(*span)], x[around]), LOW_RIDGE)
            for x, heard in zip(y, b, strict=True)
        ]
    )


def _ridge_solve(matrix: Floats, wanted: Floats, ridge: float) -> Floats:
    """Solve normal equations with every column scaled to unit power and ``ridge`` of it added; zero without signal."""
    power = np.diag(matrix)
    sounding = power > 0.0
    scale = np.where(sounding, 1.0 / np.sqrt(np.where(sounding, power, 1.0)), 0.0)
    scaled: Floats = np.asarray(matrix * scale * scale[:, None], dtype=np.float64)
    scaled[np.diag_indices_from(scaled)] += np.where(sounding, ridge, 1.0)
    solved: Floats = np.asarray(np.linalg.solve(scaled, wanted * scale) * scale, dtype=np.float64)
    return solved


def _poles(y: Floats, rate_hz: int) -> Iterator[Floats]:
    """Return ``y`` through each one-pole low-pass, (channels, frames) each."""
    return (_one_pole(y, 2.0 * np.pi * hz / rate_hz) for hz in POLES_HZ)


def _one_pole(y: Floats, step: float) -> Floats:
    """Return ``z(n) = (1 − step)·z(n − 1) + step·y(n)`` from rest, without a loop over the frames.

    Within a block ``z(n) = a^n·(Σ a^−m·step·y(m) + a·z(before))``; blocks are short enough for ``a^−m`` to stay below
    ``e^8``, so that the sums lose four digits at most.
    """
    decay = 1.0 - step
    length = max(1, int(8.0 / step))
    channels, frames = y.shape
    blocks = -(-frames // length)
    padded = np.zeros((channels, blocks * length))
    padded[:, :frames] = step * y
    fall = decay ** np.arange(length)
    out: Floats = np.cumsum(padded.reshape(channels, blocks, length) / fall, axis=2) * fall
    state = np.zeros(channels)
    carried = np.empty((channels, blocks))
    for block in range(blocks):
        carried[:, block] = state
        state = out[:, block, -1] + state * fall[-1] * decay
    out += carried[:, :, None] * (decay * fall)
    whole: Floats = out.reshape(channels, -1)[:, :frames]
    return whole


def _normal_matrix(y: Floats, span: tuple[int, int], half: int) -> Floats:
    """Return ``R[j, k] = Σ y(n + half − j)·y(n + half − k)`` over the span, exactly.

    The first row is a correlation; each further diagonal element differs from its neighbour by one product that
    enters at the start of the span and one that leaves at its end (the covariance method of linear prediction:
    Makhoul, Proc. IEEE 63 (1975) 561-580).
    """
    start, stop = span
    width = 2 * half + 1
    row = _lagged(y[start + half : stop + half], y[start - half : stop + half])
    before = y[start - half : start + half][::-1]
    after = y[stop - half : stop + half][::-1]
    change = np.outer(before, before) - np.outer(after, after)
    matrix = np.empty((width, width))
    matrix[0] = row
    matrix[:, 0] = row
    for j in range(1, width):
        matrix[j, 1:] = matrix[j - 1, :-1] + change[j - 1]
    return matrix


def _lagged(short: Floats, long: Floats) -> Floats:
    """Return ``c[k] = Σ short[i]·long[i + T − 1 − k]`` for the ``T = len(long) − len(short) + 1`` lags there are."""
    lags = long.size - short.size + 1
    length = LAG_FFT - lags + 1
    total = np.zeros(LAG_FFT // 2 + 1, dtype=np.complex128)
    for first in range(0, short.size, length):
        part = short[first : first + length]
        heard = long[first : first + part.size + lags - 1]
        total += np.fft.rfft(heard, LAG_FFT) * np.conj(np.fft.rfft(part, LAG_FFT))
    found: Floats = np.fft.irfft(total, LAG_FFT)[:lags][::-1].copy()
    return found


def hidden_drift(
    y: Floats, slope: Floats, residual: Floats, match: Match, *, span: tuple[int, int], middle: float
) -> tuple[float, float, float]:
    """Return (drift, its standard deviation, dB it would take off the residual) left in a matched pair.

    ``residual`` is what the match leaves; ``slope`` is the derivative of ``y`` by its delay; ``middle`` the frame at
    which the drift turns (the delay there belongs to the filters). The drift's direction is freed of everything the
    full-rate filter could explain.
    """
    half = TAPS // 2
    if min(span[0], y.shape[1] - span[1]) < half:
        return 0.0, np.inf, 0.0
    start, stop = span
    turn = filtered(slope, match.taps, start=start, stop=stop) * (np.arange(start, stop) - middle)
    left = residual[:, start:stop]
    along, across, cost, weight_sum = 0.0, 0.0, 0.0, 0
    for channel in range(y.shape[0]):
        power = float(left[channel] @ left[channel])
        matrix = _normal_matrix(y[channel], span, half)
        if power <= 0.0 or matrix[half, half] <= 0.0:
            continue
        weight = (stop - start) / power
        shared = _lagged(turn[channel], y[channel, start - half : stop + half])
        explained = _ridge_solve(matrix, shared, RIDGE)
        along += weight * float(turn[channel] @ left[channel])
        across += weight * float(turn[channel] @ turn[channel] - shared @ explained)
        cost += weight * power
        weight_sum += 1
    if across <= 0.0 or not weight_sum:
        return 0.0, np.inf, 0.0
    saved = along**2 / across
    return along / across, across**-0.5, 10.0 * float(np.log10(cost / max(cost - saved, 1e-3 * cost)))


def _low_factor(rate_hz: int) -> int:
    return max(1, round(rate_hz / LOW_RATE_HZ))


def _low_part(y: Floats, low_taps: Floats, rate_hz: int) -> Floats:
    """Return what the low-rate filter adds, at the full rate."""
    factor = _low_factor(rate_hz)
    low = _low(y, factor)
    return _raised(filtered(low, low_taps, start=0, stop=low.shape[1]), factor, y.shape[1])


def _low_pass(factor: int) -> Floats:
    """Return a windowed-sinc low-pass at 0.4 of the low rate, 16 low-rate frames long, unity gain."""
    reach = np.arange(-LOW_SKIRT * factor, LOW_SKIRT * factor + 1)
    taps = np.sinc(0.8 * reach / factor) * np.kaiser(reach.size, 8.0)
    return np.asarray(taps / taps.sum())[None, :]


def _low(x: Floats, factor: int) -> Floats:
    """Return every ``factor``-th frame of the low-passed signal."""
    kept = np.repeat(_low_pass(factor), x.shape[0], axis=0)
    return np.ascontiguousarray(filtered(x, kept, start=0, stop=x.shape[1])[:, ::factor])


def _raised(low: Floats, factor: int, frames: int) -> Floats:
    """Return the low-rate signal at the full rate, (channels, frames)."""
    spread = np.zeros((low.shape[0], frames))
    spread[:, ::factor] = low
    kept = np.repeat(factor * _low_pass(factor), low.shape[0], axis=0)
    return filtered(spread, kept, start=0, stop=frames)
