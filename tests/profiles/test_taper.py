"""Tapers: values and codes as the manuals print them, and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import taper_schema as schema
from profiles.curve import make_curve
from profiles.errors import ProfileSyntaxError, ValueRangeError
from profiles.library import read_library
from profiles.profile import Control
from profiles.taper import NumberTaper, SwitchTaper, Taper, make_taper, problems_of

FADER = make_taper(
    schema.PointsTaper(
        off=0, points=[(1, -80.0), (20, -60.0), (48, -40.0), (104, -20.0), (144, -10.0), (192, 0.0), (255, 10.0)]
    ),
    "dB",
)
SHIPPED = [control for profile in read_library().profiles for control in profile.controls.values()]


def distinct(controls: list[Control]) -> list[Control]:
    """One control of every taper: the strips of a desk share theirs."""
    return list({id(control.taper): control for control in controls}.values())


@pytest.mark.parametrize(
    ("raw", "level_db"),
    [
        (0, -math.inf),
        (1, -80.0),
        (20, -60.0),
        (34, -50.0),
        (48, -40.0),
        (104, -20.0),
        (144, -10.0),
        (168, -5.0),
        (255, 10.0),
    ],
)
def test_printed_points_and_halves_between_them(raw: int, level_db: float) -> None:
    assert FADER.from_raw(raw) == pytest.approx(level_db)
    assert FADER.to_raw(level_db) == raw


def test_below_half_the_lowest_level_is_off() -> None:
    # -80 dB is an amplitude of 1e-4, half of it -86.02 dB: nearer to silence below, nearer to the step above.
    assert FADER.to_raw(-86.1) == 0
    assert FADER.to_raw(-85.9) == 1
    assert FADER.to_raw(-math.inf) == FADER.to_raw("off") == 0


def test_step_is_the_distance_to_the_farther_neighbour() -> None:
    assert FADER.step_at(-5.0) == pytest.approx(10 / 48)
    assert FADER.step_at(0.0) == pytest.approx(10 / 48)  # 10/48 dB below, 10/63 dB above
    assert FADER.step_at(10.0) == pytest.approx(10 / 63)
    assert FADER.step_at(-math.inf) == 0.0


@pytest.mark.parametrize("value", [10.1, math.inf, math.nan, True, "loud"])
def test_fader_refuses_what_it_cannot_be_told(value: float | bool | str) -> None:
    with pytest.raises(ValueRangeError):
        FADER.to_raw(value)


def test_codes_beyond_the_curve_mean_nothing() -> None:
    with pytest.raises(ValueRangeError, match="256"):
        FADER.from_raw(256)


def test_power2_is_the_consoles_frequency_formula() -> None:
    taper = make_taper(schema.Power2Taper(raw=(5, 124), base=20, at=4, per=12), "Hz")
    assert taper.from_raw(52) == pytest.approx(320.0)  # four octaves above 20 Hz
    assert taper.from_raw(124) == pytest.approx(20480.0)  # ten octaves
    assert taper.to_raw(1000.0) == 72  # 4 + 12 log2(50) = 71.73


def test_log_pot_has_its_geometric_mean_in_the_middle() -> None:
    taper = make_taper(schema.LogTaper(raw=(0, 1000), value=(100.0, 10000.0)), "Hz")
    assert taper.from_raw(500) == pytest.approx(1000.0)
    assert taper.travel(1000.0) == pytest.approx(0.5)


def test_power_pot_bends() -> None:
    taper = make_taper(schema.PowerTaper(raw=(0, 100), value=(0.0, 10.0), exponent=2.0), "raw")
    assert taper.from_raw(50) == pytest.approx(2.5)
    assert taper.to_raw(2.5) == 50


def test_off_of_a_pot_that_is_no_level_is_a_word() -> None:
    taper = make_taper(schema.LogTaper(raw=(100, 1000), value=(20.0, 400.0), off=0), "Hz")
    assert taper.from_raw(0) == "off"
    assert taper.to_raw("off") == 0
    assert taper.travel("off") == 0.0
    assert taper.travel(20.0) == pytest.approx(0.1)


def test_received_code_that_means_the_same_as_another() -> None:
    taper = make_taper(schema.LinearTaper(raw=(1, 127), value=(-100.0, 100.0), same=[(0, 1)]), "pan")
    assert taper.from_raw(0) == taper.from_raw(1) == -100.0
    assert taper.from_raw(64) == 0.0
    assert taper.to_raw(-100.0) == 1


def test_switch_by_ranges_sends_its_own_code() -> None:
    choices = [schema.Choice(2.0, 21, (0, 42)), schema.Choice(4.0, 64, (43, 84)), schema.Choice(10.0, 106, (85, 127))]
    taper = make_taper(schema.ChoicesTaper(choices=choices), "ratio")
    assert [taper.from_raw(raw) for raw in (0, 42, 43, 84, 85, 127)] == [2.0, 2.0, 4.0, 4.0, 10.0, 10.0]
    assert [taper.to_raw(value) for value in (2.0, 3.9, 10.0)] == [21, 64, 106]
    assert taper.step_at(4.0) == 6.0
    with pytest.raises(ValueRangeError):
        taper.to_raw(20.0)


def test_inverted_switch() -> None:
    taper = make_taper(schema.SwitchTaper(on=0, off=1), "bool")
    assert taper.to_raw(True) == 0
    assert taper.from_raw(1) is False
    with pytest.raises(ValueRangeError):
        taper.to_raw(1.0)  # a number is no position of a switch


@pytest.mark.parametrize(
    "table",
    [
        schema.PointsTaper(points=[(0, 0.0), (10, 5.0), (20, 5.0)]),
        schema.PointsTaper(points=[(0, 0.0), (10, 5.0), (20, 1.0)]),
        schema.PointsTaper(points=[(0, 0.0), (0, 5.0)]),
        schema.PointsTaper(points=[(0, -math.inf), (5, 5.0)]),
        schema.PointsTaper(points=[(0, 0.0)]),
        schema.LinearTaper(raw=(0, 127), value=(3.0, 3.0)),
        schema.LinearTaper(raw=(5, 5), value=(0.0, 1.0)),
        schema.LinearTaper(raw=(0, 127), value=(0.0, 1.0), off=5),
        schema.LinearTaper(raw=(1, 127), value=(0.0, 1.0), same=[(0, 128)]),
        schema.OffsetTaper(raw=(0, 127), step=0.0),
        schema.LogTaper(raw=(0, 127), value=(0.0, 1.0)),
        schema.Power2Taper(raw=(0, 127), base=0.0, at=0.0, per=12.0),
        schema.PowerTaper(raw=(0, 127), value=(0.0, 1.0), exponent=-1.0),
        schema.SwitchTaper(on=1, off=1),
        schema.ChoicesTaper(choices=[schema.Choice("a", 0)]),
        schema.ChoicesTaper(choices=[schema.Choice("a", 0), schema.Choice(2.0, 1)]),
        schema.ChoicesTaper(choices=[schema.Choice("a", 0, (0, 9)), schema.Choice("b", 9, (9, 20))]),
        schema.ChoicesTaper(choices=[schema.Choice("a", 5, (0, 4)), schema.Choice("b", 9, (9, 20))]),
        schema.ChoicesTaper(choices=[schema.Choice(2.0, 0), schema.Choice(1.0, 1)]),
    ],
)
def test_tapers_that_lead_nowhere_are_refused(table: schema.TaperTable) -> None:
    with pytest.raises(ProfileSyntaxError):
        make_taper(table, "dB")


@pytest.mark.parametrize("control", distinct(SHIPPED), ids=lambda control: control.name)
def test_every_code_of_every_shipped_taper_comes_back(control: Control) -> None:
    assert problems_of(control.taper) == []


@settings(deadline=None)
@given(data=st.data())
def test_any_value_lands_within_half_a_step(data: st.DataObject) -> None:
    control = data.draw(st.sampled_from(distinct(SHIPPED)))
    taper: Taper = control.taper
    if isinstance(taper, NumberTaper) or (isinstance(taper, SwitchTaper) and taper.numbers):
        value = data.draw(st.floats(control.low, control.high) | st.sampled_from([control.low, control.high]))
        landed = taper.from_raw(taper.to_raw(value))
        assert isinstance(landed, float)
        assert abs(landed - value) <= taper.step_at(value) / 2 * (1 + 1e-9) + 1e-12
        assert 0.0 <= taper.travel(value) <= 1.0
    else:
        for code in taper.codes:
            assert taper.to_raw(taper.from_raw(code)) == code


@settings(deadline=None)
@given(first=st.floats(-80.0, 10.0), second=st.floats(-80.0, 10.0))
def test_louder_is_never_a_lower_code(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert FADER.to_raw(low) <= FADER.to_raw(high)


@pytest.mark.parametrize(
    ("points", "value"), [([(0, 10.0), (10, -10.0)], 0.0), ([(0, 10.0), (4, 8.0), (10, -10.0)], 8.0)]
)
def test_falling_points(points: list[tuple[int, float]], value: float) -> None:
    taper = make_taper(schema.PointsTaper(points=points), "dB")
    assert taper.from_raw(taper.to_raw(value)) == value
    assert problems_of(taper) == []


def test_the_values_of_all_codes_are_those_of_each() -> None:
    line = make_curve(schema.LinearTaper(raw=(-3, 1000), value=(-1.0, 7.3)))
    points = make_curve(schema.PointsTaper(points=[(1, -138.0), (15, -96.0), (33, -78.0), (1023, 10.0)]))
    pot = make_curve(schema.LogTaper(raw=(0, 127), value=(20.0, 20000.0)))
    for curve in (line, points, pot):
        assert curve.values() == [curve.value(raw) for raw in range(curve.low, curve.high + 1)]
