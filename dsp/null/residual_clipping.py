"""Peaks that a recording cuts: flat tops, and loudest samples that come back lower than they went out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.levels import decibels
from dsp.measure.figure import Figure, unseen
from dsp.null.residual_clicks import runs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_FLAT = 3  # samples in a row at one value
FLAT = 1e-6  # full scale: a quantisation step of 20 bits counts as equal
FAINTEST_CLIP = 0.01
FEWEST_RUNS = 3
LEVEL_BINS = 512
HIGHEST = 4.0
TOP_SAMPLES = 200
NEPERS = 8.685889638065036


@dataclass(frozen=True)
class Clipping:
    """What a recording does to its highest peaks, one channel."""

    level_dbfs: Figure
    """Where the tops are flat, as a peak re full scale 1.0."""
    samples: int
    """Flat-topped samples."""
    first_frame: int | None
    top_loss_db: Figure
    """How much lower than the reference the loudest samples come back; positive is lower."""


class ClipMeter:
    """Watch samples for flat tops and sum up the recording by the reference's level."""

    def __init__(self, *, channels: int) -> None:
        self._flat: list[dict[int, list[float]]] = [{} for _ in range(channels)]
        self._lowest = [np.inf] * channels
        """Level of the lowest flat top met so far: shorter tops at it are flat tops too."""
        self._sums = np.zeros((channels, 4, LEVEL_BINS))

    def add(self, model: Floats, heard: Floats, *, first_frame: int, inner: tuple[int, int]) -> Bools:
        """Look at (channels, frames); return which samples lie on flat tops. Only ``inner`` is counted."""
        flat = np.zeros(heard.shape, np.bool_)
        for channel, (x, y) in enumerate(zip(model, heard, strict=True)):
            self._tops(x, y, flat[channel], channel, first_frame, inner)
            flat[channel] |= np.abs(y) >= self._lowest[channel] - FLAT
            size = np.abs(x[inner[0] : inner[1]])
            place = np.minimum((size * (LEVEL_BINS / HIGHEST)).astype(np.int64), LEVEL_BINS - 1)
            gone = size - y[inner[0] : inner[1]] * np.sign(x[inner[0] : inner[1]])
            for row, values in enumerate((None, size, gone, gone**2)):
                self._sums[channel, row] += np.bincount(place, values, LEVEL_BINS)
        return flat

    def _tops(self, x: Floats, y: Floats, flat: Bools, channel: int, first: int, inner: tuple[int, int]) -> None:
        still = (np.abs(np.diff(y)) < FLAT) & (np.abs(y[1:]) > FAINTEST_CLIP)
        for start, stop in runs(still, shortest=FEWEST_FLAT - 1):
            level = float(np.abs(y[start]))
            part = slice(start, stop + 1)
            sides = np.abs(np.concatenate([y[max(0, start - 1) : start], y[stop + 1 : stop + 2]]))
            beyond = x[part] * np.sign(y[start]) > level
            if np.any(sides > level) or 2 * np.count_nonzero(beyond) < beyond.size:
                continue
            flat[part] = True
            self._lowest[channel] = min(self._lowest[channel], level)
            if inner[0] <= start < inner[1]:
                key = round(decibels(level) * 20.0)
                row = self._flat[channel].setdefault(key, [0.0, 0.0, float(first + start), 0.0])
                row[0] += 1.0
                row[1] += stop - start + 1
                row[3] += level * (stop - start + 1)

    def result(self) -> tuple[Clipping, ...]:
        """Return what was found, per channel."""
        return tuple(self._channel(n) for n in range(len(self._flat)))

    def _channel(self, channel: int) -> Clipping:
        flat = self._flat[channel]
        found = [row for row in flat.values() if row[0] >= FEWEST_RUNS]
        level, samples, first = unseen("no flat tops"), 0, None
        if found:
            samples = int(sum(row[1] for row in found))
            first = int(min(row[2] for row in found))
            peak = sum(row[3] for row in found) / samples
            level = Figure(decibels(peak), NEPERS * FLAT / peak)
        return Clipping(level, samples, first, self._top_loss(channel))

    def _top_loss(self, channel: int) -> Figure:
        count, size, gone, square = self._sums[channel]
        above = np.cumsum(count[::-1])[::-1]
        if above[0] < 2 * TOP_SAMPLES:
            return unseen("too few samples")
        lowest = int(np.flatnonzero(above >= TOP_SAMPLES)[-1])
        many = above[lowest]
        mean_size, mean_gone = float(size[lowest:].sum() / many), float(gone[lowest:].sum() / many)
        if mean_size <= 0.0:
            return unseen("the reference is silent")
        var = max(0.0, float(square[lowest:].sum() / many) - mean_gone**2)
        # Peaks come a few samples at a time: ten in a row count as one.
        sd = float(np.sqrt(var / max(1.0, many / 10.0)))
        return Figure(-decibels(max(1e-9, 1.0 - mean_gone / mean_size)), NEPERS * sd / mean_size)
