"""Tremolo and auto-pan: a level that swings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.lfo import Lfo, Swept
from dsp.processor import Block, number
from dsp.sidechain import check_channels

__all__ = ["Tremolo"]

_CHUNK_FRAMES = 256


@dataclass(frozen=True)
class Tremolo(Swept):
    """Turns the level down by up to ``depth_percent`` of it and up again; 0 passes bit for bit.

    The gain swings between 1 and 1 − depth. With ``spread_deg`` 180 left and right take turns: an auto-pan.
    """

    kind: ClassVar[str] = "tremolo"

    rate_hz: float = number(5.0, 0.01, 20.0, "Hz", scale="log")
    spread_deg: float = number(0.0, 0.0, 360.0, "°")
    depth_percent: float = number(50.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> RunningTremolo:
        """Return it running."""
        return RunningTremolo(self, rate_hz, channels)


class RunningTremolo:
    """An oscillator that is a gain."""

    latency_frames = 0
    tail_frames = 0

    def __init__(self, settings: Tremolo, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._rate_hz, self._channels = rate_hz, channels
        self._lfo = Lfo(self._row(settings), _CHUNK_FRAMES)

    def _row(self, settings: Tremolo) -> NDArray[np.float64]:
        depth = settings.depth_percent / 200.0
        return settings.row(self._rate_hz, 1.0 - depth, depth, [0.0, settings.spread_deg / 360.0][: self._channels])

    def process(self, block: Block, key: Block | None = None) -> None:
        """Multiply by the gain."""
        for start in range(0, len(block), _CHUNK_FRAMES):
            part = block[start : start + _CHUNK_FRAMES]
            np.multiply(part, self._lfo.run(len(part))[:, : len(part)].T, out=part, casting="same_kind")

    def change(self, settings: Tremolo, frames: int) -> None:
        """Swing otherwise, from where it stands."""
        self._lfo.to(self._row(settings), frames)

    def reset(self) -> None:
        """Begin the swing anew."""
        self._lfo.reset()
