"""How long a recall takes: within a few per cent of what the wires need, and as long as was said before."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from recall_desk48 import PROFILE, Studio48, lengths, mix
from recall_doubles import DIN_BYTES_PER_S, DeskDouble, MatrixDouble, WiredDevice, midi

from hardware.known import Known, RigState
from hardware.recall import RecallPlan, plan_recall, run_recall
from hardware.recall_steps import PHASE_OF, PHASES
from hardware.rig import Device, load_rig
from hardware.rig_check import rig_profiles
from hardware.seams import Token, VirtualClock
from profiles.library import load_profile
from profiles.profile import Profile, Value

AT = "2026-01-02T03:04:05+00:00"
DEMO = load_rig("demo")
DEMO_PROFILES = rig_profiles(DEMO)

UNIT = """
schema = 1
id = "unit"
maker = "Nobody"
model = "Unit"
kind = "outboard"
transports = ["midi"]
verification = "unverified"
confidence = "M"
sources = []
not_covered = ""
[pacing]
gap_s = 0.002
settle_s = 0.05
in_flight = {in_flight}
[ack]
kind = "{ack}"
timeout_s = 0.1
retries = 1
write_retries = {write_retries}
{accepted}
[[control]]
name = "k{n}"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
repeat = {n = [1, 8]}
default = 0
idempotent = {idempotent}
query = ["F0 7D 01 {n} F7"]
form = [{send = ["F0 7D 02 {n} {v} F7"], reply = ["F0 7D 02 {n} {v} F7"]}]
[[control]]
name = "slow"
unit = "raw"
role = "raw"
taper = {kind = "linear", raw = [0, 127], value = [0, 127]}
default = 0
gap_s = 0.03
settle_s = 0.2
form = [{send = ["F0 7D 02 40 {v} F7"]}]
"""


def unit(
    folder: Path, *, ack: str = "none", in_flight: int = 1, write_retries: int = 0, idempotent: bool = False
) -> Profile:
    text = UNIT
    for key, value in {
        "in_flight": str(in_flight),
        "ack": ack,
        "write_retries": str(write_retries),
        "accepted": 'accepted = ["F0 7D 7E F7"]' if ack == "accepted" else "",
        "idempotent": str(idempotent).lower(),
    }.items():
        text = text.replace("{" + key + "}", value)
    path = folder / "unit.toml"
    path.write_text(text)
    return load_profile(str(path))


class UnitDouble:
    """The unit's side of the wire: keeps eight values; ``mute_for`` swallows so many of its next confirmations."""

    def __init__(self, ack: str = "none") -> None:
        self.values = [0] * 9
        self.ack = ack
        self.mute_for = 0
        self.deaf_for = 0
        self.log: list[bytes] = []

    def respond(self, data: bytes) -> list[bytes]:
        self.log.append(data)
        if data[2] == 1:
            return [bytes((0xF0, 0x7D, 0x02, data[3], self.values[data[3]], 0xF7))]
        if data[3] == 0x40:
            return [midi("F0 7D 7E F7")] if self.ack == "accepted" else []
        if self.deaf_for:
            self.deaf_for -= 1
            return []
        self.values[data[3]] = data[4]
        if self.mute_for:
            self.mute_for -= 1
            return []
        return {"reply": [data], "accepted": [midi("F0 7D 7E F7")]}.get(self.ack, [])


def rig_of(*devices: Device):  # type: ignore[no-untyped-def]
    return replace(DEMO, device_list=devices)


def known(values: dict[str, Value]) -> RigState:
    return RigState({address: Known(value, "read-back", AT) for address, value in values.items()})


def wire_seconds(plan: RecallPlan) -> float:
    """The wire's own time for a desk that never confirms [s].

    Phase by phase: the settings' bytes, then the busier direction of the questions and their answers, which overlap.
    The settings are not overlapped with the questions: what was read before the last of them was sent proves nothing
    about what that one did. Besides the profile's pauses: settling once a phase, and those before rising gains.
    """
    total = 0.0
    for phase in PHASES:
        steps = [step for step in plan.steps if PHASE_OF[step.stage] == phase]
        if not steps:
            continue
        asked = [step for step in steps if step.query]
        settings = sum(lengths(step.messages) for step in steps)
        out, back = sum(lengths(step.query) for step in asked), sum(lengths(step.messages) for step in asked)
        pauses = PROFILE.pacing.settle_s + sum(step.pause_s for step in steps)
        total += (settings + max(out, back)) / DIN_BYTES_PER_S + pauses
    return total


def test_six_hundred_controls_take_no_more_than_five_per_cent_over_the_wires_own_time() -> None:
    studio, target = Studio48(), mix(1)
    plan = studio.plan(target)
    outcome = studio.recall(target)
    assert outcome.ok
    assert not outcome.doubts
    assert outcome.seconds <= 1.05 * wire_seconds(plan)
    # And no longer than a wire would need that carries one byte at a time, both ways together.
    every = sum(2 * lengths(step.messages) + lengths(step.query) for step in plan.steps) / DIN_BYTES_PER_S
    assert outcome.seconds <= every
    assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)


def test_a_recall_where_nothing_differs_sends_nothing() -> None:
    studio, target = Studio48(), mix(2)
    assert studio.recall(target).ok
    plan = studio.plan(target)
    assert (plan.steps, plan.bytes_total, plan.seconds_estimated) == ((), 0, 0.0)
    before = studio.room.clock.monotonic()
    assert studio.recall(target).ok
    assert studio.room.clock.monotonic() == before


def test_no_more_questions_are_under_way_than_the_profile_allows(tmp_path: Path) -> None:
    for allowed in (1, 3):
        profile = unit(tmp_path, in_flight=allowed)
        clock, device = VirtualClock(), UnitDouble()
        port = WiredDevice(clock, device.respond, thinks_s=0.02)
        under_way = most = 0
        receive, send = port.receive, port.send

        def counted_send(data: bytes, send=send) -> None:  # type: ignore[no-untyped-def]
            nonlocal under_way, most
            under_way += data[2] == 1
            most = max(most, under_way)
            send(data)

        def counted_receive(timeout_s: float, receive=receive) -> list[Token]:  # type: ignore[no-untyped-def]
            nonlocal under_way
            tokens = receive(timeout_s)
            under_way -= len(tokens)
            return tokens

        port.send, port.receive = counted_send, counted_receive  # type: ignore[method-assign]
        target: dict[str, Value] = {f"unit/k{n}": float(n) for n in range(1, 9)}
        plan = plan_recall(rig_of(Device("unit", "unit", "midi:U")), {"unit": profile}, {}, target)
        assert run_recall(plan, {"unit": profile}, {"unit": port}, clock).ok
        assert most == allowed


@pytest.mark.parametrize("ack", ["none", "nak", "reply", "accepted"])
@pytest.mark.parametrize("in_flight", [1, 4])
def test_the_estimate_is_right_for_every_way_to_confirm(tmp_path: Path, ack: str, in_flight: int) -> None:
    profile = unit(tmp_path, ack=ack, in_flight=in_flight)
    clock, device = VirtualClock(), UnitDouble(ack)
    target: dict[str, Value] = {f"unit/k{n}": float(10 * n) for n in range(1, 9)}
    plan = plan_recall(rig_of(Device("unit", "unit", "midi:U")), {"unit": profile}, {}, target)
    port = WiredDevice(clock, device.respond, thinks_s=0.001)
    outcome = run_recall(plan, {"unit": profile}, {"unit": port}, clock)
    assert outcome.ok
    assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)
    assert device.values[1:] == [10 * n for n in range(1, 9)]


def test_a_controls_own_gap_and_settling_are_kept_and_estimated(tmp_path: Path) -> None:
    profile = unit(tmp_path)
    clock, device = VirtualClock(), UnitDouble()
    port = WiredDevice(clock, device.respond)
    target: dict[str, Value] = {"unit/k1": 5.0, "unit/slow": 9.0, "unit/k2": 7.0}
    plan = plan_recall(rig_of(Device("unit", "unit", "midi:U")), {"unit": profile}, {}, target)
    outcome = run_recall(plan, {"unit": profile}, {"unit": port}, clock)
    assert outcome.ok
    times = {data[3]: at for at, data in port.sent if data[2] == 2}
    assert times[2] - times[1] == pytest.approx(6 / DIN_BYTES_PER_S + 0.002)
    asked = [at for at, data in port.sent if data[2] == 1]
    assert asked[0] == pytest.approx(times[0x40] + 6 / DIN_BYTES_PER_S + 0.2), "the slowest control's settling counts"
    assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)


def test_a_setting_that_was_lost_is_repeated_only_where_the_profile_says_that_it_does_no_harm(tmp_path: Path) -> None:
    rig = rig_of(Device("unit", "unit", "midi:U"))
    target: dict[str, Value] = {"unit/k1": 5.0, "unit/k2": 7.0}
    for ack in ("reply", "none"):
        for harmless in (True, False):
            profile = unit(tmp_path, ack=ack, write_retries=1, idempotent=harmless)
            clock, device = VirtualClock(), UnitDouble(ack)
            device.deaf_for = 1
            plan = plan_recall(rig, {"unit": profile}, {}, target)
            outcome = run_recall(plan, {"unit": profile}, {"unit": WiredDevice(clock, device.respond)}, clock)
            settings = [data for data in device.log if data[2] == 2 and data[3] == 1]
            assert len(settings) == (2 if harmless else 1)
            assert outcome.ok is harmless
            if not harmless:
                assert "unit/k1" in outcome.failed_devices["unit"]
                known_now = outcome.results["unit/k1"].known
                assert known_now is not None
                assert (known_now.how, known_now.value) == ("read-back", 0.0)


def test_a_general_ok_that_came_late_confirms_nothing_else(tmp_path: Path) -> None:
    profile = unit(tmp_path, ack="accepted")
    clock, device = VirtualClock(), UnitDouble("accepted")
    device.mute_for = 1
    plan = plan_recall(
        rig_of(Device("unit", "unit", "midi:U")), {"unit": profile}, {}, {"unit/k1": 5.0, "unit/k2": 7.0}
    )
    outcome = run_recall(plan, {"unit": profile}, {"unit": WiredDevice(clock, device.respond)}, clock)
    assert "did not answer" in outcome.failed_devices["unit"]
    assert outcome.timed_out == {"unit"}
    assert outcome.results["unit/k1"].state == "read-back", "it had landed: the device was asked"
    assert outcome.results["unit/k2"].state == "not-sent"


def test_a_slow_device_delays_no_other() -> None:
    """The matrix takes a tenth of a second a tie; the desk's settings do not wait for it."""
    clock = VirtualClock()
    desk, matrix = (
        WiredDevice(clock, DeskDouble().respond),
        WiredDevice(clock, MatrixDouble().respond, bytes_per_s=960.0),
    )
    target: dict[str, Value] = {f"matrix/out{m:02d}/tie": float(m) for m in range(1, 9)}
    target |= {f"desk/ch{n:02d}/pan": float(n) for n in range(1, 25)}
    target |= {f"desk/ch{n:02d}/eq/hf_gain": 3.0 for n in range(1, 25)}
    plan = plan_recall(DEMO, DEMO_PROFILES, {}, target)
    outcome = run_recall(plan, DEMO_PROFILES, {"desk": desk, "matrix": matrix}, clock)
    assert outcome.ok
    last_tie = max(at for at, data in matrix.sent if b"*" in data)
    last_setting = max(at for at, data in desk.sent if data[0] != 0xF0)
    assert last_setting < last_tie / 2
    assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)


def test_nothing_opens_before_every_device_stands_where_it_shall() -> None:
    clock = VirtualClock()
    desk, matrix = (
        WiredDevice(clock, DeskDouble().respond),
        WiredDevice(clock, MatrixDouble().respond, bytes_per_s=960.0),
    )
    target: dict[str, Value] = {f"matrix/out{m:02d}/tie": float(m) for m in range(1, 9)}
    target |= {"desk/master/fader": 0.0, "desk/ch01/mute": False}
    outcome = run_recall(
        plan_recall(DEMO, DEMO_PROFILES, {}, target), DEMO_PROFILES, {"desk": desk, "matrix": matrix}, clock
    )
    assert outcome.ok
    opened = next(at for at, data in desk.sent if data[0] == 0x80)
    down = next(at for at, data in desk.sent if data == midi("B0 26 00"))
    ties = [at for at, data in matrix.sent if b"*" in data]
    assert down < min(ties)
    assert max(ties) < opened


class SharedWire:
    """One cable with two units on it; each tap hears both."""

    def __init__(self, clock: VirtualClock, units: dict[int, UnitDouble]) -> None:
        self.cable = WiredDevice(clock, self.respond)
        self.units = units
        self.taps = [Tap(self, name) for name in ("a", "b")]

    def respond(self, data: bytes) -> list[bytes]:
        unit = self.units[data[1]]
        return [bytes((0xF0, data[1], *answer[2:])) for answer in unit.respond(data)]


class Tap:
    def __init__(self, shared: SharedWire, name: str) -> None:
        self.name = name
        self.wire = shared
        self.waiting: list[Token] = []

    def send(self, data: bytes) -> None:
        self.wire.cable.send(data)

    def receive(self, timeout_s: float) -> list[Token]:
        for token in self.wire.cable.receive(0.0 if self.waiting else timeout_s):
            for tap in self.wire.taps:
                tap.waiting.append(token)
        tokens, self.waiting = self.waiting, []
        return tokens

    def close(self) -> None: ...


def test_two_devices_on_one_port_share_its_wire(tmp_path: Path) -> None:
    """Their messages take turns, never faster than the wire, and neither takes the other's answers for nonsense."""
    first = unit(tmp_path, in_flight=2)
    text = (tmp_path / "unit.toml").read_text().replace('"unit"', '"other"').replace("F0 7D", "F0 7C")
    (tmp_path / "other.toml").write_text(text)
    profiles = {"a": first, "b": load_profile(str(tmp_path / "other.toml"))}
    clock = VirtualClock()
    shared = SharedWire(clock, {0x7D: UnitDouble(), 0x7C: UnitDouble()})
    rig = rig_of(Device("a", "unit", "midi:U"), Device("b", "other", "midi:U"))
    target: dict[str, Value] = {f"{device}/k{n}": float(n) for device in "ab" for n in range(1, 9)}
    plan = plan_recall(rig, profiles, {}, target)
    outcome = run_recall(plan, profiles, {tap.name: tap for tap in shared.taps}, clock)
    assert outcome.ok
    assert not outcome.doubts
    sent = shared.cable.sent
    for (earlier, data), (later, _) in itertools.pairwise(sent):
        assert later - earlier >= len(data) / DIN_BYTES_PER_S - 1e-9
    assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)
