"""Crossover of 24 dB per octave: one signal into bands that add up to it again, but for its phase.

S. H. Linkwitz and E. R. Riley, "Active Crossover Networks for Noncoincident Drivers", J. Audio Eng. Soc. 24 (1), 1976:
each side of a corner is two Butterworth filters in a row, and both sides add up to a Butterworth all-pass of second
order. Each band below a corner goes through the all-pass of that corner too (J. A. D'Appolito, "Active Realization of
Multiway All-Pass Crossover Systems", J. Audio Eng. Soc. 35 (4), 1987), so that more than two bands add up to an
all-pass as well. Trapezoidal state-variable filters, whose corners may move.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.kernels.compiled import library
from dsp.processor import Block, Glide
from dsp.sidechain import CHUNK_FRAMES, butterworth

__all__ = ["Crossover"]


class Crossover:
    """A running crossover with corners at ``freqs_hz``, ascending; without corners the one band is everything.

    ``bands`` (len(freqs_hz) + 1, channels, CHUNK_FRAMES), low to high, hold what the last ``split`` gave.
    Raises DspError for corners that do not ascend or lie above 0.49 of the rate.
    """

    def __init__(self, freqs_hz: Sequence[float], rate_hz: float, channels: int) -> None:
        corners = len(freqs_hz)
        self.bands: NDArray[np.float64] = np.zeros((corners + 1, channels, CHUNK_FRAMES))
        self._rate_hz = rate_hz
        self._way = Glide(self._row(freqs_hz))
        self._lowest_hz = min(freqs_hz, default=math.inf)
        self._states = np.zeros((channels, corners, corners + 2, 2))
        self._position = 0
        self._split = library("crossover").split.bind(
            None, None, None, None, self._states, np.zeros(3 * corners), self.bands
        )

    def _row(self, freqs_hz: Sequence[float]) -> NDArray[np.float64]:
        if any(low >= high for low, high in itertools.pairwise(freqs_hz)):
            raise DspError(f"crossover frequencies {', '.join(f'{f:g}' for f in freqs_hz)} Hz do not ascend")
        if any(not 0.0 < freq <= 0.49 * self._rate_hz for freq in freqs_hz):
            raise DspError(
                f"a crossover at {freqs_hz[-1]:g} Hz cannot be built at {self._rate_hz:g} Hz",
                hint=f"the highest possible is {0.49 * self._rate_hz:g} Hz",
            )
        return np.array([u for freq in freqs_hz for u in butterworth(freq, self._rate_hz)])

    @property
    def tail_frames(self) -> int:
        """Frames in which the lowest corner falls by 120 dB: two equal pole pairs, 1 + x of e⁻ˣ, x = ωt/√2 = 20."""
        return math.ceil(20.0 * math.sqrt(2.0) / (2.0 * math.pi * self._lowest_hz) * self._rate_hz)

    def split(self, block: Block) -> None:
        """Split the next ``block`` (at most CHUNK_FRAMES, channels) into ``bands``."""
        knots, first = self._way.knots(len(block))
        self._split(block, self._position, knots, first)
        self._position += len(block)

    def to(self, freqs_hz: Sequence[float], frames: int) -> None:
        """Move the corners to ``freqs_hz``, as many as before, over the next ``frames`` frames."""
        self._way.to(self._row(freqs_hz), frames)
        self._lowest_hz = min(freqs_hz, default=math.inf)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the corners were going."""
        self._way = Glide(self._way.target)
        self._states[:] = 0.0
        self._position = 0
