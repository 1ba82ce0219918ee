"""Quantisation to whole numbers with triangular dither, its error flat or shaped.

Non-subtractive dither of triangular density, two steps wide, makes the quantisation error's mean and power independent
of the signal: S. P. Lipshitz, R. A. Wannamaker and J. Vanderkooy, "Quantization and Dither: A Theoretical Survey",
J. Audio Eng. Soc. 40 (5), 1992. The total error then has a power of ¼ step² (1/12 rounding + 1/6 dither) and is white.

Fed back through taps c₁ … c_T, the total error of earlier samples leaves the file's noise with the spectrum of that
white error times ``|1 − Σ c_k z⁻ᵏ|²`` and the power ``¼ (1 + Σ c_k²)`` step²: S. P. Lipshitz, J. Vanderkooy and
R. A. Wannamaker, "Minimally Audible Noise Shaping", J. Audio Eng. Soc. 39 (11), 1991. The dithered error never exceeds
1½ steps and no error is fed back that is not of the last T samples, so the loop is stable whatever comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError

if TYPE_CHECKING:
    from dsp.kernels.compiled.calls import Kernel

__all__ = ["FLAT", "Ditherer", "NoiseShape", "Shape", "noise_shape"]

Shape = Literal["flat", "shaped"]


@dataclass(frozen=True)
class NoiseShape:
    """How the error is spread over the spectrum: ``taps`` weigh the last errors, the newest first; none: flat."""

    name: str
    taps: tuple[float, ...] = ()


FLAT = NoiseShape("flat")

_FIVE_TAPS = NoiseShape("shaped (Lipshitz, five taps)", (2.033, -2.165, 1.959, -1.590, 0.6149))
"""The paper's five taps for 44.1 kHz, after an improved E-weighting. At 48 kHz the same curve lies 9 % higher."""

_FIRST_ORDER = NoiseShape("shaped (first order)", (1.0,))
"""1 − z⁻¹, the simplest shape: less noise than flat below a sixth of the rate, at 88.2 kHz below 14.7 kHz."""

_SHAPES: tuple[tuple[float, float, NoiseShape], ...] = (
    (44_000.0, 48_100.0, _FIVE_TAPS),  # pulled up and down by 0.1 %, too
    (88_000.0, np.inf, _FIRST_ORDER),
)


def noise_shape(shape: Shape, rate_hz: float) -> NoiseShape:
    """Return the noise shape for a rate [Hz].

    "shaped" is the five taps of Lipshitz, Vanderkooy and Wannamaker 1991 at 44.1 and 48 kHz and a first-order shape
    from 88.2 kHz on. At any other rate the ear hears up to where a shape puts its noise, and flat is what comes back.

    Raises
    ------
    DspError
        There is no such shape.
    """
    if shape == "flat":
        return FLAT
    if shape != "shaped":
        raise DspError(f"noise shape {shape!r} is not known", hint='use "flat" or "shaped"')
    return next((found for low, high, found in _SHAPES if low <= rate_hz <= high), FLAT)


class Ditherer:
    """Turns blocks of full scale 1.0 into integers of ``bits``, as a stream.

    The dither depends on ``seed`` and the sample's place in the stream alone, so block size changes nothing. Samples
    beyond full scale are held at the highest or lowest number and counted in ``clipped``, for the caller to report;
    what they lose is not fed back.
    """

    def __init__(self, bits: Literal[16, 24], *, channels: int, seed: int = 0, shape: NoiseShape = FLAT) -> None:
        if bits not in (16, 24):
            raise DspError(f"dither to {bits} bits is not known", hint="use 16 or 24")
        self.bits = bits
        self.channels = channels
        self.shape = shape
        self.clipped = 0
        self._source = np.random.PCG64(seed)
        self._taps = np.array(shape.taps, dtype=np.float64)
        self._past = np.zeros((channels, len(shape.taps)))
        self._run_shaped: Kernel | None = None
        if shape.taps:
            from dsp.kernels.compiled import library

            self._run_shaped = library("dither").run_shaped

    def process(self, block: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.int32]:
        """Return ``block`` (n, channels) as (n, channels) int32 within ±2**(bits − 1), ready for packing.

        Raises ShapeError for another shape and DspError for NaN or infinity.
        """
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ShapeError(f"the dither takes (frames, {self.channels}), not {block.shape}")
        if not np.all(np.isfinite(block)):
            raise DspError("the signal holds NaN or infinity and cannot be written as whole numbers")
        # Two independent uniform numbers from one draw; the bit generator's raw stream never changes between versions.
        raw = np.asarray(self._source.random_raw(block.size), dtype=np.uint64).reshape(block.shape)
        triangular = (raw >> np.uint64(32)).astype(np.float64)
        triangular -= (raw & np.uint64(0xFFFFFFFF)).astype(np.float64)
        triangular *= 2.0**-32
        full = 1 << (self.bits - 1)
        steps = np.ascontiguousarray(block, dtype=np.float64) * full
        if self._run_shaped is not None:
            self._run_shaped(steps, triangular, self._taps, self._past)
        else:
            steps = np.floor(steps + triangular + 0.5)
        self.clipped += int(np.count_nonzero((steps > full - 1) | (steps < -full)))
        return np.clip(steps, -full, full - 1).astype(np.int32)
