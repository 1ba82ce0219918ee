"""What the profile language can say beyond a value in a control change, and how it complains."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from profiles import taper_schema as tables
from profiles.encoding import byte_encoding, parse_data, text_encoding
from profiles.errors import ProfileError, ProfileSyntaxError, ValueRangeError
from profiles.library import load_profile, variants_of
from profiles.profile import Profile
from profiles.schema import json_schema
from profiles.taper import make_taper, problems_of
from profiles.template import parse_frame, parse_midi, parse_sum

HEAD = """\
schema = 1
id = "one"
maker = "Acme"
model = "One"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "V1"
sources = ["Acme One, owner's manual"]
not_covered = "Nothing."
"""
LEVEL = """
[[control]]
name = "level"
role = "gain"
unit = "raw"
taper = {kind = "offset", raw = [0, 127]}
cc = {number = 7}
"""


def load(folder: Path, body: str, options: dict[str, str] | None = None, channel: int | None = None) -> Profile:
    file = folder / "one.toml"
    file.write_text(HEAD + body, encoding="utf-8")
    return load_profile(str(file), options=options, channel=channel)


@pytest.mark.parametrize(
    ("text", "size", "limits"),
    [
        ("u7", 1, (0, 127)),
        ("u8", 1, (0, 255)),
        ("left8", 2, (0, 255)),
        ("right14.lsb", 2, (0, 16383)),
        ("left10.hi", 1, (0, 1023)),
        ("s7x4", 4, (-(2**27), 2**27 - 1)),
        ("u7x2", 2, (0, 16383)),
        ("s16", 2, (-32768, 32767)),
        ("u32.lsb", 4, (0, 2**32 - 1)),
        ("nib4.lsb", 4, (0, 65535)),
        ("bcd", 1, (0, 99)),
        ("bits0-5", 1, (0, 63)),
        ("bit6", 1, (0, 1)),
        ("3d", 3, (0, 999)),
        ("2X", 2, (0, 255)),
    ],
)
def test_a_field_of_bytes_knows_its_size_and_what_fits(text: str, size: int, limits: tuple[float, float]) -> None:
    encoding = byte_encoding(text)
    assert (encoding.size, encoding.limits) == (size, limits)


@pytest.mark.parametrize("text", ["u9", "left6", "left15", "s7x6", "nib1", "bits5-0", "d", "left8.mid", ""])
def test_an_encoding_that_does_not_exist_is_refused_with_the_list_of_those_that_do(text: str) -> None:
    with pytest.raises(ProfileSyntaxError, match="not an encoding") as caught:
        byte_encoding(text)
    assert "left7" in caught.value.hint


def test_justification_is_left_or_right() -> None:
    assert parse_data("right9").total == 9
    with pytest.raises(ProfileSyntaxError, match="justification"):
        parse_data("left9.hi")


def test_text_fields_have_signs_padding_and_decimals() -> None:
    assert text_encoding("+2d").sign == "+"
    assert (text_encoding("_3d").pad, text_encoding("_3d").width) == (" ", 3)
    assert (text_encoding("-.1d").decimals, text_encoding("-.1d").sign) == (1, "-")
    assert text_encoding("2X").base == "X"


def test_a_checksum_names_its_rule_or_the_nearest_one() -> None:
    with pytest.raises(ProfileSyntaxError, match="sum9") as caught:
        parse_frame("20 01 {=sum9}")
    assert "sum8" in caught.value.hint


def test_an_8_bit_sum_cannot_stand_inside_a_midi_message() -> None:
    with pytest.raises(ProfileSyntaxError, match="not one whole MIDI message"):
        parse_midi("F0 43 {=sum8} F7")
    parse_midi("F0 43 {=twos7@1} F7")


def test_an_expression_tells_how_far_it_reaches() -> None:
    assert parse_sum("0x40+3*n-v").reach({"n": (1, 8), "v": (0, 10)}) == (0x40 + 3 - 10, 0x40 + 24)


def test_a_number_too_big_for_its_field_is_named_with_its_line(tmp_path: Path) -> None:
    body = LEVEL.replace("[0, 127]", "[0, 200]")
    with pytest.raises(ProfileSyntaxError, match=r"one\.toml:\d+: control 1: .*0 to 127 would get 0 to 200"):
        load(tmp_path, body)


def test_an_option_switches_a_taper_and_leaves_the_default_alone(tmp_path: Path) -> None:
    body = """
[options.polarity]
choices = ["sampler", "sequencer"]
default = "sampler"
[tapers.mute]
kind = "switch"
on = 0
off = 127
[[variant]]
when = {polarity = "sequencer"}
tapers.mute = {kind = "switch", on = 127, off = 0}
[[control]]
name = "mute"
role = "mute"
unit = "bool"
taper = "mute"
note = {number = 3, channel = 16}
"""
    assert load(tmp_path, body).controls["mute"].to_raw(True) == 0
    assert load(tmp_path, body, {"polarity": "sequencer"}).controls["mute"].to_raw(True) == 127
    assert [variant.options for variant in variants_of(load(tmp_path, body))] == [
        {"polarity": "sampler"},
        {"polarity": "sequencer"},
    ]
    with pytest.raises(ValueRangeError) as caught:
        load(tmp_path, body, {"polarity": "sequenzer"})
    assert "sequencer" in caught.value.hint
    with pytest.raises(ValueRangeError) as caught:
        load(tmp_path, body, {"polaritty": "sampler"})
    assert "polarity" in caught.value.hint


def test_when_keeps_a_control_out_and_misspelt_options_are_named(tmp_path: Path) -> None:
    body = """
[options.firmware]
choices = ["1.3", "1.5"]
default = "1.5"
""" + LEVEL.replace('name = "level"', 'name = "level"\nwhen = {firmware = ["1.3"]}')
    assert list(load(tmp_path, body + LEVEL.replace("level", "other")).controls) == ["other"]
    assert "level" in load(tmp_path, body, {"firmware": "1.3"}).controls
    with pytest.raises(ProfileSyntaxError, match=r"one\.toml:\d+: control 1, when: firmware has no choice '1\.4'"):
        load(tmp_path, body.replace('["1.3"]}', '["1.4"]}'))
    with pytest.raises(ProfileSyntaxError, match="no option 'firm'"):
        load(tmp_path, body.replace("{firmware =", "{firm ="))


def test_a_channel_of_the_rig_replaces_the_one_of_delivery(tmp_path: Path) -> None:
    assert load(tmp_path, LEVEL, channel=5).controls["level"].variables == {"c": 4}


def test_a_dump_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    body = '\n[[dump]]\nname = "all"\nquery = ["F0 7D 01 F7"]\nhead = "F0 7D 02"\n' + LEVEL
    wrong = body.replace("cc = {number = 7}", 'cc = {number = 7}\ndump = {from = "al", item = "{v}"}')
    with pytest.raises(ProfileSyntaxError, match=r"control 1, dump: there is no dump 'al'") as caught:
        load(tmp_path, wrong)
    assert "all" in caught.value.hint
    right = load(tmp_path, wrong.replace('"al"', '"all"'))
    assert right.controls["level"].readable  # it is asked for by the dump's own question


def test_an_acknowledgement_in_general_says_what_it_looks_like(tmp_path: Path) -> None:
    with pytest.raises(ProfileSyntaxError, match="accepted"):
        load(tmp_path, '\n[ack]\nkind = "accepted"\n' + LEVEL)


def test_wildcards_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(ProfileSyntaxError, match=r"one\.toml:\d+: session 1: .*wildcard"):
        load(tmp_path, '\n[[session]]\nsend = ["B0 {*} 00"]\n' + LEVEL)


def test_segments_follow_each_other_and_a_log_curve_may_lie_below_zero() -> None:
    # BSS London: at and above -10 dB raw = 10 000 dB; below, raw = -200 000 log10(|dB|/10) - 100 000.
    low = tables.LogTaper(raw=(-280618, -100000), value=(-80.0, -10.0))
    high = tables.LinearTaper(raw=(-100000, 100000), value=(-10.0, 10.0))
    taper = make_taper(tables.SegmentsTaper(segments=[low, high]), "dB")
    assert taper.to_raw(0.0) == 0
    assert taper.to_raw(-5.0) == -50000
    for level_db in (-20.0, -40.0, -70.0):
        published = -200_000 * math.log10(-level_db / 10) - 100_000
        assert taper.to_raw(level_db) == pytest.approx(published, abs=1.0)
    assert problems_of(taper) == []
    gap = tables.LinearTaper(raw=(-90000, 100000), value=(-9.0, 10.0))
    with pytest.raises(ProfileSyntaxError, match="does not go on"):
        make_taper(tables.SegmentsTaper(segments=[low, gap]), "dB")


def test_a_multiplying_converter_is_twenty_log() -> None:
    taper = make_taper(tables.GainTaper(raw=(1, 65536), unity=65536, off=0), "dB")
    assert taper.to_raw(0.0) == 65536
    assert taper.to_raw(-20 * math.log10(2)) == 32768
    assert taper.to_raw(-math.inf) == 0


def test_a_table_lists_values_code_by_code() -> None:
    taper = make_taper(tables.TableTaper(values=[10.0, 7.0, 5.0, 1.0], first=2), "q")
    assert [taper.from_raw(raw) for raw in (2, 3, 4, 5)] == [10.0, 7.0, 5.0, 1.0]
    assert taper.to_raw(4.8) == 4


def test_a_detent_that_no_code_hits_is_refused() -> None:
    points = [(0, -100.0), (8191, 0.0), (16383, 100.0)]
    assert make_taper(tables.PointsTaper(points=points, detents=[0.0]), "pan").to_raw(0.0) == 8191
    with pytest.raises(ProfileSyntaxError, match=r"no code is exactly 0\.1"):
        make_taper(tables.LinearTaper(raw=(0, 127), value=(-1.0, 1.0), detents=[0.1]), "pan")


def test_values_kept_or_not_a_code_is_the_same() -> None:
    table = tables.PointsTaper(points=[(1, -80.0), (20, -60.0), (255, 10.0)], off=0)
    kept, fresh = make_taper(table, "dB"), make_taper(table, "dB")
    problems_of(kept)  # keeps the values of all codes
    for value in [place / 7 - 81.0 for place in range(600)]:
        assert kept.to_raw(value) == fresh.to_raw(value)
        assert kept.from_raw(kept.to_raw(value)) == fresh.from_raw(fresh.to_raw(value))


def test_the_json_schema_knows_every_table() -> None:
    text = str(json_schema())
    for word in ("variant", "keep_alive", "session", "identity", "write_retries", "in_flight", "segments", "touch"):
        assert word in text


def test_an_unknown_key_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"one\.toml:\d+: .*lost_after") as caught:
        load(tmp_path, '\n[keep_alive]\nsend = ["90 00 00"]\nevery_s = 1.0\nlost_after = 2.0\n' + LEVEL)
    assert "lost_after_s" in caught.value.hint


def test_an_example_is_of_a_control_or_of_a_command(tmp_path: Path) -> None:
    command = '\n[[command]]\nname = "play"\nsend = ["F0 7F 7F 06 02 F7"]\n'
    example = '\n[[example]]\ncommand = "play"\nbytes = ["F0 7F 7F 06 02 F7"]\nsource = "MMC, command 02"\n'
    profile = load(tmp_path, LEVEL + command + example)
    assert [sample.command for sample in profile.command_examples] == ["play"]
    with pytest.raises(ProfileSyntaxError, match=r"one\.toml:\d+: example 1, command: there is no command 'plya'"):
        load(tmp_path, LEVEL + command + example.replace('command = "play"', 'command = "plya"'))
    with pytest.raises(ProfileSyntaxError, match="of one control and its value, or of one command"):
        load(tmp_path, LEVEL + command + example + 'control = "level"\n')
