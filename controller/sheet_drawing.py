"""The drawings of the recall sheet: a knob, a fader or a switch as SVG, where it is (thin) and where it goes (bold)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from controller.hand_scale import hand_value, is_fader, is_switch, marks_of, positions, travel
from controller.value_text import display_value
from hardware.recall_steps import HandStep
from profiles.profile import Control, Hand, Value

_PLAIN_POT = Hand("pot", -150.0, 150.0, ())
_SIZE = 120.0
_CENTRE = _SIZE / 2
_RADIUS = 34.0
_RAIL, _TOP, _BOTTOM = 56.0, 8.0, 112.0
"""Where a fader's rail stands, and its ends."""
_CLEAR = 7.0
"""How near two labels may come to each other; in units of the drawing, as all lengths here."""
_MOST_POSITIONS = 8
_WIDE_LABEL = 16
"""From this many letters on, a switch's label is squeezed into its box."""


def drawing(step: HandStep) -> str:
    """Draw a hand step as one ``<svg>``; its label says the same in words."""
    parts = _switch(step) if is_switch(step.control) else _fader(step) if is_fader(step.control) else _knob(step)
    now = "?" if step.from_ is None else hand_value(step.control, step.from_.value)
    label = f"{step.address}: {now} to {hand_value(step.control, step.to)}"
    return f'<svg viewBox="0 0 120 120" role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'


def _knob(step: HandStep) -> list[str]:
    """Draw a knob: scale with marks, the travel as an arc, where it is as a thin line, where it goes as a pointer."""
    control = step.control
    hand = control.hand or _PLAIN_POT
    parts = [f'<path class="scale" d="{_arc(hand.start_deg, hand.end_deg, _RADIUS + 6)}"/>']
    labels: list[tuple[float, float, str]] = []
    for value, text in marks_of(control):
        angle = control.angle_deg(value)
        parts.append(f'<line class="mark" {_line(_point(angle, _RADIUS + 4), _point(angle, _RADIUS + 9))}/>')
        labels.append((*_point(angle, _RADIUS + 17), text))
    parts += [f'<text x="{x:.1f}" y="{y + 2.5:.1f}">{escape(text)}</text>' for x, y, text in _apart(labels)]
    parts.append(f'<circle class="cap" cx="{_CENTRE:g}" cy="{_CENTRE:g}" r="{_RADIUS - 8:g}"/>')
    target = control.angle_deg(step.to)
    if step.from_ is not None and travel(control, step.from_.value) is not None:
        now = control.angle_deg(step.from_.value)
        if now != target:
            parts.append(f'<path class="travel" d="{_arc(now, target, _RADIUS - 3)}"/>')
        ends = _line(_point(now, 8), _point(now, _RADIUS - 3))
        parts.append(f'<line class="{_now_class(step)}" data-angle="{now:.1f}" {ends}/>')
    parts.append(
        f'<line class="target" data-angle="{target:.1f}" {_line(_point(target, 6), _point(target, _RADIUS + 3))}/>'
    )
    return parts


def _fader(step: HandStep) -> list[str]:
    """Draw a fader: rail and scale, where its cap is as a thin line, where it goes as a bold one."""
    control = step.control
    parts = [f'<line class="scale" {_line((_RAIL, _TOP), (_RAIL, _BOTTOM))}/>']
    labels: list[tuple[float, float, str]] = []
    for value, text in marks_of(control):
        y = _height(control, value)
        parts.append(f'<line class="mark" {_line((_RAIL - 14, y), (_RAIL - 8, y))}/>')
        labels.append((_RAIL - 17, y, text))
    parts += [
        f'<text class="left" x="{x:.1f}" y="{y + 2.5:.1f}">{escape(text)}</text>' for x, y, text in _apart(labels)
    ]
    target = _height(control, step.to)
    if step.from_ is not None and travel(control, step.from_.value) is not None:
        now = _height(control, step.from_.value)
        if now != target:
            parts.append(f'<line class="travel" {_line((_RAIL, now), (_RAIL, target))}/>')
        place = travel(control, step.from_.value)
        ends = _line((_RAIL - 8, now), (_RAIL + 12, now))
        parts.append(f'<line class="{_now_class(step)}" data-travel="{place:.4f}" {ends}/>')
    ends = _line((_RAIL - 8, target), (_RAIL + 12, target))
    parts.append(f'<line class="target" data-travel="{control.travel(step.to):.4f}" {ends}/>')
    wanted = escape(display_value(control, step.to))
    parts.append(f'<text class="right goal" x="{_RAIL + 18:g}" y="{target + 2.5:.1f}">{wanted}</text>')
    return parts


def _switch(step: HandStep) -> list[str]:
    """Draw a switch: one box for each position, the wanted one filled, the present one outlined."""
    control = step.control
    present = step.from_.value if step.from_ is not None else None
    every = _near(positions(control) or (step.to,), step.to, present)
    height = min(24.0, (_BOTTOM - _TOP) / len(every))
    top = _CENTRE - height * len(every) / 2
    parts: list[str] = []
    for index, choice in enumerate(every):
        y = top + index * height
        classes = ["position"]
        if choice == step.to:
            classes.append("wanted")
        if step.from_ is not None and choice == present:
            classes.append("present")
        parts.append(
            f'<rect class="{" ".join(classes)}" x="22" y="{y + 1:.1f}" width="76" height="{height - 2:.1f}" rx="4"/>'
        )
        text = hand_value(control, choice)
        chosen = ' class="chosen"' if choice == step.to else ""
        squeezed = ' textLength="70" lengthAdjust="spacingAndGlyphs"' if len(text) >= _WIDE_LABEL else ""
        parts.append(f'<text{chosen}{squeezed} x="{_CENTRE:g}" y="{y + height / 2 + 2.5:.1f}">{escape(text)}</text>')
    return parts


def _near(every: tuple[Value, ...], wanted: Value, present: Value | None) -> tuple[Value, ...]:
    """Take those positions of a switch of very many that help to find the wanted one: both places, and around them."""
    if len(every) <= _MOST_POSITIONS:
        return every
    kept = {0, len(every) - 1}
    for value in (wanted, present):
        if value in every:
            at = every.index(value)
            kept |= {at - 1, at, at + 1}
    return tuple(choice for index, choice in enumerate(every) if index in kept)


def _now_class(step: HandStep) -> str:
    return "now guess" if step.from_ is not None and step.from_.how == "assumed" else "now"


def _apart(labels: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Leave out labels that would print over one another; the ends of a scale come first."""
    kept: list[tuple[float, float, str]] = []
    for label in (*labels[:1], *labels[-1:], *labels[1:-1]):
        if all(math.dist(label[:2], other[:2]) >= _CLEAR for other in kept):
            kept.append(label)
    return kept


def _height(control: Control, value: Value) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * control.travel(value)


def _point(angle_deg: float, radius: float) -> tuple[float, float]:
    """Place a point on the knob; 0° is straight up, clockwise positive."""
    turn = math.radians(angle_deg)
    return _CENTRE + radius * math.sin(turn), _CENTRE - radius * math.cos(turn)


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    return f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'


def _arc(start_deg: float, end_deg: float, radius: float) -> str:
    (x1, y1), (x2, y2) = _point(start_deg, radius), _point(end_deg, radius)
    large, sweep = int(abs(end_deg - start_deg) > 180), int(end_deg > start_deg)
    return f"M{x1:.1f} {y1:.1f}A{radius:g} {radius:g} 0 {large} {sweep} {x2:.1f} {y2:.1f}"
