"""``halfnormal loops history``: how changes and trends are written for a terminal and for JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from controller.cli.face import Face, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.loop_history import Change, Comparison, Subject, Trend
    from controller.loops import Problem, StoredCalibration

MOST_TRENDS = 12
_MARKS = {"same": "·", "within": "~", "beyond": "✕", "unsure": "?", "appeared": "+", "vanished": "✕"}


def run(args: argparse.Namespace, face: Face) -> int:
    """Print what changed, what is slowly changing, and what lies beyond the rig's limits."""
    from controller import files, loop_history, places
    from controller.figures import KINDS
    from controller.loop_figures import all_stored, chosen, number_of
    from controller.loop_tolerance import age_problem, limit_problems, limits_of
    from hardware.rig import load_rig

    rig = load_rig(args.rig, folders=[places.rigs_folder()])
    limits = limits_of(rig)
    key = figure_key(args.figure)
    shelf = all_stored(places.rig_home(rig.name).calibrations, face.emit)
    newest = chosen(shelf, args.calibration, rig=rig.name)
    shelf = [stored for stored in shelf if number_of(stored) <= number_of(newest)]
    subject = find_loop(newest, args.loop)
    before = shelf[-2] if len(shelf) > 1 else None
    if args.since is not None:
        before = chosen(shelf, args.since, rig=rig.name)
    compared = None if before is None else loop_history.compare(before, newest, limits)
    found = loop_history.trends(
        shelf, limits, subjects=None if subject is None else [subject], keys=None if key is None else [key]
    )
    late = age_problem(newest, rig) if args.calibration is None else None
    problems: list[Problem] = [*([late] if late else []), *limit_problems(newest.calibration, limits)]
    changes: list[Change] = []
    if compared is not None:
        problems += compared.problems
        changes = [c for c in compared.changes if subject in (None, c.subject) and key in (None, c.key)]
    if args.picture is not None:
        from controller.loop_plots import trends_picture

        files.write_new(args.picture, trends_picture(found, rig.title))
    data: dict[str, Any] = {
        "rig": rig.name,
        "calibration": files.relative(newest.path),
        "since": None if before is None else files.relative(before.path),
        "calibrations": [{"number": number_of(s), "made_at": s.calibration.made_at} for s in shelf],
        "changes": [_change_json(change) for change in changes],
        "notes": [] if compared is None else list(compared.notes),
        "false_alarms_expected": 0.0 if compared is None else compared.false_alarms,
        "trends": [_trend_json(trend) for trend in found],
        "problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in problems],
        "sigma": loop_history.SIGMA,
        "definitions": {
            "verdicts": dict(loop_history.VERDICTS),
            "figures": {k.key: f"{k.definition} [{k.unit}]" for k in KINDS if k.key in {c.key for c in changes}},
        },
        "picture": None if args.picture is None else files.relative(args.picture),
    }
    everything = subject is not None or key is not None
    lines = _head(shelf, rig.title)
    lines += _changes(compared, changes, everything)
    lines += _trends(found, [number_of(s) for s in shelf], everything)
    lines += [f"✕ {p.where}: {p.what}\n    {p.hint}" for p in problems] or ["● Nothing to do."]
    face.data(data, lines)
    return 1 if problems else 0


def figure_key(word: str | None) -> str | None:
    """Return the key of a figure.

    Raises
    ------
    UsageError
        There is no such figure; the nearest are named.
    """
    from controller.errors import UsageError
    from controller.figures import BY_KEY
    from hardware.rig_file import nearest

    if word is not None and word not in BY_KEY:
        raise UsageError(f"There is no figure {word!r}.", hint=nearest(word, list(BY_KEY)))
    return word


def find_loop(stored: StoredCalibration, word: str | None) -> Subject | None:
    """Find a loop of a calibration by its output's number or its address; None for no word.

    Raises
    ------
    UsageError
        The calibration has no such loop; the nearest are named.
    """
    from controller.errors import UsageError
    from hardware.rig_file import nearest

    if word is None:
        return None
    for loop in stored.calibration.loops:
        if word in (str(loop.output), loop.address):
            return loop.output, loop.address
    known = [loop.address for loop in stored.calibration.loops]
    outputs = [str(loop.output) for loop in stored.calibration.loops]
    raise UsageError(
        f"{stored.path.name} has no loop {word!r}.", hint=nearest(word, outputs if word.isdigit() else known)
    )


def _head(shelf: Sequence[StoredCalibration], title: str) -> list[str]:
    from controller.loop_figures import number_of
    from controller.loop_tolerance import say_age
    from controller.loops import age_hours

    first, last = shelf[0], shelf[-1]
    span = f"{number_of(first):04d} ({first.calibration.made_at[:10]}) to " if len(shelf) > 1 else ""
    return [
        f"{title}: {len(shelf)} calibration{'s' if len(shelf) > 1 else ''}, {span}{number_of(last):04d} "
        f"({last.calibration.made_at[:16].replace('T', ' ')}, {say_age(age_hours(last.calibration))} old), "
        f"{len(last.calibration.loops)} loops"
    ]


def _changes(compared: Comparison | None, changes: Sequence[Change], everything: bool) -> list[str]:
    from controller.figures import BY_KEY
    from controller.loop_figures import number_of, say_figure
    from controller.loop_history import VERDICTS

    if compared is None:
        return ["There is no earlier calibration to compare with."]
    shown = [c for c in changes if everything or c.verdict not in ("same", "within")]
    counts = {verdict: sum(c.verdict == verdict for c in changes) for verdict in VERDICTS}
    lines = [
        "",
        f"Since {number_of(compared.before):04d} ({compared.before.calibration.made_at[:10]}): "
        f"{len(changes)} figure{'s' if len(changes) != 1 else ''} compared",
    ]
    lines += [f"  {_MARKS[v]} {count:5d}  {VERDICTS[v]}" for v, count in counts.items() if count]
    rows = [
        [
            _MARKS[c.verdict],
            c.where,
            BY_KEY[c.key].label,
            say_figure(BY_KEY[c.key], c.before),
            say_figure(BY_KEY[c.key], c.after),
            _amount(c),
            "—" if c.sigma is None else f"{c.sigma:.1f}",
            "—" if c.tolerance is None else f"{c.tolerance:g}",
        ]
        for c in shown
    ]
    if rows:
        lines += [
            "",
            *table(rows, ["", "loop", "figure", "then", "now", "change", "sigma", "tolerance"], right=(6, 7)),
        ]
    return [*lines, *(f"  {note}" for note in compared.notes)]


def _amount(change: Change) -> str:
    from controller.figures import BY_KEY
    from controller.loop_figures import say_sd

    digits = BY_KEY[change.key].digits
    return "—" if change.change is None else f"{change.change:+.{digits}f}{say_sd(change.sd, digits)}"


def _trends(found: Sequence[Trend], numbers: Sequence[int], everything: bool) -> list[str]:
    from controller.loop_history import LEAST_POINTS, SIGMA, sparkline

    if len(numbers) < LEAST_POINTS:
        return ["", f"A trend needs calibrations at {LEAST_POINTS} times."]
    shown = [t for t in found if everything or t.significant]
    sure = sum(t.significant for t in found)
    lines = ["", f"Trends: {sure} of {len(found)} stand beyond {SIGMA:g} sigma"]
    rows = [[sparkline(t.points, numbers), say_trend(t)] for t in shown[:MOST_TRENDS]]
    lines += [f"  {bars}  {words}" for bars, words in rows]
    if len(shown) > MOST_TRENDS:
        lines.append(f"  … and {len(shown) - MOST_TRENDS} more; --loop or --figure picks, --json has all")
    return lines


def say_trend(trend: Trend) -> str:
    """Say a trend: ``gain of output 7 → desk/ch07 falls 0.020 ± 0.005 dB a month, 4.1 sigma``."""
    from controller.figures import BY_KEY
    from controller.loop_figures import say_sd

    kind = BY_KEY[trend.key]
    slope, sd = trend.per_month.value or 0.0, trend.per_month.sd
    verb = "falls" if slope < 0 else "rises"
    amount = f"{abs(slope):.{kind.digits}f}"
    if not float(amount):
        amount = f"{abs(slope):.1g}"
    told = f"{kind.label} of {trend.where} {verb} {amount}{say_sd(sd, kind.digits)} {kind.unit} a month"
    told += "" if trend.sigma is None else f", {trend.sigma:.1f} sigma"
    if trend.significant and trend.months_left is not None and trend.months_left < 120:
        told += f"; through the tolerance in {trend.months_left:.1f} months"
    return told


def _change_json(change: Change) -> dict[str, Any]:
    told: dict[str, Any] = {
        "output": change.subject[0] or None,
        "address": change.subject[1] or None,
        "figure": change.key,
        "before": change.before.value,
        "before_sd": change.before.sd,
        "after": change.after.value,
        "after_sd": change.after.sd,
        "change": change.change,
        "sd": change.sd,
        "sigma": change.sigma,
        "tolerance": change.tolerance,
        "verdict": change.verdict,
    }
    for key, figure in (("before", change.before), ("after", change.after)):
        if figure.value is None:
            told[f"{key}_note"] = figure.note
    return told


def _trend_json(trend: Trend) -> dict[str, Any]:
    return {
        "output": trend.subject[0] or None,
        "address": trend.subject[1] or None,
        "figure": trend.key,
        "per_month": trend.per_month.value,
        "per_month_sd": trend.per_month.sd,
        "sigma": trend.sigma,
        "significant": trend.significant,
        "months_to_tolerance": trend.months_left,
        "points": [{"number": p.number, "days": p.days, "value": p.value, "sd": p.sd} for p in trend.points],
    }
