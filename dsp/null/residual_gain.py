"""How the gain of a recording over its reference moves in time: compressor, fader, tremolo, or not at all.

Per entry k and octave b the residual follows ``(H_b + g_k)·x`` beside the static nonlinearity: ``H_b`` is what is left
of an equaliser, ``g_k`` a gain that all octaves share. Both are least-squares, weighted by the noise of each octave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.null.residual_frames import FrameSums, PowerLaw

Floats = NDArray[np.float64]

DB = 8.685889638065036  # 20/ln 10: decibels per neper
ROUNDS = 4
SMOOTH_FRAMES = 11
FAINTEST = 1e-6  # of the loudest entry's power: below it an entry counts as silent
SIGNIFICANT = 6.0  # standard deviations of the sum of neighbouring products: chance reaches it once in 10^9
SIGNIFICANT_POWER = 4.0
LEAST_SHARE = 0.01  # of the residual's power: what is left of an equaliser can look like a gain this large
FEWEST_ENTRIES = 25


@dataclass(frozen=True)
class GainTrack:
    """Gain of B re A over time for one channel, about its mean; empty where the reference is silent."""

    at_s: Floats
    """Middle of each entry, in the recording [s]."""
    entry_s: float
    gain_db: Floats
    sd_db: Floats
    level_dbfs: Floats
    """Of the reference in the entry, AES17, the channels' powers averaged: compressors of a mix are linked."""
    rms_db: Figure
    """RMS of the gain's variation, weighted by programme power and free of the noise's share."""
    power: float
    """Mean square it adds to the residual; 0 where it is not significant, its spread what it could be."""
    power_sd: float
    significance: float
    """Standard deviations by which neighbouring entries agree on a gain that is not the mean."""

    @property
    def moves(self) -> bool:
        """Whether the gain moves significantly."""
        return self.rms_db.observable


def gain_tracks(sums: FrameSums, law: PowerLaw, *, first_frame: int) -> tuple[GainTrack, ...]:
    """Return one track per channel.

    The spread of ``g_k`` follows from the residual that no gain explains around each entry, ``1/(2·Σ_b xx/v)``, times
    what neighbouring entries differ by more than that. Power: the mean product of neighbouring entries, in which the
    noise of each, being independent, cancels.
    """
    series = sums.series()
    linked = series["xx"].sum(axis=2).mean(axis=0)
    return tuple(
        _track(sums, {name: s[c] for name, s in series.items()}, law.factor[:, c], first_frame, linked)
        for c in range(sums.channels)
    )


def _track(sums: FrameSums, s: dict[str, Floats], factor: Floats, first_frame: int, linked: Floats) -> GainTrack:
    xx, rr = s["xx"], s["rr"]
    total = xx.sum(axis=1)
    loud = total > FAINTEST * total.max(initial=0.0)
    if np.count_nonzero(loud) < FEWEST_ENTRIES:
        nothing = np.zeros(0)
        why = unseen("fewer than 25 entries with programme")
        return GainTrack(nothing, sums.entry_s, nothing, nothing, nothing, why, 0.0, 0.0, 0.0)
    at = np.flatnonzero(loud)
    xx, rr, total = xx[at], rr[at], total[at]
    shared = s["xr"][at] - factor[0] * s["x2"][at] - factor[1] * s["x3"][at]
    under = np.where(xx > 0.0, xx, 1.0)
    rest = np.maximum(rr - np.where(xx > 0.0, s["xr"][at] ** 2 / under, 0.0), 0.0) / sums.bins
    kernel = np.ones(min(SMOOTH_FRAMES, rest.shape[0]))
    count = np.convolve(np.ones(rest.shape[0]), kernel, mode="same")
    v = np.stack([np.convolve(b, kernel, mode="same") / count for b in rest.T], axis=1)
    v = np.maximum(v, np.maximum(1e-3 * v.mean(axis=0), 1e-24 * total.max()))
    weight = xx / v
    gain, var = np.zeros(at.size), 1.0 / (2.0 * sums.merged * np.maximum(weight.sum(axis=1), 1e-300))
    for _ in range(ROUNDS):
        per_band = np.sum(weight, axis=0)
        tilt = np.sum((shared - gain[:, None] * xx) / v, axis=0) / np.where(per_band > 0.0, per_band, 1.0)
        gain = np.sum((shared - tilt * xx) / v, axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
        gain -= np.sum(gain * total) / np.sum(total)  # the mean that the model's own least-squares gain took
    beside = np.diff(at) == 1
    both = var[1:] + var[:-1]
    step = np.abs(np.diff(gain))[beside] / np.sqrt(both[beside])
    if step.size >= FEWEST_ENTRIES:
        var = var * max(1.0, float(np.median(step)) / 0.67448975) ** 2  # median of |normal| is 0.674
    significance = _agreement(gain, var, at)
    near, near_var = _lagged_square(gain, var, total, at, 1)
    far, far_var = _lagged_square(gain, var, total, at, 2)
    # The noise-free power at lag 0 from lags 1 and 2, along the parabola that an autocorrelation begins with.
    # A gain faster than that would be overshot: it cannot have more than the entries have with their noise.
    whole = float(np.sum(total * gain**2) / np.sum(total))
    square, square_sd = min((4.0 * near - far) / 3.0, whole), float(np.sqrt(16.0 * near_var + far_var)) / 3.0
    share = float(np.sum(total)) / max(1, s["xx"].shape[0])
    rms = float(np.sqrt(max(square, 0.0)))
    enough = square * share > LEAST_SHARE * float(s["rr"].sum(axis=1).mean())
    if significance > SIGNIFICANT and square > SIGNIFICANT_POWER * square_sd and enough:
        rms_db = Figure(DB * rms, DB * square_sd / (2.0 * rms))
    else:
        rms_db = unseen(f"no variation above {DB * np.sqrt(2.0 * square_sd + max(square, 0.0)):.2g} dB RMS")
    middle = (at + 0.5) * sums.merged * sums.frames
    return GainTrack(
        at_s=(first_frame + middle) / sums.rate_hz,
        entry_s=sums.entry_s,
        gain_db=DB * np.log(np.maximum(1.0 + gain, 1e-6)),
        sd_db=DB * np.sqrt(var),
        level_dbfs=10.0 * np.log10(2.0 * linked[at]),
        rms_db=rms_db,
        power=square * share if rms_db.observable else 0.0,
        power_sd=(square_sd if rms_db.observable else float(np.hypot(square, square_sd))) * share,
        significance=significance,
    )


def _agreement(gain: Floats, var: Floats, at: NDArray[np.int64]) -> float:
    """Return by how many standard deviations neighbouring entries agree."""
    beside = np.diff(at) == 1
    product = (gain[1:] * gain[:-1] / np.sqrt(var[1:] * var[:-1]))[beside]
    return float(np.sum(product) / np.sqrt(max(1, product.size)))


def _lagged_square(gain: Floats, var: Floats, total: Floats, at: NDArray[np.int64], lag: int) -> tuple[float, float]:
    """Return the mean product of entries ``lag`` apart, weighted by programme power, and its variance."""
    if gain.size <= lag:
        return 0.0, 0.0
    beside = at[lag:] - at[:-lag] == lag
    product = (gain[lag:] * gain[:-lag])[beside]
    spread = (var[lag:] * var[:-lag])[beside]
    weight = np.sqrt(total[lag:] * total[:-lag])[beside]
    whole = max(float(np.sum(weight)), 1e-300)
    noise = np.sum(weight**2 * (spread + 2.0 * np.maximum(product, 0.0) * np.sqrt(spread)))
    return float(np.sum(weight * product)) / whole, float(noise) / whole**2
