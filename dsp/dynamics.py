"""The compressor: its settings and its static curve.

Feed-forward, peak detector (maximum of the channels' magnitudes), log domain, quadratic soft knee, gain reduction
smoothed in dB by a branching one-pole, after D. Giannoulis, M. Massberg and J. D. Reiss, "Digital Dynamic Range
Compressor Design: A Tutorial and Analysis", J. Audio Eng. Soc. 60 (6), 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.errors import DspError

__all__ = ["NARROWEST_KNEE_DB", "Compressor", "one_pole", "static_gain_db"]


NARROWEST_KNEE_DB = 1e-6
"""A knee narrower than this is a corner: it changes nothing that can be heard, and its division overflows."""


@dataclass(frozen=True)
class Compressor:
    """Settings of a compressor.

    ``threshold_db`` in dBFS of the sample value (full scale 1.0 = 0 dB), −120..+24; ``ratio`` 1 (nothing happens) to
    ``math.inf`` (limiting); ``attack_ms`` and ``release_ms`` 0..10000, the times in which the gain in dB covers 63 % of
    a step; ``knee_db`` 0..60, the full width; ``makeup_db`` within ±60. Raises DspError outside of these.
    """

    threshold_db: float
    ratio: float
    attack_ms: float
    release_ms: float
    knee_db: float = 6.0
    makeup_db: float = 0.0

    def __post_init__(self) -> None:
        ranges = (
            ("threshold", self.threshold_db, -120.0, 24.0, " dB"),
            ("ratio", self.ratio, 1.0, math.inf, ":1"),
            ("attack", self.attack_ms, 0.0, 10_000.0, " ms"),
            ("release", self.release_ms, 0.0, 10_000.0, " ms"),
            ("knee", self.knee_db, 0.0, 60.0, " dB"),
            ("make-up", self.makeup_db, -60.0, 60.0, " dB"),
        )
        for name, value, low, high, unit in ranges:
            if not low <= value <= high:
                raise DspError(f"compressor {name} {value:g}{unit} is outside {low:g}..{high:g}{unit}")


def static_gain_db(settings: Compressor, level_db: ArrayLike) -> NDArray[np.float64]:
    """Return the gain in dB (make-up included) a steady ``level_db`` ends up with (Giannoulis et al. 2012, eq. 4)."""
    over = np.asarray(level_db, dtype=np.float64) - settings.threshold_db
    slope = 1.0 / settings.ratio - 1.0
    hard = slope * np.maximum(over, 0.0)
    if settings.knee_db > NARROWEST_KNEE_DB:
        soft = slope * (over + settings.knee_db / 2.0) ** 2 / (2.0 * settings.knee_db)
        hard = np.where(2.0 * np.abs(over) <= settings.knee_db, soft, hard)
    gain: NDArray[np.float64] = hard + settings.makeup_db
    return gain


def one_pole(time_ms: float, rate_hz: float) -> float:
    """Return the coefficient of a one-pole that covers 63 % (1 − 1/e) of a step in ``time_ms``; 0 for no time."""
    return math.exp(-1000.0 / (time_ms * rate_hz)) if time_ms > 0.0 else 0.0
