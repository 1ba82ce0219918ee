from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from recall_doubles import DeskDouble, Dialogue, MatrixDouble, WiredDevice, midi

from hardware.known import Known, RigState
from hardware.recall_plan import plan_recall
from hardware.recall_read import take_readback, verify_recall
from hardware.recall_run import RecallOutcome, StepDone, run_recall
from hardware.recall_steps import RecallPlan
from hardware.rig import load_rig
from hardware.rig_check import rig_profiles
from hardware.seams import BytePort, VirtualClock
from profiles.profile import Value

AT = "2026-01-02T03:04:05+00:00"
RIG = load_rig("demo")
PROFILES = rig_profiles(RIG)

# Bytes by hand from the desk's manual. Fader of strip 7 is NRPN 10h 06h; −6 dB lies between v 144 (−10) and 192 (0):
# v = 144 + 48·0.4 = 163.2, the nearest step 163 = A3h: MSB 51h, LSB 40h.
FADER_7_MINUS_6 = [midi("B0 63 10"), midi("B0 62 06"), midi("B0 06 51"), midi("B0 26 40")]
FADER_7_OFF = [midi("B0 63 10"), midi("B0 62 06"), midi("B0 06 00"), midi("B0 26 00")]
ASK_FADER_7 = midi("F0 7D 48 4E 10 10 06 F7")
NAK_FADER_7 = midi("F0 7D 48 4E 7F 10 06 F7")
MUTE_7 = midi("90 06 7F")
ASK_MUTE_7 = midi("F0 7D 48 4E 10 41 06 F7")


def known(values: Mapping[str, Value]) -> RigState:
    return RigState({address: Known(value, "read-back", AT) for address, value in values.items()})


def plan(state: Mapping[str, Known], target: Mapping[str, Value]) -> RecallPlan:
    return plan_recall(RIG, PROFILES, state, target)


def run(made: RecallPlan, ports: Mapping[str, BytePort], clock: VirtualClock) -> tuple[RecallOutcome, list[StepDone]]:
    seen: list[StepDone] = []
    outcome = run_recall(made, PROFILES, ports, clock, on_step=seen.append, timestamp=lambda: AT)
    return outcome, seen


def whole_desk(*, strips: int = 24) -> dict[str, Value]:
    target: dict[str, Value] = {"desk/master/fader": 0.0, "desk/master/insert": True}
    for n in range(1, strips + 1):
        target |= {
            f"desk/ch{n:02d}/fader": -float(n),
            f"desk/ch{n:02d}/mute": n % 5 == 0,
            f"desk/ch{n:02d}/pan": float(4 * n - 50),
            f"desk/ch{n:02d}/eq/in": True,
            f"desk/ch{n:02d}/eq/hf_gain": 2.5,
        }
    return target


def test_a_fader_is_sent_in_four_messages_and_read_back() -> None:
    clock = VirtualClock()
    port = Dialogue(clock, [*((data, []) for data in FADER_7_MINUS_6), (ASK_FADER_7, FADER_7_MINUS_6)])
    made = plan(known({"desk/ch07/fader": 0.0}), {"desk/ch07/fader": -6.0})
    outcome, seen = run(made, {"desk": port}, clock)
    assert port.finished()
    assert outcome.ok
    result = outcome.results["desk/ch07/fader"]
    assert result.state == "read-back"
    assert result.known is not None
    assert result.known.how == "read-back"
    assert result.known.value == pytest.approx(-10 + 10 * (163 - 144) / 48)
    assert [done.state for done in seen] == ["sent", "read-back", "settled"]
    assert [(done.done, done.total) for done in seen] == [(0, 1), (1, 1), (1, 1)]
    assert result.settled


def test_a_mute_closes_before_its_fader_moves() -> None:
    clock = VirtualClock()
    port = Dialogue(
        clock,
        [
            (MUTE_7, []),
            (ASK_MUTE_7, [MUTE_7]),
            *((data, []) for data in FADER_7_MINUS_6),
            (ASK_FADER_7, FADER_7_MINUS_6),
            (ASK_MUTE_7, [MUTE_7]),
        ],
    )
    state = known({"desk/ch07/fader": -20.0, "desk/ch07/mute": False})
    outcome, _ = run(plan(state, {"desk/ch07/fader": -6.0, "desk/ch07/mute": True}), {"desk": port}, clock)
    assert port.finished()
    assert outcome.ok, "and at the end the mute was looked at again: a desk switched off meanwhile would have opened it"


def test_a_device_that_never_answers_is_known_as_sent() -> None:
    clock = VirtualClock()
    # Make-up −5 … +15 dB over 0 … 127: 0 dB is v = 5·127/20 = 31.75, the nearest step 32 = 20h. CC 24 = 18h.
    port = Dialogue(clock, [(midi("B0 18 20"), [])])
    made = plan(known({"comp/makeup": 5.0}), {"comp/makeup": 0.0})
    outcome, _ = run(made, {"comp": port}, clock)
    assert port.finished()
    assert outcome.results["comp/makeup"].state == "sent"
    assert outcome.results["comp/makeup"].known == Known(pytest.approx(-5 + 20 * 32 / 127), "sent", AT)


def test_recall_stops_at_a_refusal_and_resumes_with_what_is_left() -> None:
    clock = VirtualClock()
    desk, matrix = DeskDouble(), MatrixDouble()
    desk.refuses.add((0x10, 0x06))
    ports = {
        "desk": WiredDevice(clock, desk.respond),
        "matrix": WiredDevice(clock, matrix.respond, bytes_per_s=960.0),
    }
    state = known({f"desk/ch{n:02d}/fader": 0.0 for n in range(1, 25)} | {"matrix/out01/tie": 2.0})
    target: dict[str, Value] = {f"desk/ch{n:02d}/fader": -10.0 for n in range(1, 25)} | {"matrix/out01/tie": 1.0}
    outcome, _ = run(plan(state, target), ports, clock)

    assert list(outcome.failed_devices) == ["desk"]
    sentence = outcome.failed_devices["desk"]
    assert "desk/ch07/fader" in sentence
    assert "refused" in sentence
    assert sentence.count(".") == 1, "one sentence"
    assert outcome.results["desk/ch07/fader"].state == "refused"
    assert outcome.results["matrix/out01/tie"].state in ("read-back", "acknowledged"), "the matrix went on"
    before = [outcome.results[f"desk/ch{n:02d}/fader"].state for n in range(1, 7)]
    assert before == ["read-back"] * 6, "what was taken before the refusal is known"

    outcome.apply_to(state)
    assert state["desk/ch07/fader"].value == -math.inf, "where the desk's fader really stands: it was never moved"
    left = {step.address for step in plan(state, target).steps}
    assert "desk/ch07/fader" in left
    landed = {f"desk/ch{n:02d}/fader" for n in range(1, 25) if desk.nrpn.get((0x10, n - 1)) == (72, 0)}
    assert left == {f"desk/ch{n:02d}/fader" for n in range(1, 25)} - landed

    desk.refuses.clear()
    again, _ = run(plan(state, target), ports, clock)
    assert again.ok
    again.apply_to(state)
    assert not plan(state, target).steps
    assert all(desk.nrpn[(0x10, n)] == (72, 0) for n in range(24)), "−10 dB is v 144 = 48h 00h"


def test_nothing_more_is_set_after_a_refusal() -> None:
    clock = VirtualClock()
    fader_7_at_0 = [midi("B0 63 10"), midi("B0 62 06"), midi("B0 06 60"), midi("B0 26 00")]
    fader_8_at_0 = [midi("B0 63 10"), midi("B0 62 07"), midi("B0 06 60"), midi("B0 26 00")]
    ask_fader_8 = midi("F0 7D 48 4E 10 10 07 F7")
    port = Dialogue(
        clock,
        [
            *((data, []) for data in FADER_7_OFF[:3]),
            (FADER_7_OFF[3], [NAK_FADER_7]),
            (ASK_FADER_7, fader_7_at_0),
            (ask_fader_8, fader_8_at_0),
            (ASK_FADER_7, fader_7_at_0),
            (ASK_FADER_7, fader_7_at_0),
        ],
    )
    state = known({"desk/ch07/fader": 0.0, "desk/ch08/fader": 0.0})
    target: dict[str, Value] = {"desk/ch07/fader": -math.inf, "desk/ch08/fader": -math.inf}
    outcome, _ = run(plan(state, target), {"desk": port}, clock)
    assert port.finished()
    assert outcome.results["desk/ch07/fader"].state == "refused"
    assert outcome.results["desk/ch08/fader"].state == "not-sent"
    outcome.apply_to(state)
    assert state["desk/ch08/fader"] == Known(0.0, "read-back", AT), "untouched, so still known"


def test_a_silent_device_stops_alone_and_what_was_not_confirmed_is_unknown() -> None:
    clock = VirtualClock()
    desk = DeskDouble()
    desk.silent = True
    ports = {"desk": WiredDevice(clock, desk.respond), "comp": WiredDevice(clock, lambda data: [])}
    state = known({"desk/ch01/fader": 0.0, "desk/ch02/fader": 0.0, "comp/makeup": 5.0})
    target: dict[str, Value] = {"desk/ch01/fader": -10.0, "desk/ch02/fader": -10.0, "comp/makeup": 0.0}
    outcome, _ = run(plan(state, target), ports, clock)
    assert "did not answer" in outcome.failed_devices["desk"]
    assert "desk/ch01/fader" in outcome.failed_devices["desk"]
    assert outcome.results["comp/makeup"].state == "sent"
    assert outcome.results["desk/ch01/fader"].state == outcome.results["desk/ch02/fader"].state == "unknown"
    outcome.apply_to(state)
    assert {state[f"desk/ch0{n}/fader"].how for n in (1, 2)} == {"assumed"}
    asked = [data for data in ports["desk"].messages if data[0] == 0xF0]
    assert len(asked) > 1, "questions are repeated"
    assert len(ports["desk"].messages) - len(asked) == 8, "settings are not"


def test_an_answer_that_makes_no_sense_stops_the_device() -> None:
    clock = VirtualClock()
    garbage = midi("F0 43 10 3E 7F F7")
    tries = PROFILES["desk"].ack.retries + 1
    # Asked for the read-back, and asked again for the truth: three rounds.
    lines = [*((data, []) for data in FADER_7_MINUS_6), *[(ASK_FADER_7, [garbage])] * (tries + 3 * tries)]
    port = Dialogue(clock, lines)
    outcome, _ = run(plan(known({"desk/ch07/fader": 0.0}), {"desk/ch07/fader": -6.0}), {"desk": port}, clock)
    assert port.finished()
    assert "F0 43 10 3E 7F F7" in outcome.failed_devices["desk"]
    known_now = outcome.results["desk/ch07/fader"].known
    assert known_now is not None
    assert known_now.how == "assumed"


def test_a_matrix_that_answers_an_error_is_quoted() -> None:
    clock = VirtualClock()
    matrix = MatrixDouble()
    matrix.error = "E22"
    made = plan(known({"matrix/out01/tie": 2.0}), {"matrix/out01/tie": 1.0})
    outcome, _ = run(made, {"matrix": WiredDevice(clock, matrix.respond, bytes_per_s=960.0)}, clock)
    assert "E22" in outcome.failed_devices["matrix"]
    assert "matrix/out01/tie" in outcome.failed_devices["matrix"]


def test_a_port_that_vanishes_leaves_a_state_to_resume_from() -> None:
    clock = VirtualClock()
    desk = DeskDouble()
    port = WiredDevice(clock, desk.respond, name="Desk MIDI")
    port.vanish_after = 200
    target = whole_desk()
    state = RigState()
    outcome, seen = run(plan(state, target), {"desk": port}, clock)
    assert "lost its port" in outcome.failed_devices["desk"]
    assert "Desk MIDI" in outcome.failed_devices["desk"]
    outcome.apply_to(state)
    assert seen[-1].done <= len(plan({}, target).steps)

    port.vanish_after = None
    for address, value in state.items():
        if value.how != "assumed":
            assert value.value == read_of(desk, address), "what is called known is what the desk has"
    again, _ = run(plan(state, target), {"desk": port}, clock)
    assert again.ok
    again.apply_to(state)
    assert not plan(state, target).steps
    assert state["desk/master/fader"].value == 0.0, "the master is up again at the end"


def read_of(desk: DeskDouble, address: str) -> Value:
    clock = VirtualClock()
    read = take_readback(PROFILES, {"desk": WiredDevice(clock, desk.respond)}, clock, addresses=[address])
    return read.values[address].value


def test_a_fader_that_does_not_arrive_is_named_with_where_it_stands() -> None:
    clock = VirtualClock()
    desk = DeskDouble()
    desk.sticks[(0x10, 0x06)] = (0x48, 0x00)  # v 144: −10 dB
    outcome, _ = run(
        plan(known({"desk/ch07/fader": 0.0}), {"desk/ch07/fader": -6.0}),
        {"desk": WiredDevice(clock, desk.respond)},
        clock,
    )
    assert outcome.results["desk/ch07/fader"].state == "mismatch"
    assert outcome.results["desk/ch07/fader"].known == Known(-10.0, "read-back", AT)
    assert "desk/ch07/fader stands at -10" in outcome.failed_devices["desk"]


def test_a_device_without_an_open_port_fails_alone() -> None:
    clock = VirtualClock()
    made = plan(known({"comp/makeup": 5.0}), {"comp/makeup": 0.0, "desk/ch01/pan": 0.0})
    outcome, _ = run(made, {"comp": WiredDevice(clock, lambda data: [])}, clock)
    assert "no open port" in outcome.failed_devices["desk"]
    assert outcome.results["desk/ch01/pan"].state == "not-sent"
    assert outcome.results["comp/makeup"].state == "sent"


def test_a_hand_on_the_panel_is_noticed() -> None:
    clock = VirtualClock()
    fader_9_at_minus_10 = [midi("B0 63 10"), midi("B0 62 08"), midi("B0 06 48"), midi("B0 26 00")]
    ask_fader_9 = midi("F0 7D 48 4E 10 10 08 F7")
    port = Dialogue(
        clock,
        [
            *((data, []) for data in FADER_7_MINUS_6),
            (ASK_FADER_7, [*fader_9_at_minus_10, *FADER_7_MINUS_6]),
            (ASK_FADER_7, FADER_7_MINUS_6),
            (ask_fader_9, fader_9_at_minus_10),
            (ASK_FADER_7, FADER_7_MINUS_6),
        ],
    )
    outcome, _ = run(plan(known({"desk/ch07/fader": 0.0}), {"desk/ch07/fader": -6.0}), {"desk": port}, clock)
    assert outcome.ok
    assert port.finished(), "everything is looked at again"
    assert outcome.moved == {"desk/ch09/fader": Known(-10.0, "read-back", AT)}


@pytest.mark.parametrize("strips", [1, 8, 24])
def test_the_estimate_is_within_ten_percent_of_the_time_it_took(strips: int) -> None:
    clock = VirtualClock()
    made = plan({}, whole_desk(strips=strips) | {"comp/makeup": 0.0, "matrix/out01/tie": 1.0, "matrix/out02/tie": 2.0})
    ports = {
        "desk": WiredDevice(clock, DeskDouble().respond),
        "comp": WiredDevice(clock, lambda data: []),
        "matrix": WiredDevice(clock, MatrixDouble().respond, bytes_per_s=960.0),
    }
    outcome, seen = run(made, ports, clock)
    assert outcome.ok
    assert clock.monotonic() == pytest.approx(made.seconds_estimated, rel=0.1)
    assert outcome.seconds == pytest.approx(clock.monotonic())
    assert seen[-1].done == seen[-1].total == len(made.steps)


def test_no_message_leaves_before_the_wire_is_free() -> None:
    clock = VirtualClock()
    port = WiredDevice(clock, DeskDouble().respond)
    run(plan({}, whole_desk(strips=4)), {"desk": port}, clock)
    gap_s = PROFILES["desk"].pacing.gap_s
    for (earlier, data), (later, _) in zip(port.sent, port.sent[1:], strict=False):
        assert later - earlier >= len(data) / 3125.0 + gap_s - 1e-9


def test_the_devices_are_served_side_by_side() -> None:
    clock = VirtualClock()
    desk_plan = plan({}, whole_desk())
    both = plan({}, whole_desk() | {"comp/makeup": 0.0, "comp/threshold": 0.0})
    ports = {"desk": WiredDevice(clock, DeskDouble().respond), "comp": WiredDevice(clock, lambda data: [])}
    run(both, ports, clock)
    alone = VirtualClock()
    run(desk_plan, {"desk": WiredDevice(alone, DeskDouble().respond)}, alone)
    assert clock.monotonic() < alone.monotonic() * 1.1


def test_stopping_leaves_every_device_with_a_known_state() -> None:
    clock = VirtualClock()
    port = WiredDevice(clock, DeskDouble().respond)
    target = whole_desk()
    made = plan({}, target)
    outcome = run_recall(
        made, PROFILES, {"desk": port}, clock, cancelled=lambda: len(port.sent) >= 150, timestamp=lambda: AT
    )
    assert outcome.interrupted
    assert not outcome.ok
    assert "stopped by the user" in outcome.failed_devices["desk"]
    state = RigState()
    outcome.apply_to(state)
    again, _ = run(plan(state, target), {"desk": port}, clock)
    assert again.ok


def test_ctrl_c_in_a_wait_ends_the_recall_with_its_results() -> None:
    clock = VirtualClock()

    def respond(data: bytes) -> list[bytes]:
        if data[0] == 0xF0:
            raise KeyboardInterrupt
        return []

    made = plan(known({"desk/ch01/fader": 0.0}), {"desk/ch01/fader": -6.0})
    outcome, _ = run(made, {"desk": WiredDevice(clock, respond)}, clock)
    assert outcome.interrupted
    now = outcome.results["desk/ch01/fader"].known
    assert now is not None
    assert now.how == "assumed"


def test_verifying_reads_everything_again_and_names_what_moved() -> None:
    clock = VirtualClock()
    desk = DeskDouble()
    ports = {"desk": WiredDevice(clock, desk.respond)}
    target = whole_desk(strips=4) | {"desk/ch01/trim": 3.0}
    run(plan({}, target), ports, clock)
    assert verify_recall(PROFILES, target, ports, clock).ok

    desk.nrpn[(0x10, 2)] = (0x48, 0x00)  # somebody moves fader 3 to −10 dB
    found = verify_recall(PROFILES, target, ports, clock)
    assert [(bad.address, bad.found) for bad in found.mismatches] == [("desk/ch03/fader", -10.0)]
    assert found.unreadable == ("desk/ch01/trim",)
    assert not found.ok


def test_reading_back_a_whole_desk_moves_nothing() -> None:
    clock = VirtualClock()
    port = WiredDevice(clock, DeskDouble().respond)
    read = take_readback({"desk": PROFILES["desk"]}, {"desk": port}, clock, timestamp=lambda: AT)
    assert all(data[0] == 0xF0 for data in port.messages), "questions only"
    assert read.values["desk/ch01/fader"] == Known(-math.inf, "read-back", AT), "the power-on state"
    assert read.values["desk/master/fader"] == Known(0.0, "read-back", AT)
    assert not read.failed_devices


def test_a_silent_device_does_not_keep_the_others_from_being_read() -> None:
    clock = VirtualClock()
    desk, matrix = DeskDouble(), MatrixDouble()
    matrix.error = "E14"
    ports = {"desk": WiredDevice(clock, desk.respond), "matrix": WiredDevice(clock, matrix.respond, bytes_per_s=960.0)}
    read = take_readback(PROFILES, ports, clock, addresses=["desk/ch01/fader", "matrix/out01/tie"])
    assert "desk/ch01/fader" in read.values
    assert "E14" in read.failed_devices["matrix"]


def test_a_control_that_the_device_does_not_know_leaves_the_others_read() -> None:
    clock, desk = VirtualClock(), DeskDouble()
    answer = desk.respond

    def without_third_fader(data: bytes) -> list[bytes]:
        return [] if data == midi("F0 7D 48 4E 10 10 02 F7") else answer(data)

    port = WiredDevice(clock, without_third_fader)
    read = take_readback({"desk": PROFILES["desk"]}, {"desk": port}, clock)
    readable = sum(control.readable for control in PROFILES["desk"].controls.values())
    assert len(read.values) == readable - 1
    assert "desk/ch03/fader" not in read.values
    assert "asked for desk/ch03/fader" in read.failed_devices["desk"]
    assert read.timed_out == {"desk"}
