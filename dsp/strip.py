"""What a strip of the mix is set to, and what that does to its sound.

Signal order: trim, polarity, high-pass, bands, compressor, then fader and pan. Stages that do nothing are left out, so
an untouched strip passes its samples bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import Compressor
from dsp.errors import DspError, ShapeError
from dsp.filters import Band, Biquad, sections
from dsp.lane_numbers import StripSound

__all__ = ["Automation", "StripSettings", "slots", "strip_sound"]

Automation = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gains that move: given K moments since the start [s], the linear gains there. A pure function.

The engine asks for every ``STEP_FRAMES``-th frame and goes straight from one to the next, so nothing clicks. For a
strip it returns (K, channels, 3): to left, to right, and the send after those; for a bus (K,), its fader.
"""


@dataclass(frozen=True)
class StripSettings:
    """One strip of the mix.

    ``gains``: for each of the strip's channels its linear gain to left and to right, with fader, pan and mute already
    in it. ``send``: linear, after those gains, to the reverb. ``on_bus=False``: the strip is summed elsewhere; its
    ``pre`` output and its send still work. ``trim_db`` within ±60. ``automation`` takes the place of ``gains`` and
    ``send``. Raises DspError for values that make no sense.
    """

    name: str
    channels: Literal[1, 2] = 1
    polarity_inverted: bool = False
    trim_db: float = 0.0
    hpf_hz: float | None = None
    bands: tuple[Band, ...] = ()
    compressor: Compressor | None = None
    gains: tuple[tuple[float, float], ...] = ((math.sqrt(0.5), math.sqrt(0.5)),)
    send: float = 0.0
    on_bus: bool = True
    automation: Automation | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise DspError(f"strip {self.name!r} has {self.channels} channels; a strip has 1 or 2")
        if not abs(self.trim_db) <= 60.0:
            raise DspError(f"strip {self.name!r}: trim {self.trim_db} dB is outside −60..+60 dB")
        if len(self.gains) != self.channels or any(len(pair) != 2 for pair in self.gains):
            raise ShapeError(
                f"strip {self.name!r}: {self.channels} channel(s) need as many (left, right) pairs of gains"
            )
        if not all(math.isfinite(g) for pair in self.gains for g in pair) or not math.isfinite(self.send):
            raise DspError(f"strip {self.name!r}: a gain or the send is not a finite number")


def slots(bands: Sequence[Band | None], rate_hz: float) -> tuple[Biquad | None, ...]:
    """Return the sections of ``bands``; one that does nothing keeps a place."""
    found: list[Biquad | None] = []
    for band in bands:
        found += [None] if band is None or band.is_flat else sections(band, float(rate_hz))
    return tuple(found)


def strip_sound(settings: StripSettings, rate_hz: float) -> StripSound:
    """Return what ``settings`` does to a strip's sound, for ``StripBank``. Raises DspError for a band above Nyquist."""
    high_pass = None if settings.hpf_hz is None else Band("high_pass", float(settings.hpf_hz))
    placed = slots((high_pass, *settings.bands), rate_hz)
    return StripSound(settings.trim_db, settings.polarity_inverted, placed, settings.compressor)
