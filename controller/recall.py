"""Recall as a workflow: the mix's snapshot against what is known, the plan shown, the sending, what is known then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from controller.errors import DeclinedError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.planned import PlannedRecall, hand_lines, plan_mix, plan_target
from controller.recall_json import as_json, remarks_json, verify_json
from controller.runs import Run, RunJournal, RunOrigin, newest_run
from controller.snapshot_aim import plan_snapshot
from controller.studio import Studio
from controller.value_text import number, say
from hardware.errors import HardwareError, ReplyTimeoutError, TransportError
from hardware.recall import (
    FINE,
    RecallOutcome,
    StepDone,
    VerifyOutcome,
    run_recall,
    take_readback,
    verify_recall,
)
from hardware.rig import split_address
from hardware.seams import BytePort
from profiles.profile import Value

__all__ = [
    "PlannedRecall",
    "Run",
    "RunOrigin",
    "as_json",
    "demand_ports",
    "failures",
    "hand_lines",
    "land_plan",
    "last_run",
    "number",
    "plan_mix",
    "plan_resume",
    "plan_snapshot",
    "plan_target",
    "remarks_json",
    "say",
    "send",
    "send_plan",
    "verify",
    "verify_json",
]

JOB = "recall"
RUNS = "runs"
"""The folder of runs in a rig's own folder."""
RETRY = "Put it right and recall again: only what is missing is sent."


def send(
    studio: Studio,
    planned: PlannedRecall,
    *,
    emit: Emit,
    accept: Accept,
    hands_done: bool = False,
    origin: RunOrigin | None = None,
) -> RecallOutcome:
    """Show the plan, and once it is accepted send it.

    ``hands_done`` says that the by-hand controls stand where the sheet says (in the virtual room, its hands
    set them). ``origin`` names the project that the run's journal belongs to; without it there is no journal.

    Raises
    ------
    DeclinedError
        The plan was not accepted; nothing was sent.
    """
    if not accept(Question(f"Recall {studio.rig.title}", planned.lines())):
        raise DeclinedError("The recall was not accepted; nothing was sent.")
    if hands_done:
        planned.confirm_hands(studio)
    return send_plan(studio, planned, emit=emit, origin=origin)


def send_plan(studio: Studio, planned: PlannedRecall, *, emit: Emit, origin: RunOrigin | None = None) -> RecallOutcome:
    """Send an accepted plan; every control's known value is on disk afterwards, whatever happened.

    A device that refuses, stays silent, is touched or vanishes stops; the others go on. Its controls are read again
    where that is possible; what nobody can vouch for is assumed only, and the next recall looks at it or sends it.
    """
    outcome = _send(studio, planned, emit, origin)
    for device, error in failures(studio, outcome).items():
        emit(_finding(device, error))
    _tell_end(planned, outcome, emit)
    return outcome


def land_plan(studio: Studio, planned: PlannedRecall, *, emit: Emit, origin: RunOrigin | None = None) -> None:
    """Send an accepted plan on which something else depends; see :func:`send_plan`.

    With ``origin`` it is a run of that project: it takes the place of an unfinished one, and can be resumed.

    Raises
    ------
    HardwareError
        What stopped the first device that failed; the others are told through ``emit``.
    KeyboardInterrupt
        The engineer stopped it.
    """
    outcome = _send(studio, planned, emit, origin)
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
        if closed is not None and "has no open port" in reason:
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
    landed = sum(result.state in FINE for result in outcome.results.values())
    emit(Done(JOB, f"{landed} of {planned.sent} controls landed"))


def _send(studio: Studio, planned: PlannedRecall, emit: Emit, origin: RunOrigin | None = None) -> RecallOutcome:
    plan = planned.plan
    emit(Started(JOB, f"{planned.sent} controls", plan.seconds_estimated))
    ports = studio.ports()
    journal = _journal(studio, planned, origin)
    before = dict(studio.state)
    # Should the program die now, whatever it has touched counts as unknown.
    touched = {step.address for step in plan.steps if step.device in ports}
    studio.remember({address: replace(before[address], how="assumed") for address in touched if address in before})

    def on_step(step: StepDone) -> None:
        share = step.done / max(step.total, 1)
        left = plan.seconds_estimated * (1 - share)
        address = step.step.address
        emit(Progress(JOB, share, left, f"{address} {step.state}", control=(address, step.state)))
        if journal is not None:
            journal.note(step.step.address, step.result, step.state)

    def reopen(device: str) -> BytePort | None:
        try:
            return studio.reopen(device)
        except HardwareError:
            return None

    outcome = run_recall(plan, studio.profiles, ports, studio.clock, state=before, on_step=on_step, reopen=reopen)
    studio.distrust(outcome.timed_out)
    outcome.apply_to(studio.state)
    for address, result in outcome.results.items():
        if result.state == "not-sent" and result.known is None and address in before:
            studio.state[address] = before[address]
    studio.remember({})
    if journal is not None:
        journal.close(outcome)
    return outcome


def _journal(studio: Studio, planned: PlannedRecall, origin: RunOrigin | None) -> RunJournal | None:
    """Begin a journal, where there is something to send, or an unfinished run that this one ends."""
    if origin is None:
        return None
    folder = studio.home.folder / RUNS
    last = last_run(studio, origin.project)
    if not planned.plan.steps and (last is None or last.finished):
        return None
    return RunJournal(folder, origin, planned.target, now_s=studio.clock.monotonic)


def last_run(studio: Studio, project: Path) -> Run | None:
    """Return the newest run of the project in ``project`` on this rig; ``finished`` says whether all landed.

    A project that was moved since keeps its runs.

    Raises
    ------
    StorageError
        A journal cannot be read.
    """
    return newest_run(studio.home.folder / RUNS, project)


def plan_resume(
    studio: Studio, target: Mapping[str, Value], *, emit: Emit, ask: bool = True, consent: Collection[str] = ()
) -> PlannedRecall:
    """Plan what is left of a run towards ``target``.

    With ``ask``, what nobody can vouch for is read first, so that what has landed is not sent again; nothing moves.

    Raises
    ------
    UsageError, RigError, ProfileError
        As :func:`plan_target`.
    """
    if ask:
        refresh(studio, target, emit=emit)
    return plan_target(studio, target, consent=consent)


def refresh(studio: Studio, target: Mapping[str, Value], *, emit: Emit) -> None:
    """Read those of a target's controls that can be read and are not known; nothing moves."""
    unknown = []
    for address in target:
        device, name = split_address(address)
        profile, known = studio.profiles.get(device), studio.state.get(address)
        control = profile.controls.get(name) if profile is not None else None
        if control is not None and control.readable and (known is None or known.how == "assumed"):
            unknown.append(address)
    if not unknown:
        return
    emit(Started(JOB, f"asking where {len(unknown)} controls stand"))
    read = take_readback(studio.profiles, studio.ports(), studio.clock, addresses=unknown)
    studio.distrust(read.timed_out)
    studio.remember(read.values)


def verify(studio: Studio, target: Mapping[str, Value], *, emit: Emit) -> VerifyOutcome:
    """Read every readable control of ``target`` again and say which stand elsewhere; nothing moves."""
    emit(Started("verify", studio.rig.title))
    outcome = verify_recall(studio.profiles, target, studio.ports(), studio.clock)
    studio.distrust(outcome.timed_out)
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
