"""The virtual HUI box answers its host; bytes from the protocol's descriptions, worked out by hand."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_hui import HuiDecoder


def heard(box: HuiDecoder, text: str, at_s: float | None = None) -> list[bytes]:
    return box.receive(bytes.fromhex(text), at_s)


def test_a_ping_is_answered():
    assert heard(HuiDecoder(), "90 00 00") == [bytes.fromhex("90 00 7F")]


def test_the_host_is_gone_two_seconds_after_its_last_ping():
    box = HuiDecoder()
    assert not box.present(0.0)
    heard(box, "90 00 00", 10.0)
    heard(box, "B0 00 40 B0 20 00", 11.5)
    assert box.present(12.0)
    assert not box.present(12.1)


def test_a_fader_is_msb_then_lsb():
    box = HuiDecoder()
    assert heard(box, "B0 00 64 B0 20 08 B0 07 7F B0 27 7F") == []
    assert box.knobs()["ch01/fader"] == 12_808  # 100 * 128 + 8
    assert box.knobs()["ch08/fader"] == 16_383


def test_a_fader_waits_for_its_lsb_and_takes_it_once():
    box = HuiDecoder()
    heard(box, "B0 02 40")
    assert box.knobs()["ch03/fader"] == 0
    heard(box, "B0 22 01 B0 22 7F")
    assert box.knobs()["ch03/fader"] == 8_193


def test_the_hosts_lamp_switches_the_mute():
    box = HuiDecoder()
    heard(box, "B0 0C 04 B0 2C 42")
    assert box.knobs()["ch05/mute"] is True
    heard(box, "B0 0C 04 B0 2C 02")
    assert box.knobs()["ch05/mute"] is False


@pytest.mark.parametrize("text", ["B0 0C 04 B0 2C 43", "B0 0C 0E B0 2C 42", "B0 2C 42", "B0 0C 08 B0 2C 42", "D0 1C"])
def test_other_lamps_mute_nothing(text):
    box = HuiDecoder()
    before = box.knobs()
    assert heard(box, text) == []
    assert box.knobs() == before


def test_a_hand_on_a_fader_touches_moves_and_lets_go():
    box = HuiDecoder()
    sent = b"".join(box.turn("ch03/fader", 12_808))
    assert sent == bytes.fromhex("B0 0F 02 B0 2F 40  B0 02 64 B0 22 08  B0 0F 02 B0 2F 00")
    assert box.knobs()["ch03/fader"] == 12_808


def test_a_fader_that_is_held_does_not_follow_the_host():
    box = HuiDecoder()
    assert b"".join(box.turn("ch01/touch", True)) == bytes.fromhex("B0 0F 00 B0 2F 40")
    assert b"".join(box.turn("ch01/fader", 128)) == bytes.fromhex("B0 00 01 B0 20 00")
    heard(box, "B0 00 7F B0 20 7F")
    assert box.knobs()["ch01/fader"] == 128
    assert b"".join(box.turn("ch01/touch", False)) == bytes.fromhex("B0 0F 00 B0 2F 00")
    heard(box, "B0 00 7F B0 20 7F")
    assert box.knobs()["ch01/fader"] == 16_383


def test_a_mute_pressed_by_hand_is_a_press_and_a_release():
    box = HuiDecoder()
    assert b"".join(box.turn("ch08/mute", True)) == bytes.fromhex("B0 0F 07 B0 2F 42 B0 0F 07 B0 2F 02")
    assert box.turn("ch08/mute", True) == []
    assert box.knobs()["ch08/mute"] is True


@pytest.mark.parametrize(("name", "value"), [("ch09/fader", 0), ("ch01/fader", 16_400), ("ch01/solo", True), ("", 0)])
def test_a_hand_cannot_go_where_there_is_nothing(name, value):
    with pytest.raises(HardwareError):
        HuiDecoder().turn(name, value)


CONTROLS = st.builds(
    lambda number, value: bytes([0xB0, number, value]),
    st.sampled_from([0, 7, 0x20, 0x27, 0x0C, 0x2C]),
    st.integers(0, 127),
)


@given(st.lists(st.one_of(st.binary(max_size=12), CONTROLS), max_size=20), st.integers(1, 5))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(messages, size):
    data = b"".join(messages)
    whole, pieces = HuiDecoder(), HuiDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert whole.knobs() == pieces.knobs()


def test_a_message_without_an_end_does_not_fill_the_memory():
    box = HuiDecoder()
    size = len(pickle.dumps(box))
    box.receive(b"\xf0" + bytes(200_000))
    assert len(pickle.dumps(box)) < size + 1000
