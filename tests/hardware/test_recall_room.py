"""Recall against the virtual room, whose decoder shares no code with the encoder."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hardware.known import RigState
from hardware.recall import RecallOutcome, plan_recall, run_recall, verify_recall
from hardware.rig import load_rig
from hardware.rig_check import rig_profiles
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import Fault, RoomModel
from hardware.seams import BytePort
from profiles.profile import Value

RIG = load_rig("demo")
PROFILES = rig_profiles(RIG)


def mix() -> dict[str, Value]:
    target: dict[str, Value] = {"desk/master/fader": -1.5, **RIG.inserts[0].switch}
    for n in range(1, 25):
        target |= {
            f"desk/ch{n:02d}/fader": -0.7 * n,
            f"desk/ch{n:02d}/pan": float(8 * n - 100),
            f"desk/ch{n:02d}/mute": n > 20,
            f"desk/ch{n:02d}/eq/in": n % 2 == 0,
            f"desk/ch{n:02d}/eq/lmf_gain": -2.3,
        }
    return target | {
        "comp/threshold": 2.0,
        "comp/ratio": 4.0,
        "comp/makeup": 3.0,
        "comp/bypass": False,
    }


def recall(room: InProcessRoom, state: RigState, ports: Mapping[str, BytePort]) -> tuple[RecallOutcome, float]:
    plan = plan_recall(RIG, PROFILES, state, mix())
    outcome = run_recall(plan, PROFILES, ports, room.clock)
    outcome.apply_to(state)
    return outcome, plan.seconds_estimated


def opened(room: InProcessRoom) -> dict[str, BytePort]:
    return {name: room.open_port(name) for name in RIG.devices}


def test_a_whole_mix_arrives_on_the_rooms_knobs_in_the_time_that_was_said() -> None:
    with InProcessRoom(RoomModel.ideal()) as room:
        ports = opened(room)
        state = RigState()
        outcome, estimated = recall(room, state, ports)
        assert outcome.ok, outcome.failed_devices
        assert outcome.seconds == pytest.approx(estimated, rel=0.1)
        knobs = room.room.knobs()
        for address, wanted in mix().items():
            known = state[address].value
            if isinstance(known, float) and isinstance(knobs[address], float):
                device, _, name = address.partition("/")
                half_step = PROFILES[device].controls[name].step_at(wanted) / 2
                assert knobs[address] == pytest.approx(known, abs=0.01)
                assert knobs[address] == pytest.approx(wanted, abs=half_step + 1e-6)
            else:
                assert knobs[address] == known, address
        assert verify_recall(PROFILES, mix(), ports, room.clock).ok
        assert not plan_recall(RIG, PROFILES, state, mix()).steps


def test_one_moved_fader_takes_the_time_of_one_fader() -> None:
    with InProcessRoom(RoomModel.ideal()) as room:
        ports = opened(room)
        state = RigState()
        recall(room, state, ports)
        plan = plan_recall(RIG, PROFILES, state, mix() | {"desk/ch03/fader": -9.0})
        assert len(plan.steps) == 1
        outcome = run_recall(plan, PROFILES, ports, room.clock)
        assert outcome.seconds == pytest.approx(plan.seconds_estimated, rel=0.1)


def test_a_touched_fader_stops_the_desk_and_the_rest_resumes() -> None:
    touched = RoomModel.ideal(faults=(Fault(kind="nak", control="desk/ch05/fader"),))
    state = RigState()
    with InProcessRoom(touched) as room:
        outcome, _ = recall(room, state, opened(room))
        assert list(outcome.failed_devices) == ["desk"]
        assert "desk/ch05/fader" in outcome.failed_devices["desk"]
        assert all(address in state for address in mix() if address.startswith(("comp/", "matrix/")))
    left = {step.address for step in plan_recall(RIG, PROFILES, state, mix()).steps}
    assert "desk/ch05/fader" in left
    assert "desk/ch01/mute" in left or "desk/master/fader" in left
    assert not any(address.startswith(("comp/", "matrix/")) for address in left)


@pytest.mark.parametrize("kind", ["silent_serial", "garbage_serial"])
def test_a_matrix_that_does_not_speak_stops_alone(kind: str) -> None:
    model = RoomModel.ideal(faults=(Fault(kind=kind, device="matrix"),))  # type: ignore[arg-type]
    with InProcessRoom(model) as room:
        state = RigState()
        outcome, _ = recall(room, state, opened(room))
        assert list(outcome.failed_devices) == ["matrix"]
        assert "matrix/out01/tie" in outcome.failed_devices["matrix"]
        assert state["desk/ch24/fader"].how == "read-back"
        assert "matrix/out01/tie" not in state


def test_a_desk_that_vanishes_leaves_the_others_done() -> None:
    model = RoomModel.ideal(faults=(Fault(kind="vanish", device="desk", after_messages=100),))
    with InProcessRoom(model) as room:
        state = RigState()
        outcome, _ = recall(room, state, opened(room))
        assert list(outcome.failed_devices) == ["desk"]
        assert "lost its port" in outcome.failed_devices["desk"]
        assert state["comp/threshold"].how == "sent"
        assert state["matrix/out04/tie"].how == "read-back"


def test_a_knob_moved_by_hand_afterwards_is_found_by_verifying() -> None:
    with InProcessRoom(RoomModel.ideal()) as room:
        ports = opened(room)
        recall(room, RigState(), ports)
        room.turn("desk/ch02/fader", -20.0)
        (bad,) = verify_recall(PROFILES, mix(), ports, room.clock).mismatches
        assert bad.address == "desk/ch02/fader"
        assert bad.found == pytest.approx(-20.0, abs=0.2)
