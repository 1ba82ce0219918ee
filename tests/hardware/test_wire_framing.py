"""Whole messages out of streams, however the port cut them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.wire.framing import LONGEST_LINE, LONGEST_SYSEX, LineFraming, MidiFraming


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        ("B0 07 7F 90 3C 40", ["B0 07 7F", "90 3C 40"]),
        ("C0 05 D0 10", ["C0 05", "D0 10"]),
        ("B0 07 7F 0A 40", ["B0 07 7F", "B0 0A 40"]),  # running status
        ("B0 07 F8 7F", ["B0 07 7F"]),  # real time inside a message
        ("F0 7D 48 FE 4E F7", ["F0 7D 48 4E F7"]),  # active sensing inside a system exclusive
        ("F0 7D 48 B0 07 7F", ["F0 7D 48", "B0 07 7F"]),  # a status byte ends a system exclusive
        ("B0 07 B0 07 7F", ["B0 07", "B0 07 7F"]),
        ("B0 07 7F F6 0A 40", ["B0 07 7F", "F6", "0A", "40"]),  # system common cancels running status
        ("F2 10 20 F3 05 F1 11", ["F2 10 20", "F3 05", "F1 11"]),
        ("10 20", ["10", "20"]),
        ("F7", ["F7"]),
    ],
)
def test_midi_streams(stream: str, messages: list[str]) -> None:
    assert MidiFraming().feed(bytes.fromhex(stream)) == [bytes.fromhex(message) for message in messages]


@settings(deadline=None)
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_midi_cut_anywhere_gives_the_same_messages(data: bytes, cuts: list[int]) -> None:
    whole, pieces = MidiFraming(), MidiFraming()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    cut_up = [message for start, end in itertools.pairwise(edges) for message in pieces.feed(data[start:end])]
    assert cut_up == whole.feed(data)
    assert pieces.flush() == whole.flush()


def test_lines_and_noise() -> None:
    framing = LineFraming(b"\r\n")
    assert framing.feed(b"Out01 In0") == []
    assert framing.feed(b"3 Aud\r") == []
    assert framing.feed(b"\n\r\nVol50\r\n") == [b"Out01 In03 Aud", b"Vol50"]
    assert framing.feed(b"Ou\xfet") == [b"Ou\xfe"]
    assert framing.flush() == b"t"


def test_what_never_ends_is_given_up() -> None:
    assert [len(line) for line in LineFraming(b"\r\n").feed(b"x" * (LONGEST_LINE + 1))] == [LONGEST_LINE]
    assert len(MidiFraming().feed(b"\xf0" + b"\x01" * LONGEST_SYSEX)[0]) == LONGEST_SYSEX
