"""Whether two clocks run alike: the drift between output and input, and how it wanders.

The probe is two dozen steady tones that need not fit any block length. A recording is cut into blocks; in each the
tones' amplitudes and phases are a linear least-squares fit. The phases turn as the delay ``d + ε·n`` grows, so ``ε`` is
found from coarse to fine: from the turn between neighbouring blocks, then between blocks twice as far apart, and so on,
then by one weighted line through all phases, each tone with a phase of its own (the path's). In white noise of ``σ`` no
estimate spreads less than ``sd(ε) = √(12σ²/(Σ (a·ω)²/2 · N³))``, ``ω`` per sample, ``N`` frames (Cramér-Rao).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.levels import rms_from_dbfs
from dsp.measure.figure import Figure, unseen

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

TONES = 24
LOWEST_HZ, HIGHEST_HZ = 200.0, 18_000.0
BLOCK_S = 0.0853
FEWEST_BLOCKS = 8
COARSE_BELOW_HZ = 3000.0
FARTHEST_PPM = 1000.0
LOCKED_PPM = 0.01
"""A spread above this is too wide to call two clocks one [ppm]: 0.01 ppm is 0.03 sample a minute at 48 kHz."""
TONE_Z = 8.0
EDGE_NOISE = 3.0
"""A first or last block that the tones leave this much more unexplained is one they began or ended in."""
LONGEST_DELAY_S = 1.0


@dataclass(frozen=True)
class Drift:
    """What the recording of the clock's tones says of two clocks."""

    ppm: Figure
    delay_samples: Figure
    """At the recording's first frame: most likely delay of a flat path."""
    locked: bool
    """The drift is within three spreads of none, and the spread is below 0.01 ppm."""
    verdict: str
    wander_samples: float
    """RMS of what the delay does beside growing steadily, noise taken off."""


@dataclass(frozen=True)
class TimeMap:
    """The delay over time: ``offset_samples`` at ``at_s`` seconds of the recording, smooth, each with its spread.

    The spread is that of the change over time; the delay as a whole has that of ``Drift.delay_samples``.
    """

    at_s: Floats
    offset_samples: Floats
    sd_samples: Floats

    def offset_at(self, seconds: Floats) -> Floats:
        """Return the delay [samples] at some times [s]; straight on at either end, smooth between (cubic Hermite)."""
        t, y = self.at_s, self.offset_samples
        slope = np.gradient(y, t, edge_order=2) if t.size > 2 else np.gradient(y, t)
        k = np.clip(np.searchsorted(t, seconds) - 1, 0, t.size - 2)
        h = t[k + 1] - t[k]
        x = (seconds - t[k]) / h
        inside = (
            (1.0 + 2.0 * x) * (1.0 - x) ** 2 * y[k]
            + x * (1.0 - x) ** 2 * h * slope[k]
            + x**2 * (3.0 - 2.0 * x) * y[k + 1]
            + x**2 * (x - 1.0) * h * slope[k + 1]
        )
        before, after = y[0] + (seconds - t[0]) * slope[0], y[-1] + (seconds - t[-1]) * slope[-1]
        return np.where(seconds < t[0], before, np.where(seconds > t[-1], after, inside))


def clock_tones(rate_hz: float) -> tuple[Floats, Floats]:
    """Return frequencies [Hz] and phases [rad] of the tones: 24 between 200 Hz and 18 kHz (0.4 of the rate at most).

    The frequencies rise geometrically, each moved a little off by the golden ratio so that no two are in a simple
    ratio. They pass through all relations of their phases, so that no choice of phases keeps the crest low for long.
    """
    highest = min(HIGHEST_HZ, 0.4 * rate_hz)
    count = np.arange(TONES)
    golden = 0.5 * (math.sqrt(5.0) - 1.0)
    hz = np.geomspace(LOWEST_HZ, highest, TONES)
    hz[1:-1] *= 1.0 + 0.04 * (np.mod(count * golden, 1.0) - 0.5)[1:-1]
    return hz, 2.0 * np.pi * np.mod(count**2 * golden, 1.0)


def clock_probe(rate_hz: int, *, seconds: float, level_dbfs: float = -12.0) -> Floats:
    """Return the clock's tones, (frames,), at an RMS level [dBFS, AES17] with its peak below full scale.

    Raises
    ------
    DspError
        The level would clip, or the length is not positive.
    """
    frames = round(seconds * rate_hz)
    if frames < 1:
        raise DspError("A clock probe needs a length.", hint="Ask for 10 s.")
    hz, phases = clock_tones(rate_hz)
    out = np.zeros(frames)
    n = np.arange(frames)
    for f, phase in zip(hz, phases, strict=True):
        out += np.cos(2.0 * np.pi * f / rate_hz * n + phase)
    out *= rms_from_dbfs(level_dbfs) / math.sqrt(TONES / 2.0)
    if float(np.max(np.abs(out))) > 1.0:
        raise DspError(f"A clock probe of {level_dbfs:.1f} dBFS would clip.", hint="Ask for −12 dBFS or less.")
    return out


def measure_drift(x: NDArray[np.float32] | Floats, *, rate_hz: int) -> Drift:
    """Return the drift between the clocks of output and input from one input's recording of :func:`clock_probe`.

    Parameters
    ----------
    x
        (frames,), full scale 1.0; its first frame is the moment the probe's first frame was played. Blocks at either
        end in which the tones do not sound are left out. At least 0.8 s.
    rate_hz
        Sample rate of the recording [Hz].

    Raises
    ------
    ShapeError
        Not one-dimensional, or too short.
    DspError
        Samples that are not numbers.
    """
    tracked = _track(x, rate_hz)
    if isinstance(tracked, str):
        return Drift(unseen(tracked), unseen(tracked), False, f"not observable: {tracked}", float("nan"))
    scatter = tracked.delays - (tracked.delays.mean() + tracked.slope_left * tracked.centred)
    wander2 = float(np.mean(scatter**2)) - tracked.block_sd**2
    spread = float(np.sum(tracked.centred**2))
    ppm_sd = 1e6 * tracked.block_sd / math.sqrt(spread)
    ppm = 1e6 * tracked.drift
    chi2 = float(np.sum(scatter**2)) / tracked.block_sd**2 / max(1, scatter.size - 2)
    wanders = chi2 > 1.0 + 5.0 * math.sqrt(2.0 / max(1, scatter.size - 2))
    wander = math.sqrt(max(wander2, 0.0)) if wanders else 0.0
    note = f"the clocks wander by {wander:.1e} sample RMS: use the time map" if wanders else ""
    locked = not wanders and abs(ppm) < 3.0 * ppm_sd and ppm_sd <= LOCKED_PPM
    return Drift(
        ppm=Figure(ppm, ppm_sd, note),
        delay_samples=tracked.delay,
        locked=locked,
        verdict=_verdict(ppm, ppm_sd, locked, wanders, wander),
        wander_samples=wander,
    )


def time_map(x: NDArray[np.float32] | Floats, *, rate_hz: int) -> TimeMap:
    """Return the delay over time from a recording of :func:`clock_probe`, for clocks that wander.

    The blocks' delays are smoothed by a third-difference penalty whose weight minimises the generalised
    cross-validation (Craven & Wahba 1979); spreads come from the smoother and the noise within the blocks.

    Raises
    ------
    ShapeError
        Not one-dimensional, or too short.
    DspError
        Samples that are not numbers, or the tones are not there.
    """
    tracked = _track(x, rate_hz)
    if isinstance(tracked, str):
        raise DspError(f"There is no time map: {tracked}.", hint="Play the clock probe into this input.")
    size = tracked.delays.size
    differences = np.diff(np.eye(size), n=3, axis=0)
    bending, shapes = np.linalg.eigh(differences.T @ differences)
    bending = np.maximum(bending, 0.0)
    inside = shapes.T @ tracked.delays
    stiffnesses = np.concatenate([[0.0], np.geomspace(1e-3, 1e12, 61)])

    def score(stiffness: float) -> float:
        keep = 1.0 / (1.0 + stiffness * bending)
        free = size - float(np.sum(keep))
        return float(np.sum(((1.0 - keep) * inside) ** 2)) / free**2 if free > 1e-9 else math.inf

    keep = 1.0 / (1.0 + min(stiffnesses, key=score) * bending)
    smooth = shapes @ (keep * inside)
    sd = tracked.block_sd * np.sqrt((shapes**2) @ keep**2)
    steady = tracked.start + tracked.drift_removed * tracked.at
    return TimeMap(tracked.at / rate_hz, steady + smooth, sd)


@dataclass(frozen=True)
class _Track:
    """Blocks of the recording: what their delays do beside the steady drift that was removed."""

    at: Floats
    """Middle of each block [frames]."""
    centred: Floats
    delays: Floats
    block_sd: float
    slope_left: float
    drift_removed: float
    start: float
    """Delay at frame 0 to which ``drift_removed·at + delays`` adds."""
    delay: Figure

    @property
    def drift(self) -> float:
        return self.drift_removed + self.slope_left


def _track(x: NDArray[np.float32] | Floats, rate_hz: int) -> _Track | str:
    """Follow the tones' phases through the recording, or say why that cannot be done."""
    if x.ndim != 1 or x.size < FEWEST_BLOCKS * int(BLOCK_S * rate_hz):
        raise ShapeError(
            f"A drift needs at least {FEWEST_BLOCKS * BLOCK_S:.1f} s of one input, not an array of shape {x.shape}.",
            hint="Record for 10 s, and measure one input at a time.",
        )
    if not np.all(np.isfinite(x)):
        raise DspError("The recording holds samples that are not numbers.", hint="Check the driver and record again.")
    frames = int(BLOCK_S * rate_hz)
    count = x.size // frames
    blocks = x[: count * frames].astype(np.float64).reshape(count, frames)
    hz, phases = clock_tones(rate_hz)
    omega = 2.0 * np.pi * hz / rate_hz
    middle = np.asarray(np.arange(count) * frames + 0.5 * (frames - 1), dtype=np.float64)
    drift = 0.0
    tones, noise = _demodulate(blocks, omega, middle)
    sounding = _sounding(tones, noise, frames)
    if sounding is None:
        return "the clock's tones do not stand out from the noise"
    tones, middle, blocks = tones[sounding], middle[sounding], blocks[sounding]
    if middle.size < FEWEST_BLOCKS:
        return f"the clock's tones sound for only {middle.size * BLOCK_S:.1f} s"
    for _ in range(4):
        step = _coarse_to_fine(tones, omega, frames)
        drift += step
        if abs(drift) > FARTHEST_PPM * 1e-6:
            return f"the clocks are more than {FARTHEST_PPM:.0f} ppm apart, or something else is played"
        tones, noise = _demodulate(blocks, np.asarray(omega * (1.0 - drift), dtype=np.float64), middle)
        if abs(step) < 1e-9:
            break
    mean = tones.mean(axis=0)
    if float(np.sum(np.abs(mean) ** 2)) < 0.25 * float(np.mean(np.sum(np.abs(tones) ** 2, axis=1))):
        return "the tones' phases do not hold together: the clocks jump, or something else is played"
    turned = np.unwrap(np.angle(tones * np.exp(-1j * np.angle(mean))), axis=0)
    weight = omega**2 * np.abs(mean) ** 2
    delays = -(turned * (weight / omega)) @ np.ones(omega.size) / np.sum(weight)
    centred = middle - middle.mean()
    slope = float(centred @ delays / (centred @ centred))
    # each of a tone's two quadratures spreads by σ·√(2/frames); a phase by that over the amplitude
    sigma = math.sqrt(float(np.mean(noise)))
    block_sd = sigma * math.sqrt(2.0 / frames / float(np.sum(weight)))
    at_start = mean * np.exp(-1j * phases)
    start, start_sd = _start_delay(at_start, omega, sigma, frames * middle.size, rate_hz)
    lag = start + float(delays.mean()) - slope * float(middle.mean())
    lag_sd = math.hypot(start_sd, block_sd * float(middle.mean()) / math.sqrt(float(centred @ centred)))
    return _Track(middle, centred, delays, block_sd, slope, drift, start, Figure(lag, lag_sd))


def _demodulate(blocks: Floats, omega: Floats, middle: Floats) -> tuple[Complexes, Floats]:
    """Return every tone's complex amplitude at frame 0 of the recording, (blocks, tones), and the noise per block."""
    frames = blocks.shape[1]
    local = np.arange(frames) - 0.5 * (frames - 1)
    basis = np.concatenate([np.cos(local[:, None] * omega), -np.sin(local[:, None] * omega)], axis=1)
    found = blocks @ np.linalg.pinv(basis).T
    left = np.mean((blocks - found @ basis.T) ** 2, axis=1) * (frames / (frames - basis.shape[1]))
    tones = found[:, : omega.size] + 1j * found[:, omega.size :]
    return tones * np.exp(-1j * np.mod(middle[:, None] * omega, 2.0 * np.pi)), np.maximum(left, 1e-32)


def _sounding(tones: Complexes, noise: Floats, frames: int) -> slice | None:
    """Return the blocks in which the tones sound fully, without the first and the last of them if those are cut."""
    power = np.sum(np.abs(tones) ** 2, axis=1)
    usual = float(np.median(power))
    floor = 2.0 * float(np.median(noise)) / frames * 2.0 * tones.shape[1]
    if usual < TONE_Z * floor:
        return None
    steady = (np.abs(power / usual - 1.0) < 0.3) & (noise < EDGE_NOISE * np.median(noise))
    full = np.flatnonzero(steady)
    if not full.size:
        return None
    first, last = int(full[0]), int(full[-1])
    first += first > 0
    last -= last < power.size - 1
    return slice(first, last + 1)


def _coarse_to_fine(tones: Complexes, omega: Floats, frames: int) -> float:
    """Return the drift that the phases' turns between blocks tell, lags doubling; the lower tones begin."""
    drift = 0.0
    nominal_hz = omega / (2.0 * np.pi)
    low = nominal_hz <= max(COARSE_BELOW_HZ / HIGHEST_HZ * float(nominal_hz[-1]), float(nominal_hz[3]))
    lag = 1
    first = True
    while lag < tones.shape[0]:
        chosen = low if first else np.ones(omega.size, dtype=bool)
        w = omega[chosen]
        turn = np.sum(tones[lag:, chosen] * np.conj(tones[:-lag, chosen]), axis=0)
        angle = np.angle(turn * np.exp(1j * w * drift * lag * frames))
        weight = np.abs(turn)
        drift -= float(np.sum(weight * w * angle) / np.sum(weight * w**2)) / (lag * frames)
        if first:
            first = False
            continue
        lag *= 2
    return drift


def _start_delay(tones: Complexes, omega: Floats, sigma: float, frames: int, rate_hz: int) -> tuple[float, float]:
    """Return the most likely delay of a flat path [samples] for phases at frame 0, and its spread."""
    lags = np.arange(-64.0, LONGEST_DELAY_S * rate_hz, 0.5)
    best, peak = 0.0, -1.0
    for share in np.array_split(lags, max(1, lags.size // 8192)):
        height = np.abs((np.exp(1j * share[:, None] * omega) @ tones).real)
        k = int(np.argmax(height))
        if height[k] > peak:
            best, peak = float(share[k]), float(height[k])
    for _ in range(12):
        turned = tones * np.exp(1j * omega * best)
        slope, bend = -float(np.sum(omega * turned.imag)), -float(np.sum(omega**2 * turned.real))
        if bend * float(np.sum(turned.real)) >= 0.0:
            break
        best += float(np.clip(-slope / bend, -0.25, 0.25))
    stiffness = float(np.sum(omega**2 * np.abs(tones) ** 2))
    return best, sigma * math.sqrt(2.0 / frames / stiffness)


def _verdict(ppm: float, sd: float, locked: bool, wanders: bool, wander: float) -> str:
    if locked:
        return f"locked: one clock, drift below {3.0 * sd:.1g} ppm"
    if wanders:
        return f"not locked: {ppm:+.4g} ppm on average, and it wanders by {wander:.1e} sample RMS; use the time map"
    if abs(ppm) < 3.0 * sd:
        return f"undecided: no drift seen, but the spread of {sd:.2g} ppm is too wide to tell; record for longer"
    return f"not locked: the input's clock runs {abs(ppm):.4g} ppm {'fast' if ppm > 0.0 else 'slow'}"
