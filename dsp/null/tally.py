"""What is counted while a null test runs through the programme: powers, spectra, and levels over time.

All but the levels over time has a size of its own, whatever the length. Those take 40 bytes for 256 frames of two
channels: 54 MB for an hour at 96 kHz. Their place is reserved at the beginning, so that they are never held twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dsp.null.bands import EMPTY_BAND, LONGEST_FFT, NOMINAL_HZ, Profile, third_octave_sums

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

HOP_FRAMES = 256
BLOCK_S = 0.5
PROGRAMME, PLAIN, BEST = range(3)
OCTAVES_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)  # ISO 266


@dataclass(frozen=True, eq=False)
class Hops:
    """Runs of 256 frames: sums of squares per channel, (channels, runs) each, to a part in ten million."""

    first: NDArray[np.int64]
    """(runs,): frame of the recording at which each begins."""
    heard: Singles
    model: Singles
    left: Singles
    shared: Singles
    """Sum of model times recording."""

    @classmethod
    def room(cls, channels: int, runs: int) -> Hops:
        """Return runs still to be filled."""
        return cls(np.empty(runs, np.int64), *np.empty((4, channels, runs), np.float32))

    def __getitem__(self, runs: slice) -> Hops:
        """Return some of the runs; they share their memory with these."""
        return Hops(self.first[runs], *(x[:, runs] for x in (self.heard, self.model, self.left, self.shared)))

    def put(self, at: int, hops: Hops) -> int:
        """Fill in runs from number ``at`` on; return the number behind the last."""
        stop = at + hops.first.size
        self.first[at:stop] = hops.first
        for name in ("heard", "model", "left", "shared"):
            getattr(self, name)[:, at:stop] = getattr(hops, name)
        return stop


@dataclass(frozen=True, eq=False)
class Part:
    """What one block contributes."""

    sums: Floats
    """(1 + models,): squares of the recording, and of what each model leaves, over all channels."""
    early: Floats
    """(readings, 2, channels): per early reading its own squares and what it shares with the recording."""
    heard: Floats
    """(channels,): squares of the recording."""
    hops: Hops
    slots: dict[int, tuple[float, float]]
    """Number of the 0.5 s slot to squares of (what the plain model leaves, recording)."""
    spectra: Floats
    """(3, channels, bins): of the programme, and of what the plain and the best model leave."""
    windows: list[tuple[float, Floats]]
    """(middle frame, (2, octaves) squares of the best model and what it shares with the recording)."""
    count: int


@dataclass
class Tally:
    """The sums of all blocks."""

    rate_hz: int
    first: int
    """Frame of the recording at which counting begins."""
    stop: int
    """Frame at which it ends."""
    fft_frames: int
    parts: list[Part] = field(default_factory=list)
    """Without their hops and spectra, which are kept here."""
    spectra: Floats = field(default_factory=lambda: np.zeros((3, 1, 1)))
    count: int = 0
    _hops: Hops = field(default_factory=lambda: Hops.room(0, 0))
    _runs: int = 0

    def part(self, start: int, heard: Floats, models: Sequence[Floats], early: Sequence[Floats]) -> Part:
        """Return what a block contributes; keeps no state, so that blocks can be done side by side."""
        lefts = [heard - model for model in models]
        sums = np.array([np.vdot(heard, heard), *(np.vdot(left, left) for left in lefts)])
        per = [[np.einsum("cn,cn->c", y, y), np.einsum("cn,cn->c", y, heard)] for y in early]
        spectra, windows, count = self._spectra(start, heard, models[-1], lefts)
        return Part(
            sums,
            np.array(per).reshape(len(early), 2, heard.shape[0]),
            np.einsum("cn,cn->c", heard, heard),
            _hops(start, heard, models[-1], lefts[-1]),
            self._slots(start, heard, lefts[0]),
            spectra,
            windows,
            count,
        )

    def add(self, part: Part) -> None:
        """Add a block's contribution; blocks come in order."""
        self.spectra = part.spectra if not self.count else self.spectra + part.spectra
        self.count += part.count
        if not self.parts:
            self._hops = Hops.room(part.heard.size, (self.stop - self.first) // HOP_FRAMES)
        self._runs = self._hops.put(self._runs, part.hops)
        self.parts.append(replace(part, hops=Hops.room(0, 0), spectra=np.zeros(0)))

    def _spectra(
        self, start: int, heard: Floats, best: Floats, lefts: Sequence[Floats]
    ) -> tuple[Floats, list[tuple[float, Floats]], int]:
        frames = self.fft_frames
        window = np.hanning(frames)
        out = np.zeros((3, heard.shape[0], frames // 2 + 1))
        bands = _octaves(frames, self.rate_hz)
        windows: list[tuple[float, Floats]] = []
        starts = range(0, heard.shape[1] - frames + 1, frames // 2)
        for low in starts:
            cut = slice(low, low + frames)
            programme, plain, model = (np.fft.rfft(x[:, cut] * window, axis=1) for x in (heard, lefts[0], best))
            last = plain if len(lefts) == 1 else programme - model
            for n, x in enumerate((programme, plain, last)):
                out[n] += x.real**2 + x.imag**2
            squares = (model.real**2 + model.imag**2).sum(axis=0)
            shared = (model.real * programme.real + model.imag * programme.imag).sum(axis=0)
            pair = np.array([[x[a:b].sum() for a, b in bands] for x in (squares, shared)])
            windows.append((start + low + 0.5 * frames, pair))
        # Parseval: a one-sided spectrum counts twice what lies between DC and Nyquist.
        out[:, :, 1:-1] *= 2.0
        return out / (frames * float(np.sum(window**2))), windows, len(starts)

    def _slots(self, start: int, heard: Floats, left: Floats) -> dict[int, tuple[float, float]]:
        frames = max(1, round(BLOCK_S * self.rate_hz))
        slots: dict[int, tuple[float, float]] = {}
        at = start
        while at < start + heard.shape[1]:
            slot = (at - self.first) // frames
            stop = min(self.first + (slot + 1) * frames, start + heard.shape[1])
            cut = slice(at - start, stop - start)
            slots[slot] = (float(np.sum(left[:, cut] ** 2)), float(np.sum(heard[:, cut] ** 2)))
            at = stop
        return slots

    @property
    def sums(self) -> Floats:
        """Squares of the recording, and of what each model leaves."""
        total: Floats = np.sum([part.sums for part in self.parts], axis=0)
        return total

    def early_left(self) -> Floats:
        """Return the squares each early reading would leave with a gain per channel of its own."""
        early = np.sum([part.early for part in self.parts], axis=0)
        heard = np.sum([part.heard for part in self.parts], axis=0)
        power, shared = early[:, 0], early[:, 1]
        explained = np.where(power > 0.0, shared**2 / np.where(power > 0.0, power, 1.0), 0.0)
        left: Floats = np.maximum(heard - explained, 0.0).sum(axis=1)
        return left

    @property
    def hops(self) -> Hops:
        """All runs of 256 frames in order; nothing is copied."""
        return self._hops[: self._runs]

    def windows(self) -> tuple[Floats, Floats]:
        """Return (middle frames, (windows, 2, octaves))."""
        every = [window for part in self.parts for window in part.windows]
        if not every:
            return np.zeros(0), np.zeros((0, 2, len(OCTAVES_HZ)))
        return np.array([middle for middle, _ in every]), np.stack([pair for _, pair in every])

    def over_time(self) -> Profile:
        """Return (start of the slot [s], depth before the match [dB]); None where there is nothing to tell."""
        slots: dict[int, tuple[float, float]] = {}
        for part in self.parts:
            for slot, (left, heard) in part.slots.items():
                before = slots.get(slot, (0.0, 0.0))
                slots[slot] = (before[0] + left, before[1] + heard)
        frames = max(1, round(BLOCK_S * self.rate_hz))
        return tuple(((self.first + slot * frames) / self.rate_hz, _decibels(*slots[slot])) for slot in sorted(slots))

    def depths(self, which: int) -> Profile:
        """Return (nominal centre [Hz], depth [dB]) per third octave of what the plain or the best model leaves."""
        heard = self._third_octaves(PROGRAMME).sum(axis=0)
        left = self._third_octaves(which).sum(axis=0)
        floor = EMPTY_BAND * float(heard.sum())
        return tuple(
            (hz, _decibels(over, under) if under > floor else None)
            for hz, over, under in zip(NOMINAL_HZ, left.tolist(), heard.tolist(), strict=True)
        )

    def levels(self, which: int) -> Profile:
        """Return (nominal centre [Hz], level [dBFS, AES17]) per third octave, the loudest channel's."""
        loudest = self._third_octaves(which).max(axis=0)
        return tuple(
            (hz, 10.0 * float(np.log10(2.0 * power)) if power > 0.0 else None)
            for hz, power in zip(NOMINAL_HZ, loudest.tolist(), strict=True)
        )

    def _third_octaves(self, which: int) -> Floats:
        """Return the mean square in every third octave, (channels, 31)."""
        power = self.spectra[which] / max(1, self.count)
        if power.shape[-1] != self.fft_frames // 2 + 1:
            return np.zeros((1, len(NOMINAL_HZ)))
        return third_octave_sums(power, rate_hz=self.rate_hz)


def fft_frames(longest: int) -> int:
    """Return the window length for spectra of stretches of at most ``longest`` frames."""
    return max(2, min(LONGEST_FFT, 1 << (max(2, longest).bit_length() - 1)))


def _octaves(frames: int, rate_hz: int) -> list[tuple[int, int]]:
    """Return (first, one past last) bin of every octave."""
    half = 10.0**0.15
    return [
        (int(np.ceil(hz / half * frames / rate_hz)), int(np.ceil(hz * half * frames / rate_hz))) for hz in OCTAVES_HZ
    ]


def _hops(start: int, heard: Floats, model: Floats, left: Floats) -> Hops:
    runs = heard.shape[1] // HOP_FRAMES
    pairs = ((heard, heard), (model, model), (left, left), (model, heard))
    shaped = [
        np.einsum(
            "crf,crf->cr",
            x[:, : runs * HOP_FRAMES].reshape(x.shape[0], runs, HOP_FRAMES),
            y[:, : runs * HOP_FRAMES].reshape(y.shape[0], runs, HOP_FRAMES),
        )
        for x, y in pairs
    ]
    return Hops(start + HOP_FRAMES * np.arange(runs), *(x.astype(np.float32) for x in shaped))


def _decibels(over: float, under: float) -> float | None:
    return 10.0 * float(np.log10(over / under)) if over > 0.0 and under > 0.0 else None
