"""Compiled fit of digital second-order sections to analog magnitudes.

On the unit circle the power response of a section is a quotient of two quadratics in S = sin²(ω/2) (M. Vicanek,
"Matched Second Order Digital Filters", 2016, eq. 26 ff., in powers of S): c0 + c1 S + c2 S² over c3 + c4 S + c5 S².
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel, part

F64 = NDArray[np.float64]

POINTS = 72
"""Most frequencies that a fit looks at."""

SPEC_WORDS = 14
"""Words that describe what is wanted: H(s) as numerator and denominator, highest power first; the frequency that s is
in units of, the lowest and the highest to look at [rad per frame]; where the poles lie [rad per frame] and how wide
they are, the same of the zeros; and how far below zero a numerator may come by rounding."""

WORK_ROWS = 8
"""Rows of scratch: S, ln of the wanted power, error, weight; then the numbers now, those tried, the derivatives, and
the normal equations (5 rows of 6, flat)."""

_OVER_ALL, _UPWARD, _AROUND = 24, 16, 16
_STEPS = 12
_GOOD = 0.004
"""Largest error in ln(power), 0.017 dB, at which a fit is left as it is."""
_NO_FIT = 1e9


@part
def _look(spec: F64, s: F64, wanted: F64) -> int:
    """Choose where to look: evenly in octaves, evenly in hertz, and around the roots. Return how many."""
    w0 = spec[6]
    low = spec[7]
    top = spec[8]
    n = 0
    for i in range(_OVER_ALL + _UPWARD + 2 * _AROUND):
        if i < _OVER_ALL:
            w = low * math.exp(i / (_OVER_ALL - 1.0) * math.log(top / low))
        elif i < _OVER_ALL + _UPWARD:
            w = top * (0.2 + 0.8 * (i + 1.0 - _OVER_ALL) / _UPWARD)
        else:
            j = i - _OVER_ALL - _UPWARD
            root = 9
            if j >= _AROUND:
                j -= _AROUND
                root = 11
            u = (j - 0.5 * (_AROUND - 1.0)) / (0.5 * (_AROUND - 1.0))
            w = spec[root] * (1.0 + u * math.fabs(u) * spec[root + 1])
        if w >= low and w < top * (1.0 + 1e-9):
            x = w * w / (w0 * w0)
            over = spec[2] - spec[0] * x
            under = spec[5] - spec[3] * x
            over = over * over + spec[1] * spec[1] * x
            if over > 1e-9 * spec[2] * spec[2]:
                wanted[n] = math.log(over / (under * under + spec[4] * spec[4] * x))
                half = math.sin(0.5 * w)
                s[n] = half * half
                n += 1
    return n


@part
def _misses(c: F64, slack: float, s: F64, wanted: F64, error: F64, n: int) -> float:
    """Write ln of the power found over the power wanted and return the largest.

    _NO_FIT where a side is negative somewhere on 0..1, and so no power response with a spectral factor.
    """
    for side in range(2):
        j = 3 * side
        p = c[j]
        top = p + c[j + 1] + c[j + 2]
        if not (p > slack and top > slack and 2.0 * p + c[j + 1] + 2.0 * math.sqrt(math.fabs(p * top)) > slack):
            return _NO_FIT
        slack = 0.0
    worst = 0.0
    for i in range(n):
        x = s[i]
        quotient = (c[0] + x * (c[1] + x * c[2])) / (c[3] + x * (c[4] + x * c[5]))
        if not quotient > 0.0:
            return _NO_FIT
        error[i] = math.log(quotient) - wanted[i]
        if math.fabs(error[i]) > worst:
            worst = math.fabs(error[i])
    return worst


@part
def _gauss_newton(c: F64, s: F64, error: F64, weight: F64, n: int, may: F64, d: F64, m: F64) -> bool:
    """Write into m[5::6] the step of c[1:] that takes the weighted ``error`` away, to first order."""
    for i in range(30):
        m[i] = 0.0
    for i in range(n):
        x = s[i]
        u = 1.0 / (c[0] + x * (c[1] + x * c[2]))
        v = -1.0 / (c[3] + x * (c[4] + x * c[5]))
        d[0] = may[0] * x * u
        d[1] = may[1] * x * x * u
        d[2] = may[2] * v
        d[3] = may[3] * x * v
        d[4] = may[4] * x * x * v
        d[5] = -error[i]
        for a in range(5):
            t = weight[i] * d[a]
            for b in range(a, 6):
                m[6 * a + b] += t * d[b]
    for a in range(5):
        m[7 * a] = m[7 * a] * (1.0 + 1e-9) + (1.0 - may[a])
        if not m[7 * a] > 0.0:
            return False
        for b in range(a + 1, 5):
            f = m[6 * a + b] / m[7 * a]
            for k in range(b, 6):
                m[6 * b + k] -= f * m[6 * a + k]
    for a in range(4, -1, -1):
        for k in range(a + 1, 5):
            m[6 * a + 5] -= m[6 * a + k] * m[6 * k + 5]
        m[6 * a + 5] /= m[7 * a]
    return True


@kernel("f8[:,::1]", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]", "f8[:,::1]")
def match_sections(specs: F64, may: F64, starts: F64, found: F64, work: F64) -> None:
    """Fit c0…c5 to each row of ``specs`` (K, SPEC_WORDS); write them and the worst ln(power) to ``found`` (K, 7).

    A Gauss–Newton search for the least largest error in dB: each step is weighted anew by the error left (C. L. Lawson,
    1961). It begins at ``starts`` (K, 6); ``may`` (2 K, 5) says which of c1…c5 move (1) or stay (0): row 2 k in the
    first two steps, row 2 k + 1 after those. Without any fit the error is 1e9. ``work`` (WORK_ROWS, POINTS).
    """
    s = work[0]
    wanted = work[1]
    error = work[2]
    weight = work[3]
    now = work[4]
    tried = work[5]
    d = work[6]
    m = work[7]
    for row in range(specs.shape[0]):
        n = _look(specs[row], s, wanted)
        for j in range(6):
            tried[j] = starts[row, j]
        for i in range(n):
            weight[i] = 1.0
        least = _NO_FIT
        last = _NO_FIT
        share = 1.0
        steps = 0
        while steps <= _STEPS and share > 1e-3:
            worst = _misses(tried, specs[row, 13], s, wanted, error, n)
            if worst == _NO_FIT or worst > 2.0 * last + 0.01:
                share = 0.5 * share if steps > 0 else 0.0
            else:
                mean = 0.0
                for i in range(n):
                    if steps > 0:
                        weight[i] *= math.fabs(error[i]) / worst + 0.02
                    mean += weight[i] / n
                for i in range(n):
                    weight[i] /= mean
                for j in range(6):
                    now[j] = tried[j]
                    if worst < least:
                        found[row, j] = now[j]
                if worst < least:
                    least = worst
                steps += 1
                last = worst
                share = 1.0
                phase = 2 * row if steps <= 2 else 2 * row + 1
                if least < _GOOD or not _gauss_newton(now, s, error, weight, n, may[phase], d, m):
                    share = 0.0
            for j in range(5):
                tried[j + 1] = now[j + 1] + share * m[6 * j + 5]
            tried[0] = now[0]
        found[row, 6] = least
