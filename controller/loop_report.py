"""One page of a calibration, to print: plots, every loop, what is wrong, and what each number means."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from controller import dbu, files, places
from controller.events import Done, Emit
from controller.figures import BY_KEY, KINDS, Figure
from controller.html_page import picture, table
from controller.loop_figures import figures_of, number_of, signed
from controller.loop_tolerance import age_problem, limit_problems, limits_of
from controller.loops import LoopFacts, Problem, StoredCalibration
from controller.version import VERSION
from hardware.known import utc_now
from hardware.rig import Rig

if TYPE_CHECKING:
    from controller.dbu import StoredReading

JOB = "report"
COLUMNS = (
    ("latency_samples", "latency"),
    ("skew_samples", "skew"),
    ("gain_db", "gain"),
    ("linearity_db", "lin."),
    ("clip_dbfs", "clip"),
    ("response_low_db", "20 Hz"),
    ("response_high_db", "20 kHz"),
    ("ripple_db", "ripple"),
    ("highpass_hz", "corner"),
    ("noise_dbfs", "noise"),
    ("noise_a_dbfs", "A"),
    ("hum_dbfs", "hum"),
    ("thd_db", "THD"),
    ("thdn_db", "THD+N"),
    ("imd_smpte_db", "SMPTE"),
    ("dynamic_range_db", "DR"),
    ("crosstalk_worst_db", "crosst."),
)
"""The figures that stand in the table, with the short words over them; those that nobody measured fall out."""
MOST_PROBLEMS = 5
RESPONSES_MM = (118.0, 52.0)
CROSSTALK_MM = (74.0, 52.0)
BARS_MM = (193.0, 40.0)


def write_loop_report(
    stored: StoredCalibration, rig: Rig, *, newest: bool, out: Path | None = None, emit: Emit
) -> Path:
    """Write the page of one calibration and return its path; nothing is overwritten.

    ``newest`` says whether its age counts. Without ``out`` it takes the next number among the rig's reports.

    Raises
    ------
    RigError
        The rig's tolerances name a figure that does not exist.
    StorageError
        The page cannot be written, or a reading of a meter is damaged.
    """
    late = age_problem(stored, rig) if newest else None
    problems = [
        *stored.calibration.problems,
        *([late] if late else []),
        *limit_problems(stored.calibration, limits_of(rig)),
    ]
    home = places.rig_home(rig.name)
    text = page(stored, rig.title, problems, dbu.all_readings(home.readings))
    if out is None:
        out = files.create_numbered(home.reports, "loops.html", text)
    else:
        files.write_new(out, text)
    emit(Done(JOB, files.relative(out)))
    return out


def page(
    stored: StoredCalibration, title: str, problems: Sequence[Problem], readings: Sequence[StoredReading] = ()
) -> str:
    """Return the page as text: one HTML file with everything in it, laid out for A4 upright."""
    from controller import loop_plots

    calibration = stored.calibration
    loops = calibration.loops
    columns = [(key, head) for key, head in COLUMNS if any(key in figures_of(loop) for loop in loops)]
    pictures = (
        picture(loop_plots.responses_picture(loops, width_mm=RESPONSES_MM[0], height_mm=RESPONSES_MM[1]), "responses"),
        picture(loop_plots.crosstalk_picture(loops, width_mm=CROSSTALK_MM[0], height_mm=CROSSTALK_MM[1]), "crosstalk"),
        picture(
            loop_plots.bars_picture(loops, width_mm=BARS_MM[0], height_mm=BARS_MM[1]),
            "gain, latency, noise and distortion of every loop",
        ),
    )
    return _PAGE.format(
        title=escape(f"Loops of {title}"),
        style=_STYLE,
        facts="".join(f"<div>{escape(fact)}</div>" for fact in _facts(stored, readings)),
        verdict=_verdict(loops, problems),
        top=pictures[0] + pictures[1],
        bars=pictures[2],
        table=_table(loops, columns),
        rest=escape(_rest(stored)),
        definitions=_definitions(stored),
        foot=escape(f"{stored.content_hash} · written {utc_now()} by Halfnormal {VERSION}"),
    )


def _facts(stored: StoredCalibration, readings: Sequence[StoredReading]) -> list[str]:
    calibration = stored.calibration
    told = [
        f"Calibration {number_of(stored):04d} of {calibration.made_at[:16].replace('T', ' ')}, "
        f"{len(calibration.loops)} loops",
        f"{calibration.rate_hz} Hz, {calibration.block_frames} frames a block, {calibration.level_dbfs:g} dBFS an "
        f"output; measured by Halfnormal {calibration.program}"
        + (f", from {calibration.source}" if calibration.source else ""),
    ]
    if readings:
        last = readings[-1].reading
        level = last.dbu_at_0dbfs
        told.append(
            f"output {last.output}: {level.value:+.2f} ± {level.sd:.2f} dBu at 0 dBFS ({readings[-1].path.name}, "
            f"meter {last.accuracy})"
        )
    return told


def _verdict(loops: Sequence[LoopFacts], problems: Sequence[Problem]) -> str:
    sound = sum(loop.ok for loop in loops)
    if not problems:
        return f"<p class=good>{sound} of {len(loops)} loops are sound; no problems.</p>"
    items = "".join(
        f"<li><b>{escape(p.where)}</b>: {escape(p.what)}. {escape(p.hint)}</li>" for p in problems[:MOST_PROBLEMS]
    )
    more = len(problems) - MOST_PROBLEMS
    left = f"<li>… and {more} more; the table marks their loops.</li>" if more > 0 else ""
    return (
        f"<p class=bad>{sound} of {len(loops)} loops are sound; {len(problems)} to look at:</p><ul>{items}{left}</ul>"
    )


def _table(loops: Sequence[LoopFacts], columns: Sequence[tuple[str, str]]) -> str:
    heads = ["out", "strip", "in", "pol.", *(f"{head} [{_unit(key)}]" for key, head in columns), "verdict"]
    rows = [_row(loop, columns) for loop in loops]
    bars = [[f.sd for loop in loops if (f := figures_of(loop).get(key)) and f.sd is not None] for key, _ in columns]
    rows.append(["", "± at most", "", "", *(f"{max(sds):.2g}" if sds else "?" for sds in bars), "(1 sd)"])
    return table(heads, rows, marked=[number for number, loop in enumerate(loops) if not loop.ok])


def _unit(key: str) -> str:
    return {"samples": "smp"}.get(BY_KEY[key].unit, BY_KEY[key].unit)


def _row(loop: LoopFacts, columns: Sequence[tuple[str, str]]) -> list[str]:
    figures = figures_of(loop)
    return [
        str(loop.output),
        loop.address,
        "—" if loop.input is None else str(loop.input),
        {1: "+", -1: "inv."}.get(loop.polarity, "—"),
        *(_cell(key, figures.get(key)) for key, _ in columns),
        loop.why or "sound",
    ]


def _cell(key: str, figure: Figure | None) -> str:
    if figure is None:
        return ""
    return "n.o." if figure.value is None else signed(BY_KEY[key], figure.value)


def _rest(stored: StoredCalibration) -> str:
    """Say what belongs to the rig as a whole, and why something was not observable."""
    told = []
    for key, figure in stored.calibration.figures.items():
        if key in BY_KEY:
            kind = BY_KEY[key]
            value = figure.note if figure.value is None else f"{signed(kind, figure.value)} {kind.unit}"
            bar = "" if figure.sd is None or figure.value is None else f" ± {figure.sd:.1g}"
            told.append(f"{kind.label}: {value}{bar}")
    reasons: dict[str, str] = {}
    for loop in stored.calibration.loops:
        for key, figure in loop.figures.items():
            if figure.value is None and figure.note and key in BY_KEY:
                reasons.setdefault(BY_KEY[key].label, figure.note)
    told += [f"{name}: {note}" for name, note in reasons.items()]
    return "; ".join(told)


def _definitions(stored: StoredCalibration) -> str:
    held = {key for loop in stored.calibration.loops for key in figures_of(loop)} | set(stored.calibration.figures)
    told = [f"<b>{escape(k.label)}</b> [{escape(k.unit)}]: {escape(k.definition)}" for k in KINDS if k.key in held]
    return ". ".join(told) + ". Levels in dBFS after AES17: a full-scale sine reads 0 dBFS."


_STYLE = """
@page{size:A4 portrait;margin:8mm}
*{box-sizing:border-box}
html{background:#ddd}
body{width:194mm;margin:4mm auto;padding:0;background:#fff;color:#1b1d1f;
font:6.4pt/1.25 system-ui,"DejaVu Sans",sans-serif}
@media screen{body{padding:8mm;width:210mm;min-height:297mm}}
@media print{html{background:#fff}body{margin:0}}
header{display:flex;justify-content:space-between;align-items:flex-end;border-bottom:.4mm solid #1b1d1f;
padding-bottom:1mm;gap:6mm}
h1{font-size:12pt;margin:0;line-height:1.1}header>div{text-align:right;flex:none;max-width:110mm}
p{margin:1mm 0}ul{margin:.5mm 0 1mm;padding-left:4mm}
.good{color:#1d6b38;font-weight:600}p.bad{color:#b03020;font-weight:600}
.pictures{display:flex;gap:1mm;align-items:flex-start;margin:1mm 0}
.pictures img:first-child{width:118mm}.pictures img:last-child{width:74mm}.bars img{width:193mm;display:block}
table{border-collapse:collapse;width:100%;font-size:5.3pt;line-height:1.2;font-variant-numeric:tabular-nums;
margin-top:1mm}
th,td{text-align:right;padding:.25mm .6mm;border-bottom:.1mm solid #c9cbcd;white-space:nowrap}
th{font-weight:600;white-space:normal;vertical-align:bottom;border-bottom:.3mm solid #1b1d1f}
th:nth-child(2),td:nth-child(2),th:last-child,td:last-child{text-align:left}td:last-child{white-space:normal}
tr.bad td{color:#b03020}tbody tr:last-child td{color:#555;border-bottom:.3mm solid #1b1d1f;font-style:italic}
.small{font-size:4.9pt;line-height:1.25;color:#333;margin-top:1mm}.definitions{columns:3;column-gap:4mm}
footer{font-size:4.9pt;color:#555;border-top:.2mm solid #c9cbcd;margin-top:1mm;padding-top:.5mm}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><header><h1>{title}</h1><div>{facts}</div></header>
{verdict}
<div class=pictures>{top}</div>
<div class=bars>{bars}</div>
{table}
<p class=small>{rest}</p>
<p class="small definitions">{definitions}</p>
<footer>{foot}</footer>
</body></html>
"""
