"""What the screens share: the host they live in, and how they show themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from textual.containers import Vertical
from textual.screen import ModalScreen

from controller.events import Severity
from controller.tui.jobs import Landed, Work
from controller.tui.session import Session

if TYPE_CHECKING:
    from controller.tui.playing import Playing

Answer = TypeVar("Answer")


class Host(Protocol):
    """What a screen may ask of the program around it."""

    session: Session

    @property
    def playing(self) -> Playing:
        """The mix under the hands, playing."""

    def redraw(self) -> None:
        """Draw meters and job line from now on, as long as something moves."""

    def run_job(self, title: str, work: Work, landed: Landed) -> bool:
        """Start a workflow; False, and a toast, when one is running.

        When it has landed, ``landed`` takes its result; then the rig is read anew and all screens are drawn.
        """

    def busy(self, otherwise: str) -> bool:
        """Tell whether a workflow is running, and if so say ``otherwise``."""

    def ask(self, dialog: Callable[[], ModalScreen[Answer]]) -> Answer | None:
        """Ask from within a job and wait for the answer; None when it was left without one."""

    def say(self, text: str, severity: Severity = "note") -> None:
        """Show a toast."""

    def action_go(self, name: str) -> None:
        """Go to a screen."""

    def changed(self) -> None:
        """Draw everything that depends on the mix, the path or the rig."""

    def save_mix(self) -> Path | None:
        """Save the mix as the next file; None when it could not be, which is said."""


class Pane(Vertical):
    """One screen. ``HEADING`` names it, ``ABOUT`` is its help."""

    HEADING: ClassVar[str] = ""
    ABOUT: ClassVar[str] = ""

    def __init__(self, host: Host, *, id: str) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self.host = host

    @property
    def session(self) -> Session:
        """The project on the screen."""
        return self.host.session

    def focus_main(self) -> None:
        """Put the focus where the hands go first."""

    def show_session(self) -> None:
        """Draw what the session says now."""

    def show_job(self) -> None:
        """Draw what a running job has told since the last call; called often."""

    def show_reductions(self, reductions_db: Mapping[str, float]) -> None:
        """Show what compressors take off, by strip name [dB, 0 or less]; empty: nothing plays."""

    def show_levels(self, levels_dbfs: Mapping[str, float]) -> None:
        """Show meter levels by strip name [dBFS]; empty: at rest."""


def clock(seconds: float) -> str:
    """Write a time left or a length as ``m:ss``, or ``4.2 s`` below ten seconds."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def moment(at: str) -> str:
    """Write an ISO 8601 moment as the clock on the reader's wall: ``14:05`` today, else ``03 Feb 14:05``."""
    try:
        then = dt.datetime.fromisoformat(at).astimezone()
    except ValueError:
        return at
    now = dt.datetime.now().astimezone()
    if then.date() == now.date():
        return then.strftime("%H:%M")
    return then.strftime("%d %b %H:%M" if then.year == now.year else "%d %b %Y")
