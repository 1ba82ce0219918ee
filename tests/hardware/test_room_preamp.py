"""The virtual OctaMic XTC obeys the MIDI chapter of its guide; bytes worked out by hand from its table."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_preamp import PreampDecoder


def tell(preamp: PreampDecoder, text: str) -> list[bytes]:
    return preamp.receive(bytes.fromhex(text))


def test_the_guides_example_is_mic_2_at_37_db_with_its_pad():
    preamp = PreampDecoder()
    assert tell(preamp, "F0 00 20 0D 69 00 20 01 1C 08 7F F7") == []
    changed = {name: value for name, value in preamp.knobs().items() if value != PreampDecoder().knobs()[name]}
    assert changed == {"mic2/gain": 37, "mic2/pad": True}


@pytest.mark.parametrize(("lsb", "gain_db"), [("00", 0), ("01", 10), ("38", 65)])
def test_gain_codes_are_0_or_the_code_plus_9(lsb, gain_db):
    preamp = PreampDecoder()
    tell(preamp, f"F0 00 20 0D 69 00 20 04 {lsb} 00 01 F7")
    assert preamp.knobs()["mic5/gain"] == gain_db


@pytest.mark.parametrize(
    ("flag", "name", "value"),
    [
        ("01", "gain", 65), ("02", "polarity", True), ("04", "mute", True), ("08", "autoset", True),
        ("10", "phantom", True), ("20", "instrument", True), ("40", "group", 4),
    ],
)  # fmt: skip
def test_only_the_flagged_field_changes(flag, name, value):
    preamp = PreampDecoder()
    tell(preamp, f"F0 00 20 0D 69 00 20 07 78 4F {flag} F7")  # 38 | 40 phase; every switch | 4 << 4
    changed = {what: now for what, now in preamp.knobs().items() if now != PreampDecoder().knobs()[what]}
    assert changed == {f"mic8/{name}": value}


def test_several_items_in_one_message_and_half_an_item_is_passed_over():
    preamp = PreampDecoder()
    tell(preamp, "F0 00 20 0D 69 00 20 00 01 00 01 02 02 00 01 03 03 00 F7")
    assert [preamp.knobs()[f"mic{number}/gain"] for number in (1, 3, 4)] == [10, 11, 0]


def test_a_field_out_of_range_is_passed_over_and_the_others_change():
    preamp = PreampDecoder()
    tell(preamp, "F0 00 20 0D 69 00 20 00 39 51 7F F7")  # gain code 57, group 5, mute
    assert preamp.knobs()["mic1/gain"] == 0
    assert preamp.knobs()["mic1/group"] == 0
    assert preamp.knobs()["mic1/mute"] is True


def test_request_all_is_answered_with_items_without_flags():
    preamp = PreampDecoder()
    tell(preamp, "F0 00 20 0D 69 00 20 01 1C 08 7F F7")
    assert tell(preamp, "F0 00 20 0D 69 00 10 F7") == [
        bytes.fromhex("F0 00 20 0D 69 00 30 00 00 00 01 1C 08 02 00 00 03 00 00 04 00 00 05 00 00 06 00 00 07 00 00 F7")
    ]


def test_request_changed_tells_each_change_once_and_hands_count():
    preamp = PreampDecoder()
    assert preamp.turn("mic8/polarity", True) == []
    tell(preamp, "F0 00 20 0D 69 00 20 01 1C 08 7F F7")
    tell(preamp, "F0 00 20 0D 69 00 20 02 00 00 7F F7")  # nothing new
    assert tell(preamp, "F0 00 20 0D 69 00 12 F7") == [bytes.fromhex("F0 00 20 0D 69 00 30 01 1C 08 07 40 00 F7")]
    assert tell(preamp, "F0 00 20 0D 69 00 12 F7") == [bytes.fromhex("F0 00 20 0D 69 00 30 F7")]


def test_its_own_number_and_7f_reach_it():
    preamp = PreampDecoder(device=5)
    assert tell(preamp, "F0 00 20 0D 69 00 12 F7") == []
    assert tell(preamp, "F0 00 20 0D 69 7F 12 F7") == [bytes.fromhex("F0 00 20 0D 69 05 30 F7")]
    assert tell(preamp, "F0 00 20 0D 69 05 12 F7") == [bytes.fromhex("F0 00 20 0D 69 05 30 F7")]


def test_presets_and_what_it_does_not_know_change_nothing():
    preamp = PreampDecoder()
    for text in (
        "F0 00 20 0D 69 00 20 19 01 00 7F F7",
        "F0 00 20 0D 68 00 20 00 01 00 01 F7",
        "F0 00 20 0D 69 00 11 F7",
    ):
        assert tell(preamp, text) == []
    assert preamp.knobs() == PreampDecoder().knobs()


def test_a_hand_sets_what_the_knob_can_be():
    preamp, other = PreampDecoder(), PreampDecoder()
    preamp.turn("mic1/gain", 65)
    preamp.turn("mic2/gain", 7.0)  # between 0 and 10 dB there is nothing
    preamp.turn("mic5/instrument", True)
    preamp.turn("mic6/group", 3)
    assert [preamp.knobs()[f"mic{number}/gain"] for number in (1, 2)] == [65, 10]
    for name, value in preamp.knobs().items():
        other.turn(name, value)
    assert other.knobs() == preamp.knobs()
    for name, value in (
        ("mic9/gain", 0),
        ("mic5/pad", True),
        ("mic1/instrument", True),
        ("mic1/gain", 66),
        ("mic1/x", 1),
    ):
        with pytest.raises(HardwareError):
            preamp.turn(name, value)


SETTINGS = st.builds(
    lambda command, body, cut: (bytes([0xF0, 0x00, 0x20, 0x0D, 0x69, 0x00, command, *body, 0xF7]))[:cut],
    st.sampled_from([0x10, 0x12, 0x20]),
    st.lists(st.integers(0, 127), max_size=16),
    st.integers(6, 24),
)


@given(st.lists(st.one_of(st.binary(max_size=20), SETTINGS), max_size=12), st.integers(1, 7))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(messages, size):
    data = b"".join(messages)
    whole, pieces = PreampDecoder(), PreampDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert whole.knobs() == pieces.knobs()


def test_a_message_without_an_end_does_not_fill_the_memory():
    preamp = PreampDecoder()
    size = len(pickle.dumps(preamp))
    preamp.receive(b"\xf0" + bytes(200_000))
    assert len(pickle.dumps(preamp)) < size + 1000
