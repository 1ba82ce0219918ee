"""The line at the top: the screens with their keys, and what is open."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from controller.tui.session import Session

SHORT = 6
"""Letters of the other screens' names where there is no room for more."""
_CHOSEN, _OTHER, _OPEN = "bold #141618 on #e8a33d", "#84878a", "#cfc9bd"


def head_text(headings: Sequence[str], here: str | None, session: Session, width: int) -> Text:
    """Write the line in ``width`` cells; where that is too few, what can be missed first is left out."""
    unsaved = "*" if session.dirty else ""
    mix = f"{session.mix_file}{unsaved} · {session.path} "
    whole = f"{session.project.title} · {mix[:-1]} · {session.rig} "
    for pad, letters, right in ((" ", None, whole), (" ", None, mix), ("", None, mix), ("", SHORT, mix)):
        line = Text(no_wrap=True)
        for index, heading in enumerate(headings, 1):
            if heading == here:
                line.append(f" {index} {heading} ", _CHOSEN)
            else:
                line.append(f"{pad}{index} {heading[:letters]} ", _OTHER)
        room = width - line.cell_len - len(right)
        if room > 0:
            break
    line.append(" " * max(room, 1))
    line.append(right, _OPEN)
    return line
