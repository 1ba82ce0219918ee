"""The mix engine: strips, their sum, the reverb and the stereo bus, as a stream of blocks.

Signal order in a strip: trim, polarity, high-pass, bands, compressor, then fader and pan. Every sample is the same for
any block size and any number of threads. Stages that do nothing are left out, so an untouched strip passes its samples
bit for bit. There is no latency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dsp.bank import BankStrip, StripBank, StripSound
from dsp.dynamics import Compressor
from dsp.errors import DspError, ShapeError
from dsp.filters import Band, Biquad, sections
from dsp.kernels.compiled import library
from dsp.lane_numbers import MOST_SECTIONS, NUMBERS, WORDS, Ways, led_by, sound_numbers
from dsp.processor import STEP_FRAMES
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

_SLICE_FRAMES = 128
_FLOAT64 = np.dtype(np.float64)

_CHUNK_FRAMES = 8192
"""Frames of the bus for which the numbers that move are made at once."""

Automation = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gains that move: given K moments since the start [s], the linear gains there. A pure function.

The engine asks for every ``STEP_FRAMES``-th frame and goes straight from one to the next, so nothing clicks. For a
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

    ``pre``: every strip after trim … compressor and before its fader, (n, ch) float32, in the strips' order. ``bus``:
    the sum of the strips that are on the bus, and the reverb, (n, 2) float64. ``peaks``: the largest magnitude of every
    channel of ``pre``, strip after strip. All but ``peaks`` are valid until the next block.
    """

    pre: list[NDArray[np.float32]]
    bus: NDArray[np.float64]
    peaks: NDArray[np.float32]


class MixEngine:
    """A running mix of ``strips`` at ``rate_hz``.

    ``threads=None`` takes the machine's processors, at most eight. Use as a context manager, or call ``close``, to end
    the threads early. ``pre=False``: the blocks' ``pre`` is left out. Raises DspError where a band cannot be built at
    this rate.
    """

    def __init__(
        self,
        strips: Sequence[StripSettings],
        *,
        reverb: ReverbSettings | None = None,
        rate_hz: float,
        threads: int | None = None,
        pre: bool = True,
    ) -> None:
        self.strips = tuple(strips)
        self.rate_hz = rate_hz
        self._bank = StripBank([_bank_strip(s, rate_hz, pre) for s in self.strips], 4, rate_hz, threads)
        self._reverb = None if reverb is None else Reverb(reverb, rate_hz)
        self._bus = np.zeros((0, 2))

    @property
    def tail_frames(self) -> int:
        """Frames after the last stem sample in which the reverb falls by 60 dB."""
        return 0 if self._reverb is None else self._reverb.tail_frames

    def reduction_db(self) -> list[float]:
        """Return every strip's current compressor gain reduction in dB (0 or below), for meters."""
        return self._bank.reduction_db()

    def process(self, stems: Sequence[NDArray[np.float32]]) -> MixBlock:
        """Mix the next block of every stem, each (n, ch) float32 with one n for all, in the strips' order.

        Raises ShapeError for a wrong number of stems or a wrong shape; nothing has been processed then.
        """
        sums, pre = self._bank.process(stems)
        if self._reverb is not None:
            self._reverb.add(sums[2:], sums[:2], sums.shape[1])
        frames = sums.shape[1]
        if len(self._bus) < frames:
            self._bus = np.zeros((frames, 2))
        bus = self._bus[:frames]
        bus[:, 0], bus[:, 1] = sums[0], sums[1]
        return MixBlock([block for block in pre if block is not None], bus, self._bank.peaks())

    def close(self) -> None:
        """End the threads; the engine goes on working with one."""
        self._bank.close()

    def __enter__(self) -> MixEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _slots(bands: Sequence[Band | None], rate_hz: float) -> tuple[Biquad | None, ...]:
    """Return the sections of ``bands``; one that does nothing keeps a place."""
    slots: list[Biquad | None] = []
    for band in bands:
        slots += [None] if band is None or band.is_flat else sections(band, float(rate_hz))
    return tuple(slots)


def strip_sound(settings: StripSettings, rate_hz: float) -> StripSound:
    """Return what ``settings`` does to a strip's sound, for ``StripBank``. Raises DspError for a band above Nyquist."""
    high_pass = None if settings.hpf_hz is None else Band("high_pass", float(settings.hpf_hz))
    slots = _slots((high_pass, *settings.bands), rate_hz)
    return StripSound(settings.trim_db, settings.polarity_inverted, slots, settings.compressor)


def _bank_strip(settings: StripSettings, rate_hz: float, pre: bool) -> BankStrip:
    """Return the strip as the bank knows it; destinations are left, right, reverb left, reverb right."""
    on, send = float(settings.on_bus), settings.send

    def moving(automation: Automation) -> Automation:
        def gains(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
            left, right, sent = np.moveaxis(automation(at_s), 2, 0)
            return np.stack([left * on, right * on, left * sent, right * sent], axis=2)

        return gains

    return BankStrip(
        settings.name,
        tuple((left * on, right * on, left * send, right * send) for left, right in settings.gains),
        settings.channels,
        strip_sound(settings, rate_hz),
        None if settings.automation is None else moving(settings.automation),
        wants_pre=pre,
    )


def bus_sound(settings: BusSettings, rate_hz: float) -> StripSound:
    """Return what ``settings`` does to a bus's sound before its fader. Raises DspError for a band above Nyquist."""
    return StripSound(sections=_slots(settings.bands, rate_hz), compressor=settings.compressor)


class BusProcessor:
    """The running stereo bus at ``rate_hz``: bands, compressor, fader; float64 inside and out.

    ``position`` is the number of its first frame, where it joins what has been running.
    """

    def __init__(self, settings: BusSettings, rate_hz: float, position: int = 0) -> None:
        self.settings = settings
        self._rate_hz = rate_hz
        self._position = position
        sound = bus_sound(settings, rate_hz)
        self._sections, self._compresses = len(sound.sections), sound.compresses
        self._sound = Ways(sound_numbers(sound, sound.sections, rate_hz, trimmed=True)[None])
        self._fader = Ways(np.array([[_linear(settings.fader_db)]]))
        self._states = np.zeros((2 + 2 * MOST_SECTIONS, 2))
        self._links = np.full(2, -1, dtype=np.int64).view(np.float64)
        self._scratch = np.zeros(2 * (2 * _SLICE_FRAMES + 2 * WORDS + 2))
        self._run, self._write_words = library("bus").run_bus, library("words").write_words
        self._moved = False
        self._tell(2)

    @property
    def reduction_db(self) -> float:
        """Current gain reduction of the bus compressor, dB, 0 or below."""
        return 20.0 * math.log10(2.0) * float(self._states[0, 0])

    def change(self, settings: BusSettings, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames, at least one step, without a click.

        Bands keep their places. Raises DspError for a band that cannot be built at this rate; nothing has changed then.
        """
        sound = bus_sound(settings, self._rate_hz)
        numbers = sound_numbers(sound, sound.sections, self._rate_hz, trimmed=True)
        self._sound.go(0, numbers, self._position, frames, led_by)
        self._fader.go(0, np.array([_linear(settings.fader_db)]), self._position, frames)
        self.settings = settings
        self._sections = max(self._sections, len(sound.sections))
        self._compresses |= sound.compresses

    def reset(self) -> None:
        """Forget all that was heard."""
        self._states.fill(0.0)

    def _tell(self, frames: int) -> None:
        """Write the words and the fader at the knots around the next ``frames`` frames."""
        first, offset = divmod(self._position, STEP_FRAMES)
        knots = np.arange(first, first + max(offset + frames - 1, 0) // STEP_FRAMES + 2)
        rows = np.zeros((len(knots), WORDS, 2))
        ends = np.array([[0, 0], [0, 1]])
        room = np.zeros(NUMBERS), np.zeros(WORDS), np.zeros(0, dtype=np.float32), rows.reshape(-1)
        steps = len(knots), self._sections, 2 * WORDS, 2
        self._write_words(ends, first, *steps, self._sound.rows, self._sound.spans, *room)
        automation, at_s = self.settings.automation, knots * STEP_FRAMES / self._rate_hz
        gains = np.array([self._fader.at(0, k) for k in knots.tolist()]) if automation is None else automation(at_s)
        faders = np.repeat(gains.reshape(-1, 1, 1), 2, axis=2)
        told = rows, faders, self._links, self._states, self._scratch
        self._call = self._run.bind(None, self._sections, self._compresses, None, None, *told, None)

    def process(
        self, block: NDArray[np.float64] | NDArray[np.float32], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the next (n, 2) of the bus as float64, in ``out`` where that is given.

        Raises ShapeError for another shape.
        """
        if block.ndim != 2 or block.shape[1] != 2:
            raise ShapeError(f"the bus takes (frames, 2), not {block.shape}")
        flags = block.flags
        fits = block.dtype == _FLOAT64 and flags.c_contiguous and flags.writeable
        x: NDArray[Any] = block if fits else np.require(block, dtype=np.float64, requirements=["C", "W"])
        if out is None:
            out = np.empty_like(x)
        for start in range(0, len(x), _CHUNK_FRAMES):
            whole = len(x) <= _CHUNK_FRAMES
            piece, to = (x, out) if whole else (x[start : start + _CHUNK_FRAMES], out[start : start + _CHUNK_FRAMES])
            moves = self._sound.moves(0, self._position) or self._fader.moves(0, self._position)
            moves |= self.settings.automation is not None
            if moves or self._moved:  # once more where all has arrived
                self._tell(len(piece))
            self._moved = moves
            self._call(self._position, moves, piece, to)
            self._position += len(piece)
        return out


def _linear(level_db: float) -> float:
    """Return the gain of a level, 0 for −∞ dB."""
    gain: float = 10.0 ** (level_db / 20.0)
    return gain


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
