"""The recall sheet: what only a hand can turn, as text for the terminal and as one HTML page with drawn knobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from controller.hand_scale import (
    arrow,
    hand_value,
    is_switch,
    place_words,
    tolerance_text,
    way,
)
from controller.sheet_drawing import drawing
from hardware.recall_plan import in_walking_order
from hardware.recall_steps import HandStep
from hardware.rig import split_address


def sheet_text(by_hand: Iterable[HandStep], *, title: str) -> str:
    """Write the sheet as plain text: one line for each control, grouped by device and strip."""
    steps = in_walking_order(by_hand)
    lines = [f"Recall sheet: {title}", _count(steps)]
    if steps:
        width = max(len(_name(step)) for step in steps)
        before = max(len(_now(step)) for step in steps)
        after = max(len(hand_value(step.control, step.to)) for step in steps)
    for device, strips in _by_strip(steps):
        for strip, group in strips:
            lines += ["", f"{device}, {strip}" if strip else device]
            for step in group:
                wanted = hand_value(step.control, step.to)
                row = f"  [ ] {_name(step):<{width}}  {_now(step):>{before}} → {wanted:<{after}}  {_how(step)}"
                lines.append(row.rstrip())
    return "\n".join(lines) + "\n"


def sheet_html(by_hand: Iterable[HandStep], *, title: str, subtitle: str = "") -> str:
    """Write the sheet as one HTML page that needs no other file: each control drawn as it is and as it shall be.

    It prints on A4 or Letter: each device begins a page, and a strip that fits on one is not torn apart.
    """
    steps = in_walking_order(by_hand)
    numbers = {step.address: number for number, step in enumerate(steps, 1)}
    devices: list[str] = []
    for device, strips in _by_strip(steps):
        sections = []
        for strip, group in strips:
            cards = "\n".join(_card(step, numbers[step.address]) for step in group)
            heading = f"<h3>{escape(device)}, {escape(strip)}</h3>" if strip else ""
            sections.append(f'<section>{heading}<div class="row">\n{cards}\n</div></section>')
        devices.append(f"<article><h2>{escape(device)}</h2>{''.join(sections)}</article>")
    under = f"<p>{escape(subtitle)}</p>" if subtitle else ""
    legend = _LEGEND if steps else ""
    return _PAGE.format(
        title=escape(title),
        under=under,
        count=escape(_count(steps)),
        legend=legend,
        style=_STYLE,
        body="\n".join(devices),
    )


def _count(steps: Sequence[HandStep]) -> str:
    if not steps:
        return "Nothing to set by hand."
    return f"{len(steps)} control{'s' if len(steps) > 1 else ''} to set by hand."


def _by_strip(steps: Sequence[HandStep]) -> Iterator[tuple[str, list[tuple[str, list[HandStep]]]]]:
    """Group steps by device, and each device's by strip; what belongs to no strip has no heading of its own."""
    for device, of_device in groupby(steps, key=lambda step: split_address(step.address)[0]):
        by_strip = groupby(of_device, key=lambda step: step.control.strip)
        yield device, [("" if strip is None else f"strip {strip}", list(group)) for strip, group in by_strip]


def _name(step: HandStep) -> str:
    """Leave the strip out of the control's name: the heading has it."""
    name = split_address(step.address)[1]
    section, slash, rest = name.partition("/")
    return rest if slash and step.control.strip is not None and section.endswith(str(step.control.strip)) else name


def _now(step: HandStep) -> str:
    if step.from_ is None:
        return "?"
    text = hand_value(step.control, step.from_.value)
    return f"{text}?" if step.from_.how == "assumed" else text


def _how(step: HandStep) -> str:
    """Say which way, to where, and how exactly."""
    if is_switch(step.control):
        return "press"
    words = f"{arrow(step) or ' '} {place_words(step.control, step.to)}"
    return f"{words}  {tolerance_text(step.control, step.to)}".rstrip()


def _card(step: HandStep, number: int) -> str:
    wanted, place, near = (
        hand_value(step.control, step.to),
        place_words(step.control, step.to),
        tolerance_text(step.control, step.to),
    )
    going = " ".join(word for word in (arrow(step), way(step) or "", place) if word)
    return (
        f'<figure data-address="{escape(step.address, quote=True)}"><small class="number">{number}</small>'
        f"{drawing(step)}<figcaption><b>{escape(_name(step))}</b>"
        f"<span>{escape(_now(step))} → <strong>{escape(wanted)}</strong></span><small>{escape(going)}</small>"
        f"<small>{escape(near)}</small>"
        f'<label><input type="checkbox"> done</label></figcaption></figure>'
    )


_LEGEND = (
    " Thin: where it is (dashed: a guess). Bold: where it shall go. Boxes: the outlined position is the present one, "
    "the filled one the wanted one. The numbers lead your hands across the room once."
)

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--soft:#767676;--paper:#fff;--card:#f4f2ee;--go:#c2410c}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--soft:#9a9a9a;--paper:#161616;--card:#222;--go:#fb923c}}
*{box-sizing:border-box}
body{font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:64rem;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.2rem;margin:1.5rem 0 .25rem;border-bottom:2px solid var(--ink)}
h3{font-size:1rem;margin:1rem 0 .5rem;border-bottom:1px solid var(--soft)}h2,h3{break-after:avoid}
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:.5rem}
figure{position:relative;display:flex;flex-direction:column;margin:0;padding:.5rem;width:9.5rem;background:var(--card);
border-radius:.5rem;break-inside:avoid}
figcaption{flex:1;display:flex;flex-direction:column;align-items:center;text-align:center;overflow-wrap:anywhere}
figcaption span{font-size:.93em}
.number{position:absolute;left:.5rem;top:.3rem}
small{color:var(--soft);font-size:.8em;min-height:1.2em}
svg{display:block;width:100%}svg text{font-size:7.5px;fill:var(--soft);text-anchor:middle}
svg text.left{text-anchor:end}svg text.right{text-anchor:start}svg text.goal{fill:var(--go);font-weight:bold}
.scale,.mark{fill:none;stroke:var(--soft);stroke-width:1}.cap{fill:none;stroke:var(--ink);stroke-width:1.5}
.now{stroke:var(--ink);stroke-width:1}.guess{stroke-dasharray:3 2}
.target{stroke:var(--go);stroke-width:4;stroke-linecap:round}
.travel{fill:none;stroke:var(--go);stroke-width:3;opacity:.35}
.position{fill:none;stroke:var(--soft);stroke-width:.75}.present{stroke:var(--ink);stroke-width:2.5}
.wanted{fill:var(--go)}svg text.chosen{fill:var(--paper);font-weight:bold}
label{margin-top:auto;padding-top:.2rem}
@page{margin:12mm}
@media print{
:root{color-scheme:light;--ink:#000;--soft:#555;--paper:#fff;--card:#fff;--go:#000}
body{margin:0;padding:0;max-width:none;font-size:8.5pt}
article+article{break-before:page}section+section{break-inside:avoid}
.row{gap:2mm}figure{width:29mm;padding:1.5mm;border-radius:1mm;border:.3mm solid var(--soft)}
input{appearance:none;width:3.5mm;height:3.5mm;border:.3mm solid #000;vertical-align:-.5mm;margin:0 1mm 0 0}
}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Recall sheet: {title}</title><style>{style}</style></head>
<body><h1>Recall sheet: {title}</h1>{under}
<p>{count}{legend}</p>
{body}
</body></html>
"""
