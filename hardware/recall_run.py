"""Send a recall plan, device by device side by side, honour replies and refusals, and say how each value is known.

A device that refuses, stays silent, answers nonsense, is touched or vanishes stops alone. What is uncertain then is
looked at again, and where nobody can look it is called assumed: planning again finds exactly what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from hardware.device_line import DeviceLine
from hardware.known import Known, RigState, utc_now
from hardware.recall_device import DeviceRecall
from hardware.recall_sending import FINE, LiveState, Outcome, StepResult
from hardware.recall_steps import PHASE_OF, PHASES, RecallPlan, Step
from hardware.seams import BytePort, Clock
from hardware.talks import Gate, run_together, wires_of
from profiles.profile import Profile

__all__ = ["FINE", "LiveState", "Outcome", "RecallOutcome", "StepDone", "StepResult", "run_recall"]


@dataclass(frozen=True)
class StepDone:
    """One step came a stage further, to ``state``; ``done`` of ``total`` steps have come to their end."""

    step: Step
    result: StepResult
    done: int
    total: int
    state: LiveState


@dataclass(frozen=True)
class RecallOutcome:
    """What a recall did.

    ``results``: every planned address. ``failed_devices``: one sentence for each device that stopped.
    ``moved``: controls that moved by themselves meanwhile, a hand on the panel. ``learnt``: what else was found out
    about controls that the plan did not send. ``seconds``: time it took [s]. ``timed_out``: those of the failed
    devices that did not answer. ``doubts``: for each device, what was not as it should be.
    """

    results: dict[str, StepResult]
    failed_devices: dict[str, str]
    moved: dict[str, Known] = field(default_factory=dict)
    learnt: dict[str, Known] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0
    timed_out: frozenset[str] = frozenset()
    doubts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every planned control ended fine."""
        return not self.failed_devices and all(result.state in FINE for result in self.results.values())

    def apply_to(self, state: RigState) -> None:
        """Bring a rig's state up to date: what is known now, and nothing where the fate is unknown."""
        for address, result in self.results.items():
            if result.known is not None:
                state[address] = result.known
            elif result.state != "not-sent":
                state.pop(address, None)
        state.update(self.moved)
        state.update(self.learnt)


def run_recall(
    plan: RecallPlan,
    profiles: Mapping[str, Profile],
    ports: Mapping[str, BytePort],
    clock: Clock,
    *,
    state: Mapping[str, Known] | None = None,
    on_step: Callable[[StepDone], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
    timestamp: Callable[[], str] = utc_now,
    reopen: Callable[[str], BytePort | None] = lambda device: None,
) -> RecallOutcome:
    """Carry out a plan.

    Parameters
    ----------
    plan
        What ``plan_recall`` made and the engineer accepted.
    profiles, ports
        The profile and the opened port of each device, by device name. A device without a port fails at once, alone.
        Ports with the same object as ``wire`` share a cable.
    clock
        Time; tests and the in-process room pass a virtual one.
    state
        What is known of the rig, by address: after a mishap it is looked at again too.
    on_step
        Called whenever a step comes a stage further, from the caller's thread.
    cancelled
        Asked between messages; true stops every device cleanly.
    timestamp
        Says when a value became known, ISO 8601 UTC.
    reopen
        Opens the port of a device anew after it vanished; None where it stays away. Asked once, at the end.

    Returns
    -------
    RecallOutcome
        Never raises for what a device does: a failed device stops alone and is named in ``failed_devices``.
    """
    began = clock.monotonic()
    tally = _Tally(plan, on_step)
    devices = list(dict.fromkeys(step.device for step in plan.steps))
    reached = [name for name in devices if name in ports]
    gate = Gate(PHASES, ((step.device, PHASE_OF[step.stage]) for step in plan.steps if step.device in ports))
    wires = wires_of({name: ports[name] for name in reached})

    parts = {
        name: DeviceRecall(
            DeviceLine(name, profiles[name], ports[name], clock, timestamp=timestamp, wire=wires[name], known=state),
            [step for step in plan.steps if step.device == name],
            gate=gate,
            on_state=tally.advance,
            now=timestamp,
            canary=plan.canaries.get(name),
            state=state,
            reopen=partial(reopen, name),
        )
        for name in reached
    }
    interrupted = False
    try:
        run_together([(part.line, part.talk()) for part in parts.values()], clock, cancelled=cancelled)
    except KeyboardInterrupt:
        interrupted = True
    interrupted = interrupted or not all(part.ended for part in parts.values())
    for part in parts.values():
        part.give_up(part.line.failure or "was stopped by the user")
    failures = {
        name: f"{name} has no open port; nothing was sent to it." if name not in parts else _sentence(parts[name])
        for name in devices
        if name not in parts or parts[name].failure is not None
    }
    return RecallOutcome(
        _results(plan, parts, failures),
        failures,
        {
            f"{name}/{control}": known
            for name, part in parts.items()
            for control, known in part.line.moved.items()
            if f"{name}/{control}" not in part.sending.results
        },
        {address: known for part in parts.values() for address, known in part.sending.learnt.items()},
        interrupted,
        clock.monotonic() - began,
        frozenset(name for name, part in parts.items() if part.timed_out),
        {name: tuple(part.line.doubts) for name, part in parts.items() if part.line.doubts},
    )


class _Tally:
    """Counts the steps that have come to their end, and tells how each goes on."""

    def __init__(self, plan: RecallPlan, on_step: Callable[[StepDone], None]) -> None:
        self._total = len(plan.steps)
        self._steps: dict[str, int] = {}
        for step in plan.steps:
            self._steps[step.address] = self._steps.get(step.address, 0) + 1
        self._ended: set[str] = set()
        self._done = 0
        self._on_step = on_step

    def advance(self, step: Step, state: LiveState, result: StepResult) -> None:
        if step.address not in self._ended and (state != "sent" or not step.query):
            self._ended.add(step.address)
            self._done += self._steps[step.address]
        self._on_step(StepDone(step, result, self._done, self._total, state))


def _sentence(part: DeviceRecall) -> str:
    """Say in one sentence why a device stopped, where, and how much of it is left."""
    name, culprit = part.line.name, part.line.culprit
    reason = (part.failure or "stopped").rstrip(".")
    at = f" at {name}/{culprit}" if culprit and f"{name}/{culprit}" not in reason else ""
    finals = [step for step in part.steps if step.final]
    done = sum(
        (result := part.sending.results.get(step.address)) is not None and result.state in FINE and part.arrived(step)
        for step in finals
    )
    return f"{name} {reason}{at}; {len(finals) - done} of its {len(finals)} settings are left."


def _results(plan: RecallPlan, parts: Mapping[str, DeviceRecall], failures: Mapping[str, str]) -> dict[str, StepResult]:
    """Put every planned address's end together."""
    results: dict[str, StepResult] = {}
    for step in plan.steps:
        if not step.final:
            continue
        part = parts.get(step.device)
        result = part.sending.results.get(step.address) if part else None
        why = failures.get(step.device, "the recall was stopped")
        if result is None or part is None:
            known = part.sending.learnt.get(step.address, step.from_) if part else step.from_
            result = StepResult("not-sent", known, why)
        results[step.address] = result
    return results
