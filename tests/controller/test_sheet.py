from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from controller.sheet import clock_position, display_value, in_walking_order, sheet_html, sheet_text, turn_arrow
from hardware.known import Known
from hardware.recall_steps import HandStep
from profiles.library import load_profile
from profiles.profile import Value

AT = "2026-01-02T03:04:05+00:00"
DESK = load_profile("room-desk-24")


def step(control: str, to: Value, now: Value | None = None, how: str = "by-hand") -> HandStep:
    known = None if now is None else Known(now, how, AT)  # type: ignore[arg-type]
    return HandStep(f"desk/{control}", known, to, DESK.controls[control])


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
    assert turn_arrow(step("ch01/trim", 5.0, 0.0)) == "↻"
    assert turn_arrow(step("ch01/trim", -5.0, 0.0)) == "↺"
    assert turn_arrow(step("ch01/trim", 5.0)) == "", "nobody knows where it stands"
    assert turn_arrow(step("ch01/polarity", True, False)) == ""


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
    assert "normal → inverted" in polarity
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
