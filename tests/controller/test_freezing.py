"""What inserts made of a strip is kept: the same bits again, and made anew whenever anything it depends on changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from short_line import RATE_HZ, read

from controller import freezing, places
from controller.box_render import Wanted
from controller.events import Event, Finding
from controller.filing import Print
from controller.mix import AddedBus, Bus, Insert, Mix, Move, Send, Strip, save_new_mix
from controller.printing import print_mix
from controller.project import Project, create_project

FRAMES = 20_000
WARM = Insert(kind="saturation", settings={"drive_db": 9.0})
TIGHT = Insert(kind="compressor", settings={"threshold_db": -30.0}, at="pre")
LATE = Insert(kind="limiter", settings={"ceiling_dbtp": -20.0, "lookahead_ms": 9.0})
MIX = Mix(
    name="m",
    strips=(
        Strip(name="vox", stem="vox.wav", inserts=(TIGHT, WARM), hpf_hz=80.0, send_db=-20.0, sends=(Send(to="par"),)),
        Strip(name="keys", stem="keys.wav", inserts=(TIGHT,), fader_db=-3.0),
        Strip(name="bass", stem="bass.wav", inserts=(LATE,), trim_db=2.0),
        Strip(name="dry", stem="dry.wav"),
    ),
    busses=(AddedBus(name="par", inserts=(WARM,)),),
    bus=Bus(fader_db=-2.0),
)


class Song:
    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(5)
        (folder / "in").mkdir()
        for name in ("vox", "keys", "bass", "dry"):
            audio = 0.1 * rng.standard_normal((FRAMES, 2 if name == "keys" else 1))
            soundfile.write(folder / "in" / f"{name}.wav", audio, RATE_HZ, subtype="FLOAT")
        self.project: Project = create_project(folder / "song", stems=folder / "in")
        self.heard: list[Event] = []

    def print(self, mix: Mix, wanted: Wanted | None = None) -> Print:
        save_new_mix(mix, self.project.mixes)
        return print_mix(
            self.project,
            self.project.mix(),
            path="itb",
            studio=None,
            emit=self.heard.append,
            accept=lambda question: True,
            format_="float",
            wanted=wanted,
        )

    def again(self, mix: Mix, wanted: Wanted | None = None) -> list[str]:
        """Print; hold that it is what a fresh print is to the bit; return the strips that were played as kept."""
        made = self.print(mix, wanted)
        fresh = self.print(mix, asked(wanted or Wanted(), fresh=True))
        assert "frozen" not in fresh.facts
        np.testing.assert_array_equal(read(made.file), read(fresh.file))
        frozen: list[str] = made.facts.get("frozen", [])
        return frozen


def asked(wanted: Wanted, **new: Any) -> Wanted:
    return Wanted(**{**vars(wanted), **new})


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Song:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return Song(tmp_path)


def with_strip(number: int, mix: Mix = MIX, **new: Any) -> Mix:
    strips = list(mix.strips)
    strips[number] = msgspec.structs.replace(strips[number], **new)
    return msgspec.structs.replace(mix, strips=tuple(strips))


def test_after_a_fader_move_no_insert_runs_again_and_not_a_bit_is_another(song: Song) -> None:
    assert song.again(MIX) == []
    moved = with_strip(0, with_strip(2, pan=60.0), fader_db=-7.5, send_db=-3.0)
    assert song.again(moved) == ["vox", "keys", "bass"]
    told = [event.what for event in song.heard if isinstance(event, Finding) and event.where == "print"]
    assert told == ["what the inserts of vox, keys, bass made is played as the last print kept it"]


CHANGES: dict[str, tuple[Mix, list[str]]] = {
    "an insert": (with_strip(0, inserts=(TIGHT, msgspec.structs.replace(WARM, settings={"drive_db": 9.1}))), ["vox"]),
    "a filter before an insert": (with_strip(0, hpf_hz=90.0), ["vox"]),
    "a filter behind all inserts": (with_strip(1, hpf_hz=90.0), []),
    "trim": (with_strip(1, trim_db=1.0), ["keys"]),
    "polarity": (with_strip(2, polarity="inverted"), ["bass"]),
    "a move of an insert": (
        msgspec.structs.replace(
            MIX, moves=(Move(strip="vox", what="insert/2/drive_db", points=((0.0, 0.0), (0.2, 9.0))),)
        ),
        ["vox"],
    ),
    "a move of a fader": (
        msgspec.structs.replace(MIX, moves=(Move(strip="vox", what="fader_db", points=((0.0, 0.0), (0.2, -9.0))),)),
        [],
    ),
    # Without the limiter's latency the others wait less behind their inserts.
    "another strip's latency": (with_strip(2, inserts=()), ["vox", "keys"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_depends_on_a_change_is_made_anew(song: Song, name: str) -> None:
    mix, anew = CHANGES[name]
    song.print(MIX)
    kept = [strip.name for strip in mix.strips if strip.inserts and strip.name not in anew]
    assert song.again(mix) == kept


def test_a_stem_that_was_replaced_is_heard(song: Song) -> None:
    song.print(MIX)
    other = 0.1 * np.random.default_rng(6).standard_normal(FRAMES)
    soundfile.write(song.project.stem("vox").path, other, RATE_HZ, subtype="FLOAT")
    assert song.again(MIX) == ["keys", "bass"]


def test_another_engine_takes_nothing_of_this_one(song: Song, monkeypatch: pytest.MonkeyPatch) -> None:
    song.print(MIX)
    monkeypatch.setattr(freezing, "engine_digest", lambda: "another")
    assert song.again(MIX) == []


def test_a_region_with_another_begin_is_made_anew_and_a_shorter_one_is_not(song: Song) -> None:
    song.print(MIX)
    assert song.again(MIX, Wanted(from_s=0.1, to_s=0.3)) == ["vox", "keys", "bass"]
    assert song.again(MIX, Wanted(from_s=0.3, to_s=0.4, pre_roll_s=0.1)) == []


def test_a_strip_that_hears_another_is_never_kept(song: Song) -> None:
    ducked = msgspec.structs.replace(TIGHT, key="dry")
    mix = with_strip(1, inserts=(ducked,))
    song.print(mix)
    assert song.again(mix) == ["vox", "bass"]


def test_a_disk_that_takes_no_more_costs_the_next_print_time_and_nothing_else(
    song: Song, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.frozen_folder().parent.mkdir(parents=True, exist_ok=True)
    places.frozen_folder().write_bytes(b"")  # a file where the folder should be
    assert song.again(MIX) == []
    said = {event.what for event in song.heard if isinstance(event, Finding) and event.where == "frozen"}
    assert len(said) == 3
    assert all("could not be kept" in what for what in said)


def test_the_oldest_go_first_and_no_part_of_a_render_that_ended_early_stays(song: Song) -> None:
    song.print(MIX)
    folder = places.frozen_folder()
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_size)
    assert [path.suffix for path in paths] == [".f32"] * 3
    for age, path in enumerate(paths):
        os.utime(path, (1e9 - age, 1e9 - age))
    killed = folder / "abc.1.part"
    killed.write_bytes(bytes(1000))
    os.utime(killed, (1e8, 1e8))
    most = paths[0].stat().st_size + paths[1].stat().st_size
    with (
        pytest.raises(KeyboardInterrupt),
        freezing.Freezer({}, rate_hz=RATE_HZ, begin=0, frames=1, emit=lambda event: None, most_bytes=most),
    ):
        raise KeyboardInterrupt
    assert set(folder.iterdir()) == set(paths[:2])
