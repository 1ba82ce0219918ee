"""A song of one second and a console opened on it, for the tests of the screens."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from textual.pilot import Pilot
from textual.screen import Screen

import hardware
from controller.mix import Comp, EqBand, Mix, Strip, save_new_mix
from controller.project import create_project
from controller.tui.app import ConsoleApp
from controller.tui.session import Session
from controller.wav import WavWriter

RATE_HZ = 48_000
Dialog = TypeVar("Dialog", bound=Screen[Any])
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
async def opened(
    song: Path, *, size: tuple[int, int] = (80, 24), rig: str | None = None
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    """Open the console on ``song`` and hand out the program and a pair of hands."""
    session = Session.open(song, rig=rig)
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


async def asked(app: ConsoleApp, pilot: Pilot[Any], dialog: type[Dialog]) -> Dialog:
    """Wait until the running workflow has put a question of this kind on the screen."""
    for _ in range(6000):  # a pause of its own length would wait for a processor that the workflow keeps busy
        if isinstance(app.screen, dialog) and app.screen.is_mounted:
            await pilot.pause()
            return app.screen
        await pilot.pause(0.01)
    raise AssertionError(f"no {dialog.__name__} came, but {app.screen}")


def write_rig(home: Path, name: str, *, faults: Sequence[str] = (), **ports: str) -> None:
    """Write a rig like the demo's under ``name``: ``faults`` are the keys of a ``[[fault]]`` each, ``ports`` others."""
    text = (
        (Path(hardware.__file__).parent / "rigs" / "demo.toml")
        .read_text("utf-8")
        .replace('name = "demo"', f'name = "{name}"')
    )
    for device, port in ports.items():
        assert f'port = "room:{device}"' in text
        text = text.replace(f'port = "room:{device}"', f'port = "{port}"')
    folder = home / "rigs"
    folder.mkdir(parents=True, exist_ok=True)
    if faults:
        model = "schema = 1\n" + "".join(f"[[fault]]\n{fault}\n" for fault in faults)
        (folder / f"{name}-model.toml").write_text(model, encoding="utf-8")
        text = text.replace('model = ""', f'model = "{name}-model.toml"')
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def cells(app: ConsoleApp) -> str:
    """Return the characters in sight, line by line, trailing blanks cut."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()[:height]
    return "\n".join(line.text[:width].rstrip() for line in lines)
