"""From what is known of a rig to where it shall be: only what differs, in an order that spares gear and ears.

The order of each device: mutes close first, then routing, gains downward, everything without a level (pans,
frequencies, times, switches), gains upward, and last what opens again. Where a recall switches routing, or where it
does not know the level a gain comes from, it first takes down the master faders whose final position it knows, and
brings them up at the very end. Where nothing is dimmed, no gain rises by more than a few dB in one message.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from hardware.errors import RigError
from hardware.known import Known
from hardware.recall_estimate import estimate_seconds
from hardware.recall_order import Draft, Move, answer_bytes_of, draft_move, draft_rise, is_risky, ordered
from hardware.recall_steps import Canary, HandStep, RecallLimits, RecallPlan, Step
from hardware.rig import Rig, split_address
from hardware.rig_file import nearest
from hardware.wire.messages import encode, query
from profiles.errors import ProfileError
from profiles.profile import Control, Profile, Value

HAND_TRAVEL = 0.005
"""What a hand cannot set any finer, as a part of a pot's travel: 1.5° of 300°."""

DEFAULT_LIMITS = RecallLimits()


def same_value(control: Control, left: Value, right: Value) -> bool:
    """Tell whether two values are the same setting: one step of the control, or too close for a hand to tell apart."""
    if left == right:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    try:
        if control.by_hand and control.step_at(right) == 0.0 and isinstance(left, float) and isinstance(right, float):
            return abs(control.travel(left) - control.travel(right)) < HAND_TRAVEL
        return control.to_raw(left) == control.to_raw(right)
    except ProfileError:
        return False  # a measured value can lie outside what the control can be told


def plan_recall(
    rig: Rig,
    profiles: Mapping[str, Profile],
    state: Mapping[str, Known],
    target: Mapping[str, Value],
    *,
    limits: RecallLimits = DEFAULT_LIMITS,
    consent: Collection[str] = (),
) -> RecallPlan:
    """Plan how to bring a rig from what is known of it to a target.

    Parameters
    ----------
    rig, profiles
        The room, and the profile of each of its devices by device name.
    state
        What is known, by address. A missing or ``assumed`` value counts as different.
    target
        Wanted values by address, in each control's unit.
    limits
        How fast gains may rise.
    consent
        Addresses of dangerous controls that may be sent this time.

    Raises
    ------
    RigError
        The target names a device or control that is not there.
    ValueRangeError
        A wanted value lies outside what its control can be told.
    """
    goals = _goals(rig, profiles, state, target)
    sent, by_hand, withheld, unchanged = _differences(rig, goals, consent)
    masters = [
        goal for goal in goals if goal.control.role == "master_fader" and not _for_hands(rig, goal.device, goal.control)
    ]
    notes: list[str] = []
    dims: list[Move] = []
    if is_risky(sent):
        dims = [move for move in masters if move.to != -math.inf]
        if not dims and not masters:
            notes.append("No master fader is part of this recall: gains whose position is unknown start low and rise.")
    dimmed = {move.address for move in dims}
    quiet = bool(dims) or bool(masters and all(move.start_db == -math.inf for move in masters))
    silent = _silent_strips(profiles, state, target, sent)

    draft = Draft()
    for move in dims:
        if move.start_db != -math.inf:
            draft.add(move, -math.inf, "mute", final=False, reason="down while the room changes")
    for move in sent:
        if move.address in dimmed:
            continue
        hushed = (quiet and move.control.role != "master_fader") or (move.device, move.control.strip) in silent
        draft_move(draft, move, limits, hushed=hushed)
    for move in dims:
        draft_rise(draft, move, -math.inf, limits, stage="unmute", first_lap=1, reason="back up, the room has settled")
    steps = ordered(draft, profiles, limits)
    canaries = _canaries(steps, profiles, state)
    wires = {name: device.port for name, device in rig.devices.items() if device.port}
    return RecallPlan(
        steps=steps,
        by_hand=in_walking_order(by_hand),
        unchanged=unchanged,
        seconds_estimated=estimate_seconds(steps, profiles, wires=wires, canaries=canaries),
        bytes_total=_bytes_total(steps),
        withheld=tuple(withheld),
        notes=tuple(notes),
        canaries=canaries,
    )


def _bytes_total(steps: Sequence[Step]) -> int:
    """Count the bytes sent; a question that tells of several controls is asked once."""
    asked = dict.fromkeys((step.device, step.query) for step in steps if step.query)
    settings = sum(len(data) for step in steps for data in step.messages)
    return settings + sum(len(data) for _, messages in asked for data in messages)


def in_walking_order(by_hand: Iterable[HandStep]) -> tuple[HandStep, ...]:
    """Order hand steps so that hands cross the room once.

    Devices stay in the order they come in, strips rise, what belongs to no strip is last, and within a strip the
    order stays.
    """
    devices: dict[str, int] = {}
    keyed: list[tuple[int, bool, int, int, HandStep]] = []
    for index, step in enumerate(by_hand):
        device = devices.setdefault(split_address(step.address)[0], len(devices))
        keyed.append((device, step.control.strip is None, step.control.strip or 0, index, step))
    return tuple(step for *_, step in sorted(keyed, key=lambda entry: entry[:4]))


def _for_hands(rig: Rig, device: str, control: Control) -> bool:
    return control.by_hand or rig.devices[device].transport == "hand"


def _goals(
    rig: Rig, profiles: Mapping[str, Profile], state: Mapping[str, Known], target: Mapping[str, Value]
) -> list[Move]:
    """Take the target as moves to what each control can really reach, in the rig's and the profiles' own order."""
    goals: list[Move] = []
    for address, order in _addresses(rig, profiles, target).items():
        device, name = split_address(address)
        control = profiles[device].controls[name]
        try:
            wanted = control.achieved(target[address])
        except ProfileError as error:
            raise type(error)(f"{address}: {error}", hint=error.hint) from error
        goals.append(Move(address, device, control, profiles[device], state.get(address), wanted, order))
    return goals


def _differences(
    rig: Rig, goals: Iterable[Move], consent: Collection[str]
) -> tuple[list[Move], list[HandStep], list[str], int]:
    sent: list[Move] = []
    by_hand: list[HandStep] = []
    withheld: list[str] = []
    unchanged = 0
    for move in goals:
        known, control = move.from_, move.control
        if known is not None and known.how != "assumed" and same_value(control, known.value, move.to):
            unchanged += 1
        elif control.dangerous and move.address not in consent:
            withheld.append(move.address)
        elif _for_hands(rig, move.device, control):
            by_hand.append(HandStep(move.address, known, move.to, control))
        else:
            sent.append(move)
    return sent, by_hand, withheld, unchanged


def _addresses(rig: Rig, profiles: Mapping[str, Profile], target: Mapping[str, Value]) -> dict[str, int]:
    """Put the target's addresses in the rig's and the profiles' own order."""
    devices: set[str] = set()
    known_devices = set(rig.devices) & set(profiles)
    for address in target:
        device, name = split_address(address)
        devices.add(device)
        if device not in known_devices:
            raise RigError(
                f"{address} is on {device!r}, which is no device of the rig {rig.name}.",
                hint=nearest(device, list(rig.devices)),
            )
        if name not in profiles[device].controls:
            raise RigError(
                f"{device} ({profiles[device].id}) has no control {name!r}.",
                hint=nearest(name, list(profiles[device].controls)),
            )
    places = {device: place for place, device in enumerate(rig.devices)}
    names = {device: {name: place for place, name in enumerate(profiles[device].controls)} for device in devices}
    ordered = sorted(target, key=lambda address: _place(address, places, names))
    return {address: order for order, address in enumerate(ordered)}


def _place(address: str, places: Mapping[str, int], names: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    device, name = split_address(address)
    return places[device], names[device][name]


def _silent_strips(
    profiles: Mapping[str, Profile],
    state: Mapping[str, Known],
    target: Mapping[str, Value],
    moving: Iterable[Move],
) -> set[tuple[str, int | None]]:
    """Find strips that stay muted until the last stage: muted by this recall, or known to be."""
    strips = {(move.device, move.control.strip) for move in moving if move.control.strip is not None}
    addresses = {move.address for move in moving}
    silent: set[tuple[str, int | None]] = set()
    for device, strip in strips:
        control = profiles[device].control_for("mute", strip)
        if control is None:
            continue
        address = f"{device}/{control.name}"
        known = state.get(address)
        is_muted = known is not None and known.how != "assumed" and known.value is True
        if is_muted or (address in addresses and target[address] is True):
            silent.add((device, strip))
    return silent


def _canaries(steps: Sequence[Step], profiles: Mapping[str, Profile], state: Mapping[str, Known]) -> dict[str, Canary]:
    """Choose for each device what is read once more at the end.

    Best is a control that the recall leaves alone: it tells of any moment since it was known. Otherwise the first of
    those that are sent, unless it is the last to be read anyway.
    """
    canaries: dict[str, Canary] = {}
    asked: dict[str, list[Step]] = {}
    touched = {step.address for step in steps}
    for step in steps:
        if step.query:
            asked.setdefault(step.device, []).append(step)
    for device, questions in asked.items():
        profile = profiles[device]
        for step in questions[:-1]:
            if _tells(profile.controls[step.control], step.raw):
                canaries[device] = Canary(device, step.control, step.raw, step.query, step.answer_bytes)
                break
    for address, known in state.items():
        device, name = split_address(address)
        if device not in asked or address in touched or known.how not in ("read-back", "acknowledged"):
            continue
        control = profiles[device].controls.get(name)
        if control is None or not control.readable or control.by_hand:
            continue
        try:
            raw = control.to_raw(known.value)
        except ProfileError:
            continue  # it was known under another option or version of the profile
        if _tells(control, raw):
            encoded = encode(profiles[device], name, known.value)
            length = answer_bytes_of(profiles[device], control, encoded.raw, encoded.messages)
            canaries[device] = Canary(device, name, raw, query(profiles[device], name), length)
            del asked[device]
            if not asked:
                break
    return canaries


def _tells(control: Control, raw: int) -> bool:
    """Whether a device just switched on would have it elsewhere."""
    try:
        return raw != control.to_raw(control.default)
    except ProfileError:
        return True
