"""Preamps, processors, patchbays, transports: bytes as their documents print them, and talks with the room's firmware.

The firmware (``hardware.room.decoder_*``) was written from the manuals without the profiles and without the wire.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.room.decoder_attenuator import AttenuatorDecoder
from hardware.room.decoder_kramer import KramerDecoder
from hardware.room.decoder_matrix import MatrixDecoder
from hardware.room.decoder_nine_pin import NinePinDecoder
from hardware.room.decoder_preamp import PreampDecoder
from hardware.wire.examples import check_examples
from hardware.wire.messages import (
    Accepted,
    Change,
    Heard,
    Parser,
    Refusal,
    Report,
    Unparsed,
    command,
    encode,
    identity_query,
    query,
    session_steps,
)
from profiles.errors import ValueRangeError
from profiles.library import load_profile
from profiles.profile import Control, Profile, Value

PROFILES = {
    name: load_profile(name)
    for name in (
        "amx-autopatch", "appsys-rgc", "attenuator-board", "bss-soundweb-london", "extron-sis-matrix",
        "kramer-p3000-audio", "kramer-vp-8x8ak", "mmc-recorder", "rme-dmc-842", "rme-micstasy", "rme-octamic-xtc",
        "sony-9-pin", "studer-a800-serial", "symetrix-symnet",
    )
}  # fmt: skip
OCTAMIC, KRAMER, BOARD, TAPE, MATRIX = (
    PROFILES[name]
    for name in ("rme-octamic-xtc", "kramer-vp-8x8ak", "attenuator-board", "sony-9-pin", "extron-sis-matrix")
)


class Firmware(Protocol):
    """The side of a device that hears bytes."""

    def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
        """Take bytes; return answers."""
        ...


def settings_of(control: Control) -> list[Value]:
    """A few values that the control can be told, its ends among them."""
    codes = list(control.taper.codes)
    return [control.from_raw(codes[at]) for at in sorted({0, 1, len(codes) // 3, len(codes) // 2, len(codes) - 1})]


def tell(firmware: Firmware, messages: Iterable[bytes]) -> bytes:
    """Send messages; return everything that was answered."""
    return b"".join(answer for message in messages for answer in firmware.receive(message))


def shown(messages: Iterable[bytes]) -> list[str]:
    return [message.hex(" ").upper() for message in messages]


def heard(profile: Profile, text: str) -> list[Heard]:
    """What a device's bytes, given in hex, mean."""
    return Parser(profile).feed(bytes.fromhex(text))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_keeps_its_own_examples(name: str) -> None:
    report = check_examples(PROFILES[name])
    assert report.problems == ()
    assert report.examples_run >= 3 or PROFILES[name].verification == "unverified"


@pytest.mark.parametrize(
    ("name", "control", "value", "messages"),
    [
        # RME OctaMic XTC user's guide pp. 59-61: LSB 1C is 37 dB, pad is MSB bit 3, 48 V bit 2, phase LSB bit 6.
        ("rme-octamic-xtc", "mic2/gain", 37, ["F0 00 20 0D 69 00 20 01 1C 00 01 F7"]),
        ("rme-octamic-xtc", "mic2/pad", True, ["F0 00 20 0D 69 00 20 01 00 08 20 F7"]),
        ("rme-octamic-xtc", "mic8/phantom", True, ["F0 00 20 0D 69 00 20 07 00 04 10 F7"]),
        ("rme-octamic-xtc", "mic1/polarity", True, ["F0 00 20 0D 69 00 20 00 40 00 02 F7"]),
        # The same, p. 61: parameter 25, LSB loads preset 1 to 6, MSB saves it.
        ("rme-octamic-xtc", "preset/load", 6, ["F0 00 20 0D 69 00 20 19 06 00 7F F7"]),
        ("rme-octamic-xtc", "preset/save", 2, ["F0 00 20 0D 69 00 20 19 00 02 7F F7"]),
        # RME Micstasy user's guide p. 62: channel 4 is coarse 09, fine 0A.
        ("rme-micstasy", "mic4/gain", 11, ["F0 00 20 0D 68 00 20 09 14 0A 00 F7"]),
        # RME DMC-842 user's guide p. 54: parameter 0A is the gain of channel 6.
        ("rme-dmc-842", "ch6/gain", 31, ["F0 00 20 0D 42 00 20 0A 1F F7"]),
        # Appsys RGC: channels 2, 3, 4, control changes 24 to 31, 0 to 127 is about +10 to +50 dB.
        ("appsys-rgc", "preamp1/mic8/gain", 50, ["B1 1F 7F"]),
        ("appsys-rgc", "preamp3/mic1/gain", 10, ["B3 18 00"]),
        # Kramer hex codes: input dB = v - 107 after 2A 86 80 81, output dB = v - 114 after 2A 87 80 81, 0 mute.
        ("kramer-vp-8x8ak", "in03/gain", -50, ["2A 86 80 81", "16 83 B9 81"]),
        ("kramer-vp-8x8ak", "out08/gain", 0, ["2A 87 80 81", "16 88 F2 81"]),
        ("kramer-vp-8x8ak", "out08/gain", -math.inf, ["2A 87 80 81", "16 88 80 81"]),
        ("kramer-vp-8x8ak", "out04/tie", 0, ["02 80 84 81"]),
        # Kramer VP-81K manual p. 31: AUD IN>OUT.
        ("kramer-p3000-audio", "out08/tie", 3, [b"#AUD 3>8\r".hex(" ").upper()]),
        # AMX Epica-128 manual pp. 1-2 and 3-1: CL#I#O#T and DL#O#T.
        ("amx-autopatch", "out06/tie", 5, [b"CL0I5O6T".hex(" ").upper()]),
        ("amx-autopatch", "out06/tie", 0, [b"DL0O6T".hex(" ").upper()]),
        # docs/devices/attenuator-board.md, chapter 4.
        ("attenuator-board", "ch03/level", -12.5, ["53 45 54 20 33 20 2D 31 32 2E 35 0A"]),
        ("attenuator-board", "ch16/level", -math.inf, ["53 45 54 20 31 36 20 4D 55 54 45 0A"]),
        # Symetrix control protocol: -72 + 84 * v / 65535 dB, v = 0 is OFF. 66 / 84 * 65535 = 51491.8.
        ("symetrix-symnet", "ch16/fader", -6, [b"CS 16 51492\r".hex(" ").upper()]),
        ("symetrix-symnet", "ch16/fader", -math.inf, [b"CS 16 0\r".hex(" ").upper()]),
        # BSS: -200000 log10(2) - 100000 = -160206 = FFFD 8E32; 88^01^03^01^FF^FD^8E^32 = 35; 03 is sent as 1B 83.
        ("bss-soundweb-london", "gain", -20, ["02 88 00 01 1B 83 00 01 00 00 00 FF FD 8E 32 35 03"]),
        # Extron SIS table: capital G is gain, small g attenuation.
        ("extron-sis-matrix", "in02/gain", -6, [b"2*6g".hex(" ").upper()]),
        # 9-pin: local enable 00 1D.
        ("sony-9-pin", "panel", True, ["00 1D 1D"]),
    ],
)  # fmt: skip
def test_a_setting_has_the_printed_bytes(name: str, control: str, value: Value, messages: list[str]) -> None:
    assert shown(encode(PROFILES[name], control, value).messages) == messages


@pytest.mark.parametrize(
    ("name", "told", "numbers", "messages"),
    [
        # 9-pin: (CMD1 << 4 | count), CMD2, data, low eight bits of the sum.
        ("sony-9-pin", "stop", {}, ["20 00 20"]),
        ("sony-9-pin", "play", {}, ["20 01 21"]),
        ("sony-9-pin", "record", {}, ["20 02 22"]),
        ("sony-9-pin", "fast_forward", {}, ["20 10 30"]),
        ("sony-9-pin", "rewind", {}, ["20 20 40"]),
        ("sony-9-pin", "eject", {}, ["20 0F 2F"]),
        ("sony-9-pin", "shuttle_reverse", {"rate": 96}, ["21 23 60 A4"]),
        ("sony-9-pin", "time", {}, ["61 0C 01 6E"]),
        # Cue up, BCD frames, seconds, minutes, hours: 24 + 31 + 12 + 34 + 56 + 01 = F2.
        (
            "sony-9-pin", "locate", {"hours": 1, "minutes": 56, "seconds": 34, "frames": 12}, ["24 31 12 34 56 01 F2"],
        ),
        # MMC: F0 7F dd 06 cc F7; locate 44 06 01 hr mn sc fr sf, hr = 0rrhhhhh, rr 3 is 30 frames.
        ("mmc-recorder", "record", {}, ["F0 7F 7F 06 06 F7"]),
        (
            "mmc-recorder", "locate", {"hours": 1, "minutes": 2, "seconds": 3, "frames": 4},
            ["F0 7F 7F 06 44 06 01 61 02 03 04 00 F7"],
        ),
        ("studer-a800-serial", "play", {}, ["50 4C 59 0D"]),
        ("symetrix-symnet", "load_preset", {"number": 7}, ["4C 50 20 37 0D"]),
        # BSS: 8C, four bytes, exclusive or; 8C ^ 05 = 89.
        ("bss-soundweb-london", "load_preset", {"number": 5}, ["02 8C 00 00 00 05 89 03"]),
    ],
)  # fmt: skip
def test_a_command_has_the_printed_bytes(name: str, told: str, numbers: dict[str, int], messages: list[str]) -> None:
    assert shown(command(PROFILES[name], told, **numbers)) == messages


def test_mmc_locates_in_the_frames_that_the_rig_says() -> None:
    machine = load_profile("mmc-recorder", options={"rate": "25"})
    (message,) = command(machine, "locate", hours=23, minutes=59, seconds=58, frames=24)
    assert message.hex(" ").upper() == "F0 7F 7F 06 44 06 01 37 3B 3A 18 00 F7"  # 0x20 + 23 = 0x37


def test_whatever_stores_records_or_powers_microphones_is_dangerous() -> None:
    controls = {f"{name}/{control.name}" for name, p in PROFILES.items() for control in p.controls.values()}
    dangerous = {
        f"{name}/{control.name}" for name, p in PROFILES.items() for control in p.controls.values() if control.dangerous
    }
    words = ("phantom", "preset/", "setup/")
    assert dangerous == {address for address in controls if any(word in address for word in words)}
    told = {f"{name}/{told.name}" for name, p in PROFILES.items() for told in p.commands.values() if told.dangerous}
    assert told == {
        "sony-9-pin/record", "sony-9-pin/eject", "mmc-recorder/record", "symetrix-symnet/load_preset",
        "bss-soundweb-london/load_preset",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- RME OctaMic XTC


def test_octamic_takes_every_field_and_tells_it_when_asked() -> None:
    preamp, parser = PreampDecoder(), Parser(OCTAMIC)
    for control in OCTAMIC.controls.values():
        if control.name.startswith("preset"):
            continue
        for value in settings_of(control):
            before = preamp.knobs()
            assert tell(preamp, encode(OCTAMIC, control.name, value).messages) == b""
            assert preamp.knobs() == {**before, control.name: value}
        said = parser.feed(tell(preamp, query(OCTAMIC, control.name)))
        assert {item.control: item.value for item in said if isinstance(item, Change)} == preamp.knobs()


def test_octamic_has_every_knob_of_the_room() -> None:
    assert set(PreampDecoder().knobs()) == {name for name in OCTAMIC.controls if not name.startswith("preset")}


def test_octamic_obeys_the_guides_vector_and_it_is_read_back() -> None:
    preamp = PreampDecoder()
    preamp.receive(bytes.fromhex("F0 00 20 0D 69 00 20 01 1C 08 7F F7"))  # user's guide p. 59, its ID repaired
    (answer,) = preamp.receive(command(OCTAMIC, "ask_changes")[0])
    assert {item.control: item.value for item in Parser(OCTAMIC).feed(answer) if isinstance(item, Change)} == {
        "mic2/gain": 37, "mic2/polarity": False, "mic2/mute": False, "mic2/autoset": False, "mic2/phantom": False,
        "mic2/pad": True, "mic2/group": 0,
    }  # fmt: skip


def test_octamic_tells_a_hands_move_once_and_then_nothing() -> None:
    preamp, parser = PreampDecoder(), Parser(OCTAMIC)
    preamp.turn("mic5/gain", 42)
    said = parser.feed(tell(preamp, command(OCTAMIC, "ask_changes")))
    assert Change("mic5/gain", 42, 33) in said
    assert parser.feed(tell(preamp, command(OCTAMIC, "ask_changes"))) == []


def test_octamic_of_another_id_is_another_unit() -> None:
    third = load_profile("rme-octamic-xtc", channel=3)
    preamp = PreampDecoder(device=2)
    tell(preamp, encode(OCTAMIC, "mic1/gain", 65).messages)
    assert preamp.knobs()["mic1/gain"] == 0
    tell(preamp, encode(third, "mic1/gain", 65).messages)
    assert preamp.knobs()["mic1/gain"] == 65
    answer = tell(preamp, query(third, "mic1/gain"))
    assert Change("mic1/gain", 65, 56) in Parser(third).feed(answer)
    assert not any(isinstance(item, Change) for item in Parser(OCTAMIC).feed(answer))


# -------------------------------------------------------------------------------------------- Kramer VP-8x8AK


def test_kramer_moves_to_what_was_sent_and_says_so() -> None:
    matrix, parser = KramerDecoder(), Parser(KRAMER)
    for control in KRAMER.controls.values():
        if control.dangerous:
            continue
        for value in settings_of(control):
            encoded = encode(KRAMER, control.name, value)
            before = matrix.knobs()
            said = parser.feed(tell(matrix, encoded.messages))
            assert matrix.knobs() == {**before, control.name: value}
            assert said == [Change(control.name, value, encoded.raw)]
            if control.readable:
                assert parser.feed(tell(matrix, query(KRAMER, control.name))) == said


def test_kramer_covers_every_knob_of_the_room_and_rests_where_it_does() -> None:
    safe = {control.name: control.default for control in KRAMER.controls.values() if not control.dangerous}
    assert safe == KramerDecoder().knobs()


def test_kramer_refuses_in_words() -> None:
    matrix = KramerDecoder(refusing={"out02/tie", "in03/gain"})
    for name, value in (("out02/tie", 1), ("in03/gain", 0)):
        said = Parser(KRAMER).feed(tell(matrix, encode(KRAMER, name, value).messages))
        assert [item.text for item in said if isinstance(item, Refusal)] == ["error"]
    said = Parser(KRAMER).feed(tell(matrix, encode(KRAMER, "setup/store", 1).messages))
    assert [item.text for item in said if isinstance(item, Refusal)] == ["invalid instruction"]
    assert [item.text for item in heard(KRAMER, "50 80 82 81") if isinstance(item, Refusal)] == ["out of range"]


def test_kramer_moved_by_hand_is_heard() -> None:
    matrix, parser = KramerDecoder(), Parser(KRAMER)
    for name, value, raw in (("out03/tie", 8, 8), ("out01/gain", -20, 94), ("in01/gain", -math.inf, 0)):
        assert parser.feed(b"".join(matrix.turn(name, value))) == [Change(name, value, raw)]


def test_kramer_gain_without_its_prefix_is_no_gain_of_anything() -> None:
    parser = Parser(KRAMER)
    assert parser.feed(bytes.fromhex("6A 87 80 81 56 81 FF 81")) == [Change("out01/gain", 13, 127)]
    assert parser.feed(bytes.fromhex("56 81 FF 81")) == [Unparsed(bytes.fromhex("56 81 FF 81"))]
    # A prefix holds for the next instruction only: a tie in between ends it.
    said = parser.feed(bytes.fromhex("6A 86 80 81 42 81 81 81 56 81 FF 81"))
    assert said == [Change("out01/tie", 1, 1), Unparsed(bytes.fromhex("56 81 FF 81"))]


def test_kramer_says_what_it_is() -> None:
    said = Parser(KRAMER).feed(tell(KramerDecoder(), identity_query(KRAMER)))
    assert said == [Report("identity", {"model": "88 88"})]


# -------------------------------------------------------------------------------------------- attenuator board


def test_board_moves_to_what_was_sent_and_says_so() -> None:
    board, parser = AttenuatorDecoder(), Parser(BOARD)
    for control in BOARD.controls.values():
        for value in settings_of(control):
            encoded = encode(BOARD, control.name, value)
            before = board.knobs()
            said = parser.feed(tell(board, encoded.messages))
            assert board.knobs() == {**before, control.name: value}
            assert said == [Change(control.name, value, encoded.raw)]
            assert parser.feed(tell(board, query(BOARD, control.name))) == said


def test_board_starts_muted_as_the_profile_says() -> None:
    assert {control.name: control.default for control in BOARD.controls.values()} == AttenuatorDecoder().knobs()


def test_board_refuses_in_words() -> None:
    board = AttenuatorDecoder(refusing={"ch03/level"})
    (refusal,) = Parser(BOARD).feed(tell(board, encode(BOARD, "ch03/level", -1).messages))
    assert refusal == Refusal(None, "ERR 4", "cannot be changed now")
    for line, text in (
        (b"SET 17 0\n", "no such channel"),
        (b"SET 1 -12.3\n", "level out of range, or between two steps"),
        (b"HELLO\n", "the line was not understood, or too long"),
    ):
        assert [item.text for item in Parser(BOARD).feed(tell(board, [line])) if isinstance(item, Refusal)] == [text]


def test_board_turned_by_hand_is_heard_and_says_what_it_is() -> None:
    board, parser = AttenuatorDecoder(), Parser(BOARD)
    assert parser.feed(b"".join(board.turn("ch07/level", -6.5))) == [Change("ch07/level", -6.5, 13)]
    assert parser.feed(b"".join(board.turn("ch07/level", -math.inf))) == [Change("ch07/level", -math.inf, 128)]
    assert parser.feed(tell(board, identity_query(BOARD))) == [
        Report("identity", {"model": "attenuator-board", "channels": 16, "firmware": "1.0"})
    ]


@given(st.integers(0, 127), st.integers(1, 16))
def test_board_levels_are_halves_of_a_decibel(steps: int, channel: int) -> None:
    level_db = -steps / 2
    (message,) = encode(BOARD, f"ch{channel:02}/level", level_db).messages
    assert float(message.split()[2]) == level_db
    assert int(message.split()[1]) == channel


# ------------------------------------------------------------------------------------------------ Sony 9-pin


def test_tape_machine_obeys_and_acknowledges() -> None:
    tape, parser = NinePinDecoder(), Parser(TAPE)
    for told, mode in (("play", "play"), ("record", "record"), ("fast_forward", "ff"), ("rewind", "rewind"),
                       ("stop", "stop")):  # fmt: skip
        assert parser.feed(tell(tape, command(TAPE, told))) == [Accepted()]
        assert tape.knobs()["transport"] == mode
    for told, mode, speed in (("shuttle_forward", "shuttle", 10.0), ("jog_reverse", "jog", -10.0)):
        assert parser.feed(tell(tape, command(TAPE, told, rate=96))) == [Accepted()]
        assert tape.knobs()["transport"] == mode
        assert tape.knobs()["search_speed"] == pytest.approx(speed)  # 10^(96 / 32 - 2)
    for name, value in (("standby", False), ("standby", True), ("panel", False), ("panel", True)):
        assert parser.feed(tell(tape, encode(TAPE, name, value).messages)) == [Accepted()]
        if name == "standby":
            assert parser.feed(tell(tape, query(TAPE, name))) == [Change("standby", value, int(value))]


def test_tape_machine_tells_its_state() -> None:
    tape, parser = NinePinDecoder(), Parser(TAPE)
    for told, mode in (("stop", 32), ("play", 1), ("record", 3), ("fast_forward", 4), ("rewind", 8)):
        tell(tape, command(TAPE, told))
        said = parser.feed(tell(tape, command(TAPE, "status")))
        assert said == [Report("state", {"tapeout": 0, "mode": mode, "cued": 0})]
    tape.turn("tape", False)
    (report,) = parser.feed(tell(tape, command(TAPE, "status")))
    assert isinstance(report, Report)
    assert report.fields["tapeout"] == 1


def test_tape_machine_winds_to_a_place_says_cued_and_what_time_it_is() -> None:
    tape, parser = NinePinDecoder(), Parser(TAPE)
    tape.receive(b"", 0.0)
    (locate,) = command(TAPE, "locate", hours=0, minutes=1, seconds=40, frames=12)
    assert parser.feed(b"".join(tape.receive(locate, 0.0))) == [Accepted()]
    (ask,) = command(TAPE, "status")
    assert parser.feed(b"".join(tape.receive(ask, 1.0))) == [Report("state", {"tapeout": 0, "mode": 4, "cued": 0})]
    assert parser.feed(b"".join(tape.receive(ask, 60.0))) == [Report("state", {"tapeout": 0, "mode": 32, "cued": 1})]
    place = Report("time", {"frames": 12, "seconds": 40, "minutes": 1, "hours": 0})
    for told in ("time", "counter"):
        assert parser.feed(b"".join(tape.receive(command(TAPE, told)[0], 60.0))) == [place]


def test_tape_machine_refuses_in_words() -> None:
    tape, parser = NinePinDecoder(refusing={"record"}), Parser(TAPE)
    cases = [
        (command(TAPE, "record")[0], "unknown command, or not possible now"),
        (command(TAPE, "preroll")[0], "unknown command, or not possible now"),
        (bytes.fromhex("20 01 22"), "checksum error on the way"),
    ]
    for message, text in cases:
        (refusal,) = parser.feed(tell(tape, [message]))
        assert isinstance(refusal, Refusal)
        assert refusal.text == text
    # Bits of the NAK: 4 parity, 5 overrun, 6 framing, 7 timeout.
    for bits, word in (("10 33", "parity"), ("20 43", "too fast"), ("40 63", "framing"), ("80 A3", "slowly")):
        (refusal,) = heard(TAPE, f"11 12 {bits}")
        assert isinstance(refusal, Refusal)
        assert word in refusal.text


def test_tape_machine_says_what_it_is() -> None:
    assert Parser(TAPE).feed(tell(NinePinDecoder(), identity_query(TAPE))) == [Report("identity", {"model": "7D 01"})]


def test_a_frame_with_a_wrong_sum_is_not_believed() -> None:
    assert heard(TAPE, "74 04 12 40 01 00 CC") == [Unparsed(bytes.fromhex("74 04 12 40 01 00 CC"))]
    assert heard(TAPE, "74 04 12 40 01 00 CB") == [
        Report("time", {"frames": 12, "seconds": 40, "minutes": 1, "hours": 0})
    ]


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 24), st.integers(1, 7))
def test_a_time_that_is_cued_is_the_time_that_is_told(h: int, m: int, s: int, f: int, cut: int) -> None:
    (cue,) = command(TAPE, "locate", hours=h, minutes=m, seconds=s, frames=f)
    body = b"\x74\x04" + cue[2:6]
    answer = body + bytes([sum(body) & 0xFF])
    parser = Parser(TAPE)
    said = [item for start in range(0, len(answer), cut) for item in parser.feed(answer[start : start + cut])]
    assert said == [Report("time", {"hours": h, "minutes": m, "seconds": s, "frames": f})]


# ------------------------------------------------------------------------------- Extron, and the others' answers


def test_extron_session_makes_the_matrix_tell_names_and_moves() -> None:
    matrix, parser = MatrixDecoder(), Parser(MATRIX)
    (step,) = session_steps(MATRIX)
    assert step.expects
    assert parser.feed(tell(matrix, step.messages)) == [Report("session")]
    assert parser.feed(tell(matrix, query(MATRIX, "out04/tie"))) == [Change("out04/tie", 0, 0)]
    assert parser.feed(b"".join(matrix.turn("out04/tie", 7))) == [Change("out04/tie", 7, 7)]
    (identity,) = parser.feed(tell(matrix, identity_query(MATRIX)))
    assert identity == Report("identity", {"firmware": "1.00"})


@pytest.mark.parametrize(
    ("name", "answer", "meaning"),
    [
        ("symetrix-symnet", b"ACK\r", Accepted()),
        ("symetrix-symnet", b"#00012=65535\r", Change("ch12/fader", 12, 65535)),
        ("symetrix-symnet", b"#00103=00000\r", Change("ch03/mute", False, 0)),
        ("symetrix-symnet", b"#00017=-0001\r", Refusal(None, "#00017=-0001", "no such controller number")),
        ("kramer-p3000-audio", b"~OK\r\n", Report("session")),
        ("kramer-p3000-audio", b"~01@ OK\r\n", Report("session")),
        ("kramer-p3000-audio", b"~01@AUD 3>8\r\n", Change("out08/tie", 3, 3)),
        ("kramer-p3000-audio", b"~AUD 3>8 OK\r\n", Change("out08/tie", 3, 3)),
        ("kramer-p3000-audio", b"~01@ERR003\r\n", Refusal(None, "~01@ERR003", "parameter out of range")),
        ("kramer-p3000-audio", b"~01@AUD ERR002\r\n",
         Refusal(None, "~01@AUD ERR002", "command not available for this device")),
        ("kramer-p3000-audio", b"~01@MODEL VP-8x8TP\r\n", Report("identity", {"model": "VP-8x8TP"})),
        ("bss-soundweb-london", b"\x06", Accepted()),
        ("bss-soundweb-london", bytes.fromhex("02 88 00 01 1B 83 00 01 00 00 00 00 00 00 00 8B 03"),
         Change("gain", 0, 0)),
        ("amx-autopatch", b"CL0I2O3T", Change("out03/tie", 2, 2)),
        ("amx-autopatch", b"DL0O3T", Change("out03/tie", 0, 0)),
        ("mmc-recorder", bytes.fromhex("F0 7F 7F 01 01 21 02 03 04 F7"),
         Report("timecode", {"hours": 1, "minutes": 2, "seconds": 3, "frames": 4})),
    ],
)  # fmt: skip
def test_an_answer_means_what_the_document_says(name: str, answer: bytes, meaning: Heard) -> None:
    assert Parser(PROFILES[name]).feed(answer) == [meaning]


@pytest.mark.parametrize(("name", "answer", "word"), [("symetrix-symnet", b"NAK\r", "not done"),
                                                      ("bss-soundweb-london", b"\x15", "checksum")])  # fmt: skip
def test_a_bare_nak_is_explained(name: str, answer: bytes, word: str) -> None:
    (refusal,) = Parser(PROFILES[name]).feed(answer)
    assert isinstance(refusal, Refusal)
    assert word in refusal.text


@given(st.floats(-79.0, 10.0))
def test_bss_gain_follows_its_law(gain_db: float) -> None:
    raw = encode(PROFILES["bss-soundweb-london"], "gain", gain_db).raw
    law = gain_db * 10_000 if gain_db >= -10 else -200_000 * math.log10(-gain_db / 10) - 100_000
    assert raw == pytest.approx(law, abs=0.51)


@given(st.floats(-71.9, 12.0))
def test_symetrix_faders_have_780_codes_for_a_decibel(gain_db: float) -> None:
    raw = encode(PROFILES["symetrix-symnet"], "ch01/fader", gain_db).raw
    assert raw == pytest.approx((gain_db + 72) * 65_535 / 84, abs=0.51)


def test_an_output_that_is_disconnected_otherwise_says_so_in_its_option() -> None:
    other = load_profile("kramer-p3000-audio", options={"disconnect": "one-more"})
    assert encode(other, "out02/tie", 0).messages == (b"#AUD 9>2\r",)
    assert Parser(other).feed(b"~01@AUD 9>2\r\n") == [Change("out02/tie", 0, 9)]


def test_appsys_block_begins_at_the_rigs_channel() -> None:
    moved = load_profile("appsys-rgc", channel=5)
    assert shown(encode(moved, "preamp3/mic1/gain", 50).messages) == ["B6 18 7F"]


def test_what_a_device_cannot_be_told_is_refused_before_it_is_sent() -> None:
    for name, control, value in (
        ("rme-octamic-xtc", "mic1/gain", 66),
        ("kramer-vp-8x8ak", "out01/gain", 14),
        ("attenuator-board", "ch01/level", 1),
        ("symetrix-symnet", "ch01/fader", 12.5),
        ("bss-soundweb-london", "gain", 11),
        ("amx-autopatch", "out01/tie", 9),
    ):
        with pytest.raises(ValueRangeError):
            encode(PROFILES[name], control, value)
