"""The rig's ports: opened once, found again by name, and never mistaken for another unit's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from gear_on_ports import Gear
from short_line import Line

from controller import places
from controller.studio import Studio
from hardware.errors import DisconnectedError, PortNotFoundError, ReplyTimeoutError
from hardware.identities import OtherUnitError
from hardware.room.faults import Fault


@pytest.fixture
def gear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gear:
    return Gear(tmp_path, monkeypatch)


def test_devices_on_one_port_share_it_on_channels_of_their_own(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 1), 2: (22, 1)}, "Other": {1: (33, 1)}}
    gear.add("bam", "midi:UM-ONE")
    gear.add("bim", "midi:UM-ONE", "channel = 2")
    gear.add("alone", "midi:Other", 'receive = "Back"')
    with Studio.open(gear.rig) as studio:
        ports = studio.ports()
        assert [cable.name for cable in gear.opened] == ["UM-ONE", "Other"]
        assert getattr(ports["bam"], "wire", None) is getattr(ports["bim"], "wire", ports["bim"])
        assert gear.settings[1]["receive_name"] == "Back"
        assert studio.profiles["bim"].midi_channel == 2
        ports["bam"].close()
        assert not gear.opened[0].closed
    assert all(cable.closed for cable in gear.opened)


def test_the_midi_port_of_a_silent_device_is_opened_anew_with_all_that_stand_on_it(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 1), 2: (22, 1)}, "Other": {1: (33, 1)}}
    gear.add("bam", "midi:UM-ONE")
    gear.add("bim", "midi:UM-ONE", "channel = 2")
    gear.add("alone", "midi:Other")
    with Studio.open(gear.rig) as studio:
        before = studio.ports()
        studio.distrust(["bam"])
        assert [cable.closed for cable in gear.opened] == [True, False]
        after = studio.ports()
        assert [cable.name for cable in gear.opened] == ["UM-ONE", "Other", "UM-ONE"]
        assert after["alone"] is before["alone"]
        assert getattr(after["bam"], "wire", None) is getattr(after["bim"], "wire", after["bim"])
    assert all(cable.closed for cable in gear.opened)


def test_a_port_that_came_back_serves_again_with_the_same_unit(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 1)}}
    gear.add("bam", "midi:UM-ONE")
    with Studio.open(gear.rig) as studio:
        studio.reopen("bam")
        assert json.loads(gear.identities.read_text())["devices"]["bam"]["fields"] == {"serial": 11, "firmware": 1}
        units = gear.unplug("UM-ONE")
        with pytest.raises(DisconnectedError):
            studio.ports()["bam"].send(b"\xf8")
        with pytest.raises(PortNotFoundError):
            studio.reopen("bam")
        assert isinstance(studio.unreachable["bam"], PortNotFoundError)
        assert studio.ports() == {}
        gear.plugged["UM-ONE"] = units
        port = studio.reopen("bam")
        port.send(b"\xf8")
        assert studio.ports() == {"bam": port}
        assert studio.unreachable == {}


def test_another_unit_on_the_port_is_refused_until_it_is_accepted(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 1)}}
    gear.add("bam", "midi:UM-ONE")
    with Studio.open(gear.rig) as studio:
        studio.reopen("bam")
    before = gear.identities.read_bytes()
    gear.plugged = {"UM-ONE": {1: (99, 1)}}
    with Studio.open(gear.rig) as studio:
        with pytest.raises(OtherUnitError, match="Another unit sits on the port of bam: it says serial 99"):
            studio.reopen("bam")
        assert gear.identities.read_bytes() == before
        assert studio.ports() == {}, "nobody sends to it"
        assert gear.opened[-1].closed
        studio.forget("bam")
        studio.reopen("bam")
    assert json.loads(gear.identities.read_text())["devices"]["bam"]["fields"]["serial"] == 99


def test_a_unit_that_is_silent_after_its_port_came_back_is_not_taken_for_itself(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {}}
    gear.add("bam", "midi:UM-ONE")
    with Studio.open(gear.rig) as studio, pytest.raises(ReplyTimeoutError, match="bam did not answer its identity"):
        studio.reopen("bam")


def test_one_wire_comes_back_for_all_its_devices(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 1), 2: (22, 1)}}
    gear.add("bam", "midi:UM-ONE")
    gear.add("bim", "midi:UM-ONE", "channel = 2")
    with Studio.open(gear.rig) as studio:
        bim = studio.ports()["bim"]
        units = gear.unplug("UM-ONE")
        for name in ("bam", "bim"):
            with pytest.raises(PortNotFoundError):
                studio.reopen(name)
        assert studio.ports() == {}
        gear.plugged["UM-ONE"] = units
        studio.reopen("bam")
        assert set(studio.ports()) == {"bam", "bim"}
        assert studio.unreachable == {}
        with pytest.raises(DisconnectedError):
            bim.send(b"\xf8")
        assert sum(not cable.closed for cable in gear.opened) == 1


def test_a_device_set_by_hand_has_no_port_to_open_again(gear: Gear) -> None:
    gear.add("eq", "hand")
    with Studio.open(gear.rig) as studio, pytest.raises(PortNotFoundError, match="eq has no port"):
        studio.reopen("eq")


def test_a_device_of_the_room_is_opened_again(line: Line) -> None:
    with Studio.open("demo") as studio:
        first = studio.ports()["desk"]
        second = studio.reopen("desk")
        assert second is studio.ports()["desk"]
        with pytest.raises(DisconnectedError):
            first.send(bytes([0xB0, 0x40, 0x40]))
        second.send(bytes([0xB0, 0x40, 0x40]))


@pytest.mark.parametrize("index", [0, 2])
def test_a_device_of_the_room_that_was_unplugged_is_found_again_whatever_its_port_is_called(
    line: Line, index: int
) -> None:
    with Studio.open("demo") as studio:
        port = studio.ports()["desk"]
        assert studio.room is not None
        studio.room.room.throw(Fault("port_gone", device="desk", seconds=1.0, index=index))
        with pytest.raises(DisconnectedError):
            for _ in range(3):
                port.send(bytes([0xB0, 0x40, 0x40]))
        with pytest.raises(PortNotFoundError):
            studio.reopen("desk")
        studio.clock.sleep(2.0)
        studio.reopen("desk").send(bytes([0xB0, 0x40, 0x10]))
        assert studio.unreachable == {}
        assert studio.room.room.knobs()["desk/ch01/pan"] != 0.0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_a_served_line_that_is_back_under_another_name_is_found_again(line: Line) -> None:
    import tty

    run = places.run_folder()
    run.mkdir(parents=True)
    near, far = os.openpty()
    try:
        tty.setraw(far)
        (run / "matrix").symlink_to(os.ttyname(far))
        with Studio.open("room") as studio:
            for other in ("desk", "comp"):
                studio.unreachable[other] = PortNotFoundError("not served here")
            assert list(studio.ports()) == ["matrix"]
            (run / "matrix").unlink()
            with pytest.raises(PortNotFoundError):
                studio.reopen("matrix")
            (run / "matrix-2").symlink_to(os.ttyname(far))
            with pytest.raises(ReplyTimeoutError):  # nobody behind this line answers who it is
                studio.reopen("matrix")
            assert os.read(near, 100).endswith(b"Q")  # but it was asked there
    finally:
        os.close(near)
        os.close(far)
