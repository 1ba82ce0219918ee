"""Sample-rate conversion by libsoxr's very-high-quality recipe; linear phase, delay compensated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError

__all__ = ["Resampler", "resample"]


def _check(rate_in_hz: float, rate_out_hz: float) -> None:
    if not (rate_in_hz > 0.0 and rate_out_hz > 0.0):
        raise DspError(f"cannot resample from {rate_in_hz:g} to {rate_out_hz:g} Hz: a rate must be positive")


def resample(x: NDArray[np.float32], rate_in_hz: float, *, rate_out_hz: float) -> NDArray[np.float32]:
    """Return ``x`` (n, ch) float32 at the new rate, about n · out / in frames, still aligned with its first sample."""
    _check(rate_in_hz, rate_out_hz)
    if rate_in_hz == rate_out_hz:
        return x
    import soxr

    out: NDArray[np.float32] = soxr.resample(x, rate_in_hz, rate_out_hz, quality="VHQ")
    return out


class Resampler:
    """The same as a stream of (n, ``channels``) float32 blocks."""

    def __init__(self, rate_in_hz: float, rate_out_hz: float, *, channels: int) -> None:
        import soxr

        _check(rate_in_hz, rate_out_hz)
        self._channels = channels
        self._stream = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="VHQ")

    def process(self, block: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Return what is ready after ``block``, some way behind it; with ``last`` everything that is left."""
        if block.ndim != 2 or block.shape[1] != self._channels:
            raise ShapeError(f"the resampler takes (frames, {self._channels}), not {block.shape}")
        x = np.ascontiguousarray(block[:, 0] if self._channels == 1 else block, dtype=np.float32)
        out: NDArray[np.float32] = self._stream.resample_chunk(x, last=last)
        return out.reshape(-1, self._channels)
