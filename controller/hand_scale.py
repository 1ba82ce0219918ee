"""What a hand sees at a control: what kind of thing it is, its printed words, which way, to where, how exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from controller.value_text import display_value
from hardware.recall_plan import HAND_TRAVEL
from hardware.recall_steps import HandStep
from profiles.errors import ProfileError
from profiles.profile import Control, Value

Way = Literal["clockwise", "counter-clockwise", "up", "down", "press"]

_HAND_CODES = round(HAND_TRAVEL * 1000)
"""The same in codes of a pot: thousandths of its travel."""
_FADER_ROLES = frozenset(("fader", "master_fader"))
_UNITS = frozenset(("dB", "dBu", "Hz", "ms"))
_ARROWS = {"clockwise": "↻", "counter-clockwise": "↺", "up": "↑", "down": "↓"}


def clock_position(angle_deg: float) -> str:
    """Say where a pointer stands as on a clock face; 0° is straight up, clockwise positive, to the quarter hour."""
    quarters = round(angle_deg / 7.5) % 48
    hour, quarter = divmod(quarters, 4)
    return f"{hour or 12}:{quarter * 15:02d}"


def is_switch(control: Control) -> bool:
    """Tell whether it is pressed or flipped rather than turned."""
    if control.hand is not None:
        return control.hand.kind == "switch"
    return control.unit == "bool" or bool(control.choices)


def is_fader(control: Control) -> bool:
    """Tell whether it slides: it is drawn so, or it is a strip's or the master's fader."""
    if control.hand is not None and control.hand.kind != "pot":
        return control.hand.kind == "fader"
    return control.unit == "dB" and control.role in _FADER_ROLES


def positions(control: Control) -> tuple[Value, ...]:
    """Return the positions of a switch or of detents, in the order in which they are printed; none of a pot."""
    if control.choices:
        every: tuple[Value, ...] = tuple(map(control.value_from_text, control.choices))
    elif control.unit == "bool":
        every = (False, True)
    else:
        return ()
    marked = tuple(value for value, _ in control.hand.marks) if control.hand is not None else ()
    return marked if len(marked) == len(every) and all(value in every for value in marked) else every


def printed(control: Control, value: Value) -> str:
    """Return what is printed on the device at ``value``; empty where the profile names nothing there."""
    marks = control.hand.marks if control.hand is not None else ()
    for marked, label in marks:
        if marked == value and isinstance(marked, bool) == isinstance(value, bool):
            return "" if label == str(marked) else label
    return ""


def hand_value(control: Control, value: Value) -> str:
    """Write a value as the hand finds it: a switch's printed word, a detent's value with what is printed there."""
    text, label = display_value(control, value), printed(control, value)
    if not label or label == text:
        return text
    if is_switch(control):
        return label
    return f"{text} ({label})" if positions(control) else text


def mark_text(control: Control, value: Value, label: str) -> str:
    """Write a mark on a scale: its label, else the bare number, kilo where it is long, the sign where it is a level."""
    if label and label != str(value):
        return label
    if isinstance(value, bool) or not isinstance(value, int | float) or value == -math.inf:
        return display_value(control, value)
    if control.unit in ("dB", "dBu"):
        return f"{value:+g}" if value else "0"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def marks_of(control: Control) -> Iterator[tuple[Value, str]]:
    """Yield the marks of a scale as (value, text); of detents that bear none, every position."""
    marks = control.hand.marks if control.hand is not None else ()
    if not marks and not is_switch(control):
        marks = tuple((value, "") for value in positions(control))
    for value, label in marks:
        yield value, mark_text(control, value, label)


def way(step: HandStep) -> Way | None:
    """Say which way the hand goes; a fader goes up or down. None where nobody knows from where, or nothing moves."""
    control = step.control
    if is_switch(control):
        return "press"
    if step.from_ is None or step.from_.how == "assumed":
        return None
    now, wanted = travel(control, step.from_.value), control.travel(step.to)
    if now is None or now == wanted:
        return None
    if is_fader(control):
        return "up" if wanted > now else "down"
    rising = control.angle_deg(step.to) > control.angle_deg(step.from_.value)
    return "clockwise" if rising else "counter-clockwise"


def arrow(step: HandStep) -> str:
    """Say which way to go as an arrow; empty for a switch, and where nobody knows from where."""
    return _ARROWS.get(way(step) or "", "")


def travel(control: Control, value: Value) -> float | None:
    """Tell where a value lies on the travel, from 0 to 1; None for one that the control cannot stand at."""
    try:
        return control.travel(value)
    except ProfileError:
        return None


def place_words(control: Control, value: Value) -> str:
    """Say to where it goes: a knob as on a clock face, a fader by the marks of its scale; nothing of a switch."""
    if is_switch(control):
        return ""
    if not is_fader(control):
        return f"to {clock_position(control.angle_deg(value))}"
    height = control.travel(value)
    scale = sorted((control.travel(marked), text) for marked, text in marks_of(control))
    for at, text in scale:
        if abs(at - height) < HAND_TRAVEL:
            return f"to the mark {text}"
    below = [text for at, text in scale if at < height]
    above = [text for at, text in scale if at > height]
    return f"between {below[-1]} and {above[0]}" if below and above else f"to {height:.0%} of the travel"


def tolerance(control: Control, value: Value) -> float | None:
    """Tell how far beside ``value`` a hand may leave a pot [the control's unit]; None for what has positions."""
    if positions(control) or is_switch(control) or not control.by_hand or not isinstance(value, float):
        return None
    raw = control.to_raw(value)
    sides: list[float] = []
    for code in (raw - _HAND_CODES, raw + _HAND_CODES):
        try:
            beside = control.from_raw(code)
        except ProfileError:
            continue  # the end of the travel
        if isinstance(beside, float) and abs(beside - value) < math.inf:
            sides.append(abs(beside - value))
    return max(sides, default=None)


def tolerance_text(control: Control, value: Value) -> str:
    """Write how far beside ``value`` is near enough, with the unit; empty for what has positions."""
    around = tolerance(control, value)
    return f"±{float(f'{around:.2g}'):g} {control.unit if control.unit in _UNITS else ''}".rstrip() if around else ""
