"""Where a short block of a recording lies in the reference, to a few hundredths of a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.null.signal import Signal, as_signal, in_order

Floats = NDArray[np.float64]

BLOCK_FRAMES = 32_768
BLOCKS = 16
BLOCK_SCORE = 7.0


@dataclass(frozen=True)
class Probe:
    """A short block of ``b`` and where it lies."""

    middle: float
    """Frame of ``b``."""
    delay: float
    """[samples]; NaN where no lag stands out."""

    @property
    def found(self) -> bool:
        """Whether the block was found in ``a`` at all."""
        return bool(np.isfinite(self.delay))


def block_delays(
    a: Signal | Floats, b: Signal | Floats, *, near: int, reach: int, blocks: int = BLOCKS
) -> list[tuple[float, float]]:
    """Return (middle frame of ``b``, delay) of short blocks spread over ``b``, each within ``reach`` of ``near``.

    Blocks in which no lag stands out, for instance silent ones, are left out.
    """
    a, b = as_signal(a), as_signal(b)
    start, stop = max(0, near), min(b.frames, a.frames + near)
    frames = min(BLOCK_FRAMES, stop - start)
    if frames < 64:
        return []
    firsts = sorted(set(np.linspace(start, stop - frames, blocks).astype(int).tolist()))
    probes = in_order(lambda first: probe(a, b, first, frames, near, reach), firsts)
    return [(found.middle, found.delay) for found in probes if found.found]


def probe(a: Signal, b: Signal, first: int, frames: int, near: int, reach: int, score: float = BLOCK_SCORE) -> Probe:
    """Return where the block of ``frames`` frames of ``b`` from ``first`` lies, within ``reach`` of ``near``.

    It is not found unless its lag stands ``score`` times above the RMS of all.
    """
    fade, wide_fade = np.hanning(frames - 1), np.ones(frames + 2 * reach - 1)
    ramp = np.hanning(2 * reach + 2)[: reach + 1]
    ramp = ramp[: wide_fade.size // 2]
    wide_fade[: ramp.size], wide_fade[-ramp.size :] = ramp, ramp[::-1]
    low = first - near - reach
    heard = np.diff(a.read(low, first - near + frames + reach), axis=1) * wide_fade
    block = np.diff(b.read(first, first + frames), axis=1) * fade  # cut hard, both would agree on their edges
    size = 1 << heard.shape[1].bit_length()
    power = _whitened(heard, block, size)
    rms = float(np.sqrt(np.mean(power)))
    middle = first + 0.5 * frames
    if rms == 0.0:
        return Probe(middle, np.nan)
    near_lags = np.sqrt(power[-np.arange(0, 2 * reach + 1) % size])
    best = int(np.argmax(near_lags))
    if near_lags[best] < score * rms:
        return Probe(middle, np.nan)
    return Probe(middle, float(first - low - best - vertex(near_lags, best)))


def vertex(values: Floats, best: int) -> float:
    """Return how far beyond ``best`` the parabola through it and its neighbours peaks, within half a step."""
    if not 0 < best < values.size - 1:
        return 0.0
    before, peak, after = values[best - 1 : best + 2]
    bend = before - 2.0 * peak + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0


def _whitened(a: Floats, b: Floats, size: int) -> Floats:
    """Return the power of the whitened circular correlation at each lag of ``b`` after ``a``, channels added.

    Channels are correlated each with its own and their squares added, so that an inverted channel does not cancel the
    other. Quiet bins keep a small weight, so that noise is not lifted.
    """
    cross = np.fft.rfft(b, size, axis=1) * np.conj(np.fft.rfft(a, size, axis=1))
    cross[:, : size // 300] = 0.0  # rumble and DC align nothing
    magnitude = np.abs(cross)
    cross /= np.maximum(magnitude + 0.1 * magnitude.mean(axis=1, keepdims=True), 1e-300)
    power: Floats = np.sum(np.fft.irfft(cross, size, axis=1) ** 2, axis=0)
    return power
