"""Gains over the song as values: what they are worth at a moment, equal by value, fit to be pickled."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from dsp.moving_gains import FaderGains, Level, SendGains, SideGains, StereoGains, StripGains, Switch
from dsp.stereo import PanLaw

AT_S = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 9.0])
FADE = Level(((1.0, 0.0), (2.0, -20.0)))


def test_a_level_is_straight_between_its_points_and_stands_before_and_behind() -> None:
    np.testing.assert_allclose(FADE(AT_S), [0.0, 0.0, 0.0, -10.0, -20.0, -20.0])


def test_of_two_points_at_one_moment_the_later_holds_from_then_on() -> None:
    jump = Level(((1.0, 0.0), (1.0, -6.0)))
    assert jump(np.array([0.999, 1.0, 1.001])).tolist() == [0.0, -6.0, -6.0]


def test_a_level_that_comes_down_to_off_is_silent() -> None:
    assert Level(((0.0, -119.0), (1.0, -math.inf)))(np.array([1.0]))[0] == -math.inf
    assert FaderGains(Level(((0.0, -math.inf),)))(AT_S).tolist() == [0.0] * len(AT_S)


def test_a_switch_turns_at_its_points() -> None:
    assert Switch(((0.0, False), (1.0, True), (2.0, False)))(AT_S).tolist() == [0, 0, 1, 1, 0, 0]


def test_fader_mute_and_pan_are_one_matrix_of_gains() -> None:
    pan = Level(((0.0, -100.0), (1.0, 0.0), (2.0, 100.0)), -math.inf)
    gains = SideGains(1, FADE, Switch(((9.0, False), (9.0, True))), pan, PanLaw(-6.0))(AT_S)
    assert gains.shape == (6, 1, 2)
    # The law of −6 dB is 1 − r and r; the fader is at −10 dB half way down.
    np.testing.assert_allclose(gains[1, 0], [0.75, 0.25])
    np.testing.assert_allclose(gains[3, 0], np.array([0.25, 0.75]) * 10 ** (-10 / 20))
    assert not np.any(gains[5])


def test_a_strip_has_its_send_in_a_third_column_and_a_send_has_it_inside() -> None:
    sides = SideGains(2, FADE)
    strip, send = StripGains(sides, -6.0)(AT_S), SendGains(sides, -6.0)(AT_S)
    assert strip.shape == (6, 2, 3)
    np.testing.assert_allclose(strip[:, :, 2], 10 ** (-6 / 20))
    np.testing.assert_allclose(send, strip[:, :, :2] * strip[:, :, 2:])


@pytest.mark.parametrize(("pan", "side"), [(-50.0, (1.0, 0.0)), (49.0, None), (50.0, (0.0, 1.0))])
def test_left_centre_and_right_only(pan, side) -> None:
    centre = (math.sqrt(0.5), math.sqrt(0.5))
    assert PanLaw(lcr=True).matrix(pan, 1)[0] == pytest.approx(side or centre)


def test_gains_are_equal_by_value_and_come_back_from_a_pickle() -> None:
    def made(level_db):
        level = Level(((0.0, level_db), (1.0, 0.0)))
        sides = SideGains(1, level, Switch(((0.0, True),)), 3.0, PanLaw(-4.5, lcr=True))
        return [StripGains(sides, level), SendGains(((0.1, 0.2),), level), StereoGains(FaderGains(level))]

    assert made(-3.0) == made(-3.0) == pickle.loads(pickle.dumps(made(-3.0)))
    assert not any(one == other for one, other in zip(made(-3.0), made(-4.0), strict=True))
