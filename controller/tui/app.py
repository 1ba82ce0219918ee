"""The console: seven screens over one project, everything by keyboard, workflows behind in a thread."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen
from textual.widgets import ContentSwitcher, Footer, Static

from controller import calibrate, files, places, report
from controller.errors import DeclinedError, exit_code, hint_of
from controller.events import Done, Event, Finding, Severity, Started
from controller.loops import StoredCalibration
from controller.tui.compare_pane import ComparePane
from controller.tui.console_pane import ConsolePane
from controller.tui.devices_pane import DevicesPane
from controller.tui.dialogs import PANIC_KEY, LeaveDialog, Leaving, MessageDialog, ValueDialog
from controller.tui.head import head_text
from controller.tui.jobs import JobAsks, JobEnded, Jobs, JobSaid, Landed, Stopped, Work
from controller.tui.keys import commands, key_table
from controller.tui.levels_view import JobBar
from controller.tui.loops_pane import LoopsPane
from controller.tui.palette import THEME
from controller.tui.pane import Answer, Pane
from controller.tui.playing import Playing
from controller.tui.print_pane import PrintPane
from controller.tui.recall_pane import RecallPane
from controller.tui.session import KNOWN_ERRORS, PATHS, Session
from controller.tui.snapshots_pane import SnapshotsPane

FRAMES_PER_S = 20
FALL_DB_PER_S = 36.0
REST_DBFS = -70.0
TOAST_S: dict[Severity, float] = {"note": 3.0, "warning": 6.0, "problem": 8.0}
PANES: tuple[type[Pane], ...] = (ConsolePane, RecallPane, PrintPane, ComparePane, SnapshotsPane, DevicesPane, LoopsPane)


class ConsoleApp(App[int]):
    """The screens over one :class:`~controller.tui.session.Session`."""

    CSS_PATH = "app.tcss"
    TITLE = "Halfnormal"
    ENABLE_COMMAND_PALETTE = True
    VERTICAL_BREAKPOINTS = [(0, "short"), (34, "tall")]  # noqa: RUF012 - Textual declares it as an instance variable
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('console')", "Console", id="app.console", show=False),
        Binding("2", "go('recall')", "Recall", id="app.recall", show=False),
        Binding("3", "go('print')", "Print", id="app.print", show=False),
        Binding("4", "go('compare')", "Compare", id="app.compare", show=False),
        Binding("5", "go('snapshots')", "Snapshots", id="app.snapshots", show=False),
        Binding("6", "go('devices')", "Devices", id="app.devices", show=False),
        Binding("7", "go('loops')", "Loops", id="app.loops", show=False),
        Binding("p", "path", "Path", id="app.path"),
        Binding("k", "snapshot", "Snap", id="app.snapshot", tooltip="Snapshot: store where every control stands now"),
        Binding("K", "snapshot_note", "Snapshot with a note", id="app.snapshot_note", show=False),
        Binding("c,0", "calibrate", "Calibrate", id="app.calibrate", show=False),
        Binding("question_mark,f1", "help", "Keys", id="app.help", key_display="?"),
        Binding("ctrl+s,f2", "save", "Save", id="app.save", tooltip="Save the mix as the next mix file"),
        Binding("escape", "stop", "Stop the job", id="app.stop", show=False),
        Binding(PANIC_KEY, "stop", "Stop the job", id="app.panic", show=False, priority=True),
        Binding("q", "quit", "Quit", id="app.quit", show=False),
        Binding("ctrl+q", "quit", "Quit", id="app.quit_always", show=False, priority=True),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.jobs = Jobs(self)
        self.playing = Playing(self, self._post_event)
        self._levels: dict[str, float] = {}
        self._asked: Screen[Any] | None = None
        self._detail = ""
        self._said = "? shows the keys of this screen, Ctrl+P finds everything"

    def compose(self) -> ComposeResult:
        """Lay out head line, screens, job line and key hints."""
        yield Static(id="head", markup=False)
        with ContentSwitcher(initial="console"):
            for kind in PANES:
                yield kind(self, id=kind.HEADING)
        yield JobBar(id="job", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Open on the console."""
        self.register_theme(THEME)
        self.theme = THEME.name
        self._frames = self.set_interval(1 / FRAMES_PER_S, self._frame, pause=True)
        self.call_after_refresh(self._open)

    def _open(self) -> None:
        self.changed()
        self.pane.focus_main()
        for finding in self.session.found:
            self._tell(finding)
        if self.session.rig_error:
            self.say(f"The rig cannot be read, only the box is left: {self.session.rig_error}", "problem")

    @property
    def panes(self) -> list[Pane]:
        """All screens."""
        return list(self.query_one(ContentSwitcher).query(Pane))

    @property
    def pane(self) -> Pane:
        """The screen in sight."""
        return self.query_one(f"#{self.query_one(ContentSwitcher).current}", Pane)

    def changed(self) -> None:
        """Draw everything that depends on the mix, the path or the rig."""
        self.playing.follow(self.session.mix)
        self.pane.show_session()
        self._draw_head()
        self._draw_job()

    def on_unmount(self) -> None:
        """Leave no sound behind."""
        self.playing.close()

    def on_resize(self) -> None:
        """Fit the head line."""
        self.call_after_refresh(self._draw_head)

    def _draw_head(self) -> None:
        here = self.query_one(ContentSwitcher).current
        headings = [kind.HEADING for kind in PANES]
        self.query_one("#head", Static).update(head_text(headings, here, self.session, self.size.width))

    def _draw_job(self) -> None:
        bar, job = self.query_one(JobBar), self.jobs.running
        if job is None:
            bar.rest(self.playing.line() or self._said)
        else:
            bar.run(job.title, self._detail, job.progress, stopping=job.stop.is_set())

    def say(self, text: str, severity: Severity = "note") -> None:
        """Show a toast."""
        levels = {"note": "information", "warning": "warning", "problem": "error"}
        kind: Any = levels[severity]
        self.notify(text, severity=kind, timeout=TOAST_S[severity], markup=False)

    def busy(self, otherwise: str) -> bool:
        """Tell whether a workflow is running, and if so say ``otherwise``."""
        if self.jobs.running is None:
            return False
        self.say(f"{self.jobs.running.title} is running. {otherwise}", "warning")
        return True

    def ask(self, dialog: Callable[[], ModalScreen[Answer]]) -> Answer | None:
        """Ask from within a job and wait for the answer; None when it was left without one."""
        return self.jobs.ask(dialog)

    def redraw(self) -> None:
        """Draw meters and job line from now on, as long as something moves."""
        self._frames.resume()
        self._draw_job()

    def run_job(self, title: str, work: Work, landed: Landed) -> bool:
        """Start a workflow; False, and a toast, when one is running."""
        if self.busy("One job at a time: wait for it, or Esc stops it."):
            return False
        self._detail = ""
        self.playing.close()
        self.jobs.start(title, work, landed)
        self._frames.resume()
        self._draw_job()
        return True

    def _frame(self) -> None:
        with contextlib.suppress(NoMatches):  # meters may still fall while the screens are taken down
            self._draw_frame()

    def _draw_frame(self) -> None:
        job = self.jobs.running
        _, new = job.take() if job is not None else (None, self.playing.take_levels())
        self.playing.look()
        falling = FALL_DB_PER_S / FRAMES_PER_S
        levels = {name: level - falling for name, level in self._levels.items() if level > REST_DBFS}
        for name, level in new.items():
            levels[name] = max(level, levels.get(name, -math.inf))
        if levels != self._levels:
            self._levels = levels
            self.pane.show_levels(levels)
        self.pane.show_reductions(self.playing.reductions_db())
        if job is not None:
            self.pane.show_job()
        self._draw_job()
        if job is None and not levels and not self.playing.sounding:
            self._frames.pause()

    @on(JobSaid)
    def _on_job_said(self, message: JobSaid) -> None:
        match message.event:
            case Started(job=name, detail=detail):
                self._detail = f"{name}: {detail}" if detail else name
                if self.jobs.running is not None:
                    self.jobs.running.progress = None
            case Done(job=name, detail=detail):
                self._said = f"{name}: {detail}"
            case Finding() as finding:
                self._tell(finding)
        self._draw_job()

    def _post_event(self, event: Event) -> None:
        """Say an event on the screen; any thread may call this."""
        self.post_message(JobSaid(event))

    def _tell(self, finding: Finding) -> None:
        if finding.severity != "problem":
            self.say(f"{finding.where}: {finding.what} {finding.hint}".strip(), finding.severity)

    @on(JobAsks)
    def _on_job_asks(self, message: JobAsks) -> None:
        if self.jobs.running is not None and self.jobs.running.stop.is_set():
            message.answer(None)
            return

        def take(answer: Any) -> None:
            self._asked = None
            message.answer(answer)

        self._asked = message.dialog()
        self.push_screen(self._asked, take)

    @on(JobEnded)
    def _on_job_ended(self, message: JobEnded) -> None:
        job = message.job
        self.jobs.ended()
        if message.error is None:
            job.landed(job.result)
        else:
            self._explain(job.title, message.error)
        problems = [finding for finding in job.findings if finding.severity == "problem"]
        if problems and (message.error is None or isinstance(message.error, Stopped)):
            lines = [f"✕ {f.where}: {f.what}" + (f"\n  {f.hint}" if f.hint else "") for f in problems]
            self.push_screen(MessageDialog(f"{job.title}: {len(problems)} to put right", "\n".join(lines)))
        try:
            self.session.reopen()
        except KNOWN_ERRORS as error:
            self.say(f"{error} {hint_of(error)}", "problem")
        self.changed()

    def _explain(self, title: str, error: BaseException) -> None:
        if isinstance(error, DeclinedError):
            self._said = str(error)
            self.say(str(error))
        elif isinstance(error, KeyboardInterrupt):
            self._said = f"{title} was stopped; everything recorded or written so far is kept."
            self.say(self._said, "warning")
        else:
            self._said = f"{title} stopped: {error}"
            fault = exit_code(error) is None
            sentence = f"A fault of the program: {type(error).__name__}: {error}" if fault else str(error)
            hint = f"The log is at {log_file()}." if fault else hint_of(error)
            self.push_screen(MessageDialog(f"{title} stopped", f"{sentence}\n\n→ {hint}" if hint else sentence))

    def save_mix(self) -> Path | None:
        """Save the mix as the next file; None when it could not be, which is said."""
        try:
            path = self.session.save()
        except KNOWN_ERRORS as error:
            hint = hint_of(error)
            self.push_screen(MessageDialog("The mix was not saved", f"{error}\n\n→ {hint}" if hint else str(error)))
            return None
        self._said = f"saved as {files.relative(path)}"
        self.say(f"Saved as {path.name}.")
        self.changed()
        return path

    def action_go(self, name: str) -> None:
        """Go to a screen."""
        self.query_one(ContentSwitcher).current = name
        self.changed()
        self.pane.focus_main()

    def action_path(self) -> None:
        """Choose the next render path."""
        if self.busy("The path can change when it has ended."):
            return
        wanted = PATHS[(PATHS.index(self.session.path) + 1) % len(PATHS)]
        if not self.session.choose_path(wanted):
            self.say("Without a readable rig the mix runs in the box only.", "warning")
        self.changed()

    def action_save(self) -> None:
        """Save the mix as the next mix file."""
        if self.session.dirty:
            self.save_mix()
        else:
            self.say(f"Nothing to save: {self.session.mix_file} has it all.")

    def action_snapshot(self) -> None:
        """Store a snapshot of the rig as it stands now."""
        self.query_one(SnapshotsPane).take()

    def action_snapshot_note(self) -> None:
        """Store a snapshot of the rig, with a note on it."""
        note = ValueDialog("A note on the snapshot", "", self.query_one(SnapshotsPane).take_noted)
        self.push_screen(note)

    def action_calibrate(self) -> None:
        """Measure the rig's loops, once the plan was accepted."""
        session = self.session
        if session.studio is None:
            self.say("There is no readable rig to calibrate.", "warning")
            return

        def landed(stored: StoredCalibration) -> None:
            problems = len(stored.calibration.problems)
            self.say(f"Calibrated as {stored.path.name}." if not problems else f"{problems} problems, see the list.")

        self.run_job(
            "calibrate",
            lambda emit, accept: session.with_studio(
                lambda studio: calibrate.calibrate(studio, emit=emit, accept=accept)
            ),
            landed,
        )

    def action_report(self) -> None:
        """Write the project's report."""
        project = self.session.project
        self.run_job(
            "report",
            lambda emit, accept: report.write_report(project, emit=emit),
            lambda file: self.say(f"Written: {files.relative(file)}"),
        )

    def action_stop(self) -> None:
        """Stop the running job at its next word."""
        if self.jobs.stop():
            if self._asked is not None and self.screen is self._asked:
                self._asked.dismiss(None)
            self._draw_job()

    def action_help(self) -> None:
        """Show what this screen is for and all its keys."""
        focused = self.focused
        lists = [focused] if focused is not None and focused is not self.pane else []
        lines = [self.pane.ABOUT, ""]
        for source in (self.pane, *lists, self):
            lines += [f"{keys:<20} {what}" for keys, what in key_table(self, source)]
        self.push_screen(MessageDialog(f"Keys: {self.pane.HEADING}", "\n".join(lines)))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer every binding of every screen."""
        return commands(self, self.panes, self._from_palette)

    async def _from_palette(self, source: App[Any] | Pane, binding: Binding) -> None:
        if isinstance(source, Pane):
            self.action_go(source.HEADING)
            await self.run_action(binding.action, default_namespace=source)
        else:
            await self.run_action(binding.action)

    async def action_quit(self) -> None:
        """Leave; a running job is stopped first, an unsaved mix is asked about."""
        if isinstance(self.screen, LeaveDialog):
            return
        if self.jobs.running is not None:
            self.say("A job is running: Esc stops it, then q leaves.", "warning")
            return
        if not self.session.dirty:
            self.exit(0)
            return
        number = self.session.next_mix_number()
        text = f"The mix has changes that are in no file. Saving makes mix-{number}.toml; nothing is overwritten."
        self.push_screen(LeaveDialog("Leave?", text), self._leave)

    def _leave(self, answer: Leaving | None) -> None:
        if answer == "discard" or (answer == "save" and self.save_mix() is not None):
            self.exit(0)


def log_file() -> Path:
    """Return where libraries' talk goes while the console is up."""
    return places.home() / "console.log"
