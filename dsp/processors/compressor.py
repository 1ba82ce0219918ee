"""The full compressor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp import dynamics
from dsp.errors import DspError
from dsp.processor import Settings, choice, number, switch
from dsp.sidechain import GainProcessor, Mode, row

__all__ = ["Compressor"]

FEEDBACK_RATIO = 20.0
"""Highest ratio of a feedback detector: it hears what is left over the threshold, which is nothing in a limiter."""


@dataclass(frozen=True)
class Compressor(Settings):
    """Turns down what lies above a threshold, along ``dsp.dynamics.static_gain_db``.

    ``detector``: "peak", or "rms" averaged over ``rms_ms``; a sine has the same level for both. A tone swings through
    zero, and in between "peak" lets it go a little (by a dB at 1 kHz, 10 and 100 ms, 4:1): with a hold of half its
    period, or "rms", it lies on the curve.

    ``topology``: "forward" hears the input, "feedback" what it has turned down itself. Both end on the same curve; the
    loop of the second makes it ``ratio`` times as fast as its settings while its output is over the threshold. It takes
    ratios to 20 and no look-ahead, and with a key it hears that.

    ``attack_ms`` and ``release_ms``: the gain in dB covers 63 % of a step; ``hold_ms`` passes before a release. With
    ``auto_release`` transients are released sooner, ``release_ms`` being the longest. The audio is ``lookahead_ms``
    later than the gain. The side-chain hears nothing below ``key_hpf_hz`` and above ``key_lpf_hz`` (0: no filter).
    ``link_percent``: 100, both channels get one gain; 0, each its own. ``auto_makeup`` adds half of what the curve
    takes from 0 dBFS. ``mix_percent`` 0 is the dry signal, as late as the wet one.
    """

    kind: ClassVar[str] = "compressor"

    threshold_db: float = number(-20.0, -120.0, 24.0, "dB")
    ratio: float = number(4.0, 1.0, math.inf, ":1", scale="log")
    knee_db: float = number(6.0, 0.0, 60.0, "dB")
    attack_ms: float = number(10.0, 0.0, 10_000.0, "ms", scale="log")
    hold_ms: float = number(0.0, 0.0, 10_000.0, "ms", scale="log")
    release_ms: float = number(150.0, 0.0, 10_000.0, "ms", scale="log")
    auto_release: bool = switch()
    detector: str = choice("peak", "peak", "rms")
    rms_ms: float = number(10.0, 0.1, 1000.0, "ms", scale="log")
    topology: str = choice("forward", "forward", "feedback")
    lookahead_ms: float = number(0.0, 0.0, 20.0, "ms")
    key_hpf_hz: float = number(0.0, 0.0, 20_000.0, "Hz", scale="log")
    key_lpf_hz: float = number(0.0, 0.0, 20_000.0, "Hz", scale="log")
    link_percent: float = number(100.0, 0.0, 100.0, "%")
    makeup_db: float = number(0.0, -60.0, 60.0, "dB")
    auto_makeup: bool = switch()
    mix_percent: float = number(100.0, 0.0, 100.0, "%")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.topology == "feedback" and self.lookahead_ms > 0.0:
            raise DspError(
                "a feedback compressor cannot look ahead: it hears its own output", hint="take topology forward"
            )
        if self.topology == "feedback" and self.ratio > FEEDBACK_RATIO:
            raise DspError(
                f"a feedback compressor cannot hold {self.ratio:g}:1", hint=f"take at most {FEEDBACK_RATIO:g}:1"
            )

    @property
    def curve(self) -> dynamics.Compressor:
        """The static curve, of which ``dsp.dynamics.static_gain_db`` is the definition; all make-up included."""
        curve = dynamics.Compressor(self.threshold_db, self.ratio, self.attack_ms, self.release_ms, self.knee_db)
        auto_db = -0.5 * float(dynamics.static_gain_db(curve, 0.0)) if self.auto_makeup else 0.0
        makeup_db = min(self.makeup_db + auto_db, 60.0)
        return dynamics.Compressor(
            self.threshold_db, self.ratio, self.attack_ms, self.release_ms, self.knee_db, makeup_db
        )

    def start(self, rate_hz: float, channels: int) -> GainProcessor[Compressor]:
        """Return the running compressor."""
        return GainProcessor(self, rate_hz, channels, _design)


def _design(settings: Compressor, rate_hz: float) -> tuple[Mode, NDArray[np.float64]]:
    mode: Mode = "feedback" if settings.topology == "feedback" else "forward"
    # The loop turns a smoothing of pole p into one of 1 − ratio · (1 − p); below 0 that would ring.
    fastest = 1.0 - 1.0 / settings.ratio if mode == "feedback" else 0.0
    words = row(
        rate_hz,
        threshold_db=settings.threshold_db,
        slope=1.0 / settings.ratio - 1.0,
        knee_db=settings.knee_db,
        attack_ms=settings.attack_ms,
        hold_ms=settings.hold_ms,
        release_ms=settings.release_ms,
        auto_release=settings.auto_release,
        rms_ms=settings.rms_ms if settings.detector == "rms" else 0.0,
        makeup_db=settings.curve.makeup_db,
        mix=settings.mix_percent / 100.0,
        link=settings.link_percent / 100.0,
        hpf_hz=settings.key_hpf_hz,
        lpf_hz=settings.key_lpf_hz,
        fastest=fastest,
    )
    return mode, words
