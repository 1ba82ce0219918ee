"""The analog ends of a path: coupling corners, a low-pass, and the gain and delay they trade with.

Per channel ``H(s) = g·e^(−sτ) / ((1 + p₁/s + p₂/s²)·(1 + q₁s + q₂s²))``, ``s`` being j times the frequency: at most two
first-order high-passes (corners ``a``, ``b``: ``p₁ = a + b``, ``p₂ = a·b``) and a second-order low-pass (``q₂ = 1/f²``,
``q₁ = 1/(Q·f)``). In these sums and products the fit is nearly linear, also where two corners meet, so Gauss-Newton
needs a handful of rounds; the corners are roots taken afterwards. Curves are exact at every frequency: no bilinear
transform, no taps. A drift left in the alignment is fitted with them, so that neither bends the other.

Far above its corners a pair of couplings is ``1 − (a + b)/s + (a² + ab + b²)/s²``: the sum is known far better than how
it splits. That is what "jointly identifiable" means here, and what the standard deviations of the corners show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp.measure.figure import Figure, unseen
from dsp.null.stretch import (
    Complex,
    Floats,
    Stretch,
    channels_of,
    fast_length,
    frequencies,
    sample,
    shaped,
    tail_frames,
)

# The parameters, in the order of the columns: gain (relative), delay [samples], and the coefficients, those of the
# low-pass in units of 20 kHz so that all are of the order of one.
GAIN, DELAY, P1, P2, Q1, Q2 = range(6)
LOW_PASS_UNIT_HZ = 20_000.0
START_HZ = 1.0
LOWEST_HZ = 0.4  # a coupling below remembers for longer than anyone reads back
LOW_PASS_START_HZ = 60_000.0
LOW_PASS_RANGE_HZ = (20_000.0, 200_000.0)
ROUNDS = 10
AFTER_FRAMES = 1_024
ENOUGH = 1e-2  # standard deviations a last step may have
LEAST_GAIN_DB = 0.1
LEAST_SIGMAS = 5.0
SAMPLE_FRAMES = 240_000  # frames on which it is decided which parts are there
JOINTLY = "the corners are known as a sum; how it splits is less certain"


@dataclass(frozen=True)
class ChannelCorners:
    """What one channel's path is made of."""

    gain_db: Figure
    polarity: int
    delay_samples: Figure
    """Beside the low-pass; positive when the recording is later than the reference as aligned."""
    coupling_hz: tuple[Figure, ...]
    """Corners of the high-passes, highest first; none, one or two."""
    coupling_sum_hz: Figure
    """Sum of the corners."""
    low_pass_hz: Figure
    low_pass_q: Figure


@dataclass(frozen=True, eq=False)
class Corners:
    """Fitted analog ends of a path; ``apply`` takes the aligned reference through them."""

    rate_hz: int
    model: str
    """Which parts were fitted."""
    channels: tuple[ChannelCorners, ...]
    coefficients: Floats
    """(channels, 6): gain, delay [samples], p₁ [Hz], p₂ [Hz²], q₁ [1/20 kHz], q₂ [1/(20 kHz)²]."""
    drift: Figure
    """Growth of the delay that the alignment had missed [samples per sample]; not applied here: read ``y`` anew."""
    middle: float
    """Frame of the recording at which that drift turns: keep the delay there when reading anew."""
    gained_db: float
    """What the curves take off the residual beside gain and delay."""
    kept: bool
    why: str
    residual_rms: tuple[float, ...]
    """Per channel over the frames fitted."""

    @property
    def margin_frames(self) -> int:
        """Frames at the start of a block that still depend on what came before it (see ``tail_frames``)."""
        lowest = min((f.value for channel in self.channels for f in channel.coupling_hz if f.value > 0), default=0.0)
        return max(256, tail_frames(lowest, self.rate_hz))

    @property
    def margins(self) -> tuple[int, int]:
        """Frames before and after a block that must be seen."""
        return self.margin_frames, AFTER_FRAMES

    def response(self, freq_hz: Floats) -> Complex:
        """Return the curve, (channels, n)."""
        return np.stack([_curve(row, np.asarray(1j * freq_hz), self.rate_hz) for row in self.coefficients])

    def apply(self, y: Floats) -> Floats:
        """Return ``y`` (channels, frames) through the curves; the first ``margin_frames`` are not complete."""
        return shaped(
            y,
            lambda length: self.response(frequencies(length, self.rate_hz)),
            before=self.margin_frames,
            after=AFTER_FRAMES,
        )


def fit_corners(stretches: Sequence[Stretch], *, rate_hz: int) -> Corners:
    """Fit gain, delay, coupling corners and a low-pass per channel, and, where slopes are given, one drift.

    Parameters
    ----------
    stretches
        Aligned to a small part of a sample; ``y`` need not have the recording's gain or polarity. Give a second or two
        of context before each ``start``: what a coupling remembers from before it is missing otherwise.
    rate_hz
        Sample rate of both.

    Notes
    -----
    Standard deviations take the residual as white noise. Parts are kept that are five standard deviations from none;
    the whole is when it takes at least 0.1 dB off the residual. A second coupling that is not seen makes the first one
    read as about their sum.

    Raises
    ------
    DspError
        No stretch, or one that holds NaN.
    """
    count = channels_of(stretches)
    few = _Problem(sample(stretches, SAMPLE_FRAMES, after=AFTER_FRAMES), count, rate_hz)
    start = np.zeros((count, 6))
    start[:, GAIN] = few.gains
    if not np.any(start[:, GAIN]):
        start[:, GAIN] = 1.0
    base = few.descend(start, (GAIN, DELAY))
    guess = base.values.copy()
    guess[:, P1], guess[:, P2] = 2.0 * START_HZ, START_HZ**2
    unit = LOW_PASS_UNIT_HZ / LOW_PASS_START_HZ
    guess[:, Q1], guess[:, Q2] = np.sqrt(2.0) * unit, unit**2
    guess[:, DELAY] -= np.sqrt(2.0) * unit * rate_hz / (2.0 * np.pi * LOW_PASS_UNIT_HZ)
    chosen = _choose(few, guess) if _promises(few, base) else base
    gained_db = _decibels(float(np.sum(base.left)), float(np.sum(chosen.left)))
    kept = len(chosen.free) > 2 and gained_db >= LEAST_GAIN_DB
    del few  # its transforms, before there are those of the whole
    whole = _Problem(list(stretches), count, rate_hz)
    last = whole.descend(chosen.values, chosen.free) if kept else whole.descend(base.values, base.free)
    why = f"{gained_db:.1f} dB" if kept else "no coupling or low-pass takes 0.1 dB off the residual"
    return Corners(
        rate_hz=rate_hz,
        model=_name(last.free),
        channels=tuple(_channel(last, index) for index in range(count)),
        coefficients=last.values,
        drift=last.drift(),
        middle=whole.middle,
        gained_db=gained_db,
        kept=kept,
        why=why,
        residual_rms=tuple(float(x) for x in np.sqrt(last.left / whole.frames)),
    )


def _choose(problem: _Problem, guess: Floats) -> _Fit:
    """Fit everything, then take away what can be missed: the low-pass, the second coupling, the first."""
    best = problem.descend(guess, (GAIN, DELAY, P1, P2, Q1, Q2))
    for part in ((Q1, Q2), (P2,), (P1,)):
        if part == (P1,) and P2 in best.free:
            break
        if Q1 not in part and _clear(best, part[0]) and _physical(best, part):
            continue
        values = best.values.copy()
        if Q1 in part:
            values[:, DELAY] += values[:, Q1] * problem.rate_hz / (2.0 * np.pi * LOW_PASS_UNIT_HZ)
        values[:, list(part)] = 0.0
        less = problem.descend(values, tuple(index for index in best.free if index not in part))
        significant = less.cost(best) - best.cost() > LEAST_SIGMAS**2
        if not (significant and _physical(best, part)):
            best = less
    return best


def _promises(problem: _Problem, base: _Fit) -> bool:
    """Whether the slope of the fit without corners says that corners could take 0.1 dB off."""
    values = base.values.copy()
    values[:, Q1], values[:, Q2] = 1e-6, 1e-6  # next to nothing, and no longer the same as a delay
    trial = problem.at(values, base.slip, (GAIN, DELAY, P1, P2, Q1, Q2))
    saved = float(trial.gradient @ trial.covariance() @ trial.gradient)
    return _decibels(trial.cost(), max(trial.cost() - saved, 1e-6 * trial.cost())) >= LEAST_GAIN_DB


def _physical(fit: _Fit, part: Sequence[int]) -> bool:
    """Whether the coefficients are those of a passive path that forgets within seconds.

    None is below zero by more than its spread, and the lowest coupling is not below what the context reaches back to.
    """
    low = 0.5 * fit.values[:, P1] - np.sqrt(np.maximum(0.25 * fit.values[:, P1] ** 2 - fit.values[:, P2], 0.0))
    forgets = bool(np.all((fit.values[:, P2] == 0.0) | (low >= LOWEST_HZ)))
    if P2 not in fit.free and P1 in part:
        forgets = bool(np.all(fit.values[:, P1] >= LOWEST_HZ))
    passive = bool(np.all((fit.values >= -LEAST_SIGMAS * fit.sds())[:, list(part)]))
    return passive and (forgets or not {P1, P2} & set(part))


def _clear(fit: _Fit, index: int) -> bool:
    """Whether by the curvature alone a coefficient is far from none on some channel, and below none on no channel."""
    values, sds = fit.values[:, index], fit.sds()[:, index]
    sigmas = values / np.where(sds > 0.0, sds, np.inf)
    worth_db = _decibels(fit.cost() + float(np.sum(sigmas**2)), fit.cost())
    return bool(np.min(sigmas) > -LEAST_SIGMAS and np.max(sigmas) > 2.0 * LEAST_SIGMAS and worth_db > 1.0)


def _name(free: tuple[int, ...]) -> str:
    couplings = "two couplings" if P2 in free else "one coupling" if P1 in free else ""
    return " and ".join(part for part in (couplings, "a low-pass" if Q1 in free else "") if part) or "gain and delay"


def _decibels(over: float, under: float) -> float:
    return 10.0 * float(np.log10(over / under)) if over > 0.0 and under > 0.0 else 0.0


def _curve(values: Floats, s_hz: Complex, rate_hz: int) -> Complex:
    """Return the curve of one channel at ``s`` = j·f."""
    out = values[GAIN] * np.exp(s_hz * (-2.0 * np.pi * values[DELAY] / rate_hz))
    u = s_hz / LOW_PASS_UNIT_HZ
    out /= 1.0 + values[Q1] * u + values[Q2] * u**2
    if values[P1] or values[P2]:
        out *= s_hz**2 / _safe(s_hz**2 + values[P1] * s_hz + values[P2])
    return np.asarray(out, dtype=np.complex128)


def _safe(x: Complex) -> Complex:
    return np.where(x == 0.0, 1.0, x)


def _directions(values: Floats, s_hz: Complex, rate_hz: int, free: Sequence[int]) -> list[Complex]:
    """Return ``∂ ln H`` by each free parameter (by the gain: relative to it)."""
    u = s_hz / LOW_PASS_UNIT_HZ
    high = _safe(s_hz**2 + values[P1] * s_hz + values[P2])
    low = 1.0 + values[Q1] * u + values[Q2] * u**2
    known: dict[int, Complex] = {}
    for index in free:
        if index == GAIN:
            known[index] = np.ones_like(s_hz)
        elif index == DELAY:
            known[index] = s_hz * (-2.0 * np.pi / rate_hz)
        elif index in (P1, P2):
            known[index] = -(s_hz if index == P1 else np.ones_like(s_hz)) / high
        else:
            known[index] = -(u if index == Q1 else u**2) / low
    return [known[index] for index in free]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Values, what they leave, and the curvature there. The last parameter of all is the drift, when there is one."""

    values: Floats
    slip: float
    """The drift reached [samples per half span]."""
    left: Floats
    """Sum of squares left per channel."""
    frames: int
    free: tuple[int, ...]
    information: Floats
    gradient: Floats
    half: float
    """Frames from the middle to the end; 0 without a drift."""

    def cost(self, by: _Fit | None = None) -> float:
        """Sum of squares, each channel in units of the noise (that of ``by``)."""
        return float(np.sum(self.left * (by or self).weights()))

    def weights(self) -> Floats:
        return np.where(self.left > 0.0, self.frames / np.where(self.left > 0.0, self.left, 1.0), 0.0)

    def covariance(self) -> Floats:
        scale = np.sqrt(np.diag(self.information))
        scale = np.where(scale > 0.0, 1.0 / np.where(scale > 0.0, scale, 1.0), 0.0)
        inverse = np.linalg.pinv(self.information * scale * scale[:, None], rcond=1e-13, hermitian=True)
        return np.asarray(inverse * scale * scale[:, None], dtype=np.float64)

    def sds(self) -> Floats:
        """(channels, 6); 0 for what was not fitted."""
        out = np.zeros_like(self.values)
        spread = np.sqrt(np.maximum(np.diag(self.covariance()), 0.0))
        count = len(self.free)
        for channel in range(out.shape[0]):
            out[channel, list(self.free)] = spread[channel * count : (channel + 1) * count]
        return out

    def block(self, channel: int) -> Floats:
        """Covariance of one channel's parameters, (6, 6); zero for what was not fitted."""
        out = np.zeros((6, 6))
        count = len(self.free)
        own = slice(channel * count, (channel + 1) * count)
        out[np.ix_(self.free, self.free)] = self.covariance()[own, own]
        return out

    def drift(self) -> Figure:
        if self.half == 0.0:
            return unseen("no slopes were given")
        return Figure(self.slip / self.half, float(np.sqrt(max(0.0, self.covariance()[-1, -1]))) / self.half)


class _Problem:
    """The stretches, transformed once, and Gauss-Newton over them."""

    def __init__(self, stretches: list[Stretch], count: int, rate_hz: int) -> None:
        self.stretches, self.count, self.rate_hz = stretches, count, rate_hz
        self.frames = sum(stretch.stop - stretch.start for stretch in stretches)
        self.drifting = all(stretch.slope is not None for stretch in stretches)
        first = min(stretch.at + stretch.start for stretch in stretches)
        last = max(stretch.at + stretch.stop for stretch in stretches)
        self.middle, self.half = 0.5 * (first + last), 0.5 * (last - first)
        self._spectra: list[tuple[Complex, Complex, Complex | None]] = []
        shared, own = np.zeros(count), np.zeros(count)
        for stretch in stretches:
            frames = stretch.y.shape[1]
            length = fast_length(frames + 4096)
            spectra = np.fft.rfft(stretch.y, length, axis=1)
            turned = None
            if stretch.slope is not None and self.drifting:
                lever = (stretch.at + np.arange(frames) - self.middle) / self.half
                turned = np.fft.rfft(stretch.slope * lever, length, axis=1)
            self._spectra.append((np.asarray(1j * frequencies(length, rate_hz)), spectra, turned))
            inside = stretch.inside(stretch.y)
            shared += np.einsum("cn,cn->c", inside, stretch.heard)
            own += np.einsum("cn,cn->c", inside, inside)
        self.gains: Floats = np.where(own > 0.0, shared / np.where(own > 0.0, own, 1.0), 0.0)

    def descend(self, values: Floats, free: tuple[int, ...]) -> _Fit:
        """Run Gauss-Newton from ``values`` over the free parameters."""
        best = self.at(values, 0.0, free)
        for _ in range(ROUNDS):
            covariance = best.covariance()
            step = covariance @ best.gradient
            if float(step @ best.gradient) < ENOUGH**2 * step.size:
                break
            for shorter in (1.0, 0.3, 0.1):
                moved = self.at(*self._moved(best, shorter * step), free)
                if moved.cost(best) < best.cost():
                    break
            else:
                break
            best = moved
        return best

    def _moved(self, fit: _Fit, step: Floats) -> tuple[Floats, float]:
        count = len(fit.free)
        values = fit.values.copy()
        for channel in range(self.count):
            for index, size in zip(fit.free, step[channel * count : (channel + 1) * count], strict=True):
                values[channel, index] += size * (fit.values[channel, GAIN] if index == GAIN else 1.0)
        return values, fit.slip + (float(step[-1]) if self.drifting else 0.0)

    def at(self, values: Floats, slip: float, free: tuple[int, ...]) -> _Fit:
        """Return residual, gradient and information at ``values``."""
        count = len(free)
        size = count + int(self.drifting)
        normal = np.zeros((self.count, size, size))
        pull = np.zeros((self.count, size))
        left = np.zeros(self.count)
        for stretch, (s_hz, spectra, turned) in zip(self.stretches, self._spectra, strict=True):
            length = 2 * (s_hz.size - 1)
            for channel in range(self.count):
                curve = _curve(values[channel], s_hz, self.rate_hz)
                through = spectra[channel] * curve
                if turned is not None:
                    late = turned[channel] * curve
                    through = through + slip * late
                rows = [through * direction for direction in _directions(values[channel], s_hz, self.rate_hz, free)]
                if turned is not None:
                    rows.append(late)
                columns = np.empty((size, stretch.stop - stretch.start))
                for index, row in enumerate(rows):
                    columns[index] = np.fft.irfft(row, length)[stretch.start : stretch.stop]
                residual = stretch.heard[channel] - columns[0]  # the first column is the model itself: the gain
                normal[channel] += columns @ columns.T
                pull[channel] += columns @ residual
                left[channel] += residual @ residual
        weights: Floats = np.where(left > 0.0, self.frames / np.where(left > 0.0, left, 1.0), 0.0)
        information = np.zeros((self.count * count + int(self.drifting),) * 2)
        gradient = np.zeros(self.count * count + int(self.drifting))
        for channel, weight in enumerate(weights):
            own = list(range(channel * count, (channel + 1) * count)) + ([-1] if self.drifting else [])
            information[np.ix_(own, own)] += weight * normal[channel]
            gradient[own] += weight * pull[channel]
        half = self.half if self.drifting else 0.0
        return _Fit(values, slip, left, self.frames, free, information, gradient, half)


def _channel(fit: _Fit, channel: int) -> ChannelCorners:
    values, block, sds = fit.values[channel], fit.block(channel), fit.sds()[channel]
    gain = values[GAIN]
    return ChannelCorners(
        gain_db=Figure(20.0 * float(np.log10(abs(gain))), 8.685889638 * float(sds[GAIN]))
        if gain
        else unseen("a channel is silent"),
        polarity=-1 if gain < 0.0 else 1,
        delay_samples=Figure(float(values[DELAY]), float(sds[DELAY])),
        coupling_hz=_couplings(values, block, fit.free),
        coupling_sum_hz=Figure(float(values[P1]), float(sds[P1]))
        if P1 in fit.free
        else unseen("no coupling was found"),
        low_pass_hz=_low_pass(values, block, fit.free)[0],
        low_pass_q=_low_pass(values, block, fit.free)[1],
    )


def _couplings(values: Floats, block: Floats, free: tuple[int, ...]) -> tuple[Figure, ...]:
    """Return the roots of ``x² − p₁x + p₂``, highest first."""
    if P1 not in free:
        return ()
    if P2 not in free:
        return (Figure(float(values[P1]), float(np.sqrt(block[P1, P1]))),)
    square = values[P1] ** 2 - 4.0 * values[P2]
    root = float(np.sqrt(max(square, 0.0)))
    square_slope = np.array([2.0 * values[P1], -4.0])
    own = block[np.ix_([P1, P2], [P1, P2])]
    square_sd = float(np.sqrt(square_slope @ own @ square_slope))
    if square < square_sd:  # equal within the error: each lies about the mean, by the spread of what is under the root
        mean, sd = 0.5 * float(values[P1]), 0.5 * float(np.sqrt(max(square, 0.0) + square_sd))
        note = "two equal corners within the error"
        if square < -LEAST_SIGMAS * square_sd:
            note = f"a resonant high-pass at {np.sqrt(values[P2]):.3g} Hz, Q {np.sqrt(values[P2]) / values[P1]:.2f}"
        return (Figure(mean, sd, note), Figure(mean, sd, note))
    found: list[Figure] = []
    for sign in (1.0, -1.0):
        slope = np.array([0.5 + sign * values[P1] / (2.0 * root), -sign / root])
        found.append(Figure(0.5 * float(values[P1] + sign * root), float(np.sqrt(slope @ own @ slope)), JOINTLY))
    return tuple(found)


def _low_pass(values: Floats, block: Floats, free: tuple[int, ...]) -> tuple[Figure, Figure]:
    """Return corner [Hz] and Q."""
    if Q2 not in free:
        return unseen("no low-pass was found"), unseen("no low-pass was found")
    if values[Q2] <= 0.0 or values[Q1] <= 0.0:
        return unseen("the roll-off is not that of a low-pass"), unseen("the roll-off is not that of a low-pass")
    corner, q = LOW_PASS_UNIT_HZ / np.sqrt(values[Q2]), np.sqrt(values[Q2]) / values[Q1]
    own = block[np.ix_([Q1, Q2], [Q1, Q2])]
    by_corner = np.array([0.0, -0.5 * corner / values[Q2]])
    by_q = np.array([-q / values[Q1], 0.5 * q / values[Q2]])
    low, high = LOW_PASS_RANGE_HZ
    note = "" if low <= corner <= high else f"outside {low / 1e3:.0f} … {high / 1e3:.0f} kHz: some other roll-off"
    return (
        Figure(float(corner), float(np.sqrt(by_corner @ own @ by_corner)), note),
        Figure(float(q), float(np.sqrt(by_q @ own @ by_q)), note),
    )
