"""Nothing clicks: what a change adds above a tone is far below what a switch from one setting to the other would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from dsp.dynamics import Compressor
from dsp.filters import Band
from dsp.graph import MixGraph
from dsp.graph_settings import Feed, GraphBus, GraphStrip, Insert
from dsp.processors.compressor import Compressor as CompressorInsert
from dsp.processors.equaliser import Equaliser
from dsp.processors.gate import Gate
from dsp.processors.limiter import Limiter
from dsp.processors.trim import Trim

RATE = 48_000
BLOCK = 64
EVERY = 76 * BLOCK
"""Frames between two changes: no whole number of periods, so that they come at other phases of the tone."""
TONE = (0.5 * np.sin(2 * np.pi * 100 / RATE * np.arange(RATE)))[:, None].astype(np.float32)
ABOVE = butter(8, 5_000, "high", fs=RATE, output="sos")


def strip(*, to_par: float = 0.0, main: GraphBus | None = None, **other):
    feeds = (Feed("par", ((to_par, to_par),)),)
    made = GraphStrip(
        "x", **{"gains": ((0.7, 0.7),), "bands": (Band("bell", 100.0, 0.0, 1.0),), "feeds": feeds, **other}
    )
    return [made], [GraphBus(name="par", feeds=(Feed(),))], main


def bus(**other):
    return strip(main=GraphBus(**{"bands": (Band("bell", 100.0, 0.0, 1.0),), **other}))


def insert(effect):
    return strip(post=(Insert(effect),))


SQUEEZED, OPEN = Compressor(-30.0, 4.0, 5.0, 50.0), Compressor(0.0, 4.0, 5.0, 50.0)
PAIRS = {
    "fader": (strip(), strip(gains=((0.05, 0.05),))),
    "mute": (strip(), strip(gains=((0.0, 0.0),))),
    "pan": (strip(), strip(gains=((1.0, 0.0),))),
    "trim": (strip(), strip(trim_db=-12.0)),
    "polarity": (strip(), strip(polarity_inverted=True)),
    "send": (strip(), strip(to_par=0.5)),
    "band gain": (strip(), strip(bands=(Band("bell", 100.0, 12.0, 1.0),))),
    "band frequency": (
        strip(bands=(Band("bell", 80.0, 12.0, 1.0),)),
        strip(bands=(Band("bell", 800.0, 12.0, 1.0),)),
    ),
    "high-pass": (strip(), strip(hpf_hz=200.0)),
    "threshold": (strip(compressor=OPEN), strip(compressor=SQUEEZED)),
    "compressor": (strip(), strip(compressor=SQUEEZED)),
    "main fader": (bus(), bus(fader_db=-20.0)),
    "main band": (bus(), bus(bands=(Band("bell", 100.0, 12.0, 1.0),))),
    "main compressor": (bus(), bus(compressor=SQUEEZED)),
    "trim insert": (insert(Trim()), insert(Trim(gain_db=-12.0))),
    "equaliser insert": (
        insert(Equaliser(bands=(Band("bell", 100.0, 0.0, 1.0),))),
        insert(Equaliser(bands=(Band("bell", 100.0, 9.0, 1.0),))),
    ),
    "compressor insert": (insert(CompressorInsert(ratio=1.0)), insert(CompressorInsert(threshold_db=-40.0, ratio=4.0))),
    "gate insert": (insert(Gate(threshold_db=-60.0)), insert(Gate(threshold_db=0.0))),
    "limiter insert": (insert(Limiter(ceiling_dbtp=0.0)), insert(Limiter(ceiling_dbtp=-20.0))),
}


def above(signal) -> float:
    """The peak [dBFS] of what lies above 5 kHz."""
    heard = sosfilt(ABOVE, signal, axis=0)[2_400:]
    return 20 * math.log10(max(float(np.abs(heard).max()), 1e-12))


def played(pair, **change):
    with MixGraph(*pair[0], rate_hz=RATE, threads=1) as graph:
        blocks = []
        for begin in range(0, RATE, BLOCK):
            if begin and begin % EVERY == 0:
                assert graph.change(*pair[begin // EVERY % 2], **change)
            blocks.append(graph.process([TONE[begin : begin + BLOCK]]).bus)
    return np.concatenate(blocks)


@pytest.mark.parametrize("name", PAIRS)
def test_no_change_clicks(name) -> None:
    pair = PAIRS[name]
    one, other = (played((settings, settings)) for settings in pair)
    turns = (np.arange(RATE) // EVERY % 2)[:, None]
    switched = np.where(turns == 0, one, other)
    assert above(one) < -100
    assert above(played(pair)) < above(switched) - 45


def test_the_longer_a_fader_takes_the_less_is_heard_of_it() -> None:
    heard = [above(played(PAIRS["fader"], frames=frames)) for frames in (16, 128, 1_024)]
    # A straight way of twice the length has a bend half as sharp.
    np.testing.assert_allclose(np.diff(heard), 2 * [-20 * math.log10(8)], atol=1.0)


changes = st.lists(st.tuples(st.sampled_from(sorted(PAIRS)), st.booleans(), st.integers(1, 2_000)), max_size=40)


@settings(max_examples=15, deadline=None)
@given(changes, st.sampled_from([1.0, 1e6]))
def test_any_changes_in_any_order_stay_finite_and_bounded(turns, level) -> None:
    rng = np.random.default_rng(1)
    with MixGraph(*strip(), rate_hz=RATE, threads=1) as graph:
        for name, which, frames in turns:
            description = PAIRS[name][which]
            if graph.change(*description, frames=frames):
                out = graph.process([(level * rng.uniform(-1, 1, (frames // 3 + 1, 1))).astype(np.float32)]).bus
                assert np.all(np.abs(out) < 200 * level)
