"""Every loop of a rig from one capture of the comb: presence, polarity, latency, gain, noise, each with its spread.

For one output and one input the capture's spectrum at the output's own bins is modelled as ``Y = g·e^(−jωd)·X·P + E``:
``X`` what was played, ``P`` a response known beforehand (1 if none), ``g`` a real gain whose sign is the polarity and
``d`` the latency. In Gaussian noise the most likely delay is ``argmax |Re Σ w·conj(X·P)·Y·e^(jωd)|``, ``w`` being the
reciprocal noise power of the bin (Kay, *Fundamentals of Statistical Signal Processing: Estimation Theory*, 1993,
section 7): found roughly by a zero-padded inverse FFT and then by Newton's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.levels import dbfs_from_rms
from dsp.measure.leakage import FARTHEST_SAMPLES, gathered, growth_per_period
from dsp.measure.probe import HIGH_HZ, LOW_HZ, Comb

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


# Under noise alone the peak over 2·frames lags and both signs passes z with probability < 4·frames·Q(z): 4e-11 at z = 8
# for 16384 frames, so that no cell of a rig is invented.
DETECTION_Z = 8.0
PRESENT_WITHIN_DB = 40.0
PRESENT_ABOVE_DB = -60.0
BINS_PER_BAND = 32
NUMERIC_FLOOR = 1e-16  # power re the tones: rounding of float32 captures lies above it
NEWTON_ROUNDS = 8
LEAK_SD = 5.0
LEAST_GROWTH = 1e-5  # samples a period: what less than this leaks lies 100 dB below the tones
GATHER_ROUNDS = 3


@dataclass(frozen=True)
class LoopMatrix:
    """What a capture of the comb says of every output and input; arrays are [output, input], both from 0.

    Undetected cells hold NaN in ``latency_samples``, ``latency_sd``, ``gain_db`` and ``gain_sd``, 0 in ``polarity``.
    """

    rate_hz: int
    periods: int
    present: NDArray[np.bool_]
    """Detected, within 40 dB of the strongest return of that output, and above −60 dB (both limits can be set)."""
    detected: NDArray[np.bool_]
    """Something of the output arrives, be it crosstalk: the peak stands 8 standard deviations above the noise."""
    polarity: NDArray[np.int8]
    """+1, or −1 where the loop inverts; 0 where nothing was detected."""
    latency_samples: Floats
    latency_sd: Floats
    """Cramér-Rao bound of the latency with the noise that was measured [samples]."""
    gain_db: Floats
    gain_sd: Floats
    """Standard deviation of the gain [dB]."""
    level_db: Floats
    """Gain at the most likely delay, also where it is no more than noise [dB]."""
    detection_limit_db: Floats
    """The gain below which a return of this output would not be told from noise [dB]."""
    peak_z: Floats
    """Peak over its standard deviation under noise alone."""
    chi2: Floats
    """Reduced chi-square of the model: near 1 when delay, gain and ``predicted`` explain the return."""
    misfit_db: Floats
    """RMS of what the model leaves, noise taken off, over the return [dB]: −40 dB is about 0.1 dB of unexpected EQ."""
    noise_dbfs: Floats
    """Per input, RMS between 20 Hz and 20 kHz of what differs from period to period [dBFS, AES17]."""
    residue_dbfs: Floats
    """Per input, RMS over 20 Hz–20 kHz inferred from the bins nobody plays [dBFS, AES17]: noise, hum and distortion."""
    drift_ppm: Floats
    """Per input, growth of the delay over the capture [ppm]; 0 within its spread when both ends share a clock."""
    drift_sd_ppm: Floats
    responses: tuple[Complexes, ...]
    """Per output ``Y/X`` at its bins, (bins, inputs): the loop's response, latency included."""
    note: str = ""
    """What biases the figures; empty where nothing is known to."""


def measure_loops(
    capture: NDArray[np.float32] | Floats,
    probe: Comb,
    *,
    predicted: Sequence[Complexes | None] | None = None,
    earliest_samples: float = -64.0,
    near_samples: float | None = None,
    present_within_db: float = PRESENT_WITHIN_DB,
    present_above_db: float = PRESENT_ABOVE_DB,
) -> LoopMatrix:
    """Measure every loop from a steady-state capture of the comb.

    Where the periods show that the delay grows, the tones are put back on their bins first (:mod:`.leakage`); latency
    is then that in the middle of the capture. From 0.7 samples a period on that is not possible, and ``note`` says so.

    Parameters
    ----------
    capture
        (periods·frames, inputs), full scale 1.0, whole periods, taken after at least one settling period; its first
        frame is the moment the first frame of a period was played. Two periods or more tell noise from distortion.
    probe
        The comb that was played.
    predicted
        Per output the complex response expected in its path at its bins, (bins,) or (bins, inputs), for instance an EQ
        that is switched in; None where the path is flat. Latency and gain are then relative to that response.
    earliest_samples
        Latencies are reported between this and this plus one period.
    near_samples
        A latency known from elsewhere, a ping for instance: they are then reported within half a period of it, as a
        short period alone leaves them open by whole periods.
    present_within_db, present_above_db
        A return counts as the output's own when it lies within the first of its strongest and above the second [dB].

    Raises
    ------
    ShapeError
        The capture is not a whole number of periods, or a prediction does not fit the bins.
    DspError
        The capture holds NaN or infinity.
    """
    blocks = whole_periods(capture, probe)
    spectra = np.fft.rfft(blocks, axis=1)
    periods, inputs = blocks.shape[0], blocks.shape[2]
    spectra, removed_ppm, note = _steadied(spectra, probe)
    mean = spectra.mean(axis=0)
    if near_samples is not None:
        earliest_samples = near_samples - 0.5 * probe.frames
    residue = residue_power(mean, probe)
    cells: list[_Cells] = []
    for output, bins in enumerate(probe.bins):
        model = _model(probe, output, predicted, inputs)
        cells.append(_cells(mean[bins], model, residue[bins], bins, probe.frames, earliest_samples))
    detected = np.array([c.peak_z >= DETECTION_Z for c in cells])
    gain = np.array([c.gain for c in cells])
    with np.errstate(divide="ignore", invalid="ignore"):
        level_db = 20.0 * np.log10(np.abs(gain))
        gain_sd = 20.0 / np.log(10.0) * np.array([c.gain_sd for c in cells]) / np.abs(gain)
        limit_db = 20.0 * np.log10(DETECTION_Z * np.array([c.gain_sd for c in cells]))
        strongest = np.max(np.where(detected, level_db, -np.inf), axis=1, keepdims=True, initial=-np.inf)
        present = detected & (level_db >= strongest - present_within_db) & (level_db >= present_above_db)
        responses = tuple(mean[b] / x[:, None] for b, x in zip(probe.bins, probe.spectra, strict=True))
    noise, drift, drift_sd = _between_periods(spectra, mean, probe)
    in_band = _bins_in_band(probe)
    unused = np.mean(np.abs(spectra[:, probe.unused_bins]) ** 2, axis=(0, 1))
    return LoopMatrix(
        rate_hz=probe.rate_hz,
        periods=periods,
        present=present,
        detected=detected,
        polarity=np.where(detected, np.sign(gain), 0.0).astype(np.int8),
        latency_samples=np.where(detected, np.array([c.delay for c in cells]), np.nan),
        latency_sd=np.where(detected, np.array([c.delay_sd for c in cells]), np.nan),
        gain_db=np.where(detected, level_db, np.nan),
        gain_sd=np.where(detected, gain_sd, np.nan),
        level_db=level_db,
        detection_limit_db=limit_db,
        peak_z=np.array([c.peak_z for c in cells]),
        chi2=np.array([c.chi2 for c in cells]),
        misfit_db=np.array([c.misfit_db for c in cells]),
        noise_dbfs=_band_dbfs(noise if periods > 1 else unused, in_band, probe.frames),
        residue_dbfs=_band_dbfs(unused, in_band, probe.frames),
        drift_ppm=removed_ppm if note else drift + removed_ppm,
        drift_sd_ppm=drift_sd,
        responses=responses,
        note=note,
    )


def noise_floor_dbfs(silence: NDArray[np.float32] | Floats, *, rate_hz: int) -> Floats:
    """Return per input the RMS between 20 Hz and 20 kHz of a capture of silence [dBFS, AES17]; −∞ for digital zero.

    ``silence`` is (frames, inputs), at least 0.1 s. The spread of a reading of white noise is ``4.34/√(B·T)`` dB
    (``B`` the bandwidth in Hz, ``T`` the length in seconds).

    Raises
    ------
    ShapeError
        Shorter than 0.1 s or not two-dimensional.
    """
    if silence.ndim != 2 or silence.shape[0] < rate_hz // 10:
        raise ShapeError("A noise floor needs at least 0.1 s of silence.", hint="Record the inputs for longer.")
    frames = silence.shape[0]
    power = np.abs(np.fft.rfft(silence.astype(np.float64), axis=0)) ** 2
    hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    mean_square = 2.0 * power[(hz >= LOW_HZ) & (hz <= HIGH_HZ)].sum(axis=0) / frames**2
    return np.array([dbfs_from_rms(float(np.sqrt(m))) for m in mean_square])


@dataclass(frozen=True)
class _Cells:
    """One output into all inputs: arrays of length inputs, gains and their spread as ratios."""

    gain: Floats
    gain_sd: Floats
    delay: Floats
    delay_sd: Floats
    peak_z: Floats
    chi2: Floats
    misfit_db: Floats


def _cells(
    measured: Complexes, model: Complexes, noise: Floats, bins: NDArray[np.int64], frames: int, earliest: float
) -> _Cells:
    """Fit gain and delay of one output into every input: arguments are (bins, inputs)."""
    inputs = measured.shape[1]
    if not bins.size:
        nothing = np.full(inputs, np.nan)
        return _Cells(nothing, nothing, nothing, nothing, np.zeros(inputs), nothing, nothing)
    weight = 1.0 / noise
    cross = weight * np.conj(model) * measured
    energy = np.sum(weight * np.abs(model) ** 2, axis=0)
    omega = (2.0 * np.pi * bins / frames)[:, None]
    padded = np.zeros((frames + 1, inputs), dtype=np.complex128)
    padded[bins] = cross
    delay = np.argmax(np.abs(np.fft.irfft(padded, 2 * frames, axis=0)), axis=0) / 2.0
    for _ in range(NEWTON_ROUNDS):
        turned = cross * np.exp(1j * omega * delay)
        slope = -np.sum(omega * turned.imag, axis=0)
        bend = -np.sum(omega**2 * turned.real, axis=0)
        uphill = bend * np.sum(turned.real, axis=0) < 0.0
        step = np.where(uphill, -slope / np.where(bend == 0.0, 1.0, bend), 0.0)
        delay = delay + np.clip(step, -0.25, 0.25)
    gain = np.sum((cross * np.exp(1j * omega * delay)).real, axis=0) / energy
    gain_sd = np.sqrt(0.5 / energy)
    curvature = np.sum(weight * omega**2 * np.abs(model) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        delay_sd = np.sqrt(0.5 / curvature) / np.abs(gain)
        left = np.abs(measured - gain * np.exp(-1j * omega * delay) * model) ** 2
        chi2 = np.sum(weight * left, axis=0) / (bins.size - 1)
        excess = np.maximum(np.sum(left - noise, axis=0), 0.0)
        misfit = 10.0 * np.log10(excess / np.sum(np.abs(measured) ** 2, axis=0))
    delay = earliest + np.mod(delay - earliest, frames)
    return _Cells(gain, gain_sd, delay, delay_sd, np.abs(gain) / gain_sd, chi2, misfit)


def whole_periods(capture: NDArray[np.float32] | Floats, probe: Comb) -> Floats:
    """Return the capture as (periods, frames, inputs) float64, or say what is wrong with it."""
    if capture.ndim != 2 or capture.shape[0] < probe.frames or capture.shape[0] % probe.frames:
        raise ShapeError(
            f"The capture has shape {capture.shape}; it must be whole periods of {probe.frames} frames by inputs.",
            hint="Cut the settling period and any remainder off before measuring.",
        )
    if not np.all(np.isfinite(capture)):
        raise DspError("The capture holds samples that are not numbers.", hint="Check the driver and record again.")
    return capture.astype(np.float64).reshape(-1, probe.frames, capture.shape[1])


def _model(probe: Comb, output: int, predicted: Sequence[Complexes | None] | None, inputs: int) -> Complexes:
    """Return what a loop of unity gain and no delay would give, (bins, inputs)."""
    played = np.repeat(probe.spectra[output][:, None], inputs, axis=1)
    response = predicted[output] if predicted is not None and output < len(predicted) else None
    if response is None:
        return played
    shaped = np.asarray(response, dtype=np.complex128)
    if shaped.ndim == 1:
        shaped = shaped[:, None]
    if shaped.shape[0] != played.shape[0] or shaped.shape[1] not in (1, inputs):
        raise ShapeError(
            f"The response predicted for output {output + 1} has shape {shaped.shape}, not {played.shape}.",
            hint="Evaluate it at the bins of the probe.",
        )
    return played * shaped


def residue_power(mean: Complexes, probe: Comb) -> Floats:
    """Return the power of noise and distortion per bin of the mean spectrum, (bins, inputs), from the unused bins.

    Equal shares of neighbouring unused bins are averaged and hold for the stretch of spectrum they cover, so that hum
    and shaped noise weigh only where they are.
    """
    unused = probe.unused_bins
    shares = np.array_split(unused, max(1, unused.size // BINS_PER_BAND))
    levels = np.stack([np.mean(np.abs(mean[share]) ** 2, axis=0) for share in shares])
    edges = np.array([0.5 * (a[-1] + b[0]) for a, b in pairwise(shares)])
    power: Floats = levels[np.searchsorted(edges, np.arange(mean.shape[0]))]
    tones = np.concatenate(probe.bins)
    loudest = max(float(np.mean(np.abs(x) ** 2)) for x in probe.spectra if x.size)
    heard = np.mean(np.abs(mean[tones]) ** 2, axis=0)
    floor = NUMERIC_FLOOR * np.where(heard > 0.0, heard, loudest)
    return np.maximum(power, floor)


def _steadied(spectra: Complexes, probe: Comb) -> tuple[Complexes, Floats, str]:
    """Return the spectra without a drift's leak, the drift per input [ppm], and a note where the leak stays."""
    inputs = spectra.shape[2]
    none = np.zeros(inputs)
    tones = np.sort(np.concatenate(probe.bins))
    if spectra.shape[0] < 2 or not tones.size:
        return spectra, none, ""
    mean = spectra.mean(axis=0)
    total = none
    gathered_spectra = spectra
    for _ in range(GATHER_ROUNDS):
        growth = growth_per_period(gathered_spectra, tones, probe.frames)
        _, _, spread_ppm = _between_periods(gathered_spectra, mean, probe)
        sure = np.abs(growth) * 1e6 / probe.frames > LEAK_SD * np.nan_to_num(spread_ppm, nan=np.inf)
        growth = np.where(sure, growth, 0.0)
        if not np.any(np.abs(growth) > LEAST_GROWTH):
            break
        total = total + growth
        if np.any(np.abs(total) > FARTHEST_SAMPLES):
            worst = float(np.max(np.abs(total))) / probe.frames * 1e6
            return (
                spectra,
                total / probe.frames * 1e6,
                (
                    f"the clocks differ by {worst:.0f} ppm, so that the tones leak into each other: "
                    "use one clock or a shorter period"
                ),
            )
        gathered_spectra = gathered(spectra, tones, probe.frames, total)
    return gathered_spectra, total / probe.frames * 1e6, ""


def _between_periods(spectra: Complexes, mean: Complexes, probe: Comb) -> tuple[Floats, Floats, Floats]:
    """Return per input the noise power per bin, the drift [ppm] and its spread, from how the periods differ.

    The drift is the slope over the periods of the delay that turns the mean spectrum into each period's, weighted by
    the power of the tones; its variance is ``S/(2·Σ ω²|Y|²)/Σ(p − p̄)²`` with ``S`` the noise power of one bin.
    """
    periods, _, inputs = spectra.shape
    omega = 2.0 * np.pi * np.arange(mean.shape[0]) / probe.frames
    unknown = np.full(inputs, np.nan)
    if periods < 2:
        return unknown, unknown, unknown
    band = slice(min(int(b[0]) for b in probe.bins if b.size), int(np.max(np.concatenate(probe.bins))) + 1)
    noise = np.sum(np.abs(spectra[:, band] - mean[band]) ** 2, axis=0).mean(axis=0) / (periods - 1)
    tones = np.concatenate(probe.bins)
    turn = (spectra[:, tones] * np.conj(mean[tones])).imag
    stiffness = np.sum(omega[tones][:, None] ** 2 * np.abs(mean[tones]) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        delays = -np.einsum("k,pki->pi", omega[tones], turn) / stiffness
        place = np.arange(periods) - 0.5 * (periods - 1)
        spread = np.sum(place**2)
        drift = place @ delays / spread / probe.frames * 1e6
        drift_sd = np.sqrt(noise / (2.0 * stiffness) / spread) / probe.frames * 1e6
    return noise, np.where(stiffness > 0.0, drift, np.nan), np.where(stiffness > 0.0, drift_sd, np.nan)


def _bins_in_band(probe: Comb) -> int:
    """Return how many bins of one period lie between 20 Hz and 20 kHz."""
    hz = np.fft.rfftfreq(probe.frames, 1.0 / probe.rate_hz)
    return int(np.count_nonzero((hz >= LOW_HZ) & (hz <= HIGH_HZ)))


def _band_dbfs(power_per_bin: Floats, bins: int, frames: int) -> Floats:
    """Return the level [dBFS, AES17] of ``bins`` bins of a period of ``frames`` that hold ``power_per_bin`` each."""
    return np.array([dbfs_from_rms(float(np.sqrt(2.0 * p * bins)) / frames) for p in power_per_bin])
