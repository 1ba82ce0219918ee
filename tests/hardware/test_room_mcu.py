"""The virtual Mackie Control answers its host; bytes from the protocol's descriptions, worked out by hand."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_mcu import McuDecoder


def heard(surface: McuDecoder, text: str) -> list[bytes]:
    return surface.receive(bytes.fromhex(text))


def test_a_device_query_is_answered_with_serial_and_challenge():
    (answer,) = heard(McuDecoder(), "F0 00 00 66 14 00 F7")
    assert answer[:6] == bytes.fromhex("F0 00 00 66 14 01")
    assert len(answer) == 6 + 7 + 4 + 1
    assert answer[-1] == 0xF7
    assert McuDecoder().banner() == answer


def test_a_version_query_is_answered():
    assert heard(McuDecoder(), "F0 00 00 66 14 13 00 F7") == [bytes.fromhex("F0 00 00 66 14 14") + b"V1.00\xf7"]


def test_other_devices_headers_are_not_answered():
    assert heard(McuDecoder(), "F0 00 00 66 15 00 F7 F0 00 00 66 05 00 F7") == []


def test_a_fader_is_a_pitch_bend_lsb_first_of_which_ten_bits_count():
    surface = McuDecoder()
    assert heard(surface, "E0 08 64 E7 7F 7F E8 0F 00") == []
    knobs = surface.knobs()
    assert knobs["ch01/fader"] == 12_800  # 12808 is 800.5 steps of 16
    assert knobs["ch08/fader"] == 16_368  # 1023 * 16
    assert knobs["master/fader"] == 0  # 15 is less than a step


def test_pitch_bends_beyond_the_master_move_nothing():
    surface = McuDecoder()
    before = surface.knobs()
    heard(surface, "E9 00 40 EF 00 40")
    assert surface.knobs() == before


@pytest.mark.parametrize(
    ("text", "name"),
    [("90 08 7F", "ch01/solo"), ("90 10 7F", "ch01/mute"), ("90 17 7F", "ch08/mute"), ("90 1B 01", "ch04/select")],
)
def test_notes_light_lamps(text, name):
    surface = McuDecoder()
    heard(surface, text)
    assert [lit for lit, value in surface.knobs().items() if value is True] == [name]


def test_velocity_0_and_note_off_put_a_lamp_out():
    surface = McuDecoder()
    heard(surface, "90 10 7F 90 11 7F 90 10 00 80 11 40")
    assert surface.knobs()["ch01/mute"] is False
    assert surface.knobs()["ch02/mute"] is False


def test_a_hand_on_a_fader_touches_moves_and_lets_go():
    surface = McuDecoder()
    assert b"".join(surface.turn("ch01/fader", 12_808)) == bytes.fromhex("90 68 7F E0 00 64 90 68 00")
    assert b"".join(surface.turn("master/fader", 16_383)) == bytes.fromhex("90 70 7F E8 70 7F 90 70 00")


def test_a_fader_that_is_held_does_not_follow_the_host():
    surface = McuDecoder()
    assert surface.turn("ch03/touch", True) == [bytes.fromhex("90 6A 7F")]
    heard(surface, "E2 00 40")
    assert surface.knobs()["ch03/fader"] == 0
    assert surface.turn("ch03/touch", False) == [bytes.fromhex("90 6A 00")]
    heard(surface, "E2 00 40")
    assert surface.knobs()["ch03/fader"] == 8_192


def test_a_button_pressed_by_hand_is_a_press_and_a_release():
    surface = McuDecoder()
    assert b"".join(surface.turn("ch02/mute", True)) == bytes.fromhex("90 11 7F 90 11 00")
    assert surface.turn("ch02/mute", True) == []


@pytest.mark.parametrize(("name", "value"), [("ch09/fader", 0), ("master/mute", True), ("ch01/fader", "loud"), ("", 0)])
def test_a_hand_cannot_go_where_there_is_nothing(name, value):
    with pytest.raises(HardwareError):
        McuDecoder().turn(name, value)


KNOWN = st.sampled_from(["F0000066 1400F7", "E00864", "90107F", "F0000066141200414243F7", "B03048", "D01C"])


@given(st.lists(st.one_of(st.binary(max_size=12), KNOWN.map(bytes.fromhex)), max_size=20), st.integers(1, 5))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(messages, size):
    data = b"".join(messages)
    whole, pieces = McuDecoder(), McuDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert whole.knobs() == pieces.knobs()


def test_a_message_without_an_end_does_not_fill_the_memory():
    surface = McuDecoder()
    size = len(pickle.dumps(surface))
    surface.receive(b"\xf0" + bytes(200_000))
    assert len(pickle.dumps(surface)) < size + 1000
