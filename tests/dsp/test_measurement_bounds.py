"""The goals of the loop lab that few trials decide, judged by a simulator that shares no code with ``dsp``.

``python -m benchmarks.measurement`` runs the whole table. A root mean square over N Gaussian errors spreads by
``1/√(2N)`` of itself: where a reached figure is compared with a bound or with a reported spread, five of those are
allowed.
"""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path as File

import numpy as np
import pytest

import benchmarks.simulated_loop
import benchmarks.simulated_programme
from benchmarks import measurement_clock as clock
from benchmarks import measurement_loops as loops
from benchmarks import measurement_null as null
from benchmarks import measurement_patch as patch
from benchmarks import measurement_response as response
from benchmarks import measurement_tones as tones
from benchmarks.simulated_loop import Path, Sweep, Tones, comb_return
from benchmarks.simulated_programme import recorded

MAY_IMPORT = {"__future__", "benchmarks.simulated_loop", "numpy", "numpy.typing", *sys.stdlib_module_names}


def allowed(trials: int) -> float:
    """Five standard deviations of the root mean square of that many Gaussian errors, re itself."""
    return 5.0 / math.sqrt(2.0 * trials)


@pytest.mark.parametrize("module", [benchmarks.simulated_loop, benchmarks.simulated_programme])
def test_the_simulator_shares_no_code_with_what_it_judges(module) -> None:
    tree = ast.parse(File(module.__file__).read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name if name in MAY_IMPORT else name.split(".")[0] for name in named} <= MAY_IMPORT


def test_a_period_added_up_by_fourier_is_the_sum_of_its_cosines() -> None:
    rng = np.random.default_rng(1)
    bins, frames = np.array([3, 17, 400, 777]), 2048
    size = rng.normal(size=4) + 1j * rng.normal(size=4)
    by_hand = Tones(bins / frames, np.abs(size), np.angle(size)).through(Path(123.456, -0.7), frames)
    added = comb_return([(bins, size)], frames, np.array([[-0.7]]), np.array([[123.456]]))[:, 0]
    assert np.abs(added - by_hand).max() < 1e-12


@pytest.mark.parametrize("hz", [997.0, 20_000.0])
def test_the_simulators_reader_is_clean_far_below_everything_it_judges(hz: float) -> None:
    path = Path(100.37, drift_ppm=12.0)
    high = np.cos(2.0 * math.pi * hz / 192_000.0 * np.arange(96_000.0))[:, None]
    truth = Tones(np.array([hz / 48_000.0]), np.ones(1), np.zeros(1)).at(path.instants(np.arange(20_000.0)))
    off = (recorded(high, path, 20_000)[:, 0] - truth)[1_000:]
    assert 20.0 * math.log10(np.std(off) / np.std(truth)) < -180.0


def test_a_sweep_is_delayed_exactly_where_it_is_known_exactly() -> None:
    sweep = Sweep(20.0, 18_000.0, 0.2)
    whole, n = sweep.at(np.arange(12_000.0)), np.arange(12_000.0)
    assert np.array_equal(sweep.at(n - 50.0)[50:], whole[:-50])
    assert not whole[9_700:].any()


@pytest.mark.parametrize("noise_db", [-100.0, -80.0, -60.0, -40.0])
def test_latency_and_gain_sit_on_the_cramer_rao_bound_and_say_so(noise_db: float) -> None:
    trials = 500
    delay, gain, wrong = loops.loop_trials(4_096, noise_db, trials, 1)
    assert wrong == 0
    for found in (delay, gain):
        assert 1.0 - allowed(trials) < found.over_bound <= 1.2
        assert found.honesty == pytest.approx(1.0, abs=allowed(trials))


def test_latency_reaches_its_figures_in_a_tenth_of_a_second_and_gain_too() -> None:
    assert loops.loop_trials(4_096, -80.0, 200, 2)[0].rmse <= 1e-5
    assert loops.loop_trials(4_096, -40.0, 200, 2)[0].rmse <= 5e-4
    assert loops.loop_trials(4_096, -60.0, 200, 2)[1].rmse <= 1e-3


@pytest.mark.parametrize("bits", [False, True])
def test_no_fraction_is_biased_by_a_millionth_of_a_sample(*, bits: bool) -> None:
    assert loops.comb_bias(bits=bits) <= 1e-6
    assert loops.sweep_bias(bits=bits) <= 1e-6


def test_polarity_is_never_wrong_at_minus_40() -> None:
    delay, _, wrong = loops.loop_trials(2_048, -40.0, 3_000, 3)
    assert wrong == 0
    assert np.abs(delay.errors).max() < 0.01


def test_skew_of_all_pairs_of_32_in_one_capture() -> None:
    errors, _ = loops.skew_errors(1, 4)
    assert np.abs(errors).max() <= 1e-4


def test_no_cell_of_a_patch_is_wrong() -> None:
    wrong, _, errors, sds = patch.cells(32, 4, 5)
    assert wrong == 0
    assert np.sqrt(np.mean(errors**2)) <= 0.002
    assert np.sqrt(np.mean((errors / sds) ** 2)) == pytest.approx(1.0, abs=0.3)  # what bends adds a little


def test_the_response_of_a_path_with_couplings_and_low_pass() -> None:
    gain, phase, gain_sd, phase_sd = response.response_errors(response.loop_responses(response.EIGHT, 2, 6))
    assert np.abs(gain).max() <= 0.005
    assert np.abs(phase).max() <= 0.05
    for errors, sds in ((gain, gain_sd), (phase, phase_sd)):
        assert np.sqrt(np.mean((errors / sds) ** 2)) <= 1.0 + allowed(errors.size)


def test_every_leak_at_minus_80() -> None:
    errors = response.pair_errors(-80.0, -80.0, 7)
    assert np.sqrt(np.mean(errors**2)) <= 1.0


def test_drift_in_ten_seconds_is_near_its_bound() -> None:
    found = clock.drift_trials(10.0, -80.0, 5, 8)
    assert found.rmse <= 1e-4
    assert found.over_bound <= 2.0


def test_a_wandering_clock_is_followed_to_a_ten_thousandth_of_a_sample() -> None:
    assert clock.wander_error(30.0, 9)[0] <= 1e-4


def test_distortion_is_read_far_below_the_noise() -> None:
    assert tones.off(tones.thd_figures(-90.0, -100.0, 1.0, 20, 10), -90.0)[0] <= 0.05
    assert tones.off(tones.thd_figures(-120.0, -110.0, 4.0, 4, 11), -120.0)[0] <= 0.5
    assert tones.numeric_residual_db() <= -200.0


def test_thd_plus_noise_and_dynamic_range_spread_as_the_noise_makes_them() -> None:
    trials = 24
    fitted, _, truth = tones.thdn_figures(trials, 12)
    assert tones.off(fitted, truth)[0] <= 0.05
    ranges, truth = tones.dynamic_range_figures(trials, 13)
    bound = 4.343 / math.sqrt(tones.in_band(0.0, tones.ccir_weighting)[1])
    assert tones.off(ranges, truth)[0] <= bound * (1.0 + allowed(trials))


@pytest.mark.parametrize(("imd_db", "goal_db"), [(-80.0, 0.1), (-100.0, 0.5)])
def test_intermodulation(imd_db: float, goal_db: float) -> None:
    trials = 8
    second, third = tones.ccif_figures(imd_db, trials, 14)
    assert tones.off(second, imd_db)[0] <= goal_db
    assert tones.off(third, imd_db)[0] <= goal_db
    smpte = tones.smpte_figures(imd_db, trials, 15)
    rms, _, _ = tones.off(smpte, imd_db)
    assert rms <= goal_db * (1.0 + allowed(trials))
    assert np.mean([f.sd for f in smpte]) <= goal_db


def test_every_hum_line_has_its_name() -> None:
    assert tones.hum_named(6, 16)[1] == 0


def test_a_flat_print_nulls_to_its_noise_at_minus_100_and_the_floor_is_foretold() -> None:
    found, _ = null.nulled(null.FLAT, -100.0, 17, seconds=5.0)
    assert found.null_depth_db is not None
    assert found.null_depth_db <= -99.5
    assert null.predicted_error_db(null.FLAT, -80.0, 18, seconds=5.0)[0] == pytest.approx(0.0, abs=1.0)


def test_the_reader_of_the_null_test_is_clean_to_20_khz() -> None:
    assert null.reader_floor_db() <= -140.0
