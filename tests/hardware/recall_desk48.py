"""The 600-control desk of the virtual room: targets for it, recalls of it, and whether what is believed is so."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hardware.errors import HardwareError
from hardware.known import Known, RigState
from hardware.recall import RecallOutcome, RecallPlan, plan_recall, run_recall, take_readback
from hardware.rig import Device, load_rig
from hardware.room.faults import Fault
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import Gear, RoomModel
from hardware.seams import BytePort
from profiles.library import load_profile
from profiles.profile import Value

PROFILE = load_profile("room-desk-48")
PROFILES = {"desk48": PROFILE}
RIG = replace(load_rig("demo"), device_list=(Device("desk48", "room-desk-48", "room:desk48"),))
SURE = ("read-back", "acknowledged")


def mix(seed: int, *, channels: int = 48) -> dict[str, Value]:
    """A position for each control of the first channels, the groups and the master, on the desk's own steps."""
    rng = random.Random(seed)
    target: dict[str, Value] = {}
    for control in PROFILE.controls.values():
        if control.strip is not None and control.strip > channels:
            continue
        switch = control.unit == "bool"
        value = rng.random() < 0.5 if switch else control.achieved(rng.uniform(control.low, control.high))
        target[f"desk48/{control.name}"] = value
    return target | {"desk48/master/fader": 0.0, "desk48/master/mute": False}


class Studio48:
    """The room, the desk's port, and what is known: recalls it, opens its port anew, and tells lies from truth."""

    def __init__(self, *faults: Fault) -> None:
        self.room = InProcessRoom(RoomModel.ideal(gear=(Gear("desk48", "room-desk-48"),), faults=faults))
        self.port = self.room.open_port("desk48")
        self.is_open = True
        self.state = RigState()
        self.resent: set[str] = set()

    def reopen(self, device: str = "desk48") -> BytePort | None:
        self.port.close()
        try:
            self.port = self.room.open_port(self.room.room.port_name(device))
        except HardwareError:
            self.is_open = False
            return None
        self.is_open = True
        return self.port

    def plan(self, target: Mapping[str, Value]) -> RecallPlan:
        return plan_recall(RIG, PROFILES, self.state, target)

    def recall(self, target: Mapping[str, Value]) -> RecallOutcome:
        outcome = run_recall(
            self.plan(target),
            PROFILES,
            {"desk48": self.port},
            self.room.clock,
            state=dict(self.state),
            reopen=self.reopen,
        )
        outcome.apply_to(self.state)
        return outcome

    def resume(self, target: Mapping[str, Value]) -> RecallOutcome:
        """Read what nobody can vouch for, then send what is left; ``resent`` is what stood right already."""
        self.room.room.heal()
        self.room.clock.sleep(3.0)
        if not self.is_open:
            assert self.reopen() is not None
        unknown = [a for a in target if a not in self.state or self.state[a].how == "assumed"]
        read = take_readback(PROFILES, {"desk48": self.port}, self.room.clock, addresses=unknown)
        self.state.update(read.values)
        right = {a for a, value in target.items() if self.known_at(a) == value and stands(self.knobs[a], value)}
        planned = {step.address for step in self.plan(target).steps if step.final}
        # A master fader that is taken down while routing changes comes up again: that is the plan, not a repetition.
        self.resent = planned & right - {"desk48/master/fader"}
        return self.recall(target)

    def known_at(self, address: str) -> Value | None:
        known = self.state.get(address)
        return known.value if known is not None and known.how in SURE else None

    @property
    def knobs(self) -> Mapping[str, Value]:
        return self.room.room.knobs()

    def lies(self) -> list[tuple[str, Known, Value]]:
        """What is called read back or acknowledged and stands elsewhere."""
        knobs = self.knobs
        return [
            (address, known, knobs[address])
            for address, known in self.state.items()
            if known.how in SURE and not stands(knobs[address], known.value)
        ]

    def elsewhere(self, target: Mapping[str, Value]) -> list[str]:
        knobs = self.knobs
        return [address for address, value in target.items() if not stands(knobs[address], value)]


def stands(knob: Value, wanted: Value) -> bool:
    if isinstance(knob, float) and isinstance(wanted, float):
        return knob == wanted or abs(knob - wanted) < 1e-6
    return knob == wanted


def lengths(messages: Iterable[bytes]) -> int:
    return sum(map(len, messages))
