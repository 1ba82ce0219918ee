"""The notation of messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.encoding import parse_data
from profiles.errors import ProfileSyntaxError
from profiles.template import Sum, parse_midi, parse_sum, parse_text


@pytest.mark.parametrize(
    ("text", "variables", "number"),
    [
        ("n-1", {"n": 7}, 6),
        ("0x40+n-1", {"n": 24}, 87),
        ("3*n-2", {"n": 4}, 10),
        ("n*12+m", {"n": 2, "m": 5}, 29),
        ("-v", {"v": -6}, 6),
        ("17", {}, 17),
    ],
)
def test_sums(text: str, variables: dict[str, int], number: int) -> None:
    assert parse_sum(text).stamp(variables) == Sum(number, ())


@pytest.mark.parametrize(
    "text", ["", "n*m", "n/2", "2**8", "n--1", "(n)", "n 1 2 x!", "007", "__import__('os')", "n.real"]
)
def test_what_is_no_sum_is_refused(text: str) -> None:
    with pytest.raises(ProfileSyntaxError):
        parse_sum(text)


@pytest.mark.parametrize(
    "text",
    [
        "B0 07",
        "B0 07 7F 00",
        "07 7F",
        "B0 80 00",
        "F0 43 10",
        "F0 43 90 F7",
        "C0 01 02",
        "b0 07 7f",
        "B0 07 {v:left8}",
        "B0 07 {v:u8}",
        "B0 07 {v",
        "",
        "F8",
        "B0 07 {v:left6}",
    ],
)
def test_what_is_no_whole_midi_message_is_refused(text: str) -> None:
    with pytest.raises(ProfileSyntaxError):
        parse_midi(text)


@pytest.mark.parametrize("text", ["", "{v", "v}", "{v:q}", "Vol\u00fc", "{v:12}"])
def test_what_is_no_serial_text_is_refused(text: str) -> None:
    with pytest.raises(ProfileSyntaxError):
        parse_text(text)


@pytest.mark.parametrize("text", ["left8.hi", "u7", "left15", "s7x4", ""])
def test_shorthands_take_justifications_only(text: str) -> None:
    with pytest.raises(ProfileSyntaxError):
        parse_data(text)


@settings(deadline=None)
@given(st.text(alphabet="BCE0123456789F{}nv:*+- dlefthi.", max_size=24))
def test_any_notation_is_read_or_refused(text: str) -> None:
    for parse in (parse_midi, parse_text, parse_sum):
        try:
            parse(text)
        except ProfileSyntaxError as error:
            assert str(error)
