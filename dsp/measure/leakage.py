"""Putting a comb's tones back on their bins when the input's clock is not the output's.

A clock that is off by ``ε`` shifts every tone to ``k·(1 − ε)`` cycles per period: it leaks into the bins of other
outputs. The tones' true amplitudes ``A`` solve ``Y = L·A`` at the tones, ``L`` the transform of the shifted tones. As
long as ``ε·n`` stays below a sample within a period, ``L·A`` is a short Taylor series of periodic derivatives, and
``A ← A + Y − L·A`` converges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FARTHEST_SAMPLES = 0.7
"""Growth of the delay within a period up to which the leak is taken out: 43 ppm for 16384 frames, 171 ppm for 4096."""
TERMS = 14
ROUNDS = 40
ENOUGH = 1e-9


def growth_per_period(spectra: Complexes, tones: NDArray[np.int64], frames: int) -> Floats:
    """Return how much later each period comes than the one before [samples], per input, from (periods, bins, inputs).

    The most likely delay between neighbouring periods: the peak of their cross-correlation, then Newton's method.
    """
    cross = np.sum(spectra[1:, tones] * np.conj(spectra[:-1, tones]), axis=0)
    padded = np.zeros((frames + 1, cross.shape[1]), dtype=np.complex128)
    padded[tones] = cross
    lag = np.argmax(np.fft.irfft(padded, 2 * frames, axis=0), axis=0)
    delay = np.where(lag > frames, lag - 2 * frames, lag) / 2.0
    omega = (2.0 * np.pi * tones / frames)[:, None]
    for _ in range(8):
        turned = cross * np.exp(1j * omega * delay)
        slope, bend = -np.sum(omega * turned.imag, axis=0), -np.sum(omega**2 * turned.real, axis=0)
        delay = delay + np.where(bend < 0.0, np.clip(-slope / np.where(bend < 0.0, bend, -1.0), -0.25, 0.25), 0.0)
    return np.asarray(delay, dtype=np.float64)


def gathered(spectra: Complexes, tones: NDArray[np.int64], frames: int, growth: Floats) -> Complexes:
    """Return the spectra with every tone on its bin and every period moved to the middle of the capture.

    ``spectra`` is (periods, bins, inputs), ``growth`` the samples a period comes later than the one before, per input.
    The bins nobody plays keep what the tones do not explain.
    """
    omega = 2.0 * np.pi * np.arange(spectra.shape[1]) / frames
    place = (np.arange(frames) / frames - 0.5)[:, None]  # of a period, from its middle
    found = spectra.copy()
    periods = np.arange(spectra.shape[0]) - 0.5 * (spectra.shape[0] - 1)
    for column, grown in enumerate(growth.tolist()):
        aim = spectra[:, :, column].T
        tone = np.zeros_like(aim)
        tone[tones] = aim[tones]
        scale = float(np.max(np.abs(aim[tones]), initial=0.0))
        left = aim - _shifted(tone, omega, place * grown, frames)
        for _ in range(ROUNDS):
            if float(np.max(np.abs(left[tones]), initial=0.0)) <= ENOUGH * scale:
                break
            tone[tones] += left[tones]
            left = aim - _shifted(tone, omega, place * grown, frames)
        left[tones] = tone[tones]
        found[:, :, column] = (left * np.exp(1j * omega[:, None] * grown * periods)).T
    return found


def _shifted(tone: Complexes, omega: Floats, delay: Floats, frames: int) -> Complexes:
    """Return the spectrum of periodic signals read ``delay`` (frames, 1) samples earlier, by their Taylor series."""
    total = np.zeros((frames, tone.shape[1]))
    factor = np.ones_like(delay)
    derivative = tone
    for order in range(TERMS):
        total += factor * np.fft.irfft(derivative, frames, axis=0)
        derivative = derivative * (1j * omega[:, None])
        factor = factor * (-delay) / (order + 1)
    return np.fft.rfft(total, axis=0)
