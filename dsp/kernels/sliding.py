"""The least of the last so many, for loops that look a little back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from dsp.kernels.compiled import part
from dsp.kernels.lanes import Code, Kind, Place, Stage, smaller, stage

__all__ = ["sliding_minimum"]


def _least(kind: Kind) -> Stage:
    """Return the stage that writes the less of two stretches of a row, ``vectors`` long."""

    @stage(kind, "place", "whole", "whole", "whole", "whole")
    def write(code: Code, rows: Place, behind: Any, ahead: Any, to: Any, vectors: Any) -> None:
        with code.each(vectors) as i:
            at = code.times(i, kind.count)
            rows.store(smaller(rows.load(behind, at), rows.load(ahead, at)), to, at)

    return write


def sliding_minimum(kind: Kind) -> Callable[[NDArray[Any], int, int], NDArray[Any]]:
    """Return the part of kernels that finds, for each of ``n`` frames, the least of it and the ``window`` − 1 before.

    It takes rows, n and window. ``rows`` (3, ≥ window − 1 + n and a vector of ``kind``): row 0 is window − 1 frames of
    the past and the n new ones, the others are scratch; what is returned lies in one of them (in row 0 for a window of
    1). Minima over 2, 4, 8 … frames, then over two of those that overlap: no branch depends on the signal, and a vector
    holds as many frames.
    """
    least, size = _least(kind), kind.count

    @part
    def find(rows: NDArray[Any], n: int, window: int) -> NDArray[Any]:
        span, source, target = 1, 0, 1
        width = rows.shape[1]
        while span < window:
            further = min(span, window - span)
            begin, to = source * width + span - 1, target * width + span - 1 + further
            count = n + window - span - further
            least(rows, begin, begin + further, to, (count + size - 1) // size)
            span += further
            source = target
            target = 3 - target
        return rows[source, window - 1 :]

    found: Callable[[NDArray[Any], int, int], NDArray[Any]] = find
    return found
