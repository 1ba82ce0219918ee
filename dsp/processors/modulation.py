"""Chorus, flanger and phaser: a copy of the sound whose delay or phase swings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.lfo import Lfo, Swept
from dsp.processor import Block, Glide, choice, number
from dsp.ramp import ramp
from dsp.sidechain import check_channels

__all__ = ["LEAST_FRAMES", "SLIDE", "Chorus", "Flanger", "Phaser", "loop_frames", "rings", "sinc_table"]

_CHUNK_FRAMES = 256

LEAST_FRAMES = 9.0
"""Shortest delay of ``sweep_delays``: eight frames on the newer side of it are part of its interpolation."""

SLIDE = 8.0
"""Frames that a delay takes at least to change by one: nothing is then out of tune by more than two semitones."""


@dataclass(frozen=True)
class _Delayed(Swept):
    """Copies that are ``delay_ms`` late, give or take ``depth_ms``."""

    delay_ms: float = number(15.0, 1.0, 50.0, "ms", scale="log")
    depth_ms: float = number(3.0, 0.0, 25.0, "ms")
    feedback_percent: float = number(0.0, -95.0, 95.0, "%")
    mix_percent: float = number(50.0, 0.0, 100.0, "%")

    @property
    def copies(self) -> int:
        """How many."""
        return 1

    def start(self, rate_hz: float, channels: int) -> RunningDelays:
        """Return it running."""
        return RunningDelays(self, rate_hz, channels)


@dataclass(frozen=True)
class Chorus(_Delayed):
    """One to four copies of the sound that are ``delay_ms`` late, give or take ``depth_ms``, and so out of tune.

    The copies of a channel stand evenly around the turn. Together they are as loud as one where they have nothing in
    common; ``feedback_percent`` of their sum goes back in. ``mix_percent`` 0 passes bit for bit.
    """

    kind: ClassVar[str] = "chorus"

    voices: int = choice(2, 1, 2, 3, 4)

    @property
    def copies(self) -> int:
        """The voices."""
        return self.voices


@dataclass(frozen=True)
class Flanger(_Delayed):
    """The sound and a copy ``delay_ms`` later, give or take ``depth_ms``: a comb that sweeps.

    The copy is never less than nine frames late. ``feedback_percent`` of it goes back in and makes the comb sharp.
    ``mix_percent`` 0 passes bit for bit; at 50 the notches are deepest.
    """

    kind: ClassVar[str] = "flanger"

    rate_hz: float = number(0.2, 0.01, 20.0, "Hz", scale="log")
    shape: str = choice("triangle", "sine", "triangle", "square", "ramp")
    delay_ms: float = number(2.0, 0.1, 20.0, "ms", scale="log")
    depth_ms: float = number(1.5, 0.0, 10.0, "ms")
    feedback_percent: float = number(50.0, -95.0, 95.0, "%")


def rings(channels: int, most_ms: float, rate_hz: float) -> NDArray[np.float64]:
    """Return empty rings for delays of up to ``most_ms``, as ``sweep_delays`` takes them."""
    return np.zeros((channels, (1 << (math.ceil(most_ms * rate_hz / 1000.0) + 32).bit_length()) + 16))


@cache
def sinc_table() -> NDArray[np.float64]:
    """Return the weights of ``sweep_delays``: Kaiser-windowed sincs of 16 taps, for every 256th of a frame.

    With β = 8 their error is below −84 dB to 10 kHz and −74 dB to 16 kHz at 48 kHz; at 18 kHz they are 0.13 dB down.
    Going straight from one row to the next is within 6e-6 of them. The first and the last row are one frame alone.
    """
    offset = np.arange(16) - 7.0 - np.arange(257)[:, None] / 256.0
    window = np.i0(8.0 * np.sqrt(np.clip(1.0 - (offset / 8.0) ** 2, 0.0, 1.0)))
    table: NDArray[np.float64] = np.sinc(offset) * window
    table[[0, -1]] = np.round(np.sinc(offset[[0, -1]]))
    table /= table.sum(axis=1, keepdims=True)
    return table


def loop_frames(feedback: float, longest: float) -> int:
    """Return how long a loop of ``longest`` frames sounds until it is 120 dB down, at the ``feedback`` it has."""
    around = 1.0 if feedback == 0.0 else 1.0 + math.log(1e-6) / math.log(min(abs(feedback), 0.999))
    return math.ceil(around * longest) + 9


class RunningDelays:
    """Swept delays of both channels from one ring each."""

    latency_frames = 0

    def __init__(self, settings: _Delayed, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._rate_hz, self._channels = rate_hz, channels
        self._run = library("modulation").sweep_delays.bind(*[None] * 9)
        self._voices = settings.copies
        most = sum(p.high for p in settings.parameters() if p.name in ("delay_ms", "depth_ms"))
        self._rings, self._table, self._work = rings(channels, most, rate_hz), sinc_table(), np.zeros(8)
        self._position = np.zeros(1, dtype=np.int64)
        self._longest = self._feedback = 0.0
        lfo, mix, gains = self._rows(settings)
        self._lfo, self._mix, self._gains = Lfo(lfo, _CHUNK_FRAMES), Glide(mix), Glide(gains)
        self._voice_gains = np.zeros((channels * self._voices, _CHUNK_FRAMES))

    @property
    def tail_frames(self) -> int:
        """As often around as the feedback lets it be heard."""
        return loop_frames(self._feedback, self._longest)

    def _rows(self, settings: _Delayed) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        frames = self._rate_hz / 1000.0
        delay = max(settings.delay_ms * frames, LEAST_FRAMES)
        depth = min(settings.depth_ms * frames, delay - LEAST_FRAMES)
        self._longest = delay + depth
        self._feedback = settings.feedback_percent / 100.0
        count = settings.copies
        level = 1.0 / math.sqrt(count)
        # Voices that are not used stand where the last one stands, without gain.
        offsets = [
            min(voice, count - 1) / count + channel * settings.spread_deg / 360.0
            for channel in range(self._channels)
            for voice in range(self._voices)
        ]
        gains = [level if voice < count else 0.0 for voice in range(self._voices)] * self._channels
        wet = settings.mix_percent / 100.0
        mix = np.array([1.0 - wet, wet, self._feedback * level])
        return settings.row(self._rate_hz, delay, depth, offsets), mix, np.array(gains)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Add the copies."""
        for start in range(0, len(block), _CHUNK_FRAMES):
            part = block[start : start + _CHUNK_FRAMES]
            n = len(part)
            delays = self._lfo.run(n)
            self._voice_gains[:, :n] = ramp(self._gains, n).T
            knots, first = self._mix.knots(n)
            self._run(
                part,
                delays,
                self._voice_gains,
                knots,
                first,
                self._table,
                self._rings,
                self._position,
                self._work,
            )

    def change(self, settings: _Delayed, frames: int) -> None:
        """Go to other settings, delays no faster than ``SLIDE``; a voice that comes or goes does so by its gain."""
        if settings.copies > self._voices:
            self._more_voices(settings.copies)
        lfo, mix, gains = self._rows(settings)
        self._lfo.to(lfo, max(frames, math.ceil(SLIDE * np.sum(np.abs(lfo - self._lfo.now)[1:3]))))
        self._mix.to(mix, frames)
        self._gains.to(gains, frames)

    def _more_voices(self, count: int) -> None:
        """Make room for ``count`` voices in each channel, those that are new without gain."""
        more = count - self._voices
        self._lfo.widen(self._channels, more)
        now = self._gains.now.reshape(self._channels, self._voices)
        self._gains = Glide(np.pad(now, ((0, 0), (0, more))).ravel())
        self._voices = count
        self._voice_gains = np.zeros((self._channels * count, _CHUNK_FRAMES))

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._rings[:] = 0.0
        self._position[0] = 0
        self._lfo.reset()
        self._mix, self._gains = Glide(self._mix.target), Glide(self._gains.target)


_STAGES = (4, 6, 8, 10, 12)
_HIGHEST = 0.36
"""log2(π f / rate) of the highest frequency that a stage turns by 90°, 0.41 of the rate."""


@dataclass(frozen=True)
class Phaser(Swept):
    """The sound and a copy whose phase is turned by ``stages`` all-passes; half as many notches sweep along.

    Every stage turns ``centre_hz`` by 90°, give or take ``depth_octaves``. ``feedback_percent`` of the copy goes back
    in. ``mix_percent`` 0 passes bit for bit; at 50 the notches are deepest.
    """

    kind: ClassVar[str] = "phaser"

    rate_hz: float = number(0.3, 0.01, 20.0, "Hz", scale="log")
    stages: int = choice(6, *_STAGES)
    centre_hz: float = number(800.0, 50.0, 5000.0, "Hz", scale="log")
    depth_octaves: float = number(1.5, 0.0, 4.0, "octaves")
    feedback_percent: float = number(30.0, -95.0, 95.0, "%")
    mix_percent: float = number(50.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> RunningPhaser:
        """Return it running."""
        return RunningPhaser(self, rate_hz, channels)


class RunningPhaser:
    """All-passes, as many as were ever asked for; the settings say after which of them is listened."""

    latency_frames = 0

    def __init__(self, settings: Phaser, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._rate_hz, self._channels = rate_hz, channels
        self._run = library("modulation").sweep_phase
        self._settings, self._stages = settings, settings.stages
        self._states = np.zeros((channels, 13))
        self._position = np.zeros(1, dtype=np.int64)
        self._lfo, self._mix = Lfo(self._row(settings), _CHUNK_FRAMES), Glide(_mix(settings))

    @property
    def tail_frames(self) -> int:
        """What the stages ring at the lowest frequency, as often around as the feedback lets it be heard.

        A stage delays low frequencies by rate / (π f), and rings with e^{−2π f t}.
        """
        s = self._settings
        slowest = self._rate_hz / (2.0 * math.pi * s.centre_hz) * 2.0**s.depth_octaves
        return loop_frames(s.feedback_percent / 100.0, (2.0 * s.stages + math.log(1e6)) * slowest)

    def _row(self, settings: Phaser) -> NDArray[np.float64]:
        middle = min(math.log2(math.pi * settings.centre_hz / self._rate_hz), _HIGHEST)
        depth = min(settings.depth_octaves, _HIGHEST - middle)
        return settings.row(self._rate_hz, middle, depth, [0.0, settings.spread_deg / 360.0][: self._channels])

    def process(self, block: Block, key: Block | None = None) -> None:
        """Turn the phase and mix."""
        for start in range(0, len(block), _CHUNK_FRAMES):
            part = block[start : start + _CHUNK_FRAMES]
            tunes = self._lfo.run(len(part))
            knots, first = self._mix.knots(len(part))
            self._run(part, tunes, self._stages, knots, first, self._states, self._position)

    def change(self, settings: Phaser, frames: int) -> None:
        """Go to other settings; between numbers of stages it fades."""
        self._settings, self._stages = settings, max(self._stages, settings.stages)
        self._lfo.to(self._row(settings), frames)
        self._mix.to(_mix(settings), frames)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._states[:] = 0.0
        self._position[0] = 0
        self._stages = self._settings.stages
        self._lfo.reset()
        self._mix = Glide(self._mix.target)


def _mix(settings: Phaser) -> NDArray[np.float64]:
    wet = settings.mix_percent / 100.0
    return np.array(
        [1.0 - wet, wet, settings.feedback_percent / 100.0, *(float(settings.stages == n) for n in _STAGES)]
    )
