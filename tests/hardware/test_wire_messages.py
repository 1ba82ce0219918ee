"""Settings in exact bytes and back. Expected bytes are worked out by hand from the devices' manuals and MIDI 1.0."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.wire.examples import check_examples
from hardware.wire.messages import Change, Parser, Refusal, Report, Unparsed, encode, query, session_steps
from profiles.errors import ProfileError, UnknownControlError, ValueRangeError
from profiles.library import load_profile, read_library
from profiles.profile import Profile, Value
from profiles.taper import NumberTaper

PROFILES = {profile.id: profile for profile in read_library().profiles}
DESK, MATRIX, YAMAHA = (PROFILES[name] for name in ("room-desk-24", "extron-sis-matrix", "yamaha-01v96"))
SENT = [
    (profile.id, control.name)
    for profile in PROFILES.values()
    for control in profile.controls.values()
    if not control.by_hand
]


def hexes(messages: tuple[bytes, ...]) -> list[str]:
    return [message.hex(" ").upper() for message in messages]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
def test_shipped_examples_hold_both_ways(profile: Profile) -> None:
    report = check_examples(profile)
    assert report.problems == ()
    assert report.examples_run >= 3 or profile.verification == "unverified" or profile.transports == ("hand",)


@pytest.mark.parametrize(
    ("profile", "control", "value", "messages"),
    [
        # Room Desk 24: 0.25 dB steps from 64; +0.75 dB is 67 = 43h
        ("room-desk-24", "ch01/eq/lf_gain", 0.75, ["B0 63 12", "B0 62 00", "B0 06 43", "B0 26 00"]),
        ("room-desk-24", "ch02/fader", -20.0, ["B0 63 10", "B0 62 01", "B0 06 34", "B0 26 00"]),
        ("room-desk-24", "ch24/eq/in", False, ["81 17 00"]),
        # Room Comp: 10:1 sends 106 = 6Ah; 30 ms 116 = 74h; 1200 ms 112 = 70h
        ("room-comp", "ratio", 10.0, ["B0 15 6A"]),
        ("room-comp", "attack", 30.0, ["B0 16 74"]),
        ("room-comp", "release", 1200.0, ["B0 17 70"]),
        ("room-comp", "makeup", 15.0, ["B0 18 7F"]),
        # SixtyFour: dB = v - 96; destination 32 is 3Fh
        ("cmlabs-sixtyfour", "out32/level", -96.0, ["B0 3F 00"]),
        # 01V96: EQ high gain +18.0 dB is 180 = 1 * 128 + 52 on channel 32
        ("yamaha-01v96", "ch32/eq/hf_gain", 18.0, ["F0 43 10 3E 7F 01 20 0D 1F 00 00 01 34 F7"]),
        # -12.5 dB attenuation is -125 tenths: 2^28 - 125 ends in 7F 03
        ("yamaha-01v96", "ch01/trim", -12.5, ["F0 43 10 3E 7F 01 1D 00 00 7F 7F 7F 03 F7"]),
        ("yamaha-01v96", "ch16/mute", False, ["F0 43 10 3E 7F 01 1A 00 0F 00 00 00 01 F7"]),
        # MCU: strip 8 is channel 8; 16383 is 7F 7F
        ("mcu-host", "ch08/fader", 16383.0, ["E7 7F 7F"]),
        ("oto-boum", "gate", 1.0, ["B0 17 01"]),
    ],
)
def test_bytes_of_a_setting(profile: str, control: str, value: Value, messages: list[str]) -> None:
    assert hexes(encode(PROFILES[profile], control, value).messages) == messages


@pytest.mark.parametrize(
    ("control", "value", "command", "reply"),
    [
        ("out01/tie", 3.0, b"3*1$", b"Out01 In03 Aud\r\n"),
        ("out08/tie", 0.0, b"0*8$", b"Out08 In00 Aud\r\n"),
        ("in01/gain", 24.0, b"1*24G", b"In01 Aud+24\r\n"),
        ("in01/gain", 0.0, b"1*0G", b"In01 Aud+00\r\n"),
        ("in08/gain", -18.0, b"8*18g", b"In08 Aud-18\r\n"),
        ("out03/volume", 0.0, b"3*0V", b"Out03 Vol00\r\n"),
        ("out02/mute", False, b"2*0Z", b"Amt02*0\r\n"),
        ("out02/mute", True, b"2*1Z", b"Amt2*1\r\n"),  # models differ in padding
        ("preset/save", 12.0, b"12,", b"Spr12\r\n"),
        ("preset/recall", 1.0, b"1.", b"Rpr01\r\n"),
    ],
)
def test_matrix_commands_and_replies(control: str, value: Value, command: bytes, reply: bytes) -> None:
    encoded = encode(MATRIX, control, value)
    assert encoded.messages == (command,)
    assert Parser(MATRIX).feed(reply) == [Change(control, value, encoded.raw)]


def test_matrix_is_asked_in_the_mode_that_its_session_opens() -> None:
    assert [step.messages for step in session_steps(MATRIX)] == [(b"\x1b3CV\r",)]
    assert query(MATRIX, "out04/tie") == (b"4$",)
    assert query(MATRIX, "in02/gain") == (b"2G",)
    assert query(MATRIX, "out02/mute") == (b"2Z",)
    assert query(MATRIX, "preset/save") == ()
    assert Parser(MATRIX).feed(b"Vrb3\r\nOut04 In02 Aud\r\n") == [Report("session"), Change("out04/tie", 2.0, 2)]


def test_matrix_errors_are_refusals_with_their_meaning() -> None:
    assert Parser(MATRIX).feed(b"E12\r\nE99\r\n") == [
        Refusal(None, "E12", "no such output"),
        Refusal(None, "E99", "a refusal its profile does not explain"),
    ]


def test_matrix_banner_means_nothing_and_nonsense_is_kept() -> None:
    said = Parser(MATRIX).feed(b"(c) Copyright 2003, Extron Electronics, V1.23\r\nOut09 In01 Aud\r\nOut01 In09 Aud\r\n")
    assert said == [Unparsed(b"Out09 In01 Aud"), Unparsed(b"Out01 In09 Aud")]


def test_preset_commands_are_marked_dangerous() -> None:
    dangerous = {
        (profile.id, control.name)
        for profile in PROFILES.values()
        for control in profile.controls.values()
        if control.dangerous
    }
    assert dangerous >= {
        ("extron-sis-matrix", "preset/save"),
        ("extron-sis-matrix", "preset/recall"),
        ("cmlabs-sixtyfour", "memory/store"),
    }


def test_console_request_and_answer() -> None:
    assert hexes(query(YAMAHA, "ch01/fader")) == ["F0 43 30 3E 7F 01 1C 00 00 F7"]
    answer = bytes.fromhex("F0 43 10 3E 7F 01 20 03 02 7F 7F 7E 4C F7")
    assert Parser(YAMAHA).feed(answer) == [Change("ch03/eq/lf_gain", -18.0, -180)]


def test_desk_queries_and_refusals() -> None:
    assert hexes(query(DESK, "ch07/fader")) == ["F0 7D 48 4E 10 10 06 F7"]
    assert hexes(query(DESK, "ch05/mute")) == ["F0 7D 48 4E 10 41 04 F7"]
    assert query(DESK, "ch05/trim") == ()
    said = Parser(DESK).feed(bytes.fromhex("F0 7D 48 4E 7F 10 06 F7"))
    assert [(item.control, item.code) for item in said if isinstance(item, Refusal)] == [("ch07/fader", "NAK")]


def test_selected_parameter_stays_selected() -> None:
    parser = Parser(DESK)
    parser.feed(bytes.fromhex("B0 63 10 B0 62 06 B0 06 60 B0 26 00"))
    assert parser.feed(bytes.fromhex("B0 06 48 B0 26 00")) == [Change("ch07/fader", -10.0, 144)]
    assert parser.feed(bytes.fromhex("B0 62 07 B0 06 60 B0 26 00")) == [Change("ch08/fader", 0.0, 192)]


def test_data_of_another_parameter_is_never_taken_for_this_one() -> None:
    parser = Parser(DESK)
    parser.feed(bytes.fromhex("B0 63 10 B0 62 06 B0 06 60 B0 26 00"))
    lsb_only = bytes.fromhex("B0 63 10 B0 62 07 B0 26 40")
    assert all(isinstance(item, Unparsed) for item in parser.feed(lsb_only))
    registered = bytes.fromhex("B0 65 00 B0 64 00 B0 06 02 B0 26 00")  # RPN 0 deselects the NRPN
    assert all(isinstance(item, Unparsed) for item in parser.feed(registered))


def test_note_on_with_velocity_zero_is_a_note_off() -> None:
    assert Parser(DESK).feed(bytes.fromhex("90 04 00")) == [Change("ch05/mute", False, 0)]
    assert Parser(DESK).feed(bytes.fromhex("90 04 40 80 04 40")) == [
        Change("ch05/mute", True, 127),
        Change("ch05/mute", False, 0),
    ]


def test_other_messages_between_the_four_of_a_fader() -> None:
    stream = "B0 63 10 90 04 7F B0 62 06 F8 B0 06 51 B0 42 7F B0 26 40"
    said = Parser(DESK).feed(bytes.fromhex(stream))
    assert [item.control for item in said if isinstance(item, Change)] == ["ch05/mute", "ch03/pan", "ch07/fader"]
    assert len(said) == 3


def test_a_surface_button_is_no_state_of_its_lamp() -> None:
    parser = Parser(PROFILES["mcu-host"])
    assert parser.feed(bytes.fromhex("90 12 7F 90 12 00")) == []
    assert parser.feed(bytes.fromhex("E2 08 64")) == [Change("ch03/fader", 12808.0, 12808)]


def test_what_is_incomplete_is_given_up_on_request() -> None:
    parser = Parser(DESK)
    assert parser.feed(bytes.fromhex("B0 63 10 B0 62 06 B0 06")) == []
    assert parser.flush() == [Unparsed(bytes.fromhex("B0 63 10 B0 62 06 B0 06"))]
    assert parser.flush() == []


def test_pan_code_zero_is_hard_left() -> None:
    assert Parser(DESK).feed(bytes.fromhex("B0 40 00")) == [Change("ch01/pan", -100.0, 0)]


def test_values_out_of_range_are_refused_and_received_ones_kept_as_they_are() -> None:
    with pytest.raises(ValueRangeError, match=r"ch01/fader \(dB\)"):
        encode(DESK, "ch01/fader", 10.5)
    with pytest.raises(UnknownControlError):
        encode(DESK, "ch25/fader", 0.0)
    with pytest.raises(ProfileError, match="by hand"):
        encode(DESK, "ch01/trim", 0.0)
    below = bytes.fromhex("B0 63 12 B0 62 00 B0 06 03 B0 26 00")  # EQ gains begin at 4
    assert Parser(DESK).feed(below) == [Unparsed(below)]


def test_wrong_example_is_reported_with_both_bytes(tmp_path: Path) -> None:
    text = DESK.path.read_text(encoding="utf-8") if DESK.path else ""
    path = tmp_path / "desk.toml"
    path.write_text(text.replace('"B0 06 51", "B0 26 40"', '"B0 06 51", "B0 26 00"'), encoding="utf-8")
    problems = check_examples(load_profile(str(path))).problems
    assert any("B0 26 40" in problem.what and "B0 26 00" in problem.what for problem in problems)


def test_two_controls_with_the_same_bytes_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "comp.toml"
    text = (PROFILES["room-comp"].path or path).read_text(encoding="utf-8")
    path.write_text(text.replace("cc = {number = 24}", "cc = {number = 20}"), encoding="utf-8")
    assert any(problem.where == "makeup" for problem in check_examples(load_profile(str(path))).problems)


def plain(control: str, value: Value) -> str:
    """The SIS reply line for a setting, from the command table."""
    place, what = control.split("/")
    number = place[-2:]
    if what == "tie":
        return f"Out{number} In{int(value):02d} Aud"
    if what == "gain":
        return f"In{number} Aud{int(value):+03d}"
    return f"Out{number} Vol{int(value):02d}" if what == "volume" else f"Amt{number}*{int(value)}"


@settings(deadline=None)
@given(data=st.data())
def test_every_setting_of_every_profile_comes_back_from_its_bytes(data: st.DataObject) -> None:
    profile_id, name = data.draw(st.sampled_from(SENT))
    profile = PROFILES[profile_id]
    control = profile.controls[name]
    if isinstance(control.taper, NumberTaper):
        middle = (control.low + control.high) / 2
        value: Value = data.draw(
            st.sampled_from([control.low, middle, control.high]) | st.floats(control.low, control.high)
        )
    else:
        value = data.draw(st.sampled_from([position.value for position in control.taper.positions]))
    encoded = encode(profile, name, value)
    assert encoded.value == control.achieved(value)
    if isinstance(value, float) and not isinstance(value, bool):
        assert isinstance(encoded.value, float)
        assert abs(encoded.value - value) <= control.step_at(value) / 2 * (1 + 1e-9) + 1e-12
    answers_alike = all(form.reply is form.send for form in control.forms)
    if control.listened and answers_alike:
        assert Parser(profile).feed(b"".join(encoded.messages)) == [Change(name, encoded.value, encoded.raw)]


@settings(deadline=None)
@given(data=st.data())
def test_matrix_stream_reads_the_same_however_it_is_cut(data: st.DataObject) -> None:
    names = [name for name in MATRIX.controls if "/" in name and not name.startswith("preset")]
    wanted = []
    stream = b""
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=6)):
        control = MATRIX.controls[name]
        value = control.achieved(
            data.draw(st.booleans())
            if control.unit == "bool"
            else data.draw(st.integers(int(control.low), int(control.high)))
        )
        wanted.append(Change(name, value, control.to_raw(value)))
        stream += plain(name, value).encode() + b"\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = Parser(MATRIX)
    said = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        said += parser.feed(stream[start:end])
    assert said == wanted


@settings(deadline=None)
@given(data=st.data())
def test_interleaved_input_gives_the_same_changes(data: st.DataObject) -> None:
    """Two streams on different MIDI channels may be merged message by message."""
    faders = [f"ch{n:02}/fader" for n in range(1, 25)] + [f"ch{n:02}/eq/lf_gain" for n in range(1, 25)]
    switches = [f"ch{n:02}/{what}" for n in range(1, 25) for what in ("mute", "eq/in", "pan")]
    first, second, wanted = [], [], []
    for name in data.draw(st.lists(st.sampled_from(faders), max_size=4)):
        encoded = encode(DESK, name, data.draw(st.floats(-15.0, 10.0)))
        first += encoded.messages
        wanted.append(Change(name, encoded.value, encoded.raw))
    others = []
    for name in data.draw(st.lists(st.sampled_from(switches), max_size=4)):
        encoded = encode(
            DESK, name, data.draw(st.floats(-100.0, 100.0)) if name.endswith("pan") else data.draw(st.booleans())
        )
        second += encoded.messages
        others.append(Change(name, encoded.value, encoded.raw))
    parser, said = Parser(DESK), []
    while first or second:
        queue = first if first and (not second or data.draw(st.booleans())) else second
        said += parser.feed(queue.pop(0))
    names = {change.control for change in wanted}
    assert [item for item in said if isinstance(item, Change) and item.control in names] == wanted
    assert [item for item in said if isinstance(item, Change) and item.control not in names] == others
    assert len(said) == len(wanted) + len(others)


@settings(max_examples=300, deadline=None)
@given(profile=st.sampled_from(sorted(PROFILES)), pieces=st.lists(st.binary(max_size=40), max_size=10))
def test_random_bytes_never_break_a_parser(profile: str, pieces: list[bytes]) -> None:
    parser = Parser(PROFILES[profile])
    for piece in pieces:
        for item in parser.feed(piece):
            if isinstance(item, Change):
                control = PROFILES[profile].controls[item.control]
                assert control.from_raw(item.raw) == item.value
    parser.flush()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_likely_bytes_never_break_a_parser(data: st.DataObject) -> None:
    """Bytes that the desk's messages are made of, in any order."""
    words = st.sampled_from(
        [0xB0, 0x63, 0x62, 0x06, 0x26, 0x10, 0x12, 0x00, 0x40, 0x7F, 0x90, 0x80, 0xF0, 0x7D, 0x48, 0x4E, 0xF7]
    )
    parser = Parser(DESK)
    for item in parser.feed(bytes(data.draw(st.lists(words, max_size=60)))):
        if isinstance(item, Change):
            assert DESK.controls[item.control].from_raw(item.raw) == item.value


def test_off_is_minus_infinity_on_the_wire_and_back() -> None:
    encoded = encode(DESK, "ch24/fader", "off")
    assert encoded.value == -math.inf
    assert Parser(DESK).feed(b"".join(encoded.messages)) == [Change("ch24/fader", -math.inf, 0)]
