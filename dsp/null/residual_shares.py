"""Divide a residual's power by cause, so that the parts add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.levels import dbfs_from_rms, rms_from_dbfs
from dsp.measure.figure import Figure, unseen
from dsp.null.gain_causes import GainCause
from dsp.null.residual_frames import FrameSums, PowerLaw
from dsp.null.residual_gain import GainTrack
from dsp.null.residual_spectra import Coherence, SpectrumSums

Floats = NDArray[np.float64]

NEPERS = 8.685889638065036  # 20/ln 10: decibels per neper


@dataclass(frozen=True)
class Share:
    """A part of the residual's power."""

    name: str
    share: Figure
    """Of the residual's power, 0 to 1; the shares add up to 1."""
    level_dbfs: Figure


def shares_of(
    power: Floats,
    faulty: float,
    cut: float,
    split: Coherence,
    sums: SpectrumSums,
    law: PowerLaw,
    tracks: Sequence[GainTrack],
    dc: Sequence[Figure],
    *,
    noise: Figure,
) -> tuple[Share, ...]:
    """Return the shares: clicks, clipping, dc, linear, harmonic 2, harmonic 3, gain, noise, other.

    All but the last are measured on their own, each free of what chance adds to it; ``other`` is what they leave, and
    can be below zero within its spread. Where the noise is not known it stands together with ``other``.

    Parameters
    ----------
    power
        Mean square of the residual per channel.
    faulty
        Mean square that clicks and dropouts add, all channels together.
    cut
        Mean square of the residual on flat tops, all channels together.
    split, sums, law, tracks, dc
        What was found of each cause.
    noise
        Level of the noise [dBFS], or not observable.
    """
    total = float(np.mean(power))
    if total <= 0.0:
        return ()
    parts: list[tuple[str, float, float]] = [("clicks", faulty, 0.0), ("clipping", cut, 0.0)]
    offsets = [(d.value**2 - d.sd**2, 2.0 * abs(d.value) * d.sd + d.sd**2) for d in dc if d.observable]
    if offsets:
        values, sds = np.array(offsets).T
        parts.append(("dc", float(values.mean()), float(np.sqrt(np.sum(sds**2))) / values.size))
    if sums.windows >= 2:
        left = sums.rr.sum(axis=1) * sums.to_mean_square
        clean = np.maximum(power - faulty - cut, 0.0)
        scale = np.where(left > 0.0, clean / np.where(left > 0.0, left, 1.0), 0.0)
        linear = float(np.mean(split.linear.sum(axis=1) * scale))
        sd = float(np.sqrt(np.sum(split.linear_var.sum(axis=1) * scale**2))) / power.size
        parts.append(("linear", linear, sd))
    for n, name in enumerate(("harmonic 2", "harmonic 3")):
        value = float(law.power[n].sum(axis=1).mean())
        parts.append((name, value, float(np.sqrt(law.power_var[n].sum())) / power.size))
    parts.append(
        (
            "gain",
            float(np.mean([track.power for track in tracks])),
            float(np.sqrt(np.sum([track.power_sd**2 for track in tracks]))) / power.size,
        )
    )
    if noise.observable:
        square = rms_from_dbfs(noise.value) ** 2
        parts.append(("noise", square, 2.0 * square * noise.sd / NEPERS))
    rest = total - sum(part[1] for part in parts)
    rest_sd = float(np.sqrt(sum(part[2] ** 2 for part in parts)))
    parts.append(("other" if noise.observable else "noise and other", rest, rest_sd))
    return tuple(Share(name, Figure(value / total, sd / total), _level(value, sd)) for name, value, sd in parts)


def _level(square: float, sd: float) -> Figure:
    if square <= 2.0 * sd or square <= 0.0:
        return unseen(f"below {dbfs_from_rms(float(np.sqrt(max(square, 0.0) + 2.0 * sd))):.1f} dBFS")
    return Figure(dbfs_from_rms(float(np.sqrt(square))), 0.5 * NEPERS * sd / square)


def untold(noise: Figure, sums: SpectrumSums, frames: FrameSums, causes: Sequence[GainCause]) -> tuple[str, ...]:
    """Return what cannot be told apart in this recording."""
    said = [
        "What a distortion has of the reference's own shape is a gain, and counts as linear; "
        "its orders above three and its products below 25 Hz are not counted as harmonic."
    ]
    if not noise.observable:
        said.append("Noise and what follows the reference in no way looked for cannot be told apart: A is never quiet.")
    if sums.windows < 2:
        said.append("The recording is too short to tell linear leftovers from noise.")
    if frames.merged > 1:
        said.append(f"Gains are seen every {1e3 * frames.entry_s:.0f} ms: faster attacks look slower than they are.")
    if any(cause.kind == "distortion" for cause in causes):
        said.append("The gain that follows the level is that of a distortion of high order: the two are one here.")
    if any(cause.kind != "steady" for cause in causes):
        said.append("A gain that differs between octaves, as of a dynamic equaliser, is seen only in its mean.")
        said.append("A gain that follows the programme also tilts its spectrum: linear and gain can overlap.")
    return tuple(said)
