"""What a strip's lanes are told: its settings as numbers that can move, and those as rows for the compiled loop."""

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

__all__ = ["MOST_SECTIONS", "WORDS", "StripSound", "Way", "led_by", "rows_of", "sound_numbers"]

MOST_SECTIONS = 16
"""Filter sections a strip can have."""

_COMPRESSOR_WORDS, _SECTION_WORDS = 8, 6
WORDS = _COMPRESSOR_WORDS + MOST_SECTIONS * _SECTION_WORDS
"""Rows of a lane: the compressor's, then every section's, in the order ``dsp.kernels.strip`` reads them."""

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
            c.knee_db / _DB_PER_OCTAVE,
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


def rows_of(numbers: NDArray[np.float64], sections: int = MOST_SECTIONS) -> NDArray[np.float64]:
    """Return the rows (K, words) for ``numbers`` (K, NUMBERS), up to as many sections."""
    rows = np.empty((len(numbers), _COMPRESSOR_WORDS + sections * _SECTION_WORDS))
    gain, threshold, slope, knee, attack, release, makeup, amount = numbers[:, :_FIRST_SECTION].T
    soft = knee * _DB_PER_OCTAVE > NARROWEST_KNEE_DB
    in_knee = np.where(soft, slope / np.where(soft, 2.0 * knee, 1.0), 0.0)
    rows[:, :_COMPRESSOR_WORDS] = np.stack(
        [threshold - 0.5 * knee, slope, knee, in_knee, np.exp(attack), np.exp(release), makeup, amount],
        axis=1,
    )
    used = numbers[:, _FIRST_SECTION : _FIRST_SECTION + sections * _SECTION_NUMBERS]
    ln_g, k, m0, m1, m2 = np.moveaxis(used.reshape(-1, sections, _SECTION_NUMBERS), 2, 0)
    g = np.exp(ln_g)
    u1 = 1.0 / (1.0 + g * (g + k))
    u2 = g * u1
    u3 = g * u2
    # y = m0 x + m1 v1 + m2 v2 with s2 = x − v, where v is what the loop has at hand; e = 2 u1 − 2 without cancelling.
    words = [-2.0 * g * (g + k) * u1, 2.0 * u2, 2.0 * u3, m0 + m2, m1 * u1 + m2 * u2, m1 * u2 - m2 * (1.0 - u3)]
    table = rows[:, _COMPRESSOR_WORDS:].reshape(-1, sections, _SECTION_WORDS)
    table[:] = np.stack(words, axis=2)
    table[:, :1, 3:] *= gain[:, None, None]
    return rows


Meeting = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


class Way:
    """A row of numbers that goes straight to the next one; asked for at knots, every ``STEP_FRAMES``-th frame.

    Ways begin and end at knots, so that it does not matter how a stream is cut into blocks.
    """

    def __init__(self, row: NDArray[np.float64]) -> None:
        self._before = self._from = self._to = row
        self._first, self._last = 0, 0

    @property
    def target(self) -> NDArray[np.float64]:
        """The row at the end of the way."""
        return self._to

    def go(self, row: NDArray[np.float64], position: int, frames: int, meet: Meeting | None = None) -> None:
        """Go to ``row`` in ``frames`` frames, at least one step, from the first knot at ``position`` or later on.

        ``meet(a, b)`` may put in place of a row ``a`` one that sounds the same and is nearer to ``b``.
        """
        first = -(-position // STEP_FRAMES)
        before, here = self.at(np.array([first - 1, first]))
        if meet is not None:
            before, here, row = meet(before, row), meet(here, row), meet(row, here)
        self._before, self._from, self._to = before, here, row
        self._first, self._last = first, first + max(1, -(-frames // STEP_FRAMES))

    def arrive(self, row: NDArray[np.float64]) -> None:
        """Stand at ``row``."""
        self._before = self._from = self._to = row
        self._first = self._last = 0

    def moves(self, position: int) -> bool:
        """Whether the row is still on its way at frame ``position``."""
        return position < self._last * STEP_FRAMES

    def at(self, knots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows (K, …) at these knots."""
        length = max(1, self._last - self._first)
        shape = (-1,) + (1,) * self._to.ndim
        share = np.clip((knots - self._first) / length, 0.0, 1.0).reshape(shape)
        rows = self._from + (self._to - self._from) * share
        rows[knots >= self._last] = self._to
        rows[knots < self._first] = self._before
        return rows
