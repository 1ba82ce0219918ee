"""Consoles and surfaces: their profiles against firmware that was written from the same manuals without them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pytest

from hardware.room.decoder_desk48 import Desk48Decoder
from hardware.room.decoder_hui import HuiDecoder
from hardware.room.decoder_mcu import McuDecoder
from hardware.room.decoder_sysex_desk import SysexDeskDecoder
from hardware.wire.messages import (
    Change,
    Parser,
    Refusal,
    Report,
    Touch,
    command,
    encode,
    identity_query,
    keep_alive_messages,
    query,
)
from profiles.library import load_profile
from profiles.profile import Control, Profile, Value

Decoder = Desk48Decoder | HuiDecoder | McuDecoder | SysexDeskDecoder

DESK48, YAMAHA, HUI, MCU = (load_profile(name) for name in ("room-desk-48", "yamaha-01v96", "hui-host", "mcu-host"))
MCU10 = load_profile("mcu-host", options={"resolution": "10"})


def settings_of(control: Control) -> list[Value]:
    """A few values that the control can be told, its ends among them."""
    codes = list(control.taper.codes)
    places = sorted({0, 1, len(codes) // 3, len(codes) // 2, len(codes) - 1} & set(range(len(codes))))
    return [control.from_raw(codes[place]) for place in places]


def same(one: Value, other: Value) -> bool:
    return one == other or math.isclose(float(one), float(other), abs_tol=1e-9)


def sent(profile: Profile, decoder: Decoder, name: str, value: Value) -> list[bytes]:
    return [answer for message in encode(profile, name, value).messages for answer in decoder.receive(message, None)]


def asked(profile: Profile, decoder: Decoder, name: str) -> bytes:
    return b"".join(answer for message in query(profile, name) for answer in decoder.receive(message, None))


def check_sections(profile: Profile, decoder: Decoder, sections: Iterable[str], touched: Mapping[str, str]) -> int:
    """Set, ask and turn every control of some sections that the firmware has; count the settings."""
    parser, count = Parser(profile), 0
    for name in decoder.knobs():
        control = profile.controls.get(name)
        if control is None:
            assert name.endswith("/touch")
            continue
        if name.split("/")[0] not in sections:
            continue
        for value in settings_of(control):
            assert sent(profile, decoder, name, value) == []
            assert same(decoder.knobs()[name], value), (name, value)
            change = Change(name, value, control.to_raw(value))
            if control.readable:
                assert parser.feed(asked(profile, decoder, name)) == [change]
            if control.listened:
                hold = [Touch(name, on=True)] if name in touched else []
                let_go = [Touch(name, on=False)] if name in touched else []
                assert parser.feed(b"".join(decoder.turn(name, value))) == [*hold, change, *let_go]
            count += 1
    return count


# --- the room's large desk --------------------------------------------------------------------------------------------


def test_desk_48_has_exactly_the_600_controls_of_its_manual_all_of_them_recallable() -> None:
    assert len(DESK48.controls) == 48 * 12 + 8 * 2 + 8 == 600
    assert set(DESK48.controls) == set(Desk48Decoder().knobs())
    assert not any(control.by_hand or control.dangerous or not control.readable for control in DESK48.controls.values())


def test_desk_48_defaults_are_its_power_on_state() -> None:
    assert Desk48Decoder().knobs() == {control.name: control.default for control in DESK48.controls.values()}


def test_desk_48_obeys_answers_and_reports() -> None:
    faders = {name: name for name in DESK48.controls if name.endswith("/fader")}
    sections = ("ch01", "ch25", "ch48", "grp1", "grp8", "master")
    assert check_sections(DESK48, Desk48Decoder(), sections, faders) > 150


def test_desk_48_every_address_is_the_manuals() -> None:
    decoder = Desk48Decoder()
    for name, control in DESK48.controls.items():
        value = settings_of(control)[-1]
        assert sent(DESK48, decoder, name, value) == []
        assert same(decoder.knobs()[name], value)


def test_desk_48_refuses_by_name_what_a_hand_holds() -> None:
    decoder, parser = Desk48Decoder(), Parser(DESK48)
    decoder.refusing = {"ch03/eq/lf_gain", "grp8/mute", "master/aux4"}
    for name, value in (("ch03/eq/lf_gain", 3.0), ("grp8/mute", True), ("master/aux4", -6.0)):
        said = parser.feed(b"".join(sent(DESK48, decoder, name, value)))
        assert [item.control for item in said if isinstance(item, Refusal)] == [name]
    assert parser.feed(b"".join(decoder.turn("ch02/touch", True))) == [Touch("ch02/fader", on=True)]
    said = parser.feed(b"".join(sent(DESK48, decoder, "ch02/fader", 0.0)))
    assert [item.control for item in said if isinstance(item, Refusal)] == ["ch02/fader"]
    assert parser.feed(b"".join(decoder.turn("master/touch", True))) == [Touch("master/fader", on=True)]
    assert parser.feed(b"".join(decoder.turn("ch02/touch", False))) == [Touch("ch02/fader", on=False)]


def test_desk_48_says_who_it_is() -> None:
    answer = b"".join(Desk48Decoder().receive(b"".join(identity_query(DESK48))))
    assert Parser(DESK48).feed(answer) == [Report("identity", {"firmware": "01 04 02 00"})]


def test_desk_48_has_no_more_questions_under_way_than_its_buffer_holds() -> None:
    decoder = Desk48Decoder()
    names = list(DESK48.controls)[: DESK48.pacing.in_flight]
    answers = [answer for name in names for ask in query(DESK48, name) for answer in decoder.receive(ask, 0.0)]
    assert [item.control for item in Parser(DESK48).feed(b"".join(answers)) if isinstance(item, Change)] == names


# --- 01V96 ------------------------------------------------------------------------------------------------------------


def test_01v96_obeys_answers_and_reports() -> None:
    assert check_sections(YAMAHA, SysexDeskDecoder(), ("ch01", "ch17", "ch32", "master"), {}) > 200


def test_01v96_on_another_device_number() -> None:
    profile, decoder = load_profile("yamaha-01v96", channel=5), SysexDeskDecoder(midi_channel=5)
    assert sent(profile, decoder, "ch09/fader", -20.0) == []
    assert decoder.knobs()["ch09/fader"] == pytest.approx(-20.0, abs=0.05)
    assert asked(profile, decoder, "ch09/fader")[2] == 0x14
    assert sent(YAMAHA, decoder, "ch09/fader", 0.0) == []
    assert decoder.knobs()["ch09/fader"] == pytest.approx(-20.0, abs=0.05)


def test_01v96_at_low_resolution_has_the_other_law_and_no_output_faders() -> None:
    low = load_profile("yamaha-01v96", options={"fader_resolution": "low"})
    assert "master/fader" in YAMAHA.controls
    assert not {"master/fader", "aux1/fader", "bus8/fader"} & set(low.controls)
    # the sheet's points of the 8-bit law: 43 is -30 dB, 153 is -8.61 dB
    for value, data in ((-30.0, "00 00 00 2B"), (-8.61, "00 00 01 19")):
        assert encode(low, "ch01/fader", value).messages[0] == bytes.fromhex(f"F0 43 10 3E 7F 01 1C 00 00 {data} F7")


# --- surfaces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [MCU10], ids=["10 bits"])
def test_mcu_faders_lamps_and_touches(profile: Profile) -> None:
    decoder = McuDecoder()
    faders = {name: name for name in profile.controls if name.endswith("/fader")}
    assert check_sections(profile, decoder, ("ch01", "ch05", "ch08", "master"), faders) > 25


def test_mcu_with_14_bits_lands_on_the_step_below() -> None:
    decoder = McuDecoder()
    for value, there in ((12808.0, 12800), (16383.0, 16368), (15.0, 0), (16.0, 16)):
        sent(MCU, decoder, "ch04/fader", value)
        assert decoder.knobs()["ch04/fader"] == there


def test_mcu_touch_is_heard_on_every_strip_and_a_held_fader_stays() -> None:
    decoder, parser = McuDecoder(), Parser(MCU)
    for name in [*(f"ch{strip:02d}" for strip in range(1, 9)), "master"]:
        assert MCU.controls[f"{name}/fader"].touchable
        assert parser.feed(b"".join(decoder.turn(f"{name}/touch", True))) == [Touch(f"{name}/fader", on=True)]
        sent(MCU, decoder, f"{name}/fader", 8000.0)
        assert decoder.knobs()[f"{name}/fader"] == 0
        assert parser.feed(b"".join(decoder.turn(f"{name}/touch", False))) == [Touch(f"{name}/fader", on=False)]


def test_mcu_says_who_it_is_when_asked_and_when_it_wakes() -> None:
    decoder = McuDecoder()
    identity = Report("identity", {"serial": "HNROOM1", "challenge": "01 02 03 04"})
    answer = b"".join(decoder.receive(b"".join(identity_query(MCU))))
    assert Parser(MCU).feed(answer + decoder.banner()) == [identity, identity]
    told = b"".join(decoder.receive(b"".join(command(MCU, "version"))))
    assert Parser(MCU).feed(told) == [Report("version", {"firmware": "V1.00"})]


def test_mcu_and_hui_buttons_pressed_are_no_state() -> None:
    for profile, decoder in ((MCU, McuDecoder()), (HUI, HuiDecoder())):
        assert Parser(profile).feed(b"".join(decoder.turn("ch03/mute", True))) == []


def test_hui_faders_mutes_and_touches() -> None:
    faders = {name: name for name in HUI.controls if name.endswith("/fader")}
    assert check_sections(HUI, HuiDecoder(), ("ch01", "ch04", "ch08"), faders) > 15


def test_hui_ping_keeps_the_host_present() -> None:
    decoder = HuiDecoder()
    assert HUI.keep_alive is not None
    assert (HUI.keep_alive.every_s, HUI.keep_alive.lost_after_s) == (1.0, 2.0)
    answer = decoder.receive(b"".join(keep_alive_messages(HUI)), 10.0)
    assert Parser(HUI).feed(b"".join(answer)) == [Report("alive")]
    assert decoder.present(10.0 + HUI.keep_alive.every_s)


def test_hui_touch_and_a_held_fader() -> None:
    decoder, parser = HuiDecoder(), Parser(HUI)
    for strip in range(1, 9):
        name = f"ch{strip:02d}"
        assert parser.feed(b"".join(decoder.turn(f"{name}/touch", True))) == [Touch(f"{name}/fader", on=True)]
        sent(HUI, decoder, f"{name}/fader", 9000.0)
        assert decoder.knobs()[f"{name}/fader"] == 0
        assert parser.feed(b"".join(decoder.turn(f"{name}/touch", False))) == [Touch(f"{name}/fader", on=False)]


@pytest.mark.parametrize(("bank", "first"), [("1-8", 1), ("9-16", 9)])
def test_summation_is_two_huis_of_eight(bank: str, first: int) -> None:
    profile, decoder = load_profile("summation-16", options={"bank": bank}), HuiDecoder()
    assert profile.strips == tuple(range(first, first + 8))
    for strip in range(8):
        at = f"ch{first + strip:02d}"
        sent(profile, decoder, f"{at}/fader", 1000.0 + strip)
        sent(profile, decoder, f"{at}/mute", True)
        assert decoder.knobs()[f"ch{strip + 1:02d}/fader"] == 1000 + strip
        assert decoder.knobs()[f"ch{strip + 1:02d}/mute"] is True
    said = Parser(profile).feed(b"".join(decoder.turn("ch08/fader", 5)))
    last = f"ch{first + 7:02d}/fader"
    assert said == [Touch(last, on=True), Change(last, 5.0, 5), Touch(last, on=False)]
