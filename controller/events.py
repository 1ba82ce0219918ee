"""What a workflow tells its face. Command line, TUI, JSON and report render the same events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["note", "warning", "problem"]


@dataclass(frozen=True)
class Started:
    """A job began; ``seconds_estimated`` is None when nobody can tell."""

    job: str
    detail: str = ""
    seconds_estimated: float | None = None


@dataclass(frozen=True)
class Progress:
    """``done`` runs from 0 to 1; ``seconds_left`` is None when nobody can tell.

    ``control``: the address of a control that came a step further, and the state it came to.
    """

    job: str
    done: float
    seconds_left: float | None = None
    detail: str = ""
    levels_dbfs: dict[str, float] = field(default_factory=dict)
    control: tuple[str, str] | None = None


@dataclass(frozen=True)
class Finding:
    """Something the engineer should know: where, what, and what to do about it."""

    where: str
    what: str
    hint: str = ""
    severity: Severity = "note"


@dataclass(frozen=True)
class Question:
    """A plan that must be accepted before anything plays or moves. ``lines`` is the plan, ready to read."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A job ended; ``data`` is what its ``--json`` prints."""

    job: str
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Event = Started | Progress | Finding | Question | Done
Emit = Callable[[Event], None]
Accept = Callable[[Question], bool]


def silent(event: Event) -> None:
    """Serve as an ``Emit`` for callers that need no telling."""
