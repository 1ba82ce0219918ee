"""A mix that plays inside the program: transport, changes, what was heard, and how it ends."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from short_line import RATE_HZ, STRIPS, Line, song

from controller.audiofile import read_audio
from controller.errors import AudioFileError, DeclinedError, ProjectError, UsageError
from controller.events import Event, Finding, Question
from controller.live import Live, open_live
from controller.live_feed import loop_between
from controller.live_plan import plan_live
from controller.mix import Comp, Mix
from controller.mix_busses import Reverb
from controller.playing import play_mix
from controller.printing import print_mix
from controller.project import Project
from controller.studio import Studio
from hardware.live.inprocess import InProcessLive


@pytest.fixture
def project(line: Line) -> Project:
    """A song of two and a half seconds, its mix with a little reverb."""
    strips = (msgspec.structs.replace(STRIPS[0], send_db=-20.0), *STRIPS[1:])
    return line.project(strips=strips, reverb=Reverb())


def opened(line: Line, project: Project, mix: Mix | None = None, **options: object) -> Live:
    with Studio.open(line.rig) as studio:
        return open_live(project, mix or project.mix(), studio, emit=line.heard.append, accept=line.accept, **options)  # type: ignore[arg-type]


def audio(live: Live) -> np.ndarray:
    stream = live.stream
    assert isinstance(stream, InProcessLive)
    return stream.audio[:, :2]


def run(live: Live, seconds: float) -> None:
    for _ in range(round(seconds / 0.01)):
        live.step()
        live.stream.wait(0.01)


def heard_from(live: Live) -> np.ndarray:
    """What was heard from the first sample on that is not silent."""
    found = audio(live)
    return found[np.flatnonzero(found.any(axis=1))[0] :]


def test_what_plays_is_the_print_of_the_same_mix_to_the_sample(line: Line, project: Project) -> None:
    with Studio.open(line.rig) as studio:
        made = print_mix(
            project, project.mix(), path="itb", studio=studio, emit=line.heard.append, accept=line.accept,
            like=None, format_="float",
        )  # fmt: skip
    print_, _ = read_audio(made.file)
    with opened(line, project) as live:
        run(live, 0.1)
        live.play(0)
        run(live, 2.0)
        heard = heard_from(live)
    first = np.flatnonzero(print_.any(axis=1))[0]
    length = round(1.8 * RATE_HZ)
    assert np.array_equal(heard[:length], print_[first : first + length])


def test_nothing_is_opened_before_the_plan_is_accepted_and_the_plan_says_where_and_how_loud(
    line: Line, project: Project
) -> None:
    asked: list[Question] = []

    def refuse(question: Question) -> bool:
        asked.append(question)
        return False

    with Studio.open(line.rig) as studio, pytest.raises(DeclinedError):
        open_live(project, project.mix(), studio, emit=line.heard.append, accept=refuse, level_db=-12.0)
    (question,) = asked
    text = "\n".join(question.lines)
    assert "outputs  1 and 2 (wired: 1 to desk/ch01, 2 to desk/ch02)" in text
    assert "-12.0 dB, full scale is +6.0 dBu" in text
    assert "5.3 ms: 0 frames of the graph and a block of 256" in text


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"block_frames": 100}, UsageError, "blocks of 100 frames"),
        ({"block_frames": 8}, UsageError, "blocks of 8 frames"),
        ({"level_db": 3.0}, UsageError, r"cannot be \+3 dB"),
        ({"level_db": math.nan}, UsageError, "cannot be"),
    ],
)
def test_what_cannot_be_played_is_said(
    line: Line, project: Project, options: dict[str, float], error: type[Exception], words: str
) -> None:
    with Studio.open(line.rig) as studio, pytest.raises(error, match=words):
        plan_live(project, project.mix(), studio, **options)  # type: ignore[arg-type]


def test_a_rig_at_another_rate_is_refused(line: Line, project: Project) -> None:
    line.rig.write_text(line.rig.read_text().replace("rate_hz = 48000", "rate_hz = 96000"))
    with (
        Studio.open(line.rig) as studio,
        pytest.raises(ProjectError, match="interface at 96000"),
    ):
        plan_live(project, project.mix(), studio)


def test_the_rig_says_on_which_outputs_a_mix_is_heard(line: Line, project: Project) -> None:
    line.rig.write_text(line.rig.read_text().replace("inputs = 2", "inputs = 2\nmonitor = [5, 6]", 1))
    with opened(line, project) as live:
        live.play(0)
        run(live, 0.3)
        stream = live.stream
        assert isinstance(stream, InProcessLive)
        assert stream.audio[:, 4:6].any()
        assert not np.delete(stream.audio, [4, 5], axis=1).any()


def test_a_mute_is_heard_and_taken_back(line: Line, project: Project) -> None:
    mix = project.mix()
    silent = msgspec.structs.replace(
        mix, strips=tuple(msgspec.structs.replace(strip, mute=True) for strip in mix.strips), reverb=Reverb()
    )
    with opened(line, project) as live:
        live.play(0)
        run(live, 0.5)
        live.change(silent)
        run(live, 1.5)  # the reverb rings on for a while
        before = len(audio(live))
        run(live, 0.1)
        quiet = np.abs(audio(live)[before:]).max()
        live.change(mix)
        run(live, 0.2)
        assert quiet < 1e-3
        assert np.abs(audio(live)[-4800:]).max() > 100 * quiet


def test_what_the_bus_compressor_takes_off_is_told(line: Line, project: Project) -> None:
    mix = project.mix()
    squashed = msgspec.structs.replace(
        mix, bus=msgspec.structs.replace(mix.bus, comp=Comp(on=True, threshold_db=-60.0))
    )
    for one, low, high in ((mix, 0.0, 0.0), (squashed, -60.0, -3.0)):
        with opened(line, project, one) as live:
            live.play(0)
            run(live, 0.5)
            assert low <= live.reductions_db()["in 1"] <= high


def test_playing_begins_where_it_stopped(line: Line, project: Project) -> None:
    with opened(line, project) as live:
        live.play(RATE_HZ)
        run(live, 0.5)
        live.stop()
        run(live, 0.1)
        stopped = live.position_s
        assert not live.playing
        assert 1.4 < stopped < 1.6
        live.play()
        run(live, 0.2)
        assert stopped < live.position_s < stopped + 0.3


def test_the_song_ends_rings_out_and_is_at_its_beginning_again(line: Line, project: Project) -> None:
    with opened(line, project) as live:
        live.play(2 * RATE_HZ)
        run(live, 0.7)
        assert not live.playing
        assert not live.rung_out
        run(live, 4.0)
        assert live.rung_out
        assert live.position_s == 0.0
        assert live.heard.xruns == []


def test_a_loop_can_be_set_and_left_while_it_plays(line: Line, project: Project) -> None:
    with opened(line, project) as live:
        live.set_loop(loop_between(0.5, 1.0, RATE_HZ))
        live.play(RATE_HZ // 2)
        places = []
        for _ in range(20):
            run(live, 0.1)
            places.append(live.position_s)
        assert 0.5 <= min(places) <= max(places) <= 1.0
        assert live.stream.state().played_frames > 1.9 * RATE_HZ
        live.set_loop(None)
        run(live, 2.0)
        assert live.position_s > 1.0 or not live.playing


def test_a_sample_that_is_no_number_is_silent_and_said_once(line: Line) -> None:
    stems = song()
    project = line.project(stems)
    broken = stems["vox"].copy()
    broken[RATE_HZ // 2] = np.nan
    soundfile.write(project.stem("vox").path, broken, RATE_HZ, subtype="FLOAT")
    with opened(line, project) as live:
        live.play(0)
        run(live, 1.0)
        assert live.playing
        assert np.isfinite(audio(live)).all()
    assert line.findings().count("samples that are no numbers are silent") == 1


def test_a_stem_that_ends_too_early_fades_the_song_out_and_is_named(line: Line, project: Project) -> None:
    with opened(line, project) as live:
        live.play(0)
        run(live, 0.2)
        with project.stem("vox").path.open("r+b") as file:
            file.truncate(RATE_HZ * 4)
        with pytest.raises(AudioFileError, match=r"vox\.wav"):
            run(live, 2.4)
        live.stream.wait(1.0)
        assert not live.playing
        before = len(audio(live))
        live.stream.wait(0.1)
        assert np.abs(audio(live)[before:]).max() < 1e-2


def test_a_change_that_cannot_be_made_is_a_finding_and_the_song_goes_on(
    line: Line, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsp.errors import DspError

    with opened(line, project) as live:
        live.play(0)
        run(live, 0.2)
        said: list[Event] = line.heard
        monkeypatch.setattr(live.stream, "refusal", iter([DspError("no such thing")]).__next__)
        live.step()
        monkeypatch.undo()
        run(live, 0.1)
        assert any(isinstance(e, Finding) and "cannot be heard: no such thing" in e.what for e in said)
        assert live.playing


def test_from_here_to_there_is_played_and_measured(line: Line, project: Project) -> None:
    with Studio.open(line.rig) as studio:
        played = play_mix(
            project, project.mix(), studio, emit=line.heard.append, accept=line.accept, from_s=0.5, to_s=1.5
        )
    facts = played.facts
    assert not played.interrupted
    assert facts["played_s"] == pytest.approx(1.0, abs=0.01)
    assert facts["xruns"] == []
    assert facts["callback_p99_ms"] >= facts["callback_p50_ms"] > 0.0


def test_the_loudness_of_what_was_played_is_that_of_the_file(line: Line, project: Project) -> None:
    from dsp.loudness import LoudnessMeter

    with Studio.open(line.rig) as studio:
        made = print_mix(
            project, project.mix(), path="itb", studio=studio, emit=line.heard.append, accept=line.accept, like=None
        )
        played = play_mix(project, project.mix(), studio, emit=line.heard.append, accept=line.accept)
    print_, _ = read_audio(made.file)
    meter = LoudnessMeter(RATE_HZ, 2)
    meter.process(print_)
    assert played.facts["integrated_lufs"] == pytest.approx(meter.integrated_lufs, abs=0.1)
    assert played.facts["momentary_max_lufs"] == pytest.approx(meter.momentary_max_lufs, abs=0.2)
    assert played.facts["peak_dbfs"] == pytest.approx(20 * math.log10(np.abs(print_).max()), abs=0.1)


def test_an_interrupt_fades_out_and_tells_what_was_played(line: Line, project: Project) -> None:
    streams: list[InProcessLive] = []

    def tell(event: Event) -> None:
        if type(event).__name__ == "Progress":
            raise KeyboardInterrupt

    with Studio.open(line.rig) as studio:
        original = studio.live

        def keep(*args: object, **options: object) -> InProcessLive:
            streams.append(original(*args, **options))  # type: ignore[arg-type]
            return streams[-1]

        studio.live = keep  # type: ignore[method-assign]
        played = play_mix(project, project.mix(), studio, emit=tell, accept=line.accept, loop=True)
    assert played.interrupted
    assert 0.0 < played.facts["played_s"] < 1.0
    assert not streams[0].audio[-64:].any()


def test_the_folder_of_the_project_is_left_as_it_was(line: Line, project: Project) -> None:
    before = sorted(path for path in Path(project.root).rglob("*"))
    with Studio.open(line.rig) as studio:
        play_mix(project, project.mix(), studio, emit=line.heard.append, accept=line.accept, to_s=0.3)
    assert sorted(path for path in Path(project.root).rglob("*")) == before
