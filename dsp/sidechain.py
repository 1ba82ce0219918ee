"""The side-chain of everything that turns a level into a gain: from a key to a gain, one number a frame.

Stages, in order, after D. Giannoulis, M. Massberg and J. D. Reiss, "Digital Dynamic Range Compressor Design: A Tutorial
and Analysis", J. Audio Eng. Soc. 60 (6), 2012:

1. Filter: Butterworth high-pass and low-pass of 12 dB per octave (trapezoidal state-variable filters).
2. Detector: the power x² of each channel, as it is (peak) or averaged by a one-pole (RMS), in dB. An RMS level is read
   as by AES17, 3.01 dB above the RMS of full scale, so that a sine has one level for both detectors.
3. Static curve: compression above the threshold with a quadratic knee (eq. 4), or downward expansion below it with
   hysteresis. A feedback detector hears the output, and solves the curve for the input that comes from; so a steady
   level ends on the same curve.
4. Stereo link: each channel's gain in dB moves towards that of the channel which asks for most.
5. Smoothing of the gain in dB: a branching one-pole with attack and release (eq. 16), and a hold before the release.
   With automatic release the time follows the crest factor C of the last 200 ms: release · 2 / C², after Giannoulis,
   Massberg and Reiss, "Parameter Automation in a Dynamic Range Compressor", J. Audio Eng. Soc. 61 (10), 2013. A steady
   tone (C² = 2) gets the whole release, transients get less. The attack stays by hand, and is not subtracted.
6. Make-up and mix: 1 + mix · (makeup · gain − 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsp.dynamics import one_pole
from dsp.errors import DspError
from dsp.kernels.compiled import library
from dsp.processor import Block, Glide, Settings

__all__ = [
    "CHUNK_FRAMES",
    "GainProcessor",
    "Mode",
    "SideChain",
    "butterworth",
    "check_channels",
    "hear",
    "lookahead_frames",
    "row",
]

CHUNK_FRAMES = 2048
"""Frames worked on at once, so that everything between two stages stays in the cache."""

CREST_MS = 200.0
"""Averaging of the crest factor (Giannoulis et al. 2013, section 2)."""

_NO_FLOOR_DB = -300.0
_HIGHEST_RATIO = 0.49

Mode = Literal["forward", "feedback", "gate"]
_MODES: dict[Mode, int] = {"forward": 0, "feedback": 1, "gate": 2}


def butterworth(freq_hz: float, rate_hz: float) -> tuple[float, float, float]:
    """Return u1, u2, u3 of a trapezoidal state-variable filter with the poles of a second-order Butterworth filter.

    v1 = u1·s1 + u2·(x − s2) is its band output, v2 = s2 + u2·s1 + u3·(x − s2) the low one, x − √2·v1 − v2 the high one;
    s1' = 2·v1 − s1, s2' = 2·v2 − s2 (A. Simper, "Linear Trapezoidal Integrated SVF", Cytomic 2013). No such step makes
    s1² + s2² larger by itself, so what lies between two filters is stable, too. Corners lie at 1 Hz to 0.49 of the
    rate.
    """
    g = math.tan(math.pi * min(max(freq_hz, 1.0) / rate_hz, _HIGHEST_RATIO))
    u1 = 1.0 / (1.0 + g * (g + math.sqrt(2.0)))
    return u1, g * u1, g * g * u1


def _section(kind: Literal["high", "low"], freq_hz: float, rate_hz: float) -> list[float]:
    """Return [d, c1, c2, p11, p12, p22, q2] of the state equations of a Butterworth pass; 0 Hz lets all through.

    y = d·x + c1·s1 + c2·s2, s1' = p11·s1 − p12·s2 + p12·x, s2' = p12·s1 + p22·s2 + q2·x.
    """
    if freq_hz == 0.0:
        return [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    k = math.sqrt(2.0)
    u1, u2, u3 = butterworth(freq_hz, rate_hz)
    out = [u1, -k * u1 - u2, k * u2 + u3 - 1.0] if kind == "high" else [u3, u2, 1.0 - u3]
    return [*out, 2.0 * u1 - 1.0, 2.0 * u2, 1.0 - 2.0 * u3, 2.0 * u3]


def row(
    rate_hz: float,
    *,
    threshold_db: float,
    slope: float,
    attack_ms: float,
    release_ms: float,
    knee_db: float = 0.0,
    deepest_db: float = _NO_FLOOR_DB,
    hysteresis_db: float = 0.0,
    hold_ms: float = 0.0,
    auto_release: bool = False,
    rms_ms: float = 0.0,
    makeup_db: float = 0.0,
    mix: float = 1.0,
    link: float = 1.0,
    hpf_hz: float = 0.0,
    lpf_hz: float = 0.0,
    fastest: float = 0.0,
) -> NDArray[np.float64]:
    """Return the settings of a side-chain as the numbers its compiled loop reads.

    ``slope``: dB of gain for a dB over the threshold (1/ratio − 1), in a gate for a dB below it (ratio − 1).
    ``deepest_db``: no gain goes below it. ``rms_ms`` 0 for a peak detector. ``mix`` and ``link`` 0..1. ``hpf_hz`` and
    ``lpf_hz`` 0 for none. ``fastest``: no pole of the smoothing lies below it.
    """
    release = max(one_pole(release_ms, rate_hz), fastest)
    return np.array(
        [
            threshold_db - (20.0 * math.log10(math.sqrt(2.0)) if rms_ms > 0.0 else 0.0),
            slope,
            knee_db,
            deepest_db,
            hysteresis_db,
            max(one_pole(attack_ms, rate_hz), fastest),
            release,
            round(hold_ms * rate_hz / 1000.0),
            float(auto_release),
            1000.0 / (max(release_ms, 0.001) * rate_hz),
            one_pole(CREST_MS, rate_hz),
            one_pole(rms_ms, rate_hz),
            10.0 ** (makeup_db / 20.0),
            mix,
            link,
            *_section("high", hpf_hz, rate_hz),
            *_section("low", lpf_hz, rate_hz),
        ]
    )


class SideChain:
    """A running side-chain of one or two channels; ``gains`` (2, CHUNK_FRAMES) holds what it writes."""

    def __init__(
        self, mode: Mode, first: NDArray[np.float64], channels: int, gains: NDArray[np.float64] | None = None
    ) -> None:
        self.mode: Mode = mode
        self.gains: NDArray[np.float64] = np.ones((2, CHUNK_FRAMES)) if gains is None else gains
        self._channels = channels
        self._way = Glide(first)
        self._states = np.zeros((2, 12))
        work = np.zeros((5, 64))
        self._follow = library("dynamics").follow.bind(
            None, channels, None, None, None, None, None, self._states, work, self.gains
        )
        self.reset()

    @property
    def reduction_db(self) -> float:
        """Current gain reduction [dB], 0 or below; of the channel that is reduced most."""
        return min(0.0, float(np.min(self._states[: self._channels, 0])))

    def to(self, mode: Mode, target: NDArray[np.float64], frames: int) -> None:
        """Go to other settings over the next ``frames`` frames."""
        self.mode = mode
        self._way.to(target, frames)

    def follow(self, key: NDArray[np.float64], frames: int, *, external: bool = False) -> None:
        """Set ``gains`` (2, ≥ frames) to what ``key`` (channels, ≥ frames) asks for.

        An ``external`` key is not turned down by a feedback compressor, which is a forward one then.
        """
        mode = "forward" if external and self.mode == "feedback" else self.mode
        knots, first = self._way.knots(frames)
        self._follow(key, frames, self._position, _MODES[mode], knots, first)
        self._position += frames

    def reset(self) -> None:
        """Forget all that was heard, and stand where the settings were going."""
        self._way = Glide(self._way.target)
        self._states[:] = 0.0
        self._states[:, 5] = 1.0
        self._position = 0


S = TypeVar("S", bound=Settings)


class GainProcessor(Generic[S]):
    """A running compressor, expander or gate: side-chain, look-ahead, gain.

    ``design`` turns settings into mode and row of the side-chain; ``lookahead_frames`` is the latency.
    """

    def __init__(
        self, settings: S, rate_hz: float, channels: int, design: Callable[[S, float], tuple[Mode, NDArray[np.float64]]]
    ) -> None:
        check_channels(channels)
        self.settings = settings
        self._rate_hz = rate_hz
        self._design = design
        self._lookahead_frames = lookahead_frames(settings, rate_hz)
        mode, first = design(settings, rate_hz)
        self._chain = SideChain(mode, first, channels)
        self._key = np.zeros((channels, CHUNK_FRAMES))
        self._ring = np.zeros((self._lookahead_frames, channels), dtype=np.float32)
        self._place = np.zeros(1, dtype=np.int64)
        self._turn = library("dynamics").turn.bind(None, self._chain.gains, self._ring, self._place)

    @property
    def latency_frames(self) -> int:
        """The look-ahead [frames]."""
        return self._lookahead_frames

    @property
    def tail_frames(self) -> int:
        """Nothing comes after the last sound."""
        return 0

    @property
    def reduction_db(self) -> float:
        """Current gain reduction [dB], 0 or below."""
        return self._chain.reduction_db

    def process(self, block: Block, key: Block | None = None) -> None:
        """Process the next (n, channels) in place; the side-chain hears ``key`` (n, 1 or 2) where there is one."""
        for start in range(0, len(block), CHUNK_FRAMES):
            part = block[start : start + CHUNK_FRAMES]
            hear(part if key is None else key[start : start + CHUNK_FRAMES], self._key)
            self._chain.follow(self._key, len(part), external=key is not None)
            self._apply(part)

    def _apply(self, part: Block) -> None:
        """Delay ``part`` by the look-ahead and turn it down."""
        self._turn(part)

    def change(self, settings: S, frames: int) -> None:
        """Go to ``settings`` over the next ``frames`` frames. Raises DspError for another look-ahead."""
        if lookahead_frames(settings, self._rate_hz) != self._lookahead_frames:
            raise DspError(
                f"the look-ahead of a running {settings.kind} cannot change",
                hint="its latency would change with it: start another",
            )
        self.settings = settings
        self._chain.to(*self._design(settings, self._rate_hz), frames)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._chain.reset()
        self._ring[:] = 0.0


def lookahead_frames(settings: Settings, rate_hz: float) -> int:
    """Return the frames of ``settings.lookahead_ms``."""
    return round(float(getattr(settings, "lookahead_ms", 0.0)) * rate_hz / 1000.0)


def check_channels(channels: int) -> None:
    """Raise DspError for anything but one or two channels."""
    if channels not in (1, 2):
        raise DspError(f"a processor has 1 or 2 channels, not {channels}")


def hear(key: Block, planar: NDArray[np.float64]) -> None:
    """Write ``key`` (n, 1 or 2) as rows into ``planar`` (channels, ≥ n): mono to both, two into one as their mean."""
    if key.shape[1] > len(planar):
        planar[0, : len(key)] = 0.5 * (key[:, 0] + key[:, 1])
    else:
        planar[:, : len(key)] = key.T
