"""The audio process and this side of it, over a PortAudio that needs no hardware."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.audio_process.child import DuplexCallback
from hardware.audio_process.devices import JACK_HOST_API, Device, choose
from hardware.audio_process.rings import Geometry, Rings, State, Word, XrunCode, create
from hardware.errors import (
    AudioDeviceNotFoundError,
    AudioError,
    AudioUnavailableError,
    ChannelCountError,
    SampleRateError,
)
from hardware.ports.audio import AudioDeviceInfo, ProcessStream, list_audio_devices, open_audio
from hardware.seams import Xrun

FAKE = Path(__file__).with_name("fake_portaudio")
BLOCK = 64
TRIP = BLOCK + 9  # the fake's cable
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake PortAudio is found by a POSIX path list")


class Ramp:
    """Frame n of channel c is (n + 1) * (c + 1) / 2**20: every sample tells where it belongs."""

    def __init__(self, frames: int, channels: int, *, at_most: int = 10**9) -> None:
        count = np.arange(1, frames + 1, dtype=np.float32)[:, None]
        self.audio = count * np.arange(1, channels + 1, dtype=np.float32) / np.float32(2**20)
        self._at_most = at_most
        self._position = 0

    def read(self, frames: int) -> np.ndarray:
        block = self.audio[self._position : self._position + min(frames, self._at_most)]
        self._position += len(block)
        return block


class Keep:
    def __init__(self, act: Callable[[int], None] | None = None) -> None:
        self.blocks: list[np.ndarray] = []
        self.frames = 0
        self._act = act

    def write(self, block: np.ndarray) -> None:
        self.blocks.append(block.copy())
        self.frames += len(block)
        if self._act:
            self._act(self.frames)

    @property
    def audio(self) -> np.ndarray:
        return np.concatenate(self.blocks) if self.blocks else np.zeros((0, 4), np.float32)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.delenv("FAKE_PORTAUDIO", raising=False)
    return lambda mood: monkeypatch.setenv("FAKE_PORTAUDIO", mood)


def open_cable(**changes: Any) -> ProcessStream:
    asked: dict[str, Any] = {"rate_hz": 48_000, "block_frames": BLOCK, "outputs": 4, "inputs": 4}
    return open_audio(changes.pop("device", "Cable"), **(asked | changes))


def expected(source: Ramp, frames: int) -> np.ndarray:
    return np.concatenate([np.zeros((TRIP, 4), np.float32), source.audio])[:frames]


def test_every_device_is_listed_with_its_channels(fake: Callable[[str], None]) -> None:
    assert list_audio_devices() == [
        AudioDeviceInfo("Cable", "Fake API", 4, 4, 48000.0),
        AudioDeviceInfo("Cable Two", "Fake API", 2, 8, 48000.0),
    ]


@pytest.mark.parametrize("frames", [1, BLOCK, 10 * BLOCK, 10_007])
def test_a_run_plays_and_records_frame_for_frame(fake: Callable[[str], None], frames: int) -> None:
    with open_cable() as stream:
        source, sink = Ramp(frames, 4), Keep()
        report = stream.run(source, sink, frames)
    assert report.frames == frames
    assert report.xruns == ()
    np.testing.assert_array_equal(sink.audio, expected(source, frames))


def test_two_runs_of_one_stream_have_the_same_latency(fake: Callable[[str], None]) -> None:
    with open_cable() as stream:
        for _ in range(2):
            source, sink = Ramp(5000, 4), Keep()
            stream.run(source, sink, 5000)
            np.testing.assert_array_equal(sink.audio, expected(source, 5000))


def test_a_source_that_ends_early_is_followed_by_silence(fake: Callable[[str], None]) -> None:
    with open_cable() as stream:
        source, sink = Ramp(1000, 4), Keep()
        assert stream.run(source, sink, 3000).frames == 3000
    audio = sink.audio
    np.testing.assert_array_equal(audio[TRIP : TRIP + 1000], source.audio)
    assert not audio[TRIP + 1000 :].any()


def test_progress_ends_at_the_last_frame(fake: Callable[[str], None]) -> None:
    told: list[int] = []
    with open_cable() as stream:
        stream.run(Ramp(4000, 4), Keep(), 4000, progress=told.append)
    assert told[-1] == 4000
    assert told == sorted(told)


def test_peaks_are_those_of_the_run(fake: Callable[[str], None]) -> None:
    with open_cable() as stream:
        stream.run(Ramp(1024, 4), Keep(), 2048)
        outputs, inputs = stream.peaks()
    np.testing.assert_array_equal(outputs, np.arange(1, 5, dtype=np.float32) * 1024 / 2**20)
    np.testing.assert_array_equal(inputs, outputs)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_in_the_sink_ends_the_run_and_leaves_a_silent_usable_stream(
    fake: Callable[[str], None], error: type[BaseException]
) -> None:
    def full(frames: int) -> None:
        if frames >= 1000:
            raise error("disk full")

    with open_cable() as stream:
        with pytest.raises(error):
            stream.run(Ramp(48_000, 4), Keep(full), 48_000)
        source, sink = Ramp(3000, 4), Keep()
        stream.run(source, sink, 3000)
    # Silence had come before the second run began, apart from what was still in the cable.
    np.testing.assert_array_equal(sink.audio[TRIP:], source.audio[: 3000 - TRIP])


def test_an_error_in_the_source_leaves_the_stream_usable(fake: Callable[[str], None]) -> None:
    class Broken:
        def read(self, frames: int) -> np.ndarray:
            raise RuntimeError("stem is gone")

    with open_cable() as stream:
        with pytest.raises(RuntimeError, match="stem is gone"):
            stream.run(Broken(), Keep(), 1000)
        assert stream.run(Ramp(500, 4), Keep(), 500).frames == 500


def test_a_source_of_the_wrong_shape_is_refused(fake: Callable[[str], None]) -> None:
    with open_cable() as stream, pytest.raises(ValueError, match="source gave"):
        stream.run(Ramp(500, 1), Keep(), 500)


def test_an_xrun_is_reported_at_the_frame_of_its_block(fake: Callable[[str], None]) -> None:
    fake("xrun:5")
    with open_cable() as stream:
        report = stream.run(Ramp(2000, 4), Keep(), 2000)
    assert report.xruns == (Xrun(5 * BLOCK, BLOCK, "input"), Xrun(5 * BLOCK, BLOCK, "output"))


def test_a_crash_of_the_audio_process_gives_what_was_recorded_to_the_sink_first(fake: Callable[[str], None]) -> None:
    fake("crash:40")
    source, sink = Ramp(48_000, 4), Keep()
    with open_cable() as stream:
        with pytest.raises(AudioError, match="ended unexpectedly"):
            stream.run(source, sink, 48_000)
        np.testing.assert_array_equal(sink.audio, expected(source, 40 * BLOCK))
        with pytest.raises(AudioError):
            stream.run(source, sink, 100)


def test_a_device_that_vanishes_is_an_audio_error_with_the_recording_kept(fake: Callable[[str], None]) -> None:
    fake("stops:40")
    source, sink = Ramp(48_000, 4), Keep()
    with open_cable() as stream, pytest.raises(AudioError, match="vanished"):
        stream.run(source, sink, 48_000)
    np.testing.assert_array_equal(sink.audio, expected(source, 40 * BLOCK))


def test_a_closed_stream_says_so_and_closes_twice(fake: Callable[[str], None]) -> None:
    stream = open_cable()
    stream.close()
    stream.close()
    with pytest.raises(AudioError, match="closed"):
        stream.run(Ramp(10, 4), Keep(), 10)


@pytest.mark.parametrize(
    ("mood", "changes", "error", "words"),
    [
        ("missing", {}, AudioUnavailableError, "PortAudio is not installed"),
        ("empty", {}, AudioUnavailableError, "no audio device, and JACK is not running"),
        ("", {"device": "Desk"}, AudioDeviceNotFoundError, '"Cable", "Cable Two"'),
        ("", {"host_api": JACK_HOST_API}, AudioUnavailableError, "JACK is not running"),
        ("", {"outputs": 24}, ChannelCountError, "has 4 outputs and 4 inputs; the rig asks for 24 outputs"),
        ("", {"rate_hz": 44_100}, SampleRateError, "44100 Hz"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(
    fake: Callable[[str], None], mood: str, changes: dict[str, Any], error: type[AudioError], words: str
) -> None:
    fake(mood)
    with pytest.raises(error, match=words) as caught:
        open_cable(**changes)
    assert caught.value.hint


def test_listing_without_portaudio_says_what_to_install(fake: Callable[[str], None]) -> None:
    fake("missing")
    with pytest.raises(AudioUnavailableError) as caught:
        list_audio_devices()
    assert "libportaudio2" in caught.value.hint


def test_nothing_of_a_stream_stays_on_the_disk(
    fake: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = f"halfnormal-{os.getpid()}-*"  # other tests' streams lie there, too
    before = set(Path("/dev/shm").glob(own)) if Path("/dev/shm").is_dir() else set()
    with open_cable() as stream:
        stream.run(Ramp(500, 4), Keep(), 500)
        after = set(Path("/dev/shm").glob(own)) if before or Path("/dev/shm").is_dir() else set()
        assert not list(tmp_path.glob("*.rings"))
    assert after <= before
    assert not list(tmp_path.iterdir())


def test_the_audio_process_ends_when_its_parent_is_killed(fake: Callable[[str], None]) -> None:
    program = (
        "import os, signal; from hardware.ports.audio import open_audio; "
        "s = open_audio('Cable', rate_hz=48000, block_frames=64, outputs=4, inputs=4); "
        "print(s.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, str(FAKE)])},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    # Reading to its end proves more than the parent's death: a child that lived on would be found here.
    assert gone_within(int(done.stdout), 2.0)


def gone_within(pid: int, seconds: float) -> bool:
    import select

    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except AttributeError:
        pytest.skip("this system has no pidfd")
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


# The callback alone: one process, one thread, every order of events by hand.


@pytest.fixture
def rings() -> Rings:
    geometry = Geometry(block_frames=4, slots=8, outputs=2, inputs=2)
    path = create(geometry)
    made = Rings(path, geometry)
    path.unlink()
    return made


class NoStatus:
    input_overflow = input_underflow = output_overflow = output_underflow = False

    def __bool__(self) -> bool:
        return False


def call(callback: DuplexCallback, value: float) -> np.ndarray:
    out = np.full((4, 2), 99.0, np.float32)
    callback(np.full((4, 2), value, np.float32), out, 4, None, NoStatus())
    return out


def test_the_callback_plays_silence_until_armed(rings: Rings) -> None:
    callback = DuplexCallback(rings)
    rings.output[:] = 0.5
    assert not call(callback, 1.0).any()
    assert rings.words[Word.DONE] == 0
    assert rings.words[Word.CALLBACKS] == 1


def test_a_starved_callback_plays_silence_and_keeps_the_place_of_what_follows(rings: Rings) -> None:
    callback = DuplexCallback(rings)
    for slot in range(4):
        rings.output[slot] = (slot + 1) / 10
    rings.words[Word.RUN_BLOCKS] = 4
    rings.words[Word.FED] = 1
    rings.words[Word.ARM] = 1
    played = [call(callback, 0.0)[0, 0] for _ in range(2)]
    rings.words[Word.FED] = 4
    played += [call(callback, 0.0)[0, 0] for _ in range(3)]
    np.testing.assert_allclose(played, [0.1, 0.0, 0.3, 0.4, 0.0])
    assert rings.words[Word.XRUNS] == 1
    assert rings.xruns[0].tolist() == [1, XrunCode.STARVED]


def test_a_full_input_ring_loses_the_new_block_and_overwrites_nothing(rings: Rings) -> None:
    callback = DuplexCallback(rings)
    rings.stamps.fill(-1)
    rings.words[Word.RUN_BLOCKS] = rings.words[Word.FED] = 10
    rings.words[Word.ARM] = 1
    for number in range(9):
        call(callback, number / 16)
    assert rings.input[0, 0, 0] == 0.0
    assert rings.stamps.tolist() == list(range(8))
    assert rings.xruns[0].tolist() == [8, XrunCode.FULL]
    rings.words[Word.DRAINED] = 2
    call(callback, 9 / 16)
    assert rings.input[1, 0, 0] == 9 / 16
    assert rings.stamps[1] == 9


def test_disarming_silences_the_next_block(rings: Rings) -> None:
    callback = DuplexCallback(rings)
    rings.output[:] = 0.5
    rings.words[Word.RUN_BLOCKS] = rings.words[Word.FED] = 8
    rings.words[Word.ARM] = 1
    assert call(callback, 0.0).all()
    rings.words[Word.ARM] = 0
    assert not call(callback, 0.0).any()
    assert rings.words[Word.CURRENT] == 0


@pytest.mark.parametrize("rate_hz", [44_100, 192_000])
@pytest.mark.parametrize("block_frames", [64, 100, 4096])
def test_the_rings_hold_at_least_four_seconds(rate_hz: int, block_frames: int) -> None:
    geometry = Geometry.lasting(4.0, rate_hz=rate_hz, block_frames=block_frames, outputs=2, inputs=2)
    assert geometry.slots * block_frames >= 4 * rate_hz
    assert (geometry.slots - 1) * block_frames < 4 * rate_hz


def test_both_sides_see_the_same_text_and_state(rings: Rings) -> None:
    rings.text = "Γειά"
    rings.words[Word.STATE] = State.RUNNING
    assert rings.text == "Γειά"
    assert rings.words[Word.STATE] == State.RUNNING


def test_an_exact_device_name_beats_a_part_of_one() -> None:
    devices = [Device(0, "Desk 2", "A", 8, 8, 48e3), Device(1, "Desk", "A", 8, 8, 48e3)]
    assert choose(devices, ["A"], "Desk", "", outputs=8, inputs=8)[0].index == 1
    assert choose(devices, ["A"], "desk 2", "", outputs=8, inputs=8)[0].index == 0
    with pytest.raises(AudioDeviceNotFoundError, match="more than one"):
        choose(devices, ["A"], "des", "", outputs=8, inputs=8)


def test_input_and_output_halves_of_one_host_api_are_paired() -> None:
    devices = [
        Device(0, "Box", "A", 8, 0, 48e3),
        Device(1, "Box", "A", 0, 2, 48e3),
        Device(2, "Box", "B", 8, 0, 48e3),
        Device(3, "Box", "B", 0, 8, 48e3),
    ]
    source, target = choose(devices, ["A", "B"], "Box", "", outputs=8, inputs=8)
    assert (source.index, target.index) == (2, 3)


def test_a_process_that_stands_still_is_an_error_unless_the_whole_machine_slept(
    fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_cable() as stream:
        os.kill(stream.pid, signal.SIGSTOP)
        try:
            child, now_ns = stream._child, time.monotonic_ns()
            found = []
            for elapsed_s in (0.0, 20.0, 20.5, 21.0, 21.5, 22.0, 22.5, 22.9, 23.5):
                monkeypatch.setattr(time, "monotonic_ns", lambda s=elapsed_s: now_ns + round(s * 1e9))
                found.append(child.failure())
            monkeypatch.undo()
        finally:
            os.kill(stream.pid, signal.SIGCONT)
    assert found[:-1] == [None] * 8
    assert "has not moved for 4 s" in str(found[-1])
