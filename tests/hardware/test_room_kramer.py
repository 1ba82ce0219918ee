"""The virtual Kramer matrix holds the Protocol 2000 dialogue; bytes from the maker's tables of hex codes."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_kramer import KramerDecoder


def talk(matrix: KramerDecoder, text: str) -> str:
    return b"".join(matrix.receive(bytes.fromhex(text))).hex(" ").upper()


def test_ties_are_answered_with_the_device_bit():
    matrix = KramerDecoder()
    assert talk(matrix, "01 82 83 81") == "41 82 83 81"
    assert talk(matrix, "02 85 81 81") == "42 85 81 81"
    assert matrix.knobs()["out03/video_tie"] == 2
    assert matrix.knobs()["out01/tie"] == 5
    assert matrix.knobs()["out03/tie"] == 0


def test_output_0_is_all_and_input_0_is_none():
    matrix = KramerDecoder()
    talk(matrix, "02 88 80 81")
    assert [matrix.knobs()[f"out{number:02d}/tie"] for number in range(1, 9)] == [8] * 8
    talk(matrix, "02 80 84 81")
    assert matrix.knobs()["out04/tie"] == 0


def test_a_tie_is_read_back_in_the_third_byte():
    matrix = KramerDecoder()
    talk(matrix, "02 83 82 81")
    assert talk(matrix, "06 80 82 81") == "46 80 83 81"
    assert talk(matrix, "05 80 82 81") == "45 80 80 81"


@pytest.mark.parametrize(("code", "gain_db"), [("EB", 0.0), ("FF", 20.0), ("B9", -50.0), ("80", -math.inf)])
def test_input_gain_is_v_less_107(code, gain_db):
    matrix = KramerDecoder()
    assert talk(matrix, f"2A 86 80 81 16 83 {code} 81") == f"6A 86 80 81 56 83 {code} 81"
    assert matrix.knobs()["in03/gain"] == gain_db
    assert talk(matrix, "2A 86 80 81 19 83 80 81") == f"6A 86 80 81 59 83 {code} 81"


@pytest.mark.parametrize(("code", "gain_db"), [("F2", 0.0), ("FF", 13.0), ("C0", -50.0), ("80", -math.inf)])
def test_output_gain_is_v_less_114(code, gain_db):
    matrix = KramerDecoder()
    assert talk(matrix, f"2A 87 80 81 16 88 {code} 81") == f"6A 87 80 81 56 88 {code} 81"
    assert matrix.knobs()["out08/gain"] == gain_db
    assert talk(matrix, "2A 87 80 81 19 88 80 81") == f"6A 87 80 81 59 88 {code} 81"


def test_a_gain_without_its_prefix_moves_an_input():
    matrix = KramerDecoder()
    talk(matrix, "2A 87 80 81 16 81 C0 81 16 81 B9 81")
    assert matrix.knobs()["out01/gain"] == -50.0
    assert matrix.knobs()["in01/gain"] == -50.0


def test_steps_name_their_side_themselves_and_end_at_the_stops():
    matrix = KramerDecoder()
    assert talk(matrix, "18 82 80 81 18 82 87 81") == "58 82 80 81 58 82 87 81"
    assert matrix.knobs()["out02/gain"] == 1.0
    assert matrix.knobs()["in02/gain"] == -1.0
    talk(matrix, "18 82 86 81" * 30)
    assert matrix.knobs()["in02/gain"] == 20.0


def test_it_says_what_it_is():
    matrix = KramerDecoder()
    assert talk(matrix, "3D 82 80 81") == "7D 88 88 81"  # 0808
    assert talk(matrix, "3D 82 81 81") == "7D C1 CB 81"  # AK
    assert talk(matrix, "3D 84 80 81") == "7D 81 80 81"  # 1.0
    assert talk(matrix, "3E 82 82 81") == "7E 82 88 81"  # eight audio outputs


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("03 81 80 81", "50 80 81 81"), ("2A 81 84 81", "50 80 81 81"), ("18 81 82 81", "50 80 81 81"),
        ("02 89 81 81", "50 80 82 81"), ("02 81 89 81", "50 80 82 81"), ("06 81 81 81", "50 80 82 81"),
        ("19 80 80 81", "50 80 82 81"), ("16 89 F0 81", "50 80 82 81"), ("3D 85 80 81", "50 80 82 81"),
    ],
)  # fmt: skip
def test_errors_have_their_code_and_change_nothing(text, error):
    matrix = KramerDecoder()
    before = matrix.knobs()
    assert talk(matrix, text) == error
    assert matrix.knobs() == before


def test_a_control_can_refuse():
    matrix = KramerDecoder(refusing=["out02/tie", "in01/gain"])
    assert talk(matrix, "02 81 82 81 02 81 80 81 16 81 F0 81") == "50 80 80 81 " * 2 + "50 80 80 81"
    assert matrix.knobs() == KramerDecoder().knobs()


def test_only_its_own_machine_number_or_the_override_reaches_it():
    matrix = KramerDecoder(machine=3)
    assert talk(matrix, "02 81 81 81") == ""
    assert talk(matrix, "02 81 81 83") == "42 81 81 83"
    assert talk(matrix, "02 82 81 C1") == "42 82 81 83"
    assert talk(matrix, "42 83 81 83") == ""  # from another device
    assert matrix.knobs()["out01/tie"] == 2


def test_half_a_frame_is_dropped_at_the_next_first_byte():
    assert talk(KramerDecoder(), "81 81 02 81 02 82 81 81") == "42 82 81 81"


def test_a_change_at_the_panel_is_told_unasked():
    matrix = KramerDecoder()
    assert matrix.turn("out04/tie", 7) == [bytes.fromhex("42 87 84 81")]
    assert matrix.turn("out01/gain", -50) == [bytes.fromhex("6A 87 80 81"), bytes.fromhex("56 81 C0 81")]
    assert matrix.turn("in02/gain", "off") == [bytes.fromhex("6A 86 80 81"), bytes.fromhex("56 82 80 81")]
    assert matrix.knobs()["in02/gain"] == -math.inf
    for name, value in (("out09/tie", 1), ("out01/tie", 9), ("in01/tie", 1), ("out01/gain", 14)):
        with pytest.raises(HardwareError):
            matrix.turn(name, value)


def test_every_knob_can_be_put_back_by_hand():
    matrix, other = KramerDecoder(), KramerDecoder()
    talk(matrix, "02 83 82 81 2A 87 80 81 16 88 81 81 2A 86 80 81 16 81 80 81")
    for name, value in matrix.knobs().items():
        other.turn(name, value)
    assert other.knobs() == matrix.knobs()


@given(st.lists(st.one_of(st.binary(max_size=12), st.just(b"\x02\x81\x81\x81")), max_size=20), st.integers(1, 5))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(messages, size):
    data = b"".join(messages)
    whole, pieces = KramerDecoder(), KramerDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert all(len(answer) == 4 and answer[0] & 0xC0 == 0x40 for answer in answers)
    assert whole.knobs() == pieces.knobs()
    assert len(pickle.dumps(whole)) < 2000
