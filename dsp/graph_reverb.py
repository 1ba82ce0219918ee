"""The mix's one built-in reverb as the insert of a bus of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsp.errors import DspError
from dsp.kernels.compiled import library
from dsp.processor import Block, Settings
from dsp.space import Reverb, ReverbSettings

__all__ = ["BuiltInReverb"]


@dataclass(frozen=True)
class BuiltInReverb(Settings):
    """The feedback delay network of ``dsp.space``: its return alone, nothing of the direct sound."""

    kind: ClassVar[str] = "built-in reverb"

    network: ReverbSettings = ReverbSettings()  # noqa: RUF009 - frozen

    def start(self, rate_hz: float, channels: int) -> RunningReverb:
        """Return it running. Raises DspError for anything but two channels."""
        if channels != 2:
            raise DspError("the built-in reverb takes two channels")
        return RunningReverb(self, rate_hz)


class RunningReverb:
    """The running network; its settings stand still."""

    latency_frames = 0

    def __init__(self, settings: BuiltInReverb, rate_hz: float) -> None:
        self._settings, self._rate_hz = settings, rate_hz
        self._network = Reverb(settings.network, rate_hz)
        kernels = library("feeds")
        self._to_sides, self._to_block = kernels.to_sides.bind(None, None, None), kernels.to_block.bind(None, None)
        self._wet = self._out = np.zeros((2, 0))
        self.tail_frames = math.ceil(settings.network.decay_s * rate_hz)
        """To −60 dB: the length that prints have always had."""

    def process(self, block: Block, key: Block | None = None) -> None:
        """Put the reverb of the block in its place."""
        frames = len(block)
        if self._wet.shape[1] != frames:
            self._wet, self._out = np.zeros((2, frames)), np.zeros((2, frames))
        self._to_sides(block, self._wet, self._out)
        self._network.add(self._wet, self._out, frames)
        self._to_block(self._out, block)

    def change(self, settings: BuiltInReverb, frames: int) -> None:
        """Stay as it is."""
        if settings != self._settings:
            raise DspError("the built-in reverb stands still", hint="Put a reverb of your own on a bus, and move that.")

    def reset(self) -> None:
        """Forget all that was heard."""
        self._network = Reverb(self._settings.network, self._rate_hz)
