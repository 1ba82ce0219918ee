"""Asks one control after the other what only eyes can tell: where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from controller.hand_scale import hand_value, place_words
from controller.snapshot_take import Look, read_value
from controller.tui.dialogs import Field
from controller.value_text import display_value
from profiles.errors import ProfileError
from profiles.profile import Control, Value

SKIP = "-"


@dataclass(frozen=True)
class Seen:
    """What somebody saw; ``value`` is None where it was left unknown."""

    value: Value | None


class LookDialog(ModalScreen[Seen | None]):
    """Takes where one control stands. None ends the asking: this one and all that follow stay unknown."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "end", "End the asking", id="look.end")]

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look

    def compose(self) -> ComposeResult:
        """Lay out what is asked, the field, and what its keys do."""
        look = self.look
        with Vertical(classes="dialog small"):
            yield Label(f"Where does {look.address} stand?", classes="title", markup=False)
            yield Static(_count(look), id="look-count", markup=False)
            yield Field(placeholder=_guess(look), compact=True)
            yield Static(_keys(look), id="look-keys", classes="faint", markup=False)
            yield Static("", id="look-wrong", classes="wrong", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the value, or the guess where nothing was typed."""
        text = event.value.strip()
        if text in ("", SKIP):
            self.dismiss(Seen(self.look.guess if not text else None))
            return
        try:
            value = read_value(self.look.control, text)
        except ProfileError as error:
            self.query_one("#look-wrong", Static).update(f"✕ {error} {error.hint}".rstrip())
            event.input.select_all()
            return
        self.dismiss(Seen(value))

    def action_end(self) -> None:
        """End the asking."""
        self.dismiss(None)


def _count(look: Look) -> str:
    after = look.total - look.number
    return f"{look.number} of {look.total}, {after or 'none'} left after it · {_allowed(look.control)}"


def _allowed(control: Control) -> str:
    """Say what a person may type."""
    if control.choices:
        return " ".join(control.choices)
    if control.unit == "bool":
        return f"on ({hand_value(control, True)}) or off ({hand_value(control, False)})"
    return f"{display_value(control, control.low)} to {display_value(control, control.high)}" + (
        ", or off" if control.off is not None else ""
    )


def _guess(look: Look) -> str:
    if look.guess is None:
        return "nobody has a guess"
    place = place_words(look.control, look.guess).removeprefix("to ")
    return hand_value(look.control, look.guess) + (f" ({place})" if place else "")


def _keys(look: Look) -> str:
    enter = "takes the guess" if look.guess is not None else "leaves it unknown"
    skip = f" · {SKIP} leaves it unknown" if look.guess is not None else ""
    return f"Enter {enter}{skip} · Esc ends the asking"
