"""Delay, polarity, gain, skew and level of loops against the Cramér–Rao bound and the truth of the simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.rows import row
from benchmarks.simulated_loop import (
    Floats,
    Path,
    Sweep,
    Tones,
    comb_return,
    delay_bound,
    gain_bound_db,
    in_24_bits,
    tones_of,
    white,
)
from dsp.measure.loop import measure_loops
from dsp.measure.probe import Comb, comb

RATE_HZ = 48_000
PEAK_DBFS = -6.0
BOUND = "Cramér–Rao bound"
FRACTIONS = 300.0 + np.arange(0.0, 1.0, 0.05)


@dataclass(frozen=True)
class Trials:
    """Errors of many trials and what was said of them."""

    errors: Floats
    sds: Floats
    """Reported with each trial."""
    bound: float
    """The best standard deviation there can be."""

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return float(np.sqrt(np.mean(self.errors**2)))

    @property
    def over_bound(self) -> float:
        """Error over the bound."""
        return self.rmse / self.bound

    @property
    def honesty(self) -> float:
        """Reported standard deviation over the error: 1 is honest, less is boastful."""
        return float(np.sqrt(np.mean(self.sds**2))) / self.rmse


def one_loop(frames: int, *, seed: int = 11) -> tuple[Comb, Tones]:
    """Return a flat probe for one output with its peaks at −6 dBFS, and the tones the simulator reads out of it."""
    quiet = comb(1, rate_hz=RATE_HZ, level_dbfs=-30.0, seed=seed, period_frames=frames)
    probe = quiet.at_level(-30.0 + PEAK_DBFS - quiet.peak_dbfs)
    return probe, tones_of(probe.period[:, 0].astype(np.float64), probe.bins[0])


def loop_trials(
    frames: int, noise_db: float, trials: int, seed: int, *, gain: float = 1.0, batch: int = 250
) -> tuple[Trials, Trials, int]:
    """Return the trials of delay [samples] and gain [dB], and how often polarity was wrong.

    Each trial has its own fractional delay and noise, is one period long, and every second one is inverted.
    """
    rng = np.random.default_rng(seed)
    probe, tones = one_loop(frames)
    sigma = 10.0 ** (noise_db / 20.0)
    size = tones.amplitude * np.exp(1j * tones.phase)
    wrong, found = 0, []
    for start in range(0, trials, batch):
        count = min(batch, trials - start)
        delays = rng.uniform(10.0, frames / 2, (1, count))
        signs = np.where(np.arange(count) % 2, -1.0, 1.0)[None, :]
        heard = comb_return([(probe.bins[0], size)], frames, gain * signs, delays) + white(
            rng, (frames, count), noise_db
        )
        loops = measure_loops(heard, probe)
        wrong += int(np.count_nonzero(loops.polarity != signs))
        off_db = loops.gain_db - 20.0 * math.log10(gain)
        found.append(np.concatenate([loops.latency_samples - delays, loops.latency_sd, off_db, loops.gain_sd]))
    delay, delay_sd, level, level_sd = np.concatenate(found, axis=1)
    return (
        Trials(delay, delay_sd, delay_bound(tones, frames, sigma, gain)),
        Trials(level, level_sd, gain_bound_db(tones, frames, sigma, gain)),
        wrong,
    )


def comb_bias(*, bits: bool) -> float:
    """Return the largest error of the delay over the fractions [samples], cosines at real instants, no noise."""
    probe, tones = one_loop(4_096)
    heard = np.stack([tones.through(Path(d), probe.frames) for d in FRACTIONS], axis=1)
    if bits:
        heard = in_24_bits(heard, np.random.default_rng(21))
    return float(np.max(np.abs(measure_loops(heard, probe).latency_samples[0] - FRACTIONS)))


def sweep_bias(*, bits: bool) -> float:
    """Return the same with one analytic sweep a period for a probe."""
    sweep = Sweep(20.0, 18_000.0, 0.3)
    n = np.arange(16_384, dtype=np.float64)
    period = sweep.at(n - 100.0)
    spectrum = np.fft.rfft(period)
    hz = np.arange(spectrum.size) * RATE_HZ / n.size
    used, idle = np.flatnonzero((hz >= 30.0) & (hz <= 17_000.0)), np.flatnonzero(hz > 22_000.0)
    probe = Comb(RATE_HZ, PEAK_DBFS, period[:, None].astype(np.float32), (used,), (spectrum[used],), idle)
    heard = np.stack([sweep.at(n - 100.0 - d) for d in FRACTIONS], axis=1)
    if bits:
        heard = in_24_bits(heard, np.random.default_rng(22))
    return float(np.max(np.abs(measure_loops(heard, probe).latency_samples[0] - FRACTIONS)))


def skew_errors(captures: int, seed: int, *, outputs: int = 32, frames: int = 16_384) -> tuple[Floats, Floats]:
    """Return the error of every pair's skew over captures of all outputs at −80 dBFS, and the reported spreads.

    One capture of one period (0.34 s at 48 kHz); output c returns on input c.
    """
    rng = np.random.default_rng(seed)
    probe = comb(outputs, rate_hz=RATE_HZ, level_dbfs=-20.0, seed=5, period_frames=frames)
    played = [tones_of(probe.period[:, o].astype(np.float64), probe.bins[o]) for o in range(outputs)]
    tones = [(b, t.amplitude * np.exp(1j * t.phase)) for b, t in zip(probe.bins, played, strict=True)]
    pairs = np.triu_indices(outputs, 1)
    errors, sds = [], []
    for _ in range(captures):
        delays = np.tile(500.0 + rng.uniform(0.0, 8.0, (outputs, 1)), (1, outputs))
        heard = comb_return(tones, frames, np.eye(outputs), delays) + white(rng, (frames, outputs), -80.0)
        loops = measure_loops(heard, probe)
        off = np.diagonal(loops.latency_samples) - delays[:, 0]
        sd = np.diagonal(loops.latency_sd)
        errors.append(off[pairs[0]] - off[pairs[1]])
        sds.append(np.hypot(sd[pairs[0]], sd[pairs[1]]))
    return np.array(errors), np.array(sds)


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of delay, polarity, gain and skew."""
    count = 500 if quick else 4_000
    out = []
    for noise_db in (-100.0, -80.0, -60.0, -40.0):
        delay, gain, _ = loop_trials(4_096, noise_db, count, round(-noise_db))
        out.append(
            row(
                f"latency, noise {noise_db:.0f} dBFS, 85 ms: rmse",
                delay.rmse,
                "samples",
                peer=delay.bound,
                peer_name=BOUND,
                ratio=delay.bound / delay.rmse,
                goal=1.2 * delay.bound,
                holds=delay.over_bound <= 1.2,
                note=f"{delay.over_bound:.3f} x the bound, {count} trials; reported sd "
                f"{delay.honesty:.3f} x the spread",
            )
        )
        if noise_db == -80.0:
            held = delay.rmse <= 1e-5
            out.append(row("latency, noise -80 dBFS, within 0.1 s", delay.rmse, "samples", goal=1e-5, holds=held))
        if noise_db == -40.0:
            held = delay.rmse <= 5e-4
            out.append(row("latency, noise -40 dBFS, within 0.1 s", delay.rmse, "samples", goal=5e-4, holds=held))
        if noise_db == -60.0:
            out.append(
                row(
                    "gain, noise -60 dBFS, 85 ms: rmse",
                    gain.rmse,
                    "dB",
                    peer=gain.bound,
                    peer_name=BOUND,
                    ratio=gain.bound / gain.rmse,
                    goal=0.001,
                    holds=gain.rmse <= 0.001,
                    note=f"{gain.over_bound:.3f} x the bound; reported sd {gain.honesty:.3f} x the spread",
                )
            )
    for name, work in (("comb of cosines", comb_bias), ("analytic sweep", sweep_bias)):
        for bits in (False, True):
            bias = work(bits=bits)
            what = f"latency bias, every 0.05 sample, {name}{', 24 bits' if bits else ''}"
            out.append(row(what, bias, "samples", goal=1e-6, holds=bias <= 1e-6))
    trials = 4_000 if quick else 100_000
    delay, _, wrong = loop_trials(2_048, -40.0, trials, 40, batch=500)
    worst = float(np.max(np.abs(delay.errors)))
    out.append(
        row(
            "polarity wrong, noise -40 dBFS, 43 ms",
            wrong,
            f"of {trials}",
            goal=0,
            holds=None if quick else wrong == 0 and worst < 0.01,
            note=f"at most {3.0 / trials:.1e} a trial at 95 %; half of them inverted; delay never off by more than "
            f"{worst:.2g} samples",
        )
    )
    skew, sd = skew_errors(2 if quick else 12, 32)
    rms = float(np.sqrt(np.mean(skew**2)))
    out.append(
        row(
            "skew, all 496 pairs of 32 in one capture of 0.34 s, noise -80 dBFS: largest error",
            float(np.max(np.abs(skew))),
            "samples",
            goal=1e-4,
            holds=bool(np.max(np.abs(skew)) <= 1e-4),
            note=f"rms {rms:.2g}; reported sd {float(np.sqrt(np.mean(sd**2))) / rms:.3f} x the spread",
        )
    )
    return out
