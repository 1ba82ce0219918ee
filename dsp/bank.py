"""A bank of strips: sixteen channels in one vector through filters, compressor and gains, summed into destinations.

Order in a strip: trim and polarity, pre-inserts, filter sections, compressor, post-inserts, gains. A destination is one
channel of whatever the strips are summed into, so fader, pan, mute and sends before or after the fader are all gains.

Strips lie in groups of sixteen lanes, the two sides of a stereo strip next to each other. Every sample is the same for
any block size and any number of threads; there is no latency but that of inserts. Stages that do nothing are left out,
so an untouched strip passes its samples bit for bit.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.filters import Biquad
from dsp.kernels.compiled import library
from dsp.lane_rows import MOST_SECTIONS, WORDS, StripSound, Way, led_by, rows_of, sound_numbers
from dsp.processor import STEP_FRAMES, Processor

__all__ = ["Automation", "BankStrip", "StripBank", "StripSound"]

_LANES = 16
_SLICE_FRAMES = 128

_CHUNK_FRAMES = 8192
"""Frames between two meetings of the threads: long enough to hide the hand-over, short enough to stay in the cache."""

_MOVING_FRAMES = 1024
"""The same while filters or compressors move, which takes a row of numbers for every knot."""

_WORTH_A_THREAD = 16_384
"""Samples in a chunk below which one thread is quicker than handing work over."""

_MOST_THREADS = 8
_DB_PER_OCTAVE = 20.0 * math.log10(2.0)

_SECTIONS, _COMPRESSES, _MOVES, _FADES, _QUADS, _WRITES, _PLAN_WORDS = range(7)
"""Words of a group's plan, as ``dsp.kernels.strip`` reads them."""

Automation = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gains that move: given K moments since the start [s], the linear gains there, (K, channels, destinations).

A pure function; asked for every ``STEP_FRAMES``-th frame, and gone straight from one to the next, so nothing clicks.
"""


@dataclass(frozen=True)
class BankStrip:
    """One strip of a bank.

    ``gains``: linear, from each of its channels to each destination; ``automation`` takes their place. The inserts are
    running processors of as many channels. ``wants_pre``: its signal before the gains will be asked for. Raises
    DspError or ShapeError for values that make no sense.
    """

    name: str
    gains: tuple[tuple[float, ...], ...]
    channels: Literal[1, 2] = 1
    sound: StripSound = field(default_factory=StripSound)
    automation: Automation | None = None
    pre_inserts: tuple[Processor, ...] = ()
    post_inserts: tuple[Processor, ...] = ()
    wants_pre: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise DspError(f"strip {self.name!r} has {self.channels} channels; a strip has 1 or 2")


class _Strip:
    """One strip as it runs: where it lies, its numbers on their way, its buffers."""

    def __init__(self, index: int, strip: BankStrip, destinations: int, rate_hz: float) -> None:
        self.index = index
        self.strip = strip
        self.lane = 0
        self._destinations = destinations
        self._rate_hz = rate_hz
        self._places: list[int | None] = []
        self.coming: frozenset[int] = frozenset()
        self.compresses = False
        self.sound = Way(self._numbers(strip.sound))
        self.trim = Way(np.array([strip.sound.gain]))
        self.active, self.trims = self.coming, strip.sound.gain != 1.0
        self.gains = Way(self.gain_rows(strip.gains))
        self.source: NDArray[np.float32] | None = None
        self.pre: NDArray[np.float32] | None = None
        self.planar: NDArray[np.float32] | None = None

    @property
    def sections(self) -> int:
        """Sections its lanes have to go through."""
        return max(max(self.active, default=-1) + 1, int(self.trims and not self.strip.pre_inserts))

    @property
    def lanes(self) -> slice:
        """Its lanes in its group."""
        return slice(self.lane, self.lane + self.strip.channels)

    def gain_rows(self, gains: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Return gains as (destinations, channels)."""
        rows: NDArray[np.float64] = np.asarray(gains, dtype=np.float64)
        if rows.shape != (self.strip.channels, self._destinations):
            raise ShapeError(
                f"strip {self.strip.name!r}: gains are {rows.shape}; "
                f"(channels, destinations) is ({self.strip.channels}, {self._destinations})"
            )
        if not np.all(np.isfinite(rows)):
            raise DspError(f"strip {self.strip.name!r}: a gain is not a finite number")
        return np.ascontiguousarray(rows.T)

    def _numbers(self, sound: StripSound) -> NDArray[np.float64]:
        """Return a sound's numbers; a section has its place for good, so that it finds its states again."""
        self._places += [None] * (len(sound.sections) - len(self._places))
        placed: list[Biquad | None] = [None] * MOST_SECTIONS
        for i, section in enumerate(sound.sections):
            if section is not None:
                place = self._places[i]
                if place is None:
                    place = self._places[i] = min(set(range(MOST_SECTIONS)) - set(self._places))
                placed[place] = section
        self.coming = frozenset(place for place, section in enumerate(placed) if section is not None)
        self.compresses |= sound.compresses
        return sound_numbers(sound, placed, self._rate_hz, trimmed=bool(self.strip.pre_inserts))

    def change(self, sound: StripSound, position: int, frames: int) -> frozenset[int]:
        """Go to ``sound``; return the sections that begin, and have to begin from silence."""
        self.sound.go(self._numbers(sound), position, frames, led_by)
        self.trim.go(np.array([sound.gain]), position, frames)
        started = self.coming - self.active
        self.active, self.trims = self.active | self.coming, True
        return started

    def arrive(self) -> None:
        """Leave out what the sound it has come to does not need."""
        self.active, self.trims = self.coming, self.trim.target[0] != 1.0

    def gains_at(self, knots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the gains (K, destinations, channels) at these knots."""
        if self.strip.automation is None:
            return self.gains.at(knots)
        return np.swapaxes(self.strip.automation(knots * STEP_FRAMES / self._rate_hz), 1, 2)

    def trimmed(self, block: NDArray[np.float32], position: int, out: NDArray[np.float32]) -> None:
        """Put ``block`` times the trim into ``out``."""
        if self.trim.moves(position):
            first, offset = divmod(position, STEP_FRAMES)
            knots = np.arange(first, first + (offset + len(block) - 1) // STEP_FRAMES + 2)
            at = (offset + np.arange(len(block))) / STEP_FRAMES
            out[:] = block * np.interp(at, knots - first, self.trim.at(knots)[:, 0])[:, None]
        else:
            np.multiply(block, np.float32(self.trim.target[0]), out=out)


def _share_lanes(strips: Sequence[_Strip]) -> list[list[_Strip]]:
    """Deal the strips out to groups of sixteen lanes, those that need as much side by side; set their lanes."""
    groups: list[list[_Strip]] = []
    gaps: list[tuple[list[_Strip], int]] = []
    used = _LANES
    inserts: bool | None = None
    for strip in sorted(strips, key=lambda s: (bool(s.strip.post_inserts), -s.compresses, -s.sections)):
        channels, wanted = strip.strip.channels, bool(strip.strip.post_inserts)
        if wanted != inserts:
            gaps, used, inserts = [], _LANES, wanted
        if channels == 1 and gaps:
            group, strip.lane = gaps.pop()
            group.append(strip)
            continue
        if channels == 2 and used % 2:
            gaps.append((groups[-1], used))
            used += 1
        if used == _LANES:
            groups.append([])
            used = 0
        strip.lane = used
        groups[-1].append(strip)
        used += channels
    return groups


def _aligned(*shape: int) -> NDArray[np.float32]:
    """Return zeros that begin on a cache line."""
    size = int(np.prod(shape, dtype=np.int64))
    raw = np.zeros(size + 16, dtype=np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + size].reshape(shape)


class StripBank:
    """Running strips, summed into ``destinations`` (an even number) at ``rate_hz``.

    ``threads=None`` takes the machine's processors, at most eight. Use as a context manager, or call ``close``, to end
    the threads early. Raises DspError where a filter section is not stable, ShapeError for gains of a wrong shape.
    """

    def __init__(
        self, strips: Sequence[BankStrip], destinations: int, rate_hz: float, threads: int | None = None
    ) -> None:
        if destinations < 2 or destinations % 2:
            raise ShapeError(f"a bank has pairs of destinations, not {destinations}")
        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self.position = 0
        self._kernels = library("strip")
        self._destinations = destinations
        self._all = [_Strip(i, strip, destinations, rate_hz) for i, strip in enumerate(self.strips)]
        self._groups = _share_lanes(self._all)
        self._group = {strip.index: g for g, group in enumerate(self._groups) for strip in group}
        self._inserts = any(strip.pre_inserts or strip.post_inserts for strip in self.strips)
        self._after = [g for g, group in enumerate(self._groups) if group[0].strip.post_inserts]
        # A group with post-inserts writes its lanes out; a second one behind it reads what the inserts made of them.
        self._sum_of = {g: len(self._groups) + i for i, g in enumerate(self._after)}
        self._sum_of = {g: self._sum_of.get(g, g) for g in range(len(self._groups))}
        count, padded = len(self._groups) + len(self._after), -(-destinations // 4) * 4
        wanted = min(os.cpu_count() or 1, _MOST_THREADS) if threads is None else threads
        self._threads = max(1, min(wanted, len(self._groups)))
        self._pool = ThreadPoolExecutor(self._threads - 1, "strips") if self._threads > 1 else None
        self._plan = np.zeros((count, _PLAN_WORDS), dtype=np.int64)
        self._sources = np.zeros((count, _LANES, 2), dtype=np.int64)
        self._outs = np.zeros((count, _LANES, 2), dtype=np.int64)
        self._rows = _aligned(count, 1, WORDS, _LANES)
        self._gains = _aligned(count, 1, padded, _LANES)
        self._states = _aligned(count, 2 + 2 * MOST_SECTIONS, _LANES)
        self._peaks = _aligned(count, _LANES)
        self._links = _aligned(count, _LANES)
        self._scratch = _aligned(self._threads, 2 * _LANES * _SLICE_FRAMES + _LANES * (WORDS + padded))
        self._sums = _aligned(count, padded // 4, 1, 4)
        self._total: NDArray[np.float64] = np.zeros(0)
        self._capacity = self._filled = 0
        self._moving: set[int] = set()
        self._fading = {i for i, strip in enumerate(self.strips) if strip.automation is not None}
        self._rows[:] = rows_of(sound_numbers(StripSound(), (), rate_hz, trimmed=True)[None])[..., None]
        for g, group in enumerate(self._groups):
            for strip in group:
                if strip.strip.channels == 2:
                    self._links[g, strip.lanes].view(np.int32)[:] = -1
                self._still_rows(g, strip)
                self._still_gains(g, strip)
            self._write_plan(g)
        self._reserve(STEP_FRAMES)

    @property
    def destinations(self) -> int:
        """Channels the strips are summed into."""
        return self._destinations

    def reduction_db(self) -> list[float]:
        """Return every strip's current gain reduction in dB (0 or below), for meters."""
        return [_DB_PER_OCTAVE * float(self._states[self._group[s.index], 0, s.lane]) for s in self._all]

    def peaks(self) -> list[NDArray[np.float32]]:
        """Return every strip's largest magnitude per channel, before its gains, since the last time this was asked."""
        found = [self._peaks[self._sum_of[self._group[s.index]], s.lanes].copy() for s in self._all]
        self._peaks[:] = 0.0
        return found

    def change(self, index: int, sound: StripSound, frames: int) -> None:
        """Take strip ``index`` to ``sound`` over the next ``frames`` frames, at least one step, without a click.

        Sections keep their index: a section that was None comes in, one that is now None goes out. Raises DspError
        where a section is not stable; nothing has changed then.
        """
        strip, g = self._all[index], self._group[index]
        for place in strip.change(sound, self.position, frames):
            self._states[g, 2 + 2 * place : 4 + 2 * place, strip.lanes] = 0.0
        self._moving.add(index)
        self._write_plan(g)

    def fade(self, index: int, gains: Sequence[Sequence[float]], frames: int) -> None:
        """Take strip ``index`` to ``gains`` (channels, destinations) over the next ``frames`` frames, straight.

        Raises ShapeError for a wrong shape, DspError where a gain is not finite.
        """
        strip = self._all[index]
        strip.gains.go(strip.gain_rows(gains), self.position, frames)
        self._fading.add(index)
        self._write_plan(self._group[index])

    def _still_rows(self, g: int, strip: _Strip) -> None:
        self._rows[g, 0, :, strip.lanes] = rows_of(strip.sound.target[None])[0, :, None]

    def _still_gains(self, g: int, strip: _Strip) -> None:
        self._gains[self._sum_of[g], 0, : self._destinations, strip.lanes] = strip.gains.target

    def _write_plan(self, g: int) -> None:
        """Write down which stages group ``g`` has to go through."""
        group, behind = self._groups[g], self._sum_of[g]
        plan = self._plan[g]
        plan[_SECTIONS] = max(strip.sections for strip in group)
        plan[_COMPRESSES] = any(strip.compresses for strip in group)
        plan[_MOVES] = any(strip.index in self._moving for strip in group)
        plan[_WRITES] = any(strip.strip.wants_pre or strip.strip.post_inserts for strip in group)
        fades = any(strip.index in self._fading for strip in group)
        heard = np.any(self._gains[behind, 0].reshape(-1, 4, _LANES), axis=(1, 2)) | fades
        heard[0] = True
        self._plan[behind, _FADES] = fades
        self._plan[behind, _QUADS] = int(np.sum(heard << np.arange(len(heard))))

    def rows(self, index: int, frames: int) -> NDArray[np.float32]:
        """Return (channels, frames) for the next block of strip ``index``, to be filled by whoever reads it.

        ``process`` then takes None in the place of the stem. Valid until the next block.
        """
        self._reserve(frames)
        self._filled = frames
        strip = self._all[index]
        if strip.planar is None or strip.planar.shape[1] < self._capacity:
            strip.planar = np.zeros((strip.strip.channels, self._capacity), dtype=np.float32)
        return strip.planar[:, :frames]

    def _reserve(self, frames: int) -> None:
        """Make room for blocks of ``frames`` frames."""
        if frames <= self._capacity:
            return
        self._capacity = frames
        chunk = min(frames, _CHUNK_FRAMES)
        if self._sums.shape[2] < chunk:
            self._sums = _aligned(len(self._sums), self._sums.shape[1], chunk, 4)
        self._total = np.zeros(self._gains.shape[2] * frames)
        for strip in self._all:
            shape = (frames, strip.strip.channels)
            if strip.strip.pre_inserts:
                strip.source = np.zeros(shape, dtype=np.float32)
            if strip.strip.wants_pre or strip.strip.post_inserts:
                strip.pre = np.zeros(shape, dtype=np.float32)
        for g, group in enumerate(self._groups):
            for strip in group:
                if strip.source is not None:
                    self._point(self._sources, g, strip, strip.source)
                if strip.pre is not None:
                    self._point(self._outs, g, strip, strip.pre)
                    if self._sum_of[g] != g:
                        self._point(self._sources, self._sum_of[g], strip, strip.pre)

    @staticmethod
    def _point(table: NDArray[np.int64], g: int, strip: _Strip, block: NDArray[np.float32]) -> None:
        """Write down where the lanes' samples lie: a block (n, channels)."""
        address, channels = block.__array_interface__["data"][0], strip.strip.channels
        for channel in range(channels):
            table[g, strip.lane + channel] = address + 4 * channel, channels

    def process(
        self, stems: Sequence[NDArray[np.float32] | None]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32] | None]]:
        """Run the next block of every stem, (n, channels) float32 with one n for all, in the strips' order.

        None stands for a stem whose ``rows`` were filled. Return the sums (destinations, n), C-ordered, and every
        strip's signal before its gains (n, channels), None for those that did not ask; both are valid until the next
        call. Raises ShapeError for a wrong number of stems or a wrong shape; nothing has been processed then.
        """
        blocks, frames = self._check(stems)
        self._reserve(frames)
        for g, group in enumerate(self._groups):
            for strip in group:
                block = blocks[strip.index]
                if strip.source is not None:
                    continue
                if block is not None:
                    self._point(self._sources, g, strip, block)
                elif strip.planar is not None:
                    for lane, row in zip(range(strip.lane, _LANES), strip.planar, strict=False):
                        self._sources[g, lane] = row.__array_interface__["data"][0], 1
        total = self._total[: self._gains.shape[2] * frames].reshape(self._gains.shape[2], frames)
        start = 0
        while start < frames:
            count = min(_MOVING_FRAMES if self._moving else _CHUNK_FRAMES, frames - start)
            self._move(count)
            self._run(blocks, start, count)
            self._kernels.add_groups(self._plan, self._sums, count, start, total)
            self.position += count
            start += count
        pre = [None if strip.pre is None else strip.pre[:frames] for strip in self._all]
        return total[: self._destinations], pre

    def _move(self, frames: int) -> None:
        """Write the numbers of what moves in the next ``frames`` frames at their knots; settle what has arrived."""
        if not (self._moving or self._fading):
            return
        first, offset = divmod(self.position, STEP_FRAMES)
        knots = np.arange(first, first + (offset + frames - 1) // STEP_FRAMES + 2)
        for i in [i for i in self._moving if not self._all[i].sound.moves(self.position)]:
            strip, g = self._all[i], self._group[i]
            self._moving.remove(i)
            strip.arrive()
            self._still_rows(g, strip)
            self._write_plan(g)
        for i in [i for i in self._fading if self.strips[i].automation is None]:
            strip, g = self._all[i], self._group[i]
            if not strip.gains.moves(self.position):
                self._fading.remove(i)
                self._still_gains(g, strip)
                self._write_plan(g)
        if self._moving and self._rows.shape[1] < _MOVING_FRAMES // STEP_FRAMES + 2:
            self._rows = self._grown(self._rows, _MOVING_FRAMES)
        if self._fading and self._gains.shape[1] < _CHUNK_FRAMES // STEP_FRAMES + 2:
            self._gains = self._grown(self._gains, _CHUNK_FRAMES)
        for g in {self._group[i] for i in self._moving}:
            self._rows[g, 1 : len(knots)] = self._rows[g, 0]
        for g in {self._sum_of[self._group[i]] for i in self._fading}:
            self._gains[g, 1 : len(knots)] = self._gains[g, 0]
        for i in self._moving:
            strip = self._all[i]
            self._rows[self._group[i], : len(knots), :, strip.lanes] = rows_of(strip.sound.at(knots))[:, :, None]
        for i in self._fading:
            strip = self._all[i]
            behind = self._sum_of[self._group[i]]
            self._gains[behind, : len(knots), : self._destinations, strip.lanes] = strip.gains_at(knots)

    @staticmethod
    def _grown(table: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Return a table with room for the knots of ``frames`` frames."""
        made = _aligned(len(table), frames // STEP_FRAMES + 2, *table.shape[2:])
        made[:, 0] = table[:, 0]
        return made

    def _run(self, blocks: Sequence[NDArray[np.float32] | None], start: int, frames: int) -> None:
        """Run every group over one chunk, on as many threads as it is worth."""
        threaded = self._pool is not None and frames * _LANES * len(self._groups) >= _WORTH_A_THREAD
        if not (threaded or self._inserts):
            self._kernel(0, len(self._groups), start, frames, 0)
            return
        turns = itertools.count()

        def work(thread: int) -> None:
            while (g := next(turns)) < len(self._groups):
                self._run_group(g, blocks, start, frames, thread)

        if not threaded or self._pool is None:
            work(0)
            return
        waiting = [self._pool.submit(work, thread) for thread in range(1, self._threads)]
        try:
            work(0)
        finally:
            for future in waiting:
                future.result()

    def _run_group(
        self, g: int, blocks: Sequence[NDArray[np.float32] | None], start: int, frames: int, thread: int
    ) -> None:
        stop = start + frames
        for strip in self._groups[g]:
            if strip.source is None:
                continue
            block, source = blocks[strip.index], strip.source[start:stop]
            if block is None and strip.planar is not None:
                block = strip.planar[:, : self._filled].T
            if block is not None:
                strip.trimmed(block[start:stop], self.position, source)
            for insert in strip.strip.pre_inserts:
                insert.process(source)
        self._kernel(g, g + 1, start, frames, thread)
        if (behind := self._sum_of[g]) != g:
            for strip in self._groups[g]:
                if strip.pre is not None:
                    for insert in strip.strip.post_inserts:
                        insert.process(strip.pre[start:stop])
            self._kernel(behind, behind + 1, start, frames, thread)

    def _kernel(self, first: int, last: int, start: int, frames: int, thread: int) -> None:
        self._kernels.run_groups(
            first,
            last,
            start,
            frames,
            self.position,
            thread,
            self._plan,
            self._sources,
            self._outs,
            self._rows,
            self._gains,
            self._links,
            self._states,
            self._peaks,
            self._scratch,
            self._sums,
        )

    def close(self) -> None:
        """End the threads; the bank goes on working with one."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> StripBank:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, stems: Sequence[NDArray[np.float32] | None]) -> tuple[list[NDArray[np.float32] | None], int]:
        if len(stems) != len(self._all):
            raise ShapeError(f"the mix has {len(self._all)} strips, but {len(stems)} stems were given")
        frames = next((len(stem) for stem in stems if stem is not None), self._filled)
        blocks: list[NDArray[np.float32] | None] = []
        for strip, stem in zip(self.strips, stems, strict=True):
            if stem is None:
                blocks.append(None)
                continue
            if stem.shape != (frames, strip.channels):
                raise ShapeError(f"strip {strip.name!r} takes ({frames}, {strip.channels}), not {stem.shape}")
            blocks.append(np.require(stem, dtype=np.float32, requirements="C"))
        return blocks, frames
