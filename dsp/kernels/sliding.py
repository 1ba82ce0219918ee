"""The least of the last so many, for loops that look a little back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import part

__all__ = ["sliding_minimum"]


@part
def sliding_minimum(rows: NDArray[np.float64], n: int, window: int) -> NDArray[np.float64]:
    """Return, for each of ``n`` frames, the least of it and the ``window`` − 1 before it.

    ``rows`` (3, ≥ window − 1 + n): row 0 is window − 1 frames of the past and the n new ones, the others are scratch;
    what is returned lies in one of them (in row 0 for a window of 1). Minima over 2, 4, 8 … frames, then over two of
    those that overlap: no branch depends on the signal, and each pass runs many frames at a time.
    """
    span, source, target = 1, 0, 1
    while span < window:
        further = min(span, window - span)
        behind, ahead = rows[source, span - 1 :], rows[source, span - 1 + further :]
        least = rows[target, span - 1 + further :]
        for i in range(n + window - span - further):
            least[i] = min(behind[i], ahead[i])
        span += further
        source = target
        target = 3 - target
    return rows[source, window - 1 :]
