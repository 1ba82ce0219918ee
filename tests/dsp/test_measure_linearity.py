"""Gain over level and the clip point of paths whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.measure.linearity import measure_linearity

RATE = 48_000
LEVELS = [-60.0, -50.0, -40.0, -30.0, -20.0, -12.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0]


def steps(law, *, levels=LEVELS, sigma=1e-6, seed=1, seconds=0.2):
    rng = np.random.default_rng(seed)
    turn = 2.0 * np.pi * (997.0 * (1.0 + 30e-6) / RATE) * np.arange(int(seconds * RATE))
    return [(v, law(10.0 ** (v / 20.0) * np.sin(turn)) + rng.normal(0.0, sigma, turn.size)) for v in levels]


def test_a_straight_path_has_no_deviation_and_no_clip_point():
    found = measure_linearity(steps(lambda x: 0.5 * x), rate_hz=RATE)
    for point in found.points:
        assert point.gain_db.value == pytest.approx(20.0 * math.log10(0.5), abs=4.5 * point.gain_db.sd + 1e-9)
    assert abs(found.worst_db.value) <= 4.5 * found.worst_db.sd
    assert found.clip_dbfs.note == "not observable: clipping was not reached up to -1 dBFS, the highest level tried"


def test_a_cubic_path_deviates_as_algebra_says():
    # y = x − c·x³: the fundamental of A·sin is A·(1 − 3/4·c·A²).
    c = 0.01
    found = measure_linearity(steps(lambda x: x - c * x**3, levels=LEVELS), rate_hz=RATE)

    def gain_db(level):
        return 20.0 * math.log10(1.0 - 0.75 * c * 10.0 ** (level / 10.0))

    for point in found.points:
        expected = gain_db(point.level_dbfs) - gain_db(-20.0)
        assert point.deviation_db.value == pytest.approx(expected, abs=4.5 * point.deviation_db.sd + 1e-9)
    assert found.worst_db.value == pytest.approx(gain_db(-1.0) - gain_db(-20.0), abs=1e-4)
    assert "at -1 dBFS" in found.worst_db.note


@pytest.mark.parametrize("limit_dbfs", [-10.0, -5.5, -2.2])
def test_a_hard_limit_is_found_where_thdn_reaches_one_percent_or_the_gain_falls(limit_dbfs):
    limit = 10.0 ** (limit_dbfs / 20.0)
    found = measure_linearity(steps(lambda x: np.clip(x, -limit, limit)), rate_hz=RATE)
    # A clipped sine reaches 1 % a few hundredths to tenths of a dB above its limit: within a step of 1 or 4 dB.
    assert abs(found.clip_dbfs.value - limit_dbfs) <= 3.5 * found.clip_dbfs.sd
    assert abs(found.worst_db.value) <= 0.001


def test_a_soft_path_clips_where_the_gain_has_fallen_a_tenth_of_a_db():
    # The level at which the fundamental of tanh has fallen 0.1 dB, or its THD reaches 1 %, by quadrature.
    fine = [-60.0, -20.0, *np.arange(-14.0, -0.9, 0.25)]
    found = measure_linearity(steps(np.tanh, levels=fine, seconds=0.2), rate_hz=RATE)
    u = np.linspace(0.0, 2.0 * np.pi, 513)[:-1]

    def fundamental_and_thd(level):
        peak = 10.0 ** (level / 20.0)
        y = np.tanh(peak * np.sin(u))
        b = [2.0 * np.mean(y * np.sin(k * u)) for k in range(1, 10)]
        return 20.0 * math.log10(b[0] / peak), math.sqrt(sum(v * v for v in b[1:])) / b[0]

    grid = np.arange(-20.0, 0.0, 0.02)
    rows = [fundamental_and_thd(v) for v in grid]
    reference = fundamental_and_thd(-20.0)[0]
    first = next(v for v, (g, d) in zip(grid, rows, strict=True) if reference - g >= 0.1 or d >= 0.01)
    assert found.clip_dbfs.value == pytest.approx(first, abs=0.05)


def test_noise_at_low_levels_is_not_taken_for_clipping():
    found = measure_linearity(steps(lambda x: x, sigma=1e-3), rate_hz=RATE)
    assert found.points[0].thdn_db.value > -40.0
    assert not found.clip_dbfs.observable


def test_a_step_without_tone_has_no_gain_and_the_rest_stays():
    plan = steps(lambda x: x)
    plan[0] = (-60.0, np.zeros(RATE // 5))
    found = measure_linearity(plan, rate_hz=RATE)
    assert not found.points[0].gain_db.observable
    assert found.worst_db.observable
    nothing = measure_linearity([(v, np.zeros(RATE)) for v in (-20.0, -10.0)], rate_hz=RATE)
    assert nothing.worst_db.note.startswith("not observable: no tone near 997 Hz")
    assert nothing.clip_dbfs.note == nothing.worst_db.note


def test_one_step_alone_has_nothing_to_compare_with():
    found = measure_linearity(steps(lambda x: x, levels=[-20.0]), rate_hz=RATE)
    assert "no second step" in found.worst_db.note


@settings(max_examples=5, deadline=None)
@given(
    gain=st.floats(0.05, 2.0), dc=st.floats(-0.02, 0.02), flip=st.booleans(), order=st.randoms(use_true_random=False)
)
def test_gain_sign_dc_and_order_of_the_steps_change_no_deviation(gain, dc, flip, order):
    plan = steps(lambda x: x - 0.02 * x**3, levels=[-40.0, -20.0, -6.0, -1.0], seconds=0.1)
    one = measure_linearity(plan, rate_hz=RATE)
    other = [(v, (-gain if flip else gain) * y + dc) for v, y in plan]
    order.shuffle(other)
    assert measure_linearity(other, rate_hz=RATE).worst_db.value == pytest.approx(one.worst_db.value, abs=1e-6)


def test_no_step_and_bad_captures_are_refused():
    for bad in ([], [(-20.0, np.zeros(1))], [(-20.0, np.full(RATE, np.nan))]):
        with pytest.raises(DspError) as caught:
            measure_linearity(bad, rate_hz=RATE)
        assert caught.value.hint
