"""Delay, reverb, convolution and what sweeps, beside those of other programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crosscheck_programs import (
    RATE_HZ,
    Finding,
    Found,
    Sound,
    board,
    db,
    ffmpeg,
    impulse,
    noise,
    ours,
    sine,
    sox,
)
from dsp.impulse import Response
from dsp.processors.convolution import Convolution
from dsp.processors.delay import Align, Delay
from dsp.processors.modulation import Chorus, Flanger, Phaser
from dsp.processors.reverb import Reverb
from dsp.processors.tremolo import Tremolo

COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
"""Freeverb's combs at 44.1 kHz [frames] (Jezar at Dreampoint, Freeverb, tuning.h)."""


def delay() -> Found:
    """Echoes of 100 ms, each half as loud as the one before."""
    import pedalboard as pb

    x = impulse(RATE_HZ, 0.5)
    open_ = Delay(time_ms=100.0, feedback_percent=50.0, low_cut_hz=10.0, high_cut_hz=20_000.0, mix_percent=100.0)
    mine = np.abs(ours(open_, x)[:, 0])
    theirs = np.abs(board(x, pb.Delay(0.1, 0.5, 1.0))[:, 0])
    first, second = (slice(4800 * k - 200, 4800 * k + 200) for k in (1, 2))

    def time_ms(y: NDArray[Any]) -> float:
        return float(np.argmax(y[first]) + first.start) * 1000.0 / RATE_HZ

    yield Finding(
        "delay of 100 ms: first echo",
        "ms",
        100.0,
        time_ms(mine),
        "pedalboard",
        time_ms(theirs),
        "the same",
        abs(time_ms(theirs) - 100.0),
        1e-6,
    )
    ratios = [float(db(np.max(y[second]) / np.max(y[first]))) for y in (mine, theirs)]
    yield Finding(
        "delay, feedback 50 %: second echo's peak after the first",
        "dB",
        float(db(0.5)),
        ratios[0],
        "pedalboard",
        ratios[1],
        "plain feedback; ours sends every echo through its two cuts, here 10 Hz and 20 kHz, which lower a click's peak",
        abs(ratios[1] - float(db(0.5))),
        1e-3,
    )
    low = sine(1000.0, 1.0, 0.5)
    tone = ours(open_, np.concatenate([low[:2400], np.zeros((20_000, 1), np.float32)]))[:, 0]
    burst = board(np.concatenate([low[:2400], np.zeros((20_000, 1), np.float32)]), pb.Delay(0.1, 0.5, 1.0))[:, 0]
    ratios = [
        float(db(np.std(y[9600 + 480 : 12_000 - 480]) / np.std(y[4800 + 480 : 7200 - 480]))) for y in (tone, burst)
    ]
    yield Finding(
        "… the same of a burst of 1 kHz",
        "dB",
        float(db(0.5)),
        ratios[0],
        "pedalboard",
        ratios[1],
        "the same where the cuts do nothing",
        max(abs(r - float(db(0.5))) for r in ratios),
        0.02,
    )
    x = noise(RATE_HZ // 2)
    late = 1234
    aligned = ours(Align(late / 48.0), x)
    for name, y in (("sox", sox(x, "delay", f"{late}s")), ("ffmpeg", ffmpeg(x, f"adelay=delays={late}S:all=1"))):
        wrong = [float(np.max(np.abs(z[late : len(x)] - x[:-late]))) for z in (aligned, y)]
        why = "a copy, through 32-bit integers in sox" if name == "sox" else "a copy"
        yield Finding("delay of 1234 whole frames: error", "FS", 0.0, wrong[0], name, wrong[1], why, wrong[1], 2.0**-24)


def decay_s(y: Sound, begin_db: float = -5.0, end_db: float = -35.0) -> float:
    """Return the time to −60 dB below 400 Hz, where no damping is, by Schroeder's backward integral."""
    from scipy import signal

    low = signal.sosfilt(signal.butter(4, 400.0, fs=RATE_HZ, output="sos"), y.astype(np.float64), axis=0)
    energy = np.cumsum(np.sum(low**2, axis=1)[::-1])[::-1]
    level = 10.0 * np.log10(np.maximum(energy / energy[0], 1e-30))
    a, b = (int(np.argmax(level <= edge)) for edge in (begin_db, end_db))
    t = np.arange(a, b) / RATE_HZ
    return float(-60.0 / np.polyfit(t, level[a:b], 1)[0])


def freeverb_decay_s(feedback: float, damping: float = 0.0) -> float:
    """Return the same of Freeverb's parallel combs: each round is ``feedback`` times a one-pole of ``damping``."""
    from scipy import signal

    x = np.zeros(2 * RATE_HZ)
    x[0] = 1.0
    y = np.zeros_like(x)
    for comb in COMBS:
        late = comb * RATE_HZ // 44_100
        bottom = np.zeros(late + 1)
        bottom[:2] = 1.0, -damping
        bottom[late] -= feedback * (1.0 - damping)
        y += signal.lfilter([1.0, -damping], bottom, x)
    return decay_s(y[:, None].astype(np.float32))


def reverb() -> Found:
    """Compare reverberation times, −5 to −35 dB (T30 of ISO 3382-1); Freeverb knows no seconds."""
    import pedalboard as pb

    x = impulse(8 * RATE_HZ, 0.5, 2)
    mine = decay_s(ours(Reverb(mid_s=1.8, low_s=1.8, high_s=1.8, mix_percent=100.0, early_db=-math.inf), x))
    theirs = decay_s(board(x, pb.Reverb(0.5, 0.0, 1.0, 0.0)))
    there = freeverb_decay_s(0.7 + 0.28 * 0.5)
    yield Finding(
        "reverb: T below 400 Hz of a room asked to ring 1.8 s; peers at half",
        "s",
        1.8,
        mine,
        "pedalboard",
        theirs,
        f"Freeverb: combs with a feedback of 0.7 + 0.28 × size ring {there:.2f} s",
        abs(theirs - there),
        0.1,
    )
    a = -1.0 / math.log(1.0 - 0.3)
    b = 100.0 / (math.log(1.0 - 0.98) * a + 1.0)
    there = freeverb_decay_s(1.0 - math.exp((50.0 - b) / (a * b)), 0.2)
    theirs = decay_s(sox(x, "reverb", "-w", 50, 0, 100, 100, 0, 0))
    yield Finding(
        "reverb: T below 400 Hz of a room asked to ring 1.8 s; peers at half",
        "s",
        1.8,
        mine,
        "sox",
        theirs,
        f"Freeverb with a scale of its own, always a little damped: its combs ring {there:.2f} s",
        abs(theirs - there),
        0.1,
    )


def convolution() -> Found:
    """Compare a response of a second with scipy's convolution in float64."""
    import pedalboard as pb
    from scipy import signal

    x = noise(RATE_HZ, 0.1)
    h = np.random.default_rng(3).standard_normal(RATE_HZ) * 10.0 ** (-3.0 * np.arange(RATE_HZ) / RATE_HZ) * 0.02
    h32 = h.astype(np.float32)
    wanted = signal.fftconvolve(x[:, 0].astype(np.float64), h32.astype(np.float64))[:RATE_HZ]

    def error_db(y: NDArray[Any]) -> float:
        return float(db(np.std(y - wanted) / np.std(wanted)))

    mine = error_db(ours(Convolution(Response(h32[:, None], RATE_HZ), mix_percent=100.0), x)[:, 0])
    y = board(x, pb.Convolution(h32, 1.0, RATE_HZ))[:, 0]
    scale = float(y.astype(np.float64) @ wanted / (wanted @ wanted))
    norm = 0.125 / float(np.sqrt(np.sum(h32.astype(np.float64) ** 2)))
    yield Finding(
        "convolution, 1 s: error",
        "dB",
        None,
        mine,
        "pedalboard",
        error_db(y),
        "scales the response to 1/8 over its energy's root",
        abs(float(db(scale / norm))),
        0.01,
    )
    single = signal.fftconvolve(x[:, 0], h32)[:RATE_HZ]
    off = abs(error_db(single) - error_db(y / scale))
    why = "transforms in float32: scipy's err by as much"
    yield Finding("… that gain taken out", "dB", None, mine, "pedalboard", error_db(y / scale), why, off, 6.0)


def late_ms(x: Sound, y: Sound, every: int) -> NDArray[np.float64]:
    """Return how late the copy of each impulse, one every ``every`` frames, comes; between frames by its centre."""
    found = []
    for at in range(0, len(x) - every, every):
        wet = y[at + 2 : at + every, 0].astype(np.float64)
        top = int(np.argmax(np.abs(wet)))
        around = np.arange(max(top - 1, 0), min(top + 2, len(wet)))
        weight = np.abs(wet[around])
        if np.sum(weight) > 1e-3:
            found.append((float(around @ weight / np.sum(weight)) + 2.0) * 1000.0 / RATE_HZ)
    return np.array(found)


def sweeps() -> Found:
    """How far the delay of chorus and flanger swings."""
    import pedalboard as pb

    every = 1920
    x = np.zeros((6 * RATE_HZ, 1), dtype=np.float32)
    x[::every] = 0.5
    chorus = ours(Chorus(1.0, delay_ms=12.0, depth_ms=5.0, voices=1, mix_percent=100.0), x)
    mine = late_ms(x, chorus, every)
    theirs = late_ms(x, board(x, pb.Chorus(1.0, 0.5, 12.0, 0.0, 1.0)), every)
    flange = ours(Flanger(1.0, shape="sine", delay_ms=4.0, depth_ms=2.0, feedback_percent=0.0, mix_percent=100.0), x)
    ours_flanger = late_ms(x, flange, every)
    juces, bases = "depth 0.5 of JUCE's 20 ms, ± half of that", "from the base to base and depth"
    ffmpegs = late_ms(x, ffmpeg(x, "flanger=delay=2:depth=4:width=100:speed=1:regen=0"), every)
    soxes = late_ms(x, sox(x, "flanger", 2, 4, 0, 100, 1, "sine"), every)
    for name, middle, depth, own, peer, found, why in (
        ("chorus 12 ± 5 ms: swing", 12.0, 5.0, mine, "pedalboard", theirs, juces),
        ("flanger 4 ± 2 ms: swing", 4.0, 2.0, ours_flanger, "ffmpeg", ffmpegs, bases),
        ("flanger 4 ± 2 ms: swing", 4.0, 2.0, ours_flanger, "sox", soxes, bases),
    ):
        swings = [float(np.ptp(v[5:])) / 2.0 for v in (own, found)]
        off = max(abs(swings[1] - depth), abs(float(np.max(found[5:]) + np.min(found[5:])) / 2.0 - middle))
        yield Finding(name, "ms", depth, swings[0], peer, swings[1], f"{why}, around {middle:g} ms", off, 0.1)


def phaser() -> Found:
    """Whether a phaser is made of all-passes: the energy of the wet copy."""
    import pedalboard as pb

    x = impulse(RATE_HZ, 0.5)
    still = Phaser(0.01, stages=6, centre_hz=1300.0, depth_octaves=0.0, feedback_percent=0.0, mix_percent=100.0)
    at = np.geomspace(50.0, 18_000.0, 200)
    turns = np.exp(-2j * np.pi / RATE_HZ * np.outer(at, np.arange(8192)))

    def ripple_db(y: Sound, dry: float = 0.0) -> float:
        wet = y[:8192, 0].astype(np.float64) - dry * x[:8192, 0]
        return float(np.ptp(db(turns @ wet)))

    mine = ripple_db(ours(still, x))
    theirs = ripple_db(board(x, pb.Phaser(0.01, 0.0, 1300.0, 0.0, 1.0)))
    yield Finding(
        "phaser: ripple of the wet copy", "dB", 0.0, mine, "pedalboard", theirs, "all-passes, too", theirs, 0.01
    )
    for name, y in (
        ("sox", sox(x, "phaser", 0.5, 1, 3, 0.4, 0.1, "-s")),
        ("ffmpeg", ffmpeg(x, "aphaser=in_gain=0.5:out_gain=1:delay=3:decay=0.4:speed=0.1:type=sinusoidal")),
    ):
        heard = np.flatnonzero(np.abs(y[1:2000, 0]) > 1e-4) + 1
        sparse = len(heard) / 2000.0
        yield Finding(
            "phaser: ripple of the wet copy",
            "dB",
            0.0,
            mine,
            name,
            ripple_db(y, 0.5),
            f"a delay of up to 3 ms in a loop, no all-passes: {len(heard)} of 2000 samples of its response are not 0",
            sparse,
            0.02,
            "of all",
        )


def tremolo() -> Found:
    """Compare the gain at 5 Hz and 60 %: it should swing between 1 and 0.4."""
    x = np.full((RATE_HZ, 1), 0.5, dtype=np.float32)
    mine = ours(Tremolo(5.0, depth_percent=60.0), x)[:, 0] / 0.5
    for name, y in (("sox", sox(x, "tremolo", 5, 60)), ("ffmpeg", ffmpeg(x, "tremolo=f=5:d=0.6"))):
        gain = y[:, 0] / 0.5
        swing = 0.7 + 0.3 * np.sin(2.0 * np.pi * 5.0 * np.arange(RATE_HZ) / RATE_HZ)
        # The same wave, wherever it begins.
        spectra = np.fft.rfft(gain - 0.7), np.fft.rfft(swing - 0.7)
        shift = int(np.argmax(np.fft.irfft(spectra[0] * np.conj(spectra[1]))))
        off = float(np.max(np.abs(gain - np.roll(swing, shift))))
        begins = f"the same sine, begun {shift % 9600 / 9600.0:.2f} of a turn later"
        yield Finding(
            "tremolo 5 Hz, 60 %: lowest gain",
            "",
            0.4,
            float(np.min(mine)),
            name,
            float(np.min(gain)),
            begins,
            off,
            5e-3,
        )


CHECKS = (delay, reverb, convolution, sweeps, phaser, tremolo)
