"""The parametric equaliser: any number of bands, each as long as it takes to follow its analog curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.filters import Band, sections, svf
from dsp.kernels.compiled import library
from dsp.processor import Block, Glide, Settings, choice, several

__all__ = ["CHUNK_FRAMES", "Equaliser", "RunningEqualiser", "decay_frames", "silent"]

CHUNK_FRAMES = 64
"""Frames that ``dsp.kernels.sections`` works on at once."""

_WORDS = 5

_SHARES: dict[str, tuple[float, float, float, float]] = {
    "both": (1.0, 0.0, 0.0, 1.0),
    "mid": (0.5, 0.5, 0.5, 0.5),
    "side": (0.5, -0.5, -0.5, 0.5),
    "left": (1.0, 0.0, 0.0, 0.0),
    "right": (0.0, 0.0, 0.0, 1.0),
}
"""What of (filtered − input) left and right go back to left and right: a projection on what the bands act on."""


@dataclass(frozen=True)
class Equaliser(Settings):
    """Bands one after the other, on both channels, or on the mid, the side, the left or the right alone.

    Bands without gain, and what the bands do not act on, pass bit for bit.
    """

    kind: ClassVar[str] = "eq"

    bands: tuple[Band, ...] = several(Band)
    acts_on: str = choice("both", *_SHARES)

    def start(self, rate_hz: float, channels: int) -> RunningEqualiser:
        """Return it running. Raises DspError for a band the rate cannot carry, or one channel of a mono signal."""
        return RunningEqualiser(self, rate_hz, channels)


def decay_frames(rows: NDArray[np.float64]) -> int:
    """Return how many frames sections (K, 5), one after the other, ring until they are 120 dB down.

    A section's poles are those of s² + k s + 1, s in units of g, at z = (1 + g s) / (1 − g s). At worst all K coincide
    with the slowest, and what decays by e^{−t} grows by t^{K−1} / (K − 1)! before: at −120 dB, t is some 16.
    """
    slowest, crowd = 0.0, 0
    for g, k, m0, m1, m2 in rows.tolist():
        if (m0, m1, m2) == (1.0, 0.0, 0.0):
            continue
        crowd += 1
        half = 0.5 * k
        split = complex(half * half - 1.0) ** 0.5
        radius = max(abs((1.0 + g * s) / (1.0 - g * s)) for s in (-half + split, -half - split))
        slowest = max(slowest, -1.0 / math.log(max(radius, 1e-3)))
    if crowd == 0:
        return 0
    return math.ceil(slowest * (math.log(1e6) + (crowd - 1) * math.log(16.0) - math.lgamma(crowd))) + 2 * crowd


class RunningEqualiser:
    """Every section as a trapezoidal state-variable filter in float64; g, k and the mix glide to new settings.

    A state-variable filter cannot ring up while g and k move (see ``dsp.filters.svf``). Each band keeps its place: a
    section that comes or goes does so at its own frequency, by its share of the sound.
    """

    latency_frames = 0

    def __init__(self, settings: Equaliser, rate_hz: float, channels: int) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._run = library("sections").run_sections.bind(*[None] * 6)
        self._work = np.zeros((2, CHUNK_FRAMES))
        self._position = 0
        self._bands = self._designed(settings)
        self._glide = Glide(self._row(self._bands, settings))
        self._states = np.zeros((sum(map(len, self._bands)), 2, 2))

    @property
    def tail_frames(self) -> int:
        """How long the slowest section rings."""
        return decay_frames(self._rows_of(self._glide.target))

    def process(self, block: Block, key: Block | None = None) -> None:
        """Filter the block."""
        knots, first = self._glide.knots(len(block))
        self._run(block, knots, first, self._position, self._states, self._work)
        self._position += len(block)

    def change(self, settings: Equaliser, frames: int) -> None:
        """Go to other bands, or another part of the sound to act on."""
        there = self._designed(settings)
        if [len(rows) for rows in there] == [len(rows) for rows in self._bands]:
            self._bands = there
            self._glide.to(self._row(there, settings), frames)
            return
        here = self._rows_of(self._glide.now)
        target, start, states = [], [], []
        at = 0
        for index in range(max(len(self._bands), len(there))):
            old = here[at : at + len(self._bands[index])] if index < len(self._bands) else here[:0]
            new = there[index] if index < len(there) else here[:0]
            kept = self._states[at : at + len(old)]
            at += len(old)
            while len(old) > len(new) and np.array_equal(old[-1:], silent(old[-1:])):
                old, kept = old[:-1], kept[:-1]
            count = max(len(old), len(new))
            start.append(_padded(old, new, count))
            target.append(_padded(new, old, count))
            states.append(np.concatenate([kept, np.zeros((count - len(old), 2, 2))]))
        glide = Glide(np.concatenate([*map(np.ravel, start), self._glide.now[at * _WORDS :]]))
        self._bands = target
        self._states = np.concatenate([np.zeros((0, 2, 2)), *states])
        glide.to(self._row(target, settings), frames)
        self._glide = glide

    def reset(self) -> None:
        """Empty the filters, and stand where the settings were going."""
        self._states[:] = 0.0
        self._position = 0
        self._glide = Glide(self._glide.target)

    def _designed(self, settings: Equaliser) -> list[NDArray[np.float64]]:
        if self._channels == 1 and settings.acts_on != "both":
            raise DspError(
                f"a mono signal has no {settings.acts_on} for an equaliser to act on", hint='set acts_on to "both"'
            )
        return [_rows(band, self._rate_hz) for band in settings.bands]

    def _row(self, bands: list[NDArray[np.float64]], settings: Equaliser) -> NDArray[np.float64]:
        return np.concatenate([*map(np.ravel, bands), _SHARES[settings.acts_on]])

    def _rows_of(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        return row[:-4].reshape(-1, _WORDS)


@lru_cache(maxsize=1024)
def _rows(band: Band, rate_hz: float) -> NDArray[np.float64]:
    """Return a band's sections (K, 5) as ``svf`` gives them; not to be written to."""
    return np.array([svf(section) for section in sections(band, rate_hz)])


def silent(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sections as they stand, doing nothing."""
    made = rows.copy()
    made[:, 2:] = 1.0, 0.0, 0.0
    return made


def _padded(rows: NDArray[np.float64], other: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return ``rows`` and, up to ``count``, those of ``other`` in the places it lacks, doing nothing."""
    return np.concatenate([rows, silent(other[len(rows) : count])])
