"""A music-like programme that can be heard at any time, and through any analog path, without a single filter.

Every partial swells as ``(1 + m·sin)²``, which is a sum of five sines; so the whole programme is a sum of sines, each
of which an analog path multiplies by the path's own curve at its frequency. Delay and drift go into the times. Nothing
here is shared with the code under test.
"""

from __future__ import annotations

import functools

import numpy as np

RATE = 48_000


class Programme:
    """Sines (channels, count): hz, complex amplitudes; ``x_c(t) = Re Σ a·e^(j2πft)``."""

    def __init__(self, seed=1, partials=120, low_hz=42.0, high_hz=17_000.0, rms=0.12, channels=2, common=0.3):
        rng = np.random.default_rng(seed)
        base = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), partials))
        hz, amplitude = [], []
        for f in base:
            rate, depth = rng.uniform(0.13, 6.0), rng.uniform(0.4, 0.95)
            start = rng.uniform(0.0, 2.0 * np.pi)
            level = (f / 100.0) ** -0.5 * np.exp(rng.normal(0.0, 0.5))
            shared = common * np.exp(1j * rng.uniform(0.0, 6.283))
            own = rng.normal(size=channels) + 1j * rng.normal(size=channels)
            both = level * (shared + (1.0 - common) * own)
            # (1 + m sin u)^2 = 1 + m^2/2 + 2 m sin u - (m^2/2) cos 2u
            for order, weight in ((0, 1.0 + depth**2 / 2), (1, depth / 1j), (-1, -depth / 1j)):
                hz.append(f + order * rate)
                amplitude.append(both * weight * np.exp(1j * order * start))
            for order in (2, -2):
                hz.append(f + order * rate)
                amplitude.append(both * (-(depth**2) / 4) * np.exp(1j * order * start))
        self.hz = np.array(hz)
        self.amplitude = np.array(amplitude).T
        self.amplitude *= rms / np.sqrt(np.mean(np.sum(np.abs(self.amplitude) ** 2, axis=1) / 2.0))

    @functools.lru_cache(maxsize=8)  # noqa: B019  a handful of programmes, each as long-lived as its module
    def heard(self, frames, delay=0.0, drift=0.0, path=None, rate=RATE, oversampled=1):
        """Return (channels, frames·oversampled) at the times ``(n − delay − drift·n)/rate``, through ``path(hz)``.

        What was heard before is the same array again, read-only.
        """
        amplitude = self.amplitude if path is None else self.amplitude * path(self.hz)
        step = (1.0 - drift) / (rate * oversampled)
        inner = 4096
        blocks = -(-frames * oversampled // inner)
        turn = 2j * np.pi * self.hz
        within = np.exp(turn[:, None] * (np.arange(inner) * step))
        starts = np.exp(turn[:, None] * (np.arange(blocks) * inner * step - delay / rate))
        out = [(row * starts.T) @ within for row in amplitude]
        heard = np.real(np.stack(out)).reshape(len(out), -1)[:, : frames * oversampled].copy()
        heard.flags.writeable = False
        return heard


def coupling(corner_hz):
    """First-order high-pass, the analog curve."""
    return lambda hz: 1j * hz / (1j * hz + corner_hz)


def low_pass(corner_hz, q=2.0**-0.5):
    """Second-order low-pass, the analog curve."""
    return lambda hz: 1.0 / (1.0 - (hz / corner_hz) ** 2 + 1j * hz / corner_hz / q)


def chain(*paths):
    def path(hz):
        out = np.ones_like(hz, dtype=complex)
        for one in paths:
            out = out * one(hz)
        return out

    return path


LOOP = chain(coupling(3.0), coupling(1.6), low_pass(70_000.0))
