"""The served room's MIDI ports, pseudo-terminal and command lines, over real JACK MIDI and pyserial."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hardware.errors import DisconnectedError, PortBusyError, PortNotFoundError, TransportError
from hardware.ports.midi import MidiPort, list_midi_ports, open_midi
from hardware.ports.serial import open_serial
from hardware.seams import BytePort, SystemClock

pytestmark = pytest.mark.real

CC = bytes([0xB0, 7, 100])
SYSEX = bytes([0xF0, 0x7D, *[number % 128 for number in range(299)], 0xF7])


def collect(port: BytePort, enough: Callable[[bytes], bool]) -> bytes:
    """What arrives until it is enough, for at most ten seconds."""
    clock, data = SystemClock(), b""
    deadline = clock.monotonic() + 10.0
    while not enough(data) and clock.monotonic() < deadline:
        data += b"".join(token.data for token in port.receive(0.5))
    return data


def test_the_ready_line_names_every_port(room) -> None:
    assert room.ready["ready"] is True
    assert room.ready["audio"]["device"] == "HalfnormalRoom"
    assert room.ready["midi"] == [
        {"device": "desk", "port": "HalfnormalRoom desk"},
        {"device": "comp", "port": "HalfnormalRoom comp"},
    ]
    assert Path(room.ready["serial"]["matrix"]).is_symlink()


def test_ports_are_found_by_the_clients_name(room) -> None:
    names = {(port.name, port.direction) for port in list_midi_ports()}
    for device in ("desk", "comp"):
        assert (f"HalfnormalRoom {device}:in", "out") in names
        assert (f"HalfnormalRoom {device} reply:out", "in") in names
    with pytest.raises(PortNotFoundError, match="HalfnormalRoom desk:in"):
        open_midi("Neve")


def test_a_control_change_and_a_302_byte_sysex_arrive_whole_and_in_order(room) -> None:
    assert len(SYSEX) == 302
    port = open_midi("HalfnormalRoom desk")
    try:
        for message in (CC, SYSEX, CC):
            port.send(message)
        # The plain room echoes message by message.
        arrived: list[bytes] = []
        for _ in range(100):
            arrived += [token.data for token in port.receive(0.1)]
            if len(arrived) >= 3:
                break
        assert arrived == [CC, SYSEX, CC]
    finally:
        port.close()


def test_a_room_that_quits_is_a_vanished_port(jack, serve_room) -> None:
    served = serve_room(name="ShortRoom")
    port = open_midi("ShortRoom comp")
    line = open_serial(served.serial_folder / "matrix")
    try:
        port.send(CC)
        assert served.close() == 0
        assert not os.path.lexists(served.serial_folder / "matrix")
        with pytest.raises(DisconnectedError):
            _send_until_it_fails(port)
        with pytest.raises(DisconnectedError):
            line.receive(5.0)
    finally:
        port.close()
        line.close()


def test_a_serial_device_that_is_unplugged_is_a_vanished_port_and_the_rest_stays(jack, serve_room) -> None:
    served = serve_room(name="LooseRoom")
    desk, line = open_midi("LooseRoom desk"), open_serial(served.serial_folder / "matrix")
    try:
        line.send(bytes([0xB0, 127, 127]))  # the plain room's goodbye
        with pytest.raises(DisconnectedError, match="vanished"):
            line.receive(10.0)
        desk.send(CC)
        assert collect(desk, bool) == CC
        assert served.ask("tally")
    finally:
        desk.close()
        line.close()


def test_a_server_that_ends_is_a_vanished_port(own_jack, serve_room) -> None:
    served = serve_room()
    port = open_midi("HalfnormalRoom desk")
    try:
        port.send(CC)
        own_jack.stop()
        served.process.wait(20)
        with pytest.raises(DisconnectedError):
            _send_until_it_fails(port)
    finally:
        port.close()


def _send_until_it_fails(port: MidiPort) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 5.0
    while clock.monotonic() < deadline:
        port.send(CC)
        port.receive(0.05)


def test_without_jack_the_message_says_what_to_start(no_jack: None) -> None:
    with pytest.raises(TransportError, match="No MIDI system runs here") as caught:
        open_midi("desk")
    assert "jackd" in caught.value.hint


def test_serial_replies_come_back_over_the_pseudo_terminal(room) -> None:
    port = open_serial(room.serial_folder / "matrix", terminator=b"\r\n")
    try:
        port.send(b"Out1 In2 Aud\r\n")
        assert collect(port, lambda data: data.endswith(b"\r\n")) == b"Out1 In2 Aud\r\n"
        every_byte = bytes(range(256))
        port.send(every_byte)
        assert collect(port, lambda data: len(data) >= 256) == every_byte
    finally:
        port.close()
        port.close()
    with pytest.raises(DisconnectedError, match="closed"):
        port.receive(0.0)


def test_a_serial_port_is_ours_alone(room) -> None:
    port = open_serial(room.serial_folder / "matrix")
    try:
        with pytest.raises(PortBusyError, match="in use"):
            open_serial(room.serial_folder / "matrix")
    finally:
        port.close()


def test_a_silent_device_times_out_with_nothing(room) -> None:
    port = open_serial(room.serial_folder / "matrix", terminator=b"\r\n")
    try:
        assert port.receive(0.05) == []
    finally:
        port.close()


def test_a_knob_turned_by_hand_is_told_over_midi(room) -> None:
    port = open_midi("HalfnormalRoom desk")
    try:
        assert room.ask("turn desk/ch07/hpf_freq 80") == {"ok": True, "turned": "desk/ch07/hpf_freq"}
        assert collect(port, bool) == bytes([0xB0, 1, 80])
        assert room.ask("knobs") == {"knobs": {"desk/ch07/hpf_freq": 80.0}}
    finally:
        port.close()


def test_commands_are_answered_line_by_line(room) -> None:
    assert room.ask("tally") == {"tally": {"noise_dbfs": [None, None]}}
    assert room.ask("turn desk/nothing 1")["ok"] is False
    assert "tally" in room.ask("dance")["error"]


def test_quit_and_sigterm_end_a_room_cleanly(jack, serve_room) -> None:
    room = serve_room(name="QuitRoom")
    assert room.ask("quit") == {"ok": True}
    assert room.process.wait(20) == 0
    room = serve_room(name="TermRoom")
    room.process.send_signal(signal.SIGTERM)
    assert room.process.wait(20) == 0
    assert not os.path.lexists(room.serial_folder / "matrix")


def test_a_room_without_jack_says_what_to_start(no_jack: None, serve_room) -> None:
    with pytest.raises(AssertionError, match=r"AudioUnavailableError: .*MIDI ports did not open"):
        serve_room()
