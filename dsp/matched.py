"""Digital second-order sections that follow an analog magnitude nearly to Nyquist.

The bilinear transform squeezes the upper octave ("cramping"): an 8 kHz bell of Q 1 and −9 dB is 1.7 dB off its curve at
48 kHz. Here numerator and denominator start from roots taken by z = exp(s/fs) and are then fitted to the analog
magnitude up to 20 kHz or more, so that the largest error in dB is least. After M. Vicanek, "Matched Second Order
Digital Filters" (2016), whose three matched points the fit takes the place of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library

__all__ = ["Polynomial", "match"]

Polynomial = tuple[float, float, float]
"""p2 s² + p1 s + p0, highest power first; as a power response c0 + c1 S + c2 S², lowest first."""

_POINTS, _WORK_ROWS = 72, 8
"""As in ``dsp.kernels.design``, which is not imported for them."""

_GOOD = 0.06
"""Largest error in ln(power), 0.26 dB, above which a fit is begun anew elsewhere."""


def match(sections: Sequence[tuple[Polynomial, Polynomial]], freq_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """Return b0, b1, b2, a1, a2 and the largest error [dB] (K, 6) for H(s) = numerator / denominator of each section.

    s is in units of 2π ``freq_hz``. The gain at 0 Hz, zeros there and zeros on the frequency axis are exact; all poles
    and zeros lie inside the unit circle or, where the analog ones do, on it.
    """
    w0 = 2.0 * math.pi * freq_hz / rate_hz
    low = min(2.0 * math.pi * 15.0 / rate_hz, 0.5 * w0)
    top = 2.0 * math.pi * min(max(20_000.0 / rate_hz, 0.42), 0.46)
    specs, may, starts = [], [], []
    for num, den in sections:
        start = _begin(_root_power, num, den, w0)
        shaped = num[2] != 0.0 and not _is_notch(num)
        slack = 0.0 if shaped else -1e-12 * max(start)
        specs.append((*num, *den, w0, low, top, *_root(den, den, w0), *_root(num, den, w0), slack))
        moving = (shaped, shaped or num[1] != 0.0, num[2] == 0.0, True, True)
        may += [moving if num[0] or num[1] else (*moving[:2], False, False, False), moving]
        starts.append(start)
    fit, scratch = library("design").match_sections, np.empty((_WORK_ROWS, _POINTS))
    wanted, moves, found = np.array(specs), np.array(may, dtype=np.float64), np.empty((len(specs), 7))
    fit(wanted, moves, np.array(starts), found, scratch)
    for row, section in enumerate(sections):
        for take, held in ((_tamed_power, False), (_root_power, True), (_warped_power, False)):
            if found[row, 6] > _GOOD:
                again, may_move = np.empty((1, 7)), moves[2 * row : 2 * row + 2].copy()
                may_move[0, 2:] = 0.0 if held and may_move[0, 0] else may_move[1, 2:]
                fit(wanted[row : row + 1], may_move, np.array([_begin(take, *section, w0)]), again, scratch)
                if again[0, 6] < found[row, 6]:
                    found[row] = again[0]
    made = []
    for (num, den), (c0, c1, c2, c3, c4, c5, worst) in zip(sections, found.tolist(), strict=True):
        a0, a1, a2 = _factor(c3, c4, c5)
        b0, b1, b2 = _factor(c0, c1, c2)
        if _is_notch(num):
            middle = -2.0 * math.cos(w0 * math.sqrt(num[2] / num[0]))
            b0 = (a0 + a1 + a2) * num[2] / (den[2] * (2.0 + middle))
            b1, b2 = middle * b0, b0
        made.append((b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0, worst * 10.0 / math.log(10.0)))
    return np.array(made)


def _is_notch(num: Polynomial) -> bool:
    return num[0] != 0.0 and num[1] == 0.0 and num[2] != 0.0


def _root(p: Polynomial, den: Polynomial, w0: float) -> tuple[float, float]:
    """Return where the roots lie [rad per frame] and 1/Q, at most 1; a root without width gets the poles'."""
    if p[0] == 0.0 or p[2] == 0.0:
        return 0.0, 0.0
    width = p[1] / math.sqrt(p[0] * p[2]) or den[1] / math.sqrt(den[0] * den[2])
    return math.sqrt(p[2] / p[0]) * w0, min(width, 1.0)


def _begin(
    take: Callable[[Polynomial, float], Polynomial], num: Polynomial, den: Polynomial, w0: float
) -> tuple[float, ...]:
    """Return six numbers to begin the fit with: roots as ``take`` takes them, the gain right at 0 Hz or near w0."""
    over, under = take(num, w0), take(den, w0)
    if num[2] != 0.0:
        gain = (num[2] / den[2]) ** 2 * under[0] / over[0]
    else:
        w = min(w0, 1.0)
        x, s = w / w0, math.sin(0.5 * w) ** 2
        wanted = abs(complex(num[2] - num[0] * x * x, num[1] * x) / complex(den[2] - den[0] * x * x, den[1] * x)) ** 2
        gain = wanted * (under[0] + s * (under[1] + s * under[2])) / (over[0] + s * (over[1] + s * over[2]))
    return *(gain * c for c in over), *under


def _root_power(p: Polynomial, w0: float, tamed: bool = False) -> Polynomial:
    """Return |P|² in powers of S for the roots of ``p`` taken by z = exp(s w0), without cancellation.

    For a root at r e^{jθ}, |1 − r e^{jθ} z⁻¹|² = (1 − r)² + 4 r sin²((ω − θ)/2).
    """
    p2, p1, p0 = p
    if p2 == 0.0:
        if p1 == 0.0:
            return 1.0, 0.0, 0.0
        e = math.expm1(-p0 / p1 * w0)
        return e * e, 4.0 * (1.0 + e), 0.0
    half = -0.5 * p1 / p2 * w0
    under = half * half - p0 / p2 * w0 * w0
    if under < 0.0:
        angle = math.sqrt(-under)
        if tamed and angle > _FOLDING and p1 > 0.0:
            angle, half = _TAMED
        e = math.expm1(half)
        r, e, t = 1.0 + e, e * e, math.sin(0.5 * min(angle, _WIDEST)) ** 2
        return (e + 4.0 * r * t) ** 2, 8.0 * r * (e * (1.0 - 2.0 * t) - 4.0 * r * t), 16.0 * r * r
    far = half - math.sqrt(under)
    near = p0 / p2 * w0 * w0 / far if p0 != 0.0 else 0.0
    a, b = math.expm1(far), math.expm1(near)
    return (a * b) ** 2, 4.0 * ((1.0 + a) * b * b + (1.0 + b) * a * a), 16.0 * (1.0 + a) * (1.0 + b)


_FOLDING, _TAMED, _WIDEST = 2.2, (2.6, -0.7), 3.0
"""A root beyond 0.7 of Nyquist is tamed to 0.83 of it and a radius of 0.5; none begins beyond 0.95. Found by trial."""


def _tamed_power(p: Polynomial, w0: float) -> Polynomial:
    return _root_power(p, w0, tamed=True)


def _warped_power(p: Polynomial, w0: float) -> Polynomial:
    """Return |P|² in powers of S after the bilinear transform that is exact at w0."""
    t = math.tan(0.5 * w0) ** 2
    a, b, c = (p[2] * t) ** 2, (p[1] ** 2 - 2.0 * p[0] * p[2]) * t, p[0] ** 2
    return a, b - 2.0 * a, a - b + c


def _factor(c0: float, c1: float, c2: float) -> Polynomial:
    """Return the minimum-phase polynomial in z⁻¹, lowest power first, whose power is c0 + c1 S + c2 S²."""
    a, b = math.sqrt(c0), math.sqrt(max(c0 + c1 + c2, 0.0))
    first = 0.25 * (a + b + math.sqrt(max(2.0 * c0 + c1 + 2.0 * a * b, 0.0)))
    return first, 0.5 * (a - b), c2 / (16.0 * first)
