"""Multiband compressor: two to five bands, each with a compressor of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.crossover import Crossover
from dsp.errors import DspError
from dsp.kernels.compiled import library
from dsp.processor import Block, Settings, choice, number
from dsp.sidechain import CHUNK_FRAMES, SideChain, check_channels, row

__all__ = ["Multiband"]


def _threshold() -> float:
    return number(0.0, -120.0, 24.0, "dB")  # type: ignore[no-any-return]


def _ratio() -> float:
    return number(2.0, 1.0, math.inf, ":1", scale="log")  # type: ignore[no-any-return]


def _time(default_ms: float) -> float:
    return number(default_ms, 0.0, 10_000.0, "ms", scale="log")  # type: ignore[no-any-return]


def _makeup() -> float:
    return number(0.0, -60.0, 60.0, "dB")  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Multiband(Settings):
    """Splits at ``split1_hz``, ``split2_hz`` … into ``bands`` bands, compresses each, and adds them up.

    Slopes of 24 dB per octave; while nothing is compressed the sum is an all-pass: levels as they were, phases turned.
    Thresholds, ratios, times and make-up are those of a compressor with a peak detector. ``link_percent``: 100, both
    channels get one gain; 0, each its own. ``mix_percent`` 0 is the sum of the bands as they were. With a
    key, each band hears that band of it.
    """

    kind: ClassVar[str] = "multiband"

    bands: str = choice("3", "2", "3", "4", "5")
    split1_hz: float = number(150.0, 20.0, 20_000.0, "Hz", scale="log")
    split2_hz: float = number(2000.0, 20.0, 20_000.0, "Hz", scale="log")
    split3_hz: float = number(6000.0, 20.0, 20_000.0, "Hz", scale="log")
    split4_hz: float = number(12_000.0, 20.0, 20_000.0, "Hz", scale="log")
    knee_db: float = number(6.0, 0.0, 60.0, "dB")
    link_percent: float = number(100.0, 0.0, 100.0, "%")
    mix_percent: float = number(100.0, 0.0, 100.0, "%")
    band1_threshold_db: float = _threshold()
    band1_ratio: float = _ratio()
    band1_attack_ms: float = _time(30.0)
    band1_release_ms: float = _time(250.0)
    band1_makeup_db: float = _makeup()
    band2_threshold_db: float = _threshold()
    band2_ratio: float = _ratio()
    band2_attack_ms: float = _time(15.0)
    band2_release_ms: float = _time(150.0)
    band2_makeup_db: float = _makeup()
    band3_threshold_db: float = _threshold()
    band3_ratio: float = _ratio()
    band3_attack_ms: float = _time(8.0)
    band3_release_ms: float = _time(100.0)
    band3_makeup_db: float = _makeup()
    band4_threshold_db: float = _threshold()
    band4_ratio: float = _ratio()
    band4_attack_ms: float = _time(5.0)
    band4_release_ms: float = _time(80.0)
    band4_makeup_db: float = _makeup()
    band5_threshold_db: float = _threshold()
    band5_ratio: float = _ratio()
    band5_attack_ms: float = _time(5.0)
    band5_release_ms: float = _time(80.0)
    band5_makeup_db: float = _makeup()

    @property
    def splits_hz(self) -> tuple[float, ...]:
        """The corners in use, one fewer than bands."""
        return (self.split1_hz, self.split2_hz, self.split3_hz, self.split4_hz)[: int(self.bands) - 1]

    def start(self, rate_hz: float, channels: int) -> _Running:
        """Return the running compressor. Raises DspError where its corners do not ascend or are too high."""
        return _Running(self, rate_hz, channels)


def _design(settings: Multiband, band: int, rate_hz: float) -> NDArray[np.float64]:
    def of(name: str) -> float:
        return float(getattr(settings, f"band{band}_{name}"))

    return row(
        rate_hz,
        threshold_db=of("threshold_db"),
        slope=1.0 / of("ratio") - 1.0,
        knee_db=settings.knee_db,
        attack_ms=of("attack_ms"),
        release_ms=of("release_ms"),
        makeup_db=of("makeup_db"),
        mix=settings.mix_percent / 100.0,
        link=settings.link_percent / 100.0,
    )


class _Running:
    def __init__(self, settings: Multiband, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self.settings = settings
        self._rate_hz = rate_hz
        self._crossover = Crossover(settings.splits_hz, rate_hz, channels)
        self._key_crossover = Crossover(settings.splits_hz, rate_hz, channels)
        self._key = np.zeros((CHUNK_FRAMES, channels), dtype=np.float32)
        self._channels = channels
        count = int(settings.bands)
        self._gains = np.ones((count, 2, CHUNK_FRAMES))
        self._chains = [
            SideChain("forward", _design(settings, k + 1, rate_hz), channels, self._gains[k]) for k in range(count)
        ]
        self._merge = library("crossover").merge

    @property
    def latency_frames(self) -> int:
        """Nothing is later."""
        return 0

    @property
    def tail_frames(self) -> int:
        """That of the crossover."""
        return self._crossover.tail_frames

    @property
    def reduction_db(self) -> float:
        """Current gain reduction of the band that is reduced most [dB], 0 or below."""
        return min(self.reductions_db)

    @property
    def reductions_db(self) -> tuple[float, ...]:
        """Current gain reduction of each band, low to high [dB], 0 or below."""
        return tuple(chain.reduction_db for chain in self._chains)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; each band hears that of ``key`` (n, 1 or 2) where there is one."""
        for start in range(0, len(block), CHUNK_FRAMES):
            part = block[start : start + CHUNK_FRAMES]
            self._crossover.split(part)
            heard = self._crossover.bands
            if key is not None:
                heard = self._hear(key[start : start + CHUNK_FRAMES])
            for chain, band in zip(self._chains, heard, strict=True):
                chain.follow(band, len(part))
            self._merge(self._crossover.bands, self._gains, part)

    def _hear(self, key: Block) -> NDArray[np.float64]:
        """Return the bands of ``key``: mono for both channels, the mean of two for one."""
        heard = self._key[: len(key)]
        heard[:] = key.mean(axis=1, keepdims=True) if key.shape[1] > self._channels else key
        self._key_crossover.split(heard)
        return self._key_crossover.bands

    def change(self, settings: Multiband, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames. Raises DspError for another number of bands."""
        if settings.bands != self.settings.bands:
            raise DspError(
                f"a running multiband of {self.settings.bands} bands cannot become one of {settings.bands}",
                hint="start another",
            )
        for crossover in (self._crossover, self._key_crossover):
            crossover.to(settings.splits_hz, frames)
        for k, chain in enumerate(self._chains):
            chain.to("forward", _design(settings, k + 1, self._rate_hz), frames)
        self.settings = settings

    def reset(self) -> None:
        """Forget all that was heard."""
        self._crossover.reset()
        self._key_crossover.reset()
        for chain in self._chains:
            chain.reset()
