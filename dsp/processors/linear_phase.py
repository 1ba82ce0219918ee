"""The linear-phase equaliser: the analog magnitudes of its bands without their phase, for a known latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.filters import Band, analog_power
from dsp.processor import Block, Settings, choice, several

__all__ = ["LinearPhase", "RunningLinearPhase", "fir"]

_TAPS = {"short": 4096, "medium": 8192, "long": 16_384}
"""Taps at 44.1 and 48 kHz; twice as many at twice the rate."""

_PARTS = 8
"""Equal parts a filter is cut into: latency is an eighth of the filter more than its half."""


@dataclass(frozen=True)
class LinearPhase(Settings):
    """Bands as one symmetrical filter. Without any that does something, every bit passes, late.

    ``quality``: how long the filter is, and with that how low and narrow a band it follows. To 0.05 dB of the analog
    curve from 20 Hz to 20 kHz, wherever that is above −60 dB, it follows bells to ±12 dB of Q 0.5 and more whose width
    (frequency / Q) is at least 60, 30 or 15 Hz. Latency is 53, 107 or 213 ms at 48 kHz and does not change while it
    runs. A notch is as deep as the length allows; an all-pass does nothing.
    """

    kind: ClassVar[str] = "linear_phase"

    bands: tuple[Band, ...] = several(Band)
    quality: str = choice("medium", *_TAPS)

    def start(self, rate_hz: float, channels: int) -> RunningLinearPhase:
        """Return it running at any rate from 8 kHz on."""
        return RunningLinearPhase(self, rate_hz, channels)


def fir(bands: tuple[Band, ...], taps: int, rate_hz: float) -> NDArray[np.float64]:
    """Return the filter (taps,), even in number, symmetrical about tap taps/2; tap 0 has no counterpart and is 0.

    The zero-phase impulse response of the analog magnitudes, as the inverse FFT of four times as many points gives it.
    """
    freqs = np.fft.rfftfreq(4 * taps, 1.0 / rate_hz)
    power = np.ones(len(freqs))
    for band in bands:
        power *= analog_power(band, freqs)
    response = np.fft.irfft(np.sqrt(power))
    made = np.concatenate([response[-taps // 2 :], response[: taps // 2]])
    made[0] = 0.0
    return made


class RunningLinearPhase:
    """Convolution in equal parts (overlap-save), cut at absolute frame numbers.

    A change is a cross-fade between two filters. It begins with the next part, and a change in the middle of another
    goes on from the mixture that is heard.
    """

    def __init__(self, settings: LinearPhase, rate_hz: float, channels: int) -> None:
        if not rate_hz >= 8000.0:
            raise DspError(f"sample rate {rate_hz} Hz is below 8000 Hz or not a number")
        self._settings, self._rate_hz = settings, rate_hz
        self._taps = _TAPS[settings.quality] << max(0, round(float(np.log2(rate_hz / 48_000.0))))
        self._part = self._taps // _PARTS
        self._filter = self._designed(settings)
        self._next: NDArray[np.complex128] | None = None
        self._flat, self._next_flat = self._is_flat(settings), False
        self._pending: tuple[LinearPhase, int] | None = None
        self._faded = self._fade_frames = 0
        self._heard = np.zeros((channels, self._taps // 2 + 2 * self._part))
        self._out = np.zeros((channels, self._part))
        self._spectra = np.zeros((_PARTS, channels, self._part + 1), dtype=np.complex128)
        self._scratch = np.zeros_like(self._spectra)
        self._newest = self._fill = 0

    @property
    def latency_frames(self) -> int:
        """Half the filter, and one part that has to be complete before it can be worked on."""
        return self._taps // 2 + self._part

    @property
    def tail_frames(self) -> int:
        """The other half of the filter."""
        return self._taps // 2 - 1

    def process(self, block: Block, key: Block | None = None) -> None:
        """Filter the block."""
        start = 0
        while start < len(block):
            n = min(len(block) - start, self._part - self._fill)
            here = slice(self._fill, self._fill + n)
            arriving = self._heard[:, self._heard.shape[1] - self._part :]
            arriving[:, here] = block[start : start + n].T
            block[start : start + n] = self._out[:, here].T
            self._fill += n
            start += n
            if self._fill == self._part:
                self._work()
                self._fill = 0

    def change(self, settings: LinearPhase, frames: int) -> None:
        """Go to other bands. Raises DspError for another quality, which is another latency."""
        if settings.quality != self._settings.quality:
            raise DspError(
                "the quality of a linear-phase equaliser is its latency and cannot change while it runs",
                hint="stop, set it, and start again",
            )
        self._pending = settings, max(1, frames)

    def reset(self) -> None:
        """Empty the filter, and stand where the settings were going."""
        if self._pending is not None:
            self._settings, self._pending = self._pending[0], None
        self._filter, self._flat, self._next = self._designed(self._settings), self._is_flat(self._settings), None
        self._heard[:], self._out[:], self._spectra[:] = 0.0, 0.0, 0.0
        self._fill = 0

    @staticmethod
    def _is_flat(settings: LinearPhase) -> bool:
        return all(band.is_flat or band.kind == "all_pass" for band in settings.bands)

    def _designed(self, settings: LinearPhase) -> NDArray[np.complex128]:
        parts = fir(settings.bands, self._taps, self._rate_hz).reshape(_PARTS, self._part)
        spectra: NDArray[np.complex128] = np.fft.rfft(parts, 2 * self._part, axis=1)
        return spectra

    def _begin(self, settings: LinearPhase, frames: int) -> None:
        if self._next is not None:
            share = self._faded / self._fade_frames
            self._filter = self._filter + share * (self._next - self._filter)
            self._flat = self._flat and self._next_flat
        self._settings = settings
        self._next, self._next_flat = self._designed(settings), self._is_flat(settings)
        self._faded, self._fade_frames = 0, frames

    def _work(self) -> None:
        """Make the next part of the output of the part that has just become complete."""
        part = self._part
        if self._pending is not None:
            self._begin(*self._pending)
            self._pending = None
        self._newest = (self._newest + 1) % _PARTS
        self._spectra[self._newest] = np.fft.rfft(self._heard[:, -2 * part :], axis=1)
        late = self._heard.shape[1] - part - self._taps // 2
        self._out[:] = self._heard[:, late : late + part] if self._flat else self._convolved(self._filter)
        if self._next is not None:
            there = self._heard[:, late : late + part] if self._next_flat else self._convolved(self._next)
            share = np.minimum((self._faded + np.arange(part)) / self._fade_frames, 1.0)
            self._out += share * (there - self._out)
            self._faded += part
            if self._faded >= self._fade_frames:
                self._filter, self._flat, self._next = self._next, self._next_flat, None
        self._heard[:, :-part] = self._heard[:, part:].copy()

    def _convolved(self, filter_: NDArray[np.complex128]) -> NDArray[np.float64]:
        for k in range(_PARTS):
            np.multiply(self._spectra[(self._newest - k) % _PARTS], filter_[k], out=self._scratch[k])
        out: NDArray[np.float64] = np.fft.irfft(np.sum(self._scratch, axis=0), axis=1)[:, self._part :]
        return out
