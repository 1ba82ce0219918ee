"""Moments of reference, its powers, and residual in short frames and octaves: what gain and distortion are read from.

Within 20 ms a compressor is a plain gain, and a static nonlinearity is not: the parts of ``x²`` and ``x³`` that no
complex factor on ``x`` explains within a frame and octave belong to distortion alone. So the two are told apart
although both follow the programme's level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FRAME_S = 0.02
MOST_FRAMES = 65_536  # 22 minutes of 20 ms; past that two frames become one
FIRST_BINS = (1, 4)  # of 50 Hz: the lowest band is 50 to 150 Hz, then octaves
SERIES = ("xx", "xr", "rr", "x2", "x3")


def frame_frames(rate_hz: int) -> int:
    """Return the length of a frame [samples]."""
    return max(16, round(FRAME_S * rate_hz))


class FrameSums:
    """Per frame, channel and octave: sums over bins of products of model ``x``, ``x²``, ``x³`` and residual ``r``."""

    def __init__(self, *, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        self.frames = frame_frames(rate_hz)
        bins = self.frames // 2 + 1
        edges = list(FIRST_BINS)
        while edges[-1] * 2 < bins:
            edges.append(edges[-1] * 2)
        self.starts = np.array([e for e in edges if e < bins - 1])
        self.bins = np.diff(np.append(self.starts, bins))
        self.bands = self.starts.size
        self.merged = 1
        """20 ms frames in one entry of the series."""
        self._pieces: list[NDArray[np.float32]] = []
        self._count = 0
        self._odd: NDArray[np.float64] | None = None
        self.within = np.zeros((3, 3, channels, self.bands))
        """Of (x², x³, r), each without what follows x within its frame and octave."""
        self.used = np.zeros((channels, self.bands))
        """Frames that went into ``within``."""
        self.total = 0
        """Frames of 20 ms added."""

    def add(self, model: Floats, residual: Floats) -> None:
        """Add whole frames: (channels, n·frames)."""
        count = model.shape[1] // self.frames
        shape = (self.channels, count, self.frames)
        square = model * model
        signals = (model, square, square * model, residual)
        # Parseval: a mean square is 2·Σ|X|²/n² over one-sided bins.
        x, x2, x3, r = (np.fft.rfft(s.reshape(shape)) * (np.sqrt(2.0) / self.frames) for s in signals)
        xx, xr, rr = self._sum(x, x).real, self._sum(x, r), self._sum(r, r).real
        s2, s3 = self._sum(x, x2), self._sum(x, x3)
        heard = xx > 1e-30
        under = np.where(heard, xx, 1.0)
        pairs = {0: (x2, s2), 1: (x3, s3), 2: (r, xr)}
        for i, (u, xu) in pairs.items():
            for j, (v, xv) in pairs.items():
                if j >= i:
                    left = self._sum(u, v).real - np.real(np.conj(xu) * xv) / under
                    self.within[i, j] += np.sum(np.where(heard, left, 0.0), axis=1)
        self.total += count
        self.used += np.count_nonzero(heard, axis=1)
        self._store(np.stack([xx, xr.real, rr, s2.real, s3.real]))

    def _sum(self, u: NDArray[np.complex128], v: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return Σ conj(u)·v per octave, (channels, frames, bands)."""
        out: NDArray[np.complex128] = np.add.reduceat(np.conj(u) * v, self.starts, axis=2)
        return out

    def _store(self, rows: Floats) -> None:
        """Keep (5, channels, frames, bands); when there are too many, pairs are added up."""
        if self._odd is not None:
            rows = np.concatenate([self._odd, rows], axis=2)
            self._odd = None
        whole = rows.shape[2] // self.merged * self.merged
        if whole < rows.shape[2]:
            self._odd = rows[:, :, whole:]
        if whole == 0:
            return
        merged = rows[:, :, :whole].reshape(*rows.shape[:2], -1, self.merged, self.bands).mean(axis=3)
        self._pieces.append(merged.astype(np.float32))
        self._count += merged.shape[2]
        if self._count >= MOST_FRAMES:
            series = np.concatenate(self._pieces, axis=2)
            even = series.shape[2] // 2 * 2
            if even < series.shape[2]:
                last = np.repeat(series[:, :, even:].astype(np.float64), self.merged, axis=2)
                self._odd = last if self._odd is None else np.concatenate([last, self._odd], axis=2)
            halved = 0.5 * (series[:, :, 0:even:2] + series[:, :, 1:even:2])
            self._pieces, self._count, self.merged = [halved], halved.shape[2], 2 * self.merged

    @property
    def entry_s(self) -> float:
        """Length of one entry of the series [s]."""
        return self.merged * self.frames / self.rate_hz

    def series(self) -> dict[str, Floats]:
        """Return mean squares per entry, (channels, entries, bands): xx, Re xr, rr, Re x·x², Re x·x³."""
        if not self._pieces:
            return {name: np.zeros((self.channels, 0, self.bands)) for name in SERIES}
        stacked = np.concatenate(self._pieces, axis=2).astype(np.float64)
        return dict(zip(SERIES, stacked, strict=True))


@dataclass(frozen=True)
class PowerLaw:
    """Static nonlinearity in the residual: factors and powers per order 2 and 3, per channel and octave."""

    factor: Floats
    """Of (x², x³): (2, channels, bands)."""
    power: Floats
    """Mean square that each order adds, chance taken off, (2, channels, bands); order 3 is what order 2 leaves."""
    power_var: Floats


def power_law(sums: FrameSums) -> PowerLaw:
    """Return least-squares factors on x² and x³ within frames, and the power each explains.

    The order: x², then what of x³ is orthogonal to it. One real factor over ν real degrees of freedom explains
    ``rest/ν`` by chance (Bendat and Piersol, 2010, section 9.2).
    """
    m22, m23, m33 = sums.within[0, 0], sums.within[0, 1], sums.within[1, 1]
    m2r, m3r, rr = sums.within[0, 2], sums.within[1, 2], sums.within[2, 2]
    seen2 = m22 > 1e-30 * np.maximum(1.0, sums.used)
    g = np.where(seen2, m23 / np.where(seen2, m22, 1.0), 0.0)
    own3 = m33 - g * m23
    seen3 = own3 > 1e-9 * m33
    seen3 &= own3 > 1e-30
    c3 = np.where(seen3, (m3r - g * m2r) / np.where(seen3, own3, 1.0), 0.0)
    c2 = np.where(seen2, m2r / np.where(seen2, m22, 1.0), 0.0)
    explained = np.stack([c2**2 * m22, c3**2 * own3])
    freedom = np.maximum(2.0 * sums.used * (sums.bins - 1.0), 3.0)
    rest = np.maximum(rr - explained.sum(axis=0), 0.0)
    chance = np.where(np.stack([seen2, seen3]), rest / freedom, 0.0)
    frames = max(1, sums.total)
    power = (explained - chance) / frames
    var = (2.0 * chance**2 + 4.0 * chance * np.maximum(explained - chance, 0.0)) / frames**2
    return PowerLaw(factor=np.stack([c2 - g * c3, c3]), power=power, power_var=var)
