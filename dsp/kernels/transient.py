"""Compiled loop of the transient shaper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import kernel
from dsp.kernels.decibels import OCTAVES_PER_DB, exp2
from dsp.kernels.lanes import Kind
from dsp.kernels.sliding import sliding_minimum

F64 = NDArray[np.float64]

STEP_FRAMES = 16
TINY = 1e-30
NOTHING_DB = 1e-9

_least = sliding_minimum(Kind(64, 4))


@kernel("f8[:, ::1]", "i8", "i8", "f8[:, ::1]", "i8", "i8", "f8[:, ::1]", "f8[::1]", "f8[:, ::1]")
def shape(
    key: F64, channels: int, n: int, knots: F64, first: int, window: int, levels: F64, state: F64, gains: F64
) -> None:
    """Turn ``key`` (channels, ≥ n) into the linear ``gains`` (2, ≥ n) of a transient shaper.

    Rows of ``knots``: dB for attack and for sustain; poles of the gain, of the envelope going down, of the one that
    comes up slowly and of the one that goes down slowly. Row 0 of ``levels`` (3, ≥ window + 3 + n) begins with the last
    window − 1 negative levels; ``state`` (4,): the three envelopes, the last gain in dB.
    """
    last = knots.shape[0] - 2
    new = levels[0, window - 1 :]
    for i in range(n):
        new[i] = -abs(key[0, i])
    if channels == 2:
        for i in range(n):
            new[i] = min(new[i], -abs(key[1, i]))
    least = _least(levels, n, window)
    out = gains[0]
    now, late, long, gain = state[0], state[1], state[2], state[3]
    for i in range(n):
        k = min((first + i) // STEP_FRAMES, last)
        at = (first + i - k * STEP_FRAMES) * (1.0 / STEP_FRAMES)
        a, b = knots[k], knots[k + 1]
        x = -least[i]
        now = max(x + b[3] * (now - x), x)
        now = now if now > TINY else 0.0
        late = min(now + b[4] * (late - now), now)
        long = max(now + b[5] * (long - now), now)
        begun = (now - late) / max(now, TINY)
        left = (long - now) / max(long, TINY)
        wanted = (a[0] + (b[0] - a[0]) * at) * begun + (a[1] + (b[1] - a[1]) * at) * left
        gain = wanted + b[2] * (gain - wanted)
        gain = gain if abs(gain) > NOTHING_DB else 0.0
        out[i] = gain
    state[0] = now
    state[1] = late
    state[2] = long if long > TINY else 0.0
    state[3] = gain
    for i in range(n):
        out[i] = exp2(OCTAVES_PER_DB * out[i])
        gains[1, i] = out[i]
    for i in range(window - 1):
        levels[0, i] = levels[0, n + i]
