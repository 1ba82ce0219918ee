"""A glide written out, frame by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.processor import STEP_FRAMES, Glide

__all__ = ["ramp"]


def ramp(glide: Glide, frames: int) -> NDArray[np.float64]:
    """Return the glide's row at each of the next ``frames`` frames, (frames, words); (1, words) while it stands."""
    knots, first = glide.knots(frames)
    if len(knots) == 2 and np.array_equal(knots[0], knots[1]):
        return knots[1:]
    at = first + np.arange(frames)
    knot = np.minimum(at // STEP_FRAMES, len(knots) - 2)
    share = (at - knot * STEP_FRAMES) / STEP_FRAMES
    rows: NDArray[np.float64] = knots[knot] + (knots[knot + 1] - knots[knot]) * share[:, None]
    return rows
