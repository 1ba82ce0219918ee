"""Filter bands in an engineer's units: their analog curves, and the digital sections that follow them.

The analog prototypes are those of R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter
coefficients" (the H(s) column), and Butterworth's for the slopes of high and low pass. ``dsp.matched`` makes the
digital sections, which do not cramp near Nyquist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.errors import DspError
from dsp.matched import Polynomial, match
from dsp.processor import Declared, choice, number

if TYPE_CHECKING:
    from dsp.strip import StripSettings

__all__ = [
    "BUTTERWORTH_Q",
    "Band",
    "Biquad",
    "analog_power",
    "analog_response",
    "cascade",
    "check_rate",
    "response",
    "sections",
    "shelf_q",
    "svf",
]

BUTTERWORTH_Q = math.sqrt(0.5)
"""Q of a second-order Butterworth low or high pass."""

_HIGHEST_RATIO = 0.49
"""Highest corner frequency as a part of the sample rate; nothing above it has a digital counterpart worth the name."""

_GAIN_KINDS = ("bell", "low_shelf", "high_shelf", "tilt")

Kind = Literal["bell", "low_shelf", "high_shelf", "tilt", "notch", "band_pass", "all_pass", "high_pass", "low_pass"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Band(Declared):
    """One band of an equaliser.

    ``freq_hz`` is the centre of a bell, notch or band-pass, the midpoint of a shelf (half its gain in dB), the pivot of
    a tilt, the −3 dB point of a high or low pass, the −180° point of an all-pass. ``gain_db`` is the peak of a bell,
    the plateau of a shelf, the high end of a tilt, whose low end has the opposite; the other kinds pass at 0 dB. ``q``
    is the cookbook's; a shelf or tilt above 0.707 overshoots. ``db_per_octave`` is for high and low pass, which are
    Butterworth but for the 12 dB ones: those have any Q. Raises DspError outside of what the fields declare.
    """

    kind: Kind = choice("bell", *_KINDS)  # noqa: RUF009 - it is a field
    freq_hz: float = number(1000.0, 1.0, 192_000.0, "Hz", scale="log")
    gain_db: float = number(0.0, -40.0, 40.0, "dB")
    q: float = number(BUTTERWORTH_Q, 0.1, 40.0, scale="log")
    db_per_octave: int = choice(12, 6, 12, 18, 24, 36, 48)

    @property
    def is_flat(self) -> bool:
        """Whether the band passes everything as it is."""
        return self.kind in _GAIN_KINDS and self.gain_db == 0.0


def shelf_q(slope: float, gain_db: float) -> float:
    """Return the Q of a shelf of ``slope`` S (0 < S ≤ 1; at 1 as steep as it gets without overshoot).

    1/Q² = (A + 1/A)(1/S − 1) + 2 with A = 10^(gain_db/40) (Audio EQ Cookbook). Raises DspError for a slope that is not
    above 0 and at most 1.
    """
    if not 0.0 < slope <= 1.0:
        raise DspError(f"shelf slope {slope} is outside 0..1")
    A = 10.0 ** (gain_db / 40.0)
    return 1.0 / math.sqrt((A + 1.0 / A) * (1.0 / slope - 1.0) + 2.0)


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


def _pass_sections(band: Band) -> tuple[tuple[Polynomial, Polynomial], ...]:
    """Return a high or low pass; Butterworth poles of order n have Q = 1 / (2 sin((2k − 1) π / 2n)) in pairs."""
    high = band.kind == "high_pass"
    order = band.db_per_octave // 6
    qs = [band.q] if order == 2 else [0.5 / math.sin((k + 0.5) * math.pi / order) for k in range(order // 2)]
    made: list[tuple[Polynomial, Polynomial]] = [
        ((1.0, 0.0, 0.0) if high else (0.0, 0.0, 1.0), (1.0, 1.0 / q, 1.0)) for q in qs
    ]
    if order % 2:
        made.append(((0.0, 1.0, 0.0) if high else (0.0, 0.0, 1.0), (0.0, 1.0, 1.0)))
    return tuple(made)


def _prototype(band: Band) -> tuple[tuple[Polynomial, Polynomial], ...]:
    """Return numerator and denominator of each section in s, in units of the band's frequency."""
    if band.kind in ("high_pass", "low_pass"):
        return _pass_sections(band)
    A = 10.0 ** (band.gain_db / (20.0 if band.kind == "tilt" else 40.0))
    shelf, w = math.sqrt(A) / band.q, 1.0 / band.q
    one: dict[str, tuple[Polynomial, Polynomial]] = {
        "bell": ((1.0, A * w, 1.0), (1.0, w / A, 1.0)),
        "low_shelf": ((A, A * shelf, A * A), (A, shelf, 1.0)),
        "high_shelf": ((A * A, A * shelf, A), (1.0, shelf, A)),
        "tilt": ((A, shelf, 1.0), (1.0, shelf, A)),
        "notch": ((1.0, 0.0, 1.0), (1.0, w, 1.0)),
        "band_pass": ((0.0, w, 0.0), (1.0, w, 1.0)),
        "all_pass": ((1.0, -w, 1.0), (1.0, w, 1.0)),
    }
    return (one[band.kind],)


def analog_response(band: Band, freqs_hz: ArrayLike) -> NDArray[np.complex128]:
    """Return the analog prototype's complex response H(j2πf) at ``freqs_hz`` (Audio EQ Cookbook, Butterworth)."""
    s = 1j * np.asarray(freqs_hz, dtype=np.float64) / band.freq_hz
    h = np.ones(s.shape, dtype=np.complex128)
    for num, den in _prototype(band):
        h *= np.polyval(num, s) / np.polyval(den, s)
    return h


def analog_power(band: Band, freqs_hz: ArrayLike) -> NDArray[np.float64]:
    """Return |H(j2πf)|² of the analog prototype at ``freqs_hz``."""
    x = (np.asarray(freqs_hz, dtype=np.float64) / band.freq_hz) ** 2
    power = np.ones(x.shape)
    for num, den in _prototype(band):
        power *= ((num[2] - num[0] * x) ** 2 + num[1] ** 2 * x) / ((den[2] - den[0] * x) ** 2 + den[1] ** 2 * x)
    return power


def check_rate(band: Band, rate_hz: float) -> None:
    """Raise DspError if ``band`` has no digital sections at ``rate_hz``."""
    if not (math.isfinite(rate_hz) and rate_hz >= 8000.0):
        raise DspError(f"sample rate {rate_hz} Hz is below 8000 Hz or not a number")
    if band.freq_hz > _HIGHEST_RATIO * rate_hz:
        raise DspError(
            f"a {band.kind.replace('_', ' ')} at {band.freq_hz:g} Hz cannot be built at {rate_hz:g} Hz",
            hint=f"the highest possible is {_HIGHEST_RATIO * rate_hz:g} Hz",
        )


@lru_cache(maxsize=4096)
def sections(band: Band, rate_hz: float) -> tuple[Biquad, ...]:
    """Return the digital sections whose product follows ``band``'s analog magnitude up to 20 kHz.

    A cut undoes a boost of the same band exactly. Of an all-pass the phase and the delay at its frequency are exact.
    At 48 kHz the error to 20 kHz is below 0.35 dB for every kind to 18 kHz (0.5 at 44.1 kHz), but for what a section of
    second order cannot do, resonances that reach into the upper octave: shelves and tilts of Q above 2 (0.7 dB at Q 5,
    4 dB at Q 40), high passes of Q above 2 from 12 kHz on (0.6 dB at Q 5, 1.3 dB at Q 40); and for band-passes of Q
    below 0.2 under 50 Hz (0.5 dB).
    Raises DspError for a frequency above 0.49 of the sample rate.
    """
    check_rate(band, rate_hz)
    if band.kind == "all_pass":
        return (_all_pass(2.0 * math.pi * band.freq_hz / rate_hz, band.q),)
    if band.kind in _GAIN_KINDS and band.gain_db < 0.0:
        boost = Band(band.kind, band.freq_hz, -band.gain_db, band.q)
        return tuple(
            Biquad(1.0 / b.b0, b.a1 / b.b0, b.a2 / b.b0, b.b1 / b.b0, b.b2 / b.b0) for b in sections(boost, rate_hz)
        )
    return tuple(Biquad(*row[:5]) for row in match(_prototype(band), band.freq_hz, rate_hz).tolist())


def _all_pass(w0: float, q: float) -> Biquad:
    """Bilinear transform; Q scaled by sin(w0)/w0, so that not only the phase at w0 but its slope is the analog one."""
    alpha = 0.5 * w0 / q
    a1, a2 = -2.0 * math.cos(w0) / (1.0 + alpha), (1.0 - alpha) / (1.0 + alpha)
    return Biquad(a2, a1, 1.0, a1, a2)


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


def cascade(hpf_hz: float | None, bands: tuple[Band, ...], rate_hz: float) -> list[Biquad]:
    """Return the sections a strip needs in order: 12 dB high-pass, then every band that does something."""
    used = [] if hpf_hz is None else [Band("high_pass", float(hpf_hz))]
    used += [band for band in bands if not band.is_flat]
    return [section for band in used for section in sections(band, float(rate_hz))]


def response(settings: StripSettings, freqs_hz: ArrayLike, rate_hz: float) -> NDArray[np.complex128]:
    """Return the complex response of a strip's linear part (trim, polarity, high-pass, bands) as the engine runs it."""
    freqs = np.asarray(freqs_hz, dtype=np.float64)
    gain = 10.0 ** (settings.trim_db / 20.0) * (-1.0 if settings.polarity_inverted else 1.0)
    h = np.full(freqs.shape, gain, dtype=np.complex128)
    for section in cascade(settings.hpf_hz, settings.bands, rate_hz):
        h *= section.response(freqs, rate_hz)
    return h
