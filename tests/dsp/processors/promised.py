"""What the promises of every effect are tried with: one entry a kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dsp.filters import Band
from dsp.impulse import Response
from dsp.processor import Settings
from dsp.processors.autofilter import AutoFilter
from dsp.processors.compressor import Compressor
from dsp.processors.convolution import Convolution
from dsp.processors.deesser import DeEsser
from dsp.processors.delay import Align, Delay
from dsp.processors.dynamic_eq import DynamicBand, DynamicEqualiser
from dsp.processors.equaliser import Equaliser
from dsp.processors.gate import Gate
from dsp.processors.limiter import Limiter
from dsp.processors.linear_phase import LinearPhase
from dsp.processors.modulation import Chorus, Flanger, Phaser
from dsp.processors.multiband import CompressedBand, Multiband
from dsp.processors.pitch import MicroShift
from dsp.processors.plugin import Plugin
from dsp.processors.reverb import Reverb
from dsp.processors.saturation import Saturation
from dsp.processors.stereo import Balance, MidSide, Rotate, Width
from dsp.processors.transient import Transient
from dsp.processors.tremolo import Tremolo
from dsp.processors.trim import Advance, Trim
from dsp.processors.twin import Twin, TwinModel
from tests.dsp.processors.double import Double

Rng = np.random.Generator


@dataclass(frozen=True)
class Promised:
    """How one kind is tried.

    ``ways``: pairs of settings to go between while it runs. ``nothing``: settings that change no bit, with sounds up to
    ``quiet``. ``refused``: pairs between which nothing running can go. Drawn settings keep ``held`` of where they start
    from, stay within ``limits`` and take from ``given`` what has a rule of its own; swept through them, it may make a
    sound ``most_db`` louder; where it is ``a_gain``, no sample more than that. ``frames``: how long a sound shows all
    of it.
    """

    ways: tuple[tuple[Settings, Settings], ...]
    nothing: tuple[Settings, ...]
    refused: tuple[tuple[Settings, Settings], ...] = ()
    held: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    given: Mapping[str, Callable[[Rng, Any], Any]] = field(default_factory=dict)
    most_db: float = 24.0
    a_gain: bool = False
    quiet: float = 1.0
    frames: int = 3000
    channels: tuple[int, ...] = (1, 2)

    @property
    def here(self) -> Settings:
        """The settings it is mostly tried with."""
        return self.ways[0][0]


def room(frames: int, channels: int, seed: int) -> Response:
    """Return a noise that dies by 60 dB."""
    h = np.random.default_rng(seed).standard_normal((frames, channels))
    return Response(0.05 * h * 10.0 ** (-3.0 * np.arange(frames) / frames)[:, None], 48_000)


def split(*up_to_hz: float, **band: float) -> tuple[CompressedBand, ...]:
    """Return bands that end there, and the one above."""
    return tuple(CompressedBand(up_to_hz=hz, **band) for hz in (*up_to_hz, 20_000.0))


EIGHT = (
    Band("high_pass", 60.0, db_per_octave=24),
    Band("low_shelf", 150.0, 4.0),
    Band("bell", 400.0, -6.0, 2.0),
    Band("bell", 1800.0, 3.0, 0.8),
    Band("notch", 3000.0, 0.0, 10.0),
    Band("bell", 7000.0, 5.0, 1.0),
    Band("high_shelf", 10_000.0, -4.0),
    Band("low_pass", 16_000.0, db_per_octave=18),
)
DIP = DynamicBand("bell", 1000.0, 2.0, 0.0, -30.0, 4.0, -20.0)
FADING = 0.9 ** np.arange(200) / 10.0
HALL = room(20_000, 2, 1)
WET = Reverb(mix_percent=100.0, low_s=0.4, mid_s=0.3, high_s=0.2, size_m=10.0)
ECHOES = Delay(time_ms=20.0, feedback_percent=50.0, mix_percent=70.0, duck_db=6.0, modulation_ms=1.0)
STILL = AutoFilter(freq_hz=1000.0, q=2.0, envelope_octaves=0.0)
AUDIBLE_HZ = (20.0, 20_000.0)
SIDES = ("both", "mid", "side", "left", "right")
FLAT = Equaliser((Band("bell", 50.0), Band("low_shelf", 900.0), Band("tilt", 700.0), Band("high_shelf", 18_000.0)))


PROMISED: dict[str, Promised] = {
    "align": Promised(((Align(2.3), Align(7.7)),), (Align(),), most_db=6.0),
    "advance": Promised(
        ((Advance(2.0), Advance(2.001)),), (Advance(), Advance(2.5)), ((Advance(2.0), Advance(3.0)),), ("advance_ms",)
    ),
    "trim": Promised(((Trim(3.0), Trim(-9.0, "inverted")),), (Trim(),), a_gain=True),
    "gate": Promised(
        (
            (
                Gate(-30.0, 6.0, 4.0, 60.0, 0.2, 3.0, 20.0, link_percent=30.0, key_hpf_hz=300.0),
                Gate(-10.0, 0.0, 1.5, 20.0, 5.0, 30.0, 100.0),
            ),
            (
                Gate(-20.0, 0.0, math.inf, 90.0, 5.0, 0.0, 50.0, lookahead_ms=2.0),
                Gate(-50.0, 6.0, 2.0, 40.0, 5.0, lookahead_ms=2.0, key_lpf_hz=900.0),
            ),
        ),
        (Gate(ratio=1.0), Gate(range_db=0.0, lookahead_ms=1.0)),
        ((Gate(), Gate(lookahead_ms=1.0)),),
        ("lookahead_ms",),
        most_db=0.0,
        a_gain=True,
    ),
    "compressor": Promised(
        (
            (
                Compressor(-30.0, 4.0, link_percent=40.0, key_hpf_hz=120.0, auto_release=True, hold_ms=5.0),
                Compressor(-10.0, 2.0, link_percent=100.0, detector="rms", attack_ms=5.0, makeup_db=6.0),
            ),
            (
                Compressor(-40.0, 8.0, topology="feedback", attack_ms=1.0, key_lpf_hz=3000.0, detector="rms"),
                Compressor(-40.0, 20.0, mix_percent=10.0, key_hpf_hz=50.0),
            ),
            (
                Compressor(-20.0, math.inf, 0.0, 0.5, 0.6, 50.0, lookahead_ms=1.0, mix_percent=50.0),
                Compressor(-50.0, 2.0, 12.0, 1.0, 3.0, 20.0, lookahead_ms=1.0, link_percent=0.0, auto_makeup=True),
            ),
            (
                Compressor(-20.0, 4.0, 6.0, 0.0, 0.0, 150.0, detector="rms", rms_ms=30.0),
                Compressor(-50.0, 10.0, 0.0, 0.0, 0.0, 50.0, detector="rms", rms_ms=50.0, makeup_db=24.0),
            ),
        ),
        (
            Compressor(-60.0, 1.0, 6.0, mix_percent=37.0),
            Compressor(-60.0, 1.0, 6.0, lookahead_ms=1.0),
            Compressor(-60.0, 1.0, 6.0, topology="feedback"),
        ),
        ((Compressor(), Compressor(lookahead_ms=1.0)),),
        ("lookahead_ms", "makeup_db", "auto_makeup", "topology"),
        {"ratio": (1.0, 20.0)},
        most_db=0.0,
        a_gain=True,
    ),
    "deesser": Promised(
        (
            (
                DeEsser(3000.0, -50.0, 8.0, 30.0, link_percent=20.0),
                DeEsser(9000.0, -20.0, band="wide", hold_ms=2.0),
            ),
            (
                DeEsser(8000.0, -40.0, band="wide", lookahead_ms=1.0),
                DeEsser(1500.0, -60.0, math.inf, 50.0, lookahead_ms=1.0),
            ),
        ),
        (DeEsser(2000.0, -60.0, ratio=1.0), DeEsser(2000.0, -60.0, range_db=0.0, lookahead_ms=1.0)),
        ((DeEsser(), DeEsser(lookahead_ms=1.0)),),
        ("lookahead_ms",),
        most_db=9.5,
    ),
    "eq": Promised(
        (
            (Equaliser(EIGHT), Equaliser((*EIGHT[:3], Band("bell", 50.0, 9.0)))),
            (Equaliser((Band("bell", 500.0),)), Equaliser((Band("bell", 500.0, 12.0),))),
            (Equaliser((Band("bell", 400.0, 9.0),)), Equaliser((Band("bell", 4000.0, 9.0),))),
            (Equaliser((Band("bell", 500.0, 9.0, 0.7),)), Equaliser((Band("bell", 500.0, 9.0, 4.0),))),
            (Equaliser(), Equaliser((Band("high_pass", 300.0, db_per_octave=48),))),
            (Equaliser((Band("low_shelf", 500.0, 9.0),), "mid"), Equaliser((Band("low_shelf", 500.0, 9.0),), "left")),
        ),
        (
            Equaliser(),
            FLAT,
            replace(FLAT, acts_on="mid"),
        ),
        limits={"freq_hz": AUDIBLE_HZ, "gain_db": (-24.0, 24.0)},
        given={"acts_on": lambda rng, here: here.acts_on if here.acts_on == "both" else SIDES[rng.integers(5)]},
        most_db=3.0 * (24.0 + 32.0),
    ),
    "autofilter": Promised(
        (
            (
                AutoFilter(lfo_octaves=1.0),
                AutoFilter("band_pass", 24, 2000.0, 4.0, -3.0, lfo="square", lfo_octaves=2.0),
            ),
            (STILL, replace(STILL, freq_hz=4000.0)),
            (STILL, replace(STILL, db_per_octave=24)),
            (STILL, replace(STILL, shape="high_pass")),
        ),
        (AutoFilter(lfo_octaves=2.0, mix_percent=0.0),),
        limits={"tempo_bpm": (60.0, 200.0)},
        most_db=66.0,
    ),
    "dynamic_eq": Promised(
        (
            (
                DynamicEqualiser((DIP, DynamicBand("low_shelf", 200.0, gain_db=6.0))),
                DynamicEqualiser((replace(DIP, freq_hz=3000.0),)),
            ),
            (
                DynamicEqualiser((DynamicBand("bell", 500.0, 2.0, 0.0, 0.0, 1.0),)),
                DynamicEqualiser((DynamicBand("bell", 500.0, 2.0, 12.0, 0.0, 1.0),)),
            ),
        ),
        (DynamicEqualiser(), DynamicEqualiser((DIP, replace(DIP, kind="high_shelf", freq_hz=9000.0)))),
        most_db=3.0 * (38.0 + 26.0),
        quiet=0.003,
    ),
    "linear_phase": Promised(
        (
            (LinearPhase((EIGHT[0], EIGHT[2]), "short"), LinearPhase(EIGHT, "short")),
            (LinearPhase((), "short"), LinearPhase((Band("bell", 500.0, 12.0),), "short")),
        ),
        (LinearPhase((Band("bell", 100.0), Band("all_pass", 500.0)), "short"),),
        ((LinearPhase(EIGHT, "short"), LinearPhase(EIGHT, "long")),),
        ("quality",),
        {"freq_hz": AUDIBLE_HZ, "gain_db": (-24.0, 24.0)},
        most_db=3.0 * (24.0 + 32.0),
        frames=6000,
    ),
    "convolution": Promised(
        ((Convolution(HALL, mix_percent=50.0), Convolution(room(9000, 1, 3), -6.0, 80.0)),),
        (Convolution(HALL, mix_percent=0.0), Convolution(None, mix_percent=100.0)),
        given={"response": lambda rng, here: [None, HALL, room(300, 1, 5)][rng.integers(3)]},
        limits={"gain_db": (-60.0, 0.0)},
        most_db=36.0,
        frames=25_000,
    ),
    "delay": Promised(
        ((ECHOES, Delay(time_ms=33.0, feedback_percent=80.0, ping_pong=True, glide="fade", mix_percent=50.0)),),
        (Delay(mix_percent=0.0),),
        limits={"time_ms": (1.0, 200.0), "tempo_bpm": (200.0, 400.0)},
        given={"note": lambda rng, here: ["free", "1/8", "1/16t"][rng.integers(3)]},
        most_db=32.0,
        frames=6000,
    ),
    "reverb": Promised(
        ((WET, replace(WET, size_m=14.0, mid_s=0.5, mix_percent=60.0, early_db=0.0)),),
        (replace(WET, mix_percent=0.0),),
        limits={
            **{f"{band}_s": (0.1, 3.0) for band in ("low", "mid", "high")},
            "early_db": (-60.0, 0.0),
            "late_db": (-60.0, 0.0),
        },
        most_db=28.0,
        frames=6000,
    ),
    "saturation": Promised(
        ((Saturation("tape", 12.0, 0.0, 2.0, -3.0, 80.0), Saturation("clip", 3.0, 40.0, -3.0, 0.0, 100.0)),),
        (Saturation("tube", 24.0, mix_percent=0.0), Saturation("tape", mix_percent=0.0, quality="best")),
        ((Saturation(quality="eco"), Saturation(quality="best")),),
        ("quality",),
        {"output_db": (-60.0, 0.0)},
        most_db=66.0,
    ),
    "limiter": Promised(
        (
            (Limiter(-20.0, 1.5, 30.0), Limiter(-6.0, 1.5, 300.0)),
            (Limiter(-6.0, 0.1, 20.0), Limiter(-40.0, 0.1, 5.0)),
        ),
        (Limiter(-1.0), Limiter(0.0, 0.5)),
        ((Limiter(), Limiter(lookahead_ms=3.0)),),
        ("lookahead_ms",),
        most_db=0.0,
        a_gain=True,
        quiet=0.2,
    ),
    "multiband": Promised(
        (
            (
                Multiband(split(150.0, 2000.0, 6000.0, threshold_db=-40.0, ratio=3.0), link_percent=30.0),
                Multiband(split(80.0, 900.0, 9000.0, threshold_db=-30.0, ratio=5.0)),
            ),
            (
                Multiband(split(300.0, threshold_db=-60.0, ratio=2.0, attack_ms=1.0)),
                Multiband(split(3000.0, threshold_db=-50.0, ratio=5.0), mix_percent=20.0),
            ),
        ),
        (Multiband(),),
        ((Multiband(split(150.0)), Multiband(split(150.0, 2000.0))),),
        given={
            "bands": lambda rng, here: split(
                *sorted(map(float, rng.uniform(20.0, 19_000.0, len(here.bands) - 1))),
                threshold_db=float(rng.uniform(-80.0, 0.0)),
                ratio=float(rng.uniform(1.0, 50.0)),
            )
        },
        most_db=26.0,
    ),
    "transient": Promised(
        (
            (Transient(12.0, -6.0, 5.0, 60.0), Transient(-6.0, 18.0, 80.0, 500.0)),
            (Transient(-20.0, 20.0, 200.0, 900.0), Transient()),
        ),
        (Transient(),),
        most_db=48.001,
        a_gain=True,
    ),
    "width": Promised(((Width(40.0, 150.0), Width(180.0)),), (Width(),), channels=(2,)),
    "ms": Promised(((MidSide(-120.0, 3.0), MidSide(6.0, -6.0)),), (MidSide(),), most_db=30.0, channels=(2,)),
    "balance": Promised(((Balance(-60.0, -4.5), Balance(30.0, -3.0, "swapped")),), (Balance(),), channels=(2,)),
    "rotate": Promised(((Rotate(-30.0), Rotate(120.0)),), (Rotate(),), channels=(2,)),
    "tremolo": Promised(
        (
            (
                Tremolo(4.0, depth_percent=80.0, spread_deg=180.0),
                Tremolo(7.0, "tempo", 120.0, 0.25, "square"),
            ),
        ),
        (Tremolo(depth_percent=0.0),),
        most_db=0.0,
        a_gain=True,
    ),
    "chorus": Promised(
        (
            (
                Chorus(0.8, delay_ms=12.0, depth_ms=4.0, feedback_percent=20.0),
                Chorus(3.0, delay_ms=7.0, depth_ms=1.0, voices=4, mix_percent=80.0),
            ),
        ),
        (Chorus(mix_percent=0.0),),
        most_db=40.0,
    ),
    "flanger": Promised(
        (
            (
                Flanger(0.5, feedback_percent=90.0),
                Flanger(2.0, delay_ms=1.0, depth_ms=5.0, feedback_percent=-80.0),
            ),
        ),
        (Flanger(mix_percent=0.0),),
        most_db=40.0,
    ),
    "phaser": Promised(
        (
            (
                Phaser(0.5, feedback_percent=90.0),
                Phaser(2.0, stages=12, centre_hz=2000.0, feedback_percent=-50.0),
            ),
        ),
        (Phaser(mix_percent=0.0),),
        most_db=40.0,
    ),
    "micro_shift": Promised(
        ((MicroShift(), MicroShift(0.0, -50.0, 10.0, 30.0, 80.0)),), (MicroShift(mix_percent=0.0),)
    ),
    "twin": Promised(
        (
            (
                Twin(TwinModel(FADING, ((2, FADING), (5, -FADING))), 80.0, 64),
                Twin(TwinModel(-FADING, ((5, FADING[:50]),)), 100.0, 64),
            ),
        ),
        (Twin(), Twin(TwinModel(FADING, ((2, FADING),)), 0.0)),
        (
            (Twin(TwinModel(FADING)), Twin(TwinModel(np.ones(600)))),
            (Twin(TwinModel(FADING)), Twin(TwinModel(FADING, ((2, FADING),)))),
            (Twin(TwinModel(FADING)), Twin(TwinModel(FADING), partition_frames=64)),
        ),
        ("model", "partition_frames"),
    ),
    "plugin": Promised(
        (
            (
                Plugin(Double(100), values=(("gain_db", 0.0),), block_frames=64, mix_percent=70.0),
                Plugin(Double(100), values=(("gain_db", 0.0),), block_frames=64, mix_percent=20.0),
            ),
        ),
        (Plugin(), Plugin(Double(50, "nan"), mix_percent=0.0, block_frames=64)),
        ((Plugin(Double()), Plugin(Double(5))), (Plugin(Double()), Plugin(Double(), block_frames=64))),
        ("plugin", "name", "state", "block_frames", "tail_s"),
        given={"values": lambda rng, here: (("gain_db", float(rng.uniform(-60.0, 6.0))),)},
        most_db=6.0,
    ),
}
