"""Pan laws and balance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.errors import DspError
from dsp.stereo import PAN_LAWS_DB, balance_gains, pan_gains


@pytest.mark.parametrize("law_db", PAN_LAWS_DB)
def test_hard_panned_is_unity_on_one_side_and_silence_on_the_other(law_db) -> None:
    assert pan_gains(-100.0, law_db) == (1.0, 0.0)
    assert pan_gains(100.0, law_db) == (0.0, 1.0)


@pytest.mark.parametrize("law_db,centre", [(-3.0, -3.0103), (-6.0, -6.0206), (-4.5, -4.51545), (-2.5, -2.5)])
def test_a_law_is_named_by_its_centre(law_db, centre) -> None:
    left, right = pan_gains(0.0, law_db)
    assert left == pytest.approx(right)
    assert 20.0 * math.log10(left) == pytest.approx(centre, abs=1e-4)


@given(st.floats(-100.0, 100.0))
def test_constant_power_keeps_the_power_and_the_linear_law_the_sum(pan) -> None:
    left, right = pan_gains(pan, -3.0)
    assert left**2 + right**2 == pytest.approx(1.0)
    assert sum(pan_gains(pan, -6.0)) == pytest.approx(1.0)


@given(st.floats(-100.0, 100.0), st.sampled_from(PAN_LAWS_DB))
def test_panning_is_symmetric(pan, law_db) -> None:
    left, right = pan_gains(pan, law_db)
    assert pan_gains(-pan, law_db) == pytest.approx((right, left), abs=1e-12)


@given(st.floats(-100.0, 99.0), st.floats(0.01, 1.0), st.sampled_from(PAN_LAWS_DB))
def test_further_right_is_never_louder_on_the_left(pan, step, law_db) -> None:
    here, there = pan_gains(pan, law_db), pan_gains(pan + step, law_db)
    assert there[0] <= here[0] and there[1] >= here[1]


@pytest.mark.parametrize("law_db", PAN_LAWS_DB)
def test_balance_is_unity_at_the_centre_and_mutes_the_far_side(law_db) -> None:
    assert balance_gains(0.0, law_db) == pytest.approx((1.0, 1.0))
    assert balance_gains(-100.0, law_db) == (1.0, 0.0)
    assert balance_gains(100.0, law_db) == (0.0, 1.0)
    assert balance_gains(40.0, law_db)[1] == 1.0


@pytest.mark.parametrize("pan,law_db", [(101.0, -3.0), (math.nan, -3.0), (0.0, -5.0)])
def test_an_unknown_law_or_position_is_refused(pan, law_db) -> None:
    with pytest.raises(DspError):
        pan_gains(pan, law_db)
