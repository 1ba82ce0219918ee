"""Analog filter curves for tests, from the formulas and from scipy.signal alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import signal

AUDIBLE = np.unique(np.concatenate([np.geomspace(20.0, 20_000.0, 500), np.linspace(12_000.0, 20_000.0, 60)]))


def analog(
    kind: str, freq_hz: float, gain_db: float = 0.0, q: float = math.sqrt(0.5), slope: int = 12, *, at_hz: Any
) -> np.ndarray:
    """Complex response of a band: Audio EQ Cookbook H(s); scipy's analog Butterworth for slopes."""
    if kind in ("high_pass", "low_pass") and (slope != 12 or q == math.sqrt(0.5)):
        b, a = signal.butter(slope // 6, 1.0, kind.replace("_", ""), analog=True)
    else:
        A = 10.0 ** (gain_db / 40.0)
        r = math.sqrt(A) / q
        b, a = {
            "bell": lambda: ([1, A / q, 1], [1, 1 / (A * q), 1]),
            "low_shelf": lambda: ([A, A * r, A * A], [A, r, 1]),
            "high_shelf": lambda: ([A * A, A * r, A], [1, r, A]),
            "notch": lambda: ([1, 0, 1], [1, 1 / q, 1]),
            "band_pass": lambda: ([1 / q, 0], [1, 1 / q, 1]),
            "all_pass": lambda: ([1, -1 / q, 1], [1, 1 / q, 1]),
            "high_pass": lambda: ([1, 0, 0], [1, 1 / q, 1]),
            "low_pass": lambda: ([1], [1, 1 / q, 1]),
        }[kind]()
    return signal.freqs(b, a, worN=np.asarray(at_hz, dtype=float) / freq_hz)[1]


def near(freq_hz: float, q: float) -> np.ndarray:
    """Audible frequencies, with the neighbourhood of a resonance, but not the frequency itself."""
    around = freq_hz * (1.0 + np.linspace(-1.0, 1.0, 120) / max(q, 1.0))
    both = np.concatenate([AUDIBLE, around])
    return np.unique(both[(both >= 20.0) & (both <= 20_000.0) & (np.abs(both / freq_hz - 1.0) > 1e-6)])


def db(h: Any) -> np.ndarray:
    return 20.0 * np.log10(np.abs(h))
