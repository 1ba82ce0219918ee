"""Workflows behind the screen: one at a time, in a thread; what they tell comes back as messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from textual.app import App
from textual.message import Message
from textual.screen import ModalScreen
from textual.worker import Worker

from controller.compiling import tell_compiling
from controller.events import Accept, Emit, Event, Finding, Progress, Question, Started
from controller.tui.dialogs import PlanDialog

Answer = TypeVar("Answer")
_LOOK_S = 0.5
"""How often a job that waits for an answer looks whether the screen is still there [s]."""
Work = Callable[[Emit, Accept], Any]
Landed = Callable[[Any], None]


class Stopped(KeyboardInterrupt):
    """The engineer stopped the job; workflows treat it as Ctrl-C and leave everything recoverable."""


class JobSaid(Message):
    """A job told something other than progress."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class JobAsks(Message):
    """A job wants an answer; ``dialog`` makes what asks for it, and ``answer`` must be called once."""

    def __init__(self, dialog: Callable[[], ModalScreen[Any]], answer: Callable[[Any], None]) -> None:
        super().__init__()
        self.dialog = dialog
        self.answer = answer


class JobEnded(Message):
    """A job ended: ``error`` is what stopped it, None when it landed."""

    def __init__(self, job: Job, error: BaseException | None) -> None:
        super().__init__()
        self.job = job
        self.error = error


@dataclass
class Job:
    """One running workflow, and what its thread leaves for the screen to pick up."""

    title: str
    landed: Landed
    result: Any = None
    findings: list[Finding] = field(default_factory=list)
    progress: Progress | None = None
    levels_dbfs: dict[str, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    interrupt: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> tuple[Progress | None, dict[str, float]]:
        """Return the newest progress, and the highest level of each meter since the last call."""
        with self.lock:
            levels, self.levels_dbfs = self.levels_dbfs, {}
            return self.progress, levels

    def note(self, progress: Progress) -> None:
        """Leave progress for the screen; thousands a second cost it nothing."""
        with self.lock:
            self.progress = progress
            for name, level in progress.levels_dbfs.items():
                self.levels_dbfs[name] = max(level, self.levels_dbfs.get(name, level))


class Jobs:
    """Runs one workflow at a time for ``app``."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self.running: Job | None = None
        self._worker: Worker[None] | None = None

    def start(self, title: str, work: Work, landed: Landed) -> bool:
        """Begin ``work(emit, accept)`` in a thread; ``landed(result)`` follows on the screen's side.

        False when another job is running: nothing was started.
        """
        if self.running is not None:
            return False
        job = self.running = Job(title, landed)
        self._worker = self._app.run_worker(
            lambda: self._run(job, work), thread=True, name=title, group="job", exit_on_error=False
        )
        return True

    def stop(self) -> bool:
        """Ask the running job to stop at its next start or progress; False when none is running.

        Each call interrupts once, as Ctrl-C does: what the job tells while it tidies up does not stop it again.
        """
        if self.running is None:
            return False
        self.running.stop.set()
        self.running.interrupt.set()
        return True

    def ask(self, dialog: Callable[[], ModalScreen[Answer]]) -> Answer | None:
        """Put a question on the screen and wait for its answer; only the running job's thread may call this.

        None when it was left without an answer.

        Raises
        ------
        Stopped
            The job was stopped meanwhile.
        """
        job = self.running
        assert job is not None  # noqa: S101 - only a job calls this
        answered = threading.Event()
        answer: Answer | None = None

        def take(value: Answer | None) -> None:
            nonlocal answer
            answer = value
            answered.set()

        self._app.post_message(JobAsks(dialog, take))
        while not answered.wait(_LOOK_S):
            if not self._app.is_running:  # nobody is there any more who could answer
                raise Stopped
        if job.stop.is_set():
            job.interrupt.clear()
            raise Stopped
        return answer

    def ended(self) -> None:
        """Make room for the next job."""
        self.running = None

    async def wait(self) -> None:
        """Wait until the running job's thread has come home."""
        if self._worker is not None and not self._worker.is_finished:
            await self._app.workers.wait_for_complete([self._worker])

    def _run(self, job: Job, work: Work) -> None:
        def emit(event: Event) -> None:
            if isinstance(event, Progress):
                job.note(event)
            else:
                if isinstance(event, Finding):
                    job.findings.append(event)
                self._app.post_message(JobSaid(event))
            if isinstance(event, Started | Progress) and job.interrupt.is_set():
                job.interrupt.clear()
                raise Stopped

        def accept(question: Question) -> bool:
            def dialog() -> ModalScreen[bool]:
                return PlanDialog(question)

            answer: bool | None = self.ask(dialog)
            return bool(answer)

        tell_compiling(emit)
        error: BaseException | None = None
        try:
            job.result = work(emit, accept)
        except Exception as reason:
            logging.getLogger(__name__).warning("%s ended early", job.title, exc_info=True)
            error = Stopped() if job.stop.is_set() else reason
        except KeyboardInterrupt as reason:
            error = reason
        self._app.post_message(JobEnded(job, error))
