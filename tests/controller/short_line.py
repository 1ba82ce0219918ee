"""A short song by plain numpy, a rig whose room can be made wrong on purpose, and what must come of the two.

Nothing here calls the engine, the desk's profile or the room: expected values come from the desk's published scales
(docs/devices/room-desk-24.md) and the model file's own figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from controller import calibrate as calibration
from controller import places
from controller.compare import NullReport, null
from controller.events import Event, Finding, Question
from controller.filing import Print
from controller.loops import StoredCalibration, latest
from controller.mix import Mix, Strip, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project
from controller.studio import Studio

Audio = NDArray[np.float64]

RATE_HZ = 48_000
LATENCY = 137
SHIPPED_RIG = Path(__file__).resolve().parents[2] / "hardware" / "rigs" / "demo.toml"

IDEAL: dict[str, dict[str, Any]] = {
    "converters": {"latency_samples": float(LATENCY), "ad_noise_dbfs": "off"},
    "desk": {
        "bus_noise_dbfs": "off",
        "channel_noise_dbfs": "off",
        "crosstalk_db": "off",
        "gain_spread_db": 0.0,
        "eq_tolerance_percent": 0.0,
        "h2_db": "off",
        "h3_db": "off",
        "hum_dbfs": "off",
        "rail_dbu": 60.0,
    },
    "comp": {"noise_dbfs": "off"},
}
"""A model file without any of the circuit's imperfections."""

BANDS_HZ = {
    "bass": (40, 400),
    "drums": (50, 15_000),
    "guitar": (150, 6_000),
    "keys": (200, 9_000),
    "vox": (120, 12_000),
}
WIDTHS = {"bass": 1, "drums": 2, "guitar": 1, "keys": 2, "vox": 1}
STRIPS = (
    Strip(name="bass", stem="bass.wav", fader_db=-2.37),
    Strip(name="drums", stem="drums.wav", fader_db=-4.83),
    Strip(name="guitar", stem="guitar.wav", fader_db=-7.91, pan=-37.0),
    Strip(name="keys", stem="keys.wav", fader_db=-5.43, pan=18.0),
    Strip(name="vox", stem="vox.wav", fader_db=-1.13, pan=5.5, polarity="inverted"),
)
"""Seven desk strips of odd faders and pans: between the desk's steps, mono and stereo, one turned round."""


def song(seconds: float = 2.5, *, seed: int = 5) -> dict[str, Audio]:
    """Stems of noise that swells and dies, each with its own rhythm and band, shape (frames, channels), peak 0.35.

    The bands are cut last: nothing is left near half the sample rate, where no two interpolations agree.
    """
    rng = np.random.default_rng(seed)
    frames = round(seconds * RATE_HZ)
    freqs = np.fft.rfftfreq(frames, 1 / RATE_HZ)
    stems = {}
    for number, (name, (low, high)) in enumerate(BANDS_HZ.items()):
        beat = (np.arange(frames) / RATE_HZ * (1.7 + 0.4 * number)) % 1.0
        swell = np.exp(-2.0 * beat) * np.sin(np.pi * np.arange(frames) / frames) ** 0.25
        spectrum = np.fft.rfft(rng.standard_normal((frames, WIDTHS[name])) * swell[:, None], axis=0)
        spectrum[(freqs < low) | (freqs > high)] = 0.0
        audio = np.fft.irfft(spectrum, frames, axis=0)
        stems[name] = 0.35 * audio / np.abs(audio).max()
    return stems


def room_text(*, faults: Sequence[Mapping[str, Any]] = (), base: Mapping[str, Any] = IDEAL, **changes: Any) -> str:
    """A model file: ``base``, with ``changes`` such as ``desk={"crosstalk_db": -60.0}`` laid over it."""
    lines = ["schema = 1", f"seed = {changes.pop('seed', 1)}"]
    for table in ("converters", "desk", "comp"):
        lines += ["", f"[{table}]"]
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in {**base.get(table, {}), **changes.pop(table, {})}.items()
        ]
    for fault in faults:
        lines += ["", "[[fault]]", *(f"{key} = {json.dumps(value)}" for key, value in fault.items())]
    assert not changes
    return "\n".join(lines) + "\n"


_CALIBRATED: dict[str, dict[Path, bytes]] = {}


class Line:
    """A rig on the room inside the program, and projects that are printed through it. ``heard`` is all it was told."""

    def __init__(self, folder: Path, *, strips: int = 24) -> None:
        self.folder = folder
        self.model = folder / "room.toml"
        self.model.write_text(room_text())
        text = SHIPPED_RIG.read_text().replace('model = ""', f'model = "{self.model.name}"')
        text = text.replace('"1-24"', f'"1-{strips}"').replace('"desk/ch01-24"', f'"desk/ch01-{strips:02d}"')
        self.rig = folder / "rig.toml"
        self.rig.write_text(text.replace("outputs = 24", f"outputs = {strips}"))
        self.heard: list[Event] = []
        self.asked: list[Question] = []

    def set_room(self, **changes: Any) -> None:
        """Change the room's model file; knobs stay where they are."""
        self.model.write_text(room_text(**changes))

    def accept(self, question: Question) -> bool:
        self.asked.append(question)
        return True

    def findings(self) -> list[str]:
        return [event.what for event in self.heard if isinstance(event, Finding)]

    def project(
        self, stems: Mapping[str, Audio] | None = None, strips: Sequence[Strip] = STRIPS, **mix: Any
    ) -> Project:
        """A project of these stems and, where there are strips, one mix of them; each call makes another one."""
        number = len(list(self.folder.glob("song-*")))
        sources = self.folder / f"stems-{number}"
        sources.mkdir()
        for name, audio in (song() if stems is None else stems).items():
            soundfile.write(sources / f"{name}.wav", audio, RATE_HZ, subtype="FLOAT")
        project = create_project(self.folder / f"song-{number}", stems=sources, rig=str(self.rig))
        save_new_mix(Mix(name="the mix", strips=tuple(strips), **mix), project.mixes)
        return project

    def calibrate(self, **options: Any) -> StoredCalibration:
        """Calibrate what a pass needs; ``only=()`` measures everything."""
        options.setdefault("only", ("patch", "noise"))
        with Studio.open(self.rig) as studio:
            return calibration.calibrate(studio, emit=self.heard.append, accept=self.accept, **options)

    def calibrated(self, **room: Any) -> StoredCalibration:
        """Set the room and calibrate it; a room that was calibrated before in this session is found as it was then."""
        self.set_room(**room)
        home = places.rig_home("demo").folder
        files = _CALIBRATED.setdefault(self.rig.read_text() + self.model.read_text(), {})
        if not files:
            self.calibrate()
            files.update({path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()})
        for path, data in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(data)
        stored = latest(places.rig_home("demo").calibrations)
        assert stored
        return stored

    def print(self, project: Project, path: Any = "analog", **options: Any) -> Print:
        settings = {"format_": "float", "hands_done": True, "accept": self.accept, "emit": self.heard.append, **options}
        with Studio.open(self.rig) as studio:
            return print_mix(project, project.mix(), path=path, studio=studio, **settings)

    def null(self, a: Path, b: Path) -> NullReport:
        return null(a, b, emit=self.heard.append)

    def depth_db(self, project: Project, *, path: Any = "analog", **options: Any) -> float:
        """Null depth [dB] of a print through the desk against the same mix in the box."""
        analog = self.print(project, path, **options)
        itb = self.print(project, "itb", like=path, **options)
        depth: float | None = self.null(itb.file, analog.file).data["null_depth_db"]
        return -math.inf if depth is None else depth


def read(path: Path) -> Audio:
    audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    assert rate == RATE_HZ
    return np.asarray(audio)


def rms(audio: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))


def depth_db(residual: Audio, programme: Audio) -> float:
    """Level of a residual below the programme it is left of [dB]."""
    return 20 * math.log10(max(rms(residual), 1e-12) / rms(programme))


# The desk's published scales: 256 fader positions, straight in dB between these points; 127 pan positions.
FADER_POINTS = ((1, -80.0), (20, -60.0), (48, -40.0), (104, -20.0), (144, -10.0), (192, 0.0), (255, 10.0))


def fader_steps_db() -> Audio:
    """Every level [dB] that the fader has, positions 1 to 255."""
    positions, levels = zip(*FADER_POINTS, strict=True)
    return np.asarray(np.interp(np.arange(1, 256), positions, levels))


def pan_angles() -> Audio:
    """The angle θ of each of the pan pot's positions 1 to 127; the gains are cos θ and sin θ."""
    pans = (np.arange(1, 128) - 64) / 63 * 100
    return (pans + 100) / 200 * np.pi / 2


def law_gains(pan: float, law_db: float) -> tuple[float, float]:
    """A mono strip's gains under a mix's pan law: sine/cosine, linear, or the geometric mean of the two."""
    r = (pan + 100) / 200
    power, linear = (math.cos(r * math.pi / 2), math.sin(r * math.pi / 2)), (1 - r, r)
    if law_db == -4.5:
        return math.sqrt(power[0] * linear[0]), math.sqrt(power[1] * linear[1])
    return power if law_db == -3.0 else linear


def seat_gains(strip: Strip, *, law_db: float = -3.0) -> list[tuple[float, float]]:
    """Gains to left and right of each of a strip's desk channels: the mix's level at the nearest pan position.

    The fader's step is made up before the D/A, so the level is the mix's own.
    """
    fader = 10 ** (strip.fader_db / 20)
    if WIDTHS[strip.stem.removesuffix(".wav")] == 2:
        left, right = law_gains(strip.pan, law_db)
        centre, _ = law_gains(0.0, law_db)
        return [(fader * min(1.0, left / centre), 0.0), (0.0, fader * min(1.0, right / centre))]
    left, right = law_gains(strip.pan, law_db)
    angles = pan_angles()
    angle = angles[np.argmin(np.abs(angles - math.atan2(right, left)))]
    level = fader * math.hypot(left, right)
    return [(level * math.cos(angle), level * math.sin(angle))]


def plain_mix(
    stems: Mapping[str, Audio], strips: Sequence[Strip] = STRIPS, *, law_db: float = -3.0, frames: int = 0
) -> Audio:
    """The mix as the desk can reach it, summed in numpy, shape (frames, 2), silence after the song."""
    length = max(len(audio) for audio in stems.values())
    total = np.zeros((max(frames, length), 2))
    soloed = any(strip.solo for strip in strips)
    for strip in strips:
        if strip.mute or (soloed and not strip.solo) or strip.fader_db == -math.inf:
            continue
        sign = -1.0 if strip.polarity == "inverted" else 1.0
        audio = stems[strip.stem.removesuffix(".wav")]
        for channel, gains in enumerate(seat_gains(strip, law_db=law_db)):
            total[: len(audio)] += sign * 10 ** (strip.trim_db / 20) * audio[:, channel, None] * np.array(gains)
    return total
