"""Recall: a 48-channel desk with 600 controls over one DIN port, the wire's own speed, and the profile library.

``python -m benchmarks.recall --json [--quick]``. No other program does this job, so there is no peer in the rows. Times
of a recall are the virtual clock's, in which the room's wires carry every byte at their own pace; all others are the
machine's.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.rows import best_s, report, row
from hardware.known import RigState
from hardware.recall import RecallPlan, plan_recall, run_recall
from hardware.rig import Device, load_rig
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import Gear, RoomModel
from hardware.seams import Token
from hardware.wire.examples import check_examples
from hardware.wire.messages import Parser, encode
from profiles.library import load_profile, read_library
from profiles.profile import Profile, Value

DESK = load_profile("room-desk-48")
PROFILES = {"desk48": DESK}
RIG = replace(load_rig("demo"), device_list=(Device("desk48", "room-desk-48", "room:desk48"),))


class CountedPort:
    """The desk's port in the room, counting the bytes of each direction."""

    def __init__(self, room: InProcessRoom) -> None:
        self._port = room.open_port("desk48")
        self.name = self._port.name
        self.sent = 0
        self.heard = 0

    def send(self, data: bytes) -> None:
        """Pass a message on."""
        self.sent += len(data)
        self._port.send(data)

    def receive(self, timeout_s: float) -> list[Token]:
        """Pass on what arrived."""
        tokens = self._port.receive(timeout_s)
        self.heard += sum(len(token.data) for token in tokens)
        return tokens

    def close(self) -> None:
        """Release the port."""
        self._port.close()


def every_control(seed: int) -> dict[str, Value]:
    """Return a position for each of the desk's 600 controls, on its own steps."""
    rng = random.Random(seed)
    target: dict[str, Value] = {}
    for control in DESK.controls.values():
        switch = control.unit == "bool"
        value = rng.random() < 0.5 if switch else control.achieved(rng.uniform(control.low, control.high))
        target[f"desk48/{control.name}"] = value
    return target


def wire_s(plan: RecallPlan) -> float:
    """Return what the wire itself needs for a plan [s].

    Settings' bytes at 0.32 ms each, then the busier direction of the questions and their answers, which overlap, and
    the profile's pauses: settling once for each phase, pauses of faders that rise in steps.
    """
    pacing = DESK.pacing
    settings = sum(len(message) for step in plan.steps for message in step.messages)
    asked = sum(len(message) for step in plan.steps for message in step.query)
    answers = sum(step.answer_bytes for step in plan.steps if step.query)
    pauses = sum(step.pause_s for step in plan.steps)
    phases = len(
        {"mute" if step.stage == "mute" else "unmute" if step.stage == "unmute" else "" for step in plan.steps}
    )
    return (settings + max(asked, answers)) / pacing.bytes_per_s + pauses + phases * pacing.settle_s


def recall_once(target: Mapping[str, Value]) -> tuple[RecallPlan, float, CountedPort]:
    """Recall from nothing known; return the plan, the virtual time it took [s] and the counted port."""
    room = InProcessRoom(RoomModel.ideal(gear=(Gear("desk48", "room-desk-48"),)))
    port = CountedPort(room)
    state = RigState()
    plan = plan_recall(RIG, PROFILES, state, target)
    outcome = run_recall(plan, PROFILES, {"desk48": port}, room.clock, state=dict(state))
    if not outcome.ok:
        raise SystemExit(f"the recall failed: {outcome.failed_devices}")
    return plan, outcome.seconds, port


def changes_per_s(profile: Profile, controls: list[str], count: int) -> float:
    """Return how many settings a second become bytes and are read back from them."""
    parser = Parser(profile)
    rng = random.Random(1)
    asked = [(name, rng.uniform(profile.controls[name].low, profile.controls[name].high)) for name in controls * count]

    def work() -> None:
        for name, value in asked:
            for message in encode(profile, name, value).messages:
                parser.feed(message)

    return len(asked) / best_s(work, 3)


def list_cpu_s() -> float:
    """Return the CPU time of ``halfnormal profile list``, the least of five [s]."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "controller", "profile", "list"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def check_library() -> None:
    """Load every profile and check it."""
    for profile in read_library().profiles:
        check_examples(profile)


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Run every measurement and return the rows."""
    target = every_control(1)
    plan, seconds, port = recall_once(target)
    bound = wire_s(plan)
    planned = best_s(lambda: plan_recall(RIG, PROFILES, RigState(), target), 3 if quick else 10)

    room = InProcessRoom(RoomModel.ideal(gear=(Gear("desk48", "room-desk-48"),)))
    idle_port = CountedPort(room)
    state = RigState()
    run_recall(plan, PROFILES, {"desk48": idle_port}, room.clock, state=dict(state)).apply_to(state)
    before = idle_port.sent

    def nothing_to_do() -> None:
        again = plan_recall(RIG, PROFILES, state, target)
        run_recall(again, PROFILES, {"desk48": idle_port}, room.clock, state=dict(state))

    idle = best_s(nothing_to_do, 3)
    sent_for_nothing = idle_port.sent - before

    count = 50 if quick else 200
    nrpn = changes_per_s(DESK, [f"ch{strip:02d}/fader" for strip in range(1, 49)], count)
    cc = changes_per_s(load_profile("oto-boum"), ["comp", "drive", "mix", "level"], count * 12)
    sysex = changes_per_s(load_profile("yamaha-01v96"), [f"ch{strip:02d}/fader" for strip in range(1, 33)], count)
    library = best_s(check_library, 1 if quick else 3)
    listed = list_cpu_s()
    return [
        row(
            "recall of 600 controls over one DIN port, beside the wire's own time",
            seconds / bound,
            "x",
            goal=1.05,
            holds=seconds <= 1.05 * bound,
            note=f"{seconds:.2f} s for {bound:.2f} s of wire; {port.sent} bytes sent, {port.heard} heard",
        ),
        row(
            "the estimate of that recall, beside the time it took",
            plan.seconds_estimated / seconds,
            "x",
            goal=1.1,
            holds=0.9 <= plan.seconds_estimated / seconds <= 1.1,
        ),
        row("planning it", 1000 * planned, "ms", goal=50, holds=planned < 0.05),
        row(
            "a recall where nothing differs",
            1000 * idle,
            "ms",
            goal=100,
            holds=idle < 0.1 and not sent_for_nothing,
            note=f"{sent_for_nothing} bytes sent",
        ),
        row(
            "NRPN faders encoded and decoded",
            nrpn,
            "changes/s",
            goal=50_000,
            holds=nrpn >= 50_000,
            note="12 bytes each",
        ),
        row(
            "control changes encoded and decoded", cc, "changes/s", goal=50_000, holds=cc >= 50_000, note="3 bytes each"
        ),
        row(
            "SysEx faders encoded and decoded", sysex, "changes/s", goal=50_000, holds=sysex >= 50_000, note="14 bytes"
        ),
        row("loading and checking the whole library", library, "s", goal=1.0, holds=library < 1.0),
        row("halfnormal profile list", listed, "s CPU", goal=0.3, holds=listed < 0.3),
    ]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Speed of recall, wire and profile library")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="end within 60 s")
    options = parser.parse_args()
    return report("recall", measure(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
