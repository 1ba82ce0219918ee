"""A mix in the graph's words: strips with their inserts and sends, added busses, the built-in reverb, the main bus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from controller.desk import db_to_gain
from controller.engine_terms import (
    band_names,
    engine_bands,
    engine_compressor,
    engine_reverb,
    pan_matrix,
    scaled,
    strip_gains,
)
from controller.errors import MixError
from controller.mix import BANDS, BUS, REVERB, AddedBus, Bus, Mix, Send, Strip
from controller.mix_inserts import keys_of
from controller.mix_values import NOWHERE
from controller.move_points import (
    bus_automation,
    level_line,
    moving_gains,
    send_automation,
    send_gains,
    strip_automation,
    with_send,
)
from dsp.bus import BusSettings
from dsp.dynamics import Compressor
from dsp.errors import DspError
from dsp.filters import Band
from dsp.graph_chain import RunningInsert
from dsp.graph_plan import GraphPlan, plan_graph
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import STEREO, Feed, GraphBus, GraphStrip, Insert, ParameterMove
from dsp.moving_gains import FaderGains, StereoGains
from dsp.strip import Automation


def inserts(node: Strip | Bus | AddedBus, name: str, mix: Mix, at: str) -> tuple[Insert, ...]:
    """Return the inserts in circuit "pre" or "post", with what moves of them."""
    found = []
    for index, insert in enumerate(node.inserts):
        if insert.on and insert.at == at:
            moves = tuple(
                ParameterMove(insert.parameter(move.insert[1])[0], move.points)
                for move in mix.moves
                if move.strip == name and move.insert[0] == index
            )
            found.append(Insert(insert.effect(), insert.key, moves))
    return tuple(found)


def moving_bands(mix: Mix, name: str, *, live: bool = False) -> frozenset[str]:
    """Return the bands whose gain moves; ``live``, where anyone's hand may move them, all."""
    if live:
        return frozenset(BANDS)
    bands = (move.what.split("/") for move in mix.moves if move.strip == name and move.what.startswith("eq/"))
    return frozenset(band for _, band, key in bands if key == "gain_db")


def sound_moves(node: Strip | Bus | AddedBus, name: str, mix: Mix, *, live: bool = False) -> tuple[ParameterMove, ...]:
    """Return what moves of a strip's or bus's own trim, filters and compressor, where it is in circuit."""
    bands = band_names(node.eq, moving_bands(mix, name, live=live))
    found = []
    for move in mix.moves:
        table, *keys = move.what.split("/")
        address = ""
        if move.strip == name and table in ("trim_db", "hpf_hz"):
            address = table
        elif move.strip == name and table == "eq" and keys[0] in bands:
            address = f"bands/{bands.index(keys[0])}/{keys[1]}"
        elif move.strip == name and table == "comp" and node.comp.on:
            address = keys[0]
        if address:
            found.append(ParameterMove(address, move.points))
    return tuple(found)


def graph_strip(
    strip: Strip,
    mix: Mix,
    width: int,
    *,
    hpf: float | None,
    bands: tuple[Band, ...],
    compressor: Compressor | None,
    gains: tuple[tuple[float, float], ...],
    send: float,
    on_bus: bool,
    automation: Automation | None,
    live: bool = False,
) -> GraphStrip:
    """Return a strip with these filters, dynamics and gains, and all else as the mix has it.

    ``live``: its sends are there though nothing may ever pass, and its bands are all that it can have.
    """
    return GraphStrip(
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
        automation=automation,
        pre=inserts(strip, strip.name, mix, "pre"),
        post=inserts(strip, strip.name, mix, "post"),
        output=strip.output,
        feeds=_sends(strip, mix, width, live=live),
        moves=sound_moves(strip, strip.name, mix, live=live),
    )


def box_strip(strip: Strip, mix: Mix, width: int, *, live: bool = False) -> GraphStrip:
    """Return a strip that is all in the box, with the mix's own values."""
    muted = not mix.is_heard(strip)
    return graph_strip(
        strip,
        mix,
        width,
        hpf=None if strip.hpf_hz == -math.inf else strip.hpf_hz,
        bands=engine_bands(strip.eq, moving_bands(mix, strip.name, live=live)),
        compressor=engine_compressor(strip.comp),
        gains=strip_gains(strip, mix, width, muted),
        send=with_send(strip, mix, muted=muted),
        on_bus=True,
        automation=strip_automation(strip, mix, width),
        live=live,
    )


def _sends(node: Strip | AddedBus, mix: Mix, width: int, *, live: bool = False) -> tuple[Feed, ...]:
    """Return the sends that are ever open; ``live`` all, on which nothing passes where they are closed."""
    closed = tuple((0.0, 0.0) for _ in range(width))
    return tuple(
        Feed(
            send.to,
            send_gains(node, send, mix, width, level_db=send.level_db),
            send_automation(node, send, mix, width),
        )
        if is_open(node, send, mix)
        else Feed(send.to, closed)
        for send in node.sends
        if live or is_open(node, send, mix)
    )


def is_open(node: Strip | AddedBus, send: Send, mix: Mix) -> bool:
    """Tell whether anything ever passes a send."""
    moves = any(move.strip == node.name and move.what == f"send/{send.to}" for move in mix.moves)
    return (node.name, send.to) in mix.audible.sends and (moves or send.level_db > -math.inf)


def added_busses(mix: Mix, *, reverb: bool) -> tuple[GraphBus, ...]:
    """Return every bus but the main one, the built-in reverb among them where ``reverb`` or a send by name needs it."""
    busses = [added_bus(bus, mix) for bus in mix.busses]
    nodes: tuple[Strip | AddedBus, ...] = (*mix.strips, *mix.busses)
    sent = any(send.to == REVERB and is_open(node, send, mix) for node in nodes for send in node.sends)
    return (*busses, reverb_bus(mix)) if reverb or sent else tuple(busses)


def added_bus(bus: AddedBus, mix: Mix, *, live: bool = False) -> GraphBus:
    """Return one of the mix's busses; ``live`` as in ``graph_strip``."""
    level = db_to_gain(bus.fader_db) if bus.name in mix.audible.lit and not bus.mute else 0.0
    automation = moving_gains(bus, mix, 2) if bus.name in mix.audible.lit else None
    output = Feed("" if bus.output == NOWHERE else bus.output, scaled(pan_matrix(bus, mix, 2), level), automation)
    return GraphBus(
        name=bus.name,
        pre=inserts(bus, bus.name, mix, "pre"),
        bands=engine_bands(bus.eq, moving_bands(mix, bus.name, live=live)),
        compressor=engine_compressor(bus.comp),
        post=inserts(bus, bus.name, mix, "post"),
        feeds=(output, *_sends(bus, mix, 2, live=live)),
        minus=bus.minus,
        moves=sound_moves(bus, bus.name, mix, live=live),
    )


def reverb_bus(mix: Mix, *, live: bool = False) -> GraphBus:
    """Return the bus of the built-in reverb; ``live`` its return is a gain behind it, as it is where it moves."""
    settings = engine_reverb(mix)
    move = mix.moves_of(REVERB).get("return_db")
    if move is None and not live:
        return GraphBus(name=REVERB, pre=(Insert(BuiltInReverb(settings)),), feeds=(Feed(BUS),))
    gains = scaled(STEREO, db_to_gain(settings.return_db))
    return GraphBus(
        name=REVERB,
        pre=(Insert(BuiltInReverb(replace(settings, return_db=0.0))),),
        feeds=(Feed(BUS, gains, None if move is None else StereoGains(FaderGains(level_line(move)))),),
    )


def main_bus(settings: BusSettings, mix: Mix, *, live: bool = False) -> GraphBus:
    """Return the main bus with these settings and the mix's inserts; ``live`` as in ``graph_strip``."""
    return GraphBus(
        bands=settings.bands,
        compressor=settings.compressor,
        fader_db=settings.fader_db,
        automation=settings.automation,
        pre=inserts(mix.bus, BUS, mix, "pre"),
        post=inserts(mix.bus, BUS, mix, "post"),
        moves=sound_moves(mix.bus, BUS, mix, live=live),
    )


def box_bus(mix: Mix, *, live: bool = False) -> GraphBus:
    """Return the main bus with all of it in the box, with the mix's own values."""
    settings = BusSettings(
        bands=engine_bands(mix.bus.eq, moving_bands(mix, BUS, live=live)),
        compressor=engine_compressor(mix.bus.comp),
        fader_db=mix.bus.fader_db,
        automation=bus_automation(mix),
    )
    return main_bus(settings, mix, live=live)


def listened_to(*nodes: Strip | Bus | AddedBus) -> frozenset[str]:
    """Return the names of all that the side-chains of these strips and busses hear."""
    return frozenset(key for node in nodes for _, key in keys_of(node.inserts))


@lru_cache(maxsize=512)
def _cost(insert: Insert, channels: int, rate_hz: float) -> tuple[int, int]:
    running = RunningInsert(insert, channels, rate_hz=rate_hz, start_frame=0)
    return running.latency_frames, running.tail_frames


def plan(strips: Sequence[GraphStrip], busses: Sequence[GraphBus], main: GraphBus, *, rate_hz: float) -> GraphPlan:
    """Plan a graph at this rate; an insert that was asked about before is not built again.

    Raises
    ------
    MixError
        An effect cannot be built at this rate, or cannot move as the mix wants it to.
    """
    try:
        return plan_graph(strips, busses, main, lambda node, insert, channels: _cost(insert, channels, rate_hz))
    except DspError as error:
        raise MixError(f"the mix cannot be rendered: {error}", hint=error.hint) from error
