"""What an explanation of a null's residual holds: numbers only."""

from __future__ import annotations

from dataclasses import dataclass

from dsp.measure.figure import Figure
from dsp.null.gain_causes import GainCause
from dsp.null.residual_clicks import Click, Dropout
from dsp.null.residual_clipping import Clipping
from dsp.null.residual_frames import PowerLaw
from dsp.null.residual_gain import GainTrack
from dsp.null.residual_noise import Hum
from dsp.null.residual_shares import Share
from dsp.null.residual_spectra import Band, Spectrum


@dataclass(frozen=True)
class Moment:
    """One block of time."""

    at_s: float
    """Its start, in the recording [s]."""
    length_s: float
    depth_db: float | None
    residual_dbfs: float | None


@dataclass(frozen=True)
class Noise:
    """The noise of the recording. Levels are AES17, RMS per channel averaged in power."""

    level_dbfs: Figure
    """The best of the ways below; its note says which."""
    quiet_dbfs: Figure
    """From passages in which the reference lies 10 dB under what is heard."""
    incoherent_dbfs: Figure
    """Of the residual that follows the reference in no linear way: an upper bound for the noise."""
    dc_fs: tuple[Figure, ...]
    """Mean of the residual per channel, of full scale."""
    hum: Hum


@dataclass(frozen=True)
class Explanation:
    """What is left after a null, and why. Times and frames are those of the recording B."""

    rate_hz: int
    first_frame: int
    frames: int
    programme_dbfs: float
    residual_dbfs: float
    depth_db: float | None
    """Residual over recording, all channels; None when nothing is left."""
    bands: tuple[Band, ...]
    over_time: tuple[Moment, ...]
    spectrum: Spectrum
    noise: Noise
    shares: tuple[Share, ...]
    untold: tuple[str, ...]
    """What the shares cannot tell apart here, in sentences."""
    gain: tuple[GainTrack, ...]
    gain_cause: tuple[GainCause, ...]
    harmonic: PowerLaw
    clipping: tuple[Clipping, ...]
    clicks: tuple[Click, ...]
    click_count: int
    dropouts: tuple[Dropout, ...]
    dropout_count: int
