"""What every colour promises: saturation, stereo tools, tremolo, modulation, micro shift, twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.processor import Settings
from dsp.processors.modulation import Chorus, Flanger, Phaser
from dsp.processors.pitch import MicroShift
from dsp.processors.saturation import Saturation
from dsp.processors.stereo import Balance, MidSide, Rotate, Width
from dsp.processors.tremolo import Tremolo
from dsp.processors.twin import Twin, TwinModel
from dsp.registry import effect
from tests.dsp.processors.promises import RATE, changing, noise, run
from tests.dsp.processors.streams import moved, sine, splash_db


@dataclass(frozen=True)
class Case:
    """Two settings of one kind; ``nothing`` are such that change no bit."""

    here: Settings
    there: Settings
    nothing: Settings


FADING = 0.9 ** np.arange(200) / 10.0
CASES = [
    Case(
        Saturation("tape", 12.0, 0.0, 2.0, -3.0, 80.0),
        Saturation("clip", 3.0, 40.0, -3.0, 0.0, 100.0),
        Saturation("tube", 24.0, mix_percent=0.0),
    ),
    Case(Width(40.0, 150.0), Width(180.0), Width()),
    Case(MidSide(-120.0, 3.0), MidSide(6.0, -6.0), MidSide()),
    Case(Balance(-60.0, -4.5), Balance(30.0, -3.0, "swapped"), Balance()),
    Case(Rotate(-30.0), Rotate(120.0), Rotate()),
    Case(
        Tremolo(4.0, depth_percent=80.0, spread_deg=180.0),
        Tremolo(7.0, "tempo", 120.0, 0.25, "square"),
        Tremolo(depth_percent=0.0),
    ),
    Case(
        Chorus(0.8, delay_ms=12.0, depth_ms=4.0, feedback_percent=20.0),
        Chorus(3.0, delay_ms=7.0, depth_ms=1.0, voices=4, mix_percent=80.0),
        Chorus(mix_percent=0.0),
    ),
    Case(
        Flanger(0.5, feedback_percent=90.0),
        Flanger(2.0, delay_ms=1.0, depth_ms=5.0, feedback_percent=-80.0),
        Flanger(mix_percent=0.0),
    ),
    Case(
        Phaser(0.5, feedback_percent=90.0),
        Phaser(2.0, stages=12, centre_hz=2000.0, feedback_percent=-50.0),
        Phaser(mix_percent=0.0),
    ),
    Case(MicroShift(), MicroShift(0.0, -50.0, 10.0, 30.0, 80.0), MicroShift(mix_percent=0.0)),
    Case(
        Twin(TwinModel(FADING, ((2, FADING), (5, -FADING))), 80.0, 64),
        Twin(TwinModel(-FADING, ((5, FADING[:50]),)), 100.0, 64),
        Twin(TwinModel(FADING, ((2, FADING),)), 0.0),
    ),
]
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.here.kind)


@each
def test_the_registry_knows_it(case) -> None:
    assert effect(case.here.kind) is type(case.here)


@each
@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(1, 3999), max_size=8), frames=st.integers(1, 1500))
def test_any_cut_into_blocks_gives_the_same_samples(case, cuts, frames) -> None:
    x = noise(4000)
    whole = changing(case.here, case.there, x, [], 1500, frames)
    assert np.array_equal(changing(case.here, case.there, x, cuts, 1500, frames), whole)


@each
def test_settings_that_do_nothing_change_no_bit(case) -> None:
    x = noise(4000)
    p = case.nothing.start(RATE, 2)
    y = run(p, x, [1000, 1001])
    late = p.latency_frames
    assert np.array_equal(y[late:], x[: len(x) - late])
    assert not np.any(y[:late])


@each
def test_silence_stays_silent_and_comes_back_after_the_tail(case) -> None:
    p = case.here.start(RATE, 2)
    assert not np.any(run(p, np.zeros((3000, 2))))
    loudest = np.max(np.abs(run(p, noise(3000))))
    run(p, np.zeros((p.latency_frames + p.tail_frames, 2)))
    assert np.max(np.abs(run(p, np.zeros((3000, 2))))) <= 1e-6 * loudest


STEREO_ONLY = ("width", "ms", "balance", "rotate")


@pytest.mark.parametrize(
    "case,channels",
    [(case, n) for case in CASES for n in (1, 2) if n == 2 or case.here.kind not in STEREO_ONLY],
    ids=lambda value: getattr(value, "here", Settings).kind or value,
)
def test_it_stays_finite_and_is_as_new_after_a_reset(case, channels) -> None:
    p = case.here.start(RATE, channels)
    assert np.all(np.isfinite(run(p, np.random.default_rng(1).choice([-1e6, 0.0, 1e-30, 1e6], (3000, channels)))))
    p.reset()
    x = noise(3000, channels)
    assert np.array_equal(run(p, x), run(case.here.start(RATE, channels), x))


@each
@settings(max_examples=4, deadline=None)
@given(shares=st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 400)), min_size=8, max_size=8))
def test_no_sweep_of_settings_makes_it_ring_up(case, shares) -> None:
    x = noise(8 * 300, level=0.3)
    moves = [(300 * (i + 1), case.here.towards(case.there, s), n) for i, (s, n) in enumerate(shares[:-1])]
    y = moved(case.here, moves, x)
    assert np.max(np.abs(y)) <= 10.0 ** (24.0 / 20.0) * np.max(np.abs(x))


@each
def test_a_change_of_20_ms_splashes_no_more_than_the_settings_do_themselves_or_a_fade_of_12_db(case) -> None:
    x = sine(500.0, 16_000, 0.1, channels=2)
    around = slice(8000 - 1024, 8000 + 3072)
    fade = np.interp(np.arange(len(x)), [8000, 8960], [1.0, 4.0])[:, None] * x
    steady = [run(s.start(RATE, 2), x) for s in (case.here, case.there)]
    y = moved(case.here, [(8000, case.there, 960)], x)
    allowed = max(splash_db(s, 9000.0, around) for s in [*steady, fade])
    assert splash_db(y, 9000.0, around) <= max(allowed, -100.0) + 1.0


@each
def test_it_runs_at_every_rate(case) -> None:
    for rate in (44_100.0, 192_000.0):
        assert np.all(np.isfinite(run(case.here.start(rate, 2), noise(1500))))
