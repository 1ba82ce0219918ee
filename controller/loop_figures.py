"""The figures of stored calibrations, whatever schema they are of: found, named, and written with their error bars."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller import loops
from controller.errors import CalibrationError, CalibrationFileError
from controller.events import Emit, Finding
from controller.figures import Figure, FigureKind
from controller.loops import Calibration, LoopFacts, StoredCalibration

RIG_AS_A_WHOLE = "the rig"
_NUMBER = re.compile(r"(\d+)-calibration\.json")


def number_of(stored: StoredCalibration) -> int:
    """Return the number a calibration is filed under; 0 for a file of another name."""
    found = _NUMBER.fullmatch(stored.path.name)
    return int(found[1]) if found else 0


def made_at(calibration: Calibration) -> dt.datetime:
    """Return when it was measured, with its time zone; one that is not stated is taken for UTC."""
    made = dt.datetime.fromisoformat(calibration.made_at)
    return made if made.tzinfo else made.replace(tzinfo=dt.UTC)


def all_stored(folder: Path, emit: Emit) -> list[StoredCalibration]:
    """Return every calibration of ``folder`` in the order of its numbers; a damaged file is told and left out."""
    found = []
    for path in sorted(folder.glob("*-calibration.json")) if folder.is_dir() else []:
        if not _NUMBER.fullmatch(path.name):
            continue
        try:
            stored = loops.load(path)
            made_at(stored.calibration)
        except CalibrationFileError as error:
            emit(Finding(path.name, str(error), error.hint, "warning"))
        except ValueError as error:
            emit(Finding(path.name, f"its date cannot be read and it is left out: {error}", severity="warning"))
        else:
            found.append(stored)
    return sorted(found, key=number_of)


def chosen(shelf: Sequence[StoredCalibration], number: int | None, *, rig: str) -> StoredCalibration:
    """Return the calibration of that number, or the newest for None.

    Raises
    ------
    CalibrationError
        There is none at all, or none of that number.
    """
    if not shelf:
        raise CalibrationError(
            f"The rig {rig} has no calibration that can be read.", hint=f"Run 'halfnormal calibrate --rig {rig}'."
        )
    if number is None:
        return shelf[-1]
    for stored in shelf:
        if number_of(stored) == number:
            return stored
    raise CalibrationError(
        f"The rig {rig} has no calibration {number:04d}.",
        hint=f"There are {number_of(shelf[0]):04d} to {number_of(shelf[-1]):04d}.",
    )


def figures_of(loop: LoopFacts) -> Mapping[str, Figure]:
    """Return a loop's figures by key; those that files of schema 1 hold elsewhere among them."""
    basic: dict[str, Figure] = {"noise_dbfs": Figure(loop.noise_dbfs)}
    if loop.present:
        basic["latency_samples"] = Figure(loop.latency_samples, loop.latency_sd)
        basic["gain_db"] = Figure(loop.gain_db, loop.gain_sd)
    return {**basic, **loop.figures}


def where_of(loop: LoopFacts | None) -> str:
    """Name a loop as the problems of a calibration do; None is the rig as a whole."""
    return RIG_AS_A_WHOLE if loop is None else f"output {loop.output} → {loop.address}"


def say_figure(kind: FigureKind, figure: Figure | None) -> str:
    """Write a figure with its error bar, at the table's digits: ``-0.412 ± 0.003 dB``; what was not seen says why."""
    if figure is None:
        return "not measured"
    if figure.value is None:
        return figure.note or "not observable"
    return f"{signed(kind, figure.value)}{say_sd(figure.sd, kind.digits)} {kind.unit}"


def signed(kind: FigureKind, value: float) -> str:
    """Write a value at the table's digits, with a sign where the unit is a ratio or the value is below zero."""
    sign = "+" if kind.unit in {"dB", "ppm"} else ""
    return f"{value:{sign}z.{kind.digits}f}"


def say_sd(sd: float | None, digits: int) -> str:
    """Write an error bar at ``digits``; one that is too small to show there, with one figure of its own."""
    if sd is None or not math.isfinite(sd):
        return ""
    shown = f"{sd:.{digits}f}"
    return f" ± {shown if float(shown) or not sd else f'{sd:.1g}'}"
