"""A song of one second and a console opened on it, for the tests of the screens."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from controller.mix import Comp, EqBand, Mix, Strip, save_new_mix
from controller.project import create_project
from controller.tui.app import ConsoleApp
from controller.tui.session import Session
from controller.wav import WavWriter

RATE_HZ = 48_000
STEMS = ("kick", "hats", "lead")


def make_song(folder: Path) -> Path:
    """Make a project of three stems, one second long, on the room inside the program."""
    shutil.copytree(_song(), folder / "song")
    return folder / "song"


@cache
def _song() -> Path:
    from dsp.synth import demo_song

    folder = Path(tempfile.mkdtemp(prefix="halfnormal-song-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    stems = folder / "stems"
    stems.mkdir(parents=True)
    song = demo_song(RATE_HZ, 2.0)
    for name in STEMS:
        audio = song[name][:RATE_HZ]
        with WavWriter(stems / f"{name}.wav", rate_hz=RATE_HZ, channels=audio.shape[1]) as writer:
            writer.write(audio)
    project = create_project(folder / "song", stems=stems, rig="demo")
    (project.mixes / "mix-1.toml").unlink()
    strips = (
        Strip(name="kick", stem="kick.wav", eq={"lf": EqBand(freq_hz=80.0, gain_db=2.5)}),
        Strip(name="hats", stem="hats.wav", hpf_hz=200.0),
        Strip(name="lead", stem="lead.wav", comp=Comp(on=True)),
    )
    save_new_mix(Mix(name="mix 1", strips=strips), project.mixes)
    return project.root


@asynccontextmanager
async def opened(song: Path, *, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    """Open the console on ``song`` and hand out the program and a pair of hands."""
    session = Session.open(song)
    app = ConsoleApp(session)
    app.animation_level = "none"
    try:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield app, pilot
    finally:
        session.close()


async def landed(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Wait until the running workflow has come home and the screen has heard of it."""
    await app.jobs.wait()
    await pilot.pause()


def cells(app: ConsoleApp) -> str:
    """Return the characters in sight, line by line, trailing blanks cut."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()[:height]
    return "\n".join(line.text[:width].rstrip() for line in lines)
