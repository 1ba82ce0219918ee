"""How a value is written: for a person, for a scale, and in JSON. Imports nothing that takes time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiles.profile import Control, Value

_BARE_UNITS = frozenset({"pan", "raw", "enum", "bool", "q", ""})
_OFF = "off"


def say(value: Value | None, unit: str = "") -> str:
    """Write a value as a person reads it: ``off``, ``in``, ``-6.00 dB``, ``?`` for unknown."""
    word = _word(value)
    if word is not None or isinstance(value, bool | str) or value is None:
        return word or ""
    number = f"{value:+.2f}" if unit in {"dB", "dBu"} else f"{value:g}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}" if unit not in _BARE_UNITS else number


def display_value(control: Control, value: Value) -> str:
    """Write a value the way an engineer says it: ``+3.5 dB``, ``80 Hz``, ``1.60 kHz``, ``off``, ``L30``."""
    if isinstance(value, bool) and control.role == "polarity":
        return "inverted" if value else "normal"
    word = _word(value)
    if word is not None or isinstance(value, bool | str):
        return word or ""
    match control.unit:
        case "dB" | "dBu":
            return f"{value:+.1f} {control.unit}"
        case "Hz":
            return f"{value / 1000:.2f} kHz" if value >= 1000 else f"{value:.0f} Hz"
        case "ms":
            return f"{value:g} ms"
        case "pan":
            side = round(value)
            return "C" if side == 0 else f"{'L' if side < 0 else 'R'}{abs(side)}"
        case "ratio":
            return f"{value:g}:1"
        case _:
            return f"{value:g}"


def _word(value: Value | None) -> str | None:
    """Write what is no number as a word; None for a number."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "in" if value else "out"
    if isinstance(value, str):
        return value
    return _OFF if value == -math.inf else None


def number(key: str, value: Value | None) -> dict[str, Any]:
    """Return ``value`` under ``key`` as JSON can hold it: −∞ as null with a note."""
    if isinstance(value, float) and value == -math.inf:
        return {key: None, f"{key}_note": "off (minus infinity)"}
    return {key: value}


def from_number(entry: Any, key: str) -> Value | None:
    """Read what :func:`number` wrote; None where there is no value."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if value is None:
        return -math.inf if isinstance(entry, dict) and f"{key}_note" in entry else None
    if isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
