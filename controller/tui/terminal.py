"""Keeps the screen clean: what libraries print goes to a log while the console is up."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet_terminal(log: Path) -> Iterator[None]:
    """Send file descriptor 2, warnings and Python's logging to ``log`` for the length of a ``with`` block.

    Textual draws on ``sys.__stderr__`` on POSIX, and C libraries and child processes write to descriptor 2 (ALSA
    does on every failed open). The screen therefore gets a descriptor of its own, also where the shell sent
    descriptor 2 elsewhere. Where no log can be written, the noise is dropped.
    """
    if os.name != "posix" or sys.__stderr__ is None:
        yield
        return
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError:
        sink = os.open(os.devnull, os.O_WRONLY)
    sys.__stderr__.flush()
    before = os.dup(2)
    screen = os.dup(2 if os.isatty(2) else 1)
    drawn_on, heard_on = sys.__stderr__, sys.stderr
    handler = logging.StreamHandler(io.TextIOWrapper(os.fdopen(os.dup(sink), "wb", 0), "utf-8", write_through=True))
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [handler]
    os.dup2(sink, 2)
    os.close(sink)
    with os.fdopen(screen, "w", encoding="utf-8", errors="replace", closefd=True) as own:
        sys.__stderr__ = own  # type: ignore[misc]  # the one name by which Textual finds its screen
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace", buffering=1)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.handlers = handlers
            handler.stream.close()
            sys.stderr.close()
            own.flush()
            os.dup2(before, 2)
            os.close(before)
            sys.__stderr__ = drawn_on  # type: ignore[misc]
            sys.stderr = heard_on
