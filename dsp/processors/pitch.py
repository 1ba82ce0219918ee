"""Micro shift: left and right a few cents apart, which widens a sound without the sway of a chorus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library
from dsp.lfo import Lfo, lfo_row
from dsp.processor import Block, Glide, Settings, number
from dsp.processors.modulation import LEAST_FRAMES, SLIDE, rings, sinc_table
from dsp.ramp import ramp
from dsp.sidechain import check_channels

__all__ = ["MicroShift"]

_CHUNK_FRAMES = 256

_LATENCY_S = 0.02
"""Half of what a tap slides over: longer than the period of the lowest notes, shorter than an echo."""

_MOST_DELAY_MS = 100.0


@dataclass(frozen=True)
class MicroShift(Settings):
    """A copy of each side, shifted by so many cents and later by so much; a mono signal has the left one's.

    Two taps of a delay slide half a turn apart and fade over with constant power, each silent where it jumps back.
    The sound and a copy without shift are 20 ms late, as declared; a copy with one is as late on average, give or
    take 20 ms. ``mix_percent`` 0 passes bit for bit.
    """

    kind: ClassVar[str] = "micro_shift"

    left_cents: float = number(-9.0, -50.0, 50.0, "cents")
    right_cents: float = number(9.0, -50.0, 50.0, "cents")
    left_delay_ms: float = number(0.0, 0.0, _MOST_DELAY_MS, "ms")
    right_delay_ms: float = number(0.0, 0.0, _MOST_DELAY_MS, "ms")
    mix_percent: float = number(50.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> RunningMicroShift:
        """Return it running."""
        return RunningMicroShift(self, rate_hz, channels)


class RunningMicroShift:
    """Of every channel four taps: two that slide, one that stands for where there is no shift, and the input."""

    def __init__(self, settings: MicroShift, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._rate_hz, self._channels = rate_hz, channels
        self._run = library("modulation").sweep_delays.bind(*[None] * 9)
        self.latency_frames = round(_LATENCY_S * rate_hz)
        self._half = self.latency_frames - LEAST_FRAMES
        most = _MOST_DELAY_MS + 2000.0 * _LATENCY_S
        self._rings, self._table, self._work = rings(channels, most, rate_hz), sinc_table(), np.zeros(8)
        self._position = np.zeros(1, dtype=np.int64)
        rows = [self._rows(settings, channel) for channel in range(channels)]
        self._slides = [Lfo(slide, _CHUNK_FRAMES) for slide, _, _ in rows]
        self._fades = [Lfo(fade, _CHUNK_FRAMES) for _, fade, _ in rows]
        self._mixes = [Glide(mix) for _, _, mix in rows]
        self._lates = [Glide(self._late(settings, channel)) for channel in range(channels)]
        self._delays = np.full((4 * channels, _CHUNK_FRAMES), float(self.latency_frames))
        self._gains = np.zeros((4 * channels, _CHUNK_FRAMES))
        self._only_sum = np.array([[0.0, 1.0, 0.0]] * 2)

    @property
    def tail_frames(self) -> int:
        """The longest delay, less the latency."""
        return math.ceil(max(float(late.target[0]) for late in self._lates) + self._half) + 16

    def _late(self, settings: MicroShift, channel: int) -> NDArray[np.float64]:
        """Return the shortest delay of a channel's taps [frames]."""
        delay_ms = settings.right_delay_ms if channel else settings.left_delay_ms
        return np.array([delay_ms * self._rate_hz / 1000.0 + LEAST_FRAMES])

    def _rows(
        self, s: MicroShift, channel: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the oscillators of delays and of gains² of a channel, and its mix."""
        cents = s.right_cents if channel else s.left_cents
        # A tap that reads r times as fast comes r − 1 frames nearer in every frame.
        turns_hz = (1.0 - 2.0 ** (cents / 1200.0)) * self._rate_hz / (2.0 * self._half)
        slide = lfo_row(turns_hz, self._rate_hz, self._half, self._half, (0.5, 0.0), "ramp")
        slide[7] = 1e-9  # jumps back at once
        fade = lfo_row(turns_hz, self._rate_hz, 0.5, 0.5, (0.25, -0.25))  # ½ + ½ sin 2π(t − ¼) = sin² πt
        wet, still = s.mix_percent / 100.0, float(cents == 0.0)
        return slide, fade, np.array([wet * (1.0 - still), wet * still, 1.0 - wet])

    def process(self, block: Block, key: Block | None = None) -> None:
        """Shift the copies and mix."""
        for start in range(0, len(block), _CHUNK_FRAMES):
            part = block[start : start + _CHUNK_FRAMES]
            n = len(part)
            for channel in range(self._channels):
                at = 4 * channel
                mix = ramp(self._mixes[channel], n).T
                late = ramp(self._lates[channel], n)[:, 0]
                np.add(self._slides[channel].run(n)[:, :n], late, out=self._delays[at : at + 2, :n])
                self._delays[at + 2, :n] = late + self._half
                np.sqrt(np.maximum(self._fades[channel].run(n)[:, :n], 0.0), out=self._gains[at : at + 2, :n])
                self._gains[at : at + 2, :n] *= mix[0]
                self._gains[at + 2 : at + 4, :n] = mix[1:]
            self._run(
                part,
                self._delays,
                self._gains,
                self._only_sum,
                0,
                self._table,
                self._rings,
                self._position,
                self._work,
            )

    def change(self, settings: MicroShift, frames: int) -> None:
        """Go to other shifts, mix and delays, these no faster than ``SLIDE``."""
        for channel in range(self._channels):
            slide, fade, mix = self._rows(settings, channel)
            self._slides[channel].to(slide, frames)
            self._fades[channel].to(fade, frames)
            self._mixes[channel].to(mix, frames)
            late, target = self._lates[channel], self._late(settings, channel)
            late.to(target, max(frames, math.ceil(SLIDE * abs(float((target - late.now)[0])))))

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._rings[:] = 0.0
        self._position[0] = 0
        for lfo in (*self._slides, *self._fades):
            lfo.reset()
        self._mixes = [Glide(mix.target) for mix in self._mixes]
        self._lates = [Glide(late.target) for late in self._lates]
