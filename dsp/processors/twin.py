"""Twin: the digital model of an analog path, run in its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.delay import History
from dsp.errors import DspError
from dsp.fade import Fade
from dsp.oversample import Halfbands, Lowerer, Raiser, halfbands
from dsp.processor import Block, Glide, Settings, choice, number
from dsp.ramp import ramp
from dsp.sidechain import check_channels

__all__ = ["MOST_TAPS", "Twin", "TwinModel"]

MOST_TAPS = 1 << 17
_HIGHEST_ORDER = 5
_PASSED, _ATTENUATION_DB = 0.45, 150.0
"""What part of the rate has its powers taken (21.6 of 48 kHz), and how far below lies what they would fold back."""


@dataclass(frozen=True, eq=False)
class TwinModel:
    """A parallel Hammerstein model: y = fir * x + Σ taps_k * x^k, where * is convolution.

    ``fir`` (taps,) is the linear part; ``branches`` are (order, taps), each order from 2 to 5 at most once. (A. Novák,
    L. Simon, F. Kadlec, P. Lotton, "Nonlinear system identification using exponential swept-sine signal", IEEE Trans.
    Instrum. Meas. 59(8), 2010, §II.) The arrays are copied and kept as float64. ``rate_hz`` is the rate it was fitted
    at, None where that plays no part; ``name`` is for messages. Two are equal when orders, taps and rate are. Raises
    DspError for other orders, for taps that are none, too many or not finite, and a rate that is not positive.
    """

    fir: NDArray[np.float64]
    branches: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    rate_hz: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fir", _taps(self.fir, 1))
        kept = tuple(sorted(((int(order), _taps(taps, order)) for order, taps in self.branches), key=lambda b: b[0]))
        orders = [order for order, _ in kept]
        if len({*orders}) < len(orders) or not all(2 <= order <= _HIGHEST_ORDER for order in orders):
            raise DspError(f"a twin has each order from 2 to {_HIGHEST_ORDER} at most once, not {orders}")
        object.__setattr__(self, "branches", kept)
        if self.rate_hz is not None and not (math.isfinite(self.rate_hz) and self.rate_hz > 0.0):
            raise DspError(f"the rate of a twin, {self.rate_hz} Hz, is not a positive number")

    @property
    def rows(self) -> tuple[tuple[int, NDArray[np.float64]], ...]:
        """Linear part and branches alike: (order, taps), the order rising from 1."""
        return ((1, self.fir), *self.branches)

    @property
    def taps(self) -> int:
        """Taps of the longest."""
        return max(len(taps) for _, taps in self.rows)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TwinModel)
            and self.rate_hz == other.rate_hz
            and len(self.rows) == len(other.rows)
            and all(a == b and np.array_equal(s, t) for (a, s), (b, t) in zip(self.rows, other.rows, strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.rate_hz, *((order, taps.tobytes()) for order, taps in self.rows)))

    def __repr__(self) -> str:
        return f"TwinModel(orders {[order for order, _ in self.rows]}, {self.taps} taps)"


def _taps(given: ArrayLike, order: Any) -> NDArray[np.float64]:
    taps = np.array(given, dtype=np.float64)
    if taps.ndim != 1 or not 1 <= len(taps) <= MOST_TAPS or not np.all(np.isfinite(taps)):
        raise DspError(f"the taps of order {order} of a twin are not 1 to {MOST_TAPS} finite numbers in a row")
    taps.setflags(write=False)
    return taps


@dataclass(frozen=True)
class Twin(Settings):
    """Runs ``model`` in place of what it was fitted to; without one the sound goes by, as late.

    Powers are taken at twice the rate, from order 4 on at four times, so that nothing folds back. ``partition_frames``
    at once go through the filters: more are cheaper and later. ``mix_percent`` 0 passes bit for bit. Full scale is
    what the model was fitted at; far beyond its range a polynomial says nothing.
    """

    kind: ClassVar[str] = "twin"

    model: TwinModel | None = field(default=None, metadata={})
    mix_percent: float = number(100.0, 0.0, 100.0, "%")
    partition_frames: int = choice(512, 64, 128, 256, 512, 1024, 2048, 4096, 8192)

    def start(self, rate_hz: float, channels: int) -> RunningTwin:
        """Return it running. Raises DspError where the model was fitted at another rate."""
        fitted_hz = self.model.rate_hz if self.model is not None else None
        if self.model is not None and fitted_hz is not None and fitted_hz != rate_hz:
            raise DspError(
                f"twin {self.model.name!r} was fitted at {fitted_hz:g} Hz and cannot run at {rate_hz:g} Hz",
                hint="fit it again at this rate, or use it in a song of its own",
            )
        return RunningTwin(self, channels)


_PASSING = TwinModel(np.ones(1))


@dataclass(frozen=True, eq=False)
class _Filters:
    """The spectra (parts, orders, size + 1) of a model's taps."""

    spectra: NDArray[np.complex128]


class _Powers:
    """Delays ``rows`` signals by ``latency_frames`` and takes their powers of ``orders`` at a higher rate."""

    def __init__(self, orders: Sequence[int], rows: int, frames: int) -> None:
        self._orders, self._rows, self._frames = orders, rows, frames
        # x^k is k times as wide; it folds back to where x was unless factor · rate ≥ (k + 1) / 2 · rate.
        self._bands: Halfbands = halfbands(2 if max(orders) <= 3 else 4, _PASSED, _ATTENUATION_DB)
        self.latency_frames, self.reach_frames = self._bands.latency_frames, self._bands.reach_frames
        self._raiser = Raiser(self._bands, rows, frames)
        self._lowerer = Lowerer(self._bands, rows * len(orders), frames)
        self._high = np.zeros((len(orders), rows, frames * self._bands.factor))
        self._line = np.zeros((rows, self.latency_frames + frames))

    def run(self, x: NDArray[np.float64], low: NDArray[np.float64]) -> None:
        """Write the next (rows, frames) and their powers to ``low`` (1 + orders, rows, frames)."""
        late = self.latency_frames
        self._line[:, :late] = self._line[:, self._frames :].copy()
        self._line[:, late:] = x
        self._raiser.run(x, self._frames)
        power, reached = self._raiser.high.copy(), 1
        for index, order in enumerate(self._orders):
            for _ in range(order - reached):
                power *= self._raiser.high
            reached = order
            self._high[index] = power
        rows = len(self._orders) * self._rows
        self._lowerer.run(self._high.reshape(rows, -1), self._frames, low[1:].reshape(rows, -1))
        low[0] = self._line[:, : self._frames]

    def reset(self) -> None:
        """Forget what was heard."""
        self._line[:] = 0.0
        self._raiser.reset()
        self._lowerer.reset()


class RunningTwin:
    """Uniformly partitioned convolution by overlap-save: one transform of input and output per partition.

    T. G. Stockham, "High-speed convolution and correlation", AFIPS 1966; G. García, "Optimal filter partition for
    efficient convolution with short input/output delay", AES 113, 2002, §2. Memory and orders are those of the first
    model; a change fades to another over whole partitions.
    """

    def __init__(self, settings: Twin, channels: int) -> None:
        check_channels(channels)
        self._model = model = settings.model or _PASSING
        size = self._size = settings.partition_frames
        self._orders = tuple(order for order, _ in model.rows)
        self._parts = -(-model.taps // size)
        self._powers = _Powers(self._orders[1:], channels, size) if len(self._orders) > 1 else None
        self.latency_frames = size + (self._powers.latency_frames if self._powers else 0)
        self._fade = Fade(self._filters(model))
        self._segments = np.zeros((len(self._orders), channels, 2 * size))
        self._now = np.zeros((len(self._orders), channels, size))
        # Every spectrum stands twice, so that those of all ages are one stretch from wherever the newest is.
        self._heard = np.zeros((2 * self._parts, len(self._orders), channels, size + 1), dtype=np.complex128)
        self._newest = self._filled = 0
        self._in, self._out = np.zeros((channels, size)), np.zeros((channels, size))
        self._dry = History(self.latency_frames, channels)
        self._mix = Glide(_mix(settings))

    @property
    def tail_frames(self) -> int:
        """The taps, and the skirts of the half-bands."""
        return self._parts * self._size + (self._powers.reach_frames if self._powers else 0)

    def _filters(self, model: TwinModel) -> _Filters:
        """Return what runs a model. Raises DspError where it does not fit."""
        if not {order for order, _ in model.rows} <= {*self._orders} or model.taps > self._parts * self._size:
            raise DspError(
                f"a running twin of orders {[*self._orders]}, {self._parts * self._size} taps, has no room for {model}",
                hint="start another",
            )
        made = np.zeros((self._parts, len(self._orders), self._size + 1), dtype=np.complex128)
        for order, taps in model.rows:
            padded = np.pad(taps, (0, self._parts * self._size - len(taps))).reshape(self._parts, -1)
            made[:, self._orders.index(order)] = np.fft.rfft(padded, 2 * self._size, axis=1)
        return _Filters(made)

    def process(self, block: Block, key: Block | None = None) -> None:
        """Run the model; a partition is worked on when its last frame has come."""
        start = 0
        while start < len(block):
            n = min(self._size - self._filled, len(block) - start)
            part, place = block[start : start + n], slice(self._filled, self._filled + n)
            dry = self._dry.late(part)
            mix = ramp(self._mix, n)
            self._in[:, place] = part.T
            np.multiply(self._out[:, place].T, mix[:, :1], out=part, casting="same_kind")
            if mix[:, 1].any():
                part += dry * mix[:, 1:]
            start += n
            self._filled += n
            if self._filled == self._size:
                self._filled = 0
                self._work()

    def _work(self) -> None:
        size, fade = self._size, self._fade
        if self._powers is None:
            self._now[0] = self._in
        else:
            self._powers.run(self._in, self._now)
        self._segments[:, :, :size] = self._segments[:, :, size:]
        self._segments[:, :, size:] = self._now
        self._newest = (self._newest - 1) % self._parts
        self._heard[self._newest] = self._heard[self._newest + self._parts] = np.fft.rfft(self._segments)
        heard = self._heard[self._newest : self._newest + self._parts]
        self._out[:] = self._filtered(heard, fade.here)
        if fade.frames:
            share = (fade.done + np.arange(size)) / fade.frames
            self._out += share * (self._filtered(heard, fade.there) - self._out)
            fade.advance(size)

    def _filtered(self, heard: NDArray[np.complex128], filters: _Filters) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.fft.irfft(np.einsum("pkcf,pkf->cf", heard, filters.spectra))[:, self._size :]
        return found

    def change(self, settings: Twin, frames: int) -> None:
        """Fade to another model. Raises DspError for another partition, and a model that needs more room."""
        if settings.partition_frames != self._size:
            raise DspError("the partition of a running twin cannot change", hint="its latency would: start another")
        model = settings.model or _PASSING
        if model != self._model:
            filters = self._filters(model)
            self._fade.to(filters, -(-max(1, frames) // self._size) * self._size)
            self._model = model
        self._mix.to(_mix(settings), frames)

    def reset(self) -> None:
        """Forget all that was heard, and be what the settings asked for."""
        self._fade.finish()
        for memory in (self._segments, self._heard, self._in, self._out):
            memory[:] = 0.0
        self._newest = self._filled = 0
        self._dry.clear()
        self._mix = Glide(self._mix.target)
        if self._powers is not None:
            self._powers.reset()


def _mix(settings: Twin) -> NDArray[np.float64]:
    """Return the shares of wet and dry; without a model the dry sound is all of it, to the last bit."""
    wet = settings.mix_percent / 100.0 if settings.model is not None else 0.0
    return np.array([wet, 1.0 - wet])
