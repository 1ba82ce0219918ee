"""A snapshot, or the difference between two, as rows of a list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from rich.style import Style

from controller.snapshot_diff import Change, Difference
from controller.snapshots import Entry, Snapshot
from controller.tui.palette import ACCENT, BLUE, BRIGHT, FAINT, GREEN, INK, RED, YELLOW
from controller.tui.pane import moment
from controller.tui.rows_view import Cell, Column, Row
from controller.value_text import say
from hardware.known import How

COLUMNS = (Column(), Column(), Column("right"), Column(), Column(), Column(grows=True))
"""Sign, address, value, value there, what changed, how it is known."""

SURE, TOLD, UNKNOWN, WRONG = "●", "◐", "○", "✕"
_SIGNS: Mapping[How, tuple[str, Style]] = {
    "measured": (SURE, GREEN),
    "read-back": (SURE, GREEN),
    "acknowledged": (SURE, GREEN),
    "by-hand": (SURE, GREEN),
    "sent": (TOLD, YELLOW),
    "assumed": (UNKNOWN, ACCENT),
}


def title_of(snapshot: Snapshot) -> str:
    """Say which snapshot it is: its number, or now."""
    return f"snapshot {snapshot.number}" if snapshot.number else "now"


def snapshot_rows(snapshot: Snapshot) -> list[Row]:
    """List what a snapshot says: on its devices, then control by control, then what is unknown."""
    rows: list[Row] = []
    about = [*_about(snapshot)]
    if about:
        rows += [_heading("on it"), *(_words(f"about {i}", *line) for i, line in enumerate(about))]
    known = {address: entry for address, entry in snapshot.controls.items() if entry.known.how != "assumed"}
    for device in dict.fromkeys(address.partition("/")[0] for address in known):
        members = [(address, entry) for address, entry in known.items() if address.startswith(f"{device}/")]
        rows.append(_heading(f"{device} · {len(members)} known"))
        rows += [_entry_row(address, entry) for address, entry in members]
    if snapshot.unknown:
        rows.append(_heading(f"unknown · {len(snapshot.unknown)}"))
        rows += [_unknown_row(address, snapshot.controls.get(address)) for address in snapshot.unknown]
    return rows


def _about(snapshot: Snapshot) -> Iterator[tuple[tuple[str, Style], str, str]]:
    for line in snapshot.note.splitlines():
        yield ("·", FAINT), "note", line
    for device, facts in snapshot.devices.items():
        if facts.not_read:
            yield (WRONG, RED), device, f"not read: {facts.not_read}"
        if facts.note:
            yield ("·", FAINT), device, facts.note
        for photo in facts.photos:
            yield ("·", FAINT), device, f"photo {photo.file} ({photo.name})"


def _entry_row(address: str, entry: Entry) -> Row:
    how = f"{entry.known.how} {moment(entry.known.at)}" + (f", {entry.note}" if entry.note else "")
    value = say(entry.known.value, entry.unit)
    return Row(address, (_SIGNS[entry.known.how], address, (value, BRIGHT), "", "", (how, FAINT)))


def _unknown_row(address: str, guess: Entry | None) -> Row:
    how = f"assumed {say(guess.known.value, guess.unit)}" if guess is not None else "nobody knows"
    return Row(f"unknown {address}", ((UNKNOWN, ACCENT), address, ("?", BRIGHT), "", "", (how, FAINT)))


def diff_rows(found: Difference) -> list[Row]:
    """List a difference: what changed and which way, what only one knows, what only the other; none where none is."""
    left, right = title_of(found.left), title_of(found.right)
    if not (found.differs or found.remarks):
        return []
    rows = [_heading(f"changed · {len(found.changed)}"), *(_change_row(change) for change in found.changed)]
    for label, entries, is_left in ((left, found.only_left, True), (right, found.only_right, False)):
        rows.append(_heading(f"only in {label} · {len(entries)}"))
        rows += _only_rows(entries.items(), is_left=is_left)
    if found.remarks:
        rows.append(_heading("how it was compared"))
        rows += [
            _words(f"remark {i}", ("·", YELLOW), remark.where, remark.what) for i, remark in enumerate(found.remarks)
        ]
    return rows


def _change_row(change: Change) -> Row:
    left, right = change.left, change.right
    return Row(
        f"changed {change.address}",
        (
            ("≠", ACCENT),
            change.address,
            say(left.known.value, left.unit),
            (f"→ {say(right.known.value, right.unit)}", BRIGHT),
            (_way(change), BLUE),
            (f"{left.known.how} → {right.known.how}", FAINT),
        ),
    )


def _only_rows(entries: Iterable[tuple[str, Entry]], *, is_left: bool) -> Iterator[Row]:
    for address, entry in entries:
        value = say(entry.known.value, entry.unit)
        before, after = (value, "→ ?") if is_left else ("?", f"→ {value}")
        side = "left" if is_left else "right"
        sign: Cell = ("−" if is_left else "+", ACCENT)
        yield Row(f"{side} {address}", (sign, address, before, (after, BRIGHT), "", (entry.known.how, FAINT)))


def _way(change: Change) -> str:
    """Say which way a number went, and how far: ``↑ +3 dB``."""
    a, b = change.left.known.value, change.right.known.value
    if isinstance(a, bool | str) or isinstance(b, bool | str) or a == b:
        return ""
    arrow = "↑" if b > a else "↓"
    return f"{arrow} {say(b - a, change.right.unit)}" if math.isfinite(b - a) else arrow


def _heading(text: str) -> Row:
    return Row(f"heading {text}", (text,), heading=True)


def _words(key: str, sign: tuple[str, Style], where: str, what: str) -> Row:
    return Row(key, (sign, where, "", "", "", (what, INK)))
