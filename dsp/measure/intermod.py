"""What a path makes of two sines at once: SMPTE modulation distortion and CCIF difference-frequency distortion.

The amplitudes of a pair of sidebands are added before they are compared, as IEC 60268-3 (modulation distortion,
difference-frequency distortion) and the AM demodulator of SMPTE RP 120 do; orders are added by power. The note beside a
figure says what the power sum of the same lines reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.measure.signals import CCIF_HZ, SMPTE_HZ
from dsp.measure.tone import LinesFit, checked, fit_lines, ratio_db

Floats = NDArray[np.float64]

# The base tones, sidebands of first and second order of 7 kHz, and the low tone's own harmonics, which would leak.
_SMPTE_ORDERS = ((1, 0), (0, 1), (-1, 1), (1, 1), (-2, 1), (2, 1), (2, 0), (3, 0))
_SMPTE_PAIRS = ((2, 3), (4, 5))
_CCIF_ORDERS = ((1, 0), (0, 1), (-1, 1), (2, -1), (-1, 2))


@dataclass(frozen=True)
class Ccif:
    """Difference-frequency distortion of second and third order [dB re the sum of both tones' amplitudes]."""

    d2_db: Figure
    """The line at 1 kHz."""
    d3_db: Figure
    """The lines at 18 and 21 kHz, amplitudes added; 18 kHz alone where 21 kHz cannot be sampled."""


def measure_smpte(x: NDArray[np.floating], *, rate_hz: int) -> Figure:
    """Return the SMPTE intermodulation [dB] of 60 Hz and 7 kHz at 4:1; ``x`` is (frames,), its steady part.

    ``√((U₋₁ + U₊₁)² + (U₋₂ + U₊₂)²)/U₇ₖ``, ``U±n`` the amplitude at 7 kHz ± n·60 Hz (SMPTE RP 120, IEC 60268-3), the
    noise's share taken off.

    Raises
    ------
    ShapeError, DspError
        See `fit_tone`; at least five periods of 60 Hz.
    """
    fit = fit_lines(checked(x, rate_hz=rate_hz), rate_hz=rate_hz, near_hz=SMPTE_HZ, orders=_SMPTE_ORDERS)
    return _missing(fit, SMPTE_HZ) or _pairs_db(fit, _SMPTE_PAIRS, abs(fit.amplitude[1]))


def measure_ccif(x: NDArray[np.floating], *, rate_hz: int) -> Ccif:
    """Return the CCIF intermodulation of 19 and 20 kHz; ``x`` is (frames,), its steady part.

    ``d2 = U(f2−f1)/(U(f1)+U(f2))`` and ``d3 = (U(2f1−f2) + U(2f2−f1))/(U(f1)+U(f2))`` (IEC 60268-3), the noise's share
    taken off.

    Raises
    ------
    ShapeError, DspError
        See `fit_tone`; the rate is above 40 kHz.
    """
    orders = [o for o in _CCIF_ORDERS if o[0] * CCIF_HZ[0] + o[1] * CCIF_HZ[1] < 0.499 * rate_hz]
    fit = fit_lines(checked(x, rate_hz=rate_hz), rate_hz=rate_hz, near_hz=CCIF_HZ, orders=orders)
    missing = _missing(fit, CCIF_HZ)
    if missing:
        return Ccif(missing, missing)
    reference = float(abs(fit.amplitude[0]) + abs(fit.amplitude[1]))
    third = tuple(range(3, len(orders)))
    return Ccif(_pairs_db(fit, ((2,),), reference), _pairs_db(fit, (third,), reference))


def _missing(fit: LinesFit, near_hz: Sequence[float]) -> Figure | None:
    for line, freq in enumerate(near_hz):
        if not (fit.near(line, freq) and fit.present(line)):
            return unseen(f"no tone near {freq:g} Hz stands above the noise")
    return None


def _pairs_db(fit: LinesFit, pairs: Sequence[Sequence[int]], reference: float) -> Figure:
    """Amplitudes added within each of ``pairs``, powers of the pairs added, re the amplitude ``reference``."""
    squared = np.abs(fit.amplitude) ** 2
    # |a + n| overstates |a| by v/(4·|a|): the root of |a + n|² − v/2 does not, to first order.
    amplitude = np.sqrt(np.maximum(squared - fit.variance / 2.0, 0.0))
    power = variance = nothing = 0.0
    for pair in pairs:
        rows = list(pair)
        cross = float(np.sum(amplitude[rows])) ** 2 - float(np.sum(amplitude[rows] ** 2))
        summed, noise = float(np.sum(fit.power[rows])) + cross, float(np.sum(fit.variance[rows]))
        power += summed
        nothing += noise**2
        # The amplitude of a line has the variance v/2, so the square of a sum S of them 4·S²·Σv/2.
        variance += 2.0 * max(summed, 0.0) * noise + noise**2
    lines = [line for pair in pairs for line in pair]
    by_power = float(np.sum(fit.power[lines]))
    note = ""
    if len(lines) > 1 and by_power > 0.0:
        note = f"amplitudes of each pair added; by power {10.0 * math.log10(by_power / reference**2):.2f} dB"
    return ratio_db(power, spread=math.sqrt(variance), none=math.sqrt(nothing), reference=reference**2, note=note)
