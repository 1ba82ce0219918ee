"""The virtual attenuator board keeps to its line convention (docs/devices/attenuator-board.md)."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import HardwareError
from hardware.room.decoder_attenuator import AttenuatorDecoder


def talk(board: AttenuatorDecoder, *lines: str) -> list[str]:
    return [reply.decode("ascii") for line in lines for reply in board.receive(line.encode("latin-1") + b"\n")]


@pytest.mark.parametrize(
    ("sent", "answered", "bytes_sent"),
    [
        ("SET 3 -12.5", "OK 3 -12.5", "53 45 54 20 33 20 2D 31 32 2E 35 0A"),
        ("SET 3 -12", "OK 3 -12.0", "53 45 54 20 33 20 2D 31 32 0A"),
        ("SET 16 MUTE", "OK 16 MUTE", "53 45 54 20 31 36 20 4D 55 54 45 0A"),
        ("SET 17 0", "ERR 2", "53 45 54 20 31 37 20 30 0A"),
        ("SET 1 -12.3", "ERR 3", "53 45 54 20 31 20 2D 31 32 2E 33 0A"),
        ("SET 1 -64", "ERR 3", "53 45 54 20 31 20 2D 36 34 0A"),
        ("ID?", "ID attenuator-board 16 1.0", "49 44 3F 0A"),
    ],
)
def test_the_examples_of_the_manual_hold(sent, answered, bytes_sent):
    assert bytes.fromhex(bytes_sent) == sent.encode("ascii") + b"\n"
    assert AttenuatorDecoder().receive(bytes.fromhex(bytes_sent)) == [answered.encode("ascii") + b"\n"]


@given(st.integers(0, 127), st.integers(1, 16))
def test_every_step_of_the_ladder_is_set_and_read_back(step, channel):
    board = AttenuatorDecoder()
    tenths = 5 * step
    level = f"{'-' if step else ''}{tenths // 10}.{tenths % 10}"
    answer = f"OK {channel} {level}\n"
    assert talk(board, f"SET {channel} {level}", f"GET {channel}") == [answer, answer]
    assert board.knobs()[f"ch{channel:02d}/level"] == -tenths / 10


def test_power_on_is_silence_and_a_level_ends_it():
    board = AttenuatorDecoder()
    assert set(board.knobs().values()) == {-math.inf}
    assert talk(board, "GET 1", "SET 1 0", "GET 1") == ["OK 1 MUTE\n", "OK 1 0.0\n", "OK 1 0.0\n"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("set 1 0", 1), ("SET 1", 1), ("SET 1 0 0", 1), ("SET 1 +1", 1), ("SET  1 0", 1), ("GET", 1), ("GET x", 1),
        ("SET 1 -12.55", 1), ("?", 1), ("SET 1 0" + " " * 60, 1), ("SET 1 \xb2", 1), ("GET 0", 2), ("GET 17", 2),
        ("SET 0 0", 2), ("SET 1 0.5", 3), ("SET 1 -0.2", 3), ("SET 1 -63.6", 3),
    ],
)  # fmt: skip
def test_errors_have_their_number_and_change_nothing(line, code):
    board = AttenuatorDecoder()
    assert talk(board, line) == [f"ERR {code}\n"]
    assert set(board.knobs().values()) == {-math.inf}


def test_a_channel_can_refuse():
    board = AttenuatorDecoder(refusing=["ch03/level"])
    assert talk(board, "SET 3 -6", "SET 2 -6", "GET 3") == ["ERR 4\n", "OK 2 -6.0\n", "OK 3 MUTE\n"]


def test_cr_and_empty_lines_are_passed_over():
    board = AttenuatorDecoder()
    assert talk(board, "\r", "", "GET 1\r") == ["OK 1 MUTE\n"]
    assert board.heard == 1


def test_the_boards_own_encoder_is_told_in_a_line_that_is_no_answer():
    board = AttenuatorDecoder()
    assert board.turn("ch03/level", -12.5) == [b"AT 3 -12.5\n"]
    assert board.turn("ch03/level", "off") == [b"AT 3 MUTE\n"]
    for name, value in (("ch17/level", 0.0), ("ch00/level", 0.0), ("ch01/level", 1.0), ("ch01/gain", 0.0)):
        with pytest.raises(HardwareError):
            board.turn(name, value)


LINES = st.one_of(
    st.binary(max_size=40), st.from_regex(rb"(SET|GET) [0-9]{1,2}( MUTE| -?[0-9]{1,2}(\.[05])?)?\r?\n", fullmatch=True)
)


@given(st.lists(LINES, max_size=12), st.integers(1, 7))
def test_any_bytes_in_any_pieces_are_survived_and_mean_the_same(lines, size):
    data = b"".join(lines)
    whole, pieces = AttenuatorDecoder(), AttenuatorDecoder()
    answers = [answer for start in range(0, len(data), size) for answer in pieces.receive(data[start : start + size])]
    assert whole.receive(data) == answers
    assert all(answer.endswith(b"\n") for answer in answers)
    assert whole.knobs() == pieces.knobs()


def test_a_line_without_an_end_does_not_fill_the_memory():
    board = AttenuatorDecoder()
    size = len(pickle.dumps(board))
    board.receive(b"S" * 200_000)
    assert len(pickle.dumps(board)) < size + 200
    assert board.receive(b"\nGET 1\n") == [b"ERR 1\n", b"OK 1 MUTE\n"]
