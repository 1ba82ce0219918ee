"""Whatever the room throws: nothing false is believed afterwards, and resuming sends only what is left."""

from __future__ import annotations

import pytest
from recall_desk48 import Studio48, mix

from hardware.recall import RecallOutcome
from hardware.room.fault_plan import random_faults
from hardware.room.faults import Fault

CHANNELS = 8
TARGET = mix(1, channels=CHANNELS)
WRITES = sum(1 if name.endswith("/mute") else 4 for name in TARGET)
"""Messages that a first recall of the target sends before anything is read, about."""
READS = len(TARGET)


def struck(*faults: Fault) -> tuple[Studio48, RecallOutcome]:
    studio = Studio48(*faults)
    outcome = studio.recall(TARGET)
    assert studio.lies() == []
    return studio, outcome


def resumed(studio: Studio48) -> None:
    """Resuming completes the recall; nothing that stood right is sent again."""
    outcome = studio.resume(TARGET)
    assert outcome.ok, outcome.failed_devices
    assert studio.resent == set()
    assert studio.lies() == []
    assert studio.elsewhere(TARGET) == []


@pytest.mark.parametrize("at", [3, WRITES // 3, WRITES - 5, WRITES + READS // 2])
@pytest.mark.parametrize("kind", ["drop_byte", "double_byte"])
@pytest.mark.parametrize("to", ["device", "program"])
@pytest.mark.parametrize("at_byte", range(0, 12, 5))
def test_a_dropped_or_doubled_byte_leaves_nothing_false(kind: str, to: str, at: int, at_byte: int) -> None:
    studio, _ = struck(Fault(kind, device="desk48", after_messages=at, at_byte=at_byte, to=to))  # type: ignore[arg-type]
    resumed(studio)


@pytest.mark.parametrize("at", [0, READS // 2])
@pytest.mark.parametrize("kind", ["no_reply", "other_reply", "wrong_address"])
def test_an_answer_that_is_missing_or_about_another_control_is_asked_for_again(kind: str, at: int) -> None:
    studio, outcome = struck(Fault(kind, device="desk48", after_messages=WRITES + at))  # type: ignore[arg-type]
    assert outcome.ok
    assert outcome.doubts, "and everything was looked at again"
    assert studio.elsewhere(TARGET) == []


@pytest.mark.parametrize("late_s", [0.05, 0.3, 2.0])
def test_a_late_answer_is_not_taken_for_another(late_s: float) -> None:
    studio, outcome = struck(Fault("late_reply", device="desk48", after_messages=WRITES + 20, seconds=late_s))
    assert outcome.ok
    assert studio.elsewhere(TARGET) == []


def test_a_refused_control_is_named_and_the_rest_resumes() -> None:
    studio, outcome = struck(Fault("nak", control="desk48/ch03/eq/lf_gain"))
    assert "desk48/ch03/eq/lf_gain" in outcome.failed_devices["desk48"]
    assert outcome.results["desk48/ch03/eq/lf_gain"].state == "refused"
    resumed(studio)


@pytest.mark.parametrize("kind", ["stuck", "liar"])
def test_a_control_that_does_not_move_is_found_by_reading_it(kind: str) -> None:
    """A liar takes the setting, says nothing against it, and stays where it is."""
    studio, outcome = struck(Fault(kind, control="desk48/ch04/fader"))  # type: ignore[arg-type]
    assert outcome.results["desk48/ch04/fader"].state == "mismatch"
    assert "desk48/ch04/fader stands at off" in outcome.failed_devices["desk48"]
    resumed(studio)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_knob_that_a_hand_moves_before_it_is_read_is_found(quiet: bool) -> None:
    studio, outcome = struck(
        Fault("moved", control="desk48/ch02/fader", value=-45.0, after_messages=WRITES, quiet=quiet)
    )
    assert "desk48/ch02/fader" in outcome.failed_devices["desk48"]
    assert outcome.results["desk48/ch02/fader"].state == "mismatch"
    resumed(studio)


def test_a_knob_that_a_hand_moves_after_it_was_read_is_found_where_the_desk_says_so() -> None:
    studio, outcome = struck(Fault("moved", control="desk48/ch01/fader", value=-45.0, after_messages=WRITES + READS))
    assert "desk48/ch01/fader" in outcome.failed_devices["desk48"]
    assert "hand" in outcome.failed_devices["desk48"]
    resumed(studio)


def test_a_fader_that_a_hand_takes_hold_of_stops_the_desk_and_is_named() -> None:
    studio, outcome = struck(Fault("held", control="desk48/ch05/fader", after_messages=40))
    assert "hand" in outcome.failed_devices["desk48"]
    assert "desk48/ch05/fader" in outcome.failed_devices["desk48"]
    resumed(studio)


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("at", [10, WRITES // 2, WRITES + READS // 2])
def test_a_port_that_goes_and_comes_back_is_read_again_or_left_unknown(at: int, index: int) -> None:
    studio, outcome = struck(Fault("port_gone", device="desk48", after_messages=at, seconds=0.2, index=index))
    assert "lost its port" in outcome.failed_devices["desk48"]
    resumed(studio)


@pytest.mark.parametrize("at", [1, WRITES // 2, WRITES + READS // 2, WRITES + READS - 10])
@pytest.mark.parametrize("off_s", [0.0, 0.3])
def test_a_desk_that_was_off_and_on_in_mid_recall_keeps_no_false_value(at: int, off_s: float) -> None:
    """It says nothing when its power comes back; the control that is read at the end shows it."""
    studio, outcome = struck(Fault("power_cycle", device="desk48", after_messages=at, seconds=off_s))
    assert not outcome.ok
    resumed(studio)


def test_a_desk_that_lost_its_settings_is_found_by_one_that_the_recall_left_alone() -> None:
    studio = Studio48()
    assert studio.recall(TARGET).ok
    name = "desk48/ch01/pan"
    studio.room.room.throw(Fault("power_cycle", device="desk48"))
    outcome = studio.recall(TARGET | {name: -TARGET[name]})  # type: ignore[operator]
    assert outcome.doubts
    assert studio.lies() == []


@pytest.mark.parametrize("kind", ["running_status", "real_time", "pieces"])
def test_what_the_wire_may_do_disturbs_nothing(kind: str) -> None:
    studio, outcome = struck(Fault(kind, device="desk48"))  # type: ignore[arg-type]
    assert outcome.ok
    assert studio.elsewhere(TARGET) == []
    if kind != "running_status":  # answers that take less time let the desk's buffer for queries overflow
        assert not outcome.doubts


@pytest.mark.parametrize("seed", range(4))
def test_twenty_random_faults_in_six_hundred_controls_leave_every_state_true(seed: int) -> None:
    target = mix(seed)
    assert len(target) == 600
    studio = Studio48()
    for fault in random_faults(seed, 20, studio.room.room, "desk48", list(target), messages=2400):
        studio.room.room.throw(fault)
    studio.recall(target)
    assert studio.lies() == []
    studio.recall(target)  # the faults that are left strike again
    assert studio.lies() == []
    outcome = studio.resume(target)
    assert outcome.ok, outcome.failed_devices
    assert studio.resent == set()
    assert studio.lies() == []
    assert studio.elsewhere(target) == []
