"""The desk's filters as digital second-order sections that follow their analog curves up to near Nyquist.

The poles go from s to z by the exponential (impulse-invariant) mapping; the numerator's squared magnitude, which is
linear in three unknowns, is fitted by least squares to the analog curve on a grid up to 0.455 of the sample rate
(M. Vicanek, "Matched Second Order Digital Filters", 2016, gives the three-point form and the way back from the squared
magnitude to the minimum-phase numerator). Bells are fitted as boosts and shelves as cuts; the other sign is the
inverse filter, as it is in the analog prototypes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Section = NDArray[np.float64]
"""b0, b1, b2, a1, a2 with a0 = 1."""

IDENTITY: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0)
SHELF_Q = math.sqrt(0.5)

_TOP = 0.455
"""The analog curve is followed up to this share of the sample rate."""
_EVEN = np.linspace(0.004, _TOP, 80)


def bell(freq_hz: float, gain_db: float, q: float, rate_hz: float) -> Section:
    """Make a bell (Audio EQ Cookbook prototype: (s² + s·A/Q + 1) / (s² + s/(A·Q) + 1), A = 10^(dB/40))."""
    if gain_db == 0.0:
        return np.array(IDENTITY)
    boost = 10.0 ** (abs(gain_db) / 40.0)
    section = _fitted((1.0, boost / q, 1.0), (1.0, 1.0 / (boost * q), 1.0), freq_hz, rate_hz)
    return section if gain_db > 0 else _inverse(section)


def shelf(freq_hz: float, gain_db: float, rate_hz: float, *, high: bool) -> Section:
    """Make a second-order shelf with Q = 1/√2 (Audio EQ Cookbook prototype)."""
    if gain_db == 0.0:
        return np.array(IDENTITY)
    cut = 10.0 ** (-abs(gain_db) / 40.0)
    slope = math.sqrt(cut) / SHELF_Q
    upper, lower = (cut, cut * slope, cut * cut), (cut, slope, 1.0)
    if high:
        upper, lower = upper[::-1], lower[::-1]
    section = _fitted(upper, lower, freq_hz, rate_hz)
    return section if gain_db < 0 else _inverse(section)


def high_pass(freq_hz: float, rate_hz: float) -> Section:
    """Make a second-order Butterworth high-pass (12 dB/oct), exact in level at Nyquist."""
    denominator = _mapped_poles((1.0, math.sqrt(2.0), 1.0), freq_hz, rate_hz)
    ratio = (rate_hz / 2 / freq_hz) ** 2
    analog = ratio / math.sqrt(1 + ratio * ratio)
    scale = analog * (1 - denominator[0] + denominator[1]) / 4
    return np.array([scale, -2 * scale, scale, denominator[0], denominator[1]])


def response(section: Section, freqs_hz: NDArray[np.float64], rate_hz: float) -> NDArray[np.complex128]:
    """Complex response of a section at ``freqs_hz`` [Hz]."""
    z = np.exp(-2j * math.pi * freqs_hz / rate_hz)
    b0, b1, b2, a1, a2 = section
    return np.asarray((b0 + z * (b1 + z * b2)) / (1 + z * (a1 + z * a2)), dtype=np.complex128)


def _mapped_poles(den: tuple[float, ...], freq_hz: float, rate_hz: float) -> tuple[float, float]:
    """Map the poles of den(s), normalised to freq_hz, by z = exp(s/rate); returns a1, a2."""
    poles = np.roots(den) * 2 * math.pi * freq_hz / rate_hz
    mapped = np.exp(poles)
    return float(-(mapped[0] + mapped[1]).real), float((mapped[0] * mapped[1]).real)


def _fitted(num: tuple[float, ...], den: tuple[float, ...], freq_hz: float, rate_hz: float) -> Section:
    """Fit c0 + c1·p + c2·p², p = sin²(ω/2), to the squared magnitude that the numerator has to have."""
    a1, a2 = _mapped_poles(den, freq_hz, rate_hz)
    grid = np.concatenate([[0.0], _EVEN, np.geomspace(0.1 * freq_hz / rate_hz, _TOP, 80)])
    z, s = np.exp(-2j * math.pi * grid), 1j * grid * rate_hz / freq_hz
    analog = np.abs(np.polyval(num, s) / np.polyval(den, s)) ** 2
    wanted = analog * np.abs(1 + z * (a1 + z * a2)) ** 2
    p = np.sin(math.pi * grid) ** 2
    rows = np.stack([np.ones_like(p), p, p * p], axis=1) / wanted[:, None]
    weight = np.ones_like(p)
    weight[0] = 100.0
    rows *= weight[:, None]
    scale = np.linalg.norm(rows, axis=0)
    c0, c1, c2 = np.linalg.lstsq(rows / scale, weight, rcond=None)[0] / scale
    root_dc, root_nyquist = math.sqrt(max(c0, 0.0)), math.sqrt(max(c0 + c1 + c2, 0.0))
    half = (root_dc + root_nyquist) / 2
    b0 = (half + math.sqrt(max(half * half - c2 / 4, 0.0))) / 2
    return np.array([b0, (root_dc - root_nyquist) / 2, c2 / (16 * b0), a1, a2])


def _inverse(section: Section) -> Section:
    b0, b1, b2, a1, a2 = section
    return np.array([1.0 / b0, a1 / b0, a2 / b0, b1 / b0, b2 / b0])
