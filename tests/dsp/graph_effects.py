"""Effects whose output anyone can work out, to measure a graph with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dsp.errors import DspError
from dsp.processor import Settings, number


@dataclass(frozen=True)
class Late(Settings):
    """Samples as they are, ``frames`` later, which it declares."""

    kind: ClassVar[str] = "late"
    frames: float = number(0.0, 0.0, 10_000.0, "samples")

    def start(self, rate_hz: float, channels: int) -> Any:
        return _Late(int(self.frames), channels)


class _Late:
    tail_frames = 0

    def __init__(self, frames: int, channels: int) -> None:
        self.latency_frames = frames
        self._kept = np.zeros((frames, channels), np.float32)

    def process(self, block, key=None):
        both = np.concatenate([self._kept, block])
        block[:] = both[: len(block)]
        self._kept = both[len(block) :]

    def change(self, settings, frames):
        if settings.frames != self.latency_frames:
            raise DspError("its latency would change")

    def reset(self):
        self._kept[:] = 0.0


@dataclass(frozen=True)
class TimesKey(Settings):
    """The signal times the left side of its key: what two signals have at one moment."""

    kind: ClassVar[str] = "times key"

    def start(self, rate_hz: float, channels: int) -> Any:
        return _TimesKey()


class _TimesKey:
    latency_frames = tail_frames = 0

    def process(self, block, key=None):
        assert key is not None
        assert len(key) == len(block)
        assert key.flags.c_contiguous
        block *= key[:, :1]

    def change(self, settings, frames): ...

    def reset(self): ...


@dataclass(frozen=True)
class Told(Settings):
    """Passes everything and writes down what it is told while it runs: (frame, settings, over how many frames)."""

    kind: ClassVar[str] = "told"
    value: float = number(0.0, 0.0, 1_000.0)
    shape: float = number(1.0, 0.1, 1_000.0, scale="log")
    told: ClassVar[list[tuple[int, Told, int]]] = []

    def start(self, rate_hz: float, channels: int) -> Any:
        return _Told()


class _Told:
    latency_frames = tail_frames = 0

    def __init__(self):
        self.frame = 0
        self.told = []

    def process(self, block, key=None):
        self.frame += len(block)
        Told.told = self.told

    def change(self, settings, frames):
        self.told.append((self.frame, settings, frames))

    def reset(self): ...


@dataclass(frozen=True)
class Ringing(Settings):
    """Passes everything and says that it rings on for ``frames``."""

    kind: ClassVar[str] = "ringing"
    frames: float = number(0.0, 0.0, 100_000.0, "samples")

    def start(self, rate_hz: float, channels: int) -> Any:
        running = _TimesKey()
        running.process = lambda block, key=None: None
        running.tail_frames = int(self.frames)
        return running
