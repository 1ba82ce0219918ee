"""Every shipped profile on the wire: there and back at every end and detent, and unmoved by noise."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.wire.messages import Accepted, Change, Parser, encode, reply_to
from profiles.library import read_library, variants_of
from profiles.profile import Control, Profile
from profiles.taper import NumberTaper
from tests.hardware.wire_fuzz import ROOM_BYTES, Seen, grown, spoken, throw

PROFILES = [
    variant
    for profile in read_library().profiles
    for variant in variants_of(profile)
    if any(not control.by_hand for control in profile.controls.values())
]


def ids(profile: Profile) -> str:
    return "-".join((profile.id, *profile.options.values()))


@cache
def parser_of(profile: Profile) -> Parser:
    return Parser(profile)


def distinct(profile: Profile) -> list[Control]:
    """Take one control of each kind of message; the first and the last of those that are stamped from one table."""
    first: dict[int, Control] = {}
    last: dict[int, Control] = {}
    for control in profile.controls.values():
        if not control.by_hand:
            first.setdefault(id(control.forms), control)
            last[id(control.forms)] = control
    return [*first.values(), *last.values()]


def there_and_back(profile: Profile, parser: Parser, control: Control, raw: int) -> None:
    value = control.from_raw(raw)
    encoded = encode(profile, control.name, value)
    assert encoded.value == value
    assert control.to_raw(encoded.value) == encoded.raw
    reply = reply_to(profile, control.name, encoded.raw)
    if control.listened and reply:
        said = parser.feed(b"".join(reply))
        assert Change(control.name, encoded.value, encoded.raw) in said


@pytest.mark.parametrize("profile", PROFILES, ids=ids)
def test_every_control_comes_back_from_its_ends_and_detents(profile: Profile) -> None:
    parser = Parser(profile)
    for control in distinct(profile):
        for raw in {*control.taper.ends, *(control.to_raw(detent) for detent in control.detents)}:
            there_and_back(profile, parser, control, raw)


@pytest.mark.parametrize("profile", PROFILES, ids=ids)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_code_of_any_control_comes_back(profile: Profile, data: st.DataObject) -> None:
    control = data.draw(st.sampled_from(distinct(profile)), label="control")
    taper = control.taper
    if isinstance(taper, NumberTaper):
        raw = data.draw(st.integers(taper.curve.low, taper.curve.high), label="raw")
    else:
        raw = data.draw(st.sampled_from(list(taper.codes)), label="raw")
    there_and_back(profile, parser_of(profile), control, raw)


@pytest.mark.parametrize("profile", PROFILES, ids=ids)
def test_a_reply_that_is_cut_off_acknowledges_nothing(profile: Profile) -> None:
    parser = Parser(profile)
    for control in spoken(profile):
        raw = control.taper.ends[-1]
        whole = reply_to(profile, control.name, raw)
        said = Change(control.name, control.from_raw(raw), raw)
        for size in range(len(whole[-1])):
            heard = parser.feed(b"".join(whole[:-1]) + whole[-1][:size])
            parser.flush()
            assert said not in heard
            assert Accepted() not in heard


@pytest.mark.parametrize("profile", PROFILES, ids=ids)
def test_noise_neither_breaks_a_parser_nor_fills_the_memory(profile: Profile) -> None:
    seen, rng, parser = Seen(), random.Random(profile.id), Parser(profile)
    throw(profile, parser, 200, rng, seen)
    assert grown(profile, parser, 600, rng, seen) < ROOM_BYTES
    assert seen.faults == []
