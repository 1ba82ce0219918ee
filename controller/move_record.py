"""Moves that hands make on a desk which reports them, taken down as the moves of a new mix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from controller import desk as desks
from controller import files
from controller.allocation import Allocation
from controller.errors import DeclinedError
from controller.events import Accept, Done, Emit, Finding, Progress, Question, Started
from controller.mix import BUS, FADER_DB, Mix, Move, Strip, save_new_mix
from controller.move_points import law_angles
from controller.moves import Heard
from controller.project import Project
from controller.studio import Studio
from dsp.stereo import pan_gains
from hardware.errors import HardwareError
from hardware.wire.messages import Change, Parser
from profiles.profile import Value

JOB = "moves"
TOLERANCE_DB = 0.1
"""How far the straight lines of a recorded level may be from what the desk reported [dB]."""
TOLERANCE_PAN = 1.0
REST_S = 0.1
"""A control that reports nothing for this long stood still until its next report [s]."""
TICK_S = 0.02
_SAY_S = 0.5

What = Literal["fader_db", "pan", "mute"]


@dataclass(frozen=True)
class Wired:
    """What a desk control is in the mix, and what its level is there at 0 dB of its own."""

    strip: str
    what: What
    offset_db: float = 0.0
    desk_law_db: float = -3.0
    mix_law_db: float = -3.0

    def mix_value(self, value: Value) -> float | bool:
        """Return a desk's value as the mix writes it, inside what a mix may say."""
        if self.what == "mute":
            return bool(value)
        number = float(value)
        if self.what == "pan":
            if self.desk_law_db == self.mix_law_db:
                return min(max(number, -100.0), 100.0)
            left, right = pan_gains(min(max(number, -100.0), 100.0), self.desk_law_db)
            return float(np.interp(math.atan2(right, left), *law_angles(self.mix_law_db)))
        level = number + self.offset_db
        return -math.inf if level < FADER_DB.low else min(level, FADER_DB.high)


@dataclass(frozen=True)
class Recorded:
    """The new mix with its moves; ``file`` is None when nothing that is wired moved."""

    file: Path | None
    moves: tuple[Move, ...]

    def facts(self) -> dict[str, Any]:
        """Return what ``--json`` and a print's provenance say of it."""
        return {
            "moves_recorded": {
                "mix": self.file.name if self.file is not None else None,
                "moves": [{"strip": m.strip, "what": m.what, "points": len(m.points)} for m in self.moves],
                "tolerance_db": TOLERANCE_DB,
            }
        }


def wired_controls(mix: Mix, allocation: Allocation, studio: Studio) -> dict[str, Wired]:
    """Return what each desk control that carries a strip, or the bus, is in the mix.

    Of a stereo stem's two strips the left one counts; its pan pots stand hard over and mean nothing.
    """
    seats = {seat.output: seat for seat in desks.wired_strips(studio.rig, studio.profiles)}
    strips = {strip.name: strip for strip in mix.strips}
    width = {route.strip: 1 + route.channel for route in allocation.routes}
    found: dict[str, Wired] = {}
    for route in allocation.routes:
        seat, strip = seats[route.output], strips[route.strip]
        if route.channel:
            continue
        for role, what in _roles(width[route.strip]).items():
            control = seat.control(role)
            if control is not None:
                address = f"{seat.device}/{control.name}"
                offset_db = _offset_db(strip.fader_db, allocation.target.get(address)) if role == "fader" else 0.0
                found[address] = Wired(strip.name, what, offset_db, seat.pan_law_db, mix.pan_law_db)
    master = desks.master_fader(studio.rig, studio.profiles)
    if master is not None and allocation.routes:
        offset_db = _offset_db(mix.bus.fader_db, allocation.target.get(master[0]))
        found[master[0]] = Wired(BUS, "fader_db", offset_db)
    return found


def _roles(width: int) -> dict[str, What]:
    return {"fader": "fader_db", "mute": "mute", "pan": "pan"} if width == 1 else {"fader": "fader_db", "mute": "mute"}


def _offset_db(wanted_db: float, target: Value | None) -> float:
    if target is None or isinstance(target, bool | str) or not math.isfinite(wanted_db) or not math.isfinite(target):
        return 0.0
    return wanted_db - target


def simplified(points: Sequence[tuple[float, float]], tolerance: float) -> list[tuple[float, float]]:
    """Leave out the points that the straight lines between the others come within ``tolerance`` of.

    Ramer–Douglas–Peucker (Douglas & Peucker, "Algorithms for the reduction of the number of points", 1973), with the
    distance measured in the value, not across the line: time is not negotiable.
    """
    keep = [False] * len(points)
    keep[0] = keep[-1] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        (start_s, start), (end_s, end) = points[first], points[last]
        worst, at = tolerance, -1
        for index in range(first + 1, last):
            at_s, value = points[index]
            share = (at_s - start_s) / (end_s - start_s) if end_s > start_s else 0.0
            distance = abs(value - (start + (end - start) * share))
            if distance > worst:
                worst, at = distance, index
        if at > 0:
            keep[at] = True
            spans += [(first, at), (at, last)]
    return [point for point, kept in zip(points, keep, strict=True) if kept]


def points_of(
    reports: Sequence[tuple[float, float | bool]], still: float | bool, what: What
) -> tuple[tuple[float, float | bool], ...]:
    """Turn reports (seconds, value) of a control that stood at ``still`` before into the points of a move."""
    before: float | bool = still
    points: list[tuple[float, float | bool]] = []
    last_s = -math.inf
    for at_s, value in sorted(reports, key=lambda report: report[0]):
        at_s = max(at_s, 0.0)
        if points and value == before:
            continue  # a fader's steps said twice would make stairs of a slope
        if what != "mute" and at_s - last_s > REST_S:
            points.append((max(at_s - TICK_S, last_s, 0.0), before))
        points.append((at_s, value))
        before, last_s = value, at_s
    if what == "mute":
        return ((0.0, still), *points) if points and points[0][0] > 0.0 and points[0][1] != still else tuple(points)
    floor = FADER_DB.low if what == "fader_db" else -100.0
    finite = [(at_s, max(float(value), floor)) for at_s, value in points]
    kept = simplified(finite, TOLERANCE_DB if what == "fader_db" else TOLERANCE_PAN)
    return tuple((at_s, -math.inf if what == "fader_db" and value <= floor else value) for at_s, value in kept)


def recorded_moves(mix: Mix, wired: Mapping[str, Wired], heard: Sequence[Heard]) -> tuple[Move, ...]:
    """Return the moves that what was heard amounts to, one for each value of a strip that moved."""
    strips: dict[str, Strip] = {strip.name: strip for strip in mix.strips}
    found = []
    for address in dict.fromkeys(move.address for move in heard):
        control = wired.get(address)
        if control is None:
            continue
        reports = [(move.at_s, control.mix_value(move.value)) for move in heard if move.address == address]
        still = mix.bus.fader_db if control.strip == BUS else getattr(strips[control.strip], control.what)
        points = points_of(reports, still, control.what)
        if any(value != still for _, value in points):
            found.append(Move(strip=control.strip, what=control.what, points=points))
    return tuple(found)


def save_moves(
    project: Project, mix: Mix, allocation: Allocation, studio: Studio, heard: Sequence[Heard], *, emit: Emit
) -> Recorded:
    """Write the mix with what was heard as its next numbered file; a value that moved anew replaces its old move.

    Raises
    ------
    MixError, StorageError
        The mix cannot be written.
    """
    moves = recorded_moves(mix, wired_controls(mix, allocation, studio), heard)
    if not moves:
        emit(Finding(JOB, "nothing that is wired to a strip moved; no mix was written", severity="warning"))
        return Recorded(None, ())
    anew = {(move.strip, move.what) for move in moves}
    kept = tuple(move for move in mix.moves if (move.strip, move.what) not in anew)
    file = save_new_mix(msgspec.structs.replace(mix, moves=(*kept, *moves)), project.mixes)
    points = sum(len(move.points) for move in moves)
    emit(Done(JOB, f"{len(moves)} moves, {points} points, in {files.relative(file)}"))
    return Recorded(file, moves)


def record_moves(
    project: Project,
    mix: Mix,
    allocation: Allocation,
    studio: Studio,
    *,
    seconds: float,
    emit: Emit,
    accept: Accept,
) -> Recorded:
    """Listen for ``seconds`` to what hands move on the desk, from the song's first second; write it as a new mix.

    Nothing is played and nothing is sent. Ctrl-C ends the listening early, and what was heard is kept.

    Raises
    ------
    DeclinedError
        It was not accepted.
    HardwareError
        The desk's port cannot be opened, or is lost.
    """
    wired = wired_controls(mix, allocation, studio)
    lines = (f"listen to {len(wired)} controls for {seconds:g} s; second 0 of the song is the moment you start",)
    if not accept(Question(f"Record moves on {studio.rig.title}", lines)):
        raise DeclinedError("It was not accepted; nothing was recorded.")
    devices = dict.fromkeys(address.partition("/")[0] for address in wired)
    ports = studio.ports()
    for device in devices:
        if device in studio.unreachable:
            raise studio.unreachable[device]
        if device not in ports:
            raise HardwareError(f"{device} has no port to listen to.", hint="Give it one in the rig file.")
    parsers = {device: Parser(studio.profiles[device]) for device in devices}
    for device in devices:
        ports[device].receive(0.0)
    emit(Started(JOB, "listening", seconds))
    clock = studio.clock
    began = clock.monotonic()
    heard: list[Heard] = []
    said_s = -math.inf
    try:
        while (now_s := clock.monotonic() - began) < seconds:
            if now_s - said_s >= _SAY_S:
                said_s = now_s
                emit(Progress(JOB, now_s / seconds, seconds - now_s, f"{len(heard)} reports"))
            for device, parser in parsers.items():
                for token in ports[device].receive(TICK_S / len(parsers)):
                    at_s = clock.monotonic() - began
                    for item in parser.feed(token.data):
                        if isinstance(item, Change):
                            heard.append(Heard(at_s, f"{device}/{item.control}", item.value))
    except KeyboardInterrupt:
        emit(Finding(JOB, "stopped; what was heard so far is kept"))
    studio.remember(_known(heard))
    return save_moves(project, mix, allocation, studio, heard, emit=emit)


def _known(heard: Sequence[Heard]) -> dict[str, Any]:
    """Return where the controls that were heard stand now, as known."""
    from hardware.known import Known, utc_now

    return {move.address: Known(move.value, "read-back", utc_now()) for move in heard}
