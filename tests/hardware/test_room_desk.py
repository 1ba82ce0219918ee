"""The virtual desk obeys the bytes of its manual; every byte below was worked out by hand from it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder import MidiInput
from hardware.room.decoder_desk import DeskDecoder
from hardware.room.laws import fader_db, fader_step, pan_gains, pan_position


def nrpn(high: int, low: int, msb: int, lsb: int) -> bytes:
    return bytes([0xB0, 0x63, high, 0xB0, 0x62, low, 0xB0, 0x06, msb, 0xB0, 0x26, lsb])


@pytest.mark.parametrize(
    ("step", "level_db"),
    [(0, -math.inf), (1, -80.0), (20, -60.0), (48, -40.0), (104, -20.0), (144, -10.0), (192, 0.0), (255, 10.0)],
)
def test_fader_law_meets_its_printed_points(step, level_db):
    assert fader_db(step) == level_db


def test_fader_law_is_straight_in_db_between_its_points():
    assert fader_db(124) == pytest.approx(-15.0)  # half-way from 104 (−20) to 144 (−10)
    assert fader_db(34) == pytest.approx(-50.0)  # half-way from 20 (−60) to 48 (−40)


@given(st.integers(1, 255))
def test_every_fader_level_is_nearest_to_its_own_position(step):
    assert fader_step(fader_db(step)) == step


def test_pan_law_is_constant_power_with_minus_3_db_in_the_middle():
    assert pan_gains(0.0) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert pan_gains(-100.0) == (1.0, 0.0)
    assert pan_gains(100.0)[0] == 0.0
    assert pan_gains(100.0)[1] == pytest.approx(1.0)


@given(st.floats(-100, 100))
def test_pan_keeps_the_power(pan):
    left, right = pan_gains(pan)
    assert left * left + right * right == pytest.approx(1.0)


def test_pan_steps_0_and_1_are_both_hard_left():
    assert [pan_position(step) for step in (0, 1, 64, 127)] == [-100.0, -100.0, 0.0, 100.0]


def test_nrpn_sets_a_fader_left_justified_in_14_bits():
    desk = DeskDecoder()
    assert desk.receive(bytes.fromhex("B06310 B06206 B00660 B02600".replace(" ", ""))) == []
    assert desk.knobs()["ch07/fader"] == 0.0  # 60h << 1 = 192
    desk.receive(nrpn(0x10, 6, 0x7F, 0x40))
    assert desk.knobs()["ch07/fader"] == 10.0  # 7Fh << 1 | 1 = 255


def test_a_fader_moves_only_when_the_data_lsb_arrives():
    desk = DeskDecoder()
    desk.receive(nrpn(0x10, 0, 0x60, 0x00)[:9])
    assert desk.knobs()["ch01/fader"] == -math.inf
    desk.receive(b"\xb0\x26\x00")
    assert desk.knobs()["ch01/fader"] == 0.0


def test_master_fader_wakes_at_0_db_and_follows_its_number():
    desk = DeskDecoder()
    assert desk.knobs()["master/fader"] == 0.0
    desk.receive(nrpn(0x11, 0, 0x48, 0x00))
    assert desk.knobs()["master/fader"] == -10.0  # 48h << 1 = 144


@pytest.mark.parametrize(("number", "band"), [(0x12, "lf"), (0x13, "lmf"), (0x14, "hmf"), (0x15, "hf")])
def test_eq_gain_is_a_quarter_db_a_step(number, band):
    desk = DeskDecoder()
    desk.receive(nrpn(number, 23, 124, 0))
    assert desk.knobs()[f"ch24/eq/{band}_gain"] == 15.0
    desk.receive(nrpn(number, 23, 61, 0))
    assert desk.knobs()[f"ch24/eq/{band}_gain"] == -0.75


def test_eq_gain_outside_its_scale_is_refused():
    desk = DeskDecoder()
    assert desk.receive(nrpn(0x12, 2, 125, 0)) == [bytes.fromhex("F07D484E7F1202F7")]
    assert desk.knobs()["ch03/eq/lf_gain"] == 0.0


def test_notes_switch_mute_eq_and_insert():
    desk = DeskDecoder()
    desk.receive(bytes.fromhex("90047F 91007F 92007F".replace(" ", "")))
    knobs = desk.knobs()
    assert (knobs["ch05/mute"], knobs["ch01/eq/in"], knobs["master/insert"]) == (True, True, True)
    desk.receive(bytes.fromhex("800400 810000 820000".replace(" ", "")))
    knobs = desk.knobs()
    assert (knobs["ch05/mute"], knobs["ch01/eq/in"], knobs["master/insert"]) == (False, False, False)


def test_pan_is_a_controller_from_64_on():
    desk = DeskDecoder()
    desk.receive(bytes.fromhex("B0577F"))
    assert desk.knobs()["ch24/pan"] == 100.0


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("F07D484E101006F7", ["B06310", "B06206", "B00660", "B02600"]),
        ("F07D484E101100F7", ["B06311", "B06200", "B00660", "B02600"]),
        ("F07D484E101301F7", ["B06313", "B06201", "B00640", "B02600"]),
        ("F07D484E104002F7", ["B04240"]),
        ("F07D484E104103F7", ["80037F".replace("7F", "00")]),
        ("F07D484E104204F7", ["81 04 00".replace(" ", "")]),
        ("F07D484E104300F7", ["820000"]),
    ],
)
def test_every_kind_of_query_is_answered(query, answer):
    desk = DeskDecoder()
    desk.receive(nrpn(0x10, 6, 0x60, 0))
    assert desk.receive(bytes.fromhex(query)) == [bytes.fromhex(message) for message in answer]


def test_a_refusing_fader_answers_nak_and_stays():
    desk = DeskDecoder(refusing=["ch05/fader"])
    assert desk.receive(nrpn(0x10, 4, 0x60, 0)) == [bytes.fromhex("F07D484E7F1004F7")]
    assert desk.knobs()["ch05/fader"] == -math.inf


def test_a_fader_moved_by_hand_reports_itself():
    desk = DeskDecoder()
    messages = desk.turn("ch02/fader", -10.0)
    assert messages == [bytes.fromhex(text) for text in ("B06310", "B06201", "B00648", "B02600")]
    assert desk.turn("ch02/mute", True) == [bytes.fromhex("90017F")]


def test_pots_that_only_a_hand_turns_send_nothing():
    desk = DeskDecoder()
    for name, value in (("ch01/trim", 6.0), ("ch01/hpf_freq", 80.0), ("ch01/eq/hmf_q", 2.0), ("ch01/polarity", True)):
        assert desk.turn(name, value) == []
        assert desk.knobs()[name] == value
    desk.turn("ch01/hpf_freq", "off")
    assert desk.knobs()["ch01/hpf_freq"] == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [("ch25/fader", 0.0), ("ch01/trim", 21.0), ("ch01/eq/lf_q", 1.0), ("ch01/hpf_freq", 10.0), ("ch01/mute", "maybe")],
)
def test_a_hand_cannot_turn_what_is_not_there(name, value):
    with pytest.raises(HardwareError):
        DeskDecoder().turn(name, value)


def test_unknown_numbers_move_nothing():
    desk = DeskDecoder()
    before = desk.knobs()
    for message in (
        nrpn(0x10, 24, 1, 0),
        nrpn(0x16, 0, 1, 0),
        nrpn(0x7F, 0x7F, 1, 0),
        b"\x93\x00\x7f",
        b"\xb0\x58\x01",
    ):
        assert desk.receive(message) == []
    assert desk.knobs() == before


def test_running_status_and_real_time_bytes_are_understood():
    messages = MidiInput().feed(bytes.fromhex("B06310F86206F07DF8F7B00660"))
    assert [message.hex() for message in messages] == ["b06310", "b06206", "f07df7", "b00660"]


@given(st.binary(max_size=64), st.integers(0, 64))
def test_any_bytes_are_survived_and_cutting_them_changes_nothing(data, at):
    whole, cut = DeskDecoder(), DeskDecoder()
    answers = whole.receive(data)
    assert cut.receive(data[:at]) + cut.receive(data[at:]) == answers
    assert whole.knobs() == cut.knobs()
