"""Equaliser bands and high-pass: analog curves, and digital sections that follow them to near Nyquist.

The analog prototypes are those of R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter
coefficients" (the H(s) column). The usual bilinear transform squeezes their upper octave ("cramping"): an 8 kHz bell of
Q 1 is 1.7 dB off its curve at 48 kHz. Here the poles are mapped by z = exp(s/fs) and the numerator is fitted to the
analog magnitude, after M. Vicanek, "Matched Second Order Digital Filters" (2016), with one change: instead of matching
three points, the numerator matches DC exactly and the rest of the audible band by relative least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.errors import DspError

if TYPE_CHECKING:
    from dsp.engine import StripSettings

__all__ = [
    "BUTTERWORTH_Q",
    "Band",
    "Biquad",
    "analog_highpass",
    "analog_response",
    "cascade",
    "design_band",
    "design_highpass",
    "response",
    "state_space",
    "svf",
]

BUTTERWORTH_Q = math.sqrt(0.5)
"""Q of a second-order Butterworth low or high pass."""

_HIGHEST_RATIO = 0.49
"""Highest corner frequency as a part of the sample rate; nothing above it has a digital counterpart worth the name."""


@dataclass(frozen=True)
class Band:
    """One equaliser band.

    ``freq_hz`` is the bell's centre or the shelf's midpoint (half the gain in dB), ``gain_db`` within ±40,
    ``q`` 0.1..40. Raises DspError outside of these.
    """

    kind: Literal["low_shelf", "bell", "high_shelf"]
    freq_hz: float
    gain_db: float = 0.0
    q: float = BUTTERWORTH_Q

    def __post_init__(self) -> None:
        if self.kind not in ("low_shelf", "bell", "high_shelf"):
            raise DspError(f"EQ band kind {self.kind!r} is unknown", hint="use low_shelf, bell or high_shelf")
        if not (math.isfinite(self.freq_hz) and self.freq_hz > 0.0):
            raise DspError(f"EQ band frequency {self.freq_hz} Hz is not a positive number")
        if not abs(self.gain_db) <= 40.0:
            raise DspError(f"EQ band gain {self.gain_db} dB is outside −40..+40 dB")
        if not 0.1 <= self.q <= 40.0:
            raise DspError(f"EQ band Q {self.q} is outside 0.1..40")


@dataclass(frozen=True)
class Biquad:
    """A digital section: H(z) = (b0 + b1 z⁻¹ + b2 z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)."""

    b0: float
    b1: float
    b2: float
    a1: float
    a2: float

    def response(self, freqs_hz: ArrayLike, rate_hz: float) -> NDArray[np.complex128]:
        """Return the complex response at ``freqs_hz``."""
        d = np.exp(-2j * np.pi * np.asarray(freqs_hz, dtype=np.float64) / rate_hz)
        h: NDArray[np.complex128] = (self.b0 + d * (self.b1 + d * self.b2)) / (1.0 + d * (self.a1 + d * self.a2))
        return h


_Poly = tuple[float, float, float]


def _prototype(band: Band) -> tuple[_Poly, _Poly]:
    """Return numerator and denominator in s (highest power first, s normalised to the band's frequency)."""
    A = 10.0 ** (band.gain_db / 40.0)
    if band.kind == "bell":
        return (1.0, A / band.q, 1.0), (1.0, 1.0 / (A * band.q), 1.0)
    m = math.sqrt(A) / band.q
    if band.kind == "low_shelf":
        return (A, A * m, A * A), (A, m, 1.0)
    return (A * A, A * m, A), (1.0, m, A)


def analog_response(band: Band, freqs_hz: ArrayLike) -> NDArray[np.complex128]:
    """Return the analog prototype's complex response H(j2πf) at ``freqs_hz`` (Audio EQ Cookbook)."""
    num, den = _prototype(band)
    s = 1j * np.asarray(freqs_hz, dtype=np.float64) / band.freq_hz
    h: NDArray[np.complex128] = np.polyval(num, s) / np.polyval(den, s)
    return h


def analog_highpass(freq_hz: float, freqs_hz: ArrayLike) -> NDArray[np.complex128]:
    """Return the second-order Butterworth high-pass's complex response H(j2πf); −3.01 dB at ``freq_hz``."""
    s = 1j * np.asarray(freqs_hz, dtype=np.float64) / freq_hz
    h: NDArray[np.complex128] = s * s / (s * s + math.sqrt(2.0) * s + 1.0)
    return h


def _check_rate(freq_hz: float, rate_hz: float, what: str) -> None:
    if not (math.isfinite(rate_hz) and rate_hz >= 8000.0):
        raise DspError(f"sample rate {rate_hz} Hz is below 8000 Hz or not a number")
    if not 0.0 < freq_hz <= _HIGHEST_RATIO * rate_hz:
        raise DspError(
            f"{what} at {freq_hz:g} Hz cannot be built at {rate_hz:g} Hz",
            hint=f"the highest possible is {_HIGHEST_RATIO * rate_hz:g} Hz",
        )


def _fit_grid(freq_hz: float, q: float, rate_hz: float) -> NDArray[np.float64]:
    """Frequencies the fit looks at: the audible band, denser around the band's own frequency."""
    top = min(max(20_000.0, 0.42 * rate_hz), 0.46 * rate_hz)
    near = freq_hz * (1.0 + np.linspace(-1.0, 1.0, 33) / max(q, 1.0))
    grid = np.concatenate([np.geomspace(10.0, top, 160), near[(near > 10.0) & (near <= top)]])
    return np.sort(grid)


def _exponential_poles(den: _Poly, w0: float) -> tuple[float, float]:
    """Map the prototype's two poles by z = exp(s/fs); return a1, a2."""
    roots = np.exp(np.roots(den) * w0)
    return float(-np.sum(roots).real), float(np.prod(roots).real)


def _fit_numerator(
    magnitude: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    poles: tuple[float, float],
    grid_hz: NDArray[np.float64],
    rate_hz: float,
) -> Biquad | None:
    """Fit a minimum-phase numerator to ``magnitude`` (of hz); None where the fit has no such numerator.

    With φ1 = sin²(ω/2), φ0 = 1 − φ1, φ2 = 4 φ0 φ1 a biquad's power response is linear in three numbers on either side
    of the fraction bar (Vicanek 2016, eq. 26 ff.), so the relative error of the power is a linear least squares.
    """
    a1, a2 = poles
    sin2 = np.sin(np.pi * grid_hz / rate_hz) ** 2
    phi = np.stack([1.0 - sin2, sin2, 4.0 * sin2 * (1.0 - sin2)], axis=1)
    wanted = magnitude(grid_hz) ** 2 * (phi @ np.array([(1.0 + a1 + a2) ** 2, (1.0 - a1 + a2) ** 2, -4.0 * a2]))
    at_dc = (1.0 + a1 + a2) ** 2 * float(magnitude(np.zeros(1))[0]) ** 2
    relative = phi / wanted[:, None]
    (at_nyquist, bulge), *_ = np.linalg.lstsq(relative[:, 1:], 1.0 - relative[:, 0] * at_dc, rcond=None)
    if at_nyquist <= 0.0:
        return None
    w = 0.5 * (math.sqrt(at_dc) + math.sqrt(at_nyquist))
    if w * w + bulge <= 0.0:
        return None
    b0 = 0.5 * (w + math.sqrt(w * w + bulge))
    b1 = 0.5 * (math.sqrt(at_dc) - math.sqrt(at_nyquist))
    return Biquad(b0, b1, -bulge / (4.0 * b0), a1, a2)


def _inverse(section: Biquad) -> Biquad | None:
    """Return 1/H, or None where that would not be stable."""
    b1, b2 = section.b1 / section.b0, section.b2 / section.b0
    if not (abs(b2) < 1.0 - 1e-12 and abs(b1) < 1.0 + b2 - 1e-12):
        return None
    return Biquad(1.0 / section.b0, section.a1 / section.b0, section.a2 / section.b0, b1, b2)


def _bilinear(band: Band, rate_hz: float) -> Biquad:
    """Return the classic bilinear design, exact at the band's frequency and cramped above it."""
    num, den = _prototype(band)
    k = 1.0 / math.tan(math.pi * band.freq_hz / rate_hz)

    def to_z(p: _Poly) -> _Poly:
        return p[0] * k * k + p[1] * k + p[2], 2.0 * (p[2] - p[0] * k * k), p[0] * k * k - p[1] * k + p[2]

    (b0, b1, b2), (a0, a1, a2) = to_z(num), to_z(den)
    return Biquad(b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0)


@lru_cache(maxsize=1024)
def design_band(band: Band, rate_hz: float) -> Biquad:
    """Return the digital section that follows ``band``'s analog magnitude most closely up to 20 kHz.

    Fitted twice, once as it stands and once as the inverse of the opposite gain, and the closer one taken: so a cut
    undoes a boost of the same band exactly. Raises DspError for a frequency above 0.49 of the sample rate.
    """
    _check_rate(band.freq_hz, rate_hz, f"a {band.kind.replace('_', ' ')}")
    w0 = 2.0 * math.pi * band.freq_hz / rate_hz
    grid = _fit_grid(band.freq_hz, band.q, rate_hz)
    opposite = Band(band.kind, band.freq_hz, -band.gain_db, band.q)

    def fit(b: Band) -> Biquad | None:
        return _fit_numerator(
            lambda f: np.abs(analog_response(b, f)), _exponential_poles(_prototype(b)[1], w0), grid, rate_hz
        )

    direct, other = fit(band), fit(opposite)
    if direct is not None and _inverse(direct) is None:
        direct = None
    candidates = [c for c in (direct, None if other is None else _inverse(other)) if c is not None]
    candidates.append(_bilinear(band, rate_hz))
    wanted = np.abs(analog_response(band, grid))

    def worst(c: Biquad) -> float:
        return float(np.max(np.abs(np.log(np.abs(c.response(grid, rate_hz)) / wanted))))

    return min(candidates, key=worst)


@lru_cache(maxsize=256)
def design_highpass(freq_hz: float, rate_hz: float) -> Biquad:
    """Return the digital second-order Butterworth high-pass, 12 dB per octave.

    Poles by z = exp(s/fs), both zeros at DC, the gain fitted to the analog curve above ``freq_hz``.
    Raises DspError for a frequency that is not positive or is above 0.49 of the sample rate.
    """
    _check_rate(freq_hz, rate_hz, "a high-pass")
    a1, a2 = _exponential_poles((1.0, math.sqrt(2.0), 1.0), 2.0 * math.pi * freq_hz / rate_hz)
    raw = Biquad(1.0, -2.0, 1.0, a1, a2)
    bilinear_k = 1.0 / math.tan(math.pi * freq_hz / rate_hz)
    a0 = bilinear_k**2 + math.sqrt(2.0) * bilinear_k + 1.0
    g = bilinear_k**2 / a0
    bilinear = Biquad(
        g, -2.0 * g, g, 2.0 * (1.0 - bilinear_k**2) / a0, (bilinear_k**2 - math.sqrt(2.0) * bilinear_k + 1.0) / a0
    )
    grid = _fit_grid(freq_hz, BUTTERWORTH_Q, rate_hz)
    wanted = np.abs(analog_highpass(freq_hz, grid))
    log_gain = np.log(wanted / np.abs(raw.response(grid, rate_hz)))
    gain = math.exp(0.5 * float(np.min(log_gain) + np.max(log_gain)))
    mapped = Biquad(gain, -2.0 * gain, gain, a1, a2)
    return min(
        (mapped, bilinear), key=lambda c: float(np.max(np.abs(np.log(np.abs(c.response(grid, rate_hz)) / wanted))))
    )


def svf(section: Biquad) -> NDArray[np.float64]:
    """Return ``section`` as the numbers ``[g, k, m0, m1, m2]`` of a trapezoidal state-variable filter.

    With u1 = 1 / (1 + g (g + k)): v1 = u1 (s1 + g (x − s2)), v2 = s2 + g v1, y = m0 x + m1 v1 + m2 v2,
    s1' = 2 v1 − s1, s2' = 2 v2 − s2 (A. Simper, "Linear Trapezoidal Integrated SVF", Cytomic 2013). The change of form
    is exact for every stable section: the bilinear transform taken backwards gives (n2 s² + n1 s + n0) / (s² + k s + 1)
    with s in units of g. Its states stay well scaled at low frequencies, and since |s'|² − |s|² = −4 g k v1² without
    input, nothing that g and k do while they move can make it ring up. Raises DspError where a pole is not inside the
    unit circle.
    """
    at_dc = 1.0 + section.a1 + section.a2
    at_nyquist = 1.0 - section.a1 + section.a2
    if not (at_dc > 0.0 and at_nyquist > 0.0 and section.a2 < 1.0):
        raise DspError("a filter section is not stable", hint="its poles must lie inside the unit circle")
    g = math.sqrt(at_dc / at_nyquist)
    k = 2.0 * (1.0 - section.a2) / (at_nyquist * g)
    n2 = (section.b0 - section.b1 + section.b2) / at_nyquist
    n1 = 2.0 * (section.b0 - section.b2) / (at_nyquist * g)
    n0 = (section.b0 + section.b1 + section.b2) / at_dc
    return np.array([g, k, n2, n1 - k * n2, n0 - n2])


def state_space(section: Biquad) -> NDArray[np.float64]:
    """Return ``section`` as the nine numbers of the state equations of its ``svf`` form.

    ``[d, c1, c2, p11, p12, q1, p21, p22, q2]`` with y = d·x + c1·s1 + c2·s2, s1' = p11·s1 + p12·s2 + q1·x,
    s2' = p21·s1 + p22·s2 + q2·x. Raises DspError where a pole is not inside the unit circle.
    """
    g, k, m0, m1, m2 = svf(section)
    u1 = 1.0 / (1.0 + g * (g + k))
    u2 = g * u1
    u3 = g * u2
    return np.array(
        [
            m0 + m1 * u2 + m2 * u3,
            m1 * u1 + m2 * u2,
            m2 * (1.0 - u3) - m1 * u2,
            2.0 * u1 - 1.0,
            -2.0 * u2,
            2.0 * u2,
            2.0 * u2,
            1.0 - 2.0 * u3,
            2.0 * u3,
        ]
    )


def cascade(hpf_hz: float | None, bands: tuple[Band, ...], rate_hz: float) -> list[Biquad]:
    """Return the sections a strip needs in order: high-pass, then every band whose gain is not 0 dB."""
    sections = [] if hpf_hz is None else [design_highpass(float(hpf_hz), float(rate_hz))]
    sections += [design_band(band, float(rate_hz)) for band in bands if band.gain_db != 0.0]
    return sections


def response(settings: StripSettings, freqs_hz: ArrayLike, rate_hz: float) -> NDArray[np.complex128]:
    """Return the complex response of a strip's linear part (trim, polarity, high-pass, bands) as the engine runs it."""
    freqs = np.asarray(freqs_hz, dtype=np.float64)
    gain = 10.0 ** (settings.trim_db / 20.0) * (-1.0 if settings.polarity_inverted else 1.0)
    h = np.full(freqs.shape, gain, dtype=np.complex128)
    for section in cascade(settings.hpf_hz, settings.bands, rate_hz):
        h *= section.response(freqs, rate_hz)
    return h
