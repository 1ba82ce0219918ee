"""Convolution with a long response and no latency, in blocks of several sizes that stand at absolute frame numbers.

W. G. Gardner, "Efficient convolution without input-output delay", JAES 43, 1995: the first taps are convolved
directly, later ones by FFT in blocks that grow with their distance, so that each block's answer is ready when it is
due. Overlap-save (A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal Processing", 8.7.3) with a uniformly
partitioned response at each size. What is computed depends on frame numbers alone, never on how a stream is cut: the
same bits live and offline. All in float64; float32 FFTs of these lengths err by −130 to −140 dB and are no quicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.kernels.compiled import library

__all__ = ["Partitions", "Prepared"]

_F64 = NDArray[np.float64]

_HEAD = 128
"""Taps that are convolved directly."""

_RING = 32_768
"""Frames of input that are remembered; the largest block stands twice in them, and waits for its turn meanwhile."""

_MOST_FRAMES = 8192
"""Frames worked on at once."""


@dataclass(frozen=True)
class _Plan:
    """Taps ``delay`` … (to the next plan's) in blocks of ``size``."""

    size: int
    delay: int

    @property
    def spread(self) -> bool:
        """Whether a block's answer is due one size after it is complete, and the work is spread over that time.

        So no live block has to bear all of it.
        """
        return self.delay > self.size


_PLANS = (_Plan(128, 128), _Plan(1024, 1024), _Plan(8192, 16_384))


def _paths(channels: int, sides: int) -> tuple[tuple[int, int, int], ...]:
    """Return (channel of the response, input, output) of every way through it."""
    if sides == 1:
        return ((0, 0, 0),)
    if channels == 4:
        return ((0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1))
    return tuple((side if channels == 2 else 0, side, side) for side in range(sides))


class _Block:
    """One size of blocks: the response's parts as spectra, and the tables of their transform."""

    def __init__(self, plan: _Plan, taps: _F64) -> None:
        size = plan.size
        self.plan = plan
        parts = -(-taps.shape[1] // size)
        padded = np.zeros((len(taps), parts, 2 * size))
        padded[:, :, :size] = np.pad(taps, ((0, 0), (0, parts * size - taps.shape[1]))).reshape(len(taps), parts, size)
        spectra = np.fft.rfft(padded)
        self.row = size + 4  # bins in whole fours
        self.responses = np.zeros((len(taps), parts, 2, self.row))
        self.responses[..., 0, : size + 1], self.responses[..., 1, : size + 1] = spectra.real, spectra.imag
        self.circle = _circle(size)
        self.turns = np.concatenate([self.circle[:, ::k][:, : size // 4] for k in (1, 2, 3)])
        self.halves = _circle(2 * size)[:, : self.row].copy()


class Prepared:
    """A response (n, 1, 2 or 4) made ready for ``sides`` (1 or 2) channels; it takes time and can be shared.

    One side hears the first channel only.
    """

    def __init__(self, response: _F64, sides: int) -> None:
        ways = _paths(response.shape[1], sides)
        taps = np.ascontiguousarray(response.T[[way[0] for way in ways]])
        frames = taps.shape[1]
        self.sides = sides
        self.frames: int = frames
        self.paths = np.array([way[1:] for way in ways], dtype=np.int64)
        self.head = np.zeros((len(ways), _HEAD))
        self.head[:, : min(_HEAD, frames)] = taps[:, :_HEAD]
        ends = [plan.delay for plan in _PLANS[1:]] + [frames]
        self.blocks = [
            _Block(plan, taps[:, plan.delay : end])
            for plan, end in zip(_PLANS, ends, strict=True)
            if frames > plan.delay
        ]


class _Level:
    """One size of blocks at work: spectra of what was heard, and answers that wait until they are due."""

    def __init__(self, block: _Block, paths: NDArray[np.int64], sides: int) -> None:
        size = block.plan.size
        self.plan = block.plan
        self._block = block
        self._run = library("convolution").convolve_blocks
        self._jobs = 2 * sides + 4
        self._paths = paths
        self._heard = np.zeros((sides, *block.responses.shape[1:]))
        self._sums = np.zeros((sides, 2, block.row))
        self._ready = np.zeros((sides, 1 << (self.plan.delay + size + _MOST_FRAMES - 1).bit_length()))
        self._work = np.zeros((4, block.row))
        self._blocks = 0
        self._begun = 0

    def advance(self, ring: _F64, position: int) -> None:
        """Do what is due at ``position``, to which ``ring`` (sides, before + _RING) has been filled."""
        size = self.plan.size
        if not self.plan.spread:
            count = position // size - self._blocks
            if count > 0:
                self._work_on(ring, count, self._jobs)
                self._blocks += count
            return
        while (self._blocks + 1) * size <= position:
            late = position - (self._blocks + 1) * size
            due = min(self._jobs, late * self._jobs // size)
            if due > self._begun:
                self._work_on(ring, 1, due)
                self._begun = due
            if due < self._jobs:
                return
            self._blocks += 1
            self._begun = 0

    def _work_on(self, ring: _F64, count: int, due: int) -> None:
        size = self.plan.size
        before = ring.shape[1] - _RING
        end = before + (self._blocks + 1) * size % _RING
        self._run(
            self._blocks,
            count,
            self._begun,
            due,
            ring,
            (end if end > before else ring.shape[1]) - 2 * size,
            self._heard,
            self._block.responses,
            self._paths,
            self._sums,
            self._ready,
            self.plan.delay,
            self._block.turns,
            self._block.circle,
            self._block.halves,
            self._work,
        )

    def add(self, out: _F64, start: int, position: int, frames: int) -> None:
        """Add to ``out`` (sides, ≥ frames) from ``start`` on what is due from ``position`` on."""
        length = self._ready.shape[1]
        at = position % length
        first = min(frames, length - at)
        out[:, start : start + first] += self._ready[:, at : at + first]
        if first < frames:
            out[:, start + first : start + frames] += self._ready[:, : frames - first]

    def reset(self) -> None:
        for memory in (self._heard, self._ready):
            memory[:] = 0.0
        self._blocks = self._begun = 0


def _circle(n: int) -> _F64:
    """Return cos and −sin of 2π k / n, (2, n)."""
    angle = 2.0 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), -np.sin(angle)])


class Partitions:
    """A running convolution, the first block being that of frame 0."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._head = library("convolution").convolve_head
        self._levels = [_Level(block, prepared.paths, prepared.sides) for block in prepared.blocks]
        # What is before the ring repeats its end, so that every window lies in one piece.
        self._before = max([_HEAD, *(level.plan.size for level in self._levels)])
        self._ring = np.zeros((prepared.sides, self._before + _RING))
        self._position = 0

    @property
    def frames(self) -> int:
        """The length of the response."""
        frames: int = self._prepared.frames
        return frames

    def process(self, x: _F64, out: _F64, frames: int) -> None:
        """Put the convolution of the next ``frames`` of ``x`` into ``out``, both (sides, ≥ frames)."""
        done = 0
        while done < frames:
            at = self._position % _RING
            n = min(frames - done, _MOST_FRAMES - self._position % _MOST_FRAMES)
            here = self._before + at
            self._ring[:, here : here + n] = x[:, done : done + n]
            if at + n > _RING - self._before:
                from_ = max(here, _RING)
                self._ring[:, from_ - _RING : here + n - _RING] = self._ring[:, from_ : here + n]
            self._head(self._ring, here, n, self._prepared.head, self._prepared.paths, out, done)
            for level in self._levels:
                level.advance(self._ring, self._position + n)
                level.add(out, done, self._position, n)
            self._position += n
            done += n

    def reset(self) -> None:
        """Forget what was heard."""
        self._ring[:] = 0.0
        for level in self._levels:
            level.reset()
        self._position = 0
