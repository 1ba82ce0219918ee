"""De-esser: turns down what is sharp, above a frequency or altogether."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.processor import Block, Glide, Settings, choice, number
from dsp.sidechain import GainProcessor, Mode, butterworth, row

__all__ = ["DeEsser"]


@dataclass(frozen=True)
class DeEsser(Settings):
    """Compresses by what it hears above ``freq_hz`` (12 dB per octave), by at most ``range_db``.

    ``band`` "split" turns down only what lies above ``freq_hz``, by a shelf whose gain moves: with gain g it is
    |H|² = (1 + g²·ω⁴)/(1 + ω⁴) at ω = f / ``freq_hz``, and nothing at all while g is 1. "wide" turns down everything.
    Threshold, ratio, knee and times are those of a compressor; the audio is ``lookahead_ms`` later than the gain.
    """

    kind: ClassVar[str] = "deesser"

    freq_hz: float = number(6000.0, 1000.0, 16_000.0, "Hz", scale="log")
    threshold_db: float = number(-30.0, -120.0, 0.0, "dB")
    ratio: float = number(4.0, 1.0, math.inf, ":1", scale="log")
    range_db: float = number(12.0, 0.0, 60.0, "dB")
    knee_db: float = number(6.0, 0.0, 60.0, "dB")
    attack_ms: float = number(0.5, 0.0, 100.0, "ms", scale="log")
    hold_ms: float = number(0.0, 0.0, 1000.0, "ms", scale="log")
    release_ms: float = number(40.0, 0.0, 1000.0, "ms", scale="log")
    band: str = choice("split", "split", "wide")
    lookahead_ms: float = number(0.0, 0.0, 20.0, "ms")
    link_percent: float = number(100.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> GainProcessor[DeEsser]:
        """Return the running de-esser."""
        return _Running(self, rate_hz, channels)


def _design(settings: DeEsser, rate_hz: float) -> tuple[Mode, NDArray[np.float64]]:
    return "forward", row(
        rate_hz,
        threshold_db=settings.threshold_db,
        slope=1.0 / settings.ratio - 1.0,
        knee_db=settings.knee_db,
        deepest_db=-settings.range_db,
        attack_ms=settings.attack_ms,
        hold_ms=settings.hold_ms,
        release_ms=settings.release_ms,
        link=settings.link_percent / 100.0,
        hpf_hz=settings.freq_hz,
    )


class _Running(GainProcessor[DeEsser]):
    def __init__(self, settings: DeEsser, rate_hz: float, channels: int) -> None:
        super().__init__(settings, rate_hz, channels, _design)
        self._way = Glide(_shelf(settings, rate_hz))
        self._shelf_states = np.zeros((channels, 2))
        self._position = 0
        self._turn_above = library("dynamics").turn_above.bind(
            None, self._chain.gains, self._ring, self._place, None, None, None, self._shelf_states, np.zeros(4)
        )

    @property
    def tail_frames(self) -> int:
        """The shelf's poles fall by 120 dB in 13.8·√2 of their 1/ω."""
        return math.ceil(13.8 * math.sqrt(2.0) / (2.0 * math.pi * self.settings.freq_hz) * self._rate_hz) + 1

    def _apply(self, part: Block) -> None:
        knots, first = self._way.knots(len(part))
        self._turn_above(part, self._position, knots, first)
        self._position += len(part)

    def change(self, settings: DeEsser, frames: int) -> None:
        super().change(settings, frames)
        self._way.to(_shelf(settings, self._rate_hz), frames)

    def reset(self) -> None:
        super().reset()
        self._way = Glide(self._way.target)
        self._shelf_states[:] = 0.0
        self._position = 0


def _shelf(settings: DeEsser, rate_hz: float) -> NDArray[np.float64]:
    """Return how far only what lies above is turned down, and u1, u2, u3 of the filter that finds it."""
    return np.array([float(settings.band == "split"), *butterworth(settings.freq_hz, rate_hz)])
