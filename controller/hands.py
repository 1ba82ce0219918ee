"""What hands have to do: which way, how far, how exactly, and that it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.errors import UsageError
from controller.hand_scale import (
    clock_position,
    hand_value,
    is_fader,
    is_switch,
    place_words,
    tolerance,
    tolerance_text,
    travel,
    way,
)
from controller.studio import Studio
from controller.value_text import number
from hardware.known import Known
from hardware.recall import HandStep
from hardware.rig_file import nearest
from profiles.profile import Control, Value


def hand_json(step: HandStep, known: Known | None) -> dict[str, Any]:
    """Return one control for hands as ``--json`` prints it; ``known`` is what is known of it now.

    Angles are degrees clockwise from 12 o'clock, travels of a fader from 0 (the bottom) to 1.
    """
    control, wanted = step.control, step.to
    before = step.from_.value if step.from_ is not None else None
    slid = is_fader(control)
    turned = not slid and not is_switch(control)
    return {
        "address": step.address,
        **number("from", before),
        **number("to", wanted),
        "unit": control.unit,
        "known": known.how if known is not None else None,
        "direction": way(step),
        "angle_from_deg": _angle(control, before) if turned and before is not None else None,
        "angle_to_deg": _angle(control, wanted) if turned else None,
        "clock": clock_position(control.angle_deg(wanted)) if turned else None,
        "travel_from": travel(control, before) if slid and before is not None else None,
        "travel_to": travel(control, wanted) if slid else None,
        "tolerance": tolerance(control, wanted),
    }


def _angle(control: Control, value: Value) -> float | None:
    return round(control.angle_deg(value), 2) if travel(control, value) is not None else None


def hand_line(step: HandStep) -> str:
    """Write one control for hands in a line: now → target, which way, to where, how exactly."""
    now = "?" if step.from_ is None else hand_value(step.control, step.from_.value)
    text = f"{step.address}: {now} → {hand_value(step.control, step.to)}"
    place, near = place_words(step.control, step.to), tolerance_text(step.control, step.to)
    going = " ".join(word for word in (way(step) or "", place) if word)
    return f"{text}, {going}" + (f" ({near})" if near else "")


def tick(studio: Studio, steps: Sequence[HandStep]) -> None:
    """Take controls as set by hand, on disk at once; in the virtual room, its hands set them now."""
    values = {step.address: step.to for step in steps}
    if studio.room is not None:
        for address, value in values.items():
            studio.room.turn(address, value)
    studio.state.mark_by_hand(values)
    studio.remember({})


def chosen(by_hand: Sequence[HandStep], addresses: Sequence[str], *, target: Sequence[str]) -> list[HandStep]:
    """Find the steps of these addresses; one whose control stands right already is none.

    Raises
    ------
    UsageError
        No hand has to set such a control.
    """
    steps = {step.address: step for step in by_hand}
    for address in addresses:
        if address not in steps and address not in target:
            raise UsageError(
                f"{address} is no control that hands have to set here.", hint=nearest(address, list(steps))
            )
    return [steps[address] for address in dict.fromkeys(addresses) if address in steps]
