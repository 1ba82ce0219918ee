"""What leaks from each output into inputs that are not its own, with the noise taken off.

A leak is the response from an output to an input of another loop, over that other loop's own gain at the same
frequency. Around a frequency the tones are averaged with their phases, the delay of the path taken out, so that noise
and the distortion of other outputs, whose phases are random from tone to tone, average away; what of them is left adds
its power to the mean square and is taken off again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.figure import Figure, unseen
from dsp.measure.response import Response, in_band, most_likely_delay

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

CROSSTALK_DEFINITION = (
    "leak of an output into another loop's input, re that loop's own gain, mean over a third of an octave "
    "(500 Hz on either side at most), bias of the noise taken off"
)
HALF_BAND = 2.0 ** (1.0 / 6.0)
WIDEST_HALF_HZ = 500.0
FEWEST_TONES = 8
SEEN_SD = 3.0
DELAY_Z = 8.0
LATEST_LEAK_SAMPLES = 64.0
"""A leak's delay is looked for this far around the loop's own."""
LOWEST_HZ, HIGHEST_HZ = 31.5, 16_000.0


@dataclass(frozen=True)
class Crosstalk:
    """The worst leak of one output into any input that is not its own [dB re the loop of that input]."""

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
    """Return per output (from 0) what it leaks.

    Parameters
    ----------
    responses
        By (output, input), both from 0, as :func:`dsp.measure.response.responses` returns them.
    expected
        Per output the inputs it reaches on purpose; every other input is a victim. The gain a victim is related to is
        the mean power gain of the outputs that are expected there, of this output's own loop where there is none.
    rate_hz
        Sample rate [Hz]; the delays are sought on its samples.
    """
    outputs = sorted({output for output, _ in responses})
    own = {
        cell: responses[cell]
        for o in outputs
        for cell in ((o, i) for i in sorted(expected.get(o, ())))
        if cell in responses
    }
    found = {}
    for output in outputs:
        home = next((own[cell] for cell in own if cell[0] == output), None)
        delay = None if home is None else most_likely_delay(in_band(home), rate_hz=rate_hz)[0]
        leaks = {
            goal: _Leak(response, _leak_delay(response, delay, rate_hz), rate_hz, _references(own, goal, home))
            for (source, goal), response in sorted(responses.items())
            if source == output and goal not in expected.get(output, ())
        }
        found[output] = _worst_of(leaks)
    return found


@dataclass(frozen=True)
class _Leak:
    """One pair: its response, the delay that lines its phases up, and the loops whose gain it is related to."""

    response: Response
    delay: float
    rate_hz: float
    references: tuple[Response, ...]

    def at(self, hz: float) -> tuple[float, float] | str:
        """Return power re the victim's own loop and its spread at a frequency, or why there is none."""
        near = _around(self.response, hz)
        if near.hz.size < FEWEST_TONES:
            return f"only {near.hz.size} tones lie around {hz:g} Hz"
        gains = [_mean_power(_around(reference, hz)) for reference in self.references]
        gains = [gain for gain in gains if gain > 0.0]
        if not gains:
            return f"the loop of that input has no gain around {hz:g} Hz"
        reference = float(np.mean(gains))
        weight = near.sd**-2.0
        turned = near.h * np.exp(2j * np.pi * near.hz * (self.delay / self.rate_hz))
        mean = complex(np.sum(weight * turned) / np.sum(weight))
        scatter = float(np.sum(weight * np.abs(turned - mean) ** 2)) / (2.0 * (near.hz.size - 1))
        variance = max(1.0, scatter) / float(np.sum(weight))  # of the real and of the imaginary part each
        power = abs(mean) ** 2 - 2.0 * variance
        sd = float(np.sqrt(4.0 * variance * max(power, 0.0) + 4.0 * variance**2))
        return power / reference, sd / reference


def _worst_of(leaks: Mapping[int, _Leak]) -> Crosstalk:
    at_100, at_1k, at_10k = (_worst_at(leaks, hz)[0] for hz in (100.0, 1000.0, 10_000.0))
    steps = round(3.0 * np.log2(HIGHEST_HZ / LOWEST_HZ)) + 1
    worst, worst_hz, worst_input = unseen("no leak stands out from the noise at any frequency"), float("nan"), -1
    limits = []
    for hz in np.geomspace(LOWEST_HZ, HIGHEST_HZ, steps):
        figure, goal, limit = _worst_at(leaks, float(hz))
        limits.append(limit)
        if figure.observable and not figure.value <= worst.value:
            worst, worst_hz, worst_input = figure, float(hz), goal
    if worst_input < 0:
        bound = [limit for limit in limits if np.isfinite(limit)]
        worst = unseen(f"below {max(bound):.1f} dB at every frequency") if bound else at_1k
    return Crosstalk(at_100, at_1k, at_10k, worst, worst_hz, worst_input)


def _worst_at(leaks: Mapping[int, _Leak], hz: float) -> tuple[Figure, int, float]:
    """Return the largest leak seen at a frequency, its input, and the level below which none was to be seen [dB]."""
    read = {goal: leak.at(hz) for goal, leak in leaks.items()}
    numbers = {goal: found for goal, found in read.items() if not isinstance(found, str)}
    if not numbers:
        why = next((found for found in read.values() if isinstance(found, str)), "there is no other input")
        return unseen(why), -1, float("nan")
    limit = max(10.0 * np.log10(max(power, 0.0) + SEEN_SD * sd) for power, sd in numbers.values())
    seen = {goal: found for goal, found in numbers.items() if found[0] > SEEN_SD * found[1]}
    if not seen:
        return unseen(f"below {limit:.1f} dB at {hz:g} Hz"), -1, float(limit)
    goal = max(seen, key=lambda g: seen[g][0])
    power, sd = seen[goal]
    return Figure(10.0 * float(np.log10(power)), 10.0 / float(np.log(10.0)) * sd / power), goal, float(limit)


def _leak_delay(response: Response, near: float | None, rate_hz: float) -> float:
    """Return the leak's own delay where it is heard well enough to have one, else that of the loop."""
    band = in_band(response)
    start = 0.0 if near is None else near
    if band.hz.size < FEWEST_TONES:
        return start
    lags = start + np.arange(-LATEST_LEAK_SAMPLES, LATEST_LEAK_SAMPLES + 0.25, 0.5)
    weighted = band.h / band.sd**2
    height = np.abs(np.exp(2j * np.pi / rate_hz * lags[:, None] * band.hz) @ weighted)
    k = int(np.argmax(height))
    noise = float(np.sqrt(np.sum(band.sd**-2.0)))
    return float(lags[k]) if height[k] > DELAY_Z * noise else start


def _references(own: Mapping[tuple[int, int], Response], goal: int, home: Response | None) -> tuple[Response, ...]:
    there = tuple(response for (_, where), response in own.items() if where == goal)
    return there or (() if home is None else (home,))


def _around(response: Response, hz: float) -> Response:
    """Return the tones within a sixth of an octave and 500 Hz of ``hz``; the nearest eight where those are fewer."""
    low, high = max(hz / HALF_BAND, hz - WIDEST_HALF_HZ), min(hz * HALF_BAND, hz + WIDEST_HALF_HZ)
    near = in_band(response, low, high)
    if near.hz.size >= FEWEST_TONES or response.hz.size < FEWEST_TONES:
        return near
    chosen = np.sort(np.argsort(np.abs(np.log(response.hz / hz)))[:FEWEST_TONES])
    wide = Response(response.hz[chosen], response.h[chosen], response.sd[chosen])
    return wide if wide.hz[0] <= hz <= wide.hz[-1] else near


def _mean_power(response: Response) -> float:
    """Return the mean power gain of some tones, noise taken off; 0 of none."""
    if not response.hz.size:
        return 0.0
    return max(0.0, float(np.mean(np.abs(response.h) ** 2 - 2.0 * response.sd**2)))
