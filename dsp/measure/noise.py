"""What an input does when nothing is played: noise flat and weighted, DC, and the lines of the mains by name.

Hum is found as a series: a line at one of the first three multiples of 49 to 51 or 59 to 61 Hz stands clear of the
noise; its frequency is refined by least squares on ever more multiples, and every multiple up to the twentieth is then
tested at exactly its place. This happens at a reduced rate, behind a low-pass filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.levels import dbfs_from_rms
from dsp.measure.figure import Figure, unseen
from dsp.measure.tone import POWER_DB, LinesFit, fit_lines, line_variances, synthesis
from dsp.measure.weighting import BandPower, Lines, Weighting, a_weighting_db, band_power, ccir_rms_weighting_db

Floats = NDArray[np.float64]

SHORTEST_S = 0.1
MAINS_HZ = ((49.0, 51.0), (59.0, 61.0))
LINES = 20
FIRST_LINES = 3
FOUND = 22.0
"""The series is there when one of its first lines has this many times the power of the noise. Noise passes that with
probability e⁻²² in each of about ``12·T`` independent places."""
NAMED = 12.0
"""A line of a series that is there has a name above this many times the noise's power: false once in 160 000."""
REDUCED_HZ = 6000.0
SLOW_BINS = 8


@dataclass(frozen=True)
class HumLine:
    """One line of the mains."""

    hz: float
    level_dbfs: Figure
    """[dBFS, AES17], the noise's share taken off."""
    harmonic: int
    """1 for the mains frequency itself."""


@dataclass(frozen=True)
class NoiseFacts:
    """What one input does when nothing is played."""

    flat_dbfs: Figure
    """RMS 20 Hz to 20 kHz, hum included [dBFS, AES17]."""
    a_dbfs: Figure
    """The same, A-weighted (IEC 61672-1)."""
    ccir_dbfs: Figure
    """The same, CCIR-RMS (ITU-R BS.468-4, 0 dB at 2 kHz, RMS: AES17)."""
    dc_fs: Figure
    """Mean over whole mains periods [full scale]."""
    hum_dbfs: Figure
    """All named lines together [dBFS, AES17]."""
    mains_hz: float | None
    """The mains frequency found; None where no hum stands above the noise."""
    lines: tuple[HumLine, ...]
    """The lines that stand above the noise, by rising frequency."""
    without_hum_dbfs: Figure
    """RMS 20 Hz to 20 kHz with the named lines taken out [dBFS, AES17]."""


def measure_noise(silence: NDArray[np.floating], *, rate_hz: int) -> tuple[NoiseFacts, ...]:
    """Measure every input of ``silence`` (frames, inputs), recorded while digital silence was played.

    The spread of an RMS reading is ``4.34/√(B·T)`` dB, ``B`` the effective bandwidth of the weighted noise (see
    `BandPower.variance`); the hum is no noise and adds no spread but its beat with the noise. DC has the spread
    ``√(S₀/N)``, ``S₀`` the noise's density in the lowest bins: σ/√N in white noise, more where it rises towards DC.

    Raises
    ------
    ShapeError
        Not two-dimensional, or shorter than 0.1 s.
    DspError
        NaN or infinite frames.
    """
    if silence.ndim != 2 or silence.shape[0] < SHORTEST_S * rate_hz:
        raise ShapeError(
            f"A noise floor needs at least {SHORTEST_S} s of (frames, inputs); this capture has the shape "
            f"{silence.shape}.",
            hint="Record the inputs for longer.",
        )
    bad = np.argwhere(~np.isfinite(silence))
    if bad.size:
        raise DspError(
            f"Input {bad[0][1]} holds frames that are not numbers, the first at frame {bad[0][0]}.",
            hint="Record it anew.",
        )
    return tuple(_input(silence[:, i].astype(np.float64), rate_hz) for i in range(silence.shape[1]))


def _input(x: Floats, rate_hz: int) -> NoiseFacts:
    series = _series(x, rate_hz)
    named = [] if series is None else series.named
    rest = x if series is None else x - series.at_full_rate(x.size, rate_hz)
    alone = band_power(rest, rate_hz=rate_hz)
    table = np.array([line[1:] for line in named]).reshape(-1, 3)
    whole = replace(alone, lines=Lines(table[:, 0], table[:, 1] / 2.0, table[:, 2] / 2.0))
    flat, a_weighted, ccir = (_reading(whole, w) for w in (None, a_weighting_db, ccir_rms_weighting_db))
    lines = tuple(HumLine(hz, _level(p, math.sqrt(2.0 * p * v + v * v)), k) for k, hz, p, v in named)
    if named:
        spread = math.sqrt(sum(2.0 * p * v + v * v for _, _, p, v in named))
        hum = _level(sum(p for _, _, p, _ in named), spread)
    else:
        hum = unseen("no line of 50 or 60 Hz mains stands above the noise" if np.any(x) else "the input is silent")
    mains = None if series is None else series.mains_hz
    dc = _dc(x, rest, mains, rate_hz)
    return NoiseFacts(flat, a_weighted, ccir, dc, hum, mains, lines, _reading(alone, None))


def _reading(power: BandPower, weighting: Weighting | None) -> Figure:
    mean_square = power.mean_square(weighting)
    if mean_square <= 0.0:
        return unseen("the input is digital silence")
    sd = POWER_DB * math.sqrt(power.variance(weighting)) / mean_square
    return Figure(dbfs_from_rms(math.sqrt(mean_square)), sd)


def _level(squared_peak: float, spread: float) -> Figure:
    return Figure(10.0 * math.log10(squared_peak), POWER_DB * spread / squared_peak)


def _dc(x: Floats, rest: Floats, mains_hz: float | None, rate_hz: int) -> Figure:
    # A tenth of a second holds whole periods of 50 and of 60 Hz.
    period = rate_hz / 10.0 if mains_hz is None else rate_hz / mains_hz
    frames = min(x.size, round(math.floor(x.size / period + 1e-9) * period))
    slow = np.abs(np.fft.rfft(rest)[1 : 1 + SLOW_BINS]) ** 2 / rest.size
    return Figure(float(np.mean(x[:frames])), math.sqrt(float(np.mean(slow)) / frames))


@dataclass(frozen=True)
class _Series:
    fit: LinesFit
    filter_gain: Floats
    """(lines,), of the low-pass filter before the rate was reduced."""
    middle: float
    """Frame of the full-rate capture at which the phases hold."""

    @property
    def mains_hz(self) -> float:
        return float(self.fit.base_hz[0])

    @property
    def named(self) -> list[tuple[int, float, float, float]]:
        """Harmonic, frequency, squared peak without the noise's share, and that share, of each line that is there."""
        out = []
        for k in range(len(self.fit.orders)):
            squared, share = float(abs(self.fit.amplitude[k])) ** 2, float(self.fit.variance[k])
            if squared > NAMED * share:
                scale = 1.0 / float(self.filter_gain[k]) ** 2
                harmonic = int(self.fit.orders[k, 0])
                out.append((harmonic, harmonic * self.mains_hz, float(squared - share) * scale, share * scale))
        return out

    def at_full_rate(self, frames: int, rate_hz: int) -> Floats:
        """Return the named lines as they stand in the capture, (frames,)."""
        names = {harmonic for harmonic, *_ in self.named}
        rows = [k for k in range(len(self.fit.orders)) if int(self.fit.orders[k, 0]) in names]
        turn = 2j * math.pi * self.fit.hz[rows] * ((frames - 1) / 2.0 - self.middle) / rate_hz
        amplitude = self.fit.amplitude.copy()
        amplitude[rows] = amplitude[rows] / self.filter_gain[rows] * np.exp(turn)
        full = LinesFit(
            self.fit.base_hz, self.fit.base_sd_hz, self.fit.orders, amplitude, self.fit.variance, 0.0,
            np.zeros(frames), rate_hz,
        )  # fmt: skip
        return synthesis(full, rows)


def _series(x: Floats, rate_hz: int) -> _Series | None:
    slow, step, taps = _reduced(x, rate_hz)
    slow_hz = rate_hz / step
    first = _first_line(slow, slow_hz)
    if first is None:
        return None
    # From the line that was found to all multiples, doubling: each fit leaves the next within its reach.
    mains, highest = first
    top = min(LINES, math.floor(0.45 * slow_hz / mains))
    while True:
        fit = fit_lines(
            slow, rate_hz=slow_hz, near_hz=(mains,), orders=[(k,) for k in range(1, highest + 1)], search=False
        )
        mains = float(fit.base_hz[0])
        if highest >= top:
            break
        highest = min(2 * highest, top)
    at = np.arange(taps.size) - (taps.size - 1) / 2.0
    gain = np.array([float(np.sum(taps * np.cos(2.0 * math.pi * f / rate_hz * at))) for f in fit.hz])
    middle = (taps.size - 1) / 2.0 + step * (slow.size - 1) / 2.0
    series = _Series(fit, gain, middle)
    inside = any(low <= mains <= high for low, high in MAINS_HZ)
    return series if inside and series.named else None


def _first_line(slow: Floats, slow_hz: float) -> tuple[float, int] | None:
    """Return the mains frequency that the strongest of the first lines tells, and which line that was."""
    n = slow.size
    window = np.hanning(n + 1)[:-1]
    padded = 4 * n
    power = np.abs(np.fft.rfft((slow - slow.mean()) * window, padded)) ** 2 / float(np.sum(window**2))
    best: tuple[float, float, int] | None = None
    for low, high in MAINS_HZ:
        for k in range(1, FIRST_LINES + 1):
            bins = np.arange(math.floor(k * low * padded / slow_hz), math.ceil(k * high * padded / slow_hz) + 1)
            peak = int(bins[np.argmax(power[bins])])
            hz = peak * slow_hz / padded
            noise = float(line_variances(slow, np.array([hz]), slow_hz)[0]) * n / 4.0
            ratio = float(power[peak]) / noise if noise > 0.0 else (math.inf if power[peak] > 0.0 else 0.0)
            if ratio > FOUND and (best is None or power[peak] > best[0]):
                best = (float(power[peak]), hz / k, k)
    return None if best is None else (best[1], best[2])


def _reduced(x: Floats, rate_hz: int) -> tuple[Floats, int, Floats]:
    """``x`` behind a low-pass filter and thinned out, by how much, and the filter's taps (Kaiser window, 100 dB)."""
    step = max(1, int(rate_hz // REDUCED_HZ))
    if step == 1:
        return x, 1, np.ones(1)
    half = 8 * step
    at = np.arange(-half, half + 1)
    taps = np.kaiser(at.size, 10.0) * np.sinc(at / step)
    taps /= taps.sum()
    windows = np.lib.stride_tricks.sliding_window_view(x, taps.size)[::step]
    return windows @ taps, step, taps
