"""A room whose answers anyone can foretell: input k times k to the left, input k to the right, some frames late.

Run as a program it is served, as the real one is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.room.serve import serve

DELAY_FRAMES = 37
SCALE = 2.0**-10
GOODBYE = bytes([0xB0, 127, 127])  # a device that gets this is unplugged


class PlainRoom:
    """Every device echoes what it gets; knob moves are told by the bytes of the value."""

    inputs = 24
    outputs = 2
    rate_hz = 48_000

    def __init__(self) -> None:
        self._weights = np.stack([np.arange(1, 25) * SCALE, np.full(24, SCALE)], axis=1).astype(np.float32)
        self._held = np.zeros((DELAY_FRAMES, 2), np.float32)
        self._knobs: dict[str, float | bool | str] = {"desk/ch07/hpf_freq": float("-inf")}
        self._gone: set[str] = set()

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        late = np.concatenate([self._held, block @ self._weights])
        self._held = late[len(block) :]
        return late[: len(block)]

    def receive(self, device: str, data: bytes, *, at_s: float | None = None) -> list[bytes]:
        if data == GOODBYE:
            self._gone.add(device)
            return []
        return [data]

    def vanished(self, device: str) -> bool:
        return device in self._gone

    def turn(self, address: str, value: float | bool | str) -> list[bytes]:
        if address not in self._knobs:
            raise KeyError(address)
        self._knobs[address] = value
        return [bytes([0xB0, 1, int(value)])]

    def knobs(self) -> dict[str, float | bool | str]:
        return dict(self._knobs)

    @property
    def tally(self) -> dict[str, Any]:
        return {"noise_dbfs": [None, None]}


def tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(PlainRoom(), name=sys.argv[1], serial_folder=Path(sys.argv[2]), ready=tell)
