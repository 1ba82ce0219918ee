"""What leaks from each output into inputs that are not its own, with the noise taken off.

A leak is the response from an output to an input of another loop, over that other loop's own gain at the same
frequency. Around a frequency the tones are averaged with their phases, the delay of the path taken out, so that noise
and the distortion of other outputs, whose phases are random from tone to tone, average away; what of them is left adds
its power to the mean square and is taken off again: ``E|h̄|² = |h|² + 2·var``, ``var`` of either part of the mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ShapeError
from dsp.measure.figure import Figure, unseen
from dsp.measure.probe import HIGH_HZ, LOW_HZ
from dsp.measure.response import Response, in_band, most_likely_delay

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

HALF_BAND = 2.0 ** (1.0 / 6.0)
WIDEST_HALF_HZ = 500.0
FEWEST_TONES = 8
BY_CHANCE = 1.0 / 740.0
"""How often noise alone may pass for a leak among all that are looked at together: as often as three spreads."""
DELAY_Z = 5.0
LATEST_LEAK_SAMPLES = 16.0
"""A leak's delay is looked for this far around the loop's own."""
FIXED_HZ = (100.0, 1000.0, 10_000.0)
THIRDS_HZ = tuple(float(hz) for hz in 1000.0 * 2.0 ** (np.arange(-15, 13) / 3.0))
"""Third octaves from 31 Hz to 16 kHz, in which the worst is sought."""


@dataclass(frozen=True)
class Leak:
    """One output into one input that is not its own [dB re the loop of that input]."""

    at_100: Figure
    at_1k: Figure
    at_10k: Figure
    broad: Figure
    """All tones between 20 Hz and 20 kHz averaged with their phases: for a leak that is flat, the smallest spread."""


@dataclass(frozen=True)
class Crosstalk:
    """The worst leak of one output into any input that is not its own [dB re the loop of that input].

    ``worst`` is the leak that is largest with one spread taken off, so that noise is not what wins.
    """

    at_100: Figure
    at_1k: Figure
    at_10k: Figure
    worst: Figure
    worst_hz: float
    """NaN where no leak was seen anywhere."""
    worst_input: int
    """From 0; −1 where no leak was seen."""


def crosstalk(
    responses: Mapping[tuple[int, int], Response], expected: Mapping[int, Collection[int]], *, rate_hz: float = 48_000.0
) -> dict[int, Crosstalk]:
    """Return per output (from 0) the worst it leaks.

    Parameters
    ----------
    responses
        By (output, input), both from 0, as :func:`dsp.measure.response.responses` returns them.
    expected
        Per output the inputs it reaches on purpose; every other input is a victim. The gain a victim is related to is
        the mean power gain of the outputs that are expected there, of this output's own loop where there is none.
    rate_hz
        Sample rate [Hz]; the delays are sought on its samples.

    Raises
    ------
    ShapeError
        The responses of one output were not taken at the same tones.
    """
    return {leaks.output: leaks.worst() for leaks in _all_leaks(responses, expected, rate_hz)}


def crosstalk_map(
    responses: Mapping[tuple[int, int], Response], expected: Mapping[int, Collection[int]], *, rate_hz: float = 48_000.0
) -> dict[tuple[int, int], Leak]:
    """Return every leak by (output, input), both from 0; arguments and errors as of :func:`crosstalk`."""
    return {
        (leaks.output, victim): Leak(*(leaks.figure(step, column) for step in (0, 1, 2, -1)))
        for leaks in _all_leaks(responses, expected, rate_hz)
        for column, victim in enumerate(leaks.victims)
    }


@dataclass(frozen=True)
class _Leaks:
    """All leaks of one output: power re the victims' own loops and ``var``, (steps, victims), NaN where unknown.

    Steps are ``FIXED_HZ``, then ``THIRDS_HZ``, then the whole band.
    """

    output: int
    victims: tuple[int, ...]
    power: Floats
    variance: Floats
    """Of the real and of the imaginary part of the mean each."""

    @property
    def sd(self) -> Floats:
        """Return the spread of the power: ``√(4·var·P + 4·var²)``."""
        return np.asarray(
            np.sqrt(4.0 * self.variance * (np.maximum(self.power, 0.0) + self.variance)), dtype=np.float64
        )

    def figure(self, step: int, column: int) -> Figure:
        power, sd = float(self.power[step, column]), float(self.sd[step, column])
        if not np.isfinite(sd):
            return unseen("too few tones there, or the input has no loop of its own to relate it to")
        if power <= _seen_above(1) * self.variance[step, column]:
            return unseen(f"below {self.limit_db([step], column):.1f} dB")
        return Figure(_decibels(power), 10.0 / float(np.log(10.0)) * sd / power)

    def worst_at(self, step: int) -> Figure:
        sure = self.power[step] - self.sd[step]
        if not np.any(np.isfinite(sure)):
            return unseen("too few tones there, or no other input")
        seen = self.power[step] > _seen_above(len(self.victims)) * self.variance[step]
        if np.any(seen):
            return self.figure(step, int(np.argmax(np.where(seen, sure, -np.inf))))
        return unseen(f"below {self.limit_db([step]):.1f} dB")

    def limit_db(self, steps: slice | list[int], columns: int | slice = slice(None)) -> float:
        """Return the level that no leak of these passes: the mean's magnitude and three of its spreads [dB]."""
        power, variance = self.power[steps, columns], self.variance[steps, columns]
        reach = np.sqrt(np.maximum(power + 2.0 * variance, 0.0)) + 3.0 * np.sqrt(variance)
        return _decibels(float(np.nanmax(reach)) ** 2)

    def worst(self) -> Crosstalk:
        at_100, at_1k, at_10k = (self.worst_at(step) for step in range(len(FIXED_HZ)))
        thirds = slice(len(FIXED_HZ), len(FIXED_HZ) + len(THIRDS_HZ))
        power, sd = self.power[thirds], self.sd[thirds]
        seen = power > _seen_above(power.size) * self.variance[thirds]
        if not seen.any():
            known = bool(np.any(np.isfinite(sd)))
            why = f"below {self.limit_db(thirds):.1f} dB at every frequency" if known else "there is no other input"
            return Crosstalk(at_100, at_1k, at_10k, unseen(why), float("nan"), -1)
        step, column = np.unravel_index(int(np.argmax(np.where(seen, power - sd, -np.inf))), power.shape)
        worst = self.figure(thirds.start + int(step), int(column))
        return Crosstalk(at_100, at_1k, at_10k, worst, THIRDS_HZ[int(step)], self.victims[int(column)])


def _all_leaks(
    responses: Mapping[tuple[int, int], Response], expected: Mapping[int, Collection[int]], rate_hz: float
) -> list[_Leaks]:
    """Return the leaks of every output, in order."""
    own = {cell: r for cell, r in sorted(responses.items()) if cell[1] in expected.get(cell[0], ())}
    gains = {cell: _power_gains(response) for cell, response in own.items()}
    delays = {cell: most_likely_delay(in_band(r), rate_hz=rate_hz)[0] for cell, r in own.items() if _heard(r)}
    found = []
    for output in sorted({source for source, _ in responses}):
        victims = tuple(sorted(i for o, i in responses if o == output and i not in expected.get(output, ())))
        if not victims:
            empty = np.zeros((len(FIXED_HZ) + len(THIRDS_HZ) + 1, 0))
            found.append(_Leaks(output, (), empty, empty))
            continue
        home = [cell for cell in own if cell[0] == output]
        related = [[cell for cell in own if cell[1] == victim] or home for victim in victims]
        start = np.array([_first(delays, [*home, *cells]) for cells in related])
        hz, h, sd = _stacked([responses[output, victim] for victim in victims], output)
        power, variance = _mean_powers(hz, h, sd, _leak_delays(hz, h, sd, start, rate_hz), rate_hz)
        with np.errstate(divide="ignore", invalid="ignore"):
            reference = np.stack([_mean_gain([gains[cell] for cell in cells]) for cells in related], axis=1)
            found.append(_Leaks(output, victims, power / reference, variance / reference))
    return found


def _heard(response: Response) -> bool:
    band = in_band(response)
    return band.hz.size >= FEWEST_TONES and bool(np.any(band.h))


def _first(delays: Mapping[tuple[int, int], float], cells: Collection[tuple[int, int]]) -> float:
    return next((delays[cell] for cell in cells if cell in delays), 0.0)


def _stacked(several: list[Response], output: int) -> tuple[Floats, Complexes, Floats]:
    """Return tones, responses and spreads of one output, (tones, victims)."""
    hz = several[0].hz
    if any(not np.array_equal(r.hz, hz) for r in several):
        raise ShapeError(
            f"The responses of output {output + 1} were taken at different tones.", hint="Record all inputs at once."
        )
    return hz, np.stack([r.h for r in several], axis=1), np.stack([r.sd for r in several], axis=1)


def _power_gains(response: Response) -> Floats:
    """Return a loop's own power gain at every step, noise taken off; NaN where there are too few tones."""
    power = np.abs(response.h) ** 2 - 2.0 * response.sd**2
    means = [float(np.mean(power[near])) if near.size else np.nan for near in _steps(response.hz)]
    return np.array([mean if mean > 0.0 else np.nan for mean in means])


def _mean_gain(gains: list[Floats]) -> Floats:
    if not gains:
        return np.full(len(FIXED_HZ) + len(THIRDS_HZ) + 1, np.nan)
    known = np.isfinite(np.stack(gains))
    total = np.where(known, np.stack(gains), 0.0).sum(axis=0)
    return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan), dtype=np.float64)


def _leak_delays(hz: Floats, h: Complexes, sd: Floats, start: Floats, rate_hz: float) -> Floats:
    """Return each leak's own delay where it is heard well enough to have one, else the ``start``; (victims,)."""
    band = (hz >= LOW_HZ) & (hz <= HIGH_HZ)
    if np.count_nonzero(band) < FEWEST_TONES:
        return start
    omega = 2.0 * np.pi / rate_hz * hz[band]
    weighted = (h[band] / sd[band] ** 2) * np.exp(1j * omega[:, None] * start)
    lags = np.arange(-LATEST_LEAK_SAMPLES, LATEST_LEAK_SAMPLES + 0.25, 0.5)
    height = np.abs(np.exp(1j * lags[:, None] * omega) @ weighted)
    best = np.argmax(height, axis=0)
    z = height[best, np.arange(start.size)] / np.sqrt(np.sum(sd[band] ** -2.0, axis=0))
    return np.asarray(np.where(z > DELAY_Z, start + lags[best], start), dtype=np.float64)


def _mean_powers(hz: Floats, h: Complexes, sd: Floats, delay: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Return the power of the mean response and ``var`` at every step, (steps, victims)."""
    weight = sd**-2.0
    turned = h * np.exp(2j * np.pi / rate_hz * hz[:, None] * delay)
    powers, variances = [], []
    for near in _steps(hz):
        if near.size < FEWEST_TONES:
            powers.append(np.full(delay.size, np.nan))
            variances.append(np.full(delay.size, np.nan))
            continue
        w, t = weight[near], turned[near]
        total = np.sum(w, axis=0)
        mean = np.sum(w * t, axis=0) / total
        scatter = np.sum(w * np.abs(t - mean) ** 2, axis=0) / (2.0 * (near.size - 1))
        variances.append(np.maximum(1.0, scatter) / total)
        powers.append(np.abs(mean) ** 2 - 2.0 * variances[-1])
    return np.stack(powers), np.stack(variances)


def _steps(hz: Floats) -> list[NDArray[np.int64]]:
    """Return the tones around every step's frequency, then those of the whole band."""
    near = [_around(hz, centre) for centre in (*FIXED_HZ, *THIRDS_HZ)]
    return [*near, np.flatnonzero((hz >= LOW_HZ) & (hz <= HIGH_HZ))]


def _around(hz: Floats, centre: float) -> NDArray[np.int64]:
    """Return the tones within a sixth of an octave and 500 Hz; the nearest eight, if on both sides, where fewer."""
    low, high = max(centre / HALF_BAND, centre - WIDEST_HALF_HZ), min(centre * HALF_BAND, centre + WIDEST_HALF_HZ)
    near = np.arange(*np.searchsorted(hz, (low, high)))
    if near.size >= FEWEST_TONES or hz.size < FEWEST_TONES:
        return near
    chosen = np.sort(np.argsort(np.abs(np.log(hz / centre)))[:FEWEST_TONES])
    return chosen if hz[chosen[0]] <= centre <= hz[chosen[-1]] else near


def _seen_above(looks: int) -> float:
    """Return power over ``var`` that noise alone passes in ``BY_CHANCE`` of ``looks`` readings taken together.

    ``|h̄|²/(2·var)`` of noise is exponentially distributed, and its mean, 1, was taken off.
    """
    return 2.0 * (float(np.log(max(1, looks) / BY_CHANCE)) - 1.0)


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")
