"""Loudness after ITU-R BS.1770-5: momentary, short-term, integrated (EBU Tech 3341) and its range (EBU Tech 3342)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.filters import Biquad, svf
from dsp.kernels.compiled import library

__all__ = [
    "MOMENTARY_HOPS",
    "OFFSET_LU",
    "SHORT_HOPS",
    "SILENCE_LUFS",
    "LoudnessMeter",
    "gated_lufs",
    "k_weighting",
    "lufs",
]

SILENCE_LUFS = -70.0
"""The absolute gate (BS.1770-5 Annex 1): what lies below counts for nothing."""

OFFSET_LU = -0.691
"""Makes a sine of 997 Hz at 0 dBFS in one channel read −3.01 LKFS (BS.1770-5 Annex 1, eq. 2)."""

_HOPS_A_SECOND = 100
MOMENTARY_HOPS, SHORT_HOPS = 40, 300
"""Steps of 10 ms in a momentary and in a short-term loudness (EBU Tech 3341)."""

_GATING_HOPS = 10
"""Blocks of the integrated loudness and values of the range begin every 100 ms; the meters look every 10 ms."""

_INTEGRATED_GATE_LU, _RANGE_GATE_LU = -10.0, -20.0

_AT_48_KHZ = (
    Biquad(1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585),
    Biquad(1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621),
)
"""Head shelf and low cut as the standard prints them (BS.1770-5 Annex 1, tables 1 and 2)."""


@lru_cache(maxsize=8)
def k_weighting(rate_hz: float) -> tuple[Biquad, Biquad]:
    """Return the two sections of the K weighting at ``rate_hz``.

    At 48 kHz they are the standard's own. Elsewhere each is brought back to its analog form by the bilinear transform
    and forth again so that it keeps its frequency: within 0.011 dB of the standard's curve to 20 kHz at 32 to 192 kHz.
    Raises DspError for a rate below 8 kHz.
    """
    if not (math.isfinite(rate_hz) and rate_hz >= 8000.0):
        raise DspError(f"loudness cannot be measured at {rate_hz:g} Hz", hint="8 kHz is the lowest rate")
    if rate_hz == 48_000.0:
        return _AT_48_KHZ
    shelf, low_cut = (_at_rate(section, rate_hz) for section in _AT_48_KHZ)
    return shelf, low_cut


def _at_rate(section: Biquad, rate_hz: float) -> Biquad:
    """Return ``section``, made for 48 kHz, at another rate."""

    def analog(p0: float, p1: float, p2: float) -> tuple[float, float, float]:
        return p0 - p1 + p2, 2.0 * (p0 - p2), p0 + p1 + p2

    num = analog(section.b0, section.b1, section.b2)
    den = analog(1.0, section.a1, section.a2)
    there = math.sqrt(den[2] / den[0])
    freq_hz = math.atan(there) * 48_000.0 / math.pi
    k = there / math.tan(math.pi * freq_hz / rate_hz)

    def digital(p: tuple[float, float, float]) -> tuple[float, float, float]:
        a, b, c = p[0] * k * k, p[1] * k, p[2]
        return a + b + c, 2.0 * (c - a), a - b + c

    (b0, b1, b2), (a0, a1, a2) = digital(num), digital(den)
    return Biquad(b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0)


class LoudnessMeter:
    """Measures a stream of 1 or 2 channels at ``rate_hz``, in steps of 10 ms; any cut into blocks reads the same.

    Levels are in LUFS, −∞ where nothing is above the gate or too little was heard. Raises DspError for another number
    of channels or too low a rate.
    """

    def __init__(self, rate_hz: float, channels: int) -> None:
        if channels not in (1, 2):
            raise DspError(f"loudness is measured of 1 or 2 channels, not of {channels}")
        rows = np.concatenate([svf(section) for section in k_weighting(rate_hz)])
        row = np.concatenate([rows, [1.0, 0.0, 0.0, 1.0]])
        self.channels = channels
        self._knots = np.stack([row, row])
        self._states = np.zeros((2, 2, 2))
        self._work = np.zeros((2, 64))
        self._run = library("sections").run_sections
        self._rate_hz = rate_hz
        self._position = 0
        self._sum = 0.0
        self._sums = [0.0]
        self.momentary_max_lufs = -math.inf
        self.short_term_max_lufs = -math.inf

    def process(self, block: NDArray[np.float32] | NDArray[np.float64]) -> None:
        """Hear the next (n, channels). Raises ShapeError for another shape."""
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ShapeError(f"the meter takes (frames, {self.channels}), not {block.shape}")
        heard = np.array(block, dtype=np.float32, order="C")
        self._run(heard, self._knots, 0, self._position, self._states, self._work)
        start = 0
        while start < len(heard):
            end = _hop_end(self._position, self._rate_hz)
            stop = min(len(heard), start + end - self._position)
            piece = heard[start:stop].astype(np.float64)
            self._sum += float(np.sum(piece * piece))
            self._position += stop - start
            start = stop
            if self._position == end:
                self._close_hop()

    def _close_hop(self) -> None:
        begin = _hop_begin(self._position - 1, self._rate_hz)
        self._sums.append(self._sums[-1] + self._sum / (self._position - begin))
        self._sum = 0.0
        self.momentary_max_lufs = max(self.momentary_max_lufs, self.momentary_lufs)
        self.short_term_max_lufs = max(self.short_term_max_lufs, self.short_term_lufs)

    def _newest(self, hops: int) -> float:
        return lufs((self._sums[-1] - self._sums[-1 - hops]) / hops) if len(self._sums) > hops else -math.inf

    @property
    def momentary_lufs(self) -> float:
        """The loudness of the newest 400 ms."""
        return self._newest(MOMENTARY_HOPS)

    @property
    def short_term_lufs(self) -> float:
        """The loudness of the newest 3 s."""
        return self._newest(SHORT_HOPS)

    def _windows(self, hops: int) -> NDArray[np.float64]:
        """Return the mean squares of the windows of ``hops`` steps that are above the absolute gate, every 100 ms."""
        sums = np.array(self._sums)
        windows: NDArray[np.float64] = ((sums[hops:] - sums[:-hops]) / hops)[::_GATING_HOPS]
        return windows[windows > _mean_square(SILENCE_LUFS)]

    @property
    def integrated_lufs(self) -> float:
        """The gated loudness of all that was heard (blocks of 400 ms, overlapping by 75 %)."""
        return _gated_lufs(self._windows(MOMENTARY_HOPS))

    @property
    def lra_lu(self) -> float:
        """The loudness range: from the 10th to the 95th percentile of the short-term loudness above −20 LU."""
        windows = self._windows(SHORT_HOPS)
        if not windows.size:
            return 0.0
        gate = _mean_square(lufs(float(np.mean(windows))) + _RANGE_GATE_LU)
        low, high = np.percentile(windows[windows >= gate], [10.0, 95.0])
        return lufs(float(high)) - lufs(float(low))


def gated_lufs(momentary_lufs: Sequence[float]) -> float:
    """Return the integrated loudness of what was this loud every 100 ms (the momentary loudness of 400 ms each)."""
    blocks = np.array([_mean_square(level) for level in momentary_lufs if level > SILENCE_LUFS])
    return _gated_lufs(blocks)


def _gated_lufs(blocks: NDArray[np.float64]) -> float:
    """Return the integrated loudness of mean squares above the absolute gate (BS.1770-5 Annex 1, eq. 7)."""
    if not blocks.size:
        return -math.inf
    gate = _mean_square(lufs(float(np.mean(blocks))) + _INTEGRATED_GATE_LU)
    return lufs(float(np.mean(blocks[blocks > gate])))


def _hop_begin(position: int, rate_hz: float) -> int:
    """Return the first frame of the step that ``position`` lies in."""
    return math.ceil(math.floor(position * _HOPS_A_SECOND / rate_hz) * rate_hz / _HOPS_A_SECOND)


def _hop_end(position: int, rate_hz: float) -> int:
    """Return the first frame after the step that ``position`` lies in."""
    return math.ceil((math.floor(position * _HOPS_A_SECOND / rate_hz) + 1) * rate_hz / _HOPS_A_SECOND)


def lufs(mean_square: float) -> float:
    """Return the loudness of a K-weighted mean square, summed over the channels; −∞ for silence."""
    return OFFSET_LU + 10.0 * math.log10(mean_square) if mean_square > 0.0 else -math.inf


def _mean_square(lufs: float) -> float:
    return float(10.0 ** ((lufs - OFFSET_LU) / 10.0))
