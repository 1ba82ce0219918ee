"""The vector type: every operation is the one IEEE operation that numpy makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from dsp.kernels.lanes import STEREO, STRIPS, Kind, larger, multiply_add, smaller, stage, where_below

RESULTS = 9


def operations(kind: Kind) -> Any:
    """A function that writes what becomes of vectors a, b and c into rows of ``out``."""

    @stage(kind, "place", "place", "whole")
    def write(code, vectors, out, frames) -> None:
        with code.each(frames) as i:
            at = code.times(i, 3 * kind.count)
            a, b, c = (vectors.load(at, k * kind.count) for k in range(3))
            whole = code.all(1.5 * 2.0**kind.fraction_bits) + code.all(-3.0)
            made = [
                a * b + c,
                multiply_add(a, b, c),
                a.magnitude().exponent(),
                a.magnitude().mantissa(),
                a.doubled(whole),
                a.swapped(),
                larger(a, b) - smaller(a, c),
                where_below(a, b, c, a / b),
                a.kept(b.magnitude() - b.magnitude()),
            ]
            for k, value in enumerate(made):
                out.store(value, code.times(i, RESULTS * kind.count), k * kind.count)

    @njit
    def run(vectors, out) -> None:
        write(vectors, out, vectors.shape[0])

    return run


@pytest.mark.parametrize("kind", [STRIPS, STEREO, Kind(64, 4)], ids=["strips", "stereo", "two frames"])
def test_lanes_compute_what_numpy_computes(kind) -> None:
    dtype = np.float32 if kind is STRIPS else np.float64
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((50, 3, kind.count)) * 10.0 ** rng.uniform(-3, 3, (50, 3, 1))).astype(dtype)
    out = np.zeros((50, RESULTS, kind.count), dtype)
    operations(kind)(vectors, out)
    a, b, c = vectors.transpose(1, 0, 2)
    mantissa, exponent = np.frexp(np.abs(a))
    swapped = a.reshape(50, -1, 2)[:, :, ::-1].reshape(a.shape)
    expected = [
        a * b + c, None, (exponent - 1).astype(dtype), 2 * mantissa, a / 8, swapped,
        np.maximum(a, b) - np.minimum(a, c), np.where(a < b, c, a / b), np.zeros_like(a),
    ]  # fmt: skip
    for k, wanted in enumerate(expected):
        if wanted is not None:
            assert np.array_equal(out[:, k], wanted)
    if kind is STRIPS:  # a product of float32 is exact in float64
        fused = (a.astype(np.float64) * b + c).astype(dtype)
        assert np.array_equal(out[:, 1], fused) or np.array_equal(out[:, 1], a * b + c)
