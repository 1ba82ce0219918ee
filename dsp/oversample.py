"""To a multiple of the sample rate and back, by half-band filters of linear phase.

A curve makes harmonics; those above half the rate fold back as tones that belong to nothing. At a higher rate they
have room, and are taken away on the way back. Each stage doubles the rate by a half-band filter, whose every other
weight is zero, a Kaiser-windowed sinc (J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window
function", ISCAS 1974), run in its two phases (P. P. Vaidyanathan, "Multirate Systems and Filter Banks", 1993, §4.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library

__all__ = ["Halfbands", "Lowerer", "Raiser", "halfbands"]


@dataclass(frozen=True, eq=False)
class Halfbands:
    """The filters of an oversampling by ``factor``.

    ``taps`` (stages, T) and ``counts``, ``phases`` (stages) as the kernels take them. ``latency_frames`` is that of
    the way up, what delays in between, and the way down.
    """

    factor: int
    taps: NDArray[np.float64]
    counts: NDArray[np.int64]
    phases: NDArray[np.int64]
    latency_frames: int

    @property
    def reach_frames(self) -> int:
        """How far from the middle of an impulse its answer reaches, both ways taken together."""
        return int(sum(2 * n >> stage for stage, n in enumerate(self.counts.tolist()))) // 2 + 2


@lru_cache(maxsize=64)
def halfbands(factor: int, passed: float, attenuation_db: float, inner_delay: int = 0) -> Halfbands:
    """Return filters that pass up to ``passed`` (< 0.5) of the low rate, and images of that ``attenuation_db`` down.

    ``factor`` is a power of two ≥ 2; ``inner_delay`` is what is between the two ways, in samples at the high rate. The
    way down keeps that phase of each stage which makes the whole latency one of whole frames. Kaiser's order for
    attenuation A and transition Δω: (A − 7.95) / (2.285 Δω).
    """
    stages = factor.bit_length() - 1
    rows = []
    for stage in range(stages):
        # After the first stage only what that left has to be kept from its images.
        top = passed if stage == 0 else 1.0 - passed
        width = 2.0 * math.pi * (2.0**stage - 2.0 * top) / 2.0 ** (stage + 1)
        order = (attenuation_db - 7.95) / (2.285 * width)
        rows.append(_halfband(4 * math.ceil((order + 2.0) / 8.0), attenuation_db))
    taps = np.zeros((stages, max(map(len, rows))))
    phases = np.zeros(stages, dtype=np.int64)
    delay = inner_delay
    for stage in range(stages - 1, -1, -1):
        taps[stage, : len(rows[stage])] = rows[stage]
        phases[stage] = delay & 1
        delay = (2 * len(rows[stage]) - 2 + delay - int(phases[stage])) // 2
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    return Halfbands(factor, taps, counts, phases, delay)


def _halfband(count: int, attenuation_db: float) -> NDArray[np.float64]:
    """Return the ``count`` weights around the middle one of a half-band filter, times two, their sum 1."""
    offset = np.arange(count) * 2.0 - (count - 1)
    window = np.i0(0.1102 * (attenuation_db - 8.7) * np.sqrt(1.0 - (offset / count) ** 2))
    taps: NDArray[np.float64] = np.sinc(offset / 2.0) * window
    taps /= taps.sum()
    return taps


class Raiser:
    """Takes ``rows`` signals to the high rate, at most ``most_frames`` at once."""

    def __init__(self, bands: Halfbands, rows: int, most_frames: int) -> None:
        most = most_frames * bands.factor
        self.high: NDArray[np.float64] = np.zeros((rows, most))
        self._pasts = np.zeros((rows, len(bands.counts), bands.taps.shape[1] + most // 2))
        work = np.zeros(most // 2)
        self._run = library("colour").raise_rate.bind(
            None, None, bands.taps, bands.counts, self._pasts, work, self.high
        )

    def run(self, low: NDArray[np.float64], frames: int) -> None:
        """Write the next ``frames`` of ``low`` (rows, ≥ frames) to ``high`` (rows, ≥ frames · factor)."""
        self._run(low, frames)

    def reset(self) -> None:
        """Forget what was heard."""
        self._pasts[:] = 0.0


class Lowerer:
    """Takes ``rows`` signals back from the high rate."""

    def __init__(self, bands: Halfbands, rows: int, most_frames: int) -> None:
        most = most_frames * bands.factor
        self._pasts = np.zeros((rows, len(bands.counts), 2, bands.taps.shape[1] + most // 2))
        work = np.zeros(most // 2)
        self._run = library("colour").lower_rate.bind(
            None, None, bands.taps, bands.counts, bands.phases, self._pasts, work, None
        )

    def run(self, high: NDArray[np.float64], frames: int, low: NDArray[np.float64]) -> None:
        """Write to ``low`` (rows, ≥ frames) the next ``frames``, from ``high`` (rows, ≥ frames · factor)."""
        self._run(high, frames, low)

    def reset(self) -> None:
        """Forget what was heard."""
        self._pasts[:] = 0.0
