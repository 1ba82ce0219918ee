"""What a path adds to a sine: THD, THD+N in two readings, and the dynamic range, each with its spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.measure.intermod import Ccif, measure_ccif, measure_smpte
from dsp.measure.probe import HIGH_HZ
from dsp.measure.signals import THD_HZ
from dsp.measure.tone import POWER_DB, fit_tone, ratio_db, spreads
from dsp.measure.weighting import NOTCH_Q, BandPower, Lines, Weighting, band_power, ccir_rms_weighting_db, notch_db

__all__ = ["Ccif", "Distortion", "measure_ccif", "measure_dynamic_range", "measure_smpte", "measure_thd"]

Floats = NDArray[np.float64]

HIGHEST_HARMONIC = 9
DYNAMIC_RANGE_DBFS = -60.0
"""AES17: the tone under which the dynamic range is measured."""


@dataclass(frozen=True)
class Distortion:
    """What one sine tells of a path. Figures that noise hides say below what they lie."""

    freq_hz: Figure
    """The frequency found [Hz]."""
    level_dbfs: Figure
    """Level of the fundamental [dBFS, AES17]."""
    thd_db: Figure
    """RMS of the harmonics H2 to H9 below 20 kHz re the fundamental, the noise's share taken off [dB]."""
    thdn_db: Figure
    """RMS 20 Hz to 20 kHz of what the fitted sine leaves, re RMS of the whole in the same band [dB]."""
    thdn_notch_db: Figure
    """The same behind the standard notch of AES17 instead: it takes the noise beside the tone along [dB]."""
    harmonics_db: tuple[Figure, ...]
    """H2, H3, … re the fundamental, as many as were counted [dB]."""


def measure_thd(x: NDArray[np.floating], *, rate_hz: int, freq_hz: float = THD_HZ) -> Distortion:
    """Measure what a path made of a sine near ``freq_hz``; ``x`` is (frames,), its steady part without fades.

    THD re the fundamental follows IEC 60268-3, THD+N re the total AES17; see `Distortion` for the definitions. The tone
    may be off by 0.1 %. Without a tone every figure is unobservable.

    Raises
    ------
    ShapeError, DspError
        See `fit_tone`.
    """
    top = min(HIGH_HZ, rate_hz / 2.0)
    counted = max(1, min(HIGHEST_HARMONIC, math.floor(top / freq_hz)))
    fit = fit_tone(x, rate_hz=rate_hz, near_hz=freq_hz, harmonics=counted)
    if not fit.observable:
        none = _no_tone(freq_hz)
        return Distortion(none, none, none, none, none, ())
    fundamental = abs(fit.amplitude[0]) ** 2
    powers, variances = fit.lines.power[1:], fit.variance[1:]
    if powers.size:
        spread, none_spread = spreads(powers, variances)
        note = f"H2 to H{powers.size + 1}" if powers.size > 1 else "H2"
        thd = ratio_db(
            float(np.sum(powers)), spread=spread, none=none_spread, reference=fundamental, note=f"{note} counted"
        )
    else:
        thd = unseen(f"no harmonic of {freq_hz:g} Hz lies below {top:g} Hz")
    harmonics = tuple(_harmonic(float(p), float(v), fundamental) for p, v in zip(powers, variances, strict=True))
    lines = Lines(fit.lines.hz[1:], powers / 2.0, variances / 2.0)
    left = band_power(fit.lines.residual, rate_hz=rate_hz, lines=lines)
    total = fundamental / 2.0 + left.mean_square()
    return Distortion(
        Figure(fit.freq_hz, fit.freq_sd_hz),
        fit.level_dbfs,
        thd,
        _beside(left, None, total, "least squares: only the fitted sine is taken out"),
        _beside(left, partial(notch_db, at_hz=fit.freq_hz), total, _notch_note(fit.freq_hz, left.hz)),
        harmonics,
    )


def measure_dynamic_range(
    x: NDArray[np.floating], *, rate_hz: int, level_dbfs: float = DYNAMIC_RANGE_DBFS, freq_hz: float = THD_HZ
) -> Figure:
    """Return the dynamic range [dB] from a capture of a sine played at ``level_dbfs``; ``x`` is (frames,), steady part.

    AES17: a sine of 997 Hz at −60 dBFS; what remains beside it, CCIR-RMS weighted, 20 Hz to 20 kHz, re the tone, and
    60 dB on top. The tone's own level in the capture is the reference, so that the loop's gain cancels: it is how far
    full scale of the output stands above the residue in this input. Least squares takes the tone out.

    Raises
    ------
    ShapeError, DspError
        See `fit_tone`.
    """
    fit = fit_tone(x, rate_hz=rate_hz, near_hz=freq_hz)
    if not fit.observable:
        return _no_tone(freq_hz)
    left = band_power(fit.lines.residual, rate_hz=rate_hz)
    rest = left.mean_square(ccir_rms_weighting_db)
    if rest <= 0.0:
        return unseen("there is nothing beside the tone")
    value = 10.0 * math.log10(abs(fit.amplitude[0]) ** 2 / 2.0 / rest) - level_dbfs
    return Figure(value, POWER_DB * math.sqrt(left.variance(ccir_rms_weighting_db)) / rest, "CCIR-RMS")


def _harmonic(power: float, variance: float, fundamental: float) -> Figure:
    spread, none = spreads(np.array([power]), np.array([variance]))
    return ratio_db(power, spread=spread, none=none, reference=fundamental)


def _beside(left: BandPower, weighting: Weighting | None, total: float, note: str) -> Figure:
    rest = left.mean_square(weighting)
    if rest <= 0.0:
        return unseen("there is nothing beside the tone")
    sd = POWER_DB * math.sqrt(left.variance(weighting)) / rest
    return Figure(10.0 * math.log10(rest / total), sd, note)


def _notch_note(at_hz: float, hz: Floats) -> str:
    share = 1.0 - float(np.mean(10.0 ** (notch_db(hz, at_hz=at_hz) / 10.0)))
    return (
        f"notch of Q {NOTCH_Q:g}: takes {100.0 * share:.1f} % ({-POWER_DB * math.log1p(-share):.2f} dB) of white noise"
    )


def _no_tone(freq_hz: float) -> Figure:
    return unseen(f"no tone near {freq_hz:g} Hz stands above the noise")
