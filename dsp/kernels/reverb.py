"""Compiled loop of the eight-line feedback delay network."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dsp.kernels.strip import TINY

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_HADAMARD = 0.35355339059327373  # 1/√8 makes the 8×8 Hadamard matrix orthonormal


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _quiet(x: float) -> float:
    return x if abs(x) > TINY else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def run_network(
    wet: F64,
    n: int,
    bus: F64,
    predelay_ring: F64,
    predelay: int,
    diffuser_rings: F64,
    diffuser_delays: I64,
    diffusion: float,
    rings: F64,
    delays: I64,
    gains: F64,
    poles: F64,
    lows: F64,
    positions: I64,
    output_gain: float,
) -> None:
    """Add the reverb of ``wet`` (2, ≥ n) to ``bus`` (2, ≥ n).

    Predelay → two Schroeder all-passes a side → eight delay lines, each with gain and one-pole low-pass, fed back
    through a Hadamard matrix (J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial
    reverberators", AES 90th Convention, 1991). Three plus signs and one minus at each output: the way from line i to j
    is as long as that from j to i, and this way as many of these pairs add as cancel. Rings are powers of two long;
    ``positions[0]`` is the frame number.
    """
    mask = rings.shape[1] - 1
    all_pass_mask = diffuser_rings.shape[1] - 1
    pre_mask = predelay_ring.shape[1] - 1
    t = positions[0]
    l0, l1, l2, l3, l4, l5, l6, l7 = lows[0], lows[1], lows[2], lows[3], lows[4], lows[5], lows[6], lows[7]
    g0, g1, g2, g3, g4, g5, g6, g7 = gains[0], gains[1], gains[2], gains[3], gains[4], gains[5], gains[6], gains[7]
    p0, p1, p2, p3, p4, p5, p6, p7 = poles[0], poles[1], poles[2], poles[3], poles[4], poles[5], poles[6], poles[7]
    d0, d1, d2, d3 = delays[0], delays[1], delays[2], delays[3]
    d4, d5, d6, d7 = delays[4], delays[5], delays[6], delays[7]
    for i in range(n):
        for side in range(2):
            predelay_ring[side, t & pre_mask] = wet[side, i]
        for side in range(2):
            x = predelay_ring[side, (t - predelay) & pre_mask]
            for k in range(2):
                late = diffuser_rings[2 * side + k, (t - diffuser_delays[2 * side + k]) & all_pass_mask]
                inner = _quiet(x - diffusion * late)
                diffuser_rings[2 * side + k, t & all_pass_mask] = inner
                x = late + diffusion * inner
            if side == 0:
                left = 0.5 * x
            else:
                right = 0.5 * x
        l0 = _quiet(g0 * rings[0, (t - d0) & mask] + p0 * l0)
        l1 = _quiet(g1 * rings[1, (t - d1) & mask] + p1 * l1)
        l2 = _quiet(g2 * rings[2, (t - d2) & mask] + p2 * l2)
        l3 = _quiet(g3 * rings[3, (t - d3) & mask] + p3 * l3)
        l4 = _quiet(g4 * rings[4, (t - d4) & mask] + p4 * l4)
        l5 = _quiet(g5 * rings[5, (t - d5) & mask] + p5 * l5)
        l6 = _quiet(g6 * rings[6, (t - d6) & mask] + p6 * l6)
        l7 = _quiet(g7 * rings[7, (t - d7) & mask] + p7 * l7)
        bus[0, i] += output_gain * ((l0 + l2) + (l4 - l6))
        bus[1, i] += output_gain * ((l1 + l3) + (l5 - l7))
        a0, a1, a2, a3 = l0 + l1, l0 - l1, l2 + l3, l2 - l3
        a4, a5, a6, a7 = l4 + l5, l4 - l5, l6 + l7, l6 - l7
        b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
        b4, b5, b6, b7 = a4 + a6, a5 + a7, a4 - a6, a5 - a7
        w = t & mask
        rings[0, w] = left + _HADAMARD * (b0 + b4)
        rings[1, w] = right + _HADAMARD * (b1 + b5)
        rings[2, w] = left + _HADAMARD * (b2 + b6)
        rings[3, w] = right + _HADAMARD * (b3 + b7)
        rings[4, w] = left + _HADAMARD * (b0 - b4)
        rings[5, w] = right + _HADAMARD * (b1 - b5)
        rings[6, w] = left + _HADAMARD * (b2 - b6)
        rings[7, w] = right + _HADAMARD * (b3 - b7)
        t += 1
    lows[0], lows[1], lows[2], lows[3], lows[4], lows[5], lows[6], lows[7] = l0, l1, l2, l3, l4, l5, l6, l7
    positions[0] = t
