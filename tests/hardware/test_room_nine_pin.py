"""The virtual tape machine speaks 9-pin; frames from the protocol's descriptions, sums worked out by hand."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_nine_pin import NinePinDecoder

ACK = bytes.fromhex("10 01 11")
UNDEFINED = bytes.fromhex("11 12 01 24")
CHECKSUM = bytes.fromhex("11 12 04 27")
TIMEOUT = bytes.fromhex("11 12 80 A3")


def say(machine: NinePinDecoder, text: str, at_s: float | None = None) -> list[bytes]:
    return machine.receive(bytes.fromhex(text), at_s)


def clock(machine: NinePinDecoder, at_s: float) -> str:
    """Ask for the tape's time; returns its four bytes: frames, seconds, minutes, hours."""
    (answer,) = say(machine, "61 0C 01 6E", at_s)
    assert answer[:2] == b"\x74\x04"
    assert sum(answer[:-1]) & 0xFF == answer[-1]
    return answer[2:6].hex(" ")


def status(machine: NinePinDecoder, at_s: float | None = None) -> bytes:
    (answer,) = say(machine, "61 20 0A 8B", at_s)  # ten bytes from 0
    assert answer[:2] == b"\x7a\x20"
    assert len(answer) == 13
    return answer[2:12]


@pytest.mark.parametrize(
    ("frame", "mode", "byte_1"),
    [
        ("20 01 21", "play", 0x01), ("20 02 22", "record", 0x03), ("20 10 30", "ff", 0x04),
        ("20 20 40", "rewind", 0x08), ("20 00 20", "stop", 0x20),
    ],
)  # fmt: skip
def test_transport_commands_are_acknowledged_and_shown_in_the_status(frame, mode, byte_1):
    machine = NinePinDecoder()
    assert say(machine, frame) == [ACK]
    assert machine.knobs()["transport"] == mode
    assert status(machine)[1] & 0x3F == byte_1


def test_a_wrong_sum_is_refused_with_bit_2_and_does_nothing():
    machine = NinePinDecoder()
    assert say(machine, "20 01 22") == [CHECKSUM]
    assert machine.knobs()["transport"] == "stop"


@pytest.mark.parametrize(
    "frame", ["20 0F 2F", "21 01 01 23", "20 31 51", "60 0C 6C", "40 41 81", "80 01 81", "61 0C 55 C2"]
)
def test_an_unknown_command_is_refused_with_bit_0(frame):
    assert say(NinePinDecoder(), frame) == [UNDEFINED]


def test_a_machine_without_record_refuses_record_only():
    machine = NinePinDecoder(refusing=["record"])
    assert say(machine, "20 02 22 20 01 21") == [UNDEFINED, ACK]
    assert machine.knobs()["transport"] == "play"


def test_playing_lets_time_run():
    machine = NinePinDecoder()
    assert clock(machine, 100.0) == "00 00 00 00"
    say(machine, "20 01 21", 100.0)
    assert clock(machine, 100.0 + 3723.48) == "12 03 02 01"  # 1 h 2 min 3 s and 12 of 25 frames
    say(machine, "20 00 20", 100.0 + 3723.48)
    assert clock(machine, 9000.0) == "12 03 02 01"


def test_without_a_clock_the_tape_stands_still():
    machine = NinePinDecoder()
    say(machine, "20 01 21")
    say(machine, "61 0C 01 6E")
    assert machine.knobs()["position"] == 0.0


def test_the_frame_rate_is_the_machines():
    machine = NinePinDecoder(frames_per_s=30)
    say(machine, "20 01 21", 0.0)
    assert clock(machine, 59.0 + 29 / 30) == "29 59 00 00"


def test_winding_goes_50_times_as_fast_and_stops_at_the_beginning():
    machine = NinePinDecoder()
    say(machine, "20 10 30", 0.0)
    assert clock(machine, 2.0) == "00 40 01 00"  # 100 s
    say(machine, "20 20 40", 2.0)
    assert clock(machine, 3.0) == "00 50 00 00"
    assert clock(machine, 60.0) == "00 00 00 00"
    assert machine.knobs()["transport"] == "stop"


def test_cue_up_winds_to_its_time_stops_there_and_says_so():
    machine = NinePinDecoder()
    assert say(machine, "24 31 10 20 01 00 86", 0.0) == [ACK]  # 1 min 20 s 10 frames; 80.4 s take 1.608 s
    assert machine.knobs()["transport"] == "ff"
    assert status(machine, 1.6)[2] & 0x01 == 0
    assert status(machine, 1.61)[2] & 0x01 == 1
    assert clock(machine, 5.0) == "10 20 01 00"
    assert say(machine, "24 31 00 10 00 00 65", 5.0) == [ACK]
    assert machine.knobs()["transport"] == "rewind"
    assert clock(machine, 10.0) == "00 10 00 00"
    say(machine, "20 01 21", 10.0)
    assert status(machine, 10.0)[2] & 0x01 == 0


@pytest.mark.parametrize(
    "frame", ["24 31 25 00 00 00 7A", "24 31 00 60 00 00 B5", "24 31 0A 00 00 00 5F", "24 31 00 00 00 24 79"]
)
def test_a_time_that_does_not_exist_is_refused(frame):
    machine = NinePinDecoder()
    assert say(machine, frame) == [UNDEFINED]
    assert machine.knobs()["transport"] == "stop"


def test_shuttle_speed_is_ten_to_the_n_over_32_less_2():
    machine = NinePinDecoder()
    assert say(machine, "21 13 60 94", 0.0) == [ACK]  # 96 / 32 − 2: ten times
    assert status(machine, 0.0)[2] == 0x20
    assert clock(machine, 3.0) == "00 30 00 00"
    assert say(machine, "21 23 40 84", 3.0) == [ACK]  # 64: play speed, backwards
    assert status(machine, 3.0)[2] == 0x24
    assert clock(machine, 13.0) == "00 20 00 00"


def test_device_type_current_time_sources_and_local_switches():
    machine = NinePinDecoder()
    (answer,) = say(machine, "00 11 11")
    assert answer[:2] == b"\x12\x11"
    assert len(answer) == 5
    assert say(machine, "00 0C 0C 00 1D 1D") == [ACK, ACK]
    assert say(machine, "61 0C 03 70") == [bytes.fromhex("74 04 00 00 00 00 78")]
    assert say(machine, "61 0C 04 71") == [bytes.fromhex("74 00 00 00 00 00 74")]
    assert say(machine, "61 0C 02 6F") == [bytes.fromhex("70 0D 7D")]  # there is no VITC


def test_status_sense_sends_the_bytes_that_were_asked_for():
    machine = NinePinDecoder()
    say(machine, "20 01 21 20 04 24")  # play, standby off
    assert say(machine, "61 20 12 93") == [bytes.fromhex("72 20 01 00 93")]  # two from byte 1


def test_without_a_tape_nothing_runs():
    machine = NinePinDecoder()
    machine.turn("tape", False)
    assert say(machine, "20 01 21", 0.0) == [ACK]
    assert status(machine, 1.0)[0] == 0x20
    assert clock(machine, 2.0) == "00 00 00 00"


def test_a_pause_inside_a_frame_is_refused_with_bit_7_and_the_next_frame_is_heard():
    machine = NinePinDecoder()
    assert say(machine, "20 01", 1.0) == []
    assert say(machine, "20 02 22", 1.02) == [TIMEOUT, ACK]
    assert machine.knobs()["transport"] == "record"
    assert say(machine, "20 00", 2.0) == []
    assert say(machine, "20", 2.009) == [ACK]


def test_hands_press_keys_and_the_machine_keeps_quiet():
    machine, other = NinePinDecoder(), NinePinDecoder()
    assert machine.turn("position", 12.5) == []
    assert machine.turn("transport", "play") == []
    for name, value in machine.knobs().items():
        other.turn(name, value)
    assert other.knobs() == machine.knobs()
    for name, value in (("transport", "eject"), ("position", -1.0), ("reel", 1)):
        with pytest.raises(HardwareError):
            machine.turn(name, value)


@st.composite
def frames(draw):
    data = draw(st.binary(max_size=15))
    body = bytes([draw(st.sampled_from([0x00, 0x20, 0x40, 0x60])) | len(data), draw(st.integers(0, 0x40))]) + data
    return body + bytes([sum(body) & 0xFF])


@given(st.lists(frames(), max_size=10), st.integers(1, 5))
def test_every_frame_in_any_pieces_gets_exactly_one_answer(sent, size):
    data = b"".join(sent)
    machine = NinePinDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in machine.receive(data[start : start + size])]
    assert len(answers) == len(sent) == machine.heard
    assert all(sum(answer[:-1]) & 0xFF == answer[-1] for answer in answers)


@given(st.lists(st.tuples(st.binary(max_size=30), st.floats(0.0, 1e6)), max_size=20))
def test_any_bytes_at_any_time_are_survived(pieces):
    machine = NinePinDecoder()
    for data, at_s in pieces:
        machine.receive(data, at_s)
    assert 0.0 <= machine.knobs()["position"] < 86_400.0
    assert len(pickle.dumps(machine)) < 2000
