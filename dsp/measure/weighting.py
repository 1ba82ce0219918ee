"""Weightings of noise by frequency, as gains on a spectrum, and the mean square of a spectrum behind one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.probe import HIGH_HZ, LOW_HZ

Floats = NDArray[np.float64]
Weighting = Callable[[Floats], Floats]
"""Gain [dB] at frequencies [Hz]."""

NOTCH_Q = 2.0
"""Q of the standard notch. AES17-2015 and -2020 allow 1.2 to 3, AES17-1998 allowed 1 to 5; 2 lies inside both."""

# Pole frequencies of A [Hz], IEC 61672-1:2013 annex E.
_A_HZ = (20.598997, 107.65265, 737.86223, 12194.217)
# Denominator of the network of ITU-R BS.468-4, figure 1, in powers of the frequency in Hz: real part f^6, f^4, f^2, 1;
# imaginary part f^5, f^3, f. The numerator is f alone.
_CCIR_REAL = (-4.737338981378384e-24, 2.043828333606125e-15, -1.363894795463638e-7, 1.0)
_CCIR_IMAG = (1.306612257412824e-19, -2.118150887518656e-11, 5.559488023498642e-4)
_CCIR_UNITY_HZ = 2000.0


def a_weighting_db(hz: Floats | float) -> Floats:
    """Return the A weighting [dB] at frequencies ``hz`` ≥ 0, 0 dB at 1 kHz; −∞ at 0 Hz.

    IEC 61672-1:2013, annex E: ``f⁴·f4² / ((f²+f1²)·√(f²+f2²)·√(f²+f3²)·(f²+f4²))`` re its value at 1 kHz.
    """
    return _db(_a_gain(np.asarray(hz, dtype=np.float64)) / _a_gain(np.asarray(1000.0)))


def ccir_rms_weighting_db(hz: Floats | float) -> Floats:
    """Return the weighting of ITU-R BS.468-4 [dB] at frequencies ``hz`` ≥ 0 with 0 dB at 2 kHz; −∞ at 0 Hz.

    AES17 calls it CCIR-RMS: the network of BS.468-4, figure 1, 5.6 dB lower, read by an RMS meter and not by the
    quasi-peak meter of that recommendation.
    """
    return _db(_ccir_gain(np.asarray(hz, dtype=np.float64)) / _ccir_gain(np.asarray(_CCIR_UNITY_HZ)))


def notch_db(hz: Floats | float, *, at_hz: float, q: float = NOTCH_Q) -> Floats:
    """Return the gain [dB] of a second-order notch of quality ``q`` at ``at_hz``; −∞ in its middle.

    ``|H|² = u² / (u² + 1/q²)`` with ``u = f/at_hz − at_hz/f``, the analogue notch: its −3 dB points lie ``at_hz/q``
    apart, and of white noise it takes the bandwidth ``π/2·at_hz/q`` (783 Hz at 997 Hz and Q 2).
    """
    f = np.asarray(hz, dtype=np.float64)
    with np.errstate(divide="ignore"):
        u = np.where(f > 0.0, f / at_hz - at_hz / np.where(f > 0.0, f, np.nan), np.inf)
    gain = np.where(np.isinf(u), 1.0, np.abs(u) / np.sqrt(np.where(np.isinf(u), 1.0, u) ** 2 + q**-2.0))
    return _db(gain)


@dataclass(frozen=True)
class Lines:
    """Sines known apart from the noise: where, half the squared amplitude, and the noise's mean share in that."""

    hz: Floats
    power: Floats
    share: Floats


NO_LINES = Lines(np.zeros(0), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class BandPower:
    """Noise between 20 Hz and 20 kHz bin by bin, and the lines beside it.

    ``power`` is the mean square that each bin holds, so that they add up. The lines stand apart because a spectrum
    without window smears a line of 50 Hz as far as the ear's best octave, where a weighting would count it.
    """

    hz: Floats
    power: Floats
    lines: Lines = NO_LINES

    def mean_square(self, weighting: Weighting | None = None) -> float:
        """Return the mean square of noise and lines behind a weighting."""
        return float(np.sum(self.power * _factor(weighting, self.hz))) + float(
            np.sum(self.lines.power * _factor(weighting, self.lines.hz))
        )

    def variance(self, weighting: Weighting | None = None) -> float:
        """Return the variance of `mean_square`: that of Gaussian noise and of its beat with the lines.

        The bins of noise are independent and exponentially distributed (Priestley, *Spectral Analysis and Time Series*,
        1981, chapter 6), so the variance is ``Σ E[P]² = Σ E[P²]/2``. For a flat spectrum that is the well-known
        ``4.34/√(B·T)`` dB; for any other, ``B`` is its effective bandwidth ``(∫S)²/∫S²``.
        """
        noise = self.power * _factor(weighting, self.hz)
        beat = 2.0 * np.maximum(self.lines.power, 0.0) * self.lines.share * _factor(weighting, self.lines.hz) ** 2
        return float(np.sum(noise**2) / 2.0 + np.sum(beat))


def band_power(x: Floats, *, rate_hz: int, lines: Lines = NO_LINES) -> BandPower:
    """Return the power of ``x`` (frames,) between 20 Hz and 20 kHz, bin by bin, no window (Parseval).

    ``lines`` are what was taken out of ``x`` and counts; those outside the band do not.
    """
    frames = x.size
    hz: Floats = np.fft.rfftfreq(frames, 1.0 / rate_hz).astype(np.float64)
    inside = (hz >= LOW_HZ) & (hz <= HIGH_HZ)
    power = 2.0 * np.abs(np.fft.rfft(x)[inside]) ** 2 / frames**2
    audible = (lines.hz >= LOW_HZ) & (lines.hz <= HIGH_HZ)
    return BandPower(hz[inside], power, Lines(lines.hz[audible], lines.power[audible], lines.share[audible]))


def _factor(weighting: Weighting | None, hz: Floats) -> Floats:
    return np.ones(hz.size) if weighting is None else np.asarray(10.0 ** (weighting(hz) / 10.0))


def _a_gain(f: Floats) -> Floats:
    f1, f2, f3, f4 = _A_HZ
    s = f**2
    return np.asarray(s**2 * f4**2 / ((s + f1**2) * np.sqrt(s + f2**2) * np.sqrt(s + f3**2) * (s + f4**2)))


def _ccir_gain(f: Floats) -> Floats:
    s = f**2
    return np.asarray(f / np.hypot(np.polyval(_CCIR_REAL, s), f * np.polyval(_CCIR_IMAG, s)))


def _db(gain: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(20.0 * np.log10(gain))
