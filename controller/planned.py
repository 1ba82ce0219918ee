"""A planned recall: the way from what is known of the rig to a target, before anything moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from controller.allocation import Allocation
from controller.errors import UsageError
from controller.events import Finding
from controller.hand_scale import hand_value
from controller.hands import tick
from controller.studio import Studio
from hardware.known import Known
from hardware.recall import HandStep, RecallPlan, plan_recall
from hardware.rig import split_address
from hardware.rig_file import nearest
from profiles.profile import Value


@dataclass(frozen=True)
class PlannedRecall:
    """The way from what is known of the rig to ``target``: what is sent, what hands do, what it takes.

    ``left_out`` is what was wanted and is no part of it, with the reason; ``remarks`` is what else to know of it.
    """

    target: Mapping[str, Value]
    plan: RecallPlan
    left_out: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()

    @classmethod
    def nothing(cls, target: Mapping[str, Value]) -> PlannedRecall:
        """Return the way of a rig that stands where it shall: nothing is sent, nothing is set by hand."""
        return cls(target, RecallPlan((), (), len(target), 0.0, 0))

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
        tick(studio, self.plan.by_hand)


def hand_lines(by_hand: Sequence[HandStep]) -> list[str]:
    """Write by-hand controls in few lines: strips that want the same of the same knob share one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for step in by_hand:
        device, _, name = step.address.partition("/")
        section, slash, knob = name.partition("/")
        if step.control.strip is None or not slash:
            section, knob = "", name
        groups.setdefault((device, knob, hand_value(step.control, step.to)), []).append(section)
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


def plan_target(
    studio: Studio, target: Mapping[str, Value], *, believe: bool = True, consent: Collection[str] = ()
) -> PlannedRecall:
    """Plan the way to ``target`` (address → value) from what is known of the rig; sends nothing.

    Without ``believe`` all that can be sent is sent: a desk may have been switched off, or moved, since it was known.
    ``consent`` names dangerous controls that may be sent this time.

    Raises
    ------
    UsageError
        ``consent`` names a control that the rig does not have, or that is not dangerous.
    RigError, ProfileError
        The rig has no such device or control, or it cannot be told such a value.
    """
    _check_consent(studio, consent)
    state: Mapping[str, Known] = studio.state
    if not believe:
        state = {address: known for address, known in state.items() if _by_hand(studio, address, target)}
    return PlannedRecall(dict(target), plan_recall(studio.rig, studio.profiles, state, target, consent=consent))


def _by_hand(studio: Studio, address: str, target: Mapping[str, Value]) -> bool:
    return address in target and studio.control(address).by_hand


def _check_consent(studio: Studio, consent: Collection[str]) -> None:
    for address in consent:
        device, name = split_address(address)
        control = studio.profiles[device].controls.get(name) if device in studio.profiles else None
        if control is None or not control.dangerous:
            dangerous = [
                f"{other}/{found.name}"
                for other, profile in studio.profiles.items()
                for found in profile.controls.values()
                if found.dangerous
            ]
            why = "is not in this rig" if control is None else "needs no consent: it is not dangerous"
            hint = nearest(address, dangerous) if dangerous else "This rig has no dangerous control."
            raise UsageError(f"{address} {why}.", hint=hint)


def plan_mix(studio: Studio, allocation: Allocation, *, consent: Collection[str] = ()) -> PlannedRecall:
    """Plan the recall of what ``allocation`` puts on the hardware; see :func:`plan_target`."""
    return plan_target(studio, allocation.target, consent=consent)
