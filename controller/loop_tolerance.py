"""What a rig allows its loops: limits figure by figure, and how old a calibration may be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller import loops
from controller.events import Emit, Finding
from controller.figures import BY_KEY, KINDS, Figure, FigureKind
from controller.loop_figures import figures_of, say_figure, where_of
from controller.loops import Calibration, LoopFacts, Problem
from hardware.errors import RigError
from hardware.rig import FigureLimits, Rig
from hardware.rig_file import nearest, toml_lines

if TYPE_CHECKING:
    from controller.loops import StoredCalibration

LIMIT_SIGMA = 2.0
"""A figure beyond a limit by less than this many standard deviations is told as perhaps beyond."""


@dataclass(frozen=True)
class Limits:
    """What one figure may be: its largest ``change`` between calibrations, and its absolute bounds; None for none."""

    change: float | None
    low: float | None = None
    high: float | None = None


def limits_of(rig: Rig) -> dict[str, Limits]:
    """Return the limits of every figure: the rig's own from ``[tolerance.figures]``, else the table's.

    Raises
    ------
    RigError
        The rig limits a figure that does not exist (file, line and nearest key are named), or its least value lies
        above its largest.
    """
    own = rig.tolerance.figures
    for key, limits in own.items():
        if key not in BY_KEY:
            raise RigError(
                f"{_place(rig, key)}: there is no figure {key!r} in tolerance.figures.",
                hint=nearest(key, list(BY_KEY)),
            )
        if limits.min is not None and limits.max is not None and limits.min > limits.max:
            raise RigError(
                f"{_place(rig, key)}: the least {key} of {limits.min:g} lies above the largest of {limits.max:g}.",
                hint="Exchange min and max.",
            )
    return {kind.key: _merged(kind, own.get(kind.key, FigureLimits())) for kind in KINDS}


def _merged(kind: FigureKind, own: FigureLimits) -> Limits:
    return Limits(kind.tolerance if own.change is None else own.change, own.min, own.max)


def _place(rig: Rig, key: str) -> str:
    lines = toml_lines(rig.path.read_text(encoding="utf-8"))
    line = lines.get(f"$.tolerance.figures.{key}", lines.get("$.tolerance.figures", 1))
    return f"{rig.path}, line {line}"


def limit_problems(calibration: Calibration, limits: Mapping[str, Limits]) -> list[Problem]:
    """Name every figure of a calibration that lies beyond an absolute limit of the rig."""
    problems: list[Problem] = []
    subjects: Sequence[tuple[LoopFacts | None, Mapping[str, Figure]]] = [
        (None, calibration.figures),
        *((loop, figures_of(loop)) for loop in calibration.loops),
    ]
    for loop, figures in subjects:
        for key, figure in figures.items():
            found = _beyond(BY_KEY[key], figure, limits[key]) if key in limits else None
            if found:
                problems.append(
                    Problem(where_of(loop), found, "Put the loop right, or change the limit in [tolerance.figures].")
                )
    return problems


def _beyond(kind: FigureKind, figure: Figure, limits: Limits) -> str | None:
    if figure.value is None:
        return None
    for bound, excess, side in (
        (limits.low, -1.0, "below the least"),
        (limits.high, 1.0, "above the largest"),
    ):
        if bound is None or (over := (figure.value - bound) * excess) <= 0.0:
            continue
        sure = figure.sd is None or over >= LIMIT_SIGMA * figure.sd
        perhaps = "" if sure else "perhaps "
        return f"{kind.label} of {say_figure(kind, figure)} is {perhaps}{side} allowed, {bound:g} {kind.unit}"
    return None


def age_problem(stored: StoredCalibration, rig: Rig, *, now: dt.datetime | None = None) -> Problem | None:
    """Say that a calibration is older than its rig allows, and what to do; None while it holds."""
    age = loops.age_hours(stored.calibration, now=now)
    if age <= rig.tolerance.calibration_hours:
        return None
    return Problem(
        stored.path.name,
        f"the calibration is {say_age(age)} old; this rig allows {say_age(rig.tolerance.calibration_hours)}",
        f"Run 'halfnormal calibrate --rig {rig.name}'.",
    )


def tell_age(stored: StoredCalibration | None, rig: Rig, job: str, emit: Emit) -> None:
    """Warn a face that what ``job`` builds on is older than its rig allows."""
    late = None if stored is None else age_problem(stored, rig)
    if late is not None:
        emit(Finding(job, late.what, late.hint, "warning"))


def say_age(hours: float) -> str:
    """Write an age as a person says it."""
    if hours < 1.0:
        return f"{max(hours, 0.0) * 60:.0f} min"
    return f"{hours:.3g} h" if hours < 48.0 else f"{hours / 24:.3g} days"
