"""Strips on the stereo bus, and the reverb where there is one: the smallest graph for what is asked of a strip."""

from __future__ import annotations

from collections.abc import Sequence

from dsp.graph import MixGraph
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import REVERB, Feed, GraphBus, GraphStrip, Insert
from dsp.space import ReverbSettings
from dsp.strip import StripSettings


def mixed(strips: Sequence[StripSettings], *, rate_hz: float, reverb: ReverbSettings | None = None) -> MixGraph:
    """Return them running, every strip heard before its fader, too."""
    insert = () if reverb is None else (Insert(BuiltInReverb(reverb)),)
    busses = () if reverb is None else (GraphBus(name=REVERB, post=insert, feeds=(Feed(),)),)
    every = [GraphStrip(**vars(strip)) for strip in strips]
    return MixGraph(every, busses, rate_hz=rate_hz, threads=1, pre=[strip.name for strip in strips])
