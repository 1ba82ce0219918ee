"""Every fault does what it says, seen at the wire. Expected bytes are the manuals' own (docs/devices)."""

from __future__ import annotations

import math

import pytest

from hardware.errors import DisconnectedError, HardwareError, PortNotFoundError, RoomModelError
from hardware.room.fault_plan import random_faults
from hardware.room.faults import FAULT_KEYS, Fault, read_fault, read_typed_fault
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import Gear, RoomModel, load_model
from hardware.room.room import Room
from hardware.room.uart import misheard

DESK48 = (Gear("big", "room-desk-48"),)
HUI = (Gear("box", "hui"),)
FADER_1_TO_0_DB = "B0 63 20 B0 62 00 B0 06 64 B0 26 00"
QUERY_FADER_1 = "F0 7D 34 38 01 20 00 F7"
FADER_1_IS_OFF = ["B0 63 20", "B0 62 00", "B0 06 00", "B0 26 00"]
INQUIRY = "F0 7E 7F 06 01 F7"
IDENTITY = "F0 7E 00 06 02 7D 30 00 01 00 01 04 02 00 F7"


def room_with(*faults: Fault, gear: tuple[Gear, ...] = DESK48) -> Room:
    return Room(RoomModel.ideal(faults=faults, gear=gear))


def said(room: Room, text: str, *, to: str = "big", at_s: float | None = None) -> list[str]:
    """What the device answers to bytes in hex, in hex."""
    return [data.hex(" ").upper() for data in room.receive(to, bytes.fromhex(text), at_s=at_s)]


# --- bytes on their way ----------------------------------------------------------------------------------------------


def test_a_byte_that_is_dropped_never_reaches_the_device():
    room = room_with(Fault("drop_byte", device="big", at_byte=10))
    said(room, FADER_1_TO_0_DB)  # the device hears B0 63 20 B0 62 00 B0 06 64 B0 00
    assert room.knobs()["big/ch01/fader"] == -math.inf
    said(room, FADER_1_TO_0_DB)
    assert room.knobs()["big/ch01/fader"] == 0.0, "only one byte was dropped"


def test_a_byte_is_dropped_after_so_many_messages():
    room = room_with(Fault("drop_byte", device="big", after_messages=1, at_byte=2))
    said(room, "90 00 7F 90 01 7F 90 02 7F")
    knobs = room.knobs()
    assert [knobs[f"big/ch0{n}/mute"] for n in (1, 2, 3)] == [True, False, True]


def test_a_byte_is_dropped_on_its_way_to_the_program():
    room = room_with(Fault("drop_byte", device="big", to="program", at_byte=4))
    assert said(room, QUERY_FADER_1) == ["B0 63 20", "B0 00", "B0 06 00", "B0 26 00"]


def test_a_byte_is_doubled_either_way():
    room = room_with(Fault("double_byte", device="big", at_byte=1))
    said(room, "90 05 7F")  # heard as 90 05 05, then 7F begins the next in running status
    assert room.knobs()["big/ch06/mute"] is True
    room = room_with(Fault("double_byte", device="big", to="program", at_byte=2))
    assert said(room, QUERY_FADER_1)[0] == "B0 63 20 20"


def test_running_status_leaves_out_what_the_message_before_it_said():
    room = room_with(Fault("running_status", device="big"))
    assert said(room, QUERY_FADER_1) == ["B0 63 20", "62 00", "06 00", "26 00"]
    assert said(room, INQUIRY) == [IDENTITY]
    assert said(room, QUERY_FADER_1)[0] == "B0 63 20", "a system-exclusive message ends running status"


def test_real_time_bytes_stand_inside_messages_and_sysex():
    room = room_with(Fault("real_time", device="big", byte=0xFE))
    assert said(room, "F0 7D 34 38 01 40 38 F7") == ["90 FE 38 7F"]
    assert said(room, "B0 63 24 B0 62 02 B0 06 79 B0 26 00") == ["F0 FE 7D 34 38 FE 7F 24 02 FE F7"]


def test_sysex_comes_in_pieces_and_short_messages_whole():
    room = room_with(Fault("pieces", device="big", size=4))
    assert said(room, INQUIRY) == ["F0 7E 00 06", "02 7D 30 00", "01 00 01 04", "02 00 F7"]
    assert said(room, "F0 7D 34 38 01 40 38 F7") == ["90 38 7F"]


# --- answers ---------------------------------------------------------------------------------------------------------


def test_no_reply_swallows_so_many_answers():
    room = room_with(Fault("no_reply", device="big", count=2))
    assert [said(room, QUERY_FADER_1) for _ in range(3)] == [[], [], FADER_1_IS_OFF]


def test_no_reply_about_one_control_only():
    room = room_with(Fault("no_reply", control="big/ch01/fader"))
    assert said(room, "F0 7D 34 38 01 40 38 F7") == ["90 38 7F"]
    assert said(room, QUERY_FADER_1) == []


def test_a_late_reply_comes_late():
    room = room_with(Fault("late_reply", device="big", seconds=0.5))
    assert said(room, QUERY_FADER_1, at_s=1.0) == []
    assert room.next_due_s("big") == 1.5
    assert room.due("big", 1.4) == []
    assert [(token.at_s, token.data.hex(" ").upper()) for token in room.due("big", 1.6)] == [
        (1.5, message) for message in FADER_1_IS_OFF
    ]
    assert room.next_due_s("big") is None


def test_an_answer_about_another_control():
    room = room_with(Fault("other_reply", device="big"), Fault("other_reply", device="big", other="big/master/mute"))
    room.turn("big/ch02/fader", 0.0)
    assert said(room, QUERY_FADER_1) == ["90 38 7F"], "first the one of the next fader, then that of the master's mute"
    room = room_with(Fault("other_reply", device="big"))
    room.turn("big/ch02/fader", 0.0)
    assert said(room, QUERY_FADER_1) == ["B0 63 20", "B0 62 01", "B0 06 64", "B0 26 00"]
    assert said(room, QUERY_FADER_1) == FADER_1_IS_OFF


def test_an_answer_with_the_value_asked_for_under_another_address():
    room = room_with(Fault("wrong_address", device="big"))
    room.turn("big/ch02/fader", 0.0)
    before = room.knobs()
    assert said(room, QUERY_FADER_1) == ["B0 63 20", "B0 62 01", "B0 06 00", "B0 26 00"]
    assert room.knobs() == before


def test_the_small_desk_and_the_matrix_answer_for_others_too():
    room = room_with(Fault("other_reply", device="desk"), Fault("other_reply", device="matrix"))
    room.turn("desk/ch08/fader", 0.0)
    assert said(room, "F0 7D 48 4E 10 10 06 F7", to="desk") == ["B0 63 10", "B0 62 07", "B0 06 60", "B0 26 00"]
    assert room.receive("matrix", b"1*3$") == [b"Out04 In00 Aud\r\n"]
    assert room.knobs()["matrix/out03/tie"] == 1


def test_a_refusal_can_be_thrown_at_run_time_and_healed():
    room = room_with()
    room.throw(Fault("nak", control="big/ch01/fader"))
    room.throw(Fault("nak", control="ch05/fader"))
    assert said(room, FADER_1_TO_0_DB) == ["F0 7D 34 38 7F 20 00 F7"]
    assert said(room, "B0 63 10 B0 62 04 B0 06 60 B0 26 00", to="desk") == ["F0 7D 48 4E 7F 10 04 F7"]
    room.heal()
    assert said(room, FADER_1_TO_0_DB) == []
    assert room.knobs()["big/ch01/fader"] == 0.0


def test_a_missed_ping_is_answered_again_after_so_many():
    room = room_with(Fault("ping_missed", device="box", count=2), gear=HUI)
    assert [said(room, "90 00 00", to="box") for _ in range(3)] == [[], [], ["90 00 7F"]]


# --- what does not move, and what moves by itself --------------------------------------------------------------------


def test_a_stuck_fader_says_nothing_and_stays():
    room = room_with(Fault("stuck", control="big/ch01/fader"))
    assert said(room, FADER_1_TO_0_DB) == []
    assert room.knobs()["big/ch01/fader"] == -math.inf
    assert said(room, QUERY_FADER_1) == FADER_1_IS_OFF
    said(room, "90 00 7F")
    assert room.knobs()["big/ch01/mute"] is True


def test_a_liar_answers_ok_and_does_nothing():
    room = room_with(Fault("liar", device="matrix"))
    assert room.receive("matrix", b"1*3$") == [b"Out03 In01 Aud\r\n"]
    assert room.knobs()["matrix/out03/tie"] == 0
    assert room.receive("matrix", b"3$") == [b"00\r\n"], "a read-back finds it out"


def test_a_hand_moves_a_knob_in_mid_recall_and_the_desk_says_so():
    room = room_with(Fault("moved", control="big/ch02/fader", value=0.0, after_messages=2))
    assert said(room, "90 00 7F") == []
    assert said(room, "90 00 7F") == ["91 01 7F", "B0 63 20", "B0 62 01", "B0 06 64", "B0 26 00", "91 01 00"]
    assert room.knobs()["big/ch02/fader"] == 0.0
    assert said(room, "90 00 7F") == []


def test_a_quiet_move_is_not_said():
    room = room_with(Fault("moved", control="big/ch02/pan", value=100, quiet=True, after_messages=1))
    assert said(room, "90 00 7F") == []
    assert room.knobs()["big/ch02/pan"] == 100.0


def test_a_held_fader_refuses_until_it_is_let_go():
    room = room_with(Fault("held", control="big/ch01/fader", after_messages=1, count=4))
    assert said(room, "90 00 7F") == ["91 00 7F"]
    assert said(room, FADER_1_TO_0_DB) == ["F0 7D 34 38 7F 20 00 F7", "91 00 00"]
    assert said(room, FADER_1_TO_0_DB) == []
    assert room.knobs()["big/ch01/fader"] == 0.0


# --- power and plugs -------------------------------------------------------------------------------------------------


def test_a_power_cycle_leaves_the_defaults_and_the_desks_pots():
    room = room_with(
        Fault("power_cycle", device="big", after_messages=1), Fault("power_cycle", device="desk", after_messages=1)
    )
    room.turn("big/grp1/fader", -20.0)
    room.turn("desk/ch01/fader", 0.0)
    room.turn("desk/ch01/trim", 6.0)
    assert said(room, "90 00 7F") == []
    said(room, "90 00 7F", to="desk")
    knobs = room.knobs()
    assert (knobs["big/grp1/fader"], knobs["big/ch01/mute"]) == (0.0, False)
    assert (knobs["desk/ch01/fader"], knobs["desk/ch01/trim"]) == (-math.inf, 6.0)
    assert not room.vanished("big")


def test_a_device_without_power_hears_nothing_and_the_matrix_greets_when_it_is_back():
    room = room_with(Fault("power_cycle", device="matrix", after_messages=1, seconds=2.0))
    assert room.receive("matrix", b"1*3$", at_s=1.0) == [b"Out03 In01 Aud\r\n"]
    assert room.receive("matrix", b"1*3$", at_s=2.9) == []
    (banner,) = room.due("matrix", 3.0)
    assert banner.at_s == 3.0
    assert banner.data.startswith(b"(C) Copyright")
    assert room.knobs()["matrix/out03/tie"] == 0
    assert room.receive("matrix", b"1*3$", at_s=3.1) == [b"Out03 In01 Aud\r\n"]


def test_audio_follows_a_power_cycle():
    import numpy as np

    room = room_with(Fault("power_cycle", device="desk", after_messages=1))
    room.turn("desk/ch01/fader", 0.0)
    said(room, "90 01 7F", to="desk")
    room.rest()
    assert not room.process(np.full((1000, 24), 0.5, dtype=np.float32)).any(), "every fader is off again"


def test_a_port_that_is_gone_and_back_has_to_be_opened_again():
    room = InProcessRoom(RoomModel.ideal(gear=DESK48))
    room.room.throw(Fault("port_gone", device="big", after_messages=1))
    port = room.open_port("big")
    port.send(bytes.fromhex("90 00 7F"))
    for use in (lambda: port.send(b"\x90\x00\x00"), lambda: port.receive(1.0)):
        with pytest.raises(DisconnectedError, match="vanished"):
            use()
    again = room.open_port("big")
    again.send(bytes.fromhex(QUERY_FADER_1))
    assert len(again.receive(1.0)) == 1
    with pytest.raises(DisconnectedError):
        port.receive(0.0)
    assert room.room.knobs()["big/ch01/mute"] is True, "only the port was away"


def test_a_port_comes_back_under_another_index_after_a_while():
    room = InProcessRoom(RoomModel.ideal(gear=DESK48))
    room.room.throw(Fault("port_gone", device="big", after_messages=1, seconds=3.0, index=2))
    port = room.open_port("big")
    port.send(bytes.fromhex("90 00 7F"))
    assert room.port_names() == ["desk", "comp", "matrix"]
    with pytest.raises(PortNotFoundError):
        room.open_port("big-2")
    room.clock.sleep(3.1)
    assert room.port_names() == ["desk", "comp", "matrix", "big-2"]
    with pytest.raises(PortNotFoundError, match="room:big-2"):
        room.open_port("big")
    again = room.open_port("big-2")
    assert again.name == "room:big-2"
    again.send(bytes.fromhex(INQUIRY))
    assert again.receive(1.0)[0].data == bytes.fromhex(IDENTITY)


def test_a_vanished_port_stays_away_until_it_is_healed():
    room = InProcessRoom(RoomModel.ideal())
    room.room.throw(Fault("vanish", device="desk", after_messages=1))
    port = room.open_port("desk")
    port.send(bytes.fromhex("90 00 7F"))
    room.clock.sleep(1e6)
    with pytest.raises(PortNotFoundError):
        room.open_port("desk")
    room.room.heal()
    with pytest.raises(DisconnectedError):
        port.send(bytes.fromhex("90 00 00"))
    room.open_port("desk").send(bytes.fromhex("90 00 00"))
    assert room.room.knobs()["desk/ch01/mute"] is False


def test_a_late_reply_takes_its_time_on_the_virtual_clock():
    room = InProcessRoom(RoomModel.ideal(gear=DESK48))
    room.room.throw(Fault("late_reply", device="big", seconds=0.75))
    port = room.open_port("big")
    port.send(bytes.fromhex("F0 7D 34 38 01 40 38 F7"))
    assert port.receive(0.5) == []
    assert room.clock.monotonic() == pytest.approx(0.5)
    (token,) = port.receive(0.5)
    assert token.data == bytes.fromhex("90 38 7F")
    # 8 bytes out, 0.75 s late, 3 bytes back, at 3125 bytes/s
    assert token.at_s == pytest.approx(8 / 3125 + 0.75 + 3 / 3125)
    assert room.clock.monotonic() == pytest.approx(token.at_s)


# --- serial lines ----------------------------------------------------------------------------------------------------


def test_a_break_is_one_zero_to_both_sides_and_the_rest_is_lost():
    room = room_with(Fault("serial_break", device="matrix", count=4))
    assert room.receive("matrix", b"1*3$") == [b"\x00"]
    assert room.knobs()["matrix/out03/tie"] == 0
    assert room.receive("matrix", b"2*3$") == [b"Out03 In02 Aud\r\n"]


def test_a_receiver_at_the_senders_rate_hears_every_byte():
    assert all(misheard(byte, 1.0) == bytes([byte]) for byte in range(256))


@pytest.mark.parametrize(
    ("byte", "ratio", "heard"),
    [
        # Twice as fast: the start bit is start and bit 0, each data bit is heard twice. 0x55 = 1010 1010 on the line:
        # levels at 0.75, 1.25, 1.75, … 4.25 are 0 1 1 0 0 1 1 0, that is 66h; the stop looks at 4.75. From bit 4 on
        # the line falls at 6 (bit 5): levels at 6.75 … 10.25 are 0 1 1 0 0 1 1 1, that is E6h.
        (0x55, 2.0, "66 e6"),
        # Half as fast: bits at 3, 5, 7, 9 are looked at, then the idle line: 0 0 0 1 1 1 1 1.
        (0x00, 0.5, "f8"),
    ],
)
def test_a_receiver_at_another_rate_hears_what_its_clock_makes_of_it(byte, ratio, heard):
    assert misheard(byte, ratio).hex(" ") == heard


def test_a_wrong_baud_rate_is_garbage_for_a_while():
    room = room_with(Fault("wrong_baud", device="matrix", count=4))
    assert b"Out03" not in b"".join(room.receive("matrix", b"1*3$"))
    assert room.knobs()["matrix/out03/tie"] == 0
    room.receive("matrix", b"\r1N")
    assert room.receive("matrix", b"1*3$") == [b"Out03 In01 Aud\r\n"]


# --- writing faults down ---------------------------------------------------------------------------------------------


def test_a_model_file_names_gear_and_its_faults(tmp_path):
    path = tmp_path / "room.toml"
    path.write_text(
        'schema = 1\n[[gear]]\nname = "big"\nkind = "room-desk-48"\n'
        '[[fault]]\nkind = "late_reply"\ndevice = "big"\nseconds = 0.5\ncount = 2\n'
        '[[fault]]\nkind = "real_time"\ndevice = "big"\nbyte = 0xFE\n'
        '[[fault]]\nkind = "nak"\ncontrol = "big/ch01/fader"\n'
    )
    model = load_model(path)
    assert model.gear == DESK48
    assert model.faults == (
        Fault("late_reply", device="big", seconds=0.5, count=2),
        Fault("real_time", device="big", byte=0xFE),
        Fault("nak", control="big/ch01/fader"),
    )
    assert Room(model).devices == ("desk", "comp", "matrix", "big")


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ('[[gear]]\nname = "big"\nkind = "room-desk-84"', "gear 1.kind", "room-desk-48"),
        ('[[gear]]\nname = "desk"\nkind = "hui"', "gear 1.name", ""),
        ('[[gear]]\nkind = "hui"', "gear 1.name", ""),
        ('[[gear]]\nname = "a"\nkind = "hui"\ncolour = 1', "gear 1.colour", "name, kind"),
        ('[[fault]]\nkind = "stick"\ncontrol = "desk/ch01/fader"', "fault 1.kind", "stuck"),
        ('[[fault]]\nkind = "stuck"\ncontrol = "dsk/ch01/fader"', "fault 1.control", "desk"),
        ('[[fault]]\nkind = "late_reply"\nseconds = 1', "fault 1.device or control", ""),
        ('[[fault]]\nkind = "late_reply"\ndevice = "desk"\nsecond = 1', "fault 1.second", "seconds"),
        ('[[fault]]\nkind = "late_reply"\ndevice = "desk"\nseconds = -1', "fault 1.seconds", "0 to 3600"),
        ('[[fault]]\nkind = "drop_byte"\ndevice = "desk"\nto = "moon"', "fault 1.to", ""),
        ('[[fault]]\nkind = "drop_byte"\ndevice = "desk"\ncount = -1', "fault 1.count", ""),
        ('[[fault]]\nkind = "real_time"\ndevice = "desk"\nbyte = 0x90', "fault 1.byte", ""),
        ('[[fault]]\nkind = "ping_missed"\ndevice = "desk"\nanswer = "9"', "fault 1.answer", ""),
        ('[[fault]]\nkind = "wrong_baud"\ndevice = "desk"', "fault 1.device", ""),
        ('[[fault]]\nkind = "running_status"\ndevice = "matrix"', "fault 1.device", ""),
    ],
)
def test_a_wrong_entry_names_its_key_and_the_nearest_word(tmp_path, text, key, hint):
    path = tmp_path / "room.toml"
    path.write_text(f"schema = 1\n{text}\n")
    with pytest.raises(RoomModelError, match=r"room\.toml") as caught:
        load_model(path)
    assert f"{key}: " in str(caught.value)
    assert hint in caught.value.hint


def test_a_fault_on_a_control_that_is_not_there_is_refused():
    with pytest.raises(RoomModelError, match="ch99/fader"):
        room_with(Fault("stuck", control="big/ch99/fader"))
    with pytest.raises(HardwareError, match="circuit"):
        room_with().throw(Fault("dead", channels=(1,)))
    with pytest.raises(HardwareError, match="refuses"):
        room_with(gear=HUI).throw(Fault("nak", control="box/ch01/fader"))


def test_a_fault_can_be_typed():
    devices = {"desk": "midi", "matrix": "serial"}
    words = ["moved", "control=desk/ch01/mute", "value=true", "after_messages=0x10"]
    assert read_typed_fault(words, devices) == Fault("moved", control="desk/ch01/mute", value=True, after_messages=16)
    words = ["late_reply", "device=desk", "seconds=0.25"]
    assert read_typed_fault(words, devices) == Fault("late_reply", device="desk", seconds=0.25)
    for words in ([], ["stuck", "desk"], ["stuck"]):
        with pytest.raises(HardwareError):
            read_typed_fault(words, devices)


def test_every_fault_tells_how_often_it_struck():
    fault = Fault("no_reply", device="big", count=5)
    room = room_with(fault)
    said(room, QUERY_FADER_1)
    said(room, QUERY_FADER_1)
    assert room.faults == [(fault, 2)]
    room.heal()
    assert room.faults == []


# --- random plans ----------------------------------------------------------------------------------------------------


def test_a_random_plan_is_the_same_for_the_same_seed_and_has_every_kind():
    room = room_with()
    controls = [f"big/{name}" for name in room.device("big").knobs()]
    plan = random_faults(7, 40, room, "big", controls)
    assert plan == random_faults(7, 40, room, "big", controls)
    assert plan != random_faults(8, 40, room, "big", controls)
    assert len(plan) == 40
    not_for_midi_gear = {
        "fader_off", "dead", "swapped", "inverted", "split", "summed", "shorted", "pulled", "jump",
        "silent_serial", "garbage_serial", "vanish", "serial_break",
        "wrong_baud",
    }  # fmt: skip
    assert {fault.kind for fault in plan} == set(FAULT_KEYS) - not_for_midi_gear
    assert all(0 <= fault.after_messages < 4 * 600 for fault in plan)


@pytest.mark.parametrize("device", ["big", "matrix"])
def test_a_random_plan_can_be_thrown_and_survived(device):
    room = room_with()
    controls = list(room.device(device).knobs())
    for fault in random_faults(3, 30, room, device, controls, messages=40):
        assert fault.kind in FAULT_KEYS
        room.throw(fault)
    for number in range(80):
        query = b"3$" if device == "matrix" else bytes.fromhex(QUERY_FADER_1)
        room.receive(device, query, at_s=float(number))
        room.due(device, number + 0.5)
    struck = [times for _, times in room.faults]
    assert sum(times > 0 for times in struck) > len(struck) // 2


def test_knobs_of_gear_are_kept_over_night_and_wait_for_it(tmp_path):
    path = tmp_path / "knobs.json"
    room = room_with()
    room.turn("big/ch01/pan", 100)
    room.save(path)
    without = Room(RoomModel.ideal())
    without.load(path)
    without.save(path)
    again = room_with()
    again.load(path)
    assert again.knobs() == room.knobs()


def test_reading_a_fault_needs_a_table():
    with pytest.raises(HardwareError, match="table"):
        read_fault("stuck", {})


@pytest.mark.parametrize("kind", ["room-desk-48", "yamaha-01v96", "hui", "mcu", "octamic-xtc", "sony-9-pin", "kramer-vp-8x8ak", "attenuator-board"])  # fmt: skip  # noqa: E501
def test_every_kind_of_gear_can_stand_in_a_room(kind):
    room = InProcessRoom(RoomModel.ideal(gear=(Gear("thing", kind),)))
    assert any(address.startswith("thing/") for address in room.room.knobs())
    port = room.open_port("thing")
    port.send(b"\xf0\x7e\x7f\x06\x01\xf7")
    port.receive(0.1)
