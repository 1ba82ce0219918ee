"""A loop played by formula: the judge of every estimator, sharing no code with ``dsp``.

Everything is a sum of tones or a sweep whose phase is known at every real-valued instant. Delay, drift and wander go
into the instants, couplings and low-pass filters into the complex amplitude of each tone, so no filter and no reader of
ours stands between the truth and the samples. A tone of phase ``φ(t)`` is heard at frame ``n`` as ``cos φ(t(n))`` with
``t(n) = n − delay − ppm·10⁻⁶·n − wander·sin(2πn/period)`` in samples of the player: a positive drift is a delay that
grows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

ROWS = 4_096


@dataclass(frozen=True)
class Path:
    """What a signal goes through from an output to an input.

    ``couplings_hz`` are first-order high-passes, ``lowpass_hz`` a second-order Butterworth low-pass, ``bells`` analog
    peaking sections ``(s² + A·s·w/Q + w²)/(s² + s·w/(A·Q) + w²)`` of (Hz, dB, Q), ``A = 10^(dB/40)``.
    """

    delay_samples: float = 0.0
    gain: float = 1.0
    """Negative where the path inverts."""
    couplings_hz: tuple[float, ...] = ()
    lowpass_hz: float | None = None
    bells: tuple[tuple[float, float, float], ...] = ()
    drift_ppm: float = 0.0
    wander_ppm: float = 0.0
    """Peak of a sinusoidal deviation of the clock [ppm]."""
    wander_period_s: float = 30.0
    rate_hz: float = 48_000.0

    def response(self, hz: Floats) -> Complexes:
        """Return the analog response at ``hz``, gain in it, delay not."""
        s = 1j * np.asarray(hz, dtype=np.float64)
        h = np.full(s.shape, complex(self.gain))
        for corner in self.couplings_hz:
            h = h * s / (s + corner)
        if self.lowpass_hz is not None:
            c = self.lowpass_hz
            h = h * c * c / (s * s + math.sqrt(2.0) * c * s + c * c)
        for centre, gain_db, q in self.bells:
            a = 10.0 ** (gain_db / 40.0)
            h = h * (s * s + a * s * centre / q + centre**2) / (s * s + s * centre / (a * q) + centre**2)
        return h

    def offset(self, frames: Floats) -> Floats:
        """Return the delay at each frame of the recording [samples]."""
        sway = self.wander_ppm * 1e-6 * self.wander_period_s * self.rate_hz / (2.0 * math.pi)
        turn = 2.0 * math.pi * frames / (self.wander_period_s * self.rate_hz)
        return self.delay_samples + self.drift_ppm * 1e-6 * frames + sway * np.sin(turn)

    def instants(self, frames: Floats) -> Floats:
        """Return which instant of the player [samples] each frame of the recording hears."""
        return frames - self.offset(frames)


@dataclass(frozen=True)
class Tones:
    """Steady tones ``amplitude·cos(2π·cycles·t + phase)``, t in samples."""

    cycles: Floats
    """Cycles per sample."""
    amplitude: Floats
    phase: Floats

    def at(self, instants: Floats, response: Complexes | None = None) -> Floats:
        """Return the sum at real-valued instants, each tone through its own complex gain."""
        size, phase = self.amplitude, self.phase
        if response is not None:
            size, phase = size * np.abs(response), phase + np.angle(response)
        out = np.empty(instants.shape)
        for start in range(0, instants.size, ROWS):
            t = instants[start : start + ROWS, None]
            out[start : start + ROWS] = np.cos(2.0 * math.pi * np.mod(t * self.cycles, 1.0) + phase) @ size
        return out

    def through(self, path: Path, frames: int, *, first: int = 0) -> Floats:
        """Return ``frames`` frames recorded behind ``path``."""
        n = np.arange(first, first + frames, dtype=np.float64)
        return self.at(path.instants(n), path.response(self.cycles * path.rate_hz))

    def slope_energy(self, frames: int, gain: float = 1.0) -> float:
        """Return ``Σ x'(n)²`` over ``frames``, x' per sample, whole cycles or many of them."""
        return frames * gain**2 * float(np.sum((self.amplitude * 2.0 * math.pi * self.cycles) ** 2)) / 2.0

    def energy(self, frames: int, gain: float = 1.0) -> float:
        """Return ``Σ x(n)²`` over ``frames``."""
        return frames * gain**2 * float(np.sum(self.amplitude**2)) / 2.0


def delay_bound(tones: Tones, frames: int, sigma: float, gain: float = 1.0) -> float:
    """Return the Cramér–Rao bound of a delay in white noise, ``σ/√(Σ x'²)`` [samples]."""
    return sigma / math.sqrt(tones.slope_energy(frames, gain))


def gain_bound_db(tones: Tones, frames: int, sigma: float, gain: float = 1.0) -> float:
    """Return the Cramér–Rao bound of a real gain, ``8.686·σ/√(Σ x²)`` [dB]."""
    return 20.0 / math.log(10.0) * sigma / math.sqrt(tones.energy(frames, gain))


def drift_bound_ppm(tones: Tones, frames: int, sigma: float) -> float:
    """Return the Cramér–Rao bound of a steady drift beside an unknown delay, ``√(12σ²/(Σ(a·w)²/2·N³))`` [ppm]."""
    steepness = float(np.sum((tones.amplitude * 2.0 * math.pi * tones.cycles) ** 2)) / 2.0
    return 1e6 * math.sqrt(12.0 * sigma**2 / (steepness * float(frames) ** 3))


def tones_of(period: Floats, bins: NDArray[np.int64]) -> Tones:
    """Read amplitude and phase of a periodic signal's tones out of one period (frames,)."""
    size = np.fft.rfft(period)[bins] * (2.0 / period.size)
    return Tones(bins / period.size, np.abs(size), np.angle(size))


def comb_return(
    tones: Sequence[tuple[NDArray[np.int64], Complexes]], frames: int, gains: Floats, delays: Floats
) -> Floats:
    """Return one steady period (frames, inputs) of many outputs' tones, each behind its own gain and delay.

    ``tones`` holds per output its bins and their complex amplitudes, ``gains`` and ``delays`` are (outputs, inputs).
    Every tone makes whole cycles in the period, so its samples *are* one pair of Fourier coefficients turned by the
    phase at its own frequency: the inverse transform only adds the cosines up
    (tests/dsp/test_measurement_bounds.py compares).
    """
    series = np.zeros((frames // 2 + 1, gains.shape[1]), dtype=np.complex128)
    for (bins, size), g, d in zip(tones, gains, delays, strict=True):
        series[bins] += 0.5 * frames * size[:, None] * g * np.exp(-2j * math.pi * bins[:, None] * d / frames)
    return np.fft.irfft(series, frames, axis=0)


@dataclass(frozen=True)
class Sweep:
    """An exponential sweep after Farina: ``sin(2π·f1·L·(e^(t/L) − 1))``, with raised-cosine ends, silent outside.

    Novak's synchronised form (JAES 63, 2015) rounds ``f1·L`` to a whole number.
    """

    low_hz: float
    high_hz: float
    seconds: float
    amplitude: float = 0.5
    fade_s: float = 0.01
    synchronised: bool = False
    rate_hz: float = 48_000.0

    def at(self, instants: Floats) -> Floats:
        """Return the sweep at real-valued instants [samples]."""
        t = instants / self.rate_hz
        span = self.seconds / math.log(self.high_hz / self.low_hz)
        if self.synchronised:
            span = round(self.low_hz * span) / self.low_hz
        inside = (t > 0.0) & (t < self.seconds)
        at = np.where(inside, t, 0.0)
        rise = np.clip(np.minimum(at, self.seconds - at) / self.fade_s, 0.0, 1.0)
        turns = self.low_hz * span * np.expm1(at / span)
        return np.where(inside, self.amplitude * np.sin(2.0 * math.pi * turns) * np.sin(0.5 * math.pi * rise) ** 2, 0.0)


def bent(x: Floats, *, h2_db: float = -math.inf, h3_db: float = -math.inf, at: float = 1.0) -> Floats:
    """Return ``x`` with second and third harmonics of that level [dB re H1] for a sine of amplitude ``at``.

    ``c2·x²`` turns a sine of amplitude a into ``c2·a²/2`` of H2, ``c3·x³`` into ``c3·a³/4`` of H3; what x² adds at DC
    is taken off.
    """
    c2 = 2.0 * 10.0 ** (h2_db / 20.0) / at
    c3 = 4.0 * 10.0 ** (h3_db / 20.0) / at**2
    return x + c2 * (x * x - np.mean(x * x, axis=0)) + c3 * x**3


def white(rng: np.random.Generator, shape: tuple[int, ...], level_db: float) -> Floats:
    """Return white noise of σ = 10^(level/20)."""
    return rng.normal(0.0, 10.0 ** (level_db / 20.0), shape)


def coloured(rng: np.random.Generator, frames: int, level_db: float, slope: float) -> Floats:
    """Return noise whose power falls as ``f^−slope`` above 20 Hz (1 = pink), σ = 10^(level/20)."""
    spectrum = np.fft.rfft(rng.normal(size=frames))
    hz = np.arange(spectrum.size) * 48_000.0 / frames
    x = np.fft.irfft(spectrum * np.maximum(hz, 20.0) ** (-slope / 2.0), frames)
    return x * 10.0 ** (level_db / 20.0) / np.std(x)


def hum(frames: int, lines: Sequence[tuple[float, float]], *, rate_hz: float = 48_000.0, seed: int = 0) -> Floats:
    """Return mains lines, each (Hz, level dBFS of its sine), with phases at random."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / rate_hz
    waves = [10.0 ** (level / 20.0) * np.cos(2.0 * math.pi * (hz * t + rng.random())) for hz, level in lines]
    return np.sum(waves, axis=0)


def in_24_bits(x: Floats, rng: np.random.Generator) -> Floats:
    """Return ``x`` clipped at full scale and in 24 bits, with triangular dither of two steps."""
    step = 2.0**-23
    dither = rng.random(x.shape) - rng.random(x.shape)
    return np.clip(np.round(x / step + dither), -(2**23), 2**23 - 1) * step
