"""The comb: one periodic test signal that sounds every output at once and keeps them apart.

Every output owns its own set of tones, all of them whole numbers of cycles in one period. What comes back on an input
is told apart by bin, so a whole rig is measured in two or three periods. The bins are drawn at random, one per group of
neighbours (jittered sampling): the lag at which a regular comb would repeat itself has no second peak, and latency is
unambiguous over the whole period.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError
from dsp.levels import decibels, rms_from_dbfs

LOW_HZ = 20.0
HIGH_HZ = 20_000.0
FEWEST_BINS = 24
CREST_ROUNDS = 20
LONG_FRAMES, LONG_CREST_ROUNDS = 32_768, 8  # long periods take their time, and the first rounds gain the most
CLIP_AT = (
    0.8  # of the peak; clip and refit after van der Ouderaa, Schoukens, Renneboog, IEEE Trans. IM 37 (1988) 145-147
)


@dataclass(frozen=True)
class Comb:
    """One period of the probe and what is known of it.

    ``level_dbfs`` is the RMS level of each active output in the AES17 sense (full-scale sine = 0 dBFS), so an output's
    RMS is ``10^(level_dbfs/20)/√2``. Outputs count from 0.
    """

    rate_hz: int
    level_dbfs: float
    period: NDArray[np.float32]
    """(frames, outputs), full scale 1.0; inactive outputs are silent."""
    bins: tuple[NDArray[np.int64], ...]
    """Per output the FFT bins it owns, ascending; empty for an inactive output."""
    spectra: tuple[NDArray[np.complex128], ...]
    """Per output ``rfft(period)`` at its bins, of the float32 samples that are really played."""
    unused_bins: NDArray[np.int64]
    """Bins between 20 Hz and 20 kHz that no output plays: whatever is found there is noise or distortion."""

    @property
    def frames(self) -> int:
        """Length of one period [frames]."""
        return int(self.period.shape[0])

    @property
    def outputs(self) -> int:
        """Number of outputs, active or not."""
        return int(self.period.shape[1])

    @property
    def active(self) -> tuple[int, ...]:
        """The outputs that sound, from 0."""
        return tuple(output for output, bins in enumerate(self.bins) if bins.size)

    @property
    def peak_dbfs(self) -> float:
        """Highest sample of any output [dBFS]."""
        return decibels(float(np.max(np.abs(self.period), initial=0.0)))

    @property
    def bus_peak_dbfs(self) -> float:
        """Highest sample when every output is summed at unity [dBFS]: what a mix bus has to bear."""
        return decibels(float(np.max(np.abs(self.period.sum(axis=1, dtype=np.float64)), initial=0.0)))

    def select(self, outputs: Collection[int]) -> Comb:
        """Return the same comb with only ``outputs`` (from 0) sounding and the others silent.

        Raises
        ------
        DspError
            An output the comb does not have or does not sound.
        """
        wanted = set(outputs)
        strangers = sorted(wanted - set(self.active))
        if strangers:
            listed = ", ".join(str(output + 1) for output in strangers)
            raise DspError(
                f"The probe does not sound output {listed}.",
                hint=f"It has outputs 1 to {self.outputs}; build it again.",
            )
        period = self.period.copy()
        silent = [output for output in range(self.outputs) if output not in wanted]
        period[:, silent] = 0.0
        freed = [self.bins[output] for output in silent]
        return replace(
            self,
            period=period,
            bins=tuple(b if o in wanted else b[:0] for o, b in enumerate(self.bins)),
            spectra=tuple(s if o in wanted else s[:0] for o, s in enumerate(self.spectra)),
            unused_bins=np.sort(np.concatenate([self.unused_bins, *freed])),
        )

    def at_level(self, level_dbfs: float) -> Comb:
        """Return the same comb (same bins, same phases) at another RMS level per output [dBFS, AES17].

        Raises
        ------
        DspError
            The level would drive a sample beyond full scale.
        """
        gain = 10.0 ** ((level_dbfs - self.level_dbfs) / 20.0)
        period = (self.period.astype(np.float64) * gain).astype(np.float32)
        return _played(self.rate_hz, level_dbfs, period, self.bins, self.unused_bins)


def comb(
    outputs: int,
    *,
    rate_hz: int,
    level_dbfs: float,
    seed: int,
    period_frames: int = 16_384,
    active: Collection[int] | None = None,
) -> Comb:
    """Build the probe: random disjoint tones between 20 Hz and 20 kHz for every active output, all at once.

    Parameters
    ----------
    outputs
        Number of outputs of the interface (columns of the period), at least 1.
    rate_hz
        Sample rate [Hz].
    level_dbfs
        RMS level of each output, AES17 (full-scale sine = 0 dBFS).
    seed
        The same seed gives the same comb.
    period_frames
        Length of one period [frames]; also the range over which latency is unambiguous.
    active
        Outputs from 0 that sound; the rest stay silent and cost no bins. All of them by default.

    Raises
    ------
    DspError
        No outputs, too many outputs for the period, or a level whose peaks pass full scale.
    """
    return combs(
        outputs,
        rate_hz=rate_hz,
        level_dbfs=level_dbfs,
        seed=seed,
        period_frames=period_frames,
        active=active,
        turns=1,
        low_hz=LOW_HZ,
        high_hz=HIGH_HZ,
    )[0]


def combs(
    outputs: int,
    *,
    rate_hz: int,
    level_dbfs: float,
    seed: int,
    period_frames: int = 65_536,
    active: Collection[int] | None = None,
    turns: int = 3,
    low_hz: float = 5.0,
    high_hz: float = 22_000.0,
) -> tuple[Comb, ...]:
    """Build ``turns`` combs whose tones change owners: together they show every output most of the spectrum.

    In every group of neighbouring bins (one per owner) an output moves on by a ``turns``-th of the group from one comb
    to the next, so that after all turns its tones lie about ``outputs·rate/period_frames/turns`` Hz apart: 8 Hz for 32
    outputs, 65536 frames and 3 turns at 48 kHz. The bins between are measured by nobody: a response is read there by a
    local fit. Phases are new in every comb, so that the distortion of one output never falls twice alike on the tones
    of another.

    Parameters
    ----------
    outputs, rate_hz, level_dbfs, seed, period_frames, active
        As for :func:`comb`.
    turns
        Number of combs, 1 to the number of active outputs and one.
    low_hz, high_hz
        The tones lie between these [Hz] (and below 0.46 of the rate): a little beyond the band in which a response is
        asked for, because nothing is extrapolated.

    Raises
    ------
    DspError
        No outputs, too many outputs for the period, a number of turns there cannot be, or a level whose peaks pass full
        scale.
    """
    wanted = sorted(set(range(outputs) if active is None else active))
    if outputs < 1 or not wanted:
        raise DspError("A probe needs at least one output.", hint="Name the outputs to measure.")
    if wanted[0] < 0 or wanted[-1] >= outputs:
        raise DspError(
            f"The probe was asked to sound output {wanted[-1] + 1} of an interface with {outputs}.",
            hint="Correct the list of outputs.",
        )
    rng = np.random.default_rng(seed)
    low = max(1, int(np.ceil(low_hz * period_frames / rate_hz)))
    high = int(np.floor(min(high_hz, 0.46 * rate_hz) * period_frames / rate_hz))
    owners = len(wanted) + 1  # the last owner is nobody: the bins that tell the noise
    if not 1 <= turns <= owners:
        raise DspError(
            f"{len(wanted)} outputs cannot take {turns} turns at their tones.", hint=f"Ask for 1 to {owners} turns."
        )
    groups = max(0, (high - low + 1) // owners)
    if groups < FEWEST_BINS:
        raise DspError(
            f"{len(wanted)} outputs leave only {groups} tones each in a period of {period_frames} frames.",
            hint=f"Use a period of at least {period_frames * FEWEST_BINS // max(groups, 1)} frames or fewer outputs.",
        )
    shuffled = np.argsort(rng.permuted(np.tile(np.arange(owners), (groups, 1)), axis=1), axis=1)
    spare = np.arange(low + groups * owners, high + 1)
    empty = np.zeros(0, dtype=np.int64)
    played = []
    for turn in range(turns):
        inside = (shuffled + turn * owners // turns) % owners
        places = low + np.arange(groups)[:, None] * owners + inside
        by_output = {output: places[:, column].astype(np.int64) for column, output in enumerate(wanted)}
        bins = tuple(by_output.get(output, empty) for output in range(outputs))
        sounding = _low_crest(places[:, :-1].T, period_frames, rng) * rms_from_dbfs(level_dbfs)
        period = np.zeros((period_frames, outputs), dtype=np.float32)
        period[:, wanted] = sounding.T
        unused = np.concatenate([places[:, -1], spare]).astype(np.int64)
        played.append(_played(rate_hz, level_dbfs, period, bins, unused))
    return tuple(played)


def ping_comb(*, rate_hz: int, peak_dbfs: float = -6.0, seed: int = 1, period_frames: int = 4096) -> Comb:
    """Build the probe of a single loop by its peak level [dBFS]: 85 ms at 48 kHz, one output.

    Latency is unambiguous over one period. Many recordings of it are measured at once when they are given to
    :func:`dsp.measure.loop.measure_loops` side by side as inputs.

    Raises
    ------
    DspError
        The peak lies above full scale, or the period is too short.
    """
    quiet = comb(1, rate_hz=rate_hz, level_dbfs=-40.0, seed=seed, period_frames=period_frames)
    return quiet.at_level(-40.0 + peak_dbfs - quiet.peak_dbfs)


def _played(
    rate_hz: int,
    level_dbfs: float,
    period: NDArray[np.float32],
    bins: tuple[NDArray[np.int64], ...],
    unused: NDArray[np.int64],
) -> Comb:
    """Return the comb of a finished period, its spectra taken from the float32 samples that will be played."""
    peak = float(np.max(np.abs(period)))
    if peak > 1.0:
        raise DspError(
            f"A probe of {level_dbfs:.1f} dBFS per output would clip: its peaks reach {decibels(peak):+.1f} dBFS.",
            hint=f"Ask for {level_dbfs - decibels(peak):.1f} dBFS or less.",
        )
    spectra = tuple(
        np.fft.rfft(period[:, output].astype(np.float64))[owned] if owned.size else np.zeros(0, dtype=np.complex128)
        for output, owned in enumerate(bins)
    )
    return Comb(rate_hz, level_dbfs, period, bins, spectra, unused)


def _low_crest(places: NDArray[np.int64], frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (outputs, frames) multitones of RMS 1 with equal tones at ``places`` and phases refitted for a low crest.

    What clipping takes off the peaks spreads over all bins and only a tone's own bins are kept, so the correction is
    scaled up by the share of the spectrum that was thrown away.
    """
    rows = np.arange(places.shape[0])[:, None]
    magnitude = frames / np.sqrt(2.0 * places.shape[1])
    dilution = frames / (2.0 * places.shape[1])
    best = np.zeros((places.shape[0], frames))
    lowest = np.full(places.shape[0], np.inf)
    tones = np.exp(2j * np.pi * rng.random(places.shape))
    for _ in range(LONG_CREST_ROUNDS if frames >= LONG_FRAMES else CREST_ROUNDS):
        spectrum = np.zeros((places.shape[0], frames // 2 + 1), dtype=np.complex128)
        spectrum[rows, places] = magnitude * tones
        signal = np.fft.irfft(spectrum, frames, axis=1)
        peak = np.max(np.abs(signal), axis=1)
        better = peak < lowest
        best[better], lowest[better] = signal[better], peak[better]
        limit = CLIP_AT * peak[:, None]
        clipped_off = np.fft.rfft(np.clip(signal, -limit, limit) - signal, axis=1)[rows, places]
        tones = tones + dilution * clipped_off / magnitude
        tones /= np.maximum(np.abs(tones), 1e-300)
    return best
