"""Screen 2: recall. What the rig has to be brought to, by us and by hand, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller import recall
from controller.events import Accept, Emit
from controller.recall import PlannedRecall
from controller.sheet import clock_position, display_value, is_switch, turn_arrow
from controller.tui.palette import ACCENT, BLUE, BRIGHT, FAINT, GREEN, INK, RED, YELLOW
from controller.tui.pane import Pane, clock
from controller.tui.rows_view import Column, Row, RowsView
from controller.tui.session import KNOWN_ERRORS, Plan
from hardware.known import Known
from hardware.recall import HandStep, RecallOutcome, VerifyOutcome
from hardware.recall_plan import same_value
from hardware.rig import split_address
from profiles.profile import Control, Value

THERE, SENT, ELSEWHERE, SILENT = "●", "◐", "○", "✕"
LAMPS: Mapping[str, Style] = {THERE: GREEN, SENT: YELLOW, ELSEWHERE: ACCENT, SILENT: RED}
GROUPS = ("sent by us", "switches to press", "pots to turn")


@dataclass(frozen=True)
class Item:
    """One control of the recall: where it is, where it shall be, and its lamp."""

    address: str
    control: Control
    known: Known | None
    wanted: Value
    stage: str
    lamp: str
    group: str
    order: tuple[int, bool, int, int]

    @property
    def left(self) -> bool:
        """Whether something remains to be done about it."""
        return self.lamp in {ELSEWHERE, SILENT}

    def hand_step(self) -> HandStep:
        """Return it as a step for a hand."""
        return HandStep(self.address, self.known, self.wanted, self.control)


class RecallPane(Pane):
    """The rig's way to the mix: three groups, one lamp a control."""

    HEADING = "recall"
    ABOUT = (
        "Brings the rig to the mix: w sends what can be sent (the plan is shown first), the rest is for your hands, "
        "strip by strip, so that they cross the desk once. t ticks a control that you have set, v asks the devices "
        "where they stand.\n"
        "● there and confirmed · ◐ sent, the device does not answer to it · ○ elsewhere or unknown · "
        "✕ no answer or refused"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "send", "Send", id="recall.send", tooltip="Send what can be sent (asks first)"),
        Binding("v", "verify", "Verify", id="recall.verify", tooltip="Ask the devices where they stand"),
        Binding("t", "tick", "Tick", id="recall.tick", tooltip="Tick: it is set by hand"),
        Binding("T", "tick_all", "Tick all", id="recall.tick_all", tooltip="Tick all that hands set"),
        Binding("n", "next(1)", "Next", id="recall.next", tooltip="Next mismatch"),
        Binding("N", "next(-1)", "Previous mismatch", id="recall.previous", show=False),
        Binding("f", "filter", "Filter", id="recall.filter", tooltip="All controls, or only what is left"),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.only_left = True
        self.items: tuple[Item, ...] = ()
        self._silent: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Lay out the count and the list."""
        yield Static(id="recall-count", classes="headline", markup=False)
        columns = (Column(), Column(), Column("right"), Column(), Column(), Column(grows=True))
        yield RowsView(columns, id="recall-rows")

    @property
    def view(self) -> RowsView:
        """The list."""
        return self.query_one(RowsView)

    def focus_main(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.view)

    def show_session(self) -> None:
        """Draw the plan."""
        plan = self.session.plan()
        self.items = self._gather(plan)
        self.query_one("#recall-count", Static).update(self._count(plan))
        shown = [item for item in self.items if item.left or not self.only_left]
        rows: list[Row] = []
        for group in GROUPS:
            every = [item for item in self.items if item.group == group]
            members = [item for item in shown if item.group == group]
            if members:
                left = sum(item.left for item in every)
                rows.append(Row(group, (f"{group} · {left} of {len(every)} left",), heading=True))
                rows += [self._row(item) for item in members]
        self.view.show(rows, empty=self._empty(plan))

    def _gather(self, plan: Plan) -> tuple[Item, ...]:
        studio = self.session.studio
        if studio is None or plan.recall is None:
            return ()
        stages = {step.address: step.stage for step in plan.recall.plan.steps if step.final}
        devices = list(studio.profiles)
        items = []
        for index, (address, wanted) in enumerate(plan.recall.target.items()):
            control = studio.control(address)
            known = studio.state.get(address)
            goal = control.achieved(wanted)
            by_hand = control.by_hand
            group = GROUPS[0] if not by_hand else GROUPS[1] if is_switch(control) else GROUPS[2]
            order = (devices.index(split_address(address)[0]), control.strip is None, control.strip or 0, index)
            lamp = self._lamp(address, control, known, goal)
            stage = stages.get(address, "")
            items.append(Item(address, control, known, goal, stage, lamp, group, order))
        return tuple(sorted(items, key=lambda item: item.order))

    def _lamp(self, address: str, control: Control, known: Known | None, wanted: Value) -> str:
        if address in self._silent:
            return SILENT
        if known is None or known.how == "assumed" or not same_value(control, known.value, wanted):
            return ELSEWHERE
        return SENT if known.how == "sent" else THERE

    def _row(self, item: Item) -> Row:
        known = item.known
        now = "?" if known is None else display_value(item.control, known.value)
        wanted = display_value(item.control, item.wanted)
        if item.control.by_hand and not is_switch(item.control):
            way = f"{turn_arrow(item.hand_step()) or ' '} {clock_position(item.control.angle_deg(item.wanted))}"
        else:
            way = "press" if item.control.by_hand and item.left else item.stage
        how = self._silent.get(item.address) or ("unknown" if known is None else f"{known.how} {_when(known)}")
        return Row(
            item.address,
            (
                (item.lamp, LAMPS[item.lamp]),
                (item.address, INK if item.left else FAINT),
                (now, INK if item.left else FAINT),
                (f"→ {wanted}", BRIGHT if item.left else FAINT),
                (way, BLUE),
                (how, FAINT),
            ),
        )

    def _count(self, plan: Plan) -> str:
        if not self.items:
            return "recall"
        left = sum(item.left for item in self.items)
        text = f"{left} of {len(self.items)} left{' (f shows all)' if self.only_left else ''}"
        hands = sum(item.left and item.control.by_hand for item in self.items)
        if hands:
            text += f" · {hands} by hand"
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
        session = self.session

        def landed(outcome: RecallOutcome) -> None:
            self._silent = {
                address: f"{result.state} {result.message}".strip()
                for address, result in outcome.results.items()
                if result.state in {"refused", "unknown"}
            }

        def work(emit: Emit, accept: Accept) -> RecallOutcome:
            return session.with_studio(lambda studio: recall.send(studio, planned, emit=emit, accept=accept))

        self.host.run_job("recall", work, landed)

    def action_verify(self) -> None:
        """Ask the devices where they stand; nothing moves."""
        planned = self._planned()
        if planned is None:
            return
        session, target = self.session, planned.target

        def landed(outcome: VerifyOutcome) -> None:
            self._silent = {m.address: "no answer" for m in outcome.mismatches if m.found is None}

        def work(emit: Emit, accept: Accept) -> VerifyOutcome:
            return session.with_studio(lambda studio: recall.verify(studio, target, emit=emit))

        self.host.run_job("verify", work, landed)

    def action_tick(self) -> None:
        """Take it that the chosen control has been set by hand."""
        chosen = [item for item in self.items if item.address == self.view.key]
        if not chosen or not chosen[0].control.by_hand:
            self.host.say("t ticks a switch or a pot; this one is sent with w.")
            return
        self._tick(chosen)

    def action_tick_all(self) -> None:
        """Take it that every control has been set by hand."""
        left = [item for item in self.items if item.left and item.control.by_hand]
        if not left:
            self.host.say("Nothing is left for your hands.")
            return
        self._tick(left)
        self.host.say(
            f"{len(left)} controls ticked" + (": the virtual hands turned them." if self.session.virtual else ".")
        )

    def _tick(self, items: list[Item]) -> None:
        planned = self.session.plan().recall
        if planned is None or self.host.busy("Tick when the running job has ended."):
            return
        hands = replace(planned.plan, steps=(), by_hand=tuple(item.hand_step() for item in items))
        try:
            self.session.with_studio(replace(planned, plan=hands).confirm_hands)
            self.session.reopen()
        except KNOWN_ERRORS as error:
            self.host.say(str(error), "problem")
            return
        self.host.changed()


def _when(known: Known) -> str:
    """Write the moment as the clock on the wall of the one who reads it."""
    import datetime as dt

    try:
        moment = dt.datetime.fromisoformat(known.at).astimezone()
    except ValueError:
        return known.at
    today = moment.date() == dt.datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if today else "%d %b %H:%M")
