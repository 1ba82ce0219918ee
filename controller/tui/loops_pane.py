"""Screen 7: loops. What the newest calibration says of every loop, part by part, each number with its error bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller import calibrate, figures, loops
from controller.figures import BY_KEY, KINDS, Figure, FigureKind
from controller.loops import Calibration, LoopFacts, StoredCalibration
from controller.tui.palette import BRIGHT, FAINT, GREEN, RED
from controller.tui.pane import Pane, moment
from controller.tui.response_view import ResponseView
from controller.tui.rows_view import Cell, Column, Row, RowsView

COLUMNS = 6
"""Figures side by side; a part that has more shows the first ones and all of them below."""
PATCH = ("wired to in", "pol", "feeds")
_RIGHT = Column("right")


class LoopsPane(Pane):
    """One row a loop; below, the chosen loop's figures of that part, and its response."""

    HEADING = "loops"
    ABOUT = (
        "What the newest calibration says of every loop. Left and right choose the part; c measures everything anew, "
        "r only the part in sight. Below: the chosen loop's figures with one standard deviation and their definitions, "
        "and its response where one was measured. A dash was not measured; n/o is not observable, and the line below "
        "says why."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "part(1)", "Next part", id="loops.next_part", key_display="→"),
        Binding("left", "part(-1)", "Previous part", id="loops.previous_part", show=False),
        Binding("r", "again", "Measure part", id="loops.again", tooltip="Measure the part in sight anew"),
        Binding("n", "next(1)", "Next", id="loops.next", tooltip="Next loop with something wrong"),
        Binding("N", "next(-1)", "Previous fault", id="loops.previous", show=False),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.part: figures.Part = "latency"
        self.stored: StoredCalibration | None = None

    def compose(self) -> ComposeResult:
        """Lay out headline, list, facts and curve."""
        yield Static(id="loops-head", classes="headline", markup=False)
        yield RowsView(_columns(), id="loops-list")
        yield Static(id="loops-facts", markup=False)
        yield ResponseView(id="loops-response")

    @property
    def view(self) -> RowsView:
        """The list."""
        return self.query_one(RowsView)

    def focus_main(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.view)

    def show_session(self) -> None:
        """Read the newest calibration and draw it."""
        self.stored = self.session.calibration()
        self._draw()

    def _draw(self) -> None:
        calibration = None if self.stored is None else self.stored.calibration
        self.query_one("#loops-head", Static).update(self._headline(calibration))
        rows: list[Row] = []
        if calibration is not None:
            kinds = _kinds(calibration, self.part)[:COLUMNS]
            titles = [kind.short for kind in kinds] if self.part != "patch" else list(PATCH)
            titles += [""] * (COLUMNS - len(titles))
            rows.append(Row("", ("", "out", "strip", "in", *titles, ""), heading=True))
            rows += [_row(loop, kinds, patch=self.part == "patch") for loop in calibration.loops]
        self.view.show(rows, empty=self._empty())
        self._draw_facts()

    def _headline(self, calibration: Calibration | None) -> str:
        if calibration is None:
            return "loops: not calibrated yet"
        wrong = sum(not loop.ok for loop in calibration.loops)
        told = f"{wrong} of {len(calibration.loops)} to put right" if wrong else f"{len(calibration.loops)} loops sound"
        old = loops.age_hours(calibration)
        studio = self.session.studio
        limit = studio.rig.tolerance.calibration_hours if studio is not None else math.inf
        age = f"{old:.0f} h old, more than the rig's {limit:g} h: c measures anew" if old > limit else "in date"
        place = figures.PARTS.index(self.part) + 1
        return f"{told} · {moment(calibration.made_at)}, {age} · {self.part} ({place}/{len(figures.PARTS)})"

    def _empty(self) -> str:
        if self.session.studio is None:
            return f"The rig cannot be read:\n{self.session.rig_error}"
        return "No calibration of this rig yet.\nc measures every loop: the plan is shown first."

    def _chosen(self) -> LoopFacts | None:
        if self.stored is None:
            return None
        return next((loop for loop in self.stored.calibration.loops if str(loop.output) == self.view.key), None)

    @on(RowsView.Moved)
    def _on_moved(self) -> None:
        self._draw_facts()

    def _draw_facts(self) -> None:
        chosen, curve = self._chosen(), self.query_one(ResponseView)
        facts = Text()
        if chosen is not None and self.stored is not None:
            calibration = self.stored.calibration
            facts = facts_text(chosen, _kinds(calibration, self.part), calibration.figures)
        self.query_one("#loops-facts", Static).update(facts)
        response = chosen.response if chosen is not None and self.part == "response" else None
        curve.display = response is not None
        if response is not None:
            gains = [
                20.0 * math.log10(max(math.hypot(x, y), 1e-12)) for x, y in zip(response.re, response.im, strict=True)
            ]
            curve.show(response.hz, gains)

    def action_part(self, direction: int) -> None:
        """Show the next part of the calibration."""
        at = figures.PARTS.index(self.part) + direction
        self.part = figures.PARTS[at % len(figures.PARTS)]
        self._draw()

    def action_next(self, direction: int) -> None:
        """Go to the next loop with something wrong."""
        wrong = [str(loop.output) for loop in self.stored.calibration.loops if not loop.ok] if self.stored else []
        if not wrong:
            self.host.say("Every loop is sound." if self.stored is not None else "c measures the loops first.")
            return
        names = [row.key for row in self.view.rows]
        order = [names[(self.view.cursor + direction * step) % len(names)] for step in range(1, len(names) + 1)]
        self.view.stand_on(next(name for name in order if name in wrong))

    def action_again(self) -> None:
        """Measure the part in sight anew, once the plan was accepted."""
        session, part, host = self.session, self.part, self.host
        if session.studio is None:
            host.say("There is no readable rig to calibrate.", "warning")
            return
        host.run_job(
            f"calibrate {part}",
            lambda emit, accept: session.with_studio(
                lambda studio: calibrate.calibrate(studio, only=[part], emit=emit, accept=accept)
            ),
            lambda stored: host.say(f"{part} measured; stored as {stored.path.name}."),
        )


def _columns() -> tuple[Column, ...]:
    return (Column(), _RIGHT, Column(), _RIGHT, *([_RIGHT] * COLUMNS), Column(grows=True))


def _kinds(calibration: Calibration, part: figures.Part) -> list[FigureKind]:
    """Return the kinds of a part that any loop holds; all of the part when none does."""
    held = {key for loop in calibration.loops for key in loop.figures} | set(calibration.figures)
    wanted = [kind for kind in KINDS if kind.part == part]
    return [kind for kind in wanted if kind.key in held] or wanted


def number(figure: Figure | None, kind: FigureKind) -> str:
    """Write a figure as a list shows it: a dash for nothing measured, n/o for not observable."""
    if figure is None:
        return "–"
    return "n/o" if figure.value is None else f"{figure.value:.{kind.digits}f}"


def _row(loop: LoopFacts, kinds: list[FigureKind], *, patch: bool) -> Row:
    shown = _patch(loop) if patch else [number(_figure(loop, kind.key), kind) for kind in kinds]
    shown += [""] * (COLUMNS - len(shown))
    sign = ("●", GREEN) if loop.ok else ("✕", RED)
    why = (loop.why, RED if loop.why else FAINT)
    cells: tuple[Cell, ...] = (sign, str(loop.output), (loop.address, BRIGHT), str(loop.input or "–"))
    return Row(str(loop.output), (*cells, *shown, why))


def _patch(loop: LoopFacts) -> list[str]:
    sign = {1: "+", -1: "−"}.get(loop.polarity, "–")
    return [str(loop.expected_input), sign, loop.strip_found or "–"]


def _figure(loop: LoopFacts, key: str) -> Figure | None:
    """Return a figure; those that every calibration ever had stand in fields of their own."""
    found = loop.figures.get(key)
    if found is not None or not loop.present:
        return found
    old = {"latency_samples": (loop.latency_samples, loop.latency_sd), "gain_db": (loop.gain_db, loop.gain_sd)}
    return Figure(*old[key]) if key in old else None


def facts_text(loop: LoopFacts, kinds: list[FigureKind], common: Mapping[str, Figure]) -> Text:
    """Write the chosen loop's figures, and those of the rig as a whole, each with its error bar and definition."""
    text = Text()
    text.append(f"output {loop.output} → {loop.address} → input {loop.input or '–'}", BRIGHT)
    for problem in filter(None, [loop.why]):
        text.append(f"\n✕ {problem}", RED)
    for kind in kinds:
        figure = _figure(loop, kind.key) or common.get(kind.key)
        if figure is None:
            continue
        text.append(f"\n{kind.label:<22.22} ", FAINT)
        if figure.value is not None:
            spread = "" if figure.sd is None else f" ± {figure.sd:.2g}"
            text.append(f"{number(figure, kind)}{spread} {kind.unit}")
        text.append(f"  {figure.note or BY_KEY[kind.key].definition}", FAINT)
    return text
