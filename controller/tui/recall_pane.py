"""Screen 2: recall. What the rig has to be brought to, by us and by hand, how far it has come and what is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from controller import hands, recall
from controller.errors import ControllerError, hint_of
from controller.events import Accept, Emit, Event, Progress
from controller.recall import PlannedRecall, Run, RunOrigin
from controller.studio import Studio
from controller.tui.hand_view import HandView
from controller.tui.pane import Pane, clock, moment
from controller.tui.recall_items import (
    COLUMNS,
    GROUPS,
    SILENT,
    Item,
    Wrong,
    gather,
    item_row,
    what_went_wrong,
)
from controller.tui.rows_view import Row, RowsView
from controller.tui.session import KNOWN_ERRORS, Plan
from hardware.recall import RecallOutcome, VerifyOutcome

DRAWN_FROM_CELLS = 96
"""From this width on, each row has room for a drawn position [cells]."""
DIAL_FROM_CELLS = 130
"""From this width on, the chosen knob is drawn at large beside the list [cells]."""


class RecallPane(Pane):
    """The rig's way to the mix: what is sent, what hands do, one lamp a control."""

    HEADING = "recall"
    ABOUT = (
        "Brings the rig to the mix: w sends what can be sent (the plan is shown first), the rest is for your hands, in "
        "the order in which they cross the desk once. t ticks a control that you have set, and that is on disk at "
        "once; v asks the devices where they stand; r goes on with a recall that was left unfinished, towards the "
        "target it had.\n"
        "● there and confirmed · ◐ sent, nobody confirmed it · ○ elsewhere or unknown · ✕ no answer, refused, or not "
        "sent\n"
        "↻ clockwise, ↺ counter-clockwise, ↑ ↓ a fader, to where on its scale, ± how far beside it is near enough; "
        "drawn: ○ where it is, ● where it shall be, [ ] the position of a switch"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "send", "Send", id="recall.send", tooltip="Send what can be sent (asks first)"),
        Binding("v", "verify", "Verify", id="recall.verify", tooltip="Ask the devices where they stand"),
        Binding("r", "resume", "Resume", id="recall.resume", tooltip="Go on with the recall that was left unfinished"),
        Binding("t", "tick", "Tick", id="recall.tick", tooltip="Tick: it is set by hand"),
        Binding("n", "next(1)", "Next", id="recall.next", tooltip="Next mismatch"),
        Binding("N", "next(-1)", "Previous mismatch", id="recall.previous", show=False),
        Binding("f", "filter", "Filter", id="recall.filter", tooltip="All controls, or only what is left"),
        Binding("T", "tick_all", "Tick all", id="recall.tick_all", tooltip="Tick all that hands set", show=False),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.only_left = True
        self.items: tuple[Item, ...] = ()
        self.unfinished: Run | None = None
        self.live: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        self._over = False
        self._silent: dict[str, Wrong] = {}
        self._run_of: Studio | None = None
        self._run_problem = ""
        self._drawn_for = 0

    def compose(self) -> ComposeResult:
        """Lay out the count, what stopped, the list, and the chosen hand step at large."""
        yield Static(id="recall-count", classes="headline", markup=False)
        yield Static(id="recall-stopped", markup=False)
        with Horizontal(id="recall-body"):
            yield RowsView(COLUMNS, id="recall-rows")
            yield HandView(id="hand")

    @property
    def view(self) -> RowsView:
        """The list."""
        return self.query_one(RowsView)

    def focus_main(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.view)

    def show_session(self) -> None:
        """Draw the plan."""
        plan, studio = self.session.plan(), self.session.studio
        self._read_run()
        if self._over:
            self.live = {}
        run = self.unfinished
        wrong = self._silent | (what_went_wrong(run.results) if run is not None else {})
        recalled = plan.recall if studio is not None else None
        self.items = gather(studio, recalled, wrong) if studio is not None and recalled is not None else ()
        self.query_one("#recall-count", Static).update(self._count(plan))
        stopped = self.query_one("#recall-stopped", Static)
        stopped.update(self._stopped())
        stopped.set_class(bool(self._stopped()), "told")
        rows: list[Row] = []
        for group in GROUPS:
            every = [item for item in self.items if item.group == group]
            members = [item for item in every if item.left or not self.only_left or item.address in self.live]
            if members:
                left = sum(item.left for item in every)
                rows.append(Row(group, (f"{group} · {left} of {len(every)} left",), heading=True))
                rows += [self._row(item) for item in members]
        self.view.show(rows, empty=self._empty(plan))
        self._draw_hand()

    def on_resize(self) -> None:
        """Draw positions where there is room for them."""
        self.query_one(HandView).display = self.size.width >= DIAL_FROM_CELLS
        if self.size.width != self._drawn_for:
            self._drawn_for = self.size.width
            self.show_session()

    def show_job(self) -> None:
        """Draw how far each control has come, row by row."""
        with self._lock:
            told, self._told = self._told, {}
        if not told:
            return
        self.live |= told
        items = {item.address: item for item in self.items}
        for address in told:
            if address in items:
                self.view.put(self._row(items[address]))

    def _row(self, item: Item) -> Row:
        return item_row(item, live=self.live.get(item.address, ""), draw=self.size.width >= DRAWN_FROM_CELLS)

    @on(RowsView.Moved)
    def _on_moved(self) -> None:
        self._draw_hand()

    def _draw_hand(self) -> None:
        chosen = self._chosen()
        self.query_one(HandView).show(chosen.step if chosen is not None and chosen.by_hand else None)

    def _chosen(self) -> Item | None:
        return next((item for item in self.items if item.address == self.view.key), None)

    def _read_run(self) -> None:
        """Read the newest run, once after each job: it may have been left unfinished, by this program or another."""
        studio = self.session.studio
        if studio is self._run_of:
            return
        self._run_of, self.unfinished, self._run_problem = studio, None, ""
        if studio is None:
            return
        try:
            run = recall.last_run(studio, self.session.project.root)
        except ControllerError as error:
            self._run_problem = f"✕ {error} {hint_of(error)}".rstrip()
            return
        self.unfinished = run if run is not None and not run.finished else None

    def _stopped(self) -> str:
        """Say which run was left unfinished, which devices stopped it, and what to do."""
        run = self.unfinished
        if run is None or self.live:
            return self._run_problem
        lines = [f"✕ {sentence}" for sentence in run.failed_devices.values()]
        what = f"recall {run.number} of {run.what}, begun {moment(run.started)}"
        when = "once what stopped it is put right" if lines else "which was cut short"
        return "\n".join([*lines, f"→ r resumes {what}, {when}; what has landed is not sent again."])

    def _count(self, plan: Plan) -> str:
        if not self.items:
            return "recall"
        left = sum(item.left for item in self.items)
        text = f"{left} of {len(self.items)} left{' (f shows all)' if self.only_left else ''}"
        by_hand = sum(item.left and item.by_hand for item in self.items)
        if by_hand:
            text += f" · {by_hand} by hand"
        if plan.recall is not None and plan.recall.plan.steps:
            steps = plan.recall.plan
            text += f" · w sends {steps.bytes_total} bytes, {clock(steps.seconds_estimated)}"
        return text

    def _empty(self, plan: Plan) -> str:
        if self.session.rig_error:
            return f"The rig cannot be read:\n{self.session.rig_error}\nUntil then the mix runs in the box."
        if plan.error:
            return f"{plan.error}\n{plan.hint}"
        if not self.items:
            return f"The path {self.session.path} moves nothing.\np chooses analog or hybrid."
        return "Everything stands where the mix wants it.\nv asks the devices again, f shows all controls, 3 prints."

    def action_filter(self) -> None:
        """Show all controls, or only what is left."""
        self.only_left = not self.only_left
        self.show_session()

    def action_next(self, direction: int) -> None:
        """Go to the next control that is not there yet."""
        left = {item.address for item in self.items if item.left}
        keys = [row.key for row in self.view.rows]
        order = range(self.view.cursor + direction, len(keys) if direction > 0 else -1, direction)
        wrapped = range(0 if direction > 0 else len(keys) - 1, self.view.cursor, direction)
        for index in (*order, *wrapped):
            if keys[index] in left:
                self.view.stand_on(keys[index])
                return
        self.host.say("Nothing is left." if not left else "This is the only one left.")

    def _planned(self) -> PlannedRecall | None:
        plan = self.session.plan()
        if plan.recall is None or not plan.recall.target:
            self.host.say(self._empty(plan), "warning")
            return None
        return plan.recall

    def action_send(self) -> None:
        """Send what can be sent, once its plan was accepted."""
        planned = self._planned()
        if planned is None:
            return
        if not planned.plan.steps:
            self.host.say("Nothing is left to send; v asks the devices again.")
            return
        origin = RunOrigin(self.session.project.root, self.session.mix.name, self.session.path)

        def work(studio: Studio, emit: Emit, accept: Accept) -> RecallOutcome:
            return self._sent(studio, planned, emit, accept, origin)

        self._run("recall", work)

    def action_resume(self) -> None:
        """Go on with the recall that was left unfinished, once what is left of it was accepted."""
        run = self.unfinished
        if run is None:
            self.host.say("Nothing is left to resume; w sends what the mix wants.")
            return
        origin = run.origin(self.session.project.root)

        def work(studio: Studio, emit: Emit, accept: Accept) -> RecallOutcome:
            return self._sent(studio, recall.plan_resume(studio, run.target, emit=emit), emit, accept, origin)

        self._run("resume", work)

    def _sent(
        self, studio: Studio, planned: PlannedRecall, emit: Emit, accept: Accept, origin: RunOrigin
    ) -> RecallOutcome:
        """Send a plan, in the job's thread, and leave each control's state for the screen to pick up."""
        with self._lock:
            self._told = {step.address: "planned" for step in planned.plan.steps}

        def listening(event: Event) -> None:
            if isinstance(event, Progress) and event.control is not None:
                address, state = event.control
                with self._lock:
                    self._told[address] = state
            emit(event)

        return recall.send(studio, planned, emit=listening, accept=accept, origin=origin)

    def _run(self, title: str, work: Callable[[Studio, Emit, Accept], RecallOutcome]) -> None:
        session = self.session

        def job(emit: Emit, accept: Accept) -> RecallOutcome:
            try:
                return session.with_studio(lambda studio: work(studio, emit, accept))
            finally:
                with self._lock:
                    self._told, self._over = {}, True

        def landed(outcome: RecallOutcome) -> None:
            self._silent = {}
            if outcome.interrupted:
                self.host.say("Stopped; what has landed is known, r resumes.", "warning")

        if self.host.run_job(title, job, landed):
            self._over = False

    def action_verify(self) -> None:
        """Ask the devices where they stand; nothing moves."""
        planned = self._planned()
        if planned is None:
            return
        session, target = self.session, planned.target

        def landed(outcome: VerifyOutcome) -> None:
            self._silent = {m.address: (SILENT, "no answer") for m in outcome.mismatches if m.found is None}

        def work(emit: Emit, accept: Accept) -> VerifyOutcome:
            return session.with_studio(lambda studio: recall.verify(studio, target, emit=emit))

        self.host.run_job("verify", work, landed)

    def action_tick(self) -> None:
        """Take it that the chosen control has been set by hand; that is on disk at once."""
        chosen = self._chosen()
        if chosen is None or not chosen.by_hand:
            self.host.say("t ticks what a hand sets; this one is sent with w.")
            return
        if not chosen.left:
            self.host.say("This one is ticked already.")
            return
        self._tick([chosen])

    def action_tick_all(self) -> None:
        """Take it that every control has been set by hand."""
        left = [item for item in self.items if item.left and item.by_hand]
        if not left:
            self.host.say("Nothing is left for your hands.")
            return
        if self._tick(left):
            turned = ": the virtual hands turned them." if self.session.virtual else "."
            self.host.say(f"{len(left)} controls ticked{turned}")

    def _tick(self, items: list[Item]) -> bool:
        if self.host.busy("Tick when the running job has ended."):
            return False
        steps = [item.step for item in items]
        try:
            self.session.with_studio(lambda studio: hands.tick(studio, steps))
            self.session.reopen()
        except KNOWN_ERRORS as error:
            self.host.say(str(error), "problem")
            return False
        self.host.changed()
        return True
