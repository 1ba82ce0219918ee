"""Saturation: tape, tube, transformer and a plain clip, at a multiple of the sample rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.delay import History
from dsp.errors import DspError
from dsp.filters import Band
from dsp.kernels.compiled import library
from dsp.oversample import Halfbands, Lowerer, Raiser, halfbands
from dsp.processor import Block, Glide, Settings, choice, number
from dsp.processors.equaliser import Equaliser
from dsp.ramp import ramp
from dsp.sidechain import check_channels

__all__ = ["Saturation"]

_CHUNK_FRAMES = 256
"""Frames taken through the curve at once: at eight times the rate they still lie in the processor's near caches."""

_CURVE_DELAY = 3
"""Samples at the high rate by which ``dsp.kernels.colour.bend`` is late."""

_QUALITIES = {
    "eco": (2, 5.0 / 12.0, 90.0),
    "high": (4, 11.0 / 24.0, 105.0),
    "best": (8, 23.0 / 48.0, 120.0),
    "finest": (16, 23.0 / 48.0, 120.0),
}
"""Times the rate, what part of it passes (20, 22 and 23 kHz of 48), attenuation of the rest [dB]."""


@dataclass(frozen=True)
class _Medium:
    """``weighting`` goes before the curve and is undone after it: what it lifts is bent first. ``colour`` stays."""

    even: float
    clip: float = 0.0
    weighting: tuple[Band, ...] = ()
    colour: tuple[Band, ...] = ()


_MEDIA = {
    # Recording lifts the highs by the playback time constant of 50 µs (IEC 60094-1, NAB): 3183 Hz. How far, and the
    # head bump, differ from machine to machine; these are of a mild one.
    "tape": _Medium(0.0, weighting=(Band("high_shelf", 3183.0, 6.0),), colour=(Band("bell", 60.0, 1.5, 1.0),)),
    # One triode: the side on which it cuts off bends later, which is the second harmonic.
    "tube": _Medium(0.5),
    # A core holds flux, the integral of the voltage: 6 dB more of it for every octave down, as far as 12 dB here.
    "transformer": _Medium(0.1, weighting=(Band("low_shelf", 80.0, 12.0),)),
    "clip": _Medium(0.0, clip=1.0),
}


@dataclass(frozen=True)
class Saturation(Settings):
    """Bends a signal that is raised by ``drive_db``, full scale being where the curve flattens.

    The curve is t + e t² with t = tanh x, or x limited to ±1 for the clip: its slope at 0 is 1, so that quiet sounds
    pass at ``drive_db``, and it rises everywhere for e ≤ ½. ``even_percent`` shifts 2e from what the medium has (tape
    and clip none, transformer 10 %, tube 50 %), at most to ±100 %. ``tone_db`` tilts what was bent around 1 kHz,
    ``output_db`` is its level, ``mix_percent`` its share; at 0 the input passes bit for bit. A constant offset is
    taken out of it (5 Hz).

    ``quality``: 2, 4, 8 or 16 times the rate, 36, 91, 203 or 204 frames of latency; only the clip, whose harmonics fall
    off slowly, has use for the last. It cannot change while it runs.
    """

    kind: ClassVar[str] = "saturation"

    medium: str = choice("tape", *_MEDIA)
    drive_db: float = number(0.0, -24.0, 48.0, "dB")
    even_percent: float = number(0.0, -100.0, 100.0, "%")
    tone_db: float = number(0.0, -12.0, 12.0, "dB")
    output_db: float = number(0.0, -60.0, 24.0, "dB")
    mix_percent: float = number(100.0, 0.0, 100.0, "%")
    quality: str = choice("high", *_QUALITIES)

    def start(self, rate_hz: float, channels: int) -> RunningSaturation:
        """Return it running."""
        return RunningSaturation(self, rate_hz, channels)

    @property
    def before(self) -> Equaliser:
        """The filters before the curve."""
        return Equaliser(_MEDIA[self.medium].weighting)

    @property
    def after(self) -> Equaliser:
        """The filters after the curve."""
        medium = _MEDIA[self.medium]
        undone = tuple(Band(b.kind, b.freq_hz, -b.gain_db, b.q) for b in medium.weighting)
        tone = (Band("tilt", 1000.0, self.tone_db, 0.5),) if self.tone_db else ()
        return Equaliser((Band("high_pass", 5.0, db_per_octave=6), *undone, *medium.colour, *tone))

    @property
    def curve(self) -> NDArray[np.float64]:
        """Even part and share of the clip, as ``bend`` takes them."""
        medium = _MEDIA[self.medium]
        return np.array([0.5 * min(max(medium.even + self.even_percent / 100.0, -1.0), 1.0), medium.clip])

    @property
    def gains(self) -> NDArray[np.float64]:
        """Gains of what goes to the curve, of what comes from it, and of the input beside it."""
        mix = self.mix_percent / 100.0
        return np.array([10.0 ** (self.drive_db / 20.0), mix * 10.0 ** (self.output_db / 20.0), 1.0 - mix])


@lru_cache(maxsize=8)
def _filters(quality: str) -> tuple[Halfbands, NDArray[np.float64]]:
    factor, passed, attenuation_db = _QUALITIES[quality]
    # Six symmetric taps, their middle between two samples, whose response is 1 / cos(ω/2), as far as sound reaches.
    w = np.linspace(0.0, 2.0 * math.pi * passed / factor, 64)
    cosines = 2.0 * np.cos(np.outer(w, (2.5, 1.5, 0.5)))
    half = np.linalg.lstsq(cosines, 1.0 / np.cos(w / 2.0), rcond=None)[0]
    half /= 2.0 * half.sum()
    return halfbands(factor, passed, attenuation_db, _CURVE_DELAY), np.concatenate([half, half[::-1]])


class RunningSaturation:
    """Filters, the way up, the curve, the way down, filters; beside it the input, as late."""

    def __init__(self, settings: Saturation, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self._quality = settings.quality
        bands, ahead = _filters(settings.quality)
        self.latency_frames = bands.latency_frames
        self._bands = bands
        self._raiser = Raiser(bands, channels, _CHUNK_FRAMES)
        self._lowerer = Lowerer(bands, channels, _CHUNK_FRAMES)
        self._low = np.zeros((channels, _CHUNK_FRAMES))
        self._pasts = np.zeros((channels, 6))
        work = np.zeros(2 * (6 + _CHUNK_FRAMES * bands.factor))
        self._bend = library("colour").bend.bind(
            self._raiser.high, None, bands.factor, None, None, ahead, self._pasts, work
        )
        self._dry = History(bands.latency_frames, channels)
        self._before = settings.before.start(rate_hz, channels)
        self._weighted = bool(settings.before.bands)
        self._after = settings.after.start(rate_hz, channels)
        self._curve = Glide(settings.curve)
        self._gains = Glide(settings.gains)

    @property
    def tail_frames(self) -> int:
        """The skirts of the half-bands, and the filters."""
        return self._bands.reach_frames + self._before.tail_frames + self._after.tail_frames

    def process(self, block: Block, key: Block | None = None) -> None:
        """Bend the block."""
        for start in range(0, len(block), _CHUNK_FRAMES):
            part = block[start : start + _CHUNK_FRAMES]
            n = len(part)
            dry = self._dry.late(part)
            gains = ramp(self._gains, n)
            if self._weighted:
                self._before.process(part)
            np.multiply(part.T, gains[:, 0], out=self._low[:, :n])
            self._raiser.run(self._low, n)
            knots, first = self._curve.knots(n)
            self._bend(n, knots, first)
            self._lowerer.run(self._raiser.high, n, self._low)
            part[:] = self._low[:, :n].T
            self._after.process(part)
            part *= gains[:, 1:2]
            if gains[:, 2].any():
                part += dry * gains[:, 2:3]

    def change(self, settings: Saturation, frames: int) -> None:
        """Go to other settings. Raises DspError for another quality."""
        if settings.quality != self._quality:
            raise DspError(
                "the quality of a running saturation cannot change",
                hint="its latency would change with it: start another",
            )
        self._weighted |= bool(settings.before.bands)
        self._before.change(settings.before, frames)
        self._after.change(settings.after, frames)
        self._curve.to(settings.curve, frames)
        self._gains.to(settings.gains, frames)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        for part in (self._raiser, self._lowerer, self._before, self._after):
            part.reset()
        self._dry.clear()
        self._pasts[:] = 0.0
        self._curve, self._gains = Glide(self._curve.target), Glide(self._gains.target)
