"""A served room full of gear, a rig that stands in it, and targets for recalls: for tests on real ports."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_parts import Served

from controller import recall
from controller.events import silent
from controller.recall import PlannedRecall, RunOrigin, plan_resume, plan_target, send_plan
from controller.studio import Studio
from hardware.recall import RecallOutcome
from profiles.profile import Profile, Value

MIDI_GEAR = {"big": "room-desk-48", "digital": "yamaha-01v96", "hui": "hui", "pre": "octamic-xtc"}
SERIAL_GEAR = {"kramer": "kramer-vp-8x8ak", "tape": "sony-9-pin", "board": "attenuator-board"}
PROFILE_OF = {"hui": "hui-host", "octamic-xtc": "rme-octamic-xtc", "matrix": "extron-sis-matrix"}
SURE = ("read-back", "acknowledged")
CLIENT = "HalfnormalRoom"


def model_text(gear: Mapping[str, str]) -> str:
    """A room of ideal sound with this gear (name to kind)."""
    entries = (f'[[gear]]\nname = "{name}"\nkind = "{kind}"\n' for name, kind in gear.items())
    return "schema = 1\n" + "".join(entries)


def rig_text(name: str, gear: Mapping[str, str]) -> str:
    """A rig of that gear on the ports of the served room; ``matrix`` is the room's own."""
    devices = []
    for device, kind in gear.items():
        port = f"midi:{CLIENT} {device}" if device in MIDI_GEAR else f"serial:@{device}"
        devices.append(f'[[device]]\nname = "{device}"\nprofile = "{PROFILE_OF.get(kind, kind)}"\nport = "{port}"\n')
    return f'schema = 1\nname = "{name}"\n[audio]\nport = "{CLIENT}"\n' + "".join(devices)


class GearRoom:
    """The served room and a studio that works in it."""

    def __init__(self, served: Served, studio: Studio, folder: Path) -> None:
        self.served = served
        self.studio = studio
        self.origin = RunOrigin(folder / "song", "mix-1", "analog")

    @property
    def knobs(self) -> dict[str, Value]:
        """Where everything really stands."""
        knobs: dict[str, Value] = self.served.ask("knobs")["knobs"]
        return {address: -math.inf if value == "off" else value for address, value in knobs.items()}

    def throw(self, *words: str) -> None:
        """Throw one fault, as it is typed at a served room."""
        answer = self.served.ask(f"fault {' '.join(words)}")
        assert answer["ok"], answer

    def heal(self) -> None:
        assert self.served.ask("heal")["ok"]

    def recall(self, target: Mapping[str, Value]) -> RecallOutcome:
        """Plan and send as ``halfnormal recall send`` does, with a journal."""
        return self._send(plan_target(self.studio, target))

    def resume(self) -> tuple[PlannedRecall, RecallOutcome]:
        """Go on as ``halfnormal recall resume`` does."""
        left = recall.last_run(self.studio, self.origin.project)
        assert left is not None
        assert not left.finished, "there is something to resume"
        for name in list(self.studio.unreachable):
            self.studio.reopen(name)
        planned = plan_resume(self.studio, left.target, emit=silent)
        return planned, self._send(planned)

    def _send(self, planned: PlannedRecall) -> RecallOutcome:
        return send_plan(self.studio, planned, emit=silent, origin=self.origin)

    def lies(self) -> list[tuple[str, Value, Value]]:
        """What is called read back or acknowledged, and stands elsewhere: address, believed, true."""
        knobs = self.knobs
        return [
            (address, known.value, knobs[address])
            for address, known in self.studio.state.items()
            if known.how in SURE and address in knobs and not self.stands(address, knobs[address], known.value)
        ]

    def elsewhere(self, target: Mapping[str, Value]) -> list[tuple[str, Value, Value]]:
        """Which controls of a target do not stand there: address, wanted, true."""
        knobs = self.knobs
        return [
            (address, value, knobs[address])
            for address, value in target.items()
            if address in knobs and not self.stands(address, knobs[address], value)
        ]

    def landed(self, target: Mapping[str, Value]) -> set[str]:
        """Which controls of a target are known for sure to stand there, and do."""
        elsewhere = {address for address, _, _ in self.elsewhere(target)}
        return {
            address
            for address, value in target.items()
            if (known := self.studio.state.get(address)) is not None and known.how in SURE and known.value == value
        } - elsewhere

    def stands(self, address: str, knob: Value, wanted: Value) -> bool:
        """Whether a knob stands within half the control's step of a value."""
        if isinstance(knob, bool) or isinstance(wanted, bool) or isinstance(knob, str) or isinstance(wanted, str):
            return knob == wanted
        if math.inf in (abs(knob), abs(wanted)):
            return knob == wanted
        return abs(knob - wanted) <= self.studio.control(address).step_at(wanted) / 2 + 1e-9


@contextmanager
def gear_room(folder: Path, gear: Mapping[str, str], *, rig: str = "gear") -> Iterator[GearRoom]:
    """Serve a room with this gear, and open a rig of it, with a home of its own."""
    model, rig_file = folder / "room.toml", folder / f"{rig}.toml"
    model.write_text(model_text({name: kind for name, kind in gear.items() if name != "matrix"}), encoding="utf-8")
    rig_file.write_text(rig_text(rig, gear), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFNORMAL_HOME", str(folder / "home"))
        command = ("-m", "controller", "room", "serve", "--model", str(model))
        served = Served(folder, command=command)
        try:
            served.ready = served.line()
            with Studio.open(rig_file) as studio:
                yield GearRoom(served, studio, folder)
        finally:
            served.close()


def random_target(
    profiles: Mapping[str, Profile],
    seed: int,
    *,
    only: Callable[[str], bool] = lambda address: True,
    leave_out: Collection[str] = (),
) -> dict[str, Value]:
    """A random position on its own steps for every control that can be sent and needs no consent."""
    rng = random.Random(seed)
    target: dict[str, Value] = {}
    for device, profile in profiles.items():
        for control in profile.controls.values():
            address = f"{device}/{control.name}"
            if control.by_hand or control.dangerous or address in leave_out or not only(address):
                continue
            if control.unit == "bool":
                target[address] = rng.random() < 0.5
            elif control.choices:
                target[address] = rng.choice(control.choices)
            else:
                target[address] = control.achieved(rng.uniform(control.low, control.high))
    return target
