"""One device's part of a recall: its phases in order, and an end at which nothing is believed that does not stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hardware.device_line import DeviceLine
from hardware.errors import BadReplyError, DisconnectedError, HardwareError, RefusedError, ReplyTimeoutError
from hardware.known import Known
from hardware.recall_plan import same_value
from hardware.recall_sending import FINE, LiveState, Sending, StepResult, Written
from hardware.recall_steps import PHASE_OF, PHASES, Canary, Step
from hardware.recall_truth import Inquiry, sweep
from hardware.seams import BytePort
from hardware.talks import Gate, Talk
from hardware.wire.messages import Change
from hardware.wording import value_text


class DeviceRecall:
    """Carries out one device's steps and leaves behind what is known of each of its controls.

    ``failure`` says why it stopped, ``timed_out`` whether that was silence; ``ended`` that its talk came to its end.
    """

    def __init__(
        self,
        line: DeviceLine,
        steps: Sequence[Step],
        *,
        gate: Gate,
        on_state: Callable[[Step, LiveState, StepResult], None],
        now: Callable[[], str],
        canary: Canary | None = None,
        state: Mapping[str, Known] | None = None,
        reopen: Callable[[], BytePort | None] = lambda: None,
    ) -> None:
        self.line = line
        self.steps = steps
        self.sending = Sending(line, steps, on_state=on_state, now=now)
        self.failure: str | None = None
        self.timed_out = False
        self.ended = False
        self._gate = gate
        self._on_state = on_state
        self._canary = canary
        self._state = state or {}
        self._reopen = reopen
        self._lost_settings = False
        self._port_lost = False

    def talk(self) -> Talk:
        """Do the device's whole part; what goes wrong stops it and is found out about, and nothing is raised."""
        try:
            yield from self._carry_out()
        except HardwareError as error:
            self._stop(error)
        self._gate.leave(self.line.name)
        yield from self._find_truth()
        self.ended = True

    def _stop(self, error: HardwareError) -> None:
        lost = isinstance(error, DisconnectedError)
        self.failure = f"lost its port ({error})" if lost else str(error)
        self.timed_out = isinstance(error, ReplyTimeoutError)
        self._port_lost = lost
        self._lost_settings = self._lost_settings or lost or self.line.restarted
        self.line.doubt(self.failure)

    def _carry_out(self) -> Talk:
        line = self.line
        line.clear_old_input()
        if line.failure is not None:
            raise DisconnectedError(line.failure.removeprefix("lost its port (").removesuffix(")"))
        try:
            yield from line.begin()
        except (BadReplyError, RefusedError, ReplyTimeoutError) as error:
            first = self.steps[0].address
            raise type(error)(f"{error} when its session was opened, before {first}") from error
        for phase in PHASES:
            steps = [step for step in self.steps if PHASE_OF[step.stage] == phase]
            if not steps:
                continue
            if not self._gate.is_open(phase):
                yield from line.wait(math.inf, ready=lambda name=phase: self._gate.is_open(name))  # type: ignore[misc]
            yield from self.sending.send_all(steps)
            yield from self.sending.confirm(steps)
            self._gate.leave(line.name, phase)

    def _find_truth(self) -> Talk:
        """End with nothing believed that does not stand: look once more at one control, or at all where in doubt."""
        line = self.line
        try:
            if self.failure is None:
                line.listen(0.0)
                self.sending.check()
                yield from self._look_at_canary()
                self.sending.check()
        except HardwareError as error:
            self._stop(error)
        if not line.doubts:
            self._settle()
            return
        inquiry = self._inquiry()
        try:
            if self._port_is_open():
                yield from sweep(line, inquiry)
        except HardwareError as error:
            inquiry.error = error
        if inquiry.error is not None and self.failure is None:
            self._stop(inquiry.error)
        self._lost_settings = self._lost_settings or isinstance(inquiry.error, DisconnectedError) or line.restarted
        self._judge(inquiry)
        bad = next((step for step in self.sending.planned.values() if not self._is_fine(step)), None)
        if bad is not None and self.failure is None:
            line.culprit = bad.control
            self.failure = f"stopped: {bad.address} {self.sending.results[bad.address].message}"

    def _port_is_open(self) -> bool:
        """Whether the device can be asked; a port that vanished may have come back."""
        if self._port_lost:
            port = self._reopen()
            if port is None:
                return False
            self.line.attach(port)
        return True

    def _is_fine(self, step: Step) -> bool:
        result = self.sending.results.get(step.address)
        return result is None or result.state in FINE

    def _look_at_canary(self) -> Talk:
        canary, line = self._canary, self.line
        if canary is None or line.doubts:
            return
        found = yield from line.ask_for((canary.control,), canary.query, tries=line.profile.ack.retries + 1)
        if found is None:
            raise self.sending.refused(line.refusals.pop())
        change = found[canary.control]
        if change.raw == canary.raw:
            return
        line.doubt(f"{canary.control} no longer stands where it did")
        default = line.profile.controls[canary.control].default
        if same_value(line.profile.controls[canary.control], change.value, default):
            self._lost_settings = True

    def _inquiry(self) -> Inquiry:
        """Gather the controls of this device of which anything is believed."""
        line = self.line
        known = {
            name: step.from_
            for name, step in self.sending.planned.items()
            if step.from_ is not None and step.from_.how not in ("assumed", "by-hand")
        }
        known |= {
            name: entry
            for address, entry in self._state.items()
            for device, _, name in [address.partition("/")]
            if device == line.name and name in line.profile.controls and entry.how not in ("assumed", "by-hand")
        }
        names = [
            *self.sending.planned,
            *known,
            *line.moved,
            *(address.partition("/")[2] for address in self.sending.learnt),
        ]
        return Inquiry(dict.fromkeys(names), known)

    def _judge(self, inquiry: Inquiry) -> None:
        """Put what the sweep found in the place of what was believed."""
        line = self.line
        for control in inquiry.controls:
            step = self.sending.planned.get(control)
            address = f"{line.name}/{control}"
            change = inquiry.found.get(control)
            if change is not None:
                found = Known(change.value, "read-back", self.sending.now())
                if step is None or not self._judge_step(step, change, found):
                    self.sending.learnt[address] = found
            elif line.profile.controls[control].readable and not line.profile.controls[control].by_hand:
                self._demote(control, inquiry, "could not be read again")
            elif self._lost_settings:
                self._demote(control, inquiry, "its device lost what it had been told")
            elif (result := self.sending.results.get(address)) is not None and result.state == "acknowledged":
                self._demote(control, inquiry, "cannot be read, and its device made mistakes")
        self._settle()

    def _judge_step(self, step: Step, change: Change, found: Known) -> bool:
        """Say how a planned control ended by where it stands; False when it was never sent."""
        result = self.sending.results.get(step.address)
        written = self.sending.written.get(step.control)
        if result is not None and result.state == "refused":
            self.sending.put(step, "refused", replace(result, known=found))
        elif written is None or written.final is None:
            return False
        elif self.sending.agrees(step, change):
            self.sending.put(step, "read-back", StepResult("read-back", found))
        else:
            hand = step.control in self.line.moved or step.control in self.line.touches
            message = (
                f"was moved by hand to {value_text(change.value)} meanwhile"
                if hand
                else f"stands at {value_text(change.value)} after {value_text(step.to)} was sent"
            )
            self.sending.put(step, "mismatch", StepResult("mismatch", found, message))
        return True

    def _demote(self, control: str, inquiry: Inquiry, why: str) -> None:
        """Call a value assumed that nobody can vouch for any more."""
        step, address = self.sending.planned.get(control), f"{self.line.name}/{control}"
        result = self.sending.results.get(address)
        if step is not None and (result is not None or control in self.sending.written):
            if result is not None and result.state == "refused":
                return
            believed = result.known if result is not None and result.known is not None else step.from_
            value = believed.value if believed is not None else step.to
            message = f"{self.line.name} {self.failure}" if self.failure else why
            self.sending.put(
                step, "unknown", StepResult("unknown", Known(value, "assumed", self.sending.now()), message)
            )
            return
        before = inquiry.known.get(control) or self.line.moved.get(control) or self.sending.learnt.get(address)
        if before is not None:
            self.sending.learnt[address] = Known(before.value, "assumed", self.sending.now())

    def _settle(self) -> None:
        for step in self.sending.planned.values():
            result = self.sending.results.get(step.address)
            written = self.sending.written.get(step.control)
            if result is not None and result.state in FINE and written is not None and written.final is not None:
                self.sending.results[step.address] = settled = replace(result, settled=True)
                self._on_state(step, "settled", settled)

    def give_up(self, reason: str) -> None:
        """End a part that was cut short: what was sent and not confirmed, and all where in doubt, is assumed only."""
        if self.ended:
            return
        self.ended = True
        self.failure = self.failure or reason
        self._gate.leave(self.line.name)
        inquiry = self._inquiry()
        if self.line.doubts:
            self._judge(inquiry)
        for control, written in self.sending.written.items():
            if written.final is None and control in self.sending.planned:
                self._demote(control, inquiry, reason)  # it stopped on the way
        if self.sending.half_sent is not None and self.sending.half_sent.control in self.sending.planned:
            self.sending.written.setdefault(self.sending.half_sent.control, Written())
            self._demote(self.sending.half_sent.control, inquiry, reason)
        for control in {*self.sending.unread, *self.sending.unconfirmed}:
            result = self.sending.results.get(f"{self.line.name}/{control}")
            if result is None or result.state == "sent":
                self._demote(control, inquiry, reason)

    def arrived(self, step: Step) -> bool:
        """Whether the last step of its control went out."""
        written = self.sending.written.get(step.control)
        return written is not None and written.final is not None
