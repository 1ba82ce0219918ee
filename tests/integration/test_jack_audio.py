"""The audio process on a real JACK server, through a room served by another process.

Two shared cores see xruns: what must hold is that every frame outside a reported one is exact and in its place.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from hardware.errors import (
    AudioDeviceNotFoundError,
    AudioError,
    AudioUnavailableError,
    ChannelCountError,
    SampleRateError,
)
from hardware.ports.audio import AudioDeviceInfo, ProcessStream, list_audio_devices, open_audio
from hardware.seams import RunReport

pytestmark = pytest.mark.real

JACK = "JACK Audio Connection Kit"
PERIOD = 256
ROOM_DELAY = 37  # what plain_room.py adds
SCALE = 2.0**-10
LEFT = np.arange(1, 25) * SCALE
FRAMES = 2 * 48_000


class Dice:
    """Values that differ from frame to frame and channel to channel, exact in float32 after the room's sum."""

    def __init__(self, frames: int) -> None:
        self.audio = (np.random.default_rng(7).integers(-128, 128, (frames, 24)) / 128).astype(np.float32)
        self._position = 0

    def read(self, frames: int) -> np.ndarray:
        block = self.audio[self._position : self._position + frames]
        self._position += len(block)
        return block

    def through_room(self) -> np.ndarray:
        return np.stack([self.audio @ LEFT, self.audio.sum(axis=1) * SCALE], axis=1)


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
        return np.concatenate(self.blocks)


def open_room(name: str = "HalfnormalRoom", *, rate_hz: int = 48_000, outputs: int = 24) -> ProcessStream:
    return open_audio(name, host_api=JACK, rate_hz=rate_hz, block_frames=PERIOD, outputs=outputs, inputs=2)


def latency_of(played: np.ndarray, recorded: np.ndarray, report: RunReport) -> int:
    """Frames from output to input: the room's delay and whole periods, by agreement where no xrun is near."""
    clean = ~near_xruns(report, len(recorded))
    for latency in range(ROOM_DELAY, ROOM_DELAY + 9 * PERIOD, PERIOD):
        same = np.abs(recorded[latency:] - played[: len(recorded) - latency]).max(axis=1) < 1e-5
        if same[clean[latency:]].mean() > 0.9:
            return latency
    raise AssertionError("what was played never came back")


def near_xruns(report: RunReport, frames: int) -> np.ndarray:
    near = np.zeros(frames, bool)
    for xrun in report.xruns:
        near[max(0, xrun.at_frame - 4 * PERIOD) : xrun.at_frame + xrun.frames + 6 * PERIOD] = True
    return near


def test_what_goes_out_comes_back_exact_and_in_place(room) -> None:
    with open_room() as stream:
        latencies = []
        for _ in range(2):
            source, sink = Dice(FRAMES), Keep()
            report = stream.run(source, sink, FRAMES)
            assert report.frames == sink.frames == FRAMES
            played, recorded = source.through_room(), sink.audio
            latency = latency_of(played, recorded, report)
            wrong = np.abs(recorded[latency:] - played[: FRAMES - latency]).max(axis=1) >= 1e-5
            assert not (wrong & ~near_xruns(report, FRAMES)[latency:]).any()
            latencies.append(latency)
    assert latencies[0] == latencies[1] or report.xruns


def test_the_room_is_a_device_and_so_is_the_machine(room) -> None:
    devices = list_audio_devices()
    assert AudioDeviceInfo("HalfnormalRoom", JACK, 2, 24, 48000.0) in devices
    assert AudioDeviceInfo("system", JACK, 32, 32, 48000.0) in devices


def test_an_interrupt_silences_the_output_and_leaves_the_stream_usable(room) -> None:
    def stop(frames: int) -> None:
        if frames > 4800:
            raise KeyboardInterrupt

    with open_room() as stream:
        with pytest.raises(KeyboardInterrupt):
            stream.run(Dice(FRAMES), Keep(stop), FRAMES)
        quiet = Keep()
        # Nothing is played: after what was still on its way the room hears nothing.
        report = stream.run(Dice(0), quiet, 48_000)
        tail = quiet.audio[16 * PERIOD :]
        assert not tail[~near_xruns(report, 48_000)[16 * PERIOD :]].any()


def test_a_killed_audio_process_is_an_error_and_what_was_recorded_is_kept(room) -> None:
    with open_room() as stream:

        def kill(frames: int) -> None:
            if frames > 9600:
                os.kill(stream.pid, signal.SIGKILL)

        sink = Keep(kill)
        with pytest.raises(AudioError, match="signal 9"):
            stream.run(Dice(FRAMES), sink, FRAMES)
    assert 9600 < sink.frames < FRAMES


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "NoSuchDesk"}, AudioDeviceNotFoundError, '"HalfnormalRoom"'),
        ({"rate_hz": 96_000}, SampleRateError, "96000 Hz .it stands at 48000 Hz"),
        ({"outputs": 32}, ChannelCountError, "has 24 outputs and 2 inputs"),
    ],
)
def test_what_the_room_cannot_do_is_said(room, options: dict, error: type[AudioError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        open_room(**options)
    assert caught.value.hint


def test_without_jack_the_message_says_what_to_start(no_jack: None) -> None:
    with pytest.raises(AudioUnavailableError, match="JACK is not running") as caught:
        open_room()
    assert "jackd" in caught.value.hint


def test_a_server_that_ends_in_mid_run_is_an_error_and_what_was_recorded_is_kept(own_jack, serve_room) -> None:
    served = serve_room()

    def pull(frames: int) -> None:
        if frames > 9600:
            own_jack.stop()

    sink = Keep(pull)
    with open_room() as stream, pytest.raises(AudioError):
        stream.run(Dice(10 * 48_000), sink, 10 * 48_000)
    assert sink.frames > 9600
    assert served.process.wait(20) != 0  # the room says so too
