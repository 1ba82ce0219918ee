"""History of the loops: what changed, whether that is significant, where it slowly goes; from made-up calibrations."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from cli_line import Line
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_shelf import calibration, loop, shelve
from scipy import stats

from controller import loop_history
from controller.errors import CalibrationError
from controller.events import Finding, silent
from controller.figures import KINDS, Figure
from controller.loop_figures import all_stored, chosen, say_figure
from controller.loop_history import Comparison, compare, fit_line, sparkline, trends
from controller.loop_tolerance import Limits, age_problem, limit_problems, limits_of
from controller.loops import StoredCalibration
from hardware.errors import RigError
from hardware.rig import Rig, load_rig

LIMITS = {kind.key: Limits(kind.tolerance) for kind in KINDS}


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


def rig_with(folder: Path, tolerance: str) -> Rig:
    text = (Path(__file__).resolve().parents[2] / "hardware" / "rigs" / "demo.toml").read_text()
    path = folder / "limits.toml"
    path.write_text(text + tolerance)
    return load_rig(path)


def compared(folder: Path, *made: object) -> Comparison:
    before, after = shelve(folder, *made)  # type: ignore[arg-type]
    return compare(before, after, LIMITS)


def gain(db: float, sd: float | None) -> dict[str, Figure]:
    return {"gain_db": Figure(db, sd)}


# A tolerance of 0.05 dB stands in the table; the sd of a difference is the root of the sum of squares.
@pytest.mark.parametrize(
    ("moved_db", "sd", "verdict"),
    [
        (0.0, 0.001, "same"),
        (0.004, 0.001, "same"),  # 2.8 sigma
        (0.010, 0.001, "within"),  # 7.1 sigma
        (0.060, 0.001, "beyond"),
        (0.060, 0.010, "unsure"),  # 4.2 sigma
        (0.060, None, "unsure"),
        (-0.2, 0.001, "beyond"),
    ],
)
def test_a_change_is_held_against_its_error_bars_and_the_tolerance(
    tmp_path: Path, moved_db: float, sd: float | None, verdict: str
) -> None:
    result = compared(tmp_path, calibration(loop(1, gain(-1.0, sd))), calibration(loop(1, gain(-1.0 + moved_db, sd))))
    (change,) = [c for c in result.changes if c.key == "gain_db"]
    assert change.verdict == verdict
    assert change.change == pytest.approx(moved_db)
    if sd:
        assert change.sigma == pytest.approx(abs(moved_db) / (math.sqrt(2) * sd))
    assert bool(result.problems) == (verdict == "beyond")


def test_five_sigma_is_one_false_alarm_in_some_1700_calibrations_of_a_thousand_figures() -> None:
    by_chance = 2 * stats.norm.sf(loop_history.SIGMA)
    assert 1 / (1000 * by_chance) == pytest.approx(1744, rel=0.01)
    assert stats.norm.isf(1e-3 / 1000 / 2) <= loop_history.SIGMA


def test_noise_alone_raises_no_alarm_among_three_thousand_comparisons(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    keys = [kind.key for kind in KINDS]

    def measured() -> dict[str, Figure]:
        return {key: Figure(float(rng.normal(0.0, 1e-3)), 1e-3) for key in keys}

    pair = shelve(tmp_path, *(calibration(*(loop(n, measured()) for n in range(1, 33))) for _ in range(4)))
    for before, after in itertools.pairwise(pair):
        result = compare(before, after, LIMITS)
        assert len(result.changes) == 32 * len(KINDS)
        assert {c.verdict for c in result.changes if c.sigma is not None and c.sigma >= 5} == set()


def test_a_stream_that_started_elsewhere_is_a_note_and_no_fault(tmp_path: Path) -> None:
    def loops(*late: float) -> list[object]:
        return [loop(n, latency_samples=137.0 + by) for n, by in enumerate(late, start=1)]

    result = compared(tmp_path, calibration(*loops(0, 0, 0)), calibration(*loops(64.0001, 64.0, 64.25)))  # type: ignore[arg-type]
    assert any("+64 samples" in note for note in result.notes)
    beyond = [c for c in result.changes if c.verdict == "beyond"]
    assert [(c.subject[0], c.key) for c in beyond] == [(3, "latency_samples")]
    assert beyond[0].change == pytest.approx(0.25)


def test_calibrations_at_two_rates_compare_everything_but_latencies(tmp_path: Path) -> None:
    result = compared(tmp_path, calibration(), calibration(loop(latency_samples=274.0), rate_hz=96_000))
    assert {c.key for c in result.changes} == {"gain_db", "noise_dbfs"}
    assert "96000 Hz" in result.notes[0]


def test_a_flipped_polarity_a_moved_return_and_a_dead_loop_are_problems(tmp_path: Path) -> None:
    result = compared(
        tmp_path,
        calibration(loop(1), loop(2), loop(3), loop(4, present=False, input=None)),
        calibration(loop(1, polarity=-1), loop(2, input=2), loop(3, present=False, input=None), loop(4)),
    )
    said = {p.where: p.what for p in result.problems}
    assert "polarity changed to inverted" in said["output 1 → desk/ch01"]
    assert "input 1 and now does on 2" in said["output 2 → desk/ch02"]
    assert "does so no more" in said["output 3 → desk/ch03"]
    assert "output 4 → desk/ch04" not in said
    assert any("was dead and comes back" in note for note in result.notes)


def test_what_is_no_longer_observable_is_told_with_its_reason(tmp_path: Path) -> None:
    seen, unseen = {"thd_db": Figure(-90.0, 0.1)}, {"thd_db": Figure(None, None, "not observable: below the noise")}
    result = compared(tmp_path, calibration(loop(1, seen)), calibration(loop(1, unseen)))
    assert next(c.verdict for c in result.changes if c.key == "thd_db") == "vanished"
    assert "below the noise" in result.problems[0].what
    back = compared(tmp_path / "b", calibration(loop(1, unseen)), calibration(loop(1, seen)))
    assert not back.problems


def months(*values: tuple[float, float], sd: float | None, key: str = "gain_db") -> list[object]:
    return [calibration(loop(1, {key: Figure(value, sd)}), days=365.25 / 12 * at) for at, value in values]


def test_a_gain_that_falls_two_hundredths_a_month_is_said_so(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, *months(*((m, -1.0 - 0.02 * m) for m in range(6)), sd=0.01))  # type: ignore[arg-type]
    (trend,) = trends(shelf, LIMITS, keys=["gain_db"])
    # Weighted line through x = 0..5: sd = sd / sqrt(sum (x - 2.5)^2) = 0.01 / sqrt(17.5)
    assert trend.per_month.value == pytest.approx(-0.02)
    assert trend.per_month.sd == pytest.approx(0.01 / math.sqrt(17.5))
    assert trend.sigma == pytest.approx(0.02 * math.sqrt(17.5) / 0.01)
    assert trend.significant
    assert trend.months_left == pytest.approx(0.05 / 0.02)


def test_scatter_beyond_the_error_bars_is_no_trend(tmp_path: Path) -> None:
    wobble = (0.0, 0.03, -0.02, 0.025, -0.03, 0.02)
    shelf = shelve(tmp_path, *months(*enumerate(wobble), sd=1e-5))  # type: ignore[arg-type]
    (trend,) = trends(shelf, LIMITS, keys=["gain_db"])
    line = stats.linregress(range(6), wobble)
    assert trend.per_month.value == pytest.approx(line.slope)
    assert trend.per_month.sd == pytest.approx(line.stderr)
    assert not trend.significant
    assert trend.sigma == pytest.approx(stats.norm.isf(line.pvalue / 2), abs=0.02)


@pytest.mark.parametrize("freedom", [2, 4, 10, 60])
@pytest.mark.parametrize("t", [0.5, 2.0, 5.0, 12.0])
def test_students_t_becomes_the_normal_deviate_of_the_same_probability(freedom: int, t: float) -> None:
    # points whose line has slope/sd = t: residuals scaled to fit
    n = freedom + 2
    x = np.arange(n, dtype=float)
    rest = np.random.default_rng(n).normal(size=n)
    rest -= np.polyval(np.polyfit(x, rest, 1), x)
    spread = float(np.sum((x - x.mean()) ** 2))
    scale = math.sqrt(spread * freedom / float(rest @ rest)) / t
    slope, _, sigma = fit_line(list(x), [(float(v), None) for v in x + scale * rest])
    assert slope == pytest.approx(1.0)
    assert sigma == pytest.approx(stats.norm.isf(stats.t.sf(t, freedom)), rel=0.05)


@settings(deadline=None)
@given(
    slope=st.floats(-10, 10),
    level=st.floats(-100, 100),
    sds=st.lists(st.floats(1e-3, 1.0), min_size=3, max_size=9),
)
def test_a_straight_line_is_found_whatever_its_error_bars(slope: float, level: float, sds: list[float]) -> None:
    found, sd, _ = fit_line(range(len(sds)), [(level + slope * x, s) for x, s in enumerate(sds)])
    assert found == pytest.approx(slope, abs=1e-6)
    assert sd is not None
    assert sd > 0


def test_a_clear_trend_with_the_scatter_its_error_bars_foresee_stays_clear() -> None:
    scatter = (0.003, -0.005, 0.004, 0.001, -0.006, 0.005, 0.002, -0.004)  # of a standard deviation of 0.004
    _, sd, sigma = fit_line(range(8), [(-0.02 * x + by, 0.004) for x, by in enumerate(scatter)])
    assert sd is not None
    assert sd >= 0.004 / math.sqrt(42.0), "never narrower than the error bars say; sum (x - 3.5)^2 = 42"
    assert sigma is not None
    assert sigma > 20


def test_two_points_make_no_trend_and_one_day_no_month(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, calibration(), calibration(days=30.0))
    assert trends(shelf, LIMITS) == []
    twice = shelve(tmp_path / "c", calibration(), calibration(days=30.0), calibration(days=30.1))
    assert trends(twice, LIMITS) == [], "two days, whatever the number of calibrations"
    same = shelve(tmp_path / "b", calibration(), calibration(), calibration())
    assert trends(same, LIMITS) == []
    assert trends([], LIMITS) == []


def test_a_spark_line_shows_the_way_and_the_gaps() -> None:
    points = [loop_history.Point(n, float(n), float(v), None) for n, v in ((1, 0), (2, 7), (4, 3.5))]
    assert sparkline(points, [1, 2, 3, 4]) in ("▁█·▄", "▁█·▅")
    assert sparkline(points[:1], [1]) == "▁"


def test_a_damaged_calibration_is_told_and_the_others_stay(tmp_path: Path) -> None:
    shelve(tmp_path, calibration(), calibration(days=1))
    (tmp_path / "0003-calibration.json").write_text('{"schema": 2')
    told: list[object] = []
    assert len(all_stored(tmp_path, told.append)) == 2
    assert isinstance(told[0], Finding)
    assert "0003-calibration.json" in told[0].what
    with pytest.raises(CalibrationError, match="no calibration 0009"):
        chosen(all_stored(tmp_path, silent), 9, rig="small")
    with pytest.raises(CalibrationError, match="has no calibration"):
        chosen([], None, rig="small")


def test_a_figure_is_written_with_its_error_bar_at_the_tables_digits() -> None:
    gain_kind = next(kind for kind in KINDS if kind.key == "gain_db")
    assert say_figure(gain_kind, Figure(-0.4124, 0.0031)) == "-0.412 ± 0.003 dB"
    assert say_figure(gain_kind, Figure(-0.4124, 0.000031)) == "-0.412 ± 3e-05 dB"
    assert say_figure(gain_kind, Figure(None, None, "not observable: silence")) == "not observable: silence"
    assert say_figure(gain_kind, None) == "not measured"


# Tolerances


def test_a_rig_without_limits_has_the_tables(tmp_path: Path) -> None:
    limits = limits_of(rig_with(tmp_path, ""))
    assert limits == LIMITS


def test_a_rigs_own_limit_wins_figure_by_figure(tmp_path: Path) -> None:
    limits = limits_of(rig_with(tmp_path, "figures = { gain_db = { change = 0.2 }, thd_db = { max = -80 } }\n"))
    assert limits["gain_db"] == Limits(0.2)
    assert limits["thd_db"] == Limits(1.0, None, -80.0)
    assert limits["ripple_db"] == LIMITS["ripple_db"]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("\n[tolerance.figures]\nthd = { max = -80 }\n", "no figure 'thd'", "thd_db"),
        ("\n[tolerance.figures.gain_db]\nmin = 1\nmax = -1\n", "least gain_db of 1 lies above", "Exchange"),
    ],
)
def test_a_limit_of_no_figure_is_named_with_its_line_and_the_nearest(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    rig = rig_with(tmp_path, text)
    line = 1 + next(
        n for n, row in enumerate(rig.path.read_text().splitlines()) if row.startswith(("thd ", "[tolerance.figures."))
    )
    with pytest.raises(RigError) as error:
        limits_of(rig)
    assert said in str(error.value)
    assert f"line {line}:" in str(error.value)
    assert hint in error.value.hint


def test_a_figure_beyond_a_limit_is_a_problem_and_one_within_its_error_bar_perhaps() -> None:
    limits = {**LIMITS, "thd_db": Limits(1.0, None, -80.0), "gain_db": Limits(0.05, -1.5, 0.5)}
    made = calibration(
        loop(1, {"thd_db": Figure(-79.0, 0.1)}),
        loop(2, {"thd_db": Figure(-79.95, 0.1)}),
        loop(3, {"thd_db": Figure(-80.1, 0.1)}),
        loop(4, gain_db=-2.0),
        loop(5, {"thd_db": Figure(None, None, "not observable: noise")}),
    )
    said = {p.where[:8]: p.what for p in limit_problems(made, limits)}
    assert set(said) == {"output 1", "output 2", "output 4"}
    assert "THD of -79.00 ± 0.10 dB is above the largest allowed, -80 dB" in said["output 1"]
    assert "perhaps above" in said["output 2"]
    assert "below the least allowed, -1.5 dB" in said["output 4"]


def test_a_calibration_that_is_too_old_says_what_to_do(tmp_path: Path) -> None:
    (stored,) = shelve(tmp_path, calibration())
    rig = rig_with(tmp_path, "")
    made = dt.datetime.fromisoformat(stored.calibration.made_at)
    assert age_problem(stored, rig, now=made + dt.timedelta(hours=23.9)) is None
    problem = age_problem(stored, rig, now=made + dt.timedelta(days=3))
    assert problem is not None
    assert "3 days old; this rig allows 24 h" in problem.what
    assert "halfnormal calibrate --rig demo" in problem.hint


# The command


def months_on_file(line: Line) -> list[StoredCalibration]:
    folder = line.home / "rigs" / "small" / "calibrations"
    today = dt.datetime.now(dt.UTC)
    made = [
        calibration(
            loop(1, gain(-1.0, 1e-3)),
            loop(2, gain(-0.5 - 0.02 * month, 1e-3)),
            made_at=(today - dt.timedelta(days=30.4375 * (5 - month))).isoformat(),
        )
        for month in range(5)
    ]
    return shelve(
        folder, *made, calibration(loop(1, gain(-1.3, 1e-3)), loop(2, gain(-0.6, 1e-3)), made_at=today.isoformat())
    )


def test_history_names_the_change_the_trend_and_exits_1(line: Line) -> None:
    months_on_file(line)
    told = line.json("loops", "history", "--rig", "small", code=1)
    assert told["calibration"].endswith("0006-calibration.json")
    (beyond,) = [c for c in told["changes"] if c["verdict"] == "beyond"]
    assert (beyond["output"], beyond["address"], beyond["figure"]) == (1, "desk/ch01", "gain_db")
    assert beyond["change"] == pytest.approx(-0.3)
    (falling,) = [t for t in told["trends"] if t["significant"]]
    assert (falling["output"], falling["figure"]) == (2, "gain_db")
    assert [set(p) for p in told["problems"]] == [{"where", "what", "hint"}]
    assert told["sigma"] == 5
    assert "least-squares" in told["definitions"]["figures"]["gain_db"]
    said = line.run("loops", "history", "--rig", "small")
    assert said.code == 1
    assert "gain of output 2 → desk/ch02 falls" in said.out
    assert "✕ output 1 → desk/ch01: gain changed by -0.300 dB, beyond the tolerance of 0.05" in said.out


def test_rig_check_finds_a_limit_of_no_figure(line: Line) -> None:
    rig = line.home / "rigs" / "small.toml"
    rig.write_text(rig.read_text() + "\n[tolerance.figures]\nthd = { max = -80 }\n")
    said = line.run("rig", "check", "--rig", "small")
    assert said.code == 2
    assert "no figure 'thd'" in said.sentence
    assert "thd_db" in said.err


def test_history_of_one_loop_and_figure_since_a_number_with_a_picture(line: Line) -> None:
    months_on_file(line)
    words = ("loops", "history", "--rig", "small", "--loop", "2", "--figure", "gain_db", "--since", "1")
    told = line.json(*words, "--picture", "gain.png", code=1)
    assert [(c["output"], c["figure"]) for c in told["changes"]] == [(2, "gain_db")]
    assert [(t["output"], t["figure"]) for t in told["trends"]] == [(2, "gain_db")]
    assert (line.folder / "gain.png").read_bytes().startswith(b"\x89PNG")
    assert line.run(*words, "--picture", "gain.png").code == 2, "nothing is overwritten"


def test_an_old_calibration_that_is_all_right_is_still_a_no(line: Line) -> None:
    shelve(line.home / "rigs" / "small" / "calibrations", calibration(), calibration(days=1.0))
    told = line.json("loops", "history", "--rig", "small", code=1)
    assert "this rig allows 24 h" in told["problems"][0]["what"]
    assert "halfnormal calibrate" in told["problems"][0]["hint"]
    assert line.json("loops", "history", "--rig", "small", "--calibration", "2")["problems"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--figure", "gain"), 2, "no figure 'gain'"),
        (("--loop", "desk/ch9"), 2, "has no loop 'desk/ch9'"),
        (("--since", "77"), 1, "no calibration 0077"),
    ],
)
def test_history_of_nothing_is_one_sentence(line: Line, words: tuple[str, ...], code: int, said: str) -> None:
    assert line.run("loops", "history", "--rig", "small").code == 1
    shelve(line.home / "rigs" / "small" / "calibrations", calibration())
    told = line.run("loops", "history", "--rig", "small", *words)
    assert told.code == code
    assert said in told.sentence
