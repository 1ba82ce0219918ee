"""Mixes of known size for the engine and its peers: stems on disk and every setting in one manifest.

A stem holds decaying notes and bursts of noise, and a second of digital silence in every five, so that what an engine
does in silence counts too. Everything follows from the stem's number: the same bytes on every machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Size:
    """How many mono and stereo stems, how long, at what rate; ``files``: how many of each are different."""

    rate_hz: int
    seconds: int
    mono: int
    stereo: int
    files: tuple[int, int]

    @property
    def channels(self) -> int:
        """Channels of all stems together."""
        return self.mono + 2 * self.stereo


SIZES = {
    "tiny": Size(48_000, 5, 4, 1, (4, 1)),
    "small": Size(48_000, 30, 6, 2, (6, 2)),
    "reference": Size(48_000, 180, 24, 4, (24, 4)),
    "large": Size(96_000, 300, 80, 16, (10, 2)),
}


def _loop(rng: np.random.Generator, rate_hz: int, pitch_hz: float, seconds: float) -> NDArray[np.float64]:
    """Return a bar of notes with five partials each and a burst of noise at every attack, peak 0.5."""
    frames = int(rate_hz * seconds)
    song = np.zeros(frames)
    gap_s = 0.22 + 0.06 * rng.random()
    for start in (np.arange(0.0, seconds - 0.01, gap_s) * rate_hz).astype(int):
        t = np.arange(min(frames - start, int(0.9 * rate_hz))) / rate_hz
        note_hz = pitch_hz * 2.0 ** (rng.integers(12) / 12.0)
        envelope = np.exp(-t * rng.uniform(3.0, 9.0)) * -np.expm1(-t * 400.0)
        loudness = rng.uniform(0.25, 1.0)
        partials = [k for k in range(1, 6) if k * note_hz < 0.45 * rate_hz]
        tone = sum(np.sin(2.0 * np.pi * k * note_hz * t) / k for k in partials)
        burst = np.exp(-t * 60.0) * (t < 0.12) * rng.standard_normal(len(t))
        song[start : start + len(t)] += loudness * (envelope * tone + 0.5 * burst)
    return 0.5 * song / np.max(np.abs(song))


def _stem(number: int, size: Size, channels: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(7_000 + number)
    frames = size.rate_hz * size.seconds
    pitch_hz = 55.0 * 2.0 ** (number * 5 % 36 / 12.0)
    seconds = min(size.seconds, 7.0 + 0.37 * (number % 9))
    sides = [_loop(rng, size.rate_hz, pitch_hz * (1.0 + 0.002 * side), seconds) for side in range(channels)]
    audio = np.stack([np.resize(side, frames) for side in sides], axis=1).astype(np.float32)
    audio[(np.arange(frames) + number * size.rate_hz) % (5 * size.rate_hz) >= 4 * size.rate_hz] = 0.0
    return audio


def settings_of(index: int) -> dict[str, Any]:
    """Return the settings of one strip, spread evenly over their ranges by steps that share no factor."""

    def spread(step: int, low: float, high: float) -> float:
        return low + (high - low) * (index * step % 101) / 101.0

    return {
        "hpf_hz": spread(17, 30.0, 150.0),
        "bands": [
            {"kind": "low_shelf", "freq_hz": spread(23, 80.0, 250.0), "q": 0.7071, "gain_db": spread(31, -4.0, 4.0)},
            {
                "kind": "bell",
                "freq_hz": spread(37, 250.0, 1200.0),
                "q": spread(41, 0.8, 2.5),
                "gain_db": spread(43, -6.0, 6.0),
            },
            {
                "kind": "bell",
                "freq_hz": spread(47, 1500.0, 6000.0),
                "q": spread(53, 0.8, 2.5),
                "gain_db": spread(59, -6.0, 6.0),
            },
            {
                "kind": "high_shelf",
                "freq_hz": spread(61, 6000.0, 12_000.0),
                "q": 0.7071,
                "gain_db": spread(67, -4.0, 4.0),
            },
        ],
        "compressor": {
            "threshold_db": spread(71, -30.0, -18.0),
            "ratio": spread(73, 2.0, 6.0),
            "knee_db": 6.0,
            "attack_ms": spread(79, 5.0, 30.0),
            "release_ms": spread(83, 80.0, 250.0),
            "makeup_db": spread(89, 0.0, 6.0),
        },
        "fader_db": spread(97, -14.0, -6.0),
        "pan": spread(29, -90.0, 90.0),
        "send_db": spread(19, -24.0, -9.0),
    }


BUS: dict[str, Any] = {
    "bands": [
        {"kind": "low_shelf", "freq_hz": 100.0, "q": 0.7071, "gain_db": 1.0},
        {"kind": "bell", "freq_hz": 3000.0, "q": 1.0, "gain_db": -1.0},
        {"kind": "high_shelf", "freq_hz": 10_000.0, "q": 0.7071, "gain_db": 1.5},
    ],
    "compressor": {
        "threshold_db": -14.0,
        "ratio": 2.0,
        "knee_db": 6.0,
        "attack_ms": 30.0,
        "release_ms": 200.0,
        "makeup_db": 4.0,
    },
    "limiter": {"ceiling_dbtp": -1.0, "lookahead_ms": 1.5, "release_ms": 60.0},
}
REVERB = {"decay_s": 1.8, "predelay_ms": 20.0, "damping_hz": 6000.0, "return_db": 0.0}


def write_workload(name: str, folder: Path) -> Path:
    """Write the stems and manifest of ``SIZES[name]`` below ``folder``, once; return where they are."""
    place = folder / name
    if (place / MANIFEST).exists():
        return place
    size = SIZES[name]
    place.mkdir(parents=True, exist_ok=True)
    strips = []
    for kind, channels, count, different in (
        ("mono", 1, size.mono, size.files[0]),
        ("stereo", 2, size.stereo, size.files[1]),
    ):
        for k in range(different):
            audio = _stem(k + (0 if channels == 1 else 500), size, channels)
            soundfile.write(place / f"{kind}{k:02d}.wav", audio, size.rate_hz, subtype="FLOAT")
        strips += [{"file": f"{kind}{k % different:02d}.wav", "channels": channels} for k in range(count)]
    manifest = {
        "rate_hz": size.rate_hz,
        "seconds": size.seconds,
        "strips": [strip | settings_of(index) for index, strip in enumerate(strips)],
        "reverb": REVERB,
        "bus": BUS,
    }
    (place / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return place


def read_manifest(place: Path) -> dict[str, Any]:
    """Return the manifest of a workload."""
    manifest: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    return manifest
