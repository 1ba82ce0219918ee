"""What runs where, and why: decided from the mix, the rig's profiles and the calibration before anything moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_line import SHIPPED_RIG, fader_steps_db, pan_angles

from controller.allocate import allocate, in_the_box
from controller.allocation import Allocation, RenderPath
from controller.desk import DeskStrip, eq_obstacle, fit_compressor
from controller.loops import LoopFacts
from controller.mix import Bus, Comp, EqBand, Mix, Strip
from dsp.dynamics import Compressor
from hardware.known import Known
from hardware.rig import Rig, load_rig
from profiles.library import load_profile
from profiles.profile import Profile

RIG = load_rig(SHIPPED_RIG)
PROFILES: Mapping[str, Profile] = {name: load_profile(device.profile_id) for name, device in RIG.devices.items()}
EQ = {"hmf": EqBand(freq_hz=3_000.0, gain_db=3.1, q=1.0)}
COMP = Comp(on=True)
STEPPED = '{kind = "choices", choices = [{value = -20, send = 0}, {value = -4, send = 1}, {value = 0, send = 2}]}'
BUS_COMP = Comp(on=True, threshold_db=-16.0, ratio=4.0, attack_ms=3.0, release_ms=100.0)


def loop(output: int, **facts: Any) -> LoopFacts:
    usual: dict[str, Any] = {
        "output": output,
        "address": f"desk/ch{output:02d}",
        "expected_input": 1,
        "input": 1,
        "present": True,
        "polarity": 1,
        "latency_samples": 100.0,
        "latency_sd": 0.0,
        "gain_db": 0.0,
        "gain_sd": 0.0,
        "noise_dbfs": -90.0,
        "strip_found": None,
        "ok": True,
    }
    return LoopFacts(**{**usual, **facts})


def loops(**changed: Mapping[str, Any]) -> dict[int, LoopFacts]:
    """24 sound loops; ``ch04={"ok": False}`` changes one."""
    return {n: loop(n, **changed.get(f"ch{n:02d}", {})) for n in range(1, 25)}


def allocated(
    *strips: Strip,
    widths: Mapping[str, int] | None = None,
    path: RenderPath = "analog",
    rig: Rig | None = RIG,
    calibrated: Mapping[int, LoopFacts] | None = None,
    known: Mapping[str, Known] | None = None,
    **mix: Any,
) -> Allocation:
    channels = {strip.name: (widths or {}).get(strip.name, 1) for strip in strips}
    whole = Mix(name="m", strips=strips, **mix)
    return allocate(
        whole, channels, rig=rig, profiles=PROFILES, path=path, loops=calibrated or loops(), known=known or {}
    )


def vox(**settings: Any) -> Strip:
    return Strip(name="vox", stem="vox.wav", **settings)


def said(allocation: Allocation, strip: str, stage: str) -> tuple[str, str]:
    return next((p.where, p.why) for p in allocation.placements if (p.strip, p.stage) == (strip, stage))


def test_strips_take_the_desks_strips_in_order_and_a_stereo_stem_takes_two() -> None:
    strips = [Strip(name=name, stem=f"{name}.wav") for name in ("a", "b", "c")]
    allocation = allocated(*strips, widths={"b": 2})
    assert [(r.strip, r.channel, r.output, r.address) for r in allocation.routes] == [
        ("a", 0, 1, "desk/ch01"),
        ("b", 0, 2, "desk/ch02"),
        ("b", 1, 3, "desk/ch03"),
        ("c", 0, 4, "desk/ch04"),
    ]
    assert allocation.target["desk/ch02/pan"] == -100.0
    assert allocation.target["desk/ch03/pan"] == 100.0


def test_idle_strips_are_muted_and_used_ones_are_not() -> None:
    target = allocated(vox()).target
    assert target["desk/ch01/mute"] is False
    assert all(target[f"desk/ch{n:02d}/mute"] is True for n in range(2, 25))


@given(fader_db=st.floats(-75.0, 10.0), pan=st.floats(-100.0, 100.0))
def test_fader_and_digital_trim_together_are_the_mixs_level_and_the_trim_is_within_a_step(fader_db, pan) -> None:
    allocation = allocated(vox(fader_db=fader_db, pan=pan))
    (route,) = allocation.routes
    reached = allocation.target["desk/ch01/fader"]
    assert isinstance(reached, float)
    assert np.abs(fader_steps_db() - reached).min() < 1e-9
    assert reached + route.trim_db == pytest.approx(fader_db, abs=1e-9)
    steps = np.sort(fader_steps_db())
    assert abs(route.trim_db) <= np.diff(steps).max() / 2 + 1e-9
    # The box renders the level of the mix at the angle of the desk's nearest pan position.
    left, right = allocation.itb[0].gains[0]
    assert 20 * math.log10(math.hypot(left, right)) == pytest.approx(fader_db, abs=1e-9)
    wanted = (pan + 100) / 200 * math.pi / 2
    assert abs(math.atan2(right, left) - wanted) <= np.diff(pan_angles()).max() / 2 + 1e-9


def test_the_loops_own_gain_is_taken_out_of_the_trim() -> None:
    plain = allocated(vox(fader_db=-6.0))
    hot = allocated(vox(fader_db=-6.0), calibrated=loops(ch01={"gain_db": 0.37}))
    assert hot.routes[0].trim_db == pytest.approx(plain.routes[0].trim_db - 0.37)
    assert hot.target == plain.target
    assert hot.itb == plain.itb


def test_loops_of_other_latency_are_delayed_to_the_latest() -> None:
    strips = [Strip(name=name, stem=f"{name}.wav") for name in ("a", "b", "c")]
    skewed = loops(ch01={"latency_samples": 101.2}, ch02={"latency_samples": 98.4}, ch03={"latency_samples": 107.0})
    routes = allocated(*strips, calibrated=skewed).routes
    assert [r.delay_frames + r.delay_rest for r in routes] == pytest.approx([5.8, 8.6, 0.0])
    whole = loops(ch01={"latency_samples": 101.0}, ch02={"latency_samples": 98.0}, ch03={"latency_samples": 107.0})
    allocation = allocated(*strips, calibrated=whole)
    assert [(r.delay_frames, r.delay_rest) for r in allocation.routes] == [(6, 0.0), (9, 0.0), (0, 0.0)]
    assert allocation.feed_latency_frames == 0


def test_a_strip_whose_loop_failed_its_calibration_stays_in_the_box_and_says_why() -> None:
    allocation = allocated(
        vox(), Strip(name="a", stem="a.wav"), calibrated=loops(ch01={"ok": False, "why": "it is dead"})
    )
    where, why = said(allocation, "vox", "sum")
    assert where == "box"
    assert why == "loop 1 → desk/ch01 failed its calibration: it is dead"
    assert [r.strip for r in allocation.routes] == ["a"]
    assert allocation.feeds[0].on_bus
    assert allocation.target["desk/ch01/mute"] is True


def test_an_output_that_was_not_measured_is_not_used() -> None:
    some = loops()
    del some[1]
    assert said(allocated(vox(), calibrated=some), "vox", "sum") == ("box", "output 1 is not in the calibration")


def test_the_box_joins_through_the_last_free_pair_of_sound_loops() -> None:
    pinned = vox(place={"sum": "box"})
    allocation = allocated(pinned, Strip(name="a", stem="a.wav"), calibrated=loops(ch23={"ok": False, "why": "dead"}))
    assert said(allocation, "vox", "sum") == ("box", "pinned to the box by the mix")
    assert said(allocation, "box", "return")[0] == "desk/ch21+22"
    assert allocation.box_pair
    assert [r.output for r in allocation.box_pair] == [21, 22]
    assert not allocation.sums_after_return


def test_with_every_strip_taken_the_box_is_added_after_the_return_and_so_are_the_bus_stages() -> None:
    strips = [Strip(name=f"s{n}", stem=f"{n}.wav") for n in range(25)]
    allocation = allocated(*strips, bus=Bus(comp=BUS_COMP))
    assert said(allocation, "s24", "sum") == ("box", "the desk has no free strip for it")
    assert said(allocation, "box", "return")[0] == "after the A/D"
    assert said(allocation, "bus", "comp") == ("box", "strips of the box join after the return")
    assert allocation.sums_after_return
    assert allocation.target["desk/master/insert"] is False
    assert allocation.target["desk/master/fader"] == 0.0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"comp": COMP}, "its compressor follows, in the box"),
        ({"send_db": -12.0}, "its reverb send follows, in the box"),
        ({"place": {"eq": "box"}}, "pinned to the box by the mix"),
        ({"eq": {"hmf": EqBand(freq_hz=9_000.0, gain_db=3.0, q=1.0)}}, "beyond the desk's 600..7000 Hz"),
        ({"eq": {"hmf": EqBand(freq_hz=3_000.0, gain_db=16.0, q=1.0)}}, "beyond the desk's -15..+15 dB"),
        ({"eq": {"hmf": EqBand(freq_hz=3_000.0, gain_db=3.0, q=6.0)}}, "beyond the desk's 0.4..4"),
        ({"eq": {"hf": EqBand(freq_hz=8_000.0, gain_db=3.0, q=1.2)}}, "fixed slope"),
    ],
)
def test_an_equaliser_that_the_desk_cannot_take_stays_in_the_box_with_the_reason(settings: Any, why: str) -> None:
    allocation = allocated(vox(**{"eq": EQ, **settings}))
    where, reason = said(allocation, "vox", "eq")
    assert where == "box"
    assert why in reason
    assert allocation.target["desk/ch01/eq/in"] is False
    assert len(allocation.feeds[0].bands) == 1
    assert said(allocation, "vox", "sum")[0] == "desk/ch01"


def test_the_desks_equaliser_is_set_to_its_steps_and_the_box_copies_them() -> None:
    allocation = allocated(vox(eq=EQ))
    assert said(allocation, "vox", "eq") == ("desk/ch01", "the desk's equaliser")
    assert allocation.target["desk/ch01/eq/hmf_gain"] == 3.0  # steps of 0.25 dB
    assert allocation.target["desk/ch01/eq/lf_gain"] == 0.0
    assert allocation.feeds[0].bands == ()
    assert allocation.itb[0].bands[0].gain_db == 3.0


def test_hybrid_takes_the_desks_filters_only_where_hands_have_set_them_already() -> None:
    strip = vox(eq=EQ, hpf_hz=80.0)
    by_hand = {
        "desk/ch01/eq/hmf_freq": Known(3_000.0, "by-hand", "2026-01-01T00:00:00Z"),
        "desk/ch01/eq/hmf_q": Known(1.0, "by-hand", "2026-01-01T00:00:00Z"),
        "desk/ch01/hpf_freq": Known(80.0, "by-hand", "2026-01-01T00:00:00Z"),
    }
    without, standing = allocated(strip, path="hybrid"), allocated(strip, path="hybrid", known=by_hand)
    assert said(without, "vox", "eq") == ("box", "a hand would have to set it, and this path uses none")
    assert said(without, "vox", "hpf") == ("box", "its equaliser follows, in the box")
    assert said(allocated(vox(hpf_hz=80.0), path="hybrid"), "vox", "hpf")[0] == "box"
    assert {said(standing, "vox", stage)[0] for stage in ("eq", "hpf")} == {"desk/ch01"}


def test_a_high_pass_stays_in_front_of_an_equaliser_that_stays_in_the_box() -> None:
    allocation = allocated(vox(eq=EQ, hpf_hz=80.0, place={"eq": "box"}))
    assert said(allocation, "vox", "hpf") == ("box", "its equaliser follows, in the box")


def test_a_bus_compressor_that_fits_goes_to_the_outboard_with_its_steps_in_the_box_too() -> None:
    allocation = allocated(vox(), bus=Bus(comp=BUS_COMP, fader_db=-2.77))
    assert said(allocation, "bus", "comp") == ("comp", "patched into the mix insert")
    assert allocation.target["desk/master/insert"] is True
    assert [allocation.target[f"matrix/out0{n}/tie"] for n in range(1, 5)] == [1, 2, 3, 4]
    assert allocation.bus_feeds.compressor is None
    reached = allocation.bus_itb.compressor
    assert reached
    # 127 steps over 40 dB, dBu = dBFS + 18.
    steps = -20 + 40 * np.arange(128) / 127 - 18
    assert reached.threshold_db == pytest.approx(steps[np.argmin(np.abs(steps + 16.0))], abs=1e-9)
    assert (reached.ratio, reached.attack_ms, reached.release_ms) == (4.0, 3.0, 100.0)
    # The master fader's step is made up after the A/D.
    master = allocation.target["desk/master/fader"]
    assert isinstance(master, float)
    assert master + allocation.bus_feeds.fader_db == pytest.approx(-2.77)


@pytest.mark.parametrize(
    ("bus", "why"),
    [
        (Bus(comp=Comp(on=True, ratio=3.0, attack_ms=3.0, release_ms=100.0)), "nearest ratio"),
        (Bus(comp=Comp(on=True, ratio=4.0, attack_ms=3.0, release_ms=30.0)), "nearest release"),
        (Bus(comp=Comp(on=True, threshold_db=-50.0, ratio=4.0)), "threshold"),
        (Bus(comp=BUS_COMP, place={"comp": "box"}), "pinned to the box"),
        (Bus(comp=BUS_COMP, eq=EQ), "equaliser comes first"),
    ],
)
def test_a_bus_compressor_that_does_not_fit_stays_in_the_box_and_the_insert_is_out(bus: Bus, why: str) -> None:
    allocation = allocated(vox(), bus=bus)
    where, reason = said(allocation, "bus", "comp")
    assert where == "box"
    assert why in reason
    assert allocation.target["desk/master/insert"] is False
    assert allocation.bus_feeds.compressor == allocation.bus_itb.compressor


def edited(profile: Profile, *changes: tuple[str, str], folder: Path) -> Profile:
    """The profile with some of its text changed, as a user's own copy."""
    assert profile.path is not None
    text = profile.path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / f"{profile.id}.toml"
    file.write_text(text, "utf-8")
    return load_profile(str(file))


def test_a_bell_of_fixed_bandwidth_takes_only_bands_of_its_q(tmp_path: Path) -> None:
    """The split console's mids have no Q control; its profile declares Q 0.9 for them."""
    split = load_profile("split-24-console")
    untold = edited(split, (", bell_q = 0.9", ""), folder=tmp_path)

    def obstacle(profile: Profile, q: float) -> str:
        strip = DeskStrip("desk", "ch01", 1, -3.0, profile, 1)
        return eq_obstacle(strip, {"hmf": EqBand(freq_hz=3_000.0, gain_db=3.0, q=q)})

    assert obstacle(split, 0.9) == ""
    assert obstacle(split, 2.0) == "the desk's hmf band has a fixed bandwidth (Q 0.9), the mix asks for Q 2"
    assert "its profile does not say which" in obstacle(untold, 0.9)


WANTED = Compressor(threshold_db=-16.0, ratio=4.0, attack_ms=3.0, release_ms=300.0, makeup_db=2.0)


def test_a_threshold_in_decibels_of_its_own_keeps_a_compressor_in_the_box() -> None:
    """The bus compressor's threshold is marked in dB re nobody knows what: 0 dB there is not 0 dBu."""
    assert "in dB: nobody knows" in str(fit_compressor(load_profile("vca-bus-compressor"), WANTED, 18.0))


def with_releases(*names: str, folder: Path) -> Profile:
    """The outboard compressor with other words at its four release positions (100, 300, 600, 1200 ms)."""
    words = [
        (f"{{value = {ms}, send = {code},", f'{{value = "{name}", send = {code},')
        for name, (ms, code) in zip(names, ((100, 16), (300, 48), (600, 80), (1200, 112)), strict=True)
    ]
    untold = [('role = "release"\nunit = "ms"\ndefault = 300', 'role = "release"\nunit = "enum"')]
    return edited(PROFILES["comp"], *words, *untold, folder=folder)


def test_positions_that_are_words_are_not_taken_for_numbers(tmp_path: Path) -> None:
    fitted = fit_compressor(with_releases("auto", "100 ms", "0.3 s", "1.2 s", folder=tmp_path), WANTED, 18.0)
    assert not isinstance(fitted, str)
    assert fitted[1]["release"] == "0.3 s"
    assert fitted[0].release_ms == 300.0
    words = with_releases("auto", "fast", "medium", "slow", folder=tmp_path)
    assert "no position of its release is a number" in str(fit_compressor(words, WANTED, 18.0))


def test_a_threshold_of_steps_is_the_nearest_and_none_beyond_its_ends(tmp_path: Path) -> None:
    """Levels are near by their difference: −3 dBu is nearer to −4 than to 0, and +10 dBu is no step at all."""
    steps = ('{kind = "linear", raw = [0, 127], value = [-20, 20]}', STEPPED)
    stepped = edited(PROFILES["comp"], steps, ("default = 20\n", ""), folder=tmp_path)
    fitted = fit_compressor(stepped, replace(WANTED, threshold_db=-21.0), 18.0)
    assert not isinstance(fitted, str)
    assert fitted[1]["threshold"] == -4.0
    assert fitted[0].threshold_db == -22.0
    assert "threshold" in str(fit_compressor(stepped, replace(WANTED, threshold_db=-8.0), 18.0))


def test_hybrid_takes_a_compressor_set_by_hand_only_where_it_stands_already(tmp_path: Path) -> None:
    devices = (replace(device, port="hand") if device.name == "comp" else device for device in RIG.device_list)
    rig = replace(RIG, device_list=tuple(devices))
    bus = Bus(comp=BUS_COMP)
    assert said(allocated(vox(), rig=rig, bus=bus), "bus", "comp")[0] == "comp"
    hybrid = allocated(vox(), rig=rig, bus=bus, path="hybrid")
    assert said(hybrid, "bus", "comp") == ("box", "a hand would have to set it, and this path uses none")
    assert not any(address.startswith("comp/threshold") for address in hybrid.target)
    assert hybrid.bus_feeds.compressor is not None
    settings = allocated(vox(), rig=rig, bus=bus).target
    known = {a: Known(v, "by-hand", "2026-01-01T00:00:00Z") for a, v in settings.items() if a.startswith("comp/")}
    assert said(allocated(vox(), rig=rig, bus=bus, path="hybrid", known=known), "bus", "comp")[0] == "comp"
    pinned = Bus(comp=BUS_COMP, place={"comp": "comp"})
    assert said(allocated(vox(), rig=rig, bus=pinned, path="hybrid"), "bus", "comp")[0] == "comp"


def test_a_muted_strip_keeps_its_seat_and_its_mute_and_plays_nothing_into_the_mix() -> None:
    allocation = allocated(vox(mute=True), Strip(name="a", stem="a.wav"))
    assert allocation.target["desk/ch01/mute"] is True
    assert allocation.routes[0].muted
    assert allocation.itb[0].gains == ((0.0, 0.0),)


def test_a_fader_that_is_off_is_off_on_the_desk() -> None:
    allocation = allocated(vox(fader_db=-math.inf))
    assert allocation.target["desk/ch01/fader"] == -math.inf
    assert allocation.routes[0].trim_db == 0.0
    assert allocation.itb[0].gains == ((0.0, 0.0),)


def test_the_box_path_of_an_allocation_moves_nothing() -> None:
    allocation = in_the_box(allocated(vox(eq=EQ), bus=Bus(comp=BUS_COMP)))
    assert (allocation.routes, allocation.target, allocation.path) == ((), {}, "itb")
    assert {p.where for p in allocation.placements} == {"box"}
    assert any("values of desk/ch01" in p.why for p in allocation.placements)


def test_without_a_rig_the_mixs_own_values_are_rendered_unrounded() -> None:
    allocation = allocated(vox(fader_db=-2.37, pan=5.5), rig=None)
    left, right = allocation.itb[0].gains[0]
    angle = (5.5 + 100) / 200 * math.pi / 2
    assert (left, right) == pytest.approx(tuple(10 ** (-2.37 / 20) * f(angle) for f in (math.cos, math.sin)))


def test_every_stage_of_every_strip_is_placed_with_a_reason() -> None:
    strips = (vox(eq=EQ, hpf_hz=90.0, comp=COMP, send_db=-10.0), Strip(name="b", stem="b.wav", eq=EQ))
    allocation = allocated(*strips, bus=Bus(comp=BUS_COMP, eq=EQ))
    assert all(p.where and p.why for p in allocation.placements)
    placed = {(p.strip, p.stage) for p in allocation.placements}
    assert {("vox", stage) for stage in ("hpf", "eq", "comp", "send", "sum")} <= placed
    assert {("b", "eq"), ("b", "sum"), ("bus", "eq"), ("bus", "comp"), ("reverb", "reverb")} <= placed
    assert len(allocation.lines()) == len(allocation.placements)


def test_the_shipped_rig_file_is_what_these_tests_stand_on() -> None:
    assert Path(SHIPPED_RIG).is_file()
    assert len(RIG.outputs) == 24
