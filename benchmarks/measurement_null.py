"""Null depth against the noise that is the limit, on programme the simulator plays and records itself."""

from __future__ import annotations

import functools
import math
import time
from typing import Any

import numpy as np

from benchmarks.measurement_loops import RATE_HZ
from benchmarks.rows import row
from benchmarks.simulated_loop import Floats, Path, Tones, white
from benchmarks.simulated_programme import damaged, exported, filtered, programme, recorded
from dsp.measure.noise import measure_noise
from dsp.null.nulltest import NullResult, null_test
from dsp.null.reader import read

SECONDS = 15.0
GAIN = -(10.0 ** (-0.37 / 20.0))
FLAT = Path(731.4142, GAIN)
DRIFTING = Path(731.4142, GAIN, drift_ppm=12.0)
ANALOG = Path(731.4142, GAIN, couplings_hz=(3.0, 1.6), lowpass_hz=70_000.0, drift_ppm=12.0)
EDGE = RATE_HZ // 2
SINE_DB = 20.0 * math.log10(math.sqrt(2.0))
LIMIT = "noise of the recording"


@functools.cache
def pair(path: Path, seconds: float = SECONDS, seed: int = 1) -> tuple[Floats, Floats]:
    """Return the clean export and the noiseless recording behind ``path``, (frames, 2) each."""
    high = programme(seconds, seed)
    return exported(high), recorded(filtered(high, path), path, round(seconds * RATE_HZ))


def inner_rms(x: Floats) -> float:
    """Return the RMS without the first and last half second."""
    return float(np.sqrt(np.mean(x[EDGE:-EDGE] ** 2)))


def nulled(path: Path, limit_db: float, seed: int, *, seconds: float = SECONDS) -> tuple[NullResult, float]:
    """Return the null of a recording whose noise is white and lies ``limit_db`` below it, and that noise [dB re 1]."""
    a, clean = pair(path, seconds)
    noise_db = 20.0 * math.log10(inner_rms(clean)) + limit_db
    b = clean + white(np.random.default_rng(seed), clean.shape, noise_db)
    return null_test(a, b, rate_hz=RATE_HZ, noise_dbfs=noise_db + SINE_DB), noise_db


def reader_floor_db() -> float:
    """Return what the reader errs on 60 tones up to 20 kHz, with delay and drift, re the tones [dB]."""
    rng = np.random.default_rng(4)
    tones = Tones(rng.uniform(20.0, 20_000.0, 60) / RATE_HZ, np.ones(60), rng.uniform(0.0, 2.0 * math.pi, 60))
    frames = 3 * RATE_HZ
    path = Path(311.4142, drift_ppm=12.0)
    truth = tones.through(path, frames)
    source = tones.at(np.arange(frames, dtype=np.float64))[None, :]
    found, _ = read(source, delay=path.delay_samples, drift=path.drift_ppm * 1e-6, start=0, stop=frames)
    inside = slice(2_000, frames - 2_000)
    return 20.0 * math.log10(float(np.std(found[0, inside] - truth[inside])) / float(np.std(truth[inside])))


def fault_errors(trials: int, seed: int) -> tuple[list[int], int]:
    """Return how many frames off each fault was placed, and how many faults were not found or called otherwise.

    Of 20 to 2000 frames, in a flat print with noise of −80 dBFS: lost, repeated, or silent.
    """
    rng = np.random.default_rng(seed)
    a, clean = pair(FLAT)
    errors, wrong = [], 0
    for trial in range(trials):
        kind = ("lost", "repeated", "dropout")[trial % 3]
        at, frames = int(rng.integers(4, 11) * RATE_HZ + rng.integers(RATE_HZ)), int(rng.integers(20, 2_000))
        b = damaged(clean + white(rng, clean.shape, -80.0), kind, at, frames)
        told = [change for change in null_test(a, b, rate_hz=RATE_HZ, matched=False).changes if change.kind == kind]
        if len(told) == 1:
            errors.append(abs(told[0].frame - at))
        else:
            wrong += 1
    return errors, wrong


def predicted_error_db(path: Path, noise_db: float, seed: int, *, seconds: float = SECONDS) -> tuple[float, float]:
    """Return how far the depth lies from what silence and the export foretold, and the depth [dB].

    Before the pass: the noise of 2 s of silence (20 Hz to 20 kHz, white beyond), the loop's gain, the export's RMS.
    """
    rng = np.random.default_rng(seed)
    a, clean = pair(path, seconds)
    silence = measure_noise(white(rng, (2 * RATE_HZ, 2), noise_db), rate_hz=RATE_HZ)
    power = float(np.mean([10.0 ** (facts.flat_dbfs.value / 10.0) for facts in silence])) / 2.0
    whole = power * (RATE_HZ / 2.0) / (20_000.0 - 20.0)
    foretold = 10.0 * math.log10(whole) - 20.0 * math.log10(abs(GAIN) * inner_rms(a))
    b = clean + white(rng, clean.shape, noise_db)
    depth = null_test(a, b, rate_hz=RATE_HZ, noise_dbfs=noise_db + SINE_DB).null_depth_matched_db
    assert depth is not None
    return depth - foretold, depth


def long_pair(seconds: float) -> tuple[Floats, Floats]:
    """Return the export and the recording (12 ppm, couplings, −90 dBFS noise) of a long programme, made in pieces."""
    piece = 20.0
    a, b = np.zeros((round(seconds * RATE_HZ), 2)), np.zeros((round(seconds * RATE_HZ), 2))
    for number in range(round(seconds / piece)):
        first = round(number * piece * RATE_HZ)
        high = programme(piece, 100 + number)
        a[first : first + round(piece * RATE_HZ)] = exported(high)
        moved = Path(
            ANALOG.delay_samples + ANALOG.drift_ppm * 1e-6 * first, GAIN, ANALOG.couplings_hz, ANALOG.lowpass_hz,
            drift_ppm=ANALOG.drift_ppm,
        )  # fmt: skip
        wanted = min(round((piece + 0.5) * RATE_HZ), b.shape[0] - first)
        still = np.concatenate([high, np.zeros((2 * RATE_HZ, 2))])
        b[first : first + wanted] += recorded(filtered(still, moved), moved, wanted)
    return a, b + white(np.random.default_rng(9), b.shape, -90.0)


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Return the rows of the null test."""
    seconds = 6.0 if quick else SECONDS
    out = []
    for limit_db in (-100.0,) if quick else (-60.0, -80.0, -100.0):
        found, _ = nulled(FLAT, limit_db, 1, seconds=seconds)
        depth = found.null_depth_db
        assert depth is not None
        out.append(
            row(
                f"null, one clock, flat, limit {limit_db:.0f} dB",
                depth,
                "dB",
                peer=limit_db,
                peer_name=LIMIT,
                ratio=10.0 ** ((limit_db - depth) / 20.0),
                goal=limit_db + 0.5,
                holds=depth <= limit_db + 0.5,
                note=f"delay off by {found.delay_samples - FLAT.delay_samples:.1g}, sd {found.delay_sd:.1g} samples",
            )
        )
    for limit_db, goal in ((-80.0, -79.0),) if quick else ((-60.0, -59.0), (-80.0, -79.0), (-101.0, -95.0)):
        found, _ = nulled(ANALOG, limit_db, 2, seconds=seconds)
        depth = found.null_depth_matched_db
        assert depth is not None
        out.append(
            row(
                f"null, 12 ppm of drift and two couplings, matched, limit {limit_db:.0f} dB",
                depth,
                "dB",
                peer=limit_db,
                peer_name=LIMIT,
                ratio=10.0 ** ((limit_db - depth) / 20.0),
                goal=goal,
                holds=depth <= goal,
                note=f"drift off by {found.drift_ppm - ANALOG.drift_ppm:.1g}, sd {found.drift_sd_ppm:.1g} ppm; stages "
                + ", ".join(f"{s.name} {s.depth_db:.1f}" for s in found.stages if s.depth_db is not None),
            )
        )
    if not quick:
        found, _ = nulled(DRIFTING, -100.0, 3)
        depth = found.null_depth_db
        assert depth is not None
        out.append(
            row(
                "null, 12 ppm of drift, flat, limit -100 dB",
                depth,
                "dB",
                peer=-100.0,
                peer_name=LIMIT,
                ratio=10.0 ** ((-100.0 - depth) / 20.0),
                goal=-99.5,
                holds=depth <= -99.5,
                note=f"drift off by {found.drift_ppm - 12.0:.1g}, sd {found.drift_sd_ppm:.1g} ppm",
            )
        )
    floor = reader_floor_db()
    out.append(row("reader floor, 20 Hz to 20 kHz", floor, "dB", goal=-140.0, holds=floor <= -140.0))
    if quick:
        return out
    misplaced, wrong = fault_errors(9, 7)
    off = max(misplaced, default=0)
    out.append(
        row(
            "null, frames lost, repeated or silent: largest error of the place",
            off,
            "frames",
            goal=0.0,
            holds=off == 0 and not wrong,
            note=f"{len(misplaced) + wrong} faults in noise of -80 dBFS; {wrong} not found or called otherwise; off by "
            f"{misplaced}",
        )
    )
    for path, name in ((FLAT, "flat"), (ANALOG, "12 ppm and couplings")):
        errors = [predicted_error_db(path, noise_db, 5) for noise_db in (-100.0, -80.0, -60.0)]
        worst = max(abs(error) for error, _ in errors)
        depths = ", ".join(f"{error:+.2f} at {depth:.1f}" for error, depth in errors)
        out.append(
            row(
                f"predicted floor, {name}: largest error",
                worst,
                "dB",
                goal=1.0,
                holds=worst <= 1.0,
                note=f"reached less foretold, noise -100, -80 and -60 dBFS: {depths} dB",
            )
        )
    return out


def alone() -> list[dict[str, Any]]:
    """Return the row of the null's speed, which wants the machine for itself."""
    a, b = long_pair(240.0)
    wall, cpu = time.perf_counter(), time.process_time()
    found = null_test(a, b, rate_hz=RATE_HZ)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return [
        row(
            "null of a 4-minute stereo pair with drift and couplings, re real time",
            wall / 240.0,
            "x",
            goal=0.5,
            holds=wall <= 120.0,
            note=f"{wall:.0f} s, {cpu:.0f} s of CPU; depth {found.null_depth_matched_db or 0.0:.1f} dB",
        )
    ]
