"""The room inside the program: ports that take the wire's time, a stream of constant latency, knobs kept at close."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.errors import (
    AudioError,
    ChannelCountError,
    DisconnectedError,
    PortBusyError,
    PortNotFoundError,
    SampleRateError,
)
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import Fault, RoomModel

IDEAL = RoomModel.ideal(latency_samples=100.0)
QUERY = bytes.fromhex("F07D484E101100F7")


class ArraySource:
    def __init__(self, audio: np.ndarray) -> None:
        self.audio, self.at = audio, 0

    def read(self, frames: int) -> np.ndarray:
        part = self.audio[self.at : self.at + frames]
        self.at += len(part)
        return part


class ListSink:
    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def write(self, block: np.ndarray) -> None:
        assert block.flags.c_contiguous
        assert block.dtype == np.float32
        self.blocks.append(block.copy())

    @property
    def audio(self) -> np.ndarray:
        return np.concatenate(self.blocks)


class FailingSink:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def write(self, block: np.ndarray) -> None:
        raise self.error


def test_a_midi_answer_takes_the_wires_time():
    room = InProcessRoom(IDEAL)
    port = room.open_port("desk")
    port.send(QUERY)
    tokens = port.receive(1.0)
    tokens += port.receive(1.0) + port.receive(1.0) + port.receive(1.0)
    assert [token.data.hex() for token in tokens] == ["b06311", "b06200", "b00660", "b02600"]
    # 8 bytes out, 1 ms to think, then 3 bytes for each message, at 3125 bytes/s (31 250 baud, ten bits a byte)
    assert [token.at_s for token in tokens] == pytest.approx([8 / 3125 + 1e-3 + 3 * n / 3125 for n in (1, 2, 3, 4)])
    assert room.clock.monotonic() == pytest.approx(tokens[-1].at_s)


def test_waiting_for_nothing_lets_the_timeout_pass():
    room = InProcessRoom(IDEAL)
    assert room.open_port("comp").receive(0.25) == []
    assert room.clock.monotonic() == 0.25


def test_a_serial_reply_arrives_in_pieces():
    room = InProcessRoom(IDEAL)
    port = room.open_port("matrix")
    port.send(b"1*3$")
    pieces = []
    while tokens := port.receive(0.5):
        pieces += [token.data for token in tokens]
    assert b"".join(pieces) == b"Out03 In01 Aud\r\n"
    assert len(pieces) > 1


def test_a_hand_on_the_desk_is_heard_on_its_port():
    room = InProcessRoom(IDEAL)
    port = room.open_port("desk")
    room.turn("desk/ch01/mute", True)
    assert [token.data.hex() for token in port.receive(1.0)] == ["90007f"]
    room.turn("matrix/out01/tie", 1)
    assert room.room.knobs()["matrix/out01/tie"] == 1


def test_ports_are_found_once_and_closed():
    room = InProcessRoom(IDEAL)
    with pytest.raises(PortNotFoundError, match="room:desk, room:comp, room:matrix"):
        room.open_port("piano")
    port = room.open_port("desk")
    with pytest.raises(PortBusyError):
        room.open_port("desk")
    port.close()
    port.close()
    with pytest.raises(DisconnectedError):
        port.send(QUERY)
    assert room.open_port("desk").name == "room:desk"


def test_a_vanished_device_disconnects_its_port_after_what_it_had_sent_was_read():
    room = InProcessRoom(RoomModel.ideal(faults=(Fault("vanish", device="desk", after_messages=1),)))
    port = room.open_port("desk")
    port.send(QUERY)
    with pytest.raises(DisconnectedError, match="vanished"):
        port.send(QUERY)
    for _ in range(4):
        assert len(port.receive(1.0)) == 1
    with pytest.raises(DisconnectedError):
        port.receive(1.0)


def test_every_run_has_the_models_latency_and_nothing_of_the_run_before():
    room = InProcessRoom(IDEAL)
    room.turn("desk/ch01/fader", 0.0)
    room.turn("desk/ch01/pan", -100.0)
    stream = room.open_stream(48_000, 256, 2, 2)
    song = np.zeros((9000, 2), dtype=np.float32)
    song[:, 0] = np.random.default_rng(1).uniform(-0.5, 0.5, 9000)
    for _ in range(2):
        sink = ListSink()
        report = stream.run(ArraySource(song), sink, 10_000)
        assert (report.frames, report.xruns) == (10_000, ())
        assert sink.audio.shape == (10_000, 2)
        assert not sink.audio[:100].any()
        assert np.array_equal(sink.audio[100:9100, 0], song[:, 0])
        assert not sink.audio[9100:].any()


def test_a_run_says_how_far_it_is_and_takes_its_time_on_the_virtual_clock():
    room = InProcessRoom(IDEAL)
    said: list[int] = []
    with room.open_stream(48_000, 256, 24, 1) as stream:
        stream.run(ArraySource(np.zeros((0, 24), np.float32)), ListSink(), 120_000, progress=said.append)
    assert said[-1] == 120_000
    assert said == sorted(said)
    assert room.clock.monotonic() == pytest.approx(2.5)
    with pytest.raises(AudioError, match="closed"):
        stream.run(ArraySource(np.zeros((0, 24), np.float32)), ListSink(), 1)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_what_the_sink_raises_ends_the_run(error):
    stream = InProcessRoom(IDEAL).open_stream(48_000, 256, 24, 2)
    with pytest.raises(type(error)):
        stream.run(ArraySource(np.zeros((0, 24), np.float32)), FailingSink(error), 1000)


def test_a_stream_the_room_does_not_have_is_refused():
    room = InProcessRoom(IDEAL)
    with pytest.raises(SampleRateError, match="48000"):
        room.open_stream(44_100, 256, 24, 2)
    with pytest.raises(ChannelCountError, match="24 outputs and 2 inputs"):
        room.open_stream(48_000, 256, 32, 2)
    with pytest.raises(AudioError, match="shape"):
        room.open_stream(48_000, 256, 24, 2).run(ArraySource(np.zeros((10, 3), np.float32)), ListSink(), 10)


def test_the_desk_keeps_its_knobs_over_night(tmp_path):
    state = tmp_path / "room.json"
    with InProcessRoom(IDEAL, state_path=state) as room:
        room.turn("desk/ch03/trim", 4.5)
    with InProcessRoom(IDEAL, state_path=state) as room:
        assert room.room.knobs()["desk/ch03/trim"] == 4.5
    assert [path.name for path in tmp_path.iterdir()] == ["room.json"]
