"""Distortion, noise and hum: what tones and silence tell, against what was put in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.measurement_loops import RATE_HZ
from benchmarks.rows import row
from benchmarks.simulated_loop import Floats, hum, white
from dsp.measure.distortion import measure_ccif, measure_dynamic_range, measure_smpte, measure_thd
from dsp.measure.figure import Figure
from dsp.measure.noise import measure_noise
from dsp.measure.tone import fit_tone

TONE_HZ = 997.0
LEVEL = 10.0 ** (-1.0 / 20.0)
BAND_HZ = (20.0, 20_000.0)
PPM = 50e-6


def tones(rng: np.random.Generator, frames: int, lines: Mapping[float, float], *, off: float = 0.0) -> Floats:
    """Return cosines of (Hz: amplitude), every frequency ``off`` its name, with phases at random."""
    t = np.arange(frames) / RATE_HZ
    return np.sum(
        [a * np.cos(2.0 * math.pi * (hz * (1.0 + off) * t + rng.random())) for hz, a in lines.items()], axis=0
    )


def bent_sine(rng: np.random.Generator, seconds: float, thd_db: float, noise_db: float) -> Floats:
    """Return 997 Hz at −1 dBFS off by up to 50 ppm, H2 and H3 3 dB apart with that THD together, in white noise."""
    frames = round(seconds * RATE_HZ)
    h2 = LEVEL * 10.0 ** (thd_db / 20.0) / math.sqrt(1.0 + 0.5)
    lines = {TONE_HZ: LEVEL, 2.0 * TONE_HZ: h2, 3.0 * TONE_HZ: h2 * math.sqrt(0.5)}
    return tones(rng, frames, lines, off=rng.uniform(-PPM, PPM)) + white(rng, (frames,), noise_db)


def in_band(noise_db: float, weighting: Callable[[Floats], Floats] | None = None) -> tuple[float, float]:
    """Return mean square of weighted white noise, 20 Hz to 20 kHz, and the effective bandwidth [Hz]."""
    hz = np.linspace(*BAND_HZ, 200_001)
    power = np.ones(hz.size) if weighting is None else weighting(hz) ** 2
    step = float(hz[1] - hz[0])
    whole = 10.0 ** (noise_db / 10.0) * float(power.sum()) * step / (RATE_HZ / 2.0)
    return whole, float(power.sum()) ** 2 * step / float((power**2).sum())


def a_weighting(hz: Floats) -> Floats:
    """Return the gain of IEC 61672-1 A."""
    f = hz * hz
    r = 12194.0**2 * f * f / ((f + 20.6**2) * np.sqrt((f + 107.7**2) * (f + 737.9**2)) * (f + 12194.0**2))
    return r * 10.0 ** (2.0 / 20.0)


def ccir_weighting(hz: Floats) -> Floats:
    """Return the gain of ITU-R BS.468-4 in its closed form, 0 dB at 2 kHz."""
    f = hz
    one = -4.737338981378384e-24 * f**6 + 2.043828333606125e-15 * f**4 - 1.363894795463638e-7 * f**2 + 1.0
    two = 1.306612257412824e-19 * f**5 - 2.118150887518656e-11 * f**3 + 5.559488023498642e-4 * f
    return 1.246332637532143e-4 * f / np.hypot(one, two) * 10.0 ** ((18.2 - 5.6) / 20.0)


def off(figures: Sequence[Figure], truth: float) -> tuple[float, float, float]:
    """Return rms error, largest error, and the reported spread over the rms error."""
    errors = np.array([f.value for f in figures]) - truth
    rms = math.sqrt(float(np.mean(errors**2)))
    sds = np.array([f.sd for f in figures])
    return rms, float(np.max(np.abs(errors))), math.sqrt(float(np.mean(sds**2))) / rms


def thd_figures(thd_db: float, noise_db: float, seconds: float, trials: int, seed: int) -> list[Figure]:
    """Return the THD of as many captures."""
    rng = np.random.default_rng(seed)
    return [measure_thd(bent_sine(rng, seconds, thd_db, noise_db), rate_hz=RATE_HZ).thd_db for _ in range(trials)]


def numeric_residual_db() -> float:
    """Return what the fit leaves of a pure sine off by 37 ppm [dB]."""
    pure = tones(np.random.default_rng(3), RATE_HZ, {TONE_HZ: LEVEL}, off=37e-6)
    left = fit_tone(pure, rate_hz=RATE_HZ, near_hz=TONE_HZ).lines.residual
    return 20.0 * math.log10(max(float(np.std(left)), 1e-300) / float(np.std(pure)))


def thdn_figures(trials: int, seed: int) -> tuple[list[Figure], list[Figure], float]:
    """Return THD+N by least squares and behind the notch of 1 s with THD −90 and noise −80, and the truth [dB]."""
    rng = np.random.default_rng(seed)
    both = [measure_thd(bent_sine(rng, 1.0, -90.0, -80.0), rate_hz=RATE_HZ) for _ in range(trials)]
    noise, tone = in_band(-80.0)[0], LEVEL**2 / 2.0
    rest = noise + tone * 10.0**-9
    truth = 10.0 * math.log10(rest / (rest + tone))
    return [d.thdn_db for d in both], [d.thdn_notch_db for d in both], truth


def smpte_figures(imd_db: float, trials: int, seed: int) -> list[Figure]:
    """Return SMPTE IMD of 1 s: sidebands of first and second order 6 dB apart, in noise of −100 dBFS."""
    rng = np.random.default_rng(seed)
    upper = 0.2 * LEVEL
    first = upper * 10.0 ** (imd_db / 20.0) / math.sqrt(4.0 + 1.0)
    lines = {60.0: 0.8 * LEVEL, 7000.0: upper, 6940.0: first, 7060.0: first, 6880.0: first / 2.0, 7120.0: first / 2.0}
    frames = RATE_HZ
    heard = [tones(rng, frames, lines) + white(rng, (frames,), -100.0) for _ in range(trials)]
    return [measure_smpte(x, rate_hz=RATE_HZ) for x in heard]


def ccif_figures(imd_db: float, trials: int, seed: int) -> tuple[list[Figure], list[Figure]]:
    """Return d2 and d3 of 1 s, both of that size, in noise of −100 dBFS."""
    rng = np.random.default_rng(seed)
    half = 0.5 * LEVEL
    line = 2.0 * half * 10.0 ** (imd_db / 20.0)
    lines = {19_000.0: half, 20_000.0: half, 1000.0: line, 18_000.0: line / 2.0, 21_000.0: line / 2.0}
    heard = [tones(rng, RATE_HZ, lines) + white(rng, (RATE_HZ,), -100.0) for _ in range(trials)]
    found = [measure_ccif(x, rate_hz=RATE_HZ) for x in heard]
    return [c.d2_db for c in found], [c.d3_db for c in found]


def dynamic_range_figures(trials: int, seed: int) -> tuple[list[Figure], float]:
    """Return the dynamic range from 1 s of −60 dBFS in noise of −100, and the truth [dB]."""
    rng = np.random.default_rng(seed)
    heard = [tones(rng, RATE_HZ, {TONE_HZ: 1e-3}, off=rng.uniform(-PPM, PPM)) for _ in range(trials)]
    found = [measure_dynamic_range(x + white(rng, x.shape, -100.0), rate_hz=RATE_HZ) for x in heard]
    return found, -10.0 * math.log10(2.0 * in_band(-100.0, ccir_weighting)[0])


def hum_named(trials: int, seed: int) -> tuple[int, int, float]:
    """Return how many lines had to be named, how many names were wrong or missing, and the largest level error [dB].

    1 s of silence with noise of −100 dBFS and lines between −100 and −80 dBFS at a random third of the first 20
    multiples of 50 or 60 Hz, off by up to 0.1 %.
    """
    rng = np.random.default_rng(seed)
    named, wrong, worst = 0, 0, 0.0
    for trial in range(trials):
        mains = (50.0, 60.0)[trial % 2] * (1.0 + rng.uniform(-1e-3, 1e-3))
        orders = sorted({1, *rng.choice(np.arange(2, 21), 6, replace=False).tolist()})
        levels = {k: float(rng.uniform(-100.0, -80.0)) for k in orders}
        x = hum(RATE_HZ, [(k * mains, levels[k]) for k in orders], seed=trial) + white(rng, (RATE_HZ,), -100.0)
        found = {line.harmonic: line.level_dbfs.value for line in measure_noise(x[:, None], rate_hz=RATE_HZ)[0].lines}
        named += len(orders)
        wrong += len(set(found) ^ set(orders))
        worst = max([worst, *(abs(found[k] - levels[k]) for k in orders if k in found)])
    return named, wrong, worst


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of distortion, noise, DC and hum."""
    n = 8 if quick else 60
    out: list[dict[str, Any]] = []

    def judged(
        name: str, figures: Sequence[Figure], truth: float, goal: float | None, bound: float | None = None
    ) -> None:
        rms, worst, honesty = off(figures, truth)
        out.append(
            row(
                name,
                rms,
                "dB",
                goal=goal,
                holds=None if goal is None else rms <= goal,
                peer=bound,
                peer_name=None if bound is None else "4.34/√(B·T)",
                ratio=None if bound is None else bound / rms,
                note=f"rms error of {len(figures)}; largest {worst:.2g}; reported sd {honesty:.2f} x the error",
            )
        )

    judged("THD -90 dB, noise -100, 1 s", thd_figures(-90.0, -100.0, 1.0, n, 1), -90.0, 0.05)
    judged("THD -120 dB, noise -110, 4 s", thd_figures(-120.0, -110.0, 4.0, n // 2, 2), -120.0, 0.5)
    left = numeric_residual_db()
    out.append(row("numeric residual of a pure sine", left, "dB", goal=-200.0, holds=left <= -200.0))
    fitted, notched, truth = thdn_figures(n, 4)
    bound = 4.343 / math.sqrt(BAND_HZ[1] - BAND_HZ[0])
    judged("THD+N, least squares, 1 s", fitted, truth, 0.05, bound)
    taken = math.sqrt(float(np.mean([(f.value - truth) ** 2 for f in notched])))
    out.append(row("THD+N, AES17 notch, beside it", taken, "dB", note=f"off the truth; {notched[0].note}"))
    found, truth = dynamic_range_figures(n if quick else 200, 5)
    judged("dynamic range, CCIR-RMS, 1 s", found, truth, 0.05, 4.343 / math.sqrt(in_band(0.0, ccir_weighting)[1]))
    rng = np.random.default_rng(6)
    silence = measure_noise(5e-6 + white(rng, (RATE_HZ, n), -100.0), rate_hz=RATE_HZ)
    weightings = {"flat": None, "A": a_weighting, "CCIR-RMS": ccir_weighting}
    for (name, weighting), key in zip(weightings.items(), ("flat_dbfs", "a_dbfs", "ccir_dbfs"), strict=True):
        power, width = in_band(-100.0, weighting)
        figures = [getattr(facts, key) for facts in silence]
        goal = 0.05 if weighting is None else None
        judged(f"noise, {name}, 1 s", figures, 10.0 * math.log10(2.0 * power), goal, 4.343 / math.sqrt(width))
    for imd_db, goal in ((-80.0, 0.1), (-100.0, 0.5)):
        judged(f"IMD SMPTE {imd_db:.0f} dB, noise -100, 1 s", smpte_figures(imd_db, n, 7 - round(imd_db)), imd_db, goal)
        second, third = ccif_figures(imd_db, n, 8 - round(imd_db))
        judged(f"IMD CCIF d2 {imd_db:.0f} dB, noise -100, 1 s", second, imd_db, goal)
        judged(f"IMD CCIF d3 {imd_db:.0f} dB, noise -100, 1 s", third, imd_db, goal)
    dc = np.array([facts.dc_fs.value for facts in silence]) - 5e-6
    worst = 1e6 * float(np.max(np.abs(dc)))
    out.append(row("DC of 5 µFS, noise -100, 1 s: largest error", worst, "µFS", goal=1.0, holds=worst <= 1.0))
    named, wrong, worst = hum_named(4 if quick else 24, 9)
    out.append(
        row(
            "hum lines of 50 and 60 Hz named wrong or not at all",
            wrong,
            f"of {named}",
            goal=0,
            holds=wrong == 0,
            note=f"levels -100 to -80 dBFS in noise of -100, 1 s; largest level error {worst:.2g} dB",
        )
    )
    return out
