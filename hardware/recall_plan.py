"""From what is known of a rig to where it shall be: only what differs, in an order that spares gear and ears.

The order: mutes close first, then routing, gains downward, everything without a level (pans, frequencies, times,
switches), gains upward, and last what opens again. Where a recall switches routing, or where it does not know the
level a gain comes from, it first takes down the master faders whose final position it knows, and brings them up at the
very end. Where nothing is dimmed, no gain rises by more than a few dB in one message.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hardware.errors import RigError
from hardware.known import Known
from hardware.recall_steps import (
    STAGES,
    HandStep,
    RecallLimits,
    RecallPlan,
    Stage,
    Step,
    estimate_seconds,
    wire_seconds,
)
from hardware.rig import Rig, split_address
from hardware.rig_file import nearest
from hardware.wire.fields import write
from hardware.wire.messages import Encoded, encode, query
from profiles.errors import ProfileError
from profiles.profile import Control, Profile, Value

HAND_TRAVEL = 0.005
"""What a hand cannot set any finer, as a part of a pot's travel: 1.5° of 300°."""

DEFAULT_LIMITS = RecallLimits()

_ROUTING = frozenset({"route", "insert"})
_GAINS = frozenset({"fader", "master_fader", "trim", "gain", "volume", "eq_gain", "threshold", "makeup"})
_FROM_SILENCE = frozenset({"fader", "master_fader", "volume"})


@dataclass(frozen=True)
class _Move:
    """One control that has to change."""

    address: str
    device: str
    control: Control
    profile: Profile
    from_: Known | None
    to: Value
    order: int

    @property
    def start_db(self) -> float | None:
        """Where it stands now; None when nobody knows."""
        if self.from_ is None or self.from_.how == "assumed" or not isinstance(self.from_.value, float):
            return None
        return self.from_.value


@dataclass
class _Draft:
    """Steps under construction, by stage: (lap, order, step). Laps interleave the ramps of several controls."""

    stages: dict[Stage, list[tuple[int, int, Step]]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def add(
        self, move: _Move, value: Value, stage: Stage, *, lap: int = 0, final: bool = True, reason: str = ""
    ) -> None:
        encoded = encode(move.profile, move.control.name, value)
        step = Step(
            address=move.address,
            device=move.device,
            control=move.control.name,
            from_=move.from_,
            to=encoded.value,
            raw=encoded.raw,
            messages=encoded.messages,
            stage=stage,
            query=query(move.profile, move.control.name) if final and move.control.readable else (),
            final=final,
            reason=reason,
            answer_bytes=_answer_bytes(move.profile, move.control, encoded),
        )
        self.stages[stage].append((lap, move.order, step))


def _answer_bytes(profile: Profile, control: Control, encoded: Encoded) -> int:
    """Tell how many bytes a device answers in: the whole unit in MIDI, its longest line in text."""
    form = next((form for form in control.forms if form.low <= encoded.raw <= form.high and form.reply), None)
    if form is None:
        return sum(map(len, encoded.messages))
    try:
        lengths = [len(write(template, {**control.variables, "v": encoded.raw})) for template in form.reply]
    except ProfileError:  # a wildcard in the answer: its length is anybody's guess
        return sum(map(len, encoded.messages))
    return max(lengths) + 2 if profile.text else sum(lengths)


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
    sent, by_hand, withheld, unchanged = _differences(rig, profiles, state, target, consent)
    masters = _masters(rig, profiles, state, target)
    notes: list[str] = []
    dims: list[_Move] = []
    if _risky(sent):
        dims = [move for move in masters if move.to != -math.inf]
        if not dims and not masters:
            notes.append("No master fader is part of this recall: gains whose position is unknown start low and rise.")
    dimmed = {move.address for move in dims}
    quiet = bool(dims) or bool(masters and all(move.start_db == -math.inf for move in masters))
    silent = _silent_strips(profiles, state, target, {move.address for move in sent})

    draft = _Draft()
    for move in dims:
        if move.start_db != -math.inf:
            draft.add(move, -math.inf, "mute", final=False, reason="down while the room changes")
    for move in sent:
        if move.address in dimmed:
            continue
        hushed = (quiet and move.control.role != "master_fader") or (move.device, move.control.strip) in silent
        _draft_move(draft, move, limits, hushed=hushed)
    for move in dims:
        _draft_rise(draft, move, -math.inf, limits, stage="unmute", first_lap=1, reason="back up, the room has settled")
    steps = _ordered(draft, profiles, limits)
    return RecallPlan(
        steps=steps,
        by_hand=tuple(by_hand),
        unchanged=unchanged,
        seconds_estimated=estimate_seconds(steps, profiles),
        bytes_total=sum(len(data) for step in steps for data in (*step.messages, *step.query)),
        withheld=tuple(withheld),
        notes=tuple(notes),
    )


def _differences(
    rig: Rig,
    profiles: Mapping[str, Profile],
    state: Mapping[str, Known],
    target: Mapping[str, Value],
    consent: Collection[str],
) -> tuple[list[_Move], list[HandStep], list[str], int]:
    sent: list[_Move] = []
    by_hand: list[HandStep] = []
    withheld: list[str] = []
    unchanged = 0
    for address, order in _addresses(rig, profiles, target).items():
        device, name = split_address(address)
        profile = profiles[device]
        control = profile.controls[name]
        hand = control.by_hand or rig.devices[device].transport == "hand"
        try:
            wanted = control.achieved(target[address])
        except ProfileError as error:
            raise type(error)(f"{address}: {error}", hint=error.hint) from error
        known = state.get(address)
        if known is not None and known.how != "assumed" and same_value(control, known.value, wanted):
            unchanged += 1
        elif control.dangerous and address not in consent:
            withheld.append(address)
        elif hand:
            by_hand.append(HandStep(address, known, wanted, control))
        else:
            sent.append(_Move(address, device, control, profile, known, wanted, order))
    return sent, by_hand, withheld, unchanged


def _addresses(rig: Rig, profiles: Mapping[str, Profile], target: Mapping[str, Value]) -> dict[str, int]:
    """Put the target's addresses in the rig's and the profiles' own order."""
    for address in target:
        device, name = split_address(address)
        if device not in rig.devices or device not in profiles:
            raise RigError(
                f"{address} is on {device!r}, which is no device of the rig {rig.name}.",
                hint=nearest(device, list(rig.devices)),
            )
        if name not in profiles[device].controls:
            raise RigError(
                f"{device} ({profiles[device].id}) has no control {name!r}.",
                hint=nearest(name, list(profiles[device].controls)),
            )
    ordered = (f"{device}/{name}" for device in rig.devices if device in profiles for name in profiles[device].controls)
    return {address: order for order, address in enumerate(ordered) if address in target}


def _masters(
    rig: Rig, profiles: Mapping[str, Profile], state: Mapping[str, Known], target: Mapping[str, Value]
) -> list[_Move]:
    """Find the master faders that may be taken down, because the target says where they end."""
    return [
        _Move(address, device, control, profiles[device], state.get(address), control.achieved(target[address]), order)
        for address, order in _addresses(rig, profiles, target).items()
        for device, name in [split_address(address)]
        for control in [profiles[device].controls[name]]
        if control.role == "master_fader" and not control.by_hand and rig.devices[device].transport != "hand"
    ]


def _risky(moves: Iterable[_Move]) -> bool:
    """Tell whether sound could jump: routing that switches, or a gain that comes from nobody knows where."""
    return any(
        move.control.role in _ROUTING
        or (move.control.role in _GAINS and move.start_db is None and move.to != -math.inf)
        for move in moves
    )


def _silent_strips(
    profiles: Mapping[str, Profile], state: Mapping[str, Known], target: Mapping[str, Value], moving: set[str]
) -> set[tuple[str, int | None]]:
    """Find strips that stay muted until the last stage: muted by this recall, or known to be."""
    silent: set[tuple[str, int | None]] = set()
    for device, profile in profiles.items():
        for control in profile.controls.values():
            if control.role != "mute" or control.strip is None:
                continue
            address = f"{device}/{control.name}"
            known = state.get(address)
            is_muted = known is not None and known.how != "assumed" and known.value is True
            if is_muted or (address in moving and target[address] is True):
                silent.add((device, control.strip))
    return silent


def _draft_move(draft: _Draft, move: _Move, limits: RecallLimits, *, hushed: bool) -> None:
    role = move.control.role
    if role == "mute":
        draft.add(move, move.to, "mute" if move.to is True else "unmute")
    elif role in _ROUTING:
        draft.add(move, move.to, "routing")
    elif role not in _GAINS or not isinstance(move.to, float):
        draft.add(move, move.to, "other")
    elif hushed:
        start = move.start_db
        rises = move.to > start if start is not None else move.to != -math.inf
        draft.add(move, move.to, "up" if rises else "down")
    elif move.start_db is not None:
        if move.to > move.start_db:
            _draft_rise(draft, move, move.start_db, limits, stage="up")
        else:
            draft.add(move, move.to, "down")
    else:
        _draft_from_unknown(draft, move, limits)


def _draft_from_unknown(draft: _Draft, move: _Move, limits: RecallLimits) -> None:
    """Bring a gain from nobody knows where: first down to what is surely harmless, then up."""
    lowest = max(float(move.control.low), limits.quiet_db if move.control.role in _FROM_SILENCE else 0.0)
    if not isinstance(move.to, float) or move.to <= lowest or move.control.unit not in ("dB", "dBu"):
        draft.add(move, move.to, "down")
        return
    start = float(move.control.achieved(lowest))
    draft.add(move, start, "down", final=False, reason="its position is unknown: down first")
    _draft_rise(draft, move, start, limits, stage="up")


def _draft_rise(
    draft: _Draft,
    move: _Move,
    start_db: float,
    limits: RecallLimits,
    *,
    stage: Stage,
    first_lap: int = 0,
    reason: str = "",
) -> None:
    """Add the rises of one gain, none larger than the limit."""
    values = _rises(move, start_db, limits)
    why = reason or (f"rises in steps of at most {limits.max_raise_db:g} dB" if len(values) > 1 else "")
    for lap, value in enumerate(values):
        draft.add(move, value, stage, lap=first_lap + lap, final=lap == len(values) - 1, reason=why)


def _rises(move: _Move, start_db: float, limits: RecallLimits) -> list[float]:
    control = move.control
    end = float(move.to)
    if control.unit not in ("dB", "dBu"):
        return [end]
    level = start_db
    values: list[float] = []
    if level < limits.quiet_db:
        if end <= limits.quiet_db:
            return [end]
        level = float(control.achieved(limits.quiet_db))
        values.append(level)
    while end - level > limits.max_raise_db:
        following = float(control.achieved(level + limits.max_raise_db))
        if following - level > limits.max_raise_db:
            following = float(control.achieved(level + limits.max_raise_db - control.step_at(following)))
        if following <= level:
            break
        level = following
        values.append(level)
    if not values or values[-1] != end:
        values.append(end)
    return values


def _ordered(draft: _Draft, profiles: Mapping[str, Profile], limits: RecallLimits) -> tuple[Step, ...]:
    """Order each stage by lap and console order, and put pauses where one control would rise too fast."""
    steps: list[Step] = []
    for stage in STAGES:
        clocks: dict[str, float] = {}
        last: dict[str, float] = {}
        for _, _, step in sorted(draft.stages[stage], key=lambda entry: entry[:2]):
            now = clocks.get(step.device, 0.0)
            pause = 0.0
            if step.address in last:
                pause = max(0.0, last[step.address] + limits.ramp_interval_s - now)
            now += pause + wire_seconds(step.messages, profiles[step.device])
            last[step.address] = clocks[step.device] = now
            steps.append(replace(step, pause_s=pause))
    return tuple(steps)
