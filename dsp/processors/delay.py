"""Delays: the plain one that aligns a channel, and the one that repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.delay import LATENCY_FRAMES, TAPS, sinc_taps
from dsp.errors import DspError
from dsp.fade import Fade
from dsp.kernels.compiled import library
from dsp.processor import STEP_FRAMES, Block, Glide, Settings, choice, number, switch

__all__ = ["Align", "Delay"]

_FADE_S = 0.02
"""Shortest cross-fade between two delays: what it smears lies below the 50 Hz of a click's thump."""

_MOST_ALIGN_MS = 1000.0

_GUARD_FRAMES = 64
"""Frames at a ring's end that repeat those at its start."""


@dataclass(frozen=True)
class Align(Settings):
    """A delay by any fraction of a sample, the same for all channels: lines up microphones, paths and speakers.

    ``delay_ms`` 0..1000. A delay of whole samples copies them bit for bit; any other goes through the windowed sinc of
    ``dsp.delay``. Latency is always that of the sinc, so that the delay can change while it runs; it then cross-fades
    (≥ 20 ms).
    """

    kind: ClassVar[str] = "align"

    delay_ms: float = number(0.0, 0.0, _MOST_ALIGN_MS, "ms")

    def start(self, rate_hz: float, channels: int) -> AlignProcessor:
        """Return it running."""
        return AlignProcessor(self, rate_hz, channels)


class AlignProcessor:
    """A running ``Align``."""

    latency_frames = LATENCY_FRAMES

    def __init__(self, settings: Align, rate_hz: float, channels: int) -> None:
        self._rate_hz = rate_hz
        self._fade = Fade(self._frames(settings))
        longest = math.ceil(_MOST_ALIGN_MS * rate_hz / 1000.0) + TAPS + _GUARD_FRAMES
        self._rings = np.zeros((channels, (1 << longest.bit_length()) + _GUARD_FRAMES), dtype=np.float32)
        self._position = np.zeros(1, dtype=np.int64)
        self._delays = np.zeros(2, dtype=np.int64)
        self._taps = np.zeros((2, TAPS))
        self._run = library("delay").align.bind(
            None,
            self._rings,
            self._position,
            self._delays,
            self._taps,
            None,
            None,
            np.zeros((3, _GUARD_FRAMES + TAPS)),
        )
        self._set_taps()

    @property
    def tail_frames(self) -> int:
        """The delay, and the sinc's skirts."""
        return math.ceil(max(self._fade.here, self._fade.target)) + TAPS - LATENCY_FRAMES

    def _frames(self, settings: Align) -> float:
        frames = settings.delay_ms * self._rate_hz / 1000.0
        # A delay asked for in ms that is meant to be whole: 1e-9 of a frame moves nothing.
        return float(round(frames)) if abs(frames - round(frames)) < 1e-9 else frames

    def _set_taps(self) -> None:
        for side, frames in enumerate((self._fade.here, self._fade.there)):
            whole = math.floor(frames)
            if frames == whole:
                self._delays[side] = whole + LATENCY_FRAMES
                self._taps[side] = math.nan
            else:
                self._delays[side] = whole
                self._taps[side] = sinc_taps(frames - whole)

    def process(self, block: Block, key: NDArray[np.float32] | None = None) -> None:
        """Delay the next (n, channels) in place."""
        start = 0
        while start < len(block):
            fade = self._fade
            m = fade.stretch(len(block) - start)
            self._run(block[start : start + m], fade.done, fade.frames)
            length = fade.frames
            fade.advance(m)
            if length and fade.done == 0:
                self._set_taps()
            start += m

    def change(self, settings: Align, frames: int) -> None:
        """Cross-fade to ``settings`` over ``frames``, at least 20 ms."""
        self._fade.to(self._frames(settings), max(frames, round(_FADE_S * self._rate_hz)))
        self._set_taps()

    def reset(self) -> None:
        """Forget what was heard."""
        self._fade.finish()
        self._set_taps()
        self._rings[:] = 0.0
        self._position[0] = 0


_NOTES = {
    f"1/{part}{mark}": 4.0 / part * length
    for part in (1, 2, 4, 8, 16, 32)
    for mark, length in ((".", 1.5), ("", 1.0), ("t", 2.0 / 3.0))
}
"""Note values in beats, a beat being a quarter note; dotted ones last half as long again, of triplets three for two."""

_MOST_DELAY_MS = 8000.0

_POINTS = 16
"""Frames that interpolate one between frames: flat within 0.01 dB to a third of the rate."""

_PHASES = 512

_KAISER = 7.0

_GLIDE_S = 0.05
"""Shortest way from one setting to another, and shortest cross-fade between two times."""

_FASTEST = 0.5
"""Frames by which a tape's head moves in a frame at most: what it plays meanwhile is up to a fifth too high, or an
octave too low."""

_MOTOR_S = 0.03
"""Time in which a tape's speed comes 63 % closer to what is wanted."""

_ATTACK_S = 0.02
"""Time in which the ducking's envelope rises by 63 %."""


@dataclass(frozen=True)
class Delay(Settings):
    """Echoes: a delay whose output, filtered, goes in again.

    ``note`` other than "free" takes the time from ``tempo_bpm`` (quarter notes a minute) instead of ``time_ms``: "1/8."
    is a dotted eighth, "1/4t" a quarter's triplet. Times are kept to the nearest frame. ``ping_pong`` sends the sum to
    the left, and every echo to the other side. ``feedback_percent``: amplitude that an echo passes on, below 100 %, so
    that no setting runs away. ``low_cut_hz`` and ``high_cut_hz``: second-order Butterworth filters that every echo
    passes. ``modulation_ms``: how far the time swings either way, ``modulation_hz`` how often, the sides a quarter
    apart. ``duck_db``: how much the echoes step back at most where the input (or the key) is above
    ``duck_threshold_db``, by as much as it is above; ``duck_release_ms`` until they have come back by 63 %. ``glide``:
    a new time is reached as a "tape" machine does, bending pitch, or by a cross-"fade". ``mix_percent``: 0 dry, 100
    wet, of equal power between.
    """

    kind: ClassVar[str] = "delay"

    time_ms: float = number(350.0, 1.0, _MOST_DELAY_MS, "ms", scale="log")
    note: str = choice("free", "free", *_NOTES)
    tempo_bpm: float = number(120.0, 20.0, 400.0, "bpm", scale="log")
    feedback_percent: float = number(35.0, 0.0, 98.0, "%")
    ping_pong: bool = switch()
    low_cut_hz: float = number(100.0, 10.0, 2000.0, "Hz", scale="log")
    high_cut_hz: float = number(8000.0, 500.0, 20_000.0, "Hz", scale="log")
    modulation_ms: float = number(0.0, 0.0, 10.0, "ms")
    modulation_hz: float = number(0.5, 0.01, 10.0, "Hz", scale="log")
    duck_db: float = number(0.0, 0.0, 40.0, "dB")
    duck_threshold_db: float = number(-30.0, -60.0, 0.0, "dB")
    duck_release_ms: float = number(300.0, 10.0, 2000.0, "ms", scale="log")
    width_percent: float = number(100.0, 0.0, 200.0, "%")
    glide: str = choice("tape", "tape", "fade")
    mix_percent: float = number(30.0, 0.0, 100.0, "%")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delay_ms > _MOST_DELAY_MS:
            raise DspError(
                f"delay note {self.note} at {self.tempo_bpm:g} bpm lasts {self.delay_ms / 1000.0:.1f} s",
                hint=f"the longest delay is {_MOST_DELAY_MS / 1000.0:g} s; take a shorter note",
            )

    @property
    def delay_ms(self) -> float:
        """The time between two echoes."""
        return self.time_ms if self.note == "free" else _NOTES[self.note] * 60_000.0 / self.tempo_bpm

    def start(self, rate_hz: float, channels: int) -> DelayProcessor:
        """Return it running; one channel has no other side to go to."""
        return DelayProcessor(self, rate_hz, channels)


@cache
def _interpolation() -> NDArray[np.float32]:
    """Return the weights of ``_POINTS`` frames for fractions 0, 1/512 … 1 before the frame in their middle.

    A Kaiser-windowed sinc (J. O. Smith and P. Gossett, ICASSP 1984), each row's sum being 1.
    """
    offset = np.arange(_POINTS) - (_POINTS // 2 - np.arange(_PHASES + 1)[:, None] / _PHASES)
    inside = np.clip(1.0 - (offset / (_POINTS / 2)) ** 2, 0.0, 1.0)
    weights = np.sinc(offset) * np.i0(_KAISER * np.sqrt(inside)) / np.i0(_KAISER)
    weights[np.abs(weights) < 1e-12] = 0.0  # a whole number of frames is a copy
    table: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


class DelayProcessor:
    """A running ``Delay``."""

    latency_frames = 0

    def __init__(self, settings: Delay, rate_hz: float, channels: int) -> None:
        self._settings = settings
        self._rate_hz = rate_hz
        self._glide = Glide(self._row(settings))
        self._time = Glide(np.array([float(self._frames(settings))]))
        self._fade = Fade(self._frames(settings))
        longest = math.ceil((_MOST_DELAY_MS + 20.0) * rate_hz / 1000.0) + _POINTS
        self._rings = np.zeros((channels, (1 << longest.bit_length()) + _POINTS), dtype=np.float32)
        self._position = np.zeros(1, dtype=np.int64)
        self._rows = np.zeros((2, 16))
        self._state = np.zeros(14)
        free = [None] * 4
        self._run = library("delay").echo.bind(
            *free,
            self._rings,
            self._position,
            _interpolation(),
            *free,
            *free,
            self._rows,
            np.zeros(6),
            self._state,
        )
        self.reset()

    @property
    def tail_frames(self) -> int:
        """The echoes until they are 120 dB down, and what the filters ring."""
        settings = self._settings
        share = settings.feedback_percent / 100.0
        echoes = 1 if share == 0.0 else 1 + math.ceil(120.0 / -(20.0 * math.log10(share)))
        away_ms = max(settings.delay_ms, self._fade.target * 1000.0 / self._rate_hz) + settings.modulation_ms
        return math.ceil(self._rate_hz * (echoes * away_ms / 1000.0 + 5.0 / settings.low_cut_hz))

    def _frames(self, settings: Delay) -> int:
        return max(1, round(settings.delay_ms * self._rate_hz / 1000.0))

    def _row(self, settings: Delay) -> NDArray[np.float64]:
        """Return the kernel's row."""
        angle = settings.mix_percent / 100.0 * math.pi / 2.0
        same, other = 0.5 * (1.0 + settings.width_percent / 100.0), 0.5 * (1.0 - settings.width_percent / 100.0)
        wet = math.sin(angle)
        row = np.zeros(16)
        row[1:15] = (
            settings.modulation_ms * self._rate_hz / 1000.0,
            2.0 * math.pi * settings.modulation_hz * STEP_FRAMES / self._rate_hz,
            settings.feedback_percent / 100.0,
            math.log(math.tan(math.pi * min(settings.low_cut_hz / self._rate_hz, 0.49))),
            math.log(math.tan(math.pi * min(settings.high_cut_hz / self._rate_hz, 0.49))),
            1.0 if settings.ping_pong else 0.0,
            math.cos(angle) if settings.mix_percent < 100.0 else 0.0,
            wet * same,
            wet * other,
            settings.duck_db,
            settings.duck_threshold_db,
            1.0 - math.exp(-1.0 / (_ATTACK_S * self._rate_hz)),
            1.0 - math.exp(-1000.0 / (settings.duck_release_ms * self._rate_hz)),
            1.0 - math.exp(-STEP_FRAMES / (_MOTOR_S * self._rate_hz)),
        )
        return row

    def process(self, block: Block, key: Block | None = None) -> None:
        """Add echoes to the next (n, channels) in place; ``key`` is what the ducking listens to instead."""
        bare = self._is_bare
        kept = block.copy() if bare else block
        start = 0
        while start < len(block):
            m = self._fade.stretch(len(block) - start)
            knots, first = self._glide.knots(m)
            times, times_first = self._time.knots(m)
            self._run(
                kept,
                kept if key is None else key,
                start,
                start + m,
                knots,
                first,
                times,
                times_first,
                int(self._settings.duck_db > 0.0),
                float(self._fade.there),
                self._fade.done,
                self._fade.frames,
            )
            if self._fade.frames:
                self._fade.advance(m)
                if self._fade.done == 0:
                    self._time = Glide(np.array([float(self._fade.here)]))
                    self._rows[:, 0] = self._fade.here
            start += m

    @property
    def _is_bare(self) -> bool:
        """Whether nothing but the dry sound is heard, as it came."""
        return self._settings.mix_percent == 0.0 and all(tuple(row[7:10]) == (1.0, 0.0, 0.0) for row in self._rows)

    def change(self, settings: Delay, frames: int) -> None:
        """Glide to ``settings`` over ``frames``, at least 50 ms; to another time as ``settings.glide`` says.

        A tape takes at least two frames for every frame the time changes by.
        """
        self._settings = settings
        frames = max(frames, round(_GLIDE_S * self._rate_hz))
        self._glide.to(self._row(settings), frames)
        time = self._frames(settings)
        if time == self._target:
            return
        if self._fade.frames:
            self._fade.to(time, frames)
        elif settings.glide == "fade":
            self._fade = Fade(self._target)
            self._fade.to(time, frames)
        else:
            way = abs(time - self._rows[1, 0]) / _FASTEST
            self._time.to(np.array([float(time)]), max(frames, math.ceil(way)))

    @property
    def _target(self) -> int:
        """The time that is gone to in the end."""
        return self._fade.target if self._fade.frames else round(float(self._time.target[0]))

    def reset(self) -> None:
        """Forget what was heard."""
        time = float(self._target)
        self._glide = Glide(self._glide.target)
        self._time = Glide(np.array([time]))
        self._fade = Fade(round(time))
        self._rings[:] = 0.0
        self._position[0] = 0
        self._rows[:] = self._glide.target
        self._rows[:, 0] = time
        self._rows[:, 15] = 1.0
        self._state[:] = 0.0
