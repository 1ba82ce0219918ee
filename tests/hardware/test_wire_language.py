"""What else a wire says: packed bits, dumps, checksums, frames, sessions, touches, acknowledgements, commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardware.wire.checksums import checksum
from hardware.wire.examples import check_examples
from hardware.wire.messages import (
    Accepted,
    Change,
    Parser,
    Refusal,
    Report,
    Touch,
    Unparsed,
    command,
    encode,
    identity_query,
    keep_alive_messages,
    query,
    session_steps,
)
from profiles.errors import ProfileError, UnknownControlError
from profiles.library import load_profile
from profiles.profile import Profile

MIDI = """\
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
SERIAL = MIDI.replace('["midi"]', '["serial"]')
GAIN = """
[[control]]
name = "mic{n}/gain"
role = "gain"
unit = "dB"
repeat = {n = [1, 8]}
taper = {kind = "offset", raw = [1, 56], offset = 9, off = 0}
dump = {from = "all", item = "{n-1} {v:bits0-5} {*}"}
form = [{send = ["F0 00 20 0D 69 00 20 {n-1} {v:bits0-5} 00 01 F7"], reply = []}]
[[control]]
name = "mic{n}/polarity"
role = "polarity"
unit = "bool"
repeat = {n = [1, 8]}
taper = {kind = "switch", on = 1, off = 0}
dump = {from = "all", item = "{n-1} {v:bit6} {*}"}
form = [{send = ["F0 00 20 0D 69 00 20 {n-1} {v:bit6} 00 02 F7"], reply = []}]
[[control]]
name = "mic{n}/pad"
role = "raw"
unit = "bool"
repeat = {n = [1, 4]}
taper = {kind = "switch", on = 1, off = 0}
dump = {from = "all", item = "{n-1} {*} {v:bit3}"}
form = [{send = ["F0 00 20 0D 69 00 20 {n-1} 00 {v:bit3} 20 F7"], reply = []}]
[[dump]]
name = "all"
query = ["F0 00 20 0D 69 00 10 F7"]
head = "F0 00 20 0D 69 {*} 30"
record = 3
"""


def load(folder: Path, text: str) -> Profile:
    file = folder / "one.toml"
    file.write_text(text, encoding="utf-8")
    profile = load_profile(str(file))
    assert check_examples(profile).problems == ()
    return profile


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def hexes(messages: tuple[bytes, ...]) -> list[str]:
    return [message.hex(" ").upper() for message in messages]


def test_packed_bits_are_set_one_by_one_with_their_write_flag(tmp_path: Path) -> None:
    # RME OctaMic XTC user's guide pp. 59-61: gain bits 0-5 (v + 9 dB), phase bit 6, pad MSB bit 3; flags 01, 02, 20.
    profile = load(tmp_path, MIDI + GAIN)
    assert hexes(encode(profile, "mic2/gain", 37.0).messages) == ["F0 00 20 0D 69 00 20 01 1C 00 01 F7"]
    assert hexes(encode(profile, "mic2/polarity", True).messages) == ["F0 00 20 0D 69 00 20 01 40 00 02 F7"]
    assert hexes(encode(profile, "mic2/pad", True).messages) == ["F0 00 20 0D 69 00 20 01 00 08 20 F7"]
    assert encode(profile, "mic2/gain", float("-inf")).raw == 0


def test_one_dump_tells_every_control_in_it(tmp_path: Path) -> None:
    profile = load(tmp_path, MIDI + GAIN)
    assert query(profile, "mic1/gain") == query(profile, "mic8/polarity") == (octets("F0 00 20 0D 69 00 10 F7"),)
    answer = octets("F0 00 20 0D 69 05 30 01 5C 08 04 38 00 F7")
    assert set(Parser(profile).feed(answer)) == {
        Change("mic2/gain", 37.0, 28),
        Change("mic2/polarity", True, 1),
        Change("mic2/pad", True, 1),
        Change("mic5/gain", 65.0, 56),
        Change("mic5/polarity", False, 0),
    }
    assert Parser(profile).feed(answer[:-2] + b"\xf7") == [Unparsed(answer[:-2] + b"\xf7")]  # half a record


def test_a_controller_may_have_its_lsb_anywhere(tmp_path: Path) -> None:
    text = (
        MIDI
        + """
[[control]]
name = "drive"
role = "raw"
unit = "raw"
taper = {kind = "offset", raw = [0, 255]}
cc = {number = 109, lsb = 37, data = "left8"}
"""
    )
    profile = load(tmp_path, text)
    assert hexes(encode(profile, "drive", 163.0).messages) == ["B0 6D 51", "B0 25 40"]  # 163 = 81 * 2 + 1
    assert Parser(profile).feed(octets("B0 6D 51 B0 25 40")) == [Change("drive", 163.0, 163)]


def test_registered_parameters_and_the_null_number(tmp_path: Path) -> None:
    text = (
        MIDI
        + """
[[control]]
name = "tune"
role = "raw"
unit = "raw"
taper = {kind = "offset", raw = [0, 127]}
rpn = {msb = 0, lsb = 2, data = "left7", lsb_data = false, null = true}
"""
    )
    profile = load(tmp_path, text)
    sent = encode(profile, "tune", 64.0).messages
    assert hexes(sent) == ["B0 65 00", "B0 64 02", "B0 06 40", "B0 65 7F", "B0 64 7F"]
    assert Parser(profile).feed(b"".join(sent[:3])) == [Change("tune", 64.0, 64)]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("twos7", "40 00 7F 00", "41"),  # Roland: (128 - (sum mod 128)) mod 128
        ("twos7", "4C 4D", "67"),  # Yamaha bulk dump
        ("sum8", "20 01", "21"),  # Sony 9-pin: play
        ("lrc", "01 02", "FD"),  # 256 - 3
        ("xor", "88 00 10 03", "9B"),
        ("sum7", "7F 02", "01"),
        ("hexsum", "41 42", "38 33"),  # 41h + 42h = 83h
    ],
)
def test_checksums_of_the_makers(name: str, data: str, expected: str) -> None:
    assert checksum(name, octets(data)) == octets(expected)  # type: ignore[arg-type]


def test_a_wrong_checksum_means_nothing(tmp_path: Path) -> None:
    text = (
        MIDI
        + """
[[control]]
name = "level"
role = "raw"
unit = "raw"
taper = {kind = "offset", raw = [0, 127]}
form = [{send = ["F0 41 10 40 00 {v} 00 {=twos7@3} F7"]}]
"""
    )
    profile = load(tmp_path, text)
    right = octets("F0 41 10 40 00 7F 00 41 F7")
    assert encode(profile, "level", 127.0).messages == (right,)
    assert Parser(profile).feed(right) == [Change("level", 127.0, 127)]
    wrong = right.replace(b"\x41\xf7", b"\x42\xf7")
    assert Parser(profile).feed(wrong) == [Unparsed(wrong)]


def test_fixed_frames_find_their_first_byte_again(tmp_path: Path) -> None:
    # Kramer Protocol 2000: four bytes, only the first below 80; 40h in it marks the device's own.
    text = (
        SERIAL
        + """
[serial]
frame = {kind = "fixed", length = 4, first = [0, 127], rest = [128, 255]}
[ack]
kind = "reply"
[[control]]
name = "out{m:02}/tie"
role = "route"
unit = "raw"
repeat = {m = [1, 8]}
taper = {kind = "offset", raw = [0, 8]}
form = [{send = ["02 {0x80+v} {0x80+m} 81"], reply = ["42 {0x80+v} {0x80+m} 81"]}]
"""
    )
    profile = load(tmp_path, text)
    assert encode(profile, "out03/tie", 1.0).messages == (octets("02 81 83 81"),)
    parser = Parser(profile)
    assert parser.feed(octets("42 81")) == []
    assert parser.feed(octets("42 81 83 81")) == [Unparsed(octets("42 81")), Change("out03/tie", 1.0, 1)]


def test_counted_frames_with_acknowledgement_and_reports(tmp_path: Path) -> None:
    # Sony 9-pin: (CMD1 << 4 | count), CMD2, data, sum8; 10 01 11 is ACK, 11 12 xx NAK; time comes back in BCD.
    text = (
        SERIAL
        + """
[serial]
baud = 38400
parity = "odd"
frame = {kind = "counted", mask = 0x0F, plus = 3}
[ack]
kind = "accepted"
accepted = ["10 01 11"]
[[refusal]]
reply = "11 12 {code:u8} {=sum8}"
codes = {4 = "checksum error"}
[[command]]
name = "play"
send = ["20 01 {=sum8}"]
[[command]]
name = "locate"
send = ["24 31 {frames:bcd} {seconds:bcd} {minutes:bcd} {hours:bcd} {=sum8}"]
[[report]]
means = "time"
reply = "74 04 {frames:bcd} {seconds:bcd} {minutes:bcd} {hours:bcd} {=sum8}"
[[control]]
name = "speed"
role = "raw"
unit = "raw"
taper = {kind = "offset", raw = [0, 255]}
form = [{send = ["21 13 {v} {=sum8}"]}]
"""
    )
    profile = load(tmp_path, text)
    assert command(profile, "play") == (octets("20 01 21"),)
    cue = command(profile, "locate", hours=1, minutes=23, seconds=45, frames=12)
    assert cue == (octets("24 31 12 45 23 01 D0"),)  # 24 + 31 + 12 + 45 + 23 + 01 = D0h
    with pytest.raises(ProfileError, match="needs hours"):
        command(profile, "locate", minutes=1, seconds=2, frames=3)
    with pytest.raises(UnknownControlError) as caught:
        command(profile, "plya")
    assert "play" in caught.value.hint
    parser = Parser(profile)
    assert parser.feed(octets("10 01 11 11 12 04 27")) == [Accepted(), Refusal(None, "11 12 04 27", "checksum error")]
    time = octets("74 04 12 45 23 01")
    time += checksum("sum8", time)
    assert parser.feed(time) == [Report("time", {"frames": 12, "seconds": 45, "minutes": 23, "hours": 1})]
    assert parser.feed(octets("74 04 1A 45 23 01 F1")) == [Unparsed(octets("74 04 1A 45 23 01 F1"))]  # 1A is no BCD


def test_delimited_frames_are_stuffed_after_their_checksum(tmp_path: Path) -> None:
    # BSS London: XOR of the body, then 02 03 06 15 1B each become 1B and the byte + 80h, between 02 and 03.
    text = (
        SERIAL
        + """
[serial]
[serial.frame]
kind = "delimited"
start = 2
end = 3
escape = 0x1B
add = 0x80
escaped = [2, 3, 6, 0x15, 0x1B]
singles = [6, 0x15]
[ack]
kind = "accepted"
accepted = ["06"]
[[control]]
name = "gain"
role = "gain"
unit = "dB"
taper = {kind = "linear", raw = [-100000, 100000], value = [-10, 10]}
form = [{send = ["88 00 01 03 00 00 10 00 00 {v:s32} {=xor}"], reply = ["88 00 01 03 00 00 10 00 00 {v:s32} {=xor}"]}]
"""
    )
    profile = load(tmp_path, text)
    # +10 dB = 100000 = 000186A0h; XOR 88^01^03^10^01^86^A0 = BDh; 03 and nothing else inside is stuffed
    sent = encode(profile, "gain", 10.0).messages
    assert hexes(sent) == ["02 88 00 01 1B 83 00 00 10 00 00 00 01 86 A0 BD 03"]
    parser = Parser(profile)
    assert parser.feed(b"\x06" + sent[0]) == [Accepted(), Change("gain", 10.0, 100000)]
    assert parser.feed(octets("02 03 02 03") + sent[0]) == [Change("gain", 10.0, 100000)]  # empty frames are nothing


def test_session_keep_alive_identity_and_touch(tmp_path: Path) -> None:
    # HUI: ping 90 00 00 every second, answered 90 00 7F; touch is zone then port 0. Identity: universal SysEx.
    text = (
        MIDI
        + """
[[session]]
send = ["B{c} 60 00"]
wait_s = 0.3
[keep_alive]
send = ["90 00 00"]
every_s = 1.0
expect = "90 00 7F"
lost_after_s = 2.0
[identity]
query = ["F0 7E 7F 06 01 F7"]
reply = "F0 7E {*} 06 02 {maker:bytes1} {*} {*} {*} {*} {firmware:bytes4} F7"
[[control]]
name = "ch{n:02}/fader"
role = "fader"
unit = "raw"
repeat = {n = [1, 8]}
taper = {kind = "offset", raw = [0, 16383]}
cc = {number = "n-1", lsb = "0x1F+n", data = "left14"}
touch = {on = ["B0 0F {n-1}", "B0 2F 40"], off = ["B0 0F {n-1}", "B0 2F 00"]}
"""
    )
    profile = load(tmp_path, text)
    (step,) = session_steps(profile)
    assert (hexes(step.messages), step.expects, step.wait_s) == (["B0 60 00"], False, 0.3)
    assert hexes(keep_alive_messages(profile)) == ["90 00 00"]
    assert hexes(identity_query(profile)) == ["F0 7E 7F 06 01 F7"]
    parser = Parser(profile)
    assert parser.feed(octets("90 00 7F")) == [Report("alive")]
    assert parser.feed(octets("B0 0F 02 B0 2F 40 B0 0F 02 B0 2F 00")) == [
        Touch("ch03/fader", on=True),
        Touch("ch03/fader", on=False),
    ]
    assert parser.feed(octets("B0 02 40 B0 22 01")) == [Change("ch03/fader", 8193.0, 8193)]
    answer = parser.feed(octets("F0 7E 00 06 02 43 00 00 00 00 00 01 00 02 F7"))
    assert answer == [Report("identity", {"maker": "43", "firmware": "00 01 00 02"})]


def test_lines_with_tenths_text_and_a_general_ok(tmp_path: Path) -> None:
    text = (
        SERIAL
        + """
[serial]
terminator = "\\n"
[ack]
kind = "accepted"
accepted = ["OK {*}"]
[identity]
query = ["ID?\\n"]
reply = "ID {model:text} v{firmware:text}"
[[control]]
name = "ch{n:02}/level"
role = "gain"
unit = "dB"
repeat = {n = [1, 2]}
taper = {kind = "linear", raw = [-127, 0], value = [-63.5, 0]}
query = ["GET {n}\\n"]
form = [{send = ["SET {n} {5*v:-.1d}\\n"], reply = ["LEVEL {n} {5*v:-.1d}"]}]
"""
    )
    profile = load(tmp_path, text)
    assert encode(profile, "ch01/level", -12.5).messages == (b"SET 1 -12.5\n",)
    assert encode(profile, "ch02/level", 0.0).messages == (b"SET 2 0.0\n",)
    assert Parser(profile).feed(b"OK 1 -12.5\nLEVEL 2 -0.5\nLEVEL 1 -12\nID Board v1.2\n") == [
        Accepted(),
        Change("ch02/level", -0.5, -1),
        Change("ch01/level", -12.0, -24),
        Report("identity", {"model": "Board", "firmware": "1.2"}),
    ]


def test_hex_blanks_and_checksums_in_lines(tmp_path: Path) -> None:
    text = (
        SERIAL
        + """
[serial]
[[control]]
name = "level"
role = "raw"
unit = "raw"
taper = {kind = "offset", raw = [0, 255]}
form = [{send = ["L{v:2X}{v:_4d}{=hexsum}\\r"], reply = ["L{v:2X}{v:_4d}{=hexsum}"]}]
"""
    )
    profile = load(tmp_path, text)
    # 'L' 'A' '0' ' ' '1' '6' '0' = 4C+41+30+20+31+36+30 = 174h
    assert encode(profile, "level", 160.0).messages == (b"LA0 16074\r",)
    assert Parser(profile).feed(b"LA0 16074\r\n") == [Change("level", 160.0, 160)]
    assert Parser(profile).feed(b"LA0 16075\r\n") == [Unparsed(b"LA0 16075")]


def test_numbers_of_a_line_that_stand_side_by_side_keep_their_width(tmp_path: Path) -> None:
    text = (
        SERIAL
        + """
[serial]
[[control]]
name = "ch{n:02}"
role = "raw"
unit = "raw"
repeat = {n = [1, 12]}
taper = {kind = "offset", raw = [0, 99]}
form = [{send = ["V{n:2d}{v:2d}"], reply = ["V{n:2d}{v:2d}"]}]
"""
    )
    profile = load(tmp_path, text)
    assert Parser(profile).feed(b"V1207\r\n") == [Change("ch12", 7.0, 7)]


def test_a_command_that_becomes_other_bytes_than_its_example_is_a_problem(tmp_path: Path) -> None:
    text = (
        MIDI
        + """
control = []
[[command]]
name = "play"
send = ["F0 7F 7F 06 02 F7"]
[[example]]
command = "play"
bytes = ["F0 7F 7F 06 02 F7"]
source = "MIDI Machine Control 1.0, command 02"
"""
    )
    profile = load(tmp_path, text)
    assert check_examples(profile).examples_run == 1
    (tmp_path / "one.toml").write_text(text.replace('send = ["F0 7F 7F 06 02', 'send = ["F0 7F 7F 06 03'))
    (problem,) = check_examples(load_profile(str(tmp_path / "one.toml"))).problems
    assert "gives F0 7F 7F 06 03 F7, not F0 7F 7F 06 02 F7" in problem.what
