"""The virtual desk of 48 channels obeys the bytes of its manual; every byte below was worked out by hand from it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_desk48 import Desk48Decoder, fader_db


def sent(text: str) -> bytes:
    return bytes.fromhex(text.replace("`", " "))


def nrpn(hh: int, ll: int, msb: int, lsb: int) -> bytes:
    return bytes([0xB0, 0x63, hh, 0xB0, 0x62, ll, 0xB0, 0x06, msb, 0xB0, 0x26, lsb])


EXAMPLES = [  # sections 4 and 5, in their order
    ("B0 63 20 B0 62 00 B0 06 64 B0 26 00", "ch01/fader", 0.0),
    ("B0 63 20 B0 62 2F B0 06 57 B0 26 40", "ch48/fader", -5.0),
    ("B0 63 20 B0 62 06 B0 06 7F B0 26 70", "ch07/fader", 10.0),
    ("B0 63 20 B0 62 0B B0 06 00 B0 26 00", "ch12/fader", -math.inf),
    ("B0 63 21 B0 62 02 B0 06 38 B0 26 20", "grp3/fader", -20.0),
    ("B0 63 22 B0 62 00 B0 06 1F B0 26 20", "master/fader", -40.0),
    ("B0 63 23 B0 62 01 B0 06 01 B0 26 7F", "ch02/pan", 100.0),
    ("B0 63 23 B0 62 01 B0 06 01 B0 26 00", "ch02/pan", 0.0),
    ("B0 63 23 B0 62 1D B0 06 00 B0 26 40", "ch30/pan", -64 / 127 * 100),
    ("B0 63 25 B0 62 03 B0 06 54 B0 26 00", "ch04/eq/lmf_gain", 6.0),
    ("B0 63 27 B0 62 2F B0 06 00 B0 26 00", "ch48/eq/hf_gain", -15.0),
    ("B0 63 29 B0 62 09 B0 06 69 B0 26 40", "ch10/aux2", -6.0),
    ("B0 63 2B B0 62 09 B0 06 00 B0 26 00", "ch10/aux4", -math.inf),
    ("B0 63 2C B0 62 03 B0 06 7F B0 26 40", "master/aux4", 5.0),
    ("B0 63 30 B0 62 07 B0 06 7F B0 26 00", "ch08/eq/in", True),
    ("B0 63 30 B0 62 07 B0 06 00 B0 26 00", "ch08/eq/in", False),
    ("B0 63 31 B0 62 00 B0 06 7F B0 26 00", "master/insert", True),
    ("B0 63 32 B0 62 00 B0 06 7F B0 26 00", "master/dim", True),
    ("90 04 7F", "ch05/mute", True),
    ("90 04 00", "ch05/mute", False),
    ("90 37 7F", "grp8/mute", True),
    ("90 38 00", "master/mute", False),
]


@pytest.mark.parametrize(("message", "control", "value"), EXAMPLES)
def test_the_manuals_examples_move_their_controls(message, control, value):
    desk = Desk48Decoder()
    others = desk.knobs()
    assert desk.receive(sent(message)) == []
    after = desk.knobs()
    assert after.pop(control) == pytest.approx(value)
    del others[control]
    assert after == others


@pytest.mark.parametrize(("message", "control", "value"), EXAMPLES)
def test_a_hand_that_goes_where_the_example_goes_sends_the_example(message, control, value):
    desk = Desk48Decoder()
    bare = [data for data in desk.turn(control, value) if data[0] != 0x91]
    assert b"".join(bare) == sent(message)


def test_there_are_600_controls():
    knobs = Desk48Decoder().knobs()
    assert len(knobs) == 600
    assert sum(name.startswith("ch") for name in knobs) == 48 * 12
    assert sum(name.startswith("grp") for name in knobs) == 8 * 2
    assert sum(name.startswith("master/") for name in knobs) == 8


def test_power_on_is_the_manuals_table():
    knobs = Desk48Decoder().knobs()
    expected = {
        "ch01/fader": -math.inf, "grp1/fader": 0.0, "master/fader": -math.inf, "ch48/mute": False, "grp8/mute": False,
        "master/mute": True, "ch24/pan": 0.0, "ch24/eq/in": False, "ch24/eq/hmf_gain": 0.0, "ch24/aux3": -math.inf,
        "master/aux1": 0.0, "master/dim": False, "master/insert": False,
    }  # fmt: skip
    assert {name: knobs[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("v", "level_db"),
    [(0, -math.inf), (1, -90), (100, -60), (250, -40), (450, -20), (600, -10), (800, 0), (1023, 10), (350, -30)],
)
def test_the_fader_scale_meets_its_points(v, level_db):
    assert fader_db(v) == level_db


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("F0 7D 34 38 01 20 06 F7", ["B0 63 20", "B0 62 06", "B0 06 4B", "B0 26 00"]),
        ("F0 7D 34 38 01 40 04 F7", ["90 04 00"]),
        ("F0 7D 34 38 01 40 38 F7", ["90 38 7F"]),
        ("F0 7D 34 38 01 23 00 F7", ["B0 63 23", "B0 62 00", "B0 06 01", "B0 26 00"]),
        ("F0 7D 34 38 01 2C 00 F7", ["B0 63 2C", "B0 62 00", "B0 06 75", "B0 26 40"]),  # 235 = 2 × 117 + 1
        ("F0 7D 34 38 01 20 30 F7", []),  # there is no channel 49
        ("F0 7E 7F 06 01 F7", ["F0 7E 00 06 02 7D 30 00 01 00 01 04 02 00 F7"]),
        ("F0 7E 00 06 01 F7", ["F0 7E 00 06 02 7D 30 00 01 00 01 04 02 00 F7"]),
        ("F0 7E 05 06 01 F7", []),
    ],
)
def test_queries_are_answered_as_the_manual_says(query, answer):
    desk = Desk48Decoder()
    desk.receive(nrpn(0x20, 6, 0x4B, 0))
    assert desk.receive(sent(query)) == [sent(message) for message in answer]


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [
        (nrpn(0x24, 2, 121, 0), "F0 7D 34 38 7F 24 02 F7"),
        (nrpn(0x23, 0, 2, 0), "F0 7D 34 38 7F 23 00 F7"),
    ],
)
def test_values_out_of_range_are_refused(setting, refusal):
    desk = Desk48Decoder()
    before = desk.knobs()
    assert desk.receive(setting) == [sent(refusal)]
    assert desk.knobs() == before


def test_a_control_that_refuses_says_which():
    desk = Desk48Decoder()
    desk.refusing.add("ch05/mute")
    assert desk.receive(sent("90 04 7F")) == [sent("F0 7D 34 38 7F 40 04 F7")]
    assert desk.knobs()["ch05/mute"] is False


def test_a_hand_is_felt_on_a_fader_and_refuses_settings():
    desk = Desk48Decoder()
    moved = ["91 01 7F", "B0 63 20", "B0 62 01", "B0 06 64", "B0 26 00", "91 01 00"]
    assert desk.turn("ch02/fader", 0.0) == [sent(message) for message in moved]
    assert desk.turn("ch02/touch", True) == [sent("91 01 7F")]
    assert desk.receive(nrpn(0x20, 1, 0, 0)) == [sent("F0 7D 34 38 7F 20 01 F7")]
    assert desk.turn("ch02/fader", 10.0) == [sent(f"B0 {pair}") for pair in ("63 20", "62 01", "06 7F", "26 70")]
    assert desk.turn("ch02/touch", False) == [sent("91 01 00")]
    assert desk.receive(nrpn(0x20, 1, 0, 0)) == []
    assert desk.turn("grp8/touch", True) == [sent("91 37 7F")]
    assert desk.turn("master/touch", True) == [sent("91 38 7F")]


def test_a_fader_moves_when_its_lsb_arrives_and_needs_a_new_msb_each_time():
    desk = Desk48Decoder()
    desk.receive(nrpn(0x20, 0, 0x64, 0)[:9])
    assert desk.knobs()["ch01/fader"] == -math.inf
    desk.receive(sent("B0 26 00"))
    assert desk.knobs()["ch01/fader"] == 0.0
    desk.receive(sent("B0 26 70"))
    assert desk.knobs()["ch01/fader"] == 0.0
    desk.receive(sent("B0 06 7F B0 26 70"))
    assert desk.knobs()["ch01/fader"] == 10.0


def test_the_input_buffer_holds_eight_queries():
    desk = Desk48Decoder()
    query = sent("F0 7D 34 38 01 20 00 F7")
    answers = [desk.receive(query, at_s=0.0) for _ in range(9)]
    assert [len(answer) for answer in answers] == [4] * 8 + [0]
    assert len(desk.receive(query, at_s=0.0011)) == 4  # after 1 ms the first answer has begun to leave


@pytest.mark.parametrize(("name", "value"), [("ch49/fader", 0.0), ("ch01/pan", 101), ("ch01/touch", 2), ("ch01/x", 1)])
def test_a_hand_cannot_turn_what_is_not_there(name, value):
    with pytest.raises(HardwareError):
        Desk48Decoder().turn(name, value)


@given(st.binary(max_size=64), st.integers(0, 64))
def test_any_bytes_are_survived_and_cutting_them_changes_nothing(data, at):
    whole, cut = Desk48Decoder(), Desk48Decoder()
    answers = whole.receive(data)
    assert cut.receive(data[:at]) + cut.receive(data[at:]) == answers
    assert whole.knobs() == cut.knobs()
