"""Signals and ways to run an effect."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsp.processor import Processor, Settings

RATE = 48_000


def run(effect: Processor, x: np.ndarray, cuts: Sequence[int] = (), key: np.ndarray | None = None) -> np.ndarray:
    """Return x (n, channels) as ``effect`` leaves it, given in blocks that end at ``cuts``."""
    y = np.array(x, dtype=np.float32, order="C")
    for a, b in itertools.pairwise([0, *sorted(c for c in cuts if 0 < c < len(y)), len(y)]):
        effect.process(y[a:b], None if key is None else np.array(key[a:b], dtype=np.float32))
    return y


def moved(
    settings: Settings,
    moves: Sequence[tuple[int, Settings, int]],
    x: np.ndarray,
    cuts: Sequence[int] = (),
    key: np.ndarray | None = None,
) -> np.ndarray:
    """Return x through ``settings``; ``moves`` are (frame, settings to go to, over how many frames)."""
    effect = settings.start(RATE, x.shape[1])
    y, at = [], 0
    for until, there, frames in [*moves, (len(x), None, 0)]:
        inside = [c - at for c in cuts]
        y.append(run(effect, x[at:until], inside, None if key is None else key[at:until]))
        if there is not None:
            effect.change(there, frames)
        at = until
    return np.concatenate(y)


def noise(frames: int, channels: int = 2, seed: int = 0, level: float = 0.2) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((frames, channels)) * level).astype(np.float32)


def swelling(frames: int, channels: int = 2, seed: int = 0, level: float = 0.3) -> np.ndarray:
    """Return noise whose loudness swells and fades, with a silence in it."""
    r = np.random.default_rng(seed)
    swell = np.interp(np.arange(frames), np.linspace(0, frames, 12), r.uniform(0.001, 1.0, 12) ** 2)
    x = r.standard_normal((frames, channels)) * level * swell[:, None]
    x[frames // 2 : frames // 2 + frames // 8] = 0.0
    return x.astype(np.float32)


def tone(freq_hz: float, seconds: float, level_db: float = 0.0, channels: int = 1) -> np.ndarray:
    """Return a sine whose peaks reach ``level_db``."""
    return sine(freq_hz, round(seconds * RATE), 10.0 ** (level_db / 20.0), channels)


def sine(freq_hz: float, frames: int, peak: float = 0.5, channels: int = 1) -> np.ndarray:
    wave = peak * np.sin(2.0 * np.pi * freq_hz / RATE * np.arange(frames))
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def spectrum_db(effect: Processor, frames: int, at_hz: np.ndarray, channels: int = 1) -> np.ndarray:
    """Return the magnitude of an effect's impulse response of ``frames`` frames at some frequencies [dB]."""
    x = np.zeros((frames, channels), dtype=np.float32)
    x[0] = 1.0
    y = run(effect, x)[:, 0].astype(np.float64)
    # Rows of 256 frames, each turned as a whole: a sixtieth of the exponentials.
    rows = np.pad(y, (0, -len(y) % 256)).reshape(-1, 256)
    step = -2j * np.pi / RATE * np.asarray(at_hz)
    each = rows @ np.exp(np.outer(np.arange(256), step))
    return 20.0 * np.log10(np.abs(np.sum(each * np.exp(256.0 * np.outer(np.arange(len(rows)), step)), axis=0)))


def splash_db(y: np.ndarray, above_hz: float, around: slice) -> float:
    """Return the energy above a frequency in a windowed stretch of y, against a full-scale sine of its length [dB]."""
    part = y[around, 0].astype(np.float64) * np.blackman(len(y[around]))
    spectrum = np.abs(np.fft.rfft(part)) ** 2
    high = np.fft.rfftfreq(len(part), 1.0 / RATE) > above_hz
    return float(10.0 * np.log10(np.sum(spectrum[high]) / (len(part) / 4.0) ** 2 + 1e-30))


def db(x: Any) -> np.ndarray:
    """Return 20 log10 |x|."""
    return 20.0 * np.log10(np.abs(np.asarray(x)).astype(np.float64))


def close(found: Any, wanted: Any, *, rel: float = 0.0, abs: float = 0.0) -> bool:  # noqa: A002
    """Tell what ``pytest.approx`` does; that one compares a sound number by number in Python."""
    there = np.asarray(wanted, dtype=np.float64)
    if there.ndim and there.shape != np.shape(found):
        return False
    return bool(np.all(np.abs(np.asarray(found) - there) <= np.maximum(abs, rel * np.abs(there))))
