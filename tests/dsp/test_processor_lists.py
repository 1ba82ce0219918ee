"""Settings that hold a list can be checked, moved and addressed inside of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from dsp.errors import DspError
from dsp.processor import Declared, Settings, choice, number, several, table


@dataclass(frozen=True)
class Tap(Declared):
    time_ms: float = number(100.0, 1.0, 1000.0, "ms", scale="log")
    level_db: float = number(0.0, -60.0, 0.0, "dB")
    order: int = choice(12, 6, 12)


@dataclass(frozen=True)
class Taps(Settings):
    kind: ClassVar[str] = "taps"
    mix: float = number(1.0, 0.0, 1.0)
    taps: tuple[Tap, ...] = several(Tap)


TWO = Taps(taps=(Tap(), Tap(level_db=-6.0)))


def test_every_value_in_a_list_has_an_address_with_its_declaration() -> None:
    found = TWO.addresses()
    assert list(found) == ["mix"] + [f"taps/{i}/{name}" for i in (0, 1) for name in ("time_ms", "level_db", "order")]
    assert (found["taps/1/time_ms"].low, found["taps/1/time_ms"].scale) == (1.0, "log")


def test_a_value_in_a_list_can_be_read_and_set_by_its_address() -> None:
    changed = TWO.with_values({"taps/1/level_db": -12.0, "taps/0/order": 6, "mix": 0.5})
    assert changed == Taps(mix=0.5, taps=(Tap(order=6), Tap(level_db=-12.0)))
    assert (TWO.value("taps/1/level_db"), TWO.value("mix")) == (-6.0, 1.0)


@pytest.mark.parametrize("address", ["taps/2/level_db", "taps/0/gain", "taps", "taps/-1/level_db", "taps/x", ""])
def test_an_address_that_is_not_there_is_refused_with_those_that_are(address) -> None:
    with pytest.raises(DspError) as refused:
        TWO.with_values({address: 0.0})
    assert "taps/1/level_db" in refused.value.hint


def test_lists_of_one_length_move_item_by_item_on_each_values_scale() -> None:
    there = replace(TWO, taps=(Tap(time_ms=400.0), Tap(level_db=-12.0, order=6)))
    assert TWO.towards(there, 0.5) == Taps(taps=(Tap(time_ms=200.0), Tap(level_db=-9.0)))
    assert TWO.towards(there, 1.0) == there


def test_a_list_of_another_length_turns_at_the_end() -> None:
    there = Taps(taps=(Tap(),))
    assert TWO.towards(there, 0.9) == TWO
    assert TWO.towards(there, 1.0) == there


@pytest.mark.parametrize("bad", [[Tap()], (1.0,), "taps"])
def test_a_list_of_something_else_is_refused(bad) -> None:
    with pytest.raises(DspError):
        Taps(taps=bad)


def test_a_value_outside_of_its_range_is_refused_wherever_it_stands() -> None:
    with pytest.raises(DspError, match=r"Tap level_db 1\.0 dB is outside -60\.\.0 dB"):
        TWO.with_values({"taps/0/level_db": 1.0})
    with pytest.raises(DspError, match="Tap order 18 is not known"):
        Tap(order=18)


@dataclass(frozen=True)
class Words(Settings):
    kind: ClassVar[str] = "words"
    mix: float = number(1.0, 0.0, 1.0)
    values: tuple[tuple[str, float | str | bool], ...] = table()


SOME = Words(values=(("gain_db", -6.0), ("mode", "warm"), ("on", True)))


def test_every_entry_of_a_table_has_an_address_and_only_numbers_lie_between() -> None:
    found = SOME.addresses()
    assert list(found) == ["mix", "values/gain_db", "values/mode", "values/on"]
    assert [found[f"values/{name}"].is_number for name in ("gain_db", "mode", "on")] == [True, False, False]
    assert SOME.value("values/mode") == "warm"


def test_entries_of_a_table_are_set_together_and_the_others_stay() -> None:
    changed = SOME.with_values({"values/gain_db": 3.0, "values/mode": "cold", "mix": 0.5})
    assert changed == Words(0.5, (("gain_db", 3.0), ("mode", "cold"), ("on", True)))
    with pytest.raises(DspError, match="gain"):
        SOME.with_values({"values/gain": 3.0})


def test_on_the_way_numbers_of_a_table_go_straight_and_words_turn_at_the_end() -> None:
    there = SOME.with_values({"values/gain_db": 2.0, "values/mode": "cold"})
    assert SOME.towards(there, 0.25).values == (("gain_db", -4.0), ("mode", "warm"), ("on", True))
    assert SOME.towards(there, 1.0) == there
    assert SOME.towards(Words(values=(("gain_db", 2.0),)), 0.5) == SOME


@pytest.mark.parametrize("wrong", [[("a", 1.0)], (("a", 1.0), ("a", 2.0))])
def test_a_table_is_a_tuple_of_names_that_stand_once(wrong) -> None:
    with pytest.raises(DspError, match="values"):
        Words(values=wrong)
