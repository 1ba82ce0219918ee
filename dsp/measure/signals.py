"""What is played to learn of distortion: sines and pairs of sines, with fades that keep the ears in the room safe.

Levels are AES17 dBFS of the *peak*: a signal of ``level_dbfs`` peaks where a sine of that level does, so that one level
means the same headroom for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError

Floats = NDArray[np.float64]

THD_HZ = 997.0
"""AES17: prime, so that it divides no sample rate and visits every code of a converter."""
SMPTE_HZ = (60.0, 7000.0)
SMPTE_SHARES = (0.8, 0.2)
"""SMPTE RP 120 and IEC 60268-3: amplitudes 4:1."""
CCIF_HZ = (19_000.0, 20_000.0)
CCIF_SHARES = (0.5, 0.5)
"""CCIF, IEC 60268-3 difference-frequency distortion: equal amplitudes."""


def sine(freq_hz: float, *, level_dbfs: float, frames: int, rate_hz: int, fade_frames: int = 0) -> Floats:
    """Return a sine that begins at zero phase, (frames,), full scale 1.0.

    ``freq_hz`` lies above 0 and below half of ``rate_hz``; ``level_dbfs`` is AES17 and at most 0. The first and last
    ``fade_frames`` are raised-cosine fades; leave them out of what is measured.

    Raises
    ------
    DspError
        A frequency, level or length that cannot be played.
    """
    return _tones((freq_hz,), (1.0,), level_dbfs, frames, rate_hz, fade_frames)


def smpte(*, level_dbfs: float, frames: int, rate_hz: int, fade_frames: int = 0) -> Floats:
    """Return 60 Hz and 7 kHz at 4:1 (SMPTE RP 120, IEC 60268-3), (frames,), full scale 1.0.

    ``level_dbfs`` is the AES17 level of a sine with the same peak: at −1 dBFS the 60 Hz has −2.94 and the 7 kHz −14.98.
    Fades and errors are those of `sine`.
    """
    return _tones(SMPTE_HZ, SMPTE_SHARES, level_dbfs, frames, rate_hz, fade_frames)


def ccif(*, level_dbfs: float, frames: int, rate_hz: int, fade_frames: int = 0) -> Floats:
    """Return 19 and 20 kHz of equal amplitude (CCIF, IEC 60268-3), (frames,), full scale 1.0.

    ``level_dbfs`` is the AES17 level of a sine with the same peak: at −1 dBFS each tone has −7.02. Fades and errors are
    those of `sine`.
    """
    return _tones(CCIF_HZ, CCIF_SHARES, level_dbfs, frames, rate_hz, fade_frames)


def _tones(
    hz: Sequence[float], shares: Sequence[float], level_dbfs: float, frames: int, rate_hz: int, fade_frames: int
) -> Floats:
    for freq in hz:
        if not 0.0 < freq < rate_hz / 2:
            raise DspError(
                f"A tone of {freq:g} Hz cannot be played at {rate_hz} Hz.", hint="Stay below half the sample rate."
            )
    if not level_dbfs <= 0.0:
        raise DspError(f"A test tone of {level_dbfs:g} dBFS would clip.", hint="Give a level of 0 dBFS or less.")
    if frames < 1 or not 0 <= 2 * fade_frames <= frames:
        raise DspError(
            f"Fades of {fade_frames} frames do not fit into a tone of {frames} frames.",
            hint="Give at least one frame and twice the fade.",
        )
    t = np.arange(frames, dtype=np.float64)
    peak = 10.0 ** (level_dbfs / 20.0)
    out = np.zeros(frames)
    for freq, share in zip(hz, shares, strict=True):
        out += peak * share * np.sin(2.0 * math.pi * (freq / rate_hz) * t)
    if fade_frames:
        ramp = 0.5 - 0.5 * np.cos(math.pi * (np.arange(fade_frames) + 0.5) / fade_frames)
        out[:fade_frames] *= ramp
        out[-fade_frames:] *= ramp[::-1]
    return out
