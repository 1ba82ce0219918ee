"""Curves, gains, stereo, rates, dither and meters, beside those of other programs."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crosscheck_dynamics import true_peak_db
from benchmarks.crosscheck_programs import RATE_HZ, Finding, Found, Sound, board, db, ffmpeg, noise, ours, sine, sox
from dsp.dither import Ditherer
from dsp.loudness import LoudnessMeter
from dsp.processors.limiter import Limiter
from dsp.processors.saturation import Saturation
from dsp.processors.stereo import MidSide, Width
from dsp.processors.trim import Trim
from dsp.resample import resample
from dsp.stereo import balance_gains

DRIVE_DB, CYCLES = 12.0, 2501
"""A tone of 5002 Hz in spectra of 2 Hz: it shares no line with its aliases."""


def aliases_db(y: Any) -> float:
    """Return the power of all that is no harmonic of the tone, below 20 kHz, against the tone."""
    found = np.abs(np.fft.rfft(np.asarray(y, np.float64)[24_000:48_000])) ** 2
    tone = found[CYCLES]
    found[::CYCLES] = 0.0
    return float(10.0 * math.log10(np.sum(found[:10_000]) / tone))


def saturation() -> Found:
    """Tanh and clip driven by 12 dB: aliases."""
    import pedalboard as pb

    x = sine(2.0 * CYCLES, 1.5, 1.0)
    drive = 10.0 ** (DRIVE_DB / 20.0)
    bent = np.tanh(drive * x[:, 0].astype(np.float64))
    mine = aliases_db(ours(Saturation("tube", DRIVE_DB, -50.0, quality="best"), x)[:, 0])
    loud = np.ascontiguousarray(x * np.float32(drive))
    for name, y in (("pedalboard", board(x, pb.Distortion(DRIVE_DB))), ("ffmpeg", ffmpeg(loud, "asoftclip=type=tanh"))):
        off = float(np.max(np.abs(y[:, 0] - bent)))
        yield Finding(
            "tanh, 12 dB of drive, 5 kHz: aliases below 20 kHz",
            "dB",
            None,
            mine,
            name,
            aliases_db(y[:, 0]),
            "tanh of each sample at the rate itself",
            off,
            1e-5,
            "FS",
        )
    y = ffmpeg(loud, "asoftclip=type=tanh:oversample=8")[:, 0]
    yield Finding("… ffmpeg at eight times the rate", "dB", None, mine, "ffmpeg", aliases_db(y))
    clipped = np.clip(drive * x[:, 0].astype(np.float64), -1.0, 1.0)
    mine = aliases_db(ours(Saturation("clip", DRIVE_DB, quality="best"), x)[:, 0])
    theirs = {
        "pedalboard": board(loud, pb.Clipping(0.0))[:, 0],
        "ffmpeg": ffmpeg(loud, "asoftclip=type=hard")[:, 0],
        "sox": sox(x, "gain", DRIVE_DB)[:, 0],
    }
    for name, y in theirs.items():
        yield Finding(
            "clip, 12 dB of drive, 5 kHz: aliases below 20 kHz",
            "dB",
            None,
            mine,
            name,
            aliases_db(y),
            "clips each sample at the rate itself",
            float(np.max(np.abs(y - clipped))),
            1e-5,
            "FS",
        )


def trim() -> Found:
    """Compare a gain of −6.5 dB with the product in float64."""
    import pedalboard as pb

    x = noise(RATE_HZ, 0.9)
    wanted = x[:, 0].astype(np.float64) * 10.0 ** (-6.5 / 20.0)
    mine = float(np.max(np.abs(ours(Trim(-6.5), x)[:, 0] - wanted)))
    theirs = {
        "pedalboard": board(x, pb.Gain(-6.5)),
        "sox": sox(x, "gain", -6.5),
        "ffmpeg": ffmpeg(x, "volume=-6.5dB:precision=float"),
    }
    for name, y in theirs.items():
        error = float(np.max(np.abs(y[:, 0] - wanted)))
        yield Finding("trim −6.5 dB: error", "FS", 0.0, mine, name, error, "float32's last place", error, 2.0**-23)


def stereo() -> Found:
    """Width, mid and side, and the gains of a pan in the middle and half way."""
    x = noise(RATE_HZ // 4, 0.25, 2)
    mine = ours(Width(170.0), x)
    y = ffmpeg(x, "extrastereo=m=1.7:c=0")
    wanted = x.astype(np.float64)
    middle = wanted.mean(axis=1, keepdims=True)
    wanted = middle + 1.7 * (wanted - middle)
    errors = [float(np.max(np.abs(v - wanted))) for v in (mine, y)]
    yield Finding("width 170 %: error", "FS", 0.0, errors[0], "ffmpeg", errors[1], "the same sum", errors[1], 2.0**-23)
    mine = ours(MidSide(-6.0206, 3.5218), x)
    y = ffmpeg(
        x,
        "stereotools=mode=lr>lr:mlev=1:slev=1,stereotools=mode=lr>ms,pan=stereo|c0=0.5*c0|c1=1.5*c1,stereotools=mode=ms>lr",
    )
    gains = [float(db(np.std(v[:, 0] - v[:, 1]) / np.std(x[:, 0] - x[:, 1]))) for v in (mine, y)]
    yield Finding(
        "mid −6.02, side +3.52 dB: the side",
        "dB",
        3.5218,
        gains[0],
        "ffmpeg",
        gains[1],
        "the same, by its own matrices",
        abs(gains[1] - 3.5218),
        0.01,
    )
    tone = np.full((4800, 2), 0.5, dtype=np.float32)
    left = float(db(ffmpeg(tone, "stereotools=balance_out=0.5")[-1, 0] / 0.5))
    law = {law_db: float(db(balance_gains(50.0, law_db)[0])) for law_db in (-3.0, -6.0)}
    theory = float(db(math.cos(0.75 * math.pi / 2.0) * math.sqrt(2.0)))
    yield Finding(
        "balance half way to the right, constant power: left",
        "dB",
        theory,
        law[-3.0],
        "ffmpeg",
        left,
        f"goes straight in voltage, which is our law of −6 dB: {law[-6.0]:.2f} dB",
        abs(left - law[-6.0]),
        1e-3,
    )


def rates() -> Found:
    """44.1 to 48 kHz: what is left of a tone of 19 kHz beside it."""
    from pedalboard.io import StreamResampler

    rate_in, tone_hz = 44_100, 19_000.0
    image_hz = RATE_HZ - (rate_in - tone_hz)
    x = sine(tone_hz, 2.0, 0.5, rate_hz=rate_in)
    stream = StreamResampler(float(rate_in), float(RATE_HZ), 1)
    to_soxr = f"aresample={RATE_HZ}:resampler=soxr:precision=28"
    theirs = {
        "sox rate -v": sox(x, "rate", "-v", RATE_HZ, rate_hz=rate_in),
        "ffmpeg with soxr": ffmpeg(x, to_soxr, rate_hz=rate_in, rate_out_hz=RATE_HZ),
        "ffmpeg": ffmpeg(x, f"aresample={RATE_HZ}", rate_hz=rate_in, rate_out_hz=RATE_HZ),
        "pedalboard": stream.process(np.ascontiguousarray(x.T)).T,
    }
    name = "44.1 → 48 kHz: what is left beside a tone of 19 kHz"
    mine = residual_db(resample(x, rate_in, rate_out_hz=RATE_HZ), tone_hz)
    for peer, y in theirs.items():
        found = residual_db(y, tone_hz)
        if "sox" in peer:
            why = "libsoxr at very high quality, too" if "ffmpeg" in peer else "as clean as libsoxr, which came from it"
            yield Finding(name, "dB", None, mine, peer, found, why, abs(found - mine), 6.0)
        else:
            rest = residual_db(y, tone_hz, image_hz)
            why = f"an image at {image_hz / 1e3:g} kHz: without it {rest:.1f} dB"
            yield Finding(
                name, "dB", None, mine, peer, found, why, 10.0 ** ((rest - found) / 10.0), 0.1, "of the power"
            )


def residual_db(y: Any, *tones_hz: float) -> float:
    """Return what is left of a second of ``y`` beside tones, against all of it."""
    part = np.asarray(y, np.float64)[20_000:68_000, 0]
    turns = 2.0 * np.pi / RATE_HZ * np.outer(np.arange(len(part)), tones_hz)
    base = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
    rest = part - base @ np.linalg.lstsq(base, part, rcond=None)[0]
    return float(db(np.std(rest) / np.std(part)))


def dither() -> Found:
    """16 bits with triangular dither: the noise, which is ¼ of a step's square."""
    x = sine(997.0, 4.0, 0.25)
    step = 2.0**-15
    theory = float(10.0 * math.log10(0.25 * step * step))
    numbers = Ditherer(16, channels=1).process(x)
    exact = x[:, 0].astype(np.float64)
    mine = float(db(np.std(numbers[:, 0] / 32768.0 - exact)))
    for name, y in (
        ("sox", sox(x, "dither", options=("-b", "16"))),
        ("ffmpeg", ffmpeg(x, "aresample=osf=s16:dither_method=triangular", bits16=True)),
    ):
        noise_db = float(db(np.std(y[:, 0] - exact)))
        why = "triangular, two steps wide" if abs(noise_db - theory) < 0.05 else ""
        yield Finding(
            "dither to 16 bits: noise", "dBFS", theory, mine, name, noise_db, why, abs(noise_db - theory), 0.05, "dB"
        )


def meters() -> Found:
    """Integrated loudness and true peak of noise bands and tones, in ffmpeg's ebur128."""
    rng = np.random.default_rng(4)
    t = np.arange(6 * RATE_HZ) / RATE_HZ
    signals: dict[str, NDArray[Any]] = {
        "a sine of 997 Hz, −23 dBFS, both sides": np.stack(
            [10.0 ** (-23.0 / 20.0) * np.sin(2.0 * np.pi * 997.0 * t)] * 2, axis=1
        ),
        "noise with a pause": 0.05 * rng.standard_normal((len(t), 2)) * ((t < 2.5) | (t > 4.0))[:, None],
    }
    for name, made in signals.items():
        x = made.astype(np.float32)
        meter = LoudnessMeter(RATE_HZ, 2)
        meter.process(x)
        theory = -23.0 if "sine" in name else None
        lufs, _ = _ebur128(x)
        why = "printed to a tenth of a LU"
        yield Finding(
            f"loudness of {name}",
            "LUFS",
            theory,
            meter.integrated_lufs,
            "ffmpeg",
            lufs,
            why,
            abs(lufs - meter.integrated_lufs),
            0.055,
            "LU",
        )
    n = np.arange(RATE_HZ)
    quarter = (0.5 * np.sin(np.pi / 2.0 * n + np.pi / 4.0) * np.minimum(1.0, np.minimum(n, n[::-1]) / 4800.0))[:, None]
    x = quarter.astype(np.float32)
    running = Limiter(-20.0, 1.5, 50.0).start(RATE_HZ, 1)
    running.process(x[: RATE_HZ // 2].copy())
    read = -20.0 - running.reduction_db
    found = _ebur128(np.repeat(x, 2, axis=1))[1]
    name = "true peak of a sine of a quarter of the rate, as the limiter reads it"
    why = "printed to a tenth of a dB"
    yield Finding(name, "dBTP", float(db(0.5)), read, "ffmpeg", found, why, abs(found - float(db(0.5))), 0.051, "dB")
    hiss = np.clip(0.5 * rng.standard_normal((RATE_HZ, 1)), -0.5, 0.5).astype(np.float32)
    found = _ebur128(np.repeat(hiss, 2, axis=1))[1]
    seen = float(db(np.max(np.abs(ffmpeg(hiss, f"aresample={4 * RATE_HZ}", rate_out_hz=4 * RATE_HZ)))))
    name = "true peak of clipped noise; ours: 32 times the rate, 128 taps a phase"
    why = f"reads the samples of its own resampler at four times the rate: {seen:.2f}"
    yield Finding(name, "dBTP", None, true_peak_db(hiss), "ffmpeg", found, why, abs(found - seen), 0.051, "dB")


def _ebur128(x: Sound) -> tuple[float, float]:
    """Return integrated loudness [LUFS] and true peak [dBTP] as ffmpeg prints them."""
    pcm = ["-f", "f32le", "-ar", str(RATE_HZ), "-ac", str(x.shape[1]), "-i", "pipe:0"]
    command = [
        "ffmpeg",
        "-hide_banner",
        "-nostats",
        *pcm,
        "-af",
        "ebur128=peak=true:framelog=verbose",
        "-f",
        "null",
        "-",
    ]
    said = subprocess.run(
        command, input=np.ascontiguousarray(x).tobytes(), check=True, capture_output=True
    ).stderr.decode()
    said = said[said.rindex("Summary") :]
    found = [re.search(pattern, said) for pattern in (r"I:\s+(-?[\d.]+) LUFS", r"Peak:\s+(-?[\d.]+) dBFS")]
    return tuple(float(m.group(1)) if m else math.nan for m in found)  # type: ignore[return-value]


CHECKS: tuple[Callable[[], Found], ...] = (saturation, trim, stereo, rates, dither, meters)
