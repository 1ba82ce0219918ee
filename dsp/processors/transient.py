"""Transient shaper: louder or softer beginnings and tails, at any level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import one_pole
from dsp.kernels.compiled import library
from dsp.processor import Block, Glide, Settings, number
from dsp.sidechain import CHUNK_FRAMES, check_channels, hear

__all__ = ["RunningTransient", "Transient"]

HOLD_MS = 12.5
"""The envelope is the peak of so long: a steady tone from 40 Hz has a steady one, and is left alone."""

GAIN_MS = 0.5
"""How fast the gain follows the envelopes, in dB: a beginning is a step for these, but not for it."""

DOWN_MS = 5.0
"""How fast the envelope comes down from that peak."""


@dataclass(frozen=True)
class Transient(Settings):
    """Changes the beginnings by up to ``attack_db`` and the tails by up to ``sustain_db``, whatever their level.

    Three envelopes of the louder channel's peaks: e follows at once, l comes up late, in ``attack_ms``, and t goes down
    late, in ``sustain_ms`` (each covers 63 %). The gain is ``attack_db`` · (1 − l/e) + ``sustain_db`` · (1 − e/t) dB:
    ratios of envelopes, not their levels. It covers 63 % of
    a step in half a millisecond.
    """

    kind: ClassVar[str] = "transient"

    attack_db: float = number(0.0, -24.0, 24.0, "dB")
    sustain_db: float = number(0.0, -24.0, 24.0, "dB")
    attack_ms: float = number(20.0, 1.0, 500.0, "ms", scale="log")
    sustain_ms: float = number(200.0, 10.0, 5000.0, "ms", scale="log")

    def start(self, rate_hz: float, channels: int) -> RunningTransient:
        """Return the running shaper."""
        return RunningTransient(self, rate_hz, channels)


class RunningTransient:
    """A running ``Transient``."""

    def __init__(self, settings: Transient, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self.settings = settings
        self._rate_hz = rate_hz
        self._way = Glide(self._row(settings))
        self._window = max(1, round(HOLD_MS * rate_hz / 1000.0))
        self._key = np.zeros((channels, CHUNK_FRAMES))
        self._levels = np.zeros((3, self._window - 1 + CHUNK_FRAMES + 4))  # the kernel works on four at a time
        self._state = np.zeros(4)
        gains = np.zeros((2, CHUNK_FRAMES))
        self._shape = library("transient").shape.bind(
            self._key, channels, None, None, None, self._window, self._levels, self._state, gains
        )
        ring, place = np.zeros((0, channels), dtype=np.float32), np.zeros(1, dtype=np.int64)
        self._turn = library("dynamics").turn.bind(None, gains, ring, place)

    def _row(self, settings: Transient) -> NDArray[np.float64]:
        times_ms = (GAIN_MS, DOWN_MS, settings.attack_ms, settings.sustain_ms)
        return np.array([settings.attack_db, settings.sustain_db, *(one_pole(t, self._rate_hz) for t in times_ms)])

    @property
    def latency_frames(self) -> int:
        """Nothing is later."""
        return 0

    @property
    def tail_frames(self) -> int:
        """Nothing comes after the last sound."""
        return 0

    @property
    def gain_db(self) -> float:
        """Current gain [dB]."""
        return float(self._state[3])

    @property
    def reduction_db(self) -> float:
        """Current gain where it reduces [dB], else 0."""
        return min(0.0, self.gain_db)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; the envelopes are those of ``key`` where there is one."""
        for start in range(0, len(block), CHUNK_FRAMES):
            part = block[start : start + CHUNK_FRAMES]
            hear(part if key is None else key[start : start + CHUNK_FRAMES], self._key)
            knots, first = self._way.knots(len(part))
            self._shape(len(part), knots, first)
            self._turn(part)

    def change(self, settings: Transient, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames."""
        self.settings = settings
        self._way.to(self._row(settings), frames)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._way = Glide(self._way.target)
        self._levels[:] = 0.0
        self._state[:] = 0.0
