"""Screen 3: print. Where every stage runs and why, the pass itself, and the prints there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller import loops, printing, provenance
from controller.events import Accept, Emit
from controller.filing import Print
from controller.tui.dialogs import MessageDialog
from controller.tui.levels_view import LevelsView
from controller.tui.palette import BLUE, BRIGHT, FAINT, INK, YELLOW
from controller.tui.pane import Pane, clock
from controller.tui.rows_view import Column, Row, RowsView
from controller.tui.session import Session


class PrintPane(Pane):
    """The allocation above, the prints below."""

    HEADING = "print"
    ABOUT = (
        "R renders the mix on the chosen path into a numbered file that is never overwritten: the plan comes first, "
        "nothing plays before you accept it. p chooses the path. Tab goes between the allocation and the prints; Enter "
        "on a print shows where it comes from. Esc stops a pass; what was recorded stays recoverable."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "print", "Print", id="print.print"),
        Binding("enter", "facts", "Provenance", id="print.facts"),
        Binding("tab,shift+tab", "other", "Other list", id="print.other"),
        Binding("o", "app.report", "Report", id="print.report"),
    ]

    def compose(self) -> ComposeResult:
        """Lay out both lists and the meters."""
        yield Static(id="print-plan", classes="headline", markup=False)
        yield RowsView((Column(), Column(), Column(), Column(grows=True)), id="allocation")
        yield LevelsView(id="print-levels")
        yield Static("prints", id="print-count", classes="headline", markup=False)
        columns = (Column("right"), Column(), Column(), Column("right"), Column("right"), Column(), Column(grows=True))
        yield RowsView(columns, id="prints")

    def focus_main(self) -> None:
        """Focus the prints."""
        self.screen.set_focus(self.query_one("#prints", RowsView))

    def show_session(self) -> None:
        """Draw allocation and prints."""
        plan = self.session.plan()
        rows = []
        before = ""
        for index, place in enumerate(plan.allocation.placements if plan.allocation is not None else ()):
            name = place.strip if place.strip != before else ""
            before = place.strip
            where = (place.where, FAINT if place.where == "box" else BLUE)
            rows.append(Row(f"{index}", ((name, BRIGHT), place.stage, where, (place.why, FAINT))))
        self.query_one("#allocation", RowsView).show(rows, empty=f"{plan.error}\n{plan.hint}")
        self.query_one("#print-plan", Static).update(self._plan_line())
        prints = self.session.prints()
        self.query_one("#print-count", Static).update(f"prints · {len(prints)}")
        self.query_one("#prints", RowsView).show(
            [print_row(file) for file in reversed(prints)], empty="No print yet.\nR prints the mix on the chosen path."
        )
        self.show_levels({})

    def show_levels(self, levels_dbfs: Mapping[str, float]) -> None:
        """Move the meters."""
        names = tuple(strip.name for strip in self.session.mix.strips)
        self.query_one(LevelsView).show(names, levels_dbfs)

    def _plan_line(self) -> str:
        session = self.session
        text = (
            f"{session.path} · R prints {session.mix.name}, {clock(session.project.frames / session.project.rate_hz)}"
        )
        if session.path == "itb":
            return f"{text} · in the box, with the values the desk can reach"
        stored = session.calibration()
        if stored is None:
            return f"{text} · never calibrated: press c first"
        age = loops.age_hours(stored.calibration)
        stale = session.studio is not None and age > session.studio.rig.tolerance.calibration_hours
        old = f"{age * 60:.0f} min" if age < 1 else f"{age:.0f} h" if age < 100 else f"{age / 24:.0f} days"
        return f"{text} · calibration {stored.path.stem[:4]}, {old} old{': stale, press c first' if stale else ''}"

    def action_other(self) -> None:
        """Go to the other list."""
        prints = self.query_one("#prints", RowsView)
        self.screen.set_focus(self.query_one("#allocation", RowsView) if prints.has_focus else prints)

    def action_facts(self) -> None:
        """Show where the chosen print comes from."""
        key = self.query_one("#prints", RowsView).key
        if key:
            file = self.session.project.prints / key
            self.app.push_screen(MessageDialog(key, provenance_text(provenance.load(file))))

    def action_print(self) -> None:
        """Render the mix on the chosen path; an unsaved mix is saved first, so that the print can name its file."""
        session = self.session
        if self.host.busy("One job at a time: wait for it, or Esc stops it."):
            return
        plan = session.plan()
        if session.path != "itb" and not session.virtual and plan.recall is not None and plan.recall.plan.by_hand:
            hands = len(plan.recall.plan.by_hand)
            self.host.say(
                f"{hands} controls wait for your hands first: press 2, turn them, tick them with t.", "warning"
            )
            return
        if session.dirty:
            saved = self.host.save_mix()
            if saved is None:
                return
        self.host.run_job("print", lambda emit, accept: _print(session, emit, accept), self._landed)

    def _landed(self, done: Print) -> None:
        self.show_session()
        self.query_one("#prints", RowsView).stand_on(done.file.name)


def _print(session: Session, emit: Emit, accept: Accept) -> Print:
    if session.studio is None:
        return printing.print_mix(session.project, session.mix, path="itb", studio=None, emit=emit, accept=accept)
    return session.with_studio(
        lambda studio: printing.print_mix(
            session.project,
            session.mix,
            path=session.path,
            studio=studio,
            emit=emit,
            accept=accept,
            hands_done=session.virtual,
        )
    )


def print_row(file: Path) -> Row:
    """Return the row of one print: number, path, mix, length, peak, format, what happened."""
    facts = provenance.load(file)
    if facts is None:
        return Row(file.name, (file.stem[:4], file.name, ("no provenance", YELLOW), "", "", "", ""))
    recovered = facts.get("status") == "recovered"
    if recovered:
        facts = {**_origin(facts), **facts}
    mix = facts.get("mix")
    named = (mix.get("file") or mix.get("name")) if isinstance(mix, dict) else mix
    rate, frames, peak = facts.get("rate_hz"), facts.get("frames"), facts.get("peak_dbfs")
    length = clock(frames / rate) if isinstance(rate, int) and isinstance(frames, int) and rate else ""
    xruns, repairs = facts.get("xruns") or [], facts.get("repairs") or []
    notes = f"{len(xruns)} xruns, {len(repairs)} repaired" if xruns else ""
    if recovered:
        notes = "recovered from a pass that was cut short"
    made = str(facts.get("made_at") or "")[:16].replace("T", " ")
    return Row(
        file.name,
        (
            (file.stem[:4], FAINT),
            (str(facts.get("path") or "?"), BRIGHT),
            (str(named or "?").removesuffix(".toml"), INK),
            (length, INK),
            (f"{peak:+.1f} dBFS" if isinstance(peak, int | float) else "", INK),
            (str(facts.get("format") or "").partition(",")[0], FAINT),
            (notes, YELLOW) if notes else (made, FAINT),
        ),
    )


def _origin(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the journal of a recovered pass tells of its origin."""
    journal = facts.get("journal")
    origin = journal.get("facts") if isinstance(journal, dict) else None
    return origin if isinstance(origin, dict) else {}


def provenance_text(facts: Mapping[str, Any] | None) -> str:
    """Write a print's provenance as lines; hashes short, lists counted."""
    if facts is None:
        return "No provenance can be read beside this file."
    return "\n".join(_fact_lines(facts, "")) or "The provenance is empty."


def _fact_lines(facts: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in facts.items():
        label = f"{indent}{key:<{22 - len(indent)}}"
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *_fact_lines(value, f"{indent}  ")]
        elif isinstance(value, list) and value and all(isinstance(entry, int | float) for entry in value):
            lines.append(f"{label}{', '.join(f'{entry:.6g}' for entry in value)}")
        elif isinstance(value, list):
            lines.append(f"{label}{len(value)}")
        elif key == "hash" and isinstance(value, str):
            lines.append(f"{label}{value[:23]}…")
        else:
            lines.append(f"{label}{'none' if value is None else f'{value:.6g}' if isinstance(value, float) else value}")
    return lines
