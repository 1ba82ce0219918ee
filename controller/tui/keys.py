"""Keys and what they do: for the help, and for the palette that reaches every action by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding

from controller.tui.pane import Pane


def bindings_of(source: Any) -> list[Binding]:
    """Return a screen's own bindings, as written."""
    return [binding for binding in type(source).BINDINGS if isinstance(binding, Binding)]


def key_table(app: App[Any], source: Any) -> list[tuple[str, str]]:
    """Return keys and what they do, one entry a binding."""
    return [(_keys(app, binding), binding.tooltip or binding.description) for binding in bindings_of(source)]


def commands(
    app: App[Any], panes: Iterable[Pane], run: Callable[[App[Any] | Pane, Binding], Awaitable[None]]
) -> Iterator[SystemCommand]:
    """Yield every binding of the program and of its screens; ``run`` carries the chosen one out."""
    sources: list[App[Any] | Pane] = [app, *panes]
    for source in sources:
        heading = source.HEADING.capitalize() if isinstance(source, Pane) else "Everywhere"
        for binding in bindings_of(source):
            if binding.id != "app.panic":
                title, keys = f"{heading}: {binding.description}", f"key {_keys(app, binding)}"
                text = f"{binding.tooltip}, {keys}" if binding.tooltip else keys
                yield SystemCommand(title, text, partial(run, source, binding))


def _keys(app: App[Any], binding: Binding) -> str:
    singles = [Binding(key.strip(), binding.action) for key in binding.key.split(",")]
    return " ".join(app.get_key_display(single) for single in singles)
