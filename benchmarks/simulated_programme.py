"""Music by formula at four times the rate, and its recording by a reader of its own: no code of ``dsp`` in it.

The programme lives at 192 kHz and ends at 20.5 kHz. A clean export takes every fourth frame of it; a recording reads it
at real-valued instants through a sinc of 48 taps at 192 kHz under a window of seven cosines, clean to −195 dB where
the programme lives. Filters act at 192 kHz on the whole programme, padded: their complex response at each frequency.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated_loop import Path

Floats = NDArray[np.float64]

FOLD = 4
RATE_HZ = 48_000
TOP_HZ = 20_500.0
HALF_TAPS = 24
PAD_S = 4.0
BLOCK = 65_536
# Seven cosines, side lobes at −180 dB: Albrecht, A family of cosine-sum windows, ICASSP 2001.
WINDOW = (0.27105140069342, 0.43329793923448, 0.21812299954311, 0.06592544638803, 0.01081174209837, 0.00077658482522,
          0.00001388721735)  # fmt: skip


def programme(seconds: float, seed: int, *, channels: int = 2, peak: float = 0.9) -> Floats:
    """Return music-like audio at 192 kHz, (frames, channels): plucked chords, swelling tones and bursts of noise."""
    rng = np.random.default_rng(seed)
    rate = FOLD * RATE_HZ
    frames = round(seconds * rate)
    x = np.zeros((frames, channels))
    at = 0.0
    while at < seconds - 0.3:
        root = 55.0 * 2.0 ** (rng.integers(0, 36) / 12.0)
        length = min(rng.uniform(0.4, 2.0), seconds - at)
        t = np.arange(round(length * rate)) / rate
        shape = (
            np.clip(t / 0.004, 0.0, 1.0) ** 2 * np.exp(-3.0 * t / length) * np.clip((length - t) / 0.02, 0.0, 1.0) ** 2
        )
        note = np.zeros(t.size)
        turning = np.exp((2j * math.pi * root - 0.15) * t)  # higher harmonics fade sooner
        power = np.ones(t.size, dtype=np.complex128)
        for harmonic in range(1, 1 + min(24, int(14_000.0 / root))):
            power *= turning
            note += (power * np.exp(2j * math.pi * rng.random())).real / harmonic
        start = round(at * rate)
        x[start : start + t.size] += (shape * note)[:, None] * rng.uniform(0.2, 1.0, channels)
        at += rng.uniform(0.05, 0.25)
    bursts = rng.normal(size=(frames, channels))
    beat = np.arange(frames) / rate % 0.5
    bursts *= (np.exp(-beat / 0.05) * np.clip(beat / 0.002, 0.0, 1.0))[:, None]
    x += 0.4 * bursts
    ends = np.clip(np.minimum(np.arange(frames), np.arange(frames)[::-1]) / (0.05 * rate), 0.0, 1.0)[:, None]
    x = band_limited(x * np.sin(0.5 * math.pi * ends) ** 2)
    return x * (peak / np.max(np.abs(x)))


def band_limited(x: Floats) -> Floats:
    """Return ``x`` (192 kHz) with nothing above 20.5 kHz and a smooth fall from 19 kHz."""
    spectrum = np.fft.rfft(x, axis=0)
    hz = np.arange(spectrum.shape[0]) * FOLD * RATE_HZ / x.shape[0]
    fall = np.clip((TOP_HZ - hz) / (TOP_HZ - 19_000.0), 0.0, 1.0)
    return np.fft.irfft(spectrum * (np.sin(0.5 * math.pi * fall) ** 2)[:, None], x.shape[0], axis=0)


def filtered(x: Floats, path: Path) -> Floats:
    """Return ``x`` (192 kHz) behind the analog response of ``path``, its gain in it, its delay not."""
    padded = x.shape[0] + round(PAD_S * FOLD * RATE_HZ)
    padded = 1 << (padded - 1).bit_length() if padded < 2**22 else padded + padded % 2
    spectrum = np.fft.rfft(x, padded, axis=0)
    h = path.response(np.arange(spectrum.shape[0]) * FOLD * RATE_HZ / padded)
    h[-1] = h[-1].real
    return np.fft.irfft(spectrum * h[:, None], padded, axis=0)[: x.shape[0]]


def exported(x: Floats) -> Floats:
    """Return the clean 48 kHz file: every fourth frame."""
    return x[::FOLD]


def recorded(x: Floats, path: Path, frames: int) -> Floats:
    """Return ``frames`` frames at 48 kHz of ``x`` (192 kHz) at the instants ``path`` gives; silence outside ``x``."""
    out = np.empty((frames, x.shape[1]))
    taps = np.arange(1 - HALF_TAPS, HALF_TAPS + 1)
    padded = np.concatenate([np.zeros((2 * HALF_TAPS, x.shape[1])), x, np.zeros((2 * HALF_TAPS, x.shape[1]))])
    for start in range(0, frames, BLOCK):
        n = np.arange(start, min(frames, start + BLOCK), dtype=np.float64)
        at = FOLD * path.instants(n)
        whole = np.floor(at)
        away = (at - whole)[:, None] - taps
        turn = math.pi * away / HALF_TAPS
        cosine = np.cos(turn)
        window, before, term = np.full(turn.shape, WINDOW[0]), np.ones(turn.shape), cosine
        for c in WINDOW[1:]:
            window += c * term
            before, term = term, 2.0 * cosine * term - before
        kernel = np.sinc(away) * window
        place = np.clip(whole[:, None].astype(np.int64) + taps + 2 * HALF_TAPS, 0, padded.shape[0] - 1)
        for channel in range(x.shape[1]):
            out[start : start + n.size, channel] = np.einsum("nk,nk->n", kernel, padded[place, channel])
    return out


def damaged(x: Floats, kind: str, at: int, frames: int) -> Floats:
    """Return a recording with a fault from frame ``at`` on: ``frames`` of it lost, repeated, or silent (dropout)."""
    if kind == "lost":
        return np.concatenate([x[:at], x[at + frames :]])
    if kind == "repeated":
        return np.concatenate([x[:at], x[at - frames : at], x[at:]])
    out = x.copy()
    out[at : at + frames] = 0.0
    return out
