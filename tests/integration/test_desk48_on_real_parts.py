"""600 controls over real rtmidi and JACK, and whatever goes wrong on the way: nothing false is believed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import MISSING, fields

import pytest
from gear_room import GearRoom, gear_room, random_target

from controller.recall import plan_target
from hardware.errors import DisconnectedError
from hardware.ports.midi import list_midi_ports, open_midi
from hardware.ports.serial import open_serial
from hardware.room.fault_plan import random_faults
from hardware.room.faults import Fault
from hardware.room.model import Gear, RoomModel
from hardware.room.room import Room
from hardware.seams import BytePort, SystemClock
from profiles.profile import Value

pytestmark = pytest.mark.real

IDENTITY_QUERY = bytes.fromhex("F07E7F0601F7")
IDENTITY = bytes.fromhex("F07E0006027D3000010001040200F7")
"""Chapter 8 of the desk's manual: version 1.4.2."""
ASK_FADER_1 = bytes.fromhex("F07D3438012000F7")
FADER_1_OFF = [bytes([0xB0, 0x63, 0x20]), bytes([0xB0, 0x62, 0]), bytes([0xB0, 6, 0]), bytes([0xB0, 0x26, 0])]
"""NRPN 20h/0 with both data bytes: position 0, off, as at power-on."""


@pytest.fixture(scope="module")
def desk(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GearRoom]:
    with gear_room(tmp_path_factory.mktemp("desk48"), {"big": "room-desk-48"}, rig="desk48") as made:
        yield made


@pytest.fixture(autouse=True)
def well(desk: GearRoom) -> Iterator[None]:
    """Every test leaves the room without faults."""
    yield
    desk.heal()


def collect(port: BytePort, count: int) -> list[bytes]:
    """What arrives, ``count`` tokens of it, within ten seconds."""
    clock, found = SystemClock(), []
    deadline = clock.monotonic() + 10.0
    while len(found) < count and clock.monotonic() < deadline:
        found += [token.data for token in port.receive(0.2)]
    return found


def reached(port: BytePort) -> list[bytes]:
    """What the desk answers first. JACK drops what it is given in a cycle that it misses: whoever asks asks again."""
    for _ in range(3):
        port.send(ASK_FADER_1)
        if found := collect(port, 4):
            return found
    return []


# --- what a served fault does to the bytes on a real port -----------------------------------------------------------


def test_faults_typed_at_a_served_room_are_heard_on_its_midi_port(desk: GearRoom) -> None:
    desk.studio.close()
    port = open_midi("HalfnormalRoom big")
    try:
        assert reached(port) == FADER_1_OFF
        desk.throw("running_status", "device=big")
        port.send(ASK_FADER_1)
        assert b"".join(collect(port, 4)) == bytes([0xB0, 0x63, 0x20, 0x62, 0, 6, 0, 0x26, 0])
        desk.heal()
        desk.throw("pieces", "device=big", "size=3")
        port.send(IDENTITY_QUERY)
        assert collect(port, 1) == [IDENTITY]
        desk.throw("no_reply", "device=big")
        desk.throw("late_reply", "device=big", "seconds=0.2", "after_messages=1")
        port.send(ASK_FADER_1)
        port.send(IDENTITY_QUERY)
        assert collect(port, 1) == [IDENTITY]
    finally:
        port.close()


def test_a_fault_that_does_not_exist_is_refused_with_the_nearest_word(desk: GearRoom) -> None:
    answer = desk.served.ask("fault stuk device=big")
    assert answer["ok"] is False
    assert "Did you mean stuck?" in answer["error"]


def test_a_served_port_goes_and_is_back_under_another_name(desk: GearRoom) -> None:
    desk.studio.close()
    port = open_midi("HalfnormalRoom big")
    line = open_serial(desk.served.ready["serial"]["matrix"], terminator=b"\r\n")
    try:
        desk.throw("port_gone", "device=big", "index=2", "after_messages=1")
        desk.throw("port_gone", "device=matrix", "index=2")
        port.send(ASK_FADER_1)
        with pytest.raises(DisconnectedError, match="vanished"):
            for _ in range(100):
                port.receive(0.1)
        with pytest.raises(DisconnectedError, match="vanished"):
            line.receive(10.0)
    finally:
        port.close()
        line.close()
    names = desk.served.ask("ports")["ports"]
    assert {"device": "big", "port": "HalfnormalRoom big-2"} in names["midi"]
    assert "HalfnormalRoom big-2:in" in {found.name for found in list_midi_ports()}
    again = desk.studio.reopen("big")
    again.send(IDENTITY_QUERY)
    assert collect(again, 1) == [IDENTITY]
    line = open_serial(names["serial"]["matrix"], terminator=b"\r\n")
    try:
        line.send(b"1*3$")
        assert collect(line, 1) == [b"Out03 In01 Aud\r\n"]
    finally:
        line.close()


# --- recalls --------------------------------------------------------------------------------------------------------


def mix(desk: GearRoom, seed: int, *, channels: int = 48) -> dict[str, Value]:
    """A position for each of the controls: 600 with all channels."""
    strips = {f"ch{number:02d}" for number in range(channels + 1, 49)}
    return random_target(desk.studio.profiles, seed, only=lambda address: address.split("/")[1] not in strips)


def test_600_controls_land_over_real_midi(desk: GearRoom, capsys: pytest.CaptureFixture[str]) -> None:
    target = mix(desk, 1)
    assert len(target) == 600
    estimate_s = plan_target(desk.studio, target).plan.seconds_estimated
    began_s = time.monotonic()
    outcome = desk.recall(target)
    took_s = time.monotonic() - began_s
    with capsys.disabled():
        print(f"\n600 controls over rtmidi and JACK: {took_s:.2f} s, estimated {estimate_s:.2f} s")
    assert outcome.ok, outcome.failed_devices
    assert desk.elsewhere(target) == []
    assert {known.how for known in desk.studio.state.values()} == {"read-back"}
    assert plan_target(desk.studio, target).plan.steps == ()


def typed(fault: Fault) -> list[str]:
    """Write a fault as it is typed at a served room."""
    words = [fault.kind]
    for field in fields(fault):
        value = getattr(fault, field.name)
        if field.name not in ("kind", "channels") and value != field.default and field.default is not MISSING:
            words.append(f"{field.name}={str(value).lower() if isinstance(value, bool) else value}")
    return words


def test_a_port_that_was_away_while_nobody_looked_is_opened_anew(desk: GearRoom) -> None:
    """Its name is there again, its connection is not."""
    target = mix(desk, 2, channels=4)
    desk.studio.reopen("big")
    desk.throw("port_gone", "device=big")
    assert desk.served.ask("ports")
    outcome = desk.recall(target)
    assert "did not answer" in outcome.failed_devices["big"] or "vanished" in outcome.failed_devices["big"]
    assert desk.lies() == []
    _, resumed = desk.resume()
    assert resumed.ok, resumed.failed_devices
    assert desk.elsewhere(target) == []


@pytest.mark.parametrize(("seed", "channels"), [(0, 48), (2, 10), (3, 10)])
def test_random_faults_in_mid_recall_leave_nothing_false_and_the_recall_resumes(
    desk: GearRoom, seed: int, channels: int
) -> None:
    """Ten faults of different kinds each, of all that MIDI can have."""
    target = mix(desk, 10 + seed, channels=channels)
    double = Room(RoomModel.ideal(gear=(Gear("big", "room-desk-48"),)))
    for fault in random_faults(seed, 10, double, "big", list(target), messages=4 * len(target)):
        desk.throw(*typed(fault))
    outcome = desk.recall(target)
    assert desk.lies() == []
    assert outcome.doubts
    desk.heal()
    for _ in range(2):  # on a machine that stalls, a reply may be late once more
        if outcome.ok:
            break
        landed = desk.landed(target)
        planned, outcome = desk.resume()
        again = {step.address for step in planned.plan.steps} & landed
        # A master that goes down while routing changes comes up again: that is the plan, and no repetition.
        assert again <= {"big/master/fader"}
        assert desk.lies() == []
    assert outcome.ok, outcome.failed_devices
    assert desk.elsewhere(target) == []
