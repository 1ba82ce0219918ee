"""Ways to send a signal through other programs, and what a comparison with one of them found.

Signals are (frames, channels) float32, full scale 1.0, at 48 kHz unless said otherwise.
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.processor import Settings

RATE_HZ = 48_000
Sound = NDArray[np.float32]
Found = Iterator["Finding"]


@dataclass(frozen=True)
class Finding:
    """One figure, ours and a peer's, and why they differ.

    ``theory``: what the formula or standard asks for, None where there is none. ``off``: how far the peer lies from
    what ``why`` predicts, at worst over all that was compared, in ``unit`` or in ``off_unit``. An explanation counts
    only where that is at most ``within``.
    """

    name: str
    unit: str
    theory: float | None
    ours: float
    peer_name: str
    peer: float
    why: str = ""
    off: float = float("inf")
    within: float = 0.0
    off_unit: str = ""

    @property
    def explained(self) -> bool:
        """Whether the measurement bears the explanation out."""
        return bool(self.why) and self.off <= self.within

    @property
    def explanation(self) -> str:
        """The explanation and how closely the peer follows it."""
        if not self.explained:
            return "not explained"
        return f"{self.why} (to {self.off:.2g} {self.off_unit or self.unit}".rstrip() + ")"

    def row(self) -> dict[str, Any]:
        """Return it as one row of JSON; what does not explain anything is left out."""
        kept = {} if self.explained else {"why": "", "off": None}
        return {**asdict(self), **kept, "explanation": self.explanation}


def missing() -> list[str]:
    """Return the programs and modules that this machine lacks."""
    programs = [name for name in ("sox", "ffmpeg") if shutil.which(name) is None]
    return programs + [name for name in ("pedalboard", "scipy") if importlib.util.find_spec(name) is None]


def ours(settings: Settings, x: Sound, rate_hz: float = RATE_HZ) -> Sound:
    """Return ``x`` through one of our effects, its latency taken off."""
    running = settings.start(rate_hz, x.shape[1])
    late = running.latency_frames
    y = np.concatenate([x, np.zeros((late, x.shape[1]), dtype=np.float32)])
    running.process(y)
    return y[late:]


def sox(x: Sound, *words: Any, options: tuple[str, ...] = (), rate_hz: int = RATE_HZ) -> Sound:
    """Return ``x`` through sox's effects ``words``; ``options`` are those of the file it writes."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "in.wav", Path(folder) / "out.wav"
        soundfile.write(source, x, rate_hz, subtype="FLOAT")
        form = options or ("-e", "float", "-b", "32")
        command = ["sox", "-V1", "-D", str(source), *form, str(result), *map(str, words)]
        if "dither" in words:
            command.remove("-D")
        subprocess.run(command, check=True, capture_output=True)
        return np.asarray(soundfile.read(result, dtype="float32", always_2d=True)[0])


def ffmpeg(
    x: Sound, graph: str, *, rate_hz: int = RATE_HZ, rate_out_hz: int | None = None, bits16: bool = False
) -> Sound:
    """Return ``x`` through an ffmpeg filter graph, at ``rate_out_hz`` if that is another rate."""
    channels = x.shape[1]
    pcm = ["-f", "f32le", "-ar", str(rate_hz), "-ac", str(channels), "-i", "pipe:0"]
    out = ["-f", "s16le" if bits16 else "f32le", "-ac", str(channels), "-ar", str(rate_out_hz or rate_hz), "pipe:1"]
    command = ["ffmpeg", "-v", "error", *pcm, "-af", graph, *out]
    done = subprocess.run(command, input=np.ascontiguousarray(x, "<f4").tobytes(), check=True, capture_output=True)
    if bits16:
        return (np.frombuffer(done.stdout, "<i2").astype(np.float32) / np.float32(32768.0)).reshape(-1, channels)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels)


def board(x: Sound, plugin: Any, rate_hz: int = RATE_HZ) -> Sound:
    """Return ``x`` through a pedalboard plug-in."""
    return np.ascontiguousarray(plugin(np.ascontiguousarray(x.T), rate_hz).T)


def impulse(frames: int, level: float = 1.0, channels: int = 1) -> Sound:
    """Return an impulse at frame 0."""
    x = np.zeros((frames, channels), dtype=np.float32)
    x[0] = level
    return x


def sine(freq_hz: float, seconds: float, peak: float = 1.0, channels: int = 1, rate_hz: int = RATE_HZ) -> Sound:
    """Return a sine that begins at 0."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat((peak * np.sin(2.0 * np.pi * freq_hz * t))[:, None], channels, axis=1).astype(np.float32)


def noise(frames: int, level: float = 0.25, channels: int = 1, seed: int = 1) -> Sound:
    """Return uniform noise whose peaks are at ``level``."""
    return np.random.default_rng(seed).uniform(-level, level, (frames, channels)).astype(np.float32)


def db(x: Any) -> NDArray[np.float64]:
    """Return 20 log10 |x|, at least −400."""
    found: NDArray[np.float64] = 20.0 * np.log10(np.maximum(np.abs(np.asarray(x, dtype=np.complex128)), 1e-20))
    return found


def at_hz(y: Sound, freqs_hz: NDArray[np.float64], rate_hz: float = RATE_HZ) -> NDArray[np.complex128]:
    """Return the spectrum of an impulse response's first channel at some frequencies."""
    turns = np.exp(-2j * np.pi / rate_hz * np.outer(freqs_hz, np.arange(len(y))))
    found: NDArray[np.complex128] = turns @ y[:, 0].astype(np.float64)
    return found


def runs(truth: NDArray[np.bool_]) -> list[int]:
    """Return where ``truth`` begins to hold."""
    return [i + 1 for i, (a, b) in enumerate(itertools.pairwise(truth.tolist())) if b and not a]
