"""Moves during a song as timed messages of one port: what is sent when, so that the wire is never flooded.

Pure: lanes in, a schedule out. The schedule is the same for every pass, so a region recorded again hears the very
moves of the first time.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from hardware.wire.messages import Encoded, encode
from profiles.errors import ProfileError
from profiles.profile import Control, Profile, Value

SHARE = 0.8
"""How much of the wire's time moves may take; the rest stays free for questions, pings and a hand's reports."""
WINDOW_S = 0.1
"""Over any window of this length the share is kept [s]; where one setting is long, over that of ten settings."""
RESOLUTION_S = 0.001
"""How finely the moment is looked for at which a ramp reaches a control's next step [s]."""
SWITCH_DB = 120.0
"""What a switch that stands wrong counts as, beside levels in dB: it goes first."""
STEP_DB = 0.2
"""What one step of a control that is no level (a pan pot) counts as, beside levels in dB."""

_SLACK_S = 1e-9


@dataclass(frozen=True)
class Lane:
    """Where one control of a device shall stand during a song.

    ``points`` are (seconds, value), seconds never falling; before the first and after the last the value holds.
    Between two numbers the way is straight in the control's unit where ``ramp``, otherwise it holds until the next.
    ``−∞`` is a level like the others: a straight way from or to it goes by the control's lowest level.
    """

    address: str
    points: tuple[tuple[float, Value], ...]
    ramp: bool = True

    @property
    def control(self) -> str:
        """The control's name in its device."""
        return self.address.partition("/")[2]


@dataclass(frozen=True)
class TimedSetting:
    """One setting of a control: the moment its first byte goes out [s], and when its last has gone."""

    at_s: float
    landed_s: float
    address: str
    value: Value
    raw: int
    messages: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Length of all its messages [bytes]."""
        return sum(map(len, self.messages))


@dataclass(frozen=True)
class LaneFigures:
    """What became of one lane.

    ``steps`` is how often the control's own step changes along the lane, ``sent`` how many settings are sent for it.
    ``worst`` is the largest distance between the lane and what the control was last told, in its ``unit``: OFF counts
    as the lowest level, and at a jump it is the jump; None for switches. ``late_ms`` is how long after a step became
    due its setting had arrived, at worst.
    """

    address: str
    unit: str
    steps: int
    sent: int
    worst: float | None
    late_ms: float

    @property
    def thinned(self) -> bool:
        """Whether steps were passed over because the wire had no time for them."""
        return self.sent < self.steps


@dataclass(frozen=True)
class Schedule:
    """The moves of one device: ``first`` is what its controls stand at before the song, ``settings`` what follows."""

    first: tuple[TimedSetting, ...] = ()
    settings: tuple[TimedSetting, ...] = ()
    figures: tuple[LaneFigures, ...] = ()

    def standing(self, at_s: float) -> dict[str, Value]:
        """Return where every control stands at the moment ``at_s`` [s], by address."""
        until = bisect_right([setting.at_s for setting in self.settings], at_s)
        return {setting.address: setting.value for setting in (*self.first, *self.settings[:until])}


class _Staircase:
    """A lane as the control can follow it: the codes it goes through, and from when on each would be right."""

    def __init__(self, lane: Lane, control: Control) -> None:
        self.lane = lane
        self.control = control
        self.floor = control.low if control.off == -math.inf else -math.inf
        self._times = [at_s for at_s, _ in lane.points]
        self.times = [-math.inf]
        self.raws = [self._raw(lane.points[0][1])]
        for (start_s, start), (end_s, end) in itertools.pairwise(lane.points):
            if lane.ramp and _is_number(start) and _is_number(end):
                self._climb(start_s, self._raw_at(start_s, start, end_s, end, start_s), end_s, start, end)
            self._step(end_s, self._raw(end))

    def _climb(self, start_s: float, raw: int, end_s: float, start: Value, end: Value) -> None:
        """Find by halving where between two points the code changes; a straight way through a monotonic taper."""

        def between(left_s: float, left: int, right_s: float, right: int) -> None:
            if left == right:
                return
            if right_s - left_s <= RESOLUTION_S:
                self._step(right_s, right)
                return
            middle_s = (left_s + right_s) / 2
            middle = self._raw_at(start_s, start, end_s, end, middle_s)
            between(left_s, left, middle_s, middle)
            between(middle_s, middle, right_s, right)

        self._step(start_s, raw)
        between(start_s, raw, end_s, self._raw_at(start_s, start, end_s, end, end_s))

    def _raw_at(self, start_s: float, start: Value, end_s: float, end: Value, at_s: float) -> int:
        low, high = (max(float(value), self.floor) for value in (start, end))
        share = (at_s - start_s) / (end_s - start_s) if end_s > start_s else 1.0
        return self._raw(low + (high - low) * share)

    def _raw(self, value: Value) -> int:
        if _is_number(value):
            low = -math.inf if self.control.off == -math.inf else self.control.low
            value = min(max(float(value), low), self.control.high)
        return self.control.to_raw(value)

    def _step(self, at_s: float, raw: int) -> None:
        if raw != self.raws[-1]:
            self.times.append(at_s)
            self.raws.append(raw)

    def index(self, at_s: float) -> int:
        """Return which of its codes is right at that moment."""
        return bisect_right(self.times, at_s) - 1

    def lane_value(self, at_s: float, *, before: bool = False) -> Value:
        """Return the lane's own value, unquantised; ``before`` a jump at this very moment, or after it."""
        points = self.lane.points
        after = bisect_right(self._times, at_s)
        if before:
            while after > 0 and self._times[after - 1] >= at_s:
                after -= 1
        if after == 0:
            return points[0][1]
        if after == len(points) or not self.lane.ramp:
            return points[after - 1][1]
        (start_s, start), (end_s, end) = points[after - 1], points[after]
        if not (_is_number(start) and _is_number(end)) or at_s <= start_s:
            return start
        low, high = (max(float(value), self.floor) for value in (start, end))
        return low + (high - low) * (at_s - start_s) / (end_s - start_s)

    def weight(self, raw: int, wanted: int) -> float:
        """Return how wrong code ``raw`` is where ``wanted`` is right, in dB or what counts as such."""
        here, there = self.control.from_raw(raw), self.control.from_raw(wanted)
        if not (_is_number(here) and _is_number(there)):
            return SWITCH_DB
        if self.control.unit in ("dB", "dBu"):
            return abs(max(float(here), self.floor) - max(float(there), self.floor))
        return STEP_DB * abs(raw - wanted)


def _is_number(value: Value) -> bool:
    return not isinstance(value, bool | str)


def wire_s(messages: Sequence[bytes], profile: Profile) -> float:
    """Return how long messages take on the device's wire with the pauses its profile asks for [s]."""
    return sum(len(message) / profile.pacing.bytes_per_s + profile.pacing.gap_s for message in messages)


def schedule_lanes(lanes: Sequence[Lane], profile: Profile, *, share: float = SHARE) -> Schedule:
    """Make one schedule of all lanes of a device.

    Whenever the wire is free, the control goes first that stands farthest from its lane (switches before all), and it
    is told what the lane asks of it at the moment the setting will have arrived. A setting is sent only where the
    control's code changes, every lane ends on the code of its last point, and a ramp that only rises never falls.

    ``share`` (0..1) of the wire's time is never exceeded in any window of ``WINDOW_S``. With ``n`` lanes that move
    at once, each of at most ``s`` dB a second, and settings that take ``c`` seconds of wire, a level is off by no
    more than half its step and ``s·n·c/share``, near enough.

    Raises
    ------
    ProfileError
        A lane's control is set by hand, or two lanes are of one control.
    """
    names = [lane.address for lane in lanes]
    for name in names:
        if names.count(name) > 1:
            raise ProfileError(f"{name} has two lanes.", hint="Put its moves into one.")
    stairs = [_Staircase(lane, profile.control(lane.control)) for lane in lanes]
    wires = [_Wire(stair, profile) for stair in stairs]
    first = tuple(wire.setting(0.0, stair.raws[0]) for wire, stair in zip(wires, stairs, strict=True))
    longest_s = max((wire.longest_s for wire in wires), default=0.0)
    window_s = max(WINDOW_S, 10.0 * longest_s)
    # A window that begins and ends with a setting holds one pause less than settings: the share allows for it.
    steady = (share * window_s - longest_s) / (window_s - longest_s) if longest_s else share
    settings: list[TimedSetting] = []
    current = [0] * len(stairs)
    raws = [stair.raws[0] for stair in stairs]
    free_s = 0.0
    while True:
        due = [_due_s(*four) for four in zip(stairs, wires, raws, current, strict=True)]
        if not due or min(due) == math.inf:
            break
        now_s = max(free_s, min(due))
        best, heaviest = -1, -1.0
        for i, (stair, wire) in enumerate(zip(stairs, wires, strict=True)):
            if due[i] > now_s:
                continue
            current[i] = stair.index(now_s + wire.longest_s + _SLACK_S)
            if stair.raws[current[i]] == raws[i]:
                continue
            weight = stair.weight(raws[i], stair.raws[current[i]])
            if weight > heaviest:
                best, heaviest = i, weight
        if best < 0:
            continue
        raws[best] = stairs[best].raws[current[best]]
        setting = wires[best].setting(now_s, raws[best])
        settings.append(setting)
        free_s = now_s + (setting.landed_s - setting.at_s) / steady
    figures = tuple(_figures(stair, [s for s in settings if s.address == stair.lane.address]) for stair in stairs)
    return Schedule(first, tuple(settings), figures)


def _due_s(stair: _Staircase, wire: _Wire, raw: int, index: int) -> float:
    """Return when at the earliest a setting of this control has to go out; ∞ when none has to."""
    if stair.raws[index] != raw:
        return 0.0
    return max(0.0, stair.times[index + 1] - wire.longest_s) if index + 1 < len(stair.times) else math.inf


class _Wire:
    """One control's settings as bytes, each made once."""

    def __init__(self, stair: _Staircase, profile: Profile) -> None:
        self._stair = stair
        self._profile = profile
        self._made: dict[int, Encoded] = {}
        self.longest_s = max(wire_s(self._encoded(raw).messages, profile) for raw in {stair.raws[0], stair.raws[-1]})

    def _encoded(self, raw: int) -> Encoded:
        if raw not in self._made:
            control = self._stair.control
            self._made[raw] = encode(self._profile, control.name, control.from_raw(raw))
        return self._made[raw]

    def setting(self, at_s: float, raw: int) -> TimedSetting:
        made = self._encoded(raw)
        landed_s = at_s + wire_s(made.messages, self._profile)
        return TimedSetting(at_s, landed_s, self._stair.lane.address, made.value, made.raw, made.messages)


def _figures(stair: _Staircase, settings: Sequence[TimedSetting]) -> LaneFigures:
    late_s, held, worst = 0.0, stair.raws[0], 0.0
    landings = {setting.landed_s: setting for setting in settings}
    # Between these moments the lane is straight and the control stands: the extremes lie at the ends.
    for at_s in sorted({at_s for at_s, _ in stair.lane.points} | set(landings)):
        worst = max(worst, _distance(stair, held, stair.lane_value(at_s, before=True)))
        if at_s in landings:
            held = landings[at_s].raw
            late_s = max(late_s, at_s - stair.times[stair.index(at_s + _SLACK_S)])
        worst = max(worst, _distance(stair, held, stair.lane_value(at_s)))
    return LaneFigures(
        stair.lane.address,
        stair.control.unit,
        len(stair.raws) - 1,
        len(settings),
        worst if _is_number(stair.control.from_raw(held)) else None,
        late_s * 1000.0,
    )


def _distance(stair: _Staircase, raw: int, wanted: Value) -> float:
    held = stair.control.from_raw(raw)
    if not (_is_number(held) and _is_number(wanted)):
        return 0.0
    low, high = max(stair.floor, stair.control.low), stair.control.high
    return abs(min(max(float(held), low), high) - min(max(float(wanted), low), high))
