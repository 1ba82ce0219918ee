"""Everything at once on real ports: desks, a surface and a preamp over rtmidi and JACK, machines on pseudo-terminals.

Where the room's own knobs say how a control stands, they are what counts, and not what the program believes.
"""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gear_room import MIDI_GEAR, SERIAL_GEAR, GearRoom, gear_room, random_target, rig_text
from midi_rack import midi_rack
from real_parts import ROOT
from serial_device import Device

from controller.cli.main import main
from controller.events import silent
from controller.recall import plan_target, verify
from controller.studio import Studio
from hardware.errors import DisconnectedError, RefusedError
from hardware.identities import OtherUnitError
from hardware.ports.midi import MidiPort
from hardware.ports.serial import SerialPort
from hardware.recall import RecallOutcome
from hardware.room.decoder_desk48 import Desk48Decoder
from hardware.room.decoder_preamp import PreampDecoder
from hardware.room.decoder_sysex_desk import SysexDeskDecoder
from hardware.seams import SystemClock
from hardware.timecode import RATES, Timecode
from hardware.transport import Transport
from profiles.profile import Value

pytestmark = pytest.mark.real

GEAR = {**MIDI_GEAR, **SERIAL_GEAR, "matrix": "matrix"}
PART = {
    "big": r"ch0[1-4]|master|group",
    "digital": r"ch0[1-2]|master",
    "matrix": r"out0[1-3]",
    "kramer": r"out|in0[1-4]",
}
"""Which sections take part, where all would take long."""
NO_KNOB = {"tape/standby", "tape/panel"}
"""What takes part though the room tells it by no knob."""


@pytest.fixture(scope="module")
def gear(jack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GearRoom]:
    with gear_room(tmp_path_factory.mktemp("gear"), GEAR) as made:
        yield made


@pytest.fixture(autouse=True)
def well(gear: GearRoom) -> Iterator[None]:
    """Every test finds and leaves the room without faults."""
    yield
    gear.heal()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every message that leaves by any port, as it leaves."""
    messages: list[bytes] = []
    for kind in (MidiPort, SerialPort):
        send = kind.send

        def noted(port: Any, data: bytes, send: Any = send) -> None:
            messages.append(data)
            send(port, data)

        monkeypatch.setattr(kind, "send", noted)
    return messages


def target_of(gear: GearRoom, seed: int, *devices: str) -> dict[str, Value]:
    """A random target for these devices: what the room can tell of, and of desks some channels."""
    knobs = gear.knobs

    def takes_part(address: str) -> bool:
        device, _, name = address.partition("/")
        part = re.match(PART.get(device, ""), name)
        return device in (devices or GEAR) and part is not None and (address in knobs or address in NO_KNOB)

    return random_target(gear.studio.profiles, seed, only=takes_part)


@pytest.fixture(scope="module")
def everything(gear: GearRoom) -> tuple[dict[str, Value], RecallOutcome]:
    target = target_of(gear, 1)
    assert {address.partition("/")[0] for address in target} == set(GEAR)
    return target, gear.recall(target)


def test_a_recall_of_everything_lands_on_every_device(
    gear: GearRoom, everything: tuple[dict[str, Value], RecallOutcome]
) -> None:
    target, outcome = everything
    assert outcome.failed_devices == {}
    assert outcome.ok
    assert gear.elsewhere(target) == []
    assert gear.lies() == []
    how = {
        device: {
            result.known.how
            for address, result in outcome.results.items()
            if result.known is not None and address.startswith(f"{device}/")
        }
        for device in GEAR
    }
    for device in ("big", "digital", "pre", "board", "matrix"):
        assert how[device] == {"read-back"}
    assert how["hui"] == {"sent"}
    assert how["kramer"] == {"acknowledged", "read-back"}, "its ties cannot be read, its gains can"
    assert how["tape"] == {"acknowledged", "read-back"}


def test_a_second_recall_of_everything_sends_nothing(
    gear: GearRoom, everything: tuple[dict[str, Value], RecallOutcome], sent: list[bytes]
) -> None:
    outcome = gear.recall(everything[0])
    assert outcome.ok
    assert sent == []


def test_verify_confirms_everything_and_finds_what_a_hand_moved(
    gear: GearRoom, everything: tuple[dict[str, Value], RecallOutcome]
) -> None:
    target, _ = everything
    before = target["board/ch07/level"]
    assert gear.served.ask("turn board/ch07/level -31.5")["ok"]
    found = verify(gear.studio, target, emit=silent)
    assert [(wrong.address, wrong.found) for wrong in found.mismatches] == [("board/ch07/level", -31.5)]
    assert gear.recall(target).ok
    assert gear.knobs["board/ch07/level"] == before


# --- serial lines go wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "device"),
    [
        ("serial_break after_messages=6", "board"),
        ("serial_break after_messages=10 count=30", "kramer"),
        ("serial_break after_messages=3", "matrix"),
        ("wrong_baud after_messages=5 count=40", "board"),
        ("wrong_baud after_messages=1", "tape"),
        ("drop_byte after_messages=9 at_byte=3", "board"),
        ("double_byte to=program after_messages=12", "board"),
        ("power_cycle after_messages=12 seconds=0.1", "board"),
        ("port_gone after_messages=7 seconds=0.2", "board"),
        ("port_gone after_messages=5 seconds=0.2 index=2", "board"),
    ],
)
def test_a_bad_serial_line_leaves_nothing_false_and_the_recall_resumes(gear: GearRoom, fault: str, device: str) -> None:
    kind, *keys = fault.split()
    target = target_of(gear, hash_of(fault), device)
    gear.throw(kind, f"device={device}", *keys)
    outcome = gear.recall(target)
    assert outcome.doubts[device], "it was noticed"
    assert gear.lies() == []
    finish(gear, target, outcome)


def test_answers_in_single_bytes_are_answers(gear: GearRoom) -> None:
    target = target_of(gear, 21, "board", "kramer")
    for device in ("board", "kramer"):
        gear.throw("pieces", f"device={device}", "size=1")
    outcome = gear.recall(target)
    assert outcome.ok
    assert outcome.doubts == {}
    assert gear.elsewhere(target) == []


def hash_of(text: str) -> int:
    return sum(text.encode())


def finish(gear: GearRoom, target: dict[str, Value], outcome: RecallOutcome) -> None:
    """Heal, and go on where anything is left: then all of it stands, and nothing that stood right was sent again."""
    gear.heal()
    if not outcome.ok:
        landed = gear.landed(target)
        planned, resumed = gear.resume()
        assert landed.isdisjoint(step.address for step in planned.plan.steps)
        assert resumed.ok, resumed.failed_devices
    assert gear.elsewhere(target) == []
    assert gear.lies() == []


def test_a_board_that_says_ok_and_does_nothing_is_caught_by_reading_it(gear: GearRoom) -> None:
    target = target_of(gear, 31, "board")
    wanted = target["board/ch03/level"] = -17.5
    stood = gear.knobs["board/ch03/level"]
    assert stood != wanted
    gear.throw("liar", "control=board/ch03/level")
    outcome = gear.recall(target)
    assert "board/ch03/level" in outcome.failed_devices["board"]
    assert outcome.results["board/ch03/level"].state == "mismatch"
    assert gear.studio.state["board/ch03/level"].value == stood == gear.knobs["board/ch03/level"]
    finish(gear, target, outcome)


@pytest.mark.parametrize("control", ["kramer/out03/tie", "kramer/in02/gain"])
def test_what_the_kramer_refuses_is_named_and_the_rest_resumes(gear: GearRoom, control: str) -> None:
    """Protocol 2000: instruction 10h with the answer's bit is the error, 80 an error of no further kind."""
    target = target_of(gear, hash_of(control), "kramer")
    gear.throw("nak", f"control={control}")
    outcome = gear.recall(target)
    assert f"refused {control} (50 80 80 81 error)" in outcome.failed_devices["kramer"]
    assert outcome.results[control].state == "refused"
    finish(gear, target, outcome)


# --- the tape machine -----------------------------------------------------------------------------------------------


@pytest.fixture
def machine(gear: GearRoom) -> Transport:
    port = gear.studio.ports()["tape"]
    return Transport("tape", gear.studio.profiles["tape"], port, SystemClock(), rate=RATES["25"])


def test_a_tape_machine_winds_to_a_place_says_so_and_plays(gear: GearRoom, machine: Transport) -> None:
    machine.open()
    place = Timecode(0, 1, 10, 5, RATES["25"])
    assert machine.locate(place)
    assert (gear.knobs["tape/transport"], gear.knobs["tape/position"]) == ("stop", pytest.approx(70.2))
    machine.tell("play")
    assert gear.knobs["tape/transport"] == "play"
    machine.tell("stop")
    assert gear.knobs["tape/transport"] == "stop"
    assert gear.knobs["tape/position"] > 70.2


def test_a_command_that_the_tape_machine_refuses_is_an_error_and_the_next_one_works(
    gear: GearRoom, machine: Transport
) -> None:
    """Eject is beyond this machine: NAK 11 12 01, undefined command."""
    machine.armed = True
    with pytest.raises(RefusedError, match="unknown command"):
        machine.tell("eject")
    machine.tell("rewind")
    assert gear.knobs["tape/transport"] == "rewind"
    machine.tell("stop")


def test_a_tape_machine_whose_plug_is_pulled_is_a_lost_port(gear: GearRoom, machine: Transport) -> None:
    gear.throw("port_gone", "device=tape", "after_messages=1")
    with pytest.raises(DisconnectedError, match="vanished"):
        for _ in range(1000):
            machine.tell("stop")
    gear.heal()
    again = gear.studio.reopen("tape")
    Transport("tape", gear.studio.profiles["tape"], again, SystemClock(), rate=RATES["25"]).tell("stop")


# --- the surface ----------------------------------------------------------------------------------------------------


def test_a_surface_whose_pings_stay_unanswered_stops_with_a_sentence_and_resumes(
    gear: GearRoom, sent: list[bytes]
) -> None:
    """The host pings 90 00 00 every second; the long recall of the desk beside it makes the surface wait."""
    target = target_of(gear, 41, "hui", "digital")
    assert gear.recall(target).ok
    assert sent.count(bytes([0x90, 0, 0])) >= 2, "and it was answered, for nothing was missed"
    other = target_of(gear, 42, "hui", "digital") | {"hui/ch01/mute": not target["hui/ch01/mute"]}
    gear.throw("ping_missed", "device=hui", "count=0")
    outcome = gear.recall(other)
    assert "hui" in outcome.failed_devices
    assert "keep-alive" in outcome.failed_devices["hui"]
    assert "digital" not in outcome.failed_devices
    assert gear.lies() == []
    finish(gear, other, outcome)


def test_a_fader_that_a_hand_touches_is_not_written(gear: GearRoom, sent: list[bytes]) -> None:
    target = target_of(gear, 43, "hui")
    assert gear.served.ask("turn hui/ch03/touch true")["ok"]
    outcome = gear.recall(target)
    assert "hui/ch03/fader" in outcome.failed_devices["hui"]
    assert "hand" in outcome.failed_devices["hui"]
    assert not [data for data in sent if data[:2] in (bytes([0xB0, 0x02]), bytes([0xB0, 0x22]))]
    assert gear.served.ask("turn hui/ch03/touch false")["ok"]
    finish(gear, target, outcome)


# --- who is there, and where everything stands ----------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """Run one command with ``--json`` in this process."""
    capsys.readouterr()
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def readable_rig(gear: GearRoom, tmp_path: Path) -> Path:
    """The rig without the digital desk, which has more controls than the room's knows; nobody else has its ports."""
    rig = tmp_path / "readable.toml"
    rig.write_text(rig_text("readable", {name: kind for name, kind in GEAR.items() if name != "digital"}), "utf-8")
    gear.studio.close()
    return rig


def test_a_snapshot_holds_what_the_knobs_say(gear: GearRoom, readable_rig: Path, capsys, tmp_path: Path) -> None:
    code, taken = command(capsys, "snapshot", "take", "--rig", str(readable_rig))
    assert (code, taken["failed_devices"]) == (0, {})
    _, shown = command(capsys, "snapshot", "show", str(taken["number"]), "--rig", str(readable_rig))
    knobs = gear.knobs
    read = {a: entry for a, entry in shown["controls"].items() if entry["how"] == "read-back" and a in knobs}
    assert {address.partition("/")[0] for address in read} == {"big", "pre", "kramer", "board", "matrix"}
    assert len(read) > 700
    wrong = {
        address: (entry, knobs[address])
        for address, entry in read.items()
        if not gear.stands(address, knobs[address], -math.inf if "value_note" in entry else entry["value"])
    }
    assert wrong == {}


def test_devices_names_who_answers_on_every_port(gear: GearRoom, readable_rig: Path, capsys) -> None:
    code, told = command(capsys, "devices", "--rig", str(readable_rig))
    assert code == 0
    found = {device["name"]: device for device in told["devices"]}
    assert {name: device["present"] for name, device in found.items()} == dict.fromkeys(found, "yes")
    assert found["board"]["identity"]["model"] == "attenuator-board"
    assert found["board"]["firmware"] == "1.0"
    assert found["big"]["firmware"] == "01 04 02 00", "version 1.4.2, as its manual prints it"
    assert found["kramer"]["identity"]["model"] == "88 88"
    assert found["tape"]["identity"]["model"] == "7D 01"


def test_another_unit_on_the_port_is_refused_and_told_nothing(gear: GearRoom, capsys) -> None:
    target = target_of(gear, 51, "board")
    gear.studio.reopen("board")
    gear.throw("port_gone", "device=board", "seconds=3600")
    line = Path(gear.served.ready["serial"]["board"])
    stranger = Device(lambda data: b"ID attenuator-board 16 2.7\n" if data == b"ID?\n" else b"ERR 1\n")
    try:
        line.symlink_to(stranger.path)
        with pytest.raises(OtherUnitError, match=r"Another unit sits on the port of board.*2\.7"):
            gear.studio.reopen("board")
        outcome = gear.recall(target)
        assert "board" in outcome.failed_devices
        assert set(stranger.heard.split()) == {b"ID?"}
    finally:
        line.unlink()
        stranger.close()
    finish(gear, target, outcome)


def test_monitor_shows_a_turned_knob_of_a_serial_device(gear: GearRoom, readable_rig: Path) -> None:
    command = [sys.executable, "-m", "controller", "monitor", "--device", "board", "--rig", str(readable_rig)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert "listening to board" in process.stderr.readline()
            assert gear.served.ask("turn board/ch09/level -3")["ok"]
            line = process.stdout.readline()
            assert b"AT 9 -3.0".hex(" ").upper() in line
            assert "board/ch09/level = -3" in line
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            assert (process.returncode, err) == (0, "")
            assert "1 message in" in out
        finally:
            process.kill()


# --- one cable, several units ---------------------------------------------------------------------------------------

RACK = """\
schema = 1
name = "rack"
[audio]
port = "Nothing"
[[device]]
name = "left"
profile = "rme-octamic-xtc"
port = "midi:Rack"
channel = 1
[[device]]
name = "desk"
profile = "yamaha-01v96"
port = "midi:Rack"
channel = 2
[[device]]
name = "right"
profile = "rme-octamic-xtc"
port = "midi:Rack"
channel = 3
"""


def test_units_that_share_one_midi_port_all_land(gear: GearRoom, tmp_path: Path) -> None:
    units = {
        "left": PreampDecoder(device=0),
        "desk": SysexDeskDecoder(midi_channel=2),
        "right": PreampDecoder(device=2),
    }
    knobs = {f"{name}/{knob}" for name, unit in units.items() for knob in unit.knobs()}
    rig = tmp_path / "rack.toml"
    rig.write_text(RACK, encoding="utf-8")
    with midi_rack("Rack", *units.values()), Studio.open(rig) as studio:
        target = random_target(
            studio.profiles,
            61,
            only=lambda address: address in knobs and (not address.startswith("desk/ch") or "/ch03/" in address),
        )
        rack = GearRoom(gear.served, studio, tmp_path)
        outcome = rack.recall(target)
        assert outcome.ok, outcome.failed_devices
        stand = {f"{name}/{knob}": value for name, unit in units.items() for knob, value in unit.knobs().items()}
        wrong = [(a, value, stand[a]) for a, value in target.items() if not rack.stands(a, stand[a], value)]
        assert wrong == []
        assert {known.how for known in studio.state.values()} == {"read-back"}
        assert plan_target(studio, target).plan.steps == ()


def test_a_midi_unit_that_was_exchanged_is_refused(gear: GearRoom, tmp_path: Path) -> None:
    class NewerDesk(Desk48Decoder):
        """The same model with other firmware."""

        def receive(self, data: bytes, at_s: float | None = None) -> list[bytes]:
            identity = bytes.fromhex("F07E0006027D30000100")
            return [
                identity + bytes([9, 9, 9, 0, 0xF7]) if answer.startswith(identity) else answer
                for answer in super().receive(data, at_s)
            ]

    rig = tmp_path / "exchanged.toml"
    entry = '[[device]]\nname = "desk"\nprofile = "room-desk-48"\nport = "midi:Stage Desk"\n'
    rig.write_text(f'schema = 1\nname = "exchanged"\n[audio]\nport = "Nothing"\n{entry}', encoding="utf-8")
    with Studio.open(rig) as studio:
        with midi_rack("Stage Desk", Desk48Decoder()):
            studio.reopen("desk")
        with midi_rack("Stage Desk", NewerDesk()), pytest.raises(OtherUnitError, match="09 09 09 00"):
            studio.reopen("desk")
        with midi_rack("Stage Desk", Desk48Decoder()):
            studio.reopen("desk")
            assert studio.unreachable == {}
