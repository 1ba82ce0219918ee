"""Plain loops, as converter loopbacks and inserts: every figure is the loop's own, and whatever goes wrong is named."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_loops import RATE_HZ, Bench, Loops, straight

from controller import calibrate_wiring
from controller.calibrate_sections import programme
from controller.errors import DeclinedError, UsageError
from controller.figures import KINDS, PARTS
from controller.loops import load
from controller.studio import Studio
from hardware.errors import AudioError, SilentInputError
from hardware.rig import load_rig
from hardware.rig_check import check_rig


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return tmp_path


def plan_of(bench: Bench, *only: str, **options: Any):
    with Studio.open(bench.rig) as studio:
        found = calibrate_wiring.wiring(studio.rig, studio.profiles)
        return programme(studio.rig, found, only=only, **options)


def run_of(bench: Bench, key: str, *only: str) -> int:
    """The number of the run that plays a section."""
    return [section.key for section in plan_of(bench, *only).sections].index(key)


def test_latency_gain_polarity_and_skew_are_the_loops(home: Path) -> None:
    paths = straight()
    paths[2, 2] = (-0.5, 240)
    loops = Bench(home, Loops(paths)).calibrate("latency").calibration.loops
    assert [loop.address for loop in loops] == ["loopback/1", "loopback/2", "loopback/3"]
    for loop, (gain, delay) in zip(loops, paths.values(), strict=True):
        assert (loop.input, loop.polarity) == (loop.output, 1 if gain > 0 else -1)
        assert loop.latency_samples == pytest.approx(delay, abs=1e-4)
        assert loop.gain_db == pytest.approx(20 * math.log10(abs(gain)), abs=1e-3)
        for key in ("latency_phase_samples", "latency_group_samples", "latency_fit_samples"):
            figure = loop.figures[key]
            assert figure.value == pytest.approx(delay, abs=max(6 * (figure.sd or 0.0), 1e-4))
    # Delays of 103, 240 and 109 samples: the middle one is 109.
    assert [round(loop.figures["skew_samples"].value or 0.0, 3) for loop in loops] == [-6.0, 131.0, 0.0]


def test_noise_response_crosstalk_and_clock(home: Path) -> None:
    leak = 10 ** (-70 / 20)
    paths = {**straight(), (1, 3): (leak * 0.8 * 0.97**3, 109)}
    stored = Bench(home, Loops(paths, noise=1e-5)).calibrate("noise", "response", "crosstalk", "clock").calibration
    first = stored.loops[0]
    # White noise of 1e-5 up to half the rate; a floor is read from 20 Hz to 20 kHz.
    floor = 20 * math.log10(1e-5 * math.sqrt(2)) + 10 * math.log10(19_980 / 24_000)
    assert first.figures["noise_dbfs"].value == pytest.approx(floor, abs=0.15)
    assert abs(first.figures["dc_fs"].value or 0.0) < 1e-6
    assert first.figures["hum_dbfs"].value is None
    assert first.figures["ripple_db"].value == pytest.approx(0.0, abs=0.01)
    assert first.figures["response_low_db"].value == pytest.approx(0.0, abs=0.005)
    assert first.figures["crosstalk_1k_db"].value == pytest.approx(-70.0, abs=1.0)
    assert "input 3" in first.figures["crosstalk_worst_db"].note
    assert stored.loops[1].figures["crosstalk_worst_db"].value is None
    assert "locked" in stored.figures["drift_ppm"].note
    assert stored.parts == ("response", "noise", "crosstalk", "clock")


def test_a_stored_response_is_measured_tones_only(home: Path) -> None:
    response = Bench(home, Loops(straight())).calibrate("response").calibration.loops[1].response
    assert response is not None
    assert 100 <= len(response.hz) <= 400
    assert list(response.hz) == sorted(set(response.hz))
    hz, h = np.array(response.hz), np.array(response.re) + 1j * np.array(response.im)
    bins = hz * 32_768 / RATE_HZ
    assert np.abs(bins - np.round(bins)).max() < 1e-9
    expected = 0.8 * 0.97**2 * np.exp(-2j * np.pi * hz * 106 / RATE_HZ)
    assert np.abs(h - expected).max() < 8 * max(response.sd)


def test_distortion_and_the_level_it_was_read_at(home: Path) -> None:
    bend = 1e-3
    loops = Loops(straight(1, gain=1.0), bend=bend)
    figures = Bench(home, loops, count=1).calibrate("distortion", level_dbfs=-6.0).calibration.loops[0].figures
    peak = 0.97 * 10 ** (-6 / 20)
    # a·cos + bend·(a·cos)²: the second harmonic is bend·a²/2.
    assert figures["thd_db"].value == pytest.approx(20 * math.log10(bend * peak / 2), abs=0.05)
    assert "-6 dBFS" in figures["thd_db"].note
    # Two tones of a/2 each: the difference tone is bend·a²/4, re a.
    assert figures["imd_ccif_d2_db"].value == pytest.approx(20 * math.log10(bend * peak / 4), abs=0.1)


def test_a_loop_that_clips_stops_rising_and_the_others_go_on(home: Path) -> None:
    paths = {(1, 1): (2.0, 100), (2, 2): (0.5, 100)}
    bench = Bench(home, Loops(paths), count=2)
    loops = bench.calibrate("levels").calibration.loops
    # Full scale returns at −6.02 dBFS; the steps around it are −12 and −6.
    clip = loops[0].figures["clip_dbfs"]
    assert clip.value == pytest.approx(-6.02, abs=0.3)
    assert loops[1].figures["clip_dbfs"].value is None
    assert "-1 dBFS" in loops[1].figures["clip_dbfs"].note
    assert loops[0].figures["gain_997_db"].value == pytest.approx(6.0206, abs=0.002)
    assert loops[1].figures["linearity_db"].value == pytest.approx(0.0, abs=0.01)
    assert bench.stream.loudest[:, 0].max() < 10 ** (-5.9 / 20)
    assert bench.stream.loudest[:, 1].max() == pytest.approx(10 ** (-1 / 20), rel=1e-3)


WRONG = {
    "dead": ({(1, 1): (0.8, 100), (3, 3): (0.8, 100)}, [2], "output 2"),
    "inverted": ({(1, 1): (0.8, 100), (2, 2): (-0.8, 100), (3, 3): (0.8, 100)}, [2], "invert"),
    "swapped": ({(1, 2): (0.8, 100), (2, 1): (0.8, 100), (3, 3): (0.8, 100)}, [1, 2], "exchanged"),
    "split": ({(1, 1): (0.8, 100), (1, 2): (0.8, 100), (3, 3): (0.8, 100)}, [1, 2], "output 1"),
    "summed": ({(1, 1): (0.8, 100), (2, 1): (0.8, 100), (3, 3): (0.8, 100)}, [2], "adds to output 1"),
    "shorted": (
        {(1, 1): (0.4, 100), (1, 2): (0.4, 100), (2, 1): (0.4, 100), (2, 2): (0.4, 100), (3, 3): (0.4, 100)},
        [1, 2],
        "joined",
    ),
    "swapped far": (
        {(1, 1): (0.8, 100), (2, 4): (0.8, 100), (3, 3): (0.8, 100), (4, 2): (0.8, 100)},
        [2, 4],
        "exchanged",
    ),
}


@pytest.mark.parametrize(("paths", "bad", "said"), WRONG.values(), ids=WRONG)
def test_wrong_wiring_of_each_kind_is_named_in_plain_words(home: Path, paths, bad, said) -> None:
    count = max(max(cell) for cell in paths)
    stored = Bench(home, Loops(paths), count=count).calibrate("patch").calibration
    told = [f"{problem.where}: {problem.what}" for problem in stored.problems]
    assert said in " ".join(told), told
    assert [loop.output for loop in stored.loops if not loop.ok] == bad, told
    assert all(problem.hint for problem in stored.problems)


def test_a_cable_pulled_in_mid_sweep_is_named_with_its_second_and_the_rest_is_measured(home: Path) -> None:
    bench = Bench(home, Loops(straight()))
    run = run_of(bench, "response1", "response")
    into = plan_of(bench, "response").sections[run].into_frames
    bench.loops.pulled[2, 2] = (run, round(3.0 * RATE_HZ) - into)
    stored = bench.calibrate("response").calibration
    assert any("loop 2 vanished 3.0 s into the response measurement" in said for said in bench.findings())
    (problem,) = stored.problems
    assert problem.where == "output 2 → loopback/2"
    assert "vanished 3.0 s into the response measurement" in problem.what
    one, two, three = stored.loops
    assert (one.ok, two.ok, three.ok) == (True, False, True)
    assert two.latency_samples == pytest.approx(106.0, abs=1e-3)
    assert two.response is not None
    assert one.figures["ripple_db"].value == pytest.approx(0.0, abs=0.02)
    assert three.figures["ripple_db"].value == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("after_s", [0.1, 0.5, 0.9, 1.6])
def test_a_cable_pulled_during_the_search_keeps_what_was_heard_before(home: Path, after_s: float) -> None:
    bench = Bench(home, Loops(straight()))
    bench.loops.pulled[3, 3] = (run_of(bench, "comb", "patch"), round(after_s * RATE_HZ))
    stored = bench.calibrate("patch").calibration
    assert [loop.ok for loop in stored.loops] == [True, True, False]
    third = stored.loops[2]
    assert third.why == f"loop 3 vanished {after_s:.1f} s into the search for the loops"
    assert third.present
    assert third.latency_samples == pytest.approx(109.0, abs=0.01)
    assert stored.loops[0].latency_samples == pytest.approx(103.0, abs=1e-3)


def test_a_cable_pulled_during_a_tone_costs_that_loops_tones_only(home: Path) -> None:
    bench = Bench(home, Loops(straight()))
    bench.loops.pulled[2, 2] = (run_of(bench, "thd1", "distortion"), RATE_HZ // 2)
    stored = bench.calibrate("distortion").calibration
    one, two, _ = stored.loops
    assert "loop 2 vanished" in two.why
    assert "the distortion measurement of loops 1–3" in two.why
    assert two.figures["thd_db"].value is None
    assert two.figures["dynamic_range_db"].value is None
    assert one.figures["dynamic_range_db"].value is not None


def test_an_overload_in_mid_sweep_stops_at_once_and_stores_nothing(home: Path) -> None:
    bench = Bench(home, Loops(straight()))
    run = run_of(bench, "response0", "response")

    def burst(heard, loops, number, start) -> None:
        if number == run and start >= RATE_HZ:
            heard[:, 1] += 2.0

    bench.loops.fault = burst
    with pytest.raises(AudioError, match=r"Return 2 overloads .* 1\.00 s into the response measurement") as caught:
        bench.calibrate("response")
    assert caught.value.hint
    assert any("3 loops had been heard" in said for said in bench.findings())
    assert len(bench.stream.loudest) == run, "the run that overloaded did not end, and none came after it"
    assert not bench.stored()


@pytest.mark.parametrize("slow", [True, False], ids=["within a section", "from stage to stage"])
def test_feedback_is_told_from_a_signal_and_stops_it(home: Path, slow: bool) -> None:
    bench = Bench(home, Loops(straight()))

    def howl(heard, loops, number, start) -> None:
        if slow and number == run_of(bench, "response0", "response"):
            heard[:, 0] *= (
                10 ** (np.maximum(np.arange(start, start + len(heard)) - RATE_HZ, 0) / RATE_HZ * 40 / 20)[: len(heard)]
            )
        elif not slow and number >= run_of(bench, "stage-50", "response"):
            heard[:, 0] *= 4.0

    bench.loops.fault = howl
    with pytest.raises(AudioError, match=r"Return 1 (grows by itself|rose)") as caught:
        bench.calibrate("response")
    assert "feeds back" in caught.value.hint
    assert not bench.stored()


def test_nothing_at_all_is_an_error_of_its_own(home: Path) -> None:
    bench = Bench(home, Loops({}))
    with pytest.raises(SilentInputError, match="Nothing came back on any return"):
        bench.calibrate("patch")
    assert not bench.stored()


def test_nothing_sounds_before_the_plan_is_accepted(home: Path) -> None:
    bench = Bench(home, Loops(straight()))
    bench.accept = lambda question: False  # type: ignore[method-assign]
    with pytest.raises(DeclinedError):
        bench.calibrate()
    assert not len(bench.stream.loudest)


def test_the_first_sound_is_at_minus_60_and_no_step_rises_by_more_than_ten(home: Path) -> None:
    bench = Bench(home, Loops(straight()))
    sections = [section for section in plan_of(bench).sections if section.kind == "comb"]
    levels = [section.level_dbfs for section in sections]
    assert levels[0] == -60.0
    assert max(b - a for a, b in pairwise(levels)) <= 10.0


def desk_rig(folder: Path, outputs: int) -> Path:
    rig = folder / f"wide{outputs}.toml"
    rig.write_text(
        f'schema = 1\nname = "wide"\n[audio]\nport = "fake"\noutputs = {outputs}\ninputs = {outputs}\n'
        f'[[wire]]\noutputs = "1-{outputs}"\nto = "box/1-{outputs}"\n'
        f'[[return]]\nfrom = "box/1-{outputs}"\ninputs = "1-{outputs}"\n'
    )
    return rig


def test_32_loops_are_calibrated_within_a_minute_of_signal(home: Path) -> None:
    with Studio.open(desk_rig(home, 32)) as studio:
        found = calibrate_wiring.wiring(studio.rig, studio.profiles)
        plan = programme(studio.rig, found)
        assert len(found.rounds()) == 1
        assert plan.seconds <= 60.0
    into_two = calibrate_wiring.Wiring(
        tuple(calibrate_wiring.WiredLoop(n, f"desk/ch{n:02d}", (1 + n % 2, 2 - n % 2)) for n in range(1, 33)),
        ((0, 1),),
        (1, 2),
    )
    assert len(into_two.rounds()) == 16
    assert programme(studio.rig, into_two).seconds + 4 * 0.7 <= 60.0  # and four pan patterns more


def test_a_rig_without_a_way_back_is_refused(home: Path) -> None:
    text = 'schema = 1\nname = "deaf"\n[audio]\nport = "fake"\n[[wire]]\noutputs = "1"\nto = "box/1"\n'
    with pytest.raises(UsageError, match="No output of the rig 'deaf' comes back") as caught:
        Bench(home, Loops({}), text=text).calibrate()
    assert "[[return]]" in caught.value.hint


@pytest.mark.parametrize("level", [-60.0, 0.5, -75.0])
def test_a_level_that_cannot_be_played_is_refused(home: Path, level: float) -> None:
    with pytest.raises(UsageError, match="cannot be played at"):
        Bench(home, Loops(straight())).calibrate(level_dbfs=level)


def test_an_interrupted_calibration_stores_nothing(home: Path) -> None:
    bench = Bench(home, Loops(straight()))

    def interrupted(heard, loops, number, start) -> None:
        if number == run_of(bench, "response0", "response"):
            raise KeyboardInterrupt

    bench.loops.fault = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.calibrate("response")
    assert not bench.stored()


def test_a_calibration_of_schema_1_is_read_as_it_is(home: Path) -> None:
    stored = Bench(home, Loops(straight())).calibrate("patch")
    data = json.loads(stored.path.read_text())
    for key in ("parts", "figures", "source", "seconds_of_signal"):
        del data[key]
    for loop in data["loops"]:
        del loop["figures"], loop["response"]
    old = stored.path.with_name("0009-calibration.json")
    old.write_text(json.dumps({**data, "schema": 1}))
    again = load(old).calibration
    assert [loop.gain_db for loop in again.loops] == [loop.gain_db for loop in stored.calibration.loops]
    assert (again.parts, again.loops[0].figures, again.loops[0].response) == ((), {}, None)


def test_a_cable_that_is_only_looped_back_needs_no_device(home: Path) -> None:
    assert check_rig(load_rig(Bench(home, Loops({})).rig)) == []


def test_a_single_loop_is_a_rig_too(home: Path) -> None:
    (loop,) = Bench(home, Loops(straight(1)), count=1).calibrate("latency", "response").calibration.loops
    assert loop.latency_samples == pytest.approx(103.0, abs=1e-3)
    assert loop.figures["ripple_db"].value == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_alone_measures_its_own_figures_and_no_others(home: Path, part: str) -> None:
    stored = Bench(home, Loops(straight(2)), count=2).calibrate(part).calibration
    own = {kind.key for kind in KINDS if kind.part == part}
    assert set(stored.loops[0].figures) | set(stored.figures) == own
    assert stored.parts == (part,)
    assert not stored.problems
