"""What a strip's lanes are told: its settings as numbers, and numbers on their way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import NARROWEST_KNEE_DB, Compressor, one_pole
from dsp.errors import DspError
from dsp.filters import Biquad, svf
from dsp.processor import STEP_FRAMES

__all__ = ["MOST_SECTIONS", "NUMBERS", "WORDS", "StripSound", "Ways", "led_by", "sound_numbers"]

MOST_SECTIONS = 16
"""Filter sections a strip can have."""

WORDS = 8 + 6 * MOST_SECTIONS
"""Words that ``dsp.kernels.words`` makes of a sound's numbers: the compressor's, then every section's."""

_FIRST_SECTION, _SECTION_NUMBERS = 8, 5
NUMBERS = _FIRST_SECTION + MOST_SECTIONS * _SECTION_NUMBERS
"""Numbers of a sound: gain; threshold, slope, knee, ln(1 − attack pole), ln(1 − release pole), make-up (levels in
octaves), how much of the gain reduction counts; then ln g, k, m0, m1, m2 of every section. They may go straight from
one sound to another at any speed."""

_CURVE, _AMOUNT = slice(1, 6), 7

_DB_PER_OCTAVE = 20.0 * math.log10(2.0)
_STILL = (-200.0, 1.0, 1.0, 0.0, 0.0)
"""A section that does nothing; its g is so small that in float32 its states stand still."""


@dataclass(frozen=True)
class StripSound:
    """What one strip does to its sound before its gains.

    ``trim_db`` within ±60. ``sections`` in order, at most MOST_SECTIONS; None keeps the place of one that does nothing.
    Raises DspError for values that make no sense.
    """

    trim_db: float = 0.0
    polarity_inverted: bool = False
    sections: tuple[Biquad | None, ...] = ()
    compressor: Compressor | None = None

    def __post_init__(self) -> None:
        if not abs(self.trim_db) <= 60.0:
            raise DspError(f"trim {self.trim_db} dB is outside −60..+60 dB")
        if len(self.sections) > MOST_SECTIONS:
            raise DspError(f"a strip has {len(self.sections)} filter sections; at most {MOST_SECTIONS} are possible")

    @property
    def gain(self) -> float:
        """Trim and polarity as one linear gain."""
        gain: float = 10.0 ** (self.trim_db / 20.0)
        return -gain if self.polarity_inverted else gain

    @property
    def compresses(self) -> bool:
        """Whether the compressor does anything."""
        c = self.compressor
        return c is not None and (c.ratio != 1.0 or c.makeup_db != 0.0)


def sound_numbers(
    sound: StripSound, sections: Sequence[Biquad | None], rate_hz: float, *, trimmed: bool
) -> NDArray[np.float64]:
    """Return the numbers (NUMBERS,) of ``sound`` with ``sections`` in the given places, at ``rate_hz``.

    ``trimmed``: the trim has been done elsewhere. Raises DspError where a section is not stable.
    """
    numbers = np.zeros(NUMBERS)
    numbers[0] = 1.0 if trimmed else sound.gain
    c = sound.compressor
    if c is not None and sound.compresses:
        numbers[1:_FIRST_SECTION] = (
            c.threshold_db / _DB_PER_OCTAVE,
            1.0 / c.ratio - 1.0,
            c.knee_db / _DB_PER_OCTAVE if c.knee_db > NARROWEST_KNEE_DB else 0.0,
            math.log1p(-one_pole(c.attack_ms, rate_hz)),
            math.log1p(-one_pole(c.release_ms, rate_hz)),
            c.makeup_db / _DB_PER_OCTAVE,
            1.0,
        )
    table = numbers[_FIRST_SECTION:].reshape(MOST_SECTIONS, _SECTION_NUMBERS)
    table[:] = _STILL
    for place, section in enumerate(sections):
        if section is not None:
            g, *others = svf(section)
            table[place] = math.log(g), *others
    return numbers


def led_by(numbers: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``numbers`` so that what does nothing in it already stands where ``other`` wants it.

    What comes or goes then changes its share of the sound, and not its frequency or threshold.
    """
    made = numbers.copy()
    here, there = (n[_FIRST_SECTION:].reshape(MOST_SECTIONS, _SECTION_NUMBERS) for n in (made, other))
    still = here[:, 0] == _STILL[0]
    here[still, :2] = there[still, :2]
    if made[_AMOUNT] == 0.0:
        made[_CURVE] = other[_CURVE]
    return made


Meeting = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


class Ways:
    """Rows of numbers, each on a straight way to where it is to go, told at knots, every ``STEP_FRAMES``-th frame.

    ``rows`` (S, 3, …): row i just before its way, at its beginning and at its end; ``spans`` (S, 2): its first and last
    knot. Ways begin and end at knots, so that it does not matter how a stream is cut into blocks.
    """

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self.rows: NDArray[np.float64] = np.repeat(rows[:, None], 3, axis=1).astype(np.float64)
        self.spans = np.zeros((len(rows), 2), dtype=np.int64)

    def at(self, i: int, knot: int) -> NDArray[np.float64]:
        """Return row ``i`` at one knot."""
        first, last = self.spans[i].tolist()
        before, start, end = self.rows[i]
        if not first <= knot < last:
            return np.array(end if knot >= last else before)
        return np.array(start + (end - start) * ((knot - first) / (last - first)))

    def line(self, i: int, position: int, frames: int) -> NDArray[np.float64]:
        """Return row ``i`` at every one of ``frames`` frames from ``position`` on, straight between knots."""
        knots = range(position // STEP_FRAMES, (position + frames - 1) // STEP_FRAMES + 2)
        rows = [self.at(i, knot).ravel() for knot in knots]
        at = np.arange(position, position + frames)
        begin = np.array(knots) * STEP_FRAMES
        return np.stack([np.interp(at, begin, column) for column in np.transpose(rows)], axis=1)

    def go(self, i: int, row: NDArray[np.float64], position: int, frames: int, meet: Meeting | None = None) -> None:
        """Go to ``row`` in ``frames`` frames, at least one step, from the first knot at ``position`` or later on.

        ``meet(a, b)`` may put in place of a row ``a`` one that sounds the same and is nearer to ``b``.
        """
        first = -(-position // STEP_FRAMES)
        before, start = self.at(i, first - 1), self.at(i, first)
        if meet is not None:
            before, start, row = meet(before, row), meet(start, row), meet(row, start)
        self.rows[i] = before, start, row
        self.spans[i] = first, first + max(1, -(-frames // STEP_FRAMES))

    def moves(self, i: int, position: int) -> bool:
        """Whether row ``i`` is still on its way at frame ``position``."""
        return bool(position < self.spans[i, 1] * STEP_FRAMES)
