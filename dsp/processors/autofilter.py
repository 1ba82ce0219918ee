"""The auto-filter: a resonant filter that the level, a low-frequency oscillator or both move in octaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.lfo import Lfo, lfo_row
from dsp.processor import STEP_FRAMES, Block, Glide, Settings, choice, number
from dsp.processors.equaliser import CHUNK_FRAMES, decay_frames
from dsp.processors.follower import Follower, follower_row, stretches

__all__ = ["AutoFilter", "RunningAutoFilter", "swing_row"]

_PASSES = {"low_pass": (1.0, 0.0, 0.0), "band_pass": (0.0, 1.0, 0.0), "high_pass": (0.0, 0.0, 1.0)}
"""Shares of low, band and high pass; with all three at 1 a section passes everything."""

_SECOND_Q = 0.5412
"""Q of the second section: with 1.307 in the first, 24 dB per octave are Butterworth's."""

_MOST_KNOTS = 512
_LOWEST_HZ, _HIGHEST_RATIO = 10.0, 0.45
_WINDOW_S = 2e-3


@dataclass(frozen=True)
class AutoFilter(Settings):
    """A 12 or 24 dB low, band or high pass at ``freq_hz`` times 2 to the octaves that move it.

    The envelope is 0 for a level (of the louder channel, or the key) up to ``threshold_db`` and 1 at 0 dBFS, straight
    in dB, and follows with ``attack_ms`` and ``release_ms`` (63 %); it moves by ``envelope_octaves``. The oscillator
    goes from −1 to 1, ``lfo_hz`` times a second or, where ``lfo_beats`` is not 0, once in so many beats of
    ``tempo_bpm``, at most 200 times a second; it begins in the middle, upwards, and moves by ``lfo_octaves``.
    ``mix_percent`` 0 passes every bit. The frequency stays within 10 Hz and 0.45 of the sample rate.
    """

    kind: ClassVar[str] = "autofilter"

    shape: str = choice("low_pass", *_PASSES)
    db_per_octave: int = choice(12, 12, 24)
    freq_hz: float = number(500.0, 20.0, 20_000.0, "Hz", scale="log")
    q: float = number(2.0, 0.5, 20.0, scale="log")
    envelope_octaves: float = number(3.0, -8.0, 8.0, "octaves")
    threshold_db: float = number(-40.0, -80.0, -6.0, "dBFS")
    attack_ms: float = number(5.0, 0.5, 500.0, "ms", scale="log")
    release_ms: float = number(150.0, 5.0, 5000.0, "ms", scale="log")
    lfo: str = choice("sine", "sine", "triangle", "saw_up", "saw_down", "square")
    lfo_octaves: float = number(0.0, 0.0, 8.0, "octaves")
    lfo_hz: float = number(1.0, 0.01, 20.0, "Hz", scale="log")
    lfo_beats: float = number(0.0, 0.0, 64.0, "beats")
    tempo_bpm: float = number(120.0, 20.0, 400.0, "bpm", scale="log")
    mix_percent: float = number(100.0, 0.0, 100.0, "%")

    @property
    def turns_hz(self) -> float:
        """How often a second the oscillator turns."""
        return min(self.tempo_bpm / (60.0 * self.lfo_beats), 200.0) if self.lfo_beats > 0.0 else self.lfo_hz

    def start(self, rate_hz: float, channels: int) -> RunningAutoFilter:
        """Return it running at any rate."""
        return RunningAutoFilter(self, rate_hz, channels)


def swing_row(lfo: str, turns_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """Return the row of an ``Lfo`` (−1..1, from 0 upwards) that runs at ``rate_hz``.

    A saw that falls is a ramp upside down; both begin where they are in the middle and rise.
    """
    shape = "ramp" if lfo.startswith("saw") else lfo
    made = lfo_row(turns_hz, rate_hz, 0.0, -1.0 if lfo == "saw_down" else 1.0, [0.0], shape)
    edge = made[7]
    made[8] = {"saw_up": 0.5 - 0.5 * edge, "saw_down": 1.0 - 0.5 * edge}.get(lfo, 0.0)
    return made


class RunningAutoFilter:
    """Two trapezoidal state-variable sections with a knot at every 16th frame; changes begin at the next knot."""

    latency_frames = 0

    def __init__(self, settings: AutoFilter, rate_hz: float, channels: int) -> None:
        self._rate_hz = rate_hz
        self._run = library("sections").run_sections.bind(*[None] * 6)
        self._work = np.zeros((2, CHUNK_FRAMES))
        self._states = np.zeros((2, 2, 2))
        self._pending: tuple[AutoFilter, int] | None = None
        self._settings = settings
        self._glide = Glide(self._row(settings))
        self._follower = Follower(self._follower_row(settings))
        self._position = 0
        self._begin_swing()

    @staticmethod
    def _row(s: AutoFilter) -> NDArray[np.float64]:
        second = _PASSES[s.shape] if s.db_per_octave == 24 else (1.0, 1.0, 1.0)
        return np.array(
            [
                math.log2(s.freq_hz),
                1.0 / s.q,
                s.envelope_octaves,
                s.lfo_octaves,
                0.01 * s.mix_percent,
                *_PASSES[s.shape],
                *second,
            ]
        )

    def _follower_row(self, s: AutoFilter) -> NDArray[np.float64]:
        return follower_row(
            np.array([1.0, 1.0, 1.0, 0.0, 0.0]),
            _WINDOW_S,
            self._rate_hz,
            threshold_db=s.threshold_db,
            slope=-1.0 / s.threshold_db,
            most=1.0,
            attack_ms=s.attack_ms,
            release_ms=s.release_ms,
        )[None]

    @property
    def tail_frames(self) -> int:
        """How long it rings at its lowest frequency."""
        s = self._settings
        octaves = max(0.0, -s.envelope_octaves) + s.lfo_octaves
        row = self._sections(np.array([math.log2(s.freq_hz) - octaves]), self._row(s)[None])
        return decay_frames(row[0, :10].reshape(2, 5))

    def _sections(self, octaves: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the compiled loop takes (K, 14), at log2 frequencies [Hz] and rows (K, 11)."""
        freqs = np.clip(2.0**octaves, _LOWEST_HZ, _HIGHEST_RATIO * self._rate_hz)
        made = np.zeros((len(octaves), 14))
        made[:, 0] = made[:, 5] = np.tan(math.pi * freqs / self._rate_hz)
        made[:, 1], made[:, 6] = rows[:, 1], 1.0 / _SECOND_Q
        for at, shares in ((0, rows[:, 5:8]), (5, rows[:, 8:11])):
            low, band, high = shares.T
            made[:, at + 2], made[:, at + 3], made[:, at + 4] = high, made[:, at + 1] * (band - high), low - high
        made[:, 10] = made[:, 13] = rows[:, 4]
        return made

    def process(self, block: Block, key: Block | None = None) -> None:
        """Filter the block as its level, or the key's, and the oscillator say."""
        waiting = self._pending
        for start, stop in stretches(len(block), self._position, waits=waiting is not None):
            if waiting is not None and self._position % STEP_FRAMES == 0:
                self._begin(*waiting)
                waiting = self._pending = None
            part = block[start:stop]
            self._next(part, part if key is None else key[start:stop])

    def _next(self, block: Block, heard: Block) -> None:
        first = self._position % STEP_FRAMES
        envelope = self._follower.knots(heard, self._position)[0]
        rows, _ = self._glide.knots(len(block))
        if len(rows) != len(envelope):
            rows = np.broadcast_to(rows[0], (len(envelope), rows.shape[1]))
        swing = self._swing(len(envelope))
        knots = self._sections(rows[:, 0] + rows[:, 2] * envelope + rows[:, 3] * swing, rows)
        self._run(block, knots, first, self._position, self._states, self._work)
        self._position += len(block)

    def _swing_row(self, s: AutoFilter) -> NDArray[np.float64]:
        return swing_row(s.lfo, s.turns_hz, self._rate_hz / STEP_FRAMES)

    def _begin_swing(self) -> None:
        self._lfo = Lfo(self._swing_row(self._settings), _MOST_KNOTS)
        self._swings, self._swung = np.zeros(2), 0

    def _swing(self, count: int) -> NDArray[np.float64]:
        """Return the oscillator at ``count`` knots, the first at or before the present frame."""
        parts = [self._swings]
        more = self._position // STEP_FRAMES + count - self._swung
        for start in range(0, more, _MOST_KNOTS):
            n = min(_MOST_KNOTS, more - start)
            parts.append(self._lfo.run(n)[0, :n].copy())
        swings = np.concatenate(parts)
        self._swings, self._swung = swings[-2:], self._swung + more
        return swings[len(swings) - count :]

    def _begin(self, settings: AutoFilter, frames: int) -> None:
        self._settings = settings
        self._lfo.to(self._swing_row(settings), frames // STEP_FRAMES)
        self._follower = self._follower.resized(self._follower_row(settings))
        self._glide.to(self._row(settings), frames)

    def change(self, settings: AutoFilter, frames: int) -> None:
        """Go to other settings, from the next knot on; the oscillator goes on from where it is."""
        self._pending = settings, frames

    def reset(self) -> None:
        """Forget what was heard, and stand where the settings were going."""
        if self._pending is not None:
            self._settings, self._pending = self._pending[0], None
        self._states[:] = 0.0
        self._glide = Glide(self._row(self._settings))
        self._follower = Follower(self._follower_row(self._settings))
        self._position = 0
        self._begin_swing()
