"""True-peak limiter, and the second pass that makes its ceiling exact.

The signal between the samples is read by a Kaiser-windowed sinc (J. O. Smith and P. Gossett, "A flexible sampling-rate
conversion method", ICASSP 1984): live at 8 times the rate with 192 taps, within 0.1 dB to 0.44 of the rate; in the
second pass with 512 taps a phase, 8 times the rate and a parabola through the highest three, within 0.001 dB to 0.49 of
the rate. (ITU-R BS.1770-5 Annex 2 asks for 4 times and 48 taps.) The gain which that needs is held by a sliding minimum
for as long as the interpolator sees a peak, released by a one-pole in dB, and smoothed by two running means, which
together last as long as the look-ahead: so it has arrived when the peak comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import one_pole
from dsp.errors import DspError
from dsp.kernels.compiled import library
from dsp.processor import Block, Glide, Settings, number
from dsp.sidechain import CHUNK_FRAMES, check_channels, lookahead_frames

__all__ = ["Limiter", "RunningLimiter", "limit_exactly"]

_PHASES, _TAPS, _BETA = 8, 24, 4.5
_DB_PER_OCTAVE = 20.0 * math.log10(2.0)

TILE_FRAMES = 16
"""Room that ``dsp.kernels.limiter`` wants behind what it is to work on."""

_ROOM_FRAMES = CHUNK_FRAMES + 2 + TILE_FRAMES
"""For a chunk, and for a frame before and behind it, where the second pass looks too."""

_EXACT_TAPS, _EXACT_BETA = (128, 256, 1024), 8.0
_EXACT_EIGHTHS = range(-4, 12)
"""Where the second pass looks around a frame in which the short filter sees a peak."""

_WORTH_A_LOOK_DB = -2.0
"""Below this, against the ceiling, what the short filter sees is not looked at again."""

_FLAT_FRAMES = 64
"""How long around a peak the gain stands still, so that it does not make the peak another one."""

_EXACT_LOOKAHEAD_MS = 1.5
_EXACT_RELEASE_MS = 20.0


@dataclass(frozen=True)
class Limiter(Settings):
    """Keeps true peaks under ``ceiling_dbtp``; both channels get one gain.

    Its latency is ``lookahead_ms``, over which the gain goes down, and 22 frames for the interpolator. Afterwards the
    gain in dB comes back by 63 % in ``release_ms``.
    """

    kind: ClassVar[str] = "limiter"

    ceiling_dbtp: float = number(-1.0, -60.0, 12.0, "dBTP")
    lookahead_ms: float = number(1.5, 0.1, 20.0, "ms")
    release_ms: float = number(80.0, 0.0, 5000.0, "ms", scale="log")

    def start(self, rate_hz: float, channels: int) -> RunningLimiter:
        """Return the running limiter."""
        return RunningLimiter(self, rate_hz, channels)


def interpolator(late: NDArray[np.float64], taps: int, beta: float) -> NDArray[np.float32]:
    """Return the taps (len(late), taps) of windowed sincs that read ``late`` frames after the middle."""
    offset = np.arange(taps) - (taps // 2 - 1) - late[:, None]
    inside = np.clip(1.0 - (offset / (taps / 2)) ** 2, 0.0, 1.0)
    window = np.i0(beta * np.sqrt(inside)) / np.i0(beta)
    return np.ascontiguousarray(np.sinc(offset) * window, dtype=np.float32)


def true_peak_taps() -> NDArray[np.float32]:
    """Return the taps that read a signal at 8 times its rate, within 0.1 dB to 0.44 of the rate.

    They are 24, and the way ``dsp.kernels.limiter.peaks`` takes them: (12, 7).
    """
    taps = interpolator(np.arange(1, _PHASES // 2 + 1) / _PHASES, _TAPS, _BETA).T
    near, far = taps[: _TAPS // 2], taps[: _TAPS // 2 - 1 : -1]
    parts = np.stack([0.5 * (near + far), 0.5 * (near - far)], axis=2)
    return np.ascontiguousarray(parts.reshape(_TAPS // 2, _PHASES)[:, :-1])


class RunningLimiter:
    """A running ``Limiter``; ``exact`` makes it the second pass, which is later."""

    def __init__(self, settings: Limiter, rate_hz: float, channels: int, *, exact: bool = False) -> None:
        check_channels(channels)
        self.settings = settings
        self._rate_hz = rate_hz
        self._channels = channels
        self._exact = exact
        self._lookahead = max(2, lookahead_frames(settings, rate_hz))
        self._seen = max(_EXACT_TAPS) if exact else _TAPS
        self._flat = _FLAT_FRAMES if exact else _TAPS
        self._way = Glide(self._row(settings))
        # Both means together last one frame less than the sum of their lengths.
        self._long = (self._lookahead + 2) // 2
        self._short = self._lookahead + 1 - self._long
        self._window = self._lookahead + self._flat - 1
        self._kept = max(self._seen - 1, self.latency_frames)
        self._past = np.zeros((self._kept + _ROOM_FRAMES, channels), dtype=np.float32)
        self._tops = np.zeros(channels * _ROOM_FRAMES, dtype=np.float32)
        self._needs = np.zeros((3, self._window - 1 + _ROOM_FRAMES), dtype=np.float32)
        self._sharp = np.zeros(self._long + _ROOM_FRAMES, dtype=np.float32)
        self._once = np.zeros(self._short + _ROOM_FRAMES)
        self._state = np.zeros(4)
        self._quiet = np.zeros(1, dtype=np.int64)
        lines, gains = np.zeros((2, _ROOM_FRAMES), dtype=np.float32), np.zeros((2, _ROOM_FRAMES))
        taps = true_peak_taps()
        kernels = library("limiter")
        self._limit = kernels.limit.bind(
            *(None, int(not exact), self._past, self._kept, self.latency_frames, taps, self._tops, None, None),
            *(self._window, self._long, self._short),
            *(lines, self._needs, self._sharp, self._once, gains, self._state, self._quiet),
        )
        if exact:
            self._coarse = np.zeros(channels * _ROOM_FRAMES, dtype=np.float32)
            self._peaks = kernels.peaks.bind(self._past, None, None, taps, self._coarse)
            self._peaks_near = kernels.peaks_near
            eighths = np.array(_EXACT_EIGHTHS) / 8.0
            self._work = np.zeros(len(eighths), dtype=np.float32)
            self._exact_taps = [np.ascontiguousarray(interpolator(eighths, t, _EXACT_BETA).T) for t in _EXACT_TAPS]
        self.reset()

    def _row(self, settings: Limiter) -> NDArray[np.float64]:
        return np.array([settings.ceiling_dbtp / _DB_PER_OCTAVE, 1.0 - one_pole(settings.release_ms, self._rate_hz)])

    @property
    def latency_frames(self) -> int:
        """The look-ahead and what the interpolator sees of the future [frames].

        A peak seen at frame p lies in the middle of the ``seen`` frames that end there. From p + look-ahead − 1 on, for
        ``flat`` frames, the gain is low enough: these are to be the ones around the peak.
        """
        return self._lookahead + (self._seen + self._flat) // 2 - 2

    @property
    def tail_frames(self) -> int:
        """Nothing comes after the last sound."""
        return 0

    @property
    def reduction_db(self) -> float:
        """Current gain reduction [dB], 0 or below."""
        return min(0.0, 20.0 * math.log10(max(self._state[3], 1e-30)))

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place. It hears itself; there is no ``key``."""
        for start in range(0, len(block), CHUNK_FRAMES):
            part = block[start : start + CHUNK_FRAMES]
            knots, first = self._way.knots(len(part))
            if self._exact:
                self._look_closely(part)
            self._limit(part, knots, first)

    def _look_closely(self, part: Block) -> None:
        """Write the peaks of the next frames that matter into ``tops``, 0 for all others."""
        n, past = len(part), self._past
        past[self._kept : self._kept + n] = part
        above = 10.0 ** ((self.settings.ceiling_dbtp + _WORTH_A_LOOK_DB) / 20.0)
        begin = self._kept - self._seen + 1
        # The short filter looks at the middle of what the long one sees, from the frame before on.
        self._peaks(begin + (self._seen - _TAPS) // 2 - 1, n + 2)
        self._tops[:n] = 0.0
        for taps in self._exact_taps:
            start = begin + (self._seen - len(taps)) // 2
            self._peaks_near(past.ravel(), self._channels, start, n, self._coarse, above, taps, self._work, self._tops)

    def change(self, settings: Limiter, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames. Raises DspError for another look-ahead."""
        if max(2, lookahead_frames(settings, self._rate_hz)) != self._lookahead:
            raise DspError(
                "the look-ahead of a running limiter cannot change",
                hint="its latency would change with it: start another",
            )
        self.settings = settings
        self._way.to(self._row(settings), frames)

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._way = Glide(self._way.target)
        self._past[:] = 0.0
        self._needs[:] = 0.0
        self._sharp[:] = 1.0
        self._once[:] = self._long
        self._state[:] = 0.0, self._long, self._long * self._short, 1.0
        self._quiet[:] = self._window


def limit_exactly(blocks: Iterable[Block], *, ceiling_dbtp: float, rate_hz: float, channels: int) -> Iterator[Block]:
    """Yield ``blocks`` of (n, channels) again, true peaks at ``ceiling_dbtp``: the second pass behind a limiter.

    Measures as exactly as it can and lowers the gain where that still exceeds; meant for what exceeds by a dB or so.
    Yields as many frames as it was given, none later than it was, in blocks of other lengths. The blocks are used up.
    Raises DspError for a ceiling outside of −60..+12 dBTP.
    """
    settings = Limiter(ceiling_dbtp, _EXACT_LOOKAHEAD_MS, _EXACT_RELEASE_MS)
    stage = RunningLimiter(settings, rate_hz, channels, exact=True)
    skip = late = stage.latency_frames

    def through(block: Block) -> Block:
        nonlocal skip
        stage.process(block)
        out = block[skip:]
        skip -= len(block) - len(out)
        return out

    for block in blocks:
        yield through(block)
    yield through(np.zeros((late, channels), dtype=np.float32))
