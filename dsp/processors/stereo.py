"""What is done to a stereo signal as one: width, mid and side, balance, rotation. All are a matrix of two by two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.filters import Band
from dsp.processor import Block, Glide, Settings, choice, number
from dsp.processors.equaliser import Equaliser
from dsp.ramp import ramp
from dsp.stereo import PAN_LAWS_DB, balance_gains

__all__ = ["Balance", "MidSide", "Rotate", "Width"]


@dataclass(frozen=True)
class _Matrix(Settings):
    """Left and right become sums of both."""

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Gains from left to left, right to left, left to right, right to right."""
        raise NotImplementedError

    @property
    def filters(self) -> Equaliser:
        """What goes before the matrix."""
        return Equaliser()

    def start(self, rate_hz: float, channels: int) -> RunningMatrix:
        """Return it running. Raises DspError for a mono signal."""
        return RunningMatrix(self, rate_hz, channels)


def _mid_side(mid: float, side: float) -> NDArray[np.float64]:
    """With M = (L + R) / 2 and S = (L − R) / 2: mid · M ± side · S."""
    same, other = 0.5 * (mid + side), 0.5 * (mid - side)
    return np.array([same, other, other, same])


@dataclass(frozen=True)
class Width(_Matrix):
    """Multiplies the side by ``width_percent``: 0 is mono, 100 passes bit for bit, 200 is twice as wide.

    Below ``mono_below_hz`` (0: off) it is mono: the side goes through a high-pass of 12 dB per octave.
    """

    kind: ClassVar[str] = "width"

    width_percent: float = number(100.0, 0.0, 200.0, "%")
    mono_below_hz: float = number(0.0, 0.0, 2000.0, "Hz", scale="log")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The side by its width."""
        return _mid_side(1.0, 0.01 * self.width_percent)

    @property
    def filters(self) -> Equaliser:
        """The high-pass of the side."""
        bands = (Band("high_pass", max(self.mono_below_hz, 1.0)),) if self.mono_below_hz > 0.0 else ()
        return Equaliser(bands, "side")


@dataclass(frozen=True)
class MidSide(_Matrix):
    """Gains of mid and side; −120 dB is off."""

    kind: ClassVar[str] = "ms"

    mid_db: float = number(0.0, -120.0, 24.0, "dB")
    side_db: float = number(0.0, -120.0, 24.0, "dB")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Both gains."""
        return _mid_side(*(10.0 ** (db / 20.0) if db > -120.0 else 0.0 for db in (self.mid_db, self.side_db)))


@dataclass(frozen=True)
class Balance(_Matrix):
    """Turns one side down, by ``dsp.stereo.balance_gains``; after that, left and right may change places."""

    kind: ClassVar[str] = "balance"

    balance: float = number(0.0, -100.0, 100.0)
    law_db: float = choice(-3.0, *PAN_LAWS_DB)  # type: ignore[arg-type]
    sides: str = choice("normal", "normal", "swapped")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Both gains, where they lead."""
        left, right = balance_gains(self.balance, self.law_db)
        return np.array([0.0, right, left, 0.0] if self.sides == "swapped" else [left, 0.0, 0.0, right])


@dataclass(frozen=True)
class Rotate(_Matrix):
    """Turns the stereo image: a source panned by constant power moves by ``angle_deg``, to the right where positive.

    Left and right are the axes of a plane, a source in the middle lies at 45° between them; 45° brings it hard right.
    """

    kind: ClassVar[str] = "rotate"

    angle_deg: float = number(0.0, -180.0, 180.0, "°")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The rotation."""
        angle = math.radians(self.angle_deg)
        return np.array([math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)])


_SAME = [1.0, 0.0, 0.0, 1.0]


class RunningMatrix:
    """A matrix that goes straight from one setting to the next."""

    latency_frames = 0

    def __init__(self, settings: _Matrix, rate_hz: float, channels: int) -> None:
        if channels != 2:
            raise DspError(f"{settings.kind} works on left and right: a signal of {channels} channels has none")
        self._filters = settings.filters.start(rate_hz, channels)
        self._filtering = bool(settings.filters.bands)
        self._glide = Glide(settings.matrix)

    @property
    def tail_frames(self) -> int:
        """What the filters ring."""
        return self._filters.tail_frames

    def process(self, block: Block, key: Block | None = None) -> None:
        """Multiply every frame by the matrix."""
        if self._filtering:
            self._filters.process(block)
        rows = ramp(self._glide, len(block))
        if len(rows) == 1 and rows[0].tolist() == _SAME:
            return
        left, right = block[:, 0].astype(np.float64), block[:, 1].astype(np.float64)
        block[:, 0] = left * rows[:, 0] + right * rows[:, 1]
        block[:, 1] = left * rows[:, 2] + right * rows[:, 3]

    def change(self, settings: _Matrix, frames: int) -> None:
        """Go to another matrix and other filters."""
        self._filtering |= bool(settings.filters.bands)
        self._filters.change(settings.filters, frames)
        self._glide.to(settings.matrix, frames)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._filters.reset()
        self._glide = Glide(self._glide.target)
