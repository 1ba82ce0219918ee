"""Levels: RMS of full scale to dBFS and back, in the AES17 sense.

AES17 reads a sine whose peaks just reach full scale as 0 dBFS. A signal of RMS ``r`` (full scale 1.0) therefore has the
level ``20·log10(r·√2)`` dBFS, and white noise of standard deviation 1e-4 reads −76.99 dBFS.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SINE_PEAK_OVER_RMS = math.sqrt(2.0)


def dbfs_from_rms(rms: float) -> float:
    """Return the AES17 level [dBFS] of an RMS value (full scale 1.0); −∞ for zero."""
    return decibels(rms * SINE_PEAK_OVER_RMS)


def level_dbfs(audio: NDArray[np.floating[Any]]) -> float:
    """Return the AES17 level [dBFS] of all samples of ``audio`` together (full scale 1.0); −∞ for silence."""
    return dbfs_from_rms(math.sqrt(float(np.mean(np.square(audio, dtype=np.float64))))) if audio.size else -math.inf


def rms_from_dbfs(level_dbfs: float) -> float:
    """Return the RMS value (full scale 1.0) of an AES17 level [dBFS]."""
    return float(10.0 ** (level_dbfs / 20.0)) / SINE_PEAK_OVER_RMS


def decibels(ratio: float) -> float:
    """Return 20·log10 of an amplitude ratio; −∞ for zero."""
    return 20.0 * math.log10(ratio) if ratio > 0.0 else -math.inf
