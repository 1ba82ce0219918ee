"""Match the linear response between two aligned recordings: short filters, and the drift they would hide.

Per channel the reference is passed through a few hundred taps at the full rate and, beside them, four analog one-pole
low-passes at 1, 4, 16 and 64 Hz: a coupling is ``1 − ω/(s + ω)``, of which no tap filter of a hundredth of a second can
make anything; a few real poles span it to −100 dB above 40 Hz (couplings that are known: :mod:`dsp.null.corners`). Taps
and pole gains come from one least-squares system on the exact normal equations, summed over all stretches. How many
taps is decided by what is left on pieces that took no part in the fit. What still rings longer than the taps below some
500 Hz (low bells, steep high-pass filters) is met by a filter at a 32nd of the rate, kept when it helps.

A drift fitted before the equaliser is biased by it on music, so it is fitted again in what the filter cannot explain
(variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.null.normal import Normal, ridge_solve, taps_normal
from dsp.null.reader import filtered
from dsp.null.stretch import (
    Complex,
    Floats,
    Stretch,
    channels_of,
    fast_length,
    frequencies,
    halves,
    powers,
    shaped,
    tail_frames,
)

LENGTHS = (63, 255, 511, 1023, 2047)
POLES_HZ = (1.0, 4.0, 16.0, 64.0)
LOW_TAPS = 511
LOW_RATE_HZ = 1_500
LOW_SKIRT = 8  # half the length of the low-pass [low-rate frames]
LOW_GAIN_DB = 1.0  # what the low-rate filter must take off the residual to be kept
LEAST_GAIN_DB = 0.1  # what the taps must take off a residual they were not fitted to
ENOUGH_DB = 0.05  # a longer filter has to gain this much
PIECE_FRAMES = 96_000  # fitted and judged in turn
RIDGE = 1e-10  # re each column's power: −100 dB re the mean spectral density, and see ridge_solve
LOW_RIDGE = 1e-8
FEWEST_PER_TAP = 20  # frames per tap, so that fitting noise gains less than 0.25 dB


@dataclass(frozen=True, eq=False)
class Match:
    """A fitted linear path per channel."""

    rate_hz: int
    taps: Floats
    """(channels, odd number) at the full rate, middle tap at no delay."""
    pole_gains: Floats
    """(channels, 4): of the one-pole low-passes at 1, 4, 16 and 64 Hz."""
    low_taps: Floats
    """(channels, odd number) at a 32nd of the rate (at 48 kHz), middle tap at no delay; no columns when not used."""
    gained_db: float = 0.0
    """What it takes off the residual of a gain, on pieces that took no part in the fit."""
    kept: bool = True
    why: str = ""

    @property
    def margin_frames(self) -> int:
        """Frames at either end of a block that are not complete."""
        low = _low_factor(self.rate_hz) * (self.low_taps.shape[1] // 2 + LOW_SKIRT)
        tail = tail_frames(POLES_HZ[0], self.rate_hz) if np.any(self.pole_gains) else 0
        return int(max(self.taps.shape[1] // 2, low, tail))

    @property
    def margins(self) -> tuple[int, int]:
        """Frames before and after a block that must be seen: poles look back only."""
        low = _low_factor(self.rate_hz) * (self.low_taps.shape[1] // 2 + LOW_SKIRT)
        return self.margin_frames, int(max(self.taps.shape[1] // 2, low))

    def response(self, freq_hz: Floats) -> Complex:
        """Return the curve, (channels, n), at a few frequencies."""
        half = self.taps.shape[1] // 2
        turns = np.exp(-2j * np.pi * np.outer(np.arange(-half, half + 1), freq_hz) / self.rate_hz)
        out: Complex = self.taps @ turns + self.pole_gains @ _poles_at(freq_hz)
        if self.low_taps.shape[1]:
            out = out + _low_at(self.low_taps, freq_hz, self.rate_hz)
        return out

    def apply(self, y: Floats) -> Floats:
        """Return the matched reference, (channels, frames); the outermost ``margin_frames`` are not complete."""
        out = filtered(y, self.taps, start=0, stop=y.shape[1])
        if np.any(self.pole_gains) or self.low_taps.shape[1]:
            out += shaped(y, self._slow, before=self.margin_frames, after=self.margin_frames)
        return out

    def _slow(self, length: int) -> Complex:
        """Return the curve of all but the taps on a transform's frequencies."""
        out: Complex = self.pole_gains @ _poles_at(frequencies(length, self.rate_hz))
        return out + _low_curve(self.low_taps, length, self.rate_hz) if self.low_taps.shape[1] else out


def fit_path(stretches: Sequence[Stretch], *, rate_hz: int, lengths: Sequence[int] = LENGTHS) -> Match:
    """Fit a linear path per channel over all stretches.

    Parameters
    ----------
    stretches
        Aligned; some thousand frames of context at either end let long filters be fitted, a second before each lets
        the slow poles settle.
    rate_hz
        Sample rate of both.
    lengths
        Numbers of taps (odd, at most 4095) to choose from: the longest of which each gains 0.05 dB over the one before.

    Raises
    ------
    DspError
        No stretch, or one that holds NaN.
    """
    count = channels_of(stretches)
    frames = sum(stretch.stop - stretch.start for stretch in stretches)
    margin = min(min(stretch.start, stretch.y.shape[1] - stretch.stop) for stretch in stretches)
    most = max(0, min(margin, frames // FEWEST_PER_TAP))
    allowed = sorted({min(length // 2, most) for length in lengths})
    slow = [_pole_columns(stretch, rate_hz) for stretch in stretches]
    gains = _gains(stretches, count)
    fitted, judged = _systems(stretches, slow, gains, allowed[-1])
    half, gained_db = _best_half(fitted, judged, allowed)
    match = _solved(fitted, judged, gains, half, rate_hz)
    kept = gained_db >= LEAST_GAIN_DB
    if kept:
        match = _with_low(stretches, match, slow, gains, half, margin)
    why = (
        f"{gained_db:.1f} dB where it was not fitted" if kept else "the filter takes no 0.1 dB off what it did not see"
    )
    return replace(match, gained_db=gained_db, kept=kept, why=why)


def _gains(stretches: Sequence[Stretch], count: int) -> Floats:
    """Return the real least-squares gain per channel: what the filters are fitted around."""
    shared = np.sum([np.einsum("cn,cn->c", s.inside(s.y), s.heard) for s in stretches], axis=0)
    own = powers(s.inside(s.y) for s in stretches)
    gains: Floats = np.where(own > 0.0, shared / np.where(own > 0.0, own, 1.0), 0.0)
    return gains.reshape(count)


def _systems(
    stretches: Sequence[Stretch], slow: Sequence[Floats], gains: Floats, half: int, left: Sequence[Floats] | None = None
) -> tuple[list[Normal], list[Normal]]:
    """Return the normal equations per channel for either half of the frames, of what the gain (and ``left``) leaves."""
    out: tuple[list[Normal], list[Normal]] = ([], [])
    sides = _sides(stretches)
    for channel, gain in enumerate(gains):
        for side, systems in zip(sides, out, strict=True):
            parts = []
            for index, piece in side:
                heard = piece.b[channel, piece.start : piece.stop] - gain * piece.y[channel, piece.start : piece.stop]
                if left is not None:
                    heard = heard - left[index][channel, piece.start : piece.stop]
                around = piece.y[channel, piece.start - half : piece.stop + half]
                at = piece.start - stretches[index].start
                parts.append((around, slow[index][channel, :, at : at + piece.stop - piece.start], heard))
            systems.append(taps_normal(parts, half))
    return out


def _sides(stretches: Sequence[Stretch]) -> list[list[tuple[int, Stretch]]]:
    """Return the pieces of either half, each with the number of its stretch."""
    sides: list[list[tuple[int, Stretch]]] = [[], []]
    for index, stretch in enumerate(stretches):
        for side, pieces in enumerate(halves([stretch], piece_frames=PIECE_FRAMES)):
            sides[(side + index) % 2] += [(index, piece) for piece in pieces]
    return sides


def _columns(half: int, most: int) -> NDArray[np.int64]:
    """Return which columns a filter of ``half`` uses in a system of ``most``."""
    taps = np.arange(most - half, most + half + 1)
    return np.concatenate([taps, 2 * most + 1 + np.arange(len(POLES_HZ))])


def _best_half(fitted: list[Normal], judged: list[Normal], allowed: Sequence[int]) -> tuple[int, float]:
    """Return half the length that still pays, and what it takes off where it was not fitted [dB]."""
    before = sum(system.power for system in judged)
    best, best_db = allowed[0], -np.inf
    for half in allowed:
        kept = _columns(half, allowed[-1])
        left = 0.0
        for learn, judge in zip(fitted, judged, strict=True):
            own = learn.only(kept)
            left += judge.only(kept).left(ridge_solve(own.matrix, own.wanted, RIDGE, refinements=0))
        depth_db = 10.0 * float(np.log10(before / max(left, 1e-30 * before))) if before > 0.0 else 0.0
        if depth_db < best_db + ENOUGH_DB:
            break  # what twice the taps do not gain, more will not
        best, best_db = half, depth_db
    return best, float(best_db)


def _solved(fitted: list[Normal], judged: list[Normal], gains: Floats, half: int, rate_hz: int) -> Match:
    width = 2 * half + 1
    taps, pole_gains = np.zeros((gains.size, width)), np.zeros((gains.size, len(POLES_HZ)))
    for channel, (one, other) in enumerate(zip(fitted, judged, strict=True)):
        system = one + other
        most = (system.wanted.size - len(POLES_HZ)) // 2
        solved = system.only(_columns(half, most)).solve(RIDGE)
        taps[channel], pole_gains[channel] = solved[:width], solved[width:]
        taps[channel, half] += gains[channel]
    return Match(rate_hz, taps, pole_gains, np.zeros((gains.size, 0)))


def _with_low(
    stretches: Sequence[Stretch], match: Match, slow: Sequence[Floats], gains: Floats, half: int, margin: int
) -> Match:
    """Return the match with a low-rate filter where that takes 1 dB off the residual."""
    rate_hz = match.rate_hz
    factor = _low_factor(rate_hz)
    shortest = min(stretch.stop - stretch.start for stretch in stretches)
    low_half = min(LOW_TAPS // 2, margin // factor - 2 * LOW_SKIRT, shortest // factor // 2 - 2 * LOW_SKIRT)
    frames = sum(stretch.stop - stretch.start for stretch in stretches)
    low_half = min(low_half, frames // factor // (2 * FEWEST_PER_TAP))
    if low_half < 2 * LOW_SKIRT:
        return match
    left = [stretch.b - match.apply(stretch.y) for stretch in stretches]
    lows = [(_low(stretch.y, factor), _low(rest, factor)) for stretch, rest in zip(stretches, left, strict=True)]
    low_taps = np.zeros((gains.size, 2 * low_half + 1))
    for channel in range(gains.size):
        parts = []
        for stretch, (y, rest) in zip(stretches, lows, strict=True):
            start, stop = -(-stretch.start // factor) + LOW_SKIRT, stretch.stop // factor - LOW_SKIRT
            around = y[channel, start - low_half : stop + low_half]
            parts.append((around, np.zeros((0, stop - start)), rest[channel, start:stop]))
        low_taps[channel] = taps_normal(parts, low_half).solve(LOW_RIDGE)
    only = replace(match, taps=np.zeros((gains.size, 1)), pole_gains=0.0 * match.pole_gains, low_taps=low_taps)
    more = [only.apply(stretch.y) for stretch in stretches]
    before = sum(float(np.sum(s.inside(rest) ** 2)) for s, rest in zip(stretches, left, strict=True))
    after = sum(float(np.sum(s.inside(rest - x) ** 2)) for s, rest, x in zip(stretches, left, more, strict=True))
    if after > before * 10.0 ** (-LOW_GAIN_DB / 10.0):
        return match
    again = _solved(*_systems(stretches, slow, gains, half, more), gains, half, rate_hz)
    return replace(again, low_taps=low_taps)


def drift_left(stretches: Sequence[Stretch], match: Match, *, middle: float) -> tuple[Figure, float]:
    """Return the drift a match hides [samples per sample] and what it would take off the residual [dB].

    Parameters
    ----------
    stretches
        With slopes; over the frames the match was fitted to.
    match
        What was fitted. The drift's direction is freed of everything its taps and poles could explain.
    middle
        Frame of the recording at which the drift turns.
    """
    count = channels_of(stretches)
    half = match.taps.shape[1] // 2
    if any(min(s.start, s.y.shape[1] - s.stop) < half for s in stretches):
        return unseen("the stretches have less context than the filter has taps"), 0.0
    if any(s.slope is None for s in stretches):
        return unseen("no slopes were given"), 0.0
    slow = [_pole_columns(s, match.rate_hz) for s in stretches]
    along, across, cost, channels = 0.0, 0.0, 0.0, 0
    turns, rests = [], []
    for stretch in stretches:
        lever = stretch.at + np.arange(stretch.start, stretch.stop) - middle
        assert stretch.slope is not None  # noqa: S101 - checked above
        turns.append(filtered(stretch.slope, match.taps, start=stretch.start, stop=stretch.stop) * lever)
        rests.append(stretch.inside(stretch.b - match.apply(stretch.y)))
    for channel in range(count):
        parts = []
        for stretch, columns, turn, rest in zip(stretches, slow, turns, rests, strict=True):
            around = stretch.y[channel, stretch.start - half : stretch.stop + half]
            beside = np.concatenate([columns[channel], turn[channel : channel + 1]])
            parts.append((around, beside, rest[channel]))
        system = taps_normal(parts, half)
        if system.power <= 0.0 or system.matrix[half, half] <= 0.0:
            continue
        weight = system.frames / system.power
        shared = system.matrix[-1, :-1]
        explained = ridge_solve(system.matrix[:-1, :-1], shared, RIDGE)
        along += weight * float(system.wanted[-1] - explained @ system.wanted[:-1])
        across += weight * float(system.matrix[-1, -1] - shared @ explained)
        cost += weight * system.power
        channels += 1
    if across <= 0.0 or not channels:
        return unseen("no channel sounds in both"), 0.0
    saved = along**2 / across
    gain_db = 10.0 * float(np.log10(cost / max(cost - saved, 1e-3 * cost)))
    return Figure(along / across, across**-0.5), gain_db


def _poles_at(freq_hz: Floats) -> Complex:
    """Return the curves of the one-pole low-passes, (4, n)."""
    curves: Complex = 1.0 / (1.0 + 1j * freq_hz / np.array(POLES_HZ)[:, None])
    return curves


def _pole_columns(stretch: Stretch, rate_hz: int) -> Floats:
    """Return the reference through each one-pole low-pass, (channels, 4, frames to fit)."""
    y = stretch.y
    length = fast_length(y.shape[1] + 4096)
    spectra = np.fft.rfft(y, length, axis=1)
    out = np.empty((y.shape[0], len(POLES_HZ), stretch.stop - stretch.start))
    for index, curve in enumerate(_poles_at(frequencies(length, rate_hz))):
        out[:, index] = stretch.inside(np.fft.irfft(spectra * curve, length, axis=1))
    return out


def _low_factor(rate_hz: int) -> int:
    return max(1, round(rate_hz / LOW_RATE_HZ))


def _low_pass(factor: int) -> Floats:
    """Return a windowed-sinc low-pass at 0.4 of the low rate, 16 low-rate frames long, unity gain."""
    reach = np.arange(-LOW_SKIRT * factor, LOW_SKIRT * factor + 1)
    taps = np.sinc(0.8 * reach / factor) * np.kaiser(reach.size, 8.0)
    return np.asarray(taps / taps.sum())[None, :]


def _low(x: Floats, factor: int) -> Floats:
    """Return every ``factor``-th frame of the low-passed signal."""
    kept = np.repeat(_low_pass(factor), x.shape[0], axis=0)
    return np.ascontiguousarray(filtered(x, kept, start=0, stop=x.shape[1])[:, ::factor])


def _low_curve(low_taps: Floats, length: int, rate_hz: int) -> Complex:
    """Return what the low-rate filter is at the full rate: its taps spread out, and the low-pass, no aliases."""
    factor = _low_factor(rate_hz)
    spread = np.zeros((low_taps.shape[0], length))
    half = low_taps.shape[1] // 2
    for tap in range(-half, half + 1):
        spread[:, (tap * factor) % length] += low_taps[:, half + tap]
    skirt = np.zeros(length)
    for tap, size in enumerate(_low_pass(factor)[0], start=-LOW_SKIRT * factor):
        skirt[tap % length] += size
    curve: Complex = np.fft.rfft(spread, axis=1) * np.fft.rfft(skirt)
    return curve


def _low_at(low_taps: Floats, freq_hz: Floats, rate_hz: int) -> Complex:
    """Return the same at a few frequencies."""
    factor = _low_factor(rate_hz)

    def at(taps: Floats, step: int) -> Complex:
        half = taps.shape[1] // 2
        turns: Complex = np.exp(-2j * np.pi * step * np.outer(np.arange(-half, half + 1), freq_hz) / rate_hz)
        return np.asarray(taps @ turns)

    return at(low_taps, factor) * at(_low_pass(factor), 1)
