"""What hands have to do: which way, how far, how exactly, and that it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from controller.errors import UsageError
from controller.sheet import clock_position, is_switch
from controller.studio import Studio
from controller.value_text import display_value, number
from hardware.known import Known
from hardware.recall import HAND_TRAVEL, HandStep
from hardware.rig_file import nearest
from profiles.errors import ProfileError
from profiles.profile import Control, Value

Direction = Literal["clockwise", "counter-clockwise", "press"]

_HAND_CODES = round(HAND_TRAVEL * 1000)
"""The same in codes of a pot: thousandths of its travel."""


def direction(step: HandStep) -> Direction | None:
    """Say which way the hand goes; None where nobody knows from where, or the pointer stays."""
    if is_switch(step.control):
        return "press"
    if step.from_ is None or step.from_.how == "assumed":
        return None
    now, wanted = step.control.angle_deg(step.from_.value), step.control.angle_deg(step.to)
    return None if now == wanted else "clockwise" if wanted > now else "counter-clockwise"


def tolerance(control: Control, value: Value) -> float | None:
    """Tell how far beside ``value`` a hand may leave a pot [the control's unit]; None for what has positions."""
    if is_switch(control) or not control.by_hand or not isinstance(value, float):
        return None
    raw = control.to_raw(value)
    sides: list[float] = []
    for code in (raw - _HAND_CODES, raw + _HAND_CODES):
        try:
            beside = control.from_raw(code)
        except ProfileError:
            continue  # the end of the travel
        if isinstance(beside, float) and abs(beside - value) < float("inf"):
            sides.append(abs(beside - value))
    return max(sides, default=None)


def hand_json(step: HandStep, known: Known | None) -> dict[str, Any]:
    """Return one control for hands as ``--json`` prints it; ``known`` is what is known of it now.

    Angles are degrees clockwise from 12 o'clock.
    """
    turned = not is_switch(step.control)
    before = step.from_.value if step.from_ is not None else None
    return {
        "address": step.address,
        **number("from", before),
        **number("to", step.to),
        "unit": step.control.unit,
        "known": known.how if known is not None else None,
        "direction": direction(step),
        "angle_from_deg": _angle(step.control, before) if turned and before is not None else None,
        "angle_to_deg": _angle(step.control, step.to) if turned else None,
        "clock": clock_position(step.control.angle_deg(step.to)) if turned else None,
        "tolerance": tolerance(step.control, step.to),
    }


def _angle(control: Control, value: Value) -> float:
    return round(control.angle_deg(value), 2)


def hand_line(step: HandStep) -> str:
    """Write one control for hands in a line: now → target, which way, to where on the clock face, how exactly."""
    now = "?" if step.from_ is None else display_value(step.control, step.from_.value)
    text = f"{step.address}: {now} → {display_value(step.control, step.to)}"
    way = direction(step)
    if is_switch(step.control):
        return f"{text}, {way}"
    text += f", {way} to {clock_position(step.control.angle_deg(step.to))}" if way else ""
    if not way:
        text += f", to {clock_position(step.control.angle_deg(step.to))}"
    around = tolerance(step.control, step.to)
    unit = step.control.unit if step.control.unit in ("dB", "dBu", "Hz", "ms") else ""
    return text + (f" (±{around:.2g} {unit}".rstrip() + ")" if around else "")


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
