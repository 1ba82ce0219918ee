from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.errors import RigError
from hardware.known import Known, RigState
from hardware.recall_estimate import estimate_seconds
from hardware.recall_plan import plan_recall
from hardware.recall_steps import STAGES, RecallPlan
from hardware.rig import load_rig
from hardware.rig_check import rig_profiles
from profiles.errors import ValueRangeError
from profiles.profile import Value

AT = "2026-01-02T03:04:05+00:00"
RIG = load_rig("demo")
PROFILES = rig_profiles(RIG)


def known(values: Mapping[str, Value], how: str = "read-back") -> RigState:
    return RigState({address: Known(achieved(address, value), how, AT) for address, value in values.items()})  # type: ignore[arg-type]


def achieved(address: str, value: Value) -> Value:
    device, _, control = address.partition("/")
    return PROFILES[device].controls[control].achieved(value)


def plan(state: Mapping[str, Known], target: Mapping[str, Value]) -> RecallPlan:
    return plan_recall(RIG, PROFILES, state, target)


def carried_out(state: RigState, made: RecallPlan) -> RigState:
    after = RigState(state)
    after.update({step.address: Known(step.to, "read-back", AT) for step in made.steps})
    after.mark_by_hand({step.address: step.to for step in made.by_hand}, at=AT)
    return after


def test_what_is_known_to_stand_right_is_not_sent() -> None:
    at_rest = {"desk/ch01/fader": -6.0, "desk/ch02/fader": -10.0, "desk/ch01/pan": 0.0}
    made = plan(known(at_rest), {**at_rest, "desk/ch02/fader": -12.0})
    assert [step.address for step in made.steps] == ["desk/ch02/fader"]
    assert made.unchanged == 2


def test_an_assumed_value_is_set_like_an_unknown_one() -> None:
    target = {"desk/ch01/pan": 0.0}
    assert len(plan(known(target, "assumed"), target).steps) == 1
    assert len(plan(known(target, "sent"), target).steps) == 0


def test_a_difference_below_half_a_step_is_none() -> None:
    state = RigState({"desk/ch01/fader": Known(-6.0, "measured", AT)})
    assert not plan(state, {"desk/ch01/fader": -6.0}).steps  # the desk's steps are 0.21 dB apart there
    assert plan(state, {"desk/ch01/fader": -6.5}).steps


def test_a_small_change_silences_nothing() -> None:
    state = known({"desk/ch01/fader": -6.0, "desk/master/fader": 0.0})
    made = plan(state, {"desk/ch01/fader": -4.0, "desk/master/fader": 0.0})
    assert [(step.address, step.stage) for step in made.steps] == [("desk/ch01/fader", "up")]


FULL: dict[str, Value] = {
    "desk/ch01/fader": -5.0,
    "desk/ch01/mute": False,
    "desk/ch01/pan": -30.0,
    "desk/ch02/fader": -math.inf,
    "desk/ch02/mute": True,
    "desk/master/fader": 0.0,
    "desk/master/insert": True,
    "matrix/out01/tie": 1.0,
    "comp/threshold": 4.0,
    "desk/ch01/trim": 3.0,
}


def test_the_first_recall_of_a_rig_takes_the_master_down_first_and_up_last() -> None:
    made = plan({}, FULL)
    masters = [step for step in made.steps if step.address == "desk/master/fader"]
    assert made.steps[0].stage == "mute"
    assert masters[0].to == -math.inf
    assert masters[0].stage == "mute"
    assert made.steps[-1] is masters[-1]
    assert made.steps[-1].to == achieved("desk/master/fader", 0.0)
    assert [step.final for step in masters] == [False] * (len(masters) - 1) + [True]


def test_stages_follow_each_other_in_the_safe_order() -> None:
    order = [STAGES.index(step.stage) for step in plan({}, FULL).steps]
    assert order == sorted(order)
    assert STAGES.index("mute") < STAGES.index("routing") < STAGES.index("down") < STAGES.index("up")
    assert STAGES.index("up") < STAGES.index("unmute")
    stages = {step.address: step.stage for step in plan({}, FULL).steps}
    assert stages["desk/ch02/mute"] == "mute"
    assert stages["desk/ch01/mute"] == "unmute"
    assert stages["matrix/out01/tie"] == stages["desk/master/insert"] == "routing"
    assert stages["desk/ch02/fader"] == "down"
    assert stages["desk/ch01/fader"] == "up"
    assert stages["desk/ch01/pan"] == "other"


def test_strips_open_before_the_master_rises() -> None:
    made = plan({}, FULL)
    unmuted = next(i for i, step in enumerate(made.steps) if step.address == "desk/ch01/mute")
    rising = next(i for i, s in enumerate(made.steps) if s.address == "desk/master/fader" and s.stage == "unmute")
    assert unmuted < rising


def test_a_master_whose_end_nobody_knows_is_left_alone() -> None:
    made = plan({}, {"desk/ch01/fader": 0.0})
    assert all(step.address != "desk/master/fader" for step in made.steps)
    assert made.notes
    first, *rest = [step for step in made.steps if step.address == "desk/ch01/fader"]
    assert first.to == achieved("desk/ch01/fader", -40.0)
    assert first.stage == "down"
    assert rest[-1].to == 0.0


@given(start=st.one_of(st.just(-math.inf), st.floats(-80, 10)), end=st.floats(-80, 10))
@settings(deadline=None)
def test_no_audible_gain_rises_by_more_than_six_decibels_in_one_message(start: float, end: float) -> None:
    address = "desk/ch03/fader"
    made = plan(known({address: start}), {address: end})
    level = achieved(address, start)
    assert isinstance(level, float)
    for step in made.steps:
        assert isinstance(step.to, float)
        assert step.to - level <= 6.0 + 1e-9 or step.to <= achieved(address, -40.0)
        level = step.to
    assert level == pytest.approx(achieved(address, end), abs=0.11) or not made.steps
    for before, after in zip(made.steps, made.steps[1:], strict=False):
        wire_s = sum(map(len, after.messages)) / 3125.0  # DIN MIDI: 31 250 baud, ten bits a byte
        assert after.pause_s + wire_s >= 0.02 - 1e-9 or before.address != after.address


def test_a_muted_strip_moves_in_one_message() -> None:
    state = known({"desk/ch01/mute": True, "desk/ch01/fader": -40.0, "desk/ch02/mute": False, "desk/ch02/fader": -40.0})
    made = plan(state, {"desk/ch01/fader": 0.0, "desk/ch02/fader": 0.0})
    assert sum(step.address == "desk/ch01/fader" for step in made.steps) == 1
    assert sum(step.address == "desk/ch02/fader" for step in made.steps) == 7  # 40 dB in steps of at most 6


def test_several_faders_rise_together() -> None:
    state = known({"desk/ch01/fader": -20.0, "desk/ch02/fader": -20.0})
    made = plan(state, {"desk/ch01/fader": 0.0, "desk/ch02/fader": 0.0})
    assert [step.address[5:9] for step in made.steps] == ["ch01", "ch02"] * 4


def test_what_only_a_hand_can_turn_is_listed_and_never_sent() -> None:
    made = plan({}, FULL)
    assert [(step.address, step.to) for step in made.by_hand] == [("desk/ch01/trim", achieved("desk/ch01/trim", 3.0))]
    assert all(step.address != "desk/ch01/trim" for step in made.steps)


def test_everything_of_a_device_without_a_port_is_by_hand() -> None:
    devices = tuple(replace(device, port="hand") for device in RIG.device_list)
    made = plan_recall(replace(RIG, device_list=devices), PROFILES, {}, FULL)
    assert not made.steps
    assert len(made.by_hand) == len(FULL)


def test_a_dangerous_control_needs_consent() -> None:
    desk = PROFILES["desk"]
    pan = replace(desk.controls["ch01/pan"], dangerous=True)
    risky = {**PROFILES, "desk": replace(desk, controls={**desk.controls, "ch01/pan": pan})}
    target = {"desk/ch01/pan": 0.0}
    assert plan_recall(RIG, risky, {}, target).withheld == ("desk/ch01/pan",)
    assert not plan_recall(RIG, risky, {}, target).steps
    assert plan_recall(RIG, risky, {}, target, consent=["desk/ch01/pan"]).steps


def test_a_target_that_the_rig_lacks_is_named_with_the_nearest() -> None:
    with pytest.raises(RigError, match="'desc'") as error:
        plan({}, {"desc/ch01/fader": 0.0})
    assert "desk" in error.value.hint
    with pytest.raises(RigError, match="ch01/fadre") as error:
        plan({}, {"desk/ch01/fadre": 0.0})
    assert "ch01/fader" in error.value.hint


def test_a_value_out_of_range_names_its_address() -> None:
    with pytest.raises(ValueRangeError, match="desk/ch01/fader"):
        plan({}, {"desk/ch01/fader": 20.0})


STRIPS = st.sampled_from(["ch01", "ch02", "ch24"])
SETTINGS = st.one_of(
    st.tuples(STRIPS.map(lambda s: f"desk/{s}/fader"), st.one_of(st.just(-math.inf), st.floats(-80, 10))),
    st.tuples(STRIPS.map(lambda s: f"desk/{s}/mute"), st.booleans()),
    st.tuples(STRIPS.map(lambda s: f"desk/{s}/pan"), st.floats(-100, 100)),
    st.tuples(STRIPS.map(lambda s: f"desk/{s}/eq/hf_gain"), st.floats(-15, 15)),
    st.tuples(STRIPS.map(lambda s: f"desk/{s}/trim"), st.floats(-10, 20)),
    st.tuples(st.just("desk/master/fader"), st.one_of(st.just(-math.inf), st.floats(-80, 10))),
    st.tuples(st.just("desk/master/insert"), st.booleans()),
    st.tuples(st.just("comp/makeup"), st.floats(-5, 15)),
    st.tuples(st.sampled_from(["matrix/out01/tie", "matrix/out08/tie"]), st.integers(0, 8).map(float)),
)
TARGETS = st.lists(SETTINGS, max_size=10).map(dict)


@given(before=TARGETS, target=TARGETS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_after_a_recall_there_is_nothing_left_to_recall(before: dict[str, Value], target: dict[str, Value]) -> None:
    state = known(before)
    made = plan(state, target)
    again = plan(carried_out(state, made), target)
    assert not again.steps
    assert not again.by_hand
    assert again.unchanged == len(target)
    for address, value in target.items():
        last = [step for step in made.steps if step.address == address]
        assert not last or last[-1].to == achieved(address, value)


def test_the_estimate_is_bytes_over_bandwidth_plus_settling() -> None:
    state = known({"desk/ch01/fader": 0.0})
    made = plan(state, {"desk/ch01/fader": -6.0})
    pacing = PROFILES["desk"].pacing
    # Four control changes out, an eight-byte question, four control changes back: 32 bytes at 3125 bytes a second.
    messages = 4 + len(made.steps[0].query)
    assert made.seconds_estimated == pytest.approx(32 / 3125 + pacing.settle_s + messages * pacing.gap_s, rel=0.05)
    assert made.bytes_total == 12 + 8
    assert estimate_seconds((), PROFILES) == 0.0
