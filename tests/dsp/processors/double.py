"""A plug-in of somebody else, made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsp.errors import DspError
from dsp.hosting import Value
from dsp.processor import Block


@dataclass(frozen=True)
class Double:
    """A plug-in made up for a test: a delay and a gain, with faults on demand. It writes down what it was asked."""

    late: int = 0
    fault: str = ""
    told: list[str] = field(default_factory=list, compare=False)
    blocks: list[int] = field(default_factory=list, compare=False)
    gains: list[float] = field(default_factory=list, compare=False)

    def check(self, values: Sequence[tuple[str, Value]]) -> None:
        for name, value in values:
            if name != "gain_db" or not isinstance(value, float) or value > 12.0:
                raise DspError(f"no {name} = {value}")

    def start(self, rate_hz: float, channels: int, block_frames: int, values: Any, state: Any) -> DoubleInstance:
        return DoubleInstance(self, channels, dict(values), state)

    def tell(self, trouble: str) -> None:
        self.told.append(trouble)


class DoubleInstance:
    def __init__(self, double: Double, channels: int, values: dict[str, Any], state: Any) -> None:
        self.double, self.channels = double, channels
        self.gain_db = values.get("gain_db", 0.0 if state is None else float(state))
        self.latency_frames = double.late
        self.reset()

    def reset(self) -> None:
        self.line = np.zeros((self.double.late, self.channels), np.float32)

    def put(self, values: Sequence[tuple[str, Value]]) -> None:
        self.gain_db = float(dict(values).get("gain_db", self.gain_db))

    def run(self, block: Block) -> None:
        self.double.blocks.append(len(block))
        self.double.gains.append(self.gain_db)
        if self.double.fault == "raises":
            raise DspError("plug-in Double failed while it ran: out of memory")
        whole = np.concatenate([self.line, block])
        self.line = whole[len(block) :]
        block[:] = whole[: len(block)] * np.float32(10.0 ** (self.gain_db / 20.0))
        if self.double.fault == "nan":
            block[3] = np.nan
            block[4] = np.inf
        if self.double.fault == "latency":
            self.latency_frames = self.double.late + 10
