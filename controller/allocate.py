"""Allocation: which stage of the mix runs where, and why; decided before anything moves.

What no device can do, or whose loop failed its calibration, stays in the box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from controller import desk as desks
from controller.allocate_box import say_busses, say_latency, say_strip
from controller.allocate_bus import plan_bus
from controller.allocate_strip import Seat, StripPlan, plan_strip, sound_seats
from controller.allocation import Allocation, Draft, RenderPath, Route
from controller.desk import DeskStrip
from controller.graph_terms import added_busses, box_bus, box_strip, listened_to, plan
from controller.loops import LoopFacts
from controller.mix import BUS, REVERB, Mix
from controller.mix_vca import folded
from controller.move_points import lane_words
from dsp.graph_plan import GraphPlan
from hardware.known import Known
from hardware.rig import Rig
from profiles.profile import Profile

RATE_HZ = 48_000
"""Where nobody says at which rate a mix will be rendered."""
SHORTEST_TAIL_S = 0.5
SAME_ARRIVAL_SAMPLES = 5e-4
"""Loops this close arrive together: at 10 kHz and 48 kHz it leaves −64 dB, and no feed has to be interpolated."""


def allocate(
    mix: Mix,
    channels: Mapping[str, int],
    *,
    rig: Rig | None,
    profiles: Mapping[str, Profile],
    path: RenderPath,
    loops: Mapping[int, LoopFacts] | None = None,
    known: Mapping[str, Known] | None = None,
    rate_hz: float = RATE_HZ,
) -> Allocation:
    """Decide where every stage of ``mix`` runs; its VCAs are folded into what follows them.

    Parameters
    ----------
    mix : Mix
        The engineer's decisions.
    channels : mapping of str to int
        1 or 2: the width of each strip's stem.
    rig, profiles
        The room and the profiles of its devices by device name; ``rig=None`` keeps all in the box, unquantised.
    path : "analog", "hybrid" or "itb"
        ``analog`` puts on the desk whatever it can do, hands included; ``hybrid`` only what needs no hand;
        ``itb`` nothing, with the values the analog path would reach.
    loops : mapping of output number to LoopFacts, optional
        The calibration in force; without one every loop counts as sound and of unity gain.
    known : mapping of address to Known, optional
        What is known of the rig (a by-hand control that already stands right needs no hand).
    rate_hz
        What the box will run at, for the latency and the tails of its inserts.

    Raises
    ------
    MixError
        An insert cannot be built at this rate, or cannot move as the mix wants it to.
    """
    mix = folded(mix)
    if rig is None:
        return _box_only(mix, channels, rate_hz)
    draft = Draft()
    chain = desks.wired_strips(rig, profiles)
    free = list(chain)
    plans: list[StripPlan] = []
    keys = listened_to(mix.bus, *mix.busses, *mix.strips)
    for strip in mix.strips:
        wanted = channels[strip.name]
        seats, free = (free[:wanted], free[wanted:]) if strip.output == BUS else ([], free)
        made = plan_strip(
            strip,
            mix,
            seats,
            wanted,
            path=path,
            loops=loops,
            known=known or {},
            is_key=strip.name in keys,
            draft=draft,
        )
        say_strip(strip, mix, draft)
        plans.append(made)
    needs_pair = any(p.feed.on_bus or p.feed.send > 0.0 or p.feed.feeds for p in plans)
    pair, pair_why = _box_pair(free, loops) if needs_pair else (None, "nothing in the box feeds the desk")
    if listened_to(mix.bus):
        needs_pair, pair, pair_why = True, None, "an insert of the stereo bus listens to the box"
    sums_after = needs_pair and pair is None
    busses = added_busses(mix, reverb=any(p.feed.send > 0.0 for p in plans))
    say_busses(mix, busses, draft, on_desk=path != "itb" and any(p.routes for p in plans))
    routes = [route for p in plans for route in p.routes]
    if pair is not None:
        where = f"{pair[0].strip.address}+{pair[1].strip.prefix[2:]}"
        draft.place("box", "return", where, "strips and reverb in the box join the desk's mix here")
        pair_routes = tuple(
            Route("box", side, s.strip.output, s.strip.address, -s.gain_db, *gains, delay_frames=0)
            for side, (s, gains) in enumerate(zip(pair, ((1.0, 0.0), (0.0, 1.0)), strict=True))
        )
        for seat, pan in zip(pair, (-100.0, 100.0), strict=True):
            desks.seat_neutral(seat.strip, draft.target)
            desks.set_level(seat.strip, draft.target, fader_db=0.0, pan=pan, muted=False)
        box_pair = (pair_routes[0], pair_routes[1])
        used = {r.output for r in routes} | {r.output for r in box_pair}
    else:
        box_pair = None
        used = {r.output for r in routes}
        if sums_after:
            draft.place("box", "return", "after the A/D", f"{pair_why}: added to the recorded return")
    bus_feeds, bus_itb, bus_gain_db = plan_bus(
        mix,
        rig,
        profiles,
        path=path,
        known=known or {},
        box_joins_late=sums_after,
        on_desk=bool(routes),
        draft=draft,
    )
    if routes:
        for idle in chain:
            if idle.output not in used:
                idle.put(draft.target, "mute", True)
    routes, box_pair = _level_delays(routes, box_pair, loops)
    graph = plan([p.itb for p in plans], busses, bus_itb, rate_hz=rate_hz)
    say_latency(graph, rate_hz, draft)
    return Allocation(
        path=path,
        stems=tuple(strip.stem for strip in mix.strips),
        placements=tuple(draft.placements),
        routes=tuple(routes),
        box_pair=box_pair,
        sums_after_return=sums_after,
        target=draft.target,
        feeds=tuple(p.feed for p in plans),
        itb=tuple(p.itb for p in plans),
        busses=tuple(replace(bus, minus="") for bus in busses),
        busses_itb=busses,
        bus_feeds=bus_feeds,
        bus_itb=bus_itb,
        tail_s=_tail_s(graph, rate_hz),
        bus_gain_db=bus_gain_db,
        lanes=tuple(draft.lanes),
        late_frames=graph.late_frames,
    )


def _tail_s(graph: GraphPlan, rate_hz: float) -> float:
    """Return how long a render goes on after the last stem [s]."""
    reverb = REVERB in graph.busses
    return graph.tail_frames / rate_hz if reverb else max(SHORTEST_TAIL_S, graph.tail_frames / rate_hz)


_ALWAYS_BOXED = ("insert", "send", "bus", "reverb", "latency")
"""Stages that say what they are, and not why they are in the box."""


def in_the_box(allocation: Allocation) -> Allocation:
    """Return the allocation of the same mix with every stage in the box, at the values the hardware reaches."""
    placements = tuple(
        p
        if p.where == "box" and p.stage in _ALWAYS_BOXED
        else replace(
            p, where="box", why="the box path" if p.where == "box" else f"the box path, with the values of {p.where}"
        )
        for p in allocation.placements
        if p.strip != "box"
    )
    return replace(
        allocation,
        path="itb",
        placements=placements,
        routes=(),
        box_pair=None,
        sums_after_return=False,
        target={},
        lanes=(),
    )


def _box_pair(free: Sequence[DeskStrip], loops: Mapping[int, LoopFacts] | None) -> tuple[tuple[Seat, Seat] | None, str]:
    for left, right in zip(reversed(free[:-1]), reversed(free[1:]), strict=True):
        seats, _ = sound_seats([left, right], loops)
        if len(seats) == 2 and left.pan is not None and right.pan is not None:
            return (seats[0], seats[1]), ""
    return None, "no two free desk strips with sound loops"


def _level_delays(
    routes: Sequence[Route], pair: tuple[Route, Route] | None, loops: Mapping[int, LoopFacts] | None
) -> tuple[list[Route], tuple[Route, Route] | None]:
    """Delay the early loops so that all arrive together with the latest.

    Whole samples where that is enough; otherwise all are interpolated, to arrive on a whole sample.
    """
    every = [*routes, *(pair or ())]
    if loops is None or not every:
        return list(routes), pair
    latency = {r.output: loops[r.output].latency_samples for r in every}
    last = max(latency.values())
    early = [last - latency[r.output] for r in every]
    if all(abs(delay - round(delay)) <= SAME_ARRIVAL_SAMPLES for delay in early):
        split = [(round(delay), 0.0) for delay in early]
    else:
        split = [(math.floor(delay), delay % 1.0) for delay in (math.ceil(last) - last + e for e in early)]
    delayed = [replace(r, delay_frames=n, delay_rest=rest) for r, (n, rest) in zip(every, split, strict=True)]
    count = len(routes)
    return delayed[:count], (delayed[count], delayed[count + 1]) if pair is not None else None


def _box_only(mix: Mix, channels: Mapping[str, int], rate_hz: float) -> Allocation:
    draft = Draft()
    strips = []
    for strip in mix.strips:
        strips.append(box_strip(strip, mix, channels[strip.name]))
        draft.place(strip.name, "sum", "box", "the project has no rig")
        say_strip(strip, mix, draft)
    for name in (strip.name for strip in mix.strips):
        for move in mix.moves_of(name).values():
            draft.place(name, "moves", "box", f"{lane_words(move)}, made by the engine")
    fader = mix.moves_of(BUS).get("fader_db")
    if fader is not None:
        draft.place(BUS, "moves", "box", f"{lane_words(fader)}, made by the engine")
    busses = added_busses(mix, reverb=any(strip.send > 0.0 for strip in strips))
    say_busses(mix, busses, draft, on_desk=False)
    bus = box_bus(mix)
    graph = plan(strips, busses, bus, rate_hz=rate_hz)
    say_latency(graph, rate_hz, draft)
    return Allocation(
        path="itb",
        stems=tuple(strip.stem for strip in mix.strips),
        placements=tuple(draft.placements),
        routes=(),
        box_pair=None,
        sums_after_return=False,
        target={},
        feeds=tuple(strips),
        itb=tuple(strips),
        busses=busses,
        busses_itb=busses,
        bus_feeds=bus,
        bus_itb=bus,
        tail_s=_tail_s(graph, rate_hz),
        late_frames=graph.late_frames,
    )
