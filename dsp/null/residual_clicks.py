"""Short faults in a recording, to the sample: clicks, dropouts, held samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.levels import decibels

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CELL = 64
AROUND_CELLS = 32  # to either side: ± 43 ms at 48 kHz tell what is usual
CONTEXT = CELL * AROUND_CELLS
FAR = 10.0  # times the usual level; the highest of 10^9 samples of white noise reaches 6.1
CREST_POWER = 3.0  # a cubic leftover peaks with the third power of the programme's own crest
CLICK_S = 0.005
GAP_S = 0.001
SHORTEST_DROPOUT = 8  # samples in a row: fewer equal ones occur in 16-bit programme
MOST_KEPT = 48
BESIDE = 24  # frames to either side that a burst is compared with the programme over
FOLLOWS = 0.7  # share of its power that the programme explains: then it is no click
FAINTEST = 1e-8  # full scale: an eighth of a 24-bit step, so that a perfect null can have a click


@dataclass(frozen=True)
class Click:
    """A burst in the residual of at most 5 ms."""

    frame: int
    """Of the largest sample, in the recording."""
    at_s: float
    channel: int
    length_frames: int
    peak_dbfs: float
    """Of the largest sample of the residual, re full scale 1.0 (a peak, not an RMS)."""
    above_db: float
    """How far it stands out of what is usual around it."""


@dataclass(frozen=True)
class Dropout:
    """A run of equal samples in the recording where the reference moves on."""

    frame: int
    at_s: float
    channel: int
    length_frames: int
    held: float
    """The value it stands at; 0 for silence."""


class ClickFinder:
    """Find faults in stretches handed over in order; those that stand out most are kept, all are counted."""

    def __init__(self, *, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.clicks: list[Click] = []
        self.dropouts: list[Dropout] = []
        self.click_count = self.dropout_count = 0
        self._last: dict[int, Dropout] = {}
        """The latest dropout per channel: it may go on beyond its stretch."""
        self.power = 0.0
        """Sum of squares of the residual within the faults."""

    def add(self, model: Floats, heard: Floats, *, first_frame: int, inner: tuple[int, int], clipped: Bools) -> Bools:
        """Look at (channels, frames) for faults that begin within ``inner``; return where the residual is faulty.

        What lies outside ``inner`` is context. ``clipped`` marks samples that are flat-topped: they are no clicks.
        """
        faulty = np.zeros(model.shape, np.bool_)
        residual = heard - model
        for channel in range(model.shape[0]):
            out = faulty[channel]
            args = (model[channel], heard[channel], residual[channel], clipped[channel])
            self._dropouts(args[0], args[1], out, clipped[channel], channel, first_frame, inner)
            self._clicks(args[0], args[2], out, clipped[channel], channel, first_frame, inner)
            mine = np.zeros_like(out)
            mine[inner[0] : inner[1]] = out[inner[0] : inner[1]]
            self.power += float(np.sum(residual[channel][mine] ** 2))
        return faulty

    def _dropouts(
        self, model: Floats, heard: Floats, out: Bools, clipped: Bools, channel: int, first: int, inner: tuple[int, int]
    ) -> None:
        for start, stop in runs(np.diff(heard) == 0.0, shortest=SHORTEST_DROPOUT - 1):
            length = stop - start + 1
            if clipped[start]:
                continue
            part = slice(start, stop + 1)
            if self._lasts(channel, first + start, first + stop + 1, before=start < inner[0]):
                out[part] = True
                continue
            if np.ptp(model[part]) == 0.0 or (start == 0 and stop + 1 == heard.size):
                continue
            wrong = float(np.sqrt(np.mean((model[part] - heard[part]) ** 2)))
            sides = [slice(max(0, start - CONTEXT), start), slice(stop + 1, stop + 1 + CONTEXT)]
            usual = np.sqrt(np.median(np.concatenate([(model[side] - heard[side]) ** 2 for side in sides])))
            if wrong < 10.0 * float(usual):
                continue
            out[part] = True
            if inner[0] <= start < inner[1]:
                self.dropout_count += 1
                frame = first + start
                self._last[channel] = Dropout(frame, frame / self.rate_hz, channel, length, float(heard[start]))
                self.dropouts.append(self._last[channel])
                if len(self.dropouts) > 2 * MOST_KEPT:
                    self.dropouts = _longest(self.dropouts)

    def _lasts(self, channel: int, begin: int, end: int, *, before: bool) -> bool:
        """Whether a run that began before this stretch is the latest dropout, and then note how far it goes."""
        last = self._last.get(channel)
        if last is None or not before or begin >= last.frame + last.length_frames:
            return False
        longer = replace(last, length_frames=max(last.length_frames, end - last.frame))
        self.dropouts = [longer if dropout is last else dropout for dropout in self.dropouts]
        self._last[channel] = longer
        return True

    def _clicks(
        self, model: Floats, left: Floats, out: Bools, clipped: Bools, channel: int, first: int, inner: tuple[int, int]
    ) -> None:
        # Second differences bring a click out of a leftover of bass.
        sharp = np.zeros_like(left)
        sharp[1:-1] = left[1:-1] - 0.5 * (left[2:] + left[:-2])
        cells = left.size // CELL
        if cells < 8:
            return
        shaped = np.abs(sharp[: cells * CELL]).reshape(cells, CELL)
        usual = np.maximum(_usual(np.sqrt(np.mean(shaped**2, axis=1))), FAINTEST)
        loud = np.abs(model[: cells * CELL]).reshape(cells, CELL)
        crest = loud.max(axis=1) / np.maximum(_usual(np.sqrt(np.mean(loud**2, axis=1))), 1e-12)
        limit = usual * FAR * np.maximum(1.0, (crest / 3.0) ** CREST_POWER)
        candidates = np.flatnonzero(shaped.max(axis=1) > limit)
        if not candidates.size:
            return
        hot = np.zeros(left.size, np.bool_)
        for cell in candidates.tolist():
            low, high = max(0, (cell - 1) * CELL), min(left.size, (cell + 2) * CELL)
            hot[low:high] |= np.abs(sharp[low:high]) > 0.5 * limit[cell]
        hot &= ~(out | np.roll(out, 1) | np.roll(out, -1))
        for start, stop in runs(hot, gap=round(GAP_S * self.rate_hz)):
            if stop - start > CLICK_S * self.rate_hz or np.any(clipped[max(0, start - 4) : stop + 4]):
                continue
            if _follows(model, left, start, stop):
                continue
            cell = min(cells - 1, (start + int(np.argmax(np.abs(sharp[start:stop])))) // CELL)
            peak = start + int(np.argmax(np.abs(left[start:stop])))
            above = float(np.max(np.abs(sharp[start:stop])) / max(limit[cell] / FAR, 1e-300))
            if above < FAR:
                continue
            # The difference reaches one sample to either side of a click of one sample.
            length = max(1, stop - start - 2)
            out[max(0, start - 1) : stop + 1] = True
            if inner[0] <= peak < inner[1]:
                self.click_count += 1
                frame = first + peak
                size = decibels(float(np.abs(left[peak])))
                self.clicks.append(Click(frame, frame / self.rate_hz, channel, length, size, decibels(above)))
                if len(self.clicks) > 2 * MOST_KEPT:
                    self.clicks = _strongest(self.clicks)

    def found(self) -> tuple[tuple[Click, ...], tuple[Dropout, ...]]:
        """Return what is kept, in order of time."""
        clicks = sorted(_strongest(self.clicks), key=lambda c: (c.frame, c.channel))
        return tuple(clicks), tuple(sorted(_longest(self.dropouts), key=lambda d: (d.frame, d.channel)))


def _follows(model: Floats, left: Floats, start: int, stop: int) -> bool:
    """Whether a burst is a leftover of the programme: delay, equaliser or distortion in a loud passage.

    The residual around it is fitted with the model, its square and cube and its differences; a fault is none of these.
    """
    low, high = max(1, start - BESIDE), min(left.size - 1, stop + BESIDE)
    x, r = model[low:high], left[low:high]
    size = float(np.max(np.abs(x), initial=0.0))
    if size == 0.0 or x.size <= 8:
        return False
    x = x / size
    before, after = model[low - 1 : high - 1] / size, model[low + 1 : high + 1] / size
    design = np.stack([np.ones_like(x), x, x**2, x**3, after - before, after - 2.0 * x + before], axis=1)
    fit = design @ np.linalg.lstsq(design, r, rcond=None)[0]
    return float(np.sum((r - fit) ** 2)) < (1.0 - FOLLOWS) * float(np.sum(r**2))


def _strongest(clicks: list[Click]) -> list[Click]:
    return sorted(clicks, key=lambda c: -c.above_db)[:MOST_KEPT]


def _longest(dropouts: list[Dropout]) -> list[Dropout]:
    return sorted(dropouts, key=lambda d: -d.length_frames)[:MOST_KEPT]


def runs(hot: Bools, *, gap: int = 0, shortest: int = 1) -> list[tuple[int, int]]:
    """Return (first, one past last) of runs of True, merged when no more than ``gap`` apart, from ``shortest`` on."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hot, [False]]).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if starts.size == 0:
        return []
    apart = starts[1:] - stops[:-1] > gap
    starts, stops = starts[np.r_[True, apart]], stops[np.r_[apart, True]]
    long = stops - starts >= shortest
    return list(zip(starts[long].tolist(), stops[long].tolist(), strict=True))


def _usual(rms: Floats) -> Floats:
    """Return the running median of (cells,) over 32 cells to either side, taken every eighth cell."""
    padded = np.pad(rms, AROUND_CELLS, mode="reflect" if rms.size > AROUND_CELLS else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_CELLS + 1)[::8]
    return np.repeat(np.median(windows, axis=1), 8)[: rms.size]
