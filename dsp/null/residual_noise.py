"""The noise in a residual: its level, and hum at the multiples of the mains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.levels import dbfs_from_rms
from dsp.measure.figure import Figure, unseen
from dsp.null.residual_frames import FrameSums
from dsp.null.residual_spectra import Coherence, SpectrumSums, free

Floats = NDArray[np.float64]

MAINS_HZ = (50.0, 60.0)
HARMONICS = 20
MAINS_REACH = 0.01  # of the nominal: grids stay well within ± 1 % (EN 50160)
LINE_SIGMAS = 6.0  # 40 places are looked at in every channel: chance alone reaches this once in 10^7
LONE_LINE_SIGMAS = 10.0  # a single line off the fundamental must stand out more to be called mains
HIGHEST_LOWEST = 3  # hum has a line at 1, 2 or 3 times the mains; higher ones alone are something else
PROGRAMME = 10.0  # a line must be this many times what the residual usually holds of the programme there
CROSS = 8.0 / 3.0
CERTAIN = 5.0
AGREE_SIGMAS = 5.0
FEWEST_WINDOWS = 4
SURROUND_BINS = (3, 12)  # from a line, to either side: where the noise around it is read
QUIET = 0.1  # of the residual's power: where the reference has less, what is heard is no programme
QUIETEST = 0.02  # share of the entries whose reference is quietest
FEWEST_QUIET = 5
NEPERS = 8.685889638065036  # dB: 20/ln 10


@dataclass(frozen=True)
class HumLine:
    """One multiple of the mains in the residual."""

    harmonic: int
    hz: float
    level_dbfs: tuple[Figure, ...]
    """Per channel, AES17."""


@dataclass(frozen=True)
class Hum:
    """Mains hum: the frequency of the mains as the lines give it together, and the lines that stand out."""

    mains_hz: Figure
    lines: tuple[HumLine, ...]


def find_hum(sums: SpectrumSums, split: Coherence) -> Hum:
    """Return the hum lines of 50 or 60 Hz mains, whichever explains more.

    The programme that follows the reference is taken out first. A line's power is the magnitude of the mean product of
    windows that share no sample, its frequency their phase; the mains is the mean of frequency over harmonic, weighted
    by 1/sd². It may wander: only its turn within a second counts.
    """
    if sums.lagged_windows < FEWEST_WINDOWS:
        return Hum(unseen("too short to tell a steady line from noise"), ())
    lagged, power = _without_linear(sums, split)
    # Leftovers of the programme's own lines are no hum.
    usual = sums.rr.sum(axis=1) / np.maximum(sums.xx.sum(axis=1), 1e-300)
    own = PROGRAMME * usual[:, None] * sums.xx[:, : sums.low] / sums.windows
    lagged = np.where(np.abs(lagged) > own, lagged, 0.0)
    found = [_lines_of(sums, lagged, power, mains) for mains in MAINS_HZ]
    mains_hz, lines = max(found, key=lambda f: f[2])[:2]
    if not lines:
        return Hum(unseen("no line at a multiple of 50 or 60 Hz stands out of the noise"), ())
    return Hum(mains_hz, lines)


def _without_linear(sums: SpectrumSums, split: Coherence) -> tuple[NDArray[np.complex128], Floats]:
    """Return lagged products and power of ``r − H·x``, (channels, low bins) each, as sums over windows."""
    cells = np.clip(np.searchsorted(split.edges, np.arange(sums.low), side="right") - 1, 0, split.response.shape[1] - 1)
    # By chance a sliver of a line follows the reference too: only a response that is none of chance is taken out.
    sure = split.linear > CERTAIN * np.sqrt(split.linear_var)
    h = np.where(sure, split.response, 0.0)[:, cells]
    rr, rx, xr, xx = sums.lagged
    lagged = rr - np.conj(h) * rx - h * xr + np.abs(h) ** 2 * xx
    cut = slice(0, sums.low)
    power = sums.rr[:, cut] - 2.0 * np.real(np.conj(h) * sums.xr[:, cut]) + np.abs(h) ** 2 * sums.xx[:, cut]
    return lagged / sums.lagged_windows, power / sums.windows


def _lines_of(
    sums: SpectrumSums, lagged: NDArray[np.complex128], power: Floats, mains: float
) -> tuple[Figure, tuple[HumLine, ...], float]:
    """Return the refined mains, its lines and how many decibels' worth of evidence they are."""
    spacing = sums.rate_hz / sums.frames
    places: list[tuple[int, float, float, float]] = []
    for harmonic in range(1, HARMONICS + 1):
        place = _place(lagged, power, harmonic, mains, spacing, sums.lagged_windows)
        if place is not None:
            places.append((harmonic, *place))
    if not places:
        return unseen("no line"), (), 0.0
    strongest = max(places, key=lambda p: p[0] ** 2 / p[2] ** 2)
    reference = strongest[1] / strongest[0]
    kept = [p for p in places if abs(p[1] / p[0] - reference) < AGREE_SIGMAS * np.hypot(p[2] / p[0], 2e-4)]
    lowest = min(p[0] for p in kept)
    if lowest > HIGHEST_LOWEST or (lowest > 1 and len(kept) == 1 and kept[0][3] < LONE_LINE_SIGMAS):
        return unseen("no line"), (), 0.0
    weight = np.array([(p[0] / p[2]) ** 2 for p in kept])
    hz = float(np.sum(weight * [p[1] / p[0] for p in kept]) / np.sum(weight))
    sd = float(1.0 / np.sqrt(np.sum(weight)))
    lines = tuple(HumLine(p[0], p[0] * hz, _levels(lagged, power, p[0] * hz, spacing, sums)) for p in kept)
    return Figure(hz, sd), lines, float(sum(np.log(p[3]) for p in kept))


def _place(
    lagged: NDArray[np.complex128], power: Floats, harmonic: int, mains: float, spacing: float, windows: int
) -> tuple[float, float, float] | None:
    """Return frequency, its sd and significance of the strongest line near a harmonic, channels together."""
    nominal = harmonic * mains / spacing
    reach = max(1.0, MAINS_REACH * nominal)
    low, high = max(2, int(np.floor(nominal - reach))), int(np.ceil(nominal + reach)) + 1
    if high + SURROUND_BINS[1] > lagged.shape[1]:
        return None
    noise = _surround(power, (low + high - 1) // 2, (high - low) // 2)
    ratio = np.abs(lagged[:, low:high]) / np.maximum(noise, 1e-300)[:, None] * np.sqrt(windows / 2.0)
    channel, at = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    significance = float(ratio[channel, at])
    best = low + int(at)
    if significance < LINE_SIGMAS or np.abs(lagged[channel, best]) < 0.3 * power[channel, best]:
        return None
    # Two hops are one window: a line k bins up turns by 2πk in it, so the phase tells the fraction of a bin.
    fraction = float(np.angle(np.sum(lagged[channel, best - 1 : best + 2]))) / (2.0 * np.pi)
    neighbours = np.abs(lagged[channel, [best - 1, best + 1]])
    if abs(fraction) > 0.35 and fraction * (neighbours[1] - neighbours[0]) < 0.0:
        fraction -= np.sign(fraction)
    # Phase noise of products of two values each; neighbouring products share theirs with opposite sign, so that this is
    # an upper bound, which a wandering mains needs.
    inverse = float(noise[channel] / np.abs(lagged[channel, best]))
    sd = float(np.sqrt((inverse + 0.5 * inverse**2) / windows)) / (2.0 * np.pi) * spacing
    return (best + fraction) * spacing, sd, significance


def _surround(power: Floats, middle: int, half: int) -> Floats:
    """Return the noise per bin around a line per channel: the median to either side over ln 2 (it is exponential)."""
    near, far = SURROUND_BINS[0] + half, SURROUND_BINS[1] + half
    sides = [power[:, max(1, middle - far) : max(2, middle - near + 1)], power[:, middle + near : middle + far + 1]]
    level: Floats = np.median(np.concatenate(sides, axis=1), axis=1)
    return level


def _levels(
    lagged: NDArray[np.complex128], power: Floats, hz: float, spacing: float, sums: SpectrumSums
) -> tuple[Figure, ...]:
    """Return the level of one line per channel: power over the Hann window's gain at its place between bins."""
    at = round(hz / spacing)
    off = hz / spacing - at
    gain = np.sinc(off) / (1.0 - off**2) * 0.5 * sums.frames  # of the Hann window, Harris 1978
    noise = _surround(power, at, 0)
    turned = np.real(lagged[:, at] * np.exp(-2j * np.pi * off))
    out: list[Figure] = []
    for value, floor in zip(turned, noise, strict=True):
        # A line of amplitude a puts (a·gain/2)² into the bin. Each window's noise meets the line in two products and
        # shares a sixth of its amplitude with either neighbour: 2·(1 + 2/6) times the line's power times the noise's.
        spread = float(np.sqrt((0.5 * floor**2 + CROSS * max(value, 0.0) * floor) / sums.lagged_windows))
        if value <= 3.0 * spread:
            out.append(unseen("below the noise around it"))
            continue
        rms = float(np.sqrt(2.0 * value)) / gain
        out.append(Figure(dbfs_from_rms(rms), 0.5 * NEPERS * spread / float(value)))
    return tuple(out)


def quiet_level(sums: FrameSums) -> Figure:
    """Return the level of the residual in passages where the reference lies 10 dB below it [dBFS], channels averaged.

    Entries are chosen by the reference alone: chosen by what is heard, the quietest would read too low.
    """
    series = sums.series()
    reference, left = series["xx"].sum(axis=2).mean(axis=0), series["rr"].sum(axis=2).mean(axis=0)
    if reference.size < 2 * FEWEST_QUIET:
        return unseen("too short to find a quiet passage")
    quietest = np.argsort(reference, kind="stable")[: max(FEWEST_QUIET, round(QUIETEST * reference.size))]
    around = float(np.median(left[quietest]))
    if around == 0.0:
        return unseen("the quietest passages of B follow the reference to the last bit")
    quiet = left[reference < QUIET * around]
    if quiet.size < FEWEST_QUIET:
        return unseen("no passage of the reference is quiet enough to hear the noise")
    mean = float(np.mean(quiet))
    sd = float(np.std(quiet, ddof=1)) / np.sqrt(quiet.size)
    return Figure(
        dbfs_from_rms(float(np.sqrt(mean))), float(0.5 * NEPERS * sd / mean), "from passages where A is quiet"
    )


def incoherent_noise(sums: SpectrumSums, split: Coherence) -> Figure:
    """Return the level of the residual that follows the reference in no linear way: an upper bound of the noise."""
    if sums.windows < 2:
        return unseen("too short to tell what follows the reference")
    rest = split.rest.mean(axis=0)
    total = float(rest.sum())
    if total <= 0.0:
        return unseen("nothing is left")
    # Each cell's power is known to 1/√ν, of ν the windows' independent values.
    nu = free(sums.windows, int(split.edges[1] - split.edges[0])) * split.rest.shape[0]
    sd = float(np.sqrt(np.sum(rest**2) / nu)) / total
    return Figure(dbfs_from_rms(float(np.sqrt(total))), 0.5 * NEPERS * sd, "an upper bound")


def best_noise(given_dbfs: float | None, quiet: Figure) -> Figure:
    """Return the noise's level and where it is from: given, or quiet passages."""
    return quiet if given_dbfs is None else Figure(given_dbfs, 0.0, "as given")


def dc_levels(means: Floats, sums: SpectrumSums, *, frames: int) -> tuple[Figure, ...]:
    """Return the mean of the residual per channel; its spread from the density of noise just above DC over the time."""
    if sums.windows < 2:
        return tuple(unseen("too short") for _ in means)
    # One-sided mean square per bin → two-sided density per hertz → variance of a mean over T seconds: S(0)/T.
    per_bin = np.median(sums.rr[:, 3:9], axis=1) * sums.to_mean_square
    var = 0.5 * per_bin * sums.frames / frames
    return tuple(Figure(float(m), float(s)) for m, s in zip(means, np.sqrt(var), strict=True))
