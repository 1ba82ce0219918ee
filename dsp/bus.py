"""The stereo bus: bands, compressor, fader; float64 inside and out, and the same samples for any block size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import Compressor
from dsp.errors import DspError, ShapeError
from dsp.filters import Band
from dsp.kernels.compiled import library
from dsp.lane_numbers import MOST_SECTIONS, NUMBERS, WORDS, StripSound, Ways, led_by, sound_numbers
from dsp.processor import STEP_FRAMES
from dsp.strip import Automation, slots

__all__ = ["BusProcessor", "BusSettings", "bus_sound"]

_SLICE_FRAMES = 128
_FLOAT64 = np.dtype(np.float64)

_CHUNK_FRAMES = 8192
"""Frames of the bus for which the numbers that move are made at once."""


@dataclass(frozen=True)
class BusSettings:
    """The stereo bus: bands, compressor, then the master fader (``fader_db`` −∞..+24, or ``automation`` instead)."""

    bands: tuple[Band, ...] = ()
    compressor: Compressor | None = None
    fader_db: float = 0.0
    automation: Automation | None = None

    def __post_init__(self) -> None:
        if not self.fader_db <= 24.0:
            raise DspError(f"bus fader {self.fader_db} dB is above +24 dB")


def bus_sound(settings: BusSettings, rate_hz: float) -> StripSound:
    """Return what ``settings`` does to a bus's sound before its fader. Raises DspError for a band above Nyquist."""
    return StripSound(sections=slots(settings.bands, rate_hz), compressor=settings.compressor)


class BusProcessor:
    """The running stereo bus at ``rate_hz``: bands, compressor, fader; float64 inside and out.

    ``position`` is the number of its first frame, where it joins what has been running.
    """

    def __init__(self, settings: BusSettings, rate_hz: float, position: int = 0) -> None:
        self.settings = settings
        self._rate_hz = rate_hz
        self._position = position
        sound = bus_sound(settings, rate_hz)
        self._sections, self._compresses = len(sound.sections), sound.compresses
        self._sound = Ways(sound_numbers(sound, sound.sections, rate_hz, trimmed=True)[None])
        self._fader = Ways(np.array([[_linear(settings.fader_db)]]))
        self._states = np.zeros((2 + 2 * MOST_SECTIONS, 2))
        self._links = np.full(2, -1, dtype=np.int64).view(np.float64)
        self._scratch = np.zeros(2 * (2 * _SLICE_FRAMES + 2 * WORDS + 2))
        self._run, self._write_words = library("bus").run_bus, library("words").write_words
        self._moved = False
        self._tell(2)

    @property
    def reduction_db(self) -> float:
        """Current gain reduction of the bus compressor, dB, 0 or below."""
        return 20.0 * math.log10(2.0) * float(self._states[0, 0])

    def change(self, settings: BusSettings, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames, at least one step, without a click.

        Bands keep their places. Raises DspError for a band that cannot be built at this rate; nothing has changed then.
        """
        sound = bus_sound(settings, self._rate_hz)
        numbers = sound_numbers(sound, sound.sections, self._rate_hz, trimmed=True)
        self._sound.go(0, numbers, self._position, frames, led_by)
        self._fader.go(0, np.array([_linear(settings.fader_db)]), self._position, frames)
        self.settings = settings
        self._sections = max(self._sections, len(sound.sections))
        self._compresses |= sound.compresses

    def reset(self) -> None:
        """Forget all that was heard."""
        self._states.fill(0.0)

    def _tell(self, frames: int) -> None:
        """Write the words and the fader at the knots around the next ``frames`` frames."""
        first, offset = divmod(self._position, STEP_FRAMES)
        knots = np.arange(first, first + max(offset + frames - 1, 0) // STEP_FRAMES + 2)
        rows = np.zeros((len(knots), WORDS, 2))
        ends = np.array([[0, 0], [0, 1]])
        room = np.zeros(NUMBERS), np.zeros(WORDS), np.zeros(0, dtype=np.float32), rows.reshape(-1)
        steps = len(knots), self._sections, 2 * WORDS, 2
        self._write_words(ends, first, *steps, self._sound.rows, self._sound.spans, *room)
        automation, at_s = self.settings.automation, knots * STEP_FRAMES / self._rate_hz
        gains = np.array([self._fader.at(0, k) for k in knots.tolist()]) if automation is None else automation(at_s)
        faders = np.repeat(gains.reshape(-1, 1, 1), 2, axis=2)
        told = rows, faders, self._links, self._states, self._scratch
        self._call = self._run.bind(None, self._sections, self._compresses, None, None, *told, None)

    def process(
        self, block: NDArray[np.float64] | NDArray[np.float32], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the next (n, 2) of the bus as float64, in ``out`` where that is given.

        Raises ShapeError for another shape.
        """
        if block.ndim != 2 or block.shape[1] != 2:
            raise ShapeError(f"the bus takes (frames, 2), not {block.shape}")
        flags = block.flags
        fits = block.dtype == _FLOAT64 and flags.c_contiguous and flags.writeable
        x: NDArray[Any] = block if fits else np.require(block, dtype=np.float64, requirements=["C", "W"])
        if out is None:
            out = np.empty_like(x)
        for start in range(0, len(x), _CHUNK_FRAMES):
            whole = len(x) <= _CHUNK_FRAMES
            piece, to = (x, out) if whole else (x[start : start + _CHUNK_FRAMES], out[start : start + _CHUNK_FRAMES])
            moves = self._sound.moves(0, self._position) or self._fader.moves(0, self._position)
            moves |= self.settings.automation is not None
            if moves or self._moved:  # once more where all has arrived
                self._tell(len(piece))
            self._moved = moves
            self._call(self._position, moves, piece, to)
            self._position += len(piece)
        return out


def _linear(level_db: float) -> float:
    """Return the gain of a level, 0 for −∞ dB."""
    gain: float = 10.0 ** (level_db / 20.0)
    return gain
