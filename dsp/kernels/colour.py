"""Compiled loops of what bends a signal: to a higher sample rate, through a curve, and back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel, part
from dsp.kernels.decibels import exp2

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_STEP_FRAMES = 16
_TWO_LOG2_E = 2.8853900817779268
_FAR = 60.0
"""Exponent of 2 beyond which tanh is ±1 in float64."""

_CLOSE = 1e-7
"""Inputs nearer than this take the curve at their middle: the difference of antiderivatives is rounding then."""

_LOUD = 1e4
"""A clipped input beyond this (+80 dBFS) is as good as this, whose square still has its last digits."""


@part
def _weigh(past: F64, taps: F64, count: int, frames: int, out: F64) -> None:
    """out[i] = Σ taps[k] past[i + k] for i < frames; ``count`` is a multiple of 4."""
    for i in range(frames):
        out[i] = 0.0
    for k in range(0, count, 4):
        w0, w1, w2, w3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        p0, p1, p2, p3 = past[k:], past[k + 1 :], past[k + 2 :], past[k + 3 :]
        for i in range(frames):
            out[i] += (w0 * p0[i] + w1 * p1[i]) + (w2 * p2[i] + w3 * p3[i])


@kernel("f8[:,::1]", "i8", "f8[:,::1]", "i8[::1]", "f8[:,:,::1]", "f8[::1]", "f8[:,::1]")
def raise_rate(x: F64, frames: int, taps: F64, counts: I64, pasts: F64, work: F64, y: F64) -> None:
    """Interpolate the first ``frames`` of every row of ``x`` into ``y``, twice as many at each of S stages.

    ``taps`` (S, T) are the weights of each half-band stage that are not its middle one, times two, ``counts`` (S) how
    many there are (a multiple of 4), ``pasts`` (rows, S, T − 1 + what a stage takes at once), ``work`` as long as half
    a row of ``y``.
    """
    stages = counts.shape[0]
    for row in range(x.shape[0]):
        kept = counts[0] - 1
        for i in range(frames):
            pasts[row, 0, kept + i] = x[row, i]
        n = frames
        for stage in range(stages):
            past = pasts[row, stage]
            count = counts[stage]
            _weigh(past, taps[stage], count, n, work)
            middle = past[count // 2 :]
            out = y[row]
            if stage < stages - 1:
                out = pasts[row, stage + 1, counts[stage + 1] - 1 :]
            for i in range(n):
                out[2 * i] = work[i]
                out[2 * i + 1] = middle[i]
            for i in range(count - 1):
                past[i] = past[i + n]
            n *= 2


@kernel("f8[:,::1]", "i8", "f8[:,::1]", "i8[::1]", "i8[::1]", "f8[:,:,:,::1]", "f8[::1]", "f8[:,::1]")
def lower_rate(y: F64, frames: int, taps: F64, counts: I64, phases: I64, pasts: F64, work: F64, x: F64) -> None:
    """Decimate every row of ``y`` into ``frames`` frames of ``x``, by two at each of S stages, the last one first.

    As ``raise_rate``; stage s keeps its even (``phases[s]`` 0) or odd samples (1), ``pasts`` are (rows, S, 2, …).
    """
    stages = counts.shape[0]
    for row in range(y.shape[0]):
        n = frames << stages
        source = y[row]
        for back in range(stages):
            stage = stages - 1 - back
            count = counts[stage]
            even = pasts[row, stage, 0]
            odd = pasts[row, stage, 1]
            kept = count - 1
            n //= 2
            for i in range(n):
                even[kept + i] = source[2 * i]
                odd[kept + i] = source[2 * i + 1]
            out = work
            if stage == 0:
                out = x[row]
            main = even
            middle = odd[count // 2 - 1 :]
            if phases[stage] == 1:
                main = odd
                middle = even[count // 2 :]
            _weigh(main, taps[stage], count, n, out)
            for i in range(n):
                out[i] = 0.5 * (out[i] + middle[i])
            for i in range(kept):
                even[i] = even[i + n]
                odd[i] = odd[i + n]
            source = out


@part
def _bent(u: float, even: float) -> float:
    """Return t + even t², t = tanh u."""
    z = _TWO_LOG2_E * u
    z = z if z < _FAR else _FAR
    z = z if z > -_FAR else -_FAR
    t: float = 1.0 - 2.0 / (exp2(z) + 1.0)
    return t + even * t * t


@part
def _clipped(u: float, even: float) -> float:
    """Return c + even c², c = u within ±1."""
    c = u if u < 1.0 else 1.0
    c = c if c > -1.0 else -1.0
    return c + even * c * c


@part
def _clipped_integral(u: float, even: float) -> float:
    """Antiderivative of ``_clipped``: within ±1 u²/2 + even u³/3, beyond it goes on straight."""
    c = u if u < 1.0 else 1.0
    c = c if c > -1.0 else -1.0
    return c * c * (0.5 + even * c / 3.0) + (c + even * c * c) * (u - c)


@kernel("f8[:,::1]", "i8", "i8", "f8[:,::1]", "i8", "f8[::1]", "f8[:,::1]", "f8[::1]")
def bend(y: F64, frames: int, factor: int, knots: F64, first: int, ahead: F64, pasts: F64, work: F64) -> None:
    """Send every row of ``y`` (rows, ``frames`` · ``factor``) through a curve, 3 samples late.

    ``knots`` as ``Glide`` gives them, at the low rate: the even part of the curve, and the share (0..1) of a hard clip
    in it; the rest is tanh. The clip is the first-order antiderivative's divided difference (J. D. Parker,
    V. Zavalishin, E. Le Bivic, "Reducing the aliasing of nonlinear waveshaping using continuous-time convolution",
    DAFx 2016, eq. 10), which averages two neighbours; ``ahead`` (6) are taps whose delay of 2½ samples and rising
    response make that up. ``pasts`` (rows, 6), ``work`` 2 (6 + samples).
    """
    length = frames * factor
    u = work[: 6 + length]
    v = work[6 + length :]
    still = knots.shape[0] == 2 and knots[0, 0] == knots[1, 0] and knots[0, 1] == knots[1, 1]
    for row in range(y.shape[0]):
        out = y[row]
        for i in range(6):
            u[i] = pasts[row, i]
        for i in range(length):
            u[6 + i] = out[i]
        for i in range(6):
            pasts[row, i] = u[length + i]
        filtered = False
        start = 0
        while start < length:
            stop = length
            even = knots[1, 0]
            share = knots[1, 1]
            if not still:
                stop = start + factor
                frame = first + start // factor
                k = min(frame // _STEP_FRAMES, knots.shape[0] - 2)
                along = (frame - k * _STEP_FRAMES) / _STEP_FRAMES
                even = knots[k, 0] + along * (knots[k + 1, 0] - knots[k, 0])
                share = knots[k, 1] + along * (knots[k + 1, 1] - knots[k, 1])
            if share < 1.0:
                for i in range(start, stop):
                    out[i] = (1.0 - share) * _bent(u[i + 3], even)
            else:
                for i in range(start, stop):
                    out[i] = 0.0
            if share > 0.0:
                if not filtered:
                    for i in range(length + 1):
                        s = ahead[0] * (u[i] + u[i + 5]) + ahead[1] * (u[i + 1] + u[i + 4])
                        s += ahead[2] * (u[i + 2] + u[i + 3])
                        s = s if s < _LOUD else _LOUD
                        v[i] = s if s > -_LOUD else -_LOUD
                    filtered = True
                for i in range(start, stop):
                    way = v[i + 1] - v[i]
                    if math.fabs(way) < _CLOSE:
                        bent = _clipped(0.5 * (v[i] + v[i + 1]), even)
                    else:
                        bent = (_clipped_integral(v[i + 1], even) - _clipped_integral(v[i], even)) / way
                    out[i] += share * bent
            start = stop
