"""What a mix pass tells an engineer: overs, energy by band and second, masking, mono folding, trims and balance.

Arrays in, values out; nothing here changes a signal. Bands are third octaves (IEC 61260-1:2014, base-ten system),
steps are one second. The thresholds are conventions of this program, named here and said with every result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.levels import dbfs_from_rms, decibels
from dsp.loudness import LoudnessMeter
from dsp.null.bands import FIRST_BAND, NOMINAL_HZ, third_octave_sums

__all__ = [
    "BandLoss",
    "BandPowers",
    "BandTally",
    "Fold",
    "Levels",
    "Masking",
    "Overs",
    "SignalTally",
    "band_losses",
    "equal_loudness",
    "masking",
    "trim_by",
]

Floats = NDArray[np.float64]
Audio = NDArray[np.floating[Any]]

STEM_FULL_SCALE = 1.0 - 2.0**-15
"""The greatest positive sample of 16 bits: what converters and files of any usual depth clip at reaches it."""

STEM_RUN = 3
"""So many samples in a row at full scale are a clip: a single one may be a peak that was normalised to full scale."""

OVER = float(np.nextafter(np.float32(1.0), np.float32(2.0)))
"""The first level above full scale that float32 has."""

PAN_APART = 30.0
"""Strips whose pans (−100..100) lie further apart are taken to be told apart by direction."""

CLOSE_DB = 6.0
"""Two strips whose energies in a band differ by more are taken to be one in front and one behind."""

MATTERS_DB = -20.0
"""A band that holds less of its strip's energy does not make its sound."""

MATTERS_IN_MIX_DB = -12.0
"""A strip that holds less of what all strips have in a band is not what is heard there."""

SOUNDS_DB = -40.0
"""A strip is silent in seconds that lie further below its loudest one."""

SHARE = 0.25
"""Of the seconds in which both strips sound, as many have to be close before a hint is worth reading."""

FOLD_LOSS_DB = -3.0
"""Where folding takes away more: half of the energy cancels."""

_SMALLEST = 1e-9
"""−90 dB: a second with less power is silent however quiet the whole strip is."""

_FRAME_S = 0.68
"""Near this long are the spectra: 1.5 Hz from line to line, three in the narrowest third octave."""


@dataclass(frozen=True)
class Levels:
    """Sample peak [dBFS re full scale], RMS [dBFS, AES17] and integrated loudness [LUFS]; −∞ where there is nothing."""

    peak_dbfs: float
    rms_dbfs: float
    loudness_lufs: float


class SignalTally:
    """The levels of a stream of 1 or 2 channels at ``rate_hz``. Raises DspError like LoudnessMeter."""

    def __init__(self, rate_hz: float, channels: int) -> None:
        self._meter = LoudnessMeter(rate_hz, channels)
        self._peak = 0.0
        self._sum = 0.0
        self._samples = 0

    def process(self, block: NDArray[np.float32] | Floats) -> None:
        """Hear the next (n, channels). Raises ShapeError for another shape."""
        self._meter.process(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        self._sum += float(np.einsum("nc,nc->", block, block, dtype=np.float64))
        self._samples += block.size

    @property
    def levels(self) -> Levels:
        """What was heard so far."""
        rms = math.sqrt(self._sum / max(1, self._samples))
        return Levels(decibels(self._peak), dbfs_from_rms(rms), self._meter.integrated_lufs)


class Overs:
    """Counts the runs, per channel, of at least ``run`` samples that reach ``level`` (linear), across any blocks."""

    def __init__(self, level: float, run: int = 1) -> None:
        self._level = level
        self._run = run
        self._open: dict[int, int] = {}
        self._position = 0
        self.count = 0
        self.first_frame: int | None = None

    def process(self, block: Audio) -> None:
        """Hear the next (n, channels)."""
        high = np.abs(block) >= self._level
        for channel in range(high.shape[1] if len(high) else 0):
            self._column(channel, high[:, channel])
        self._position += len(block)

    def _column(self, channel: int, high: NDArray[np.bool_]) -> None:
        carried = self._open.pop(channel, 0)
        if not high.any():
            return
        begins, ends = _runs(high)
        lengths = ends - begins
        before = np.zeros_like(lengths)
        if begins[0] == 0:
            before[0] = carried
        new = (before < self._run) & (before + lengths >= self._run)
        if new.any():
            first = int(np.argmax(new))
            frame = self._position + int(begins[first] - before[first])
            self.first_frame = frame if self.first_frame is None else min(frame, self.first_frame)
            self.count += int(np.count_nonzero(new))
        if ends[-1] == len(high):
            self._open[channel] = int(before[-1] + lengths[-1])


@dataclass(frozen=True)
class Fold:
    """Two sides folded to one: their ``correlation`` (−1..1), and ``change_db``, L + R against the power of both.

    +3.01 dB for equal sides, 0 dB for unrelated ones, −∞ for inverted ones; both 0 for silence.
    """

    correlation: float
    change_db: float


@dataclass(frozen=True)
class BandPowers:
    """Mean squares by second and third octave, (S, 31): of both sides together, and of their sum L + R."""

    stereo: Floats
    mono: Floats


class BandTally:
    """Energy by second and third octave of a stereo stream at ``rate_hz``, and how its sides fit.

    Spectra of about 0.7 s under a sine window, half overlapping: their squares add up to one, so that no energy is lost
    or counted twice. Each counts for the second that its middle lies in.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        size = 2 ** round(math.log2(_FRAME_S * rate_hz))
        self._hop = size // 2
        self._window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
        self._held = np.zeros((2, size))
        self._filled = self._hop
        self._middle = 0
        self._position = 0
        self._sums: list[Floats] = []
        self._sides = np.zeros((2, 2))

    def process(self, block: Audio) -> None:
        """Hear the next (n, 2). Raises ShapeError for another shape."""
        if block.ndim != 2 or block.shape[1] != 2:
            raise ShapeError(f"the bands of a stereo signal take (frames, 2), not {block.shape}")
        both = np.ascontiguousarray(block.T, np.float64)
        self._sides += both @ both.T
        self._position += len(block)
        self._add(both)

    def _add(self, block: Floats) -> None:
        size, start = len(self._window), 0
        while start < block.shape[1]:
            stop = min(block.shape[1], start + size - self._filled)
            self._held[:, self._filled : self._filled + stop - start] = block[:, start:stop]
            self._filled += stop - start
            start = stop
            if self._filled == size:
                self._count(self._held * self._window)
                self._held[:, : self._hop] = self._held[:, self._hop :]
                self._filled = self._hop

    def _count(self, frame: Floats) -> None:
        step = self._middle // self._rate_hz
        self._middle += self._hop
        while len(self._sums) <= step:
            self._sums.append(np.zeros((2, len(NOMINAL_HZ))))
        if not frame.any():
            return
        left, right = np.fft.rfft(frame)
        power = np.stack([_squared(left) + _squared(right), _squared(left + right)])
        # Twice, for the negative frequencies; by the frames of a second, for the mean square.
        self._sums[step] += third_octave_sums(power, rate_hz=self._rate_hz) * 2.0 / (frame.shape[1] * self._rate_hz)

    def finish(self) -> BandPowers:
        """Return what was heard; the stream ends here."""
        self._add(np.zeros((2, 2 * self._hop)))
        steps = max(1, math.ceil(self._position / self._rate_hz))
        sums = np.zeros((steps, 2, len(NOMINAL_HZ)))
        for step, both in enumerate(self._sums):
            sums[min(step, steps - 1)] += both
        return BandPowers(sums[:, 0], sums[:, 1])

    @property
    def fold(self) -> Fold:
        """How the sides fit over all that was heard."""
        (left, across), (_, right) = self._sides.tolist()
        if left + right == 0.0:
            return Fold(0.0, 0.0)
        correlation = across / math.sqrt(left * right) if left * right > 0.0 else 0.0
        return Fold(correlation, _power_db(max(0.0, left + right + 2.0 * across), left + right))


@dataclass(frozen=True)
class BandLoss:
    """Neighbouring bands that lose more than 3 dB in mono, and the second in which they lose most."""

    low_hz: float
    high_hz: float
    change_db: float
    at_s: float


def band_losses(powers: BandPowers) -> list[BandLoss]:
    """Return where folding to mono takes away more than ``FOLD_LOSS_DB``, of the bands that matter, low to high.

    A band matters that holds at least ``MATTERS_DB`` of all energy.
    """
    stereo, mono = powers.stereo.sum(axis=0), powers.mono.sum(axis=0)
    lost = (stereo > 0.0) & (stereo >= _power(MATTERS_DB) * stereo.sum()) & (mono < _power(FOLD_LOSS_DB) * stereo)
    found = []
    for low, high in zip(*_runs(lost), strict=True):
        missing = (powers.stereo - powers.mono)[:, low:high].sum(axis=1)
        change_db = _power_db(float(mono[low:high].sum()), float(stereo[low:high].sum()))
        found.append(BandLoss(*_edges_hz(low, high), change_db, float(np.argmax(missing))))
    return found


@dataclass(frozen=True)
class Masking:
    """Strips ``first`` and ``second`` (their numbers) share neighbouring bands for a ``share`` of their common time.

    ``over_db``: how far the first is above the second there. ``spans_s``: from and to, whole seconds.
    """

    first: int
    second: int
    low_hz: float
    high_hz: float
    share: float
    over_db: float
    spans_s: tuple[tuple[float, float], ...]


def masking(powers: Floats, pans: Sequence[float]) -> list[Masking]:
    """Return where strips may hide each other, most of the time first.

    ``powers``: (strips, S, 31) after the fader. ``pans``: one a strip, −100..100. Two strips panned within
    ``PAN_APART`` share a band in the seconds in which their energies there differ by at most ``CLOSE_DB`` and the band
    matters to both: at least ``MATTERS_DB`` of the strip's own energy, and ``MATTERS_IN_MIX_DB`` of all strips' in that
    band. A hint needs ``SHARE`` of the seconds in which both sound. No model of hearing stands behind it: it says where
    to listen. Raises ShapeError for another number of pans, or of bands.
    """
    if powers.ndim != 3 or len(pans) != len(powers) or powers.shape[2] != len(NOMINAL_HZ):
        raise ShapeError(f"{len(pans)} pans need ({len(pans)}, seconds, {len(NOMINAL_HZ)}) powers, not {powers.shape}")
    own = powers.sum(axis=2)
    sounds = own > np.maximum(_power(SOUNDS_DB) * own.max(axis=1, initial=0.0, keepdims=True), _SMALLEST)
    matters = sounds[:, :, None] & (powers >= _power(MATTERS_DB) * own[:, :, None])
    matters &= powers >= _power(MATTERS_IN_MIX_DB) * powers.sum(axis=0)
    found = []
    for second in range(len(powers)):
        for first in range(second):
            both = np.count_nonzero(sounds[first] & sounds[second])
            if not both or abs(pans[first] - pans[second]) > PAN_APART:
                continue
            a, b = powers[first], powers[second]
            close = matters[first] & matters[second] & (a <= _power(CLOSE_DB) * b) & (b <= _power(CLOSE_DB) * a)
            for low, high in zip(*_runs(np.count_nonzero(close, axis=0) >= SHARE * both), strict=True):
                here = close[:, low:high]
                seconds = here.any(axis=1)
                over_db = _power_db(float(a[:, low:high][here].sum()), float(b[:, low:high][here].sum()))
                spans = tuple((float(begin), float(end)) for begin, end in zip(*_runs(seconds), strict=True))
                share = np.count_nonzero(seconds) / both
                found.append(Masking(first, second, *_edges_hz(low, high), share, over_db, spans))
    return sorted(found, key=lambda one: (-one.share, one.first, one.second, one.low_hz))


def trim_by(levels: Levels, *, target_lufs: float, ceiling_dbfs: float) -> float:
    """Return the gain [dB] that brings a signal to ``target_lufs``, or as near as its peak under ``ceiling_dbfs`` lets.

    Raises DspError for silence: no gain brings it anywhere.
    """
    if not math.isfinite(levels.loudness_lufs):
        raise DspError("a signal below the loudness gate cannot be brought to a level")
    return min(target_lufs - levels.loudness_lufs, ceiling_dbfs - levels.peak_dbfs)


def equal_loudness(loudness_lufs: Sequence[float], trims_db: Sequence[float], room_db: Sequence[float]) -> list[float]:
    """Return the gain of each signal [dB] that makes all equally loud, with the sum of their powers as it is now.

    ``loudness_lufs`` are before the ``trims_db``, which the gains make up for. No gain exceeds its ``room_db``: where
    one would, all come out lower together. Raises ShapeError when the three differ in length.
    """
    if not len(loudness_lufs) == len(trims_db) == len(room_db):
        raise ShapeError(f"{len(loudness_lufs)} signals need as many trims and rooms")
    if not loudness_lufs:
        return []
    trimmed = [one + trim for one, trim in zip(loudness_lufs, trims_db, strict=True)]
    mean = sum(_power(one) for one in loudness_lufs) / len(loudness_lufs)
    level = min(_power_db(mean, 1.0), *(one + room for one, room in zip(trimmed, room_db, strict=True)))
    return [level - one for one in trimmed]


def _squared(spectrum: NDArray[np.complex128]) -> Floats:
    """Return |X|² without the root that ``abs`` takes."""
    squared: Floats = spectrum.real**2 + spectrum.imag**2
    return squared


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of true begin, and where they end (one past)."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=np.int8(0), append=np.int8(0)))
    return edges[::2], edges[1::2]


def _edges_hz(low: int, high: int) -> tuple[float, float]:
    """Return the outer edges of the bands ``low`` to ``high`` (one past)."""
    return float(10.0 ** ((FIRST_BAND + low) / 10.0 - 0.05)), float(10.0 ** ((FIRST_BAND + high - 1) / 10.0 + 0.05))


def _power(level_db: float) -> float:
    return float(10.0 ** (level_db / 10.0))


def _power_db(power: float, reference: float) -> float:
    return 10.0 * math.log10(power / reference) if power > 0.0 else -math.inf
