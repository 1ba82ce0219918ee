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


@kernel("f8[:,::1]", "f8[:,::1]", "i8[::1]", "f8[:,::1]", "i8")
def add_sides(sides: Any, ring: Any, place: Any, total: Any, first: int) -> None:
    """Add ``sides`` (2, n) to a ``total`` (2, n), or write them there where they are the ``first``.

    They are late by what ``ring`` (2, frames) holds; ``place`` (1,) is the oldest there.
    """
    frames = ring.shape[1]
    at = place[0]
    for side in range(2):
        at = place[0]
        if frames == 0:
            for i in range(sides.shape[1]):
                total[side, i] = sides[side, i] if first else total[side, i] + sides[side, i]
        else:
            for i in range(sides.shape[1]):
                late = ring[side, at]
                ring[side, at] = sides[side, i]
                total[side, i] = late if first else total[side, i] + late
                at = at + 1 if at + 1 < frames else 0
    place[0] = at


@kernel("f4[:,::1]", "f8[:,::1]")
def widen(block: Any, frames: Any) -> None:
    """Write a ``block`` (n, 2) of float32 as ``frames`` (n, 2)."""
    for i in range(block.shape[0]):
        frames[i, 0] = block[i, 0]
        frames[i, 1] = block[i, 1]


@kernel("f8[:,::1]", "f4[:,::1]")
def narrow(frames: Any, block: Any) -> None:
    """Write ``frames`` (n, 2) as a ``block`` (n, 2) of float32."""
    for i in range(block.shape[0]):
        block[i, 0] = np.float32(frames[i, 0])
        block[i, 1] = np.float32(frames[i, 1])


@kernel("f8[:,::1]", "f8", "f8", "i8", "i8", "f4[:,::1]")
def leave(frames: Any, begin: float, end: float, left: int, right: int, outputs: Any) -> None:
    """Write ``frames`` (n, 2) to ``left`` and ``right`` of ``outputs`` (n, channels), whose others are silent.

    All are where any frame is no number. The gain goes straight from ``begin`` to ``end``, which the last frame has.
    """
    n = frames.shape[0]
    total = 0.0
    for i in range(n):
        total += frames[i, 0] + frames[i, 1]
    for i in range(n):
        for channel in range(outputs.shape[1]):
            outputs[i, channel] = np.float32(0.0)
    if not np.isfinite(total):
        return
    for i in range(n):
        gain = end if begin == end else begin + (end - begin) * ((i + 1) / n)
        outputs[i, left] = np.float32(frames[i, 0] * gain)
        outputs[i, right] = np.float32(frames[i, 1] * gain)


@kernel("f4[::1]", "f4[::1]")
def take(given: Any, block: Any) -> None:
    """Copy what is ``given`` (n,) to ``block`` (n,)."""
    for i in range(block.shape[0]):
        block[i] = given[i]


@kernel("f4[:,::1]", "f4[:,::1]", "i8[::1]", "f4[:,::1]")
def wait(block: Any, ring: Any, place: Any, out: Any) -> None:
    """Write a ``block`` (n, channels) to ``out``, which it may be, late by what ``ring`` (frames, channels) holds.

    ``place`` (1,) is the oldest there.
    """
    at = place[0]
    for i in range(block.shape[0]):
        for channel in range(block.shape[1]):
            late = ring[at, channel]
            ring[at, channel] = block[i, channel]
            out[i, channel] = late
        at = at + 1 if at + 1 < ring.shape[0] else 0
    place[0] = at


@kernel("f4[:,::1]", "f4[:,::1]", "f4[:,::1]", "i8[::1]")
def enter(stem: Any, gain: Any, block: Any, bad: Any) -> None:
    """Write ``stem`` (n, channels) times ``gain``, (1, 1) or (n, 1), as a ``block``.

    A sample that is not finite becomes 0 and is counted in ``bad`` (1,).
    """
    moves = gain.shape[0] > 1
    for i in range(stem.shape[0]):
        for channel in range(stem.shape[1]):
            sample = stem[i, channel] * gain[i if moves else 0, 0]
            if not np.isfinite(sample):
                sample = np.float32(0.0)
                bad[0] += 1
            block[i, channel] = sample
