"""The bytes of consoles, surfaces and level controllers as their documents print or define them."""

from __future__ import annotations

import math

import pytest

from hardware.wire.messages import Change, Heard, Parser, command, encode, query, session_steps
from profiles.errors import ProfileError, ValueRangeError
from profiles.library import load_profile
from profiles.profile import Profile, Value

YAMAHA, HUI, MCU = (load_profile(name) for name in ("yamaha-01v96", "hui-host", "mcu-host"))
MCU10 = load_profile("mcu-host", options={"resolution": "10"})
SQ, SQ_AUDIO = load_profile("allen-heath-sq"), load_profile("allen-heath-sq", options={"fader_law": "audio"})
QU = load_profile("allen-heath-qu")
MH2, MH2_SEQUENCER = load_profile("soundcraft-mh2"), load_profile("soundcraft-mh2", options={"polarity": "sequencer"})
SIXTYFOUR = load_profile("cmlabs-sixtyfour")


# --- bytes of the documents -------------------------------------------------------------------------------------------


def nrpn(msb: str, lsb: str, data: str, lsb_data: str) -> list[str]:
    return [f"B0 63 {msb}", f"B0 62 {lsb}", f"B0 06 {data}", f"B0 26 {lsb_data}"]


@pytest.mark.parametrize(
    ("profile", "control", "value", "messages"),
    [
        # SQ MIDI Protocol issue 5: mutes p. 11, levels p. 20, parameter numbers p. 21-31
        (SQ, "ch48/mute", True, nrpn("00", "2F", "00", "01")),
        (SQ, "grp01/mute", True, nrpn("00", "30", "00", "01")),
        (SQ, "mix01/mute", True, nrpn("00", "45", "00", "01")),
        (SQ, "fxsend1/mute", True, nrpn("00", "51", "00", "01")),
        (SQ, "mtx1/mute", False, nrpn("00", "55", "00", "00")),
        (SQ, "ch01/fader", 5.0, nrpn("40", "00", "7B", "2E")),
        (SQ, "ch01/fader", -30.0, nrpn("40", "00", "5A", "72")),
        (SQ, "ch01/fader", -60.0, nrpn("40", "00", "3F", "09")),
        (SQ, "grp12/fader", 0.0, nrpn("40", "3B", "76", "5C")),
        (SQ, "fxret1/fader", 10.0, nrpn("40", "3C", "7F", "7F")),
        (SQ, "ch02/mix12/level", 0.0, nrpn("40", "5B", "76", "5C")),  # 44 + 12 + 11 = 5B
        (SQ, "ch01/fx1/level", -math.inf, nrpn("4C", "14", "00", "00")),
        (SQ, "ch48/fx4/level", 0.0, nrpn("4D", "53", "76", "5C")),  # one below group 1 at 4D 54
        (SQ, "ch48/grp12/on", True, nrpn("6B", "33", "00", "01")),  # one below FX return 1 at 6B 34
        (SQ, "master/pan", 0.0, nrpn("5F", "00", "3F", "7F")),
        (SQ_AUDIO, "ch01/fader", -89.0, nrpn("40", "00", "01", "40")),
        (SQ_AUDIO, "ch01/fader", -5.0, nrpn("40", "00", "4E", "40")),
        (SQ_AUDIO, "master/fader", 5.0, nrpn("4F", "00", "73", "40")),
        # Qu MIDI protocol V1.9+: law, channels; VX from companion-module-allenheath-qu
        (QU, "ch01/fader", -50.0, nrpn("20", "17", "08", "07")),
        (QU, "ch01/fader", -1.0, nrpn("20", "17", "5F", "07")),
        (QU, "st1/fader", -30.0, nrpn("40", "17", "1F", "07")),
        (QU, "mix1/fader", -3.0, nrpn("60", "17", "55", "07")),
        (QU, "mix7/fader", -2.0, nrpn("66", "17", "5B", "07")),
        (QU, "st2/pan", 0.0, nrpn("41", "16", "25", "07")),
        (QU, "ch32/mix5/pan", 100.0, nrpn("3F", "16", "4A", "04")),
        (QU, "ch32/mute", True, ["90 3F 7F", "80 3F 00"]),
        (QU, "fxsend1/mute", False, ["90 00 3F", "80 00 00"]),
        (QU, "dca4/mute", True, ["90 13 7F", "80 13 00"]),
        (QU, "mutegrp4/mute", True, ["90 53 7F", "80 53 00"]),
        # MH2 user guide p. 59
        (MH2, "ch24/mute", True, ["8F 17 00"]),
        (MH2, "ch24/mute", False, ["9F 17 7F"]),
        (MH2, "st1/mute", True, ["8F 40 00"]),
        (MH2_SEQUENCER, "st1/mute", True, ["9F 40 7F"]),
        (MH2_SEQUENCER, "ch24/mute", False, ["8F 17 00"]),
        # 01V96 parameter change list; two's complement over 28 bits: 2^28 - 540 ends in 123, 100 = 7B 64
        (YAMAHA, "ch32/gate/threshold", -54.0, ["F0 43 10 3E 7F 01 1E 0A 1F 7F 7F 7B 64 F7"]),
        (YAMAHA, "ch01/gate/range", 0.0, ["F0 43 10 3E 7F 01 1E 07 00 00 00 00 00 F7"]),
        (YAMAHA, "ch01/comp/threshold", -10.0, ["F0 43 10 3E 7F 01 1F 09 00 7F 7F 7F 1C F7"]),
        (YAMAHA, "ch01/comp/bypass", True, ["F0 43 10 3E 7F 01 1F 01 00 00 00 00 00 F7"]),
        (YAMAHA, "ch01/aux8/on", True, ["F0 43 10 3E 7F 01 23 15 00 00 00 00 01 F7"]),
        (YAMAHA, "ch01/aux2/level", 10.0, ["F0 43 10 3E 7F 01 23 05 00 00 00 07 7F F7"]),
        (YAMAHA, "bus8/fader", -math.inf, ["F0 43 10 3E 7F 01 2B 00 07 00 00 00 00 F7"]),
        (YAMAHA, "aux1/mute", False, ["F0 43 10 3E 7F 01 36 00 00 00 00 00 01 F7"]),
        # TouchMCU: pitch bend LSB first, top 10 bits; notes 10-17 mute, 18-1F select, 00-07 record ready
        (MCU, "ch02/fader", 1990.0, ["E1 46 0F"]),
        (MCU10, "ch02/fader", 16368.0, ["E1 70 7F"]),
        (MCU, "ch01/select", True, ["90 18 7F"]),
        (MCU, "ch08/rec", False, ["90 07 00"]),
        # MIDIKit, HUI module: zone select 0C, port 2C, 40 for on
        (HUI, "ch05/fader", 5329.0, ["B0 04 29", "B0 24 51"]),
        (HUI, "ch05/mute", True, ["B0 0C 04", "B0 2C 42"]),
        (HUI, "ch05/solo", False, ["B0 0C 04", "B0 2C 03"]),
        (HUI, "ch01/insert", True, ["B0 0C 00", "B0 2C 46"]),
    ],
)
def test_bytes_of_the_documents(profile: Profile, control: str, value: Value, messages: list[str]) -> None:
    encoded = encode(profile, control, value)
    assert [message.hex(" ").upper() for message in encoded.messages] == messages
    assert encoded.value == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize(
    ("profile", "control", "messages"),
    [
        (SQ, "ch01/fader", ["B0 63 40", "B0 62 00", "B0 60 7F"]),  # issue 5 p. 18, get by increment 7F
        (SQ, "ch23/mix03/level", ["B0 63 42", "B0 62 4E", "B0 60 7F"]),
        (YAMAHA, "bus3/fader", ["F0 43 30 3E 7F 01 2B 00 02 F7"]),
        (SIXTYFOUR, "in32/level", ["B0 6B 1F"]),
        (SIXTYFOUR, "memory", ["B0 61 71"]),
        (QU, "ch01/fader", []),
        (MH2, "ch01/mute", []),
    ],
)
def test_questions_of_the_documents(profile: Profile, control: str, messages: list[str]) -> None:
    assert [message.hex(" ").upper() for message in query(profile, control)] == messages


# --- SQ ---------------------------------------------------------------------------------------------------------------


def numbers_of(messages: tuple[bytes, ...]) -> int:
    assert [message[:2].hex() for message in messages[:2]] == ["b063", "b062"]
    return messages[0][2] * 128 + messages[1][2]


@pytest.mark.parametrize(("kind", "base", "value"), [("level", 0x40, 0.0), ("pan", 0x50, 0.0), ("on", 0x60, True)])
def test_sq_sends_count_source_by_source_across_the_lsb(kind: str, base: int, value: Value) -> None:
    seen = set()
    for source in range(48):
        for mix in range(12):
            name = f"ch{source + 1:02d}/mix{mix + 1:02d}/{kind}"
            number = base * 128 + 0x44 + 12 * source + mix
            assert numbers_of(encode(SQ, name, value).messages) == number
            assert numbers_of(query(SQ, name)) == number
            seen.add(number)
    assert len(seen) == 576


def test_sq_no_two_controls_share_a_number() -> None:
    numbers = [numbers_of(query(SQ, name)) for name in SQ.controls]
    assert len(set(numbers)) == len(SQ.controls)


# SQ MIDI Protocol issue 5 p. 20, "Example Linear Taper Level Values"
@pytest.mark.parametrize(
    ("level_db", "high", "low"),
    [(-85, 0x27, 0x71), (-75, 0x31, 0x14), (-45, 0x4C, 0x7D), (-36, 0x55, 0x2A), (-24, 0x60, 0x3B), (-18, 0x66, 0x03),
     (-15, 0x68, 0x67), (-7, 0x70, 0x1D), (-6, 0x71, 0x14), (-3, 0x73, 0x78), (-1, 0x75, 0x65), (1, 0x77, 0x53),
     (3, 0x79, 0x40), (6, 0x7C, 0x24), (9, 0x7F, 0x08)],
)  # fmt: skip
def test_sq_linear_taper_is_the_printed_table_within_one_code(level_db: int, high: int, low: int) -> None:
    assert abs(encode(SQ, "ch01/fader", float(level_db)).raw - (high * 128 + low)) <= 1
    assert SQ.controls["ch01/fader"].from_raw(high * 128 + low) == pytest.approx(level_db, abs=0.01)


def test_sq_reply_is_a_change_even_with_a_key_press_in_it() -> None:
    # companion-module-allenheath-sq, recorded messages: Ip23 in Mix3, a program change of another channel in between
    said = Parser(SQ).feed(bytes.fromhex("B0 63 42 B0 62 4E C6 00 B0 06 7D B0 26 00"))
    assert [(item.control, item.raw) for item in said if isinstance(item, Change)] == [("ch23/mix03/level", 0x7D * 128)]


def test_a_parsers_twin_hears_what_follows_on_its_own() -> None:
    parser = Parser(SQ)
    assert parser.feed(bytes.fromhex("B0 63 40 B0 62 00 B0 06")) == []
    twin = parser.twin()
    assert twin.feed(bytes.fromhex("76 B0 26 5C")) == [Change("ch01/fader", 0.0, 15196)]
    assert parser.feed(bytes.fromhex("7F B0 26 7F")) == [Change("ch01/fader", 10.0, 16383)]


def test_sq_hears_every_pan_code() -> None:
    for raw, pan in ((0, -100.0), (0x1FFF, 0.0), (0x3FFF, 100.0), (0x2998, 30.0), (0x1332, -40.0)):  # p. 20
        data = bytes([0xB0, 0x63, 0x50, 0xB0, 0x62, 0x0F, 0xB0, 0x06, raw >> 7, 0xB0, 0x26, raw & 0x7F])
        (change,) = Parser(SQ).feed(data)
        assert isinstance(change, Change)
        assert change.control == "ch16/pan"
        assert change.value == pytest.approx(pan, abs=0.02)


def test_sq_scene_is_bank_and_program() -> None:
    # scene - 1, split into 7 bits: scene 300 is 299 = 2 * 128 + 43
    assert [message.hex(" ").upper() for message in command(SQ, "scene", number=300)] == ["B0 00 02", "C0 2B"]
    assert SQ.commands["scene"].dangerous


# --- Qu, ICON, MH2 ----------------------------------------------------------------------------------------------------


def told(profile: Profile, data: str) -> list[Heard]:
    return Parser(profile).feed(bytes.fromhex(data))


def test_qu_velocity_decides_and_zero_is_ignored() -> None:
    assert told(QU, "90 20 7F 80 20 00") == [Change("ch01/mute", True, 127)]
    assert told(QU, "90 20 40") == [Change("ch01/mute", True, 64)]
    assert told(QU, "90 20 3F 90 20 00") == [Change("ch01/mute", False, 63)]
    assert told(QU, "90 20 01") == [Change("ch01/mute", False, 1)]
    assert told(QU, "90 20 00") == []


def test_qu_target_byte_tells_sends_apart() -> None:
    assert told(QU, "B0 63 21 B0 62 20 B0 06 62 B0 26 03") == [Change("ch02/mix4/level", 0.0, 0x62)]
    assert told(QU, "B0 63 21 B0 62 16 B0 06 00 B0 26 07") == [Change("ch02/pan", -100.0, 0)]
    assert told(QU, "B0 63 21 B0 62 16 B0 06 4A B0 26 06") == [Change("ch02/mix7/pan", 100.0, 0x4A)]


def test_qu_before_firmware_1_5_has_its_mute_groups_where_the_dcas_came() -> None:
    old = load_profile("allen-heath-qu", options={"firmware": "1.3"})
    assert "dca1/fader" not in old.controls
    assert told(old, "90 10 7F") == [Change("mutegrp1/mute", True, 127)]
    assert told(QU, "90 10 7F") == [Change("dca1/mute", True, 127)]


def test_qu_is_asked_for_its_state_when_a_session_opens() -> None:
    (step,) = session_steps(QU)
    assert step.messages == (bytes.fromhex("F0 00 00 1A 50 11 01 00 00 10 01 F7"),)


def test_icon_velocity_decides_and_zero_is_ignored() -> None:
    icon = load_profile("allen-heath-icon")
    assert told(icon, "90 2C 7F 90 2C 00") == [Change("mute13", True, 127)]
    assert told(icon, "90 20 01") == [Change("mute01", False, 1)]


@pytest.mark.parametrize(("profile", "note_on"), [(MH2, False), (MH2_SEQUENCER, True)])
def test_mh2_tells_its_mutes_in_either_mode_on_channel_16(profile: Profile, note_on: bool) -> None:
    control = profile.controls["ch48/mute"]
    assert told(profile, "9F 2F 40") == [Change("ch48/mute", note_on, control.to_raw(note_on))]
    assert told(profile, "8F 2F 40") == [Change("ch48/mute", not note_on, control.to_raw(not note_on))]
    assert told(profile, "9F 2F 00") == [Change("ch48/mute", not note_on, control.to_raw(not note_on))]
    assert encode(load_profile("soundcraft-mh2", channel=3), "ch01/mute", True).messages[0][0] == 0x8F


# --- level controllers ------------------------------------------------------------------------------------------------


def test_sixtyfour_takes_its_soft_lock_off_once_and_not_in_every_route() -> None:
    (step,) = session_steps(SIXTYFOUR)
    assert step.messages == (bytes.fromhex("B0 60 00"),)
    route = encode(SIXTYFOUR, "out32/from01", True).messages
    assert route == (bytes.fromhex("B0 62 00"), bytes.fromhex("B0 64 1F"))


def test_sixtyfour_hears_panel_moves() -> None:
    assert told(SIXTYFOUR, "B0 1F 6A B0 20 60") == [Change("in32/level", 10.0, 0x6A), Change("out01/level", 0.0, 0x60)]
    assert told(SIXTYFOUR, "B0 62 01 B0 64 04") == [Change("out05/from02", True, 127)]
    assert told(SIXTYFOUR, "B0 71 59") == [Change("memory", 90.0, 0x59)]


def test_what_overwrites_or_replaces_is_dangerous() -> None:
    for profile, name in (
        (SIXTYFOUR, "memory/store"),
        (SIXTYFOUR, "memory"),
        (SIXTYFOUR, "group1/sources"),
        (load_profile("aviom-a16r"), "preset"),
    ):
        assert profile.controls[name].dangerous
    assert not SIXTYFOUR.controls["group1/sources_relative"].idempotent


def test_aviom_selects_before_it_sets() -> None:
    aviom = load_profile("aviom-a16r", channel=2)
    assert encode(aviom, "ch16/fader", 100.0).messages == (bytes.fromhex("C1 1F"), bytes.fromhex("B1 07 64"))
    assert query(aviom, "ch16/fader") == ()


def test_ghost_recalls_mutes_by_snapshot_and_the_rest_by_hand() -> None:
    ghost = load_profile("soundcraft-ghost")
    assert encode(ghost, "mutes/snapshot", 128.0).messages == (b"\xc0\x7f",)
    assert told(ghost, "C0 00 90 10 7F") == [Change("mutes/snapshot", 1.0, 0)]
    assert {name for name, control in ghost.controls.items() if not control.by_hand} == {"mutes/snapshot"}
    with pytest.raises(ProfileError, match="by hand"):
        encode(ghost, "ch32/mute", True)
    assert "ch25/mute" not in load_profile("soundcraft-ghost", options={"size": "24"}).controls


def test_peavey_base_is_an_option() -> None:
    assert encode(load_profile("peavey-xvca"), "mutes/scene", 1.0).messages == (b"\xc0\x00",)
    assert encode(load_profile("peavey-xvca", options={"base": "0"}), "mutes/scene", 1.0).messages == (b"\xc0\x01",)
    with pytest.raises(ValueRangeError):
        encode(load_profile("peavey-xvca"), "mutes/scene", 0.0)


@pytest.mark.parametrize("name", ["niche-acm", "aviom-a16r", "hui-host", "mcu-host", "summation-16"])
def test_levels_without_a_published_law_are_raw(name: str) -> None:
    profile = load_profile(name)
    assert {control.unit for control in profile.controls.values() if control.role == "fader"} == {"raw"}
