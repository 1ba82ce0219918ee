"""Normal equations of short filters over several stretches, exact and summed.

``R[j, k] = Σ y(n + half − j)·y(n + half − k)`` over a stretch is not Toeplitz, but each diagonal element differs from
its neighbour by one product that enters at the start and one that leaves at the end (the covariance method of linear
prediction: Makhoul, Proc. IEEE 63 (1975) 561-580). First rows and changes add up over stretches; so does all else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LAG_FFT = 16_384
REFINEMENTS = 1


@dataclass(frozen=True, eq=False)
class Normal:
    """``matrix·x = wanted``, the power of what is to be explained, and over how many frames; one channel's."""

    matrix: Floats
    wanted: Floats
    power: float
    frames: int

    def __add__(self, other: Normal) -> Normal:
        return Normal(
            self.matrix + other.matrix,
            self.wanted + other.wanted,
            self.power + other.power,
            self.frames + other.frames,
        )

    def only(self, kept: Floats | NDArray[np.int64]) -> Normal:
        """Return the system of some of the columns."""
        return Normal(self.matrix[np.ix_(kept, kept)], self.wanted[kept], self.power, self.frames)

    def left(self, x: Floats) -> float:
        """Return the sum of squares that ``x`` leaves; rounding keeps 13 digits of the power."""
        return max(0.0, self.power - float(x @ (2.0 * self.wanted - self.matrix @ x)))

    def solve(self, ridge: float) -> Floats:
        """Return the least-squares solution (see :func:`ridge_solve`)."""
        return ridge_solve(self.matrix, self.wanted, ridge)


def taps_normal(parts: Iterable[tuple[Floats, Floats, Floats]], half: int) -> Normal:
    """Return the system of ``2·half + 1`` taps and some further columns.

    ``parts`` yields per stretch: the input (frames + 2·half,), the columns beside the taps (count, frames), and what
    is to be explained (frames,).
    """
    width = 2 * half + 1
    row, wanted = np.zeros(width), np.zeros(width)
    change = np.zeros((2 * half, 2 * half))
    shared: Floats | None = None
    beside: Floats | None = None
    also: Floats | None = None
    power, frames = 0.0, 0
    for around, columns, heard in parts:
        row += lagged(around[2 * half :], around)
        first, last = around[: 2 * half][::-1], around[around.size - 2 * half :][::-1]
        change += np.outer(first, first) - np.outer(last, last)
        wanted += lagged(heard, around)
        cross = np.array([lagged(column, around) for column in columns]).reshape(len(columns), width)
        shared = cross if shared is None else shared + cross
        inner, outer = columns @ columns.T, columns @ heard
        beside = inner if beside is None else beside + inner
        also = outer if also is None else also + outer
        power += float(heard @ heard)
        frames += heard.size
    if shared is None or beside is None or also is None:
        return Normal(np.zeros((width, width)), wanted, 0.0, 0)
    size = width + len(shared)
    matrix = np.empty((size, size))
    matrix[0, :width] = row
    matrix[:width, 0] = row
    for j in range(1, width):
        matrix[j, 1:width] = matrix[j - 1, : width - 1] + change[j - 1]
    matrix[width:, :width], matrix[:width, width:] = shared, shared.T
    matrix[width:, width:] = beside
    return Normal(matrix, np.concatenate([wanted, also]), power, frames)


def lagged(short: Floats, long: Floats) -> Floats:
    """Return ``c[k] = Σ short[i]·long[i + T − 1 − k]`` for the ``T = len(long) − len(short) + 1`` lags there are."""
    lags = long.size - short.size + 1
    length = LAG_FFT - lags + 1
    total = np.zeros(LAG_FFT // 2 + 1, dtype=np.complex128)
    for first in range(0, short.size, length):
        part = short[first : first + length]
        heard = long[first : first + part.size + lags - 1]
        total += np.fft.rfft(heard, LAG_FFT) * np.conj(np.fft.rfft(part, LAG_FFT))
    found: Floats = np.fft.irfft(total, LAG_FFT)[:lags][::-1].copy()
    return found


def ridge_solve(matrix: Floats, wanted: Floats, ridge: float, *, refinements: int = REFINEMENTS) -> Floats:
    """Solve normal equations with every column scaled to unit power and ``ridge`` of it added; zero without signal.

    What the ridge holds back is handed in again (iterated Tikhonov regularisation: Engl, Hanke, Neubauer,
    *Regularization of Inverse Problems*, 1996, section 5.1): a direction of relative power ``p`` is short by
    ``(ridge/(p + ridge))²`` in the end, so the ridge holds still what has no signal and does not bend the rest.
    """
    power = np.diag(matrix)
    sounding = power > 0.0
    scale = np.where(sounding, 1.0 / np.sqrt(np.where(sounding, power, 1.0)), 0.0)
    scaled: Floats = np.asarray(matrix * scale * scale[:, None], dtype=np.float64)
    target = wanted * scale
    held = scaled.copy()
    held[np.diag_indices_from(held)] += np.where(sounding, ridge, 1.0)
    solved = np.linalg.solve(held, target)  # not by an inverse: that would lose the digits the ridge leaves
    for _ in range(refinements):
        solved = solved + np.linalg.solve(held, target - scaled @ solved)
    return np.asarray(solved * scale, dtype=np.float64)
