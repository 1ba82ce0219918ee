"""What every processor promises, as functions its tests call."""

from __future__ import annotations

import itertools

import numpy as np

from dsp.processor import Processor, Settings

RATE = 48_000


def run(processor: Processor, x: np.ndarray, cuts=(), key: np.ndarray | None = None) -> np.ndarray:
    """Return ``x`` (n, ch) processed in blocks that end at ``cuts``."""
    y = np.ascontiguousarray(x, dtype=np.float32).copy()
    for a, b in itertools.pairwise([0, *sorted(cuts), len(y)]):
        processor.process(y[a:b], None if key is None else np.ascontiguousarray(key[a:b], dtype=np.float32))
    return y


def noise(frames: int, channels: int = 2, seed: int = 0, level: float = 0.3) -> np.ndarray:
    """Return noise whose loudness swells and fades, with a silence in it."""
    r = np.random.default_rng(seed)
    swell = np.interp(np.arange(frames), np.linspace(0, frames, 12), r.uniform(0.001, 1.0, 12) ** 2)
    x = r.standard_normal((frames, channels)) * level * swell[:, None]
    x[frames // 2 : frames // 2 + frames // 8] = 0.0
    return x.astype(np.float32)


def same_for_any_cut(start: Settings, end: Settings, x: np.ndarray, cuts, frames: int) -> bool:
    """Tell whether a change in the middle gives the same samples whole and cut, also just after it began."""
    at = len(x) // 3
    cut = changing(start, end, x, [*cuts, at + 1, at + 2, at + 15, at + 16, at + 33], at, frames)
    return np.array_equal(cut, changing(start, end, x, [], at, frames))


def changing(start: Settings, end: Settings, x: np.ndarray, cuts, at: int, frames: int, key=None) -> np.ndarray:
    """Return ``x`` processed with ``start``, told at frame ``at`` to go to ``end``, in blocks that end at ``cuts``."""
    p = start.start(RATE, x.shape[1])
    before = run(p, x[:at], [c for c in cuts if c < at], None if key is None else key[:at])
    p.change(end, frames)
    after = run(p, x[at:], [c - at for c in cuts if c > at], None if key is None else key[at:])
    return np.concatenate([before, after])


def sine(freq_hz: float, seconds: float, level_db: float = 0.0, channels: int = 1) -> np.ndarray:
    """Return a sine whose peaks reach ``level_db``."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 10.0 ** (level_db / 20.0) * np.sin(2.0 * np.pi * freq_hz * t)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def db(x) -> np.ndarray:
    """Return 20 log10 |x|."""
    return 20.0 * np.log10(np.abs(np.asarray(x)).astype(np.float64))
