"""What moved a gain: a compressor, a fader, a tremolo; each a model, and the one that explains the track is named."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.null.residual_gain import GainTrack

Floats = NDArray[np.float64]
Kind = Literal["steady", "compressor", "expander", "distortion", "moves", "tremolo", "unclear"]

DISTORTS = 0.5
EXPLAINS = 0.5  # of the variation that is no noise: less and the cause is unclear
FIT_ENTRIES = 4_096  # 82 s in entries of 20 ms
TIMES_S = tuple(0.005 * 2.0**n for n in range(10))  # 5 ms to 2.6 s: what compressors offer
THRESHOLD_SHARES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.92)
MODEL_THRESHOLD_DB = 1.0
MODEL_SLOPE, MODEL_TIME, MODEL_DEPTH = (
    0.25,
    0.5,
    0.08,
)  # relative: what the unknown detector and knee of a compressor can be off by
WINDOW_S = 0.5
MOVE_SIGMAS = 8.0
SMALLEST_MOVE_DB = 0.01
MOST_MOVES = 64
TREMOLO_HZ = (0.3, 20.0)


@dataclass(frozen=True)
class Compressor:
    """Gain that falls (of an expander: rises) with the programme's level above a threshold."""

    slope: Figure
    """dB of gain per dB of level above the threshold; −0.5 is a ratio of 2:1."""
    threshold_dbfs: Figure
    """RMS level of the reference in an entry, AES17."""
    most_reduction_db: Figure
    attack_s: Figure
    """Time constant; a guess: its spread holds half of it for the unknown detector beside the fit's curvature."""
    release_s: Figure


@dataclass(frozen=True)
class Move:
    """A step or ramp of the gain."""

    at_s: float
    """Middle of the move, in the recording [s]."""
    length_s: float
    """0 for a step shorter than two entries."""
    amount_db: Figure


@dataclass(frozen=True)
class Tremolo:
    """A periodic gain."""

    hz: Figure
    depth_db: Figure
    """Peak to peak."""


@dataclass(frozen=True)
class GainCause:
    """What moved the gain of one channel, and how much of its variation that explains (0 to 1)."""

    kind: Kind
    explained: float
    compressor: Compressor | None = None
    moves: tuple[Move, ...] = ()
    tremolo: Tremolo | None = None


def cause_of(track: GainTrack, *, harmonic: float) -> GainCause:
    """Return the cause that explains most of a track that moves significantly.

    ``harmonic`` is the mean square of the second and third order in the residual. A compressor makes hardly
    any; where it is half of the gain's own power or more, a gain that follows the level is a distortion's.
    """
    if not track.moves:
        return GainCause("steady", 0.0)
    weight = 1.0 / (track.sd_db**2 + np.median(track.sd_db) ** 2)
    weight /= weight.sum()
    mean = float(np.sum(weight * track.gain_db))
    variation = float(np.sum(weight * ((track.gain_db - mean) ** 2 - track.sd_db**2)))
    if variation <= 0.0:
        return GainCause("unclear", 0.0)

    def explained(fitted: Floats, at: slice = slice(None)) -> float:
        w, g, sd = weight[at], track.gain_db[at], track.sd_db[at]
        about = g - np.sum(w * g) / np.sum(w)
        whole = float(np.sum(w * (about**2 - sd**2)))
        left = float(np.sum(w * ((g - fitted) ** 2 - sd**2)))
        return float(np.clip(1.0 - left / whole, 0.0, 1.0)) if whole > 0.0 else 0.0

    part = _loudest_stretch(track)
    compressor, by_level = _compressor(track, part, weight)
    moves, by_moves = _moves(track)
    tremolo, by_period = _tremolo(track, weight)
    slope = compressor.slope.value
    kind_of_level: Kind = "compressor" if slope < 0.0 else "expander"
    if harmonic > DISTORTS * track.power:
        kind_of_level = "distortion"
    choices = (
        (explained(by_level, part), GainCause(kind_of_level, 0.0, compressor=compressor)),
        (explained(by_period), GainCause("tremolo", 0.0, tremolo=tremolo)),
        (explained(by_moves) - 0.02 * len(moves), GainCause("moves", 0.0, moves=moves)),
    )
    score, best = max(choices, key=lambda choice: choice[0])
    if score < EXPLAINS:
        return GainCause("unclear", max(0.0, score))
    return GainCause(best.kind, score, best.compressor, best.moves, best.tremolo)


def _loudest_stretch(track: GainTrack) -> slice:
    count = track.gain_db.size
    if count <= FIT_ENTRIES:
        return slice(0, count)
    sums = np.concatenate([[0.0], np.cumsum(10.0 ** (track.level_dbfs / 10.0))])
    first = int(np.argmax(sums[FIT_ENTRIES:] - sums[:-FIT_ENTRIES]))
    return slice(first, first + FIT_ENTRIES)


def _compressor(track: GainTrack, part: slice, weight: Floats) -> tuple[Compressor, Floats]:
    """Fit ``gain = rest + slope·smoothed(level above threshold)`` over a grid of thresholds and times.

    The smoother takes the attack while the level above the threshold rises over what it holds, the release while it
    falls (Giannoulis, Massberg and Reiss, JAES 60, 2012, the smooth branching detector in the log domain).
    """
    level, gain, w = track.level_dbfs[part], track.gain_db[part], weight[part] / np.sum(weight[part])
    thresholds = np.quantile(level, THRESHOLD_SHARES)
    times = np.array(TIMES_S)
    grid = _grid(thresholds, times, times)
    fits = _fits(level, gain, w, grid, track.entry_s)
    for shrink in (0.5, 0.25):
        best = grid[int(np.argmin(fits.cost))]
        step = shrink * float(np.mean(np.diff(thresholds)))
        near = 2.0 ** (shrink * np.arange(-1, 2))
        grid = _grid(best[0] + step * np.arange(-2, 3), best[1] * near, best[2] * near)
        fits = _fits(level, gain, w, grid, track.entry_s)
    at = int(np.argmin(fits.cost))
    slope, rest, shape = float(fits.slope[at]), float(fits.rest[at]), fits.shapes[:, at]
    left = gain - rest - slope * shape
    # Neighbouring errors hang together: as many are counted as independent as the lag-one correlation leaves.
    rho = float(np.clip(np.sum(left[1:] * left[:-1]) / max(float(np.sum(left**2)), 1e-300), 0.0, 0.98))
    many = gain.size * (1.0 - rho) / (1.0 + rho)
    error = float(fits.cost[at])
    centred = shape - np.sum(w * shape)
    slope_sd = float(np.sqrt(error / max(float(np.sum(w * centred**2)) * many, 1e-300)))

    def spread(column: int) -> float:
        """Half-width at which the cost has grown by one part in ``many``, from the grid's own curvature."""
        others = [c for c in range(3) if c != column]
        same = np.all(np.isclose(grid[:, others], grid[at, others]), axis=1)
        x, y = grid[same, column], fits.cost[same]
        if column > 0:
            x = np.log(x)
        curve = np.polyfit(x - x.mean(), y, 2)[0] if x.size >= 3 else 0.0
        step_sd = float(np.ptp(x)) / (x.size - 1) / np.sqrt(12.0) if x.size > 1 else 0.0
        return float(np.hypot(np.sqrt(error / (many * curve)) if curve > 0.0 else np.ptp(x), step_sd))

    def seconds(column: int) -> Figure:
        value = float(grid[at, column])
        if value < track.entry_s * 0.5:
            return unseen(f"faster than an entry of {1e3 * track.entry_s:.0f} ms")
        return Figure(value, value * float(np.hypot(spread(column), MODEL_TIME)), "a guess")

    most = float(np.max(shape, initial=0.0))
    return (
        Compressor(
            slope=Figure(slope, float(np.hypot(slope_sd, MODEL_SLOPE * slope))),
            threshold_dbfs=Figure(float(grid[at, 0]), float(np.hypot(spread(0), MODEL_THRESHOLD_DB))),
            most_reduction_db=Figure(-slope * most, float(np.hypot(slope_sd * most, MODEL_DEPTH * slope * most))),
            attack_s=seconds(1),
            release_s=seconds(2),
        ),
        rest + slope * shape,
    )


def _grid(thresholds: Floats, attacks: Floats, releases: Floats) -> Floats:
    return np.array([(t, a, r) for t in thresholds for a in attacks for r in releases])


def _smoothed(level: Floats, grid: Floats, entry_s: float) -> Floats:
    """Return the smoothed level above the threshold, (entries, grid); the filters start at rest."""
    above = np.maximum(level[:, None] - grid[:, 0], 0.0)
    rise, fall = 1.0 - np.exp(-entry_s / grid[:, 1]), 1.0 - np.exp(-entry_s / grid[:, 2])
    state = np.zeros(grid.shape[0])
    out = np.empty_like(above)
    for k in range(level.size):
        ahead = above[k] - state
        step = np.where(ahead > 0.0, rise, fall) * ahead
        out[k] = state + 0.5 * step  # on average over the entry
        state = state + step
    return out


@dataclass(frozen=True)
class _Fits:
    """Weighted mean square left, slope and rest per grid point, and the shapes (entries, grid)."""

    cost: Floats
    slope: Floats
    rest: Floats
    shapes: Floats


def _fits(level: Floats, gain: Floats, w: Floats, grid: Floats, entry_s: float) -> _Fits:
    shapes = _smoothed(level, grid, entry_s)
    mean, mean_gain = w @ shapes, float(w @ gain)
    own = w @ shapes**2 - mean**2
    shared = (w * gain) @ shapes - mean * mean_gain
    slope = np.where(own > 1e-9, shared / np.where(own > 1e-9, own, 1.0), 0.0)
    cost = float(w @ gain**2) - mean_gain**2 - slope * shared
    return _Fits(np.maximum(cost, 0.0), slope, mean_gain - slope * mean, shapes)


def _moves(track: GainTrack) -> tuple[tuple[Move, ...], Floats]:
    """Find where the mean gain before and after differ, and the levels between: (moves, fitted gain).

    A move stands out when the weighted means over 0.5 s before and after it differ by 8 standard deviations. The
    highest of a hill of differences is its middle; hills of one sign that touch are one ramp.
    """
    gain, w = track.gain_db, 1.0 / np.maximum(track.sd_db**2, 1e-24)
    count = gain.size
    half = max(3, round(WINDOW_S / track.entry_s))
    fitted = np.full(count, float(np.sum(w * gain) / np.sum(w)))
    if count < 2 * half + 1:
        return (), fitted
    sw, swg = (np.concatenate([[0.0], np.cumsum(x)]) for x in (w, w * gain))
    middle = np.arange(half, count - half)
    before = (swg[middle] - swg[middle - half]) / (sw[middle] - sw[middle - half])
    after = (swg[middle + half] - swg[middle]) / (sw[middle + half] - sw[middle])
    sd = np.sqrt(1.0 / (sw[middle] - sw[middle - half]) + 1.0 / (sw[middle + half] - sw[middle]))
    differ = after - before
    hot = (np.abs(differ) > MOVE_SIGMAS * sd) & (np.abs(differ) > SMALLEST_MOVE_DB)
    signed = np.where(hot, np.sign(differ), 0.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], signed, [0.0]])) != 0.0)
    hills = [(int(a), int(b)) for a, b in pairwise(edges) if signed[a] != 0.0]
    if not hills or len(hills) > MOST_MOVES:
        return (), fitted
    spans: list[tuple[int, int]] = []
    for a, b in hills:
        # A step makes a triangle 2·half wide in the differences; what is wider is a ramp.
        strength = np.abs(differ[a:b])
        centre = float(np.sum(strength * np.arange(a, b)) / np.sum(strength))
        above = int(np.count_nonzero(strength > 0.5 * strength.max()))
        length = int(np.sqrt(max(0, above**2 - half**2)))
        if length <= max(2, half // 8):
            at = half + a + int(np.argmax(strength))
            spans.append((at, at))
        else:
            spans.append((round(half + centre - 0.5 * length), round(half + centre + 0.5 * length)))
    bounds = [0, *(x for span in spans for x in span), count]
    plateaus = [slice(max(0, bounds[n]), max(bounds[n] + 1, bounds[n + 1])) for n in range(0, len(bounds), 2)]
    levels = [float(np.sum(w[p] * gain[p]) / np.sum(w[p])) for p in plateaus]
    sds = [float(1.0 / np.sqrt(np.sum(w[p]))) for p in plateaus]
    knots = [0.0, *(float(x) + (0.5 if n % 2 else -0.5) for span in spans for n, x in enumerate(span)), float(count)]
    heights = [level for level in levels for _ in range(2)]
    fitted = np.interp(np.arange(count), np.maximum.accumulate(knots), heights)
    found: list[Move] = []
    for n, (first, last) in enumerate(spans):
        length_s = float(track.at_s[min(last, count - 1)] - track.at_s[first]) if last > first else 0.0
        place = 0.5 * (track.at_s[min(last, count - 1)] + track.at_s[first])
        at_s = float(place) - (0.5 * track.entry_s if last == first else 0.0)
        found.append(Move(at_s, length_s, Figure(levels[n + 1] - levels[n], float(np.hypot(sds[n], sds[n + 1])))))
    return tuple(found), fitted


def _tremolo(track: GainTrack, weight: Floats) -> tuple[Tremolo, Floats]:
    """Fit one sine to the gain, from the highest line of its weighted spectrum on by least squares."""
    mean = float(np.sum(weight * track.gain_db))
    about = track.gain_db - mean
    place = np.round((track.at_s - track.at_s[0]) / track.entry_s).astype(np.int64)
    frames = 1 << int(2 * place[-1] + 2).bit_length()
    grid = np.zeros(frames)
    grid[place] = weight * about
    power = np.abs(np.fft.rfft(grid)) ** 2
    hz = np.arange(power.size) / (frames * track.entry_s)
    power[(hz < TREMOLO_HZ[0]) | (hz > min(TREMOLO_HZ[1], 0.4 / track.entry_s))] = 0.0
    best = float(hz[int(np.argmax(power))])
    t = track.at_s - float(np.sum(weight * track.at_s))
    coefficients = np.zeros(4)
    design = np.ones((t.size, 4))
    for _ in range(6):  # Gauss-Newton: the slope by frequency joins cosine, sine and mean
        angle = 2.0 * np.pi * best * t
        design[:, 0], design[:, 1] = np.cos(angle), np.sin(angle)
        turning = 2.0 * np.pi * t * (coefficients[1] * design[:, 0] - coefficients[0] * design[:, 1])
        moving = bool(np.any(coefficients[:2]))
        design[:, 3] = turning if moving else 0.0
        used = 4 if moving else 3
        d = design[:, :used]
        solution = np.linalg.lstsq(d * np.sqrt(weight)[:, None], track.gain_db * np.sqrt(weight), rcond=None)[0]
        coefficients[:3] = solution[:3]
        if moving:
            best += float(np.clip(solution[3], -0.1, 0.1))
    fitted = design[:, :3] @ coefficients[:3]
    left = track.gain_db - fitted
    many = 1.0 / float(np.sum(weight**2))
    sigma2 = float(np.sum(weight * left**2))
    amplitude = float(np.hypot(coefficients[0], coefficients[1]))
    spread_t = float(np.sum(weight * t**2))
    # Cramér-Rao for amplitude and frequency of a real sine in white noise (Kay 1993, example 3.14).
    depth_sd = 2.0 * np.sqrt(2.0 * sigma2 / many)
    hz_sd = np.sqrt(2.0 * sigma2 / (many * max(spread_t, 1e-300))) / (2.0 * np.pi * max(amplitude, 1e-300))
    return Tremolo(Figure(best, float(hz_sd)), Figure(2.0 * amplitude, float(depth_sd))), fitted
