"""Workflows behind the screen: one at a time, in a thread; what they tell comes back as messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from textual.app import App
from textual.message import Message
from textual.worker import Worker

from controller.events import Accept, Emit, Event, Finding, Progress, Question, Started

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
    """A job wants its plan accepted; ``answer`` must be called once."""

    def __init__(self, question: Question, answer: Callable[[bool], None]) -> None:
        super().__init__()
        self.question = question
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
        """Ask the running job to stop at its next start or progress; False when none is running."""
        if self.running is None:
            return False
        self.running.stop.set()
        return True

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
            # What a workflow finds while it tidies up must not stop it a second time.
            if job.stop.is_set() and isinstance(event, Started | Progress):
                raise Stopped

        error: BaseException | None = None
        try:
            job.result = work(emit, lambda question: self._ask(job, question))
        except Exception as reason:
            logging.getLogger(__name__).warning("%s ended early", job.title, exc_info=True)
            error = Stopped() if job.stop.is_set() else reason
        except KeyboardInterrupt as reason:
            error = reason
        self._app.post_message(JobEnded(job, error))

    def _ask(self, job: Job, question: Question) -> bool:
        answered = threading.Event()
        answer = False

        def take(value: bool) -> None:
            nonlocal answer
            answer = value
            answered.set()

        self._app.post_message(JobAsks(question, take))
        answered.wait()
        if job.stop.is_set():
            raise Stopped
        return answer
