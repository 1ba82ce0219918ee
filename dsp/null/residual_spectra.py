"""Spectra of reference and residual, summed over a recording of any length, and what of the residual is linear.

Welch's method (IEEE Trans. Audio Electroacoust. 15, 1967): Hann windows, half overlapped. Beside the auto and cross
spectra the products of each window with the one two hops earlier are summed: the two share no sample, so noise leaves
nothing there on average and a steady tone leaves its power, turned by the phase it gained in that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.levels import dbfs_from_rms
from dsp.null.bands import NOMINAL_HZ, third_octave_sums

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LAGGED_HZ = 1_300.0  # 60 Hz · 20 and a margin: hum lines are looked for up to here
PER_OCTAVE = 12
EMPTY_BAND = 1e-15  # of the total power: a band with less than −150 dB holds no programme
RUN = 4  # windows in a row that go to the same half: few lie at a seam, where the halves share samples
FEWEST_FREE = 32.0  # degrees of freedom per cell of the coherence: its bias is then 3 %, and taken off


@dataclass(frozen=True)
class Band:
    """One third octave, all channels together; None where the programme has nothing or the band is not resolved."""

    hz: float
    depth_db: float | None
    programme_dbfs: float | None
    residual_dbfs: float | None
    noise_dbfs: float | None
    """What of the residual does not follow the reference linearly."""


@dataclass(frozen=True)
class Spectrum:
    """Levels per band of constant width in octaves, AES17 [dBFS], the mean over channels; −∞ where there is nothing."""

    hz: Floats
    programme_dbfs: Floats
    residual_dbfs: Floats
    noise_dbfs: Floats


class SpectrumSums:
    """Auto, cross and lagged spectra of model ``x`` and residual ``r``; add windows of ``frames`` a half apart."""

    def __init__(self, *, rate_hz: int, channels: int, frames: int) -> None:
        self.rate_hz, self.frames = rate_hz, frames
        self.window = np.hanning(frames + 1)[:-1]  # periodic: shifted sums are exact
        bins = frames // 2 + 1
        self.rr = np.zeros((channels, bins))
        self.halves_xx = np.zeros((2, channels, bins))
        """Of the model, from every other run of windows: what noise does by chance differs between the halves."""
        self.halves_xr = np.zeros((2, channels, bins), np.complex128)
        self.low = min(bins, int(LAGGED_HZ * frames / rate_hz) + 1)
        self.lagged = np.zeros((4, channels, self.low), np.complex128)
        """Of rr, rx, xr and xx: now times the conjugate of two hops ago."""
        self.windows, self.lagged_windows = 0, 0
        self._past: list[tuple[Complexes, Complexes]] = []

    def add(self, model: Floats, residual: Floats) -> None:
        """Add one window of (channels, frames)."""
        x, r = np.fft.rfft(model * self.window), np.fft.rfft(residual * self.window)
        half = self.windows // RUN % 2 if self.windows >= RUN else self.windows % 2
        self.halves_xx[half] += x.real**2 + x.imag**2
        self.rr += r.real**2 + r.imag**2
        self.halves_xr[half] += np.conj(x) * r
        self.windows += 1
        x, r = x[:, : self.low].copy(), r[:, : self.low].copy()
        self._past.append((x, r))
        if len(self._past) == 3:
            x0, r0 = self._past.pop(0)
            for sums, now, before in zip(self.lagged, (r, r, x, x), (r0, x0, r0, x0), strict=True):
                sums += now * np.conj(before)
            self.lagged_windows += 1

    @property
    def xx(self) -> Floats:
        """Power of the model, (channels, bins)."""
        total: Floats = self.halves_xx.sum(axis=0)
        return total

    @property
    def xr(self) -> Complexes:
        """Σ conj(model)·residual, (channels, bins)."""
        total: Complexes = self.halves_xr.sum(axis=0)
        return total

    @property
    def hz(self) -> Floats:
        """Of each bin."""
        return np.arange(self.rr.shape[1], dtype=np.float64) * (self.rate_hz / self.frames)

    @property
    def to_mean_square(self) -> float:
        """What a sum over one-sided bins (without DC and Nyquist) is multiplied by to be a mean square."""
        return 2.0 / (max(1, self.windows) * self.frames * float(np.sum(self.window**2)))


def free(windows: int, bins: int) -> float:
    """Return the equivalent number of independent complex values in so many half-overlapped Hann windows and bins.

    ``n²/Σ|ρ|²`` over all pairs, ρ being the correlation of white noise between two windows' bins (Welch 1967; Percival
    and Walden, *Spectral Analysis*, 1993, section 6.17).
    """
    total = 0.0
    for (hops, apart), rho in _HANN_CORRELATION.items():
        if hops < windows and apart < bins:
            ways = (1 if hops == 0 else 2) * (1 if apart == 0 else 2)
            total += ways * (windows - hops) * (bins - apart) * rho**2
    return (windows * bins) ** 2 / total if total > 0.0 else 0.0


def _hann_correlation() -> dict[tuple[int, int], float]:
    """Return the correlation of white noise in two bins of two windows by (hops apart, bins apart)."""
    n = 512
    w = np.hanning(n + 1)[:-1]
    turn = 2j * np.pi * np.arange(n) / n
    out: dict[tuple[int, int], float] = {}
    for hops, product in enumerate((w * w, w[n // 2 :] * w[: n // 2])):
        for apart in range(4):
            out[hops, apart] = float(np.abs(np.sum(product * np.exp(apart * turn[: product.size]))) / np.sum(w * w))
    return out


_HANN_CORRELATION = _hann_correlation()


@dataclass(frozen=True)
class Coherence:
    """The residual split into what follows the reference linearly and what does not, per cell of some bins.

    Powers are mean squares per cell, (channels, cells).
    """

    edges: NDArray[np.int64]
    """First bin of each cell, and one past the last: (cells + 1,)."""
    response: Complexes
    """Residual over model: what is left of gain, delay and equaliser."""
    linear: Floats
    """Power that follows the model; where none does it scatters around zero."""
    linear_var: Floats
    rest: Floats
    """Power that does not."""


def coherence(sums: SpectrumSums) -> Coherence:
    """Return the split; cells are as narrow as 32 degrees of freedom allow.

    The linear power is ``xx·Re(conj(H₁)·H₂)`` of the responses from two halves of the windows: the noise in one knows
    nothing of the other's, so that chance adds nothing on average (cross-validation; a single response would explain
    1/ν of any noise, Bendat and Piersol, *Random Data*, 4th ed., 2010, section 9.2). Variance, v being that of each
    half's response: ``xx²·(|H|²·(v₁ + v₂) + v₁·v₂)/2``, doubled because neighbouring cells share the window's skirts.
    """
    bins = sums.rr.shape[1]
    width = 1
    while free(sums.windows, width) < FEWEST_FREE and width < bins // 8:
        width *= 2
    edges = np.append(np.arange(1, bins - 1, width), bins - 1)
    xx, xr = (np.add.reduceat(h[:, :, : bins - 1], edges[:-1], axis=2) for h in (sums.halves_xx, sums.halves_xr))
    rr = np.add.reduceat(sums.rr[:, : bins - 1], edges[:-1], axis=1)
    heard = np.all(xx > 0.0, axis=0)
    h1, h2 = (np.where(heard, r / np.where(heard, x, 1.0), 0.0) for x, r in zip(xx, xr, strict=True))
    total = xx.sum(axis=0)
    response = np.where(heard, xr.sum(axis=0) / np.where(heard, total, 1.0), 0.0)
    linear = total * np.real(np.conj(h1) * h2)
    rest = np.maximum(rr - linear, 0.0)
    nu = max(1.0, 0.5 * free(sums.windows, width))
    v1, v2 = (np.where(heard, 0.5 * rest / (nu * np.where(heard, x, 1.0)), 0.0) for x in xx)
    var = total**2 * (np.abs(response) ** 2 * (v1 + v2) + v1 * v2)
    scale = sums.to_mean_square
    return Coherence(edges, response, scale * linear, scale**2 * var, scale * rest)


def _powers(sums: SpectrumSums, split: Coherence) -> Floats:
    """Return mean squares per bin of (programme, residual, incoherent residual), the mean over channels: (3, bins)."""
    heard = np.maximum(sums.xx + sums.rr + 2.0 * sums.xr.real, 0.0) * sums.to_mean_square
    rest = np.zeros_like(heard)
    widths = np.diff(split.edges)
    rest[:, split.edges[0] : split.edges[-1]] = np.repeat(split.rest / widths, widths, axis=1)
    stacked: Floats = np.stack([heard, sums.rr * sums.to_mean_square, rest]).mean(axis=1)
    return stacked


def band_levels(sums: SpectrumSums, split: Coherence) -> tuple[Band, ...]:
    """Return the third octaves of ISO 266."""
    powers = _powers(sums, split)
    bands = third_octave_sums(powers, rate_hz=sums.rate_hz)
    empty = EMPTY_BAND * float(powers[0].sum())
    out: list[Band] = []
    for hz, (heard, left, rest) in zip(NOMINAL_HZ, bands.T.tolist(), strict=True):
        depth = 10.0 * float(np.log10(left / heard)) if heard > empty and left > 0.0 else None
        levels = [dbfs_from_rms(float(np.sqrt(p))) if p > 0.0 else None for p in (heard, left, rest)]
        out.append(Band(hz, depth, *levels))
    return tuple(out)


def fine_spectrum(sums: SpectrumSums, split: Coherence) -> Spectrum:
    """Return the spectra in twelfths of an octave from 20 Hz to Nyquist; bands narrower than a bin are left out."""
    powers = _powers(sums, split)
    count = int(PER_OCTAVE * np.log2(0.5 * sums.rate_hz / 20.0))
    centres = 20.0 * 2.0 ** ((np.arange(count) + 0.5) / PER_OCTAVE)
    edges = np.searchsorted(sums.hz, 20.0 * 2.0 ** (np.arange(count + 1) / PER_OCTAVE))
    known = np.diff(edges) > 0
    bands = np.stack([powers[:, a:b].sum(axis=1) for a, b in pairwise(edges)], axis=1)[:, known]
    with np.errstate(divide="ignore"):
        levels = 10.0 * np.log10(2.0 * bands)
    return Spectrum(centres[known], *levels)
