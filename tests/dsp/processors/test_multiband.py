"""The multiband compressor compresses each band by itself and leaves the rest flat."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.processors.multiband import Multiband
from tests.dsp.processors.promises import RATE, changing, db, noise, run, same_for_any_cut, sine


@pytest.mark.parametrize("bands", ["2", "3", "4", "5"])
def test_while_nothing_is_compressed_every_level_is_as_it_was(bands) -> None:
    x = np.zeros((2**15, 1))
    x[0] = 0.5
    y = run(Multiband(bands).start(RATE, 1), x)[:, 0].astype(np.float64)
    assert np.max(np.abs(db(np.fft.rfft(y) / 0.5))) < 0.001


def test_a_band_of_ratio_one_at_any_threshold_changes_nothing_either() -> None:
    x = noise(4000)
    quiet = Multiband("3", band1_threshold_db=-80.0, band1_ratio=1.0)
    assert np.array_equal(run(quiet.start(RATE, 2), x), run(Multiband("3").start(RATE, 2), x))


def gain_of_tone_db(m: Multiband, freq_hz: float, level_db: float) -> float:
    x = sine(freq_hz, 1.0, level_db)
    y = run(m.start(RATE, 1), x)
    late = slice(RATE // 2, None)
    return float(db(np.sqrt(np.mean(y[late] ** 2.0)) / np.sqrt(np.mean(x[late] ** 2.0))))


def test_each_band_follows_its_own_curve() -> None:
    """Tones in the middle of the bands; attack 0 and a long release make the peak detector a peak holder."""
    times = {f"band{k}_{time}_ms": ms for k in (1, 2, 3) for time, ms in (("attack", 0.0), ("release", 5000.0))}
    m = Multiband(
        "3",
        200.0,
        4000.0,
        knee_db=0.0,
        band1_threshold_db=-30.0,
        band1_ratio=2.0,
        band2_threshold_db=-20.0,
        band2_ratio=4.0,
        band2_makeup_db=3.0,
        band3_threshold_db=-12.0,
        band3_ratio=math.inf,
        **times,
    )
    assert gain_of_tone_db(m, 30.0, -10.0) == pytest.approx(-10.0, abs=0.1)
    assert gain_of_tone_db(m, 900.0, -10.0) == pytest.approx(-7.5 + 3.0, abs=0.1)
    assert gain_of_tone_db(m, 17_001.0, -10.0) == pytest.approx(-2.0, abs=0.1)


def test_a_loud_band_leaves_the_others_alone() -> None:
    bass, treble = sine(50.0, 1.0, -3.0), sine(5000.0, 1.0, -30.0)
    m = Multiband("2", 500.0, band1_threshold_db=-40.0, band1_ratio=10.0)
    p = m.start(RATE, 1)
    both = run(p, bass + treble)[RATE // 2 :, 0]
    heard = np.abs(np.sum(both * np.exp(-2j * np.pi * 5000.0 * np.arange(len(both)) / RATE))) * 2.0 / len(both)
    assert db(heard) == pytest.approx(-30.0, abs=0.05)
    assert p.reductions_db[0] < -20.0
    assert p.reductions_db[1] == 0.0
    assert p.reduction_db == p.reductions_db[0]


def test_each_band_hears_that_band_of_a_key() -> None:
    x = sine(50.0, 0.5, -20.0, 2) + sine(5000.0, 0.5, -20.0, 2)
    m = Multiband("2", 500.0, band1_threshold_db=-40.0, band2_threshold_db=-40.0)
    p = m.start(RATE, 2)
    run(p, x, key=sine(6000.0, 0.5, 0.0))
    low, high = p.reductions_db
    assert low == pytest.approx(0.0, abs=0.2)
    assert high < -15.0


def test_the_dry_signal_is_the_sum_of_the_bands() -> None:
    x = noise(4000, 2, 0, 0.02)
    dry = Multiband("4", mix_percent=0.0, band1_threshold_db=-60.0, band3_makeup_db=12.0)
    assert np.array_equal(run(dry.start(RATE, 2), x), run(Multiband("4").start(RATE, 2), x))


CASES = [
    Multiband("5", band1_threshold_db=-40.0, band3_threshold_db=-50.0, link_percent=30.0),
    Multiband("2", 300.0, band2_threshold_db=-60.0, band2_attack_ms=0.0),
]
ENDS = [Multiband("5", 80.0, 900.0, 3000.0, 9000.0, band2_threshold_db=-30.0), Multiband("2", 3000.0, mix_percent=20.0)]


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
    loudest = np.max(np.abs(run(p, noise(2000, 2, 3, 1.0))))
    assert np.max(np.abs(run(p, np.zeros((6000, 2)))[p.tail_frames :])) <= loudest * 1e-6


multibands = st.builds(
    lambda splits, threshold, ratio, attack, release, mix: Multiband(
        "4",
        *sorted(splits),
        mix_percent=mix,
        **{f"band{k}_threshold_db": threshold for k in (1, 2, 3, 4)},
        **{f"band{k}_ratio": ratio for k in (1, 2, 3, 4)},
        **{f"band{k}_attack_ms": attack for k in (1, 2, 3, 4)},
        **{f"band{k}_release_ms": release for k in (1, 2, 3, 4)},
    ),
    st.lists(st.floats(20.0, 20_000.0), min_size=3, max_size=3, unique=True),
    st.floats(-80.0, 0.0),
    st.floats(1.0, math.inf),
    st.floats(0.0, 50.0),
    st.floats(0.0, 500.0),
    st.floats(0.0, 100.0),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(multibands, st.integers(0, 700)), min_size=1, max_size=5))
def test_no_sweep_of_settings_makes_it_loud(sweep) -> None:
    x = noise(600, 2, 9, 1.0)
    p = Multiband("4").start(RATE, 2)
    for target, frames in sweep:
        p.change(target, frames)
        assert np.max(np.abs(run(p, x))) < 20.0


def test_moving_corners_do_not_click() -> None:
    x = sine(300.0, 1.0, -6.0)
    start, end = Multiband("3", 100.0, 1000.0), Multiband("3", 900.0, 9000.0)
    y = changing(start, end, x, [], RATE // 2, 960)[RATE // 4 :, 0].astype(np.float64)
    bend = np.max(np.abs(np.diff(y, 2)))
    assert bend < 1.5 * np.max(np.abs(np.diff(x[:, 0].astype(np.float64), 2)))


def test_another_number_of_bands_while_it_runs_is_refused() -> None:
    with pytest.raises(DspError, match="cannot become"):
        Multiband("3").start(RATE, 1).change(Multiband("4"), 100)


def test_corners_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(DspError, match="ascend"):
        Multiband("3", 3000.0, 200.0).start(RATE, 1)
