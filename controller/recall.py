"""Recall as a workflow: the mix's snapshot against what is known, the plan shown, the sending, what is known then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.allocation import Allocation
from controller.errors import DeclinedError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.sheet import display_value
from controller.studio import Studio
from hardware.errors import HardwareError, ReplyTimeoutError, TransportError
from hardware.known import Known
from hardware.recall import (
    HandStep,
    RecallOutcome,
    RecallPlan,
    StepDone,
    VerifyOutcome,
    plan_recall,
    run_recall,
    verify_recall,
)
from profiles.profile import Value

JOB = "recall"
RETRY = "Put it right and recall again: only what is missing is sent."


@dataclass(frozen=True)
class PlannedRecall:
    """The way from what is known of the rig to ``target``: what is sent, what hands do, what it takes."""

    target: Mapping[str, Value]
    plan: RecallPlan

    @property
    def sent(self) -> int:
        """How many controls are sent; a fader that rises in laps is one."""
        return len({step.address for step in self.plan.steps})

    def lines(self) -> tuple[str, ...]:
        """Write the plan as a person reads it."""
        plan = self.plan
        devices = sorted({step.device for step in plan.steps})
        lines = [
            f"{self.sent} controls to send ({plan.bytes_total} bytes"
            + (f" to {', '.join(devices)}" if devices else "")
            + f", about {plan.seconds_estimated:.1f} s), {len(plan.by_hand)} by hand, {plan.unchanged} already there."
        ]
        withheld = [f"left out, because it is dangerous: {address}" for address in plan.withheld]
        return (*lines, *plan.notes, *withheld, *hand_lines(plan.by_hand))

    def confirm_hands(self, studio: Studio) -> None:
        """Take the by-hand controls as set; in the virtual room, its hands set them now."""
        values = {step.address: step.to for step in self.plan.by_hand}
        if studio.room is not None:
            for address, value in values.items():
                studio.room.turn(address, value)
        studio.state.mark_by_hand(values)
        studio.remember({})


def hand_lines(by_hand: Sequence[HandStep]) -> list[str]:
    """Write by-hand controls in few lines: strips that want the same of the same knob share one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for step in by_hand:
        device, _, name = step.address.partition("/")
        section, slash, knob = name.partition("/")
        if step.control.strip is None or not slash:
            section, knob = "", name
        groups.setdefault((device, knob, display_value(step.control, step.to)), []).append(section)
    return [
        f"by hand: {device} {_spans(sections)}{knob} → {wanted}" for (device, knob, wanted), sections in groups.items()
    ]


def _spans(sections: Sequence[str]) -> str:
    """Write ``ch01 ch02 ch03 ch07`` as ``ch01–ch03, ch07``; empty for what belongs to no strip."""
    runs: list[list[str]] = []
    for section in sections:
        if not section:
            return ""
        before = runs[-1][-1] if runs else ""
        follows = (
            before and section[-2:].isdigit() and before[-2:].isdigit() and int(section[-2:]) == int(before[-2:]) + 1
        )
        if follows:
            runs[-1].append(section)
        else:
            runs.append([section])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs) + " "


def say(value: Value | None, unit: str = "") -> str:
    """Write a value as a person reads it: ``off``, ``in``, ``-6.0 dB``, ``?`` for unknown."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "in" if value else "out"
    if isinstance(value, str):
        return value
    if value == -math.inf:
        return "off"
    number = f"{value:+.2f}" if unit in {"dB", "dBu"} else f"{value:g}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}".rstrip() if unit not in {"pan", "raw", "enum", "bool", "q", ""} else number


def plan_target(studio: Studio, target: Mapping[str, Value], *, believe: bool = True) -> PlannedRecall:
    """Plan the way to ``target`` (address → value) from what is known of the rig; sends nothing.

    Without ``believe`` all that can be sent is sent: a desk may have been switched off, or moved, since it was known.
    """
    state: Mapping[str, Known] = studio.state
    if not believe:
        state = {address: known for address, known in state.items() if _by_hand(studio, address, target)}
    return PlannedRecall(dict(target), plan_recall(studio.rig, studio.profiles, state, target))


def _by_hand(studio: Studio, address: str, target: Mapping[str, Value]) -> bool:
    return address in target and studio.control(address).by_hand


def plan_mix(studio: Studio, allocation: Allocation) -> PlannedRecall:
    """Plan the recall of what ``allocation`` puts on the hardware."""
    return plan_target(studio, allocation.target)


def send(
    studio: Studio, planned: PlannedRecall, *, emit: Emit, accept: Accept, hands_done: bool = False
) -> RecallOutcome:
    """Show the plan, and once it is accepted send it.

    ``hands_done`` says that the by-hand controls stand where the sheet says (in the virtual room, its hands
    set them).

    Raises
    ------
    DeclinedError
        The plan was not accepted; nothing was sent.
    """
    if not accept(Question(f"Recall {studio.rig.title}", planned.lines())):
        raise DeclinedError("The recall was not accepted; nothing was sent.")
    if hands_done:
        planned.confirm_hands(studio)
    return send_plan(studio, planned, emit=emit)


def send_plan(studio: Studio, planned: PlannedRecall, *, emit: Emit) -> RecallOutcome:
    """Send an accepted plan; every control's known value is on disk afterwards, whatever happened.

    A device that refuses, stays silent or vanishes stops; the others go on. What its controls are then worth is
    unknown, and the next recall sends them again.
    """
    outcome = _send(studio, planned, emit)
    for device, error in failures(studio, outcome).items():
        emit(_finding(device, error))
    _tell_end(planned, outcome, emit)
    return outcome


def land_plan(studio: Studio, planned: PlannedRecall, *, emit: Emit) -> None:
    """Send an accepted plan on which something else depends; see :func:`send_plan`.

    Raises
    ------
    HardwareError
        What stopped the first device that failed; the others are told through ``emit``.
    KeyboardInterrupt
        The engineer stopped it.
    """
    outcome = _send(studio, planned, emit)
    if outcome.interrupted:
        raise KeyboardInterrupt
    found = failures(studio, outcome)
    for device, error in list(found.items())[1:]:
        emit(_finding(device, error))
    for error in found.values():
        raise error
    _tell_end(planned, outcome, emit)


def demand_ports(studio: Studio, planned: PlannedRecall) -> None:
    """Open the rig's ports, and see that each device which ``planned`` sends something to has one.

    Raises
    ------
    HardwareError
        What keeps the first port closed; nothing was sent to any device.
    """
    studio.ports()
    for device in dict.fromkeys(step.device for step in planned.plan.steps):
        if device in studio.unreachable:
            raise _closed(device, studio.unreachable[device])


def failures(studio: Studio, outcome: RecallOutcome | VerifyOutcome) -> dict[str, HardwareError]:
    """Return what stopped each failed device as the error it is: no port, silence, or what else it did."""
    found: dict[str, HardwareError] = {}
    for device, reason in outcome.failed_devices.items():
        closed = studio.unreachable.get(device)
        if closed is not None:
            found[device] = _closed(device, closed)
        elif device in outcome.timed_out:
            found[device] = ReplyTimeoutError(reason, hint=RETRY)
        else:
            found[device] = TransportError(reason, hint=RETRY)
    return found


def _closed(device: str, error: HardwareError) -> HardwareError:
    return type(error)(f"{device} has no port: {error}", hint=error.hint or RETRY)


def _finding(device: str, error: HardwareError) -> Finding:
    return Finding(device, str(error).removeprefix(f"{device} "), error.hint, "problem")


def _tell_end(planned: PlannedRecall, outcome: RecallOutcome, emit: Emit) -> None:
    landed = sum(result.known is not None for result in outcome.results.values())
    emit(Done(JOB, f"{landed} of {planned.sent} controls landed"))


def _send(studio: Studio, planned: PlannedRecall, emit: Emit) -> RecallOutcome:
    plan = planned.plan
    emit(Started(JOB, f"{planned.sent} controls", plan.seconds_estimated))
    ports = studio.ports()

    def on_step(step: StepDone) -> None:
        share = step.done / max(step.total, 1)
        left = plan.seconds_estimated * (1 - share)
        emit(Progress(JOB, share, left, f"{step.step.address} {step.result.state}"))

    outcome = run_recall(plan, studio.profiles, ports, studio.clock, on_step=on_step)
    outcome.apply_to(studio.state)
    studio.remember({})
    return outcome


def verify(studio: Studio, target: Mapping[str, Value], *, emit: Emit) -> VerifyOutcome:
    """Read every readable control of ``target`` again and say which stand elsewhere; nothing moves."""
    emit(Started("verify", studio.rig.title))
    outcome = verify_recall(studio.profiles, target, studio.ports(), studio.clock)
    studio.remember(outcome.values)
    for mismatch in outcome.mismatches:
        if mismatch.found is None:
            continue  # its device stopped, which is told once below
        unit = studio.control(mismatch.address).unit
        emit(
            Finding(
                mismatch.address,
                f"is at {say(mismatch.found, unit)}, wanted {say(mismatch.wanted, unit)}",
                "Somebody moved it, or it never landed: recall again.",
                "problem",
            )
        )
    for device, error in failures(studio, outcome).items():
        emit(_finding(device, error))
    read, differ = len(outcome.values), sum(mismatch.found is not None for mismatch in outcome.mismatches)
    emit(Done("verify", f"{read} controls read, {differ} differ, {len(outcome.unreadable)} cannot be read"))
    return outcome


def as_json(
    planned: PlannedRecall, outcome: RecallOutcome | None = None, *, state: Mapping[str, Known] | None = None
) -> dict[str, Any]:
    """Return what ``recall … --json`` prints of a plan, or of a plan and how it went.

    Each control stands once, with where it ends up; ``steps`` is what is sent, in order. ``state`` is what is known of
    the rig now, for what hands have set meanwhile.
    """
    plan = planned.plan
    results = outcome.results if outcome is not None else {}
    controls = []
    for step in (step for step in plan.steps if step.final):
        result = results.get(step.address)
        known = result.known if result is not None else step.from_
        controls.append(
            {
                "address": step.address,
                **number("from", step.from_.value if step.from_ is not None else None),
                **number("to", step.to),
                "known": known.how if known is not None else None,
                "state": result.state if result is not None else "planned",
                "message": result.message if result is not None else "",
            }
        )
    steps = [
        {
            "address": step.address,
            "stage": step.stage,
            **number("to", step.to),
            "raw": step.raw,
            "bytes_hex": [message.hex(" ").upper() for message in step.messages],
        }
        for step in plan.steps
    ]
    return {
        "controls": controls,
        "by_hand": [_hand_json(step, (state or {}).get(step.address, step.from_)) for step in plan.by_hand],
        "unchanged": plan.unchanged,
        "seconds_estimated": round(plan.seconds_estimated, 4),
        "bytes": plan.bytes_total,
        "steps": steps,
        "notes": list(plan.notes),
        "withheld": list(plan.withheld),
        "failed_devices": dict(outcome.failed_devices) if outcome is not None else {},
    }


def verify_json(studio: Studio, target: Mapping[str, Value], outcome: VerifyOutcome) -> dict[str, Any]:
    """Return what ``recall verify --json`` prints: of every control where it is wanted, where it stands, how known.

    ``by_hand``, ``seconds_estimated`` and ``bytes`` are those of the recall that would put right what differs.
    """
    differing = {mismatch.address for mismatch in outcome.mismatches}
    controls = []
    for address, wanted in target.items():
        known = studio.state.get(address)
        read = address in outcome.values
        state = ("elsewhere" if address in differing else "confirmed") if read else "not-read"
        if address in outcome.unreadable:
            state = "unreadable"
        controls.append(
            {
                "address": address,
                **number("from", known.value if known is not None else None),
                **number("to", studio.control(address).achieved(wanted)),
                "known": known.how if known is not None else None,
                "state": state,
            }
        )
    left = as_json(plan_target(studio, target))
    return {
        **{key: left[key] for key in ("by_hand", "seconds_estimated", "bytes")},
        "controls": controls,
        "mismatches": sum(control["state"] == "elsewhere" for control in controls),
        "failed_devices": dict(outcome.failed_devices),
    }


def _hand_json(step: HandStep, known: Known | None) -> dict[str, Any]:
    return {
        "address": step.address,
        **number("from", step.from_.value if step.from_ is not None else None),
        **number("to", step.to),
        "unit": step.control.unit,
        "known": known.how if known is not None else None,
    }


def number(key: str, value: Value | None) -> dict[str, Any]:
    """Return ``value`` under ``key`` as JSON can hold it: −∞ as null with a note."""
    if isinstance(value, float) and value == -math.inf:
        return {key: None, f"{key}_note": "off (minus infinity)"}
    return {key: value}
