"""The console's colours: one accent on near-black. Every sign is legible without them."""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

GROUND = "#141618"
ACCENT_COLOUR = "#e8a33d"

INK = Style(color="#cfc9bd")
FAINT = Style(color="#84878a")
DARK = Style(color="#5a5e62")
BRIGHT = Style(color="#f3eee2", bold=True)
ACCENT = Style(color=ACCENT_COLOUR, bold=True)
GREEN = Style(color="#7fb77e")
YELLOW = Style(color="#e3c34d")
RED = Style(color="#e0604c", bold=True)
BLUE = Style(color="#6fb3b8")
CURSOR = Style(bgcolor="#2a2e31")
CURSOR_FOCUSED = Style(bgcolor="#3a3325")

THEME = Theme(
    name="halfnormal",
    primary=ACCENT_COLOUR,
    secondary="#6fb3b8",
    accent=ACCENT_COLOUR,
    foreground="#cfc9bd",
    background=GROUND,
    surface="#1a1d1f",
    panel="#212528",
    success="#7fb77e",
    warning="#e3c34d",
    error="#e0604c",
    dark=True,
    variables={
        "footer-background": "#1a1d1f",
        "footer-key-foreground": ACCENT_COLOUR,
        "footer-description-foreground": "#cfc9bd",
        "input-selection-background": "#e8a33d 35%",
        "block-cursor-foreground": GROUND,
        "block-cursor-background": ACCENT_COLOUR,
    },
)
