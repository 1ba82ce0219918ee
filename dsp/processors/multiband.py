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
from dsp.processor import Block, Declared, Settings, number, several
from dsp.sidechain import CHUNK_FRAMES, SideChain, check_channels, row

__all__ = ["CompressedBand", "Multiband", "RunningMultiband"]


MOST_BANDS = 5


@dataclass(frozen=True)
class CompressedBand(Declared):
    """One band and its compressor.

    It reaches up to ``up_to_hz``, where the next begins; the last reaches to the top, whatever it says. The others are
    those of a compressor with a peak detector.
    """

    up_to_hz: float = number(20_000.0, 20.0, 20_000.0, "Hz", scale="log")
    threshold_db: float = number(0.0, -120.0, 24.0, "dB")
    ratio: float = number(1.0, 1.0, math.inf, ":1", scale="log")
    knee_db: float = number(6.0, 0.0, 60.0, "dB")
    attack_ms: float = number(10.0, 0.0, 10_000.0, "ms", scale="log")
    release_ms: float = number(100.0, 0.0, 10_000.0, "ms", scale="log")
    makeup_db: float = number(0.0, -60.0, 60.0, "dB")


@dataclass(frozen=True)
class Multiband(Settings):
    """Splits into two to five ``bands``, low to high, compresses each, and adds them up; without bands nothing happens.

    Slopes of 24 dB per octave; while nothing is compressed the sum is an all-pass: levels as they were, phases turned.
    ``link_percent``: 100, both channels get one gain; 0, each its own. ``mix_percent`` 0 is the sum of the bands as
    they were. With a key, each band hears that band of it.
    """

    kind: ClassVar[str] = "multiband"

    bands: tuple[CompressedBand, ...] = several(CompressedBand)
    link_percent: float = number(100.0, 0.0, 100.0, "%")
    mix_percent: float = number(100.0, 0.0, 100.0, "%")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.bands) == 1 or len(self.bands) > MOST_BANDS:
            raise DspError(
                f"a multiband of {len(self.bands)} bands cannot be built",
                hint=f"take 2 to {MOST_BANDS}, or a compressor",
            )

    @property
    def splits_hz(self) -> tuple[float, ...]:
        """Where one band ends and the next begins."""
        return tuple(band.up_to_hz for band in self.bands[:-1])

    def start(self, rate_hz: float, channels: int) -> RunningMultiband:
        """Return it running. Raises DspError where the bands do not ascend or reach too high for the rate."""
        return RunningMultiband(self, rate_hz, channels)


def _design(settings: Multiband, band: CompressedBand, rate_hz: float) -> NDArray[np.float64]:
    return row(
        rate_hz,
        threshold_db=band.threshold_db,
        slope=1.0 / band.ratio - 1.0,
        knee_db=band.knee_db,
        attack_ms=band.attack_ms,
        release_ms=band.release_ms,
        makeup_db=band.makeup_db,
        mix=settings.mix_percent / 100.0,
        link=settings.link_percent / 100.0,
    )


class RunningMultiband:
    """A running ``Multiband``."""

    def __init__(self, settings: Multiband, rate_hz: float, channels: int) -> None:
        check_channels(channels)
        self.settings = settings
        self._rate_hz = rate_hz
        self._crossover = Crossover(settings.splits_hz, rate_hz, channels)
        self._key_crossover = Crossover(settings.splits_hz, rate_hz, channels)
        self._key = np.zeros((CHUNK_FRAMES, channels), dtype=np.float32)
        self._channels = channels
        self._gains = np.ones((len(settings.bands), 2, CHUNK_FRAMES))
        self._chains = [
            SideChain("forward", _design(settings, band, rate_hz), channels, gains)
            for band, gains in zip(settings.bands, self._gains, strict=True)
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
        return min(self.reductions_db, default=0.0)

    @property
    def reductions_db(self) -> tuple[float, ...]:
        """Current gain reduction of each band, low to high [dB], 0 or below."""
        return tuple(chain.reduction_db for chain in self._chains)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; each band hears that of ``key`` (n, 1 or 2) where there is one."""
        for start in range(0, len(block) if self._chains else 0, CHUNK_FRAMES):
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
        if len(settings.bands) != len(self._chains):
            raise DspError(
                f"a running multiband of {len(self._chains)} bands cannot become one of {len(settings.bands)}",
                hint="start another",
            )
        for crossover in (self._crossover, self._key_crossover):
            crossover.to(settings.splits_hz, frames)
        for chain, band in zip(self._chains, settings.bands, strict=True):
            chain.to("forward", _design(settings, band, self._rate_hz), frames)
        self.settings = settings

    def reset(self) -> None:
        """Forget all that was heard."""
        self._crossover.reset()
        self._key_crossover.reset()
        for chain in self._chains:
            chain.reset()
