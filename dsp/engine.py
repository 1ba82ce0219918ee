"""The mix engine: strips, their sum, the reverb and the stereo bus, as a stream of blocks.

Signal order in a strip: trim, polarity, high-pass, bands, compressor, then fader and pan. Every sample is the same for
any block size and any number of threads. Stages that do nothing are left out, so an untouched strip passes its samples
bit for bit. There is no latency.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import Compressor, compressor_row
from dsp.errors import DspError, ShapeError
from dsp.filters import Band, cascade, state_space
from dsp.space import Reverb, ReverbSettings

__all__ = [
    "Automation",
    "Band",
    "BusProcessor",
    "BusSettings",
    "Compressor",
    "MixBlock",
    "MixEngine",
    "ReverbSettings",
    "StripSettings",
    "warm",
]

_CHUNK_FRAMES = 8192
"""Frames between two meetings of the threads: long enough to hide the hand-over, short enough to stay in the cache."""

_WORTH_A_THREAD = 16_384
"""Samples in a chunk below which one thread is quicker than handing work over."""

_MOST_THREADS = 8

Automation = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gains that move: given K moments since the start [s], the linear gains there. A pure function.

The engine asks for every ``RAMP_FRAMES``-th frame and goes straight from one to the next, so nothing clicks. For a
strip it returns (K, channels, 3): to left, to right, and the send after those; for a bus (K,), its fader.
"""


@dataclass(frozen=True)
class StripSettings:
    """One strip of the mix.

    ``gains``: for each of the strip's channels its linear gain to left and to right, with fader, pan and mute already
    in it. ``send``: linear, after those gains, to the reverb. ``on_bus=False``: the strip is summed elsewhere; its
    ``pre`` output and its send still work. ``trim_db`` within ±60. ``automation`` takes the place of ``gains`` and
    ``send``. Raises DspError for values that make no sense.
    """

    name: str
    channels: Literal[1, 2] = 1
    polarity_inverted: bool = False
    trim_db: float = 0.0
    hpf_hz: float | None = None
    bands: tuple[Band, ...] = ()
    compressor: Compressor | None = None
    gains: tuple[tuple[float, float], ...] = ((math.sqrt(0.5), math.sqrt(0.5)),)
    send: float = 0.0
    on_bus: bool = True
    automation: Automation | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise DspError(f"strip {self.name!r} has {self.channels} channels; a strip has 1 or 2")
        if not abs(self.trim_db) <= 60.0:
            raise DspError(f"strip {self.name!r}: trim {self.trim_db} dB is outside −60..+60 dB")
        if len(self.gains) != self.channels or any(len(pair) != 2 for pair in self.gains):
            raise ShapeError(
                f"strip {self.name!r}: {self.channels} channel(s) need as many (left, right) pairs of gains"
            )
        if not all(math.isfinite(g) for pair in self.gains for g in pair) or not math.isfinite(self.send):
            raise DspError(f"strip {self.name!r}: a gain or the send is not a finite number")


@dataclass(frozen=True)
class BusSettings:
    """The stereo bus: bands, compressor, then the master fader (``fader_db`` −∞..+24, or ``automation`` instead)."""

    bands: tuple[Band, ...] = ()
    compressor: Compressor | None = None
    fader_db: float = 0.0
    automation: Automation | None = None

    def __post_init__(self) -> None:
        if not self.fader_db <= 24.0:
            raise DspError(f"bus fader {self.fader_db} dB is above +24 dB")


@dataclass(frozen=True)
class MixBlock:
    """What one block of stems became.

    ``pre``: every strip after trim … compressor and before its fader, (n, ch) float32, in the strips' order.
    ``bus``: the sum of the strips that are on the bus, and the reverb, (n, 2) float64.
    """

    pre: list[NDArray[np.float32]]
    bus: NDArray[np.float64]


class _Channels:
    """State of the compiled loop for the linear part and the compressor of one strip or bus."""

    def __init__(
        self,
        channels: int,
        rate_hz: float,
        *,
        gain: float,
        hpf_hz: float | None,
        bands: tuple[Band, ...],
        compressor: Compressor | None,
        planar: NDArray[np.float64],
    ) -> None:
        from dsp.kernels.strip import SLICE_FRAMES, run_strip

        rows = [state_space(section) for section in cascade(hpf_hz, bands, rate_hz)]
        self._sections = np.array(rows).reshape(len(rows), 9)
        self._states = np.zeros((len(rows), channels, 2))
        self._compressor = compressor_row(compressor, rate_hz)
        self._reduction = np.zeros(1)
        self._work = np.zeros((channels + 1, SLICE_FRAMES))
        self._planar = planar
        self._gain = gain
        self._run = run_strip
        self.cost = channels * (1.0 + len(rows) + 4.0 * (self._compressor.size > 0))

    def run(
        self,
        block: NDArray[np.float32] | NDArray[np.float64],
        position: int,
        out: NDArray[np.float32] | NDArray[np.float64],
    ) -> None:
        """Process ``block`` (n, ch) into ``out`` and ``planar``; n is at most one chunk."""
        self._run(
            block,
            position,
            self._gain,
            self._sections,
            self._states,
            self._compressor,
            self._reduction,
            self._work,
            self._planar,
            out,
        )

    @property
    def reduction_db(self) -> float:
        """Current gain reduction of the compressor, dB, 0 or below."""
        return float(self._reduction[0])


class MixEngine:
    """A running mix of ``strips`` at ``rate_hz``.

    ``threads=None`` takes the machine's processors, at most eight. Use as a context manager, or call ``close``, to end
    the threads early. Raises DspError where a band cannot be built at this rate.
    """

    def __init__(
        self,
        strips: Sequence[StripSettings],
        *,
        reverb: ReverbSettings | None = None,
        rate_hz: float,
        threads: int | None = None,
    ) -> None:
        from dsp.kernels.strip import sum_moving_strips, sum_strips

        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self._sum = sum_strips
        self._sum_moving = sum_moving_strips
        offsets = np.concatenate([[0], np.cumsum([s.channels for s in self.strips], dtype=np.int64)]).astype(int)
        self._planar = np.zeros((int(offsets[-1]), _CHUNK_FRAMES))
        self._buses = np.zeros((4, _CHUNK_FRAMES))
        self._gains = np.array(
            [
                [left * s.on_bus, right * s.on_bus, left * s.send, right * s.send]
                for s in self.strips
                for left, right in s.gains
            ]
        ).reshape(-1, 4)
        self._automated = [
            (slice(offsets[i], offsets[i + 1]), s, s.automation)
            for i, s in enumerate(self.strips)
            if s.automation is not None
        ]
        self._channels = [
            _Channels(
                s.channels,
                rate_hz,
                gain=10.0 ** (s.trim_db / 20.0) * (-1.0 if s.polarity_inverted else 1.0),
                hpf_hz=s.hpf_hz,
                bands=s.bands,
                compressor=s.compressor,
                planar=self._planar[offsets[i] : offsets[i + 1]],
            )
            for i, s in enumerate(self.strips)
        ]
        self._reverb = None if reverb is None else Reverb(reverb, rate_hz)
        self._position = 0
        wanted = min(os.cpu_count() or 1, _MOST_THREADS) if threads is None else threads
        self._groups = self._shares(max(1, min(wanted, len(self.strips))))
        self._pool = ThreadPoolExecutor(len(self._groups) - 1, "mix") if len(self._groups) > 1 else None

    def _shares(self, count: int) -> list[list[int]]:
        """Deal the strips out to ``count`` threads so that each has about the same work."""
        shares: list[list[int]] = [[] for _ in range(count)]
        load = [0.0] * count
        for i in sorted(range(len(self.strips)), key=lambda i: -self._channels[i].cost):
            least = load.index(min(load))
            shares[least].append(i)
            load[least] += self._channels[i].cost
        return shares

    @property
    def tail_frames(self) -> int:
        """Frames after the last stem sample in which the reverb falls by 60 dB."""
        return 0 if self._reverb is None else self._reverb.tail_frames

    def reduction_db(self) -> list[float]:
        """Return every strip's current compressor gain reduction in dB (0 or below), for meters."""
        return [channels.reduction_db for channels in self._channels]

    def _check(self, stems: Sequence[NDArray[np.float32]]) -> tuple[list[NDArray[np.float32]], int]:
        if len(stems) != len(self.strips):
            raise ShapeError(f"the mix has {len(self.strips)} strips, but {len(stems)} stems were given")
        frames = len(stems[0]) if stems else 0
        blocks = []
        for strip, stem in zip(self.strips, stems, strict=True):
            if stem.shape != (frames, strip.channels):
                raise ShapeError(f"strip {strip.name!r} takes ({frames}, {strip.channels}), not {stem.shape}")
            # The compiled loop exists for writable, C-ordered float32 only.
            blocks.append(np.require(stem, dtype=np.float32, requirements=["C", "W"]))
        return blocks, frames

    def process(self, stems: Sequence[NDArray[np.float32]]) -> MixBlock:
        """Mix the next block of every stem, each (n, ch) float32 with one n for all, in the strips' order.

        Raises ShapeError for a wrong number of stems or a wrong shape; nothing has been processed then.
        """
        blocks, frames = self._check(stems)
        pre = [np.empty(block.shape, dtype=np.float32) for block in blocks]
        bus = np.empty((frames, 2))
        for start in range(0, frames, _CHUNK_FRAMES):
            stop = min(start + _CHUNK_FRAMES, frames)
            self._strips(blocks, pre, start, stop)
            if self._automated:
                knots, offset = self._moving_gains(stop - start)
                self._sum_moving(self._planar, stop - start, knots, offset, self._buses)
            else:
                self._sum(self._planar, stop - start, self._gains, self._buses)
            if self._reverb is not None:
                self._reverb.add(self._buses[2:], self._buses[:2], stop - start)
            bus[start:stop] = self._buses[:2, : stop - start].T
            self._position += stop - start
        return MixBlock(pre, bus)

    def _moving_gains(self, frames: int) -> tuple[NDArray[np.float64], int]:
        """Return every channel's four gains at the knots around the next ``frames`` frames, and where those begin."""
        at, offset = _knots(self._position, frames)
        gains = np.repeat(self._gains[:, :, None], len(at), axis=2)
        for where, strip, automation in self._automated:
            left, right, send = automation(at / self.rate_hz).T
            sides = (left * strip.on_bus, right * strip.on_bus, left * send, right * send)
            gains[where] = np.stack(sides, axis=1)
        return gains, offset

    def _strips(self, blocks: list[NDArray[np.float32]], pre: list[NDArray[np.float32]], start: int, stop: int) -> None:
        def share(indices: list[int]) -> None:
            for i in indices:
                self._channels[i].run(blocks[i][start:stop], self._position, pre[i][start:stop])

        if self._pool is None or (stop - start) * len(self._planar) < _WORTH_A_THREAD:
            share(list(range(len(blocks))))
            return
        waiting = [self._pool.submit(share, indices) for indices in self._groups[1:]]
        share(self._groups[0])
        for future in waiting:
            future.result()

    def close(self) -> None:
        """End the threads; the engine goes on working with one."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> MixEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _knots(position: int, frames: int) -> tuple[NDArray[np.int64], int]:
    """Return the frames between which gains go straight, around ``frames`` frames from ``position``.

    The second number says how many frames after the first of them ``position`` lies.
    """
    from dsp.kernels.strip import RAMP_FRAMES

    first, offset = divmod(position, RAMP_FRAMES)
    last = (position + frames - 1) // RAMP_FRAMES + 1
    return np.arange(first, last + 1, dtype=np.int64) * RAMP_FRAMES, offset


class BusProcessor:
    """The running stereo bus at ``rate_hz``: bands, compressor, fader; float64 inside and out."""

    def __init__(self, settings: BusSettings, rate_hz: float) -> None:
        self.settings = settings
        self._rate_hz = rate_hz
        self._channels = _Channels(
            2,
            rate_hz,
            gain=1.0,
            hpf_hz=None,
            bands=settings.bands,
            compressor=settings.compressor,
            planar=np.zeros((2, _CHUNK_FRAMES)),
        )
        self._fader = 10.0 ** (settings.fader_db / 20.0)
        self._position = 0

    @property
    def reduction_db(self) -> float:
        """Current gain reduction of the bus compressor, dB, 0 or below."""
        return self._channels.reduction_db

    def process(self, block: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the next (n, 2) of the bus as float64. Raises ShapeError for another shape."""
        if block.ndim != 2 or block.shape[1] != 2:
            raise ShapeError(f"the bus takes (frames, 2), not {block.shape}")
        x = np.require(block, dtype=np.float64, requirements=["C", "W"])
        out = np.empty_like(x)
        for start in range(0, len(x), _CHUNK_FRAMES):
            stop = min(start + _CHUNK_FRAMES, len(x))
            self._channels.run(x[start:stop], self._position, out[start:stop])
            if self.settings.automation is not None:
                at, offset = _knots(self._position, stop - start)
                frames = at[0] + offset + np.arange(stop - start)
                out[start:stop] *= np.interp(frames, at, self.settings.automation(at / self._rate_hz))[:, None]
            self._position += stop - start
        if self.settings.automation is None and self._fader != 1.0:
            out *= self._fader
        return out


def warm(rate_hz: float = 48_000.0) -> None:
    """Compile the loops, or load them from the cache on disk, so that the first block is as quick as the others."""
    band = Band("bell", 1000.0, 3.0)
    compressor = Compressor(-20.0, 2.0, 10.0, 100.0)
    strips = [
        StripSettings("mono", bands=(band,), compressor=compressor),
        StripSettings("stereo", 2, bands=(band,), gains=((1.0, 0.0), (0.0, 1.0)), send=0.1),
    ]
    with MixEngine(strips, reverb=ReverbSettings(), rate_hz=rate_hz, threads=1) as engine:
        block = engine.process([np.zeros((256, 1), dtype=np.float32), np.zeros((256, 2), dtype=np.float32)])
    BusProcessor(BusSettings(bands=(band,), compressor=compressor), rate_hz).process(block.bus)
