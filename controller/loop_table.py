"""Calibrations as tables for spreadsheets: a row a loop with every figure and its error bar, or the responses."""

from __future__ import annotations

import csv
import io
import math

from controller.figures import KINDS
from controller.loop_figures import figures_of
from controller.loops import Calibration

FACTS = ("output", "address", "input", "expected_input", "present", "polarity", "strip_found", "ok", "why")
"""What every row begins with, by the names of `controller.loops.LoopFacts`."""


def figures_csv(calibration: Calibration) -> str:
    """Return a row a loop: facts, then ``key``, ``key.sd``, ``key.note`` of every figure that any loop has.

    What was not observable is an empty cell, and its reason stands in the note. Decimals by a point, cells by a comma
    (RFC 4180).
    """
    rows = [figures_of(loop) for loop in calibration.loops]
    keys = [kind.key for kind in KINDS if any(kind.key in figures for figures in rows)]
    noted = {key for key in keys if any(key in figures and figures[key].note for figures in rows)}
    heads = [*FACTS]
    for key in keys:
        heads += [key, f"{key}.sd", *([f"{key}.note"] if key in noted else [])]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    for loop, figures in zip(calibration.loops, rows, strict=True):
        cells: list[object] = [_cell(getattr(loop, name)) for name in FACTS]
        for key in keys:
            figure = figures.get(key)
            cells += [_cell(figure and figure.value), _cell(figure and figure.sd)]
            if key in noted:
                cells.append(figure.note if figure else "")
        writer.writerow(cells)
    return out.getvalue()


def responses_csv(calibration: Calibration) -> str:
    """Return a row a loop and frequency: Hz, level and its sd [dB], phase with the latency taken out [degrees]."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["output", "address", "hz", "gain_db", "gain_db.sd", "phase_deg", "latency_samples"])
    for loop in calibration.loops:
        if loop.response is None:
            continue
        turn = 360.0 * loop.latency_samples / calibration.rate_hz
        response = loop.response
        for hz, re, im, sd in zip(response.hz, response.re, response.im, response.sd, strict=True):
            size = math.hypot(re, im)
            if size == 0.0:
                continue
            deg = (math.degrees(math.atan2(im, re)) + turn * hz + 180.0) % 360.0 - 180.0
            level, bar = 20.0 * math.log10(size), 20.0 / math.log(10.0) * sd / size
            row = [f"{hz:.6g}", f"{level:.6f}", f"{bar:.2g}", f"{deg:.5f}", f"{loop.latency_samples:.6f}"]
            writer.writerow([loop.output, loop.address, *row])
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
