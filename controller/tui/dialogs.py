"""Questions that stop the hands: a plan to accept, a value to type, an error and its remedy, the keys there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from controller.errors import ControllerError
from controller.events import Question

Answer = TypeVar("Answer")
PANIC_KEY = "exclamation_mark"
Leaving = Literal["save", "discard", "stay"]

_SCROLLING: list[BindingType] = [
    Binding("up", "scroll(-1)", "Up", id="dialog.up", show=False),
    Binding("down", "scroll(1)", "Down", id="dialog.down", show=False),
    Binding("pageup", "scroll(-10)", "Page up", id="dialog.page_up", show=False),
    Binding("pagedown", "scroll(10)", "Page down", id="dialog.page_down", show=False),
]


class TextDialog(ModalScreen[Answer]):
    """A title, text that scrolls, and buttons. The arrows scroll wherever the focus is."""

    BINDINGS: ClassVar[list[BindingType]] = _SCROLLING
    ANSWERS: ClassVar[Sequence[tuple[str, str]]] = ()

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.heading = title
        self.text = text

    def compose(self) -> ComposeResult:
        """Lay out title, text and answers."""
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Label(self.heading, classes="title", markup=False)
            yield Static(self.text, classes="body", markup=False)
            with Horizontal(classes="answers"):
                for name, label in self.ANSWERS:
                    yield Button(label, id=name, compact=True)

    def on_mount(self) -> None:
        """Start on the last answer, which is the harmless one."""
        self.query(Button).last().focus()

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one(".dialog", VerticalScroll).scroll_relative(y=lines, animate=False)


class PlanDialog(TextDialog[bool]):
    """Shows a plan and waits for consent; nothing moves or sounds before that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Go", id="plan.go"),
        Binding("n,escape", "answer(False)", "Leave it", id="plan.stop"),
    ]
    ANSWERS: ClassVar[Sequence[tuple[str, str]]] = (("go", "Go (y)"), ("stop", "Leave it (n)"))

    def __init__(self, question: Question) -> None:
        super().__init__(question.title, "\n".join(question.lines))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by mouse or Enter."""
        self.dismiss(event.button.id == "go")

    def action_answer(self, answer: bool) -> None:
        """Answer by key."""
        self.dismiss(answer)


class LeaveDialog(TextDialog[Leaving]):
    """Asks what shall become of an unsaved mix."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "answer('save')", "Save and quit", id="leave.save"),
        Binding("d", "answer('discard')", "Quit without saving", id="leave.discard"),
        Binding("escape", "answer('stay')", "Stay", id="leave.stay"),
    ]
    ANSWERS: ClassVar[Sequence[tuple[str, str]]] = (
        ("save", "Save and quit (s)"),
        ("discard", "Discard (d)"),
        ("stay", "Stay (Esc)"),
    )

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by mouse or Enter."""
        answers: dict[str | None, Leaving] = {"save": "save", "discard": "discard"}
        self.dismiss(answers.get(event.button.id, "stay"))

    def action_answer(self, answer: Leaving) -> None:
        """Answer by key."""
        self.dismiss(answer)


class MessageDialog(TextDialog[None]):
    """Says one thing at length: an error with its remedy, a print's provenance, the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,question_mark", "close", "Close", id="message.close"),
    ]
    ANSWERS: ClassVar[Sequence[tuple[str, str]]] = (("close", "Close (Esc)"),)

    def on_button_pressed(self) -> None:
        """Close by mouse or Enter."""
        self.dismiss(None)

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)


class Field(Input):
    """A field of one line. The key that stops everything works in it too, and is not typed."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Tell whether the field takes a key."""
        return key != PANIC_KEY and super().check_consume_key(key, character)


class ValueDialog(ModalScreen[None]):
    """Takes an exact value; ``take`` sets it, and what it refuses is said under the field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave it", id="value.leave")]

    def __init__(self, title: str, value: str, take: Callable[[str], None]) -> None:
        super().__init__()
        self.heading = title
        self.value = value
        self._take = take

    def compose(self) -> ComposeResult:
        """Lay out the field."""
        with Vertical(classes="dialog small"):
            yield Label(self.heading, classes="title", markup=False)
            yield Field(self.value, select_on_focus=True, compact=True)
            yield Static("Enter sets it, Esc leaves it", classes="faint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Set the value, or say why it cannot be."""
        try:
            self._take(event.value)
        except (ValueError, ControllerError) as error:
            self.query_one(Static).update(f"✕ {error}")
            return
        self.dismiss(None)

    def action_leave(self) -> None:
        """Keep the old value."""
        self.dismiss(None)
