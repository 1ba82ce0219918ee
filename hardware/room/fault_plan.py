"""Plans of random faults: what a recall has to survive, the same for the same seed."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hardware.errors import HardwareError
from hardware.room.faults import DURING_AUDIO, FAULT_KEYS, IN_THE_CIRCUIT, MATRIX_ONLY, MIDI_ONLY, SERIAL_ONLY, Fault

if TYPE_CHECKING:
    from hardware.room.decoder import Device, Value


class FaultyRoom(Protocol):
    """What a plan of faults needs to know of a room."""

    @property
    def transports(self) -> Mapping[str, str]:
        """How each device is reached."""
        ...

    def device(self, name: str) -> Device:
        """Return the device itself."""
        ...


def random_faults(
    seed: int,
    count: int,
    room: FaultyRoom,
    device: str,
    controls: Collection[str],
    *,
    messages: int | None = None,
    leave_out: Collection[str] = (),
) -> list[Fault]:
    """Make a plan of ``count`` faults for a recall of ``controls``, the same for the same ``seed``.

    Every kind that the device can have comes once before any comes again; ports that go come back, power that goes
    does too. Nothing hits audio.

    Parameters
    ----------
    seed, count
        What decides everything random; how many faults.
    room
        The room they will be thrown in.
    device, controls
        The device, and its controls that will be recalled (``ch01/fader`` or ``desk48/ch01/fader``).
    messages
        How many messages the recall sends: the faults strike within them. Four a control when None.
    leave_out
        Kinds that are not wanted.

    Raises
    ------
    HardwareError
        The room has no such device, or no kind is left.
    """
    draw = random.Random(seed)
    span = messages if messages is not None else 4 * len(controls)
    names = sorted(name.removeprefix(f"{device}/") for name in controls)
    subject = room.device(device)
    other_wire = SERIAL_ONLY if room.transports[device] == "midi" else MIDI_ONLY
    unfit = {*IN_THE_CIRCUIT, *DURING_AUDIO, *MATRIX_ONLY, *other_wire, "vanish", *leave_out}
    if not hasattr(subject, "refusing"):
        unfit.add("nak")
    if not any(_can_hold(subject, name) for name in names):
        unfit.add("held")
    kinds = [kind for kind in FAULT_KEYS if kind not in unfit]
    if not kinds or not names:
        raise HardwareError(f"there is no fault to throw at {device}")
    plan: list[Fault] = []
    deck: list[str] = []
    while len(plan) < count:
        if not deck:
            deck = draw.sample(kinds, len(kinds))
        plan.append(_random_fault(draw, deck.pop(), subject, device, names, span))
    return sorted(plan, key=lambda fault: fault.after_messages)


def _random_fault(
    draw: random.Random, kind: str, subject: Device, device: str, names: Sequence[str], span: int
) -> Fault:
    made: dict[str, Any] = {"kind": kind}
    needed, may = FAULT_KEYS[kind]
    name = draw.choice(names if kind != "held" else [name for name in names if _can_hold(subject, name)])
    by_control = "control" in needed or kind == "liar"
    made |= {"control": f"{device}/{name}"} if by_control else {"device": device}
    if "after_messages" in may:
        made["after_messages"] = draw.randrange(max(1, span))
    if "to" in may:
        made |= {"to": draw.choice(["device", "program"]), "at_byte": draw.randrange(12)}
    if "seconds" in (*needed, *may):
        made["seconds"] = round(draw.uniform(0.05, 1.0), 3)
    if "index" in may:
        made["index"] = draw.choice([0, 2])
    if kind == "power_cycle":
        made["port"] = draw.choice([False, True])
    if kind == "moved":
        made |= {"value": _elsewhere(draw, subject, name), "quiet": draw.choice([False, True])}
    if kind == "real_time":
        made["byte"] = draw.choice([0xF8, 0xFE])
    if kind == "pieces":
        made["size"] = draw.randint(1, 4)
    return Fault(**made)


def _elsewhere(draw: random.Random, subject: Device, name: str) -> Value:
    """Find a place where a hand can move a control, other than where it stands."""
    now = subject.knobs()[name]
    if isinstance(now, bool):
        return not now
    for value in draw.sample([-45.0, -12.0, -7.0, -3.0, 2.0, 3.0, 4.0, 6.0, 30.0, 60.0], 10):
        trial = copy.deepcopy(subject)
        try:
            trial.turn(name, value)
        except HardwareError:
            continue
        if trial.knobs()[name] != now:
            return value
    return "off" if now != -math.inf else 0.0


def _can_hold(subject: Device, name: str) -> bool:
    section = name.rpartition("/")[0]
    if not name.endswith("/fader"):
        return False
    try:
        copy.deepcopy(subject).turn(f"{section}/touch", True)
    except HardwareError:
        return False
    return True
