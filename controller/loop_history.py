"""What became of a rig's loops over time: changes since an earlier calibration, and slow trends, with their doubt.

A change is judged twice. *Significant*: it stands more than :data:`SIGMA` standard deviations of the difference from
zero. *Beyond tolerance*: it is larger than the rig allows. A room warms up, so with error bars of a ten-thousandth of a
dB nearly every change is significant; only one that is both is worth a walk to the rack.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from controller.figures import BY_KEY, KINDS, Figure
from controller.loop_figures import figures_of, made_at, number_of, where_of
from controller.loop_tolerance import Limits
from controller.loops import Calibration, LoopFacts, Problem, StoredCalibration

SIGMA = 5.0
"""How many standard deviations make a change significant.

Thirty figures of thirty-two loops are about a thousand comparisons a calibration. Under a normal error a change passes
z either way with probability erfc(z/√2): 2.7e-3 at z = 3, which is three false alarms each time; 5.7e-7 at z = 5, one
in some 1700 calibrations (Bonferroni's bound, α = m·p; α = 1e-3 with m = 1000 asks for z = 4.9).
"""
ROUNDING = 1e-12
"""Relative size of what the arithmetic leaves: a slope below it is none."""
DAYS_A_MONTH = 365.25 / 12.0
LEAST_POINTS = 3
"""A trend needs so many times, no two of them nearer than a tenth of the span: two are a change."""
LATENCIES = ("latency_samples", "latency_phase_samples", "latency_group_samples", "latency_fit_samples")

Verdict = Literal["same", "within", "beyond", "unsure", "appeared", "vanished"]
VERDICTS: Mapping[Verdict, str] = {
    "same": "no change beyond its error bars",
    "within": "a real change, within the tolerance",
    "beyond": "a real change, beyond the tolerance",
    "unsure": "beyond the tolerance, but not beyond its error bars",
    "appeared": "observable now, and was not",
    "vanished": "was observable, and is not now",
}
Subject = tuple[int, str]
"""Output and address of a loop; (0, "") is the rig as a whole. A loop that was wired elsewhere is another loop."""


@dataclass(frozen=True)
class Change:
    """One figure of one loop, then and now, in the figure's own unit; ``sd`` is that of ``change``.

    ``sigma`` is None where one of the two has no error bar; ``tolerance`` None where a change is no fault.
    """

    where: str
    subject: Subject
    key: str
    before: Figure
    after: Figure
    change: float | None
    sd: float | None
    sigma: float | None
    tolerance: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Two calibrations side by side. ``problems`` are what somebody should look at; ``notes`` explain."""

    before: StoredCalibration
    after: StoredCalibration
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def false_alarms(self) -> float:
        """How many of the changes would pass :data:`SIGMA` by chance alone, were all errors normal."""
        return sum(change.sigma is not None for change in self.changes) * math.erfc(SIGMA / math.sqrt(2.0))


@dataclass(frozen=True)
class Point:
    """One calibration's value of a figure; ``days`` since the first of the series."""

    number: int
    days: float
    value: float
    sd: float | None


@dataclass(frozen=True)
class Trend:
    """A straight line through a figure's points.

    ``per_month`` in the figure's unit with its standard deviation; ``sigma`` as of a normal distribution, whatever the
    number of points. ``months_left`` until the line has moved by the tolerance, None where it never does.
    """

    where: str
    subject: Subject
    key: str
    points: tuple[Point, ...]
    per_month: Figure
    sigma: float | None
    months_left: float | None = field(default=None)

    @property
    def significant(self) -> bool:
        """Whether the slope stands beyond :data:`SIGMA` standard deviations."""
        return self.sigma is not None and self.sigma >= SIGMA


def compare(before: StoredCalibration, after: StoredCalibration, limits: Mapping[str, Limits]) -> Comparison:
    """Say what changed between two calibrations of a rig, figure by figure."""
    old, new = _loops(before.calibration), _loops(after.calibration)
    both = [subject for subject in new if subject in old]
    notes: list[str] = []
    problems: list[Problem] = []
    for subject in both:
        problems += _facts_changed(old[subject], new[subject])
        if new[subject].present and not old[subject].present:
            notes.append(f"{where_of(new[subject])} was dead and comes back now")
    for subject in sorted(set(old) ^ set(new)):
        notes.append(f"output {subject[0]} → {subject[1]} was measured in only one of the two")
    shift: int | None = 0
    if before.calibration.rate_hz != after.calibration.rate_hz:
        shift = None
        notes.append(
            f"latencies are not compared: the calibrations ran at {before.calibration.rate_hz} and "
            f"{after.calibration.rate_hz} Hz"
        )
    else:
        shift = common_shift(before.calibration, after.calibration)
        if shift:
            notes.append(
                f"this stream ran {shift:+d} samples from the earlier one, on all loops alike; that is taken out"
            )
    changes = [_change(None, before.calibration.figures, after.calibration.figures, limits, 0)]
    changes += [_change(new[s], figures_of(old[s]), figures_of(new[s]), limits, shift) for s in both]
    flat = tuple(change for loop in changes for change in loop)
    problems += [_alarm(change) for change in flat if change.verdict in ("beyond", "vanished")]
    return Comparison(before, after, flat, tuple(problems), tuple(notes))


def common_shift(before: Calibration, after: Calibration) -> int:
    """Return by how many whole samples all loops arrive later than before: where a stream began, not a fault."""
    old, new = _loops(before), _loops(after)
    moved = [
        new[s].latency_samples - old[s].latency_samples for s in new if s in old and new[s].present and old[s].present
    ]
    return round(statistics.median(moved)) if moved else 0


def _loops(calibration: Calibration) -> dict[Subject, LoopFacts]:
    return {(loop.output, loop.address): loop for loop in calibration.loops}


def _facts_changed(old: LoopFacts, new: LoopFacts) -> Iterator[Problem]:
    where = where_of(new)
    if old.present and not new.present:
        yield Problem(where, f"{new.address} came back and does so no more", "Check its cable, mute and insert.")
    elif new.present and old.present:
        if old.polarity != new.polarity:
            word = "inverted" if new.polarity < 0 else "normal"
            yield Problem(
                where, f"its polarity changed to {word}", "Look for a polarity switch, or pins 2 and 3 exchanged."
            )
        if old.input != new.input:
            yield Problem(where, f"it came back on input {old.input} and now does on {new.input}", "Check the patch.")


def _change(
    loop: LoopFacts | None,
    before: Mapping[str, Figure],
    after: Mapping[str, Figure],
    limits: Mapping[str, Limits],
    shift: int | None,
) -> list[Change]:
    found = []
    for kind in KINDS:
        key = kind.key
        if key not in before or key not in after or (key in LATENCIES and shift is None):
            continue
        old, new = before[key], after[key]
        taken_out = shift if shift and key in LATENCIES else 0
        found.append(_judged(loop, key, old, new, limits[key].change, taken_out))
    return found


def _judged(
    loop: LoopFacts | None, key: str, old: Figure, new: Figure, tolerance: float | None, taken_out: int
) -> Change:
    change = sd = sigma = None
    verdict: Verdict = "same"
    if old.value is None or new.value is None:
        if old.value is not None:
            verdict = "vanished"
        elif new.value is not None:
            verdict = "appeared"
    else:
        change = new.value - old.value - taken_out
        if old.sd is not None and new.sd is not None:
            sd = math.hypot(old.sd, new.sd)
            sigma = abs(change) / sd if sd else (math.inf if change else 0.0)
        far = tolerance is not None and abs(change) > tolerance
        if sigma is not None and sigma >= SIGMA:
            verdict = "beyond" if far else "within"
        elif far:
            verdict = "unsure"
    subject = (0, "") if loop is None else (loop.output, loop.address)
    return Change(where_of(loop), subject, key, old, new, change, sd, sigma, tolerance, verdict)


def _alarm(change: Change) -> Problem:
    kind = BY_KEY[change.key]
    if change.change is None:
        return Problem(
            change.where, f"{kind.label} is not observable any more: {change.after.note}", "Look at the loop."
        )
    return Problem(
        change.where,
        f"{kind.label} changed by {change.change:+.{kind.digits}f} {kind.unit}, beyond the tolerance of "
        f"{change.tolerance:g}",
        "Find what was moved or is ageing; if it is meant to be so, the next calibration starts from here.",
    )


def trends(
    shelf: Sequence[StoredCalibration],
    limits: Mapping[str, Limits],
    *,
    subjects: Iterable[Subject] | None = None,
    keys: Iterable[str] | None = None,
) -> list[Trend]:
    """Fit a straight line to every figure that was seen at :data:`LEAST_POINTS` times or more, most certain first.

    Latencies are followed at the newest calibration's rate only, whole samples common to all loops taken out.
    """
    if not shelf:
        return []
    newest = shelf[-1].calibration
    start = made_at(shelf[0].calibration)
    wanted = None if subjects is None else set(subjects)
    allowed = [kind.key for kind in KINDS] if keys is None else list(keys)
    series: dict[tuple[Subject, str], list[Point]] = {}
    for stored in shelf:
        days = (made_at(stored.calibration) - start).total_seconds() / 86_400.0
        same_rate = stored.calibration.rate_hz == newest.rate_hz
        shift = common_shift(newest, stored.calibration) if same_rate else 0
        for subject, figures in _figures(stored.calibration):
            if wanted is not None and subject not in wanted:
                continue
            for key in allowed:
                figure = figures.get(key)
                if figure is None or figure.value is None or (key in LATENCIES and not same_rate):
                    continue
                value = figure.value - (shift if key in LATENCIES else 0)
                series.setdefault((subject, key), []).append(Point(number_of(stored), days, value, figure.sd))
    found = [
        _fitted(subject, key, points, limits[key].change)
        for (subject, key), points in series.items()
        if _times([point.days for point in points]) >= LEAST_POINTS
    ]
    return sorted(found, key=lambda trend: -(trend.sigma or 0.0))


def _figures(calibration: Calibration) -> Iterator[tuple[Subject, Mapping[str, Figure]]]:
    yield (0, ""), calibration.figures
    for loop in calibration.loops:
        yield (loop.output, loop.address), figures_of(loop)


def _times(days: Sequence[float]) -> int:
    """Count the times that lie a tenth of the span or more apart."""
    gap = (max(days) - min(days)) / 10.0
    count, last = 0, -math.inf
    for day in sorted(days):
        if day - last >= gap and day > last:
            count, last = count + 1, day
    return count


def _fitted(subject: Subject, key: str, points: Sequence[Point], tolerance: float | None) -> Trend:
    slope, sd, sigma = fit_line([p.days / DAYS_A_MONTH for p in points], [(p.value, p.sd) for p in points])
    where = f"output {subject[0]} → {subject[1]}" if subject[0] else where_of(None)
    left = tolerance / abs(slope) if tolerance is not None and slope else None
    return Trend(where, subject, key, tuple(points), Figure(slope, sd), sigma, left)


def fit_line(x: Sequence[float], y: Sequence[tuple[float, float | None]]) -> tuple[float, float | None, float | None]:
    """Return slope, its standard deviation, and the slope's distance from zero in standard deviations.

    ``y`` are values with their standard deviations. Weighted least squares, weights 1/sd²; where an error bar is
    missing or zero, all points weigh alike. Points that scatter more than their error bars say (a room that warms up)
    widen the slope's by Birge's ratio √(χ²/ν), as the Particle Data Group does. Where the scatter is more than the
    error bars can explain (χ²/ν above 1 + 3√(2/ν), three standard deviations of χ²/ν) it alone is what the slope is
    judged by: the distance is then Student's t with ν degrees of freedom, turned into that of a normal distribution
    after D. L. Wallace, Ann. Math. Stat. 30 (1959) 1121.
    """
    sds = [sd for _, sd in y if sd]
    weighted = len(sds) == len(y)
    weights = [1.0 / sd**2 for sd in sds] if weighted else [1.0] * len(y)
    values = [value for value, _ in y]
    total = sum(weights)
    middle = sum(w * xi for w, xi in zip(weights, x, strict=True)) / total
    level = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    spread = sum(w * (xi - middle) ** 2 for w, xi in zip(weights, x, strict=True))
    slope = sum(w * (xi - middle) * v for w, xi, v in zip(weights, x, values, strict=True)) / spread
    freedom = len(y) - 2
    rest = [v - level - slope * (xi - middle) for xi, v in zip(x, values, strict=True)]
    chi2 = sum(w * r * r for w, r in zip(weights, rest, strict=True)) / freedom if freedom > 0 else math.nan
    own = 1.0 / math.sqrt(spread)
    if weighted and (freedom == 0 or chi2 <= 1.0 + 3.0 * math.sqrt(2.0 / freedom)):
        sd = own if freedom == 0 else own * math.sqrt(max(chi2, 1.0))
        return slope, sd, abs(slope) / sd
    if freedom == 0:
        return slope, None, None
    sd = own * math.sqrt(chi2)
    if abs(slope) * (max(x) - min(x)) <= ROUNDING * max(map(abs, values)):
        return 0.0, sd, 0.0
    return slope, sd, _normal_sigma(abs(slope) / max(sd, ROUNDING * abs(slope)), freedom)


def _normal_sigma(t: float, freedom: int) -> float:
    """Turn Student's t into the normal deviate that is as improbable (Wallace's approximation)."""
    return (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(points: Sequence[Point], numbers: Sequence[int]) -> str:
    """Draw a series in one line of bars, lowest to highest; a dot where a calibration of ``numbers`` has no value."""
    values = {point.number: point.value for point in points}
    low, high = min(values.values()), max(values.values())
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((values[n] - low) / step)] if n in values else "·" for n in numbers)
