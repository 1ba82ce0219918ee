"""The virtual 01V96 obeys parameter changes; every byte below was worked out by hand from the parameter list."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_sysex_desk import SysexDeskDecoder


def change(ee: int, pp: int, channel: int, data: str, *, n: int = 0) -> bytes:
    return bytes([0xF0, 0x43, 0x10 | n, 0x3E, 0x7F, 0x01, ee, pp, channel]) + bytes.fromhex(data) + b"\xf7"


def request(ee: int, pp: int, channel: int, *, n: int = 0) -> bytes:
    return bytes([0xF0, 0x43, 0x30 | n, 0x3E, 0x7F, 0x01, ee, pp, channel, 0xF7])


@pytest.mark.parametrize(
    ("data", "level_db"),
    [
        ("00 00 00 00", -math.inf), ("00 00 00 01", -138.0), ("00 00 00 0F", -96.0), ("00 00 00 21", -78.0),
        ("00 00 01 5F", -40.0),  # 223 = 1 * 128 + 95
        ("00 00 03 28", -19.95),  # 424 = 3 * 128 + 40
        ("00 00 07 7F", 10.0),  # 1023 = 7 * 128 + 127
    ],
)  # fmt: skip
def test_input_fader_meets_the_points_of_its_law(data, level_db):
    desk = SysexDeskDecoder()
    assert desk.receive(change(0x1C, 0, 6, data)) == []
    assert desk.knobs()["ch07/fader"] == level_db


def test_input_fader_823_is_0_db_within_the_laws_error():
    desk = SysexDeskDecoder()
    desk.receive(change(0x1C, 0, 0, "00 00 06 37"))  # 6 * 128 + 55 = 823
    assert desk.knobs()["ch01/fader"] == pytest.approx(0.0, abs=0.06)


@pytest.mark.parametrize(
    ("data", "level_db"),
    [("00 00 07 7F", 0.0), ("00 00 01 5F", -50.0), ("00 00 00 03", -134.0), ("00 00 00 53", -78.0)],
)
def test_stereo_fader_has_the_output_law(data, level_db):
    desk = SysexDeskDecoder()
    desk.receive(change(0x4F, 0, 0, data))
    assert desk.knobs()["master/fader"] == level_db


def test_minus_180_is_28_bits_of_twos_complement():
    desk = SysexDeskDecoder()
    desk.receive(change(0x20, 0x03, 2, "7F 7F 7E 4C"))
    assert desk.knobs()["ch03/eq/lf_gain"] == -18.0


@pytest.mark.parametrize(
    ("ee", "pp", "data", "name", "value"),
    [
        (0x1A, 0x00, "00 00 00 00", "mute", True),
        (0x1A, 0x00, "00 00 00 01", "mute", False),
        (0x1B, 0x00, "7F 7F 7F 41", "pan", -100.0),  # −63
        (0x1B, 0x00, "00 00 00 3F", "pan", 100.0),
        (0x17, 0x00, "00 00 00 01", "polarity", True),
        (0x19, 0x00, "00 00 00 01", "insert", True),
        (0x1D, 0x00, "7F 7F 78 40", "trim", -96.0),  # −960 = −8 * 128 + 64
        (0x1D, 0x00, "00 00 00 78", "trim", 12.0),
        (0x20, 0x0F, "00 00 00 00", "eq/in", False),
        (0x20, 0x02, "00 00 00 10", "eq/lf_freq", 40.0),  # code 4 + 12: an octave above 20 Hz
        (0x20, 0x06, "00 00 00 34", "eq/lmf_freq", 320.0),
        (0x20, 0x09, "00 00 00 64", "eq/hmf_freq", 5120.0),
        (0x20, 0x0C, "00 00 00 70", "eq/hf_freq", 10240.0),
        (0x20, 0x07, "00 00 01 34", "eq/lmf_gain", 18.0),
        (0x20, 0x0A, "7F 7F 7F 76", "eq/hmf_gain", -1.0),
        (0x20, 0x0D, "00 00 00 0F", "eq/hf_gain", 1.5),
        (0x20, 0x05, "00 00 00 00", "eq/lmf_q", 10.0),
        (0x20, 0x08, "00 00 00 28", "eq/hmf_q", 0.1),
        (0x20, 0x01, "00 00 00 2C", "eq/lf_q", 44),
        (0x20, 0x0B, "00 00 00 2B", "eq/hf_q", 43),
    ],
)
def test_each_parameter_has_its_number_and_its_scale(ee, pp, data, name, value):
    desk = SysexDeskDecoder()
    desk.receive(change(ee, pp, 31, data))
    assert desk.knobs()[f"ch32/{name}"] == pytest.approx(value)
    assert desk.receive(request(ee, pp, 31)) == [change(ee, pp, 31, data)]


def test_stereo_on_off_mutes_the_master():
    desk = SysexDeskDecoder()
    desk.receive(change(0x4D, 0, 0, "00 00 00 00"))
    assert desk.knobs()["master/mute"] is True


def test_the_device_number_must_fit():
    desk = SysexDeskDecoder(midi_channel=3)
    assert desk.receive(request(0x1C, 0, 0)) == []
    assert desk.receive(request(0x1C, 0, 0, n=2)) == [change(0x1C, 0, 0, "00 00 00 00", n=2)]


@pytest.mark.parametrize(
    "message",
    [
        change(0x1C, 0, 0, "00 00 08 00"),  # 1024
        change(0x1C, 0, 0, "7F 7F 7F 7F"),  # −1
        change(0x1C, 0, 0x20, "00 00 00 05"),  # a stereo input
        change(0x23, 2, 0, "00 00 00 05"),  # an aux send
        change(0x1C, 0, 0, "00 00 05"),
        b"\xf0\x43\x10\x3e\x0d\x01\x1c\x00\x00\x00\x00\x00\x05\xf7",
        b"\xb0\x07\x40",
    ],
)
def test_what_it_does_not_know_moves_nothing(message):
    desk = SysexDeskDecoder()
    before = desk.knobs()
    assert desk.receive(message) == []
    assert desk.knobs() == before


def test_requests_that_come_while_it_answers_another_are_lost():
    desk = SysexDeskDecoder()
    answered = [len(desk.receive(request(0x1C, 0, 0), at_s)) for at_s in (1.0, 1.014, 1.015, 1.029, 1.030)]
    assert answered == [1, 0, 1, 0, 1]
    assert desk.lost == 2
    both = request(0x1C, 0, 0) + request(0x1C, 0, 1)
    assert desk.receive(both, 2.0) == [change(0x1C, 0, 0, "00 00 00 00")]


def test_changes_are_never_lost_and_without_a_clock_no_request_is():
    desk = SysexDeskDecoder()
    desk.receive(change(0x1A, 0, 0, "00 00 00 00") + change(0x1A, 0, 1, "00 00 00 00"), 1.0)
    assert [desk.knobs()[name] for name in ("ch01/mute", "ch02/mute")] == [True, True]
    assert len(desk.receive(request(0x1C, 0, 0) * 5)) == 5


def test_a_hand_on_the_console_is_sent_as_a_parameter_change():
    desk = SysexDeskDecoder()
    assert desk.turn("ch02/fader", 10.0) == [change(0x1C, 0, 1, "00 00 07 7F")]
    assert desk.turn("ch02/fader", "off") == [change(0x1C, 0, 1, "00 00 00 00")]
    assert desk.turn("ch03/eq/lf_gain", -18.0) == [change(0x20, 3, 2, "7F 7F 7E 4C")]
    assert desk.turn("ch01/pan", -100) == [change(0x1B, 0, 0, "7F 7F 7F 41")]
    assert desk.turn("ch12/mute", True) == [change(0x1A, 0, 11, "00 00 00 00")]
    assert desk.turn("master/fader", -50.0) == [change(0x4F, 0, 0, "00 00 01 5F")]
    assert desk.knobs()["master/fader"] == -50.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("ch33/fader", 0.0), ("ch01/fader", 11.0), ("ch01/eq/lf_freq", 10.0), ("master/pan", 0), ("", 1)],
)
def test_a_hand_cannot_go_where_there_is_nothing(name, value):
    with pytest.raises(HardwareError):
        SysexDeskDecoder().turn(name, value)


def test_every_knob_can_be_put_back_by_hand():
    desk, other = SysexDeskDecoder(), SysexDeskDecoder()
    desk.receive(
        change(0x1C, 0, 4, "00 00 05 11") + change(0x20, 6, 9, "00 00 00 57") + change(0x20, 5, 9, "00 00 00 11")
    )
    for name, value in desk.knobs().items():
        other.turn(name, value)
    assert other.knobs() == desk.knobs()


MESSAGES = st.one_of(
    st.binary(max_size=24),
    st.builds(
        lambda kind, where, data, cut: (bytes([0xF0, 0x43, kind, 0x3E, 0x7F, 0x01, *where, *data, 0xF7]))[:cut],
        st.sampled_from([0x10, 0x30]),
        st.tuples(st.integers(0x17, 0x20), st.integers(0, 15), st.integers(0, 127)),
        st.lists(st.integers(0, 127), max_size=5),
        st.integers(1, 20),
    ),
)


@given(st.lists(MESSAGES, max_size=12), st.integers(1, 7))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(messages, size):
    data = b"".join(messages)
    whole, pieces = SysexDeskDecoder(), SysexDeskDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert whole.knobs() == pieces.knobs()
    assert whole.heard == pieces.heard


def test_a_message_without_an_end_does_not_fill_the_memory():
    desk = SysexDeskDecoder()
    size = len(pickle.dumps(desk))
    desk.receive(b"\xf0" + bytes(200_000))
    assert len(pickle.dumps(desk)) < size + 1000
    desk.receive(b"\xf7" + change(0x1C, 0, 0, "00 00 07 7F"))
    assert desk.knobs()["ch01/fader"] == 10.0
