"""What the outboard profiles promise about themselves: how sure they are, what is dangerous, what only a hand sets."""

from __future__ import annotations

import itertools
import math

import pytest

from profiles.library import check_profile, load_profile
from profiles.profile import Profile
from profiles.taper import NumberTaper

BY_HAND = ("passive-eq", "vca-bus-compressor", "opto-leveller", "fet-limiter", "split-24-console")
BY_MIDI = (
    "alesis-midiverb-3", "chase-bliss-preamp-mk2", "elektron-analog-heat", "lexicon-mpx-1", "meris-mercury7", "oto-bam",
    "oto-bim", "oto-biscuit", "oto-boum", "sherman-filterbank", "strymon-bigsky", "tc-d-two", "yamaha-spx2000",
)  # fmt: skip
PROFILES = {name: load_profile(name) for name in (*BY_HAND, *BY_MIDI)}
ONE_TABLE_OF_USERS = {
    "chase-bliss-preamp-mk2", "elektron-analog-heat", "meris-mercury7", "sherman-filterbank", "tc-d-two",
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_says_what_it_does_not_cover_and_where_it_comes_from(profile: Profile) -> None:
    assert check_profile(profile) == []
    assert len(profile.not_covered) > 40
    assert profile.notes
    assert all(len(source) > 20 for source in profile.sources)


@pytest.mark.parametrize("name", BY_HAND)
def test_recall_sheet_gear_has_no_bytes_and_a_drawn_scale_for_all(name: str) -> None:
    profile = PROFILES[name]
    assert profile.transports == ("hand",)
    assert (profile.verification, profile.maker) == ("unverified", "Generic")
    for control in profile.controls.values():
        assert control.hand is not None, control.name
        assert control.hand.marks, control.name
        angles = [control.angle_deg(value) for value, _ in control.hand.marks]
        if control.hand.kind != "switch":
            assert all(after > before for before, after in itertools.pairwise(angles)), control.name
        assert control.confidence in ("M", "I")


@pytest.mark.parametrize("name", BY_MIDI)
def test_midi_gear_is_sourced_only_where_more_than_one_table_of_users_says_so(name: str) -> None:
    profile = PROFILES[name]
    assert profile.verification == ("unverified" if name in ONE_TABLE_OF_USERS else "sourced")
    assert len(profile.examples) >= 4
    assert all(len(example.source) > 30 for example in profile.examples)


@pytest.mark.parametrize("name", BY_MIDI)
def test_units_are_real_only_where_a_law_is_published(name: str) -> None:
    real = {c.name for c in PROFILES[name].controls.values() if c.unit not in ("raw", "enum", "bool")}
    assert real == ({"boost"} if name == "strymon-bigsky" else set())


def test_what_overwrites_or_replaces_everything_is_dangerous() -> None:
    dangerous = {(name, c.name) for name, p in PROFILES.items() for c in p.controls.values() if c.dangerous}
    assert dangerous == {
        ("chase-bliss-preamp-mk2", "preset/save"),
        ("lexicon-mpx-1", "eq/one_band_mono/gain"),  # its range is not known
        ("oto-biscuit", "preset"),
        ("strymon-bigsky", "preset"),
    }


def test_inferred_facts_are_marked() -> None:
    assert PROFILES["elektron-analog-heat"].confidence == "I"
    assert "inferred" in PROFILES["elektron-analog-heat"].notes
    assert PROFILES["strymon-bigsky"].controls["boost"].confidence == "I"
    assert PROFILES["lexicon-mpx-1"].controls["program"].confidence == "I"


def test_midiverb_gets_its_40_ms() -> None:
    assert PROFILES["alesis-midiverb-3"].pacing.gap_s == 0.04


def test_passive_eq_has_the_positions_of_its_class() -> None:
    eq = PROFILES["passive-eq"].controls
    assert eq["low/freq"].choices == ("20", "30", "60", "100")
    assert eq["high/freq"].choices == ("3000", "4000", "5000", "8000", "10000", "12000", "16000")
    assert eq["high/atten_freq"].choices == ("5000", "10000", "20000")
    assert eq["low/boost"].angle_deg(5.0) == pytest.approx(0.0)  # half of 0 to 10 is 12 o'clock
    assert eq["high/freq"].angle_deg(8000.0) == pytest.approx(0.0)  # the fourth of seven


def test_bus_compressor_draws_auto_behind_its_four_times() -> None:
    comp = PROFILES["vca-bus-compressor"].controls
    assert comp["release"].choices == ("100", "300", "600", "1200")
    assert [comp["release"].angle_deg(ms) for ms in (100.0, 1200.0)] == [-60.0, 30.0]  # AUTO is at 60
    assert comp["attack"].choices == ("0.1", "0.3", "1", "3", "10", "30")
    assert (comp["makeup"].low, comp["makeup"].high) == (-5.0, 15.0)


def test_split_console_can_carry_a_mix() -> None:
    desk = PROFILES["split-24-console"]
    assert desk.strips == tuple(range(1, 25))
    for role in ("trim", "polarity", "eq_in", "pan", "mute", "fader"):
        assert desk.control_for(role, strip=24) is not None
    assert desk.control_for("eq_freq", strip=1, band=3) is not None
    assert desk.control_for("eq_freq", strip=1, band=1) is None  # the shelves are fixed
    assert desk.control_for("master_fader") is not None
    assert desk.audio.pan_law_db == -3.0
    assert len(desk.controls) == 24 * 24 + 8 * 2 + 6 + 1
    assert {stage.name for stage in desk.audio.stages} >= {"trim", "polarity", "eq", "mute", "fader", "pan"}


def test_console_fader_is_a_ruler_of_100_mm() -> None:
    fader = PROFILES["split-24-console"].controls["ch01/fader"]
    assert isinstance(fader.taper, NumberTaper)
    assert fader.default == -math.inf
    assert fader.to_raw("off") == 0
    assert fader.to_raw(10.0) == 1000  # tenths of a millimetre
    assert fader.travel(0.0) == pytest.approx(0.75)
    assert fader.achieved(-7.3) == -7.3  # a hand goes anywhere
