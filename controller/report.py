"""One self-contained HTML page of a project: calibration, recall, prints and nulls, pictures inside."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from controller import files, loops, places
from controller.errors import ControllerError
from controller.events import Done, Emit, Finding
from controller.html_page import fact_list, folded, picture, section, table
from controller.project import Project
from controller.value_text import say
from controller.version import VERSION
from hardware.errors import HardwareError
from hardware.known import Known, RigState, utc_now
from hardware.rig import load_rig

JOB = "report"
HOW_ORDER = ("measured", "read-back", "acknowledged", "sent", "by-hand", "assumed")


def write_report(project: Project, *, out: Path | None = None, emit: Emit) -> Path:
    """Write the report of everything the project holds and return its path; nothing is overwritten.

    What cannot be read is named on the page and to the face, and the rest is reported.

    Raises
    ------
    StorageError
        The page cannot be written.
    """
    home = _home(project, emit)
    sections = [_prints(project, emit), _nulls(project, emit), _calibration(home, emit), _recall(home, emit)]
    page = _PAGE.format(
        title=escape(project.title),
        facts=escape(f"{project.rate_hz} Hz, rig {project.rig}, {len(project.stems)} stems; {utc_now()}"),
        version=escape(VERSION),
        style=_STYLE,
        body="\n".join(section for section in sections if section),
    )
    if out is None:
        out = files.create_numbered(project.reports, "report.html", page)
    else:
        files.write_new(out, page)
    emit(Done(JOB, files.relative(out)))
    return out


def _home(project: Project, emit: Emit) -> places.RigHome:
    """Find what is kept of the project's rig; a rig file may be gone while its calibrations are still there."""
    try:
        return places.rig_home(load_rig(project.rig, folders=[places.rigs_folder()]).name)
    except HardwareError as error:
        emit(Finding("rig", str(error), error.hint, "warning"))
        return places.rig_home(Path(project.rig).stem)


def _prints(project: Project, emit: Emit) -> str:
    cards = []
    for path in sorted(project.prints.glob("[0-9]*.json")):
        facts = _load(path, emit)
        if facts is None:
            continue
        allocation = facts.get("allocation", [])
        rows = [[a["strip"], a["stage"], a["where"], a["why"]] for a in allocation]
        cards.append(
            f"<article><h3>{escape(str(facts.get('file', path.stem)))}</h3>"
            + fact_list(
                [
                    ("path", facts.get("path")),
                    ("made", facts.get("made_at")),
                    ("format", facts.get("format")),
                    ("length", _seconds(facts)),
                    ("peak", _number(facts.get("peak_dbfs"), "dBFS")),
                    ("latency", _number(facts.get("latency_samples"), "samples", 3)),
                    ("xruns / repairs", f"{len(facts.get('xruns', []))} / {len(facts.get('repairs', []))}"),
                    ("mix", _hashed(facts.get("mix"))),
                    ("calibration", _hashed(facts.get("calibration"))),
                    ("snapshot", _hashed(facts.get("snapshot"))),
                    ("audio", str(facts.get("hash", ""))[:23]),
                ]
            )
            + folded("where every stage ran", table(["strip", "stage", "where", "why"], rows))
            + "</article>"
        )
    return section("Prints", cards)


def _nulls(project: Project, emit: Emit) -> str:
    cards = []
    for path in sorted((project.root / "measurements").glob("*-null/null.json")):
        facts = _load(path, emit)
        if facts is None:
            continue
        stages = [[s["name"], _number(s["depth_db"], "dB")] for s in facts["stages"]]
        picture = _picture(path.parent / "null.png", "depth of the null by third-octave and over time")
        cards.append(
            f"<article><h3>{escape(Path(facts['b']).name)} against {escape(Path(facts['a']).name)}</h3>"
            f"<p class='{'good' if facts['passed'] else 'bad'}'>{escape(facts['verdict_sentence'])}</p>"
            + fact_list(
                [
                    ("null", _number(facts["null_depth_db"], "dB")),
                    ("after matching", _number(facts["null_depth_matched_db"], "dB")),
                    ("limit by noise", _number(facts["limit_db"], "dB")),
                    ("delay", f"{facts['delay_samples']:+.5f} ± {facts['delay_sd']:.5f} samples"),
                    ("drift", f"{facts['drift_ppm']:+.4f} ppm"),
                    ("gain", ", ".join(_number(g, "dB", 4) for g in facts["gain_db"])),
                    ("polarity", ", ".join("normal" if p > 0 else "inverted" for p in facts["polarity"])),
                ]
            )
            + "".join(
                f"<p class='faint'>{escape(name)}: {escape(text)}</p>"
                for name, text in facts.get("definitions", {}).items()
            )
            + picture
            + folded("stage by stage", table(["stage", "depth"], stages))
            + "</article>"
        )
    return section("Nulls", cards)


def _calibration(home: places.RigHome, emit: Emit) -> str:
    try:
        stored = loops.latest(home.calibrations)
    except ControllerError as error:
        emit(Finding("calibration", str(error), error.hint, "warning"))
        return section("Calibration", [f"<p class='bad'>{escape(str(error))}</p>"])
    if stored is None:
        return ""
    from controller.plots import loops_picture

    calibration = stored.calibration
    rows = [
        [
            str(loop.output),
            loop.address,
            "—" if loop.input is None else str(loop.input),
            {1: "normal", -1: "inverted"}.get(loop.polarity, "—"),
            f"{loop.latency_samples:.4f} ± {loop.latency_sd:.4f}" if loop.present else "—",
            f"{loop.gain_db:+.4f} ± {loop.gain_sd:.4f}" if loop.present else "—",
            f"{loop.noise_dbfs:.1f}",
            loop.why or "sound",
        ]
        for loop in calibration.loops
    ]
    heads = ["output", "strip", "input", "polarity", "latency [samples]", "gain [dB]", "noise [dBFS]", "verdict"]
    image = loops_picture(calibration.loops, f"{calibration.rig}: gain of every loop")
    problems = "".join(
        f"<li><b>{escape(p.where)}</b>: {escape(p.what)}. {escape(p.hint)}</li>" for p in calibration.problems
    )
    card = (
        f"<article><h3>{escape(stored.path.name)}</h3>"
        + fact_list(
            [
                ("made", calibration.made_at),
                ("rate", f"{calibration.rate_hz} Hz"),
                ("test level", f"{calibration.level_dbfs:g} dBFS RMS an output"),
                ("hash", stored.content_hash[:23]),
            ]
        )
        + (f"<ul class='bad'>{problems}</ul>" if problems else "<p class='good'>No problems.</p>")
        + picture(image, "gain, latency and noise of every loop")
        + folded("every loop", table(heads, rows))
        + "</article>"
    )
    return section("Calibration", [card])


def _recall(home: places.RigHome, emit: Emit) -> str:
    try:
        state = RigState.load(home.state)
    except HardwareError as error:
        emit(Finding("rig state", str(error), error.hint, "warning"))
        return section("Recall", [f"<p class='bad'>{escape(str(error))}</p>"])
    if not state:
        return ""
    counts = {how: sum(known.how == how for known in state.values()) for how in HOW_ORDER}
    rows = [[address, _say(known), known.how, known.at] for address, known in sorted(state.items())]
    card = (
        "<article>"
        + fact_list([(how, str(count)) for how, count in counts.items() if count])
        + folded("every control", table(["control", "value", "known", "since"], rows))
        + "</article>"
    )
    return section("Recall: what is known of the rig", [card])


def _say(known: Known) -> str:
    return say(known.value)


def _load(path: Path, emit: Emit) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        emit(Finding(files.relative(path), f"cannot be read and is left out: {error}", severity="warning"))
        return None
    return facts if isinstance(facts, dict) else None


def _picture(path: Path, alt: str) -> str:
    if not path.is_file():
        return ""
    return picture(path.read_bytes(), alt)


def _seconds(facts: dict[str, Any]) -> str:
    return f"{facts['frames'] / facts['rate_hz']:.2f} s" if facts.get("rate_hz") else "—"


def _number(value: Any, unit: str, digits: int = 2) -> str:
    return f"{value:.{digits}f} {unit}" if isinstance(value, int | float) else "—"


def _hashed(entry: Any) -> str:
    return f"{entry.get('file')} ({str(entry.get('hash', ''))[:19]}…)" if isinstance(entry, dict) else "—"


_STYLE = """
:root{color-scheme:dark;--ink:#e6e1d6;--paper:#141517;--card:#1b1d1f;--line:#34373a;--go:#e8a33d;--bad:#e0604c;
--good:#7fb77e}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:62rem;
padding:0 1rem}
h1{margin:0;font-size:1.6rem}h2{margin:2rem 0 .5rem;color:var(--go);font-size:1.15rem}
h3{margin:0 0 .5rem;font-size:1rem}
article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:.75rem 0}
dl{display:flex;flex-wrap:wrap;gap:.4rem 1.5rem;margin:.5rem 0}dt{font-size:.75rem;opacity:.6}dd{margin:0;
font-variant-numeric:tabular-nums}img{max-width:100%;border-radius:.25rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:left;padding:.2rem .6rem .2rem 0;
border-bottom:1px solid var(--line);vertical-align:top}summary{cursor:pointer;color:var(--go);margin:.5rem 0}
.faint{opacity:.6;font-size:.8rem;margin:.1rem 0}
.good{color:var(--good)}.bad{color:var(--bad)}footer{opacity:.5;font-size:.8rem;margin:2rem 0}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}: Halfnormal report</title><style>{style}</style></head>
<body><header><h1>{title}</h1><p>{facts}</p></header>
{body}
<footer>Halfnormal {version}. Levels in dBFS after AES17; every definition in docs/measurement.md.</footer>
</body></html>
"""
