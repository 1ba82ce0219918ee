"""Screen 4: compare. Two prints, nulled, and the residual explained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from controller import compare
from controller.compare import NullReport, NullWishes
from controller.tui.depth_view import DepthView
from controller.tui.palette import ACCENT, BRIGHT, FAINT
from controller.tui.pane import Pane, clock
from controller.tui.print_pane import print_row
from controller.tui.rows_view import Column, Row, RowsView

EVENTS, FINDINGS = 4, 4
"""How many of each the screen names."""


class ComparePane(Pane):
    """The prints, A and B among them, and the null between the two."""

    HEADING = "compare"
    ABOUT = (
        "a and b choose two prints, x aligns B with A (delay, drift, polarity, gain), subtracts, and says what is left "
        "and why: after each stage, by third octave, over time. t also asks the song's stems which of them moved. "
        "Neither file changes; residual, its audible copy, picture and JSON go to the project's measurements."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "choose('a')", "A", id="compare.a", tooltip="Make this print A, the reference"),
        Binding("b", "choose('b')", "B", id="compare.b", tooltip="Make this print B"),
        Binding("x", "null", "Null", id="compare.null", tooltip="Null B against A"),
        Binding("t", "null(True)", "Stems", id="compare.stems", tooltip="Null, and say which stem's level moved"),
        Binding("o", "app.report", "Report", id="compare.report"),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.chosen: dict[str, str] = {}
        self.data: Mapping[str, Any] | None = None
        self._pair = ("", "")

    def compose(self) -> ComposeResult:
        """Lay out prints, facts and pictures."""
        yield Static(id="compare-head", classes="headline", markup=False)
        with Horizontal(id="compare-top"):
            yield RowsView((Column(), Column("right"), Column(), Column(grows=True), Column("right")), id="candidates")
            yield Static(id="null-facts", markup=False)
        yield DepthView(id="depth")
        yield Static(id="null-findings", markup=False)
        yield Static(id="null-files", markup=False)

    def focus_main(self) -> None:
        """Focus the prints."""
        self.screen.set_focus(self.query_one(RowsView))

    def show_session(self) -> None:
        """Draw the prints and the newest null."""
        prints = self.session.prints()
        names = [file.name for file in prints]
        self.chosen = {side: name for side, name in self.chosen.items() if name in names}
        for side, paths in (("a", ("-itb",)), ("b", ("-analog", "-hybrid"))):
            fitting = [name for name in names if Path(name).stem.endswith(paths) and name not in self.chosen.values()]
            if side not in self.chosen and fitting:
                self.chosen[side] = fitting[-1]
        rows = []
        for file in reversed(prints):
            marks = "".join(side.upper() for side in "ab" if self.chosen.get(side) == file.name)
            number, path, mix, length, *_ = print_row(file).cells
            rows.append(Row(file.name, ((marks, ACCENT), number, path, mix, length)))
        self.query_one(RowsView).show(rows, empty="No prints yet.\nPress 3, make two, compare them.")
        a, b = self.chosen.get("a", "–"), self.chosen.get("b", "–")
        if self._pair != (a, b):
            self._pair, self.data = (a, b), stored_null(self.session.project.measurements, a, b)
        doing = "x nulls them" if self.data is None else "x nulls them again"
        self.query_one("#compare-head", Static).update(f"A {a}  ·  B {b}  ·  {doing}")
        self._show_null()

    def _show_null(self) -> None:
        data = self.data
        self.query_one("#null-facts", Static).update(facts_text(data))
        depth = self.query_one(DepthView)
        files = self.query_one("#null-files", Static)
        self.query_one("#null-findings", Static).update(findings_text(data))
        if data is None:
            depth.show((), (), limit_db=0.0)
            files.update("")
            return
        limit = _number(data.get("tolerance_db"), -60.0)
        depth.show(_points(data, "third_octave", "hz"), _points(data, "over_time", "at_s"), limit_db=limit)
        named = [Path(str(data[key])) for key in ("residual_file", "audition_file", "picture_file") if data.get(key)]
        where = f" in {named[0].parent}" if named else ""
        files.update(Text(f" {', '.join(file.name for file in named)}{where}", "#84878a"))

    def action_choose(self, side: str) -> None:
        """Make the print under the cursor A or B."""
        key = self.query_one(RowsView).key
        if not key:
            self.host.say("There is no print to choose: 3 prints.")
            return
        other = "b" if side == "a" else "a"
        if self.chosen.get(other) == key and side in self.chosen:
            self.chosen[other] = self.chosen[side]
        elif self.chosen.get(other) == key:
            del self.chosen[other]
        self.chosen[side] = key
        self.show_session()

    def action_null(self, with_stems: bool = False) -> None:
        """Null B against A; with stems, say which of the mix's moved."""
        a, b = self.chosen.get("a"), self.chosen.get("b")
        if a is None or b is None:
            self.host.say("Choose A and B among the prints first: a and b.", "warning")
            return
        project, mix = self.session.project, self.session.mix
        stems = sorted({project.stem(strip.stem).path for strip in mix.strips}) if with_stems else []
        wishes = NullWishes(stems=tuple(stems))
        first, second = project.prints / a, project.prints / b
        self.host.run_job(
            "null", lambda emit, accept: compare.null(first, second, wishes=wishes, emit=emit), self._landed
        )

    def _landed(self, report: NullReport) -> None:
        self.data = report.data


def facts_text(data: Mapping[str, Any] | None) -> Text:
    """Write what a null found: the alignment, the waterfall of stages, the verdict."""
    text = Text()
    if data is None:
        text.append("No null of these two yet.\n", FAINT)
        text.append("a and b choose prints, x nulls them.", FAINT)
        return text
    passed = bool(data.get("passed"))
    sentence = str(data.get("verdict_sentence") or data.get("verdict") or "")
    text.append("● " if passed else "○ ", "#7fb77e" if passed else "#e8a33d")
    text.append(f"{sentence}\n", BRIGHT)
    text.append(f"{Path(str(data.get('b', '?'))).name} against {Path(str(data.get('a', '?'))).name}\n", FAINT)
    polarity = " ".join("+" if sign > 0 else "inverted" for sign in data.get("polarity") or [])
    spreads = data.get("gain_sd_db") or []
    gains = " ".join("silent" if gain is None else f"{gain:+.3f}" for gain in data.get("gain_db") or [])
    facts = [
        ("delay", f"{_number(data.get('delay_samples'), 0.0):+.3f}{_spread(data.get('delay_sd'))} samples"),
        ("drift", f"{_number(data.get('drift_ppm'), 0.0):+.3f}{_spread(data.get('drift_sd_ppm'))} ppm"),
        ("polarity", polarity),
        ("gain", f"{gains}{_spread(max(spreads, default=None))} dB"),
    ]
    limit = data.get("limit_db")
    if isinstance(limit, int | float):
        facts.append(("noise limit", f"{limit:.1f} dB"))
    for label, value in facts:
        text.append(f"{label:<12}", FAINT)
        text.append(f"{value}\n")
    text.append("stages\n", FAINT)
    for stage in data.get("stages") or []:
        depth = stage.get("depth_db")
        text.append(f"  {stage.get('name', '?')!s:<22.22} ")
        text.append(f"{'identical' if depth is None else f'{depth:7.1f} dB'}\n", BRIGHT)
    return text


def findings_text(data: Mapping[str, Any] | None) -> Text:
    """Write what happened to B, what is left and why, and which stems moved: the first few of each."""
    text = Text()
    if data is None:
        return text
    events = data.get("events") or []
    for event in events[:EVENTS]:
        text.append(f"! {clock(_number(event.get('at_s'), 0.0))} {event.get('what', '')}\n", "#e3c34d")
    if len(events) > EVENTS:
        text.append(f"  {len(events) - EVENTS} more stand in null.json\n", FAINT)
    moves = (data.get("stems") or {}).get("moves") or []
    for move in [move for move in moves if move.get("moved")][:EVENTS]:
        text.append(f"♪ {move.get('note', '')}\n", BRIGHT)
    if moves and not any(move.get("moved") for move in moves):
        text.append("♪ no stem has moved\n", FAINT)
    for sentence in (data.get("findings") or [])[:FINDINGS]:
        text.append(f"· {sentence}\n")
    text.rstrip()
    return text


def _spread(deviation: Any) -> str:
    return f" ±{deviation:.2g}" if isinstance(deviation, int | float) else ""


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _points(data: Mapping[str, Any], key: str, x: str) -> Sequence[tuple[float, float]]:
    return [
        (float(point[x]), -math.inf if point["depth_db"] is None else float(point["depth_db"]))
        for point in data.get(key) or []
    ]


def stored_null(folder: Path, a: str, b: str) -> Mapping[str, Any] | None:
    """Read the newest null of print ``b`` against print ``a`` in ``folder``, None where none can be read."""
    for file in sorted(folder.glob("*-null/null.json"), reverse=True):
        try:
            data = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(data, dict) or data.get("schema") != 1:
            continue
        if (Path(str(data.get("a"))).name, Path(str(data.get("b"))).name) == (a, b):
            return data
    return None
