"""The wire against the virtual gear, whose decoders were written from the same manuals without it."""

from __future__ import annotations

import math

import pytest

from hardware.room.decoder_comp import CompDecoder
from hardware.room.decoder_desk import DeskDecoder
from hardware.room.decoder_matrix import MatrixDecoder
from hardware.wire.messages import Change, Parser, Refusal, encode, query
from profiles.library import load_profile
from profiles.profile import Control, Value

DESK, COMP, MATRIX = (load_profile(name) for name in ("room-desk-24", "room-comp", "extron-sis-matrix"))


def settings_of(control: Control) -> list[Value]:
    """A few values that the control can be told, its ends among them."""
    codes = list(control.taper.codes)
    return [
        control.from_raw(codes[index]) for index in sorted({0, 1, len(codes) // 3, len(codes) // 2, len(codes) - 1})
    ]


@pytest.mark.parametrize("section", ["ch01/", "ch17/", "ch24/", "master/"])
def test_desk_moves_to_what_was_sent_and_says_so(section: str) -> None:
    decoder, parser = DeskDecoder(), Parser(DESK)
    for control in DESK.controls.values():
        if control.by_hand or not control.name.startswith(section):
            continue
        for value in settings_of(control):
            for message in encode(DESK, control.name, value).messages:
                assert decoder.receive(message) == []
            stands = decoder.knobs()[control.name]
            assert stands == value or math.isclose(float(stands), float(value), abs_tol=1e-9)
            answers = [answer for message in query(DESK, control.name) for answer in decoder.receive(message)]
            said = parser.feed(b"".join(answers))
            assert [(item.control, item.raw) for item in said if isinstance(item, Change)] == [
                (control.name, control.to_raw(value))
            ]


def test_desk_covers_every_knob_of_the_room() -> None:
    assert set(DeskDecoder().knobs()) == set(DESK.controls)


def test_desk_defaults_are_its_power_on_state() -> None:
    assert DeskDecoder().knobs() == {control.name: control.default for control in DESK.controls.values()}


def test_desk_refusal_names_the_control() -> None:
    decoder = DeskDecoder(refusing={"ch07/fader", "ch08/mute", "master/insert"})
    for name, value in (("ch07/fader", 0.0), ("ch08/mute", True), ("master/insert", True)):
        answers = [answer for message in encode(DESK, name, value).messages for answer in decoder.receive(message)]
        said = Parser(DESK).feed(b"".join(answers))
        assert [item.control for item in said if isinstance(item, Refusal)] == [name]


def test_desk_moved_by_hand_is_heard() -> None:
    said = Parser(DESK).feed(b"".join(DeskDecoder().turn("ch03/fader", -10.0)))
    assert said == [Change("ch03/fader", -10.0, 144)]


def test_comp_takes_every_position() -> None:
    decoder = CompDecoder()
    for control in COMP.controls.values():
        for value in settings_of(control):
            for message in encode(COMP, control.name, value).messages:
                decoder.receive(message)
            assert decoder.knobs()[control.name] == pytest.approx(value)


def test_matrix_obeys_answers_and_refuses() -> None:
    decoder, parser = MatrixDecoder(refusing={"out02/tie"}), Parser(MATRIX)
    assert decoder.receive(b"\x1b3CV\r") == [b"Vrb3\r\n"]
    for control in MATRIX.controls.values():
        if control.dangerous:
            continue
        for value in settings_of(control):
            encoded = encode(MATRIX, control.name, value)
            answers = [answer for message in encoded.messages for answer in decoder.receive(message)]
            said = parser.feed(b"".join(answers))
            if control.name == "out02/tie":
                assert [item.code for item in said if isinstance(item, Refusal)] == ["E06"]
                continue
            assert said == [Change(control.name, value, encoded.raw)]
            asked = [answer for message in query(MATRIX, control.name) for answer in decoder.receive(message)]
            assert parser.feed(b"".join(asked)) == [Change(control.name, value, encoded.raw)]
