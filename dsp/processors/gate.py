"""Gate and downward expander."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.processor import Settings, number
from dsp.sidechain import GainProcessor, Mode, row

__all__ = ["Gate"]

_STEEPEST = 1000.0
"""Ratio from which on an expander is a gate: 0.1 dB below the threshold are 100 dB of attenuation."""


@dataclass(frozen=True)
class Gate(Settings):
    """Turns down what lies below a threshold.

    It opens at ``threshold_db`` (peak, dBFS) and closes ``hysteresis_db`` below. While closed, a level lies ``ratio``
    times as far below the threshold as before, at most ``range_db`` lower than it was. ``attack_ms`` is the time of
    opening, ``release_ms`` that of closing, in which the gain in dB covers 63 % of its way; it waits ``hold_ms`` before
    it closes. With ``lookahead_ms`` it opens that much before the sound. The side-chain hears nothing below
    ``key_hpf_hz`` and above ``key_lpf_hz`` (0: no filter). ``link_percent``: 100, both channels get one gain; 0, each
    its own.
    """

    kind: ClassVar[str] = "gate"

    threshold_db: float = number(-40.0, -120.0, 24.0, "dB")
    hysteresis_db: float = number(4.0, 0.0, 40.0, "dB")
    ratio: float = number(math.inf, 1.0, math.inf, ":1", scale="log")
    range_db: float = number(80.0, 0.0, 120.0, "dB")
    attack_ms: float = number(0.5, 0.0, 1000.0, "ms", scale="log")
    hold_ms: float = number(30.0, 0.0, 10_000.0, "ms", scale="log")
    release_ms: float = number(150.0, 0.0, 10_000.0, "ms", scale="log")
    lookahead_ms: float = number(0.0, 0.0, 20.0, "ms")
    key_hpf_hz: float = number(0.0, 0.0, 20_000.0, "Hz", scale="log")
    key_lpf_hz: float = number(0.0, 0.0, 20_000.0, "Hz", scale="log")
    link_percent: float = number(100.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> GainProcessor[Gate]:
        """Return the running gate."""
        return GainProcessor(self, rate_hz, channels, _design)


def _design(settings: Gate, rate_hz: float) -> tuple[Mode, NDArray[np.float64]]:
    return "gate", row(
        rate_hz,
        threshold_db=settings.threshold_db,
        slope=min(settings.ratio, _STEEPEST) - 1.0,
        deepest_db=-settings.range_db,
        hysteresis_db=settings.hysteresis_db,
        attack_ms=settings.attack_ms,
        hold_ms=settings.hold_ms,
        release_ms=settings.release_ms,
        link=settings.link_percent / 100.0,
        hpf_hz=settings.key_hpf_hz,
        lpf_hz=settings.key_lpf_hz,
    )
