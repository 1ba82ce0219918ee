"""The recall sheet: what only a hand can turn, as text for the terminal and as one HTML page with drawn knobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from controller.value_text import display_value
from hardware.recall_plan import in_walking_order
from hardware.recall_steps import HandStep
from hardware.rig import split_address
from profiles.profile import Control, Hand, Value

__all__ = [
    "clock_position",
    "display_value",
    "in_walking_order",
    "is_switch",
    "sheet_html",
    "sheet_text",
    "turn_arrow",
]

_PLAIN_POT = Hand("pot", -150.0, 150.0, ())
_RADIUS = 34.0
_CENTRE = 60.0


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


def turn_arrow(step: HandStep) -> str:
    """Say which way to turn from where it is: ``↻`` clockwise, ``↺`` counter-clockwise, empty when nobody knows."""
    if is_switch(step.control) or step.from_ is None:
        return ""
    start, end = step.control.angle_deg(step.from_.value), step.control.angle_deg(step.to)
    return "" if start == end else "↻" if end > start else "↺"


def sheet_text(by_hand: Iterable[HandStep], *, title: str) -> str:
    """Write the sheet as plain text: one line for each control, grouped by device and strip."""
    steps = in_walking_order(by_hand)
    lines = [f"Recall sheet: {title}", _count(steps)]
    if steps:
        width = max(len(_name(step)) for step in steps)
        before = max(len(_now(step)) for step in steps)
        after = max(len(display_value(step.control, step.to)) for step in steps)
    for heading, group in groupby(steps, key=_heading):
        lines += ["", heading]
        for step in group:
            wanted = display_value(step.control, step.to)
            row = f"  [ ] {_name(step):<{width}}  {_now(step):>{before}} → {wanted:<{after}}  {_how(step)}"
            lines.append(row.rstrip())
    return "\n".join(lines) + "\n"


def sheet_html(by_hand: Iterable[HandStep], *, title: str, subtitle: str = "") -> str:
    """Write the sheet as one HTML page that needs no other file: each control drawn as it is and as it shall be."""
    steps = in_walking_order(by_hand)
    sections: list[str] = []
    for heading, group in groupby(steps, key=_heading):
        cards = "\n".join(_card(step) for step in group)
        sections.append(f'<section><h2>{escape(heading)}</h2><div class="row">\n{cards}\n</div></section>')
    under = f"<p>{escape(subtitle)}</p>" if subtitle else ""
    return _PAGE.format(
        title=escape(title), under=under, count=escape(_count(steps)), style=_STYLE, body="\n".join(sections)
    )


def _count(steps: Sequence[HandStep]) -> str:
    if not steps:
        return "Nothing to set by hand."
    return f"{len(steps)} control{'s' if len(steps) > 1 else ''} to set by hand."


def _heading(step: HandStep) -> str:
    device = split_address(step.address)[0]
    return device if step.control.strip is None else f"{device}, strip {step.control.strip}"


def _name(step: HandStep) -> str:
    """Leave the strip out of the control's name: the heading has it."""
    name = split_address(step.address)[1]
    section, slash, rest = name.partition("/")
    return rest if slash and step.control.strip is not None and section.endswith(str(step.control.strip)) else name


def _now(step: HandStep) -> str:
    if step.from_ is None:
        return "?"
    text = display_value(step.control, step.from_.value)
    return f"{text}?" if step.from_.how == "assumed" else text


def _how(step: HandStep) -> str:
    if is_switch(step.control):
        return "switch"
    position = clock_position(step.control.angle_deg(step.to))
    arrow = turn_arrow(step)
    return f"{arrow} to {position}" if arrow else f"  to {position}"


def _card(step: HandStep) -> str:
    drawing = _switch(step) if is_switch(step.control) else _knob(step)
    wanted = display_value(step.control, step.to)
    detail = _how(step).strip()
    return (
        f'<figure data-address="{escape(step.address, quote=True)}">{drawing}<figcaption><b>{escape(_name(step))}</b>'
        f"<span>{escape(_now(step))} → <strong>{escape(wanted)}</strong></span><small>{escape(detail)}</small>"
        f'<label><input type="checkbox"> done</label></figcaption></figure>'
    )


def _knob(step: HandStep) -> str:
    """Draw a knob: scale with marks, the travel as an arc, where it is as a thin line, where it goes as a pointer."""
    control = step.control
    hand = control.hand or _PLAIN_POT
    parts = [f'<path class="scale" d="{_arc(hand.start_deg, hand.end_deg, _RADIUS + 6)}"/>']
    for value, label_text in hand.marks:
        angle, text = (
            control.angle_deg(value),
            label_text if label_text not in ("", str(value)) else _mark(control, value),
        )
        inner, outer, label = (_point(angle, _RADIUS + extra) for extra in (4, 9, 17))
        parts.append(f'<line class="mark" {_line(inner, outer)}/>')
        parts.append(f'<text x="{label[0]:.1f}" y="{label[1] + 2.5:.1f}">{escape(text)}</text>')
    parts.append(f'<circle class="cap" cx="{_CENTRE:g}" cy="{_CENTRE:g}" r="{_RADIUS - 8:g}"/>')
    target = control.angle_deg(step.to)
    if step.from_ is not None:
        now = control.angle_deg(step.from_.value)
        if now != target:
            parts.append(f'<path class="travel" d="{_arc(now, target, _RADIUS - 3)}"/>')
        parts.append(f'<line class="now" data-angle="{now:.1f}" {_line(_point(now, 8), _point(now, _RADIUS - 3))}/>')
    parts.append(
        f'<line class="target" data-angle="{target:.1f}" {_line(_point(target, 6), _point(target, _RADIUS + 3))}/>'
    )
    return _drawing(step, parts)


def _switch(step: HandStep) -> str:
    """Draw a switch: one box for each position, the wanted one filled, the present one outlined."""
    words = step.control.choices
    choices: tuple[Value, ...] = tuple(map(step.control.value_from_text, words)) if words else (False, True)
    height = min(24.0, 100.0 / len(choices))
    top = _CENTRE - height * len(choices) / 2
    parts: list[str] = []
    for index, choice in enumerate(choices):
        y = top + index * height
        classes = ["position"]
        if choice == step.to:
            classes.append("wanted")
        if step.from_ is not None and choice == step.from_.value:
            classes.append("present")
        parts.append(
            f'<rect class="{" ".join(classes)}" x="22" y="{y + 1:.1f}" width="76" height="{height - 2:.1f}" rx="4"/>'
        )
        chosen = ' class="chosen"' if choice == step.to else ""
        text = escape(display_value(step.control, choice))
        parts.append(f'<text{chosen} x="{_CENTRE:g}" y="{y + height / 2 + 2.5:.1f}">{text}</text>')
    return _drawing(step, parts)


def _drawing(step: HandStep, parts: Sequence[str]) -> str:
    label = f"{step.address}: {_now(step)} to {display_value(step.control, step.to)}"
    return f'<svg viewBox="0 0 120 120" role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'


def _mark(control: Control, value: Value) -> str:
    """Write a mark on a scale: the bare number, kilo where it is long, the sign where it is a level."""
    if not isinstance(value, float) or value == -math.inf:
        return display_value(control, value)
    if control.unit in ("dB", "dBu"):
        return f"{value:+g}" if value else "0"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


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


_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--soft:#8a8a8a;--paper:#fff;--card:#f4f2ee;--go:#c2410c}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--soft:#8d8d8d;--paper:#161616;--card:#222;--go:#fb923c}}
body{font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:64rem;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:1.5rem 0 .5rem;border-bottom:1px solid var(--soft)}
.row{display:flex;flex-wrap:wrap;gap:.75rem}
figure{margin:0;padding:.5rem;width:9.5rem;background:var(--card);border-radius:.5rem;break-inside:avoid}
figcaption{display:flex;flex-direction:column;align-items:center;text-align:center}
small{color:var(--soft)}svg{width:100%}svg text{font-size:7.5px;fill:var(--soft);text-anchor:middle}
.scale,.mark{fill:none;stroke:var(--soft);stroke-width:1}.cap{fill:none;stroke:var(--ink);stroke-width:1.5}
.now{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:3 2}
.target{stroke:var(--go);stroke-width:4;stroke-linecap:round}
.travel{fill:none;stroke:var(--go);stroke-width:3;opacity:.4}
.position{fill:none;stroke:var(--soft)}.present{stroke:var(--ink);stroke-width:2.5}.wanted{fill:var(--go)}
svg text.chosen{fill:var(--paper);font-weight:bold}
@media print{body{margin:0;max-width:none}figure{border:1px solid var(--soft)}}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Recall sheet: {title}</title><style>{style}</style></head>
<body><h1>Recall sheet: {title}</h1>{under}
<p>{count} Dashed: where it is. Coloured: where it shall go.</p>
{body}
</body></html>
"""
