"""Compressor, gate and limiter beside those of other programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crosscheck_programs import RATE_HZ, Finding, Found, Sound, board, db, ffmpeg, ours, sine, sox
from dsp.processors.compressor import Compressor
from dsp.processors.gate import Gate
from dsp.processors.limiter import Limiter, limit_exactly

DRIVE_DB = 6.0206
THRESHOLD_DB, RATIO, ATTACK_MS, RELEASE_MS = -24.0, 4.0, 10.0, 100.0
Numbers = NDArray[np.float64]

HASTE = {"sox": 1.0, "ffmpeg": 4.0, "pedalboard": 2.0 * math.pi}
"""How many times as fast as a time constant of 63 % each takes its attack and release to be."""


def follow(x: Numbers, attack_ms: float, release_ms: float, haste: float, *, straight: bool = False) -> Numbers:
    """Return the level (n,) of a branching one-pole on |x|; ``straight``: 1/n in place of 1 − e^(−1/n)."""
    frames = [max(ms * RATE_HZ / 1000.0 / haste, 1e-9) for ms in (attack_ms, release_ms)]
    up, down = (min(1.0, 1.0 / n) if straight else -math.expm1(-1.0 / n) for n in frames)
    level, found = 0.0, np.empty(len(x))
    for i, value in enumerate(np.abs(x).tolist()):
        level += (value - level) * (up if value > level else down)
        found[i] = level
    return found


def compressed(x: Sound, name: str) -> Numbers:
    """Return ``x`` (n, 1) as a hard-kneed compressor that follows the level in linear terms leaves it."""
    wave = x[:, 0].astype(np.float64)
    level = follow(wave, ATTACK_MS, RELEASE_MS, HASTE[name], straight=name == "ffmpeg")
    over = np.maximum(db(level) - THRESHOLD_DB, 0.0)
    return np.asarray(wave * 10.0 ** (over * (1.0 / RATIO - 1.0) / 20.0))


def peers(x: Sound) -> dict[str, Sound]:
    """Return ``x`` through the compressors of other programs."""
    import pedalboard as pb

    top = THRESHOLD_DB * (1.0 - 1.0 / RATIO)
    curve = f"-120,-120,{THRESHOLD_DB},{THRESHOLD_DB},0,{top}"
    threshold = 10.0 ** (THRESHOLD_DB / 20.0)
    times = f"attack={ATTACK_MS}:release={RELEASE_MS}"
    return {
        "pedalboard": board(x, pb.Compressor(THRESHOLD_DB, RATIO, ATTACK_MS, RELEASE_MS)),
        "sox": sox(x, "compand", f"{ATTACK_MS / 1e3},{RELEASE_MS / 1e3}", curve, 0, -120),
        "ffmpeg": ffmpeg(x, f"acompressor=threshold={threshold}:ratio={RATIO}:{times}:knee=1:detection=peak"),
    }


def compressor() -> Found:
    """Compare the static curve on a sine, and the attack on a step."""
    x = sine(1000.0, 1.0, 1.0)
    late = slice(-480, None)
    hold = Compressor(THRESHOLD_DB, RATIO, 0.0, ATTACK_MS, 0.6, RELEASE_MS)
    mine = float(db(np.max(np.abs(ours(hold, x)[late]))))
    why = "follows |x| in linear terms, so a sine's level ripples below its peak; so computed"
    for name, y in peers(x).items():
        found = float(db(np.max(np.abs(y[late]))))
        there = float(db(np.max(np.abs(compressed(x, name)[late]))))
        theory = THRESHOLD_DB * (1.0 - 1.0 / RATIO)
        yield Finding(
            "compressor 4:1 at −24: peak of a full-scale sine of 1 kHz",
            "dBFS",
            theory,
            mine,
            name,
            found,
            why,
            abs(found - there),
            0.02,
            "dB",
        )
    step = np.concatenate([np.full(RATE_HZ // 2, 0.01), np.full(RATE_HZ // 2, 0.9)])[:, None].astype(np.float32)
    at = RATE_HZ // 2
    plain = Compressor(THRESHOLD_DB, RATIO, 0.0, ATTACK_MS, 0.0, RELEASE_MS)
    level_db = float(db(0.9))
    final = (level_db - THRESHOLD_DB) * (1.0 / RATIO - 1.0)

    def covered_ms(y: Any) -> float:
        gain = db(np.ravel(y)[at:] / step[at:, 0])
        return float(np.argmax(gain < final * (1.0 - math.exp(-1.0))) * 1000.0 / RATE_HZ)

    whys = {
        "sox": "10 ms are 63 % of the level in linear terms, and 20 dB over, the curve is left much sooner",
        "ffmpeg": "times are four times as short, the level linear",
        "pedalboard": "times are 2π times as short, the level linear",
    }
    mine = covered_ms(ours(plain, step))
    for name, y in peers(step).items():
        off = float(np.max(np.abs(db(y[at:, 0]) - db(compressed(step, name)[at:]))))
        yield Finding(
            "compressor, attack 10 ms: 63 % of the gain in dB of a step",
            "ms",
            ATTACK_MS,
            mine,
            name,
            covered_ms(y),
            f"{whys[name]}; so computed, every sample",
            off,
            0.05,
            "dB",
        )


def gate() -> Found:
    """Compare an expander of 2:1 at −40 dBFS on a steady −50, and how it opens."""
    import pedalboard as pb

    x = np.full((2 * RATE_HZ, 1), 10.0 ** (-50.0 / 20.0), dtype=np.float32)
    mine = float(db(ours(Gate(-40.0, 0.0, 2.0, 40.0, 1.0, 0.0, 50.0), x)[-1, 0] / x[-1, 0]))
    theirs = {
        "pedalboard": board(x, pb.NoiseGate(-40.0, 2.0, 1.0, 50.0)),
        "ffmpeg": ffmpeg(x, "agate=threshold=0.01:ratio=2:attack=1:release=50:knee=1:range=0:detection=peak"),
    }
    for name, y in theirs.items():
        gain = float(db(y[-1, 0] / x[-1, 0]))
        yield Finding(
            "expander 2:1 at −40 on a steady −50 dBFS",
            "dB",
            -10.0,
            mine,
            name,
            gain,
            "the same curve",
            abs(gain + 10.0),
            0.01,
        )
    # Times: a gate that opens 30 dB above its threshold.
    step = np.concatenate([np.full(RATE_HZ, 10.0 ** (-50.0 / 20.0)), np.full(RATE_HZ, 10.0 ** (-10.0 / 20.0))])
    sound = step[:, None].astype(np.float32)
    at = RATE_HZ

    def opened_ms(y: Any) -> float:
        gain = db(np.ravel(y)[at:] / step[at:])
        return float(np.argmax(gain > -10.0 * math.exp(-1.0)) * 1000.0 / RATE_HZ)

    mine = opened_ms(ours(Gate(-40.0, 0.0, 2.0, 40.0, 20.0, 0.0, 50.0), sound))
    y = board(sound, pb.NoiseGate(-40.0, 2.0, 20.0, 50.0))[:, 0]
    squares = follow(sound[:, 0].astype(np.float64) ** 2, 0.0, 50.0, HASTE["pedalboard"])
    level = follow(np.sqrt(squares), 20.0, 50.0, HASTE["pedalboard"])
    there = step * 10.0 ** (np.minimum(db(level) + 40.0, 0.0) / 20.0)
    off = float(np.max(np.abs(db(y[at // 2 :]) - db(there[at // 2 :]))))
    yield Finding(
        "expander, attack 20 ms: 63 % of the way up of a step",
        "ms",
        20.0,
        mine,
        "pedalboard",
        opened_ms(y),
        "RMS of 50 ms and then the level in linear terms, 2π times as fast; so computed",
        off,
        0.05,
        "dB",
    )
    y = ffmpeg(sound, "agate=threshold=0.01:ratio=2:attack=20:release=50:knee=1:range=0:detection=peak")[:, 0]
    level = follow(sound[:, 0].astype(np.float64), 20.0, 50.0, HASTE["ffmpeg"], straight=True)
    there = step * 10.0 ** (np.minimum(db(level) + 40.0, 0.0) / 20.0)
    off = float(np.max(np.abs(db(y[at // 2 :]) - db(there[at // 2 :]))))
    yield Finding(
        "expander, attack 20 ms: 63 % of the way up of a step",
        "ms",
        20.0,
        mine,
        "ffmpeg",
        opened_ms(y),
        "times are four times as short, the level linear; so computed",
        off,
        0.05,
        "dB",
    )


def true_peak_db(x: Sound) -> float:
    """Read the true peak at 32 times the rate, 128 taps a phase, Kaiser 10."""
    from scipy import signal

    h = 32.0 * signal.firwin(32 * 128 + 1, 1.0 / 32.0, window=("kaiser", 10.0))
    return float(db(max(np.max(np.abs(signal.upfirdn(h, side.astype(np.float64), 32))) for side in x.T)))


def limiter() -> Found:
    """Compare true peaks behind a limiter that is to keep them under −1 dBTP."""
    import pedalboard as pb

    rng = np.random.default_rng(2)
    hiss = rng.standard_normal((RATE_HZ // 2, 1)).astype(np.float32)
    # Below full scale: sox would clip on reading.
    hiss *= np.float32(0.95 / np.max(np.abs(hiss)))
    n = np.arange(RATE_HZ // 2)
    quarter = (0.95 * np.sin(np.pi / 2.0 * n + np.pi / 4.0) * math.sqrt(2.0))[:, None].astype(np.float32)
    ceiling = 10.0 ** (-1.0 / 20.0)
    for label, x in (("noise", hiss), ("a sine of a quarter of the rate", quarter)):
        loud = np.ascontiguousarray(x * np.float32(2.0))
        live = ours(Limiter(-1.0, 1.5, 80.0), loud)
        exact = np.concatenate(list(limit_exactly([live.copy()], ceiling_dbtp=-1.0, rate_hz=RATE_HZ, channels=1)))
        mine = true_peak_db(exact)
        name = f"limiter at −1 dBTP, 6 dB over, second pass: {label}"
        bent = sox(x, "gain", "-l", DRIVE_DB)
        drive = 10.0 ** (DRIVE_DB / 20.0)
        curve = drive * x / (1.0 + np.abs(drive * x) * (1.0 - 1.0 / drive))
        off = float(np.max(np.abs(bent - curve)))
        why = "`gain -l` is a waveshaper, y = gx / (1 + |gx|(1 − 1/g)), so computed; it knows no ceiling"
        yield Finding(name, "dBTP", -1.0, mine, "sox", true_peak_db(bent), why, off, 1e-5, "FS")
        held = ffmpeg(x, f"volume=2,alimiter=limit={ceiling}:attack=1.5:release=80:level=0")
        off = abs(float(db(np.max(np.abs(held)))) + 1.0)
        why = "reads samples, not what lies between: its highest sample is at −1.00 dBFS"
        yield Finding(name, "dBTP", -1.0, mine, "ffmpeg", true_peak_db(held), why, off, 0.01, "dB")
        peak = true_peak_db(board(loud, pb.BrickwallLimiter(-1.0, 80.0, 1.5, True)))
        yield Finding(name, "dBTP", -1.0, mine, "pedalboard", peak, "holds the ceiling", abs(peak + 1.0), 0.02)


def pedalboards_limiter() -> Found:
    """Pedalboard's older Limiter is a maximiser: a quiet tone comes out louder."""
    import pedalboard as pb

    x = sine(997.0, 1.0, 0.1)
    late = slice(RATE_HZ // 2, None)
    mine, theirs = (
        float(db(np.std(y[late]) / np.std(x[late]))) for y in (ours(Limiter(-1.0), x), board(x, pb.Limiter(-1.0, 80.0)))
    )
    why = "JUCE's two stages make up 3.75 dB and then the threshold, whatever comes in"
    yield Finding(
        "limiter at −1: gain of a tone of −20 dBFS",
        "dB",
        0.0,
        mine,
        "pedalboard Limiter",
        theirs,
        why,
        abs(theirs - 4.75),
        0.01,
    )


CHECKS = (compressor, gate, limiter, pedalboards_limiter)
