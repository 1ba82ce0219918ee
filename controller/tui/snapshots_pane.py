"""Screen 5: snapshots. Where every control stood at one moment, one shown, two compared; nothing is ever changed."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller import places
from controller.errors import ControllerError, hint_of
from controller.events import Accept, Emit
from controller.snapshot_diff import diff
from controller.snapshot_take import Look, Taken, take
from controller.snapshots import Listing, Snapshot, known_now, list_folder
from controller.tui.dialogs import MessageDialog
from controller.tui.look_dialog import LookDialog
from controller.tui.palette import ACCENT, BRIGHT, FAINT, INK, RED
from controller.tui.pane import Pane, moment
from controller.tui.rows_view import Column, Row, RowsView
from controller.tui.session import KNOWN_ERRORS
from controller.tui.snapshot_rows import COLUMNS, WRONG, diff_rows, snapshot_rows, title_of
from profiles.profile import Value

MARK = "◆"
MARKS = 2
PROBLEM = "problem"


class SnapshotsPane(Pane):
    """The project's snapshots above; below, one of them or the difference between two."""

    HEADING = "snapshots"
    ABOUT = (
        "Where every control of the rig stood at one moment, each with how that is known. k stores one on any screen: "
        "devices are asked where they stand, then you are asked for what only eyes can tell; nothing moves. Enter "
        "shows the chosen one, Space marks it, d compares the two marked ones, or one with what is known now. R goes "
        "to the recall screen with the way to the chosen one. Snapshots are never changed or deleted.\n"
        "● told by the device or by a hand · ◐ sent, nobody confirmed it · ○ assumed or unknown · ✕ not read\n"
        "≠ changed · − only in the first · + only in the second"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show", "Show", id="snapshots.show", tooltip="Show the chosen snapshot"),
        Binding("space", "mark", "Mark", id="snapshots.mark", tooltip="Mark it for comparing"),
        Binding("d", "diff", "Compare", id="snapshots.diff", tooltip="Compare two marked ones, or one with now"),
        Binding("R", "recall", "Recall", id="snapshots.recall", tooltip="Recall the rig to it (the plan comes first)"),
        Binding("n", "show_now", "Now", id="snapshots.now", tooltip="Show what is known now"),
        Binding("tab,shift+tab", "other", "Other list", id="snapshots.other", show=False),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.listing = Listing(())
        self.marked: tuple[int, ...] = ()
        self._read_of: object = None

    def compose(self) -> ComposeResult:
        """Lay out the list and what is shown of it."""
        yield Static(id="snapshots-count", classes="headline", markup=False)
        columns = (Column(), Column("right"), Column(), Column(), Column("right"), Column("right"), Column(grows=True))
        yield RowsView(columns, id="snapshots-list")
        yield Static(id="snapshots-shown", classes="headline", markup=False)
        yield RowsView(COLUMNS, id="snapshots-detail")

    @property
    def shelf(self) -> RowsView:
        """The list of snapshots."""
        return self.query_one("#snapshots-list", RowsView)

    @property
    def detail(self) -> RowsView:
        """What is shown of one, or of two."""
        return self.query_one("#snapshots-detail", RowsView)

    def focus_main(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.shelf)

    def show_session(self) -> None:
        """Draw the list."""
        self._read()
        rows = [self._row(snapshot) for snapshot in reversed(self.listing.snapshots)]
        rows += [
            Row(f"{PROBLEM} {i}", ((WRONG, RED), "", "", "", "", "", (f"{error} {hint_of(error)}", INK)))
            for i, error in enumerate(self.listing.problems)
        ]
        self.shelf.show(rows, empty="There is no snapshot yet.\nk stores where every control stands now.")
        count = len(self.listing.snapshots)
        text = f"{count} snapshot{'' if count == 1 else 's'}" if count else "snapshots"
        self.query_one("#snapshots-count", Static).update(f"{text}{self._marks()} · k stores one of now")
        if not self.detail.rows:
            self.detail.show((), empty="Enter shows a snapshot, d compares it with what is known now.")

    def _read(self) -> None:
        """Read the folder, where it may have changed: with the rig, each job's end reads it anew."""
        folder = self.session.project.snapshots
        names = tuple(sorted(path.name for path in folder.glob("*.json"))) if folder.is_dir() else ()
        state = (self.session.studio, names)
        if state == self._read_of:
            return
        try:
            self.listing = list_folder(folder)
        except ControllerError as error:
            self.listing = Listing(())
            self.host.say(f"{error} {hint_of(error)}".strip(), "problem")
        self._read_of = state
        there = {snapshot.number for snapshot in self.listing.snapshots}
        self.marked = tuple(number for number in self.marked if number in there)

    def _marks(self) -> str:
        return f" · {MARK} {' and '.join(map(str, sorted(self.marked)))} marked" if self.marked else ""

    def _row(self, snapshot: Snapshot) -> Row:
        note = snapshot.note.partition("\n")[0]
        known = len(snapshot.controls) - sum(entry.known.how == "assumed" for entry in snapshot.controls.values())
        silent = [device for device, facts in snapshot.devices.items() if facts.not_read]
        words = snapshot.name + (f": {note}" if note else "") + (f" · not read: {', '.join(silent)}" if silent else "")
        return Row(
            str(snapshot.number),
            (
                (MARK if snapshot.number in self.marked else " ", ACCENT),
                (f"{snapshot.number:04d}", BRIGHT),
                moment(snapshot.at),
                (snapshot.rig.name, FAINT),
                f"{known} known",
                (f"{len(snapshot.unknown)} unknown", FAINT if not snapshot.unknown else INK),
                (words, INK),
            ),
        )

    def chosen(self) -> Snapshot | None:
        """Return the snapshot under the cursor; None, said in a toast, where there is none."""
        found = self._numbered(self.shelf.key)
        if found is None:
            self.host.say("There is no snapshot here: k stores one.")
        return found

    def _numbered(self, key: str) -> Snapshot | None:
        return next((each for each in self.listing.snapshots if str(each.number) == key), None)

    def action_show(self) -> None:
        """Show one snapshot, control by control; of a file that cannot be read, why."""
        kind, _, number = self.shelf.key.partition(" ")
        if kind == PROBLEM:
            error = self.listing.problems[int(number)]
            self.app.push_screen(MessageDialog("A file that cannot be read", f"{error}\n\n→ {hint_of(error)}"))
            return
        snapshot = self.chosen()
        if snapshot is not None:
            self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        head = title_of(snapshot) if snapshot.number else "what is known now"
        if snapshot.name not in ("", head):
            head += f" · {snapshot.name}"
        self.query_one("#snapshots-shown", Static).update(f"{head} · {snapshot.rig.name} · {moment(snapshot.at)}")
        self.detail.show(snapshot_rows(snapshot), empty="Nothing is known of any control.")
        self.detail.action_edge(-1)

    def _now(self) -> Snapshot | None:
        studio = self.session.studio
        if studio is None:
            self.host.say("Nothing is known now: the rig cannot be read.", "warning")
            return None
        return known_now(studio)

    def action_show_now(self) -> None:
        """Show what is known of every control now."""
        now = self._now()
        if now is not None:
            self._show(now)

    def action_mark(self) -> None:
        """Mark the chosen snapshot, or take its mark off; a third mark takes the oldest off."""
        snapshot = self.chosen()
        if snapshot is None:
            return
        number = snapshot.number
        if number in self.marked:
            self.marked = tuple(other for other in self.marked if other != number)
        else:
            self.marked = (*self.marked, number)[-MARKS:]
        self.show_session()

    def action_diff(self) -> None:
        """Compare the two marked snapshots, or the one that is marked or chosen with what is known now."""
        pair: list[Snapshot | None] = [self._numbered(str(number)) for number in sorted(self.marked)]
        if not pair:
            pair = [self.chosen()]
        if len(pair) < MARKS and pair[0] is not None:
            pair.append(self._now())
        left, right = pair[0], pair[-1]
        if left is None or right is None:
            return
        try:
            found = diff(left, right, profile_folders=[places.profiles_folder()])
        except KNOWN_ERRORS as error:
            self.host.say(str(error), "problem")
            return
        sides = f"{title_of(left)} → {title_of(right)}"
        if found.differs:
            lists = (len(found.changed), len(found.only_left), len(found.only_right))
            told = "{} changed, {} only in the first, {} only in the second".format(*lists)
        else:
            told = "no difference"
        self.query_one("#snapshots-shown", Static).update(f"{sides} · {told} · {found.same} the same")
        same = f"No difference: all {found.same} controls that both know stand the same."
        self.detail.show(diff_rows(found), empty=same)
        self.detail.action_edge(-1)

    def action_recall(self) -> None:
        """Go to the recall screen with the way to the chosen snapshot; nothing is sent."""
        snapshot = self.chosen()
        if snapshot is None or self.host.busy("Recall a snapshot when it has ended."):
            return
        if self.session.studio is None:
            self.host.say("There is no readable rig to recall.", "warning")
            return
        self.session.aim.take(snapshot)
        self.session.replan()
        self.host.action_go("recall")

    def action_other(self) -> None:
        """Go to the other list."""
        focused = self.screen.focused is self.shelf
        self.screen.set_focus(self.detail if focused else self.shelf)

    def take_noted(self, note: str) -> None:
        """Store a snapshot with a note on it."""
        self.take(note.strip())

    def take(self, note: str = "") -> None:
        """Store a snapshot of now, as a job; what only eyes can tell is asked for, one control after the other."""
        session, host = self.session, self.host
        if session.studio is None:
            host.say("There is no readable rig to take a snapshot of.", "warning")
            return
        folder = session.project.snapshots

        def ask(look: Look) -> Value | None:
            seen = host.ask(lambda: LookDialog(look))
            if seen is None:
                raise EOFError
            return seen.value

        def work(emit: Emit, accept: Accept) -> Taken:
            return session.with_studio(lambda studio: take(studio, folder, note=note, ask=ask, emit=emit))

        def landed(taken: Taken) -> None:
            snapshot = taken.snapshot
            self.call_after_refresh(lambda: self.shelf.stand_on(str(snapshot.number)))
            host.say(f"Stored as snapshot {snapshot.number}: {len(snapshot.unknown)} controls are unknown.")

        host.run_job("snapshot", work, landed)
