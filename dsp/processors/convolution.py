"""Convolution with an impulse response as an effect."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.fade import Fade
from dsp.impulse import Response
from dsp.partitions import Partitions, Prepared
from dsp.processor import STEP_FRAMES, Block, Glide, Settings, number

__all__ = ["Convolution", "ConvolutionProcessor", "prepare"]

_FADE_S = 0.05
"""Shortest cross-fade from one response to another."""

_GLIDE_S = 0.02
"""Shortest way from one mix to another."""


@dataclass(frozen=True)
class Convolution(Settings):
    """A room, a spring, a cabinet: whatever its impulse ``response`` is; without one the sound goes by.

    ``mix_percent``: 0 dry, 100 wet, of equal power between. A response taken at another rate is converted.
    """

    kind: ClassVar[str] = "convolution"

    response: Response | None = field(default=None, metadata={})
    gain_db: float = number(0.0, -60.0, 24.0, "dB")
    mix_percent: float = number(30.0, 0.0, 100.0, "%")

    def start(self, rate_hz: float, channels: int) -> ConvolutionProcessor:
        """Return it running. Raises DspError where the response cannot be used."""
        return ConvolutionProcessor(self, rate_hz, channels)


@lru_cache(maxsize=4)
def prepare(response: Response, rate_hz: float, channels: int) -> Prepared:
    """Return the response ready for use; done before, it makes a change to it quick."""
    return Prepared(response.at(rate_hz), channels)


class ConvolutionProcessor:
    """A running ``Convolution``."""

    latency_frames = 0

    def __init__(self, settings: Convolution, rate_hz: float, channels: int) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._glide = Glide(_gains(settings))
        self._fade: Fade[Response | None] = Fade(settings.response)
        self._here = self._running(settings.response)
        self._there: Partitions | None = None
        self._ringing: Partitions | None = None
        self._left = 0
        self._planes: NDArray[np.float64] = np.zeros((4 * channels, 0))

    def _running(self, response: Response | None) -> Partitions | None:
        return None if response is None else Partitions(prepare(response, self._rate_hz, self._channels))

    @property
    def tail_frames(self) -> int:
        """The length of the longest response that is heard."""
        waiting = (self._fade.here, self._fade.there, self._fade.target)
        return max((prepare(r, self._rate_hz, self._channels).frames for r in waiting if r is not None), default=0)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Convolve the next (n, channels) in place."""
        if self._planes.shape[1] < len(block):
            self._planes = np.zeros((4 * self._channels, len(block)))
        start = 0
        while start < len(block):
            n = self._fade.stretch(len(block) - start)
            if self._ringing is not None:
                n = min(n, self._left)
            self._stretch(block[start : start + n], n)
            self._advance(n)
            start += n

    def _advance(self, n: int) -> None:
        """Pass ``n`` frames: a tail may have rung out, a fade may be over."""
        self._left = max(0, self._left - n)
        if self._left == 0:
            self._ringing = None
        faded = self._fade.frames > 0
        self._fade.advance(n)
        if faded and self._fade.done == 0:
            self._ringing, self._here, self._there = self._here, self._there, None
            self._left = 0 if self._ringing is None else self._ringing.frames
            if self._fade.frames > 0:
                self._there = self._running(self._fade.there)

    def _stretch(self, block: Block, n: int) -> None:
        """Process frames in which no fade begins or ends."""
        planes, channels = self._planes, self._channels
        x, out, part, heard = (planes[k * channels : (k + 1) * channels] for k in range(4))
        x[:, :n] = block.T
        out[:, :n] = 0.0
        knots, first = self._glide.knots(n)
        # What goes in is faded and not what comes out: no tail is cut off, and none begins in the middle of a sound.
        share = (self._fade.done + np.arange(n)) / self._fade.frames if self._fade.frames > 0 else None
        for running, weight in ((self._here, None if share is None else 1.0 - share), (self._there, share)):
            if running is None:
                continue
            if weight is None:
                running.process(x, part, n)
            else:
                np.multiply(x[:, :n], weight, out=heard[:, :n])
                running.process(heard, part, n)
            out[:, :n] += part[:, :n]
        if self._ringing is not None:
            heard[:, :n] = 0.0
            self._ringing.process(heard, part, n)
            out[:, :n] += part[:, :n] if share is None else part[:, :n] * (1.0 - share)
        if len(knots) == 2 and knots[0, 0] == knots[1, 0] and knots[0, 1] == knots[1, 1]:
            dry, wet = knots[0]
            if dry == 1.0 and wet == 0.0:
                return
            out[:, :n] *= wet
            x[:, :n] *= dry
        else:
            at = (first + np.arange(n)) / STEP_FRAMES
            out[:, :n] *= np.interp(at, np.arange(len(knots)), knots[:, 1])
            x[:, :n] *= np.interp(at, np.arange(len(knots)), knots[:, 0])
        out[:, :n] += x[:, :n]
        block[:] = out[:, :n].T

    def change(self, settings: Convolution, frames: int) -> None:
        """Glide to mix and gain over ``frames``, at least 20 ms; another response is cross-faded, in 50 ms or more."""
        self._glide.to(_gains(settings), max(frames, round(_GLIDE_S * self._rate_hz)))
        idle = self._fade.frames == 0
        self._fade.to(settings.response, max(frames, round(_FADE_S * self._rate_hz)))
        if idle and self._fade.frames > 0:
            self._there = self._running(settings.response)

    def reset(self) -> None:
        """Forget what was heard."""
        self._glide = Glide(self._glide.target)
        self._fade.finish()
        self._here = self._running(self._fade.here)
        self._there = self._ringing = None
        self._left = 0


def _gains(settings: Convolution) -> NDArray[np.float64]:
    """Return the gains of the dry and of the wet sound."""
    if settings.response is None:
        return np.array([1.0, 0.0])
    angle = settings.mix_percent / 100.0 * math.pi / 2.0
    gain = 10.0 ** (settings.gain_db / 20.0)
    return np.array([math.cos(angle) if settings.mix_percent < 100.0 else 0.0, gain * math.sin(angle)])
