"""The reverb: an eight-line feedback delay network with frequency-dependent decay.

J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial reverberators", AES 90th Convention, 1991:
a lossless (orthonormal) feedback matrix, and in every line a gain and a low-pass that make all lines die at one rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError

__all__ = ["Reverb", "ReverbSettings"]

_LINES_MS = (29.7, 33.9, 37.1, 41.3, 45.7, 49.9, 54.1, 59.3)
"""Lengths of the lines before rounding to primes: spread over one octave, no two in a simple ratio."""

_DIFFUSERS_MS = (4.71, 8.37, 5.13, 7.79)
"""All-pass lengths, two a side; different sides, so that the two channels' echoes do not coincide."""

_DIFFUSION = 0.6
"""All-pass coefficient; M. R. Schroeder's 0.7 (JAES 10, 1962) a little softened, which rings less on drums."""


@dataclass(frozen=True)
class ReverbSettings:
    """Settings of the reverb.

    ``decay_s`` 0.1..60: time to −60 dB at low frequencies; ``predelay_ms`` 0..500; ``damping_hz`` ≥ 100: where the
    tail dies twice as fast; ``return_db`` −∞..+24: the level at which a steady noise well below
    ``damping_hz``, sent at 0 dB, comes back. Raises DspError outside of these.
    """

    decay_s: float = 1.8
    predelay_ms: float = 20.0
    damping_hz: float = 6000.0
    return_db: float = 0.0

    def __post_init__(self) -> None:
        ranges = (
            ("decay", self.decay_s, 0.1, 60.0, " s"),
            ("predelay", self.predelay_ms, 0.0, 500.0, " ms"),
            ("damping", self.damping_hz, 100.0, 1e6, " Hz"),
            ("return", self.return_db, -math.inf, 24.0, " dB"),
        )
        for name, value, low, high, unit in ranges:
            if not low <= value <= high:
                raise DspError(f"reverb {name} {value:g}{unit} is outside {low:g}..{high:g}{unit}")


def _prime_at_least(n: int) -> int:
    while any(n % d == 0 for d in range(2, math.isqrt(n) + 1)):
        n += 1
    return n


def _primes(lengths_ms: tuple[float, ...], rate_hz: float) -> NDArray[np.int64]:
    """Return distinct primes near the lengths: lines without a common divisor share no echo."""
    found: list[int] = []
    for ms in lengths_ms:
        n = _prime_at_least(max(2, round(ms * rate_hz / 1000.0)))
        while n in found:
            n = _prime_at_least(n + 1)
        found.append(n)
    return np.array(found, dtype=np.int64)


def _ring(rows: int, longest: int) -> NDArray[np.float64]:
    return np.zeros((rows, 1 << int(longest + 1).bit_length()))


def _line_filters(
    settings: ReverbSettings, delays: NDArray[np.int64], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return input gain and pole of every line's low-pass y = gain·x + pole·y.

    At DC a line of d frames loses 60·d/(fs·decay) dB, at ``damping_hz`` twice that. With g the DC gain, the second
    condition (1 − p)² = g²·|1 − p·e^(−jω)|² is quadratic in the pole p; the root inside the unit circle is taken.
    """
    dc = 10.0 ** (-3.0 * delays / (rate_hz * settings.decay_s))
    w = 2.0 * math.pi * min(settings.damping_hz / rate_hz, 0.5)
    b, c = 1.0 - dc**2 * math.cos(w), 1.0 - dc**2
    poles = c / (b + np.sqrt(np.maximum(b * b - c * c, 0.0)))
    return dc * (1.0 - poles), poles


class Reverb:
    """A running reverb at ``rate_hz``; deterministic, and the same samples for any block size."""

    def __init__(self, settings: ReverbSettings, rate_hz: float) -> None:
        self.settings = settings
        self._delays = _primes(_LINES_MS, rate_hz)
        self._gains, self._poles = _line_filters(settings, self._delays, rate_hz)
        self._rings = _ring(8, int(self._delays.max()))
        self._diffuser_delays = _primes(_DIFFUSERS_MS, rate_hz)
        self._diffuser_rings = _ring(4, int(self._diffuser_delays.max()))
        self._predelay = round(settings.predelay_ms * rate_hz / 1000.0)
        self._predelay_ring = _ring(2, self._predelay)
        self._lows = np.zeros(8)
        self._positions = np.zeros(1, dtype=np.int64)
        loss = 10.0 ** (-6.0 * float(np.mean(self._delays)) / (rate_hz * settings.decay_s))
        # Energy one channel puts into the lossless loop comes out, summed over all passes, loss / (1 − loss) times.
        self._output_gain = 10.0 ** (settings.return_db / 20.0) * math.sqrt((1.0 - loss) / loss)
        self.tail_frames = self._predelay + math.ceil(settings.decay_s * rate_hz)

    def add(self, wet: NDArray[np.float64], bus: NDArray[np.float64], frames: int) -> None:
        """Add the reverb of ``wet`` to ``bus``, both (2, ≥ frames) float64."""
        from dsp.kernels.reverb import run_network

        run_network(
            wet,
            frames,
            bus,
            self._predelay_ring,
            self._predelay,
            self._diffuser_rings,
            self._diffuser_delays,
            _DIFFUSION,
            self._rings,
            self._delays,
            self._gains,
            self._poles,
            self._lows,
            self._positions,
            self._output_gain,
        )

    def process(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the reverb alone of ``block`` (n, 2), as (n, 2) float64. Raises ShapeError for another shape."""
        if block.ndim != 2 or block.shape[1] != 2:
            raise ShapeError(f"the reverb takes (frames, 2), not {block.shape}")
        wet = np.ascontiguousarray(block.T, dtype=np.float64)
        out = np.zeros_like(wet)
        self.add(wet, out, wet.shape[1])
        return np.ascontiguousarray(out.T)
