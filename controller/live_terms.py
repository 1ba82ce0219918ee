"""A mix as a graph that is to be changed while it plays: everything a hand may reach for is in its place.

All four bands of every equaliser, every send and the built-in reverb are there though they may do nothing yet, so that
switching them on is a change of settings and not of structure. What does nothing still passes bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.graph_terms import added_bus, box_bus, box_strip, reverb_bus
from controller.mix import BUS, REVERB, AddedBus, Mix, Strip
from controller.mix_inserts import keys_of
from controller.mix_vca import folded
from dsp.graph_settings import Feed, GraphBus, GraphStrip

__all__ = ["LiveGraph", "live_graph"]


@dataclass(frozen=True)
class LiveGraph:
    """What ``dsp.graph.MixGraph`` is built from, and changed to; it can be pickled."""

    strips: tuple[GraphStrip, ...]
    busses: tuple[GraphBus, ...]
    bus: GraphBus


def live_graph(mix: Mix, channels: Mapping[str, int]) -> LiveGraph:
    """Return ``mix``, all in the box with its own values, its VCAs folded in.

    ``channels``: the width of each strip's stem, 1 or 2. Two mixes that differ in faders, pans, mutes, solos, VCAs,
    sends' levels, bands, filters, compressors, parameters of inserts or moves are of one structure; inserts that come,
    go or are taken out of circuit, other outputs, keys and sends are another one.
    """
    mix = folded(mix)
    behind = _behind_the_reverb(mix)
    strips = []
    for strip in mix.strips:
        made = box_strip(strip, mix, channels[strip.name], live=True)
        if strip.name not in behind:
            closed = tuple((0.0, 0.0) for _ in made.gains)
            made = replace(made, feeds=(*made.feeds, Feed(REVERB, closed)))
        strips.append(made)
    busses = (*(added_bus(bus, mix, live=True) for bus in mix.busses), reverb_bus(mix, live=True))
    return LiveGraph(tuple(strips), busses, box_bus(mix, live=True))


def _behind_the_reverb(mix: Mix) -> set[str]:
    """Return what hears the reverb by a side-chain, itself or through others: it cannot feed the reverb too."""
    hears: dict[str, set[str]] = {}

    def add(name: str, sources: Iterable[str]) -> None:
        hears.setdefault(name, set()).update(sources)

    nodes: tuple[Strip | AddedBus, ...] = (*mix.strips, *mix.busses)
    for node in nodes:
        add(node.name, (key for _, key in keys_of(node.inserts)))
        for to in (node.output, *(send.to for send in node.sends)):
            add(to, [node.name])
    add(BUS, [REVERB])
    found = {REVERB}
    while more := {name for name, sources in hears.items() if sources & found} - found:
        found |= more
    return found
