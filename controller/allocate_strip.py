"""Where the stages of one strip run.

The order of a strip's stages is part of its sound, so a stage goes to the desk only if every active stage behind it is
there too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from controller import desk as desks
from controller.allocation import MOVES, Draft, RenderPath, Route
from controller.desk import DeskStrip, db_to_gain, gain_to_db
from controller.engine_terms import by_band, channel_gains, engine_bands, engine_compressor, strip_gains
from controller.graph_terms import graph_strip, moving_bands
from controller.loops import LoopFacts
from controller.mix import BUS, Mix, Strip
from controller.move_points import GAINS, desk_lanes, lane_words, strip_automation, with_send
from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph_settings import GraphStrip
from hardware.known import Known
from hardware.lanes import Lane

NO_SEAT = "the desk has no free strip for it"
PINNED = "pinned to the box by the mix"


@dataclass(frozen=True)
class StripPlan:
    """One strip: what the box does before the D/A, what it does on the box path, and the way to the desk."""

    feed: GraphStrip
    itb: GraphStrip
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class _Level:
    """What a desk strip's fader and pan are set to, and the digital trim that makes up the rest."""

    pan: float
    law_gains: tuple[float, float]
    wanted_db: float
    fader_db: float
    trim_db: float


@dataclass(frozen=True)
class Seat:
    """A desk strip with a sound loop, and that loop's gain [dB]."""

    strip: DeskStrip
    gain_db: float


def sound_seats(strips: Sequence[DeskStrip], loops: Mapping[int, LoopFacts] | None) -> tuple[list[Seat], str]:
    """Return the sound loops of ``strips``, or why one of them is not."""
    seats = []
    for strip in strips:
        if loops is None:
            seats.append(Seat(strip, 0.0))
            continue
        facts = loops.get(strip.output)
        if facts is None:
            return [], f"output {strip.output} is not in the calibration"
        if not facts.ok:
            return [], f"loop {strip.output} → {strip.address} failed its calibration: {facts.why}"
        seats.append(Seat(strip, facts.gain_db))
    return seats, ""


def plan_strip(
    strip: Strip,
    mix: Mix,
    strips: Sequence[DeskStrip],
    wanted: int,
    *,
    path: RenderPath,
    loops: Mapping[int, LoopFacts] | None,
    known: Mapping[str, Known],
    is_key: bool,
    draft: Draft,
) -> StripPlan:
    """Decide where one strip's stages run on these desk strips, of which it wants ``wanted``.

    ``is_key``: a side-chain in the box hears it. Inserts are always in the box: in front of the D/A, so that whatever
    comes before them stays there too.
    """
    muted = not mix.is_heard(strip)
    bands = engine_bands(strip.eq, moving_bands(mix, strip.name))
    hpf = None if strip.hpf_hz == -math.inf else strip.hpf_hz
    moving = {move.what.partition("/")[0] for move in mix.moves_of(strip.name).values()}
    compressor = engine_compressor(strip.comp)
    send = with_send(strip, mix, muted=muted)
    automation = strip_automation(strip, mix, wanted)
    seats, problem = sound_seats(strips, loops) if len(strips) == wanted else ([], NO_SEAT)
    if strip.place.get("sum", "auto") == "box":
        seats, problem = [], PINNED
    if strip.output != BUS:
        seats, problem = [], f"it feeds bus {strip.output}, which is in the box"
    levels = [_level(strip, mix, wanted, channel, seat) for channel, seat in enumerate(seats)]
    lanes, obstacle = _lanes(strip, mix, wanted, seats, levels)
    if obstacle:
        seats, problem = [], obstacle
    _say_moves(strip, mix, lanes if seats else [], draft)
    if not seats:
        gains = strip_gains(strip, mix, wanted, muted)
        settings = graph_strip(
            strip,
            mix,
            wanted,
            hpf=hpf,
            bands=bands,
            compressor=compressor,
            gains=gains,
            send=send,
            on_bus=True,
            automation=automation,
        )
        draft.place(strip.name, "sum", "box", problem)
        return StripPlan(settings, settings, ())
    feed = graph_strip(
        strip,
        mix,
        wanted,
        hpf=hpf,
        bands=bands,
        compressor=compressor,
        gains=strip_gains(strip, mix, wanted, muted),
        send=send,
        on_bus=False,
        automation=automation,
    )
    blocker = _blocker(feed, is_key)
    wishes = by_band(strip.eq)
    eq_why = _why_not_desk(
        "eq",
        strip,
        path=path,
        blocker=blocker,
        obstacles=[desks.eq_obstacle(s.strip, wishes) for s in seats],
        stands=all(desks.eq_stands(s.strip, wishes, known) for s in seats),
        moves="eq" in moving,
    )
    hpf_why = ""
    if hpf is not None or "hpf_hz" in moving:
        hpf_why = _why_not_desk(
            "hpf",
            strip,
            path=path,
            blocker=blocker or ("its equaliser follows, in the box" if bands and eq_why else ""),
            obstacles=[desks.hpf_obstacle(s.strip, hpf) for s in seats] if hpf is not None else [],
            stands=all(desks.hpf_stands(s.strip, hpf, known) for s in seats) if hpf is not None else True,
            moves="hpf_hz" in moving,
        )
    desk_bands, desk_hpf = (() if eq_why else bands), (None if hpf_why else hpf)
    routes: list[Route] = []
    itb_gains: list[tuple[float, float]] = []
    achieved_bands = bands
    for channel, (seat, level) in enumerate(zip(seats, levels, strict=True)):
        desks.seat_neutral(seat.strip, draft.target)
        if desk_hpf is not None:
            desks.set_hpf(seat.strip, draft.target, desk_hpf)
        if desk_bands:
            achieved_bands = desks.set_eq(seat.strip, draft.target, wishes, desk_bands)
        law_gains, fader_db = level.law_gains, level.fader_db
        desks.set_level(seat.strip, draft.target, fader_db=fader_db, pan=level.pan, muted=muted)
        total = 0.0 if muted else db_to_gain(level.wanted_db)
        itb_gains.append((law_gains[0] * total, law_gains[1] * total))
        routes.append(
            Route(
                strip.name,
                channel,
                seat.strip.output,
                seat.strip.address,
                level.trim_db - seat.gain_db,
                law_gains[0] * db_to_gain(fader_db),
                law_gains[1] * db_to_gain(fader_db),
                muted=muted or not math.isfinite(fader_db),
                bands=achieved_bands if desk_bands else (),
                hpf_hz=desk_hpf,
            )
        )
    draft.lanes += lanes
    _say_strip(strip, seats, routes, hpf, hpf_why, bands, eq_why, compressor, send, draft)
    gains = tuple(itb_gains)
    box_bands = () if desk_bands else bands
    box_hpf = None if desk_hpf is not None else hpf
    itb = replace(feed, bands=achieved_bands, gains=gains, on_bus=True)
    feed = replace(feed, hpf_hz=box_hpf, bands=box_bands, gains=gains)
    return StripPlan(feed, itb, tuple(routes))


def _blocker(feed: GraphStrip, is_key: bool) -> str:
    """Return what follows the equaliser in the box and keeps it there, or nothing."""
    blockers = (
        (feed.compressor is not None, "its compressor follows, in the box"),
        (bool(feed.post), "its insert follows, in the box"),
        (feed.send > 0.0, "its reverb send follows, in the box"),
        (bool(feed.feeds), f"its send to {feed.feeds[0].to} follows, in the box" if feed.feeds else ""),
        (is_key, "a side-chain in the box hears it"),
    )
    return next((why for blocks, why in blockers if blocks), "")


def _level(strip: Strip, mix: Mix, wanted: int, channel: int, seat: Seat) -> _Level:
    left, right = channel_gains(strip, mix, wanted, channel)
    pan, law_gains = desks.pan_for(seat.strip, left, right)
    wanted_db = strip.fader_db + gain_to_db(math.hypot(left, right) / math.hypot(*law_gains))
    fader_db = desks.fader_for(seat.strip, wanted_db)
    return _Level(pan, law_gains, wanted_db, fader_db, wanted_db - fader_db if math.isfinite(fader_db) else 0.0)


def _lanes(
    strip: Strip, mix: Mix, wanted: int, seats: Sequence[Seat], levels: Sequence[_Level]
) -> tuple[list[Lane], str]:
    """Return what the desk's controls do during the song, or why they cannot."""
    lanes: list[Lane] = []
    for channel, (seat, level) in enumerate(zip(seats, levels, strict=True)):
        found = desk_lanes(strip, mix, wanted, channel, seat.strip, trim_db=level.trim_db)
        if isinstance(found, str):
            return [], found
        lanes += found
    return lanes, ""


def _say_moves(strip: Strip, mix: Mix, lanes: Sequence[Lane], draft: Draft) -> None:
    for what, move in mix.moves_of(strip.name).items():
        where = "+".join(lane.address for lane in lanes) if what in GAINS[:3] else ""
        said = f"{lane_words(move)}, {'sent in time with the pass' if where else 'made by the engine'}"
        draft.place(strip.name, "moves", where or "box", said)


def _say_strip(
    strip: Strip,
    seats: Sequence[Seat],
    routes: Sequence[Route],
    hpf: float | None,
    hpf_why: str,
    bands: Sequence[Band],
    eq_why: str,
    compressor: Compressor | None,
    send: float,
    draft: Draft,
) -> None:
    where = "+".join([seats[0].strip.address, *(s.strip.prefix[2:] for s in seats[1:])])
    if hpf is not None:
        draft.place(strip.name, "hpf", "box" if hpf_why else where, hpf_why or "the desk's filter, set by hand")
    if bands:
        draft.place(strip.name, "eq", "box" if eq_why else where, eq_why or "the desk's equaliser")
    if compressor is not None:
        draft.place(strip.name, "comp", "box", "no compressor of the rig is patched to the strip")
    if send:
        draft.place(strip.name, "send", "box", "the reverb is in the box")
    trims = ", ".join(f"{r.trim_db:+.2f}" for r in routes)
    draft.place(
        strip.name, "sum", where, f"fader and pan recalled; digital trim {trims} dB makes up step and loop gain"
    )


def _why_not_desk(
    stage: str,
    strip: Strip,
    *,
    path: RenderPath,
    blocker: str,
    obstacles: Sequence[str],
    stands: bool,
    moves: bool,
) -> str:
    """Return why a stage stays in the box: the mix's pin, what follows it there, the desk's limits, or a hand."""
    pin = strip.place.get(stage, "auto")
    if pin == "box":
        return PINNED
    if moves:
        return MOVES
    obstacle = next((o for o in obstacles if o), "")
    if blocker or obstacle:
        return blocker or obstacle
    if path == "hybrid" and pin != "desk" and not stands:
        return "a hand would have to set it, and this path uses none"
    return ""
