"""A pass that ends early, for whatever reason, loses nothing: what was recorded is a print at the next opening."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_line import RATE_HZ, Audio, Line, read, song

from controller import partials
from controller.errors import DiskFullError
from controller.events import Event, Finding, Progress
from controller.mix import Strip
from controller.project import Project, open_project
from hardware.errors import AudioError
from hardware.room.inprocess import RoomStream
from hardware.seams import Sink, Source

ROOT = Path(__file__).resolve().parents[2]
HEADER_ROOM = 4096
"""More bytes than stand before the samples of a recording."""
FRAME_BYTES = 8
WAIT_S = 60.0


def contents(folder: Path) -> dict[str, str]:
    """What stands in a folder, less prints and what a pass leaves beside them."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "prints"
    }


def reopened(project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Finding], list[str]]:
    """Open the project as a later program does, to which this one is dead: what it says, and the prints there are."""
    said: list[Event] = []
    with monkeypatch.context() as patch:
        patch.setattr(partials, "process_mark", lambda pid: None)
        open_project(project.root, emit=said.append)
    left = sorted(path.name for path in project.prints.iterdir())
    return [event for event in said if isinstance(event, Finding)], left


def the_printed_song(line: Line, project: Project) -> Audio:
    """The recording that a whole pass makes of the project, from the first frame of the song on."""
    return read(line.print(project).file)


def same_beginning(recovered: Audio, whole: Audio, *, latency: int = 137) -> int:
    """How many frames of a recovered recording are those of the whole print; it still has the loop's latency."""
    song_part = recovered[latency:]
    count = min(len(song_part), len(whole))
    np.testing.assert_allclose(song_part[:count], whole[:count], atol=1e-6)
    return count


def stop_in_mid_pass(event: Event) -> None:
    if isinstance(event, Progress) and event.detail == "recording" and event.done > 0.3:
        raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_recorded_and_says_how_to_get_it(line: Line, monkeypatch) -> None:
    line.calibrated()
    project = line.project(song(3.0))
    whole = the_printed_song(line, line.project(song(3.0)))
    before = contents(project.root)
    heard: list[Event] = []

    def emit(event: Event) -> None:
        heard.append(event)
        stop_in_mid_pass(event)

    with pytest.raises(KeyboardInterrupt):
        line.print(project, emit=emit)
    told = [event for event in heard if isinstance(event, Finding)][-1]
    assert "recorded so far are kept" in told.what
    assert "Open the project again" in told.hint
    assert told.hint.endswith("prints/0001-recovered.wav.")
    assert contents(project.root) == before
    found, left = reopened(project, monkeypatch)
    assert left == ["0001-recovered.json", "0001-recovered.wav"]
    recovered = read(project.prints / "0001-recovered.wav")
    assert RATE_HZ // 2 < same_beginning(recovered, whole) < len(whole)
    assert f"{len(recovered)} frames" in found[0].what
    assert contents(project.root) == before
    # And the number is spent: the next print is the second.
    assert line.print(project).file.name == "0002-analog.wav"


def test_a_device_that_vanishes_in_mid_pass_is_an_error_and_the_rest_is_kept(line: Line, monkeypatch) -> None:
    line.calibrated()
    project = line.project(song(3.0))
    whole = the_printed_song(line, line.project(song(3.0)))
    run = RoomStream.run
    unplugged = 2 * RATE_HZ

    def until_unplugged(
        self: RoomStream, source: Source, sink: Sink, frames: int, *, progress: Callable[[int], None] | None = None
    ) -> Any:
        if frames < 2 * RATE_HZ:  # the re-ping
            return run(self, source, sink, frames, progress=progress)
        run(self, source, sink, unplugged, progress=progress)
        raise AudioError("The audio device is gone.", hint="Plug it in.")

    monkeypatch.setattr(RoomStream, "run", until_unplugged)
    with pytest.raises(AudioError, match="is gone"):
        line.print(project)
    assert "the 2.0 s recorded so far are kept" in " ".join(line.findings())
    monkeypatch.setattr(RoomStream, "run", run)
    _, left = reopened(project, monkeypatch)
    assert left == ["0001-recovered.json", "0001-recovered.wav"]
    recovered = read(project.prints / "0001-recovered.wav")
    assert len(recovered) == unplugged
    same_beginning(recovered, whole)


@pytest.mark.parametrize(
    "step", ["controller.print_format.PrintFormat.write", "controller.files.move_new", "controller.provenance.store"]
)
def test_a_disk_that_fills_up_after_the_pass_does_not_lose_the_pass(line: Line, monkeypatch, step: str) -> None:
    line.calibrated()
    project = line.project(song(1.0))

    def full(*args: Any, **options: Any) -> None:
        raise DiskFullError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(step, full)
        with pytest.raises(DiskFullError):
            line.print(project, format_="24")
    _, left = reopened(project, monkeypatch)
    assert "0001-recovered.wav" in left
    assert not [name for name in left if name.startswith(".")]
    assert len(read(project.prints / "0001-recovered.wav")) >= RATE_HZ


# From here on the pass is another program's, as it would be: long, and stopped from outside.


@pytest.fixture
def long_song(line: Line) -> Project:
    """Two minutes for one strip; a pass through the room inside the program takes some seconds."""
    line.calibrated()
    noise = 0.1 * np.random.default_rng(3).standard_normal((10 * RATE_HZ, 1)).clip(-3, 3)
    return line.project({"noise": np.tile(noise, (12, 1))}, [Strip(name="noise", stem="noise.wav", fader_db=-3.3)])


def program(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "controller", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def recorded(project: Project) -> int:
    """How many bytes of the pass are on disk."""
    partial = project.prints / ".partial-0001.wav"
    return partial.stat().st_size if partial.exists() else 0


def started_pass(project: Project, *, seconds: float) -> subprocess.Popen[str]:
    """Start a print and return once so many seconds of it are on disk."""
    process = program("print", project.root, "--path", "analog", "--yes", "--hands-done")
    deadline = time.monotonic() + WAIT_S
    while recorded(project) < HEADER_ROOM + seconds * RATE_HZ * FRAME_BYTES:
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            raise AssertionError(process.communicate())
    return process


def test_kill_9_in_mid_pass_leaves_a_print_that_the_next_opening_recovers(long_song: Project) -> None:
    before = contents(long_song.root)
    process = started_pass(long_song, seconds=2.0)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    killed_at = recorded(long_song)
    assert contents(long_song.root) == before
    said: list[Event] = []
    opened = open_project(long_song.root, emit=said.append)
    assert [path.name for path in sorted(opened.prints.iterdir())] == ["0001-recovered.json", "0001-recovered.wav"]
    recovered = read(opened.prints / "0001-recovered.wav")
    # Every whole frame that reached the disk: the file is its header and the frames.
    assert 0 <= killed_at - len(recovered) * FRAME_BYTES < HEADER_ROOM
    assert 2 * RATE_HZ <= len(recovered) < 120 * RATE_HZ
    stem = read(opened.stems[0].path)
    level = 10 ** (-3.3 / 20) * np.sqrt(0.5)
    np.testing.assert_allclose(recovered[137:, 0], level * stem[: len(recovered) - 137, 0], atol=1e-5)
    findings = [event for event in said if isinstance(event, Finding)]
    assert len(findings) == 1
    assert f"{len(recovered)} frames" in findings[0].what
    assert contents(long_song.root) == before


def test_sigint_ends_the_program_with_130_and_one_sentence(long_song: Project) -> None:
    process = started_pass(long_song, seconds=1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "0001-recovered.wav" in err
    opened = open_project(long_song.root)
    assert len(read(opened.prints / "0001-recovered.wav")) >= RATE_HZ


def test_a_pass_that_still_runs_is_left_alone(long_song: Project) -> None:
    process = started_pass(long_song, seconds=1.0)
    try:
        open_project(long_song.root)
        assert sorted(path.name for path in long_song.prints.glob(".partial-0001.*")) == [
            ".partial-0001.json",
            ".partial-0001.wav",
        ]
        assert not list(long_song.prints.glob("*-recovered.wav"))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on the size of files")
def test_a_disk_that_fills_up_in_mid_pass_is_said_and_what_fitted_is_kept(long_song: Project) -> None:
    before = contents(long_song.root)
    limit = 2_000_000

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = program("print", long_song.root, "--path", "analog", "--yes", "--hands-done", preexec_fn=small_disk)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err
    assert "are kept" in err
    assert "0001-recovered.wav" in err
    opened = open_project(long_song.root)
    recovered = read(opened.prints / "0001-recovered.wav")
    assert 0 <= limit - len(recovered) * FRAME_BYTES < HEADER_ROOM
    assert contents(long_song.root) == before
