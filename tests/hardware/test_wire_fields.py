"""Numbers in bytes, as MIDI 1.0 and the makers' documents define them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.wire.patterns import stamp, stamp_line, take, take_line
from hardware.wire.writing import Writer, put
from profiles.errors import ProfileError
from profiles.template import Template, parse_midi, parse_text


def write(template: Template, variables: dict[str, int]) -> bytes:
    return Writer(template, {}).write(variables)


@pytest.mark.parametrize(
    ("template", "number", "message"),
    [
        ("B0 07 {v}", 127, "B0 07 7F"),
        ("E0 {v:left14.lsb}", 8192, "E0 00 40"),  # MIDI 1.0: pitch bend centre is 00 40, LSB first
        ("E0 {v:left14.lsb}", 12808, "E0 08 64"),  # 100 * 128 + 8
        ("E0 {v:left10.lsb}", 1023, "E0 70 7F"),  # 1023 * 16 = 16368 = 127 * 128 + 112
        ("F0 7D {v:right14} F7", 823, "F0 7D 06 37 F7"),  # 6 * 128 + 55
        ("F0 7D {v:right8} F7", 255, "F0 7D 01 7F F7"),
        ("F0 7D {v:left8} F7", 163, "F0 7D 51 40 F7"),  # 81 * 2 + 1
        ("F0 7D {v:left7} F7", 88, "F0 7D 58 00 F7"),
        ("F0 7D {v:s7x4} F7", -180, "F0 7D 7F 7F 7E 4C F7"),  # Yamaha: 28-bit two's complement
        ("F0 7D {v:s7x4} F7", 823, "F0 7D 00 00 06 37 F7"),
        ("F0 7D {v:s7x2} F7", -1, "F0 7D 7F 7F F7"),
        ("B0 {2*v+1} 00", 4, "B0 09 00"),
    ],
)
def test_midi_fields_both_ways(template: str, number: int, message: str) -> None:
    parsed = parse_midi(template)
    assert write(parsed, {"v": number}) == bytes.fromhex(message)
    pattern = stamp(parsed, {})
    assert take(pattern.slots, [bytes.fromhex(message)]) == {"v": number}


@pytest.mark.parametrize(
    ("template", "number", "line"),
    [
        ("1*{v}$", 3, "1*3$"),
        ("In05 Aud{v:+2d}", -6, "In05 Aud-06"),
        ("In05 Aud{v:+2d}", 12, "In05 Aud+12"),
        ("Vol{v:2d}", 7, "Vol07"),
        ("2*{-v}g", -18, "2*18g"),
    ],
)
def test_text_fields_both_ways(template: str, number: int, line: str) -> None:
    assert write(parse_text(template), {"v": number}) == line.encode()


def test_two_halves_in_two_messages_make_one_number() -> None:
    msb, lsb = parse_midi("B0 06 {v:left8.hi}"), parse_midi("B0 26 {v:left8.lo}")
    slots = stamp(msb, {}, 0).slots + stamp(lsb, {}, 1).slots
    assert take(slots, [bytes.fromhex("B00651"), bytes.fromhex("B02640")]) == {"v": 163}
    # bits below the eight effective ones are passed over
    assert take(slots, [bytes.fromhex("B00651"), bytes.fromhex("B0267F")]) == {"v": 163}


def test_fields_that_contradict_each_other_are_no_number() -> None:
    slots = stamp(parse_midi("F0 7D {v} {v} F7"), {}).slots
    assert take(slots, [bytes.fromhex("F07D0505F7")]) == {"v": 5}
    assert take(slots, [bytes.fromhex("F07D0506F7")]) is None
    assert take(stamp(parse_midi("B0 07 {2*v}"), {}).slots, [bytes.fromhex("B00705")]) is None


def test_padding_of_a_line_does_not_matter() -> None:
    pattern = stamp_line(parse_text("Out{m:2d} In{v:2d} Aud"), {"m": 3})
    assert pattern.fixed == (3, None)
    assert take_line(pattern.slots, ["3", "11"]) == {"v": 11}


@pytest.mark.parametrize(
    ("template", "number"),
    [
        ("B0 07 {v}", 128),
        ("B0 07 {v}", -1),
        ("F0 {v:left8} F7", 256),
        ("F0 {v:s7x2} F7", 8192),
        ("F0 {v:s7x2} F7", -8193),
        ("B{n} 00 00", 16),
    ],
)
def test_a_number_too_big_for_its_field_is_said(template: str, number: int) -> None:
    with pytest.raises(ProfileError, match="does not fit"):
        write(parse_midi(template), {"v": number, "n": number})


def test_a_negative_number_without_a_sign_is_said() -> None:
    with pytest.raises(ProfileError, match="does not fit"):
        write(parse_text("{v}G"), {"v": -3})


def test_wildcards_and_unknown_variables_cannot_be_sent() -> None:
    with pytest.raises(ProfileError, match="wildcard"):
        write(parse_midi("B0 07 {*}"), {})
    with pytest.raises(ProfileError, match="not given"):
        write(parse_midi("B0 07 {v}"), {})


@settings(deadline=None)
@given(
    encoding=st.sampled_from(["left14", "left14.lsb", "right14", "right14.lsb", "right11", "left9", "s7x3"]),
    data=st.data(),
)
def test_every_number_comes_back(encoding: str, data: st.DataObject) -> None:
    parsed = parse_midi(f"F0 7D {{v:{encoding}}} F7")
    slots = stamp(parsed, {}).slots
    bits = slots[0].encoding.total
    low, high = (-(2**20), 2**20 - 1) if encoding == "s7x3" else (0, 2**bits - 1)
    number = data.draw(st.integers(low, high))
    message = write(parsed, {"v": number})
    assert all(byte < 0x80 for byte in message[1:-1])
    assert take(slots, [message]) == {"v": number}
    assert put(slots[0].encoding, number) == message[2:-1]
