"""A room of six plain lines: each delays by a whole or a fractional number of samples, some invert.

A fraction is a windowed sinc, and the delay of its taps at any frequency is a sum anyone can evaluate: `phase_delay`.
"""

from __future__ import annotations

import cmath
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plain_room import PlainRoom, tell

from hardware.room.serve import serve

HALF_TAPS = 64


@dataclass(frozen=True)
class Line:
    """One loop of the room."""

    delay_samples: float
    sign: int = 1

    @property
    def taps(self) -> NDArray[np.float32]:
        """The impulse response, as float32 as it is played."""
        whole = round(self.delay_samples)
        n = np.arange(whole + HALF_TAPS + 1)
        away = n - self.delay_samples
        if self.delay_samples == whole:
            return (self.sign * (n == whole)).astype(np.float32)
        window = np.where(np.abs(away) < HALF_TAPS, np.cos(0.5 * math.pi * away / HALF_TAPS) ** 2, 0.0)
        return (self.sign * np.sinc(away) * window).astype(np.float32)

    def phase_delay(self, cycles: float) -> float:
        """Delay [samples] of a tone of ``cycles`` per sample, polarity taken out."""
        n = np.arange(self.taps.size)
        h = complex(np.sum(self.taps * np.exp(-2j * math.pi * cycles * (n - self.delay_samples)))) * self.sign
        return self.delay_samples - cmath.phase(h) / (2.0 * math.pi * cycles)


LINES = (Line(100.0), Line(100.0, -1), Line(137.37), Line(137.37, -1), Line(1211.5), Line(1903.81, -1))


class LoopRoom(PlainRoom):
    inputs = len(LINES)
    outputs = len(LINES)

    def __init__(self) -> None:
        super().__init__()
        self._taps = [line.taps for line in LINES]
        self._past = [np.zeros(taps.size - 1, np.float32) for taps in self._taps]

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty((len(block), len(LINES)), np.float32)
        for k, taps in enumerate(self._taps):
            heard = np.concatenate([self._past[k], block[:, k]])
            self._past[k] = heard[len(block) :]
            first = np.flatnonzero(taps)[0]  # the taps before are the pure part of the delay
            late = heard[: heard.size - first]
            out[:, k] = np.convolve(late.astype(np.float64), taps[first:].astype(np.float64), mode="valid")
        return out


if __name__ == "__main__":
    serve(LoopRoom(), name=sys.argv[1], serial_folder=Path(sys.argv[2]), ready=tell, midi=(), serial=())
