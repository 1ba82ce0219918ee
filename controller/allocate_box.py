"""What is always in the box, as the plan says it: inserts, sends, added busses, and how late all that is."""

from __future__ import annotations

from controller.allocation import Draft
from controller.graph_terms import is_open
from controller.mix import BUS, REVERB, AddedBus, Bus, Mix, Strip
from controller.mix_values import NOWHERE
from controller.move_points import lane_words
from controller.plugin_host import Missing
from dsp.graph_plan import GraphPlan
from dsp.graph_settings import GraphBus

_AT = {"pre": "before the filters", "post": "behind the compressor"}


def say_inserts(node: Strip | Bus | AddedBus, name: str, draft: Draft) -> None:
    """Say every insert of a strip or bus."""
    for number, insert in enumerate(node.inserts, 1):
        key = f", listens to {insert.key}" if insert.key else ""
        plugin = insert.settings.get("plugin")
        what = f"{insert.kind} {plugin}" if plugin else insert.kind
        off = "" if insert.on else ", out of circuit"
        if isinstance(plugin, Missing):
            off = f": BYPASSED, {plugin.why}"
        draft.place(name, "insert", "box", f"{number}: {what}, {_AT[insert.at]}{key}{off}")


def say_strip(strip: Strip, mix: Mix, draft: Draft) -> None:
    """Say a strip's inserts and its sends by name."""
    say_inserts(strip, strip.name, draft)
    _say_sends(strip, mix, draft)


def _say_sends(node: Strip | AddedBus, mix: Mix, draft: Draft) -> None:
    for send in node.sends:
        if is_open(node, send, mix):
            where = "before" if send.at == "pre" else "after"
            draft.place(node.name, "send", "box", f"to {send.to}, {where} the fader: that bus is in the box")


def say_busses(mix: Mix, busses: tuple[GraphBus, ...], draft: Draft, *, on_desk: bool) -> None:
    """Say the inserts of the main bus, and every added bus; ``on_desk``: the desk sums strips, too."""
    say_inserts(mix.bus, BUS, draft)
    for bus in mix.busses:
        if bus.minus:
            what = f"the stereo bus without {bus.minus}"
            what += "; on the path through the desk it stays empty" if on_desk else ""
        else:
            what = (
                "nothing" if bus.output == NOWHERE else f"into {'the stereo bus' if bus.output == BUS else bus.output}"
            )
        draft.place(bus.name, "bus", "box", what)
        say_inserts(bus, bus.name, draft)
        _say_sends(bus, mix, draft)
    if any(bus.name == REVERB for bus in busses):
        draft.place(REVERB, "reverb", "box", "the built-in reverb")
    for name in (*(bus.name for bus in mix.busses), REVERB):
        for move in mix.moves_of(name).values():
            draft.place(name, "moves", "box", f"{lane_words(move)}, made by the engine")
    for what, move in mix.moves_of(BUS).items():
        if what != "fader_db":
            draft.place(BUS, "moves", "box", f"{lane_words(move)}, made by the engine")


def say_latency(graph: GraphPlan, rate_hz: float, draft: Draft) -> None:
    """Say what is late, and that it is made up."""
    for node, frames in graph.late_frames.items():
        name = node.partition(" ")[2]
        draft.place(name, "latency", "box", f"{_late(frames, rate_hz)} by its inserts; what meets it waits as long")
    whole = graph.latency_frames()
    if whole:
        draft.place("mix", "latency", "box", f"{_late(whole, rate_hz)} in all, cut off the beginning of every render")


def _late(frames: int, rate_hz: float) -> str:
    return f"{frames} sample{'' if frames == 1 else 's'} ({1000.0 * frames / rate_hz:.2f} ms)"
