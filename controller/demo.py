"""The whole line on the in-process room: a song, a calibration, a recall, two prints, their null, a report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controller import calibrate as calibration
from controller import files, places
from controller.compare import NullReport, null
from controller.errors import ExistsError
from controller.events import Accept, Done, Emit, Question, Started
from controller.filing import Print
from controller.mix import Comp, EqBand, Mix, Strip, save_new_mix
from controller.mix_busses import AddedBus, Bus, Reverb
from controller.mix_inserts import Insert, Send
from controller.printing import print_mix
from controller.project import Project, create_project
from controller.report import write_report
from controller.studio import Studio
from controller.wav import WavWriter
from hardware.room.model import load_model

JOB = "demo"
RIG = "demo"
RATE_HZ = 48_000
SONG_SECONDS = 20.0
MEASURED = ("patch", "latency", "noise")
"""What a pass needs of a calibration: the demo does not wait for the rest."""
TOLERANCE_DB = -40.0
"""What the demo asks of its null: the built-in desk has the noise, crosstalk and tolerances of a good analog one."""


@dataclass(frozen=True)
class Demo:
    """What a demo left: its project, prints, null and report."""

    project: Project
    itb: Print
    analog: Print
    null: NullReport
    report: Path
    seconds: float


def run_demo(*, out: Path, stems: Path | None, model: Path | None = None, emit: Emit, accept: Accept) -> Demo:
    """Run the whole line into the new folder ``out``, with the song of the house or the stems of ``stems``.

    The room's knobs, calibrations and known state live in ``out`` too: the user's own rigs are not touched.

    Raises
    ------
    ExistsError
        ``out`` is already there.
    RoomModelError
        ``model`` is no room model; nothing was written.
    """
    if out.exists():
        raise ExistsError(
            f"{files.relative(out)} is already there, and nothing is ever overwritten",
            hint="Choose another folder with --out.",
        )
    load_model(model)  # a mistake in it shows before anything is written
    began = time.monotonic()
    emit(Started(JOB, "the whole line on the virtual room"))
    with _home_in(out / "home"):
        project = _song(out, stems, emit)
        with Studio.open(RIG, model=model) as studio:
            calibration.calibrate(studio, only=MEASURED, emit=emit, accept=accept)
            mix = project.mix()
            analog = print_mix(project, mix, path="analog", studio=studio, emit=emit, accept=accept, hands_done=True)
            itb = print_mix(project, mix, path="itb", studio=studio, emit=emit, accept=_yes)
        compared = null(itb.file, analog.file, tolerance_db=TOLERANCE_DB, emit=emit)
        report = write_report(project, emit=emit)
    seconds = time.monotonic() - began
    emit(Done(JOB, f"in {seconds:.1f} s; open {files.relative(report)}"))
    return Demo(project, itb, analog, compared, report, seconds)


def _yes(question: Question) -> bool:
    return True


@contextmanager
def _home_in(folder: Path) -> Iterator[None]:
    """Keep the user's own rigs out of it: everything the demo learns of its room stays in its folder."""
    before = os.environ.get(places.HOME_VARIABLE)
    os.environ[places.HOME_VARIABLE] = str(folder.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[places.HOME_VARIABLE]
        else:
            os.environ[places.HOME_VARIABLE] = before


def _song(out: Path, stems: Path | None, emit: Emit) -> Project:
    if stems is not None:
        return create_project(out / "song", stems=stems, rig=RIG, emit=emit)
    from dsp.synth import demo_song

    emit(Started("song", f"synthesising {SONG_SECONDS:g} s"))
    folder = out / "stems"
    with files.storage_errors(folder):
        folder.mkdir(parents=True)
    for name, audio in demo_song(RATE_HZ, SONG_SECONDS).items():
        with WavWriter(folder / f"{name}.wav", rate_hz=RATE_HZ, channels=audio.shape[1]) as writer:
            writer.write(audio)
    project = create_project(out / "song", stems=folder, rig=RIG, emit=emit)
    save_new_mix(demo_mix(), project.mixes)
    return project


def demo_mix() -> Mix:
    """Return the house's mix of its own song: some stages for the desk, some for its hands, some for the box.

    Effects that no desk has stand before its equaliser, so that what follows them can still run there.
    """

    def pre(kind: str, **values: object) -> Insert:
        return Insert(kind=kind, at="pre", settings=values)

    return Mix(
        name="the house mix",
        strips=(
            Strip(
                name="kick",
                stem="kick.wav",
                fader_db=-2.3,
                eq={"lf": EqBand(freq_hz=80.0, gain_db=2.5)},
                inserts=(pre("transient", attack_db=2.0, sustain_db=-1.5),),
            ),
            Strip(
                name="snare",
                stem="snare.wav",
                fader_db=-4.7,
                pan=-8.0,
                send_db=-16.0,
                inserts=(pre("gate", threshold_db=-44.0, range_db=18.0, release_ms=120.0),),
            ),
            Strip(name="hats", stem="hats.wav", fader_db=-6.4, hpf_hz=200.0),
            Strip(
                name="percussion",
                stem="percussion.wav",
                fader_db=-7.1,
                pan=42.0,
                send_db=-18.0,
                sends=(Send(to="echo", level_db=-9.0),),
            ),
            Strip(
                name="bass",
                stem="bass.wav",
                fader_db=-3.2,
                comp=Comp(on=True, threshold_db=-20.0, ratio=3.0, attack_ms=12.0, release_ms=160.0, makeup_db=2.0),
                inserts=(pre("saturation", medium="tube", drive_db=4.0, mix_percent=60.0),),
            ),
            Strip(
                name="chords",
                stem="chords.wav",
                fader_db=-8.3,
                hpf_hz=120.0,
                send_db=-14.0,
                inserts=(
                    pre("chorus", rate_hz=0.7, depth_ms=2.0, mix_percent=35.0),
                    pre("dynamic_eq", bands=({"freq_hz": 320.0, "threshold_db": -30.0, "range_db": -4.0},)),
                ),
            ),
            Strip(
                name="keys",
                stem="keys.wav",
                fader_db=-6.6,
                pan=-34.0,
                eq={"hmf": EqBand(freq_hz=2_500.0, gain_db=1.8, q=0.9), "hf": EqBand(freq_hz=9_000.0, gain_db=2.1)},
                inserts=(pre("tremolo", rate_hz=4.0, depth_percent=18.0),),
            ),
            Strip(
                name="lead",
                stem="lead.wav",
                fader_db=-1.4,
                hpf_hz=90.0,
                send_db=-12.0,
                eq={"hmf": EqBand(freq_hz=3_200.0, gain_db=1.5, q=1.0)},
                comp=Comp(on=True, threshold_db=-22.0, ratio=2.5, attack_ms=8.0, release_ms=140.0, makeup_db=2.5),
                inserts=(pre("deesser", threshold_db=-34.0, range_db=6.0),),
                sends=(Send(to="echo", level_db=-14.0),),
            ),
            Strip(
                name="backing",
                stem="backing.wav",
                fader_db=-7.8,
                send_db=-11.0,
                inserts=(pre("micro_shift", left_cents=-7.0, right_cents=7.0, mix_percent=40.0),),
            ),
        ),
        busses=(
            AddedBus(
                name="echo",
                fader_db=-6.0,
                inserts=(
                    Insert(
                        kind="delay",
                        settings={"note": "1/8.", "tempo_bpm": 96.0, "ping_pong": True, "mix_percent": 100.0},
                    ),
                    Insert(kind="width", settings={"mono_below_hz": 150.0}),
                ),
            ),
        ),
        bus=Bus(
            comp=Comp(on=True, threshold_db=-12.0, ratio=2.0, attack_ms=30.0, release_ms=300.0, makeup_db=1.0),
            inserts=(Insert(kind="limiter", settings={"ceiling_dbtp": -1.0}),),
        ),
        reverb=Reverb(return_db=-3.0, decay_s=1.6, predelay_ms=24.0, damping_hz=5_500.0),
    )
