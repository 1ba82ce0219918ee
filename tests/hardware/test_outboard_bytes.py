"""Outboard in exact bytes, checked against the documents and not against the profiles' own examples.

Each expectation is the document's arithmetic written out here, or a message that it prints.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.wire.messages import Change, Parser, encode, query
from profiles.errors import ValueRangeError
from profiles.library import load_profile

BIGSKY, BISCUIT, HEAT, MIDIVERB, MPX1, SPX2000 = map(
    load_profile,
    ("strymon-bigsky", "oto-biscuit", "elektron-analog-heat", "alesis-midiverb-3", "lexicon-mpx-1", "yamaha-spx2000"),
)

# MidiVerb III manual, MIDI editing: parameter number and range. The display counts configurations from 1, and the
# modulation amount is offset binary with 99 for 0.
MIDIVERB_PARAMETERS = {
    "input_eq": (0, 0, 30, 0), "effect_eq": (1, 0, 30, 0), "chorus/algorithm": (2, 0, 24, 0),
    "chorus/speed": (3, 0, 98, 0), "delay/time": (4, 1, 490, 0), "delay/regen": (5, 0, 99, 0),
    "reverb/algorithm": (6, 0, 19, 0), "reverb/decay": (7, 0, 99, 0), "reverb/mix": (8, 0, 99, 0),
    "delay/mix": (9, 0, 99, 0), "configuration": (10, 0, 14, 1), "mod/routing": (11, 0, 48, 0),
    "mod/amount": (12, 0, 198, -99),
}  # fmt: skip


@given(st.data())
def test_midiverb_editing_follows_its_bit_layout(data: st.DataObject) -> None:
    # F0 00 00 0E 03 03 parameter, bits 0 to 6, bits 7 to 9, F7 (MidiVerb III manual, opcode 03)
    name = data.draw(st.sampled_from(sorted(MIDIVERB_PARAMETERS)))
    number, low, high, shown = MIDIVERB_PARAMETERS[name]
    code = data.draw(st.integers(low, high))
    message = bytes([0xF0, 0x00, 0x00, 0x0E, 0x03, 0x03, number, code % 128, code // 128, 0xF7])
    assert encode(MIDIVERB, name, float(code + shown)).messages == (message,)
    assert Parser(MIDIVERB).feed(message) == [Change(name, float(code + shown), code)]


def test_midiverb_has_the_manuals_parameters_and_ranges() -> None:
    assert set(MIDIVERB.controls) == set(MIDIVERB_PARAMETERS)
    for name, (_, low, high, shown) in MIDIVERB_PARAMETERS.items():
        assert (MIDIVERB.controls[name].low, MIDIVERB.controls[name].high) == (low + shown, high + shown)


def test_mpx1_understands_the_message_its_document_prints() -> None:
    # MPX 1 MIDI Implementation Details V1.10 p. 12: asking for EQ, 1 band (M), gain, and a typical return message.
    asked = bytes.fromhex("F0 06 09 00 06 01 00 04 00 00 00 00 00 00 00 02 00 00 00 01 00 00 00 02 00 00 00 F7")
    returned = bytes.fromhex(
        "F0 06 09 00 01 01 00 00 00 00 00 04 00 00 00 00 00 00 00 02 00 00 00 01 00 00 00 02 00 00 00 F7"
    )
    assert query(MPX1, "eq/one_band_mono/gain") == (asked,)
    assert Parser(MPX1).feed(returned) == [Change("eq/one_band_mono/gain", 0.0, 0)]


@pytest.mark.parametrize("byte", [0x01, 0x10, 0x7F, 0xA3, 0xFF])
def test_mpx1_sends_the_low_nibble_first(byte: int) -> None:
    # p. 1: the less significant portion of the byte is transmitted first, each as one byte
    (message,) = encode(MPX1, "eq/one_band_mono/gain", float(byte)).messages
    assert message[9:11] == bytes([byte % 16, byte // 16])
    assert len(message) == 32


@given(st.integers(1, 250))
def test_mpx1_programs_lie_in_banks_of_a_hundred(program: int) -> None:
    # user guide p. 6-6: controller 32 selects the bank, program changes 0 to 99
    bank, number = divmod(program - 1, 100)
    messages = (bytes([0xB0, 32, bank]), bytes([0xC0, number]))
    assert encode(MPX1, "program", float(program)).messages == messages
    assert Parser(MPX1).feed(b"".join(messages)) == [Change("program", float(program), program)]


@given(st.integers(0, 383))
def test_spx2000_selects_table_and_program(place: int) -> None:
    # SPX2000 owner's manual p. 90: bank MSB fixed at 0, LSB 0, 1, 2 for the tables A, B, C, then program change
    table, number = divmod(place, 128)
    messages = (bytes([0xB0, 0, 0]), bytes([0xB0, 32, table]), bytes([0xC0, number]))
    assert encode(SPX2000, "program", float(place)).messages == messages
    assert Parser(SPX2000).feed(b"".join(messages)) == [Change("program", float(place), place)]


@pytest.mark.parametrize("number", range(1, 32))
def test_spx2000_controllers_stand_alone(number: int) -> None:
    # p. 90: data that begins with 01h to 1Fh controls a parameter, 06h (data entry elsewhere) included
    assert Parser(SPX2000).feed(bytes([0xB0, number, 77])) == [Change(f"controller{number:02d}", 77.0, 77)]


@pytest.mark.parametrize(
    ("preset", "bank", "program"),
    # BigSky manual p. 23: 00A is program 0, 00B 1, 00C 2, 01A 3; bank 0 ends at 42B, bank 1 at 85A, bank 2 at 99C
    [("00A", 0, 0), ("00B", 0, 1), ("00C", 0, 2), ("01A", 0, 3), ("42B", 0, 127), ("42C", 1, 0), ("85A", 1, 127),
     ("85B", 2, 0), ("99C", 2, 43)],
)  # fmt: skip
def test_bigsky_presets_count_through_the_banks(preset: str, bank: int, program: int) -> None:
    number = 3 * int(preset[:2]) + "ABC".index(preset[2])
    assert encode(BIGSKY, "preset", float(number)).messages == (bytes([0xB0, 0, bank]), bytes([0xC0, program]))


@pytest.mark.parametrize(("boost_db", "code"), [(-3.0, 0), (-1.5, 15), (0.0, 30), (0.1, 31), (3.0, 60)])
def test_bigsky_boost_is_a_tenth_of_a_decibel_a_step(boost_db: float, code: int) -> None:
    # 0 to 60 is -3 to +3 dB with 30 in the middle
    assert encode(BIGSKY, "boost", boost_db).messages == (bytes([0xB0, 23, code]),)
    with pytest.raises(ValueRangeError):
        encode(BIGSKY, "boost", 3.2)


def test_biscuit_takes_every_code_of_a_range() -> None:
    # midi.guide, BISCUIT: a bit is off at 0 to 42, on at 43 to 84, inverted at 85 to 127; bits 1 to 8 are CC 20 to 27
    for bit in range(1, 9):
        for code in range(128):
            meant = "off" if code <= 42 else "on" if code <= 84 else "invert"
            (change,) = Parser(BISCUIT).feed(bytes([0xB0, 19 + bit, code]))
            assert change == Change(f"bit{bit}", meant, code)
    # effect type: five ranges from 0, 26, 51, 76 and 101 on
    for code in range(128):
        meant = ("off", "waveshaper", "delay", "pitch", "step filter")[sum(code >= at for at in (26, 51, 76, 101))]
        assert Parser(BISCUIT).feed(bytes([0xB0, 30, code])) == [Change("effect/type", meant, code)]
        shape = ("rect", "alt rect", "fuzz", "biscuit", "swap", "saw", "low saw", "low square")[code // 16]
        assert Parser(BISCUIT).feed(bytes([0xB0, 31, code])) == [Change("effect/waveshaper", shape, code)]


@given(st.integers(0, 127))
def test_heat_puts_seven_bits_into_the_data_msb(drive: int) -> None:
    # NRPN 0:12 (pencilresearch/midi, squarp.community); 0 to 16383 and 7 bits agree when value = code * 128
    messages = encode(HEAT, "drive", float(drive)).messages
    assert messages == (bytes([0xB0, 99, 0]), bytes([0xB0, 98, 12]), bytes([0xB0, 6, drive]), bytes([0xB0, 38, 0]))
    assert messages[2][2] * 128 + messages[3][2] == drive * 128


@pytest.mark.parametrize(
    ("profile", "control", "value", "controller", "sent"),
    # controller numbers in decimal, as the tables print them
    [
        ("oto-bam", "damp", 12.0, 16, 12), ("oto-bim", "offset", 1.0, 25, 1), ("oto-boum", "gate", 64.0, 23, 64),
        ("oto-biscuit", "filter/resonance", 90.0, 17, 90), ("sherman-filterbank", "am_ring", 5.0, 11, 5),
        ("tc-d-two", "feedback/high_cut", 127.0, 60, 127), ("meris-mercury7", "density", 33.0, 25, 33),
        ("chase-bliss-preamp-mk2", "diode", "germanium", 25, 3), ("chase-bliss-preamp-mk2", "q", "low", 24, 1),
        ("strymon-bigsky", "tone", 1.0, 3, 1), ("strymon-bigsky", "persist", True, 22, 1),
    ],
)  # fmt: skip
def test_control_changes_of_the_tables(
    profile: str, control: str, value: float | str, controller: int, sent: int
) -> None:
    loaded = load_profile(profile)
    message = bytes([0xB0, controller, sent])
    assert encode(loaded, control, value).messages == (message,)
    assert Parser(loaded).feed(message) == [Change(control, value, sent)]


@pytest.mark.parametrize(
    ("profile", "controller", "code", "bypassed"),
    [
        ("oto-biscuit", 28, 63, False), ("oto-biscuit", 28, 64, True),  # 0 to 63 active
        ("meris-mercury7", 14, 63, True), ("meris-mercury7", 14, 64, False),  # 0 to 63 bypass
        ("chase-bliss-preamp-mk2", 102, 0, True), ("chase-bliss-preamp-mk2", 102, 1, False),  # 1 to 127 engage
        ("strymon-bigsky", 102, 0, True), ("strymon-bigsky", 102, 127, False),
    ],
)  # fmt: skip
def test_bypass_has_the_right_sense(profile: str, controller: int, code: int, bypassed: bool) -> None:
    assert Parser(load_profile(profile)).feed(bytes([0xB0, controller, code])) == [Change("bypass", bypassed, code)]
