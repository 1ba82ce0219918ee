"""The de-esser turns down what is sharp, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.processors.deesser import DeEsser
from tests.dsp.processors.promises import RATE, changing, db, noise, run, same_for_any_cut, sine


def gain_of_tone_db(d: DeEsser, freq_hz: float, key: np.ndarray) -> float:
    """Return what becomes of a quiet tone while ``key`` holds the gain."""
    x = sine(freq_hz, 1.0, -40.0)
    y = run(d.start(RATE, 1), x, key=key)
    late = slice(RATE // 2, None)
    return float(db(np.sqrt(np.mean(y[late] ** 2.0)) / np.sqrt(np.mean(x[late] ** 2.0))))


ESS = sine(12_000.0, 1.0, 0.0)


@pytest.mark.parametrize("freq_hz", [200.0, 1000.0, 2500.0, 4000.0, 5600.0, 9000.0])
@pytest.mark.parametrize("range_db", [6.0, 20.0])
def test_the_split_band_is_a_butterworth_shelf(freq_hz, range_db) -> None:
    corner = 4000.0
    d = DeEsser(corner, -60.0, math.inf, range_db, 0.0, 0.1, 0.0, 500.0)
    g = 10.0 ** (-range_db / 20.0)
    w = math.tan(math.pi * freq_hz / RATE) / math.tan(math.pi * corner / RATE)  # the bilinear map of both frequencies
    expected = 10.0 * math.log10((1.0 + g**2 * w**4) / (1.0 + w**4))
    assert gain_of_tone_db(d, freq_hz, ESS) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("freq_hz", [200.0, 9000.0])
def test_the_wide_band_is_turned_down_altogether(freq_hz) -> None:
    d = DeEsser(4000.0, -60.0, math.inf, 8.0, 0.0, 0.1, 0.0, 500.0, band="wide")
    assert gain_of_tone_db(d, freq_hz, ESS) == pytest.approx(-8.0, abs=0.02)


@pytest.mark.parametrize("band", ["split", "wide"])
def test_what_is_not_sharp_keeps_every_bit(band) -> None:
    x = sine(300.0, 0.5, -1.0, 2)
    p = DeEsser(6000.0, -30.0, band=band).start(RATE, 2)
    assert np.array_equal(run(p, x), x)
    assert p.reduction_db == 0.0


@pytest.mark.parametrize("nothing", [{"ratio": 1.0}, {"range_db": 0.0}])
def test_where_it_may_do_nothing_it_changes_no_bit(nothing) -> None:
    x = noise(3000)
    p = DeEsser(2000.0, -60.0, lookahead_ms=1.0, **nothing).start(RATE, 2)
    y = run(p, x, [100, 1500])
    assert p.latency_frames == 48
    assert np.array_equal(y[48:], x[:-48])


def test_a_sharp_tone_is_compressed_along_the_curve() -> None:
    x = sine(7013.0, 1.0, -10.0)
    y = run(DeEsser(1500.0, -30.0, 4.0, 60.0, 0.0, 0.2, 5.0, 100.0, band="wide").start(RATE, 1), x)
    assert db(np.max(np.abs(y[-480:])) / np.max(np.abs(x[-480:]))) == pytest.approx(-15.0, abs=0.1)


CASES = [DeEsser(3000.0, -50.0, 8.0, 30.0, link_percent=20.0), DeEsser(8000.0, -40.0, band="wide", lookahead_ms=1.0)]
ENDS = [DeEsser(9000.0, -20.0, band="wide", hold_ms=2.0), DeEsser(1500.0, -60.0, math.inf, 50.0, lookahead_ms=1.0)]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(range(2)), st.lists(st.integers(1, 3999), max_size=8), st.integers(1, 1500))
def test_any_cut_into_blocks_gives_the_same_samples(case, cuts, frames) -> None:
    assert same_for_any_cut(CASES[case], ENDS[case], noise(4000), cuts, frames)


@pytest.mark.parametrize("case", range(2))
def test_silence_stays_silent_loud_nonsense_finite_and_the_tail_ends(case) -> None:
    p = CASES[case].start(RATE, 2)
    assert not np.any(run(p, np.zeros((3000, 2))))
    x = np.random.default_rng(1).choice([-1e6, 0.0, 1e-30, 1e6], (3000, 2))
    assert np.all(np.isfinite(run(p, x)))
    p.reset()
    assert not np.any(run(p, np.zeros((3000, 2))))
    loud = noise(2000, 2, 3, 1.0)
    loudest = np.max(np.abs(run(p, loud)))
    after = run(p, np.zeros((4000, 2)))[p.latency_frames + p.tail_frames :]
    assert np.max(np.abs(after)) <= loudest * 1e-6
    assert not np.any(after[2000:])


deessers = st.builds(
    DeEsser,
    freq_hz=st.floats(1000.0, 16_000.0),
    threshold_db=st.floats(-120.0, 0.0),
    range_db=st.floats(0.0, 60.0),
    attack_ms=st.floats(0.0, 50.0),
    release_ms=st.floats(0.0, 500.0),
    band=st.sampled_from(["split", "wide"]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(deessers, st.integers(0, 700)), min_size=1, max_size=6))
def test_no_sweep_of_settings_makes_it_loud(sweep) -> None:
    x = noise(600, 2, 9, 1.0)
    p = DeEsser().start(RATE, 2)
    for target, frames in sweep:
        p.change(target, frames)
        assert np.max(np.abs(run(p, x))) < 3.0 * np.max(np.abs(x))


def test_turning_from_split_to_wide_does_not_click() -> None:
    """A low tone is the same before and, 12 dB lower, after; what lies between has no sharp edge."""
    x, key = sine(200.0, 1.0, -6.0), sine(12_000.0, 1.0, 0.0)
    start, end = (DeEsser(4000.0, -60.0, math.inf, 12.0, 0.0, 0.1, 5.0, 500.0, band=b) for b in ("split", "wide"))
    y = changing(start, end, x, [], RATE // 2, 960, key=key)[RATE // 4 :, 0].astype(np.float64)
    bend = np.abs(np.diff(y, 2))
    assert np.max(bend) < 1.5 * np.max(np.abs(np.diff(x[:, 0].astype(np.float64), 2))) + 2e-7


def test_another_look_ahead_while_it_runs_is_refused() -> None:
    with pytest.raises(DspError, match="look-ahead"):
        DeEsser().start(RATE, 1).change(DeEsser(lookahead_ms=1.0), 100)
