from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from controller.hand_scale import arrow, clock_position, hand_value, is_fader, place_words, tolerance
from controller.hands import hand_json, hand_line
from controller.sheet import sheet_html, sheet_text
from controller.value_text import display_value
from hardware.known import Known
from hardware.recall_plan import in_walking_order
from hardware.recall_steps import HandStep
from profiles.library import load_profile
from profiles.profile import Profile, Value
from profiles.taper import Position, SwitchTaper

AT = "2026-01-02T03:04:05+00:00"
DESK = load_profile("room-desk-24")
SPLIT = load_profile("split-24-console")
VCA = load_profile("vca-bus-compressor")


def step(
    control: str, to: Value, now: Value | None = None, how: str = "by-hand", *, profile: Profile = DESK
) -> HandStep:
    known = None if now is None else Known(now, how, AT)  # type: ignore[arg-type]
    return HandStep(f"desk/{control}", known, to, profile.controls[control])


def place(html: str, kind: str) -> float:
    found = re.search(rf'class="{kind}" data-travel="([0-9.]+)"', html)
    assert found
    return float(found.group(1))


def words(html: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", html)


def pointer(html: str, kind: str) -> float:
    found = re.search(rf'class="{kind}" data-angle="([-0-9.]+)"', html)
    assert found
    return float(found.group(1))


def test_hands_cross_the_desk_once() -> None:
    steps = [step("ch02/trim", 0.0), step("ch01/trim", 0.0), step("ch02/polarity", True), step("ch01/polarity", True)]
    order = [entry.address for entry in in_walking_order(steps)]
    assert order == ["desk/ch01/trim", "desk/ch01/polarity", "desk/ch02/trim", "desk/ch02/polarity"]


def test_a_linear_pot_points_where_its_scale_says() -> None:
    control = DESK.controls["ch01/trim"]  # −10 … +20 dB, linear
    assert control.hand is not None
    low, high = control.hand.start_deg, control.hand.end_deg
    html = sheet_html([step("ch01/trim", 5.0, -10.0)], title="x")
    assert pointer(html, "now") == pytest.approx(low, abs=0.1)
    assert pointer(html, "target") == pytest.approx((low + high) / 2, abs=0.5)


def test_the_arrow_says_which_way_to_turn() -> None:
    assert arrow(step("ch01/trim", 5.0, 0.0)) == "↻"
    assert arrow(step("ch01/trim", -5.0, 0.0)) == "↺"
    assert arrow(step("ch01/trim", 5.0)) == "", "nobody knows where it stands"
    assert arrow(step("ch01/polarity", True, False)) == ""


@pytest.mark.parametrize(
    ("angle", "hour"), [(0, "12:00"), (90, "3:00"), (-90, "9:00"), (-150, "7:00"), (150, "5:00"), (45, "1:30")]
)
def test_angles_are_said_as_on_a_clock(angle: float, hour: str) -> None:
    assert clock_position(angle) == hour


def test_values_read_as_an_engineer_says_them() -> None:
    controls = DESK.controls
    assert display_value(controls["ch01/trim"], 3.5) == "+3.5 dB"
    assert display_value(controls["ch01/fader"], -math.inf) == "off"
    assert display_value(controls["ch01/eq/lmf_freq"], 600.0) == "600 Hz"
    assert display_value(controls["ch01/eq/hmf_freq"], 3150.0) == "3.15 kHz"
    assert display_value(controls["ch01/polarity"], True) == "inverted"
    assert display_value(controls["ch01/pan"], -30.0) == "L30"
    assert display_value(controls["ch01/pan"], 0.0) == "C"


def test_the_text_sheet_has_a_line_for_each_control() -> None:
    text = sheet_text(
        [step("ch07/trim", 3.5, 0.0), step("ch07/polarity", True, False), step("ch07/hpf_freq", 80.0)], title="Song"
    )
    lines = text.splitlines()
    assert lines[:2] == ["Recall sheet: Song", "3 controls to set by hand."]
    assert "desk, strip 7" in lines
    (trim,) = [line for line in lines if "trim" in line]
    assert "+0.0 dB → +3.5 dB" in trim
    assert "↻" in trim
    (polarity,) = [line for line in lines if "polarity" in line]
    assert "normal → reversed" in polarity, "the words printed on the desk"
    assert "±" in trim
    assert "press" in polarity
    (hpf,) = [line for line in lines if "hpf_freq" in line]
    assert "? → 80 Hz" in hpf
    assert all(line.startswith("  [ ] ") for line in (trim, polarity, hpf))


def test_an_assumed_value_is_shown_as_a_guess() -> None:
    assert "+0.0 dB?" in sheet_text([step("ch01/trim", 3.0, 0.0, "assumed")], title="x")


def test_nothing_to_do_says_so() -> None:
    assert "Nothing to set by hand." in sheet_text([], title="x")
    assert "Nothing to set by hand." in sheet_html([], title="x")


def test_the_page_is_whole_in_itself_and_its_drawings_are_well_formed() -> None:
    steps = [
        step(name, control.default)
        for name, control in DESK.controls.items()
        if control.by_hand and control.strip in (1, 2)
    ]
    html = sheet_html(steps, title="A <b>& B", subtitle="demo")
    assert "A &lt;b&gt;&amp; B" in html
    assert "http" not in html
    assert "<script" not in html
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == len(steps)
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    for entry in steps:
        assert f'data-address="{entry.address}"' in html


def test_a_switch_shows_what_is_printed_on_it() -> None:
    """The bus compressor's button is printed IN: bypass off is IN, and says so."""
    bypass = step("bypass", False, True, profile=VCA)
    assert "OUT → IN" in sheet_text([bypass], title="x")
    assert "OUT → IN" in hand_line(bypass)
    html = sheet_html([bypass], title="x")
    assert set(words(html)) == {"IN", "OUT"}
    assert re.search(r'<text class="chosen"[^>]*>IN</text>', html)
    mute = sheet_html([step("ch01/mute", True, False, profile=SPLIT)], title="x")
    assert words(mute) == ["on air", "MUTE"]


def test_detents_bear_their_printed_marks_and_are_turned_to_one() -> None:
    """Release 300 ms is printed .3, the second of four positions from −60° to 30°: 7.5° apart by 30°."""
    release = step("release", 300.0, 1200.0, profile=VCA)
    assert hand_value(release.control, 300.0) == "300 ms (.3)"
    html = sheet_html([release], title="x")
    assert words(html) == [".1", "1.2", ".3", ".6"], "the ends of the scale come first"
    assert pointer(html, "target") == pytest.approx(-30.0)
    assert pointer(html, "now") == pytest.approx(30.0)
    assert arrow(release) == "↺"
    assert tolerance(release.control, 300.0) is None, "a detent holds it"


def test_a_fader_by_hand_is_a_straight_one_with_its_marks() -> None:
    """On the console's 100 mm scale 0 dB lies at 75 mm, −10 dB at 49 mm, and −5 dB at 61 mm (profile's points)."""
    fader = step("ch01/fader", 0.0, -10.0, profile=SPLIT)
    assert is_fader(fader.control)
    html = sheet_html([fader], title="x")
    assert "data-angle" not in html
    assert place(html, "now") == pytest.approx(0.49)
    assert place(html, "target") == pytest.approx(0.75)
    assert {"∞", "0", "+5", "+10", "20"} <= set(words(html))
    assert "60" not in words(html), "2 mm above ∞: no room for both"
    assert place_words(fader.control, 0.0) == "to the mark 0"
    assert place_words(fader.control, -7.0) == "between 10 and 5"
    assert "↑ to the mark 0" in sheet_text([fader], title="x")
    told = hand_json(fader, fader.from_)
    assert (told["direction"], told["travel_from"], told["travel_to"]) == ("up", 0.49, 0.75)
    assert (told["clock"], told["angle_to_deg"]) == (None, None)
    # Half a millimetre; from 0 up to +5 dB lie 12 mm, down to −5 dB 14 mm.
    assert told["tolerance"] == pytest.approx(0.5 * 5 / 12, rel=0.01)


def test_how_exactly_is_said_in_the_controls_unit() -> None:
    """Trim of −20 to +20 dB over the travel: half a hundredth of it is 0.2 dB."""
    assert "±0.2 dB" in sheet_html([step("ch01/trim", 5.0, 0.0, profile=SPLIT)], title="x")


def test_a_guess_is_drawn_dashed_and_gives_no_direction() -> None:
    html = sheet_html([step("ch01/trim", 3.0, 0.0, "assumed")], title="x")
    assert pointer(html, "now guess") == pytest.approx(-50.0, abs=0.5)
    assert not re.search("[↻↺]", html.partition("<body>")[2])


def test_cards_stand_in_walking_order_numbered_and_each_has_a_box_to_tick() -> None:
    html = sheet_html([step("ch02/trim", 1.0), step("master/fader", 0.0), step("ch01/trim", 1.0)], title="x")
    assert re.findall(r'data-address="([^"]+)"', html) == ["desk/ch01/trim", "desk/ch02/trim", "desk/master/fader"]
    assert re.findall(r'class="number">(\d+)<', html) == ["1", "2", "3"]
    assert html.count('type="checkbox"') == 3
    assert html.count("<section>") == 3, "strips are kept whole when it is printed"
    assert "@media print" in html


def test_a_switch_of_very_many_positions_shows_those_around_both_places() -> None:
    """A hand-set source selector of 32 inputs would be unreadable as 32 boxes."""
    taper = SwitchTaper(tuple(Position(f"in {n}", n, (n, n)) for n in range(1, 33)))
    control = replace(SPLIT.controls["ch01/mute"], taper=taper, unit="enum")
    html = sheet_html([HandStep("patch/source", Known("in 3", "by-hand", AT), "in 20", control)], title="x")
    assert words(html) == ["in 1", "in 2", "in 3", "in 4", "in 19", "in 20", "in 21", "in 32"]
