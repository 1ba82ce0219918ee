"""What acousticians measure in an impulse response, from the standards and papers; no code of the reverb's."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal
from scipy.special import erfc

OCTAVES = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)


def octave(h: np.ndarray, centre_hz: float, rate_hz: float) -> np.ndarray:
    """One octave of ``h`` (frames,)."""
    return signal.sosfilt(octave_sections(centre_hz, rate_hz), h)


def octave_sections(centre_hz: float, rate_hz: float) -> np.ndarray:
    edges = [centre_hz / math.sqrt(2.0), min(centre_hz * math.sqrt(2.0), 0.49 * rate_hz)]
    return signal.butter(4, edges, "bandpass", fs=rate_hz, output="sos")


def decay_curve(h: np.ndarray) -> np.ndarray:
    """Schroeder's backward integration (JASA 37, 1965), the energy still to come as a part of the whole."""
    left = np.cumsum(h[::-1] ** 2)[::-1]
    return left / left[0]


def t30(curve: np.ndarray, rate_hz: float) -> float:
    """ISO 3382: a line through the decay from −5 to −35 dB, extrapolated to −60 dB [s]."""
    db = 10.0 * np.log10(np.maximum(curve, 1e-30))
    span = np.flatnonzero((db <= -5.0) & (db >= -35.0))
    return -60.0 / float(np.polyfit(span / rate_hz, db[span], 1)[0])


def t30_of_ideal(decay_s, centre_hz: float, rate_hz: float) -> float:
    """T30 of a noise that dies at every frequency in its own time ``decay_s`` (of hz), seen through the same octave."""
    f = np.geomspace(20.0, 0.49 * rate_hz, 3000)
    _, h = signal.sosfreqz(octave_sections(centre_hz, rate_hz), f, fs=rate_hz)
    seconds = decay_s(f)
    energy = np.abs(h) ** 2 * np.gradient(f) * seconds
    t = np.arange(0.0, 1.5 * seconds.max(), 0.004)
    return t30(np.sum(energy * 10.0 ** (-6.0 * t[:, None] / seconds), axis=1) / np.sum(energy), 250.0)


def echo_density(h: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return moments [s] and normalised echo density there.

    J. S. Abel and P. Huang, "A simple, robust measure of reverberation echo density", AES 121st Convention, 2006: the
    part of samples in a 20 ms Hann window that exceed its standard deviation, over that part in Gaussian noise.
    """
    width = round(0.020 * rate_hz)
    window = np.hanning(width + 2)[1:-1]
    window /= window.sum()
    starts = np.arange(0, len(h) - width, width // 16)
    pieces = np.lib.stride_tricks.sliding_window_view(h, width)[starts]
    deviation = np.sqrt(pieces**2 @ window)
    return (starts + width / 2) / rate_hz, (np.abs(pieces) > deviation[:, None]) @ window / erfc(math.sqrt(0.5))


def flatness(h: np.ndarray, centre_hz: float, rate_hz: float, decay_s: float, since_s: float) -> tuple[float, float]:
    """Spectral flatness and highest peak (over the mean power) within an octave of one decay time from ``since_s`` on.

    The decay is taken out first, and what is left is looked at through a Hann window. For Gaussian noise the flatness
    is exp(−γ) = 0.561 (the mean of the logarithm of an exponentially distributed power).
    """
    start, length = round(since_s * rate_hz), round(decay_s * rate_hz)
    tail = h[start : start + length] * 10.0 ** (3.0 * np.arange(length) / (decay_s * rate_hz))
    power = np.abs(np.fft.rfft(tail * np.hanning(length))) ** 2
    hz = np.fft.rfftfreq(length, 1.0 / rate_hz)
    power = power[(hz > centre_hz / math.sqrt(2.0)) & (hz < centre_hz * math.sqrt(2.0))]
    return float(np.exp(np.mean(np.log(power))) / np.mean(power)), float(np.max(power) / np.mean(power))
