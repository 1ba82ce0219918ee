"""Where in the spectrum, and when, two signals differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Profile = tuple[tuple[float, float | None], ...]

# ISO 266:1997, preferred frequencies of one-third octaves, 20 Hz to 20 kHz. The exact centre of band n is 10^(n/10) Hz
# (IEC 61260-1:2014, base-ten system), its edges a factor 10^(1/20) below and above.
NOMINAL_HZ = (
    20.0, 25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0, 800.0,
    1000.0, 1250.0, 1600.0, 2000.0, 2500.0, 3150.0, 4000.0, 5000.0, 6300.0, 8000.0, 10000.0, 12500.0, 16000.0, 20000.0,
)  # fmt: skip
FIRST_BAND = 13
MOST_BLOCKS = 1_024
LONGEST_FFT = 65_536
EMPTY_BAND = 1e-15  # of the total power: a band with less than −150 dB holds no programme


def third_octave_sums(power: Floats, *, rate_hz: int) -> Floats:
    """Return the sums of (…, bins) over every third octave, (…, 31); the bins run from DC to Nyquist."""
    hz = np.arange(power.shape[-1]) * rate_hz / (2 * (power.shape[-1] - 1))
    centres = 10.0 ** ((FIRST_BAND + np.arange(len(NOMINAL_HZ))) / 10.0)
    edges = np.searchsorted(hz, [centres * 10.0**-0.05, centres * 10.0**0.05])
    bands = [power[..., low:high].sum(axis=-1) for low, high in edges.T]
    out: Floats = np.stack(bands, axis=-1)
    return out


class BlockPowers:
    """Residual and programme power per block of time; when there are more than 1024 blocks, two become one."""

    def __init__(self, *, block_frames: int) -> None:
        self.block_frames = max(1, block_frames)
        self._sums: list[tuple[float, float]] = []
        self._open = (0.0, 0.0)
        self._filled = 0

    def add(self, residual: Floats, programme: Floats) -> None:
        """Add (channels, frames) that follow on what was added before."""
        start = 0
        while start < residual.shape[1]:
            stop = min(residual.shape[1], start + self.block_frames - self._filled)
            left, heard = residual[:, start:stop], programme[:, start:stop]
            self._open = (
                self._open[0] + float(np.einsum("cn,cn->", left, left)),
                self._open[1] + float(np.einsum("cn,cn->", heard, heard)),
            )
            self._filled += stop - start
            start = stop
            if self._filled == self.block_frames:
                self._close()

    def _close(self) -> None:
        self._sums.append(self._open)
        self._open, self._filled = (0.0, 0.0), 0
        if len(self._sums) == MOST_BLOCKS:
            pairs = zip(self._sums[::2], self._sums[1::2], strict=True)
            self._sums = [(a[0] + b[0], a[1] + b[1]) for a, b in pairs]
            self.block_frames *= 2

    def powers(self) -> tuple[tuple[float, float], ...]:
        """Return the sums of squares of (residual, programme) per block; the last may be shorter."""
        return (*self._sums, self._open) if self._filled else tuple(self._sums)
