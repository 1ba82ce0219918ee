"""Compiled loops between a bus's sum, whose sides lie in rows, and its signal, whose sides lie in frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsp.kernels.compiled import kernel


@kernel("f8[:,::1]", "f8[:,::1]")
def to_frames(sides: Any, frames: Any) -> None:
    """Write ``sides`` (2, n) as ``frames`` (n, 2)."""
    for i in range(frames.shape[0]):
        frames[i, 0] = sides[0, i]
        frames[i, 1] = sides[1, i]


@kernel("f8[:,::1]", "f4[:,::1]")
def to_block(sides: Any, block: Any) -> None:
    """Write ``sides`` (2, n) as a ``block`` (n, 2) of float32."""
    for i in range(block.shape[0]):
        block[i, 0] = np.float32(sides[0, i])
        block[i, 1] = np.float32(sides[1, i])


@kernel("f8[:,::1]", "f8[:,::1]", "f8[:,::1]")
def feed(frames: Any, gains: Any, sides: Any) -> None:
    """Add ``frames`` (n, 2) to ``sides`` (2, n) through ``gains`` (2, 2): from each channel to each side."""
    for i in range(frames.shape[0]):
        left, right = frames[i, 0], frames[i, 1]
        sides[0, i] += left * gains[0, 0] + right * gains[1, 0]
        sides[1, i] += left * gains[0, 1] + right * gains[1, 1]


@kernel("f8[:,::1]", "f8[:,::1]", "f8[:,::1]")
def fade(frames: Any, gains: Any, out: Any) -> None:
    """Write ``frames`` (n, 2) through ``gains`` (2, 2) as other frames."""
    for i in range(frames.shape[0]):
        left, right = frames[i, 0], frames[i, 1]
        out[i, 0] = left * gains[0, 0] + right * gains[1, 0]
        out[i, 1] = left * gains[0, 1] + right * gains[1, 1]
