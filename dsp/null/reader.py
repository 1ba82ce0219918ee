"""Read a recording at times between its samples, with a delay that may grow from frame to frame.

The kernel is a sinc under a Kaiser window of 256 taps. Over one segment the delay strays only a little from its middle;
there the kernel is a polynomial of the offset (interpolated at Chebyshev nodes, so its error is spread evenly), every
coefficient of which is one fast convolution. A constant delay is the same thing with nothing straying.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dsp.null.signal import Signal, as_signal

Floats = NDArray[np.float64]

HALF_TAPS = 128
# Kaiser & Schafer, IEEE Trans. ASSP 28 (1980): a beta of 0.1102·(A − 8.7) rejects by A dB; 15.5 is 149 dB. With 256
# taps the passband then reaches 0.48 of the sample rate (23 kHz at 48 kHz).
BETA = 15.5
STRAY = 0.1  # samples the delay may stray from a segment's middle
KERNEL_ERROR = 2e-9
SHORTEST, LONGEST = 1024, 65_536
SHORTEST_FFT = 16_384  # of filters, so that short ones do not work in crumbs


def kernel(offsets: Floats) -> Floats:
    """Return the taps that delay by each of ``offsets`` [samples, magnitude below 1], (len(offsets), 257).

    Tap ``k`` (from −128 to 128) multiplies the sample ``k`` frames earlier.
    """
    reach = np.arange(-HALF_TAPS, HALF_TAPS + 1) - offsets[:, None]
    inside = 1.0 - (reach / HALF_TAPS) ** 2
    window = np.where(inside > 0.0, np.i0(BETA * np.sqrt(np.maximum(inside, 0.0))), 0.0) / np.i0(BETA)
    taps: Floats = np.sinc(reach) * window
    return taps


def read(
    source: Signal | Floats,
    *,
    delay: float,
    drift: float,
    start: int,
    stop: int,
    slope: bool = False,
    wander: Callable[[Floats], Floats] | None = None,
) -> tuple[Floats, Floats]:
    """Return ``source`` at the times ``n − delay − drift·n − wander(n)`` for the frames ``start ≤ n < stop``.

    Parameters
    ----------
    source
        A signal, or (channels, frames), full scale 1.0; silence is assumed before and after it.
    delay
        Delay of frame 0 [samples].
    drift
        Growth of the delay [samples per sample]; magnitude below 0.01.
    start, stop
        The frames wanted; they may lie anywhere.
    slope
        Also return the derivative with respect to the delay.
    wander
        What the delay has beyond that line [samples] at given frames; smooth, growing by less than 0.01 per frame.

    Returns
    -------
    tuple
        Two arrays (channels, stop − start): the reading and its derivative (empty unless ``slope``).
    """
    heard_from = as_signal(source)
    still = drift == 0.0 and wander is None
    length = LONGEST if drift == 0.0 else int(np.clip(2.0 * STRAY / abs(drift), SHORTEST, LONGEST))
    fft_frames = 1 << (min(length, stop - start) + 2 * HALF_TAPS).bit_length()
    if length < stop - start and fft_frames > 1.5 * length:
        fft_frames //= 2  # rather shorter segments than transforms half empty
    length = fft_frames - 2 * HALF_TAPS if still else min(length, fft_frames - 2 * HALF_TAPS)
    reading = np.empty((heard_from.channels, stop - start))
    derivative = np.empty_like(reading if slope else reading[:, :0])
    for first in range(start, stop, length):
        last = min(first + length, stop)
        frames = np.arange(first, last, dtype=np.float64)
        wanted = delay + drift * frames
        if wander is not None:
            wanted += wander(frames)
        lowest, highest = float(wanted.min()), float(wanted.max())
        whole = round((lowest + highest) / 2.0)
        offsets = wanted - whole
        middle = 0.5 * (lowest + highest) - whole
        stray = 0.5 * (highest - lowest)
        nodes = max(_nodes(stray), 3 if slope else 1)
        scale = max(stray, 1e-3)
        angles = (2.0 * np.arange(nodes) + 1.0) * np.pi / (2.0 * nodes)
        to_powers = np.linalg.inv(np.polynomial.chebyshev.chebvander(np.cos(angles), nodes - 1))
        taps = to_powers @ kernel(middle + scale * np.cos(angles))
        spectra = np.fft.rfft(taps, fft_frames, axis=1)
        heard = heard_from.read(first - whole - HALF_TAPS, last - whole + HALF_TAPS)
        shaped = np.fft.irfft(np.fft.rfft(heard, fft_frames, axis=1)[:, None, :] * spectra, fft_frames, axis=2)
        shaped = shaped[:, :, 2 * HALF_TAPS : 2 * HALF_TAPS + last - first]
        place = (offsets - middle) / scale
        to = slice(first - start, last - start)
        reading[:, to] = _chebyshev_sum(place, shaped)
        if slope:
            derivative[:, to] = _chebyshev_slope(place, shaped) / scale
    return reading, derivative


def filtered(source: Floats, taps: Floats, *, start: int, stop: int) -> Floats:
    """Return each channel of ``source`` convolved with its own symmetric-indexed taps, for ``start ≤ n < stop``.

    ``source`` is (channels, frames); ``taps`` (channels, 2·half + 1) with tap ``half`` at no delay; silence is assumed
    outside the source.
    """
    signal = as_signal(source)
    half = taps.shape[1] // 2
    fft_frames = max(SHORTEST_FFT, 1 << (8 * taps.shape[1]).bit_length())
    length = fft_frames - 2 * half
    spectra = np.fft.rfft(taps, fft_frames, axis=1)
    out = np.empty((source.shape[0], stop - start))
    for first in range(start, stop, length):
        last = min(first + length, stop)
        heard = signal.read(first - half, last + half)
        shaped = np.fft.irfft(np.fft.rfft(heard, fft_frames, axis=1) * spectra, fft_frames, axis=1)
        out[:, first - start : last - start] = shaped[:, 2 * half : 2 * half + last - first]
    return out


def _nodes(stray: float) -> int:
    """Return how many Chebyshev nodes hold a kernel band-limited to Nyquist over ± ``stray`` within the kernel error.

    The interpolation error of ``e^(jπx)`` over ``n`` nodes is at most ``2·(π·stray/2)^n/n!``.
    """
    nodes = 1
    while stray > 0.0 and 2.0 * (np.pi * stray / 2.0) ** nodes / math.factorial(nodes) > KERNEL_ERROR:
        nodes += 1
    return nodes


def _chebyshev_sum(place: Floats, terms: Floats) -> Floats:
    """Return ``Σ T_m(place)·terms[:, m]`` by Clenshaw's recurrence; ``terms`` is (channels, nodes, frames)."""
    ahead = np.zeros_like(terms[:, 0])
    current = np.zeros_like(ahead)
    for m in range(terms.shape[1] - 1, 0, -1):
        ahead, current = current, 2.0 * place * current - ahead + terms[:, m]
    total: Floats = place * current - ahead + terms[:, 0]
    return total


def _chebyshev_slope(place: Floats, terms: Floats) -> Floats:
    """Return the derivative of :func:`_chebyshev_sum` by ``place``: ``Σ m·U_(m−1)(place)·terms[:, m]``."""
    before, second = np.zeros_like(place), np.ones_like(place)
    total = np.zeros_like(terms[:, 0])
    for m in range(1, terms.shape[1]):
        total += m * second * terms[:, m]
        before, second = second, 2.0 * place * second - before
    return total
