"""A mix's moves as functions of time: gains for the engine, lanes for a desk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from controller.desk import DeskStrip, db_to_gain, gain_to_db
from controller.engine_terms import channel_gains, pan_law, pan_matrix, scaled, strip_gains
from controller.mix import BUS, FADER_DB, AddedBus, Mix, Move, Send, Strip
from dsp.moving_gains import FaderGains, Level, SendGains, SideGains, StripGains, Switch
from dsp.stereo import pan_gains
from dsp.strip import Automation
from hardware.lanes import Lane
from profiles.profile import Control

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAN_GRID_S = 0.01
"""Where a desk's pan law is not the mix's, its controls follow curves: a point of their lanes this often [s]."""
JUMP_S = 0.001
_ROLES = {"fader_db": "fader", "pan": "pan", "mute": "mute"}


GAINS = ("fader_db", "pan", "mute", "send_db")
"""What moves as a gain of a strip's or bus's ways; everything else moves inside of it."""


def level_line(move: Move) -> Level:
    """Return a moving level, or pan, as a line over the song."""
    points = tuple((at_s, float(value)) for at_s, value in move.points)
    return Level(points, -math.inf if move.what == "pan" else FADER_DB.low)


def levels_db(move: Move, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a moving level, or pan, at the moments ``at_s`` [s]; what reaches the lowest level is −∞."""
    return level_line(move)(at_s)


def highest_db(move: Move | None, still_db: float) -> float:
    """Return the highest level [dB] that a move reaches; ``still_db`` where there is none."""
    return still_db if move is None else max(float(value) for _, value in move.points)


def moving_gains(node: Strip | AddedBus, mix: Mix, width: int, *, fader: bool = True) -> SideGains | None:
    """Return what fader (or not), pan and mute of a strip or bus are during the song, or None where they stand still.

    (K,) moments → (K, channels, 2): the linear gains to left and right. Solo plays no part in it.
    """
    moves = {move.what: move for move in mix.moves if move.strip == node.name and move.what in GAINS[:3]}
    if not fader:
        moves.pop("fader_db", None)
    if not moves:
        return None
    mute = moves.get("mute")
    return SideGains(
        channels=width,
        fader_db=_line(moves, "fader_db", node.fader_db) if fader else 0.0,
        mute=node.mute if mute is None else Switch(tuple((at_s, bool(value)) for at_s, value in mute.points)),
        pan=_line(moves, "pan", node.pan),
        law=pan_law(mix),
    )


def strip_automation(strip: Strip, mix: Mix, width: int) -> Automation | None:
    """Return the engine's gains of a strip that moves, or None for one that does not or that solo keeps silent."""
    moves = mix.moves_of(strip.name)
    if not any(what in GAINS for what in moves):
        return None
    sides = moving_gains(strip, mix, width) or strip_gains(strip, mix, width, strip.mute)
    return StripGains(sides, _line(moves, "send_db", strip.send_db))


def send_automation(node: Strip | AddedBus, send: Send, mix: Mix, width: int) -> Automation | None:
    """Return the gains of one send during the song, or None where neither it nor what it follows moves."""
    moving = moving_gains(node, mix, width, fader=send.at == "post")
    moves = {m.what: m for m in mix.moves if m.strip == node.name and m.what == f"send/{send.to}"}
    if moving is None and not moves:
        return None
    sides = moving or send_gains(node, send, mix, width, level_db=0.0)
    return SendGains(sides, _line(moves, f"send/{send.to}", send.level_db))


def send_gains(
    node: Strip | AddedBus, send: Send, mix: Mix, width: int, *, level_db: float
) -> tuple[tuple[float, float], ...]:
    """Return the linear gains of a send that stands still at ``level_db``: pan, and fader where it comes behind."""
    level = db_to_gain(level_db) * (db_to_gain(node.fader_db) if send.at == "post" else 1.0)
    return scaled(pan_matrix(node, mix, width), 0.0 if node.mute else level)


def _line(moves: Mapping[str, Move], what: str, still: float) -> Level | float:
    return level_line(moves[what]) if what in moves else still


def _level(moves: Mapping[str, Move], what: str, still_db: float, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return levels_db(moves[what], at_s) if what in moves else np.full(len(at_s), still_db)


def bus_automation(mix: Mix) -> Automation | None:
    """Return the gains of the bus fader where it moves, or None."""
    move = mix.moves_of(BUS).get("fader_db")
    return None if move is None else FaderGains(level_line(move))


def desk_lanes(
    strip: Strip, mix: Mix, width: int, channel: int, seat: DeskStrip, *, trim_db: float
) -> tuple[Lane, ...] | str:
    """Return what one desk strip's controls do during the song, or why they cannot.

    ``trim_db`` is the digital trim before the D/A, which stands still. A send moves in the box.
    """
    moves = mix.moves_of(strip.name)
    for what in moves:
        control = seat.control(_ROLES[what]) if what in _ROLES else None
        if what in _ROLES and not (what == "pan" and width == 2) and (control is None or control.by_hand):
            return (
                f"its {what} moves, and the desk's is moved by hand" if control else f"the desk has no {what} to move"
            )
    lanes: list[Lane] = []
    if "fader_db" in moves or "pan" in moves:
        found = _level_lanes(strip, mix, width, channel, seat, trim_db=trim_db)
        if isinstance(found, str):
            return found
        lanes += found
    if "mute" in moves:
        points = tuple((at_s, bool(value)) for at_s, value in moves["mute"].points)
        lanes.append(Lane(_address(seat, "mute"), points, ramp=False))
    return tuple(lanes)


def _address(seat: DeskStrip, role: str) -> str:
    control = seat.control(role)
    assert control is not None  # noqa: S101 - desk_lanes() has looked
    return f"{seat.device}/{control.name}"


def _level_lanes(
    strip: Strip, mix: Mix, width: int, channel: int, seat: DeskStrip, *, trim_db: float
) -> list[Lane] | str:
    moves = mix.moves_of(strip.name)
    fader, pan = moves.get("fader_db"), moves.get("pan")
    same_law = width == 1 and mix.pan_law_db == seat.pan_law_db and mix.panning == "continuous"
    lanes: list[Lane] = []
    if pan is None or same_law:
        if pan is not None:
            lanes.append(Lane(_address(seat, "pan"), pan.points))
        if fader is None:
            return lanes
        offset_db = -trim_db if same_law else _offset_db(strip, mix, width, channel, seat, strip.pan) - trim_db
        points = tuple((at_s, float(value) + offset_db) for at_s, value in _by_the_floor(fader))
    else:
        times = _grid(pan, fader)
        faders = _level(moves, "fader_db", strip.fader_db, times)
        levels, pans = [], []
        for level_db, position in zip(faders, levels_db(pan, times), strict=True):
            pan_db = _offset_db(strip, mix, width, channel, seat, float(position))
            levels.append(float(level_db) + pan_db - trim_db)
            pans.append(_desk_pan(strip, mix, width, channel, seat, float(position)))
        points = tuple(zip(times.tolist(), levels, strict=True))
        if width == 1:
            lanes.append(Lane(_address(seat, "pan"), tuple(zip(times.tolist(), pans, strict=True))))
    control = seat.control("fader")
    top = max(level for _, level in points)
    if control is not None and top > control.high + control.step_at(control.high) / 2:
        return f"its fader would have to move to {top:+.1f} dB, beyond the desk's {control.high:+g} dB"
    return [Lane(_address(seat, "fader"), _reachable(points, control)), *lanes]


def _reachable(points: tuple[tuple[float, float], ...], control: Control | None) -> tuple[tuple[float, float], ...]:
    """Let a fader without an OFF rest at its lowest level instead."""
    if control is None or control.off == -math.inf:
        return points
    return tuple((at_s, max(level, control.low)) for at_s, level in points)


def _by_the_floor(move: Move) -> list[tuple[float, float]]:
    """Return a level's points with the lowest level before and after each "off" that is reached or left by a ramp."""
    found: list[tuple[float, float]] = []
    points = [(at_s, float(value)) for at_s, value in move.points]
    for index, (at_s, value) in enumerate(points):
        if value == -math.inf:
            if index > 0 and points[index - 1][1] > -math.inf:
                found.append((at_s, FADER_DB.low))
            found.append((at_s, value))
            if index + 1 < len(points) and points[index + 1][1] > -math.inf:
                found.append((at_s, FADER_DB.low))
        else:
            found.append((at_s, value))
    return found


def _grid(pan: Move, fader: Move | None) -> NDArray[np.float64]:
    """Return the moments of a lane that follows a curve: every point of the moves, and a grid over the pan's ramps."""
    times = {at_s for move in (pan, fader) if move is not None for at_s, _ in move.points}
    for (start_s, start), (end_s, end) in zip(pan.points, pan.points[1:], strict=False):
        if start != end:
            if end_s - start_s < PAN_GRID_S:  # a jump: it stands until just before
                times.add(max(0.0, start_s - JUMP_S))
            count = max(1, math.ceil((end_s - start_s) / PAN_GRID_S))
            times |= set(np.linspace(start_s, end_s, count + 1).tolist())
    return np.array(sorted(times))


def _offset_db(strip: Strip, mix: Mix, width: int, channel: int, seat: DeskStrip, pan: float) -> float:
    """Return what the mix's pan law has over the desk's at this pan [dB]; −∞ where a balance closes the channel."""
    wanted = math.hypot(*channel_gains(strip, mix, width, channel, pan=pan))
    there = math.hypot(*pan_gains(_desk_pan(strip, mix, width, channel, seat, pan), seat.pan_law_db))
    return gain_to_db(wanted / there)


def _desk_pan(strip: Strip, mix: Mix, width: int, channel: int, seat: DeskStrip, pan: float) -> float:
    """Return the desk's pan with the image of the mix's, in between its steps; hard over for half of a stereo stem."""
    if width == 2:
        return -100.0 if channel == 0 else 100.0
    left, right = channel_gains(strip, mix, width, channel, pan=pan)
    return float(np.interp(math.atan2(right, left), *law_angles(seat.pan_law_db)))


def law_angles(law_db: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a table of a pan law: the angles atan2(right, left) of its image, and the pans they belong to."""
    pans = np.linspace(-100.0, 100.0, 401)
    gains = [pan_gains(float(pan), law_db) for pan in pans]
    return np.array([math.atan2(right, left) for left, right in gains]), pans


def with_send(strip: Strip, mix: Mix, *, muted: bool) -> float:
    """Return the highest linear gain of a strip's send during the song; 0 for one that is never heard."""
    moves = mix.moves_of(strip.name)
    if muted and "mute" not in moves:
        return 0.0
    return db_to_gain(highest_db(moves.get("send_db"), strip.send_db))


def lane_words(move: Move) -> str:
    """Write one move in a few words, for the plan."""
    count = len(move.points)
    span = f"at {move.points[0][0]:g} s" if count == 1 else f"{move.points[0][0]:g}–{move.points[-1][0]:g} s"
    return f"{move.what} {span}, {count} point{'s' if count > 1 else ''}"


def shifted(lane: Lane, offset_db: float) -> Lane:
    """Return ``lane`` with every level moved by ``offset_db``."""
    return replace(lane, points=tuple((at_s, float(value) + offset_db) for at_s, value in lane.points))


def bus_lane(mix: Mix, address: str, *, trim_db: float) -> Lane | None:
    """Return what the desk's master fader does, or None when the bus does not move."""
    move = mix.moves_of(BUS).get("fader_db")
    if move is None:
        return None
    return shifted(Lane(address, tuple(_by_the_floor(move))), -trim_db)
