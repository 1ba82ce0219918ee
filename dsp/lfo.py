"""Low-frequency oscillator: what sweeps a tremolo, chorus, flanger or phaser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.processor import Glide, Settings, choice, number

__all__ = ["Lfo", "Swept", "lfo_row"]

_SHAPES = ("sine", "triangle", "square", "ramp")

_EDGE_S = 0.004
"""What a square takes from one side to the other, and a ramp to fall: short, and yet no click."""


@dataclass(frozen=True)
class Swept(Settings):
    """What every swept effect has.

    It moves ``rate_hz`` times in a second or, with ``sync`` "tempo", once in ``beats`` beats of ``tempo_bpm``. The
    right channel is ``spread_deg`` of a turn ahead of the left.
    """

    rate_hz: float = number(1.0, 0.01, 20.0, "Hz", scale="log")
    sync: str = choice("free", "free", "tempo")
    tempo_bpm: float = number(120.0, 20.0, 400.0, "bpm", scale="log")
    beats: float = number(1.0, 1.0 / 32.0, 64.0, "beats", scale="log")
    shape: str = choice("sine", *_SHAPES)
    spread_deg: float = number(90.0, 0.0, 360.0, "°")

    @property
    def turns_hz(self) -> float:
        """How often it moves [Hz], at most 200."""
        return self.rate_hz if self.sync == "free" else min(self.tempo_bpm / (60.0 * self.beats), 200.0)

    def row(self, rate_hz: float, middle: float, depth: float, offsets: Sequence[float]) -> NDArray[np.float64]:
        """Return the row of an ``Lfo`` that moves by ``depth`` around ``middle``."""
        return lfo_row(self.turns_hz, rate_hz, middle, depth, offsets, self.shape)


def lfo_row(
    turns_hz: float, rate_hz: float, middle: float, depth: float, offsets: Sequence[float], shape: str = "sine"
) -> NDArray[np.float64]:
    """Return what ``dsp.kernels.modulation.oscillate`` takes as a knot; ``offsets`` [turns] are those of its rows."""
    edge = min(max(_EDGE_S * abs(turns_hz), 1e-9), 0.5)
    return np.array([turns_hz / rate_hz, middle, depth, *(float(shape == s) for s in _SHAPES), edge, *offsets])


class Lfo:
    """A running oscillator; ``values`` (rows, most_frames) are what it gave last."""

    def __init__(self, row: NDArray[np.float64], most_frames: int) -> None:
        self._run = library("modulation").oscillate.bind(*[None] * 5)
        self._glide = Glide(row)
        self._phase = np.zeros(1, dtype=np.int64)
        self.values: NDArray[np.float64] = np.zeros((len(row) - 8, most_frames))

    @property
    def now(self) -> NDArray[np.float64]:
        """The row at the next frame."""
        return self._glide.now

    def run(self, frames: int) -> NDArray[np.float64]:
        """Return the next ``frames`` in the first columns of ``values``."""
        knots, first = self._glide.knots(frames)
        self._run(self.values, frames, knots, first, self._phase)
        return self.values

    def to(self, row: NDArray[np.float64], frames: int) -> None:
        """Go to another row."""
        self._glide.to(row, frames)

    def widen(self, groups: int, more: int) -> None:
        """Give each of ``groups`` of rows ``more`` rows, which begin where the last one of their group is."""
        now = self._glide.now
        offsets = np.pad(now[8:].reshape(groups, -1), ((0, 0), (0, more)), mode="edge")
        self._glide = Glide(np.concatenate([now[:8], offsets.ravel()]))
        self.values = np.zeros((offsets.size, self.values.shape[1]))

    def reset(self) -> None:
        """Begin anew, where it was going."""
        self._phase[0] = 0
        self._glide = Glide(self._glide.target)
