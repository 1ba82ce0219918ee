"""A bank of strips: sixteen channels in one vector through filters, compressor and gains, summed into destinations.

Order in a strip: trim and polarity, pre-inserts, filter sections, compressor, post-inserts, gains. A destination is one
channel of whatever the strips are summed into, so fader, pan, mute and sends before or after the fader are all gains.

Every sample is the same for any block size; there is no latency but that of inserts. Stages that do nothing are left
out, so an untouched strip passes its samples bit for bit.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.bank_numbers import BankNumbers, aligned
from dsp.bank_strip import LANES, Automation, BankStrip, RunningStrip, share_lanes
from dsp.errors import ShapeError
from dsp.kernels.compiled import library
from dsp.lane_numbers import WORDS, StripSound
from dsp.processor import STEP_FRAMES

__all__ = ["Automation", "BankStrip", "Source", "StripBank", "StripSound"]

_CHUNK_FRAMES = 16_384
"""Frames for which every group is run before the groups are summed, short enough to stay in the cache."""

_MOVING_FRAMES = 1024
"""The same while filters or compressors move, which takes a row of words for every knot."""

_FLOAT32 = np.dtype(np.float32)

_SCRATCH_FRAMES = 272
"""Vectors of scratch that ``dsp.kernels.strip`` wants besides its numbers."""

Block = NDArray[np.float32]

Source = Callable[[int, Block], None]
"""What fills in a strip's next samples: told the strip's index and the (n, channels) to fill."""


def _data_place() -> int:
    """Return where in an array object the address of its data stands [bytes].

    To ask an array for that address costs more than a block of its strip; the compiled loop looks itself.
    """
    array = np.zeros(1)
    word = ctypes.sizeof(ctypes.c_void_p)
    return next(
        at for at in itertools.count(0, word) if ctypes.c_void_p.from_address(id(array) + at).value == array.ctypes.data
    )


class StripBank:
    """Running strips, summed into ``destinations`` (an even number) at ``rate_hz``.

    Raises DspError where a filter section is not stable, ShapeError for gains of a wrong shape.
    """

    def __init__(self, strips: Sequence[BankStrip], destinations: int, rate_hz: float) -> None:
        if destinations < 2 or destinations % 2:
            raise ShapeError(f"a bank has pairs of destinations, not {destinations}")
        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self.position = 0
        """Number of the next frame since the start."""
        self._kernels = library("strip")
        self._destinations = destinations
        self._all = [RunningStrip(i, strip, destinations, rate_hz) for i, strip in enumerate(self.strips)]
        self._groups, count = share_lanes(self._all)
        self._with_source = [i for i, strip in enumerate(self.strips) if strip.pre_inserts]
        self._inserts = any(strip.pre_inserts or strip.post_inserts for strip in self.strips)
        self._numbers = BankNumbers(self._all, self._groups, count, destinations, rate_hz)
        self._padded = self._numbers.gains.shape[2]
        self._sources = np.zeros((count, LANES, 2), dtype=np.int64)
        self._outs = np.zeros((count, LANES, 2), dtype=np.int64)
        self._peaks = aligned(2 * count, LANES)
        self._links = aligned(count, LANES)
        self._scratch = aligned(LANES * (_SCRATCH_FRAMES + 2 * WORDS + 2 * self._padded))
        self._sums = aligned(count, self._padded // 4, 1, 4)
        self._total = np.zeros(self._padded)
        self._objects = np.zeros(len(self.strips), dtype=np.int64)
        self._lanes = np.full((count * LANES, 2), -1, dtype=np.int64)
        self._point = self._kernels.point.bind(self._objects, _data_place(), self._lanes, self._sources)
        self._channel_lanes = np.array(
            [strip.behind * LANES + lane for strip in self._all for lane in range(LANES)[strip.lanes]], dtype=np.intp
        )
        for strip in self._all:
            if strip.strip.channels == 2:
                self._links[strip.group, strip.lanes].view(np.int32)[:] = -1
        self._bad = np.zeros((count, LANES), dtype=np.int64)
        for strip in self._all:
            for channel in range(strip.strip.channels):
                self._lanes[strip.group * LANES + strip.lane + channel] = strip.index, 4 * channel
                self._sources[strip.group, strip.lane + channel, 1] = strip.strip.channels
        self._own: list[Block] = []
        self._known: tuple[Block, ...] | None = None
        """Stems that were looked at, and are pointed at."""
        self._capacity = 0
        self._squeezes = np.array([strip.sound.compresses for strip in self.strips], dtype=np.float64)
        self._reducing = np.array([[s.group, s.lane] for s in self._all], dtype=np.int64).reshape(-1, 2)
        self._pre: tuple[int, list[Block | None]] = (-1, [])
        self._reserve(STEP_FRAMES)

    @property
    def destinations(self) -> int:
        """Channels the strips are summed into."""
        return self._destinations

    def reducing(self) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
        """Return where gain reductions stand: states (groups, words, 16), of which word 0 is one in octaves.

        Then the group and the lane of every strip, (strips, 2), and whether it compresses (1.0), (strips,). All of them
        stay the same objects.
        """
        return self._numbers.states, self._reducing, self._squeezes

    def measured(self) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Have peaks and squares measured from now on; return them, and which of them each channel's are.

        (2 G, 16) as ``run_groups`` of ``dsp.kernels.strip`` leaves them, to be cleared by whoever reads them.
        """
        self._numbers.measure()
        return self._peaks, self._channel_lanes

    def peaks(self) -> NDArray[np.float32]:
        """Return the largest magnitude of every channel, strip after strip, before the gains, since the last call."""
        found: NDArray[np.float32] = self._peaks.ravel()[self._channel_lanes]
        self._peaks.fill(0.0)
        return found

    def change(self, index: int, sound: StripSound, frames: int) -> None:
        """Take strip ``index`` to ``sound`` over the next ``frames`` frames, at least one step, without a click.

        Sections keep their index: a section that was None comes in, one that is now None goes out. Raises DspError
        where a section is not stable; nothing has changed then.
        """
        self._numbers.change(index, sound, self.position, frames)
        self._squeezes[index] = sound.compresses

    def fade(self, index: int, gains: Sequence[Sequence[float]], frames: int) -> None:
        """Take strip ``index`` to ``gains`` (channels, destinations) over the next ``frames`` frames, straight.

        Raises ShapeError for a wrong shape, DspError where a gain is not finite.
        """
        self._numbers.fade(index, gains, self.position, frames)

    def non_finite(self) -> list[int]:
        """Return how many samples of each strip were not finite, and were taken for 0, since the start."""
        return [
            strip.bad + int(sum(self._bad[g, strip.lanes].sum() for g in {strip.group, strip.behind}))
            for strip in self._all
        ]

    @property
    def non_finite_count(self) -> int:
        """How many samples of all strips that is."""
        return int(self._bad.sum()) + sum(self._all[index].bad for index in self._with_source)

    def automate(self, index: int, automation: Automation) -> None:
        """Have the gains of strip ``index`` follow ``automation`` from now on; it begins where they stand."""
        self._numbers.automate(index, automation)

    def reset(self) -> None:
        """Forget all that was heard, inserts too."""
        self._numbers.states.fill(0.0)
        self._peaks.fill(0.0)
        for strip in self.strips:
            for insert in (*strip.pre_inserts, *strip.post_inserts):
                insert.reset()

    def _reserve(self, frames: int) -> None:
        """Make room for blocks of ``frames`` frames."""
        if frames <= self._capacity:
            return
        self._capacity = frames
        chunk = min(frames, _CHUNK_FRAMES)
        if self._sums.shape[2] < chunk:
            self._sums = aligned(len(self._sums), self._sums.shape[1], chunk, 4)
        self._bind()
        self._total = np.zeros(self._padded * frames)
        self._heard = np.zeros((self._padded, 0)), np.zeros((self._destinations, 0))
        """The sums of the newest block, and those that anybody hears."""
        self._pre = (-1, [])
        for strip in self._all:
            channels = strip.strip.channels
            if strip.strip.pre_inserts:
                strip.source = np.zeros((frames, channels), dtype=np.float32)
            if strip.strip.wants_pre or strip.strip.post_inserts:
                strip.pre = np.zeros((frames, channels), dtype=np.float32)
                ends = [(strip.pre.ctypes.data + 4 * channel, channels) for channel in range(channels)]
                self._outs[strip.group, strip.lanes] = ends
                if strip.strip.post_inserts:
                    self._sources[strip.behind, strip.lanes] = ends

    def _take(self, stems: Sequence[Block]) -> tuple[Sequence[Block], int]:
        """Return what the strips are given, (n, channels), and n; write down where it is."""
        if stems is self._known and self._known:
            return self._known, len(self._known[0])
        if len(stems) != len(self._all):
            raise ShapeError(f"the mix has {len(self._all)} strips, but {len(stems)} stems were given")
        frames = len(stems[0]) if stems else 0
        shapes = (frames, 1), (frames, 2)
        blocks: list[Block] = []
        for strip, stem in zip(self._all, stems, strict=True):
            if stem.shape != shapes[strip.strip.channels - 1]:
                shape = shapes[strip.strip.channels - 1]
                raise ShapeError(f"strip {strip.strip.name!r} takes {shape}, not {stem.shape}")
            if stem.dtype == _FLOAT32 and stem.flags.c_contiguous:
                blocks.append(stem)
            else:
                blocks.append(np.ascontiguousarray(stem, dtype=np.float32))
        self._reserve(frames)
        self._own = []
        self._point_at(blocks)
        as_given = all(block is stem for block, stem in zip(blocks, stems, strict=True))
        self._known = stems if isinstance(stems, tuple) and as_given else None
        return blocks, frames

    def _point_at(self, blocks: Sequence[Block]) -> None:
        self._objects[:] = [id(block) for block in blocks]
        for i in self._with_source:
            self._objects[i] = id(self._all[i].source)
        self._point()

    def process(self, stems: Sequence[Block]) -> tuple[NDArray[np.float64], list[Block | None]]:
        """Run the next block of every stem, (n, channels) float32 with one n for all, in the strips' order.

        Return the sums (destinations, n), C-ordered, and every strip's signal before its gains (n, channels), None for
        those that did not ask; both are valid until the next call. A sample that is not finite counts as 0. Raises
        ShapeError for a wrong number of stems or a wrong shape; nothing has been processed then.
        """
        return self._advance(*self._take(stems), None)

    def pull(self, frames: int, source: Source) -> tuple[NDArray[np.float64], list[Block | None]]:
        """Run the next ``frames`` frames of stems that ``source`` fills in, piece by piece, like ``process``.

        It is asked for what is worked on next, so that it is still in the cache.
        """
        self._reserve(frames)
        if not self._own or len(self._own[0]) < frames:
            self._own = [np.zeros((self._capacity, strip.strip.channels), np.float32) for strip in self._all]
            self._point_at(self._own)
        self._known = None
        return self._advance(self._own, frames, source)

    def _advance(
        self, blocks: Sequence[Block], frames: int, source: Source | None
    ) -> tuple[NDArray[np.float64], list[Block | None]]:
        if self._heard[0].shape[1] != frames:
            total = self._total[: self._padded * frames].reshape(self._padded, frames)
            self._heard = total, total[: self._destinations]
        total, heard = self._heard
        start = 0
        while start < frames:
            count = min(_MOVING_FRAMES if self._numbers.moves else _CHUNK_FRAMES, frames - start)
            if self._numbers.tell(self.position, count):
                self._bind()
            self._run(blocks, start, count, source)
            self._add_groups(count, start, total)
            self.position += count
            start += count
        if self._pre[0] != frames:
            self._pre = frames, [None if strip.pre is None else strip.pre[:frames] for strip in self._all]
        return heard, self._pre[1]

    def _run(self, blocks: Sequence[Block], start: int, frames: int, source: Source | None) -> None:
        """Run every group over one chunk."""
        if self._inserts or source is not None:
            for g in range(len(self._groups)):
                self._run_group(g, blocks, start, frames, source)
        else:
            self._kernel(0, len(self._groups), start, frames)

    def _run_group(self, g: int, blocks: Sequence[Block], start: int, frames: int, source: Source | None) -> None:
        stop = start + frames
        if source is not None:
            for strip in self._groups[g]:
                if not strip.strip.is_on_tape:
                    source(strip.index, blocks[strip.index][start:stop])
        for strip in self._groups[g]:
            if strip.source is not None:
                trim = self._numbers.trim(strip.index, self.position, frames)
                strip.run_pre_inserts(blocks[strip.index][start:stop], trim, strip.source[start:stop])
        behind = self._groups[g][0].behind
        if behind == g or not all(strip.strip.is_on_tape for strip in self._groups[g]):
            self._kernel(g, g + 1, start, frames)
        if behind != g:
            for strip in self._groups[g]:
                if strip.pre is not None:
                    strip.run_post_inserts(strip.pre[start:stop])
            self._kernel(behind, behind + 1, start, frames)

    def _bind(self) -> None:
        """Bind the kernels to the arrays as they are now."""
        told, run = self._numbers, self._kernels.run_groups
        given = told.plan, self._sources, self._outs, told.rows, told.gains, self._links
        room = told.states, self._peaks, self._scratch, self._sums, self._bad
        self._run_groups = run.bind(*[None] * 5, *given, *room)
        self._add_groups = self._kernels.add_groups.bind(self._sums, told.heard, None, None, None)

    def _kernel(self, first: int, last: int, start: int, frames: int) -> None:
        self._run_groups(first, last, start, frames, self.position)
