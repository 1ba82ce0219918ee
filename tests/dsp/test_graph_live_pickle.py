"""A graph's description goes through a pickle, with every effect and every kind of move, and sounds the same after."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_reverb import BuiltInReverb
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert, ParameterMove
from dsp.impulse import Response
from dsp.moving_gains import FaderGains, Level, SendGains, SideGains, StereoGains, StripGains, Switch
from dsp.processors.convolution import Convolution
from dsp.processors.equaliser import Equaliser
from dsp.processors.linear_phase import LinearPhase
from dsp.processors.twin import Twin, TwinModel
from dsp.registry import KINDS, effect
from dsp.stereo import PanLaw

RATE = 48_000
LEVEL = Level(((0.0, -6.0), (0.1, 0.0)))
SIDES = SideGains(2, LEVEL, Switch(((0.0, False), (0.05, True), (0.06, False))), 20.0, PanLaw(-4.5))
NOISE = np.random.default_rng(1).standard_normal((4_800, 2)).astype(np.float32)
MADE = {
    "eq": Equaliser(bands=(Band("bell", 500.0, 3.0),)),
    "linear_phase": LinearPhase(bands=(Band("bell", 500.0, 3.0),)),
    "convolution": Convolution(response=Response(NOISE[:600], RATE, "room")),
    "twin": Twin(TwinModel(np.array([1.0, 0.2]), ((3, np.array([0.1])),))),
}


def rendered(description) -> np.ndarray:
    strips, busses, main = description
    with MixGraph(strips, busses, main, rate_hz=RATE, threads=1) as graph:
        return graph.process([NOISE] * len(strips)).bus


def back(description):
    again = pickle.loads(pickle.dumps(description))
    assert again == description
    return again


@pytest.mark.parametrize("kind", KINDS)
def test_every_effect_with_what_moves_of_it(kind) -> None:
    settings = MADE.get(kind) or effect(kind)()
    numbers = [(address, p) for address, p in settings.addresses().items() if p.is_number]
    moves = ()
    if numbers and kind != "advance":  # its latency would move with it
        address, parameter = next(one for one in reversed(numbers) if one[0] != "tail_s")  # a plug-in's stands still
        ends = (parameter.default, min(parameter.default + 1.0, parameter.high))
        moves = (ParameterMove(address, ((0.0, ends[0]), (0.1, ends[1]))),)
    strips = [GraphStrip("x", 2, gains=((1.0, 0.0), (0.0, 1.0)), post=(Insert(settings, moves=moves),))]
    description = strips, [], None
    out = rendered(description)
    assert np.any(out)
    assert np.array_equal(out, rendered(back(description)))


def test_every_kind_of_gain_and_sound_that_moves() -> None:
    moves = (
        ParameterMove("bands/0/gain_db", ((0.0, 0.0), (0.1, 6.0))),
        ParameterMove("ratio", ((0.0, 1.0), (0.1, 4.0))),
    )
    own = {"bands": (Band("bell", 800.0),), "compressor": Compressor(-30.0, 2.0, 1.0, 50.0), "moves": moves}
    strips = [
        GraphStrip("x", 2, gains=((1.0, 0.0), (0.0, 1.0)), automation=StripGains(SIDES, LEVEL), **own),
        GraphStrip(
            "y",
            2,
            gains=((0.5, 0.0), (0.0, 0.5)),
            automation=StripGains(((0.5, 0.0), (0.0, 0.5)), -math.inf),
            feeds=(Feed("par", automation=SendGains(SIDES, LEVEL)),),
        ),
    ]
    busses = [
        GraphBus(name="par", feeds=(Feed(automation=StereoGains(FaderGains(LEVEL))),), **own),
        GraphBus(name="reverb", pre=(Insert(BuiltInReverb()),), feeds=(Feed(),)),
    ]
    description = strips, busses, GraphBus(automation=FaderGains(LEVEL), **own)
    assert np.array_equal(rendered(description), rendered(back(description)))
