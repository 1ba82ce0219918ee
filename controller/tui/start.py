"""Opening the console on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.errors import UsageError
from controller.tui.app import ConsoleApp, log_file
from controller.tui.session import Session
from controller.tui.terminal import quiet_terminal


def open_console(project: Path, *, rig: str | None) -> int:
    """Open the console on a project; return the exit code.

    Raises
    ------
    UsageError
        There is no terminal to draw on.
    ProjectError, MixError, AudioFileError, StorageError
        The project cannot be opened.
    RigError, ProfileError
        ``rig`` cannot be read.
    """
    session = Session.open(project, rig=rig)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The console needs a terminal.", hint="In a script, use a command: 'halfnormal --help' lists them."
        )
    try:
        with quiet_terminal(log_file()):
            app = ConsoleApp(session)
            code = app.run()
            return app.return_code or 0 if code is None else code
    finally:
        session.close()
