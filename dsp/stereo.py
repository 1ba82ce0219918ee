"""Pan laws and balance: what part of a channel goes left and right.

Positions run from −100 (left) through 0 to +100 (right). A law is named by the gain at the centre, in dB; every law
gives 0 dB on the side a channel is panned hard to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsp.errors import DspError

__all__ = ["LCR_SIDE", "PAN_LAWS_DB", "PanLaw", "balance_gains", "pan_gains"]

PAN_LAWS_DB = (-6.0, -4.5, -3.0, -2.5)
"""Known laws. −3: constant power. −6: constant voltage. −4.5: geometric mean of the two. −2.5: see ``pan_gains``."""


def _normalise(gain: float) -> float:
    return 0.0 if gain < 1e-15 else gain


def pan_gains(pan: float, law_db: float = -3.0) -> tuple[float, float]:
    """Return the linear gains (left, right) of a mono channel at ``pan`` under ``law_db``.

    With θ = (pan + 100)/200 · π/2 and r = (pan + 100)/200: −3 dB is cos θ, sin θ; −6 dB is 1 − r, r; −4.5 dB is the
    square root of the product of those two; −2.5 dB is cos and sin raised to the power 2.5/3.0103, which puts the
    centre at exactly −2.5 dB. The constant-power law is 3.0103 dB down at the centre, the linear one 6.0206 dB, as the
    formulas have it. Raises DspError for another law or a pan outside −100..100.
    """
    if not -100.0 <= pan <= 100.0:
        raise DspError(f"pan {pan:g} is outside −100..100")
    r = (pan + 100.0) / 200.0
    left, right = _normalise(math.cos(r * math.pi / 2.0)), _normalise(math.sin(r * math.pi / 2.0))
    if law_db == -3.0:
        return left, right
    if law_db == -6.0:
        return 1.0 - r, r
    if law_db == -4.5:
        return math.sqrt(left * (1.0 - r)), math.sqrt(right * r)
    if law_db == -2.5:
        power = 2.5 / (10.0 * math.log10(2.0))
        return left**power, right**power
    known = ", ".join(f"{law:g}" for law in PAN_LAWS_DB)
    raise DspError(f"pan law {law_db:g} dB is not known", hint=f"known laws: {known} dB")


def balance_gains(pan: float, law_db: float = -3.0) -> tuple[float, float]:
    """Return the linear gains (of the left channel to left, of the right channel to right) of a stereo strip.

    At the centre both are 1; towards one side that side stays at 1 and the other follows the pan law, referred to its
    own centre, down to 0. Raises DspError like ``pan_gains``.
    """
    left, right = pan_gains(pan, law_db)
    centre, _ = pan_gains(0.0, law_db)
    return min(1.0, left / centre), min(1.0, right / centre)


LCR_SIDE = 50.0
"""From here on, a pan that knows left, centre and right only is to a side."""


@dataclass(frozen=True)
class PanLaw:
    """How a mix pans: by the law of ``law_db``, mono channels left, centre or right only where ``lcr``."""

    law_db: float = -3.0
    lcr: bool = False

    def matrix(self, pan: float, channels: int) -> tuple[tuple[float, float], ...]:
        """Return the linear gains to left and right of each of 1 or 2 channels: pan of one, balance of two.

        Raises DspError like ``pan_gains``.
        """
        if channels != 1:
            left, right = balance_gains(pan, self.law_db)
            return (left, 0.0), (0.0, right)
        if self.lcr:
            pan = 0.0 if abs(pan) < LCR_SIDE else math.copysign(100.0, pan)
        return (pan_gains(pan, self.law_db),)
