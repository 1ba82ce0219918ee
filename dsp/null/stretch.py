"""Stretches of two aligned recordings, what fits over several of them share, and filtering by a curve.

A filter here is a curve over frequency: an analog coupling is taken as it is, without a bilinear transform or a
recursion. Blocks are transformed whole; what wraps around stays within the context at their ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Curve = Callable[[int], Complex]
"""A length of transform to the complex gain at its frequencies, (channels or 1, length/2 + 1)."""

LONGEST_FFT = 1 << 20
LONGEST_MARGIN_S = 10.0
TAIL = 1e-5  # of a coupling's effect at 20 Hz: where a tail counts as over


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a recording and of the reference laid over it, with context at both ends."""

    y: Floats
    """(channels, frames): the reference, read where the recording is."""
    b: Floats
    """(channels, frames): the recording; outside ``start … stop`` it may hold anything."""
    start: int
    """First frame to fit."""
    stop: int
    """One past the last frame to fit; what lies outside is context."""
    at: int = 0
    """Frame of the recording at which the first column stands."""
    slope: Floats | None = None
    """(channels, frames): derivative of ``y`` by its delay; only drifts need it."""

    def __post_init__(self) -> None:
        if self.y.ndim != 2 or self.y.shape != self.b.shape:
            raise ShapeError(
                f"A stretch needs two arrays (channels, frames) of one shape, not {self.y.shape} and {self.b.shape}.",
                hint="Cut both to the same frames.",
            )
        if not 0 <= self.start < self.stop <= self.y.shape[1]:
            raise DspError(
                f"The frames {self.start} … {self.stop} do not lie in a stretch of {self.y.shape[1]} frames.",
                hint="Give a longer stretch, or fewer frames to fit.",
            )

    @property
    def heard(self) -> Floats:
        """The recording's frames to fit."""
        return self.b[:, self.start : self.stop]

    def inside(self, x: Floats) -> Floats:
        """Return the frames to fit of any array of the stretch's length."""
        return x[:, self.start : self.stop]

    def through(self, apply: Callable[[Floats], Floats]) -> Stretch:
        """Return the stretch with the reference (and its slope) passed through a path."""
        return replace(self, y=apply(self.y), slope=None if self.slope is None else apply(self.slope))


def channels_of(stretches: Sequence[Stretch]) -> int:
    """Return how many channels the stretches have, or say why they are no set."""
    if not stretches:
        raise DspError("There is no stretch to fit over.", hint="Take a longer part of both recordings.")
    counts = {stretch.y.shape[0] for stretch in stretches}
    if len(counts) > 1:
        raise ShapeError(f"The stretches differ in channels: {sorted(counts)}.", hint="Cut all from the same files.")
    for stretch in stretches:
        if not (np.all(np.isfinite(stretch.y)) and np.all(np.isfinite(stretch.heard))):
            raise DspError("A stretch holds samples that are not numbers.", hint="Render or record it again.")
    return int(counts.pop())


def sample(stretches: Sequence[Stretch], frames: int, *, after: int = 1_024) -> list[Stretch]:
    """Return stretches of at most ``frames`` in all, from four places or fewer."""
    few: list[Stretch] = []
    step = max(1, len(stretches) // 4)
    room = frames
    for stretch in stretches[::step]:
        if room <= 0:
            break
        stop = min(stretch.stop, stretch.start + max(frames // 4, room if len(stretches) == 1 else 0))
        end = min(stretch.y.shape[1], stop + after)
        slope = None if stretch.slope is None else stretch.slope[:, :end]
        few.append(Stretch(stretch.y[:, :end], stretch.b[:, :end], stretch.start, stop, stretch.at, slope))
        room -= stop - stretch.start
    return few


def powers(arrays: Iterable[Floats]) -> Floats:
    """Return the sum of squares per channel over all arrays (channels, frames)."""
    total: Floats = np.sum([np.einsum("cn,cn->c", x, x) for x in arrays], axis=0)
    return total


def halves(stretches: Sequence[Stretch], *, piece_frames: int = 48_000) -> tuple[list[Stretch], list[Stretch]]:
    """Return two disjoint sets of pieces in turn, of some ``piece_frames`` each: one to fit and one to judge."""
    sets: tuple[list[Stretch], list[Stretch]] = ([], [])
    turn = 0
    for stretch in stretches:
        count = max(2, (stretch.stop - stretch.start) // piece_frames)
        edges = np.linspace(stretch.start, stretch.stop, count + 1).astype(int).tolist()
        for start, stop in itertools.pairwise(edges):
            if stop > start:
                sets[turn % 2].append(replace(stretch, start=start, stop=stop))
                turn += 1
    return sets


def fast_length(frames: int) -> int:
    """Return the least even number of the form 2^a·3^b·5^c that is not below ``frames``."""
    best = 1 << max(1, int(frames - 1).bit_length())
    for three in (1, 3, 9):
        for five in (1, 5, 25):
            length = 2 * three * five
            while length < frames:
                length *= 2
            best = min(best, length)
    return best


def frequencies(frames: int, rate_hz: int) -> Floats:
    """Return the frequencies [Hz] of a real transform of ``frames``."""
    return np.asarray(np.arange(frames // 2 + 1) * (rate_hz / frames), dtype=np.float64)


def shaped(y: Floats, curve: Curve, *, before: int, after: int) -> Floats:
    """Return (channels, frames) passed through ``curve``.

    Silence is assumed outside ``y``. What is longer than 2^20 frames is done in blocks, each with ``before`` frames of
    what precedes it and ``after`` frames of what follows.
    """
    frames = y.shape[1]
    if frames + before <= LONGEST_FFT:
        return _block(y, curve, before)
    length = max(LONGEST_FFT - before - after, LONGEST_FFT // 4)
    out = np.empty_like(y)
    for first in range(0, frames, length):
        last = min(first + length, frames)
        low = max(0, first - before)
        part = _block(y[:, low : min(frames, last + after)], curve, before)
        out[:, first:last] = part[:, first - low : last - low]
    return out


def _block(y: Floats, curve: Curve, before: int) -> Floats:
    length = fast_length(y.shape[1] + min(before, y.shape[1]))
    out = np.fft.irfft(np.fft.rfft(y, length, axis=1) * curve(length), length, axis=1)
    return np.asarray(out[:, : y.shape[1]], dtype=np.float64)


def tail_frames(corner_hz: float, rate_hz: int) -> int:
    """Return after how many frames a high-pass of this corner has forgotten what came before.

    What it does at frequency ``f`` is ``corner/f`` and dies away as ``e^(−2π·corner·t)``; it counts as over at 1e-5
    (−100 dB) of a programme at 20 Hz. At most 10 s: below 0.1 Hz more than that remains.
    """
    if corner_hz <= 0.0:
        return 0
    seconds = np.log(max(1.0, corner_hz / 20.0 / TAIL)) / (2.0 * np.pi * corner_hz)
    return int(np.ceil(rate_hz * min(LONGEST_MARGIN_S, seconds)))
