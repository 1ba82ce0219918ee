"""Sines and what a path makes of them, fitted by least squares with their frequencies.

A capture is modelled as ``x(t) = c + Σ Re(a_k·e^(j2π·f_k·t)) + noise``, each ``f_k`` a whole-number combination of few
base frequencies: multiples of one for harmonics, ``m·f1 + n·f2`` for intermodulation. The frequencies are unknown and
found with the amplitudes by Gauss-Newton, so neither coherence with the sample rate nor a window is needed, and a pure
sine leaves nothing but rounding (the four-parameter sine fit of IEEE Std 1057-2017, with more tones). In white noise
the estimate reaches the Cramér-Rao bound: ``E|error of a_k|² = 4σ²/N`` (Kay, *Estimation Theory*, 1993, example
3.14).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.measure.figure import Figure, unseen

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

SHORTEST_S = 0.05
SEARCH_SHARE = 1e-3
"""The generator may be off by this share of its frequency: twenty times what two quartzes differ."""
PRESENT = 30.0
"""A tone is there when its power is this many times the noise's at its place: noise does that once in 10¹³."""
OBSERVABLE_SD = 4.0
"""Distortion is told from noise when its power stands this many standard deviations above none."""
LIMIT_SD = 2.0
ROUNDING = 1e-24
ROUNDS = 8
CHUNK = 8192
NEIGHBOURS = 100
GUARD = 4
"""Bins beside a line that its own imperfections may fill."""
POWER_DB = 10.0 / math.log(10.0)
"""Decibels per relative change of a power, for small changes: 4.34; of an amplitude twice that."""


@dataclass(frozen=True)
class LinesFit:
    """Lines at whole-number combinations of base frequencies, fitted to ``x`` (frames,)."""

    base_hz: Floats
    """(bases,)"""
    base_sd_hz: Floats
    orders: NDArray[np.int64]
    """(lines, bases): line k lies at ``orders[k] @ base_hz``."""
    amplitude: Complexes
    """(lines,): peak amplitude and phase, the phase that of a cosine at the middle of the capture."""
    variance: Floats
    """(lines,): what noise adds to ``|amplitude|²`` on average, from the noise beside each line."""
    dc: float
    residual: Floats
    """(frames,): what no line explains."""
    rate_hz: float

    @property
    def hz(self) -> Floats:
        """Frequency of each line."""
        return np.asarray(self.orders @ self.base_hz)

    @property
    def power(self) -> Floats:
        """Squared peak amplitude of each line with the noise taken off; may be negative where there is only noise."""
        return np.abs(self.amplitude) ** 2 - self.variance

    def present(self, line: int) -> bool:
        """Whether a line stands clear of the noise, and of the rounding of everything else in the capture."""
        power = float(np.abs(self.amplitude[line]) ** 2)
        whole = self.dc**2 + float(np.sum(np.abs(self.amplitude) ** 2) + np.mean(self.residual**2))
        return power > PRESENT * float(self.variance[line]) and power > ROUNDING * whole

    def near(self, base: int, near_hz: float) -> bool:
        """Whether a base tone lies near ``near_hz``, and not at the edge of where it was looked for."""
        return bool(abs(self.base_hz[base] - near_hz) < 0.999 * reach_hz(near_hz, self.residual.size, self.rate_hz))


@dataclass(frozen=True)
class ToneFit:
    """A tone and its harmonics: entry 0 of the arrays is the fundamental."""

    freq_hz: float
    freq_sd_hz: float
    lines: LinesFit
    observable: bool
    """Whether the fundamental stands clear of the noise and near the frequency it was looked for."""

    @property
    def amplitude(self) -> Complexes:
        """Peak amplitudes of fundamental and harmonics, (harmonics,)."""
        return self.lines.amplitude

    @property
    def variance(self) -> Floats:
        """What noise adds to each ``|amplitude|²``, (harmonics,)."""
        return self.lines.variance

    @property
    def level_dbfs(self) -> Figure:
        """Level of the fundamental [dBFS, AES17]."""
        if not self.observable:
            return unseen("no such tone stands above the noise")
        peak = float(abs(self.amplitude[0]))
        sd = 2.0 * POWER_DB * math.sqrt(float(self.variance[0]) / 2.0) / peak
        return Figure(20.0 * math.log10(peak), sd)


def fit_tone(x: NDArray[np.floating], *, rate_hz: int, near_hz: float, harmonics: int = 1) -> ToneFit:
    """Fit a sine near ``near_hz`` and its harmonics up to number ``harmonics`` (1: the sine alone) to ``x`` (frames,).

    Harmonics at or above half of ``rate_hz`` are left out. The frequency is looked for within 0.1 % and two bins.

    Raises
    ------
    ShapeError
        Not one-dimensional, or shorter than 0.05 s or five periods.
    DspError
        NaN or infinite frames, or a frequency out of range.
    """
    x = checked(x, rate_hz=rate_hz)
    _reachable(x, near_hz, rate_hz)
    count = max(1, min(harmonics, math.ceil(rate_hz / 2 / near_hz - SEARCH_SHARE * harmonics) - 1))
    lines = fit_lines(x, rate_hz=rate_hz, near_hz=(near_hz,), orders=[(k,) for k in range(1, count + 1)])
    freq = float(lines.base_hz[0])
    found = lines.present(0) and lines.near(0, near_hz)
    return ToneFit(freq, float(lines.base_sd_hz[0]), lines, found)


def fit_lines(
    x: Floats, *, rate_hz: float, near_hz: Sequence[float], orders: Sequence[Sequence[int]], search: bool = True
) -> LinesFit:
    """Fit lines at whole-number combinations of base frequencies near ``near_hz``.

    The first ``len(near_hz)`` rows of ``orders`` are the base tones themselves. Without ``search`` the base frequencies
    are known to a fraction of ``1/T`` in every line, and the base tones need not be there. ``x`` has passed `checked`.

    Raises
    ------
    DspError
        A base frequency out of range, or of which the capture holds fewer than five periods.
    """
    for freq in near_hz if search else ():
        _reachable(x, freq, rate_hz)
    table = np.array(orders, dtype=np.int64).reshape(len(orders), len(near_hz))
    base = _rough(x, near_hz, rate_hz) if search else np.array(near_hz, dtype=np.float64)
    if not np.any(x):
        return _nothing(x, base, table, rate_hz)
    # The base tones alone bring the frequencies within rounding of their end; then all lines are taken along.
    amplitude = np.zeros(len(table), dtype=np.complex128)
    dc, residual, covariance = 0.0, x, np.zeros((0, 0))
    reach = np.array([reach_hz(f, x.size, rate_hz) for f in near_hz])
    for rows in (len(near_hz), len(table)) if search else (len(table),):
        for _ in range(ROUNDS):
            moves = bool(np.any(amplitude))
            step, covariance = _step(residual, base, table[:rows], amplitude[:rows], rate_hz, with_frequency=moves)
            dc += step[0]
            amplitude[:rows] += step[1 : 1 + rows] - 1j * step[1 + rows : 1 + 2 * rows]
            shift = step[1 + 2 * rows :]
            base = np.clip(base + shift, np.array(near_hz) - reach, np.array(near_hz) + reach) if moves else base
            residual = x - dc - _sum(base, table[:rows], amplitude[:rows], x.size, rate_hz)
            # Gauss-Newton squares the error with each step: what is a thousandth of the spread now is none after it.
            # Without noise the turns over the capture decide, whose rounding is 1e-16 of their number.
            if moves:
                spread = np.sqrt(np.diag(covariance)[1 + 2 * rows :] * float(np.mean(residual**2)))
                turns = 1e-13 * (rate_hz / x.size + base)
                if np.all(np.abs(shift) < np.maximum(1e-3 * spread, turns)):
                    break
    variance = line_variances(residual, table @ base, rate_hz)
    of_noise = variance[: len(near_hz)] * x.size / 4.0
    sd = np.sqrt(np.diag(covariance)[-len(near_hz) :] * of_noise)
    return LinesFit(base, sd, table, amplitude, variance, dc, residual, rate_hz)


def line_variances(residual: Floats, hz: Floats, rate_hz: float) -> Floats:
    """Return what noise adds on average to the squared amplitude fitted at each of ``hz``: ``4·S(f)/N``.

    ``S`` is the median of a Hann-windowed periodogram beside the line, up to half its frequency and 100 bins away, over
    ln 2 (the median of exponentially distributed powers), so that hum or a spur nearby does not count as noise.
    """
    n = residual.size
    window = np.hanning(n + 1)[:-1]
    power = np.abs(np.fft.rfft(residual * window)) ** 2 / float(np.sum(window**2))
    out = np.empty(len(hz))
    for k, f in enumerate(hz):
        middle = round(float(f) * n / rate_hz)
        reach = min(NEIGHBOURS, max(3 * GUARD, middle // 2))
        around = np.arange(max(1, middle - reach), min(power.size - 1, middle + reach + 1))
        around = around[np.abs(around - middle) >= GUARD]
        out[k] = 4.0 / n * float(np.median(power[around])) / math.log(2.0) if around.size else math.inf
    return out


def ratio_db(power: float, *, spread: float, none: float, reference: float, note: str = "") -> Figure:
    """Return ``10·log10(power/reference)`` with its spread, or below what it must lie.

    ``power`` has the noise's share taken off; ``spread`` is its standard deviation, ``none`` what that would be if
    there were only noise.
    """
    if power > OBSERVABLE_SD * none and power > 0.0:
        return Figure(10.0 * math.log10(power / reference), POWER_DB * spread / power, note)
    limit = max(power, 0.0) + LIMIT_SD * spread
    below = f"below {10.0 * math.log10(limit / reference):.1f} dB" if limit > 0.0 else "nothing at all beside the tone"
    return unseen(f"hidden in the noise, {below}" + (f"; {note}" if note else ""))


def spreads(powers: Floats, variances: Floats) -> tuple[float, float]:
    """Return the standard deviation of a sum of powers, and what it would be with noise alone.

    ``|a + n|²`` with complex Gaussian ``n``, ``E|n|² = v``, has the variance ``2·|a|²·v + v²`` (noncentral chi-square;
    Kay, *Detection Theory*, 1998, section 2.2.3).
    """
    with_lines = np.sum(2.0 * np.maximum(powers, 0.0) * variances + variances**2)
    return math.sqrt(float(with_lines)), math.sqrt(float(np.sum(variances**2)))


def checked(x: NDArray[np.floating], *, rate_hz: int) -> Floats:
    """Return ``x`` as float64 (frames,), or say what is wrong with it."""
    if x.ndim != 1:
        raise ShapeError(
            f"A tone is measured on one channel; this capture has the shape {x.shape}.",
            hint="Give one input at a time.",
        )
    if x.size < SHORTEST_S * rate_hz:
        raise ShapeError(
            f"A capture of {x.size} frames is too short to measure a tone.", hint=f"Record at least {SHORTEST_S} s."
        )
    out = x.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(out))
    if bad.size:
        raise DspError(
            f"The capture holds {bad.size} frames that are not numbers, the first at frame {bad[0]}.",
            hint="Record it anew.",
        )
    return out


def reach_hz(near_hz: float, frames: int, rate_hz: float) -> float:
    """Return how far from ``near_hz`` a tone is looked for."""
    return SEARCH_SHARE * near_hz + 2.0 * rate_hz / frames


def synthesis(fit: LinesFit, lines: Sequence[int]) -> Floats:
    """Return the sum of some lines of a fit, (frames,)."""
    rows = list(lines)
    return _sum(fit.base_hz, fit.orders[rows], fit.amplitude[rows], fit.residual.size, fit.rate_hz)


def _rough(x: Floats, near_hz: Sequence[float], rate_hz: float) -> Floats:
    """Frequencies of the highest peaks of a Hann-windowed spectrum, within a few hundredths of a bin."""
    n = x.size
    magnitude = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(n + 1)[:-1]))
    out = np.empty(len(near_hz))
    for j, f in enumerate(near_hz):
        reach = reach_hz(f, n, rate_hz)
        low = max(1, math.ceil((f - reach) * n / rate_hz))
        high = min(magnitude.size - 2, math.floor((f + reach) * n / rate_hz))
        peak = low + int(np.argmax(magnitude[low : high + 1]))
        left, middle, right = magnitude[peak - 1 : peak + 2]
        # Between two bins of a Hann window the ratio r of the larger to the smaller gives the place: (2r − 1)/(r + 1)
        # (Rife and Vincent 1970).
        side = 1.0 if right >= left else -1.0
        r = max(left, right) / middle if middle > 0.0 else 0.0
        out[j] = (peak + side * max(0.0, (2.0 * r - 1.0) / (r + 1.0))) * rate_hz / n
    return out


def _reachable(x: Floats, freq_hz: float, rate_hz: float) -> None:
    if not 0.0 < freq_hz < rate_hz / 2 or x.size * freq_hz < 5 * rate_hz:
        raise DspError(
            f"A tone of {freq_hz:g} Hz cannot be measured in {x.size / rate_hz:.3g} s at {rate_hz:g} Hz.",
            hint="Record at least five periods of a tone below half the sample rate.",
        )


def _nothing(x: Floats, base: Floats, table: NDArray[np.int64], rate_hz: float) -> LinesFit:
    count = len(table)
    return LinesFit(
        base, np.full(base.size, math.inf), table, np.zeros(count, complex), np.zeros(count), 0.0, x, rate_hz
    )


def _phasors(base_hz: Floats, table: NDArray[np.int64], t: Floats, rate_hz: float) -> Complexes:
    """``e^(j2π·f_k·t)`` for every line, (lines, times): one exponential per base, products for the rest."""
    turns = [np.exp(2j * math.pi * (f / rate_hz) * t) for f in base_hz]
    powers: list[dict[int, Complexes]] = [{0: np.ones(t.size, complex), 1: z, -1: np.conj(z)} for z in turns]
    out = np.empty((len(table), t.size), dtype=np.complex128)
    for k, row in enumerate(table):
        z = np.ones(t.size, complex)
        for known, order in zip(powers, row.tolist(), strict=True):
            sign = 1 if order > 0 else -1
            for m in range(sign, order + sign, sign):
                if m not in known:
                    known[m] = known[m - sign] * known[sign]
            if order:
                z = z * known[order]
        out[k] = z
    return out


def _chunks(
    base_hz: Floats, table: NDArray[np.int64], frames: int, rate_hz: float
) -> Iterator[tuple[Floats, Complexes]]:
    """Give the frames counted from the middle of the capture, and the phasors there, piece by piece."""
    t = np.arange(min(CHUNK, frames), dtype=np.float64)
    first = _phasors(base_hz, table, t, rate_hz)
    turns_per_frame = (table @ base_hz) / rate_hz
    for start in range(0, frames, CHUNK):
        count, at = min(CHUNK, frames - start), start - (frames - 1) / 2.0
        yield t[:count] + at, first[:, :count] * np.exp(2j * math.pi * turns_per_frame * at)[:, None]


def _sum(base_hz: Floats, table: NDArray[np.int64], amplitude: Complexes, frames: int, rate_hz: float) -> Floats:
    return np.concatenate([(amplitude @ z).real for _, z in _chunks(base_hz, table, frames, rate_hz)])


def _step(
    residual: Floats,
    base_hz: Floats,
    table: NDArray[np.int64],
    amplitude: Complexes,
    rate_hz: float,
    *,
    with_frequency: bool,
) -> tuple[Floats, Floats]:
    """One Gauss-Newton step (constant, cosines, sines, frequencies) and the inverse of its normal matrix."""
    frames, lines, bases = residual.size, len(table), len(base_hz)
    columns = 1 + 2 * lines + (bases if with_frequency else 0)
    normal, right, done = np.zeros((columns, columns)), np.zeros(columns), 0
    for t, z in _chunks(base_hz, table, frames, rate_hz):
        model = np.empty((columns, t.size))
        model[0], model[1 : 1 + lines], model[1 + lines : 1 + 2 * lines] = 1.0, z.real, z.imag
        if with_frequency:
            weights: Complexes = table.T * amplitude  # (bases, lines)
            model[1 + 2 * lines :] = -(weights @ z).imag * (2.0 * math.pi / rate_hz) * t
        normal += model @ model.T
        right += model @ residual[done : done + t.size]
        done += t.size
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
    inverse = np.linalg.pinv(normal * scale[:, None] * scale, rcond=1e-12, hermitian=True)
    inverse *= scale[:, None] * scale
    return np.asarray(inverse @ right, dtype=np.float64), np.asarray(inverse, dtype=np.float64)
