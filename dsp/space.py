"""The reverb: first reflections and a sixteen-line feedback delay network whose decay is set band by band.

J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial reverberators", AES 90th Convention, 1991:
a lossless feedback matrix, here Hadamard's after slow rotations of pairs of lines, and in every line a filter that
makes all lines die at one rate. Rotations that change with time keep the energy and break up the modes that would ring
(S. J. Schlecht and E. A. P. Habets, "Time-varying feedback matrices in feedback delay networks and their application
in artificial reverberation", JASA 138, 2015). ``dsp.room`` holds the design, ``dsp.kernels.reverb`` the loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.fade import Fade
from dsp.kernels.compiled import library
from dsp.processor import STEP_FRAMES, Glide
from dsp.room import (
    LARGEST_M,
    LINES,
    PAIRS,
    REFLECTIONS,
    Room,
    diffuser_frames,
    filter_rows,
    line_frames,
    lone_return,
    reflections,
)

__all__ = ["Network", "ReverbSettings"]

_F32 = NDArray[np.float32]
_F64 = NDArray[np.float64]

_LONGEST_PREDELAY_S = 0.5

_SPARE_FRAMES = 512
"""What the lines remember beyond what is heard of them, so that a larger room can come up softly."""

_ALL_PASS = 0.8
"""Coefficient of the diffusers at full diffusion; M. R. Schroeder took 0.7 (JAES 10, 1962)."""

_FARTHEST = 1.5
"""Tangent of half the angle of the lines' rotation at full modulation."""

_MODULATION_FRAMES = 256
"""Frames between two looks at the slow oscillators; the rotation goes straight between them."""

_SPREAD = 0.35
"""The slow oscillators run this much apart in octaves, so that they never fall in step."""

_ORDER = tuple((5 * k + 3) % LINES for k in range(LINES))
"""Where the k-th output of the matrix goes: the way from line i to j must not mirror that from j to i."""

_INTO_LEFT, _INTO_RIGHT = 0b0110_0010_1011_1001, 0b1100_0101_0111_0010
"""Signs with which the two sides enter the lines, one bit a line."""

_GAINS = 2 * PAIRS
"""Where the gains begin in the kernel's row."""

_FILTER_WORDS = 2 * 6 * LINES
_STATE_WORDS = 2 * 2 * LINES

_GLIDE_S = 0.03
"""Shortest way from one room to another: what it adds to a low sine above ten times its frequency is below −60 dB."""


def _signs(bits: int) -> _F64:
    return np.array([1.0 if bits >> k & 1 else -1.0 for k in range(LINES)])


def _one_pole(freq_hz: float, rate_hz: float) -> float:
    """Return a of y += a · (x − y), a low-pass with −3 dB at ``freq_hz``: |H|² = a² / (1 + (1−a)² − 2 (1−a) cos ω)."""
    c = math.cos(2.0 * math.pi * min(freq_hz / rate_hz, 0.5))
    return c - 1.0 + math.sqrt(c * c - 4.0 * c + 3.0)


def _rings(rows: int, longest: float) -> _F32:
    """Return rows of a power of two frames and one step more, which repeats the first."""
    return np.zeros((rows, (1 << int(longest + 2 * STEP_FRAMES).bit_length()) + STEP_FRAMES), dtype=np.float32)


def _grown(rings: _F32, longest: float, position: int, heard: float) -> _F32:
    """Return the lines with what they hold at frame ``position``, longer where ``longest`` needs that.

    What they hold no more was sound too: what is left beyond the ``heard`` delays comes up softly from silence.
    """
    new = (int(longest) // STEP_FRAMES + 3) * STEP_FRAMES
    old = rings.shape[1] - STEP_FRAMES
    if new <= old:
        return rings
    wanted = np.zeros((len(rings), new + STEP_FRAMES), dtype=np.float32)
    written = -(-position // STEP_FRAMES) * STEP_FRAMES
    frames = np.arange(written - old, written)
    rise = np.minimum(np.arange(old) / max(1.0, old - heard - 2 * STEP_FRAMES), 1.0)
    wanted[:, frames % new] = rings[:, frames % old] * (rise * rise * (3.0 - 2.0 * rise))
    wanted[:, new:] = wanted[:, :STEP_FRAMES]
    return wanted


class Network:
    """A running room at ``rate_hz``; deterministic, and the same samples for any cut into blocks."""

    def __init__(self, room: Room, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self.room = room
        self._glide = Glide(self._row(room))
        self._shape = Fade(room.shape)
        self._box = np.zeros((4, STEP_FRAMES), dtype=np.float32)
        self._predelays = _rings(2, _LONGEST_PREDELAY_S * rate_hz)
        self._earlies = _rings(2, float(np.max(reflections(LARGEST_M, rate_hz)[0])))
        self._lines = np.zeros((LINES, 2 * STEP_FRAMES), dtype=np.float32)
        self._diffusers = _rings(2 * 4, float(np.max(diffuser_frames(rate_hz))))
        self._position = np.zeros(1, dtype=np.int64)
        self._delays = np.zeros((2, 48 + 2 * LINES), dtype=np.int64)
        self._gains = np.zeros((4, 2 * REFLECTIONS), dtype=np.float32)
        self._gains[:2] = reflections(room.size_m, rate_hz)[1]
        self._gains[2, :LINES] = 0.25 * _signs(_INTO_LEFT)
        self._gains[3, :LINES] = 0.25 * _signs(_INTO_RIGHT)
        self._row_now = np.zeros(self._glide.target.shape, dtype=np.float32)
        self._filters = np.zeros(2 * (_FILTER_WORDS + _STATE_WORDS), dtype=np.float32)
        self._state = np.zeros(80, dtype=np.float32)
        self._work = np.zeros(896, dtype=np.float32)
        self._work[512:528] = np.arange(STEP_FRAMES) / STEP_FRAMES
        self._fit(room)
        self.reset()

    def _fit(self, room: Room) -> None:
        """Make the lines long enough for ``room``, and hardly longer: all of a ring has to stay in the cache."""
        rooms = (room, self._shape.here, self._shape.there)
        longest, *heard = (float(np.max(line_frames(r.size_m, self._rate_hz))) for r in rooms)
        self._lines = _grown(self._lines, longest + _SPARE_FRAMES, int(self._position[0]), max(heard))
        self._run = library("reverb").reverberate.bind(
            None,
            None,
            None,
            self._box,
            self._predelays,
            self._diffusers,
            self._earlies,
            self._lines,
            self._position,
            self._delays,
            self._gains,
            None,
            None,
            None,
            None,
            self._row_now,
            self._filters,
            self._state,
            self._work,
        )

    @property
    def tail_frames(self) -> int:
        """Frames in which the slowest band falls by 120 dB, after the predelay, the diffusers and the first lines."""
        room = self.room
        seconds = 2.0 * max(room.low_s, room.mid_s, room.high_s) + room.predelay_ms / 1000.0
        around = int(np.max(line_frames(room.size_m, self._rate_hz)) + 4 * np.max(diffuser_frames(self._rate_hz)))
        return math.ceil(seconds * self._rate_hz) + around + 4 * STEP_FRAMES

    def _row(self, room: Room) -> _F64:
        """Return the kernel's row: slow oscillators, gains."""
        rate_hz = self._rate_hz
        turn_hz = room.modulation_hz * 2.0 ** (_SPREAD * (np.arange(PAIRS) - PAIRS / 2.0))
        turn = 2.0 * math.pi * turn_hz * (_MODULATION_FRAMES / rate_hz)
        # What the lines take in sets the level, not what is heard of them: then no change of decay lifts an old tail.
        into = 1.0 / math.sqrt(lone_return(room, rate_hz))
        same, other = 0.5 * (1.0 + room.width), 0.5 * (1.0 - room.width)
        power = math.hypot(same, other)
        same, other = same / power, other / power
        gains = np.zeros(16)
        gains[:10] = (
            _ALL_PASS * room.diffusion,
            room.early_gain * same,
            room.early_gain * other,
            room.late_gain * same,
            room.late_gain * other,
            room.dry_gain,
            _FARTHEST * room.modulation,
            1.0 if room.high_cut_hz is None else _one_pole(room.high_cut_hz, rate_hz),
            0.0 if room.low_cut_hz is None else _one_pole(room.low_cut_hz, rate_hz),
            into,
        )
        return np.concatenate([np.cos(turn), np.sin(turn), gains])

    def _set_rooms(self) -> None:
        """Lay out delays and filters of what is heard and, while that is faded, of what is faded to."""
        for side, room in enumerate((self._shape.here, self._shape.there)):
            delays = self._delays[side]
            delays[0] = STEP_FRAMES + round(room.predelay_ms * self._rate_hz / 1000.0)
            delays[1:9] = diffuser_frames(self._rate_hz)
            delays[16 : 16 + 2 * REFLECTIONS] = reflections(room.size_m, self._rate_hz)[0]
            delays[48 : 48 + LINES] = line_frames(room.size_m, self._rate_hz)
            delays[48 + LINES :] = np.array(_ORDER) * self._lines.shape[1]
            filters = filter_rows(room, self._rate_hz)
            filters[:3] *= 0.25  # 1/√16 makes the Hadamard matrix orthonormal
            self._filters[side * _FILTER_WORDS : (side + 1) * _FILTER_WORDS] = filters.ravel()

    def _fade(self, steps: int) -> None:
        """Pass ``steps`` of a fade; at its end the room that was faded to is the one that is heard."""
        self._shape.advance(steps)
        if self._shape.done == 0:
            states = self._filters[2 * _FILTER_WORDS :]
            states[:_STATE_WORDS] = states[_STATE_WORDS:]
            states[_STATE_WORDS:] = 0.0
            self._set_rooms()

    def process(self, block: _F32) -> None:
        """Replace the next frames of ``block`` (n, channels) by themselves times the dry gain plus the room.

        One channel is heard from both sides, and gets what comes back to the left.
        """
        start = 0
        while start < len(block):
            m, steps = self._shape.stretch_in_steps(len(block) - start, int(self._position[0]), STEP_FRAMES)
            knots, first = self._glide.knots(m)
            self._run(block, start, start + m, self._shape.done, self._shape.frames, knots, first)
            if self._shape.frames and steps:
                self._fade(steps)
            start += m

    def change(self, room: Room, frames: int) -> None:
        """Go to ``room`` over ``frames`` frames, at least 30 ms; another size, predelay or decay is cross-faded."""
        self.room = room
        frames = max(frames, round(_GLIDE_S * self._rate_hz))
        self._glide.to(self._row(room), frames)
        if room.shape != self._shape.target:
            self._fit(room)
            self._shape.to(room.shape, -(-frames // STEP_FRAMES))
            self._set_rooms()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._glide = Glide(self._glide.target)
        self._shape.finish()
        for memory in (self._box, self._predelays, self._diffusers, self._earlies, self._lines, self._state):
            memory[:] = 0.0
        self._filters[:] = 0.0
        self._set_rooms()
        self._row_now[:] = self._glide.target
        self._state[16:32] = self._row_now[_GAINS:]
        self._position[0] = 0
        # The slow oscillators start spread around their circle, the rotations at rest.
        phase = 2.0 * math.pi * (np.arange(PAIRS) * 0.618034 % 1.0)
        self._state[:8], self._state[8:16] = np.cos(phase), np.sin(phase)
        self._state[32:40] = 1.0


@dataclass(frozen=True)
class ReverbSettings:
    """Settings of the mix's reverb.

    ``decay_s`` 0.1..60: time to −60 dB at low frequencies; ``predelay_ms`` 0..500; ``damping_hz`` ≥ 100: where the
    tail dies twice as fast; ``return_db`` −∞..+24: the level at which a steady noise well below
    ``damping_hz``, sent at 0 dB, comes back. Raises DspError outside of these.
    """

    decay_s: float = 1.8
    predelay_ms: float = 20.0
    damping_hz: float = 6000.0
    return_db: float = 0.0

    def __post_init__(self) -> None:
        ranges = (
            ("decay", self.decay_s, 0.1, 60.0, " s"),
            ("predelay", self.predelay_ms, 0.0, 500.0, " ms"),
            ("damping", self.damping_hz, 100.0, 1e6, " Hz"),
            ("return", self.return_db, -math.inf, 24.0, " dB"),
        )
        for name, value, low, high, unit in ranges:
            if not low <= value <= high:
                raise DspError(f"reverb {name} {value:g}{unit} is outside {low:g}..{high:g}{unit}")

    def room(self, rate_hz: float) -> Room:
        """Return the room they ask for, without the dry sound; a longer decay is that of a larger room."""
        gain = 10.0 ** (self.return_db / 20.0)
        damped = self.damping_hz < 0.45 * rate_hz
        return Room(
            size_m=min(max(15.0 * self.decay_s**0.5, 4.0), 40.0),
            predelay_ms=self.predelay_ms,
            low_s=self.decay_s,
            mid_s=self.decay_s,
            # Half-way to three times the rate is twice the rate.
            high_s=self.decay_s / 3.0 if damped else self.decay_s,
            low_hz=200.0,
            high_hz=min(self.damping_hz, 0.45 * rate_hz),
            early_gain=gain * math.sqrt(_EARLY),
            late_gain=gain * math.sqrt(1.0 - _EARLY),
            dry_gain=0.0,
        )


_EARLY = 0.15
"""The first reflections' share of the returned power."""
