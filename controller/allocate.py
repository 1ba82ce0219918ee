"""Allocation: which stage of the mix runs where, and why; decided before anything moves.

The order of a strip's stages is part of its sound, so a stage goes to the desk only if every active stage
behind it is there too. What no device can do, or whose loop failed its calibration, stays in the box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from controller import desk as desks
from controller.desk import DeskStrip, db_to_gain, gain_to_db
from controller.loops import LoopFacts
from controller.mix import Comp, EqBand, Mix, Strip
from dsp.engine import Band, BusSettings, Compressor, ReverbSettings, StripSettings
from dsp.stereo import balance_gains, pan_gains
from hardware.known import Known
from hardware.rig import Rig
from profiles.profile import Profile, Value

Path = Literal["analog", "hybrid", "itb"]
BUS = "bus"
REVERB = "reverb"
BAND_KINDS: tuple[tuple[str, Literal["low_shelf", "bell", "high_shelf"]], ...] = (
    ("lf", "low_shelf"),
    ("lmf", "bell"),
    ("hmf", "bell"),
    ("hf", "high_shelf"),
)


@dataclass(frozen=True)
class Placement:
    """One stage of one strip: where it runs and why there."""

    strip: str
    stage: str
    where: str
    why: str


@dataclass(frozen=True)
class Route:
    """One D/A output on its way to one desk strip.

    ``trim_db`` is the digital trim before the D/A: what the fader's step misses, less the loop's own gain.
    ``delay_frames`` makes loops of different whole-sample latency arrive together. ``left`` and ``right`` are
    the linear gains the desk is set to; ``bands`` and ``hpf_hz`` what its equaliser is set to.
    """

    strip: str
    channel: int
    output: int
    address: str
    trim_db: float
    left: float
    right: float
    muted: bool = False
    delay_frames: int = 0
    bands: tuple[Band, ...] = ()
    hpf_hz: float | None = None


@dataclass(frozen=True)
class Allocation:
    """A whole mix, split between box and devices.

    ``feeds`` is what the box does before the D/A; ``itb`` the same mix wholly in the box with the values the
    hardware can reach, so that a null compares paths and not rounding. ``bus_feeds``/``bus_itb`` likewise.
    ``target`` is the snapshot the rig is recalled to; ``bus_gain_db`` the gain of the desk's bus there (master
    fader, make-up of an outboard compressor), for signals below the compressor's threshold.
    ``stems`` are the stem files of the strips, in the order of ``feeds`` and ``itb``.
    """

    path: Path
    stems: tuple[str, ...]
    placements: tuple[Placement, ...]
    routes: tuple[Route, ...]
    box_pair: tuple[Route, Route] | None
    sums_after_return: bool
    target: dict[str, Value]
    feeds: tuple[StripSettings, ...]
    itb: tuple[StripSettings, ...]
    reverb: ReverbSettings | None
    bus_feeds: BusSettings
    bus_itb: BusSettings
    tail_s: float
    bus_gain_db: float = 0.0

    def lines(self) -> list[str]:
        """Write the plan as a person reads it: one line a stage."""
        width = max((len(p.strip) for p in self.placements), default=4)
        return [f"{p.strip:<{width}}  {p.stage:<8} {p.where:<14} {p.why}" for p in self.placements]


@dataclass
class _Draft:
    placements: list[Placement] = field(default_factory=list)
    target: dict[str, Value] = field(default_factory=dict)

    def place(self, strip: str, stage: str, where: str, why: str) -> None:
        self.placements.append(Placement(strip, stage, where, why))


def allocate(
    mix: Mix,
    channels: Mapping[str, int],
    *,
    rig: Rig | None,
    profiles: Mapping[str, Profile],
    path: Path,
    loops: Mapping[int, LoopFacts] | None = None,
    known: Mapping[str, Known] | None = None,
) -> Allocation:
    """Decide where every stage of ``mix`` runs.

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
    """
    if rig is None:
        return _box_only(mix, channels)
    draft = _Draft()
    chain = desks.wired_strips(rig, profiles)
    free = list(chain)
    plans: list[_StripPlan] = []
    for strip in mix.strips:
        wanted = channels[strip.name]
        seats, free = free[:wanted], free[wanted:]
        plans.append(_plan_strip(strip, mix, seats, wanted, path=path, loops=loops, known=known or {}, draft=draft))
    needs_pair = any(p.feed.on_bus or p.feed.send > 0.0 for p in plans)
    pair, pair_why = _box_pair(free, loops) if needs_pair else (None, "nothing in the box feeds the desk")
    sums_after = needs_pair and pair is None
    reverb = _reverb(mix) if any(p.feed.send > 0.0 for p in plans) else None
    if reverb is not None:
        draft.place(REVERB, "reverb", "box", "no device of the rig is a reverb")
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
    bus_feeds, bus_itb, bus_gain_db = _plan_bus(
        mix, rig, profiles, path=path, box_joins_late=sums_after, on_desk=bool(routes), draft=draft
    )
    if routes:
        for idle in chain:
            if idle.output not in used:
                idle.put(draft.target, "mute", True)
    routes, box_pair = _level_delays(routes, box_pair, loops)
    tail = mix.reverb.decay_s if reverb is not None else 0.5
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
        reverb=reverb,
        bus_feeds=bus_feeds,
        bus_itb=bus_itb,
        tail_s=tail,
        bus_gain_db=bus_gain_db,
    )


def in_the_box(allocation: Allocation) -> Allocation:
    """Return the allocation of the same mix with every stage in the box, at the values the hardware reaches."""
    placements = tuple(
        replace(
            p, where="box", why="the box path" if p.where == "box" else f"the box path, with the values of {p.where}"
        )
        for p in allocation.placements
        if p.strip != "box"
    )
    return replace(
        allocation, path="itb", placements=placements, routes=(), box_pair=None, sums_after_return=False, target={}
    )


@dataclass(frozen=True)
class _StripPlan:
    feed: StripSettings
    itb: StripSettings
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class _Seat:
    strip: DeskStrip
    gain_db: float


def _seats(strips: Sequence[DeskStrip], loops: Mapping[int, LoopFacts] | None) -> tuple[list[_Seat], str]:
    """Return the sound loops of ``strips``, or why one of them is not."""
    seats = []
    for strip in strips:
        if loops is None:
            seats.append(_Seat(strip, 0.0))
            continue
        facts = loops.get(strip.output)
        if facts is None:
            return [], f"output {strip.output} is not in the calibration"
        if not facts.ok:
            return [], f"loop {strip.output} → {strip.address} failed its calibration: {facts.why}"
        seats.append(_Seat(strip, facts.gain_db))
    return seats, ""


def _plan_strip(
    strip: Strip,
    mix: Mix,
    strips: Sequence[DeskStrip],
    wanted: int,
    *,
    path: Path,
    loops: Mapping[int, LoopFacts] | None,
    known: Mapping[str, Known],
    draft: _Draft,
) -> _StripPlan:
    muted = not mix.is_heard(strip)
    bands = _bands(strip.eq)
    hpf = None if strip.hpf_hz == -math.inf else strip.hpf_hz
    compressor = _compressor(strip.comp)
    send = 0.0 if muted else db_to_gain(strip.send_db)
    seats, problem = _seats(strips, loops) if len(strips) == wanted else ([], "the desk has no free strip for it")
    pinned = strip.place.get("sum", "auto")
    if pinned == "box":
        seats, problem = [], "pinned to the box by the mix"
    if not seats:
        gains = _strip_gains(strip, mix, wanted, muted)
        settings = _settings(strip, wanted, hpf, bands, compressor, gains, send, on_bus=True)
        draft.place(strip.name, "sum", "box", problem)
        return _StripPlan(settings, settings, ())
    blocker = (
        "its compressor follows, in the box" if compressor else "its reverb send follows, in the box" if send else ""
    )
    eq_why = _why_not_desk_eq([s.strip for s in seats], bands, strip, path=path, known=known, blocker=blocker)
    hpf_why = _why_not_desk_hpf([s.strip for s in seats], hpf, strip, path=path, known=known, blocker=blocker)
    if hpf is not None and bands and eq_why and not hpf_why:
        hpf_why = "its equaliser follows, in the box"
    desk_bands, desk_hpf = (() if eq_why else bands), (None if hpf_why else hpf)
    routes: list[Route] = []
    itb_gains: list[tuple[float, float]] = []
    achieved_bands = bands
    for channel, seat in enumerate(seats):
        desks.seat_neutral(seat.strip, draft.target)
        if desk_hpf is not None:
            desks.set_hpf(seat.strip, draft.target, desk_hpf)
        if desk_bands:
            achieved_bands = desks.set_eq(seat.strip, draft.target, _by_band(strip.eq), desk_bands)
        left, right = _channel_gains(strip, mix, wanted, channel)
        pan, law_gains = desks.pan_for(seat.strip, left, right)
        level = math.hypot(left, right) / math.hypot(*law_gains)
        wanted_db = strip.fader_db + gain_to_db(level)
        fader_db = desks.fader_for(seat.strip, wanted_db)
        desks.set_level(seat.strip, draft.target, fader_db=fader_db, pan=pan, muted=muted)
        trim_db = wanted_db - fader_db if math.isfinite(fader_db) else 0.0
        total = 0.0 if muted else db_to_gain(wanted_db)
        itb_gains.append((law_gains[0] * total, law_gains[1] * total))
        routes.append(
            Route(
                strip.name,
                channel,
                seat.strip.output,
                seat.strip.address,
                trim_db - seat.gain_db,
                law_gains[0] * db_to_gain(fader_db),
                law_gains[1] * db_to_gain(fader_db),
                muted=muted or not math.isfinite(fader_db),
                bands=achieved_bands if desk_bands else (),
                hpf_hz=desk_hpf,
            )
        )
    _say_strip(strip, seats, routes, hpf, hpf_why, bands, eq_why, compressor, send, path, draft)
    gains = tuple(itb_gains)
    box_bands = () if desk_bands else bands
    box_hpf = None if desk_hpf is not None else hpf
    feed = _settings(strip, wanted, box_hpf, box_bands, compressor, gains, send, on_bus=False)
    itb = _settings(strip, wanted, hpf, achieved_bands, compressor, gains, send, on_bus=True)
    return _StripPlan(feed, itb, tuple(routes))


def _say_strip(
    strip: Strip,
    seats: Sequence[_Seat],
    routes: Sequence[Route],
    hpf: float | None,
    hpf_why: str,
    bands: Sequence[Band],
    eq_why: str,
    compressor: Compressor | None,
    send: float,
    path: Path,
    draft: _Draft,
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


def _why_not_desk_eq(
    strips: Sequence[DeskStrip],
    bands: Sequence[Band],
    strip: Strip,
    *,
    path: Path,
    known: Mapping[str, Known],
    blocker: str,
) -> str:
    if not bands:
        return "flat"
    if strip.place.get("eq", "auto") == "box":
        return "pinned to the box by the mix"
    if blocker:
        return blocker
    by_band = _by_band(strip.eq)
    for seat in strips:
        why = desks.eq_obstacle(seat, by_band)
        if why:
            return why
        if path == "hybrid" and strip.place.get("eq") != "desk" and not desks.eq_stands(seat, by_band, known):
            return "its frequencies would need a hand, and this path uses none"
    return ""


def _why_not_desk_hpf(
    strips: Sequence[DeskStrip],
    hpf: float | None,
    strip: Strip,
    *,
    path: Path,
    known: Mapping[str, Known],
    blocker: str,
) -> str:
    if hpf is None:
        return "off"
    if strip.place.get("hpf", "auto") == "box":
        return "pinned to the box by the mix"
    if blocker:
        return blocker
    for seat in strips:
        why = desks.hpf_obstacle(seat, hpf)
        if why:
            return why
        if path == "hybrid" and strip.place.get("hpf") != "desk" and not desks.hpf_stands(seat, hpf, known):
            return "it would need a hand, and this path uses none"
    return ""


def _box_pair(
    free: Sequence[DeskStrip], loops: Mapping[int, LoopFacts] | None
) -> tuple[tuple[_Seat, _Seat] | None, str]:
    for left, right in zip(reversed(free[:-1]), reversed(free[1:]), strict=True):
        seats, _ = _seats([left, right], loops)
        if len(seats) == 2 and left.pan is not None and right.pan is not None:
            return (seats[0], seats[1]), ""
    return None, "no two free desk strips with sound loops"


def _plan_bus(
    mix: Mix,
    rig: Rig,
    profiles: Mapping[str, Profile],
    *,
    path: Path,
    box_joins_late: bool,
    on_desk: bool,
    draft: _Draft,
) -> tuple[BusSettings, BusSettings, float]:
    bands = _bands(mix.bus.eq)
    compressor = _compressor(mix.bus.comp)
    inserts = [i for i in rig.inserts if i.at.endswith("/mix")] if on_desk else []
    achieved = compressor
    on_device = ""
    if compressor is not None:
        why = "no compressor of the rig is patched to the mix"
        for insert in inserts:
            if mix.bus.place.get("comp", "auto") == "box":
                why = "pinned to the box by the mix"
            elif bands:
                why = "the bus equaliser comes first, in the box"
            elif box_joins_late:
                why = "strips of the box join after the return"
            else:
                fitted = desks.fit_compressor(profiles[insert.device], compressor, rig.audio.dbu_at_0dbfs)
                if isinstance(fitted, str):
                    why = fitted
                    continue
                achieved, settings = fitted
                on_device = insert.device
                draft.target.update({f"{insert.device}/{name}": value for name, value in settings.items()})
                draft.target.update(insert.switch)
                break
        draft.place(BUS, "comp", on_device or "box", "patched into the mix insert" if on_device else why)
    for insert in inserts:
        if insert.device != on_device:
            draft.target.update(desks.out_of_circuit(insert))
    if bands:
        draft.place(BUS, "eq", "box", "the desk has no bus equaliser")
    fader_db = mix.bus.fader_db
    master = desks.master_fader(rig, profiles) if on_desk else None
    trim_db = fader_db
    if master is not None and not bands and (compressor is None or on_device) and not box_joins_late:
        address, control = master
        reached = float(control.achieved(fader_db))
        if math.isfinite(reached):
            draft.target[address] = reached
            trim_db = fader_db - reached
            draft.place(BUS, "fader", address, f"digital trim {trim_db:+.2f} dB after the A/D makes up its step")
    elif master is not None:
        address, control = master
        draft.target[address] = float(control.achieved(0.0))
        draft.place(BUS, "fader", "box", "it follows the bus stages in the box; the master fader stays at 0 dB")
    feeds = BusSettings(bands=bands, compressor=None if on_device else compressor, fader_db=trim_db)
    itb = BusSettings(bands=bands, compressor=achieved, fader_db=fader_db)
    makeup_db = achieved.makeup_db if achieved is not None and on_device else 0.0
    return feeds, itb, makeup_db + mix.bus.fader_db - trim_db


def _level_delays(
    routes: Sequence[Route], pair: tuple[Route, Route] | None, loops: Mapping[int, LoopFacts] | None
) -> tuple[list[Route], tuple[Route, Route] | None]:
    """Delay the early loops by whole samples so that all arrive together with the latest."""
    every = [*routes, *(pair or ())]
    if loops is None or not every:
        return list(routes), pair
    latency = {r.output: loops[r.output].latency_samples for r in every}
    last = max(latency.values())
    delayed = [replace(r, delay_frames=round(last - latency[r.output])) for r in every]
    count = len(routes)
    return delayed[:count], (delayed[count], delayed[count + 1]) if pair is not None else None


def _box_only(mix: Mix, channels: Mapping[str, int]) -> Allocation:
    draft = _Draft()
    plans = []
    for strip in mix.strips:
        width = channels[strip.name]
        muted = not mix.is_heard(strip)
        hpf = None if strip.hpf_hz == -math.inf else strip.hpf_hz
        gains = _strip_gains(strip, mix, width, muted)
        send = 0.0 if muted else db_to_gain(strip.send_db)
        plans.append(_settings(strip, width, hpf, _bands(strip.eq), _compressor(strip.comp), gains, send, on_bus=True))
        draft.place(strip.name, "sum", "box", "the project has no rig")
    reverb = _reverb(mix) if any(p.send > 0.0 for p in plans) else None
    bus = BusSettings(bands=_bands(mix.bus.eq), compressor=_compressor(mix.bus.comp), fader_db=mix.bus.fader_db)
    return Allocation(
        path="itb",
        stems=tuple(strip.stem for strip in mix.strips),
        placements=tuple(draft.placements),
        routes=(),
        box_pair=None,
        sums_after_return=False,
        target={},
        feeds=tuple(plans),
        itb=tuple(plans),
        reverb=reverb,
        bus_feeds=bus,
        bus_itb=bus,
        tail_s=mix.reverb.decay_s if reverb is not None else 0.5,
    )


def _channel_gains(strip: Strip, mix: Mix, width: int, channel: int) -> tuple[float, float]:
    if width == 1:
        return pan_gains(strip.pan, mix.pan_law_db)
    left, right = balance_gains(strip.pan, mix.pan_law_db)
    return (left, 0.0) if channel == 0 else (0.0, right)


def _strip_gains(strip: Strip, mix: Mix, width: int, muted: bool) -> tuple[tuple[float, float], ...]:
    level = 0.0 if muted else db_to_gain(strip.fader_db)
    pairs = (_channel_gains(strip, mix, width, channel) for channel in range(width))
    return tuple((left * level, right * level) for left, right in pairs)


def _settings(
    strip: Strip,
    width: int,
    hpf: float | None,
    bands: tuple[Band, ...],
    compressor: Compressor | None,
    gains: tuple[tuple[float, float], ...],
    send: float,
    *,
    on_bus: bool,
) -> StripSettings:
    return StripSettings(
        name=strip.name,
        channels=2 if width == 2 else 1,
        polarity_inverted=strip.polarity == "inverted",
        trim_db=strip.trim_db,
        hpf_hz=hpf,
        bands=bands,
        compressor=compressor,
        gains=gains,
        send=send,
        on_bus=on_bus,
    )


def _by_band(eq: Mapping[str, EqBand]) -> dict[str, EqBand]:
    return {name: band for name, band in eq.items() if band.gain_db != 0.0}


def _bands(eq: Mapping[str, EqBand]) -> tuple[Band, ...]:
    return tuple(
        Band(kind=kind, freq_hz=eq[name].freq_hz, gain_db=eq[name].gain_db, q=eq[name].q)
        for name, kind in BAND_KINDS
        if name in eq and eq[name].gain_db != 0.0
    )


def _compressor(comp: Comp) -> Compressor | None:
    if not comp.on:
        return None
    return Compressor(
        threshold_db=comp.threshold_db,
        ratio=comp.ratio,
        attack_ms=comp.attack_ms,
        release_ms=comp.release_ms,
        knee_db=comp.knee_db,
        makeup_db=comp.makeup_db,
    )


def _reverb(mix: Mix) -> ReverbSettings:
    reverb = mix.reverb
    return ReverbSettings(
        decay_s=reverb.decay_s,
        predelay_ms=reverb.predelay_ms,
        damping_hz=reverb.damping_hz,
        return_db=reverb.return_db,
    )
