"""In which steps a recall moves things: stages, laps of rising gains, and pauses, so that gear and ears are spared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hardware.known import Known
from hardware.recall_steps import STAGES, RecallLimits, Stage, Step
from hardware.wire.messages import encode, query, reply_to
from profiles.profile import Control, Profile, Value

_ROUTING = frozenset({"route", "insert"})
_GAINS = frozenset({"fader", "master_fader", "trim", "gain", "volume", "send", "eq_gain", "threshold", "makeup"})
_FROM_SILENCE = frozenset({"fader", "master_fader", "volume", "send"})


@dataclass(frozen=True, slots=True)
class Move:
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
class Draft:
    """Steps under construction, by stage: (lap, order, step). Laps interleave the ramps of several controls."""

    stages: dict[Stage, list[tuple[int, int, Step]]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def add(
        self, move: Move, value: Value, stage: Stage, *, lap: int = 0, final: bool = True, reason: str = ""
    ) -> None:
        """Add one step of a move, in its ``lap`` of the stage."""
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
            answer_bytes=answer_bytes_of(move.profile, move.control, encoded.raw, encoded.messages),
        )
        self.stages[stage].append((lap, move.order, step))


def answer_bytes_of(profile: Profile, control: Control, raw: int, messages: Sequence[bytes]) -> int:
    """Tell how many bytes a device answers in; about as many as it is told where its profile does not say."""
    form = next((form for form in control.forms if form.reply and form.low <= raw <= form.high), None)
    if form is None or (form.reply == form.send and not profile.text):
        return sum(map(len, messages))
    return sum(map(len, reply_to(profile, control.name, raw) or messages))


def is_risky(moves: Iterable[Move]) -> bool:
    """Tell whether sound could jump: routing that switches, or a gain that comes from nobody knows where."""
    return any(
        move.control.role in _ROUTING
        or (move.control.role in _GAINS and move.start_db is None and move.to != -math.inf)
        for move in moves
    )


def draft_move(draft: Draft, move: Move, limits: RecallLimits, *, hushed: bool) -> None:
    """Add what a move takes, in its stage; ``hushed``: nothing of it is heard, so that it goes in one message."""
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
            draft_rise(draft, move, move.start_db, limits, stage="up")
        else:
            draft.add(move, move.to, "down")
    else:
        _draft_from_unknown(draft, move, limits)


def _draft_from_unknown(draft: Draft, move: Move, limits: RecallLimits) -> None:
    """Bring a gain from nobody knows where: first down to what is surely harmless, then up."""
    lowest = max(float(move.control.low), limits.quiet_db if move.control.role in _FROM_SILENCE else 0.0)
    if not isinstance(move.to, float) or move.to <= lowest or move.control.unit not in ("dB", "dBu"):
        draft.add(move, move.to, "down")
        return
    start = float(move.control.achieved(lowest))
    draft.add(move, start, "down", final=False, reason="its position is unknown: down first")
    draft_rise(draft, move, start, limits, stage="up")


def draft_rise(
    draft: Draft,
    move: Move,
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


def _rises(move: Move, start_db: float, limits: RecallLimits) -> list[float]:
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


def ordered(draft: Draft, profiles: Mapping[str, Profile], limits: RecallLimits) -> tuple[Step, ...]:
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
            now += pause + _wire_seconds(step, profiles[step.device])
            last[step.address] = clocks[step.device] = now
            steps.append(replace(step, pause_s=pause) if pause else step)
    return tuple(steps)


def _wire_seconds(step: Step, profile: Profile) -> float:
    """Tell how long a step keeps the wire, gaps included [s]."""
    gap_s = profile.controls[step.control].gap_s
    gap = profile.pacing.gap_s if gap_s is None else gap_s
    return sum(len(message) / profile.pacing.bytes_per_s + gap for message in step.messages)
