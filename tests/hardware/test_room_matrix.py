"""The virtual matrix holds the SIS dialogue that Extron's command tables describe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_matrix import MatrixDecoder


def talk(matrix: MatrixDecoder, *commands: bytes) -> list[bytes]:
    return [reply for command in commands for reply in matrix.receive(command)]


def test_a_tie_is_answered_and_read_back():
    matrix = MatrixDecoder()
    assert talk(matrix, b"1*3$", b"3$") == [b"Out03 In01 Aud\r\n", b"01\r\n"]
    assert matrix.knobs()["out03/tie"] == 1
    assert talk(matrix, b"0*3$", b"3$") == [b"Out03 In00 Aud\r\n", b"00\r\n"]
    assert talk(matrix, b"2*4!") == [b"Out04 In02 All\r\n"]


def test_input_gain_letters_are_case_sensitive():
    matrix = MatrixDecoder()
    assert talk(matrix, b"1*5G", b"1G", b"1*7g", b"1G") == [
        b"In01 Aud+05\r\n", b"+05\r\n", b"In01 Aud-07\r\n", b"-07\r\n",
    ]  # fmt: skip


def test_volume_and_mute():
    matrix = MatrixDecoder()
    assert talk(matrix, b"2*50V", b"2V") == [b"Out02 Vol50\r\n", b"50\r\n"]
    assert talk(matrix, b"2*1Z", b"2Z", b"2*0Z") == [b"Amt02*1\r\n", b"1\r\n", b"Amt02*0\r\n"]


def test_verbose_mode_3_tags_what_it_reads_back():
    matrix = MatrixDecoder()
    assert talk(matrix, b"\x1b3CV\r") == [b"Vrb3\r\n"]
    assert talk(matrix, b"3$", b"1G", b"2V", b"2Z") == [
        b"Out03 In00 Aud\r\n", b"In01 Aud+00\r\n", b"Out02 Vol64\r\n", b"Amt02*0\r\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"9*1$", b"E01"), (b"1*9$", b"E12"), (b"9$", b"E12"), (b"0$", b"E12"), (b"1*25G", b"E13"),
        (b"1*19g", b"E13"), (b"9*1G", b"E01"), (b"1*65V", b"E13"), (b"1*2Z", b"E13"), (b"7X", b"E10"),
        (b"1*2*3$", b"E10"), (b"99.", b"E11"), (b"1*2%", b"E14"), (b"\x1bnonsense\r", b"E10"),
    ],
)  # fmt: skip
def test_wrong_commands_get_their_error_code(command, code):
    assert talk(MatrixDecoder(), command) == [code + b"\r\n"]


def test_presets_keep_the_ties():
    matrix = MatrixDecoder()
    replies = talk(matrix, b"1*1$", b"5,", b"0*1$", b"5.", b"1$", b"\x1b5,bus compNG\r")
    assert replies[1] == b"Spr05\r\n"
    assert replies[3:] == [b"Rpr05\r\n", b"01\r\n", b"Nmg05,bus comp\r\n"]


def test_identity_and_version_answer():
    matrix = MatrixDecoder()
    assert talk(matrix, b"Q") == [b"1.00\r\n"]
    assert talk(matrix, b"N") == [b"60-000-01\r\n"]
    assert talk(matrix, b"I") == [b"V0X0 A8X8\r\n"]


def test_a_tie_on_the_front_panel_is_told_unasked():
    matrix = MatrixDecoder()
    assert matrix.turn("out03/tie", 2) == [b"Out03 In02 Aud\r\n"]
    talk(matrix, b"\x1b0CV\r")
    assert matrix.turn("out03/tie", 1) == []
    with pytest.raises(HardwareError):
        matrix.turn("out09/tie", 1)


def test_half_a_command_is_forgotten_after_ten_seconds():
    matrix = MatrixDecoder()
    matrix.receive(b"1*", 0.0)
    assert matrix.receive(b"3$", 10.5) == [b"00\r\n"]
    matrix.receive(b"1*", 20.0)
    assert matrix.receive(b"3$", 21.0) == [b"Out03 In01 Aud\r\n"]


def test_a_silent_matrix_neither_answers_nor_obeys():
    matrix = MatrixDecoder(mood="silent")
    assert talk(matrix, b"1*3$", b"Q") == []
    assert matrix.knobs()["out03/tie"] == 0


def test_a_matrix_at_the_wrong_baud_rate_answers_garbage():
    matrix = MatrixDecoder(mood="garbage")
    (reply,) = talk(matrix, b"1*3$")
    assert all(byte >= 0x80 or byte == 0 for byte in reply)
    assert matrix.knobs()["out03/tie"] == 0


def test_a_refusing_output_answers_e06():
    matrix = MatrixDecoder(refusing=["out03/tie"])
    assert talk(matrix, b"1*3$") == [b"E06\r\n"]


@given(st.binary(max_size=40), st.integers(0, 40))
def test_any_bytes_are_survived_and_cutting_them_changes_nothing(data, at):
    whole, cut = MatrixDecoder(), MatrixDecoder()
    replies = whole.receive(data)
    assert cut.receive(data[:at]) + cut.receive(data[at:]) == replies
    assert all(reply.endswith(b"\r\n") for reply in replies)
