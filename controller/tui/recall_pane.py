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
from controller.snapshots import Snapshot
from controller.studio import Studio
from controller.tui.hand_view import HandView
from controller.tui.pane import Pane, clock
from controller.tui.recall_aim import snapshot_of
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
from controller.tui.recall_words import ConsentDialog, aim_text, empty_text, left_out_rows, stopped_text, telling
from controller.tui.rows_view import Row, RowsView
from controller.tui.session import KNOWN_ERRORS, Plan
from hardware.recall import RecallOutcome, VerifyOutcome
from hardware.rig import split_address

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
        "target it had. R on the snapshots screen recalls a snapshot instead, and m goes back to the mix. What is "
        "dangerous is left out: c on it asks for your consent, which is for the next sending only.\n"
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
        Binding("c", "consent", "Consent", id="recall.consent", tooltip="Consent to a dangerous control", show=False),
        Binding("m", "to_mix", "Mix", id="recall.mix", tooltip="From a snapshot back to the mix", show=False),
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
        yield Static(id="recall-aim", markup=False)
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
        plan, studio, aim = self.session.recall_plan(), self.session.studio, self.session.aim
        self._read_run()
        if self._over:
            self.live = {}
        run = self.unfinished
        wrong = self._silent | (what_went_wrong(run.results) if run is not None else {})
        recalled = plan.recall if studio is not None else None
        self.items = ()
        if studio is not None and recalled is not None:
            self.items = gather(studio, recalled, wrong, consent=aim.allowed(recalled.target))
        self.query_one("#recall-count", Static).update(self._count(plan))
        for name, text in (
            ("#recall-aim", aim_text(aim, recalled, self.session.mix_file)),
            ("#recall-stopped", self._stopped()),
        ):
            told = self.query_one(name, Static)
            told.update(text)
            told.set_class(bool(text), "told")
        rows: list[Row] = []
        for group in GROUPS:
            every = [item for item in self.items if item.group == group]
            members = [item for item in every if item.left or not self.only_left or item.address in self.live]
            if members:
                left = sum(item.left for item in every)
                rows.append(Row(group, (f"{group} · {left} of {len(every)} left",), heading=True))
                rows += [self._row(item) for item in members]
        rows += left_out_rows(recalled)
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
        return stopped_text(run)

    def _count(self, plan: Plan) -> str:
        if not self.items:
            return "recall"
        left = sum(item.left for item in self.items)
        text = f"{left} of {len(self.items)} left{' (f shows all)' if self.only_left else ''}"
        by_hand = sum(item.left and item.by_hand for item in self.items)
        if by_hand:
            text += f" · {by_hand} by hand"
        withheld = sum(item.withheld for item in self.items)
        if withheld:
            text += f" · {withheld} withheld (c)"
        if plan.recall is not None and plan.recall.plan.steps:
            steps = plan.recall.plan
            text += f" · w sends {steps.bytes_total} bytes, {clock(steps.seconds_estimated)}"
        return text

    def _empty(self, plan: Plan) -> str:
        if self.session.rig_error:
            return f"The rig cannot be read:\n{self.session.rig_error}\nUntil then the mix runs in the box."
        if plan.error:
            return f"{plan.error}\n{plan.hint}"
        if self.session.aim.snapshot is not None:
            return empty_text(self.session.aim.snapshot, known=bool(self.items))
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
        plan = self.session.recall_plan()
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
            withheld = "Only what is dangerous is left to send; c on it asks for your consent."
            nothing = "Nothing is left to send; v asks the devices again."
            self.host.say(withheld if planned.plan.withheld else nothing)
            return
        session, aim = self.session, self.session.aim
        origin = aim.origin(RunOrigin(session.project.root, session.mix.name, session.path))
        allowed = aim.allowed(planned.target)

        def work(studio: Studio, emit: Emit, accept: Accept) -> RecallOutcome:
            return self._sent(studio, planned, emit, telling(accept, planned, origin, allowed), origin)

        self._run("recall", work)

    def action_resume(self) -> None:
        """Go on with the recall that was left unfinished, once what is left of it was accepted."""
        run = self.unfinished
        if run is None:
            self.host.say("Nothing is left to resume; w sends what is wanted here.")
            return
        if self.host.busy("Resume when it has ended."):
            return
        origin = run.origin(self.session.project.root)

        allowed = self.session.aim.allowed(run.target)

        def work(studio: Studio, emit: Emit, accept: Accept) -> RecallOutcome:
            planned = recall.plan_resume(studio, run.target, emit=emit, consent=allowed)
            return self._sent(studio, planned, emit, telling(accept, planned, origin, allowed), origin)

        self._aim(snapshot_of(run, origin))
        self._run("resume", work)

    def action_to_mix(self) -> None:
        """Go back from a snapshot to what the mix wants."""
        if self.session.aim.snapshot is None:
            self.host.say("This is the way to the mix; R on the snapshots screen recalls a snapshot.")
        elif not self.host.busy("Go back when it has ended."):
            self._aim(None)

    def _aim(self, snapshot: Snapshot | None) -> None:
        self.session.aim.take(snapshot)
        self.session.replan()
        self.host.changed()

    def action_consent(self) -> None:
        """Ask whether the chosen dangerous control may be sent next time; on one consented to, take that back."""
        item, studio, consent = self._chosen(), self.session.studio, self.session.aim.consent
        planned = self.session.recall_plan().recall
        if studio is None or planned is None or self.host.busy("Consent when it has ended."):
            return
        if item is None or not (item.withheld or item.address in consent):
            self._go_to_withheld()
            return
        address, wanted = item.address, planned.target[item.address]

        def given(answer: bool | None) -> None:
            consent.pop(address, None)
            if answer:
                consent[address] = wanted
            self.session.replan()
            self.host.changed()

        if item.withheld:
            self.app.push_screen(ConsentDialog(item, studio.profiles[split_address(address)[0]]), given)
        else:
            given(False)

    def _go_to_withheld(self) -> None:
        found = next((item.address for item in self.items if item.withheld), None)
        if found is None:
            self.host.say("Nothing dangerous is left out here; 0 calibrates the rig.")
            return
        self.view.stand_on(found)
        self.host.say(f"{found} is dangerous and left out: c once more asks for your consent.")

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
            self.session.aim.consent.clear()
            self.session.replan()

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
