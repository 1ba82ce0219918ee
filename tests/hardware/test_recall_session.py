"""Devices that want a session, a sign of life, or tell of a hand: what a recall does with them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from recall_doubles import WiredDevice, midi

from hardware.known import Known, RigState
from hardware.recall import RecallOutcome, plan_recall, run_recall, take_readback
from hardware.rig import Device, load_rig
from hardware.room.faults import Fault
from hardware.seams import VirtualClock
from profiles.library import load_profile
from profiles.profile import Profile, Value

AT = "2026-01-02T03:04:05+00:00"
RIG = replace(load_rig("demo"), device_list=(Device("box", "box", "midi:B"),))

HEAD = """
schema = 1
id = "box"
maker = "Nobody"
model = "Box"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "M"
sources = []
not_covered = ""
[pacing]
gap_s = 0.003
settle_s = {settle}
in_flight = 4
[ack]
kind = "none"
timeout_s = 0.1
retries = 1
"""
SESSION = """
[[session]]
send = ["F0 7D 11 F7"]
expect = "F0 7D 12 F7"
wait_s = 0.3
[[session]]
send = ["F0 7D 13 F7"]
wait_s = 0.05
"""
KEEP_ALIVE = """
[keep_alive]
send = ["90 00 00"]
every_s = 1.0
expect = "90 00 7F"
lost_after_s = 2.0
"""
STARTED = """
[[report]]
means = "started"
reply = "F0 7D 55 F7"
"""
CONTROL = """
[[control]]
name = "k{n}"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
repeat = {n = [1, 4]}
default = 0
cc = {number = "n"}
touch = {on = ["91 {n} 7F"], off = ["91 {n} 00"]}
query = ["F0 7D 01 {n} F7"]
"""
DUMPED = """
[[dump]]
name = "all"
query = ["F0 7D 30 F7"]
head = "F0 7D 31"
record = 0
tail = "F7"
[[control]]
name = "d{n}"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
repeat = {n = [1, 4]}
default = 0
cc = {number = "0x10+n"}
dump = {from = "all", item = "{v}", at = "n-1"}
"""
TARGET: dict[str, Value] = {f"box/k{n}": float(10 * n) for n in range(1, 5)}


def box(folder: Path, *parts: str, settle_s: float = 0.05) -> Profile:
    path = folder / "box.toml"
    path.write_text(HEAD.replace("{settle}", str(settle_s)) + "".join(parts))
    return load_profile(str(path))


class BoxDouble:
    """The box: CCs in, answers to queries out; it opens a session, and answers a ping while ``alive``."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.opens = True
        self.alive = True
        self.log: list[bytes] = []
        self.says: dict[bytes, list[bytes]] = {}

    def respond(self, data: bytes) -> list[bytes]:
        self.log.append(data)
        said = self.says.pop(data, [])
        if data[0] == 0xB0:
            self.values[data[1]] = data[2]
        elif data == midi("F0 7D 11 F7"):
            return said + ([midi("F0 7D 12 F7")] if self.opens else [])
        elif data == midi("90 00 00"):
            return said + ([midi("90 00 7F")] if self.alive else [])
        elif data[:3] == midi("F0 7D 01"):
            return [*said, bytes((0xB0, data[3], self.values.get(data[3], 0)))]
        elif data == midi("F0 7D 30 F7"):
            record = bytes(self.values.get(0x10 + n, 0) for n in range(1, 5))
            return [*said, midi("F0 7D 31") + record + b"\xf7"]
        return said


def recalled(
    profile: Profile, device: BoxDouble, target: dict[str, Value] = TARGET
) -> tuple[RecallOutcome, list[tuple[float, bytes]], float]:
    clock = VirtualClock()
    port = WiredDevice(clock, device.respond, thinks_s=0.001)
    plan = plan_recall(RIG, {"box": profile}, {}, target)
    outcome = run_recall(plan, {"box": profile}, {"box": port}, clock, timestamp=lambda: AT)
    return outcome, port.sent, plan.seconds_estimated


def test_a_session_is_opened_before_anything_is_set(tmp_path: Path) -> None:
    outcome, sent, estimated = recalled(box(tmp_path, SESSION, CONTROL), BoxDouble())
    assert outcome.ok
    assert [data for _, data in sent[:3]] == [midi("F0 7D 11 F7"), midi("F0 7D 13 F7"), midi("B0 01 0A")]
    assert sent[2][0] - sent[1][0] >= 0.05
    assert outcome.seconds == pytest.approx(estimated, rel=0.1)


def test_a_device_that_does_not_open_its_session_is_told_nothing(tmp_path: Path) -> None:
    device = BoxDouble()
    device.opens = False
    outcome, sent, _ = recalled(box(tmp_path, SESSION, CONTROL), device)
    sentence = outcome.failed_devices["box"]
    assert "did not answer" in sentence
    assert "session" in sentence
    assert "box/k1" in sentence
    assert outcome.timed_out == {"box"}
    assert not any(data[0] == 0xB0 for _, data in sent)


def test_reading_opens_the_session_too(tmp_path: Path) -> None:
    clock, device = VirtualClock(), BoxDouble()
    port = WiredDevice(clock, device.respond)
    read = take_readback({"box": box(tmp_path, SESSION, CONTROL)}, {"box": port}, clock)
    assert len(read.values) == 4
    assert device.log[0] == midi("F0 7D 11 F7")


def test_the_device_is_kept_alive_while_the_recall_waits(tmp_path: Path) -> None:
    """A HUI host pings 90 00 00 each second and is answered 90 00 7F."""
    outcome, sent, estimated = recalled(box(tmp_path, KEEP_ALIVE, CONTROL, settle_s=5.0), BoxDouble())
    assert outcome.ok
    pings = [at for at, data in sent if data == midi("90 00 00")]
    assert len(pings) >= 5
    assert all(later - earlier == pytest.approx(1.0, abs=0.01) for earlier, later in itertools.pairwise(pings))
    assert outcome.seconds == pytest.approx(estimated, rel=0.1)


def test_a_device_that_misses_its_pings_for_two_seconds_is_lost(tmp_path: Path) -> None:
    device = BoxDouble()
    device.alive = False
    outcome, sent, _ = recalled(box(tmp_path, KEEP_ALIVE, CONTROL, settle_s=5.0), device)
    assert "keep-alive for 2 s" in outcome.failed_devices["box"]
    assert outcome.timed_out == {"box"}
    assert sent[-1][0] < 2.5
    state = RigState()
    outcome.apply_to(state)
    assert {state[address].how for address in TARGET} == {"assumed"}


def test_one_missed_ping_is_no_loss(tmp_path: Path) -> None:
    device = BoxDouble()
    answers = iter([False, True, True, True, True, True, True])
    respond = device.respond

    def sometimes(data: bytes) -> list[bytes]:
        device.alive = next(answers) if data == midi("90 00 00") else device.alive
        return respond(data)

    device.respond = sometimes  # type: ignore[method-assign]
    outcome, _, _ = recalled(box(tmp_path, KEEP_ALIVE, CONTROL, settle_s=4.0), device)
    assert outcome.ok


def test_a_control_that_a_hand_holds_is_not_written(tmp_path: Path) -> None:
    device = BoxDouble()
    device.says[midi("B0 01 0A")] = [midi("91 03 7F")]
    outcome, sent, _ = recalled(box(tmp_path, CONTROL), device)
    assert "box/k3" in outcome.failed_devices["box"]
    assert "hand" in outcome.failed_devices["box"]
    assert not any(data[:2] == midi("B0 03") for _, data in sent)
    assert outcome.results["box/k1"].state == "read-back", "what had landed is known: everything was read again"
    assert outcome.results["box/k3"].state == "not-sent"


def test_a_hand_that_let_go_before_the_recall_stops_nothing(tmp_path: Path) -> None:
    clock, device = VirtualClock(), BoxDouble()
    port = WiredDevice(clock, device.respond)
    device.says[b"\xfe"] = [midi("91 03 7F"), midi("91 03 00")]
    port.send(b"\xfe")
    clock.sleep(0.1)
    profile = box(tmp_path, CONTROL)
    outcome = run_recall(plan_recall(RIG, {"box": profile}, {}, TARGET), {"box": profile}, {"box": port}, clock)
    assert outcome.ok


def test_a_device_that_says_it_was_switched_on_stops_and_is_believed_nothing(tmp_path: Path) -> None:
    device = BoxDouble()
    respond = device.respond

    def restarting(data: bytes) -> list[bytes]:
        answers = respond(data)
        if data == midi("B0 03 1E"):
            device.values.clear()
            return [*answers, midi("F0 7D 55 F7")]
        return answers

    device.respond = restarting  # type: ignore[method-assign]
    outcome, _, _ = recalled(box(tmp_path, STARTED, CONTROL), device)
    assert "switched off and on" in outcome.failed_devices["box"]
    for n in range(1, 5):
        known = outcome.results[f"box/k{n}"].known
        assert known is None or known == Known(float(device.values.get(n, 0)), "read-back", AT)


def test_a_dump_is_asked_for_once_and_tells_of_all_its_controls(tmp_path: Path) -> None:
    target: dict[str, Value] = {f"box/d{n}": float(n) for n in range(1, 4)}
    device = BoxDouble()
    device.values[0x14] = 99
    outcome, sent, _ = recalled(box(tmp_path, DUMPED), device, target)
    assert outcome.ok
    asked = [data for _, data in sent if data[0] == 0xF0]
    assert asked == [midi("F0 7D 30 F7")] * 2, "one question for three controls; one more look at the end"
    assert outcome.learnt["box/d4"] == Known(99.0, "read-back", AT), "every control in the answer counts"


@pytest.mark.parametrize("kind", ["serial_break", "wrong_baud"])
def test_a_disturbed_serial_line_stops_the_matrix_and_leaves_nothing_false(kind: str) -> None:
    from hardware.rig_check import rig_profiles
    from hardware.room.inprocess import InProcessRoom
    from hardware.room.model import RoomModel

    rig = load_rig("demo")
    profiles = rig_profiles(rig)
    fault = Fault(kind, device="matrix", after_messages=4)  # type: ignore[arg-type]
    with InProcessRoom(RoomModel.ideal(faults=(fault,))) as room:
        target: dict[str, Value] = {f"matrix/out{m:02d}/tie": float(9 - m) for m in range(1, 9)}
        plan = plan_recall(rig, profiles, {}, target)
        outcome = run_recall(plan, profiles, {"matrix": room.open_port("matrix")}, room.clock)
        knobs = room.room.knobs()
        for address, result in outcome.results.items():
            if result.known is not None and result.known.how in ("read-back", "acknowledged"):
                assert knobs[address] == result.known.value
