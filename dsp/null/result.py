"""What a null test found, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsp.null.bands import Profile
from dsp.null.corners import Corners
from dsp.null.curve import Curve
from dsp.null.matrix import Matrix
from dsp.null.path import Path
from dsp.null.segments import Change

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]
Sink = Callable[[int, Floats, Floats, Floats], None]
"""Takes (first frame of B, model, matched model, B as it is), (channels, frames) each, in order and without gaps."""

NULL_DEFINITION = (
    "20·log10(rms(B − model)/rms(B)), all channels, without the first and last 0.5 s "
    "(more where couplings remember what A does not hold)"
)
DELAY_DEFINITION = "least-squares delay over the programme at B's first frame, positive when B is later than A"


@dataclass(frozen=True)
class Stage:
    """One stage of the model and what remains after it; ``depth_db`` is None when nothing remains."""

    name: str
    depth_db: float | None


@dataclass(frozen=True)
class Segment:
    """A stretch of B that plays A without a jump."""

    start_s: float
    stop_s: float
    delay_samples: float
    """At B's first frame."""


@dataclass(frozen=True)
class Event:
    """A short span in which the recordings differ far more than elsewhere."""

    at_s: float
    """In the recording B [s]."""
    length_s: float
    what: str


@dataclass(frozen=True)
class NullResult:
    """What a null test found. Gains are of B relative to A; times are in B; ``None`` depths mean no residual at all."""

    rate_hz: int
    delay_samples: float
    """At B's first frame, positive when B is later; of the longest segment."""
    delay_sd: float
    drift_ppm: float
    """Mean growth of the delay, positive when B runs ever later; exactly 0 when no drift was significant."""
    drift_sd_ppm: float
    time_map: tuple[tuple[float, float, float], ...]
    """(time [s], offset of the delay from the line [samples], standard deviation); empty when a line explains all."""
    polarity: tuple[int, ...]
    gain_db: tuple[float, ...]
    """Per channel; −∞ for a channel that is silent in B or A."""
    gain_sd_db: tuple[float, ...]
    channels: tuple[tuple[int, int], ...]
    """(channel of A, channel of B), from 0, that were compared; the figures per channel are in this order."""
    null_depth_db: float | None
    """After delay, gain, polarity, drift, segments and time map."""
    null_depth_matched_db: float | None
    """After all stages."""
    note: str
    """"identical" and how, when nothing is left to subtract; otherwise empty."""
    limit_db: float | None
    """The depth at which only the recording's noise would be left."""
    limit_note: str
    stages: tuple[Stage, ...]
    segments: tuple[Segment, ...]
    changes: tuple[Change, ...]
    """Jumps, dropouts, edits and other faults, with their frames."""
    events: tuple[Event, ...]
    """The same in words, with times."""
    third_octave: Profile
    """(centre [Hz], depth [dB]) before the match."""
    third_octave_matched: Profile
    programme_third_octave: Profile
    """(centre [Hz], level [dBFS, AES17]) of B, the loudest channel's."""
    residual_third_octave: Profile
    """The same of what the plain model leaves."""
    over_time: Profile
    """(start of the 0.5 s block in B [s], depth [dB]) before the match."""
    residual_rms: float
    """Of what the plain model leaves, all channels together (full scale 1.0)."""
    programme_rms: float
    """Of B."""
    first_frame: int
    """Of B, where the programme that was counted begins."""
    stop_frame: int
    path: Path | None = field(default=None, repr=False)
    """The model, for whoever wants to run it once more; None for identical files."""
    corners: Corners | None = None
    """Coupling corners and low-pass; None when they do not pay."""
    corners_note: str = ""
    """Why the corners are not to be trusted; empty when nothing speaks against them."""
    matrix: Matrix | None = None
    """What the channels took from each other, in the order of ``channels``; None when that does not pay."""
    curve: Curve | None = None
    """Static distortion; None when it does not pay."""


@dataclass
class Collected:
    """A sink that keeps everything, for recordings that fit in memory; arrays are (frames, channels)."""

    blocks: list[tuple[Samples, Samples, Samples]] = field(default_factory=list)

    def __call__(self, first: int, model: Floats, matched: Floats, heard: Floats) -> None:
        """Take a block."""
        plain, best = heard - model, heard - matched
        self.blocks.append((heard.T.astype(np.float32), plain.T.astype(np.float32), best.T.astype(np.float32)))

    @property
    def aligned_b(self) -> Samples:
        """B as it is."""
        return np.concatenate([block[0] for block in self.blocks])

    @property
    def aligned_a(self) -> Samples:
        """A with delay, gain, polarity and drift of B."""
        return self.aligned_b - self.residual

    @property
    def residual(self) -> Samples:
        """What the plain model leaves."""
        return np.concatenate([block[1] for block in self.blocks])

    @property
    def residual_matched(self) -> Samples:
        """What all stages leave."""
        return np.concatenate([block[2] for block in self.blocks])
