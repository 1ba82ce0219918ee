"""The complex response of a loop, tone by tone, each with its spread; and what is read from it between the tones.

``H = Y/X`` at every tone an output owned, the latency included. Several combs with rotated ownership fill each other's
gaps. The spread of a tone is the larger of two estimates: what differs from period to period, averaged over the
neighbouring bins, and what lies on the neighbouring bins nobody played, which holds the distortion as well: of a
random-phase multitone it falls on played and unplayed bins alike (Schoukens, Vaes, Pintelon, IEEE Control Systems
36(3), 2016). Nothing is smoothed in what is kept, and nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.measure.figure import Figure, unseen
from dsp.measure.loop import residue_power, whole_periods
from dsp.measure.probe import HIGH_HZ, LOW_HZ, Comb

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Capture = NDArray[np.float32] | Floats

DB = 20.0 / np.log(10.0)
NEAREST = 8
"""Tones a reading between tones is fitted to."""
HALF_WINDOW = 24
"""Bins on either side over which the period-to-period differences are averaged."""
WIDEST_GAP = 4.0
"""Ratio of neighbouring tones across which nothing is read."""
CURVED_ABOVE = 1.15
"""Where the nearest tones span less than this ratio, a straight line is fitted through them."""
WIDE_ABOVE = 4.0
RIPPLE_STEPS_PER_OCTAVE = 12


@dataclass(frozen=True)
class Response:
    """A loop's complex response at ``hz``, ascending; ``sd`` is that of the real and of the imaginary part each."""

    hz: Floats
    h: Complexes
    sd: Floats


def merged_response(captures: Sequence[tuple[Capture, Comb]], output: int, input: int) -> Response:  # noqa: A002
    """Return the response from one output to one input (both from 0).

    Parameters
    ----------
    captures
        Pairs of a steady-state recording, (periods·frames, inputs), whole periods, and the comb that was played.
    output, input
        The path, both from 0.

    Raises
    ------
    ShapeError
        A recording is not whole periods of its comb, or there is no such output or input.
    DspError
        A recording holds samples that are not numbers, or no comb sounds the output.
    """
    for capture, probe in captures:
        if not (0 <= output < probe.outputs and capture.ndim == 2 and 0 <= input < capture.shape[1]):
            raise ShapeError(
                f"There is no path from output {output + 1} to input {input + 1} in this recording.",
                hint="Outputs and inputs count from 0 here.",
            )
    found = responses([(capture[:, input : input + 1], probe) for capture, probe in captures], outputs=[output])
    if (output, 0) not in found:
        raise DspError(f"No probe sounds output {output + 1}.", hint="Build the combs with it among the active ones.")
    return found[output, 0]


def responses(
    captures: Sequence[tuple[Capture, Comb]], *, outputs: Collection[int] | None = None
) -> dict[tuple[int, int], Response]:
    """Return the response of every (output, input), both from 0, as :func:`merged_response` does but all at once.

    Raises
    ------
    ShapeError
        A recording is not whole periods of its comb.
    DspError
        A recording holds samples that are not numbers.
    """
    parts: dict[tuple[int, int], list[tuple[Floats, Complexes, Floats]]] = {}
    for capture, probe in captures:
        mean, power = _mean_and_noise(capture, probe)
        for output in probe.active if outputs is None else sorted(set(outputs) & set(probe.active)):
            bins, played = probe.bins[output], probe.spectra[output][:, None]
            h, sd = mean[bins] / played, np.sqrt(0.5 * power[bins]) / np.abs(played)
            hz = np.asarray(bins * (probe.rate_hz / probe.frames), dtype=np.float64)
            for column in range(mean.shape[1]):
                parts.setdefault((output, column), []).append((hz, h[:, column], sd[:, column]))
    return {cell: _merged(several) for cell, several in parts.items()}


def gain_db_at(response: Response, hz: float) -> Figure:
    """Return the gain at ``hz`` [dB], read between the tones by a local fit; not observable outside the tones.

    ``ln|h|`` of the nearest tones is fitted with ``1, x⁻², x²`` (``x`` the frequency over ``hz``): what couplings below
    and low-pass filters above leave of a flat path; with ``x⁻⁴`` too where they span two octaves. The spread is that of
    the fit, enlarged where the tones lie further from it than their noise.
    """
    fitted = _local(response, hz, phase=False)
    return fitted if isinstance(fitted, Figure) else Figure(DB * fitted[0], DB * fitted[1])


def phase_deg_at(response: Response, hz: float, *, rate_hz: float, delay_samples: float | None = None) -> Figure:
    """Return the phase at ``hz`` [degrees, −180 to 180] of what is left when a delay is taken out.

    ``delay_samples`` is the most likely one unless given. The phase of the nearest tones is fitted with ``1, x⁻¹, x``
    (``x`` the frequency over ``hz``), with ``x⁻³`` too where they span two octaves.
    """
    if response.hz.size < NEAREST:
        return unseen(f"the response has only {response.hz.size} tones")
    delay = most_likely_delay(response, rate_hz=rate_hz)[0] if delay_samples is None else delay_samples
    fitted = _local(undelayed(response, delay, rate_hz=rate_hz), hz, phase=True)
    if isinstance(fitted, Figure):
        return fitted
    turned = float(np.degrees(fitted[0]))
    return Figure(turned - 360.0 * float(np.round(turned / 360.0)), float(np.degrees(fitted[1])))


def undelayed(response: Response, delay_samples: float, *, rate_hz: float) -> Response:
    """Return the response with a delay taken out."""
    turn = np.exp(2j * np.pi * response.hz * (delay_samples / rate_hz))
    return Response(response.hz, response.h * turn, response.sd)


def ripple_db(response: Response, low_hz: float = 40.0, high_hz: float = 15_000.0) -> Figure:
    """Return the largest less the smallest gain between two frequencies [dB], read every twelfth of an octave.

    The spread is that of the two readings. Of two extremes in noise the difference is never below some two to four
    spreads: a ripple below that is said to be unseen.
    """
    steps = max(2, int(np.ceil(np.log2(high_hz / low_hz) * RIPPLE_STEPS_PER_OCTAVE)) + 1)
    read = [gain_db_at(response, float(hz)) for hz in np.geomspace(low_hz, high_hz, steps)]
    missing = next((figure for figure in read if not figure.observable), None)
    if missing is not None:
        return missing
    gains, sds = np.array([f.value for f in read]), np.array([f.sd for f in read])
    ripple = float(gains.max() - gains.min())
    sd = float(np.hypot(sds[gains.argmax()], sds[gains.argmin()]))
    by_chance = 4.0 * float(np.median(sds))
    note = f"of the size that noise makes ({by_chance:.4f} dB)" if ripple < 1.5 * by_chance else ""
    return Figure(ripple, sd, note)


def coarse_delay(response: Response, *, rate_hz: float) -> float:
    """Return the delay [samples] of the largest peak of the tones' weighted correlation, within half a sample.

    Tones are put on a grid twice as fine as the closest two lie; unambiguous over ``rate_hz`` over that distance.
    """
    hz = response.hz
    closest = float(np.min(np.diff(hz))) if hz.size > 1 else float(hz[0])
    size = 1 << int(np.ceil(np.log2(2.0 * rate_hz / closest)))
    size = min(size, 1 << 20)
    lines = np.zeros(size + 1, dtype=np.complex128)
    np.add.at(lines, np.rint(hz * size / rate_hz).astype(np.int64), response.h / response.sd**2)
    peak = int(np.argmax(np.abs(np.fft.irfft(lines, 2 * size))))
    unambiguous = round(rate_hz / closest)
    lag = peak / 2.0
    if lag > size - 64:
        lag -= size
    return lag if lag < unambiguous else lag - unambiguous


def most_likely_delay(response: Response, *, rate_hz: float, start: float | None = None) -> tuple[float, float, float]:
    """Return delay [samples], real gain and spread of the delay of a flat path, all tones given (Newton's method).

    ``argmax |Re Σ w·H·e^(jωd)|``, ``w = 1/sd²`` (Kay, *Estimation Theory*, 1993, section 7).
    """
    omega = 2.0 * np.pi * response.hz / rate_hz
    weight = 1.0 / response.sd**2
    cross = weight * response.h
    delay = coarse_delay(response, rate_hz=rate_hz) if start is None else start
    for _ in range(12):
        turned = cross * np.exp(1j * omega * delay)
        slope, bend = -np.sum(omega * turned.imag), -np.sum(omega**2 * turned.real)
        if bend * np.sum(turned.real) >= 0.0:
            break
        delay += float(np.clip(-slope / bend, -0.25, 0.25))
    gain = float(np.sum((cross * np.exp(1j * omega * delay)).real) / np.sum(weight))
    stiffness = gain**2 * float(np.sum(weight * omega**2))
    return delay, gain, float(stiffness**-0.5) if stiffness > 0.0 else float("inf")


def in_band(response: Response, low_hz: float = LOW_HZ, high_hz: float = HIGH_HZ) -> Response:
    """Return the tones between two frequencies."""
    keep = (response.hz >= low_hz) & (response.hz <= high_hz)
    return Response(response.hz[keep], response.h[keep], response.sd[keep])


def nearest_tones(response: Response, hz: float) -> slice:
    """Return the tones nearest to ``hz``: as many below as above as far as there are any, ``NEAREST`` in all."""
    middle = int(np.searchsorted(response.hz, hz))
    start = min(max(0, middle - NEAREST // 2), max(0, response.hz.size - NEAREST))
    return slice(start, start + NEAREST)


def _local(response: Response, hz: float, *, phase: bool) -> Figure | tuple[float, float]:
    """Return ``ln|h|`` or the phase [rad] at ``hz`` with its spread, or why there is none."""
    tones = response.hz
    if tones.size < NEAREST:
        return unseen(f"the response has only {tones.size} tones")
    if not tones[0] <= hz <= tones[-1]:
        return unseen(f"{hz:g} Hz lies outside the tones, {tones[0]:.1f} to {tones[-1]:.0f} Hz")
    above = int(np.searchsorted(tones, hz))
    if above and tones[above] > WIDEST_GAP * tones[above - 1]:
        return unseen(f"the tones nearest to {hz:g} Hz lie at {tones[above - 1]:.1f} and {tones[above]:.1f} Hz")
    near = nearest_tones(response, hz)
    x, h, sd = tones[near] / hz, response.h[near], response.sd[near]
    relative = sd / np.maximum(np.abs(h), 1e-300)
    if np.median(relative) > 0.3:
        return unseen(f"near {hz:g} Hz the return does not stand out from the noise")
    power = 1.0 if phase else 2.0
    reading = np.unwrap(np.angle(h)) if phase else np.log(np.abs(h))
    columns = [np.ones_like(x), x**-power - 1.0, x**power - 1.0]
    if x[-1] < CURVED_ABOVE * x[0]:
        columns = [columns[0], x - 1.0]
    elif x[-1] > WIDE_ABOVE * x[0]:
        columns.append(x ** -(power + 2.0) - 1.0)
    basis = np.stack(columns, axis=1)
    scaled = basis / relative[:, None]
    covariance = np.linalg.pinv(scaled.T @ scaled, rcond=1e-13, hermitian=True)
    fit = covariance @ (scaled.T @ (reading / relative))
    chi2 = float(np.sum(((reading - basis @ fit) / relative) ** 2)) / (NEAREST - basis.shape[1])
    return float(fit[0]), float(np.sqrt(covariance[0, 0] * max(1.0, chi2)))  # at x = 1 only the first term is not 0


def _mean_and_noise(capture: Capture, probe: Comb) -> tuple[Complexes, Floats]:
    """Return the mean spectrum and the noise power of each of its bins, (bins, inputs) each."""
    spectra = np.fft.rfft(whole_periods(capture, probe), axis=1)
    mean = spectra.mean(axis=0)
    power = residue_power(mean, probe)
    periods = spectra.shape[0]
    if periods > 1:
        spread = np.sum(np.abs(spectra - mean) ** 2, axis=0) / (periods - 1) / periods
        sums = np.cumsum(np.vstack([np.zeros((1, mean.shape[1])), spread]), axis=0)
        bins = np.arange(mean.shape[0])
        first, last = np.maximum(bins - HALF_WINDOW, 0), np.minimum(bins + HALF_WINDOW + 1, bins.size)
        power = np.maximum(power, (sums[last] - sums[first]) / (last - first)[:, None])
    return mean, power


def _merged(parts: Sequence[tuple[Floats, Complexes, Floats]]) -> Response:
    """Return all tones in order; a frequency that occurs twice is averaged with its weights."""
    hz, h, sd = (np.concatenate(column) for column in zip(*parts, strict=True))
    tones, where = np.unique(hz, return_inverse=True)
    weight = np.zeros(tones.size)
    total = np.zeros(tones.size, dtype=np.complex128)
    np.add.at(weight, where, sd**-2.0)
    np.add.at(total, where, h / sd**2)
    return Response(tones, total / weight, weight**-0.5)
