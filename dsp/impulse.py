"""An impulse response that a convolution uses: samples, what they were taken at, and a name."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.resample import resample

__all__ = ["Response"]

LONGEST_S = 60.0


class Response:
    """An impulse response, (n,) or (n, 1, 2 or 4), full scale 1.0, at ``rate_hz``.

    One channel is used for every side, two are left and right, four are a true stereo response: left to left, left to
    right, right to left, right to right. Two responses are equal when samples and rate are.

    Raises
    ------
    ShapeError
        Another number of channels, or none of samples.
    DspError
        A sample that is not a finite number, a rate that is not positive, more than 60 s.
    """

    def __init__(self, samples: NDArray[np.floating], rate_hz: float, name: str = "") -> None:
        rows = np.asarray(samples, dtype=np.float32)
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.shape[1] not in (1, 2, 4) or len(rows) == 0:
            raise ShapeError(
                f"impulse response {name!r} has the shape {np.shape(samples)}",
                hint="it takes (frames, channels) with 1, 2 or 4 channels",
            )
        if not (math.isfinite(rate_hz) and rate_hz > 0.0):
            raise DspError(f"impulse response {name!r}: sample rate {rate_hz} Hz is not a positive number")
        if len(rows) > LONGEST_S * rate_hz:
            raise DspError(
                f"impulse response {name!r} lasts {len(rows) / rate_hz:.1f} s", hint=f"cut it to {LONGEST_S:g} s"
            )
        if not np.all(np.isfinite(rows)):
            raise DspError(f"impulse response {name!r} holds samples that are not finite numbers")
        self.samples: NDArray[np.float32] = np.ascontiguousarray(rows)
        self.samples.flags.writeable = False
        self.rate_hz = float(rate_hz)
        self.name = name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of rate, shape and samples."""
        head = f"{self.rate_hz} {self.samples.shape} ".encode()
        return hashlib.sha256(head + self.samples.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Response) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        frames, channels = self.samples.shape
        return f"Response({self.name!r}, {channels} ch, {frames / self.rate_hz:.3f} s)"

    def at(self, rate_hz: float) -> NDArray[np.float64]:
        """Return the samples (n, channels) at another rate; what a steady tone gains stays the same."""
        if rate_hz == self.rate_hz:
            return self.samples.astype(np.float64)
        scaled: NDArray[np.float64] = resample(self.samples, self.rate_hz, rate_out_hz=rate_hz).astype(np.float64)
        return scaled * (self.rate_hz / rate_hz)
