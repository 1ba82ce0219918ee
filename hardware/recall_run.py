"""Send a recall plan, device by device side by side, honour replies and refusals, and say how each value is known.

A device that refuses, stays silent, answers nonsense or vanishes stops alone. What is uncertain then becomes unknown,
so that planning again finds exactly what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hardware.device_line import DeviceLine, Talk, Wait, refusal_text, run_together, value_text
from hardware.errors import BadReplyError, HardwareError, RefusedError
from hardware.known import Known, RigState, utc_now
from hardware.recall_plan import same_value
from hardware.recall_steps import STAGES, RecallPlan, Step
from hardware.seams import BytePort, Clock
from hardware.wire.messages import Change
from profiles.profile import Profile

Outcome = Literal["read-back", "acknowledged", "sent", "refused", "mismatch", "unknown", "not-sent"]
"""How one control ended: the first three are fine, the others name what went wrong or was left."""

FINE: frozenset[Outcome] = frozenset({"read-back", "acknowledged", "sent"})


@dataclass(frozen=True)
class StepResult:
    """How one control ended; ``known`` is what is known of it now (None: nothing), ``message`` why it is not fine."""

    state: Outcome
    known: Known | None
    message: str = ""


@dataclass(frozen=True)
class StepDone:
    """One step came to an end; ``done`` of ``total`` steps have."""

    step: Step
    result: StepResult
    done: int
    total: int


@dataclass(frozen=True)
class RecallOutcome:
    """What a recall did.

    ``results``: every planned address. ``failed_devices``: one sentence for each device that stopped.
    ``moved``: controls that moved by themselves meanwhile, a hand on the panel. ``seconds``: time it took [s].
    ``timed_out``: those of the failed devices that did not answer.
    """

    results: dict[str, StepResult]
    failed_devices: dict[str, str]
    moved: dict[str, Known] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0
    timed_out: frozenset[str] = frozenset()

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


class _Sending:
    """One device's part of a recall."""

    def __init__(
        self, line: DeviceLine, *, on_done: Callable[[Step, StepResult], None], now: Callable[[], str]
    ) -> None:
        self.line = line
        self.results: dict[str, StepResult] = {}
        self._on_done = on_done
        self._now = now
        self._in_flight: Step | None = None
        self._unverified: dict[str, Step] = {}
        self._stopped_at = ""
        self._reached: set[str] = set()

    def stage(self, steps: Sequence[Step]) -> Talk:
        """Send one stage's steps, then read back what can be read."""
        line = self.line
        refusal = ""
        for step in steps:
            yield from line.drained()
            yield from line.pause(step.pause_s)
            refusal = self._refusal(None)
            if refusal:
                break
            self._in_flight = step
            line.changes.pop(step.control, None)
            for message in step.messages:
                yield from line.transmit(message)
            self._in_flight = None
            if step.final:
                self._reached.add(step.address)
            yield from self._accepted(step)
        yield from line.drained()
        yield from line.pause(line.profile.pacing.settle_s)
        if line.profile.ack.kind == "nak" and not any(step.query for step in self._unverified.values()):
            yield from self._await_refusals()
        for step in list(self._unverified.values()):
            refusal = self._refusal(step) or refusal
            if step.address in self._unverified:
                yield from self._read_back(step)
        refusal = self._refusal(None) or refusal
        if refusal:
            raise RefusedError(refusal)

    def _accepted(self, step: Step) -> Talk:
        """Take a step as sent, or as acknowledged when the device replies."""
        how: Literal["acknowledged", "sent"] = "sent"
        self._unverified[step.address] = step
        if self.line.profile.ack.kind == "reply":
            self._stopped_at = step.address
            change = yield from self.line.answer(step.control)
            if change is None:
                return  # refused: the next look at the refusals says so
            self._compare(step, change)
            how = "acknowledged"
        self._stopped_at = ""
        result = StepResult(how, Known(step.to, how, self._now()))
        self.results[step.address] = result
        if not step.query:
            if not step.final or how == "acknowledged" or self.line.profile.ack.kind == "none":
                self._unverified.pop(step.address, None)
            self._on_done(step, result)

    def _await_refusals(self) -> Talk:
        """Give a device that only speaks up when it refuses its time to do so."""
        deadline = self.line.clock.monotonic() + self.line.profile.ack.timeout_s
        while self.line.clock.monotonic() < deadline and not self.line.refusals:
            yield Wait(deadline, for_input=True)
            self.line.sort()
        if not self.line.refusals:
            self._unverified.clear()

    def _read_back(self, step: Step) -> Talk:
        if not step.query:
            self._unverified.pop(step.address, None)
            return
        self._stopped_at = step.address
        change = yield from self.line.ask(step.control, step.query)
        if change is None:
            return  # refused: the caller's next look says so
        self._stopped_at = ""
        self._compare(step, change)
        self._unverified.pop(step.address, None)
        self._settle(step, StepResult("read-back", Known(change.value, "read-back", self._now())))

    def _compare(self, step: Step, change: Change) -> None:
        control = self.line.profile.controls[step.control]
        if change.raw == step.raw or same_value(control, change.value, step.to):
            return
        self._unverified.pop(step.address, None)
        message = f"stands at {value_text(change.value)} after {value_text(step.to)} was sent"
        self._settle(step, StepResult("mismatch", Known(change.value, "read-back", self._now()), message))
        raise BadReplyError(f"{step.address} {message}")

    def _refusal(self, current: Step | None) -> str:
        """Look at what the device refused; mark those controls and say it in words."""
        line = self.line
        line.sort()
        said = ""
        for refusal in line.refusals:
            control = refusal.control or (self._stopped_at.partition("/")[2] or (current.control if current else ""))
            address = f"{line.name}/{control}" if control else ""
            said = said or f"refused {address or 'a setting'} ({refusal_text(refusal)})"
            step = self._unverified.pop(address, None)
            if address and (step is not None or address in self.results):
                result = StepResult("refused", None, refusal_text(refusal))
                self.results[address] = result
                if step is not None:
                    self._on_done(step, result)
        line.refusals.clear()
        self._stopped_at = "" if said else self._stopped_at
        return said

    def _settle(self, step: Step, result: StepResult) -> None:
        self.results[step.address] = result
        self._on_done(step, result)

    def last_look(self) -> None:
        """Take in what arrived after the last answer: a late refusal, a hand on the panel."""
        try:
            self.line.listen(0.0)
        except HardwareError as error:
            self.line.failure = f"lost its port ({error})"
            return
        self.line.failure = self._refusal(None) or None

    def give_up(self) -> None:
        """Forget what is uncertain after the device stopped: half-sent settings, and those not read back yet."""
        reason = self.line.failure or "stopped"
        uncertain = [step for step in self._unverified.values() if step.query or step.address == self._stopped_at]
        if self._in_flight is not None:
            uncertain.append(self._in_flight)
        for step in uncertain:
            earlier = self.results.get(step.address)
            if earlier is not None and earlier.state == "acknowledged" and step.address != self._stopped_at:
                self._on_done(step, earlier)
                continue
            self._settle(step, StepResult("unknown", None, f"{self.line.name} {reason}"))
        self._unverified.clear()
        self._in_flight = None

    def reached(self, step: Step) -> bool:
        """Whether the last step of its control went out."""
        return step.address in self._reached

    @property
    def culprit(self) -> str:
        """The address at which the device stopped, as far as one can be named."""
        return self._stopped_at or (self._in_flight.address if self._in_flight else "")


def run_recall(
    plan: RecallPlan,
    profiles: Mapping[str, Profile],
    ports: Mapping[str, BytePort],
    clock: Clock,
    *,
    on_step: Callable[[StepDone], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
    timestamp: Callable[[], str] = utc_now,
) -> RecallOutcome:
    """Carry out a plan.

    Parameters
    ----------
    plan
        What ``plan_recall`` made and the engineer accepted.
    profiles, ports
        The profile and the opened port of each device, by device name. A device without a port fails at once, alone.
    clock
        Time; tests and the in-process room pass a virtual one.
    on_step
        Called after each step, from the caller's thread.
    cancelled
        Asked between messages; true stops every device cleanly.
    timestamp
        Says when a value became known, ISO 8601 UTC.

    Returns
    -------
    RecallOutcome
        Never raises for what a device does: a failed device stops alone and is named in ``failed_devices``.
    """
    began = clock.monotonic()
    total = len(plan.steps)
    count = 0

    def on_done(step: Step, result: StepResult) -> None:
        nonlocal count
        count += 1
        on_step(StepDone(step, result, count, total))

    devices = list(dict.fromkeys(step.device for step in plan.steps))
    failures: dict[str, str] = {}
    sendings: dict[str, _Sending] = {}
    for name in devices:
        if name not in ports:
            failures[name] = f"{name} has no open port; nothing was sent to it."
            continue
        line = DeviceLine(name, profiles[name], ports[name], clock, timestamp=timestamp)
        sendings[name] = _Sending(line, on_done=on_done, now=timestamp)
    interrupted = False
    try:
        for name, sending in sendings.items():
            sending.line.clear_old_input()
            if sending.line.failure is not None:
                failures[name] = _sentence(sending, plan)
        for stage in STAGES:
            talks = [
                (sending.line, sending.stage(steps))
                for name, sending in sendings.items()
                if name not in failures
                for steps in [[step for step in plan.steps if step.stage == stage and step.device == name]]
                if steps
            ]
            run_together(talks, clock, cancelled=cancelled)
            _collect_failures(sendings, failures, plan)
            if cancelled():
                interrupted = True
                break
    except KeyboardInterrupt:
        interrupted = True
        for sending in sendings.values():
            sending.line.failure = sending.line.failure or "was stopped by the user"
        _collect_failures(sendings, failures, plan)
    for sending in sendings.values():
        if sending.line.failure is None:
            sending.last_look()
    _collect_failures(sendings, failures, plan)
    results, moved = _gathered(plan, sendings, failures)
    timed_out = frozenset(name for name, sending in sendings.items() if sending.line.timed_out)
    return RecallOutcome(results, failures, moved, interrupted, clock.monotonic() - began, timed_out)


def _collect_failures(sendings: Mapping[str, _Sending], failures: dict[str, str], plan: RecallPlan) -> None:
    for name, sending in sendings.items():
        if sending.line.failure is not None and name not in failures:
            culprit = sending.culprit
            sending.give_up()
            failures[name] = _sentence(sending, plan, culprit)


def _sentence(sending: _Sending, plan: RecallPlan, culprit: str = "") -> str:
    """Say in one sentence why a device stopped, where, and how much of it is left."""
    reason = (sending.line.failure or "stopped").rstrip(".")
    at = f" at {culprit}" if culprit and culprit not in reason else ""
    addresses = {step.address for step in plan.steps if step.device == sending.line.name}
    done = sum(
        (result := sending.results.get(step.address)) is not None and result.state in FINE and sending.reached(step)
        for step in plan.steps
        if step.final and step.device == sending.line.name
    )
    return f"{sending.line.name} {reason}{at}; {len(addresses) - done} of its {len(addresses)} settings are left."


def _gathered(
    plan: RecallPlan, sendings: Mapping[str, _Sending], failures: Mapping[str, str]
) -> tuple[dict[str, StepResult], dict[str, Known]]:
    """Put every planned address's end together, and what moved by itself."""
    results: dict[str, StepResult] = {}
    for step in plan.steps:
        if not step.final:
            continue
        sending = sendings.get(step.device)
        result = sending.results.get(step.address) if sending else None
        why = failures.get(step.device, "the recall was stopped")
        if result is None or sending is None:
            result = StepResult("not-sent", step.from_, why)
        elif result.state in FINE and result.known is not None:
            ended = result.known
            latest = sending.line.moved.get(step.control)
            if not sending.reached(step):
                result = StepResult("not-sent", ended, f"stopped on the way: {why}")
            elif latest is not None and result.state == "read-back" and latest.value != ended.value:
                result = StepResult("mismatch", latest, f"was moved by hand to {value_text(latest.value)} meanwhile")
        results[step.address] = result
    moved: dict[str, Known] = {}
    for name, sending in sendings.items():
        for control, known in sending.line.moved.items():
            address = f"{name}/{control}"
            if address not in results:
                moved[address] = known
    return results, moved
