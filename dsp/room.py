"""What the reverb's room is made of: lines and how they decay, the first reflections, the diffusers.

- Lines and their absorption: J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial
  reverberators", AES 90th Convention, 1991: in a lossless network every line loses 60 dB · d / (fs · T(f)).
- First reflections: J. B. Allen and D. A. Berkley, "Image method for efficiently simulating small-room acoustics",
  JASA 65, 1979.
- Diffusers: M. R. Schroeder, "Natural sounding artificial reverberation", JAES 10, 1962: all-passes in series.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LARGEST_M",
    "LINES",
    "PAIRS",
    "REFLECTIONS",
    "Room",
    "decay_s",
    "diffuser_frames",
    "filter_rows",
    "line_frames",
    "lone_return",
    "reflections",
]

LINES = 16
PAIRS = LINES // 2
REFLECTIONS = 12
"""First reflections of each of the two sources."""

_SOUND_M_PER_S = 343.0
"""Speed of sound at 20 °C."""

_SHORTEST, _LONGEST = 0.25, 1.3
"""Lines: from here to here, in crossings of the room's longest side, evenly spaced in pitch."""

LARGEST_M = 60.0

_DIFFUSERS_MS = (9.31, 6.17, 3.79, 2.23, 8.53, 6.71, 3.41, 2.47)
"""All-pass lengths, four a side; different sides, so that the two channels' echoes do not coincide."""

_BOX = (0.83, 1.0, 0.47)
"""Width, depth and height of the room as parts of its longest side; no two in a simple ratio."""

_SOURCES = ((0.29, 0.21, 0.33), (0.67, 0.23, 0.33))
_LISTENER = (0.47, 0.71, 0.29)
"""Left and right source and the listener, as parts of width, depth and height; a little off the middle."""

_REFLECTED = 0.8
"""Amplitude that a wall gives back."""


_LEAST_RETURN = 0.05
"""Power that comes back from a pass through the lines, at the least, for the level of what is heard of it."""


@dataclass(frozen=True)
class Room:
    """A room to be heard; every gain linear.

    ``low_s``, ``mid_s`` and ``high_s``: time to −60 dB below ``low_hz``, between, and above ``high_hz``, see
    ``decay_s``. ``diffusion`` 0..1 is how much single echoes are smeared, ``modulation`` 0..1 how far energy wanders
    between the lines, ``modulation_hz`` how often. ``width`` 0 is mono, 1 as it is. A steady noise comes back as early
    reflections with ``early_gain`` and as reverberation with ``late_gain``. What enters passes first-order filters
    with −3 dB at ``low_cut_hz`` and ``high_cut_hz``, or none.
    """

    size_m: float
    predelay_ms: float
    low_s: float
    mid_s: float
    high_s: float
    low_hz: float
    high_hz: float
    diffusion: float = 0.7
    modulation: float = 0.5
    modulation_hz: float = 1.0
    width: float = 1.0
    early_gain: float = 0.0
    late_gain: float = 1.0
    dry_gain: float = 1.0
    low_cut_hz: float | None = None
    high_cut_hz: float | None = None

    @property
    def shape(self) -> Room:
        """The room with its size, predelay and decay alone: what is cross-faded and has no way in between."""
        return Room(self.size_m, self.predelay_ms, self.low_s, self.mid_s, self.high_s, self.low_hz, self.high_hz)


def decay_s(room: Room, freqs_hz: ArrayLike) -> NDArray[np.float64]:
    """Return the time to −60 dB at ``freqs_hz``.

    The decay rate 60 dB / T goes from one band's to the next's with the weight 1 / (1 + (f / f_c)⁴) of a second-order
    shelf: half-way at the crossover, 94 % of the way one octave from it.
    """
    f = np.asarray(freqs_hz, dtype=np.float64)
    below = 1.0 / (1.0 + (f / room.low_hz) ** 4)
    above = 1.0 - 1.0 / (1.0 + (f / room.high_hz) ** 4)
    middle = 1.0 / room.mid_s
    rate: NDArray[np.float64] = middle + (1.0 / room.low_s - middle) * below + (1.0 / room.high_s - middle) * above
    return 1.0 / rate


def _prime_at_least(n: int) -> int:
    while any(n % d == 0 for d in range(2, math.isqrt(n) + 1)):
        n += 1
    return n


def _primes(frames: ArrayLike) -> NDArray[np.int64]:
    """Return distinct primes near ``frames``: lines without a common divisor share no echo."""
    found: list[int] = []
    for wanted in np.asarray(frames, dtype=np.float64):
        n = _prime_at_least(max(17, round(float(wanted))))
        while n in found:
            n = _prime_at_least(n + 1)
        found.append(n)
    return np.array(found, dtype=np.int64)


@lru_cache(maxsize=64)
def line_frames(size_m: float, rate_hz: float) -> NDArray[np.int64]:
    """Return the lengths (LINES,) of the delay lines [frames]."""
    crossings = _SHORTEST * (_LONGEST / _SHORTEST) ** (np.arange(LINES) / (LINES - 1))
    return _primes(crossings * (size_m / _SOUND_M_PER_S * rate_hz))


@lru_cache(maxsize=16)
def diffuser_frames(rate_hz: float) -> NDArray[np.int64]:
    """Return the lengths (8,) of the all-passes, four for each side [frames]."""
    return _primes(np.array(_DIFFUSERS_MS) * (rate_hz / 1000.0))


@cache
def _images() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much later than the direct sound the strongest reflections of both sources come, and their gains.

    (2 · REFLECTIONS,) in units of the longest side, and (2, 2 · REFLECTIONS) to left and right by their direction.
    """
    box, listener = np.array(_BOX), np.array(_LISTENER) * _BOX
    late, gains = [], []
    for source in _SOURCES:
        direct = np.linalg.norm(np.array(source) * box - listener)
        found = []
        for order in itertools.product(range(-3, 4), repeat=3):
            count = sum(map(abs, order))
            if not 1 <= count <= 3:
                continue
            # Image k along one axis: at k·L + x for even k, at (k + 1)·L − x for odd k, after |k| reflections.
            at = [
                (k * w + s * w if k % 2 == 0 else (k + 1) * w - s * w)
                for k, w, s in zip(order, box, source, strict=True)
            ]
            away = np.array(at) - listener
            distance = float(np.linalg.norm(away))
            angle = (1.0 + away[0] / distance) * math.pi / 4.0
            strength = direct / distance * _REFLECTED**count
            found.append((distance - direct, strength * math.cos(angle), strength * math.sin(angle)))
        strongest = sorted(found, key=lambda f: -(f[1] ** 2 + f[2] ** 2))[:REFLECTIONS]
        for delay, left, right in sorted(strongest):
            late.append(delay)
            gains.append((left, right))
    table = np.array(gains).T
    return np.array(late), table / np.sqrt(np.sum(table**2, axis=1, keepdims=True))


@lru_cache(maxsize=64)
def reflections(size_m: float, rate_hz: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return delays (2 · REFLECTIONS,) [frames] and gains to left and right of the left and the right source's images.

    The gains' squares sum to 1 on each side.
    """
    late, gains = _images()
    return np.maximum(16, np.round(late * (size_m / _SOUND_M_PER_S * rate_hz))).astype(np.int64), gains


def lone_return(room: Room, rate_hz: float) -> float:
    """Return the power at which the bare network gives back a steady noise of the same power on both sides.

    Every line takes in 1/16 of each side's power and gives back, mixed, the mean share ``m`` that the lines let
    through: m / (1 − m) · 2/16. A decay so short that the lines hardly come round counts as a longer one.
    """
    delays = line_frames(room.size_m, rate_hz)
    m = max(_LEAST_RETURN, float(np.mean(10.0 ** (-6.0 * delays / (rate_hz * room.mid_s)))))
    return m / (1.0 - m) / PAIRS


def _shelf(
    tan: float, root_a: NDArray[np.float64], *, high: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return g and the mix m0, m1, m2 of the trapezoidal state-variable shelf with amplitude ``root_a``⁴ at its end.

    A. Simper, "Solving the continuous SVF equations using trapezoidal integration", Cytomic 2013; Q = 1/√2, so that
    |H|² is (A² + Ω⁴) / (1 + A² Ω⁴) · A², half the gain in dB at Ω = 1 ("Audio EQ Cookbook").
    """
    a, k = root_a**2, math.sqrt(2.0)
    one = np.ones_like(a)
    if high:
        return tan * root_a, a * a, k * (1.0 - a) * a, one - a * a
    return tan / root_a, one, k * (a - 1.0), a * a - one


def filter_rows(room: Room, rate_hz: float) -> NDArray[np.float64]:
    """Return the lines' filters (12, lines): a low and a high shelf, each the six numbers of its state equations.

    ``[d, c1, c2, p, q, h]`` with v = x − s2, y = d·x + c1·s1 + c2·s2, s1' = p·s1 + q·v, s2' = s2 + q·s1 + h·v, of the
    trapezoidal state-variable form (``dsp.filters.svf``).
    Their product is 10^(−3 d / (fs · T)) with T = ``low_s``, ``mid_s`` and ``high_s`` in the three bands.
    """
    delays = line_frames(room.size_m, rate_hz)

    def loss_db(seconds: float) -> NDArray[np.float64]:
        return delays.astype(np.float64) * (-60.0 / (rate_hz * seconds))

    middle = loss_db(room.mid_s)
    rows = []
    for seconds, freq_hz, high in ((room.low_s, room.low_hz, False), (room.high_s, room.high_hz, True)):
        tan = math.tan(math.pi * min(freq_hz / rate_hz, 0.49))
        g, m0, m1, m2 = _shelf(tan, 10.0 ** ((loss_db(seconds) - middle) / 80.0), high=high)
        u1 = 1.0 / (1.0 + g * (g + math.sqrt(2.0)))
        u2 = g * u1
        u3 = g * u2
        broad = 1.0 if high else 10.0 ** (middle / 20.0)
        rows += [
            broad * (m0 + m1 * u2 + m2 * u3),
            broad * (m1 * u1 + m2 * u2),
            broad * (m2 * (1.0 - u3) - m1 * u2),
            2.0 * u1 - 1.0,
            2.0 * u2,
            2.0 * u3,
        ]
    return np.array(rows)
